/* What looks for something that a file's status does not tell: a query, a request.
 *
 * It runs in a process of its own (run/engine_look.c), once for each look, and reports as its
 * outputs {"there": bool, "said": text, "found": {...}}: whether it is there, what was found in
 * words, and then the outputs of the task. An error that passes (err_info()->transient) means that
 * it could not be known; any other one that it never will be.
 */
#ifndef WEIR_OPERATORS_CONTROL_WAIT_LOOK_H
#define WEIR_OPERATORS_CONTROL_WAIT_LOOK_H

#include <jansson.h>
#include <stdbool.h>

struct err;
struct operator_check;
struct operator_job;

struct wait_look {
	bool there;
	char said[400];
	json_t *found; /* object, the caller's */
};

int wait_look_sql(const struct operator_job *job, struct wait_look *ret, struct err *err);
int wait_look_http(const struct operator_job *job, struct wait_look *ret, struct err *err);

/* Is the value what `expect` of the parameters wants? Without it: neither null, false, 0, nor the
 * text "", "0" or "false". Numbers and texts that look alike are. */
bool wait_look_suits(const struct operator_job *job, const json_t *value);
/* At validation. */
void wait_look_check_http(const struct operator_check *c);

#endif
