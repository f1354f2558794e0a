/* What attempts leave behind: outputs of commands, reports of operators, and the error a person is
 * told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/err.h"
#include "base/io.h"
#include "base/units.h"
#include "exec/exec.h"
#include "operators/operators.h"
#include "run/result.h"

/* ---- the parser ----------------------------------------------------------------------- */

#define TEXT(s) s, sizeof(s) - 1

static const struct {
	const char *text;
	size_t len;
	const char *want; /* JSON with sorted keys, or NULL: an error that holds `message` */
	const char *message;
} outputs[] = {
	{ TEXT(""), "{}", NULL },
	{ TEXT("\n\n  \n"), "{}", NULL },
	{ TEXT("rows=10"), "{\"rows\":10}", NULL },
	{ TEXT("rows=10\npath=out/a.csv\n"), "{\"path\":\"out/a.csv\",\"rows\":10}", NULL },
	{ TEXT("rows=10\r\npath=x\r\n"), "{\"path\":\"x\",\"rows\":10}", NULL },
	{ TEXT("# a comment\n\nrows=1\n"), "{\"rows\":1}", NULL },
	{ TEXT("a=\n"), "{\"a\":\"\"}", NULL },
	{ TEXT("a=b=c\n"), "{\"a\":\"b=c\"}", NULL },
	{ TEXT("a=1\na=2\n"), "{\"a\":2}", NULL }, /* the last one counts */
	{ TEXT("a= x \n"), "{\"a\":\" x\"}", NULL },
	/* A number is what reads back as written; ids with zeros in front stay text. */
	{ TEXT("a=0\nb=-1\nc=007\nd=1.5\ne=-0\nf=+1\ng=1e3\n"),
		"{\"a\":0,\"b\":-1,\"c\":\"007\",\"d\":\"1.5\",\"e\":\"-0\",\"f\":\"+1\",\"g\":"
		"\"1e3\"}",
		NULL },
	{ TEXT("a=999999999999999999\nb=-999999999999999999\nc=9999999999999999999\n"),
		"{\"a\":999999999999999999,\"b\":-999999999999999999,\"c\":"
		"\"9999999999999999999\"}",
		NULL },
	{ TEXT("a=-\nb=--1\nc=1-\nd=true\n"),
		"{\"a\":\"-\",\"b\":\"--1\",\"c\":\"1-\",\"d\":\"true\"}", NULL },
	{ TEXT("a.b-c_1=x"), "{\"a.b-c_1\":\"x\"}", NULL },
	{ TEXT("a=\xc3\xa4\n"), "{\"a\":\"\xc3\xa4\"}", NULL },
	{ TEXT("{\"a\":1,\"b\":[1,{\"c\":null}]}"), "{\"a\":1,\"b\":[1,{\"c\":null}]}", NULL },
	{ TEXT("  \n {\"a\":1}\n"), "{\"a\":1}", NULL },
	{ TEXT("rows"), NULL, "line 1 is not key=value: \"rows\"" },
	{ TEXT("a=1\n\n# x\nrows 10\n"), NULL, "line 4 is not key=value: \"rows 10\"" },
	{ TEXT("=1"), NULL, "line 1" },
	{ TEXT("1a=1"), NULL, "line 1" },
	{ TEXT("a b=1"), NULL, "line 1" },
	{ TEXT(" a=1"), NULL, "line 1" },
	{ TEXT("export A=1"), NULL, "line 1" },
	{ TEXT("a=\xff\n"), NULL, "line 1 is not valid UTF-8" },
	{ TEXT("\xff=1\n"), NULL, "line 1" },
	{ TEXT("a=1\0b=2\n"), NULL, "line 1" },
	{ TEXT("\0"), NULL, "line 1" },
	{ TEXT("{\"a\":1"), NULL, "WEIR_OUTPUT line 1" },
	{ TEXT("{\"a\":1}\n{\"b\":1}"), NULL, "WEIR_OUTPUT line 2" },
	{ TEXT("{\"a\":1,\"a\":2}"), NULL, "duplicate" },
	{ TEXT("{\"a\":1e999}"), NULL, "WEIR_OUTPUT line 1" },
	{ TEXT("{a: 1}"), NULL, "WEIR_OUTPUT line 1" },
	{ TEXT("{\"a\":\"\\u0000\"}"), NULL, "WEIR_OUTPUT line 1" },
	{ TEXT("[1]"), NULL, "line 1 is not key=value" },
};

