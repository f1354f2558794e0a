#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "cli/beside.h"
#include "cli/commands.h"
#include "cli/home.h"
#include "cli/progress.h"
#include "cli/rules.h"
#include "cli/runview.h"
#include "cli/term.h"
#include "conf/dagfile.h"
#include "conf/diag.h"
#include "core/model.h"
#include "core/timetable.h"
#include "core/zone.h"
#include "run/catalog.h"
#include "run/driver.h"
#include "run/ops.h"

enum { JOBS_MAX = 4096, PLAN_TEXT_MAX = 16 << 20 };

/* ---- what is asked for ---------------------------------------------------------------- */

static int cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
		return CPU_COUNT(&set);
	return 1;
}

/* The values of a repeated option, NULL-ended; NULL when there are none. */
static const char **values_of(const struct args *args, const char *option)
{
	size_t n = 0;

	while (args_nth(args, option, n))
		n++;
	const char **list = n ? calloc(n + 1, sizeof *list) : NULL;
	for (size_t i = 0; list && i < n; i++)
		list[i] = args_nth(args, option, i);
	return list;
}

/* ---- --dry-run ------------------------------------------------------------------------ */

static void add_what(struct buf *out, const struct plan_task *p)
{
	char *with = p->with ? json_dumps(p->with, JSON_COMPACT) : NULL;

	if (p->items == 0)
		buf_addstr(out, "its list is empty");
	else if (p->items > 0)
		buf_addf(out, "%d item%s, the first: ", p->items, p->items == 1 ? "" : "s");
	if (p->command)
		buf_addstr(out, p->command);
	else if (with)
		buf_addstr(out, with);
	else if (p->unknown)
		buf_addf(out, "(not known yet: %s)", p->unknown);
	free(with);
}

static void print_plan(const struct args *args, const struct dag *dag, const struct plan *plan)
{
	struct term term;
	struct buf out, what;
	int nrun = 0;

	term_init(&term, stdout, args);
	buf_init(&out, PLAN_TEXT_MAX);
	buf_init(&what, PLAN_TEXT_MAX);
	buf_addf(&out, "run %s%s\n\n", plan->run, plan->exists ? "" : " (new)");
	for (int i = 0; i < plan->n; i++) {
		const struct plan_task *p = &plan->tasks[i];
		const struct task *t = &dag->tasks[p->task];
		bool run = p->action == PLAN_RUN;
		nrun += run;
		buf_addf(&out, "  %s%-9s%s ", style_on(run ? STYLE_BUSY : STYLE_DIM, term.colour),
			p->action == PLAN_LEAVE_OUT ? "leave out" : plan_action_name(p->action),
			style_off(run ? STYLE_BUSY : STYLE_DIM, term.colour));
		text_add_padded(&out, t->name, 24, false);
		buf_addf(&out, " %s%s%s", t->kind == TASK_RUN ? "run" : task_kind_name(t->kind),
			t->kind == TASK_RUN ? "" : ": ", t->kind == TASK_RUN ? "" : t->op);
		if (p->state != TASK_NONE)
			buf_addf(&out, "  (%s, try %d%s)", task_state_name(p->state), p->tries,
				p->stale ? "; changed since" : "");
		buf_clear(&what);
		rules_add(&what, dag, t);
		buf_addf(&out, what.len ? "  [%s]\n" : "%s\n", what.data);
		buf_clear(&what);
		add_what(&what, p);
		if ((run || p->items == 0) && what.len) {
			buf_addstr(&out, "            ");
			text_add(&out, what.data, term.width > 14 ? term.width - 13 : -1);
			buf_addc(&out, '\n');
		}
	}
	buf_addf(&out, "\n%d of %d tasks would run; nothing was changed\n", nrun, plan->n);
	term_write(&term, &out);
	buf_release(&out);
	buf_release(&what);
}

