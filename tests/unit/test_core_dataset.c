/* Datasets: names, what is collected, when a run is due, what intervals cover. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "core/dataset.h"

static const struct dataset_ref two[] = { { "sales.daily", NULL }, { "fx.rates", NULL } };
static const struct dataset_rule all = { DATASET_ALL, two, 2 };
static const struct dataset_rule any = { DATASET_ANY, two, 2 };
static const struct dataset_room room = { false, 0, 1 };

static void test_names(void **state)
{
	static const char *const good[] = { "sales", "sales.daily", "a-b_C.9", "touch" };
	static const char *const bad[] = { "", "sales daily", "a/b", "\xc3\xa4", "a\n",
		"{{ ds }}" };
	char longest[DATASET_NAME_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_true(dataset_is_name(good[i]));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(dataset_is_name(bad[i]));
	memset(longest, 'x', sizeof longest);
	longest[DATASET_NAME_MAX + 1] = '\0';
	assert_false(dataset_is_name(longest));
	longest[DATASET_NAME_MAX] = '\0';
	assert_true(dataset_is_name(longest));
	assert_string_equal(dataset_verdict_name(DATASET_FULL), "full");
	assert_string_equal(dataset_when_names[DATASET_ANY], "any");
}

static bool add(struct dataset_pending *p, const struct dataset_rule *rule, int64_t id,
	const char *dataset, int64_t day)
{
	const struct dataset_update u = { id, dataset, day * 10, day * 10 + 10, 1000 + id };

	return dataset_pending_add(p, rule, &u);
}

static void test_all(void **state)
{
	struct dataset_pending p;
	struct dataset_due due;

	(void)state;
	assert_int_equal(dataset_pending_init(&p, &all, NULL), 0);
	assert_int_equal(dataset_decide(&all, &p, &room, &due), DATASET_WAITS);
	assert_true(add(&p, &all, 1, "sales.daily", 3));
	assert_true(add(&p, &all, 2, "sales.daily", 1));
	assert_int_equal(dataset_decide(&all, &p, &room, &due), DATASET_WAITS);
	/* of another dataset, and one that was looked at before */
	assert_false(add(&p, &all, 3, "stock", 9));
	assert_false(add(&p, &all, 2, "fx.rates", 1));
	assert_int_equal(dataset_decide(&all, &p, &room, &due), DATASET_WAITS);
	assert_true(add(&p, &all, 7, "fx.rates", 2));
	assert_int_equal(dataset_decide(&all, &p, &room, &due), DATASET_DUE);
	assert_int_equal(due.start_us, 10);
	assert_int_equal(due.end_us, 40);
	assert_int_equal(due.count, 3);
	assert_int_equal(due.upto, 7);
	assert_int_equal(due.since_us, 1007);
	dataset_pending_clear(&p);
	assert_int_equal(dataset_decide(&all, &p, &room, &due), DATASET_WAITS);
	assert_false(add(&p, &all, 7, "fx.rates", 2));
	dataset_pending_release(&p);
}

static void test_any(void **state)
{
	struct dataset_pending p;
	struct dataset_due due;

	(void)state;
	assert_int_equal(dataset_pending_init(&p, &any, NULL), 0);
	assert_int_equal(dataset_decide(&any, &p, &room, &due), DATASET_WAITS);
	add(&p, &any, 4, "fx.rates", 5);
	assert_int_equal(dataset_decide(&any, &p, &room, &due), DATASET_DUE);
	add(&p, &any, 5, "sales.daily", 4);
	add(&p, &any, 6, "fx.rates", 6);
	assert_int_equal(dataset_decide(&any, &p, &room, &due), DATASET_DUE);
	assert_int_equal(due.start_us, 40);
	assert_int_equal(due.end_us, 70);
	assert_int_equal(due.since_us, 1004);
	dataset_pending_release(&p);
}

static void test_room(void **state)
{
	struct dataset_pending p;
	struct dataset_due due;

	(void)state;
	assert_int_equal(dataset_pending_init(&p, &any, NULL), 0);
	assert_int_equal(dataset_decide(&any, &p, &(struct dataset_room){ true, 0, 1 }, &due),
		DATASET_WAITS);
	add(&p, &any, 1, "fx.rates", 5);
	assert_int_equal(dataset_decide(&any, &p, &(struct dataset_room){ true, 0, 1 }, &due),
		DATASET_PAUSED);
	assert_int_equal(due.count, 1);
	assert_int_equal(dataset_decide(&any, &p, &(struct dataset_room){ false, 2, 2 }, &due),
		DATASET_FULL);
	assert_int_equal(
		dataset_decide(&any, &p, &(struct dataset_room){ false, 1, 2 }, &due), DATASET_DUE);
	dataset_pending_release(&p);
}

static void test_covers(void **state)
{
	static const struct {
		struct dataset_span spans[4];
		size_t n;
		struct dataset_span all;
		bool want;
	} cases[] = {
		{ { { 0 } }, 0, { 0, 10 }, false },
		{ { { 0, 10 } }, 1, { 0, 10 }, true },
		{ { { 0, 9 } }, 1, { 0, 10 }, false },
		{ { { 1, 10 } }, 1, { 0, 10 }, false },
		{ { { -5, 50 } }, 1, { 0, 10 }, true },
		{ { { 5, 10 }, { 0, 5 } }, 2, { 0, 10 }, true },
		{ { { 6, 10 }, { 0, 5 } }, 2, { 0, 10 }, false },
		{ { { 0, 3 }, { 0, 8 }, { 2, 4 }, { 7, 12 } }, 4, { 0, 10 }, true },
		{ { { 3, 3 }, { 0, 3 } }, 2, { 0, 4 }, false },
		/* an instant */
		{ { { 0, 10 } }, 1, { 0, 0 }, true },
		{ { { 0, 10 } }, 1, { 10, 10 }, false },
		{ { { 10, 10 } }, 1, { 10, 10 }, true },
		{ { { 9, 9 } }, 1, { 10, 10 }, false },
		{ { { 0 } }, 0, { 10, 10 }, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct dataset_span spans[4];
		memcpy(spans, cases[i].spans, sizeof spans);
		if (dataset_covers(spans, cases[i].n, &cases[i].all) != cases[i].want)
			fail_msg("case %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_any),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_covers),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
