#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/units.h"
#include "run/alert_storm.h"

#define START (1000 * US_PER_SECOND)

static int64_t ms(int64_t n)
{
	return START + n * US_PER_MS;
}

/* All in milliseconds from the first failure; wants until when it waits, 0: it is told. */
static void check_wait(
	const struct alert_storms *s, size_t n, int64_t last_ms, int64_t now_ms, int64_t want_ms)
{
	const struct alert_storm g = { .route = "a",
		.n = n,
		.first_us = ms(0),
		.last_us = ms(last_ms),
		.quiet_us = US_PER_SECOND };
	int64_t got = alert_storms_wait_us(s, &g, ms(now_ms));

	assert_int_equal(got ? (got - START) / US_PER_MS : 0, want_ms);
}

static void test_first(void **state)
{
	struct alert_storms s = { 0 };

	(void)state;
	/* A few wait for nothing. */
	check_wait(&s, ALERT_STORM_LEAST - 1, 1999, 2000, 0);
	/* A storm that has come to its end, for as long as that takes to be sure. */
	check_wait(&s, ALERT_STORM_LEAST, 1999, 2000, 2999);
	check_wait(&s, ALERT_STORM_LEAST, 1999, 2998, 2999);
	check_wait(&s, ALERT_STORM_LEAST, 1999, 2999, 0);
	check_wait(&s, 10000, 400, 2000, 0);
	/* One that goes on, until people have waited enough. */
	check_wait(&s, 10000, 3500, 3500, 4000);
	check_wait(&s, 10000, 3999, 3999, 4000);
	check_wait(&s, 10000, 4000, 4000, 0);
	alert_storms_release(&s);
}

static void test_rest(void **state)
{
	struct alert_storms s = { 0 };

	(void)state;
	alert_storms_note(&s, "a", ALERT_STORM_LEAST - 1, ms(-1000));
	check_wait(&s, 3, 2000, 2000, 0);
	alert_storms_note(&s, "a", 4000, ms(-1000));
	/* What follows is the rest of it, however little. */
	check_wait(&s, 3, 2000, 2000, 3000);
	check_wait(&s, 3, 2000, 3000, 0);
	check_wait(&s, 5000, 29500, 29600, 30000);
	check_wait(&s, 5000, 30000, 30000, 0);
	/* A minute later it is another one; and so it is on other routes. */
	check_wait(&s, 3, 59000, 59000, 0);
	const struct alert_storm other = {
		.route = "b", .n = 3, .first_us = ms(0), .last_us = ms(0), .quiet_us = 9999999
	};
	assert_int_equal(alert_storms_wait_us(&s, &other, ms(1)), 0);
	/* A clock that is set back makes nothing wait. */
	check_wait(&s, 10000, 0, -5000, 0);
	alert_storms_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first),
		cmocka_unit_test(test_rest),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
