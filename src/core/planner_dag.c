#include "core/planner_dag.h"

#include <stdlib.h>
#include <string.h>

#include "core/zone.h"

/* Decisions. */

static void put(struct planner_out *out, const struct planner_decision *row)
{
	if (out->n == out->cap) {
		size_t cap = out->cap ? out->cap * 2 : 64;
		struct planner_decision *grown = reallocarray(out->rows, cap, sizeof *grown);
		if (!grown) {
			out->failed = true;
			return;
		}
		out->rows = grown;
		out->cap = cap;
	}
	out->rows[out->n++] = *row;
}

static void say(struct planner_out *out, const struct planned *d, enum planner_action action,
	enum planner_why why, const struct tick *tick)
{
	put(out, &(struct planner_decision){
			 .action = action,
			 .why = why,
			 .dag = d->name,
			 .tick = *tick,
			 .count = 1,
			 .until_us = tick->start_us,
		 });
}

/* The digest of a spec: FNV-1a over all numbers. */

static uint64_t mix(uint64_t h, uint64_t number)
{
	for (int i = 0; i < 8; i++, number >>= 8)
		h = (h ^ (number & 0xff)) * UINT64_C(0x100000001b3);
	return h;
}

static uint64_t mix_all(uint64_t h, const int64_t *numbers, size_t n)
{
	h = mix(h, n);
	for (size_t i = 0; i < n; i++)
		h = mix(h, (uint64_t)numbers[i]);
	return h;
}

static uint64_t mix_cron(uint64_t h, const struct cron *cron)
{
	h = mix(h, cron->minutes);
	h = mix(h, cron->hours);
	h = mix(h, cron->months);
	for (int len = 0; len < 4; len++)
		for (int first = 0; first < 7; first++)
			h = mix(h, cron->days[len][first]);
	return mix(h, cron->elapsed);
}

static uint64_t mix_days(uint64_t h, const struct timetable_days *days)
{
	return mix_all(mix(h, days->weekdays), days->days, days->n_days);
}

uint64_t planner_dag_ticks(const struct schedule_spec *spec)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	if (!spec || spec->kind == TIMETABLE_MANUAL)
		return 0;
	h = mix(h, spec->kind);
	for (const char *c = zone_name(spec->zone ? spec->zone : zone_utc()); *c; c++)
		h = mix(h, (unsigned char)*c);
	if (spec->kind == TIMETABLE_CRON) {
		h = mix(h, spec->n_crons);
		for (size_t i = 0; i < spec->n_crons; i++)
			h = mix_cron(h, &spec->crons[i]);
		h = mix(mix(h, spec->dst.gap), spec->dst.overlap);
	} else if (spec->kind == TIMETABLE_EVERY) {
		h = mix(h, (uint64_t)spec->period_us);
	} else {
		h = mix_all(h, spec->at_us, spec->n_at);
	}
	h = mix(mix(h, (uint64_t)spec->start_us), (uint64_t)spec->end_us);
	h = mix(h, spec->interval);
	h = mix_days(mix_days(h, &spec->calendar.only), &spec->calendar.exclude);
	return mix(h, spec->calendar.action);
}

/* Intervals. */

static struct planner_span span_of(const struct tick *tick)
{
	return (struct planner_span){ tick->start_us, tick->end_us };
}

static struct tick tick_of(const struct planner_span *span)
{
	return (struct tick){
		.run_after_us = span->end_us, .start_us = span->start_us, .end_us = span->end_us
	};
}

/* A span that ends immediately before an interval: what follows it is that interval. */
static struct planner_span just_before(const struct tick *tick)
{
	return (struct planner_span){ tick->start_us - 1, tick->start_us - 1 };
}

/* The interval behind another, whatever the time. */
static bool follow(
	const struct schedule_spec *spec, const struct planner_span *span, struct tick *ret)
{
	struct schedule_spec all = *spec;
	struct tick last = tick_of(span);

	all.catchup = TIMETABLE_CATCHUP_ALL;
	all.catchup_window_us = 0;
	return timetable_catchup(&all, &last, last.end_us, ret) == 1;
}

