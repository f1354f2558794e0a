/* Why: the tree, what holds for runs and DAGs alike, and runs. */
#include "run/why.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/near.h"
#include "core/model.h"
#include "run/name.h"
#include "run/why_impl.h"
#include "store/store.h"

enum {
	ARENA_MAX = 16 << 20,
	TEXT_MAX = 8192,
	LINE_MAX_LEN = 240,
	REQUESTS_SHOWN = 3,
	ALIKE_MAX = 2
};

static const char *const kind_names[] = {
	[WHY_TASK] = "task",
	[WHY_RUN] = "run",
	[WHY_DAG] = "dag",
	[WHY_ATTEMPT] = "attempt",
	[WHY_POOL] = "pool",
	[WHY_BREAKER] = "breaker",
	[WHY_SLOTS] = "slots",
	[WHY_SWITCH] = "switch",
	[WHY_REQUEST] = "request",
	[WHY_PROCESS] = "process",
	[WHY_STORE] = "store",
	[WHY_SCHEDULE] = "schedule",
	[WHY_BACKFILL] = "backfill",
	[WHY_DATASET] = "dataset",
	[WHY_MORE] = "more",
};
_Static_assert(sizeof kind_names / sizeof *kind_names == WHY_KIND_MAX, "a name for each kind");

const char *why_kind_name(enum why_kind k)
{
	return kind_names[k];
}

/* ---- the tree ------------------------------------------------------------------------- */

void why_init(struct why *w)
{
	*w = (struct why){ 0 };
	arena_init(&w->arena, ARENA_MAX);
}

void why_release(struct why *w)
{
	arena_release(&w->arena);
	*w = (struct why){ 0 };
}

struct why_node *why_add(struct why *w, struct why_node *under, const struct why_node *n)
{
	/* Only the first node is the root: what hangs on one that found no place has none. */
	if (w->nnodes >= WHY_NODES_MAX || (w->root && !under))
		return NULL;
	struct why_node *new = arena_alloc(&w->arena, sizeof *new);
	if (!new)
		return NULL;
	*new = *n;
	new->first = new->last = new->next = NULL;
	w->nnodes++;
	if (!under)
		w->root = new;
	else if (under->last)
		under->last = under->last->next = new;
	else
		under->first = under->last = new;
	return new;
}

const char *why_printf(struct why *w, const char *fmt, ...)
{
	struct buf b;
	va_list ap;

	buf_init(&b, TEXT_MAX);
	va_start(ap, fmt);
	buf_vaddf(&b, fmt, ap);
	va_end(ap);
	const char *text = arena_strdup(&w->arena, b.data);
	buf_release(&b);
	return text ? text : "";
}

const char *why_last_line(struct why *w, const char *text)
{
	const char *end = text ? text + strlen(text) : NULL;

	while (end && end > text && isspace((unsigned char)end[-1]))
		end--;
	if (!end || end == text)
		return NULL;
	const char *line = end;
	while (line > text && line[-1] != '\n')
		line--;
	int len = (int)(end - line < LINE_MAX_LEN ? end - line : LINE_MAX_LEN);
	return why_printf(w, "%.*s", len, line);
}

const char *why_word(struct why *w, const char *word)
{
	struct buf b;

	if (*word && strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				  "_@%+=:,./-") == strlen(word))
		return word;
	buf_init(&b, TEXT_MAX);
	buf_addc(&b, '\'');
	for (; *word; word++)
		if (*word == '\'')
			buf_addstr(&b, "'\\''");
		else
			buf_addc(&b, *word);
	buf_addc(&b, '\'');
	const char *text = why_printf(w, "%s", b.data);
	buf_release(&b);
	return text;
}

void why_step(struct why *w, const struct why_step *step)
{
	int alike = 0;

	for (int i = 0; i < w->nsteps; i++) {
		if (strcmp(w->steps[i].command, step->command) != 0)
			continue;
		if (strcmp(w->steps[i].words, step->words) == 0)
			return;
		alike++;
	}
	/* Who has seen how it goes for two can do the same for the next. */
	if (w->nsteps < WHY_STEPS_MAX && alike < ALIKE_MAX)
		w->steps[w->nsteps++] = *step;
}

/* ---- the daemon and its switches ------------------------------------------------------ */

