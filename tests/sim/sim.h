/* The simulation: the real engine, scheduler, planner and memory store in a world made of one seed.
 *
 *     world.c     time, what happens next, people and faults
 *     dags.c      random DAGs
 *     actor.c     processes that drive runs
 *     planned.c   a schedule: the planner, and what must come of it
 *     slas.c      deadlines of it and a task, which the daemon's own code judges
 *     limits.c    and limits of how long they may run
 *     parts.c     tasks that wait, choose, take down or are not to run
 *     fuses.c     circuit breakers
 *     incidents.c what went wrong, and was made good
 *     outbox.c    who is told of it, by senders that fail and die
 *     people.c    what people ask of runs, of a daemon or beside it
 *     asked.c     what must come of that
 *     disk.c      the store as a process sees it
 *     super.c     supervisors
 *     channel.c   channels to them: the executor
 *     provider.c  where executors come from
 *     truth.c     what was committed, judged change by change
 *     check.c     invariants after each step, and at the end
 *     shrink.c    the least that still fails
 *     main.c      the command line
 *     plants/     bugs, to be planted in copies of the sources, and caught
 *
 * Nothing here reads a clock, a pid or an address: a seed is one story, told again by
 *
 *     weir-sim --seed N --story
 *
 * Time runs on two clocks, as it does outside: `now_us`, which only goes forward and by which all
 * things happen, and the clock on the wall, `now_us + wall_us`, which people set.
 */
#ifndef WEIR_TESTS_SIM_SIM_H
#define WEIR_TESTS_SIM_SIM_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <ucontext.h>
#include <uthash.h>

#include "base/rng.h"
#include "core/model.h"
#include "core/planner.h"
#include "core/request.h"
#include "core/sla_clock.h"
#include "core/state.h"
#include "core/timetable.h"
#include "run/engine.h"
#include "store/backend.h"

enum {
	SIM_ACTORS = 2,
	SIM_DAGS = 6,
	SIM_RUNS = 32,
	SIM_TASKS = 30,
	SIM_ITEMS = 4, /* instances of the one task of a DAG that may be mapped, at most */
	SIM_ROWS = SIM_TASKS + SIM_ITEMS, /* tasks by index, and these */
	SIM_FAULTS = 48,
	SIM_POOLS = 2,
	SIM_SERVICES = 2, /* breakers of what tasks use */
	SIM_FUSES,        /* and one of quality */
	SIM_FAILURES = 32,
	SIM_TICKS = 16, /* intervals of the schedule, at most */
	SIM_SLAS = 4,   /* deadlines of each, and a warning */
	SIM_LIMITS = 2, /* of what runs */
	SIM_OWNERS = 2, /* of SLAs: the DAG, and a task of it */
	SIM_STARTS = 16,
	SIM_ASKS = 256,
	SIM_NAMED = 3 /* tasks, in one request, at most */
};

#define SIM_S INT64_C(1000000)
#define SIM_MS INT64_C(1000)
#define DECIDE_US (20 * SIM_S)

struct alerts;
struct daemon;
struct run_data;
struct incident;
struct err;
struct outbox;
struct sim;
struct actor;
struct super;
struct channel;

/* ---- what is left out of a seed's world, to find the least that fails ---- */

struct cut {
	uint64_t faults; /* bit i: the i-th fault does not happen */
	int tasks, runs; /* at most so many; 0: as they come */
};

/* ---- faults ---- */

