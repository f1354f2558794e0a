/* Names to values: the anchors of a document, the keys of one mapping. A hash table keyed by a
 * number drawn at the start of the process, so that no file can be made to collide in it. */
#ifndef WEIR_CONF_YAML_NAMES_H
#define WEIR_CONF_YAML_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct yaml_name {
	const char *text; /* borrowed; NULL: a free slot */
	size_t len;
	uint64_t hash;
	void *value;
};

struct yaml_names { /* zeroed is empty */
	struct yaml_name *slots;
	size_t cap;  /* allocated */
	size_t mask; /* slots in use, less one: a power of two, less one */
	size_t n;
};

void yaml_names_release(struct yaml_names *t);
/* Empty, with room for n names. -1: out of memory. */
int yaml_names_reset(struct yaml_names *t, size_t n);
/* The slot of a name, a new one when it has none (its value is then NULL). NULL: out of memory.
 * Valid until the next put. */
struct yaml_name *yaml_names_put(struct yaml_names *t, const char *text, size_t len);
struct yaml_name *yaml_names_get(const struct yaml_names *t, const char *text, size_t len);

#endif
