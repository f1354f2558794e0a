#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "cli/commands.h"
#include "cli/grid.h"
#include "cli/groupview.h"
#include "cli/home.h"
#include "cli/overview.h"
#include "cli/runview.h"
#include "cli/slaview.h"
#include "cli/term.h"
#include "cli/when.h"
#include "core/state.h"
#include "run/name.h"

/* ---- status -------------------------------------------------------------------------- */

/* Problems first, then what runs, then the rest. */
static int urgency(const struct run_row *r)
{
	if (r->state == RUN_FAILED || runview_abandoned(r))
		return 0;
	if (r->state == RUN_CANCELLED)
		return 1;
	if (r->state == RUN_RUNNING)
		return 2;
	return r->state == RUN_QUEUED ? 3 : 4;
}

static int64_t last_seen(const struct run_row *r)
{
	return r->ended_us ? r->ended_us : r->started_us ? r->started_us : r->created_us;
}

static int by_urgency(const void *a, const void *b)
{
	const struct run_row *x = *(const struct run_row *const *)a;
	const struct run_row *y = *(const struct run_row *const *)b;
	int d = urgency(x) - urgency(y);

	if (d)
		return d;
	if (last_seen(x) != last_seen(y))
		return last_seen(x) > last_seen(y) ? -1 : 1;
	return strcmp(x->dag, y->dag);
}

/* The runs, most urgent first; the array is the caller's. */
static const struct run_row **sorted(const struct store_result *runs, struct err *err)
{
	const struct run_row **list = calloc(runs->n + 1, sizeof *list);

	if (!list) {
		err_nomem(err);
		return NULL;
	}
	for (size_t i = 0; i < runs->n; i++)
		list[i] = &runs->runs[i];
	qsort(list, runs->n, sizeof *list, by_urgency);
	return list;
}

static bool in_state(const struct task_row *t, const enum task_state *states)
{
	/* Its instances are in a state: they tell. */
	if (t->reason == REASON_MAPPED || t->reason == REASON_INSTANCES_FAILED)
		return false;
	for (; *states != TASK_NONE; states++)
		if (t->state == *states)
			return true;
	return false;
}

/* Names of the run's tasks in these states (ended by TASK_NONE), as a JSON array. */
static json_t *tasks_in(
	struct store *s, const struct run_row *r, const enum task_state *states, struct err *err)
{
	char label[RUN_LABEL_MAX];
	struct store_result tasks;
	json_t *names = json_array();

	if (store_tasks(s, r->id, &tasks, err) < 0) {
		json_decref(names);
		return NULL;
	}
	for (size_t i = 0; i < tasks.n; i++) {
		const struct task_row *t = &tasks.tasks[i];
		if (in_state(t, states))
			json_array_append_new(
				names, cli_json_text(run_task_label(t->name, t->map_index, label)));
	}
	store_result_release(&tasks);
	return names;
}

static const enum task_state running_states[] = { TASK_RUNNING, TASK_UP_FOR_RETRY, TASK_NONE };
static const enum task_state waiting_states[] = { TASK_DEFERRED, TASK_AWAITING_INPUT, TASK_NONE };
static const enum task_state failed_states[] = { TASK_FAILED, TASK_NONE };

/* How many of the names from the i-th on are of its group. */
static int count_group(const json_t *names, size_t i)
{
	const char *name = json_string_value(json_array_get(names, i));
	int n = 0;

	while (i + (size_t)n < json_array_size(names) &&
		groupview_same(json_string_value(json_array_get(names, i + (size_t)n)), name))
		n++;
	return n;
}

/* Is a name of its group before it? Those of one stand side by side. */
static bool is_named(const json_t *names, size_t i)
{
	const char *name = json_string_value(json_array_get(names, i));

	return i > 0 && groupview_same(json_string_value(json_array_get(names, i - 1)), name);
}

/* "a, load (3), b and 2 more": several of one group in one. */
static void add_names(struct buf *b, const char *before, const json_t *names)
{
	enum { NAMED = 4 };
	size_t n = json_array_size(names), shown = 0, told = 0;

	for (size_t i = 0; i < n && shown < NAMED; i++) {
		const char *name = json_string_value(json_array_get(names, i));
		if (is_named(names, i))
			continue;
		int group = count_group(names, i);
		buf_addf(b, "%s", shown++ ? ", " : before);
		if (group > 1)
			buf_addf(b, "%.*s (%d)", (int)groupview_prefix(name), name, group);
		else
			buf_addstr(b, name);
		told += group > 1 ? (size_t)group : 1;
	}
	if (told < n)
		buf_addf(b, " and %zu more", n - told);
}

struct named_states {
	const enum task_state *states;
	const char *before;
};

