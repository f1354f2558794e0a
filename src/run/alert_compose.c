#include "run/alert_compose.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/io.h"
#include "base/utf8.h"
#include "core/alert.h"
#include "core/zone.h"
#include "run/alert_message.h"
#include "run/paths.h"
#include "run/runbook.h"
#include "store/store.h"

/* The first ones are told with all that is known, some more in short, the rest counted. */
enum {
	DETAILED = 5,
	LISTED = 20,
	LOG_TAIL = 4096,
	LOG_LINES = 10,
	LINE_MAX_LEN = 300,
	RUNBOOK_MAX = 2000,
	ERROR_SHORT = 300,
	NAMED = 5,
	DOCUMENT_MAX = 96 << 10
};

/* ---- small things ---------------------------------------------------------------------- */

static json_t *instant(const struct alerts *a, int64_t at_us)
{
	struct zone_info info;
	struct civil c;
	struct buf text;

	buf_init(&text, 128);
	zone_to_civil(a->zone, at_us - civil_floor_mod(at_us, CIVIL_US_PER_S), &c, &info);
	civil_add_rfc3339(&text, &c, info.offset_s);
	json_t *j = json_string(text.data ? text.data : "");
	buf_release(&text);
	return j;
}

/* Cut to size, without what could command a terminal; lines are kept. */
static json_t *text_of(const char *text, size_t max)
{
	char *copy = strndup(text, alert_message_cut(text, max));

	for (char *p = copy; p && *p;) {
		size_t n = strcspn(p, "\n");
		utf8_clean(p, n);
		p += n + (p[n] == '\n');
	}
	json_t *j = json_string(copy ? copy : "");
	free(copy);
	return j ? j : json_string("");
}

static void copy_member(json_t *to, const json_t *from, const char *key)
{
	json_t *v = json_object_get(from, key);

	if (v && !(json_is_array(v) && json_array_size(v) == 0))
		json_object_set(to, key, v);
}

/* ---- what is known of an incident ------------------------------------------------------ */

static void add_log_lines(json_t *lines, char *text)
{
	char *end = text + strlen(text);
	size_t n = 0;

	/* From the end: the last lines that are not empty, in their order. */
	while (end > text && n < LOG_LINES) {
		char *from = end;
		while (from > text && from[-1] != '\n')
			from--;
		size_t len = (size_t)(end - from);
		if (len > 0) {
			char *line = strndup(from, len);
			if (line) {
				utf8_clean(line, len);
				json_array_insert_new(lines, 0, text_of(line, LINE_MAX_LEN));
			}
			free(line);
			n++;
		}
		end = from > text ? from - 1 : text;
	}
}

/* Which instance of a mapped task the facts are of; -1: of none. */
static int index_of(const json_t *facts)
{
	const json_t *index = json_object_get(facts, "map_index");

	return json_is_integer(index) ? (int)json_integer_value(index) : -1;
}

/* A part of a line, where the tail begins within one, is left out. */
static void add_log(json_t *o, const char *home, const json_t *facts, const char *task)
{
	const char *run = alert_message_text(facts, "run");
	int try = (int)json_integer_value(json_object_get(facts, "try"));
	char *path = *run && *task && try ? paths_log(home, run, task, index_of(facts), try) : NULL;
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
	char tail[LOG_TAIL + 1];
	struct stat st;

	free(path);
	if (fd < 0)
		return;
	off_t from = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > LOG_TAIL
			     ? st.st_size - LOG_TAIL
			     : 0;
	ssize_t n = pread(fd, tail, LOG_TAIL, from);
	close(fd);
	if (n <= 0)
		return;
	for (ssize_t i = 0; i < n; i++)
		tail[i] = tail[i] ? tail[i] : '?';
	tail[n] = '\0';
	char *begin = from ? strchr(tail, '\n') : tail;
	json_t *lines = json_array();
	add_log_lines(lines, begin ? begin : tail);
	json_object_set_new(o, "log", lines);
}

