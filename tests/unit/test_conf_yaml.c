/* YAML to nodes: the core schema, places, limits, every error, the shared suite and the hostile
 * files. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/buf.h"
#include "base/io.h"
#include "conf/diag.h"
#include "conf/yaml.h"
#include "tests/lib/cases.h"

/* A document and what was wrong with it, printed. */
struct parsed {
	struct yaml_doc doc;
	struct diags diags;
	struct buf text;
	int rc;
};

static struct parsed parse_n(const char *text, size_t len)
{
	struct parsed p;

	diags_init(&p.diags);
	buf_init(&p.text, BUF_MAX_TEXT);
	p.rc = yaml_parse(&p.doc, "x.yaml", text, len, &p.diags);
	diags_print(&p.diags, &p.text, false);
	return p;
}

static struct parsed parse(const char *text)
{
	return parse_n(text, strlen(text));
}

static void release(struct parsed *p)
{
	yaml_release(&p->doc);
	diags_release(&p->diags);
	buf_release(&p->text);
}

static void test_scalars(void **state)
{
	static const struct {
		const char *text;
		enum node_type type;
		double value;
	} cases[] = {
		{ "~", NODE_NULL, 0 },
		{ "null", NODE_NULL, 0 },
		{ "Null", NODE_NULL, 0 },
		{ "NULL", NODE_NULL, 0 },
		{ "", NODE_NULL, 0 },
		{ "nULL", NODE_STRING, 0 },
		{ "nil", NODE_STRING, 0 },
		{ "true", NODE_BOOL, 1 },
		{ "True", NODE_BOOL, 1 },
		{ "TRUE", NODE_BOOL, 1 },
		{ "false", NODE_BOOL, 0 },
		{ "False", NODE_BOOL, 0 },
		{ "FALSE", NODE_BOOL, 0 },
		{ "tRUE", NODE_STRING, 0 },
		{ "yes", NODE_STRING, 0 },
		{ "NO", NODE_STRING, 0 },
		{ "on", NODE_STRING, 0 },
		{ "y", NODE_STRING, 0 },
		{ "0", NODE_INT, 0 },
		{ "-0", NODE_INT, 0 },
		{ "+12", NODE_INT, 12 },
		{ "-7", NODE_INT, -7 },
		{ "1_0", NODE_STRING, 0 },
		{ "007", NODE_STRING, 0 },
		{ "08", NODE_STRING, 0 },
		{ "-08", NODE_STRING, 0 },
		{ "0o17", NODE_INT, 15 },
		{ "0o18", NODE_STRING, 0 },
		{ "0x1F", NODE_INT, 31 },
		{ "0x", NODE_STRING, 0 },
		{ "-0x1F", NODE_STRING, 0 },
		{ "0b1", NODE_STRING, 0 },
		{ "9223372036854775807", NODE_INT, 9223372036854775807.0 },
		{ "9223372036854775808", NODE_FLOAT, 9223372036854775808.0 },
		{ "-9223372036854775808", NODE_INT, -9223372036854775808.0 },
		{ "1.5", NODE_FLOAT, 1.5 },
		{ "-.5", NODE_FLOAT, -0.5 },
		{ "1.", NODE_FLOAT, 1 },
		{ ".", NODE_STRING, 0 },
		{ "-", NODE_STRING, 0 },
		{ "1e3", NODE_FLOAT, 1000 },
		{ "1e", NODE_STRING, 0 },
		{ "1e+", NODE_STRING, 0 },
		{ "12e-1", NODE_FLOAT, 1.2 },
		{ "00.5", NODE_STRING, 0 },
		{ "0.5", NODE_FLOAT, 0.5 },
		{ "1e999", NODE_STRING, 0 },
		{ ".inf", NODE_FLOAT, INFINITY },
		{ "-.INF", NODE_FLOAT, -INFINITY },
		{ "+.Inf", NODE_FLOAT, INFINITY },
		{ "inf", NODE_STRING, 0 },
		{ ".NaN", NODE_FLOAT, NAN },
		{ "-.nan", NODE_STRING, 0 },
		{ "2026-11-19", NODE_STRING, 0 },
		{ "12:30:45", NODE_STRING, 0 },
		{ "1,000", NODE_STRING, 0 },
		{ "0.1.2", NODE_STRING, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[100];
		/* As the value of an explicit key, "-" is a list. */
		if (strcmp(cases[i].text, "-") == 0)
			snprintf(text, sizeof text, "k: !!str -x");
		else
			snprintf(text, sizeof text, "k: %s", cases[i].text);
		struct parsed p = parse(text);
		const struct node *n = node_get(p.doc.root, "k");
		assert_int_equal(p.rc, 0);
		if (n->type != cases[i].type)
			fail_msg("%s: %s", cases[i].text, node_type_name(n->type));
		if (n->type == NODE_BOOL)
			assert_int_equal(n->b, (int)cases[i].value);
		if (n->type == NODE_INT || n->type == NODE_FLOAT)
			assert_true(
				n->f == cases[i].value || (isnan(n->f) && isnan(cases[i].value)));
		if (n->type == NODE_INT)
			assert_true((double)n->i == cases[i].value);
		release(&p);
	}
}

static void test_quoted_is_text(void **state)
{
	static const char *const texts[] = { "k: '12'", "k: \"12\"", "k: |-\n  12", "k: >-\n  12",
		"k: !!str 12", "k: ! 12" };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct parsed p = parse(texts[i]);
		const struct node *n = node_get(p.doc.root, "k");
		assert_int_equal(n->type, NODE_STRING);
		assert_string_equal(node_text(n), "12");
		assert_int_equal(n->quoted, i < 4);
		release(&p);
	}
}

