#include "conf/sla.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/node.h"
#include "base/units.h"
#include "conf/diag.h"
#include "core/sla.h"

#define TIMES_MAX 1000.0

static const struct field act_item = { .type = FIELD_ENUM, .values = sla_act_names };

const struct field sla_fields[] = {
	{ .key = "finish_by",
		.type = FIELD_STRING,
		.help = "The time of day, in the schedule's zone and on the calendar's days, by "
			"which it has to be done: the first such time after the run was due.",
		.example = "\"06:30\"" },
	{ .key = "finish_within",
		.type = FIELD_DURATION,
		.has_min = true,
		.min = 1,
		.help = "It has to be done this long after the end of the interval; of a DAG "
			"without a schedule, after the run was asked for.",
		.example = "2h" },
	{ .key = "start_within",
		.type = FIELD_DURATION,
		.has_min = true,
		.min = 1,
		.help = "It has to have started this long after the run was due, or asked for." },
	{ .key = "runs_at_most",
		.type = FIELD_DURATION,
		.has_min = true,
		.min = 1,
		.help = "How long a run, or an attempt of the task, may take." },
	{ .key = "slower_than",
		.type = FIELD_STRING,
		.help = "So many times the median of the last 20 successful ones; nothing until "
			"there are 3.",
		.example = "2x" },
	{ .key = "fresh_within",
		.type = FIELD_DURATION,
		.has_min = true,
		.min = 1,
		.help = "How long after the last update of a dataset the next has to come: of "
			"those that the task produces; of a DAG of those that its schedule waits "
			"for, or else of those that its tasks produce. See weir-datasets(7).",
		.example = "26h" },
	{ .key = "warn_ahead",
		.type = FIELD_DURATION,
		.has_min = true,
		.min = 1,
		.help = "From this long before finish_by or finish_within on, warn as soon as it "
			"will probably be missed." },
	{ .key = "on_miss",
		.type = FIELD_LIST,
		.item = &act_item,
		.flags = FIELD_OR_ONE,
		.def = "alert",
		.help = "alert: tell; cancel: cancel the run or task, too; skip: skip what has "
			"not started yet." },
	{ 0 },
};

struct sla_loader {
	const struct node *map;
	const char *what;
	bool has_ticks;
	struct sla *sla;
	struct diags *diags;
};

static void load_finish_by(struct sla_loader *l)
{
	const struct node *n = node_get(l->map, "finish_by");

	if (!node_text(n))
		return;
	l->sla->finish_by_s = sla_parse_time(n->text);
	l->sla->kinds |= 1u << SLA_FINISH_BY;
	if (l->sla->finish_by_s < 0) {
		diag_node(l->diags, DIAG_ERROR, n, "%s: finish_by: \"%s\" is no time of day",
			l->what, n->text);
		diag_hint(l->diags, "hours and minutes, 00:00 to 23:59, such as \"06:30\"");
	} else if (!l->has_ticks) {
		diag_node(l->diags, DIAG_ERROR, node_key(l->map, "finish_by"),
			"%s: finish_by: a DAG without a schedule has no day to be done on",
			l->what);
		diag_hint(l->diags, "give it a schedule, or use finish_within");
	}
}

static int64_t load_duration(struct sla_loader *l, const char *key, enum sla_kind kind)
{
	const struct node *n = node_get(l->map, key);
	int64_t us;

	if (!node_text(n) || units_parse_duration(n->text, &us, NULL) < 0)
		return 0;
	l->sla->kinds |= 1u << kind;
	return us;
}

static void load_slower_than(struct sla_loader *l)
{
	const struct node *n = node_get(l->map, "slower_than");
	char *end;

	if (!node_text(n))
		return;
	l->sla->kinds |= 1u << SLA_SLOWER_THAN;
	double times = strtod(n->text, &end);
	bool number = n->text[0] >= '0' && n->text[0] <= '9' && end != n->text &&
		      strspn(n->text, "0123456789.") == (size_t)(end - n->text);
	if (!number || strcmp(*end ? end : "x", "x") != 0) {
		diag_node(l->diags, DIAG_ERROR, n,
			"%s: slower_than: expected how many times the usual duration, found "
			"\"%s\"",
			l->what, n->text);
		diag_hint(l->diags, "such as 2x or 1.5x");
	} else if (times <= 1 || times > TIMES_MAX) {
		diag_node(l->diags, DIAG_ERROR, n,
			times <= 1 ? "%s: slower_than: must be more than 1x: half of all runs are "
				     "slower than usual"
				   : "%s: slower_than: at most 1000x",
			l->what);
	}
	l->sla->slower_than = times;
}

