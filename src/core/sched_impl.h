/* What the files of the scheduler share: its state, and the few places that change it.
 *
 * sched.c         the scheduler's life, holds, the tick, reading
 * sched_ask.c     tasks that are asked: for their `if`, for what they wait for
 * sched_look.c    looks for what tasks wait for
 * sched_outside.c what tasks need of other runs
 * sched_queue.c   lanes, pools, limits of DAGs; who of those that may start is next
 * sched_run.c     runs taken in, restored and dropped
 * sched_breaker.c circuit breakers: who they hold, when these are let go
 * sched_map.c     mapped tasks and their instances
 * sched_attempt.c attempts started, ended, tried again and stopped
 * sched_state.c   changes, readiness; the one place where a task changes its state
 * sched_request.c what people ask for: done again, marked, skipped, cancelled
 *
 * Without memory these functions mark the scheduler as failed, which sched_tick and sched_add_run
 * report; none of them stops halfway for it.
 */
#ifndef WEIR_CORE_SCHED_IMPL_H
#define WEIR_CORE_SCHED_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/arena.h"
#include "base/heap.h"
#include "base/rng.h"
#include "core/breaker.h"
#include "core/gate.h"
#include "core/model.h"
#include "core/sched.h"
#include "core/trigger.h"

enum { SCHED_SLOT_SHIFT = 32 }; /* a timer's id: slot of the run << 32 | number of the task */
/* In the place of a slot: the timer is of the breaker with that index. */
#define SCHED_BREAKER_SLOT ((size_t)UINT32_MAX)

/* A task of an active run, or an instance of one. */
struct ref {
	struct live_run *run;
	int task; /* its live number */
};

struct live_task {
	int def;          /* index in the DAG */
	int map_index;    /* -1: not an instance */
	const char *item; /* of an instance: JSON text, of the mapping */
	enum task_state state;
	enum reason reason;
	struct trigger_counts counts; /* of its needs */
	int tries, failures, lost;
	int refused; /* times in a row that the system did not let it start */
	int64_t due_us, token;
	/* The piece of work its attempts are, named by the token of the first: retries, after a
	 * failure, a loss or a refusal, in whichever process. Done again on purpose it is another.
	 * 0: none yet. */
	int64_t work;
	/* Deferred, awaiting input: when it is asked again. Waits for needs on other DAGs:
	 * likewise; 0: it was not yet. */
	int64_t ask_us;
	int64_t late_us;  /* the deadline its timer is set for; 0: none is */
	int64_t look;     /* token of the look that is made for it; 0: none */
	int64_t look_key; /* its place among those that are to be looked for; 0: none */
	uint64_t said;    /* what looks found last, as a hash; 0: nothing yet */
	bool selected;
	enum task_state told; /* the final state its dependents have counted; none: they have not */
	bool cancelling;      /* by request: its attempt is being stopped */
	bool ready;           /* on its shelf, or asking */
	bool asked;           /* its `if` was answered with yes */
	/* Of what it needs outside its run (core/sched_outside.c). */
	bool asks_outside;              /* ready: that is what it asks */
	bool past;                      /* the run before has */
	struct trigger_counts outside;  /* how many of `counts` are of other DAGs */
	int shelf;                      /* in run->shelves */
	uint64_t seq;                   /* ready: of its entry there, or among those that ask */
	struct live_breaker **breakers; /* NULL-ended; NULL: none */
	struct live_breaker *stopped;   /* the one that holds it; NULL: none does */
	int64_t stopped_key;            /* its place in the queue, and with that breaker */
	bool held;                      /* by request: it does not start */
	enum reason held_why;
};

/* What is known of the instances of a mapped task. */
struct live_mapping {
	int *list; /* live numbers, by map index; all that there ever were */
	int n, cap;
	int nitems; /* of the present list, which is shorter when it has become so */
	int states[TASK_STATE_MAX]; /* how many are in which */
	struct arena items;
	struct gate gate; /* max_active */
};

