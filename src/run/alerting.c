#include "run/alerting.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/node.h"
#include "base/units.h"
#include "core/alert.h"
#include "core/model.h"
#include "run/alert_compose.h"
#include "run/alert_message.h"
#include "run/alert_storm.h"
#include "run/alerts.h"
#include "run/sender.h"
#include "store/store.h"

/* ANSWER_US: beyond the longest timeout of a channel, and 20 events each with one. */
#define TROUBLE_US US_PER_SECOND
#define ANSWER_US (5 * US_PER_MINUTE)
#define HEARTBEAT_JOB 0

#define TOLD_US US_PER_SECOND

enum { ACTS_AT_ONCE = 100000, INCIDENTS_AT_ONCE = 1000, RESTART_MS = 1000 };

/* A message on its way. */
struct job {
	int64_t id, sent_us; /* monotonic */
	char *route;         /* with ALERT_ESCALATION */
	char *channel;
	int step;  /* which channel of the route */
	int tries; /* so far, of the act that had most */
	int64_t *ids;
	int *tried; /* so far, of each */
	char **keys, **payloads;
	size_t n;
	json_t *answer; /* NULL: none yet */
	struct job *next;
};

struct alerting {
	struct alerting_config config;
	struct alert_storms storms;
	struct sender sender;
	int lock_fd;
	struct job *jobs;
	int64_t next_job;
	int64_t wake_us;
	int64_t storm_us;   /* when the first group has waited for the rest of it */
	int64_t restart_us; /* monotonic: when the sender may be begun again */
	int64_t beat_us;    /* when the heartbeat is due; 0: at once */
	bool beating;       /* its answer is awaited */
	bool beat_failed;
	bool sender_gone; /* seen while something was sent */
	bool flushing;    /* the group window is not waited for */
};

/* ---- small things ---------------------------------------------------------------------- */

static void sooner(int64_t *wake_us, int64_t at_us)
{
	if (at_us && at_us < *wake_us)
		*wake_us = at_us;
}

static void note(const struct alerting *a, const struct alerting_note *n)
{
	if (a->config.note)
		a->config.note(a->config.arg, n);
}

static void free_job(struct job *j)
{
	for (size_t i = 0; i < j->n; i++) {
		if (j->keys)
			free(j->keys[i]);
		if (j->payloads)
			free(j->payloads[i]);
	}
	free(j->keys);
	free(j->payloads);
	free(j->ids);
	free(j->tried);
	free(j->route);
	free(j->channel);
	json_decref(j->answer);
	free(j);
}

