/* Any text as a cron expression: an error with a place inside the text, or an expression that
 * fires, in both directions, at times that match. And any text as a civil time. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/err.h"
#include "core/cron.h"
#include "core/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_cron(const char *text)
{
	struct cron cron;
	struct cron_fire fire, back;
	struct civil c;
	struct err err;
	int col = -1;
	/* 2096: the longest wait of all, over 2100, is ahead. */
	int64_t at_us = civil_day(2096, 3, 1) * CIVIL_US_PER_DAY;

	if (cron_parse(text, &cron, &col, &err) < 0) {
		if (err.code != ERR_INVALID || !err.msg[0] || col < 0 || (size_t)col > strlen(text))
			abort();
		return;
	}
	if (!cron_next(&cron, zone_utc(), (struct cron_dst){ 0 }, at_us, &fire))
		abort();
	civil_from_us(fire.at_us, &c);
	if (fire.at_us <= at_us || !cron_matches(&cron, &c))
		abort();
	if (!cron_prev(&cron, zone_utc(), (struct cron_dst){ 0 }, fire.at_us + 1, &back) ||
		back.at_us != fire.at_us)
		abort();
}

static void as_civil(const char *text)
{
	struct civil_text t, again;
	struct err err;
	struct buf b;

	buf_init(&b, 4096);
	if (civil_parse(text, &t, &err) == 0) {
		civil_add_rfc3339(&b, &t.civil, t.utc_offset_s);
		if (civil_parse(b.data, &again, &err) < 0 ||
			civil_text_us(&again) != civil_text_us(&t))
			abort();
	}
	struct civil c = { .year = 2026, .month = 11, .day = 19, .hour = 2 };
	buf_clear(&b);
	civil_strftime(&b, &c, 3600, "CET", text, &err);
	buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	as_cron(text);
	as_civil(text);
	free(text);
	return 0;
}
