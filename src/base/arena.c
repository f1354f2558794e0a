#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BLOCK = 4096, LARGEST_BLOCK = 1 << 20, ALIGN = alignof(max_align_t) };

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	alignas(max_align_t) char data[];
};

void arena_init(struct arena *a, size_t max)
{
	*a = (struct arena){ .max = max };
}

void arena_release(struct arena *a)
{
	if (!a)
		return;
	for (struct arena_block *b = a->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	arena_init(a, a->max);
}

static struct arena_block *add_block(struct arena *a, size_t size)
{
	/* Blocks double, so that a small document takes a page and a large one few calls. */
	size_t want = a->blocks ? a->blocks->size * 2 : FIRST_BLOCK;
	if (want > LARGEST_BLOCK)
		want = LARGEST_BLOCK;
	if (want < size)
		want = size;
	struct arena_block *b = malloc(sizeof *b + want);
	if (!b)
		return NULL;
	b->used = 0;
	b->size = want;
	b->next = a->blocks;
	a->blocks = b;
	return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
	if (a->failed || size > a->max - a->used || size > SIZE_MAX / 2) {
		a->failed = true;
		return NULL;
	}
	size_t rounded = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	struct arena_block *b = a->blocks;
	if (!b || b->size - b->used < rounded)
		b = add_block(a, rounded);
	if (!b) {
		a->failed = true;
		return NULL;
	}
	void *p = b->data + b->used;
	b->used += rounded;
	a->used += size;
	return memset(p, 0, size);
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
	if (size && n > SIZE_MAX / size) {
		a->failed = true;
		return NULL;
	}
	return arena_alloc(a, n * size);
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
	char *copy = len < SIZE_MAX ? arena_alloc(a, len + 1) : NULL;

	if (copy)
		memcpy(copy, s, len);
	return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	char *s = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
	if (s)
		vsnprintf(s, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return s;
}
