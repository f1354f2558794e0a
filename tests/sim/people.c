/* What people ask of runs: of a daemon, or at the command line beside it.
 *
 * Both go the way of run/ops.h: within the daemon that has the run in hand, or on the store, by a
 * process of its own that may die or sleep at any call. Each is asked with --dry-run first.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "core/sched.h"
#include "run/ops.h"
#include "tests/sim/sim.h"

static bool is_well(const struct sim *w)
{
	return w->now_us >= w->store_down_us && w->now_us >= w->flaky_us;
}

/* ---- what is asked -------------------------------------------------------------------- */

/* Mostly tasks of which it can be asked; now and then any. */
static int pick_task(const struct ask *q, struct rng *r)
{
	int n = q->run->dag->dag->ntasks, first = (int)rng_below(r, (uint64_t)n);
	bool any = rng_below(r, 12) == 0;

	for (int i = 0; i < n; i++)
		if (any || asked_may(q, (first + i) % n))
			return (first + i) % n;
	return first;
}

/* Nothing but teardowns is left in it. */
static bool takes_down(const struct trun *r)
{
	int n = 0;

	for (int i = 0; i < r->dag->dag->ntasks; i++) {
		if (task_state_is_final(r->tasks[i].state))
			continue;
		if (!r->dag->dag->tasks[i].teardown)
			return false;
		n++;
	}
	return n > 0;
}

/* Mostly one for which there are tasks. */
static void pick_verb(struct ask *q, struct rng *r)
{
	static const enum task_state marks[] = { TASK_SUCCESS, TASK_FAILED, TASK_SKIPPED };
	int first = (int)rng_below(r, REQUEST_MAX);
	bool any = rng_below(r, 6) == 0;

	q->mark = marks[rng_below(r, 3)];
	/* What waits for its next try does not do so for long. */
	if (rng_below(r, 3) == 0)
		first = takes_down(q->run) ? REQUEST_CANCEL : REQUEST_END_RETRIES;
	for (int v = 0; v < REQUEST_MAX; v++) {
		q->verb = (enum request_verb)((first + v) % REQUEST_MAX);
		for (int i = 0; i < q->run->dag->dag->ntasks; i++)
			if (any || asked_may(q, i))
				return;
	}
}

static void fill(struct ask *q)
{
	bool again;
	struct rng r;

	rng_init(&r, q->draw);
	pick_verb(q, &r);
	again = q->verb == REQUEST_RETRY || q->verb == REQUEST_CLEAR;
	q->hard = rng_below(&r, 3) == 0;
	q->downstream = again && rng_below(&r, 2);
	q->failed = q->verb == REQUEST_RETRY && rng_below(&r, 3) == 0;
	q->outputs = q->verb == REQUEST_SET_OUTPUT ||
		     (q->verb == REQUEST_MARK && q->mark == TASK_SUCCESS && rng_below(&r, 2));
	q->ntasks = q->outputs ? 1 : 1 + (int)rng_below(&r, SIM_NAMED);
	if ((q->verb == REQUEST_RETRY && rng_below(&r, 3) == 0) ||
		(q->verb == REQUEST_CANCEL && rng_below(&r, 2)))
		q->ntasks = 0;
	if (q->ntasks == 0)
		q->downstream = false;
	for (int i = 0; i < q->ntasks; i++)
		q->tasks[i] = pick_task(q, &r);
}

static void tell(struct sim *w, const struct ask *q)
{
	const struct dag *dag = q->run->dag->dag;
	char names[64];
	int n = 0;

	if (q->fuse) {
		say(w, "somebody", "%s (%d) breaker %s", q->approves ? "opens" : "closes",
			q->number, q->fuse->name);
		return;
	}
	if (q->verb == REQUEST_MAX) {
		say(w, "somebody", "%s (%d) %s of %s", q->approves ? "approves" : "rejects",
			q->number, dag->tasks[q->tasks[0]].name, q->run->name);
		return;
	}
	names[0] = '\0';
	for (int i = 0; i < q->ntasks; i++)
		n += snprintf(
			names + n, sizeof names - (size_t)n, " %s", dag->tasks[q->tasks[i]].name);
	say(w, "somebody", "asks (%d) to %s %s%s%s%s%s%s%s", q->number, request_name(q->verb),
		q->run->name, names, q->downstream ? " --downstream" : "",
		q->failed ? " --failed" : "", q->verb == REQUEST_MARK ? " " : "",
		q->verb == REQUEST_MARK ? task_state_name(q->mark) : "",
		q->verb == REQUEST_CANCEL && q->hard ? " at once" : "");
}

