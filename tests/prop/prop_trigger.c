/* Trigger rules and conditions against slow models of them.
 *
 * Needs become final one after the other, in random states; after each the rule's verdict is
 * compared with the model's, and so is every condition, made at random together with a tree that is
 * judged by looking at all that may still come.
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

#include "base/arena.h"
#include "base/buf.h"
#include "base/rng.h"
#include "core/condition.h"
#include "tests/lib/trigger_model.h"

enum { NEEDS_MAX = 6, TASKS = 4, ROUNDS = 20000 };

static const enum task_state finals[] = { TASK_SUCCESS, TASK_FAILED, TASK_SKIPPED,
	TASK_UPSTREAM_FAILED, TASK_CANCELLED };
enum { FINALS = sizeof finals / sizeof *finals };

static struct rng rng;
static uint64_t seed;

static int below(int n)
{
	return (int)rng_below(&rng, (uint64_t)n);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static int begin(void)
{
	seed = number_of("WEIR_SEED", (uint64_t)time(NULL));
	rng_init(&rng, seed);
	printf("# WEIR_SEED=%" PRIu64 "\n", seed);
	return (int)number_of("WEIR_ROUNDS", ROUNDS);
}

/* ---- rules ---------------------------------------------------------------------------- */

static enum task_state as_state(enum verdict v)
{
	return v == VERDICT_RUN ? TASK_RUNNING : trigger_state(v);
}

static void play_rule(enum trigger_rule rule)
{
	enum task_state states[NEEDS_MAX] = { 0 };
	int n = below(NEEDS_MAX + 1);
	const struct model_needs m = { states, n };
	struct trigger_counts c = { .needs = n };
	enum task_state got = TASK_NONE;

	for (int left = n;; left--) {
		enum task_state before = got;
		got = as_state(trigger_judge(rule, &c));
		if (got != model_verdict(rule, &m))
			fail_msg("WEIR_SEED=%" PRIu64 ": %s, %d needs, %d open: %s, not %s", seed,
				trigger_name(rule), n, left, task_state_name(got),
				task_state_name(model_verdict(rule, &m)));
		if (before == TASK_RUNNING && got != TASK_RUNNING)
			fail_msg("%s takes it back", trigger_name(rule));
		if (trigger_waiting(&c) != left)
			fail_msg("%d wait, not %d", trigger_waiting(&c), left);
		if (left == 0)
			break;
		int at = below(n);
		while (states[at] != TASK_NONE)
			at = (at + 1) % n;
		states[at] = finals[below(FINALS)];
		trigger_count(&c, states[at]);
	}
	if (got == TASK_NONE)
		fail_msg("WEIR_SEED=%" PRIu64 ": %s waits for nothing", seed, trigger_name(rule));
}

static void test_rules(void **state)
{
	(void)state;
	for (int rounds = begin(); rounds > 0; rounds--)
		for (int rule = 0; rule < TRIGGER_MAX; rule++)
			play_rule((enum trigger_rule)rule);
}

/* ---- conditions ----------------------------------------------------------------------- */

static const struct {
	const char *name;
	enum task_state state; /* TASK_NONE: any final one */
} words[] = { { "done", TASK_NONE }, { "success", TASK_SUCCESS }, { "failed", TASK_FAILED },
	{ "skipped", TASK_SKIPPED }, { "upstream_failed", TASK_UPSTREAM_FAILED },
	{ "cancelled", TASK_CANCELLED } };

enum { TERM, NOT, AND, OR };

/* A tree as it is written. */
struct tree {
	int op; /* TERM, NOT, AND, OR */
	int task;
	enum task_state state;
	struct tree *a, *b;
};

static struct tree *write_tree(struct arena *arena, struct buf *out, int size, int around)
{
	struct tree *t = arena_alloc(arena, sizeof *t);
	int op = size <= 1 ? TERM : below(4);

