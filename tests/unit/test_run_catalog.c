/* The catalog of a folder of DAGs: what comes, changes, breaks, moves and goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "conf/config.h"
#include "conf/dagfile.h"
#include "core/model.h"
#include "core/zone.h"
#include "run/catalog.h"

#define TASKS "tasks: { a: { run: 'true' }, b: { needs: [a], run: 'true' } }\n"

static const struct field copy_params[] = { { .key = "sql", .type = FIELD_SQL_FILE }, { 0 } };
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
static const struct config_conn_type no_types[] = { { 0 } };

/* ---- a folder ------------------------------------------------------------------------- */

struct folder {
	char path[64];
	struct catalog *c;
	struct err err;
};

static const char *below(const struct folder *f, const char *name)
{
	static char path[2][256];
	static int at;

	at = !at;
	snprintf(path[at], sizeof path[at], "%s/%s", f->path, name);
	return path[at];
}

/* Each writing counts as a change, however fast they follow each other. */
static void put(const struct folder *f, const char *name, const char *text)
{
	static long seconds;
	const struct timespec times[2] = { { .tv_sec = ++seconds }, { .tv_sec = seconds } };
	FILE *out = fopen(below(f, name), "w");

	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(utimensat(AT_FDCWD, below(f, name), times, 0), 0);
}

static void put_dag(const struct folder *f, const char *file, const char *dag)
{
	char text[256];

	snprintf(text, sizeof text, "dag: %s\n" TASKS, dag);
	put(f, file, text);
}

