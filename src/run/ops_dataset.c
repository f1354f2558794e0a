/* Datasets: how fresh they are, who has to do with them; and updates from elsewhere. */
#include <stdlib.h>
#include <string.h>

#include "base/civil.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/near.h"
#include "core/dataset.h"
#include "core/timetable.h"
#include "run/ops_impl.h"

/* ---- what is answered -------------------------------------------------------------------- */

static json_t *utc(int64_t at_us)
{
	return ops_json_time(zone_utc(), at_us);
}

json_t *ops_update_json(const struct dataset_update_row *u)
{
	if (!u)
		return json_null();
	json_t *o = json_pack("{s:I, s:o, s:s, s:o, s:o, s:o, s:o}", "update", (json_int_t)u->id,
		"at", utc(u->at_us), "dataset", u->dataset, "interval_start",
		ops_json_instant(zone_utc(), u->start_us), "interval_end",
		ops_json_instant(zone_utc(), u->end_us), "dag", ops_json_text(u->dag), "task",
		ops_json_text(u->task));
	json_t *more = json_pack("{s:o, s:o, s:o, s:o, s:b}", "map_index",
		u->map_index < 0 ? json_null() : json_integer(u->map_index), "run",
		ops_json_text(u->run), "by", ops_json_text(u->by), "reason",
		ops_json_text(u->reason), "backfill", !u->wakes);

	if (o && more)
		json_object_update_new(o, more);
	return o;
}

static json_t *links_json(const struct store_result *links, const char *dataset, bool producers)
{
	json_t *list = json_array();

	for (size_t i = 0; i < links->n; i++) {
		const struct dataset_link *l = &links->links[i];
		if (strcmp(l->dataset, dataset) != 0 || (l->role == DATASET_PRODUCES) != producers)
			continue;
		json_array_append_new(list, json_pack("{s:s, s:o}", "dag", l->dag, "task",
						    ops_json_text(*l->task ? l->task : NULL)));
	}
	return list;
}

/* Until when it is fresh by the strictest SLA; 0: none says. */
static int64_t fresh_until(const struct store_result *links, const struct dataset_row *d)
{
	int64_t within = 0, base = d->fresh_us ? d->fresh_us : d->since_us;

	for (size_t i = 0; i < links->n; i++) {
		int64_t us = links->links[i].fresh_within_us;
		if (us && strcmp(links->links[i].dataset, d->name) == 0 && (!within || us < within))
			within = us;
	}
	return within && base <= INT64_MAX - within ? base + within : 0;
}

static json_t *dataset_json(const struct dataset_row *d, const struct store_result *links)
{
	int64_t until = fresh_until(links, d);

	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "dataset", d->name, "fresh",
		until ? json_boolean(clock_now_us() < until) : json_null(), "updated",
		utc(d->fresh_us), "until", utc(d->end_us), "fresh_until", utc(until), "last",
		ops_update_json(d->last), "producers", links_json(links, d->name, true),
		"consumers", links_json(links, d->name, false));
}

static int answer_all(const struct store_result *rows, const struct store_result *links,
	json_t **ret, struct err *err)
{
	json_t *list = json_array();

	for (size_t i = 0; i < rows->n; i++) {
		json_t *o = dataset_json(&rows->datasets[i], links);
		/* Nothing names it any more, and nothing ever updated it. */
		if (rows->datasets[i].last || json_array_size(json_object_get(o, "producers")) ||
			json_array_size(json_object_get(o, "consumers")))
			json_array_append(list, o);
		json_decref(o);
	}
	return ops_answer(json_pack("{s:o}", "datasets", list), ret, err);
}

/* ---- one --------------------------------------------------------------------------------- */

static int add_history(const struct ops *o, const char *name, json_t *one, struct err *err)
{
	const struct update_filter f = {
		.which = UPDATES_OF, .dataset = name, .limit = OPS_DATASET_HISTORY
	};
	json_t *list = json_array();
	struct store_result rows;

	if (store_dataset_updates(o->store, &f, &rows, err) < 0) {
		json_decref(list);
		return -1;
	}
	for (size_t i = 0; i < rows.n; i++)
		json_array_append_new(list, ops_update_json(&rows.updates[i]));
	store_result_release(&rows);
	return json_object_set_new(one, "history", list) < 0 ? err_nomem(err) : 0;
}

