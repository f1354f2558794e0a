#include "cli/rules.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/node.h"
#include "cli/term.h"
#include "core/condition.h"
#include "core/model.h"

static void add(struct buf *out, const char *what, const char *text)
{
	buf_addf(out, "%s%s", out->len ? ", " : "", what);
	text_add(out, text, -1);
}

/* "for each of 3 items" */
static void add_foreach(struct buf *out, const struct foreach *f)
{
	char count[40];

	if (f->kind == FOREACH_ITEMS && f->items->type == NODE_SEQ) {
		snprintf(count, sizeof count, "%zu item%s", f->items->n,
			f->items->n == 1 ? "" : "s");
		add(out, "for each of ", count);
	} else if (f->kind == FOREACH_DATES) {
		add(out, "for each of ", f->from->text);
		buf_addstr(out, f->to ? " to " : " until ");
		text_add(out, f->to ? f->to->text : f->until->text, -1);
	} else {
		add(out, "for each of ", f->glob ? f->glob->text : f->items->text);
	}
}

/* "needs orders.load" */
static void add_cross(struct buf *out, const struct cross_need *need)
{
	add(out, "needs ", need->task ? "" : "the run of ");
	text_add(out, need->dag, -1);
	if (need->task) {
		buf_addc(out, '.');
		text_add(out, need->task, -1);
	}
	if (need->covers)
		buf_addstr(out, " of all that cover it");
}

void rules_add(struct buf *out, const struct dag *dag, const struct task *t)
{
	struct buf all;

	buf_init(&all, 1 << 16);
	if (t->teardown)
		add(&all, "teardown", t->nsetups ? " of " : "");
	for (int i = 0; t->teardown && i < t->nsetups; i++)
		buf_addf(&all, "%s%s", i ? " and " : "", dag->tasks[t->setups[i]].name);
	if (t->when)
		add(&all, "when ", t->when->text);
	else if (t->trigger != TRIGGER_ALL_SUCCESS && !t->teardown)
		add(&all, "", trigger_name(t->trigger));
	for (int i = 0; i < t->ncross; i++)
		add_cross(&all, &t->cross[i]);
	if (t->depends_on_past)
		add(&all, "",
			t->wait_for_downstream ? "after the run before, and what needs it there"
					       : "after the run before");
	if (t->foreach)
		add_foreach(&all, t->foreach);
	if (t->only_if)
		add(&all, "if ", t->only_if->text);
	if (t->forgiven != t->teardown)
		add(&all, t->forgiven ? "may fail" : "fails the run", "");
	buf_add(out, all.data, all.len);
	buf_release(&all);
}

static json_t *cross_json(const struct task *t)
{
	json_t *list = json_array();

	for (int i = 0; i < t->ncross; i++)
		json_array_append_new(list, json_pack("{s:s, s:s?, s:s}", "dag", t->cross[i].dag,
						    "task", t->cross[i].task, "interval",
						    t->cross[i].covers ? "covers" : "same"));
	return list;
}

void rules_set_json(json_t *object, const struct dag *dag, const struct task *t)
{
	json_t *setups = json_array();

	if (t->when)
		json_object_set_new(object, "when", json_string(t->when->text));
	else
		json_object_set_new(object, "trigger", json_string(trigger_name(t->trigger)));
	if (t->ncross)
		json_object_set_new(object, "needs_of_other_dags", cross_json(t));
	if (t->depends_on_past)
		json_object_set_new(object, "depends_on_past", json_true());
	if (t->wait_for_downstream)
		json_object_set_new(object, "wait_for_downstream", json_true());
	if (t->foreach) {
		struct buf text;
		buf_init(&text, 1 << 16);
		add_foreach(&text, t->foreach);
		json_object_set_new(object, "foreach", json_string(text.data));
		buf_release(&text);
	}
	if (t->only_if)
		json_object_set_new(object, "if", json_string(t->only_if->text));
	for (int i = 0; i < t->nsetups; i++)
		json_array_append_new(setups, json_string(dag->tasks[t->setups[i]].name));
	if (t->teardown)
		json_object_set(object, "teardown", t->nsetups ? setups : json_true());
	if (t->forgiven || t->teardown)
		json_object_set_new(object, "fails_run", json_boolean(!t->forgiven));
	json_decref(setups);
}
