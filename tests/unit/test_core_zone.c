/* Zones: every zone of this machine against zdump and the C library, local times around gaps and
 * overlaps, hostile files, and the finding of zone files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/err.h"
#include "base/zonefile.h"
#include "core/zone.h"
#include "tests/lib/times.h"

static const char *zone_dir(void)
{
	const char *dir = getenv("TZDIR");

	return dir && *dir ? dir : "/usr/share/zoneinfo";
}

static bool have_zones(void)
{
	if (access(zone_dir(), R_OK) == 0)
		return true;
	print_message("# skipped: no time zone data in %s\n", zone_dir());
	return false;
}

/* All zone names of the machine, sorted. */
struct names {
	char **at;
	size_t n;
};

static void names_walk(struct names *names, const char *dir, const char *prefix)
{
	char path[1024];
	snprintf(path, sizeof path, "%s/%s", dir, prefix);
	DIR *d = opendir(path);
	struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d))) {
		struct stat st;
		char name[512], magic[4] = "";
		if (e->d_name[0] == '.' || strcmp(e->d_name, "right") == 0 ||
			strcmp(e->d_name, "posix") == 0)
			continue;
		snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "/" : "", e->d_name);
		snprintf(path, sizeof path, "%s/%s", dir, name);
		if (stat(path, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode)) {
			names_walk(names, dir, name);
			continue;
		}
		FILE *f = fopen(path, "re");
		bool zone = f && fread(magic, 1, 4, f) == 4 && memcmp(magic, "TZif", 4) == 0;
		if (f)
			fclose(f);
		if (!zone)
			continue;
		names->at = realloc(names->at, (names->n + 1) * sizeof *names->at);
		assert_non_null(names->at);
		names->at[names->n++] = strdup(name);
	}
	closedir(d);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct names all_names(void)
{
	struct names names = { 0 };

	names_walk(&names, zone_dir(), "");
	qsort(names.at, names.n, sizeof *names.at, by_name);
	return names;
}

static void names_free(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->at[i]);
	free(names->at);
}

/* One line of zdump -v:
 * /usr/share/zoneinfo/Europe/Berlin  Sun Mar 29 00:59:59 2026 UT = Sun Mar 29 01:59:59 2026 CET
 * isdst=0 gmtoff=3600 */
struct dumped {
	char name[256], abbrev[32];
	struct civil utc, local;
	int dst, offset_s;
};

static int month_number(const char *name)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	return (int)(strstr(months, name) - months) / 3 + 1;
}

static bool read_dumped(const char *line, struct dumped *d)
{
	char m1[4], m2[4];
	memset(d, 0, sizeof *d);
	struct civil *u = &d->utc, *l = &d->local;
	int n = sscanf(line,
		"%255s %*3s %3s %d %d:%d:%d %d UT = %*3s %3s %d %d:%d:%d %d %31s isdst=%d "
		"gmtoff=%d",
		d->name, m1, &u->day, &u->hour, &u->min, &u->sec, &u->year, m2, &l->day, &l->hour,
		&l->min, &l->sec, &l->year, d->abbrev, &d->dst, &d->offset_s);

	if (n != 16)
		return false;
	u->month = month_number(m1);
	l->month = month_number(m2);
	return true;
}

static void check_dumped(const struct zone *z, const struct dumped *d)
{
	struct zone_info info;
	struct civil local;
	struct zone_local back;
	int64_t at_us = civil_to_us(&d->utc);

	zone_to_civil(z, at_us, &local, &info);
	if (info.offset_s != d->offset_s || info.is_dst != d->dst ||
		strcmp(info.abbrev, d->abbrev) != 0 ||
		civil_to_us(&local) != civil_to_us(&d->local))
		fail_msg("%s at %lld: offset %d dst %d %s, zdump says %d %d %s", d->name,
			(long long)(at_us / CIVIL_US_PER_S), info.offset_s, info.is_dst,
			info.abbrev, d->offset_s, d->dst, d->abbrev);
	zone_local_to_utc(z, &local, &back);
	if (back.kind == ZONE_LOCAL_GAP || (back.first_us != at_us && back.second_us != at_us))
		fail_msg("%s at %lld: its local time leads to another instant", d->name,
			(long long)(at_us / CIVIL_US_PER_S));
}

