#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/near.h"
#include "cli/commands.h"
#include "cli/exits.h"
#include "cli/home.h"
#include "conf/template.h"
#include "store/store.h"

#ifndef WEIR_VERSION
#define WEIR_VERSION "0.1.0"
#endif

/* ---- topics -------------------------------------------------------------------------- */

static void exit_statuses(struct buf *out)
{
	buf_addstr(out, "Exit statuses of weir:\n\n");
	exits_print_text(out);
}

static void templates(struct buf *out)
{
	template_print_text(out);
}

static const struct topic {
	const char *name, *summary;
	void (*print)(struct buf *out);
} topics[] = {
	{ "exit-statuses", "what the exit status of each command says", exit_statuses },
	{ "templates", "names and filters of {{ ... }}", templates },
};
enum { NTOPICS = sizeof topics / sizeof *topics };

static int print_topic(const struct topic *t)
{
	struct buf out;

	buf_init(&out, BUF_MAX_TEXT);
	t->print(&out);
	fwrite(out.data, 1, out.len, stdout);
	buf_release(&out);
	return 0;
}

static int unknown_topic(const char *word, struct err *err)
{
	const char *names[64];
	size_t n = 0;

	for (size_t i = 0; i < NTOPICS; i++)
		names[n++] = topics[i].name;
	for (const struct command *const *c = commands; *c && n < 64; c++)
		if (!(*c)->hidden)
			names[n++] = (*c)->name;
	const char *near = near_find(word, names, n);
	if (near)
		return err_set(
			err, ERR_USAGE, "no help on \"%s\"; did you mean \"%s\"?", word, near);
	return err_set(err, ERR_USAGE, "no help on \"%s\"; see \"weir help\"", word);
}

static int help_run(const struct args *args, struct err *err)
{
	const char *word = args_operand(args, 0);

	if (!word) {
		command_help(NULL, stdout);
		return 0;
	}
	const struct command *c = command_find(word);
	if (c) {
		command_help(c, stdout);
		return 0;
	}
	for (size_t i = 0; i < NTOPICS; i++)
		if (strcmp(topics[i].name, word) == 0)
			return print_topic(&topics[i]);
	return unknown_topic(word, err);
}

static const struct operand help_operands[] = {
	{ "COMMAND", VALUE_COMMAND, true, false,
		"a command, or one of the topics exit-statuses and templates" },
	{ 0 }
};

const struct command command_help_command = {
	.name = "help",
	.group = "More",
	.summary = "explain a command",
	.operands = help_operands,
	.run = help_run,
};

/* ---- version ------------------------------------------------------------------------- */

static int version_run(const struct args *args, struct err *err)
{
	if (!args_has(args, "json")) {
		puts("weir " WEIR_VERSION);
		return 0;
	}
	return cli_print_json(
		json_pack("{s:s, s:i}", "version", WEIR_VERSION, "schema", store_schema_version()),
		err);
}

const struct command command_version = {
	.name = "version",
	.group = "More",
	.summary = "print the version",
	.run = version_run,
};