static void test_tags(void **state)
{
	struct parsed p = parse("a: !!int '12'\nb: !!float 3\nc: !!bool 'true'\nd: !!null ''\n"
				"e: !!map {k: v}\nf: !!seq [1]\ng: !!float 0x10\n");

	(void)state;
	assert_int_equal(p.rc, 0);
	assert_int_equal(node_get(p.doc.root, "a")->i, 12);
	assert_int_equal(node_get(p.doc.root, "b")->type, NODE_FLOAT);
	assert_true(node_get(p.doc.root, "b")->f == 3);
	assert_true(node_get(p.doc.root, "c")->b);
	assert_int_equal(node_get(p.doc.root, "d")->type, NODE_NULL);
	assert_int_equal(node_get(p.doc.root, "e")->type, NODE_MAP);
	assert_true(node_get(p.doc.root, "g")->f == 16);
	release(&p);
}

static void test_places(void **state)
{
	struct parsed p = parse("\xef\xbb\xbf"
				"a: &x !!str  v\r\n\xc3\xa9: {\xe2\x82\xac: [1,  2]}\r\n"
				"b: &y # why\r\n  k: *x\r\nls: \"\xe2\x80\xa8\"\r\nz: 1\r\n");
	const struct node *a = node_get(p.doc.root, "a"), *e = node_get(p.doc.root, "\xc3\xa9");

	(void)state;
	assert_string_equal(p.text.data, "");
	assert_int_equal(node_key(p.doc.root, "a")->col, 1);
	assert_int_equal(a->col, 14);
	assert_int_equal(e->line, 2);
	assert_int_equal(e->col, 4);
	const struct node *list = node_get(e, "\xe2\x82\xac");
	assert_int_equal(list->col, 8);
	assert_int_equal(list->items[1]->col, 13);
	const struct node *b = node_get(p.doc.root, "b");
	assert_int_equal(b->line, 4);
	assert_int_equal(b->col, 3);
	assert_ptr_equal(node_get(b, "k"), a);
	/* U+2028 ends no line, whatever libyaml thinks. */
	assert_int_equal(node_get(p.doc.root, "z")->line, 6);
	release(&p);
}

static void test_empty(void **state)
{
	static const char *const texts[] = { "", "# only a comment\n", "---\n", "\xef\xbb\xbf",
		"\n\n" };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct parsed p = parse(texts[i]);
		assert_int_equal(p.rc, 0);
		assert_null(p.doc.root);
		release(&p);
	}
}

