/* The scheduler: stories. Each is a DAG, how its tasks stand, and steps; after each step the list
 * of changes is compared, all of it.
 *
 * A DAG is "a; b a; c a b": tasks with their needs. Steps:
 *
 *     tick            now
 *     +10             ten seconds later
 *     ok T, skip T, fail T [STATUS], perm T, signal T N, timeout T, lost T, refused T, cancelled T
 *     end TOKEN       an end for a token that is not in flight
 *     cancel, kill    of the run
 *     tokens A B      the block [A, B)
 *     wake N          checks that the next tick is due in N seconds; "wake never"
 *     idle, busy      checks sched_run_idle
 *
 * Changes: "run queued>running (started)", "a none>running (started)", "start a 1/101" (try/token),
 * "end a 1/101 success (succeeded)", "stop a 101", "kill a 101".
 */
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
#include "base/units.h"
#include "core/model.h"
#include "core/sched.h"

enum { STEPS_MAX = 24, TASKS_MAX = 12, RUN_ID = 7, TOKEN = 101 };
#define START_US (1000 * US_PER_SECOND)

/* ---- a world -------------------------------------------------------------------------- */

struct world {
	struct sched *s;
	struct dag *dag;
	int64_t now_us;
	struct buf text;
};

static int task_of(const struct dag *dag, const char *name)
{
	for (int i = 0; i < dag->ntasks; i++)
		if (strcmp(dag->tasks[i].name, name) == 0)
			return i;
	fail_msg("no task %s", name);
	return -1;
}

static void add_task(struct dag *dag, char *words)
{
	struct task *t = &dag->tasks[dag->ntasks];
	int *needs = arena_array(&dag->arena, TASKS_MAX, sizeof *needs);
	char *rest = NULL, *word = strtok_r(words, " ", &rest);

	*t = (struct task){ .name = arena_strdup(&dag->arena, word),
		.index = dag->ntasks,
		.needs = needs,
		.retry = { .initial_us = 10 * US_PER_SECOND,
			.max_us = 60 * US_PER_SECOND,
			.factor = 2 } };
	snprintf(t->hash, sizeof t->hash, "hash-%s", t->name);
	dag->ntasks++;
	while ((word = strtok_r(NULL, " ", &rest)))
		needs[t->nneeds++] = task_of(dag, word);
}

static struct dag *make_dag(const char *text)
{
	struct dag *dag = dag_new();
	char *copy = strdup(text), *rest = NULL;
	int cycle[TASKS_MAX + 1], len;

	dag->name = "story";
	dag->tasks = arena_array(&dag->arena, TASKS_MAX, sizeof *dag->tasks);
	for (char *row = strtok_r(copy, ";", &rest); row; row = strtok_r(NULL, ";", &rest))
		add_task(dag, row);
	free(copy);
	assert_int_equal(dag_seal(dag, cycle, &len, NULL), 0);
	return dag;
}

static void add_change(struct buf *out, const struct dag *dag, const struct change *c)
{
	if (out->len)
		buf_addstr(out, "; ");
	switch (c->kind) {
	case CHANGE_RUN:
		buf_addf(out, "run %s>%s (%s)", run_state_name(c->run.from),
			run_state_name(c->run.to), reason_name(c->reason));
		assert_null(c->task);
		assert_int_equal(c->task_index, -1);
		return;
	case CHANGE_TASK:
		buf_addf(out, "%s %s>%s (%s)", c->task, task_state_name(c->state.from),
			task_state_name(c->state.to), reason_name(c->reason));
		if (c->state.due_us)
			buf_addf(out, " @%lld",
				(long long)((c->state.due_us - START_US) / US_PER_SECOND));
		assert_string_equal(c->state.hash, dag->tasks[c->task_index].hash);
		break;
	case CHANGE_START:
		buf_addf(out, "start %s %d/%lld", c->task, c->attempt.try,
			(long long)c->attempt.token);
		break;
	case CHANGE_END:
		buf_addf(out, "end %s %d/%lld %s (%s)", c->task, c->attempt.try,
			(long long)c->attempt.token, outcome_name(c->attempt.outcome),
			reason_name(c->reason));
		break;
	case CHANGE_STOP:
		buf_addf(out, "%s %s %lld", c->attempt.hard ? "kill" : "stop", c->task,
			(long long)c->attempt.token);
		break;
	case CHANGE_CANCEL:
		buf_addf(out, "cancel%s", c->attempt.hard ? " hard" : "");
		return;
	default:
		fail_msg("a change of no kind");
	}
	assert_string_equal(c->task, dag->tasks[c->task_index].name);
}

/* The changes since the last call, as text; none is left. */
static const char *changes(struct world *w)
{
	size_t n;
	const struct change *c = sched_changes(w->s, &n);

	buf_truncate(&w->text, 0);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(c[i].run_id, RUN_ID);
		assert_int_equal(c[i].at_us, w->now_us);
		assert_int_equal(c[i].map_index, -1);
		add_change(&w->text, w->dag, &c[i]);
	}
	sched_clear_changes(w->s);
	sched_changes(w->s, &n);
	assert_int_equal(n, 0);
	return w->text.len ? w->text.data : "";
}

/* ---- how tasks stand ------------------------------------------------------------------ */

/* "a=success b=running#55 c=up_for_retry@20 d=failed:2" (:N tries), "!" behind: clear,
 * "-" behind: not selected. */
static void parse_init(struct world *w, const char *text, struct task_init *init)
{
	char *copy = strdup(text), *rest = NULL;

	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		char *eq = strchr(word, '='), *mark;
		*eq = '\0';
		struct task_init *i = &init[task_of(w->dag, word)];
		for (mark = eq + strlen(eq + 1); *mark == '!' || *mark == '-'; *mark-- = '\0') {
			i->clear |= *mark == '!';
			i->selected &= *mark != '-';
		}
		if ((mark = strchr(eq + 1, '#'))) {
			i->token = atoll(mark + 1);
			*mark = '\0';
		}
		if ((mark = strchr(eq + 1, '@'))) {
			i->due_us = START_US + atoll(mark + 1) * US_PER_SECOND;
			*mark = '\0';
		}
		if ((mark = strchr(eq + 1, ':'))) {
			i->tries = atoi(mark + 1);
			i->failures = i->state == TASK_SUCCESS ? i->tries - 1 : i->tries;
			*mark = '\0';
		}
		int s = task_state_by_name(eq + 1);
		assert_true(s >= 0);
		i->state = (enum task_state)s;
	}
	free(copy);
}

/* ---- steps ---------------------------------------------------------------------------- */

static int64_t token_of(struct world *w, const char *task)
{
	struct task_view view;

	assert_true(sched_task_view(w->s, RUN_ID, task_of(w->dag, task), &view));
	return view.token;
}

