#include "core/sched.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/rng.h"
#include "base/units.h"
#include "core/lane.h"
#include "core/model.h"
#include "core/retry.h"
#include "core/trigger.h"

enum { STRINGS_MAX = 256 << 20, SLOT_SHIFT = 32 };
#define LOST_DELAY_MAX_US (60 * US_PER_SECOND)
enum { LOST_SHIFT_MAX = 6 }; /* 1 s, 2 s, ... 32 s, then the most */

/* A task of an active run. */
struct live_task {
	enum task_state state;
	enum reason reason;
	struct trigger_counts counts; /* of its needs */
	int tries, failures, lost;
	int64_t due_us, token;
	bool selected;
	bool ready; /* in the queue of its lane */
	bool held;  /* by request: it does not start */
	enum reason held_why;
};

/* An active run. */
struct live_run {
	int64_t id;
	struct dag *dag;
	enum run_state state;
	struct live_task *tasks;
	int nopen;   /* selected tasks that are not final */
	int nflight; /* attempts in flight */
	bool cancelling;
	bool held; /* by request: none of its tasks starts */
	enum reason held_why;
	int lane;
	size_t slot; /* index in sched->slots */
	UT_hash_handle hh;
};

struct flight {
	int64_t token;
	struct live_run *run;
	int task;
	UT_hash_handle hh;
};

struct sched {
	struct sched_config config;
	struct rng rng;
	struct live_run *runs;   /* by id */
	struct flight *flights;  /* by token */
	struct live_run **slots; /* a small number for each run, for the timers' ids */
	size_t nslots;
	struct heap timers; /* retries: id is slot << 32 | task; obsolete ones stay until due */
	struct lane *lanes;
	int nlanes;
	/* Tasks that became final and whose dependents do not know yet. */
	struct ref *news;
	size_t nnews, news_cap;
	int running;
	int64_t next_token, end_token;
	struct change *changes;
	size_t nchanges, changes_cap;
	struct arena strings; /* what changes refer to */
	bool failed;          /* out of memory: what is here can no longer be trusted */
};

struct sched *sched_new(const struct sched_config *config)
{
	struct sched *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->config = *config;
	rng_init(&s->rng, config->seed);
	heap_init(&s->timers);
	arena_init(&s->strings, STRINGS_MAX);
	if (sched_set_lane(s, 0, config->max_running) == 0)
		return s;
	sched_free(s);
	return NULL;
}

static void free_run(struct live_run *r)
{
	if (!r)
		return;
	dag_unref(r->dag);
	free(r->tasks);
	free(r);
}

void sched_free(struct sched *s)
{
	struct live_run *r, *next_run;
	struct flight *f, *next_flight;

	if (!s)
		return;
	HASH_ITER (hh, s->flights, f, next_flight) {
		HASH_DEL(s->flights, f);
		free(f);
	}
	HASH_ITER (hh, s->runs, r, next_run) {
		HASH_DEL(s->runs, r);
		free_run(r);
	}
	heap_release(&s->timers);
	arena_release(&s->strings);
	free(s->slots);
	for (int i = 0; i < s->nlanes; i++)
		lane_release(&s->lanes[i]);
	free(s->lanes);
	free(s->news);
	free(s->changes);
	free(s);
}

static struct live_run *find_run(const struct sched *s, int64_t run_id)
{
	struct live_run *r;

	HASH_FIND(hh, s->runs, &run_id, sizeof run_id, r);
	return r;
}

/* ---- changes -------------------------------------------------------------------------- */

/* Room for one more element; false without memory, and the scheduler is then failed. */
static bool grow(struct sched *s, void *array, size_t n, size_t *cap, size_t size)
{
	void **p = array;

	if (n < *cap)
		return true;
	size_t more = *cap ? *cap * 2 : 64;
	void *grown = reallocarray(*p, more, size);
	if (!grown) {
		s->failed = true;
		return false;
	}
	*p = grown;
	*cap = more;
	return true;
}

/* The new change, or NULL without memory. */
static struct change *add_change(
	struct sched *s, enum change_kind kind, enum reason why, struct live_run *r, int64_t now_us)
{
	if (!grow(s, &s->changes, s->nchanges, &s->changes_cap, sizeof *s->changes))
		return NULL;
	struct change *c = &s->changes[s->nchanges++];
	*c = (struct change){ .kind = kind,
		.reason = why,
		.at_us = now_us,
		.run_id = r->id,
		.task_index = -1,
		.map_index = -1 };
	return c;
}

