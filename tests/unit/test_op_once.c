/* What operators write, exactly once: retries of the same piece of work, work done again on
 * purpose, and attempts that come late, before and after each step of those they race with.
 *
 * fsetxattr and rename stand here in place of the C library's, to play a file system without
 * attributes, and a crash right before the rename. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "data/aside.h"
#include "data/ledger.h"
#include "data/mark.h"
#include "data/row.h"
#include "data/table.h"
#include "tests/lib/opjob.h"

static struct opjob o;
static bool no_attributes, die_at_rename;

int fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)
{
	if (!no_attributes)
		return (int)syscall(SYS_fsetxattr, fd, name, value, size, flags);
	errno = EOPNOTSUPP;
	return -1;
}

int rename(const char *from, const char *to)
{
	if (die_at_rename && !strstr(to, ".weir"))
		_exit(9);
	return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

static int setup(void **state)
{
	(void)state;
	no_attributes = die_at_rename = false;
	if (opjob_init(&o) < 0)
		return -1;
	opjob_sql(&o, "CREATE TABLE t (id INTEGER, name TEXT); INSERT INTO t VALUES (1, 'a')");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	opjob_release(&o);
	return 0;
}

/* JSON is written with ' for ". The attempt's token and piece of work. */
static int attempt(
	enum task_kind kind, const char *op, int64_t token, int64_t work, const char *with)
{
	char text[2048];

	snprintf(text, sizeof text, "{%s}", with);
	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	o.job.key.token = token;
	o.job.key.work = work;
	return opjob_run(&o, operator_find(kind, op), text);
}

static const char *content(const char *name)
{
	static char text[2048];
	char path[200];
	struct buf b;

	buf_init(&b, sizeof text - 1);
	snprintf(path, sizeof path, "%s/%s", o.dir, name);
	snprintf(text, sizeof text, "%s", io_read_file(path, &b, NULL) < 0 ? "(none)" : b.data);
	buf_release(&b);
	return text;
}

static bool logged(const char *text)
{
	return strstr(o.log.data, text) != NULL;
}

/* ---- tables ------------------------------------------------------------------------------ */

#define NAMES "SELECT name FROM u ORDER BY name"

static const char *const modes[] = { "'mode': 'replace'", "'mode': 'replace_partition'",
	"'mode': 'merge', 'key': ['id']" };

static int publish(int64_t token, int64_t work, const char *mode)
{
	char with[200];

	snprintf(with, sizeof with, "'from': 'wh.t', 'to': 'wh.u', %s", mode);
	return attempt(TASK_PUBLISH, "table", token, work, with);
}

static void table_same_work(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		int64_t at = 100 * (int64_t)(i + 1);
		opjob_sql(&o, "UPDATE t SET name = 'a'; DROP TABLE IF EXISTS u;");
		assert_int_equal(publish(at, at, modes[i]), 0);
		assert_string_equal(opjob_output(&o, "already"), "false");
		/* The crash came between this commit and Weir's: a retry, whatever the source is.
		 */
		opjob_sql(&o, "UPDATE t SET name = 'b'");
		assert_int_equal(publish(at + 1, at, modes[i]), 0);
		assert_string_equal(opjob_output(&o, "already"), "true");
		assert_string_equal(opjob_output(&o, "rows_out"), "1");
		assert_true(logged("already written by an earlier attempt of the same work"));
		assert_string_equal(opjob_query(&o, NAMES), "a");
		/* The attempt that found it done fences, too. */
		assert_int_equal(publish(at, at, modes[i]), -1);
		assert_int_equal(o.err.code, ERR_FENCED);
		/* On purpose: another piece of work. */
		assert_int_equal(publish(at + 2, at + 2, modes[i]), 0);
		assert_string_equal(opjob_output(&o, "already"), "false");
		assert_string_equal(opjob_query(&o, NAMES), "b");
		/* Whose work it is, is not known. */
		opjob_sql(&o, "UPDATE t SET name = 'c'");
		assert_int_equal(publish(at + 3, 0, modes[i]), 0);
		assert_int_equal(publish(at + 4, 0, modes[i]), 0);
		assert_string_equal(opjob_output(&o, "already"), "false");
		assert_string_equal(opjob_query(&o, NAMES), "c");
	}
}

