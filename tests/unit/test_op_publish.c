/* publish: file and publish: table: formats, idempotence, crashes, fencing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <zlib.h>
#include <zstd.h>

#include "data/aside.h"
#include "tests/lib/opjob.h"

static struct opjob o;

static int setup(void **state)
{
	(void)state;
	if (opjob_init(&o) < 0)
		return -1;
	opjob_sql(&o, "CREATE TABLE t (id INTEGER, name TEXT, price REAL);"
		      "INSERT INTO t VALUES (1, 'Apple', 0.1), (2, 'a,\"b\"', NULL), (3, '', 3), "
		      "(NULL, 'two\nlines', 1e20)");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	opjob_release(&o);
	return 0;
}

/* JSON is written with ' for " and ~ for '. */
static int run(const char *op, const char *with)
{
	char text[2048];

	snprintf(text, sizeof text, "{%s}", with);
	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	for (char *p = text; *p; p++)
		if (*p == '~')
			*p = '\'';
	return opjob_run(&o, operator_find(TASK_PUBLISH, op), text);
}

static const char *content(const char *name)
{
	static struct buf b;
	char path[200];

	if (!b.max)
		buf_init(&b, BUF_MAX_TEXT);
	buf_release(&b);
	snprintf(path, sizeof path, "%s/%s", o.dir, name);
	if (io_read_file(path, &b, NULL) < 0)
		return "(none)";
	return b.data;
}

/* Files in the folder apart from the database. */
static int count_files(const char *sub)
{
	char path[200];
	int n = 0;

	snprintf(path, sizeof path, "%s/%s", o.dir, sub);
	DIR *dir = opendir(path);
	assert_non_null(dir);
	for (struct dirent *e; (e = readdir(dir));)
		n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..") &&
		     strncmp(e->d_name, "wh.db", 5) != 0;
	closedir(dir);
	return n;
}

#define QUERY(sql) "'connection': 'wh', 'query': {'text': '" sql "', 'binds': [2]}, "

static const struct {
	const char *with, *file, *text;
} formats[] = {
	{ "'table': 'wh.t', 'path': 'a.csv'", "a.csv",
		"id,name,price\n1,Apple,0.1\n2,\"a,\"\"b\"\"\",\n3,\"\",3.0\n,"
		"\"two\nlines\",1e+20\n" },
	{ "'table': 'wh.t', 'path': 'a.csv', 'null': 'Apple', 'header': false", "a.csv",
		"1,\"Apple\",0.1\n2,\"a,\"\"b\"\"\",Apple\n3,,3.0\nApple,\"two\nlines\",1e+"
		"20\n" },
	{ QUERY("SELECT id, name FROM t WHERE id <= ?1 ORDER BY id DESC") "'path': "
									  "'b.txt', "
									  "'delimiter': "
									  "';'",
		"b.txt", "id;name\n2;\"a,\"\"b\"\"\"\n1;Apple\n" },
	{ QUERY("SELECT 1 AS a, 2 AS a") "'path': 'b.tsv', 'delimiter': 'tab'", "b.tsv",
		"a\ta\n1\t2\n" },
	{ QUERY("SELECT id, name, price FROM t WHERE id = 2 OR price > 1") "'path': "
									   "'c.ndjson'",
		"c.ndjson",
		"{\"id\": 2, \"name\": \"a,\\\"b\\\"\", \"price\": null}\n"
		"{\"id\": 3, \"name\": \"\", \"price\": 3.0}\n"
		"{\"id\": null, \"name\": \"two\\nlines\", \"price\": 1e+20}\n" },
	{ QUERY("SELECT id FROM t WHERE id < 3") "'path': 'd.json'", "d.json",
		"[\n{\"id\": 1},\n{\"id\": 2}\n]\n" },
	{ QUERY("SELECT id FROM t WHERE 0") "'path': 'd.json'", "d.json", "[]\n" },
	{ QUERY("SELECT id FROM t WHERE 0") "'path': 'e.csv'", "e.csv", "id\n" },
	{ QUERY("SELECT x~00ff~ AS b, 0.1 + 0.2 AS f, -0.0 AS z, 9e999 AS inf, char(9, 1) "
		"AS c") "'path': "
			"'f.jsonl'",
		"f.jsonl",
		"{\"b\": \"00ff\", \"f\": 0.30000000000000004, \"z\": -0.0, \"inf\": 9e999, "
		"\"c\": "
		"\"\\u0009\\u0001\"}\n" },
	{ QUERY("SELECT CAST(x~61ff62~ AS TEXT) AS t") "'path': 'g.json', 'format': "
						       "'ndjson'",
		"g.json",
		"{\"t\": \"a\xef\xbf\xbd"
		"b\"}\n" },
	{ "'table': 'wh.t', 'path': 'deep/er/h.csv', 'format': 'json'", "deep/er/h.csv", NULL },
};

