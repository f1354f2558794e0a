#include "base/heap.h"

#include <stdlib.h>

void heap_init(struct heap *h)
{
	*h = (struct heap){ 0 };
}

void heap_release(struct heap *h)
{
	if (!h)
		return;
	free(h->entries);
	heap_init(h);
}

static bool before(const struct heap_entry *a, const struct heap_entry *b)
{
	return a->key != b->key ? a->key < b->key : a->id < b->id;
}

int heap_push(struct heap *h, int64_t key, uint64_t id)
{
	if (h->n == h->cap) {
		size_t cap = h->cap ? h->cap * 2 : 16;
		struct heap_entry *grown = reallocarray(h->entries, cap, sizeof *grown);
		if (!grown)
			return -1;
		h->entries = grown;
		h->cap = cap;
	}
	struct heap_entry e = { key, id };
	size_t i = h->n++;
	for (; i > 0 && before(&e, &h->entries[(i - 1) / 2]); i = (i - 1) / 2)
		h->entries[i] = h->entries[(i - 1) / 2];
	h->entries[i] = e;
	return 0;
}

const struct heap_entry *heap_peek(const struct heap *h)
{
	return h->n ? &h->entries[0] : NULL;
}

bool heap_pop(struct heap *h, struct heap_entry *ret)
{
	if (!h->n)
		return false;
	*ret = h->entries[0];
	struct heap_entry last = h->entries[--h->n];
	size_t i = 0;
	for (size_t child; (child = 2 * i + 1) < h->n; i = child) {
		if (child + 1 < h->n && before(&h->entries[child + 1], &h->entries[child]))
			child++;
		if (!before(&h->entries[child], &last))
			break;
		h->entries[i] = h->entries[child];
	}
	if (h->n)
		h->entries[i] = last;
	return true;
}
