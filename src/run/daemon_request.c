/* What people ask of runs that are in hand, or about to be. */
#include "core/model.h"
#include "run/daemon_impl.h"
#include "store/store.h"

/* A run that is opened, but waits to be taken in hand: it is now. */
static int take_up(struct daemon *d, int64_t run_id, struct err *err)
{
	for (size_t i = 0; i < d->npending; i++) {
		struct pending_run *p = &d->pending[d->pending_head + i];
		const struct pending_run wanted = *p;
		if (p->run_id != run_id)
			continue;
		/* First come, first served, but for this one. */
		memmove(&d->pending[d->pending_head + 1], &d->pending[d->pending_head],
			i * sizeof *p);
		d->pending[d->pending_head] = wanted;
		return daemon_promote_first(d, err);
	}
	return 0;
}

static int find(void *arg, int64_t run_id, struct sched **ret, struct err *err)
{
	struct daemon *d = arg;

	if (d->engine.failed || d->engine.retry_us)
		return err_set(err, ERR_BUSY, "the store cannot be written now; try again");
	if (!engine_find(&d->engine, run_id) && take_up(d, run_id, err) < 0)
		return -1;
	*ret = d->engine.sched;
	return engine_find(&d->engine, run_id) != NULL;
}

static int carry_out(void *arg, const struct audit_row *request, struct err *err)
{
	struct daemon *d = arg;
	int rc = engine_request(&d->engine, request, err);

	/* What it ended made room for others. */
	daemon_turn(d);
	return rc;
}

static void look(void *arg, int64_t run_id, const char *task)
{
	struct daemon *d = arg;
	const struct active_run *r = engine_find(&d->engine, run_id);
	const struct task *t = r ? dag_find(r->dag, task) : NULL;

	if (t && sched_ask_again(d->engine.sched, run_id, t->index))
		daemon_turn(d);
}

const struct ops_hand daemon_hand = { .find = find, .carry_out = carry_out, .look = look };