/* How many start from that of a tick to an instant. */
static int64_t count_to(
	const struct schedule_spec *spec, const struct tick *first, int64_t until_us, int64_t max)
{
	struct planner_span behind = just_before(first);
	struct tick last = tick_of(&behind), end = { .start_us = until_us + 1 };

	return timetable_skipped(spec, &last, &end, max);
}

static bool keeps_all(const struct planned *d)
{
	return d->spec->catchup == TIMETABLE_CATCHUP_ALL;
}

static bool slot_free(const struct planned *d)
{
	return d->active < d->max_active;
}

/* The newest interval that was met: decided on, waiting or in a gap. */
static const struct planner_span *met(const struct planned *d)
{
	if (!d->waiting)
		return &d->last;
	if (d->ngaps && d->gaps[d->ngaps - 1].from_us > d->tail.start_us)
		return &d->gaps[d->ngaps - 1].last;
	return &d->tail;
}

static void set_next(struct planned *d)
{
	d->has_next = d->has_last && follow(d->spec, met(d), &d->next);
}

/* The range that waits. */

/* `last` has moved: find the head behind it. */
static void set_head(struct planned *d)
{
	while (d->waiting) {
		bool more = follow(d->spec, &d->last, &d->head);
		if (d->ngaps && (!more || d->head.start_us >= d->gaps[0].from_us)) {
			d->last = d->gaps[0].last;
			d->ngaps--;
			memmove(d->gaps, d->gaps + 1, (size_t)d->ngaps * sizeof *d->gaps);
			continue;
		}
		if (more && d->head.start_us <= d->tail.start_us)
			return;
		d->waiting = false;
	}
	if (d->ngaps)
		d->last = d->gaps[d->ngaps - 1].last;
	d->ngaps = 0;
	d->caught_up = false;
}

/* The last interval from `first` on that starts before an instant. */
static struct planner_span last_before(
	const struct schedule_spec *spec, const struct tick *first, int64_t from_us)
{
	struct planner_span before = { from_us - 1, from_us - 1 };
	struct tick next, last;
	bool any;

	any = follow(spec, &before, &next) ? timetable_prev(spec, next.run_after_us, &last)
					   : timetable_prev(spec, INT64_MAX, &last);
	return span_of(any && last.start_us >= first->start_us ? &last : first);
}

/* The last interval that waits before the first gap. */
static struct planner_span stretch_end(const struct planned *d)
{
	if (!d->ngaps || d->gaps[0].from_us > d->tail.start_us)
		return d->tail;
	return last_before(d->spec, &d->head, d->gaps[0].from_us);
}

static void say_skip(struct planner_out *out, const struct planned *d, enum planner_why why,
	const struct tick *first, int64_t until_us)
{
	int64_t count = 1;

	if (until_us > first->start_us)
		count = count_to(d->spec, first, until_us, PLANNER_COUNT_MAX);
	put(out, &(struct planner_decision){
			 .action = PLANNER_SKIP,
			 .why = why,
			 .dag = d->name,
			 .tick = *first,
			 .count = count,
			 .until_us = until_us,
		 });
}

/* Pass over what waits, up to `until` in the stretch before the first gap. */
static void skip_waiting(struct planned *d, const struct planner_span *until, enum planner_why why,
	struct planner_out *out)
{
	say_skip(out, d, why, &d->head, until->start_us);
	d->last = *until;
	set_head(d);
}