static struct change *add_task_change(struct sched *s, enum change_kind kind, enum reason why,
	const struct ref *at, int64_t now_us)
{
	struct change *c = add_change(s, kind, why, at->run, now_us);

	if (c) {
		c->task = at->run->dag->tasks[at->task].name;
		c->task_index = at->task;
	}
	return c;
}

static const char *keep(struct sched *s, const char *text)
{
	const char *copy = text ? arena_strdup(&s->strings, text) : NULL;

	if (text && !copy)
		s->failed = true;
	return copy;
}

static struct live_task *live(const struct ref *at)
{
	return &at->run->tasks[at->task];
}

static void set_run(
	struct sched *s, struct live_run *r, enum run_state to, enum reason why, int64_t now_us)
{
	if (r->state == to)
		return;
	if (!state_run_may(r->state, to))
		abort();
	struct change *c = add_change(s, CHANGE_RUN, why, r, now_us);
	if (c) {
		c->run.from = r->state;
		c->run.to = to;
	}
	r->state = to;
}

/* The one place where a task changes its state. Returns the change for what else is to be
 * said; NULL without memory. */
static struct change *set_task(
	struct sched *s, const struct ref *at, enum task_state to, enum reason why, int64_t now_us)
{
	struct live_task *t = live(at);
	enum task_state from = t->state;

	if (!state_task_may(from, to, why))
		abort();
	t->state = to;
	t->reason = why;
	if (to != TASK_UP_FOR_RETRY)
		t->due_us = 0;
	struct change *c = add_task_change(s, CHANGE_TASK, why, at, now_us);
	if (c) {
		c->state.from = from;
		c->state.to = to;
		c->state.due_us = t->due_us;
		c->state.tries = t->tries;
		c->state.failures = t->failures;
		c->state.lost = t->lost;
		c->state.hash = at->run->dag->tasks[at->task].hash;
	}
	if (t->selected && !task_state_is_final(from) && task_state_is_final(to)) {
		at->run->nopen--;
		if (grow(s, &s->news, s->nnews, &s->news_cap, sizeof *s->news))
			s->news[s->nnews++] = *at;
	} else if (t->selected && task_state_is_final(from)) {
		at->run->nopen++;
	}
	return c;
}

/* ---- the ready queue ------------------------------------------------------------------ */

static struct lane *lane_of(const struct sched *s, const struct live_run *r)
{
	return &s->lanes[r->lane];
}

static void push_ready(struct sched *s, const struct ref *at)
{
	if (live(at)->ready)
		return;
	if (lane_push(lane_of(s, at->run), at) < 0)
		s->failed = true;
	else
		live(at)->ready = true;
}

/* A task that may start but for a request to hold it: it says so and leaves the queue. */
static bool hold(struct sched *s, const struct ref *at, int64_t now_us)
{
	const struct live_task *t = live(at);

	if (!t->held && !at->run->held)
		return false;
	if (t->state != TASK_HELD)
		set_task(s, at, TASK_HELD, t->held ? t->held_why : at->run->held_why, now_us);
	return true;
}

/* The next task of a lane that still wants to start; entries that no longer hold are dropped. */
static bool pop_ready(struct sched *s, struct lane *lane, struct ref *ret, int64_t now_us)
{
	while (lane_pop(lane, ret)) {
		if (!ret->run)
			continue;
		live(ret)->ready = false;
		if (task_state_is_final(live(ret)->state) || ret->run->cancelling)
			continue;
		if (!hold(s, ret, now_us))
			return true;
	}
	return false;
}

/* ---- readiness ------------------------------------------------------------------------ */

/* Act on the counts of a task that waits for its needs. */
static void judge(struct sched *s, const struct ref *at, int64_t now_us)
{
	struct live_task *t = live(at);

	if (!t->selected || t->state != TASK_NONE || t->ready || at->run->cancelling)
		return;
	switch (trigger_all_success(&t->counts)) {
	case VERDICT_RUN:
		push_ready(s, at);
		break;
	case VERDICT_SKIP:
		set_task(s, at, TASK_SKIPPED, REASON_UPSTREAM_SKIPPED, now_us);
		break;
	case VERDICT_UPSTREAM_FAILED:
		set_task(s, at, TASK_UPSTREAM_FAILED, REASON_UPSTREAM_FAILED, now_us);
		break;
	case VERDICT_WAIT:
		break;
	}
}

