/* Looks of tasks that wait: what is there, what is not yet, what cannot be known. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/err.h"
#include "base/io.h"
#include "base/units.h"
#include "conf/dagfile.h"
#include "conf/diag.h"
#include "core/model.h"
#include "core/zone.h"
#include "run/control.h"
#include "run/control_wait.h"
#include "run/job.h"
#include "store/store.h"
#include "tests/lib/dagops.h"

#define END_US INT64_C(1795132800000000) /* 2026-11-20T00:00:00Z */

static char dir[] = "/tmp/weir-wait-XXXXXX";
static char path[64];

struct world {
	struct dag *dag;
	struct store *store;
	struct job_context c;
	struct job_attempt a;
	struct control_look look;
	struct control_found found;
	struct err err;
};

static void open_run(struct world *w)
{
	static const char *const tasks[] = { "w" };
	struct run_open o = { .key = { "d", w->c.interval_start_us, END_US },
		.name = "d@2026-11-19",
		.long_name = "d@2026-11-19",
		.version = "v",
		.tasks = tasks,
		.ntasks = 1,
		.lease_until_us = 2,
		.now_us = 1 };
	struct store_lease lease;
	bool created;

	assert_int_equal(owner_self(&o.owner, &w->err), 0);
	assert_int_equal(
		store_run_open(w->store, &o, &lease.run_id, &lease.epoch, &created, &w->err), 0);
	struct change c = { .kind = CHANGE_TASK,
		.run_id = lease.run_id,
		.task = "w",
		.map_index = -1,
		.state = { .to = TASK_AWAITING_INPUT } };
	const struct store_batch b = {
		.leases = &lease, .nleases = 1, .changes = &c, .nchanges = 1
	};
	assert_int_equal(store_commit(w->store, &b, &w->err), 0);
	w->look.run_id = lease.run_id;
}

/* A task w; `with` is "approval: ..." or of a wait. */
static void world_init(struct world *w, const char *control, const char *with)
{
	const struct dagfile_env env = { .operators = &dagops_known };
	struct diags diags;
	char text[2048];

	snprintf(text, sizeof text,
		"dag: d\nparams: { at: soon }\ntasks:\n  w: { control: %s, with: { %s } }\n",
		control, with);
	assert_int_equal(io_write_file(path, text, strlen(text), NULL), 0);
	diags_init(&diags);
	*w = (struct world){ .dag = dagfile_load(path, &env, &diags) };
	if (!w->dag)
		fail_msg("%s\n%s", text, diags.list[0].message);
	diags_release(&diags);
	w->c = (struct job_context){ .dag = w->dag,
		.home = "/home/weir",
		.run = "d@2026-11-19",
		.ds = "2026-11-19",
		.interval_start_us = END_US - 86400 * US_PER_SECOND,
		.interval_end_us = END_US,
		.zone = zone_utc(),
		.params = json_pack("{s:s}", "at", "soon"),
		.outputs = json_object() };
	w->a = (struct job_attempt){
		.task = dag_find(w->dag, "w"), .try = 1, .token = 5, .now_us = END_US
	};
	assert_int_equal(store_open_memory(&w->store, &w->err), 0);
	w->look = (struct control_look){ .job = &w->c, .attempt = &w->a, .store = w->store };
	assert_true(w->a.task->waits);
	open_run(w);
}

static void world_release(struct world *w)
{
	control_found_release(&w->found);
	dag_unref(w->dag);
	json_decref(w->c.params);
	json_decref(w->c.outputs);
	store_close(w->store);
}

static int look(struct world *w)
{
	control_found_release(&w->found);
	err_clear(&w->err);
	return control_wait_look(&w->look, &w->found, &w->err);
}

static void outputs_are(const struct world *w, const char *want)
{
	char *got = json_dumps(w->found.outputs, JSON_COMPACT | JSON_SORT_KEYS);

	assert_string_equal(got, want);
	free(got);
}

static void write_at(const char *name, const char *text, int64_t at_us)
{
	char file[100];
	const struct timespec times[2] = { { .tv_sec = at_us / US_PER_SECOND },
		{ .tv_sec = at_us / US_PER_SECOND } };

	snprintf(file, sizeof file, "%s/%s", dir, name);
	assert_int_equal(io_write_file(file, text, strlen(text), NULL), 0);
	assert_int_equal(utimensat(AT_FDCWD, file, times, 0), 0);
}