static void each_format(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
		if (run("file", formats[i].with) < 0)
			fail_msg("case %zu: %s", i, o.err.msg);
		if (formats[i].text)
			assert_string_equal(content(formats[i].file), formats[i].text);
	}
	assert_int_equal(count_files("deep/er"), 1);
}

static const struct {
	const char *with;
	enum err_code code;
	const char *message;
} wrong[] = {
	{ "'table': 'wh.t', 'path': 'a.csv', 'delimiter': '\\\"'", ERR_INVALID, "delimiter" },
	{ "'table': 'wh.t', 'path': 'a.csv', 'delimiter': 'ab'", ERR_INVALID, "delimiter" },
	{ "'table': 'wh.t', 'path': 'a.csv', 'null': 'a,b'", ERR_INVALID, "null" },
	{ "'table': 'wh.x', 'path': 'a.csv'", ERR_NOT_FOUND, "no table x" },
	{ "'table': 'no.t', 'path': 'a.csv'", ERR_NOT_FOUND, "no connection no" },
	{ "'path': 'a.csv'", ERR_INVALID, "connection and query" },
	{ QUERY("DROP TABLE t") "'path': 'a.csv'", ERR_SQL, "a query is needed" },
	{ QUERY("SELECT 1 AS a, 2 AS a") "'path': 'a.json'", ERR_SQL, "named a" },
	{ QUERY("SELECT abs(-9223372036854775807 - 1)") "'path': 'a.csv'", ERR_SQL, "overflow" },
	{ "'table': 'wh.t', 'path': '.'", ERR_INVALID, "folder" },
	{ "'table': 'wh.t', 'path': 'wh.db/x.csv'", ERR_IO, "wh.db" },
};

static void refuses(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		assert_int_equal(run("file", wrong[i].with), -1);
		if (o.err.code != wrong[i].code || !strstr(o.err.msg, wrong[i].message))
			fail_msg("case %zu: %d %s", i, o.err.code, o.err.msg);
		assert_int_equal(count_files("."), 0);
	}
}

static void outputs_and_rerun(void **state)
{
	char path[200], sha[1100];
	struct stat a, b;

	(void)state;
	assert_int_equal(run("file", "'table': 'wh.t', 'path': 'out/a.csv'"), 0);
	assert_string_equal(opjob_output(&o, "rows_out"), "4");
	assert_string_equal(opjob_output(&o, "bytes"), "67");
	snprintf(path, sizeof path, "%s/out/a.csv", o.dir);
	assert_string_equal(json_string_value(json_object_get(o.job.outputs, "path")), path);
	snprintf(sha, sizeof sha, "%s", opjob_output(&o, "sha256"));
	assert_int_equal(strlen(sha), 66);
	assert_int_equal(stat(path, &a), 0);
	assert_int_equal(a.st_size, 67);
	assert_int_equal(run("file", "'table': 'wh.t', 'path': 'out/a.csv'"), 0);
	assert_string_equal(opjob_output(&o, "sha256"), sha);
	assert_int_equal(stat(path, &b), 0);
	assert_int_not_equal(a.st_ino, b.st_ino); /* a new file was renamed into place */
	assert_int_equal(count_files("out"), 1);
}

static void compressed(void **state)
{
	const char *q = QUERY(
		"WITH RECURSIVE x (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM x LIMIT 60000) "
		"SELECT i FROM x");
	static char plain[1 << 20], packed[1 << 20];
	char with[512], path[200], sha[1100];

	(void)state;
	snprintf(with, sizeof with, "%s'path': 'p.csv'", q);
	assert_int_equal(run("file", with), 0);
	size_t len = strlen(content("p.csv"));
	assert_true(len > 300000);

	snprintf(with, sizeof with, "%s'path': 'p.csv.gz'", q);
	assert_int_equal(run("file", with), 0);
	snprintf(sha, sizeof sha, "%s", opjob_output(&o, "sha256"));
	assert_int_equal(run("file", with), 0);
	assert_string_equal(opjob_output(&o, "sha256"), sha);
	snprintf(path, sizeof path, "%s/p.csv.gz", o.dir);
	gzFile gz = gzopen(path, "rb");
	assert_int_equal(gzread(gz, plain, sizeof plain), len);
	gzclose(gz);
	assert_memory_equal(plain, content("p.csv"), len);

	snprintf(with, sizeof with, "%s'path': 'p.any', 'compression': 'zstd'", q);
	assert_int_equal(run("file", with), 0);
	snprintf(path, sizeof path, "%s/p.any", o.dir);
	FILE *f = fopen(path, "re");
	size_t n = fread(packed, 1, sizeof packed, f);
	fclose(f);
	assert_int_equal(ZSTD_decompress(plain, sizeof plain, packed, n), len);
	assert_memory_equal(plain, content("p.csv"), len);

	snprintf(with, sizeof with, "%s'path': 'p.gz', 'compression': 'none'", q);
	assert_int_equal(run("file", with), 0);
	assert_int_equal(strlen(content("p.gz")), len);
}

