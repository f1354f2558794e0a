/* Contracts: their files and errors, conversions, rules, and the set behind `unique`. */
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
#include "base/rng.h"
#include "conf/diag.h"
#include "data/contract.h"
#include "data/unique.h"

static char path[64];

static int setup(void **state)
{
	(void)state;
	snprintf(path, sizeof path, "/tmp/weir-contract-XXXXXX");
	int fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(path);
}

static struct contract *load(const char *yaml, struct diags *diags)
{
	struct contract *c;

	assert_int_equal(io_write_file(path, yaml, strlen(yaml), NULL), 0);
	return contract_load(&c, path, diags) == 0 ? c : NULL;
}

static struct contract *good(const char *yaml)
{
	struct diags diags;
	struct buf text;

	diags_init(&diags);
	struct contract *c = load(yaml, &diags);
	if (!c) {
		buf_init(&text, 1 << 20);
		diags_print(&diags, &text, false);
		fail_msg("%s", text.data);
	}
	diags_release(&diags);
	return c;
}

/* ---- files ----------------------------------------------------------------------------- */

#define HEAD "contract: orders\ncolumns:\n"

static const struct {
	const char *yaml;
	int line, col;
	const char *message;
} wrong[] = {
	{ "", 1, 1, "empty" },
	{ "contract: orders\n", 1, 1, "columns" },
	{ "contract: orders\ncolumns: {}\n", 2, 10, "" },
	{ HEAD "  a: { type: int }\n", 3, 14, "int" },
	{ HEAD "  a: { typ: integer }\n", 3, 8, "typ" },
	{ HEAD "  a: { nullable: maybe }\n", 3, 18, "" },
	{ HEAD "  a: { type: string, range: { min: 1 } }\n", 3, 22, "range is for numbers" },
	{ HEAD "  a: { type: integer, range: {} }\n", 3, 30, "min, max or both" },
	{ HEAD "  a: { type: integer, range: { min: 1.5 } }\n", 3, 37, "is not an integer" },
	{ HEAD "  a: { type: integer, range: { min: 3, max: 2 } }\n", 3, 37, "min is above max" },
	{ HEAD "  a: { type: date, range: { min: 2026-02-30 } }\n", 3, 34, "is not a date" },
	{ HEAD "  a: { type: integer, enum: [1, x] }\n", 3, 33, "is not an integer" },
	{ HEAD "  a: { enum: [] }\n", 3, 14, "" },
	{ HEAD "  a: { enum: [x, ~] }\n", 3, 18, "" },
	{ HEAD "  a: { type: integer, pattern: x }\n", 3, 23, "pattern is for strings" },
	{ HEAD "  a: { pattern: \"a(b\" }\n", 3, 0, "" },
	{ HEAD "  a: { length: { min: 3, max: 2 } }\n", 3, 23, "min is above max" },
	{ HEAD "  a: { length: { min: -1 } }\n", 3, 23, "" },
	{ HEAD "  a: { format: \"%Y\" }\n", 3, 8, "format is for dates" },
	{ HEAD "  a: { type: date, format: \"%H\" }\n", 3, 28, "unknown conversion" },
	{ HEAD "  a: {}\n  b: { rename_from: a }\n", 4, 3, "column of its own" },
	{ HEAD "  a: {}\non_extra_column: maybe\n", 4, 18, "maybe" },
	{ HEAD "  a: {}\nmax_rejected: many\n", 4, 15, "percentage" },
	{ HEAD "  a: {}\nmax_rejected: 101%\n", 4, 15, "percentage" },
	{ HEAD "  a: {}\n  a: {}\n", 4, 3, "" },
};

static void test_wrong(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct diags diags;
		diags_init(&diags);
		struct contract *c = load(wrong[i].yaml, &diags);
		if (c || diags.nerrors == 0)
			fail_msg("case %zu was taken:\n%s", i, wrong[i].yaml);
		const struct diag *d = &diags.list[0];
		if (d->line != wrong[i].line || (wrong[i].col && d->col != wrong[i].col) ||
			!strstr(d->message, wrong[i].message))
			fail_msg("case %zu: %d:%d: %s", i, d->line, d->col, d->message);
		diags_release(&diags);
	}
}

