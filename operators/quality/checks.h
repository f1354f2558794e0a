/* The checks of `quality: table`, one row a kind: how it is written, and how it becomes SQL. */
#ifndef WEIR_OPERATORS_QUALITY_CHECKS_H
#define WEIR_OPERATORS_QUALITY_CHECKS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "conf/schema.h"
#include "data/sql.h"

struct err;
struct sqlite3;

enum { CHECKS_SAMPLE = 5, CHECKS_SAMPLE_COLUMNS = 10 };

/* What is being checked. */
struct subject {
	struct sqlite3 *db;
	const char *relation; /* as written behind FROM, quoted */
	const char *shown;    /* its name for people */
	struct sql_table table;
	const char *partition_column, *partition_value; /* NULL: all rows */
};

/* What came out. Text is cut to its size. */
struct finding {
	bool passed;
	char observed[200], expected[300];
	json_t *sample; /* array of objects, never NULL on success; the caller's */
};

/* The key of a check object that says its kind ("not_null"), or NULL. */
struct check_kind;
const struct check_kind *check_kind_of(const json_t *item);
const char *check_kind_key(const struct check_kind *kind);
/* The kinds' keys, NULL-ended. */
const char *const *check_kind_keys(void);
/* Whether at_least means anything for it. */
bool check_kind_has_ratio(const char *key);

/* One check may hold several columns that are judged one by one (not_null). Number of parts. */
size_t check_parts(const struct check_kind *kind, const json_t *item);
/* "not_null(day)", or the user's own name. */
void check_name(
	const struct check_kind *kind, const json_t *item, size_t part, char *buf, size_t size);
/* Judge one part. -1 when it cannot be judged: no such column, a query in error. */
int check_run(const struct check_kind *kind, const struct subject *s, const json_t *item,
	size_t part, struct finding *ret, struct err *err);

/* The rows of one item of `checks:`. */
extern const struct field check_fields[];

/* Register weir_number(x) on a database: x as a number, or NULL when it is none. */
int check_functions(struct sqlite3 *db, struct err *err);

#endif
