/* The engine with mapped tasks: killed in the middle of one, carried on with another version. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <event2/event.h>
#include <poll.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "core/model.h"
#include "core/request.h"
#include "run/engine.h"
#include "tests/lib/engine_world.h"

enum { FETCH, SUM, NTASKS };

#define DAG(run)                                                        \
	"dag: m\n"                                                      \
	"tasks:\n"                                                      \
	"  fetch:\n"                                                    \
	"    foreach: [a, b, c, d, e, f]\n"                             \
	"    run: '" run "'\n"                                          \
	"  sum:\n"                                                      \
	"    needs: [fetch]\n"                                          \
	"    run: 'echo {{ tasks.fetch.outputs.rows | join(\"-\") }} >" \
	"$WEIR_HOME/sum'\n"

#define WAITING                                                                         \
	"echo $WEIR_ITEM {{ item }} $WEIR_MAP_INDEX >>started; while test ! -e go; do " \
	"sleep 0.01; done; echo rows={{ task.map_index }}{{ item }} >$WEIR_OUTPUT"

static size_t count_lines(const struct world *w, const char *name)
{
	struct buf text;
	size_t n = 0;

	buf_init(&text, 1 << 16);
	io_read_file(world_path(w, name), &text, NULL);
	for (size_t i = 0; i < text.len; i++)
		n += text.data[i] == '\n';
	buf_release(&text);
	return n;
}

static void expect_text(const struct world *w, const char *name, const char *want)
{
	struct buf text;

	buf_init(&text, 1 << 16);
	assert_int_equal(io_read_file(world_path(w, name), &text, NULL), 0);
	assert_string_equal(text.data, want);
	buf_release(&text);
}

static void await_lines(const struct world *w, const char *name, size_t n)
{
	while (count_lines(w, name) < n)
		poll(NULL, 0, 1);
}

static void await_idle(struct world *w)
{
	while (w->nidle == 0)
		event_base_loop(w->e.base, EVLOOP_ONCE);
}

static struct active_run *begin(struct world *w, struct dag *dag)
{
	struct run_init init = { 0 };
	struct active_run *r = world_take(w, dag);

	assert_int_equal(engine_start(&w->e, r, &init, &w->err), 0);
	engine_step(&w->e);
	return r;
}

/* Killed; the next engine has the run in hand. */
static struct active_run *crash(struct world *w, struct dag *dag)
{
	struct task_init tasks[NTASKS] = { { .selected = true }, { .selected = true } };
	struct run_init init = { .resume = true };

	engine_crash(&w->e);
	assert_int_equal(world_begin(w), 0);
	struct active_run *r = world_take(w, dag);
	if (engine_resume(&w->e, r, &init, tasks, &w->err) < 0)
		fail_msg("%s", w->err.msg);
	return r;
}

static struct task_row row_of(struct world *w, int64_t run_id, const char *task, int map_index)
{
	struct store_result rows = { 0 };
	struct task_row found = { 0 };

	assert_int_equal(store_tasks(w->e.store, run_id, &rows, &w->err), 0);
	for (size_t i = 0; i < rows.n; i++)
		if (strcmp(rows.tasks[i].name, task) == 0 && rows.tasks[i].map_index == map_index)
			found = rows.tasks[i];
	store_result_release(&rows);
	return found;
}

/* The same list; those in flight go on, and nothing is done twice. */
static void test_adopts(void **state)
{
	struct world *w = *state;
	struct dag *dag = world_dag(w, "m", DAG(WAITING));
	struct active_run *r = begin(w, dag);

	await_lines(w, "started", 4);
	r = crash(w, dag);
	int64_t id = r->id;
	assert_int_equal(sched_running(w->e.sched), 4);
	engine_step(&w->e);
	assert_int_equal(io_write_file(world_path(w, "go"), "", 0, NULL), 0);
	await_idle(w);
	assert_int_equal(row_of(w, id, "fetch", -1).reason, REASON_INSTANCES_DONE);
	assert_int_equal(count_lines(w, "started"), 6);
	for (int i = 0; i < 6; i++)
		assert_int_equal(row_of(w, id, "fetch", i).tries, 1);
	expect_text(w, "sum", "0a-1b-2c-3d-4e-5f\n");
	former_tidy(&w->e, false);
	engine_release(&w->e);
	dag_unref(dag);
}