	/* A weaker operator inside needs parentheses; others get them at times. */
	bool group = (op > TERM && op != NOT && op != around && around != TERM) || below(6) == 0;
	t->op = op;
	buf_addstr(out, group ? "( " : "");
	if (op == TERM) {
		int word = below((int)(sizeof words / sizeof *words));
		t->task = below(TASKS);
		t->state = words[word].state;
		buf_addf(out, "t%d.%s", t->task, words[word].name);
	} else if (op == NOT) {
		buf_addstr(out, "not ");
		t->a = write_tree(arena, out, size - 1, NOT);
	} else {
		t->a = write_tree(arena, out, size / 2, op);
		buf_addstr(out, op == AND ? "\tand " : " or\n");
		t->b = write_tree(arena, out, size - size / 2, op);
	}
	buf_addstr(out, group ? ")" : "");
	return t;
}

static bool is_true(const struct tree *t, const enum task_state *states)
{
	switch (t->op) {
	case TERM:
		return t->state == TASK_NONE || states[t->task] == t->state;
	case NOT:
		return !is_true(t->a, states);
	case AND:
		return is_true(t->a, states) && is_true(t->b, states);
	default:
		return is_true(t->a, states) || is_true(t->b, states);
	}
}

/* Which truths may still come: bit 0 no, bit 1 yes. */
static int outlook(const struct tree *t, const enum task_state *states, unsigned may)
{
	enum task_state try[TASKS];
	int found = 0;

	for (int i = 0; i < 5 * 5 * 5 * 5; i++) {
		bool fits = true;
		for (int k = 0, rest = i; k < TASKS; k++, rest /= FINALS) {
			try[k] = finals[rest % FINALS];
			fits = fits &&
			       (states[k] == TASK_NONE ? may >> try[k] & 1 : states[k] == try[k]);
		}
		if (fits)
			found |= is_true(t, try) ? 2 : 1;
	}
	return found;
}

static enum task_state state_of(void *arg, int task)
{
	return ((const enum task_state *)arg)[task];
}

static unsigned may_of(void *arg, int task)
{
	(void)task;
	return *(const unsigned *)arg;
}

static void check_condition(const struct condition *c, const struct tree *t)
{
	enum task_state states[TASKS] = { 0 };

	for (int left = TASKS;; left--) {
		int seen = outlook(t, states, ~0u);
		enum truth got = condition_judge(c, state_of, states);
		if ((got == TRUTH_YES && seen != 2) || (got == TRUTH_NO && seen != 1) ||
			(got == TRUTH_UNKNOWN && left == 0))
			fail_msg("WEIR_SEED=%" PRIu64 ": \"%s\", %d open: %d, not %d", seed,
				c->text, left, got, seen);
		if (left == 0)
			return;
		int at = below(TASKS);
		while (states[at] != TASK_NONE)
			at = (at + 1) % TASKS;
		states[at] = finals[below(FINALS)];
	}
}

static void check_possible(const struct condition *c, const struct tree *t)
{
	const enum task_state none[TASKS] = { 0 };
	unsigned may = 1u << finals[below(FINALS)] | 1u << finals[below(FINALS)];
	int seen = outlook(t, none, may);
	enum truth got = condition_possible(c, may_of, &may);

	if ((got == TRUTH_YES) != !!(seen & 2) || got == TRUTH_UNKNOWN)
		fail_msg("WEIR_SEED=%" PRIu64 ": \"%s\": possible %d, not %d", seed, c->text, got,
			seen);
}

static void play_condition(void)
{
	struct condition_fault fault;
	struct arena arena;
	struct buf text;

	arena_init(&arena, 1 << 20);
	buf_init(&text, 1 << 16);
	struct tree *t = write_tree(&arena, &text, 1 + below(12), TERM);
	struct condition *c = condition_parse(&arena, text.data, &fault);
	if (!c)
		fail_msg("WEIR_SEED=%" PRIu64 ": \"%s\": %s", seed, text.data, fault.message);
	for (int i = 0; i < c->nterms; i++)
		c->terms[i].task = atoi(c->terms[i].name + 1);
	check_condition(c, t);
	check_possible(c, t);
	buf_release(&text);
	arena_release(&arena);
}

static void test_conditions(void **state)
{
	(void)state;
	for (int rounds = begin() / 10; rounds > 0; rounds--)
		play_condition();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_conditions),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
