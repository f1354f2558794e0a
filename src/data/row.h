/* Rows that stream: typed cells under named columns. */
#ifndef WEIR_DATA_ROW_H
#define WEIR_DATA_ROW_H

#include <stddef.h>
#include <stdint.h>

enum cell_type { CELL_NULL, CELL_TEXT, CELL_INT, CELL_REAL, CELL_TYPE_MAX };

/* Text is borrowed until the next row is read; not NUL-terminated. */
struct cell {
	enum cell_type type;
	uint32_t len;
	union {
		const char *text;
		int64_t i;
		double f;
	};
};

struct row {
	const struct cell *cells;
	size_t n;
	uint64_t number; /* 1-based record number in its source, the header not counted */
	const char *raw; /* the record as it stood in the file, without its line end; borrowed */
	size_t raw_len;
};

#endif
