/* ingest: file, run in this process on real files and databases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "conf/diag.h"
#include "conf/yaml.h"
#include "operators/operators.h"
#include "tests/lib/cases.h"

extern const struct operator operator_ingest_file;

static char dir[64], old_dir[4096];
static struct err err;
static json_t *outputs; /* of the last run */
static int64_t token;

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/weir-ingest-XXXXXX");
	token = 0;
	outputs = NULL;
	return mkdtemp(dir) && getcwd(old_dir, sizeof old_dir) ? chdir(dir) : -1;
}

static int teardown(void **state)
{
	(void)state;
	json_decref(outputs);
	if (chdir(old_dir) < 0)
		return -1;
	return nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *name, const char *text)
{
	assert_int_equal(io_mkdirs_for(name, 0777, &err), 0);
	assert_int_equal(io_write_file(name, text, strlen(text), &err), 0);
}

static const char *file_text(const char *name)
{
	static char text[65536];
	struct buf b;

	buf_init(&b, sizeof text - 1);
	if (io_read_file(name, &b, NULL) < 0) {
		buf_release(&b);
		return NULL;
	}
	memcpy(text, b.data, b.len + 1);
	buf_release(&b);
	return text;
}

/* Rows of a query: cells joined by |, rows by a blank. */
static const char *query(const char *sql)
{
	static char text[65536];
	sqlite3 *db;
	sqlite3_stmt *stmt;
	size_t used = 0;

	text[0] = '\0';
	assert_int_equal(sqlite3_open("w.db", &db), SQLITE_OK);
	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
		snprintf(text, sizeof text, "error: %s", sqlite3_errmsg(db));
	while (stmt && sqlite3_step(stmt) == SQLITE_ROW)
		for (int i = 0; i < sqlite3_column_count(stmt); i++) {
			const char *s = (const char *)sqlite3_column_text(stmt, i);
			used += (size_t)snprintf(text + used, sizeof text - used, "%s%s",
				i      ? "|"
				: used ? " "
				       : "",
				s ? s : "NULL");
		}
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return text;
}

/* Run for a day with parameters in JSON; single quotes stand for double ones. */
static int run_day(const char *day, const char *params)
{
	char start[32], end[32], db_path[128];
	char *text = strdup(params);
	json_error_t e;

	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	json_t *with = json_loads(text, 0, &e);
	if (!with)
		fail_msg("%s: %s", text, e.text);
	free(text);
	snprintf(start, sizeof start, "2026-11-%sT00:00:00Z", day);
	snprintf(end, sizeof end, "2026-11-%02dT00:00:00Z", atoi(day) + 1);
	snprintf(db_path, sizeof db_path, "%s/w.db", dir);
	json_t *connections = json_pack(
		"{s:{s:s, s:s, s:i}}", "w", "type", "sqlite", "path", db_path, "busy_timeout", 0);
	json_decref(outputs);
	outputs = json_object();
	char ds[16];
	snprintf(ds, sizeof ds, "2026-11-%s", day);
	struct operator_job job = { .with = with,
		.connections = connections,
		.dir = dir,
		.run_id = "r",
		.ds = ds,
		.key = { "sales", "orders", -1, start, end, ++token, 0 },
		.try = 1,
		.outputs = outputs,
		.checks = json_array() };
	err_clear(&err);
	int rc = operator_ingest_file.run(&job, &err);
	json_decref(job.checks);
	json_decref(connections);
	json_decref(with);
	return rc;
}

static void good(const char *day, const char *params)
{
	if (run_day(day, params) < 0)
		fail_msg("%s", err.msg);
}

static void bad(const char *params, enum err_code code, const char *message)
{
	assert_int_equal(run_day("19", params), -1);
	if (err.code != code || !strstr(err.msg, message))
		fail_msg("%s: %s", err_info(err.code)->name, err.msg);
}

static int64_t output(const char *name)
{
	return json_integer_value(json_object_get(outputs, name));
}

