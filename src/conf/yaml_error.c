#include "conf/yaml_error.h"

#include <string.h>

#include "base/node.h"
#include "conf/diag.h"

enum place { AT_PROBLEM, AT_CONTEXT };

/* The first row whose words are in libyaml's context and problem is taken; NULL: any. */
static const struct {
	const char *context, *problem;
	enum place place;
	const char *message, *hint;
} rows[] = {
	{ NULL, "found a tab character", AT_PROBLEM, "a TAB is used for indentation",
		"indent with spaces" },
	{ NULL, "could not find expected ':'", AT_CONTEXT, "\":\" is missing after this key",
		"write \"key: value\"; text that goes on over several lines is indented under its "
		"key" },
	{ NULL, "mapping values are not allowed", AT_PROBLEM, "a \":\" where no key can be",
		"put a text that holds \": \" in quotes; a key goes on a line of its own, in the "
		"column of "
		"the keys it belongs to" },
	{ NULL, "block sequence entries are not allowed", AT_PROBLEM, "a list cannot begin here",
		"begin it on the line below its key; put a text that begins with \"- \" in "
		"quotes" },
	{ NULL, "mapping keys are not allowed", AT_PROBLEM, "a \"?\" where no key can be",
		"put a text that begins with \"? \" in quotes" },
	{ "block mapping", "did not find expected key", AT_PROBLEM, "expected a key",
		"keys of one mapping begin in the same column; a value in quotes ends with its "
		"closing "
		"quote" },
	{ "block collection", "did not find expected '-'", AT_PROBLEM, "expected \"- \"",
		"items of one list begin in the same column" },
	{ "flow sequence", "did not find expected", AT_PROBLEM, "expected \",\" or \"]\"",
		"close it, or put a text that holds any of , [ ] { } in quotes" },
	{ "flow mapping", "did not find expected", AT_PROBLEM, "expected \",\" or \"}\"",
		"close it, or put a text that holds any of , [ ] { } in quotes" },
	{ "flow node", "node content", AT_PROBLEM, "a value is missing",
		"is a \"]\" or \"}\" missing, or is there a \",\" too many?" },
	{ "block node", "node content", AT_PROBLEM, "a value is missing",
		"put a text that begins with any of , [ ] { } in quotes" },
	{ "quoted scalar", "unexpected end of stream", AT_CONTEXT, "the quote is never closed",
		NULL },
	{ "quoted scalar", "document indicator", AT_PROBLEM,
		"a line of \"---\" or \"...\" inside a quoted text", "indent it" },
	{ "quoted scalar", "unknown escape", AT_PROBLEM, "no such escape in double quotes",
		"write \\\\ for a backslash, or use single quotes" },
	{ "quoted scalar", "hexdecimal", AT_PROBLEM,
		"expected hexadecimal digits after \\x, \\u or \\U",
		"write \\\\ for a backslash, or use single quotes" },
	{ "quoted scalar", "Unicode character escape", AT_PROBLEM, "no such Unicode character",
		NULL },
	{ "block scalar", "comment or line break", AT_PROBLEM,
		"nothing but a comment may follow | or > on its line",
		"begin the text on the next line; put a text that begins with | or > in quotes" },
	{ "block scalar", "indentation indicator", AT_PROBLEM,
		"the digit after | or > counts spaces of indentation, from 1 to 9", NULL },
	{ "directive", NULL, AT_CONTEXT, "a \"%\" directive that YAML does not know",
		"put a text that begins with % in quotes" },
	{ NULL, "incompatible YAML document", AT_PROBLEM, "the file is for another version of YAML",
		"remove the %YAML line" },
	{ NULL, "directive", AT_PROBLEM, "directives are given twice", "remove one" },
	{ NULL, "document start", AT_PROBLEM, "text after the document's end",
		"a file holds one mapping: its keys begin in the same column" },
	{ "parsing a node", "undefined tag handle", AT_PROBLEM, "unknown tag",
		"put a text that begins with ! in quotes" },
	{ "a tag", NULL, AT_CONTEXT, "not a tag", "put a text that begins with ! in quotes" },
};

