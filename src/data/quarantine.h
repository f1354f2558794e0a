/* Quarantine: the rejected rows of one attempt, with the reason, as CSV.
 *
 * Columns: file, row (its number in the file, the header not counted), column (empty: the whole
 * row), rule, value, raw (the record as it stood in the file; bytes that are not UTF-8 are
 * replaced by U+FFFD). One line a rejected row. The file is written aside and renamed,
 * so that it is whole or not there; a rerun replaces it, and when nothing was rejected the file of
 * an earlier attempt is removed. An attempt that a newer one of the same task and interval has
 * overtaken does neither (ERR_FENCED).
 */
#ifndef WEIR_DATA_QUARANTINE_H
#define WEIR_DATA_QUARANTINE_H

#include <stdint.h>

struct contract_violation;
struct err;
struct quarantine;
struct row;
struct table_key;

#define QUARANTINE_HEADER "file,row,column,rule,value,raw\n"

/* Nothing is made before the first row. The strings of the key are borrowed. */
int quarantine_new(
	struct quarantine **ret, const char *path, const struct table_key *key, struct err *err);
/* `column`: NULL for the whole row. */
int quarantine_add(struct quarantine *q, const char *file, const struct row *row,
	const char *column, const struct contract_violation *v, struct err *err);
int64_t quarantine_rows(const struct quarantine *q);
/* Flush what there is; the path of the unfinished file, to read it before it is put in
 * place or dropped. NULL: no row was added, or with err. */
const char *quarantine_spool(struct quarantine *q, struct err *err);
/* Put the file in its place, or remove a former one when there are no rows. Frees q, also on
 * error. */
int quarantine_commit(struct quarantine *q, struct err *err);
void quarantine_abort(struct quarantine *q); /* leave no trace; NULL is fine */

#endif
