#include "cli/overview.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/units.h"
#include "cli/grid.h"
#include "cli/json.h"
#include "cli/remote.h"
#include "cli/term.h"
#include "cli/when.h"
#include "http/client.h"
#include "run/daemon.h"
#include "run/ops_call.h"

enum { ANSWER_MS = 5000, ERROR_LINES = 3, TIME_SIZE = 64 };

/* ---- asking ------------------------------------------------------------------------------ */

/* Take a list out of an answer. */
static json_t *take_list(json_t *from, const char *key)
{
	json_t *list = json_incref(json_object_get(from, key));

	json_object_del(from, key);
	return list ? list : json_array();
}

static int ask_daemon(struct overview *o, const char *socket_path, struct err *err)
{
	const struct http_call c = { .socket_path = socket_path,
		.method = "GET",
		.path = "/v1/status",
		.timeout_ms = ANSWER_MS };
	int status;

	if (http_call(&c, &status, &o->daemon, err) < 0)
		return -1;
	o->schedules = take_list(o->daemon, "dags");
	return 0;
}

/* What a DAG has that the store knows nothing of. */
static json_t *unknown_row(void)
{
	static const char *const nulls[] = { "version", "paused_by", "paused_reason", "paused_at",
		"draining_by", "draining_reason", "draining_at", "last" };
	json_t *o = json_pack("{s:b, s:b, s:[]}", "present", 1, "all_paused", 0, "frozen");

	for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++)
		json_object_set_new(o, nulls[i], json_null());
	return o;
}

/* Add what the store knows of each DAG (who switched what, and why) to what the daemon says. */
static void join(json_t *schedules, const json_t *rows)
{
	json_t *by_name = json_object(), *unknown = unknown_row(), *row, *dag;
	size_t i;

	json_array_foreach(rows, i, row) json_object_set(by_name, cli_get_text(row, "dag"), row);
	json_array_foreach(schedules, i, dag)
	{
		const char *name = cli_get_text(dag, "dag");
		row = name ? json_object_get(by_name, name) : NULL;
		json_object_update_missing(dag, row ? row : unknown);
	}
	json_decref(by_name);
	json_decref(unknown);
}

/* The DAGs of the store, even where a daemon runs: it has other things to do. */
static int ask_store(struct overview *o, const struct remote *asked, struct err *err)
{
	struct remote r;
	json_t *answer = NULL;

	if (remote_open(&r, asked->args, REMOTE_READS, err) < 0)
		return -1;
	r.daemon = false;
	int rc = remote_call(&r, OPS_CALL_DAGS, &(struct ops_target){ 0 }, NULL, &answer, err);
	if (o->schedules)
		join(o->schedules, json_object_get(answer, "dags"));
	else if (rc == 0)
		o->schedules = take_list(answer, "dags");
	json_decref(answer);
	remote_close(&r);
	return rc;
}

static int ask_backfills(struct overview *o, struct remote *r, struct err *err)
{
	json_t *answer = NULL, *b;
	size_t i;

	if (remote_call(r, OPS_CALL_BACKFILLS, &(struct ops_target){ 0 }, NULL, &answer, err) < 0)
		return -1;
	o->backfills = json_array();
	json_array_foreach(json_object_get(answer, "backfills"), i, b)
	{
		const char *state = cli_get_text(b, "state");
		if (state && (strcmp(state, "running") == 0 || strcmp(state, "paused") == 0))
			json_array_append(o->backfills, b);
	}
	json_decref(answer);
	return 0;
}

/* Where the state belongs to someone else, that is the trouble, and who can look. */
static void say_owner(const char *home, struct err *trouble)
{
	char name[64];
	struct stat st;

	if (!trouble->code || access(home, R_OK | W_OK | X_OK) == 0 || errno != EACCES ||
		stat(home, &st) < 0 || st.st_uid == geteuid())
		return;
	const struct passwd *owner = getpwuid(st.st_uid);
	if (owner)
		snprintf(name, sizeof name, "%s", owner->pw_name);
	else
		snprintf(name, sizeof name, "#%u", (unsigned)st.st_uid);
	err_set(trouble, ERR_REFUSED, "%s belongs to %s: sudo -u %s WEIR_HOME=%s weir status", home,
		name, name, home);
}

