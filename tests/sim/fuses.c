/* Circuit breakers: shared by all DAGs, and what must come of them. One process has all runs then;
 * of several the store's header says that who writes last is right.
 */
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "core/sched.h"
#include "tests/sim/sim.h"

static const char *name_of(const struct trun *r, int task)
{
	static char text[96];

	snprintf(text, sizeof text, task < SIM_TASKS ? "%s %s" : "%s %s[%d]", r->name,
		row_def(r, task)->name, row_map_index(task));
	return text;
}

/* ---- made ----------------------------------------------------------------------------- */

/* As core/sched_breaker.c has it. */
static void make_quality(struct fuse *g)
{
	*g = (struct fuse){ .of_quality = true,
		.policy = { .window_us = 60 * SIM_S,
			.open_us = 60 * SIM_S,
			.max_open_us = 60 * SIM_S,
			.factor = 1,
			.probes = 1,
			.ramp = 10 } };
	snprintf(g->name, sizeof g->name, QUALITY_BREAKER "q");
}

void fuses_make(struct sim *w)
{
	struct rng r;

	rng_init(&r, world_draw(w, 11, 0, 0));
	if (w->nactors != 1 || rng_below(&r, 2))
		return;
	w->nfuses = SIM_FUSES;
	for (int i = 0; i < w->nfuses; i++) {
		struct fuse *g = &w->fuses[i];
		*g = (struct fuse){ .policy = { .failures = 1 + (int)rng_below(&r, 4),
					    .window_us =
						    16 * (1 + (int64_t)rng_below(&r, 4)) * SIM_S,
					    .open_us = (1 + (int64_t)rng_below(&r, 20)) * SIM_S,
					    .max_open_us = 40 * SIM_S,
					    .factor = 1 + (double)rng_below(&r, 3),
					    .probes = 1 + (int)rng_below(&r, 2),
					    .ramp = 1 + (int)rng_below(&r, 3),
					    .counts = 1 + (unsigned)rng_below(&r, 7) } };
		snprintf(g->name, sizeof g->name, "b%d", i);
		if (i == SIM_SERVICES)
			make_quality(g);
		if (i == SIM_SERVICES || rng_below(&r, 4))
			continue;
		g->policy.failures = 0;
		g->policy.rate = 0.5;
		g->policy.at_least = 2 + (int)rng_below(&r, 3);
	}
}

void fuses_set(struct actor *n)
{
	for (int i = 0; i < n->w->nfuses; i++)
		must(n->w,
			n->w->fuses[i].of_quality ||
				sched_set_breaker(n->engine->sched, n->w->fuses[i].name,
					&n->w->fuses[i].policy) == 0,
			"no memory");
}

struct fuse *fuses_find(struct sim *w, const char *name)
{
	for (int i = 0; i < w->nfuses; i++)
		if (strcmp(w->fuses[i].name, name) == 0)
			return &w->fuses[i];
	world_fail(w, "there is no breaker %s", name);
}

static bool has(const struct trun *r, int task, const struct fuse *g)
{
	const char *const *b = row_def(r, task)->breakers;

	for (; b && *b; b++)
		if (strcmp(*b, g->name) == 0)
			return true;
	return false;
}

/* ---- states --------------------------------------------------------------------------- */

static void enter(struct sim *w, struct fuse *g, enum breaker_state to, const char *text)
{
	struct breaker b;

	must(w, breaker_parse(text, &b) && b.state == to, "breaker %s is kept as \"%s\"", g->name,
		text);
	if (to != g->state) {
		g->era++;
		g->probing = g->passed = g->failed = 0;
	}
	g->state = to;
	g->until_us = b.until_us;
	g->since_us = b.since_us;
	g->ramps = b.ramp_us != 0;
	g->forced = to == BREAKER_OPEN && b.until_us == INT64_MAX;
}

static int recent(const struct fuse *g, int64_t from_us, bool sure)
{
	int n = 0;

	for (int i = 0; i < SIM_FAILURES; i++)
		n += g->failures[i].at_us >= from_us && g->failures[i].at_us > 0 &&
		     (!sure || (g->failures[i].sure && g->failures[i].era == g->era));
	return n;
}