enum fault_kind {
	FAULT_CRASH,        /* a process is killed between two steps */
	FAULT_CRASH_WITHIN, /* or within one, at its n-th call */
	FAULT_PAUSE,        /* a process sleeps (SIGSTOP, a laptop's lid), between two steps */
	FAULT_PAUSE_WITHIN, /* or within one */
	FAULT_RESTART,      /* it ends in order, tasks go on, and comes again: an upgrade */
	FAULT_HALT,         /* likewise, and its tasks are stopped */
	FAULT_STORE_DOWN,   /* nothing can be written or read for a while */
	FAULT_STORE_FLAKY,  /* some calls fail */
	FAULT_STALL,        /* calls take long */
	FAULT_SUPER_DIES,   /* a supervisor dies; a task may outlive it until it is reaped */
	FAULT_SUPER_DEAF,   /* a supervisor lives and does not answer */
	FAULT_STUBBORN,     /* what is to be reaped does not die for a while */
	FAULT_REBOOT,       /* everything that runs is gone, and journals may be */
	FAULT_CLOCK,        /* somebody sets the clock */
	FAULT_SLOW,         /* messages are late */
	FAULT_REPEAT,       /* an end is told again */
	FAULT_CANCEL,       /* a person cancels a run */
	FAULT_HOLD,         /* or pauses it, or freezes a task, for a while */
	FAULT_RERUN,        /* or asks for a failed run again */
	FAULT_ASK,          /* or anything else of it, of its daemon or beside it */
	FAULT_DECIDE,       /* or approves or rejects */
	FAULT_FUSE,         /* or opens or closes a circuit breaker */
	FAULT_KIND_MAX
};
struct fault {
	enum fault_kind kind;
	int64_t at_us;
	uint64_t draw; /* what else is random about it */
	bool done;
};

/* ---- the truth (truth.c) ---- */

enum body { BODY_NONE, BODY_RUNS, BODY_STRAY, BODY_ENDED, BODY_DIED };

/* An attempt, by its token: what was committed of it, and what really became of it. */
struct attempt {
	int64_t token, epoch;
	struct trun *run;
	int task, try;
	int64_t began_us, ended_us; /* on the wall */
	enum outcome recorded;      /* NONE: in flight, as far as the store knows */
	enum body body;
	enum outcome real; /* with BODY_ENDED */
	int exit_status;
	bool forgotten;  /* it ended, but nobody can know how: a reboot took the journal */
	bool stopped;    /* a stop reached it */
	bool refused;    /* recorded as lost, because it could not begin */
	bool permanent;  /* it is not tried again */
	int incarnation; /* of the process that started it */
	int era[SIM_FUSES];
	bool probe[SIM_FUSES];
	bool writes;   /* it leaves an output */
	bool reported; /* it left a report of its checks, with */
	double score;
	int64_t since_us; /* when something became of it last */
	UT_hash_handle hh;
};

struct ttask {
	enum task_state state;
	enum reason reason; /* of it */
	int tries, failures, lost;
	int64_t due_us, token;
	/* On the wall, 0: not yet: it started first; its process did, which is known in the end; it
	 * was done. */
	int64_t first_us, real_us, done_us;
	const struct attempt *first;
	struct attempt *last;
	bool ended; /* the end of its attempt was committed; the task's change comes behind it */
	bool held, frozen; /* asked for; its owner has heard of it, and had decided nothing */
	bool cancelling;   /* asked for, by itself */
	bool let_go;       /* it starts, and was held by a breaker */
	bool left_out;     /* a choice that is being committed leaves it out */
	enum decision { DECISION_NONE, DECISION_YES, DECISION_NO } decision;
	int nsuccess; /* since it was cleared */
};

/* A run, as committed. */
struct trun {
	int64_t id, epoch;
	char name[64];
	struct sim_dag *dag;
	enum run_state state;
	struct actor *owner; /* whom its epoch was given to; NULL: nobody */
	int incarnation;     /* of the owner */
	int64_t opened_us;
	struct ttask tasks[SIM_ROWS];
	int nitems;                              /* instances so far */
	bool cancelling, killing, rerun, halted; /* asked for */
	bool held, frozen;
	int stopping; /* as committed: it is being cancelled, RUN_STOPPED or RUN_KILLED */
	int64_t start_us, end_us;
	/* On the wall, 0: not yet: a task of it started; it did; it succeeded. */
	int64_t first_us, running_us, done_us;
	/* Likewise, the last time: it began to run, and was final. */
	int64_t since_us, ended_us;
	bool scheduled; /* made by the schedule */
	bool counted;   /* its planner counts it as active */
	bool again;     /* asked for by a person, since */
	int ncommits;   /* that changed it */
	bool was_held;  /* or a task of it, by request, at some time */
};

/* ---- circuit breakers (fuses.c) ---- */