int overview_open(struct overview *o, const struct args *args, struct err *err)
{
	struct remote r;
	struct err why = { 0 };
	int rc = -1;

	*o = (struct overview){ .now_us = clock_now_us() };
	if (remote_open(&r, args, REMOTE_READS, err) < 0)
		goto out;
	rc = 0;
	o->home = strdup(r.home);
	if (r.daemon && ask_daemon(o, r.socket_path, &o->trouble) < 0)
		r.daemon = false;
	if (!o->daemon)
		o->pid = daemon_pid(r.home);
	/* That there is no store yet is no trouble. */
	if (ask_store(o, &r, &why) == 0 && ask_backfills(o, &r, &why) == 0)
		err_clear(&why);
	if (!o->trouble.code)
		o->trouble = why;
	say_owner(r.home, &o->trouble);
out:
	remote_close(&r);
	return rc;
}

void overview_release(struct overview *o)
{
	json_decref(o->daemon);
	json_decref(o->schedules);
	json_decref(o->backfills);
	free(o->home);
}

static json_t *list_or_empty(json_t *list)
{
	return list ? json_incref(list) : json_array();
}

void overview_add_json(const struct overview *o, json_t *into)
{
	json_object_set_new(into, "daemon", o->daemon ? json_incref(o->daemon) : json_null());
	json_object_set_new(
		into, "trouble", o->trouble.code ? json_string(o->trouble.msg) : json_null());
	json_object_set_new(into, "schedules", list_or_empty(o->schedules));
	json_object_set_new(into, "backfills", list_or_empty(o->backfills));
}

/* ---- the daemon -------------------------------------------------------------------------- */

static int64_t instant_of(const char *text)
{
	struct civil_text t;

	return text && civil_parse(text, &t, NULL) == 0 ? civil_text_us(&t) : 0;
}

static const char *plural(long long n)
{
	return n == 1 ? "" : "s";
}

/* One line: a label in its style, and a text of one line. */
static void add_line(struct buf *out, const struct term *t, enum style style, const char *label,
	const char *text)
{
	buf_addf(out, "%s%s%s: ", style_on(style, t->colour), label, style_off(style, t->colour));
	text_add(out, text, -1);
	buf_addc(out, '\n');
}

static void add_daemon(const struct overview *o, const struct term *t, struct buf *out)
{
	const json_t *d = o->daemon;
	int64_t started = instant_of(cli_get_text(d, "started"));
	char since[WHEN_SIZE], ago[WHEN_SIZE];
	long long ndags = (long long)json_array_size(o->schedules),
		  running = cli_get_int(d, "running"),
		  nruns = (long long)json_array_size(json_object_get(d, "runs")) +
			  cli_get_int(d, "queued_runs");
	struct buf line;

	buf_init(&line, BUF_MAX_TEXT);
	buf_addf(&line, "pid %lld, since %s (%s), %s: %lld DAG%s", cli_get_int(d, "pid"),
		when_local(started, since), when_ago(started, o->now_us, ago),
		cli_get_text(d, "folder"), ndags, plural(ndags));
	buf_addf(&line, ", %lld run%s in hand, %lld task%s running", nruns, plural(nruns), running,
		plural(running));
	if (cli_get_flag(d, "taking_over"))
		buf_addstr(&line, "; it is taking over the runs of a former daemon");
	if (cli_get_flag(d, "stopping"))
		buf_addstr(&line, "; it is stopping");
	add_line(out, t, STYLE_GOOD, "daemon", line.data);
	buf_release(&line);
}

static void add_no_daemon(const struct overview *o, const struct term *t, struct buf *out)
{
	char text[128];

	if (o->pid) {
		snprintf(text, sizeof text,
			"pid %d does not answer; it may be starting or stopping", o->pid);
		add_line(out, t, STYLE_BAD, "daemon", text);
	} else {
		buf_addf(out, "%sNo daemon is running on %s.%s\n", style_on(STYLE_DIM, t->colour),
			o->home ? o->home : "?", style_off(STYLE_DIM, t->colour));
		if (o->home)
			remote_add_hint(o->home, out);
	}
}

/* ---- what is wrong ----------------------------------------------------------------------- */

/* The first lines of an error, below its file. */
static void add_error_text(struct buf *out, const char *text)
{
	for (int i = 0; i < ERROR_LINES && *text; i++) {
		size_t n = strcspn(text, "\n");
		char line[512];
		snprintf(line, sizeof line, "%.*s", (int)(n < 500 ? n : 500), text);
		buf_addstr(out, "  ");
		text_add(out, line, -1);
		buf_addc(out, '\n');
		text += n + (text[n] == '\n');
	}
}

