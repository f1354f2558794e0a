/* The tasks of a run, as weir show tells of them. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/near.h"
#include "base/units.h"
#include "cli/grid.h"
#include "cli/groupview.h"
#include "cli/home.h"
#include "cli/runview.h"
#include "cli/show_impl.h"
#include "cli/when.h"
#include "core/breaker.h"
#include "core/model.h"
#include "core/state.h"
#include "run/name.h"

static int by_token(const void *token, const void *attempt)
{
	int64_t a = *(const int64_t *)token, b = ((const struct attempt_row *)attempt)->token;

	return (a > b) - (a < b);
}

const struct attempt_row *show_attempt(const struct show_view *v, int64_t token)
{
	return token && v->attempts.n ? bsearch(&token, v->attempts.attempts, v->attempts.n,
						sizeof *v->attempts.attempts, by_token)
				      : NULL;
}

/* ---- tasks --------------------------------------------------------------------------- */

/* Counts that operators report. */
enum { ROWS_KINDS = 4 };
static const struct {
	const char *key, *name;
} rows_kinds[ROWS_KINDS] = { { "rows_in", "in" }, { "rows_out", "out" },
	{ "rows_rejected", "rejected" }, { "rows", "rows" } };
struct rows {
	json_int_t n[ROWS_KINDS];
	bool known[ROWS_KINDS];
};

static void rows_add(struct rows *r, const char *text)
{
	json_t *outputs = text ? json_loads(text, 0, NULL) : NULL;

	for (size_t i = 0; i < ROWS_KINDS; i++) {
		const json_t *n = json_object_get(outputs, rows_kinds[i].key);
		r->n[i] += json_integer_value(n);
		r->known[i] |= json_is_integer(n);
	}
	json_decref(outputs);
}

static void add_rows_cell(struct grid *g, const struct rows *r)
{
	char text[160] = "", n[32];

	for (size_t i = 0; i < ROWS_KINDS; i++) {
		size_t used = strlen(text);
		if (!r->known[i] || (i >= 2 && r->n[i] == 0) || (i == 3 && used))
			continue;
		snprintf(text + used, sizeof text - used, "%s%s %s", used ? ", " : "",
			units_format_count(r->n[i], n, sizeof n), rows_kinds[i].name);
	}
	grid_add(g, STYLE_NONE, text);
}

/* The pool a task takes slots of, by the run's version of the DAG; NULL: none, or unknown. */
static const char *pool_of(struct show_view *v, const char *task)
{
	const struct dag *dag = show_dag_of(v);
	const struct task *t = dag ? dag_find(dag, task) : NULL;

	return t ? t->pool : NULL;
}

/* The breaker that stopped a task, as the events of its run tell; owned, NULL: none. */
/* The newest detail that the events of a task's reason tell; owned, NULL: none. */
static char *detail_of(const struct show_view *v, const struct task_row *t)
{
	struct store_result events;
	char *detail = NULL;

	if (store_events(v->store, v->r->id, t->name, &events, NULL) < 0)
		return NULL;
	for (size_t i = events.n; i-- > 0 && !detail;) {
		const struct event_row *e = &events.events[i];
		if (e->map_index == t->map_index && e->detail &&
			strcmp(e->reason, reason_name(t->reason)) == 0)
			detail = strdup(e->detail);
	}
	store_result_release(&events);
	return detail;
}

char *show_breaker_of(const struct show_view *v, const struct task_row *t)
{
	return t->reason == REASON_BREAKER_OPEN ? detail_of(v, t) : NULL;
}

/* How it stands. */
static void add_breaker_state(struct show_view *v, struct buf *out, const char *name)
{
	struct store_result rows = { .n = 0 };
	char when[WHEN_SIZE];
	int64_t now_us = clock_now_us();
	struct breaker b;

	if (store_breakers(v->store, name, &rows, NULL) == 0 && rows.n &&
		breaker_parse(rows.breakers[0].text, &b) && b.state != BREAKER_CLOSED) {
		bool open = b.state == BREAKER_OPEN;
		buf_addf(out, ": %s since %s", open ? "open" : "half-open",
			when_ago(b.since_us, now_us, when));
		if (open && b.until_us < INT64_MAX)
			buf_addf(out, ", next probe %s", when_ago(b.until_us, now_us, when));
		else
			buf_addstr(out, open ? ", until it is closed" : ", a probe runs");
	}
	store_result_release(&rows);
}

