/* The CSV reader: RFC 4180 and beyond, at every size of reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/rng.h"
#include "data/csv.h"
#include "tests/lib/cases.h"
#include "tests/lib/feed.h"

static void show_record(struct buf *out, const struct csv_record *rec)
{
	buf_addc(out, rec->problem == CSV_OK ? '[' : "?8!!"[rec->problem]);
	for (size_t i = 0; i < rec->n; i++) {
		const struct csv_field *f = &rec->fields[i];
		assert_false(f->escaped);
		buf_addstr(out, i ? "|" : "");
		buf_addstr(out, f->quoted ? "'" : "");
		buf_add(out, f->text, f->len);
		buf_addstr(out, f->quoted ? "'" : "");
	}
	buf_addc(out, ']');
}

struct setup {
	size_t step, max_record;
	char delimiter;
};

/* All records as text; an error ends it with its message. */
static char *show(const char *text, size_t len, const struct setup *how)
{
	struct feed feed = { text, len, 0, how->step };
	struct csv_config config = { feed_read, &feed, "f.csv", how->delimiter, how->max_record };
	struct csv_reader *r;
	struct csv_record rec;
	struct err err = { 0 };
	struct buf out;
	int rc;

	buf_init(&out, 64u << 20);
	assert_int_equal(csv_new(&r, &config, &err), 0);
	while ((rc = csv_next(r, &rec, &err)) > 0)
		show_record(&out, &rec);
	if (rc < 0)
		buf_addf(&out, "error: %s", err.msg);
	csv_free(r);
	char *got = buf_take(&out);
	assert_non_null(got);
	return got;
}

#define CASE(text, expected)                         \
	{                                            \
		text, sizeof text - 1, expected, ',' \
	}
static const struct {
	const char *text;
	size_t len;
	const char *expected;
	char delimiter;
} cases[] = {
	CASE("", ""),
	CASE("\n\n\r\n", ""),
	CASE("a", "[a]"),
	CASE("a\r", "[a]"),
	CASE("\r", ""),
	CASE("a,b\n1,2\n", "[a|b][1|2]"),
	CASE("a,b\r\n1,2\r\n", "[a|b][1|2]"),
	CASE("a,b\n1,2", "[a|b][1|2]"),
	CASE("a,b\n1,", "[a|b][1|]"),
	CASE("a,b\n,", "[a|b][|]"),
	CASE(",\n", "[|]"),
	CASE("\xef\xbb\xbf"
	     "a,b\n1,2\n",
		"[a|b][1|2]"),
	CASE("\xef\xbb\xbf\"a\",b\n", "['a'|b]"),
	CASE("a\n\n\nb\r\n\r\nc", "[a][b][c]"),
	CASE("\"a\",\"b\"\n", "['a'|'b']"),
	CASE("\"a,1\",\"b\n2\"\n", "['a,1'|'b\n2']"),
	CASE("\"a\r\nb\"\r\nc\r\n", "['a\r\nb'][c]"),
	CASE("\"say \"\"hi\"\"\",x\n", "['say \"hi\"'|x]"),
	CASE("\"\"\"\"\n", "['\"']"),
	CASE("\"\"\"\"\"\",\"\"\"a\"\"\"\n", "['\"\"'|'\"a\"']"),
	CASE("\"\",\n", "[''|]"),
	CASE("\"\"", "['']"),
	CASE("\"a\"", "['a']"),
	CASE("\"a\"\r\n", "['a']"),
	CASE("\"a\"\r", "['a']"),
	CASE("ab\"c,d\"\"e\n", "[ab\"c|d\"\"e]"),
	CASE("a\rb,c\n", "[a\rb|c]"),
	/* Text behind a closing quote: this record only. */
	CASE("\"a\"b,c\nd,e\n", "!'a'|c][d|e]"),
	CASE("\"a\" ,c\nd,e\n", "!'a'|c][d|e]"),
	CASE("\"a\"b\"c\"\nd\n", "!'a'][d]"),
	/* Not UTF-8, zero bytes: this record only. */
	CASE("a\xff"
	     "b,c\nd,e\n",
		"8a\xff"
		"b|c][d|e]"),
	CASE("\xc3\xa4,\xe2\x82\xac,\xf0\x9f\x90\x9f\n",
		"[\xc3\xa4|\xe2\x82\xac|\xf0\x9f\x90\x9f]"),
	CASE("\xc0\xaf\nx\n", "8\xc0\xaf][x]"),
	CASE("\xed\xa0\x80\nx\n", "8\xed\xa0\x80][x]"),
	CASE("\xf4\x90\x80\x80\nx\n", "8\xf4\x90\x80\x80][x]"),
	CASE("\xe2\x82\n", "8\xe2\x82]"),
	/* What never ends. */
	CASE("a,b\n1,\"2\n3,4\n", "[a|b]error: f.csv:2: a quote opened in the record that starts "
				  "here is never closed"),
	CASE("\"", "error: f.csv:1: a quote opened in the record that starts here is never closed"),
	CASE("\"a\"\"", "error: f.csv:1: a quote opened in the record that starts here is never "
			"closed"),
	CASE("\"x\ny\"\n\n\"z", "['x\ny']error: f.csv:4: a quote opened in the record that starts "
				"here is never closed"),
	{ "a;b\n1,5;\"x;y\"\n", 14, "[a|b][1,5|'x;y']", ';' },
	{ "a\tb\n\t\n", 6, "[a|b][|]", '\t' },
	{ "a|b\n", 4, "[a|b]", '|' },
};

