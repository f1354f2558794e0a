/* Requests: what becomes of a run that nobody has in hand, as a plan tells it; and each verb on
 * each state.
 *
 * A DAG is "a; b a; c a b": tasks with their needs; "c:one_success": its rule; "c:teardown": of the
 * first it needs; "c:branch": it chooses. States are given in its order; "~" in front: the state
 * came of the needs alone; "-": of a choice; "+": of a request. A request is "VERB TASK... [down]
 * [failed] [=STATE]". What comes of it: "a starts, b waits, c becomes success (marked)", and the
 * run's state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/node.h"
#include "core/model.h"
#include "core/request.h"
#include "core/sched.h"

enum { TASKS_MAX = 12, RUN_ID = 7, NOW_US = 5000000 };

static void set_kind(struct task *t, const char *kind)
{
	if (!kind)
		return;
	t->chooses = strcmp(kind, "branch") == 0;
	t->teardown = strcmp(kind, "teardown") == 0;
	if (t->teardown) {
		t->trigger = TRIGGER_ALL_DONE;
		t->setups = t->needs;
		t->nsetups = 1;
	} else if (!t->chooses) {
		t->trigger = (enum trigger_rule)trigger_by_name(kind);
	}
}

static struct dag *make_dag(const char *text)
{
	struct dag *dag = dag_new();
	char *copy = strdup(text), *rest = NULL, *more = NULL;
	int cycle[TASKS_MAX + 1], len;

	dag->name = "story";
	dag->tasks = arena_array(&dag->arena, TASKS_MAX, sizeof *dag->tasks);
	for (char *row = strtok_r(copy, ";", &rest); row; row = strtok_r(NULL, ";", &rest)) {
		struct task *t = &dag->tasks[dag->ntasks];
		int *needs = arena_array(&dag->arena, TASKS_MAX, sizeof *needs);
		char *name = strtok_r(row, " ", &more), *kind = strchr(name, ':');
		t->name = arena_strndup(
			&dag->arena, name, kind ? (size_t)(kind - name) : strlen(name));
		t->index = dag->ntasks++;
		t->needs = needs;
		for (char *word; (word = strtok_r(NULL, " ", &more));)
			needs[t->nneeds++] = word[0] - 'a';
		set_kind(t, kind ? kind + 1 : NULL);
	}
	free(copy);
	assert_int_equal(dag_seal(dag, cycle, &len, NULL), 0);
	return dag;
}

static enum reason reason_of(char sign, enum task_state state)
{
	switch (sign) {
	case '~':
		return state == TASK_SKIPPED ? REASON_UPSTREAM_SKIPPED : REASON_UPSTREAM_FAILED;
	case '-':
		return REASON_NOT_CHOSEN;
	case '+':
		return state == TASK_SKIPPED ? REASON_SKIPPED_BY_REQUEST : REASON_MARKED;
	default:
		return REASON_NONE;
	}
}

static void parse_states(const char *text, struct task_init *init)
{
	char *copy = strdup(text), *rest = NULL;

	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		bool sign = strchr("~-+", *word) != NULL;
		int s = task_state_by_name(word + sign);
		enum reason why = reason_of(*word, (enum task_state)s);
		assert_true(s >= 0);
		*init++ = (struct task_init){ .state = (enum task_state)s,
			.reason = why,
			.unchosen = why == REASON_NOT_CHOSEN,
			.tries = !sign && s != TASK_NONE,
			.failures = s == TASK_UP_FOR_RETRY,
			.due_us = s == TASK_UP_FOR_RETRY ? NOW_US + 1 : 0,
			.token = s == TASK_RUNNING ? 5 : 0,
			.selected = true };
	}
	free(copy);
}

static void parse_request(const char *text, struct request *q, int *tasks)
{
	char *copy = strdup(text), *rest = NULL, *word = strtok_r(copy, " ", &rest);

	*q = (struct request){ .tasks = tasks, .detail = "by ann" };
	for (q->verb = 0; strcmp(request_name(q->verb), word) != 0; q->verb++)
		assert_true(q->verb + 1 < REQUEST_MAX);
	while ((word = strtok_r(NULL, " ", &rest)))
		if (strcmp(word, "down") == 0)
			q->downstream = true;
		else if (strcmp(word, "failed") == 0)
			q->failed = true;
		else if (*word == '=')
			q->mark = (enum task_state)task_state_by_name(word + 1);
		else
			tasks[q->ntasks++] = word[0] - 'a';
	free(copy);
}

/* "a starts, b becomes success (marked)" */
static void add_effects(struct buf *out, const struct dag *dag, const struct request_plan *p)
{
	for (int i = 0; i < p->ntasks; i++) {
		const struct request_task *t = &p->tasks[i];
		if (t->effect == EFFECT_NONE)
			continue;
		buf_addf(out, "%s%s %s", out->len ? ", " : "", dag->tasks[i].name,
			request_effect_name(t->effect));
		if (t->effect == EFFECT_BECOMES)
			buf_addf(out, " %s (%s)", task_state_name(t->to), reason_name(t->why));
	}
	buf_addf(out, "; %s", run_state_name(p->to));
}

