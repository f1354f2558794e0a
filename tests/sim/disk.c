/* The store as a process sees it: the memory store behind a layer of faults, which is put into its
 * table. What is not named here passes undisturbed.
 *
 * A call is refused before anything of it is done, or takes long, or the process dies or sleeps
 * before or behind it: a commit whose end was never heard of is one behind which the process died.
 * The store itself outlives all of them.
 */
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "tests/sim/sim.h"

static const struct store_ops *below; /* of the memory store */
static struct sim *w;

/* Ahead of each call. -1: it is refused. */
static int enter(const char *what, struct err *err)
{
	if (!w->active)
		return 0;
	actor_point(w->active, what);
	if (w->now_us < w->stall_us && world_one_in(w, 3))
		world_pass(w, world_between(w, 100 * SIM_MS, 8 * SIM_S));
	if (w->now_us < w->store_down_us)
		return err_set(err, ERR_STORE, "simulated: disk full");
	if (w->now_us < w->flaky_us && world_one_in(w, 3))
		return err_set(err, ERR_BUSY, "simulated: the database is locked");
	return 0;
}

static int leave(const char *what, int rc)
{
	if (rc == 0)
		w->effects++;
	if (w->active)
		actor_point(w->active, what);
	return rc;
}

/* ---- runs ----------------------------------------------------------------------------- */

void disk_push_aside(struct trun *r)
{
	if (w->same_host && r->owner &&
		(r->owner->status == ACTOR_DOWN || r->owner->incarnation != r->incarnation))
		below->run_close(w->base, r->id, r->epoch, NULL);
}

static struct trun *find_run(const struct run_open *open)
{
	for (int i = 0; i < w->nruns; i++)
		if (strcmp(w->runs[i].dag->name, open->key.dag) == 0 &&
			w->runs[i].start_us == open->key.interval_start_us)
			return &w->runs[i];
	return NULL;
}

/* All that asks is one process here, and is to be as many as there are stacks. */
static struct owner owner_of(const struct actor *n)
{
	struct owner ret = { .pid = 100000 + n->incarnation, .start_ticks = 1 };

	if (n->begun)
		return n->engine->self;
	snprintf(ret.host, sizeof ret.host, "sim");
	snprintf(ret.boot_id, sizeof ret.boot_id, "sim");
	return ret;
}

static struct run_open as_who_asks(const struct run_open *open)
{
	struct run_open ret = *open;

	if (w->active && ret.owner.pid && strcmp(ret.owner.host, "sim") != 0)
		ret.owner = owner_of(w->active);
	return ret;
}

/* Who looks knows itself (owner_self). */
static void know_self(const struct store_result *rows)
{
	struct owner mine = w->active ? owner_of(w->active) : (struct owner){ 0 };
	static struct owner self;

	for (size_t i = 0; i < rows->n; i++) {
		struct owner *o = (struct owner *)&rows->runs[i].owner;
		if (!w->active || o->pid != mine.pid)
			continue;
		if (self.pid != getpid() && owner_self(&self, NULL) < 0)
			continue;
		*o = self;
	}
}

static int disk_run_open(
	struct store *s, const struct run_open *open, struct run_opened *ret, struct err *err)
{
	if (enter("before it opens a run", err) < 0)
		return -1;
	const struct run_open mine = as_who_asks(open);
	struct trun *r = find_run(open);
	if (r)
		disk_push_aside(r);
	int rc = below->run_open(s, &mine, ret, err);
	if (rc == 0)
		truth_opened(w, w->active, &mine, ret);
	return leave("behind the opening of a run", rc);
}

static int disk_run_renew(
	struct store *s, int64_t run_id, int64_t epoch, int64_t until_us, struct err *err)
{
	if (enter("before it renews a lease", err) < 0)
		return -1;
	return leave(
		"behind the renewal of a lease", below->run_renew(s, run_id, epoch, until_us, err));
}

static int disk_run_close(struct store *s, int64_t run_id, int64_t epoch, struct err *err)
{
	if (enter("before it gives a run up", err) < 0)
		return -1;
	int rc = below->run_close(s, run_id, epoch, err);
	if (rc == 0)
		truth_closed(w, run_id);
	return leave("behind the giving up of a run", rc);
}

