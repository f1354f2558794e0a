#include "exec/mask.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

struct pattern {
	size_t at, len; /* in text */
};

struct mask {
	char *text; /* all values, one behind the other */
	size_t text_len;
	struct pattern *patterns; /* by first byte, then the longest first */
	size_t n;
	size_t first[257]; /* patterns that begin with byte b: first[b] .. first[b + 1] */
	struct buf held;   /* the beginning of a value, maybe */
};

/* The length of the next piece of a value that has `left` bytes; no piece is too short to be
 * masked. */
static size_t piece(size_t left)
{
	if (left <= MASK_PIECE)
		return left;
	return left - MASK_PIECE < MASK_MIN ? left - MASK_MIN : MASK_PIECE;
}

static void cut(struct mask *m, const char *value)
{
	size_t left = strlen(value);

	if (left < MASK_MIN)
		return;
	for (size_t n; left; left -= n, value += n) {
		n = piece(left);
		memcpy(m->text + m->text_len, value, n);
		m->patterns[m->n++] = (struct pattern){ m->text_len, n };
		m->text_len += n;
	}
}

static int by_first_then_longest(const void *va, const void *vb, void *text)
{
	const struct pattern *a = va, *b = vb;
	unsigned char x = ((const unsigned char *)text)[a->at],
		      y = ((const unsigned char *)text)[b->at];

	if (x != y)
		return x < y ? -1 : 1;
	return (a->len < b->len) - (a->len > b->len);
}

static void index_patterns(struct mask *m)
{
	qsort_r(m->patterns, m->n, sizeof *m->patterns, by_first_then_longest, m->text);
	size_t i = 0;
	for (int b = 0; b <= 256; b++) {
		while (i < m->n && (unsigned char)m->text[m->patterns[i].at] < b)
			i++;
		m->first[b] = i;
	}
}

struct mask *mask_new(const char *const *secrets)
{
	struct mask *m = calloc(1, sizeof *m);
	size_t size = 1, n = 1;

	if (!m)
		return NULL;
	for (size_t i = 0; secrets && secrets[i]; i++) {
		size += strlen(secrets[i]);
		n += strlen(secrets[i]) / MASK_PIECE + 1;
	}
	buf_init(&m->held, MASK_PIECE);
	m->text = malloc(size);
	m->patterns = calloc(n, sizeof *m->patterns);
	if (!m->text || !m->patterns) {
		mask_free(m);
		return NULL;
	}
	for (size_t i = 0; secrets && secrets[i]; i++)
		cut(m, secrets[i]);
	index_patterns(m);
	return m;
}

void mask_free(struct mask *m)
{
	if (!m)
		return;
	if (m->text)
		explicit_bzero(m->text, m->text_len);
	if (m->held.cap)
		explicit_bzero(m->held.data, m->held.cap);
	free(m->text);
	free(m->patterns);
	buf_release(&m->held);
	free(m);
}

enum { NO_MATCH = 0, NEEDS_MORE = -1 };

/* The length of the longest value at p, NO_MATCH, or NEEDS_MORE when a longer one may be there. */
static ptrdiff_t match(const struct mask *m, const char *p, size_t left, bool last)
{
	unsigned char b = (unsigned char)*p;

	for (size_t i = m->first[b]; i < m->first[b + 1]; i++) {
		const struct pattern *pat = &m->patterns[i];
		size_t n = pat->len < left ? pat->len : left;
		if (memcmp(p, m->text + pat->at, n) != 0)
			continue;
		if (n == pat->len)
			return (ptrdiff_t)n;
		if (!last)
			return NEEDS_MORE;
	}
	return NO_MATCH;
}

/* Mask data[0..len); returns how many bytes at its end must be held back. */
static size_t scan(const struct mask *m, const char *data, size_t len, bool last, struct buf *out)
{
	const char *end = data + len, *plain = data, *p = data;

	while (p < end) {
		unsigned char b = (unsigned char)*p;
		if (m->first[b] == m->first[b + 1]) {
			p++;
			continue;
		}
		ptrdiff_t n = match(m, p, (size_t)(end - p), last);
		if (n == NEEDS_MORE)
			break;
		if (n == NO_MATCH) {
			p++;
			continue;
		}
		buf_add(out, plain, (size_t)(p - plain));
		buf_addstr(out, "***");
		p += n;
		plain = p;
	}
	buf_add(out, plain, (size_t)(p - plain));
	return (size_t)(end - p);
}

/* Bytes are held: go on from them, with as much of the new bytes as the longest value can need. */
static size_t scan_held(struct mask *m, const char *data, size_t len, struct buf *out)
{
	size_t used = len < MASK_PIECE ? len : MASK_PIECE;
	struct buf joined;

	buf_init(&joined, 2 * MASK_PIECE);
	buf_add(&joined, m->held.data, m->held.len);
	buf_add(&joined, data, used);
	if (joined.failed) {
		out->failed = true;
		buf_release(&joined);
		return len;
	}
	size_t left = scan(m, joined.data, joined.len, false, out);
	buf_clear(&m->held);
	/* What is left lies within the new bytes, unless all of them belong to it. */
	if (left <= used) {
		used -= left;
	} else if (buf_add(&m->held, joined.data + joined.len - left, left) < 0) {
		out->failed = true;
	}
	explicit_bzero(joined.data, joined.len);
	buf_release(&joined);
	return used;
}

int mask_feed(struct mask *m, const void *data, size_t len, struct buf *out)
{
	const char *p = data;

	while (len && m->held.len) {
		size_t used = scan_held(m, p, len, out);
		p += used;
		len -= used;
		if (!used)
			break;
	}
	if (len) {
		size_t left = scan(m, p, len, false, out);
		if (left && buf_add(&m->held, p + len - left, left) < 0)
			out->failed = true;
	}
	return out->failed ? -1 : 0;
}

int mask_end(struct mask *m, struct buf *out)
{
	if (m->held.len)
		scan(m, m->held.data, m->held.len, true, out);
	buf_clear(&m->held);
	return out->failed ? -1 : 0;
}
