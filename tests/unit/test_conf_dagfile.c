/* DAG files to the model: what each key becomes, params of a run, hashes of definitions, and large
 * graphs of real projects. What is wrong in a file is shown by tests/golden. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/node.h"
#include "base/units.h"
#include "conf/dagfile.h"
#include "conf/diag.h"
#include "core/condition.h"
#include "core/timetable.h"
#include "core/zone.h"
#include "tests/lib/cases.h"

/* ---- a small set of operators --------------------------------------------------------- */

static const struct field copy_params[] = {
	{ .key = "from", .type = FIELD_STRING, .flags = FIELD_REQUIRED | FIELD_TEMPLATE },
	{ .key = "contract", .type = FIELD_FILE },
	{ .key = "sql", .type = FIELD_SQL_FILE, .flags = FIELD_TEMPLATE },
	{ 0 },
};
static const char *const copy_names[] = { "copy", NULL };

static const struct field *params_of(enum task_kind kind, const char *name)
{
	return kind == TASK_INGEST && strcmp(name, "copy") == 0 ? copy_params : NULL;
}

static const char *const *names_of(enum task_kind kind)
{
	return kind == TASK_INGEST ? copy_names : copy_names + 1;
}

static const struct dagfile_operators operators = { .params = params_of, .names = names_of };

/* ---- files ---------------------------------------------------------------------------- */

static char dir[] = "/tmp/weir-dagfile-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(path_of(name), "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static struct dag *load_file(const char *path, struct diags *diags)
{
	const struct dagfile_env env = { .operators = &operators, .check_files = true };

	diags_init(diags);
	return dagfile_load(path, &env, diags);
}

/* The DAG of a text, which is right. */
static struct dag *load(const char *text)
{
	struct diags diags;
	struct buf out;

	write_file("dag.yaml", text);
	struct dag *dag = load_file(path_of("dag.yaml"), &diags);
	buf_init(&out, BUF_MAX_TEXT);
	diags_print(&diags, &out, false);
	if (!dag)
		fail_msg("%s", out.data);
	assert_int_equal(diags.nerrors, 0);
	buf_release(&out);
	diags_release(&diags);
	return dag;
}

static const struct task *task(const struct dag *dag, const char *name)
{
	const struct task *t = dag_find(dag, name);

	assert_non_null(t);
	return t;
}

/* ---- what the keys become ------------------------------------------------------------- */

static void test_triggers(void **state)
{
	struct dag *dag =
		load("dag: d\n"
		     "params: { full: true }\n"
		     "tasks:\n"
		     "  a: { run: x }\n"
		     "  b: { run: x }\n"
		     "  c: { run: x, when: \"b.failed or a.done and b.done\" }\n"
		     "  d: { run: x, needs: [a, b], trigger: one_failed, fails_run: false }\n"
		     "  e: { run: x, needs: [a, b], when: b.success, if: false }\n"
		     "  f: { run: x, needs: [a, b], teardown: b }\n"
		     "  g: { run: x, needs: a, teardown: true, fails_run: true }\n"
		     "  h: { run: x, needs: a, teardown: false }\n");
	const struct task *c = task(dag, "c"), *d = task(dag, "d"), *e = task(dag, "e"),
			  *f = task(dag, "f"), *g = task(dag, "g"), *h = task(dag, "h");

	(void)state;
	assert_int_equal(c->nneeds, 2);
	assert_int_equal(c->needs[0], 1);
	assert_int_equal(c->needs[1], 0);
	assert_int_equal(c->level, 1);
	assert_int_equal(c->when->nterms, 3);
	assert_int_equal(c->when->terms[1].task, 0);
	assert_int_equal(c->when->terms[2].task, 1);
	assert_int_equal(d->trigger, TRIGGER_ONE_FAILED);
	assert_true(d->forgiven && !d->teardown && !d->when && !d->only_if);
	assert_int_equal(e->nneeds, 2);
	assert_non_null(e->only_if);
	assert_true(f->teardown && f->forgiven && f->trigger == TRIGGER_ALL_DONE);
	assert_int_equal(f->nsetups, 1);
	assert_int_equal(f->setups[0], 1);
	assert_true(g->teardown && !g->forgiven && g->nsetups == 0);
	assert_true(!h->teardown && !h->forgiven && h->trigger == TRIGGER_ALL_SUCCESS);
	dag_unref(dag);
}