static int disk_renew_owned(
	struct store *s, const struct owner *owner, int64_t until_us, struct err *err)
{
	if (enter("before it renews its leases", err) < 0)
		return -1;
	return leave(
		"behind the renewal of its leases", below->renew_owned(s, owner, until_us, err));
}

/* ---- decisions ------------------------------------------------------------------------ */

static int disk_plan_commit(
	struct store *s, const struct store_plan *plan, struct run_opened *ret, struct err *err)
{
	if (enter("before it commits a plan", err) < 0)
		return -1;
	int rc = below->plan_commit(s, plan, ret, err);
	for (size_t i = 0; rc == 0 && i < plan->nopens; i++)
		if (ret[i].run_id)
			truth_opened(w, w->active, &plan->opens[i], &ret[i]);
	return leave("behind the commit of a plan", rc);
}

static int disk_reserve_tokens(struct store *s, int64_t n, int64_t *ret_first, struct err *err)
{
	if (enter("before it reserves tokens", err) < 0)
		return -1;
	return leave(
		"behind the reservation of tokens", below->reserve_tokens(s, n, ret_first, err));
}

static int disk_commit(struct store *s, const struct store_batch *b, struct err *err)
{
	if (enter("before a commit", err) < 0)
		return -1;
	int rc = below->commit(s, b, err);
	if (rc == 0)
		truth_commit(w, w->active, b);
	return leave("behind a commit", rc);
}

static int disk_decide(struct store *s, const struct approval_put *put, struct err *err)
{
	if (enter("before it writes a decision", err) < 0)
		return -1;
	int rc = below->decide(s, put, err);
	if (rc == 0)
		truth_decided(w, put);
	return leave("behind writing a decision", rc);
}

static int disk_outbox_set(struct store *s, const struct outbox_set *set, struct err *err)
{
	if (enter("before it writes what became of acts", err) < 0)
		return -1;
	int rc = below->outbox_set(s, set, err);
	if (rc == 0)
		outbox_set(w, set);
	return leave("behind writing what became of acts", rc);
}

/* ---- reading -------------------------------------------------------------------------- */

static int disk_runs(
	struct store *s, const struct run_query *q, struct store_result *ret, struct err *err)
{
	if (enter("before it reads runs", err) < 0)
		return -1;
	int rc = below->runs(s, q, ret, err);
	if (rc == 0)
		know_self(ret);
	return rc;
}

static int disk_rows(
	struct store *s, const struct row_query *q, struct store_result *ret, struct err *err)
{
	return enter("before it reads rows", err) < 0 ? -1 : below->rows(s, q, ret, err);
}

static int disk_list(
	struct store *s, const struct list_query *q, struct store_result *ret, struct err *err)
{
	return enter("before it reads a list", err) < 0 ? -1 : below->list(s, q, ret, err);
}

static int disk_attempt_open(struct store *s, int64_t token, bool *ret, struct err *err)
{
	return enter("before it reads an attempt", err) < 0
		       ? -1
		       : below->attempt_open(s, token, ret, err);
}

static int disk_late_end(
	struct store *s, const struct late_end *end, bool *ret_recorded, struct err *err)
{
	if (enter("before it writes a late end", err) < 0)
		return -1;
	return leave("behind writing a late end", below->late_end(s, end, ret_recorded, err));
}

void disk_open(struct sim *world)
{
	static struct store_ops ops;
	struct err err = { 0 };

	must(world, store_open_memory(&world->base, &err) == 0, "%s", err.msg);
	w = world;
	below = world->base->ops;
	ops = *below;
	ops.name = "simulated";
	ops.run_open = disk_run_open;
	ops.run_renew = disk_run_renew;
	ops.run_close = disk_run_close;
	ops.renew_owned = disk_renew_owned;
	ops.plan_commit = disk_plan_commit;
	ops.reserve_tokens = disk_reserve_tokens;
	ops.commit = disk_commit;
	ops.decide = disk_decide;
	ops.outbox_set = disk_outbox_set;
	ops.late_end = disk_late_end;
	ops.attempt_open = disk_attempt_open;
	ops.runs = disk_runs;
	ops.rows = disk_rows;
	ops.list = disk_list;
	world->base->ops = &ops;
}
