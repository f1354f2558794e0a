/* control: short_circuit */
#include "base/err.h"
#include "conf/template.h"
#include "operators/operators.h"

extern const struct operator operator_control_short_circuit;

static const struct field params[] = {
	{ .key = "if",
		.type = FIELD_VALUE,
		.flags = FIELD_REQUIRED | FIELD_TEMPLATE | FIELD_TRUTH,
		.help = "True: what is behind goes on. False: it is skipped.",
		.example = "\"{{ tasks.count.outputs.rows > 0 }}\"" },
	{ .key = "ignore_rules",
		.type = FIELD_BOOL,
		.def = "true",
		.help = "Skip all that is behind it, whatever the trigger rules there. false: only "
			"the tasks that need it directly; those behind follow their rules." },
	{ .key = NULL },
};

static const struct operator_output outputs[] = {
	{ "passed", "Whether it was true." },
	{ NULL, NULL },
};

static int run(struct operator_job *job, struct err *err)
{
	bool yes;

	if (template_truth(json_object_get(job->with, "if"), &yes, err) < 0)
		return err_context(err, "if");
	if (json_object_set_new(job->outputs, "passed", json_boolean(yes)) < 0)
		return err_nomem(err);
	return 0;
}

const struct operator operator_control_short_circuit = {
	.kind = TASK_CONTROL,
	.name = "short_circuit",
	.summary = "Go on only when a condition is true.",
	.doc = "When the condition is false the task itself succeeds, and all behind it, directly "
	       "or "
	       "not, is skipped; but for teardowns, which run whatever happened. To skip a single "
	       "task, its own key if is simpler.\n\n"
	       "It starts no process.",
	.params = params,
	.outputs = outputs,
	.example = "only_in_europe:\n  control: short_circuit\n"
		   "  with: { if: \"{{ params.region == 'eu' }}\" }\n",
	.run = run,
	.in_loop = true,
};