static void test_foreach(void **state)
{
	struct dag *dag =
		load("dag: d\n"
		     "tasks:\n"
		     "  a: { run: x, foreach: [eu, us] }\n"
		     "  b: { run: x, needs: a, foreach: '{{ tasks.a.outputs.f }}' }\n"
		     "  c: { run: x, foreach: { dates: { from: 2026-01-01, to: '{{ ds }}' }, "
		     "max_active: 2, max_items: 40 } }\n"
		     "  e: { run: x, foreach: { glob: '*.csv', max_items: 100000 } }\n"
		     "  f: { run: x, foreach: { items: [eu, us], max_active: 9 } }\n"
		     "  g: { run: x, foreach: [eu, uk] }\n"
		     "  h: { run: x }\n");
	const struct foreach *a = task(dag, "a")->foreach, *b = task(dag, "b")->foreach,
			     *c = task(dag, "c")->foreach, *e = task(dag, "e")->foreach;

	(void)state;
	assert_int_equal(a->kind, FOREACH_ITEMS);
	assert_int_equal(a->items->n, 2);
	assert_int_equal(a->max_items, FOREACH_ITEMS_DEFAULT);
	assert_int_equal(a->max_active, 0);
	assert_int_equal(b->kind, FOREACH_ITEMS);
	assert_string_equal(b->items->text, "{{ tasks.a.outputs.f }}");
	assert_int_equal(c->kind, FOREACH_DATES);
	assert_string_equal(c->from->text, "2026-01-01");
	assert_string_equal(c->to->text, "{{ ds }}");
	assert_null(c->until);
	assert_null(c->step);
	assert_int_equal(c->max_items, 40);
	assert_int_equal(c->max_active, 2);
	assert_int_equal(e->kind, FOREACH_GLOB);
	assert_string_equal(e->glob->text, "*.csv");
	assert_int_equal(e->max_items, FOREACH_ITEMS_MAX);
	assert_null(task(dag, "h")->foreach);
	/* Another list is other work; other limits are not. */
	assert_string_equal(task(dag, "a")->hash, task(dag, "f")->hash);
	assert_string_not_equal(task(dag, "a")->hash, task(dag, "g")->hash);
	assert_string_not_equal(task(dag, "a")->hash, task(dag, "h")->hash);
	dag_unref(dag);
}

static void test_top(void **state)
{
	struct dag *dag = load("dag: nightly\n"
			       "description: All of it\n"
			       "owner: data\n"
			       "tags: [a, 12, no]\n"
			       "runbook: r.md\n"
			       "schedule: { cron: \"0 2 * * *\", timezone: Europe/Berlin }\n"
			       "tasks:\n"
			       "  b: { run: x, needs: a }\n"
			       "  a: { run: [x, \"1\"] }\n");

	(void)state;
	assert_string_equal(dag->name, "nightly");
	assert_string_equal(dag->description, "All of it");
	assert_string_equal(dag->owner, "data");
	assert_string_equal(dag->runbook, "r.md");
	assert_string_equal(dag->tags[0], "a");
	assert_string_equal(dag->tags[1], "12");
	assert_string_equal(dag->tags[2], "no");
	assert_null(dag->tags[3]);
	assert_int_equal(dag->schedule->kind, TIMETABLE_CRON);
	assert_string_equal(zone_name(dag->schedule->zone), "Europe/Berlin");
	assert_string_equal(dag->dir, dir);
	assert_string_equal(dag->path, path_of("dag.yaml"));
	assert_non_null(strstr(dag->text, "needs: a"));
	assert_int_equal(strlen(dag->hash), 64);
	assert_int_equal(dag->ntasks, 2);
	assert_string_equal(dag->tasks[0].name, "b");
	assert_int_equal(dag->tasks[0].level, 1);
	assert_int_equal(dag->tasks[0].needs[0], 1);
	assert_int_equal(dag->tasks[0].line, 8);
	assert_int_equal(dag->tasks[0].col, 3);
	assert_int_equal(dag->tasks[1].kind, TASK_RUN);
	assert_int_equal(dag->tasks[1].run->n, 2);
	dag_unref(dag);
	dag = load("dag: d\ntags: one\ntasks: { a: { run: x } }\n");
	assert_string_equal(dag->tags[0], "one");
	assert_null(dag->tags[1]);
	assert_null(dag->schedule);
	assert_null(dag->owner);
	dag_unref(dag);
}

