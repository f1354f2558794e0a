#include "data/csv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/buf.h"
#include "base/err.h"
#include "base/utf8.h"
#include "data/window.h"

enum { BLOCK = 64, FIRST_FIELDS = 64 };

const char *const csv_problem_texts[] = {
	[CSV_OK] = "well-formed",
	[CSV_BAD_UTF8] = "not valid UTF-8",
	[CSV_NUL] = "holds a zero byte",
	[CSV_TEXT_AFTER_END] = "text follows a closing quote",
};
static_assert(sizeof csv_problem_texts / sizeof *csv_problem_texts == CSV_PROBLEM_MAX,
	"a text for each problem");

struct csv_reader {
	struct csv_config config;
	struct window w; /* padded with BLOCK bytes, so that a block can be read anywhere */
	bool plain;      /* all of it is ASCII without zero bytes: nothing to validate */
	uint64_t line;
	struct csv_field *fields;
	size_t nfields, cap;
	struct buf scratch; /* unescaped fields */
	/* Delimiters, quotes and line feeds are found 64 bytes at a time: bit i of `mask` is one at
	 * block + i. */
	size_t block;
	uint64_t mask;
	size_t sought; /* the specials before it are passed, none behind it is */
};

/* ---- finding what matters ------------------------------------------------------------ */

#ifdef __SSE2__
static uint64_t specials(const char *p, char delimiter)
{
	const __m128i d = _mm_set1_epi8(delimiter), q = _mm_set1_epi8('"'), n = _mm_set1_epi8('\n');
	uint64_t mask = 0;

	for (int i = 0; i < BLOCK / 16; i++) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
		__m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, d), _mm_cmpeq_epi8(v, q)),
			_mm_cmpeq_epi8(v, n));
		mask |= (uint64_t)(unsigned)_mm_movemask_epi8(hit) << (16 * i);
	}
	return mask;
}
#else
static uint64_t specials(const char *p, char delimiter)
{
	uint64_t mask = 0;

	for (int i = 0; i < BLOCK; i++)
		mask |= (uint64_t)(p[i] == delimiter || p[i] == '"' || p[i] == '\n') << i;
	return mask;
}
#endif

static void seek(struct csv_reader *r, size_t at)
{
	r->block = at;
	r->mask = specials(r->w.data + at, r->config.delimiter);
}

/* The place of the next special byte, which is passed; r->w.len when there is none. */
static inline size_t next_special(struct csv_reader *r)
{
	while (!r->mask) {
		r->block += BLOCK;
		if (r->block >= r->w.len) {
			r->block = r->w.len;
			return r->w.len;
		}
		r->mask = specials(r->w.data + r->block, r->config.delimiter);
	}
	size_t at = r->block + (size_t)__builtin_ctzll(r->mask);
	r->mask &= r->mask - 1;
	return at < r->w.len ? at : r->w.len;
}

/* ---- text ---------------------------------------------------------------------------- */

/* No byte is zero or has its high bit set. */
static bool is_plain(const char *p, size_t len)
{
	size_t i = 0;
	uint64_t bad = 0;

	for (; i + 8 <= len; i += 8) {
		uint64_t w;
		memcpy(&w, p + i, 8);
		/* A zero byte borrows from 0x01, which leaves a high bit. */
		bad |= w | (w - UINT64_C(0x0101010101010101));
	}
	for (; i < len; i++)
		bad |= p[i] == 0 || p[i] & 0x80 ? UINT64_C(0x80) : 0;
	return !(bad & UINT64_C(0x8080808080808080));
}

bool csv_text_ok(const char *text, size_t len, enum csv_problem *ret_problem)
{
	size_t i = 0;

	*ret_problem = CSV_OK;
	while (i < len) {
		if (len - i >= 32 && is_plain(text + i, 32)) {
			i += 32;
			continue;
		}
		size_t n = utf8_char(text + i, len - i, NULL);
		if (n == 0 || text[i] == 0) {
			*ret_problem = n ? CSV_NUL : CSV_BAD_UTF8;
			return false;
		}
		i += n;
	}
	return true;
}

/* ---- buffer -------------------------------------------------------------------------- */

/* What follows each filling of the window. */
static void look_over(struct csv_reader *r)
{
	r->sought = SIZE_MAX;
	memset(r->w.data + r->w.len, 0, BLOCK);
	r->plain = is_plain(r->w.data, r->w.len);
}

static int refill(struct csv_reader *r, struct err *err)
{
	int rc = window_refill(&r->w, err);

	if (rc == WINDOW_FULL)
		return err_set(err, ERR_DATA,
			"%s:%llu: the record that starts here is longer than %zu bytes; is a quote "
			"not closed?",
			r->config.name, (unsigned long long)r->line, r->w.max);
	if (rc == 0)
		look_over(r);
	return rc;
}

