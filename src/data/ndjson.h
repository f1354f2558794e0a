/* A streaming reader of NDJSON: one JSON object a line (ndjson.org, jsonlines.org).
 *
 * Lines end in LF or CRLF; blank ones are passed over. Objects are read by jansson; integers
 * stay exact within 64 bits, larger ones and a key that occurs twice make the line a bad one.
 */
#ifndef WEIR_DATA_NDJSON_H
#define WEIR_DATA_NDJSON_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "data/window.h"

struct err;
struct ndjson_reader;

struct ndjson_config {
	window_read_fn *read;
	void *arg;
	const char *name;  /* for messages; borrowed */
	size_t max_record; /* 0: 16 MiB */
};

struct ndjson_record {
	json_t *object;      /* borrowed until the next record is read; NULL: a bad line */
	const char *problem; /* of a bad line; borrowed */
	size_t problem_at;   /* bytes into the line */
	const char *raw;     /* the line without its end; borrowed */
	size_t raw_len;
	uint64_t line;
};

int ndjson_new(struct ndjson_reader **ret, const struct ndjson_config *config, struct err *err);
/* 1 and a record, 0 at the end, -1 with err (a line longer than the maximum is ERR_DATA). */
int ndjson_next(struct ndjson_reader *r, struct ndjson_record *ret, struct err *err);
void ndjson_free(struct ndjson_reader *r); /* NULL is fine */

#endif