static int add_tasks_in(struct store *s, const struct run_row *r, struct named_states named,
	struct buf *b, struct err *err)
{
	json_t *names = tasks_in(s, r, named.states, err);

	if (!names)
		return -1;
	add_names(b, named.before, names);
	json_decref(names);
	return 0;
}

/* What to know about the run now: what it does, or what failed. */
static int add_now(struct store *s, const struct run_row *r, struct buf *b, struct err *err)
{
	bool running = r->state == RUN_RUNNING;

	if (runview_abandoned(r)) {
		buf_addstr(b, r->wanted ? "its daemon is gone; the next one goes on"
					: "its process is gone; run it again to go on");
		return 0;
	}
	if (!running && r->state != RUN_FAILED)
		return 0;
	if (!running)
		return add_tasks_in(
			s, r, (struct named_states){ failed_states, "failed: " }, b, err);
	if (add_tasks_in(s, r, (struct named_states){ running_states, "runs " }, b, err) < 0)
		return -1;
	return add_tasks_in(s, r,
		(struct named_states){ waiting_states, b->len ? "; waits in " : "waits in " }, b,
		err);
}

static void add_run_cells(struct grid *g, const struct run_row *r, int64_t now_us)
{
	char when[WHEN_SIZE], took[32];

	grid_add(g, runview_style(r), runview_state(r));
	grid_add(g, STYLE_BOLD, r->name);
	grid_add(g, STYLE_NONE, when_ago(last_seen(r), now_us, when));
	grid_add(g, STYLE_NONE, runview_took(runview_took_us(r, now_us), took, sizeof took));
	if (r->nfailed)
		grid_addf(g, STYLE_NONE, "%d/%d, %d failed", r->nsuccess, r->ntasks, r->nfailed);
	else
		grid_addf(g, STYLE_NONE, "%d/%d", r->nsuccess, r->ntasks);
}

static const struct grid_column status_columns[] = {
	{ "STATE", 0 },
	{ "LATEST RUN", GRID_FLEX },
	{ "WHEN", 0 },
	{ "TOOK", GRID_RIGHT },
	{ "DONE", 0 },
	{ "NOW", GRID_FLEX },
};

enum { NEXT_SHOWN = 20, FAILED_MAX = 100, SLAS_SHOWN = 10 };

/* What the command has found. */
struct standing {
	const struct args *args;
	struct overview overview;
	struct store *store; /* NULL: there is none, or it cannot be opened */
	struct store_result runs;
	const struct run_row **list; /* most urgent first */
};

/* Failures of `r`'s DAG that are older than `r`, which the table thus does not show; at most
 * FAILED_MAX. */
static int count_older_failed(
	struct store *s, const struct run_row *r, size_t *ret_n, struct err *err)
{
	const struct run_filter f = { .dag = r->dag, .state = RUN_FAILED, .limit = FAILED_MAX + 1 };
	struct store_result failed;

	*ret_n = 0;
	if (store_runs(s, &f, &failed, err) < 0)
		return -1;
	for (size_t i = 0; i < failed.n && *ret_n < FAILED_MAX; i++)
		*ret_n += failed.runs[i].interval_start_us < r->interval_start_us;
	store_result_release(&failed);
	return 0;
}

/* A line for each DAG with failures that a newer run hides. */
static int add_older_failed(
	const struct standing *s, const struct term *t, struct buf *out, struct err *err)
{
	char word[300];
	size_t n, lines = 0;

	for (size_t i = 0; i < s->runs.n; i++) {
		const char *dag = s->list[i]->dag;
		if (count_older_failed(s->store, s->list[i], &n, err) < 0)
			return -1;
		if (!n)
			continue;
		buf_addf(out, "%s%s", lines++ ? "" : "\n", style_on(STYLE_BAD, t->colour));
		text_add(out, dag, -1);
		buf_addf(out,
			"%s: %zu%s older run%s failed and %s not done again: weir runs %s --state "
			"failed\n",
			style_off(STYLE_BAD, t->colour), n, n == FAILED_MAX ? " or more" : "",
			n == 1 ? "" : "s", n == 1 ? "was" : "were",
			cli_shell_word(dag, word, sizeof word));
	}
	return 0;
}

static int add_runs(
	const struct standing *s, const struct term *t, struct buf *out, struct err *err)
{
	struct grid g;
	struct buf now;
	int rc = 0;

	grid_init(&g, status_columns, sizeof status_columns / sizeof *status_columns);
	buf_init(&now, BUF_MAX_TEXT);
	for (size_t i = 0; i < s->runs.n && rc == 0; i++) {
		add_run_cells(&g, s->list[i], s->overview.now_us);
		buf_clear(&now);
		rc = add_now(s->store, s->list[i], &now, err);
		grid_add(&g, STYLE_NONE, now.data);
	}
	grid_print(&g, t, 0, out);
	if (rc == 0)
		rc = add_older_failed(s, t, out, err);
	buf_release(&now);
	grid_release(&g);
	return rc;
}

