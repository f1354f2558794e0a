/* From a task to what is started: the command line and its shell, the environment and who wins in
 * it, secrets, the payload of an operator. */
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

#include "base/buf.h"
#include "base/civil.h"
#include "base/err.h"
#include "base/io.h"
#include "base/units.h"
#include "conf/config.h"
#include "conf/dagfile.h"
#include "conf/diag.h"
#include "core/model.h"
#include "core/zone.h"
#include "operators/operators.h"
#include "run/job.h"
#include "tests/lib/dagops.h"
#include "tests/lib/times.h"

static char dir[] = "/tmp/weir-job-XXXXXX";

struct world {
	struct dag *dag;
	struct config *config;
	struct job_context c;
	struct job_prepared prepared;
	struct job_attempt a;
	struct job job;
	struct err err;
};

static char *file(const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static void write_file(const char *name, const char *text)
{
	assert_int_equal(io_write_file(file(name), text, strlen(text), NULL), 0);
}

static void world_init(struct world *w, const char *tasks)
{
	const struct dagfile_env env = { .operators = &dagops_known };
	struct diags diags;
	char text[2048];

	*w = (struct world){ .config = config_empty() };
	snprintf(text, sizeof text, "dag: nightly\nparams: { region: eu }\n%s", tasks);
	write_file("dag.yaml", text);
	diags_init(&diags);
	w->dag = dagfile_load(file("dag.yaml"), &env, &diags);
	if (!w->dag)
		fail_msg("%s\n%s", tasks, diags.list[0].message);
	diags_release(&diags);
	w->c = (struct job_context){ .dag = w->dag,
		.config = w->config,
		.home = "/home/weir",
		.run = "nightly@2026-11-19",
		.ds = "2026-11-19",
		.interval_start_us = times_us("2026-11-19T01:00:00Z"),
		.interval_end_us = times_us("2026-11-20T01:00:00Z"),
		.zone = zone_utc(),
		.params = json_pack("{s:s}", "region", "eu"),
		.outputs = json_pack("{s:{s:i}}", "orders", "rows", 42) };
	w->a = (struct job_attempt){
		.try = 2, .token = 77, .now_us = times_us("2026-11-20T02:00:00Z")
	};
}

/* Build the job of a task; the job is released with the world or the next one. */
static int build(struct world *w, const char *task)
{
	job_release(&w->job);
	job_prepared_release(&w->prepared);
	assert_int_equal(job_prepare(&w->c, &w->prepared, &w->err), 0);
	w->c.prepared = &w->prepared;
	w->a.task = dag_find(w->dag, task);
	assert_non_null(w->a.task);
	err_clear(&w->err);
	return job_build(&w->c, &w->a, &w->job, &w->err);
}

static void world_release(struct world *w)
{
	job_release(&w->job);
	job_prepared_release(&w->prepared);
	json_decref(w->c.params);
	json_decref(w->c.outputs);
	config_free(w->config);
	dag_unref(w->dag);
}

/* ---- command lines -------------------------------------------------------------------- */

static const struct {
	const char *run, *argv; /* words joined by "|" */
} commands[] = {
	/* Plain words need no shell. */
	{ "run: ./a.sh", "./a.sh" },
	{ "run: ./a.sh  one\ttwo ", "./a.sh|one|two" },
	{ "run: /bin/true", "/bin/true" },
	{ "run: python3 -m job --day 2026-11-19", "python3|-m|job|--day|2026-11-19" },
	{ "run: echo {{ ds }} {{ params.region }}", "echo|2026-11-19|eu" },
	{ "run: echo a:b,c@d+e/f", "echo|a:b,c@d+e/f" },
	/* Whatever means something to a shell goes to one. */
	{ "run: a | b", "/bin/sh|-ec|a | b" },
	{ "run: echo $HOME", "/bin/sh|-ec|echo $HOME" },
	{ "run: echo 'a b'", "/bin/sh|-ec|echo 'a b'" },
	{ "run: A=1 ./a.sh", "/bin/sh|-ec|A=1 ./a.sh" },
	{ "run: ls *.csv", "/bin/sh|-ec|ls *.csv" },
	{ "run: ls ~", "/bin/sh|-ec|ls ~" },
	{ "run: \"a; b\"", "/bin/sh|-ec|a; b" },
	{ "run: a && b", "/bin/sh|-ec|a && b" },
	{ "run: a > b", "/bin/sh|-ec|a > b" },
	{ "run: \"a \\\\\\nb\"", "/bin/sh|-ec|a \\\nb" },
	{ "run: exit 3", "/bin/sh|-ec|exit 3" },
	{ "run: cd out", "/bin/sh|-ec|cd out" },
	{ "run: . ./env.sh", "/bin/sh|-ec|. ./env.sh" },
	{ "run: exiting 3", "exiting|3" },
	{ "run: \"echo a\\necho b\\n\"", "/bin/sh|-ec|echo a\necho b\n" },
	/* What templates bring in decides, too: a value can force a shell, and is then its. */
	{ "run: \"echo {{ ds | default('x') }};\"", "/bin/sh|-ec|echo 2026-11-19;" },
	/* The shell that is asked for. */
	{ "{ run: echo a, shell: bash }", "bash|-eo|pipefail|-c|echo a" },
	{ "{ run: echo a, shell: sh }", "/bin/sh|-ec|echo a" },
	{ "{ run: echo a, shell: dash }", "dash|-ec|echo a" },
	{ "{ run: print(1), shell: python3 }", "python3|-c|print(1)" },
	{ "{ run: x y, shell: /opt/fish }", "/opt/fish|-c|x y" },
	{ "{ run: \"a | b $c\", shell: none }", "a|||b|$c" },
	/* A list is passed as it is. */
	{ "run: [echo, a b, $HOME, \"\", 5, true]", "echo|a b|$HOME||5|true" },
	{ "run: [echo, \"{{ ds }} x\"]", "echo|2026-11-19 x" },
};

static void join(struct buf *out, const char *const *argv)
{
	buf_truncate(out, 0);
	for (size_t i = 0; argv[i]; i++)
		buf_addf(out, "%s%s", i ? "|" : "", argv[i]);
}

static void test_commands(void **state)
{
	struct buf argv;

	(void)state;
	buf_init(&argv, 1 << 16);
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		bool flow = commands[i].run[0] == '{';
		struct world w;
		char text[512];
		snprintf(text, sizeof text, flow ? "tasks:\n  a: %s\n" : "tasks:\n  a:\n    %s\n",
			commands[i].run);
		world_init(&w, text);
		if (build(&w, "a") < 0)
			fail_msg("%s: %s", commands[i].run, w.err.msg);
		join(&argv, w.job.exec.argv);
		if (strcmp(argv.data, commands[i].argv) != 0)
			fail_msg("%s: %s", commands[i].run, argv.data);
		assert_null(w.job.exec.payload);
		world_release(&w);
	}
	buf_release(&argv);
}