static void test_all_at_once(void **state)
{
	struct diags diags;

	(void)state;
	diags_init(&diags);
	assert_null(load(HEAD "  a: { type: integer, enum: [x, y], pattern: z }\n"
			      "  b: { type: date, range: { min: q } }\n",
		&diags));
	assert_int_equal(diags.nerrors, 4);
	assert_int_equal(contract_check_file(path, &diags), 4);
	assert_int_equal(contract_check_file("/nonexistent/c.yaml", &diags), 1);
	diags_release(&diags);
}

static void test_columns(void **state)
{
	bool renamed;

	(void)state;
	struct contract *c = good("contract: orders\ndescription: x\nowner: me\ncolumns:\n"
				  "  order id: { type: integer }\n"
				  "  email: { rename_from: [e_mail, mail] }\n"
				  "  n:\n"
				  "on_extra_column: ignore\non_missing_column: \"null\"\n"
				  "max_rejected: 1.5%\n");
	assert_string_equal(contract_name(c), "orders");
	assert_int_equal(contract_ncolumns(c), 3);
	assert_string_equal(contract_column_name(c, 0), "order id");
	assert_int_equal(contract_column_type(c, 0), CONVERT_INTEGER);
	assert_int_equal(contract_column_type(c, 1), CONVERT_STRING);
	assert_int_equal(contract_find_column(c, "email", &renamed), 1);
	assert_false(renamed);
	assert_int_equal(contract_find_column(c, "mail", &renamed), 1);
	assert_true(renamed);
	assert_int_equal(contract_find_column(c, "Email", &renamed), -1);
	assert_int_equal(contract_on_extra(c), CONTRACT_IGNORE);
	assert_int_equal(contract_on_missing(c), CONTRACT_NULL);
	assert_true(contract_max_rejected(c)->given);
	contract_free(c);
	c = good(HEAD "  a: {}\n");
	assert_int_equal(contract_on_extra(c), CONTRACT_WARN);
	assert_int_equal(contract_on_missing(c), CONTRACT_FAIL);
	assert_false(contract_max_rejected(c)->given);
	contract_free(c);
}

static void test_limits(void **state)
{
	static const struct {
		const char *text;
		int64_t rejected, rows;
		bool broken;
	} limits[] = {
		{ "0", 0, 10, false },
		{ "0", 1, 10, true },
		{ "3", 3, 3, false },
		{ "3", 4, 1000, true },
		{ "1%", 1, 100, false },
		{ "1%", 2, 100, true },
		{ "0%", 0, 0, false },
		{ "100%", 5, 5, false },
		{ "1", 1, 1, false },
		{ "0.5%", 1, 200, false },
		{ "0.5%", 1, 199, true },
	};
	struct contract_limit l;

	(void)state;
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		assert_int_equal(contract_parse_limit(limits[i].text, &l, NULL), 0);
		if (contract_limit_broken(&l, limits[i].rejected, limits[i].rows) !=
			limits[i].broken)
			fail_msg("%s", limits[i].text);
	}
	assert_int_equal(contract_parse_limit("", &l, NULL), -1);
	assert_int_equal(contract_parse_limit("-1", &l, NULL), -1);
	assert_int_equal(contract_parse_limit("12x", &l, NULL), -1);
	l = (struct contract_limit){ 0 };
	assert_true(contract_limit_broken(&l, 3, 3));
	assert_false(contract_limit_broken(&l, 2, 3));
	assert_false(contract_limit_broken(&l, 0, 0));
}

/* ---- conversions ----------------------------------------------------------------------- */

