/* What people ask of runs: done again, marked, skipped, cancelled. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "core/sched.h"
#include "run/engine.h"
#include "run/name.h"
#include "run/ops_impl.h"
#include "run/restore.h"

/* How many tasks a record names; the events have them all. */
enum { TASKS_TOLD = 20, DETAIL_MAX = 1 << 20, OUTPUTS_MAX = 4 << 20, INCIDENTS_MAX = 64 << 20 };

const char *const ops_version_names[] = { "any", "new", "same", NULL };

/* One request on its way. */
struct asked {
	const struct ops *ops;
	const struct ops_request *q;
	struct store_result found; /* the run */
	const struct run_row *run;
	struct sched *sched; /* in which it is in motion; NULL: nobody has it in hand */
	struct dag *dag;
	bool newest; /* `dag` is the newest version, not the one the run has */
	bool paused; /* its DAG */
	bool told;   /* somebody may hear of it: an incident changed */
	int *tasks, *map_indices;
	char *outputs, *detail;
	struct request request;
	struct request_plan plan;
};

static void release(struct asked *a)
{
	request_plan_release(&a->plan);
	free(a->tasks);
	free(a->map_indices);
	free(a->outputs);
	free(a->detail);
	dag_unref(a->dag);
	store_result_release(&a->found);
}

/* ---- the run, and its DAG ---------------------------------------------------------------- */

static bool is_self(const struct owner *o)
{
	struct owner self;

	return owner_self(&self, NULL) == 0 && o->pid == self.pid &&
	       o->start_ticks == self.start_ticks && strcmp(o->boot_id, self.boot_id) == 0;
}

static int check_owner(const struct run_row *run, struct err *err)
{
	const struct owner *o = &run->owner;

	if (o->pid == 0 || owner_is_dead(o) || run->lease_until_us <= clock_now_us() || is_self(o))
		return 0;
	return err_set(err, ERR_REFUSED,
		"run %s is in the hands of process %" PRId64 " on %s (%s); end it there, or wait "
		"until it has ended",
		run->name, o->pid, o->host, run->wanted ? "a daemon" : "weir run");
}

static int find_run(struct asked *a, struct err *err)
{
	const struct ops_hand *hand = a->ops->hand;
	int rc;

	store_result_release(&a->found);
	if (store_run_find(a->ops->store, a->q->run, &a->found, err) < 0)
		return -1;
	a->run = &a->found.runs[0];
	rc = hand ? hand->find(a->ops->arg, a->run->id, &a->sched, err) : 0;
	if (rc == 0)
		a->sched = NULL;
	return rc != 0 ? rc : check_owner(a->run, err);
}

static bool takes_version(const struct ops_request *q)
{
	return q->verb == REQUEST_RETRY || q->verb == REQUEST_CLEAR;
}

/* A run that is done again takes the newest version of its DAG, where there is one. */
static int load_newest(struct asked *a, struct err *err)
{
	struct err why = { 0 };

	a->dag = a->ops->find_dag(a->ops->arg, a->run->dag, &why);
	a->newest = a->dag && strcmp(a->dag->hash, a->run->version) != 0;
	if (a->dag || (why.code == ERR_NOT_FOUND && a->q->version == OPS_VERSION_ANY))
		return 0;
	return err_set(err, why.code, "%s; --version same takes the version that run %s had",
		why.msg, a->run->name);
}

/* The version of a run in motion is what it is. */
static int check_same(struct asked *a, struct err *err)
{
	if (a->q->version != OPS_VERSION_NEW)
		return 0;
	struct dag *newest = a->ops->find_dag(a->ops->arg, a->run->dag, err);
	if (!newest)
		return -1;
	bool same = strcmp(newest->hash, a->run->version) == 0;
	dag_unref(newest);
	if (same)
		return 0;
	return err_set(err, ERR_REFUSED,
		"run %s is in motion with version %.12s of its DAG: it can take another one when "
		"it has ended, or was cancelled",
		a->run->name, a->run->version);
}

static int load_dag(struct asked *a, struct err *err)
{
	bool again = takes_version(a->q);

	if (again && a->sched && check_same(a, err) < 0)
		return -1;
	if (again && !a->sched && a->q->version != OPS_VERSION_SAME && load_newest(a, err) < 0)
		return -1;
	if (!a->dag)
		a->dag = a->ops->load_version(a->ops->arg, a->run, err);
	return a->dag ? 0 : -1;
}

/* ---- what is asked for ------------------------------------------------------------------- */

