/* Files that a DAG file includes. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "conf/bundle.h"
#include "conf/dagfile_impl.h"

enum { INCLUDES_MAX = 1000, BYTES_MAX = 16 << 20 };

/* "dags/x.yaml:3:10", and where that file is included itself. */
static const char *where_of(struct dag_loader *l, const struct node *item)
{
	for (const struct dag_include *i = l->includes; i; i = i->next)
		if (i->source == item->source)
			return arena_printf(&l->dag->arena, "%s:%d:%d, which is included at %s",
				item->source->path, item->line, item->col, i->where);
	for (const struct dag_fragment *f = l->kept->fragments; f; f = f->next)
		if (f->doc.source == item->source)
			return arena_printf(&l->dag->arena, "%s:%d:%d, which is included at %s",
				item->source->path, item->line, item->col, f->where);
	return arena_printf(&l->dag->arena, "%s:%d:%d", item->source->path, item->line, item->col);
}

/* The path as messages say it: beside that of the DAG file. */
static const char *shown_path(struct dag_loader *l, const char *name)
{
	struct arena *arena = &l->dag->arena;
	char *dir = io_path_dir(l->path), *joined = dir ? io_path_join(dir, name) : NULL;
	const char *shown = strchr(l->path, '/') && joined ? arena_strdup(arena, joined)
							   : arena_strdup(arena, name);

	free(dir);
	free(joined);
	return shown;
}

static struct dag_fragment *find(const struct dag_loader *l, const char *name)
{
	struct dag_fragment *f = l->kept->fragments;

	while (f && strcmp(f->name, name) != 0)
		f = f->next;
	return f;
}

bool dagfile_place_source(
	struct dag_loader *l, const struct source *source, const struct node *item)
{
	struct dag_include *i = arena_alloc(&l->dag->arena, sizeof *i);

	if (!i)
		return false;
	*i = (struct dag_include){ source, where_of(l, item), l->includes };
	l->includes = i;
	return i->where;
}

static struct dag_fragment *add(struct dag_loader *l, const struct node *item)
{
	struct dag_fragment *f = calloc(1, sizeof *f), **tail = &l->kept->fragments;
	const char *where = where_of(l, item);

	if (!f) {
		l->dag->arena.failed = true;
		return NULL;
	}
	while (*tail)
		tail = &(*tail)->next;
	f->name = item->text;
	f->path = shown_path(l, item->text);
	f->where = where;
	*tail = f;
	return f;
}

static int read_fragment(struct dag_loader *l, struct dag_fragment *f, const struct node *item)
{
	char *path = io_path_join(l->dag->dir, f->name);
	const struct schema_env env = { .dir = l->dag->dir };
	struct bundle_part part;
	int rc = -1;

	if (!path || !f->path)
		return -1;
	dagfile_keep_file(l, path);
	if (l->bundle && bundle_find(l->bundle, f->name, &part)) {
		rc = yaml_parse(&f->doc, f->path, part.text, part.len, l->diags);
	} else if (schema_check_value(item, &dagfile_include_field, &env, l->diags) == 0) {
		struct buf text;
		struct err err = { 0 };
		buf_init(&text, BYTES_MAX);
		if (io_read_regular(path, &text, &err) < 0)
			diag_node(l->diags, DIAG_ERROR, item, "include: %s", err.msg);
		else
			rc = yaml_parse(&f->doc, f->path, text.data, text.len, l->diags);
		buf_release(&text);
	}
	free(path);
	return rc;
}

static bool check_root(struct dag_loader *l, const struct dag_fragment *f, const struct node *item)
{
	const struct node *root = f->doc.root, *dag = node_key(root, "dag");
	const struct schema_env env = { 0 };

	if (!root) {
		diag_node(l->diags, DIAG_ERROR, item, "include: %s is empty", f->name);
		return false;
	}
	if (dag) {
		diag_node(l->diags, DIAG_ERROR, dag,
			"this is a DAG of its own; what is included begins with \"fragment:\"");
		return false;
	}
	/* What takes something is checked when that is known. */
	if (root->type != NODE_MAP || !dagfile_takes(f))
		schema_check(root, dagfile_fragment_fields, "fragment", &env, l->diags);
	return root->type == NODE_MAP;
}

static void say_circle(struct dag_loader *l, const struct node *item)
{
	struct buf path;

	buf_init(&path, 4096);
	for (int i = 0; i < l->depth; i++)
		buf_addf(&path, "%s -> ", l->open[i]->name);
	diag_node(l->diags, DIAG_ERROR, item,
		"include: the files include each other in a circle: %s%s",
		path.len ? path.data : "", item->text);
	buf_release(&path);
}

