/* Diagnostics: all that is wrong with the files a person wrote, each with its place.
 *
 * Printed as
 *
 *     dags/x.yaml:12:9: error: unknown key "retrys"; did you mean "retries"?
 *        12 |         retrys: 3
 *           |         ^~~~~~
 *        allowed here: ...
 */
#ifndef WEIR_CONF_DIAG_H
#define WEIR_CONF_DIAG_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct err;
struct node;
struct source;

enum diag_level { DIAG_ERROR, DIAG_WARNING, DIAG_LEVEL_MAX };

struct diag {
	enum diag_level level;
	char *file;
	int line, col, width; /* width in characters of what is marked, at least 1 */
	char *excerpt;        /* the offending line, cut to a sensible length; may be NULL */
	char *message;
	char *hint;     /* what is allowed, what to do; may be NULL */
	char *included; /* "dags/x.yaml:3:10": where its file is included; NULL: it is not */
	/* For diags_print. */
	int mark, mark_width; /* columns of the excerpt to underline, from 0 */
	size_t order;         /* of being added */
	const void *source;   /* only to tell sources of one file apart: it may be gone */
};

/* A place in a source, 1-based, and how many characters of it to mark. */
struct diag_place {
	int line, col, width;
};

/* At most DIAG_MAX are kept for a file; the rest are counted. */
enum { DIAG_MAX = 100 };

struct diags {
	struct diag *list;
	size_t n, cap;
	size_t nerrors, nwarnings; /* all, kept or not */
	size_t in_file;            /* kept for the file of the last one */
	bool dropped;              /* the last one was not kept */
};

void diags_init(struct diags *d);
void diags_release(struct diags *d);
/* At a node (its whole scalar is marked). The message has no line break. Never fails: without
 * memory the counts still grow. */
void diag_node(struct diags *d, enum diag_level level, const struct node *at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* At `offset` bytes into a scalar's text, for errors inside templates and expressions. Falls back
 * to the scalar's start when the scalar's layout (folded, escaped) hides the place. */
void diag_inside(struct diags *d, const struct node *at, size_t offset, size_t width,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* At a place in a source, 1-based. */
void diag_place(struct diags *d, const struct source *src, int line, int col, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* The same, marking `width` characters. */
void diag_span(struct diags *d, const struct source *src, const struct diag_place *place,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* A place that is kept when its node is gone: `at` of diag_mark, to be released by
 * diag_mark_release. Without memory nothing of it is kept. */
void diag_mark(struct diag *ret, const struct node *at);
void diag_mark_release(struct diag *mark);
/* At such a place. */
void diag_at_mark(struct diags *d, enum diag_level level, const struct diag *mark, const char *fmt,
	...) __attribute__((format(printf, 4, 5)));
/* From an error that carries its own place (or none). */
void diag_err(struct diags *d, const char *file, const struct err *err);
/* Add "what is allowed" to the diagnostic added last. */
void diag_hint(struct diags *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Say of all from the index `first` on that lie in `file` where that is included. */
void diags_included(struct diags *d, size_t first, const char *file, const char *where);
/* The same of those that lie in this very source. */
void diags_included_in(
	struct diags *d, size_t first, const struct source *source, const char *where);
/* Move all of `from` behind those of `to`; `from` is then empty. */
void diags_move(struct diags *to, struct diags *from);
/* Sort by file, line, column; append all as text (colour: with SGR sequences). */
void diags_print(struct diags *d, struct buf *out, bool colour);
/* The same as a JSON array of {file, line, column, level, message, hint}. Returns a new json_t*. */
struct json_t *diags_json(struct diags *d);

#endif
