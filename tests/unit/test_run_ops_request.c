/* Requests to runs, as operations: whose run it is, which version it takes, what is recorded and
 * answered. The clock stands at 2026-11-20 12:00 UTC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/clock.h"
#include "base/err.h"
#include "conf/dagfile.h"
#include "conf/diag.h"
#include "core/model.h"
#include "core/sched.h"
#include "run/ops.h"
#include "run/ops_call.h"
#include "store/backend.h"
#include "store/store.h"
#include "tests/lib/dagops.h"

#define CHAIN                                                                     \
	"tasks: { load: { run: 'true' }, check: { needs: [load], run: 'true' }, " \
	"publish: { needs: [check], run: 'true' } }\n"

enum { OLD, NEW, NDAGS };
static const char *const texts[] = { "dag: chain\n" CHAIN,
	"dag: chain\ndescription: newer\n" CHAIN };
static struct dag *dags[NDAGS];

static void load_dags(void)
{
	const struct dagfile_env env = { .operators = &dagops_none };

	for (int i = 0; i < NDAGS; i++) {
		struct diags diags;
		diags_init(&diags);
		dags[i] = dagfile_load_text("chain.yaml", "/tmp", texts[i], &env, &diags);
		diags_release(&diags);
		if (!dags[i])
			exit(99);
	}
}

/* ---- a world --------------------------------------------------------------------------------- */

struct world {
	struct store *store;
	struct ops ops;
	struct err err;
	json_t *got;
	enum err_code newest; /* ERR_NONE: the folder has NEW; else why there is none */
	int ntold, nnoted;
	int64_t run_id, epoch;
	struct owner self;
	/* A run in hand. */
	struct sched *sched;
	int ncarried;
	char carried[128];
	enum err_code refuse_carry;
};

static struct dag *find_dag(void *arg, const char *name, struct err *err)
{
	struct world *w = arg;

	assert_string_equal(name, "chain");
	if (w->newest == ERR_NONE)
		return dag_ref(dags[NEW]);
	err_set(err, w->newest, "it is not as it should be");
	return NULL;
}

static struct dag *load_version(void *arg, const struct run_row *run, struct err *err)
{
	(void)arg;
	for (int i = 0; i < NDAGS; i++)
		if (strcmp(dags[i]->hash, run->version) == 0)
			return dag_ref(dags[i]);
	err_set(err, ERR_INVALID, "that version cannot be loaded");
	return NULL;
}

static void changed(void *arg, enum ops_event what, const char *dag, int64_t id)
{
	struct world *w = arg;

	assert_int_equal(what, OPS_TRIGGERED);
	assert_string_equal(dag, "chain");
	assert_int_equal(id, w->run_id);
	w->ntold++;
}

static void note(void *arg, const struct ops_note *n)
{
	struct world *w = arg;

	assert_string_equal(n->by, "ann@host");
	assert_non_null(n->what);
	w->nnoted++;
}

static int find_in_hand(void *arg, int64_t run_id, struct sched **ret, struct err *err)
{
	struct world *w = arg;

	assert_int_equal(run_id, w->run_id);
	if (!w->sched)
		return 0;
	(void)err;
	*ret = w->sched;
	return 1;
}

static int carry_out(void *arg, const struct audit_row *a, struct err *err)
{
	struct world *w = arg;

	snprintf(w->carried, sizeof w->carried, "%s %s: %s", a->what, a->run,
		a->detail ? a->detail : "");
	w->ncarried++;
	if (w->refuse_carry)
		return err_set(err, w->refuse_carry, "the store is full");
	return 0;
}

static const struct ops_hand hand = { .find = find_in_hand, .carry_out = carry_out };

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	if (!w || store_open_memory(&w->store, NULL) < 0 || owner_self(&w->self, NULL) < 0)
		return -1;
	w->ops = (struct ops){ .store = w->store,
		.find_dag = find_dag,
		.load_version = load_version,
		.arg = w,
		.changed = changed,
		.note = note,
		.by = "ann@host" };
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	json_decref(w->got);
	sched_free(w->sched);
	store_close(w->store);
	free(w);
	return 0;
}