/* Nothing was ever run: that is no error here, but the moment to say how to begin. */
static void add_begin(struct buf *out)
{
	buf_addstr(out, "Nothing was run yet. Begin with:\n"
			"  weir validate DAG_FILE\n"
			"  weir run DAG_FILE --date YYYY-MM-DD\n");
}

/* Incidents that are not resolved: how many, or -1. */
static int count_incidents(struct store *s, struct err *err)
{
	const struct incident_filter open = { 0 };
	struct store_result r;

	if (!s)
		return 0;
	if (store_incidents(s, &open, &r, err) < 0)
		return -1;
	int n = (int)r.n;
	store_result_release(&r);
	return n;
}

static int add_incidents(struct store *s, const struct term *t, struct buf *out, struct err *err)
{
	int n = count_incidents(s, err);

	if (n > 0)
		buf_addf(out, "%s%d incident%s%s %s open: weir incidents\n",
			style_on(STYLE_BAD, t->colour), n, n > 1 ? "s" : "",
			style_off(STYLE_BAD, t->colour), n > 1 ? "are" : "is");
	return n < 0 ? -1 : 0;
}

static int status_text(const struct standing *s, struct err *err)
{
	struct term t;
	struct buf out;
	char word[300];
	int rc = 0;

	term_init(&t, stdout, s->args);
	buf_init(&out, 256u << 20);
	overview_add_head(&s->overview, &t, &out);
	if (s->runs.n)
		rc = add_runs(s, &t, &out, err);
	else if (!s->overview.trouble.code)
		add_begin(&out);
	if (rc == 0)
		rc = add_incidents(s->store, &t, &out, err);
	if (rc == 0 && s->store)
		rc = slaview_add_open(
			s->store, &t, args_has(s->args, "verbose") ? 0 : SLAS_SHOWN, &out, err);
	overview_add_next(&s->overview, &t, args_has(s->args, "verbose") ? 0 : NEXT_SHOWN, &out);
	if (s->runs.n && urgency(s->list[0]) == 0)
		buf_addf(&out, "\nweir show %s\nweir why %s\n",
			cli_shell_word(s->list[0]->name, word, sizeof word), word);
	if (rc == 0)
		term_write(&t, &out);
	buf_release(&out);
	return rc;
}

static json_t *run_json(struct store *s, const struct run_row *r, struct err *err)
{
	size_t older;
	json_t *o = runview_json(r);
	json_t *running = tasks_in(s, r, running_states, err);
	json_t *failed = running ? tasks_in(s, r, failed_states, err) : NULL;

	if (failed && count_older_failed(s, r, &older, err) == 0) {
		json_object_set_new(o, "older_failed", json_integer((json_int_t)older));
	} else {
		json_decref(failed);
		failed = NULL;
	}
	json_object_set_new(o, "running", running);
	json_object_set_new(o, "waiting", tasks_in(s, r, waiting_states, err));
	json_object_set_new(o, "failed", failed);
	if (failed)
		return o;
	json_decref(o);
	return NULL;
}

static int status_json(const struct standing *s, struct err *err)
{
	json_t *all = json_object(), *runs = json_array();

	overview_add_json(&s->overview, all);
	json_object_set_new(all, "dags", runs);
	for (size_t i = 0; i < s->runs.n; i++) {
		json_t *o = run_json(s->store, s->list[i], err);
		if (!o) {
			json_decref(all);
			return -1;
		}
		json_array_append_new(runs, o);
	}
	json_t *slas = s->store ? slaview_open_json(s->store, err) : json_array();
	int nincidents = slas ? count_incidents(s->store, err) : -1;
	if (nincidents < 0) {
		json_decref(slas);
		json_decref(all);
		return -1;
	}
	json_object_set_new(all, "slas", slas);
	json_object_set_new(all, "incidents", json_integer(nincidents));
	return cli_print_json(all, err);
}

/* The latest run of each DAG, of those whose interval has ended. Without a store there is none. */
static int read_runs(struct standing *s, struct err *err)
{
	const struct run_filter f = {
		.state = -1, .latest_per_dag = true, .ended_by_us = clock_now_us()
	};

	if (cli_store_open(s->args, &s->store, err) < 0) {
		if (err->code != ERR_NOT_FOUND)
			return -1;
		err_clear(err);
		return 0;
	}
	if (store_runs(s->store, &f, &s->runs, err) < 0) {
		s->runs = (struct store_result){ .n = 0 };
		return -1;
	}
	s->list = sorted(&s->runs, err);
	return s->list ? 0 : -1;
}

