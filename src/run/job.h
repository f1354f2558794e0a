/* From a task of a run to what the executor starts: command line, environment, payload. */
#ifndef WEIR_RUN_JOB_H
#define WEIR_RUN_JOB_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "exec/exec.h"

struct config;
struct dag;
struct err;
struct field;
struct task;
struct template_context;
struct zone;

/* What is the same for all attempts of a run, made once. */
struct job_prepared {
	struct arena arena;
	const char **env; /* "NAME=value"; of the environment and of the run */
	size_t nenv;
	const char *start_utc, *end_utc; /* of the interval, RFC 3339 */
	/* "20261119T010000Z.20261120T010000Z": with DAG and task in front, the idempotency key: the
	 * same for whichever attempt does this work. */
	const char *interval;
};

/* A run, as its tasks see it. Borrowed. */
struct job_context {
	const struct dag *dag;
	const struct config *config;
	const char *home, *run, *ds;
	int64_t interval_start_us, interval_end_us;
	const struct zone *zone;
	json_t *params;
	json_t *outputs;                     /* object: task -> its outputs */
	const struct job_prepared *prepared; /* for job_build only */
};

/* Of a context whose other members are set. */
int job_prepare(const struct job_context *c, struct job_prepared *ret, struct err *err);
void job_prepared_release(struct job_prepared *p);

struct job {
	struct exec_job exec;
	struct arena arena; /* all that exec refers to */
	char *payload;
};

struct job_attempt {
	const struct task *task;
	int try;
	int64_t token, now_us;
	int64_t work;  /* see table_key; 0: not known */
	json_t *item;  /* of an instance of a mapped task; NULL: it is none */
	int map_index; /* with item */
	bool look;     /* only a look for what the task waits for */
};

/* Render and assemble. On error nothing is kept; a template that cannot be rendered is ERR_INVALID
 * with its place in the DAG file. */
int job_build(
	const struct job_context *c, const struct job_attempt *a, struct job *ret, struct err *err);
void job_release(struct job *j);

/* What its templates see. */
struct template_context job_template_context(
	const struct job_context *c, const struct job_attempt *a);

/* The task's `if`, which must be there. */
int job_only_if(
	const struct job_context *c, const struct job_attempt *a, bool *ret, struct err *err);

/* For --dry-run: the command line as one text (owned), or the rendered parameters (new reference).
 */
char *job_command_text(const struct job_context *c, const struct job_attempt *a, struct err *err);
json_t *job_with(const struct job_context *c, const struct job_attempt *a, struct err *err);

#endif