/* An active run. */
struct live_run {
	int64_t id;
	struct dag *dag;
	enum run_state state;
	struct live_task *tasks; /* those of the DAG by index, behind them instances. It grows: a
				    pointer into it lasts until a list is answered */
	int nlive, tasks_cap;
	struct live_mapping *mappings; /* by index of the task; NULL: none is mapped */
	int nopen;                     /* selected tasks that are not final; without instances */
	int nflight;                   /* attempts in flight */
	int nwork;                     /* of these, all but teardowns */
	bool cancelling, killing;      /* killing: teardowns, too */
	bool settling;                 /* it is here for its attempts in flight only */
	bool ignore_needs;             /* --only: needs outside the selection do not count */
	bool aside; /* only to be changed by request: nothing comes into motion */
	bool held;  /* by request: none of its tasks starts */
	enum reason held_why;
	int lane;
	struct shelf *shelves; /* of its pools; the first: of none */
	int nshelves;
	struct named_gate *dag_gate;
	struct live_breaker **breakers; /* what its tasks' point into */
	size_t slot;                    /* index in sched->slots */
	UT_hash_handle hh;
};

struct flight {
	int64_t token;
	struct live_run *run; /* NULL: a look of a run that is gone */
	int task;
	bool look;
	struct breaker_pass passes[TASK_BREAKERS_MAX]; /* of its task's breakers */
	UT_hash_handle hh;
};

/* A circuit breaker, and the tasks it holds. */
struct live_breaker {
	struct breaker breaker;
	struct breaker_policy policy;
	bool known; /* it has a policy; without one it holds nothing */
	char *name;
	struct heap held; /* by their place in the queue; obsolete ones stay */
	int nheld;
	int64_t next_us;  /* when the next of them is let go at the earliest */
	int64_t armed_us; /* of its timer; INT64_MAX: none */
	bool coming;      /* in a ramp that was loaded: those that it held come in one by one */
	bool touched;     /* it counted what no change tells of yet */
	uint64_t told;    /* the text that was told or loaded last, as a hash */
	/* The run whose ends it has counted since changes were cleared, and how it was before: they
	 * may be another owner's to tell. 0: none; -1: of several, or it changed ahead of them. */
	int64_t by_run;
	struct breaker before;
	uint64_t told_before;
	int index; /* in sched->breaker_list */
	UT_hash_handle hh;
};

/* A task whose `if` is to be judged. */
struct asking {
	struct ref at; /* run NULL: no longer */
	uint64_t seq;
};

/* A pool, or the limit of a DAG. */
struct named_gate {
	struct gate gate;
	char *name;
	int nruns;              /* of a DAG: in hand */
	int nrunning, nwaiting; /* of a pool, while it is told */
	/* The shelf of the run that asked last. */
	int64_t run_id;
	int shelf;
	UT_hash_handle hh;
};

/* A task that waits since the last tick. */
struct fresh {
	size_t slot;
	int task;
	uint64_t seq;
};

struct sched {
	struct sched_config config;
	struct rng rng;
	struct live_run *runs;  /* by id */
	struct flight *flights; /* by token */
	struct flight *looks;   /* likewise */
	struct heap lookers;    /* to be looked for, in their order; obsolete ones stay */
	int nlooks;
	struct live_run **slots; /* a small number for each run, for the timers' ids */
	size_t nslots;
	struct heap timers; /* retries, waits; obsolete ones stay until due */
	struct gate **lanes;
	int nlanes;
	struct named_gate *pools, *dags; /* by name */
	struct live_breaker *breakers;   /* by name */
	struct live_breaker **breaker_list;
	int nbreakers, ntouched;
	struct shelf_heap open; /* shelves that no gate is known to stop */
	struct fresh *fresh;
	size_t nfresh, fresh_cap;
	uint64_t seq;     /* of the last that became ready */
	int64_t now_us;   /* never runs back */
	int64_t clock_us; /* as it was told last: it may have been set back */
	bool halted;
	/* Tasks that became final, or are it no more, and whose dependents do not know yet. */
	struct ref *news;
	size_t nnews, news_cap;
	struct asking *asking;
	size_t nasking, asking_cap, nanswered;
	struct sched_question *questions; /* the same, for the caller */
	size_t questions_cap;
	int running;
	int64_t next_token, end_token;
	struct change *changes;
	size_t nchanges, changes_cap;
	struct arena strings; /* what changes refer to */
	bool failed;          /* out of memory: what is here can no longer be trusted */
};

