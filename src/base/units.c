#include "base/units.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

struct unit {
	const char *name;
	int64_t size;
};

/* From the largest to the smallest: the order in which the parts of a duration stand. */
static const struct unit durations[] = {
	{ "w", 7 * US_PER_DAY },
	{ "d", US_PER_DAY },
	{ "h", US_PER_HOUR },
	{ "m", US_PER_MINUTE },
	{ "s", US_PER_SECOND },
	{ "ms", US_PER_MS },
	{ "us", 1 },
};

static const struct unit sizes[] = {
	{ "", 1 },
	{ "B", 1 },
	{ "kB", 1000LL },
	{ "MB", 1000000LL },
	{ "GB", 1000000000LL },
	{ "TB", 1000000000000LL },
	{ "KiB", 1LL << 10 },
	{ "MiB", 1LL << 20 },
	{ "GiB", 1LL << 30 },
	{ "TiB", 1LL << 40 },
};

/* What people write instead of a unit, and the unit they mean. */
static const struct {
	const char *wrong, *right;
} misspelt[] = {
	{ "min", "m" },
	{ "mins", "m" },
	{ "minute", "m" },
	{ "minutes", "m" },
	{ "sec", "s" },
	{ "secs", "s" },
	{ "second", "s" },
	{ "seconds", "s" },
	{ "hour", "h" },
	{ "hours", "h" },
	{ "hr", "h" },
	{ "hrs", "h" },
	{ "day", "d" },
	{ "days", "d" },
	{ "week", "w" },
	{ "weeks", "w" },
	{ "msec", "ms" },
	{ "millis", "ms" },
	{ "usec", "us" },
	{ "micros", "us" },
	{ "K", "KiB" },
	{ "k", "kB" },
	{ "M", "MiB" },
	{ "G", "GiB" },
	{ "T", "TiB" },
	{ "KB", "kB" },
	{ "mb", "MB" },
	{ "gb", "GB" },
	{ "kb", "kB" },
	{ "tb", "TB" },
	{ "kib", "KiB" },
	{ "mib", "MiB" },
	{ "gib", "GiB" },
	{ "tib", "TiB" },
	{ "bytes", "B" },
	{ "b", "B" },
};

static const struct unit *find_unit(const struct unit *units, size_t n, const char *s, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(units[i].name) == len && memcmp(units[i].name, s, len) == 0)
			return &units[i];
	return NULL;
}

static const char *meant(const struct unit *units, size_t n, const char *s, size_t len)
{
	for (size_t i = 0; i < COUNT(misspelt); i++) {
		const char *right = misspelt[i].right;
		if (strlen(misspelt[i].wrong) == len &&
			strncasecmp(misspelt[i].wrong, s, len) == 0 &&
			find_unit(units, n, right, strlen(right)))
			return right;
	}
	/* "1H" means "1h". */
	for (size_t i = 0; i < n; i++)
		if (len && strlen(units[i].name) == len && strncasecmp(units[i].name, s, len) == 0)
			return units[i].name;
	return NULL;
}

/* Digits at *s as a number; false on overflow. */
static bool take_digits(const char **s, int64_t *ret)
{
	int64_t v = 0;

	for (; isdigit((unsigned char)**s); ++*s)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, **s - '0', &v))
			return false;
	*ret = v;
	return true;
}

static size_t letters(const char *s)
{
	size_t n = 0;

	while (isalpha((unsigned char)s[n]))
		n++;
	return n;
}

