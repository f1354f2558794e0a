/* What lets a task run: `trigger:`, `when:`, `if:`, `teardown:`, and choices. */
#include <stdlib.h>
#include <string.h>

#include "base/near.h"
#include "conf/dagfile_impl.h"
#include "core/condition.h"

#define BIT(state) (1u << (state))

/* ---- loading -------------------------------------------------------------------------- */

static bool is_need(const struct task *t, int task)
{
	for (int j = 0; j < t->nneeds; j++)
		if (t->needs[j] == task)
			return true;
	return false;
}

static void say_unknown(struct dag_loader *l, const struct task *t, const struct node *n,
	const struct condition_term *c, bool group)
{
	const char *near = group ? NULL : dagfile_near_name(l, t->name, c->name);

	diag_inside(l->diags, n, c->offset, c->length, "when: %s \"%s\"%s%s%s",
		group ? "a group has no state of its own:" : "there is no task", c->name,
		near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	if (group)
		diag_hint(l->diags, "name the tasks of it that matter");
}

static void say_no_need(struct dag_loader *l, const struct task *t, const struct node *n,
	const struct condition_term *c)
{
	const char **names = calloc((size_t)t->nneeds + 1, sizeof *names);

	for (int j = 0; names && j < t->nneeds; j++)
		names[j] = l->task_names[t->needs[j]];
	const char *near = names ? near_find(c->name, names, (size_t)t->nneeds) : NULL;
	diag_inside(l->diags, n, c->offset, c->length,
		"when: \"%s\" is not among the needs of task \"%s\"%s%s%s", c->name, t->name,
		near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	if (!near)
		diag_hint(l->diags, "add it to needs, or leave needs out: those that the condition "
				    "names are needed then");
	free(names);
}

/* Find the tasks of the terms, as needs are found. */
static int bind(struct dag_loader *l, const struct task *t, const struct node *n)
{
	struct condition *c = (struct condition *)t->when;
	int rc = 0;

	for (int i = 0; i < c->nterms; i++) {
		struct condition_term *term = &c->terms[i];
		int found = dagfile_find_name(l, t->name, term->name);
		if (found >= 0 && found != DAGFILE_UNKNOWN) {
			term->task = found;
			continue;
		}
		say_unknown(l, t, n, term, found < 0);
		rc = -1;
	}
	return rc;
}

static void load_when(struct dag_loader *l, struct task *t, const struct node *n)
{
	struct condition_fault fault;

	if (!node_text(n))
		return; /* the table's check has said so */
	t->when = condition_parse(&l->dag->arena, n->text, &fault);
	if (!t->when)
		diag_inside(l->diags, n, fault.offset, fault.width, "when: %s", fault.message);
	else if (bind(l, t, n) < 0)
		t->when = NULL;
}

static void load_teardown(struct dag_loader *l, struct task *t, const struct node *n)
{
	const struct node *teardown = node_get(n, "teardown"), *fails = node_get(n, "fails_run"),
			  *rule = node_key(n, "trigger");

	t->teardown = teardown && (teardown->type != NODE_BOOL || teardown->b);
	t->forgiven = fails ? !fails->b : t->teardown;
	if (!t->teardown)
		return;
	t->trigger = TRIGGER_ALL_DONE;
	if (!rule)
		rule = node_key(n, "when");
	if (rule)
		diag_node(l->diags, DIAG_ERROR, rule,
			"%s: a teardown runs when all it needs is done, whatever became of it",
			rule->text);
}

/* Control tasks that say which of the tasks behind them go on. */
static bool chooses(const struct task *t)
{
	return t->kind == TASK_CONTROL && t->op &&
	       (strcmp(t->op, "branch") == 0 || strcmp(t->op, "short_circuit") == 0);
}

/* Control tasks that are asked until what they wait for is there. */
static bool waits(const struct task *t)
{
	return t->kind == TASK_CONTROL && t->op &&
	       (strcmp(t->op, "wait") == 0 || strcmp(t->op, "approval") == 0 ||
		       strcmp(t->op, "dag") == 0);
}

/* What bounds attempts, which a task that waits has only to tell what came. */
static void check_waiting(struct dag_loader *l, const struct task *t, const struct node *n)
{
	static const char *const keys[] = { "timeout", "pool", "slots" };

	for (size_t i = 0; t->waits && i < sizeof keys / sizeof *keys; i++) {
		const struct node *at = node_key(n, keys[i]);
		if (!at)
			continue;
		diag_node(l->diags, DIAG_WARNING, at,
			"%s: means nothing to task \"%s\", which waits without a slot", keys[i],
			t->name);
		if (i == 0)
			diag_hint(l->diags, "for how long it waits: with: { timeout: %s }",
				node_text(node_get(n, "timeout")) ? node_get(n, "timeout")->text
								  : "6h");
	}
}

void dagfile_load_trigger(struct dag_loader *l, struct task *t, const struct node *n)
{
	const struct node *rule = node_get(n, "trigger"), *when = node_get(n, "when");
	int found = node_text(rule) ? trigger_by_name(rule->text) : -1;

	if (found >= 0)
		t->trigger = (enum trigger_rule)found;
	if (rule && when) {
		diag_node(l->diags, DIAG_ERROR, node_key(n, "when"),
			"task \"%s\" has both `trigger` and `when`", t->name);
		diag_hint(l->diags, "`when` says all that a rule says: keep one of them");
	} else if (when) {
		load_when(l, t, when);
	}
	t->only_if = node_get(n, "if");
	t->chooses = chooses(t);
	t->waits = waits(t);
	check_waiting(l, t, n);
	load_teardown(l, t, n);
}

/* ---- behind the needs ----------------------------------------------------------------- */

static void settle_setup(
	struct dag_loader *l, const struct task *t, const struct node *item, int *ret_setup)
{
	int found = item->type == NODE_STRING ? dagfile_find_name(l, t->name, item->text)
					      : DAGFILE_UNKNOWN;

	*ret_setup = -1;
	if (item->type != NODE_STRING) {
		diag_node(l->diags, DIAG_ERROR, item,
			"teardown: expected the name of a task, or true, found %s",
			node_text(item) ? item->text : node_type_name(item->type));
	} else if (found < 0 || found == DAGFILE_UNKNOWN || !is_need(t, found)) {
		const char *near = dagfile_near_name(l, t->name, item->text);
		diag_node(l->diags, DIAG_ERROR, item,
			"teardown: \"%s\" is not among the needs of task \"%s\"", item->text,
			t->name);
		if (found == DAGFILE_UNKNOWN && near)
			diag_hint(l->diags, "did you mean \"%s\"?", near);
	} else {
		*ret_setup = found;
	}
}

/* `teardown: NAME` or a list of names, which must be needs. */
static void settle_setups(struct dag_loader *l, struct task *t, const struct node *n)
{
	size_t count = n->type == NODE_SEQ ? n->n : 1;
	int *setups = arena_array(&l->dag->arena, count + 1, sizeof *setups);

	for (size_t i = 0; setups && i < count; i++) {
		settle_setup(l, t, n->type == NODE_SEQ ? n->items[i] : n, &setups[t->nsetups]);
		t->nsetups += setups[t->nsetups] >= 0;
	}
	t->setups = setups;
}

void dagfile_settle_trigger(struct dag_loader *l, struct task *t, const struct node *n)
{
	const struct node *teardown = node_get(n, "teardown");

	for (int i = 0; t->when && i < t->when->nterms; i++)
		if (!is_need(t, t->when->terms[i].task))
			say_no_need(l, t, node_get(n, "when"), &t->when->terms[i]);
	if (!t->teardown)
		return;
	if (t->nneeds == 0)
		diag_node(l->diags, DIAG_ERROR, node_key(n, "teardown"),
			"teardown: task \"%s\" needs nothing, so there is nothing to take down",
			t->name);
	else if (teardown->type != NODE_BOOL)
		settle_setups(l, t, teardown);
}

/* ---- what can never be ---------------------------------------------------------------- */

/* What is behind a choice, directly or not, may be left out. */
enum { BEHIND_CHOICE = 1 << TASK_STATE_MAX };

static bool says_skip(const struct task *t, const char *key)
{
	const char *text = node_text(node_get(t->with, key));

	return text && strcmp(text, "skip") == 0;
}

/* May it be skipped, whatever it needs? A command may ask for it, by its exit status; and there may
 * be nothing to map over. */
static bool skips_itself(const struct task *t)
{
	return t->kind == TASK_RUN || t->foreach || t->when || t->only_if ||
	       t->on_open == ON_OPEN_SKIP ||
	       (t->waits && (says_skip(t, "on_timeout") || says_skip(t, "on_reject")));
}

/* The final states that each task may come to, as bits. */
static unsigned may_of(const struct dag *dag, const unsigned *may, const struct task *t)
{
	unsigned needs = 0, own = BIT(TASK_SUCCESS) | BIT(TASK_FAILED) | BIT(TASK_CANCELLED);

	for (int j = 0; j < t->nneeds; j++) {
		needs |= may[t->needs[j]];
		if (dag->tasks[t->needs[j]].chooses || (may[t->needs[j]] & BEHIND_CHOICE))
			own |= BEHIND_CHOICE;
	}
	if (skips_itself(t) || (own & BEHIND_CHOICE))
		own |= BIT(TASK_SKIPPED);
	/* What other DAGs do may be anything. */
	if (t->ncross)
		needs = ~0u;
	bool judged = (t->nneeds || t->ncross) && !t->when;
	return own | (judged ? trigger_may(t->trigger, needs) : 0);
}

static unsigned may_term(void *arg, int task)
{
	return ((const unsigned *)arg)[task];
}

static void check_rule(
	struct dag_loader *l, const struct task *t, const struct node *n, const unsigned *may)
{
	const struct node *rule = node_get(n, "trigger");
	unsigned each = ~0u;

	if (!rule)
		return;
	if (t->nneeds == 0 && t->ncross == 0)
		diag_node(l->diags, DIAG_WARNING, rule,
			"trigger: task \"%s\" needs nothing, so it runs whatever its rule",
			t->name);
	for (int j = 0; j < t->nneeds; j++) {
		each &= may[t->needs[j]];
		if (trigger_can_run(t->trigger, each))
			continue;
		diag_node(l->diags, DIAG_ERROR, rule,
			"trigger: %s can never be met: task \"%s\" is never skipped", rule->text,
			l->task_names[t->needs[j]]);
		diag_hint(l->diags, "skipped are: a command by its exit status 99, a wait, an "
				    "approval or a breaker that says so, and what a rule or a "
				    "condition skips");
		return;
	}
}

static void check_when(
	struct dag_loader *l, const struct task *t, const struct node *n, unsigned *may)
{
	if (condition_possible(t->when, may_term, may) != TRUTH_NO)
		return;
	diag_node(l->diags, DIAG_ERROR, node_get(n, "when"),
		"when: this can never be true, whatever becomes of the tasks it names");
	for (int i = 0; i < t->when->nterms; i++) {
		const struct condition_term *term = &t->when->terms[i];
		if (may[term->task] & term->states)
			continue;
		diag_hint(l->diags, "task \"%s\" never comes to this state: %s", term->name,
			term->states == BIT(TASK_SKIPPED)
				? "only commands, by exit status 99, rules, conditions, and waits "
				  "that say so skip"
				: "it needs nothing that could fail");
		break;
	}
}

/* Who is chosen by name must need the task that chooses. */
static void check_choice(struct dag_loader *l, const struct task *t, const struct node *n)
{
	const char **names = calloc((size_t)t->ndependents + 1, sizeof *names);
	int chosen = dagfile_find_name(l, t->name, n->text);
	bool found = false;

	for (int k = 0; names && k < t->ndependents; k++) {
		names[k] = l->task_names[t->dependents[k]];
		found = found || t->dependents[k] == chosen;
	}
	if (!found && names) {
		const char *near = near_find(n->text, names, (size_t)t->ndependents);
		diag_node(l->diags, DIAG_ERROR, n,
			"\"%s\" cannot be chosen: no task of this name needs \"%s\"%s%s%s", n->text,
			t->name, near ? "; did you mean \"" : "", near ? near : "",
			near ? "\"?" : "");
	}
	free(names);
}

static void check_names(struct dag_loader *l, const struct task *t, const struct node *n)
{
	size_t count = !n || n->type == NODE_MAP ? 0 : n->type == NODE_SEQ ? n->n : 1;

	for (size_t i = 0; i < count; i++) {
		const struct node *item = n->type == NODE_SEQ ? n->items[i] : n;
		if (node_text(item) && !strstr(item->text, "{{"))
			check_choice(l, t, item);
	}
}

static void check_choices(struct dag_loader *l, const struct task *t, const struct node *with)
{
	const struct node *cases = node_get(with, "cases");
	size_t count = !cases ? 0 : cases->type == NODE_SEQ ? cases->n : 1;

	check_names(l, t, node_get(with, "choose"));
	check_names(l, t, node_get(with, "else"));
	for (size_t i = 0; i < count; i++)
		check_names(
			l, t, node_get(cases->type == NODE_SEQ ? cases->items[i] : cases, "then"));
}

/* Does the list of names, or the one, hold the task? A template may be any. */
static bool may_name(struct dag_loader *l, const struct task *t, const struct node *n, int task)
{
	size_t count = !n || n->type == NODE_MAP ? 0 : n->type == NODE_SEQ ? n->n : 1;

	for (size_t i = 0; i < count; i++) {
		const struct node *item = n->type == NODE_SEQ ? n->items[i] : n;
		if (!node_text(item) || strstr(item->text, "{{") ||
			dagfile_find_name(l, t->name, item->text) == task)
			return true;
	}
	return false;
}

static bool may_choose(
	struct dag_loader *l, const struct task *t, const struct node *with, int task)
{
	const struct node *cases = node_get(with, "cases");
	size_t count = !cases ? 0 : cases->type == NODE_SEQ ? cases->n : 1;
	bool found = may_name(l, t, node_get(with, "choose"), task) ||
		     may_name(l, t, node_get(with, "else"), task);

	for (size_t i = 0; i < count && !found; i++)
		found = may_name(l, t,
			node_get(cases->type == NODE_SEQ ? cases->items[i] : cases, "then"), task);
	return found;
}

/* What a branch never chooses is always left out: mostly a join that was meant to follow the ways.
 */
static void check_unchosen(struct dag_loader *l, const struct task *t, const struct node *with)
{
	if (!node_get(with, "choose") && !node_get(with, "cases"))
		return;
	for (int k = 0; k < t->ndependents; k++) {
		const struct task *behind = &l->dag->tasks[t->dependents[k]];
		const struct node *n = l->sources[behind->index].node;
		const struct node *needs = node_key(n, "needs");
		if (behind->teardown || may_choose(l, t, with, behind->index))
			continue;
		diag_node(l->diags, DIAG_WARNING, needs ? needs : l->sources[behind->index].key,
			"task \"%s\" is always skipped: it needs the branch \"%s\", which never "
			"chooses it",
			behind->name, t->name);
		diag_hint(l->diags, "a task where the ways meet needs these, not the branch");
	}
}

void dagfile_check_triggers(struct dag_loader *l)
{
	const struct dag *dag = l->dag;
	unsigned *may = calloc((size_t)dag->ntasks + 1, sizeof *may);

	/* Without an order there is a circle, which was said. */
	for (int i = 0; may && dag->order && i < dag->ntasks; i++) {
		const struct task *t = &dag->tasks[dag->order[i]];
		const struct node *n = l->sources[t->index].node;
		may[t->index] = may_of(dag, may, t);
		if (t->chooses)
			check_choices(l, t, node_get(n, "with"));
		if (t->chooses && strcmp(t->op, "branch") == 0)
			check_unchosen(l, t, node_get(n, "with"));
		if (t->when)
			check_when(l, t, n, may);
		else
			check_rule(l, t, n, may);
	}
	free(may);
}
