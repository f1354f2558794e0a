/* The DAGs of a folder as they start each other through datasets: a task of one produces what the
 * schedule of another waits for.
 *
 *     struct dataset_graph g;
 *     dataset_graph_init(&g);
 *     dataset_graph_add(&g, dag)       for each DAG
 *     dataset_graph_check(&g, &diags)
 *     dataset_graph_release(&g);
 *
 * A circle of DAGs is an error, at the place where one of them names what it waits for: they would
 * start each other for ever. What none of them produces is a warning: it is never updated, unless
 * by hand.
 */
#ifndef WEIR_CONF_DATASET_GRAPH_H
#define WEIR_CONF_DATASET_GRAPH_H

#include <stddef.h>

struct dag;
struct diags;
struct err;

struct dataset_graph {
	struct dag **dags; /* references */
	size_t n, cap;
};

void dataset_graph_init(struct dataset_graph *g);
void dataset_graph_release(struct dataset_graph *g);
/* Takes a reference, where the DAG has to do with datasets. */
int dataset_graph_add(struct dataset_graph *g, struct dag *dag, struct err *err);
/* -1: out of memory. */
int dataset_graph_check(const struct dataset_graph *g, struct diags *diags, struct err *err);

#endif
