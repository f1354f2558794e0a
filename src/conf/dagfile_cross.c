/* Needs on other DAGs, as they are written: OTHER.TASK, dag:OTHER, dag:OTHER.TASK, or a mapping. */
#include <string.h>

#include "conf/dagfile_impl.h"
#include "conf/schema_value.h"

static const char *const interval_names[] = { "same", "covers", NULL };

const struct field dagfile_need_fields[] = {
	{ .key = "dag",
		.type = FIELD_NAME,
		.flags = FIELD_REQUIRED,
		.help = "Another DAG.",
		.example = "orders" },
	{ .key = "task", .type = FIELD_STRING, .help = "A task of it. Default: its whole run." },
	{ .key = "interval",
		.type = FIELD_ENUM,
		.values = interval_names,
		.def = "same",
		.help = "same: of its run for the same data interval. covers: of all its runs "
			"whose intervals lie in this one, which must cover it without a gap." },
	{ 0 },
};

#define PREFIX "dag:"

/* The text before the first dot. */
static const char *keep_first(struct dag_loader *l, const char *text, size_t len)
{
	return arena_printf(&l->dag->arena, "%.*s", (int)len, text);
}

/* "orders.load", where nothing of this file is called "orders". */
static bool is_cross(const struct dag_loader *l, const char *from, const char *text)
{
	char first[160];
	size_t len = strcspn(text, ".");

	if (text[len] != '.' || !text[len + 1] || !schema_value_is_name(text, len))
		return false;
	snprintf(first, sizeof first, "%.*s", (int)len, text);
	return dagfile_find_name(l, from, first) == DAGFILE_UNKNOWN;
}

static int read_text(
	struct dag_loader *l, const char *from, const struct node *item, struct cross_need *ret)
{
	bool prefix = strncmp(item->text, PREFIX, strlen(PREFIX)) == 0;
	const char *text = item->text + (prefix ? strlen(PREFIX) : 0);
	size_t len = strcspn(text, ".");

	if (!prefix && !is_cross(l, from, text))
		return 0;
	if (!schema_value_is_name(text, len) || (text[len] == '.' && !text[len + 1])) {
		diag_node(l->diags, DIAG_ERROR, item, "needs: \"%s\" names no DAG", item->text);
		diag_hint(l->diags, "for example: dag:orders, or dag:orders.load");
		return -1;
	}
	ret->dag = keep_first(l, text, len);
	ret->task = text[len] == '.' ? text + len + 1 : NULL;
	return 1;
}

/* What the table says is wrong is told. */
static int read_map(const struct node *item, struct cross_need *ret)
{
	const char *interval = node_text(node_get(item, "interval"));

	ret->dag = node_text(node_get(item, "dag"));
	ret->task = node_text(node_get(item, "task"));
	ret->covers = interval && strcmp(interval, "covers") == 0;
	return ret->dag ? 1 : -1;
}

int dagfile_cross_need(
	struct dag_loader *l, const char *from, const struct node *item, struct cross_need *ret)
{
	int r = -1;

	*ret = (struct cross_need){ .at = item };
	if (item->type == NODE_MAP)
		r = read_map(item, ret);
	else if (node_text(item))
		r = read_text(l, from, item, ret);
	if (r <= 0 || !ret->dag || !l->dag->name || strcmp(ret->dag, l->dag->name) != 0)
		return ret->dag ? r : r > 0 ? -1 : r;
	diag_node(l->diags, DIAG_ERROR, item, "needs: \"%s\" is this DAG itself", ret->dag);
	if (ret->task)
		diag_hint(l->diags, "a task of it has only its name here: %s", ret->task);
	return -1;
}

void dagfile_check_cross(struct dag_loader *l, const struct task *t)
{
	const struct node *at = t->ncross ? t->cross[0].at : NULL;

	if (at && t->when) {
		diag_node(l->diags, DIAG_ERROR, at,
			"needs: `when` judges tasks of this DAG only, and task \"%s\" needs %s%s%s",
			t->name, t->cross[0].dag, t->cross[0].task ? "." : "",
			t->cross[0].task ? t->cross[0].task : "");
		diag_hint(l->diags, "a trigger rule judges both; or put a task between");
	}
	if (at && t->teardown)
		diag_node(l->diags, DIAG_ERROR, at,
			"needs: a teardown waits for no other DAG: it also runs on a cancel");
}

void dagfile_load_past(const struct dag_loader *l, struct task *t)
{
	const struct node *past = dagfile_setting(l, t, "depends_on_past"),
			  *behind = dagfile_setting(l, t, "wait_for_downstream");

	t->wait_for_downstream = behind && behind->type == NODE_BOOL && behind->b;
	t->depends_on_past = t->wait_for_downstream || (past && past->type == NODE_BOOL && past->b);
}