static void test_command_errors(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, "tasks:\n"
		       "  orders: { run: x }\n"
		       "  a: { run: \"echo {{ tasks.orders.outputs.none }}\", needs: orders }\n"
		       "  b: { run: \"{{ env.WEIR_T_EMPTY }}\" }\n"
		       "  c: { run: \"echo {{ tasks.orders.outputs.rows }}\", needs: orders }\n");
	assert_int_equal(build(&w, "a"), -1);
	assert_int_equal(w.err.code, ERR_INVALID);
	assert_int_equal(w.err.line, 5);
	assert_non_null(strstr(w.err.file, "dag.yaml"));
	setenv("WEIR_T_EMPTY", " ", 1);
	assert_int_equal(build(&w, "b"), -1);
	assert_non_null(strstr(w.err.msg, "empty"));
	assert_int_equal(build(&w, "c"), 0);
	assert_string_equal(w.job.exec.argv[1], "42");
	world_release(&w);
}

/* ---- the environment ------------------------------------------------------------------ */

/* The value of a variable; NULL: not there. It is there once. */
static const char *variable(const struct world *w, const char *name)
{
	const char *found = NULL;
	size_t len = strlen(name);

	for (const char *const *e = w->job.exec.env; *e; e++)
		if (strncmp(*e, name, len) == 0 && (*e)[len] == '=') {
			assert_null(found);
			found = *e + len + 1;
		}
	return found;
}

