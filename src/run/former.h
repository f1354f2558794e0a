/* Formers: what engines before this one, or beside it, have left of their attempts.
 *
 * A former is a supervisor that lives, to which we are attached and whose attempts can be claimed,
 * or the journal of a dead one. Each is opened once, when an attempt in flight is first looked for
 * (former_find); the engine's own executor is asked likewise when a run comes back to it.
 */
#ifndef WEIR_RUN_FORMER_H
#define WEIR_RUN_FORMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exec/exec.h"
#include "exec/executor.h"

struct active_run;
struct engine;
struct err;
struct former;
struct held_attempt;

struct formers {
	struct former *list;
	struct held_attempt *held; /* attempts in flight that we claimed, by token */
	int64_t died_at; /* attempts of our own executors up to this token died with them; 0: none,
			    or all settled */
	bool untidy;     /* what a dead one left was opened since former_tidy */
	int64_t own_again_us; /* monotonic: when to settle them */
	int64_t own_ask_us;   /* monotonic: the own one did not answer; when to ask it again */
};

/* What is to become of an attempt that the store knows as in flight. */
enum former_verdict {
	FORMER_NONE,    /* not known yet */
	FORMER_RUNNING, /* claimed: its end will come, also after a restart of ours */
	FORMER_ENDED,   /* `end` */
	FORMER_LOST,    /* never started, or gone with its supervisor: nothing of it runs */
	FORMER_FENCED,  /* somebody claimed it with a larger epoch: the run is no longer ours */
	FORMER_MAX
};
struct former_question {
	int64_t token, epoch;
	int64_t since_us; /* when its start was committed; 0: not known */
	enum former_verdict verdict;
	struct exec_end end; /* of LOST, too */
};

/* Ask everybody for these attempts. On return each has a verdict, or it is an error: ERR_TIMEOUT
 * when a supervisor that may have one of them lives but does not answer, or when something of a
 * dead one's attempt does not die. */
int former_ask(struct engine *e, struct former_question *q, size_t n, struct err *err);

/* Who has an attempt in flight: the engine's own executor, unless it was claimed of another. */
struct exec *former_exec_of(const struct engine *e, int64_t token);

/* Ends that were committed: they need not be kept by whoever has them. */
void former_ack(struct engine *e, const int64_t *tokens, size_t n);

/* An attempt that was claimed is let go of. */
void former_forget(struct engine *e, int64_t token);
/* The run is let go of: its attempts are no longer ours. */
void former_forget_run(struct engine *e, const struct active_run *r);

/* Read the ends of attempts that were claimed. */
void former_read(struct engine *e);
void former_flush(struct engine *e);

/* The engine's own executor is gone, and its tasks with it: begin another. What became of them is
 * found out by former_look_again. -1: it cannot be replaced. */
int former_replace_own(struct engine *e, struct err *err);
/* Settle what those had in flight who died since, and look for those who did not answer, where it
 * is time to. */
void former_look_again(struct engine *e);
int64_t former_wake_us(const struct engine *e); /* monotonic; INT64_MAX: all are known */

/* Forget what dead ones left, where all they knew is recorded; with `look` also what no run has
 * asked for. */
void former_tidy(struct engine *e, bool look);

/* Hang up on all. */
void former_release(struct engine *e);

#endif