static int status_run(const struct args *args, struct err *err)
{
	struct standing s = { .args = args };
	struct err ignored = { 0 };
	int rc = overview_open(&s.overview, args, err);

	if (rc == 0) {
		int read = read_runs(&s, err);
		/* A store that cannot be read is the moment to see what the daemon says. */
		if (read < 0)
			s.runs.n = 0;
		rc = args_has(args, "json") ? status_json(&s, read < 0 ? &ignored : err)
					    : status_text(&s, read < 0 ? &ignored : err);
		if (read < 0)
			rc = -1;
	}
	free(s.list);
	if (s.store)
		store_result_release(&s.runs);
	store_close(s.store);
	overview_release(&s.overview);
	return rc;
}

const struct command command_status = {
	.name = "status",
	.group = "Look",
	.summary = "how things stand: the daemon, problems, runs, what comes next",
	.doc = "Of each DAG the newest interval that has ended is shown, and how many older ones "
	       "failed and were not done again. A run whose process was killed is shown as "
	       "abandoned: running the DAG again for "
	       "the same date goes on where it stopped. Of the coming runs the next 20 are shown, "
	       "with --verbose all.",
	.run = status_run,
};

/* ---- runs ---------------------------------------------------------------------------- */

static const struct grid_column runs_columns[] = {
	{ "STATE", 0 },
	{ "RUN", GRID_FLEX },
	{ "WHEN", 0 },
	{ "TOOK", GRID_RIGHT },
	{ "DONE", 0 },
	{ "STARTED", 0 },
	{ "BY", 0 },
};

static void runs_text(const struct args *args, const struct store_result *runs)
{
	struct term t;
	struct grid g;
	struct buf out;
	char when[WHEN_SIZE];

	term_init(&t, stdout, args);
	grid_init(&g, runs_columns, sizeof runs_columns / sizeof *runs_columns);
	buf_init(&out, 256u << 20);
	for (size_t i = 0; i < runs->n; i++) {
		const struct run_row *r = &runs->runs[i];
		add_run_cells(&g, r, clock_now_us());
		grid_add(&g, STYLE_NONE, when_local(r->started_us, when));
		grid_add(&g, STYLE_NONE, r->trigger);
	}
	if (runs->n)
		grid_print(&g, &t, 0, &out);
	else
		buf_addstr(&out, "No such runs.\n");
	term_write(&t, &out);
	buf_release(&out);
	grid_release(&g);
}

static int runs_json(const struct store_result *runs, struct err *err)
{
	json_t *list = json_array();

	for (size_t i = 0; i < runs->n; i++)
		json_array_append_new(list, runview_json(&runs->runs[i]));
	return cli_print_json(json_pack("{s:o}", "runs", list), err);
}

/* A DAG that no run was ever made of is a misspelt one. */
static int check_dag(struct store *s, const char *dag, struct err *err)
{
	struct store_result found;

	if (store_run_find(s, dag, &found, err) < 0)
		return -1;
	store_result_release(&found);
	return 0;
}

static int runs_run(const struct args *args, struct err *err)
{
	const char *state = args_text(args, "state"), *dag = args_operand(args, 0);
	struct run_filter f = {
		.dag = dag,
		.state = state ? run_state_by_name(state) : -1,
		.limit = (int)args_int(args, "limit", 20),
	};
	struct store_result runs;
	struct store *s = NULL;
	int rc = -1;

	if (cli_store_open(args, &s, err) < 0)
		return -1;
	if (store_runs(s, &f, &runs, err) < 0)
		goto out;
	if (runs.n || !dag || state || check_dag(s, dag, err) == 0) {
		rc = 0;
		if (args_has(args, "json"))
			rc = runs_json(&runs, err);
		else
			runs_text(args, &runs);
	}
	store_result_release(&runs);
out:
	store_close(s);
	return rc;
}

static const char *const run_states[] = { "queued", "running", "success", "failed", "cancelled",
	NULL };
static const struct option runs_options[] = {
	{ .name = "limit",
		.letter = 'n',
		.kind = VALUE_INT,
		.value = "N",
		.min = 0,
		.max = 1000000000,
		.help = "at most so many, the newest; default 20, 0: all" },
	{ .name = "state",
		.kind = VALUE_ENUM,
		.value = "STATE",
		.values = run_states,
		.help = "only runs in this state" },
	{ 0 }
};
static const struct operand runs_operands[] = {
	{ "DAG", VALUE_DAG, true, false, "the DAG's name; default: all" }, { 0 }
};

const struct command command_runs = {
	.name = "runs",
	.group = "Look",
	.summary = "list runs, newest first",
	.options = runs_options,
	.operands = runs_operands,
	.run = runs_run,
};
