/* A process that drives runs: what run/daemon.c is to the engine, in small.
 *
 * Each has a stack of its own (ucontext), so that it can be stopped within any call, and go on
 * there later, while the world goes on; or never, when it is killed. What it held in local
 * variables then is not freed: the seeds run in processes that end soon (main.c).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "core/sched.h"
#include "tests/sim/sim.h"

enum { STACK_SIZE = 1 << 20, IDLE_TICKS_MAX = 100 };

bool actor_is_up(const struct actor *n)
{
	return n->status == ACTOR_IDLE || n->status == ACTOR_PAUSED;
}

/* ---- stacks --------------------------------------------------------------------------- */

/* Back to the world; returns when the actor is woken. */
static void yield(struct actor *n)
{
	if (swapcontext(&n->context, &n->w->main) < 0)
		abort();
}

void actor_leave(struct actor *n)
{
	n->failed = true;
	yield(n);
	abort();
}

void actor_point(struct actor *n, const char *what)
{
	struct sim *w = n->w;

	if (w->active != n || n->sheltered)
		return;
	if (n->where && (n->crash_in || n->pause_in) && !strstr(what, n->where))
		return;
	if (n->crash_in > 0 && --n->crash_in == 0) {
		say(w, n->name, "is killed: %s", what);
		n->dying = true;
		yield(n);
		abort();
	}
	if (n->pause_in > 0 && --n->pause_in == 0) {
		say(w, n->name, "is stopped for %lld s: %s", (long long)(n->pause_us / SIM_S),
			what);
		n->status = ACTOR_PAUSED;
		n->up_us = w->now_us + n->pause_us;
		yield(n);
		n->awake_us = w->now_us;
		say(w, n->name, "goes on");
	}
}

/* ---- runs ----------------------------------------------------------------------------- */

static bool is_clean(const struct actor *n)
{
	size_t nchanges;

	sched_changes(n->engine->sched, &nchanges);
	return nchanges == 0;
}

/* What it says of the run counts, and nothing is decided that is not committed. */
static bool is_heard(const struct actor *n, const struct trun *r)
{
	const struct active_run *a = engine_find(n->engine, r->id);

	return r->owner == n && a && a->epoch == r->epoch && is_clean(n);
}

static void hold(struct actor *n, struct trun *r)
{
	struct sched_hold h = { .run_id = r->id, .task = -1, .on = r->held, .why = REASON_PAUSED };

	r->was_held |= r->held;
	sched_hold(n->engine->sched, &h);
	r->frozen = r->held && is_heard(n, r);
	h.why = REASON_FROZEN;
	for (h.task = 0; h.task < r->dag->dag->ntasks; h.task++) {
		h.on = r->tasks[h.task].held;
		r->was_held |= h.on;
		sched_hold(n->engine->sched, &h);
		r->tasks[h.task].frozen = r->tasks[h.task].held && is_heard(n, r);
	}
}

static void hold_all(struct actor *n)
{
	struct active_run *r, *next;

	HASH_ITER (hh, n->engine->runs, r, next)
		hold(n, truth_run(n->w, r->id));
	engine_step(n->engine);
}

static int open_run(struct actor *n, const struct run_row *row, int64_t *ret_epoch, struct err *err)
{
	int64_t now = clock_now_us(), id;
	bool created;
	const struct run_open open = { .key = { row->dag, row->interval_start_us,
					       row->interval_end_us },
		.name = row->name,
		.long_name = row->name,
		.ds = row->ds,
		.zone = row->zone,
		.trigger = row->trigger,
		.dag_path = row->dag_path,
		.dag_dir = row->dag_dir,
		.version = row->version,
		.text = "",
		.owner = n->engine->self,
		.lease_until_us = now + ENGINE_LEASE_US,
		.now_us = now,
		.wanted = true,
		.if_wanted = true };

	return store_run_open(n->w->base, &open, &id, ret_epoch, &created, err);
}

static struct active_run *take(struct actor *n, const struct run_row *row, int64_t epoch,
	const struct trun *r, struct err *err)
{
	json_t *params = json_object();
	const struct engine_take t = { .run_id = row->id,
		.epoch = epoch,
		.name = row->name,
		.ds = row->ds,
		.state = row->state,
		.cancelling = row->cancelling,
		.dag = r->dag->dag,
		.config = n->w->config,
		.params = params,
		.interval_start_us = row->interval_start_us,
		.interval_end_us = row->interval_end_us,
		.data = slas_run_data(n, r) };
	struct active_run *a = engine_take(n->engine, &t, err);

	json_decref(params);
	return a;
}