/* Pass over intervals that were not met yet. False: there is no room for one more gap. */
static bool pass_over(struct planned *d, const struct planner_span *until, enum planner_why why,
	struct planner_out *out)
{
	if (!d->waiting) {
		d->last = *until;
	} else if (met(d) != &d->tail) {
		d->gaps[d->ngaps - 1].last = *until;
	} else {
		if (d->ngaps == PLANNER_GAPS_MAX)
			return false;
		if (!d->gaps)
			d->gaps = calloc(PLANNER_GAPS_MAX, sizeof *d->gaps);
		if (!d->gaps) {
			out->failed = true;
			return false;
		}
		d->gaps[d->ngaps++] = (struct planner_gap){ d->next.start_us, *until };
	}
	say_skip(out, d, why, &d->next, until->start_us);
	return true;
}

/* Intervals not met yet, from `first` to `until`, wait from now on. */
static void enqueue(struct planned *d, const struct tick *first, const struct planner_span *until,
	struct planner_out *out)
{
	bool newest_only = d->overlap == OVERLAP_CANCEL_RUNNING && !keeps_all(d);

	while (newest_only && d->waiting) {
		struct planner_span end = stretch_end(d);
		skip_waiting(d, &end, PLANNER_OVERLAP, out);
	}
	if (!d->waiting)
		d->head = *first;
	d->waiting = true;
	d->tail = *until;
	say(out, d, PLANNER_KEEP, PLANNER_WAITS, first);
}

static void cancel_one(struct planned *d, const struct tick *tick, struct planner_out *out)
{
	if (d->overlap != OVERLAP_CANCEL_RUNNING || d->paused || slot_free(d) || d->cancelling)
		return;
	d->cancelling++;
	say(out, d, PLANNER_CANCEL, PLANNER_OVERLAP, tick);
}

void planner_dag_claim(struct planned *d, struct planner_out *out)
{
	if (d->waiting && !keeps_all(d))
		cancel_one(d, &d->head, out);
}

/* Decisions on intervals that come due. */

static void create(
	struct planned *d, const struct tick *tick, enum planner_why why, struct planner_out *out)
{
	d->active++;
	say(out, d, PLANNER_CREATE, why, tick);
	d->last = span_of(tick);
}

/* The next interval is due, in time. */
static void arrive(struct planned *d, struct planner_out *out)
{
	struct tick tick = d->next;
	struct planner_span span = span_of(&tick);
	bool first = !d->waiting;

	if (first && slot_free(d) && !d->paused) {
		create(d, &tick, PLANNER_DUE, out);
	} else if (d->paused || d->overlap != OVERLAP_SKIP ||
		   !pass_over(d, &span, PLANNER_OVERLAP, out)) {
		enqueue(d, &tick, &span, out);
		if (first || !keeps_all(d))
			cancel_one(d, &tick, out);
	}
	set_next(d);
}

/* The catchup rule: pass over what it does not want. False: nothing else is due. */
static bool catch_up(struct planned *d, int64_t now_us, struct planner_out *out)
{
	struct tick last = tick_of(met(d)), wanted, missed;
	bool some = timetable_catchup(d->spec, &last, now_us, &wanted) == 1;
	bool any;

	if (some && wanted.start_us <= d->next.start_us)
		return wanted.run_after_us <= now_us;
	any = some ? timetable_prev(d->spec, wanted.run_after_us, &missed)
		   : timetable_last_complete(d->spec, now_us, &missed);
	if (!any || missed.start_us < d->next.start_us)
		missed = d->next;
	struct planner_span until = span_of(&missed);
	if (!pass_over(d, &until, PLANNER_MISSED, out))
		return true;
	if (some)
		d->next = wanted;
	else
		d->has_next = false;
	return some && wanted.run_after_us <= now_us;
}