static int bad_unit(const char *text, const char *unit, size_t len, struct err *err)
{
	const char *right = meant(durations, COUNT(durations), unit, len);

	if (len == 0 && *unit == '.')
		return err_set(err, ERR_INVALID,
			"\"%s\": a duration has no fractions; write 1h30m for one hour and a half",
			text);
	if (len == 0 && *unit == '\0' && strspn(text, "0123456789") == strlen(text))
		return err_set(err, ERR_INVALID, "%s what? write %ss or %sm", text, text, text);
	size_t blank = strspn(unit, " "), word = letters(unit + blank);
	const struct unit *spaced = find_unit(durations, COUNT(durations), unit + blank, word);
	right = len || !blank ? right
		: spaced      ? spaced->name
			      : meant(durations, COUNT(durations), unit + blank, word);
	size_t digits = strspn(text, "0123456789");
	if (len == 0 && right && text + digits == unit)
		return err_set(
			err, ERR_INVALID, "\"%s\": write %.*s%s", text, (int)digits, text, right);
	if (len == 0)
		return err_set(err, ERR_INVALID,
			"\"%s\": a unit is missing; write a duration such as 90s, 1h30m or 250ms",
			text);
	if (right)
		return err_set(err, ERR_INVALID, "\"%s\": unknown unit \"%.*s\"; write \"%s\"",
			text, (int)len, unit, right);
	return err_set(err, ERR_INVALID,
		"\"%s\": unknown unit \"%.*s\"; units are w, d, h, m, s, ms and us", text, (int)len,
		unit);
}

static int too_long(const char *text, struct err *err)
{
	return err_set(err, ERR_INVALID, "\"%s\": the duration is too long", text);
}

int units_parse_duration(const char *text, int64_t *ret_us, struct err *err)
{
	const struct unit *last = NULL;
	int64_t total = 0;

	if (strcmp(text, "0") == 0) {
		*ret_us = 0;
		return 0;
	}
	if (!isdigit((unsigned char)*text))
		return err_set(err, ERR_INVALID,
			"\"%s\" is not a duration; write one such as 90s, 1h30m or 250ms", text);
	for (const char *s = text; *s;) {
		int64_t n = 0;
		if (!isdigit((unsigned char)*s))
			return err_set(err, ERR_INVALID,
				"\"%s\": expected a digit at \"%s\"; write a duration such as "
				"1h30m",
				text, s);
		if (!take_digits(&s, &n))
			return too_long(text, err);
		size_t len = letters(s);
		const struct unit *u = find_unit(durations, COUNT(durations), s, len);
		if (!u)
			return bad_unit(text, s, len, err);
		if (last && u <= last)
			return err_set(err, ERR_INVALID,
				"\"%s\": the parts go from large to small, each once, as in "
				"1d2h30m",
				text);
		last = u;
		s += len;
		if (__builtin_mul_overflow(n, u->size, &n) ||
			__builtin_add_overflow(total, n, &total))
			return too_long(text, err);
	}
	*ret_us = total;
	return 0;
}

/* ".5" at *s, as parts of 10^9 */
static bool take_fraction(const char **s, int64_t *ret_billionths)
{
	int64_t v = 0, place = 100000000;

	*ret_billionths = 0;
	if (**s != '.')
		return true;
	++*s;
	if (!isdigit((unsigned char)**s))
		return false;
	for (; isdigit((unsigned char)**s); ++*s, place /= 10)
		v += (**s - '0') * place;
	*ret_billionths = v;
	return true;
}

int units_parse_size(const char *text, int64_t *ret_bytes, struct err *err)
{
	const char *s = text;
	int64_t whole = 0, billionths = 0;

	if (!isdigit((unsigned char)*text))
		return err_set(err, ERR_INVALID,
			"\"%s\" is not a size; write one such as 512, 10MiB or 1.5GiB", text);
	bool fits = take_digits(&s, &whole);
	if (!fits || !take_fraction(&s, &billionths))
		return err_set(err, ERR_INVALID, "\"%s\": %s", text,
			fits ? "digits are missing after the point" : "the size is too large");
	size_t len = letters(s);
	const struct unit *u = find_unit(sizes, COUNT(sizes), s, len);
	const char *right = meant(sizes, COUNT(sizes), s, len);
	if (!u && right)
		return err_set(err, ERR_INVALID, "\"%s\": unknown unit \"%s\"; write \"%s\"", text,
			s, right);
	if (!u || s[len])
		return err_set(err, ERR_INVALID,
			"\"%s\": unknown unit \"%s\"; units are B, kB, MB, GB, TB (of 1000) and "
			"KiB, MiB, "
			"GiB, TiB (of 1024)",
			text, s);
	if (billionths && u->size == 1)
		return err_set(err, ERR_INVALID, "\"%s\": there are no parts of a byte", text);
	__int128 bytes = (__int128)whole * u->size + (__int128)billionths * u->size / 1000000000;
	if (bytes > INT64_MAX)
		return err_set(err, ERR_INVALID, "\"%s\": the size is too large", text);
	*ret_bytes = (int64_t)bytes;
	return 0;
}