static const struct story {
	const char *dag, *states;
	enum run_state run;
	const char *request, *comes; /* or what the refusal says */
} stories[] = {
	/* again */
	{ "a;b a;c b;d", "failed ~upstream_failed ~upstream_failed success", RUN_FAILED, "retry",
		"a starts, b waits, c waits; queued" },
	{ "a;b a;c b;d", "failed ~upstream_failed ~upstream_failed success", RUN_FAILED, "retry a",
		"a starts, b waits, c waits; queued" },
	{ "a;b a;c b;d", "failed ~upstream_failed ~upstream_failed success", RUN_FAILED, "retry b",
		"!task b would be upstream_failed again at once: it needs a, which is failed" },
	{ "a;b a;c b", "failed ~upstream_failed ~upstream_failed", RUN_FAILED, "clear c",
		"!it needs b, which is upstream_failed; retry or mark that one" },
	{ "a;b;c a b", "failed failed ~upstream_failed", RUN_FAILED, "retry a",
		"a starts; queued" },
	{ "a;b;c a b", "failed failed ~upstream_failed", RUN_FAILED, "retry a b",
		"a starts, b starts, c waits; queued" },
	{ "a;b a;c b", "success success success", RUN_SUCCESS, "clear a",
		"a starts, b stale, c stale; queued" },
	{ "a;b a;c b", "success success success", RUN_SUCCESS, "clear a down",
		"a starts, b waits, c waits; queued" },
	{ "a;b a;c b", "success success success", RUN_SUCCESS, "clear b down",
		"b starts, c waits; queued" },
	{ "a;b a;c b", "success failed ~upstream_failed", RUN_FAILED, "retry a down failed",
		"b starts, c waits; queued" },
	{ "a;b a;c b", "cancelled cancelled cancelled", RUN_CANCELLED, "retry",
		"a starts, b waits, c waits; queued" },
	{ "a;b a;c", "cancelled cancelled cancelled", RUN_CANCELLED, "retry c",
		"c starts; queued" },
	{ "a;b a", "up_for_retry none", RUN_RUNNING, "retry a", "a starts; running" },
	{ "a;b a", "success up_for_retry", RUN_RUNNING, "clear a", "a starts, b waits; running" },
	{ "a;b a", "success running", RUN_RUNNING, "clear a", "a starts, b stale; running" },
	{ "a;b a;c;d c", "failed ~upstream_failed none none", RUN_FAILED, "retry",
		"a starts, b waits, c waits, d waits; queued" },
	{ "a;b a;c", "skipped ~skipped success", RUN_SUCCESS, "retry a",
		"a starts, b waits; queued" },
	{ "a;b a", "success running", RUN_RUNNING, "clear a down",
		"!task b is running: cancel it" },
	{ "a;b a", "success none", RUN_RUNNING, "retry",
		"!none of its tasks is failed, upstream_failed or cancelled" },
	{ "a;b a", "success none", RUN_RUNNING, "clear a down", "a starts; running" },
	/* marks */
	{ "a;b a;c b", "failed ~upstream_failed ~upstream_failed", RUN_FAILED, "mark a =success",
		"a becomes success (marked), b starts, c waits; queued" },
	{ "a;b a;c b", "failed ~upstream_failed ~upstream_failed", RUN_FAILED, "mark a =skipped",
		"a becomes skipped (marked), b becomes skipped (upstream_skipped), "
		"c becomes skipped (upstream_skipped); success" },
	{ "a;b a;c", "success success success", RUN_SUCCESS, "mark a =failed",
		"a becomes failed (marked); failed" },
	{ "a;b a;c", "success failed success", RUN_FAILED, "mark b =success",
		"b becomes success (marked); success" },
	{ "a;b a;c", "none none success", RUN_QUEUED, "mark a =failed",
		"a becomes failed (marked), b becomes upstream_failed (upstream_failed); failed" },
	{ "a;b a;c", "success queued none", RUN_RUNNING, "mark a =failed",
		"a becomes failed (marked), b becomes upstream_failed (upstream_failed); running" },
	{ "a;b", "cancelled cancelled", RUN_CANCELLED, "mark a =success",
		"a becomes success (marked); cancelled" },
	{ "a;b", "success cancelled", RUN_CANCELLED, "mark b =skipped",
		"b becomes skipped (marked); success" },
	{ "a", "success", RUN_SUCCESS, "mark a =success",
		"!task a is success already; possible with it: retry, clear, mark, set-output" },
	/* the others */
	{ "a;b a;c", "held none none", RUN_RUNNING, "skip a",
		"a becomes skipped (skipped_by_request), b becomes skipped (upstream_skipped); "
		"running" },
	{ "a;b a;c", "up_for_retry none success", RUN_RUNNING, "end-retries a",
		"a becomes failed (retries_ended), b becomes upstream_failed (upstream_failed); "
		"failed" },
	{ "a;b a;c", "none none none", RUN_QUEUED, "cancel",
		"a becomes cancelled (cancelled), b becomes cancelled (cancelled), "
		"c becomes cancelled (cancelled); cancelled" },
	{ "a;b a;c", "none none none", RUN_QUEUED, "cancel a",
		"a becomes cancelled (cancelled), b becomes upstream_failed (upstream_failed); "
		"queued" },
	{ "a;b a", "running none", RUN_RUNNING, "cancel",
		"a stops, b becomes cancelled (cancelled); running" },
	{ "a;b a", "running none", RUN_RUNNING, "cancel a", "a stops; running" },
	{ "a", "failed", RUN_FAILED, "cancel",
		"!it is failed already: there is nothing to cancel; possible with its tasks: "
		"retry" },
	{ "a;b a", "success none", RUN_RUNNING, "set-output a", "a outputs; running" },
	{ "a;b a;c b", "success none success", RUN_RUNNING, "set-output a",
		"!task c depends on a and has begun (success)" },
	{ "a;b a", "success ~skipped", RUN_SUCCESS, "set-output a", "a outputs; success" },
	/* rules: what was judged is judged anew */
	{ "a;b;c:one_failed a b", "success success ~skipped", RUN_SUCCESS, "mark a =failed",
		"a becomes failed (marked), c starts; queued" },
	{ "a;b:one_failed a", "failed success", RUN_FAILED, "mark a =success",
		"a becomes success (marked); success" },
	{ "a;b;c:none_failed a b", "failed success ~upstream_failed", RUN_FAILED, "mark a =skipped",
		"a becomes skipped (marked), c starts; queued" },
	{ "a;b;c:one_success a b", "success failed success", RUN_FAILED, "clear a",
		"a starts, c waits; queued" },
	{ "a;b;c:one_success a b;d c", "success success success success", RUN_SUCCESS, "clear b",
		"b starts, c starts, d stale; queued" },
	{ "a;b:all_done a", "running none", RUN_RUNNING, "cancel a", "a stops; running" },
	{ "a;b;c:all_done a b", "failed failed ~upstream_failed", RUN_FAILED, "mark a =success",
		"a becomes success (marked), c starts; queued" },
	{ "a;b:one_success a;c b", "success queued none", RUN_RUNNING, "clear a",
		"a starts, b waits; running" },
	/* choices: not made again, what was left out stays out, unless it is named */
	{ "a:branch;b a;c a;d c", "success success -skipped ~skipped", RUN_SUCCESS, "clear a",
		"a starts, b stale, c waits, d waits; queued" },
	{ "a:branch;b a;c a", "success success -skipped", RUN_SUCCESS, "clear c",
		"c starts; queued" },
	{ "a:branch;b;c a b", "success success -skipped", RUN_SUCCESS, "clear b down",
		"b starts; queued" },
	{ "a:branch;b a;c b", "success -skipped ~skipped", RUN_SUCCESS, "mark b =success",
		"b becomes success (marked), c starts; queued" },
	/* what was asked for stays so when what it needs is done again */
	{ "a;b a", "success +skipped", RUN_SUCCESS, "clear a", "a starts; queued" },
	{ "a;b:all_done a", "failed +success", RUN_FAILED, "retry a", "a starts, b stale; queued" },
	/* teardowns: what was taken down is set up again */
	{ "a;b a;c:teardown a b", "success failed success", RUN_FAILED, "retry b",
		"a starts, b waits, c waits; queued" },
	{ "a;b a;c:teardown a b", "success failed cancelled", RUN_CANCELLED, "retry b",
		"a starts, b waits, c waits; queued" },
	{ "a;b a;c:teardown a b", "cancelled cancelled cancelled", RUN_CANCELLED, "retry a b",
		"a starts, b waits, c waits; queued" },
	{ "a;b a;c:teardown a b", "success failed none", RUN_RUNNING, "retry b",
		"b starts; running" },
	{ "a;b a;c:teardown a b", "success running none", RUN_RUNNING, "cancel",
		"b stops; running" },
	{ "a;b a;c:teardown a b;d", "success none none running", RUN_RUNNING, "cancel",
		"b becomes cancelled (cancelled), d stops; running" },
	{ "a;b a;c:teardown a b;d", "success none none success", RUN_RUNNING, "cancel",
		"b becomes cancelled (cancelled), c starts; running" },
	{ "a;b a;c:teardown a b", "none none none", RUN_RUNNING, "cancel",
		"a becomes cancelled (cancelled), b becomes cancelled (cancelled), "
		"c becomes cancelled (cancelled); cancelled" },
	{ "a;b a;c:teardown a b", "success success running", RUN_RUNNING, "cancel", "; running" },
	{ "a;b a;c:teardown a b", "success success running", RUN_RUNNING, "cancel c",
		"c stops; running" },
};