static void test_outputs(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
		struct err err = { 0 };
		/* Without a byte behind it, so that a sanitizer sees a step too far. */
		char *copy = malloc(outputs[i].len ? outputs[i].len : 1);
		memcpy(copy, outputs[i].text, outputs[i].len);
		json_t *v = result_parse_outputs(copy, outputs[i].len, &err);
		char *text = v ? json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
		if (outputs[i].want && (!text || strcmp(text, outputs[i].want) != 0))
			fail_msg("%s: %s %s", outputs[i].text, text ? text : "", err.msg);
		if (!outputs[i].want && (v || !strstr(err.msg, outputs[i].message)))
			fail_msg("case %zu, %s: %s %s", i, outputs[i].text, text ? text : "",
				err.msg);
		if (!v)
			assert_int_equal(err.code, ERR_DATA);
		free(text);
		free(copy);
		json_decref(v);
	}
}

/* Nesting without end is refused, not followed. */
static void test_deep(void **state)
{
	enum { N = 1 << 20 };
	char *text = malloc(N);
	struct err err = { 0 };

	(void)state;
	memset(text, '[', N);
	memcpy(text, "{\"a\":", 5);
	assert_null(result_parse_outputs(text, N, &err));
	assert_int_equal(err.code, ERR_DATA);
	free(text);
}

/* ---- the whole of an attempt ---------------------------------------------------------- */

static char dir[] = "/tmp/weir-result-XXXXXX";
static char output_path[64], log_path[64];

struct attempt {
	const char *name;
	bool is_operator;
	struct exec_end end;
	const char *output, *log; /* NULL: no file */
	const char *error;        /* NULL: none */
	const char *outputs;
	bool permanent, bad_output;
};

static const struct attempt attempts[] = {
	{ "a success that says nothing", false, { .outcome = OUTCOME_SUCCESS }, NULL, NULL, NULL,
		"{}", false, false },
	{ "a success with outputs", false, { .outcome = OUTCOME_SUCCESS }, "rows=3\n", "noise\n",
		NULL, "{\"rows\":3}", false, false },
	{ "outputs that cannot be read", false, { .outcome = OUTCOME_SUCCESS }, "rows: 3\n", NULL,
		"WEIR_OUTPUT line 1 is not key=value: \"rows: 3\"", "{}", true, true },
	{ "a skip", false, { .outcome = OUTCOME_SKIPPED, .exit_status = 99 }, NULL, "why\n", NULL,
		"{}", false, false },
	{ "a failure, with the last line of its log", false,
		{ .outcome = OUTCOME_FAILED, .exit_status = 3 }, NULL, "one\ntwo\n\n \n",
		"exit status 3: two", "{}", false, false },
	{ "a failure without a word", false, { .outcome = OUTCOME_FAILED, .exit_status = 3 }, NULL,
		"\n \n", "exit status 3", "{}", false, false },
	{ "a failure without a log", false, { .outcome = OUTCOME_FAILED, .exit_status = 1 }, NULL,
		NULL, "exit status 1", "{}", false, false },
	{ "a failure: bad outputs do not hide it", false,
		{ .outcome = OUTCOME_FAILED, .exit_status = 3 }, "half a li", "boom\n",
		"exit status 3: boom", "{}", false, false },
	{ "a failure keeps what it put out", false, { .outcome = OUTCOME_FAILED, .exit_status = 3 },
		"rows=3\n", NULL, "exit status 3", "{\"rows\":3}", false, false },
	{ "a signal", false, { .outcome = OUTCOME_FAILED, .exit_status = -1, .signal = 9 }, NULL,
		"last words", "ended by signal 9 (Killed): last words", "{}", false, false },
	{ "a timeout", false, { .outcome = OUTCOME_TIMEOUT, .exit_status = -1, .signal = 15 }, NULL,
		"step 7\n", "ran longer than its timeout of 30m: step 7", "{}", false, false },
	{ "no word but Weir's", false, { .outcome = OUTCOME_FAILED, .exit_status = 3 }, NULL,
		"weir: limits: files 9: RLIMIT_NOFILE\n", "exit status 3", "{}", false, false },
	{ "a word behind Weir's", false, { .outcome = OUTCOME_FAILED, .exit_status = 3 }, NULL,
		"weir: limits: files 9: RLIMIT_NOFILE\nno room\n", "exit status 3: no room", "{}",
		false, false },
	{ "lost", false, { .outcome = OUTCOME_LOST, .exit_status = -1 }, NULL, "x\n",
		"its supervisor is gone", "{}", false, false },
	{ "stopped", false, { .outcome = OUTCOME_CANCELLED, .signal = 15 }, NULL, "x\n", "stopped",
		"{}", false, false },
	{ "not started", false,
		{ .outcome = OUTCOME_FAILED, .exit_status = 127, .error = "./x: no such file" },
		NULL, "old\n", "./x: no such file", "{}", false, false },
	{ "an operator's success", true, { .outcome = OUTCOME_SUCCESS },
		"{\"outputs\":{\"rows\":3},\"checks\":[]}", NULL, NULL, "{\"rows\":3}", false,
		false },
	{ "an operator's error", true,
		{ .outcome = OUTCOME_FAILED, .exit_status = OPERATOR_EXIT_TRANSIENT },
		"{\"outputs\":{},\"error\":{\"message\":\"no such table\"}}", "x\n",
		"no such table", "{}", false, false },
	{ "an operator's permanent error", true,
		{ .outcome = OUTCOME_FAILED, .exit_status = OPERATOR_EXIT_PERMANENT },
		"{\"error\":{\"message\":\"bad column\"}}", NULL, "bad column", "{}", true, false },
	{ "an operator that died", true,
		{ .outcome = OUTCOME_FAILED, .exit_status = -1, .signal = 11 }, "{\"outp", "x\n",
		"ended by signal 11 (Segmentation fault): x", "{}", false, false },
	{ "a report of other types", true, { .outcome = OUTCOME_FAILED, .exit_status = 7 },
		"{\"outputs\":[1],\"checks\":{},\"error\":\"x\"}", NULL, "exit status 7", "{}",
		false, false },
	{ "checks that say nothing", true, { .outcome = OUTCOME_SUCCESS },
		"{\"checks\":[7,{},{\"name\":\"c\",\"status\":\"pass\"},"
		"{\"name\":1,\"severity\":\"error\",\"status\":\"pass\"}]}",
		NULL, NULL, "{}", false, false },
	{ "a report that is no object", true, { .outcome = OUTCOME_SUCCESS }, "[1]", NULL, NULL,
		"{}", false, false },
};