/* A restored task that waits for its turn though its needs are not met: it was taken up without
 * them (--only), or they are done again. It waits for them anew. */
static void hold_back(struct sched *s, const struct ref *at, int64_t now_us)
{
	struct live_task *t = live(at);

	if (!t->selected || t->state == TASK_NONE || t->state == TASK_RUNNING ||
		task_state_is_final(t->state) || trigger_all_success(&t->counts) == VERDICT_RUN)
		return;
	t->failures = t->lost = 0;
	set_task(s, at, TASK_NONE, REASON_CLEARED, now_us);
}

static void finish_run(struct sched *s, struct live_run *r, int64_t now_us)
{
	int nfailed = 0, ncancelled = 0, nleft = 0;

	for (int i = 0; i < r->dag->ntasks; i++) {
		enum task_state state = r->tasks[i].state;
		nfailed += state == TASK_FAILED || state == TASK_UPSTREAM_FAILED;
		ncancelled += state == TASK_CANCELLED;
		nleft += !task_state_is_final(state);
	}
	if (r->cancelling && ncancelled)
		set_run(s, r, RUN_CANCELLED, REASON_CANCELLED, now_us);
	else if (nfailed || ncancelled)
		set_run(s, r, RUN_FAILED, REASON_SOME_FAILED, now_us);
	else if (nleft)
		set_run(s, r, RUN_QUEUED, REASON_PARTIAL, now_us);
	else
		set_run(s, r, RUN_SUCCESS, REASON_ALL_DONE, now_us);
}

/* Tell the dependents of tasks that became final; a list instead of recursion, since a
 * failure at the head of a long chain runs down all of it. */
static void spread_news(struct sched *s, int64_t now_us)
{
	for (size_t i = 0; i < s->nnews; i++) {
		struct ref at = s->news[i];
		const struct task *def = &at.run->dag->tasks[at.task];
		for (int j = 0; j < def->ndependents; j++) {
			struct ref d = { at.run, def->dependents[j] };
			trigger_count(&live(&d)->counts, live(&at)->state);
			judge(s, &d, now_us);
		}
		/* Once: many tasks of a run may become final together. */
		if (at.run->state == RUN_RUNNING && at.run->nopen == 0 && at.run->nflight == 0)
			finish_run(s, at.run, now_us);
	}
	s->nnews = 0;
}

/* ---- runs ----------------------------------------------------------------------------- */

static int take_slot(struct sched *s, struct live_run *r)
{
	for (size_t i = 0; i < s->nslots; i++)
		if (!s->slots[i]) {
			r->slot = i;
			s->slots[i] = r;
			return 0;
		}
	struct live_run **grown = reallocarray(s->slots, s->nslots + 1, sizeof *grown);
	if (!grown)
		return -1;
	s->slots = grown;
	r->slot = s->nslots;
	s->slots[s->nslots++] = r;
	return 0;
}

static int add_flight(struct sched *s, const struct ref *at, int64_t token)
{
	struct flight *f = calloc(1, sizeof *f);

	if (!f) {
		s->failed = true;
		return -1;
	}
	*f = (struct flight){ .token = token, .run = at->run, .task = at->task };
	HASH_ADD(hh, s->flights, token, sizeof f->token, f);
	if (!f->hh.tbl) {
		free(f);
		s->failed = true;
		return -1;
	}
	at->run->nflight++;
	s->running++;
	lane_of(s, at->run)->running++;
	return 0;
}

static int arm_retry(struct sched *s, const struct ref *at)
{
	uint64_t id = (uint64_t)at->run->slot << SLOT_SHIFT | (uint32_t)at->task;

	if (heap_push(&s->timers, live(at)->due_us, id) == 0)
		return 0;
	s->failed = true;
	return -1;
}

/* Clear what is to be done again. */
static void clear_task(
	struct sched *s, const struct ref *at, const struct run_init *run, int64_t now_us)
{
	const struct task_init *init = run->tasks ? &run->tasks[at->task] : NULL;
	bool resume = run->resume;
	struct live_task *t = live(at);
	bool failed = t->state == TASK_FAILED || t->state == TASK_UPSTREAM_FAILED ||
		      t->state == TASK_CANCELLED;
	bool clear = init && init->clear && t->state != TASK_NONE && t->state != TASK_RUNNING;