static bool holds(const char *text, const char *part)
{
	return !part || (text && strstr(text, part));
}

static struct yaml_cursor at_mark(const struct source *src, yaml_mark_t mark)
{
	struct yaml_cursor c;

	yaml_cursor_init(&c, src);
	yaml_cursor_seek(&c, src, mark.index);
	return c;
}

static void report_start(
	const struct source *src, const struct yaml_cursor *at, bool flow, struct diags *diags)
{
	char example[128];
	struct yaml_piece value = yaml_unquoted_value(at->p, at->end, flow);

	diag_place(diags, src, at->line, at->col, "a value cannot begin with \"%c\"", *at->p);
	diag_hint(
		diags, "put it in quotes: %s", yaml_quote_example(value, example, sizeof example));
}

/* A character with a meaning of its own at the start of a value: %d, @x, `x`, * / 5. */
static bool report_bad_start(
	const yaml_parser_t *parser, const struct source *src, struct diags *diags)
{
	bool alias = holds(parser->context, "scanning an alias") ||
		     holds(parser->context, "scanning an anchor");
	bool token = holds(parser->problem, "cannot start any token");

	if (!parser->problem || (!alias && !token))
		return false;
	struct yaml_cursor at = at_mark(src, alias ? parser->context_mark : parser->problem_mark);
	if (at.p >= at.end || !strchr("*&%@`", *at.p))
		return false;
	report_start(src, &at, parser->flow_level > 0, diags);
	return true;
}

/* Indentation by a TAB shows up as all kinds of errors. */
static bool report_tab(const yaml_parser_t *parser, const struct source *src, struct diags *diags)
{
	struct yaml_cursor at = at_mark(src, parser->problem_mark);
	const char *line = yaml_line_start(src, at.p);
	size_t indent = strspn(line, " \t");
	const char *tab = memchr(line, '\t', indent);

	if (parser->flow_level > 0 || !tab || holds(parser->context, "scalar"))
		return false;
	/* A tab behind "key:" is white space. */
	if (tab > at.p)
		return false;
	diag_place(diags, src, at.line, (int)(tab - line) + 1, "a TAB is used for indentation");
	diag_hint(diags, "indent with spaces");
	return true;
}

/* An opened [ or { that the file's end was reached in. */
static bool report_unclosed(
	const yaml_parser_t *parser, const struct source *src, struct diags *diags)
{
	struct yaml_cursor at = at_mark(src, parser->problem_mark);
	struct yaml_cursor open = at_mark(src, parser->context_mark);

	while (at.p < at.end && strchr(" \t\r\n", *at.p))
		at.p++;
	bool flow = holds(parser->context, "flow") && parser->context;
	if (!flow || at.p < at.end || open.p >= open.end || !strchr("[{", *open.p))
		return false;
	diag_place(diags, src, open.line, open.col, "this \"%c\" is never closed", *open.p);
	diag_hint(diags, "put a text that begins with \"%c\" in quotes", *open.p);
	return true;
}

static void report_row(
	const yaml_parser_t *parser, const struct source *src, size_t i, struct diags *diags)
{
	bool context = rows[i].place == AT_CONTEXT && parser->context;
	struct yaml_cursor at = at_mark(src, context ? parser->context_mark : parser->problem_mark);
	struct yaml_cursor open = at_mark(src, parser->context_mark);
	bool collection = rows[i].context && !context &&
			  (strstr(rows[i].context, "flow") || strstr(rows[i].context, "block"));

	if (collection && open.line != at.line)
		diag_place(diags, src, at.line, at.col, "%s, in what begins at line %d, column %d",
			rows[i].message, open.line, open.col);
	else
		diag_place(diags, src, at.line, at.col, "%s", rows[i].message);
	if (rows[i].hint)
		diag_hint(diags, "%s", rows[i].hint);
}

static void report_reader(
	const yaml_parser_t *parser, const struct source *src, struct diags *diags)
{
	struct yaml_cursor at;

	yaml_cursor_init(&at, src);
	yaml_cursor_to(&at, src->text + parser->problem_offset);
	diag_place(diags, src, at.line, at.col, "not a text file: %s", parser->problem);
}

