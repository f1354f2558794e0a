/* SLAs: what comes due is judged, what is missed is kept, told and acted upon. */
#include "run/daemon_sla.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "core/model.h"
#include "core/request.h"

enum { PORTION = 256, RECHECK_MAX = 1000, RECENT_MAX = 20000 };

/* ---- DAGs ----------------------------------------------------------------------------- */

struct sla_dag *daemon_sla_dag(struct daemon *d, const char *name)
{
	struct sla_dag *s;

	HASH_FIND_STR(d->sla->dags, name, s);
	if (s)
		return s;
	s = calloc(1, sizeof *s);
	if (!s || !(s->name = strdup(name))) {
		free(s);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, d->sla->dags, s->name, strlen(s->name), s);
	return s;
}

static struct sla_dag *find_dag(const struct daemon *d, const char *name)
{
	struct sla_dag *s;

	HASH_FIND_STR(d->sla->dags, name, s);
	return s;
}

void daemon_sla_touch(struct daemon *d, struct sla_dag *s)
{
	if (s->dirty)
		return;
	s->dirty = true;
	s->next_dirty = d->sla->dirty;
	d->sla->dirty = s;
}

void daemon_sla_set(struct daemon *d, const struct catalog_dag *c)
{
	struct sla_dag *s = c->nslas ? daemon_sla_dag(d, c->name) : find_dag(d, c->name);
	struct err err = { 0 };

	if (s)
		daemon_fresh_set(d, s, c);
	if (!s || !c->nslas) {
		sla_clock_remove(d->sla->clock, c->name);
		return;
	}
	const struct sla_clock_dag dag = { .name = c->name,
		.spec = &c->spec,
		.slas = c->slas,
		.nslas = c->nslas,
		.mark = s->has_mark ? &s->mark : NULL };
	if (sla_clock_set(d->sla->clock, &dag, clock_now_us(), &err) < 0)
		say(d, LEVEL_ERROR, "the SLAs of the DAG are not watched", { "dag", c->name },
			{ "error", err.msg });
	/* It is known from here on, also if nothing of it comes due before the next start. */
	daemon_sla_touch(d, s);
}

void daemon_sla_remove(struct daemon *d, const char *name)
{
	struct sla_dag *s = daemon_sla_dag(d, name);

	if (s && sla_clock_mark(d->sla->clock, name, clock_now_us(), &s->mark))
		s->has_mark = true;
	sla_clock_remove(d->sla->clock, name);
	if (s)
		daemon_fresh_remove(d, s);
}

/* ---- what was missed ------------------------------------------------------------------ */

static void free_missed(struct missed *m)
{
	free((char *)m->key.dag);
	free((char *)m->key.task);
	free(m->detail);
	free(m);
}

static const char *acts_name(unsigned on_miss)
{
	bool cancel = on_miss & 1u << SLA_CANCEL, skip = on_miss & 1u << SLA_SKIP;

	return cancel && skip ? "cancel,skip" : cancel ? "cancel" : skip ? "skip" : NULL;
}

static const char *known_acts(const char *acts)
{
	return !acts ? NULL
		     : acts_name((strstr(acts, "cancel") ? 1u << SLA_CANCEL : 0) |
				 (strstr(acts, "skip") ? 1u << SLA_SKIP : 0));
}

/* A row as it is or will be in the store; NULL: no memory. */
static struct missed *add_missed(struct sla_dag *s, const struct sla_miss *row)
{
	int kind = sla_kind_by_name(row->key.kind);
	struct missed *m = kind < 0 ? NULL : calloc(1, sizeof *m);

	if (!m)
		return NULL;
	m->id = row->id;
	m->key = row->key;
	m->key.kind = sla_kind_name((enum sla_kind)kind);
	m->key.dag = strdup(row->key.dag);
	m->key.task = strdup(row->key.task);
	m->detail = strdup(row->detail ? row->detail : "");
	m->acts = known_acts(row->acts);
	m->deadline_us = row->deadline_us;
	m->found_us = row->found_us;
	m->ended = row->ended ? SLA_END_DONE : NULL;
	m->acted = row->acted;
	if (!m->key.dag || !m->key.task || !m->detail) {
		free_missed(m);
		return NULL;
	}
	m->next = s->missed;
	s->missed = m;
	return m;
}