static void test_policies(void **state)
{
	struct dag *dag = load("dag: d\n"
			       "defaults:\n"
			       "  retries: 3\n"
			       "  backoff: { initial: 30s, jitter: none }\n"
			       "  timeout: 1h30m\n"
			       "  env: { A: one, B: two }\n"
			       "  owner: team\n"
			       "  shell: bash\n"
			       "  fail_on: { exit_codes: 2 }\n"
			       "tasks:\n"
			       "  inherits: { run: x }\n"
			       "  own:\n"
			       "    run: x\n"
			       "    retries: 0\n"
			       "    backoff: { max: 5m, factor: 1.5, jitter: equal }\n"
			       "    timeout: 250ms\n"
			       "    grace: 0s\n"
			       "    lost_retries: 7\n"
			       "    env: { B: three, C: \"{{ ds }}\" }\n"
			       "    owner: me\n"
			       "    retry_on: { exit_codes: [75, 111] }\n");
	const struct task *t = task(dag, "inherits");

	(void)state;
	assert_int_equal(t->retry.retries, 3);
	assert_int_equal(t->retry.initial_us, 30 * US_PER_SECOND);
	assert_int_equal(t->retry.max_us, 10 * US_PER_MINUTE);
	assert_true(t->retry.factor == 2);
	assert_int_equal(t->retry.jitter, JITTER_NONE);
	assert_int_equal(t->retry.lost_retries, 3);
	assert_int_equal(t->timeout_us, 90 * US_PER_MINUTE);
	assert_int_equal(t->grace_us, 10 * US_PER_SECOND);
	assert_string_equal(t->owner, "team");
	assert_string_equal(t->shell, "bash");
	assert_string_equal(node_text(node_get(t->env, "A")), "one");
	assert_string_equal(node_text(node_get(t->env, "B")), "two");
	assert_true(exit_set_has(&t->retry.fail_on, 2));
	assert_false(t->retry.retry_on.given);
	t = task(dag, "own");
	assert_int_equal(t->retry.retries, 0);
	/* Key by key: what it does not say comes from the defaults. */
	assert_int_equal(t->retry.initial_us, 30 * US_PER_SECOND);
	assert_int_equal(t->retry.max_us, 5 * US_PER_MINUTE);
	assert_true(t->retry.factor == 1.5);
	assert_int_equal(t->retry.jitter, JITTER_EQUAL);
	assert_int_equal(t->retry.lost_retries, 7);
	assert_int_equal(t->timeout_us, 250000);
	assert_int_equal(t->grace_us, 0);
	assert_string_equal(t->owner, "me");
	assert_int_equal(t->env->n, 3);
	assert_string_equal(node_text(node_get(t->env, "A")), "one");
	assert_string_equal(node_text(node_get(t->env, "B")), "three");
	assert_true(t->retry.retry_on.given);
	assert_true(exit_set_has(&t->retry.retry_on, 75));
	assert_true(exit_set_has(&t->retry.retry_on, 111));
	assert_false(exit_set_has(&t->retry.retry_on, 0));
	dag_unref(dag);
	dag = load("dag: d\ntasks: { a: { run: x } }\n");
	assert_int_equal(dag->tasks[0].retry.jitter, JITTER_FULL);
	assert_int_equal(dag->tasks[0].retry.initial_us, 10 * US_PER_SECOND);
	assert_int_equal(dag->tasks[0].timeout_us, 0);
	assert_null(dag->tasks[0].env);
	dag_unref(dag);
}

/* ---- errors that golden files do not show --------------------------------------------- */

static void test_many_errors(void **state)
{
	struct diags diags;
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 20);
	buf_addstr(&text, "dag: d\ntasks:\n");
	for (int i = 0; i < 5000; i++)
		buf_addf(&text, "  t%d: { run: x, needs: [t%d, u%d], retries: many }\n", i, i + 1,
			i);
	write_file("many.yaml", text.data);
	assert_null(load_file(path_of("many.yaml"), &diags));
	assert_int_equal(diags.nerrors, 2 * 5000 + 1);
	assert_true(diags.n <= DIAG_MAX);
	diags_release(&diags);
	buf_release(&text);
	assert_null(load_file(path_of("absent.yaml"), &diags));
	assert_int_equal(diags.nerrors, 1);
	diags_release(&diags);
	assert_null(load_file(dir, &diags));
	assert_int_equal(diags.nerrors, 1);
	diags_release(&diags);
	write_file("empty.yaml", "");
	assert_null(load_file(path_of("empty.yaml"), &diags));
	assert_int_equal(diags.nerrors, 1);
	assert_non_null(strstr(diags.list[0].message, "the file is empty"));
	diags_release(&diags);
}

