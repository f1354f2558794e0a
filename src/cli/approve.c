/* What waits for a person: approvals, approve, reject. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "cli/commands.h"
#include "cli/grid.h"
#include "cli/remote.h"
#include "cli/term.h"

/* ---- listing ----------------------------------------------------------------------------- */

enum { FORM_MAX = 16 << 10 };

static const struct grid_column columns[] = {
	{ "RUN", GRID_FLEX },
	{ "TASK", 0 },
	{ "SINCE", 0 },
	{ "UNTIL", 0 },
	{ "ASKED", GRID_FLEX },
	{ "FIELDS", GRID_FLEX },
};

static void add_time(struct grid *g, const json_t *o, const char *key)
{
	const char *text = cli_get_text(o, key);

	grid_addf(g, STYLE_NONE, "%.16s", text ? text : "");
}

/* "share=1, note (string)": what has a default, and what must be given. */
static void add_form(struct grid *g, const json_t *a)
{
	struct buf text;
	json_t *f;
	size_t i;

	buf_init(&text, FORM_MAX);
	json_array_foreach(json_object_get(a, "fields"), i, f)
	{
		const char *def = cli_get_text(f, "default");
		buf_addf(&text, "%s%s%s%s%s", i ? ", " : "", cli_get_text(f, "name"),
			def ? "=" : " (", def ? def : cli_get_text(f, "type"), def ? "" : ")");
	}
	grid_addf(g, STYLE_NONE, "%s", text.data);
	buf_release(&text);
}

/* " --field note=STRING": those that must be given. */
static void add_given(const json_t *a, struct buf *out)
{
	json_t *f;
	size_t i;

	json_array_foreach(json_object_get(a, "fields"), i, f) if (!cli_get_text(f, "default"))
		buf_addf(out, " --field %s=%s", cli_get_text(f, "name"), cli_get_text(f, "type"));
}

static void add_list(
	const struct remote *r, const json_t *answer, const struct term *t, struct buf *out)
{
	const json_t *list = json_object_get(answer, "approvals");
	struct grid g;
	json_t *a;
	size_t i;

	(void)r;
	grid_init(&g, columns, sizeof columns / sizeof *columns);
	json_array_foreach((json_t *)list, i, a)
	{
		grid_add(&g, STYLE_BOLD, cli_get_text(a, "run"));
		grid_add(&g, STYLE_NONE, cli_get_text(a, "task"));
		add_time(&g, a, "since");
		add_time(&g, a, "until");
		grid_add(&g, STYLE_NONE, cli_get_text(a, "prompt"));
		add_form(&g, a);
	}
	a = json_array_get(list, 0);
	if (a) {
		grid_print(&g, t, 0, out);
		buf_addf(out, "\nnext\n  weir approve %s %s", cli_get_text(a, "run"),
			cli_get_text(a, "task"));
		add_given(a, out);
		buf_addf(out, "\n  weir reject %s %s --reason TEXT\n", cli_get_text(a, "run"),
			cli_get_text(a, "task"));
	} else {
		buf_addstr(out, "Nothing waits for a decision.\n");
	}
	grid_release(&g);
}

static int approvals_run(const struct args *args, struct err *err)
{
	return remote_show(args, OPS_CALL_APPROVALS, add_list, err);
}

/* ---- deciding ---------------------------------------------------------------------------- */

static int add_field(json_t *fields, const char *text, struct err *err)
{
	const char *is = strchr(text, '=');
	char *name;

	if (!is || is == text)
		return err_set(err, ERR_USAGE, "--field %.100s: write it as NAME=VALUE", text);
	name = strndup(text, (size_t)(is - text));
	int rc = name ? 0 : err_nomem(err);
	if (name && json_object_set_new(fields, name, json_string(is + 1)) < 0)
		rc = err_set(err, ERR_USAGE, "--field %.100s: it is not UTF-8", name);
	free(name);
	return rc;
}

