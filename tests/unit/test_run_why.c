/* Why: each state and reason has its explanation; needs are followed to the roots; the tree is
 * bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/err.h"
#include "base/rng.h"
#include "core/condition.h"
#include "core/model.h"
#include "core/sched.h"
#include "core/timetable.h"
#include "run/why.h"
#include "store/store.h"

enum { ROUNDS = 400, TASKS = 12, MANY = 10000, TEXT_SIZE = 8192 };

#define S INT64_C(1000000)

/* ---- the rows -------------------------------------------------------------------------- */

/* A reason is of a task's state, or passes. Those of new features are missed here. */
static void test_each_reason(void **state)
{
	(void)state;
	for (int r = 0; r < REASON_MAX; r++) {
		int rows = 0;
		for (int s = 0; s < TASK_STATE_MAX; s++)
			rows += why_row((enum task_state)s, (enum reason)r) != NULL;
		if ((rows > 0) == why_is_passing((enum reason)r))
			fail_msg("%s: %d states are explained, and it %s",
				reason_name((enum reason)r), rows,
				rows ? "passes" : "does not pass");
	}
}

/* A state that a change leads to has a row, if it can be left at all to be asked about. */
static void test_no_impossible_row(void **state)
{
	(void)state;
	for (int s = 0; s < TASK_STATE_MAX; s++)
		for (int r = 0; r < REASON_MAX; r++) {
			const struct why_row *row = why_row((enum task_state)s, (enum reason)r);
			bool may = s == TASK_NONE;
			for (int from = 0; from < TASK_STATE_MAX; from++)
				may = may || state_task_may((enum task_state)from,
						     (enum task_state)s, (enum reason)r);
			if (row && !may)
				fail_msg("%s by %s cannot be", task_state_name((enum task_state)s),
					reason_name((enum reason)r));
		}
}

/* ---- whatever the scheduler does -------------------------------------------------------- */

static const struct cross_need a_need = { .dag = "other", .task = "t" };

static struct dag *random_dag(struct rng *rng)
{
	struct dag *dag = dag_new();
	int cycle[TASKS + 1], len;

	dag->name = "random";
	dag->max_active_tasks = (int)rng_below(rng, 4);
	dag->tasks = arena_array(&dag->arena, TASKS, sizeof *dag->tasks);
	dag->ntasks = TASKS;
	for (int i = 0; i < TASKS; i++) {
		int *needs = arena_array(&dag->arena, TASKS, sizeof *needs), n = 0;
		for (int j = 0; j < i; j++)
			if (rng_below(rng, 4) == 0)
				needs[n++] = j;
		dag->tasks[i] = (struct task){ .name = arena_printf(&dag->arena, "t%d", i),
			.index = i,
			.needs = needs,
			.nneeds = n,
			.pool = rng_below(rng, 3) ? NULL : "pg",
			.slots = 1,
			.cross = &a_need,
			.ncross = rng_below(rng, 5) == 0,
			.depends_on_past = rng_below(rng, 5) == 0,
			.trigger = (enum trigger_rule)rng_below(rng, TRIGGER_MAX),
			.retry = { .retries = (int)rng_below(rng, 3),
				.initial_us = S,
				.max_us = S,
				.factor = 1,
				.lost_retries = 1 } };
	}
	assert_int_equal(dag_seal(dag, cycle, &len, NULL), 0);
	return dag;
}

static bool seen[TASK_STATE_MAX][REASON_MAX];

/* Each state that a task comes to is explained. */
static void look(struct sched *s)
{
	size_t n;
	const struct change *c = sched_changes(s, &n);

	for (size_t i = 0; i < n; i++) {
		if (c[i].kind != CHANGE_TASK)
			continue;
		seen[c[i].state.to][c[i].reason] = true;
		if (!why_row(c[i].state.to, c[i].reason))
			fail_msg("nothing explains %s by %s", task_state_name(c[i].state.to),
				reason_name(c[i].reason));
	}
	sched_clear_changes(s);
}

struct picked {
	int64_t token;
	int n;
	struct rng *rng;
};

static void pick(void *arg, int64_t token, int64_t run_id, int task)
{
	struct picked *p = arg;

	(void)run_id;
	(void)task;
	if (rng_below(p->rng, (uint64_t)++p->n) == 0)
		p->token = token;
}

static void end_one(struct sched *s, struct rng *rng, int64_t now_us)
{
	static const enum outcome outcomes[] = { OUTCOME_SUCCESS, OUTCOME_SUCCESS, OUTCOME_FAILED,
		OUTCOME_TIMEOUT, OUTCOME_SKIPPED, OUTCOME_LOST };
	struct picked p = { .rng = rng };

	sched_each_flight(s, pick, &p);
	if (!p.n)
		return;
	const struct attempt_end end = { .token = p.token,
		.outcome = outcomes[rng_below(rng, 6)],
		.exit_status = 1,
		.permanent = rng_below(rng, 4) == 0 };
	sched_attempt_ended(s, &end, now_us);
}