/* "fetch", or of a mapped task an instance, "fetch[3]". */
static int find_task(struct asked *a, const char *word, int i, struct err *err)
{
	size_t len;

	if (!run_split_label(word, &len, &a->map_indices[i]))
		return err_set(err, ERR_USAGE,
			"\"%.100s\" names no instance; one is fetch[3], from 0", word);
	char *name = strndup(word, len);
	const struct task *t = name ? ops_find_task(a->dag, name, err) : NULL;
	if (!name)
		err_nomem(err);
	free(name);
	if (!t)
		return -1;
	a->tasks[i] = t->index;
	if (a->map_indices[i] < 0 || t->foreach)
		return 0;
	return err_set(err, ERR_NOT_FOUND, "task %s of DAG %s is not mapped: it has no instances",
		t->name, a->dag->name);
}

static int find_tasks(struct asked *a, struct err *err)
{
	const char *const *names = a->q->tasks;
	int n = 0;

	while (names && names[n])
		n++;
	a->tasks = calloc((size_t)n + 1, sizeof *a->tasks);
	a->map_indices = calloc((size_t)n + 1, sizeof *a->map_indices);
	if (!a->tasks || !a->map_indices)
		return err_nomem(err);
	for (int i = 0; i < n; i++)
		if (find_task(a, names[i], i, err) < 0)
			return -1;
	a->request.tasks = a->tasks;
	a->request.map_indices = a->map_indices;
	a->request.ntasks = n;
	return 0;
}

/* Those of the one task that is asked for. */
/* Of a mapped task those of its instances. A new reference, or NULL. */
static json_t *outputs_of_whole(
	const struct asked *a, const struct store_result *rows, const char *task)
{
	const struct run_init all_of_it = { 0 };
	json_t *all = json_object();

	restore_outputs(rows, a->dag, &all_of_it, all);
	json_t *found = json_incref(json_object_get(all, task));
	json_decref(all);
	return found;
}

static json_t *outputs_of(const struct asked *a, struct err *err)
{
	const char *task = a->dag->tasks[a->tasks[0]].name;
	struct store_result rows;
	json_t *found = NULL;

	if (store_tasks(a->ops->store, a->run->id, &rows, err) < 0)
		return NULL;
	for (size_t i = 0; i < rows.n; i++)
		if (a->map_indices[0] >= 0 && rows.tasks[i].map_index == a->map_indices[0] &&
			rows.tasks[i].outputs && strcmp(rows.tasks[i].name, task) == 0)
			found = json_loads(rows.tasks[i].outputs, 0, NULL);
	if (a->map_indices[0] < 0)
		found = outputs_of_whole(a, &rows, task);
	store_result_release(&rows);
	if (!found && !(found = json_object()))
		err_nomem(err);
	return found;
}

/* Those it has, and over them those that are given. */
static int merge_outputs(struct asked *a, struct err *err)
{
	if (!a->q->outputs)
		return 0;
	if (a->request.ntasks != 1)
		return err_set(err, ERR_USAGE, "outputs are of one task: name one");
	json_t *all = outputs_of(a, err);
	if (!all)
		return -1;
	json_object_update(all, (json_t *)a->q->outputs);
	free(a->outputs);
	a->outputs = json_dumps(all, JSON_COMPACT);
	json_decref(all);
	if (!a->outputs)
		return err_nomem(err);
	a->request.outputs = a->outputs;
	if (strlen(a->outputs) <= OUTPUTS_MAX)
		return 0;
	return err_set(err, ERR_USAGE, "the outputs of a task have at most %d bytes", OUTPUTS_MAX);
}

static int make_request(struct asked *a, struct err *err)
{
	const struct ops_request *q = a->q;
	const char *reason = q->reason;

	a->request = (struct request){ .verb = q->verb,
		.downstream = q->downstream,
		.failed = q->failed,
		.hard = q->hard,
		.mark = q->mark };
	if (asprintf(&a->detail, "by %s%s%s", ops_by(a->ops), reason ? ": " : "",
		    reason ? reason : "") < 0) {
		a->detail = NULL;
		return err_nomem(err);
	}
	a->request.detail = a->detail;
	if (find_tasks(a, err) < 0)
		return -1;
	return merge_outputs(a, err);
}

/* ---- the plan ---------------------------------------------------------------------------- */

