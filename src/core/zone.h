/* Time zones: offsets from UTC at any instant, and instants of local times.
 *
 * A zone is made from the bytes of a TZif file (RFC 9636, versions 1 to 4; with the POSIX TZ
 * rule of its footer for all time after its table) and immutable from then on, so it can
 * be shared freely. This file reads no files: base/zonefile.h does, and zone_open joins the two:
 *
 *         struct zone *z;
 *         if (zone_open("Europe/Berlin", zonefile_read, &z, &err) < 0) ...
 *         zone_free(z);
 *
 * Time is a sequence of *spans* in each of which the offset is constant. Where the offset grows
 * between two spans, the local clock jumps forward: local times in that gap do not exist. Where
 * it shrinks, local times repeat: an overlap.
 */
#ifndef WEIR_CORE_ZONE_H
#define WEIR_CORE_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/civil.h"

struct buf;
struct err;
struct zone;

enum { ZONE_NAME_MAX = 255, ZONE_FILE_MAX = 1 << 20 };

struct zone_info {
	int offset_s; /* east of UTC is positive: local = UTC + offset */
	bool is_dst;
	const char *abbrev; /* "CEST"; borrowed from the zone */
};

struct zone_span {
	int64_t from_s,
		until_s; /* seconds since the epoch: [from, until). Unbounded: INT64_MIN, _MAX */
	struct zone_info info;
};

enum zone_local_kind {
	ZONE_LOCAL_NORMAL, /* exists once: first == second */
	ZONE_LOCAL_GAP, /* does not exist: first == second == the instant at which the gap ends */
	ZONE_LOCAL_OVERLAP, /* exists twice: first < second */
	ZONE_LOCAL_KIND_MAX
};

struct zone_local {
	enum zone_local_kind kind;
	int64_t first_us, second_us;
};

/* Parse TZif bytes. Hostile bytes are an error, never a crash: ERR_INVALID, naming the zone and
 * what is wrong. Files that count leap seconds ("right/...") are refused: Weir's time is POSIX's.
 */
int zone_parse(const char *name, const void *bytes, size_t len, struct zone **ret, struct err *err);
/* A zone of one fixed offset, named as given. */
int zone_fixed(const char *name, int offset_s, struct zone **ret, struct err *err);

/* Appends the bytes of the named zone's TZif file to out; as zonefile_read. */
typedef int zone_read_fn(const char *name, struct buf *out, struct err *err);
/* The zone of that name: "UTC" and "Z" and offsets (+05:30, -0300) need no file; all else is what
 * `read` finds. */
int zone_open(const char *name, zone_read_fn *read, struct zone **ret, struct err *err);

const struct zone *zone_utc(void); /* built in; never freed */
void zone_free(struct zone *zone);
const char *zone_name(const struct zone *zone); /* borrowed */

/* What holds at an instant. */
void zone_offset_at(const struct zone *zone, int64_t at_us, struct zone_info *ret);
/* The span that holds the instant. Two neighbouring spans can have the same offset. */
void zone_span_at(const struct zone *zone, int64_t at_s, struct zone_span *ret);
/* What the clock on the wall shows. `ret_info` may be NULL. */
void zone_to_civil(
	const struct zone *zone, int64_t at_us, struct civil *ret, struct zone_info *ret_info);
/* The instants at which the clock on the wall shows `local`. (Should a local time exist more than
 * twice, which no real zone has, the first and the last.) */
void zone_local_to_utc(const struct zone *zone, const struct civil *local, struct zone_local *ret);
/* The first instant of a local day, given by its day number (base/civil.h): midnight or,
 * where there is none, the end of the gap. */
int64_t zone_day_start_us(const struct zone *zone, int64_t day);
/* The day number of the local date at an instant. */
int64_t zone_day_at(const struct zone *zone, int64_t at_us);

#endif
