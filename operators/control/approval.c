/* control: approval */
#include <string.h>

#include "base/err.h"
#include "base/node.h"
#include "base/units.h"
#include "conf/dagfile.h"
#include "conf/diag.h"
#include "operators/operators.h"

extern const struct operator operator_control_approval;

static const char *const default_names[] = { "reject", "approve", NULL };
static const char *const reject_names[] = { "fail", "skip", NULL };
static const struct field form_field = { .type = FIELD_ANY };

static const struct field params[] = {
	{ .key = "prompt",
		.type = FIELD_STRING,
		.flags = FIELD_REQUIRED | FIELD_TEMPLATE,
		.help = "What is asked.",
		.example = "\"Publish {{ ds }}?\"" },
	{ .key = "fields",
		.type = FIELD_MAP,
		.item = &form_field,
		.help = "What is to be said with an approval: names, with types, limits and "
			"defaults as params have them (weir-dag(5))." },
	{ .key = "timeout",
		.type = FIELD_DURATION,
		.has_min = true,
		.min = US_PER_SECOND,
		.help = "For how long, since it was asked. Default: for ever." },
	{ .key = "default",
		.type = FIELD_ENUM,
		.values = default_names,
		.def = "reject",
		.help = "What counts as said when nobody has decided by then. approve: with the "
			"defaults of the fields, all of which must have one." },
	{ .key = "on_reject",
		.type = FIELD_ENUM,
		.values = reject_names,
		.def = "fail",
		.help = "What becomes of the task when it is rejected." },
	{ .key = NULL },
};

static const struct operator_output outputs[] = {
	{ "by", "Who approved it." },
	{ "reason", "Why; null when no reason was given." },
	{ "fields", "An object with the values of the fields." },
	{ NULL, NULL },
};

static void check(const struct operator_check *c)
{
	const struct node *fields = node_get(c->with, "fields"),
			  *otherwise = node_get(c->with, "default");
	struct err err = { 0 };
	size_t before = c->diags->n;

	if (fields && fields->type == NODE_MAP)
		dagfile_check_form(fields, c->diags);
	if (otherwise && !node_get(c->with, "timeout"))
		diag_node(c->diags, DIAG_ERROR, otherwise, "default: belongs to timeout");
	if (!node_text(otherwise) || strcmp(otherwise->text, "approve") != 0 ||
		c->diags->n > before)
		return;
	json_t *values = dagfile_form(fields, NULL, &err);
	if (!values)
		diag_node(c->diags, DIAG_ERROR, otherwise,
			"default: approve needs a default for each field (%s)", err.msg);
	json_decref(values);
}

const struct operator operator_control_approval = {
	.kind = TASK_CONTROL,
	.name = "approval",
	.summary = "Ask a person before it goes on.",
	.doc = "The task awaits input, without a process or a slot, until somebody approves or "
	       "rejects it (weir-approve(1)); weir approvals lists what is asked. Who decided, "
	       "when and why is kept, and the values of the fields are outputs.\n\n"
	       "What is asked and until when is kept with the run: a restart asks nobody twice. "
	       "A rerun of a rejected task asks anew. While the DAG is paused a decision is taken "
	       "in, and acted on when it goes on.",
	.params = params,
	.outputs = outputs,
	.example = "release:\n  control: approval\n"
		   "  with:\n    prompt: \"Publish {{ ds }}?\"\n"
		   "    fields: { share: { type: number, min: 0, max: 1, default: 1 } }\n",
	.check = check,
	.in_loop = true,
};
