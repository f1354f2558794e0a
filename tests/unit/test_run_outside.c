/* How needs on other runs stand, by the store: the same interval, several that cover one, and the
 * run before; over both stores. */
#include "tests/lib/store_fixture.h"

#include "base/buf.h"
#include "core/model.h"
#include "run/outside.h"

#define HOUR INT64_C(3600000000)

/* ---- runs in the store ------------------------------------------------------------------ */

/* A run of hours [from, to) with a task `load` and one `tell` behind it. */
struct made {
	const char *dag;
	int from, to;
	enum run_state state;
	enum task_state load, tell;
	bool wanted;
};

static void set_task(struct change *c, int64_t id, const char *task, enum task_state to)
{
	enum reason why = to == TASK_UPSTREAM_FAILED ? REASON_UPSTREAM_FAILED
			  : to == TASK_CANCELLED     ? REASON_CANCELLED
			  : to == TASK_QUEUED        ? REASON_SLOT_WAIT
						     : REASON_MARKED;

	*c = task_change(id, task, TASK_NONE, to, why);
}

static void make(struct fixture *f, const struct made *m)
{
	static const char *const tasks[] = { "load", "tell" };
	struct run_open o = opening(f, m->dag, 1);
	struct change c[4];
	char name[80];
	int64_t id, epoch;
	size_t n = 0;

	snprintf(name, sizeof name, "%s@%02d", m->dag, m->from);
	o.key.interval_start_us = m->from * HOUR;
	o.key.interval_end_us = m->to * HOUR;
	o.name = o.long_name = name;
	o.tasks = tasks;
	o.ntasks = 2;
	open_run(f, &o, &id, &epoch);
	if (m->load != TASK_NONE)
		set_task(&c[n++], id, "load", m->load);
	if (m->tell != TASK_NONE)
		set_task(&c[n++], id, "tell", m->tell);
	if (m->state != RUN_QUEUED)
		c[n++] = run_change(id, RUN_QUEUED, RUN_RUNNING, 1);
	if (run_state_is_final(m->state))
		c[n++] = run_change(id, RUN_RUNNING, m->state, 2);
	OK(f, commit(f, id, epoch, c, n));
	if (!m->wanted)
		return;
	/* It is to be done once more. */
	o.wanted = true;
	o.owner = (struct owner){ 0 };
	const struct store_plan plan = { .opens = &o, .nopens = 1 };
	struct run_opened opened;
	OK(f, store_plan_commit(f->s, &plan, &opened, &f->err));
}

static const struct dag other = { .name = "daily" };

static struct outside_from day(const struct fixture *f)
{
	return (struct outside_from){ f->s, &other, 24 * HOUR, 48 * HOUR };
}

static void check(struct fixture *f, const struct outside_from *from, const struct cross_need *need,
	enum task_state want, const char *run)
{
	struct outside_state s;

	OK(f, outside_cross(from, need, &s, &f->err));
	if (s.state != want)
		fail_msg("%s%s%s: %s, not %s", need->dag, need->task ? "." : "",
			need->task ? need->task : "", task_state_name(s.state),
			task_state_name(want));
	assert_int_equal(s.has_run, run != NULL);
	if (run)
		assert_string_equal(s.run.name, run);
	outside_state_release(&s);
}

/* ---- the same interval ------------------------------------------------------------------ */

