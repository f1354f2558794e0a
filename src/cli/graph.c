#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/commands.h"
#include "cli/home.h"
#include "cli/rules.h"
#include "cli/term.h"
#include "core/model.h"

/* Deeper levels are not indented further, but say how deep they are. */
enum { INDENT_LEVELS = 24, DEPTH_MAX = 65 /* of groups: a name has 128 characters */ };

/* ---- what is drawn ------------------------------------------------------------------- */

/* A task, or a group as one. */
struct point {
	int task;  /* -1: a group */
	int group; /* as one; -1: a task */
	const int *dependents;
	int ndependents, nneeds;
	int stamp; /* of the point whose dependents were listed last and hold it */
};

/* The points and what leads from one to another, each once. */
struct picture {
	const struct dag *dag;
	struct point *points; /* in an order in which what is needed comes first, but for groups
				 that need each other's tasks */
	int n;
	int *of_task; /* the point of each task */
	int *edges;
};

static void picture_release(struct picture *p)
{
	free(p->points);
	free(p->of_task);
	free(p->edges);
}

static int outermost(const struct dag *dag, int group)
{
	while (group >= 0 && dag->groups[group].parent >= 0)
		group = dag->groups[group].parent;
	return group;
}

static void add_points(struct picture *p, bool expand, int *of_group)
{
	const struct dag *dag = p->dag;

	for (int g = 0; g < dag->ngroups; g++)
		of_group[g] = -1;
	for (int k = 0; k < dag->ntasks; k++) {
		int task = dag->order[k],
		    group = expand ? -1 : outermost(dag, dag_group_of(dag, &dag->tasks[task]));
		if (group >= 0 && of_group[group] >= 0) {
			p->of_task[task] = of_group[group];
			continue;
		}
		if (group >= 0)
			of_group[group] = p->n;
		p->of_task[task] = p->n;
		p->points[p->n++] = (struct point){
			.task = group < 0 ? task : -1, .group = group, .stamp = -1
		};
	}
}

static void add_edges(struct picture *p, int from, const struct task *t, int **edge)
{
	for (int k = 0; k < t->ndependents; k++) {
		int to = p->of_task[t->dependents[k]];
		if (to == from || p->points[to].stamp == from)
			continue;
		p->points[to].stamp = from;
		p->points[to].nneeds++;
		*(*edge)++ = to;
		p->points[from].ndependents++;
	}
}

static int picture_init(struct picture *p, const struct dag *dag, bool expand, struct err *err)
{
	size_t n = (size_t)dag->ntasks + 1, nedges = 1;
	int *of_group = calloc((size_t)dag->ngroups + 1, sizeof *of_group);

	for (int i = 0; i < dag->ntasks; i++)
		nedges += (size_t)dag->tasks[i].ndependents;
	*p = (struct picture){ .dag = dag,
		.points = calloc(n, sizeof *p->points),
		.of_task = calloc(n, sizeof *p->of_task),
		.edges = calloc(nedges, sizeof *p->edges) };
	if (!of_group || !p->points || !p->of_task || !p->edges) {
		free(of_group);
		return err_nomem(err);
	}
	add_points(p, expand, of_group);
	free(of_group);
	int *edge = p->edges;
	for (int i = 0; i < p->n; i++) {
		const struct point *at = &p->points[i];
		const struct task_group *g = at->group >= 0 ? &dag->groups[at->group] : NULL;
		int first = g ? g->first : at->task, end = first + (g ? g->ntasks : 1);
		p->points[i].dependents = edge;
		for (int k = first; k < end; k++)
			add_edges(p, i, &dag->tasks[k], &edge);
	}
	return 0;
}

static const char *point_name(const struct picture *p, int i)
{
	const struct point *at = &p->points[i];

	return at->task >= 0 ? p->dag->tasks[at->task].name : p->dag->groups[at->group].name;
}

