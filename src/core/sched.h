/* The scheduler: pure. (state, event, now) -> changes, and when to be called next.
 *
 * It reads no clock, opens no file and talks to no one: the foreground run, the daemon, the
 * simulator and the tests drive this same code.
 *
 *     struct sched *s = sched_new(&config);
 *     sched_add_run(s, &init, now, err);
 *     loop:
 *             sched_tick(s, now)            due timers, and starts what may start
 *             changes = sched_changes(s, &n)
 *             commit them; carry out CHANGE_START, CHANGE_STOP
 *             sched_clear_changes(s)
 *             wait for an attempt's end -> sched_attempt_ended(s, ...), or sched_wake_us(s)
 *
 * Readiness is kept in counters on the needs of each task, waiting attempts in queues, retries in
 * a heap of timers: the cost of a step follows what it changes.
 *
 * What may start does so when its lane, its DAG (max_active_tasks) and its pool have room. Of those
 * that wait for the same the one with most points is next: the task's weight (core/model.h), and
 * one more for each minute it has waited, so that none waits for ever; of equals the one that waits
 * longer. Backfills have 60 less. A task that needs several slots of a pool keeps those behind it
 * in that pool waiting until it has them. One that could not start says why (REASON_SLOT_WAIT,
 * REASON_DAG_LIMIT, REASON_POOL_FULL).
 *
 * A mapped task (`foreach` in core/model.h) that could start asks for its list, once; then each
 * item has an instance: a task with a state, tries and attempts of its own, known by the mapped
 * task's index and its map index. The mapped task as a whole is deferred meanwhile
 * (REASON_MAPPED), and final when the last of them is; what depends on it knows nothing of
 * instances. In a run each task has a live number, "task" below: those of the DAG their index,
 * instances the numbers behind. It stays what it is as long as the run is here.
 */
#ifndef WEIR_CORE_SCHED_H
#define WEIR_CORE_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/change.h"
#include "core/trigger.h"

struct dag;
struct err;
struct sched;

struct sched_config {
	int max_running; /* attempts in flight over all runs; at least 1 */
	int max_looks;   /* looks at once; 0: SCHED_LOOKS */
	uint64_t seed;   /* of the jitter */
};

struct sched *sched_new(const struct sched_config *config);
void sched_free(struct sched *s);

/* A task as the store knows it, when a run is taken up again. */
struct task_init {
	enum task_state state;
	enum reason reason; /* why it is in that state */
	int tries, failures, lost;
	int64_t due_us; /* up_for_retry; deferred, awaiting_input: the deadline, 0: none */
	int64_t token;  /* running: of the attempt in flight */
	int64_t work;   /* the piece of work it is at; 0: none yet */
	bool selected;  /* false: leave it as it is, whatever its state */
	bool clear;     /* do it again, though it is final */
	bool unchosen;  /* skipped by a choice (REASON_NOT_CHOSEN), which `clear` does not undo */
};

/* An instance of a mapped task, likewise. Of those of a task none may be missing below the last. */
struct instance_init {
	int task; /* index in the DAG */
	int map_index;
	const char *item; /* JSON text; copied */
	struct task_init init;
};

struct run_init {
	int64_t run_id;
	struct dag *dag; /* a reference is taken */
	enum run_state state;
	const struct task_init *tasks; /* ntasks rows by task index; NULL: all new and selected */
	const struct instance_init *instances; /* their live numbers are ntasks, ntasks + 1, ... */
	int ninstances;
	int lane;          /* 0, or one of sched_set_lane */
	bool resume;       /* go on after a restart: what failed is not done again */
	bool ignore_needs; /* --only: needs outside the selection do not count */
	bool settling;     /* only attempts in flight are to be settled: the run's state stays */
	bool aside; /* to be changed by request only (core/request.h): its tasks and its state stay
		       as they are, and nothing comes into motion */
	/* It is being cancelled: what is in motion then waits for sched_cancel_run to be said once
	 * more. */
	bool cancelling, killing;
};

/* Which tasks of a run that is taken in are done again, and why: those marked `clear`
 * (REASON_CLEARED), those that failed, but for `resume` (REASON_RERUN_FAILED), and those whose
 * trigger rule or condition had judged one of these, which is judged anew (REASON_NEEDS_AGAIN),
 * and the setups of teardowns among them (REASON_SET_UP_AGAIN);
 * REASON_NONE for others. What was not chosen stays so until the choice is made again, and what has
 * its state by request until it is named. Of a mapped task only the instances that are named or
 * that failed are done again, and it then has REASON_MAPPED; all of them, with a new list, when
 * it has another reason. init: dag, tasks, instances and resume count. ret: by live number, room
 * for all. -1: out of memory. */
