#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/grid.h"
#include "cli/home.h"
#include "cli/slaview.h"
#include "cli/term.h"
#include "cli/when.h"
#include "conf/config.h"
#include "conf/diag.h"
#include "core/dataset.h"
#include "core/model.h"
#include "core/timetable.h"

enum { MISSES_SHOWN = 20 };

/* An SLA, what it is about, and the next interval it is judged for. */
struct policy {
	const char *dag, *task;
	const struct sla *sla;
	enum sla_kind kind;
	bool has_next;
	struct tick next;
	int64_t deadline_us;
	const char *state;   /* of the run of that interval; NULL: there is none */
	const char *dataset; /* fresh_within; else NULL */
};

struct listing {
	const struct args *args;
	struct store *store; /* NULL: there is none */
	struct store_result misses;
	struct cli_dag *dags;
	size_t ndags, nbroken;
	struct policy *policies;
	size_t npolicies, cap;
	int64_t now_us;
};

/* ---- which DAGs ------------------------------------------------------------------------ */

static int add_dag(struct listing *l, const struct cli_dag *dag)
{
	struct cli_dag *grown = reallocarray(l->dags, l->ndags + 1, sizeof *grown);

	if (!grown)
		return -1;
	l->dags = grown;
	l->dags[l->ndags++] = *dag;
	return 0;
}

/* As the daemon judges it: the last good version. What is wrong with its file is not said here. */
static void add_known(struct listing *l, const struct dag_row *row)
{
	struct dagfile_env env = { .operators = cli_operators() };
	struct cli_dag dag = { 0 };
	struct diags diags;
	struct err err = { 0 };
	char *text = NULL;

	if (!row->present || !row->version || !row->path || !row->dir)
		return;
	diags_init(&diags);
	if (store_version_text(l->store, row->version, &text, &err) == 0 &&
		(dag.config = cli_load_config(l->args, row->dir, &diags, &err))) {
		env.config = dag.config;
		env.was_good = true;
		dag.dag = dagfile_load_text(row->path, row->dir, text, &env, &diags);
	}
	if (!dag.dag || add_dag(l, &dag) < 0) {
		cli_dag_release(&dag);
		l->nbroken++;
	}
	diags_release(&diags);
	free(text);
}

static int add_all(struct listing *l, const char *name, struct err *err)
{
	struct store_result rows;

	if (store_dags(l->store, name, &rows, err) < 0)
		return -1;
	for (size_t i = 0; i < rows.n; i++)
		add_known(l, &rows.dags[i]);
	store_result_release(&rows);
	return 0;
}

static int find_dags(struct listing *l, struct err *err)
{
	const char *word = args_operand(l->args, 0);
	struct cli_dag dag;

	if (!word)
		return l->store ? add_all(l, NULL, err) : 0;
	if (l->store && !strchr(word, '/') && !io_exists(word)) {
		if (add_all(l, word, err) < 0)
			return -1;
		if (l->ndags + l->nbroken > 0)
			return 0;
		return err_set(err, ERR_NOT_FOUND,
			"no daemon knows a DAG \"%.128s\", and there is no such file", word);
	}
	if (cli_load_dag(l->args, word, false, &dag, err) < 0)
		return -1;
	return add_dag(l, &dag) < 0 ? err_nomem(err) : 0;
}

/* ---- policies ---------------------------------------------------------------------------- */

static const char *run_state_of(struct listing *l, const struct policy *p)
{
	const struct run_key key = { p->dag, p->next.start_us, p->next.end_us };
	struct store_result run;
	const char *state = NULL;

	if (!l->store || store_run_by_key(l->store, &key, &run, NULL) < 0)
		return NULL;
	if (run.n)
		state = run_state_name(run.runs[0].state);
	store_result_release(&run);
	return state;
}

static struct policy *new_policy(
	struct listing *l, const struct dag *dag, const struct task *t, enum sla_kind kind)
{
	const struct sla *s = t ? t->sla : dag->sla;