static void add_trouble(struct why *w, struct why_node *under, enum why_kind kind,
	const char *subject, const char *reason, const char *text)
{
	why_add(w, under,
		&(struct why_node){
			.kind = kind, .subject = subject, .reason = reason, .text = text });
}

/* What it says of itself. */
static bool add_daemon_troubles(struct why *w, const json_t *live, struct why_node *under)
{
	const char *store = why_get(live, "store_error"), *folder = why_get(live, "folder_error");
	const char *pid = why_printf(w, "daemon %lld", why_int(live, "pid"));
	bool stopping = json_is_true(json_object_get(live, "stopping"));
	bool taking = json_is_true(json_object_get(live, "taking_over"));

	if (store)
		add_trouble(w, under, WHY_STORE, "the store", "store_error",
			why_printf(w, "cannot be written, so nothing starts: %s", store));
	if (folder)
		add_trouble(w, under, WHY_PROCESS, "the folder of DAGs", "folder_error",
			why_printf(w, "cannot be read: %s", folder));
	if (stopping)
		add_trouble(w, under, WHY_PROCESS, pid, "stopping", "is stopping: nothing starts");
	if (taking)
		add_trouble(w, under, WHY_PROCESS, pid, "taking_over",
			"is taking over the runs of a former one; a supervisor that does not "
			"answer is asked again");
	return store || folder || stopping || taking;
}

bool why_daemon(struct why *w, const struct why_facts *f, struct why_node *under)
{
	if (f->live)
		return add_daemon_troubles(w, f->live, under);
	if (f->daemon_pid) {
		add_trouble(w, under, WHY_PROCESS, why_printf(w, "daemon %d", f->daemon_pid),
			"silent", "does not answer; it may be starting or stopping");
		why_step(w, &(struct why_step){ "status", "", "whether it answers" });
	} else {
		add_trouble(w, under, WHY_PROCESS, "no daemon", "no_daemon",
			why_printf(w, "is running on %s", f->home ? f->home : "this WEIR_HOME"));
		why_step(w, &(struct why_step){ "daemon",
				    why_printf(w, "--dags %s",
					    why_word(w, f->run && f->run->dag_dir ? f->run->dag_dir
										  : ".")),
				    "begin one" });
	}
	return true;
}

static bool is_said(const struct why_node *under, const char *reason)
{
	for (const struct why_node *n = under ? under->first : NULL; n; n = n->next)
		if (n->kind == WHY_SWITCH && strcmp(n->reason, reason) == 0)
			return true;
	return false;
}

void why_switches(struct why *w, const struct why_facts *f, struct why_node *under)
{
	const struct dag_row *d = f->switches;

	if (d && d->paused && !is_said(under, "paused")) {
		why_add(w, under,
			&(struct why_node){ .kind = WHY_SWITCH,
				.subject = d->paused_by ? d->paused_by : "somebody",
				.reason = "paused",
				.text = d->all_paused ? "paused all DAGs"
						      : why_printf(w, "paused %s", d->name),
				.detail = d->paused_reason,
				.since_us = d->paused_us });
		why_step(w,
			&(struct why_step){ "resume",
				d->all_paused ? "--all" : why_word(w, d->name), "end the pause" });
	}
	if (d && d->draining) {
		why_add(w, under,
			&(struct why_node){ .kind = WHY_SWITCH,
				.subject = d->draining_by ? d->draining_by : "somebody",
				.reason = "draining",
				.text = why_printf(
					w, "drains %s: no run of it is created", d->name),
				.detail = d->draining_reason,
				.since_us = d->draining_us });
		why_step(w, &(struct why_step){
				    "resume", why_word(w, d->name), "let runs be created" });
	}
}

/* ---- runs ----------------------------------------------------------------------------- */

static const char *count_states(struct why *w, const struct why_facts *f)
{
	int n[TASK_STATE_MAX] = { 0 }, shown = 0;
	size_t all = 0;
	struct buf b;

	buf_init(&b, TEXT_MAX);
	for (size_t i = 0; i < f->ntasks; i++) {
		/* A mapped task counts as one. */
		if (f->tasks[i].map_index >= 0)
			continue;
		n[f->tasks[i].state]++;
		all++;
	}
	for (int s = 0; s < TASK_STATE_MAX; s++)
		if (n[s])
			buf_addf(&b, "%s%d %s", shown++ ? ", " : "", n[s],
				s == TASK_NONE ? "waiting" : task_state_name((enum task_state)s));
	const char *text = why_printf(
		w, "of %zu task%s: %s", all, all == 1 ? "" : "s", shown ? b.data : "none");
	buf_release(&b);
	return text;
}

