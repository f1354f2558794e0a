/* What a backend of the store provides, and what the backends share.
 *
 * store.c checks arguments and batches, then calls the backend through its table; a backend
 * thus sees no change that is illegal in itself (an unknown state, a transition that the table of
 * core/state.h does not know). It guards what depends on what is stored: the epoch, the
 * state a change starts from, tokens, and that an outcome is recorded once.
 *
 * A backend embeds `struct store` as its first member. Each function of the table is required.
 */
#ifndef WEIR_STORE_BACKEND_H
#define WEIR_STORE_BACKEND_H

#include "store/store.h"

/* Which runs: all that match `filter`, or by one of the other keys. */
enum run_query_kind {
	RUN_QUERY_FILTER,
	RUN_QUERY_ID,
	RUN_QUERY_NAME,
	RUN_QUERY_PREFIX, /* names that begin with `text`, in their order, at most `limit` */
	RUN_QUERY_KEY,
	RUN_QUERY_KIND_MAX
};
struct run_query {
	enum run_query_kind kind;
	const struct run_filter *filter;
	const struct run_key *key;
	const char *text;
	int64_t id;
	int limit;
};

/* Rows that belong to one run. */
enum row_kind {
	ROWS_TASKS,
	ROWS_ATTEMPTS,
	ROWS_IN_FLIGHT,
	ROWS_EVENTS,
	ROWS_CHECKS,
	ROWS_AUDITS,
	ROWS_MAX
};
struct row_query {
	enum row_kind kind;
	int64_t run_id;
	const char
		*task; /* NULL: of all; never given for ROWS_TASKS, ROWS_IN_FLIGHT, ROWS_AUDITS */
};

/* Rows that belong to no run. */
enum list_kind {
	LIST_DAGS,
	LIST_FROZEN,
	LIST_PLANS,
	LIST_BACKFILLS,
	LIST_OUTBOX_DUE,
	LIST_OUTBOX,
	LIST_TOKEN,
	LIST_INCIDENTS,
	LIST_INCIDENTS_DUE,
	LIST_SLA_MISSES,
	LIST_SLA_OPEN,
	LIST_SLA_MARKS,
	LIST_TASK_TIMES,
	LIST_BREAKERS,
	LIST_BREAKER_EVENTS,
	LIST_APPROVALS,
	LIST_APPROVAL,
	LIST_DATASETS,
	LIST_DATASET_LINKS,
	LIST_DATASET_CURSORS,
	LIST_UPDATES, /* one for each update_query, in their order */
	LIST_UPDATES_LAST = LIST_UPDATES + UPDATE_QUERY_MAX - 1,
	LIST_MAX
};
struct list_query {
	enum list_kind kind;
	const char *dag;     /* NULL: all; always given for LIST_PLANS. LIST_BREAKER*: the breaker;
				LIST_APPROVAL: the task */
	int64_t id;          /* LIST_BACKFILLS, LIST_INCIDENTS*: 0: all; LIST_TOKEN: the token;
				LIST_APPROVAL: the run */
	int limit;           /* LIST_PLANS, LIST_OUTBOX*, LIST_INCIDENTS*: at most; 0: all */
	int64_t due_us;      /* LIST_*_DUE: due by then */
	const char *dataset; /* LIST_DATASET*, LIST_UPDATES*; NULL: all */
	int64_t from_us, to_us; /* LIST_UPDATES + UPDATES_DURING */
	int state; /* LIST_OUTBOX: enum outbox_state, or -1: all. LIST_INCIDENTS: 0: unresolved, 1:
		      all */
};

struct backfill_set {
	int64_t id, now_us;
	enum backfill_state to;
	const char *by, *reason;
};

/* Acts that were tried: done, given up, or (OUTBOX_PENDING) to be tried again. */
struct outbox_set {
	const int64_t *ids;
	size_t n;
	enum outbox_state to;
	int64_t at_us; /* when it ended, or is due again */
	const char *error;
};

struct durations {
	int64_t *us; /* room for as many as were asked for */
	size_t n;
};