int sched_again(const struct run_init *init, enum reason *ret);

/* Take a run in. Final states are kept, but for tasks marked `clear`, and for failed,
 * upstream_failed and cancelled ones, which are cleared (sched_again). Waiting ones whose
 * needs are not met any more wait for them anew (REASON_CLEARED). Running ones wait for
 * sched_attempt_ended: the caller settles them first. A run that is here already is
 * ERR_INTERNAL. */
int sched_add_run(struct sched *s, const struct run_init *init, int64_t now_us, struct err *err);
/* Forget a run that is final or that no longer belongs to us; attempts in flight are forgotten,
 * too. Changes borrow from its DAG: clear them first, or hold a reference to it. */
void sched_drop_run(struct sched *s, int64_t run_id);

/* At most `max_running` attempts of the runs of a lane at once; lane 0 is the one of sched_config.
 * Lanes are small numbers, made when first named. -1: out of memory. */
int sched_set_lane(struct sched *s, int lane, int max_running);

/* At most so many slots of a pool are taken at once; 0: nothing starts in it. A pool that a task
 * names and nobody sets has one. Fewer than are taken: what runs goes on, nothing new starts. -1:
 * out of memory. */
int sched_set_pool(struct sched *s, const char *name, int slots);
struct sched_pool {
	const char *name;
	int slots, used;      /* used: may be more, after slots became fewer */
	int running, waiting; /* tasks */
};
/* The pools by name. Looks at all tasks. */
void sched_each_pool(struct sched *s, void (*fn)(void *arg, const struct sched_pool *p), void *arg);

/* Circuit breakers (core/breaker.h), which tasks name: one that nobody sets holds nothing, but for
 * those of quality (QUALITY_BREAKER), which the scores of checks open and close. A task
 * whose breaker is open is held by it (TASK_HELD, REASON_BREAKER_OPEN; no try of it is spent),
 * skipped or failed, as its on_open says. Those that are held are let go by a timer: some as
 * probes, and one after the other once it is closed. What a breaker knows comes as CHANGE_BREAKER,
 * and goes back in by sched_load_breaker: after a restart, and when another process or a person
 * changed it. Both -1: out of memory. */
int sched_set_breaker(struct sched *s, const char *name, const struct breaker_policy *p);
int sched_load_breaker(struct sched *s, const char *name, const char *text, int64_t now_us);
/* Whether what the store has is what is known here, or older: what is known here is not committed
 * yet. */
bool sched_has_breaker(const struct sched *s, const char *name, const char *text);
struct sched_breaker {
	const char *name;
	const struct breaker *breaker;
	const struct breaker_policy *policy; /* NULL: nobody set one */
	int held;
};
/* By name. */
/* It is in no weir.yaml any more: it holds nothing, and is closed where it was not. -1: out of
 * memory. */
int sched_remove_breaker(struct sched *s, const char *name, int64_t now_us);
void sched_each_breaker(
	struct sched *s, void (*fn)(void *arg, const struct sched_breaker *b), void *arg);

/* How many tasks that wait for the same are before this one; -1: it does not wait. Looks at all
 * that wait. */
int sched_ahead(const struct sched *s, int64_t run_id, int task);
/* What stops a task that waits, now: its reason is of when it began to wait. REASON_NONE: it does
 * not wait. */
enum reason sched_waits_for(const struct sched *s, int64_t run_id, int task);

/* Hold a run (task -1) or one of its tasks, a mapped one with all its instances: what has not
 * started does not, and says why (TASK_HELD). */
struct sched_hold {
	int64_t run_id;
	int task;
	bool on;
	enum reason why;
};
void sched_hold(struct sched *s, const struct sched_hold *h);

/* How an attempt ended, as the executor saw it. */
struct attempt_end {
	int64_t token;
	enum outcome outcome; /* success, failed, timeout, skipped, cancelled or lost */
	int exit_status, signal;
	bool permanent; /* an operator's error that no retry mends */
	bool refused; /* lost: the system did not let it start. Tried again, later and later, until
			 it does: spends no lost_retries */
	int64_t started_us, ended_us;
	bool has_score; /* its checks were judged: `score`, 0 to 1 */
	double score;
	const char *error;   /* copied */
	const char *outputs; /* JSON object text; copied */
	const char *result;  /* JSON object text; copied */
	const int *skips;    /* success of a task that chooses: those that it skips */
	size_t nskips;
};

/* An end with a token that is not in flight (late, repeated, unknown) changes nothing and returns
 * false. */
bool sched_attempt_ended(struct sched *s, const struct attempt_end *end, int64_t now_us);

/* An attempt of a former owner ended, whose task is no longer in the DAG: the task is cancelled.
 * `task` and `hash` are borrowed until changes are cleared. */