/* Text, and what the message must hold; each error is the only one. */
static void test_errors(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "a: 1\nb: 2\na: 3\n", "x.yaml:3:1: error: duplicate key \"a\"; first on line 1" },
		{ "a: {b: 1, \"b\": 2}", "1:11: error: duplicate key" },
		{ "a:\n\tb: 1\n", "2:1: error: a TAB is used for indentation" },
		{ "a:\n  b: 1\n\tc: 2\n", "3:1: error: a TAB" },
		{ "a: b: c\n", "1:5: error: a \":\" where no key can be" },
		{ "a: 1\nb 2\nc: 3\n", "2:1: error: \":\" is missing after this key" },
		{ "a:\n  b: 1\n c: 2\n", "3:2: error: expected a key" },
		{ "a: [1, 2\nb: 3\n",
			"expected \",\" or \"]\", in what begins at line 1, column 4" },
		{ "a: [1, 2", "1:4: error: this \"[\" is never closed" },
		{ "a: \"abc\n", "1:4: error: the quote is never closed" },
		{ "a: \"\\d\"\n", "1:5: error: no such escape" },
		{ "a: \"\\0\"\n", "1:4: error: a text cannot hold a NUL" },
		{ "a: */5 * * * *\n", "put it in quotes: \"*/5 * * * *\"" },
		{ "a: @x\n", "put it in quotes: \"@x\"" },
		{ "a: [%x, 2]\n", "put it in quotes: \"%x\"" },
		{ "a: `x`\n", "put it in quotes: \"`x`\"" },
		{ "a: %d\n", "put it in quotes: \"%d\"" },
		{ "a: *b\n", "1:4: error: alias *b: there is no anchor &b before it" },
		{ "a: &x [*x]\n", "1:8: error: alias *x stands inside what it names" },
		{ "a: - b\n", "1:4: error: a list cannot begin here" },
		{ "a: !foo b\n", "1:9: error: !foo: no tag that Weir knows" },
		{ "a: !!int b\n", "1:10: error: !!int: the value is not an integer" },
		{ "a: !!set {b}\n", "tag !!set does not fit a mapping" },
		{ "a: |x\n  b\n", "1:5: error: nothing but a comment may follow" },
		{ "%FOO\n---\na: 1\n", "1:1: error: a \"%\" directive" },
		{ "a: 1\n---\nb: 2\n", "2:1: error: a second document begins here" },
		{ "a: 1\n...\nb: 2\n", "error: text after the document's end" },
		{ "<<: {a: 1}\n", "1:1: error: merge keys" },
		{ "? [a]\n: b\n", "1:3: error: a key must be a word, not a list" },
		{ "a: \xff\n", "1:4: error: byte 0xff is not UTF-8" },
		{ "\xc3\xa9: \xc0\xaf\n", "1:4: error: byte 0xc0" },
		{ "a: \xed\xa0\x80\n", "byte 0xed is not UTF-8" },
		{ "a: \x07\n", "1:4: error: control character U+0007" },
		{ "\xff\xfe"
		  "a",
			"the file is UTF-16" },
		{ "a: {{ ds }}/x # c\n", "write \"{{ ds }}/x\"" },
		{ "a: {{ ds }}\n", "1:4: error: a value with {{ }} must be in quotes" },
		{ "a: {{ ds | f(\"x\") }}\n", "write '{{ ds | f(\"x\") }}'" },
		{ "a: [{{ ds }}/x]\n", "1:5: error: a value with {{ }} must be" },
		{ "- {p: {{ ds }}/x, q: 1}\n", "write \"{{ ds }}/x\"" },
		{ "a: { run: ./x {{ ds }} }\n", "write \"./x {{ ds }}\"" },
		{ "a: ./x {{ ds }}: y\n", "write \"./x {{ ds }}: y\"" },
		{ "- {{ ds }}/x\n", "write \"{{ ds }}/x\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct parsed p = parse(cases[i].text);
		if (p.rc != -1 || !strstr(p.text.data, cases[i].message))
			fail_msg("%s\ngave\n%s\nnot\n%s", cases[i].text, p.text.data,
				cases[i].message);
		if (p.diags.nerrors != 1)
			fail_msg("%s\ngave\n%s", cases[i].text, p.text.data);
		assert_null(p.doc.root);
		release(&p);
	}
}

static void test_all_errors_at_once(void **state)
{
	struct parsed p = parse("a: {{ x }}\nb: {{ y }}/z\na: 2\nc: 1\nc: 2\n<<: q\nd: [{{ z }}]\n"
				"e: {{ q }}/[x\nf: *none\n");

	(void)state;
	assert_int_equal(p.diags.nerrors, 8);
	assert_non_null(strstr(p.text.data, "x.yaml:8:4: error: a value with {{ }}"));
	assert_non_null(strstr(p.text.data, "x.yaml:5:1: error: duplicate key \"c\""));
	release(&p);
}

static void test_templates_that_are_fine(void **state)
{
	static const char *const texts[] = { "a: \"{{ x }}\"", "a: './{{ x }}'", "a: b {{ x }} c",
		"a: |\n  {{ x }}: y", "a: { b: [1] }", "a: {b: {c: d}}", "# {{ x }}\na: b" };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct parsed p = parse(texts[i]);
		if (p.rc != 0)
			fail_msg("%s: %s", texts[i], p.text.data);
		release(&p);
	}
}

