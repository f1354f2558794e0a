#include "data/quarantine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"
#include "base/utf8.h"
#include "data/aside.h"
#include "data/contract.h"
#include "data/csv.h"

struct quarantine {
	char *path;
	int64_t token, rows;
	struct aside *out; /* NULL before the first row */
	struct buf text;   /* of one field */
};

int quarantine_new(struct quarantine **ret, const char *path, int64_t token, struct err *err)
{
	struct quarantine *q = calloc(1, sizeof *q);

	*ret = NULL;
	if (!q || !(q->path = strdup(path))) {
		free(q);
		return err_nomem(err);
	}
	q->token = token;
	buf_init(&q->text, 64u << 20);
	*ret = q;
	return 0;
}

/* Text that may be any bytes, as a CSV field in UTF-8. */
static void add_bytes(struct quarantine *q, const char *s, size_t len)
{
	enum csv_problem problem;
	struct buf *out = aside_buf(q->out);

	if (len == 0)
		return;
	if (csv_text_ok(s, len, &problem)) {
		csv_add_field(out, s, len, ',');
		return;
	}
	buf_clear(&q->text);
	for (size_t i = 0; i < len;) {
		size_t n = s[i] ? utf8_char(s + i, len - i, NULL) : 0;
		if (n)
			buf_add(&q->text, s + i, n);
		else
			buf_addstr(&q->text, "\xef\xbf\xbd");
		i += n ? n : 1;
	}
	csv_add_field(out, q->text.data, q->text.len, ',');
}

static void add_value(struct quarantine *q, const struct cell *c)
{
	struct buf *out = aside_buf(q->out);

	if (c->type == CELL_TEXT)
		csv_add_field(out, c->text ? c->text : "", c->len, ',');
	else
		convert_add_text(out, c);
}

int quarantine_add(struct quarantine *q, const char *file, const struct row *row,
	const char *column, const struct contract_violation *v, struct err *err)
{
	if (!q->out) {
		if (aside_open(&q->out, q->path, q->token, err) < 0)
			return err_context(err, "quarantine");
		buf_addstr(aside_buf(q->out), QUARANTINE_HEADER);
	}
	struct buf *out = aside_buf(q->out);
	add_bytes(q, file, strlen(file));
	buf_addf(out, ",%" PRIu64 ",", row->number);
	if (column)
		csv_add_field(out, column, strlen(column), ',');
	buf_addf(out, ",%s,", contract_rule_names[v->rule]);
	add_value(q, &v->value);
	buf_addc(out, ',');
	add_bytes(q, row->raw, row->raw_len);
	buf_addc(out, '\n');
	q->rows++;
	return aside_flush(q->out, false, err);
}

int64_t quarantine_rows(const struct quarantine *q)
{
	return q->rows;
}

const char *quarantine_spool(struct quarantine *q, struct err *err)
{
	if (!q->out || aside_flush(q->out, true, err) < 0)
		return NULL;
	return aside_part(q->out);
}

int quarantine_commit(struct quarantine *q, struct err *err)
{
	int rc = 0;

	if (q->out) {
		rc = aside_commit(q->out, err);
		q->out = NULL;
	} else if (unlink(q->path) < 0 && errno != ENOENT && errno != ENOTDIR) {
		rc = err_errno(err, "%s: cannot remove the file of an earlier attempt", q->path);
	}
	quarantine_abort(q);
	return rc;
}

void quarantine_abort(struct quarantine *q)
{
	if (!q)
		return;
	aside_abort(q->out);
	buf_release(&q->text);
	free(q->path);
	free(q);
}