static void add_breaker_cell(struct show_view *v, struct grid *g, const struct task_row *t)
{
	char *name = show_breaker_of(v, t);
	struct buf text;

	buf_init(&text, 1024);
	buf_addstr(&text, reason_text(t->reason));
	if (name)
		buf_addf(&text, " %s", name);
	if (name && t->state == TASK_HELD)
		add_breaker_state(v, &text, name);
	grid_add(g, STYLE_NONE, text.data);
	buf_release(&text);
	free(name);
}

/* What it waits for, since when and until when. */
static void add_wait_cell(struct grid *g, const struct task_row *t)
{
	const char *what = t->waits_for ? t->waits_for : "what is not there yet";
	char since[WHEN_SIZE], until[WHEN_SIZE], text[160];

	snprintf(text, sizeof text, " (since %s%s%s)",
		when_ago(t->changed_us, clock_now_us(), since), t->due_us ? ", until " : "",
		t->due_us ? when_local(t->due_us, until) : "");
	grid_addf(g, STYLE_NONE, "waits for %s%s%s%s%s",
		t->state == TASK_AWAITING_INPUT ? "a decision: " : "", what, text,
		t->looked ? "; the last look: " : "", t->looked ? t->looked : "");
}

static void add_why_cell(
	struct show_view *v, struct grid *g, const struct task_row *t, const struct attempt_row *a)
{
	char first[600], when[WHEN_SIZE];
	bool plain = t->state == TASK_SUCCESS || t->state == TASK_NONE || t->state == TASK_RUNNING;

	if (t->state == TASK_UP_FOR_RETRY) {
		grid_addf(g, STYLE_NONE, "next try %s: %s",
			when_ago(t->due_us, clock_now_us(), when),
			a && a->error ? text_first_line(a->error, first, sizeof first)
				      : reason_text(t->reason));
		return;
	}
	if (plain) {
		grid_add(g, STYLE_NONE, "");
		return;
	}
	if (t->reason == REASON_BREAKER_OPEN) {
		add_breaker_cell(v, g, t);
		return;
	}
	if (t->reason == REASON_LIST_FAILED) {
		char *detail = detail_of(v, t);
		grid_add(g, STYLE_NONE,
			detail ? text_first_line(detail, first, sizeof first)
			       : reason_text(t->reason));
		free(detail);
		return;
	}
	if (task_state_waits(t->state)) {
		add_wait_cell(g, t);
		return;
	}
	if (t->reason == REASON_WAIT_TIMED_OUT && t->looked) {
		grid_addf(
			g, STYLE_NONE, "%s; the last look: %s", reason_text(t->reason), t->looked);
		return;
	}
	const char *pool = t->reason == REASON_POOL_FULL ? pool_of(v, t->name) : NULL;
	if (pool) {
		grid_addf(g, STYLE_NONE, "%s %s", reason_text(t->reason), pool);
		return;
	}
	if (a && a->error && t->state == TASK_FAILED)
		grid_addf(g, STYLE_NONE, "%s (%s)", text_first_line(a->error, first, sizeof first),
			t->reason == REASON_RETRIES_SPENT && t->failures == 1
				? "no retries are set"
				: reason_text(t->reason));
	else
		grid_add(g, STYLE_NONE, reason_text(t->reason));
}

static const struct grid_column task_columns[] = {
	{ "STATE", 0 },
	{ "TASK", GRID_FLEX },
	{ "ITEM", GRID_FLEX },
	{ "TRIES", GRID_RIGHT },
	{ "TOOK", GRID_RIGHT },
	{ "ROWS", 0 },
	{ "WHY", GRID_FLEX },
};

/* What an instance works on: a text as it is, all else as JSON. */
static void add_item_cell(struct grid *g, const struct task_row *t)
{
	json_t *item = cli_json_of_text(t->item);
	const char *text = json_string_value(item);

	grid_add(g, STYLE_NONE, text ? text : t->item ? t->item : "");
	json_decref(item);
}

