/* Tasks that await input: what is asked, and what people decide. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/node.h"
#include "conf/dagfile.h"
#include "run/control_wait.h"
#include "run/ops_impl.h"

/* What can be said with an approval; null where its DAG is not known any more. */
static json_t *fields_of(const struct ops *o, const struct approval_row *a)
{
	struct store_result found;
	struct err err = { 0 };
	json_t *fields = NULL;

	if (store_run_find(o->store, a->run, &found, &err) < 0)
		return json_null();
	struct dag *dag = o->load_version(o->arg, &found.runs[0], &err);
	const struct task *t = dag ? dag_find(dag, a->task) : NULL;
	if (t)
		fields = dagfile_form_fields(node_get(t->with, "fields"));
	dag_unref(dag);
	store_result_release(&found);
	return fields ? fields : json_null();
}

static json_t *approval_json(const struct ops *o, const struct approval_row *a)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "run", a->run, "dag", a->dag,
		"task", a->task, "prompt", ops_json_text(a->waits_for), "fields", fields_of(o, a),
		"since", ops_json_time(zone_utc(), a->since_us), "until",
		ops_json_time(zone_utc(), a->due_us));
}

int ops_approvals(const struct ops *o, json_t **ret, struct err *err)
{
	json_t *list = json_array();
	struct store_result r;

	if (store_approvals(o->store, &r, err) < 0) {
		json_decref(list);
		return -1;
	}
	for (size_t i = 0; list && i < r.n; i++)
		if (json_array_append_new(list, approval_json(o, &r.approvals[i])) < 0) {
			json_decref(list);
			list = NULL;
		}
	store_result_release(&r);
	return ops_answer(list ? json_pack("{s:o}", "approvals", list) : NULL, ret, err);
}

/* The values of its fields, typed; NULL with err. A rejection has none. */
static json_t *values_of(const struct ops *o, const struct run_row *run,
	const struct ops_decision *d, struct err *err)
{
	struct dag *dag = o->load_version(o->arg, run, err);
	const struct task *t = dag ? ops_find_task(dag, d->task, err) : NULL;
	json_t *values = NULL;

	if (t && !d->approved)
		values = json_null();
	else if (t)
		values = dagfile_form(t->with ? node_get(t->with, "fields") : NULL, d->fields, err);
	dag_unref(dag);
	return values;
}

/* Refused in a state in which nothing is asked, before fields are looked at. */
static int check_state(
	const struct ops *o, const struct run_row *run, const char *task, struct err *err)
{
	struct store_result r;
	int rc = 0;

	if (store_approval(o->store, run->id, task, &r, err) < 0)
		return -1;
	if (r.n > 0 && r.approvals[0].state != TASK_AWAITING_INPUT)
		rc = err_set(err, ERR_REFUSED,
			"task %s of run %s is %s: only one that is awaiting_input can be approved "
			"or rejected; weir approvals lists them",
			task, run->name, task_state_name(r.approvals[0].state));
	store_result_release(&r);
	return rc;
}

static int decide(const struct ops *o, const struct run_row *run, const struct ops_decision *d,
	json_t *values, struct err *err)
{
	const struct control_decision decision = {
		.approved = d->approved, .by = ops_by(o), .reason = d->reason, .values = values
	};
	char *text = control_decision_text(&decision);
	const struct audit_row audit = { .run_id = run->id,
		.at_us = clock_now_us(),
		.who = ops_by(o),
		.what = d->approved ? "approve" : "reject",
		.run = run->name,
		.detail = d->task,
		.reason = d->reason };
	const struct approval_put put = { .run_id = run->id,
		.task = d->task,
		.map_index = -1,
		.approved = d->approved,
		.decision = text,
		.now_us = audit.at_us,
		.audit = &audit };
	int rc = text ? store_decide(o->store, &put, err) : err_nomem(err);

	free(text);
	if (rc == 0 && o->hand && o->hand->look)
		o->hand->look(o->arg, run->id, d->task);
	return rc;
}

int ops_decide(const struct ops *o, const struct ops_decision *d, json_t **ret, struct err *err)
{
	struct store_result found;
	json_t *values = NULL;
	int rc = -1;

	if (ops_check_reason(d->reason, err) < 0 ||
		store_run_find(o->store, d->run, &found, err) < 0)
		return -1;
	const struct run_row *run = &found.runs[0];
	if (check_state(o, run, d->task, err) == 0)
		values = values_of(o, run, d, err);
	if (values && decide(o, run, d, values, err) == 0) {
		ops_note(o, (struct ops_note){ .what = d->approved ? "approve" : "reject",
				    .dag = run->dag,
				    .run = run->name,
				    .task = d->task,
				    .reason = d->reason });
		rc = ops_answer(json_pack("{s:s, s:s, s:b, s:s, s:o, s:O}", "run", run->name,
					"task", d->task, "approved", d->approved, "by", ops_by(o),
					"reason", ops_json_text(d->reason), "fields", values),
			ret, err);
	}
	json_decref(values);
	store_result_release(&found);
	return rc;
}
