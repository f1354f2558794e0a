/* A pcre2 pattern, by itself and as a SQL function of one argument. */
#ifndef WEIR_OPERATORS_QUALITY_REGEX_H
#define WEIR_OPERATORS_QUALITY_REGEX_H

#include <stddef.h>

struct err;
struct regex;
struct sqlite3;

/* Compile; NULL with err (ERR_INVALID), which shows where in the pattern. */
struct regex *regex_new(const char *pattern, struct err *err);
void regex_free(struct regex *r);
/* Whether the pattern is found in the text. -1: it takes too long (ERR_DATA). */
int regex_match(struct regex *r, const char *text, size_t len, struct err *err);
/* Register name(text): 1 when the pattern is found in it, else 0; NULL for NULL. The pattern must
 * live until the function is registered anew or the database is closed. A value on which the
 * pattern takes too long is an error of the statement. */
int regex_register(struct regex *r, struct sqlite3 *db, const char *name, struct err *err);

#endif