/* A result is written i:1, f:1.5, t:text, n for NULL, or ! for a refusal. */
static const struct {
	const char *type, *in, *expected, *format;
} conversions[] = {
	{ "string", " a ", "t: a ", NULL },
	{ "string", "", "t:", NULL },
	{ "integer", "0", "i:0", NULL },
	{ "integer", " -12 ", "i:-12", NULL },
	{ "integer", "+7", "i:7", NULL },
	{ "integer", "007", "i:7", NULL },
	{ "integer", "9223372036854775807", "i:9223372036854775807", NULL },
	{ "integer", "9223372036854775808", "!", NULL },
	{ "integer", "-9223372036854775808", "i:-9223372036854775808", NULL },
	{ "integer", "-9223372036854775809", "!", NULL },
	{ "integer", "99999999999999999999999", "!", NULL },
	{ "integer", "1e3", "!", NULL },
	{ "integer", "1.0", "!", NULL },
	{ "integer", "1_000", "!", NULL },
	{ "integer", "-", "!", NULL },
	{ "integer", "0x10", "!", NULL },
	{ "integer", "  ", "n", NULL },
	{ "number", "1.5", "f:1.5", NULL },
	{ "number", "-0", "f:0", NULL },
	{ "number", "1e3", "f:1000", NULL },
	{ "number", "-2.5E-3", "f:-0.0025000000000000001", NULL },
	{ "number", "0.1", "f:0.10000000000000001", NULL },
	{ "number", "123456789012345678901234567890", "f:1.2345678901234568e+29", NULL },
	{ "number", "9007199254740993", "f:9007199254740992", NULL },
	{ "number", ".5", "f:0.5", NULL },
	{ "number", "+.5e1", "f:5", NULL },
	{ "number", "5.", "f:5", NULL },
	{ "number", "5.e2", "f:500", NULL },
	{ "number", "007.5", "f:7.5", NULL },
	{ "number", "0.000000000000000000000000000001", "f:1.0000000000000001e-30", NULL },
	{ "number", "1e400", "!", NULL },
	{ "number", "1e-400", "f:0", NULL },
	{ "number", "inf", "!", NULL },
	{ "number", "nan", "!", NULL },
	{ "number", "0x1p3", "!", NULL },
	{ "number", ".", "!", NULL },
	{ "number", "1.2.3", "!", NULL },
	{ "number", "1e", "!", NULL },
	{ "number", "1,5", "!", NULL },
	{ "number", "1 2", "!", NULL },
	{ "decimal", "123456789012.345", "f:123456789012.345", NULL },
	{ "decimal", "19.99", "f:19.989999999999998", NULL },
	{ "decimal", "1234567890123456", "!", NULL },
	{ "decimal", "0.1234567890123456", "!", NULL },
	{ "decimal", "1.50000000000000000", "f:1.5", NULL },
	{ "decimal", "0000000000000000000001", "f:1", NULL },
	{ "decimal", "1e3", "!", NULL },
	{ "decimal", "$5", "!", NULL },
	{ "boolean", "TRUE", "i:1", NULL },
	{ "boolean", "n", "i:0", NULL },
	{ "boolean", "On", "i:1", NULL },
	{ "boolean", "0", "i:0", NULL },
	{ "boolean", "2", "!", NULL },
	{ "boolean", "yess", "!", NULL },
	{ "date", "2026-11-19", "t:2026-11-19", NULL },
	{ "date", " 2024-02-29 ", "t:2024-02-29", NULL },
	{ "date", "2026-02-29", "!", NULL },
	{ "date", "2026-13-01", "!", NULL },
	{ "date", "2026-1-1", "!", NULL },
	{ "date", "2026-11-19T00:00:00", "!", NULL },
	{ "date", "19.11.2026", "!", NULL },
	{ "date", "19.11.2026", "t:2026-11-19", "%d.%m.%Y" },
	{ "date", "30.02.2026", "!", "%d.%m.%Y" },
	{ "date", "19.11.2026x", "!", "%d.%m.%Y" },
	{ "date", "Nov 5, 26", "t:2026-11-05", "%b %d, %y" },
	{ "timestamp", "2026-11-19T02:00:00Z", "t:2026-11-19T02:00:00Z", NULL },
	{ "timestamp", "2026-11-19 02:00:00", "t:2026-11-19T02:00:00", NULL },
	{ "timestamp", "2026-11-19T02:00:00+05:30", "t:2026-11-18T20:30:00Z", NULL },
	{ "timestamp", "2026-11-19T02:00:00.5-01:00", "t:2026-11-19T03:00:00.500000Z", NULL },
	{ "timestamp", "2026-11-19", "t:2026-11-19T00:00:00", NULL },
	{ "timestamp", "2026-11-19 02:00", "t:2026-11-19T02:00:00", NULL },
	{ "timestamp", "2026-11-19T24:00:00Z", "!", NULL },
	{ "timestamp", "2026-11-19T02:00:60Z", "!", NULL },
	{ "timestamp", "0000-01-01T00:00:00+01:00", "!", NULL },
	{ "timestamp", "19/11/2026 02:03", "t:2026-11-19T02:03:00", "%d/%m/%Y %H:%M" },
	{ "timestamp", "2026-11-19 02:00:00 +0100", "t:2026-11-19T01:00:00Z", "%Y-%m-%d %T %z" },
	{ "json", "{\"a\": [1, 2]}", "t:{\"a\": [1, 2]}", NULL },
	{ "json", "3", "t:3", NULL },
	{ "json", "{a}", "!", NULL },
};