	if (l->npolicies == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct policy *grown = reallocarray(l->policies, cap, sizeof *grown);
		if (!grown)
			return NULL;
		l->policies = grown;
		l->cap = cap;
	}
	struct policy *p = &l->policies[l->npolicies++];
	*p = (struct policy){
		.dag = dag->name, .task = t ? t->name : NULL, .sla = s, .kind = kind
	};
	return p;
}

/* When the dataset has to be updated again, as far as it is known. */
static int add_fresh(struct listing *l, const struct dag *dag, const struct task *t,
	const struct dataset_ref *ref)
{
	struct policy *p = new_policy(l, dag, t, SLA_FRESH_WITHIN);
	struct store_result rows;

	if (!p)
		return -1;
	p->dataset = ref->name;
	if (!l->store || store_datasets(l->store, ref->name, &rows, NULL) < 0)
		return 0;
	if (rows.n) {
		const struct dataset_row *r = &rows.datasets[0];
		p->has_next = true;
		p->next.start_us = r->fresh_us ? r->fresh_us : r->since_us;
		p->next.start_us -= p->next.start_us % US_PER_SECOND;
		p->next.end_us = p->deadline_us = p->next.start_us + p->sla->fresh_within_us;
	}
	store_result_release(&rows);
	return 0;
}

/* Of the task; of the DAG those that its schedule waits for, or else those that it produces. */
static int add_all_fresh(struct listing *l, const struct dag *dag, const struct task *t)
{
	int rc = 0;

	for (size_t i = 0; !t && dag->datasets && rc == 0 && i < dag->datasets->n; i++)
		rc = add_fresh(l, dag, NULL, &dag->datasets->refs[i]);
	for (int k = 0; (t || !dag->datasets) && rc == 0 && k < dag->ntasks; k++)
		for (int i = 0; rc == 0 && i < dag->tasks[k].nproduces; i++)
			if (!t || t == &dag->tasks[k])
				rc = add_fresh(l, dag, t, &dag->tasks[k].produces[i]);
	return rc;
}

static int add_policy(
	struct listing *l, const struct dag *dag, const struct task *t, enum sla_kind kind)
{
	if (kind == SLA_FRESH_WITHIN)
		return add_all_fresh(l, dag, t);
	struct policy *p = new_policy(l, dag, t, kind);
	if (!p)
		return -1;
	const struct sla *s = p->sla;
	p->has_next = sla_first_after(s, kind, dag->schedule, l->now_us, &p->next) == 1;
	if (p->has_next) {
		p->deadline_us = sla_judged_at_us(s, kind, dag->schedule, &p->next);
		p->state = run_state_of(l, p);
	}
	return 0;
}

static int add_slas(struct listing *l, const struct dag *dag, const struct task *t)
{
	const struct sla *s = t ? t->sla : dag->sla;

	for (int kind = 0; s && kind < SLA_KIND_MAX; kind++)
		if (sla_has(s, (enum sla_kind)kind) &&
			add_policy(l, dag, t, (enum sla_kind)kind) < 0)
			return -1;
	return 0;
}

static int add_policies(struct listing *l, struct err *err)
{
	for (size_t i = 0; i < l->ndags; i++) {
		const struct dag *dag = l->dags[i].dag;
		int rc = add_slas(l, dag, NULL);
		for (int k = 0; rc == 0 && k < dag->ntasks; k++)
			rc = add_slas(l, dag, &dag->tasks[k]);
		if (rc < 0)
			return err_nomem(err);
	}
	return 0;
}

static int read_misses(struct listing *l, struct err *err)
{
	const char *word = args_operand(l->args, 0);
	const struct sla_filter f = { .dag = word && l->ndags ? l->dags[0].dag->name : word,
		.open = args_has(l->args, "open"),
		.limit = (int)args_int(l->args, "limit", MISSES_SHOWN) };

	return l->store ? store_sla_misses(l->store, &f, &l->misses, err) : 0;
}

/* ---- printing ---------------------------------------------------------------------------- */

static const char *acts_of(const struct sla *s, struct buf *b)
{
	buf_clear(b);
	for (int a = 0; a < SLA_ACT_MAX; a++)
		if (sla_does(s, (enum sla_act)a))
			buf_addf(b, "%s%s", b->len ? ", " : "", sla_act_names[a]);
	return b->data;
}

