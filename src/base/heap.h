/* A binary min-heap of timers: (key, id) pairs ordered by key, then by id.
 *
 * The heap does not know when an entry became obsolete: whoever pops one asks whether it
 * still holds (lazy deletion), which makes every operation O(log n) with no back links.
 */
#ifndef WEIR_BASE_HEAP_H
#define WEIR_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_entry {
	int64_t key;
	uint64_t id;
};

struct heap {
	struct heap_entry *entries;
	size_t n, cap;
};

void heap_init(struct heap *h);
void heap_release(struct heap *h);
int heap_push(struct heap *h, int64_t key, uint64_t id);  /* -1: out of memory */
const struct heap_entry *heap_peek(const struct heap *h); /* NULL when empty */
bool heap_pop(struct heap *h, struct heap_entry *ret);    /* false when empty */

#endif
