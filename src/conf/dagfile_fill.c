/* What a fragment takes, filled in: `{{ include.NAME }}` in its keys and values. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/near.h"
#include "conf/dagfile_impl.h"
#include "conf/schema_value.h"

enum { NODES_MAX = 1000000, TEXT_MAX = 1 << 20, NAMES_MAX = 256 };

struct fill {
	struct dag_loader *l;
	const struct dag_fragment *fragment;
	const struct node *takes, *with; /* either may be NULL */
	const struct source *source;     /* of this include of it */
};

static struct arena *arena_of(const struct fill *f)
{
	return &f->l->dag->arena;
}

/* The names that it takes, for messages; NULL-ended. */
static void list_names(const struct fill *f, const char *names[NAMES_MAX + 1])
{
	size_t n = f->takes && f->takes->type == NODE_MAP ? f->takes->n : 0;

	n = n < NAMES_MAX ? n : NAMES_MAX;
	for (size_t i = 0; i < n; i++)
		names[i] = f->takes->keys[i]->text;
	names[n] = NULL;
}

static void hint_names(const struct fill *f, const char *wrong)
{
	const char *names[NAMES_MAX + 1], *near;
	struct buf list;
	size_t n = 0;

	list_names(f, names);
	buf_init(&list, 4096);
	for (; names[n]; n++)
		buf_addf(&list, "%s%s", n ? ", " : "", names[n]);
	near = near_find(wrong, names, n);
	if (near)
		diag_hint(f->l->diags, "did you mean \"%s\"?", near);
	else if (n > 0)
		diag_hint(f->l->diags, "it takes: %s", list.data);
	else
		diag_hint(f->l->diags, "it takes nothing; what it takes stands under `takes`");
	buf_release(&list);
}

/* ---- placeholders --------------------------------------------------------------------- */

struct place {
	size_t begin, end; /* in the text, of the whole `{{ ... }}` */
	size_t name, name_len;
};

static size_t blanks(const char *text, size_t i)
{
	return i + strspn(text + i, " \t\r\n");
}

/* Is this expression, from its "{{", a placeholder? */
static bool is_place(const char *text, size_t begin, struct place *ret)
{
	size_t i = blanks(text, begin + 2);

	if (strncmp(text + i, "include.", 8) != 0)
		return false;
	size_t name = i + 8, len = strcspn(text + name, " \t\r\n}|.,()=!<>\"'+-");
	/* A name may hold "-", an operation may not follow. */
	while (text[name + len] == '-')
		len += 1 + strcspn(text + name + len + 1, " \t\r\n}|.,()=!<>\"'+-");
	i = blanks(text, name + len);
	if (len == 0 || strncmp(text + i, "}}", 2) != 0)
		return false;
	*ret = (struct place){ begin, i + 2, name, len };
	return true;
}

/* `include.` in an expression with more in it; the offset, or SIZE_MAX. */
static size_t find_stray(const char *text, size_t begin, size_t end)
{
	for (size_t i = begin; i + 8 <= end; i++) {
		char before = text[i - 1];
		if (strncmp(text + i, "include.", 8) == 0 && before != '.' && before != '_' &&
			before != '"' && before != '\'')
			return i;
	}
	return SIZE_MAX;
}

/* The next placeholder from *at on; false: there is none. Expressions that are not ours are passed
 * over. */
static bool next_place(const struct fill *f, const struct node *n, size_t *at, struct place *ret)
{
	const char *open;

	while ((open = strstr(n->text + *at, "{{"))) {
		size_t begin = (size_t)(open - n->text);
		if (is_place(n->text, begin, ret)) {
			*at = ret->end;
			return true;
		}
		const char *close = strstr(open, "}}");
		size_t end = close ? (size_t)(close - n->text) : n->len;
		size_t stray = find_stray(n->text, begin + 2, end);
		if (stray != SIZE_MAX) {
			diag_inside(f->l->diags, n, stray, 7,
				"what an include gives stands alone in its braces");
			diag_hint(f->l->diags, "for example: {{ include.table }}");
		}
		*at = end;
	}
	return false;
}

