#include "core/zone.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "core/zone_tz.h"

/* A TZ rule repeats after 400 years: the calendar does, and 146,097 days are whole weeks.
 * So the table holds the rule's transitions for one such cycle behind the file's own, and
 * what lies beyond is looked up one or more cycles earlier. */
static const int64_t cycle_s = 146097 * CIVIL_S_PER_DAY;

enum {
	TRANSITIONS_MAX = 8192, /* the longest real table has under 300 */
	RULE_YEARS = 404,
	/* One bucket per 194 days; a bucket names the span in force at its start. */
	BUCKET_SHIFT = 24,
	BUCKETS_MAX = 2048,
	ARENA_MAX = 4 << 20,
	/* RFC 9636 3.2: an offset should be above -25 hours and below 26 hours. */
	OFFSET_MIN_S = -25 * 3600 + 1,
	OFFSET_MAX_S = 26 * 3600 - 1,
};

struct zone {
	const char *name;
	size_t n;        /* spans: the first begins at INT64_MIN */
	int64_t *from_s; /* n, ascending */
	uint16_t *type;  /* n, indices into info */
	struct zone_info *info;
	size_t n_info;
	bool cyclic;          /* the last cycle_s of the table repeat */
	int64_t cycle_from_s; /* the cycle begins here, ends a cycle_s later */
	bool cyclic_past;     /* a rule and no table: it holds backwards, too */
	uint16_t *bucket;     /* n_bucket: last span that begins at or before the bucket's start */
	size_t n_bucket;
	int64_t bucket_from_s;
	struct arena arena;
};

static int64_t utc_from[] = { INT64_MIN };
static uint16_t utc_type[] = { 0 };
static struct zone_info utc_info[] = { { 0, false, "UTC" } };
static const struct zone utc = {
	.name = "UTC", .n = 1, .from_s = utc_from, .type = utc_type, .info = utc_info, .n_info = 1
};

const struct zone *zone_utc(void)
{
	return &utc;
}

const char *zone_name(const struct zone *zone)
{
	return zone->name;
}

void zone_free(struct zone *zone)
{
	if (!zone || zone == &utc)
		return;
	struct arena arena = zone->arena; /* it holds the zone itself */
	arena_release(&arena);
}

static struct zone *zone_new(const char *name)
{
	struct arena arena;

	arena_init(&arena, ARENA_MAX);
	struct zone *z = arena_alloc(&arena, sizeof *z);
	char *copy = arena_strdup(&arena, name);
	if (!z || !copy) {
		arena_release(&arena);
		return NULL;
	}
	z->name = copy;
	z->arena = arena;
	return z;
}

/* Looking up. */