struct sched_orphan {
	int64_t run_id;
	const char *task, *hash;
	int map_index;             /* -1: not an instance */
	int tries, failures, lost; /* as the store has them */
};
void sched_orphan_ended(struct sched *s, const struct sched_orphan *o,
	const struct attempt_end *end, int64_t now_us);

/* Tasks with an `if` that could start, tasks that wait (core/model.h), when it is time to look, and
 * mapped tasks without a list. The scheduler cannot judge it: whoever can answers each behind
 * sched_tick, and ticks again. Those whose run or task is held do not ask. */
struct sched_question {
	int64_t run_id;
	int task, tries;           /* of attempts so far */
	int task_index, map_index; /* in the DAG; -1: not an instance */
	const char *item;          /* of an instance: JSON text; else NULL */
	bool list;           /* its list is asked for: sched_answer_list, sched_answer_no_list */
	bool asked;          /* its `if` was answered before */
	bool waits;          /* it is deferred, or awaits input */
	bool stopped;        /* its deadline has come, and a breaker lets nobody look */
	int64_t deadline_us; /* of the wait, where that was said before; 0: none */
	bool outside;        /* what other runs say is asked: to be answered by
				sched_answer_outside */
};
/* Borrowed until the next call of anything but this. */
const struct sched_question *sched_questions(struct sched *s, size_t *ret_n);
/* `yes`: it takes its turn, a task that waits at once: what it waited for is there, which its
 * attempt tells (without a token for it, it asks again with the next tick); else it is skipped
 * (REASON_CONDITION_FALSE). */
void sched_answer(struct sched *s, int64_t run_id, int task, bool yes, int64_t now_us);
/* The `if` of a task that waits is true: whether what it waits for is there is asked next. */
void sched_answer_if(struct sched *s, int64_t run_id, int task, int64_t now_us);
/* It is skipped for another reason. */
void sched_answer_skip(struct sched *s, int64_t run_id, int task, enum reason why, int64_t now_us);
/* The list of a mapped task; empty, it is skipped (REASON_LIST_EMPTY). */
struct sched_list {
	int64_t run_id;
	int task;
	const char *const *items; /* JSON texts; copied */
	int n;
};
void sched_answer_list(struct sched *s, const struct sched_list *list, int64_t now_us);
/* It cannot be made: the mapped task has failed (REASON_LIST_FAILED). `error` is copied. */
void sched_answer_no_list(
	struct sched *s, int64_t run_id, int task, const char *error, int64_t now_us);
/* Not yet: it is deferred, or awaits input, without a slot, and asks again. */
struct sched_wait {
	int64_t run_id;
	int task;
	bool input;          /* a person is to decide */
	int64_t again_us;    /* when it is asked again */
	int64_t spread_us;   /* and at most so much later, so that not all ask at once */
	int64_t deadline_us; /* for how long; 0: for ever. Said once: the first one stays */
	const char *what;    /* in words; copied. NULL: not known. Said once, too */
	bool skip;           /* skipped at the deadline, not failed (REASON_WAIT_TIMED_OUT) */
	bool unseen;      /* it could not be looked at: asked soon again, also past the deadline */
	const char *said; /* what is there instead, in words; copied; told when it is another
			     (CHANGE_LOOKED). NULL: nothing new */
	bool gone;        /* `said` is told only where something was said before */
};
void sched_answer_wait(struct sched *s, const struct sched_wait *w, int64_t now_us);

/* Looks: only a process can say whether it is there (a query, a request). The task is deferred, and
 * a look is started (CHANGE_LOOK) as soon as fewer than max_looks are being made: those who wait
 * for that are not in a queue of their pool, DAG or lane, and their looks take no slots there. A
 * look has a token, spends no try, and is no attempt: the store knows nothing of it but what it
 * found. One of a task that waits no longer is stopped (CHANGE_STOP); after a restart another is
 * made. An open breaker of the task holds its looks, while its deadline comes nearer; a look that
 * fails counts as a failure, one that finds out something, if only that it is not there, as a
 * success. The attempts of tasks that wait count nothing. */
enum { SCHED_LOOKS = 16 };
void sched_answer_look(struct sched *s, const struct sched_wait *w, int64_t now_us);
struct sched_look_end {
	int64_t token;
	enum outcome outcome; /* success: it looked; failed, timeout: it could not; others: nothing
				 is known of what it was to look at */
	bool permanent;       /* failed: so will all others */
	bool over;            /* it is there, or never will be: the attempt begins, and tells */
	const char *said;     /* what it found, in words; copied. NULL: nothing new */
	struct sched_wait wait; /* not over: as in sched_answer_wait */
};
/* False: no such look is being made. */
bool sched_look_ended(struct sched *s, const struct sched_look_end *end, int64_t now_us);
/* Whose look it is; run 0: of a run that is gone. False: no such look is being made. */
bool sched_look(const struct sched *s, int64_t token, int64_t *ret_run_id, int *ret_task);
/* Whether its task still waits for it. */
bool sched_look_awaited(const struct sched *s, int64_t token);
int sched_looking(const struct sched *s);

