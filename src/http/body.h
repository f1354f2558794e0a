/* JSON against the rows of conf/schema.h: what a request brings, checked and typed. */
#ifndef WEIR_HTTP_BODY_H
#define WEIR_HTTP_BODY_H

#include <jansson.h>
#include <stddef.h>

struct err;
struct field;

/* Each gives a new object whose values have the types that their rows promise (schema.h: a duration
 * is an integer of microseconds), defaults filled in; or NULL with err: ERR_USAGE for text that is
 * no JSON object, ERR_INVALID for what the rows do not allow (all of it in one message, unknown
 * keys with the nearest known one). Rows may be NULL: nothing is allowed then. */
json_t *http_body_read(const struct field *fields, const char *text, size_t len, struct err *err);
/* An object of texts, as a query has them. */
json_t *http_body_query(const struct field *fields, json_t *raw, struct err *err);

#endif
