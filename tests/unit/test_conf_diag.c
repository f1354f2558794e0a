/* Diagnostics: excerpts, marks, places inside scalars, order, limits, colour and JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/node.h"
#include "conf/diag.h"
#include "conf/yaml.h"

static struct source source_of(const char *text)
{
	return (struct source){ "x.yaml", text, strlen(text) };
}

static void assert_printed(struct diags *d, bool colour, const char *want)
{
	struct buf out;

	buf_init(&out, BUF_MAX_TEXT);
	diags_print(d, &out, colour);
	assert_string_equal(out.data, want);
	buf_release(&out);
}

/* The excerpt from the mark on: the mark counts characters. */
static const char *marked(const struct diag *one)
{
	const char *p = one->excerpt;

	for (int column = 0; column < one->mark && *p; column++)
		do
			p++;
		while (((unsigned char)*p & 0xc0) == 0x80);
	return p;
}

static void test_format(void **state)
{
	struct diags d;
	struct source src = source_of("dag: x\n\tretrys:\t3\n\xc3\xa9t\xc3\xa9: b\n");

	(void)state;
	diags_init(&d);
	diag_span(&d, &src, &(struct diag_place){ 2, 2, 6 }, "unknown key \"%s\"", "retrys");
	diag_hint(&d, "allowed here: %s", "a, b");
	diag_place(&d, &src, 3, 6, "a place");
	assert_printed(&d, false,
		"x.yaml:2:2: error: unknown key \"retrys\"\n"
		"    2 |         retrys: 3\n"
		"      |         ^~~~~~\n"
		"   allowed here: a, b\n"
		"x.yaml:3:6: error: a place\n"
		"    3 | \xc3\xa9t\xc3\xa9: b\n"
		"      |      ^\n");
	diags_release(&d);
}

static void test_colour(void **state)
{
	struct diags d;
	struct source src = source_of("ab\n");

	(void)state;
	diags_init(&d);
	diag_span(&d, &src, &(struct diag_place){ 1, 1, 2 }, "bad");
	assert_printed(&d, true,
		"\033[1mx.yaml:1:1:\033[0m \033[1;31merror:\033[0m bad\n"
		"    1 | ab\n"
		"      | \033[1;32m^~\033[0m\n");
	diags_release(&d);
}

