/* Ten thousand SLAs of as many DAGs while nothing is due, and when all of them are.
 *
 *     bench_sla [DAGS]     default 10000
 *
 * Prints: milliseconds of CPU to set them, nanoseconds for a look at the clock while nothing is
 * due, microseconds for each that is judged when all are, and how many those were. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/err.h"
#include "base/zonefile.h"
#include "core/sla_clock.h"
#include "core/zone.h"

enum { LOOKS = 10000000 };

#define BEGIN_US (INT64_C(1767225600) * 1000000) /* 2026-01-01T00:00:00Z */

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bench_sla: %s\n", what);
	exit(2);
}

static double cpu_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void set_all(struct sla_clock *c, int n, const struct sla_clock_dag *like)
{
	char name[32];

	for (int i = 0; i < n; i++) {
		struct sla_clock_dag dag = *like;
		snprintf(name, sizeof name, "dag%d", i);
		dag.name = name;
		if (sla_clock_set(c, &dag, BEGIN_US, NULL) < 0)
			die("no memory");
	}
}

static double look(struct sla_clock *c)
{
	struct sla_due due;
	double begin = cpu_s();
	int64_t sum = 0;

	for (int i = 0; i < LOOKS; i++) {
		sum += sla_clock_wake_us(c);
		if (sla_clock_first(c, BEGIN_US + i, &due))
			die("something is due");
	}
	if (sum == 0)
		die("nothing is ever due");
	return (cpu_s() - begin) * 1e9 / LOOKS;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 10000, judged = 0;
	struct zone *zone = NULL;
	struct cron cron;
	struct sla_due due;

	if (n < 1 || zone_open("Europe/Berlin", zonefile_read, &zone, NULL) < 0 ||
		cron_parse("0 2 * * *", &cron, NULL, NULL) < 0)
		die("no zone");
	const struct schedule_spec spec = {
		.kind = TIMETABLE_CRON, .zone = zone, .crons = &cron, .n_crons = 1
	};
	const struct sla_of sla = { NULL, { .kinds = 1u << SLA_FINISH_BY, .finish_by_s = 23400 } };
	struct sla_clock *c = sla_clock_new();
	if (!c)
		die("no memory");
	double begin = cpu_s();
	set_all(c, n, &(struct sla_clock_dag){ .spec = &spec, .slas = &sla, .nslas = 1 });
	double set = (cpu_s() - begin) * 1e3;
	double idle = look(c);
	begin = cpu_s();
	while (sla_clock_next(c, BEGIN_US + INT64_C(86400000000), &due))
		judged++;
	double each = (cpu_s() - begin) * 1e6 / (judged ? judged : 1);
	printf("%.1f %.1f %.2f %d\n", set, idle, each, judged);
	sla_clock_free(c);
	zone_free(zone);
	return 0;
}
