/* What people ask of runs: retry, clear, mark, skip, cancel, end-retries, set-output. */
#include "cli/intervene.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/commands.h"

/* ---- what is sent ------------------------------------------------------------------------ */

/* Operands from the second on, but for those behind `end`: names of tasks. */
static int add_tasks(json_t *body, const struct args *args, size_t end, struct err *err)
{
	json_t *list = json_array();

	for (size_t i = 1; i < end; i++)
		if (json_array_append_new(list, json_string(args_operand(args, i))) < 0) {
			json_decref(list);
			return err_set(err, ERR_USAGE, "a task's name is not UTF-8");
		}
	if (json_array_size(list) > 0)
		return json_object_set_new(body, "tasks", list) < 0 ? err_nomem(err) : 0;
	json_decref(list);
	return 0;
}

static void add_flags(json_t *body, const struct args *args)
{
	static const struct {
		const char *option, *key;
	} flags[] = { { "downstream", "downstream" }, { "failed", "failed" }, { "kill", "kill" },
		{ "dry-run", "dry_run" } };

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (args_has(args, flags[i].option))
			json_object_set_new(body, flags[i].key, json_true());
	if (args_text(args, "version"))
		json_object_set_new(body, "version", json_string(args_text(args, "version")));
}

/* A number, true, false, null, a list or an object is that; all else is text. */
static json_t *value_of(const char *text)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

	return value ? value : json_string(text);
}

/* "rows=5", or a JSON object with several. */
static int add_output(json_t *outputs, const char *word, struct err *err)
{
	const char *is = strchr(word, '=');
	json_t *all = *word == '{' ? json_loads(word, 0, NULL) : NULL;

	if (*word == '{') {
		if (!all)
			return err_set(err, ERR_USAGE, "\"%.100s\" is no JSON object", word);
		json_object_update(outputs, all);
		json_decref(all);
		return 0;
	}
	if (!is || is == word)
		return err_set(err, ERR_USAGE,
			"write an output as NAME=VALUE or as a JSON object, not \"%.100s\"", word);
	char *name = strndup(word, (size_t)(is - word));
	int rc = 0;
	if (!name)
		rc = err_nomem(err);
	else if (json_object_set_new(outputs, name, value_of(is + 1)) < 0)
		rc = err_set(err, ERR_USAGE, "output %.100s is not UTF-8", name);
	free(name);
	return rc;
}

/* Operands from `first` on, and --output. */
static json_t *outputs_of(const struct args *args, size_t first, struct err *err)
{
	json_t *outputs = json_object();
	const char *word;
	int rc = outputs ? 0 : err_nomem(err);

	for (size_t i = first; rc == 0 && i < args_noperands(args); i++)
		rc = add_output(outputs, args_operand(args, i), err);
	for (size_t i = 0; rc == 0 && (word = args_nth(args, "output", i)); i++)
		rc = add_output(outputs, word, err);
	if (rc == 0)
		return outputs;
	json_decref(outputs);
	return NULL;
}

/* ---- asking ------------------------------------------------------------------------------ */

static int ask(const struct args *args, enum ops_call_id call, json_t *body, struct err *err)
{
	const struct ops_target target = { .run = args_operand(args, 0) };
	struct remote r;
	json_t *answer;
	int rc = -1;

	add_flags(body, args);
	if (remote_open(&r, args, args_has(args, "dry-run") ? REMOTE_READS : REMOTE_WRITES, err) ==
			0 &&
		remote_call(&r, call, &target, body, &answer, err) == 0)
		rc = remote_print(&r, answer, intervene_words, err);
	remote_close(&r);
	return rc;
}

static int ask_of_tasks(const struct args *args, enum ops_call_id call, struct err *err)
{
	json_t *body = remote_body(args, err);
	int rc = -1;

	if (body && add_tasks(body, args, args_noperands(args), err) == 0)
		rc = ask(args, call, body, err);
	json_decref(body);
	return rc;
}

static int retry_run(const struct args *args, struct err *err)
{
	if (args_has(args, "downstream") && args_noperands(args) < 2)
		return err_set(err, ERR_USAGE, "--downstream: name the tasks it begins with");
	return ask_of_tasks(args, OPS_CALL_RETRY, err);
}

static int clear_run(const struct args *args, struct err *err)
{
	return ask_of_tasks(args, OPS_CALL_CLEAR, err);
}

static int skip_run(const struct args *args, struct err *err)
{
	return ask_of_tasks(args, OPS_CALL_SKIP, err);
}

static int cancel_run(const struct args *args, struct err *err)
{
	return ask_of_tasks(args, OPS_CALL_CANCEL, err);
}