/* A mark that is out of the line, long lines, hostile bytes: the mark is under its character. */
static void test_excerpts(void **state)
{
	static const struct {
		const char *text;
		int line, col, width;
		const char *mark; /* what is marked */
	} cases[] = {
		{ "abc", 1, 2, 1, "b" },
		{ "abc", 1, 2, 9, "bc" },
		{ "abc", 1, 4, 1, "" },
		{ "abc", 1, 99, 5, "" },
		{ "", 1, 1, 1, "" },
		{ "a\n", 9, 1, 1, "" },
		{ "a\r\nbcd\r\n", 2, 2, 2, "cd" },
		{ "a\rbcd\r", 2, 2, 2, "cd" },
		{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80x", 1, 4, 1, "x" },
		{ "a\tb\tc", 1, 5, 1, "c" },
		{ "a\x1b[31mb", 1, 7, 1, "b" },
		{ "a\xff\xfe"
		  "b",
			1, 4, 1, "b" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct diags d;
		struct source src = source_of(cases[i].text);
		diags_init(&d);
		diag_span(&d, &src,
			&(struct diag_place){ cases[i].line, cases[i].col, cases[i].width }, "x");
		const struct diag *one = &d.list[0];
		const char *at = marked(one);
		if (strncmp(at, cases[i].mark, strlen(cases[i].mark)) != 0 ||
			one->mark_width < (int)strlen(cases[i].mark))
			fail_msg("case %zu: \"%s\" at \"%s\"", i, one->excerpt, at);
		assert_null(strchr(one->excerpt, '\033'));
		assert_null(strchr(one->excerpt, '\xff'));
		diags_release(&d);
	}
}

static void test_long_lines(void **state)
{
	char text[3001];

	(void)state;
	memset(text, '-', sizeof text - 1);
	text[3000] = '\0';
	for (int col = 1; col <= 3000; col += 37) {
		struct diags d;
		struct source src = source_of(text);
		text[col - 1] = 'X';
		diags_init(&d);
		diag_span(&d, &src, &(struct diag_place){ 1, col, 2000 }, "x");
		const struct diag *one = &d.list[0];
		assert_int_equal(one->excerpt[one->mark], 'X');
		assert_true(strlen(one->excerpt) <= 106);
		assert_true(one->mark + one->mark_width <= (int)strlen(one->excerpt));
		text[col - 1] = '-';
		diags_release(&d);
	}
}

static void test_messages_are_one_line(void **state)
{
	struct diags d;
	char long_text[5000];

	(void)state;
	memset(long_text, 'x', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = '\0';
	diags_init(&d);
	diag_place(&d, NULL, 0, 0, "a\nb\tc\033[1md\xff");
	assert_string_equal(d.list[0].message, "a b c?[1md?");
	assert_printed(&d, false, "error: a b c?[1md?\n");
	diag_place(&d, NULL, 0, 0, "%s", long_text);
	assert_int_equal(strlen(d.list[1].message), 1000);
	assert_string_equal(d.list[1].message + 996, "x...");
	diags_release(&d);
}

static void test_order_and_limit(void **state)
{
	struct diags d;
	struct source a = { "a.yaml", "x\ny\n", 4 }, b = { "b.yaml", "x\ny\n", 4 };

	(void)state;
	diags_init(&d);
	diag_place(&d, &b, 1, 1, "fourth");
	diag_place(&d, &a, 2, 1, "second");
	diag_place(&d, &a, 2, 1, "third");
	diag_place(&d, &a, 1, 2, "first");
	struct buf out;
	buf_init(&out, BUF_MAX_TEXT);
	diags_print(&d, &out, false);
	const char *at = out.data;
	static const char *const order[] = { "first", "second", "third", "fourth" };
	for (int i = 0; i < 4; i++)
		assert_non_null(at = strstr(at, order[i]));
	for (int i = 0; i < 150; i++)
		diag_place(&d, &a, 1, 1, "many");
	/* A hint to one that was not kept goes nowhere. */
	diag_hint(&d, "lost");
	for (int i = 0; i < 50; i++)
		diag_place(&d, &b, 1, 1, "other file");
	assert_int_equal(d.n, DIAG_MAX + 51);
	assert_int_equal(d.nerrors, 204);
	buf_clear(&out);
	diags_print(&d, &out, false);
	assert_null(strstr(out.data, "lost"));
	assert_non_null(strstr(out.data, "\nand 53 more\n"));
	buf_release(&out);
	diags_release(&d);
}

static void test_move(void **state)
{
	struct diags to, from;

	(void)state;
	diags_init(&to);
	diags_init(&from);
	diag_node(&from, DIAG_WARNING, NULL, "w");
	for (int i = 0; i < 120; i++)
		diag_place(&from, NULL, 0, 0, "e");
	diag_place(&to, NULL, 0, 0, "first");
	diags_move(&to, &from);
	assert_int_equal(to.n, DIAG_MAX);
	assert_int_equal(to.nerrors, 121);
	assert_int_equal(to.nwarnings, 1);
	assert_int_equal(from.n, 0);
	assert_int_equal(from.nerrors, 0);
	assert_string_equal(to.list[0].message, "first");
	diags_release(&to);
	diags_release(&from);
}

/* The document's value k; what is marked by `needle` in its text must be found in the file. */
static void test_inside(void **state)
{
	static const struct {
		const char *text;
		int line, col;
	} cases[] = {
		{ "k: ab {{ X }}", 1, 10 },
		{ "k: \"ab X\"", 1, 8 },
		{ "k: 'it''s X'", 1, 11 },
		{ "k: \"a\\tb\\u00e9 \\x41 X\"", 1, 21 },
		{ "k: \"a\\\n   b X\"", 2, 6 },
		{ "k: a\n  b X", 2, 5 },
		{ "k: a   b\n\n\n  c X", 4, 5 },
		{ "k: \"a\n\n  b X\"", 3, 5 },
		{ "k: 'a  \n  b X'", 2, 5 },
		{ "k: |\n  select\n    X\n", 3, 5 },
		{ "k: |\n\n  a\n\n  b X\n", 5, 5 },
		{ "k: |2-\n    a\n   X\n", 3, 4 },
		{ "k: |+ # c\r\n  a\r\n  \xc3\xa9 X\r\n", 3, 5 },
		{ "k: >\n  a\n  b X\n", 3, 5 },
		{ "k: >\n  a\n\n  b\n    c\n  X\n", 6, 3 },
		{ "k: &a !!str ab X", 1, 16 },
		{ "k: {j: 1, k: '\xe2\x82\xac X'}\n", 1, 17 },
		{ "- \"k\"\n- X", 2, 3 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct diags d;
		struct yaml_doc doc;
		diags_init(&d);
		assert_int_equal(
			yaml_parse(&doc, "x.yaml", cases[i].text, strlen(cases[i].text), &d), 0);
		const struct node *n = node_get(doc.root, "k");
		if (n && n->type == NODE_MAP)
			n = node_get(n, "k");
		if (!n)
			n = doc.root->items[1];
		diag_inside(&d, n, (size_t)(strchr(n->text, 'X') - n->text), 1, "here");
		if (d.list[0].line != cases[i].line || d.list[0].col != cases[i].col)
			fail_msg("%s: %d:%d", cases[i].text, d.list[0].line, d.list[0].col);
		assert_int_equal(*marked(&d.list[0]), 'X');
		/* The end, and beyond it. */
		diag_inside(&d, n, n->len, 1, "end");
		diag_inside(&d, n, n->len + 1, 1, "beyond");
		assert_int_equal(d.list[2].col, n->col);
		diags_release(&d);
		yaml_release(&doc);
	}
}

static void test_widths(void **state)
{
	static const struct {
		const char *text;
		int width;
	} cases[] = {
		{ "k: abc", 3 },
		{ "k: abc # d", 3 },
		{ "k: 'a''c' # d", 6 },
		{ "k: \"a\\\"c\"", 6 },
		{ "k: \xc3\xa9\xc3\xa9", 2 },
		{ "k: ab\n  cd", 2 },
		{ "k: 'ab\n  cd'", 3 },
		{ "k: |\n  abc", 1 },
		{ "k: [a, b]", 1 },
		{ "k:", 1 },
		{ "k: !!int 12", 2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct diags d;
		struct yaml_doc doc;
		diags_init(&d);
		assert_int_equal(
			yaml_parse(&doc, "x.yaml", cases[i].text, strlen(cases[i].text), &d), 0);
		diag_node(&d, DIAG_WARNING, node_get(doc.root, "k"), "x");
		if (d.list[0].width != cases[i].width)
			fail_msg("%s: %d", cases[i].text, d.list[0].width);
		diags_release(&d);
		yaml_release(&doc);
	}
}

static void test_err(void **state)
{
	struct diags d;
	struct err err = { 0 };

	(void)state;
	diags_init(&d);
	err_set(&err, ERR_INVALID, "no place");
	diag_err(&d, "a.yaml", &err);
	err_where(&err, "/nonexistent/b.yaml", 3, 4);
	diag_err(&d, "a.yaml", &err);
	assert_printed(
		&d, false, "/nonexistent/b.yaml:3:4: error: no place\na.yaml: error: no place\n");
	diag_err(&d, NULL, &err);
	diags_release(&d);
}

static void test_json(void **state)
{
	struct diags d;
	struct source src = { "x\xff.yaml", "abc", 3 };

	(void)state;
	diags_init(&d);
	diag_place(&d, &src, 1, 2, "message");
	diag_hint(&d, "hint");
	diag_node(&d, DIAG_WARNING, NULL, "w");
	json_t *json = diags_json(&d);
	json_t *want = json_loads(
		"[{\"file\": \"\", \"line\": 0, \"column\": 0, \"level\": \"warning\", "
		"\"message\": \"w\","
		" \"hint\": null}, {\"file\": \"x?.yaml\", \"line\": 1, \"column\": 2, \"level\": "
		"\"error\", \"message\": \"message\", \"hint\": \"hint\"}]",
		0, NULL);
	assert_true(json_equal(json, want));
	json_decref(json);
	json_decref(want);
	diags_release(&d);
	diags_release(&d);
	diags_release(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_colour),
		cmocka_unit_test(test_excerpts),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_messages_are_one_line),
		cmocka_unit_test(test_order_and_limit),
		cmocka_unit_test(test_move),
		cmocka_unit_test(test_inside),
		cmocka_unit_test(test_widths),
		cmocka_unit_test(test_err),
		cmocka_unit_test(test_json),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