static void test_stories(void **state)
{
	struct task_init init[TASKS_MAX];
	int tasks[TASKS_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof stories / sizeof *stories; i++) {
		const struct story *s = &stories[i];
		struct dag *dag = make_dag(s->dag);
		const struct run_init run = {
			.run_id = RUN_ID, .dag = dag, .state = s->run, .tasks = init
		};
		struct request_plan plan;
		struct request q;
		struct err err = { 0 };
		struct buf got;
		buf_init(&got, 4096);
		parse_states(s->states, init);
		parse_request(s->request, &q, tasks);
		int rc = request_plan(&plan, &run, &q, NOW_US, &err);
		if (rc == 0)
			rc = request_check_use(&plan, run.dag, &q, &err);
		if (rc == 0)
			add_effects(&got, dag, &plan);
		else
			buf_addf(&got, "!%s", err.msg);
		bool right = rc < 0 ? strstr(got.data, s->comes + 1) && *s->comes == '!'
				    : strcmp(got.data, s->comes) == 0;
		if (!right)
			fail_msg("%s [%s] %s\n got: %s\nwant: %s", s->dag, s->states, s->request,
				got.data, s->comes);
		request_plan_release(&plan);
		buf_release(&got);
		dag_unref(dag);
	}
}

/* Rows: verbs; columns: states. What a row of the table says is what happens, and a refusal names
 * the state and what may be done. */
