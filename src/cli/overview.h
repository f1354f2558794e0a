/* How things stand, beside the runs: the daemon, what is wrong, what people hold, what comes next.
 *
 * A daemon that runs is asked. Where none runs, the store tells what waits for one.
 */
#ifndef WEIR_CLI_OVERVIEW_H
#define WEIR_CLI_OVERVIEW_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"

struct args;
struct buf;
struct term;

struct overview {
	json_t *daemon;     /* of GET /v1/status, without the two lists; NULL: none answered */
	json_t *schedules;  /* its "dags" */
	json_t *backfills;  /* those that are not over */
	int pid;            /* a daemon has WEIR_HOME, but does not answer: its pid; else 0 */
	struct err trouble; /* why it does not, or why there are no lists; ERR_NONE: all is well */
	int64_t now_us;
	char *home;
};

/* -1: WEIR_HOME is not known. All other trouble is a part of the overview. */
int overview_open(struct overview *o, const struct args *args, struct err *err);
void overview_release(struct overview *o);

/* The daemon; then what is wrong, what is held and which backfills go on, where there is any. Ends
 * with an empty line. */
void overview_add_head(const struct overview *o, const struct term *t, struct buf *out);
/* The next run of each DAG, the soonest first, at most `max` (0: all); begins with an empty line.
 * Nothing where nothing is due. */
void overview_add_next(const struct overview *o, const struct term *t, size_t max, struct buf *out);
/* Put into an object what it has: "daemon", "trouble", "schedules", "backfills". */
void overview_add_json(const struct overview *o, json_t *into);

#endif