static int setup(void **state)
{
	const struct catalog_env env = { .operators = &operators, .conn_types = no_types };
	struct folder *f = calloc(1, sizeof *f);

	strcpy(f->path, "/tmp/weir-catalog.XXXXXX");
	assert_non_null(mkdtemp(f->path));
	setenv("XDG_CONFIG_HOME", f->path, 1);
	assert_int_equal(catalog_new(&f->c, f->path, &env, &f->err), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct folder *f = *state;
	char command[128];

	catalog_free(f->c);
	snprintf(command, sizeof command, "rm -rf '%s'", f->path);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct seen {
	char *names[64];
	size_t n;
};

static void see(void *arg, struct catalog_dag *d)
{
	struct seen *s = arg;
	char text[256];

	const char *file = strrchr(d->path, '/') + 1;
	snprintf(text, sizeof text, "%s%s%s ", d->error ? "!" : "", file, d->name ? "" : "?");
	s->names[s->n++] = strdup(text);
}

/* Scan, and compare what changed and what was removed, each in order of the alphabet: "a.yaml " a
 * file that was loaded, "!a.yaml " one that is broken, "?" without a last good version, "-a " a DAG
 * that is gone. */
static void scan_is(struct folder *f, const char *wanted)
{
	struct seen seen = { 0 };
	char *name, text[256];
	struct buf all;

	assert_true(catalog_scan(f->c, &f->err) >= 0);
	while ((name = catalog_next_removed(f->c))) {
		snprintf(text, sizeof text, "-%s ", name);
		if (!catalog_find(f->c, name))
			seen.names[seen.n++] = strdup(text);
		free(name);
	}
	catalog_each_changed(f->c, see, &seen);
	qsort(seen.names, seen.n, sizeof *seen.names, by_text);
	buf_init(&all, 4096);
	buf_addstr(&all, "");
	for (size_t i = 0; i < seen.n; i++) {
		buf_addstr(&all, seen.names[i]);
		free(seen.names[i]);
	}
	assert_string_equal(all.data, wanted);
	buf_release(&all);
}

static const struct catalog_dag *get(const struct folder *f, const char *name)
{
	const struct catalog_dag *d = catalog_find(f->c, name);

	assert_non_null(d);
	return d;
}

/* ---- tests ---------------------------------------------------------------------------- */

static void test_come_and_go(void **state)
{
	struct folder *f = *state;

	scan_is(f, "");
	put_dag(f, "a.yaml", "a");
	put_dag(f, "b.yml", "b");
	put(f, "other.yaml", "some: thing\n");
	put_dag(f, "_draft.yaml", "draft");
	put_dag(f, ".hidden.yaml", "hidden");
	put_dag(f, "c.txt", "c");
	mkdir(below(f, "sub"), 0700);
	put_dag(f, "sub/d.yaml", "d");
	scan_is(f, "a.yaml b.yml d.yaml ");
	assert_int_equal(catalog_count(f->c), 3);
	scan_is(f, "");
	put_dag(f, "a.yaml", "a");
	scan_is(f, "a.yaml ");
	unlink(below(f, "b.yml"));
	scan_is(f, "-b ");
	assert_null(catalog_find(f->c, "b"));
	unlink(below(f, "sub/d.yaml"));
	rmdir(below(f, "sub"));
	scan_is(f, "-d ");
	assert_int_equal(catalog_count(f->c), 1);
}

static void test_what_is_kept(void **state)
{
	struct folder *f = *state;
	put(f, "n.yaml",
		"dag: n\nschedule: { cron: ['30 2 * * *', '0 7 * * mon'], timezone: Europe/Berlin, "
		"calendar: { exclude: [2026-12-24, saturday] }, max_active_runs: 3, overlap: skip "
		"}\n"
		"params: { x: { default: 7 } }\n" TASKS);
	scan_is(f, "n.yaml ");
	const struct catalog_dag *d = get(f, "n");
	assert_string_equal(zone_name(d->spec.zone), "Europe/Berlin");
	assert_int_equal(d->spec.n_crons, 2);
	assert_int_equal(d->spec.calendar.exclude.n_days, 1);
	assert_int_equal(d->max_active_runs, 3);
	assert_string_equal(d->tasks[0], "a");
	assert_string_equal(d->tasks[1], "b");
	assert_null(d->tasks[2]);
	assert_string_equal(d->params, "{\"x\":\"7\"}");
	assert_null(d->params_error);
	/* The schedule lives as long as the entry, whatever becomes of the loaded model. */
	const struct config *config;
	struct dag *dag = catalog_load(f->c, d, &config, &f->err);
	assert_non_null(dag);
	assert_string_equal(dag->hash, d->version);
	dag_unref(dag);
	struct tick t;
	assert_true(timetable_last_complete(&d->spec, INT64_C(1774999999000000), &t));
	put(f, "n.yaml", "dag: n\nparams: { x: { type: string } }\n" TASKS);
	scan_is(f, "n.yaml ");
	assert_null(get(f, "n")->params);
	assert_non_null(strstr(get(f, "n")->params_error, "x"));
}

static void test_broken(void **state)
{
	struct folder *f = *state;
	char version[DIGEST_HEX];
	const struct config *config;

	put_dag(f, "a.yaml", "a");
	put(f, "never.yaml", "dag: never\ntasks: { a: { rum: 'true' } }\n");
	scan_is(f, "!never.yaml? a.yaml ");
	memcpy(version, get(f, "a")->version, sizeof version);
	const char *const bad[] = { "dag: a\ntasks: { a: { rum: 'x' } }\n", "dag: a\ntasks: [\n",
		"", "some: thing\n", "dag: a\n", "dag: [a]\n", "\xff\xfe" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		put(f, "a.yaml", bad[i]);
		scan_is(f, "!a.yaml ");
		assert_non_null(get(f, "a")->error);
		assert_memory_equal(get(f, "a")->version, version, sizeof version);
		struct dag *dag = catalog_load(f->c, get(f, "a"), &config, &f->err);
		assert_non_null(dag);
		dag_unref(dag);
		scan_is(f, "");
	}
	put_dag(f, "a.yaml", "a");
	put_dag(f, "never.yaml", "never");
	scan_is(f, "a.yaml never.yaml ");
	assert_null(get(f, "a")->error);
	put(f, "never.yaml", "dag: never\n");
	scan_is(f, "!never.yaml ");
	unlink(below(f, "never.yaml"));
	scan_is(f, "-never ");
}

static void test_names(void **state)
{
	struct folder *f = *state;

	put_dag(f, "a.yaml", "x");
	scan_is(f, "a.yaml ");
	/* A second file of the same name waits until it is free. */
	put_dag(f, "b.yaml", "x");
	scan_is(f, "!b.yaml? ");
	scan_is(f, "");
	put_dag(f, "a.yaml", "y");
	scan_is(f, "a.yaml b.yaml ");
	assert_non_null(strstr(get(f, "x")->path, "/b.yaml"));
	assert_non_null(strstr(get(f, "y")->path, "/a.yaml"));
	/* A file that moves takes its DAG along, whichever is seen first. */
	assert_int_equal(rename(below(f, "a.yaml"), below(f, "z.yaml")), 0);
	scan_is(f, "z.yaml ");
	assert_int_equal(rename(below(f, "z.yaml"), below(f, "0.yaml")), 0);
	scan_is(f, "0.yaml ");
	assert_non_null(get(f, "y"));
	/* A chain of three. */
	put_dag(f, "c.yaml", "y");
	put_dag(f, "d.yaml", "y");
	scan_is(f, "!c.yaml? !d.yaml? ");
	unlink(below(f, "0.yaml"));
	assert_true(catalog_scan(f->c, &f->err) > 0);
	assert_null(get(f, "y")->error);
	put_dag(f, "b.yaml", "w");
	assert_true(catalog_scan(f->c, &f->err) > 0);
	assert_null(catalog_find(f->c, "x"));
	assert_non_null(get(f, "w"));
}

/* What a DAG depends on: files its tasks name, and weir.yaml. */
static void test_files(void **state)
{
	struct folder *f = *state;

	mkdir(below(f, "sub"), 0700);
	put(f, "sub/q.sql", "SELECT 1");
	put(f, "sub/s.yaml", "dag: s\ntasks: { a: { ingest: copy, with: { sql: q.sql } } }\n");
	put(f, "c.yaml",
		"dag: c\nschedule: { cron: '@daily', calendar: { exclude: feast } }\n" TASKS);
	scan_is(f, "!c.yaml? s.yaml ");
	put(f, "sub/q.sql", "SELECT 2");
	scan_is(f, "s.yaml ");
	put(f, "weir.yaml", "calendars: { feast: [2026-12-24] }\n");
	scan_is(f, "c.yaml s.yaml ");
	assert_int_equal(get(f, "c")->spec.calendar.exclude.n_days, 1);
	put(f, "weir.yaml", "calendars: { feast: [2026-12-24, 2026-12-25] }\n");
	scan_is(f, "c.yaml s.yaml ");
	assert_int_equal(get(f, "c")->spec.calendar.exclude.n_days, 2);
	put(f, "weir.yaml", "calendars: {\n");
	scan_is(f, "!c.yaml !s.yaml ");
	assert_int_equal(get(f, "c")->spec.calendar.exclude.n_days, 2);
	unlink(below(f, "weir.yaml"));
	scan_is(f, "!c.yaml s.yaml ");
	unlink(below(f, "sub/q.sql"));
	scan_is(f, "!s.yaml ");
	put(f, "sub/q.sql", "SELECT 3");
	scan_is(f, "s.yaml ");
	/* One that comes after the DAG that names it. */
	put(f, "late.yaml", "dag: late\ntasks: { a: { ingest: copy, with: { sql: late.sql } } }\n");
	scan_is(f, "!late.yaml? ");
	scan_is(f, "");
	put(f, "late.sql", "SELECT 4");
	scan_is(f, "late.yaml ");
	/* Days of a calendar. */
	put(f, "days.txt", "2026-12-24\n");
	put(f, "d.yaml",
		"dag: d\nschedule: { cron: '@daily', calendar: { exclude: days.txt } }\n" TASKS);
	scan_is(f, "d.yaml ");
	put(f, "days.txt", "2026-12-24\n2026-12-25\n");
	scan_is(f, "d.yaml ");
	assert_int_equal(get(f, "d")->spec.calendar.exclude.n_days, 2);
}

static bool watched;

static void look_for(void *arg, const char *folder)
{
	watched = watched || strcmp(folder, arg) == 0;
}

/* What DAGs include: a change of it is one of theirs, and its folder is watched. */
static void test_includes(void **state)
{
	struct folder *f = *state;
	const struct config *config;
	struct err err = { 0 };
	char aside[300];

	mkdir(below(f, "_aside"), 0700);
	put(f, "_aside/rest.yaml", "fragment: rest\ndefaults: { retries: 1 }\n");
	put(f, "part.yaml",
		"fragment: part\ninclude: _aside/rest.yaml\ntasks: { a: { run: x } }\n");
	put(f, "i.yaml", "dag: i\ninclude: part.yaml\n");
	scan_is(f, "i.yaml ");
	snprintf(aside, sizeof aside, "%s", below(f, "_aside"));
	watched = false;
	catalog_each_folder(f->c, look_for, aside);
	assert_true(watched);
	put(f, "part.yaml",
		"fragment: part\ninclude: _aside/rest.yaml\ntasks: { a: { run: yy } }\n");
	scan_is(f, "i.yaml ");
	scan_is(f, "");
	put(f, "_aside/rest.yaml", "fragment: rest\ndefaults: { retries: 22 }\n");
	scan_is(f, "i.yaml ");
	/* One that is broken now: the last good version holds all it included. */
	put(f, "_aside/rest.yaml", "fragment: rest\ndefaults: { retries: no }\n");
	scan_is(f, "!i.yaml ");
	struct dag *dag = catalog_load(f->c, get(f, "i"), &config, &err);
	assert_non_null(dag);
	assert_int_equal(dag->tasks[0].retry.retries, 22);
	dag_unref(dag);
	unlink(below(f, "_aside/rest.yaml"));
	scan_is(f, "!i.yaml ");
	put(f, "_aside/rest.yaml", "fragment: rest\ndefaults: { retries: 3 }\n");
	scan_is(f, "i.yaml ");
}

/* A pool that became smaller: the file is wrong now, its last good version goes on. */
static void test_pools(void **state)
{
	struct folder *f = *state;
	const struct config *config;
	struct err err = { 0 };

	put(f, "weir.yaml", "pools: { pg: 2 }\n");
	put(f, "p.yaml", "dag: p\ntasks: { a: { run: x, pool: pg, slots: 2 } }\n");
	scan_is(f, "p.yaml ");
	put(f, "weir.yaml", "pools: { pg: 1 }\n");
	scan_is(f, "!p.yaml ");
	struct dag *dag = catalog_load(f->c, get(f, "p"), &config, &err);
	assert_non_null(dag);
	assert_int_equal(dag->tasks[0].slots, 2);
	dag_unref(dag);
	put(f, "weir.yaml", "pools: { pg: 2 }\n");
	scan_is(f, "p.yaml ");
}

static void test_folder_gone(void **state)
{
	struct folder *f = *state;
	char away[80];

	put_dag(f, "a.yaml", "a");
	scan_is(f, "a.yaml ");
	snprintf(away, sizeof away, "%s.away", f->path);
	assert_int_equal(rename(f->path, away), 0);
	assert_int_equal(catalog_scan(f->c, &f->err), -1);
	assert_non_null(strstr(f->err.msg, f->path));
	assert_non_null(get(f, "a"));
	assert_int_equal(rename(away, f->path), 0);
	scan_is(f, "");
	assert_non_null(get(f, "a"));
	/* A folder below that may not be read keeps what is in it. */
	mkdir(below(f, "sub"), 0700);
	put_dag(f, "sub/b.yaml", "b");
	scan_is(f, "b.yaml ");
	if (geteuid() != 0) {
		chmod(below(f, "sub"), 0);
		scan_is(f, "");
		assert_non_null(get(f, "b"));
		chmod(below(f, "sub"), 0700);
	}
	/* A link in a circle ends. */
	assert_int_equal(symlink("..", below(f, "sub/up")), 0);
	assert_true(catalog_scan(f->c, &f->err) >= 0);
	assert_non_null(get(f, "a"));
	assert_non_null(get(f, "b"));
}

static void count_folder(void *arg, const char *folder)
{
	int *n = arg;

	assert_non_null(strstr(folder, "/weir-catalog."));
	++*n;
}

static void test_folders(void **state)
{
	struct folder *f = *state;
	int n = 0;

	mkdir(below(f, "one"), 0700);
	mkdir(below(f, "one/two"), 0700);
	mkdir(below(f, ".git"), 0700);
	scan_is(f, "");
	catalog_each_folder(f->c, count_folder, &n);
	assert_int_equal(n, 3);
}

static void test_text_of_a_version(void **state)
{
	struct folder *f = *state;
	const struct catalog_text good = { "gone.yaml", f->path, "dag: gone\n" TASKS },
				  bad = { "gone.yaml", f->path,
					  "dag: gone\ntasks: { a: { rum: x } }\n" };
	const struct config *config;

	struct dag *dag = catalog_load_text(f->c, &good, &config, &f->err);
	assert_non_null(dag);
	assert_string_equal(dag->name, "gone");
	dag_unref(dag);
	assert_null(catalog_load_text(f->c, &bad, &config, &f->err));
	assert_int_equal(f->err.code, ERR_INVALID);
	assert_non_null(strstr(f->err.msg, "rum"));
}

static void put_needing(const struct folder *f, const char *file, const char *dag, const char *need)
{
	char text[256];

	snprintf(text, sizeof text,
		"dag: %s\ntasks:\n  a: { run: 'true' }\n  b: { run: 'true', needs: [a, %s] }\n",
		dag, need);
	put(f, file, text);
}

static void error_has(const struct folder *f, const char *name, const char *text)
{
	const struct catalog_dag *d = catalog_find(f->c, name);

	assert_non_null(d);
	if (!d->error || !strstr(d->error, text))
		print_error("%s: %s\n", name, d->error ? d->error : "no error");
	assert_true(d->error && strstr(d->error, text));
}

/* What a DAG says of others is looked at when all files were. */
static void test_cross(void **state)
{
	struct folder *f = *state;

	/* Each names the other, and both are new: neither has to come first. */
	put_needing(f, "p.yaml", "p", "z.a");
	put_needing(f, "z.yaml", "z", "p.a");
	scan_is(f, "p.yaml z.yaml ");
	scan_is(f, "");
	/* A version that makes a circle is not taken; the one before goes on. */
	put_needing(f, "p.yaml", "p", "z.b");
	scan_is(f, "p.yaml ");
	put_needing(f, "z.yaml", "z", "dag:p");
	scan_is(f, "!z.yaml ");
	error_has(f, "z", "circle: z.b -> dag:p -> p.b -> z.b");
	scan_is(f, "");
	put_needing(f, "p.yaml", "p", "z.a");
	scan_is(f, "p.yaml z.yaml ");
}

/* The one that a DAG names goes, comes back, and loses a task. */
static void test_cross_gone(void **state)
{
	struct folder *f = *state;

	put_dag(f, "o.yaml", "o");
	put_needing(f, "p.yaml", "p", "o.a");
	scan_is(f, "o.yaml p.yaml ");
	assert_int_equal(unlink(below(f, "o.yaml")), 0);
	scan_is(f, "!p.yaml -o ");
	error_has(f, "p", "there is no DAG \"o\"");
	scan_is(f, "");
	put_dag(f, "o.yaml", "o");
	scan_is(f, "o.yaml p.yaml ");
	put(f, "o.yaml", "dag: o\ntasks: { c: { run: 'true' } }\n");
	scan_is(f, "!p.yaml o.yaml ");
	error_has(f, "p", "DAG o has no task \"a\"");
	/* One that is broken from the first is there. */
	put(f, "n.yaml", "dag: n\ntaks: 3\n");
	put_needing(f, "p.yaml", "p", "n.x");
	scan_is(f, "!n.yaml? p.yaml ");
	assert_int_equal(unlink(below(f, "n.yaml")), 0);
	scan_is(f, "!p.yaml ");
	error_has(f, "p", "there is no DAG \"n\"");
	/* Without a good version there is nothing to go on with. */
	put_needing(f, "d.yaml", "d", "nowhere.x");
	scan_is(f, "!d.yaml? ");
}

/* What a former daemon had of each file: what is there now. */
static char *text_of(void *arg, const char *version)
{
	struct buf text;

	buf_init(&text, 1 << 16);
	assert_int_equal(io_read_file(below(arg, version), &text, NULL), 0);
	char *copy = strdup(text.data);
	buf_release(&text);
	return copy;
}

/* A version that was taken before is not taken up again where it makes a circle now. */
static void test_former_circle(void **state)
{
	struct folder *f = *state;
	const struct catalog_env env = {
		.operators = &operators, .conn_types = no_types, .text_of = text_of, .arg = f
	};

	put(f, "p.yaml",
		"dag: p\nschedule: { datasets: z }\ntasks: { a: { run: 'true', produces: p } }\n");
	put(f, "z.yaml",
		"dag: z\nschedule: { datasets: p }\ntasks: { a: { run: 'true', produces: z } }\n");
	put_needing(f, "o.yaml", "o", "nowhere.x");
	catalog_free(f->c);
	assert_int_equal(catalog_new(&f->c, f->path, &env, &f->err), 0);
	static const char *const names[] = { "p", "z", "o" };
	for (size_t i = 0; i < 3; i++) {
		char file[16], path[256];
		snprintf(file, sizeof file, "%s.yaml", names[i]);
		snprintf(path, sizeof path, "%s/%s", catalog_folder(f->c), file);
		const struct catalog_former former = { names[i], path, file };
		assert_int_equal(catalog_know(f->c, &former, &f->err), 0);
	}
	assert_int_equal(catalog_scan(f->c, &f->err), 3);
	assert_int_equal(!catalog_find(f->c, "p") + !catalog_find(f->c, "z"), 1);
	/* What names something that is gone goes on. */
	error_has(f, "o", "there is no DAG \"nowhere\"");
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_come_and_go),
		TEST(test_what_is_kept),
		TEST(test_broken),
		TEST(test_names),
		TEST(test_files),
		TEST(test_includes),
		TEST(test_pools),
		TEST(test_folder_gone),
		TEST(test_folders),
		TEST(test_text_of_a_version),
		TEST(test_cross),
		TEST(test_cross_gone),
		TEST(test_former_circle),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