static void test_matrix(void **state)
{
	/*                            none sched queue runng defer input retry held succ fail skip
	 * upst canc */
	static const char *const may[REQUEST_MAX] = {
		[REQUEST_RETRY] /*       */ = "......y.yyyyy",
		[REQUEST_CLEAR] /*       */ = "......y.yyyyy",
		[REQUEST_MARK] /*        */ = "yyy.yyyyyyyyy",
		[REQUEST_SKIP] /*        */ = "yyy.yyyy.....",
		[REQUEST_CANCEL] /*      */ = "yyyyyyyy.....",
		[REQUEST_END_RETRIES] /* */ = "......y......",
		[REQUEST_SET_OUTPUT] /*  */ = "........y....",
	};
	struct dag *dag = make_dag("a;b");

	(void)state;
	for (int v = 0; v < REQUEST_MAX; v++)
		for (int s = 0; s < TASK_STATE_MAX; s++) {
			struct task_init init[2] = {
				{ .state = (enum task_state)s, .token = 5, .selected = true },
				{ .state = TASK_NONE, .selected = true }
			};
			const struct run_init run = {
				.run_id = RUN_ID, .dag = dag, .state = RUN_RUNNING, .tasks = init
			};
			const struct request q = { .verb = (enum request_verb)v,
				.tasks = (const int[]){ 0 },
				.ntasks = 1,
				.mark = s == TASK_FAILED ? TASK_SUCCESS : TASK_FAILED };
			struct request_plan plan;
			struct err err = { 0 };
			bool want = may[v][s] == 'y';
			assert_int_equal(request_may(q.verb, (enum task_state)s), want);
			int rc = request_plan(&plan, &run, &q, NOW_US, &err);
			if ((rc == 0) != want)
				fail_msg("%s of %s: %s", request_name(q.verb),
					task_state_name((enum task_state)s), err.msg);
			if (rc == 0) {
				request_plan_release(&plan);
				continue;
			}
			assert_int_equal(err.code, ERR_REFUSED);
			assert_non_null(strstr(err.msg, task_state_name((enum task_state)s)));
		}
	dag_unref(dag);
}

