/* Circuit breakers by themselves: when they open, how they come back, what is kept as text; and
 * random lives of one beside a slow model that remembers all that ever happened. The clock counts
 * milliseconds, and is set back now and then.
 *
 * WEIR_SEED in the environment repeats a series, WEIR_ROUNDS prolongs it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/rng.h"
#include "base/units.h"
#include "core/breaker.h"

#define MS US_PER_MS
#define S US_PER_SECOND
#define START INT64_C(1800000000000000)

static const struct breaker_policy usual = { .failures = 3,
	.at_least = 20,
	.window_us = 16 * S,
	.open_us = 10 * S,
	.max_open_us = 35 * S,
	.factor = 2,
	.probes = 1,
	.ramp = 4,
	.counts = 1u << BREAKER_TRANSIENT | 1u << BREAKER_TIMEOUT };

static bool asks(struct breaker *b, const struct breaker_policy *p, int64_t now_us)
{
	int64_t again_us;

	return breaker_ask(b, p, now_us, &again_us);
}

static struct breaker_pass start(struct breaker *b, const struct breaker_policy *p, int64_t now_us)
{
	assert_true(asks(b, p, now_us));
	return breaker_pass(b, p, now_us);
}

static bool fail_at(
	struct breaker *b, const struct breaker_policy *p, struct breaker_pass pass, int64_t now_us)
{
	const struct breaker_end e = { .pass = pass, .class = BREAKER_TRANSIENT };

	return breaker_ended(b, p, &e, now_us);
}

static bool succeed_at(
	struct breaker *b, const struct breaker_policy *p, struct breaker_pass pass, int64_t now_us)
{
	const struct breaker_end e = { .pass = pass, .success = true };

	return breaker_ended(b, p, &e, now_us);
}

/* Open it by failures at one instant. */
static void trip(struct breaker *b, const struct breaker_policy *p, int64_t now_us)
{
	for (int i = 0; i < p->failures; i++)
		fail_at(b, p, start(b, p, now_us), now_us);
	assert_int_equal(b->state, BREAKER_OPEN);
}

static void test_opens_by_number(void **state)
{
	struct breaker b = { 0 };
	int64_t again_us, now = START;

	(void)state;
	fail_at(&b, &usual, start(&b, &usual, now), now);
	fail_at(&b, &usual, start(&b, &usual, now + S), now + S);
	/* The first two left the window. */
	now += 18 * S;
	fail_at(&b, &usual, start(&b, &usual, now), now);
	assert_int_equal(b.state, BREAKER_CLOSED);
	assert_int_equal(breaker_failures(&b, &usual, now, NULL), 1);
	/* Successes between them do not matter. */
	succeed_at(&b, &usual, start(&b, &usual, now), now);
	fail_at(&b, &usual, start(&b, &usual, now + S), now + S);
	struct breaker_pass late = start(&b, &usual, now + S);
	fail_at(&b, &usual, start(&b, &usual, now + 2 * S), now + 2 * S);
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_false(breaker_ask(&b, &usual, now + 3 * S, &again_us));
	assert_int_equal(again_us, now + 12 * S);
	/* What was in flight says nothing any more. */
	assert_false(succeed_at(&b, &usual, late, now + 4 * S));
	assert_int_equal(b.state, BREAKER_OPEN);
}

static void test_what_counts(void **state)
{
	struct breaker_policy p = usual;
	struct breaker b = { 0 };

	(void)state;
	for (int i = 0; i < 10; i++) {
		const struct breaker_end e = { .pass = start(&b, &p, START),
			.class = BREAKER_PERMANENT };
		assert_false(breaker_ended(&b, &p, &e, START));
	}
	for (int i = 0; i < 10; i++) {
		const struct breaker_end e = { .pass = start(&b, &p, START), .void_ = true };
		assert_false(breaker_ended(&b, &p, &e, START));
	}
	assert_int_equal(b.state, BREAKER_CLOSED);
	p.counts = 1u << BREAKER_PERMANENT;
	for (int i = 0; i < 3; i++) {
		const struct breaker_end e = { .pass = start(&b, &p, START),
			.class = BREAKER_PERMANENT };
		assert_true(breaker_ended(&b, &p, &e, START));
	}
	assert_int_equal(b.state, BREAKER_OPEN);
}

