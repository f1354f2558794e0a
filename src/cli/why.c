/* Why something does not run, or why it ended as it did: gathers what is known for run/why.h and
 * prints the causes. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/civil.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/node.h"
#include "cli/commands.h"
#include "cli/home.h"
#include "cli/runview.h"
#include "cli/term.h"
#include "cli/when.h"
#include "conf/dagfile.h"
#include "conf/diag.h"
#include "core/model.h"
#include "core/zone.h"
#include "http/client.h"
#include "http/route.h"
#include "run/control_dag.h"
#include "run/daemon.h"
#include "run/dataset_waits.h"
#include "run/name.h"
#include "run/outside.h"
#include "run/paths.h"
#include "run/why.h"
#include "store/store.h"

enum {
	ANSWER_MS = 5000,
	KEPT_MAX = 256,
	PLANS_READ = 50,
	DETAIL_LINES = 4,
	PATH_SIZE = 4096,
	RUNS_FOLLOWED = 8,
	OTHERS_MAX = 1 << 20,
	STEP_WIDTH = 60
};

/* What was asked of the store; it lives as long as the tree. */
struct gathered {
	const struct args *args;
	char *home;
	struct store *store;
	struct store_result kept[KEPT_MAX];
	size_t nkept;
	struct store_result *last; /* of the task that was told of last */
	const char *last_task;
	char *logs[KEPT_MAX];
	size_t nlogs;
	struct dag *dag;
	json_t *live;
	char *error; /* of the DAG's file */
	struct why_dag_facts f;
	struct run_row *active;     /* owned */
	struct dataset_wait *waits; /* likewise */
	struct arena arena;         /* what tasks need of other runs */
	/* Other runs that were looked at, by the one that was asked for. */
	struct gathered *first, *others[RUNS_FOLLOWED];
	size_t nothers;
};

/* ---- asking the store ----------------------------------------------------------------- */

/* A place for one more result; NULL: there are enough. */
static struct store_result *place(struct gathered *g)
{
	return g->nkept < KEPT_MAX ? &g->kept[g->nkept] : NULL;
}

/* The attempts of a task with all its instances: asked for once, while it is told of. */
static struct store_result *attempts_with(struct gathered *g, const char *task)
{
	struct store_result *r = place(g);

	if (g->last && strcmp(g->last_task, task) == 0)
		return g->last;
	if (!r || store_attempts(g->store, g->f.common.run->id, task, r, NULL) < 0)
		return NULL;
	g->nkept++;
	g->last_task = task;
	return g->last = r;
}

static size_t attempts_of(void *arg, const struct task_row *t, const struct attempt_row **ret)
{
	struct store_result *r = attempts_with(arg, t->name);
	struct attempt_row *own;
	size_t n = 0;

	for (size_t i = 0; r && i < r->n; i++)
		n += r->attempts[i].map_index == t->map_index;
	own = r ? arena_array(&r->arena, n + 1, sizeof *own) : NULL;
	if (!own)
		return 0;
	n = 0;
	for (size_t i = 0; i < r->n; i++)
		if (r->attempts[i].map_index == t->map_index)
			own[n++] = r->attempts[i];
	*ret = own;
	return n;
}

static const char *said_by(void *arg, const struct task_row *t, enum reason reason)
{
	struct gathered *g = arg;
	struct store_result *r = place(g);

	if (!r || store_events(g->store, g->f.common.run->id, t->name, r, NULL) < 0)
		return NULL;
	g->nkept++;
	for (size_t i = r->n; i-- > 0;)
		if (r->events[i].map_index == t->map_index && r->events[i].detail &&
			strcmp(r->events[i].reason, reason_name(reason)) == 0)
			return r->events[i].detail;
	return NULL;
}

/* "fetch", "fetch[3]": the attempt of it that runs; 0: none is known. */
static int64_t running_since(const struct store_result *attempts, int map_index)
{
	for (size_t i = attempts->n; i-- > 0;) {
		const struct attempt_row *a = &attempts->attempts[i];
		if (a->map_index != map_index)
			continue;
		if (a->outcome != OUTCOME_NONE)
			return 0;
		return a->started_us ? a->started_us : a->queued_us;
	}
	return 0;
}