static void add_task(struct show_view *v, struct grid *g, const struct task_row *t)
{
	const struct attempt_row *a = show_attempt(v, t->token);
	char name[RUN_LABEL_MAX], took[32];
	struct rows rows = { 0 };
	int64_t us = -1;

	rows_add(&rows, t->outputs);
	if (a && a->started_us)
		us = (a->ended_us ? a->ended_us : clock_now_us()) - a->started_us;
	grid_add(g, runview_task_style(t->state), task_state_name(t->state));
	grid_add(g, STYLE_NONE, run_task_label(t->name, t->map_index, name));
	add_item_cell(g, t);
	grid_addf(g, STYLE_NONE, "%d", t->tries);
	grid_add(g, STYLE_NONE, runview_took(us, took, sizeof took));
	add_rows_cell(g, &rows);
	add_why_cell(v, g, t, a);
}

/* Several rows as one line: from the first start to the last end, and how many are in which
 * state. */
struct span {
	struct group_tally tally;
	int64_t from_us, until_us;
	int tries;
	struct rows rows; /* of instances */
};

static void span_add(struct show_view *v, struct span *s, const struct task_row *t)
{
	const struct attempt_row *a = show_attempt(v, t->token);

	s->tries += t->tries;
	if (!a || !a->started_us)
		return;
	int64_t end = a->ended_us ? a->ended_us : clock_now_us();
	s->from_us = !s->until_us || a->started_us < s->from_us ? a->started_us : s->from_us;
	s->until_us = end > s->until_us ? end : s->until_us;
}

static void add_span(
	struct grid *g, const struct span *s, enum task_state state, const struct task_row *whole)
{
	struct buf counts;
	char took[32];

	buf_init(&counts, BUF_MAX_TEXT);
	groupview_add_counts(&counts, &s->tally);
	grid_add(g, STYLE_NONE, "");
	grid_addf(g, STYLE_NONE, "%d", s->tries);
	grid_add(g, STYLE_NONE,
		runview_took(s->until_us ? s->until_us - s->from_us : -1, took, sizeof took));
	add_rows_cell(g, &s->rows);
	bool told = whole && state == TASK_CANCELLED;
	grid_addf(g, STYLE_NONE, "%s%s%s", told ? reason_text(whole->reason) : "", told ? ": " : "",
		counts.data);
	buf_release(&counts);
}

/* The group that begins with this task. */
static void add_group(struct show_view *v, struct grid *g, size_t first)
{
	const struct task_row *rows = v->tasks.tasks;
	struct span span = { 0 };

	for (size_t i = first; i < v->tasks.n; i++)
		if (groupview_same(rows[i].name, rows[first].name)) {
			span_add(v, &span, &rows[i]);
			if (rows[i].map_index < 0)
				groupview_count(&span.tally, rows[i].state);
		}
	enum task_state state = groupview_state(&span.tally);
	grid_add(g, runview_task_style(state), task_state_name(state));
	grid_addf(g, STYLE_NONE, "%.*s (%d)", (int)groupview_prefix(rows[first].name),
		rows[first].name, span.tally.n);
	add_span(g, &span, state, NULL);
}

/* Was a task of its group before it? */
static bool is_shown(const struct show_view *v, size_t at)
{
	for (size_t i = at; i-- > 0;)
		if (groupview_same(v->tasks.tasks[i].name, v->tasks.tasks[at].name))
			return true;
	return false;
}

/* ---- mapped tasks --------------------------------------------------------------------- */

enum { INSTANCES_SHOWN = 5 };

static bool is_bad(const struct task_row *t)
{
	return t->state == TASK_FAILED || t->state == TASK_UP_FOR_RETRY;
}

/* A mapped task, whose `n` instances stand behind it. While they are done, it stands as they do. */
static void add_mapping(struct show_view *v, struct grid *g, size_t at, size_t n)
{
	const struct task_row *whole = &v->tasks.tasks[at];
	struct span span = { 0 };

	/* Those of a former, longer list do not count. */
	for (size_t i = 1; i <= n; i++) {
		if (whole[i].reason == REASON_ITEM_GONE)
			continue;
		span_add(v, &span, &whole[i]);
		groupview_count(&span.tally, whole[i].state);
		rows_add(&span.rows, whole[i].outputs);
	}
	enum task_state state =
		task_state_waits(whole->state) ? groupview_state(&span.tally) : whole->state;
	grid_add(g, runview_task_style(state), task_state_name(state));
	grid_addf(g, STYLE_NONE, "%s (%d)", whole->name, span.tally.n);
	add_span(g, &span, state, whole);
}