static void answer(struct sched *s, struct rng *rng, int64_t now_us)
{
	size_t n;
	const struct sched_question *q = sched_questions(s, &n);
	struct sched_question first;

	for (; n > 0; q = sched_questions(s, &n)) {
		first = q[0];
		const struct sched_outside o = { .run_id = first.run_id,
			.task = first.task,
			.counts = { .success = rng_below(rng, 3) == 0 },
			.past = rng_below(rng, 3) == 0,
			.again_us = now_us + S };
		assert_true(first.outside);
		sched_answer_outside(s, &o, now_us);
	}
}

static void one_round(struct rng *rng)
{
	struct sched *s = sched_new(&(struct sched_config){ .max_running = 2, .seed = 1 });
	struct dag *dag = random_dag(rng);
	const struct run_init run = { .run_id = 1, .dag = dag };
	int64_t now = S;

	sched_set_tokens(s, 1, 10000);
	assert_int_equal(sched_add_run(s, &run, now, NULL), 0);
	for (int i = 0; i < 60; i++, now += S / 2) {
		struct sched_hold h = { 1, rng_below(rng, 2) ? -1 : 3, rng_below(rng, 2) == 0,
			REASON_PAUSED };
		h.why = h.task < 0 ? REASON_PAUSED : REASON_FROZEN;
		if (rng_below(rng, 10) == 0)
			sched_hold(s, &h);
		if (rng_below(rng, 200) == 0)
			sched_cancel_run(s, 1, false, now);
		assert_int_equal(sched_tick(s, now, NULL), 0);
		answer(s, rng, now);
		look(s);
		end_one(s, rng, now);
		look(s);
	}
	sched_free(s);
	dag_unref(dag);
}

static void test_scheduler(void **state)
{
	static const struct {
		enum task_state state;
		enum reason reason;
	} must[] = { { TASK_QUEUED, REASON_SLOT_WAIT }, { TASK_QUEUED, REASON_DAG_LIMIT },
		{ TASK_QUEUED, REASON_POOL_FULL }, { TASK_HELD, REASON_PAUSED },
		{ TASK_HELD, REASON_FROZEN }, { TASK_UP_FOR_RETRY, REASON_RETRY_WAIT },
		{ TASK_FAILED, REASON_RETRIES_SPENT }, { TASK_FAILED, REASON_NOT_RETRYABLE },
		{ TASK_FAILED, REASON_LOST_TOO_OFTEN }, { TASK_SKIPPED, REASON_SKIP_STATUS },
		{ TASK_SKIPPED, REASON_UPSTREAM_SKIPPED }, { TASK_SKIPPED, REASON_RULE_UNMET },
		{ TASK_UPSTREAM_FAILED, REASON_UPSTREAM_FAILED },
		{ TASK_CANCELLED, REASON_CANCELLED }, { TASK_DEFERRED, REASON_OTHER_RUN },
		{ TASK_DEFERRED, REASON_PAST_RUN }, { TASK_SCHEDULED, REASON_NEEDS_MET } };
	struct rng rng;

	(void)state;
	rng_init(&rng, 7);
	for (int i = 0; i < ROUNDS; i++)
		one_round(&rng);
	for (size_t i = 0; i < sizeof must / sizeof *must; i++)
		if (!seen[must[i].state][must[i].reason])
			fail_msg("no task came to %s by %s", task_state_name(must[i].state),
				reason_name(must[i].reason));
}

/* ---- facts ------------------------------------------------------------------------------ */

static struct run_row run = { .id = 1,
	.name = "sales@2026-11-19",
	.dag = "sales",
	.ds = "2026-11-19",
	.dag_path = "sales.yaml",
	.state = RUN_RUNNING };

/* What a task is: its needs by index, NUL-ended text of digits and letters. */
struct row {
	const char *name, *needs; /* "ab": tasks 0 and 1 */
	enum task_state state;
	enum reason reason;
	enum trigger_rule trigger;
	const char *pool;
	bool chooses;
};

struct world {
	struct dag *dag;
	struct task_row *tasks;
	struct attempt_row attempt;
	struct why_facts f;
	struct why w;
	char text[TEXT_SIZE];
};

static size_t attempts(void *arg, const struct task_row *t, const struct attempt_row **ret)
{
	struct world *wo = arg;

	(void)t;
	*ret = &wo->attempt;
	return 1;
}

