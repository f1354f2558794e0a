/* Switches and triggers: intent, recorded. */
#include "run/ops.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/near.h"
#include "base/utf8.h"
#include "conf/dagfile.h"
#include "run/control_dag.h"
#include "run/name.h"
#include "run/ops_impl.h"

enum { REASON_MAX_LEN = 1000, TASKS_NAMED = 512 };

/* ---- shared ---------------------------------------------------------------------------- */

json_t *ops_json_text(const char *text)
{
	return text ? json_string(text) : json_null();
}

const char *ops_by(const struct ops *o)
{
	return o->by ? o->by : "unknown";
}

int ops_check_reason(const char *reason, struct err *err)
{
	size_t len = reason ? strlen(reason) : 0, n;

	if (len > REASON_MAX_LEN)
		return err_set(err, ERR_USAGE, "the reason has %zu bytes; %d are enough", len,
			REASON_MAX_LEN);
	for (size_t i = 0; i < len; i += n) {
		uint32_t c = 0;
		n = utf8_char(reason + i, len - i, &c);
		if (n == 0)
			return err_set(err, ERR_USAGE, "the reason is not UTF-8");
		if (c < ' ' || c == 0x7f)
			return err_set(err, ERR_USAGE, "the reason must be one line of text");
	}
	return 0;
}

int ops_answer(json_t *made, json_t **ret, struct err *err)
{
	if (!made)
		return err_nomem(err);
	*ret = made;
	return 0;
}

void ops_tell(const struct ops *o, enum ops_event what, const char *dag, int64_t id)
{
	if (o->changed)
		o->changed(o->arg, what, dag, id);
}

void ops_note(const struct ops *o, struct ops_note n)
{
	if (!n.by)
		n.by = ops_by(o);
	if (o->note)
		o->note(o->arg, &n);
}

/* ---- switches of DAGs -------------------------------------------------------------------- */

struct standing {
	bool known; /* to the store */
	bool paused, all_paused, draining;
	bool kept;         /* the very switch that pauses it is on */
	char *by, *reason; /* who set that one, and why; owned */
};

static bool is_all(const char *dag)
{
	return strcmp(dag, "*") == 0;
}

static void release_kept(struct standing *s)
{
	free(s->by);
	free(s->reason);
	s->by = s->reason = NULL;
	s->kept = false;
}

/* Of the switch that holds exactly what was named: one DAG, or all. */
static void keep_pause(struct standing *ret, const struct dag_row *row, bool all)
{
	if (ret->kept || !row->paused || row->all_paused != all)
		return;
	ret->kept = true;
	ret->by = row->paused_by ? strdup(row->paused_by) : NULL;
	ret->reason = row->paused_reason ? strdup(row->paused_reason) : NULL;
}

static int add_standing(struct store *s, const char *dag, struct standing *ret, struct err *err)
{
	struct store_result dags;

	if (store_dags(s, is_all(dag) ? NULL : dag, &dags, err) < 0)
		return -1;
	ret->known = dags.n > 0;
	ret->draining = dags.n > 0;
	for (size_t i = 0; i < dags.n; i++) {
		const struct dag_row *row = &dags.dags[i];
		ret->all_paused |= row->all_paused;
		ret->paused |= is_all(dag) ? row->all_paused : row->paused;
		ret->draining &= row->draining;
		keep_pause(ret, row, is_all(dag));
	}
	store_result_release(&dags);
	return 0;
}

/* How a DAG stands. A switch for all DAGs is told in the row of each: one that has none yet stands
 * as the others do. */
static int read_standing(struct store *s, const char *dag, struct standing *ret, struct err *err)
{
	*ret = (struct standing){ 0 };
	if (add_standing(s, dag, ret, err) < 0)
		return -1;
	if (ret->known || is_all(dag))
		return 0;
	int rc = add_standing(s, "*", ret, err);
	release_kept(ret);
	ret->known = false;
	return rc;
}