static int64_t since_of(void *arg, const char *run, const char *task)
{
	struct gathered *g = arg;
	struct store_result found, attempts;
	int map_index;
	int64_t ret = 0;
	size_t len;

	if (!run_split_label(task, &len, &map_index) ||
		store_run_find(g->store, run, &found, NULL) < 0)
		return 0;
	char *name = strndup(task, len);
	if (name && store_attempts(g->store, found.runs[0].id, name, &attempts, NULL) == 0) {
		ret = running_since(&attempts, map_index);
		store_result_release(&attempts);
	}
	free(name);
	store_result_release(&found);
	return ret;
}

static const char *log_of(void *arg, const struct attempt_row *a)
{
	struct gathered *g = arg;

	if (g->nlogs >= KEPT_MAX)
		return NULL;
	char *path = paths_log(g->home, g->f.common.run->name, a->task, a->map_index, a->try);
	if (path && !io_exists(path)) {
		free(path);
		return NULL;
	}
	return g->logs[g->nlogs++] = path;
}

static size_t others_of(void *arg, const struct task *def, const struct why_other **ret);
static const struct why_facts *other_run_of(void *arg, int64_t run_id);

static void gathered_init(struct gathered *g, const struct args *args, int64_t now_us)
{
	g->args = args;
	g->first = g;
	arena_init(&g->arena, OTHERS_MAX);
	g->f.common.now_us = now_us;
	g->f.common.source = (struct why_source){ .arg = g,
		.attempts = attempts_of,
		.said = said_by,
		.since = since_of,
		.log = log_of,
		.others = others_of,
		.other_run = other_run_of };
}

static int gather_switches(struct gathered *g, const char *dag, struct err *err)
{
	struct store_result *dags = place(g);

	if (!dags || store_dags(g->store, dag, dags, err) < 0)
		return -1;
	g->nkept++;
	g->f.common.switches = dags->n ? &dags->dags[0] : NULL;
	struct store_result *frozen = place(g);
	if (!frozen || store_frozen(g->store, dag, frozen, err) < 0)
		return -1;
	g->nkept++;
	g->f.common.frozen = frozen->frozen;
	g->f.common.nfrozen = frozen->n;
	struct store_result *breakers = place(g);
	if (!breakers || store_breakers(g->store, NULL, breakers, err) < 0)
		return -1;
	g->nkept++;
	g->f.common.breakers = breakers->breakers;
	g->f.common.nbreakers = breakers->n;
	return 0;
}

static int gather_tasks(struct gathered *g, const struct run_row *r, struct err *err)
{
	struct store_result *tasks = place(g);

	if (!tasks || store_tasks(g->store, r->id, tasks, err) < 0)
		return -1;
	g->nkept++;
	g->f.common.run = r;
	g->f.common.abandoned = runview_abandoned(r);
	g->f.common.tasks = tasks->tasks;
	g->f.common.ntasks = tasks->n;
	struct store_result *audits = place(g);
	if (!audits || store_audits(g->store, r->id, audits, err) < 0)
		return -1;
	g->nkept++;
	g->f.common.audits = audits->audits;
	g->f.common.naudits = audits->n;
	return 0;
}

static int gather_backfill(struct gathered *g, int64_t id, struct err *err)
{
	struct store_result *r = place(g);

	if (!r || store_backfills(g->store, id, r, err) < 0)
		return -1;
	g->nkept++;
	g->f.common.backfill = r->n ? &r->backfills[0] : NULL;
	return 0;
}