static void test_cases(void **state)
{
	static const size_t steps[] = { 1, 2, 3, 7, 63, 64, 65, 1000000 };
	static const size_t sizes[] = { 0, 64, 70 };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (size_t k = 0; k < 8; k++)
			for (size_t m = 0; m < 3; m++) {
				struct setup how = { steps[k], sizes[m], cases[i].delimiter };
				char *got = show(cases[i].text, cases[i].len, &how);
				assert_string_equal(got, cases[i].expected);
				free(got);
			}
}

static void test_zero_byte(void **state)
{
	static const char text[] = "a,b\nx\0y,1\nz,2\n";
	struct feed feed = { text, sizeof text - 1, 0, 100 };
	struct csv_config config = { feed_read, &feed, "f.csv", ',', 0 };
	struct csv_reader *r;
	struct csv_record rec;

	(void)state;
	assert_int_equal(csv_new(&r, &config, NULL), 0);
	assert_int_equal(csv_next(r, &rec, NULL), 1);
	assert_int_equal(csv_next(r, &rec, NULL), 1);
	assert_int_equal(rec.problem, CSV_NUL);
	assert_int_equal(rec.n, 2);
	assert_int_equal(rec.fields[0].len, 3);
	assert_int_equal(rec.raw_len, 5);
	assert_int_equal(csv_next(r, &rec, NULL), 1);
	assert_int_equal(rec.problem, CSV_OK);
	assert_int_equal(rec.line, 3);
	assert_int_equal(csv_next(r, &rec, NULL), 0);
	assert_int_equal(csv_next(r, &rec, NULL), 0);
	csv_free(r);
}

static void test_raw_and_lines(void **state)
{
	static const char text[] = "h\r\n\r\n\"x\r\ny\",\"q\"\"\"\r\nz";
	struct feed feed = { text, sizeof text - 1, 0, 5 };
	struct csv_config config = { feed_read, &feed, "f.csv", ',', 0 };
	struct csv_reader *r;
	struct csv_record rec;

	(void)state;
	assert_int_equal(csv_new(&r, &config, NULL), 0);
	assert_int_equal(csv_next(r, &rec, NULL), 1);
	assert_int_equal(rec.line, 1);
	assert_int_equal(csv_next(r, &rec, NULL), 1);
	assert_int_equal(rec.line, 3);
	assert_int_equal(rec.raw_len, 12);
	assert_memory_equal(rec.raw, "\"x\r\ny\",\"q\"\"\"", 12);
	assert_int_equal(csv_next(r, &rec, NULL), 1);
	assert_int_equal(rec.line, 5);
	assert_memory_equal(rec.raw, "z", 1);
	csv_free(r);
}

static void test_limits(void **state)
{
	struct setup small = { 4096, 100, ',' };
	char text[400];

	(void)state;
	memset(text, 'x', sizeof text);
	memcpy(text, "a,b\n", 4);
	char *got = show(text, sizeof text, &small);
	assert_string_equal(got, "[a|b]error: f.csv:2: the record that starts here is longer than "
				 "100 bytes; is a quote not closed?");
	free(got);

	char *many = malloc(CSV_FIELDS_MAX + 8);
	assert_non_null(many);
	memset(many, ',', CSV_FIELDS_MAX + 8);
	struct feed feed = { many, CSV_FIELDS_MAX - 1, 0, 1 << 20 };
	struct csv_config config = { feed_read, &feed, "f.csv", ',', 0 };
	struct csv_reader *r;
	struct csv_record rec;
	struct err err;
	assert_int_equal(csv_new(&r, &config, NULL), 0);
	assert_int_equal(csv_next(r, &rec, NULL), 1);
	assert_int_equal(rec.n, CSV_FIELDS_MAX);
	csv_free(r);
	feed = (struct feed){ many, CSV_FIELDS_MAX, 0, 1 << 20 };
	assert_int_equal(csv_new(&r, &config, NULL), 0);
	assert_int_equal(csv_next(r, &rec, &err), -1);
	assert_int_equal(err.code, ERR_DATA);
	csv_free(r);
	free(many);
}

static ssize_t read_fails(void *arg, void *to, size_t size, struct err *err)
{
	int *calls = arg;

	if (++*calls > 1)
		return err_set(err, ERR_IO, "gone");
	memset(to, 'x', size < 10 ? size : 10);
	return 10;
}

static void test_read_error(void **state)
{
	int calls = 0;
	struct csv_config config = { read_fails, &calls, "f.csv", ',', 0 };
	struct csv_reader *r;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(csv_new(&r, &config, &err), -1);
	assert_null(r);
	assert_string_equal(err.msg, "gone");
}