int ops_is_paused(struct store *s, const char *dag, bool *ret, struct err *err)
{
	struct standing now;

	if (read_standing(s, dag, &now, err) < 0)
		return -1;
	release_kept(&now);
	*ret = now.paused;
	return 0;
}

/* A misspelt name is an error; a DAG whose file is broken or gone is none. */
static int check_known(
	const struct ops *o, const char *dag, const struct standing *now, struct err *err)
{
	struct err why;

	if (now->known || is_all(dag))
		return 0;
	err_clear(&why);
	struct dag *found = o->find_dag(o->arg, dag, &why);
	dag_unref(found);
	if (found || why.code == ERR_INVALID)
		return 0;
	if (err)
		*err = why;
	return -1;
}

static int put_switch(const struct ops *o, const char *dag, enum dag_switch which, bool on,
	const char *reason, struct err *err)
{
	const struct switch_put put = { .dag = dag,
		.which = which,
		.on = on,
		.by = ops_by(o),
		.reason = reason,
		.now_us = clock_now_us() };

	return store_switch(o->store, &put, err);
}

/* What each of these commands does to the switches: -1 leaves one as it is. */
struct wish {
	int paused, draining;
	const char *what, *reason;
};

/* Who paused it and why stays, until another reason is given. */
static bool goes_on(const struct wish *w, const struct standing *was)
{
	return w->paused > 0 && !w->reason && was->kept;
}

static bool changed(const struct standing *was, const struct standing *is)
{
	return !was->known || was->paused != is->paused || was->draining != is->draining;
}

static int answer_standing(const struct ops *o, const char *dag, const struct wish *w,
	const struct standing *was, json_t **ret, struct err *err)
{
	const char *by = goes_on(w, was) && was->by ? was->by : ops_by(o),
		   *reason = goes_on(w, was) ? was->reason : w->reason;
	struct standing is;

	if (read_standing(o->store, dag, &is, err) < 0)
		return -1;
	release_kept(&is);
	if (is_all(dag) && w->paused >= 0)
		is.paused = is.all_paused = w->paused;
	if (is_all(dag) && w->draining >= 0)
		is.draining = w->draining;
	ops_note(o, (struct ops_note){ .what = w->what, .dag = dag, .reason = w->reason });
	ops_tell(o, OPS_SWITCHED, dag, 0);
	return ops_answer(
		json_pack("{s:s, s:b, s:b, s:b, s:s, s:o, s:b}", "dag", dag, "paused", is.paused,
			"all_paused", is.all_paused, "draining", is.draining, "by", by, "reason",
			ops_json_text(reason), "changed", changed(was, &is)),
		ret, err);
}

static int set_switches(
	const struct ops *o, const char *dag, const struct wish *w, json_t **ret, struct err *err)
{
	struct standing was = { 0 };
	int rc = -1;

	if (!dag)
		dag = "*";
	if (ops_check_reason(w->reason, err) < 0 || read_standing(o->store, dag, &was, err) < 0 ||
		check_known(o, dag, &was, err) < 0)
		goto out;
	if (w->paused >= 0 && !goes_on(w, &was) &&
		put_switch(o, dag, DAG_PAUSED, w->paused, w->reason, err) < 0)
		goto out;
	if (w->draining >= 0 && put_switch(o, dag, DAG_DRAINING, w->draining, w->reason, err) < 0)
		goto out;
	rc = answer_standing(o, dag, w, &was, ret, err);
out:
	release_kept(&was);
	return rc;
}

int ops_pause(const struct ops *o, const char *dag, bool on, const char *reason, json_t **ret,
	struct err *err)
{
	return set_switches(
		o, dag, &(struct wish){ on, -1, on ? "pause" : "resume", reason }, ret, err);
}

int ops_drain(const struct ops *o, const char *dag, bool on, const char *reason, json_t **ret,
	struct err *err)
{
	return set_switches(
		o, dag, &(struct wish){ -1, on, on ? "drain" : "resume", reason }, ret, err);
}

int ops_resume(
	const struct ops *o, const char *dag, const char *reason, json_t **ret, struct err *err)
{
	return set_switches(o, dag, &(struct wish){ false, false, "resume", reason }, ret, err);
}

