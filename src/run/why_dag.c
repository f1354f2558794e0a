/* Why a DAG does not run now, and when it will. */
#include <string.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/err.h"
#include "core/model.h"
#include "core/planner.h"
#include "core/timetable.h"
#include "core/zone.h"
#include "run/dataset_waits.h"
#include "run/why_impl.h"
#include "store/store.h"

enum { RUNS_SHOWN = 3, SKIPS_SHOWN = 3, TIME_SIZE = 64 };

static const char *instant(struct why *w, const struct zone *zone, int64_t at_us)
{
	struct zone_info info;
	struct civil c;
	struct buf b;

	zone_to_civil(zone ? zone : zone_utc(), at_us, &c, &info);
	buf_init(&b, TIME_SIZE);
	civil_add_rfc3339(&b, &c, info.offset_s);
	const char *text = why_printf(w, "%s", b.data);
	buf_release(&b);
	return text;
}

/* ---- the schedule --------------------------------------------------------------------- */

struct asked {
	struct why *w;
	const struct why_dag_facts *f;
	const json_t *live;               /* what the daemon says of the DAG; NULL: nothing */
	const struct schedule_spec *spec; /* NULL: unknown, or manual */
	const struct zone *zone;
};

static void add_schedule(
	const struct asked *a, struct why_node *under, const char *reason, const char *text)
{
	why_add(a->w, under,
		&(struct why_node){ .kind = WHY_SCHEDULE,
			.subject = strcmp(reason, "manual") == 0 ? "it" : "its schedule",
			.reason = reason,
			.text = text });
}

/* Updates wait as long as something is against a run. */
static void add_verdict(const struct asked *a, struct why_node *under, size_t missing)
{
	const struct dag *dag = a->f->common.dag;
	const struct dataset_rule *rule = dag->datasets;
	bool met = rule->when == DATASET_ALL ? missing == 0 : missing < rule->n;

	if (!met || a->f->nactive < (size_t)dag->max_active_runs)
		return;
	struct why_node *n = why_add(a->w, under,
		&(struct why_node){ .kind = WHY_SCHEDULE,
			.subject = "what was updated",
			.reason = "max_active_runs",
			.text = why_printf(a->w,
				"waits: %zu of its runs are active, as many as max_active_runs "
				"allows",
				a->f->nactive) });
	for (size_t i = 0; i < a->f->nactive && i < RUNS_SHOWN; i++)
		why_other_run(a->w, n, &a->f->active[i]);
}

static void add_dataset(const struct asked *a, struct why_node *under, const struct dataset_wait *w)
{
	struct why_node n = { .kind = WHY_DATASET, .subject = w->name };

	if (w->count) {
		n.reason = "updated";
		n.since_us = w->first_us;
		n.text = why_printf(a->w, "updated %lld time%s, which no run has taken yet",
			(long long)w->count, w->count == 1 ? "" : "s");
	} else {
		n.reason = "dataset_wait";
		n.since_us = w->last_us > w->since_us ? w->last_us : w->since_us;
		n.text = w->last_us ? "waits for its next update" : "waits for its first update";
	}
	why_add(a->w, under, &n);
}

static void add_datasets(const struct asked *a, struct why_node *under)
{
	const struct dataset_rule *rule = a->f->common.dag->datasets;
	size_t missing = 0;

	for (size_t i = 0; a->f->waits && i < rule->n; i++) {
		missing += !a->f->waits[i].count;
		add_dataset(a, under, &a->f->waits[i]);
	}
	if (a->f->waits)
		add_verdict(a, under, missing);
	for (size_t i = 0; a->f->waits && missing > 0 && i < rule->n; i++)
		if (!a->f->waits[i].count) {
			why_step(a->w,
				&(struct why_step){ "datasets", why_word(a->w, rule->refs[i].name),
					"who updates it, and when it was" });
			break;
		}
	why_step(a->w, &(struct why_step){ "trigger", why_word(a->w, a->f->name),
			       "ask for a run without them" });
}

/* When it is due next, as the daemon has it or the schedule says. */
static const char *next_text(const struct asked *a)
{
	const json_t *next = json_object_get(a->live, "next");
	const char *zone = zone_name(a->zone ? a->zone : zone_utc());
	struct tick t;

	if (json_is_object(next))
		return why_printf(a->w, "runs next at %s (%s), for the interval %s to %s",
			why_get(next, "run_after"), why_get(a->live, "zone"),
			why_get(next, "interval_start"), why_get(next, "interval_end"));
	if (a->live || !a->spec || timetable_next(a->spec, a->f->common.now_us, &t) == 0)
		return NULL;
	return why_printf(a->w, "is due next at %s (%s), for the interval %s to %s",
		instant(a->w, a->zone, t.run_after_us), zone, instant(a->w, a->zone, t.start_us),
		instant(a->w, a->zone, t.end_us));
}