/* The value of a name; NULL: there is none, which was said. */
static const struct node *value_of(
	const struct fill *f, const struct node *n, const struct place *p)
{
	char *name = arena_strndup(arena_of(f), n->text + p->name, p->name_len);
	const struct node *value = name ? node_get(f->with, name) : NULL;

	if (!value && name)
		value = node_get(f->takes, name);
	if (!value && name) {
		diag_inside(f->l->diags, n, p->name - 8, p->name_len + 8,
			"the fragment takes no \"%s\"", name);
		hint_names(f, name);
	}
	return value;
}

/* ---- nodes ---------------------------------------------------------------------------- */

static const struct node *copy(struct fill *f, const struct node *n);

static bool add_value(
	const struct fill *f, const struct node *n, const struct place *p, struct buf *out)
{
	const struct node *value = value_of(f, n, p);

	if (!value)
		return false;
	if (!node_text(value)) {
		diag_inside(f->l->diags, n, p->name - 8, p->name_len + 8,
			"%s cannot be part of a text", node_type_name(value->type));
		return false;
	}
	buf_addstr(out, value->text);
	return true;
}

/* A text with placeholders in it; NULL: it was said why not. */
static const struct node *fill_text(const struct fill *f, const struct node *n)
{
	struct node *all = arena_alloc(arena_of(f), sizeof *all);
	size_t at = 0, done = 0;
	struct place p;
	struct buf out;
	bool good = all;

	buf_init(&out, TEXT_MAX);
	while (good && next_place(f, n, &at, &p)) {
		buf_add(&out, n->text + done, p.begin - done);
		good = add_value(f, n, &p, &out);
		done = p.end;
	}
	buf_addstr(&out, n->text + done);
	if (good && out.failed)
		diag_node(f->l->diags, DIAG_ERROR, n, "the text is longer than 1 MiB");
	good = good && !out.failed;
	char *text = good ? arena_strndup(arena_of(f), out.data, out.len) : NULL;
	if (text) {
		*all = *n;
		all->type = NODE_STRING;
		all->text = text;
		all->len = out.len;
	}
	buf_release(&out);
	return text ? all : NULL;
}

static const struct node *copy_scalar(const struct fill *f, const struct node *n)
{
	struct node *same = arena_alloc(arena_of(f), sizeof *same);
	struct place p;
	size_t at = 0;

	if (!same)
		return NULL;
	*same = *n;
	same->source = f->source;
	if (n->type != NODE_STRING || !next_place(f, same, &at, &p))
		return same;
	/* One that stands alone is the very value, told of at its own place. */
	bool alone = p.begin == blanks(n->text, 0) && !n->text[blanks(n->text, p.end)];
	return alone ? value_of(f, same, &p) : fill_text(f, same);
}

static const struct node *copy_key(const struct fill *f, const struct node *key)
{
	const struct node *made = copy_scalar(f, key);

	if (made && !node_text(made)) {
		struct node here = *key;
		here.source = f->source;
		diag_node(f->l->diags, DIAG_ERROR, &here, "%s cannot be a key",
			node_type_name(made->type));
		return NULL;
	}
	return made;
}

/* Keys that became the same. */
static void check_keys(const struct fill *f, const struct node *map)
{
	for (size_t i = 1; i < map->n; i++) {
		const struct node *first = node_key(map, map->keys[i]->text);
		if (first == map->keys[i])
			continue;
		diag_node(f->l->diags, DIAG_ERROR, map->keys[i], "\"%s\" is there twice",
			map->keys[i]->text);
		diag_hint(f->l->diags, "the other one stands at %s:%d:%d", first->source->path,
			first->line, first->col);
	}
}