	if (!t->selected || (!clear && (!failed || resume)))
		return;
	t->failures = t->lost = 0;
	set_task(s, at, TASK_NONE, clear ? REASON_CLEARED : REASON_RERUN_FAILED, now_us);
}

static void count_needs(const struct ref *at, bool ignore_needs)
{
	const struct task *def = &at->run->dag->tasks[at->task];
	struct trigger_counts *c = &live(at)->counts;

	c->needs = def->nneeds;
	for (int j = 0; j < def->nneeds; j++) {
		const struct live_task *need = &at->run->tasks[def->needs[j]];
		if (ignore_needs && !need->selected)
			trigger_count(c, TASK_SUCCESS);
		else if (task_state_is_final(need->state))
			trigger_count(c, need->state);
	}
}

/* Bring a task of a new or restored run into motion. */
static void take_up(struct sched *s, const struct ref *at, int64_t now_us)
{
	struct live_task *t = live(at);

	hold_back(s, at, now_us);
	switch (t->state) {
	case TASK_NONE:
		judge(s, at, now_us);
		break;
	case TASK_SCHEDULED:
	case TASK_QUEUED:
	case TASK_HELD:
	case TASK_DEFERRED:
		if (t->selected)
			push_ready(s, at);
		break;
	case TASK_UP_FOR_RETRY:
		if (t->selected)
			arm_retry(s, at);
		break;
	case TASK_RUNNING:
		add_flight(s, at, t->token);
		break;
	default:
		break;
	}
}

static struct live_run *new_run(const struct run_init *init)
{
	struct live_run *r = calloc(1, sizeof *r);
	struct live_task *tasks = calloc((size_t)init->dag->ntasks + 1, sizeof *tasks);

	if (!r || !tasks) {
		free(r);
		free(tasks);
		return NULL;
	}
	r->id = init->run_id;
	r->dag = dag_ref(init->dag);
	r->state = init->state;
	r->lane = init->lane;
	r->tasks = tasks;
	for (int i = 0; i < r->dag->ntasks; i++) {
		const struct task_init *from = init->tasks ? &init->tasks[i] : NULL;
		struct live_task *t = &tasks[i];
		t->selected = true;
		if (from)
			*t = (struct live_task){ .state = from->state,
				.tries = from->tries,
				.failures = from->failures,
				.lost = from->lost,
				.due_us = from->due_us,
				.token = from->token,
				.selected = from->selected || from->state == TASK_RUNNING };
		r->nopen += t->selected && !task_state_is_final(t->state);
	}
	return r;
}

int sched_add_run(struct sched *s, const struct run_init *init, int64_t now_us, struct err *err)
{
	if (init->lane < 0 || init->lane >= s->nlanes)
		return err_set(err, ERR_INTERNAL, "there is no lane %d", init->lane);
	if (find_run(s, init->run_id))
		return err_set(
			err, ERR_INTERNAL, "run %" PRId64 " is scheduled already", init->run_id);
	struct live_run *r = new_run(init);
	if (!r || take_slot(s, r) < 0) {
		free_run(r);
		return err_nomem(err);
	}
	HASH_ADD(hh, s->runs, id, sizeof r->id, r);
	if (!r->hh.tbl) {
		s->slots[r->slot] = NULL;
		free_run(r);
		return err_nomem(err);
	}
	for (int i = 0; i < r->dag->ntasks; i++)
		clear_task(s, &(struct ref){ r, i }, init, now_us);
	for (int i = 0; i < r->dag->ntasks; i++)
		count_needs(&(struct ref){ r, i }, init->ignore_needs);
	/* A final run stays as it is when there is nothing to do. */
	if (r->nopen > 0)
		set_run(s, r, RUN_RUNNING, REASON_STARTED, now_us);
	for (int i = 0; i < r->dag->ntasks; i++)
		take_up(s, &(struct ref){ r, r->dag->order[i] }, now_us);
	spread_news(s, now_us);
	if (r->nopen == 0 && r->nflight == 0 && !run_state_is_final(r->state))
		finish_run(s, r, now_us);
	return s->failed ? err_nomem(err) : 0;
}