static void put(const char *path, const char *text)
{
	unlink(path);
	if (text)
		assert_int_equal(io_write_file(path, text, strlen(text), NULL), 0);
}

static void test_attempts(void **state)
{
	const struct result_source paths = {
		.output_path = output_path, .log_path = log_path, .timeout_us = 30 * US_PER_MINUTE
	};

	(void)state;
	for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
		const struct attempt *a = &attempts[i];
		struct result_source from = paths;
		struct result r;
		from.is_operator = a->is_operator;
		put(output_path, a->output);
		put(log_path, a->log);
		assert_int_equal(result_read(&from, &a->end, &r, NULL), 0);
		char *text = json_dumps(r.outputs, JSON_COMPACT | JSON_SORT_KEYS);
		if (strcmp(text, a->outputs) != 0)
			fail_msg("%s: outputs %s", a->name, text);
		if ((r.error != NULL) != (a->error != NULL) ||
			(r.error && strcmp(r.error, a->error) != 0))
			fail_msg("%s: error %s", a->name, r.error ? r.error : "(none)");
		if (r.permanent != a->permanent || r.bad_output != a->bad_output)
			fail_msg("%s: permanent %d, bad output %d", a->name, r.permanent,
				r.bad_output);
		assert_null(r.checks);
		free(text);
		result_release(&r);
		result_release(&r);
	}
}

/* Of a report that somebody has spoilt the rest counts: what the store refuses would come back to
 * it for ever. */
static void test_spoilt_checks(void **state)
{
	static const char report[] = "{\"outputs\":{\"score\":1},\"checks\":["
				     "{\"name\":\"a\",\"severity\":\"error\"},"
				     "{\"name\":\"b\",\"severity\":\"warn\",\"status\":\"pass\"}]}";
	const struct result_source from = {
		.output_path = output_path, .log_path = log_path, .is_operator = true
	};
	const struct exec_end ended = { .outcome = OUTCOME_SUCCESS };
	struct result r;

	(void)state;
	put(output_path, report);
	assert_int_equal(result_read(&from, &ended, &r, NULL), 0);
	assert_int_equal(json_array_size(r.checks), 1);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(r.checks, 0), "name")), "b");
	result_release(&r);
}

/* A line without end, and an output file of another kind. */
static void test_hostile_files(void **state)
{
	const struct exec_end failed = { .outcome = OUTCOME_FAILED, .exit_status = 1 };
	const struct exec_end ended = { .outcome = OUTCOME_SUCCESS };
	struct result_source from = { .output_path = output_path, .log_path = log_path };
	char *line = malloc(100001);
	struct result r;

	(void)state;
	memset(line, 'x', 100000);
	line[100000] = '\0';
	put(output_path, NULL);
	put(log_path, line);
	assert_int_equal(result_read(&from, &failed, &r, NULL), 0);
	assert_in_range(strlen(r.error), 50, 400);
	result_release(&r);
	from.output_path = dir; /* a folder */
	assert_int_equal(result_read(&from, &ended, &r, NULL), 0);
	assert_true(r.bad_output);
	assert_non_null(r.error);
	result_release(&r);
	free(line);
}

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(output_path, sizeof output_path, "%s/output", dir);
	snprintf(log_path, sizeof log_path, "%s/log", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(output_path);
	unlink(log_path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outputs),
		cmocka_unit_test(test_deep),
		cmocka_unit_test(test_attempts),
		cmocka_unit_test(test_spoilt_checks),
		cmocka_unit_test(test_hostile_files),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