/* One mistake is one error: a wrong policy does not make good parameters be missed. */
static void test_no_false_errors(void **state)
{
	struct diags diags;

	(void)state;
	write_file("one.yaml", "dag: d\n"
			       "tasks:\n"
			       "  a: { ingest: copy, with: { from: x }, retries: many }\n"
			       "  b: { run: x, needs: a }\n");
	assert_null(load_file(path_of("one.yaml"), &diags));
	assert_int_equal(diags.nerrors, 1);
	diags_release(&diags);
}

static void test_limits(void **state)
{
	struct dag *dag =
		load("dag: d\n"
		     "defaults: { limits: { memory: 1GiB, files: 64 } }\n"
		     "tasks:\n"
		     "  a: { run: x, limits: { memory: 1.5GiB, cpu: 12.5%, pids: 100 } }\n"
		     "  b: { run: x, limits: { cpu: 250% } }\n"
		     "  c: { run: x }\n");
	const struct task *a = task(dag, "a"), *b = task(dag, "b"), *c = task(dag, "c");

	(void)state;
	assert_int_equal(a->limits.memory_bytes, 3LL << 29);
	assert_int_equal(a->limits.cpu_permille, 125);
	assert_int_equal(a->limits.pids, 100);
	assert_int_equal(a->limits.files, 64);
	assert_int_equal(b->limits.memory_bytes, 1 << 30);
	assert_int_equal(b->limits.cpu_permille, 2500);
	assert_int_equal(c->limits.memory_bytes, 1 << 30);
	assert_int_equal(c->limits.cpu_permille, 0);
	assert_int_equal(c->limits.pids, 0);
	dag_unref(dag);
}

/* ---- hashes --------------------------------------------------------------------------- */

static void hash_of(const char *definition, char ret[DIGEST_HEX])
{
	char text[512];

	snprintf(text, sizeof text, "dag: d\ntasks:\n  a: %s\n", definition);
	struct dag *dag = load(text);
	memcpy(ret, dag->tasks[0].hash, DIGEST_HEX);
	dag_unref(dag);
}

static const struct {
	const char *a, *b;
	bool same;
} hashes[] = {
	{ "{ run: x }", "{ run:   x }", true },
	{ "{ run: x }", "{ run: x, retries: 3, timeout: 5m, description: d, owner: o }", true },
	{ "{ run: x }", "{ run: y }", false },
	{ "{ run: x }", "{ run: [x] }", false },
	{ "{ run: [x, yz] }", "{ run: [xy, z] }", false },
	{ "{ run: x }", "{ run: x, shell: bash }", false },
	{ "{ run: x }", "{ run: x, cwd: out }", false },
	{ "{ run: x }", "{ run: x, env: { A: b } }", false },
	{ "{ run: x, env: { A: b } }", "{ run: x, env: { A: c } }", false },
	{ "{ run: x }", "{ run: x, limits: { memory: 1GiB } }", false },
	{ "{ run: x, limits: { cpu: 50% } }", "{ run: x, limits: { cpu: 51% } }", false },
	{ "{ run: x, limits: { cpu: 50% } }", "{ run: x, limits: { cpu: 0.5 } }", true },
	{ "{ run: x, limits: { pids: 9 } }", "{ run: x, limits: { files: 9 } }", false },
	{ "{ run: x }", "{ run: x, limits: {} }", true },
	{ "{ ingest: copy, with: { from: a } }", "{ ingest: copy, with: { from: b } }", false },
	{ "{ ingest: copy, with: { from: a } }", "{ ingest: copy, with: { from: \"a\" } }", true },
};

static void test_hashes(void **state)
{
	char a[DIGEST_HEX], b[DIGEST_HEX];

	(void)state;
	for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++) {
		hash_of(hashes[i].a, a);
		hash_of(hashes[i].b, b);
		assert_int_equal(strlen(a), 64);
		if ((strcmp(a, b) == 0) != hashes[i].same)
			fail_msg("%s and %s", hashes[i].a, hashes[i].b);
	}
}

