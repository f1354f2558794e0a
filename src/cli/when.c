#include "cli/when.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/civil.h"
#include "base/units.h"

static void local(int64_t at_us, struct tm *ret)
{
	time_t s = (time_t)civil_floor_div(at_us, CIVIL_US_PER_S);

	if (!localtime_r(&s, ret))
		memset(ret, 0, sizeof *ret);
}

/* strftime's format must be a literal to be checked: hence a macro. */
#define FORMATTED(at_us, fmt, buf)                            \
	do {                                                  \
		struct tm tm_;                                \
		local(at_us, &tm_);                           \
		if (strftime(buf, WHEN_SIZE, fmt, &tm_) == 0) \
			(buf)[0] = '\0';                      \
	} while (0)

static const char *put(char *buf, const char *text)
{
	snprintf(buf, WHEN_SIZE, "%s", text);
	return buf;
}

const char *when_local(int64_t at_us, char *buf)
{
	if (!at_us)
		return put(buf, "-");
	FORMATTED(at_us, "%Y-%m-%d %H:%M:%S", buf);
	return buf;
}

const char *when_utc_seconds(int64_t at_us, char *buf)
{
	struct civil c;

	civil_from_us(at_us, &c);
	snprintf(buf, WHEN_SIZE, "%04d-%02d-%02dT%02d:%02d:%02dZ", c.year, c.month, c.day, c.hour,
		c.min, c.sec);
	return buf;
}

const char *when_utc(int64_t at_us, char *buf)
{
	struct civil c;

	civil_from_us(at_us, &c);
	if (c.usec == 0)
		return when_utc_seconds(at_us, buf);
	snprintf(buf, WHEN_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", c.year, c.month, c.day,
		c.hour, c.min, c.sec, c.usec);
	return buf;
}

const char *when_ago(int64_t at_us, int64_t now_us, char *buf)
{
	static const struct {
		int64_t unit_us;
		const char *name;
	} units[] = { { US_PER_DAY, "d" }, { US_PER_HOUR, "h" }, { US_PER_MINUTE, "m" },
		{ US_PER_SECOND, "s" } };
	int64_t d = now_us - at_us, size = d < 0 ? -d : d;

	if (!at_us)
		return put(buf, "-");
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (size < units[i].unit_us)
			continue;
		long long n = (long long)(size / units[i].unit_us);
		snprintf(buf, WHEN_SIZE, d < 0 ? "in %lld%s" : "%lld%s ago", n, units[i].name);
		return buf;
	}
	return put(buf, "just now");
}

const char *when_short(int64_t at_us, int64_t now_us, char *buf)
{
	struct tm at, now;

	if (!at_us)
		return put(buf, "-");
	local(at_us, &at);
	local(now_us, &now);
	if (at.tm_year != now.tm_year)
		FORMATTED(at_us, "%Y-%m-%d", buf);
	else if (at.tm_yday != now.tm_yday)
		FORMATTED(at_us, "%b %e %H:%M", buf);
	else
		FORMATTED(at_us, "%H:%M:%S", buf);
	return buf;
}

const char *when_interval(const char *run, const char *ds, int64_t start_us, char *buf)
{
	const char *at = run ? strrchr(run, '@') : NULL;

	if (!ds || (at && strcmp(at + 1, ds) != 0))
		return when_utc_seconds(start_us, buf);
	snprintf(buf, WHEN_SIZE, "%s", ds);
	return buf;
}