static void drop_job(struct alerting *a, struct job *j)
{
	struct job **at = &a->jobs;

	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	free_job(j);
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

/* The route of an act, and the channels that are to tell. NULL: it is not there any more. */
static const struct alert_route *route_of(
	const struct alerts *alerts, const char *name, const int **ret_to, int *ret_n)
{
	bool escalation = ends_with(name, ALERT_ESCALATION);
	size_t len = strlen(name) - (escalation ? strlen(ALERT_ESCALATION) : 0);
	const struct alert_route *r = alert_find_route(alerts, name, len);

	if (!r)
		return NULL;
	*ret_to = escalation ? r->escalate_to : r->to;
	*ret_n = escalation ? r->nescalate_to : r->nto;
	return r;
}

static bool is_good(const char *what)
{
	return strcmp(what, "resolved") == 0 || strcmp(what, "acknowledged") == 0;
}

/* ---- the sender ------------------------------------------------------------------------ */

static const struct alerting_sender process = {
	.start = sender_start, .stop = sender_stop, .send = sender_send, .receive = sender_receive
};

static void begin_sender(struct alerting *a)
{
	struct err err = { 0 };

	if (a->sender.pid > 0 || clock_mono_us() < a->restart_us)
		return;
	a->restart_us = clock_mono_us() + RESTART_MS * US_PER_MS;
	if (a->config.sender->start(&a->sender, &err) < 0)
		note(a, &(struct alerting_note){
				"cannot start the sender", .error = err.msg, .bad = true });
}

/* What it had is sent again by the next one. */
static void lose_sender(struct alerting *a)
{
	note(a, &(struct alerting_note){ "the sender died; another one is started", .bad = true });
	a->config.sender->stop(&a->sender);
	while (a->jobs)
		drop_job(a, a->jobs);
	a->beating = a->sender_gone = false;
}

static void hear(struct alerting *a)
{
	json_t *answer;
	int r = 0;

	while (a->sender.pid > 0 && (r = a->config.sender->receive(&a->sender, &answer)) > 0) {
		int64_t id = json_integer_value(json_object_get(answer, "job"));
		struct job *j = a->jobs;
		while (j && j->id != id)
			j = j->next;
		if (j && !j->answer) {
			j->answer = answer;
			continue;
		}
		if (id == HEARTBEAT_JOB) {
			bool failed = !json_is_true(json_object_get(answer, "ok"));
			if (failed != a->beat_failed)
				note(a, &(struct alerting_note){ failed ? "the heartbeat fails"
									: "the heartbeat is back",
						.error =
							failed ? alert_message_text(answer, "error")
							       : NULL,
						.bad = failed });
			a->beating = false;
			a->beat_failed = failed;
		}
		json_decref(answer);
	}
	if (a->sender.pid > 0 && r < 0)
		lose_sender(a);
}

/* ---- what became of a message ---------------------------------------------------------- */

static int end_acts(struct alerting *a, const struct job *j, enum outbox_state to, int64_t at_us,
	const char *error, struct err *err)
{
	const struct outbox_end end = { to, at_us, error };

	return store_outbox_end(a->config.store, j->ids, j->n, &end, err);
}

/* The same acts for the next channel: the failed one is told of there. */
static json_t *payload_of_next(const struct job *j, size_t i, const char *error)
{
	json_t *o = json_loads(j->payloads[i], 0, NULL), *failed;

	if (!o)
		return NULL;
	failed = json_object_get(o, "failed");
	if (!failed) {
		failed = json_array();
		json_object_set_new(o, "failed", failed);
	}
	json_array_append_new(failed, json_string(error));
	json_object_set_new(o, "step", json_integer(j->step + 1));
	return o;
}

static int pass_on(
	struct alerting *a, const struct job *j, const char *error, int64_t now_us, struct err *err)
{
	struct outbox_act *acts = calloc(j->n, sizeof *acts);
	struct arena arena;
	int rc = acts ? 0 : err_nomem(err);

	arena_init(&arena, 1 << 30);
	for (size_t i = 0; rc == 0 && i < j->n; i++) {
		json_t *o = payload_of_next(j, i, error);
		char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
		acts[i] = (struct outbox_act){ .key = arena_printf(
						       &arena, "%s/%d", j->keys[i], j->step + 1),
			.kind = "alert",
			.payload = text ? arena_strdup(&arena, text) : NULL,
			.at_us = now_us };
		free(text);
		json_decref(o);
		if (!acts[i].key || !acts[i].payload)
			rc = err_nomem(err);
	}
	const struct store_batch batch = { .acts = acts, .nacts = j->n };
	if (rc == 0)
		rc = store_commit(a->config.store, &batch, err);
	arena_release(&arena);
	free(acts);
	return rc;
}

/* Those of which the channel has had all its tries, or the others: each act has its own, whatever
 * it was told with. Returns how many. */
static int end_tried(struct alerting *a, const struct job *j, bool spent,
	const struct outbox_end *end, struct err *err)
{
	int64_t *ids = calloc(j->n, sizeof *ids);
	size_t n = 0;

	if (!ids)
		return err_nomem(err);
	for (size_t i = 0; i < j->n; i++)
		if (spent == (j->tried[i] + 1 >= a->config.alerts->tries))
			ids[n++] = j->ids[i];
	int rc = n ? store_outbox_end(a->config.store, ids, n, end, err) : 0;
	free(ids);
	return rc < 0 ? -1 : (int)n;
}

/* What the last channel of a route cannot tell: again later, at the first of two times, but for
 * what is over with, at the second. */
static int fail_last(struct alerting *a, const struct job *j, const int64_t at_us[2],
	const struct alerting_note *said, struct err *err)
{
	const struct outbox_end later = { OUTBOX_PENDING, at_us[0], said->error };
	const struct outbox_end gone = { OUTBOX_GIVEN_UP, at_us[1], said->error };
	struct alerting_note n = *said;

	n.what = "cannot tell now";
	n.count = end_tried(a, j, false, &later, err);
	if (n.count > 0)
		note(a, &n);
	if (n.count < 0)
		return -1;
	n.what = "given up";
	n.count = end_tried(a, j, true, &gone, err);
	if (n.count > 0)
		note(a, &n);
	return n.count < 0 ? -1 : 0;
}

static int fail_job(struct alerting *a, struct job *j, int64_t now_us, struct err *err)
{
	const char *class = alert_message_text(j->answer, "class");
	int64_t after = json_integer_value(json_object_get(j->answer, "retry_after_us"));
	int64_t again_us = alert_retry_us(a->config.alerts, j->tries + 1, after, now_us);
	int at = sender_class_by_name(class), n = 0;
	const int *to = NULL;
	bool transient = at < 0 || sender_class_is_transient((enum sender_class)at);
	bool has_next = route_of(a->config.alerts, j->route, &to, &n) && j->step + 1 < n;
	char error[800];
	int rc;

	snprintf(error, sizeof error, "%s: %s: %s", j->channel, *class ? class : "unreachable",
		alert_message_text(j->answer, "error"));
	struct alerting_note said = { "cannot tell now", j->route, j->channel, error, (int)j->n,
		true };
	if (!has_next)
		return fail_last(a, j, (const int64_t[]){ again_us, now_us }, &said, err);
	if (j->tries + 1 < a->config.alerts->tries && transient) {
		rc = end_acts(a, j, OUTBOX_PENDING, again_us, error, err);
	} else {
		/* First what is to be done instead: a death in between sends it twice. */
		rc = pass_on(a, j, error, now_us, err);
		if (rc == 0)
			rc = end_acts(a, j, OUTBOX_GIVEN_UP, now_us, error, err);
		said.what = "cannot tell; the next channel does";
	}
	if (rc == 0)
		note(a, &said);
	return rc;
}

static int end_job(struct alerting *a, struct job *j, int64_t now_us, struct err *err)
{
	if (!json_is_true(json_object_get(j->answer, "ok")))
		return fail_job(a, j, now_us, err);
	if (end_acts(a, j, OUTBOX_DONE, now_us, NULL, err) < 0)
		return -1;
	note(a, &(struct alerting_note){ "told", j->route, j->channel, NULL, (int)j->n, false });
	return 0;
}

static int end_jobs(struct alerting *a, int64_t now_us, struct err *err)
{
	for (struct job *j = a->jobs, *next; j; j = next) {
		next = j->next;
		if (!j->answer && clock_mono_us() - j->sent_us > ANSWER_US)
			j->answer = json_pack("{s:b, s:s, s:s}", "ok", 0, "class", "timeout",
				"error", "the sender gave no answer");
		if (!j->answer)
			continue;
		if (end_job(a, j, now_us, err) < 0)
			return -1;
		drop_job(a, j);
	}
	return 0;
}

/* ---- escalation ------------------------------------------------------------------------ */

static struct dag *find_dag(const struct alerting *a, const char *name)
{
	return a->config.find_dag && *name ? a->config.find_dag(a->config.arg, name) : NULL;
}

static int escalate(struct alerting *a, int64_t now_us, struct err *err)
{
	const struct incident_filter f = { .due_us = now_us, .limit = INCIDENTS_AT_ONCE };
	struct store_result due;
	struct arena arena;

	if (store_incidents(a->config.store, &f, &due, err) < 0)
		return -1;
	struct incident_put *puts = calloc(due.n + 1, sizeof *puts);
	int rc = puts ? 0 : err_nomem(err);
	arena_init(&arena, 1 << 26);
	for (size_t i = 0; rc == 0 && i < due.n; i++) {
		const struct incident *in = &due.incidents[i];
		bool wakes = in->state == INCIDENT_SNOOZED;
		puts[i] =
			(struct incident_put){ .what = wakes ? INCIDENT_WAKES : INCIDENT_ESCALATES,
				.kind = in->kind,
				.dag = in->dag,
				.task = in->task,
				.severity = in->severity,
				.at_us = now_us };
		struct dag *dag = find_dag(a, in->dag);
		alerts_route(a->config.alerts, dag, &arena, &puts[i]);
		dag_unref(dag);
	}
	const struct store_batch batch = { .incidents = puts, .nincidents = due.n };
	if (rc == 0 && due.n)
		rc = store_commit(a->config.store, &batch, err);
	arena_release(&arena);
	free(puts);
	store_result_release(&due);
	return rc;
}

/* ---- sending --------------------------------------------------------------------------- */

/* An act, with what its payload says. */
struct due_act {
	const struct outbox_row *row;
	json_t *payload;
	const char *route;
	int step;
	bool good, taken;
};

static bool same_group(const struct due_act *x, const struct due_act *y)
{
	return x->step == y->step && x->good == y->good && strcmp(x->route, y->route) == 0;
}

/* One message of a route at a time: that it is over must not come before that it began. */
static bool is_on_its_way(const struct alerting *a, const struct due_act *d)
{
	for (const struct job *j = a->jobs; j; j = j->next)
		if (strcmp(j->route, d->route) == 0)
			return true;
	return false;
}

static int make_job(struct job **ret, const struct due_act *const *group, size_t n)
{
	struct job *j = calloc(1, sizeof *j);

	if (!j)
		return -1;
	j->ids = calloc(n, sizeof *j->ids);
	j->tried = calloc(n, sizeof *j->tried);
	j->keys = calloc(n, sizeof *j->keys);
	j->payloads = calloc(n, sizeof *j->payloads);
	j->route = strdup(group[0]->route);

	j->step = group[0]->step;
	bool ok = j->ids && j->tried && j->keys && j->payloads && j->route;
	for (j->n = 0; ok && j->n < n; j->n++) {
		const struct outbox_row *row = group[j->n]->row;
		j->ids[j->n] = row->id;
		j->tried[j->n] = row->tries;
		j->keys[j->n] = strdup(row->key);
		j->payloads[j->n] = strdup(row->payload);
		j->tries = row->tries > j->tries ? row->tries : j->tries;
		ok = j->keys[j->n] && j->payloads[j->n];
	}
	*ret = j;
	if (ok)
		return 0;
	free_job(j);
	return -1;
}

static json_t *request_of(
	const struct alerting *a, const struct job *j, const struct alert_channel *c, json_t *doc)
{
	return json_pack("{s:I, s:s, s:s, s:o, s:s, s:O}", "job", (json_int_t)j->id, "channel",
		c->name, "type", alert_channel_type_name(c->type), "settings",
		sender_settings(c->node), "dir",
		a->config.alerts->dir ? a->config.alerts->dir : ".", "doc", doc);
}

static int send_group(struct alerting *a, const struct due_act *const *group, size_t n,
	const struct alert_channel *c, int64_t now_us, struct err *err)
{
	const struct outbox_row **rows = calloc(n, sizeof *rows);
	struct job *j = NULL;
	json_t *doc = NULL, *request = NULL;
	int rc = -1;

	for (size_t i = 0; rows && i < n; i++)
		rows[i] = group[i]->row;
	const struct alert_group g = { a->config.store, a->config.home, a->config.alerts,
		group[0]->route, c->name, rows, n, json_object_get(group[0]->payload, "failed"),
		now_us, a->config.stopped, a->config.arg };
	if (!rows || make_job(&j, group, n) < 0) {
		err_nomem(err);
		goto out;
	}
	j->id = a->next_job++;
	j->channel = strdup(c->name);
	j->sent_us = clock_mono_us();
	doc = alert_compose(&g, err);
	request = doc && j->channel ? request_of(a, j, c, doc) : NULL;
	if (request && a->config.sender->send(&a->sender, request, err) < 0) {
		a->sender_gone = err->code == ERR_IO;
	} else if (request) {
		j->next = a->jobs;
		a->jobs = j;
		j = NULL;
		rc = 0;
	}
out:
	json_decref(doc);
	json_decref(request);
	if (j)
		free_job(j);
	free(rows);
	return rc;
}

static int end_rows(struct alerting *a, const struct due_act *const *group, size_t n,
	const struct outbox_end *end, struct err *err)
{
	int64_t *ids = calloc(n, sizeof *ids);

	for (size_t i = 0; ids && i < n; i++)
		ids[i] = group[i]->row->id;
	int rc = ids ? store_outbox_end(a->config.store, ids, n, end, err) : err_nomem(err);
	free(ids);
	return rc;
}

/* What is less severe than the route wants was not told when it opened; what has not escalated was
 * not told to those it would escalate to. */
static bool is_unwanted(struct alerting *a, const struct alert_route *r, const struct due_act *d)
{
	const char *severity = alert_message_text(d->payload, "severity");
	const char *what = alert_message_text(d->payload, "what");
	struct store_result found;
	bool unwanted = severity_by_name(severity) < (int)r->least;

	if (unwanted || !ends_with(d->route, ALERT_ESCALATION) || strcmp(what, "escalated") == 0)
		return unwanted;
	const struct incident_filter f = { .id = json_integer_value(
						   json_object_get(d->payload, "incident")) };
	if (store_incidents(a->config.store, &f, &found, NULL) < 0)
		return false;
	unwanted = found.n == 0 || found.incidents[0].escalations == 0;
	store_result_release(&found);
	return unwanted;
}

/* Out of the group what nobody is to be told; returns how many are left. */
static ssize_t drop_unwanted(struct alerting *a, const struct alert_route *r,
	const struct due_act **group, size_t n, struct err *err)
{
	const struct due_act **unwanted = calloc(n, sizeof *unwanted);
	const struct outbox_end done = { OUTBOX_DONE, clock_now_us(), NULL };
	size_t nkept = 0, nunwanted = 0;

	if (!unwanted)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++) {
		if (is_unwanted(a, r, group[i]))
			unwanted[nunwanted++] = group[i];
		else
			group[nkept++] = group[i];
	}
	int rc = nunwanted ? end_rows(a, unwanted, nunwanted, &done, err) : 0;
	free(unwanted);
	return rc < 0 ? -1 : (ssize_t)nkept;
}

