#include "store/backend.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"

void *rows_add(struct rows *r)
{
	if (r->n == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 8;
		char *data = arena_array(r->arena, cap, r->size);
		if (!data)
			return NULL;
		if (r->n)
			memcpy(data, r->data, r->n * r->size);
		r->data = data;
		r->cap = cap;
	}
	return r->data + r->size * r->n++;
}

int rows_end(struct rows *r, struct store_result *ret, struct err *err)
{
	if (r->arena->failed)
		return err_set(
			err, ERR_NOMEM, "the answer does not fit into memory: ask for fewer rows");
	ret->n = r->n;
	ret->runs = (const void *)r->data;
	return 0;
}

int backend_check_open(const struct run_open *open, struct err *err)
{
	if (!open->key.dag || !open->name || !open->version)
		return err_set(err, ERR_INTERNAL, "a run is opened without DAG, name or version");
	if (open->owner.pid < 0 || (open->owner.pid == 0 && !open->wanted))
		return err_set(err, ERR_INTERNAL,
			"run %s: it is opened by nobody, and no daemon is to carry it on",
			open->name);
	if (open->key.interval_end_us < open->key.interval_start_us)
		return err_set(err, ERR_INTERNAL, "run %s: its interval ends before it starts",
			open->name);
	return 0;
}

static bool same_owner(const struct owner *a, const struct owner *b)
{
	return a->pid == b->pid && a->start_ticks == b->start_ticks &&
	       strcmp(a->host, b->host) == 0 && strcmp(a->boot_id, b->boot_id) == 0;
}

