/* The immutable model of a DAG, as the scheduler sees it.
 *
 * Built by conf/dagfile from a YAML file; lives in one arena, reference-counted by
 * its runs; nothing in it changes after dag_seal. Strings and arrays belong to the arena.
 */
#ifndef WEIR_CORE_MODEL_H
#define WEIR_CORE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/digest.h"
#include "core/trigger.h"

struct condition;    /* core/condition.h */
struct dataset_ref;  /* core/dataset.h */
struct dataset_rule; /* core/dataset.h */
struct err;
struct node;
struct schedule_spec; /* core/timetable.h */
struct sla;           /* core/sla.h */

enum task_kind {
	TASK_INGEST,
	TASK_TRANSFORM,
	TASK_QUALITY,
	TASK_PUBLISH,
	TASK_CONTROL,
	TASK_RUN, /* a command */
	TASK_KIND_MAX
};
const char *task_kind_name(enum task_kind kind); /* "ingest"; the key in the DAG file */
int task_kind_by_name(const char *name);         /* -1: none */

enum jitter { JITTER_NONE, JITTER_FULL, JITTER_EQUAL, JITTER_MAX };
const char *jitter_name(enum jitter j);
extern const char *const jitter_names[]; /* NULL-ended, in the order of the enum */

/* Exit statuses as a bit set. */
struct exit_set {
	uint64_t bits[4];
	bool given; /* the user wrote it */
};
bool exit_set_has(const struct exit_set *s, int status);
void exit_set_add(struct exit_set *s, int status); /* 0 to 255; others are ignored */

/* When and how often a failed attempt is tried again. */
struct retry_policy {
	int retries;        /* further attempts after the first */
	int64_t initial_us; /* delay before the first retry */
	int64_t max_us;     /* the delay's cap */
	double factor;      /* growth per retry, at least 1 */
	enum jitter jitter;
	struct exit_set retry_on; /* given: only these exit statuses are retried */
	struct exit_set fail_on;  /* these are never retried */
	int lost_retries; /* how often a lost attempt is started again; not the user's retries */
};

/* What becomes of a task that would start while a breaker of it is open. */
enum on_open { ON_OPEN_HOLD, ON_OPEN_SKIP, ON_OPEN_FAIL, ON_OPEN_MAX };
extern const char *const on_open_names[]; /* NULL-ended, in the order of the enum */
enum { TASK_BREAKERS_MAX = 8 };
#define QUALITY_BREAKER "quality:" /* and the dataset: no breaker of weir.yaml has such a name */

/* What an attempt may have at most; 0: no limit. */
struct task_limits {
	int64_t memory_bytes;
	int64_t cpu_permille; /* of one processor */
	int64_t pids;         /* processes and threads */
	int64_t files;        /* open ones of a process */
};

/* `foreach:`: the task is done once for each item of a list, which is made when it could start. */
enum foreach_kind { FOREACH_ITEMS, FOREACH_DATES, FOREACH_GLOB, FOREACH_KIND_MAX };
enum { FOREACH_ITEMS_MAX = 100000, FOREACH_ITEMS_DEFAULT = 10000 };
struct foreach {
	enum foreach_kind kind;
	const struct node *items; /* ITEMS: a list that may hold templates, or a template of one */
	const struct node *from, *to, *until, *step; /* DATES; NULL: absent */
	const struct node *glob;                     /* GLOB */
	int max_items;                               /* a longer list fails the task */
	int max_active; /* attempts of it in flight at once in a run; 0: no limit of its own */
};

struct task_group;

/* A need on another DAG: on a task of it, or on its whole run. */
struct cross_need {
	const char *dag, *task; /* task NULL: the run */
	/* Of all its runs whose intervals lie in ours and that cover it without a gap; else of its
	 * run for the same interval. */
	bool covers;
	const struct node *at; /* where it is written */
};

struct task {
	const char *name;
	int index;                      /* in dag->tasks */
	const struct task_group *group; /* the innermost it is in; NULL: none */
	enum task_kind kind;
	const char *op; /* operator's name within the kind; "command" for TASK_RUN */
	const char *description, *owner, *runbook; /* or NULL */
	const char *severity; /* of its failures: severity_name(); NULL: the DAG's */
	struct retry_policy retry;
	int64_t timeout_us; /* 0: none */
	const char *pool;   /* or NULL */
	int slots;          /* of the pool; 0 counts as 1 */
	/* Circuit breakers (core/breaker.h) of what it uses; NULL-ended; NULL: none. */
	const char *const *breakers;
	enum on_open on_open;
	/* Of a quality task: the breaker that its checks open when they score less than that, 0 to
	 * 1, and close when they do not; NULL: none. Those that consume the dataset have it among
	 * their breakers. */
	const char *quality_breaker;
	double score_below;
	const struct dataset_ref *produces; /* datasets that its success updates */
	int nproduces;
	int priority;     /* its own */
	int64_t weight;   /* what counts, in points: set by dag_seal */
	int64_t grace_us; /* between TERM and KILL */
	struct task_limits limits;
	const struct sla *sla; /* NULL: none */