static void test_opens_by_rate(void **state)
{
	struct breaker_policy p = usual;
	struct breaker b = { 0 };

	(void)state;
	p.failures = 0;
	p.rate = 0.5;
	p.at_least = 6;
	/* Four of five: too few to judge. */
	for (int i = 0; i < 4; i++)
		assert_true(fail_at(&b, &p, start(&b, &p, START), START));
	assert_true(succeed_at(&b, &p, start(&b, &p, START), START));
	assert_int_equal(b.state, BREAKER_CLOSED);
	for (int i = 0; i < 4; i++)
		succeed_at(&b, &p, start(&b, &p, START), START);
	assert_int_equal(b.state, BREAKER_CLOSED);
	/* Five of ten. */
	fail_at(&b, &p, start(&b, &p, START), START);
	assert_int_equal(b.state, BREAKER_OPEN);
}

static void test_probes(void **state)
{
	struct breaker_policy p = usual;
	struct breaker b = { 0 };
	int64_t again_us, now = START;

	(void)state;
	p.probes = 2;
	trip(&b, &p, now);
	now += 10 * S;
	struct breaker_pass one = start(&b, &p, now), two = start(&b, &p, now);
	assert_true(one.probe && two.probe);
	assert_false(breaker_ask(&b, &p, now, &again_us));
	assert_int_equal(again_us, INT64_MAX);
	/* One that says nothing leaves its place to another. */
	const struct breaker_end lost = { .pass = one, .void_ = true };
	breaker_ended(&b, &p, &lost, now);
	one = start(&b, &p, now);
	assert_true(succeed_at(&b, &p, one, now + S));
	assert_int_equal(b.state, BREAKER_HALF_OPEN);
	assert_false(asks(&b, &p, now + S));
	/* Open for longer and longer, but not for ever. */
	static const int64_t lengths[] = { 20 * S, 35 * S, 35 * S };
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		assert_true(fail_at(&b, &p, two, now));
		assert_int_equal(b.state, BREAKER_OPEN);
		assert_false(breaker_ask(&b, &p, now + lengths[i] - 1, &again_us));
		assert_int_equal(again_us, now + lengths[i]);
		now += lengths[i];
		two = start(&b, &p, now);
	}
	one = start(&b, &p, now);
	succeed_at(&b, &p, one, now);
	assert_true(succeed_at(&b, &p, two, now));
	assert_int_equal(b.state, BREAKER_CLOSED);
	/* Its next opening is a first one. */
	breaker_end_ramp(&b);
	trip(&b, &p, now);
	assert_int_equal(b.until_us, now + 10 * S);
}

static void test_ramp(void **state)
{
	struct breaker b = { 0 };
	int64_t again_us, now = START;

	(void)state;
	breaker_force_closed(&b, now);
	for (int i = 0; i < 20; i++) {
		assert_true(breaker_ask(&b, &usual, now, &again_us));
		breaker_pass(&b, &usual, now);
		assert_false(breaker_ask(&b, &usual, now, &again_us));
		assert_int_equal(again_us, now + S / 4);
		assert_false(asks(&b, &usual, again_us - 1));
		now = again_us;
	}
	/* The clock goes back by an hour: the wait is no longer than before. */
	assert_true(asks(&b, &usual, now - 3600 * S));
	breaker_end_ramp(&b);
	assert_true(asks(&b, &usual, now - 3600 * S));
}

static void test_person(void **state)
{
	struct breaker b = { 0 };
	int64_t again_us;

	(void)state;
	breaker_force_open(&b, START);
	assert_false(breaker_ask(&b, &usual, START + 1000000 * S, &again_us));
	assert_int_equal(again_us, INT64_MAX);
	breaker_force_closed(&b, START + S);
	assert_true(asks(&b, &usual, START + S));
	assert_int_equal(b.state, BREAKER_CLOSED);
}