static void test_same(void **state)
{
	static const struct {
		struct made run;
		enum task_state task, whole;
	} cases[] = {
		{ { "o0", 24, 48, RUN_QUEUED, 0, 0, false }, TASK_NONE, TASK_NONE },
		{ { "o1", 24, 48, RUN_RUNNING, TASK_SUCCESS, 0, false }, TASK_SUCCESS, TASK_NONE },
		{ { "o2", 24, 48, RUN_RUNNING, TASK_QUEUED, 0, false }, TASK_NONE, TASK_NONE },
		{ { "o3", 24, 48, RUN_RUNNING, TASK_FAILED, 0, false }, TASK_FAILED, TASK_NONE },
		{ { "o4", 24, 48, RUN_SUCCESS, TASK_SKIPPED, TASK_SKIPPED, false }, TASK_SKIPPED,
			TASK_SUCCESS },
		{ { "o5", 24, 48, RUN_FAILED, TASK_UPSTREAM_FAILED, TASK_FAILED, false },
			TASK_UPSTREAM_FAILED, TASK_FAILED },
		{ { "o6", 24, 48, RUN_CANCELLED, TASK_CANCELLED, TASK_CANCELLED, false },
			TASK_CANCELLED, TASK_CANCELLED },
		/* What failed is to be done again. */
		{ { "o7", 24, 48, RUN_FAILED, TASK_FAILED, TASK_UPSTREAM_FAILED, true }, TASK_NONE,
			TASK_NONE },
		{ { "o8", 24, 48, RUN_FAILED, TASK_SUCCESS, TASK_FAILED, true }, TASK_SUCCESS,
			TASK_NONE },
	};
	struct fixture *f = *state;
	const struct outside_from from = day(f);

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char name[80];
		make(f, &cases[i].run);
		snprintf(name, sizeof name, "%s@24", cases[i].run.dag);
		struct cross_need need = { .dag = cases[i].run.dag, .task = "load" };
		check(f, &from, &need, cases[i].task, name);
		need.task = NULL;
		check(f, &from, &need, cases[i].whole, name);
		need.task = "gone";
		check(f, &from, &need, TASK_NONE, name);
	}
	/* Another interval is another matter. */
	check(f, &from, &(struct cross_need){ .dag = "nobody" }, TASK_NONE, NULL);
	const struct outside_from later = { f->s, &other, 24 * HOUR, 47 * HOUR };
	check(f, &later, &(struct cross_need){ .dag = "o4" }, TASK_NONE, NULL);
}

/* ---- runs that cover it ----------------------------------------------------------------- */

#define GOOD(dag, from, to)                                                   \
	{                                                                     \
		dag, from, to, RUN_SUCCESS, TASK_SUCCESS, TASK_SUCCESS, false \
	}
#define SKIP(dag, from, to)                                                   \
	{                                                                     \
		dag, from, to, RUN_SUCCESS, TASK_SKIPPED, TASK_SKIPPED, false \
	}
#define BAD(dag, from, to)                                               \
	{                                                                \
		dag, from, to, RUN_FAILED, TASK_FAILED, TASK_NONE, false \
	}
#define UPSTREAM(dag, from, to)                                                     \
	{                                                                           \
		dag, from, to, RUN_FAILED, TASK_UPSTREAM_FAILED, TASK_FAILED, false \
	}
#define OPEN(dag, from, to)                                             \
	{                                                               \
		dag, from, to, RUN_RUNNING, TASK_NONE, TASK_NONE, false \
	}