static void table_other_parameters(void **state)
{
	(void)state;
	assert_int_equal(publish(1, 1, modes[0]), 0);
	opjob_sql(&o, "UPDATE t SET name = 'b'");
	assert_int_equal(attempt(TASK_PUBLISH, "table", 2, 1,
				 "'connection': 'wh', 'query': {'text': 'SELECT * FROM t', "
				 "'binds': []}, 'to': 'wh.u', 'mode': 'replace'"),
		0);
	assert_string_equal(opjob_output(&o, "already"), "false");
	assert_string_equal(opjob_query(&o, NAMES), "b");
}

static void table_dropped(void **state)
{
	(void)state;
	assert_int_equal(publish(1, 1, modes[0]), 0);
	opjob_sql(&o, "DROP TABLE u");
	assert_int_equal(publish(2, 1, modes[0]), 0);
	assert_string_equal(opjob_output(&o, "already"), "false");
	assert_string_equal(opjob_query(&o, NAMES), "a");
}

/* Rows are added once per interval, on purpose or not. */
static void table_append(void **state)
{
	(void)state;
	assert_int_equal(publish(1, 1, "'mode': 'append'"), 0);
	assert_int_equal(publish(2, 1, "'mode': 'append'"), 0);
	assert_string_equal(opjob_output(&o, "already"), "true");
	assert_int_equal(publish(3, 3, "'mode': 'append'"), 0);
	assert_true(logged("already added for this interval (token 2)"));
	assert_string_equal(opjob_query(&o, NAMES), "a");
}

/* A ledger of the first version gets its columns, and its rows count. */
static void table_old_ledger(void **state)
{
	(void)state;
	opjob_sql(&o, "CREATE TABLE weir_ledger (dag TEXT NOT NULL, task TEXT NOT NULL, map_index "
		      "INTEGER NOT NULL, interval_start TEXT NOT NULL, interval_end TEXT NOT NULL, "
		      "target TEXT NOT NULL, token INTEGER NOT NULL, mode TEXT NOT NULL, rows "
		      "INTEGER NOT NULL, digest TEXT, at TEXT NOT NULL, PRIMARY KEY (dag, task, "
		      "map_index, interval_start, interval_end, target)) STRICT, WITHOUT ROWID;"
		      "INSERT INTO weir_ledger VALUES ('d', 't', -1, '2026-11-19T00:00:00Z', "
		      "'2026-11-20T00:00:00Z', 'u', 5, 'replace', 7, NULL, '')");
	assert_int_equal(publish(4, 4, modes[0]), -1);
	assert_int_equal(o.err.code, ERR_FENCED);
	assert_int_equal(publish(6, 5, modes[0]), 0);
	assert_string_equal(opjob_output(&o, "already"), "false");
	assert_int_equal(publish(7, 5, modes[0]), 0);
	assert_string_equal(opjob_output(&o, "already"), "true");
	assert_string_equal(opjob_query(&o, "SELECT token || '/' || work FROM weir_ledger"), "7/5");
}

static int open_writer(struct table_writer **ret, int64_t token)
{
	static const struct table_column columns[] = { { "name", COLUMN_TEXT } };
	const struct table_target t = { .conn = json_object_get(o.connections, "wh"),
		.table = "u",
		.mode = TABLE_REPLACE,
		.columns = columns,
		.ncolumns = 1,
		.key = { "d", "t", -1, "2026-11-19T00:00:00Z", "2026-11-20T00:00:00Z", token, 0 } };

	return table_open(ret, &t, &o.err);
}

static void write_name(struct table_writer *w, const char *name)
{
	const struct cell c = { .type = CELL_TEXT, .text = name, .len = (uint32_t)strlen(name) };

	assert_int_equal(table_write(w, &c, &o.err), 0);
}

/* Asleep between its check and its commit, the older one keeps the newer one waiting: it comes
 * wholly before it. Before its check, it comes too late. */
