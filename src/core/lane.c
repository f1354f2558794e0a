#include "core/lane.h"

#include <stdlib.h>

struct ref *lane_at(const struct lane *l, size_t i)
{
	return &l->ring[(l->head + i) % l->cap];
}

static int grow(struct lane *l)
{
	size_t cap = l->cap ? l->cap * 2 : 64;
	struct ref *ring = calloc(cap, sizeof *ring);

	if (!ring)
		return -1;
	for (size_t i = 0; i < l->n; i++)
		ring[i] = *lane_at(l, i);
	free(l->ring);
	l->ring = ring;
	l->cap = cap;
	l->head = 0;
	return 0;
}

int lane_push(struct lane *l, const struct ref *at)
{
	if (l->n == l->cap && grow(l) < 0)
		return -1;
	l->n++;
	*lane_at(l, l->n - 1) = *at;
	l->nfresh++;
	return 0;
}

bool lane_pop(struct lane *l, struct ref *ret)
{
	if (l->n == 0)
		return false;
	*ret = *lane_at(l, 0);
	l->head = (l->head + 1) % l->cap;
	l->n--;
	if (l->nfresh > l->n)
		l->nfresh = l->n;
	return true;
}

void lane_release(struct lane *l)
{
	free(l->ring);
	*l = (struct lane){ 0 };
}