/* The model of the version a run has, or the DAG had last. */
static void load_version(struct gathered *g, const char *version, const char *path, const char *dir)
{
	const struct dagfile_env env = { .operators = cli_operators(), .was_good = true };
	struct diags diags;
	char *text = NULL;

	if (!version || !path || !dir || store_version_text(g->store, version, &text, NULL) < 0)
		return;
	diags_init(&diags);
	g->dag = dagfile_load_text(path, dir, text, &env, &diags);
	g->f.common.dag = g->dag;
	diags_release(&diags);
	free(text);
}

/* ---- asking the daemon ---------------------------------------------------------------- */

/* Its silence is a fact, too. */
static void ask_daemon(struct gathered *g, const char *dag, const char *run, const char *task)
{
	char *socket_path = daemon_socket_path(g->home);
	struct buf path;
	int status;

	buf_init(&path, PATH_SIZE);
	buf_addstr(&path, "/v1/live?dag=");
	http_add_encoded(&path, dag);
	if (run) {
		buf_addstr(&path, "&run=");
		http_add_encoded(&path, run);
	}
	if (task) {
		buf_addstr(&path, "&task=");
		http_add_encoded(&path, task);
	}
	const struct http_call c = { .socket_path = socket_path,
		.method = "GET",
		.path = path.data,
		.timeout_ms = ANSWER_MS };
	if (!socket_path || path.failed || http_call(&c, &status, &g->live, NULL) < 0)
		g->f.common.daemon_pid = daemon_pid(g->home);
	g->f.common.live = g->live;
	buf_release(&path);
	free(socket_path);
}

/* ---- a run ---------------------------------------------------------------------------- */

static int gather_run(struct gathered *g, const char *word, const char *task, struct err *err)
{
	struct store_result *found = place(g);

	if (store_run_find(g->store, word, found, err) < 0)
		return -1;
	g->nkept++;
	const struct run_row *r = &found->runs[0];
	/* What the daemon says is older than what the store has then, never newer. */
	ask_daemon(g, r->dag, r->name, task);
	if (gather_tasks(g, r, err) < 0 || gather_switches(g, r->dag, err) < 0 ||
		(r->backfill_id && gather_backfill(g, r->backfill_id, err) < 0))
		return -1;
	load_version(g, r->version, r->dag_path, r->dag_dir);
	return 0;
}

/* ---- other runs ----------------------------------------------------------------------- */

static const char *keep_text(struct gathered *g, const struct buf *b)
{
	return b->failed ? NULL : arena_strdup(&g->arena, b->data);
}

static const char *span_text(struct gathered *g, int64_t start_us, int64_t end_us)
{
	struct civil civil;
	struct buf b;

	buf_init(&b, 128);
	zone_to_civil(zone_utc(), start_us, &civil, NULL);
	civil_add_rfc3339(&b, &civil, 0);
	buf_addstr(&b, " to ");
	zone_to_civil(zone_utc(), end_us, &civil, NULL);
	civil_add_rfc3339(&b, &civil, 0);
	const char *text = keep_text(g, &b);
	buf_release(&b);
	return text;
}

static struct outside_from asks_from(const struct gathered *g)
{
	const struct run_row *r = g->f.common.run;

	return (struct outside_from){ g->store, g->dag, r->interval_start_us, r->interval_end_us };
}

static bool add_cross(struct gathered *g, const struct cross_need *need, struct why_other *ret)
{
	const struct outside_from from = asks_from(g);
	struct outside_state s;
	struct buf name;

	if (outside_cross(&from, need, &s, NULL) < 0) {
		outside_state_release(&s);
		return false;
	}
	buf_init(&name, 512);
	outside_add_name(need, &name);
	*ret = (struct why_other){ .name = keep_text(g, &name),
		.dag = need->dag,
		.run = s.has_run ? arena_strdup(&g->arena, s.run.name) : NULL,
		.run_id = s.has_run ? s.run.id : 0,
		.run_state = s.run.state,
		.task = need->task,
		.state = s.state,
		.task_state = s.task_state };
	if (s.gap)
		ret->span = span_text(g, s.gap_start_us, s.gap_end_us);
	else if (!s.has_run)
		ret->span = span_text(g, from.interval_start_us, from.interval_end_us);
	buf_release(&name);
	outside_state_release(&s);
	return ret->name != NULL;
}