	const int *needs; /* indices, in file order, no duplicates */
	int nneeds;
	const int *dependents;
	int ndependents;
	int level; /* length of the longest path from a root */
	/* What it needs of other DAGs, in file order; each counts as one need. */
	const struct cross_need *cross;
	int ncross;
	/* It starts when the same task has succeeded, or was skipped, in the run before; and those
	 * that need it directly, too. */
	bool depends_on_past, wait_for_downstream;
	enum trigger_rule trigger;
	const struct condition *when; /* on what it needs, instead of a rule; NULL: none */
	const struct node *only_if;   /* `if:`, judged when it would start; NULL: none */
	bool chooses;      /* when it succeeds it says which of those behind it are skipped */
	bool waits;        /* it is asked until what it waits for is there, and takes no slot */
	bool teardown;     /* runs on a cancel, too, when what it takes down was begun: */
	const int *setups; /* these of its needs; none: any of them */
	int nsetups;
	bool forgiven;                 /* its failure does not fail the run */
	const struct foreach *foreach; /* NULL: not mapped */

	const struct node *with; /* operator's parameters; NULL: none */
	const struct node *run;  /* TASK_RUN: a string or a list of strings */
	const char *shell; /* TASK_RUN: "sh", "bash", ..., "none"; NULL: sh when it is needed */
	const char *cwd;   /* may hold templates; NULL: the DAG's folder */
	const struct node *env; /* map of names to text or secrets; NULL: none */

	char hash[DIGEST_HEX]; /* of the definition: two tasks with one hash do the same thing */
	int line, col;
};

/* Tasks under one name, for people: the scheduler knows only tasks. The name of a member begins
 * with the group's and a dot, and members stand side by side in dag->tasks, those of groups inside
 * it among them. */
struct task_group {
	const char *name, *description; /* "load", "load.eu" */
	int parent;                     /* -1: none */
	int depth;                      /* 1: directly in the DAG */
	int first, ntasks;
	int line, col;
};

enum param_type { PARAM_STRING, PARAM_INT, PARAM_FLOAT, PARAM_BOOL, PARAM_DATE, PARAM_TYPE_MAX };
const char *param_type_name(enum param_type type);
extern const char *const param_type_names[]; /* NULL-ended, in the order of the enum */

struct param {
	const char *name, *description;
	enum param_type type;
	const char *const *values; /* enum; NULL-ended, or NULL */
	bool has_min, has_max, required;
	double min, max;
	const char *def; /* as text; NULL: none */
};

/* Of what a task's weight is made: its own priority, or that of all that waits for it, too. */
enum priority_weight { WEIGHT_OWN, WEIGHT_DOWNSTREAM, WEIGHT_MAX };
extern const char *const priority_weight_names[]; /* NULL-ended, in the order of the enum */

struct dag {
	int refs;
	struct arena arena;
	const char *name, *description, *owner, *runbook; /* NULL where absent */
	const char *severity;    /* of failures and missed SLAs; NULL: error */
	const char *const *tags; /* NULL-ended */
	const char *path;        /* of the file, as given */
	const char *dir;         /* absolute folder of the file: relative paths start here */
	const char *text; /* the file's text; with those it includes: a bundle (conf/bundle.h) */
	char hash[DIGEST_HEX]; /* the version: of the text and of the files it names */
	const struct schedule_spec *schedule; /* NULL: manual, in UTC */
	const struct dataset_rule *datasets;  /* whose updates start it; NULL: none do */
	int max_active_runs;                  /* of the schedule; at least 1 */
	int max_active_tasks;                 /* over all its runs; 0: as many as there are jobs */
	enum priority_weight priority_weight; /* what dag_seal makes of the priorities */
	int overlap;                          /* enum planner_overlap (core/planner.h) */
	const struct sla *sla;                /* of its runs; NULL: none */
	const char *const *files; /* that its tasks and calendars name, absolute; NULL-ended; each
				     once or more */
	const struct param *params;
	int nparams;
	struct task *tasks; /* in file order */
	int ntasks;
	const struct task_group *groups; /* outer ones first */
	int ngroups;
	const int *order;           /* task indices, topological; set by dag_seal */
	const int *by_name;         /* task indices, sorted by name; set by dag_seal */
	void (*on_free)(void *arg); /* releases what the loader keeps beside the arena */
	void *on_free_arg;
};

/* A new, empty DAG with one reference; NULL: out of memory. */
struct dag *dag_new(void);
struct dag *dag_ref(struct dag *dag);
void dag_unref(struct dag *dag);

/* Compute dependents, levels and the order from `needs`. When there is a cycle: -1, and
 * ret_cycle (room for ntasks + 1) gets the indices along one cycle, in the order of
 * "needs", the first again at its end; *ret_len its length. No recursion: a chain of any
 * length is fine. */
int dag_seal(struct dag *dag, int *ret_cycle, int *ret_len, struct err *err);
struct task *dag_find(const struct dag *dag, const char *name); /* linear in log n after dag_seal */
const struct task_group *dag_find_group(const struct dag *dag, const char *name);
/* Index of the innermost group a task is in; -1: none. */
int dag_group_of(const struct dag *dag, const struct task *t);
/* What a name can mean inside a task or group: its neighbours first, then those further out. Of
 * name[0, len) the length of what stands before the last part: of "a.b.c" 4, "a.b.". To go
 * outwards, ask again with what it returned less 1, until it is 0. */
size_t dag_name_scope(const char *name, size_t len);

#endif
