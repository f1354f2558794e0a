/* Why: tasks, and what they need. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/node.h"
#include "conf/dagfile.h"
#include "core/breaker.h"
#include "core/model.h"
#include "run/why_walk.h"
#include "store/store.h"

enum { CHAIN_SHOWN = 2, TRIES_SHOWN = 3, FRONTIER_MAX = 8, INSTANCES_MAX = 5, TEXT_SIZE = 1024 };

/* What is told of a run, the most telling first. */
static const enum task_state telling_states[] = { TASK_FAILED, TASK_UP_FOR_RETRY, TASK_HELD,
	TASK_AWAITING_INPUT, TASK_DEFERRED, TASK_QUEUED, TASK_RUNNING, TASK_SCHEDULED,
	TASK_CANCELLED, TASK_NONE };

struct why_walk *why_walk_new(struct why *w, const struct why_facts *f)
{
	struct why_walk *k = calloc(1, sizeof *k);
	size_t ndag = f->dag ? (size_t)f->dag->ntasks : 0;

	if (!k)
		return NULL;
	*k = (struct why_walk){ .w = w, .f = f };
	k->index = calloc(f->ntasks + 1, sizeof *k->index);
	k->instances = calloc(f->ntasks + 1, sizeof *k->instances);
	k->row = calloc(ndag + 1, sizeof *k->row);
	k->node = calloc(f->ntasks + 1, sizeof(struct why_node *));
	k->queue = calloc(f->ntasks + 1, sizeof *k->queue);
	k->parent = calloc(f->ntasks + 1, sizeof *k->parent);
	k->mark = calloc(f->ntasks + 1, sizeof *k->mark);
	if (!k->index || !k->instances || !k->row || !k->node || !k->queue || !k->parent ||
		!k->mark) {
		why_walk_free(k);
		return NULL;
	}
	for (size_t i = 0; i < ndag; i++)
		k->row[i] = f->ntasks;
	for (size_t i = 0, whole = 0; i < f->ntasks; i++) {
		const struct task *t = f->dag ? dag_find(f->dag, f->tasks[i].name) : NULL;
		k->index[i] = t ? t->index : -1;
		if (f->tasks[i].map_index >= 0) {
			k->instances[whole]++;
			continue;
		}
		whole = i;
		if (t)
			k->row[t->index] = i;
	}
	return k;
}

void why_walk_free(struct why_walk *k)
{
	if (!k)
		return;
	free(k->index);
	free(k->instances);
	free(k->row);
	free(k->node);
	free(k->queue);
	free(k->parent);
	free(k->mark);
	free(k);
}

static enum why_follow follow_of(const struct why_walk *k, const struct task_row *t)
{
	const struct why_row *row = why_row(t->state, why_reason(k, t));

	return row ? row->follow : FOLLOW_NOTHING;
}

/* ---- what a person can do ------------------------------------------------------------- */

/* "RUN TASK", as a shell reads it. */
static const char *run_task(const struct telling *t)
{
	const struct why_facts *f = t->k->f;

	return why_printf(t->k->w, "%s %s", f->run ? why_word(t->k->w, f->run->name) : "",
		why_word(t->k->w, why_label(t->k->w, t->row)));
}

/* A run that no daemon has is taken up again in the foreground. NULL: its date is not known. */
static const char *run_again(struct why *w, const struct why_facts *f)
{
	const struct run_row *r = f->run;
	size_t n = r->ds ? strlen(r->ds) : 0, len = strlen(r->name);

	/* The interval of one that datasets started is that of no date. */
	bool dated = n && len >= n && strcmp(r->name + len - n, r->ds) == 0 &&
		     !(r->trigger && strcmp(r->trigger, "dataset") == 0);

	if (r->wanted || f->live || !r->dag_path || !dated)
		return NULL;
	return why_printf(w, "%s --date %s", why_word(w, r->dag_path), r->ds);
}

static void add_retry(const struct telling *t, const char *words)
{
	const struct why_facts *f = t->k->f;
	const char *again = run_state_is_final(f->run->state) ? run_again(t->k->w, f) : NULL;

	why_step(t->k->w, &(struct why_step){ again ? "run" : "retry", again ? again : words,
				  again ? "what is not done, again" : "do it again" });
}

