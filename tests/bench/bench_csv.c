/* Ingest one CSV file into a SQLite table through a contract, as a task would, and print what it
 * cost: bench_csv CSV CONTRACT DATABASE [MODE], absolute paths. See bench_csv.sh. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "operators/operators.h"

extern const struct operator operator_ingest_file;

int main(int argc, char **argv)
{
	struct err err = { 0 };
	struct rusage usage;

	if (argc < 4) {
		fprintf(stderr, "usage: bench_csv CSV CONTRACT DATABASE [MODE]\n");
		return 2;
	}
	const char *mode = argc > 4 ? argv[4] : "replace";
	char *dir = io_path_dir(argv[3]);
	if (!dir)
		return 1;
	json_t *with = json_pack("{s:s, s:s, s:s, s:s}", "path", argv[1], "contract", argv[2],
		"into", "db.bench", "mode", mode);
	json_t *connections = json_pack("{s:{s:s, s:s}}", "db", "type", "sqlite", "path", argv[3]);
	struct operator_job job = {
		.with = with,
		.connections = connections,
		.dir = dir,
		.run_id = "bench",
		.ds = "2026-11-19",
		.key = { "bench", "csv", -1, "2026-11-19T00:00:00Z", "2026-11-20T00:00:00Z", 1 },
		.try = 1,
		.outputs = json_object(),
		.checks = json_array(),
	};
	int64_t start = clock_mono_us();
	int rc = operator_ingest_file.run(&job, &err);
	int64_t took = clock_mono_us() - start;
	getrusage(RUSAGE_SELF, &usage);
	if (rc < 0)
		fprintf(stderr, "bench_csv: %s\n", err.msg);
	fprintf(stderr, "seconds %.3f user %.3f sys %.3f rss_kib %ld\n", (double)took / 1e6,
		(double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6,
		(double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6,
		usage.ru_maxrss);
	json_decref(job.outputs);
	json_decref(job.checks);
	json_decref(with);
	json_decref(connections);
	free(dir);
	return rc < 0;
}
