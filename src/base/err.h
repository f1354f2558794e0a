/* Errors: what went wrong, where, and what to do about it.
 *
 * A function that can fail returns 0 (or a count) or -1 (or NULL) and, on failure, fills
 * the `struct err` its caller lent it. `struct err` owns nothing: it can live on the stack, be
 * copied, and be passed on after the thing that failed is gone. Passing NULL is allowed everywhere.
 *
 * Library code neither logs nor exits; whoever handles the error reports it once.
 */
#ifndef WEIR_BASE_ERR_H
#define WEIR_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

enum err_code {
	ERR_NONE,
	ERR_USAGE,       /* the command line is wrong */
	ERR_INVALID,     /* a DAG, configuration or contract is wrong */
	ERR_REFUSED,     /* legal, but not now: the run belongs to another process, ... */
	ERR_NOT_FOUND,   /* a named thing does not exist */
	ERR_IO,          /* the system refused a file, a pipe, a process */
	ERR_NOMEM,       /* memory or a size limit is exhausted */
	ERR_DATA,        /* the data breaks its contract or its format */
	ERR_CHECK,       /* a quality check failed */
	ERR_SQL,         /* a statement was refused by the database */
	ERR_BUSY,        /* the resource is locked or unreachable now; try again */
	ERR_STORE,       /* the state database is damaged, too new or not writable */
	ERR_FENCED,      /* a newer attempt or owner has taken over */
	ERR_TIMEOUT,     /* it took longer than allowed */
	ERR_INTERRUPTED, /* stopped by a signal or by request */
	ERR_INTERNAL,    /* a bug in weir */
	ERR_CODE_MAX
};

/* What each code means to the world: one row per code, indexed by it. */
struct err_info {
	const char *name; /* stable, for JSON: "not_found" */
	int exit_status;  /* of the weir command, see weir(1) */
	int http_status;
	bool transient; /* worth a retry */
	const char *help;
};

struct err {
	enum err_code code;
	int line, col;  /* 1-based; 0: unknown */
	char file[240]; /* empty: none; a longer path is cut at the front */
	char msg[1040];
};

/* The row of `code`. Never NULL. */
const struct err_info *err_info(enum err_code code);
enum err_code err_code_by_name(const char *name); /* ERR_NONE when unknown */

/* Set code and message; return -1, so that `return err_set(...)` reads well. A message
 * longer than the buffer is cut. Line breaks are kept. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* As err_set, and ": " and strerror(errno) behind the message. The code is ERR_IO,
 * or ERR_NOMEM for ENOMEM, ERR_BUSY for EAGAIN and EBUSY. */
int err_errno(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Put "fmt: " before the message of an error on its way up; return -1. */
int err_context(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Say where; return -1. */
int err_where(struct err *err, const char *file, int line, int col);
int err_nomem(struct err *err);
void err_clear(struct err *err);
/* "file:line:col: message" into buf; returns buf. */
const char *err_format(const struct err *err, char *buf, size_t size);

#endif