static void test_covers(void **state)
{
	static const struct {
		struct made runs[4];
		enum task_state want;
		int gap_from, gap_to; /* hours; 0: none */
		const char *run;
	} cases[] = {
		{ { { NULL } }, TASK_NONE, 24, 48, NULL },
		{ { GOOD("c1", 24, 36), GOOD("c1", 36, 48) }, TASK_SUCCESS, 0, 0, "c1@24" },
		{ { GOOD("c2", 24, 36), OPEN("c2", 36, 48) }, TASK_NONE, 0, 0, "c2@36" },
		{ { GOOD("c3", 24, 36) }, TASK_NONE, 36, 48, "c3@24" },
		{ { GOOD("c4", 36, 48) }, TASK_NONE, 24, 36, "c4@36" },
		{ { GOOD("c5", 24, 30), GOOD("c5", 36, 48) }, TASK_NONE, 30, 36, "c5@24" },
		/* One that failed says it all, though others are missing. */
		{ { GOOD("c6", 24, 30), BAD("c6", 36, 48) }, TASK_FAILED, 30, 36, "c6@36" },
		{ { OPEN("c7", 24, 36), BAD("c7", 36, 48) }, TASK_FAILED, 0, 0, "c7@36" },
		{ { UPSTREAM("c8", 24, 36), GOOD("c8", 36, 48) }, TASK_UPSTREAM_FAILED, 0, 0,
			"c8@24" },
		{ { UPSTREAM("c9", 24, 36), OPEN("c9", 36, 48) }, TASK_NONE, 0, 0, "c9@36" },
		{ { SKIP("ca", 24, 36), GOOD("ca", 36, 48) }, TASK_SUCCESS, 0, 0, "ca@36" },
		{ { SKIP("cb", 24, 36), SKIP("cb", 36, 48) }, TASK_SKIPPED, 0, 0, "cb@24" },
		/* What does not lie in it, does not count. */
		{ { GOOD("cc", 24, 48), BAD("cc", 12, 25), BAD("cc", 47, 49), BAD("cc", 48, 60) },
			TASK_SUCCESS, 0, 0, "cc@24" },
		/* Runs beside the schedule may overlap. */
		{ { GOOD("cd", 24, 40), GOOD("cd", 30, 35), GOOD("cd", 40, 48) }, TASK_SUCCESS, 0,
			0, "cd@24" },
	};
	struct fixture *f = *state;
	const struct outside_from from = day(f);

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct outside_state s;
		const char *dag = cases[i].runs[0].dag ? cases[i].runs[0].dag : "none";
		const struct cross_need need = { .dag = dag, .task = "load", .covers = true };
		for (int k = 0; k < 4 && cases[i].runs[k].dag; k++)
			make(f, &cases[i].runs[k]);
		check(f, &from, &need, cases[i].want, cases[i].run);
		OK(f, outside_cross(&from, &need, &s, &f->err));
		assert_int_equal(s.gap, cases[i].gap_to > 0);
		if (s.gap) {
			assert_int_equal(s.gap_start_us / HOUR, cases[i].gap_from);
			assert_int_equal(s.gap_end_us / HOUR, cases[i].gap_to);
		}
		outside_state_release(&s);
	}
	/* An instant. */
	const struct outside_from instant = { f->s, &other, 24 * HOUR, 24 * HOUR };
	make(f, &(struct made)GOOD("ce", 24, 24));
	check(f, &instant, &(struct cross_need){ .dag = "ce", .task = "load", .covers = true },
		TASK_SUCCESS, "ce@24");
}

/* ---- the run before --------------------------------------------------------------------- */

static struct task tasks[] = { { .name = "load", .index = 0 }, { .name = "tell", .index = 1 },
	{ .name = "new", .index = 2 } };
static const int behind[] = { 1 };