static void test_files(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, "wait", "path: \"in-*\", min_age: 1m, min_size: 3B, timeout: 1h, poll: 10s");
	assert_int_equal(look(&w), 0);
	assert_false(w.found.there);
	assert_string_equal(w.found.what, "the file in-*");
	assert_int_equal(w.found.wait.again_us, END_US + 10 * US_PER_SECOND);
	assert_int_equal(w.found.wait.spread_us, US_PER_SECOND);
	assert_int_equal(w.found.wait.deadline_us, END_US + 3600 * US_PER_SECOND);
	assert_false(w.found.wait.skip);
	write_at("in-a", "abc", END_US - 60 * US_PER_SECOND);
	assert_int_equal(look(&w), 0);
	assert_true(w.found.there);
	/* All must be ripe. */
	write_at("in-b", "ab", END_US - 60 * US_PER_SECOND);
	assert_int_equal(look(&w), 0);
	assert_false(w.found.there);
	write_at("in-b", "abcd", END_US - 59 * US_PER_SECOND);
	assert_int_equal(look(&w), 0);
	assert_false(w.found.there);
	w.a.now_us += US_PER_SECOND;
	assert_int_equal(look(&w), 0);
	assert_true(w.found.there);
	assert_int_equal(json_integer_value(json_object_get(w.found.outputs, "files")), 2);
	assert_int_equal(json_integer_value(json_object_get(w.found.outputs, "bytes")), 7);
	struct control_end end;
	assert_int_equal(control_wait_run(&w.look, &end, &w.err), 0);
	control_end_release(&end);
	/* What went away until the attempt is a reason to wait again. */
	w.a.now_us -= US_PER_MINUTE;
	assert_int_equal(control_wait_run(&w.look, &end, &w.err), -1);
	assert_true(err_info(w.err.code)->transient);
	world_release(&w);
}

static void check_time(const char *time, int64_t want_us)
{
	char with[100];
	struct world w;

	snprintf(with, sizeof with, "time: %s", time);
	world_init(&w, "wait", with);
	w.a.now_us = want_us - 1;
	assert_int_equal(look(&w), 0);
	assert_false(w.found.there);
	assert_int_equal(w.found.wait.again_us, want_us);
	assert_int_equal(w.found.wait.spread_us, 0);
	assert_int_equal(w.found.wait.deadline_us, 0);
	w.a.now_us = want_us;
	assert_int_equal(look(&w), 0);
	assert_true(w.found.there);
	world_release(&w);
}

static void test_times(void **state)
{
	struct world w;

	(void)state;
	check_time("2h", END_US + 7200 * US_PER_SECOND);
	check_time("\"2026-11-20T01:00\"", END_US + 3600 * US_PER_SECOND);
	check_time("\"2026-11-20T01:00:00+01:00\"", END_US);
	world_init(&w, "wait", "time: \"{{ params.at }}\"");
	assert_int_equal(look(&w), -1);
	assert_false(err_info(w.err.code)->transient);
	assert_non_null(strstr(w.err.msg, "time"));
	world_release(&w);
}

static void decide(struct world *w, bool approved, const char *reason)
{
	const struct control_decision d = {
		.approved = approved, .by = "ann", .reason = reason, .values = json_null()
	};
	char *text = control_decision_text(&d);
	const struct approval_put put = { .run_id = w->look.run_id,
		.task = "w",
		.map_index = -1,
		.approved = approved,
		.decision = text,
		.now_us = END_US };

	assert_int_equal(store_decide(w->store, &put, &w->err), 0);
	free(text);
}

