/* The end of a run, in words: the same on a terminal and in a pipe. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/units.h"
#include "cli/json.h"
#include "cli/progress_impl.h"
#include "cli/when.h"

struct summary {
	struct buf *out;
	const struct run_progress *p;
	bool colour;
};

static void styled(const struct summary *s, enum style style, const char *text)
{
	buf_addf(s->out, "%s%s%s", style_on(style, s->colour), text, style_off(style, s->colour));
}

static void heading(const struct summary *s, const char *text)
{
	styled(s, STYLE_BOLD, text);
	buf_addc(s->out, '\n');
}

/* Text from files and tasks, made harmless. */
static void clean(const struct summary *s, const char *text)
{
	text_add(s->out, text, -1);
}

/* With instances. */
static int ntasks(const struct run_progress *p)
{
	return p->ntasks > p->dag->ntasks ? p->ntasks : p->dag->ntasks;
}

static void nothing_done(const struct summary *s)
{
	const struct run_progress *p = s->p;
	int64_t last = 0;
	int n = 0;
	char when[WHEN_SIZE];

	for (int i = 0; i < p->dag->ntasks; i++) {
		n += p->tasks[i].kept;
		if (p->tasks[i].kept && p->tasks[i].ended_us > last)
			last = p->tasks[i].ended_us;
	}
	buf_addf(s->out,
		n == 1 ? "nothing to do: the task was done"
		       : "nothing to do: all %d tasks were done",
		n);
	if (last)
		buf_addf(s->out, " on %s", when_local(last, when));
	buf_addstr(s->out, n == 1 ? "; --force runs it again\n" : "; --force runs them again\n");
	struct buf stale;
	buf_init(&stale, BUF_MAX_TEXT);
	progress_add_stale(&stale, p);
	if (stale.len)
		buf_addf(s->out, "note: %s\n", stale.data);
	buf_release(&stale);
}

/* Of a part of a run: how that part went. The run's own state is older than it. */
static enum run_state shown_state(const struct run_progress *p)
{
	enum run_state ret = RUN_SUCCESS;

	if (!p->partial || !run_state_is_final(p->state))
		return p->state;
	for (int i = 0; i < p->dag->ntasks; i++) {
		if (!progress_counts(p, i))
			continue;
		if (p->tasks[i].state == TASK_FAILED || p->tasks[i].state == TASK_UPSTREAM_FAILED)
			return RUN_FAILED;
		if (p->tasks[i].state == TASK_CANCELLED)
			ret = RUN_CANCELLED;
	}
	return ret;
}

static void headline(const struct summary *s)
{
	const struct run_progress *p = s->p;
	enum run_state state = shown_state(p);
	int64_t took = p->now_us > p->started_us ? p->now_us - p->started_us : 0;
	int total, done, success = 0, kept = 0, left = 0;
	char elapsed[32];

	progress_count(p, &total, &done);
	for (int i = 0; i < p->dag->ntasks; i++) {
		success += progress_counts(p, i) && p->tasks[i].state == TASK_SUCCESS;
		kept += progress_counts(p, i) && p->tasks[i].kept;
	}
	left = p->dag->ntasks - total;
	clean(s, p->run);
	buf_addstr(s->out, ": ");
	styled(s,
		state == RUN_SUCCESS  ? STYLE_GOOD
		: state == RUN_FAILED ? STYLE_BAD
				      : STYLE_WARN,
		run_state_name(state));
	buf_addf(s->out, " after %s: %d of %d task%s succeeded",
		units_format_elapsed(took, elapsed, sizeof elapsed), success, total,
		total == 1 ? "" : "s");
	if (kept)
		buf_addf(s->out, ", %d of them before", kept);
	if (left > 0)
		buf_addf(s->out, ", %d left out", left);
	buf_addc(s->out, '\n');
}

/* ---- checks -------------------------------------------------------------------------- */