static inline struct live_run *find_run(const struct sched *s, int64_t run_id)
{
	struct live_run *r;

	HASH_FIND(hh, s->runs, &run_id, sizeof run_id, r);
	return r;
}

static inline struct live_task *live(const struct ref *at)
{
	return &at->run->tasks[at->task];
}

static inline const struct task *def_of(const struct ref *at)
{
	return &at->run->dag->tasks[live(at)->def];
}

static inline bool is_instance(const struct ref *at)
{
	return live(at)->map_index >= 0;
}

/* A mapped task as a whole. */
static inline bool is_mapped(const struct ref *at)
{
	return !is_instance(at) && def_of(at)->foreach;
}

/* Of a mapped task or one of its instances. */
static inline struct live_mapping *mapping_of(const struct ref *at)
{
	return &at->run->mappings[live(at)->def];
}

/* A request holds it, or its mapped task, or the run. */
static inline bool is_held(const struct ref *at)
{
	return live(at)->held || at->run->tasks[live(at)->def].held || at->run->held;
}

static inline enum reason held_why(const struct ref *at)
{
	const struct live_task *t = live(at), *whole = &at->run->tasks[t->def];

	if (t->held || whole->held)
		return t->held ? t->held_why : whole->held_why;
	return at->run->held_why;
}

/* A cancelled run starts nothing but its teardowns; a cancelled task has no further try. */
static inline bool starts_no_more(const struct ref *at)
{
	const struct live_run *r = at->run;

	return live(at)->cancelling || r->killing || (r->cancelling && !def_of(at)->teardown);
}

/* FNV-1a (Fowler, Noll, Vo). */
static inline uint64_t sched_hash_of(const char *text)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return hash;
}

/* ---- sched_state.c -------------------------------------------------------------------- */

/* The new change, of a run (NULL: of none) or of one of its tasks; NULL without memory. */
struct change *sched_add_change(struct sched *s, enum change_kind kind, enum reason why,
	struct live_run *r, int64_t now_us);
struct change *sched_add_task_change(struct sched *s, enum change_kind kind, enum reason why,
	const struct ref *at, int64_t now_us);
/* A copy that lives until the changes are cleared; NULL for NULL, or without memory. */
const char *sched_keep(struct sched *s, const char *text);

/* Change a run's state; nothing when it is the same. Aborts on a transition that may not be. */
void sched_set_run(
	struct sched *s, struct live_run *r, enum run_state to, enum reason why, int64_t now_us);
/* The one place where a task changes its state; aborts on a transition that may not be. Returns
 * the change for what else is to be said; NULL without memory. */
struct change *sched_set_task(
	struct sched *s, const struct ref *at, enum task_state to, enum reason why, int64_t now_us);

/* What its needs say to a task: its rule, or its condition. */
enum verdict sched_verdict(const struct ref *at);
/* Act on the counts of a task that waits for its needs. */
void sched_judge(struct sched *s, const struct ref *at, int64_t now_us);
/* A restored task that waits for its turn though its needs are not met: it was taken up without
 * them (--only), or they are done again. It waits for them anew. */
void sched_hold_back(struct sched *s, const struct ref *at, int64_t now_us);
/* In a cancelled run: teardowns wait until all that was stopped has ended. */
void sched_judge_teardowns(struct sched *s, struct live_run *r, int64_t now_us);
/* What the states of its tasks make of a run in which nothing is open. */
enum run_state sched_end_state(const struct live_run *r, enum reason *ret_why);
/* All that is selected is final and nothing is in flight: the run's state follows. */
void sched_finish_run(struct sched *s, struct live_run *r, int64_t now_us);
/* Tell the dependents of tasks that became final, and finish the runs that are through. Ends each
 * step that may have made a task final. */
void sched_spread_news(struct sched *s, int64_t now_us);
/* The same for a run that was changed by request, in which tasks may be final no more. `chosen`:
 * those to be judged whatever their needs. What came of the needs alone is judged anew; each task
 * once, when all it needs is judged. */
