/* Datasets: how fresh they are, who produces and who uses them, how they were updated; and an
 * update from elsewhere. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/clock.h"
#include "base/err.h"
#include "cli/commands.h"
#include "cli/grid.h"
#include "cli/remote.h"
#include "cli/term.h"
#include "cli/when.h"

static int64_t instant_of(const json_t *o, const char *key)
{
	const char *text = cli_get_text(o, key);
	struct civil_text t;

	return text && civil_parse(text, &t, NULL) == 0 ? civil_text_us(&t) : 0;
}

/* "prod.load", "report (schedule)"; a few of them, the others counted. */
enum { NAMES_SHOWN = 3 };
static void add_names(struct buf *out, const json_t *list, size_t max)
{
	json_t *l;
	size_t i;

	json_array_foreach(list, i, l)
	{
		const char *task = cli_get_text(l, "task");
		if (i == max) {
			buf_addf(out, " and %zu more", json_array_size(list) - max);
			return;
		}
		buf_addf(out, "%s%s%s%s", i ? ", " : "", cli_get_text(l, "dag"), task ? "." : "",
			task ? task : " (schedule)");
	}
}

/* The run that updated it, or the person. */
static const char *who(const json_t *update)
{
	const char *run = cli_get_text(update, "run"), *by = cli_get_text(update, "by"),
		   *dag = cli_get_text(update, "dag");

	return run ? run : by ? by : dag;
}

static enum style state_style(const json_t *d, const char **ret_word)
{
	const json_t *fresh = json_object_get(d, "fresh");

	*ret_word = json_is_true(fresh) ? "fresh" : json_is_false(fresh) ? "stale" : "-";
	return json_is_true(fresh) ? STYLE_GOOD : json_is_false(fresh) ? STYLE_BAD : STYLE_DIM;
}

/* ---- the list ---------------------------------------------------------------------------- */

static const struct grid_column columns[] = {
	{ "STATE", 0 },
	{ "DATASET", GRID_FLEX },
	{ "UPDATED", 0 },
	{ "BY", GRID_FLEX },
	{ "DATA UNTIL", 0 },
	{ "PRODUCED BY", GRID_FLEX },
	{ "USED BY", GRID_FLEX },
};

static void add_row(struct grid *g, const json_t *d)
{
	const json_t *last = json_object_get(d, "last");
	int64_t at_us = instant_of(last, "at");
	char when[WHEN_SIZE];
	struct buf names;
	const char *word;
	enum style style = state_style(d, &word);

	buf_init(&names, BUF_MAX_TEXT);
	grid_add(g, style, word);
	grid_add(g, STYLE_BOLD, cli_get_text(d, "dataset"));
	grid_add(g, STYLE_NONE, at_us ? when_ago(at_us, clock_now_us(), when) : "never");
	grid_add(g, STYLE_NONE, json_is_object(last) ? who(last) : NULL);
	grid_add(g, STYLE_NONE,
		instant_of(d, "until") ? when_utc_seconds(instant_of(d, "until"), when) : NULL);
	add_names(&names, json_object_get(d, "producers"), NAMES_SHOWN);
	grid_add(g, STYLE_NONE, names.data);
	buf_clear(&names);
	add_names(&names, json_object_get(d, "consumers"), NAMES_SHOWN);
	grid_add(g, STYLE_NONE, names.data);
	buf_release(&names);
}

static void add_list(struct buf *out, const struct term *t, const json_t *answer)
{
	struct grid g;
	json_t *d;
	size_t i;

	grid_init(&g, columns, sizeof columns / sizeof *columns);
	json_array_foreach(json_object_get(answer, "datasets"), i, d) add_row(&g, d);
	if (g.n)
		grid_print(&g, t, 0, out);
	else
		buf_addstr(out, "There are no datasets; a task names those it updates: produces: "
				"sales.daily\n");
	grid_release(&g);
}

/* ---- one --------------------------------------------------------------------------------- */

static const struct grid_column history_columns[] = {
	{ "UPDATED", 0 },
	{ "DATA FROM", 0 },
	{ "UNTIL", 0 },
	{ "BY", GRID_FLEX },
	{ "TASK", 0 },
	{ "NOTE", GRID_FLEX },
};

