#include "cli/progress.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/groupview.h"
#include "cli/progress_impl.h"
#include "cli/when.h"

enum progress_mode progress_mode_for(const struct args *args, FILE *out)
{
	const char *term = getenv("TERM");
	int columns, lines;

	if (args_has(args, "json"))
		return PROGRESS_JSON;
	if (args_has(args, "quiet"))
		return PROGRESS_QUIET;
	if (!term_size(out, &columns, &lines) || !term || strcmp(term, "dumb") == 0)
		return PROGRESS_PLAIN;
	return PROGRESS_TTY;
}

struct observer *progress_new(enum progress_mode mode, FILE *out, bool colour, bool expand)
{
	switch (mode) {
	case PROGRESS_TTY:
		return progress_tty_new(out, colour, expand);
	case PROGRESS_JSON:
		return progress_json_new(out);
	default:
		return progress_plain_new(out, colour, mode == PROGRESS_QUIET);
	}
}

/* ---- a task -------------------------------------------------------------------------- */

const struct task *progress_def(const struct run_progress *p, int i)
{
	return &p->dag->tasks[i < p->dag->ntasks ? i : p->tasks[i].def];
}

const char *progress_name(const struct run_progress *p, int i, char buf[RUN_LABEL_MAX])
{
	int map_index = i < p->dag->ntasks ? -1 : p->tasks[i].map_index;

	return run_task_label(progress_def(p, i)->name, map_index, buf);
}

static struct group_tally tally_of(const struct task_progress *t)
{
	struct group_tally g = { .n = t->ninstances };

	memcpy(g.by_state, t->nin, sizeof g.by_state);
	return g;
}

enum task_state progress_state(const struct task_progress *t)
{
	const struct group_tally g = tally_of(t);

	return g.n && t->state == TASK_DEFERRED ? groupview_state(&g) : t->state;
}

const char *progress_label(const struct task_progress *t)
{
	enum task_state state = progress_state(t);

	if (t->kept)
		return "kept";
	if (state == TASK_NONE)
		return t->selected ? "waiting" : "left out";
	return task_state_name(state);
}

enum style progress_style(const struct task_progress *t)
{
	switch (progress_state(t)) {
	case TASK_SUCCESS:
		return t->kept ? STYLE_DIM : STYLE_GOOD;
	case TASK_FAILED:
	case TASK_UPSTREAM_FAILED:
		return STYLE_BAD;
	case TASK_UP_FOR_RETRY:
	case TASK_HELD:
	case TASK_CANCELLED:
	case TASK_SKIPPED:
		return STYLE_WARN;
	case TASK_RUNNING:
		return STYLE_BUSY;
	default:
		return STYLE_DIM;
	}
}

int64_t progress_elapsed_us(const struct run_progress *p, const struct task_progress *t)
{
	if (!t->started_us)
		return -1;
	int64_t end = t->ended_us ? t->ended_us : p->now_us;
	return end > t->started_us ? end - t->started_us : 0;
}

void progress_add_try(struct buf *out, const struct task_progress *t)
{
	int most = t->retries + 1;

	/* More than the policy's: lost attempts do not count, and former invocations tried, too. */
	if (t->try > most)
		buf_addf(out, "try %d", t->try);
	else
		buf_addf(out, "try %d/%d", t->try, most);
}

/* Of a mapped task, what its instances counted together. */
static bool count_of(const struct task_progress *t, const char *key, json_int_t *ret)
{
	const json_t *v = json_object_get(t->outputs, key);
	json_t *item;
	size_t i;

	if (t->ninstances == 0 || !json_is_array(v)) {
		*ret = json_integer_value(v);
		return json_is_integer(v);
	}
	*ret = 0;
	json_array_foreach(v, i, item) *ret += json_integer_value(item);
	return true;
}

static void add_rows(struct buf *out, const struct task_progress *t)
{
	static const struct {
		const char *key, *name;
	} rows[] = { { "rows_in", "in" }, { "rows_out", "out" }, { "rows_rejected", "rejected" } };
	const char *sep = "";
	json_int_t n;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char text[32];
		if (!count_of(t, rows[i].key, &n) || (n == 0 && i == 2))
			continue;
		units_format_count(n, text, sizeof text);
		buf_addf(out, "%s%s %s", sep, text, rows[i].name);
		sep = ", ";
	}
	if (!*sep && count_of(t, "rows", &n)) {
		char text[32];
		buf_addf(out, "%s row%s", units_format_count(n, text, sizeof text),
			n == 1 ? "" : "s");
	}
}

