/* A window on a stream of bytes: what is unread lies in one piece of memory, which slides along.
 *
 * Readers of records take theirs from data[at..len) and move `at` behind it; where a record is not
 * all there, window_refill moves the rest to the front and reads more behind it. The memory is
 * 256 KiB at first, and grows only where one record needs more, to the maximum.
 */
#ifndef WEIR_DATA_WINDOW_H
#define WEIR_DATA_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;

/* Where bytes come from: as input_read. */
typedef ssize_t window_read_fn(void *arg, void *to, size_t size, struct err *err);

struct window {
	window_read_fn *read;
	void *arg;
	size_t max; /* size never exceeds it */
	size_t pad; /* bytes allocated behind size */
	char *data;
	size_t size, len; /* allocated, filled */
	size_t at;        /* what is before it was taken */
	bool eof;         /* nothing comes behind len */
};

/* Sets `read`, `arg`, `max` and `pad` to those of `config`, fills the window for the first time and
 * passes over a byte order mark. -1 with err; release it then, too. */
int window_init(struct window *w, const struct window *config, struct err *err);
void window_release(struct window *w); /* zeroed ones are fine */
/* 0 when there is more, or the end was met; -1 with err. WINDOW_FULL: all of `max` bytes is one
 * record; the caller says so. */
enum { WINDOW_FULL = 1 };
int window_refill(struct window *w, struct err *err);

#endif