static const struct grid_column policy_columns[] = {
	{ "DAG", GRID_FLEX },
	{ "TASK", GRID_FLEX },
	{ "SLA", 0 },
	{ "NEXT", 0 },
	{ "WHEN", 0 },
	{ "RUN", 0 },
	{ "ON MISS", 0 },
};

static const struct dag *dag_of(const struct listing *l, const struct policy *p)
{
	size_t i = 0;

	while (l->dags[i].dag->name != p->dag)
		i++;
	return l->dags[i].dag;
}

static void print_policies(const struct listing *l, const struct term *t, struct buf *out)
{
	char text[96], when[WHEN_SIZE];
	struct grid g;
	struct buf b;

	grid_init(&g, policy_columns, sizeof policy_columns / sizeof *policy_columns);
	buf_init(&b, 4096);
	for (size_t i = 0; i < l->npolicies; i++) {
		const struct policy *p = &l->policies[i];
		grid_add(&g, STYLE_BOLD, p->dag);
		grid_add(&g, STYLE_NONE, p->task);
		slaview_policy(p->sla, p->kind, text, sizeof text);
		grid_addf(&g, STYLE_NONE, "%s%s%s", text, p->dataset ? " " : "",
			p->dataset ? p->dataset : "");
		buf_clear(&b);
		if (p->has_next)
			slaview_add_time(&b, dag_of(l, p), p->deadline_us);
		grid_add(&g, STYLE_NONE, b.data);
		grid_add(&g, STYLE_NONE,
			p->has_next ? when_ago(p->deadline_us, l->now_us, when) : NULL);
		grid_add(&g, STYLE_NONE,
			p->has_next && !p->dataset ? (p->state ? p->state : "none yet") : NULL);
		grid_add(&g, STYLE_NONE, p->kind == SLA_AT_RISK ? "warn" : acts_of(p->sla, &b));
	}
	grid_print(&g, t, 0, out);
	grid_release(&g);
	buf_release(&b);
}

static const struct grid_column miss_columns[] = {
	{ "MISSED", 0 },
	{ "DAG", GRID_FLEX },
	{ "TASK", GRID_FLEX },
	{ "INTERVAL", 0 },
	{ "DEADLINE", 0 },
	{ "NOW", 0 },
	{ "WHY", GRID_FLEX },
};

static void add_end(struct grid *g, const struct sla_miss *m)
{
	char when[WHEN_SIZE];

	if (!m->ended)
		grid_add(g, STYLE_BAD, "open");
	else if (strcmp(m->ended, SLA_END_DONE) == 0)
		grid_addf(g, STYLE_GOOD, "done %s", when_local(m->ended_us, when));
	else
		grid_add(g, STYLE_DIM, "passed over");
}

static void print_misses(const struct listing *l, const struct term *t, struct buf *out)
{
	char when[WHEN_SIZE];
	struct grid g;

	grid_init(&g, miss_columns, sizeof miss_columns / sizeof *miss_columns);
	for (size_t i = 0; i < l->misses.n; i++) {
		const struct sla_miss *m = &l->misses.misses[i];
		grid_add(&g, STYLE_NONE, m->key.kind);
		grid_add(&g, STYLE_BOLD, m->key.dag);
		grid_add(&g, STYLE_NONE, m->key.task);
		grid_add(&g, STYLE_NONE, when_local(m->key.start_us, when));
		grid_add(&g, STYLE_NONE, when_local(m->deadline_us, when));
		add_end(&g, m);
		grid_add(&g, STYLE_NONE, m->detail);
	}
	grid_print(&g, t, 0, out);
	grid_release(&g);
}

static void print_text(const struct listing *l)
{
	struct term t;
	struct buf out;

	term_init(&t, stdout, l->args);
	buf_init(&out, BUF_MAX_TEXT);
	if (l->npolicies)
		print_policies(l, &t, &out);
	else
		buf_addstr(&out, "No SLAs: no DAG that is known has a key \"sla\".\n");
	if (l->misses.n) {
		buf_addc(&out, '\n');
		print_misses(l, &t, &out);
	} else if (l->npolicies) {
		buf_addf(&out, "\nNone %s missed.\n", args_has(l->args, "open") ? "is" : "was");
	}
	if (l->nbroken)
		buf_addf(&out, "\n%zu DAG%s cannot be loaded: weir status\n", l->nbroken,
			l->nbroken == 1 ? "" : "s");
	term_write(&t, &out);
	buf_release(&out);
}

