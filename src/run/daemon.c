#include "run/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/near.h"
#include "base/units.h"
#include "conf/config.h"
#include "core/model.h"
#include "operators/operators.h"
#include "run/breakers.h"
#include "run/daemon_impl.h"
#include "run/name.h"
#include "run/paths.h"

#define RETRY_US US_PER_SECOND
#define LOOK_US (15 * US_PER_SECOND)
enum { LOCK_TRIES = 20, LOCK_TRY_MS = 25 };

/* ---- one daemon per WEIR_HOME --------------------------------------------------------- */

char *daemon_socket_path(const char *home)
{
	return io_path_join(home, "daemon.sock");
}

static char *lock_path(const char *home)
{
	return io_path_join(home, "daemon.lock");
}

static int read_pid(int fd)
{
	char text[32] = "";
	ssize_t n = pread(fd, text, sizeof text - 1, 0);

	return n > 0 ? (int)strtol(text, NULL, 10) : 0;
}

int daemon_pid(const char *home)
{
	char *path = lock_path(home);
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1, pid = 0;

	free(path);
	if (fd < 0)
		return 0;
	/* Who can lock it finds that nobody runs. */
	if (flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		pid = read_pid(fd);
	close(fd);
	return pid;
}

/* One that was killed a moment ago may still be about to let go of it. */
static int take_lock(int fd)
{
	for (int tries = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; tries++) {
		if (errno != EWOULDBLOCK || tries == LOCK_TRIES)
			return -1;
		nanosleep(&(struct timespec){ .tv_nsec = LOCK_TRY_MS * 1000000L }, NULL);
	}
	return 0;
}

static int lock_home(struct daemon *d, struct err *err)
{
	char *path = lock_path(d->config->home), text[32];

	if (!path)
		return err_nomem(err);
	d->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int rc = d->lock_fd < 0 ? err_errno(err, "%s", path) : 0;
	if (rc == 0 && take_lock(d->lock_fd) < 0)
		rc = errno == EWOULDBLOCK
			     ? err_set(err, ERR_REFUSED, "a daemon runs on %s already (pid %d)",
				       d->config->home, read_pid(d->lock_fd))
			     : err_errno(err, "%s: lock", path);
	int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
	if (rc == 0 &&
		(ftruncate(d->lock_fd, 0) < 0 || pwrite(d->lock_fd, text, (size_t)n, 0) != n))
		rc = err_errno(err, "%s", path);
	free(path);
	return rc;
}

/* ---- what the engine tells ------------------------------------------------------------ */

static void on_breaker(void *arg, const struct change *c)
{
	bool bad = c->breaker.to == BREAKER_OPEN;

	if (c->breaker.from == c->breaker.to)
		return;
	say((struct daemon *)arg, bad ? LEVEL_WARN : LEVEL_INFO, "breaker",
		{ "breaker", c->breaker.name }, { "from", breaker_state_name(c->breaker.from) },
		{ "to", breaker_state_name(c->breaker.to) }, { "reason", reason_name(c->reason) },
		{ "detail", c->detail });
}

static void on_change(void *arg, struct active_run *r, const struct change *c)
{
	struct daemon *d = arg;
	char try[16], label[RUN_LABEL_MAX];
	const char *task = c->task ? run_task_label(c->task, c->map_index, label) : NULL;

	daemon_sla_changed(d, r, c);
	daemon_datasets_changed(d, r, c);
	/* What ended makes room: the daemon looks at it once this step is done. */
	if (c->kind == CHANGE_END || c->kind == CHANGE_RUN)
		event_active(d->on_turn, 0, 0);
	if (c->kind == CHANGE_RUN) {
		bool bad = c->run.to == RUN_FAILED || c->run.to == RUN_CANCELLED;
		say(d, bad ? LEVEL_WARN : LEVEL_INFO, "run", { "run", r->name },
			{ "from", run_state_name(c->run.from) },
			{ "to", run_state_name(c->run.to) }, { "reason", reason_name(c->reason) });
	} else if (c->kind == CHANGE_TASK) {
		bool bad = c->state.to == TASK_FAILED || c->state.to == TASK_UP_FOR_RETRY;
		say(d, bad ? LEVEL_WARN : LEVEL_INFO, "task", { "run", r->name }, { "task", task },
			{ "from", task_state_name(c->state.from) },
			{ "to", task_state_name(c->state.to) },
			{ "reason", reason_name(c->reason) });
	} else if (c->kind == CHANGE_END && c->attempt.error) {
		snprintf(try, sizeof try, "%d", c->attempt.try);
		say(d, LEVEL_WARN, "attempt", { "run", r->name }, { "task", task }, { "try", try },
			{ "outcome", outcome_name(c->attempt.outcome) },
			{ "error", c->attempt.error });
	}
}

static void on_idle(void *arg, struct active_run *r)
{
	daemon_run_idle(arg, r);
}

static void set_trouble(struct daemon *d, const struct err *err)
{
	bool had = d->trouble.code != ERR_NONE;

	if (err && !had)
		say(d, LEVEL_ERROR, "cannot record; nothing starts until it can",
			{ "error", err->msg });
	else if (!err && had)
		say(d, LEVEL_INFO, "can record again; going on", { "error", NULL });
	if (err)
		d->trouble = *err;
	else
		err_clear(&d->trouble);
}

static void on_store_trouble(void *arg, const struct err *err)
{
	set_trouble(arg, err);
}

void daemon_fail(struct daemon *d, const struct err *err)
{
	if (!d->failed)
		d->err = *err;
	d->failed = true;
	event_base_loopbreak(d->engine.base);
}

static void on_broken(void *arg, const struct err *err)
{
	daemon_fail(arg, err);
}

static void on_replaced(void *arg, const struct err *why)
{
	struct daemon *d = arg;

	say(d, LEVEL_ERROR,
		"the supervisor died; another one was started, lost tasks are tried again",
		{ "error", why->msg });
}

static void on_lost(void *arg, struct active_run *r)
{
	struct daemon *d = arg;
	struct run_data *data = r->data;

	say(d, LEVEL_WARN, "the run has passed on to another owner", { "run", r->name });
	if (!data)
		return;
	data->dag->live--;
	if (data->scheduled) {
		data->dag->active--;
		planner_run_ended(d->planner, r->dag->name);
	}
	struct live_backfill *b = daemon_backfill(d, data->backfill_id);
	if (b)
		b->active--;
	free(data);
	r->data = NULL;
}

/* ---- a turn --------------------------------------------------------------------------- */

static bool store_fault(const struct err *err)
{
	return err->code == ERR_BUSY || err->code == ERR_STORE || err->code == ERR_IO;
}

/* The runs of a former daemon, those that people asked for, and those that somebody left. */
static int take_wanted(struct daemon *d, struct err *err)
{
	bool all = !d->taken_over;

	d->engine.wanted = false;
	if (!all && !d->asked)
		return 0;
	if ((all && daemon_backfills_init(d, err) < 0) || daemon_take_over(d, err) < 0 ||
		(all && daemon_sla_watch_former(d, err) < 0))
		return -1;
	d->taken_over = d->taken_over || all;
	d->asked = false;
	return 0;
}

static int take_left(struct daemon *d, struct err *err)
{
	if (!d->looks)
		return 0;
	d->looks = false;
	return daemon_take_left(d, err);
}

/* What is due becomes runs, and runs come into motion. -1: the store refuses; tried again later. */
static int make_runs(struct daemon *d, struct err *err)
{
	if (d->stopping)
		return 0;
	if (take_wanted(d, err) < 0 || take_left(d, err) < 0 || daemon_plan(d, err) < 0 ||
		daemon_datasets_plan(d, err) < 0 || daemon_backfills_feed(d, err) < 0 ||
		daemon_promote(d, err) < 0)
		return -1;
	return daemon_sla_judge(d, err);
}

static int64_t wake_us(const struct daemon *d)
{
	int64_t plan = planner_wake_us(d->planner), sla = daemon_sla_wake_us(d);

	return plan < sla ? plan : sla;
}

/* With the test's clock: how far the engine may go by itself. */
static int64_t limit_us(const struct daemon *d)
{
	int64_t wake = wake_us(d), until = d->config->until_us;

	return until && until < wake ? until : wake;
}

static void arm_clock(struct daemon *d)
{
	const struct timeval retry = { .tv_sec = RETRY_US / US_PER_SECOND };
	int64_t wake = d->stopping || d->retry_us ? INT64_MAX : wake_us(d);

	if (d->retry_us)
		event_add(d->on_turn, &retry);
	/* By way of the loop: what is ready there comes in between. */
	else if (daemon_has_more(d) || (!d->stopping && daemon_sla_has_more(d)) ||
		 daemon_datasets_has_more(d))
		event_add(d->on_turn, &(struct timeval){ 0 });
	/* Its timers are warped to. */
	if (clock_is_fake())
		return;
	/* Zero would disarm it. */
	if (wake != INT64_MAX && wake < 1)
		wake = 1;
	const struct itimerspec at = {
		.it_value = { .tv_sec = wake == INT64_MAX ? 0 : wake / US_PER_SECOND,
			.tv_nsec = wake == INT64_MAX ? 0 : wake % US_PER_SECOND * 1000 }
	};
	/* Set by the clock on the wall, and told when that is set: no jump is slept through. */
	timerfd_settime(d->timer_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &at, NULL);
}

/* With the test's clock, time passes only where nothing else can happen. */
static bool warp(struct daemon *d)
{
	int64_t wake = wake_us(d), retry = sched_wake_us(d->engine.sched);
	int64_t alert = daemon_alerts_wake_us(d);

	if (!clock_is_fake() || sched_running(d->engine.sched) > 0 ||
		sched_looking(d->engine.sched) > 0 || d->stopping || d->engine.wanted ||
		daemon_has_more(d) || (d->alerting && alerting_is_busy(d->alerting)))
		return false;
	if (retry < wake)
		wake = retry;
	if (alert < wake)
		wake = alert;
	if (d->config->until_us && wake > d->config->until_us) {
		d->stopping = true;
		return false;
	}
	if (wake == INT64_MAX)
		return false;
	clock_warp(wake);
	return true;
}

/* What has just been done about an SLA is kept before time passes. */
static bool has_to_keep(const struct daemon *d)
{
	return clock_is_fake() && !d->stopping && !daemon_has_more(d) &&
	       (daemon_sla_has_more(d) || daemon_datasets_has_more(d));
}

static void end_when_done(struct daemon *d)
{
	if (d->stopping && (!d->config->stop_tasks || sched_running(d->engine.sched) == 0)) {
		d->done = true;
		event_base_loopbreak(d->engine.base);
	}
}

/* False: the store refuses, or all is lost. */
static bool try_to_make_runs(struct daemon *d)
{
	struct err err = { 0 };

	/* Each try may wait for a lock: there is time for requests between two. */
	if (d->retry_us && !clock_is_fake() && clock_mono_us() < d->retry_us)
		return false;
	d->retry_us = 0;
	if (make_runs(d, &err) == 0) {
		if (d->trouble.code != ERR_NONE && !d->engine.retry_us)
			set_trouble(d, NULL);
		return true;
	}
	if (store_fault(&err)) {
		set_trouble(d, &err);
		d->retry_us = clock_mono_us() + RETRY_US;
	} else {
		daemon_fail(d, &err);
	}
	return false;
}

/* Runs whose owner is gone, and what is left of former supervisors. */
static void look(struct daemon *d)
{
	d->looks = d->alerts_due = true;
	daemon_sla_recheck(d);
	daemon_datasets_look(d);
	d->asked = d->asked || d->put_off;
	d->put_off = false;
	if (d->npending == 0)
		former_tidy(&d->engine, true);
}

static void do_fake_chores(struct daemon *d)
{
	if (!clock_is_fake())
		return;
	if (clock_now_us() >= d->chores_us) {
		daemon_chores(d);
		d->chores_us = clock_now_us() + CHORES_US;
	}
	if (clock_now_us() >= d->look_us) {
		look(d);
		d->look_us = clock_now_us() + LOOK_US;
	}
}

void daemon_turn(struct daemon *d)
{
	if (d->failed || d->done)
		return;
	do {
		d->engine.limit_us = limit_us(d);
		try_to_make_runs(d);
		if (!d->failed)
			engine_step(&d->engine);
		daemon_alerts_turn(d);
		do_fake_chores(d);
	} while (!d->failed && !d->retry_us && (has_to_keep(d) || warp(d)));
	if (d->engine.formers.untidy && d->taken_over && d->npending == 0)
		former_tidy(&d->engine, false);
	/* What ended made room, or a backfill complete. */
	if (!d->failed && try_to_make_runs(d))
		engine_step(&d->engine);
	if (d->failed)
		return;
	daemon_alerts_turn(d);
	arm_clock(d);
	end_when_done(d);
}

/* ---- events --------------------------------------------------------------------------- */

static void on_clock(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;
	uint64_t n;

	(void)what;
	if (read(fd, &n, sizeof n) < 0 && errno == ECANCELED)
		say(d, LEVEL_WARN, "the clock was set; looking at the schedules anew",
			{ "error", NULL });
	daemon_turn(d);
}

static void stop(struct daemon *d, bool hard)
{
	d->stopping = true;
	notify_systemd("STOPPING=1");
	if (d->config->stop_tasks)
		engine_halt(&d->engine, hard);
	daemon_turn(d);
}

static void on_stop(evutil_socket_t sig, short what, void *arg)
{
	struct daemon *d = arg;

	(void)what;
	d->nsignals++;
	say(d, LEVEL_INFO, "stopping", { "signal", sig == SIGTERM ? "TERM" : "INT" },
		{ "tasks", d->config->stop_tasks ? "are stopped" : "go on under the supervisor" });
	stop(d, d->nsignals > 1);
}

static void on_hup(evutil_socket_t sig, short what, void *arg)
{
	struct daemon *d = arg;
	struct err err = { 0 };

	(void)sig;
	(void)what;
	say(d, LEVEL_INFO, "reloading", { "signal", "HUP" });
	daemon_scan(d, &err);
	daemon_turn(d);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	daemon_turn(arg);
}

/* Old runs and logs go a few at a time, so that it is never felt. */
static void on_chores(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	daemon_chores(arg);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	look(arg);
	daemon_turn(arg);
}

static int watch_events(struct daemon *d, struct err *err)
{
	struct event_base *base = d->engine.base;
	const struct timeval looks = { .tv_sec = LOOK_US / US_PER_SECOND };

	d->timer_fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (d->timer_fd < 0)
		return err_errno(err, "timerfd");
	d->on_term = evsignal_new(base, SIGTERM, on_stop, d);
	d->on_int = evsignal_new(base, SIGINT, on_stop, d);
	d->on_hup = evsignal_new(base, SIGHUP, on_hup, d);
	d->on_clock = event_new(base, d->timer_fd, EV_READ | EV_PERSIST, on_clock, d);
	d->on_chores = event_new(base, -1, EV_PERSIST, on_chores, d);
	d->on_look = event_new(base, -1, EV_PERSIST, on_look, d);
	d->on_turn = event_new(base, -1, 0, on_turn, d);
	if (!d->on_term || !d->on_int || !d->on_hup || !d->on_clock || !d->on_chores ||
		!d->on_look || !d->on_turn)
		return err_nomem(err);
	if (event_add(d->on_term, NULL) < 0 || event_add(d->on_int, NULL) < 0 ||
		event_add(d->on_hup, NULL) < 0 || event_add(d->on_clock, NULL) < 0)
		return err_set(err, ERR_IO, "cannot watch for signals");
	daemon_chores_arm(d);
	if (!clock_is_fake())
		event_add(d->on_look, &looks);
	if (daemon_alerts_watch(d, err) < 0)
		return -1;
	return daemon_watch_init(d, err);
}

/* ---- operations ----------------------------------------------------------------------- */

static int no_dag(const struct daemon *d, const char *name, struct err *err)
{
	const char **names = calloc(catalog_count(d->catalog) + 1, sizeof *names);
	size_t n = 0;

	if (!names)
		return err_nomem(err);
	for (const struct catalog_dag *c = NULL; (c = catalog_next(d->catalog, c));)
		names[n++] = c->name;
	const char *near = near_find(name, names, n);
	free(names);
	return err_set(err, ERR_NOT_FOUND, "there is no DAG \"%.128s\" in %s%s%s%s", name,
		catalog_folder(d->catalog), near ? "; did you mean \"" : "", near ? near : "",
		near ? "\"?" : "");
}

static struct dag *find_dag(void *arg, const char *name, struct err *err)
{
	struct daemon *d = arg;
	const struct catalog_dag *c = catalog_find(d->catalog, name);
	const struct config *config;

	if (c)
		return catalog_load(d->catalog, c, &config, err);
	const struct catalog_dag *broken = catalog_find_broken(d->catalog, name);
	if (broken)
		err_set(err, ERR_INVALID, "%s cannot be loaded; weir status shows why",
			broken->path);
	else
		no_dag(d, name, err);
	return NULL;
}

static void breaker_set(void *arg, const char *name, const char *text)
{
	struct daemon *d = arg;

	/* Without memory the scheduler says so with its next tick. */
	sched_load_breaker(d->engine.sched, name, text, clock_now_us());
	daemon_turn(d);
}

static void each_breaker(void *arg, void (*fn)(void *ctx, const struct sched_breaker *b), void *ctx)
{
	struct daemon *d = arg;

	sched_each_breaker(d->engine.sched, fn, ctx);
}

static json_t *held_by(void *arg, const char *breaker)
{
	struct daemon *d = arg;

	return breakers_held_by(d->engine.sched, d->engine.runs, breaker);
}

static const struct alerts *alerts_of(void *arg)
{
	const struct daemon *d = arg;

	return d->engine.config.alerts;
}

static void route_breaker(void *arg, const char *name, struct arena *a, struct incident_put *put)
{
	struct daemon *d = arg;

	breakers_route(&d->engine, name, a, put);
}

static void on_ops(void *arg, enum ops_event what, const char *dag, int64_t id)
{
	struct daemon *d = arg;

	if (what == OPS_SWITCHED)
		daemon_switched(d, dag ? dag : "*");
	else if (what == OPS_BACKFILL)
		daemon_backfill_changed(d, id);
	else if (what == OPS_INCIDENT)
		d->alerts_due = true;
	else if (what == OPS_DATASET)
		daemon_datasets_look(d);
	else
		d->asked = true;
	daemon_turn(d);
}

static void on_note(void *arg, const struct ops_note *n)
{
	struct daemon *d = arg;
	char number[32];

	snprintf(number, sizeof number, "%lld", (long long)n->backfill);
	say(d, LEVEL_INFO, "asked", { "for", n->what }, { "backfill", n->backfill ? number : NULL },
		{ "dag", n->dag }, { "task", n->task }, { "run", n->run },
		{ "breaker", n->breaker }, { "dataset", n->dataset }, { "by", n->by },
		{ "reason", n->reason });
}

const char *daemon_home(const struct daemon *d)
{
	return d->config->home;
}

const struct ops *daemon_ops(struct daemon *d)
{
	return &d->ops;
}

int daemon_reload(struct daemon *d, json_t **ret, struct err *err)
{
	int changed = daemon_scan(d, err);
	int errors = d->settings_error != NULL;

	if (changed < 0)
		return -1;
	for (struct catalog_dag *c = NULL; (c = catalog_next_file(d->catalog, c));)
		errors += c->error != NULL;
	daemon_turn(d);
	*ret = json_pack("{s:i, s:i, s:i, s:o}", "dags", (int)catalog_count(d->catalog), "changed",
		changed, "errors", errors, "settings_error",
		d->settings_error ? json_string(d->settings_error) : json_null());
	return *ret ? 0 : err_nomem(err);
}

/* ---- runs that tasks want ---------------------------------------------------------------- */

/* The engine is in the middle of a step: the run is taken in the next turn. */
static void on_child(void *arg, enum ops_event what, const char *dag, int64_t id)
{
	struct daemon *d = arg;

	(void)what;
	(void)dag;
	(void)id;
	d->asked = d->engine.wanted = true;
	event_active(d->on_turn, 0, 0);
}

static int make_child(void *arg, const struct child_run *c, struct err *err)
{
	struct daemon *d = arg;
	struct ops o = d->ops;
	int64_t run_id;

	o.changed = on_child;
	return ops_child(&o, c, &run_id, err);
}

/* ---- the whole ------------------------------------------------------------------------ */

static int init_executors(struct daemon *d, struct err *err)
{
	char *dir = paths_journal_dir(d->config->home), file[64];
	const struct exec_local_provider_config config = {
		.home = d->config->home, .dir = dir, .file = file, .run_operator = operator_main
	};

	snprintf(file, sizeof file, "daemon.%d-%lld", (int)getpid(), (long long)clock_now_us());
	int rc = dir ? exec_local_provider_init(&d->provider, &config, &d->executors, err)
		     : err_nomem(err);
	free(dir);
	return rc;
}

static int begin(struct daemon *d, struct err *err)
{
	const struct engine_config config = { .home = d->config->home,
		.executors = &d->executors,
		.max_running = d->config->jobs,
		.max_looks = d->config->looks,
		.alerts = config_alerts(d->settings),
		.maker = { d, make_child },
		.listener = { .arg = d,
			.change = on_change,
			.breaker = on_breaker,
			.idle = on_idle,
			.store_trouble = on_store_trouble,
			.broken = on_broken,
			.lost = on_lost,
			.replaced = on_replaced } };

	if (engine_init(&d->engine, &config, err) < 0 || daemon_alerts_init(d, err) < 0)
		return -1;
	d->ops = (struct ops){ .store = d->engine.store,
		.find_dag = find_dag,
		.load_version = daemon_load_version,
		.hand = &daemon_hand,
		.each_breaker = each_breaker,
		.breaker_set = breaker_set,
		.held_by = held_by,
		.arg = d,
		.changed = on_ops,
		.note = on_note,
		.alerts = alerts_of,
		.route_breaker = route_breaker,
		.by = "daemon" };
	if (daemon_dags_init(d, err) < 0 || daemon_count_wanted(d, err) < 0 ||
		watch_events(d, err) < 0)
		return -1;
	former_tidy(&d->engine, true);
	/* A folder that cannot be read now is shown in status, and may come. */
	daemon_scan(d, err);
	if (d->config->serve && d->config->serve(d, d->engine.base, &d->server, err) < 0)
		return -1;
	return 0;
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	notify_systemd("WATCHDOG=1");
}

static int loop(struct daemon *d, struct err *err)
{
	int64_t watchdog = notify_watchdog_us() / 2;
	const struct timeval tv = { .tv_sec = watchdog / US_PER_SECOND,
		.tv_usec = watchdog % US_PER_SECOND };
	struct event *alive = event_new(d->engine.base, -1, EV_PERSIST, on_watchdog, d);

	if (alive && watchdog > 0)
		event_add(alive, &tv);
	say(d, LEVEL_INFO, "ready", { "folder", catalog_folder(d->catalog) },
		{ "home", d->config->home });
	notify_systemd("READY=1");
	daemon_turn(d);
	while (!d->failed && !d->done)
		if (event_base_loop(d->engine.base, EVLOOP_ONCE) < 0) {
			err_set(err, ERR_IO, "the event loop failed");
			break;
		}
	if (alive)
		event_free(alive);
	if (d->failed)
		*err = d->err;
	return d->done ? 0 : -1;
}

static void release(struct daemon *d)
{
	struct active_run *r, *next;

	if (d->server)
		d->config->unserve(d->server);
	engine_free_event(d->on_term);
	engine_free_event(d->on_int);
	engine_free_event(d->on_hup);
	engine_free_event(d->on_clock);
	engine_free_event(d->on_chores);
	engine_free_event(d->on_look);
	engine_free_event(d->on_turn);
	daemon_alerts_release(d);
	daemon_watch_release(d);
	daemon_backfills_release(d);
	HASH_ITER (hh, d->engine.runs, r, next) {
		free(r->data);
		r->data = NULL;
	}
	for (size_t i = 0; i < d->npending; i++) {
		const struct pending_run *p = &d->pending[d->pending_head + i];
		store_run_close(d->engine.store, p->run_id, p->epoch, NULL);
	}
	engine_release(&d->engine);
	daemon_dags_release(d);
	daemon_settings_release(d);
	free(d->pending);
	exec_local_provider_release(&d->provider);
	if (d->timer_fd >= 0)
		close(d->timer_fd);
	if (d->lock_fd >= 0)
		close(d->lock_fd);
}

int daemon_run(const struct daemon_config *config, struct err *err)
{
	struct daemon d = { .config = config,
		.settings = config->settings,
		.lock_fd = -1,
		.looks = true,
		.timer_fd = -1,
		.watch_fd = -1,
		.started_us = clock_now_us(),
		.log = { .out = config->log,
			.json = config->log_format == LOG_JSON,
			.least = config->verbose ? LEVEL_DEBUG : LEVEL_INFO } };

	int rc = paths_make_home(config->home, err);
	if (rc == 0)
		rc = lock_home(&d, err);
	if (rc == 0)
		rc = init_executors(&d, err);
	if (rc == 0)
		rc = begin(&d, err);
	if (rc == 0)
		rc = loop(&d, err);
	if (rc == 0)
		say(&d, LEVEL_INFO, "stopped", { "error", NULL });
	release(&d);
	return rc;
}
