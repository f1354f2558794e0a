#include "conf/yaml.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "conf/diag.h"
#include "conf/yaml_error.h"
#include "conf/yaml_names.h"
#include "conf/yaml_scalar.h"
#include "conf/yaml_text.h"

enum {
	TEXT_MAX = 16 << 20,
	ARENA_MAX = 256 << 20,
	DEPTH_MAX = 64,
	NODES_MAX = 1000000,
	KEY_MAX = 1024,
	REPAIRS_MAX = 20, /* unquoted templates reported in one file */
	FEW_KEYS = 8,     /* compared one by one */
};

struct anchor {
	const struct node *node; /* NULL while it is being read */
	size_t total;            /* nodes in it, aliases expanded */
	int height;              /* levels of lists and mappings in it */
};

/* A list or mapping that is being read. */
struct frame {
	struct node *node;
	struct anchor *anchor;
	size_t base; /* its first child in `pending`; of a map: key, value, key, value */
	size_t total;
	int height;
	bool flow;
	bool has_key; /* map: the key has come, the value has not */
	bool bad_key; /* and the pair is dropped */
	const char *begin;
};

/* One node that is complete, on its way into the list or mapping around it. */
struct child {
	const struct node *node;
	size_t total;
	int height;
};

struct builder {
	struct yaml_doc *doc;
	struct diags *diags;
	struct source input; /* the source, or a copy with templates masked */
	yaml_parser_t parser;
	struct yaml_cursor cursor;
	struct frame frames[DEPTH_MAX];
	int depth;
	const struct node **pending;
	size_t npending, cap;
	struct yaml_names anchors, keys;
	size_t total; /* nodes so far, aliases expanded */
	bool seen_document, done;
	bool stopped; /* an error after which reading on makes no sense */
	/* A template without quotes stopped it: */
	bool is_template;
	struct yaml_piece template;
};

static void stop_nomem(struct builder *b)
{
	diag_place(b->diags, b->doc->source, 0, 0, "out of memory, or the file is too large");
	b->stopped = true;
}

/* Where the cursor stands. */
#define HERE(b) (b)->doc->source, (b)->cursor.line, (b)->cursor.col

/* Put the cursor on the value itself, behind its anchor and tag. */
static void skip_properties(struct builder *b)
{
	const char *p = b->cursor.p, *end = b->cursor.end;

	for (int i = 0; i < 2 && p < end && (*p == '&' || *p == '!'); i++) {
		while (p < end && !strchr(" \t\r\n,[]{}", *p))
			p++;
		for (;;) {
			while (p < end && strchr(" \t\r\n", *p))
				p++;
			if (p >= end || *p != '#')
				break;
			p = yaml_line_end(p, end);
		}
	}
	yaml_cursor_to(&b->cursor, p);
}

static struct node *new_node(struct builder *b, enum node_type type)
{
	struct node *n = arena_alloc(&b->doc->arena, sizeof *n);

	if (!n) {
		stop_nomem(b);
		return NULL;
	}
	n->type = type;
	n->line = b->cursor.line;
	n->col = b->cursor.col;
	n->source = b->doc->source;
	return n;
}

static bool grow_pending(struct builder *b)
{
	size_t cap = b->cap ? b->cap * 2 : 256;
	const struct node **grown = reallocarray(b->pending, cap, sizeof *grown);

	if (!grown) {
		stop_nomem(b);
		return false;
	}
	b->pending = grown;
	b->cap = cap;
	return true;
}

static void push(struct builder *b, const struct node *n)
{
	if (b->npending < b->cap || grow_pending(b))
		b->pending[b->npending++] = n;
}

/* Is this key fit to be one? */
static bool check_key(struct builder *b, const struct node *key)
{
	if (!node_is_scalar(key)) {
		diag_node(b->diags, DIAG_ERROR, key, "a key must be a word, not %s",
			node_type_name(key->type));
		return false;
	}
	if (!key->quoted && strcmp(key->text, "<<") == 0) {
		diag_node(b->diags, DIAG_ERROR, key, "merge keys (<<) are YAML 1.1 and not read");
		diag_hint(b->diags, "write the keys out");
		return false;
	}
	if (key->len > KEY_MAX) {
		diag_node(b->diags, DIAG_ERROR, key, "the key is longer than %d bytes", KEY_MAX);
		return false;
	}
	return true;
}