/* ---- records ------------------------------------------------------------------------- */

static int too_many(struct csv_reader *r, struct err *err)
{
	return err_set(err, ERR_DATA, "%s:%llu: the record has more than %d fields", r->config.name,
		(unsigned long long)r->line, CSV_FIELDS_MAX);
}

static int more_fields(struct csv_reader *r, struct err *err)
{
	if (r->cap >= CSV_FIELDS_MAX)
		return too_many(r, err);
	size_t cap = r->cap ? r->cap * 2 : FIRST_FIELDS;
	if (cap > CSV_FIELDS_MAX)
		cap = CSV_FIELDS_MAX;
	struct csv_field *fields = realloc(r->fields, cap * sizeof *fields);
	if (!fields)
		return err_nomem(err);
	r->fields = fields;
	r->cap = cap;
	return 0;
}

/* How the scan of a record or field ended. */
enum scan { SCAN_DONE, SCAN_SHORT, SCAN_FAILED };

struct scan_state {
	size_t start;   /* of the field */
	size_t end;     /* the delimiter or line end behind it */
	uint64_t lines; /* line feeds passed inside quotes */
	enum csv_problem problem;
};

/* A field that opened with a quote at s->start. */
static enum scan scan_quoted(struct csv_reader *r, struct scan_state *s, struct csv_field *f)
{
	size_t from = s->start + 1, at;

	*f = (struct csv_field){ .text = r->w.data + from, .quoted = true };
	for (;;) {
		at = next_special(r);
		if (at == r->w.len)
			return SCAN_SHORT;
		if (r->w.data[at] == '\n')
			s->lines++;
		if (r->w.data[at] != '"')
			continue;
		/* At the end of what is read there is a zero byte, and no special one below. */
		if (r->w.data[at + 1] != '"')
			break;
		f->escaped = true;
		next_special(r);
	}
	f->len = (uint32_t)(at - from);
	size_t behind = at + 1;
	do
		at = next_special(r);
	while (at < r->w.len && r->w.data[at] == '"');
	if (at == r->w.len && !r->w.eof)
		return SCAN_SHORT;
	s->end = at;
	bool cr = at - behind == 1 && r->w.data[behind] == '\r' &&
		  (at == r->w.len || r->w.data[at] == '\n');
	if (at != behind && !cr)
		s->problem = CSV_TEXT_AFTER_END;
	return SCAN_DONE;
}

/* An unquoted field; its end is found. Quotes within it are data. */
static enum scan scan_field(struct csv_reader *r, struct scan_state *s, struct csv_field *f)
{
	size_t at = next_special(r);

	if (at < r->w.len && r->w.data[at] == '"' && at == s->start)
		return scan_quoted(r, s, f);
	while (at < r->w.len && r->w.data[at] == '"')
		at = next_special(r);
	if (at == r->w.len && !r->w.eof)
		return SCAN_SHORT;
	size_t end = at;
	if ((at == r->w.len || r->w.data[at] == '\n') && end > s->start &&
		r->w.data[end - 1] == '\r')
		end--;
	*f = (struct csv_field){ .text = r->w.data + s->start, .len = (uint32_t)(end - s->start) };
	s->end = at;
	return SCAN_DONE;
}

static enum scan scan_record(struct csv_reader *r, struct scan_state *s, struct err *err)
{
	s->start = r->w.at;
	s->lines = 0;
	s->problem = CSV_OK;
	r->nfields = 0;
	if (r->sought != r->w.at)
		seek(r, r->w.at);
	for (;;) {
		if (r->nfields == r->cap && more_fields(r, err) < 0)
			return SCAN_FAILED;
		enum scan rc = scan_field(r, s, &r->fields[r->nfields]);
		if (rc != SCAN_DONE)
			return rc;
		r->nfields++;
		if (s->end == r->w.len || r->w.data[s->end] == '\n')
			return SCAN_DONE;
		s->start = s->end + 1;
	}
}