/* What other runs say to a task with needs on other DAGs, or that depends on the past. It is asked
 * for from the start on, since a verdict does not wait for needs that cannot change it; for the run
 * before only when its needs let it start. Where nothing but that is missing it is deferred. Asked
 * also while it is held: held is only what could start. */
struct sched_outside {
	int64_t run_id;
	int task;
	struct trigger_counts counts; /* its needs on other DAGs that are final; `needs` is of no
					 matter */
	bool past;                    /* the run before lets it start */
	int64_t again_us, spread_us;  /* as of sched_wait */
	const char *what;             /* likewise: what is missing */
};
void sched_answer_outside(struct sched *s, const struct sched_outside *o, int64_t now_us);
/* Something came in that a task waits for: it is asked with the next tick. False when the task does
 * not wait, nor asks for other runs. */
bool sched_ask_again(struct sched *s, int64_t run_id, int task);

/* Stop a run: nothing new starts, attempts in flight are stopped, waiting tasks are cancelled; but
 * for teardowns, of which those that run go on, and those with a need that was started are still to
 * run. Called again with hard: kills what is left. */
void sched_cancel_run(struct sched *s, int64_t run_id, bool hard, int64_t now_us);

/* Start nothing any more, in no lane. */
void sched_halt(struct sched *s);

/* Fire what is due, start what may start. Returns -1 only without memory. */
int sched_tick(struct sched *s, int64_t now_us, struct err *err);

/* When sched_tick must be called at the latest; INT64_MAX: only after an event. */
int64_t sched_wake_us(const struct sched *s);

/* What happened since changes were cleared, in its order; borrowed until they are. */
const struct change *sched_changes(const struct sched *s, size_t *ret_n);
void sched_clear_changes(struct sched *s);
/* Take back what was said of a run that is no longer ours, before it is committed. The run must be
 * dropped next. */
void sched_forget_changes(struct sched *s, int64_t run_id);

/* What the run looks like now. */
enum run_state sched_run_state(const struct sched *s, int64_t run_id);
/* Nothing of the run is open or in flight: there is nothing more to wait for. */
bool sched_run_idle(const struct sched *s, int64_t run_id);
struct task_view {
	enum task_state state;
	enum reason reason;
	int tries, failures, lost;
	int waiting; /* needs that are not done yet */
	bool ready;  /* it starts as soon as it finds a slot */
	int64_t due_us, token;
	const char *breaker; /* that holds it; NULL: none */
	int task_index;      /* in the DAG */
	int map_index;       /* -1: not an instance */
	const char *item;    /* of an instance: JSON text; else NULL */
	/* Of a mapped task: how many items its list has; and in which states its instances are, by
	 * enum task_state, with those that have no item any more. NULL: it has no list. */
	int ninstances;
	const int *states;
};
/* A run as it stands, such as another scheduler takes it in, with the same live numbers. There is
 * room for dag->ntasks `tasks` and sched_ninstances() `instances` (NULL: the run has none), whose
 * items are borrowed. False: it is not here. */
bool sched_snapshot(const struct sched *s, int64_t run_id, struct run_init *ret,
	struct task_init *tasks, struct instance_init *instances);
int sched_ninstances(const struct sched *s, int64_t run_id);
/* The live number of an instance; of a task for map_index -1. -1: there is none. */
int sched_find_task(const struct sched *s, int64_t run_id, int task_index, int map_index);
bool sched_task_view(const struct sched *s, int64_t run_id, int task, struct task_view *ret);
/* Whose attempt it is; false when the token is not in flight. */
bool sched_flight(const struct sched *s, int64_t token, int64_t *ret_run_id, int *ret_task);
/* All attempts in flight, in no order. */
typedef void sched_flight_fn(void *arg, int64_t token, int64_t run_id, int task);
void sched_each_flight(const struct sched *s, sched_flight_fn *fn, void *arg);
/* Likewise all looks; of a run that is gone: run 0, task -1. */
void sched_each_look(const struct sched *s, sched_flight_fn *fn, void *arg);
int sched_running(const struct sched *s);
/* Tokens come from the store in blocks [first, end). With none left nothing starts, so the driver
 * hands out more while sched_tokens_left() is small. A run that is added with tokens beyond those
 * of the block uses the block up. */
int64_t sched_tokens_left(const struct sched *s);
void sched_set_tokens(struct sched *s, int64_t first, int64_t end);

#endif