static const char *show_cell(const struct cell *c, char *text, size_t size)
{
	switch (c->type) {
	case CELL_INT:
		snprintf(text, size, "i:%" PRId64, c->i);
		break;
	case CELL_REAL:
		snprintf(text, size, "f:%.17g", c->f);
		break;
	case CELL_TEXT:
		snprintf(text, size, "t:%.*s", (int)c->len, c->len ? c->text : "");
		break;
	default:
		snprintf(text, size, "n");
	}
	return text;
}

static enum convert_type type_of(const char *name)
{
	for (int i = 0; i < CONVERT_TYPE_MAX; i++)
		if (strcmp(convert_type_names[i], name) == 0)
			return (enum convert_type)i;
	fail_msg("no type %s", name);
	return CONVERT_STRING;
}

static void test_conversions(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof conversions / sizeof *conversions; i++) {
		struct convert how = { type_of(conversions[i].type),
			strcmp(conversions[i].type, "string") != 0, conversions[i].format };
		/* Exactly sized, so that a read behind the end is seen. */
		size_t len = strlen(conversions[i].in);
		char *copy = malloc(len ? len : 1), scratch[CONVERT_SCRATCH], text[128];
		memcpy(copy, conversions[i].in, len);
		struct cell in = { .type = CELL_TEXT, .len = (uint32_t)len, .text = copy }, out;
		const char *why = convert_cell(&how, &in, &out, scratch);
		const char *got = why ? "!" : show_cell(&out, text, sizeof text);
		if (strcmp(got, conversions[i].expected) != 0)
			fail_msg("%s \"%s\": %s, not %s", conversions[i].type, conversions[i].in,
				got, conversions[i].expected);
		free(copy);
	}
}