/* `ret` results come initialised and empty; after a failure the caller releases them. */
struct store_ops {
	const char *name;
	void (*free)(struct store *s);
	void (*set_patience)(struct store *s, int timeout_ms); /* NULL: it never waits */
	int (*in_place)(struct store *s, struct err *err);     /* NULL: it cannot be moved */
	int (*run_open)(struct store *s, const struct run_open *open, struct run_opened *ret,
		struct err *err);
	int (*run_renew)(struct store *s, int64_t run_id, int64_t epoch, int64_t lease_until_us,
		struct err *err);
	int (*run_close)(struct store *s, int64_t run_id, int64_t epoch, struct err *err);
	int (*renew_owned)(struct store *s, const struct owner *owner, int64_t lease_until_us,
		struct err *err);
	int (*plan_commit)(struct store *s, const struct store_plan *plan, struct run_opened *ret,
		struct err *err);
	int (*dags_put)(struct store *s, const struct dag_put *dags, size_t n, int64_t now_us,
		struct err *err);
	int (*switch_set)(struct store *s, const struct switch_put *put, struct err *err);
	int (*backfill_create)(
		struct store *s, const struct backfill_new *b, int64_t *ret_id, struct err *err);
	int (*backfill_set)(struct store *s, const struct backfill_set *set, struct err *err);
	int (*prune)(struct store *s, int64_t before_us, int max, struct store_result *ret,
		struct err *err);
	int (*vacuum)(struct store *s, int pages, struct err *err);
	int (*reserve_tokens)(struct store *s, int64_t n, int64_t *ret_first, struct err *err);
	int (*commit)(struct store *s, const struct store_batch *batch, struct err *err);
	int (*late_end)(
		struct store *s, const struct late_end *e, bool *ret_recorded, struct err *err);
	int (*decide)(struct store *s, const struct approval_put *put, struct err *err);
	int (*dataset_touch)(
		struct store *s, const struct dataset_put *put, int64_t *ret_id, struct err *err);
	int (*dataset_follow)(struct store *s, const struct dataset_follow *f, struct err *err);
	int (*outbox_set)(struct store *s, const struct outbox_set *set, struct err *err);
	int (*outbox_prune)(
		struct store *s, int64_t before_us, int max, int *ret_n, struct err *err);
	int (*incidents_prune)(
		struct store *s, int64_t before_us, int max, int *ret_n, struct err *err);
	int (*runs)(struct store *s, const struct run_query *q, struct store_result *ret,
		struct err *err);
	int (*rows)(struct store *s, const struct row_query *q, struct store_result *ret,
		struct err *err);
	int (*attempt_open)(struct store *s, int64_t token, bool *ret, struct err *err);
	int (*version_text)(struct store *s, const char *version, char **ret_text, struct err *err);
	int (*list)(struct store *s, const struct list_query *q, struct store_result *ret,
		struct err *err);
	/* Of the successful runs with the newest intervals, at most `n` durations. */
	int (*durations)(
		struct store *s, const char *dag, int n, struct durations *ret, struct err *err);
};

struct store {
	const struct store_ops *ops;
};

/* ---- shared by the backends ---------------------------------------------------------- */

/* Decisions that store_prune forgets at most, for each run it may forget: old ones that are not
 * the newest of their DAG, oldest first. */
enum { BACKEND_PLANS_PER_RUN = 4 };

#define BACKEND_TRIGGER_BACKFILL "backfill" /* of a run whose updates wake nobody */

/* store_dataset.c: what can be seen without what is stored. */
int backend_check_dataset(const struct dataset_put *put, struct err *err);
int backend_check_takes(const struct store_plan *plan, struct err *err);

/* A decision that is not about an interval: it is never a DAG's `last`. */
#define BACKEND_PLAN_CANCEL "cancel"

/* store.c: empty, as a backend is to find it */
void store_result_init(struct store_result *r);

/* An array that grows in the arena of a result; `size` is that of one row. */
struct rows {
	struct arena *arena;
	size_t size, n, cap;
	char *data;
};
void *rows_add(struct rows *r); /* a zeroed row, or NULL: out of memory */
/* Hand the array to the result. 0, or -1 when the arena had failed. */
int rows_end(struct rows *r, struct store_result *ret, struct err *err);