static void make(struct world *wo, const struct row *rows, int n)
{
	int *cycle = calloc((size_t)n + 1, sizeof *cycle), len;

	memset(wo, 0, sizeof *wo);
	wo->dag = dag_new();
	wo->dag->name = "sales";
	wo->dag->max_active_tasks = 3;
	wo->dag->tasks = arena_array(&wo->dag->arena, (size_t)n, sizeof *wo->dag->tasks);
	wo->dag->ntasks = n;
	wo->tasks = calloc((size_t)n + 1, sizeof *wo->tasks);
	for (int i = 0; i < n; i++) {
		const char *needs = rows[i].needs ? rows[i].needs : "";
		int *list = arena_array(&wo->dag->arena, strlen(needs) + 1, sizeof *list), k = 0;
		for (; needs[k]; k++)
			list[k] = needs[k] - 'a';
		wo->dag->tasks[i] = (struct task){ .name = rows[i].name,
			.index = i,
			.needs = list,
			.nneeds = k,
			.trigger = rows[i].trigger,
			.pool = rows[i].pool,
			.chooses = rows[i].chooses,
			.op = strcmp(rows[i].name, "stop") == 0 ? "short_circuit" : NULL,
			.retry = { .retries = 3 } };
		bool ran = rows[i].state == TASK_FAILED || rows[i].state == TASK_UP_FOR_RETRY ||
			   rows[i].state == TASK_SUCCESS || rows[i].state == TASK_RUNNING;
		wo->tasks[i] = (struct task_row){ .name = rows[i].name,
			.map_index = -1,
			.state = rows[i].state,
			.reason = rows[i].reason,
			.tries = ran ? 2 : 0,
			.failures = ran ? 2 : 0,
			.due_us = rows[i].state == TASK_UP_FOR_RETRY ? 9 * S : 0 };
	}
	assert_int_equal(dag_seal(wo->dag, cycle, &len, NULL), 0);
	free(cycle);
	wo->attempt = (struct attempt_row){ .task = "x",
		.try = 2,
		.outcome = OUTCOME_FAILED,
		.exit_status = 1,
		.error = "exit status 1: first\nno route to host\n\n" };
	wo->f = (struct why_facts){ .now_us = 5 * S,
		.run = &run,
		.tasks = wo->tasks,
		.ntasks = (size_t)n,
		.dag = wo->dag,
		.home = "/h",
		.source = { .arg = wo, .attempts = attempts } };
	why_init(&wo->w);
}

static void clear(struct world *wo)
{
	why_release(&wo->w);
	dag_unref(wo->dag);
	free(wo->tasks);
}

static void write_node(char *text, const struct why_node *n, int depth)
{
	size_t len = strlen(text);

	snprintf(text + len, TEXT_SIZE - len, "%*s%s %s: %s%s%s%s\n", depth * 2, "", n->subject,
		n->state ? n->state : "-", n->text, n->detail ? " [" : "",
		n->detail ? n->detail : "", n->detail ? "]" : "");
	for (const struct why_node *c = n->first; c; c = c->next)
		write_node(text, c, depth + 1);
}

static const char *explain(struct world *wo, const char *task)
{
	struct err err = { 0 };

	if (why_run(&wo->w, &wo->f, task, &err) < 0)
		return strcpy(wo->text, err.msg);
	wo->text[0] = '\0';
	write_node(wo->text, wo->w.root, 0);
	return wo->text;
}

/* ---- tables ----------------------------------------------------------------------------- */