static void on_change(void *arg, struct active_run *run, const struct change *c)
{
	slas_changed(arg, run, c);
}

static void on_idle(void *arg, struct active_run *run)
{
	struct actor *n = arg;

	planned_ended(n, run->id);
	engine_drop(n->engine, run, true);
}

/* The row may have been another's, and changed, until it was opened. */
static const struct run_row *read_row(struct actor *n, int64_t id, struct err *err)
{
	char ref[32];

	snprintf(ref, sizeof ref, "%" PRId64, id);
	return store_run_find(n->w->base, ref, &n->row, err) < 0 ? NULL : &n->row.runs[0];
}

/* From a row of the store to a run in motion: as daemon_runs.c does it. */
static void bring_up(struct actor *n, const struct run_row *row)
{
	struct sim *w = n->w;
	struct trun *r = truth_run(w, row->id);
	struct err err = { 0 };
	int64_t epoch;

	if (open_run(n, row, &epoch, &err) < 0) {
		if (err.code != ERR_REFUSED)
			say(w, n->name, "cannot open %s: %s", row->name, err.msg);
		return;
	}
	store_result_release(&n->row);
	row = read_row(n, row->id, &err);
	if (!row) {
		say(w, n->name, "cannot read %s: %s", r->name, err.msg);
		return;
	}
	struct active_run *a = take(n, row, epoch, r, &err);
	must(w, a, "%s cannot take %s in hand: %s", n->name, row->name, err.msg);
	struct run_init init = { .lane = r->dag->lane, .resume = !run_state_is_final(row->state) };
	memset(n->init, 0, sizeof n->init);
	for (int i = 0; i < a->dag->ntasks; i++)
		n->init[i].selected = true;
	if (engine_resume(n->engine, a, &init, n->init, &err) < 0) {
		say(w, n->name, "cannot carry %s on: %s", row->name, err.msg);
		must(w,
			err_info(err.code)->transient || err.code == ERR_STORE ||
				err.code == ERR_FENCED,
			"%s cannot carry %s on: %s", n->name, row->name, err.msg);
		engine_drop(n->engine, a, world_one_in(w, 2));
		return;
	}
	slas_taken(n, a, row);
	hold(n, r);
	/* Its last task had ended meanwhile: no step will tell. */
	if (run_state_is_final(a->state) && engine_is_idle(n->engine, a))
		on_idle(n, a);
	engine_step(n->engine);
}

/* Runs that want an owner. */
static void scan(struct actor *n)
{
	const struct run_filter wanted = { .state = -1, .wanted = true };
	struct err err = { 0 };

	n->scan_us = n->w->now_us + world_between(n->w, 4 * SIM_S, 12 * SIM_S);
	if (!slas_ready(n) || store_runs(n->w->base, &wanted, &n->rows, &err) < 0)
		return;
	for (size_t i = n->rows.n; i-- > 0;)
		if (!engine_find(n->engine, n->rows.runs[i].id))
			bring_up(n, &n->rows.runs[i]);
	store_result_release(&n->rows);
}

static void cancel(struct actor *n)
{
	n->asked->killing |= n->hard;
	sched_cancel_run(n->engine->sched, n->asked->id, n->hard, clock_now_us());
	engine_step(n->engine);
}

/* ---- the engine's listener ------------------------------------------------------------ */

static void on_trouble(void *arg, const struct err *err)
{
	struct actor *n = arg;

	say(n->w, n->name, "%s", err ? err->msg : "the store is well again");
}

static void on_broken(void *arg, const struct err *err)
{
	struct actor *n = arg;

	world_fail(n->w, "%s cannot go on: %s", n->name, err->msg);
}

static void on_lost(void *arg, struct active_run *run)
{
	struct actor *n = arg;

	n->w->effects++;
	say(n->w, n->name, "has lost %s", run->name);
	planned_ended(n, run->id);
	truth_run(n->w, run->id)->again = true;
}

/* ---- the process ---------------------------------------------------------------------- */

