/* Datasets: what tasks produce, and what the schedule waits for. */
#include <string.h>

#include "conf/dagfile_impl.h"
#include "core/dataset.h"
#include "core/sla.h"

bool dagfile_check_dataset(const struct dag_loader *l, const char *key, const struct node *name)
{
	const char *text = node_text(name);

	if (!text || dataset_is_name(text))
		return text != NULL;
	diag_node(l->diags, DIAG_ERROR, name, "%s: \"%s\" cannot be a dataset's name", key, text);
	diag_hint(l->diags, "letters, digits, _, . and -, at most %d; for example: sales.daily",
		DATASET_NAME_MAX);
	return false;
}

static bool is_listed(const struct dataset_ref *refs, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(refs[i].name, name) == 0)
			return true;
	return false;
}

/* The names of a list that may be written as its only item, each once. */
static const struct dataset_ref *load_refs(
	const struct dag_loader *l, const char *key, const struct node *n, size_t *ret_n)
{
	size_t count = !n || n->type == NODE_MAP ? 0 : n->type == NODE_SEQ ? n->n : 1;
	struct dataset_ref *refs = arena_array(&l->dag->arena, count + 1, sizeof *refs);

	*ret_n = 0;
	for (size_t i = 0; refs && i < count; i++) {
		const struct node *item = n->type == NODE_SEQ ? n->items[i] : n;
		if (!dagfile_check_dataset(l, key, item))
			continue;
		if (is_listed(refs, *ret_n, item->text))
			diag_node(l->diags, DIAG_ERROR, item, "%s: \"%s\" is named twice", key,
				item->text);
		else
			refs[(*ret_n)++] = (struct dataset_ref){ item->text, item };
	}
	return refs;
}

void dagfile_load_produces(struct dag_loader *l, struct task *t, const struct node *n)
{
	size_t count;

	t->produces = load_refs(l, "produces", n, &count);
	t->nproduces = t->produces ? (int)count : 0;
}

/* What only a schedule with times has. */
static void check_timeless(const struct dag_loader *l, const struct node *schedule)
{
	static const char *const timely[] = { "start", "end", "interval", "dst", "catchup",
		"catchup_window", "overlap", "calendar" };

	for (size_t i = 0; i < sizeof timely / sizeof *timely; i++) {
		const struct node *key = node_key(schedule, timely[i]);
		if (key)
			diag_node(l->diags, DIAG_ERROR, key,
				"schedule: %s does not go with datasets, which know no times",
				timely[i]);
	}
}

void dagfile_load_datasets(struct dag_loader *l, const struct node *schedule)
{
	const struct node *n = node_get(schedule, "datasets");
	const char *when = node_text(node_get(schedule, "when"));

	if (!n) {
		if (when)
			diag_node(l->diags, DIAG_ERROR, node_key(schedule, "when"),
				"schedule: when belongs to datasets");
		return;
	}
	struct dataset_rule *rule = arena_alloc(&l->dag->arena, sizeof *rule);
	if (!rule)
		return;
	check_timeless(l, schedule);
	*rule = (struct dataset_rule){ .when = DATASET_ALL };
	rule->refs = load_refs(l, "datasets", n, &rule->n);
	for (int i = 0; when && i < DATASET_WHEN_MAX; i++)
		if (strcmp(when, dataset_when_names[i]) == 0)
			rule->when = (enum dataset_when)i;
	if (rule->n > 0)
		l->dag->datasets = rule;
}

/* ---- the whole DAG -------------------------------------------------------------------- */

static void check_itself(const struct dag_loader *l, const struct task *t)
{
	const struct dataset_rule *rule = l->dag->datasets;

	for (size_t i = 0; rule && i < rule->n; i++)
		if (is_listed(t->produces, (size_t)t->nproduces, rule->refs[i].name)) {
			diag_node(l->diags, DIAG_ERROR, rule->refs[i].at,
				"schedule: the DAG would start itself again and again: its task "
				"\"%s\" produces \"%s\"",
				t->name, rule->refs[i].name);
		}
}

static void check_fresh(const struct dag_loader *l, const struct sla *s, const struct node *owner)
{
	if (!s || !sla_has(s, SLA_FRESH_WITHIN))
		return;
	diag_node(l->diags, DIAG_ERROR, node_key(node_get(owner, "sla"), "fresh_within"),
		"fresh_within: of which dataset? Nothing is produced here%s",
		owner == l->root ? ", and the schedule waits for none" : "");
	diag_hint(l->diags, "name it: produces: sales.daily");
}

void dagfile_check_datasets(struct dag_loader *l)
{
	bool any = l->dag->datasets != NULL;

	for (int i = 0; i < l->dag->ntasks; i++) {
		const struct task *t = &l->dag->tasks[i];
		any = any || t->nproduces;
		check_itself(l, t);
		if (!t->nproduces)
			check_fresh(l, t->sla, l->sources[i].node);
	}
	if (!any)
		check_fresh(l, l->dag->sla, l->root);
}