/* Errors of the core speak of "it". */
static int plan_run(struct asked *a, const struct run_init *run, struct err *err)
{
	if (request_plan(&a->plan, run, &a->request, clock_now_us(), err) < 0 ||
		request_check_use(&a->plan, run->dag, &a->request, err) < 0)
		return err_context(err, "run %s", a->run->name);
	/* What runs is stopped where it runs. */
	if (a->sched || !a->plan.stops)
		return 0;
	request_plan_release(&a->plan);
	return err_set(err, ERR_REFUSED,
		"tasks of run %s were running when its process died: nobody can stop them from "
		"here; start a daemon, which takes them over, or weir run, and ask again",
		a->run->name);
}

/* The run as it stands where it is in motion. */
static int plan_in_motion(struct asked *a, struct err *err)
{
	size_t n = (size_t)sched_ninstances(a->sched, a->run->id);
	struct task_init *init = calloc((size_t)a->dag->ntasks + 1, sizeof *init);
	struct instance_init *instances = calloc(n + 1, sizeof *instances);
	struct run_init run;
	int rc = -1;

	if (!init || !instances)
		err_nomem(err);
	else if (!sched_snapshot(a->sched, a->run->id, &run, init, instances))
		err_set(err, ERR_INTERNAL, "run %s is in motion nowhere", a->run->name);
	else
		rc = plan_run(a, &run, err);
	free(init);
	free(instances);
	return rc;
}

/* As the store has it. */
static int plan_in_store(struct asked *a, struct err *err)
{
	struct task_init *init = calloc((size_t)a->dag->ntasks + 1, sizeof *init);
	struct run_init run = { .run_id = a->run->id,
		.dag = a->dag,
		.state = a->run->state,
		.tasks = init,
		.cancelling = a->run->cancelling != 0,
		.killing = a->run->cancelling == RUN_KILLED };
	struct instance_init *instances = NULL;
	struct store_result rows = { 0 };
	struct err why = { 0 };
	int rc = init ? store_tasks(a->ops->store, a->run->id, &rows, &why) : err_nomem(&why);

	for (int i = 0; init && i < a->dag->ntasks; i++)
		init[i].selected = true;
	if (rc == 0) {
		restore_rows(&rows, a->dag, init);
		instances = restore_instances(&rows, a->dag, init, &run.ninstances, &why);
		run.instances = instances;
		rc = why.code == ERR_NONE ? plan_run(a, &run, &why) : -1;
	}
	if (rc < 0 && err)
		*err = why;
	store_result_release(&rows);
	free(instances);
	free(init);
	return rc;
}

static int make_plan(struct asked *a, struct err *err)
{
	request_plan_release(&a->plan);
	return a->sched ? plan_in_motion(a, err) : plan_in_store(a, err);
}

/* ---- doing it ---------------------------------------------------------------------------- */

static void add_tasks(struct buf *text, const struct asked *a)
{
	size_t n;
	const struct change *c = sched_changes(a->plan.sched, &n);
	int told = 0;
	char label[RUN_LABEL_MAX];

	for (size_t i = 0; i < n; i++) {
		bool direct = c[i].kind == CHANGE_TASK || c[i].kind == CHANGE_STOP;
		if (!direct || !c[i].detail)
			continue;
		if (told++ < TASKS_TOLD)
			buf_addf(text, "%s%s", told > 1 ? ", " : "",
				run_task_label(c[i].task, c[i].map_index, label));
	}
	if (told > TASKS_TOLD)
		buf_addf(text, " and %d more", told - TASKS_TOLD);
}

static bool cancels_run(const struct asked *a)
{
	return a->q->verb == REQUEST_CANCEL && a->request.ntasks == 0;
}

/* "load", "load: success", "load: rows, path" */
static char *audit_detail(const struct asked *a)
{
	struct buf text;
	const char *name;
	json_t *value;
	const char *between = ": ";

	buf_init(&text, DETAIL_MAX);
	if (cancels_run(a))
		buf_addstr(&text, "the run");
	else
		add_tasks(&text, a);
	if (a->q->verb == REQUEST_MARK)
		buf_addf(&text, ": %s", task_state_name(a->q->mark));
	json_object_foreach((json_t *)a->q->outputs, name, value)
	{
		buf_addf(&text, "%s%s", between, name);
		between = ", ";
	}
	return buf_take(&text);
}

static struct audit_row audit_of(const struct asked *a, const char *detail)
{
	return (struct audit_row){ .run_id = a->run->id,
		.at_us = clock_now_us(),
		.who = ops_by(a->ops),
		.what = request_name(a->q->verb),
		.run = a->run->name,
		.detail = detail,
		.reason = a->q->reason };
}