static void add_update(struct grid *g, const json_t *u)
{
	const char *reason = cli_get_text(u, "reason"), *task = cli_get_text(u, "task");
	char when[WHEN_SIZE];

	grid_add(g, STYLE_NONE, when_local(instant_of(u, "at"), when));
	grid_add(g, STYLE_NONE, when_utc_seconds(instant_of(u, "interval_start"), when));
	grid_add(g, STYLE_NONE, when_utc_seconds(instant_of(u, "interval_end"), when));
	grid_add(g, STYLE_BOLD, who(u));
	if (json_is_integer(json_object_get(u, "map_index")))
		grid_addf(g, STYLE_NONE, "%s[%lld]", task, cli_get_int(u, "map_index"));
	else
		grid_add(g, STYLE_NONE, task);
	grid_add(g, STYLE_NONE,
		reason                        ? reason
		: cli_get_flag(u, "backfill") ? "a backfill: starts no runs"
					      : NULL);
}

static void add_history(struct buf *out, const struct term *t, const json_t *history)
{
	struct grid g;
	json_t *u;
	size_t i;

	grid_init(&g, history_columns, sizeof history_columns / sizeof *history_columns);
	json_array_foreach(history, i, u) add_update(&g, u);
	buf_addc(out, '\n');
	if (g.n)
		grid_print(&g, t, 0, out);
	else
		buf_addstr(out, "It was never updated.\n");
	grid_release(&g);
}

static void add_waiting(struct buf *out, const json_t *list)
{
	json_t *w;
	size_t i;

	json_array_foreach(list, i, w)
	{
		long long n = cli_get_int(w, "updates");
		buf_addf(out, "Waiting   %s: ", cli_get_text(w, "dag"));
		if (n)
			buf_addf(out, "%lld update%s of it not taken yet; weir why %s\n", n,
				n == 1 ? "" : "s", cli_get_text(w, "dag"));
		else
			buf_addstr(out, "has taken all of them\n");
	}
}

static void add_one(struct buf *out, const struct term *t, const json_t *d)
{
	int64_t until = instant_of(d, "fresh_until"), updated = instant_of(d, "updated");
	char when[WHEN_SIZE];
	const char *word;
	enum style style = state_style(d, &word);

	buf_addf(out, "Dataset   %s\n", cli_get_text(d, "dataset"));
	if (until)
		buf_addf(out, "State     %s%s%s: %s until %s\n", style_on(style, t->colour), word,
			style_off(style, t->colour),
			cli_get_flag(d, "fresh") ? "fresh" : "it was fresh",
			when_local(until, when));
	if (updated)
		buf_addf(out, "Updated   %s", when_ago(updated, clock_now_us(), when));
	if (updated && instant_of(d, "until"))
		buf_addf(out, ", with data until %s",
			when_utc_seconds(instant_of(d, "until"), when));
	buf_addstr(out, updated ? "\nProduced  " : "Produced  ");
	add_names(out, json_object_get(d, "producers"), SIZE_MAX);
	if (!json_array_size(json_object_get(d, "producers")))
		buf_addstr(out, "by no DAG that a daemon knows");
	buf_addstr(out, "\nUsed      ");
	add_names(out, json_object_get(d, "consumers"), SIZE_MAX);
	if (!json_array_size(json_object_get(d, "consumers")))
		buf_addstr(out, "by no DAG that a daemon knows");
	buf_addc(out, '\n');
	add_waiting(out, json_object_get(d, "waiting"));
	add_history(out, t, json_object_get(d, "history"));
}

/* ---- an update from elsewhere ------------------------------------------------------------ */

static void add_said(struct buf *out, const struct remote *r, const json_t *u)
{
	const json_t *waiting = json_object_get(u, "waiting");
	const char *name = cli_get_text(u, "dataset");
	char from[WHEN_SIZE], until[WHEN_SIZE];
	json_t *dag;
	size_t i;

	buf_addf(out, "%s is updated: data from %s until %s.\n", name,
		when_utc_seconds(instant_of(u, "interval_start"), from),
		when_utc_seconds(instant_of(u, "interval_end"), until));
	if (json_array_size(waiting)) {
		buf_addstr(out, "DAGs that wait for it:");
		json_array_foreach(waiting, i, dag)
			buf_addf(out, "%s %s", i ? "," : "", json_string_value(dag));
		buf_addc(out, '\n');
		remote_add_note(r, out);
	} else if (!cli_get_flag(u, "named")) {
		buf_addf(out,
			"No DAG that a daemon knows names it: is it written so? weir datasets "
			"lists them.\n");
	}
}

/* ---- the command ------------------------------------------------------------------------- */