static struct aside_target target(char *path, size_t size, const struct table_key *key)
{
	snprintf(path, size, "%s/x.csv", o.dir);
	return (struct aside_target){ .path = path, .key = key };
}

/* An attempt dies at each of several points: the old file stays whole, and the next attempt
 * cleans up. */
static void crashes(void **state)
{
	struct table_key key = o.job.key;
	char path[200];

	(void)state;
	for (int point = 0; point < 4; point++) {
		struct aside_target t = target(path, sizeof path, &key);
		assert_int_equal(
			run("file", "'table': 'wh.t', 'path': 'x.csv', 'header': false"), 0);
		char *before = strdup(content("x.csv"));
		key.token = o.job.key.token + 1;
		fflush(stdout);
		pid_t pid = fork();
		if (pid == 0) {
			static char bytes[200000];
			struct aside_result r;
			struct aside *s;
			if (point == 0)
				_exit(9);
			if (aside_open(&s, &t, NULL) < 0)
				_exit(1);
			if (point == 1)
				_exit(9);
			if (aside_write(s, bytes, sizeof bytes, NULL) < 0)
				_exit(1);
			if (point == 2)
				_exit(9);
			_exit(aside_commit(s, &r, NULL) == 0 ? 9 : 1);
		}
		int status;
		waitpid(pid, &status, 0);
		assert_int_equal(WEXITSTATUS(status), 9);
		assert_int_equal(count_files("."), point == 1 || point == 2 ? 2 : 1);
		if (point < 3)
			assert_string_equal(content("x.csv"), before);
		else
			assert_string_equal(content("x.csv"), "");
		o.job.key.token += 2;
		assert_int_equal(
			run("file", "'table': 'wh.t', 'path': 'x.csv', 'header': false"), 0);
		assert_string_equal(content("x.csv"), before);
		assert_int_equal(count_files("."), 1);
		free(before);
	}
}