static bool same_file(const char *a, const char *b)
{
	char path_a[1024], path_b[1024];
	struct stat st_a, st_b;
	struct buf x, y;
	struct err err;

	snprintf(path_a, sizeof path_a, "%s/%s", zone_dir(), a);
	snprintf(path_b, sizeof path_b, "%s/%s", zone_dir(), b);
	if (stat(path_a, &st_a) < 0 || stat(path_b, &st_b) < 0 || st_a.st_size != st_b.st_size)
		return false;
	buf_init(&x, ZONE_FILE_MAX);
	buf_init(&y, ZONE_FILE_MAX);
	assert_int_equal(zonefile_read(a, &x, &err), 0);
	assert_int_equal(zonefile_read(b, &y, &err), 0);
	bool same = x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
	buf_release(&x);
	buf_release(&y);
	return same;
}

/* A third of the names are other names of the same bytes, and zdump is slow. */
static bool is_alias(const struct names *names, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (same_file(names->at[k], names->at[i]))
			return true;
	return false;
}

enum { DUMPS = 2 }; /* at a time */

static void start_dumps(const struct names *names, FILE *files[DUMPS], size_t *ret_zones)
{
	struct buf cmd[DUMPS], all;

	for (int k = 0; k < DUMPS; k++) {
		buf_init(&cmd[k], BUF_MAX_TEXT);
		buf_addstr(&cmd[k], "zdump -v -c 1900,2040");
		files[k] = tmpfile();
		assert_non_null(files[k]);
	}
	*ret_zones = 0;
	for (size_t i = 0; i < names->n; i++)
		if (!is_alias(names, i))
			buf_addf(&cmd[(*ret_zones)++ % DUMPS], " '%s'", names->at[i]);
	buf_init(&all, BUF_MAX_TEXT);
	buf_addf(&all, "cd '%s'", zone_dir());
	for (int k = 0; k < DUMPS; k++) {
		buf_addf(&all, "%s %s >&%d &", k ? "" : " &&", cmd[k].data, fileno(files[k]));
		buf_release(&cmd[k]);
	}
	buf_addstr(&all, " wait");
	assert_false(all.failed);
	assert_int_equal(system(all.data), 0);
	buf_release(&all);
}

static size_t check_dump(FILE *f, size_t *ret_zones)
{
	char *line = NULL, was[256] = "";
	size_t size = 0, lines = 0;
	struct zone *z = NULL;
	struct dumped d;

	rewind(f);
	while (getline(&line, &size, f) > 0) {
		if (!read_dumped(line, &d))
			continue;
		if (strcmp(d.name, was) != 0) {
			zone_free(z);
			z = times_zone(d.name);
			snprintf(was, sizeof was, "%s", d.name);
			++*ret_zones;
		}
		check_dumped(z, &d);
		lines++;
	}
	zone_free(z);
	free(line);
	return lines;
}

static void test_all_zones_as_zdump(void **state)
{
	(void)state;
	FILE *files[DUMPS];
	size_t lines = 0, zones = 0, dumped = 0;

	if (!have_zones() || system("command -v zdump >/dev/null 2>&1") != 0) {
		print_message("# skipped: no zdump on this machine\n");
		return;
	}
	struct names names = all_names();
	start_dumps(&names, files, &zones);
	for (int k = 0; k < DUMPS; k++) {
		lines += check_dump(files[k], &dumped);
		fclose(files[k]);
	}
	print_message(
		"# %zu names, %zu different zones, %zu lines of zdump\n", names.n, zones, lines);
	/* a zone that never changed has no lines, or two */
	assert_true(dumped + 60 > zones);
	assert_true(lines > 10000);
	names_free(&names);
}