static int by_id(const void *a, const void *b)
{
	const struct due_act *x = *(const struct due_act *const *)a;
	const struct due_act *y = *(const struct due_act *const *)b;

	return (x->row->id > y->row->id) - (x->row->id < y->row->id);
}

static int dispatch_group(
	struct alerting *a, const struct due_act **group, size_t n, int64_t now_us, struct err *err)
{
	const int *to = NULL;
	int nto = 0;
	const struct alert_route *r = route_of(a->config.alerts, group[0]->route, &to, &nto);
	const struct outbox_end gone = { OUTBOX_GIVEN_UP, now_us,
		"weir.yaml has no such route or channel any more" };

	/* In the order they came, not in which they are due: of an incident the last one tells, and
	 * the first one names the message, with whatever it is told again. */
	qsort(group, n, sizeof *group, by_id);
	if (!r || group[0]->step >= nto)
		return end_rows(a, group, n, &gone, err);
	ssize_t left = drop_unwanted(a, r, group, n, err);
	if (left <= 0)
		return (int)left;
	const struct alert_channel *c = &a->config.alerts->channels[to[group[0]->step]];
	return send_group(a, group, (size_t)left, c, now_us, err);
}

static bool read_act(struct due_act *d, const struct outbox_row *row)
{
	*d = (struct due_act){ .row = row, .payload = json_loads(row->payload, 0, NULL) };
	d->route = alert_message_text(d->payload, "route");
	d->good = is_good(alert_message_text(d->payload, "what"));
	d->step = (int)json_integer_value(json_object_get(d->payload, "step"));
	return *d->route && d->step >= 0;
}

