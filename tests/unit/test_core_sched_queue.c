/* Who is next: priorities and age, pools and their wide tasks, limits of DAGs, backfills beside the
 * night's work. Random scenarios against a slow model are in tests/prop/prop_pools.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "core/model.h"
#include "core/sched.h"

enum { TASKS = 8 };

/* "name pool slots priority", pool "-" for none. */
struct row {
	const char *name, *pool;
	int slots, priority;
};

static struct dag *make(const char *name, int limit, const struct row *rows)
{
	struct dag *dag = dag_new();
	int cycle[TASKS + 1], len;

	dag->name = name;
	dag->max_active_tasks = limit;
	dag->tasks = arena_array(&dag->arena, TASKS, sizeof *dag->tasks);
	for (; dag->ntasks < TASKS && rows[dag->ntasks].name; dag->ntasks++) {
		const struct row *r = &rows[dag->ntasks];
		dag->tasks[dag->ntasks] = (struct task){ .name = r->name,
			.index = dag->ntasks,
			.pool = r->pool,
			.slots = r->slots,
			.priority = r->priority };
	}
	assert_int_equal(dag_seal(dag, cycle, &len, NULL), 0);
	return dag;
}

static struct sched *make_sched(int jobs)
{
	struct sched *s = sched_new(&(struct sched_config){ .max_running = jobs, .seed = 1 });

	assert_non_null(s);
	sched_set_tokens(s, 1, 1000);
	return s;
}

static void add(struct sched *s, int64_t id, struct dag *dag, int lane, int64_t now_us)
{
	const struct run_init run = { .run_id = id, .dag = dag, .lane = lane };

	assert_int_equal(sched_add_run(s, &run, now_us, NULL), 0);
}

/* "1a 2b": what a tick starts, by run and task. */
static const char *tick(struct sched *s, int64_t now_us)
{
	static char text[400];
	size_t n;

	assert_int_equal(sched_tick(s, now_us, NULL), 0);
	const struct change *list = sched_changes(s, &n);
	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		if (list[i].kind == CHANGE_START)
			snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d%s",
				*text ? " " : "", (int)list[i].run_id, list[i].task);
	sched_clear_changes(s);
	return text;
}

static void end(struct sched *s, int64_t token, int64_t now_us)
{
	const struct attempt_end e = { .token = token, .outcome = OUTCOME_SUCCESS };

	assert_true(sched_attempt_ended(s, &e, now_us));
}

static enum reason reason_of(const struct sched *s, int64_t run, int task)
{
	struct task_view v;

	assert_true(sched_task_view(s, run, task, &v));
	return v.reason;
}

/* A point is a minute: who waits longer than the other's points are worth goes before it. */
static void test_age(void **state)
{
	struct sched *s = make_sched(1);
	struct dag *busy = make("busy", 0, (struct row[]){ { "x", NULL, 1, 1 }, { 0 } });
	struct dag *low = make("low", 0, (struct row[]){ { "l", NULL, 1, 1 }, { 0 } });
	struct dag *high = make("high", 0, (struct row[]){ { "h", NULL, 1, 11 }, { 0 } });
	int64_t token = 1;

	(void)state;
	add(s, 1, busy, 0, 0);
	assert_string_equal(tick(s, 0), "1x");
	add(s, 2, low, 0, 0);
	assert_string_equal(tick(s, 0), "");
	assert_int_equal(reason_of(s, 2, 0), REASON_SLOT_WAIT);
	/* 9 minutes later: 10 points more are still more. */
	add(s, 3, high, 0, 9 * US_PER_MINUTE);
	end(s, token++, 9 * US_PER_MINUTE);
	assert_string_equal(tick(s, 9 * US_PER_MINUTE), "3h");
	/* 11 minutes after the first: not any more, whoever comes. */
	add(s, 4, high, 0, 11 * US_PER_MINUTE);
	end(s, token++, 11 * US_PER_MINUTE);
	assert_string_equal(tick(s, 11 * US_PER_MINUTE), "2l");
	end(s, token++, 12 * US_PER_MINUTE);
	assert_string_equal(tick(s, 12 * US_PER_MINUTE), "4h");
	sched_free(s);
	dag_unref(busy);
	dag_unref(low);
	dag_unref(high);
}

