#include "conf/schedule.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/civil.h"
#include "base/err.h"
#include "base/io.h"
#include "base/node.h"
#include "base/units.h"
#include "base/zonefile.h"
#include "conf/config.h"
#include "conf/diag.h"
#include "core/dataset.h"
#include "core/planner.h"
#include "core/timetable.h"
#include "core/zone.h"

enum { CALENDAR_FILE_MAX = 1 << 20 };

static const char *const gap_names[] = { "after", "skip", NULL };
static const char *const overlap_names[] = { "first", "second", "both", NULL };
static const char *const interval_names[] = { "data", "point", NULL };
static const char *const catchup_names[] = { "latest", "none", "all", NULL };
static const char *const action_names[] = { "skip", "next", "previous", NULL };

static const struct field text_item = { .type = FIELD_STRING };

static const struct field dst_fields[] = {
	{ .key = "gap",
		.type = FIELD_ENUM,
		.values = gap_names,
		.def = "after",
		.help = "A fixed time that does not exist on the day the clock jumps forward: run "
			"at the first instant after the gap, or skip it." },
	{ .key = "overlap",
		.type = FIELD_ENUM,
		.values = overlap_names,
		.def = "first",
		.help = "A fixed time that exists twice on the day the clock goes back: run the "
			"first time, the second, or both." },
	{ 0 },
};

static const struct field calendar_fields[] = {
	{ .key = "exclude",
		.type = FIELD_LIST,
		.item = &text_item,
		.flags = FIELD_OR_ONE,
		.help = "Days without runs: dates, weekday names, business_days, weekends, or a "
			"file with a date a line." },
	{ .key = "only",
		.type = FIELD_LIST,
		.item = &text_item,
		.flags = FIELD_OR_ONE,
		.help = "The only days with runs; written as in exclude." },
	{ .key = "action",
		.type = FIELD_ENUM,
		.values = action_names,
		.def = "skip",
		.help = "A run on a day that is not allowed: skip it, or move it to the next or "
			"previous allowed day." },
	{ 0 },
};

const struct field schedule_fields[] = {
	{ .key = "cron",
		.type = FIELD_LIST,
		.item = &text_item,
		.flags = FIELD_OR_ONE,
		.help = "A cron expression of five fields, or several.",
		.example = "\"0 2 * * *\"" },
	{ .key = "every",
		.type = FIELD_DURATION,
		.has_min = true,
		.min = TIMETABLE_EVERY_MIN_US,
		.has_max = true,
		.max = (double)TIMETABLE_EVERY_MAX_US,
		.help = "A fixed period of elapsed time, counted from start.",
		.example = "15m" },
	{ .key = "at",
		.type = FIELD_LIST,
		.item = &text_item,
		.flags = FIELD_OR_ONE,
		.help = "Single instants, local in the zone or with an offset.",
		.example = "[2026-12-31T22:00]" },
	{ .key = "datasets",
		.type = FIELD_LIST,
		.item = &text_item,
		.flags = FIELD_OR_ONE,
		.has_min = true,
		.min = 1,
		.has_max = true,
		.max = DATASET_RULE_MAX,
		.help = "A run is due when these datasets were updated; see weir-datasets(7).",
		.example = "[sales.daily, fx.rates]" },
	{ .key = "when",
		.type = FIELD_ENUM,
		.values = dataset_when_names,
		.def = "all",
		.help = "Of datasets: when each of them was updated since the last run (all), or "
			"when one was (any)." },
	{ .key = "timezone",
		.type = FIELD_STRING,
		.def = "UTC",
		.help = "Name of the zone in which the schedule, ds and the days are meant.",
		.example = "Europe/Berlin" },
	{ .key = "start",
		.type = FIELD_STRING,
		.help = "A date or instant: the first interval starts at it or later." },
	{ .key = "end",
		.type = FIELD_STRING,
		.help = "A date or instant: no interval starts after it." },
	{ .key = "interval",
		.type = FIELD_ENUM,
		.values = interval_names,
		.def = "data",
		.help = "data: a run covers the time from its tick to the next, and starts at its "
			"end. point: a run is for the instant of its tick." },
	{ .key = "dst",
		.type = FIELD_OBJECT,
		.fields = dst_fields,
		.help = "What daylight saving time does to fixed times." },
	{ .key = "catchup",
		.type = FIELD_ENUM,
		.values = catchup_names,
		.def = "latest",
		.help = "After an outage: one run for the latest complete interval, none, or "
			"all." },
	{ .key = "catchup_window",
		.type = FIELD_DURATION,
		.def = "7d",
		.help = "Intervals due longer ago than this are not caught up on." },
	{ .key = "max_active_runs",
		.type = FIELD_INT,
		.def = "1",
		.has_min = true,
		.min = 1,
		.has_max = true,
		.max = 1000,
		.help = "How many runs of the schedule may be active at once." },
	{ .key = "overlap",
		.type = FIELD_ENUM,
		.values = planner_overlap_names,
		.def = "queue",
		.help = "A run is due while max_active_runs are active: queue it, skip it, or "
			"cancel_running: cancel the oldest and run it then." },
	{ .key = "calendar",
		.type = FIELD_OBJECT,
		.fields = calendar_fields,
		.help = "Days on which it runs, or does not." },
	{ 0 },
};

