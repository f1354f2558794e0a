#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/node.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/grid.h"
#include "cli/groupview.h"
#include "cli/home.h"
#include "cli/runview.h"
#include "cli/slaview.h"
#include "cli/term.h"
#include "cli/when.h"
#include "conf/bundle.h"
#include "conf/dagfile.h"
#include "conf/diag.h"
#include "conf/yaml.h"
#include "core/breaker.h"
#include "core/state.h"

/* All that the store knows of one run. */
struct view {
	const struct args *args;
	struct store *store;
	struct store_result run, tasks, attempts, checks, audits, events;
	const struct run_row *r;
	struct dag *dag; /* of the run's version, when it is needed */
	bool dag_read;
	struct term term;
	struct buf out;
	struct err *err;
};

static int view_open(struct view *v, const struct args *args, struct err *err)
{
	*v = (struct view){ .args = args, .err = err };
	buf_init(&v->out, 256u << 20);
	term_init(&v->term, stdout, args);
	if (cli_store_open(args, &v->store, err) < 0 ||
		store_run_find(v->store, args_operand(args, 0), &v->run, err) < 0)
		return -1;
	v->r = &v->run.runs[0];
	if (store_tasks(v->store, v->r->id, &v->tasks, err) < 0 ||
		store_attempts(v->store, v->r->id, NULL, &v->attempts, err) < 0 ||
		store_checks(v->store, v->r->id, NULL, &v->checks, err) < 0 ||
		store_audits(v->store, v->r->id, &v->audits, err) < 0)
		return -1;
	if (args_has(args, "events"))
		return store_events(v->store, v->r->id, NULL, &v->events, err);
	return 0;
}

static void release(struct store_result *r)
{
	if (r->runs)
		store_result_release(r);
}

static void view_close(struct view *v)
{
	dag_unref(v->dag);
	release(&v->events);
	release(&v->audits);
	release(&v->checks);
	release(&v->attempts);
	release(&v->tasks);
	release(&v->run);
	store_close(v->store);
	buf_release(&v->out);
}

/* The attempt the task's state comes from; NULL: it had none. */
static const struct attempt_row *last_attempt(const struct view *v, const struct task_row *t)
{
	for (size_t i = v->attempts.n; i-- > 0;)
		if (v->attempts.attempts[i].token == t->token)
			return &v->attempts.attempts[i];
	return NULL;
}

/* ---- head ---------------------------------------------------------------------------- */

static void line(struct view *v, const char *name, const char *text)
{
	if (!text || !*text)
		return;
	buf_addf(&v->out, "  %s%-10s%s", style_on(STYLE_DIM, v->term.colour), name,
		style_off(STYLE_DIM, v->term.colour));
	text_add(&v->out, text, -1);
	buf_addc(&v->out, '\n');
}

static void params_line(struct view *v)
{
	json_t *params = cli_json_of_text(v->r->params), *value;
	const char *key;
	struct buf b;

	buf_init(&b, BUF_MAX_TEXT);
	json_object_foreach(params, key, value)
	{
		char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
		buf_addf(&b, "%s%s=%s", b.len ? " " : "", key,
			text ? text : json_string_value(value));
		free(text);
	}
	line(v, "params", b.data);
	buf_release(&b);
	json_decref(params);
}

/* What the DAG's own text says of it: owner and runbook. */
static void dag_lines(struct view *v)
{
	struct yaml_doc doc;
	struct bundle_part part;
	struct diags diags;
	char *text = NULL;
	size_t at = 0;

	if (!v->r->version || store_version_text(v->store, v->r->version, &text, NULL) < 0)
		return;
	diags_init(&diags);
	if (bundle_next(text, &at, &part) &&
		yaml_parse(&doc, v->r->dag_path, part.text, part.len, &diags) == 0) {
		line(v, "owner", node_text(node_get(doc.root, "owner")));
		line(v, "runbook", node_text(node_get(doc.root, "runbook")));
		yaml_release(&doc);
	}
	diags_release(&diags);
	free(text);
}

static void process_line(struct view *v)
{
	char text[160];

	if (v->r->owner.pid == 0)
		return;
	snprintf(text, sizeof text, "%lld on %s%s", (long long)v->r->owner.pid, v->r->owner.host,
		owner_is_dead(&v->r->owner) ? " (gone)" : "");
	line(v, "process", text);
}