static void add_file_error(
	const struct overview *o, const struct term *t, const json_t *dag, struct buf *out)
{
	const char *error = cli_get_text(dag, "error"), *params = cli_get_text(dag, "params_error"),
		   *path = cli_get_text(dag, "path");
	struct buf line;

	if (!error && !params)
		return;
	buf_init(&line, BUF_MAX_TEXT);
	buf_addf(&line, "%s ", path ? io_path_base(path) : cli_get_text(dag, "dag"));
	if (!error)
		buf_addstr(&line, "cannot be scheduled: a run of it needs params");
	else if (!o->daemon)
		buf_addstr(&line, "cannot be loaded");
	else if (cli_get_text(dag, "dag"))
		buf_addstr(&line, "cannot be loaded; its last good version is used");
	else
		buf_addstr(&line, "cannot be loaded: NOT scheduled until it is mended");
	add_line(out, t, STYLE_BAD, "file", line.data);
	add_error_text(out, error ? error : params);
	buf_release(&line);
}

static void add_problems(const struct overview *o, const struct term *t, struct buf *out)
{
	const char *store = cli_get_text(o->daemon, "store_error"),
		   *folder = cli_get_text(o->daemon, "folder_error"),
		   *settings = cli_get_text(o->daemon, "settings_error");
	json_t *dag;
	size_t i;

	if (o->trouble.code)
		add_line(out, t, STYLE_BAD, "trouble", o->trouble.msg);
	if (store)
		add_line(out, t, STYLE_BAD, "store", store);
	if (folder)
		add_line(out, t, STYLE_BAD, "folder", folder);
	if (settings) {
		add_line(out, t, STYLE_BAD, "settings",
			"weir.yaml cannot be used; what it said before still holds");
		add_error_text(out, settings);
	}
	json_array_foreach(o->schedules, i, dag) add_file_error(o, t, dag, out);
}

/* ---- what is held ------------------------------------------------------------------------ */

static const struct grid_column held_columns[] = {
	{ "HELD", GRID_FLEX },
	{ "HOW", 0 },
	{ "SINCE", 0 },
	{ "BY", 0 },
	{ "WHY", GRID_FLEX },
};

struct held {
	const char *dag, *task, *how, *at, *by, *why;
};

static void add_held(struct grid *g, const struct held *h, int64_t now_us)
{
	char ago[WHEN_SIZE];

	if (h->task)
		grid_addf(g, STYLE_BOLD, "%s.%s", h->dag, h->task);
	else
		grid_add(g, STYLE_BOLD, h->dag);
	grid_add(g, STYLE_WARN, h->how);
	grid_add(g, STYLE_NONE, when_ago(instant_of(h->at), now_us, ago));
	grid_add(g, STYLE_NONE, h->by);
	grid_add(g, STYLE_NONE, h->why);
}

static void add_held_dag(struct grid *g, const json_t *dag, int64_t now_us)
{
	const char *name = cli_get_text(dag, "dag");
	const json_t *frozen = json_object_get(dag, "frozen"), *f;
	size_t i;

	if (cli_get_flag(dag, "paused") && !cli_get_flag(dag, "all_paused"))
		add_held(g,
			&(struct held){ name, NULL, "paused", cli_get_text(dag, "paused_at"),
				cli_get_text(dag, "paused_by"),
				cli_get_text(dag, "paused_reason") },
			now_us);
	if (cli_get_flag(dag, "draining"))
		add_held(g,
			&(struct held){ name, NULL, "draining", cli_get_text(dag, "draining_at"),
				cli_get_text(dag, "draining_by"),
				cli_get_text(dag, "draining_reason") },
			now_us);
	json_array_foreach(frozen, i, f) add_held(g,
		&(struct held){ name, cli_get_text(f, "task"), "frozen", cli_get_text(f, "at"),
			cli_get_text(f, "by"), cli_get_text(f, "reason") },
		now_us);
}