/* Into the list or mapping around it. */
static void add_child(struct builder *b, struct child c)
{
	if (b->depth == 0) {
		bool nothing = c.node->type == NODE_NULL && c.node->len == 0;
		b->doc->root = nothing ? NULL : c.node;
		return;
	}
	struct frame *f = &b->frames[b->depth - 1];
	f->total += c.total;
	if (c.height + 1 > f->height)
		f->height = c.height + 1;
	if (f->node->type == NODE_SEQ) {
		push(b, c.node);
	} else if (!f->has_key) {
		f->has_key = true;
		f->bad_key = !check_key(b, c.node);
		if (!f->bad_key)
			push(b, c.node);
	} else {
		f->has_key = false;
		if (!f->bad_key)
			push(b, c.node);
	}
}

static bool count_nodes(struct builder *b, size_t n)
{
	b->total += n;
	if (b->total <= NODES_MAX)
		return true;
	diag_place(b->diags, HERE(b), "the file holds more than %d values, aliases expanded",
		NODES_MAX);
	b->stopped = true;
	return false;
}

/* *ret is NULL for a node without an anchor. */
static bool add_anchor(struct builder *b, const yaml_char_t *name, struct anchor **ret)
{
	*ret = NULL;
	if (!name)
		return true;
	size_t len = strlen((const char *)name);
	const char *copy = arena_strndup(&b->doc->arena, (const char *)name, len);
	struct anchor *a = arena_alloc(&b->doc->arena, sizeof *a);
	struct yaml_name *slot = a ? yaml_names_put(&b->anchors, copy, len) : NULL;
	if (!slot) {
		stop_nomem(b);
		return false;
	}
	/* A later anchor of the same name takes over (YAML 1.2, 3.2.2.2). */
	slot->value = a;
	*ret = a;
	return true;
}

static void resolve(struct builder *b, struct node *n, const yaml_event_t *e)
{
	const char *tag = (const char *)e->data.scalar.tag;
	char brief[64];

	if (memchr(n->text, '\0', n->len)) {
		diag_node(b->diags, DIAG_ERROR, n, "a text cannot hold a NUL character");
		n->len = strlen(n->text);
	}
	n->type = NODE_STRING;
	if (tag) {
		const char *complaint = yaml_scalar_resolve_tag(n, tag);
		if (complaint)
			diag_node(b->diags, DIAG_ERROR, n, "%s: %s",
				yaml_tag_short(tag, brief, sizeof brief), complaint);
	} else if (!n->quoted) {
		yaml_scalar_resolve(n);
	}
}

static void on_scalar(struct builder *b, const yaml_event_t *e)
{
	struct anchor *anchor;

	if (e->data.scalar.tag || e->data.scalar.anchor)
		skip_properties(b);
	if (!count_nodes(b, 1) || !add_anchor(b, e->data.scalar.anchor, &anchor))
		return;
	struct node *n = new_node(b, NODE_STRING);
	if (!n)
		return;
	n->len = e->data.scalar.length;
	n->text = arena_strndup(&b->doc->arena, (const char *)e->data.scalar.value, n->len);
	if (!n->text) {
		stop_nomem(b);
		return;
	}
	n->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	resolve(b, n, e);
	if (anchor)
		*anchor = (struct anchor){ n, 1, 0 };
	add_child(b, (struct child){ n, 1, 0 });
}

static const struct node *null_node(struct builder *b)
{
	struct node *n = new_node(b, NODE_NULL);

	if (n)
		n->text = "";
	return n;
}

