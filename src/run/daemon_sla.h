/* The daemon's SLAs: deadlines that come due are judged by what the store has of the run; what is
 * missed is kept there, told, and acted upon.
 *
 * daemon_sla.c judges and commits, daemon_sla_watch.c looks after what runs (its limits, and
 * whether it will be done in time), daemon_fresh.c after datasets, daemon_sla_facts.c asks the
 * store.
 *
 * A miss is committed before anything is done about it; that it was done is committed afterwards.
 * After a crash in between it is done again. What was missed is known here as long as it is open,
 * or may be found once more: nothing is told twice.
 *
 * For the files of the daemon's SLAs only; what others call is in run/daemon_impl.h.
 */
#ifndef WEIR_RUN_DAEMON_SLA_H
#define WEIR_RUN_DAEMON_SLA_H

#include "base/heap.h"
#include "core/incident.h"
#include "core/sla_clock.h"
#include "run/daemon_impl.h"

/* Something that was missed. */
struct missed {
	struct missed *next;
	int64_t id;         /* 0: not committed yet */
	struct sla_key key; /* its strings, and detail, are this row's own */
	char *detail;
	const char *acts; /* as the store has it, or NULL */
	int64_t deadline_us, found_us;
	const char *ended; /* SLA_END_*; NULL: open */
	int64_t ended_us;
	bool alert;                       /* people are told when it is committed */
	bool acted, keep_end, keep_acted; /* keep_*: to be committed */
	bool acting;                      /* it is on its way */
	bool fresh;                       /* it was just committed for the first time */
};

/* The median of `n` durations. */
struct sla_typical {
	int64_t us;
	int n;
};

/* All that is known of the SLAs of a DAG, as long as the daemon runs. */
struct sla_dag {
	char *name;
	bool has_mark, dirty; /* dirty: something of it is to be committed */
	struct sla_mark mark;
	struct missed *missed;
	struct fresh_watch *fresh; /* of the datasets of its SLAs */
	struct sla_dag *next_dirty;
	/* Medians of its tasks, by index, and for which version; NULL: not looked for yet */
	struct sla_typical *typical;
	char version[DIGEST_HEX];
	UT_hash_handle hh;
};

/* What is looked at when a time comes: a limit of something that runs, a deadline of a run without
 * a schedule, or a run that may not be done in time. */
struct sla_watch {
	char *key;        /* all that makes it this one */
	char *dag, *task; /* task NULL: of the DAG */
	struct sla sla;
	enum sla_kind kind;
	struct tick tick;
	int64_t deadline_us;
	int64_t run_id, token, since_us; /* of a limit; token 0: of the run */
	UT_hash_handle hh;
};

struct daemon_sla {
	struct sla_clock *clock;
	struct sla_dag *dags, *dirty;
	struct heap timers; /* of addresses of watches: these go when their entry does */
	struct sla_watch *watches;
	bool recheck;                    /* what is open may have come meanwhile */
	struct fresh_topic *fresh;       /* daemon_fresh.c: datasets, by name */
	struct heap fresh_timers;        /* of addresses of watches */
	struct fresh_watch *fresh_loads; /* those that are to be looked up */
	bool fresh_settle;               /* what is open of them may have come */
	bool more;                       /* there is more that is due */
};

/* What the store has of the run, or the task, of an interval. */
struct sla_look {
	struct sla_facts facts;
	bool exists, final;
	int64_t run_id;
	enum run_state state;
	char detail[200]; /* how it stands, for people */
};

/* daemon_sla.c */
struct sla_dag *daemon_sla_dag(struct daemon *d, const char *name); /* NULL: no memory */
void daemon_sla_touch(struct daemon *d, struct sla_dag *s);         /* it is to be committed */
bool daemon_sla_is_known(const struct sla_dag *s, const struct sla_key *key);
struct sla_found {
	const char *dag, *task;
	const struct sla *sla;
	enum sla_kind kind;
	struct tick tick;
	int64_t deadline_us;
	int64_t reached_us; /* it has come already, late; 0: not */
	const char *detail;
};
/* A run was taken in hand: what is to be done about it. */
void daemon_sla_made(struct daemon *d, const struct active_run *r);
/* Note a miss, to be committed and told. */
int daemon_sla_found(struct daemon *d, const struct sla_found *f, struct err *err);

/* It is of a dataset, and of no run. */
bool daemon_sla_is_fresh(const struct missed *m);
/* It is over; nothing happens to one that is. */
void daemon_sla_end(struct daemon *d, struct sla_dag *s, struct missed *m, const char *why);

/* daemon_fresh.c */
void daemon_fresh_set(struct daemon *d, struct sla_dag *s, const struct catalog_dag *c);
void daemon_fresh_remove(struct daemon *d, struct sla_dag *s);
int daemon_fresh_judge(struct daemon *d, struct err *err);
int64_t daemon_fresh_wake_us(const struct daemon *d);
void daemon_fresh_release(struct daemon_sla *sla);

/* daemon_sla_facts.c */
int daemon_sla_look(
	struct daemon *d, const struct sla_key *key, struct sla_look *ret, struct err *err);
/* When a task will probably be done (target NULL: all of them); NULL dag: it cannot be loaded. */
struct sla_outlook {
	bool known;
	int64_t at_us;
	char detail[200];
};
int daemon_sla_foresee(
	struct daemon *d, const struct sla_watch *w, struct sla_outlook *ret, struct err *err);
/* The median of the last good runs of a DAG, or of the task `index` of it; 0: not known. */
int64_t daemon_sla_typical_us(struct daemon *d, const struct dag *dag, int index);

/* daemon_sla_tell.c */
void daemon_sla_add_time(struct daemon *d, const char *dag, int64_t at_us, struct buf *out);
/* The incident of a miss; what it needs lives in `a`. */
struct incident_put daemon_sla_opens(struct daemon *d, const struct missed *m, struct arena *a);
/* That one is over: true when nothing else of its kind is open. */
bool daemon_sla_resolves(struct daemon *d, const struct sla_dag *s, const struct missed *m,
	struct arena *a, struct incident_put *ret);

/* daemon_sla_watch.c */
int daemon_sla_watch(struct daemon *d, const struct sla_watch *w, int64_t at_us);
void daemon_sla_watch_free(struct daemon_sla *sla, struct sla_watch *w);
/* A run may be at risk from now on. */
int daemon_sla_risk(struct daemon *d, const struct sla_due *due, struct err *err);
/* All whose time has come. */
int daemon_sla_run_watches(struct daemon *d, struct err *err);

#endif