/* Until when the group waits for the rest of it; 0: it does not. What was tried before waits for
 * nothing. */
static int64_t waits_until_us(
	const struct alerting *a, const struct due_act *const *group, size_t n, int64_t now_us)
{
	struct alert_storm g = { .route = group[0]->route,
		.n = n,
		.first_us = INT64_MAX,
		.quiet_us = a->config.alerts->group_window_us / 2 };

	if (a->flushing || group[0]->step > 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		int64_t at = group[i]->row->created_us;
		if (group[i]->row->tries)
			return 0;
		g.first_us = at < g.first_us ? at : g.first_us;
		g.last_us = at > g.last_us ? at : g.last_us;
	}
	return alert_storms_wait_us(&a->storms, &g, now_us);
}

/* ---- what is due ----------------------------------------------------------------------- */

/* All of a group that waits, once one of it is due: what is within the window goes with it, but for
 * what is to be tried again later. */
static int dispatch(
	struct alerting *a, struct due_act *acts, size_t n, int64_t now_us, struct err *err)
{
	const struct due_act **group = calloc(n + 1, sizeof *group);
	int rc = group ? 0 : err_nomem(err);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		bool due = acts[i].row->due_us <= now_us || a->flushing;
		size_t k = 0;
		if (acts[i].taken || !due || is_on_its_way(a, &acts[i]))
			continue;
		for (size_t m = i; m < n; m++) {
			bool later = acts[m].row->tries && acts[m].row->due_us > now_us;
			if (acts[m].taken || later || !same_group(&acts[i], &acts[m]))
				continue;
			acts[m].taken = true;
			group[k++] = &acts[m];
		}
		int64_t until = k ? waits_until_us(a, group, k, now_us) : 0;
		if (until) {
			sooner(&a->storm_us, until);
			continue;
		}
		if (k)
			alert_storms_note(&a->storms, group[0]->route, k, now_us);
		rc = k ? dispatch_group(a, group, k, now_us, err) : 0;
	}
	free(group);
	return rc;
}