bool daemon_sla_is_known(const struct sla_dag *s, const struct sla_key *key)
{
	for (const struct missed *m = s->missed; m; m = m->next)
		if (m->key.start_us == key->start_us && m->key.end_us == key->end_us &&
			strcmp(m->key.kind, key->kind) == 0 && strcmp(m->key.task, key->task) == 0)
			return true;
	return false;
}

int daemon_sla_found(struct daemon *d, const struct sla_found *f, struct err *err)
{
	struct sla_dag *s = daemon_sla_dag(d, f->dag);
	const struct sla_miss row = { .key = { .dag = f->dag,
					      .task = f->task ? f->task : "",
					      .kind = sla_kind_name(f->kind),
					      .start_us = f->tick.start_us,
					      .end_us = f->tick.end_us },
		.deadline_us = f->deadline_us,
		.found_us = clock_now_us(),
		.detail = f->detail,
		/* A warning is no miss: nothing is done about it yet. Of a dataset there is no run.
		 */
		.acts = f->kind == SLA_AT_RISK || f->kind == SLA_FRESH_WITHIN
				? NULL
				: acts_name(f->sla->on_miss) };

	if (!s)
		return err_nomem(err);
	if (daemon_sla_is_known(s, &row.key))
		return 0;
	struct missed *m = add_missed(s, &row);
	if (!m)
		return err_nomem(err);
	m->alert = sla_does(f->sla, SLA_ALERT);
	if (f->reached_us) {
		m->ended = SLA_END_DONE;
		m->ended_us = f->reached_us;
		m->acted = m->keep_end = true;
	}
	daemon_sla_touch(d, s);
	return 0;
}

bool daemon_sla_is_fresh(const struct missed *m)
{
	return m->key.kind == sla_kind_name(SLA_FRESH_WITHIN);
}

void daemon_sla_end(struct daemon *d, struct sla_dag *s, struct missed *m, const char *why)
{
	if (m->ended)
		return;
	m->ended = why;
	m->ended_us = clock_now_us();
	m->keep_end = true;
	daemon_sla_touch(d, s);
	say(d, LEVEL_INFO,
		strcmp(why, SLA_END_DONE) == 0 ? "SLA: done at last"
					       : "SLA: the interval will not run",
		{ "dag", m->key.dag }, { "task", *m->key.task ? m->key.task : NULL },
		{ "sla", m->key.kind });
}

/* ---- telling -------------------------------------------------------------------------- */

/* In the log, once it is committed. */
static void tell(struct daemon *d, const struct missed *m)
{
	bool risk = strcmp(m->key.kind, sla_kind_name(SLA_AT_RISK)) == 0;
	struct buf deadline, start;

	buf_init(&deadline, 64);
	buf_init(&start, 64);
	daemon_sla_add_time(d, m->key.dag, m->deadline_us, &deadline);
	daemon_sla_add_time(d, m->key.dag, m->key.start_us, &start);
	say(d, LEVEL_WARN, risk ? "SLA at risk" : "SLA missed", { "dag", m->key.dag },
		{ "task", *m->key.task ? m->key.task : NULL }, { "sla", m->key.kind },
		{ "deadline", deadline.data }, { "interval_start", start.data },
		{ "detail", *m->detail ? m->detail : NULL });
	buf_release(&deadline);
	buf_release(&start);
}

/* ---- committing ----------------------------------------------------------------------- */

struct keeping {
	struct sla_miss *misses;
	struct missed **of; /* of each of misses */
	struct sla_end *ends;
	int64_t *acted;
	struct sla_mark_row *marks;
	struct incident_put *puts;
	struct arena arena; /* of puts */
	size_t nmisses, nends, nacted, nmarks, nputs;
};

static void release_keeping(struct keeping *k)
{
	free(k->misses);
	free(k->of);
	free(k->ends);
	free(k->acted);
	free(k->marks);
	free(k->puts);
	arena_release(&k->arena);
}

static int init_keeping(struct keeping *k, const struct sla_dag *dirty)
{
	size_t n = 1, ndags = 1;

	for (const struct sla_dag *s = dirty; s; s = s->next_dirty, ndags++)
		for (const struct missed *m = s->missed; m; m = m->next)
			n++;
	k->misses = calloc(n, sizeof *k->misses);
	k->of = calloc(n, sizeof(struct missed *));
	k->ends = calloc(n, sizeof *k->ends);
	k->acted = calloc(n, sizeof *k->acted);
	k->marks = calloc(ndags, sizeof *k->marks);
	k->puts = calloc(n, sizeof *k->puts);
	arena_init(&k->arena, BUF_MAX_TEXT);
	return k->misses && k->of && k->ends && k->acted && k->marks && k->puts ? 0 : -1;
}