static void table_zombie(void **state)
{
	struct table_writer *old, *new;

	(void)state;
	assert_int_equal(open_writer(&old, 5), 0);
	write_name(old, "old");
	assert_int_equal(open_writer(&new, 7), -1);
	assert_int_equal(o.err.code, ERR_BUSY);
	assert_int_equal(table_commit(old, NULL, &o.err), 0);
	assert_int_equal(open_writer(&new, 7), 0);
	write_name(new, "new");
	assert_int_equal(open_writer(&old, 6), -1);
	assert_int_equal(o.err.code, ERR_BUSY);
	assert_int_equal(table_commit(new, NULL, &o.err), 0);
	assert_int_equal(open_writer(&old, 6), -1);
	assert_int_equal(o.err.code, ERR_FENCED);
	assert_null(old);
	assert_string_equal(opjob_query(&o, NAMES), "new");
}

/* ---- scripts ------------------------------------------------------------------------------ */

#define SCRIPT(text) "'connection': 'wh', 'sql': {'text': '" text "', 'binds': []}"

static void script_once(void **state)
{
	const char *add = SCRIPT("INSERT INTO t VALUES (2, NULL); SELECT count(*) AS n FROM t");

	(void)state;
	assert_int_equal(attempt(TASK_TRANSFORM, "sql", 10, 10, add), 0);
	assert_string_equal(opjob_output(&o, "n"), "2");
	assert_int_equal(attempt(TASK_TRANSFORM, "sql", 11, 10, add), 0);
	assert_true(logged("already committed by an earlier attempt of the same work (token 10)"));
	assert_string_equal(opjob_output(&o, "n"), "2");
	assert_string_equal(opjob_output(&o, "statements"), "2");
	assert_string_equal(opjob_output(&o, "rows_changed"), "1");
	assert_string_equal(opjob_query(&o, "SELECT count(*) FROM t"), "2");
	/* A script that was mended between two tries is another one. */
	assert_int_equal(
		attempt(TASK_TRANSFORM, "sql", 12, 10, SCRIPT("INSERT INTO t VALUES (3, NULL)")),
		0);
	assert_string_equal(opjob_query(&o, "SELECT count(*) FROM t"), "3");
	assert_int_equal(attempt(TASK_TRANSFORM, "sql", 13, 13, add), 0);
	assert_string_equal(opjob_query(&o, "SELECT count(*) FROM t"), "4");
	/* One that was rolled back has done nothing. */
	assert_int_equal(
		attempt(TASK_TRANSFORM, "sql", 14, 14, SCRIPT("INSERT INTO t VALUES (4, x)")), -1);
	assert_int_equal(attempt(TASK_TRANSFORM, "sql", 15, 14, add), 0);
	assert_string_equal(opjob_query(&o, "SELECT count(*) FROM t"), "5");
}

/* ---- files -------------------------------------------------------------------------------- */

#define FILE_WITH "'table': 'wh.t', 'path': 'x.csv', 'header': false"

static int publish_file(int64_t token, int64_t work)
{
	return attempt(TASK_PUBLISH, "file", token, work, FILE_WITH);
}

static void put(const char *name, const char *text)
{
	char path[200];

	snprintf(path, sizeof path, "%s/%s", o.dir, name);
	FILE *fp = fopen(path, "we");
	assert_non_null(fp);
	fputs(text, fp);
	assert_int_equal(fclose(fp), 0);
}

/* Each of them with attributes, and with sidecars. */
static void file_same_work(void **state)
{
	char sha[1100];

	(void)state;
	for (int i = 0; i < 2; i++) {
		int64_t at = 100 * (i + 1);
		no_attributes = i;
		opjob_sql(&o, "UPDATE t SET name = 'a'");
		assert_int_equal(publish_file(at, at), 0);
		assert_string_equal(opjob_output(&o, "already"), "false");
		snprintf(sha, sizeof sha, "%s", opjob_output(&o, "sha256"));
		assert_int_equal(strcmp(content(".x.csv.weir"), "(none)") != 0, no_attributes);
		opjob_sql(&o, "UPDATE t SET name = 'b'");
		assert_int_equal(publish_file(at + 1, at), 0);
		assert_string_equal(opjob_output(&o, "already"), "true");
		assert_string_equal(opjob_output(&o, "rows_out"), "1");
		assert_string_equal(opjob_output(&o, "bytes"), "4");
		assert_string_equal(opjob_output(&o, "sha256"), sha);
		assert_true(logged("already published by an earlier attempt of the same work"));
		assert_string_equal(content("x.csv"), "1,a\n");
		/* On purpose. */
		assert_int_equal(publish_file(at + 2, at + 2), 0);
		assert_string_equal(opjob_output(&o, "already"), "false");
		assert_string_equal(content("x.csv"), "1,b\n");
		/* Not the file that was published. */
		put("x.csv", "1,B\n");
		assert_int_equal(publish_file(at + 3, at + 2), 0);
		assert_string_equal(opjob_output(&o, "already"), "false");
		assert_string_equal(content("x.csv"), "1,b\n");
		/* Late. */
		assert_int_equal(publish_file(at + 1, at), -1);
		assert_int_equal(o.err.code, ERR_FENCED);
		/* Other parameters. */
		assert_int_equal(attempt(TASK_PUBLISH, "file", at + 4, at + 2,
					 FILE_WITH ", 'delimiter': ';'"),
			0);
		assert_string_equal(content("x.csv"), "1;b\n");
	}
	/* With attributes again, the sidecar is of no use. */
	no_attributes = false;
	assert_int_equal(publish_file(300, 300), 0);
	assert_string_equal(content(".x.csv.weir"), "(none)");
}