static void on_alias(struct builder *b, const yaml_event_t *e)
{
	const char *name = (const char *)e->data.alias.anchor;
	struct yaml_name *slot = yaml_names_get(&b->anchors, name, strlen(name));
	const struct anchor *a = slot ? slot->value : NULL;
	struct child c = { NULL, 1, 0 };

	if (a && a->node) {
		c = (struct child){ a->node, a->total, a->height };
	} else if (a) {
		diag_place(b->diags, HERE(b), "alias *%s stands inside what it names", name);
	} else {
		diag_place(b->diags, HERE(b), "alias *%s: there is no anchor &%s before it", name,
			name);
		diag_hint(b->diags, "put a text that begins with * in quotes");
	}
	if (b->depth + c.height > DEPTH_MAX) {
		diag_place(b->diags, HERE(b), "alias *%s nests deeper than %d levels", name,
			DEPTH_MAX);
		b->stopped = true;
		return;
	}
	if (!c.node)
		c.node = null_node(b);
	if (c.node && count_nodes(b, c.total))
		add_child(b, c);
}

static void check_collection_tag(struct builder *b, const struct node *n, const yaml_char_t *tag)
{
	char brief[64];

	if (!tag || strcmp((const char *)tag, "!") == 0)
		return;
	yaml_tag_short((const char *)tag, brief, sizeof brief);
	if (strcmp(brief, n->type == NODE_MAP ? "!!map" : "!!seq") != 0)
		diag_node(b->diags, DIAG_ERROR, n, "tag %s does not fit %s", brief,
			node_type_name(n->type));
}

/* What a list's and a mapping's start have in common. */
struct start {
	enum node_type type;
	const yaml_char_t *anchor, *tag;
	bool flow;
};

/* "{{" reads as a mapping whose first key is a mapping. */
static bool is_template_start(const struct builder *b, const struct start *s)
{
	const struct frame *f = b->depth ? &b->frames[b->depth - 1] : NULL;

	return f && f->node->type == NODE_MAP && f->flow && !f->has_key && s->flow &&
	       s->type == NODE_MAP && f->begin + 1 == b->cursor.p;
}

static void stop_template(struct builder *b)
{
	const struct frame *f = &b->frames[b->depth - 1];
	bool flow = b->depth > 1 && b->frames[b->depth - 2].flow;

	b->template = yaml_unquoted_value(f->begin, b->cursor.end, flow);
	b->is_template = b->stopped = true;
}

static void on_start(struct builder *b, struct start s)
{
	struct anchor *anchor;

	if (is_template_start(b, &s)) {
		stop_template(b);
		return;
	}
	if (s.tag || s.anchor)
		skip_properties(b);
	if (b->depth == DEPTH_MAX) {
		diag_place(b->diags, HERE(b), "lists and mappings nest deeper than %d levels",
			DEPTH_MAX);
		b->stopped = true;
		return;
	}
	if (!count_nodes(b, 1) || !add_anchor(b, s.anchor, &anchor))
		return;
	struct node *n = new_node(b, s.type);
	if (!n)
		return;
	check_collection_tag(b, n, s.tag);
	b->frames[b->depth++] = (struct frame){
		.node = n,
		.anchor = anchor,
		.base = b->npending,
		.total = 1,
		.height = 1,
		.flow = s.flow,
		.begin = b->cursor.p,
	};
}

static void report_duplicate(struct builder *b, const struct node *key, const struct node *first)
{
	diag_node(b->diags, DIAG_ERROR, key, "duplicate key \"%s\"; first on line %d", key->text,
		first->line);
}

static const struct node *find_few(const struct node *map, const struct node *key)
{
	for (size_t i = 0; i < map->n; i++)
		if (map->keys[i]->len == key->len &&
			memcmp(map->keys[i]->text, key->text, key->len) == 0)
			return map->keys[i];
	return NULL;
}

static const struct node *find_many(struct builder *b, const struct node *key)
{
	struct yaml_name *slot = yaml_names_put(&b->keys, key->text, key->len);

	if (!slot) {
		stop_nomem(b);
		return NULL;
	}
	const struct node *first = slot->value;
	if (!first)
		slot->value = (void *)(uintptr_t)key;
	return first;
}