static int give_up_unreadable(struct alerting *a, int64_t id, int64_t now_us, struct err *err)
{
	return store_outbox_give_up(
		a->config.store, id, now_us, "what was to be told cannot be read", err);
}

static int send_due(struct alerting *a, int64_t now_us, struct err *err)
{
	int64_t until = now_us + a->config.alerts->group_window_us;
	struct store_result due;
	size_t n = 0;
	int rc = 0;

	if (a->sender.pid <= 0)
		return 0;
	if (store_outbox_due(a->config.store, until, ACTS_AT_ONCE, &due, err) < 0)
		return -1;
	struct due_act *acts = calloc(due.n + 1, sizeof *acts);
	if (!acts)
		rc = err_nomem(err);
	for (size_t i = 0; rc == 0 && i < due.n; i++) {
		if (strcmp(due.outbox[i].kind, "alert") != 0)
			continue;
		if (read_act(&acts[n], &due.outbox[i])) {
			n++;
			continue;
		}
		json_decref(acts[n].payload);
		rc = give_up_unreadable(a, due.outbox[i].id, now_us, err);
	}
	if (rc == 0)
		rc = dispatch(a, acts, n, now_us, err);
	for (size_t i = 0; acts && i < n; i++)
		json_decref(acts[i].payload);
	free(acts);
	store_result_release(&due);
	return rc;
}