/* The first of the instances that failed or are tried again. */
static void add_bad(struct show_view *v, struct grid *g, size_t at, size_t n)
{
	const struct task_row *whole = &v->tasks.tasks[at];
	size_t bad = 0;

	for (size_t i = 1; i <= n; i++)
		if (is_bad(&whole[i]) && bad++ < INSTANCES_SHOWN)
			add_task(v, g, &whole[i]);
	if (bad <= INSTANCES_SHOWN)
		return;
	grid_add(g, STYLE_NONE, "");
	grid_addf(g, STYLE_NONE, "... %zu more", bad - INSTANCES_SHOWN);
	for (int i = 0; i < 4; i++)
		grid_add(g, STYLE_NONE, "");
	grid_addf(g, STYLE_NONE, "weir show %s %s lists them all", v->r->name, whole->name);
}

/* ---- the table ------------------------------------------------------------------------ */

static size_t count_instances(const struct show_view *v, size_t at)
{
	const struct task_row *rows = v->tasks.tasks;
	size_t n = 0;

	while (at + n + 1 < v->tasks.n && rows[at + n + 1].map_index >= 0 &&
		strcmp(rows[at + n + 1].name, rows[at].name) == 0)
		n++;
	return n;
}

/* The task and those of its group, or, of "fetch[3]", that one. */
bool show_is_asked_for(const struct show_view *v, const struct task_row *t)
{
	const char *word = args_operand(v->args, 1);
	size_t len;
	int map_index;

	if (!word)
		return true;
	if (!run_split_label(word, &len, &map_index) || strncmp(t->name, word, len) != 0)
		return false;
	if (t->name[len])
		return t->name[len] == '.' && map_index < 0;
	return map_index < 0 || map_index == t->map_index;
}

/* A mapped task by how its instances stand, any other by itself. */
static void add_whole(struct show_view *v, struct grid *g, size_t at, size_t n)
{
	const struct task_row *t = &v->tasks.tasks[at];

	if (n && groupview_is_mapping(t->state, t->reason))
		add_mapping(v, g, at, n);
	else
		add_task(v, g, t);
}

static int add_asked_for(struct show_view *v, struct grid *g)
{
	int found = 0;

	for (size_t i = 0; i < v->tasks.n; i++)
		if (show_is_asked_for(v, &v->tasks.tasks[i])) {
			bool whole = v->tasks.tasks[i].map_index < 0;
			add_whole(v, g, i, whole ? count_instances(v, i) : 0);
			found++;
		}
	return found;
}

/* What failed is shown beside its group, too. */
static void add_all(struct show_view *v, struct grid *g)
{
	bool expand = args_has(v->args, "expand");
	size_t n;

	for (size_t i = 0; i < v->tasks.n; i += n + 1) {
		const struct task_row *t = &v->tasks.tasks[i];
		bool grouped = !expand && groupview_prefix(t->name) > 0;
		n = count_instances(v, i);
		if (grouped && !is_shown(v, i))
			add_group(v, g, i);
		if (!grouped || is_bad(t))
			add_whole(v, g, i, n);
		if (!expand)
			add_bad(v, g, i, n);
		for (size_t k = 1; expand && k <= n; k++)
			add_task(v, g, &t[k]);
	}
}

int show_say_unknown(const struct show_view *v, const char *word)
{
	const char **names = calloc(v->tasks.n + 1, sizeof *names);
	size_t n = 0;

	for (size_t i = 0; names && i < v->tasks.n; i++)
		if (v->tasks.tasks[i].map_index < 0)
			names[n++] = v->tasks.tasks[i].name;
	const char *near = names ? near_find(word, names, n) : NULL;
	err_set(v->err, ERR_NOT_FOUND, "%s has no task \"%s\"%s%s%s", v->r->name, word,
		near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	free(names);
	return -1;
}

int show_tasks(struct show_view *v)
{
	const char *word = args_operand(v->args, 1);
	struct grid g;
	int rc = 0;

	grid_init(&g, task_columns, sizeof task_columns / sizeof *task_columns);
	if (!word)
		add_all(v, &g);
	else if (!add_asked_for(v, &g))
		rc = show_say_unknown(v, word);
	if (!word)
		buf_addc(&v->out, '\n');
	if (rc == 0)
		grid_print(&g, &v->term, word ? 0 : 2, &v->out);
	grid_release(&g);
	return rc;
}
