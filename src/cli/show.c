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
#include "cli/show_impl.h"
#include "cli/slaview.h"
#include "cli/term.h"
#include "cli/when.h"
#include "conf/bundle.h"
#include "conf/dagfile.h"
#include "conf/diag.h"
#include "conf/yaml.h"
#include "core/breaker.h"
#include "core/state.h"
#include "run/name.h"
#include "run/ops.h"

static int view_open(struct show_view *v, const struct args *args, struct err *err)
{
	*v = (struct show_view){ .args = args, .err = err };
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

static void view_close(struct show_view *v)
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

/* ---- head ---------------------------------------------------------------------------- */

static void line(struct show_view *v, const char *name, const char *text)
{
	if (!text || !*text)
		return;
	buf_addf(&v->out, "  %s%-10s%s", style_on(STYLE_DIM, v->term.colour), name,
		style_off(STYLE_DIM, v->term.colour));
	text_add(&v->out, text, -1);
	buf_addc(&v->out, '\n');
}

static void params_line(struct show_view *v)
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
static void dag_lines(struct show_view *v)
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

static void process_line(struct show_view *v)
{
	char text[160];

	if (v->r->owner.pid == 0)
		return;
	snprintf(text, sizeof text, "%lld on %s%s", (long long)v->r->owner.pid, v->r->owner.host,
		owner_is_dead(&v->r->owner) ? " (gone)" : "");
	line(v, "process", text);
}

const struct dag *show_dag_of(struct show_view *v)
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
static int64_t deadline_us(struct show_view *v)
{
	const struct dag *dag = show_dag_of(v);

	return dag ? slaview_deadline_us(dag, v->r->interval_start_us, v->r->interval_end_us)
		   : INT64_MAX;
}

static void deadline_line(struct show_view *v)
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

static void interval_line(struct show_view *v)
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

static void started_line(struct show_view *v)
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

enum { UPDATES_SHOWN = 10 };

/* Updates of datasets that it took, or made. */
static void update_lines(struct show_view *v, const char *what, enum update_query which)
{
	const struct update_filter f = { .which = which, .id = v->r->id };
	char when[WHEN_SIZE], text[500];
	struct store_result rows;

	if (store_dataset_updates(v->store, &f, &rows, NULL) < 0)
		return;
	for (size_t i = 0; i < rows.n && i < UPDATES_SHOWN; i++) {
		const struct dataset_update_row *u = &rows.updates[i];
		const char *by = which == UPDATES_BY ? u->task : u->run ? u->run : u->by;
		snprintf(text, sizeof text, "%s, updated %s%s%s", u->dataset,
			when_local(u->at_us, when), by ? " by " : "", by ? by : "");
		line(v, i ? "" : what, which == UPDATES_BY ? u->dataset : text);
	}
	if (rows.n > UPDATES_SHOWN) {
		snprintf(text, sizeof text, "and %zu updates more", rows.n - UPDATES_SHOWN);
		line(v, "", text);
	}
	store_result_release(&rows);
}

static json_t *updates_json(const struct show_view *v, enum update_query which)
{
	const struct update_filter f = { .which = which, .id = v->r->id };
	json_t *list = json_array();
	struct store_result rows;

	if (store_dataset_updates(v->store, &f, &rows, NULL) < 0)
		return list;
	for (size_t i = 0; i < rows.n; i++)
		json_array_append_new(list, ops_update_json(&rows.updates[i]));
	store_result_release(&rows);
	return list;
}

static void head(struct show_view *v)
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
	update_lines(v, "because", UPDATES_TAKEN);
	update_lines(v, "updated", UPDATES_BY);
	params_line(v);
	process_line(v);
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
static int try_of(const struct show_view *v, int64_t token)
{
	const struct attempt_row *a = show_attempt(v, token);

	return a ? a->
	try:
		0;
}

/* Which attempts are the last ones of their tasks; NULL without memory. */
static bool *find_current(const struct show_view *v)
{
	bool *current = calloc(v->attempts.n + 1, sizeof *current);

	for (size_t i = 0; current && i < v->tasks.n; i++) {
		const struct attempt_row *a = show_attempt(v, v->tasks.tasks[i].token);
		if (a)
			current[a - v->attempts.attempts] = true;
	}
	return current;
}

static void add_check(struct grid *g, const struct check_row *c, const struct attempt_row *a)
{
	bool pass = strcmp(c->status, "pass") == 0;
	char name[RUN_LABEL_MAX];

	grid_add(g, STYLE_NONE, c->name);
	grid_add(g, STYLE_NONE, run_task_label(c->task, a ? a->map_index : -1, name));
	grid_addf(g, STYLE_NONE, "%d", a ? a->try : 0);
	grid_add(g,
		pass                             ? STYLE_GOOD
		: strcmp(c->status, "warn") == 0 ? STYLE_WARN
						 : STYLE_BAD,
		c->status);
	grid_add(g, STYLE_NONE, c->observed);
	grid_add(g, STYLE_NONE, c->expected);
	grid_add(g, STYLE_NONE, c->sample && strcmp(c->sample, "[]") ? c->sample : "");
}

static void checks(struct show_view *v)
{
	bool *current = find_current(v), all = args_has(v->args, "verbose");
	struct grid g;

	grid_init(&g, check_columns, sizeof check_columns / sizeof *check_columns);
	for (size_t i = 0; i < v->checks.n; i++) {
		const struct check_row *c = &v->checks.checks[i];
		const struct attempt_row *a = show_attempt(v, c->token);
		bool told = a && current && current[a - v->attempts.attempts] &&
			    strcmp(c->status, "pass") != 0;
		if (all || told)
			add_check(&g, c, a);
	}
	if (g.n) {
		buf_addc(&v->out, '\n');
		grid_print(&g, &v->term, 2, &v->out);
	}
	grid_release(&g);
	free(current);
}

static const struct grid_column audit_columns[] = {
	{ "REQUEST", 0 },
	{ "OF", GRID_FLEX },
	{ "BY", 0 },
	{ "AT", 0 },
	{ "WHY", GRID_FLEX },
};

/* What people did to the run. */
static void audits(struct show_view *v)
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

static void events(struct show_view *v)
{
	struct grid g;
	char when[WHEN_SIZE], name[RUN_LABEL_MAX];

	grid_init(&g, event_columns, sizeof event_columns / sizeof *event_columns);
	for (size_t i = 0; i < v->events.n; i++) {
		const struct event_row *e = &v->events.events[i];
		grid_add(&g, STYLE_NONE, when_local(e->at_us, when));
		grid_add(&g, STYLE_NONE,
			e->task ? run_task_label(e->task, e->map_index, name) : "(run)");
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

static void next_steps(struct show_view *v)
{
	const struct run_row *r = v->r;
	char run[300], path[600], when[WHEN_SIZE], task[RUN_LABEL_MAX], word[300];
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
		cli_shell_word(run_task_label(t->name, t->map_index, task), word, sizeof word);
		if (t->state == TASK_AWAITING_INPUT) {
			buf_addf(&v->out, "  weir approve %s %s    # or reject it\n", run, word);
			shown++;
			continue;
		}
		bool told = t->state == TASK_FAILED || t->state == TASK_UP_FOR_RETRY || running;
		/* A mapped task has no log: its instances have. */
		if (!told || !t->tries)
			continue;
		buf_addf(&v->out, "  weir logs %s %s%s\n", run, word, running ? " -f" : "");
		shown++;
	}
	if (r->state != RUN_QUEUED || r->wanted)
		buf_addf(&v->out, "  weir why %s    # the causes, to their roots\n", run);
	if (run_state_is_final(r->state))
		buf_addf(&v->out, "  weir retry %s    # what failed, by the daemon\n", run);
	/* One that a daemon is to begin waits for it; one of --only waits for the rest to be run.
	 */
	bool left = r->state == RUN_QUEUED && !r->wanted && r->owner.pid == 0;
	/* The interval of one that datasets started is that of no date. */
	bool dated = strcmp(r->trigger, "dataset") != 0;
	if ((run_state_is_final(r->state) || runview_abandoned(r) || left) && r->dag_path && dated)
		buf_addf(&v->out, "  weir run %s --date %s    # keeps what is done\n",
			cli_shell_word(r->dag_path, path, sizeof path),
			when_interval(r->name, r->ds, r->interval_start_us, when));
	if (v->out.len == heading)
		buf_truncate(&v->out, before);
}

/* ---- JSON ---------------------------------------------------------------------------- */

static json_t *attempts_json(const struct show_view *v)
{
	json_t *list = json_array();

	for (size_t i = 0; i < v->attempts.n; i++)
		json_array_append_new(list, runview_attempt_json(&v->attempts.attempts[i]));
	return list;
}

static json_t *check_json(const struct show_view *v, const struct check_row *c)
{
	json_t *o = runview_check_json(c);

	json_object_set_new(o, "try", json_integer(try_of(v, c->token)));
	return o;
}

static int show_json(struct show_view *v)
{
	json_t *o = runview_json(v->r), *list = json_array();
	int64_t deadline = deadline_us(v);

	json_object_set_new(
		o, "deadline", deadline == INT64_MAX ? json_null() : cli_json_instant(deadline));

	for (size_t i = 0; i < v->tasks.n; i++) {
		if (!show_is_asked_for(v, &v->tasks.tasks[i]))
			continue;
		json_t *task = runview_task_json(&v->tasks.tasks[i]);
		char *breaker = show_breaker_of(v, &v->tasks.tasks[i]);
		if (breaker)
			json_object_set_new(task, "breaker", json_string(breaker));
		json_array_append_new(list, task);
		free(breaker);
	}
	if (json_array_size(list) == 0 && args_operand(v->args, 1)) {
		json_decref(list);
		json_decref(o);
		return show_say_unknown(v, args_operand(v->args, 1));
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
	json_object_set_new(o, "datasets_taken", updates_json(v, UPDATES_TAKEN));
	json_object_set_new(o, "datasets_updated", updates_json(v, UPDATES_BY));
	if (args_has(v->args, "events")) {
		list = json_array();
		for (size_t i = 0; i < v->events.n; i++)
			json_array_append_new(list, runview_event_json(&v->events.events[i]));
		json_object_set_new(o, "events", list);
	}
	return cli_print_json(o, v->err);
}

/* ---- the command --------------------------------------------------------------------- */

static int show_dag(struct show_view *v)
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

static int show(struct show_view *v)
{
	if (args_has(v->args, "dag"))
		return show_dag(v);
	if (args_has(v->args, "json"))
		return show_json(v);
	if (args_has(v->args, "events")) {
		events(v);
	} else if (args_operand(v->args, 1)) {
		if (show_tasks(v) < 0)
			return -1;
	} else {
		head(v);
		if (show_tasks(v) < 0)
			return -1;
		checks(v);
		audits(v);
		next_steps(v);
	}
	term_write(&v->term, &v->out);
	return 0;
}

static int show_run(const struct args *args, struct err *err)
{
	struct show_view v;
	int rc = view_open(&v, args, err);

	if (rc == 0)
		rc = show(&v);
	view_close(&v);
	return rc;
}

static const struct option show_options[] = {
	{ .name = "expand",
		.kind = VALUE_FLAG,
		.help = "a line for each task of a group, and for each instance of a mapped task" },
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
	{ "TASK", VALUE_TASK, true, false,
		"only this task or group; of a mapped task all instances, or one as fetch[3]" },
	{ 0 }
};

const struct command command_show = {
	.name = "show",
	.group = "Look",
	.summary = "show a run: its tasks, why they failed, what to do next",
	.doc = "A group of tasks is one line, with how many of them are in which state, and so is "
	       "a mapped task with its instances; those that failed or are tried again are listed "
	       "all the same. With --json all are.\n\n"
	       "Of the checks, those of each task's last try that did not pass are listed; with "
	       "--verbose all, also of earlier tries.",
	.options = show_options,
	.operands = show_operands,
	.run = show_run,
};
