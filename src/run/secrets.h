/* Secrets in what attempts report: outputs, checks and errors go into the store and to whoever
 * watches, so the values are masked there as they are in the logs (exec/mask.h).
 */
#ifndef WEIR_RUN_SECRETS_H
#define WEIR_RUN_SECRETS_H

#include <jansson.h>

struct err;
struct field;
struct job_context;
struct result;
struct task;

/* Replace the secrets of the task's `env:` and `with:`, and of the configuration's connections
 * where an operator ran, by "***". A connection's value that can no longer be had (its file is
 * gone) is passed over; where one of the `env:` cannot, outputs, checks and an operator's error are
 * not kept, and the attempt has bad outputs. -1: out of memory, and the result must not be used. */
int secrets_mask_result(
	const struct job_context *c, const struct task *t, struct result *r, struct err *err);

/* Put the values in the place of the references ({env: NAME}, {file: PATH}) of a rendered `with`
 * whose rows are FIELD_SECRET, and append them to `secrets`. Files are relative to `dir`. */
int secrets_resolve(json_t *with, const struct field *fields, const char *dir, json_t *secrets,
	struct err *err);

#endif