static json_t *plan_json(const struct dag *dag, const struct plan *plan)
{
	json_t *tasks = json_array();

	for (int i = 0; i < plan->n; i++) {
		const struct plan_task *p = &plan->tasks[i];
		json_t *t = json_pack("{s:s, s:s, s:s, s:i, s:b}", "task", dag->tasks[p->task].name,
			"action", plan_action_name(p->action), "state", task_state_name(p->state),
			"tries", p->tries, "stale", p->stale);
		rules_set_json(t, dag, &dag->tasks[p->task]);
		if (dag->tasks[p->task].foreach)
			json_object_set_new(
				t, "items", p->items < 0 ? json_null() : json_integer(p->items));
		if (p->command)
			json_object_set_new(t, "command", json_string(p->command));
		if (p->with)
			json_object_set(t, "with", p->with);
		if (p->unknown)
			json_object_set_new(t, "unknown", json_string(p->unknown));
		json_array_append_new(tasks, t);
	}
	return json_pack("{s:s, s:s, s:b, s:o}", "dag", dag->name, "run", plan->run, "exists",
		plan->exists, "tasks", tasks);
}

static int dry_run(const struct args *args, const struct run_request *req, struct err *err)
{
	struct plan plan;
	int rc = 0;

	if (driver_plan(req, &plan, err) < 0)
		return -1;
	if (args_has(args, "json"))
		rc = cli_print_json(plan_json(req->dag, &plan), err);
	else
		print_plan(args, req->dag, &plan);
	plan_release(&plan);
	return rc;
}

/* ---- the command ---------------------------------------------------------------------- */

enum { EXIT_RUN_FAILED = 1, EXIT_INTERRUPTED = 130 };

static int watch(const struct args *args, struct run_request *req, struct err *err)
{
	struct term term;
	struct run_outcome outcome;

	term_init(&term, stdout, args);
	req->observer = progress_new(
		progress_mode_for(args, stdout), stdout, term.colour, args_has(args, "expand"));
	if (!req->observer)
		return err_nomem(err);
	int rc = driver_run(req, &outcome, err);
	req->observer->free(req->observer);
	if (rc < 0)
		return -1;
	if (outcome.interrupted && outcome.state != RUN_SUCCESS)
		return EXIT_INTERRUPTED;
	return outcome.state == RUN_SUCCESS ? 0 : EXIT_RUN_FAILED;
}

/* On stderr: what is piped on stays as it is. */
static void say_unended(const struct args *args, const struct zone *zone, int64_t interval_end_us)
{
	char note[160];

	runview_unended(zone_name(zone), interval_end_us, clock_now_us(), note, sizeof note);
	if (*note && !args_has(args, "quiet"))
		fprintf(stderr, "weir: note: %s\n", note);
}

/* A DAG that is named and that nobody may ever run would be waited for without end, as would what
 * waits for itself. Others, of other folders, may be meant: it is said, and not refused. */
static void say_missing(const struct args *args, const struct dag *dag)
{
	struct diags d;
	struct err err;

	if (args_has(args, "quiet"))
		return;
	diags_init(&d);
	/* A folder that cannot be read has nothing to be said of. */
	beside_check(dag, dag->dir, &d, &err);
	for (size_t i = 0; i < d.n; i++)
		fprintf(stderr, "weir: note: %s:%d:%d: %s\n", d.list[i].file, d.list[i].line,
			d.list[i].col, d.list[i].message);
	diags_release(&d);
}

