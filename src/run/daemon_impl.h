/* What the files of the daemon share; nobody else includes it. */
#ifndef WEIR_RUN_DAEMON_IMPL_H
#define WEIR_RUN_DAEMON_IMPL_H

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "core/planner.h"
#include "run/alerting.h"
#include "run/daemon.h"
#include "run/daemon_log.h"
#include "run/engine.h"

/* A DAG as far as the daemon steers it. Lives on while runs of it do, also when its file is gone.
 */
struct steered {
	char *name;
	int active;  /* runs of the schedule that are not final */
	int counted; /* of these, runs of a former daemon that are not taken over yet */
	int live;    /* runs in hand, of any kind */
	bool has_state;
	struct planner_state state; /* as the store had it at the start */
	bool paused, draining;
	size_t last_decision; /* of those the planner has made: the last one of this DAG */
	UT_hash_handle hh;
};

/* What the daemon knows of a run in hand: active_run->data. */
struct run_data {
	struct steered *dag;
	bool scheduled; /* counts for max_active_runs */
	bool cancelling;
	int64_t backfill_id; /* 0: none */
	int64_t created_us;
	int64_t since_us; /* it runs since then; 0: not known */
};

/* A run because datasets were updated. Final and wanted, all of it is to be done again. */
#define DAEMON_TRIGGER_DATASET "dataset"

/* A run that is opened but not in hand yet: there is a limit to how many are. */
struct pending_run {
	int64_t run_id, epoch;
	int64_t backfill_id;
	bool again; /* it is final and all of it is to be done again */
	bool cancel;
};

struct live_backfill {
	int64_t id;
	struct backfill_row row; /* its strings in `kept` */
	struct store_result kept;
	struct planner_span *spans; /* its intervals, ascending */
	size_t nspans, next;        /* next: how many were looked at */
	int lane;
	int active; /* runs pending or in hand */
	UT_hash_handle hh;
};

struct daemon {
	const struct daemon_config *config;
	struct engine engine;
	struct catalog *catalog;
	struct planner *planner;
	struct steered *steered;
	struct ops ops;
	struct daemon_log log;
	struct exec_local_provider provider;
	struct exec_provider executors;
	int lock_fd, timer_fd, watch_fd;
	struct event *on_term, *on_int, *on_hup, *on_clock, *on_watch, *on_settled, *on_chores,
		*on_look, *on_turn, *on_alert, *on_alert_timer;
	struct pending_run *pending; /* a queue */
	size_t pending_head, npending, pending_cap;
	size_t decided;  /* of the planner's decisions, how many are committed already */
	size_t portion;  /* how many come next; 0: nothing is left to decide */
	bool taken_over; /* runs of the former daemon are in hand */
	bool asked;      /* runs that were asked for wait in the store */
	bool put_off;    /* a run could not go on yet */
	bool looks;      /* it is time to look for runs that others left */
	struct live_backfill *backfills;
	struct alerting *alerting; /* NULL: none, or another process does it */
	int alert_fd;              /* that on_alert waits for */
	bool alerts_due;           /* something may be to be told */
	struct daemon_sla *sla;
	struct daemon_datasets *datasets;
	void *server;
	char *folder_error;
	const struct config *settings; /* weir.yaml for the folder, as it was last good */
	struct config *own_settings;   /* the same, unless it is that of daemon_config */
	char *settings_path, *settings_error;
	struct file_stamp settings_stamp;
	struct err trouble; /* with the store; code ERR_NONE: it is well */
	int64_t started_us;
	int64_t retry_us;           /* monotonic; 0: the store is well */
	int64_t chores_us, look_us; /* with the test's clock: when they are due */
	int nsignals;
	bool stopping, done, failed;
	struct err err;
};

#define CHORES_US US_PER_MINUTE
#define say(d, level, msg, ...) daemon_log(&(d)->log, level, msg, LOG_PAIRS(__VA_ARGS__))

/* run/daemon.c: do all that can be done now; called after each event. */
void daemon_turn(struct daemon *d);
void daemon_fail(struct daemon *d, const struct err *err);

/* run/daemon_dags.c */
int daemon_dags_init(struct daemon *d, struct err *err);
void daemon_dags_release(struct daemon *d);
int daemon_scan(struct daemon *d, struct err *err);
struct steered *daemon_steer(
	struct daemon *d, const char *name);                  /* made when new; NULL: no memory */
void daemon_switched(struct daemon *d, const char *dag);      /* its switches, or "*" */
void daemon_hold_run(struct daemon *d, struct active_run *r); /* as the switches say */

/* run/daemon_runs.c */
/* What is due becomes runs, and these come into motion: a portion at each call, so that the first
 * need not wait for the last, nor the loop for all. */