/* In motion: what was waiting in a queue goes back when a need of it is done again, and what was
 * stopped by request is cancelled, however it ends. */
static void test_in_motion(void **state)
{
	struct sched *s = sched_new(&(struct sched_config){ .max_running = 2, .seed = 1 });
	struct dag *dag = make_dag("a;b a;c;d a");
	const struct run_init run = { .run_id = RUN_ID, .dag = dag };
	struct request q = { .verb = REQUEST_CLEAR, .tasks = (const int[]){ 0 }, .ntasks = 1 };
	struct task_view v;

	(void)state;
	dag->tasks[1].retry.retries = 3;
	sched_set_tokens(s, 1, 100);
	assert_int_equal(sched_add_run(s, &run, 1, NULL), 0);
	assert_int_equal(sched_tick(s, 1, NULL), 0); /* a and c */
	assert_true(sched_attempt_ended(
		s, &(struct attempt_end){ .token = 1, .outcome = OUTCOME_SUCCESS }, 2));
	assert_int_equal(sched_tick(s, 2, NULL), 0); /* b; d finds no slot */
	assert_true(sched_task_view(s, RUN_ID, 3, &v));
	assert_int_equal(v.state, TASK_QUEUED);
	assert_int_equal(sched_request(s, RUN_ID, &q, 3, NULL), 0);
	assert_true(sched_task_view(s, RUN_ID, 3, &v));
	assert_int_equal(v.state, TASK_NONE);
	assert_false(v.ready);
	assert_int_equal(v.waiting, 1);

	q = (struct request){ .verb = REQUEST_CANCEL, .tasks = (const int[]){ 1 }, .ntasks = 1 };
	assert_int_equal(sched_request(s, RUN_ID, &q, 4, NULL), 0);
	size_t n;
	const struct change *c = sched_changes(s, &n);
	assert_int_equal(c[n - 1].kind, CHANGE_STOP);
	assert_int_equal(c[n - 1].attempt.token, 3);
	/* It fails before it hears of it: no further try. */
	assert_true(sched_attempt_ended(s,
		&(struct attempt_end){ .token = 3, .outcome = OUTCOME_FAILED, .exit_status = 1 },
		5));
	assert_true(sched_task_view(s, RUN_ID, 1, &v));
	assert_int_equal(v.state, TASK_CANCELLED);
	/* Done again, it has its tries again. */
	q.verb = REQUEST_RETRY;
	assert_int_equal(sched_request(s, RUN_ID, &q, 6, NULL), 0);
	assert_true(sched_task_view(s, RUN_ID, 1, &v));
	assert_int_equal(v.state, TASK_NONE);
	assert_int_equal(v.failures, 0);
	sched_free(s);
	dag_unref(dag);
}