void sched_drop_run(struct sched *s, int64_t run_id)
{
	struct live_run *r = find_run(s, run_id);
	struct flight *f, *next;

	if (!r)
		return;
	HASH_ITER (hh, s->flights, f, next) {
		if (f->run != r)
			continue;
		s->running--;
		lane_of(s, r)->running--;
		HASH_DEL(s->flights, f);
		free(f);
	}
	struct lane *lane = lane_of(s, r);
	for (size_t i = 0; i < lane->n; i++) {
		struct ref *e = lane_at(lane, i);
		if (e->run == r)
			e->run = NULL;
	}
	s->slots[r->slot] = NULL;
	HASH_DEL(s->runs, r);
	free_run(r);
}

/* ---- attempts ------------------------------------------------------------------------- */

static void start(struct sched *s, const struct ref *at, int64_t now_us)
{
	struct live_task *t = live(at);

	t->tries++;
	t->token = s->next_token++;
	if (add_flight(s, at, t->token) < 0)
		return;
	set_task(s, at, TASK_RUNNING, REASON_STARTED, now_us);
	struct change *c = add_task_change(s, CHANGE_START, REASON_STARTED, at, now_us);
	if (c) {
		c->attempt.try = t->tries;
		c->attempt.token = t->token;
	}
}

static enum reason reason_of(const struct attempt_end *e)
{
	switch (e->outcome) {
	case OUTCOME_SUCCESS:
		return REASON_SUCCEEDED;
	case OUTCOME_SKIPPED:
		return REASON_SKIP_STATUS;
	case OUTCOME_TIMEOUT:
		return REASON_TIMED_OUT;
	case OUTCOME_CANCELLED:
		return REASON_CANCELLED;
	case OUTCOME_LOST:
		return REASON_LOST;
	default:
		if (e->signal)
			return REASON_SIGNALLED;
		return e->permanent ? REASON_OPERATOR_ERROR : REASON_EXIT_STATUS;
	}
}

static void fill_end(struct sched *s, struct change *c, const struct attempt_end *e)
{
	c->attempt.token = e->token;
	c->attempt.outcome = e->outcome;
	c->attempt.exit_status = e->exit_status;
	c->attempt.signal = e->signal;
	c->attempt.started_us = e->started_us;
	c->attempt.ended_us = e->ended_us;
	c->attempt.error = keep(s, e->error);
	c->attempt.result = keep(s, e->result);
}

static void record_end(
	struct sched *s, const struct ref *at, const struct attempt_end *e, int64_t now_us)
{
	struct change *c = add_task_change(s, CHANGE_END, reason_of(e), at, now_us);

	if (!c)
		return;
	fill_end(s, c, e);
	c->attempt.try = live(at)->tries;
}

/* What a crash took along is done again at once. Where the system is short of something, or crash
 * follows crash, waiting helps. */
static int64_t lost_delay_us(const struct attempt_end *e, int lost)
{
	if (lost <= 1 && !e->refused)
		return 0;
	return lost > LOST_SHIFT_MAX ? LOST_DELAY_MAX_US : US_PER_SECOND << (lost - 1);
}

/* A failed, timed out or lost attempt: another try, or the end. */
static void retry_or_fail(
	struct sched *s, const struct ref *at, const struct attempt_end *e, int64_t now_us)
{
	struct live_task *t = live(at);
	const struct retry_policy *p = &at->run->dag->tasks[at->task].retry;
	bool lost = e->outcome == OUTCOME_LOST;

	t->lost += lost;
	t->failures += !lost;
	struct retry_question q = { .outcome = e->outcome,
		.exit_status = e->exit_status,
		.signal = e->signal,
		.permanent = e->permanent,
		.failures = t->failures,
		.lost = t->lost };
	enum reason why = retry_decide(p, &q);
	if (why != REASON_RETRY_WAIT) {
		set_task(s, at, TASK_FAILED, why, now_us);
		return;
	}
	t->due_us = now_us +
		    (lost ? lost_delay_us(e, t->lost) : retry_delay_us(p, t->failures, &s->rng));
	set_task(s, at, TASK_UP_FOR_RETRY, REASON_RETRY_WAIT, now_us);
	arm_retry(s, at);
}