static void test_nul_byte(void **state)
{
	struct parsed p = parse_n("a: b\nc: \0d\n", 11);

	(void)state;
	assert_int_equal(p.rc, -1);
	assert_non_null(strstr(p.text.data, "x.yaml:2:4: error: a NUL byte"));
	release(&p);
}

static char *nested(int levels, bool aliases)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	if (!aliases) {
		buf_addstr(&b, "a: ");
		buf_addpad(&b, '[', (size_t)levels - 1);
		buf_addpad(&b, ']', (size_t)levels - 1);
	} else {
		buf_addstr(&b, "a0: &a0 [1]\n");
		for (int i = 1; i <= levels - 2; i++)
			buf_addf(&b, "a%d: &a%d [*a%d]\n", i, i, i - 1);
	}
	return buf_take(&b);
}

static void test_depth(void **state)
{
	(void)state;
	for (int aliases = 0; aliases < 2; aliases++) {
		for (int levels = 64; levels <= 65; levels++) {
			char *text = nested(levels, aliases);
			struct parsed p = parse(text);
			if (p.rc != (levels > 64 ? -1 : 0))
				fail_msg("%d levels, aliases %d: %s", levels, aliases, p.text.data);
			release(&p);
			free(text);
		}
	}
}

/* Ten lists of nine aliases each stand for a thousand million values. */
static void test_bomb(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, BUF_MAX_TEXT);
	buf_addstr(&b, "a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
	for (int i = 1; i < 10; i++)
		buf_addf(&b, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n",
			i, i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	struct parsed p = parse(b.data);
	assert_int_equal(p.diags.nerrors, 1);
	assert_non_null(strstr(p.text.data, "more than 1000000 values, aliases expanded"));
	release(&p);
	buf_release(&b);
}

static void test_long_keys(void **state)
{
	char text[1100];

	(void)state;
	for (int len = 1024; len <= 1025; len++) {
		int n = snprintf(text, sizeof text, "? %0*d\n: v\n", len, 7);
		struct parsed p = parse_n(text, (size_t)n);
		assert_int_equal(p.rc, len > 1024 ? -1 : 0);
		release(&p);
	}
}

static void test_many_keys(void **state)
{
	struct buf b;
	struct timespec from, to;

	(void)state;
	buf_init(&b, BUF_MAX_TEXT);
	for (int i = 0; i < 100000; i++)
		buf_addf(&b, "task_%d: 1\n", i);
	buf_addstr(&b, "task_77: 2\n");
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	struct parsed p = parse_n(b.data, b.len);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	assert_int_equal(p.diags.nerrors, 1);
	assert_non_null(strstr(
		p.text.data, ":100001:1: error: duplicate key \"task_77\"; first on line 78"));
	/* Quadratic work would take minutes. */
	assert_true(to.tv_sec - from.tv_sec < 10);
	release(&p);
	buf_release(&b);
}

static void test_read(void **state)
{
	struct diags d;
	struct yaml_doc doc;
	struct buf out;

	(void)state;
	diags_init(&d);
	buf_init(&out, BUF_MAX_TEXT);
	assert_int_equal(yaml_read(&doc, "/nonexistent/x.yaml", &d), -1);
	assert_int_equal(yaml_read(&doc, "/dev/zero", &d), -1);
	assert_int_equal(yaml_read(&doc, "/", &d), -1);
	diags_print(&d, &out, false);
	assert_non_null(strstr(out.data, "/nonexistent/x.yaml: error: no such file\n"));
	assert_non_null(strstr(out.data, "/: error: is a folder, not a file\n"));
	assert_int_equal(d.nerrors, 3);
	yaml_release(&doc);
	diags_release(&d);
	buf_release(&out);
}

static bool equal(const struct node *n, const json_t *json);

static bool equal_map(const struct node *n, const json_t *json)
{
	if (!json_is_object(json) || n->n != json_object_size(json))
		return false;
	for (size_t i = 0; i < n->n; i++)
		if (!equal(n->items[i], json_object_get(json, n->keys[i]->text)))
			return false;
	return true;
}

static bool equal(const struct node *n, const json_t *json)
{
	if (!n || n->type == NODE_NULL)
		return !json || json_is_null(json);
	switch (n->type) {
	case NODE_BOOL:
		return json_is_boolean(json) && json_is_true(json) == n->b;
	case NODE_INT:
	case NODE_FLOAT:
		return json_is_number(json) && json_number_value(json) == n->f;
	case NODE_STRING:
		return json_is_string(json) && strcmp(json_string_value(json), n->text) == 0;
	case NODE_SEQ:
		for (size_t i = 0; json_is_array(json) && i < n->n; i++)
			if (!equal(n->items[i], json_array_get(json, i)))
				return false;
		return json_is_array(json) && n->n == json_array_size(json);
	default:
		return equal_map(n, json);
	}
}

/* Of the suite's documents, those that libyaml reads otherwise than it wants. */
static const char *const suite_exceptions[] = {
	"652Z",    /* {?foo: bar}: the "?" is taken for the indicator */
	"HM87-01", /* [?x]: the same */
	"JEF9-02", /* a last line of spaces in |+ */
	"L24T-01", /* the same in | */
	"Y2GN",    /* &an:chor: the anchor ends at the colon */
	NULL,
};

static bool is_exception(const char *id)
{
	for (size_t i = 0; suite_exceptions[i]; i++)
		if (strcmp(suite_exceptions[i], id) == 0)
			return true;
	return false;
}

static void test_suite(void **state)
{
	char path[1200];
	size_t accepted = 0, rejected = 0, wrong = 0, lenient = 0;
	struct buf text;

	(void)state;
	snprintf(path, sizeof path, "%s", cases_path("yaml/yaml_test_suite.jsonl"));
	buf_init(&text, BUF_MAX_TEXT);
	if (io_read_file(path, &text, NULL) < 0) {
		print_message("# skipped: no %s\n", path);
		buf_release(&text);
		skip();
	}
	for (char *save, *line = strtok_r(text.data, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		json_t *row = json_loads(line, JSON_ALLOW_NUL, NULL);
		json_t *yaml = json_object_get(row, "yaml"), *want = json_object_get(row, "json");
		const char *id = json_string_value(json_object_get(row, "id"));
		bool error = json_is_true(json_object_get(row, "error"));
		struct parsed p = parse_n(json_string_value(yaml), json_string_length(yaml));
		accepted += p.rc == 0;
		rejected += p.rc < 0;
		lenient += p.rc == 0 && error;
		json_t *json = json_is_string(want)
				       ? json_loads(json_string_value(want), JSON_DECODE_ANY, NULL)
				       : NULL;
		if (p.rc == 0 && !error && json && !equal(p.doc.root, json) && !is_exception(id)) {
			print_message("# %s: differs\n", id);
			wrong++;
		}
		json_decref(json);
		json_decref(row);
		release(&p);
	}
	print_message("# suite: %zu accepted, %zu rejected, %zu accepted that are wrong\n",
		accepted, rejected, lenient);
	assert_int_equal(wrong, 0);
	assert_true(accepted > 220);
	buf_release(&text);
}

/* Sanitizers and valgrind take more memory and time than the limits allow. */
static bool instrumented(void)
{
	const char *preload = getenv("LD_PRELOAD");
#ifdef __has_feature
	if (__has_feature(address_sanitizer))
		return true;
#endif
#ifdef __SANITIZE_ADDRESS__
	return true;
#endif
	return preload && strstr(preload, "vgpreload");
}

/* In a child with limits, so that a bomb fails the test and not the machine. */
static int survive(const char *path)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		struct rlimit memory = { 256 << 20, 256 << 20 };
		struct rlimit cpu = { 2, 2 };
		if (!instrumented())
			setrlimit(RLIMIT_AS, &memory);
		if (!instrumented())
			setrlimit(RLIMIT_CPU, &cpu);
		struct diags d;
		struct yaml_doc doc;
		diags_init(&d);
		int rc = yaml_read(&doc, path, &d);
		bool told = rc == 0 || (d.n > 0 && d.list[0].message);
		yaml_release(&doc);
		diags_release(&d);
		_exit(told ? 0 : 1);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int is_visible(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static void test_nasty(void **state)
{
	static struct dirent **names;
	char path[1200];

	(void)state;
	snprintf(path, sizeof path, "%s", cases_path("yaml/nasty"));
	int n = scandir(path, &names, is_visible, alphasort);
	if (n < 0) {
		print_message("# skipped: no %s\n", path);
		skip();
	}
	for (int i = 0; i < n; i++) {
		char file[2000];
		snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
		int status = survive(file);
		if (status != 0)
			fail_msg("%s: status %d", names[i]->d_name, status);
		free(names[i]);
	}
	free(names);
	assert_true(n > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scalars),
		cmocka_unit_test(test_quoted_is_text),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_all_errors_at_once),
		cmocka_unit_test(test_templates_that_are_fine),
		cmocka_unit_test(test_nul_byte),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_bomb),
		cmocka_unit_test(test_long_keys),
		cmocka_unit_test(test_many_keys),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_suite),
		cmocka_unit_test(test_nasty),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