static void as_libc(const struct zone *z, const char *name, time_t at)
{
	struct tm tm;
	struct zone_info info;

	assert_non_null(localtime_r(&at, &tm));
	zone_offset_at(z, (int64_t)at * CIVIL_US_PER_S, &info);
	if (info.offset_s != tm.tm_gmtoff || info.is_dst != (tm.tm_isdst > 0) ||
		strcmp(info.abbrev, tm.tm_zone) != 0)
		fail_msg("%s at %lld: offset %d dst %d %s, libc says %ld %d %s", name,
			(long long)at, info.offset_s, info.is_dst, info.abbrev, tm.tm_gmtoff,
			tm.tm_isdst, tm.tm_zone);
}

/* Where the rule of the footer reigns: the last second before and the first after each change that
 * we know, and a day of each month, lest there be one that we do not know. */
static void year_as_libc(const struct zone *z, const char *name, int year)
{
	int64_t end_s = civil_day(year + 1, 1, 1) * CIVIL_S_PER_DAY;
	struct zone_span span;

	for (int month = 1; month <= 12; month++)
		as_libc(z, name, (time_t)(civil_day(year, month, 15) * CIVIL_S_PER_DAY + 43199));
	zone_span_at(z, civil_day(year, 1, 1) * CIVIL_S_PER_DAY, &span);
	for (; span.until_s < end_s; zone_span_at(z, span.until_s, &span)) {
		as_libc(z, name, (time_t)span.until_s - 1);
		as_libc(z, name, (time_t)span.until_s);
	}
}

static void test_far_future_as_libc(void **state)
{
	(void)state;
	static const int years[] = { 1970, 2037, 2038, 2100, 2399, 2437, 2438, 2500, 2800, 9998 };
	const char *tz = getenv("TZ");
	char *kept = tz ? strdup(tz) : NULL;

	if (!have_zones())
		return;
	struct names names = all_names();
	for (size_t i = 0; i < names.n; i++) {
		struct zone *z = times_zone(names.at[i]);
		setenv("TZ", names.at[i], 1);
		tzset();
		for (size_t y = 0; y < sizeof years / sizeof *years; y++)
			year_as_libc(z, names.at[i], years[y]);
		zone_free(z);
	}
	if (kept)
		setenv("TZ", kept, 1);
	else
		unsetenv("TZ");
	tzset();
	free(kept);
	names_free(&names);
}