static void test_decisions(void **state)
{
	struct control_end end;
	struct world w;

	(void)state;
	world_init(&w, "approval", "prompt: \"ok {{ ds }}?\", timeout: 1h");
	assert_int_equal(look(&w), 0);
	assert_false(w.found.there);
	assert_true(w.found.wait.input);
	assert_string_equal(w.found.what, "ok 2026-11-19?");
	decide(&w, true, NULL);
	/* Asked for the first time, what is there is of a former time. */
	assert_int_equal(look(&w), 0);
	assert_false(w.found.there);
	w.look.asked = true;
	assert_int_equal(look(&w), 0);
	assert_true(w.found.there);
	outputs_are(&w, "{\"by\":\"ann\",\"fields\":null,\"reason\":null}");
	world_release(&w);

	world_init(&w, "approval", "prompt: ok?");
	w.look.asked = true;
	decide(&w, false, "no");
	assert_int_equal(look(&w), -1);
	assert_string_equal(w.err.msg, "rejected by ann: no");
	assert_int_equal(control_wait_run(&w.look, &end, &w.err), -1);
	assert_false(err_info(w.err.code)->transient);
	world_release(&w);

	world_init(&w, "approval", "prompt: ok?, on_reject: skip");
	w.look.asked = true;
	decide(&w, false, "no");
	assert_int_equal(look(&w), 0);
	assert_true(w.found.skip);
	assert_false(w.found.there);
	world_release(&w);
}

static void test_decided_by_time(void **state)
{
	struct store_result r;
	struct world w;

	(void)state;
	world_init(&w, "approval",
		"prompt: ok?, timeout: 1h, default: approve, fields: { n: { type: integer, "
		"default: 7 } }");
	w.look.asked = true;
	w.look.deadline_us = END_US + 1;
	assert_int_equal(look(&w), 0);
	assert_false(w.found.there);
	w.a.now_us++;
	assert_int_equal(look(&w), 0);
	assert_true(w.found.there);
	outputs_are(
		&w, "{\"by\":\"weir\",\"fields\":{\"n\":7},\"reason\":\"nobody decided in time\"}");
	/* It is recorded as if it had been said. */
	assert_int_equal(store_approval(w.store, w.look.run_id, "w", &r, &w.err), 0);
	assert_non_null(r.approvals[0].decision);
	store_result_release(&r);
	world_release(&w);
}

static void set_task(struct world *w, enum task_state from, enum task_state to, int64_t due_us)
{
	struct store_result r;

	assert_int_equal(store_run_find(w->store, "d@2026-11-19", &r, &w->err), 0);
	const struct store_lease lease = { r.runs[0].id, r.runs[0].epoch };
	store_result_release(&r);
	const struct change c = { .kind = CHANGE_TASK,
		.run_id = lease.run_id,
		.task = "w",
		.map_index = -1,
		.state = { .from = from, .to = to, .due_us = due_us } };
	const struct store_batch b = {
		.leases = &lease, .nleases = 1, .changes = &c, .nchanges = 1
	};
	assert_int_equal(store_commit(w->store, &b, &w->err), 0);
}

/* The store has not heard yet that it is asked anew: what it has was said of a former time, and
 * nothing is decided by the time. */
static void test_not_recorded_yet(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, "approval", "prompt: ok?, timeout: 1h, default: approve");
	decide(&w, true, NULL);
	set_task(&w, TASK_AWAITING_INPUT, TASK_RUNNING, 0);
	w.look.asked = w.look.waits = true;
	assert_int_equal(look(&w), -1);
	assert_true(err_info(w.err.code)->transient);
	assert_false(w.found.there);
	w.look.deadline_us = END_US;
	assert_int_equal(look(&w), -1);
	assert_int_equal(w.err.code, ERR_BUSY);
	/* Its attempt does not wait. */
	w.look.waits = false;
	assert_int_equal(look(&w), 0);
	assert_true(w.found.there);
	world_release(&w);
}

/* Another process has the run by now, and asked anew: the time of a former wait decides nothing. */
static void test_asked_anew(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, "approval", "prompt: ok?, timeout: 1h, default: approve");
	set_task(&w, TASK_AWAITING_INPUT, TASK_RUNNING, 0);
	set_task(&w, TASK_RUNNING, TASK_AWAITING_INPUT, END_US + 9);
	w.look.asked = true;
	w.look.deadline_us = END_US;
	assert_int_equal(look(&w), -1);
	assert_int_equal(w.err.code, ERR_BUSY);
	w.a.now_us = w.look.deadline_us = END_US + 9;
	assert_int_equal(look(&w), 0);
	assert_true(w.found.there);
	world_release(&w);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof path, "%s/d.yaml", dir);
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = { "d.yaml", "in-a", "in-b" };
	char file[100];

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(file, sizeof file, "%s/%s", dir, names[i]);
		unlink(file);
	}
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_decisions),
		cmocka_unit_test(test_decided_by_time),
		cmocka_unit_test(test_not_recorded_yet),
		cmocka_unit_test(test_asked_anew),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
