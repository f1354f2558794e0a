/* What an attempt left behind: outputs, checks, an error worth reading.
 *
 * A command writes WEIR_OUTPUT: one JSON object, or lines of key=value (a value that is a whole
 * number becomes an integer, all else is a string; empty lines and # comments are passed over). An
 * operator writes its report there (operators/operators.h).
 */
#ifndef WEIR_RUN_RESULT_H
#define WEIR_RUN_RESULT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct err;
struct exec_end;

struct result {
	json_t *outputs;   /* object, never NULL after result_read */
	json_t *checks;    /* array or NULL */
	char *error;       /* what to tell a person; NULL: nothing */
	bool permanent;    /* no retry mends it */
	bool found_output; /* there was an output file */
	bool bad_output;   /* the attempt succeeded, but its outputs cannot be read: a failure */
};

struct result_source {
	const char *output_path, *log_path;
	bool is_operator;
	int64_t timeout_us; /* the task's; 0: none */
};

/* Gather all of it for an ended attempt. A missing output file is an attempt without outputs.
 * ERR_BUSY: there is no descriptor to read it by; try again later. */
int result_read(const struct result_source *from, const struct exec_end *end, struct result *ret,
	struct err *err);
void result_release(struct result *r);
/* What to tell a person of an attempt that did not succeed; `timeout_us` 0: not known; `line`, its
 * last words, may be NULL. Owned; NULL without memory. */
char *result_error(const struct exec_end *end, int64_t timeout_us, const char *line);

/* Lines of key=value or a JSON object to a new JSON object; NULL with err (ERR_DATA, with the
 * line). */
json_t *result_parse_outputs(const char *text, size_t len, struct err *err);

#endif
