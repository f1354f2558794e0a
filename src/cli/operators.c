#include "operators/operators.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/near.h"
#include "cli/commands.h"
#include "cli/grid.h"
#include "cli/home.h"
#include "cli/term.h"
#include "conf/schema.h"

enum { WIDTH = 80 };

/* ---- which --------------------------------------------------------------------------- */

/* "ingest/file", "ingest: file", "ingest:file" and "file" name it. */
static bool is_named(const struct operator* op, const char *word)
{
	const char *kind = task_kind_name(op->kind);
	size_t n = strlen(kind);

	if (strncmp(word, kind, n) == 0 && (word[n] == '/' || word[n] == ':')) {
		word += n + 1;
		word += strspn(word, " ");
	}
	return strcmp(word, op->name) == 0 || strcmp(word, kind) == 0;
}

static int unknown(const char *word, struct err *err)
{
	const char *names[128];
	size_t n = 0;

	for (size_t i = 0; operators[i] && n < 128; i++)
		names[n++] = operators[i]->name;
	const char *near = near_find(word, names, n);
	if (near)
		return err_set(
			err, ERR_NOT_FOUND, "no operator \"%s\"; did you mean \"%s\"?", word, near);
	return err_set(err, ERR_NOT_FOUND, "no operator \"%s\"; see \"weir operators\"", word);
}

/* ---- text ---------------------------------------------------------------------------- */

static const struct grid_column list_columns[] = {
	{ "OPERATOR", 0 },
	{ "WHAT IT DOES", GRID_FLEX },
};

static void list(const struct term *t, const char *word, struct buf *out)
{
	struct grid g;

	grid_init(&g, list_columns, sizeof list_columns / sizeof *list_columns);
	for (size_t i = 0; operators[i]; i++) {
		if (word && !is_named(operators[i], word))
			continue;
		grid_addf(&g, STYLE_BOLD, "%s: %s", task_kind_name(operators[i]->kind),
			operators[i]->name);
		grid_add(&g, STYLE_NONE, operators[i]->summary);
	}
	grid_print(&g, t, 0, out);
	grid_release(&g);
	buf_addstr(out, "\n\"weir operators KIND/NAME\" explains one. A task that runs a command "
			"needs none: run: COMMAND\n");
}

static void heading(const struct term *t, const char *text, struct buf *out)
{
	buf_addf(out, "\n%s%s%s\n", style_on(STYLE_BOLD, t->colour), text,
		style_off(STYLE_BOLD, t->colour));
}

static void add_example(struct buf *out, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");
		buf_addf(out, "%s%.*s\n", len ? "  " : "", (int)len, text);
		text += len + (text[len] == '\n');
	}
}

static void describe(const struct term *t, const struct operator* op, struct buf *out)
{
	buf_addf(out, "%s%s: %s%s\n  ", style_on(STYLE_BOLD, t->colour), task_kind_name(op->kind),
		op->name, style_off(STYLE_BOLD, t->colour));
	text_wrap(out, op->summary, 2, 2, WIDTH);
	if (op->doc) {
		buf_addc(out, '\n');
		text_wrap(out, op->doc, 0, 2, WIDTH);
	}
	if (op->params && op->params[0].key) {
		heading(t, "Parameters (with:)", out);
		schema_print_text(op->params, out, 2);
	}
	if (op->outputs && op->outputs[0].name) {
		heading(t, "Outputs ({{ tasks.TASK.outputs.NAME }})", out);
		for (const struct operator_output *o = op->outputs; o->name; o++) {
			size_t before = out->len;
			buf_addf(out, "  %-20s  ", o->name);
			text_wrap(out, o->help, (int)(out->len - before), 24, WIDTH);
		}
	}
	if (op->example) {
		heading(t, "Example", out);
		add_example(out, op->example);
	}
}

/* ---- JSON ---------------------------------------------------------------------------- */

static json_t *operator_json(const struct operator* op)
{
	json_t *o = json_pack("{s:s, s:s, s:s}", "kind", task_kind_name(op->kind), "name", op->name,
		"summary", op->summary);
	json_t *outputs = json_object();

	for (const struct operator_output *out = op->outputs; out && out->name; out++)
		json_object_set_new(outputs, out->name, cli_json_text(out->help));
	json_object_set_new(o, "doc", cli_json_text(op->doc));
	json_object_set_new(
		o, "params", op->params ? schema_json(op->params, op->summary) : json_null());
	json_object_set_new(o, "outputs", outputs);
	json_object_set_new(o, "example", cli_json_text(op->example));
	return o;
}

static int operators_json(const char *word, struct err *err)
{
	json_t *a = json_array();

	for (size_t i = 0; operators[i]; i++)
		if (!word || is_named(operators[i], word))
			json_array_append_new(a, operator_json(operators[i]));
	return cli_print_json(json_pack("{s:o}", "operators", a), err);
}

/* ---- the command --------------------------------------------------------------------- */

static int operators_run(const struct args *args, struct err *err)
{
	const char *word = args_operand(args, 0);
	const struct operator* found = NULL;
	struct term t;
	struct buf out;
	size_t n = 0;

	for (size_t i = 0; word && operators[i]; i++)
		if (is_named(operators[i], word)) {
			found = operators[i];
			n++;
		}
	if (word && !n)
		return unknown(word, err);
	if (args_has(args, "json"))
		return operators_json(word, err);
	term_init(&t, stdout, args);
	buf_init(&out, BUF_MAX_TEXT);
	if (n == 1)
		describe(&t, found, &out);
	else
		list(&t, word, &out);
	term_write(&t, &out);
	buf_release(&out);
	return 0;
}

static const struct operand operators_operands[] = {
	{ "NAME", VALUE_OPERATOR, true, false,
		"an operator: ingest/file, \"ingest: file\", or file where only one has that "
		"name" },
	{ 0 }
};

const struct command command_operators = {
	.name = "operators",
	.group = "Write",
	.summary = "list the operators, or explain one: parameters, outputs, example",
	.operands = operators_operands,
	.run = operators_run,
};