/* A JSON value as text: a string as it is, all else as JSON. */
static void add_value(const struct summary *s, const json_t *v)
{
	char text[512];

	if (json_is_string(v)) {
		clean(s, json_string_value(v));
		return;
	}
	size_t n = json_dumpb(v, text, sizeof text - 1, JSON_COMPACT | JSON_ENCODE_ANY);
	text[n < sizeof text ? n : sizeof text - 1] = '\0';
	if (n >= sizeof text)
		memcpy(text + sizeof text - 4, "...", 4);
	clean(s, text);
}

static void add_check(const struct summary *s, const char *task, const json_t *check)
{
	const char *name = json_string_value(json_object_get(check, "name"));
	const char *status = json_string_value(json_object_get(check, "status"));
	const json_t *observed = json_object_get(check, "observed");
	const json_t *expected = json_object_get(check, "expected");
	const json_t *sample = json_object_get(check, "sample");

	buf_addstr(s->out, "  ");
	styled(s, strcmp(status, "warn") == 0 ? STYLE_WARN : STYLE_BAD, status);
	buf_addstr(s->out, "  ");
	clean(s, task);
	buf_addstr(s->out, "  ");
	clean(s, name ? name : "");
	if (observed && !json_is_null(observed)) {
		buf_addstr(s->out, ": observed ");
		add_value(s, observed);
	}
	if (expected && !json_is_null(expected)) {
		buf_addstr(s->out, ", expected ");
		add_value(s, expected);
	}
	if (json_array_size(sample)) {
		buf_addstr(s->out, "; such as ");
		add_value(s, json_array_get(sample, 0));
	}
	buf_addc(s->out, '\n');
}

static void checks(const struct summary *s)
{
	char name[RUN_LABEL_MAX];
	bool any = false;

	for (int i = 0; i < ntasks(s->p); i++) {
		const struct task_progress *t = &s->p->tasks[i];
		for (size_t k = 0; k < json_array_size(t->checks); k++) {
			const json_t *c = json_array_get(t->checks, k);
			const char *status = json_string_value(json_object_get(c, "status"));
			if (!status || strcmp(status, "pass") == 0)
				continue;
			if (!any)
				heading(s, "checks");
			any = true;
			add_check(s, progress_name(s->p, i, name), c);
		}
	}
}

/* ---- what came of it ----------------------------------------------------------------- */

static const char *output_text(const struct task_progress *t, const char *key)
{
	return json_string_value(json_object_get(t->outputs, key));
}

/* A file's path is relative to the DAG's folder, and who reads it stands elsewhere. A table's name
 * is left alone. */
static void add_place(const struct summary *s, const char *where)
{
	const char *dir = s->p->dag->dir;
	char *path = dir ? io_path_join(dir, where) : NULL;

	clean(s, path && access(path, F_OK) == 0 ? path : where);
	free(path);
}

static void quarantine(const struct summary *s)
{
	char name[RUN_LABEL_MAX];
	bool any = false;

	for (int i = 0; i < ntasks(s->p); i++) {
		const struct task_progress *t = &s->p->tasks[i];
		json_int_t n = json_integer_value(json_object_get(t->outputs, "rows_rejected"));
		const char *where = output_text(t, "quarantine");
		char count[32];
		if (n <= 0)
			continue;
		if (!any)
			heading(s, "quarantine");
		any = true;
		buf_addstr(s->out, "  ");
		clean(s, progress_name(s->p, i, name));
		buf_addf(s->out, "  %s row%s rejected", units_format_count(n, count, sizeof count),
			n == 1 ? "" : "s");
		if (where) {
			buf_addstr(s->out, ", kept in ");
			add_place(s, where);
		}
		buf_addc(s->out, '\n');
	}
}

