/* What is decided without a process: the `if` of a task, and control tasks that steer. */
#ifndef WEIR_RUN_CONTROL_H
#define WEIR_RUN_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct err;
struct job_attempt;
struct job_context;
struct task;

/* The `if` of a task that could start; true for one that has none. An error that this gives, the
 * attempt gives again (job_build), which is how it is recorded. */
int control_only_if(
	const struct job_context *c, const struct job_attempt *a, bool *ret, struct err *err);

/* Is the task run by control_run, rather than by the executor? */
bool control_in_loop(const struct task *t);

/* What such a task says. */
struct control_end {
	json_t *outputs; /* an object */
	int *skips;      /* indices of the tasks that it skips */
	size_t nskips;
	bool may_retry; /* after an error: its retries are for that, too */
};
/* On error nothing is kept. */
int control_run(const struct job_context *c, const struct job_attempt *a, struct control_end *ret,
	struct err *err);
void control_end_release(struct control_end *e);

#endif
