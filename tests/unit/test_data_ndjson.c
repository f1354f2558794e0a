/* The NDJSON reader, and NDJSON as a source of rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "data/convert.h"
#include "data/ndjson.h"
#include "data/source.h"
#include "tests/lib/feed.h"

static char *show(const char *text, size_t len, size_t step, size_t max)
{
	struct feed feed = { text, len, 0, step };
	struct ndjson_config config = { feed_read, &feed, "f.ndjson", max };
	struct ndjson_reader *r;
	struct ndjson_record rec;
	struct err err = { 0 };
	struct buf out;
	int rc;

	buf_init(&out, 1 << 20);
	assert_int_equal(ndjson_new(&r, &config, &err), 0);
	while ((rc = ndjson_next(r, &rec, &err)) > 0) {
		char *json = rec.object ? json_dumps(rec.object, JSON_COMPACT) : NULL;
		buf_addf(&out, "%" PRIu64 ":%s ", rec.line, json ? json : "bad");
		free(json);
	}
	if (rc < 0)
		buf_addf(&out, "error: %s", err.msg);
	ndjson_free(r);
	return buf_take(&out);
}

static const struct {
	const char *text, *expected;
} cases[] = {
	{ "", "" },
	{ "\n \n\r\n", "" },
	{ "{\"a\":1}", "1:{\"a\":1} " },
	{ "{\"a\":1}\n", "1:{\"a\":1} " },
	{ "\xef\xbb\xbf{\"a\":1}\n", "1:{\"a\":1} " },
	{ "{\"a\":1}\r\n\r\n{\"a\":2}\r\n", "1:{\"a\":1} 3:{\"a\":2} " },
	{ "{\"a\":\"\\n\"}\n{}\n", "1:{\"a\":\"\\n\"} 2:{} " },
	{ "{\"a\":9223372036854775807}\n", "1:{\"a\":9223372036854775807} " },
	{ "{\"a\":9223372036854775808}\n", "1:bad " },
	{ "{\"a\":1,\"a\":2}\n{\"b\":1}\n", "1:bad 2:{\"b\":1} " },
	{ "[1]\n3\n\"x\"\nnull\n{\n}\n", "1:bad 2:bad 3:bad 4:bad 5:bad 6:bad " },
	/* The second line ends where the smaller buffer does. */
	{ "{\"a\":1}\n{\"a\":\"012345678901234567890123\"}\n{}\n",
		"1:{\"a\":1} 2:{\"a\":\"012345678901234567890123\"} 3:{} " },
	{ "{\"a\":1} {\"b\":2}\n{\"c\":3}\n", "1:bad 2:{\"c\":3} " },
	{ "{\"a\":\"\\u0000\"}\n", "1:bad " },
	{ "{\"a\":\"\xff\"}\n{\"a\":NaN}\n", "1:bad 2:bad " },
};

static void test_cases(void **state)
{
	static const size_t steps[] = { 1, 3, 1000 }, sizes[] = { 0, 40 };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (size_t k = 0; k < 3; k++)
			for (size_t m = 0; m < 2; m++) {
				char *got = show(
					cases[i].text, strlen(cases[i].text), steps[k], sizes[m]);
				assert_string_equal(got, cases[i].expected);
				free(got);
			}
}

static void test_limit(void **state)
{
	(void)state;
	char *got = show("{\"a\":1}\n{\"a\":\"0123456789012345678901234567890\"}\n", 50, 7, 20);
	assert_string_equal(got, "1:{\"a\":1} error: f.ndjson:2: the line is longer than 20 bytes");
	free(got);
}

/* Thousands of brackets end in a bad line, not in a crash. */
static void test_deep(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_addstr(&b, "{\"a\":");
	buf_addpad(&b, '[', 100000);
	buf_addpad(&b, ']', 100000);
	buf_addstr(&b, "}\n{}\n");
	char *got = show(b.data, b.len, 4096, 0);
	assert_string_equal(got, "1:bad 2:{} ");
	free(got);
	buf_release(&b);
}

static void show_row(struct buf *out, const struct row *row)
{
	buf_addc(out, '[');
	for (size_t i = 0; i < row->n; i++) {
		buf_addf(out, "%s%c", i ? "|" : "", "ntif"[row->cells[i].type]);
		convert_add_text(out, &row->cells[i]);
	}
	buf_addc(out, ']');
}

static void test_source(void **state)
{
	static const char text[] = "{\"a\":1,\"b\":\"x\"}\n"
				   "{\"b\":\"y\",\"c\":{\"k\":[1,2]},\"a\":1.5}\n"
				   "oops\n"
				   "{\"d\":true,\"e\":null,\"a\":-9007199254740993}\n";
	char path[] = "/tmp/weir-ndjson-XXXXXX";
	struct source_config config = { .path = path, .format = SOURCE_NDJSON };
	struct contract_violation v;
	struct source_reader *s;
	enum source_result got;
	struct err err;
	struct row row;
	struct buf out;

	(void)state;
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, text, sizeof text - 1, &err), 0);
	close(fd);
	assert_int_equal(source_open(&s, &config, &err), 0);
	buf_init(&out, 1 << 16);
	while ((got = source_next(s, &row, &v, &err)) > SOURCE_END)
		if (got == SOURCE_ROW)
			show_row(&out, &row);
		else
			buf_addf(&out, "<%" PRIu64 " %s %.*s>", row.number,
				contract_rule_names[v.rule], (int)row.raw_len, row.raw);
	assert_int_equal(got, SOURCE_END);
	assert_string_equal(out.data, "[i1|tx][f1.5|ty|t{\"k\":[1,2]}]<3 format oops>"
				      "[i-9007199254740993|n|n|ttrue|n]");
	size_t n;
	const char *const *names = source_columns(s, &n);
	assert_int_equal(n, 5);
	assert_string_equal(names[4], "e");
	assert_int_equal(source_bytes(s), sizeof text - 1);
	source_close(s);
	buf_release(&out);
	unlink(path);
}

static void test_format_of(void **state)
{
	static const struct {
		const char *path;
		enum source_format format;
	} names[] = { { "a.csv", SOURCE_CSV }, { "a.ndjson", SOURCE_NDJSON },
		{ "a.jsonl.gz", SOURCE_NDJSON }, { "a.JSON.zst", SOURCE_NDJSON },
		{ "a.txt", SOURCE_CSV }, { "a.json.csv.gz", SOURCE_CSV }, { "json", SOURCE_CSV } };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_int_equal(source_format_of(names[i].path), names[i].format);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_deep),
		cmocka_unit_test(test_source),
		cmocka_unit_test(test_format_of),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
