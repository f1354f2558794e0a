/* Tables that say what a mapping may hold.
 *
 * One row per key. From the same rows come the check of a document with its errors, the
 * conversion of values, the JSON Schema (weir schema), the man pages' key lists, and the
 * reference of the operators (weir operators NAME).
 */
#ifndef WEIR_CONF_SCHEMA_H
#define WEIR_CONF_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct buf;
struct diags;
struct err;
struct node;

enum field_type {
	FIELD_STRING, /* any scalar, taken as its text */
	FIELD_NAME,   /* [A-Za-z_][A-Za-z0-9_-]{0,127}: DAGs, tasks, params, connections */
	FIELD_BOOL,
	FIELD_INT,
	FIELD_FLOAT,
	FIELD_DURATION, /* JSON: integer, microseconds */
	FIELD_SIZE,     /* JSON: integer, bytes */
	FIELD_PERCENT,  /* JSON: real, a fraction 0 to 1; with a larger max: up to that */
	FIELD_ENUM,     /* one of `values` */
	FIELD_DATE,     /* 2026-11-19 */
	FIELD_PATH,     /* a path, relative to the DAG's folder; need not exist */
	FIELD_FILE, /* a path of a file that must exist when the DAG is validated, unless it is a
		       template */
	FIELD_SQL,  /* SQL with templates; JSON: {"text": "... ?1 ...", "binds": [...]} */
	FIELD_SQL_FILE,   /* a FIELD_FILE that holds such SQL; JSON: as FIELD_SQL, and "file" */
	FIELD_CONNECTION, /* the name of a connection of weir.yaml */
	FIELD_TABLE,      /* "connection.table" */
	FIELD_REGEX,      /* a pcre2 pattern */
	FIELD_VALUE,      /* any scalar, its type kept */
	FIELD_LIST,       /* of `item` */
	FIELD_MAP,        /* names to `item` */
	FIELD_OBJECT,     /* a mapping by `fields` */
	FIELD_ANY,        /* anything; checked by whoever owns the key */
	FIELD_TYPE_MAX
};

enum field_flag {
	FIELD_REQUIRED = 1 << 0,
	FIELD_TEMPLATE = 1 << 1,  /* {{ ... }} is allowed in it */
	FIELD_SECRET = 1 << 2,    /* value or {env: NAME} or {file: PATH}; masked everywhere */
	FIELD_OR_ONE = 1 << 3,    /* a list may be written as its only item */
	FIELD_ONE_KEY = 1 << 4,   /* an object that must hold exactly one key (a tagged union) */
	FIELD_MAY_REFER = 1 << 5, /* a value that is no secret, or a reference to one as above */
	FIELD_OR_TEXT = 1 << 6,   /* an object may be written as a text, its short form */
	FIELD_TRUTH = 1 << 7,     /* FIELD_VALUE: true, false, or a template that is */
};

struct field {
	const char *key; /* NULL ends a table; in an `item` row it is unused */
	enum field_type type;
	unsigned flags;            /* enum field_flag */
	const char *const *values; /* FIELD_ENUM: NULL-ended */
	bool has_min, has_max;
	double min, max; /* numbers, durations (us), sizes (bytes); of a list: its length */
	const struct field *item;   /* FIELD_LIST, FIELD_MAP: one row */
	const struct field *fields; /* FIELD_OBJECT: rows up to a NULL key */
	const char *def;            /* the default as written in YAML (a scalar); NULL: none */
	const char *help;           /* one sentence or more, plain text */
	const char *example;        /* may be NULL */
};

/* A text with "{{", and where it stands. */
struct schema_template {
	const struct node *node;
	const char *text; /* the node's, but for FIELD_SQL_FILE: the file's content */
	const char *file; /* FIELD_SQL_FILE: its path; else NULL */
	bool sql;         /* FIELD_SQL or FIELD_SQL_FILE: read as SQL */
	bool truth;       /* FIELD_TRUTH: it must be true or false */
};

/* What a check needs to know beyond the tables. */
struct schema_env {
	const char *dir;                /* folder that paths are relative to; NULL: do not look */
	const char *const *connections; /* names, NULL-ended; NULL: unknown, not checked */
	/* Called for each scalar of a FIELD_TEMPLATE row (and FIELD_SQL*) that holds "{{": checks
	 * it and reports errors. NULL: templates are not checked. */
	void (*check_template)(void *arg, const struct schema_template *t, struct diags *diags);
	void *arg;
	const char *config_path; /* where the connections stand; NULL: there is no weir.yaml */
	const char *config_dir;  /* where one would be made; NULL: unknown */
};

/* Check map `n` by `fields`: unknown keys (with the nearest known one), missing required
 * keys, types, ranges, enums, patterns. `what` names the mapping in messages ("ingest: file").
 * Returns the number of errors added. */
size_t schema_check(const struct node *n, const struct field *fields, const char *what,
	const struct schema_env *env, struct diags *diags);
/* One value by one row. */
size_t schema_check_value(const struct node *n, const struct field *f, const struct schema_env *env,
	struct diags *diags);

/* The typed JSON of a scalar's text by its row: "30m" of FIELD_DURATION -> 1800000000.
 * For text that templates made; also used for defaults. FIELD_SQL_FILE gives {"file": text} (its
 * reader adds the rest), a list with FIELD_OR_ONE its only item. New reference, or NULL with err.
 */
json_t *schema_value_of_text(const struct field *f, const char *text, struct err *err);

/* JSON Schema (draft 2020-12) of a mapping by `fields`, a new reference. */
json_t *schema_json(const struct field *fields, const char *description);
/* The same without "$schema", to be part of a larger one. */
json_t *schema_json_part(const struct field *fields, const char *description);
/* "list of names", "one of append, replace"; appended to out. */
void schema_describe_type(const struct field *f, struct buf *out);
/* A plain-text reference of the rows, for the terminal; `indent` columns deep. */
void schema_print_text(const struct field *fields, struct buf *out, int indent);
/* The same as mdoc list items (man pages). */
void schema_print_mdoc(const struct field *fields, struct buf *out);
const char *schema_type_name(enum field_type type); /* "duration", "list of ..." without the item */
/* Find the row of `key`; NULL when there is none. */
const struct field *schema_find(const struct field *fields, const char *key);

#endif
