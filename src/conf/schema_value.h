/* One scalar's text to its value by a row of a schema table. */
#ifndef WEIR_CONF_SCHEMA_VALUE_H
#define WEIR_CONF_SCHEMA_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct field;

enum value_kind { VALUE_TEXT, VALUE_BOOL, VALUE_INT, VALUE_REAL, VALUE_KIND_MAX };

struct schema_value {
	enum value_kind kind;
	bool b;
	int64_t i;
	double f;
};

/* Convert and check range, pattern and choice. Types whose value is text, and FIELD_VALUE, give
 * VALUE_TEXT. */
int schema_value_parse(
	const struct field *f, const char *text, struct schema_value *ret, struct err *err);
/* Is a number within min and max? -1 with err when it is not. */
int schema_value_range(const struct field *f, double value, struct err *err);
/* "[A-Za-z_][A-Za-z0-9_-]{0,127}" */
bool schema_value_is_name(const char *text, size_t len);
/* The offset of the error in a pattern of pcre2, and what it is; -1: the pattern is fine. */
long schema_value_regex_error(const char *pattern, char *message, size_t size);

#endif
