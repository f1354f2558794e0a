/* Help text, printed from the rows. */
#include "cli/command.h"

#include <string.h>

#include "base/buf.h"
#include "cli/term.h"

enum { HELP_WIDTH = 80, HELP_MAX_COLUMN = 26 };

static void add_operand(struct buf *b, const struct operand *o)
{
	buf_addf(b, o->optional ? " [%s]%s" : " %s%s", o->name, o->repeat ? "..." : "");
}

static void add_usage(struct buf *b, const struct command *c)
{
	buf_addf(b, "Usage: weir %s [OPTION...]", c->name);
	for (const struct operand *o = c->operands; o && o->name; o++)
		add_operand(b, o);
	buf_addc(b, '\n');
}

/* "  -j, --jobs N" */
static int add_option_name(struct buf *b, const struct option *o)
{
	size_t before = b->len;

	if (o->letter)
		buf_addf(b, "  -%c, --%s", o->letter, o->name);
	else
		buf_addf(b, "      --%s", o->name);
	if (o->kind != VALUE_FLAG)
		buf_addf(b, " %s", o->value ? o->value : "VALUE");
	return (int)(b->len - before);
}

static void add_help(struct buf *b, int col, const char *help)
{
	if (col > HELP_MAX_COLUMN - 2) {
		buf_addc(b, '\n');
		col = 0;
	}
	text_wrap(b, help ? help : "", col, HELP_MAX_COLUMN, HELP_WIDTH);
	if ((!help || !*help) && col > 0)
		buf_addc(b, '\n');
}

static void add_values(struct buf *b, const struct option *o)
{
	bool listed = o->kind == VALUE_ENUM && !strchr(o->help, ':');

	for (size_t i = 0; listed && o->values[i]; i++)
		buf_addf(b, "%s%s", i ? ", " : ": ", o->values[i]);
	if (o->repeat)
		buf_addstr(b, "; may be repeated");
}

static void add_options(struct buf *b, const char *heading, const struct option *o)
{
	if (!o || !o->name)
		return;
	buf_addf(b, "\n%s:\n", heading);
	for (; o->name; o++) {
		struct buf help;
		int col = add_option_name(b, o);
		buf_init(&help, BUF_MAX_TEXT);
		buf_addstr(&help, o->help);
		add_values(&help, o);
		add_help(b, col, help.data);
		buf_release(&help);
	}
}

static void add_operands(struct buf *b, const struct operand *o)
{
	if (!o || !o->name)
		return;
	buf_addc(b, '\n');
	for (; o->name; o++) {
		size_t before = b->len;
		buf_addf(b, "  %s", o->name);
		add_help(b, (int)(b->len - before), o->help);
	}
}

static void add_overview(struct buf *b)
{
	const char *group = "";

	buf_addstr(b, "Weir runs DAGs of ingest, transform, quality and publish tasks.\n\n"
		      "Usage: weir COMMAND [OPTION...] [WORD...]\n");
	for (const struct command *const *c = commands; *c; c++) {
		if ((*c)->hidden)
			continue;
		if (strcmp(group, (*c)->group) != 0)
			buf_addf(b, "\n%s:\n", group = (*c)->group);
		buf_addf(b, "  %-12s %s\n", (*c)->name, (*c)->summary);
	}
	buf_addstr(b, "\nStart with:\n"
		      "  weir validate dags/\n"
		      "  weir run dags/nightly_sales.yaml --date 2026-11-19\n\n"
		      "\"weir COMMAND --help\" explains a command, \"weir help exit-statuses\" the "
		      "exit statuses.\n");
}

static void add_command(struct buf *b, const struct command *c)
{
	buf_addf(b, "weir %s: %s\n\n", c->name, c->summary);
	add_usage(b, c);
	add_operands(b, c->operands);
	if (c->doc) {
		buf_addc(b, '\n');
		text_wrap(b, c->doc, 0, 0, HELP_WIDTH);
	}
	add_options(b, "Options", c->options);
	add_options(b, "Common options", common_options);
}

void command_help(const struct command *c, FILE *out)
{
	struct buf b;

	buf_init(&b, BUF_MAX_TEXT);
	if (c)
		add_command(&b, c);
	else
		add_overview(&b);
	fwrite(b.data, 1, b.len, out);
	buf_release(&b);
}