/* "7 checks passed", or "5 of 7 checks passed, 1 warned, 1 failed". */
static void add_checks(struct buf *out, const struct task_progress *t)
{
	size_t n = json_array_size(t->checks), passed = 0, warned = 0;

	for (size_t i = 0; i < n; i++) {
		const char *s =
			json_string_value(json_object_get(json_array_get(t->checks, i), "status"));
		passed += s && strcmp(s, "pass") == 0;
		warned += s && strcmp(s, "warn") == 0;
	}
	if (n == 0)
		return;
	buf_addstr(out, out->len ? ", " : "");
	if (passed < n)
		buf_addf(out, "%zu of ", passed);
	buf_addf(out, "%zu check%s passed", n, n == 1 ? "" : "s");
	if (warned)
		buf_addf(out, ", %zu warned", warned);
	if (passed + warned < n)
		buf_addf(out, ", %zu failed", n - passed - warned);
}

/* The needs that hold a waiting task up: the first few by name. */
static void add_waits(struct buf *out, const struct run_progress *p, int i)
{
	enum { NAMED = 3 };
	const struct task *task = progress_def(p, i);
	int n = 0;

	for (int k = 0; k < task->nneeds; k++) {
		const struct task_progress *need = &p->tasks[task->needs[k]];
		if (task_state_is_final(need->state) || n++ >= NAMED)
			continue;
		buf_addf(out, n == 1 ? "waits for %s" : ", %s", p->dag->tasks[task->needs[k]].name);
	}
	if (n > NAMED)
		buf_addf(out, " and %d more", n - NAMED);
}

static void add_culprit(struct buf *out, const struct run_progress *p, int i)
{
	const struct task *task = progress_def(p, i);

	for (int k = 0; k < task->nneeds; k++) {
		enum task_state s = p->tasks[task->needs[k]].state;
		if (s != TASK_FAILED && s != TASK_UPSTREAM_FAILED && s != TASK_SKIPPED &&
			s != TASK_CANCELLED)
			continue;
		buf_addf(out, "%s: %s", p->dag->tasks[task->needs[k]].name, task_state_name(s));
		return;
	}
	buf_addstr(out, reason_text(p->tasks[i].reason));
}

void progress_add_error(struct buf *out, const struct run_progress *p, int i)
{
	const struct task_progress *t = &p->tasks[i];
	char line[512], text[32];

	if (t->breaker) {
		buf_addf(out, "%s %s", reason_text(t->reason), t->breaker);
		return;
	}
	/* Its own words say it all: "exit status 3: no such table". */
	if (t->error && *t->error)
		buf_addstr(out, text_first_line(t->error, line, sizeof line));
	else if (t->outcome == OUTCOME_TIMEOUT)
		buf_addf(out, "timed out after %s",
			units_format_duration(progress_def(p, i)->timeout_us, text, sizeof text));
	else if (t->signal)
		buf_addf(out, "ended by signal %d (%s)", t->signal, strsignal(t->signal));
	else if (t->outcome == OUTCOME_FAILED && t->exit_status > 0)
		buf_addf(out, "exit status %d", t->exit_status);
	if (!out->len)
		buf_addstr(out, reason_text(t->reason));
}

static void add_retry(struct buf *out, const struct run_progress *p, int i)
{
	const struct task_progress *t = &p->tasks[i];
	int64_t left = t->due_us > p->now_us ? t->due_us - p->now_us : 0;
	int64_t step = left < US_PER_SECOND   ? US_PER_MS
		       : left < US_PER_MINUTE ? 100 * US_PER_MS
					      : US_PER_SECOND;
	char text[32];

	/* Up to what is shown: a wait of 10s that just began is not one of 9.9s. */
	left = (left + step - 1) / step * step;
	buf_addf(out, "next try in %s: ", units_format_elapsed(left, text, sizeof text));
	struct buf why;
	buf_init(&why, BUF_MAX_TEXT);
	progress_add_error(&why, p, i);
	buf_addstr(out, why.data);
	buf_release(&why);
}

/* "for the file in/a.csv, 1h59m at most" */
static void add_wait(struct buf *out, const struct run_progress *p, const struct task_progress *t)
{
	int64_t left = t->due_us - p->now_us;
	char text[32];

	if (t->state == TASK_DEFERRED)
		buf_addf(out, "for %s", t->waits_for ? t->waits_for : "what is not there yet");
	else
		buf_addf(out, "for a decision: %s",
			t->waits_for ? t->waits_for : "weir approvals shows it");
	if (t->due_us)
		buf_addf(out, ", %s at most",
			units_format_elapsed(left > 0 ? (left + US_PER_SECOND - 1) / US_PER_SECOND *
								US_PER_SECOND
						      : 0,
				text, sizeof text));
}