static json_t *policy_json(const struct policy *p)
{
	json_t *on_miss = json_array(), *next = json_null();
	char text[96];

	for (int a = 0; a < SLA_ACT_MAX; a++)
		if (sla_does(p->sla, (enum sla_act)a))
			json_array_append_new(on_miss, json_string(sla_act_names[a]));
	slaview_policy(p->sla, p->kind, text, sizeof text);
	if (p->has_next)
		next = json_pack("{s:o, s:o, s:o, s:o}", "at", cli_json_instant(p->deadline_us),
			"interval_start", cli_json_instant(p->next.start_us), "interval_end",
			cli_json_instant(p->next.end_us), "run", cli_json_text(p->state));
	return json_pack("{s:o, s:o, s:s, s:s, s:o, s:o, s:o}", "dag", cli_json_text(p->dag),
		"task", cli_json_text(p->task), "sla", sla_kind_name(p->kind), "value",
		strchr(text, ' ') + 1, "dataset", cli_json_text(p->dataset), "on_miss", on_miss,
		"next", next);
}

static int print_json(const struct listing *l, struct err *err)
{
	json_t *slas = json_array(), *missed = json_array();

	for (size_t i = 0; i < l->npolicies; i++)
		json_array_append_new(slas, policy_json(&l->policies[i]));
	for (size_t i = 0; i < l->misses.n; i++)
		json_array_append_new(missed, slaview_miss_json(&l->misses.misses[i]));
	return cli_print_json(json_pack("{s:o, s:o}", "slas", slas, "missed", missed), err);
}

/* ---- the command ------------------------------------------------------------------------- */

static int open_store(struct listing *l, struct err *err)
{
	if (cli_store_open(l->args, &l->store, err) == 0)
		return 0;
	if (err->code != ERR_NOT_FOUND)
		return -1;
	l->store = NULL;
	if (!args_operand(l->args, 0))
		return -1;
	err_clear(err);
	return 0;
}

static int sla_run(const struct args *args, struct err *err)
{
	struct listing l = { .args = args, .now_us = clock_now_us() };
	int rc = open_store(&l, err);

	if (rc == 0 &&
		(find_dags(&l, err) < 0 || add_policies(&l, err) < 0 || read_misses(&l, err) < 0))
		rc = -1;
	if (rc == 0 && args_has(args, "json"))
		rc = print_json(&l, err);
	else if (rc == 0)
		print_text(&l);
	if (l.store)
		store_result_release(&l.misses);
	for (size_t i = 0; i < l.ndags; i++)
		cli_dag_release(&l.dags[i]);
	free(l.dags);
	free(l.policies);
	store_close(l.store);
	return rc;
}

static const struct option options[] = { { .name = "open",
						 .kind = VALUE_FLAG,
						 .help = "of what was missed, only what is still "
							 "not done" },
	{ .name = "limit",
		.letter = 'n',
		.kind = VALUE_INT,
		.value = "N",
		.min = 0,
		.max = 1000000,
		.help = "of what was missed, at most so many, the newest; default 20, 0: all" },
	{ 0 } };
static const struct operand operands[] = {
	{ "DAG", VALUE_DAG_FILE, true, false, "the DAG's name, or its file; default: all" }, { 0 }
};

const struct command command_sla = {
	.name = "sla",
	.group = "Look",
	.summary = "SLAs: what has to be done by when, and what was missed",
	.doc = "First the SLAs of the DAGs that a daemon knows: when each is judged next, and the "
	       "run of that interval, should there be one by now. Then what was missed, newest "
	       "first: open until it succeeds at last, or is passed over by the schedule. See "
	       "weir-sla(7).",
	.options = options,
	.operands = operands,
	.run = sla_run,
};