static void fill_map(struct builder *b, struct node *map, const struct node **pairs, size_t n)
{
	bool many = n > FEW_KEYS;

	if (n == 0)
		return;
	map->keys = arena_array(&b->doc->arena, n, sizeof *map->keys);
	map->items = arena_array(&b->doc->arena, n, sizeof *map->items);
	if (!map->keys || !map->items || (many && yaml_names_reset(&b->keys, n) < 0)) {
		stop_nomem(b);
		return;
	}
	for (size_t i = 0; i < n && !b->stopped; i++) {
		const struct node *key = pairs[2 * i];
		const struct node *first = many ? find_many(b, key) : find_few(map, key);
		if (first) {
			report_duplicate(b, key, first);
			continue;
		}
		map->keys[map->n] = key;
		map->items[map->n++] = pairs[2 * i + 1];
	}
}

static void on_end(struct builder *b)
{
	struct frame *f = &b->frames[--b->depth];
	struct node *n = f->node;
	const struct node **children = b->pending ? b->pending + f->base : NULL;
	size_t count = b->npending - f->base;

	if (n->type == NODE_MAP) {
		fill_map(b, n, children, count / 2);
	} else if (count) {
		n->items = arena_array(&b->doc->arena, count, sizeof *n->items);
		if (n->items)
			memcpy(n->items, children, count * sizeof *n->items);
		else
			stop_nomem(b);
		n->n = count;
	}
	b->npending = f->base;
	if (f->anchor)
		*f->anchor = (struct anchor){ n, f->total, f->height };
	if (!b->stopped)
		add_child(b, (struct child){ n, f->total, f->height });
}

static void on_document(struct builder *b)
{
	if (b->seen_document) {
		diag_place(b->diags, HERE(b), "a second document begins here");
		diag_hint(b->diags, "a file holds one; put the other into a file of its own");
		b->stopped = true;
	}
	b->seen_document = true;
}

static void on_event(struct builder *b, const yaml_event_t *e)
{
	yaml_cursor_seek(&b->cursor, &b->input, e->start_mark.index);
	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		on_document(b);
		break;
	case YAML_ALIAS_EVENT:
		on_alias(b, e);
		break;
	case YAML_SCALAR_EVENT:
		on_scalar(b, e);
		break;
	case YAML_SEQUENCE_START_EVENT:
		on_start(b, (struct start){ NODE_SEQ, e->data.sequence_start.anchor,
				    e->data.sequence_start.tag,
				    e->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE });
		break;
	case YAML_MAPPING_START_EVENT:
		on_start(b, (struct start){ NODE_MAP, e->data.mapping_start.anchor,
				    e->data.mapping_start.tag,
				    e->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE });
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		on_end(b);
		break;
	case YAML_STREAM_END_EVENT:
		b->done = true;
		break;
	default:
		break;
	}
}

static void on_parser_error(struct builder *b)
{
	bool in_flow = false;

	for (int i = 0; i < b->depth; i++) {
		const char *begin = b->frames[i].begin;
		bool template = begin + 1 < b->cursor.end && begin[0] == '{' && begin[1] == '{';
		in_flow |= b->frames[i].flow && !template;
	}
	b->stopped = true;
	b->is_template = yaml_error_is_template(&b->parser, &b->input, in_flow, &b->template);
	if (!b->is_template)
		yaml_error_report(&b->parser, b->doc->source, b->diags);
}

/* One reading of b->input into b->doc. */
static void build(struct builder *b)
{
	yaml_cursor_init(&b->cursor, &b->input);
	if (!yaml_parser_initialize(&b->parser)) {
		stop_nomem(b);
		return;
	}
	yaml_parser_set_encoding(&b->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&b->parser, (const unsigned char *)b->cursor.p,
		(size_t)(b->cursor.end - b->cursor.p));
	while (!b->stopped && !b->done) {
		yaml_event_t event;
		if (yaml_parser_parse(&b->parser, &event)) {
			on_event(b, &event);
			yaml_event_delete(&event);
		} else {
			on_parser_error(b);
		}
	}
	yaml_parser_delete(&b->parser);
	free(b->pending);
	yaml_names_release(&b->anchors);
	yaml_names_release(&b->keys);
}