static const char *run_text(struct why *w, const struct why_facts *f)
{
	const struct run_row *r = f->run;
	const char *counts = count_states(w, f);

	if (f->abandoned)
		return why_printf(w, "was left by the process that worked on it; %s", counts);
	switch (r->state) {
	case RUN_QUEUED:
		return r->reason == REASON_PARTIAL
			       ? why_printf(w, "only the tasks that were asked for were run; %s",
					 counts)
			       : why_printf(w, "%s; %s",
					 r->started_us ? "is to be taken up again"
						       : "has not begun",
					 counts);
	case RUN_RUNNING:
		return why_printf(w, "is at work; %s", counts);
	default:
		return why_printf(w, "%s; %s", reason_text(r->reason), counts);
	}
}

/* The process that has it. */
static void add_owner(struct why *w, const struct why_facts *f, struct why_node *under)
{
	const struct run_row *r = f->run;

	if (!r->owner.pid || (f->live && why_int(f->live, "pid") == r->owner.pid))
		return;
	const char *who =
		why_printf(w, "process %lld on %s", (long long)r->owner.pid, r->owner.host);
	add_trouble(w, under, WHY_PROCESS, who, f->abandoned ? "gone" : "lease",
		f->abandoned ? "is gone; what it left is carried on by whoever comes next"
			     : "works on it, and nobody else may");
}

/* A run that a daemon is to carry on. */
static void add_wanted(struct why *w, const struct why_facts *f, struct why_node *under)
{
	if (why_daemon(w, f, under) || json_is_object(json_object_get(f->live, "run")))
		return;
	long long n = why_int(f->live, "queued_runs");
	const char *text = "does not have it in hand; it looks for such runs from time to time, "
			   "and its log says what keeps it";
	if (n)
		text = why_printf(w, "does not have it in hand yet: %lld run%s before it", n,
			n == 1 ? " is" : "s are");
	else if (json_is_true(json_object_get(f->live, "put_off")))
		text = "could not take a run up yet: a supervisor that has tasks of it does not "
		       "answer; it is asked again";
	add_trouble(w, under, WHY_PROCESS, why_printf(w, "daemon %lld", why_int(f->live, "pid")),
		"not_in_hand", text);
}

static void add_backfill(struct why *w, const struct why_facts *f, struct why_node *under)
{
	const struct backfill_row *b = f->backfill;

	if (!b || (b->state != BACKFILL_PAUSED && b->state != BACKFILL_CANCELLED))
		return;
	why_add(w, under,
		&(struct why_node){ .kind = WHY_BACKFILL,
			.subject = why_printf(w, "backfill %lld", (long long)b->id),
			.state = backfill_state_name(b->state),
			.text = why_printf(w, "was %s by %s", backfill_state_name(b->state),
				b->state_by ? b->state_by : "somebody"),
			.detail = b->state_reason });
	if (b->state == BACKFILL_PAUSED)
		why_step(w,
			&(struct why_step){ "backfill",
				why_printf(w, "resume %lld", (long long)b->id), "let it go on" });
}

void why_run_causes(struct why *w, const struct why_facts *f, struct why_node *under)
{
	const struct run_row *r = f->run;

	if (run_state_is_final(r->state))
		return;
	if (r->wanted)
		add_wanted(w, f, under);
	add_owner(w, f, under);
	/* A foreground run does not ask whether its DAG is paused. */
	if (r->wanted)
		why_switches(w, f, under);
	add_backfill(w, f, under);
}

void why_other_run(struct why *w, struct why_node *under, const struct run_row *r)
{
	why_add(w, under,
		&(struct why_node){ .kind = WHY_RUN,
			.subject = r->name,
			.state = run_state_name(r->state),
			.reason = reason_name(r->reason),
			.text = r->state == RUN_RUNNING ? "is at work" : reason_text(r->reason),
			.since_us = r->started_us ? r->started_us : r->created_us });
	why_step(w, &(struct why_step){ "why", why_word(w, r->name), "what it waits for" });
}