static void test_environment(void **state)
{
	static const struct {
		const char *name, *value;
	} want[] = {
		{ "WEIR_DAG", "nightly" },
		{ "WEIR_TASK", "a" },
		{ "WEIR_RUN_ID", "nightly@2026-11-19" },
		{ "WEIR_TRY", "2" },
		{ "WEIR_TOKEN", "77" },
		{ "WEIR_DS", "2026-11-19" },
		{ "WEIR_INTERVAL_START", "2026-11-19T01:00:00Z" },
		{ "WEIR_INTERVAL_END", "2026-11-20T01:00:00Z" },
		{ "WEIR_IDEMPOTENCY_KEY", "nightly.a.20261119T010000Z.20261120T010000Z" },
		{ "WEIR_HOME", "/home/weir" },
		{ "WEIR_T_OUTER", "outer" },
		{ "PLAIN_BOTH", "task" },
		{ "OWN", "2026-11-19/eu" },
		{ "NUMBER", "5" },
		{ "EMPTY", "" },
		{ "DEFAULTED", "d" },
	};
	struct world w;

	(void)state;
	setenv("WEIR_T_OUTER", "outer", 1);
	setenv("PLAIN_BOTH", "outer", 1);
	/* A Weir around this one. */
	setenv("WEIR_TRY", "99", 1);
	setenv("WEIR_TASK", "outer", 1);
	setenv("WEIR_TEST_CRASH_AT", "1", 1);
	world_init(&w, "defaults: { env: { DEFAULTED: d, PLAIN_BOTH: default } }\n"
		       "tasks:\n"
		       "  a:\n"
		       "    run: x\n"
		       "    env: { OWN: \"{{ ds }}/{{ params.region }}\", NUMBER: 5, EMPTY: \"\", "
		       "PLAIN_BOTH: task }\n");
	assert_int_equal(build(&w, "a"), 0);
	for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
		const char *got = variable(&w, want[i].name);
		if (!got || strcmp(got, want[i].value) != 0)
			fail_msg("%s: %s", want[i].name, got ? got : "(none)");
	}
	assert_null(variable(&w, "WEIR_TEST_CRASH_AT"));
	assert_non_null(variable(&w, "PATH"));
	/* Output and log are this try's own, and lie under the home. */
	assert_non_null(strstr(variable(&w, "WEIR_OUTPUT"), "/home/weir/"));
	assert_non_null(strstr(w.job.exec.log_path, "/home/weir/"));
	char *output = strdup(variable(&w, "WEIR_OUTPUT")), *log = strdup(w.job.exec.log_path);
	w.a.try = 3;
	assert_int_equal(build(&w, "a"), 0);
	assert_string_not_equal(output, variable(&w, "WEIR_OUTPUT"));
	assert_string_not_equal(log, w.job.exec.log_path);
	/* The key is that of the work, not of the attempt. */
	assert_string_equal(variable(&w, "WEIR_IDEMPOTENCY_KEY"),
		"nightly.a.20261119T010000Z.20261120T010000Z");
	free(output);
	free(log);
	unsetenv("WEIR_TRY");
	unsetenv("WEIR_TASK");
	unsetenv("WEIR_TEST_CRASH_AT");
	world_release(&w);
}

static void test_places(void **state)
{
	struct world w;
	char want[128];

	(void)state;
	world_init(&w, "tasks:\n"
		       "  a: { run: x, timeout: 90s, grace: 3s, limits: { memory: 1MiB, cpu: 50%, "
		       "pids: 9, files: 8 } }\n"
		       "  b: { run: x, cwd: \"out/{{ ds }}\" }\n"
		       "  c: { run: x, cwd: /tmp }\n");
	assert_int_equal(build(&w, "a"), 0);
	assert_string_equal(w.job.exec.cwd, dir);
	assert_int_equal(w.job.exec.token, 77);
	assert_int_equal(w.job.exec.timeout_us, 90 * US_PER_SECOND);
	assert_int_equal(w.job.exec.grace_us, 3 * US_PER_SECOND);
	assert_int_equal(w.job.exec.limits.memory_bytes, 1 << 20);
	assert_int_equal(w.job.exec.limits.cpu_permille, 500);
	assert_int_equal(w.job.exec.limits.pids, 9);
	assert_int_equal(w.job.exec.limits.files, 8);
	assert_null(w.job.exec.secrets);
	assert_int_equal(build(&w, "b"), 0);
	snprintf(want, sizeof want, "%s/out/2026-11-19", dir);
	assert_string_equal(w.job.exec.cwd, want);
	assert_int_equal(build(&w, "c"), 0);
	assert_string_equal(w.job.exec.cwd, "/tmp");
	world_release(&w);
}

/* ---- secrets -------------------------------------------------------------------------- */

static void test_secrets(void **state)
{
	struct world w;

	(void)state;
	setenv("WEIR_T_KEY", "s3cret", 1);
	unsetenv("WEIR_T_NONE");
	write_file("key", "from-file\n");
	write_file("raw", "\xff\xfe");
	world_init(&w, "tasks:\n"
		       "  a: { run: x, env: { A: { env: WEIR_T_KEY }, B: { file: key }, C: no } }\n"
		       "  b: { run: x, env: { A: { env: WEIR_T_NONE } } }\n"
		       "  c: { run: x, env: { A: { file: none } } }\n"
		       "  d: { run: x, env: { A: { file: raw } } }\n");
	assert_int_equal(build(&w, "a"), 0);
	assert_string_equal(variable(&w, "A"), "s3cret");
	assert_string_equal(variable(&w, "B"), "from-file");
	assert_string_equal(w.job.exec.secrets[0], "s3cret");
	assert_string_equal(w.job.exec.secrets[1], "from-file");
	assert_null(w.job.exec.secrets[2]);
	for (size_t i = 0; w.job.exec.argv[i]; i++) {
		assert_null(strstr(w.job.exec.argv[i], "s3cret"));
		assert_null(strstr(w.job.exec.argv[i], "from-file"));
	}
	assert_int_equal(build(&w, "b"), -1);
	assert_non_null(strstr(w.err.msg, "env.A: "));
	assert_non_null(strstr(w.err.msg, "WEIR_T_NONE"));
	assert_int_equal(w.err.line, 5);
	assert_int_equal(build(&w, "c"), -1);
	assert_non_null(strstr(w.err.msg, "none"));
	assert_int_equal(build(&w, "d"), -1);
	assert_int_equal(w.err.code, ERR_INVALID);
	world_release(&w);
}

