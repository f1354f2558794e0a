/* YAML 1.2 text to a document (base/node.h), by libyaml, within limits.
 *
 * Limits, so that hostile files end in an error soon: text 16 MiB, nesting 64 levels, aliases
 * expanded to at most 1,000,000 nodes in all, one document per file, keys are scalars of at most
 * 1024 bytes. Merge keys (`<<`) are a YAML 1.1 type and are an error that says so; anchors and
 * aliases work. Duplicate keys are errors that name both lines.
 */
#ifndef WEIR_CONF_YAML_H
#define WEIR_CONF_YAML_H

#include "base/arena.h"
#include "base/node.h"

struct diags;
struct err;

struct yaml_doc {
	struct arena arena;
	struct source *source;   /* in the arena */
	const struct node *root; /* NULL for an empty document */
};

/* Parse `text` (copied). Errors go to `diags` with their places; returns -1 when there are any
 * (the doc is then empty and released). An empty file is no error here: root is NULL. */
int yaml_parse(
	struct yaml_doc *doc, const char *path, const char *text, size_t len, struct diags *diags);
/* Read the file and parse it. A file that cannot be read is a diagnostic, too. */
int yaml_read(struct yaml_doc *doc, const char *path, struct diags *diags);
void yaml_release(struct yaml_doc *doc);

#endif