static const char contract[] = "contract: orders\n"
			       "columns:\n"
			       "  id: { type: integer, nullable: false, unique: true }\n"
			       "  amount: { type: decimal, range: { min: 0 } }\n"
			       "  status: { enum: [paid, open] }\n"
			       "  email: { rename_from: e_mail }\n";

#define GOOD_CSV "id,amount,status,email\n1,9.5,paid,a@x\n2,,open,\n"
#define BAD_CSV                    \
	"id,amount,status,email\n" \
	"1,9.5,paid,a@x\n"         \
	"1,9.5,paid,a@x\n"         \
	",1,paid,b@x\n"            \
	"3,-3,open,c@x\n"          \
	"4,1,lost,\"d\"\"@x\"\n"   \
	"5,1\n"                    \
	"6,1,open,\"e\"x\n"        \
	"7,1,open,\xff\n"          \
	"8,2,open,f@x\n"
#define ROWS "SELECT id, amount, status, email FROM o ORDER BY rowid"
#define WITH "'path': 'in.csv', 'contract': 'c.yaml', 'into': 'w.o'"

static void test_good_rows(void **state)
{
	(void)state;
	put("c.yaml", contract);
	put("in.csv", GOOD_CSV);
	good("19", "{" WITH "}");
	assert_string_equal(query(ROWS), "1|9.5|paid|a@x 2|NULL|open|NULL");
	assert_string_equal(query("SELECT DISTINCT typeof(id), typeof(email) FROM o WHERE id=1"),
		"integer|text");
	assert_int_equal(output("rows_in"), 2);
	assert_int_equal(output("rows_out"), 2);
	assert_int_equal(output("rows_rejected"), 0);
	assert_int_equal(output("files"), 1);
	assert_int_equal(output("bytes"), strlen(GOOD_CSV));
	assert_null(json_object_get(outputs, "quarantine"));
	assert_false(io_exists("quarantine/sales/orders-2026-11-19.csv"));
}

static const char quarantined[] = "file,row,column,rule,value,raw\n"
				  "in.csv,2,id,unique,1,\"1,9.5,paid,a@x\"\n"
				  "in.csv,3,id,nullable,,\",1,paid,b@x\"\n"
				  "in.csv,4,amount,range,-3,\"3,-3,open,c@x\"\n"
				  "in.csv,5,status,enum,lost,\"4,1,lost,\"\"d\"\"\"\"@x\"\"\"\n"
				  "in.csv,6,,ragged,,\"5,1\"\n"
				  "in.csv,7,,format,,\"6,1,open,\"\"e\"\"x\"\n"
				  "in.csv,8,,encoding,,\"7,1,open,\xef\xbf\xbd\"\n";

static void test_quarantine_file(void **state)
{
	(void)state;
	put("c.yaml", contract);
	put("in.csv", BAD_CSV);
	for (int again = 0; again < 2; again++) {
		good("19", "{" WITH "}");
		assert_string_equal(query(ROWS), "1|9.5|paid|a@x 8|2.0|open|f@x");
		assert_string_equal(
			file_text("quarantine/sales/orders-2026-11-19.csv"), quarantined);
		assert_string_equal(json_string_value(json_object_get(outputs, "quarantine")),
			"quarantine/sales/orders-2026-11-19.csv");
		assert_int_equal(output("rows_in"), 9);
		assert_int_equal(output("rows_out"), 2);
		assert_int_equal(output("rows_rejected"), 7);
	}
	/* Mended: what was rejected before is gone. */
	put("in.csv", GOOD_CSV);
	good("19", "{" WITH "}");
	assert_string_equal(query("SELECT count(*) FROM o"), "2");
	assert_false(io_exists("quarantine/sales/orders-2026-11-19.csv"));
	put("in.csv", BAD_CSV);
	good("19", "{" WITH ", 'quarantine': {'file': 'q/bad.csv'}}");
	assert_string_equal(file_text("q/bad.csv"), quarantined);
}

