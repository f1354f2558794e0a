/* Bytes in memory, read a few at a time: what readers of records must not depend on. */
#ifndef WEIR_TESTS_LIB_FEED_H
#define WEIR_TESTS_LIB_FEED_H

#include <stddef.h>
#include <string.h>
#include <sys/types.h>

struct err;

struct feed {
	const char *text;
	size_t len, at, step; /* at: what was read; step: bytes a read gives at most */
};

/* A window_read_fn. */
static inline ssize_t feed_read(void *arg, void *to, size_t size, struct err *err)
{
	struct feed *f = arg;
	size_t n = f->len - f->at;

	(void)err;
	n = n < f->step ? n : f->step;
	n = n < size ? n : size;
	memcpy(to, f->text + f->at, n);
	f->at += n;
	return (ssize_t)n;
}

#endif