static int run_dag(
	const struct args *args, const struct cli_dag *cd, const char *home, struct err *err)
{
	static const struct schedule_spec manual = { 0 };
	const struct schedule_spec *spec = cd->dag->schedule ? cd->dag->schedule : &manual;
	const char **given = values_of(args, "param"), **from = values_of(args, "from");
	const char **only = values_of(args, "only");
	const struct catalog_env beside = { .operators = cli_operators(),
		.conn_types = cli_connection_types(),
		.config_path = args_text(args, "config") };
	struct run_request req = { .dag = cd->dag,
		.config = cd->config,
		.home = home,
		.zone = spec->zone ? spec->zone : zone_utc(),
		.params = dagfile_params(cd->dag, given, err),
		.params_given = given != NULL,
		.from = from,
		.only = only,
		.force = args_has(args, "force"),
		.jobs = (int)args_int(args, "jobs", cpus()),
		.dags = &beside };
	struct tick tick;
	char ds[32];
	int rc = -1;

	if (req.params &&
		ops_interval(cd->dag, args_text(args, "date"), clock_now_us(), &tick, err) == 0) {
		req.interval_start_us = tick.start_us;
		req.interval_end_us = tick.end_us;
		ops_ds(cd->dag, tick.start_us, ds);
		req.ds = ds;
		say_unended(args, req.zone, tick.end_us);
		say_missing(args, cd->dag);
		rc = args_has(args, "dry-run") ? dry_run(args, &req, err) : watch(args, &req, err);
	}
	json_decref(req.params);
	free(given);
	free(from);
	free(only);
	return rc;
}

static int run_run(const struct args *args, struct err *err)
{
	struct cli_dag cd = { 0 };
	char *home = cli_home(args, err);
	int rc = -1;

	if (args_has(args, "only") && (args_has(args, "from") || args_has(args, "force")))
		err_set(err, ERR_USAGE,
			"--only runs the named tasks in any case; it does not go with "
			"--from or --force");
	else if (home && cli_load_dag(args, args_operand(args, 0), true, &cd, err) == 0)
		rc = run_dag(args, &cd, home, err);
	cli_dag_release(&cd);
	free(home);
	return rc;
}

static const struct operand run_operands[] = {
	{ .name = "DAG_FILE", .kind = VALUE_DAG_FILE, .help = "the DAG to run" },
	{ 0 },
};

static const struct option run_options[] = {
	{ .name = "date",
		.letter = 'd',
		.kind = VALUE_DATE,
		.value = "DATE",
		.help = "run the data interval that starts on this date (2026-11-19), or that "
			"holds "
			"this instant (2026-11-19T05:00, local in the schedule's zone, or with an "
			"offset); default: the last complete one" },
	{ .name = "from",
		.kind = VALUE_TASK,
		.value = "TASK",
		.repeat = true,
		.help = "do this task, or all of this group, again, and all that depends on it" },
	{ .name = "only",
		.kind = VALUE_TASK,
		.value = "TASK",
		.repeat = true,
		.help = "do this task, or all of this group, again and nothing else, whether its "
			"needs are done or not" },
	{ .name = "force", .letter = 'f', .kind = VALUE_FLAG, .help = "do every task again" },
	{ .name = "param",
		.letter = 'p',
		.kind = VALUE_TEXT,
		.value = "NAME=VALUE",
		.repeat = true,
		.help = "set a param of the DAG" },
	{ .name = "jobs",
		.letter = 'j',
		.kind = VALUE_INT,
		.value = "N",
		.min = 1,
		.max = JOBS_MAX,
		.help = "run at most N tasks at once; default: the number of CPUs" },
	{ .name = "dry-run",
		.letter = 'n',
		.kind = VALUE_FLAG,
		.help = "show what would run, with all templates filled in; change nothing" },
	{ .name = "expand",
		.kind = VALUE_FLAG,
		.help = "on a terminal, a line for each task of a group, too" },
	{ 0 },
};

const struct command command_run = {
	.name = "run",
	.group = "Run",
	.summary = "run one DAG for one date",
	.doc = "Runs the tasks of a DAG for one data interval, in the foreground. No daemon is "
	       "needed. "
	       "What has succeeded for that interval is kept: run it again after a failure and "
	       "only "
	       "what failed, and what waits for that, is done. Everything is recorded in WEIR_HOME "
	       "before it happens, so a run that was killed is taken up where it stopped.\n\n"
	       "Ctrl-C asks running tasks to end and starts no more; a second one kills them.",
	.options = run_options,
	.operands = run_operands,
	.run = run_run,
};