static void test_quarantine_table(void **state)
{
	static const char q[] = "{" WITH ", 'quarantine': {'table': 'w.bad'}}";

	(void)state;
	put("c.yaml", contract);
	put("in.csv", BAD_CSV);
	for (int again = 0; again < 2; again++) {
		good("19", q);
		assert_string_equal(
			query("SELECT row, \"column\", rule, value, typeof(row) FROM bad"),
			"2|id|unique|1|integer 3|id|nullable|NULL|integer "
			"4|amount|range|-3|integer 5|status|enum|lost|integer "
			"6|NULL|ragged|NULL|integer 7|NULL|format|NULL|integer "
			"8|NULL|encoding|NULL|integer");
	}
	assert_string_equal(json_string_value(json_object_get(outputs, "quarantine")), "w.bad");
	good("20", q);
	assert_string_equal(query("SELECT count(*) FROM bad"), "14");
	put("in.csv", GOOD_CSV);
	good("19", q);
	assert_string_equal(query("SELECT count(*) FROM bad"), "7");
	/* No spool is left. */
	assert_int_equal(rmdir("quarantine/sales"), 0);
}

static void test_max_rejected(void **state)
{
	(void)state;
	put("c.yaml", contract);
	put("in.csv", GOOD_CSV);
	good("19", "{" WITH "}");
	put("in.csv", BAD_CSV);
	bad("{" WITH ", 'max_rejected': '10%'}", ERR_DATA, "7 of 9 rows (77.8%) were rejected");
	assert_string_equal(query("SELECT count(*) FROM o"), "2");
	assert_string_equal(file_text("quarantine/sales/orders-2026-11-19.csv"), quarantined);
	assert_int_equal(output("rows_rejected"), 7);
	assert_int_equal(output("rows_out"), 0);
	bad("{" WITH ", 'max_rejected': '6', 'quarantine': {'table': 'w.bad'}}", ERR_DATA,
		"more than max_rejected: 6");
	assert_string_equal(query("SELECT count(*) FROM bad"), "7");
	assert_string_equal(query("SELECT count(*) FROM o"), "2");
	good("19", "{" WITH ", 'max_rejected': '7'}");
	put("in.csv", "id,amount,status,email\nx,,,\ny,,,\n");
	bad("{" WITH "}", ERR_DATA, "all 2 rows were rejected");
	good("19", "{" WITH ", 'max_rejected': '100%'}");
	assert_string_equal(query("SELECT count(*) FROM o"), "0");
}

static void test_modes(void **state)
{
	static const struct {
		const char *mode;
		/* Rows after: day 19, again, changed to one row, day 20. */
		const char *counts[4];
	} modes[] = {
		{ "'mode': 'append'", { "2", "2", "2", "4" } },
		{ "'mode': 'replace'", { "2", "2", "1", "2" } },
		{ "'mode': 'replace_partition'", { "2", "2", "1", "3" } },
		{ "'mode': 'merge', 'key': ['id']", { "2", "2", "2", "2" } },
	};

	(void)state;
	put("c.yaml", contract);
	for (size_t i = 0; i < 4; i++) {
		char params[256];
		snprintf(params, sizeof params,
			"{'path': 'in.csv', 'contract': 'c.yaml', 'into': 'w.t%zu', %s}", i,
			modes[i].mode);
		for (int step = 0; step < 4; step++) {
			char sql[64];
			put("in.csv", step == 2 ? "id,amount,status,email\n1,7,,\n" : GOOD_CSV);
			good(step == 3 ? "20" : "19", params);
			snprintf(sql, sizeof sql, "SELECT count(*) FROM t%zu", i);
			assert_string_equal(query(sql), modes[i].counts[step]);
			bool already = json_is_true(json_object_get(outputs, "already"));
			assert_int_equal(already, i == 0 && (step == 1 || step == 2));
			if (already)
				assert_int_equal(output("rows_out"), 2);
		}
	}
}