void sched_review_run(struct sched *s, struct live_run *r, const bool *chosen, int64_t now_us);

/* Room for one more element in an array; false without memory, and the scheduler is then failed. */
bool sched_grow(struct sched *s, void *array, size_t n, size_t *cap, size_t size);
/* sched_breaker.c: the clock was set back, and nothing of breakers waits longer for it. */
void sched_heed_clock(struct sched *s, int64_t now_us);
/* Each event says when it is; time never runs back in here. */
static inline void sched_set_now(struct sched *s, int64_t now_us)
{
	if (now_us > s->now_us)
		s->now_us = now_us;
	if (now_us < s->clock_us)
		sched_heed_clock(s, now_us);
	s->clock_us = now_us;
}

/* ---- sched_queue.c -------------------------------------------------------------------- */

/* What a run waits on; before anything of it is ready. -1: without memory. */
int sched_make_shelves(struct sched *s, struct live_run *r);
void sched_drop_shelves(struct sched *s, struct live_run *r);
void sched_free_gates(struct sched *s);
/* Into the queue, where it is not there yet; or back to the place it had there. */
void sched_push_ready(struct sched *s, const struct ref *at);
void sched_push_back(struct sched *s, const struct ref *at, int64_t key);
/* An attempt takes its places in the lane, the DAG and the pool, and gives them back. */
void sched_enter_gates(const struct ref *at);
void sched_leave_gates(struct sched *s, const struct ref *at);
/* A task that may start but for a request to hold it: it says so and leaves the queue. */
bool sched_hold_it(struct sched *s, const struct ref *at, int64_t now_us);
/* What stops a task that is ready. */
enum reason sched_wait_reason(const struct ref *at);
/* Start what may start; those that wait since the last call say for what. */
void sched_start_ready(struct sched *s, int64_t now_us);

/* ---- sched_breaker.c ------------------------------------------------------------------- */

/* The breakers of the run's tasks; before anything of it is ready. -1: without memory. */
int sched_find_breakers(struct sched *s, struct live_run *r);
void sched_free_breakers(struct sched *s);
/* A task that is to start, at its place `key` in the queue: true when a breaker stops it. It is
 * then held by the breaker, skipped or failed, and to be taken out of the queue. One that is
 * deferred stays so while it is held. */
bool sched_stop_at_breaker(struct sched *s, const struct ref *at, int64_t key, int64_t now_us);
/* It is no longer held by its breaker. */
void sched_leave_breaker(struct sched *s, struct live_task *t);
/* An attempt starts (or, `begun`, did so under a former owner), and ends. end NULL: nothing is
 * known of how. */
void sched_pass_breakers(struct sched *s, struct flight *f, bool begun);
void sched_tell_breakers(
	struct sched *s, const struct flight *f, const struct attempt_end *end, int64_t now_us);
/* Whether one would stop it. */
bool sched_is_at_breaker(struct sched *s, const struct ref *at, int64_t now_us);
void sched_fire_breaker(struct sched *s, int index, int64_t due_us, int64_t now_us);
/* Changes were cleared: what was counted stays. Or they were taken back: what was counted of that
 * run is, too. */
void sched_keep_counts(struct sched *s);
void sched_uncount(struct sched *s, int64_t run_id);
/* Say what breakers counted. */
void sched_flush_breakers(struct sched *s, int64_t now_us);

/* ---- sched_run.c ---------------------------------------------------------------------- */

void sched_free_run(struct live_run *r); /* NULL is fine */
/* Bring a task of a new or restored run into motion. */
void sched_take_up(struct sched *s, const struct ref *at, int64_t now_us);
/* What is known of it, from what it was. */
struct live_task sched_live_task(const struct task_init *from);
/* And the other way round. */
struct task_init sched_task_init(const struct live_task *t);

/* ---- sched_map.c ---------------------------------------------------------------------- */

