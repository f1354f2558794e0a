/* control: dag */
#include "base/err.h"
#include "base/node.h"
#include "base/units.h"
#include "conf/diag.h"
#include "operators/operators.h"

extern const struct operator operator_control_dag;

static const char *const late_names[] = { "fail", "skip", NULL };
static const char *const cancel_names[] = { "cancel", "leave", NULL };
static const struct field param_item = { .type = FIELD_VALUE, .flags = FIELD_TEMPLATE };

static const struct field params[] = {
	{ .key = "dag",
		.type = FIELD_NAME,
		.flags = FIELD_REQUIRED,
		.help = "The DAG to run, for the same data interval.",
		.example = "nightly_sales" },
	{ .key = "params",
		.type = FIELD_MAP,
		.item = &param_item,
		.help = "Values of its params; default: those of the run, where there is one, "
			"else their defaults.",
		.example = "{ region: \"{{ params.region }}\" }" },
	{ .key = "poll",
		.type = FIELD_DURATION,
		.has_min = true,
		.min = US_PER_SECOND,
		.def = "30s",
		.help = "How often it is looked at where another process has that run; here its "
			"end is noticed at once." },
	{ .key = "timeout",
		.type = FIELD_DURATION,
		.has_min = true,
		.min = US_PER_SECOND,
		.help = "For how long its end is waited for. Default: for ever. That run goes "
			"on." },
	{ .key = "on_timeout",
		.type = FIELD_ENUM,
		.values = late_names,
		.def = "fail",
		.help = "What becomes of the task then. It is not tried again." },
	{ .key = "on_cancel",
		.type = FIELD_ENUM,
		.values = cancel_names,
		.def = "cancel",
		.help = "What becomes of that run when this task is cancelled. One that was begun "
			"otherwise (by its schedule, by a person) is left in any case." },
	{ .key = NULL },
};

static const struct operator_output outputs[] = {
	{ "run", "The name of the run." },
	{ "state", "How it ended: success." },
	{ NULL, NULL },
};

static void check(const struct operator_check *c)
{
	const struct node *late = node_get(c->with, "on_timeout");

	if (late && !node_get(c->with, "timeout"))
		diag_node(c->diags, DIAG_ERROR, late, "on_timeout: belongs to timeout");
}

const struct operator operator_control_dag = {
	.kind = TASK_CONTROL,
	.name = "dag",
	.summary = "Run another DAG for the same interval, and wait for its end.",
	.doc = "While that run is at work the task is deferred, without a process or a slot; weir "
	       "why goes on into that run. It succeeds when the run does, and fails when the run "
	       "has failed or was cancelled. A retry of the task, by its retries or by weir "
	       "retry, has what failed in that run done again, and nothing else.\n\n"
	       "A DAG has one run for an interval: a run that is there already is the one. It is "
	       "waited for when it is at work, whoever began it; when it has succeeded the task "
	       "succeeds at once; when it has failed it is tried again. So whatever is killed in "
	       "between, no second run is made.\n\n"
	       "A daemon runs it as one that was asked for by weir trigger; weir run does so "
	       "itself, in the same process, with the DAGs of the file's folder. With params that "
	       "differ from those of a run in which something was done, the task fails.",
	.params = params,
	.outputs = outputs,
	.example = "sales:\n  control: dag\n"
		   "  with: { dag: nightly_sales, params: { region: eu } }\n",
	.check = check,
	.in_loop = true,
};