static void test_fenced(void **state)
{
	(void)state;
	put("c.yaml", contract);
	put("in.csv", GOOD_CSV);
	token = 10;
	good("19", "{" WITH "}");
	token = 5;
	bad("{" WITH "}", ERR_FENCED, "");
}

/* An attempt that comes late neither replaces nor removes the rejected rows of a newer one,
 * wherever its good rows go. */
static void test_fenced_quarantine(void **state)
{
	static const char *const with[] = { WITH,
		"'path': 'in.csv', 'contract': 'c.yaml', 'to_file': 'good.csv'",
		WITH ", 'max_rejected': '1%'" };
	const char *q = "quarantine/sales/orders-2026-11-19.csv";
	char params[200], before[4096];

	(void)state;
	put("c.yaml", contract);
	for (size_t i = 0; i < sizeof with / sizeof *with; i++) {
		snprintf(params, sizeof params, "{%s}", with[i]);
		token = 100 * (int64_t)(i + 1);
		put("in.csv", BAD_CSV);
		assert_int_equal(run_day("19", params), i == 2 ? -1 : 0);
		snprintf(before, sizeof before, "%s", file_text(q));
		assert_non_null(strstr(before, "lost"));
		token -= 10;
		put("in.csv", GOOD_CSV);
		bad(params, ERR_FENCED, "newer attempt");
		assert_string_equal(file_text(q), before);
		put("in.csv", "id,amount,status,email\n9,-1,never,z@x\n");
		bad(params, ERR_FENCED, "newer attempt");
		assert_string_equal(file_text(q), before);
	}
}

static void test_columns(void **state)
{
	(void)state;
	put("c.yaml", contract);
	/* Renamed, in another order, with an extra one. */
	put("in.csv", "e_mail,extra,status,id,amount\nm@x,?,open,5,1\n");
	good("19", "{" WITH "}");
	assert_string_equal(query(ROWS), "5|1.0|open|m@x");
	/* Both names: the present one counts. */
	put("in.csv", "e_mail,email,status,id,amount\nold,new,open,5,1\n");
	good("19", "{" WITH "}");
	assert_string_equal(query("SELECT email FROM o"), "new");
	put("in.csv", "email,e_mail,status,id,amount\nnew,old,open,5,1\n");
	good("19", "{" WITH "}");
	assert_string_equal(query("SELECT email FROM o"), "new");
	put("in.csv", "id,amount,status\n5,1,open\n");
	bad("{" WITH "}", ERR_DATA, "missing columns: email");
	put("in.csv", "id,amount,id,email\n5,1,open,x\n");
	bad("{" WITH "}", ERR_DATA, "\"id\" twice");
	put("in.csv", "");
	bad("{" WITH "}", ERR_DATA, "empty");
	put("c.yaml", "contract: o\ncolumns: { id: { type: integer }, n: {} }\n"
		      "on_missing_column: \"null\"\non_extra_column: fail\n");
	put("in.csv", "id\n1\n");
	good("21", "{'path': 'in.csv', 'contract': 'c.yaml', 'into': 'w.p'}");
	assert_string_equal(query("SELECT id, n FROM p"), "1|NULL");
	put("in.csv", "id,x,y\n1,2,3\n");
	bad("{'path': 'in.csv', 'contract': 'c.yaml', 'into': 'w.p'}", ERR_DATA, "x, y");
}

static void test_without_contract(void **state)
{
	(void)state;
	put("in.csv", "a,b c,\n007,\"\",z\n,NA,\n");
	good("19", "{'path': 'in.csv', 'into': 'w.o', 'null': ['NA']}");
	assert_string_equal(query("SELECT a, quote(\"b c\"), column3 FROM o"), "007|''|z |NULL|");
	put("in.csv", "a,b\n1,2\n");
	good("20", "{'path': 'in.csv', 'into': 'w.n', 'mode': 'replace'}");
	assert_string_equal(query("SELECT quote(a), quote(b) FROM n"), "'1'|'2'");
	put("in.csv", "a,b\n");
	good("20", "{'path': 'in.csv', 'into': 'w.n', 'mode': 'replace'}");
	assert_string_equal(query("SELECT count(*) FROM n"), "0");
	put("in.ndjson", "");
	bad("{'path': 'in.ndjson', 'into': 'w.n'}", ERR_DATA, "no rows");
}

