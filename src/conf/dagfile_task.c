/* One task of a DAG file. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/near.h"
#include "base/units.h"
#include "conf/config.h"
#include "conf/dagfile_impl.h"
#include "conf/foreach.h"
#include "conf/sla.h"
#include "conf/template.h"

enum { HASHED_FILE_MAX = 16 << 20, CPU_SHARE_MAX = 1000 };

const struct node *dagfile_setting(
	const struct dag_loader *l, const struct task *t, const char *key)
{
	const struct node *own = node_get(l->sources[t->index].node, key);

	return own ? own : node_get(dagfile_scope(l, t)->defaults, key);
}

/* ---- kind and operator ---------------------------------------------------------------- */

static void say_unknown_operator(struct dag_loader *l, enum task_kind kind,
	const struct node *value, const char *const *names)
{
	size_t n = 0;

	while (names && names[n])
		n++;
	const char *near = near_find(value->text, names, n);
	diag_node(l->diags, DIAG_ERROR, value, "unknown operator \"%s: %s\"%s%s%s",
		task_kind_name(kind), value->text, near ? "; did you mean \"" : "",
		near ? near : "", near ? "\"?" : "");
	struct buf list;
	buf_init(&list, 4096);
	for (size_t i = 0; i < n; i++)
		buf_addf(&list, "%s%s: %s", i ? ", " : "", task_kind_name(kind), names[i]);
	if (n)
		diag_hint(l->diags, "operators of this kind: %s", list.data);
	else
		diag_hint(l->diags, "there are no operators of this kind yet");
	buf_release(&list);
}

static void load_operator(
	struct dag_loader *l, struct task *t, enum task_kind kind, const struct node *value)
{
	t->kind = kind;
	t->op = "command";
	if (kind == TASK_RUN) {
		t->run = value;
		return;
	}
	t->op = NULL;
	if (!node_text(value))
		return; /* the table's check has said so */
	if (l->env->operators->params(kind, value->text))
		t->op = value->text;
	else
		say_unknown_operator(l, kind, value, l->env->operators->names(kind));
}

static void load_kind(
	struct dag_loader *l, struct task *t, const struct node *key, const struct node *n)
{
	int first = -1;

	for (int kind = 0; kind < TASK_KIND_MAX; kind++) {
		const struct node *value = node_get(n, task_kind_name(kind));
		if (!value)
			continue;
		if (first >= 0) {
			diag_node(l->diags, DIAG_ERROR, node_key(n, task_kind_name(kind)),
				"task \"%s\" is of two kinds: %s and %s", t->name,
				task_kind_name(first), task_kind_name(kind));
			diag_hint(l->diags,
				"a task does one thing: keep one of them, or make two tasks");
			continue;
		}
		first = kind;
		load_operator(l, t, (enum task_kind)kind, value);
	}
	if (first < 0) {
		diag_node(l->diags, DIAG_ERROR, key, "task \"%s\" has no kind", t->name);
		diag_hint(l->diags, "one of: ingest, transform, quality, publish, control, run; "
				    "several tasks under one name have group");
	}
}

/* ---- policies ------------------------------------------------------------------------- */

static int64_t duration_of(const struct node *n, int64_t def)
{
	int64_t us;

	return node_text(n) && units_parse_duration(n->text, &us, NULL) == 0 ? us : def;
}

static void load_exit_set(const struct node *n, struct exit_set *ret)
{
	const struct node *list = node_get(n, "exit_codes");

	ret->given = list != NULL;
	if (list && list->type == NODE_INT)
		exit_set_add(ret, (int)list->i);
	for (size_t i = 0; list && list->type == NODE_SEQ && i < list->n; i++)
		exit_set_add(ret, (int)list->items[i]->i);
}

/* A key of the task's mapping `map:`, over that of the defaults: they are put together. */
static const struct node *part_of(
	const struct dag_loader *l, const struct task *t, const char *map, const char *key)
{
	const struct node *own = node_get(node_get(l->sources[t->index].node, map), key);

	return own ? own : node_get(node_get(dagfile_scope(l, t)->defaults, map), key);
}

static const struct node *backoff_of(
	const struct dag_loader *l, const struct task *t, const char *key)
{
	return part_of(l, t, "backoff", key);
}

