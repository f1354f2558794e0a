/* Schedules of datasets against a slow obvious model, which keeps every update and who took it.
 *
 * Random rules, updates, pauses, runs that begin and end, and restarts, after which what was not
 * taken is counted anew. A run is due exactly when the model says so, and takes exactly what it
 * says; each update is taken once.
 *
 * WEIR_SEED replays a run, WEIR_ROUNDS makes it longer. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/rng.h"
#include "core/dataset.h"

enum { ROUNDS = 2000, STEPS = 120, NAMES = 5, UNITS = 40 };

static const char *const names[NAMES] = { "a", "b.c", "d", "e_f", "g" };

struct world {
	struct rng rng;
	uint64_t seed;
	struct dataset_ref refs[NAMES];
	struct dataset_rule rule;
	struct dataset_update updates[STEPS];
	int taken[STEPS]; /* by which run; 0: by none */
	int n, runs;
	struct dataset_pending p;
	struct dataset_room room;
};

static int below(struct world *w, int n)
{
	return (int)rng_below(&w->rng, (uint64_t)n);
}

static void make(struct world *w)
{
	w->rule = (struct dataset_rule){ .when = below(w, 2) ? DATASET_ALL : DATASET_ANY,
		.refs = w->refs };
	while (w->rule.n == 0)
		for (int i = 0; i < NAMES; i++)
			if (below(w, 2) && w->rule.n < NAMES)
				w->refs[w->rule.n++] = (struct dataset_ref){ names[i], NULL };
	/* Each name once. */
	size_t n = 0;
	for (size_t i = 0; i < w->rule.n; i++) {
		bool first = true;
		for (size_t k = 0; k < n; k++)
			first = first && w->refs[k].name != w->refs[i].name;
		if (first)
			w->refs[n++] = w->refs[i];
	}
	w->rule.n = n;
	w->room = (struct dataset_room){ false, 0, 1 + below(w, 3) };
	assert_int_equal(dataset_pending_init(&w->p, &w->rule, NULL), 0);
}

static bool is_named(const struct world *w, const char *name)
{
	for (size_t i = 0; i < w->rule.n; i++)
		if (strcmp(w->refs[i].name, name) == 0)
			return true;
	return false;
}

static void update(struct world *w)
{
	int64_t start = below(w, 1000);
	struct dataset_update *u = &w->updates[w->n];

	*u = (struct dataset_update){ .id = (w->n ? u[-1].id : 0) + 1 + below(w, 3),
		.dataset = names[below(w, NAMES)],
		.start_us = start,
		.end_us = start + below(w, 50),
		.at_us = 1000 + w->n };
	w->n++;
	dataset_pending_add(&w->p, &w->rule, u);
	if (below(w, 4) == 0)
		assert_false(dataset_pending_add(&w->p, &w->rule, u));
}

/* What waits, of each dataset of the rule: by the list. */
static enum dataset_verdict model(const struct world *w, struct dataset_due *ret)
{
	size_t updated = 0;
	int64_t last_first = 0, first = INT64_MAX;

	*ret = (struct dataset_due){ .start_us = INT64_MAX, .end_us = INT64_MIN };
	for (size_t i = 0; i < w->rule.n; i++) {
		bool any = false;
		for (int k = 0; k < w->n; k++) {
			const struct dataset_update *u = &w->updates[k];
			if (w->taken[k] || strcmp(u->dataset, w->refs[i].name) != 0)
				continue;
			if (!any && u->at_us > last_first)
				last_first = u->at_us;
			if (!any && u->at_us < first)
				first = u->at_us;
			any = true;
			ret->count++;
			ret->start_us = u->start_us < ret->start_us ? u->start_us : ret->start_us;
			ret->end_us = u->end_us > ret->end_us ? u->end_us : ret->end_us;
		}
		updated += any;
	}
	ret->since_us = w->rule.when == DATASET_ALL ? last_first : first;
	if (updated < (w->rule.when == DATASET_ALL ? w->rule.n : 1))
		return DATASET_WAITS;
	if (w->room.paused)
		return DATASET_PAUSED;
	return w->room.active >= w->room.max_active ? DATASET_FULL : DATASET_DUE;
}

