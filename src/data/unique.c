#include "data/unique.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"
#include "data/row.h"

enum {
	FANOUT = 8,      /* runs of one level that become one of the next */
	RUNS_MAX = 128,  /* 16 levels: more keys than a disk holds */
	PAGE = 256,      /* keys read at once, and keys per entry of a run's index */
	LINE = 8,        /* 64 bit words of a block of the filter */
	FILTER_BITS = 4, /* set for a key */
	SLACK = 4096,    /* slots behind the last home, so that probing need not wrap around */
	MEMORY_MIN = 1 << 20,
};

struct run {
	int fd, level;
	uint64_t n;
	uint64_t *index; /* hi of the first key of each page */
	size_t npages;
};

struct unique_set {
	uint64_t k0, k1; /* SipHash's key */
	/* A key's home is given by its highest bits, so that the table is nearly sorted. */
	struct unique_key *slots; /* nslots homes and SLACK more */
	size_t nslots, used;      /* nslots: a power of two */
	int home_shift;
	bool has_zero;    /* the key {0, 0}, which marks a free slot */
	uint64_t *filter; /* NULL until the first run */
	size_t nlines;    /* a power of two */
	struct run runs[RUNS_MAX];
	size_t nruns;
	int64_t spilled;
	const char *tmp_dir;
};

/* ---- digest -------------------------------------------------------------------------- */

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotl(s->v1, 13) ^ s->v0;
	s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 = rotl(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = rotl(s->v1, 17) ^ s->v2;
	s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v2 = rotl(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t m)
{
	s->v3 ^= m;
	sip_round(s);
	sip_round(s);
	s->v0 ^= m;
}

static inline uint64_t sip_end(struct sip *s)
{
	for (int i = 0; i < 4; i++)
		sip_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

/* SipHash with an output of 128 bits. The type stands where a message's first word does. */
static struct unique_key digest(
	const struct unique_set *u, uint64_t type, const void *data, size_t len)
{
	struct sip s = { u->k0 ^ UINT64_C(0x736f6d6570736575),
		u->k1 ^ UINT64_C(0x646f72616e646f6d) ^ 0xee, u->k0 ^ UINT64_C(0x6c7967656e657261),
		u->k1 ^ UINT64_C(0x7465646279746573) };
	const char *p = data;
	size_t left = len;

	sip_word(&s, type);
	for (; left >= 8; left -= 8, p += 8) {
		uint64_t m;
		memcpy(&m, p, 8);
		sip_word(&s, m);
	}
	uint64_t last = 0;
	if (left)
		memcpy(&last, p, left);
	sip_word(&s, last | (uint64_t)len << 56);
	s.v2 ^= 0xee;
	struct unique_key key = { .hi = sip_end(&s) };
	s.v1 ^= 0xdd;
	key.lo = sip_end(&s);
	return key;
}

struct unique_key unique_key_of(const struct unique_set *u, const struct cell *c)
{
	if (c->type == CELL_TEXT)
		return digest(u, CELL_TEXT, c->text, c->len);
	if (c->type == CELL_NULL)
		return digest(u, CELL_NULL, NULL, 0);
	return digest(u, c->type, &c->i, sizeof c->i);
}

/* ---- filter -------------------------------------------------------------------------- */

static uint64_t *filter_line(const struct unique_set *u, struct unique_key key)
{
	return u->filter + (key.lo & (u->nlines - 1)) * LINE;
}

/* The place of bit i of a key within its line, 0 to 511; from bits that choose no line. */
static unsigned filter_bit(struct unique_key key, int i)
{
	return (unsigned)(key.hi >> (9 * i)) & 511;
}

static void filter_add(struct unique_set *u, struct unique_key key)
{
	uint64_t *line = filter_line(u, key);

	for (int i = 0; i < FILTER_BITS; i++) {
		unsigned bit = filter_bit(key, i);
		line[bit / 64] |= UINT64_C(1) << bit % 64;
	}
}

static bool filter_may_have(const struct unique_set *u, struct unique_key key)
{
	const uint64_t *line = filter_line(u, key);

	for (int i = 0; i < FILTER_BITS; i++) {
		unsigned bit = filter_bit(key, i);
		if (!(line[bit / 64] >> bit % 64 & 1))
			return false;
	}
	return true;
}

/* ---- runs ---------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	const struct unique_key *x = a, *y = b;

	if (x->hi != y->hi)
		return x->hi < y->hi ? -1 : 1;
	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

static int open_temporary(const struct unique_set *u, struct err *err)
{
	char *path = NULL;
	int fd = open(u->tmp_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	/* Not every file system has O_TMPFILE. */
	if (asprintf(&path, "%s/weir.XXXXXX", u->tmp_dir) < 0)
		return err_nomem(err);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		err_errno(err, "%s: a temporary file for `unique` cannot be made; set TMPDIR",
			u->tmp_dir);
	else
		unlink(path);
	free(path);
	return fd;
}

static void run_release(struct run *r)
{
	if (r->fd >= 0)
		close(r->fd);
	free(r->index);
	*r = (struct run){ .fd = -1 };
}

static int run_init(struct run *r, const struct unique_set *u, uint64_t n, struct err *err)
{
	*r = (struct run){ .fd = -1, .npages = (size_t)((n + PAGE - 1) / PAGE) };
	r->index = malloc((r->npages ? r->npages : 1) * sizeof *r->index);
	if (!r->index)
		return err_nomem(err);
	r->fd = open_temporary(u, err);
	return r->fd < 0 ? -1 : 0;
}

static int read_page(
	const struct run *r, uint64_t page, struct unique_key *to, size_t *ret_n, struct err *err)
{
	uint64_t first = page * PAGE;
	size_t n = r->n - first < PAGE ? (size_t)(r->n - first) : PAGE, got = 0;

	while (got < n * sizeof *to) {
		ssize_t k = pread(r->fd, (char *)to + got, n * sizeof *to - got,
			(off_t)(first * sizeof *to + got));
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return err_errno(err, "temporary file of `unique`: read");
		got += (size_t)k;
	}
	*ret_n = n;
	return 0;
}

/* Append a page's keys (all pages but the last are full). */
static int append_page(struct run *r, const struct unique_key *keys, size_t n, struct err *err)
{
	r->index[r->n / PAGE] = keys[0].hi;
	if (io_write_all(r->fd, keys, n * sizeof *keys, err) < 0)
		return err_context(err, "temporary file of `unique`");
	r->n += n;
	return 0;
}

static int run_has(const struct run *r, struct unique_key key, struct err *err)
{
	struct unique_key page[PAGE];
	size_t low = 0, high = r->npages, n;

	/* Equal hi may span pages: begin at the last page whose first is smaller. */
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (r->index[mid] < key.hi)
			low = mid + 1;
		else
			high = mid;
	}
	for (size_t p = low ? low - 1 : 0; p < r->npages && r->index[p] <= key.hi; p++) {
		if (read_page(r, p, page, &n, err) < 0)
			return -1;
		if (bsearch(&key, page, n, sizeof *page, compare))
			return 1;
	}
	return 0;
}

