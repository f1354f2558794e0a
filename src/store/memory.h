/* What the files of the memory backend share. Not for other rooms.
 *
 * memory.c holds runs and their changes, memory_plan.c what a daemon decides, memory_read.c
 * answers. Strings live in one arena until the store is closed. A batch that fails is undone
 * from copies of the rows it changed, newest first; rows it added are dropped from the ends of
 * their lists.
 */
#ifndef WEIR_STORE_MEMORY_H
#define WEIR_STORE_MEMORY_H

/* Out of memory is an error here, not an exit. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "store/backend.h"

struct mem_task {
	struct task_row row;
	size_t seq;
	char *key; /* map index (4 bytes) and name */
	UT_hash_handle hh;
};

struct mem_attempt {
	struct attempt_row row;
	int64_t token_before; /* of the same task; 0: none */
	UT_hash_handle hh;    /* by token */
};

struct mem_act {
	struct outbox_row row;
	UT_hash_handle hh; /* by key */
};

struct mem_breaker_event {
	struct breaker_event_row row; /* `run` is not used */
	int64_t run_id;
};

struct mem_dataset {
	struct dataset_row row; /* `last` is not used */
	int64_t last_id;
};

struct mem_use {
	int64_t run_id, update_id;
};

/* What does not hold any more is `gone`: a roll back brings nothing back that was removed. */
struct mem_cursor {
	struct dataset_cursor_row row;
	bool gone;
};

struct mem_link {
	struct dataset_link row;
	bool gone;
};

struct mem_version {
	const char *hash, *dag, *text, *path, *dir;
	struct mem_version *next;
};

struct mem_list {
	void **items;
	size_t n, cap;
};

struct mem_run {
	struct run_row row;
	struct mem_version *version;
	struct mem_task *tasks;
	struct mem_list attempts, events, checks, audits;
	char *key; /* start and end of the interval (8 bytes each), DAG */
	UT_hash_handle by_key, by_name;
};

struct mem_switch {
	bool on;
	const char *by, *reason;
	int64_t at_us;
};

/* Whatever is kept for a DAG; it may be one the store does not know. */
struct mem_dag {
	const char *name;
	/* name NULL: not known. `plan_state` is there anyway, its switches and `last` are not
	 * used. */
	struct dag_row row;
	struct mem_switch switches[DAG_SWITCH_MAX];
	struct mem_list frozen; /* struct frozen_row */
	struct mem_list plans;  /* struct plan_row, by id */
	UT_hash_handle hh;
};

struct undo {
	void *row;
	size_t size;
	union {
		struct run_row run;
		struct task_row task;
		struct attempt_row attempt;
		struct dag_row dag;
		struct backfill_row backfill;
		struct outbox_row act;
		struct incident incident;
		struct sla_miss miss;
		struct sla_mark_row mark;
		struct breaker_row breaker;
		struct mem_dataset dataset;
		struct mem_cursor cursor;
		struct mem_link link;
	} was;
};

/* A row that the batch added to the end of a list. */
struct added {
	struct mem_list *list;
	struct mem_attempt *attempt; /* or NULL */
	struct mem_run *run;         /* with the task, which is in no list; or NULL */
	struct mem_task *task;
};

struct memory_store {
	struct store base;
	struct arena arena;
	struct mem_list runs; /* struct mem_run, by id from 1; NULL: forgotten */
	struct mem_run *by_key, *by_name;
	struct mem_dag *dags;
	struct mem_list backfills; /* struct backfill_row, by id from 1; its counts are not used */
	struct mem_list acts;      /* struct mem_act, by id */
	struct mem_act *acts_by_key;
	struct mem_list misses;                   /* struct sla_miss, by id */
	struct mem_list marks;                    /* struct sla_mark_row */
	struct mem_list incidents;                /* struct incident, by id */
	struct mem_list breakers, breaker_events; /* struct breaker_row; mem_breaker_event */
	struct mem_list datasets, updates;    /* struct mem_dataset; dataset_update_row, by id */
	struct mem_list uses, cursors, links; /* struct mem_use, mem_cursor, mem_link */
	int64_t next_update, next_update_at_begin;
	struct mem_version *versions;
	struct mem_attempt *attempts;
	int64_t next_act, next_act_at_begin;
	int64_t next_incident, next_incident_at_begin;
	int64_t next_token, next_plan, next_plan_at_begin;
	struct undo *undo;
	size_t nundo, undo_cap;
	struct added *added;
	size_t nadded, added_cap;
};

static inline struct memory_store *memory_cast(struct store *s)
{
	return (struct memory_store *)s;
}

/* memory.c */
int memory_list_add(struct mem_list *l, void *item, struct err *err);
/* A copy that lives as long as the store; NULL for NULL. An arena that failed is found when
 * the batch ends. */
const char *memory_keep(struct memory_store *m, const char *text);
struct mem_run *memory_find_run(struct memory_store *m, int64_t id);
struct mem_run *memory_find_key(struct memory_store *m, const struct run_key *key);
struct mem_version *memory_find_version(struct memory_store *m, const char *hash);
struct mem_attempt *memory_find_attempt(struct memory_store *m, int64_t token);
struct mem_task *memory_find_task(
	struct memory_store *m, struct mem_run *run, const char *name, int map_index);