static void load_warn_ahead(struct sla_loader *l)
{
	const struct node *n = node_get(l->map, "warn_ahead");
	const struct sla *s = l->sla;
	bool finishes = sla_has(s, SLA_FINISH_BY) || sla_has(s, SLA_FINISH_WITHIN);

	l->sla->warn_ahead_us = load_duration(l, "warn_ahead", SLA_AT_RISK);
	if (!sla_has(s, SLA_AT_RISK))
		return;
	if (!finishes) {
		diag_node(l->diags, DIAG_ERROR, node_key(l->map, "warn_ahead"),
			"%s: warn_ahead: ahead of what? It needs finish_by or finish_within",
			l->what);
	} else if (sla_has(s, SLA_FINISH_WITHIN) && s->warn_ahead_us >= s->finish_within_us) {
		diag_node(l->diags, DIAG_ERROR, n,
			"%s: warn_ahead: must be shorter than finish_within (%s)", l->what,
			node_text(node_get(l->map, "finish_within")));
	} else if (s->warn_ahead_us >= US_PER_DAY && sla_has(s, SLA_FINISH_BY)) {
		diag_node(l->diags, DIAG_ERROR, n,
			"%s: warn_ahead: must be shorter than a day, in which finish_by comes "
			"again",
			l->what);
	}
}

static void load_on_miss(struct sla_loader *l)
{
	const struct node *n = node_get(l->map, "on_miss");
	size_t count = !n ? 0 : n->type == NODE_SEQ ? n->n : 1;

	for (size_t i = 0; i < count; i++) {
		const char *text = node_text(n->type == NODE_SEQ ? n->items[i] : n);
		for (int a = 0; text && a < SLA_ACT_MAX; a++)
			if (strcmp(text, sla_act_names[a]) == 0)
				l->sla->on_miss |= 1u << a;
	}
	if (count == 0)
		l->sla->on_miss = 1u << SLA_ALERT;
}

const struct sla *sla_load(const struct node *n, const char *what, bool has_ticks,
	struct arena *arena, struct diags *diags)
{
	size_t errors_before = diags->nerrors;
	struct sla *s = n && n->type == NODE_MAP ? arena_alloc(arena, sizeof *s) : NULL;
	struct sla_loader l = {
		.map = n, .what = what, .has_ticks = has_ticks, .sla = s, .diags = diags
	};

	if (!s)
		return NULL;
	*s = (struct sla){ 0 };
	load_finish_by(&l);
	s->finish_within_us = load_duration(&l, "finish_within", SLA_FINISH_WITHIN);
	s->start_within_us = load_duration(&l, "start_within", SLA_START_WITHIN);
	s->runs_at_most_us = load_duration(&l, "runs_at_most", SLA_RUNS_AT_MOST);
	load_slower_than(&l);
	load_warn_ahead(&l);
	s->fresh_within_us = load_duration(&l, "fresh_within", SLA_FRESH_WITHIN);
	load_on_miss(&l);
	if (s->kinds == 1u << SLA_FRESH_WITHIN && s->on_miss & ~(1u << SLA_ALERT))
		diag_node(diags, DIAG_ERROR, node_get(n, "on_miss"),
			"%s: on_miss: of a dataset that is not updated there is nothing to cancel "
			"or skip",
			what);
	if (!s->kinds && diags->nerrors == errors_before) {
		diag_node(diags, DIAG_ERROR, n, "%s: it asks for nothing", what);
		diag_hint(diags, "one or more of finish_by, finish_within, start_within, "
				 "runs_at_most, slower_than, fresh_within");
	}
	return diags->nerrors == errors_before ? s : NULL;
}
