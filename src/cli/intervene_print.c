/* What becomes of the tasks, and what happens next. */
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cli/grid.h"
#include "cli/intervene.h"
#include "cli/runview.h"
#include "cli/term.h"
#include "core/request.h"
#include "run/name.h"

/* ---- the tasks --------------------------------------------------------------------------- */

static const struct grid_column columns[] = {
	{ "TASK", GRID_FLEX },
	{ "WAS", 0 },
	{ "THEN", GRID_FLEX },
};
static const struct grid_column dry_columns[] = {
	{ "TASK", GRID_FLEX },
	{ "IS", 0 },
	{ "WOULD THEN", GRID_FLEX },
};

static bool is(const json_t *o, const char *key, const char *value)
{
	const char *text = cli_get_text(o, key);

	return text && strcmp(text, value) == 0;
}

static enum style style_of(const char *state)
{
	int s = state ? task_state_by_name(state) : -1;

	return s < 0 ? STYLE_NONE : runview_task_style((enum task_state)s);
}

/* Why it is so, where it only follows from what was asked for. */
static void add_becomes(struct grid *g, const char *to, const json_t *task)
{
	const char *name = cli_get_text(task, "why");
	int reason = name ? reason_by_name(name) : -1;

	if (reason >= 0 && reason_is_derived((enum reason)reason))
		grid_addf(g, style_of(to), "%s: %s", to, reason_text((enum reason)reason));
	else
		grid_add(g, style_of(to), to);
}

/* What becomes of a task, in words. */
static void add_then(struct grid *g, const json_t *task)
{
	const char *to = cli_get_text(task, "to");
	bool first = is(task, "from", "none") || is(task, "from", "upstream_failed");

	if (is(task, "to", "deferred") && is(task, "why", "mapped"))
		grid_add(g, STYLE_NONE, "goes on, with these of its instances");
	else if (is(task, "effect", "starts"))
		grid_addf(g, STYLE_NONE, "runs%s%s", first ? "" : " again",
			cli_get_flag(task, "new_list") ? ", with a new list" : "");
	else if (is(task, "effect", "waits"))
		grid_addf(
			g, STYLE_NONE, "runs %swhen what it needs is done", first ? "" : "again ");
	else if (is(task, "effect", "stops"))
		grid_add(g, STYLE_NONE, "is stopped, then cancelled");
	else if (is(task, "effect", "outputs"))
		grid_add(g, STYLE_NONE, "has these outputs");
	else if (is(task, "effect", "stale") && is(task, "to", "running"))
		grid_add(g, STYLE_WARN, "goes on with what it was given");
	else if (is(task, "effect", "stale"))
		grid_add(g, STYLE_WARN,
			"stays so, made from what is done again (--downstream: "
			"does it again)");
	else
		add_becomes(g, to, task);
}

enum { INSTANCES_SHOWN = 10 };

/* Are both instances of one task of which the same becomes? */
static bool same(const json_t *a, const json_t *b)
{
	static const char *const keys[] = { "task", "from", "to", "effect", "why" };

	if (!json_object_get(a, "map_index") || !json_object_get(b, "map_index"))
		return false;
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (!is(a, keys[i], cli_get_text(b, keys[i])))
			return false;
	return true;
}

/* Of many instances that go the same way the first are named, the others counted. */
static void add_task(struct grid *g, const json_t *list, size_t i)
{
	const json_t *task = json_array_get(list, i);
	const json_t *index = json_object_get(task, "map_index");
	const char *from = cli_get_text(task, "from");
	char label[RUN_LABEL_MAX];
	size_t before = 0, n = 1;

	while (before < i && before <= INSTANCES_SHOWN &&
		same(json_array_get(list, i - before - 1), task))
		before++;
	if (before > INSTANCES_SHOWN)
		return;
	run_task_label(
		cli_get_text(task, "task"), index ? (int)json_integer_value(index) : -1, label);
	if (before == INSTANCES_SHOWN)
		while (i + n < json_array_size(list) && same(json_array_get(list, i + n), task))
			n++;
	if (n > 1)
		grid_addf(g, STYLE_NONE, "... %zu more", n);
	else
		grid_add(g, STYLE_NONE, label);
	grid_add(g, style_of(from), from);
	add_then(g, task);
}

static void add_tasks(struct buf *out, const json_t *answer, const struct term *term)
{
	const json_t *list = json_object_get(answer, "tasks"), *task;
	bool dry = cli_get_flag(answer, "dry_run");
	struct grid g;
	size_t i;

	if (json_array_size(list) == 0)
		return;
	grid_init(&g, dry ? dry_columns : columns, sizeof columns / sizeof *columns);
	json_array_foreach((json_t *)list, i, task) add_task(&g, list, i);
	grid_print(&g, term, 2, out);
	grid_release(&g);
}

/* ---- around them ------------------------------------------------------------------------- */

static void add_head(struct buf *out, const json_t *answer)
{
	const char *reason = cli_get_text(answer, "reason");

	buf_addf(out, "%s: %s%s", cli_get_text(answer, "run"), cli_get_text(answer, "request"),
		cli_get_flag(answer, "dry_run") ? ", not carried out (--dry-run)" : "");
	if (!cli_get_flag(answer, "dry_run"))
		buf_addf(out, " by %s%s%s", cli_get_text(answer, "by"), reason ? ": " : "",
			reason ? reason : "");
	buf_addc(out, '\n');
}

static void add_run(struct buf *out, const json_t *answer)
{
	const json_t *state = json_object_get(answer, "state");
	const char *from = cli_get_text(state, "from"), *to = cli_get_text(state, "to");
	const char *version = cli_get_text(answer, "version"),
		   *former = cli_get_text(answer, "former_version");

	if (strcmp(from, to) != 0)
		buf_addf(out,
			cli_get_flag(answer, "dry_run") ? "The run would be %s; it is %s.\n"
							: "The run is %s; it was %s.\n",
			to, from);
	if (strcmp(version, former) != 0)
		buf_addf(out,
			"With the newest version of the DAG, %.12s; the run had %.12s "
			"(--version same keeps it).\n",
			version, former);
}

static void add_next(struct buf *out, const struct remote *r, const json_t *answer)
{
	char run[300], path[600];
	const char *dag_path = cli_get_text(answer, "dag_path");

	cli_shell_word(cli_get_text(answer, "run"), run, sizeof run);
	if (cli_get_flag(answer, "dag_paused") &&
		(cli_get_flag(answer, "waits") || cli_get_flag(answer, "in_motion")))
		buf_addf(out, "The DAG is paused: weir resume %s\n", cli_get_text(answer, "dag"));
	if (cli_get_flag(answer, "dry_run"))
		return;
	if (cli_get_flag(answer, "waits") && !r->daemon) {
		buf_addstr(out, "No daemon runs: it is done when one starts");
		/* weir run would do again what was cancelled. */
		if (strcmp(cli_get_text(answer, "request"), "cancel") == 0)
			buf_addf(out, ", or left out by: weir cancel --kill %s", run);
		else if (dag_path)
			buf_addf(out, ", or now by: weir run %s --date %s",
				cli_shell_word(dag_path, path, sizeof path),
				cli_get_text(answer, "ds"));
		buf_addc(out, '\n');
	} else {
		buf_addf(out, "See: weir show %s\n", run);
	}
}

void intervene_words(
	const struct remote *r, const json_t *answer, const struct term *t, struct buf *out)
{
	add_head(out, answer);
	add_tasks(out, answer, t);
	add_run(out, answer);
	add_next(out, r, answer);
}