/* Files that a definition names are part of it. */
static void test_file_hashes(void **state)
{
	static const char *const definitions[] = {
		"{ ingest: copy, with: { from: a, contract: c.yaml } }",
		"{ ingest: copy, with: { from: a, sql: q.sql } }",
	};
	static const char *const files[] = { "c.yaml", "q.sql" };
	char before[DIGEST_HEX], after[DIGEST_HEX];

	(void)state;
	for (int i = 0; i < 2; i++) {
		write_file("c.yaml", "one");
		write_file("q.sql", "SELECT 1");
		hash_of(definitions[i], before);
		hash_of(definitions[i], after);
		assert_string_equal(before, after);
		write_file(files[i], "SELECT 2");
		hash_of(definitions[i], after);
		if (strcmp(before, after) == 0)
			fail_msg("%s changed, and nobody saw", files[i]);
	}
}

/* ---- params --------------------------------------------------------------------------- */

static const char params_dag[] = "dag: d\n"
				 "params:\n"
				 "  region: { type: string, enum: [eu, us], default: eu }\n"
				 "  n: { type: integer, min: 1, max: 10 }\n"
				 "  f: { type: number, default: 0.5 }\n"
				 "  b: { type: boolean, default: true }\n"
				 "  day: { type: date, default: 2026-11-19 }\n"
				 "  short: no\n"
				 "tasks: { a: { run: x } }\n";

static const struct {
	const char *given[4];
	const char *want; /* JSON, or NULL: an error */
	const char *message;
} values[] = {
	{ { "n=3" },
		"{\"b\":true,\"day\":\"2026-11-19\",\"f\":0.5,\"n\":3,\"region\":\"eu\","
		"\"short\":\"no\"}",
		NULL },
	{ { "n=1", "region=us", "n=2" },
		"{\"b\":true,\"day\":\"2026-11-19\",\"f\":0.5,\"n\":2,\"region\":\"us\","
		"\"short\":\"no\"}",
		NULL },
	{ { "n=1", "short=a=b", "b=false" },
		"{\"b\":false,\"day\":\"2026-11-19\",\"f\":0.5,\"n\":1,\"region\":\"eu\","
		"\"short\":\"a=b\"}",
		NULL },
	{ { NULL }, NULL, "param n has no default" },
	{ { "n" }, NULL, "expected NAME=VALUE" },
	{ { "n=ten" }, NULL, "param n: expected an integer, found \"ten\"" },
	{ { "n=11" }, NULL, "param n: must be from 1 to 10" },
	{ { "n=1", "region=uk" }, NULL, "\"uk\" is not allowed; it can be eu, us" },
	{ { "n=1", "regoin=us" }, NULL, "did you mean \"region\"" },
	{ { "n=1", "=us" }, NULL, "no param \"\"" },
	{ { "n=1", "day=2026-02-30" }, NULL, "param day" },
	{ { "n=1", "b=yes" }, NULL, "param b" },
};

static void test_params(void **state)
{
	struct dag *dag = load(params_dag);

	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		struct err err = { 0 };
		json_t *v = dagfile_params(dag, values[i].given, &err);
		char *text = v ? json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
		if (values[i].want) {
			assert_non_null(text);
			assert_string_equal(text, values[i].want);
		} else {
			assert_null(v);
			assert_int_equal(err.code, ERR_USAGE);
			if (!strstr(err.msg, values[i].message))
				fail_msg("case %zu: %s", i, err.msg);
		}
		free(text);
		json_decref(v);
	}
	dag_unref(dag);
}

static void test_json_schema(void **state)
{
	json_t *schema = dagfile_json_schema(&operators);
	json_t *defs = json_object_get(schema, "$defs");
	json_t *one = json_object_get(defs, "task");
	json_t *kinds = json_object_get(one, "oneOf");

	(void)state;
	assert_int_equal(json_array_size(kinds), TASK_KIND_MAX);
	json_t *ingest = json_object_get(json_object_get(one, "properties"), "ingest");
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(ingest, "enum"), 0)), "copy");
	assert_int_equal(json_array_size(json_object_get(one, "allOf")), 1);
	json_t *group = json_object_get(json_object_get(defs, "group"), "properties");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(group, "group"), "$ref")),
		"#/$defs/tasks");
	assert_non_null(json_object_get(defs, "tasks"));
	json_decref(schema);
}