static size_t span_index(const struct zone *z, int64_t at_s)
{
	size_t lo = 0, hi = z->n;

	if (z->n_bucket && at_s >= z->bucket_from_s) {
		size_t b = (size_t)((uint64_t)(at_s - z->bucket_from_s) >> BUCKET_SHIFT);
		lo = z->bucket[b < z->n_bucket ? b : z->n_bucket - 1];
		if (b < z->n_bucket) {
			while (lo + 1 < z->n && z->from_s[lo + 1] <= at_s)
				lo++;
			return lo;
		}
	}
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;
		if (z->from_s[mid] <= at_s)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

/* How far `at` lies from the place in the table that stands for it; a multiple of cycle_s. */
static int64_t cycle_shift(const struct zone *z, int64_t at_s)
{
	if (!z->cyclic)
		return 0;
	if (at_s >= z->cycle_from_s + cycle_s || (z->cyclic_past && at_s < z->cycle_from_s))
		return civil_floor_div(at_s - z->cycle_from_s, cycle_s) * cycle_s;
	return 0;
}

void zone_span_at(const struct zone *zone, int64_t at_s, struct zone_span *ret)
{
	/* Beyond what microseconds can express nothing is asked; this keeps sums in range. */
	const int64_t limit = INT64_MAX / CIVIL_US_PER_S + 1;
	at_s = at_s < -limit ? -limit : at_s > limit ? limit : at_s;

	int64_t shift = cycle_shift(zone, at_s);
	size_t i = span_index(zone, at_s - shift);

	ret->from_s = i == 0 ? INT64_MIN : zone->from_s[i] + shift;
	ret->until_s = i + 1 == zone->n ? INT64_MAX : zone->from_s[i + 1] + shift;
	ret->info = zone->info[zone->type[i]];
}

void zone_offset_at(const struct zone *zone, int64_t at_us, struct zone_info *ret)
{
	struct zone_span span;

	zone_span_at(zone, civil_floor_div(at_us, CIVIL_US_PER_S), &span);
	*ret = span.info;
}

static int64_t add_clamped(int64_t us, int64_t s)
{
	int64_t r;

	if (__builtin_add_overflow(us, s * CIVIL_US_PER_S, &r))
		return s < 0 ? INT64_MIN : INT64_MAX;
	return r;
}

void zone_to_civil(
	const struct zone *zone, int64_t at_us, struct civil *ret, struct zone_info *ret_info)
{
	struct zone_info info;

	zone_offset_at(zone, at_us, &info);
	civil_from_us(add_clamped(at_us, info.offset_s), ret);
	if (ret_info)
		*ret_info = info;
}

/* Seconds of a local clock to instants. */
static void local_to_utc_s(
	const struct zone *zone, int64_t local_s, enum zone_local_kind *ret_kind, int64_t ret_s[2])
{
	int n = 0;
	int64_t gap_end_s = local_s;
	struct zone_span span, next;

	/* Only spans within the largest offset of it can show this local time. */
	zone_span_at(zone, local_s - OFFSET_MAX_S, &span);
	for (;; span = next) {
		int64_t at_s = local_s - span.info.offset_s;
		if (at_s >= span.from_s && at_s < span.until_s) {
			ret_s[n ? 1 : 0] = at_s;
			n++;
		}
		if (span.until_s > local_s - OFFSET_MIN_S)
			break;
		zone_span_at(zone, span.until_s, &next);
		/* Shown neither before nor after the change: the change skipped it. */
		if (n == 0 && span.until_s + span.info.offset_s <= local_s &&
			span.until_s + next.info.offset_s > local_s)
			gap_end_s = span.until_s;
	}
	if (n == 0)
		ret_s[0] = gap_end_s;
	if (n < 2)
		ret_s[1] = ret_s[0];
	*ret_kind = n == 0 ? ZONE_LOCAL_GAP : n == 1 ? ZONE_LOCAL_NORMAL : ZONE_LOCAL_OVERLAP;
}

void zone_local_to_utc(const struct zone *zone, const struct civil *local, struct zone_local *ret)
{
	int64_t us = civil_to_us(local);
	int64_t s[2] = { 0, 0 };

	local_to_utc_s(zone, civil_floor_div(us, CIVIL_US_PER_S), &ret->kind, s);
	/* The gap ends at a whole second, whatever the fraction asked for. */
	int64_t usec = ret->kind == ZONE_LOCAL_GAP ? 0 : local->usec;
	ret->first_us = add_clamped(usec, s[0]);
	ret->second_us = add_clamped(usec, s[1]);
}

int64_t zone_day_start_us(const struct zone *zone, int64_t day)
{
	enum zone_local_kind kind;
	int64_t s[2] = { 0, 0 };

	local_to_utc_s(zone, day * CIVIL_S_PER_DAY, &kind, s);
	return add_clamped(0, s[0]);
}

int64_t zone_day_at(const struct zone *zone, int64_t at_us)
{
	struct zone_info info;

	zone_offset_at(zone, at_us, &info);
	return civil_floor_div(add_clamped(at_us, info.offset_s), CIVIL_US_PER_DAY);
}

/* Reading TZif. */

struct reader {
	const char *name;
	const uint8_t *at;
	size_t left;
	struct err *err;
};

struct header {
	int version;
	size_t isutcnt, isstdcnt, leapcnt, timecnt, typecnt, charcnt;
};

static int broken(const struct reader *r, const char *why)
{
	return err_set(r->err, ERR_INVALID, "time zone %s: damaged TZif data: %s", r->name, why);
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t be_time(const uint8_t *p, size_t size)
{
	if (size == 4)
		return (int32_t)be32(p);
	return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

static const uint8_t *take(struct reader *r, size_t n)
{
	if (n > r->left)
		return NULL;
	const uint8_t *p = r->at;
	r->at += n;
	r->left -= n;
	return p;
}

static int read_header(struct reader *r, struct header *h)
{
	const uint8_t *p = take(r, 44);

	if (!p || memcmp(p, "TZif", 4) != 0)
		return broken(r, "it does not begin with a TZif header");
	*h = (struct header){
		.version = p[4] == 0 ? 1 : p[4] - '0',
		.isutcnt = be32(p + 20),
		.isstdcnt = be32(p + 24),
		.leapcnt = be32(p + 28),
		.timecnt = be32(p + 32),
		.typecnt = be32(p + 36),
		.charcnt = be32(p + 40),
	};
	if (h->version < 1 || h->version > 9)
		return broken(r, "unknown version");
	if (h->timecnt > TRANSITIONS_MAX || h->typecnt > 256 || h->charcnt > 4096 ||
		h->leapcnt > 4096 || h->isutcnt > 256 || h->isstdcnt > 256)
		return broken(r, "a count is too large");
	return 0;
}

static size_t block_size(const struct header *h, size_t time_size)
{
	return h->timecnt * (time_size + 1) + h->typecnt * 6 + h->charcnt +
	       h->leapcnt * (time_size + 4) + h->isstdcnt + h->isutcnt;
}

static int read_types(struct reader *r, const struct header *h, struct zone *z)
{
	const uint8_t *types = take(r, h->typecnt * 6);
	const uint8_t *chars = take(r, h->charcnt);

	if (!types || !chars)
		return broken(r, "it is cut short");
	if (h->typecnt == 0 || h->charcnt == 0)
		return broken(r, "it has no local time type");
	if (chars[h->charcnt - 1] != '\0')
		return broken(r, "an abbreviation has no end");
	char *copy = arena_strndup(&z->arena, (const char *)chars, h->charcnt);
	/* Two more for the standard and the daylight saving time of the footer's rule. */
	z->info = arena_array(&z->arena, h->typecnt + 2, sizeof *z->info);
	if (!copy || !z->info)
		return err_nomem(r->err);
	for (size_t i = 0; i < h->typecnt; i++) {
		const uint8_t *p = types + i * 6;
		int32_t offset = (int32_t)be32(p);
		if (offset < OFFSET_MIN_S || offset > OFFSET_MAX_S)
			return broken(r, "an offset from UTC is a day or more");
		if (p[4] > 1 || p[5] >= h->charcnt)
			return broken(r, "a local time type is invalid");
		z->info[i] = (struct zone_info){ offset, p[4] == 1, copy + p[5] };
	}
	z->n_info = h->typecnt;
	return 0;
}

/* Append a span; one that would begin no later than its predecessor replaces it, and one that
 * changes nothing is left out. */
static void push_span(struct zone *z, int64_t from_s, size_t type)
{
	while (z->n > 1 && from_s <= z->from_s[z->n - 1])
		z->n--;
	const struct zone_info *was = &z->info[z->type[z->n - 1]], *now = &z->info[type];
	if (was->offset_s == now->offset_s && was->is_dst == now->is_dst &&
		strcmp(was->abbrev, now->abbrev) == 0)
		return;
	z->from_s[z->n] = from_s;
	z->type[z->n++] = (uint16_t)type;
}

static int read_block(struct reader *r, const struct header *h, size_t time_size, struct zone *z)
{
	const uint8_t *times = take(r, h->timecnt * time_size);
	const uint8_t *indices = take(r, h->timecnt);

	if (!times || !indices)
		return broken(r, "it is cut short");
	if (h->leapcnt)
		return err_set(r->err, ERR_INVALID,
			"time zone %s counts leap seconds, which Weir does not: use the zone of "
			"that "
			"name outside of right/",
			r->name);
	if (read_types(r, h, z) < 0)
		return -1;
	if (!take(r, h->isstdcnt + h->isutcnt))
		return broken(r, "it is cut short");

	size_t room = h->timecnt + 1 + 2 * RULE_YEARS;
	z->from_s = arena_array(&z->arena, room, sizeof *z->from_s);
	z->type = arena_array(&z->arena, room, sizeof *z->type);
	if (!z->from_s || !z->type)
		return err_nomem(r->err);
	z->from_s[0] = INT64_MIN;
	z->type[0] = 0;
	z->n = 1;
	/* RFC 9636 advises no times before -2^59; and sums must not leave the type. */
	const int64_t earliest = -(INT64_C(1) << 59), latest = INT64_C(1) << 59;
	int64_t last = INT64_MIN;
	for (size_t i = 0; i < h->timecnt; i++) {
		int64_t at_s = be_time(times + i * time_size, time_size);
		if (at_s < earliest || at_s > latest)
			return broken(r, "a transition is out of range");
		if (i && at_s <= last)
			return broken(r, "its transitions are not in order");
		if (indices[i] >= h->typecnt)
			return broken(r, "a transition has no local time type");
		push_span(z, at_s, indices[i]);
		last = at_s;
	}
	return 0;
}

static void add_rule_spans(struct zone *z, const struct zone_tz *tz, bool has_table, int64_t last_s)
{
	size_t std = z->n_info, dst = std + 1;
	struct civil c;

	z->info[std] = (struct zone_info){ tz->std.offset_s, false, tz->std.abbrev };
	z->info[dst] = (struct zone_info){ tz->dst.offset_s, true, tz->dst.abbrev };
	z->n_info += 2;
	if (!tz->has_dst) {
		if (!has_table)
			z->type[0] = (uint16_t)std;
		return; /* RFC 9636: the last transition agrees with the footer */
	}
	civil_from_day(has_table ? civil_floor_div(last_s, CIVIL_S_PER_DAY) : 0, &c);
	int year = c.year;
	if (!has_table)
		z->type[0] = (uint16_t)std;
	for (int y = year; y < year + RULE_YEARS; y++) {
		int64_t begin_s, end_s;
		zone_tz_year(tz, y, &begin_s, &end_s);
		bool north = begin_s < end_s;
		for (int i = 0; i < 2; i++) {
			bool to_dst = (i == 0) == north;
			int64_t at_s = to_dst ? begin_s : end_s;
			if (!has_table || at_s > last_s)
				push_span(z, at_s, to_dst ? dst : std);
		}
	}
	z->cycle_from_s = civil_day(year + 2, 1, 1) * CIVIL_S_PER_DAY;
	/* Daylight saving time all year is a rule, too: one without changes to repeat. */
	z->cyclic = z->from_s[z->n - 1] > z->cycle_from_s + cycle_s;
	z->cyclic_past = z->cyclic && !has_table;
}

static int read_footer(struct reader *r, struct zone *z, bool has_table, int64_t last_s)
{
	struct zone_tz tz;

	if (r->left < 2 || r->at[0] != '\n')
		return broken(r, "it has no footer");
	const uint8_t *end = memchr(r->at + 1, '\n', r->left - 1);
	if (!end)
		return broken(r, "its footer has no end");
	char *text = arena_strndup(&z->arena, (const char *)r->at + 1, (size_t)(end - r->at) - 1);
	if (!text)
		return err_nomem(r->err);
	if (!*text)
		return 0;
	if (zone_tz_parse(text, &z->arena, &tz) < 0)
		return z->arena.failed ? err_nomem(r->err)
				       : broken(r, "its footer is no POSIX TZ rule");
	if (last_s > civil_day(CIVIL_YEAR_MAX, 1, 1) * CIVIL_S_PER_DAY ||
		last_s < civil_day(CIVIL_YEAR_MIN, 1, 1) * CIVIL_S_PER_DAY)
		return broken(r, "its last transition is out of range");
	add_rule_spans(z, &tz, has_table, last_s);
	return 0;
}

static int add_buckets(struct zone *z, struct err *err)
{
	if (z->n < 16)
		return 0;
	/* A table can begin at the Big Bang; buckets serve the years since about 1900. */
	int64_t from_s = z->from_s[1] < -(INT64_C(1) << 31) ? -(INT64_C(1) << 31) : z->from_s[1];
	uint64_t need = (uint64_t)(z->from_s[z->n - 1] - from_s) >> BUCKET_SHIFT;
	if (z->from_s[z->n - 1] <= from_s)
		return 0;
	z->n_bucket = need + 1 < BUCKETS_MAX ? (size_t)need + 1 : BUCKETS_MAX;
	z->bucket = arena_array(&z->arena, z->n_bucket, sizeof *z->bucket);
	if (!z->bucket)
		return err_nomem(err);
	z->bucket_from_s = from_s;
	size_t i = 0;
	for (size_t b = 0; b < z->n_bucket; b++) {
		int64_t at_s = from_s + ((int64_t)b << BUCKET_SHIFT);
		while (i + 1 < z->n && z->from_s[i + 1] <= at_s)
			i++;
		z->bucket[b] = (uint16_t)i;
	}
	return 0;
}

static int read_zone(struct reader *r, struct zone *z)
{
	struct header h;
	size_t time_size = 4;

	if (read_header(r, &h) < 0)
		return -1;
	if (h.version >= 2) {
		/* The first block is for readers of version 1. */
		if (!take(r, block_size(&h, 4)))
			return broken(r, "it is cut short");
		if (read_header(r, &h) < 0)
			return -1;
		time_size = 8;
	}
	const uint8_t *times = r->at;
	if (read_block(r, &h, time_size, z) < 0)
		return -1;
	int64_t last_s = h.timecnt ? be_time(times + (h.timecnt - 1) * time_size, time_size) : 0;
	if (time_size == 8 && read_footer(r, z, h.timecnt > 0, last_s) < 0)
		return -1;
	return add_buckets(z, r->err);
}

int zone_parse(const char *name, const void *bytes, size_t len, struct zone **ret, struct err *err)
{
	struct reader r = { .name = name, .at = bytes, .left = len, .err = err };

	if (len > ZONE_FILE_MAX)
		return broken(&r, "it is too large");
	struct zone *z = zone_new(name);
	if (!z)
		return err_nomem(err);
	if (read_zone(&r, z) < 0) {
		zone_free(z);
		return -1;
	}
	*ret = z;
	return 0;
}

int zone_fixed(const char *name, int offset_s, struct zone **ret, struct err *err)
{
	if (offset_s < OFFSET_MIN_S || offset_s > OFFSET_MAX_S)
		return err_set(err, ERR_INVALID,
			"time zone %s: an offset from UTC is less than a day", name);
	struct zone *z = zone_new(name);
	if (!z)
		return err_nomem(err);
	z->n = z->n_info = 1;
	z->from_s = arena_array(&z->arena, 1, sizeof *z->from_s);
	z->type = arena_array(&z->arena, 1, sizeof *z->type);
	z->info = arena_array(&z->arena, 1, sizeof *z->info);
	if (z->arena.failed) {
		zone_free(z);
		return err_nomem(err);
	}
	z->from_s[0] = INT64_MIN;
	z->info[0] = (struct zone_info){ offset_s, false, z->name };
	*ret = z;
	return 0;
}

static int number2(const char *p)
{
	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return -1;
	return (p[0] - '0') * 10 + (p[1] - '0');
}

/* +05:30, -0300, +01. */
static bool is_offset(const char *name, int *ret_s)
{
	int hours = number2(name + 1), minutes = 0;

	if (hours < 0 || hours > 23)
		return false;
	const char *p = name + 3;
	if (*p) {
		p += *p == ':';
		minutes = number2(p);
		if (minutes < 0 || minutes > 59 || p[2])
			return false;
	}
	*ret_s = (name[0] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
	return true;
}

int zone_open(const char *name, zone_read_fn *read, struct zone **ret, struct err *err)
{
	int offset_s = 0;
	struct buf bytes;

	if (strcmp(name, "UTC") == 0 || strcmp(name, "Z") == 0)
		return zone_fixed("UTC", 0, ret, err);
	if (name[0] == '+' || name[0] == '-') {
		if (!is_offset(name, &offset_s))
			return err_set(err, ERR_INVALID,
				"time zone \"%.40s\" is no offset from UTC: write +05:30", name);
		return zone_fixed(name, offset_s, ret, err);
	}
	buf_init(&bytes, ZONE_FILE_MAX);
	int rc = read(name, &bytes, err);
	if (rc == 0)
		rc = zone_parse(name, bytes.data, bytes.len, ret, err);
	buf_release(&bytes);
	return rc;
}