int units_parse_share(const char *text, double *ret_share, struct err *err)
{
	const char *s = text;
	int64_t whole = 0, billionths = 0;
	bool ok = isdigit((unsigned char)*text) && take_digits(&s, &whole) &&
		  take_fraction(&s, &billionths);
	bool percent = ok && *s == '%';

	if (!ok || s[percent])
		return err_set(err, ERR_INVALID,
			"\"%s\" is not a percentage; write one such as 1%% or 99.5%%", text);
	double v = (double)whole + (double)billionths / 1e9;
	if (!percent && v > 1)
		return err_set(err, ERR_INVALID,
			"%s what? write %s%%, or a fraction from 0 to 1 such as 0.01", text, text);
	*ret_share = percent ? v / 100 : v;
	return 0;
}

int units_parse_percent(const char *text, double *ret_fraction, struct err *err)
{
	double v;

	if (units_parse_share(text, &v, err) < 0)
		return -1;
	if (v > 1)
		return err_set(err, ERR_INVALID, "\"%s\" is more than 100%%", text);
	*ret_fraction = v;
	return 0;
}

/* |v| without the overflow of -INT64_MIN */
static uint64_t magnitude(int64_t v)
{
	return v < 0 ? -(uint64_t)v : (uint64_t)v;
}

const char *units_format_duration(int64_t us, char *buf, size_t size)
{
	char text[96];
	uint64_t left = magnitude(us);
	size_t len = 0;

	if (us < 0)
		text[len++] = '-';
	/* Not in weeks: "14d" is read with less thought than "2w". */
	for (const struct unit *u = durations + 1; left; u++) {
		uint64_t n = left / (uint64_t)u->size;
		left %= (uint64_t)u->size;
		if (n)
			len += (size_t)snprintf(
				text + len, sizeof text - len, "%" PRIu64 "%s", n, u->name);
	}
	if (!us)
		len = (size_t)snprintf(text, sizeof text, "0s");
	snprintf(buf, size, "%.*s", (int)len, text);
	return buf;
}

const char *units_format_elapsed(int64_t us, char *buf, size_t size)
{
	uint64_t v = magnitude(us), s = v / (uint64_t)US_PER_SECOND;
	const char *sign = us < 0 ? "-" : "";

	/* Cut, never rounded, so that no "60.0s" or "60m" appears. */
	if (v < (uint64_t)US_PER_SECOND)
		snprintf(buf, size, "%s%" PRIu64 "ms", sign, v / (uint64_t)US_PER_MS);
	else if (s < 60)
		snprintf(buf, size, "%s%" PRIu64 ".%" PRIu64 "s", sign, s, v / 100000 % 10);
	else if (s < 3600)
		snprintf(buf, size, "%s%" PRIu64 "m%02" PRIu64 "s", sign, s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, size, "%s%" PRIu64 "h%02" PRIu64 "m", sign, s / 3600, s / 60 % 60);
	else
		snprintf(buf, size, "%s%" PRIu64 "d%02" PRIu64 "h", sign, s / 86400, s / 3600 % 24);
	return buf;
}

const char *units_format_size(int64_t bytes, char *buf, size_t size)
{
	static const char *const names[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	uint64_t v = magnitude(bytes);
	unsigned unit = 0, tenths = 0;

	for (; v >= 1024; v /= 1024, unit++)
		tenths = (unsigned)(v % 1024 * 10 / 1024);
	if (tenths)
		snprintf(buf, size, "%s%" PRIu64 ".%u %s", bytes < 0 ? "-" : "", v, tenths,
			names[unit]);
	else
		snprintf(buf, size, "%s%" PRIu64 " %s", bytes < 0 ? "-" : "", v, names[unit]);
	return buf;
}

const char *units_format_count(int64_t n, char *buf, size_t size)
{
	char digits[24], out[40];
	size_t len = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, magnitude(n)), o = 0;

	if (n < 0)
		out[o++] = '-';
	for (size_t i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			out[o++] = ',';
		out[o++] = digits[i];
	}
	snprintf(buf, size, "%.*s", (int)o, out);
	return buf;
}
