#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/commands.h"
#include "cli/home.h"
#include "cli/term.h"
#include "core/model.h"

/* Deeper levels are not indented further, but say how deep they are. */
enum { INDENT_LEVELS = 24 };

static void add_task_name(struct buf *out, const struct task *t, bool colour)
{
	buf_addf(out, "%s%s%s", style_on(STYLE_BOLD, colour), t->name,
		style_off(STYLE_BOLD, colour));
	if (t->kind == TASK_RUN)
		buf_addf(out, "  %srun%s", style_on(STYLE_DIM, colour),
			style_off(STYLE_DIM, colour));
	else
		buf_addf(out, "  %s%s: %s%s", style_on(STYLE_DIM, colour), task_kind_name(t->kind),
			t->op, style_off(STYLE_DIM, colour));
}

/* ---- the tree ------------------------------------------------------------------------ */

/* A task on the way from a root to where the walk is. */
struct step {
	int task, next; /* next: of its dependents */
	bool last;      /* of its siblings: no line goes on below it */
};

struct walk {
	const struct dag *dag;
	const struct term *term;
	struct buf *out;
	struct step *path;
	int depth;
	bool *seen;
};

static void add_branch(struct walk *w, bool last)
{
	static const char *const ascii[] = { "|  ", "   ", "|- ", "`- " };
	static const char *const drawn[] = { "\xe2\x94\x82  ", "   ", "\xe2\x94\x9c\xe2\x94\x80 ",
		"\xe2\x94\x94\xe2\x94\x80 " };
	const char *const *d = w->term->utf8 ? drawn : ascii;
	int levels = w->depth < INDENT_LEVELS ? w->depth : INDENT_LEVELS;

	/* The root itself has no branch: its children are at depth 1. */
	for (int i = 1; i < levels; i++)
		buf_addstr(w->out, d[w->path[i].last]);
	if (w->depth > 0)
		buf_addstr(w->out, d[2 + last]);
	if (w->depth > INDENT_LEVELS)
		buf_addf(w->out, "(%d) ", w->depth);
}

/* Print a task below the path; the walk goes into it the first time. */
static void enter(struct walk *w, int task, bool last)
{
	bool again = w->seen[task];

	add_branch(w, last);
	add_task_name(w->out, &w->dag->tasks[task], w->term->colour);
	if (again)
		buf_addstr(w->out, "  (see above)");
	buf_addc(w->out, '\n');
	if (again)
		return;
	w->seen[task] = true;
	w->path[w->depth++] = (struct step){ task, 0, last };
	if (w->out->len > 1 << 16)
		term_write(w->term, w->out);
}

static void walk_from(struct walk *w, int root)
{
	w->depth = 0;
	enter(w, root, true);
	while (w->depth > 0) {
		struct step *s = &w->path[w->depth - 1];
		const struct task *t = &w->dag->tasks[s->task];
		if (s->next == t->ndependents) {
			w->depth--;
			continue;
		}
		int child = t->dependents[s->next++];
		enter(w, child, s->next == t->ndependents);
	}
}

static int tree(const struct args *args, const struct dag *dag, struct err *err)
{
	struct term term;
	struct buf out;
	struct walk w = { .dag = dag, .term = &term, .out = &out };
	int rc = -1;

	term_init(&term, stdout, args);
	buf_init(&out, 256u << 20);
	w.path = calloc((size_t)dag->ntasks + 1, sizeof *w.path);
	w.seen = calloc((size_t)dag->ntasks + 1, sizeof *w.seen);
	if (!w.path || !w.seen) {
		err_nomem(err);
		goto out;
	}
	for (int k = 0; k < dag->ntasks; k++)
		if (dag->tasks[dag->order[k]].nneeds == 0)
			walk_from(&w, dag->order[k]);
	term_write(&term, &out);
	rc = 0;
out:
	free(w.path);
	free(w.seen);
	buf_release(&out);
	return rc;
}

/* ---- dot, JSON ----------------------------------------------------------------------- */

/* Names hold letters, digits, _ and - only: quoting is enough. */
static void dot(const struct dag *dag)
{
	printf("digraph \"%s\" {\n\trankdir=LR;\n\tnode [shape=box];\n", dag->name);
	for (int i = 0; i < dag->ntasks; i++) {
		const struct task *t = &dag->tasks[i];
		if (t->kind == TASK_RUN)
			printf("\t\"%s\" [label=\"%s\\nrun\"];\n", t->name, t->name);
		else
			printf("\t\"%s\" [label=\"%s\\n%s: %s\"];\n", t->name, t->name,
				task_kind_name(t->kind), t->op);
	}
	for (int i = 0; i < dag->ntasks; i++)
		for (int k = 0; k < dag->tasks[i].nneeds; k++)
			printf("\t\"%s\" -> \"%s\";\n", dag->tasks[dag->tasks[i].needs[k]].name,
				dag->tasks[i].name);
	puts("}");
}

static json_t *names(const struct dag *dag, const int *list, int n)
{
	json_t *a = json_array();

	for (int i = 0; i < n; i++)
		json_array_append_new(a, json_string(dag->tasks[list[i]].name));
	return a;
}

static int graph_json(const struct dag *dag, struct err *err)
{
	json_t *tasks = json_array();

	for (int k = 0; k < dag->ntasks; k++) {
		const struct task *t = &dag->tasks[dag->order[k]];
		json_t *o = json_pack("{s:s, s:s, s:s, s:i}", "task", t->name, "kind",
			task_kind_name(t->kind), "operator", t->op, "level", t->level);
		json_object_set_new(o, "needs", names(dag, t->needs, t->nneeds));
		json_object_set_new(o, "dependents", names(dag, t->dependents, t->ndependents));
		json_array_append_new(tasks, o);
	}
	return cli_print_json(json_pack("{s:s, s:s, s:o}", "dag", dag->name, "version", dag->hash,
				      "tasks", tasks),
		err);
}

static int graph_run(const struct args *args, struct err *err)
{
	struct cli_dag d;
	int rc = 0;

	if (args_has(args, "dot") && args_has(args, "json"))
		return err_set(err, ERR_USAGE, "--dot and --json exclude each other");
	if (cli_load_dag(args, args_operand(args, 0), false, &d, err) < 0)
		return -1;
	if (args_has(args, "dot"))
		dot(d.dag);
	else if (args_has(args, "json"))
		rc = graph_json(d.dag, err);
	else
		rc = tree(args, d.dag, err);
	cli_dag_release(&d);
	return rc;
}

static const struct option graph_options[] = {
	{ .name = "dot", .kind = VALUE_FLAG, .help = "print Graphviz's dot language" }, { 0 }
};
static const struct operand graph_operands[] = {
	{ "FILE", VALUE_DAG_FILE, false, false, "a DAG file" }, { 0 }
};

const struct command command_graph = {
	.name = "graph",
	.group = "Write",
	.summary = "draw a DAG: what depends on what",
	.doc = "Each task stands below one it needs. A task that needs several is drawn once; "
	       "where "
	       "it would stand again it is marked (see above).",
	.options = graph_options,
	.operands = graph_operands,
	.run = graph_run,
};
