/* What the ways of showing a run share. */
#ifndef WEIR_CLI_PROGRESS_IMPL_H
#define WEIR_CLI_PROGRESS_IMPL_H

#include "cli/progress.h"
#include "cli/term.h"
#include "run/name.h"

struct buf;

struct observer *progress_tty_new(FILE *out, bool colour, bool expand);
struct observer *progress_plain_new(FILE *out, bool colour, bool quiet);
struct observer *progress_json_new(FILE *out);

/* The definition of a task or instance. */
const struct task *progress_def(const struct run_progress *p, int i);
/* "fetch", "fetch[3]"; into buf, which is returned. */
const char *progress_name(const struct run_progress *p, int i, char buf[RUN_LABEL_MAX]);
/* Its state; of a mapped task whose instances are done, the one that tells most of these. */
enum task_state progress_state(const struct task_progress *t);
/* The word for a task's state: as the state, but "waiting", "left out" and "kept". */
const char *progress_label(const struct task_progress *t);
enum style progress_style(const struct task_progress *t);
/* How long the attempt took or takes; -1: there is none. */
int64_t progress_elapsed_us(const struct run_progress *p, const struct task_progress *t);
/* "try 2/4"; "try 5" when it is beyond the retries. */
void progress_add_try(struct buf *out, const struct task_progress *t);
/* The last column of a task's line: rows, what it waits for, why it failed, when it is tried
 * again. */
void progress_add_detail(struct buf *out, const struct run_progress *p, int i);
/* Why the last attempt failed, in one line. */
void progress_add_error(struct buf *out, const struct run_progress *p, int i);
/* This invocation is about it: it is to be run, or was kept. With --only, what is left out does not
 * count, whatever its state. */
bool progress_counts(const struct run_progress *p, int i);
/* How many do, and how many of them are in a final state. */
void progress_count(const struct run_progress *p, int *ret_total, int *ret_done);
/* The same, where each instance of a mapped task counts for itself. */
void progress_count_work(const struct run_progress *p, int *ret_total, int *ret_done);
/* All that is to be done had been done before: known from the start. */
bool progress_nothing_done(const struct run_progress *p);
/* "mk is kept though its definition changed; --from mk does it again"; nothing when none is. */
void progress_add_stale(struct buf *out, const struct run_progress *p);
/* What stays at the end: the run's state, failing checks, quarantine, what was published, logs of
 * failures, and what to type next. */
void progress_add_summary(struct buf *out, const struct run_progress *p, bool colour);

#endif
