#include "data/quarantine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/utf8.h"
#include "data/aside.h"
#include "data/contract.h"
#include "data/csv.h"
#include "data/table.h"

enum { LINE_MAX_BYTES = 256 << 20 };

struct quarantine {
	char *path;
	struct table_key key; /* borrowed strings */
	int64_t rows;
	struct aside *out; /* NULL before the first row */
	struct buf line;   /* of the next row */
	struct buf text;   /* of one field */
};

int quarantine_new(
	struct quarantine **ret, const char *path, const struct table_key *key, struct err *err)
{
	struct quarantine *q = calloc(1, sizeof *q);

	*ret = NULL;
	if (!q || !(q->path = strdup(path))) {
		free(q);
		return err_nomem(err);
	}
	q->key = *key;
	buf_init(&q->line, LINE_MAX_BYTES);
	buf_init(&q->text, 64u << 20);
	*ret = q;
	return 0;
}

/* Text that may be any bytes, as a CSV field in UTF-8. */
static void add_bytes(struct quarantine *q, const char *s, size_t len)
{
	enum csv_problem problem;
	struct buf *out = &q->line;

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
	struct buf *out = &q->line;

	if (c->type == CELL_TEXT)
		csv_add_field(out, c->text ? c->text : "", c->len, ',');
	else
		convert_add_text(out, c);
}

static int open_file(struct quarantine *q, struct err *err)
{
	const struct aside_target target = { .path = q->path, .key = &q->key };

	if (aside_open(&q->out, &target, err) < 0)
		return err_context(err, "quarantine");
	buf_addstr(&q->line, QUARANTINE_HEADER);
	return 0;
}

int quarantine_add(struct quarantine *q, const char *file, const struct row *row,
	const char *column, const struct contract_violation *v, struct err *err)
{
	struct buf *out = &q->line;

	if (!q->out && open_file(q, err) < 0)
		return -1;
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
	if (buf_ok(out, q->path, err) < 0 || aside_write(q->out, out->data, out->len, err) < 0)
		return -1;
	buf_clear(out);
	return 0;
}

int64_t quarantine_rows(const struct quarantine *q)
{
	return q->rows;
}

const char *quarantine_spool(struct quarantine *q, struct err *err)
{
	if (!q->out || aside_flush(q->out, err) < 0)
		return NULL;
	return aside_part(q->out);
}

int quarantine_commit(struct quarantine *q, struct err *err)
{
	const struct aside_target target = { .path = q->path, .key = &q->key };
	int rc;

	if (q->out) {
		rc = aside_commit(q->out, NULL, err);
		q->out = NULL;
	} else {
		rc = aside_remove(&target, err);
	}
	quarantine_abort(q);
	return rc;
}

void quarantine_abort(struct quarantine *q)
{
	if (!q)
		return;
	aside_abort(q->out);
	buf_release(&q->line);
	buf_release(&q->text);
	free(q->path);
	free(q);
}