/* ---- freezing tasks ---------------------------------------------------------------------- */

/* *ret: the row, in `rows`; NULL when it is not. */
static int find_frozen(struct store *s, const struct ops_note *n, struct store_result *rows,
	const struct frozen_row **ret, struct err *err)
{
	*ret = NULL;
	if (store_frozen(s, n->dag, rows, err) < 0)
		return -1;
	for (size_t i = 0; i < rows->n && !*ret; i++)
		if (strcmp(rows->frozen[i].task, n->task) == 0)
			*ret = &rows->frozen[i];
	return 0;
}

const struct task *ops_find_task(const struct dag *dag, const char *name, struct err *err)
{
	const struct task *found = dag_find(dag, name);
	const char *names[TASKS_NAMED];
	size_t n = 0;

	if (found)
		return found;
	for (; n < TASKS_NAMED && n < (size_t)dag->ntasks; n++)
		names[n] = dag->tasks[n].name;
	const char *near = near_find(name, names, n);
	err_set(err, ERR_NOT_FOUND, "DAG %s has no task \"%.100s\"%s%s%s", dag->name, name,
		near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	return NULL;
}

static int check_task(const struct ops *o, const char *name, const char *task, struct err *err)
{
	struct dag *dag = o->find_dag(o->arg, name, err);

	if (!dag)
		return -1;
	int rc = 0;
	if (strchr(task, '['))
		rc = err_set(err, ERR_USAGE,
			"\"%.100s\" names an instance: a mapped task is frozen as a whole", task);
	else if (!ops_find_task(dag, task, err))
		rc = -1;
	dag_unref(dag);
	return rc;
}

int ops_freeze(const struct ops *o, const char *dag, const char *task, bool on, const char *reason,
	json_t **ret, struct err *err)
{
	const struct ops_note note = {
		.what = on ? "freeze" : "unfreeze", .dag = dag, .task = task, .reason = reason
	};
	const struct switch_put put = { .dag = dag,
		.task = task,
		.on = on,
		.by = ops_by(o),
		.reason = reason,
		.now_us = clock_now_us() };
	const struct frozen_row *was;
	struct store_result rows;
	int rc = -1;

	if (ops_check_reason(reason, err) < 0 || find_frozen(o->store, &note, &rows, &was, err) < 0)
		return -1;
	/* Who froze it and why stays, until another reason is given. */
	bool goes_on = was && on && !reason;
	/* What is frozen can be let go, also when the DAG has no such task any more. */
	if (!was && check_task(o, dag, task, err) < 0)
		goto out;
	if ((was || on) && !goes_on && store_switch(o->store, &put, err) < 0)
		goto out;
	ops_note(o, note);
	ops_tell(o, OPS_SWITCHED, dag, 0);
	rc = ops_answer(json_pack("{s:s, s:s, s:b, s:s, s:o, s:b}", "dag", dag, "task", task,
				"frozen", on, "by", goes_on && was->by ? was->by : ops_by(o),
				"reason", ops_json_text(goes_on ? was->reason : reason), "changed",
				(was != NULL) != on),
		ret, err);
out:
	store_result_release(&rows);
	return rc;
}

/* ---- the DAGs ---------------------------------------------------------------------------- */

static json_t *frozen_json(const struct store_result *frozen, const char *dag)
{
	json_t *list = json_array();

	for (size_t i = 0; i < frozen->n; i++) {
		const struct frozen_row *f = &frozen->frozen[i];
		if (strcmp(f->dag, dag) == 0)
			json_array_append_new(list,
				json_pack("{s:s, s:o, s:o, s:o}", "task", f->task, "by",
					ops_json_text(f->by), "reason", ops_json_text(f->reason),
					"at", ops_json_time(zone_utc(), f->at_us)));
	}
	return list;
}

static json_t *last_json(const struct plan_row *p)
{
	if (!p)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o}", "interval_start",
		ops_json_instant(zone_utc(), p->start_us), "interval_end",
		ops_json_instant(zone_utc(), p->end_us), "action", ops_json_text(p->action), "why",
		ops_json_text(p->why));
}

