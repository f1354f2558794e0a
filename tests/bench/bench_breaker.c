/* A breaker that holds many tasks opens, lets probes go that fail, then one that passes, and lets
 * the others go in its ramp. The clock is the scheduler's own: it goes from timer to timer.
 *
 *     bench_breaker [TASKS [RAMP]]
 *
 * Prints: the most starts of any second while it was not closed, or still held tasks; the limit of
 * that; nanoseconds of CPU for each task it held, from being held to its end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/units.h"
#include "core/breaker.h"
#include "core/model.h"
#include "core/sched.h"

enum { FAILURES = 5, JOBS = 256 };

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bench_breaker: %s\n", what);
	exit(1);
}

static double cpu_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static struct dag *make_dag(int n)
{
	static const char *const breakers[] = { "api", NULL };
	struct dag *dag = dag_new();
	int *cycle = calloc((size_t)n + 1, sizeof *cycle), len;

	if (!dag || !cycle)
		die("out of memory");
	dag->name = "bench";
	dag->ntasks = n;
	dag->tasks = arena_array(&dag->arena, (size_t)n, sizeof *dag->tasks);
	for (int i = 0; dag->tasks && i < n; i++)
		dag->tasks[i] = (struct task){ .name = "t",
			.index = i,
			.breakers = breakers,
			.retry = { .retries = 9, .max_us = 1, .factor = 1 } };
	if (!dag->tasks || dag_seal(dag, cycle, &len, NULL) < 0)
		die("no DAG");
	free(cycle);
	return dag;
}

struct world {
	struct sched *s;
	int64_t now_us, *starts; /* starts: their times */
	int64_t tokens[JOBS];
	int ntokens, nstarts, max, opened;
	enum breaker_state state;
};

static void hear(struct world *w)
{
	size_t n;
	const struct change *c = sched_changes(w->s, &n);

	for (size_t i = 0; i < n; i++) {
		if (c[i].kind == CHANGE_BREAKER) {
			w->state = c[i].breaker.to;
			w->opened += c[i].breaker.to == BREAKER_OPEN;
		} else if (c[i].kind == CHANGE_START) {
			w->tokens[w->ntokens++] = c[i].attempt.token;
			if (w->opened && w->nstarts < w->max)
				w->starts[w->nstarts++] = w->now_us;
		}
	}
	sched_clear_changes(w->s);
}

/* All that runs ends: in failure until it opened for the third time. */
static void end_all(struct world *w)
{
	int n = w->ntokens;

	w->ntokens = 0;
	for (int i = 0; i < n; i++) {
		const struct attempt_end e = { .token = w->tokens[i],
			.outcome = w->opened < 3 ? OUTCOME_FAILED : OUTCOME_SUCCESS,
			.exit_status = 1 };
		if (!sched_attempt_ended(w->s, &e, w->now_us))
			die("an end is lost");
	}
}

static int most_in_a_second(const struct world *w)
{
	int most = 0;

	for (int i = 0, first = 0; i < w->nstarts; i++) {
		while (w->starts[i] - w->starts[first] >= US_PER_SECOND)
			first++;
		most = i - first + 1 > most ? i - first + 1 : most;
	}
	return most;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 10000, ramp = argc > 2 ? atoi(argv[2]) : 50;
	const struct breaker_policy policy = { .failures = FAILURES,
		.window_us = 10 * US_PER_MINUTE,
		.open_us = 2 * US_PER_MINUTE,
		.max_open_us = 30 * US_PER_MINUTE,
		.factor = 2,
		.probes = 1,
		.ramp = ramp,
		.counts = 1u << BREAKER_TRANSIENT };
	struct world w = { .s = sched_new(&(struct sched_config){ .max_running = JOBS }),
		.max = 2 * n,
		.now_us = 1 };

	if (n < JOBS || ramp < 1)
		die("bench_breaker [TASKS [RAMP]]");
	struct dag *dag = make_dag(n);
	w.starts = calloc((size_t)w.max, sizeof *w.starts);
	if (!w.s || !w.starts || sched_set_breaker(w.s, "api", &policy) < 0)
		die("out of memory");
	sched_set_tokens(w.s, 1, INT64_C(1) << 40);
	const struct run_init run = { .run_id = 1, .dag = dag };
	if (sched_add_run(w.s, &run, w.now_us, NULL) < 0)
		die("no run");
	double begin = cpu_s();
	while (!sched_run_idle(w.s, 1)) {
		if (sched_tick(w.s, w.now_us, NULL) < 0)
			die("out of memory");
		hear(&w);
		if (w.ntokens) {
			end_all(&w);
			continue;
		}
		int64_t wake_us = sched_wake_us(w.s);
		if (wake_us == INT64_MAX)
			die("it waits for nothing");
		w.now_us = wake_us > w.now_us ? wake_us : w.now_us;
	}
	printf("%d %d %.0f\n", most_in_a_second(&w), ramp, (cpu_s() - begin) / n * 1e9);
	sched_free(w.s);
	dag_unref(dag);
	free(w.starts);
	return 0;
}