static int add_fields(json_t *body, const struct args *args, struct err *err)
{
	json_t *fields = json_object();
	const char *text;
	int rc = fields ? 0 : err_nomem(err);

	for (size_t i = 0; rc == 0 && (text = args_nth(args, "field", i)); i++)
		rc = add_field(fields, text, err);
	if (rc == 0 && json_object_size(fields) > 0)
		json_object_set(body, "fields", fields);
	json_decref(fields);
	return rc;
}

static void add_decided(
	const struct remote *r, const json_t *answer, const struct term *t, struct buf *out)
{
	const char *reason = cli_get_text(answer, "reason");

	(void)t;
	buf_addf(out, "%s %s is %s (by %s%s%s).\n", cli_get_text(answer, "run"),
		cli_get_text(answer, "task"),
		cli_get_flag(answer, "approved") ? "approved" : "rejected",
		cli_get_text(answer, "by"), reason ? ": " : "", reason ? reason : "");
	if (!r->daemon)
		buf_addstr(out, "No daemon is running: a weir run that waits for it goes on within "
				"seconds; else the next one does.\n");
}

static int decide(const struct args *args, enum ops_call_id call, struct err *err)
{
	const struct remote_one one = { call, REMOTE_WRITES, add_decided };
	const struct ops_target target = { .run = args_operand(args, 0),
		.task = args_operand(args, 1) };
	json_t *body = remote_body(args, err);

	if (body && call == OPS_CALL_APPROVE && add_fields(body, args, err) < 0) {
		json_decref(body);
		return -1;
	}
	return remote_one(args, &one, &target, body, err);
}

static int approve_run(const struct args *args, struct err *err)
{
	return decide(args, OPS_CALL_APPROVE, err);
}

static int reject_run(const struct args *args, struct err *err)
{
	return decide(args, OPS_CALL_REJECT, err);
}

/* ---- rows -------------------------------------------------------------------------------- */

static const struct operand operands[] = { { "RUN", VALUE_RUN, false, false,
						   "a run: its name, its number, or a DAG's name "
						   "for its latest run" },
	{ "TASK", VALUE_TASK, false, false, "the task that asks" }, { 0 } };
static const struct option approvals_options[] = { { 0 } };
static const struct option approve_options[] = {
	{ .name = "field",
		.letter = 'f',
		.kind = VALUE_TEXT,
		.value = "NAME=VALUE",
		.repeat = true,
		.help = "a field that is asked for; those without a default must be given" },
	REMOTE_OPTION_REASON,
	{ 0 },
};
static const struct option reject_options[] = { REMOTE_OPTION_REASON, { 0 } };

const struct command command_approvals = {
	.name = "approvals",
	.group = "Intervene",
	.summary = "list what waits for a decision",
	.doc = "The tasks of kind control: approval that ask somebody, the longest waiting first; "
	       "times are in UTC. Of the fields, those with a default say it; of the others, "
	       "which must be given, the type is told.",
	.options = approvals_options,
	.run = approvals_run,
};

const struct command command_approve = {
	.name = "approve",
	.group = "Intervene",
	.summary = "approve a task that asks",
	.doc = "The task succeeds, and what is behind it goes on; the values of its fields are its "
	       "outputs. Who approved it, when and why is kept. It can be said once.\n\n"
	       "  weir approve nightly_sales release --field share=0.5 --reason \"checked\"",
	.options = approve_options,
	.operands = operands,
	.run = approve_run,
};

const struct command command_reject = {
	.name = "reject",
	.group = "Intervene",
	.summary = "reject a task that asks",
	.doc = "The task fails, or is skipped where it says on_reject: skip. Who rejected it, when "
	       "and why is kept.\n\n"
	       "  weir reject nightly_sales release --reason \"the totals are wrong\"",
	.options = reject_options,
	.operands = operands,
	.run = reject_run,
};