static int count_waiting(
	const struct ops *o, const struct dataset_cursor_row *c, int64_t *ret, struct err *err)
{
	const struct update_filter f = {
		.which = UPDATES_WAITING, .dag = c->dag, .dataset = c->dataset
	};
	struct store_result rows;

	if (store_dataset_updates(o->store, &f, &rows, err) < 0)
		return -1;
	*ret = 0;
	for (size_t i = 0; i < rows.n; i++)
		*ret += strcmp(rows.updates[i].dataset, c->dataset) == 0;
	store_result_release(&rows);
	return 0;
}

/* The DAGs whose schedule waits for it, and how much waits there. */
static int add_waiting(const struct ops *o, const char *name, json_t *one, struct err *err)
{
	json_t *list = json_array();
	struct store_result rows;
	int64_t n = 0;
	int rc = 0;

	if (store_dataset_cursors(o->store, NULL, &rows, err) < 0) {
		json_decref(list);
		return -1;
	}
	for (size_t i = 0; rc == 0 && i < rows.n; i++) {
		const struct dataset_cursor_row *c = &rows.cursors[i];
		if (strcmp(c->dataset, name) != 0)
			continue;
		rc = count_waiting(o, c, &n, err);
		json_array_append_new(list, json_pack("{s:s, s:o, s:I}", "dag", c->dag, "since",
						    utc(c->since_us), "updates", (json_int_t)n));
	}
	store_result_release(&rows);
	return json_object_set_new(one, "waiting", list) < 0 ? err_nomem(err) : rc;
}

static const char *near_of(const struct store_result *rows, const char *name)
{
	const char **names = calloc(rows->n + 1, sizeof *names), *near = NULL;

	for (size_t i = 0; names && i < rows->n; i++)
		names[i] = rows->datasets[i].name;
	if (names)
		near = near_find(name, names, rows->n);
	free(names);
	return near;
}

static int not_found(const struct store_result *rows, const char *name, struct err *err)
{
	const char *near = near_of(rows, name);

	if (near)
		return err_set(err, ERR_NOT_FOUND,
			"there is no dataset \"%.128s\"; did you mean \"%s\"?", name, near);
	return err_set(err, ERR_NOT_FOUND,
		"there is no dataset \"%.128s\": nothing has updated it, and no DAG that a daemon "
		"knows names it; weir datasets lists those there are",
		name);
}

static int answer_one(const struct ops *o, const char *name, const struct store_result *rows,
	const struct store_result *links, json_t **ret, struct err *err)
{
	json_t *one = NULL;

	for (size_t i = 0; i < rows->n && !one; i++)
		if (strcmp(rows->datasets[i].name, name) == 0)
			one = dataset_json(&rows->datasets[i], links);
	if (!one)
		return not_found(rows, name, err);
	if (add_history(o, name, one, err) < 0 || add_waiting(o, name, one, err) < 0) {
		json_decref(one);
		return -1;
	}
	return ops_answer(one, ret, err);
}

int ops_datasets(const struct ops *o, const char *name, json_t **ret, struct err *err)
{
	struct store_result rows, links;

	if (store_datasets(o->store, NULL, &rows, err) < 0)
		return -1;
	if (store_dataset_links(o->store, name, &links, err) < 0) {
		store_result_release(&rows);
		return -1;
	}
	int rc = name ? answer_one(o, name, &rows, &links, ret, err)
		      : answer_all(&rows, &links, ret, err);
	store_result_release(&links);
	store_result_release(&rows);
	return rc;
}

/* ---- updates from elsewhere -------------------------------------------------------------- */