/* Make room for mappings, and for the instances of `init`; -1: without memory. */
int sched_make_mappings(struct live_run *r, const struct run_init *init);
void sched_free_mappings(struct live_run *r);
/* The list of a mapped task is there: its instances are on their way, or done. */
bool sched_is_listed(const struct ref *at);
/* An instance goes from one state to another. */
void sched_count_instance(const struct ref *at, enum task_state from, enum task_state to);
/* A mapped task is to have a new list: its instances wait for it. */
void sched_unlist(struct sched *s, const struct ref *at, enum reason why, int64_t now_us);
/* The state of a mapped task follows from its instances, where it came of them, or is to. */
void sched_settle_mapping(struct sched *s, const struct ref *at, int64_t now_us);
/* A task that is done again: `why` is of sched_again. */
void sched_do_again(struct sched *s, const struct ref *at, enum reason why, int64_t now_us);
/* Bring the instances of a run that is taken in into motion, but for those that run. */
void sched_take_up_instances(struct sched *s, struct live_run *r, int64_t now_us);

/* ---- sched_ask.c ---------------------------------------------------------------------- */

/* Its `if` is asked before it is put on its shelf. */
void sched_ask(struct sched *s, const struct ref *at);
/* The one that is answered, if it still asks and may go on. */
bool sched_find_asking(struct sched *s, int64_t run_id, int task, struct ref *ret);
/* Drop those that no longer ask; those that are held say so. */
void sched_tidy_asking(struct sched *s, int64_t now_us);
/* Not there yet, or its time is over. */
void sched_wait_more(
	struct sched *s, const struct ref *at, const struct sched_wait *w, int64_t now_us);
/* It is there, or the attempt tells why it never will be. */
void sched_wait_no_more(struct sched *s, const struct ref *at, int64_t now_us);
/* What looks for it found: told when it is another than before; NULL: nothing new. */
void sched_tell_looked(struct sched *s, const struct ref *at, const char *said, int64_t now_us);

/* ---- sched_look.c --------------------------------------------------------------------- */

/* It is to be looked for, where no look is made or to be made. */
void sched_push_look(struct sched *s, const struct ref *at);
/* Could a look for it begin now? */
bool sched_may_look(struct sched *s, const struct ref *at, int64_t now_us);
void sched_start_looks(struct sched *s, int64_t now_us);
/* The task waits no longer: its look is stopped. */
void sched_end_look(struct sched *s, const struct ref *at, int64_t now_us);
/* It is never begun. */
void sched_forget_look(struct sched *s, int64_t token);
/* The run goes: the ends of its looks mean nothing. */
void sched_forget_looks(struct sched *s, const struct live_run *r);
void sched_free_looks(struct sched *s);
/* ---- sched_outside.c ------------------------------------------------------------------ */

/* It is deferred for other runs, before its turn. */
static inline bool waits_outside(const struct ref *at)
{
	return live(at)->state == TASK_DEFERRED && reason_is_outside(live(at)->reason);
}
/* Its needs on other DAGs count, among those of `counts`. */
bool sched_counts_cross(const struct ref *at);
/* A task that is to be judged anew has all asked again. */
void sched_forget_outside(const struct ref *at);
/* Needs of its own run are all final. */
bool sched_own_needs_done(const struct ref *at);
/* A task that waits for its needs and may ask for other runs: whether it has to. `v`: what is known
 * says. True: it asks, or has asked and waits. */
bool sched_needs_outside(struct sched *s, const struct ref *at, enum verdict v);
/* Put the question, at once. */
void sched_ask_outside(struct sched *s, const struct ref *at);

/* ---- sched_attempt.c ------------------------------------------------------------------ */

/* Count an attempt of a former owner as in flight. */
void sched_add_flight(struct sched *s, const struct ref *at, int64_t token);
/* A timer for the task: when its next try is due, or when it is asked again. -1 without memory. */
int sched_arm(struct sched *s, const struct ref *at);
/* Ask for the end of a task's attempt in flight. */
void sched_stop(
	struct sched *s, const struct ref *at, bool hard, const char *detail, int64_t now_us);
/* Is there a token for it, and nothing that forbids starts? */
bool sched_may_start(const struct sched *s);
/* Start a task with the next token; there must be one. */
void sched_start(struct sched *s, const struct ref *at, int64_t now_us);

#endif
