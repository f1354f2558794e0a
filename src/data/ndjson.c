#include "data/ndjson.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum { RECORD_MAX = 16 << 20 };

struct ndjson_reader {
	struct ndjson_config config;
	struct window w;
	uint64_t line;
	json_t *object;
	json_error_t problem;
};

static int refill(struct ndjson_reader *r, struct err *err)
{
	int rc = window_refill(&r->w, err);

	if (rc == WINDOW_FULL)
		return err_set(err, ERR_DATA, "%s:%llu: the line is longer than %zu bytes",
			r->config.name, (unsigned long long)r->line, r->w.max);
	return rc;
}

/* The next line without its end: 1, 0 at the end, or -1. */
static int next_line(struct ndjson_reader *r, const char **ret, size_t *ret_len, struct err *err)
{
	size_t sought = 0; /* no line feed in what was looked at */

	for (;;) {
		const char *start = r->w.data + r->w.at;
		size_t left = r->w.len - r->w.at;
		const char *end = memchr(start + sought, '\n', left - sought);
		if (!end && r->w.eof) {
			if (left == 0)
				return 0;
			end = start + left;
		}
		if (end) {
			*ret = start;
			*ret_len = (size_t)(end - start);
			r->w.at += *ret_len + (end < start + left);
			if (*ret_len && end[-1] == '\r')
				--*ret_len;
			return 1;
		}
		sought = left;
		if (refill(r, err) < 0)
			return -1;
	}
}

static bool is_blank(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != ' ' && p[i] != '\t' && p[i] != '\r')
			return false;
	return true;
}

static void decode(struct ndjson_reader *r, struct ndjson_record *rec)
{
	r->object = json_loadb(rec->raw, rec->raw_len, JSON_REJECT_DUPLICATES, &r->problem);
	if (r->object && !json_is_object(r->object)) {
		json_decref(r->object);
		r->object = NULL;
		rec->problem = "is JSON, but not an object";
		return;
	}
	rec->object = r->object;
	if (!r->object) {
		rec->problem = r->problem.text;
		rec->problem_at = r->problem.position > 0 ? (size_t)r->problem.position : 0;
	}
}

int ndjson_next(struct ndjson_reader *r, struct ndjson_record *ret, struct err *err)
{
	const char *text;
	size_t len;

	json_decref(r->object);
	r->object = NULL;
	for (;;) {
		int rc = next_line(r, &text, &len, err);
		if (rc <= 0)
			return rc;
		uint64_t line = r->line++;
		if (is_blank(text, len))
			continue;
		*ret = (struct ndjson_record){ .raw = text, .raw_len = len, .line = line };
		decode(r, ret);
		return 1;
	}
}

int ndjson_new(struct ndjson_reader **ret, const struct ndjson_config *config, struct err *err)
{
	struct ndjson_reader *r = calloc(1, sizeof *r);

	*ret = NULL;
	if (!r)
		return err_nomem(err);
	r->config = *config;
	if (!r->config.max_record)
		r->config.max_record = RECORD_MAX;
	r->line = 1;
	const struct window window = {
		.read = config->read, .arg = config->arg, .max = r->config.max_record
	};
	if (window_init(&r->w, &window, err) < 0) {
		ndjson_free(r);
		return -1;
	}
	*ret = r;
	return 0;
}

void ndjson_free(struct ndjson_reader *r)
{
	if (!r)
		return;
	json_decref(r->object);
	window_release(&r->w);
	free(r);
}