/* Who has the run in hand is asked, or thinks so; or any daemon. */
static struct actor *whom(struct sim *w, const struct trun *r, uint64_t draw)
{
	struct actor *any = &w->actors[draw % (uint64_t)w->nactors];

	for (int i = 0; r && draw & 64 && i < w->nactors; i++) {
		struct actor *n = &w->actors[i];
		if (n != r->owner && n->begun && actor_is_up(n) && engine_find(n->engine, r->id))
			return n;
	}
	return r && r->owner && !r->owner->is_person ? r->owner : any;
}

/* Somebody does it on the store when no daemon is up, and now and then all the same. */
static void send(struct sim *w, struct ask *q)
{
	const struct trun *r = q->run;
	struct actor *n = whom(w, r, q->draw >> 28);
	bool beside = !actor_is_up(n) || (!q->fuse && (q->draw >> 24) % (r->owner ? 12 : 3) == 0);

	/* One at a time; and whoever finds the store out of order comes again. */
	if ((beside && w->person.up_us != INT64_MAX) || (!beside && n->work & WORK_ASK) ||
		(w->now_us < w->store_down_us && (q->draw >> 20) % 8)) {
		w->nasks--;
		return;
	}
	tell(w, q);
	if (beside) {
		w->person.ask = q;
		actor_send_person(w);
	} else {
		n->ask = q;
		n->work |= WORK_ASK;
	}
}

static struct ask *new_ask(struct sim *w, struct trun *r, uint64_t draw)
{
	must(w, w->nasks < SIM_ASKS, "too many requests");
	struct ask *q = &w->asks[w->nasks];
	*q = (struct ask){ .number = ++w->nasks, .run = r, .draw = draw };
	return q;
}

/* Mostly of what waits for a decision. */
static void decide(struct sim *w, uint64_t draw)
{
	struct trun *r = NULL;
	int task = 0;

	for (int i = 0; i < w->nruns; i++)
		for (int t = 0; t < w->runs[i].dag->dag->ntasks; t++) {
			bool waits = w->runs[i].tasks[t].state == TASK_AWAITING_INPUT;
			bool open = w->runs[i].tasks[t].decision == DECISION_NONE;
			bool any = draw >> 33 & 1 && !w->calmed;
			if (dags_task(&w->runs[i], t)->part != PART_APPROVAL ||
				!(any || (waits && open)))
				continue;
			r = &w->runs[i];
			task = t;
		}
	if (!r)
		return;
	struct ask *q = new_ask(w, r, draw);
	q->verb = REQUEST_MAX;
	q->approves = draw >> 34 & 1;
	q->tasks[q->ntasks++] = task;
	send(w, q);
}

static void ask_fuse(struct sim *w, uint64_t draw)
{
	struct fuse *g = w->nfuses ? &w->fuses[(draw >> 38) % SIM_FUSES] : NULL;

	/* What a person has opened a person closes. */
	for (int i = 0; i < w->nfuses && w->calmed; i++)
		g = w->fuses[i].forced ? &w->fuses[i] : g;
	if (!g || !w->nruns || (w->calmed && !g->forced))
		return;
	struct ask *q = new_ask(w, &w->runs[0], draw);
	q->verb = REQUEST_MAX;
	q->fuse = g;
	q->approves = !g->forced && draw >> 37 & 1;
	send(w, q);
}

/* One that was to be tried again when it was held is rare. */
static struct trun *find_held(struct sim *w, int *ret_task)
{
	for (int i = 0; i < w->nruns; i++)
		for (int t = 0; t < w->runs[i].dag->dag->ntasks; t++) {
			const struct ttask *task = &w->runs[i].tasks[t];
			if (w->runs[i].dag->mapped < 0 && task->state == TASK_HELD &&
				task->failures + task->lost > 0) {
				*ret_task = t;
				return &w->runs[i];
			}
		}
	return NULL;
}

