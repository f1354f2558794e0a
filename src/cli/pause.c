/* Switches: pause, resume, drain, freeze. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/commands.h"
#include "cli/remote.h"
#include "cli/term.h"

static void add_who(struct buf *out, const json_t *a)
{
	const char *reason = cli_get_text(a, "reason");

	buf_addf(out, " (by %s", cli_get_text(a, "by"));
	if (reason)
		buf_addf(out, ": %s", reason);
	buf_addstr(out, ").\n");
}

/* "All DAGs are", "nightly_sales is" */
static void add_subject(struct buf *out, const json_t *a)
{
	const char *dag = cli_get_text(a, "dag");

	if (strcmp(dag, "*") == 0)
		buf_addstr(out, "All DAGs are");
	else
		buf_addf(out, "%s is", dag);
}

static const char *resume_word(const json_t *a)
{
	const char *dag = cli_get_text(a, "dag");

	return strcmp(dag, "*") == 0 ? "--all" : dag;
}

static void add_paused(
	const struct remote *r, const json_t *a, const struct term *t, struct buf *out)
{
	(void)t;
	add_subject(out, a);
	buf_addf(out, " %s", cli_get_flag(a, "changed") ? "paused" : "paused, as before");
	add_who(out, a);
	buf_addf(out, "To go on: weir resume %s\n", resume_word(a));
	remote_add_note(r, out);
}

static void add_drained(
	const struct remote *r, const json_t *a, const struct term *t, struct buf *out)
{
	(void)t;
	add_subject(out, a);
	buf_addf(out, " draining%s: what runs may end, no more runs are created",
		cli_get_flag(a, "changed") ? "" : ", as before");
	add_who(out, a);
	buf_addf(out, "To go on: weir resume %s\n", resume_word(a));
	remote_add_note(r, out);
}

static void add_goes_on(struct buf *out, const json_t *a)
{
	bool all = strcmp(cli_get_text(a, "dag"), "*") == 0;

	add_subject(out, a);
	if (!all && cli_get_flag(a, "all_paused")) {
		buf_addstr(out, " still paused, since all DAGs are. To end that: weir resume "
				"--all\n");
		return;
	}
	if (!all && cli_get_flag(a, "draining")) {
		buf_addstr(out, " still draining, since all DAGs are. To end that: weir resume "
				"--all\n");
		return;
	}
	buf_addf(
		out, " %s", cli_get_flag(a, "changed") ? "resumed" : "neither paused nor draining");
	add_who(out, a);
	if (all)
		buf_addstr(out, "DAGs that were paused one by one stay paused.\n");
}

static void add_resumed(
	const struct remote *r, const json_t *a, const struct term *t, struct buf *out)
{
	(void)t;
	add_goes_on(out, a);
	remote_add_note(r, out);
}

/* ---- pause, resume, drain ---------------------------------------------------------------- */

static int find_target(struct remote *r, const char **ret, struct err *err)
{
	const char *word = args_operand(r->args, 0);

	if (args_has(r->args, "all") == (word != NULL))
		return err_set(err, ERR_USAGE, "name a DAG, or give --all");
	*ret = "*";
	return word ? remote_dag(r, word, ret, err) : 0;
}

static int switch_dag(
	const struct args *args, enum ops_call_id call, remote_words_fn *words, struct err *err)
{
	struct remote r;
	struct ops_target target = { 0 };
	json_t *body = remote_body(args, err), *answer;
	int rc = -1;

	if (!body)
		return -1;
	if (remote_open(&r, args, REMOTE_WRITES, err) == 0 &&
		find_target(&r, &target.dag, err) == 0 &&
		remote_call(&r, call, &target, body, &answer, err) == 0)
		rc = remote_print(&r, answer, words, err);
	remote_close(&r);
	json_decref(body);
	return rc;
}

static int pause_run(const struct args *args, struct err *err)
{
	return switch_dag(args, OPS_CALL_PAUSE, add_paused, err);
}

static int resume_run(const struct args *args, struct err *err)
{
	return switch_dag(args, OPS_CALL_RESUME, add_resumed, err);
}

static int drain_run(const struct args *args, struct err *err)
{
	return switch_dag(args, OPS_CALL_DRAIN, add_drained, err);
}

