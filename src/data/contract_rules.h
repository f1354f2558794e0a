/* The compiled form of a contract, shared by the loader and the check of rows. */
#ifndef WEIR_DATA_CONTRACT_RULES_H
#define WEIR_DATA_CONTRACT_RULES_H

#ifndef PCRE2_CODE_UNIT_WIDTH
#define PCRE2_CODE_UNIT_WIDTH 8
#endif
#include <pcre2.h>

#include "base/arena.h"
#include "data/contract.h"

struct contract_column {
	const char *name;
	struct convert convert;
	bool nullable, unique, has_min, has_max, has_length;
	struct cell min, max; /* converted */
	struct cell *values;  /* enum, sorted by contract_sort_values */
	size_t nvalues;
	int64_t length_min, length_max; /* characters */
	pcre2_code *pattern;
	const char *pattern_text;
	const char **former; /* rename_from */
	size_t nformer;
};

struct contract {
	struct arena arena;
	const char *name;
	struct contract_column *columns;
	size_t ncolumns;
	enum contract_policy on_extra, on_missing;
	struct contract_limit max_rejected;
};

/* By value: numbers as numbers, dates and timestamps as instants. */
int contract_compare(const struct cell *a, const struct cell *b, enum convert_type type);
void contract_sort_values(struct cell *values, size_t n);

#endif