static bool add_past(struct gathered *g, const struct task *def, struct why_other *ret)
{
	const struct outside_from from = asks_from(g);
	struct outside_past p;
	int rc = outside_past(&from, def, &p, NULL);

	*ret = (struct why_other){ .past = true,
		.name = def->name,
		.dag = g->dag->name,
		.run = p.has_run ? arena_strdup(&g->arena, p.run.name) : NULL,
		.run_id = p.has_run ? p.run.id : 0,
		.run_state = p.run.state,
		.task = p.task ? p.task : def->name,
		.state = p.lets ? TASK_SUCCESS : TASK_NONE,
		.task_state = p.task_state };
	outside_past_release(&p);
	return rc == 0;
}

/* The run that a control task waits for, where no template says it. */
static bool control_need(const struct task *def, struct cross_need *ret)
{
	bool wait = def->kind == TASK_CONTROL && def->op && strcmp(def->op, "wait") == 0;
	const char *dag = control_dag_is(def) ? node_text(node_get(def->with, "dag"))
			  : wait              ? node_text(node_get(def->with, "run"))
					      : NULL;

	*ret = (struct cross_need){ .dag = dag,
		.task = wait ? node_text(node_get(def->with, "task")) : NULL };
	return dag && !strstr(dag, "{{") && !(ret->task && strstr(ret->task, "{{"));
}

static size_t others_of(void *arg, const struct task *def, const struct why_other **ret)
{
	struct gathered *g = arg;
	struct cross_need control;
	size_t n = 0;

	if (!g->dag || !g->f.common.run)
		return 0;
	struct why_other *list = arena_array(&g->arena, (size_t)def->ncross + 2, sizeof *list);
	for (int i = 0; list && i < def->ncross; i++)
		n += add_cross(g, &def->cross[i], &list[n]);
	if (list && control_need(def, &control))
		n += add_cross(g, &control, &list[n]);
	if (list && def->depends_on_past)
		n += add_past(g, def, &list[n]);
	*ret = list;
	return n;
}

static const struct why_facts *other_run_of(void *arg, int64_t run_id)
{
	struct gathered *g = ((struct gathered *)arg)->first, *o;
	char ref[32];

	for (size_t i = 0; i < g->nothers; i++)
		if (g->others[i]->f.common.run && g->others[i]->f.common.run->id == run_id)
			return &g->others[i]->f.common;
	if (g->nothers == RUNS_FOLLOWED || !(o = calloc(1, sizeof *o)))
		return NULL;
	g->others[g->nothers++] = o;
	gathered_init(o, g->args, g->f.common.now_us);
	o->first = g;
	o->store = g->store;
	o->home = g->home;
	o->f.common.home = g->home;
	snprintf(ref, sizeof ref, "%lld", (long long)run_id);
	return gather_run(o, ref, NULL, NULL) < 0 ? NULL : &o->f.common;
}

/* ---- a DAG ---------------------------------------------------------------------------- */

/* Its file as it stands now; where that is broken, its last version. */
static void load_file(struct gathered *g, const char *path)
{
	const struct dagfile_env env = { .operators = cli_operators() };
	struct diags diags;

	if (!path || !io_exists(path))
		return;
	diags_init(&diags);
	g->dag = dagfile_load(path, &env, &diags);
	if (!g->dag && diags.n) {
		const struct diag *d = &diags.list[0];
		if (asprintf(&g->error, "%s:%d:%d: %s", path, d->line, d->col, d->message) < 0)
			g->error = NULL;
	}
	g->f.error = g->error;
	g->f.common.dag = g->dag;
	diags_release(&diags);
}

