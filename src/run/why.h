/* Why: the chain of causes behind a run, a task or a DAG. Facts in, a tree of causes out.
 *
 *     struct why w;
 *     why_init(&w);
 *     why_run(&w, &facts, task)  or  why_dag(&w, &dag_facts)
 *     w.root, w.steps
 *     why_release(&w);
 *
 * Nothing is asked here of a clock, a file or a daemon: what is known comes in as facts, and
 * whoever gathers them answers the few further questions (struct why_source) about tasks that are
 * told of. Strings of the tree live in it, or are borrowed from the facts.
 *
 * Each state in which a task can be has a row for each reason it can be in it for (why_row): a
 * template, and what is to be followed to the next cause. From a task that waits the needs are
 * followed to the roots, those that do not merely wait for others themselves; likewise from one
 * that was not run since something failed or was skipped. A task stands in the tree once. The tree
 * is bounded: of ten thousand roots a few are told, the others are counted.
 */
#ifndef WEIR_RUN_WHY_H
#define WEIR_RUN_WHY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "core/state.h"

struct attempt_row;
struct audit_row;
struct backfill_row;
struct dag;
struct dag_row;
struct dataset_wait; /* run/dataset_waits.h */
struct err;
struct frozen_row;
struct plan_row;
struct run_row;
struct schedule_spec;
struct task;
struct task_row;
struct why_facts;

/* What a cause is about. */
enum why_kind {
	WHY_TASK,
	WHY_RUN,
	WHY_DAG,
	WHY_ATTEMPT,
	WHY_POOL,
	WHY_BREAKER,
	WHY_SLOTS,
	WHY_SWITCH,
	WHY_REQUEST, /* of a person, to a run */
	WHY_PROCESS, /* daemon, or foreground run */
	WHY_STORE,
	WHY_SCHEDULE,
	WHY_BACKFILL,
	WHY_DATASET,
	WHY_MORE, /* counts what is not told */
	WHY_KIND_MAX
};
const char *why_kind_name(enum why_kind k);

/* A cause, and below it those it has itself. */
struct why_node {
	enum why_kind kind;
	const char *subject; /* "load", "pool pg", "nightly@2026-11-19" */
	const char *state;   /* "queued"; NULL: it has none */
	const char *reason;  /* reason_name(), or of the same kind; NULL: none */
	const char *text;    /* one line, without instants */
	const char *detail;  /* of others: the last line of an error, why someone paused it. NULL */
	const char *log;     /* path of what an attempt has said; NULL: unknown */
	int64_t since_us, until_us; /* 0: none */
	struct why_node *first, *last, *next;
};

/* What a person can do: a command to be typed. It may be one that this program does not have. */
struct why_step {
	const char *command; /* a row of the commands table: "logs" */
	const char *words;   /* its operands and options, for a shell */
	const char *what;
};

enum { WHY_STEPS_MAX = 8, WHY_ROOTS_MAX = 5, WHY_NODES_MAX = 200 };

struct why {
	struct arena arena;
	struct why_node *root; /* NULL: out of memory */
	struct why_step steps[WHY_STEPS_MAX];
	int nsteps, nnodes;
};
void why_init(struct why *w);
void why_release(struct why *w);

/* What a task needs of another run: a need on another DAG, the run it has made, or the run before.
 */
struct why_other {
	bool past;             /* the run before */
	const char *name;      /* "orders.load", "the run of orders" */
	const char *dag, *run; /* run: its name; NULL: there is none */
	int64_t run_id;        /* 0: there is none */
	enum run_state run_state;
	const char *task;      /* that is waited for; NULL: the run */
	enum task_state state; /* as it counts; none: it is waited for */
	/* Of the run before: its state in that run. */
	enum task_state task_state;
	const char *span; /* the time that no run is there for; NULL: there is one for all of it */
};