static int64_t limit_of(const struct dag_loader *l, const struct task *t, const char *key)
{
	const struct node *n = part_of(l, t, "limits", key);

	return n && n->type == NODE_INT && n->i > 0 ? n->i : 0;
}

static void load_limits(const struct dag_loader *l, struct task *t)
{
	const char *memory = node_text(part_of(l, t, "limits", "memory"));
	const char *cpu = node_text(part_of(l, t, "limits", "cpu"));
	struct task_limits *ret = &t->limits;
	double share = 0;

	if (!memory || units_parse_size(memory, &ret->memory_bytes, NULL) < 0)
		ret->memory_bytes = 0;
	/* Half a permille up: 12.5% has no exact double. */
	if (cpu && units_parse_share(cpu, &share, NULL) == 0 && share <= CPU_SHARE_MAX)
		ret->cpu_permille = (int64_t)(share * 1000 + 0.5);
	ret->pids = limit_of(l, t, "pids");
	ret->files = limit_of(l, t, "files");
}

static void load_policy(struct dag_loader *l, struct task *t, const struct node *n)
{
	const struct node *retries = dagfile_setting(l, t, "retries");
	const struct node *lost = dagfile_setting(l, t, "lost_retries");
	const struct node *factor = backoff_of(l, t, "factor");
	const char *jitter = node_text(backoff_of(l, t, "jitter"));
	struct retry_policy *p = &t->retry;

	p->retries = retries ? (int)retries->i : 0;
	p->lost_retries = lost ? (int)lost->i : 3;
	p->initial_us = duration_of(backoff_of(l, t, "initial"), 10 * US_PER_SECOND);
	p->max_us = duration_of(backoff_of(l, t, "max"), 10 * US_PER_MINUTE);
	/* A longer first delay than the default cap means a longer cap. */
	if (!backoff_of(l, t, "max") && p->max_us < p->initial_us)
		p->max_us = p->initial_us;
	/* What is wrong in the defaults is said once. */
	const struct dag_scope *in = dagfile_scope(l, t);
	bool first = in->first == t->index && (node_get(in->own, "backoff") || t->index == 0);
	if (p->max_us < p->initial_us && (node_get(n, "backoff") || first))
		diag_node(l->diags, DIAG_WARNING, backoff_of(l, t, "initial"),
			"backoff: initial is longer than max, which caps it");
	p->factor = factor && factor->f >= 1 ? factor->f : 2;
	p->jitter = JITTER_FULL;
	for (int i = 0; jitter && i < JITTER_MAX; i++)
		if (strcmp(jitter, jitter_names[i]) == 0)
			p->jitter = (enum jitter)i;
	load_exit_set(dagfile_setting(l, t, "retry_on"), &p->retry_on);
	load_exit_set(dagfile_setting(l, t, "fail_on"), &p->fail_on);
	t->timeout_us = duration_of(dagfile_setting(l, t, "timeout"), 0);
	t->grace_us = duration_of(dagfile_setting(l, t, "grace"), 10 * US_PER_SECOND);
	load_limits(l, t);
}

