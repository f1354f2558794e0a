/* Runbooks: Markdown files with names that facts are filled in for. */
#ifndef WEIR_RUN_RUNBOOK_H
#define WEIR_RUN_RUNBOOK_H

#include <jansson.h>

struct buf;

/* Append `text` with the names of weir-runbook(7), as {{ run }}, replaced by the first of the
 * objects (NULL-ended) that has a member of that name; "(no run)" where none has. What is no such
 * name stays as it is. */
void runbook_fill(const char *text, const json_t *const *objects, struct buf *out);

#endif
