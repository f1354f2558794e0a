/* Time, what happens next, people, and faults. */
#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/civil.h"
#include "base/clock.h"
#include "base/err.h"
#include "conf/config.h"
#include "core/sched.h"
#include "run/paths.h"
#include "tests/sim/sim.h"

enum { DEATHS_MAX = 12 };

#define WALL_US (INT64_C(1795132800) * SIM_S) /* 2026-11-20 00:00 */

/* ---- chance --------------------------------------------------------------------------- */

uint64_t world_draw(const struct sim *w, uint64_t a, uint64_t b, uint64_t c)
{
	struct rng r;

	rng_init(&r, w->seed * 0x9e3779b97f4a7c15u ^ a << 48 ^ b << 24 ^ c);
	return rng_next(&r);
}

bool world_one_in(struct sim *w, int n)
{
	return rng_below(&w->rng, (uint64_t)n) == 0;
}

int64_t world_between(struct sim *w, int64_t from, int64_t to)
{
	return from + (int64_t)rng_below(&w->rng, (uint64_t)(to - from + 1));
}

/* ---- time ----------------------------------------------------------------------------- */

int64_t world_wall(const struct sim *w)
{
	return w->now_us + w->wall_us;
}

static void set_clock(struct sim *w)
{
	clock_fake_set(world_wall(w), w->now_us);
}

void world_pass(struct sim *w, int64_t us)
{
	w->now_us += us;
	set_clock(w);
}

/* Readings of the clock have moved it on. */
static void follow_clock(struct sim *w)
{
	w->now_us = clock_mono_us();
	set_clock(w);
}

/* ---- telling -------------------------------------------------------------------------- */

void world_say(struct sim *w, const char *who, const char *fmt, ...)
{
	struct civil c;
	va_list ap;

	civil_from_us(world_wall(w), &c);
	fprintf(w->story, "%02d:%02d:%02d.%03d %-10s ", c.hour, c.min, c.sec, c.usec / 1000, who);
	va_start(ap, fmt);
	vfprintf(w->story, fmt, ap);
	va_end(ap);
	fputc('\n', w->story);
	fflush(w->story); /* it may be its last word */
}

void world_fail(struct sim *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->why, sizeof w->why, fmt, ap);
	va_end(ap);
	say(w, "WRONG", "%s", w->why);
	if (w->active)
		actor_leave(w->active);
	longjmp(w->failed, 1);
}

/* One folder for all seeds: work folders of runs and what attempts leave in them. */
static char home[64];

const char *world_home(void)
{
	if (home[0])
		return home;
	snprintf(home, sizeof home, "%s/weir-sim.XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(home) || paths_make_home(home, NULL) < 0) {
		fprintf(stderr, "weir-sim: %s: cannot make a folder\n", home);
		exit(2);
	}
	return home;
}