/* The version the run has; NULL: it is not known, or cannot be loaded any more. */
static const struct dag *dag_of(struct view *v)
{
	const struct dagfile_env env = { .operators = cli_operators() };
	struct diags diags;
	char *text = NULL;

	if (!v->dag_read && v->r->version && v->r->dag_path && v->r->dag_dir &&
		store_version_text(v->store, v->r->version, &text, NULL) == 0) {
		diags_init(&diags);
		v->dag = dagfile_load_text(v->r->dag_path, v->r->dag_dir, text, &env, &diags);
		diags_release(&diags);
		free(text);
	}
	v->dag_read = true;
	return v->dag;
}

/* INT64_MAX: no SLA says. */
static int64_t deadline_us(struct view *v)
{
	const struct dag *dag = dag_of(v);

	return dag ? slaview_deadline_us(dag, v->r->interval_start_us, v->r->interval_end_us)
		   : INT64_MAX;
}

static void deadline_line(struct view *v)
{
	int64_t at = deadline_us(v);
	char when[WHEN_SIZE];
	struct buf text;

	if (at == INT64_MAX)
		return;
	buf_init(&text, 256);
	runview_add_zoned(&text, v->r->zone, at);
	if (v->r->state != RUN_SUCCESS)
		buf_addf(&text, " (%s)", when_ago(at, clock_now_us(), when));
	else
		buf_addstr(&text, v->r->ended_us <= at ? " (met)" : " (missed)");
	line(v, "deadline", text.data);
	buf_release(&text);
}

static void interval_line(struct view *v)
{
	struct buf text;

	buf_init(&text, BUF_MAX_TEXT);
	runview_add_zoned(&text, v->r->zone, v->r->interval_start_us);
	buf_addstr(&text, " to ");
	runview_add_zoned(&text, v->r->zone, v->r->interval_end_us);
	if (v->r->zone && *v->r->zone)
		buf_addf(&text, ", in %s", v->r->zone);
	if (v->r->interval_end_us > clock_now_us())
		buf_addstr(&text, "; it has not ended");
	line(v, "interval", text.data);
	buf_release(&text);
}

static void started_line(struct view *v)
{
	int64_t took = runview_took_us(v->r, clock_now_us());
	char when[WHEN_SIZE], ago[WHEN_SIZE], t[32], text[160];

	if (!v->r->started_us)
		return;
	snprintf(text, sizeof text, "%s (%s)%s%s", when_local(v->r->started_us, when),
		when_ago(v->r->started_us, clock_now_us(), ago), took >= 0 ? ", took " : "",
		runview_took(took, t, sizeof t));
	line(v, "started", text);
}

static void head(struct view *v)
{
	const struct run_row *r = v->r;
	enum style style = runview_style(r);
	char text[600];

	buf_addstr(&v->out, style_on(STYLE_BOLD, v->term.colour));
	text_add(&v->out, r->name, -1);
	buf_addf(&v->out, "%s  %s%s%s", style_off(STYLE_BOLD, v->term.colour),
		style_on(style, v->term.colour), runview_state(r),
		style_off(style, v->term.colour));
	const char *why = reason_text(r->reason);

	if (runview_abandoned(r))
		why = r->wanted ? "its daemon is gone; the next one goes on"
				: "its process is gone";
	if (*why && r->state != RUN_SUCCESS)
		buf_addf(&v->out, ": %s", why);
	buf_addc(&v->out, '\n');
	snprintf(text, sizeof text, "%s%s%.12s", r->dag_path ? r->dag_path : r->dag,
		r->version ? ", version " : "", r->version ? r->version : "");
	line(v, "DAG", text);
	dag_lines(v);
	interval_line(v);
	deadline_line(v);
	started_line(v);
	line(v, "trigger", r->trigger);
	params_line(v);
	process_line(v);
}

/* ---- tasks --------------------------------------------------------------------------- */