static const struct {
	const char *name;
	struct row rows[6];
	const char *task, *want;
} cases[] = {
	{ "a retry behind a task that waits",
		{ { "extract", "", TASK_UP_FOR_RETRY, REASON_RETRY_WAIT, 0, NULL, false },
			{ "load", "a", TASK_NONE, REASON_CREATED, 0, NULL, false },
			{ "report", "b", TASK_NONE, REASON_CREATED, 0, NULL, false } },
		"report",
		"report none: waits for load\n"
		"  load none: waits for extract\n"
		"    extract up_for_retry: waits for retry 2 of 3, after exit status 1 "
		"[no route to host]\n" },
	{ "a long chain is told as one",
		{ { "a", "", TASK_RUNNING, REASON_STARTED, 0, NULL, false },
			{ "b", "a", TASK_NONE, REASON_NONE, 0, NULL, false },
			{ "c", "b", TASK_NONE, REASON_NONE, 0, NULL, false },
			{ "d", "c", TASK_NONE, REASON_NONE, 0, NULL, false },
			{ "e", "d", TASK_NONE, REASON_NONE, 0, NULL, false } },
		"e",
		"e none: waits for d\n"
		"  3 tasks -: in between, the last of them b\n"
		"    a running: runs, try 2 of at most 3\n" },
	{ "two ways to one root: it is told once",
		{ { "a", "", TASK_FAILED, REASON_RETRIES_SPENT, 0, NULL, false },
			{ "b", "a", TASK_UPSTREAM_FAILED, REASON_UPSTREAM_FAILED, 0, NULL, false },
			{ "c", "a", TASK_UPSTREAM_FAILED, REASON_UPSTREAM_FAILED, 0, NULL, false },
			{ "d", "bc", TASK_UPSTREAM_FAILED, REASON_UPSTREAM_FAILED, 0, NULL,
				false } },
		"d",
		"d upstream_failed: was not run: it needs b, c, which did not succeed\n"
		"  b upstream_failed: was not run: it needs a, which did not succeed\n"
		"    a failed: failed 2 times, its retries are spent: exit status 1 "
		"[no route to host]\n" },
	{ "a branch",
		{ { "pick", "", TASK_SUCCESS, REASON_SUCCEEDED, 0, NULL, true },
			{ "eu", "a", TASK_SKIPPED, REASON_NOT_CHOSEN, 0, NULL, false },
			{ "sum", "b", TASK_SKIPPED, REASON_UPSTREAM_SKIPPED, 0, NULL, false } },
		"sum",
		"sum skipped: was not run: it needs eu, which was skipped\n"
		"  eu skipped: was not run: pick chose another way\n"
		"    pick success: succeeded with try 2\n" },
	{ "a short circuit, from afar",
		{ { "stop", "", TASK_SUCCESS, REASON_SUCCEEDED, 0, NULL, true },
			{ "b", "a", TASK_SKIPPED, REASON_NOT_CHOSEN, 0, NULL, false },
			{ "c", "b", TASK_SKIPPED, REASON_NOT_CHOSEN, 0, NULL, false } },
		"c",
		"c skipped: was not run: the short circuit stop lets nothing through: its `if` is "
		"false\n"
		"  stop success: succeeded with try 2\n" },
	{ "a rule that cannot be met",
		{ { "a", "", TASK_SUCCESS, REASON_SUCCEEDED, 0, NULL, false },
			{ "b", "a", TASK_SKIPPED, REASON_RULE_UNMET, TRIGGER_ONE_FAILED, NULL,
				false } },
		"b",
		"b skipped: was not run: its trigger rule one_failed cannot be met: of what it "
		"needs: 1 success\n"
		"  a success: succeeded with try 2\n" },
	{ "a pool, in a run without a daemon",
		{ { "a", "", TASK_RUNNING, REASON_STARTED, 0, "pg", false },
			{ "b", "", TASK_QUEUED, REASON_POOL_FULL, 0, "pg", false } },
		"b",
		"b queued: waits for a slot of pool pg\n"
		"  pool pg -: is full, of what this run knows\n"
		"    a running: runs, try 2 of at most 3\n" },
	{ "a limit",
		{ { "a", "", TASK_RUNNING, REASON_STARTED, 0, NULL, false },
			{ "b", "", TASK_QUEUED, REASON_DAG_LIMIT, 0, NULL, false } },
		"b",
		"b queued: as many tasks of its DAG run as max_active_tasks allows (3)\n"
		"  a running: runs, try 2 of at most 3\n" },
	{ "no such task", { { "extract", "", TASK_NONE, REASON_NONE, 0, NULL, false } }, "extact",
		"sales@2026-11-19 has no task \"extact\"; did you mean \"extract\"?" },
	{ "a state without a row is said all the same",
		{ { "a", "", TASK_DEFERRED, REASON_CLEARED, 0, NULL, false } }, "a",
		"a deferred: is to be done again, by request\n" },
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct world wo;
		int n = 0;
		while (n < 6 && cases[i].rows[n].name)
			n++;
		make(&wo, cases[i].rows, n);
		const char *got = explain(&wo, cases[i].task);
		if (strcmp(got, cases[i].want) != 0)
			fail_msg("%s:\n%s\nwanted:\n%s", cases[i].name, got, cases[i].want);
		clear(&wo);
	}
}

/* ---- mapped tasks ------------------------------------------------------------------------ */

static const char *said(void *arg, const struct task_row *t, enum reason reason)
{
	(void)arg, (void)t;
	return reason == REASON_LIST_FAILED ? "foreach: it is no list" : NULL;
}

/* Task "a" is mapped and has `n` instances, in these states. */
static void make_mapped(
	struct world *wo, const struct row *whole, const struct row *states, size_t n)
{
	static const struct foreach foreach = { .max_items = 9, .max_active = 2 };
	struct row rows[] = { *whole, { "b", "a", TASK_NONE, REASON_NONE, 0, NULL, false } };