/* "ingest: file", "run", "12 tasks" */
static const char *point_kind(const struct picture *p, int i, char *buf, size_t size)
{
	const struct point *at = &p->points[i];
	const struct task *t = at->task >= 0 ? &p->dag->tasks[at->task] : NULL;

	if (!t) {
		int n = p->dag->groups[at->group].ntasks;
		snprintf(buf, size, "%d task%s", n, n == 1 ? "" : "s");
	} else if (t->kind == TASK_RUN) {
		snprintf(buf, size, "run");
	} else {
		snprintf(buf, size, "%s: %s", task_kind_name(t->kind), t->op);
	}
	return buf;
}

/* What lets a task run: "one_failed", or nothing. */
static void point_rules(const struct picture *p, int i, struct buf *out)
{
	if (p->points[i].task >= 0)
		rules_add(out, p->dag, &p->dag->tasks[p->points[i].task]);
}

/* ---- the tree ------------------------------------------------------------------------ */

/* A point on the way from a root to where the walk is. */
struct step {
	int point, next; /* next: of its dependents */
	bool last;       /* of its siblings: no line goes on below it */
};

struct walk {
	const struct picture *picture;
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

/* Print a point below the path; the walk goes into it the first time. */
static void enter(struct walk *w, int point, bool last)
{
	bool again = w->seen[point], colour = w->term->colour;
	char kind[160];

	struct buf rules;

	buf_init(&rules, 1 << 16);
	point_rules(w->picture, point, &rules);
	add_branch(w, last);
	buf_addf(w->out, "%s%s%s  %s%s%s%s%s%s%s\n", style_on(STYLE_BOLD, colour),
		point_name(w->picture, point), style_off(STYLE_BOLD, colour),
		style_on(STYLE_DIM, colour), point_kind(w->picture, point, kind, sizeof kind),
		style_off(STYLE_DIM, colour), rules.len ? "  [" : "", rules.data,
		rules.len ? "]" : "", again ? "  (see above)" : "");
	buf_release(&rules);
	if (again)
		return;
	w->seen[point] = true;
	w->path[w->depth++] = (struct step){ point, 0, last };
	if (w->out->len > 1 << 16)
		term_write(w->term, w->out);
}

static void walk_from(struct walk *w, int root)
{
	w->depth = 0;
	enter(w, root, true);
	while (w->depth > 0) {
		struct step *s = &w->path[w->depth - 1];
		const struct point *p = &w->picture->points[s->point];
		if (s->next == p->ndependents) {
			w->depth--;
			continue;
		}
		int child = p->dependents[s->next++];
		enter(w, child, s->next == p->ndependents);
	}
}

static int tree(const struct args *args, const struct picture *p, struct err *err)
{
	struct term term;
	struct buf out;
	struct walk w = { .picture = p, .term = &term, .out = &out };
	int rc = -1;

	term_init(&term, stdout, args);
	buf_init(&out, 256u << 20);
	w.path = calloc((size_t)p->n + 1, sizeof *w.path);
	w.seen = calloc((size_t)p->n + 1, sizeof *w.seen);
	if (!w.path || !w.seen) {
		err_nomem(err);
		goto out;
	}
	for (int i = 0; i < p->n; i++)
		if (p->points[i].nneeds == 0)
			walk_from(&w, i);
	/* Groups that need tasks of each other may have no root. */
	for (int i = 0; i < p->n; i++)
		if (!w.seen[i])
			walk_from(&w, i);
	term_write(&term, &out);
	rc = 0;
out:
	free(w.path);
	free(w.seen);
	buf_release(&out);
	return rc;
}

/* ---- dot, JSON ----------------------------------------------------------------------- */

/* Open the boxes from the group `open` down to `group`. */
static void dot_open(const struct dag *dag, int open, int group)
{
	int chain[DEPTH_MAX], n = 0;

	for (int g = group; g != open && n < DEPTH_MAX; g = dag->groups[g].parent)
		chain[n++] = g;
	while (n-- > 0)
		printf("\tsubgraph \"cluster_%s\" {\n\tlabel=\"%s\";\n", dag->groups[chain[n]].name,
			dag->groups[chain[n]].name);
}

/* A further line of the label: what lets it run. */
static void dot_rules(const struct picture *p, int i)
{
	struct buf rules;

	buf_init(&rules, 1 << 16);
	point_rules(p, i, &rules);
	if (rules.len)
		fputs("\\n", stdout);
	for (size_t k = 0; k < rules.len; k++) {
		if (rules.data[k] == '"' || rules.data[k] == '\\')
			putchar('\\');
		putchar(rules.data[k]);
	}
	buf_release(&rules);
}

/* All tasks, those of a group in a box; they stand side by side. */
static void dot_groups(const struct picture *p)
{
	const struct dag *dag = p->dag;
	int open = -1;
	char kind[160];

	for (int i = 0; i <= dag->ntasks; i++) {
		while (open >= 0 && i >= dag->groups[open].first + dag->groups[open].ntasks) {
			puts("\t}");
			open = dag->groups[open].parent;
		}
		if (i == dag->ntasks)
			return;
		dot_open(dag, open, dag_group_of(dag, &dag->tasks[i]));
		open = dag_group_of(dag, &dag->tasks[i]);
		printf("\t\"%s\" [label=\"%s\\n%s", dag->tasks[i].name, dag->tasks[i].name,
			point_kind(p, p->of_task[i], kind, sizeof kind));
		dot_rules(p, p->of_task[i]);
		puts("\"];");
	}
}

/* Names hold letters, digits, _, - and dots only: quoting is enough. */
static void dot(const struct picture *p, bool expand)
{
	char kind[160];

	printf("digraph \"%s\" {\n\trankdir=LR;\n\tnode [shape=box];\n", p->dag->name);
	if (expand)
		dot_groups(p);
	for (int i = 0; i < p->n && !expand; i++) {
		printf("\t\"%s\" [label=\"%s\\n%s", point_name(p, i), point_name(p, i),
			point_kind(p, i, kind, sizeof kind));
		dot_rules(p, i);
		printf("\"%s];\n", p->points[i].group >= 0 ? ", peripheries=2" : "");
	}
	for (int i = 0; i < p->n; i++)
		for (int k = 0; k < p->points[i].ndependents; k++)
			printf("\t\"%s\" -> \"%s\";\n", point_name(p, i),
				point_name(p, p->points[i].dependents[k]));
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
		rules_set_json(o, dag, t);
		json_object_set_new(o, "needs", names(dag, t->needs, t->nneeds));
		json_object_set_new(o, "dependents", names(dag, t->dependents, t->ndependents));
		if (t->group)
			json_object_set_new(o, "group", json_string(t->group->name));
		json_array_append_new(tasks, o);
	}
	return cli_print_json(json_pack("{s:s, s:s, s:o}", "dag", dag->name, "version", dag->hash,
				      "tasks", tasks),
		err);
}