/* A run that is being read in order. */
struct cursor {
	const struct run *run;
	uint64_t page;
	size_t at, n;
	struct unique_key keys[PAGE];
};

static int cursor_fill(struct cursor *c, struct err *err)
{
	if (c->at < c->n || c->page == c->run->npages)
		return 0;
	c->at = 0;
	return read_page(c->run, c->page++, c->keys, &c->n, err);
}

/* The cursor with the smallest key, NULL at the end of all. */
static struct cursor *smallest(struct cursor *cs)
{
	struct cursor *best = NULL;

	for (int i = 0; i < FANOUT; i++)
		if (cs[i].at < cs[i].n &&
			(!best || compare(&cs[i].keys[cs[i].at], &best->keys[best->at]) < 0))
			best = &cs[i];
	return best;
}

static int merge_into(struct run *to, struct cursor *cs, struct err *err)
{
	struct unique_key page[PAGE];
	size_t n = 0;

	for (int i = 0; i < FANOUT; i++)
		if (cursor_fill(&cs[i], err) < 0)
			return -1;
	for (struct cursor *c; (c = smallest(cs));) {
		page[n++] = c->keys[c->at++];
		if (cursor_fill(c, err) < 0)
			return -1;
		if (n == PAGE && append_page(to, page, n, err) < 0)
			return -1;
		n = n == PAGE ? 0 : n;
	}
	return n ? append_page(to, page, n, err) : 0;
}

/* Make one run of the last FANOUT. */
static int merge(struct unique_set *u, struct err *err)
{
	struct run *from = &u->runs[u->nruns - FANOUT], to;
	struct cursor *cs = calloc(FANOUT, sizeof *cs);
	uint64_t n = 0;
	int rc = -1;

	if (!cs)
		return err_nomem(err);
	for (int i = 0; i < FANOUT; i++) {
		cs[i].run = &from[i];
		n += from[i].n;
	}
	if (run_init(&to, u, n, err) == 0 && merge_into(&to, cs, err) == 0) {
		to.level = from[0].level + 1;
		for (int i = 0; i < FANOUT; i++)
			run_release(&from[i]);
		from[0] = to;
		u->nruns -= FANOUT - 1;
		rc = 0;
	} else {
		run_release(&to);
	}
	free(cs);
	return rc;
}

static bool must_merge(const struct unique_set *u)
{
	return u->nruns >= FANOUT &&
	       u->runs[u->nruns - FANOUT].level == u->runs[u->nruns - 1].level;
}