/* ---- operators ------------------------------------------------------------------------ */

static const struct field lake_fields[] = {
	{ .key = "path", .type = FIELD_PATH, .flags = FIELD_REQUIRED },
	{ .key = "password", .type = FIELD_STRING, .flags = FIELD_SECRET },
	{ 0 },
};
static const struct config_conn_type types[] = { { "sqlite", lake_fields }, { 0 } };

static void load_config(struct world *w)
{
	struct diags diags;

	write_file("weir.yaml",
		"connections:\n"
		"  lake: { type: sqlite, path: lake.db, password: { env: WEIR_T_KEY } }\n"
		"  other: { type: sqlite, path: o.db, password: { env: WEIR_T_NONE } }\n");
	diags_init(&diags);
	config_free(w->config);
	w->config = config_load(file("weir.yaml"), types, &diags);
	assert_non_null(w->config);
	w->c.config = w->config;
	diags_release(&diags);
}

static void test_payload(void **state)
{
	struct world w;

	(void)state;
	setenv("WEIR_T_KEY", "s3cret", 1);
	unsetenv("WEIR_T_NONE");
	world_init(&w, "tasks:\n"
		       "  a:\n"
		       "    ingest: file\n"
		       "    with: { path: \"in/{{ ds }}.csv\", into: lake.orders }\n"
		       "  b:\n"
		       "    ingest: file\n"
		       "    with: { path: a.csv, into: sea.orders }\n");
	load_config(&w);
	assert_int_equal(build(&w, "a"), 0);
	assert_null(w.job.exec.argv);
	assert_int_equal(w.job.exec.payload_len, strlen(w.job.exec.payload));
	json_t *payload = json_loads(w.job.exec.payload, 0, NULL);
	assert_non_null(payload);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(payload, "with"), "path")),
		"in/2026-11-19.csv");
	/* Only the connections it names: the other's secret is not even looked for. */
	json_t *connections = json_object_get(payload, "connections");
	assert_int_equal(json_object_size(connections), 1);
	assert_non_null(json_object_get(connections, "lake"));
	assert_string_equal(w.job.exec.secrets[0], "s3cret");
	assert_null(w.job.exec.secrets[1]);
	json_decref(payload);
	assert_int_equal(build(&w, "b"), -1);
	assert_int_equal(w.err.code, ERR_NOT_FOUND);
	assert_non_null(strstr(w.err.msg, "sea"));
	world_release(&w);
}

/* ---- for --dry-run -------------------------------------------------------------------- */

static void test_dry(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, "tasks:\n"
		       "  a: { run: \"echo {{ ds }} | cat\" }\n"
		       "  b: { run: [echo, \"{{ ds }}\"] }\n"
		       "  c: { run: \"echo {{ tasks.a.outputs.x }}\", needs: a }\n"
		       "  d: { ingest: file, with: { path: \"{{ ds }}.csv\", into: lake.a } }\n");
	w.a.task = dag_find(w.dag, "a");
	char *text = job_command_text(&w.c, &w.a, &w.err);
	assert_string_equal(text, "echo 2026-11-19 | cat");
	free(text);
	w.a.task = dag_find(w.dag, "b");
	text = job_command_text(&w.c, &w.a, &w.err);
	assert_string_equal(text, "echo 2026-11-19");
	free(text);
	w.a.task = dag_find(w.dag, "c");
	assert_null(job_command_text(&w.c, &w.a, &w.err));
	assert_true(w.err.msg[0] != '\0');
	w.a.task = dag_find(w.dag, "d");
	json_t *with = job_with(&w.c, &w.a, &w.err);
	assert_string_equal(json_string_value(json_object_get(with, "path")), "2026-11-19.csv");
	json_decref(with);
	world_release(&w);
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	static const char *const files[] = { "dag.yaml", "weir.yaml", "key", "raw" };

	(void)state;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		unlink(file(files[i]));
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_command_errors),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_payload),
		cmocka_unit_test(test_dry),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