static json_t *dag_json(const struct dag_row *d, const struct store_result *frozen)
{
	const struct zone *utc = zone_utc();
	json_t *o = json_pack("{s:s, s:o, s:o, s:b, s:o}", "dag", d->name, "path",
		ops_json_text(d->path), "version", ops_json_text(d->version), "present", d->present,
		"error", ops_json_text(d->error));
	json_t *pause = json_pack("{s:b, s:b, s:o, s:o, s:o}", "paused", d->paused, "all_paused",
		d->all_paused, "paused_by", ops_json_text(d->paused_by), "paused_reason",
		ops_json_text(d->paused_reason), "paused_at", ops_json_time(utc, d->paused_us));
	json_t *drain = json_pack("{s:b, s:o, s:o, s:o}", "draining", d->draining, "draining_by",
		ops_json_text(d->draining_by), "draining_reason", ops_json_text(d->draining_reason),
		"draining_at", ops_json_time(utc, d->draining_us));

	if (o) {
		json_object_update(o, pause);
		json_object_update(o, drain);
		json_object_set_new(o, "frozen", frozen_json(frozen, d->name));
		json_object_set_new(o, "last", last_json(d->last));
	}
	json_decref(pause);
	json_decref(drain);
	return o;
}

int ops_dags(const struct ops *o, const char *dag, json_t **ret, struct err *err)
{
	struct store_result dags, frozen;
	json_t *list = json_array();

	if (store_dags(o->store, dag, &dags, err) < 0) {
		json_decref(list);
		return -1;
	}
	if (store_frozen(o->store, dag, &frozen, err) < 0) {
		store_result_release(&dags);
		json_decref(list);
		return -1;
	}
	for (size_t i = 0; i < dags.n; i++)
		json_array_append_new(list, dag_json(&dags.dags[i], &frozen));
	store_result_release(&frozen);
	store_result_release(&dags);
	return ops_answer(json_pack("{s:o}", "dags", list), ret, err);
}

/* ---- params ------------------------------------------------------------------------------ */

