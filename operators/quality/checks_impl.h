/* What the files of the checks share.
 *
 * checks.c        the table of kinds, and one check run
 * checks_fields.c how a check is written
 * checks_plan.c   a check as SQL: which rows are judged, and which of them fail
 * checks_judge.c  asking the database, and what comes of it
 */
#ifndef WEIR_OPERATORS_QUALITY_CHECKS_IMPL_H
#define WEIR_OPERATORS_QUALITY_CHECKS_IMPL_H

#include <jansson.h>
#include <stddef.h>

#include "base/buf.h"
#include "operators/quality/checks.h"

struct err;
struct regex;

/* One part of a check while it is judged. */
struct plan {
	const struct subject *subject;
	const json_t *item, *arg; /* the check; the value of its kind's key */
	const char *column;       /* the one it is about; NULL: none or several */
	json_t *binds;            /* of `where` first, so that its ?N stay right */
	struct buf scope;         /* condition: the rows that are judged */
	struct buf fail;          /* condition: those of them that fail */
	struct buf detail;        /* what is expected of a row, for people */
	struct regex *regex;
};

/* ---- checks_plan.c -------------------------------------------------------------------- */

/* What every check's rows are limited to: `where`, and the partition. */
int checks_start_scope(struct plan *p, struct err *err);
void checks_plan_release(struct plan *p); /* also of one that was never begun */
/* ERR_SQL, with the table's columns, when it has none of that name; ERR_INVALID for NULL. */
int checks_need_column(const struct subject *s, const char *name, struct err *err);

/* For a kind: fill `fail` and `detail`. */
int checks_plan_not_null(struct plan *p, struct err *err);
int checks_plan_accepted(struct plan *p, struct err *err);
int checks_plan_range(struct plan *p, struct err *err);
int checks_plan_pattern(struct plan *p, struct err *err);
int checks_plan_length(struct plan *p, struct err *err);
int checks_plan_relationships(struct plan *p, struct err *err);

/* ---- checks_judge.c ------------------------------------------------------------------- */

/* Count the rows of `scope` and those that `fail`; with a sample of the latter. */
int checks_judge_rows(struct plan *p, struct finding *f, struct err *err);
/* Kinds that judge by themselves, within `scope` (sql: its query is its own). */
int checks_judge_unique(struct plan *p, struct finding *f, struct err *err);
int checks_judge_row_count(struct plan *p, struct finding *f, struct err *err);
int checks_judge_sql(struct plan *p, struct finding *f, struct err *err);

#endif