static const char *rule_text(const struct dataset_rule *rule)
{
	if (rule->n == 1)
		return "runs when its dataset was updated since its last run";
	return rule->when == DATASET_ALL
		       ? "runs when each of its datasets was updated since its last run"
		       : "runs when one of its datasets was updated since its last run";
}

/* What the schedule itself has to say against a run now. */
static void add_timetable(const struct asked *a, struct why_node *under, bool has_next)
{
	const char *kind = why_get(a->live, "schedule");
	struct tick t;

	if (a->f->common.dag && a->f->common.dag->datasets) {
		add_datasets(a, under);
		return;
	}
	if ((kind && strcmp(kind, "manual") == 0) ||
		(!kind && a->f->common.dag && (!a->spec || a->spec->kind == TIMETABLE_MANUAL))) {
		add_schedule(a, under, "manual", "has no schedule: its runs are asked for");
		why_step(a->w, &(struct why_step){
				       "trigger", why_word(a->w, a->f->name), "ask for a run" });
		return;
	}
	if (!has_next && a->spec && timetable_next(a->spec, a->f->common.now_us, &t) == 0) {
		add_schedule(a, under, "ended",
			a->spec->end_us ? why_printf(a->w, "ended at %s; no run is due any more",
						  instant(a->w, a->zone, a->spec->end_us))
					: "has no run any more");
		return;
	}
	if (a->spec && timetable_next(a->spec, a->f->common.now_us, &t) && t.moved)
		add_schedule(a, under, "calendar", "its calendar moved the next run to this day");
	else if (a->spec &&
		 (a->spec->calendar.only.weekdays || a->spec->calendar.only.n_days ||
			 a->spec->calendar.exclude.weekdays || a->spec->calendar.exclude.n_days))
		add_schedule(a, under, "calendar",
			"has a calendar: days it does not allow are left out");
	if (a->spec)
		why_step(a->w, &(struct why_step){ "next",
				       why_printf(a->w, "%s --explain", why_word(a->w, a->f->name)),
				       "when it is due" });
}

/* Intervals that wait since as many runs as may be are active. */
static void add_waiting(const struct asked *a, struct why_node *under)
{
	const struct dag *dag = a->f->common.dag;
	long long waiting = why_int(a->live, "waiting");

	if (waiting == 0)
		return;
	struct why_node *n = why_add(a->w, under,
		&(struct why_node){ .kind = WHY_SCHEDULE,
			.subject = why_printf(
				a->w, "%lld interval%s", waiting, waiting == 1 ? "" : "s"),
			.reason = "max_active_runs",
			.text = why_printf(a->w,
				"wait%s: %lld of its runs are active, as many as max_active_runs "
				"allows%s%s",
				waiting == 1 ? "s" : "", why_int(a->live, "active"),
				dag ? "; overlap is " : "",
				dag ? planner_overlap_name((enum planner_overlap)dag->overlap)
				    : "") });
	for (size_t i = 0; i < a->f->nactive && i < RUNS_SHOWN; i++)
		why_other_run(a->w, n, &a->f->active[i]);
}

/* Why the planner passed intervals over. */
static const struct {
	const char *why, *text;
} skips[] = {
	{ "overlap", "another run was active, and overlap says not to wait" },
	{ "missed", "they came due while nothing could run, and catchup leaves them out" },
};

static void add_skips(const struct asked *a, struct why_node *under)
{
	const struct plan_row *newest = NULL, *oldest = NULL;
	int shown = 0;

	for (size_t i = 0; i < a->f->nplans && shown < SKIPS_SHOWN; i++) {
		const struct plan_row *p = &a->f->plans[i];
		const char *text = p->why;
		if (strcmp(p->action, planner_action_name(PLANNER_SKIP)) != 0)
			continue;
		for (size_t k = 0; k < sizeof skips / sizeof *skips; k++)
			if (strcmp(skips[k].why, p->why) == 0)
				text = skips[k].text;
		why_add(a->w, under,
			&(struct why_node){ .kind = WHY_SCHEDULE,
				.subject = why_printf(a->w, "%lld interval%s from %s on",
					(long long)p->count, p->count == 1 ? "" : "s",
					instant(a->w, a->zone, p->start_us)),
				.reason = p->why,
				.text = why_printf(a->w, "%s passed over: %s",
					p->count == 1 ? "was" : "were", text),
				.since_us = p->at_us });
		shown++;
		newest = newest ? newest : p;
		oldest = p;
	}
	/* Of several that were passed over at once only the first is known. */
	if (newest)
		why_step(a->w, &(struct why_step){ "backfill",
				       why_printf(a->w, "%s --from %s --to %s --dry-run",
					       why_word(a->w, a->f->name),
					       instant(a->w, a->zone, oldest->start_us),
					       instant(a->w, a->zone,
						       newest->count > 1 ? a->f->common.now_us
									 : newest->start_us)),
				       "what it would take to have them done" });
}

/* ---- its file, what it holds, what it did --------------------------------------------- */

