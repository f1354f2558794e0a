/* weir-sim: worlds of seeds, one after the other.
 *
 *     weir-sim [--seeds A..B] [--steps N] [--no-shrink] [--tap]
 *     weir-sim --seed N [--story] [--without MASK] [--runs N] [--tasks N]
 *
 * Without arguments: 10,000 seeds (with sanitizers 2,000), told as TAP. A seed that fails is told
 * with its number, then cut down to the least that still fails, and that story is printed. The exit
 * status is then 1.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/sim/sim.h"

#ifdef __SANITIZE_ADDRESS__
enum { SEEDS_DEFAULT = 2000 }; /* each takes five times as long */
#else
enum { SEEDS_DEFAULT = 10000 };
#endif
enum { SEEDS_PER_PROCESS = 250 };
#define SEED_STEPS_MAX 60000

struct options {
	uint64_t first, last;
	bool one, story, tap, no_shrink;
	int64_t steps; /* in all; 0: no limit */
	struct cut cut;
};

/* What a process that runs seeds has done so far; shared with its parent. */
struct progress {
	uint64_t seed;
	int64_t seeds, steps, starts, commits, crashes;
	struct seed_result failed;
};

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- series --------------------------------------------------------------------------- */

static bool run_one(struct progress *p, uint64_t seed)
{
	static const struct cut none;
	struct seed_result r = { 0 };

	p->seed = seed;
	shrink_seed(seed, &none, SEED_STEPS_MAX, &r);
	p->seeds++;
	p->steps += r.steps;
	p->starts += r.starts;
	p->commits += r.commits;
	p->crashes += r.crashes;
	if (r.failed)
		p->failed = r;
	return !r.failed;
}

/* Some seeds in a process of their own: what a killed engine leaves in memory goes with it, and a
 * seed that kills it is known. */
static int run_some(const struct options *o, struct progress *p, uint64_t from, uint64_t to)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		for (uint64_t seed = from; seed <= to; seed++)
			if (!run_one(p, seed) || (o->steps && p->steps >= o->steps))
				break;
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0) {
		perror("weir-sim");
		return -1;
	}
	if (status != 0)
		shrink_explain(status, &p->failed);
	return 0;
}

static void tell_failure(const struct options *o, const struct progress *p)
{
	struct cut cut = { 0 };
	struct seed_result r = { .story = stdout };

	printf("seed %" PRIu64 " fails, after %" PRId64 " steps in all: %s\n", p->seed, p->steps,
		p->failed.why);
	if (o->no_shrink)
		return;
	fflush(stdout);
	shrink(p->seed, SEED_STEPS_MAX, &cut);
	printf("the least that fails: weir-sim --seed %" PRIu64 " --story --without 0x%" PRIx64
	       " --runs %d --tasks %d\n",
		p->seed, cut.faults, cut.runs, cut.tasks);
	shrink_try(p->seed, &cut, SEED_STEPS_MAX, &r);
	printf("%s\n", r.why);
}

static void tell_end(const struct progress *p, double took)
{
	printf("# %" PRId64 " seeds, %" PRId64 " steps (%.0f a second), %" PRId64
	       " attempts, %" PRId64 " commits, %" PRId64 " crashes in %.1f s\n",
		p->seeds, p->steps, (double)p->steps / took, p->starts, p->commits, p->crashes,
		took);
}

static int run_series(const struct options *o)
{
	struct progress *p =
		mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double begin = seconds();

	if (p == MAP_FAILED) {
		perror("weir-sim");
		return 2;
	}
	if (o->tap)
		printf("1..1\n");
	for (uint64_t seed = o->first; seed <= o->last && !p->failed.failed;
		seed += SEEDS_PER_PROCESS) {
		uint64_t to = seed + SEEDS_PER_PROCESS - 1;
		fflush(stdout);
		if ((o->steps && p->steps >= o->steps) ||
			run_some(o, p, seed, to < o->last ? to : o->last) < 0)
			break;
	}
	if (o->tap)
		printf("%s 1 - %" PRIu64 " seeds\n", p->failed.failed ? "not ok" : "ok",
			o->last - o->first + 1);
	if (p->failed.failed)
		tell_failure(o, p);
	tell_end(p, seconds() - begin);
	return p->failed.failed ? 1 : 0;
}

static int run_seed(const struct options *o)
{
	struct seed_result r = { .story = o->story ? stdout : NULL };

	if (shrink_try(o->first, &o->cut, SEED_STEPS_MAX, &r) < 0) {
		perror("weir-sim");
		return 2;
	}
	printf("seed %" PRIu64 ": %s after %" PRId64 " steps\n", o->first,
		r.failed ? r.why : "all is well", r.steps);
	return r.failed ? 1 : 0;
}

/* ---- the command line ----------------------------------------------------------------- */

static int usage(void)
{
	fputs("usage: weir-sim [--seeds A..B] [--steps N] [--no-shrink] [--tap]\n"
	      "       weir-sim --seed N [--story] [--without MASK] [--runs N] [--tasks N]\n",
		stderr);
	return 2;
}

static bool parse_seeds(const char *text, struct options *o)
{
	char *end;

	o->first = strtoull(text, &end, 10);
	if (strncmp(end, "..", 2) != 0)
		return false;
	o->last = strtoull(end + 2, &end, 10);
	return *end == '\0' && o->first <= o->last;
}

static bool parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = { { "seeds", required_argument, NULL, 'S' },
		{ "seed", required_argument, NULL, 's' }, { "steps", required_argument, NULL, 'n' },
		{ "story", no_argument, NULL, 't' }, { "tap", no_argument, NULL, 'T' },
		{ "no-shrink", no_argument, NULL, 'N' },
		{ "without", required_argument, NULL, 'w' },
		{ "runs", required_argument, NULL, 'r' }, { "tasks", required_argument, NULL, 'k' },
		{ 0 } };

	for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;)
		switch (c) {
		case 'S':
			if (!parse_seeds(optarg, o))
				return false;
			break;
		case 's':
			o->one = true;
			o->first = strtoull(optarg, NULL, 10);
			break;
		case 'n':
			o->steps = strtoll(optarg, NULL, 10);
			break;
		case 't':
			o->story = true;
			break;
		case 'T':
			o->tap = true;
			break;
		case 'N':
			o->no_shrink = true;
			break;
		case 'w':
			o->cut.faults = strtoull(optarg, NULL, 0);
			break;
		case 'r':
			o->cut.runs = (int)strtol(optarg, NULL, 10);
			break;
		case 'k':
			o->cut.tasks = (int)strtol(optarg, NULL, 10);
			break;
		default:
			return false;
		}
	return optind == argc;
}

int main(int argc, char **argv)
{
	struct options o = { .first = 1, .last = SEEDS_DEFAULT, .tap = argc == 1 };

	if (!parse(argc, argv, &o))
		return usage();
	static char *small[] = { "PATH=/bin", NULL };
	environ = small; /* each start copies it */
	world_home();
	int rc = o.one ? run_seed(&o) : run_series(&o);
	world_home_remove();
	return rc;
}
