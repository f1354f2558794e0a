#include "base/node.h"

#include <assert.h>
#include <string.h>

static const char *const type_names[] = {
	[NODE_NULL] = "null",
	[NODE_BOOL] = "a boolean",
	[NODE_INT] = "an integer",
	[NODE_FLOAT] = "a number",
	[NODE_STRING] = "a string",
	[NODE_SEQ] = "a list",
	[NODE_MAP] = "a mapping",
};
static_assert(sizeof type_names / sizeof *type_names == NODE_TYPE_MAX, "a name for each type");

const char *node_type_name(enum node_type type)
{
	return (unsigned)type < NODE_TYPE_MAX ? type_names[type] : "unknown";
}

/* The index of `key` in map n, or n->n. */
static size_t find(const struct node *n, const char *key)
{
	size_t i, len = strlen(key);

	for (i = 0; i < n->n; i++)
		if (n->keys[i]->len == len && memcmp(n->keys[i]->text, key, len) == 0)
			break;
	return i;
}

const struct node *node_get(const struct node *n, const char *key)
{
	if (!n || n->type != NODE_MAP)
		return NULL;
	size_t i = find(n, key);
	return i < n->n ? n->items[i] : NULL;
}

const struct node *node_key(const struct node *n, const char *key)
{
	if (!n || n->type != NODE_MAP)
		return NULL;
	size_t i = find(n, key);
	return i < n->n ? n->keys[i] : NULL;
}

bool node_is_scalar(const struct node *n)
{
	return n && n->type != NODE_SEQ && n->type != NODE_MAP;
}

const char *node_text(const struct node *n)
{
	return node_is_scalar(n) && n->type != NODE_NULL ? n->text : NULL;
}