/* Why it may be so. */
static void judge(struct sim *w, const struct fuse *g, const struct change *c)
{
	const struct breaker_policy *p = &g->policy;
	bool was_set = w->latest_us != 0;

	switch (c->reason) {
	case REASON_BREAKER_TRIPPED:
		must(w, g->state == BREAKER_CLOSED, "breaker %s trips, and is %s", g->name,
			breaker_state_name(g->state));
		must(w,
			was_set || recent(g, c->at_us - p->window_us, false) >=
					   (p->failures ? p->failures : 1),
			"breaker %s trips after %d failures", g->name,
			recent(g, c->at_us - p->window_us, false));
		break;
	case REASON_BREAKER_DUE:
		must(w, g->state == BREAKER_OPEN && !g->forced, "breaker %s is due, and %s",
			g->name, g->forced ? "was opened by a person" : "is not open");
		must(w, was_set || c->at_us >= g->until_us, "breaker %s probes too early", g->name);
		break;
	case REASON_PROBE_FAILED:
		must(w, g->state == BREAKER_HALF_OPEN && g->failed > 0,
			"no probe of breaker %s has failed", g->name);
		break;
	case REASON_PROBES_PASSED:
		must(w, g->state == BREAKER_HALF_OPEN && g->passed >= p->probes,
			"breaker %s closes after %d good probes", g->name, g->passed);
		break;
	case REASON_QUALITY_LOW:
	case REASON_QUALITY_GOOD:
		must(w, g->judged == (c->reason == REASON_QUALITY_LOW ? JUDGED_LOW : JUDGED_GOOD),
			"breaker %s changes (%s), and no check says so", g->name,
			reason_name(c->reason));
		break;
	default:
		must(w, c->reason == REASON_NONE && c->breaker.from == c->breaker.to,
			"breaker %s changes (%s)", g->name, reason_name(c->reason));
	}
}

void fuses_change(struct sim *w, struct actor *n, const struct change *c)
{
	struct fuse *g = fuses_find(w, c->breaker.name);

	if (c->breaker.from != c->breaker.to)
		say(w, n->name, "commits: breaker %s is %s (%s)", g->name,
			breaker_state_name(c->breaker.to), reason_name(c->reason));
	must(w, c->breaker.from == g->state, "breaker %s is %s, and goes on from %s", g->name,
		breaker_state_name(g->state), breaker_state_name(c->breaker.from));
	judge(w, g, c);
	g->judged = JUDGED_NOT;
	enter(w, g, c->breaker.to, c->breaker.text);
	must(w, !g->of_quality || g->state == BREAKER_CLOSED || g->forced,
		"breaker %s is %s, and time ends it", g->name, breaker_state_name(g->state));
	must(w,
		g->state != BREAKER_OPEN || g->forced ||
			g->until_us - g->since_us <= g->policy.max_open_us,
		"breaker %s is open for too long", g->name);
}

/* A person's word. */
void fuses_put(struct sim *w, const struct breaker_put *p)
{
	struct fuse *g = fuses_find(w, p->name);
	int number = 0;

	say(w, "store", "has it that breaker %s is %s, by a person", g->name,
		breaker_state_name(p->to));
	must(w,
		p->why == REASON_BREAKER_FORCED && p->reason &&
			sscanf(p->reason, "ask %d.", &number) == 1 && number <= w->nasks,
		"breaker %s is set by nobody", g->name);
	struct ask *q = &w->asks[number - 1];
	must(w,
		!q->applied && !q->answered && q->fuse == g &&
			q->approves == (p->to == BREAKER_OPEN),
		"request %d is about another breaker", number);
	q->applied = true;
	g->era++;
	enter(w, g, p->to, p->text);
	g->told_us = p->at_us;
}

/* ---- attempts ------------------------------------------------------------------------- */

/* At most so many a second of those that were held, once it is closed. */
static void count_ramp(struct sim *w, struct fuse *g, const struct attempt *a, int64_t at_us)
{
	const struct ttask *t = &a->run->tasks[a->task];
	const char *const *all = row_def(a->run, a->task)->breakers;
	int n = 1;

	if (!t->let_go || all[1] || g->state != BREAKER_CLOSED || w->latest_us != 0)
		return;
	for (int i = 0; i < SIM_STARTS; i++)
		n += g->starts[i] > at_us - SIM_S && g->starts[i] > 0;
	must(w, n <= g->policy.ramp, "breaker %s lets %d go within a second, not %d", g->name, n,
		g->policy.ramp);
	g->starts[g->nstarts++ % SIM_STARTS] = at_us;
}