bool sched_attempt_ended(struct sched *s, const struct attempt_end *e, int64_t now_us)
{
	struct flight *f;

	HASH_FIND(hh, s->flights, &e->token, sizeof e->token, f);
	if (!f)
		return false;
	struct ref at = { f->run, f->task };
	HASH_DEL(s->flights, f);
	free(f);
	at.run->nflight--;
	s->running--;
	lane_of(s, at.run)->running--;
	record_end(s, &at, e, now_us);
	if (e->outcome == OUTCOME_SUCCESS) {
		struct change *c = set_task(s, &at, TASK_SUCCESS, REASON_SUCCEEDED, now_us);
		if (c)
			c->state.outputs = keep(s, e->outputs);
	} else if (e->outcome == OUTCOME_SKIPPED) {
		set_task(s, &at, TASK_SKIPPED, REASON_SKIP_STATUS, now_us);
	} else if (e->outcome == OUTCOME_CANCELLED || at.run->cancelling) {
		set_task(s, &at, TASK_CANCELLED, REASON_CANCELLED, now_us);
	} else {
		retry_or_fail(s, &at, e, now_us);
	}
	spread_news(s, now_us);
	return true;
}

void sched_orphan_ended(
	struct sched *s, const struct sched_orphan *o, const struct attempt_end *e, int64_t now_us)
{
	struct live_run *r = find_run(s, o->run_id);
	const enum task_state from = TASK_RUNNING, to = TASK_CANCELLED;

	if (!r)
		return;
	struct change *c = add_change(s, CHANGE_END, reason_of(e), r, now_us);
	if (!c)
		return;
	c->task = o->task;
	fill_end(s, c, e);
	c->attempt.try = o->tries;
	if (!state_task_may(from, to, REASON_CANCELLED))
		abort();
	c = add_change(s, CHANGE_TASK, REASON_CANCELLED, r, now_us);
	if (!c)
		return;
	c->task = o->task;
	c->state.from = from;
	c->state.to = to;
	c->state.tries = o->tries;
	c->state.failures = o->failures;
	c->state.lost = o->lost;
	c->state.hash = o->hash;
}

void sched_cancel_run(struct sched *s, int64_t run_id, bool hard, int64_t now_us)
{
	struct live_run *r = find_run(s, run_id);
	struct flight *f, *next;

	if (!r || run_state_is_final(r->state))
		return;
	r->cancelling = true;
	HASH_ITER (hh, s->flights, f, next) {
		struct ref at = { f->run, f->task };
		if (f->run != r)
			continue;
		struct change *c = add_task_change(s, CHANGE_STOP, REASON_CANCELLED, &at, now_us);
		if (c) {
			c->attempt.token = f->token;
			c->attempt.hard = hard;
		}
	}
	for (int i = 0; i < r->dag->ntasks; i++) {
		struct ref at = { r, i };
		struct live_task *t = live(&at);
		if (t->selected && !task_state_is_final(t->state) && t->state != TASK_RUNNING)
			set_task(s, &at, TASK_CANCELLED, REASON_CANCELLED, now_us);
	}
	spread_news(s, now_us);
}

/* ---- time ----------------------------------------------------------------------------- */

/* The task a timer is for, if it still waits for this very moment. */
static bool timer_holds(const struct sched *s, const struct heap_entry *e, struct ref *ret)
{
	size_t slot = e->id >> SLOT_SHIFT;
	int task = (int)(uint32_t)e->id;

	if (slot >= s->nslots || !s->slots[slot] || task >= s->slots[slot]->dag->ntasks)
		return false;
	*ret = (struct ref){ s->slots[slot], task };
	/* Its slot may have been another's, or this very run's before it was taken in anew. */
	return live(ret)->selected && live(ret)->state == TASK_UP_FOR_RETRY &&
	       live(ret)->due_us == e->key;
}

static void fire_timers(struct sched *s, int64_t now_us)
{
	const struct heap_entry *first;
	struct heap_entry e;
	struct ref at;

	while ((first = heap_peek(&s->timers)) && first->key <= now_us) {
		heap_pop(&s->timers, &e);
		if (!timer_holds(s, &e, &at))
			continue;
		hold_back(s, &at, now_us);
		if (live(&at)->state == TASK_NONE)
			judge(s, &at, now_us);
		else
			push_ready(s, &at);
	}
	spread_news(s, now_us);
}

/* Those that found no slot say so, once; those that are held leave the queue. */
static void tell_waiting(struct sched *s, struct lane *lane, int64_t now_us)
{
	for (size_t i = lane->n - lane->nfresh; i < lane->n; i++) {
		struct ref *at = lane_at(lane, i);
		if (!at->run)
			continue;
		enum task_state state = live(at)->state;
		if (hold(s, at, now_us)) {
			live(at)->ready = false;
			at->run = NULL;
		} else if (state == TASK_NONE || state == TASK_UP_FOR_RETRY || state == TASK_HELD) {
			set_task(s, at, TASK_QUEUED, REASON_SLOT_WAIT, now_us);
		}
	}
	lane->nfresh = 0;
}