static const struct action {
	const char *name;
	enum ops_call_id call;
	enum remote_access access;
	bool one, says;
} actions[] = {
	{ "list", OPS_CALL_DATASETS, REMOTE_READS, false, false },
	{ "show", OPS_CALL_DATASET, REMOTE_READS, true, false },
	{ "touch", OPS_CALL_DATASET_TOUCH, REMOTE_WRITES, true, true },
};
enum { NACTIONS = sizeof actions / sizeof *actions, SHOW = 1 };

/* A word that is none of these is the name of a dataset to be shown. */
static const struct action *find_action(const struct args *args, const char **ret_name)
{
	const char *word = args_operand(args, 0);

	*ret_name = args_operand(args, 1);
	for (int i = 0; i < NACTIONS; i++)
		if (!word || strcmp(actions[i].name, word) == 0)
			return &actions[i];
	*ret_name = *ret_name ? NULL : word;
	return &actions[SHOW];
}

static int print(const struct remote *r, const struct action *a, json_t *answer, struct err *err)
{
	struct term t;
	struct buf out;

	if (args_has(r->args, "json"))
		return remote_print_json(r, answer, err);
	term_init(&t, stdout, r->args);
	buf_init(&out, BUF_MAX_TEXT);
	if (a->says && !args_has(r->args, "quiet"))
		add_said(&out, r, answer);
	else if (a->one && !a->says)
		add_one(&out, &t, answer);
	else if (!a->says)
		add_list(&out, &t, answer);
	json_decref(answer);
	term_write(&t, &out);
	buf_release(&out);
	return 0;
}

/* The interval of an update is of no use elsewhere. */
static int add_interval(
	const struct args *args, const struct action *a, json_t *body, struct err *err)
{
	static const char *const options[] = { "date", "from", "to", "reason" };

	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		const char *text = args_text(args, options[i]);
		if (!text)
			continue;
		if (!a->says)
			return err_set(
				err, ERR_USAGE, "--%s goes with weir datasets touch", options[i]);
		json_object_set_new(body, options[i], json_string(text));
	}
	return 0;
}

static int datasets_run(const struct args *args, struct err *err)
{
	struct ops_target target = { .dataset = NULL };
	const struct action *a = find_action(args, &target.dataset);
	json_t *body = NULL, *answer;
	struct remote r = { 0 };
	int rc = -1;

	if (a->one != (target.dataset != NULL))
		return err_set(err, ERR_USAGE,
			a->one ? "datasets %.64s: which one? weir datasets lists them"
			       : "datasets %.64s: it takes no name; weir datasets NAME tells of "
				 "one",
			args_operand(args, 0));
	if (!(body = remote_body(args, err)))
		return -1;
	if (add_interval(args, a, body, err) == 0 && remote_open(&r, args, a->access, err) == 0 &&
		remote_call(&r, a->call, &target, body, &answer, err) == 0)
		rc = print(&r, a, answer, err);
	remote_close(&r);
	json_decref(body);
	return rc;
}

static const struct operand datasets_operands[] = {
	{ "ACTION", VALUE_TEXT, true, false,
		"list, show or touch; any other word is the name of a dataset that is shown" },
	{ "NAME", VALUE_TEXT, true, false, "behind show and touch: the dataset's name" }, { 0 }
};
static const struct option datasets_options[] = {
	{ .name = "date",
		.kind = VALUE_DATE,
		.value = "DATE",
		.help = "touch: the day of the data, in UTC; default: the last whole day" },
	{ .name = "from",
		.kind = VALUE_DATE,
		.value = "TIME",
		.help = "touch: instead of a day, where the data begin: a date or an instant" },
	{ .name = "to",
		.kind = VALUE_DATE,
		.value = "TIME",
		.help = "touch: and where they end; a date: at the end of that day" },
	REMOTE_OPTION_REASON, { 0 }
};

const struct command command_datasets = {
	.name = "datasets",
	.group = "Look",
	.summary = "datasets: how fresh they are, who produces and who uses them",
	.doc = "Tasks name the datasets they update (produces), schedules those they wait for; see "
	       "weir-datasets(7). Without a name all are listed: fresh or stale where an SLA says "
	       "(fresh_within), the last update and the run that made it. With a name: its last "
	       "updates, and which DAGs have not taken them yet.\n\n"
	       "\"weir datasets touch NAME\" says that data came from elsewhere: DAGs whose "
	       "schedule "
	       "waits for the dataset run, as after an update by a task. Who said so and why is "
	       "kept and shown.\n\n"
	       "  weir datasets\n"
	       "  weir datasets sales.daily\n"
	       "  weir datasets touch fx.rates --date 2026-11-19 --reason \"the bank sent them\"",
	.options = datasets_options,
	.operands = datasets_operands,
	.run = datasets_run,
};