static const struct operand dag_operands[] = {
	{ "DAG", VALUE_DAG, true, false, "the DAG's name, or the path of its file" }, { 0 }
};
static const struct option switch_options[] = {
	{ .name = "all", .kind = VALUE_FLAG, .help = "all DAGs, those to come included" },
	REMOTE_OPTION_REASON,
	REMOTE_OPTION_DAGS,
	{ 0 },
};

const struct command command_pause = {
	.name = "pause",
	.group = "Operate",
	.summary = "hold a DAG, or all of them",
	.doc = "No run of a paused DAG is created, and its runs start no more tasks; tasks that "
	       "run "
	       "already end in their own time. What comes due meanwhile is treated by the "
	       "schedule's catchup rule once the DAG is resumed. Who paused it and why is kept and "
	       "shown.\n\n"
	       "  weir pause nightly_sales --reason \"source is being migrated\"\n"
	       "  weir pause --all --reason \"data centre on battery\"",
	.options = switch_options,
	.operands = dag_operands,
	.run = pause_run,
};

const struct command command_resume = {
	.name = "resume",
	.group = "Operate",
	.summary = "end the pause or drain of a DAG",
	.doc = "Ends a pause and a drain. While all DAGs are paused, one that is resumed stays "
	       "paused; "
	       "\"weir resume --all\" ends what was said for all, and leaves those that were "
	       "paused "
	       "one by one. For tasks that are frozen: weir freeze DAG.TASK --off.",
	.options = switch_options,
	.operands = dag_operands,
	.run = resume_run,
};

const struct command command_drain = {
	.name = "drain",
	.group = "Operate",
	.summary = "let a DAG's runs end and create no more",
	.doc = "Runs that have begun go on to their end; no more are created. For maintenance, and "
	       "before a DAG is taken away. \"weir resume\" ends it.",
	.options = switch_options,
	.operands = dag_operands,
	.run = drain_run,
};

/* ---- freeze ------------------------------------------------------------------------------ */

static void add_frozen(
	const struct remote *r, const json_t *a, const struct term *t, struct buf *out)
{
	(void)t;
	bool on = cli_get_flag(a, "frozen"), changed = cli_get_flag(a, "changed");
	const char *dag = cli_get_text(a, "dag"), *task = cli_get_text(a, "task");

	if (on)
		buf_addf(out, "%s.%s is frozen%s", dag, task, changed ? "" : ", as before");
	else
		buf_addf(out, "%s.%s %s", dag, task,
			changed ? "is no longer frozen" : "was not frozen");
	add_who(out, a);
	if (on)
		buf_addf(out, "To let it go: weir freeze %s.%s --off\n", dag, task);
	remote_add_note(r, out);
}

static int freeze(const struct args *args, const struct ops_target *target, struct err *err)
{
	const struct remote_one one = { args_has(args, "off") ? OPS_CALL_UNFREEZE : OPS_CALL_FREEZE,
		REMOTE_WRITES, add_frozen };

	return remote_one(args, &one, target, remote_body(args, err), err);
}

static int freeze_run(const struct args *args, struct err *err)
{
	const char *word = args_operand(args, 0), *dot = strchr(word, '.');

	if (!dot || dot == word || !dot[1])
		return err_set(
			err, ERR_USAGE, "name the task as DAG.TASK, such as nightly_sales.publish");
	char *dag = strndup(word, (size_t)(dot - word));
	if (!dag)
		return err_nomem(err);
	int rc = freeze(args, &(struct ops_target){ .dag = dag, .task = dot + 1 }, err);
	free(dag);
	return rc;
}

static const struct operand freeze_operands[] = {
	{ "DAG.TASK", VALUE_TEXT, false, false, "the task, behind the name of its DAG" }, { 0 }
};
static const struct option freeze_options[] = {
	{ .name = "off", .kind = VALUE_FLAG, .help = "let the task go on" },
	REMOTE_OPTION_REASON,
	REMOTE_OPTION_DAGS,
	{ 0 },
};

const struct command command_freeze = {
	.name = "freeze",
	.group = "Operate",
	.summary = "hold one task of a DAG, in all its runs",
	.doc = "No attempt of a frozen task is started, in no run of the DAG; an attempt that runs "
	       "already goes on. Other tasks go on as far as they do not need it. Who froze it and "
	       "why is kept and shown.\n\n"
	       "  weir freeze nightly_sales.publish --reason \"figures are being checked\"\n"
	       "  weir freeze nightly_sales.publish --off",
	.options = freeze_options,
	.operands = freeze_operands,
	.run = freeze_run,
};
