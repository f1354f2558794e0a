/* The next fires of a thousand mixed cron expressions in mixed zones.
 *
 *     bench_cron [EXPRESSIONS [FIRES]]     default 1000 and 1000
 *
 * Prints: milliseconds of CPU for all fires, how many fires that were, milliseconds for one fire of
 * each expression, and a sum over all instants, which another machine or build must repeat. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/err.h"
#include "base/zonefile.h"
#include "core/cron.h"
#include "core/zone.h"

static const char *const zone_names[] = { "UTC", "Europe/Berlin", "Europe/London",
	"America/New_York", "America/Los_Angeles", "America/Sao_Paulo", "Asia/Kolkata",
	"Asia/Tokyo", "Asia/Tehran", "Australia/Sydney", "Australia/Lord_Howe", "Africa/Casablanca",
	"Pacific/Auckland", "Pacific/Chatham", "Atlantic/Azores", "America/St_Johns" };
enum { ZONES = sizeof zone_names / sizeof *zone_names };

/* What people write, most frequent first; M is a minute, H an hour. */
static const char *const patterns[] = { "M H * * *", "*/15 * * * *", "M * * * *", "M H * * 1-5",
	"*/5 * * * *", "M */2 * * *", "M H 1 * *", "* * * * *", "M H * * sun",
	"M,H 8-18 * * mon-fri", "M H 1,15 * *", "M H L * *", "M 22-2 * * *", "M H * * 5#2",
	"M H 1 1,4,7,10 *", "M H 13 * 5" };
enum { PATTERNS = sizeof patterns / sizeof *patterns };

#define BEGIN_US (INT64_C(1767225600) * 1000000) /* 2026-01-01T00:00:00Z */

struct expression {
	struct cron cron;
	const struct zone *zone;
	struct cron_dst dst;
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bench_cron: %s\n", what);
	exit(2);
}

static double cpu_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void fill_in(const char *pattern, int i, char *out, size_t size)
{
	size_t len = 0;

	for (; *pattern; pattern++) {
		int n = *pattern == 'M' ? i * 7 % 60 : i * 5 % 24;
		bool number = *pattern == 'M' || *pattern == 'H';
		len += (size_t)(number ? snprintf(out + len, size - len, "%d", n)
				       : snprintf(out + len, size - len, "%c", *pattern));
	}
}

static void make(struct expression *e, struct zone *const *zones, int i)
{
	struct err err = { 0 };
	char text[64];

	fill_in(patterns[i % PATTERNS], i, text, sizeof text);
	if (cron_parse(text, &e->cron, NULL, &err) < 0)
		die(err.msg);
	e->zone = zones[i * 3 / PATTERNS % ZONES];
	e->dst.gap = (enum cron_gap)(i % CRON_GAP_MAX);
	e->dst.overlap = (enum cron_overlap)(i % CRON_OVERLAP_MAX);
}

static long fire(const struct expression *e, int fires, uint64_t *sum)
{
	int64_t at = BEGIN_US;
	struct cron_fire f;
	long n = 0;

	while (n < fires && cron_next(&e->cron, e->zone, e->dst, at, &f) == 1) {
		at = f.at_us;
		*sum = *sum * 31 + (uint64_t)at;
		n++;
	}
	return n;
}

static long fire_all(const struct expression *list, int n, int fires, uint64_t *sum)
{
	long total = 0;

	for (int i = 0; i < n; i++)
		total += fire(&list[i], fires, sum);
	return total;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1000, fires = argc > 2 ? atoi(argv[2]) : 1000;
	struct expression *list = n > 0 ? calloc((size_t)n, sizeof *list) : NULL;
	struct zone *zones[ZONES];
	struct err err = { 0 };
	uint64_t sum = 0, once = 0;

	if (!list || fires < 1)
		die("usage: bench_cron [EXPRESSIONS [FIRES]]");
	for (int i = 0; i < ZONES; i++)
		if (zone_open(zone_names[i], zonefile_read, &zones[i], &err) < 0)
			die(err.msg);
	for (int i = 0; i < n; i++)
		make(&list[i], zones, i);
	double begin = cpu_ms();
	fire_all(list, n, 1, &once);
	double first = cpu_ms();
	long total = fire_all(list, n, fires, &sum);
	double end = cpu_ms();

	printf("%.3f %ld %.3f %016llx\n", end - first, total, first - begin,
		(unsigned long long)sum);
	for (int i = 0; i < ZONES; i++)
		zone_free(zones[i]);
	free(list);
	return 0;
}