static void add_all_held(const struct overview *o, const struct term *t, struct buf *out)
{
	struct grid g;
	const json_t *dag;
	size_t i;

	grid_init(&g, held_columns, sizeof held_columns / sizeof *held_columns);
	json_array_foreach(o->schedules, i, dag)
	{
		if (!cli_get_flag(dag, "all_paused"))
			continue;
		add_held(&g,
			&(struct held){ "all DAGs", NULL, "paused", cli_get_text(dag, "paused_at"),
				cli_get_text(dag, "paused_by"),
				cli_get_text(dag, "paused_reason") },
			o->now_us);
		break;
	}
	json_array_foreach(o->schedules, i, dag) add_held_dag(&g, dag, o->now_us);
	if (g.n) {
		buf_addc(out, '\n');
		grid_print(&g, t, 0, out);
	}
	grid_release(&g);
}

/* ---- backfills --------------------------------------------------------------------------- */

static const struct grid_column backfill_columns[] = {
	{ "BACKFILL", GRID_RIGHT },
	{ "DAG", GRID_FLEX },
	{ "STATE", 0 },
	{ "FROM", 0 },
	{ "TO", 0 },
	{ "DONE", 0 },
	{ "LEFT", GRID_RIGHT },
};

static void add_backfill(struct grid *g, const json_t *b)
{
	const char *state = cli_get_text(b, "state");
	long long failed = cli_get_int(b, "failed"), done = cli_get_int(b, "success"),
		  total = cli_get_int(b, "total");
	char left[TIME_SIZE] = "";

	if (json_is_integer(json_object_get(b, "eta_us")))
		units_format_elapsed(cli_get_int(b, "eta_us"), left, sizeof left);
	grid_addf(g, STYLE_NONE, "%lld", cli_get_int(b, "backfill"));
	grid_add(g, STYLE_BOLD, cli_get_text(b, "dag"));
	grid_add(g, strcmp(state, "running") == 0 ? STYLE_BUSY : STYLE_WARN, state);
	grid_addf(g, STYLE_NONE, "%.16s", cli_get_text(b, "from"));
	grid_addf(g, STYLE_NONE, "%.16s", cli_get_text(b, "to"));
	if (failed)
		grid_addf(g, STYLE_NONE, "%lld/%lld, %lld failed", done, total, failed);
	else
		grid_addf(g, STYLE_NONE, "%lld/%lld", done, total);
	grid_add(g, STYLE_NONE, left);
}

static void add_backfills(const struct overview *o, const struct term *t, struct buf *out)
{
	struct grid g;
	const json_t *b;
	size_t i;

	grid_init(&g, backfill_columns, sizeof backfill_columns / sizeof *backfill_columns);
	json_array_foreach(o->backfills, i, b) add_backfill(&g, b);
	if (g.n) {
		buf_addc(out, '\n');
		grid_print(&g, t, 0, out);
	}
	grid_release(&g);
}

/* Pools that tasks wait for. */
static void add_pools(const struct overview *o, const struct term *t, struct buf *out)
{
	json_t *pool;
	size_t i;

	json_array_foreach(json_object_get(o->daemon, "pools"), i, pool)
	{
		long long waiting = cli_get_int(pool, "waiting");
		if (waiting)
			buf_addf(out,
				"%sPool %s%s: %lld task%s wait%s, %lld of %lld slots are taken\n",
				style_on(STYLE_WARN, t->colour), cli_get_text(pool, "pool"),
				style_off(STYLE_WARN, t->colour), waiting, waiting == 1 ? "" : "s",
				waiting == 1 ? "s" : "", cli_get_int(pool, "used"),
				cli_get_int(pool, "slots"));
	}
}

/* Circuit breakers that are not closed, or still hold tasks. */
static void add_breakers(const struct overview *o, const struct term *t, struct buf *out)
{
	char when[WHEN_SIZE];
	json_t *b;
	size_t i;

	json_array_foreach(json_object_get(o->daemon, "breakers"), i, b)
	{
		const char *state = cli_get_text(b, "state");
		const char *until = cli_get_text(b, "until");
		long long held = cli_get_int(b, "held");
		buf_addf(out, "%sCircuit breaker %s%s: %s since %s, %lld task%s held",
			style_on(STYLE_WARN, t->colour), cli_get_text(b, "breaker"),
			style_off(STYLE_WARN, t->colour),
			strcmp(state, "half_open") == 0 ? "half-open" : state,
			when_ago(instant_of(cli_get_text(b, "since")), clock_now_us(), when), held,
			held == 1 ? "" : "s");
		if (until && instant_of(until) <= clock_now_us())
			buf_addstr(out, ", the next attempt is a probe");
		else if (until)
			buf_addf(out, ", next probe %s",
				when_ago(instant_of(until), clock_now_us(), when));
		else if (strcmp(state, "open") == 0)
			buf_addf(out, "; to close it: weir breaker close %s",
				cli_get_text(b, "breaker"));
		buf_addc(out, '\n');
	}
}

