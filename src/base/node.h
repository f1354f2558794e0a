/* A document: a tree of scalars, sequences and mappings, each with its place in a file.
 *
 * YAML is read into it (conf/yaml.h); it knows nothing of YAML's syntax itself. Scalars
 * carry their type by YAML 1.2's core schema (spec chapter 10.3): `NO`, `on`, `1_0`,
 * `2026-11-19` and `08` are strings. (08 and 007 match the core schema's integer
 * pattern; Weir reads a number with a leading zero as a string, because ids look so.)
 *
 * Nodes live in the arena of their document and are immutable once built.
 */
#ifndef WEIR_BASE_NODE_H
#define WEIR_BASE_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum node_type {
	NODE_NULL,
	NODE_BOOL,
	NODE_INT,
	NODE_FLOAT,
	NODE_STRING,
	NODE_SEQ,
	NODE_MAP,
	NODE_TYPE_MAX
};

/* A file's name and text, kept as long as any node of it. */
struct source {
	const char *path; /* as the user gave it */
	const char *text; /* NUL-terminated */
	size_t len;
};

struct node {
	enum node_type type;
	bool quoted;   /* scalar: was written in quotes or as a block */
	int line, col; /* 1-based place of the first character; col counts characters (UTF-8) */
	const struct source *source;
	const char *text;          /* scalar: its text, unescaped; NUL-terminated, holds no NUL */
	size_t len;                /* scalar: bytes of text */
	bool b;                    /* NODE_BOOL */
	int64_t i;                 /* NODE_INT */
	double f;                  /* NODE_FLOAT, and NODE_INT as a double */
	size_t n;                  /* sequence: items; map: pairs */
	const struct node **items; /* sequence: n items; map: n values */
	const struct node **keys;  /* map: n scalar keys, unique, in file order */
};

/* "null", "a boolean", "an integer", "a number", "a string", "a list", "a mapping" */
const char *node_type_name(enum node_type type);
/* The value of `key` in a map; NULL when absent, or n is NULL or no map. */
const struct node *node_get(const struct node *n, const char *key);
const struct node *node_key(const struct node *n, const char *key); /* the key's own node */
bool node_is_scalar(const struct node *n);
/* The text of a scalar, or NULL for NULL, null, a list or a map. */
const char *node_text(const struct node *n);

#endif