/* An empty document that holds the source. */
static int start_doc(struct yaml_doc *doc, const struct source *given)
{
	*doc = (struct yaml_doc){ 0 };
	arena_init(&doc->arena, ARENA_MAX);
	doc->source = arena_alloc(&doc->arena, sizeof *doc->source);
	if (!doc->source)
		return -1;
	doc->source->path = arena_strdup(&doc->arena, given->path);
	doc->source->text = arena_strndup(&doc->arena, given->text, given->len);
	doc->source->len = given->len;
	return doc->arena.failed ? -1 : 0;
}

/* Read again as if the value were a word, to find what else is wrong. */
static int repair(struct builder *b, char **masked, struct diags *diags)
{
	const struct source *src = b->doc->source;
	struct yaml_piece value = b->template;
	size_t from = (size_t)(value.start - b->input.text);
	size_t len = (size_t)(value.end - value.start);

	value.start = src->text + from;
	value.end = value.start + len;
	yaml_error_template(src, value, diags);
	if (!*masked && (*masked = malloc(src->len + 1)))
		memcpy(*masked, src->text, src->len + 1);
	if (!*masked || len == 0)
		return -1;
	memset(*masked + from, 'x', len);
	return 0;
}

/* Read `given`, over again for each template that lacks its quotes. */
static void read_all(struct yaml_doc *doc, const struct source *given, struct diags *diags)
{
	char *masked = NULL;
	bool again = true;

	for (int i = 0; again; i++) {
		struct builder b = { .doc = doc };
		struct diags found;
		diags_init(&found);
		b.diags = &found;
		b.input = *doc->source;
		if (masked)
			b.input.text = masked;
		build(&b);
		again = b.is_template && repair(&b, &masked, diags) == 0 && i < REPAIRS_MAX;
		if (again) {
			diags_release(&found);
			yaml_release(doc);
			again = start_doc(doc, given) == 0;
		} else {
			diags_move(diags, &found);
		}
	}
	free(masked);
}

int yaml_parse(
	struct yaml_doc *doc, const char *path, const char *text, size_t len, struct diags *diags)
{
	struct source given = { path, text, len };
	size_t errors = diags->nerrors;

	*doc = (struct yaml_doc){ 0 };
	if (len > TEXT_MAX)
		diag_place(diags, &given, 0, 0, "the file is larger than %d MiB", TEXT_MAX >> 20);
	else if (start_doc(doc, &given) < 0)
		diag_place(diags, &given, 0, 0, "out of memory");
	else if (yaml_text_check(doc->source, diags) == 0)
		read_all(doc, &given, diags);
	if (diags->nerrors == errors)
		return 0;
	yaml_release(doc);
	return -1;
}

int yaml_read(struct yaml_doc *doc, const char *path, struct diags *diags)
{
	struct source src = { .path = path };
	struct err err = { 0 };
	struct buf text;
	int rc = -1;

	*doc = (struct yaml_doc){ 0 };
	buf_init(&text, TEXT_MAX);
	if (io_read_file(path, &text, &err) == 0) {
		rc = yaml_parse(doc, path, text.data, text.len, diags);
	} else {
		/* The place already says which file. */
		size_t len = strlen(path);
		bool twice =
			strncmp(err.msg, path, len) == 0 && strncmp(err.msg + len, ": ", 2) == 0;
		diag_place(diags, &src, 0, 0, "%s", err.msg + (twice ? len + 2 : 0));
	}
	buf_release(&text);
	return rc;
}

void yaml_release(struct yaml_doc *doc)
{
	if (!doc)
		return;
	arena_release(&doc->arena);
	*doc = (struct yaml_doc){ 0 };
}