static int do_in_motion(struct asked *a, const char *detail, struct err *err)
{
	const struct audit_row audit = audit_of(a, detail);

	if (sched_request(a->sched, a->run->id, &a->request, clock_now_us(), err) < 0)
		return err_context(err, "run %s", a->run->name);
	return a->ops->hand->carry_out(a->ops->arg, &audit, err);
}

static int open_run(const struct asked *a, int64_t *ret_epoch, struct err *err)
{
	const struct run_row *run = a->run;
	const struct dag *dag = a->dag;
	char *path = io_path_join(dag->dir, io_path_base(dag->path));
	const char **tasks = calloc((size_t)dag->ntasks + 1, sizeof *tasks);
	struct run_open open = { .key = { run->dag, run->interval_start_us, run->interval_end_us },
		.name = run->name,
		.long_name = run->name,
		.ds = run->ds,
		.zone = run->zone,
		.dag_path = a->newest ? path : run->dag_path,
		.dag_dir = a->newest ? dag->dir : run->dag_dir,
		/* The hash of a text alone is not that of a version: that is of the files it names,
		 * too. */
		.version = a->newest ? dag->hash : run->version,
		.text = dag->text,
		.tasks = tasks,
		.ntasks = (size_t)dag->ntasks,
		/* What is done again completes a run of which only a part was asked for. */
		.only = takes_version(a->q) ? NULL : run->only,
		.now_us = clock_now_us() };
	int64_t run_id;
	bool created;
	int rc = -1;

	for (int i = 0; tasks && i < dag->ntasks; i++)
		tasks[i] = dag->tasks[i].name;
	open.lease_until_us = open.now_us + ENGINE_LEASE_US;
	if (!path || !tasks)
		err_nomem(err);
	else if (owner_self(&open.owner, err) == 0)
		rc = store_run_open(a->ops->store, &open, &run_id, ret_epoch, &created, err);
	free(path);
	free(tasks);
	return rc;
}

/* Something is left to do that nobody does yet; of a cancelled run its teardowns. */
static bool is_left_to_do(const struct asked *a)
{
	return !a->sched && a->plan.open &&
	       (takes_version(a->q) || cancels_run(a) || run_state_is_final(a->plan.from));
}

static int commit(struct asked *a, int64_t epoch, const char *detail, struct err *err)
{
	const struct store_lease lease = { a->run->id, epoch };
	const struct audit_row audit = audit_of(a, detail);
	struct store_batch batch = { .leases = &lease,
		.nleases = 1,
		.audits = &audit,
		.naudits = 1,
		.wants = &a->run->id,
		.nwants = is_left_to_do(a) };

	struct arena arena;

	batch.changes = sched_changes(a->plan.sched, &batch.nchanges);
	arena_init(&arena, INCIDENTS_MAX);
	int rc = ops_collect_incidents(a->ops, a->run, a->dag, &arena, &batch);
	rc = rc < 0 ? err_nomem(err) : store_commit(a->ops->store, &batch, err);
	for (size_t i = 0; rc == 0 && i < batch.nincidents; i++)
		a->told = a->told || batch.incidents[i].nroutes > 0;
	arena_release(&arena);
	return rc;
}

/* Once it is ours nobody else changes it: what was seen before may have changed, so it is looked at
 * once more. */
static int do_in_store(struct asked *a, const char *detail, struct err *err)
{
	int64_t id = a->run->id, epoch;
	char number[32];
	struct ops_request again = *a->q;

	if (open_run(a, &epoch, err) < 0)
		return -1;
	snprintf(number, sizeof number, "%" PRId64, id);
	again.run = number;
	const struct ops_request *q = a->q;
	a->q = &again;
	int rc = find_run(a, err);
	a->q = q;
	if (rc == 0 && merge_outputs(a, err) == 0 && make_plan(a, err) == 0)
		rc = commit(a, epoch, detail, err);
	else
		rc = -1;
	store_run_close(a->ops->store, id, epoch, NULL);
	return rc;
}

static int carry_out(struct asked *a, struct err *err)
{
	char *detail = audit_detail(a);

	if (!detail)
		return err_nomem(err);
	int rc = a->sched ? do_in_motion(a, detail, err) : do_in_store(a, detail, err);
	if (rc == 0)
		ops_note(a->ops, (struct ops_note){ .what = request_name(a->q->verb),
					 .dag = a->run->dag,
					 .run = a->run->name,
					 .task = detail,
					 .reason = a->q->reason });
	free(detail);
	return rc;
}