static void add_last_good(json_t *o, const struct alert_group *g, const char *dag)
{
	const struct run_filter f = { .dag = dag, .state = RUN_SUCCESS, .limit = 1 };
	struct store_result runs;

	if (!*dag || store_runs(g->store, &f, &runs, NULL) < 0)
		return;
	if (runs.n)
		json_object_set_new(o, "last_good",
			json_pack("{s:s, s:o}", "run", runs.runs[0].name, "at",
				instant(g->alerts, runs.runs[0].ended_us)));
	store_result_release(&runs);
}

static bool is_link(const char *text)
{
	return strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0;
}

static void add_runbook(json_t *o, const json_t *facts)
{
	const char *from = alert_message_text(facts, "runbook");
	char *path = *from && !is_link(from) ? io_path_join(alert_message_text(facts, "dir"), from)
					     : NULL;
	struct buf text;

	if (!*from)
		return;
	json_t *book = json_pack("{s:s}", "from", from);
	buf_init(&text, 1 << 20);
	if (path && io_read_regular(path, &text, NULL) == 0 && text.len) {
		struct buf filled;
		buf_init(&filled, 4 << 20);
		runbook_fill(text.data, (const json_t *const[]){ o, NULL }, &filled);
		json_object_set_new(
			book, "text", text_of(filled.len ? filled.data : "", RUNBOOK_MAX));
		buf_release(&filled);
	}
	buf_release(&text);
	free(path);
	json_object_set_new(o, "runbook", book);
}