static void published(const struct summary *s)
{
	char name[RUN_LABEL_MAX];
	bool any = false;

	for (int i = 0; i < ntasks(s->p); i++) {
		const struct task_progress *t = &s->p->tasks[i];
		const char *where = output_text(t, "path");
		if (!where)
			where = output_text(t, "table");
		if (progress_def(s->p, i)->kind != TASK_PUBLISH || t->state != TASK_SUCCESS ||
			t->kept || !where)
			continue;
		if (!any)
			heading(s, "published");
		any = true;
		buf_addstr(s->out, "  ");
		clean(s, progress_name(s->p, i, name));
		buf_addstr(s->out, "  ");
		clean(s, where);
		buf_addc(s->out, '\n');
	}
}

/* ---- failures, and what to do -------------------------------------------------------- */

enum { FAILURES_SHOWN = 10 };

static void failure(const struct summary *s, int i)
{
	const struct task_progress *t = &s->p->tasks[i];
	char name[RUN_LABEL_MAX];
	struct buf why;

	buf_init(&why, BUF_MAX_TEXT);
	progress_add_error(&why, s->p, i);
	buf_addstr(s->out, "  ");
	clean(s, progress_name(s->p, i, name));
	buf_addstr(s->out, "  ");
	clean(s, why.data);
	if (t->try > 0) {
		buf_addstr(s->out, " (");
		progress_add_try(s->out, t);
		buf_addc(s->out, ')');
	}
	buf_addc(s->out, '\n');
	if (t->log_path) {
		buf_addstr(s->out, "    log: ");
		clean(s, t->log_path);
		buf_addc(s->out, '\n');
	}
	buf_release(&why);
}

/* Of a mapped task, the instances that did; where it was marked as done, none. */
static bool failed(const struct summary *s, int i)
{
	const struct task_progress *t = &s->p->tasks[i];
	int whole = i < s->p->dag->ntasks ? i : t->def;
	enum task_state state = s->p->tasks[whole].state;

	return t->state == TASK_FAILED && state != TASK_SUCCESS && state != TASK_SKIPPED &&
	       progress_counts(s->p, whole) && t->nin[TASK_FAILED] == 0;
}

static int failures(const struct summary *s)
{
	int n = 0;

	for (int i = 0; i < ntasks(s->p); i++) {
		if (!failed(s, i) || n++ >= FAILURES_SHOWN)
			continue;
		if (n == 1)
			heading(s, "failed");
		failure(s, i);
	}
	if (n > FAILURES_SHOWN)
		buf_addf(s->out, "  and %d more\n", n - FAILURES_SHOWN);
	return n;
}

static void next_steps(const struct summary *s)
{
	char run[300], word[512], when[WHEN_SIZE];
	int shown = 0;

	cli_shell_word(s->p->run, run, sizeof run);
	heading(s, "next");
	for (int i = 0; i < ntasks(s->p) && shown < 3; i++) {
		char name[RUN_LABEL_MAX];
		if (!failed(s, i) || !s->p->tasks[i].try)
			continue;
		buf_addf(s->out, "  weir logs %s %s\n", run,
			cli_shell_word(progress_name(s->p, i, name), word, sizeof word));
		shown++;
	}
	if (s->p->dag->runbook)
		buf_addf(s->out, "  less %s    # the runbook\n",
			cli_shell_word(s->p->dag->runbook, word, sizeof word));
	buf_addf(s->out, "  weir show %s\n", run);
	buf_addf(s->out, "  weir run %s", cli_shell_word(s->p->dag->path, word, sizeof word));
	buf_addf(s->out, " --date %s    # keeps what is done\n",
		when_interval(s->p->run, s->p->ds, s->p->interval_start_us, when));
}

void progress_add_summary(struct buf *out, const struct run_progress *p, bool colour)
{
	struct summary s = { out, p, colour };

	if (progress_nothing_done(p)) {
		nothing_done(&s);
		return;
	}
	headline(&s);
	checks(&s);
	quarantine(&s);
	published(&s);
	if (failures(&s) || (p->state != RUN_SUCCESS && !p->partial))
		next_steps(&s);
}