static void keep_missed(
	struct daemon *d, struct keeping *k, const struct sla_dag *s, struct missed *m)
{
	if (m->id == 0 && m->alert)
		k->puts[k->nputs++] = daemon_sla_opens(d, m, &k->arena);
	if (m->id == 0) {
		k->of[k->nmisses] = m;
		k->misses[k->nmisses++] = (struct sla_miss){ .key = m->key,
			.deadline_us = m->deadline_us,
			.found_us = m->found_us,
			.detail = *m->detail ? m->detail : NULL,
			.acts = m->acts };
		return;
	}
	if (m->id < 0)
		return;
	if (m->keep_end && daemon_sla_resolves(d, s, m, &k->arena, &k->puts[k->nputs]))
		k->nputs++;
	if (m->keep_end)
		k->ends[k->nends++] = (struct sla_end){ m->id, m->ended_us, m->ended };
	if (m->keep_acted)
		k->acted[k->nacted++] = m->id;
}

static void keep_dag(struct daemon *d, struct keeping *k, struct sla_dag *s)
{
	struct sla_mark mark;

	for (struct missed *m = s->missed; m; m = m->next)
		keep_missed(d, k, s, m);
	if (!sla_clock_mark(d->sla->clock, s->name, clock_now_us(), &mark))
		return;
	s->mark = mark;
	s->has_mark = true;
	k->marks[k->nmarks++] =
		(struct sla_mark_row){ s->name, mark.judged_us, (int64_t)mark.digest };
}

/* What has ended, and is too old to be found once more, need not be known any more. */
static void forget_old(struct sla_dag *s, int64_t now_us)
{
	for (struct missed **at = &s->missed; *at;) {
		struct missed *m = *at;
		if (!m->ended || m->keep_end || m->keep_acted || m->id == 0 ||
			m->deadline_us > now_us - 2 * SLA_CLOCK_LOOK_BACK_US) {
			at = &m->next;
			continue;
		}
		*at = m->next;
		free_missed(m);
	}
}

static bool act(struct daemon *d, struct missed *m);

/* It is in the store: tell it, and do what is to be done. What ended together with being found has
 * its end committed next. */
static void take_kept(struct daemon *d, struct keeping *k)
{
	struct sla_dag *s, *next;

	for (size_t i = 0; i < k->nmisses; i++) {
		struct missed *m = k->of[i];
		bool is_new = k->misses[i].id != 0;
		m->id = is_new ? k->misses[i].id : -1; /* known to the store, though not to us */
		m->fresh = true;
		if (is_new)
			tell(d, m);
	}
	for (s = d->sla->dirty, d->sla->dirty = NULL; s; s = next) {
		next = s->next_dirty;
		s->dirty = false;
		for (struct missed *m = s->missed; m; m = m->next) {
			m->keep_end = m->keep_end && m->fresh && m->id > 0;
			m->fresh = m->keep_acted = false;
			if (!m->ended && m->acts && !m->acted && !m->acting && m->id > 0)
				m->acted = m->keep_acted = act(d, m);
			if (m->keep_end || m->keep_acted)
				daemon_sla_touch(d, s);
		}
		forget_old(s, clock_now_us());
	}
}

static int keep(struct daemon *d, struct err *err)
{
	struct keeping k = { 0 };
	int rc = init_keeping(&k, d->sla->dirty);

	if (rc < 0)
		err_nomem(err);
	for (struct sla_dag *s = d->sla->dirty; rc == 0 && s; s = s->next_dirty)
		keep_dag(d, &k, s);
	const struct store_slas slas = { .misses = k.misses,
		.nmisses = k.nmisses,
		.ends = k.ends,
		.nends = k.nends,
		.acted = k.acted,
		.nacted = k.nacted,
		.marks = k.marks,
		.nmarks = k.nmarks };
	const struct store_batch batch = {
		.slas = &slas, .incidents = k.puts, .nincidents = k.nputs
	};
	if (rc == 0 && k.arena.failed)
		rc = err_nomem(err);
	if (rc == 0)
		rc = store_commit(d->engine.store, &batch, err);
	for (size_t i = 0; rc == 0 && i < k.nputs; i++)
		d->engine.told = d->engine.told || k.puts[i].nroutes;
	if (rc == 0)
		take_kept(d, &k);
	release_keeping(&k);
	return rc;
}