struct fuse {
	char name[16];
	struct breaker_policy policy;
	enum breaker_state state; /* as committed, with what follows */
	int64_t since_us, until_us;
	bool forced, ramps;
	int era; /* how often it changed */
	int probing, passed, failed;
	bool must_open;
	int64_t told_us; /* when a person spoke last, on the wall */
	bool of_quality; /* opened by checks that score low, closed by others */
	enum judged { JUDGED_NOT, JUDGED_LOW, JUDGED_GOOD } judged; /* it changes next */
	bool judged_sure;
	struct sim_failure {
		int64_t at_us;
		int era;
		bool sure; /* it counts, whatever else */
	} failures[SIM_FAILURES];
	unsigned nfailures;
	int64_t starts[SIM_STARTS]; /* of those that it let go */
	unsigned nstarts;
};

/* ---- people (people.c, asked.c) ---- */

/* What somebody asks of a run. */
struct ask {
	int number; /* from 1; it is in the reason that is kept */
	struct trun *run;
	enum request_verb verb; /* REQUEST_MAX: to approve or reject, or about `fuse` */
	struct fuse *fuse;      /* to be opened (approves), or closed; NULL: none */
	int tasks[SIM_NAMED], ntasks;
	bool approves;
	bool downstream, failed, hard, outputs;
	enum task_state mark;
	uint64_t draw;
	/* The plan (--dry-run), if there is one, and how often the run had changed then. */
	bool planned;
	int planned_at;
	struct ask_effect {
		enum request_effect effect;
		enum task_state to;
	} plan[SIM_TASKS];
	/* What came of it. */
	bool applied;
	bool answered;
	bool later; /* it was answered that it is done later */
	/* While the commit that applies it is judged. */
	enum task_state before[SIM_TASKS];
	bool targets[SIM_TASKS]; /* what is to be changed by name */
	bool maybe[SIM_TASKS];   /* and what may be */
	bool met[SIM_TASKS], planned_met[SIM_TASKS];
};

/* ---- DAGs ---- */

/* What a task does, where it is no command. */
enum part {
	PART_COMMAND,
	PART_FILE, /* waits for a file */
	PART_TIME, /* waits for an instant */
	PART_APPROVAL,
	PART_BRANCH,
	PART_CIRCUIT,
	PART_MAX
};
/* `when`: (a and b) or c, of as many as there are. */
struct sim_when {
	int n;
	struct sim_term {
		int task;
		enum task_state state; /* TASK_NONE: done */
		bool not ;
	} terms[3];
};
/* What the model knows of a task beside core/model.h, in its own words. */
struct sim_task {
	enum part part;
	bool never; /* its `if` is false */
	struct sim_when when;
	int64_t there_us;   /* the file, by the world's clock; the instant, on the wall */
	bool there;         /* the file */
	int64_t timeout_us; /* 0: none */
	bool late_skips;    /* on_timeout */
	bool default_approves, reject_skips;
	bool chosen[SIM_TASKS]; /* of a branch: those directly behind it that go on */
	bool passes, ignores;   /* a short circuit */
};
struct sim_dag {
	struct dag *dag;
	int mapped; /* index of the task that is; -1: none is */
	struct foreach foreach;
	char name[16];
	int lane;
	bool scheduled;
	struct sim_task tasks[SIM_TASKS];
};

/* ---- processes (actor.c) ---- */

enum actor_status {
	ACTOR_DOWN,   /* until `up_us` */
	ACTOR_IDLE,   /* waits for something to happen */
	ACTOR_ACTIVE, /* its stack is the one that runs */
	ACTOR_PAUSED, /* within a call, or between two; until `up_us` */
	ACTOR_STATUS_MAX
};

/* What an actor finds to do when it wakes. */
enum actor_work {
	WORK_POLL = 1 << 0,
	WORK_TICK = 1 << 1,
	WORK_SCAN = 1 << 2,   /* for runs that want an owner */
	WORK_CANCEL = 1 << 3, /* somebody asked to cancel `asked` */
	WORK_HOLDS = 1 << 4,  /* switches were set */
	WORK_STOP = 1 << 5,   /* leave in order */
	WORK_HALT = 1 << 6,   /* stop the tasks, then leave */
	WORK_PLAN = 1 << 7,
	WORK_ASK = 1 << 8, /* somebody asks something: `ask` */
	WORK_SLA = 1 << 9, /* deadlines may have come */
	WORK_ALERT = 1 << 10,
};

