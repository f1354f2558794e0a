/* Groups of tasks, shown as one line: how they stand, by the states of their tasks.
 *
 * A task's full name tells its groups: "load.eu.orders" is in load, and there in eu. What is shown
 * as one line is the outermost group.
 */
#ifndef WEIR_CLI_GROUPVIEW_H
#define WEIR_CLI_GROUPVIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "core/state.h"

struct buf;

struct group_tally {
	int by_state[TASK_STATE_MAX];
	int n;
};

/* How many bytes of a task's name are its outermost group, or, of an instance "fetch[3]" of one
 * that is in none, the mapped task; 0: it is in none. */
size_t groupview_prefix(const char *task);
bool groupview_same(const char *task, const char *other); /* in the same outermost group */
void groupview_count(struct group_tally *g, enum task_state s);
/* The one state that says most of them all: failed, when one is; success, when all are done. */
enum task_state groupview_state(const struct group_tally *g);
/* Does a mapped task in that state stand as its instances do? It need not have any. */
bool groupview_is_mapping(enum task_state s, enum reason r);
/* "3 success, 1 failed", in the order of the states. */
void groupview_add_counts(struct buf *out, const struct group_tally *g);

#endif
