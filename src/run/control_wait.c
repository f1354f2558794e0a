#include "run/control_wait.h"

#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/err.h"
#include "base/io.h"
#include "base/node.h"
#include "base/units.h"
#include "conf/dagfile.h"
#include "core/dataset.h"
#include "core/model.h"
#include "core/zone.h"
#include "run/control.h"
#include "run/control_dag.h"
#include "run/job.h"
#include "store/store.h"

#define LOOK_SPARE_US (2 * US_PER_SECOND)
enum { SPREAD = 10, FILES_MAX = 10000 };

struct look {
	const struct control_look *l;
	const json_t *with;
	struct control_found *found;
};

static const char *text_of(const struct look *k, const char *key)
{
	return json_string_value(json_object_get(k->with, key));
}

static int64_t number_of(const struct look *k, const char *key)
{
	return json_integer_value(json_object_get(k->with, key));
}

static int put(const struct look *k, const char *key, json_t *value, struct err *err)
{
	return json_object_set_new(k->found->outputs, key, value) < 0 ? err_nomem(err) : 0;
}

static int put_instant(const struct look *k, const char *key, int64_t at_us, struct err *err)
{
	struct civil civil;
	struct buf text;

	buf_init(&text, 64);
	zone_to_civil(zone_utc(), at_us, &civil, NULL);
	civil_add_rfc3339(&text, &civil, 0);
	int rc = put(k, key, json_string(text.data), err);
	buf_release(&text);
	return rc;
}

/* ---- files ---------------------------------------------------------------------------- */

/* What is there is not yet what is waited for; in words that stay the same while it does. */
static bool say_unripe(const struct look *k, const char *path, const char *why)
{
	if (asprintf(&k->found->said, "%s %s", path, why) < 0)
		k->found->said = NULL;
	k->found->wait.said = k->found->said;
	return false;
}

/* A file that goes away meanwhile is not there; nor is what is no file. */
static bool is_ripe(const struct look *k, const char *path, int64_t *bytes)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return false;
	if (!S_ISREG(st.st_mode))
		return say_unripe(k, path, "is no file");
	int64_t at_us = st.st_mtim.tv_sec * US_PER_SECOND + st.st_mtim.tv_nsec / 1000;
	*bytes += st.st_size;
	if (st.st_size < number_of(k, "min_size"))
		return say_unripe(k, path, "is there, and smaller than min_size");
	if (k->l->attempt->now_us - at_us < number_of(k, "min_age"))
		return say_unripe(k, path, "is there, and was written to within min_age");
	return true;
}

static int judge_files(const struct look *k, const glob_t *g, struct err *err)
{
	int64_t bytes = 0;

	if (g->gl_pathc > FILES_MAX)
		return err_set(err, ERR_INVALID,
			"path: %zu files are too many to look at again and again (at most %d)",
			g->gl_pathc, FILES_MAX);
	for (size_t i = 0; i < g->gl_pathc; i++)
		if (!is_ripe(k, g->gl_pathv[i], &bytes))
			return 0;
	if (put(k, "path", json_string(g->gl_pathv[0]), err) < 0 ||
		put(k, "files", json_integer((json_int_t)g->gl_pathc), err) < 0 ||
		put(k, "bytes", json_integer(bytes), err) < 0)
		return -1;
	k->found->there = true;
	return 0;
}

static int look_for_files(const struct look *k, struct err *err)
{
	char *path = io_path_join(k->l->job->dag->dir, text_of(k, "path"));
	glob_t g = { 0 };
	int rc = 0;

	if (!path)
		return err_nomem(err);
	/* A folder that cannot be read, or is not there, has none yet. */
	int r = glob(path, 0, NULL, &g);
	if (r == GLOB_NOSPACE)
		rc = err_nomem(err);
	else if (r == 0)
		rc = judge_files(k, &g, err);
	if (rc == 0 && !k->found->there && !k->found->said) {
		k->found->wait.said = "it is gone again";
		k->found->wait.gone = true;
	}
	globfree(&g);
	free(path);
	return rc;
}

/* ---- time ----------------------------------------------------------------------------- */

static int instant_of(const struct look *k, int64_t *ret, struct err *err)
{
	const struct job_context *c = k->l->job;
	const char *text = text_of(k, "time");
	struct zone_local local;
	struct civil_text t;

	if (units_parse_duration(text, ret, NULL) == 0) {
		*ret += c->interval_end_us;
		return 0;
	}
	if (civil_parse(text, &t, err) < 0)
		return err_context(err, "time");
	if (t.parts & CIVIL_HAS_OFFSET) {
		*ret = civil_text_us(&t);
	} else {
		zone_local_to_utc(c->zone ? c->zone : zone_utc(), &t.civil, &local);
		*ret = local.first_us;
	}
	return 0;
}