void people_ask(struct sim *w, const struct fault *f, struct trun *r)
{
	int task;
	struct trun *held = find_held(w, &task);

	r = held ? held : r;
	for (int i = 0; r && r->dag->mapped >= 0 && i < w->nruns; i++)
		r = &w->runs[(f->draw + (uint64_t)i) % (uint64_t)w->nruns];
	if (f->kind == FAULT_DECIDE) {
		decide(w, f->draw);
	} else if (f->kind == FAULT_FUSE) {
		ask_fuse(w, f->draw);
	} else if (r && r->dag->mapped < 0) { /* of those tests/prop/prop_map.c asks */
		struct ask *q = new_ask(w, r, f->draw);
		fill(q);
		if (held && f->draw >> 35 & 1) {
			q->verb = REQUEST_END_RETRIES;
			q->tasks[0] = task;
			q->ntasks = 1;
			q->downstream = q->failed = q->outputs = false;
		}
		send(w, q);
	}
}

void people_decide(struct sim *w)
{
	w->decide_us += DECIDE_US;
	decide(w, world_draw(w, 9, (uint64_t)w->nasks, (uint64_t)w->now_us));
	ask_fuse(w, world_draw(w, 10, (uint64_t)w->nasks, (uint64_t)w->now_us));
}

/* ---- asking --------------------------------------------------------------------------- */

/* As run/daemon_request.c does it. */
static int hand_find(void *arg, int64_t run_id, struct sched **ret, struct err *err)
{
	struct actor *n = arg;

	if (n->engine->failed || n->engine->retry_us)
		return err_set(err, ERR_BUSY, "the store cannot be written now; try again");
	*ret = n->engine->sched;
	return engine_find(n->engine, run_id) != NULL;
}

static int hand_carry_out(void *arg, const struct audit_row *request, struct err *err)
{
	struct actor *n = arg;

	return engine_request(n->engine, request, err);
}

static void hand_look(void *arg, int64_t run_id, const char *task)
{
	struct actor *n = arg;
	const struct active_run *r = engine_find(n->engine, run_id);
	const struct task *t = r ? dag_find(r->dag, task) : NULL;

	if (t && sched_ask_again(n->engine->sched, run_id, t->index))
		engine_step(n->engine);
}

static struct dag *find_dag(void *arg, const char *name, struct err *err)
{
	struct actor *n = arg;
	struct sim_dag *d = dags_find(n->w, name);

	(void)err;
	return dag_ref(d->dag);
}

static struct dag *load_version(void *arg, const struct run_row *run, struct err *err)
{
	return find_dag(arg, run->dag, err);
}

/* The plan is to be the deed, if nothing comes between. */
static void keep_plan(struct actor *n, struct ask *q, const json_t *answer)
{
	const json_t *list = json_object_get(answer, "tasks"), *t;
	size_t i;

	q->planned = true;
	q->planned_at = q->run->ncommits;
	json_array_foreach((json_t *)list, i, t)
	{
		const char *name = json_string_value(json_object_get(t, "task")),
			   *effect = json_string_value(json_object_get(t, "effect"));
		struct ask_effect *p = &q->plan[dag_find(q->run->dag->dag, name)->index];
		for (int e = 0; e < EFFECT_MAX; e++)
			if (strcmp(effect, request_effect_name((enum request_effect)e)) == 0)
				p->effect = (enum request_effect)e;
		must(n->w, p->effect != EFFECT_NONE, "a plan says %s of %s", effect, name);
		p->to = (enum task_state)task_state_by_name(
			json_string_value(json_object_get(t, "to")));
	}
}

/* What the model says can be asked must not be refused where the run is in hand, nor the other way
 * round. */
static void check_refusal(struct actor *n, const struct ask *q, int rc, const struct err *err)
{
	struct sim *w = n->w;
	bool in_hand = n->begun && engine_find(n->engine, q->run->id) && q->run->owner == n &&
		       !n->engine->retry_us;

	if (rc == 0)
		must(w, asked_may_all(q), "request %d is planned, and cannot be asked", q->number);
	else if (in_hand && err->code == ERR_REFUSED)
		must(w,
			!asked_may_all(q) || q->run->cancelling ||
				(q->ntasks > 0 && strstr(err->msg, "again at once")),

			"request %d is refused, and can be asked: %s", q->number, err->msg);
	else if (in_hand && is_well(w))
		must(w, err->code == ERR_BUSY, "request %d fails: %s", q->number, err->msg);
}

static bool is_current(const struct actor *n, const struct ask *q)
{
	const struct active_run *a = n->begun ? engine_find(n->engine, q->run->id) : NULL;

	return !a || a->epoch == q->run->epoch;
}

