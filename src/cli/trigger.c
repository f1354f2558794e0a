#include <string.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/clock.h"
#include "base/err.h"
#include "cli/commands.h"
#include "cli/remote.h"
#include "cli/term.h"

static void add_run(
	const struct remote *r, const json_t *answer, const struct term *t, struct buf *out)
{
	const char *run = json_string_value(json_object_get(answer, "run"));
	const char *from = json_string_value(json_object_get(answer, "interval_start"));
	const char *until = json_string_value(json_object_get(answer, "interval_end"));
	const char *dag = json_string_value(json_object_get(answer, "dag"));
	char word[300];

	(void)t;
	buf_addf(out, "%s%s: %s to %s\n", run,
		json_is_true(json_object_get(answer, "created")) ? " (new)" : " (again)", from,
		until);
	struct civil_text end;
	if (until && civil_parse(until, &end, NULL) == 0 && civil_text_us(&end) > clock_now_us())
		buf_addf(
			out, "This interval ends only on %s; its data may be incomplete.\n", until);
	if (json_is_true(json_object_get(answer, "dag_paused")))
		buf_addf(out, "The DAG is paused: weir resume %s\n", dag);
	remote_add_note(r, out);
	if (r->daemon)
		buf_addf(out, "Watch it: weir show %s\n", cli_shell_word(run, word, sizeof word));
}

static int trigger(struct remote *r, json_t *body, struct err *err)
{
	const char *date = args_text(r->args, "date");
	struct ops_target target = { 0 };
	json_t *answer;

	if (date && json_object_set_new(body, "date", json_string(date)) < 0)
		return err_set(err, ERR_USAGE, "--date: it is not UTF-8");
	if (args_has(r->args, "force"))
		json_object_set_new(body, "force", json_true());
	if (remote_dag(r, args_operand(r->args, 0), &target.dag, err) < 0 ||
		remote_call(r, OPS_CALL_TRIGGER, &target, body, &answer, err) < 0)
		return -1;
	return remote_print(r, answer, add_run, err);
}

static int trigger_run(const struct args *args, struct err *err)
{
	struct remote r;
	json_t *body = remote_body(args, err);
	int rc = -1;

	if (!body)
		return -1;
	if (remote_open(&r, args, REMOTE_WRITES, err) == 0)
		rc = trigger(&r, body, err);
	remote_close(&r);
	json_decref(body);
	return rc;
}

static const struct operand trigger_operands[] = {
	{ "DAG", VALUE_DAG, false, false, "the DAG's name, or the path of its file" }, { 0 }
};
static const struct option trigger_options[] = {
	{ .name = "date",
		.letter = 'd',
		.kind = VALUE_DATE,
		.value = "DATE",
		.help = "the data interval that starts on this date, or that holds this instant; "
			"default: the last complete one" },
	{ .name = "param",
		.letter = 'p',
		.kind = VALUE_TEXT,
		.value = "NAME=VALUE",
		.repeat = true,
		.help = "set a param of the DAG" },
	{ .name = "force",
		.letter = 'f',
		.kind = VALUE_FLAG,
		.help = "do every task again, also of a run that succeeded" },
	REMOTE_OPTION_DAGS,
	{ 0 },
};

const struct command command_trigger = {
	.name = "trigger",
	.group = "Operate",
	.summary = "have the daemon run a DAG for one date",
	.doc = "Asks for the run of one data interval and returns at once: the daemon carries it "
	       "out. Where none runs, the wish is recorded and carried out when one starts; \"weir "
	       "run\" needs none. A run that is active is refused, and so is one that succeeded, "
	       "unless --force is given. One that failed goes on where it stopped.\n\n"
	       "  weir trigger nightly_sales\n"
	       "  weir trigger nightly_sales --date 2026-11-19 --param country=FR",
	.options = trigger_options,
	.operands = trigger_operands,
	.run = trigger_run,
};
