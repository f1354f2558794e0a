/* Which circuit breakers a task has. */
#include <string.h>

#include "conf/config.h"
#include "conf/dagfile_impl.h"

struct found {
	const char *names[TASK_BREAKERS_MAX + 1];
	size_t n;
	bool too_many;
};

static void add(struct found *f, const char *name)
{
	size_t i = 0;

	while (i < f->n && strcmp(f->names[i], name) != 0)
		i++;
	f->too_many |= i == TASK_BREAKERS_MAX;
	if (i == f->n && i < TASK_BREAKERS_MAX)
		f->names[f->n++] = name;
}

static bool was_told(const struct dag_loader *l, const struct node *name)
{
	size_t i = 0;

	while (i < l->ntold_breakers && l->told_breakers[i] != name)
		i++;
	return i < l->ntold_breakers;
}

/* One that is named in vain is told where it is named, that of defaults once. */
static void add_named(struct dag_loader *l, struct found *f, const struct node *name)
{
	const struct config *config = l->env->config;
	bool checked = config && l->env->check_files && !l->env->was_good;

	if (!node_text(name))
		return;
	add(f, name->text);
	if (!checked || was_told(l, name) || config_breaker_check(config, name, l->diags) == 0)
		return;
	if (l->ntold_breakers < sizeof l->told_breakers / sizeof *l->told_breakers)
		l->told_breakers[l->ntold_breakers++] = name;
}

/* What the connection in `text` carries: "NAME", or "NAME.TABLE". */
static void add_of_connection(const struct dag_loader *l, struct found *f, const char *text)
{
	char name[160];
	size_t len = strcspn(text, ".");

	if (len >= sizeof name)
		return;
	memcpy(name, text, len);
	name[len] = '\0';
	const char *breaker = config_connection_breaker(l->env->config, name);
	const char *kept = breaker ? arena_strdup(&l->dag->arena, breaker) : NULL;
	if (kept)
		add(f, kept);
}

static void add_of_params(const struct dag_loader *l, struct found *f, const struct field *fields,
	const struct node *map)
{
	for (const struct field *p = fields; p && p->key; p++) {
		const struct node *value = node_get(map, p->key);
		const char *text = node_text(value) ? value->text : p->def;
		if (value && p->type == FIELD_OBJECT)
			add_of_params(l, f, p->fields, value);
		else if (text && (p->type == FIELD_CONNECTION || p->type == FIELD_TABLE))
			add_of_connection(l, f, text);
	}
}

/* ---- quality ------------------------------------------------------------------------------ */

/* The breaker of a dataset; NULL: that is no name of one, which is told. */
static const char *of_dataset(const struct dag_loader *l, const char *key, const struct node *name)
{
	if (!dagfile_check_dataset(l, key, name))
		return NULL;
	return arena_printf(&l->dag->arena, QUALITY_BREAKER "%s", name->text);
}

static void load_quality(struct dag_loader *l, struct task *t, const struct node *n)
{
	const struct field percent = { .type = FIELD_PERCENT };
	const struct node *dataset = node_get(n, "dataset");
	const char *below = node_text(node_get(n, "score_below"));

	if (!n)
		return;
	if (t->kind != TASK_QUALITY)
		diag_node(l->diags, DIAG_ERROR,
			node_key(l->sources[t->index].node, "quality_breaker"),
			"quality_breaker: only a quality task has checks");
	t->quality_breaker = of_dataset(l, "dataset", dataset);
	json_t *v = below ? schema_value_of_text(&percent, below, NULL) : NULL;
	t->score_below = json_number_value(v);
	json_decref(v);
}

static void add_consumed(
	struct dag_loader *l, struct found *f, const struct task *t, const struct node *dataset)
{
	const char *name = of_dataset(l, "consumes", dataset);

	if (!name)
		return;
	if (t->quality_breaker && strcmp(name, t->quality_breaker) == 0)
		diag_node(l->diags, DIAG_ERROR, dataset,
			"consumes: the task checks \"%s\" itself; its own breaker would hold it",
			dataset->text);
	add(f, name);
}

void dagfile_load_breakers(struct dag_loader *l, struct task *t)
{
	const struct node *named = dagfile_setting(l, t, "breaker");
	const char *on_open = node_text(dagfile_setting(l, t, "on_open"));
	struct found f = { .n = 0 };

	if (named && named->type == NODE_SEQ)
		for (size_t i = 0; i < named->n; i++)
			add_named(l, &f, named->items[i]);
	else
		add_named(l, &f, named);
	if (t->op && !t->run && l->env->config)
		add_of_params(l, &f, l->env->operators->params(t->kind, t->op), t->with);
	const struct node *node = l->sources[t->index].node;
	const struct node *consumes = node_get(node, "consumes");
	load_quality(l, t, node_get(node, "quality_breaker"));
	if (consumes && consumes->type == NODE_SEQ)
		for (size_t i = 0; i < consumes->n; i++)
			add_consumed(l, &f, t, consumes->items[i]);
	else
		add_consumed(l, &f, t, consumes);
	for (int i = 0; on_open && i < ON_OPEN_MAX; i++)
		if (strcmp(on_open, on_open_names[i]) == 0)
			t->on_open = (enum on_open)i;
	if (f.too_many)
		diag_node(l->diags, DIAG_ERROR, l->sources[t->index].key,
			"task \"%s\" has more than %d circuit breakers, with those of its "
			"connections and datasets",
			t->name, TASK_BREAKERS_MAX);
	if (f.n == 0)
		return;
	const char **list = arena_array(&l->dag->arena, f.n + 1, sizeof *list);
	if (list)
		memcpy(list, f.names, f.n * sizeof *list);
	t->breakers = list;
}
