/* Datasets: names for data that tasks produce, and when their updates make a run due.
 *
 * A task with `produces:` updates its datasets when it succeeds; a person does when data came from
 * elsewhere (weir datasets touch). An update is of a data interval: that of the run.
 *
 *     schedule: { datasets: [sales.daily, fx.rates], when: all }
 *
 * A DAG with such a schedule collects the updates of its datasets. A run is due
 *
 *     all     when each of them was updated at least once
 *     any     when one was
 *
 * since the last run took some. It takes all that were collected, however many, and its interval
 * reaches from the least start to the greatest end of theirs. While the DAG is paused or as many
 * runs as may be are active, they are collected further: there is one run for them afterwards.
 *
 * Pure: what is kept where, and how often, is the store's and the daemon's concern (store.h: an
 * update is taken in the transaction that creates the run).
 */
#ifndef WEIR_CORE_DATASET_H
#define WEIR_CORE_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct node;

enum { DATASET_NAME_MAX = 128, DATASET_RULE_MAX = 64 };

/* Letters, digits, _, . and -, at most DATASET_NAME_MAX. */
bool dataset_is_name(const char *text);

enum dataset_when { DATASET_ALL, DATASET_ANY, DATASET_WHEN_MAX };
extern const char *const dataset_when_names[]; /* NULL-ended, in the order of the enum */

/* A dataset, and where a file names it; NULL: unknown. */
struct dataset_ref {
	const char *name;
	const struct node *at;
};

struct dataset_rule {
	enum dataset_when when;
	const struct dataset_ref *refs; /* each name once */
	size_t n;
};

/* An update; ids rise in the order in which updates are committed. */
struct dataset_update {
	int64_t id;
	const char *dataset;
	int64_t start_us, end_us, at_us;
};

/* What came of one dataset since the last run took some. */
struct dataset_news {
	int64_t count;             /* 0: nothing, and the rest is 0 */
	int64_t first_us, last_us; /* when */
	int64_t start_us, end_us;  /* least start and greatest end of the intervals */
};

struct dataset_pending {
	struct dataset_news *news; /* by index in the rule */
	size_t n;
	int64_t upto; /* all updates up to this id were looked at */
};

int dataset_pending_init(
	struct dataset_pending *p, const struct dataset_rule *rule, struct err *err);
void dataset_pending_release(struct dataset_pending *p);
/* Look at an update. One that was looked at before, or of another dataset, changes nothing; true:
 * it is news. */
bool dataset_pending_add(
	struct dataset_pending *p, const struct dataset_rule *rule, const struct dataset_update *u);
/* A run took all there was. */
void dataset_pending_clear(struct dataset_pending *p);

enum dataset_verdict {
	DATASET_WAITS,  /* for updates */
	DATASET_PAUSED, /* it would be due, but for the pause */
	DATASET_FULL,   /* or but for the runs that are active */
	DATASET_DUE,
	DATASET_VERDICT_MAX
};
const char *dataset_verdict_name(enum dataset_verdict v); /* "waits", "paused", "full", "due" */

struct dataset_room {
	bool paused;
	int active, max_active; /* runs */
};
/* What is due: of PAUSED, FULL and DUE. */
struct dataset_due {
	int64_t start_us, end_us; /* the run's interval */
	int64_t since_us;         /* when the last update that was needed came */
	int64_t upto;             /* it takes all up to this id */
	int64_t count;
};
enum dataset_verdict dataset_decide(const struct dataset_rule *rule,
	const struct dataset_pending *p, const struct dataset_room *room, struct dataset_due *ret);

/* Do these intervals together cover one? They are sorted. An instant is covered by what holds it:
 * an interval that starts at it or before and ends behind it, or is it. */
struct dataset_span {
	int64_t start_us, end_us;
};
bool dataset_covers(struct dataset_span *spans, size_t n, const struct dataset_span *all);

#endif