/* One that is held by request for another reason is not started by an intervention. */
static void test_held(void **state)
{
	struct sched *s = sched_new(&(struct sched_config){ .max_running = 2, .seed = 1 });
	struct dag *dag = make_dag("a;b a");
	const struct run_init run = { .run_id = RUN_ID, .dag = dag };
	const struct sched_hold hold = {
		.run_id = RUN_ID, .task = -1, .on = true, .why = REASON_PAUSED
	};
	struct request q = {
		.verb = REQUEST_MARK, .tasks = (const int[]){ 0 }, .ntasks = 1, .mark = TASK_SUCCESS
	};
	struct task_view v;

	(void)state;
	sched_set_tokens(s, 1, 100);
	assert_int_equal(sched_add_run(s, &run, 1, NULL), 0);
	sched_hold(s, &hold);
	assert_int_equal(sched_tick(s, 1, NULL), 0);
	assert_int_equal(sched_request(s, RUN_ID, &q, 2, NULL), 0);
	assert_int_equal(sched_tick(s, 2, NULL), 0);
	assert_true(sched_task_view(s, RUN_ID, 1, &v));
	assert_int_equal(v.state, TASK_HELD);
	/* Cancelled while it is held and in a queue: it leaves both. */
	q.verb = REQUEST_CANCEL;
	q.ntasks = 0;
	assert_int_equal(sched_request(s, RUN_ID, &q, 3, NULL), 0);
	assert_int_equal(sched_tick(s, 3, NULL), 0);
	assert_int_equal(sched_run_state(s, RUN_ID), RUN_CANCELLED);
	assert_int_equal(sched_request(s, 99, &q, 3, NULL), -1);
	sched_free(s);
	dag_unref(dag);
}

/* Where only teardowns are left a cancel holds for what they do; asked for twice it changes
 * nothing, and says so. */