static bool do_end(struct world *w, const char *verb, const char *task, int number)
{
	static const struct {
		const char *verb;
		enum outcome outcome;
	} verbs[] = {
		{ "ok", OUTCOME_SUCCESS },
		{ "skip", OUTCOME_SKIPPED },
		{ "fail", OUTCOME_FAILED },
		{ "perm", OUTCOME_FAILED },
		{ "signal", OUTCOME_FAILED },
		{ "timeout", OUTCOME_TIMEOUT },
		{ "lost", OUTCOME_LOST },
		{ "refused", OUTCOME_LOST },
		{ "cancelled", OUTCOME_CANCELLED },
	};

	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(verbs[i].verb, verb) == 0) {
			bool exits = strcmp(verb, "fail") == 0;
			const struct attempt_end e = { .token = token_of(w, task),
				.outcome = verbs[i].outcome,
				.exit_status = exits ? (number ? number : 1) : -1,
				.signal = strcmp(verb, "signal") == 0 ? number : 0,
				.permanent = strcmp(verb, "perm") == 0,
				.refused = strcmp(verb, "refused") == 0 };
			assert_true(sched_attempt_ended(w->s, &e, w->now_us));
			/* The same again is nothing. */
			assert_false(sched_attempt_ended(w->s, &e, w->now_us));
			return true;
		}
	return false;
}

static void check_wake(struct world *w, const char *when)
{
	int64_t wake = sched_wake_us(w->s);

	if (strcmp(when, "never") == 0)
		assert_int_equal(wake, INT64_MAX);
	else
		assert_int_equal(wake, w->now_us + atoll(when) * US_PER_SECOND);
}

static void do_step(struct world *w, const char *step)
{
	char verb[32] = "", word[32] = "";
	int number = 0;

	sscanf(step, "%31s %31s %d", verb, word, &number);
	if (verb[0] == '+')
		w->now_us += atoll(verb + 1) * US_PER_SECOND;
	if (verb[0] == '+' || strcmp(verb, "tick") == 0)
		assert_int_equal(sched_tick(w->s, w->now_us, NULL), 0);
	else if (strcmp(verb, "cancel") == 0 || strcmp(verb, "kill") == 0)
		sched_cancel_run(w->s, RUN_ID, verb[0] == 'k', w->now_us);
	else if (strcmp(verb, "pause") == 0)
		sched_hold(w->s,
			&(struct sched_hold){
				.run_id = RUN_ID, .task = -1, .on = true, .why = REASON_PAUSED });
	else if (strcmp(verb, "tokens") == 0)
		sched_set_tokens(w->s, atoll(word), number);
	else if (strcmp(verb, "wake") == 0)
		check_wake(w, word);
	else if (strcmp(verb, "idle") == 0 || strcmp(verb, "busy") == 0)
		assert_int_equal(sched_run_idle(w->s, RUN_ID), verb[0] == 'i');
	else if (strcmp(verb, "end") == 0)
		assert_false(sched_attempt_ended(w->s,
			&(struct attempt_end){ .token = atoll(word), .outcome = OUTCOME_SUCCESS },
			w->now_us));
	else if (!do_end(w, verb, word, number))
		fail_msg("unknown step: %s", step);
}

/* ---- the stories ---------------------------------------------------------------------- */

struct step {
	const char *step, *changes; /* NULL: none */
};

struct story {
	const char *name, *dag;
	int jobs; /* 0: 8 */
	int retries, lost_retries;
	enum run_state run; /* as the store has it */
	const char *init;   /* NULL: all new */
	bool ignore_needs, settling;
	const char *added; /* the changes of sched_add_run; NULL: the run is started */
	struct step steps[STEPS_MAX];
	const char *end; /* the run's state at last; NULL: running */
};

#define STARTED "run queued>running (started)"

