/* Tasks that wait: whether what they wait for is there.
 *
 * Asked by the engine where the scheduler asks (core/sched.h), and once more by the attempt that
 * tells what was found. A look is short: a file's status, a row of the store. What takes longer, a
 * query or a request, a process looks for (operators/control/wait_look.h), which the engine starts
 * (run/engine_look.c).
 */
#ifndef WEIR_RUN_CONTROL_WAIT_H
#define WEIR_RUN_CONTROL_WAIT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/sched.h"

struct control_end;
struct err;
struct job_attempt;
struct job_context;
struct store;

struct control_look {
	const struct job_context *job;
	const struct job_attempt *attempt;
	struct store *store;
	int64_t run_id;
	int64_t deadline_us; /* of the wait; 0: none, or not known */
	bool asked;          /* not for the first time: what the store has of it is of this wait */
	bool waits;          /* so it is said; the store may not have heard of it yet */
	bool stopped;        /* it may not be looked for: only say how it waits */
	bool deferred;       /* it was told to wait; or this is its attempt */
	const struct child_maker *maker; /* of `control: dag`; NULL: there is none */
};

struct control_found {
	bool there;
	bool look;              /* a process is to find out; `wait` says how it waits meanwhile */
	bool skip;              /* it was rejected, and is to be skipped */
	json_t *outputs;        /* there: what was found, an object; the caller's */
	struct sched_wait wait; /* not there: to be answered */
	char *what, *said;      /* of wait; the caller's, with control_found_release */
	char *dataset;  /* not there: an update of it is worth a look; NULL: of none. Likewise */
	char *watch;    /* the DAG whose run is waited for; likewise; NULL: none */
	bool may_retry; /* it failed in a way that trying again may mend */
};

/* -1: it cannot be known: the `with` cannot be rendered, say; nothing is there then. Release it all
 * the same. Where the error is transient `wait` is filled in all the same. */
int control_wait_look(const struct control_look *l, struct control_found *ret, struct err *err);

void control_found_release(struct control_found *f);
/* How long a look by a process may take, of the rendered `with`. */
int64_t control_look_limit_us(const json_t *with);
/* The attempt of such a task, but for those whose look a process made. What went away meanwhile is
 * a transient error. */
int control_wait_run(const struct control_look *l, struct control_end *ret, struct err *err);

/* What a person said, or what counts as said by the time; JSON text, owned. `values`: of the
 * fields, NULL with a rejection. */
struct control_decision {
	bool approved;
	const char *by, *reason;
	json_t *values; /* borrowed */
};
char *control_decision_text(const struct control_decision *d);

#endif
