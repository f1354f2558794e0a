/* What a run tells whoever watches it: the terminal, a pipe, --json.
 *
 * Events are told after they were committed to the store.
 */
#ifndef WEIR_RUN_OBSERVER_H
#define WEIR_RUN_OBSERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/model.h"
#include "core/state.h"

/* A task as it stands, or an instance of a mapped one. */
struct task_progress {
	int def, map_index;      /* of an instance: its task in the DAG, and which one it is */
	const char *item;        /* of an instance: JSON text */
	int ninstances;          /* of a mapped task with a list: how many items are in it */
	int nin[TASK_STATE_MAX]; /* how many of their instances are in which state */
	enum task_state state;
	enum reason reason;
	int try;               /* of the attempt in flight or the last one; 0: none yet */
	int retries;           /* the policy's */
	bool selected;         /* this invocation is to run it */
	bool kept;             /* was done before this invocation */
	bool stale;            /* kept, but its definition changed since */
	int64_t started_us;    /* of the attempt */
	int64_t ended_us;      /* 0: in flight or not started */
	int64_t due_us;        /* up_for_retry; deferred, awaiting_input: until when it waits */
	const char *waits_for; /* deferred, awaiting_input: what it waits for; NULL: not known */
	int waiting;           /* needs not done yet */
	const char *breaker;   /* that holds it, or skipped or failed it; NULL: none */
	enum outcome outcome;  /* of the last attempt */
	int exit_status, signal;
	const char *error;    /* of the last attempt; NULL: none */
	json_t *outputs;      /* object, or NULL. rows_in, rows_out, rows_rejected where an operator
				 counts rows */
	json_t *checks;       /* array, or NULL */
	const char *log_path; /* of the last attempt; NULL: none */
};

struct run_progress {
	const struct dag *dag;
	const char *run; /* its name, "nightly_sales@2026-11-19" */
	int64_t run_id;
	const char *ds;
	int64_t interval_start_us, interval_end_us;
	const char *version;
	bool created; /* by this invocation; false: taken up again */
	bool partial; /* --only: some tasks are left out */
	enum run_state state;
	bool stopping; /* Ctrl-C was seen */
	int jobs;
	int64_t started_us, now_us;
	/* By live number (core/sched.h): those of the DAG, and behind them instances. */
	struct task_progress *tasks;
	int ntasks;
	int ndone, nrunning, nfailed, nkept;
};

enum run_event_kind {
	EVENT_RUN_STARTED,  /* the plan is known: kept tasks are marked */
	EVENT_RUN_SETTLING, /* text: waits for attempts of a former, killed invocation */
	EVENT_TASK_STARTED,
	EVENT_TASK_RETRY,    /* the attempt failed; next try at due_us */
	EVENT_TASK_WAITING,  /* it is deferred, or awaits input */
	EVENT_TASK_MAPPED,   /* its list is made: its instances are done */
	EVENT_TASK_FINISHED, /* final state reached (success, failed, skipped, upstream_failed,
				cancelled) */
	EVENT_RUN_STOPPING,  /* Ctrl-C or a limit */
	EVENT_NOTE,          /* text: something a person should know */
	EVENT_TICK,          /* time passed; for live displays only, about ten a second */
	EVENT_RUN_FINISHED,
	EVENT_KIND_MAX
};

struct run_event {
	enum run_event_kind kind;
	int64_t at_us;
	int task;         /* live number, or -1 */
	const char *text; /* EVENT_NOTE, EVENT_RUN_SETTLING, EVENT_RUN_STOPPING */
};

struct observer {
	void (*event)(struct observer *o, const struct run_progress *p, const struct run_event *e);
	bool wants_ticks;
	void (*free)(struct observer *o);
};

#endif