/* Who knows more about single tasks; any may be NULL. */
struct why_source {
	void *arg;
	/* The attempts of a task or instance, oldest first; borrowed as long as the tree. Returns
	 * how many. */
	size_t (*attempts)(void *arg, const struct task_row *t, const struct attempt_row **ret);
	/* What the newest event of that reason said; borrowed likewise. NULL: nothing. */
	const char *(*said)(void *arg, const struct task_row *t, enum reason reason);
	/* Since when a task of another run runs ("fetch", "fetch[3]"); 0: unknown. */
	int64_t (*since)(void *arg, const char *run, const char *task);
	/* The path of an attempt's log; borrowed as above. NULL: unknown. */
	const char *(*log)(void *arg, const struct attempt_row *a);
	/* What a task needs of other runs, the run before last; borrowed as above. Returns how
	 * many.
	 */
	size_t (*others)(void *arg, const struct task *def, const struct why_other **ret);
	/* All about such a run; borrowed as above. NULL: no more is known. */
	const struct why_facts *(*other_run)(void *arg, int64_t run_id);
};

/* What holds for runs and DAGs alike. */
struct why_facts {
	int64_t now_us;
	/* GET /v1/live of the daemon; NULL: none answered. */
	const json_t *live;
	int daemon_pid;                 /* one has WEIR_HOME but does not answer; 0: none */
	const char *home;               /* WEIR_HOME */
	const struct dag_row *switches; /* of the DAG; NULL: the store knows none */
	const struct frozen_row *frozen;
	size_t nfrozen;
	const struct run_row *run; /* of a DAG: its latest one, or NULL */
	bool abandoned;            /* it runs, but its process is gone */
	const struct task_row *tasks;
	size_t ntasks;
	const struct audit_row *audits; /* what people asked of the run, oldest first */
	size_t naudits;
	const struct dag *dag; /* the run's version, or the DAG as it is now; NULL: unknown */
	const struct backfill_row *backfill; /* that the run belongs to; NULL: none */
	const struct breaker_row *breakers;  /* all of them */
	size_t nbreakers;
	struct why_source source;
};
/* `task`: "fetch", "fetch[3]"; NULL: of the run. ERR_NOT_FOUND with the nearest name; ERR_NOMEM. */
int why_run(struct why *w, const struct why_facts *f, const char *task, struct err *err);

struct why_dag_facts {
	struct why_facts common;
	const char *name;
	const char *error; /* why its file cannot be loaded; NULL: it can, or is not known */
	const struct run_row *active;
	size_t nactive;
	const struct plan_row *plans; /* newest first */
	size_t nplans;
	const struct backfill_row *backfills; /* of the DAG, not over */
	size_t nbackfills;
	/* Of dag->datasets, as many and in that order; NULL: it has none, or they are not known. */
	const struct dataset_wait *waits;
};
int why_dag(struct why *w, const struct why_dag_facts *f, struct err *err);

/* The explanation of a task's state: a row, or NULL where the state cannot have that reason. */
enum why_follow {
	FOLLOW_NOTHING,
	FOLLOW_OPEN_NEEDS, /* those that are not done */
	FOLLOW_FAILED,     /* needs that failed */
	FOLLOW_SKIPPED,    /* needs that were skipped */
	FOLLOW_NEEDS,      /* all needs, in whatever state */
	FOLLOW_CHOICE,     /* the task that chose another way */
	FOLLOW_SLOTS,      /* what runs in its lane */
	FOLLOW_LIMIT,      /* what runs of its DAG */
	FOLLOW_SIBLINGS,   /* of the same mapped task, the instances that run */
	FOLLOW_POOL,       /* who holds its pool */
	FOLLOW_BREAKER,    /* what opened its circuit breakers, and until when */
	FOLLOW_SWITCH,     /* who paused or froze it */
	FOLLOW_INSTANCES,  /* of a mapped task: those that failed or are not done */
	FOLLOW_OTHERS,     /* what it needs of other runs */
	FOLLOW_REQUESTS,   /* what people asked of it, and its tries */
	FOLLOW_ATTEMPTS    /* its tries */
};
struct why_row {
	enum reason reason;
	unsigned states;  /* bits 1 << task_state */
	const char *text; /* with {names} of what is known */
	enum why_follow follow;
};
const struct why_row *why_row(enum task_state state, enum reason reason);
/* A reason that a task is never in a state for: of runs, and of changes that pass at once. */
bool why_is_passing(enum reason reason);

#endif