static void test_csv_parameters(void **state)
{
	(void)state;
	put("c.yaml", "contract: c\ncolumns: { a: { type: integer }, b: {} }\n");
	put("in.txt", "1;x;y\n2\n3;y;\n");
	good("19",
		"{'path': 'in.txt', 'contract': 'c.yaml', 'into': 'w.o', 'delimiter': 'semicolon',"
		"'header': false, 'ragged': 'null'}");
	assert_string_equal(query("SELECT a, b FROM o"), "2|NULL 3|y");
	assert_int_equal(output("rows_rejected"), 1);
	bad("{'path': 'in.txt', 'contract': 'c.yaml', 'into': 'w.o', 'delimiter': ';',"
	    "'header': false, 'ragged': 'fail'}",
		ERR_DATA, "row 1 has 3 fields, the header has 2");
	put("in.txt", "a\tb\n1\tx\n");
	good("19", "{'path': 'in.txt', 'into': 'w.o', 'contract': 'c.yaml', 'delimiter': 'tab'}");
	assert_string_equal(query("SELECT a, b FROM o"), "1|x");
	put("in.txt", "a,b\n1,\"x\n2,y\n");
	bad("{'path': 'in.txt', 'into': 'w.o', 'contract': 'c.yaml'}", ERR_DATA, "never closed");
	assert_string_equal(query("SELECT a, b FROM o"), "1|x");
}

static void test_ndjson(void **state)
{
	(void)state;
	put("c.yaml", contract);
	put("in.ndjson", "{\"id\":9007199254740993,\"amount\":1.25,\"status\":\"paid\"}\n"
			 "{\"id\":\"x\"}\n"
			 "nonsense\n"
			 "{\"e_mail\":{\"a\":[1]},\"id\":2,\"more\":1}\n");
	good("19", "{'path': 'in.ndjson', 'contract': 'c.yaml', 'into': 'w.o'}");
	assert_string_equal(query(ROWS), "9007199254740993|1.25|paid|NULL 2|NULL|NULL|{\"a\":[1]}");
	assert_string_equal(file_text("quarantine/sales/orders-2026-11-19.csv"),
		"file,row,column,rule,value,raw\n"
		"in.ndjson,2,id,type,x,\"{\"\"id\"\":\"\"x\"\"}\"\n"
		"in.ndjson,3,,format,,nonsense\n");
	put("in.json", "{\"a\":1,\"b\":true}\n{\"b\":null,\"c\":3}\n");
	good("19", "{'path': 'in.json', 'into': 'w.n'}");
	assert_string_equal(query("SELECT a, b FROM n"), "1|true NULL|NULL");
}

static void test_missing_file(void **state)
{
	(void)state;
	put("c.yaml", contract);
	put("in.csv", GOOD_CSV);
	good("19", "{" WITH "}");
	unlink("in.csv");
	bad("{" WITH "}", ERR_IO, "no such file, yet");
	assert_true(err_info(err.code)->transient);
	good("19", "{" WITH ", 'on_missing_file': 'skip'}");
	assert_string_equal(query("SELECT count(*) FROM o"), "2");
	assert_int_equal(output("files"), 0);
	good("19", "{" WITH ", 'on_missing_file': 'empty'}");
	assert_string_equal(query("SELECT count(*) FROM o"), "0");
	/* Late, it is taken by the next attempt. */
	put("in.csv", GOOD_CSV);
	good("19", "{" WITH "}");
	assert_string_equal(query("SELECT count(*) FROM o"), "2");
	bad("{'path': 'no*.csv', 'into': 'w.o'}", ERR_IO, "no such file");
}

