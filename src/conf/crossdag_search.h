/* The points of a graph, which of them can never come to pass, and circles of those.
 *
 *     crossdag_search_init(&s, npoints)
 *     s.any[point] = true                  one of what it comes behind is enough
 *     crossdag_search_link(&s, a, b)       a comes behind b
 *     crossdag_search_solve(&s)
 *     crossdag_search_ring(&s, a, b, ...)  of a link: a circle that it is in
 *     crossdag_search_release(&s)
 *
 * A point comes to pass when all that it comes behind has, or one of it; at once, when that is
 * nothing. Those that never do are stuck. Each stuck point comes behind a stuck one, so that all
 * of it leads to circles. The cost of solving is that of all links, once.
 */
#ifndef WEIR_CONF_CROSSDAG_SEARCH_H
#define WEIR_CONF_CROSSDAG_SEARCH_H

#include <stdbool.h>
#include <stddef.h>

struct crossdag_link {
	int from, to;
};

/* The links by one of their ends: those of point p are at first[p] to first[p + 1]. */
struct crossdag_index {
	int *first, *others;
};

struct crossdag_search {
	int npoints, nstuck;
	bool *any;
	struct crossdag_link *links;
	size_t nlinks, cap;
	bool failed;                       /* out of memory: nothing is stuck */
	struct crossdag_index next, prior; /* what a point comes behind; what comes behind it */
	int *left;                         /* how many must still come to pass; 0: it does */
	int *parent, *queue;
	int *ring;
};

/* -1: out of memory; there is nothing to be released then. */
int crossdag_search_init(struct crossdag_search *s, int npoints);
void crossdag_search_release(struct crossdag_search *s);
void crossdag_search_link(struct crossdag_search *s, int from, int to);
void crossdag_search_solve(struct crossdag_search *s);
/* Is the link in a circle of stuck points? Then `s->ring` holds it from `from` on, each before what
 * it comes behind; `back`: behind it. Returns how many; 0: it is in none. */
int crossdag_search_ring(struct crossdag_search *s, int from, int to, bool back);

#endif