static void add_rows_cell(struct grid *g, const struct task_row *t)
{
	static const struct {
		const char *key, *name;
	} rows[] = { { "rows_in", "in" }, { "rows_out", "out" }, { "rows_rejected", "rejected" },
		{ "rows", "rows" } };
	json_t *outputs = cli_json_of_text(t->outputs);
	char text[160] = "", n[32];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const json_t *v = json_object_get(outputs, rows[i].key);
		size_t used = strlen(text);
		if (!json_is_integer(v) || (i >= 2 && json_integer_value(v) == 0) ||
			(i == 3 && used))
			continue;
		snprintf(text + used, sizeof text - used, "%s%s %s", used ? ", " : "",
			units_format_count(json_integer_value(v), n, sizeof n), rows[i].name);
	}
	grid_add(g, STYLE_NONE, text);
	json_decref(outputs);
}

/* The pool a task takes slots of, by the run's version of the DAG; NULL: none, or unknown. */
static const char *pool_of(struct view *v, const char *task)
{
	const struct dag *dag = dag_of(v);
	const struct task *t = dag ? dag_find(dag, task) : NULL;

	return t ? t->pool : NULL;
}

/* The breaker that stopped a task, as the events of its run tell; owned, NULL: none. */
static char *breaker_of(const struct view *v, const struct task_row *t)
{
	struct store_result events;
	char *name = NULL;

	if (t->reason != REASON_BREAKER_OPEN ||
		store_events(v->store, v->r->id, t->name, &events, NULL) < 0)
		return NULL;
	for (size_t i = events.n; i-- > 0 && !name;)
		if (strcmp(events.events[i].reason, reason_name(REASON_BREAKER_OPEN)) == 0 &&
			events.events[i].detail)
			name = strdup(events.events[i].detail);
	store_result_release(&events);
	return name;
}

/* How it stands. */
static void add_breaker_state(struct view *v, struct buf *out, const char *name)
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

static void add_breaker_cell(struct view *v, struct grid *g, const struct task_row *t)
{
	char *name = breaker_of(v, t);
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
	grid_addf(g, STYLE_NONE, "waits for %s%s%s",
		t->state == TASK_AWAITING_INPUT ? "a decision: " : "", what, text);
}

static void add_why_cell(
	struct view *v, struct grid *g, const struct task_row *t, const struct attempt_row *a)
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
	if (task_state_waits(t->state)) {
		add_wait_cell(g, t);
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
	{ "TRIES", GRID_RIGHT },
	{ "TOOK", GRID_RIGHT },
	{ "ROWS", 0 },
	{ "WHY", GRID_FLEX },
};

static void add_task(struct view *v, struct grid *g, const struct task_row *t)
{
	const struct attempt_row *a = last_attempt(v, t);
	int64_t us = -1;
	char took[32];

	if (a && a->started_us)
		us = (a->ended_us ? a->ended_us : clock_now_us()) - a->started_us;
	grid_add(g, runview_task_style(t->state), task_state_name(t->state));
	if (t->map_index >= 0)
		grid_addf(g, STYLE_NONE, "%s[%d]", t->name, t->map_index);
	else
		grid_add(g, STYLE_NONE, t->name);
	grid_addf(g, STYLE_NONE, "%d", t->tries);
	grid_add(g, STYLE_NONE, runview_took(us, took, sizeof took));
	add_rows_cell(g, t);
	add_why_cell(v, g, t, a);
}

/* The group that begins with this task, as one line: from its first start to its last end, and how
 * many are in which state. */
static void add_group(struct view *v, struct grid *g, size_t first)
{
	const struct task_row *rows = v->tasks.tasks;
	struct group_tally tally = { 0 };
	int64_t from = INT64_MAX, until = 0;
	struct buf counts;
	char took[32];
	int tries = 0;

	for (size_t i = first; i < v->tasks.n; i++) {
		const struct attempt_row *a = last_attempt(v, &rows[i]);
		if (!groupview_same(rows[i].name, rows[first].name))
			continue;
		groupview_count(&tally, rows[i].state);
		tries += rows[i].tries;
		if (!a || !a->started_us)
			continue;
		int64_t end = a->ended_us ? a->ended_us : clock_now_us();
		from = a->started_us < from ? a->started_us : from;
		until = end > until ? end : until;
	}
	enum task_state state = groupview_state(&tally);
	buf_init(&counts, BUF_MAX_TEXT);
	groupview_add_counts(&counts, &tally);
	grid_add(g, runview_task_style(state), task_state_name(state));
	grid_addf(g, STYLE_NONE, "%.*s (%d)", (int)groupview_prefix(rows[first].name),
		rows[first].name, tally.n);
	grid_addf(g, STYLE_NONE, "%d", tries);
	grid_add(g, STYLE_NONE, runview_took(until ? until - from : -1, took, sizeof took));
	grid_add(g, STYLE_NONE, "");
	grid_add(g, STYLE_NONE, counts.data);
	buf_release(&counts);
}