/* The words of an approval, with the fields that must be given. */
static const char *with_fields(const struct telling *t, const char *words)
{
	json_t *list = t->def ? dagfile_form_fields(node_get(t->def->with, "fields")) : NULL, *f;
	size_t i;

	json_array_foreach(list, i, f) if (!why_get(f, "default")) words = why_printf(
		t->k->w, "%s --field %s=%s", words, why_get(f, "name"), why_get(f, "type"));
	json_decref(list);
	return words;
}

static void add_steps(const struct telling *t)
{
	struct why *w = t->k->w;
	const struct why_facts *f = t->k->f;
	const char *words = run_task(t);

	switch (t->row->state) {
	case TASK_FAILED:
		/* A mapped task has no log, but its instances have. */
		if (t->row->tries)
			why_step(w, &(struct why_step){ "logs", words, "what it said" });
		add_retry(t, words);
		break;
	case TASK_UP_FOR_RETRY:
		why_step(w, &(struct why_step){ "logs", words, "what it said" });
		/* Nothing is asked of a run that another process has in hand. */
		if (!f->run->owner.pid || f->abandoned ||
			(f->live && why_int(f->live, "pid") == f->run->owner.pid))
			why_step(w, &(struct why_step){ "end-retries", words, "do not try again" });
		break;
	case TASK_RUNNING:
		why_step(w, &(struct why_step){
				    "logs", why_printf(w, "%s -f", words), "what it says" });
		break;
	case TASK_HELD:
		if (t->row->reason == REASON_FROZEN)
			why_step(w, &(struct why_step){ "freeze",
					    why_printf(w, "%s.%s --off", why_word(w, f->run->dag),
						    why_word(w, t->row->name)),
					    "let it go on" });
		else if (t->row->reason == REASON_BREAKER_OPEN)
			why_step(w, &(struct why_step){
					    "breaker", "list", "what is open, and what it holds" });
		break;
	case TASK_AWAITING_INPUT:
		why_step(w, &(struct why_step){ "approve", with_fields(t, words), "let it go on" });
		why_step(w, &(struct why_step){ "reject", words, "do not" });
		break;
	case TASK_QUEUED:
		if (why_reason(t->k, t->row) == REASON_POOL_FULL)
			why_step(w, &(struct why_step){ "pools", "", "who holds what" });
		break;
	case TASK_CANCELLED:
		add_retry(t, words);
		break;
	default:
		break;
	}
}

/* ---- attempts ------------------------------------------------------------------------- */

