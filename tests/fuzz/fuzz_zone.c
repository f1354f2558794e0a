/* Hostile zone files: whatever the bytes, an error or a zone that answers consistently. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/civil.h"
#include "base/err.h"
#include "core/cron.h"
#include "core/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_span(const struct zone *z, int64_t at_s)
{
	struct zone_span span;

	zone_span_at(z, at_s, &span);
	if (span.from_s > at_s || span.until_s <= at_s || !span.info.abbrev)
		abort();
}

static void check_local(const struct zone *z, int64_t at_us)
{
	struct civil c;
	struct zone_local local;

	zone_to_civil(z, at_us, &c, NULL);
	zone_local_to_utc(z, &c, &local);
	if (local.first_us > local.second_us || local.first_us > at_us ||
		(local.second_us < at_us && local.kind != ZONE_LOCAL_GAP))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct zone *z;
	struct err err;
	struct cron cron;
	struct cron_fire fire;

	if (zone_parse("fuzz", data, size, &z, &err) < 0) {
		if (err.code != ERR_INVALID && err.code != ERR_NOMEM)
			abort();
		return 0;
	}
	for (int year = 1800; year < 3200; year += 61) {
		int64_t at_s = civil_day(year, 7, 1) * CIVIL_S_PER_DAY;
		check_span(z, at_s);
		check_local(z, at_s * CIVIL_US_PER_S);
		zone_day_start_us(z, civil_day(year, 7, 1));
	}
	check_span(z, -(INT64_C(1) << 40));
	check_span(z, INT64_C(1) << 40);
	zone_day_start_us(z, -(INT64_C(1) << 26));
	if (cron_parse("30 2 * * *", &cron, NULL, &err) < 0)
		abort();
	int64_t at_us = civil_day(1970, 1, 1) * CIVIL_US_PER_DAY;
	for (int i = 0; i < 20 && cron_next(&cron, z, (struct cron_dst){ 0 }, at_us, &fire); i++) {
		if (fire.at_us <= at_us)
			abort();
		at_us = fire.at_us;
	}
	for (int i = 0; i < 20 && cron_prev(&cron, z, (struct cron_dst){ 0 }, at_us, &fire); i++) {
		if (fire.at_us >= at_us)
			abort();
		at_us = fire.at_us;
	}
	zone_free(z);
	return 0;
}