/* Whether a run may be opened so: what store_run_open and store_plan_commit refuse at once. */
int backend_check_open(const struct run_open *open, struct err *err);

/* A run that exists already, as far as opening it is concerned. */
struct backend_present {
	int64_t id, lease_until_us, epoch;
	const char *name;
	struct owner owner;
	bool wanted, running, ended;
};
/* Whether the run's present owner stands aside: there is none, it is `open->owner` itself, it
 * is dead, or its lease ended. Otherwise -1 with ERR_REFUSED, naming it. */
int backend_may_take(const struct backend_present *p, const struct run_open *open, struct err *err);
/* "name", then "long_name", then "long_name.2", ...: the n-th name to try, from 0. NULL:
 * out of memory. Lives in `a`. */
const char *backend_run_name(const struct run_open *open, int n, struct arena *a);

/* Tokens are never smaller than the time in microseconds: those of a state that is new, or was
 * restored from a copy, are then larger than all that the lost one had handed out. */
int64_t backend_least_token(void);

/* Whether a CHANGE_TASK sets the task's hash: an attempt's definition is the one it was started
 * with, whatever the DAG became while it ran. */
bool backend_records_hash(const struct change *c, const char *present);

/* Whether a backfill may pass from one state to another; else -1 with ERR_REFUSED. */
int backend_may_set(const struct backfill_set *set, enum backfill_state present, struct err *err);
bool backend_backfill_is_final(enum backfill_state b);
int backend_no_backfill(int64_t id, struct err *err);

struct breaker_put backend_breaker_of(const struct change *c); /* of a CHANGE_BREAKER */

/* What an attempt's record has of its end, for late ones. */
struct recorded_end {
	enum outcome outcome;
	int64_t ended_us;
	int try;
};
bool backend_is_late(const struct late_end *e, const struct recorded_end *r);
/* The event's detail, in `a`; NULL: out of memory. */
const char *backend_late_text(
	const struct late_end *e, const struct recorded_end *r, struct arena *a);

/* Why it cannot be decided: what is there. Returns -1. */
int backend_not_awaited(
	const struct approval_put *put, enum task_state present, bool decided, struct err *err);
enum reason backend_decide_reason(const struct approval_put *put);

/* Whether an act may be set so; else -1 with ERR_REFUSED. *ret_same: it is so already. */
int backend_may_set_act(const struct outbox_set *set, int64_t id, enum outbox_state present,
	bool *ret_same, struct err *err);
int backend_no_act(int64_t id, struct err *err);

int backend_check_incident(const struct incident_put *p, struct err *err);
/* What does not apply: 0 when it may be passed over, else -1. present NULL: there is none. */
int backend_bad_incident(
	const struct incident_put *p, const struct incident *present, struct err *err);
/* The act that tells of an incident through a route. */
struct incident_act {
	struct outbox_act act;
	char *key, *payload;
};
int backend_incident_act(const struct incident *i, const struct incident_put *p,
	const struct incident_route *route, struct incident_act *ret, struct err *err);
void backend_incident_act_release(struct incident_act *a);

/* store_sla.c: what can be seen without what is stored. */
int backend_check_slas(const struct store_slas *slas, struct err *err);

/* store.c: the backend's list. */
int backend_list(
	struct store *s, const struct list_query *q, struct store_result *ret, struct err *err);

/* store_dataset.c: is the dataset among those? */
bool backend_follows(const struct dataset_follow *f, const char *dataset);

/* One text each for what the guards of all backends find wrong; all return -1. */
int backend_fenced(int64_t run_id, int64_t epoch, int64_t present, struct err *err);
int backend_no_run(int64_t run_id, struct err *err);
int backend_no_task(const struct change *c, struct err *err);
int backend_wrong_state(const struct change *c, const char *present, struct err *err);
int backend_has_begun(const struct change *c, const char *present, struct err *err);
int backend_bad_token(const struct change *c, int64_t limit, int64_t last, struct err *err);
int backend_token_used(const struct change *c, struct err *err);
/* outcome NULL: there is no such attempt */
int backend_bad_end(const struct change *c, const char *outcome, struct err *err);

#endif