struct loader {
	struct schedule_spec *spec;
	const struct schedule_env *env;
	struct arena *arena;
	struct diags *diags;
};

/* A list that may be written as its only item. */
static size_t list_size(const struct node *n)
{
	if (!n || n->type == NODE_MAP)
		return 0;
	return n->type == NODE_SEQ ? n->n : 1;
}

static const struct node *list_item(const struct node *n, size_t i)
{
	return n->type == NODE_SEQ ? n->items[i] : n;
}

static int enum_of(const struct node *map, const char *key, const char *const *values)
{
	const char *text = node_text(node_get(map, key));

	for (int i = 0; text && values[i]; i++)
		if (strcmp(values[i], text) == 0)
			return i;
	return 0;
}

/* ---- ticks ---------------------------------------------------------------------------- */

/* "daily" is nearly one. */
static bool hint_shortcut(struct diags *diags, const char *text)
{
	char word[32];
	struct cron cron;

	if (snprintf(word, sizeof word, "@%s", text) >= (int)sizeof word ||
		cron_parse(word, &cron, NULL, NULL) < 0)
		return false;
	diag_hint(diags, "did you mean \"%s\"? The @ needs the quotes", word);
	return true;
}

static void load_crons(struct loader *l, const struct node *n)
{
	size_t count = list_size(n);
	struct cron *crons = arena_array(l->arena, count + 1, sizeof *crons);
	bool either = false;

	for (size_t i = 0; crons && i < count; i++) {
		const struct node *item = list_item(n, i);
		struct err err = { 0 };
		int col = 0;
		if (!node_text(item))
			continue; /* the table's check has said so */
		if (cron_parse(item->text, &crons[i], &col, &err) < 0) {
			diag_inside(l->diags, item, (size_t)col, 1, "%s", err.msg);
			hint_shortcut(l->diags, item->text);
		} else if (crons[i].either_day && !either) {
			either = true;
			diag_node(l->diags, DIAG_WARNING, item,
				"day-of-month and day-of-week are both restricted: a day runs when "
				"either of them matches");
		}
	}
	l->spec->kind = TIMETABLE_CRON;
	l->spec->crons = crons;
	l->spec->n_crons = count;
}

/* A date or instant, local in the schedule's zone unless it has an offset. `end`: a date means its
 * last microsecond. */
static bool load_instant(struct loader *l, const struct node *n, bool end, int64_t *ret_us)
{
	struct civil_text t;
	struct err err = { 0 };
	struct zone_local local;

	if (civil_parse(n->text, &t, &err) < 0) {
		diag_node(l->diags, DIAG_ERROR, n, "%s", err.msg);
		return false;
	}
	if (t.parts & CIVIL_HAS_OFFSET) {
		*ret_us = civil_text_us(&t);
	} else if (t.parts & CIVIL_HAS_TIME) {
		zone_local_to_utc(l->spec->zone, &t.civil, &local);
		*ret_us = local.first_us;
	} else {
		int64_t day = civil_day(t.civil.year, t.civil.month, t.civil.day);
		*ret_us = zone_day_start_us(l->spec->zone, day + end) - end;
	}
	return true;
}