/* Intervals are due for longer than can be put down to lateness. */
static void arrive_late(struct planned *d, int64_t now_us, struct planner_out *out)
{
	struct tick newest, first;
	struct planner_span until;

	if (!catch_up(d, now_us, out)) {
		set_next(d);
		return;
	}
	first = d->next;
	if (!timetable_last_complete(d->spec, now_us, &newest) || newest.start_us < first.start_us)
		newest = first;
	until = span_of(&newest);
	bool skip = d->overlap == OVERLAP_SKIP && !keeps_all(d) && !d->paused &&
		    (d->waiting || !slot_free(d));
	if (!skip || !pass_over(d, &until, PLANNER_OVERLAP, out)) {
		bool empty = !d->waiting;
		enqueue(d, &first, &until, out);
		d->caught_up = true;
		d->caught_us = until.start_us;
		if (empty || !keeps_all(d))
			cancel_one(d, &first, out);
	}
	set_next(d);
}

/* What has waited for longer than the catchup window. False: the head has not. */
static bool expire(struct planned *d, int64_t now_us, struct planner_out *out)
{
	int64_t window_us = d->spec->catchup_window_us;
	struct planner_span end;
	struct tick kept, gone;

	if (window_us && window_us < PLANNER_OUTAGE_US)
		window_us = PLANNER_OUTAGE_US;
	if (!window_us || d->head.run_after_us >= now_us - window_us)
		return false;
	end = stretch_end(d);
	if (timetable_next(d->spec, now_us - window_us - 1, &kept) &&
		kept.start_us <= end.start_us && timetable_prev(d->spec, kept.run_after_us, &gone))
		end = span_of(&gone);
	skip_waiting(d, &end, PLANNER_MISSED, out);
	return true;
}

static void take_head(struct planned *d, struct planner_out *out)
{
	struct tick tick = d->head;
	bool caught = d->caught_up && tick.start_us <= d->caught_us;

	create(d, &tick, caught ? PLANNER_CAUGHT_UP : PLANNER_WAITED, out);
	set_head(d);
}

static bool next_is_due(const struct planned *d, int64_t now_us)
{
	return d->has_next && d->next.run_after_us <= now_us;
}

void planner_dag_step(struct planned *d, int64_t now_us, struct planner_out *out)
{
	if (d->paused)
		return;
	if (d->waiting && slot_free(d) && d->head.run_after_us <= now_us) {
		if (!expire(d, now_us, out))
			take_head(d, out);
	} else if (next_is_due(d, now_us)) {
		if (d->next.run_after_us < now_us - PLANNER_OUTAGE_US)
			arrive_late(d, now_us, out);
		else
			arrive(d, out);
	}
}

int64_t planner_dag_wake_us(const struct planned *d)
{
	int64_t wake_us = d->has_next ? d->next.run_after_us : INT64_MAX;

	if (d->paused)
		return INT64_MAX;
	if (d->waiting && slot_free(d) && d->head.run_after_us < wake_us)
		wake_us = d->head.run_after_us;
	return wake_us;
}

void planner_dag_pause(struct planned *d, int64_t now_us, struct planner_out *out)
{
	d->paused = true;
	while (next_is_due(d, now_us) && !out->failed) {
		if (d->next.run_after_us < now_us - PLANNER_OUTAGE_US)
			arrive_late(d, now_us, out);
		else
			arrive(d, out);
	}
}

void planner_dag_resume(struct planned *d, int64_t now_us, struct planner_out *out)
{
	d->paused = false;
	if (next_is_due(d, now_us))
		arrive_late(d, now_us, out);
}

/* Beginning, and beginning anew. */

static void begin(struct planned *d, int64_t now_us, struct planner_out *out)
{
	struct tick over;

	d->has_next = timetable_catchup(d->spec, NULL, now_us, &d->next) == 1;
	if (d->has_next) {
		d->last = just_before(&d->next);
		say(out, d, PLANNER_KEEP, PLANNER_BEGINS, &d->next);
	} else if (timetable_last_complete(d->spec, now_us, &over)) {
		d->last = span_of(&over);
		say(out, d, PLANNER_KEEP, PLANNER_BEGINS, &over);
	} else {
		return;
	}
	d->has_last = true;
}