static void put_gzip(const char *name, const char *text)
{
	gzFile f = gzopen(name, "wb");

	assert_true(gzwrite(f, text, (unsigned)strlen(text)) > 0);
	assert_int_equal(gzclose(f), Z_OK);
}

static void put_zstd(const char *name, const char *text)
{
	char out[4096];
	size_t n = ZSTD_compress(out, sizeof out, text, strlen(text), 3);

	assert_int_equal(io_write_file(name, out, n, &err), 0);
}

static void test_glob_and_compression(void **state)
{
	(void)state;
	put("c.yaml", contract);
	put("in/c.csv", "id,email,amount,status\n5,x,1,paid\n2,again,1,paid\n");
	put_gzip("in/a.csv.gz", GOOD_CSV);
	put_zstd("in/b.csv.zst", "id,amount,status,email\n3,1,open,\n");
	put("in/d.csv/x", "a folder is no file");
	good("19", "{'path': 'in/*.csv*', 'contract': 'c.yaml', 'into': 'w.o'}");
	assert_string_equal(query("SELECT id FROM o"), "1 2 3 5");
	assert_int_equal(output("files"), 3);
	assert_int_equal(output("rows_rejected"), 1);
	assert_string_equal(file_text("quarantine/sales/orders-2026-11-19.csv"),
		"file,row,column,rule,value,raw\n"
		"in/c.csv,2,id,unique,2,\"2,again,1,paid\"\n");
	put("in/e[1].csv", GOOD_CSV);
	good("19", "{'path': 'in/e[1].csv', 'contract': 'c.yaml', 'into': 'w.e'}");
	assert_string_equal(query("SELECT count(*) FROM e"), "2");
	/* Cut off: nothing of it is kept. */
	struct buf b;
	buf_init(&b, 1 << 16);
	assert_int_equal(io_read_file("in/a.csv.gz", &b, &err), 0);
	assert_int_equal(io_write_file("cut.csv.gz", b.data, b.len - 9, &err), 0);
	buf_release(&b);
	bad("{'path': 'cut.csv.gz', 'contract': 'c.yaml', 'into': 'w.o'}", ERR_DATA, "cut off");
	assert_string_equal(query("SELECT count(*) FROM o"), "4");
}

static void test_to_file(void **state)
{
	(void)state;
	put("c.yaml", contract);
	put("in.csv", "id,amount,status,email\n1,0.1,paid,\"a,\"\"b\"\n2,,open,\"\"\nx,,,\n");
	good("19", "{'path': 'in.csv', 'contract': 'c.yaml', 'to_file': 'out/o.csv'}");
	assert_string_equal(file_text("out/o.csv"),
		"id,amount,status,email\n1,0.1,paid,\"a,\"\"b\"\n2,,open,\"\"\n");
	assert_int_equal(output("rows_out"), 2);
	good("19", "{'path': 'in.csv', 'contract': 'c.yaml', 'to_file': 'out/o.ndjson'}");
	assert_string_equal(file_text("out/o.ndjson"),
		"{\"id\":1,\"amount\":0.1,\"status\":\"paid\",\"email\":\"a,\\\"b\"}\n"
		"{\"id\":2,\"amount\":null,\"status\":\"open\",\"email\":\"\"}\n");
	bad("{'path': 'in.csv', 'contract': 'c.yaml', 'to_file': 'out/o.csv', 'max_rejected': '0'}",
		ERR_DATA, "rejected");
	assert_string_equal(file_text("out/o.csv"),
		"id,amount,status,email\n1,0.1,paid,\"a,\"\"b\"\n2,,open,\"\"\n");
	good("19", "{'path': 'in.csv', 'contract': 'c.yaml', 'to_file': 'out/o.csv.gz'}");
	good("19", "{'path': 'out/o.csv.gz', 'contract': 'c.yaml', 'into': 'w.o'}");
	assert_string_equal(query("SELECT id, quote(email) FROM o"), "1|'a,\"b' 2|''");
}

