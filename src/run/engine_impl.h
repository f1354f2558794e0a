/* What the files of the engine share; nobody else includes it. */
#ifndef WEIR_RUN_ENGINE_IMPL_H
#define WEIR_RUN_ENGINE_IMPL_H

#include "run/engine.h"

/* run/engine_loop.c */
int engine_loop_init(struct engine *e, struct err *err);
void engine_loop_release(struct engine *e);
/* The executor is another one, or about to be. */
int engine_loop_watch(struct engine *e, struct err *err);
void engine_loop_unwatch(struct engine *e);
/* Arm the timer and the writing side for what is next. */
void engine_loop_arm(struct engine *e);
/* The engine cannot go on. */
void engine_break(struct engine *e, const struct err *err);

/* Kill what the run has in flight now, though that cannot be recorded yet: stopping is never wrong.
 */
void engine_kill_now(struct engine *e, const struct active_run *r);

/* run/engine_request.c: a run is not ours any more. */
void engine_forget_requests(struct engine *e, int64_t run_id);

/* run/engine_outside.c: needs on other runs. */
void engine_answer_outside(struct engine *e, const struct active_run *run,
	const struct sched_question *q, int64_t now_us);
void engine_watch_run(struct engine *e, const struct active_run *run, int task, const char *dag);
/* Runs that cancelled tasks have made end with them: found in what was committed, cancelled when
 * that is dealt with. Only those in hand here. */
void engine_find_doomed(struct engine *e, const struct change *changes, size_t n);
void engine_cancel_doomed(struct engine *e);
/* What was committed may be what others wait for: these ask with the next step. */
void engine_wake_outside(struct engine *e, const struct change *changes, size_t n);
void engine_outside_forget(struct engine *e, int64_t run_id); /* it waits for nothing more */
void engine_outside_release(struct engine *e);

/* run/engine.c: WEIR_HOME/work/NAME */
int engine_make_work_dir(const struct engine *e, const char *name, struct err *err);

/* run/engine_step.c: take the ends whose results could not be read before. -1: they still cannot.
 */
int engine_take_late(struct engine *e, struct err *err);
/* run/engine_step.c: what was said of a run is not to be committed: not by us. */
void engine_unsay(struct engine *e, int64_t run_id);
/* run/engine_step.c: ERR_FENCED when a run in hand has passed on to another owner. */
int engine_check_leases(struct engine *e, struct err *err);

/* run/engine_look.c: looks for what tasks wait for. Prepare one that was decided: its job, to be
 * released. */
int engine_look_build(const struct engine *e, const struct active_run *run,
	const struct job_attempt *a, struct job *ret, struct err *err);
/* One ended; false: the token is of no look. */
bool engine_look_ended(struct engine *e, const struct exec_end *end);
/* One could not be started. */
bool engine_look_refused(struct engine *e, int64_t token, const struct err *why);
/* What a look for the task has found: in *ret, or the error it ended with. Its log becomes that of
 * the attempt. 1: nothing was found. */
int engine_take_found(struct engine *e, const struct active_run *run, const struct job_attempt *a,
	struct control_end *ret, struct err *err);
/* Found for a run that is let go of; NULL: for all. */
void engine_forget_looks(struct engine *e, const struct active_run *run);
/* All that are being made, at once. */
void engine_stop_looks(struct engine *e);
/* Likewise, and wait for a moment until they are gone, so that nothing of them is left behind. */
void engine_end_looks(struct engine *e);
/* They died with the own executor. */
void engine_lose_looks(struct engine *e);

/* One step; -1 with err when the commit or the executor failed. */
int engine_step_once(struct engine *e, size_t *ret_n, struct err *err);
/* Commit what the scheduler said so far, among it how the attempts of a run in hand ended that is
 * not begun yet. Starts nothing. */
int engine_commit_settled(struct engine *e, const struct active_run *settling, struct err *err);
/* run/engine_incident.c: e->incidents, of these changes and the checks at hand. */
int engine_collect_incidents(
	struct engine *e, const struct change *changes, size_t n, struct err *err);
/* run/engine_dataset.c: e->updates, likewise. */
int engine_collect_updates(
	struct engine *e, const struct change *changes, size_t n, struct err *err);
/* They are committed: ask what waits for them. */
void engine_wake_waits(struct engine *e);
/* A task waits for a dataset. */
void engine_note_wait(struct engine *e, const struct sched_question *q, const char *dataset);
void engine_forget_waits(struct engine *e, int64_t run_id);
void engine_release_datasets(struct engine *e);
/* Send what waits, to all; 1: the own executor does not take all of it now. */
int engine_flush(struct engine *e);
/* Feed the ends that an executor has. -1: it is gone. */
int engine_read(struct engine *e, struct exec *x, struct err *err);
/* Whether an attempt's start is decided and not committed: it is held, and not running. */
bool engine_is_uncommitted(const struct engine *e, int64_t token);
/* What could not be given to an executor that is gone. */
void engine_forget_unstarted(struct engine *e);

#endif
