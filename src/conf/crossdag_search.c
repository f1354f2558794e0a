#include "conf/crossdag_search.h"

#include <limits.h>
#include <stdlib.h>

static void release_index(struct crossdag_index *x)
{
	free(x->first);
	free(x->others);
}

void crossdag_search_release(struct crossdag_search *s)
{
	release_index(&s->next);
	release_index(&s->prior);
	free(s->any);
	free(s->links);
	free(s->left);
	free(s->parent);
	free(s->queue);
	free(s->ring);
	*s = (struct crossdag_search){ 0 };
}

int crossdag_search_init(struct crossdag_search *s, int npoints)
{
	size_t n = (size_t)npoints + 1;

	*s = (struct crossdag_search){ .npoints = npoints };
	s->any = calloc(n, sizeof *s->any);
	s->left = calloc(n, sizeof *s->left);
	s->parent = calloc(n, sizeof *s->parent);
	s->queue = calloc(n, sizeof *s->queue);
	s->ring = calloc(n, sizeof *s->ring);
	if (s->any && s->left && s->parent && s->queue && s->ring)
		return 0;
	crossdag_search_release(s);
	return -1;
}

void crossdag_search_link(struct crossdag_search *s, int from, int to)
{
	if (s->nlinks == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 256;
		struct crossdag_link *grown =
			cap < INT_MAX ? reallocarray(s->links, cap, sizeof *grown) : NULL;
		if (!grown) {
			s->failed = true;
			return;
		}
		s->links = grown;
		s->cap = cap;
	}
	s->links[s->nlinks++] = (struct crossdag_link){ from, to };
}

static int make_index(const struct crossdag_search *s, struct crossdag_index *x, bool prior)
{
	x->first = calloc((size_t)s->npoints + 2, sizeof *x->first);
	x->others = calloc(s->nlinks + 1, sizeof *x->others);
	if (!x->first || !x->others)
		return -1;
	/* Counted two further on, so that filling it leaves each where it begins. */
	for (size_t i = 0; i < s->nlinks; i++) {
		int of = prior ? s->links[i].to : s->links[i].from;
		if (of + 2 <= s->npoints + 1)
			x->first[of + 2]++;
	}
	for (int p = 2; p <= s->npoints + 1; p++)
		x->first[p] += x->first[p - 1];
	for (size_t i = 0; i < s->nlinks; i++) {
		const struct crossdag_link *l = &s->links[i];
		x->others[x->first[(prior ? l->to : l->from) + 1]++] = prior ? l->from : l->to;
	}
	return 0;
}

/* What comes to pass lets those behind it. */
void crossdag_search_solve(struct crossdag_search *s)
{
	int tail = 0;

	if (s->failed || make_index(s, &s->next, false) < 0 || make_index(s, &s->prior, true) < 0)
		return;
	for (int p = 0; p < s->npoints; p++) {
		int n = s->next.first[p + 1] - s->next.first[p];
		s->left[p] = s->any[p] && n > 1 ? 1 : n;
		if (n == 0)
			s->queue[tail++] = p;
	}
	for (int head = 0; head < tail; head++) {
		int p = s->queue[head];
		for (int k = s->prior.first[p]; k < s->prior.first[p + 1]; k++) {
			int q = s->prior.others[k];
			if (s->left[q] > 0 && --s->left[q] == 0)
				s->queue[tail++] = q;
		}
	}
	s->nstuck = s->npoints - tail;
}

static void meet(struct crossdag_search *s, int point, int from, int *tail)
{
	if (s->left[point] == 0 || s->parent[point] >= 0)
		return;
	s->parent[point] = from;
	s->queue[(*tail)++] = point;
}

/* A way from one point to another by stuck ones; its points in reverse by `parent`. */
static bool find_way(struct crossdag_search *s, int from, int to)
{
	int tail = 0;

	for (int p = 0; p < s->npoints; p++)
		s->parent[p] = -1;
	meet(s, from, from, &tail);
	for (int head = 0; head < tail && s->parent[to] < 0; head++) {
		int p = s->queue[head];
		for (int k = s->next.first[p]; k < s->next.first[p + 1]; k++)
			meet(s, s->next.others[k], p, &tail);
	}
	return s->parent[to] >= 0;
}

int crossdag_search_ring(struct crossdag_search *s, int from, int to, bool back)
{
	int n = 0;

	if (s->nstuck == 0 || !find_way(s, to, from))
		return 0;
	for (int p = from; p != to; p = s->parent[p])
		s->ring[n++] = p;
	s->ring[n++] = to;
	/* It leads back from `from`; the other way round the rest is turned. */
	for (int i = 1, k = n - 1; !back && i < k; i++, k--) {
		int p = s->ring[i];
		s->ring[i] = s->ring[k];
		s->ring[k] = p;
	}
	return n;
}
