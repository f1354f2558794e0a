/* control: branch */
#include "base/err.h"
#include "base/node.h"
#include "conf/diag.h"
#include "conf/template.h"
#include "operators/operators.h"

extern const struct operator operator_control_branch;

static const struct field name_item = { .type = FIELD_STRING, .flags = FIELD_TEMPLATE };

static const struct field case_fields[] = {
	{ .key = "if",
		.type = FIELD_VALUE,
		.flags = FIELD_REQUIRED | FIELD_TEMPLATE | FIELD_TRUTH,
		.help = "True or false, by a template.",
		.example = "\"{{ params.mode == 'full' }}\"" },
	{ .key = "then",
		.type = FIELD_LIST,
		.item = &name_item,
		.flags = FIELD_REQUIRED | FIELD_OR_ONE,
		.help = "The tasks that are chosen then." },
	{ .key = NULL },
};
static const struct field case_item = { .type = FIELD_OBJECT, .fields = case_fields };

static const struct field params[] = {
	{ .key = "choose",
		.type = FIELD_LIST,
		.item = &name_item,
		.flags = FIELD_OR_ONE,
		.help = "The tasks that are chosen, mostly by a template.",
		.example = "\"load_{{ params.mode }}\"" },
	{ .key = "cases",
		.type = FIELD_LIST,
		.item = &case_item,
		.flags = FIELD_OR_ONE,
		.help = "In place of choose: the first case whose condition is true." },
	{ .key = "else",
		.type = FIELD_LIST,
		.item = &name_item,
		.flags = FIELD_OR_ONE,
		.help = "The tasks that are chosen when no case is true. Default: none." },
	{ .key = NULL },
};

static const struct operator_output outputs[] = {
	{ "chosen", "A list of the names of the chosen tasks." },
	{ NULL, NULL },
};

static void check(const struct operator_check *c)
{
	const struct node *choose = node_get(c->with, "choose"),
			  *cases = node_get(c->with, "cases"),
			  *otherwise = node_get(c->with, "else");

	if (!choose == !cases) {
		diag_node(c->diags, DIAG_ERROR, c->with, "branch needs either choose or cases");
		diag_hint(c->diags, "for example: with: { choose: \"load_{{ params.mode }}\" }");
	} else if (choose && otherwise) {
		diag_node(c->diags, DIAG_ERROR, otherwise, "else: belongs to cases, not to choose");
	}
}

/* The names of the first true case; NULL: none is. -1: a condition is neither. */
static int find_case(const json_t *cases, json_t **ret, struct err *err)
{
	json_t *one;
	size_t i;

	*ret = NULL;
	json_array_foreach(cases, i, one)
	{
		bool yes;
		if (template_truth(json_object_get(one, "if"), &yes, err) < 0)
			return err_context(err, "cases: item %zu: if", i + 1);
		if (!yes)
			continue;
		*ret = json_object_get(one, "then");
		return 0;
	}
	return 0;
}

static int run(struct operator_job *job, struct err *err)
{
	json_t *chosen = json_object_get(job->with, "choose");

	if (!chosen && find_case(json_object_get(job->with, "cases"), &chosen, err) < 0)
		return -1;
	if (!chosen)
		chosen = json_object_get(job->with, "else");
	if (json_object_set_new(
		    job->outputs, "chosen", chosen ? json_incref(chosen) : json_array()) < 0)
		return err_nomem(err);
	return 0;
}

const struct operator operator_control_branch = {
	.kind = TASK_CONTROL,
	.name = "branch",
	.summary = "Choose which of the tasks directly behind it go on.",
	.doc = "Tasks that need this one and are not chosen are skipped, and what is behind them "
	       "follows its own trigger rule: where ways meet again, a task with "
	       "trigger: none_failed_min_one_success goes on. A task chosen that does not need "
	       "this one is an error, when the DAG is validated or, where a template says so, "
	       "when it is rendered.\n\n"
	       "A branch starts no process. What it chose is kept with the run: running it again "
	       "chooses the same as long as the branch itself is not done again.",
	.params = params,
	.outputs = outputs,
	.example = "pick:\n  control: branch\n"
		   "  with: { choose: \"load_{{ params.region }}\" }\n",
	.check = check,
	.run = run,
	.in_loop = true,
};