static void zombies(void **state)
{
	struct table_key old_key = o.job.key, new_key = o.job.key;
	struct aside_target old_t, new_t;
	struct aside_result r;
	struct aside *old, *new;
	struct err err;
	char path[200];

	(void)state;
	new_key.token = old_key.token + 1;
	old_t = target(path, sizeof path, &old_key);
	new_t = target(path, sizeof path, &new_key);
	/* The newer one starts while the older one still writes. */
	assert_int_equal(aside_open(&old, &old_t, &err), 0);
	assert_int_equal(aside_write(old, "old", 3, &err), 0);
	int saved = dup(STDOUT_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	fflush(stdout);
	dup2(null, STDOUT_FILENO);
	assert_int_equal(aside_open(&new, &new_t, &err), 0);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	close(null);
	/* A third, older one comes late. */
	struct aside *late;
	assert_int_equal(aside_open(&late, &old_t, &err), -1);
	assert_int_equal(err.code, ERR_FENCED);
	assert_int_equal(aside_commit(old, &r, &err), -1);
	assert_int_equal(err.code, ERR_FENCED);
	assert_string_equal(content("x.csv"), "(none)");
	assert_int_equal(aside_write(new, "new", 3, &err), 0);
	assert_int_equal(aside_commit(new, &r, &err), 0);
	assert_string_equal(content("x.csv"), "new");
	/* After it is done, where the file system keeps attributes. */
	bool attributes = setxattr(o.dir, "user.probe", "1", 1, 0) == 0;
	int rc = aside_open(&late, &old_t, &err);
	aside_abort(late);
	if (attributes) {
		assert_int_equal(rc, -1);
		assert_int_equal(err.code, ERR_FENCED);
	}
	/* Another interval may replace the file. */
	old_key.interval_start = "2026-11-20T00:00:00Z";
	assert_int_equal(aside_open(&late, &old_t, &err), 0);
	assert_int_equal(aside_commit(late, &r, &err), 0);
	assert_string_equal(content("x.csv"), "");
	aside_abort(NULL);
}

/* ---- publish: table ------------------------------------------------------------------ */

#define ROWS "SELECT coalesce(id, '') || '=' || name FROM u ORDER BY rowid"

static void table_modes(void **state)
{
	(void)state;
	opjob_sql(&o, "DELETE FROM t; INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2)");
	assert_int_equal(run("table", "'from': 'wh.t', 'to': 'wh.u', 'mode': 'replace'"), 0);
	assert_string_equal(opjob_query(&o, ROWS), "1=a 2=b");
	assert_string_equal(opjob_output(&o, "rows_out"), "2");
	assert_string_equal(opjob_output(&o, "already"), "false");
	assert_string_equal(
		opjob_query(&o, "SELECT type FROM pragma_table_info('u')"), "INTEGER TEXT REAL");
	opjob_sql(&o, "UPDATE t SET name = 'B' WHERE id = 2; INSERT INTO t VALUES (3, 'c', 3)");
	assert_int_equal(
		run("table", "'from': 'wh.t', 'to': 'wh.u', 'mode': 'merge', 'key': ['id']"), 0);
	assert_string_equal(opjob_query(&o, ROWS), "1=a 2=B 3=c");
	opjob_sql(&o, "DROP TABLE u; DELETE FROM weir_ledger");
	assert_int_equal(run("table", "'from': 'wh.t', 'to': 'wh.u', 'mode': 'append'"), 0);
	assert_int_equal(run("table", "'from': 'wh.t', 'to': 'wh.u', 'mode': 'append'"), 0);
	assert_string_equal(opjob_output(&o, "already"), "true");
	assert_string_equal(opjob_output(&o, "rows_out"), "3");
	assert_string_equal(opjob_query(&o, ROWS), "1=a 2=B 3=c");
	opjob_sql(&o, "DROP TABLE u");
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			run("table", QUERY("SELECT id, name FROM t WHERE id = ?1") "'to': 'wh.u', "
										   "'mode': "
										   "'replace_"
										   "partition', "
										   "'partition_"
										   "value': 'x'"),
			0);
	assert_string_equal(opjob_query(&o, "SELECT id || name || weir_partition FROM u"), "2Bx");
}

/* The query reads the table it replaces. */
static void table_of_itself(void **state)
{
	(void)state;
	opjob_sql(&o,
		"CREATE TABLE u (id INTEGER, name TEXT); INSERT INTO u VALUES (1, 'a'), (2, 'b')");
	assert_int_equal(
		run("table",
			QUERY("SELECT id + 1 AS id, name FROM u WHERE id < ?1") "'to': 'wh.u', "
										"'mode': "
										"'replace'"),
		0);
	assert_string_equal(opjob_query(&o, ROWS), "2=a");
}

static void between_databases(void **state)
{
	char path[200];
	sqlite3 *db;

	(void)state;
	snprintf(path, sizeof path, "%s/mart.db", o.dir);
	json_object_set_new(
		o.connections, "mart", json_pack("{s:s, s:s}", "type", "sqlite", "path", path));
	assert_int_equal(run("table", "'from': 'wh.t', 'to': 'mart.copy', 'mode': 'replace'"), 0);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(db, "SELECT count(*) / 4 FROM copy, weir_ledger", NULL, NULL, NULL),
		SQLITE_OK);
	sqlite3_close(db);
	/* What fails leaves the old rows. */
	assert_int_equal(
		run("table", QUERY("SELECT 1 AS id, x~00~ AS name") "'to': 'mart.copy', 'mode': "
								    "'replace'"),
		-1);
	assert_int_equal(o.err.code, ERR_DATA);
	assert_non_null(strstr(o.err.msg, "BLOB"));
	assert_int_equal(
		run("table", "'from': 'wh.t', 'to': 'mart.copy', 'mode': 'merge', 'key': ['id']"),
		-1);
	assert_int_equal(o.err.code, ERR_DATA);
	o.job.key.token = 1;
	assert_int_equal(run("table", "'from': 'wh.t', 'to': 'mart.copy', 'mode': 'replace'"), -1);
	assert_int_equal(o.err.code, ERR_FENCED);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_stmt *stmt;
	sqlite3_prepare_v2(db, "SELECT count(*) FROM copy", -1, &stmt, NULL);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(stmt, 0), 4);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(each_format),
		CASE(refuses),
		CASE(outputs_and_rerun),
		CASE(compressed),
		CASE(crashes),
		CASE(zombies),
		CASE(table_modes),
		CASE(table_of_itself),
		CASE(between_databases),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