static int gather_active(struct gathered *g, const char *dag, struct err *err)
{
	static const enum run_state states[] = { RUN_RUNNING, RUN_QUEUED };
	struct store_result *r[2];
	size_t n = 0;

	for (int i = 0; i < 2; i++) {
		const struct run_filter f = { .dag = dag, .state = (int)states[i] };
		r[i] = place(g);
		if (!r[i] || store_runs(g->store, &f, r[i], err) < 0)
			return -1;
		g->nkept++;
	}
	if (!(g->active = calloc(r[0]->n + r[1]->n + 1, sizeof *g->active)))
		return err_nomem(err);
	for (int i = 0; i < 2; i++)
		for (size_t k = 0; k < r[i]->n; k++)
			g->active[n++] = r[i]->runs[k];
	g->f.active = g->active;
	g->f.nactive = n;
	return 0;
}

static int gather_decisions(struct gathered *g, const char *dag, struct err *err)
{
	struct store_result *plans = place(g);

	if (!plans || store_plans(g->store, dag, PLANS_READ, plans, err) < 0)
		return -1;
	g->nkept++;
	g->f.plans = plans->plans;
	g->f.nplans = plans->n;
	struct store_result *r = place(g);
	if (!r || store_backfills(g->store, 0, r, err) < 0)
		return -1;
	g->nkept++;
	for (size_t i = 0; i < r->n && !g->f.nbackfills; i++) {
		const struct backfill_row *b = &r->backfills[i];
		bool over = b->state == BACKFILL_DONE || b->state == BACKFILL_CANCELLED;
		if (over || strcmp(b->dag, dag) != 0)
			continue;
		g->f.backfills = b;
		g->f.nbackfills = 1;
	}
	return 0;
}

/* Its latest run, where there is one. */
static int gather_latest(struct gathered *g, const char *dag, struct err *err)
{
	const struct run_filter f = {
		.dag = dag, .state = -1, .latest_per_dag = true, .ended_by_us = g->f.common.now_us
	};
	struct store_result *r = place(g);

	if (!r || store_runs(g->store, &f, r, err) < 0)
		return -1;
	g->nkept++;
	return r->n ? gather_tasks(g, &r->runs[0], err) : 0;
}

static int gather_dag(struct gathered *g, const char *dag, struct err *err)
{
	const struct dag_row *d;
	const struct run_row *r;
	char *path = NULL;

	g->f.name = dag;
	ask_daemon(g, dag, NULL, NULL);
	if (gather_switches(g, dag, err) < 0 || gather_latest(g, dag, err) < 0 ||
		gather_active(g, dag, err) < 0 || gather_decisions(g, dag, err) < 0)
		return -1;
	d = g->f.common.switches;
	r = g->f.common.run;
	/* A DAG that is given as a file is loaded already. */
	if (!g->dag && d && d->path)
		path = d->dir ? io_path_join(d->dir, io_path_base(d->path)) : strdup(d->path);
	else if (!g->dag && r && r->dag_path && r->dag_dir)
		path = io_path_join(r->dag_dir, io_path_base(r->dag_path));
	load_file(g, path);
	free(path);
	if (!g->dag && d && d->version)
		load_version(g, d->version, d->path, d->dir);
	else if (!g->dag && r)
		load_version(g, r->version, r->dag_path, r->dag_dir);
	if (!g->dag || !g->dag->datasets)
		return 0;
	g->f.waits = g->waits = dataset_waits(g->store, g->dag, err);
	return g->waits ? 0 : -1;
}

/* Does the word name a DAG? */
static bool is_dag(struct gathered *g, const char *word)
{
	const struct run_filter f = { .dag = word, .state = -1, .limit = 1 };
	struct store_result r;
	bool known = false;

	if (strchr(word, '@'))
		return false;
	if (store_dags(g->store, word, &r, NULL) == 0) {
		known = r.n > 0;
		store_result_release(&r);
	}
	if (!known && store_runs(g->store, &f, &r, NULL) == 0) {
		known = r.n > 0;
		store_result_release(&r);
	}
	return known;
}

static bool is_file(const char *word)
{
	size_t n = strlen(word);

	return strchr(word, '/') || (n > 5 && strcmp(word + n - 5, ".yaml") == 0) ||
	       (n > 4 && strcmp(word + n - 4, ".yml") == 0);
}