static int compare_i64(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void load_at(struct loader *l, const struct node *n)
{
	size_t count = list_size(n), used = 0;
	int64_t *at = arena_array(l->arena, count + 1, sizeof *at);

	for (size_t i = 0; at && i < count; i++) {
		const struct node *item = list_item(n, i);
		if (node_text(item) && load_instant(l, item, false, &at[used]))
			used++;
	}
	if (!at)
		return;
	qsort(at, used, sizeof *at, compare_i64);
	l->spec->kind = TIMETABLE_AT;
	l->spec->at_us = at;
	for (size_t i = 0; i < used; i++)
		if (i == 0 || at[i] != at[l->spec->n_at - 1])
			at[l->spec->n_at++] = at[i];
}

/* ---- calendars ------------------------------------------------------------------------ */

static const char *const weekday_names[] = { "sunday", "monday", "tuesday", "wednesday", "thursday",
	"friday", "saturday" };

/* Bits of the weekdays that a word names; 0: it names none. */
static uint8_t weekdays_of(const char *word)
{
	if (strcasecmp(word, "business_days") == 0)
		return 0x3e;
	if (strcasecmp(word, "weekends") == 0)
		return 0x41;
	for (int i = 0; i < 7; i++)
		if (strcasecmp(word, weekday_names[i]) == 0 ||
			(strlen(word) == 3 && strncasecmp(word, weekday_names[i], 3) == 0))
			return (uint8_t)(1 << i);
	return 0;
}

struct days {
	uint8_t weekdays;
	int64_t *list;
	size_t n, cap;
	bool failed;
};

static void add_day(struct days *d, int64_t day)
{
	if (d->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 32;
		int64_t *grown = reallocarray(d->list, cap, sizeof *grown);
		if (!grown) {
			d->failed = true;
			return;
		}
		d->list = grown;
		d->cap = cap;
	}
	d->list[d->n++] = day;
}

static bool add_date(struct days *d, const char *text, struct err *err)
{
	struct civil_text t;

	if (civil_parse(text, &t, err) < 0)
		return false;
	add_day(d, civil_day(t.civil.year, t.civil.month, t.civil.day));
	return true;
}

/* A file of dates: one a line, the rest of the line and # comments are passed over. */
static void add_file(struct loader *l, struct days *d, const struct node *item, const char *dir)
{
	struct err err = { 0 };
	struct buf text;
	char *path = io_path_join(dir, item->text), *rest = NULL;
	int number = 0;

	buf_init(&text, CALENDAR_FILE_MAX);
	if (path && l->env->file)
		l->env->file(l->env->arg, path);
	if (!path || io_read_file(path, &text, &err) < 0) {
		diag_node(l->diags, DIAG_ERROR, item, "calendar: %s", err.msg);
		diag_hint(l->diags, "a date, a weekday (monday), business_days, weekends, or a "
				    "file of dates");
	}
	/* strsep keeps empty lines, so that the number is right. */
	rest = text.data;
	for (char *line; text.len && (line = strsep(&rest, "\n"));) {
		number++;
		line += strspn(line, " \t\r");
		line[strcspn(line, " \t\r#,;")] = '\0';
		if (*line && !add_date(d, line, &err))
			diag_node(l->diags, DIAG_ERROR, item, "%s:%d: %s", item->text, number,
				err.msg);
	}
	buf_release(&text);
	free(path);
}

/* The words of a calendar, written in the DAG file or, by its name, in weir.yaml. */
static void add_words(struct loader *l, struct days *d, const struct node *n, const char *dir)
{
	for (size_t i = 0; i < list_size(n); i++) {
		const struct node *item = list_item(n, i);
		const char *word = node_text(item), *named_dir = NULL;
		if (!word)
			continue;
		const struct config *config = dir == l->env->dir ? l->env->config : NULL;
		const struct node *named =
			config ? config_calendar(config, word, &named_dir) : NULL;
		uint8_t bits = weekdays_of(word);
		d->weekdays |= bits;
		if (named)
			add_words(l, d, named, named_dir);
		else if (!bits && !add_date(d, word, NULL) && dir)
			add_file(l, d, item, dir);
	}
}

static void load_days(struct loader *l, const struct node *n, struct timetable_days *ret)
{
	struct days d = { 0 };

	add_words(l, &d, n, l->env->dir);
	ret->weekdays |= d.weekdays;
	int64_t *copy = arena_array(l->arena, d.n + 1, sizeof *copy);
	if (copy && d.n) {
		qsort(d.list, d.n, sizeof *d.list, compare_i64);
		/* Ascending and unique, as the timetable wants it. */
		for (size_t i = 0; i < d.n; i++)
			if (i == 0 || d.list[i] != d.list[i - 1])
				copy[ret->n_days++] = d.list[i];
		ret->days = copy;
	}
	free(d.list);
}

static void load_calendar(struct loader *l, const struct node *n)
{
	struct timetable_calendar *c = &l->spec->calendar;

	load_days(l, node_get(n, "only"), &c->only);
	load_days(l, node_get(n, "exclude"), &c->exclude);
	c->action = (enum timetable_action)enum_of(n, "action", action_names);
}

/* ---- the whole ------------------------------------------------------------------------ */

static void load_zone(struct loader *l, const struct node *n, struct zone **ret_zone)
{
	struct err err = { 0 };

	if (!node_text(n) || strcmp(n->text, "UTC") == 0)
		return;
	if (zone_open(n->text, zonefile_read, ret_zone, &err) < 0)
		diag_node(l->diags, DIAG_ERROR, n, "timezone: %s", err.msg);
	else
		l->spec->zone = *ret_zone;
}

static int64_t duration_of(const struct node *n, int64_t def)
{
	int64_t us;

	return node_text(n) && units_parse_duration(n->text, &us, NULL) == 0 ? us : def;
}

static void load_ticks(struct loader *l, const struct node *n)
{
	static const char *const kinds[] = { "cron", "every", "at", "datasets" };
	const struct node *given = NULL;

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		const struct node *kind = node_get(n, kinds[i]);
		if (kind && given)
			diag_node(l->diags, DIAG_ERROR, node_key(n, kinds[i]),
				"schedule: only one of cron, every, at and datasets can be given");
		given = kind ? kind : given;
	}
	if (node_get(n, "cron"))
		load_crons(l, node_get(n, "cron"));
	else if (node_get(n, "at"))
		load_at(l, node_get(n, "at"));
	else if (node_get(n, "every")) {
		l->spec->kind = TIMETABLE_EVERY;
		l->spec->period_us = duration_of(node_get(n, "every"), 0);
	}
}