	make(wo, rows, 2);
	wo->dag->tasks[0].foreach = &foreach;
	wo->tasks = realloc(wo->tasks, (n + 2) * sizeof *wo->tasks);
	wo->tasks[n + 1] = wo->tasks[1];
	wo->tasks[0].tries = 0;
	for (size_t i = 0; i < n; i++) {
		bool ran = states[i].state != TASK_QUEUED && states[i].state != TASK_NONE;
		wo->tasks[i + 1] = (struct task_row){ .name = "a",
			.map_index = (int)i,
			.state = states[i].state,
			.reason = states[i].reason,
			.tries = ran,
			.failures = ran };
	}
	wo->f.tasks = wo->tasks;
	wo->f.ntasks = n + 2;
	wo->f.source.said = said;
}

static void test_mapped(void **state)
{
	static const struct row
		open = { .name = "a", .state = TASK_DEFERRED, .reason = REASON_MAPPED },
		failed = { .name = "a", .state = TASK_FAILED, .reason = REASON_INSTANCES_FAILED },
		no_list = { .name = "a", .state = TASK_FAILED, .reason = REASON_LIST_FAILED };
	static const struct row states[] = {
		{ .state = TASK_SUCCESS, .reason = REASON_SUCCEEDED },
		{ .state = TASK_QUEUED, .reason = REASON_MAP_LIMIT },
		{ .state = TASK_NONE, .reason = REASON_NONE },
		{ .state = TASK_FAILED, .reason = REASON_RETRIES_SPENT },
		{ .state = TASK_FAILED, .reason = REASON_RETRIES_SPENT },
	};
	struct world wo;

	(void)state;
	make_mapped(&wo, &open, states, 5);
	assert_string_equal(explain(&wo, "b"),
		"b none: waits for a\n"
		"  a deferred: is being done for each of 5 items: 1 waiting, 1 queued, 1 success, "
		"2 failed\n"
		"    a[3] failed: failed 1 times, its retries are spent: exit status 1 [no route "
		"to "
		"host]\n"
		"    a[4] failed: failed 1 times, its retries are spent: exit status 1 [no route "
		"to "
		"host]\n"
		"    a[1] queued: as many instances of it run as its max_active allows (2)\n"
		"    a[2] none: waits for its turn\n");
	why_release(&wo.w);
	why_init(&wo.w);
	/* What runs of another task is not in its way. */
	wo.tasks[1].state = TASK_RUNNING;
	wo.tasks[1].reason = REASON_STARTED;
	wo.tasks[6].state = TASK_RUNNING;
	wo.tasks[6].reason = REASON_STARTED;
	assert_string_equal(explain(&wo, "a[1]"),
		"a[1] queued: as many instances of it run as its max_active allows (2)\n"
		"  a[0] running: runs, try 1 of at most 3\n");
	why_release(&wo.w);
	why_init(&wo.w);
	assert_string_equal(explain(&wo, "a[2]"), "a[2] none: waits for its turn\n");
	assert_string_equal(explain(&wo, "a[5]"),
		"sales@2026-11-19 has no instance \"a[5]\": a has 5, from a[0]");
	clear(&wo);
	make_mapped(&wo, &failed, states, 5);
	assert_string_equal(explain(&wo, "a"),
		"a failed: of its 5 instances: 1 waiting, 1 queued, 1 success, 2 failed\n"
		"  a[3] failed: failed 1 times, its retries are spent: exit status 1 [no route to "
		"host]\n"
		"  a[4] failed: failed 1 times, its retries are spent: exit status 1 [no route to "
		"host]\n");
	clear(&wo);
	make_mapped(&wo, &no_list, states, 0);
	assert_string_equal(explain(&wo, "a"),
		"a failed: the list of its foreach could not be made [foreach: it is no list]\n");
	clear(&wo);
}

/* Of ten thousand a few are told, the rest is counted. */
static void test_many_instances(void **state)
{
	static const struct row failed = {
		.name = "a", .state = TASK_FAILED, .reason = REASON_INSTANCES_FAILED
	};
	struct row *states = calloc(10000, sizeof *states);
	struct world wo;

	(void)state;
	for (int i = 0; i < 10000; i++)
		states[i] = (struct row){ .state = TASK_FAILED, .reason = REASON_RETRIES_SPENT };
	make_mapped(&wo, &failed, states, 10000);
	const char *got = explain(&wo, NULL);
	assert_non_null(strstr(got, "\n    a[4] failed"));
	assert_null(strstr(got, "a[5]"));
	assert_non_null(strstr(got, "\n    9995 more -: failed\n"));
	clear(&wo);
	free(states);
}