/* ---- groups and includes -------------------------------------------------------------- */

/* "b c" for the needs of a task, in their order. */
static const char *needs_of(const struct dag *dag, const char *name)
{
	static char text[400];
	const struct task *t = task(dag, name);

	text[0] = '\0';
	for (int i = 0; i < t->nneeds; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "",
			dag->tasks[t->needs[i]].name);
	return text;
}

static void test_groups(void **state)
{
	struct dag *dag =
		load("dag: d\n"
		     "defaults: { retries: 1, timeout: 1h, env: { A: a, B: b },\n"
		     "  backoff: { initial: 1s, max: 9s } }\n"
		     "tasks:\n"
		     "  orders: { run: x }\n"
		     "  load:\n"
		     "    description: all\n"
		     "    needs: orders\n"
		     "    defaults: { retries: 2, env: { B: bb }, backoff: { max: 5s } }\n"
		     "    group:\n"
		     "      orders: { run: x }\n"
		     "      lines: { run: x, needs: orders, retries: 7 }\n"
		     "      prices: { run: x, needs: extra }\n"
		     "      eu:\n"
		     "        needs: orders\n"
		     "        group: { a: { run: x }, b: { run: x, needs: a } }\n"
		     "  extra: { run: x }\n"
		     "  report: { run: x, needs: [load, extra] }\n"
		     "  eu: { run: x, needs: load.eu }\n");
	const struct task *lines = task(dag, "load.lines");

	(void)state;
	assert_int_equal(dag->ntasks, 9);
	assert_int_equal(dag->ngroups, 2);
	assert_string_equal(dag->groups[0].name, "load");
	assert_string_equal(dag->groups[0].description, "all");
	assert_int_equal(dag->groups[0].first, 1);
	assert_int_equal(dag->groups[0].ntasks, 5);
	assert_string_equal(dag->groups[1].name, "load.eu");
	assert_int_equal(dag->groups[1].parent, 0);
	assert_int_equal(dag->groups[1].depth, 2);
	assert_ptr_equal(dag_find_group(dag, "load.eu"), &dag->groups[1]);
	assert_null(dag_find_group(dag, "eu"));
	assert_ptr_equal(lines->group, &dag->groups[0]);
	assert_null(task(dag, "eu")->group);
	/* The neighbour goes before the one outside; first tasks have the group's needs. */
	assert_string_equal(needs_of(dag, "load.orders"), "orders");
	assert_string_equal(needs_of(dag, "load.lines"), "load.orders");
	assert_string_equal(needs_of(dag, "load.prices"), "extra orders");
	assert_string_equal(needs_of(dag, "load.eu.a"), "load.orders");
	assert_string_equal(needs_of(dag, "load.eu.b"), "load.eu.a");
	assert_string_equal(needs_of(dag, "report"), "load.lines load.prices load.eu.b extra");
	assert_string_equal(needs_of(dag, "eu"), "load.eu.b");
	/* The nearest defaults hold, key by key. */
	assert_int_equal(lines->retry.retries, 7);
	assert_int_equal(task(dag, "load.eu.a")->retry.retries, 2);
	assert_int_equal(task(dag, "extra")->retry.retries, 1);
	assert_int_equal(lines->timeout_us, US_PER_HOUR);
	assert_int_equal(lines->retry.initial_us, US_PER_SECOND);
	assert_int_equal(lines->retry.max_us, 5 * US_PER_SECOND);
	assert_string_equal(node_text(node_get(lines->env, "A")), "a");
	assert_string_equal(node_text(node_get(lines->env, "B")), "bb");
	dag_unref(dag);
}