/* ---- acting --------------------------------------------------------------------------- */

static struct pending_run *find_pending(struct daemon *d, int64_t run_id)
{
	for (size_t i = 0; i < d->npending; i++)
		if (d->pending[d->pending_head + i].run_id == run_id)
			return &d->pending[d->pending_head + i];
	return NULL;
}

static bool has_begun(const struct daemon *d, const struct active_run *r)
{
	struct task_view v;

	for (int i = 0; sched_task_view(d->engine.sched, r->id, i, &v); i++)
		if (v.tries > 0)
			return true;
	return false;
}

/* A task is cancelled, or left out before it has begun. True: there is nothing to be done. */
static bool act_on_task(struct daemon *d, struct missed *m, const struct active_run *r, bool cancel)
{
	const struct task *t = dag_find(r->dag, m->key.task);
	struct err err = { 0 };
	struct task_view v;
	char detail[80];

	if (!t || !sched_task_view(d->engine.sched, r->id, t->index, &v))
		return true;
	if (task_state_is_final(v.state) || (!cancel && (v.tries > 0 || v.states)))
		return true;
	snprintf(detail, sizeof detail, "its SLA was missed: %s", m->key.kind);
	const struct request q = { .verb = cancel ? REQUEST_CANCEL : REQUEST_SKIP,
		.tasks = &t->index,
		.ntasks = 1,
		.detail = detail };
	if (sched_request(d->engine.sched, r->id, &q, clock_now_us(), &err) < 0)
		return true;
	say(d, LEVEL_WARN,
		cancel ? "cancelling the task: its SLA was missed"
		       : "skipping the task: its SLA was missed",
		{ "run", r->name }, { "task", t->name }, { "sla", m->key.kind });
	m->acting = true;
	return false;
}

/* True: there is nothing to be done, or no more. What is done is done once the run has ended by it,
 * which is seen later (acted), or after a restart. To skip what has not begun is to cancel it
 * before it begins. */
static bool act(struct daemon *d, struct missed *m)
{
	bool cancel = strstr(m->acts, "cancel") != NULL;
	struct err err = { 0 };
	struct sla_look look;

	if (daemon_sla_look(d, &m->key, &look, &err) < 0)
		return false;
	/* What is skipped is so when it is made; to cancel, there is nothing. */
	if (!look.exists)
		return cancel;
	if (look.final)
		return true;
	struct active_run *r = engine_find(&d->engine, look.run_id);
	if (*m->key.task)
		return r && act_on_task(d, m, r, cancel);
	struct pending_run *p = r ? NULL : find_pending(d, look.run_id);
	if (p && (cancel || look.state == RUN_QUEUED))
		p->cancel = m->acting = true;
	if (!r)
		return false;
	if (!cancel && has_begun(d, r))
		return true;
	say(d, LEVEL_WARN, "cancelling the run: its SLA was missed", { "run", r->name },
		{ "sla", m->key.kind });
	((struct run_data *)r->data)->cancelling = true;
	sched_cancel_run(d->engine.sched, r->id, false, clock_now_us());
	m->acting = true;
	return false;
}

/* ---- what comes at last --------------------------------------------------------------- */

/* `task` NULL: of the run; `started`: no more than that. */
static void has_come(struct daemon *d, const struct active_run *r, const char *task, bool started)
{
	struct sla_dag *s = find_dag(d, r->dag->name);
	const char *start_kind = sla_kind_name(SLA_START_WITHIN);

	for (struct missed *m = s ? s->missed : NULL; m; m = m->next)
		if (m->key.start_us == r->job.interval_start_us &&
			m->key.end_us == r->job.interval_end_us &&
			strcmp(m->key.task, task ? task : "") == 0 &&
			(!started || m->key.kind == start_kind))
			daemon_sla_end(d, s, m, SLA_END_DONE);
}

/* Nothing is left to be done about what the run, or a task of it, has missed. */
static void has_ended(struct daemon *d, const struct active_run *r, const char *task)
{
	struct sla_dag *s = find_dag(d, r->dag->name);

	for (struct missed *m = s ? s->missed : NULL; m; m = m->next) {
		if (!m->acts || m->acted || m->key.start_us != r->job.interval_start_us ||
			m->key.end_us != r->job.interval_end_us ||
			(task && strcmp(m->key.task, task) != 0))
			continue;
		m->acted = m->keep_acted = true;
		daemon_sla_touch(d, s);
	}
}

