#include "core/gate.h"

#include <stdlib.h>

bool gate_has_room(const struct gate *g)
{
	return g->used < g->max;
}

bool gate_admits(const struct gate *g, int slots)
{
	if (g->kind != GATE_POOL)
		slots = 1;
	return gate_has_room(g) && (g->used == 0 || slots <= g->max - g->used);
}

void gate_release(struct gate *g)
{
	shelf_heap_release(&g->parked);
}

/* ---- the heaps of shelves ------------------------------------------------------------- */

static bool is_before(const struct waiting *a, const struct waiting *b)
{
	return a->key != b->key ? a->key < b->key : a->seq < b->seq;
}

bool shelf_before(const struct shelf *a, const struct shelf *b)
{
	return is_before(&a->list[0], &b->list[0]);
}

static void place(struct shelf_heap *h, size_t at, struct shelf *s)
{
	h->list[at] = s;
	s->place = at;
}

/* To where it belongs, from where it stands. */
static void settle(struct shelf_heap *h, struct shelf *s)
{
	size_t at = s->place;

	for (; at > 0 && shelf_before(s, h->list[(at - 1) / 2]); at = (at - 1) / 2)
		place(h, at, h->list[(at - 1) / 2]);
	for (;;) {
		size_t child = 2 * at + 1;
		if (child + 1 < h->n && shelf_before(h->list[child + 1], h->list[child]))
			child++;
		if (child >= h->n || !shelf_before(h->list[child], s))
			break;
		place(h, at, h->list[child]);
		at = child;
	}
	place(h, at, s);
}

void shelf_take_out(struct shelf *s)
{
	struct shelf_heap *h = s->in;

	if (!h)
		return;
	struct shelf *last = h->list[--h->n];
	if (last != s) {
		place(h, s->place, last);
		settle(h, last);
	}
	s->in = NULL;
	s->at = NULL;
}

int shelf_move(struct shelf *s, struct shelf_heap *to, struct gate *at)
{
	if (to->n == to->cap) {
		size_t cap = to->cap ? to->cap * 2 : 8;
		struct shelf **grown = reallocarray(to->list, cap, sizeof(struct shelf *));
		if (!grown)
			return -1;
		to->list = grown;
		to->cap = cap;
	}
	shelf_take_out(s);
	s->in = to;
	s->at = at;
	place(to, to->n++, s);
	settle(to, s);
	return 0;
}

struct shelf *shelf_heap_first(const struct shelf_heap *h)
{
	return h->n ? h->list[0] : NULL;
}

void shelf_heap_release(struct shelf_heap *h)
{
	free(h->list);
	*h = (struct shelf_heap){ 0 };
}

/* ---- what waits on a shelf ------------------------------------------------------------ */

const struct waiting *shelf_front(const struct shelf *s)
{
	return s->n ? &s->list[0] : NULL;
}

int shelf_push(struct shelf *s, const struct waiting *w)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 8;
		struct waiting *grown = reallocarray(s->list, cap, sizeof *grown);
		if (!grown)
			return -1;
		s->list = grown;
		s->cap = cap;
	}
	size_t at = s->n++;
	for (; at > 0 && is_before(w, &s->list[(at - 1) / 2]); at = (at - 1) / 2)
		s->list[at] = s->list[(at - 1) / 2];
	s->list[at] = *w;
	if (at == 0 && s->in)
		settle(s->in, s);
	return 0;
}

void shelf_pop(struct shelf *s)
{
	/* It must be known by its front as long as it is in a heap. */
	if (s->n == 1)
		shelf_take_out(s);
	struct waiting last = s->list[--s->n];
	size_t at = 0;
	for (;;) {
		size_t child = 2 * at + 1;
		if (child + 1 < s->n && is_before(&s->list[child + 1], &s->list[child]))
			child++;
		if (child >= s->n || !is_before(&s->list[child], &last))
			break;
		s->list[at] = s->list[child];
		at = child;
	}
	s->list[at] = last;
	if (s->in)
		settle(s->in, s);
}

void shelf_release(struct shelf *s)
{
	shelf_take_out(s);
	free(s->list);
	*s = (struct shelf){ 0 };
}