static void ok(struct world *w, int rc)
{
	if (rc < 0)
		fail_msg("%s: %s", err_info(w->err.code)->name, w->err.msg);
}

static void refused(struct world *w, int rc, enum err_code code, const char *text)
{
	assert_int_equal(rc, -1);
	assert_string_equal(err_info(w->err.code)->name, err_info(code)->name);
	if (!strstr(w->err.msg, text))
		fail_msg("\"%s\" is not in: %s", text, w->err.msg);
}

/* chain@2026-11-19, whose tasks have come to these states; nobody has it. */
static void open_run(struct world *w, const enum task_state states[3], enum run_state state)
{
	static const char *const tasks[] = { "load", "check", "publish" };
	const struct run_open open = { .key = { "chain", 1, 2 },
		.name = "chain@2026-11-19",
		.long_name = "chain@2026-11-19",
		.ds = "2026-11-19",
		.version = dags[OLD]->hash,
		.text = dags[OLD]->text,
		.dag_path = "chain.yaml",
		.dag_dir = "/tmp",
		.tasks = tasks,
		.ntasks = 3,
		.owner = w->self,
		.lease_until_us = INT64_MAX,
		.now_us = 1 };
	struct change c[8] = { { .kind = CHANGE_RUN,
		.reason = REASON_STARTED,
		.at_us = 2,
		.task_index = -1,
		.map_index = -1,
		.run = { RUN_QUEUED, RUN_RUNNING } } };
	size_t n = 1;
	bool created;

	ok(w, store_run_open(w->store, &open, &w->run_id, &w->epoch, &created, &w->err));
	for (int i = 0; i < 3; i++)
		if (states[i] != TASK_NONE) {
			c[n] = (struct change){ .kind = CHANGE_TASK,
				.reason = states[i] == TASK_UPSTREAM_FAILED ? REASON_UPSTREAM_FAILED
									    : REASON_MARKED,
				.at_us = 3,
				.task = tasks[i],
				.map_index = -1 };
			c[n].state.to = states[i];
			c[n].state.tries = states[i] != TASK_UPSTREAM_FAILED;
			n++;
		}
	if (run_state_is_final(state)) {
		c[n] = c[0];
		c[n].reason = REASON_SOME_FAILED;
		c[n].run.from = RUN_RUNNING;
		c[n++].run.to = state;
	}
	for (size_t i = 0; i < n; i++)
		c[i].run_id = w->run_id;
	const struct store_lease lease = { w->run_id, w->epoch };
	ok(w, store_commit(w->store,
		      &(struct store_batch){
			      .leases = &lease, .nleases = 1, .changes = c, .nchanges = n },
		      &w->err));
	ok(w, store_run_close(w->store, w->run_id, w->epoch, &w->err));
}

static const enum task_state failed_states[] = { TASK_FAILED, TASK_UPSTREAM_FAILED,
	TASK_UPSTREAM_FAILED };
static const enum task_state good_states[] = { TASK_SUCCESS, TASK_SUCCESS, TASK_SUCCESS };

