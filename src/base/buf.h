/* A growable byte buffer with a mandatory maximum, always NUL-terminated.
 *
 * Appends return 0, or -1 once the maximum or memory is exhausted; from then on the
 * buffer is `failed` and every append fails, so a chain of appends needs one check,
 * at its end (buf_ok). What was appended before the failure is kept.
 */
#ifndef WEIR_BASE_BUF_H
#define WEIR_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct err;

struct buf {
	char *data; /* NUL-terminated; never NULL after buf_init */
	size_t len; /* without the NUL */
	size_t cap;
	size_t max; /* len never exceeds it */
	bool failed;
};

#define BUF_MAX_TEXT (16u << 20) /* a maximum for messages, documents, payloads */

void buf_init(struct buf *b, size_t max);
void buf_release(struct buf *b); /* NULL and zeroed buffers are fine; leaves it empty, reusable */
void buf_clear(struct buf *b);   /* empty, keeps memory, forgets the failure */
int buf_add(struct buf *b, const void *data, size_t len);
int buf_addstr(struct buf *b, const char *s);
int buf_addc(struct buf *b, char c);
int buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int buf_vaddf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
int buf_addpad(struct buf *b, char c, size_t n); /* n times c */
int buf_reserve(struct buf *b, size_t more);     /* room for `more` bytes after len */
void buf_truncate(struct buf *b, size_t len);
void buf_consume(struct buf *b, size_t n); /* drop n bytes at the front */
/* 0, or -1 with err (ERR_NOMEM, naming `what`) when an append had failed. */
int buf_ok(const struct buf *b, const char *what, struct err *err);
/* Move the text out: the caller frees it. The buffer is empty afterwards. NULL when failed. */
char *buf_take(struct buf *b);

#endif