/* A crash right before the rename, and a sidecar that came before it. */
static void file_killed_at_rename(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		int64_t at = 100 * (i + 1);
		no_attributes = i;
		opjob_sql(&o, "UPDATE t SET name = 'a'");
		assert_int_equal(publish_file(at, at), 0);
		opjob_sql(&o, "UPDATE t SET name = 'b'");
		fflush(stdout);
		pid_t pid = fork();
		if (pid == 0) {
			die_at_rename = true;
			publish_file(at + 1, at + 1);
			_exit(1);
		}
		int status;
		waitpid(pid, &status, 0);
		assert_int_equal(WEXITSTATUS(status), 9);
		assert_string_equal(content("x.csv"), "1,a\n");
		if (no_attributes) {
			/* The old file, and a mark that means another: older attempts are out. */
			assert_non_null(strstr(content(".x.csv.weir"), "\"token\":201"));
			assert_int_equal(publish_file(at, at), -1);
			assert_int_equal(o.err.code, ERR_FENCED);
		}
		assert_int_equal(publish_file(at + 2, at + 1), 0);
		assert_string_equal(opjob_output(&o, "already"), "false");
		assert_string_equal(content("x.csv"), "1,b\n");
		assert_true(logged("which an earlier attempt left"));
	}
}

static int open_aside(struct aside **ret, int64_t token)
{
	static char path[200];
	static struct table_key key;

	snprintf(path, sizeof path, "%s/x.csv", o.dir);
	key = o.job.key;
	key.token = token;
	const struct aside_target t = { .path = path, .key = &key };
	return aside_open(ret, &t, &o.err);
}

/* The newer one did not see the older one's part, and is done: only the mark can tell. */
static void file_zombie(void **state)
{
	char part[300], hidden[320];
	struct aside *old, *new;

	(void)state;
	for (int i = 0; i < 2; i++) {
		no_attributes = i;
		int64_t at = 100 * (i + 1);
		assert_int_equal(open_aside(&old, at + 5), 0);
		assert_int_equal(aside_write(old, "old", 3, &o.err), 0);
		snprintf(part, sizeof part, "%s", aside_part(old));
		snprintf(hidden, sizeof hidden, "%s.hidden", part);
		assert_int_equal(rename(part, hidden), 0);
		assert_int_equal(aside_check(old, &o.err), -1);
		assert_int_equal(o.err.code, ERR_FENCED);
		assert_int_equal(open_aside(&new, at + 7), 0);
		assert_int_equal(aside_write(new, "new", 3, &o.err), 0);
		assert_int_equal(aside_commit(new, NULL, &o.err), 0);
		assert_int_equal(rename(hidden, part), 0);
		assert_int_equal(aside_commit(old, NULL, &o.err), -1);
		assert_int_equal(o.err.code, ERR_FENCED);
		assert_string_equal(content("x.csv"), "new");
		assert_int_equal(open_aside(&old, at + 6), -1);
		assert_int_equal(o.err.code, ERR_FENCED);
	}
}

static int remove_as(const char *name, int64_t token)
{
	struct table_key key = o.job.key;
	char path[200];

	snprintf(path, sizeof path, "%s/%s", o.dir, name);
	key.token = token;
	const struct aside_target t = { .path = path, .key = &key };
	return aside_remove(&t, &o.err);
}