static int unescape(struct csv_reader *r, size_t raw_len, struct err *err)
{
	size_t i = 0;

	while (i < r->nfields && !r->fields[i].escaped)
		i++;
	if (i == r->nfields)
		return 0;
	buf_clear(&r->scratch);
	if (buf_reserve(&r->scratch, raw_len) < 0)
		return err_nomem(err);
	for (; i < r->nfields; i++) {
		struct csv_field *f = &r->fields[i];
		if (!f->escaped)
			continue;
		char *to = r->scratch.data + r->scratch.len, *start = to;
		for (const char *p = f->text, *end = p + f->len; p < end;) {
			const char *quote = memchr(p, '"', (size_t)(end - p));
			size_t n = quote ? (size_t)(quote - p) + 1 : (size_t)(end - p);
			memcpy(to, p, n);
			to += n;
			p += n + (quote ? 1 : 0);
		}
		f->text = start;
		f->len = (uint32_t)(to - start);
		f->escaped = false;
		r->scratch.len += f->len;
	}
	return 0;
}

static int finish_record(
	struct csv_reader *r, const struct scan_state *s, struct csv_record *ret, struct err *err)
{
	size_t raw_len = s->end - r->w.at;

	if (raw_len && r->w.data[s->end - 1] == '\r')
		raw_len--;
	*ret = (struct csv_record){
		.fields = r->fields,
		.n = r->nfields,
		.raw = r->w.data + r->w.at,
		.raw_len = raw_len,
		.line = r->line,
		.problem = s->problem,
	};
	if (!r->plain)
		csv_text_ok(ret->raw, raw_len, &ret->problem);
	if (ret->problem == CSV_OK)
		ret->problem = s->problem;
	r->w.at = s->end < r->w.len ? s->end + 1 : s->end;
	r->sought = r->w.at;
	r->line += 1 + s->lines;
	return unescape(r, raw_len, err) < 0 ? -1 : 1;
}

/* Pass over empty lines; true when a record (or the end of what is read) is there. */
static void skip_blank(struct csv_reader *r)
{
	for (;;) {
		size_t left = r->w.len - r->w.at;
		const char *p = r->w.data + r->w.at;
		if (left >= 1 && p[0] == '\n')
			r->w.at += 1;
		else if (left >= 2 && p[0] == '\r' && p[1] == '\n')
			r->w.at += 2;
		else
			return;
		r->line++;
	}
}

int csv_next(struct csv_reader *r, struct csv_record *ret, struct err *err)
{
	struct scan_state s;

	for (;;) {
		skip_blank(r);
		bool lone_cr = r->w.eof && r->w.len - r->w.at == 1 && r->w.data[r->w.at] == '\r';
		if (r->w.eof && (r->w.at == r->w.len || lone_cr))
			return 0;
		/* A lone CR at the end may yet become a blank line. */
		if (r->w.len - r->w.at >= 2 || r->w.eof) {
			enum scan rc = scan_record(r, &s, err);
			if (rc == SCAN_DONE)
				return finish_record(r, &s, ret, err);
			if (rc == SCAN_FAILED)
				return -1;
			if (r->w.eof)
				return err_set(err, ERR_DATA,
					"%s:%llu: a quote opened in the record that starts here is "
					"never closed",
					r->config.name, (unsigned long long)r->line);
		}
		if (refill(r, err) < 0)
			return -1;
	}
}

int csv_new(struct csv_reader **ret, const struct csv_config *config, struct err *err)
{
	struct csv_reader *r = calloc(1, sizeof *r);

	*ret = NULL;
	if (!r)
		return err_nomem(err);
	r->config = *config;
	if (!r->config.delimiter)
		r->config.delimiter = ',';
	if (!r->config.max_record)
		r->config.max_record = CSV_RECORD_MAX;
	r->line = 1;
	buf_init(&r->scratch, r->config.max_record);
	const struct window window = {
		.read = config->read, .arg = config->arg, .max = r->config.max_record, .pad = BLOCK
	};
	if (window_init(&r->w, &window, err) < 0) {
		csv_free(r);
		return -1;
	}
	look_over(r);
	*ret = r;
	return 0;
}

void csv_free(struct csv_reader *r)
{
	if (!r)
		return;
	buf_release(&r->scratch);
	free(r->fields);
	window_release(&r->w);
	free(r);
}

int csv_add_field(struct buf *out, const char *text, size_t len, char delimiter)
{
	bool quote = len == 0 || text[0] == ' ' || text[len - 1] == ' ';

	for (size_t i = 0; i < len && !quote; i++)
		quote = text[i] == delimiter || text[i] == '"' || text[i] == '\n' ||
			text[i] == '\r';
	if (!quote)
		return buf_add(out, text, len);
	buf_addc(out, '"');
	for (size_t i = 0; i < len;) {
		const char *q = memchr(text + i, '"', len - i);
		size_t n = q ? (size_t)(q - text) - i + 1 : len - i;
		buf_add(out, text + i, n);
		if (q)
			buf_addc(out, '"');
		i += n;
	}
	return buf_addc(out, '"');
}