static void test_past(void **state)
{
	static const struct {
		struct made runs[3];
		bool downstream, lets;
		const char *task, *run;
	} cases[] = {
		{ { { NULL } }, false, true, NULL, NULL },
		{ { GOOD("p1", 12, 24) }, false, true, NULL, "p1@12" },
		{ { SKIP("p2", 12, 24) }, true, true, NULL, "p2@12" },
		{ { BAD("p3", 12, 24) }, false, false, "load", "p3@12" },
		{ { OPEN("p4", 12, 24) }, false, false, "load", "p4@12" },
		{ { { "p5", 12, 24, RUN_CANCELLED, TASK_CANCELLED, TASK_CANCELLED, false } }, false,
			false, "load", "p5@12" },
		/* Only the latest of those before it counts, whatever lies between. */
		{ { BAD("p6", 0, 12), GOOD("p6", 12, 18), BAD("p6", 24, 48) }, false, true, NULL,
			"p6@12" },
		{ { GOOD("p7", 0, 12), BAD("p7", 12, 20), BAD("p7", 48, 60) }, false, false, "load",
			"p7@12" },
		{ { { "p8", 12, 24, RUN_FAILED, TASK_SUCCESS, TASK_FAILED, false } }, false, true,
			NULL, "p8@12" },
		{ { { "p9", 12, 24, RUN_FAILED, TASK_SUCCESS, TASK_FAILED, false } }, true, false,
			"tell", "p9@12" },
		{ { { "pa", 12, 24, RUN_RUNNING, TASK_SUCCESS, TASK_NONE, false } }, true, false,
			"tell", "pa@12" },
		{ { { "pb", 12, 24, RUN_SUCCESS, TASK_SUCCESS, TASK_SKIPPED, false } }, true, true,
			NULL, "pb@12" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct dag dag = { .name = cases[i].runs[0].dag ? cases[i].runs[0].dag : "p0",
			.tasks = tasks,
			.ntasks = 3 };
		const struct outside_from from = { f->s, &dag, 24 * HOUR, 48 * HOUR };
		struct task t = tasks[0];
		struct outside_past p;
		for (int k = 0; k < 3 && cases[i].runs[k].dag; k++)
			make(f, &cases[i].runs[k]);
		t.depends_on_past = true;
		t.wait_for_downstream = cases[i].downstream;
		t.dependents = behind;
		t.ndependents = 1;
		OK(f, outside_past(&from, &t, &p, &f->err));
		if (p.lets != cases[i].lets)
			fail_msg("%s: %d", dag.name, p.lets);
		assert_int_equal(p.has_run, cases[i].run != NULL);
		if (cases[i].run)
			assert_string_equal(p.run.name, cases[i].run);
		if (cases[i].task)
			assert_string_equal(p.task, cases[i].task);
		outside_past_release(&p);
		/* One that the run before did not have. */
		t.name = "new";
		t.wait_for_downstream = false;
		OK(f, outside_past(&from, &t, &p, &f->err));
		assert_true(p.lets);
		outside_past_release(&p);
	}
}

/* ---- all of a task's -------------------------------------------------------------------- */

struct heard {
	char text[400];
};

static void hear(void *arg, const struct run_key *span)
{
	struct heard *h = arg;
	size_t len = strlen(h->text);

	snprintf(h->text + len, sizeof h->text - len, "%s %d-%d ", span->dag,
		(int)(span->interval_start_us / HOUR), (int)(span->interval_end_us / HOUR));
}

static void test_look(void **state)
{
	struct fixture *f = *state;
	const struct cross_need needs[] = { { .dag = "l1", .task = "load" }, { .dag = "l2" },
		{ .dag = "l3", .task = "tell" }, { .dag = "l4" }, { .dag = "l5", .covers = true } };
	const struct dag dag = { .name = "l0", .tasks = tasks, .ntasks = 3 };
	const struct outside_from from = { f->s, &dag, 24 * HOUR, 48 * HOUR };
	struct task t = tasks[0];
	struct heard heard = { "" };
	const struct outside_watch watch = { hear, &heard };
	struct sched_outside o;

	t.cross = needs;
	t.ncross = 5;
	t.depends_on_past = true;
	make(f, &(struct made)BAD("l0", 12, 24));
	make(f, &(struct made)GOOD("l1", 24, 48));
	OK(f, outside_look(&from, &t, &watch, &o, &f->err));
	assert_int_equal(o.counts.success, 1);
	assert_false(o.past);
	assert_string_equal(o.what, "the run of l2, l3.tell, the run of l4 and 1 more");
	assert_string_equal(heard.text, "l2 24-48 l3 24-48 l4 24-48 l5 24-48 l0 12-24 ");
	free((char *)o.what);
	make(f, &(struct made)BAD("l2", 24, 48));
	make(f, &(struct made)SKIP("l3", 24, 48));
	make(f, &(struct made)GOOD("l4", 24, 48));
	make(f, &(struct made)GOOD("l5", 24, 48));
	OK(f, outside_look(&from, &t, NULL, &o, &f->err));
	assert_int_equal(o.counts.success, 3);
	assert_int_equal(o.counts.failed, 1);
	assert_int_equal(o.counts.skipped, 1);
	assert_string_equal(o.what, "load in the run before, l0@12");
	free((char *)o.what);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_same),
		BOTH(test_covers),
		BOTH(test_past),
		BOTH(test_look),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