static const struct story stories[] = {
	{ .name = "a happy chain",
		.dag = "a;b a;c b",
		.steps = { { "busy", NULL }, { "tick", "a none>running (started); start a 1/101" },
			{ "tick", NULL }, { "wake never", NULL },
			{ "ok a",
				"end a 1/101 success (succeeded); a running>success (succeeded)" },
			{ "tick", "b none>running (started); start b 1/102" },
			{ "ok b",
				"end b 1/102 success (succeeded); b running>success (succeeded)" },
			{ "tick", "c none>running (started); start c 1/103" }, { "busy", NULL },
			{ "ok c", "end c 1/103 success (succeeded); c running>success (succeeded); "
				  "run running>success (all_done)" },
			{ "idle", NULL }, { "tick", NULL } },
		.end = "success" },
	{ .name = "fan-in waits for the last",
		.dag = "a;b;c;d a b c",
		.steps = { { "tick", "a none>running (started); start a 1/101; "
				     "b none>running (started); start b 1/102; "
				     "c none>running (started); start c 1/103" },
			{ "ok b",
				"end b 1/102 success (succeeded); b running>success (succeeded)" },
			{ "tick", NULL },
			{ "ok c",
				"end c 1/103 success (succeeded); c running>success (succeeded)" },
			{ "tick", NULL },
			{ "ok a",
				"end a 1/101 success (succeeded); a running>success (succeeded)" },
			{ "tick", "d none>running (started); start d 1/104" } } },
	{ .name = "a failure spreads at once, and what does not need it goes on",
		.dag = "a;b;c a;d c;e b;f d e",
		.steps = { { "tick", "a none>running (started); start a 1/101; "
				     "b none>running (started); start b 1/102" },
			{ "fail a", "end a 1/101 failed (exit_status); "
				    "a running>failed (retries_spent); "
				    "c none>upstream_failed (upstream_failed); "
				    "d none>upstream_failed (upstream_failed); "
				    "f none>upstream_failed (upstream_failed)" },
			{ "tick", NULL },
			{ "ok b",
				"end b 1/102 success (succeeded); b running>success (succeeded)" },
			{ "tick", "e none>running (started); start e 1/103" },
			{ "ok e", "end e 1/103 success (succeeded); e running>success (succeeded); "
				  "run running>failed (some_failed)" } },
		.end = "failed" },
	{ .name = "a skip spreads, and is no failure",
		.dag = "a;b a;c b;d",
		.steps = { { "tick", "a none>running (started); start a 1/101; "
				     "d none>running (started); start d 1/102" },
			{ "skip a", "end a 1/101 skipped (skip_status); "
				    "a running>skipped (skip_status); "
				    "b none>skipped (upstream_skipped); "
				    "c none>skipped (upstream_skipped)" },
			{ "ok d", "end d 1/102 success (succeeded); d running>success (succeeded); "
				  "run running>success (all_done)" } },
		.end = "success" },
	{ .name = "a retry, with growing delays, and then success",
		.dag = "a;b a",
		.retries = 3,
		.steps = { { "tick", "a none>running (started); start a 1/101" },
			{ "fail a", "end a 1/101 failed (exit_status); "
				    "a running>up_for_retry (retry_wait) @10" },
			{ "tick", NULL }, { "wake 10", NULL }, { "+9", NULL }, { "wake 1", NULL },
			{ "+1", "a up_for_retry>running (started); start a 2/102" },
			{ "wake never", NULL },
			{ "signal a 11", "end a 2/102 failed (signalled); "
					 "a running>up_for_retry (retry_wait) @30" },
			{ "+19", NULL },
			{ "+1", "a up_for_retry>running (started); start a 3/103" },
			{ "ok a",
				"end a 3/103 success (succeeded); a running>success (succeeded)" },
			{ "tick", "b none>running (started); start b 1/104" } } },
	{ .name = "retries spent",
		.dag = "a",
		.retries = 1,
		.steps = { { "tick", "a none>running (started); start a 1/101" },
			{ "timeout a", "end a 1/101 timeout (timed_out); "
				       "a running>up_for_retry (retry_wait) @10" },
			{ "busy", NULL },
			{ "+60", "a up_for_retry>running (started); start a 2/102" },
			{ "timeout a", "end a 2/102 timeout (timed_out); "
				       "a running>failed (retries_spent); "
				       "run running>failed (some_failed)" } },
		.end = "failed" },
	{ .name = "an error that no retry mends",
		.dag = "a",
		.retries = 5,
		.steps = { { "tick", "a none>running (started); start a 1/101" },
			{ "perm a", "end a 1/101 failed (operator_error); "
				    "a running>failed (not_retryable); "
				    "run running>failed (some_failed)" } },
		.end = "failed" },
	{ .name = "what the system refused comes back later and later, and spends nothing",
		.dag = "a",
		.steps = { { "tick", "a none>running (started); start a 1/101" },
			{ "refused a", "end a 1/101 lost (lost); "
				       "a running>up_for_retry (retry_wait) @1" },
			{ "wake 1", NULL }, { "tick", NULL },
			{ "+1", "a up_for_retry>running (started); start a 2/102" },
			{ "refused a", "end a 2/102 lost (lost); "
				       "a running>up_for_retry (retry_wait) @3" },
			{ "+2", "a up_for_retry>running (started); start a 3/103" },
			{ "refused a", "end a 3/103 lost (lost); "
				       "a running>up_for_retry (retry_wait) @7" },
			{ "+4", "a up_for_retry>running (started); start a 4/104" },
			{ "refused a", "end a 4/104 lost (lost); "
				       "a running>up_for_retry (retry_wait) @15" },
			{ "+8", "a up_for_retry>running (started); start a 5/105" },
			{ "refused a", "end a 5/105 lost (lost); "
				       "a running>up_for_retry (retry_wait) @31" },
			{ "+16", "a up_for_retry>running (started); start a 6/106" },
			{ "refused a", "end a 6/106 lost (lost); "
				       "a running>up_for_retry (retry_wait) @63" },
			{ "+32", "a up_for_retry>running (started); start a 7/107" },
			{ "refused a", "end a 7/107 lost (lost); "
				       "a running>up_for_retry (retry_wait) @123" },
			{ "+60", "a up_for_retry>running (started); start a 8/108" },
			{ "refused a", "end a 8/108 lost (lost); "
				       "a running>up_for_retry (retry_wait) @183" } },
		.end = "running" },
	{ .name = "the first lost attempt comes back at once, none spends retries, all are bounded",
		.dag = "a",
		.lost_retries = 2,
		.steps = { { "tick", "a none>running (started); start a 1/101" },
			{ "lost a", "end a 1/101 lost (lost); "
				    "a running>up_for_retry (retry_wait) @0" },
			{ "wake 0", NULL },
			{ "tick", "a up_for_retry>running (started); start a 2/102" },
			{ "+5", NULL },
			{ "lost a", "end a 2/102 lost (lost); "
				    "a running>up_for_retry (retry_wait) @7" },
			{ "tick", NULL },
			{ "+2", "a up_for_retry>running (started); start a 3/103" },
			{ "lost a", "end a 3/103 lost (lost); a running>failed (lost_too_often); "
				    "run running>failed (some_failed)" } },
		.end = "failed" },
	{ .name = "lost and failed are counted apart",
		.dag = "a",
		.retries = 1,
		.lost_retries = 1,
		.steps = { { "tick", "a none>running (started); start a 1/101" },
			{ "lost a", "end a 1/101 lost (lost); "
				    "a running>up_for_retry (retry_wait) @0" },
			{ "tick", "a up_for_retry>running (started); start a 2/102" },
			{ "fail a", "end a 2/102 failed (exit_status); "
				    "a running>up_for_retry (retry_wait) @10" },
			{ "+10", "a up_for_retry>running (started); start a 3/103" },
			{ "fail a", "end a 3/103 failed (exit_status); "
				    "a running>failed (retries_spent); "
				    "run running>failed (some_failed)" } },
		.end = "failed" },
	{ .name = "late, unknown and repeated ends change nothing",
		.dag = "a;b a",
		.lost_retries = 1,
		.steps = { { "end 101", NULL },
			{ "tick", "a none>running (started); start a 1/101" }, { "end 102", NULL },
			{ "end 0", NULL }, { "end -1", NULL },
			{ "lost a", "end a 1/101 lost (lost); "
				    "a running>up_for_retry (retry_wait) @0" },
			/* The one given up comes back with a success. */
			{ "end 101", NULL },
			{ "tick", "a up_for_retry>running (started); start a 2/102" },
			{ "end 101", NULL },
			{ "ok a",
				"end a 2/102 success (succeeded); a running>success (succeeded)" },
			{ "end 102", NULL }, { "end 101", NULL } } },
	{ .name = "cancel: what waits is cancelled, what runs is stopped, and then killed",
		.dag = "a;b;c a;d",
		.jobs = 2,
		.steps = { { "tick", "a none>running (started); start a 1/101; "
				     "b none>running (started); start b 1/102; "
				     "d none>queued (slot_wait)" },
			{ "cancel",
				"cancel; stop a 101; stop b 102; d queued>cancelled (cancelled); "
				"c none>cancelled (cancelled)" },
			{ "tick", NULL },
			{ "cancelled a", "end a 1/101 cancelled (cancelled); "
					 "a running>cancelled (cancelled)" },
			{ "tick", NULL }, { "kill", "cancel hard; kill b 102" },
			{ "signal b 9", "end b 1/102 failed (signalled); "
					"b running>cancelled (cancelled); "
					"run running>cancelled (cancelled)" },
			{ "tick", NULL }, { "cancel", NULL } },
		.end = "cancelled" },
	{ .name = "a task that ends well while it is stopped has ended well",
		.dag = "a;b a",
		.steps = { { "tick", "a none>running (started); start a 1/101" },
			{ "cancel", "cancel; stop a 101; b none>cancelled (cancelled)" },
			{ "ok a", "end a 1/101 success (succeeded); a running>success (succeeded); "
				  "run running>cancelled (cancelled)" } },
		.end = "cancelled" },
	{ .name = "the last task ends well while it is stopped: nothing was cancelled",
		.dag = "a",
		.steps = { { "tick", "a none>running (started); start a 1/101" },
			{ "cancel", "cancel; stop a 101" },
			{ "ok a", "end a 1/101 success (succeeded); a running>success (succeeded); "
				  "run running>success (all_done)" } },
		.end = "success" },
	{ .name = "no retry after a cancel",
		.dag = "a",
		.retries = 3,
		.lost_retries = 3,
		.steps = { { "tick", "a none>running (started); start a 1/101" },
			{ "cancel", "cancel; stop a 101" },
			{ "lost a", "end a 1/101 lost (lost); a running>cancelled (cancelled); "
				    "run running>cancelled (cancelled)" } },
		.end = "cancelled" },
	{ .name = "cancel while a retry waits: its timer is then nothing",
		.dag = "a",
		.retries = 3,
		.steps = { { "tick", "a none>running (started); start a 1/101" },
			{ "fail a", "end a 1/101 failed (exit_status); "
				    "a running>up_for_retry (retry_wait) @10" },
			{ "cancel", "cancel; a up_for_retry>cancelled (cancelled); "
				    "run running>cancelled (cancelled)" },
			{ "+10", NULL }, { "wake never", NULL } },
		.end = "cancelled" },
	{ .name = "cancel before anything started",
		.dag = "a;b a;c",
		.steps = { { "cancel", "cancel; a none>cancelled (cancelled); c none>cancelled "
				       "(cancelled); "
				       "b none>cancelled (cancelled); "
				       "run running>cancelled (cancelled)" },
			{ "tick", NULL } },
		.end = "cancelled" },
	{ .name = "an attempt stopped from outside: its dependents fail with it",
		.dag = "a;b a",
		.steps = { { "tick", "a none>running (started); start a 1/101" },
			{ "cancelled a", "end a 1/101 cancelled (cancelled); "
					 "a running>cancelled (cancelled); "
					 "b none>upstream_failed (upstream_failed); "
					 "run running>failed (some_failed)" } },
		.end = "failed" },
	{ .name = "slots: first come, first served; who waits says so once",
		.dag = "a;b;c;d;e",
		.jobs = 2,
		.retries = 1,
		.steps = { { "tick", "a none>running (started); start a 1/101; "
				     "b none>running (started); start b 1/102; "
				     "c none>queued (slot_wait); d none>queued (slot_wait); "
				     "e none>queued (slot_wait)" },
			{ "tick", NULL },
			{ "fail b", "end b 1/102 failed (exit_status); "
				    "b running>up_for_retry (retry_wait) @10" },
			{ "tick", "c queued>running (started); start c 1/103" },
			/* The retry is due, but it is behind those who waited longer. */
			{ "+10", "b up_for_retry>queued (slot_wait)" }, { "wake never", NULL },
			{ "ok a",
				"end a 1/101 success (succeeded); a running>success (succeeded)" },
			{ "ok c",
				"end c 1/103 success (succeeded); c running>success (succeeded)" },
			{ "tick", "d queued>running (started); start d 1/104; "
				  "e queued>running (started); start e 1/105" },
			{ "ok e",
				"end e 1/105 success (succeeded); e running>success (succeeded)" },
			{ "tick", "b queued>running (started); start b 2/106" } } },
	{ .name = "tokens run out, and come again",
		.dag = "a;b;c",
		.steps = { { "tokens 500 501", NULL },
			{ "tick", "a none>running (started); start a 1/500; "
				  "b none>queued (slot_wait); c none>queued (slot_wait)" },
			{ "tick", NULL }, { "tokens 600 602", NULL },
			{ "tick", "b queued>running (started); start b 1/600; "
				  "c queued>running (started); start c 1/601" } } },
	{ .name = "every state, restored",
		.dag = "a;b;c;d;e;f;g;h;i;j;k",
		.run = RUN_RUNNING,
		.init = "b=scheduled c=queued:1 d=running:2#55 e=deferred f=up_for_retry:1@20 "
			"g=held "
			"h=success:1 i=failed:2 j=skipped k=cancelled",
		.added = "i failed>none (rerun_failed); k cancelled>none (rerun_failed)",
		.steps = { { "wake 20", NULL },
			{ "tick", "a none>running (started); start a 1/101; "
				  "b scheduled>running (started); start b 1/102; "
				  "c queued>running (started); start c 2/103; "
				  "e deferred>running (started); start e 1/104; "
				  "g held>running (started); start g 1/105; "
				  "i none>running (started); start i 3/106; "
				  "k none>running (started); start k 1/107" },
			{ "end 56", NULL },
			{ "ok d", "end d 2/55 success (succeeded); d running>success (succeeded)" },
			{ "+20", "f up_for_retry>running (started); start f 2/108" } } },
	{ .name = "a retry that came due while nobody was there",
		.dag = "a",
		.run = RUN_RUNNING,
		.init = "a=up_for_retry:1@-500",
		.added = "",
		.steps = { { "wake -500", NULL },
			{ "tick", "a up_for_retry>running (started); start a 2/101" } } },
	{ .name = "paused and cancelled in the queue: it stays cancelled",
		.dag = "a",
		.steps = { { "tokens 1 1", NULL }, { "pause", NULL },
			{ "cancel", "cancel; a none>cancelled (cancelled); run running>cancelled "
				    "(cancelled)" },
			{ "tick", NULL } },
		.end = "cancelled" },
	{ .name = "what is in flight is settled, and the run is as it was",
		.dag = "a;b a",
		.run = RUN_RUNNING,
		.init = "a=running:1#55- b=none-",
		.settling = true,
		.added = "",
		.steps = { { "ok a",
			"end a 1/55 success (succeeded); a running>success (succeeded)" } } },
	{ .name = "all was done: nothing is done again",
		.dag = "a;b a",
		.run = RUN_SUCCESS,
		.init = "a=success:1 b=success:1",
		.added = "",
		.steps = { { "idle", NULL }, { "tick", NULL } },
		.end = "success" },
	{ .name = "all was skipped, and stays so",
		.dag = "a;b a",
		.run = RUN_SUCCESS,
		.init = "a=skipped:1 b=skipped",
		.added = "",
		.steps = { { "tick", NULL } },
		.end = "success" },
	{ .name = "the run's own end was not written: it is now",
		.dag = "a",
		.run = RUN_RUNNING,
		.init = "a=success:1",
		.added = "run running>success (all_done)",
		.end = "success" },
	{ .name = "again after a failure: only what failed, and what hangs on it",
		.dag = "a;b a;c b;d",
		.run = RUN_FAILED,
		.retries = 0,
		.init = "a=success:1 b=failed:3 c=upstream_failed d=success:1",
		.added = "b failed>none (rerun_failed); c upstream_failed>none (rerun_failed); "
			 "run failed>running (started)",
		.steps = { { "tick", "b none>running (started); start b 4/101" },
			{ "ok b",
				"end b 4/101 success (succeeded); b running>success (succeeded)" },
			{ "tick", "c none>running (started); start c 1/102" },
			{ "ok c", "end c 1/102 success (succeeded); c running>success (succeeded); "
				  "run running>success (all_done)" } },
		.end = "success" },
	{ .name = "again, and the retries are the task's anew",
		.dag = "a",
		.run = RUN_FAILED,
		.retries = 1,
		.init = "a=failed:2",
		.added = "a failed>none (rerun_failed); run failed>running (started)",
		.steps = { { "tick", "a none>running (started); start a 3/101" },
			{ "fail a", "end a 3/101 failed (exit_status); "
				    "a running>up_for_retry (retry_wait) @10" } } },
	{ .name = "--force: everything again",
		.dag = "a;b a",
		.run = RUN_SUCCESS,
		.init = "a=success:1! b=success:1!",
		.added = "a success>none (cleared); b success>none (cleared); "
			 "run success>running (started)",
		.steps = { { "tick", "a none>running (started); start a 2/101" },
			{ "ok a",
				"end a 2/101 success (succeeded); a running>success (succeeded)" },
			{ "tick", "b none>running (started); start b 2/102" } } },
	{ .name = "--force: a waiting retry begins anew",
		.dag = "a;b a",
		.run = RUN_RUNNING,
		.init = "a=up_for_retry:1@500! b=none!",
		.added = "a up_for_retry>none (cleared)",
		.steps = { { "tick", "a none>running (started); start a 2/101" } } },
	{ .name = "--from b: a is kept",
		.dag = "a;b a;c b;d a",
		.run = RUN_SUCCESS,
		.init = "a=success:1 b=success:1! c=success:2! d=success:1",
		.added = "b success>none (cleared); c success>none (cleared); "
			 "run success>running (started)",
		.steps = { { "tick", "b none>running (started); start b 2/101" },
			{ "fail b", "end b 2/101 failed (exit_status); "
				    "b running>failed (retries_spent); "
				    "c none>upstream_failed (upstream_failed); "
				    "run running>failed (some_failed)" } },
		.end = "failed" },
	{ .name = "--only b, of a new run: its needs do not count, the rest is left",
		.dag = "a;b a;c b",
		.init = "a=none- b=none! c=none-",
		.ignore_needs = true,
		.steps = { { "tick", "b none>running (started); start b 1/101" },
			{ "ok b", "end b 1/101 success (succeeded); b running>success (succeeded); "
				  "run running>queued (partial)" },
			{ "idle", NULL }, { "tick", NULL } },
		.end = "queued" },
	{ .name = "--only b and c: the needs among them do count",
		.dag = "a;b a;c a b",
		.init = "a=failed:1- b=none! c=none!",
		.run = RUN_FAILED,
		.ignore_needs = true,
		.added = "run failed>running (started)",
		.steps = { { "tick", "b none>running (started); start b 1/101" },
			{ "ok b",
				"end b 1/101 success (succeeded); b running>success (succeeded)" },
			{ "tick", "c none>running (started); start c 1/102" },
			/* What had failed before still has. */
			{ "ok c", "end c 1/102 success (succeeded); c running>success (succeeded); "
				  "run running>failed (some_failed)" } },
		.end = "failed" },
	{ .name = "--only of what is done already, and not cleared: nothing",
		.dag = "a;b a",
		.run = RUN_QUEUED,
		.init = "a=success:1 b=none-",
		.ignore_needs = true,
		.added = "",
		.steps = { { "idle", NULL }, { "tick", NULL } },
		.end = "queued" },
	{ .name = "a task that was in flight, though not selected: it is seen to its end",
		.dag = "a;b",
		.run = RUN_RUNNING,
		.init = "a=running:1#55- b=none!",
		.ignore_needs = true,
		.added = "",
		.steps = { { "tick", "b none>running (started); start b 1/101" },
			{ "ok b",
				"end b 1/101 success (succeeded); b running>success (succeeded)" },
			{ "busy", NULL },
			{ "ok a", "end a 1/55 success (succeeded); a running>success (succeeded); "
				  "run running>success (all_done)" } },
		.end = "success" },
	{ .name = "queued by --only before a crash, its need still open: it waits for it",
		.dag = "a;b a",
		.run = RUN_RUNNING,
		.init = "b=queued:1",
		.added = "b queued>none (cleared)",
		.steps = { { "tick", "a none>running (started); start a 1/101" },
			{ "ok a",
				"end a 1/101 success (succeeded); a running>success (succeeded)" },
			{ "tick", "b none>running (started); start b 2/102" } } },
	{ .name = "a retry that waited when its need is done again: it waits for it",
		.dag = "a;b a",
		.run = RUN_RUNNING,
		.retries = 2,
		.init = "a=failed:1 b=up_for_retry:1@5",
		.added = "a failed>none (rerun_failed); b up_for_retry>none (cleared)",
		.steps = { { "tick", "a none>running (started); start a 2/101" }, { "+50", NULL },
			{ "fail a", "end a 2/101 failed (exit_status); "
				    "a running>up_for_retry (retry_wait) @60" },
			{ "+10", "a up_for_retry>running (started); start a 3/102" } } },
	{ .name = "a need was skipped before: so is what waits for it",
		.dag = "a;b a;c b;d",
		.run = RUN_RUNNING,
		.init = "a=skipped:1",
		.added = "b none>skipped (upstream_skipped); c none>skipped (upstream_skipped)",
		.steps = { { "tick", "d none>running (started); start d 1/101" } } },
	{ .name = "nothing but tasks to be skipped: the run is done when it is taken in",
		.dag = "a;b a",
		.run = RUN_RUNNING,
		.init = "a=skipped:1",
		.added = "b none>skipped (upstream_skipped); run running>success (all_done)",
		.end = "success" },
};

