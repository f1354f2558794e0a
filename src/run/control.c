#include "run/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "core/model.h"
#include "operators/operators.h"
#include "run/job.h"

int control_only_if(
	const struct job_context *c, const struct job_attempt *a, bool *ret, struct err *err)
{
	*ret = true;
	return a->task->only_if ? job_only_if(c, a, ret, err) : 0;
}

bool control_in_loop(const struct task *t)
{
	const struct operator* op = t->kind == TASK_CONTROL ? operator_find(t->kind, t->op) : NULL;

	return op && op->in_loop;
}

/* ---- what is skipped ------------------------------------------------------------------ */

struct way {
	const struct dag *dag;
	const struct task *task;
	bool *skip; /* by task */
};

static int say_unknown(const struct way *w, const char *name, struct err *err)
{
	struct buf list;

	buf_init(&list, 500);
	for (int i = 0; i < w->task->ndependents && list.len < 400; i++)
		buf_addf(&list, "%s%s", i ? ", " : "", w->dag->tasks[w->task->dependents[i]].name);
	err_set(err, ERR_INVALID,
		"\"%s\" cannot be chosen: no task of this name needs this one; there are: %s", name,
		list.len ? list.data : "none");
	buf_release(&list);
	return -1;
}

/* The task behind that is meant by a name: in the group of the one that chooses, or around it. */
static const struct task *find_behind(const struct way *w, const char *name)
{
	size_t len = strlen(w->task->name);
	char full[300];

	while (len > 0) {
		while (len > 0 && w->task->name[len - 1] != '.')
			len--;
		snprintf(full, sizeof full, "%.*s%s", (int)len, w->task->name, name);
		const struct task *t = dag_find(w->dag, full);
		for (int k = 0; t && k < w->task->ndependents; k++)
			if (w->task->dependents[k] == t->index)
				return t;
		len -= len > 0;
	}
	return NULL;
}

/* All that needs the task directly, but for what was chosen. */
static int skip_unchosen(struct way *w, const json_t *chosen, struct err *err)
{
	json_t *item;
	size_t i;

	for (int k = 0; k < w->task->ndependents; k++)
		w->skip[w->task->dependents[k]] = true;
	json_array_foreach(chosen, i, item)
	{
		const char *name = json_string_value(item);
		const struct task *t = name ? find_behind(w, name) : NULL;
		if (!t)
			return say_unknown(w, name ? name : "", err);
		w->skip[t->index] = false;
	}
	return 0;
}

static void skip_behind(struct way *w, bool all)
{
	for (int k = 0; k < w->task->ndependents; k++)
		w->skip[w->task->dependents[k]] = true;
	for (int k = 0; all && k < w->dag->ntasks; k++) {
		const struct task *t = &w->dag->tasks[w->dag->order[k]];
		for (int j = 0; j < t->nneeds && !w->skip[t->index]; j++)
			w->skip[t->index] = w->skip[t->needs[j]];
	}
}

/* A teardown runs whatever happened. */
static int list_skips(const struct way *w, struct control_end *ret, struct err *err)
{
	ret->skips = calloc((size_t)w->dag->ntasks + 1, sizeof *ret->skips);
	if (!ret->skips)
		return err_nomem(err);
	for (int i = 0; i < w->dag->ntasks; i++)
		if (w->skip[i] && !w->dag->tasks[i].teardown)
			ret->skips[ret->nskips++] = i;
	return 0;
}

/* The outputs say what was chosen, or whether it passed. */
static int find_skips(const struct job_context *c, const struct task *t, const json_t *with,
	struct control_end *ret, struct err *err)
{
	const json_t *chosen = json_object_get(ret->outputs, "chosen");
	struct way w = { c->dag, t, calloc((size_t)c->dag->ntasks + 1, sizeof *w.skip) };
	int rc = 0;

	if (!w.skip)
		return err_nomem(err);
	if (chosen)
		rc = skip_unchosen(&w, chosen, err);
	else if (json_is_false(json_object_get(ret->outputs, "passed")))
		skip_behind(&w, json_is_true(json_object_get(with, "ignore_rules")));
	if (rc == 0)
		rc = list_skips(&w, ret, err);
	free(w.skip);
	return rc;
}

/* ---- running -------------------------------------------------------------------------- */

int control_run(const struct job_context *c, const struct job_attempt *a, struct control_end *ret,
	struct err *err)
{
	const struct operator* op = operator_find(a->task->kind, a->task->op);
	json_t *with = NULL;
	bool yes;
	int rc = -1;

	*ret = (struct control_end){ .outputs = json_object() };
	err_clear(err);
	if (!ret->outputs)
		err_nomem(err);
	else if (control_only_if(c, a, &yes, err) == 0)
		with = job_with(c, a, err);
	struct operator_job job = { .with = with, .outputs = ret->outputs };
	if (with && op->run(&job, err) == 0)
		rc = find_skips(c, a->task, with, ret, err);
	json_decref(with);
	if (rc < 0)
		control_end_release(ret);
	return rc;
}

void control_end_release(struct control_end *e)
{
	if (!e)
		return;
	json_decref(e->outputs);
	free(e->skips);
	*e = (struct control_end){ 0 };
}
