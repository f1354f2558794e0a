/* The daemon: runs a folder of DAGs on their schedules, for months.
 *
 * One thread, one loop: ends of attempts and timers (run/engine.h), ticks of the planner
 * (core/planner.h), the folder (run/catalog.h, inotify), and what people ask (run/ops.h, over a
 * unix socket). It sleeps until one of them has something.
 */
#ifndef WEIR_RUN_DAEMON_H
#define WEIR_RUN_DAEMON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "run/catalog.h"
#include "run/ops.h"

struct config;
struct daemon;
struct err;
struct event_base;

enum log_format { LOG_TEXT, LOG_JSON, LOG_FORMAT_MAX };

struct daemon_config {
	const char *home;   /* WEIR_HOME, absolute */
	const char *folder; /* of the DAGs */
	struct catalog_env catalog;
	int jobs;  /* attempts at once, backfills apart */
	int looks; /* for what tasks wait for, at once; 0: the default */
	enum log_format log_format;
	bool verbose; /* debug lines, too */
	FILE *log;
	/* weir.yaml for the folder of the DAGs, as it was when the daemon began; borrowed. It is
	 * read anew with the folder. */
	const struct config *settings;
	bool stop_tasks;  /* at the end tasks are stopped; else they go on under the supervisor */
	int64_t until_us; /* tests with a fake clock: stop when it is reached and nothing runs; 0:
			     never */
	/* Serve the API; called once the daemon is ready. NULL: nobody can ask it anything. Returns
	 * what daemon_unserve gets. */
	int (*serve)(struct daemon *d, struct event_base *base, void **ret_server, struct err *err);
	void (*unserve)(void *server);
};

/* Run until TERM or INT. 0: a clean end. ERR_REFUSED when a daemon runs on this WEIR_HOME, naming
 * its pid. Forks the supervisor: call it before the program has threads. */
int daemon_run(const struct daemon_config *config, struct err *err);

/* For the API. */
const struct ops *daemon_ops(struct daemon *d);
int daemon_reload(struct daemon *d, json_t **ret, struct err *err);
const char *daemon_home(const struct daemon *d);
json_t *daemon_status(struct daemon *d); /* new reference */
/* What the daemon alone knows of a DAG, a run and a task of it; each may be NULL. New reference. */
json_t *daemon_live(struct daemon *d, const char *dag, const char *run, const char *task);
char *daemon_socket_path(const char *home);
/* The pid of the daemon on this WEIR_HOME; 0: none runs. */
int daemon_pid(const char *home);

#endif