void overview_add_head(const struct overview *o, const struct term *t, struct buf *out)
{
	if (o->daemon)
		add_daemon(o, t, out);
	else
		add_no_daemon(o, t, out);
	add_problems(o, t, out);
	add_all_held(o, t, out);
	add_backfills(o, t, out);
	add_pools(o, t, out);
	add_breakers(o, t, out);
	buf_addc(out, '\n');
}

/* ---- what comes next --------------------------------------------------------------------- */

struct coming {
	const json_t *dag;
	int64_t at_us;
};

static int by_time(const void *a, const void *b)
{
	const struct coming *x = a, *y = b;

	if (x->at_us != y->at_us)
		return x->at_us < y->at_us ? -1 : 1;
	return strcmp(cli_get_text(x->dag, "dag"), cli_get_text(y->dag, "dag"));
}

/* Those of a schedule; owned. NULL when there is none, or no memory. */
static struct coming *all_coming(const struct overview *o, size_t *ret_n)
{
	struct coming *list = calloc(json_array_size(o->schedules) + 1, sizeof *list);
	const json_t *dag;
	size_t i, n = 0;

	json_array_foreach(o->schedules, i, dag)
	{
		const char *at = cli_get_text(json_object_get(dag, "next"), "run_after");
		if (list && at && cli_get_text(dag, "dag"))
			list[n++] = (struct coming){ dag, instant_of(at) };
	}
	if (list)
		qsort(list, n, sizeof *list, by_time);
	*ret_n = n;
	return list;
}

static const struct grid_column next_columns[] = {
	{ "DAG", GRID_FLEX },
	{ "NEXT RUN", 0 },
	{ "ZONE", 0 },
	{ "IN", 0 },
	{ "ACTIVE", GRID_RIGHT },
	{ "WAITING", GRID_RIGHT },
};

static void add_count(struct grid *g, long long n)
{
	if (n)
		grid_addf(g, STYLE_NONE, "%lld", n);
	else
		grid_add(g, STYLE_NONE, NULL);
}

static void add_coming(struct grid *g, const struct coming *c, int64_t now_us)
{
	const char *at = cli_get_text(json_object_get(c->dag, "next"), "run_after");
	bool seconds = strncmp(at + 16, ":00", 3) != 0;
	char in[WHEN_SIZE];

	grid_add(g, STYLE_BOLD, cli_get_text(c->dag, "dag"));
	grid_addf(g, STYLE_NONE, "%.10s %.*s", at, seconds ? 8 : 5, at + 11);
	grid_add(g, STYLE_NONE, cli_get_text(c->dag, "zone"));
	if (cli_get_flag(c->dag, "paused") || cli_get_flag(c->dag, "draining"))
		grid_add(g, STYLE_WARN, cli_get_flag(c->dag, "paused") ? "paused" : "draining");
	else if (cli_get_int(c->dag, "waiting"))
		grid_add(g, STYLE_BUSY, "waits for a run to end");
	else
		grid_add(g, STYLE_NONE, when_ago(c->at_us, now_us, in));
	add_count(g, cli_get_int(c->dag, "active"));
	add_count(g, cli_get_int(c->dag, "waiting"));
}

void overview_add_next(const struct overview *o, const struct term *t, size_t max, struct buf *out)
{
	size_t n, shown;
	struct coming *list = all_coming(o, &n);
	struct grid g;

	if (!n) {
		free(list);
		return;
	}
	shown = max && n > max ? max : n;
	grid_init(&g, next_columns, sizeof next_columns / sizeof *next_columns);
	for (size_t i = 0; i < shown; i++)
		add_coming(&g, &list[i], o->now_us);
	buf_addc(out, '\n');
	grid_print(&g, t, 0, out);
	if (shown < n)
		buf_addf(out, "and %zu more: weir status --verbose\n", n - shown);
	grid_release(&g);
	free(list);
}