static int look_at_clock(const struct look *k, struct err *err)
{
	int64_t at_us;

	if (instant_of(k, &at_us, err) < 0)
		return -1;
	if (k->l->attempt->now_us < at_us) {
		k->found->wait.again_us = at_us;
		k->found->wait.spread_us = 0;
		return 0;
	}
	int rc = put_instant(k, "at", at_us, err);
	k->found->there = rc == 0;
	return rc;
}

/* ---- runs ----------------------------------------------------------------------------- */

static int task_succeeded(const struct look *k, int64_t run_id, bool *ret, struct err *err)
{
	const char *task = text_of(k, "task");
	struct store_result rows;

	*ret = false;
	if (store_tasks(k->l->store, run_id, &rows, err) < 0)
		return -1;
	for (size_t i = 0; i < rows.n; i++)
		if (rows.tasks[i].map_index < 0 && strcmp(rows.tasks[i].name, task) == 0)
			*ret = rows.tasks[i].state == TASK_SUCCESS;
	store_result_release(&rows);
	return 0;
}

static int look_for_run(const struct look *k, struct err *err)
{
	const struct job_context *c = k->l->job;
	const struct run_key key = { text_of(k, "run"), c->interval_start_us, c->interval_end_us };
	struct store_result r;
	int rc = 0;

	k->found->watch = strdup(key.dag);
	if (store_run_by_key(k->l->store, &key, &r, err) < 0)
		return -1;
	if (r.n > 0 && text_of(k, "task"))
		rc = task_succeeded(k, r.runs[0].id, &k->found->there, err);
	else if (r.n > 0)
		k->found->there = r.runs[0].state == RUN_SUCCESS;
	if (rc == 0 && k->found->there)
		rc = put(k, "run", json_string(r.runs[0].name), err);
	store_result_release(&r);
	return rc;
}

/* ---- datasets ------------------------------------------------------------------------- */

/* The newest, when it is new enough. */
static int find_newest(const struct look *k, struct store_result *r, struct err *err)
{
	const struct update_filter f = {
		.which = UPDATES_OF, .dataset = text_of(k, "dataset"), .limit = 1
	};
	int64_t oldest_us = k->l->attempt->now_us - number_of(k, "newer_than");

	if (store_dataset_updates(k->l->store, &f, r, err) < 0)
		return -1;
	k->found->there = r->n > 0 && r->updates[0].at_us >= oldest_us;
	return 0;
}

/* Those that together cover the interval. */
static int find_covering(const struct look *k, struct store_result *r, struct err *err)
{
	const struct dataset_span all = { k->l->job->interval_start_us,
		k->l->job->interval_end_us };
	const struct update_filter f = { .which = UPDATES_DURING,
		.dataset = text_of(k, "dataset"),
		.from_us = all.start_us,
		.to_us = all.end_us };
	struct dataset_span *spans;

	if (store_dataset_updates(k->l->store, &f, r, err) < 0)
		return -1;
	spans = calloc(r->n + 1, sizeof *spans);
	if (!spans) {
		store_result_release(r);
		return err_nomem(err);
	}
	for (size_t i = 0; i < r->n; i++)
		spans[i] = (struct dataset_span){ r->updates[i].start_us, r->updates[i].end_us };
	k->found->there = dataset_covers(spans, r->n, &all);
	free(spans);
	return 0;
}

static int look_for_updates(const struct look *k, struct err *err)
{
	const char *dataset = text_of(k, "dataset");
	struct store_result r;
	int rc = json_object_get(k->with, "newer_than") ? find_newest(k, &r, err)
							: find_covering(k, &r, err);

	if (rc < 0)
		return -1;
	if (k->found->there) {
		const struct dataset_update_row *last =
			&r.updates[json_object_get(k->with, "newer_than") ? 0 : r.n - 1];
		rc = put(k, "dataset", json_string(dataset), err);
		if (rc == 0)
			rc = put_instant(k, "at", last->at_us, err);
		if (rc == 0 && last->run)
			rc = put(k, "run", json_string(last->run), err);
	} else if (!(k->found->dataset = strdup(dataset))) {
		rc = err_nomem(err);
	}
	store_result_release(&r);
	return rc;
}

/* ---- people --------------------------------------------------------------------------- */

enum { APPROVAL_POLL_S = 5 };