static void test_include(void **state)
{
	static const char text[] =
		"dag: d\ninclude: [part.yaml, more.yaml]\nparams: { p: own }\n"
		"defaults: { retries: 3 }\n"
		"tasks: { a: { run: x, needs: g.b }, g: { include: part.yaml } }\n";
	const struct dagfile_env env = { .operators = &operators };
	struct diags diags;
	char version[DIGEST_HEX];

	(void)state;
	write_file("more.yaml", "fragment: more\ndefaults: { retries: 1, grace: 2s }\n");
	write_file("part.yaml",
		"fragment: part\nparams: { p: part, q: part }\n"
		"defaults: { timeout: 5s, retries: 2, grace: 1s }\ntasks: { b: { run: y } }\n");
	struct dag *dag = load(text);
	assert_int_equal(dag->ntasks, 3);
	assert_string_equal(dag->tasks[0].name, "b");
	assert_string_equal(needs_of(dag, "a"), "g.b");
	/* Its own go over what it includes, later includes over earlier ones. */
	assert_int_equal(task(dag, "b")->retry.retries, 3);
	assert_int_equal(task(dag, "b")->grace_us, 2 * US_PER_SECOND);
	assert_int_equal(task(dag, "a")->timeout_us, 5 * US_PER_SECOND);
	assert_int_equal(task(dag, "g.b")->retry.retries, 2);
	assert_int_equal(dag->nparams, 2);
	for (int i = 0; i < dag->nparams; i++)
		assert_string_equal(
			dag->params[i].def, strcmp(dag->params[i].name, "p") ? "part" : "own");
	assert_string_equal(io_path_base(dag->files[0]), "part.yaml");
	assert_string_equal(io_path_base(dag->files[1]), "more.yaml");
	snprintf(version, sizeof version, "%s", dag->hash);

	/* Its text alone gives it again, whatever became of the files. */
	write_file("part.yaml", "fragment: part\ntasks: { b: { run: z } }\n");
	unlink(path_of("more.yaml"));
	diags_init(&diags);
	struct dag *again = dagfile_load_text(dag->path, dag->dir, dag->text, &env, &diags);
	assert_non_null(again);
	assert_string_equal(again->hash, version);
	assert_string_equal(again->text, dag->text);
	assert_int_equal(task(again, "b")->grace_us, 2 * US_PER_SECOND);
	dag_unref(again);
	dag_unref(dag);
	write_file("more.yaml", "fragment: more\ndefaults: { retries: 1, grace: 2s }\n");
	dag = load(text);
	assert_string_not_equal(dag->hash, version);
	dag_unref(dag);
	diags_release(&diags);
}

/* Damaged texts of a version are an error, never more. */
static void test_damaged_bundle(void **state)
{
	static const char *const texts[] = { "#weir:dag 9999\ndag: d\n", "#weir:dag x\n",
		"#weir:dag ", "#weir:dag 6\ndag: d\n#weir:include 99 x.yaml\na",
		"#weir:dag 18446744073709551615\ndag: d\n" };
	const struct dagfile_env env = { .operators = &operators };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct diags diags;
		diags_init(&diags);
		assert_null(dagfile_load_text("x.yaml", dir, texts[i], &env, &diags));
		assert_true(diags.nerrors > 0);
		diags_release(&diags);
	}
}

/* ---- real graphs ---------------------------------------------------------------------- */

static json_t *read_case(const char *name)
{
	char path[512], chunk[65536];
	struct buf text;
	int n;

	snprintf(path, sizeof path, "dags/%s", name);
	gzFile f = gzopen(cases_path(path), "rbe");
	if (!f)
		return NULL;
	buf_init(&text, 64 << 20);
	while ((n = gzread(f, chunk, sizeof chunk)) > 0)
		buf_add(&text, chunk, (size_t)n);
	gzclose(f);
	json_t *json = json_loadb(text.data, text.len, 0, NULL);
	buf_release(&text);
	assert_non_null(json);
	return json;
}

/* Tasks are named by their place, for ids hold anything. */
static void write_case(json_t *tasks, const char *name)
{
	json_t *index = json_object(), *t, *dep;
	struct buf text;
	size_t i, j;

	buf_init(&text, 64 << 20);
	buf_addstr(&text, "dag: big\ntasks:\n");
	json_array_foreach(tasks, i, t) json_object_set_new(
		index, json_string_value(json_object_get(t, "id")), json_integer((json_int_t)i));
	json_array_foreach(tasks, i, t)
	{
		buf_addf(&text, "  t%zu:\n    run: \"true\"\n    needs: [", i);
		json_array_foreach(json_object_get(t, "deps"), j, dep)
			buf_addf(&text, "%st%lld", j ? ", " : "",
				(long long)json_integer_value(
					json_object_get(index, json_string_value(dep))));
		buf_addstr(&text, "]\n");
	}
	assert_int_equal(buf_ok(&text, name, NULL), 0);
	write_file(name, text.data);
	buf_release(&text);
	json_decref(index);
}