static void test_local_times(void **state)
{
	(void)state;
	static const struct {
		const char *zone, *local;
		enum zone_local_kind kind;
		const char *first, *second;
	} cases[] = {
		{ "Europe/Berlin", "2026-03-29T01:59:59", ZONE_LOCAL_NORMAL, "2026-03-29T00:59:59Z",
			"2026-03-29T00:59:59Z" },
		{ "Europe/Berlin", "2026-03-29T02:00", ZONE_LOCAL_GAP, "2026-03-29T01:00:00Z",
			"2026-03-29T01:00:00Z" },
		{ "Europe/Berlin", "2026-03-29T02:59:59.5", ZONE_LOCAL_GAP, "2026-03-29T01:00:00Z",
			"2026-03-29T01:00:00Z" },
		{ "Europe/Berlin", "2026-03-29T03:00", ZONE_LOCAL_NORMAL, "2026-03-29T01:00:00Z",
			"2026-03-29T01:00:00Z" },
		{ "Europe/Berlin", "2026-10-25T02:00", ZONE_LOCAL_OVERLAP, "2026-10-25T00:00:00Z",
			"2026-10-25T01:00:00Z" },
		{ "Europe/Berlin", "2026-10-25T02:59:59.999999", ZONE_LOCAL_OVERLAP,
			"2026-10-25T00:59:59.999999Z", "2026-10-25T01:59:59.999999Z" },
		{ "Europe/Berlin", "2026-10-25T03:00", ZONE_LOCAL_NORMAL, "2026-10-25T02:00:00Z",
			"2026-10-25T02:00:00Z" },
		/* by the rule of the footer, and a cycle of 400 years later */
		{ "Europe/Berlin", "2500-03-28T02:30", ZONE_LOCAL_GAP, "2500-03-28T01:00:00Z",
			"2500-03-28T01:00:00Z" },
		{ "Europe/Berlin", "2900-10-31T02:30", ZONE_LOCAL_OVERLAP, "2900-10-31T00:30:00Z",
			"2900-10-31T01:30:00Z" },
		/* half an hour of daylight saving */
		{ "Australia/Lord_Howe", "2026-10-04T02:15", ZONE_LOCAL_GAP, "2026-10-03T15:30:00Z",
			"2026-10-03T15:30:00Z" },
		/* midnight does not exist */
		{ "America/Sao_Paulo", "2018-11-04", ZONE_LOCAL_GAP, "2018-11-04T03:00:00Z",
			"2018-11-04T03:00:00Z" },
		/* a whole day does not exist */
		{ "Pacific/Apia", "2011-12-30T12:00", ZONE_LOCAL_GAP, "2011-12-30T10:00:00Z",
			"2011-12-30T10:00:00Z" },
		/* a whole day exists twice */
		{ "Pacific/Kwajalein", "1969-09-30T12:00", ZONE_LOCAL_OVERLAP,
			"1969-09-30T01:00:00Z", "1969-10-01T00:00:00Z" },
		/* daylight saving time that is negative, Ireland's winter */
		{ "Europe/Dublin", "2026-10-25T01:30", ZONE_LOCAL_OVERLAP, "2026-10-25T00:30:00Z",
			"2026-10-25T01:30:00Z" },
		{ "America/New_York", "1883-11-18T12:02", ZONE_LOCAL_OVERLAP,
			"1883-11-18T16:58:02Z", "1883-11-18T17:02:00Z" },
		{ "UTC", "2026-11-19T02:00", ZONE_LOCAL_NORMAL, "2026-11-19T02:00:00Z",
			"2026-11-19T02:00:00Z" },
		{ "+05:30", "2026-11-19T02:00", ZONE_LOCAL_NORMAL, "2026-11-18T20:30:00Z",
			"2026-11-18T20:30:00Z" },
		{ "-0330", "2026-11-19T02:00", ZONE_LOCAL_NORMAL, "2026-11-19T05:30:00Z",
			"2026-11-19T05:30:00Z" },
	};

	if (!have_zones())
		return;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct zone *z = times_zone(cases[i].zone);
		struct civil_text t;
		struct zone_local got;
		assert_int_equal(civil_parse(cases[i].local, &t, NULL), 0);
		zone_local_to_utc(z, &t.civil, &got);
		if (got.kind != cases[i].kind || got.first_us != times_us(cases[i].first) ||
			got.second_us != times_us(cases[i].second))
			fail_msg("%s %s: kind %d first %lld second %lld", cases[i].zone,
				cases[i].local, got.kind, (long long)got.first_us,
				(long long)got.second_us);
		zone_free(z);
	}
}

/* Zones without transitions whose rule holds for all time, changes that meet, extreme rules. */

struct file {
	uint8_t bytes[2048];
	size_t len;
};

static void add(struct file *f, const void *p, size_t n)
{
	memcpy(f->bytes + f->len, p, n);
	f->len += n;
}

static void add32(struct file *f, uint32_t v)
{
	uint8_t b[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };

	add(f, b, 4);
}

static void add_header(struct file *f, char version, uint32_t times, uint32_t types, uint32_t chars)
{
	uint8_t zero[15] = { 0 };

	add(f, "TZif", 4);
	add(f, &version, 1);
	add(f, zero, 15);
	add32(f, 0);
	add32(f, 0);
	add32(f, 0);
	add32(f, times);
	add32(f, types);
	add32(f, chars);
}