static int end_retries_run(const struct args *args, struct err *err)
{
	return ask_of_tasks(args, OPS_CALL_END_RETRIES, err);
}

/* Of the one task that is named. */
static int ask_of_one(const struct args *args, enum ops_call_id call, const char *state,
	json_t *outputs, struct err *err)
{
	json_t *body = remote_body(args, err);
	int rc = -1;

	if (body && add_tasks(body, args, 2, err) == 0) {
		if (state)
			json_object_set_new(body, "state", json_string(state));
		if (json_object_size(outputs) > 0)
			json_object_set(body, "outputs", outputs);
		rc = ask(args, call, body, err);
	}
	json_decref(body);
	return rc;
}

static int mark_run(const struct args *args, struct err *err)
{
	static const char *const states[] = { "success", "failed", "skipped" };
	const char *state = args_operand(args, 2);
	bool known = false;

	for (size_t i = 0; i < sizeof states / sizeof *states; i++)
		known = known || strcmp(state, states[i]) == 0;
	if (!known)
		return err_set(err, ERR_USAGE,
			"a task is marked as success, failed or skipped, not as \"%.64s\"", state);
	if (args_has(args, "output") && strcmp(state, "success") != 0)
		return err_set(err, ERR_USAGE, "--output: only what succeeded has outputs");
	json_t *outputs = outputs_of(args, 3, err);
	int rc = outputs ? ask_of_one(args, OPS_CALL_MARK, state, outputs, err) : -1;
	json_decref(outputs);
	return rc;
}

static int set_output_run(const struct args *args, struct err *err)
{
	json_t *outputs = outputs_of(args, 2, err);
	int rc = outputs ? ask_of_one(args, OPS_CALL_SET_OUTPUT, NULL, outputs, err) : -1;

	json_decref(outputs);
	return rc;
}

/* ---- rows -------------------------------------------------------------------------------- */

static const char *const version_values[] = { "new", "same", NULL };

#define OPERAND_RUN                                                                              \
	{                                                                                        \
		"RUN", VALUE_RUN, false, false,                                                  \
			"a run: its name (nightly_sales@2026-11-19) or number, or a DAG's name " \
			"for its latest run"                                                     \
	}
#define OPTION_DRY_RUN                                                          \
	{                                                                       \
		.name = "dry-run", .letter = 'n', .kind = VALUE_FLAG,           \
		.help = "change nothing: show what would become of which tasks" \
	}
#define OPTION_DOWNSTREAM                                          \
	{                                                          \
		.name = "downstream", .kind = VALUE_FLAG,          \
		.help = "with these tasks all that depend on them" \
	}
#define OPTION_VERSION                                                                             \
	{                                                                                          \
		.name = "version", .kind = VALUE_ENUM, .value = "WHICH", .values = version_values, \
		.help = "with the newest version of the DAG (new), or with the one the run "       \
			"has (same); default: new, where its file is there. A run in motion "      \
			"keeps its own"                                                            \
	}

static const struct operand some_operands[] = { OPERAND_RUN,
	{ "TASK", VALUE_TASK, true, true, "tasks of it" }, { 0 } };
static const struct operand tasks_operands[] = { OPERAND_RUN,
	{ "TASK", VALUE_TASK, false, true, "tasks of it" }, { 0 } };
static const struct option plain_options[] = { OPTION_DRY_RUN, REMOTE_OPTION_REASON, { 0 } };

static const struct option retry_options[] = {
	OPTION_DOWNSTREAM,
	{ .name = "failed",
		.kind = VALUE_FLAG,
		.help = "of these tasks, only those that failed, could not run (upstream_failed), "
			"or were cancelled; without TASK that is how it is" },
	OPTION_VERSION,
	OPTION_DRY_RUN,
	REMOTE_OPTION_REASON,
	REMOTE_OPTION_DAGS,
	{ 0 },
};

const struct command command_retry = {
	.name = "retry",
	.group = "Intervene",
	.summary = "do what failed in a run again",
	.doc = "Without TASK all that failed, could not run for it, or was cancelled is done "
	       "again; with TASK these, whether they failed or not. They have all their retries "
	       "again. A task that waits for its next try starts at once. A run that has ended is "
	       "taken up again, and nothing but these tasks is done in it.\n\n"
	       "  weir retry nightly_sales@2026-11-19\n"
	       "  weir retry nightly_sales load --downstream --reason \"the file was mended\"\n"
	       "  weir retry nightly_sales --version same --dry-run",
	.options = retry_options,
	.operands = some_operands,
	.run = retry_run,
};