/* What had ended before the crash is in the outputs, too; the rest is begun by the next engine. */
static void test_outputs_survive(void **state)
{
	struct world *w = *state;
	struct dag *dag = world_dag(w, "m",
		DAG("test {{ task.map_index }} -lt 2 || while test ! -e go; do sleep 0.01; done; "
		    "echo rows={{ item }} >$WEIR_OUTPUT; echo >>ended"));
	struct active_run *r = begin(w, dag);
	int64_t id = r->id;

	while (row_of(w, id, "fetch", 1).state != TASK_SUCCESS)
		event_base_loop(w->e.base, EVLOOP_ONCE);
	r = crash(w, dag);
	assert_int_equal(
		json_array_size(json_object_get(json_object_get(r->job.outputs, "fetch"), "rows")),
		6);
	engine_step(&w->e);
	assert_int_equal(io_write_file(world_path(w, "go"), "", 0, NULL), 0);
	await_idle(w);
	expect_text(w, "sum", "a-b-c-d-e-f\n");
	assert_int_equal(count_lines(w, "ended"), 6);
	former_tidy(&w->e, false);
	engine_release(&w->e);
	dag_unref(dag);
}

/* Cleared, and killed before there is a new list: the tries of its instances go on. */
static void test_killed_without_list(void **state)
{
	struct world *w = *state;
	struct dag *dag = world_dag(w, "m", DAG("echo >>ended; test {{ item }} != b"));
	struct active_run *r = begin(w, dag);
	const int tasks[] = { FETCH };
	int64_t id = r->id;

	await_idle(w);
	assert_int_equal(row_of(w, id, "fetch", -1).reason, REASON_INSTANCES_FAILED);
	r = crash(w, dag);
	const struct request q = { .verb = REQUEST_CLEAR, .tasks = tasks, .ntasks = 1 };
	const struct sched_hold hold = { .run_id = id, .task = -1, .on = true };
	sched_hold(w->e.sched, &hold);
	assert_int_equal(sched_request(w->e.sched, id, &q, 0, &w->err), 0);
	engine_step(&w->e);
	assert_int_equal(row_of(w, id, "fetch", 1).state, TASK_NONE);
	w->nidle = 0;
	crash(w, dag);
	engine_step(&w->e);
	await_idle(w);
	assert_int_equal(count_lines(w, "ended"), 12);
	assert_int_equal(row_of(w, id, "fetch", 0).tries, 2);
	former_tidy(&w->e, false);
	engine_release(&w->e);
	dag_unref(dag);
}

/* The next version of the DAG does not map it any more: instances in flight are nobody's. */
static void test_mapped_no_more(void **state)
{
	struct world *w = *state;
	struct dag *dag = world_dag(w, "m", DAG(WAITING));
	struct active_run *r = begin(w, dag);
	int64_t id = r->id;

	await_lines(w, "started", 4);
	struct dag *next = world_dag(w, "m",
		"dag: m\ntasks:\n  fetch:\n    run: 'echo rows=all >$WEIR_OUTPUT'\n"
		"  sum:\n    needs: [fetch]\n"
		"    run: 'echo {{ tasks.fetch.outputs.rows }} >$WEIR_HOME/sum'\n");
	crash(w, next);
	assert_int_equal(row_of(w, id, "fetch", 0).state, TASK_CANCELLED);
	assert_int_equal(io_write_file(world_path(w, "go"), "", 0, NULL), 0);
	engine_step(&w->e);
	await_idle(w);
	assert_int_equal(row_of(w, id, "fetch", -1).reason, REASON_SUCCEEDED);
	expect_text(w, "sum", "all\n");
	former_tidy(&w->e, false);
	engine_release(&w->e);
	dag_unref(dag);
	dag_unref(next);
}

/* The checks of each are its own. */
static void test_not_a_list(void **state)
{
	struct world *w = *state;
	struct dag *dag = world_dag(w, "m",
		"dag: m\ntasks:\n  list:\n    run: 'echo n=3 >$WEIR_OUTPUT'\n"
		"  fetch:\n    needs: [list]\n    foreach: \"{{ tasks.list.outputs.n }}\"\n"
		"    run: 'true'\n");
	struct active_run *r = begin(w, dag);
	int64_t id = r->id;
	struct store_result events = { 0 };
	const char *detail = NULL;

	await_idle(w);
	assert_int_equal(row_of(w, id, "fetch", -1).reason, REASON_LIST_FAILED);
	assert_int_equal(row_of(w, id, "fetch", -1).state, TASK_FAILED);
	assert_int_equal(store_events(w->e.store, id, "fetch", &events, &w->err), 0);
	for (size_t i = 0; i < events.n; i++)
		if (strcmp(events.events[i].reason, "list_failed") == 0)
			detail = events.events[i].detail;
	assert_non_null(detail);
	assert_non_null(strstr(detail, "list"));
	store_result_release(&events);
	engine_release(&w->e);
	dag_unref(dag);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_adopts, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_outputs_survive, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(
			test_killed_without_list, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_mapped_no_more, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_not_a_list, world_setup, world_teardown),
	};

	alarm(60); /* a hang fails */
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