/* A file with one local time type (UTC, "LMT") and a footer. */
static void ruled(struct file *f, const char *rule)
{
	f->len = 0;
	add_header(f, '3', 0, 1, 4);
	add(f, "\0\0\0\0\0\0LMT", 10);
	add_header(f, '3', 0, 1, 4);
	add(f, "\0\0\0\0\0\0LMT", 10);
	add(f, "\n", 1);
	add(f, rule, strlen(rule));
	add(f, "\n", 1);
}

static void test_rules(void **state)
{
	(void)state;
	static const struct {
		const char *rule, *at;
		int offset_s;
		const char *abbrev;
	} cases[] = {
		{ "", "2026-07-01T00:00Z", 0, "LMT" },
		{ "JST-9", "2026-07-01T00:00Z", 32400, "JST" },
		{ "JST-9", "1026-07-01T00:00Z", 32400, "JST" },
		{ "<+0330>-3:30", "2026-07-01T00:00Z", 12600, "+0330" },
		{ "EST5EDT,M3.2.0,M11.1.0", "2026-07-01T00:00Z", -14400, "EDT" },
		{ "EST5EDT,M3.2.0,M11.1.0", "2026-03-08T06:59:59Z", -18000, "EST" },
		{ "EST5EDT,M3.2.0,M11.1.0", "2026-03-08T07:00:00Z", -14400, "EDT" },
		{ "EST5EDT,M3.2.0,M11.1.0", "2026-11-01T05:59:59Z", -14400, "EDT" },
		{ "EST5EDT,M3.2.0,M11.1.0", "2026-11-01T06:00:00Z", -18000, "EST" },
		{ "EST5EDT,M3.2.0,M11.1.0", "1526-07-01T00:00Z", -14400, "EDT" },
		{ "EST5EDT,M3.2.0,M11.1.0", "9926-07-01T00:00Z", -14400, "EDT" },
		/* the southern half: daylight saving time over the turn of the year */
		{ "AEST-10AEDT,M10.1.0,M4.1.0/3", "2026-01-01T00:00Z", 39600, "AEDT" },
		{ "AEST-10AEDT,M10.1.0,M4.1.0/3", "2026-06-01T00:00Z", 36000, "AEST" },
		/* RFC 9636 3.3.1: hours beyond a day, and before midnight */
		{ "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29T00:59:59Z", -7200, "-02" },
		{ "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29T01:00:00Z", -3600, "-01" },
		{ "IST-2IDT,M3.4.4/26,M10.5.0", "2026-03-26T23:59:59Z", 7200, "IST" },
		{ "IST-2IDT,M3.4.4/26,M10.5.0", "2026-03-27T00:00:00Z", 10800, "IDT" },
		/* daylight saving time all year */
		{ "XXX3EDT4,0/0,J365/23", "2026-01-01T04:00:00Z", -14400, "EDT" },
		{ "XXX3EDT4,0/0,J365/23", "2026-12-31T23:59:59Z", -14400, "EDT" },
		{ "XXX3EDT4,0/0,J365/23", "2428-12-31T23:59:59Z", -14400, "EDT" },
		/* Jn never counts 29 February, n does */
		{ "AAA0BBB,J60/0,J300/0", "2028-02-29T23:59:59Z", 0, "AAA" },
		{ "AAA0BBB,J60/0,J300/0", "2028-03-01T00:00:00Z", 3600, "BBB" },
		{ "AAA0BBB,59/0,300/0", "2028-02-28T23:59:59Z", 0, "AAA" },
		{ "AAA0BBB,59/0,300/0", "2028-02-29T00:00:00Z", 3600, "BBB" },
		{ "AAA0BBB,59/0,300/0", "2027-03-01T00:00:00Z", 3600, "BBB" },
	};
	struct file f;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct zone *z;
		struct zone_info info;
		struct err err = { 0 };
		ruled(&f, cases[i].rule);
		if (zone_parse("test", f.bytes, f.len, &z, &err) < 0)
			fail_msg("%s: %s", cases[i].rule, err.msg);
		zone_offset_at(z, times_us(cases[i].at), &info);
		if (info.offset_s != cases[i].offset_s || strcmp(info.abbrev, cases[i].abbrev) != 0)
			fail_msg("%s at %s: %d %s", cases[i].rule, cases[i].at, info.offset_s,
				info.abbrev);
		zone_free(z);
	}
}