/* Random fields written, then read back, give the same fields. */
static void test_round_trip(void **state)
{
	static const char *const parts[] = { "a", ",", "\"", "\n", "\r\n", "\xc3\xa4", " ", "",
		"longer text that crosses a block of sixty-four bytes, surely" };
	struct rng rng;

	(void)state;
	rng_init(&rng, 7);
	for (int round = 0; round < 300; round++) {
		struct buf text, expected;
		buf_init(&text, 1 << 20);
		buf_init(&expected, 1 << 20);
		for (uint64_t rows = 1 + rng_below(&rng, 20); rows; rows--) {
			buf_addc(&expected, '[');
			for (uint64_t i = 0, n = 1 + rng_below(&rng, 6); i < n; i++) {
				struct buf field;
				buf_init(&field, 1 << 16);
				for (uint64_t k = rng_below(&rng, 5); k; k--)
					buf_addstr(&field, parts[rng_below(&rng, 9)]);
				buf_addstr(&text, i ? "," : "");
				size_t before = text.len;
				csv_add_field(&text, field.data, field.len, ',');
				bool quoted = text.data[before] == '"';
				buf_addf(&expected, "%s%s%s%s", i ? "|" : "", quoted ? "'" : "",
					field.data, quoted ? "'" : "");
				buf_release(&field);
			}
			buf_addstr(&text, rng_below(&rng, 2) ? "\n" : "\r\n");
			buf_addc(&expected, ']');
		}
		struct setup how = { 1 + rng_below(&rng, 200), 0, ',' };
		char *got = show(text.data, text.len, &how);
		assert_string_equal(got, expected.data);
		free(got);
		buf_release(&text);
		buf_release(&expected);
	}
}

/* ---- cases from elsewhere -------------------------------------------------------------- */

/* The _crlf files are what their names say only before a checkout that normalises line ends. */
static void restore_crlf(struct buf *text)
{
	struct buf with;

	if (strchr(text->data, '\r'))
		return;
	buf_init(&with, 1 << 20);
	for (size_t i = 0; i < text->len; i++) {
		if (text->data[i] == '\n')
			buf_addc(&with, '\r');
		buf_addc(&with, text->data[i]);
	}
	buf_clear(text);
	buf_add(text, with.data, with.len);
	buf_release(&with);
}

static void compare_with_json(const char *name)
{
	char csv_name[128], json_name[128];
	struct buf text;
	struct err err = { 0 };
	json_error_t e;

	snprintf(csv_name, sizeof csv_name, "csv/csvs/%s.csv", name);
	snprintf(json_name, sizeof json_name, "csv/json/%s.json", name);
	const char *csv_path = cases_path(csv_name), *json_path = cases_path(json_name);
	json_t *rows = json_load_file(json_path, 0, &e);
	assert_non_null(rows);
	buf_init(&text, 1 << 20);
	assert_int_equal(io_read_file(csv_path, &text, &err), 0);
	if (strstr(name, "_crlf"))
		restore_crlf(&text);
	struct feed feed = { text.data, text.len, 0, 11 };
	struct csv_config config = { feed_read, &feed, name, ',', 0 };
	struct csv_reader *r;
	struct csv_record rec;
	assert_int_equal(csv_new(&r, &config, &err), 0);
	assert_int_equal(csv_next(r, &rec, &err), 1);
	char *heads[64];
	size_t n = rec.n, row = 0;
	for (size_t i = 0; i < n; i++)
		heads[i] = strndup(rec.fields[i].text, rec.fields[i].len);
	for (; csv_next(r, &rec, &err) > 0; row++) {
		assert_int_equal(rec.n, n);
		assert_int_equal(rec.problem, CSV_OK);
		for (size_t i = 0; i < n; i++) {
			const json_t *v = json_object_get(json_array_get(rows, row), heads[i]);
			assert_int_equal(rec.fields[i].len, json_string_length(v));
			assert_memory_equal(
				rec.fields[i].text, json_string_value(v), rec.fields[i].len);
		}
	}
	assert_int_equal(row, json_array_size(rows));
	for (size_t i = 0; i < n; i++)
		free(heads[i]);
	csv_free(r);
	buf_release(&text);
	json_decref(rows);
}

static void test_spectrum(void **state)
{
	/* Not location_coordinates: its JSON holds another phone number than its CSV. */
	static const char *const names[] = { "comma_in_quotes", "empty", "empty_crlf",
		"escaped_quotes", "json", "newlines", "newlines_crlf", "quotes_and_newlines",
		"simple", "simple_crlf", "utf8" };
	const char *dir = cases_path("csv");
	bool there = io_exists(dir);

	(void)state;
	if (!there) {
		print_message("skipped: the shared cases are not here (WEIR_CASES)\n");
		skip();
	}
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		compare_with_json(names[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_zero_byte),
		cmocka_unit_test(test_raw_and_lines),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_read_error),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_spectrum),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