static void add_command(json_t *list, const char *what, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void add_command(json_t *list, const char *what, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	json_array_append_new(list, json_pack("{s:s, s:s}", "what", what, "command", text));
}

/* Of a breaker: how it came to it, what it stops, and how it is closed. */
static void add_breaker(
	json_t *o, const struct alert_group *g, const struct incident *i, const json_t *facts)
{
	int64_t probe_us = json_integer_value(json_object_get(facts, "next_probe_us"));
	json_t *stopped = g->stopped && !i->ended_us ? g->stopped(g->arg, i->task) : NULL;

	json_object_set_new(o, "task", json_string(""));
	json_object_set_new(o, "breaker", json_string(i->task));
	copy_member(o, facts, "why");
	copy_member(o, facts, "task_of");
	json_object_set_new(o, "because", text_of(alert_message_text(facts, "text"), ERROR_SHORT));
	if (probe_us && !i->ended_us)
		json_object_set_new(o, "next_probe", instant(g->alerts, probe_us));
	if (json_integer_value(json_object_get(stopped, "count"))) {
		copy_member(o, stopped, "held");
		json_object_set(o, "held_count", json_object_get(stopped, "count"));
	}
	json_decref(stopped);
}

static void add_breaker_commands(json_t *list, const struct incident *i, const json_t *facts)
{
	const char *run = alert_message_text(facts, "run"),
		   *task = alert_message_text(facts, "task_of");
	int index = index_of(facts);

	add_command(list, "what it holds, and how it came to it", "weir breaker show %s", i->task);
	add_command(list, "let them go", "weir breaker close %s --reason TEXT", i->task);
	if (*run && *task && index >= 0)
		add_command(list, "the log of the last failure", "weir logs %s '%s[%d]'", run, task,
			index);
	else if (*run && *task)
		add_command(list, "the log of the last failure", "weir logs %s %s", run, task);
}

/* The run to see to: that of the last failure, unless it is made good and others are not. */
static void add_undone(json_t *o, const struct alert_group *g, const struct incident *i)
{
	const char *run = alert_message_text(o, "run"), *at = i->undone;
	json_t *names = json_array();
	struct store_result r;
	struct run_key key = { .dag = i->dag };
	bool has = false;

	while (incident_next_undone(&at, &key.interval_start_us, &key.interval_end_us)) {
		if (store_run_by_key(g->store, &key, &r, NULL) < 0)
			break;
		has |= r.n && strcmp(r.runs[0].name, run) == 0;
		if (r.n && json_array_size(names) < LISTED)
			json_array_append_new(names, json_string(r.runs[0].name));
		store_result_release(&r);
	}
	if (!has && json_array_size(names))
		json_object_set(o, "run", json_array_get(names, 0));
	if (json_array_size(names) > 1)
		json_object_set(o, "undone", names);
	json_decref(names);
}

static void add_commands(json_t *o, const struct incident *i, const json_t *facts)
{
	const char *run = alert_message_text(o, "run");
	json_t *list = json_array();

	if (i->kind == INCIDENT_BREAKER_OPEN) {
		add_breaker_commands(list, i, facts);
		run = "";
	}
	if (*run && *i->task && index_of(facts) >= 0)
		add_command(
			list, "its log", "weir logs %s '%s[%d]'", run, i->task, index_of(facts));
	else if (*run && *i->task && json_object_get(facts, "try"))
		add_command(list, "its log", "weir logs %s %s", run, i->task);
	if (*run)
		add_command(list, "the run", "weir show %s", run);
	if (*run)
		add_command(list, "do what failed again", "weir retry %s", run);
	if (json_object_get(facts, "runbook") && *i->dag)
		add_command(list, "how to mend it", "weir runbook %s%s%s", i->dag,
			*i->task ? " " : "", i->task);
	add_command(list, "say that you see to it", "weir ack %lld", (long long)i->id);
	json_object_set_new(o, "commands", list);
}

static void add_facts(json_t *o, json_t *facts, bool detailed)
{
	static const char *const keys[] = { "run", "ds", "map_index", "try", "tries", "outcome",
		"exit_status", "signal", "dependents", "deadline", "owner", "checks", "expected",
		"costs" };
	const char *error = alert_message_text(facts, "error");

	int why = reason_by_name(alert_message_text(facts, "reason"));

	if (!detailed)
		json_object_del(facts, "dependents");
	if (why > 0)
		json_object_set_new(o, "because", json_string(reason_text((enum reason)why)));
	for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
		copy_member(o, facts, keys[k]);
	if (*error)
		json_object_set_new(o, "error", text_of(error, detailed ? 2000 : ERROR_SHORT));
}

static json_t *describe(
	const struct alert_group *g, const struct incident *i, const json_t *act, bool detailed)
{
	bool of_breaker = i->kind == INCIDENT_BREAKER_OPEN;
	json_t *facts = i->facts ? json_loads(i->facts, 0, NULL) : NULL;
	json_t *o = json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:I}", "id",
		(json_int_t)i->id, "what", alert_message_text(act, "what"), "kind",
		incident_kind_name(i->kind), "text", incident_kind_text(i->kind), "dag", i->dag,
		"task", i->task, "severity", severity_name(i->severity), "state",
		incident_state_name(i->state), "opened_at", instant(g->alerts, i->opened_us),
		"last_at", instant(g->alerts, i->last_us), "times", (json_int_t)i->count);

	if (i->ended_us)
		json_object_set_new(o, "resolved_at", instant(g->alerts, i->ended_us));
	if (i->by)
		json_object_set_new(o, "by", text_of(i->by, ERROR_SHORT));
	if (i->by && i->reason)
		json_object_set_new(o, "reason", text_of(i->reason, 1000));
	detailed = detailed && !i->ended_us;
	if (facts)
		add_facts(o, facts, detailed);
	if (of_breaker)
		add_breaker(o, g, i, facts);
	else if (detailed && i->undone)
		add_undone(o, g, i);
	if (detailed) {
		add_log(o, g->home, facts,
			of_breaker ? alert_message_text(facts, "task_of") : i->task);
		add_last_good(o, g, i->dag);
		add_commands(o, i, facts);
		add_runbook(o, facts);
	}
	json_decref(facts);
	return o;
}

/* ---- the group ------------------------------------------------------------------------- */

/* Of acts about one incident, the last one tells. */
static bool is_told_later(json_t *const *acts, size_t n, size_t i)
{
	json_int_t id = json_integer_value(json_object_get(acts[i], "incident"));

	for (size_t k = i + 1; k < n && k < LISTED; k++)
		if (json_integer_value(json_object_get(acts[k], "incident")) == id)
			return true;
	return false;
}