void fuses_start(struct sim *w, struct attempt *a, const struct change *c)
{
	for (int i = 0; i < w->nfuses; i++) {
		struct fuse *g = &w->fuses[i];
		if (!has(a->run, a->task, g))
			continue;
		/* What was decided before a person spoke is done. */
		bool before = g->forced && c->at_us <= g->since_us;
		must(w, g->state != BREAKER_OPEN || before, "%s starts, and breaker %s is open",
			name_of(a->run, a->task), g->name);
		bool uses = dags_task(a->run, a->task)->part == PART_COMMAND;
		a->era[i] = g->era;
		a->probe[i] = g->state == BREAKER_HALF_OPEN && uses;
		must(w, g->state != BREAKER_HALF_OPEN || g->probing + g->passed < g->policy.probes,
			"%s starts, and %d probes of breaker %s are enough",
			name_of(a->run, a->task), g->policy.probes, g->name);
		g->probing += a->probe[i];
		count_ramp(w, g, a, c->at_us);
	}
}

/* In other words than core/retry.c. */
static bool is_permanent(const struct attempt *a)
{
	const struct retry_policy *p = &row_def(a->run, a->task)->retry;
	int status = a->exit_status;

	if (a->permanent)
		return true;
	if (a->recorded != OUTCOME_FAILED || status < 0)
		return false;
	return (p->fail_on.bits[0] >> status & 1) ||
	       (p->retry_on.given && !(p->retry_on.bits[0] >> status & 1));
}

static bool counts(const struct fuse *g, const struct attempt *a)
{
	unsigned class = a->recorded == OUTCOME_TIMEOUT ? BREAKER_TIMEOUT
			 : is_permanent(a)              ? BREAKER_PERMANENT
							: BREAKER_TRANSIENT;

	return g->policy.counts >> class & 1;
}

static void end_of(struct sim *w, struct fuse *g, struct attempt *a, const struct change *c)
{
	int i = (int)(g - w->fuses);
	/* What fails while its run is being cancelled says nothing. */
	bool failed = !a->run->stopping &&
		      (a->recorded == OUTCOME_FAILED || a->recorded == OUTCOME_TIMEOUT);
	bool bad = failed && counts(g, a) && dags_task(a->run, a->task)->part == PART_COMMAND;
	bool uses = dags_task(a->run, a->task)->part == PART_COMMAND;
	bool same = uses && a->era[i] == g->era && a->incarnation == w->actors[0].incarnation;

	if (same && a->probe[i] && g->state == BREAKER_HALF_OPEN) {
		g->probing--;
		g->passed += a->recorded == OUTCOME_SUCCESS || (failed && !bad);
		g->failed += bad;
	}
	if (!bad)
		return;
	g->failures[g->nfailures++ % SIM_FAILURES] = (struct sim_failure){ .at_us = c->at_us,
		.era = g->era,
		.sure = same && !a->probe[i] && !a->run->cancelling && !a->run->halted };
	int sure = recent(g, c->at_us - g->policy.window_us * 15 / 16, true);
	g->must_open |= g->policy.failures && g->state == BREAKER_CLOSED && w->latest_us == 0 &&
			sure >= g->policy.failures;
}

/* ---- quality -------------------------------------------------------------------------- */

double fuses_score(const struct sim *w, const struct attempt *a)
{
	static const double scores[] = { -1, 0.5, 0.95, 1 };
	uint64_t run = (uint64_t)(a->run - w->runs);

	return row_def(a->run, a->task)->quality_breaker
		       ? scores[world_draw(w, 200 + run, (uint64_t)a->task, (uint64_t)a->try) % 4]
		       : -1;
}

static void check_judged(struct sim *w, struct fuse *g)
{
	must(w, g->judged == JUDGED_NOT || !g->judged_sure,
		"checks scored %s, and breaker %s is %s", g->judged == JUDGED_LOW ? "low" : "well",
		g->name, breaker_state_name(g->state));
	g->judged = JUDGED_NOT;
}

