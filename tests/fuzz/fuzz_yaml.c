/* Any bytes as YAML: a document that can be walked within its limits, or errors that can be
 * printed. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/node.h"
#include "conf/diag.h"
#include "conf/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct walk {
	struct diags diags;
	size_t nodes, places;
};

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void walk(struct walk *w, const struct node *n, int depth)
{
	check(++w->nodes <= 1000000 && depth <= 64);
	check(n->line > 0 && n->col > 0 && n->type < NODE_TYPE_MAX);
	if (node_is_scalar(n)) {
		check(strlen(n->text) == n->len);
		if (w->places++ < 20)
			diag_inside(&w->diags, n, n->len / 2, 3, "inside");
	}
	for (size_t i = 0; i < n->n; i++) {
		walk(w, n->items[i], depth + 1);
		if (n->type == NODE_MAP) {
			check(node_is_scalar(n->keys[i]) && ++w->nodes <= 1000000);
			check(i > 50 || node_get(n, n->keys[i]->text) == n->items[i]);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct walk w = { 0 };
	struct yaml_doc doc;
	struct buf out;

	diags_init(&w.diags);
	int rc = yaml_parse(&doc, "fuzz.yaml", (const char *)data, size, &w.diags);
	check((rc < 0) == (w.diags.nerrors > 0));
	if (doc.root)
		walk(&w, doc.root, 0);
	buf_init(&out, BUF_MAX_TEXT);
	diags_print(&w.diags, &out, true);
	check(!out.failed);
	buf_release(&out);
	yaml_release(&doc);
	diags_release(&w.diags);
	return 0;
}