char *control_decision_text(const struct control_decision *d)
{
	json_t *o = json_pack("{s:b, s:s?, s:s?, s:O?}", "approved", d->approved, "by", d->by,
		"reason", d->reason, "fields", d->values);
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	json_decref(o);
	return text;
}

static bool says(const struct look *k, const char *key, const char *what)
{
	const char *text = text_of(k, key);

	return text && strcmp(text, what) == 0;
}

static int take_decision(const struct look *k, const char *text, struct err *err)
{
	json_t *d = json_loads(text, 0, NULL);
	const char *by = json_string_value(json_object_get(d, "by")),
		   *reason = json_string_value(json_object_get(d, "reason"));
	int rc = 0;

	if (json_is_true(json_object_get(d, "approved"))) {
		json_object_del(d, "approved");
		json_object_update(k->found->outputs, d);
		k->found->there = true;
	} else if (says(k, "on_reject", "skip")) {
		k->found->skip = true;
	} else {
		rc = err_set(err, ERR_REFUSED, "rejected by %s%s%s", by ? by : "somebody",
			reason ? ": " : "", reason ? reason : "");
	}
	json_decref(d);
	return rc;
}

/* Nobody has decided in time: what counts as said is recorded as if it had been. */
static int decide_by_time(const struct look *k, struct err *err)
{
	const struct task *t = k->l->attempt->task;
	bool approved = says(k, "default", "approve");
	json_t *values = approved ? dagfile_form(node_get(t->with, "fields"), NULL, err) : NULL;
	const struct control_decision d = { .approved = approved,
		.by = "weir",
		.reason = "nobody decided in time",
		.values = values };
	char *text = control_decision_text(&d);
	const struct approval_put put = { .run_id = k->l->run_id,
		.task = t->name,
		.map_index = -1,
		.approved = approved,
		.decision = text,
		.now_us = k->l->attempt->now_us };
	int rc = -1;

	if (text && (values || !approved))
		rc = store_decide(k->l->store, &put, err) < 0 ? -1 : take_decision(k, text, err);
	else if (!text)
		err_nomem(err);
	json_decref(values);
	free(text);
	return rc;
}

static int look_for_decision(const struct look *k, struct err *err)
{
	int64_t now_us = k->l->attempt->now_us, until_us = k->l->deadline_us;
	struct store_result r;
	int rc = 0;

	k->found->wait.input = true;
	k->found->wait.again_us = now_us + APPROVAL_POLL_S * US_PER_SECOND;
	/* A decision about a former time it was asked may still be there. */
	if (!k->l->asked)
		return 0;
	if (store_approval(k->l->store, k->l->run_id, k->l->attempt->task->name, &r, err) < 0)
		return -1;
	/* What it has then is of a former time; and nothing can be decided yet. */
	if (k->l->waits && (r.n == 0 || r.approvals[0].state != TASK_AWAITING_INPUT))
		rc = err_set(err, ERR_BUSY, "that it is asked is not recorded yet");
	else if (r.n > 0 && r.approvals[0].decision)
		rc = take_decision(k, r.approvals[0].decision, err);
	else if (until_us && now_us >= until_us && r.n > 0 && r.approvals[0].due_us > now_us)
		rc = err_set(err, ERR_BUSY, "another process has asked anew, and waits longer");
	else if (until_us && now_us >= until_us)
		rc = decide_by_time(k, err);
	store_result_release(&r);
	return rc;
}

/* ---- any ------------------------------------------------------------------------------ */

/* Without what may be a secret: a name and password in front of the host, and the query. */
static char *describe_url(const char *url)
{
	const char *host = strstr(url, "://");
	host = host ? host + 3 : url;
	size_t len = strcspn(host, "?#"), name = strcspn(host, "/?#");
	const char *at = memrchr(host, '@', name);
	char *ret;

	size_t skip = at ? (size_t)(at + 1 - host) : 0;
	int n = asprintf(&ret, "%.*s%.*s", (int)(host - url), url, (int)(len - skip), host + skip);
	return n < 0 ? NULL : ret;
}

/* "2026-11-20T06:00:00Z (6h after the interval's end)" */
static char *describe_moment(const struct look *k, const char *after)
{
	struct civil civil;
	struct zone_info info;
	struct buf b;
	int64_t at_us;

	buf_init(&b, 256);
	if (instant_of(k, &at_us, NULL) == 0) {
		zone_to_civil(k->l->job->zone ? k->l->job->zone : zone_utc(), at_us, &civil, &info);
		civil_add_rfc3339(&b, &civil, info.offset_s);
		buf_addf(&b, " (%s after the interval's end)", after);
	} else {
		buf_addf(&b, "%s after the interval's end", after);
	}
	return buf_take(&b);
}

