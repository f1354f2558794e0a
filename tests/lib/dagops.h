/* Operators for tests that load DAG files. */
#ifndef WEIR_TESTS_LIB_DAGOPS_H
#define WEIR_TESTS_LIB_DAGOPS_H

#include "conf/dagfile.h"
#include "operators/operators.h"

static inline const struct field *dagops_params(enum task_kind kind, const char *name)
{
	const struct operator* op = operator_find(kind, name);

	return op ? op->params : NULL;
}

static inline const struct field *dagops_no_params(enum task_kind kind, const char *name)
{
	(void)kind;
	(void)name;
	return NULL;
}

/* Names are for messages only. */
static inline const char *const *dagops_no_names(enum task_kind kind)
{
	static const char *const none[] = { NULL };

	(void)kind;
	return none;
}

/* Those of Weir; none at all. */
static const struct dagfile_operators dagops_known
	__attribute__((unused)) = { .params = dagops_params, .names = dagops_no_names };
static const struct dagfile_operators dagops_none
	__attribute__((unused)) = { .params = dagops_no_params, .names = dagops_no_names };

#endif