/* More rows than one batch of the two threads holds, and an error in the midst of them. */
static void test_many_rows(void **state)
{
	struct buf b;

	(void)state;
	put("c.yaml", contract);
	buf_init(&b, 64u << 20);
	buf_addstr(&b, "id,amount,status,email\n");
	for (int i = 0; i < 100000; i++)
		buf_addf(&b, "%d,%d.5,%s,user%d@example.com\n", i, i, i % 2 ? "paid" : "open", i);
	assert_int_equal(io_write_file("in.csv", b.data, b.len, &err), 0);
	good("19", "{" WITH "}");
	assert_string_equal(query("SELECT count(*), sum(id), sum(amount) FROM o"),
		"100000|4999950000|5000000000.0");
	assert_string_equal(
		query("SELECT count(*) FROM o WHERE email <> 'user'||id||'@example.com'"), "0");
	buf_addstr(&b, "\"");
	assert_int_equal(io_write_file("in.csv", b.data, b.len, &err), 0);
	bad("{" WITH "}", ERR_DATA, "in.csv:100002:");
	assert_string_equal(query("SELECT count(*) FROM o"), "100000");
	/* The consumer's error ends the producer. */
	bad("{'path': 'in.csv', 'contract': 'c.yaml', 'into': 'w.o', 'mode': 'merge', 'key': "
	    "['zz']}",
		ERR_DATA, "zz");
	buf_release(&b);
}

static void test_bad_contract(void **state)
{
	(void)state;
	put("c.yaml", "contract: o\ncolumns: { id: { type: int } }\n");
	put("in.csv", "id\n1\n");
	bad("{" WITH "}", ERR_INVALID, "c.yaml:2:");
}

/* ---- validation ------------------------------------------------------------------------ */

static const struct {
	const char *with, *message; /* NULL: no error */
} checks[] = {
	{ "{ path: x, into: w.o }", NULL },
	{ "{ path: x, into: w.o, contract: c.yaml, mode: merge, key: id }", NULL },
	{ "{ path: x, into: w.o, contract: 'c-{{ ds }}.yaml' }", NULL },
	{ "{ path: x }", "into" },
	{ "{ path: x, into: w.o, to_file: y }", "exclude" },
	{ "{ path: x, to_file: y, mode: append }", "for tables" },
	{ "{ path: x, into: w.o, mode: merge }", "needs \"key\"" },
	{ "{ path: x, into: w.o, key: [id] }", "mode merge only" },
	{ "{ path: x, into: w.o, contract: c.yaml, mode: merge, key: [id, zz] }",
		"no column \"zz\"" },
	{ "{ path: x, into: w.o, contract: c.yaml, mode: merge, key: e_mail }", "no column" },
	{ "{ path: x, into: w.o, contract: bad.yaml }", "int" },
	{ "{ path: x, into: w.o, delimiter: \"ab\" }", "delimiter" },
	{ "{ path: x, into: w.o, delimiter: tab }", NULL },
	{ "{ path: x, into: w.o, header: false }", "contract must say" },
	{ "{ path: x, into: w.o, on_missing_file: empty }", "needs a contract" },
	{ "{ path: x, into: w.o, max_rejected: lots }", "percentage" },
	{ "{ path: x, into: w.o, formt: csv }", "formt" },
	{ "{ path: x, into: w.o, quarantine: { file: a, table: w.b } }", "" },
	{ "{ path: x, into: w.o, encoding: latin1 }", "latin1" },
};

static void test_checks(void **state)
{
	(void)state;
	put("c.yaml", contract);
	put("bad.yaml", "contract: o\ncolumns: { id: { type: int } }\n");
	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
		struct schema_env env = { .dir = dir };
		struct yaml_doc doc;
		struct diags diags;
		struct buf text;
		diags_init(&diags);
		buf_init(&text, 1 << 20);
		assert_int_equal(
			yaml_parse(&doc, "d.yaml", checks[i].with, strlen(checks[i].with), &diags),
			0);
		if (schema_check(doc.root, operator_ingest_file.params, "ingest: file", &env,
			    &diags) == 0)
			operator_ingest_file.check(&(struct operator_check){
				.with = doc.root, .dir = dir, .diags = &diags });
		diags_print(&diags, &text, false);
		bool failed = diags.nerrors > 0;
		if (failed != (checks[i].message != NULL) ||
			(failed && !strstr(text.data, checks[i].message)))
			fail_msg("%s: %s", checks[i].with, text.data);
		buf_release(&text);
		diags_release(&diags);
		yaml_release(&doc);
	}
}