/* Values of NDJSON come typed. */
static void test_typed(void **state)
{
	static const struct {
		const char *type;
		struct cell in;
		const char *expected;
	} typed[] = {
		{ "integer", { .type = CELL_INT, .i = 5 }, "i:5" },
		{ "integer", { .type = CELL_REAL, .f = 5.0 }, "i:5" },
		{ "integer", { .type = CELL_REAL, .f = 5.5 }, "!" },
		{ "integer", { .type = CELL_REAL, .f = 1e300 }, "!" },
		{ "number", { .type = CELL_INT, .i = 5 }, "f:5" },
		{ "decimal", { .type = CELL_REAL, .f = 1.25 }, "f:1.25" },
		{ "decimal", { .type = CELL_INT, .i = 1000000000000000 }, "!" },
		{ "string", { .type = CELL_INT, .i = -5 }, "t:-5" },
		{ "string", { .type = CELL_REAL, .f = 0.1 }, "t:0.1" },
		{ "boolean", { .type = CELL_INT, .i = 1 }, "i:1" },
		{ "boolean", { .type = CELL_INT, .i = 2 }, "!" },
		{ "date", { .type = CELL_INT, .i = 2026 }, "!" },
		{ "json", { .type = CELL_INT, .i = 1 }, "t:1" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof typed / sizeof *typed; i++) {
		struct convert how = { type_of(typed[i].type), true, NULL };
		char scratch[CONVERT_SCRATCH], text[128];
		struct cell out;
		const char *why = convert_cell(&how, &typed[i].in, &out, scratch);
		const char *got = why ? "!" : show_cell(&out, text, sizeof text);
		assert_string_equal(got, typed[i].expected);
	}
}

/* ---- rules ----------------------------------------------------------------------------- */

static const struct {
	const char *rules, *value; /* of column a; value NULL: NULL */
	const char *expected;      /* "ok", or "rule: why" */
} rules[] = {
	{ "{}", NULL, "ok" },
	{ "{ nullable: false }", NULL, "nullable: is empty" },
	{ "{ nullable: false }", "", "ok" },
	{ "{ type: integer, nullable: false }", " ", "nullable: \" \" is empty" },
	{ "{ type: integer }", "1e3", "type: \"1e3\" is not an integer" },
	{ "{ type: integer, range: { min: 0, max: 9 } }", "0", "ok" },
	{ "{ type: integer, range: { min: 0, max: 9 } }", "-3", "range: -3 is below 0" },
	{ "{ type: integer, range: { min: 0, max: 9 } }", "10", "range: 10 is above 9" },
	{ "{ type: integer, range: { min: 0 } }", NULL, "ok" },
	{ "{ type: integer, range: { max: 9223372036854775806 } }", "9223372036854775807",
		"range: 9223372036854775807 is above 9223372036854775806" },
	{ "{ type: decimal, range: { min: 0.5 } }", "0.49", "range: 0.49 is below 0.5" },
	{ "{ type: date, range: { min: 2026-01-01 } }", "2025-12-31",
		"range: \"2025-12-31\" is below 2026-01-01" },
	{ "{ type: timestamp, range: { max: \"2026-01-01T00:00:00Z\" } }", "2026-01-01T00:00:00.5Z",
		"range: \"2026-01-01T00:00:00.5Z\" is above 2026-01-01T00:00:00Z" },
	{ "{ type: timestamp, range: { max: \"2026-01-01T00:00:00Z\" } }",
		"2026-01-01T01:00:00+01:00", "ok" },
	{ "{ enum: [paid, open] }", "open", "ok" },
	{ "{ enum: [paid, open] }", "Open", "enum: \"Open\" is not one of the 2 values allowed" },
	{ "{ enum: [paid, open] }", "", "enum: \"\" is not one of the 2 values allowed" },
	{ "{ enum: [paid, open] }", NULL, "ok" },
	{ "{ type: integer, enum: [1, 2] }", "02", "ok" },
	{ "{ type: integer, enum: [1, 2] }", "3", "enum: 3 is not one of the 2 values allowed" },
	{ "{ type: boolean, enum: [true] }", "yes", "ok" },
	{ "{ type: number, enum: [1, 2.5] }", "1.0", "ok" },
	{ "{ length: { min: 2, max: 3 } }", "\xc3\xa4\xc3\xb6\xc3\xbc", "ok" },
	{ "{ length: { min: 2, max: 3 } }", "abcd",
		"length: \"abcd\" has 4 characters, more than 3" },
	{ "{ length: { min: 2 } }", "\xc3\xa4",
		"length: \"\xc3\xa4\" has 1 characters, fewer than 2" },
	{ "{ pattern: \"^[a-z]+$\" }", "abc", "ok" },
	{ "{ pattern: \"^[a-z]+$\" }", "abc\n", "pattern: \"abc \" does not match ^[a-z]+$" },
	{ "{ pattern: \"^[a-z]+$\" }", "", "pattern: \"\" does not match ^[a-z]+$" },
	{ "{ pattern: \"^.$\" }", "\xc3\xa4", "ok" },
	{ "{ pattern: b }", "abc", "ok" },
	{ "{ pattern: \"^(a+)+$\" }", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
		"pattern: \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\" takes too long to match "
		"against ^(a+)+$" },
	{ "{ trim: true, enum: [x] }", " x ", "ok" },
	{ "{ enum: [x] }", "x ", "enum: \"x \" is not one of the 1 values allowed" },
	{ "{ type: integer, trim: false }", " 1", "type: \" 1\" is not an integer" },
	{ "{ type: date, format: \"%d.%m.%Y\", range: { min: 2026-01-01 } }", "01.02.2026", "ok" },
};

static void test_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
		char yaml[512], got[256];
		snprintf(yaml, sizeof yaml, HEAD "  a: %s\n", rules[i].rules);
		struct contract *c = good(yaml);
		struct contract_check *k;
		assert_int_equal(contract_check_new(&k, c, 0, NULL), 0);
		struct cell in = { .type = rules[i].value ? CELL_TEXT : CELL_NULL };
		if (rules[i].value) {
			in.text = rules[i].value;
			in.len = (uint32_t)strlen(rules[i].value);
		}
		struct row row = { &in, 1, 1, "", 0 };
		const struct cell *out;
		struct contract_violation v;
		int rc = contract_check_row(k, &row, (int[]){ 0 }, &out, &v, NULL);
		snprintf(got, sizeof got, "%s%s%s", rc ? "ok" : contract_rule_names[v.rule],
			rc ? "" : ": ", rc ? "" : v.why);
		if (strcmp(got, rules[i].expected) != 0)
			fail_msg("%s: %s, not %s", rules[i].rules, got, rules[i].expected);
		contract_check_free(k);
		contract_free(c);
	}
}