static int add_incidents(
	json_t *doc, const struct alert_group *g, json_t *const *acts, struct err *err)
{
	json_t *list = json_array();
	int64_t repeated = 0;

	json_object_set_new(doc, "incidents", list);
	/* A storm's middle is counted only. */
	size_t most = g->nacts > LISTED ? DETAILED : g->nacts;
	for (size_t i = 0; i < most; i++) {
		json_int_t id = json_integer_value(json_object_get(acts[i], "incident"));
		const struct incident_filter f = { .id = id };
		struct store_result r;
		if (g->nacts <= LISTED && is_told_later(acts, g->nacts, i)) {
			repeated++;
			continue;
		}
		if (store_incidents(g->store, &f, &r, err) < 0)
			return -1;
		if (r.n)
			json_array_append_new(list, describe(g, &r.incidents[0], acts[i],
							    json_array_size(list) < DETAILED));
		else
			repeated++; /* it was forgotten */
		store_result_release(&r);
	}
	json_object_set_new(doc, "count", json_integer((json_int_t)g->nacts - repeated));
	/* Of what was told late all but the last is past. */
	if (g->nacts - repeated == 1 && json_array_size(list) == 1)
		json_object_set(doc, "what", json_object_get(json_array_get(list, 0), "what"));
	return 0;
}

/* [{key: value, "count": n}...], the most frequent first, NAMED at most. */
static json_t *count_by(json_t *const *acts, size_t n, const char *key)
{
	json_t *counts = json_object(), *list = json_array(), *value;
	const char *name;

	for (size_t i = 0; i < n; i++) {
		const char *text = alert_message_text(acts[i], key);
		json_int_t had = json_integer_value(json_object_get(counts, text));
		json_object_set_new(counts, text, json_integer(had + 1));
	}
	while (json_array_size(list) < NAMED && json_object_size(counts)) {
		const char *most = NULL;
		json_int_t max = 0;
		json_object_foreach(counts, name, value)
		{
			if (json_integer_value(value) > max) {
				max = json_integer_value(value);
				most = name;
			}
		}
		json_array_append_new(list, json_pack("{s:s, s:I}", key, most, "count", max));
		json_object_del(counts, most);
	}
	json_decref(counts);
	return list;
}

static void add_kinds(json_t *doc, json_t *const *acts, size_t n)
{
	json_t *kinds = count_by(acts, n, "kind"), *one;
	size_t i;

	json_array_foreach(kinds, i, one)
	{
		int kind = incident_kind_by_name(alert_message_text(one, "kind"));
		json_object_set_new(
			one, "text", json_string(incident_kind_text((enum incident_kind)kind)));
	}
	json_object_set_new(doc, "kinds", kinds);
	json_object_set_new(doc, "dags", count_by(acts, n, "dag"));
}

static enum severity worst(json_t *const *acts, size_t n)
{
	int max = SEVERITY_INFO;

	for (size_t i = 0; i < n; i++) {
		int s = severity_by_name(alert_message_text(acts[i], "severity"));
		max = s > max ? s : max;
	}
	return (enum severity)max;
}

static void set_title(json_t *doc, const char *what)
{
	const json_t *list = json_object_get(doc, "incidents");
	long long count = json_integer_value(json_object_get(doc, "count"));
	struct buf title;

	buf_init(&title, 4096);
	if (count == 1 && json_array_size(list) == 1)
		alert_message_title(json_array_get(list, 0), &title);
	else
		buf_addf(&title, "%lld incidents %s", count, what);
	json_object_set_new(doc, "title", text_of(title.len ? title.data : "?", 900));
	buf_release(&title);
}

static void set_instance(json_t *doc, const char *home)
{
	char host[256] = "localhost", hex[DIGEST_HEX] = "";
	struct buf text;

	gethostname(host, sizeof host - 1);
	buf_init(&text, 8192);
	buf_addf(&text, "%s:%s", host, home);
	if (text.len && digest_of(text.data, text.len, hex) == 0)
		hex[12] = '\0';
	buf_release(&text);
	json_object_set_new(doc, "host", text_of(host, 255));
	json_object_set_new(doc, "instance", json_string(hex));
}

