/* The CSV reader: any bytes, in reads of any size, give records that lie within the text, and the
 * same ones whatever the size of the reads. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "data/csv.h"
#include "tests/lib/feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t add(uint64_t sum, const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum = (sum ^ (unsigned char)p[i]) * UINT64_C(0x100000001b3);
	return (sum ^ len) * UINT64_C(0x100000001b3);
}

/* A sum of all that is read. */
static uint64_t read_all(const uint8_t *data, size_t size, size_t step, size_t max_record)
{
	struct feed feed = { (const char *)data, size, 0, step };
	struct csv_config config = { feed_read, &feed, "fuzz", ',', max_record };
	struct csv_reader *r;
	struct csv_record rec;
	uint64_t sum = 1;
	int rc;

	if (csv_new(&r, &config, NULL) < 0)
		abort();
	while ((rc = csv_next(r, &rec, NULL)) > 0) {
		enum csv_problem problem;
		if (rec.problem == CSV_OK && !csv_text_ok(rec.raw, rec.raw_len, &problem))
			abort();
		sum = add(sum, rec.raw, rec.raw_len) + (uint64_t)rec.problem + rec.line;
		for (size_t i = 0; i < rec.n; i++)
			sum = add(sum, rec.fields[i].text, rec.fields[i].len);
	}
	csv_free(r);
	return sum + (uint64_t)(rc + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t whole = read_all(data, size, SIZE_MAX, 0);

	if (read_all(data, size, 1, 0) != whole || read_all(data, size, 67, 0) != whole)
		abort();
	if (size < 4096 && read_all(data, size, 5, size < 64 ? 64 : size + 1) != whole)
		abort();
	read_all(data, size, 64, 32);
	return 0;
}
