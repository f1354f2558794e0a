/* The least that still fails: fewer faults, fewer runs, smaller DAGs, tried one after the other.
 *
 * What is cut out changes what chance does behind it; so any failure counts, not the same one.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/sim.h"

enum { SEED_SECONDS_MAX = 20 };

void shrink_seed(uint64_t seed, const struct cut *cut, int64_t max_steps, struct seed_result *ret)
{
	static struct sim w;

	memset(&w, 0, sizeof w);
	w.seed = seed;
	w.cut = *cut;
	w.max_steps = max_steps;
	w.story = ret->story;
	alarm(SEED_SECONDS_MAX);
	ret->failed = world_run(&w) < 0;
	alarm(0);
	ret->steps = w.steps;
	ret->starts = w.starts;
	ret->commits = w.commits;
	ret->crashes = w.crashes;
	snprintf(ret->why, sizeof ret->why, "%s", w.why);
	if (!ret->failed)
		world_release(&w);
}

void shrink_explain(int status, struct seed_result *ret)
{
	ret->failed = true;
	if (!WIFSIGNALED(status))
		snprintf(ret->why, sizeof ret->why, "it ended with status %d", WEXITSTATUS(status));
	else if (WTERMSIG(status) == SIGALRM)
		snprintf(ret->why, sizeof ret->why, "a call does not come to an end");
	else
		snprintf(ret->why, sizeof ret->why, "killed by signal %d (%s)", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
}

int shrink_try(uint64_t seed, const struct cut *cut, int64_t max_steps, struct seed_result *ret)
{
	struct seed_result *shared = mmap(
		NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	if (shared == MAP_FAILED)
		return -1;
	shared->story = ret->story;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		shrink_seed(seed, cut, max_steps, shared);
		fflush(NULL);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -1;
	if (status != 0)
		shrink_explain(status, shared);
	*ret = *shared;
	munmap(shared, sizeof *shared);
	return 0;
}

static bool still_fails(uint64_t seed, const struct cut *cut, int64_t max_steps)
{
	struct seed_result r = { 0 };

	return shrink_try(seed, cut, max_steps, &r) == 0 && r.failed;
}

/* A smaller number that still fails; 0: as many as there are. */
static void lower(uint64_t seed, int64_t max_steps, struct cut *cut, int *number, int most)
{
	for (int n = 1; n < (*number ? *number : most); n++) {
		int before = *number;
		*number = n;
		if (still_fails(seed, cut, max_steps))
			return;
		*number = before;
	}
}

static void drop_faults(uint64_t seed, int64_t max_steps, struct cut *cut)
{
	bool again;

	do {
		again = false;
		for (int i = 0; i < SIM_FAULTS; i++) {
			uint64_t bit = UINT64_C(1) << i;
			if (cut->faults & bit)
				continue;
			cut->faults |= bit;
			if (still_fails(seed, cut, max_steps))
				again = true;
			else
				cut->faults &= ~bit;
		}
	} while (again);
}

void shrink(uint64_t seed, int64_t max_steps, struct cut *cut)
{
	struct cut all = *cut;

	all.faults = ~UINT64_C(0);
	if (still_fails(seed, &all, max_steps))
		*cut = all;
	lower(seed, max_steps, cut, &cut->runs, 4);
	lower(seed, max_steps, cut, &cut->tasks, SIM_TASKS);
	drop_faults(seed, max_steps, cut);
	lower(seed, max_steps, cut, &cut->tasks, SIM_TASKS);
}
