#include "cli/slaview.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/clock.h"
#include "base/units.h"
#include "cli/json.h"
#include "cli/when.h"
#include "core/model.h"
#include "core/timetable.h"
#include "core/zone.h"

static int64_t duration_of(const struct sla *s, enum sla_kind kind)
{
	switch (kind) {
	case SLA_FINISH_WITHIN:
		return s->finish_within_us;
	case SLA_START_WITHIN:
		return s->start_within_us;
	case SLA_RUNS_AT_MOST:
		return s->runs_at_most_us;
	case SLA_FRESH_WITHIN:
		return s->fresh_within_us;
	default:
		return s->warn_ahead_us;
	}
}

const char *slaview_policy(const struct sla *s, enum sla_kind kind, char *buf, size_t size)
{
	const char *name = kind == SLA_AT_RISK ? "warn_ahead" : sla_kind_name(kind);
	int seconds = s->finish_by_s % 60;
	char text[64];

	if (kind == SLA_FINISH_BY)
		snprintf(text, sizeof text, seconds ? "%02d:%02d:%02d" : "%02d:%02d",
			s->finish_by_s / 3600, s->finish_by_s / 60 % 60, seconds);
	else if (kind == SLA_SLOWER_THAN)
		snprintf(text, sizeof text, "%gx", s->slower_than);
	else
		units_format_duration(duration_of(s, kind), text, sizeof text);
	snprintf(buf, size, "%s %s", name, text);
	return buf;
}

int64_t slaview_deadline_us(const struct dag *dag, int64_t start_us, int64_t end_us)
{
	const struct tick tick = { .run_after_us = end_us, .start_us = start_us, .end_us = end_us };

	if (!dag->sla || !dag->schedule || dag->schedule->kind == TIMETABLE_MANUAL)
		return INT64_MAX;
	int64_t by = sla_deadline_us(dag->sla, SLA_FINISH_BY, dag->schedule, &tick);
	int64_t within = sla_deadline_us(dag->sla, SLA_FINISH_WITHIN, dag->schedule, &tick);
	return by < within ? by : within;
}

void slaview_add_time(struct buf *out, const struct dag *dag, int64_t at_us)
{
	const struct zone *zone =
		dag->schedule && dag->schedule->zone ? dag->schedule->zone : zone_utc();
	struct zone_info info;
	struct civil c;

	zone_to_civil(zone, at_us, &c, &info);
	civil_add_rfc3339(out, &c, info.offset_s);
}

/* ---- what is missed --------------------------------------------------------------------- */

json_t *slaview_miss_json(const struct sla_miss *m)
{
	return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id",
		(json_int_t)m->id, "dag", cli_json_text(m->key.dag), "task",
		cli_json_text(*m->key.task ? m->key.task : NULL), "sla", cli_json_text(m->key.kind),
		"interval_start", cli_json_instant(m->key.start_us), "interval_end",
		cli_json_instant(m->key.end_us), "deadline", cli_json_time(m->deadline_us),
		"found_at", cli_json_time(m->found_us), "ended_at", cli_json_time(m->ended_us),
		"ended", cli_json_text(m->ended), "detail", cli_json_text(m->detail));
}

json_t *slaview_open_json(struct store *s, struct err *err)
{
	struct store_result open;

	if (store_sla_misses(s, &(struct sla_filter){ .open = true }, &open, err) < 0)
		return NULL;
	json_t *list = json_array();
	for (size_t i = 0; i < open.n; i++)
		json_array_append_new(list, slaview_miss_json(&open.misses[i]));
	store_result_release(&open);
	return list;
}

static void add_open(struct buf *out, const struct term *t, const struct sla_miss *m)
{
	bool risk = strcmp(m->key.kind, sla_kind_name(SLA_AT_RISK)) == 0;
	enum style style = risk ? STYLE_WARN : STYLE_BAD;
	char deadline[WHEN_SIZE], interval[WHEN_SIZE];

	buf_addf(out, "%s%s%s ", style_on(style, t->colour), risk ? "SLA at risk" : "SLA missed",
		style_off(style, t->colour));
	text_add(out, m->key.dag, -1);
	if (*m->key.task) {
		buf_addc(out, '.');
		text_add(out, m->key.task, -1);
	}
	if (!risk)
		buf_addf(out, " %s", m->key.kind);
	buf_addf(out, ", due %s (interval of %s)", when_local(m->deadline_us, deadline),
		when_local(m->key.start_us, interval));
	if (m->detail) {
		buf_addstr(out, ": ");
		text_add(out, m->detail, -1);
	}
	buf_addc(out, '\n');
}

/* A warning whose miss is there as well says nothing any more. */
static bool is_overtaken(const struct store_result *r, const struct sla_miss *m)
{
	if (strcmp(m->key.kind, sla_kind_name(SLA_AT_RISK)) != 0)
		return false;
	for (size_t i = 0; i < r->n; i++) {
		const struct sla_miss *o = &r->misses[i];
		int kind = sla_kind_by_name(o->key.kind);
		if ((kind == SLA_FINISH_BY || kind == SLA_FINISH_WITHIN) &&
			o->key.start_us == m->key.start_us && o->key.end_us == m->key.end_us &&
			strcmp(o->key.dag, m->key.dag) == 0 &&
			strcmp(o->key.task, m->key.task) == 0)
			return true;
	}
	return false;
}

int slaview_add_open(
	struct store *s, const struct term *t, int max, struct buf *out, struct err *err)
{
	struct store_result open;
	int n = 0;

	if (store_sla_misses(s, &(struct sla_filter){ .open = true, .limit = max ? 4 * max : 0 },
		    &open, err) < 0)
		return -1;
	for (size_t i = 0; i < open.n && (max == 0 || n < max); i++) {
		if (is_overtaken(&open, &open.misses[i]))
			continue;
		buf_addstr(out, n++ ? "" : "\n");
		add_open(out, t, &open.misses[i]);
	}
	if (max && open.n >= (size_t)(4 * max))
		buf_addstr(out, "More SLAs are missed: weir sla\n");
	store_result_release(&open);
	return 0;
}