void world_home_remove(void)
{
	char command[128];

	if (!home[0])
		return;
	snprintf(command, sizeof command, "rm -rf '%s'", home);
	if (system(command) != 0)
		fprintf(stderr, "weir-sim: %s is left behind\n", home);
	home[0] = '\0';
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* ---- faults --------------------------------------------------------------------------- */

static const struct fault_row {
	const char *name;
	int weight;
} fault_rows[] = {
	[FAULT_CRASH] = { "crash", 6 },
	[FAULT_CRASH_WITHIN] = { "crash within", 12 },
	[FAULT_PAUSE] = { "pause", 5 },
	[FAULT_PAUSE_WITHIN] = { "pause within", 10 },
	[FAULT_RESTART] = { "restart", 4 },
	[FAULT_HALT] = { "halt", 3 },
	[FAULT_STORE_DOWN] = { "store down", 7 },
	[FAULT_STORE_FLAKY] = { "store flaky", 5 },
	[FAULT_STALL] = { "stall", 3 },
	[FAULT_SUPER_DIES] = { "supervisor dies", 8 },
	[FAULT_SUPER_DEAF] = { "supervisor deaf", 9 },
	[FAULT_STUBBORN] = { "stubborn", 3 },
	[FAULT_REBOOT] = { "reboot", 2 },
	[FAULT_CLOCK] = { "clock", 4 },
	[FAULT_SLOW] = { "slow", 6 },
	[FAULT_REPEAT] = { "repeat", 4 },
	[FAULT_CANCEL] = { "cancel", 5 },
	[FAULT_HOLD] = { "hold", 8 },
	[FAULT_RERUN] = { "rerun", 7 },
	[FAULT_ASK] = { "ask", 16 },
	[FAULT_DECIDE] = { "decide", 6 },
	[FAULT_FUSE] = { "breaker", 5 },
};
static_assert(sizeof fault_rows / sizeof *fault_rows == FAULT_KIND_MAX, "a row for each kind");

static int by_time(const void *a, const void *b)
{
	const struct fault *x = a, *y = b;

	return (x->at_us > y->at_us) - (x->at_us < y->at_us);
}

static void add_asks(struct sim *w, int n, struct rng *r)
{
	for (; n > 0 && w->nfaults < SIM_FAULTS; n--)
		w->faults[w->nfaults++] = (struct fault){ .kind = FAULT_ASK,
			.at_us = (int64_t)rng_below(r, (uint64_t)w->calm_us),
			.draw = rng_next(r) };
}

/* Each seed knows some kinds of faults only: what hides behind one shows without it. */
static void plan_faults(struct sim *w)
{
	int weights[FAULT_KIND_MAX], sum = 0, deaths = 0;
	struct rng r;

	rng_init(&r, world_draw(w, 1, 0, 0));
	for (int i = 0; i < FAULT_KIND_MAX; i++) {
		weights[i] = rng_below(&r, 2) ? 0 : fault_rows[i].weight;
		sum += weights[i];
	}
	w->calm_us = (60 + (int64_t)rng_below(&r, 180)) * SIM_S;
	w->nfaults = sum ? (int)rng_below(&r, 24) : 0;
	if (sum && rng_below(&r, 8) == 0)
		w->nfaults = SIM_FAULTS;
	for (int i = 0; i < w->nfaults; i++) {
		struct fault *f = &w->faults[i];
		int at = (int)rng_below(&r, (uint64_t)sum), kind = 0;
		while (at >= weights[kind])
			at -= weights[kind++];
		*f = (struct fault){ .kind = (enum fault_kind)kind,
			.at_us = (int64_t)rng_below(&r, (uint64_t)w->calm_us),
			.draw = rng_next(&r) };
		/* Troubles come in company. */
		if (i > 0 && rng_below(&r, 3) == 0)
			f->at_us =
				earlier(w->faults[i - 1].at_us + (int64_t)rng_below(&r, 4 * SIM_S),
					w->calm_us - 1);
		/* What was decided and could not be committed meets another supervisor. */
		if (i > 0 && w->faults[i - 1].kind == FAULT_STORE_DOWN && rng_below(&r, 2)) {
			f->kind = FAULT_SUPER_DIES;
			f->at_us = w->faults[i - 1].at_us + (int64_t)rng_below(&r, 15 * SIM_S);
		}
		f->at_us = earlier(f->at_us, w->calm_us - 1);
		/* An engine gives up whose supervisors die one after the other. */
		if (f->kind == FAULT_SUPER_DIES && ++deaths > DEATHS_MAX)
			f->kind = FAULT_SUPER_DEAF;
	}
	add_asks(w, weights[FAULT_ASK] ? (int)rng_below(&r, 16) : 0, &r);
	qsort(w->faults, (size_t)w->nfaults, sizeof *w->faults, by_time);
	for (int i = 0; i < w->nfaults; i++)
		w->faults[i].done = w->cut.faults >> i & 1;
}

static int64_t span(const struct fault *f, int64_t from, int64_t to)
{
	return from + (int64_t)(f->draw >> 16) % (to - from + 1);
}

static struct actor *any_actor(struct sim *w, const struct fault *f)
{
	return &w->actors[f->draw % (uint64_t)w->nactors];
}

static struct trun *any_run(struct sim *w, const struct fault *f)
{
	return w->nruns ? &w->runs[(f->draw >> 8) % (uint64_t)w->nruns] : NULL;
}

/* One that is not final, if there is one. */
static struct trun *open_run_of(struct sim *w, const struct fault *f)
{
	for (int i = 0; i < w->nruns; i++) {
		struct trun *r = &w->runs[((f->draw >> 8) + (uint64_t)i) % (uint64_t)w->nruns];
		if (!run_state_is_final(r->state))
			return r;
	}
	return any_run(w, f);
}

static void reboot(struct sim *w, const struct fault *f)
{
	for (int i = 0; i < w->nactors; i++)
		if (w->actors[i].status != ACTOR_DOWN)
			actor_kill(&w->actors[i], w->now_us + span(f, 1 * SIM_S, 20 * SIM_S));
	super_fault(w, f);
}

static void set_wall(struct sim *w, const struct fault *f)
{
	static const int64_t jumps[] = { 3600, -3600, 20, -20, 45, -45, 1, -1 };
	int64_t by = jumps[(f->draw >> 16) % (sizeof jumps / sizeof *jumps)] * SIM_S;

	if (world_wall(w) > w->latest_us)
		w->latest_us = world_wall(w);
	w->wall_us += by;
	set_clock(w);
	say(w, "clock", "is set %s by %lld s", by < 0 ? "back" : "forward",
		(long long)(by < 0 ? -by : by) / SIM_S);
	/* timerfd tells of it (TFD_TIMER_CANCEL_ON_SET). */
	for (int i = 0; i < w->nactors; i++)
		w->actors[i].work |= WORK_TICK;
}

static void cancel(struct sim *w, const struct fault *f, struct trun *r)
{
	if (!r || !r->owner || run_state_is_final(r->state) || !actor_is_up(r->owner) ||
		r->owner->work & WORK_CANCEL)
		return;
	say(w, "somebody", "cancels %s", r->name);
	r->cancelling = true;
	r->owner->asked = r;
	r->owner->hard = f->draw & 1;
	r->owner->work |= WORK_CANCEL;
}

static void hold(struct sim *w, const struct fault *f, struct trun *r)
{
	int task = (int)((f->draw >> 20) % SIM_TASKS);

	if (!r)
		return;
	if (task < r->dag->dag->ntasks) {
		r->tasks[task].held = !r->tasks[task].held;
		say(w, "somebody", "%s %s of %s", r->tasks[task].held ? "freezes" : "thaws",
			r->dag->dag->tasks[task].name, r->name);
	} else {
		r->held = !r->held;
		say(w, "somebody", "%s %s", r->held ? "pauses" : "unpauses", r->name);
	}
	for (int i = 0; i < w->nactors; i++)
		w->actors[i].work |= WORK_HOLDS;
}

/* Through the store, as the command line does. */
static bool open_run(struct sim *w, const struct sim_dag *d, const char *name,
	const struct planner_span *interval)
{
	const char *names[SIM_TASKS];
	struct err err = { 0 };
	struct run_opened opened;

	for (int i = 0; i < d->dag->ntasks; i++)
		names[i] = d->dag->tasks[i].name;
	const struct run_open open = { .key = { d->name, interval->start_us, interval->end_us },
		.name = name,
		.ds = "2026-11-20",
		.zone = "UTC",
		.params = "{}",
		.trigger = "manual",
		.dag_path = d->dag->path,
		.dag_dir = d->dag->dir,
		.version = d->dag->hash,
		.text = "",
		.tasks = names,
		.ntasks = (size_t)d->dag->ntasks,
		.now_us = world_wall(w),
		.wanted = true,
		.anew = true };
	int rc = w->base->ops->run_open(w->base, &open, &opened, &err);
	must(w, rc == 0 || err.code == ERR_REFUSED, "a run cannot be asked for: %s", err.msg);
	return rc == 0;
}

static void ask(struct sim *w, struct order *o)
{
	int64_t start = WALL_US - (o->interval + 1) * 3600 * SIM_S;
	const struct sim_dag *d = &w->dags[o->dag];
	char name[64];

	o->done = true;
	snprintf(name, sizeof name, "%s@%d", d->name, o->interval);
	say(w, "somebody", "asks for %s", name);
	open_run(w, d, name, &(struct planner_span){ start, start + 3600 * SIM_S });
}

static void rerun(struct sim *w, struct trun *r)
{
	if (!r || (r->state != RUN_FAILED && r->state != RUN_CANCELLED) || r->rerun)
		return;
	say(w, "somebody", "asks for %s once more", r->name);
	if (!open_run(w, r->dag, r->name, &(struct planner_span){ r->start_us, r->end_us }))
		return;
	r->rerun = r->again = true;
	r->cancelling = r->halted = false;
}

static void happen(struct sim *w, struct fault *f)
{
	struct actor *n = any_actor(w, f);
	int64_t until = w->now_us + span(f, 1 * SIM_S, 60 * SIM_S);
	static const char *const places[] = { NULL, NULL, "commit", "claim", "opening", "writ",
		"go" };
	int calls = 1 + (int)((f->draw >> 32) % 6);
	const char *where = places[(f->draw >> 40) % (sizeof places / sizeof *places)];
	bool up = actor_is_up(n);

	f->done = true;
	switch (f->kind) {
	case FAULT_CRASH:
		if (n->status != ACTOR_DOWN)
			actor_kill(n, until);
		break;
	case FAULT_CRASH_WITHIN:
		n->crash_in = up ? calls : 0;
		n->where = where;
		break;
	case FAULT_PAUSE:
		if (n->status == ACTOR_IDLE)
			actor_pause(n, until + span(f, 0, 60 * SIM_S));
		break;
	case FAULT_PAUSE_WITHIN:
		n->pause_in = up ? calls : 0;
		n->where = where;
		n->pause_us = span(f, 1 * SIM_S, 120 * SIM_S);
		break;
	case FAULT_RESTART:
		n->work |= WORK_STOP;
		break;
	case FAULT_HALT:
		n->work |= WORK_HALT;
		n->hard = f->draw >> 9 & 1;
		break;
	case FAULT_STORE_DOWN:
		w->store_down_us = until;
		say(w, "store", "cannot be reached");
		break;
	case FAULT_STORE_FLAKY:
		w->flaky_us = until;
		break;
	case FAULT_STALL:
		w->stall_us = until;
		break;
	case FAULT_STUBBORN:
		w->stubborn_us = until;
		break;
	case FAULT_SLOW:
		w->slow_us = until;
		break;
	case FAULT_REBOOT:
		reboot(w, f);
		break;
	case FAULT_CLOCK:
		set_wall(w, f);
		break;
	case FAULT_CANCEL:
		cancel(w, f, open_run_of(w, f));
		break;
	case FAULT_HOLD:
		hold(w, f, open_run_of(w, f));
		break;
	case FAULT_RERUN:
		rerun(w, any_run(w, f));
		break;
	case FAULT_ASK:
	case FAULT_DECIDE:
	case FAULT_FUSE:
		people_ask(w, f, any_run(w, f));
		break;
	default:
		super_fault(w, f);
		break;
	}
}

/* ---- what happens next ---------------------------------------------------------------- */

static struct fault *next_fault(struct sim *w)
{
	for (int i = 0; i < w->nfaults; i++)
		if (!w->faults[i].done)
			return &w->faults[i];
	return NULL;
}

static struct order *next_order(struct sim *w)
{
	struct order *first = NULL;

	for (int i = 0; i < w->norders; i++)
		if (!w->orders[i].done && (!first || w->orders[i].at_us < first->at_us))
			first = &w->orders[i];
	return first;
}

static struct actor *next_actor(struct sim *w)
{
	struct actor *first = &w->person;

	for (int i = 0; i < w->nactors; i++)
		if (actor_due_us(&w->actors[i]) < actor_due_us(first))
			first = &w->actors[i];
	return first;
}

static bool has_approvals(const struct sim *w)
{
	for (int i = 0; i < w->ndags; i++)
		for (int t = 0; t < w->dags[i].dag->ntasks; t++)
			if (w->dags[i].tasks[t].part == PART_APPROVAL)
				return true;
	return false;
}

/* Faults stop: whoever is down or asleep comes back, nothing is held any more. */
static void calm_down(struct sim *w)
{
	say(w, "world", "faults stop");
	w->calmed = true;
	w->decide_us = has_approvals(w) || w->nfuses ? w->now_us + DECIDE_US : INT64_MAX;
	w->store_down_us = earlier(w->store_down_us, w->now_us);
	w->flaky_us = earlier(w->flaky_us, w->now_us);
	w->stall_us = earlier(w->stall_us, w->now_us);
	w->slow_us = w->stubborn_us = 0;
	for (int i = 0; i < w->nruns; i++) {
		struct trun *r = &w->runs[i];
		r->held = false;
		for (int t = 0; t < r->dag->dag->ntasks; t++)
			r->tasks[t].held = false;
	}
	for (int i = 0; i < w->nactors; i++) {
		struct actor *n = &w->actors[i];
		n->work |= WORK_HOLDS;
		n->crash_in = n->pause_in = 0;
		n->up_us = earlier(n->up_us, w->now_us + SIM_S);
	}
	w->person.crash_in = w->person.pause_in = 0;
	if (w->person.status == ACTOR_PAUSED)
		w->person.up_us = earlier(w->person.up_us, w->now_us + SIM_S);
	super_calm(w);
}

/* One thing happens: the earliest. False: nothing ever will. */
static bool step(struct sim *w)
{
	struct fault *f = next_fault(w);
	struct order *o = next_order(w);
	struct actor *n = next_actor(w);
	int64_t fault_us = f ? f->at_us : INT64_MAX, order_us = o ? o->at_us : INT64_MAX;
	int64_t actor_us = actor_due_us(n), super_us = super_due_us(w);
	int64_t calm_us = !w->calmed ? w->calm_us : w->decide_us, files_us = dags_due_us(w);
	int64_t due = earlier(earlier(fault_us, order_us), earlier(actor_us, super_us));

	due = earlier(earlier(due, calm_us), files_us);
	if (due == INT64_MAX)
		return false;
	if (due > w->now_us)
		world_pass(w, due - w->now_us);
	set_clock(w);
	if (due == files_us) {
		dags_happen(w);
	} else if (due == calm_us && w->calmed) {
		people_decide(w);
	} else if (due == calm_us) {
		calm_down(w);
	} else if (due == super_us) {
		super_happen(w);
	} else if (due == actor_us) {
		actor_wake(n);
		follow_clock(w);
	} else if (due == order_us) {
		ask(w, o);
	} else {
		happen(w, f);
	}
	return true;
}

/* ---- the whole ------------------------------------------------------------------------ */

static void plan(struct sim *w)
{
	struct rng r;

	rng_init(&r, world_draw(w, 2, 0, 0));
	rng_init(&w->rng, world_draw(w, 3, 0, 0));
	w->wall_us = WALL_US;
	w->nactors = 1 + (int)rng_below(&r, 2);
	w->max_running = 1 + (int)rng_below(&r, 8);
	w->lane_max = 1 + (int)rng_below(&r, 3);
	for (int i = 0; i < SIM_POOLS; i++)
		w->pools[i] = 2 + (int)rng_below(&r, 3);
	w->same_host = rng_below(&r, 2);
	plan_faults(w);
	fuses_make(w);
	dags_make(w);
	w->norders = 1 + (int)rng_below(&r, 4);
	if (w->cut.runs && w->norders > w->cut.runs)
		w->norders = w->cut.runs;
	for (int i = 0; i < w->norders; i++)
		w->orders[i] = (struct order){ .at_us = (int64_t)rng_below(&r, 40) * SIM_S,
			.dag = (int)rng_below(&r, (uint64_t)w->ndags),
			.interval = i };
}

int world_run(struct sim *w)
{
	w->why[0] = '\0';
	if (setjmp(w->failed))
		return -1;
	plan(w);
	set_clock(w);
	w->config = config_empty();
	must(w, w->config, "no memory");
	disk_open(w);
	planned_make(w);
	slas_make(w);
	outbox_make(w);
	for (int i = 0; i < w->nactors; i++)
		actor_init(w, &w->actors[i], i);
	actor_init(w, &w->person, SIM_ACTORS);
	do {
		if (!step(w) || w->steps >= w->max_steps)
			check_stuck(w);
		w->steps++;
		check_step(w);
	} while (!w->calmed || !check_done(w));
	check_end(w);
	return 0;
}

void world_release(struct sim *w)
{
	for (int i = 0; i < w->nactors; i++)
		actor_release(&w->actors[i]);
	actor_release(&w->person);
	super_release(w);
	truth_release(w);
	outbox_release(w);
	store_close(w->base);
	dags_release(w);
	config_free(w->config);
}
