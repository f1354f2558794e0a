/* What the files of weir show share; nobody else includes it. */
#ifndef WEIR_CLI_SHOW_IMPL_H
#define WEIR_CLI_SHOW_IMPL_H

#include <stdbool.h>

#include "base/buf.h"
#include "cli/commands.h"
#include "cli/term.h"
#include "store/store.h"

struct dag;
struct err;

/* All that the store knows of one run. */
struct show_view {
	const struct args *args;
	struct store *store;
	struct store_result run, tasks, attempts, checks, audits, events;
	const struct run_row *r;
	struct dag *dag; /* of the run's version, when it is needed */
	bool dag_read;
	struct term term;
	struct buf out;
	struct err *err;
};

/* cli/show.c: the version the run has; NULL: it is not known, or cannot be loaded any more. */
const struct dag *show_dag_of(struct show_view *v);

/* cli/show_tasks.c: the table of tasks, or of those that the second operand names. -1: it names
 * none. */
int show_tasks(struct show_view *v);
/* Is it the task that the second operand names, of its group, or an instance of it? All are without
 * one. */
bool show_is_asked_for(const struct show_view *v, const struct task_row *t);
int show_say_unknown(const struct show_view *v, const char *word);
/* The attempt of that token; NULL: none. */
const struct attempt_row *show_attempt(const struct show_view *v, int64_t token);
/* The breaker that stopped a task, as the events of its run tell; owned, NULL: none. */
char *show_breaker_of(const struct show_view *v, const struct task_row *t);

#endif