/* What could not be filled in is left out. */
static const struct node *copy_list(struct fill *f, const struct node *n)
{
	struct node *all = arena_alloc(arena_of(f), sizeof *all);
	const struct node **items = arena_array(arena_of(f), n->n + 1, sizeof *items);
	const struct node **keys =
		n->keys ? arena_array(arena_of(f), n->n + 1, sizeof *keys) : items;
	bool filled = false;

	if (!all || !items || !keys)
		return NULL;
	*all = *n;
	all->n = 0;
	all->items = items;
	all->keys = n->keys ? keys : NULL;
	all->source = f->source;
	for (size_t i = 0; i < n->n; i++) {
		const struct node *key = n->keys ? copy_key(f, n->keys[i]) : NULL;
		const struct node *item = key || !n->keys ? copy(f, n->items[i]) : NULL;
		filled = filled || (key && strcmp(key->text, n->keys[i]->text) != 0);
		if (!item)
			continue;
		if (n->keys)
			keys[all->n] = key;
		items[all->n++] = item;
	}
	if (filled)
		check_keys(f, all);
	return all;
}

static const struct node *copy(struct fill *f, const struct node *n)
{
	if (++f->l->nfilled > NODES_MAX) {
		if (f->l->nfilled == NODES_MAX + 1)
			diag_node(f->l->diags, DIAG_ERROR, n,
				"include: more than %d values in fragments with parameters",
				NODES_MAX);
		return NULL;
	}
	return node_is_scalar(n) ? copy_scalar(f, n) : copy_list(f, n);
}

/* ---- what is given -------------------------------------------------------------------- */

static void check_takes(const struct fill *f)
{
	for (size_t i = 0; f->takes && f->takes->type == NODE_MAP && i < f->takes->n; i++) {
		const struct node *key = f->takes->keys[i];
		const char *def = node_text(f->takes->items[i]);
		if (!schema_value_is_name(key->text, key->len))
			diag_node(f->l->diags, DIAG_ERROR, key, "takes: \"%s\" cannot be a name",
				key->text);
		else if (def && strstr(def, "{{ include."))
			diag_node(f->l->diags, DIAG_ERROR, f->takes->items[i],
				"takes: a default cannot be made of what is given");
	}
}

static void check_given(const struct fill *f, const struct node *item)
{
	for (size_t i = 0; f->with && f->with->type == NODE_MAP && i < f->with->n; i++) {
		const struct node *key = f->with->keys[i];
		if (node_key(f->takes, key->text))
			continue;
		diag_node(f->l->diags, DIAG_ERROR, key, "include: %s takes no \"%s\"",
			f->fragment->name, key->text);
		hint_names(f, key->text);
	}
	for (size_t i = 0; f->takes && f->takes->type == NODE_MAP && i < f->takes->n; i++) {
		const struct node *key = f->takes->keys[i];
		if (f->takes->items[i]->type != NODE_NULL || node_key(f->with, key->text))
			continue;
		diag_node(f->l->diags, DIAG_ERROR, item, "include: %s needs \"%s\"",
			f->fragment->name, key->text);
		diag_hint(f->l->diags, "for example: { file: %s, with: { %s: ... } }",
			f->fragment->name, key->text);
	}
}

bool dagfile_takes(const struct dag_fragment *fragment)
{
	return node_key(fragment->doc.root, "takes") ||
	       strstr(fragment->doc.source->text, "include.");
}

const struct node *dagfile_fill(struct dag_loader *l, const struct dag_fragment *fragment,
	const struct node *item, const struct node *with)
{
	struct source *source = arena_alloc(&l->dag->arena, sizeof *source);
	struct fill f = { .l = l,
		.fragment = fragment,
		.takes = node_get(fragment->doc.root, "takes"),
		.with = with,
		.source = source };
	size_t errors = l->diags->nerrors;

	if (!source)
		return NULL;
	*source = *fragment->doc.source;
	if (!dagfile_place_source(l, source, item))
		return NULL;
	check_takes(&f);
	check_given(&f, item);
	/* What is wrong with it would be said again of each place it goes to. */
	const struct node *root = l->diags->nerrors == errors ? copy(&f, fragment->doc.root) : NULL;
	return l->diags->nerrors == errors ? root : NULL;
}