static void add_file(const struct asked *a, struct why_node *under)
{
	const struct dag_row *d = a->f->common.switches;
	const char *error = why_get(a->live, "error"), *params = why_get(a->live, "params_error");
	struct why_node n = {
		.kind = WHY_DAG, .subject = d && d->path ? d->path : "its file", .reason = "file"
	};

	error = error ? error : d && d->error ? d->error : a->f->error;
	if (error) {
		n.text = d && d->version ? "cannot be loaded; its last good version is used"
					 : "cannot be loaded, so it is not scheduled";
		n.detail = error;
	} else if (d && !d->present) {
		n.text = "is not in the daemon's folder any more";
	} else if (params) {
		n.text = "cannot be scheduled: a run of it needs params";
		n.detail = params;
	} else {
		return;
	}
	why_add(a->w, under, &n);
	why_step(a->w,
		&(struct why_step){ "validate", why_word(a->w, n.subject), "all that is wrong" });
}

static void add_frozen(const struct asked *a, struct why_node *under)
{
	const struct why_facts *f = &a->f->common;

	for (size_t i = 0; i < f->nfrozen && i < WHY_ROOTS_MAX; i++)
		why_add(a->w, under,
			&(struct why_node){ .kind = WHY_SWITCH,
				.subject = f->frozen[i].by ? f->frozen[i].by : "somebody",
				.reason = "frozen",
				.text = why_printf(a->w, "froze its task %s", f->frozen[i].task),
				.detail = f->frozen[i].reason,
				.since_us = f->frozen[i].at_us });
}

static void add_active(const struct asked *a, struct why_node *under)
{
	for (size_t i = 0; i < a->f->nactive && i < RUNS_SHOWN; i++)
		why_other_run(a->w, under, &a->f->active[i]);
	if (a->f->nactive > RUNS_SHOWN)
		why_add(a->w, under,
			&(struct why_node){ .kind = WHY_MORE,
				.subject = why_printf(a->w, "%zu more", a->f->nactive - RUNS_SHOWN),
				.text = "runs are active" });
	for (size_t i = 0; i < a->f->nbackfills; i++) {
		const struct backfill_row *b = &a->f->backfills[i];
		why_add(a->w, under,
			&(struct why_node){ .kind = WHY_BACKFILL,
				.subject = why_printf(a->w, "backfill %lld", (long long)b->id),
				.state = backfill_state_name(b->state),
				.text = why_printf(a->w, "%lld of %lld runs are done",
					(long long)(b->nsuccess + b->nfailed),
					(long long)b->ntotal),
				.detail = b->state_reason,
				.since_us = b->created_us });
	}
}

/* The latest run, with what decided it. */
static void add_latest(const struct asked *a, struct why_node *under)
{
	const struct why_facts *f = &a->f->common;
	const struct run_row *r = f->run;

	if (!r || !run_state_is_final(r->state))
		return;
	struct why_node *n = why_add(a->w, under,
		&(struct why_node){ .kind = WHY_RUN,
			.subject = r->name,
			.state = run_state_name(r->state),
			.reason = reason_name(r->reason),
			.text = why_printf(a->w, "its latest run; %s", reason_text(r->reason)),
			.since_us = r->ended_us });
	struct why_walk *k = r->state == RUN_SUCCESS || !n ? NULL : why_walk_new(a->w, f);
	if (!k)
		return;
	why_frontier(k, n);
	why_walk_free(k);
}

int why_dag(struct why *w, const struct why_dag_facts *f, struct err *err)
{
	struct asked a = { .w = w, .f = f };
	const json_t *live = json_object_get(f->common.live, "dag");

	a.live = json_is_object(live) ? live : NULL;
	a.spec = f->common.dag ? f->common.dag->schedule : NULL;
	a.zone = a.spec ? a.spec->zone : NULL;
	const struct dataset_rule *rule = f->common.dag ? f->common.dag->datasets : NULL;
	const char *next = rule ? rule_text(rule) : next_text(&a);
	bool held = f->common.switches && f->common.switches->paused;
	struct why_node *root = why_add(w, NULL,
		&(struct why_node){ .kind = WHY_DAG,
			.subject = f->name,
			.state = held ? "paused" : NULL,
			.text = next ? next : "no run of it is due by itself" });

	why_switches(w, &f->common, root);
	add_file(&a, root);
	why_daemon(w, &f->common, root);
	if (f->common.live && !a.live)
		why_add(w, root,
			&(struct why_node){ .kind = WHY_PROCESS,
				.subject = why_printf(
					w, "daemon %lld", why_int(f->common.live, "pid")),
				.reason = "not_in_folder",
				.text = why_printf(w, "does not have it: its folder is %s",
					why_get(f->common.live, "folder")) });
	add_timetable(&a, root, next != NULL);
	add_waiting(&a, root);
	add_frozen(&a, root);
	if (why_int(a.live, "waiting") == 0)
		add_active(&a, root);
	add_skips(&a, root);
	add_latest(&a, root);
	why_step(w, &(struct why_step){ "runs", why_word(w, f->name), "its runs" });
	return w->root ? 0 : err_nomem(err);
}