/* The places of a pool are kept for a wide task; other pools and tasks go on meanwhile. */
static void test_wide(void **state)
{
	struct sched *s = make_sched(10);
	struct dag *narrow = make("n", 0,
		(struct row[]){
			{ "a", "pg", 1, 1 }, { "b", "pg", 1, 1 }, { "c", NULL, 0, 1 }, { 0 } });
	struct dag *wide = make("w", 0, (struct row[]){ { "w", "pg", 3, 1 }, { 0 } });

	(void)state;
	assert_int_equal(sched_set_pool(s, "pg", 3), 0);
	add(s, 1, narrow, 0, 0);
	assert_string_equal(tick(s, 0), "1a 1b 1c");
	add(s, 2, wide, 0, 1);
	add(s, 3, narrow, 0, 2);
	assert_string_equal(tick(s, 2), "3c");
	assert_int_equal(reason_of(s, 2, 0), REASON_POOL_FULL);
	assert_int_equal(reason_of(s, 3, 0), REASON_POOL_FULL);
	end(s, 1, 3);
	assert_string_equal(tick(s, 3), "");
	end(s, 2, 4);
	assert_string_equal(tick(s, 4), "2w");
	/* Slots that become fewer stop what is new; what is wider than its pool goes alone. */
	assert_int_equal(sched_set_pool(s, "pg", 1), 0);
	end(s, 5, 5);
	assert_string_equal(tick(s, 5), "3a");
	add(s, 4, wide, 0, 6);
	end(s, 6, 6);
	assert_string_equal(tick(s, 6), "3b");
	end(s, 7, 7);
	assert_string_equal(tick(s, 7), "4w");
	/* None at all closes it. */
	end(s, 8, 8);
	add(s, 5, wide, 0, 8);
	assert_int_equal(sched_set_pool(s, "pg", 0), 0);
	assert_string_equal(tick(s, 8), "");
	assert_int_equal(sched_set_pool(s, "pg", 2), 0);
	assert_string_equal(tick(s, 9), "5w");
	sched_free(s);
	dag_unref(narrow);
	dag_unref(wide);
}

/* max_active_tasks is of a DAG, over all its runs and lanes; backfills stand back by an hour. */
static void test_dag_limit(void **state)
{
	struct sched *s = make_sched(10);
	struct dag *dag = make("d", 2,
		(struct row[]){
			{ "a", NULL, 1, 1 }, { "b", NULL, 1, 1 }, { "c", NULL, 1, 1 }, { 0 } });

	(void)state;
	assert_int_equal(sched_set_lane(s, 1, 10), 0);
	add(s, 1, dag, 1, 0);
	assert_string_equal(tick(s, 0), "1a 1b");
	assert_int_equal(reason_of(s, 1, 2), REASON_DAG_LIMIT);
	add(s, 2, dag, 0, 30 * US_PER_MINUTE);
	end(s, 1, 30 * US_PER_MINUTE);
	assert_string_equal(tick(s, 30 * US_PER_MINUTE), "2a");
	assert_int_equal(sched_ahead(s, 2, 1), 0);
	assert_int_equal(sched_ahead(s, 2, 2), 1);
	assert_int_equal(sched_ahead(s, 1, 2), 2);
	assert_int_equal(sched_ahead(s, 2, 0), -1);
	assert_int_equal(sched_ahead(s, 9, 0), -1);
	assert_int_equal(sched_waits_for(s, 2, 1), REASON_DAG_LIMIT);
	assert_int_equal(sched_waits_for(s, 2, 0), REASON_NONE);
	assert_int_equal(sched_waits_for(s, 2, 99), REASON_NONE);
	add(s, 3, dag, 0, 90 * US_PER_MINUTE);
	end(s, 2, 90 * US_PER_MINUTE);
	end(s, 3, 90 * US_PER_MINUTE);
	assert_string_equal(tick(s, 90 * US_PER_MINUTE), "2b 2c");
	end(s, 4, 90 * US_PER_MINUTE);
	assert_string_equal(tick(s, 90 * US_PER_MINUTE), "1c");
	/* A run that is dropped gives back what it had, to others. */
	sched_drop_run(s, 1);
	assert_string_equal(tick(s, 90 * US_PER_MINUTE), "3a");
	sched_free(s);
	dag_unref(dag);
}

struct seen {
	char text[400];
};

static void see(void *arg, const struct sched_pool *p)
{
	struct seen *seen = arg;

	snprintf(seen->text + strlen(seen->text), sizeof seen->text - strlen(seen->text),
		"%s %d/%d r%d w%d;", p->name, p->used, p->slots, p->running, p->waiting);
}

static void test_pools_told(void **state)
{
	struct sched *s = make_sched(10);
	struct dag *dag = make("d", 0,
		(struct row[]){ { "a", "pg", 2, 1 }, { "b", "pg", 1, 1 }, { "c", "unknown", 1, 1 },
			{ "d", "unknown", 1, 1 }, { 0 } });
	struct seen seen = { "" };

	(void)state;
	assert_int_equal(sched_set_pool(s, "pg", 2), 0);
	assert_int_equal(sched_set_pool(s, "api", 7), 0);
	add(s, 1, dag, 0, 0);
	/* Of one that nobody set there is one slot. */
	assert_string_equal(tick(s, 0), "1a 1c");
	sched_each_pool(s, see, &seen);
	assert_string_equal(seen.text, "api 0/7 r0 w0;pg 2/2 r1 w1;unknown 1/1 r1 w1;");
	sched_free(s);
	dag_unref(dag);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_wide),
		cmocka_unit_test(test_dag_limit),
		cmocka_unit_test(test_pools_told),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