/* The last line of its error, but for what `end` says already; NULL: nothing more is known. */
static const char *error_of(struct why *w, const struct attempt_row *a)
{
	const char *line = a ? why_last_line(w, a->error) : NULL;
	struct buf end;

	if (!line)
		return NULL;
	buf_init(&end, TEXT_SIZE);
	why_add_end(a, &end);
	if (strncmp(line, end.data, end.len) == 0)
		line = strncmp(line + end.len, ": ", 2) == 0 ? line + end.len + 2 : NULL;
	buf_release(&end);
	return line;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_end(const struct attempt_row *a, const struct attempt_row *b)
{
	return a->outcome == b->outcome && a->exit_status == b->exit_status &&
	       a->signal == b->signal && same_text(a->error, b->error);
}

static const char *log_of(const struct telling *t, const struct attempt_row *a)
{
	const struct why_source *s = &t->k->f->source;

	return a && s->log ? s->log(s->arg, a) : NULL;
}

/* Tries that ended alike, from `first` to `last`, as one. */
static void add_tries(const struct telling *t, struct why_node *under,
	const struct attempt_row *first, const struct attempt_row *last)
{
	struct why *w = t->k->w;
	struct buf text;

	buf_init(&text, TEXT_SIZE);
	if (last->outcome == OUTCOME_SUCCESS)
		buf_addstr(&text, "succeeded");
	else
		why_add_end(last, &text);
	why_add(w, under,
		&(struct why_node){ .kind = WHY_ATTEMPT,
			.subject = first == last
					   ? why_printf(w, "try %d", last->try)
					   : why_printf(w, "tries %d to %d", first->try, last->try),
			.state = outcome_name(last->outcome),
			.text = why_printf(w, "%s", text.data),
			.detail = error_of(w, last),
			.log = log_of(t, last),
			.since_us = last->ended_us ? last->ended_us : last->started_us });
	buf_release(&text);
}

/* Those before the last one, which the task tells itself; the newest first. What came before a few
 * is counted. */
static void follow_attempts(const struct telling *t, struct why_node *under)
{
	size_t end = t->nattempts ? t->nattempts - 1 : 0, shown = 0;

	while (end > 0 && shown++ < TRIES_SHOWN) {
		size_t first = end - 1;
		while (first > 0 && same_end(&t->attempts[first - 1], &t->attempts[end - 1]))
			first--;
		add_tries(t, under, &t->attempts[first], &t->attempts[end - 1]);
		end = first;
	}
	if (end > 0)
		why_add(t->k->w, under,
			&(struct why_node){ .kind = WHY_MORE,
				.subject = why_printf(t->k->w, "%zu more", end),
				.text = "before these" });
}

/* ---- who is in the way ---------------------------------------------------------------- */

/* A task of any run that has what is waited for. */
static void add_holder(struct why_walk *k, struct why_node *under, const json_t *h)
{
	const char *run = why_get(h, "run"), *task = why_get(h, "task");
	const struct why_source *s = &k->f->source;
	long long slots = why_int(h, "slots");

	if (!run || !task)
		return;
	why_add(k->w, under,
		&(struct why_node){ .kind = WHY_TASK,
			.subject = why_printf(k->w, "%s %s", run, task),
			.state = task_state_name(TASK_RUNNING),
			.text = slots > 0 ? why_printf(k->w, "has %lld slot%s", slots,
						    slots == 1 ? "" : "s")
					  : "runs",
			.since_us = s->since ? s->since(s->arg, run, task) : 0 });
	why_step(k->w,
		&(struct why_step){ "logs",
			why_printf(k->w, "%s %s -f", why_word(k->w, run), why_word(k->w, task)),
			"what holds it up" });
}

static void add_holders(
	struct why_walk *k, struct why_node *under, const json_t *list, long long all)
{
	size_t n = json_array_size(list), shown = n < WHY_ROOTS_MAX ? n : WHY_ROOTS_MAX;

	for (size_t i = 0; i < shown; i++)
		add_holder(k, under, json_array_get(list, i));
	if (all > (long long)shown)
		why_add(k->w, under,
			&(struct why_node){ .kind = WHY_MORE,
				.subject = why_printf(k->w, "%lld more", all - (long long)shown),
				.text = "that hold the others" });
}

/* Where no daemon can say: what runs in this very run. */
static void add_own_running(struct why_walk *k, struct why_node *under, const char *pool)
{
	int shown = 0;

	for (size_t i = 0; i < k->f->ntasks && shown < WHY_ROOTS_MAX; i++) {
		const struct task *def = why_def(k, i);
		if (k->f->tasks[i].state != TASK_RUNNING ||
			(pool && (!def || !def->pool || strcmp(def->pool, pool) != 0)))
			continue;
		why_task(k, under, i);
		shown++;
	}
}

static void follow_pool(const struct telling *t, struct why_node *under)
{
	struct why *w = t->k->w;
	const char *pool = t->def ? t->def->pool : NULL;
	const json_t *list = json_object_get(t->k->f->live, "pools"), *p = NULL;
	size_t i;

	if (!pool)
		return;
	for (i = 0; i < json_array_size(list); i++) {
		const char *name = why_get(json_array_get(list, i), "pool");
		if (name && strcmp(name, pool) == 0)
			p = json_array_get(list, i);
	}
	struct why_node n = { .kind = WHY_POOL, .subject = why_printf(w, "pool %s", pool) };
	if (!p) {
		n.text = "is full, of what this run knows";
		add_own_running(t->k, why_add(w, under, &n), pool);
		return;
	}
	n.text = why_printf(w, "%lld of %lld slots are taken, %lld task%s wait%s for it",
		why_int(p, "used"), why_int(p, "slots"), why_int(p, "waiting"),
		why_int(p, "waiting") == 1 ? "" : "s", why_int(p, "waiting") == 1 ? "s" : "");
	if (why_int(p, "slots") == 0)
		n.text = "has no slots: weir.yaml gives it none";
	add_holders(
		t->k, why_add(w, under, &n), json_object_get(p, "held_by"), why_int(p, "running"));
}

static const struct breaker_row *breaker_row(const struct why_facts *f, const char *name)
{
	for (size_t i = 0; i < f->nbreakers; i++)
		if (strcmp(f->breakers[i].name, name) == 0)
			return &f->breakers[i];
	return NULL;
}

static void add_breaker(const struct telling *t, const char *name, struct why_node *under)
{
	struct why *w = t->k->w;
	const struct breaker_row *row = breaker_row(t->k->f, name);
	struct why_node n = { .kind = WHY_BREAKER, .subject = why_printf(w, "breaker %s", name) };
	struct breaker b;

	if (!row || row->state == BREAKER_CLOSED)
		return;
	n.state = breaker_state_name(row->state);
	n.reason = reason_name(row->why);
	n.text = why_printf(w, "is %s: %s%s%s",
		row->state == BREAKER_OPEN ? "open" : "half-open, probes find out",
		reason_text(row->why), row->by ? ", " : "", row->by ? row->by : "");
	n.detail = row->reason;
	n.since_us = row->since_us;
	if (breaker_parse(row->text, &b) && b.state == BREAKER_OPEN && b.until_us != INT64_MAX)
		n.until_us = b.until_us;
	why_add(w, under, &n);
}

static void follow_breaker(const struct telling *t, struct why_node *under)
{
	for (size_t i = 0; t->def && t->def->breakers && t->def->breakers[i]; i++)
		add_breaker(t, t->def->breakers[i], under);
}

static void follow_slots(const struct telling *t, struct why_node *under)
{
	struct why *w = t->k->w;
	const struct why_facts *f = t->k->f;
	const struct backfill_row *b = f->backfill;
	struct why_node n = { .kind = WHY_SLOTS, .subject = "job slots" };

	if (b) {
		n = (struct why_node){ .kind = WHY_BACKFILL,
			.subject = why_printf(w, "backfill %lld", (long long)b->id),
			.text = why_printf(w, "does at most %d task%s at once", b->jobs,
				b->jobs == 1 ? "" : "s") };
		add_own_running(t->k, why_add(w, under, &n), NULL);
		why_step(
			w, &(struct why_step){ "backfill",
				   why_printf(w, "show %lld", (long long)b->id), "how far it is" });
	} else if (f->live) {
		long long used = why_int(f->live, "running"), jobs = why_int(f->live, "jobs");
		n.text = used < jobs
				 ? why_printf(w, "%lld of %lld are taken; it is next", used, jobs)
				 : why_printf(w, "all %lld are taken (weir daemon --jobs)", jobs);
		add_holders(t->k, why_add(w, under, &n), json_object_get(f->live, "tasks"), used);
	} else {
		n.text = "all of this run are taken (weir run --jobs)";
		add_own_running(t->k, why_add(w, under, &n), NULL);
	}
}

static void follow_limit(const struct telling *t, struct why_node *under)
{
	const json_t *list = json_object_get(t->k->f->live, "dag_tasks");

	if (json_array_size(list))
		add_holders(t->k, under, list, why_int(t->k->f->live, "dag_running"));
	else
		add_own_running(t->k, under, NULL);
}

/* The instances beside one that are in its way. */
static void follow_siblings(const struct telling *t, struct why_node *under)
{
	int shown = 0;

	for (size_t i = 0; i < t->k->f->ntasks && shown < WHY_ROOTS_MAX; i++) {
		const struct task_row *r = &t->k->f->tasks[i];
		if (r->map_index < 0 || r->state != TASK_RUNNING ||
			strcmp(r->name, t->row->name) != 0)
			continue;
		why_task(t->k, under, i);
		shown++;
	}
}

static void follow_switch(const struct telling *t, struct why_node *under)
{
	const struct why_facts *f = t->k->f;

	if (t->row->reason != REASON_FROZEN) {
		why_switches(t->k->w, f, under);
		return;
	}
	for (size_t i = 0; i < f->nfrozen; i++)
		if (strcmp(f->frozen[i].task, t->row->name) == 0)
			why_add(t->k->w, under,
				&(struct why_node){ .kind = WHY_SWITCH,
					.subject = f->frozen[i].by ? f->frozen[i].by : "somebody",
					.reason = "frozen",
					.text = "froze it",
					.detail = f->frozen[i].reason,
					.since_us = f->frozen[i].at_us });
}

/* ---- needs, to the roots -------------------------------------------------------------- */

/* Which needs are followed, and which of them lead further. */
static bool is_followed(enum why_follow follow, const struct task_row *t)
{
	switch (follow) {
	case FOLLOW_OPEN_NEEDS:
		return !task_state_is_final(t->state);
	case FOLLOW_FAILED:
		return t->state == TASK_FAILED || t->state == TASK_UPSTREAM_FAILED ||
		       t->state == TASK_CANCELLED;
	case FOLLOW_SKIPPED:
		return t->state == TASK_SKIPPED;
	default:
		return false;
	}
}

static bool has_followed_need(const struct why_walk *k, size_t row, enum why_follow follow)
{
	const struct task *def = why_def(k, row);

	for (int i = 0; def && i < def->nneeds; i++) {
		const struct task_row *need = why_need(k, def, i);
		if (need && is_followed(follow, need))
			return true;
	}
	return false;
}

static bool leads_on(const struct why_walk *k, size_t row, enum why_follow follow)
{
	return follow_of(k, &k->f->tasks[row]) == follow && has_followed_need(k, row, follow);
}

/* The roots behind a task, the nearest first, into k->queue[0, n). `ret_between`: how many lead
 * there. */
static size_t find_roots(struct why_walk *k, size_t from, enum why_follow follow)
{
	size_t head = 0, tail = 0, n = 0;

	k->mark[from] = ++k->search;
	k->parent[from] = from;
	k->queue[tail++] = from;
	while (head < tail) {
		size_t at = k->queue[head++];
		const struct task *def = why_def(k, at);
		if (at != from && !leads_on(k, at, follow)) {
			k->queue[n++] = at; /* n < head */
			continue;
		}
		for (int i = 0; def && i < def->nneeds; i++) {
			size_t need = k->row[def->needs[i]];
			if (need >= k->f->ntasks || k->mark[need] == k->search ||
				!is_followed(follow, &k->f->tasks[need]))
				continue;
			k->mark[need] = k->search;
			k->parent[need] = at;
			k->queue[tail++] = need;
		}
	}
	return n;
}

/* What came of no attempt is told by its event. */
static const char *said(const struct telling *t, enum reason reason)
{
	const struct why_source *s = &t->k->f->source;

	return s->said ? s->said(s->arg, t->row, reason) : NULL;
}

static bool is_approval(const struct task *def)
{
	return def && def->waits && strcmp(def->op, "approval") == 0;
}

/* Who decided, and why, is in its outputs, or its error. */
static void say_decision(const struct telling *t, const struct attempt_row *a, struct why_node *n)
{
	const struct task_row *r = t->row;
	json_t *o = r->state == TASK_SUCCESS && r->outputs ? json_loads(r->outputs, 0, NULL) : NULL;
	const char *by = why_get(o, "by"), *reason = why_get(o, "reason");

	if (by)
		n->text = why_printf(t->k->w, "was approved by %s", by);
	if (by && reason)
		n->detail = why_printf(t->k->w, "%s", reason);
	if (r->state == TASK_FAILED && a && a->error && why_last_line(t->k->w, a->error))
		n->text = why_last_line(t->k->w, a->error);
	json_decref(o);
}

static struct why_node *add_task_node(const struct telling *t, struct why_node *under, size_t row)
{
	const struct task_row *r = t->row;
	const struct why_row *says = why_row(r->state, why_reason(t->k, r));
	const struct attempt_row *a = why_last_ended(t);
	struct why_node n = { .kind = WHY_TASK,
		.subject = why_label(t->k->w, r),
		.state = task_state_name(r->state),
		.reason = reason_name(why_reason(t->k, r)),
		.text = says ? why_text(t, says->text) : reason_text(r->reason),
		.since_us = r->changed_us,
		.until_us = r->state == TASK_UP_FOR_RETRY || task_state_waits(r->state) ? r->due_us
											: 0 };

	if (is_approval(t->def) && task_state_is_final(r->state))
		say_decision(t, a, &n);
	else if (r->reason == REASON_LIST_FAILED)
		n.detail = said(t, r->reason);
	else if (r->state == TASK_UP_FOR_RETRY || r->state == TASK_FAILED)
		n.detail = error_of(t->k->w, a);
	if (r->state != TASK_NONE)
		n.log = log_of(t, t->nattempts ? &t->attempts[t->nattempts - 1] : NULL);
	if (!*n.text)
		n.text = task_state_name(r->state);
	return t->k->node[row] = why_add(t->k->w, under, &n);
}

/* What stands between a task and a root of it: few by name, many as one. */
static struct why_node *add_between(
	struct why_walk *k, struct why_node *under, size_t from, size_t root)
{
	size_t chain[CHAIN_SHOWN] = { 0 }, n = 0;

	for (size_t at = k->parent[root]; at != from; at = k->parent[at]) {
		if (n < CHAIN_SHOWN)
			chain[n] = at;
		n++;
	}
	if (n > CHAIN_SHOWN)
		return why_add(k->w, under,
			&(struct why_node){ .kind = WHY_MORE,
				.subject = why_printf(k->w, "%zu tasks", n),
				.text = why_printf(k->w, "in between, the last of them %s",
					k->f->tasks[chain[0]].name) });
	while (n-- > 0 && under) {
		size_t at = chain[n];
		struct telling t = { .k = k, .row = &k->f->tasks[at], .def = why_def(k, at) };
		under = k->node[at] ? k->node[at] : add_task_node(&t, under, at);
	}
	return under;
}

/* How many are in which state. */
struct rest {
	int counts[TASK_STATE_MAX];
	size_t n;
};

static struct rest count_rest(const struct why_walk *k, const size_t *rows, size_t n)
{
	struct rest rest = { .n = n };

	for (size_t i = 0; i < n; i++)
		rest.counts[k->f->tasks[rows[i]].state]++;
	return rest;
}

static void add_rest(struct why_walk *k, struct why_node *under, const struct rest *rest)
{
	int shown = 0;
	struct buf text;

	if (!rest->n)
		return;
	buf_init(&text, TEXT_SIZE);
	for (int s = 0; s < TASK_STATE_MAX; s++) {
		const char *name = s == TASK_NONE ? "waiting" : task_state_name((enum task_state)s);
		if (rest->counts[s] == (int)rest->n)
			buf_addstr(&text, name);
		else if (rest->counts[s])
			buf_addf(&text, "%s%d %s", shown++ ? ", " : "", rest->counts[s], name);
	}
	why_add(k->w, under,
		&(struct why_node){ .kind = WHY_MORE,
			.subject = why_printf(k->w, "%zu more", rest->n),
			.text = why_printf(k->w, "%s", text.data) });
	buf_release(&text);
}

static void follow_roots(
	struct why_walk *k, struct why_node *under, size_t from, enum why_follow follow)
{
	size_t n = find_roots(k, from, follow), shown = n < WHY_ROOTS_MAX ? n : WHY_ROOTS_MAX;
	size_t roots[WHY_ROOTS_MAX] = { 0 };

	/* A root's own causes search, too. */
	memcpy(roots, k->queue, shown * sizeof *roots);
	struct why_node *at[WHY_ROOTS_MAX] = { NULL };
	for (size_t i = 0; i < shown; i++)
		at[i] = add_between(k, under, from, roots[i]);
	struct rest rest = count_rest(k, k->queue + shown, n - shown);
	for (size_t i = 0; i < shown; i++)
		if (at[i])
			why_task(k, at[i], roots[i]);
	add_rest(k, under, &rest);
}

/* The needs themselves, the first few. */
static void follow_needs(const struct telling *t, struct why_node *under)
{
	int shown = 0;

	for (int i = 0; t->def && i < t->def->nneeds && shown < WHY_ROOTS_MAX; i++) {
		size_t row = t->k->row[t->def->needs[i]];
		if (row >= t->k->f->ntasks)
			continue;
		why_task(t->k, under, row);
		shown++;
	}
}

/* ---- instances ------------------------------------------------------------------------ */

/* Those that the whole's state comes of: that failed, or are not done. */
static bool tells(const struct task_row *whole, const struct task_row *t)
{
	if (task_state_is_final(whole->state))
		return t->state == whole->state && t->state != TASK_SUCCESS;
	return t->state == TASK_FAILED || !task_state_is_final(t->state);
}

/* In the order in which states tell: a few by name. */
static void follow_instances(const struct telling *t, struct why_node *under, size_t row)
{
	struct why_walk *k = t->k;
	size_t n = 0, told = 0, count = k->instances[row];
	size_t *rows = calloc(count + 1, sizeof *rows);

	if (!rows)
		return;
	for (size_t s = 0; s < sizeof telling_states / sizeof *telling_states; s++)
		for (size_t i = row + 1; i <= row + count; i++)
			if (k->f->tasks[i].state == telling_states[s] &&
				tells(t->row, &k->f->tasks[i]))
				rows[n++] = i;
	for (; told < n && told < INSTANCES_MAX; told++)
		why_task(k, under, rows[told]);
	struct rest rest = count_rest(k, rows + told, n - told);
	add_rest(k, under, &rest);
	free(rows);
}

/* ---- a task --------------------------------------------------------------------------- */

static void follow(const struct telling *t, struct why_node *under, size_t row, enum why_follow how)
{
	switch (how) {
	case FOLLOW_NOTHING:
		return;
	case FOLLOW_OPEN_NEEDS:
	case FOLLOW_FAILED:
	case FOLLOW_SKIPPED:
		follow_roots(t->k, under, row, how);
		if (how == FOLLOW_FAILED)
			why_follow_others(t, under, true);
		return;
	case FOLLOW_OTHERS:
		why_follow_others(t, under, false);
		follow_breaker(t, under);
		return;
	case FOLLOW_NEEDS:
		follow_needs(t, under);
		return;
	case FOLLOW_CHOICE:
		if (why_chooser(t) < t->k->f->ntasks)
			why_task(t->k, under, why_chooser(t));
		return;
	case FOLLOW_SLOTS:
		follow_slots(t, under);
		return;
	case FOLLOW_LIMIT:
		follow_limit(t, under);
		return;
	case FOLLOW_SIBLINGS:
		follow_siblings(t, under);
		return;
	case FOLLOW_POOL:
		follow_pool(t, under);
		return;
	case FOLLOW_BREAKER:
		follow_breaker(t, under);
		return;
	case FOLLOW_SWITCH:
		follow_switch(t, under);
		return;
	case FOLLOW_INSTANCES:
		follow_instances(t, under, row);
		return;
	case FOLLOW_REQUESTS:
		why_requests(t->k->w, t->k->f, under, why_label(t->k->w, t->row));
		follow_attempts(t, under);
		return;
	case FOLLOW_ATTEMPTS:
		follow_attempts(t, under);
		return;
	}
}

void why_task(struct why_walk *k, struct why_node *under, size_t row)
{
	struct telling t = { .k = k, .row = &k->f->tasks[row], .def = why_def(k, row) };
	const struct why_row *says = why_row(t.row->state, why_reason(k, t.row));

	if (k->node[row])
		return;
	if (k->f->source.attempts && t.row->tries)
		t.nattempts = k->f->source.attempts(k->f->source.arg, t.row, &t.attempts);
	struct why_node *n = add_task_node(&t, under, row);
	if (!n)
		return;
	add_steps(&t);
	/* A task in a state for a reason without a row has tries to tell, at least. */
	follow(&t, n, row, says ? says->follow : FOLLOW_ATTEMPTS);
	/* Whose decision it was. */
	if (is_approval(t.def) && task_state_is_final(t.row->state) && says &&
		says->follow != FOLLOW_REQUESTS)
		why_requests(k->w, k->f, n, why_label(k->w, t.row));
}

/* ---- a run ---------------------------------------------------------------------------- */

static bool is_told(const struct why_walk *k, size_t row, enum task_state s)
{
	const struct task_row *t = &k->f->tasks[row];

	/* An instance is told with its whole. */
	if (t->state != s || t->map_index >= 0)
		return false;
	if (s == TASK_CANCELLED && k->f->run->state != RUN_CANCELLED)
		return false;
	if (s != TASK_NONE && s != TASK_SCHEDULED)
		return true;
	return k->f->run->state == RUN_RUNNING && !leads_on(k, row, FOLLOW_OPEN_NEEDS);
}

void why_frontier(struct why_walk *k, struct why_node *under)
{
	size_t n = 0, told = 0;

	/* The searches below use the queue. */
	size_t *rows = calloc(k->f->ntasks + 1, sizeof *rows);
	if (!rows)
		return;
	for (size_t i = 0; i < sizeof telling_states / sizeof *telling_states; i++)
		for (size_t row = 0; row < k->f->ntasks; row++)
			if (is_told(k, row, telling_states[i]))
				rows[n++] = row;
	for (; told < n && told < FRONTIER_MAX; told++)
		why_task(k, under, rows[told]);
	struct rest rest = count_rest(k, rows + told, n - told);
	add_rest(k, under, &rest);
	free(rows);
}