static void world_init(struct world *w, const struct story *st)
{
	const struct sched_config config = { .max_running = st->jobs ? st->jobs : 8, .seed = 1 };

	*w = (struct world){
		.s = sched_new(&config), .dag = make_dag(st->dag), .now_us = START_US
	};
	buf_init(&w->text, 1 << 16);
	assert_non_null(w->s);
	for (int i = 0; i < w->dag->ntasks; i++) {
		w->dag->tasks[i].retry.retries = st->retries;
		w->dag->tasks[i].retry.lost_retries = st->lost_retries;
	}
	sched_set_tokens(w->s, TOKEN, TOKEN + 1000);
}

static void world_release(struct world *w)
{
	sched_free(w->s);
	dag_unref(w->dag);
	buf_release(&w->text);
}

static void compare(const struct story *st, const char *step, const char *got, const char *want)
{
	if (strcmp(got, want ? want : "") != 0)
		fail_msg("%s: %s\n  got:  %s\n  want: %s", st->name, step, got, want ? want : "");
}

static void tell(const struct story *st)
{
	struct task_init init[TASKS_MAX];
	struct world w;

	world_init(&w, st);
	for (int i = 0; i < TASKS_MAX; i++)
		init[i] = (struct task_init){ .selected = true };
	if (st->init)
		parse_init(&w, st->init, init);
	const struct run_init run = { .run_id = RUN_ID,
		.dag = w.dag,
		.state = st->run,
		.tasks = st->init ? init : NULL,
		.ignore_needs = st->ignore_needs,
		.settling = st->settling };
	assert_int_equal(sched_add_run(w.s, &run, w.now_us, NULL), 0);
	compare(st, "(added)", changes(&w), st->added ? st->added : STARTED);
	for (const struct step *p = st->steps; p->step; p++) {
		do_step(&w, p->step);
		compare(st, p->step, changes(&w), p->changes);
	}
	assert_string_equal(
		run_state_name(sched_run_state(w.s, RUN_ID)), st->end ? st->end : "running");
	world_release(&w);
}