static int check_two(
	struct contract_check *k, const char *a, const char *b, struct contract_violation *v)
{
	struct cell cells[2] = { { .type = a ? CELL_TEXT : CELL_NULL },
		{ .type = b ? CELL_TEXT : CELL_NULL } };
	const struct cell *out;

	if (a)
		cells[0] = (struct cell){ CELL_TEXT, (uint32_t)strlen(a), { a } };
	if (b)
		cells[1] = (struct cell){ CELL_TEXT, (uint32_t)strlen(b), { b } };
	struct row row = { cells, 2, 1, "", 0 };
	return contract_check_row(k, &row, (int[]){ 0, 1 }, &out, v, NULL);
}

static void test_unique_rule(void **state)
{
	struct contract_violation v;
	struct contract_check *k;

	(void)state;
	struct contract *c = good(HEAD "  a: { type: integer, unique: true }\n"
				       "  b: { unique: true, length: { max: 3 } }\n");
	assert_int_equal(contract_check_new(&k, c, 0, NULL), 0);
	assert_int_equal(check_two(k, "1", "x", &v), 1);
	assert_int_equal(check_two(k, "01", "y", &v), 0);
	assert_int_equal(v.rule, RULE_UNIQUE);
	assert_int_equal(v.column, 0);
	assert_string_equal(v.why, "01 was in a row before");
	/* The rejected row's y was not remembered. */
	assert_int_equal(check_two(k, "2", "y", &v), 1);
	assert_int_equal(check_two(k, "3", "y", &v), 0);
	assert_int_equal(v.column, 1);
	/* Nor is what another rule rejects. */
	assert_int_equal(check_two(k, "3", "long", &v), 0);
	assert_int_equal(v.rule, RULE_LENGTH);
	assert_int_equal(check_two(k, "3", "z", &v), 1);
	/* NULLs are not compared. */
	assert_int_equal(check_two(k, NULL, NULL, &v), 1);
	assert_int_equal(check_two(k, NULL, NULL, &v), 1);
	contract_check_free(k);
	contract_free(c);
}