char *ops_params(const struct dag *dag, const char *const *given, struct err *err)
{
	json_t *params = dagfile_params(dag, given, err);
	char *text = params ? json_dumps(params, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	if (params && !text)
		err_nomem(err);
	json_decref(params);
	return text;
}

/* The params of a run that exists: its own, and defaults for what it had not. */
static char *former_params(const struct dag *dag, const char *former, struct err *err)
{
	json_t *params = dagfile_params(dag, NULL, err), *values = json_loads(former, 0, NULL);
	char *text = NULL;

	if (params) {
		json_object_update_existing(params, values);
		text = json_dumps(params, JSON_COMPACT | JSON_SORT_KEYS);
		if (!text)
			err_nomem(err);
	}
	json_decref(values);
	json_decref(params);
	return text;
}

static bool same_params(const char *a, const char *b)
{
	json_t *x = json_loads(a, 0, NULL), *y = json_loads(b, 0, NULL);
	bool same = json_equal(x, y);

	json_decref(x);
	json_decref(y);
	return same;
}

/* ---- triggers ---------------------------------------------------------------------------- */

bool ops_run_is_active(const struct run_row *run, int64_t now_us)
{
	/* A final run that is wanted waits to be done once more. */
	if (run->wanted)
		return true;
	return !run_state_is_final(run->state) && run->owner.pid != 0 &&
	       !owner_is_dead(&run->owner) && run->lease_until_us > now_us;
}

struct trigger {
	const struct ops *ops;
	const struct ops_trigger *asked;
	struct dag *dag;
	struct tick tick;
	const char *trigger;
	char ds[32];
	char *params;
	struct run_opened opened;
};

static int check_existing(const struct trigger *t, const struct run_row *run, struct err *err)
{
	if (ops_run_is_active(run, clock_now_us()))
		return err_set(err, ERR_REFUSED,
			"run %s is %s already; weir show %s tells how far it is", run->name,
			run->wanted && run->owner.pid == 0 ? "waiting for a daemon" : "active",
			run->name);
	if (run->state == RUN_SUCCESS && !t->asked->force)
		return err_set(err, ERR_REFUSED,
			"run %s succeeded; --force does all its tasks again", run->name);
	return 0;
}

/* A run has one set of params: with others, what was done would not fit to what is still to be
 * done. */
static int settle_params(struct trigger *t, const struct run_row *run, struct err *err)
{
	bool given = t->asked->params && t->asked->params[0];

	t->params = run && !given ? former_params(t->dag, run->params, err)
				  : ops_params(t->dag, t->asked->params, err);
	if (!t->params)
		return -1;
	if (!run || !given || t->asked->force || run->nsuccess == 0 ||
		same_params(t->params, run->params))
		return 0;
	return err_set(err, ERR_REFUSED,
		"run %s was begun with params %s; leave --param out to go on with them, or do all "
		"of it again with --force",
		run->name, run->params);
}

static struct run_key key_of(const struct trigger *t)
{
	return (struct run_key){ t->dag->name, t->tick.start_us, t->tick.end_us };
}

static int prepare(struct trigger *t, struct err *err)
{
	const struct run_key key = key_of(t);
	struct store_result found;
	int rc = -1;

	ops_ds(t->dag, t->tick.start_us, t->ds);
	if (store_run_by_key(t->ops->store, &key, &found, err) < 0)
		return -1;
	const struct run_row *run = found.n ? &found.runs[0] : NULL;
	if (!run || check_existing(t, run, err) == 0)
		rc = settle_params(t, run, err);
	store_result_release(&found);
	return rc;
}

/* A run without an owner, for a daemon to take up. */
static int record(struct trigger *t, struct err *err)
{
	const struct dag *dag = t->dag;
	const struct run_key key = key_of(t);
	char *name = run_name(&key, t->ds, false), *long_name = run_name(&key, t->ds, true);
	const char **tasks = calloc((size_t)dag->ntasks + 1, sizeof *tasks);
	const struct run_open open = { .key = key,
		.name = name,
		.long_name = long_name,
		.ds = t->ds,
		.zone = zone_name(ops_zone(dag)),
		.params = t->params,
		.trigger = t->trigger,
		.dag_path = dag->path,
		.dag_dir = dag->dir,
		.version = dag->hash,
		.text = dag->text,
		.tasks = tasks,
		.ntasks = (size_t)dag->ntasks,
		.now_us = clock_now_us(),
		.wanted = true,
		.anew = true };
	const struct store_plan plan = { .opens = &open, .nopens = 1 };
	int rc = -1;

	for (int i = 0; tasks && i < dag->ntasks; i++)
		tasks[i] = dag->tasks[i].name;
	if (!name || !long_name || !tasks)
		err_nomem(err);
	else
		rc = store_plan_commit(t->ops->store, &plan, &t->opened, err);
	if (rc == 0 && t->opened.run_id == 0)
		rc = err_set(err, ERR_REFUSED, "run %s belongs to another process now", name);
	free(name);
	free(long_name);
	free(tasks);
	return rc;
}

static int answer_trigger(const struct trigger *t, json_t **ret, struct err *err)
{
	const struct run_key key = key_of(t);
	const struct zone *zone = ops_zone(t->dag);
	struct standing now;
	struct store_result found;

	if (read_standing(t->ops->store, t->dag->name, &now, err) < 0)
		return -1;
	release_kept(&now);
	if (store_run_by_key(t->ops->store, &key, &found, err) < 0)
		return -1;
	const char *name = found.n ? found.runs[0].name : "?";
	ops_note(t->ops, (struct ops_note){ .what = "trigger", .dag = t->dag->name, .run = name });
	json_t *o = json_pack("{s:s, s:I, s:s, s:s, s:b, s:b, s:o, s:o, s:o, s:b}", "run", name,
		"run_id", (json_int_t)t->opened.run_id, "dag", t->dag->name, "ds", t->ds, "created",
		t->opened.created, "force", t->asked->force, "interval_start",
		ops_json_instant(zone, t->tick.start_us), "interval_end",
		ops_json_instant(zone, t->tick.end_us), "params", json_loads(t->params, 0, NULL),
		"dag_paused", now.paused);
	store_result_release(&found);
	return ops_answer(o, ret, err);
}

int ops_trigger(const struct ops *o, const struct ops_trigger *asked, json_t **ret, struct err *err)
{
	struct trigger t = {
		.ops = o, .asked = asked, .trigger = asked->force ? OPS_TRIGGER_FORCE : OPS_TRIGGER
	};
	int rc = -1;

	t.dag = o->find_dag(o->arg, asked->dag, err);
	if (!t.dag)
		return -1;
	if (ops_interval(t.dag, asked->date, clock_now_us(), &t.tick, err) == 0 &&
		prepare(&t, err) == 0)
		rc = record(&t, err);
	if (rc == 0) {
		ops_tell(o, OPS_TRIGGERED, t.dag->name, t.opened.run_id);
		rc = answer_trigger(&t, ret, err);
	}
	free(t.params);
	dag_unref(t.dag);
	return rc;
}

/* ---- runs that tasks want ----------------------------------------------------------------- */

/* "name=value" each, NULL-ended; to be freed with free_given. */
static void free_given(char **given)
{
	for (size_t i = 0; given && given[i]; i++)
		free(given[i]);
	free(given);
}

static char **given_of(const json_t *params, struct err *err)
{
	char **given = calloc(json_object_size(params) + 1, sizeof *given);
	const char *name;
	json_t *value;
	size_t n = 0;

	json_object_foreach((json_t *)params, name, value)
	{
		char *text = json_is_string(value)
				     ? strdup(json_string_value(value))
				     : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
		int rc = given && text ? asprintf(&given[n], "%s=%s", name, text) : -1;
		free(text);
		if (rc < 0) {
			if (given)
				given[n] = NULL;
			free_given(given);
			err_nomem(err);
			return NULL;
		}
		n++;
	}
	if (!given)
		err_nomem(err);
	return given;
}

/* 1: there is nothing to record, it is at work or waits to be. */
static int prepare_child(struct trigger *t, int64_t *ret_run_id, struct err *err)
{
	const struct run_key key = key_of(t);
	struct store_result found;
	int rc;

	ops_ds(t->dag, t->tick.start_us, t->ds);
	if (store_run_by_key(t->ops->store, &key, &found, err) < 0)
		return -1;
	const struct run_row *run = found.n ? &found.runs[0] : NULL;
	*ret_run_id = run ? run->id : 0;
	if (run && (ops_run_is_active(run, clock_now_us()) || run->state == RUN_SUCCESS))
		rc = 1;
	else
		rc = settle_params(t, run, err);
	store_result_release(&found);
	return rc;
}

int ops_child(const struct ops *o, const struct child_run *c, int64_t *ret_run_id, struct err *err)
{
	char **given = given_of(c->params, err);
	const struct ops_trigger asked = { .dag = c->dag, .params = (const char *const *)given };
	struct trigger t = { .ops = o,
		.asked = &asked,
		.trigger = CONTROL_DAG_TRIGGER,
		.tick = { .start_us = c->interval_start_us, .end_us = c->interval_end_us } };
	int rc = -1;

	if (given && (t.dag = o->find_dag(o->arg, c->dag, err)))
		rc = prepare_child(&t, ret_run_id, err);
	if (rc == 0 && (rc = record(&t, err)) == 0)
		*ret_run_id = t.opened.run_id;
	if (rc == 0)
		ops_note(o, (struct ops_note){ .what = "trigger", .dag = c->dag, .by = c->by });
	if (rc >= 0)
		ops_tell(o, OPS_TRIGGERED, c->dag, *ret_run_id);
	free(t.params);
	dag_unref(t.dag);
	free_given(given);
	return rc < 0 ? -1 : 0;
}