static void load_mapping(struct loader *l, const struct node *n, struct zone **ret_zone)
{
	struct schedule_spec *spec = l->spec;
	const struct node *start = node_get(n, "start"), *end = node_get(n, "end");
	const struct node *dst = node_get(n, "dst");

	load_zone(l, node_get(n, "timezone"), ret_zone);
	load_ticks(l, n);
	if (node_text(start))
		load_instant(l, start, false, &spec->start_us);
	if (node_text(end))
		load_instant(l, end, true, &spec->end_us);
	spec->interval = (enum timetable_interval)enum_of(n, "interval", interval_names);
	spec->catchup = (enum timetable_catchup)enum_of(n, "catchup", catchup_names);
	spec->catchup_window_us =
		duration_of(node_get(n, "catchup_window"), TIMETABLE_CATCHUP_WINDOW_US);
	spec->dst.gap = (enum cron_gap)enum_of(dst, "gap", gap_names);
	spec->dst.overlap = (enum cron_overlap)enum_of(dst, "overlap", overlap_names);
	if (node_get(n, "calendar"))
		load_calendar(l, node_get(n, "calendar"));
}

const struct schedule_spec *schedule_load(const struct node *n, const struct schedule_env *where,
	struct arena *arena, struct zone **ret_zone, struct diags *diags)
{
	struct loader l = { .env = where, .arena = arena, .diags = diags };
	const struct schema_env env = { .dir = where->dir };
	size_t errors_before = diags->nerrors;
	struct err err = { 0 };

	*ret_zone = NULL;
	l.spec = arena_alloc(arena, sizeof *l.spec);
	if (!l.spec)
		return NULL;
	l.spec->zone = zone_utc();
	l.spec->catchup_window_us = TIMETABLE_CATCHUP_WINDOW_US;
	if (n->type == NODE_MAP) {
		/* After an error, too: what else is wrong is told all the same. */
		schema_check(n, schedule_fields, "schedule", &env, diags);
		load_mapping(&l, n, ret_zone);
	} else if (!node_text(n)) {
		diag_node(diags, DIAG_ERROR, n,
			"schedule: expected a mapping such as { cron: \"0 2 * * *\" }, a cron "
			"expression or the word manual, found %s",
			node_type_name(n->type));
	} else if (strcmp(n->text, "manual") != 0) {
		load_crons(&l, n);
		if (diags->nerrors > errors_before && !hint_shortcut(diags, n->text))
			diag_hint(diags, "a schedule is a cron expression such as \"0 2 * * *\" "
					 "(each day at "
					 "02:00), the word manual, or a mapping");
	}
	if (diags->nerrors > errors_before || arena->failed)
		return NULL;
	if (timetable_check(l.spec, &err) == 0)
		return l.spec;
	bool turned = l.spec->start_us && l.spec->end_us && l.spec->end_us < l.spec->start_us;
	bool named = strncmp(err.msg, "schedule", 8) == 0;
	diag_node(diags, DIAG_ERROR, turned ? node_get(n, "end") : n, "%s%s",
		named ? "" : "schedule: ", err.msg);
	return NULL;
}
