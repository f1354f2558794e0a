/* Contracts: what the rows of a dataset must be like, from contracts/NAME.yaml.
 *
 *     contract: orders
 *     columns:
 *       order_id: { type: integer, nullable: false, unique: true }
 *       amount:   { type: decimal, range: { min: 0, max: 100000 } }
 *       status:   { type: string, enum: [paid, open] }
 *       email:    { rename_from: [e_mail] }
 *     max_rejected: 1%
 *
 * A loaded contract is immutable. A contract_check applies it to the rows of one attempt: it
 * converts each value, then tests the rules, column by column in the contract's order; the first
 * rule a row breaks is what it is rejected for. `unique` comes last, and only rows that
 * broke nothing count as seen: the second good row of a key is rejected. NULL breaks `nullable:
 * false` only; enum, range, pattern, length and unique pass over it.
 */
#ifndef WEIR_DATA_CONTRACT_H
#define WEIR_DATA_CONTRACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/schema.h"
#include "data/convert.h"
#include "data/row.h"

struct contract;
struct contract_check;
struct diags;
struct err;

enum contract_policy { CONTRACT_IGNORE, CONTRACT_WARN, CONTRACT_FAIL, CONTRACT_NULL };

/* How many rejected rows a task bears: `max_rejected: 1%` or `max_rejected: 100`. */
struct contract_limit {
	bool given;
	double fraction; /* negative: `count` holds instead */
	int64_t count;
};
/* ERR_INVALID for what is neither a percentage nor a count. */
int contract_parse_limit(const char *text, struct contract_limit *ret, struct err *err);
/* Of so many rows so many were rejected: too many? Where no limit is given, all of them are. */
bool contract_limit_broken(const struct contract_limit *l, int64_t rejected, int64_t rows);

/* The rows of the file's own table, for `weir schema` and the reference. */
extern const struct field contract_fields[];

/* Read and compile `path`; all that is wrong goes to `diags`, at its place. -1 when that is any. */
int contract_load(struct contract **ret, const char *path, struct diags *diags);
/* Check the file alone, for `weir validate`. Returns the number of errors added. */
size_t contract_check_file(const char *path, struct diags *diags);
void contract_free(struct contract *c); /* NULL is fine */

/* Names are borrowed; columns are in the order of the file, by index. */
const char *contract_name(const struct contract *c);
size_t contract_ncolumns(const struct contract *c);
const char *contract_column_name(const struct contract *c, size_t i);
enum convert_type contract_column_type(const struct contract *c, size_t i);
/* The column that a file's `name` means, by its name or else by rename_from (*ret_renamed); -1:
 * none. */
int contract_find_column(const struct contract *c, const char *name, bool *ret_renamed);
enum contract_policy contract_on_extra(const struct contract *c);   /* ignore, warn, fail */
enum contract_policy contract_on_missing(const struct contract *c); /* fail, null */
const struct contract_limit *contract_max_rejected(const struct contract *c);

/* ---- checking rows --------------------------------------------------------------------- */

/* Why a row is rejected. The first ones are found where the file is read. */
enum contract_rule {
	RULE_FORMAT,   /* malformed CSV or JSON */
	RULE_ENCODING, /* not UTF-8, or a zero byte */
	RULE_RAGGED,   /* too few or too many fields */
	RULE_NULLABLE,
	RULE_TYPE,
	RULE_LENGTH,
	RULE_PATTERN,
	RULE_RANGE,
	RULE_ENUM,
	RULE_UNIQUE,
	RULE_MAX
};
extern const char *const contract_rule_names[]; /* NULL-ended, in the order of the enum */

struct contract_violation {
	enum contract_rule rule;
	int column;        /* of the contract or source; -1: of the whole row */
	struct cell value; /* as it stood in the file; borrowed from the row */
	char why[160];     /* "-3 is below 0" */
};

/* `memory`: bytes for all `unique` columns together. The contract must outlive it. */
int contract_check_new(
	struct contract_check **ret, const struct contract *c, size_t memory, struct err *err);
void contract_check_free(struct contract_check *k);
/* Check the row whose cells map[i] are the contract's columns i (map[i] < 0: absent, NULL). 1:
 * good, and *ret_cells are the converted values, one a column, borrowed until the next call; 0:
 * rejected, and *v says why; -1 with err. */
int contract_check_row(struct contract_check *k, const struct row *row, const int *map,
	const struct cell **ret_cells, struct contract_violation *v, struct err *err);

#endif