void yaml_error_report(const yaml_parser_t *parser, const struct source *src, struct diags *diags)
{
	const char *problem = parser->problem ? parser->problem : "unknown error";

	if (parser->error == YAML_MEMORY_ERROR) {
		diag_place(diags, src, 0, 0, "out of memory");
		return;
	}
	if (parser->error == YAML_READER_ERROR) {
		report_reader(parser, src, diags);
		return;
	}
	if (report_tab(parser, src, diags) || report_bad_start(parser, src, diags) ||
		report_unclosed(parser, src, diags))
		return;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		bool here = !rows[i].context || parser->context;
		if (here && holds(parser->context, rows[i].context) &&
			holds(problem, rows[i].problem)) {
			report_row(parser, src, i, diags);
			return;
		}
	}
	struct yaml_cursor at = at_mark(src, parser->problem_mark);
	diag_place(diags, src, at.line, at.col, "not YAML: %s%s%s", problem,
		parser->context ? " " : "", parser->context ? parser->context : "");
}

/* A line, up to the first "{{" that is not inside quotes or a comment. */
struct line_scan {
	const char *value;    /* where the value that holds it begins */
	const char *template; /* NULL: there is none */
	int flow;             /* [ and { open before it */
	char quote;
};

static void scan_char(struct line_scan *s, const char *p, const char *end)
{
	bool at_start = p == s->value, indicator = false;

	if (at_start && (*p == '"' || *p == '\''))
		s->quote = *p;
	else if (*p == ':' || (at_start && (*p == '-' || *p == '?')))
		indicator = p + 1 == end || p[1] == ' ';
	else if (*p == ',')
		indicator = s->flow > 0;
	else if (*p == '[' || *p == '{')
		indicator = at_start;
	else if ((*p == ']' || *p == '}') && s->flow > 0)
		s->flow--;
	if (indicator && (*p == '[' || *p == '{'))
		s->flow++;
	if (indicator || (at_start && (*p == ' ' || *p == '\t')))
		s->value = p + 1;
}

static struct line_scan scan_line(const char *line, const char *end)
{
	struct line_scan s = { .value = line };

	for (const char *p = line; p < end; p++) {
		if (s.quote) {
			s.quote = *p == s.quote ? '\0' : s.quote;
			continue;
		}
		if (*p == '#' && p > line && (p[-1] == ' ' || p[-1] == '\t'))
			break;
		if (p + 1 < end && p[0] == '{' && p[1] == '{') {
			s.template = p;
			break;
		}
		scan_char(&s, p, end);
	}
	return s;
}

bool yaml_error_is_template(
	const yaml_parser_t *parser, const struct source *src, bool in_flow, struct yaml_piece *ret)
{
	bool context = parser->context != NULL;
	bool colon = holds(parser->problem, "mapping values are not allowed");

	if (parser->error != YAML_SCANNER_ERROR && parser->error != YAML_PARSER_ERROR)
		return false;
	for (int i = context ? 0 : 1; i < 2; i++) {
		yaml_mark_t mark = i == 0 ? parser->context_mark : parser->problem_mark;
		struct yaml_cursor at = at_mark(src, mark);
		const char *line = yaml_line_start(src, at.p);
		struct line_scan s = scan_line(line, yaml_line_end(line, at.end));
		bool flow = in_flow || s.flow > 0;
		if (!s.template || !(s.template == s.value || flow || colon))
			continue;
		*ret = yaml_unquoted_value(s.value, at.end, flow);
		return true;
	}
	return false;
}

void yaml_error_template(const struct source *src, struct yaml_piece value, struct diags *diags)
{
	char example[128];
	struct yaml_cursor at;

	yaml_cursor_init(&at, src);
	yaml_cursor_to(&at, value.start);
	int col = at.col;
	struct diag_place place = { at.line, at.col, 1 };
	yaml_cursor_to(&at, value.end);
	place.width = at.line == place.line ? at.col - col : 1;
	diag_span(diags, src, &place, "a value with {{ }} must be in quotes here");
	diag_hint(diags, "write %s; without quotes, YAML reads \"{\" as the start of a mapping",
		yaml_quote_example(value, example, sizeof example));
}