static void take(struct world *w, const struct dataset_due *due)
{
	int64_t taken = 0;

	w->runs++;
	for (int k = 0; k < w->n; k++)
		if (!w->taken[k] && w->updates[k].id <= due->upto &&
			is_named(w, w->updates[k].dataset)) {
			w->taken[k] = w->runs;
			taken++;
		}
	assert_int_equal(taken, due->count);
	w->room.active++;
	dataset_pending_clear(&w->p);
}

static void decide(struct world *w)
{
	struct dataset_due got, want;
	enum dataset_verdict v = dataset_decide(&w->rule, &w->p, &w->room, &got);
	enum dataset_verdict m = model(w, &want);

	if (v != m)
		fail_msg("WEIR_SEED=%" PRIu64 ": %s, the model says %s", w->seed,
			dataset_verdict_name(v), dataset_verdict_name(m));
	if (v == DATASET_WAITS)
		return;
	assert_int_equal(got.start_us, want.start_us);
	assert_int_equal(got.end_us, want.end_us);
	assert_int_equal(got.count, want.count);
	assert_int_equal(got.since_us, want.since_us);
	if (v == DATASET_DUE)
		take(w, &got);
}

/* As from the store: what no run took, and up to where all was looked at. */
static void restart(struct world *w)
{
	dataset_pending_release(&w->p);
	assert_int_equal(dataset_pending_init(&w->p, &w->rule, NULL), 0);
	for (int k = 0; k < w->n; k++)
		if (!w->taken[k] && is_named(w, w->updates[k].dataset))
			dataset_pending_add(&w->p, &w->rule, &w->updates[k]);
	if (w->n)
		w->p.upto = w->updates[w->n - 1].id;
}

static void play(struct world *w)
{
	for (int i = 0; i < STEPS; i++) {
		switch (below(w, 6)) {
		case 0:
		case 1:
			update(w);
			break;
		case 2:
			w->room.active -= w->room.active > 0;
			break;
		case 3:
			if (below(w, 3) == 0)
				w->room.paused = !w->room.paused;
			break;
		case 4:
			if (below(w, 4) == 0)
				restart(w);
			break;
		default:
			break;
		}
		decide(w);
	}
	dataset_pending_release(&w->p);
}

/* What intervals cover, unit by unit. */
static void cover(struct world *w)
{
	struct dataset_span spans[8], all = { below(w, UNITS), 0 };
	size_t n = (size_t)below(w, 8);
	bool want = true;

	all.end_us = all.start_us + below(w, 8);
	for (size_t i = 0; i < n; i++) {
		spans[i].start_us = below(w, UNITS);
		spans[i].end_us = spans[i].start_us + below(w, 12);
	}
	int64_t last = all.end_us > all.start_us ? all.end_us : all.start_us + 1;
	for (int64_t at = all.start_us; at < last; at++) {
		bool covered = false;
		for (size_t i = 0; i < n; i++)
			covered = covered || (spans[i].start_us <= at && spans[i].end_us > at) ||
				  (all.start_us == all.end_us && spans[i].start_us == at);
		want = want && covered;
	}
	if (dataset_covers(spans, n, &all) != want)
		fail_msg("WEIR_SEED=%" PRIu64 ": covers: the model says %d", w->seed, want);
}

static void test_model(void **state)
{
	const char *seed = getenv("WEIR_SEED"), *rounds = getenv("WEIR_ROUNDS");
	uint64_t first = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
	int n = rounds ? atoi(rounds) : seed ? 1 : ROUNDS;
	static struct world w;

	(void)state;
	print_message("# WEIR_SEED=%" PRIu64 ", %d rounds\n", first, n);
	for (int i = 0; i < n; i++) {
		memset(&w, 0, sizeof w);
		w.seed = first + (uint64_t)i;
		rng_init(&w.rng, w.seed);
		make(&w);
		play(&w);
		cover(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_model) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