static void file_removed(void **state)
{
	struct aside *a, *old;

	(void)state;
	for (int i = 0; i < 2; i++) {
		no_attributes = i;
		assert_int_equal(open_aside(&a, 7), 0);
		assert_int_equal(aside_commit(a, NULL, &o.err), 0);
		assert_int_equal(remove_as("x.csv", 6), -1);
		assert_int_equal(o.err.code, ERR_FENCED);
		assert_string_equal(content("x.csv"), "");
		assert_int_equal(open_aside(&old, 7), 0);
		assert_int_equal(remove_as("x.csv", 8), 0);
		assert_int_equal(aside_commit(old, NULL, &o.err), -1);
		assert_int_equal(o.err.code, ERR_FENCED);
		assert_string_equal(content("x.csv"), "(none)");
		assert_string_equal(content(".x.csv.weir"), "(none)");
		assert_int_equal(remove_as("x.csv", 8), 0);
		assert_int_equal(remove_as("no/such/folder/x.csv", 8), 0);
	}
}

/* ---- races ---------------------------------------------------------------------------------- */

enum { RACERS = 5, ROUNDS = 12 };

static int race_file(int64_t token)
{
	struct aside *a;
	char text[24];

	if (open_aside(&a, token) < 0)
		return -1;
	snprintf(text, sizeof text, "%d", (int)token);
	if (aside_write(a, text, strlen(text), &o.err) == 0)
		return aside_commit(a, NULL, &o.err);
	aside_abort(a);
	return -1;
}

static int race_table(int64_t token)
{
	struct table_writer *w;
	char text[24];

	json_object_set_new(
		json_object_get(o.connections, "wh"), "busy_timeout", json_integer(20 * 1000000));
	if (open_writer(&w, token) < 0)
		return -1;
	snprintf(text, sizeof text, "%d", (int)token);
	write_name(w, text);
	return table_commit(w, NULL, &o.err);
}

/* As many attempts as there are tokens from `base`, all at once. Those that are refused are fenced;
 * the newest never is. */
static void race(int (*one)(int64_t token), int64_t base)
{
	pid_t pids[RACERS];

	fflush(stdout);
	for (int i = 0; i < RACERS; i++) {
		pids[i] = fork();
		if (pids[i])
			continue;
		if (one(base + (i * 3 + base) % RACERS) == 0)
			_exit(0);
		if (o.err.code == ERR_FENCED)
			_exit(1);
		fprintf(stderr, "# %s\n", o.err.msg);
		_exit(2);
	}
	for (int i = 0; i < RACERS; i++) {
		int status;
		bool newest = (i * 3 + base) % RACERS == RACERS - 1;
		waitpid(pids[i], &status, 0);
		if (!WIFEXITED(status) || WEXITSTATUS(status) > (newest ? 0 : 1))
			fail_msg("attempt %d: status %x", i, (unsigned)status);
	}
}

static void races(void **state)
{
	char want[24];

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		int64_t base = 10 * (round + 1);
		snprintf(want, sizeof want, "%d", (int)base + RACERS - 1);
		no_attributes = round % 2;
		race(race_file, base);
		assert_string_equal(content("x.csv"), want);
		race(race_table, base);
		assert_string_equal(opjob_query(&o, NAMES), want);
	}
}

/* Marks that cannot be read are none. */
static void bad_marks(void **state)
{
	static const char *const texts[] = { "", "{", "[]", "null", "{\"token\":\"x\"}", "{}" };
	struct mark m;
	char path[200];

	(void)state;
	no_attributes = true;
	snprintf(path, sizeof path, "%s/x.csv", o.dir);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		put(".x.csv.weir", texts[i]);
		mark_read(path, &o.job.key, &m);
		assert_int_equal(m.token, 0);
		assert_int_equal(publish_file(1, 1), 0);
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(table_same_work),
		CASE(table_other_parameters),
		CASE(table_dropped),
		CASE(table_append),
		CASE(table_old_ledger),
		CASE(table_zombie),
		CASE(script_once),
		CASE(file_same_work),
		CASE(file_killed_at_rename),
		CASE(file_zombie),
		CASE(file_removed),
		CASE(races),
		CASE(bad_marks),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
