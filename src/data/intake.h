/* The way of rows from files through a contract to whoever keeps them.
 *
 * Files are read one after the other; good rows go to `sink`, rejected ones into the
 * quarantine. Columns are those of the contract, or, without one, those of the first file.
 */
#ifndef WEIR_DATA_INTAKE_H
#define WEIR_DATA_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/contract.h"
#include "data/source.h"
#include "data/table.h"

struct err;
struct quarantine;

/* Who keeps the rows. `open` is called once, before the first row, and also when there is none. */
struct intake_sink {
	int (*open)(void *arg, const struct table_column *columns, size_t n, struct err *err);
	int (*row)(void *arg, const struct cell *cells, struct err *err);
	void *arg;
};

struct intake_config {
	const struct source_files *files;
	const char *dir;             /* cut from the front of paths in messages; may be NULL */
	struct source_config source; /* `path` unset; format only where format_given */
	bool format_given;
	const struct contract *contract; /* may be NULL */
	size_t unique_memory;            /* 0: 24 MiB */
	struct quarantine *quarantine;
	struct intake_sink sink;
	bool threads; /* read and check in a thread, while the caller's feeds the sink */
	/* Told what people should know: renamed and left out columns, the first rejections.
	 * Called from one thread at a time. May be NULL. */
	void (*note)(void *arg, const char *text);
	void *note_arg;
};

struct intake_counts {
	int64_t by_rule[RULE_MAX];
};

struct intake_result {
	int64_t rows_in, rows_out, rows_rejected, bytes, files;
	/* One a column of the contract, then one for rejections of whole rows. Owned. */
	struct intake_counts *counts;
	size_t ncounts;
};

/* Release the result in every case. */
int intake_run(const struct intake_config *config, struct intake_result *ret, struct err *err);
void intake_result_release(struct intake_result *r);

#endif
