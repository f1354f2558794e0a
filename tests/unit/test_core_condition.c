/* Conditions: what is not one and where it is wrong, limits, verdicts as soon as they are certain.
 * tests/prop/prop_trigger.c has the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "core/condition.h"

static struct arena arena;

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena, 64 << 20);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_release(&arena);
	return 0;
}

static struct condition *parse(const char *text)
{
	struct condition_fault fault;
	struct condition *c = condition_parse(&arena, text, &fault);

	if (!c)
		fail_msg("%s: %zu: %s", text, fault.offset, fault.message);
	/* Tasks are called a, b, c. */
	for (int i = 0; i < c->nterms; i++)
		c->terms[i].task = c->terms[i].name[0] - 'a';
	return c;
}

static void test_faults(void **state)
{
	static const struct {
		const char *text;
		size_t offset, width;
		const char *message;
	} cases[] = {
		{ "", 0, 1, "empty" },
		{ " \t\n", 0, 1, "empty" },
		{ "a", 0, 1, "expected TASK.STATE, such as load.success, found \"a\"" },
		{ ".done", 0, 5, "expected TASK.STATE" },
		{ "a.", 0, 2, "a state is missing" },
		{ "a.sucess", 2, 6, "did you mean \"success\"?" },
		{ "a.running", 2, 7, "there are: done, success" },
		{ "a.done and", 10, 1, "found the end" },
		{ "a.done or or b.done", 10, 2, "found \"or\"" },
		{ "a.done b.done", 7, 6, "expected \"and\" or \"or\", found \"b.done\"" },
		{ "a.done && b.done", 7, 2, "write \"and\" instead of \"&&\"" },
		{ "a.done || b.done", 7, 2, "write \"or\" instead of \"||\"" },
		{ "! a.done", 0, 1, "write \"not\" instead of \"!\"" },
		{ "NOT a.done", 0, 3, "write \"not\"" },
		{ "(a.done", 0, 1, "no \")\" closes this" },
		{ "(a.done or (b.done)", 0, 1, "no \")\" closes this" },
		{ "a.done)", 6, 1, "no \"(\" opens this" },
		{ "()", 1, 1, "expected TASK.STATE" },
		{ "(a.done b.done)", 8, 6, "expected \"and\", \"or\" or \")\"" },
		{ "not", 3, 1, "found the end" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct condition_fault f = { 0 };
		if (condition_parse(&arena, cases[i].text, &f) || f.offset != cases[i].offset ||
			f.width != cases[i].width || !strstr(f.message, cases[i].message))
			fail_msg(
				"\"%s\": %zu+%zu: %s", cases[i].text, f.offset, f.width, f.message);
	}
}

static void test_terms(void **state)
{
	const struct condition *c = parse("( group.a-1.failed )or not and.done");

	(void)state;
	assert_int_equal(c->nterms, 2);
	assert_string_equal(c->terms[0].name, "group.a-1");
	assert_int_equal(c->terms[0].offset, 2);
	assert_int_equal(c->terms[0].length, 9);
	assert_int_equal(c->terms[0].states, 1u << TASK_FAILED);
	assert_string_equal(c->terms[1].name, "and");
	assert_string_equal(c->text, "( group.a-1.failed )or not and.done");
}

static enum task_state state_of(void *arg, int task)
{
	return ((const enum task_state *)arg)[task];
}

/* Text repeated. */
static const char *many(struct buf *b, const char *text, int n)
{
	for (int i = 0; i < n; i++)
		buf_addstr(b, text);
	return b->data;
}

static void test_limits(void **state)
{
	struct condition_fault f;
	struct buf b;

	(void)state;
	for (int over = 0; over < 2; over++) {
		buf_init(&b, 1 << 20);
		many(&b, "(", CONDITION_DEPTH_MAX + over);
		buf_addstr(&b, "a.done");
		many(&b, ")", CONDITION_DEPTH_MAX + over);
		assert_int_equal(!condition_parse(&arena, b.data, &f), over);
		buf_clear(&b);
		many(&b, "a.done or ", CONDITION_TERMS_MAX - 1 + over);
		buf_addstr(&b, "b.done");
		assert_int_equal(!condition_parse(&arena, b.data, &f), over);
		buf_clear(&b);
		buf_addstr(&b, "a.done");
		many(&b, " ", CONDITION_TEXT_MAX - 6 + over);
		assert_int_equal(!condition_parse(&arena, b.data, &f), over);
		buf_release(&b);
	}
	assert_non_null(strstr(f.message, "4096 bytes"));
}

/* Deep in all ways at once: the stack of the judge is as deep as it gets, and `not` costs none. */
static void test_deepest(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	for (int i = 0; i < CONDITION_DEPTH_MAX; i++)
		buf_addstr(&b, "a.failed or b.done and not not not (");
	buf_addstr(&b, "a.failed or b.done and not a.done");
	many(&b, ")", CONDITION_DEPTH_MAX);
	const struct condition *c = parse(b.data);
	const enum task_state states[] = { TASK_SKIPPED, TASK_SUCCESS };
	/* 32 negations of what is false in the end. */
	assert_int_equal(condition_judge(c, state_of, (void *)states), TRUTH_NO);
	buf_release(&b);
}

static void test_early(void **state)
{
	static const struct {
		const char *text;
		enum task_state states[3];
		enum truth truth;
	} cases[] = {
		{ "a.success or b.success", { TASK_SUCCESS, TASK_NONE }, TRUTH_YES },
		{ "a.success or b.success", { TASK_FAILED, TASK_RUNNING }, TRUTH_UNKNOWN },
		{ "a.success or b.success", { TASK_FAILED, TASK_SKIPPED }, TRUTH_NO },
		{ "a.success and b.success", { TASK_UP_FOR_RETRY, TASK_FAILED }, TRUTH_NO },
		{ "a.success and b.success", { TASK_SUCCESS, TASK_HELD }, TRUTH_UNKNOWN },
		{ "a.done", { TASK_RUNNING }, TRUTH_UNKNOWN },
		{ "a.done", { TASK_CANCELLED }, TRUTH_YES },
		{ "a.failed", { TASK_UPSTREAM_FAILED }, TRUTH_NO },
		{ "not a.failed", { TASK_QUEUED }, TRUTH_UNKNOWN },
		/* and binds closer than or, not closest */
		{ "a.success or b.success and c.success",
			{ TASK_SUCCESS, TASK_FAILED, TASK_FAILED }, TRUTH_YES },
		{ "(a.success or b.success) and c.success",
			{ TASK_SUCCESS, TASK_FAILED, TASK_FAILED }, TRUTH_NO },
		{ "not a.success or b.success", { TASK_FAILED, TASK_FAILED }, TRUTH_YES },
		{ "not (a.success or b.success)", { TASK_FAILED, TASK_SUCCESS }, TRUTH_NO },
		{ "not not not a.success", { TASK_SUCCESS }, TRUTH_NO },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct condition *c = parse(cases[i].text);
		if (condition_judge(c, state_of, (void *)cases[i].states) != cases[i].truth)
			fail_msg("case %zu: %s", i, cases[i].text);
	}
}

static unsigned all(void *arg, int task)
{
	(void)arg;
	(void)task;
	return ~0u;
}

/* A search without end is given up: each of 255 tasks may be anything, and it is never true. */
static void test_search_is_bounded(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	for (int i = 0; i < 60; i++)
		buf_addf(&b, "%s(%c.success or %c.failed)", i ? " and " : "", 'b' + i, 'b' + i);
	buf_addstr(&b, " and (a.success and a.failed)");
	struct condition *c = parse(b.data);
	for (int i = 0; i < c->nterms; i++)
		c->terms[i].task = (unsigned char)c->terms[i].name[0];
	assert_int_equal(condition_possible(c, all, NULL), TRUTH_UNKNOWN);
	assert_int_equal(condition_possible(parse("a.success and a.failed"), all, NULL), TRUTH_NO);
	assert_int_equal(condition_possible(parse("a.success and b.failed"), all, NULL), TRUTH_YES);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_terms),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_deepest),
		cmocka_unit_test(test_early),
		cmocka_unit_test(test_search_is_bounded),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