/* ---- the heartbeat --------------------------------------------------------------------- */

static void beat(struct alerting *a, int64_t now_us)
{
	const struct alerts *alerts = a->config.alerts;

	if (!a->config.heartbeat || !alerts->heartbeat || now_us < a->beat_us || a->sender.pid <= 0)
		return;
	a->beat_us = now_us + alerts->heartbeat_us;
	if (a->beating)
		return;
	json_t *url = node_text(alerts->heartbeat) ? json_string(node_text(alerts->heartbeat))
						   : sender_settings(alerts->heartbeat);
	json_t *request = json_pack("{s:i, s:{s:o}, s:s}", "job", HEARTBEAT_JOB, "settings", "url",
		url, "dir", alerts->dir ? alerts->dir : ".");
	a->beating = request && a->config.sender->send(&a->sender, request, NULL) == 0;
	json_decref(request);
}

/* ---- a turn ---------------------------------------------------------------------------- */

/* The next act that is not on its way. */
static int plan_wake(struct alerting *a, int64_t now_us, struct err *err)
{
	int64_t incident, act;

	if (store_incidents_next(a->config.store, &incident, err) < 0 ||
		store_outbox_next(a->config.store, &act, err) < 0)
		return -1;
	sooner(&a->wake_us, incident);
	sooner(&a->wake_us, a->storm_us);
	/* What is due already waits for an answer, which wakes by itself, or for a sender. */
	if (act > now_us)
		sooner(&a->wake_us, act);
	else if (act && a->storm_us == INT64_MAX)
		sooner(&a->wake_us, now_us + TROUBLE_US);
	if (a->config.heartbeat && a->config.alerts->heartbeat)
		sooner(&a->wake_us, a->beat_us);
	return 0;
}

