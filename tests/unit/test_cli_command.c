/* Command lines, from tables of cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "cli/command.h"

static const char *const speeds[] = { "slow", "fast", NULL };
static const struct option options[] = {
	{ .name = "date", .kind = VALUE_DATE, .value = "DATE", .help = "the date" },
	{ .name = "jobs",
		.letter = 'j',
		.kind = VALUE_INT,
		.value = "N",
		.min = 1,
		.max = 64,
		.help = "how many at a time" },
	{ .name = "force", .letter = 'f', .kind = VALUE_FLAG, .help = "again" },
	{ .name = "param", .kind = VALUE_TEXT, .value = "K=V", .repeat = true, .help = "a param" },
	{ .name = "speed",
		.kind = VALUE_ENUM,
		.value = "SPEED",
		.values = speeds,
		.help = "how fast" },
	{ .name = "for", .kind = VALUE_DURATION, .value = "TIME", .help = "how long" },
	{ .name = "dir", .kind = VALUE_DIR, .value = "DIR", .help = "where" }, { 0 }
};
static const struct operand one[] = { { "DAG", VALUE_DAG_FILE, false, false, "a DAG file" },
	{ 0 } };
static const struct operand many[] = { { "RUN", VALUE_RUN, false, false, "a run" },
	{ "TASK", VALUE_TASK, true, true, "its tasks" }, { 0 } };

static const struct command command_one = { .name = "one",
	.group = "Run",
	.summary = "takes one",
	.doc = "Words and words and words and words and words and words and words and words and "
	       "words.\n\n  weir one x.yaml",
	.options = options,
	.operands = one };
static const struct command command_many = {
	.name = "many", .group = "Look", .summary = "takes many", .operands = many
};
static const struct command command_none = { .name = "none", .group = "Look", .summary = "-" };
static const struct command command_secret = { .name = "secret", .group = "Look", .hidden = true };
const struct command *const commands[] = { &command_one, &command_many, &command_none,
	&command_secret, NULL };

enum { WORDS = 12 };

struct parse_case {
	const struct command *command;
	const char *argv[WORDS];
	const char *given; /* "option=value operand ...": what was parsed; NULL: an error */
	const char *error; /* a part of it */
};

static const struct parse_case parse_cases[] = {
	{ &command_one, { "x.yaml" }, "x.yaml", NULL },
	{ &command_one, { "x.yaml", "--date", "2026-11-19" }, "x.yaml date=2026-11-19", NULL },
	{ &command_one, { "--date=2026-11-19", "x.yaml" }, "date=2026-11-19 x.yaml", NULL },
	{ &command_one, { "-j4", "x" }, "jobs=4 x", NULL },
	{ &command_one, { "-j", "4", "x" }, "jobs=4 x", NULL },
	{ &command_one, { "--jobs=4", "x" }, "jobs=4 x", NULL },
	{ &command_one, { "-fqj", "4", "x" }, "force= quiet= jobs=4 x", NULL },
	{ &command_one, { "-fj4", "x" }, "force= jobs=4 x", NULL },
	{ &command_one, { "--param", "a=b", "--param=c=d=e", "x" }, "param=a=b param=c=d=e x",
		NULL },
	{ &command_one, { "--param=", "x" }, "param= x", NULL },
	{ &command_one, { "--", "--force" }, "--force", NULL },
	{ &command_one, { "-" }, "-", NULL },
	{ &command_one, { "--param", "--force", "x" }, "param=--force x", NULL },
	{ &command_one, { "--param", "--", "x" }, "param=-- x", NULL },
	{ &command_one, { "--json", "x", "--color", "never" }, "json= x color=never", NULL },
	{ &command_one, { "--force", "--force", "x" }, "force= force= x", NULL },
	{ &command_one, { "--speed", "fast", "--for", "1h30m", "x" }, "speed=fast for=1h30m x",
		NULL },
	{ &command_one, { "--help" }, "help=", NULL },
	{ &command_one, { "-h" }, "help=", NULL },
	{ &command_many, { "r", "a", "b", "c" }, "r a b c", NULL },
	{ &command_many, { "r" }, "r", NULL },
	{ &command_none, { NULL }, "", NULL },

	{ &command_one, { NULL }, NULL, "DAG is missing: a DAG file; see \"weir one --help\"" },
	{ &command_one, { "x", "y" }, NULL, "unexpected word \"y\"" },
	{ &command_none, { "x" }, NULL, "unexpected word \"x\"" },
	{ &command_many, { NULL }, NULL, "RUN is missing" },
	{ &command_one, { "--dat", "x" }, NULL,
		"unknown option \"--dat\"; did you mean \"--date\"?" },
	{ &command_one, { "--quite", "x" }, NULL, "did you mean \"--quiet\"?" },
	{ &command_one, { "--xyzzy=1", "x" }, NULL, "unknown option \"--xyzzy\"; see" },
	{ &command_none, { "--date", "2026-11-19" }, NULL, "unknown option \"--date\"" },
	{ &command_one, { "-z", "x" }, NULL, "unknown option \"-z\"" },
	{ &command_one, { "-fz", "x" }, NULL, "unknown option \"-z\"" },
	{ &command_one, { "x", "--date" }, NULL, "--date needs a value: --date DATE" },
	{ &command_one, { "x", "-j" }, NULL, "--jobs needs a value: --jobs N" },
	{ &command_one, { "x", "--force=yes" }, NULL, "--force takes no value" },
	{ &command_one, { "x", "--jobs", "0" }, NULL, "--jobs must be between 1 and 64, not 0" },
	{ &command_one, { "x", "--jobs", "65" }, NULL, "not 65" },
	{ &command_one, { "x", "--jobs=" }, NULL, "takes a whole number, not \"\"" },
	{ &command_one, { "x", "--jobs=4x" }, NULL, "takes a whole number, not \"4x\"" },
	{ &command_one, { "x", "--jobs=99999999999999999999" }, NULL, "takes a whole number" },
	{ &command_one, { "x", "-j1", "-j2" }, NULL, "--jobs is given twice" },
	{ &command_one, { "x", "--speed", "fats" }, NULL, "did you mean \"fast\"? (slow, fast)" },
	{ &command_one, { "x", "--speed", "qqqqqq" }, NULL, "it is one of slow, fast" },
	{ &command_one, { "x", "--speed=" }, NULL, "unknown value \"\"" },
	{ &command_one, { "x", "--date", "2026-02-30" }, NULL, "--date: " },
	{ &command_one, { "x", "--date", "yesterday" }, NULL, "--date: " },
	{ &command_one, { "x", "--for", "90" }, NULL, "--for: " },
	{ &command_one, { "x", "--dir=" }, NULL, "--dir: the value is empty" },
};