/* Was a task of its group before it? */
static bool is_shown(const struct view *v, size_t at)
{
	for (size_t i = at; i-- > 0;)
		if (groupview_same(v->tasks.tasks[i].name, v->tasks.tasks[at].name))
			return true;
	return false;
}

/* What failed is shown beside its group, too. */
static void tasks(struct view *v)
{
	bool expand = args_has(v->args, "expand");
	struct grid g;

	grid_init(&g, task_columns, sizeof task_columns / sizeof *task_columns);
	for (size_t i = 0; i < v->tasks.n; i++) {
		const struct task_row *t = &v->tasks.tasks[i];
		bool grouped = !expand && groupview_prefix(t->name) > 0;
		if (grouped && !is_shown(v, i))
			add_group(v, &g, i);
		if (!grouped || t->state == TASK_FAILED || t->state == TASK_UP_FOR_RETRY)
			add_task(v, &g, t);
	}
	buf_addc(&v->out, '\n');
	grid_print(&g, &v->term, 2, &v->out);
	grid_release(&g);
}

/* ---- checks, events, what to do next ------------------------------------------------- */

static const struct grid_column check_columns[] = {
	{ "CHECK", GRID_FLEX },
	{ "TASK", 0 },
	{ "TRY", GRID_RIGHT },
	{ "STATUS", 0 },
	{ "OBSERVED", GRID_FLEX },
	{ "EXPECTED", GRID_FLEX },
	{ "SUCH AS", GRID_FLEX },
};

/* The try of an attempt; 0: it is not known. */
static int try_of(const struct view *v, int64_t token)
{
	for (size_t i = v->attempts.n; i-- > 0;)
		if (v->attempts.attempts[i].token == token)
			return v->attempts.attempts[i].try;
	return 0;
}

/* Is it of the last attempt of its task? */
static bool is_current(const struct view *v, const struct check_row *c)
{
	for (size_t i = 0; i < v->tasks.n; i++)
		if (v->tasks.tasks[i].token == c->token)
			return true;
	return false;
}

static void checks(struct view *v)
{
	struct grid g;
	bool all = args_has(v->args, "verbose");

	grid_init(&g, check_columns, sizeof check_columns / sizeof *check_columns);
	for (size_t i = 0; i < v->checks.n; i++) {
		const struct check_row *c = &v->checks.checks[i];
		bool pass = strcmp(c->status, "pass") == 0;
		if (!all && (pass || !is_current(v, c)))
			continue;
		grid_add(&g, STYLE_NONE, c->name);
		grid_add(&g, STYLE_NONE, c->task);
		grid_addf(&g, STYLE_NONE, "%d", try_of(v, c->token));
		grid_add(&g,
			pass                             ? STYLE_GOOD
			: strcmp(c->status, "warn") == 0 ? STYLE_WARN
							 : STYLE_BAD,
			c->status);
		grid_add(&g, STYLE_NONE, c->observed);
		grid_add(&g, STYLE_NONE, c->expected);
		grid_add(&g, STYLE_NONE, c->sample && strcmp(c->sample, "[]") ? c->sample : "");
	}
	if (g.n) {
		buf_addc(&v->out, '\n');
		grid_print(&g, &v->term, 2, &v->out);
	}
	grid_release(&g);
}

static const struct grid_column audit_columns[] = {
	{ "REQUEST", 0 },
	{ "OF", GRID_FLEX },
	{ "BY", 0 },
	{ "AT", 0 },
	{ "WHY", GRID_FLEX },
};