static const char *const graphs[] = { "1000genome-chameleon-22ch-250k-001.json.gz",
	"blast-chameleon-medium-001.json", "dbt_cal_itp.json.gz",
	"epigenomics-chameleon-hep-1seq-100k-001.json", "git_history_great_expectations.json.gz",
	"helloworld-chain-5-chameleon.json", "helloworld-forkjoin-10-chameleon.json",
	"montage-chameleon-2mass-005d-001.json", "montage-chameleon-dss-15d-001.json.gz",
	"seismology-chameleon-1100p-001.json.gz" };

static void check_graph(const char *name, json_t *json)
{
	json_t *tasks = json_object_get(json, "tasks"), *facts = json_object_get(json, "facts");
	struct timespec from, to;
	struct diags diags;
	long long nedges = 0;
	int levels = 0;

	write_case(tasks, "big.yaml");
	clock_gettime(CLOCK_MONOTONIC, &from);
	struct dag *dag = load_file(path_of("big.yaml"), &diags);
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_non_null(dag);
	int *widths = calloc((size_t)dag->ntasks, sizeof *widths), width = 0;
	for (int i = 0; i < dag->ntasks; i++) {
		const struct task *t = &dag->tasks[i];
		nedges += t->nneeds;
		levels = t->level + 1 > levels ? t->level + 1 : levels;
		widths[t->level]++;
	}
	for (int i = 0; i < levels; i++)
		width = widths[i] > width ? widths[i] : width;
	printf("# %s: %d tasks, %lld edges, %d levels, at most %d wide, %.0f ms\n", name,
		dag->ntasks, nedges, levels, width,
		(double)(to.tv_sec - from.tv_sec) * 1e3 +
			(double)(to.tv_nsec - from.tv_nsec) / 1e6);
	assert_int_equal(dag->ntasks, json_array_size(tasks));
	json_t *fact = json_object_get(facts, "tasks");
	if (fact)
		assert_int_equal(dag->ntasks, json_integer_value(fact));
	if ((fact = json_object_get(facts, "edges")))
		assert_int_equal(nedges, json_integer_value(fact));
	if ((fact = json_object_get(facts, "depth")))
		assert_int_equal(levels, json_integer_value(fact));
	if ((fact = json_object_get(facts, "max_level_width")))
		assert_int_equal(width, json_integer_value(fact));
	free(widths);
	dag_unref(dag);
	diags_release(&diags);
}

static void test_graphs(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof graphs / sizeof *graphs; i++) {
		json_t *json = read_case(graphs[i]);
		if (!json) {
			printf("# skipped: there are no shared cases (WEIR_CASES)\n");
			return;
		}
		check_graph(graphs[i], json);
		json_decref(json);
	}
}

/* ---- the whole ------------------------------------------------------------------------ */

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	static const char *const files[] = { "dag.yaml", "many.yaml", "empty.yaml", "one.yaml",
		"c.yaml", "q.sql", "big.yaml", "part.yaml", "more.yaml" };

	(void)state;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		unlink(path_of(files[i]));
	return rmdir(dir);
}

/* A run that began with such a version goes on with it. */
static void test_was_good(void **state)
{
	static const char text[] =
		"dag: x\nparams: { n: { type: integer, max: 5, default: 1 } }\ntasks:\n"
		"  a: { run: 'true', if: '{{ params.n > 7 }}' }\n"
		"  b: { run: 'true', if: '{{ params.n }}' }\n";
	struct dagfile_env env = { .operators = &operators };
	struct diags diags;

	(void)state;
	diags_init(&diags);
	assert_null(dagfile_load_text("x.yaml", dir, text, &env, &diags));
	assert_int_equal(diags.nerrors, 2);
	diags_release(&diags);
	diags_init(&diags);
	env.was_good = true;
	struct dag *dag = dagfile_load_text("x.yaml", dir, text, &env, &diags);
	assert_non_null(dag);
	diags_release(&diags);
	dag_unref(dag);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_foreach),
		cmocka_unit_test(test_top),
		cmocka_unit_test(test_triggers),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_many_errors),
		cmocka_unit_test(test_no_false_errors),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_hashes),
		cmocka_unit_test(test_file_hashes),
		cmocka_unit_test(test_params),
		cmocka_unit_test(test_json_schema),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_include),
		cmocka_unit_test(test_damaged_bundle),
		cmocka_unit_test(test_graphs),
		cmocka_unit_test(test_was_good),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