/* ---- what else is known ----------------------------------------------------------------- */

static const struct row waiting[] = { { "a", "", TASK_QUEUED, REASON_POOL_FULL, 0, "pg", false } };

static void test_live(void **state)
{
	struct world wo;

	(void)state;
	make(&wo, waiting, 1);
	wo.tasks[0].reason = REASON_SLOT_WAIT; /* of when it began to wait */
	json_t *live = json_loads(
		"{\"pid\": 7, \"store_error\": \"disk is full\", \"run\": {\"task\": \"a\", "
		"\"ahead\": 2, \"waits\": {\"a\": "
		"\"pool_full\"}}, \"pools\": "
		"[{\"pool\": "
		"\"pg\", \"slots\": 4, \"used\": 4, \"running\": 9, \"waiting\": 1, \"held_by\": "
		"[{\"run\": \"fx@1\", \"task\": \"rates\", \"slots\": 3}]}]}",
		0, NULL);
	wo.f.live = live;
	run.wanted = true;
	assert_string_equal(explain(&wo, "a"),
		"a queued: waits for a slot of pool pg; 2 wait before it\n"
		"  pool pg -: 4 of 4 slots are taken, 1 task waits for it\n"
		"    fx@1 rates running: has 3 slots\n"
		"    8 more -: that hold the others\n"
		"  the store -: cannot be written, so nothing starts: disk is full\n");
	run.wanted = false;
	json_decref(live);
	clear(&wo);
}

static void test_not_in_hand(void **state)
{
	struct world wo;

	(void)state;
	make(&wo, waiting, 0);
	run.wanted = true;
	run.state = RUN_QUEUED;
	wo.f.live = json_loads("{\"pid\": 7, \"run\": null, \"queued_runs\": 3}", 0, NULL);
	assert_non_null(strstr(explain(&wo, NULL),
		"  daemon 7 -: does not have it in hand yet: 3 runs are before it\n"));
	json_decref((json_t *)wo.f.live);
	why_release(&wo.w);
	why_init(&wo.w);
	wo.f.live = json_loads("{\"pid\": 7, \"put_off\": true}", 0, NULL);
	assert_non_null(strstr(explain(&wo, NULL), "a supervisor that has tasks of it does not"));
	json_decref((json_t *)wo.f.live);
	why_release(&wo.w);
	why_init(&wo.w);
	wo.f.live = NULL;
	wo.f.daemon_pid = 9;
	assert_non_null(strstr(explain(&wo, NULL), "  daemon 9 -: does not answer"));
	run.wanted = false;
	run.state = RUN_RUNNING;
	clear(&wo);
}

/* A backfill has a lane of its own, and can be paused. */
static void test_backfill(void **state)
{
	static const struct row rows[] = { { "a", "", TASK_RUNNING, REASON_STARTED, 0, NULL,
						   false },
		{ "b", "", TASK_QUEUED, REASON_SLOT_WAIT, 0, NULL, false } };
	static const struct backfill_row backfill = { .id = 4,
		.jobs = 1,
		.state = BACKFILL_PAUSED,
		.state_by = "ann",
		.state_reason = "too slow" };
	struct world wo;

	(void)state;
	make(&wo, rows, 2);
	wo.f.backfill = &backfill;
	assert_string_equal(explain(&wo, "b"),
		"b queued: waits for a free job slot\n"
		"  backfill 4 -: does at most 1 task at once\n"
		"    a running: runs, try 2 of at most 3\n"
		"  backfill 4 paused: was paused by ann [too slow]\n");
	assert_string_equal(wo.w.steps[1].command, "backfill");
	assert_string_equal(wo.w.steps[1].words, "show 4");
	clear(&wo);
}

static void test_switches(void **state)
{
	static const struct row held[] = { { "a", "", TASK_HELD, REASON_FROZEN, 0, NULL, false },
		{ "b", "", TASK_HELD, REASON_PAUSED, 0, NULL, false } };
	static const struct frozen_row frozen = { "sales", "a", "bob", "figures are checked", S };
	static const struct dag_row paused = { .name = "sales",
		.present = true,
		.paused = true,
		.paused_by = "ann",
		.paused_reason = "the source is late",
		.paused_us = S };
	struct world wo;

	(void)state;
	make(&wo, held, 2);
	wo.f.frozen = &frozen;
	wo.f.nfrozen = 1;
	wo.f.switches = &paused;
	assert_string_equal(explain(&wo, NULL),
		"sales@2026-11-19 running: is at work; of 2 tasks: 2 held\n"
		"  a held: is held: it is frozen\n"
		"    bob -: froze it [figures are checked]\n"
		"  b held: is held: its DAG is paused\n"
		"    ann -: paused sales [the source is late]\n");
	assert_string_equal(wo.w.steps[0].command, "freeze");
	assert_string_equal(wo.w.steps[0].words, "sales.a --off");
	clear(&wo);
}

