/* Verdicts of trigger rules, and of conditions, per second of CPU.
 *
 *     bench_trigger [TASKS]     default 100000
 *
 * Prints: millions of verdicts a second of the rules alone, each behind a need that became final;
 * the same of a condition of eight terms; thousands of tasks a second in the scheduler, of a DAG in
 * which one failure runs through all: each is counted, judged, changed and told. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"
#include "base/err.h"
#include "core/condition.h"
#include "core/model.h"
#include "core/sched.h"

enum { ROUNDS = 1000000, NEEDS = 8, TERMS = 8 };

static const enum task_state finals[] = { TASK_SUCCESS, TASK_SKIPPED, TASK_FAILED,
	TASK_UPSTREAM_FAILED, TASK_SUCCESS };

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bench_trigger: %s\n", what);
	exit(2);
}

static double cpu_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double rules(unsigned *sum)
{
	double begin = cpu_s();

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct trigger_counts c = { .needs = NEEDS };
		for (unsigned k = 0; k < NEEDS; k++) {
			trigger_count(&c, finals[(i * 7 + k * k) % 5]);
			*sum = *sum * 31 +
			       (unsigned)trigger_judge((enum trigger_rule)(i % TRIGGER_MAX), &c);
		}
	}
	return (double)ROUNDS * NEEDS / (cpu_s() - begin);
}

static enum task_state state_of(void *arg, int task)
{
	return finals[(*(unsigned *)arg * 7 + (unsigned)task) % 5];
}

static double conditions(unsigned *sum)
{
	struct condition_fault fault;
	struct arena arena;

	arena_init(&arena, 1 << 20);
	struct condition *c = condition_parse(&arena,
		"(a.success or b.skipped) and not (c.failed or d.cancelled) and "
		"(e.done and f.success or g.upstream_failed or not h.failed)",
		&fault);
	if (!c)
		die(fault.message);
	for (int i = 0; i < c->nterms; i++)
		c->terms[i].task = i;
	double begin = cpu_s();
	for (unsigned i = 0; i < ROUNDS; i++)
		*sum = *sum * 31 + (unsigned)condition_judge(c, state_of, &i);
	double took = cpu_s() - begin;
	arena_release(&arena);
	return ROUNDS / took;
}

/* Each needs the eight before it; rules in turn, but for those that a failure lets run. */
static struct dag *make_dag(int n)
{
	static const enum trigger_rule mixed[] = { TRIGGER_ALL_SUCCESS, TRIGGER_NONE_FAILED,
		TRIGGER_ALL_SKIPPED, TRIGGER_ONE_SUCCESS };
	struct dag *dag = dag_new();
	int *cycle = calloc((size_t)n + 1, sizeof *cycle), len;

	if (!dag || !cycle)
		die("out of memory");
	dag->name = "d";
	dag->ntasks = n;
	dag->tasks = arena_array(&dag->arena, (size_t)n, sizeof *dag->tasks);
	for (int i = 0; i < n; i++) {
		struct task *t = &dag->tasks[i];
		int *needs = arena_array(&dag->arena, NEEDS, sizeof *needs);
		t->name = "t";
		t->index = i;
		t->trigger = mixed[i % 4];
		t->needs = needs;
		for (int k = i - NEEDS < 0 ? 0 : i - NEEDS; k < i; k++)
			needs[t->nneeds++] = k;
	}
	if (dag_seal(dag, cycle, &len, NULL) < 0)
		die("the DAG");
	free(cycle);
	return dag;
}

static double cascade(int n)
{
	const struct sched_config config = { .max_running = 1 };
	struct dag *dag = make_dag(n);
	struct sched *s = sched_new(&config);
	const struct run_init init = { .run_id = 1, .dag = dag };
	const struct attempt_end end = { .token = 1, .outcome = OUTCOME_FAILED, .exit_status = 1 };

	if (!s || sched_add_run(s, &init, 0, NULL) < 0)
		die("out of memory");
	sched_set_tokens(s, 1, 2);
	sched_tick(s, 0, NULL);
	double begin = cpu_s();
	sched_attempt_ended(s, &end, 0);
	double took = cpu_s() - begin;
	if (!sched_run_idle(s, 1))
		die("the run goes on");
	sched_free(s);
	dag_unref(dag);
	return n / took;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 100000;
	unsigned sum = 0;

	if (n < 1)
		die("usage: bench_trigger [TASKS]");
	double rule = rules(&sum), condition = conditions(&sum);
	printf("%.3f %.3f %.3f %08x\n", rule / 1e6, condition / 1e6, cascade(n) / 1e3, sum);
	return 0;
}