static void begin(struct actor *n)
{
	struct sim *w = n->w;
	struct err err = { 0 };
	struct owner self = { .pid = 1000 * (n->index + 1) + ++n->incarnation, .start_ticks = 1 };
	const struct engine_config config = { .home = world_home(),
		.executors = &n->provider,
		.store = w->base,
		.self = &self,
		.no_loop = true,
		.max_running = w->max_running,
		.alerts = outbox_alerts(w),
		.listener = { .arg = n,
			.change = on_change,
			.idle = on_idle,
			.store_trouble = on_trouble,
			.broken = on_broken,
			.lost = on_lost } };

	snprintf(self.host, sizeof self.host, "sim");
	snprintf(self.boot_id, sizeof self.boot_id, "sim");
	say(w, n->name, "begins");
	n->sheltered = true;
	must(w, engine_init(n->engine, &config, &err) == 0, "%s cannot begin: %s", n->name,
		err.msg);
	/* Its jitter is seeded by the pid and the clock. */
	const struct sched_config sched = { .max_running = w->max_running,
		.seed = world_draw(w, 6, (uint64_t)n->index, (uint64_t)n->incarnation) };
	sched_free(n->engine->sched);
	n->engine->sched = sched_new(&sched);
	n->engine->limit_us = 1; /* time is the world's */
	n->begun = true;
	n->sheltered = false;
	must(w, n->engine->sched && sched_set_lane(n->engine->sched, 1, w->lane_max) == 0,
		"no memory");
	for (int i = 0; i < SIM_POOLS; i++) {
		const char name[] = { 'p', (char)('0' + i), '\0' };
		must(w, sched_set_pool(n->engine->sched, name, w->pools[i]) == 0, "no memory");
	}
	fuses_set(n);
	fuses_begin(w);
	n->scan_us = n->awake_us = w->now_us;
}

static void leave(struct actor *n)
{
	struct sim *w = n->w;

	say(w, n->name, "leaves");
	n->sheltered = true;
	outbox_leave(n);
	engine_release(n->engine);
	slas_release(n);
	planned_release(n);
	n->sheltered = n->begun = false;
	n->status = ACTOR_DOWN;
	n->up_us = w->now_us + world_between(w, SIM_S, 10 * SIM_S);
	yield(n);
	abort();
}

static void turn(struct actor *n)
{
	struct engine *e = n->engine;
	unsigned work = n->work;
	struct ask *ask = n->ask; /* another may come while it sleeps in here */

	n->work = 0;
	if (work & WORK_POLL)
		engine_poll(e);
	if (work & WORK_CANCEL && engine_find(e, n->asked->id))
		cancel(n);
	if (work & WORK_ASK && !n->leaving)
		people_do(n, ask);
	if (work & WORK_HOLDS)
		hold_all(n);
	if (work & WORK_PLAN && !n->leaving)
		planned_turn(n);
	if (work & WORK_SLA && !n->leaving)
		slas_turn(n);
	if (work & WORK_ALERT && !n->leaving)
		outbox_turn(n);
	if (work & WORK_SCAN && !n->leaving)
		scan(n);
	if (work & WORK_TICK)
		engine_tick(e);
	if (work & WORK_STOP)
		leave(n);
	if (work & WORK_HALT && !n->leaving) {
		struct active_run *r, *next;
		say(n->w, n->name, "is asked to stop its tasks%s", n->hard ? " at once" : "");
		HASH_ITER (hh, e->runs, r, next)
			truth_run(n->w, r->id)->halted = true;
		n->leaving = true;
		engine_halt(e, n->hard);
	}
	if (n->leaving && sched_running(e->sched) == 0)
		leave(n);
}

/* At the command line. */
static void be_person(struct actor *n)
{
	n->incarnation++;
	n->crash_in = n->ask->draw % 4 == 0 ? 1 + (int)(n->ask->draw >> 8) % 16 : 0;
	n->pause_in = n->ask->draw % 4 == 1 ? 1 + (int)(n->ask->draw >> 8) % 16 : 0;
	n->pause_us = (1 + (int64_t)(n->ask->draw >> 16) % 60) * SIM_S;
	n->where = NULL;
	people_do(n, n->ask);
	n->status = ACTOR_DOWN;
	n->up_us = INT64_MAX;
	yield(n);
	abort();
}

void actor_send_person(struct sim *w)
{
	w->person.up_us = w->now_us;
}

/* makecontext passes ints only. */
static struct actor *entering;

static void actor_main(void)
{
	struct actor *n = entering;

	if (n->is_person)
		be_person(n);
	begin(n);
	for (;;) {
		turn(n);
		n->status = ACTOR_IDLE;
		yield(n);
	}
}

void actor_init(struct sim *w, struct actor *n, int index)
{
	static const char *const names[SIM_ACTORS + 1] = { "daemon A", "daemon B", "somebody" };
	static char *stacks[SIM_ACTORS + 1];

	*n = (struct actor){ .w = w, .index = index, .name = names[index], .up_us = w->now_us };
	n->is_person = index == SIM_ACTORS;
	if (n->is_person)
		n->up_us = INT64_MAX;
	if (!stacks[index])
		stacks[index] = malloc(STACK_SIZE);
	n->stack = stacks[index];
	must(w, n->stack, "no memory");
	provider_init(n, &n->provider);
	slas_init(n);
}