/* What people did to the run. */
static void audits(struct view *v)
{
	struct grid g;
	char when[WHEN_SIZE];

	if (v->audits.n == 0)
		return;
	grid_init(&g, audit_columns, sizeof audit_columns / sizeof *audit_columns);
	for (size_t i = 0; i < v->audits.n; i++) {
		const struct audit_row *a = &v->audits.audits[i];
		grid_add(&g, STYLE_NONE, a->what);
		grid_add(&g, STYLE_NONE, a->detail);
		grid_add(&g, STYLE_NONE, a->who);
		grid_add(&g, STYLE_NONE, when_local(a->at_us, when));
		grid_add(&g, STYLE_NONE, a->reason);
	}
	buf_addc(&v->out, '\n');
	grid_print(&g, &v->term, 2, &v->out);
	grid_release(&g);
}

static const struct grid_column event_columns[] = {
	{ "AT", 0 },
	{ "TASK", GRID_FLEX },
	{ "CHANGE", 0 },
	{ "REASON", 0 },
	{ "DETAIL", GRID_FLEX },
};

static void events(struct view *v)
{
	struct grid g;
	char when[WHEN_SIZE];

	grid_init(&g, event_columns, sizeof event_columns / sizeof *event_columns);
	for (size_t i = 0; i < v->events.n; i++) {
		const struct event_row *e = &v->events.events[i];
		grid_add(&g, STYLE_NONE, when_local(e->at_us, when));
		grid_add(&g, STYLE_NONE, e->task ? e->task : "(run)");
		if (e->from && e->to && strcmp(e->from, e->to) == 0)
			grid_addf(&g, STYLE_NONE, "stays %s", e->to);
		else if (e->from && *e->from)
			grid_addf(&g, STYLE_NONE, "%s -> %s", e->from, e->to ? e->to : "");
		else
			grid_add(&g, STYLE_NONE, e->to);
		grid_add(&g, STYLE_NONE, e->reason);
		grid_add(&g, STYLE_DIM, e->detail);
	}
	grid_print(&g, &v->term, 0, &v->out);
	grid_release(&g);
}

static void next_steps(struct view *v)
{
	const struct run_row *r = v->r;
	char run[300], path[600], when[WHEN_SIZE];
	size_t before = v->out.len;
	int shown = 0;

	if (r->state == RUN_SUCCESS)
		return;
	cli_shell_word(r->name, run, sizeof run);
	buf_addstr(&v->out, "\nnext\n");
	size_t heading = v->out.len;
	for (size_t i = 0; i < v->tasks.n && shown < 3; i++) {
		const struct task_row *t = &v->tasks.tasks[i];
		bool running = t->state == TASK_RUNNING && !runview_abandoned(r);
		if (t->state == TASK_AWAITING_INPUT) {
			buf_addf(&v->out, "  weir approve %s %s    # or reject it\n", run, t->name);
			shown++;
			continue;
		}
		if (t->state != TASK_FAILED && t->state != TASK_UP_FOR_RETRY && !running)
			continue;
		buf_addf(&v->out, "  weir logs %s %s%s\n", run, t->name, running ? " -f" : "");
		shown++;
	}
	if (r->state != RUN_QUEUED || r->wanted)
		buf_addf(&v->out, "  weir why %s    # the causes, to their roots\n", run);
	if (run_state_is_final(r->state))
		buf_addf(&v->out, "  weir retry %s    # what failed, by the daemon\n", run);
	/* One that a daemon is to begin waits for it; one of --only waits for the rest to be run.
	 */
	bool left = r->state == RUN_QUEUED && !r->wanted && r->owner.pid == 0;
	if ((run_state_is_final(r->state) || runview_abandoned(r) || left) && r->dag_path)
		buf_addf(&v->out, "  weir run %s --date %s    # keeps what is done\n",
			cli_shell_word(r->dag_path, path, sizeof path),
			when_interval(r->name, r->ds, r->interval_start_us, when));
	if (v->out.len == heading)
		buf_truncate(&v->out, before);
}

/* ---- JSON ---------------------------------------------------------------------------- */

static json_t *attempts_json(const struct view *v)
{
	json_t *list = json_array();

	for (size_t i = 0; i < v->attempts.n; i++)
		json_array_append_new(list, runview_attempt_json(&v->attempts.attempts[i]));
	return list;
}