/* ---- printing ------------------------------------------------------------------------- */

static enum style style_of(const struct why_node *n)
{
	int task = n->kind == WHY_TASK && n->state ? task_state_by_name(n->state) : -1;
	int run = n->kind == WHY_RUN && n->state ? run_state_by_name(n->state) : -1;

	if (task >= 0)
		return runview_task_style((enum task_state)task);
	if (run == RUN_SUCCESS)
		return STYLE_GOOD;
	if (run == RUN_FAILED)
		return STYLE_BAD;
	return run == RUN_RUNNING ? STYLE_BUSY : STYLE_WARN;
}

/* It has come to its end: an instant of it is when, not since when. */
static bool is_over(const struct why_node *n)
{
	int task = n->kind == WHY_TASK && n->state ? task_state_by_name(n->state) : -1;
	int run = n->kind == WHY_RUN && n->state ? run_state_by_name(n->state) : -1;
	int end = n->kind == WHY_ATTEMPT && n->state ? outcome_by_name(n->state) : -1;

	return (task >= 0 && task_state_is_final((enum task_state)task)) ||
	       (run >= 0 && run_state_is_final((enum run_state)run)) || end > OUTCOME_NONE ||
	       n->kind == WHY_SCHEDULE || n->kind == WHY_REQUEST;
}

static void add_times(struct buf *out, const struct why_node *n, int64_t now_us)
{
	char at[WHEN_SIZE], ago[WHEN_SIZE];

	if (n->since_us)
		buf_addf(out, ", %s %s (%s)", is_over(n) ? "at" : "since",
			when_short(n->since_us, now_us, at), when_ago(n->since_us, now_us, ago));
	if (n->until_us)
		buf_addf(out, ", until %s (%s)", when_short(n->until_us, now_us, at),
			when_ago(n->until_us, now_us, ago));
}

static void add_detail(struct buf *out, const char *detail, int indent)
{
	if (!strchr(detail, '\n')) {
		buf_addstr(out, ": \"");
		text_add(out, detail, -1);
		buf_addc(out, '"');
		return;
	}
	for (int i = 0; i < DETAIL_LINES && *detail; i++) {
		char line[512];
		size_t len = strcspn(detail, "\n");
		snprintf(line, sizeof line, "%.*s", (int)(len < 500 ? len : 500), detail);
		buf_addc(out, '\n');
		buf_addpad(out, ' ', (size_t)indent + 4);
		text_add(out, line, -1);
		detail += len + (detail[len] == '\n');
	}
}

static void add_node(
	struct buf *out, const struct term *t, const struct why_node *n, int indent, int64_t now_us)
{
	enum style style = indent ? STYLE_NONE : STYLE_BOLD;

	buf_addpad(out, ' ', (size_t)indent);
	buf_addstr(out, style_on(style, t->colour));
	text_add(out, n->subject, -1);
	buf_addstr(out, style_off(style, t->colour));
	if (n->state && n->kind != WHY_ATTEMPT && strcmp(n->state, "none") != 0) {
		style = style_of(n);
		buf_addf(out, " %s%s%s", style_on(style, t->colour), n->state,
			style_off(style, t->colour));
	}
	/* What someone did is a sentence; else the subject is explained. */
	bool sentence = n->kind == WHY_SWITCH || n->kind == WHY_REQUEST || n->kind == WHY_PROCESS ||
			n->kind == WHY_MORE || n->kind == WHY_STORE || n->kind == WHY_SCHEDULE;
	buf_addstr(out, sentence && !n->state ? " " : ": ");
	text_add(out, n->text, -1);
	add_times(out, n, now_us);
	if (n->detail)
		add_detail(out, n->detail, indent);
	if (n->log) {
		buf_addc(out, '\n');
		buf_addpad(out, ' ', (size_t)indent + 4);
		buf_addstr(out, "log: ");
		text_add(out, n->log, -1);
	}
	buf_addc(out, '\n');
	for (const struct why_node *c = n->first; c; c = c->next)
		add_node(out, t, c, indent + 2, now_us);
}