static int call(struct world *w, enum ops_call_id id, const char *body)
{
	const struct ops_target t = { .run = "chain@2026-11-19" };
	json_t *j = json_loads(body, 0, NULL);

	assert_non_null(j);
	json_decref(w->got);
	w->got = NULL;
	err_clear(&w->err);
	int rc = ops_calls[id].call(&w->ops, &t, j, &w->got, &w->err);
	json_decref(j);
	return rc;
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static void run_is(struct world *w, enum run_state state, bool wanted, int version)
{
	struct store_result r;

	ok(w, store_run_find(w->store, "chain@2026-11-19", &r, &w->err));
	assert_string_equal(run_state_name(r.runs[0].state), run_state_name(state));
	assert_int_equal(r.runs[0].wanted, wanted);
	assert_int_equal(r.runs[0].owner.pid, 0);
	assert_string_equal(r.runs[0].version, dags[version]->hash);
	store_result_release(&r);
}

static void task_is(struct world *w, int i, enum task_state state)
{
	struct store_result r;

	ok(w, store_tasks(w->store, w->run_id, &r, &w->err));
	assert_string_equal(task_state_name(r.tasks[i].state), task_state_name(state));
	store_result_release(&r);
}

/* ---- runs that nobody has in hand ------------------------------------------------------------ */

static void test_retry(void **state)
{
	struct world *w = *state;
	struct store_result r;

	open_run(w, failed_states, RUN_FAILED);
	ok(w, call(w, OPS_CALL_RETRY, "{\"dry_run\": true}"));
	assert_true(json_is_true(json_object_get(w->got, "dry_run")));
	run_is(w, RUN_FAILED, false, OLD);
	assert_int_equal(w->ntold + w->nnoted, 0);
	ok(w, call(w, OPS_CALL_RETRY, "{\"reason\": \"mended\"}"));
	assert_string_equal(text(w->got, "request"), "retry");
	assert_string_equal(text(w->got, "by"), "ann@host");
	assert_string_equal(text(w->got, "version"), dags[NEW]->hash);
	assert_string_equal(text(w->got, "former_version"), dags[OLD]->hash);
	assert_true(json_is_true(json_object_get(w->got, "waits")));
	assert_int_equal(json_array_size(json_object_get(w->got, "tasks")), 3);
	run_is(w, RUN_QUEUED, true, NEW);
	for (int i = 0; i < 3; i++)
		task_is(w, i, TASK_NONE);
	assert_int_equal(w->ntold, 1);
	assert_int_equal(w->nnoted, 1);
	ok(w, store_audits(w->store, w->run_id, &r, &w->err));
	assert_int_equal(r.n, 1);
	assert_string_equal(r.audits[0].who, "ann@host");
	assert_string_equal(r.audits[0].what, "retry");
	assert_string_equal(r.audits[0].detail, "load, check, publish");
	assert_string_equal(r.audits[0].reason, "mended");
	store_result_release(&r);
	refused(w, call(w, OPS_CALL_RETRY, "{}"), ERR_REFUSED, "there is nothing to retry");
	run_is(w, RUN_QUEUED, true, NEW);
}

static size_t count_open(struct world *w)
{
	const struct incident_filter f = { 0 };
	struct store_result r;

	ok(w, store_incidents(w->store, &f, &r, &w->err));
	size_t n = r.n;
	store_result_release(&r);
	return n;
}

/* What is set right by hand is made good, also where nobody has the run in hand. */
static void test_incidents(void **state)
{
	struct incident_put put = { .what = INCIDENT_OPENS,
		.kind = INCIDENT_TASK_FAILED,
		.dag = "chain",
		.task = "load",
		.severity = SEVERITY_ERROR,
		.at_us = 5,
		.start_us = 1,
		.end_us = 2 };
	struct world *w = *state;

	open_run(w, failed_states, RUN_FAILED);
	ok(w, store_commit(w->store, &(struct store_batch){ .incidents = &put, .nincidents = 1 },
		      &w->err));
	assert_int_equal(count_open(w), 1);
	ok(w, call(w, OPS_CALL_MARK, "{\"tasks\": [\"load\"], \"state\": \"success\"}"));
	assert_int_equal(count_open(w), 0);
	/* Who marks it as failed knows it. */
	ok(w, call(w, OPS_CALL_MARK, "{\"tasks\": [\"load\"], \"state\": \"failed\"}"));
	assert_int_equal(count_open(w), 0);
}

static void test_versions(void **state)
{
	struct world *w = *state;

	open_run(w, good_states, RUN_SUCCESS);
	w->newest = ERR_INVALID;
	refused(w, call(w, OPS_CALL_CLEAR, "{\"tasks\": [\"load\"]}"), ERR_INVALID,
		"it is not as it should be; --version same");
	w->newest = ERR_NOT_FOUND;
	refused(w, call(w, OPS_CALL_CLEAR, "{\"tasks\": [\"load\"], \"version\": \"new\"}"),
		ERR_NOT_FOUND, "--version same");
	ok(w, call(w, OPS_CALL_CLEAR, "{\"tasks\": [\"load\"], \"dry_run\": true}"));
	assert_string_equal(text(w->got, "version"), dags[OLD]->hash);
	w->newest = ERR_NONE;
	ok(w, call(w, OPS_CALL_CLEAR, "{\"tasks\": [\"load\"], \"version\": \"same\"}"));
	run_is(w, RUN_QUEUED, true, OLD);
	ok(w, call(w, OPS_CALL_MARK, "{\"tasks\": [\"load\"], \"state\": \"success\"}"));
	run_is(w, RUN_SUCCESS, false, OLD);
}

static void test_outputs(void **state)
{
	static const enum task_state first_done[] = { TASK_SUCCESS, TASK_NONE, TASK_NONE };
	struct world *w = *state;
	struct store_result r;

	open_run(w, first_done, RUN_RUNNING);
	ok(w, call(w, OPS_CALL_SET_OUTPUT, "{\"tasks\": [\"load\"], \"outputs\": {\"rows\": 5}}"));
	ok(w, call(w, OPS_CALL_SET_OUTPUT,
		      "{\"tasks\": [\"load\"], \"outputs\": {\"rows\": 6, \"list\": [1, {}]}}"));
	ok(w, store_tasks(w->store, w->run_id, &r, &w->err));
	assert_string_equal(r.tasks[0].outputs, "{\"rows\":6,\"list\":[1,{}]}");
	store_result_release(&r);
	refused(w,
		call(w, OPS_CALL_SET_OUTPUT,
			"{\"tasks\": [\"load\", \"check\"], \"outputs\": {\"rows\": 6}}"),
		ERR_USAGE, "outputs are of one task");
	ok(w, call(w, OPS_CALL_MARK,
		      "{\"tasks\": [\"check\", \"publish\"], \"state\": \"skipped\"}"));
	run_is(w, RUN_SUCCESS, false, OLD);
	/* A marked task had no attempt that could have used them. */
	ok(w, call(w, OPS_CALL_SET_OUTPUT, "{\"tasks\": [\"load\"], \"outputs\": {\"rows\": 7}}"));
}

static void test_refusals(void **state)
{
	static const enum task_state running[] = { TASK_SUCCESS, TASK_FAILED, TASK_NONE };
	struct world *w = *state;
	char reason[1100], body[1200];

	open_run(w, running, RUN_RUNNING);
	refused(w, call(w, OPS_CALL_SKIP, "{\"tasks\": [\"lode\"]}"), ERR_NOT_FOUND,
		"did you mean \"load\"");
	refused(w, call(w, OPS_CALL_SKIP, "{\"tasks\": [\"load\"]}"), ERR_REFUSED,
		"run chain@2026-11-19: task load is success");
	refused(w, call(w, OPS_CALL_END_RETRIES, "{\"tasks\": [\"publish\"]}"), ERR_REFUSED,
		"possible with this one: mark, skip, cancel");
	memset(reason, 'x', sizeof reason - 1);
	reason[sizeof reason - 1] = '\0';
	snprintf(body, sizeof body, "{\"reason\": \"%s\"}", reason);
	refused(w, call(w, OPS_CALL_RETRY, body), ERR_USAGE, "bytes");
	ok(w, call(w, OPS_CALL_CANCEL, "{}"));
	run_is(w, RUN_CANCELLED, false, OLD);
	refused(w, call(w, OPS_CALL_CANCEL, "{}"), ERR_REFUSED, "it is cancelled already");
}

/* ---- runs of others -------------------------------------------------------------------------- */

static void test_other_owner(void **state)
{
	struct world *w = *state;
	struct owner parent = w->self;
	struct run_open open = { .key = { "chain", 1, 2 },
		.name = "chain@2026-11-19",
		.long_name = "chain@2026-11-19",
		.ds = "2026-11-19",
		.version = dags[OLD]->hash,
		.text = dags[OLD]->text,
		.now_us = 1 };
	bool created;

	open_run(w, failed_states, RUN_FAILED);
	/* On another machine, as far as anybody can tell alive. */
	snprintf(parent.host, sizeof parent.host, "elsewhere");
	parent.pid = 4711;
	open.owner = parent;
	open.lease_until_us = clock_now_us() + 1000000000;
	ok(w, store_run_open(w->store, &open, &w->run_id, &w->epoch, &created, &w->err));
	refused(w, call(w, OPS_CALL_RETRY, "{}"), ERR_REFUSED,
		"process 4711 on elsewhere (weir run)");
	refused(w, call(w, OPS_CALL_RETRY, "{\"dry_run\": true}"), ERR_REFUSED, "process 4711");
	open.lease_until_us = clock_now_us() - 1;
	ok(w, store_run_renew(w->store, w->run_id, w->epoch, open.lease_until_us, &w->err));
	ok(w, call(w, OPS_CALL_RETRY, "{}"));
	run_is(w, RUN_QUEUED, true, NEW);
}

/* ---- runs in hand ---------------------------------------------------------------------------- */

static void take_in_hand(struct world *w)
{
	const struct run_init run = { .run_id = w->run_id, .dag = dags[OLD] };
	size_t n;

	w->ops.hand = &hand;
	w->sched = sched_new(&(struct sched_config){ .max_running = 2 });
	sched_set_tokens(w->sched, 1, 10);
	assert_int_equal(sched_add_run(w->sched, &run, 1, NULL), 0);
	assert_int_equal(sched_tick(w->sched, 1, NULL), 0);
	sched_changes(w->sched, &n);
	sched_clear_changes(w->sched);
}

static void test_in_hand(void **state)
{
	static const enum task_state none[] = { TASK_NONE, TASK_NONE, TASK_NONE };
	struct world *w = *state;
	struct task_view v;
	size_t n;

	open_run(w, none, RUN_RUNNING);
	take_in_hand(w);
	ok(w, call(w, OPS_CALL_SKIP, "{\"tasks\": [\"publish\"], \"dry_run\": true}"));
	assert_true(json_is_true(json_object_get(w->got, "in_motion")));
	sched_changes(w->sched, &n);
	assert_int_equal(n, 0);
	assert_int_equal(w->ncarried, 0);
	ok(w, call(w, OPS_CALL_SKIP, "{\"tasks\": [\"publish\"]}"));
	assert_int_equal(w->ncarried, 1);
	assert_string_equal(w->carried, "skip chain@2026-11-19: publish");
	assert_true(sched_task_view(w->sched, w->run_id, 2, &v));
	assert_int_equal(v.state, TASK_SKIPPED);
	/* It goes on by itself: nobody is to look for it. */
	assert_int_equal(w->ntold, 0);
	assert_false(json_is_true(json_object_get(w->got, "waits")));
	refused(w, call(w, OPS_CALL_RETRY, "{\"tasks\": [\"publish\"], \"version\": \"new\"}"),
		ERR_REFUSED, "is in motion with version");
	ok(w, call(w, OPS_CALL_RETRY, "{\"tasks\": [\"publish\"]}"));
	assert_string_equal(text(w->got, "version"), dags[OLD]->hash);
	ok(w, call(w, OPS_CALL_CANCEL, "{\"tasks\": [\"load\"], \"kill\": true}"));
	assert_string_equal(w->carried, "cancel chain@2026-11-19: load");
	w->refuse_carry = ERR_BUSY;
	refused(w, call(w, OPS_CALL_CANCEL, "{}"), ERR_BUSY, "the store is full");
	refused(w, call(w, OPS_CALL_RETRY, "{}"), ERR_REFUSED, "it is being cancelled");
}

/* A store that falls ill behind the commit: what is done is answered all the same. */
static const struct store_ops *well;
static bool ill;

static int list_until_ill(
	struct store *s, const struct list_query *q, struct store_result *ret, struct err *err)
{
	return ill ? err_set(err, ERR_STORE, "the disk is gone") : well->list(s, q, ret, err);
}

static int commit_and_fall_ill(struct store *s, const struct store_batch *b, struct err *err)
{
	ill = true;
	return well->commit(s, b, err);
}

static void test_store_falls_ill(void **state)
{
	struct world *w = *state;
	static struct store_ops ops;

	open_run(w, failed_states, RUN_FAILED);
	well = w->store->ops;
	ops = *well;
	ops.list = list_until_ill;
	ops.commit = commit_and_fall_ill;
	ill = false;
	w->store->ops = &ops;
	ok(w, call(w, OPS_CALL_RETRY, "{}"));
	assert_true(ill);
	assert_false(json_is_true(json_object_get(w->got, "dag_paused")));
	task_is(w, 0, TASK_NONE);
	/* From the start it is refused, and nothing is done. */
	refused(w, call(w, OPS_CALL_MARK, "{\"tasks\": [\"load\"], \"state\": \"failed\"}"),
		ERR_STORE, "the disk is gone");
	task_is(w, 0, TASK_NONE);
	w->store->ops = well;
}

static void breaker_set(void *arg, const char *name, const char *text)
{
	struct world *w = arg;

	snprintf(w->carried, sizeof w->carried, "%s: %s", name, text);
	w->ncarried++;
}

/* A breaker that was opened is told of as open, though the store cannot be read any more; and
 * whoever uses it is told by other ways than the store. */
static void test_breaker_store_falls_ill(void **state)
{
	const struct breaker_put closed = {
		.name = "api", .text = "v1 closed 1 0 0 0", .to = BREAKER_CLOSED, .since_us = 1
	};
	struct world *w = *state;
	static struct store_ops ops;

	ok(w, store_commit(w->store, &(struct store_batch){ .breakers = &closed, .nbreakers = 1 },
		      &w->err));
	well = w->store->ops;
	ops = *well;
	ops.list = list_until_ill;
	ops.commit = commit_and_fall_ill;
	ill = false;
	w->store->ops = &ops;
	w->ops.breaker_set = breaker_set;
	ok(w, ops_breaker_set(&w->ops, "api", true, "down", &w->got, &w->err));
	assert_true(ill);
	assert_string_equal(text(w->got, "state"), "open");
	assert_string_equal(text(w->got, "reason"), "down");
	assert_string_equal(text(w->got, "by"), "ann@host");
	assert_true(json_is_true(json_object_get(w->got, "changed")));
	assert_int_equal(w->ncarried, 1);
	assert_non_null(strstr(w->carried, "api: v1 open "));
	w->store->ops = well;
}

#define ON_STORE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_STORE(test_retry),
		ON_STORE(test_incidents),
		ON_STORE(test_versions),
		ON_STORE(test_outputs),
		ON_STORE(test_refusals),
		ON_STORE(test_other_owner),
		ON_STORE(test_in_hand),
		ON_STORE(test_store_falls_ill),
		ON_STORE(test_breaker_store_falls_ill),
	};

	setenv("WEIR_TEST_CLOCK", "2026-11-20T12:00:00Z", 1);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	load_dags();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	for (int i = 0; i < NDAGS; i++)
		dag_unref(dags[i]);
	return failed;
}