static int draw(const struct args *args, const struct dag *dag, struct err *err)
{
	bool expand = args_has(args, "expand");
	struct picture p;
	int rc = picture_init(&p, dag, expand, err);

	if (rc == 0 && args_has(args, "dot"))
		dot(&p, expand);
	else if (rc == 0)
		rc = tree(args, &p, err);
	picture_release(&p);
	return rc;
}

static int graph_run(const struct args *args, struct err *err)
{
	struct cli_dag d;

	if (args_has(args, "dot") && args_has(args, "json"))
		return err_set(err, ERR_USAGE, "--dot and --json exclude each other");
	if (cli_load_dag(args, args_operand(args, 0), false, &d, err) < 0)
		return -1;
	int rc = args_has(args, "json") ? graph_json(d.dag, err) : draw(args, d.dag, err);
	cli_dag_release(&d);
	return rc;
}

static const struct option graph_options[] = {
	{ .name = "dot", .kind = VALUE_FLAG, .help = "print Graphviz's dot language" },
	{ .name = "expand", .kind = VALUE_FLAG, .help = "draw the tasks of groups, too" }, { 0 }
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
	       "it would stand again it is marked (see above). A group is drawn as one, unless "
	       "--expand is given; --json tells all tasks, and the group of each. In brackets "
	       "stands what lets a task run, where that is not the success of all it needs.",
	.options = graph_options,
	.operands = graph_operands,
	.run = graph_run,
};