static void test_clock_set_back(void **state)
{
	struct breaker b = { 0 };
	int64_t again_us;

	(void)state;
	trip(&b, &usual, START);
	assert_false(breaker_ask(&b, &usual, START - 3600 * S, &again_us));
	assert_int_equal(again_us, START - 3590 * S);
	assert_true(asks(&b, &usual, START - 3590 * S));
}

static void test_text(void **state)
{
	static const char *const bad[] = { "", "v1", "v2 open 1 2 3 4", "v1 ajar 1 2 3 4",
		"v1 open 1 2 3", "v1 open 1 2 3 x", "v1 open 1 2 3 -4", "v1 closed 1 2 3 4 5",
		"v1 closed 1 2 3 4 5 6", "v1 closed 1 2 3 4 5 1 2", "v1 closed 1 2 3 4 5 1 1 ",
		"v1 closed 1 2 3 4 5 99999999999 1", "v1 open 99999999999999999999 2 3 4",
		"v1 openx 1 2 3 4" };
	struct breaker b, back;
	struct buf text, again;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_false(breaker_parse(bad[i], &b));
		assert_int_equal(b.state, BREAKER_CLOSED);
		assert_true(asks(&b, &usual, 0));
	}
	buf_init(&text, 4096);
	buf_init(&again, 4096);
	b = (struct breaker){ 0 };
	trip(&b, &usual, START);
	breaker_add(&text, &b);
	assert_string_equal(text.data, "v1 open 1800000000000000 1800000010000000 10000000 0 "
				       "1800000000 3 3");
	assert_true(breaker_parse(text.data, &back));
	breaker_add(&again, &back);
	assert_string_equal(again.data, text.data);
	buf_release(&text);
	buf_release(&again);
}

/* ---- a random life --------------------------------------------------------------------- */

enum { ENDS = 400, FLYING = 12 };

/* What is remembered: every end since it closed, what flies, when what began. */
struct model {
	enum breaker_state state;
	int64_t until_us, open_us, last_us; /* last_us: the last start of a ramp */
	bool ramp;
	int era, probing, passed;
	struct {
		int64_t at_us;
		bool failed;
	} ends[ENDS];
	int nends;
};

struct flying {
	bool on, probe;
	int era;
	struct breaker_pass pass;
};

struct life {
	struct rng rng;
	uint64_t seed;
	struct breaker_policy p;
	struct breaker b;
	struct model m;
	struct flying flying[FLYING];
	int64_t now_us;
	int opened, closed, restarts;
};

static int below(struct life *l, int n)
{
	return (int)rng_below(&l->rng, (uint64_t)n);
}