/* Sort what is nearly sorted. */
static void insertion_sort(struct unique_key *keys, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct unique_key key = keys[i];
		size_t at = i;
		for (; at > 0 && compare(&keys[at - 1], &key) > 0; at--)
			keys[at] = keys[at - 1];
		keys[at] = key;
	}
}

/* Empty the table into a new run. */
static int spill(struct unique_set *u, struct err *err)
{
	size_t n = 0;

	if (u->nruns == RUNS_MAX)
		return err_set(err, ERR_NOMEM, "`unique`: too many keys");
	if (!u->filter) {
		u->filter = calloc(u->nlines, LINE * sizeof *u->filter);
		if (!u->filter)
			return err_nomem(err);
	}
	for (size_t i = 0; i < u->nslots + SLACK; i++)
		if (u->slots[i].hi | u->slots[i].lo)
			u->slots[n++] = u->slots[i];
	insertion_sort(u->slots, n);
	struct run *r = &u->runs[u->nruns];
	if (run_init(r, u, n, err) < 0) {
		run_release(r);
		return -1;
	}
	u->nruns++;
	for (size_t i = 0; i < n; i++)
		filter_add(u, u->slots[i]);
	for (size_t i = 0; i < n; i += PAGE)
		if (append_page(r, u->slots + i, n - i < PAGE ? n - i : PAGE, err) < 0)
			return -1;
	memset(u->slots, 0, (u->nslots + SLACK) * sizeof *u->slots);
	u->used = 0;
	u->spilled += (int64_t)n;
	while (must_merge(u))
		if (merge(u, err) < 0)
			return -1;
	return 0;
}

/* ---- set ----------------------------------------------------------------------------- */

/* Where the key is, or where it would be put. The last slot always stays free. */
static struct unique_key *find_slot(const struct unique_set *u, struct unique_key key)
{
	struct unique_key *s = &u->slots[key.hi >> u->home_shift];

	while ((s->hi | s->lo) && (s->hi != key.hi || s->lo != key.lo))
		s++;
	return s;
}

int unique_has(struct unique_set *u, struct unique_key key, struct err *err)
{
	if (!(key.hi | key.lo))
		return u->has_zero;
	const struct unique_key *s = find_slot(u, key);
	if (s->hi | s->lo)
		return 1;
	if (!u->filter || !filter_may_have(u, key))
		return 0;
	for (size_t i = 0; i < u->nruns; i++) {
		int rc = run_has(&u->runs[i], key, err);
		if (rc != 0)
			return rc;
	}
	return 0;
}

int unique_add(struct unique_set *u, struct unique_key key, struct err *err)
{
	if (!(key.hi | key.lo)) {
		u->has_zero = true;
		return 0;
	}
	struct unique_key *s = find_slot(u, key);
	*s = key;
	/* Beyond 7/8 probing becomes long. */
	bool at_end = s + 2 >= u->slots + u->nslots + SLACK;
	if (++u->used < u->nslots - u->nslots / 8 && !at_end)
		return 0;
	return spill(u, err);
}

int64_t unique_spilled(const struct unique_set *u)
{
	return u->spilled;
}

static size_t power_below(size_t n)
{
	size_t p = 1;

	while (p <= n / 2)
		p *= 2;
	return p;
}

static const char *default_tmp_dir(void)
{
	const char *dir = getenv("TMPDIR");

	if (dir && *dir)
		return dir;
	return access("/var/tmp", W_OK) == 0 ? "/var/tmp" : "/tmp";
}

int unique_new(struct unique_set **ret, size_t memory, const char *tmp_dir, struct err *err)
{
	struct unique_set *u = calloc(1, sizeof *u);

	*ret = NULL;
	if (!u)
		return err_nomem(err);
	if (memory < MEMORY_MIN)
		memory = MEMORY_MIN;
	u->tmp_dir = tmp_dir ? tmp_dir : default_tmp_dir();
	u->nslots = power_below(memory / 3 / sizeof *u->slots);
	u->nlines = power_below(memory * 2 / 3 / (LINE * sizeof *u->filter));
	u->home_shift = 64 - __builtin_ctzll(u->nslots);
	u->slots = calloc(u->nslots + SLACK, sizeof *u->slots);
	uint64_t seed[2];
	if (!u->slots || getrandom(seed, sizeof seed, 0) != sizeof seed) {
		unique_free(u);
		return err_nomem(err);
	}
	u->k0 = seed[0];
	u->k1 = seed[1];
	*ret = u;
	return 0;
}

void unique_free(struct unique_set *u)
{
	if (!u)
		return;
	for (size_t i = 0; i < u->nruns; i++)
		run_release(&u->runs[i]);
	free(u->filter);
	free(u->slots);
	free(u);
}