struct actor {
	struct sim *w;
	const char *name;
	int index, incarnation;
	enum actor_status status;
	unsigned work;
	struct trun *asked;
	struct ask *ask;
	bool is_person; /* it asks, and ends */
	bool hard;      /* the cancel */
	bool begun;     /* there is an engine */
	bool leaving;
	struct daemon *daemon; /* what its SLAs need of one */
	struct engine *engine; /* of that */
	struct exec_provider provider;
	struct super *own; /* that begin made last */
	int64_t up_us, scan_us;
	int64_t ticked_us, seen_effects;
	int idle_ticks; /* within one second, in a row, without any effect */
	int64_t pause_us;
	int pause_in, crash_in; /* calls until it is paused, or killed; 0: it is not */
	const char *where;      /* only such calls count; NULL: all */
	int64_t awake_us;       /* since when */
	bool dying;             /* it is to be killed where it stands */
	bool between;           /* paused between two steps */
	bool sheltered; /* it begins or leaves: these are no places for a crash or a pause */
	bool failed;
	struct store_result rows, row; /* of a scan */
	struct task_init init[SIM_TASKS + 1];
	struct planner *planner; /* NULL: not loaded yet */
	int64_t plan_again_us, sla_again_us;
	int64_t alert_again_us;
	ucontext_t context;
	char *stack;
};

/* ---- the world ---- */

struct sim {
	uint64_t seed;
	struct cut cut;
	FILE *story;    /* NULL: not told */
	struct rng rng; /* of what is no plan: delays, refusals */
	int64_t now_us, wall_us;
	int64_t latest_us; /* that a clock showed before it was set */
	int64_t steps, max_steps;
	int64_t calm_us;   /* from here on nothing is disturbed any more */
	int64_t decide_us; /* then: when somebody looks next for what waits for a decision */
	bool calmed;
	struct fault faults[SIM_FAULTS];
	int nfaults;
	struct sim_dag dags[SIM_DAGS];
	int ndags;
	struct order { /* a person starts a run */
		int64_t at_us;
		int dag, interval;
		bool done;
	} orders[SIM_RUNS];
	int norders;
	struct trun runs[SIM_RUNS];
	int nruns;
	struct attempt *attempts;
	struct store *base;
	struct actor actors[SIM_ACTORS];
	int nactors;
	struct actor person; /* somebody at the command line */
	struct actor *active;
	struct ask asks[SIM_ASKS];
	int nasks;
	struct wrong {
		uint32_t runs; /* bits, by index */
		int count;
	} wrong[SIM_DAGS][SIM_TASKS][2];
	struct fuse fuses[SIM_FUSES];
	int nfuses;
	struct ask *asking; /* applied by the commit that is judged; NULL: none */
	int max_running, lane_max;
	int pools[SIM_POOLS]; /* slots; never too few for the widest task */
	bool same_host;       /* a dead owner is recognised; else its lease is waited for */
	struct config *config;
	struct sim_dag *planned; /* by a schedule; NULL: none is */
	struct schedule_spec spec;
	enum planner_overlap overlap;
	int max_active;
	struct { /* of that DAG */
		bool on;
		struct sla_of of[SIM_OWNERS];
		int task;        /* the second one's */
		int64_t seen_us; /* it is judged from then on; 0: not yet */
		struct sim_miss {
			int64_t id; /* 0: not found */
			bool ended;
		} misses[SIM_OWNERS][SIM_TICKS][SIM_SLAS], limits[SIM_RUNS][SIM_OWNERS][SIM_LIMITS];
		/* What is slow, of each run, by its history when it began; 0: nothing is */
		int64_t slow_us[SIM_RUNS];
		bool slow_sure[SIM_RUNS]; /* the history could be read */
	} slas;
	struct outbox *outbox;
	/* Running faults: until when. */
	int64_t store_down_us, flaky_us, stall_us, slow_us, stubborn_us;
	struct super **supers;
	size_t nsupers, supers_cap;
	struct channel **channels;
	size_t nchannels, channels_cap;
	int nnames;
	ucontext_t main;
	jmp_buf failed;
	char why[512];
	int64_t progress_us; /* of the last commit */
	int64_t effects;     /* of anything that changed: who ticks without one spins */
	/* Told at the end. */
	int64_t starts, commits, crashes, claims;
};