void memory_begin(struct memory_store *m);
/* To be called before a row is changed. */
int memory_save(struct memory_store *m, void *row, size_t size, struct err *err);
/* Add a row, which may be an attempt, to the end of a list. */
int memory_add(struct memory_store *m, struct mem_list *l, void *row, struct mem_attempt *a,
	struct err *err);
/* 0 when all is kept; else all is undone. */
int memory_end(struct memory_store *m, int r, struct err *err);
/* Between begin and end. */
int memory_open_in(
	struct memory_store *m, const struct run_open *o, struct run_opened *ret, struct err *err);
void memory_remove_run(struct memory_store *m, struct mem_run *run);
/* An event to the end of the run's; all its strings are borrowed for good. */
/* memory.c: what a person asked for. */
int memory_add_audit(struct memory_store *m, const struct audit_row *a, struct err *err);
int memory_add_event(
	struct memory_store *m, struct mem_run *run, const struct event_row *e, struct err *err);

/* memory_plan.c */
struct mem_dag *memory_find_dag(struct memory_store *m, const char *name); /* or NULL */
int memory_plan_commit(
	struct store *s, const struct store_plan *plan, struct run_opened *ret, struct err *err);
int memory_dags_put(
	struct store *s, const struct dag_put *dags, size_t n, int64_t now_us, struct err *err);
int memory_switch_set(struct store *s, const struct switch_put *put, struct err *err);
int memory_backfill_create(
	struct store *s, const struct backfill_new *b, int64_t *ret_id, struct err *err);
int memory_backfill_set(struct store *s, const struct backfill_set *set, struct err *err);
int memory_prune(
	struct store *s, int64_t before_us, int max, struct store_result *ret, struct err *err);
int memory_vacuum(struct store *s, int pages, struct err *err);
void memory_release_dags(struct memory_store *m);

/* memory_outbox.c */
int memory_late_end(struct store *s, const struct late_end *e, bool *ret_recorded, struct err *err);
/* Between begin and end. */
int memory_act_put(struct memory_store *m, const struct outbox_act *act, struct err *err);
void memory_act_remove_last(struct memory_store *m); /* for a roll back */
int memory_outbox_set(struct store *s, const struct outbox_set *set, struct err *err);
int memory_outbox_prune(struct store *s, int64_t before_us, int max, int *ret_n, struct err *err);
int memory_put_due(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err);
int memory_put_outbox(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err);
int memory_put_token(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err);
void memory_release_acts(struct memory_store *m);

/* memory_incident.c */
/* Between begin and end. */
int memory_incident_put(struct memory_store *m, const struct incident_put *p, struct err *err);
int memory_incidents_prune(
	struct store *s, int64_t before_us, int max, int *ret_n, struct err *err);
int memory_put_incidents(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err);
int memory_put_incidents_due(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err);

/* memory_sla.c */
/* Between begin and end. */
int memory_slas_put(struct memory_store *m, const struct store_slas *slas, struct err *err);
void memory_slas_prune(struct memory_store *m, int64_t before_us, int max);
int memory_put_misses(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err);
int memory_put_marks(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err);
int memory_put_times(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err);

/* memory_breaker.c */
/* Between begin and end. */
int memory_breaker_put_in(struct memory_store *m, const struct breaker_put *b, struct err *err);
void memory_breaker_prune(struct memory_store *m, int64_t before_us, int max);
int memory_put_breakers(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err);
int memory_put_breaker_events(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err);

/* memory_dataset.c */
int memory_dataset_touch(
	struct store *s, const struct dataset_put *put, int64_t *ret_id, struct err *err);
int memory_dataset_follow(struct store *s, const struct dataset_follow *f, struct err *err);
/* Between begin and end. */
int memory_dataset_put(struct memory_store *m, const struct dataset_put *put, struct err *err);
int memory_dataset_take(struct memory_store *m, const struct store_plan *plan,
	const struct run_opened *opened, struct err *err);
int memory_dataset_links(
	struct memory_store *m, const struct dag_put *dag, int64_t now_us, struct err *err);
void memory_dataset_forget_run(struct memory_store *m, int64_t run_id);
void memory_dataset_prune(struct memory_store *m, int64_t before_us, int max);
int memory_put_datasets(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err);
int memory_put_updates(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err);
int memory_put_links(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err);
int memory_put_cursors(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err);
void memory_release_datasets(struct memory_store *m);

/* memory_approval.c */
int memory_decide(struct store *s, const struct approval_put *put, struct err *err);
int memory_put_approvals(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err);

/* memory_read.c */
void memory_put_run(struct rows *rows, const struct mem_run *run);
const struct plan_row *memory_last_plan(const struct mem_dag *d); /* or NULL */
int memory_runs(
	struct store *s, const struct run_query *q, struct store_result *ret, struct err *err);
int memory_rows(
	struct store *s, const struct row_query *q, struct store_result *ret, struct err *err);
int memory_attempt_open(struct store *s, int64_t token, bool *ret, struct err *err);
int memory_version_text(struct store *s, const char *version, char **ret_text, struct err *err);
int memory_list(
	struct store *s, const struct list_query *q, struct store_result *ret, struct err *err);
int memory_durations(
	struct store *s, const char *dag, int n, struct durations *ret, struct err *err);

/* Add the runs of a backfill to its counts. */
void memory_count_runs(struct memory_store *m, struct backfill_row *b);

#endif
