/* What the files of why share; nobody else includes it. */
#ifndef WEIR_RUN_WHY_IMPL_H
#define WEIR_RUN_WHY_IMPL_H

#include "run/why.h"

/* A node below `under` (NULL: the root). NULL: without memory, or there are enough. The strings of
 * `n` are kept as they are. */
struct why_node *why_add(struct why *w, struct why_node *under, const struct why_node *n);
/* "pool %s"; "" without memory. */
const char *why_printf(struct why *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The last line of a text that says something; NULL: none does. */
const char *why_last_line(struct why *w, const char *text);
/* A word as a shell reads it back. */
const char *why_word(struct why *w, const char *word);
/* Once; `words` are kept. */
void why_step(struct why *w, const struct why_step *step);

/* The daemon is absent or has troubles of its own: told below `under`. False: it is well. */
bool why_daemon(struct why *w, const struct why_facts *f, struct why_node *under);
/* Who paused or drains the DAG. */
void why_switches(struct why *w, const struct why_facts *f, struct why_node *under);
/* What people asked of a task of the run (NULL: of the run), the newest first. */
void why_requests(
	struct why *w, const struct why_facts *f, struct why_node *under, const char *task);
/* A run in a line, for what it holds up. */
void why_other_run(struct why *w, struct why_node *under, const struct run_row *r);
/* A run, below `under` (NULL: the root). */
struct why_node *why_add_run(struct why *w, const struct why_facts *f, struct why_node *under);
/* Why a run is in its state, below `under`. */
void why_run_causes(struct why *w, const struct why_facts *f, struct why_node *under);

/* ---- run/why_task.c -------------------------------------------------------------------- */

struct why_walk;
/* NULL: without memory. */
struct why_walk *why_walk_new(struct why *w, const struct why_facts *f);
void why_walk_free(struct why_walk *k);
/* A task and its causes, unless it is in the tree. */
void why_task(struct why_walk *k, struct why_node *under, size_t task);
/* The tasks that hold a run up or decided it, a few of each kind, the rest counted. */
void why_frontier(struct why_walk *k, struct why_node *under);

/* A member of an object; absent: NULL, 0, false. */
static inline const char *why_get(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}
static inline long long why_int(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

#endif