/* The command line of a step; "" where there is no such command. */
static const char *step_words(const struct why_step *s, struct buf *out)
{
	buf_clear(out);
	if (command_find(s->command))
		buf_addf(out, "weir %s%s%s", s->command, *s->words ? " " : "", s->words);
	return out->data;
}

/* Of those that leave room for what they do. */
static int steps_width(const struct why *w, struct buf *line)
{
	int width = 0;

	for (int i = 0; i < w->nsteps; i++) {
		int n = text_width(step_words(&w->steps[i], line));
		width = n > width && n <= STEP_WIDTH ? n : width;
	}
	return width;
}

static void print_text(const struct gathered *g, const struct why *w)
{
	struct buf out, line, before;
	struct term t;
	int n = 0;

	term_init(&t, stdout, g->args);
	buf_init(&out, BUF_MAX_TEXT);
	buf_init(&line, PATH_SIZE);
	buf_init(&before, BUF_MAX_TEXT);
	add_node(&out, &t, w->root, 0, g->f.common.now_us);
	int width = steps_width(w, &line);
	for (int i = 0; i < w->nsteps; i++) {
		const char *words = step_words(&w->steps[i], &line);
		if (!*words || (before.len && strstr(before.data, words)))
			continue;
		buf_addf(&out, "%s  ", n++ ? "" : "\nnext\n");
		int used = text_add(&out, words, -1);
		buf_addpad(&out, ' ', used < width ? (size_t)(width - used) : 0);
		buf_addf(&out, "    # %s\n", w->steps[i].what);
		buf_addf(&before, "%s\n", words);
	}
	term_write(&t, &out);
	buf_release(&before);
	buf_release(&line);
	buf_release(&out);
}

static json_t *node_json(const struct why_node *n)
{
	json_t *causes = json_array(), *o = json_pack("{s:s}", "kind", why_kind_name(n->kind));

	json_object_set_new(o, "subject", cli_json_text(n->subject));
	json_object_set_new(o, "state", cli_json_text(n->state));
	json_object_set_new(o, "reason", cli_json_text(n->reason));
	json_object_set_new(o, "text", cli_json_text(n->text));
	json_object_set_new(o, "detail", cli_json_text(n->detail));
	json_object_set_new(o, "log", cli_json_text(n->log));
	json_object_set_new(o, "since", cli_json_time(n->since_us));
	json_object_set_new(o, "until", cli_json_time(n->until_us));
	for (const struct why_node *c = n->first; c; c = c->next)
		json_array_append_new(causes, node_json(c));
	json_object_set_new(o, "causes", causes);
	return o;
}

static int print_json(const struct gathered *g, const struct why *w, struct err *err)
{
	json_t *o = node_json(w->root), *next = json_array();
	struct buf line;

	buf_init(&line, PATH_SIZE);
	for (int i = 0; i < w->nsteps; i++)
		if (*step_words(&w->steps[i], &line))
			json_array_append_new(
				next, json_pack("{s:o, s:s}", "command", cli_json_text(line.data),
					      "what", w->steps[i].what));
	buf_release(&line);
	json_object_set_new(o, "next", next);
	json_object_set_new(o, "daemon", json_boolean(g->live != NULL));
	return cli_print_json(o, err);
}

/* ---- the command ---------------------------------------------------------------------- */