#define CHECK(l, condition)                                                    \
	do {                                                                   \
		if (!(condition)) {                                            \
			fprintf(stderr, "WEIR_SEED=%" PRIu64 "\n", (l)->seed); \
			fail_msg("%s", #condition);                            \
		}                                                              \
	} while (0)

static int64_t ramp_step(const struct life *l)
{
	return (S + l->p.ramp - 1) / l->p.ramp;
}

static void model_enter(struct life *l, enum breaker_state to)
{
	struct model *m = &l->m;

	m->state = to;
	m->era++;
	m->probing = m->passed = m->nends = 0;
	m->ramp = to == BREAKER_CLOSED;
	m->last_us = l->now_us - ramp_step(l); /* the first may start at once */
}

static void model_open(struct life *l)
{
	struct model *m = &l->m;
	int64_t longer = m->open_us ? (int64_t)((double)m->open_us * l->p.factor) : l->p.open_us;

	model_enter(l, BREAKER_OPEN);
	m->open_us = longer < l->p.max_open_us ? longer : l->p.max_open_us;
	m->until_us = l->now_us + m->open_us;
}

static bool model_ask(struct life *l)
{
	struct model *m = &l->m;

	if (m->state == BREAKER_OPEN && m->until_us != INT64_MAX &&
		m->until_us > l->now_us + m->open_us)
		m->until_us = l->now_us + m->open_us;
	if (m->state == BREAKER_OPEN && l->now_us >= m->until_us)
		model_enter(l, BREAKER_HALF_OPEN);
	if (m->state == BREAKER_HALF_OPEN)
		return m->probing + m->passed < l->p.probes;
	if (m->state == BREAKER_OPEN)
		return false;
	return !m->ramp || l->now_us >= m->last_us + ramp_step(l) || l->now_us < m->last_us;
}

/* Slices of a sixteenth of the window, the present one among them. */
static bool model_is_too_much(const struct life *l)
{
	int64_t width = l->p.window_us / BREAKER_SLICES, last = l->now_us / width;
	int ended = 0, failed = 0;

	for (int i = 0; i < l->m.nends; i++) {
		int64_t slice = l->m.ends[i].at_us / width;
		if (slice > last - BREAKER_SLICES && slice <= last) {
			ended++;
			failed += l->m.ends[i].failed;
		}
	}
	return (l->p.failures && failed >= l->p.failures) ||
	       (l->p.rate > 0 && failed && ended >= l->p.at_least &&
		       (double)failed / ended >= l->p.rate);
}

/* There is room for so many slices: a slice that comes, by a clock that was set back, in the place
 * of another one replaces it. */
static void model_forget(struct life *l)
{
	int64_t width = l->p.window_us / BREAKER_SLICES, now = l->now_us / width;
	int kept = 0;

	for (int i = 0; i < l->m.nends; i++) {
		int64_t slice = l->m.ends[i].at_us / width;
		if (slice == now || slice % BREAKER_SLICES != now % BREAKER_SLICES)
			l->m.ends[kept++] = l->m.ends[i];
	}
	l->m.nends = kept;
}

static void model_end(struct life *l, const struct flying *f, bool failed, bool success)
{
	struct model *m = &l->m;

	if (f->era != m->era)
		return;
	if (m->state == BREAKER_HALF_OPEN) {
		m->probing--;
		m->passed += success;
		if (failed) {
			model_open(l);
		} else if (m->passed >= l->p.probes) {
			model_enter(l, BREAKER_CLOSED);
			m->open_us = 0;
		}
		return;
	}
	/* Where no share is asked for nobody counts successes. */
	if ((!failed && (!success || l->p.rate <= 0)) || m->nends == ENDS)
		return;
	model_forget(l);
	m->ends[m->nends].at_us = l->now_us;
	m->ends[m->nends++].failed = failed;
	if (failed && model_is_too_much(l))
		model_open(l);
}

static void step_start(struct life *l)
{
	struct flying *f = &l->flying[below(l, FLYING)];
	int64_t again_us;

	if (f->on)
		return;
	bool yes = breaker_ask(&l->b, &l->p, l->now_us, &again_us);
	CHECK(l, yes == model_ask(l));
	CHECK(l, yes || again_us > l->now_us);
	if (!yes)
		return;
	*f = (struct flying){ true, l->m.state == BREAKER_HALF_OPEN, l->m.era,
		breaker_pass(&l->b, &l->p, l->now_us) };
	CHECK(l, f->pass.probe == f->probe);
	l->m.probing += f->probe;
	l->m.last_us = l->now_us;
	CHECK(l, l->b.probing <= l->p.probes);
}

static void step_end(struct life *l)
{
	struct flying *f = &l->flying[below(l, FLYING)];
	struct breaker_end e = { .pass = f->pass, .class = (enum breaker_class)below(l, 3) };

	if (!f->on)
		return;
	e.success = below(l, 3) == 0;
	e.void_ = !e.success && below(l, 4) == 0;
	bool failed = !e.success && !e.void_ && (l->p.counts & 1u << e.class);
	enum breaker_state was = l->b.state;
	breaker_ended(&l->b, &l->p, &e, l->now_us);
	model_end(l, f, failed, !failed && !e.void_);
	l->opened += was != BREAKER_OPEN && l->b.state == BREAKER_OPEN;
	l->closed += was != BREAKER_CLOSED && l->b.state == BREAKER_CLOSED;
	f->on = false;
}

static void step_time(struct life *l)
{
	if (below(l, 40) == 0)
		l->now_us -= below(l, 60000) * MS;
	else if (below(l, 3) == 0)
		l->now_us += below(l, 8000) * MS;
	else
		l->now_us += below(l, 300) * MS;
}

static void step_person(struct life *l)
{
	if (below(l, 10))
		return;
	if (below(l, 2)) {
		breaker_force_open(&l->b, l->now_us);
		model_enter(l, BREAKER_OPEN);
		l->m.until_us = INT64_MAX;
	} else {
		breaker_force_closed(&l->b, l->now_us);
		model_enter(l, BREAKER_CLOSED);
		l->m.open_us = 0;
	}
}

/* Nothing is asked of before a restart: neither of probes, nor of what else was in flight. */
static void step_restart(struct life *l)
{
	struct buf text;

	if (below(l, 40))
		return;
	buf_init(&text, 4096);
	breaker_add(&text, &l->b);
	CHECK(l, breaker_parse(text.data, &l->b));
	buf_release(&text);
	l->m.probing = l->m.passed = 0;
	memset(l->flying, 0, sizeof l->flying);
	l->restarts++;
}

static void step_end_ramp(struct life *l)
{
	if (l->m.state != BREAKER_CLOSED || below(l, 4))
		return;
	breaker_end_ramp(&l->b);
	l->m.ramp = false;
}

static void live(struct life *l)
{
	static void (*const steps[])(struct life *) = { step_start, step_start, step_start,
		step_end, step_end, step_end, step_time, step_time, step_person, step_restart,
		step_end_ramp };

	l->p = (struct breaker_policy){ .failures = 1 + below(l, 5),
		.rate = below(l, 2) * 0.5,
		.at_least = 1 + below(l, 6),
		.window_us = (16 + below(l, 3) * 16) * S,
		.open_us = (1 + below(l, 10)) * S,
		.max_open_us = 20 * S,
		.factor = 1 + below(l, 3) * 0.5,
		.probes = 1 + below(l, 3),
		.ramp = 1 + below(l, 7),
		.counts = (unsigned)below(l, 8) };
	if (l->p.rate > 0 && below(l, 2))
		l->p.failures = 0;
	l->b = (struct breaker){ 0 };
	l->m = (struct model){ 0 };
	memset(l->flying, 0, sizeof l->flying);
	l->now_us = START;
	for (int i = 0; i < 500; i++) {
		steps[below(l, sizeof steps / sizeof *steps)](l);
		CHECK(l, l->b.state == l->m.state);
		CHECK(l, l->b.state != BREAKER_OPEN || l->b.until_us == l->m.until_us ||
				 l->b.until_us == INT64_MAX || l->m.until_us > l->now_us);
	}
}

static void test_lives(void **state)
{
	const char *seed = getenv("WEIR_SEED"), *rounds = getenv("WEIR_ROUNDS");
	uint64_t first = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
	int n = rounds ? atoi(rounds) : 2000;
	struct life l = { 0 };

	(void)state;
	for (int i = 0; i < n; i++) {
		l.seed = first + (uint64_t)i;
		rng_init(&l.rng, l.seed);
		live(&l);
	}
	assert_true(seed || (l.opened > n && l.closed > n / 10 && l.restarts > n / 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opens_by_number),
		cmocka_unit_test(test_what_counts),
		cmocka_unit_test(test_opens_by_rate),
		cmocka_unit_test(test_probes),
		cmocka_unit_test(test_ramp),
		cmocka_unit_test(test_person),
		cmocka_unit_test(test_clock_set_back),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_lives),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
