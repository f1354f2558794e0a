/* All operators. One line each; the rest stands beside their code. */
#include <string.h>

#include "operators/operators.h"

extern const struct operator operator_ingest_file;
extern const struct operator operator_transform_sql;
extern const struct operator operator_quality_table;
extern const struct operator operator_publish_file;
extern const struct operator operator_publish_table;
extern const struct operator operator_control_branch;
extern const struct operator operator_control_short_circuit;
extern const struct operator operator_control_wait;
extern const struct operator operator_control_approval;
extern const struct operator operator_control_dag;

const struct operator* const operators[] = {
	&operator_ingest_file,
	&operator_transform_sql,
	&operator_quality_table,
	&operator_publish_file,
	&operator_publish_table,
	&operator_control_branch,
	&operator_control_short_circuit,
	&operator_control_wait,
	&operator_control_approval,
	&operator_control_dag,
	NULL,
};

const struct operator* operator_find(enum task_kind kind, const char *name)
{
	for (size_t i = 0; operators[i]; i++)
		if (operators[i]->kind == kind && strcmp(operators[i]->name, name) == 0)
			return operators[i];
	return NULL;
}