static void test_damaged_files(void **state)
{
	(void)state;
	static const char *const bad_rules[] = { "E5", "EST", "EST5EDT", "EST5EDT,M3.2.0",
		"EST5EDT,M13.2.0,M11.1.0", "EST5EDT,M3.6.0,M11.1.0", "EST5EDT,M3.2.7,M11.1.0",
		"EST5EDT,J0,J1", "EST5EDT,366,1", "EST25", "EST5EDT,M3.2.0/168,M11.1.0", "<EST5",
		"EST5EDT,M3.2.0,M11.1.0x", "EST99999999999" };
	struct file f;
	struct zone *z;
	struct err err;

	for (size_t i = 0; i < sizeof bad_rules / sizeof *bad_rules; i++) {
		ruled(&f, bad_rules[i]);
		if (zone_parse("test", f.bytes, f.len, &z, &err) == 0)
			fail_msg("%s was taken", bad_rules[i]);
		assert_int_equal(err.code, ERR_INVALID);
		assert_non_null(strstr(err.msg, "test"));
	}
	/* cut short anywhere */
	ruled(&f, "EST5EDT,M3.2.0,M11.1.0");
	for (size_t len = 0; len < f.len; len++)
		if (zone_parse("test", f.bytes, len, &z, &err) == 0)
			fail_msg("%zu of %zu bytes were taken", len, f.len);
	/* counts that lie */
	for (size_t at = 20; at < 44; at++) {
		ruled(&f, "UTC0");
		f.bytes[54 + at] = 0xff;
		if (zone_parse("test", f.bytes, f.len, &z, &err) == 0)
			zone_free(z);
	}
}

static void test_names(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		enum err_code code;
		const char *says;
	} cases[] = {
		{ "Europe/Belrin", ERR_NOT_FOUND, "Europe/Berlin" },
		{ "europe/berlin", ERR_NOT_FOUND, "Europe/Berlin" },
		{ "Berlin", ERR_NOT_FOUND, "Europe/Berlin" },
		{ "Amerika/New_York", ERR_NOT_FOUND, "America/New_York" },
		{ "Mars/Olympus_Mons", ERR_NOT_FOUND, "names are such as" },
		{ "Europe", ERR_INVALID, "no time zone file" },
		{ "../../etc/passwd", ERR_INVALID, "no name" },
		{ "Europe/../../passwd", ERR_INVALID, "no name" },
		{ "/etc/passwd", ERR_INVALID, "no name" },
		{ "", ERR_INVALID, "no name" },
		{ "Europe/", ERR_INVALID, "no name" },
		{ "zone.tab", ERR_INVALID, "TZif" },
		{ "+25:00", ERR_INVALID, "+05:30" },
		{ "+05:3", ERR_INVALID, "+05:30" },
		{ "-", ERR_INVALID, "+05:30" },
		{ "+05:30x", ERR_INVALID, "+05:30" },
	};

	if (!have_zones())
		return;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct zone *z;
		struct err err = { 0 };
		if (zone_open(cases[i].name, zonefile_read, &z, &err) == 0)
			fail_msg("%s was found", cases[i].name);
		if (err.code != cases[i].code || !strstr(err.msg, cases[i].says))
			fail_msg("%s: %s", cases[i].name, err.msg);
	}
}

