/* What it costs to start the next task while many wait: POOLS pools of SLOTS slots, and ever more
 * tasks that wait for them. Each round ends one attempt and ticks, which starts another.
 *
 *     bench_pools [ROUNDS]
 *
 * Prints nanoseconds of CPU per start for 1,000, 10,000 and 100,000 waiting tasks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/model.h"
#include "core/sched.h"

enum { POOLS = 100, SLOTS = 2 };

static double cpu_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bench_pools: %s\n", what);
	exit(1);
}

static struct dag *make_dag(int n)
{
	struct dag *dag = dag_new();
	int *cycle = calloc((size_t)n + 1, sizeof *cycle), len;

	if (!dag || !cycle)
		die("out of memory");
	dag->name = "bench";
	dag->ntasks = n;
	dag->tasks = arena_array(&dag->arena, (size_t)n, sizeof *dag->tasks);
	for (int i = 0; dag->tasks && i < n; i++)
		dag->tasks[i] = (struct task){ .name = arena_printf(&dag->arena, "t%d", i),
			.index = i,
			.pool = arena_printf(&dag->arena, "p%d", i % POOLS),
			.slots = 1,
			.priority = i % 7 };
	if (!dag->tasks || dag_seal(dag, cycle, &len, NULL) < 0)
		die("no DAG");
	free(cycle);
	return dag;
}

/* Seconds per start. */
static double measure(int waiting, int rounds)
{
	struct dag *dag = make_dag(waiting + rounds + POOLS * SLOTS);
	struct sched *s = sched_new(&(struct sched_config){ .max_running = 100000, .seed = 1 });
	char name[20];

	if (!s)
		die("out of memory");
	for (int i = 0; i < POOLS; i++) {
		snprintf(name, sizeof name, "p%d", i);
		sched_set_pool(s, name, SLOTS);
	}
	sched_set_tokens(s, 1, INT64_C(1) << 40);
	if (sched_add_run(s, &(struct run_init){ .run_id = 1, .dag = dag }, 1, NULL) < 0 ||
		sched_tick(s, 1, NULL) < 0 || sched_running(s) != POOLS * SLOTS)
		die("it did not begin");
	sched_clear_changes(s);
	double begin = cpu_s();
	for (int k = 0; k < rounds; k++) {
		const struct attempt_end e = { .token = k + 1, .outcome = OUTCOME_SUCCESS };
		if (!sched_attempt_ended(s, &e, 2 + k) || sched_tick(s, 2 + k, NULL) < 0 ||
			sched_running(s) != POOLS * SLOTS)
			die("nothing started");
		sched_clear_changes(s);
	}
	double took = cpu_s() - begin;
	sched_free(s);
	dag_unref(dag);
	return took / rounds;
}

int main(int argc, char **argv)
{
	static const int waiting[] = { 1000, 10000, 100000 };
	int rounds = argc > 1 ? atoi(argv[1]) : 2000;

	if (rounds < 1)
		die("bench_pools [ROUNDS]");
	for (size_t i = 0; i < sizeof waiting / sizeof *waiting; i++)
		printf("%d %.0f\n", waiting[i], measure(waiting[i], rounds) * 1e9);
	return 0;
}