static void test_requests(void **state)
{
	static const struct row marked[] = { { "a", "", TASK_SKIPPED, REASON_MARKED, 0, NULL,
						     false },
		{ "aa", "", TASK_SKIPPED, REASON_MARKED, 0, NULL, false } };
	static const struct audit_row audits[] = {
		{ .who = "ann", .what = "mark", .detail = "a: skipped", .reason = "not wanted" },
		{ .who = "bob", .what = "mark", .detail = "aa: skipped" }
	};
	struct world wo;

	(void)state;
	make(&wo, marked, 2);
	wo.f.audits = audits;
	wo.f.naudits = 2;
	assert_string_equal(explain(&wo, "a"), "a skipped: was marked so, by request\n"
					       "  ann -: asked: mark a: skipped [not wanted]\n");
	clear(&wo);
}

/* Ten thousand tasks at once, and one behind all of them. */
static void test_many(void **state)
{
	struct row *rows = calloc(MANY + 1, sizeof *rows);
	char(*names)[16] = calloc(MANY + 1, sizeof *names);
	struct world wo;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof names[i], "t%d", i);
		rows[i] = (struct row){ .name = names[i],
			.needs = i >= 2 ? (i % 2 ? "b" : "a") : "",
			.state = i >= 2 ? TASK_NONE : TASK_RUNNING,
			.reason = i >= 2 ? REASON_NONE : REASON_STARTED };
	}
	make(&wo, rows, MANY);
	assert_string_equal(explain(&wo, NULL),
		"sales@2026-11-19 running: is at work; of 10000 tasks: 9998 waiting, 2 running\n"
		"  t0 running: runs, try 2 of at most 3\n"
		"  t1 running: runs, try 2 of at most 3\n");
	why_release(&wo.w);
	why_init(&wo.w);
	for (int i = 2; i < MANY; i++) {
		wo.tasks[i].state = TASK_QUEUED;
		wo.tasks[i].reason = REASON_SLOT_WAIT;
	}
	assert_non_null(strstr(explain(&wo, NULL), "9992 more -: 9990 queued, 2 running\n"));
	clear(&wo);
	free(names);
	free(rows);
}

/* ---- DAGs -------------------------------------------------------------------------------- */

static const char *explain_dag(struct world *wo, const struct why_dag_facts *f)
{
	struct err err = { 0 };

	why_release(&wo->w);
	why_init(&wo->w);
	assert_int_equal(why_dag(&wo->w, f, &err), 0);
	wo->text[0] = '\0';
	write_node(wo->text, wo->w.root, 0);
	return wo->text;
}

static void test_dag(void **state)
{
	static const struct plan_row skipped = {
		.action = "skip", .why = "overlap", .count = 2, .start_us = S
	};
	struct schedule_spec spec = { .kind = TIMETABLE_EVERY, .period_us = 3600 * S };
	struct why_dag_facts f = { .name = "sales" };
	struct world wo;

	(void)state;
	make(&wo, waiting, 1);
	f.common = wo.f;
	f.common.run = NULL;
	assert_non_null(strstr(explain_dag(&wo, &f), "it -: has no schedule"));
	wo.dag->schedule = &spec;
	assert_string_equal(explain_dag(&wo, &f),
		"sales -: is due next at 1970-01-01T01:00:00Z (UTC), for the interval "
		"1970-01-01T00:00:00Z to 1970-01-01T01:00:00Z\n"
		"  no daemon -: is running on /h\n");
	f.plans = &skipped;
	f.nplans = 1;
	assert_non_null(strstr(explain_dag(&wo, &f),
		"  2 intervals from 1970-01-01T00:00:01Z on -: were passed over: another run was "
		"active"));
	spec.start_us = S;
	spec.end_us = 2 * S;
	f.common.now_us = 9000 * S;
	assert_non_null(strstr(explain_dag(&wo, &f),
		"its schedule -: ended at 1970-01-01T00:00:02Z; no run is due"));
	f.error = "sales.yaml:3:1: error: no\nmore";
	assert_non_null(strstr(explain_dag(&wo, &f),
		"its file -: cannot be loaded, so it is not scheduled [sales.yaml:3:1: error: no"));
	f.active = &run;
	f.nactive = 1;
	f.common.live = json_loads(
		"{\"pid\": 7, \"dag\": {\"waiting\": 3, \"active\": 1, \"schedule\": \"cron\"}}", 0,
		NULL);
	assert_non_null(strstr(explain_dag(&wo, &f), "  3 intervals -: wait: 1 of its runs are "
						     "active, as many as max_active_runs allows; "
						     "overlap is queue\n"
						     "    sales@2026-11-19 running: is at work\n"));
	json_decref((json_t *)f.common.live);
	clear(&wo);
}

