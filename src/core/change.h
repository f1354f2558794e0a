/* Changes: what the scheduler decided, in order, as data.
 *
 * One step of the scheduler yields a list of changes. The store commits all of them in one
 * transaction; only then the driver acts on those that ask for an act (CHANGE_START,
 * CHANGE_STOP, CHANGE_LOOK).
 */
#ifndef WEIR_CORE_CHANGE_H
#define WEIR_CORE_CHANGE_H

#include <stdint.h>

#include "core/breaker.h"
#include "core/state.h"

enum change_kind {
	CHANGE_RUN,     /* run_from -> run_to */
	CHANGE_TASK,    /* from -> to; to == TASK_RUNNING comes with CHANGE_START */
	CHANGE_START,   /* a new attempt: try and token. Act: start it */
	CHANGE_END,     /* the attempt's outcome */
	CHANGE_STOP,    /* Act: stop the attempt, or the look. Not stored */
	CHANGE_LOOK,    /* Act: look for what a task waits for: attempt.token and try. Not stored */
	CHANGE_LOOKED,  /* what looks for it find now: `detail`; told when it is another */
	CHANGE_BREAKER, /* what a breaker knows: of no run; run_id is 0 */
	CHANGE_CANCEL,  /* the run is being cancelled, until it is final */
	CHANGE_ITEM,    /* there is an instance of a mapped task, in state none, with this item */
	CHANGE_KIND_MAX
};

struct change {
	enum change_kind kind;
	enum reason reason;
	int64_t at_us;
	int64_t run_id;
	const char *task;   /* name, borrowed from the DAG; NULL for CHANGE_RUN */
	int task_index;     /* in the DAG; -1 for CHANGE_RUN */
	int map_index;      /* of an instance of a mapped task; -1: of the task as a whole */
	int live;           /* its number in the run (core/sched.h); -1 for CHANGE_RUN */
	const char *detail; /* what else is to be told: who asked for it; of REASON_BREAKER_OPEN the
			       breaker; borrowed until changes are cleared; NULL: nothing */
	union {
		struct {
			enum run_state from, to;
		} run; /* CHANGE_RUN */
		struct {
			enum task_state from, to;
			int64_t due_us; /* up_for_retry: when the next try is due; deferred and
					   awaiting_input: until when it waits; else 0 */
			int tries, failures, lost; /* counts so far, kept with the task */
			int64_t work;        /* the piece of work it is at, likewise; 0: none yet */
			const char *hash;    /* of the definition, borrowed from the DAG */
			const char *outputs; /* success: JSON object text, borrowed until changes
						are cleared; else NULL */
			const char *waits_for; /* deferred and awaiting_input: what it waits for, in
						words, borrowed likewise; else NULL */
		} state;                       /* CHANGE_TASK */
		struct {
			int try; /* 1, 2, ... over all attempts of this task in this run */
			int64_t token;
			int64_t work;         /* CHANGE_START: the piece of work it belongs to */
			bool hard;            /* CHANGE_STOP, CHANGE_CANCEL: KILL at once */
			enum outcome outcome; /* CHANGE_END and below */
			int exit_status;      /* -1: none */
			int signal;           /* 0: none */
			int64_t started_us, ended_us; /* as the supervisor measured; 0: unknown */
			const char *error;  /* one line or more, borrowed as above; NULL: none */
			const char *result; /* JSON object text (outputs, checks); NULL: none */
		} attempt; /* CHANGE_START, CHANGE_END, CHANGE_STOP, CHANGE_CANCEL */
		struct {
			const char *name, *text;     /* text: breaker_add; borrowed as above */
			enum breaker_state from, to; /* the same: only its counts changed */
			int64_t since_us;
			int64_t run_id;   /* of the attempt that made it so; 0: none */
			const char *task; /* likewise; NULL: none */
		} breaker;                /* CHANGE_BREAKER */
		const char *item;         /* CHANGE_ITEM: JSON text, borrowed as above */
	};
};

#endif