static void test_stories(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof stories / sizeof *stories; i++)
		tell(&stories[i]);
}

/* ---- what a table does not say -------------------------------------------------------- */

static void test_end_is_kept(void **state)
{
	static const struct story st = { .name = "kept", .dag = "a;b", .retries = 1 };
	char error[] = "it broke", outputs[] = "{\"rows\":1}", result[] = "{\"checks\":[]}";
	struct world w;
	size_t n;

	(void)state;
	world_init(&w, &st);
	const struct run_init run = { .run_id = RUN_ID, .dag = w.dag };
	assert_int_equal(sched_add_run(w.s, &run, w.now_us, NULL), 0);
	assert_int_equal(sched_tick(w.s, w.now_us, NULL), 0);
	changes(&w);
	struct attempt_end e = { .token = token_of(&w, "a"),
		.outcome = OUTCOME_FAILED,
		.exit_status = 3,
		.started_us = 11,
		.ended_us = 22,
		.error = error,
		.outputs = outputs,
		.result = result };
	assert_true(sched_attempt_ended(w.s, &e, w.now_us));
	e.token = token_of(&w, "b");
	e.outcome = OUTCOME_SUCCESS;
	e.exit_status = 0;
	assert_true(sched_attempt_ended(w.s, &e, w.now_us));
	/* All of it was copied. */
	memset(error, 'x', sizeof error - 1);
	memset(outputs, 'x', sizeof outputs - 1);
	memset(result, 'x', sizeof result - 1);
	const struct change *c = sched_changes(w.s, &n);
	assert_int_equal(n, 4);
	assert_int_equal(c[0].kind, CHANGE_END);
	assert_int_equal(c[0].attempt.exit_status, 3);
	assert_int_equal(c[0].attempt.started_us, 11);
	assert_int_equal(c[0].attempt.ended_us, 22);
	assert_string_equal(c[0].attempt.error, "it broke");
	assert_string_equal(c[0].attempt.result, "{\"checks\":[]}");
	/* Outputs belong to a success alone. */
	assert_int_equal(c[1].kind, CHANGE_TASK);
	assert_null(c[1].state.outputs);
	assert_int_equal(c[1].state.tries, 1);
	assert_int_equal(c[1].state.failures, 1);
	assert_int_equal(c[1].state.lost, 0);
	assert_string_equal(c[3].state.outputs, "{\"rows\":1}");
	world_release(&w);
}