/* ---- other runs ------------------------------------------------------------------------- */

static struct world *elsewhere;
static struct why_other other;

static size_t others(void *arg, const struct task *def, const struct why_other **ret)
{
	(void)arg;
	*ret = &other;
	return strcmp(def->name, "sum") == 0;
}

static const struct why_facts *other_run(void *arg, int64_t run_id)
{
	(void)arg;
	return elsewhere && run_id == 9 ? &elsewhere->f : NULL;
}

static void begin_other(struct world *wo, enum task_state state, enum reason why)
{
	const struct row row = { "sum", "", state, why, 0, NULL, false };

	make(wo, &row, 1);
	wo->tasks[0].waits_for = "orders.load";
	wo->f.source.others = others;
	wo->f.source.other_run = other_run;
	other = (struct why_other){ .name = "orders.load", .dag = "orders", .task = "load" };
}

static void test_others(void **state)
{
	static const struct row rows[] = { { "extract", "", TASK_UP_FOR_RETRY, REASON_RETRY_WAIT, 0,
						   NULL, false },
		{ "load", "a", TASK_NONE, REASON_CREATED, 0, NULL, false } };
	static struct run_row orders = {
		.id = 9, .name = "orders@2026-11-19", .dag = "orders", .state = RUN_RUNNING
	};
	struct world wo, there;

	(void)state;
	make(&there, rows, 2);
	there.f.run = &orders;
	elsewhere = &there;
	begin_other(&wo, TASK_DEFERRED, REASON_OTHER_RUN);
	other.span = "2026-11-19T00:00:00Z to 2026-11-20T00:00:00Z";
	assert_string_equal(explain(&wo, "sum"),
		"sum deferred: waits for orders.load\n"
		"  orders.load -: there is no run of orders yet for 2026-11-19T00:00:00Z to "
		"2026-11-20T00:00:00Z\n");
	assert_string_equal(wo.w.steps[1].words, "orders --date 2026-11-19T00:00:00Z");
	clear(&wo);
	/* The chain goes on into that run. */
	begin_other(&wo, TASK_DEFERRED, REASON_OTHER_RUN);
	other.run_id = 9;
	other.run = orders.name;
	assert_string_equal(explain(&wo, "sum"),
		"sum deferred: waits for orders.load\n"
		"  orders@2026-11-19 running: is at work; of 2 tasks: 1 waiting, 1 up_for_retry\n"
		"    load none: waits for extract\n"
		"      extract up_for_retry: waits for retry 2 of 3, after exit status 1 "
		"[no route to host]\n");
	clear(&wo);
	begin_other(&wo, TASK_DEFERRED, REASON_OTHER_RUN);
	other.run_id = 9;
	other.task = "sweep";
	assert_non_null(strstr(explain(&wo, "sum"), "sweep -: this run has no such task"));
	clear(&wo);
	/* Of what decided. */
	begin_other(&wo, TASK_UPSTREAM_FAILED, REASON_UPSTREAM_FAILED);
	other.state = TASK_FAILED;
	other.run = "orders@2026-11-19";
	other.run_id = 8;
	assert_string_equal(explain(&wo, "sum"),
		"sum upstream_failed: was not run: it needs orders.load, which did not succeed\n"
		"  orders@2026-11-19 queued: has what is waited for\n");
	clear(&wo);
	/* The run before can only be mended. */
	begin_other(&wo, TASK_DEFERRED, REASON_PAST_RUN);
	other = (struct why_other){ .past = true,
		.name = "sum",
		.task = "sum",
		.run = "sales@2026-11-18",
		.run_id = 8,
		.run_state = RUN_FAILED,
		.task_state = TASK_FAILED };
	wo.tasks[0].waits_for = "sum in the run before, sales@2026-11-18";
	assert_string_equal(explain(&wo, "sum"),
		"sum deferred: waits for sum in the run before, sales@2026-11-18, which is failed: "
		"it waits until that is done again\n"
		"  sales@2026-11-18 failed: has what is waited for\n");
	clear(&wo);
	elsewhere = NULL;
	clear(&there);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_reason),
		cmocka_unit_test(test_no_impossible_row),
		cmocka_unit_test(test_scheduler),
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_mapped),
		cmocka_unit_test(test_many_instances),
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_not_in_hand),
		cmocka_unit_test(test_backfill),
		cmocka_unit_test(test_switches),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_dag),
		cmocka_unit_test(test_others),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