/* Is `task` a word of the text? */
static bool names(const char *text, const char *task)
{
	size_t n = strlen(task);

	for (const char *at = strstr(text, task); at; at = strstr(at + 1, task))
		if ((at == text || strchr(" ,", at[-1])) && (!at[n] || strchr(" ,:", at[n])))
			return true;
	return false;
}

/* The newest, of a task (NULL: of all). */
void why_requests(
	struct why *w, const struct why_facts *f, struct why_node *under, const char *task)
{
	int shown = 0;

	for (size_t i = f->naudits; i-- > 0 && shown < REQUESTS_SHOWN;) {
		const struct audit_row *a = &f->audits[i];
		if (task && a->detail && strcmp(a->detail, "the run") != 0 &&
			!names(a->detail, task))
			continue;
		why_add(w, under,
			&(struct why_node){ .kind = WHY_REQUEST,
				.subject = a->who ? a->who : "somebody",
				.reason = a->what,
				.text = why_printf(w, "asked: %s%s%s", a->what,
					a->detail ? " " : "", a->detail ? a->detail : ""),
				.detail = a->reason,
				.since_us = a->at_us });
		shown++;
	}
}

struct why_node *why_add_run(struct why *w, const struct why_facts *f, struct why_node *under)
{
	const struct run_row *r = f->run;

	return why_add(w, under,
		&(struct why_node){ .kind = WHY_RUN,
			.subject = r->name,
			.state = f->abandoned ? "abandoned" : run_state_name(r->state),
			.reason = reason_name(r->reason),
			.text = run_text(w, f),
			.since_us = r->ended_us     ? r->ended_us
				    : r->started_us ? r->started_us
						    : r->created_us });
}

static void add_run(struct why *w, const struct why_facts *f, struct why_walk *k)
{
	const struct run_row *r = f->run;
	struct why_node *root = why_add_run(w, f, NULL);

	why_run_causes(w, f, root);
	if (r->state == RUN_CANCELLED)
		why_requests(w, f, root, NULL);
	why_frontier(k, root);
}

static int no_task(const struct why_facts *f, const char *task, struct err *err)
{
	const char **names = calloc(f->ntasks + 1, sizeof *names);
	size_t n = 0, instances = 0, len = strcspn(task, "[");

	for (size_t i = 0; names && i < f->ntasks; i++) {
		if (f->tasks[i].map_index < 0)
			names[n++] = f->tasks[i].name;
		else if (strncmp(f->tasks[i].name, task, len) == 0 && !f->tasks[i].name[len])
			instances++;
	}
	const char *near = names ? near_find(task, names, n) : NULL;
	if (instances)
		err_set(err, ERR_NOT_FOUND,
			"%s has no instance \"%.128s\": %.*s has %zu, from %.*s[0]", f->run->name,
			task, (int)len, task, instances, (int)len, task);
	else if (near)
		err_set(err, ERR_NOT_FOUND, "%s has no task \"%.128s\"; did you mean \"%s\"?",
			f->run->name, task, near);
	else
		err_set(err, ERR_NOT_FOUND, "%s has no task \"%.128s\"; weir show %s lists them",
			f->run->name, task, f->run->name);
	free(names);
	return -1;
}

static bool is_named(const struct task_row *t, const char *label)
{
	size_t len;
	int map_index;

	return run_split_label(label, &len, &map_index) && map_index == t->map_index &&
	       strncmp(t->name, label, len) == 0 && !t->name[len];
}

int why_run(struct why *w, const struct why_facts *f, const char *task, struct err *err)
{
	size_t row = 0;

	while (task && row < f->ntasks && !is_named(&f->tasks[row], task))
		row++;
	if (task && row == f->ntasks)
		return no_task(f, task, err);
	struct why_walk *k = why_walk_new(w, f);
	if (!k)
		return err_nomem(err);
	if (!task)
		add_run(w, f, k);
	else
		why_task(k, NULL, row);
	if (task && w->root && !task_state_is_final(f->tasks[row].state))
		why_run_causes(w, f, w->root);
	why_walk_free(k);
	if (f->run->state != RUN_SUCCESS || task)
		why_step(w,
			&(struct why_step){ "show", why_word(w, f->run->name), "all of the run" });
	return w->root ? 0 : err_nomem(err);
}