int backend_may_take(const struct backend_present *p, const struct run_open *open, struct err *err)
{
	if (open->only_new)
		return err_set(err, ERR_REFUSED, "run %s exists already", p->name);
	if (open->only_ended && !p->ended)
		return err_set(err, ERR_REFUSED, "run %s has not ended", p->name);
	if (open->if_wanted && !p->wanted && !p->running)
		return err_set(err, ERR_REFUSED,
			"run %s has come to its end in other hands meanwhile", p->name);
	if (p->owner.pid <= 0 || same_owner(&p->owner, &open->owner) ||
		p->lease_until_us <= open->now_us || owner_is_dead(&p->owner))
		return 0;
	char until[32];
	time_t t = (time_t)(p->lease_until_us / 1000000);
	struct tm tm;
	if (!gmtime_r(&t, &tm) || strftime(until, sizeof until, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		until[0] = '\0';
	return err_set(err, ERR_REFUSED,
		"run %s is in the hands of process %" PRId64
		" on host %s (a daemon, or another weir "
		"run; lease until %s): watch it with weir show %s",
		p->name, p->owner.pid, p->owner.host, until, p->name);
}

const char *backend_run_name(const struct run_open *open, int n, struct arena *a)
{
	const char *longer = open->long_name ? open->long_name : open->name;

	if (n == 0)
		return open->name;
	if (n == 1)
		return longer;
	return arena_printf(a, "%s.%d", longer, n);
}

int64_t backend_least_token(void)
{
	return clock_now_us();
}

bool backend_records_hash(const struct change *c, const char *present)
{
	/* A mapped task begins with its list. */
	bool listed = c->reason == REASON_MAPPED && !task_state_is_final(c->state.from);

	return c->state.hash && (c->state.to == TASK_RUNNING || listed || !present);
}

/* Rows: from. */
static const bool backfill_may[BACKFILL_STATE_MAX][BACKFILL_STATE_MAX] = {
	[BACKFILL_RUNNING] = { [BACKFILL_PAUSED] = true,
		[BACKFILL_CANCELLED] = true,
		[BACKFILL_DONE] = true },
	[BACKFILL_PAUSED] = { [BACKFILL_RUNNING] = true, [BACKFILL_CANCELLED] = true },
};

int backend_may_set(const struct backfill_set *set, enum backfill_state present, struct err *err)
{
	if (backfill_may[present][set->to])
		return 0;
	return err_set(err, ERR_REFUSED, "backfill %" PRId64 " is %s, and cannot become %s",
		set->id, backfill_state_name(present), backfill_state_name(set->to));
}

bool backend_backfill_is_final(enum backfill_state b)
{
	return b == BACKFILL_CANCELLED || b == BACKFILL_DONE;
}

int backend_no_backfill(int64_t id, struct err *err)
{
	return err_set(err, ERR_NOT_FOUND,
		"there is no backfill %" PRId64 ": `weir backfills` lists them", id);
}

int backend_fenced(int64_t run_id, int64_t epoch, int64_t present, struct err *err)
{
	return err_set(err, ERR_FENCED,
		"run %" PRId64 " has passed on to another process (epoch %" PRId64
		", this process had %" PRId64 "): nothing of it was recorded",
		run_id, present, epoch);
}

int backend_no_run(int64_t run_id, struct err *err)
{
	return err_set(err, ERR_NOT_FOUND, "there is no run %" PRId64, run_id);
}

int backend_no_task(const struct change *c, struct err *err)
{
	return err_set(err, ERR_INTERNAL, "run %" PRId64 " has no task %s (map index %d)",
		c->run_id, c->task, c->map_index);
}

int backend_wrong_state(const struct change *c, const char *present, struct err *err)
{
	if (c->kind == CHANGE_RUN)
		return err_set(err, ERR_INTERNAL,
			"run %" PRId64 " is %s, and cannot go from %s to %s", c->run_id, present,
			run_state_name(c->run.from), run_state_name(c->run.to));
	if (c->kind == CHANGE_LOOKED)
		return err_set(err, ERR_INTERNAL,
			"task %s of run %" PRId64 " is %s, and nothing is looked for", c->task,
			c->run_id, present);
	return err_set(err, ERR_INTERNAL,
		"task %s of run %" PRId64 " is %s, and cannot go from %s to %s", c->task, c->run_id,
		present, task_state_name(c->state.from), task_state_name(c->state.to));
}

int backend_has_begun(const struct change *c, const char *present, struct err *err)
{
	return err_set(err, ERR_INTERNAL,
		"task %s[%d] of run %" PRId64 " is %s, and cannot have another item", c->task,
		c->map_index, c->run_id, present);
}

int backend_bad_token(const struct change *c, int64_t limit, int64_t last, struct err *err)
{
	if (c->attempt.token >= limit)
		return err_set(err, ERR_INTERNAL, "task %s: token %" PRId64 " was never reserved",
			c->task, c->attempt.token);
	return err_set(err, ERR_INTERNAL,
		"task %s: token %" PRId64 " is not larger than %" PRId64
		", that of its last attempt",
		c->task, c->attempt.token, last);
}

int backend_token_used(const struct change *c, struct err *err)
{
	return err_set(err, ERR_INTERNAL, "task %s: token %" PRId64 " or try %d is used already",
		c->task, c->attempt.token, c->attempt.try);
}

int backend_bad_end(const struct change *c, const char *outcome, struct err *err)
{
	if (!outcome)
		return err_set(err, ERR_INTERNAL,
			"task %s of run %" PRId64 " has no attempt %" PRId64, c->task, c->run_id,
			c->attempt.token);
	return err_set(err, ERR_INTERNAL,
		"task %s: attempt %" PRId64 " has ended (%s) and cannot end again as %s", c->task,
		c->attempt.token, outcome, outcome_name(c->attempt.outcome));
}

struct breaker_put backend_breaker_of(const struct change *c)
{
	return (struct breaker_put){ .name = c->breaker.name,
		.text = c->breaker.text,
		.from = c->breaker.from,
		.to = c->breaker.to,
		.why = c->reason,
		.since_us = c->breaker.since_us,
		.at_us = c->at_us,
		.reason = c->detail,
		.run_id = c->breaker.run_id,
		.task = c->breaker.task };
}