static int one_end(const char *option, const char *text, bool last, int64_t *ret, struct err *err)
{
	struct civil_text t;

	if (ops_range_end(zone_utc(), option, text, last, ret, err) < 0)
		return -1;
	/* The last microsecond of a day, which is the end of no interval. */
	if (last && civil_parse(text, &t, NULL) == 0 && !(t.parts & CIVIL_HAS_TIME))
		++*ret;
	return 0;
}

static int interval_of(
	const struct ops_touch *t, int64_t now_us, struct dataset_put *put, struct err *err)
{
	static const struct schedule_spec manual = { .kind = TIMETABLE_MANUAL };
	struct tick tick;

	if ((t->from || t->to) && (t->date || !t->from || !t->to))
		return err_set(err, ERR_USAGE,
			"name the interval of the data by --date, or by --from and --to");
	if (t->from) {
		if (one_end("--from", t->from, false, &put->start_us, err) < 0 ||
			one_end("--to", t->to, true, &put->end_us, err) < 0)
			return -1;
	} else if (t->date) {
		if (one_end("--date", t->date, false, &put->start_us, err) < 0 ||
			one_end("--date", t->date, true, &put->end_us, err) < 0)
			return -1;
	} else if (timetable_last_complete(&manual, now_us, &tick)) {
		put->start_us = tick.start_us;
		put->end_us = tick.end_us;
	}
	if (put->end_us < put->start_us)
		return err_set(err, ERR_USAGE, "--to is before --from");
	if (put->end_us > now_us)
		return err_set(err, ERR_USAGE,
			"the interval ends in the future: there cannot be data of it yet");
	return 0;
}

/* Who waits for it; and where nobody has to do with it, the name that may have been meant. */
static int add_concerned(const struct ops *o, const char *name, json_t *answer, struct err *err)
{
	json_t *one, *names = json_array(), *w;
	size_t i;

	if (!names || ops_datasets(o, name, &one, err) < 0) {
		json_decref(names);
		return names ? -1 : err_nomem(err);
	}
	json_array_foreach(json_object_get(one, "waiting"), i, w)
		json_array_append(names, json_object_get(w, "dag"));
	bool concerns = json_array_size(json_object_get(one, "producers")) ||
			json_array_size(json_object_get(one, "consumers"));
	json_object_set_new(answer, "waiting", names);
	json_object_set_new(answer, "named", json_boolean(concerns));
	json_decref(one);
	return 0;
}

static int put_update(const struct ops *o, const struct ops_touch *t, struct dataset_put *put,
	int64_t *ret_id, struct err *err)
{
	if (!dataset_is_name(t->dataset))
		return err_set(err, ERR_USAGE,
			"\"%.128s\" cannot be a dataset's name: letters, digits, _, . and -",
			t->dataset);
	if (ops_check_reason(t->reason, err) < 0 || interval_of(t, put->at_us, put, err) < 0)
		return -1;
	return store_dataset_touch(o->store, put, ret_id, err);
}

int ops_dataset_touch(const struct ops *o, const struct ops_touch *t, json_t **ret, struct err *err)
{
	struct dataset_put put = { .dataset = t->dataset,
		.at_us = clock_now_us(),
		.map_index = -1,
		.by = ops_by(o),
		.reason = t->reason };
	int64_t id;

	if (put_update(o, t, &put, &id, err) < 0)
		return -1;
	ops_note(o,
		(struct ops_note){ .what = "touch", .dataset = t->dataset, .reason = t->reason });
	const struct dataset_update_row row = { .id = id,
		.at_us = put.at_us,
		.start_us = put.start_us,
		.end_us = put.end_us,
		.dataset = t->dataset,
		.map_index = -1,
		.wakes = true,
		.by = put.by,
		.reason = t->reason };
	json_t *answer = ops_update_json(&row);
	int rc = answer ? add_concerned(o, t->dataset, answer, err) : err_nomem(err);
	if (rc < 0) {
		json_decref(answer);
		return -1;
	}
	ops_tell(o, OPS_DATASET, t->dataset, 0);
	return ops_answer(answer, ret, err);
}
