#include "run/control_dag.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/node.h"
#include "core/model.h"
#include "run/control_wait.h"
#include "run/job.h"
#include "store/store.h"

bool control_dag_is(const struct task *t)
{
	return t->kind == TASK_CONTROL && t->op && strcmp(t->op, "dag") == 0;
}

bool control_dag_cancels(const struct task *t)
{
	const char *text = node_text(node_get(t->with, "on_cancel"));

	return control_dag_is(t) && !(text && strcmp(text, "leave") == 0);
}

/* Somebody is at work on it. */
static bool is_in_hands(const struct run_row *r)
{
	return !run_state_is_final(r->state) && r->owner.pid && !owner_is_dead(&r->owner);
}

static int take_end(const struct run_row *r, struct control_found *ret, struct err *err)
{
	json_t *outputs = ret->outputs;

	if (json_object_set_new(outputs, "run", json_string(r->name)) < 0 ||
		json_object_set_new(outputs, "state", json_string(run_state_name(r->state))) < 0)
		return err_nomem(err);
	ret->there = true;
	if (r->state == RUN_SUCCESS)
		return 0;
	ret->may_retry = true;
	return err_set(err, ERR_REFUSED, "run %s %s; weir why %s tells why", r->name,
		r->state == RUN_CANCELLED ? "was cancelled" : "has failed", r->name);
}

static int make(const struct control_look *l, const json_t *with, const char *dag, struct err *err)
{
	const struct job_context *c = l->job;
	char *by = NULL;
	int rc;

	if (!l->maker || !l->maker->make)
		return err_set(err, ERR_REFUSED, "nobody here can run another DAG");
	if (asprintf(&by, "%s %s", c->run, l->attempt->task->name) < 0)
		return err_nomem(err);
	const struct child_run child = { .dag = dag,
		.interval_start_us = c->interval_start_us,
		.interval_end_us = c->interval_end_us,
		.params = json_object_get(with, "params"),
		.by = by };
	rc = l->maker->make(l->maker->arg, &child, err);
	free(by);
	return rc;
}

static char *text_of(const json_t *value)
{
	const char *text = json_string_value(value);

	return text ? strdup(text) : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
}

/* By their texts: what a template makes is a text. */
static bool has_params(const struct run_row *run, const json_t *given)
{
	json_t *has = json_loads(run->params, 0, NULL), *value;
	const char *name;
	bool same = true;

	json_object_foreach((json_t *)given, name, value)
	{
		char *a = text_of(value), *b = text_of(json_object_get(has, name));
		same = same && a && b && strcmp(a, b) == 0;
		free(a);
		free(b);
	}
	json_decref(has);
	return same;
}

/* What was done with other params would not fit to what is to be done. */
static int check_params(const struct run_row *run, const json_t *with, struct err *err)
{
	if (!run || run->nsuccess == 0 || has_params(run, json_object_get(with, "params")))
		return 0;
	return err_set(err, ERR_REFUSED,
		"run %s was begun with params %s, not with those of this task", run->name,
		run->params);
}

int control_dag_look(const struct control_look *l, const json_t *with, struct control_found *ret,
	struct err *err)
{
	const struct job_context *c = l->job;
	const char *dag = json_string_value(json_object_get(with, "dag"));
	const struct run_key key = { dag, c->interval_start_us, c->interval_end_us };
	struct store_result r;
	int rc;

	ret->watch = strdup(dag);
	if (store_run_by_key(l->store, &key, &r, err) < 0)
		return -1;
	const struct run_row *run = r.n ? &r.runs[0] : NULL;
	bool over = run && run_state_is_final(run->state) && !run->wanted;
	if (check_params(run, with, err) < 0)
		rc = -1;
	else if (over && (run->state == RUN_SUCCESS || l->deferred))
		rc = take_end(run, ret, err);
	else if (run && is_in_hands(run))
		rc = 0;
	else
		rc = make(l, with, dag, err);
	store_result_release(&r);
	return rc;
}
