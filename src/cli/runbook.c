/* The runbook of a DAG or a task, with what is known of its incident filled in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/near.h"
#include "cli/commands.h"
#include "cli/markdown.h"
#include "cli/remote.h"
#include "cli/term.h"
#include "core/model.h"
#include "run/runbook.h"

enum { RUNBOOK_MAX = 1 << 20, WIDTH_MAX = 100, WIDTH_ELSE = 80, NAMES_MAX = 1000 };

struct runbook {
	struct remote r;
	struct dag *dag;
	const char *task, *from; /* task NULL: the DAG's */
	json_t *incident;        /* NULL: none is open */
	struct buf text;         /* empty for a link */
};

/* ---- finding --------------------------------------------------------------------------- */

static int no_task(const struct dag *dag, const char *name, struct err *err)
{
	const char *names[NAMES_MAX];
	size_t n = 0;

	for (int i = 0; i < dag->ntasks && n < NAMES_MAX; i++)
		names[n++] = dag->tasks[i].name;
	const char *near = near_find(name, names, n);
	return err_set(err, ERR_NOT_FOUND, "DAG %s has no task \"%.128s\"%s%s%s", dag->name, name,
		near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* The task's own, or else the DAG's. */
static int find_runbook(struct runbook *b, struct err *err)
{
	const struct task *t = b->task ? dag_find(b->dag, b->task) : NULL;

	if (b->task && !t)
		return no_task(b->dag, b->task, err);
	b->from = t && t->runbook ? t->runbook : b->dag->runbook;
	if (b->from)
		return 0;
	for (int i = 0; i < b->dag->ntasks; i++)
		if (!b->task && b->dag->tasks[i].runbook)
			return err_set(err, ERR_NOT_FOUND,
				"DAG %s has no runbook, but its task %s has: weir runbook %s %s",
				b->dag->name, b->dag->tasks[i].name, b->dag->name,
				b->dag->tasks[i].name);
	return err_set(err, ERR_NOT_FOUND,
		"%s%s%s has no runbook: name a Markdown file by `runbook:` in %s", b->dag->name,
		b->task ? "." : "", b->task ? b->task : "", b->dag->path);
}

static bool is_link(const char *text)
{
	return strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0;
}

static int read_runbook(struct runbook *b, struct err *err)
{
	if (is_link(b->from))
		return 0;
	char *path = io_path_join(b->dag->dir, b->from);
	int rc = path ? io_read_regular(path, &b->text, err) : err_nomem(err);
	free(path);
	return rc < 0 ? err_context(err, "runbook of %s", b->dag->name) : 0;
}

/* The newest that is not resolved. */
static int find_incident(struct runbook *b, struct err *err)
{
	const struct ops_target target = { 0 };
	json_t *answer, *body = json_object(), *i;
	size_t n;
	int rc = remote_call(&b->r, OPS_CALL_INCIDENTS, &target, body, &answer, err);

	json_decref(body);
	if (rc < 0)
		return -1;
	json_array_foreach(json_object_get(answer, "incidents"), n, i)
	{
		bool same = strcmp(cli_get_text(i, "dag"), b->dag->name) == 0 &&
			    (!b->task || strcmp(cli_get_text(i, "task"), b->task) == 0);
		if (same && !b->incident)
			b->incident = json_incref(i);
	}
	json_decref(answer);
	return 0;
}

/* ---- telling --------------------------------------------------------------------------- */

static void fill_in(const struct runbook *b, struct buf *out)
{
	json_t *self = json_pack("{s:s, s:s}", "dag", b->dag->name, "task", b->task ? b->task : "");
	json_t *facts = json_object_get(b->incident, "facts");

	if (!b->task && b->incident)
		json_object_set(self, "task", json_object_get(b->incident, "task"));
	runbook_fill(b->text.len ? b->text.data : "",
		(const json_t *const[]){ self, b->incident ? b->incident : self, facts, NULL },
		out);
	json_decref(self);
}

static void add_incident(const struct runbook *b, const struct term *t, struct buf *out)
{
	const json_t *i = b->incident;
	const char *error = cli_get_text(json_object_get(i, "facts"), "error");
	const char *task = i ? cli_get_text(i, "task") : "";

	if (!i)
		return;
	buf_addf(out, "%sIncident %lld%s (%s), since %.19sZ: %s%s%s: %s",
		style_on(STYLE_BAD, t->colour), cli_get_int(i, "incident"),
		style_off(STYLE_BAD, t->colour), cli_get_text(i, "state"),
		cli_get_text(i, "opened"), b->dag->name, *task ? "." : "", task,
		cli_get_text(i, "text"));
	buf_addc(out, '\n');
	if (error) {
		buf_addstr(out, "  ");
		text_add(out, error, -1);
		buf_addc(out, '\n');
	}
	buf_addc(out, '\n');
}

/* ---- the command ----------------------------------------------------------------------- */

static int print_json(const struct runbook *b, const char *filled, struct err *err)
{
	json_t *o = json_pack("{s:s, s:o, s:s, s:o, s:o}", "dag", b->dag->name, "task",
		cli_json_text(b->task), "runbook", b->from, "text",
		is_link(b->from) ? json_null() : cli_json_text(filled), "incident",
		b->incident ? json_incref(b->incident) : json_null());

	return cli_print_json(o, err);
}

static int print(const struct runbook *b, struct err *err)
{
	struct buf filled, out;
	struct term t;
	int rc = 0;

	term_init(&t, stdout, b->r.args);
	buf_init(&filled, 4 * RUNBOOK_MAX);
	buf_init(&out, BUF_MAX_TEXT);
	fill_in(b, &filled);
	if (args_has(b->r.args, "json")) {
		rc = print_json(b, filled.len ? filled.data : "", err);
	} else {
		int width = t.width ? t.width : WIDTH_ELSE;
		add_incident(b, &t, &out);
		if (is_link(b->from))
			buf_addf(&out, "%s\n", b->from);
		else
			markdown_add(&out, filled.len ? filled.data : "",
				width < WIDTH_MAX ? width : WIDTH_MAX, t.colour);
		term_write(&t, &out);
	}
	buf_release(&filled);
	buf_release(&out);
	return rc;
}

static int runbook_run(const struct args *args, struct err *err)
{
	struct runbook b = { .task = args_operand(args, 1) };
	const char *name;
	int rc = -1;

	buf_init(&b.text, RUNBOOK_MAX);
	if (remote_open(&b.r, args, REMOTE_READS, err) == 0 &&
		remote_dag(&b.r, args_operand(args, 0), &name, err) == 0 &&
		(b.dag = remote_find_dag(&b.r, name, err)) != NULL && find_runbook(&b, err) == 0 &&
		read_runbook(&b, err) == 0 && find_incident(&b, err) == 0)
		rc = print(&b, err);
	json_decref(b.incident);
	dag_unref(b.dag);
	buf_release(&b.text);
	remote_close(&b.r);
	return rc;
}

static const struct operand runbook_operands[] = {
	{ "DAG", VALUE_DAG, false, false, "the DAG's name, or the path of its file" },
	{ "TASK", VALUE_TASK, true, false, "one of its tasks; its own runbook comes first" },
	{ 0 },
};
static const struct option runbook_options[] = { REMOTE_OPTION_DAGS, { 0 } };

const struct command command_runbook = {
	.name = "runbook",
	.group = "Look",
	.summary = "show what to do when a DAG or a task fails",
	.doc = "Shows the Markdown file that `runbook:` of the task or of the DAG names, relative "
	       "to the "
	       "DAG's folder, with the facts of its open incident filled in where it says {{ run "
	       "}}, "
	       "{{ error }} and such; weir-runbook(7) lists the names. A link is printed.",
	.options = runbook_options,
	.operands = runbook_operands,
	.run = runbook_run,
};
