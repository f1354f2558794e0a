/* The NDJSON reader: any bytes give lines, good or bad, and an end. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "data/ndjson.h"
#include "tests/lib/feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t read_all(const uint8_t *data, size_t size, size_t step, size_t max_record)
{
	struct feed feed = { (const char *)data, size, 0, step };
	struct ndjson_config config = { feed_read, &feed, "fuzz", max_record };
	struct ndjson_reader *r;
	struct ndjson_record rec;
	size_t good = 0, bad = 0;

	if (ndjson_new(&r, &config, NULL) < 0)
		abort();
	while (ndjson_next(r, &rec, NULL) > 0) {
		if (!rec.object != (rec.problem != NULL))
			abort();
		if (rec.object)
			good++;
		else
			bad++;
	}
	ndjson_free(r);
	return good * 1000003 + bad;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (read_all(data, size, SIZE_MAX, 0) != read_all(data, size, 3, 0))
		abort();
	read_all(data, size, 7, 16);
	return 0;
}