int sched_tick(struct sched *s, int64_t now_us, struct err *err)
{
	struct ref at;

	fire_timers(s, now_us);
	for (int i = 0; i < s->nlanes; i++) {
		struct lane *lane = &s->lanes[i];
		while (lane->running < lane->max && s->next_token < s->end_token &&
			pop_ready(s, lane, &at, now_us))
			start(s, &at, now_us);
		tell_waiting(s, lane, now_us);
	}
	return s->failed ? err_nomem(err) : 0;
}

int sched_set_lane(struct sched *s, int lane, int max_running)
{
	if (lane >= s->nlanes) {
		struct lane *grown = reallocarray(s->lanes, (size_t)lane + 1, sizeof *grown);
		if (!grown)
			return -1;
		s->lanes = grown;
		for (; s->nlanes <= lane; s->nlanes++)
			s->lanes[s->nlanes] = (struct lane){ 0 };
	}
	s->lanes[lane].max = max_running;
	return 0;
}

void sched_hold(struct sched *s, const struct sched_hold *h)
{
	struct live_run *r = find_run(s, h->run_id);

	if (!r || h->task >= r->dag->ntasks)
		return;
	if (h->task < 0) {
		r->held = h->on;
		r->held_why = h->why;
	} else {
		r->tasks[h->task].held = h->on;
		r->tasks[h->task].held_why = h->why;
	}
	/* What is no longer held takes its turn; the tick finds out whether something else holds
	 * it. What is queued leaves the queue when its turn comes. */
	for (int i = 0; !h->on && i < r->dag->ntasks; i++) {
		struct ref at = { r, i };
		if (live(&at)->state == TASK_HELD)
			push_ready(s, &at);
	}
}

int64_t sched_wake_us(const struct sched *s)
{
	const struct heap_entry *first = heap_peek(&s->timers);

	return first ? first->key : INT64_MAX;
}

/* ---- reading -------------------------------------------------------------------------- */

const struct change *sched_changes(const struct sched *s, size_t *ret_n)
{
	*ret_n = s->nchanges;
	return s->changes;
}

void sched_forget_changes(struct sched *s, int64_t run_id)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->nchanges; i++)
		if (s->changes[i].run_id != run_id)
			s->changes[kept++] = s->changes[i];
	s->nchanges = kept;
}

void sched_clear_changes(struct sched *s)
{
	s->nchanges = 0;
	arena_release(&s->strings);
}

enum run_state sched_run_state(const struct sched *s, int64_t run_id)
{
	const struct live_run *r = find_run(s, run_id);

	return r ? r->state : RUN_QUEUED;
}

bool sched_run_idle(const struct sched *s, int64_t run_id)
{
	const struct live_run *r = find_run(s, run_id);

	return !r || (r->nopen == 0 && r->nflight == 0);
}

bool sched_task_view(const struct sched *s, int64_t run_id, int task_index, struct task_view *ret)
{
	const struct live_run *r = find_run(s, run_id);

	if (!r || task_index < 0 || task_index >= r->dag->ntasks)
		return false;
	const struct live_task *t = &r->tasks[task_index];
	*ret = (struct task_view){ .state = t->state,
		.reason = t->reason,
		.tries = t->tries,
		.failures = t->failures,
		.lost = t->lost,
		.waiting =
			t->counts.needs - t->counts.success - t->counts.failed - t->counts.skipped,
		.due_us = t->due_us,
		.token = t->token };
	return true;
}

bool sched_flight(const struct sched *s, int64_t token, int64_t *ret_run_id, int *ret_task)
{
	struct flight *f;

	HASH_FIND(hh, s->flights, &token, sizeof token, f);
	if (!f)
		return false;
	*ret_run_id = f->run->id;
	*ret_task = f->task;
	return true;
}

int sched_running(const struct sched *s)
{
	return s->running;
}

int64_t sched_tokens_left(const struct sched *s)
{
	return s->end_token - s->next_token;
}

void sched_set_tokens(struct sched *s, int64_t first, int64_t end)
{
	s->next_token = first;
	s->end_token = end;
}