/* One that a task names in vain is told where it is named, that of defaults once. */
static void check_pool(struct dag_loader *l, const struct task *t, const struct node *name)
{
	const struct config *config = l->env->config;
	const char *const *pools = config ? config_pools(config) : NULL;
	const struct node *slots = dagfile_setting(l, t, "slots");
	size_t n = 0;

	while (pools && pools[n])
		n++;
	int have = config ? config_pool_slots(config, name->text) : -1;
	bool told = l->told_pool == name || (slots && l->told_pool == slots);
	if (!config || !l->env->check_files || l->env->was_good || told)
		return;
	if (have >= 0 && (!slots || slots->i <= have || have == 0))
		return;
	l->told_pool = have < 0 ? name : slots;
	if (have >= 0) {
		diag_node(l->diags, DIAG_ERROR, slots,
			"slots: the pool \"%s\" has %d, the task wants %lld", name->text, have,
			(long long)slots->i);
		diag_hint(l->diags, "pools are in %s",
			config_path(config) ? config_path(config) : "weir.yaml");
		return;
	}
	const char *near = near_find(name->text, pools, n);
	diag_node(l->diags, DIAG_ERROR, name, "pool: there is no pool \"%s\"%s%s%s", name->text,
		near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	if (!near)
		diag_hint(l->diags, "pools are in weir.yaml: pools: { %s: 4 }", name->text);
}

static void load_pool(struct dag_loader *l, struct task *t)
{
	const struct node *pool = dagfile_setting(l, t, "pool");
	const struct node *own = node_get(l->sources[t->index].node, "slots");
	const struct node *slots = dagfile_setting(l, t, "slots");
	const struct node *priority = dagfile_setting(l, t, "priority");

	t->pool = node_text(pool);
	t->slots = slots && slots->type == NODE_INT && slots->i > 1 && slots->i <= INT_MAX
			   ? (int)slots->i
			   : 1;
	t->priority = priority && priority->type == NODE_INT ? (int)priority->i : 1;
	if (t->pool)
		check_pool(l, t, pool);
	else if (own)
		diag_node(
			l->diags, DIAG_WARNING, own, "slots: the task has no pool to take them of");
}

/* What steers a run is done once in it, and so is what takes down. */
static void load_foreach(struct dag_loader *l, struct task *t, const struct node *n)
{
	const struct node *key = node_key(n, "foreach");

	if (key && t->kind == TASK_CONTROL) {
		diag_node(l->diags, DIAG_ERROR, key,
			"foreach: a control task steers the whole run and cannot be mapped");
		diag_hint(l->diags, "map the tasks behind it");
	} else if (key && node_get(n, "teardown")) {
		diag_node(l->diags, DIAG_ERROR, key,
			"foreach: a teardown runs once and cannot be mapped");
	} else {
		t->foreach = foreach_load(node_get(n, "foreach"), &l->dag->arena, l->diags);
	}
}

void dagfile_load_task(struct dag_loader *l, struct task *t, const struct node *n)
{
	const struct node *key = l->sources[t->index].key;
	const struct schema_env env = { .dir = l->env->check_files ? l->dag->dir : NULL };
	char what[160];

	t->line = key->line;
	t->col = key->col;
	snprintf(what, sizeof what, "task %.128s", t->name);
	t->kind = TASK_KIND_MAX;
	if (n->type != NODE_MAP) {
		diag_node(l->diags, DIAG_ERROR, n->type == NODE_NULL ? key : n,
			"task \"%s\": expected a mapping, found %s", t->name,
			n->type == NODE_NULL ? "nothing" : node_type_name(n->type));
		diag_hint(l->diags, "for example: %s: { run: ./%s.sh }", t->name, t->name);
		return;
	}
	/* After an error, too: what else is wrong is told all the same. */
	schema_check(n, dagfile_task_fields, what, &env, l->diags);
	load_kind(l, t, key, n);
	load_policy(l, t, n);
	load_pool(l, t);
	dagfile_load_past(l, t);
	snprintf(what, sizeof what, "task %.128s: sla", t->name);
	t->sla = sla_load(node_get(n, "sla"), what, dagfile_has_ticks(l), &l->dag->arena, l->diags);
	load_foreach(l, t, n);
	dagfile_load_produces(l, t, node_get(n, "produces"));
	t->description = node_text(node_get(n, "description"));
	t->owner = node_text(dagfile_setting(l, t, "owner"));
	t->severity = node_text(dagfile_setting(l, t, "severity"));
	t->runbook = node_text(dagfile_setting(l, t, "runbook"));
	t->shell = node_text(dagfile_setting(l, t, "shell"));
	t->cwd = node_text(dagfile_setting(l, t, "cwd"));
	t->with = node_get(n, "with");
	/* The variables of the defaults, and over them the task's own. */
	t->env = dagfile_merge(
		l, node_get(n, "env"), node_get(dagfile_scope(l, t)->defaults, "env"));
}

/* ---- templates and parameters --------------------------------------------------------- */

/* While a task is checked. */
struct task_check {
	struct dag_loader *loader;
	const struct task *task;
	const char *
		*upstream; /* names of all it needs, directly or not; made when first asked for */
	bool before_items; /* what is checked is what makes the list of a mapped task */
	struct buf hashed; /* what its definition says */
};

static const char *const *upstream_of(struct task_check *c)
{
	const struct dag *dag = c->loader->dag;
	size_t n = (size_t)dag->ntasks;

	if (c->upstream)
		return c->upstream;
	const char **names = calloc(n + 1, sizeof *names);
	int *queue = calloc(n + 1, sizeof *queue);
	bool *seen = calloc(n + 1, sizeof *seen);
	size_t tail = 0;
	if (names && queue && seen) {
		const struct task *t = c->task;
		for (size_t head = 0;; t = &dag->tasks[queue[head++]]) {
			for (int j = 0; j < t->nneeds; j++)
				if (!seen[t->needs[j]]) {
					seen[t->needs[j]] = true;
					names[tail] = dag->tasks[t->needs[j]].name;
					queue[tail++] = t->needs[j];
				}
			if (head == tail)
				break;
		}
	}
	free(queue);
	free(seen);
	c->upstream = names;
	return names;
}

/* The list of `foreach`, where it stands in the file. */
static const struct node *items_of(const struct task *t)
{
	const struct node *items = t && t->foreach ? t->foreach->items : NULL;

	return items && items->type == NODE_SEQ ? items : NULL;
}

/* Also where what is wrong with it was said. */
static bool is_mapped(const struct task_check *c)
{
	return c->task && node_key(c->loader->sources[c->task->index].node, "foreach");
}

/* What is true or false is one expression. */
static void check_single(const struct schema_template *text, struct diags *diags)
{
	struct template *t = template_parse(text->text, NULL, NULL, NULL);

	if (t && !template_is_single(t)) {
		diag_node(diags, DIAG_ERROR, text->node,
			"if: expected one expression, with nothing beside its braces");
		diag_hint(diags, "`and`, `or`, `not` and comparisons stand inside: "
				 "\"{{ params.full and ds > '2026-01-01' }}\"");
	}
	template_free(t);
}

static void check_template(void *arg, const struct schema_template *t, struct diags *diags)
{
	struct task_check *c = arg;
	struct template_scope scope = { .task = c->task ? c->task->name : NULL,
		.params = c->loader->param_names,
		.all_tasks = c->loader->task_names,
		.upstream = strstr(t->text, "tasks.") ? upstream_of(c) : NULL,
		.has_task = true,
		.has_interval = true,
		.has_item = is_mapped(c) && !c->before_items,
		.items = items_of(c->task),
		.param_defs = c->loader->dag->params,
		.nparam_defs = c->loader->env->was_good ? 0 : c->loader->dag->nparams,
		.truth = t->truth && !c->loader->env->was_good,
		.sql = t->sql };

	template_check(t->text, &scope, t->node, t->file, diags);
	if (t->truth)
		check_single(t, diags);
}

static void check_text(struct task_check *c, const struct node *n)
{
	if (node_text(n) && !template_is_literal(n->text))
		check_template(c, &(struct schema_template){ .node = n, .text = n->text },
			c->loader->diags);
}

static void check_run(struct task_check *c, const struct node *n)
{
	if (node_text(n) && n->text[strspn(n->text, " \t\r\n")]) {
		check_text(c, n);
	} else if (n->type == NODE_SEQ && n->n > 0) {
		for (size_t i = 0; i < n->n; i++) {
			check_text(c, n->items[i]);
			if (!node_text(n->items[i]))
				diag_node(c->loader->diags, DIAG_ERROR, n->items[i],
					"run: each word of a command is text, found %s",
					node_type_name(n->items[i]->type));
		}
	} else {
		diag_node(c->loader->diags, DIAG_ERROR, n,
			"run: expected a command, or a list of its words, found %s",
			node_text(n)           ? "empty text"
			: n->type == NODE_SEQ  ? "an empty list"
			: n->type == NODE_NULL ? "nothing"
					       : node_type_name(n->type));
		diag_hint(
			c->loader->diags, "for example: run: \"./%s.sh {{ ds }}\"", c->task->name);
	}
}

static void check_variable(struct task_check *c, const struct node *key, const struct node *value)
{
	static const struct field secret = { .type = FIELD_STRING, .flags = FIELD_SECRET };
	struct diags *diags = c->loader->diags;
	const struct schema_env env = { 0 };

	if (strchr(key->text, '='))
		diag_node(diags, DIAG_ERROR, key, "env: \"%s\" cannot be the name of a variable",
			key->text);
	if (strncmp(key->text, "WEIR_", 5) == 0) {
		diag_node(
			diags, DIAG_ERROR, key, "env: names that begin with WEIR_ are Weir's own");
		diag_hint(diags, "give the variable another name");
	}
	if (value->type == NODE_MAP)
		schema_check_value(value, &secret, &env, diags);
	else if (node_text(value))
		check_text(c, value);
	else
		diag_node(diags, DIAG_ERROR, value,
			"env: %s: expected text, {env: NAME} or {file: PATH}, found %s", key->text,
			node_type_name(value->type));
}

static bool is_part(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-';
}

/* Does it hold the word? */
static bool names_item(const char *text)
{
	for (const char *at = text; (at = strstr(at, "item")); at++)
		if ((at == text || (!is_part(at[-1]) && at[-1] != '.')) && !is_part(at[4]))
			return true;
	return false;
}

/* What is not the same for all tasks is checked for each. */
static bool names_tasks(const struct node *n)
{
	return node_text(n) && (strstr(n->text, "tasks.") || names_item(n->text));
}

/* What the defaults say is checked once, but for what each task may see of others. */
void dagfile_check_defaults(struct dag_loader *l)
{
	struct task_check c = { .loader = l };

	buf_init(&c.hashed, 1);
	for (size_t k = 0; k < l->nscopes; k++) {
		const struct node *own = l->scopes[k].own;
		const struct node *env = node_get(own, "env"), *cwd = node_get(own, "cwd");
		if (!names_tasks(cwd))
			check_text(&c, cwd);
		for (size_t i = 0; env && env->type == NODE_MAP && i < env->n; i++)
			if (!names_tasks(env->items[i]))
				check_variable(&c, env->keys[i], env->items[i]);
	}
	buf_release(&c.hashed);
}

/* `if:` is true, false or one expression. */
static void check_only_if(struct task_check *c)
{
	const struct node *n = c->task->only_if;
	struct diags *diags = c->loader->diags;

	if (n && n->type == NODE_BOOL && !n->b)
		diag_node(
			diags, DIAG_WARNING, n, "if: task \"%s\" is always skipped", c->task->name);
	if (!n || n->type == NODE_BOOL || !node_text(n))
		return;
	if (template_is_literal(n->text)) {
		diag_node(diags, DIAG_ERROR, n,
			"if: expected a template, true or false, found \"%s\"", n->text);
		diag_hint(diags, "for example: if: \"{{ params.full }}\"");
		return;
	}
	check_template(
		c, &(struct schema_template){ .node = n, .text = n->text, .truth = true }, diags);
}

static void check_foreach(struct task_check *c)
{
	const struct schema_env env = { .check_template = check_template, .arg = c };

	if (!c->task->foreach)
		return;
	c->before_items = true;
	foreach_check(c->task->foreach, &env, c->loader->diags);
	c->before_items = false;
}

static void check_setting(struct task_check *c, const struct node *task_node)
{
	const struct node *cwd = dagfile_setting(c->loader, c->task, "cwd");
	const struct node *own = node_get(task_node, "env"), *all = c->task->env;

	check_foreach(c);
	check_only_if(c);
	if (node_get(task_node, "cwd") || names_tasks(cwd))
		check_text(c, cwd);
	for (size_t i = 0; all && all->type == NODE_MAP && i < all->n; i++)
		if (node_get(own, all->keys[i]->text) || names_tasks(all->items[i]))
			check_variable(c, all->keys[i], all->items[i]);
}

static void check_with(struct task_check *c, const struct node *task_node)
{
	struct dag_loader *l = c->loader;
	const struct task *t = c->task;
	const struct field *params = t->op ? l->env->operators->params(t->kind, t->op) : NULL;
	struct node none = {
		.type = NODE_MAP, .line = t->line, .col = t->col, .source = task_node->source
	};
	const struct node *with = t->with ? t->with : &none;
	char what[160];

	if (!params)
		return;
	snprintf(what, sizeof what, "%s: %s", task_kind_name(t->kind), t->op);
	if (with->type != NODE_MAP) {
		diag_node(l->diags, DIAG_ERROR, with, "with: expected a mapping, found %s",
			node_type_name(with->type));
		return;
	}
	struct schema_env env = { .dir = l->env->check_files ? l->dag->dir : NULL,
		.connections = NULL,
		.check_template = check_template,
		.arg = c };
	if (l->env->config) {
		env.connections = config_connections(l->env->config);
		env.config_path = config_path(l->env->config);
		env.config_dir = l->dag->dir;
	}
	if (schema_check(with, params, what, &env, l->diags) == 0 && l->env->operators->check)
		l->env->operators->check(t, with, env.dir, l->diags);
}

/* The text of a definition, so that equal ones have equal text. */
static void describe(struct buf *out, const struct node *n)
{
	if (!n) {
		buf_addstr(out, "-");
	} else if (n->type == NODE_SEQ || n->type == NODE_MAP) {
		buf_addf(out, n->type == NODE_SEQ ? "[%zu:" : "{%zu:", n->n);
		for (size_t i = 0; i < n->n; i++) {
			if (n->type == NODE_MAP)
				describe(out, n->keys[i]);
			describe(out, n->items[i]);
		}
	} else {
		buf_addf(out, "%d%zu:%s", n->type, n->len, n->text);
	}
}

void dagfile_keep_file(struct dag_loader *l, const char *path)
{
	struct arena *arena = &l->dag->arena;

	if (l->nfiles + 1 >= l->files_cap) {
		size_t cap = l->files_cap ? l->files_cap * 2 : 8;
		const char **grown = arena_array(arena, cap, sizeof *grown);
		if (!grown)
			return;
		if (l->nfiles)
			memcpy(grown, l->files, l->nfiles * sizeof *grown);
		l->files = grown;
		l->files_cap = cap;
	}
	l->files[l->nfiles++] = arena_strdup(arena, path);
	l->dag->files = l->files;
}

/* Files that parameters name are part of the definition: other SQL is other work. */
static void hash_files(struct task_check *c, const struct field *fields, const struct node *map)
{
	for (const struct field *f = fields; f && f->key; f++) {
		const struct node *value = node_get(map, f->key);
		if (value && f->type == FIELD_OBJECT)
			hash_files(c, f->fields, value);
		bool file = f->type == FIELD_FILE || f->type == FIELD_SQL_FILE;
		if (!file || !node_text(value) || !template_is_literal(value->text))
			continue;
		char *path = io_path_join(c->loader->dag->dir, value->text);
		buf_addf(&c->hashed, "\nfile %s\n", value->text);
		if (path && io_read_file(path, &c->hashed, NULL) == 0)
			dagfile_keep_file(c->loader, path);
		free(path);
	}
}

static void hash_limits(struct buf *out, const struct task_limits *l)
{
	if (l->memory_bytes || l->cpu_permille || l->pids || l->files)
		buf_addf(out, " limits %lld %lld %lld %lld", (long long)l->memory_bytes,
			(long long)l->cpu_permille, (long long)l->pids, (long long)l->files);
}

/* Other limits make no other work. */
static void hash_foreach(struct buf *out, const struct foreach *f)
{
	const struct node *const parts[] = { f ? f->items : NULL, f ? f->from : NULL,
		f ? f->to : NULL, f ? f->until : NULL, f ? f->step : NULL, f ? f->glob : NULL };

	for (size_t i = 0; f && i < sizeof parts / sizeof *parts; i++)
		describe(out, parts[i]);
}

static void hash_task(struct task_check *c)
{
	struct task *t = (struct task *)c->task;

	buf_addf(&c->hashed, "\n%s %s %s %s ",
		t->kind < TASK_KIND_MAX ? task_kind_name(t->kind) : "", t->op ? t->op : "",
		t->shell ? t->shell : "", t->cwd ? t->cwd : "");
	describe(&c->hashed, t->run);
	describe(&c->hashed, t->with);
	describe(&c->hashed, t->env);
	hash_limits(&c->hashed, &t->limits);
	hash_foreach(&c->hashed, t->foreach);
	if (digest_of(c->hashed.data, c->hashed.len, t->hash) < 0)
		t->hash[0] = '\0';
}

void dagfile_check_task(struct dag_loader *l, struct task *t, const struct node *n)
{
	struct task_check c = { .loader = l, .task = t };

	buf_init(&c.hashed, HASHED_FILE_MAX);
	if (n->type == NODE_MAP && t->kind != TASK_KIND_MAX) {
		if (t->run)
			check_run(&c, t->run);
		else
			check_with(&c, n);
		if (t->run && t->with)
			diag_node(l->diags, DIAG_ERROR, node_key(n, "with"),
				"with: a command has no parameters; write them in `run:`");
		check_setting(&c, n);
		if (t->op && !t->run && t->with && l->env->check_files)
			hash_files(&c, l->env->operators->params(t->kind, t->op), t->with);
		hash_task(&c);
		dagfile_load_breakers(l, t);
	}
	buf_release(&c.hashed);
	free(c.upstream);
}