/* ---- the answer -------------------------------------------------------------------------- */

/* A mapped task as a whole that is done again: what becomes of its instances its list will say. */
static bool has_new_list(const struct asked *a, const struct request_task *t)
{
	bool again = t->effect == EFFECT_STARTS || t->effect == EFFECT_WAITS;

	return t->map_index < 0 && a->dag->tasks[t->task].foreach && again &&
	       t->to != TASK_DEFERRED;
}

static void add_task_json(json_t *list, const struct asked *a, const struct request_task *t)
{
	if (t->effect == EFFECT_NONE)
		return;
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s}", "task", a->dag->tasks[t->task].name,
		"from", task_state_name(t->from), "to", task_state_name(t->to), "effect",
		request_effect_name(t->effect), "why", reason_name(t->why));
	if (o && t->map_index >= 0)
		json_object_set_new(o, "map_index", json_integer(t->map_index));
	if (o && has_new_list(a, t))
		json_object_set_new(o, "new_list", json_true());
	json_array_append_new(list, o);
}

/* In topological order, the instances of a task behind it. */
static json_t *tasks_json(const struct asked *a)
{
	const struct request_plan *p = &a->plan;
	int ndag = a->dag->ntasks;
	json_t *list = json_array();
	int *first = calloc((size_t)ndag + 1, sizeof *first);
	int *next = calloc((size_t)p->ntasks + 1, sizeof *next);

	/* Chains of live numbers by task; 0 ends them, for no instance has it. */
	for (int i = p->ntasks - 1; first && next && i >= ndag; i--) {
		next[i] = first[p->tasks[i].task];
		first[p->tasks[i].task] = i;
	}
	for (int k = 0; first && next && k < ndag; k++) {
		int task = a->dag->order[k];
		add_task_json(list, a, &p->tasks[task]);
		bool anew = has_new_list(a, &p->tasks[task]);
		for (int i = anew ? 0 : first[task]; i; i = next[i])
			add_task_json(list, a, &p->tasks[i]);
	}
	free(first);
	free(next);
	return list;
}

static int answer(const struct asked *a, const char *former_version, json_t **ret, struct err *err)
{
	const struct run_row *run = a->run;
	const struct request_plan *p = &a->plan;

	json_t *o = json_pack("{s:s, s:I, s:s, s:s, s:s, s:b, s:b, s:s, s:o, s:s, s:s}", "run",
		run->name, "run_id", (json_int_t)run->id, "dag", run->dag, "ds", run->ds, "request",
		request_name(a->q->verb), "dry_run", a->q->dry_run, "in_motion", a->sched != NULL,
		"by", ops_by(a->ops), "reason", ops_json_text(a->q->reason), "version",
		a->newest ? a->dag->hash : former_version, "former_version", former_version);
	json_t *more = json_pack("{s:{s:s, s:s}, s:b, s:b, s:o, s:o}", "state", "from",
		run_state_name(p->from), "to", run_state_name(p->to), "waits",
		is_left_to_do(a) || (!a->sched && p->open && run->wanted), "dag_paused", a->paused,
		"dag_path", ops_json_text(run->dag_path), "tasks", tasks_json(a));
	if (o && more)
		json_object_update(o, more);
	json_decref(more);
	return ops_answer(o, ret, err);
}

int ops_request(const struct ops *o, const struct ops_request *q, json_t **ret, struct err *err)
{
	struct asked a = { .ops = o, .q = q };
	char former[DIGEST_HEX] = "";
	int rc = -1;

	if (ops_check_reason(q->reason, err) < 0)
		return -1;
	int found = find_run(&a, err);
	if (found < 0)
		goto out;
	snprintf(former, sizeof former, "%s", a.run->version);
	/* All that the answer needs is read before anything is done: what was done is not answered
	 * by a fault. */
	if (load_dag(&a, err) < 0 || ops_is_paused(o->store, a.run->dag, &a.paused, err) < 0 ||
		make_request(&a, err) < 0 || make_plan(&a, err) < 0)
		goto out;
	if (!q->dry_run && carry_out(&a, err) < 0)
		goto out;
	rc = answer(&a, former, ret, err);
	/* Runs in hand go on by themselves. */
	if (rc == 0 && !q->dry_run && !a.sched)
		ops_tell(o, OPS_TRIGGERED, a.run->dag, a.run->id);
	if (rc == 0 && a.told)
		ops_tell(o, OPS_INCIDENT, NULL, 0);
out:
	release(&a);
	return rc;
}