/* How its instances stand, and what they counted. */
static void add_instances(struct buf *out, const struct run_progress *p, int i)
{
	const struct task_progress *t = &p->tasks[i];
	const struct group_tally g = tally_of(t);
	char name[RUN_LABEL_MAX];
	int k = p->dag->ntasks;

	if (t->state == TASK_DEFERRED && t->nin[TASK_NONE] >= t->ninstances)
		buf_addf(out, "%d item%s", t->ninstances, t->ninstances == 1 ? "" : "s");
	else
		groupview_add_counts(out, &g);
	while (k < p->ntasks && (p->tasks[k].def != i || p->tasks[k].state != TASK_FAILED))
		k++;
	if (t->state == TASK_FAILED && k < p->ntasks)
		buf_addf(out, ": %s", progress_name(p, k, name));
	if (t->state != TASK_SUCCESS)
		return;
	struct buf rows;
	buf_init(&rows, BUF_MAX_TEXT);
	add_rows(&rows, t);
	buf_addf(out, "%s%s", rows.len ? ": " : "", rows.data);
	buf_release(&rows);
}

void progress_add_detail(struct buf *out, const struct run_progress *p, int i)
{
	const struct task_progress *t = &p->tasks[i];

	if (t->ninstances && groupview_is_mapping(t->state, t->reason)) {
		add_instances(out, p, i);
		return;
	}
	switch (t->state) {
	case TASK_NONE:
		if (t->selected)
			add_waits(out, p, i);
		break;
	case TASK_HELD:
	case TASK_FAILED:
	case TASK_CANCELLED:
		progress_add_error(out, p, i);
		break;
	case TASK_UPSTREAM_FAILED:
	case TASK_SKIPPED:
		if (t->breaker)
			progress_add_error(out, p, i);
		else if (t->reason == REASON_UPSTREAM_FAILED ||
			 t->reason == REASON_UPSTREAM_SKIPPED)
			add_culprit(out, p, i);
		else
			buf_addstr(out, reason_text(t->reason));
		break;
	case TASK_UP_FOR_RETRY:
		add_retry(out, p, i);
		break;
	case TASK_DEFERRED:
	case TASK_AWAITING_INPUT:
		add_wait(out, p, t);
		break;
	case TASK_QUEUED:
		buf_addstr(out, reason_text(t->reason));
		if (t->reason == REASON_POOL_FULL && progress_def(p, i)->pool)
			buf_addf(out, " %s", progress_def(p, i)->pool);
		break;
	case TASK_SUCCESS:
		add_rows(out, t);
		add_checks(out, t);
		if (t->kept && t->stale)
			buf_addf(out, "%sits definition changed since", out->len ? "; " : "");
		break;
	default:
		add_rows(out, t);
		break;
	}
}

/* ---- the run ------------------------------------------------------------------------- */

bool progress_counts(const struct run_progress *p, int i)
{
	const struct task_progress *t = &p->tasks[i];

	return t->selected || (t->kept && !p->partial);
}

void progress_count(const struct run_progress *p, int *ret_total, int *ret_done)
{
	*ret_total = *ret_done = 0;
	for (int i = 0; i < p->dag->ntasks; i++) {
		*ret_total += progress_counts(p, i);
		*ret_done += progress_counts(p, i) && task_state_is_final(p->tasks[i].state);
	}
}

void progress_count_work(const struct run_progress *p, int *ret_total, int *ret_done)
{
	*ret_total = *ret_done = 0;
	for (int i = 0; i < p->dag->ntasks; i++) {
		const struct task_progress *t = &p->tasks[i];
		bool over = task_state_is_final(t->state);
		if (!progress_counts(p, i))
			continue;
		*ret_total += t->ninstances ? t->ninstances : 1;
		if (!t->ninstances)
			*ret_done += over;
		for (int s = 0; t->ninstances && s < TASK_STATE_MAX; s++)
			*ret_done +=
				over || task_state_is_final((enum task_state)s) ? t->nin[s] : 0;
	}
}

bool progress_nothing_done(const struct run_progress *p)
{
	bool any = false;

	for (int i = 0; i < p->dag->ntasks; i++) {
		if (p->tasks[i].selected && !p->tasks[i].kept)
			return false;
		any |= p->tasks[i].kept;
	}
	return any;
}

enum { STALE_SHOWN = 3 };

void progress_add_stale(struct buf *out, const struct run_progress *p)
{
	const char *first = NULL;
	int n = 0;

	for (int i = 0; i < p->dag->ntasks; i++) {
		const struct task_progress *t = &p->tasks[i];
		if (!t->kept || !t->stale || !progress_counts(p, i))
			continue;
		if (!first)
			first = p->dag->tasks[i].name;
		if (n < STALE_SHOWN) {
			buf_addstr(out, n ? ", " : "");
			text_add(out, p->dag->tasks[i].name, -1);
		}
		n++;
	}
	if (n > STALE_SHOWN)
		buf_addf(out, " and %d more", n - STALE_SHOWN);
	if (n == 1)
		buf_addf(out, " is kept though its definition changed; --from %s does it again",
			first);
	else if (n > 1)
		buf_addstr(out, " are kept though their definitions changed; --from TASK does one "
				"again, and all that follows it");
}
