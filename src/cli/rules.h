/* What lets a task run, as the commands that draw or plan a DAG show it. */
#ifndef WEIR_CLI_RULES_H
#define WEIR_CLI_RULES_H

#include <jansson.h>

struct buf;
struct dag;
struct task;

/* Append "one_failed", "when a.success", "if {{ ... }}", "teardown", with commas; nothing for a
 * task that runs when all it needs has succeeded. */
void rules_add(struct buf *out, const struct dag *dag, const struct task *t);
/* The same as members of an object: trigger, or when; if, teardown, fails_run where they are said.
 */
void rules_set_json(json_t *object, const struct dag *dag, const struct task *t);

#endif