static void plan(struct actor *n, const struct ops *o, struct ops_request *request, struct ask *q)
{
	struct err err = { 0 };
	json_t *answer = NULL;
	bool was = n->sheltered;

	n->sheltered = true;
	request->dry_run = true;
	int rc = ops_request(o, request, &answer, &err);
	request->dry_run = false;
	n->sheltered = was;
	/* Who has lost the run and does not know yet plans with what was. */
	if (is_current(n, q))
		check_refusal(n, q, rc, &err);
	if (rc == 0 && is_current(n, q))
		keep_plan(n, q, answer);
	json_decref(answer);
}

/* As run/daemon.c does it. */
static void each_breaker(void *arg, void (*fn)(void *ctx, const struct sched_breaker *b), void *ctx)
{
	struct actor *n = arg;

	sched_each_breaker(n->engine->sched, fn, ctx);
}

static void breaker_set(void *arg, const char *name, const char *text)
{
	struct actor *n = arg;

	sched_load_breaker(n->engine->sched, name, text, clock_now_us());
	engine_step(n->engine);
}

static const struct alerts *alerts(void *arg)
{
	return outbox_alerts(((struct actor *)arg)->w);
}

static int do_fuse(const struct ops *o, const struct ask *q, const char *reason, struct err *err)
{
	json_t *answer = NULL;
	int rc = ops_breaker_set(o, q->fuse->name, q->approves, reason, &answer, err);
	/* It is so already: nothing is said. */
	bool changed = json_is_true(json_object_get(answer, "changed"));

	json_decref(answer);
	return rc < 0 ? -1 : changed || q->applied;
}

static int do_decide(const struct ops *o, const struct ask *q, const char *reason, struct err *err)
{
	struct sim *w = ((struct actor *)o->arg)->w;
	const struct ttask *t = &q->run->tasks[q->tasks[0]];
	json_t *answer = NULL;
	char run[24];

	snprintf(run, sizeof run, "%" PRId64, q->run->id);
	const struct ops_decision d = { .run = run,
		.task = q->run->dag->dag->tasks[q->tasks[0]].name,
		.reason = reason,
		.approved = q->approves };
	bool may = t->state == TASK_AWAITING_INPUT && t->decision == DECISION_NONE;
	int64_t before = w->now_us;
	int rc = ops_decide(o, &d, &answer, err);
	json_decref(answer);
	/* Nothing came between. */
	if (rc < 0 && err->code == ERR_REFUSED && w->now_us - before < SIM_MS)
		must(w, !may, "request %d is refused, and can be asked: %s", q->number, err->msg);
	return rc;
}

static int do_request(
	struct actor *n, const struct ops *o, struct ask *q, const char *reason, struct err *err)
{
	const char *tasks[SIM_NAMED + 1] = { NULL };
	json_t *answer = NULL, *outputs = NULL;
	char run[24];

	snprintf(run, sizeof run, "%" PRId64, q->run->id);
	for (int i = 0; i < q->ntasks; i++)
		tasks[i] = q->run->dag->dag->tasks[q->tasks[i]].name;
	if (q->outputs)
		outputs = json_pack("{s:i}", "asked", q->number);
	struct ops_request request = { .verb = q->verb,
		.run = run,
		.tasks = q->ntasks ? tasks : NULL,
		.downstream = q->downstream,
		.failed = q->failed,
		.hard = q->hard,
		.mark = q->mark,
		.outputs = outputs,
		.reason = reason };
	disk_push_aside(q->run);
	plan(n, o, &request, q);
	int rc = ops_request(o, &request, &answer, err);
	json_decref(outputs);
	json_decref(answer);
	return rc;
}

void people_do(struct actor *n, struct ask *q)
{
	static const struct ops_hand hand = {
		.find = hand_find, .carry_out = hand_carry_out, .look = hand_look
	};
	const struct ops o = { .store = n->w->base,
		.find_dag = find_dag,
		.load_version = load_version,
		.alerts = alerts,
		.hand = n->begun ? &hand : NULL,
		.each_breaker = n->begun ? each_breaker : NULL,
		.breaker_set = n->begun ? breaker_set : NULL,
		.arg = n,
		.by = "somebody@sim" };
	struct err err = { 0 };
	char reason[24];

	snprintf(reason, sizeof reason, "ask %d.", q->number);
	int rc = q->fuse                  ? do_fuse(&o, q, reason, &err)
		 : q->verb == REQUEST_MAX ? do_decide(&o, q, reason, &err)
					  : do_request(n, &o, q, reason, &err);
	asked_answer(n->w, q, rc, &err);
}