/* Of a DAG that never ran: its file may lie in the daemon's folder, and be wrong. Returns -1. */
static int find_broken(struct gathered *g, const char *word, struct err *err)
{
	static const char *const ends[] = { ".yaml", ".yml" };

	if (err->code != ERR_NOT_FOUND || strpbrk(word, "@/"))
		return -1;
	if (!g->live)
		ask_daemon(g, word, NULL, NULL);
	const char *folder = json_string_value(json_object_get(g->live, "folder"));
	for (size_t i = 0; folder && i < sizeof ends / sizeof *ends && !g->error && !g->dag; i++) {
		char *path;
		if (asprintf(&path, "%s/%s%s", folder, word, ends[i]) < 0)
			return err_nomem(err);
		load_file(g, path);
		free(path);
	}
	if (!g->error)
		return -1;
	return err_set(err, ERR_INVALID, "DAG %s is not scheduled: its file cannot be loaded: %s",
		word, g->error);
}

static int explain(struct gathered *g, struct why *w, struct err *err)
{
	const char *word = args_operand(g->args, 0), *task = args_operand(g->args, 1);

	if (is_file(word)) {
		load_file(g, word);
		if (!g->dag)
			return err_set(err, g->error ? ERR_INVALID : ERR_NOT_FOUND, "%s",
				g->error ? g->error : "there is no such DAG file");
		word = g->dag->name;
	}
	if (!task && (g->dag || is_dag(g, word)))
		return gather_dag(g, word, err) < 0 ? -1 : why_dag(w, &g->f, err);
	if (g->dag) {
		dag_unref(g->dag);
		g->dag = NULL;
	}
	if (gather_run(g, word, task, err) < 0)
		return find_broken(g, word, err);
	return why_run(w, &g->f.common, task, err);
}

/* But for what is shared with the others. */
static void release_own(struct gathered *g)
{
	for (size_t i = 0; i < g->nkept; i++)
		store_result_release(&g->kept[i]);
	for (size_t i = 0; i < g->nlogs; i++)
		free(g->logs[i]);
	dag_unref(g->dag);
	json_decref(g->live);
	free(g->active);
	free(g->waits);
	free(g->error);
	arena_release(&g->arena);
}

static void release(struct gathered *g)
{
	for (size_t i = 0; i < g->nothers; i++) {
		release_own(g->others[i]);
		free(g->others[i]);
	}
	release_own(g);
	store_close(g->store);
	free(g->home);
}

/* A DAG's file can be asked about before anything was run. */
static int open_store(struct gathered *g, struct err *err)
{
	if (cli_store_open(g->args, &g->store, err) == 0)
		return 0;
	if (err->code != ERR_NOT_FOUND || !is_file(args_operand(g->args, 0)))
		return -1;
	err_clear(err);
	return store_open_memory(&g->store, err);
}

static int why_command(const struct args *args, struct err *err)
{
	struct gathered *g = calloc(1, sizeof *g);
	struct why w;
	int rc = -1;

	if (!g)
		return err_nomem(err);
	why_init(&w);
	gathered_init(g, args, clock_now_us());
	if ((g->home = cli_home(args, err)) && open_store(g, err) == 0) {
		g->f.common.home = g->home;
		rc = explain(g, &w, err);
	}
	if (rc == 0 && args_has(args, "json"))
		rc = print_json(g, &w, err);
	else if (rc == 0)
		print_text(g, &w);
	why_release(&w);
	release(g);
	free(g);
	return rc;
}

static const struct operand why_operands[] = {
	{ "RUN", VALUE_RUN, false, false,
		"a run, by its name or number; or a DAG, by its name or file" },
	{ "TASK", VALUE_TASK, true, false,
		"one of its tasks; with the name of a DAG, of its latest run" },
	{ 0 }
};

const struct command command_why = {
	.name = "why",
	.group = "Look",
	.summary = "why a run, a task or a DAG does not run, or how it came to its end",
	.doc = "Tells the causes down to their roots: what a task waits for, and what that waits "
	       "for; who holds a pool or a slot, since when; who paused it, and why; which "
	       "failure kept it from running, with its tries and the last line of its error. Of "
	       "a DAG: when it runs next, and why not now. Ends with the commands that help.\n\n"
	       "A running daemon is asked for what it alone knows. Nothing is changed.\n\n"
	       "  weir why nightly_sales@2026-11-19 load",
	.operands = why_operands,
	.run = why_command,
};
