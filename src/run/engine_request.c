/* What people ask of runs in hand. */
#include <stdlib.h>
#include <string.h>

#include "core/model.h"
#include "run/engine_impl.h"
#include "run/outputs.h"

/* Those of a mapped task are its instances', unless it has a new list, or they are set. */
static void follow(struct engine *e, struct active_run *r, const struct change *c)
{
	struct task_view whole = { 0 };
	bool own = c->state.to == TASK_SUCCESS && c->state.outputs;

	sched_task_view(e->sched, r->id, c->task_index, &whole);
	if (whole.states && c->map_index < 0 && !own)
		return;
	const struct outputs_of of = { c->task, c->map_index, whole.ninstances };
	json_t *outputs = own ? json_loads(c->state.outputs, 0, NULL) : NULL;
	outputs_set(r->job.outputs, &of, outputs);
	json_decref(outputs);
}

/* Tasks that start in the very step that follows see the outputs of others as they are now. Returns
 * whether the run changes at all. */
static bool follow_outputs(struct engine *e, struct active_run *r)
{
	size_t n;
	const struct change *c = sched_changes(e->sched, &n);
	bool any = false;

	for (size_t i = 0; i < n; i++, c++) {
		any = any || c->run_id == r->id;
		if (c->run_id == r->id && c->kind == CHANGE_TASK)
			follow(e, r, c);
	}
	return any;
}

static int keep(struct engine *e, const struct audit_row *a, struct err *err)
{
	struct arena *s = &e->scratch;

	if (e->nrequests == e->requests_cap) {
		size_t cap = e->requests_cap ? 2 * e->requests_cap : 4;
		struct audit_row *grown = reallocarray(e->requests, cap, sizeof *grown);
		if (!grown)
			return err_nomem(err);
		e->requests = grown;
		e->requests_cap = cap;
	}
	e->requests[e->nrequests++] = (struct audit_row){ .run_id = a->run_id,
		.at_us = a->at_us,
		.who = a->who ? arena_strdup(s, a->who) : NULL,
		.what = arena_strdup(s, a->what),
		.run = arena_strdup(s, a->run),
		.detail = a->detail ? arena_strdup(s, a->detail) : NULL,
		.reason = a->reason ? arena_strdup(s, a->reason) : NULL };
	return s->failed ? err_nomem(err) : 0;
}

void engine_forget_requests(struct engine *e, int64_t run_id)
{
	size_t kept = 0;

	for (size_t i = 0; i < e->nrequests; i++)
		if (e->requests[i].run_id != run_id)
			e->requests[kept++] = e->requests[i];
	e->nrequests = kept;
}

int engine_request(struct engine *e, const struct audit_row *request, struct err *err)
{
	struct active_run *r = engine_find(e, request->run_id);
	int64_t before = e->nrecorded;

	if (!r)
		return err_set(err, ERR_INTERNAL, "run %s is not in hand", request->run);
	/* What changes nothing is no request: it would never be committed. */
	if (!follow_outputs(e, r))
		return err_set(err, ERR_REFUSED, "there is nothing to change in run %s", r->name);
	if (keep(e, request, err) < 0)
		return -1;
	engine_step(e);
	if (e->nrecorded > before)
		return 0;
	if (e->retry_us)
		return err_set(err, ERR_BUSY,
			"the store cannot be written now: what was asked for is done as soon as "
			"it can be");
	return err_set(err, ERR_FENCED, "run %s has passed on to another owner", request->run);
}
