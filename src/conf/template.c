#include "conf/template.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "conf/template_impl.h"

int template_render(const struct template *t, const struct template_context *ctx, struct buf *out,
	struct err *err)
{
	struct eval e;
	struct value v;
	int rc = 0;

	template_eval_init(&e, ctx);
	for (const struct part *p = t->parts; p && rc == 0; p = p->next) {
		if (!p->expr) {
			buf_add(out, t->text + p->text.off, p->text.len);
			continue;
		}
		rc = template_eval_expr(&e, t, p->expr, &v, err);
		if (rc == 0 && template_value_text(&v, out, err) < 0)
			rc = template_blame(t, p->expr, err);
	}
	template_eval_release(&e);
	return rc == 0 ? buf_ok(out, "the rendered text", err) : rc;
}

int template_text(
	const char *text, const struct template_context *ctx, struct buf *out, struct err *err)
{
	if (template_is_literal(text)) {
		buf_addstr(out, text);
		return buf_ok(out, "the text", err);
	}
	struct template *t = template_parse(text, NULL, NULL, err);
	int rc = t ? template_render(t, ctx, out, err) : -1;
	template_free(t);
	return rc;
}

bool template_is_single(const struct template *t)
{
	return t->parts && !t->parts->next && t->parts->expr;
}

json_t *template_single_value(
	const struct template *t, const struct template_context *ctx, struct err *err)
{
	const struct part *only = t->parts;
	json_t *json = NULL;
	struct eval e;
	struct value v;

	err_clear(err);
	if (!template_is_single(t))
		return NULL;
	template_eval_init(&e, ctx);
	if (template_eval_expr(&e, t, only->expr, &v, err) == 0) {
		json = template_value_to_json(&v, err);
		if (!json)
			template_blame(t, only->expr, err);
	}
	template_eval_release(&e);
	return json;
}

void template_place(const char *text, size_t offset, int *ret_line, int *ret_col)
{
	int line = 1, col = 1;

	for (size_t i = 0; i < offset && text[i]; i++) {
		if (text[i] == '\n') {
			line++;
			col = 1;
		} else if (((unsigned char)text[i] & 0xc0) != 0x80) {
			col++;
		}
	}
	*ret_line = line;
	*ret_col = col;
}

/* The reference, twice. */

static const char *shown(const struct template_name *name)
{
	return name->shown ? name->shown : name->name;
}

/* `help` in lines of at most 78 columns, `indent` deep; of mdoc, a sentence begins a line. */
static void put_help(struct buf *out, const char *help, int indent, bool mdoc)
{
	int col = 0;

	for (const char *word = help; *word;) {
		int len = (int)strcspn(word, " ");
		bool sentence = mdoc && word > help + 1 && word[-2] == '.';
		if (col == 0 || col + 1 + len > 78 || sentence) {
			buf_addf(out, "%s%*s", col ? "\n" : "", indent, "");
			col = indent;
		} else {
			buf_addc(out, ' ');
			col++;
		}
		buf_add(out, word, (size_t)len);
		col += len;
		word += len + (word[len] == ' ');
	}
	buf_addc(out, '\n');
}

/* Text within a line of mdoc(7): a backslash is \e. */
static void put_mdoc(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\\')
			buf_addstr(out, "\\e");
		else
			buf_addc(out, *text);
	}
}

static void mdoc_item(struct buf *out, const char *head, const char *help)
{
	buf_addstr(out, ".It Li \"");
	for (; *head; head++)
		buf_addstr(out, *head == '"' ? "\\(dq" : (char[]){ *head, '\0' });
	buf_addstr(out, "\"\n");
	put_help(out, help, 0, true);
}

void template_print_mdoc(struct buf *out)
{
	size_t nnames, nfilters;
	const struct template_name *names = template_names(&nnames);
	const struct template_filter *filters = template_filters(&nfilters);

	buf_addstr(out, ".Ss Names\n.Bl -tag -width Ds\n");
	for (size_t i = 0; i < nnames; i++)
		mdoc_item(out, shown(&names[i]), names[i].help);
	buf_addstr(out, ".El\n.Ss Filters\n.Bl -tag -width Ds\n");
	for (size_t i = 0; i < nfilters; i++) {
		const struct template_filter *f = &filters[i];
		mdoc_item(out, f->usage, f->help);
		buf_addstr(out, ".Bd -literal -offset indent -compact\n{{ ");
		put_mdoc(out, f->example);
		buf_addstr(out, " }}  \\(->  ");
		put_mdoc(out, f->result);
		buf_addstr(out, "\n.Ed\n");
	}
	buf_addstr(out, ".El\n");
}

void template_print_text(struct buf *out)
{
	size_t nnames, nfilters;
	const struct template_name *names = template_names(&nnames);
	const struct template_filter *filters = template_filters(&nfilters);

	buf_addstr(out, "Names\n\n");
	for (size_t i = 0; i < nnames; i++) {
		buf_addf(out, "  %s\n", shown(&names[i]));
		put_help(out, names[i].help, 6, false);
	}
	buf_addstr(out, "\nFilters\n\n");
	for (size_t i = 0; i < nfilters; i++) {
		const struct template_filter *f = &filters[i];
		buf_addf(out, "  %s\n", f->usage);
		put_help(out, f->help, 6, false);
		buf_addf(out, "      {{ %s }}  ->  %s\n", f->example, f->result);
	}
}