static bool nothing_is_open(struct store *s)
{
	const struct incident_filter f = { .limit = 1 };
	struct store_result r;

	if (store_incidents(s, &f, &r, NULL) < 0)
		return false;
	bool none = r.n == 0;
	store_result_release(&r);
	return none;
}

static json_t *document(const struct alert_group *g, json_t *const *acts, struct err *err)
{
	const char *what = alert_message_text(acts[0], "what");
	json_t *doc = json_pack("{s:s, s:s, s:o, s:s, s:s, s:s, s:s}", "schema", "weir.alert.v1",
		"id", g->acts[0]->key, "sent_at", instant(g->alerts, g->now_us), "route", g->route,
		"channel", g->channel, "what", what, "severity",
		severity_name(worst(acts, g->nacts)));

	if (!doc || add_incidents(doc, g, acts, err) < 0) {
		json_decref(doc);
		return doc ? NULL : (err_nomem(err), NULL);
	}
	what = alert_message_text(doc, "what");
	set_instance(doc, g->home);
	add_kinds(doc, acts, g->nacts);
	set_title(doc, what);
	if (json_array_size(g->failed))
		json_object_set(doc, "failed", (json_t *)g->failed);
	if (strcmp(what, "resolved") == 0)
		json_object_set_new(doc, "all_clear", json_boolean(nothing_is_open(g->store)));
	return doc;
}

/* What is long goes first, until it fits. */
static void fit(json_t *doc)
{
	static const char *const keys[] = { "runbook", "log", "checks", "dependents", "held",
		"error", "by", "reason", "commands" };
	json_t *list = json_object_get(doc, "incidents"), *one;
	size_t i;

	for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
		if (json_dumpb(doc, NULL, 0, JSON_COMPACT) <= DOCUMENT_MAX)
			return;
		json_array_foreach(list, i, one) json_object_del(one, keys[k]);
	}
	while (json_dumpb(doc, NULL, 0, JSON_COMPACT) > DOCUMENT_MAX && json_array_size(list) > 1)
		json_array_remove(list, json_array_size(list) - 1);
	if (json_dumpb(doc, NULL, 0, JSON_COMPACT) > DOCUMENT_MAX)
		json_object_del(doc, "failed");
}

json_t *alert_compose(const struct alert_group *g, struct err *err)
{
	json_t **acts = calloc(g->nacts, sizeof *acts), *doc = NULL;
	bool good = acts != NULL;

	for (size_t i = 0; good && i < g->nacts; i++) {
		acts[i] = json_loads(g->acts[i]->payload, 0, NULL);
		good = json_is_object(acts[i]);
	}
	if (good)
		doc = document(g, acts, err);
	else
		err_set(err, ERR_STORE, "an act of the outbox cannot be read");
	if (doc)
		fit(doc);
	for (size_t i = 0; acts && i < g->nacts; i++)
		json_decref(acts[i]);
	free(acts);
	return doc;
}

json_t *alert_compose_test(const struct alerts *alerts, const char *home, const char *channel)
{
	int64_t now = clock_now_us();
	char id[64];

	snprintf(id, sizeof id, "test/%lld", (long long)now);
	json_t *doc = json_pack("{s:s, s:s, s:o, s:s, s:s, s:s, s:s, s:s, s:i, s:[{s:i, s:s, s:s, "
				"s:s, s:s, s:s, s:s, s:o, s:o}]}",
		"schema", "weir.alert.v1", "id", id, "sent_at", instant(alerts, now), "route",
		"test", "channel", channel, "what", "test", "severity", "info", "title",
		"test: this is a test of Weir's alerts; nothing is wrong", "count", 1, "incidents",
		"id", 0, "what", "test", "kind", "test", "text",
		"this is a test of Weir's alerts; nothing is wrong", "dag", "weir", "task", "",
		"severity", "info", "opened_at", instant(alerts, now), "last_at",
		instant(alerts, now));

	if (doc)
		set_instance(doc, home);
	return doc;
}