static json_t *check_json(const struct view *v, const struct check_row *c)
{
	json_t *o = runview_check_json(c);

	json_object_set_new(o, "try", json_integer(try_of(v, c->token)));
	return o;
}

static int show_json(struct view *v)
{
	json_t *o = runview_json(v->r), *list = json_array();
	int64_t deadline = deadline_us(v);

	json_object_set_new(
		o, "deadline", deadline == INT64_MAX ? json_null() : cli_json_instant(deadline));

	for (size_t i = 0; i < v->tasks.n; i++) {
		json_t *task = runview_task_json(&v->tasks.tasks[i]);
		char *breaker = breaker_of(v, &v->tasks.tasks[i]);
		if (breaker)
			json_object_set_new(task, "breaker", json_string(breaker));
		json_array_append_new(list, task);
		free(breaker);
	}
	json_object_set_new(o, "tasks", list);
	json_object_set_new(o, "attempts", attempts_json(v));
	list = json_array();
	for (size_t i = 0; i < v->checks.n; i++)
		json_array_append_new(list, check_json(v, &v->checks.checks[i]));
	json_object_set_new(o, "checks", list);
	list = json_array();
	for (size_t i = 0; i < v->audits.n; i++)
		json_array_append_new(list, runview_audit_json(&v->audits.audits[i]));
	json_object_set_new(o, "requests", list);
	if (args_has(v->args, "events")) {
		list = json_array();
		for (size_t i = 0; i < v->events.n; i++)
			json_array_append_new(list, runview_event_json(&v->events.events[i]));
		json_object_set_new(o, "events", list);
	}
	return cli_print_json(o, v->err);
}

/* ---- the command --------------------------------------------------------------------- */

static int show_dag(struct view *v)
{
	char *text = NULL;

	if (!v->r->version)
		return err_set(v->err, ERR_NOT_FOUND, "%s has no DAG version", v->r->name);
	if (store_version_text(v->store, v->r->version, &text, v->err) < 0)
		return -1;
	if (args_has(v->args, "json")) {
		json_t *o = json_pack("{s:o, s:o, s:o}", "version", cli_json_text(v->r->version),
			"path", cli_json_text(v->r->dag_path), "text", cli_json_text(text));
		free(text);
		return cli_print_json(o, v->err);
	}
	fputs(text, stdout);
	free(text);
	return 0;
}

static int show(struct view *v)
{
	if (args_has(v->args, "dag"))
		return show_dag(v);
	if (args_has(v->args, "json"))
		return show_json(v);
	if (args_has(v->args, "events")) {
		events(v);
	} else {
		head(v);
		tasks(v);
		checks(v);
		audits(v);
		next_steps(v);
	}
	term_write(&v->term, &v->out);
	return 0;
}

static int show_run(const struct args *args, struct err *err)
{
	struct view v;
	int rc = view_open(&v, args, err);

	if (rc == 0)
		rc = show(&v);
	view_close(&v);
	return rc;
}

static const struct option show_options[] = {
	{ .name = "expand", .kind = VALUE_FLAG, .help = "a line for each task of a group, too" },
	{ .name = "events", .kind = VALUE_FLAG, .help = "every change of state, with its reason" },
	{ .name = "dag",
		.kind = VALUE_FLAG,
		.help = "the text of the DAG file as it was when the run used it" },
	{ 0 }
};
static const struct operand show_operands[] = {
	{ "RUN", VALUE_RUN, false, false,
		"a run: its name (nightly_sales@2026-11-19) or number, or a DAG's name for its "
		"latest run (of the intervals that have ended, where there is one)" },
	{ 0 }
};

const struct command command_show = {
	.name = "show",
	.group = "Look",
	.summary = "show a run: its tasks, why they failed, what to do next",
	.doc = "A group of tasks is one line, with how many of them are in which state; those that "
	       "failed or are tried again are listed all the same. With --json all tasks are.\n\n"
	       "Of the checks, those of each task's last try that did not pass are listed; with "
	       "--verbose all, also of earlier tries.",
	.options = show_options,
	.operands = show_operands,
	.run = show_run,
};
