/* Why: what a task needs of other runs; the causes go on in these. */
#include <string.h>

#include "core/model.h"
#include "run/why_walk.h"
#include "store/store.h"

static bool is_failed(enum task_state s)
{
	return s == TASK_FAILED || s == TASK_UPSTREAM_FAILED || s == TASK_CANCELLED;
}

size_t why_others(const struct telling *t, const struct why_other **ret)
{
	const struct why_source *s = &t->k->f->source;

	*ret = NULL;
	return t->def && s->others ? s->others(s->arg, t->def, ret) : 0;
}

/* Nothing of it is there yet. */
static void add_absent(struct why *w, const struct why_other *o, struct why_node *under)
{
	why_add(w, under,
		&(struct why_node){ .kind = WHY_RUN,
			.subject = o->name,
			.reason = "no_run",
			.text = why_printf(w, "there is no run of %s yet for %s", o->dag,
				o->span ? o->span : "this interval") });
	why_step(w, &(struct why_step){ "why", why_word(w, o->dag), "when its next run is" });
	if (o->span)
		why_step(w, &(struct why_step){ "trigger",
				    why_printf(w, "%s --date %.*s", why_word(w, o->dag),
					    (int)strcspn(o->span, " "), o->span),
				    "have it run now" });
}

static size_t find_row(const struct why_facts *f, const char *task)
{
	size_t row = 0;

	while (row < f->ntasks && strcmp(f->tasks[row].name, task) != 0)
		row++;
	return row;
}

/* A run that no more is known of: its state, and where to ask. */
static void add_short(struct why *w, const struct why_other *o, struct why_node *under)
{
	why_add(w, under,
		&(struct why_node){ .kind = WHY_RUN,
			.subject = o->run,
			.state = run_state_name(o->run_state),
			.text = "has what is waited for" });
	why_step(w, &(struct why_step){ "why", why_word(w, o->run), "what it waits for" });
}

static void add_run(
	struct why *w, const struct why_other *o, const struct why_facts *f, struct why_node *under)
{
	struct why_node *run = why_add_run(w, f, under);
	size_t row = o->task ? find_row(f, o->task) : 0;
	struct why_walk *k = run ? why_walk_new(w, f) : NULL;

	if (!k)
		return;
	why_run_causes(w, f, run);
	if (!o->task)
		why_frontier(k, run);
	else if (row < f->ntasks)
		why_task(k, run, row);
	else
		why_add(w, run,
			&(struct why_node){ .kind = WHY_TASK,
				.subject = o->task,
				.reason = "no_task",
				.text = "this run has no such task: its version of the DAG has "
					"none" });
	why_walk_free(k);
}

static void add_other(const struct telling *t, const struct why_other *o, struct why_node *under)
{
	const struct why_source *s = &t->k->f->source;
	struct why *w = t->k->w;
	const struct why_facts *f =
		o->run_id && s->other_run ? s->other_run(s->arg, o->run_id) : NULL;

	bool over = o->task ? task_state_is_final(o->task_state) : run_state_is_final(o->run_state);

	if (!o->run_id || (o->span && !is_failed(o->state)))
		add_absent(w, o, under);
	/* What is there of several is done: only the others are waited for. */
	if (o->span && over && !is_failed(o->state))
		return;
	if (f)
		add_run(w, o, f, under);
	else if (o->run_id)
		add_short(w, o, under);
}

/* Those that hold it up, or that decided. */
void why_follow_others(const struct telling *t, struct why_node *under, bool failed)
{
	const struct why_other *list;
	size_t n = why_others(t, &list), shown = 0, more = 0;

	for (size_t i = 0; i < n; i++) {
		bool told = failed ? is_failed(list[i].state) : list[i].state == TASK_NONE;
		if (told && shown < WHY_ROOTS_MAX)
			add_other(t, &list[i], under);
		shown += told && shown < WHY_ROOTS_MAX;
		more += told;
	}
	if (more > shown)
		why_add(t->k->w, under,
			&(struct why_node){ .kind = WHY_MORE,
				.subject = why_printf(t->k->w, "%zu more", more - shown),
				.text = "of other runs" });
}

const struct why_other *why_past(const struct telling *t)
{
	const struct why_other *list;
	size_t n = why_others(t, &list);

	return n > 0 && list[n - 1].past ? &list[n - 1] : NULL;
}