/* Run one seed. 0, or -1: w->why tells what is wrong. */
int world_run(struct sim *w);
void world_release(struct sim *w);
/* A number that depends on the seed and these alone: what is planned with it stays when
 * something else is cut out. */
uint64_t world_draw(const struct sim *w, uint64_t a, uint64_t b, uint64_t c);
int64_t world_wall(const struct sim *w);
/* Let time pass within a call. */
void world_pass(struct sim *w, int64_t us);
bool world_one_in(struct sim *w, int n);
int64_t world_between(struct sim *w, int64_t from, int64_t to);
/* A line of the story. */
void world_say(struct sim *w, const char *who, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
#define say(w, who, ...)                                    \
	do {                                                \
		if ((w)->story)                             \
			world_say((w), (who), __VA_ARGS__); \
	} while (0)
/* What must not be has happened. Does not return. */
_Noreturn void world_fail(struct sim *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
#define must(w, condition, ...)                       \
	do {                                          \
		if (!(condition))                     \
			world_fail((w), __VA_ARGS__); \
	} while (0)
const char *world_home(void);
void world_home_remove(void);

/* dags.c */
void dags_make(struct sim *w);
void dags_release(struct sim *w);
struct sim_dag *dags_find(struct sim *w, const char *name);
const struct sim_task *dags_task(const struct trun *r, int task);
/* Does what it waits for exist? */
bool dags_is_there(const struct sim *w, const struct sim_task *t);
/* Is `task` left out, when the choice of `by` is made? */
bool dags_leaves_out(const struct sim_dag *d, int by, int task);
int64_t dags_due_us(const struct sim *w); /* when the next file comes; INT64_MAX: none will */
void dags_happen(struct sim *w);          /* all that are due come */

/* actor.c */
void actor_init(struct sim *w, struct actor *n, int index);
void actor_release(struct actor *n);
void actor_wake(struct actor *n); /* it runs until it has nothing to do, is paused or dies */
void actor_kill(struct actor *n, int64_t up_us);
void actor_pause(struct actor *n, int64_t until_us);
/* Off the stack of this actor, for good: something is wrong. */
_Noreturn void actor_leave(struct actor *n);
/* Within each call of the store and the executor: it may be killed or paused here. */
void actor_point(struct actor *n, const char *what);
/* A person's process begins: to ask for w->person.ask. */
void actor_send_person(struct sim *w);
/* When it wants to be woken; INT64_MAX: never. */
int64_t actor_due_us(struct actor *n);
bool actor_is_up(const struct actor *n);

/* disk.c */
/* w->base. Whoever is active is the one who calls. */
void disk_open(struct sim *w);
/* On one host a dead owner is recognised: its lease need not be waited for. */
void disk_push_aside(struct trun *r);

/* people.c */
void people_ask(struct sim *w, const struct fault *f, struct trun *r);
void people_do(struct actor *n, struct ask *q); /* on the stack of whoever is asked */
void people_decide(struct sim *w);              /* whatever waits for a decision */

/* parts.c */
enum task_state parts_when(const struct trun *r, const struct sim_when *when);
/* A change of a task that is none of rules and attempts: judged here. False: it is none. */
bool parts_change(struct sim *w, struct trun *r, int task, const struct change *c);
void parts_start(struct sim *w, const struct trun *r, int task);
void parts_succeeded(const struct trun *r, int task);
void parts_end(struct sim *w, struct trun *r); /* of a commit that changed it */
void parts_outcome(struct sim *w, struct attempt *a, const struct change *c);
/* Is a teardown that waits still to run when its run is cancelled? */
bool parts_outlives(const struct trun *r, int task);
void parts_check_final(struct sim *w, const struct trun *r);

/* fuses.c */
void fuses_make(struct sim *w);
void fuses_set(struct actor *n); /* into its scheduler */
/* What the checks of an attempt score; below 0: it has no report. */
double fuses_score(const struct sim *w, const struct attempt *a);
void fuses_begin(struct sim *w); /* another process has the runs */
struct fuse *fuses_find(struct sim *w, const char *name);
void fuses_change(struct sim *w, struct actor *n, const struct change *c);
void fuses_put(struct sim *w, const struct breaker_put *p);
void fuses_start(struct sim *w, struct attempt *a, const struct change *c);
void fuses_end(struct sim *w, struct attempt *a, const struct change *c);
void fuses_check(struct sim *w);
void fuses_stop(struct sim *w, const struct trun *r, int task, const struct change *c);
void fuses_check_held(struct sim *w, const struct actor *n, const struct trun *r, int task);

/* incidents.c */
void incidents_note(struct sim *w, const struct trun *r, int row, const struct change *c);
void incidents_check_end(struct sim *w);

/* outbox.c */
void outbox_make(struct sim *w);
const struct alerts *outbox_alerts(const struct sim *w);
void outbox_turn(struct actor *n); /* what is due is told */
int64_t outbox_due_us(const struct actor *n);
void outbox_leave(struct actor *n); /* it ends, and its sender with it */
/* A commit that is judged opens or resolves an incident: somebody is to be told. */
void outbox_expect(struct sim *w, const struct sim_dag *d, int task, bool lost, bool over);
void outbox_commit(struct sim *w, const struct store_batch *b);
void outbox_set(struct sim *w, const struct outbox_set *set); /* committed */
bool outbox_done(const struct sim *w);
void outbox_check_end(struct sim *w);
void outbox_release(struct sim *w);

/* asked.c */
/* The model: could that be asked of a task as it is? */
bool asked_may(const struct ask *q, int task);
bool asked_may_all(const struct ask *q);
/* A commit records requests; what follows is judged by them. */
void asked_begin(struct sim *w, const struct store_batch *b);
/* A change of a task that only a request can bring about, or follows from one: judged here. False:
 * it is none. */
bool asked_change(struct sim *w, struct trun *r, int task, const struct change *c);
void asked_note(struct sim *w, const struct trun *r, int task, const struct change *c);
void asked_end(struct sim *w);
/* An answer came: 0, or -1 with why. */
void asked_answer(struct sim *w, struct ask *q, int rc, const struct err *err);

/* provider.c */
void provider_init(struct actor *n, struct exec_provider *ret);

/* super.c */
int64_t super_due_us(struct sim *w); /* of what happens by itself */
bool super_happen(struct sim *w);    /* one of the things that are due */
int64_t super_news_us(const struct actor *n);
void super_hang_up(struct actor *n); /* a process is gone, and its connections */
void super_fault(struct sim *w, const struct fault *f);
void super_calm(struct sim *w);
void super_release(struct sim *w);

/* Rows of a run: its tasks, then instances of the one that is mapped. */
static inline int row_end(const struct trun *r)
{
	return r->nitems ? SIM_TASKS + r->nitems : r->dag->dag->ntasks;
}
static inline int row_next(const struct trun *r, int row)
{
	return row + 1 == r->dag->dag->ntasks && r->nitems ? SIM_TASKS : row + 1;
}
static inline int row_map_index(int row)
{
	return row < SIM_TASKS ? -1 : row - SIM_TASKS;
}
static inline const struct task *row_def(const struct trun *r, int row)
{
	return &r->dag->dag->tasks[row < SIM_TASKS ? row : r->dag->mapped];
}
/* What holds a task holds its instances. */
static inline bool row_held(const struct trun *r, int row)
{
	return r->held || r->tasks[row].held || (row >= SIM_TASKS && r->tasks[r->dag->mapped].held);
}

/* truth.c */
struct trun *truth_run(struct sim *w, int64_t id);
struct attempt *truth_attempt(struct sim *w, int64_t token);
void truth_opened(
	struct sim *w, struct actor *n, const struct run_open *o, const struct run_opened *opened);
void truth_closed(struct sim *w, int64_t run_id);
void truth_commit(struct sim *w, struct actor *n, const struct store_batch *b);
/* A process starts: may it? */
void truth_started(struct sim *w, const struct attempt *a, int64_t epoch);
/* Attempts in flight of the runs that a process has in hand. */
struct use {
	int lane, dag, pool, mapping; /* pool: slots */
};
struct use truth_use(struct sim *w, const struct actor *n, const struct trun *r, int task);
/* Which limit a further one of such a use would break; NULL: none. */
const char *truth_limit(const struct sim *w, const struct trun *r, int task, struct use use);
/* What its needs say, by a slow look at all of them: none (wait), running, skipped,
 * upstream_failed. */
enum task_state truth_verdict(const struct trun *r, int task);
bool truth_is_failed(enum task_state s);
/* A person, or the time, has decided. */
void truth_decided(struct sim *w, const struct approval_put *put);
void truth_release(struct sim *w);

/* planned.c */
void planned_make(struct sim *w);
void planned_turn(struct actor *n); /* what is due becomes runs */
int64_t planned_due_us(const struct actor *n);
void planned_ended(struct actor *n, int64_t run_id);
void planned_release(struct actor *n);
void planned_opened(struct sim *w, struct trun *r); /* committed */
bool planned_done(const struct sim *w);
void planned_check_end(struct sim *w);

/* slas.c */
void slas_make(struct sim *w);
void slas_init(struct actor *n);
void slas_turn(struct actor *n); /* what is due is judged */
int64_t slas_due_us(const struct actor *n);
void slas_changed(struct actor *n, struct active_run *r, const struct change *c);
void slas_passed(struct actor *n, const struct planner_decision *d); /* committed */
void slas_release(struct actor *n);
void slas_commit(struct sim *w, const struct actor *n, const struct store_slas *s);
bool slas_done(const struct sim *w);
bool slas_is_open(const struct sim *w, const struct incident *it);
void slas_check(struct sim *w, const struct actor *n); /* all is judged that is due */
void slas_check_end(struct sim *w);
bool slas_ready(struct actor *n); /* it may take runs in hand */
/* What a daemon has beside a run, and that it was taken in hand. */
struct run_data *slas_run_data(struct actor *n, const struct trun *r);
void slas_taken(struct actor *n, struct active_run *r, const struct run_row *row);
/* People may have had it done again. */
bool slas_is_asked(const struct sim *w, const struct trun *r);

/* limits.c */
void limits_make(struct sim *w, struct rng *r);
void limits_began(struct sim *w, const struct trun *r);
/* False: it is none of a limit. */
bool limits_found(struct sim *w, const struct actor *n, const struct sla_miss *row);
bool limits_ended(struct sim *w, const struct actor *n, const struct sla_end *end);
bool limits_is_open(const struct sim *w, const struct incident *it);
void limits_check(struct sim *w, const struct actor *n); /* all is judged that is due */
void limits_check_end(struct sim *w);

/* check.c */
void check_step(struct sim *w);
bool check_done(const struct sim *w); /* all runs are final */
void check_stuck(struct sim *w);      /* say who waits for what */
void check_end(struct sim *w);

/* shrink.c */
struct seed_result {
	bool failed;
	int64_t steps, starts, commits, crashes;
	char why[512];
	FILE *story; /* in: where it is told; NULL: not */
};
/* Run a seed here; what it leaves when it fails is not freed. */
void shrink_seed(uint64_t seed, const struct cut *cut, int64_t max_steps, struct seed_result *ret);
/* In a process of its own. -1: none could be made. */
int shrink_try(uint64_t seed, const struct cut *cut, int64_t max_steps, struct seed_result *ret);
/* Why the process of a seed ended so. */
void shrink_explain(int status, struct seed_result *ret);
/* What can be left out of a seed that fails. */
void shrink(uint64_t seed, int64_t max_steps, struct cut *ret);

#endif