/* How many ask, and who asks first. */
static size_t asking(struct world *w, int *ret_task)
{
	size_t n;
	const struct sched_question *q = sched_questions(w->s, &n);

	*ret_task = n ? q[0].task : -1;
	return n;
}

/* Asked where it could start; not while it is held, nor when its run is gone. */
static void test_questions(void **state)
{
	static const struct story st = { .name = "questions", .dag = "a;b;c a;d b" };
	static const struct node condition = { .type = NODE_BOOL };
	struct task_view v;
	struct world w;
	int task;

	(void)state;
	world_init(&w, &st);
	for (int i = 1; i < 4; i++)
		w.dag->tasks[i].only_if = &condition;
	const struct run_init run = { .run_id = RUN_ID, .dag = w.dag };
	struct sched_hold hold = { RUN_ID, 1, true, REASON_FROZEN };
	assert_int_equal(sched_add_run(w.s, &run, w.now_us, NULL), 0);
	sched_hold(w.s, &hold);
	assert_int_equal(sched_tick(w.s, w.now_us, NULL), 0);
	assert_int_equal(asking(&w, &task), 0);
	assert_true(sched_task_view(w.s, RUN_ID, 1, &v));
	assert_int_equal(v.state, TASK_HELD);
	hold.on = false;
	sched_hold(w.s, &hold);
	assert_int_equal(sched_tick(w.s, w.now_us, NULL), 0);
	assert_int_equal(asking(&w, &task), 1);
	assert_int_equal(task, 1);
	/* An answer to nobody changes nothing. */
	sched_answer(w.s, RUN_ID, 2, true, w.now_us);
	sched_answer(w.s, RUN_ID + 1, 1, true, w.now_us);
	assert_int_equal(asking(&w, &task), 1);
	sched_answer(w.s, RUN_ID, 1, true, w.now_us);
	assert_int_equal(asking(&w, &task), 0);
	assert_int_equal(sched_tick(w.s, w.now_us, NULL), 0);
	assert_true(sched_task_view(w.s, RUN_ID, 1, &v));
	assert_int_equal(v.state, TASK_RUNNING);
	sched_clear_changes(w.s);
	do_step(&w, "ok a");
	do_step(&w, "ok b");
	assert_int_equal(asking(&w, &task), 2);
	sched_answer(w.s, RUN_ID, 3, false, w.now_us);
	assert_int_equal(asking(&w, &task), 1);
	assert_true(sched_task_view(w.s, RUN_ID, 3, &v));
	assert_int_equal(v.state, TASK_SKIPPED);
	assert_int_equal(v.reason, REASON_CONDITION_FALSE);
	sched_clear_changes(w.s);
	sched_drop_run(w.s, RUN_ID);
	assert_int_equal(asking(&w, &task), 0);
	assert_int_equal(sched_tick(w.s, w.now_us, NULL), 0);
	world_release(&w);
}

static void test_views(void **state)
{
	static const struct story st = { .name = "views", .dag = "a;b;c a b", .retries = 2 };
	struct task_view v;
	struct world w;
	int64_t run_id;
	int task;

	(void)state;
	world_init(&w, &st);
	const struct run_init run = { .run_id = RUN_ID, .dag = w.dag };
	assert_int_equal(sched_add_run(w.s, &run, w.now_us, NULL), 0);
	assert_int_equal(sched_running(w.s), 0);
	assert_int_equal(sched_tokens_left(w.s), 1000);
	assert_int_equal(sched_tick(w.s, w.now_us, NULL), 0);
	assert_int_equal(sched_running(w.s), 2);
	assert_int_equal(sched_tokens_left(w.s), 998);
	assert_true(sched_task_view(w.s, RUN_ID, 2, &v));
	assert_int_equal(v.state, TASK_NONE);
	assert_int_equal(v.waiting, 2);
	assert_true(sched_flight(w.s, TOKEN + 1, &run_id, &task));
	assert_int_equal(run_id, RUN_ID);
	assert_int_equal(task, 1);
	do_step(&w, "ok a");
	assert_false(sched_flight(w.s, TOKEN, &run_id, &task));
	assert_true(sched_task_view(w.s, RUN_ID, 2, &v));
	assert_int_equal(v.waiting, 1);
	do_step(&w, "fail b");
	assert_true(sched_task_view(w.s, RUN_ID, 1, &v));
	assert_int_equal(v.state, TASK_UP_FOR_RETRY);
	assert_int_equal(v.reason, REASON_RETRY_WAIT);
	assert_int_equal(v.failures, 1);
	assert_int_equal(v.due_us, w.now_us + 10 * US_PER_SECOND);
	assert_false(sched_task_view(w.s, RUN_ID, 3, &v));
	assert_false(sched_task_view(w.s, RUN_ID, -1, &v));
	assert_false(sched_task_view(w.s, RUN_ID + 1, 0, &v));
	assert_true(sched_run_idle(w.s, RUN_ID + 1));
	world_release(&w);
}

/* ---- several runs --------------------------------------------------------------------- */

static void add_run(struct world *w, int64_t id)
{
	const struct run_init run = { .run_id = id, .dag = w->dag };

	assert_int_equal(sched_add_run(w->s, &run, w->now_us, NULL), 0);
}

