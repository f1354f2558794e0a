/* Types of scalars by the core schema (YAML 1.2, 10.3), and explicit tags. */
#ifndef WEIR_CONF_YAML_SCALAR_H
#define WEIR_CONF_YAML_SCALAR_H

#include <stddef.h>

struct node;

/* Set type and value of a plain scalar from its text. */
void yaml_scalar_resolve(struct node *n);
/* Set them as its tag demands ("tag:yaml.org,2002:int"; "!" is a string). NULL when that is
 * possible, else what is wrong. */
const char *yaml_scalar_resolve_tag(struct node *n, const char *tag);
/* "tag:yaml.org,2002:int" -> "!!int"; others as they are. */
const char *yaml_tag_short(const char *tag, char *buf, size_t size);

#endif