static void with_env(const char *name, const char *value, char **kept)
{
	const char *was = getenv(name);

	*kept = was ? strdup(was) : NULL;
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

static void restore_env(const char *name, char *kept)
{
	if (kept)
		setenv(name, kept, 1);
	else
		unsetenv(name);
	free(kept);
}

static void test_no_zone_data(void **state)
{
	(void)state;
	struct buf b;
	struct err err = { 0 };
	char *kept;

	buf_init(&b, 1 << 20);
	with_env("TZDIR", "/nonexistent/zoneinfo", &kept);
	assert_int_equal(zonefile_read("Europe/Berlin", &b, &err), -1);
	restore_env("TZDIR", kept);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_non_null(strstr(err.msg, "install tzdata"));
	buf_release(&b);
}

static void test_local_name(void **state)
{
	(void)state;
	static const struct {
		const char *tz, *want;
	} cases[] = {
		{ "Europe/Berlin", "Europe/Berlin" },
		{ ":Asia/Tokyo", "Asia/Tokyo" },
		{ "/usr/share/zoneinfo/Asia/Kolkata", "Asia/Kolkata" },
		{ "", "UTC" },
	};
	struct buf b;
	struct err err;
	char *kept;

	if (!have_zones())
		return;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		buf_init(&b, 300);
		with_env("TZ", cases[i].tz, &kept);
		assert_int_equal(zonefile_local_name(&b, &err), 0);
		restore_env("TZ", kept);
		assert_string_equal(b.data, cases[i].want);
		buf_release(&b);
	}
	/* of the machine's files, whatever they say, comes something that opens */
	buf_init(&b, 300);
	with_env("TZ", NULL, &kept);
	assert_int_equal(zonefile_local_name(&b, &err), 0);
	restore_env("TZ", kept);
	zone_free(times_zone(b.data));
	buf_release(&b);
}

/* Walking the spans covers all time without holes, in order. */
static void test_spans(void **state)
{
	(void)state;
	static const char *const names[] = { "Europe/Berlin", "America/New_York", "Asia/Tokyo",
		"UTC", "Africa/Casablanca", "+01:00" };

	if (!have_zones())
		return;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct zone *z = times_zone(names[i]);
		struct zone_span span, next;
		int64_t end_s = civil_day(3500, 1, 1) * CIVIL_S_PER_DAY;
		zone_span_at(z, INT64_MIN, &span);
		assert_true(span.from_s == INT64_MIN);
		while (span.until_s < end_s) {
			zone_span_at(z, span.until_s, &next);
			assert_true(next.from_s == span.until_s && next.until_s > next.from_s);
			zone_span_at(z, next.from_s - 1, &span);
			assert_true(span.until_s == next.from_s);
			span = next;
		}
		zone_span_at(z, INT64_MAX, &span);
		assert_true(span.until_s > end_s);
		zone_free(z);
	}
}

static void test_days(void **state)
{
	(void)state;
	if (!have_zones())
		return;
	struct zone *z = times_zone("America/Sao_Paulo");
	int64_t day = civil_day(2018, 11, 4);
	int64_t start = zone_day_start_us(z, day);

	assert_true(start == times_us("2018-11-04T03:00:00Z")); /* 01:00, there is no midnight */
	assert_true(zone_day_at(z, start) == day);
	assert_true(zone_day_at(z, start - 1) == day - 1);
	zone_free(z);
	assert_true(zone_day_at(zone_utc(), -1) == -1);
	assert_string_equal(zone_name(zone_utc()), "UTC");
	zone_day_at(zone_utc(), INT64_MIN);
	zone_day_at(zone_utc(), INT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_zones_as_zdump),
		cmocka_unit_test(test_far_future_as_libc),
		cmocka_unit_test(test_local_times),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_damaged_files),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_no_zone_data),
		cmocka_unit_test(test_local_name),
		cmocka_unit_test(test_spans),
		cmocka_unit_test(test_days),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
