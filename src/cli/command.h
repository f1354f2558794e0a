/* The command table: one row per command, beside its code.
 *
 * --help, the man pages' OPTIONS and the shell completions are printed from these rows.
 */
#ifndef WEIR_CLI_COMMAND_H
#define WEIR_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct err;

/* What a value is; completions offer it. */
enum value_kind {
	VALUE_FLAG, /* takes none */
	VALUE_TEXT,
	VALUE_INT,
	VALUE_DATE,
	VALUE_DURATION,
	VALUE_FILE,
	VALUE_DIR,
	VALUE_DAG_FILE,
	VALUE_DAG, /* name of a DAG in the store */
	VALUE_RUN, /* a run's name */
	VALUE_TASK,
	VALUE_OPERATOR,
	VALUE_COMMAND,
	VALUE_ENUM,
	VALUE_KIND_MAX
};

struct option {
	const char *name; /* "date", used as --date; NULL ends the table */
	char letter;      /* 'j', or 0 */
	enum value_kind kind;
	const char *value;         /* shown: "DATE" */
	const char *const *values; /* VALUE_ENUM; NULL-ended */
	long min, max;             /* VALUE_INT */
	bool repeat;               /* may be given several times */
	const char *help;
};

struct operand {
	const char *name; /* shown: "DAG"; NULL ends the table */
	enum value_kind kind;
	bool optional, repeat;
	const char *help;
};

/* Parsed words. Borrowed from argv. */
struct given {
	const struct option *option; /* NULL: an operand */
	const char *text;
};
struct args {
	const struct command *command;
	struct given *list;
	size_t n;
};
bool args_has(const struct args *a, const char *option);
const char *args_text(const struct args *a, const char *option); /* the last one; NULL: not given */
const char *args_nth(const struct args *a, const char *option, size_t i); /* of repeated ones */
long args_int(const struct args *a, const char *option, long def);        /* range was checked */
const char *args_operand(const struct args *a, size_t i);                 /* NULL: not given */
size_t args_noperands(const struct args *a);

struct command {
	const char *name;
	const char *group;   /* heading in `weir help`: "Run", "Look", "Write", "More" */
	const char *summary; /* one line */
	const char *doc;     /* paragraphs for --help and the man page; NULL: none */
	const struct option *options;
	const struct operand *operands;
	bool hidden;
	/* 0, or the command's exit status when it said all there is to say; -1 with err, which main
	 * prints and turns into the exit status of its code. */
	int (*run)(const struct args *args, struct err *err);
};

extern const struct command *const commands[]; /* NULL-ended; in the order of help */
extern const struct option common_options[];   /* of all commands: --home --config --json --color
						  --quiet --verbose --help */
const struct command *command_find(const char *name);

/* Parse argv[1..] of a command by its rows; "--x=v", "--x v", "-jv", "-j v", "--", options and
 * operands in any order. Unknown words come with the nearest known one. */
int args_parse(
	struct args *ret, const struct command *c, int argc, char *const *argv, struct err *err);
void args_release(struct args *a);

void command_help(const struct command *c, FILE *out); /* NULL: the overview */

#endif
