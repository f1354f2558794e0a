/* What the daemon's SLAs are told of runs, also when the store cannot be read, or written. */
#include "tests/lib/store_fixture.h"

#include "run/daemon_sla.h"
#include "store/backend.h"

static const struct store_ops *below;
static enum row_kind locked;

static int rows(
	struct store *s, const struct row_query *q, struct store_result *ret, struct err *err)
{
	if (q->kind == locked)
		return err_set(err, ERR_STORE, "the database is locked");
	return below->rows(s, q, ret, err);
}

/* The task of a run that has begun. */
static struct sla_key begin(struct fixture *f)
{
	const struct run_open o = opening(f, "sales", 1);
	int64_t id, epoch, token;

	open_run(f, &o, &id, &epoch);
	OK(f, store_reserve_tokens(f->s, 1, &token, &f->err));
	struct change c[] = {
		run_change(id, RUN_QUEUED, RUN_RUNNING, 1),
		task_change(id, "orders", TASK_NONE, TASK_QUEUED, REASON_NEEDS_MET),
		task_change(id, "orders", TASK_QUEUED, TASK_RUNNING, REASON_STARTED),
		start(id, "orders", 1, token),
	};
	c[2].state.tries = 1;
	OK(f, commit(f, id, epoch, c, sizeof c / sizeof *c));
	return (struct sla_key){ "sales", "orders", "start_within", o.key.interval_start_us,
		o.key.interval_end_us };
}

/* What cannot be read is not taken for what is not there: the start would be missed. */
static void test_unread(void **state)
{
	struct fixture *f = *state;
	const struct sla_key key = begin(f);
	struct daemon d = { .engine.store = f->s };
	struct store_ops ops = *f->s->ops;
	struct sla_look look;

	OK(f, daemon_sla_look(&d, &key, &look, &f->err));
	assert_true(look.facts.started_us > 0);
	below = f->s->ops;
	ops.rows = rows;
	f->s->ops = &ops;
	locked = ROWS_TASKS;
	FAILS(f, ERR_STORE, daemon_sla_look(&d, &key, &look, &f->err));
	locked = ROWS_ATTEMPTS;
	FAILS(f, ERR_STORE, daemon_sla_look(&d, &key, &look, &f->err));
	f->s->ops = below;
}

/* What the store has not taken yet may have come in time. */
static void test_uncommitted(void **state)
{
	struct fixture *f = *state;
	struct daemon d = { .engine = { .store = f->s, .retry_us = 1 } };

	FAILS(f, ERR_STORE, daemon_sla_judge(&d, &f->err));
	err_set(&d.trouble, ERR_IO, "disk full");
	FAILS(f, ERR_STORE, daemon_sla_judge(&d, &f->err));
	assert_string_equal(f->err.msg, "disk full");
}

int main(void)
{
	const struct CMUnitTest tests[] = { BOTH(test_unread), BOTH(test_uncommitted) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