/* In words, for people; NULL: no memory, which others find out. */
static char *describe(const struct look *k)
{
	if (text_of(k, "prompt"))
		return strdup(text_of(k, "prompt"));
	if (control_dag_is(k->l->attempt->task)) {
		char *own;
		return asprintf(&own, "the run of %s", text_of(k, "dag")) < 0 ? NULL : own;
	}
	const char *path = text_of(k, "path"), *time = text_of(k, "time"), *run = text_of(k, "run"),
		   *task = text_of(k, "task"), *dataset = text_of(k, "dataset"),
		   *url = text_of(k, "url");
	int64_t us;
	char *ret;
	int n;

	if (url)
		return describe_url(url);
	if (json_object_get(k->with, "sql"))
		n = asprintf(&ret, "its query of %s", text_of(k, "connection"));
	else if (path)
		n = asprintf(&ret, "the file %s", path);
	else if (dataset)
		n = asprintf(&ret, "an update of the dataset %s%s", dataset,
			json_object_get(k->with, "newer_than") ? "" : " for this interval");
	else if (time && units_parse_duration(time, &us, NULL) == 0)
		return describe_moment(k, time);
	else if (time)
		n = asprintf(&ret, "%s", time);
	else
		n = asprintf(&ret, "%s%s%s of %s", task ? "task " : "the run", task ? task : "",
			task ? " of the run" : "", run);
	return n < 0 ? NULL : ret;
}

static int look(const struct look *k, struct err *err)
{
	if (control_dag_is(k->l->attempt->task))
		return control_dag_look(k->l, k->with, k->found, err);
	if (text_of(k, "prompt"))
		return look_for_decision(k, err);
	if (text_of(k, "url") || json_object_get(k->with, "sql")) {
		k->found->look = true;
		return 0;
	}
	if (text_of(k, "path"))
		return look_for_files(k, err);
	if (text_of(k, "time"))
		return look_at_clock(k, err);
	if (text_of(k, "dataset"))
		return look_for_updates(k, err);
	return look_for_run(k, err);
}

int control_wait_look(const struct control_look *l, struct control_found *ret, struct err *err)
{
	struct look k = { .l = l, .found = ret };
	json_t *with = job_with(l->job, l->attempt, err);
	int64_t now_us = l->attempt->now_us;
	int rc = -1;

	*ret = (struct control_found){ .outputs = json_object(),
		.wait = { .run_id = l->run_id,
			.task = l->attempt->task->index,
			.again_us = now_us + US_PER_MINUTE } };
	if (!with || !ret->outputs) {
		if (with)
			err_nomem(err);
		goto out;
	}
	k.with = with;
	int64_t timeout_us = number_of(&k, "timeout"), poll_us = number_of(&k, "poll");
	const char *late = text_of(&k, "on_timeout");
	ret->wait.again_us = now_us + poll_us;
	ret->wait.spread_us = poll_us / SPREAD; /* an approval has no poll */
	ret->wait.deadline_us = timeout_us ? now_us + timeout_us : 0;
	ret->wait.what = ret->what = describe(&k);
	ret->wait.skip = late && strcmp(late, "skip") == 0;
	rc = l->stopped ? 0 : look(&k, err);
out:
	json_decref(with);
	ret->there = ret->there && rc == 0;
	if (!ret->there) {
		json_decref(ret->outputs);
		ret->outputs = NULL;
	}
	return rc;
}

/* It is to say itself that it took too long. */
int64_t control_look_limit_us(const json_t *with)
{
	return json_integer_value(json_object_get(with, "look_timeout")) + LOOK_SPARE_US;
}

void control_found_release(struct control_found *f)
{
	json_decref(f->outputs);
	free(f->what);
	free(f->dataset);
	free(f->watch);
	free(f->said);
	*f = (struct control_found){ 0 };
}

int control_wait_run(const struct control_look *l, struct control_end *ret, struct err *err)
{
	struct control_found found = { 0 };
	bool yes;

	*ret = (struct control_end){ 0 };
	if (control_only_if(l->job, l->attempt, &yes, err) < 0 ||
		control_wait_look(l, &found, err) < 0) {
		ret->may_retry = found.may_retry;
		control_found_release(&found);
		return -1;
	}
	ret->outputs = json_incref(found.outputs);
	control_found_release(&found);
	return ret->outputs ? 0
			    : err_set(err, ERR_BUSY, "what it waited for is not there any more");
}