/* "7a 8b": the attempts started since the last call. */
static const char *starts(struct world *w)
{
	size_t n;
	const struct change *c = sched_changes(w->s, &n);

	buf_truncate(&w->text, 0);
	for (size_t i = 0; i < n; i++)
		if (c[i].kind == CHANGE_START)
			buf_addf(&w->text, "%s%lld%s", w->text.len ? " " : "",
				(long long)c[i].run_id, c[i].task);
	sched_clear_changes(w->s);
	return w->text.len ? w->text.data : "";
}

static void end_token(struct world *w, int64_t token, enum outcome outcome)
{
	const struct attempt_end e = { .token = token, .outcome = outcome, .exit_status = 1 };

	assert_true(sched_attempt_ended(w->s, &e, w->now_us));
	assert_int_equal(sched_tick(w->s, w->now_us, NULL), 0);
}

static void test_runs_share_slots(void **state)
{
	static const struct story st = { .name = "share", .dag = "a;b;c", .jobs = 2 };
	struct world w;

	(void)state;
	world_init(&w, &st);
	add_run(&w, 7);
	add_run(&w, 8);
	assert_int_equal(sched_tick(w.s, w.now_us, NULL), 0);
	assert_string_equal(starts(&w), "7a 7b");
	add_run(&w, 9);
	assert_int_equal(
		sched_add_run(w.s, &(struct run_init){ .run_id = 8, .dag = w.dag }, 0, NULL),
		-1); /* it is here already */
	end_token(&w, TOKEN, OUTCOME_SUCCESS);
	assert_string_equal(starts(&w), "7c");
	end_token(&w, TOKEN + 1, OUTCOME_SUCCESS);
	assert_string_equal(starts(&w), "8a");
	/* Its waiting tasks are forgotten with the run, and its slot is free. */
	sched_drop_run(w.s, 8);
	assert_int_equal(sched_running(w.s), 1);
	assert_int_equal(sched_tick(w.s, w.now_us, NULL), 0);
	assert_string_equal(starts(&w), "9a");
	assert_false(sched_attempt_ended(w.s,
		&(struct attempt_end){ .token = TOKEN + 3, .outcome = OUTCOME_SUCCESS }, w.now_us));
	end_token(&w, TOKEN + 2, OUTCOME_SUCCESS);
	assert_string_equal(starts(&w), "9b");
	assert_int_equal(sched_run_state(w.s, 7), RUN_SUCCESS);
	assert_int_equal(sched_run_state(w.s, 9), RUN_RUNNING);
	sched_drop_run(w.s, 8);
	world_release(&w);
}

/* What was said of a run that is no longer ours is taken back; the others' words stand. */
static void test_forget(void **state)
{
	static const struct story st = { .name = "forget", .dag = "a;b" };
	struct world w;
	size_t n;

	(void)state;
	world_init(&w, &st);
	add_run(&w, 7);
	add_run(&w, 8);
	assert_int_equal(sched_tick(w.s, w.now_us, NULL), 0);
	sched_forget_changes(w.s, 7);
	sched_drop_run(w.s, 7);
	assert_int_equal(sched_running(w.s), 2);
	const struct change *c = sched_changes(w.s, &n);
	assert_int_equal(n, 1 + 2 * 2);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(c[i].run_id, 8);
	assert_string_equal(starts(&w), "8a 8b");
	world_release(&w);
}

/* A timer of a run that is gone does not reach the one that took its place. */
static void test_dropped_timer(void **state)
{
	static const struct story st = { .name = "timer", .dag = "a", .retries = 2 };
	struct task_view v;
	struct world w;

	(void)state;
	world_init(&w, &st);
	add_run(&w, 7);
	assert_int_equal(sched_tick(w.s, w.now_us, NULL), 0);
	end_token(&w, TOKEN, OUTCOME_FAILED); /* due in 10 s */
	sched_drop_run(w.s, 7);
	w.now_us += 5 * US_PER_SECOND;
	add_run(&w, 8);
	assert_int_equal(sched_tick(w.s, w.now_us, NULL), 0);
	end_token(&w, TOKEN + 1, OUTCOME_FAILED); /* due 5 s after the other */
	starts(&w);
	w.now_us += 5 * US_PER_SECOND;
	assert_int_equal(sched_tick(w.s, w.now_us, NULL), 0);
	assert_string_equal(starts(&w), "");
	assert_true(sched_task_view(w.s, 8, 0, &v));
	assert_int_equal(v.state, TASK_UP_FOR_RETRY);
	assert_int_equal(sched_wake_us(w.s), w.now_us + 5 * US_PER_SECOND);
	w.now_us += 5 * US_PER_SECOND;
	assert_int_equal(sched_tick(w.s, w.now_us, NULL), 0);
	assert_string_equal(starts(&w), "8a");
	world_release(&w);
}

/* An attempt whose task is no longer in the DAG is told of as any other; the run is not touched. */
static void test_orphan(void **state)
{
	static const struct story st = { .name = "orphan", .dag = "a" };
	const struct sched_orphan o = { 7, "gone", "hash", -1, 3, 2, 1 };
	const struct attempt_end e = { .token = 55, .outcome = OUTCOME_LOST, .error = "why" };
	struct task_view v;
	struct world w;
	size_t n;

	(void)state;
	world_init(&w, &st);
	add_run(&w, 7);
	sched_clear_changes(w.s);
	sched_orphan_ended(
		w.s, &(struct sched_orphan){ .run_id = 8, .task = "gone" }, &e, w.now_us);
	sched_changes(w.s, &n);
	assert_int_equal(n, 0);
	sched_orphan_ended(w.s, &o, &e, w.now_us);
	const struct change *c = sched_changes(w.s, &n);
	assert_int_equal(n, 2);
	assert_int_equal(c[0].kind, CHANGE_END);
	assert_string_equal(c[0].task, "gone");
	assert_int_equal(c[0].attempt.token, 55);
	assert_int_equal(c[0].attempt.try, 3);
	assert_int_equal(c[0].attempt.outcome, OUTCOME_LOST);
	assert_string_equal(c[0].attempt.error, "why");
	assert_int_equal(c[1].kind, CHANGE_TASK);
	assert_int_equal(c[1].task_index, -1);
	assert_int_equal(c[1].state.from, TASK_RUNNING);
	assert_int_equal(c[1].state.to, TASK_CANCELLED);
	assert_int_equal(c[1].state.tries, 3);
	assert_int_equal(c[1].state.failures, 2);
	assert_int_equal(c[1].state.lost, 1);
	assert_string_equal(c[1].state.hash, "hash");
	assert_true(sched_task_view(w.s, 7, 0, &v));
	assert_int_equal(v.state, TASK_NONE);
	sched_clear_changes(w.s);
	world_release(&w);
}