static const struct option clear_options[] = { OPTION_DOWNSTREAM, OPTION_VERSION, OPTION_DRY_RUN,
	REMOTE_OPTION_REASON, REMOTE_OPTION_DAGS, { 0 } };

const struct command command_clear = {
	.name = "clear",
	.group = "Intervene",
	.summary = "let tasks of a run count as not done",
	.doc = "They go back to the state none, whatever they were, and are done again when what "
	       "they need is done. Their outputs are forgotten; their attempts and logs are not. "
	       "What depends on them stays as it is, unless --downstream is given.\n\n"
	       "  weir clear nightly_sales load --downstream",
	.options = clear_options,
	.operands = tasks_operands,
	.run = clear_run,
};

static const struct operand mark_operands[] = { OPERAND_RUN,
	{ "TASK", VALUE_TASK, false, false, "a task of it" },
	{ "STATE", VALUE_TEXT, false, false, "success, failed or skipped" }, { 0 } };
static const struct option mark_options[] = {
	{ .name = "output",
		.letter = 'o',
		.kind = VALUE_TEXT,
		.value = "NAME=VALUE",
		.repeat = true,
		.help = "with success: an output, for the tasks that depend on it" },
	OPTION_DRY_RUN,
	REMOTE_OPTION_REASON,
	{ 0 },
};

const struct command command_mark = {
	.name = "mark",
	.group = "Intervene",
	.summary = "set the state of a task by hand",
	.doc = "For work that was done by hand (success), whose result is not to be trusted "
	       "(failed), or that is not wanted (skipped). What follows for other tasks follows "
	       "at once: those that could not run for it are judged anew. With success it has the "
	       "outputs that are given, and no others. A task that runs is cancelled first.\n\n"
	       "  weir mark nightly_sales load success --output rows=1200 --reason \"loaded by "
	       "hand\"",
	.options = mark_options,
	.operands = mark_operands,
	.run = mark_run,
};

const struct command command_skip = {
	.name = "skip",
	.group = "Intervene",
	.summary = "leave out tasks that have not run yet",
	.doc = "They become skipped. What needs them is skipped or runs as its trigger rule says; "
	       "--dry-run tells.\n\n"
	       "  weir skip nightly_sales report --reason \"nobody reads it on Sundays\"",
	.options = plain_options,
	.operands = tasks_operands,
	.run = skip_run,
};

static const struct option cancel_options[] = {
	{ .name = "kill",
		.kind = VALUE_FLAG,
		.help = "kill what runs at once, instead of asking it to end first" },
	OPTION_DRY_RUN,
	REMOTE_OPTION_REASON,
	{ 0 },
};

const struct command command_cancel = {
	.name = "cancel",
	.group = "Intervene",
	.summary = "cancel a run, or tasks of it",
	.doc = "What runs is asked to end (TERM, and KILL after its grace), what waits is "
	       "cancelled at once; nothing new starts. With TASK only these, and what needs them "
	       "cannot run. Asked again with --kill, what still runs is killed. \"weir retry\" "
	       "takes up again what was cancelled.\n\n"
	       "  weir cancel nightly_sales@2026-11-19 --reason \"wrong source\"",
	.options = cancel_options,
	.operands = some_operands,
	.run = cancel_run,
};

const struct command command_end_retries = {
	.name = "end-retries",
	.group = "Intervene",
	.summary = "let a task that waits for its next try have failed",
	.doc = "Where no further try will help, nobody needs to wait for it: the task becomes "
	       "failed at once, and what follows from that follows.\n\n"
	       "  weir end-retries nightly_sales load",
	.options = plain_options,
	.operands = tasks_operands,
	.run = end_retries_run,
};

static const struct operand output_operands[] = { OPERAND_RUN,
	{ "TASK", VALUE_TASK, false, false, "a task of it that succeeded" },
	{ "NAME=VALUE", VALUE_TEXT, false, true,
		"an output; the value is JSON where it reads as such, else text. Or all of it as "
		"one JSON object" },
	{ 0 } };

const struct command command_set_output = {
	.name = "set-output",
	.group = "Intervene",
	.summary = "set outputs of a task that succeeded",
	.doc = "For the tasks that depend on it, which see them as tasks.TASK.outputs.NAME. "
	       "Outputs of other names stay. Refused when one of these tasks has begun: with other "
	       "outputs it would not have done the same; clear it first.\n\n"
	       "  weir set-output nightly_sales load rows=1200 path=/data/sales.csv",
	.options = plain_options,
	.operands = output_operands,
	.run = set_output_run,
};