static void test_cancel_twice(void **state)
{
	struct sched *s = sched_new(&(struct sched_config){ .max_running = 2, .seed = 1 });
	struct dag *dag = make_dag("a;b:teardown a");
	struct task_init init[2] = { { .state = TASK_SUCCESS, .tries = 1, .selected = true },
		{ .state = TASK_NONE, .selected = true } };
	const struct run_init run = {
		.run_id = RUN_ID, .dag = dag, .state = RUN_RUNNING, .tasks = init, .resume = true
	};
	struct request q = { .verb = REQUEST_CANCEL };
	struct err err = { 0 };

	(void)state;
	sched_set_tokens(s, 1, 100);
	assert_int_equal(sched_add_run(s, &run, 1, NULL), 0);
	assert_int_equal(sched_tick(s, 1, NULL), 0);
	assert_int_equal(sched_running(s), 1);
	assert_int_equal(sched_request(s, RUN_ID, &q, 2, &err), 0);
	assert_int_equal(sched_request(s, RUN_ID, &q, 3, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_non_null(strstr(err.msg, "only teardowns"));
	q.hard = true;
	assert_int_equal(sched_request(s, RUN_ID, &q, 4, &err), 0);
	sched_free(s);
	dag_unref(dag);
}

/* What waited for its next try when it was held may end its retries; what was held before its first
 * one has none. */
static void test_held_retry(void **state)
{
	struct dag *dag = make_dag("a;b");
	struct task_init init[2] = { { .state = TASK_HELD, .tries = 1, .selected = true },
		{ .state = TASK_NONE, .selected = true } };
	const struct run_init run = {
		.run_id = RUN_ID, .dag = dag, .state = RUN_RUNNING, .tasks = init
	};
	const struct request q = {
		.verb = REQUEST_END_RETRIES, .tasks = (const int[]){ 0 }, .ntasks = 1
	};
	struct request_plan plan;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(request_plan(&plan, &run, &q, NOW_US, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	for (int lost = 0; lost < 2; lost++) {
		init[0].failures = !lost;
		init[0].lost = lost;
		assert_int_equal(request_plan(&plan, &run, &q, NOW_US, &err), 0);
		assert_int_equal(plan.tasks[0].effect, EFFECT_BECOMES);
		assert_int_equal(plan.tasks[0].to, TASK_FAILED);
		assert_int_equal(plan.tasks[0].why, REASON_RETRIES_ENDED);
		request_plan_release(&plan);
	}
	dag_unref(dag);
}

/* One whose `if` is being asked leaves the questions when it is cancelled, skipped, marked, or a
 * need of it is done again; and asks anew, once, when it is cleared. */
static void test_asking(void **state)
{
	static const struct node some_if = { .type = NODE_BOOL };
	const struct request asked[] = {
		{ .verb = REQUEST_CANCEL, .tasks = (const int[]){ 1 }, .ntasks = 1 },
		{ .verb = REQUEST_SKIP, .tasks = (const int[]){ 1 }, .ntasks = 1 },
		{ .verb = REQUEST_MARK,
			.tasks = (const int[]){ 1 },
			.ntasks = 1,
			.mark = TASK_SUCCESS },
		{ .verb = REQUEST_CLEAR, .tasks = (const int[]){ 0 }, .ntasks = 1 },
	};
	const struct request clear = {
		.verb = REQUEST_CLEAR, .tasks = (const int[]){ 1 }, .ntasks = 1
	};

	(void)state;
	for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
		struct sched *s = sched_new(&(struct sched_config){ .max_running = 2 });
		struct dag *dag = make_dag("a;b a;c b");
		const struct run_init run = { .run_id = RUN_ID, .dag = dag };
		struct task_view v;
		size_t n;
		dag->tasks[1].only_if = &some_if;
		sched_set_tokens(s, 1, 100);
		assert_int_equal(sched_add_run(s, &run, 1, NULL), 0);
		assert_int_equal(sched_tick(s, 1, NULL), 0);
		assert_true(sched_attempt_ended(
			s, &(struct attempt_end){ .token = 1, .outcome = OUTCOME_SUCCESS }, 2));
		sched_questions(s, &n);
		assert_int_equal(n, 1);
		assert_int_equal(sched_request(s, RUN_ID, &asked[i], 3, NULL), 0);
		sched_questions(s, &n);
		assert_int_equal(n, 0);
		/* An answer that comes too late is none. */
		assert_true(sched_task_view(s, RUN_ID, 1, &v));
		enum task_state was = v.state;
		sched_answer(s, RUN_ID, 1, false, 3);
		assert_true(sched_task_view(s, RUN_ID, 1, &v));
		assert_int_equal(v.state, was);
		if (task_state_is_final(was)) {
			assert_int_equal(sched_request(s, RUN_ID, &clear, 4, NULL), 0);
			sched_questions(s, &n);
			assert_int_equal(n, 1);
			sched_answer(s, RUN_ID, 1, true, 4);
		}
		assert_int_equal(sched_tick(s, 5, NULL), 0);
		assert_true(sched_task_view(s, RUN_ID, 1, &v));
		assert_int_equal(v.state, task_state_is_final(was) ? TASK_RUNNING : TASK_NONE);
		sched_free(s);
		dag_unref(dag);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stories),
		cmocka_unit_test(test_matrix),
		cmocka_unit_test(test_in_motion),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_held_retry),
		cmocka_unit_test(test_cancel_twice),
		cmocka_unit_test(test_asking),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