/* A run that is let go and taken in anew without a task: the task's old timer is nothing. */
static void test_timer_of_unselected(void **state)
{
	static const struct story st = { .name = "timer", .dag = "a;b", .lost_retries = 2 };
	struct task_init init[TASKS_MAX] = { { .state = TASK_UP_FOR_RETRY, .tries = 1, .lost = 1 },
		{ .selected = true } };
	struct world w;

	(void)state;
	world_init(&w, &st);
	add_run(&w, 7);
	assert_int_equal(sched_tick(w.s, w.now_us, NULL), 0);
	const struct attempt_end e = { .token = TOKEN, .outcome = OUTCOME_LOST };
	assert_true(sched_attempt_ended(w.s, &e, w.now_us)); /* due at once */
	sched_clear_changes(w.s);
	sched_drop_run(w.s, 7);
	init[0].due_us = w.now_us;
	const struct run_init run = {
		.run_id = 7, .dag = w.dag, .state = RUN_RUNNING, .tasks = init, .ignore_needs = true
	};
	assert_int_equal(sched_add_run(w.s, &run, w.now_us, NULL), 0);
	assert_int_equal(sched_tick(w.s, w.now_us, NULL), 0);
	assert_string_equal(starts(&w), "7b");
	world_release(&w);
}

/* ---- size ----------------------------------------------------------------------------- */

enum { MANY = 100000 };

static struct dag *make_long(int count, bool chain)
{
	struct dag *dag = dag_new();
	int *needs = arena_array(&dag->arena, MANY, sizeof *needs);
	static int cycle[MANY + 1];
	int len;

	dag->ntasks = count;
	dag->tasks = arena_array(&dag->arena, MANY, sizeof *dag->tasks);
	for (int i = 0; i < count; i++) {
		dag->tasks[i].name = arena_printf(&dag->arena, "t%d", i);
		dag->tasks[i].index = i;
		dag->tasks[i].needs = &needs[i];
		dag->tasks[i].nneeds = chain && i;
		needs[i] = i - 1;
	}
	assert_int_equal(dag_seal(dag, cycle, &len, NULL), 0);
	return dag;
}

/* The failure of a chain's head, and the cancelling of very many tasks: no recursion, and a cost
 * that follows what changes (a square one would take minutes). */
static void test_many(void **state)
{
	const struct sched_config config = { .max_running = 1, .seed = 1 };
	struct sched *s = sched_new(&config);
	struct dag *chain = make_long(MANY, true), *wide = make_long(MANY, false);
	size_t n;

	(void)state;
	sched_set_tokens(s, 1, 10);
	assert_int_equal(
		sched_add_run(s, &(struct run_init){ .run_id = 1, .dag = chain }, 5, NULL), 0);
	assert_int_equal(sched_tick(s, 5, NULL), 0);
	const struct attempt_end e = { .token = 1, .outcome = OUTCOME_FAILED, .exit_status = 1 };
	assert_true(sched_attempt_ended(s, &e, 6));
	assert_int_equal(sched_run_state(s, 1), RUN_FAILED);
	sched_changes(s, &n);
	/* run; running, start; end, failed; the others; run */
	assert_int_equal(n, 1 + 2 + 2 + (MANY - 1) + 1);
	sched_clear_changes(s);
	sched_drop_run(s, 1);
	assert_int_equal(
		sched_add_run(s, &(struct run_init){ .run_id = 2, .dag = chain }, 5, NULL), 0);
	assert_int_equal(
		sched_add_run(s, &(struct run_init){ .run_id = 3, .dag = wide }, 5, NULL), 0);
	sched_clear_changes(s);
	sched_cancel_run(s, 2, false, 7);
	sched_cancel_run(s, 3, false, 7);
	sched_changes(s, &n);
	assert_int_equal(n, 2 * (MANY + 2));
	assert_int_equal(sched_run_state(s, 2), RUN_CANCELLED);
	assert_int_equal(sched_run_state(s, 3), RUN_CANCELLED);
	assert_int_equal(sched_tick(s, 8, NULL), 0);
	assert_int_equal(sched_running(s), 0);
	sched_free(s);
	dag_unref(chain);
	dag_unref(wide);
}

/* A run that another process had meanwhile: its attempts' tokens came from a later block. */
static void test_tokens_of_others(void **state)
{
	enum { FIRST = 10, LATER = 5000 };
	const struct sched_config config = { .max_running = 4, .seed = 1 };
	struct sched *s = sched_new(&config);
	struct dag *dag = make_long(2, false);
	struct task_init tasks[2] = { { .state = TASK_UP_FOR_RETRY,
					      .tries = 1,
					      .lost = 1,
					      .token = LATER,
					      .selected = true },
		{ .selected = true } };
	const struct run_init run = { .run_id = 1, .dag = dag, .tasks = tasks };
	struct task_view view;

	(void)state;
	sched_set_tokens(s, FIRST, FIRST + 100);
	assert_int_equal(sched_add_run(s, &run, 5, NULL), 0);
	assert_int_equal(sched_tokens_left(s), 0);
	assert_int_equal(sched_tick(s, 5, NULL), 0);
	assert_int_equal(sched_running(s), 0);
	sched_set_tokens(s, LATER + 1, LATER + 100);
	assert_int_equal(sched_tick(s, 6, NULL), 0);
	assert_int_equal(sched_running(s), 2);
	assert_true(sched_task_view(s, 1, 0, &view));
	assert_true(view.token > LATER);
	/* Its own, of the block at hand, are no reason to waste it. */
	sched_drop_run(s, 1);
	tasks[0].token = LATER + 1;
	assert_int_equal(sched_add_run(s, &run, 7, NULL), 0);
	assert_true(sched_tokens_left(s) > 90);
	sched_free(s);
	dag_unref(dag);
}

/* The queue keeps its order when it grows, wherever its head is. */
static void test_queue_grows(void **state)
{
	enum { FIRST = 60, SECOND = 300, HEAD = 17 };
	const struct sched_config config = { .max_running = HEAD, .seed = 1 };
	struct sched *s = sched_new(&config);
	struct dag *dags[2] = { make_long(FIRST, false), make_long(SECOND, false) };
	int64_t token = 1;

	(void)state;
	sched_set_tokens(s, token, 1000);
	for (int k = 0; k < 2; k++) {
		const struct run_init run = { .run_id = k, .dag = dags[k] };
		assert_int_equal(sched_add_run(s, &run, 1, NULL), 0);
		assert_int_equal(sched_tick(s, 1, NULL), 0);
	}
	for (; token <= FIRST + SECOND; token++) {
		int64_t run_id;
		int task;
		assert_true(sched_flight(s, token, &run_id, &task));
		assert_int_equal(run_id, token > FIRST);
		assert_int_equal(task, token > FIRST ? token - FIRST - 1 : token - 1);
		const struct attempt_end e = { .token = token, .outcome = OUTCOME_SUCCESS };
		assert_true(sched_attempt_ended(s, &e, 2));
		assert_int_equal(sched_tick(s, 2, NULL), 0);
		sched_clear_changes(s);
	}
	assert_int_equal(sched_running(s), 0);
	sched_free(s);
	dag_unref(dags[0]);
	dag_unref(dags[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stories),
		cmocka_unit_test(test_end_is_kept),
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_runs_share_slots),
		cmocka_unit_test(test_forget),
		cmocka_unit_test(test_dropped_timer),
		cmocka_unit_test(test_timer_of_unselected),
		cmocka_unit_test(test_orphan),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_tokens_of_others),
		cmocka_unit_test(test_queue_grows),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
