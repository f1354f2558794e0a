/* An arena: many small allocations that are freed together.
 *
 * Allocation returns NULL when memory or the arena's maximum is exhausted; the arena is
 * then `failed` and stays so, so that building a structure needs one check, at its end.
 * Memory is zeroed and aligned for any type.
 */
#ifndef WEIR_BASE_ARENA_H
#define WEIR_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *blocks;
	size_t used; /* bytes handed out, all blocks */
	size_t max;
	bool failed;
};

void arena_init(struct arena *a, size_t max);
void arena_release(struct arena *a);
void *arena_alloc(struct arena *a, size_t size);
void *arena_array(struct arena *a, size_t n, size_t size); /* checks n * size for overflow */
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t len); /* adds a NUL */
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