static void test_absent(void **state)
{
	struct cell cell = { CELL_TEXT, 1, { "x" } };
	struct row row = { &cell, 1, 1, "x", 1 };
	const struct cell *out;
	struct contract_violation v;
	struct contract_check *k;

	(void)state;
	struct contract *c = good(HEAD "  a: {}\n  b: {}\n");
	assert_int_equal(contract_check_new(&k, c, 0, NULL), 0);
	assert_int_equal(contract_check_row(k, &row, (int[]){ -1, 0 }, &out, &v, NULL), 1);
	assert_int_equal(out[0].type, CELL_NULL);
	assert_int_equal(out[1].type, CELL_TEXT);
	contract_check_free(k);
	contract_free(c);
}

/* ---- the set ----------------------------------------------------------------------------- */

static struct unique_key key_of_number(const struct unique_set *u, int64_t i)
{
	return unique_key_of(u, &(struct cell){ .type = CELL_INT, .i = i });
}

/* With the least memory these keys make more files than there may be, were they not merged. */
static void test_set(void **state)
{
	enum { N = 2000000 };
	struct unique_set *u;
	struct err err;

	(void)state;
	assert_int_equal(unique_new(&u, 0, "/tmp", &err), 0);
	for (int64_t i = 0; i < N; i++) {
		struct unique_key key = key_of_number(u, i * 3);
		assert_int_equal(unique_has(u, key, &err), 0);
		assert_int_equal(unique_add(u, key, &err), 0);
		if (i % 1000 == 999) {
			assert_int_equal(unique_has(u, key_of_number(u, i / 2 * 3), &err), 1);
			assert_int_equal(unique_has(u, key_of_number(u, i * 3 + 1), &err), 0);
		}
	}
	assert_true(unique_spilled(u) > N / 2);
	for (int64_t i = 0; i < N; i += 37)
		assert_int_equal(unique_has(u, key_of_number(u, i * 3), &err), 1);
	for (int64_t i = 0; i < N; i += 37)
		assert_int_equal(unique_has(u, key_of_number(u, i * 3 + 2), &err), 0);
	unique_free(u);
}

static void test_set_keys(void **state)
{
	struct unique_set *u;
	struct unique_key zero = { 0, 0 };
	char text[64];

	(void)state;
	assert_int_equal(unique_new(&u, 0, NULL, NULL), 0);
	memset(text, 'x', sizeof text);
	for (uint32_t len = 0; len < sizeof text; len++) {
		struct unique_key key =
			unique_key_of(u, &(struct cell){ CELL_TEXT, len, { text } });
		assert_int_equal(unique_has(u, key, NULL), 0);
		assert_int_equal(unique_add(u, key, NULL), 0);
		assert_int_equal(unique_has(u, key, NULL), 1);
	}
	/* The number 120 and the text "x" have the same first byte. */
	assert_int_equal(unique_has(u, key_of_number(u, 'x'), NULL), 0);
	assert_int_equal(unique_has(u, zero, NULL), 0);
	assert_int_equal(unique_add(u, zero, NULL), 0);
	assert_int_equal(unique_has(u, zero, NULL), 1);
	unique_free(u);
	unique_free(NULL);
}

static void test_set_no_room(void **state)
{
	struct unique_set *u;
	struct err err = { 0 };
	int rc = 0;

	(void)state;
	assert_int_equal(unique_new(&u, 0, "/nonexistent/folder", &err), 0);
	for (int64_t i = 0; rc == 0 && i < 1000000; i++)
		rc = unique_add(u, key_of_number(u, i), &err);
	assert_int_equal(rc, -1);
	assert_int_equal(err.code, ERR_IO);
	unique_free(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_all_at_once),
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_conversions),
		cmocka_unit_test(test_typed),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_unique_rule),
		cmocka_unit_test(test_absent),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_set_keys),
		cmocka_unit_test(test_set_no_room),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
