/* The rows as text for the terminal and as mdoc for man pages. */
#include "conf/schema.h"

#include <string.h>

#include "base/buf.h"

/* Rows that hold themselves end here. */
enum { DEPTH_MAX = 8, WIDTH = 78 };

static const char *plural(enum field_type type)
{
	switch (type) {
	case FIELD_BOOL:
		return "booleans";
	case FIELD_ENUM:
		return "choices";
	case FIELD_SQL:
		return "SQL texts";
	case FIELD_ANY:
		return "anything";
	default:
		return NULL;
	}
}

static void describe_plural(const struct field *f, struct buf *out)
{
	const char *word = plural(f->type);

	if (f->flags & FIELD_OR_TEXT)
		buf_addstr(out, "texts or ");
	buf_addf(out, "%s%s", word ? word : schema_type_name(f->type), word ? "" : "s");
}

void schema_describe_type(const struct field *f, struct buf *out)
{
	if (f->type == FIELD_ENUM) {
		buf_addstr(out, "one of");
		for (size_t i = 0; f->values && f->values[i]; i++)
			buf_addf(out, "%s %s", i ? "," : "", f->values[i]);
		return;
	}
	if (f->flags & FIELD_ONE_KEY)
		buf_addstr(out, "mapping with one of these keys");
	else
		buf_addstr(out, schema_type_name(f->type));
	if (f->item && (f->type == FIELD_LIST || f->type == FIELD_MAP)) {
		buf_addstr(out, f->type == FIELD_LIST ? " of " : " of names to ");
		describe_plural(f->item, out);
	}
	if (f->flags & FIELD_OR_ONE)
		buf_addstr(out, ", or one");
	if (f->flags & FIELD_SECRET)
		buf_addstr(out, ", {env: NAME} or {file: PATH}");
}

/* The rows inside a row: of an object, or of a list's or mapping's items. */
static const struct field *inner_rows(const struct field *f)
{
	for (int i = 0; f && i < DEPTH_MAX; i++) {
		if (f->type == FIELD_OBJECT)
			return f->fields;
		f = f->type == FIELD_LIST || f->type == FIELD_MAP ? f->item : NULL;
	}
	return NULL;
}

/* "Default: 3. Example: 5." behind the help. */
static void describe(const struct field *f, struct buf *out)
{
	if (f->help)
		buf_addstr(out, f->help);
	if (f->def)
		buf_addf(out, "%sDefault: %s.", out->len ? " " : "", *f->def ? f->def : "empty");
	if (f->example)
		buf_addf(out, "%sExample: %s", out->len ? " " : "", f->example);
}

static void add_wrapped(struct buf *out, const char *text, int indent)
{
	size_t column = 0;

	for (const char *p = text; *p;) {
		size_t n = strcspn(p, " \n");
		if (n && column && column + 1 + n > (size_t)(WIDTH - indent)) {
			buf_addc(out, '\n');
			column = 0;
		}
		if (n) {
			buf_addpad(out, ' ', column ? 1 : (size_t)indent);
			buf_add(out, p, n);
			column += n + (column > 0);
		}
		p += n + (p[n] != '\0');
	}
	if (column)
		buf_addc(out, '\n');
}

static void print_rows(const struct field *fields, struct buf *out, int indent, int depth)
{
	for (const struct field *f = fields; f && f->key && depth < DEPTH_MAX; f++) {
		struct buf text;

		buf_init(&text, BUF_MAX_TEXT);
		buf_addf(out, "%*s%s (", indent, "", f->key);
		schema_describe_type(f, out);
		buf_addf(out, "%s)\n", f->flags & FIELD_REQUIRED ? ", required" : "");
		describe(f, &text);
		add_wrapped(out, text.data, indent + 4);
		out->failed |= text.failed;
		buf_release(&text);
		print_rows(inner_rows(f), out, indent + 4, depth + 1);
	}
}

void schema_print_text(const struct field *fields, struct buf *out, int indent)
{
	print_rows(fields, out, indent, 0);
}

/* A word that no mdoc request or escape is made of (mandoc_roff(7)). */
static void add_roff_word(struct buf *out, const char *word, size_t n, bool at_line_start)
{
	if (at_line_start && (*word == '.' || *word == '\''))
		buf_addstr(out, "\\&");
	for (size_t i = 0; i < n; i++)
		if (word[i] == '\\')
			buf_addstr(out, "\\e");
		else
			buf_addc(out, word[i]);
}

/* Filled lines, a new one for each sentence, as mdoc(7) wants it. */
static void add_roff(struct buf *out, const char *text)
{
	size_t column = 0;

	while (*(text += strspn(text, " \n"))) {
		size_t n = strcspn(text, " \n");
		if (column && column + 1 + n > WIDTH) {
			buf_addc(out, '\n');
			column = 0;
		}
		if (column)
			buf_addc(out, ' ');
		add_roff_word(out, text, n, column == 0);
		column += n + (column > 0);
		if (text[n - 1] == '.') {
			buf_addc(out, '\n');
			column = 0;
		}
		text += n;
	}
	if (column)
		buf_addc(out, '\n');
}

static void print_mdoc(const struct field *fields, struct buf *out, int depth)
{
	if (!fields || !fields->key || depth >= DEPTH_MAX)
		return;
	buf_addstr(out, ".Bl -tag -width Ds\n");
	for (const struct field *f = fields; f->key; f++) {
		struct buf text;

		buf_init(&text, BUF_MAX_TEXT);
		buf_addf(out, ".It Cm %s\n", f->key);
		schema_describe_type(f, &text);
		buf_addstr(&text, f->flags & FIELD_REQUIRED ? ", required." : ".");
		add_roff(out, text.data);
		buf_clear(&text);
		describe(f, &text);
		add_roff(out, text.data);
		out->failed |= text.failed;
		buf_release(&text);
		print_mdoc(inner_rows(f), out, depth + 1);
	}
	buf_addstr(out, ".El\n");
}

void schema_print_mdoc(const struct field *fields, struct buf *out)
{
	print_mdoc(fields, out, 0);
}