static void enter(struct actor *n)
{
	getcontext(&n->context);
	n->context.uc_stack.ss_sp = n->stack;
	n->context.uc_stack.ss_size = STACK_SIZE;
	n->context.uc_link = NULL;
	n->dying = n->leaving = false;
	n->crash_in = n->pause_in = 0;
	n->work = 0;
	makecontext(&n->context, actor_main, 0);
	entering = n;
}

void actor_kill(struct actor *n, int64_t up_us)
{
	struct sim *w = n->w;

	if (!n->dying)
		say(w, n->name, "is killed");
	w->crashes++;
	outbox_leave(n);
	super_hang_up(n);
	if (n->begun)
		engine_crash(n->engine);
	slas_release(n);
	planned_release(n);
	store_result_release(&n->rows);
	store_result_release(&n->row);
	n->begun = false;
	n->status = ACTOR_DOWN;
	n->up_us = up_us;
}

void actor_pause(struct actor *n, int64_t until_us)
{
	say(n->w, n->name, "is stopped for %lld s", (long long)((until_us - n->w->now_us) / SIM_S));
	n->status = ACTOR_PAUSED;
	n->between = true;
	n->up_us = until_us;
}

void actor_release(struct actor *n)
{
	outbox_leave(n);
	if (n->begun) {
		super_hang_up(n);
		engine_crash(n->engine);
	}
	slas_release(n);
	planned_release(n);
	store_result_release(&n->rows);
	store_result_release(&n->row);
	n->begun = false;
}

/* ---- when ----------------------------------------------------------------------------- */

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Timers are set by the clock on the wall. Looking at it moves it on a little: "now" is later. */
static int64_t tick_us(const struct actor *n)
{
	int64_t wake = engine_wake_us(n->engine), now = n->w->now_us;

	if (wake == INT64_MAX)
		return wake;
	wake -= n->w->wall_us;
	return wake < now + 20 ? now : wake;
}

int64_t actor_due_us(struct actor *n)
{
	if (n->status == ACTOR_DOWN || n->status == ACTOR_PAUSED)
		return n->up_us;
	if (n->work)
		return n->w->now_us;
	int64_t due = earlier(super_news_us(n), n->leaving ? INT64_MAX : n->scan_us);
	due = earlier(due, earlier(planned_due_us(n), slas_due_us(n)));
	due = earlier(due, outbox_due_us(n));
	return earlier(due, tick_us(n));
}

/* A process that wakes again and again without any effect burns a processor. */
static void look_for_spinning(struct actor *n)
{
	struct sim *w = n->w;

	if (n->ticked_us != w->now_us / SIM_S || n->seen_effects != w->effects)
		n->idle_ticks = 0;
	n->ticked_us = w->now_us / SIM_S;
	n->seen_effects = w->effects;
	must(w, ++n->idle_ticks < IDLE_TICKS_MAX, "%s wakes again and again without an effect",
		n->name);
}

void actor_wake(struct actor *n)
{
	struct sim *w = n->w;

	if (n->status == ACTOR_DOWN) {
		enter(n);
	} else if (n->status == ACTOR_IDLE) {
		if (super_news_us(n) <= w->now_us)
			n->work |= WORK_POLL;
		if (n->scan_us <= w->now_us)
			n->work |= WORK_SCAN;
		if (tick_us(n) <= w->now_us)
			n->work |= WORK_TICK;
		if (planned_due_us(n) <= w->now_us)
			n->work |= WORK_PLAN;
		if (slas_due_us(n) <= w->now_us)
			n->work |= WORK_SLA;
		if (outbox_due_us(n) <= w->now_us)
			n->work |= WORK_ALERT;
		look_for_spinning(n);
	} else if (n->between) {
		n->awake_us = w->now_us;
		say(w, n->name, "goes on");
	}
	n->between = false;
	n->status = ACTOR_ACTIVE;
	w->active = n;
	if (swapcontext(&w->main, &n->context) < 0)
		abort();
	w->active = NULL;
	if (n->failed)
		longjmp(w->failed, 1);
	if (n->dying)
		actor_kill(n,
			n->is_person ? INT64_MAX : w->now_us + world_between(w, SIM_S, 30 * SIM_S));
}