int daemon_plan(struct daemon *d, struct err *err);
int daemon_promote(struct daemon *d, struct err *err);
int daemon_promote_first(struct daemon *d, struct err *err); /* one; there must be one */
bool daemon_has_more(const struct daemon *d);                /* there are more portions */
struct run_key;
struct run_open;
/* A run of a DAG as the catalog has it, to be opened; strings live in `a`. */
struct run_open daemon_new_run(
	struct daemon *d, const struct catalog_dag *c, const struct run_key *key, struct arena *a);
int daemon_add_pending(struct daemon *d, const struct pending_run *p);
/* At the start: what the schedules have in motion already. */
int daemon_count_wanted(struct daemon *d, struct err *err);
int daemon_take_over(struct daemon *d, struct err *err); /* wanted runs of the store */
int daemon_take_left(struct daemon *d, struct err *err); /* runs whose owner is gone */
void daemon_run_idle(struct daemon *d, struct active_run *r);
/* What people ask of runs in hand, and the DAG as a run began with it: ops->hand,
 * ops->load_version. */
extern const struct ops_hand daemon_hand;
struct dag *daemon_load_version(void *arg, const struct run_row *row, struct err *err);
void daemon_forget_run(struct daemon *d, struct active_run *r);

/* run/daemon_backfill.c */
int daemon_backfills_init(struct daemon *d, struct err *err);
void daemon_backfills_release(struct daemon *d);
int daemon_backfills_feed(struct daemon *d, struct err *err); /* runs while there is room */
void daemon_backfill_changed(struct daemon *d, int64_t id);
struct live_backfill *daemon_backfill(struct daemon *d, int64_t id);

/* run/daemon_sla.c: deadlines, and what is missed (run/daemon_sla.h) */
struct run_row;
int daemon_sla_init(struct daemon *d, struct err *err);
void daemon_sla_release(struct daemon *d);
void daemon_sla_set(struct daemon *d, const struct catalog_dag *c); /* new or changed */
void daemon_sla_remove(struct daemon *d, const char *name);
/* Judge what is due, once all that is due is planned. */
int daemon_sla_judge(struct daemon *d, struct err *err);
bool daemon_sla_has_more(const struct daemon *d);
int64_t daemon_sla_wake_us(const struct daemon *d);
/* At the start, once the folder is read: runs without a schedule that failed before. */
int daemon_sla_watch_former(struct daemon *d, struct err *err);
void daemon_sla_taken(struct daemon *d, struct active_run *r, const struct run_row *row);
void daemon_sla_began(struct daemon *d, struct active_run *r, const struct change *c);
void daemon_sla_changed(struct daemon *d, struct active_run *r, const struct change *c);
void daemon_sla_passed(struct daemon *d, const struct planner_decision *dec);
void daemon_fresh_updated(struct daemon *d, const char *dataset);
void daemon_sla_recheck(struct daemon *d); /* look at the store for what others did */

/* run/daemon_settings.c */
/* weir.yaml for the folder, read anew where it has changed: who is told, the heartbeat, what is
 * kept for how long. One that cannot be read leaves all as it was, and is shown. True: it is
 * another one now. */
bool daemon_settings_look(struct daemon *d);
void daemon_settings_release(struct daemon *d);
/* run/daemon_dataset.c: DAGs whose schedule waits for datasets */
int daemon_datasets_init(struct daemon *d, struct err *err);
void daemon_datasets_release(struct daemon *d);
void daemon_datasets_set(struct daemon *d, const struct catalog_dag *c); /* new or changed */
void daemon_datasets_remove(struct daemon *d, const char *name);
/* Something was updated, here or elsewhere. */
void daemon_datasets_changed(struct daemon *d, const struct active_run *r, const struct change *c);
void daemon_datasets_look(struct daemon *d);
/* What is due becomes runs. */
int daemon_datasets_plan(struct daemon *d, struct err *err);
bool daemon_datasets_has_more(const struct daemon *d);

/* run/daemon_watch.c */
int daemon_watch_init(struct daemon *d, struct err *err);
void daemon_watch_folders(struct daemon *d);
void daemon_watch_release(struct daemon *d);

/* run/daemon_chores.c */
bool daemon_has_chores(const struct daemon *d);
void daemon_chores_arm(struct daemon *d);
void daemon_chores(struct daemon *d);

/* run/daemon_alerts.c */
int daemon_alerts_init(struct daemon *d, struct err *err); /* forks: early */
int daemon_alerts_watch(struct daemon *d, struct err *err);
void daemon_alerts_set(struct daemon *d, const struct alerts *alerts); /* they are others now */
void daemon_alerts_turn(struct daemon *d); /* tell what is to be told, if anything is */
int64_t daemon_alerts_wake_us(const struct daemon *d);
void daemon_alerts_release(struct daemon *d);

/* run/notify.c: sd_notify(3), without its library; nothing happens where nobody listens. */
void notify_systemd(const char *state);
int64_t notify_watchdog_us(void); /* 0: none */

#endif