/* What is to be skipped, and is there only now. */
void daemon_sla_made(struct daemon *d, const struct active_run *r)
{
	struct sla_dag *s = find_dag(d, r->dag->name);

	for (struct missed *m = s ? s->missed : NULL; m; m = m->next)
		if (m->acts && !m->acted && m->key.start_us == r->job.interval_start_us)
			daemon_sla_touch(d, s);
}

void daemon_sla_changed(struct daemon *d, struct active_run *r, const struct change *c)
{
	/* A mapped task begins with its first instance, and ends as a whole. */
	bool whole = c->kind == CHANGE_TASK && c->map_index < 0;

	daemon_sla_began(d, r, c);
	if (c->kind == CHANGE_RUN && run_state_is_final(c->run.to))
		has_ended(d, r, NULL);
	else if (whole && task_state_is_final(c->state.to))
		has_ended(d, r, c->task);
	if (c->kind == CHANGE_RUN && c->run.to == RUN_SUCCESS)
		has_come(d, r, NULL, false);
	else if (c->kind == CHANGE_START) {
		has_come(d, r, NULL, true);
		has_come(d, r, c->task, true);
	} else if (whole && (c->state.to == TASK_SUCCESS || c->state.to == TASK_SKIPPED))
		has_come(d, r, c->task, false);
	if (d->sla->dirty)
		event_active(d->on_turn, 0, 0);
}

void daemon_sla_passed(struct daemon *d, const struct planner_decision *dec)
{
	struct sla_dag *s = dec->action == PLANNER_SKIP ? find_dag(d, dec->dag) : NULL;

	for (struct missed *m = s ? s->missed : NULL; m; m = m->next)
		if (!daemon_sla_is_fresh(m) && m->key.start_us >= dec->tick.start_us &&
			m->key.start_us <= dec->until_us)
			daemon_sla_end(d, s, m, SLA_END_PASSED_OVER);
}

void daemon_sla_recheck(struct daemon *d)
{
	d->sla->recheck = true;
}

/* Runs that others carry on, and what happened while no daemon ran. */
static int recheck(struct daemon *d, struct err *err)
{
	struct sla_dag *s, *next;
	struct sla_look look;
	int n = 0;

	HASH_ITER (hh, d->sla->dags, s, next)
		for (struct missed *m = s->missed; m && n < RECHECK_MAX; m = m->next) {
			if (m->ended || daemon_sla_is_fresh(m))
				continue;
			n++;
			if (daemon_sla_look(d, &m->key, &look, err) < 0)
				return -1;
			enum sla_kind kind = (enum sla_kind)sla_kind_by_name(m->key.kind);
			if (sla_reached_us(kind, &look.facts))
				daemon_sla_end(d, s, m, SLA_END_DONE);
			else if (look.facts.passed_over)
				daemon_sla_end(d, s, m, SLA_END_PASSED_OVER);
			else if (m->acts && !m->acted)
				daemon_sla_touch(d, s);
		}
	d->sla->recheck = false;
	return 0;
}

/* ---- judging -------------------------------------------------------------------------- */

static int judge(struct daemon *d, const struct sla_due *due, struct err *err)
{
	const struct sla_key key = { .dag = due->dag,
		.task = due->task ? due->task : "",
		.kind = sla_kind_name(due->kind),
		.start_us = due->tick.start_us,
		.end_us = due->tick.end_us };
	struct sla_look look;

	if (due->kind == SLA_AT_RISK)
		return daemon_sla_risk(d, due, err);
	if (daemon_sla_look(d, &key, &look, err) < 0)
		return -1;
	if (sla_judge(due->kind, due->deadline_us, &look.facts, clock_now_us()) != SLA_MISSED)
		return 0;
	const struct sla_found f = { .dag = due->dag,
		.task = due->task,
		.sla = due->sla,
		.kind = due->kind,
		.tick = due->tick,
		.deadline_us = due->deadline_us,
		.reached_us = sla_reached_us(due->kind, &look.facts),
		.detail = look.detail };
	return daemon_sla_found(d, &f, err);
}

static int judge_due(struct daemon *d, struct err *err)
{
	struct sla_clock *clock = d->sla->clock;
	int64_t now = clock_now_us();
	struct sla_due due;
	int n = 0;

	for (; n < PORTION && sla_clock_first(clock, now, &due); n++) {
		struct sla_dag *s = daemon_sla_dag(d, due.dag);
		if (!s)
			return err_nomem(err);
		if (judge(d, &due, err) < 0)
			return -1;
		sla_clock_next(clock, now, &due);
		daemon_sla_touch(d, s);
	}
	d->sla->more = n == PORTION;
	return 0;
}

