/* JSON and shell words, as the commands print them. */
#ifndef WEIR_CLI_JSON_H
#define WEIR_CLI_JSON_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* Print a JSON document and a line break to stdout; takes the reference. NULL: ERR_NOMEM. */
int cli_print_json(json_t *j, struct err *err);
/* JSON text to a value, a new reference; NULL or broken text gives null. */
json_t *cli_json_of_text(const char *text);
/* An instant as RFC 3339 in UTC; 0 gives null. New reference. */
json_t *cli_json_time(int64_t at_us);
json_t *cli_json_text(const char *text); /* NULL gives null */

/* A word as a shell reads it back: quoted where it must be. Returns buf. */
const char *cli_shell_word(const char *word, char *buf, size_t size);

#endif