/* What was parsed, in the form of the cases. */
static void render(const struct args *a, char *out, size_t size)
{
	out[0] = '\0';
	for (size_t i = 0; i < a->n; i++) {
		const struct given *g = &a->list[i];
		size_t used = strlen(out);
		snprintf(out + used, size - used, "%s%s%s%s", i ? " " : "",
			g->option ? g->option->name : "", g->option ? "=" : "", g->text);
	}
}

static int words(const struct parse_case *c, char **ret)
{
	int n = 1;

	ret[0] = (char *)c->command->name;
	for (int i = 0; i < WORDS && c->argv[i]; i++)
		ret[n++] = (char *)c->argv[i];
	return n;
}

static void test_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof parse_cases / sizeof *parse_cases; i++) {
		const struct parse_case *c = &parse_cases[i];
		char *argv[WORDS + 1], text[512];
		struct args a;
		struct err err;
		int argc = words(c, argv);

		err_clear(&err);
		int rc = args_parse(&a, c->command, argc, argv, &err);
		if (c->given) {
			if (rc != 0)
				fail_msg("case %zu: %s", i, err.msg);
			render(&a, text, sizeof text);
			assert_string_equal(text, c->given);
			args_release(&a);
			continue;
		}
		if (rc == 0)
			fail_msg("case %zu was accepted: %s", i, c->error);
		assert_int_equal(err.code, ERR_USAGE);
		if (!strstr(err.msg, c->error))
			fail_msg("case %zu: \"%s\" has no \"%s\"", i, err.msg, c->error);
		assert_null(strchr(err.msg, '\n'));
	}
}

static void test_lookup(void **state)
{
	char *argv[] = { "one", "-j", "7", "x.yaml", "--param", "a=1", "--param", "b=2" };
	struct args a;
	struct err err;

	(void)state;
	assert_int_equal(args_parse(&a, &command_one, 8, argv, &err), 0);
	assert_int_equal(args_int(&a, "jobs", 1), 7);
	assert_int_equal(args_int(&a, "date", 3), 3);
	assert_string_equal(args_text(&a, "param"), "b=2");
	assert_string_equal(args_nth(&a, "param", 0), "a=1");
	assert_string_equal(args_nth(&a, "param", 1), "b=2");
	assert_null(args_nth(&a, "param", 2));
	assert_true(args_has(&a, "jobs"));
	assert_false(args_has(&a, "force"));
	assert_int_equal(args_noperands(&a), 1);
	assert_string_equal(args_operand(&a, 0), "x.yaml");
	assert_null(args_operand(&a, 1));
	args_release(&a);
	args_release(&a);
}

/* A very long line of letters must find room: each is an entry. */
static void test_many_letters(void **state)
{
	char letters[3000];
	char *argv[] = { "one", letters, "x" };
	struct args a;
	struct err err;

	(void)state;
	memset(letters, 'f', sizeof letters - 1);
	letters[0] = '-';
	letters[sizeof letters - 1] = '\0';
	assert_int_equal(args_parse(&a, &command_one, 3, argv, &err), 0);
	assert_int_equal(a.n, sizeof letters - 1);
	args_release(&a);
}

static char *help_of(const struct command *c)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	command_help(c, out);
	fclose(out);
	return text;
}

static void test_help_of_command(void **state)
{
	static const char *const expected[] = {
		"weir one: takes one\n\nUsage: weir one [OPTION...] DAG\n\n",
		"  DAG                     a DAG file\n",
		"words and words and words and words and\nwords.\n\n  weir one x.yaml\n",
		"\nOptions:\n      --date DATE         the date\n",
		"  -j, --jobs N            how many at a time\n",
		"  -f, --force             again\n",
		"      --param K=V         a param; may be repeated\n",
		"      --speed SPEED       how fast: slow, fast\n",
		"\nCommon options:\n",
	};
	char *text = help_of(&command_one);

	(void)state;
	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
		if (!strstr(text, expected[i]))
			fail_msg("no \"%s\" in:\n%s", expected[i], text);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		assert_true(strlen(line) <= 80);
	free(text);
}

static void test_help_of_many(void **state)
{
	char *text = help_of(&command_many);

	(void)state;
	assert_non_null(strstr(text, "Usage: weir many [OPTION...] RUN [TASK]...\n"));
	free(text);
}

static void test_overview(void **state)
{
	char *text = help_of(NULL);

	(void)state;
	assert_non_null(strstr(text, "\nRun:\n  one          takes one\n"));
	assert_non_null(strstr(text, "\nLook:\n  many         takes many\n"));
	assert_null(strstr(text, "secret"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_lookup),
		cmocka_unit_test(test_many_letters),
		cmocka_unit_test(test_help_of_command),
		cmocka_unit_test(test_help_of_many),
		cmocka_unit_test(test_overview),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