int daemon_sla_judge(struct daemon *d, struct err *err)
{
	/* What the planner passes over is no miss: it comes first. */
	if (d->portion > 0)
		return 0;
	/* What the store has not taken yet may have come in time. */
	if (d->engine.retry_us)
		return err_set(err, ERR_STORE, "%s",
			d->trouble.code != ERR_NONE ? d->trouble.msg
						    : "what has ended is not recorded yet");
	if ((d->sla->recheck && recheck(d, err) < 0) || judge_due(d, err) < 0 ||
		daemon_sla_run_watches(d, err) < 0 || daemon_fresh_judge(d, err) < 0)
		return -1;
	/* Twice: what is done about a miss is noted, too. */
	for (int i = 0; i < 2; i++)
		if (d->sla->dirty && keep(d, err) < 0)
			return -1;
	return 0;
}

bool daemon_sla_has_more(const struct daemon *d)
{
	return d->sla->more || d->sla->dirty || d->sla->fresh_loads;
}

int64_t daemon_sla_wake_us(const struct daemon *d)
{
	const struct heap_entry *e = heap_peek(&d->sla->timers);
	int64_t wake = sla_clock_wake_us(d->sla->clock), fresh = daemon_fresh_wake_us(d);

	wake = fresh < wake ? fresh : wake;

	return e && e->key < wake ? e->key : wake;
}

/* ---- the whole ------------------------------------------------------------------------ */

static int load_marks(struct daemon *d, struct err *err)
{
	struct store_result rows;

	if (store_sla_marks(d->engine.store, NULL, &rows, err) < 0)
		return -1;
	for (size_t i = 0; i < rows.n; i++) {
		struct sla_dag *s = daemon_sla_dag(d, rows.marks[i].dag);
		if (!s)
			continue;
		s->mark = (struct sla_mark){ rows.marks[i].judged_us,
			(uint64_t)rows.marks[i].digest };
		s->has_mark = true;
	}
	store_result_release(&rows);
	return 0;
}

static int load_some(struct daemon *d, const struct sla_filter *f, struct err *err)
{
	int64_t since = clock_now_us() - 2 * SLA_CLOCK_LOOK_BACK_US;
	struct store_result rows;

	if (store_sla_misses(d->engine.store, f, &rows, err) < 0)
		return -1;
	for (size_t i = 0; i < rows.n; i++) {
		const struct sla_miss *row = &rows.misses[i];
		struct sla_dag *s = f->open || row->deadline_us > since
					    ? daemon_sla_dag(d, row->key.dag)
					    : NULL;
		if (s && !daemon_sla_is_known(s, &row->key))
			add_missed(s, row);
	}
	store_result_release(&rows);
	return 0;
}

/* What is open, and what may be found once more. */
static int load_missed(struct daemon *d, struct err *err)
{
	const struct sla_filter open = { .open = true }, recent = { .limit = RECENT_MAX };

	return load_some(d, &open, err) < 0 || load_some(d, &recent, err) < 0 ? -1 : 0;
}

int daemon_sla_init(struct daemon *d, struct err *err)
{
	d->sla = calloc(1, sizeof *d->sla);
	if (!d->sla)
		return err_nomem(err);
	heap_init(&d->sla->timers);
	heap_init(&d->sla->fresh_timers);
	d->sla->recheck = true;
	d->sla->clock = sla_clock_new();
	if (!d->sla->clock)
		return err_nomem(err);
	return load_marks(d, err) < 0 || load_missed(d, err) < 0 ? -1 : 0;
}

void daemon_sla_release(struct daemon *d)
{
	struct daemon_sla *sla = d->sla;
	struct sla_watch *w, *next_watch;
	struct sla_dag *s, *next;

	if (!sla)
		return;
	HASH_ITER (hh, sla->watches, w, next_watch)
		daemon_sla_watch_free(sla, w);
	daemon_fresh_release(sla);
	HASH_ITER (hh, sla->dags, s, next) {
		HASH_DEL(sla->dags, s);
		for (struct missed *m = s->missed, *after; m; m = after) {
			after = m->next;
			free_missed(m);
		}
		free(s->typical);
		free(s->name);
		free(s);
	}
	heap_release(&sla->timers);
	sla_clock_free(sla->clock);
	free(sla);
	d->sla = NULL;
}