static bool may_open(struct dag_loader *l, const struct dag_fragment *f, const struct node *item)
{
	for (int i = 0; i < l->depth; i++)
		if (l->open[i] == f) {
			say_circle(l, item);
			return false;
		}
	if (strpbrk(item->text, "\r\n")) {
		diag_node(l->diags, DIAG_ERROR, item, "include: a file's name has no line breaks");
		return false;
	}
	if (l->depth == DAGFILE_DEPTH_MAX) {
		diag_node(l->diags, DIAG_ERROR, item, "include: more than %d files in one another",
			DAGFILE_DEPTH_MAX);
		return false;
	}
	if (++l->nincludes == INCLUDES_MAX + 1)
		diag_node(l->diags, DIAG_ERROR, item, "include: more than %d includes in all",
			INCLUDES_MAX);
	return l->nincludes <= INCLUDES_MAX;
}

static struct dag_fragment *open_fragment(struct dag_loader *l, const struct node *item)
{
	struct dag_fragment *f = find(l, item->text);

	if (!may_open(l, f, item))
		return NULL;
	if (!f) {
		f = add(l, item);
		if (!f || read_fragment(l, f, item) < 0)
			return NULL;
		l->included_bytes += f->doc.source->len;
		if (l->included_bytes > BYTES_MAX)
			diag_node(l->diags, DIAG_ERROR, item,
				"include: the files included have more than %d MiB together",
				BYTES_MAX >> 20);
		else
			f->good = check_root(l, f, item);
	}
	return f->good ? f : NULL;
}

/* What it takes filled in, and checked. */
static const struct node *fill(struct dag_loader *l, const struct dag_fragment *f,
	const struct node *item, const struct node *with)
{
	const struct schema_env env = { 0 };

	if (!with && !dagfile_takes(f))
		return f->doc.root;
	const struct node *root = dagfile_fill(l, f, item, with);
	if (root && dagfile_takes(f))
		schema_check(root, dagfile_fragment_fields, "fragment", &env, l->diags);
	return root;
}

const struct node *dagfile_open_fragment(struct dag_loader *l, const struct node *item)
{
	static const struct field any = { .type = FIELD_ANY };
	static const struct field fields[] = {
		{ .key = "file", .type = FIELD_PATH, .flags = FIELD_REQUIRED },
		{ .key = "with", .type = FIELD_MAP, .item = &any },
		{ 0 },
	};
	const struct schema_env env = { 0 };
	const struct node *file = item, *with = NULL;

	if (item->type == NODE_MAP) {
		if (schema_check(item, fields, "include", &env, l->diags) > 0)
			return NULL;
		file = node_get(item, "file");
		with = node_get(item, "with");
	}
	if (!node_text(file)) {
		diag_node(l->diags, DIAG_ERROR, item,
			"include: expected a path, or a mapping with file and with, found %s",
			node_type_name(item->type));
		return NULL;
	}
	const struct dag_fragment *f = open_fragment(l, file);
	const struct node *root = f ? fill(l, f, file, with) : NULL;
	if (root)
		l->open[l->depth++] = f;
	return root;
}

void dagfile_close_fragment(struct dag_loader *l)
{
	l->depth--;
}

void dagfile_place_fragments(const struct dag_loader *l, size_t first_diag)
{
	for (const struct dag_include *i = l->includes; i; i = i->next)
		diags_included_in(l->diags, first_diag, i->source, i->where);
	for (const struct dag_fragment *f = l->kept->fragments; f; f = f->next)
		if (f->path && f->where)
			diags_included(l->diags, first_diag, f->path, f->where);
}

const char *dagfile_whole_text(const struct dag_loader *l)
{
	const struct source *main = l->kept->doc.source;
	const char *ret = NULL;
	struct buf out;

	if (!l->kept->fragments)
		return main->text;
	buf_init(&out, 3 * (size_t)BYTES_MAX);
	bundle_add(&out, &(struct bundle_part){ .text = main->text, .len = main->len });
	for (const struct dag_fragment *f = l->kept->fragments; f; f = f->next)
		bundle_add(&out, &(struct bundle_part){ f->name, strlen(f->name),
					 f->doc.source->text, f->doc.source->len });
	if (!out.failed)
		ret = arena_strndup(&l->dag->arena, out.data, out.len);
	buf_release(&out);
	return ret;
}

void dagfile_free_fragments(struct dag_fragment *list)
{
	while (list) {
		struct dag_fragment *next = list->next;
		yaml_release(&list->doc);
		free(list);
		list = next;
	}
}

void dagfile_check_fragment(const char *path, struct diags *diags)
{
	const struct schema_env env = { 0 };
	struct dag_fragment f = { .name = path };

	if (yaml_read(&f.doc, path, diags) < 0)
		return;
	if (f.doc.root && !dagfile_takes(&f))
		schema_check(f.doc.root, dagfile_fragment_fields, "fragment", &env, diags);
	yaml_release(&f.doc);
}
