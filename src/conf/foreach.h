/* `foreach:` of a task: from the DAG file to struct foreach (core/model.h).
 *
 *     foreach: [eu, us]                                  a list
 *     foreach: "{{ tasks.list.outputs.files }}"          a template whose value is a list
 *     foreach: { dates: { from: "{{ ds }}", to: ... } }
 *     foreach: { glob: "in/{{ ds }}-*.csv" }
 *     foreach: { items: ..., max_active: 8 }             any of these, with limits
 *
 * The list itself is made when the task could start (run/mapping.h).
 */
#ifndef WEIR_CONF_FOREACH_H
#define WEIR_CONF_FOREACH_H

#include <jansson.h>
#include <stdint.h>

#include "conf/schema.h"

struct arena;
struct diags;
struct err;
struct foreach;
struct node;

/* Load `n`, whose templates are not looked at. NULL when it is absent or has errors (in diags). */
const struct foreach *foreach_load(const struct node *n, struct arena *arena, struct diags *diags);
/* Its templates, by env->check_template; and whether its items can ever be a list. */
void foreach_check(const struct foreach *f, const struct schema_env *env, struct diags *diags);

/* The step of a range of dates: a duration, or months, "3mo". */
struct foreach_step {
	int months;
	int64_t us;
};
int foreach_parse_step(const char *text, struct foreach_step *ret, struct err *err);
/* Is it one of whole days, weeks or months? Its items are dates then. */
bool foreach_step_is_days(const struct foreach_step *step);

extern const struct field foreach_fields[]; /* the long form */
json_t *foreach_json_schema(void);          /* of all forms; new reference */

#endif