/* What was passed over stays so: what waits before it cannot be decided on later by other ticks. */
static void close_gaps(struct planned *d, struct planner_out *out)
{
	struct planner_span end;
	struct tick first;

	for (int i = 0; i < d->ngaps; i++) {
		int64_t from_us = d->gaps[i].from_us;
		if (follow(d->spec, &d->last, &first) && first.start_us < from_us) {
			end = last_before(d->spec, &first, from_us);
			say_skip(out, d, PLANNER_MISSED, &first, end.start_us);
		}
		d->last = d->gaps[i].last;
	}
	d->ngaps = 0;
}

void planner_dag_changed(struct planned *d, int64_t now_us, struct planner_out *out)
{
	d->has_next = false;
	if (!d->spec || d->spec->kind == TIMETABLE_MANUAL) {
		if (d->ngaps)
			d->last = d->gaps[d->ngaps - 1].last;
		d->ngaps = 0;
		d->waiting = d->caught_up = false;
		return;
	}
	if (!d->has_last) {
		begin(d, now_us, out);
		return;
	}
	close_gaps(d, out);
	d->waiting = d->caught_up = false;
	set_next(d);
	if (d->has_next)
		say(out, d, PLANNER_KEEP, PLANNER_BEGINS, &d->next);
	if (!d->paused && next_is_due(d, now_us))
		arrive_late(d, now_us, out);
}

void planner_dag_load(struct planned *d, const struct planner_state *state, int64_t now_us,
	struct planner_out *out)
{
	bool manual = !d->spec || d->spec->kind == TIMETABLE_MANUAL;

	if (state && state->has_last) {
		d->has_last = true;
		d->last = state->last;
		d->waiting = state->waiting;
		d->tail = state->tail;
		d->ngaps = state->ngaps > PLANNER_GAPS_MAX ? PLANNER_GAPS_MAX : state->ngaps;
	}
	if (d->ngaps > 0) {
		d->gaps = calloc(PLANNER_GAPS_MAX, sizeof *d->gaps);
		if (!d->gaps) {
			out->failed = true;
			return;
		}
		memcpy(d->gaps, state->gaps, (size_t)d->ngaps * sizeof *d->gaps);
	}
	if (manual || !d->has_last || state->ticks != d->ticks) {
		planner_dag_changed(d, now_us, out);
		return;
	}
	set_head(d);
	set_next(d);
	planner_dag_claim(d, out);
}

void planner_dag_save(const struct planned *d, struct planner_state *ret)
{
	*ret = (struct planner_state){ .has_last = d->has_last,
		.last = d->last,
		.waiting = d->waiting,
		.ticks = d->ticks,
		.ngaps = d->ngaps };
	if (d->waiting)
		ret->tail = d->tail;
	if (d->ngaps)
		memcpy(ret->gaps, d->gaps, (size_t)d->ngaps * sizeof *d->gaps);
}

/* What stands between the gaps is counted, not the whole less the gaps: the count has a limit, and
 * taking from a limited count would show too few. */
int planner_dag_waiting(const struct planned *d)
{
	struct tick from = d->head;
	bool more = true;
	int64_t n = 0;

	if (!d->waiting)
		return 0;
	for (int i = 0; more && i < d->ngaps && d->gaps[i].from_us < d->tail.start_us; i++) {
		if (from.start_us < d->gaps[i].from_us)
			n += count_to(d->spec, &from, d->gaps[i].from_us - 1, PLANNER_COUNT_MAX);
		more = follow(d->spec, &d->gaps[i].last, &from);
	}
	if (more && from.start_us <= d->tail.start_us)
		n += count_to(d->spec, &from, d->tail.start_us, PLANNER_COUNT_MAX);
	if (n > PLANNER_COUNT_MAX)
		n = PLANNER_COUNT_MAX;
	return n > 1 ? (int)n : 1;
}

void planner_dag_release(struct planned *d)
{
	free(d->gaps);
	d->gaps = NULL;
}