/* ---- real data ------------------------------------------------------------------------- */

static char *shared(const char *rel)
{
	char *path = io_path_join(old_dir, cases_path(rel)); /* the test stands elsewhere */

	if (!io_exists(path)) {
		free(path);
		print_message("skipped: the shared cases are not here (WEIR_CASES)\n");
		skip();
	}
	return path;
}

static void test_taxis(void **state)
{
	char *path = shared("data/taxis.csv"), params[512];

	(void)state;
	put("c.yaml", "contract: taxis\n"
		      "columns:\n"
		      "  pickup: { type: timestamp, nullable: false }\n"
		      "  dropoff: { type: timestamp, nullable: false }\n"
		      "  passengers: { type: integer, range: { min: 1 } }\n"
		      "  distance: { type: decimal }\n  fare: { type: decimal }\n"
		      "  tip: { type: decimal }\n  tolls: { type: decimal }\n"
		      "  total: { type: decimal }\n"
		      "  color: { enum: [yellow, green] }\n"
		      "  payment: { enum: [credit card, cash] }\n"
		      "  pickup_zone: {}\n  dropoff_zone: {}\n"
		      "  pickup_borough: {}\n  dropoff_borough: {}\n");
	snprintf(
		params, sizeof params, "{'path': '%s', 'contract': 'c.yaml', 'into': 'w.t'}", path);
	good("19", params);
	assert_int_equal(output("rows_in"), 6433);
	/* 91 trips have no passengers. */
	assert_int_equal(output("rows_rejected"), output("rows_in") - output("rows_out"));
	assert_string_equal(query("SELECT count(*) FROM t WHERE passengers < 1"), "0");
	assert_string_equal(query("SELECT pickup FROM t LIMIT 1"), "2019-03-23T20:21:09");
	char *sum = strdup(query("SELECT round(sum(total), 2) FROM t"));
	good("19", params);
	assert_string_equal(query("SELECT round(sum(total), 2) FROM t"), sum);
	free(sum);
	free(path);
}

static void test_yellow(void **state)
{
	char *path = shared("data/yellow_tripdata_sample_2019-01.csv.gz"), params[512];

	(void)state;
	snprintf(params, sizeof params, "{'path': '%s', 'into': 'w.y'}", path);
	good("19", params);
	assert_int_equal(output("rows_in"), 10000);
	assert_string_equal(query("SELECT count(*) FROM y"), "10000");
	free(path);
}

static void test_metrics_tsv(void **state)
{
	char *path = shared("data/monthly_metrics.tsv"), params[512];

	(void)state;
	snprintf(params, sizeof params, "{'path': '%s', 'into': 'w.m', 'delimiter': 'tab'}", path);
	good("19", params);
	assert_string_equal(query("SELECT count(*), min(month) FROM m"), "36|2018-01");
	free(path);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_good_rows),
		TEST(test_quarantine_file),
		TEST(test_quarantine_table),
		TEST(test_max_rejected),
		TEST(test_modes),
		TEST(test_fenced),
		TEST(test_fenced_quarantine),
		TEST(test_columns),
		TEST(test_without_contract),
		TEST(test_csv_parameters),
		TEST(test_ndjson),
		TEST(test_missing_file),
		TEST(test_glob_and_compression),
		TEST(test_to_file),
		TEST(test_many_rows),
		TEST(test_bad_contract),
		TEST(test_checks),
		TEST(test_taxis),
		TEST(test_yellow),
		TEST(test_metrics_tsv),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