/* What its checks say counts however it ended, and whoever took it over; not what a cancel has
 * stopped. */
static void judge_score(struct sim *w, const struct attempt *a, const struct change *c)
{
	const struct task *def = row_def(a->run, a->task);
	bool failed = a->recorded == OUTCOME_FAILED && !a->run->stopping;

	if (!a->reported || (!failed && a->recorded != OUTCOME_SUCCESS))
		return;
	struct fuse *g = fuses_find(w, def->quality_breaker);
	bool low = a->score < def->score_below;
	check_judged(w, g);
	if (low == (g->state == BREAKER_OPEN))
		return;
	g->judged = low ? JUDGED_LOW : JUDGED_GOOD;
	/* What a person said since goes before. */
	g->judged_sure = (!g->told_us || (c->at_us > g->told_us && w->latest_us == 0)) &&
			 (!failed || (!a->run->cancelling && !a->run->halted));
}

void fuses_end(struct sim *w, struct attempt *a, const struct change *c)
{
	judge_score(w, a, c);
	for (int i = 0; i < w->nfuses; i++)
		if (has(a->run, a->task, &w->fuses[i]))
			end_of(w, &w->fuses[i], a, c);
}

/* Behind a commit. */
void fuses_check(struct sim *w)
{
	for (int i = 0; i < w->nfuses; i++) {
		struct fuse *g = &w->fuses[i];
		must(w, !g->must_open || g->state != BREAKER_CLOSED,
			"breaker %s stays closed after %d failures", g->name, g->policy.failures);
		g->must_open = false;
		check_judged(w, g);
	}
}

/* Another process has nothing of what the former one had in flight. */
void fuses_begin(struct sim *w)
{
	for (int i = 0; i < w->nfuses; i++) {
		struct fuse *g = &w->fuses[i];
		g->probing = g->passed = g->failed = 0;
		memset(g->starts, 0, sizeof g->starts);
	}
}

/* ---- tasks ---------------------------------------------------------------------------- */

void fuses_stop(struct sim *w, const struct trun *r, int task, const struct change *c)
{
	static const enum task_state states[ON_OPEN_MAX] = { TASK_HELD, TASK_SKIPPED, TASK_FAILED };
	const struct fuse *g = fuses_find(w, c->detail);
	enum task_state to = states[row_def(r, task)->on_open];

	must(w, has(r, task, g), "%s is stopped by breaker %s, and has nothing to do with it",
		name_of(r, task), g->name);
	must(w, truth_verdict(r, task) == TASK_RUNNING, "%s is stopped, and was not to run",
		name_of(r, task));
	if (g->state == BREAKER_CLOSED)
		must(w, g->ramps && c->state.to == TASK_HELD,
			"%s is %s by breaker %s, which is closed", name_of(r, task),
			task_state_name(c->state.to), g->name);
	else
		must(w, c->state.to == to, "%s is %s by breaker %s, not %s", name_of(r, task),
			task_state_name(c->state.to), g->name, task_state_name(to));
}

/* Held, and nothing lets it go: not by a timer, nor by an attempt that ends. */
void fuses_check_held(struct sim *w, const struct actor *n, const struct trun *r, int task)
{
	int64_t wake = sched_wake_us(n->engine->sched), now = world_wall(w);
	struct task_view v;

	int live = sched_find_task(
		n->engine->sched, r->id, row_def(r, task)->index, row_map_index(task));
	must(w, sched_task_view(n->engine->sched, r->id, live, &v), "%s has forgotten %s", n->name,
		name_of(r, task));
	must(w, v.breaker, "%s is held, and nobody holds it", name_of(r, task));
	const struct fuse *g = fuses_find(w, v.breaker);
	int64_t until = g->state == BREAKER_OPEN ? g->until_us : now + 2 * SIM_S;
	if (g->forced ||
		(g->state == BREAKER_HALF_OPEN && g->probing + g->passed >= g->policy.probes))
		return;
	must(w, wake <= (until > now ? until : now) + SIM_S,
		"%s is held by breaker %s, and %s sleeps longer", name_of(r, task), g->name,
		n->name);
}
