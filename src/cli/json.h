/* JSON and shell words, as the commands print them. */
#ifndef WEIR_CLI_JSON_H
#define WEIR_CLI_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/state.h"

struct err;

/* Print a JSON document and a line break to stdout; takes the reference. NULL: ERR_NOMEM. */
int cli_print_json(json_t *j, struct err *err);
/* JSON text to a value, a new reference; NULL or broken text gives null. */
json_t *cli_json_of_text(const char *text);
/* An instant as RFC 3339 in UTC; 0 gives null. New reference. */
json_t *cli_json_time(int64_t at_us);
/* The same where 0 is an instant like others: 1970. */
json_t *cli_json_instant(int64_t at_us);
/* A text; NULL gives null. Bytes that are not UTF-8 are taken as Latin-1. New reference. */
json_t *cli_json_text(const char *text);
/* Set outcome, exit_status and signal of an attempt; what it has none of is null. */
void cli_json_set_outcome(json_t *o, enum outcome outcome, int exit_status, int signal);

/* A member of an object, borrowed; absent or of another type, it is NULL, 0, false. */
const char *cli_get_text(const json_t *o, const char *key);
long long cli_get_int(const json_t *o, const char *key);
bool cli_get_flag(const json_t *o, const char *key);

/* A word as a shell reads it back: quoted where it must be. Returns buf. */
const char *cli_shell_word(const char *word, char *buf, size_t size);

#endif