void alerting_turn(struct alerting *a, int64_t now_us)
{
	struct err err = { 0 };

	a->wake_us = a->storm_us = INT64_MAX;
	begin_sender(a);
	hear(a);
	beat(a, now_us);
	if (end_jobs(a, now_us, &err) < 0 || escalate(a, now_us, &err) < 0 ||
		send_due(a, now_us, &err) < 0 || plan_wake(a, now_us, &err) < 0)
		sooner(&a->wake_us, now_us + TROUBLE_US);
	if (a->sender_gone)
		lose_sender(a);
	if (a->jobs || a->sender.pid <= 0)
		sooner(&a->wake_us, now_us + TROUBLE_US);
}

/* A storm is looked at now and then: each look reads all that waits. */
void alerting_told(struct alerting *a, int64_t now_us)
{
	int64_t window = a->config.alerts->group_window_us;

	sooner(&a->wake_us, now_us + (window < TOLD_US ? window : TOLD_US));
}

int64_t alerting_wake_us(const struct alerting *a)
{
	return a->wake_us;
}

bool alerting_is_busy(const struct alerting *a)
{
	return a->jobs || a->beating;
}

int alerting_fd(const struct alerting *a)
{
	return a->sender.pid > 0 ? a->sender.fd : -1;
}

static int count_pending(struct alerting *a)
{
	struct store_result r;
	int n = 0;

	if (store_outbox_list(a->config.store, OUTBOX_PENDING, 0, &r, NULL) < 0)
		return 0;
	for (size_t i = 0; i < r.n; i++)
		n += strcmp(r.outbox[i].kind, "alert") == 0;
	store_result_release(&r);
	return n;
}

int alerting_flush(struct alerting *a, int timeout_ms)
{
	struct timespec from, now;

	a->flushing = true;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (;;) {
		alerting_turn(a, clock_now_us());
		clock_gettime(CLOCK_MONOTONIC, &now);
		int spent = (int)((now.tv_sec - from.tv_sec) * 1000 +
				  (now.tv_nsec - from.tv_nsec) / 1000000);
		if (!alerting_is_busy(a) || spent >= timeout_ms)
			break;
		struct pollfd p = { .fd = alerting_fd(a), .events = POLLIN };
		poll(&p, 1, timeout_ms - spent);
	}
	a->flushing = false;
	return count_pending(a);
}

/* ---- the whole ------------------------------------------------------------------------- */

static int lock_home(struct alerting *a, struct err *err)
{
	char *path = io_path_join(a->config.home, "alerts.lock");

	if (!path)
		return err_nomem(err);
	a->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int rc = a->lock_fd < 0 ? err_errno(err, "%s", path) : 0;
	if (rc == 0 && flock(a->lock_fd, LOCK_EX | LOCK_NB) < 0)
		rc = errno == EWOULDBLOCK
			     ? err_set(err, ERR_REFUSED, "another process sends the alerts of %s",
				       a->config.home)
			     : err_errno(err, "%s: lock", path);
	free(path);
	return rc;
}

int alerting_new(struct alerting **ret, const struct alerting_config *config, struct err *err)
{
	struct alerting *a = calloc(1, sizeof *a);

	if (!a)
		return err_nomem(err);
	a->config = *config;
	if (!config->sender)
		a->config.sender = &process;
	a->lock_fd = -1;
	a->next_job = HEARTBEAT_JOB + 1;
	if (lock_home(a, err) < 0 || a->config.sender->start(&a->sender, err) < 0) {
		alerting_free(a);
		return -1;
	}
	*ret = a;
	return 0;
}

/* What is on its way knows its route and channel by name. */
void alerting_set(struct alerting *a, const struct alerts *alerts)
{
	a->config.alerts = alerts;
	a->beat_us = 0;
}

void alerting_free(struct alerting *a)
{
	if (!a)
		return;
	while (a->jobs)
		drop_job(a, a->jobs);
	alert_storms_release(&a->storms);
	a->config.sender->stop(&a->sender);
	if (a->lock_fd >= 0)
		close(a->lock_fd);
	free(a);
}
