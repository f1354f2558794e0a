/* Why: the sentence about a task, from the template of its state and reason. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/node.h"
#include "core/condition.h"
#include "core/model.h"
#include "run/control_dag.h"
#include "run/name.h"
#include "run/why_walk.h"
#include "store/store.h"

enum { NAMES_SHOWN = 3, TEXT_MAX = 16384 };

const struct task *why_def(const struct why_walk *k, size_t row)
{
	return k->index[row] < 0 ? NULL : &k->f->dag->tasks[k->index[row]];
}

const struct task_row *why_need(const struct why_walk *k, const struct task *def, int i)
{
	size_t row = k->row[def->needs[i]];

	return row < k->f->ntasks ? &k->f->tasks[row] : NULL;
}

const char *why_label(struct why *w, const struct task_row *t)
{
	char label[RUN_LABEL_MAX];

	return t->map_index < 0 ? t->name
				: why_printf(w, "%s", run_task_label(t->name, t->map_index, label));
}

enum reason why_reason(const struct why_walk *k, const struct task_row *t)
{
	const json_t *waits = json_object_get(json_object_get(k->f->live, "run"), "waits");
	char label[RUN_LABEL_MAX];
	const char *name = t->state == TASK_QUEUED
				   ? why_get(waits, run_task_label(t->name, t->map_index, label))
				   : NULL;
	int now = name ? reason_by_name(name) : -1;

	return now >= 0 && why_row(t->state, (enum reason)now) ? (enum reason)now : t->reason;
}

/* ---- values of the templates ---------------------------------------------------------- */

typedef void value_fn(const struct telling *t, struct buf *out);

const struct attempt_row *why_last_ended(const struct telling *t)
{
	for (size_t i = t->nattempts; i-- > 0;)
		if (t->attempts[i].outcome != OUTCOME_NONE)
			return &t->attempts[i];
	return NULL;
}

void why_add_end(const struct attempt_row *a, struct buf *out)
{
	if (!a)
		buf_addstr(out, "an attempt that is not known any more");
	else if (a->outcome == OUTCOME_TIMEOUT)
		buf_addstr(out, "its timeout");
	else if (a->outcome == OUTCOME_LOST)
		buf_addstr(out, "an attempt that was lost with its supervisor");
	else if (a->signal)
		buf_addf(out, "signal %d (%s)", a->signal, strsignal(a->signal));
	else if (a->exit_status >= 0)
		buf_addf(out, "exit status %d", a->exit_status);
	else
		buf_addstr(out, a->outcome == OUTCOME_FAILED ? "an error of its operator"
							     : outcome_name(a->outcome));
}

/* Where it stands in the queue: the daemon knows it of the task that is asked for. */
static void value_ahead(const struct telling *t, struct buf *out)
{
	const json_t *run = json_object_get(t->k->f->live, "run");
	const char *task = why_get(run, "task");
	char label[RUN_LABEL_MAX];

	if (!task || strcmp(task, run_task_label(t->row->name, t->row->map_index, label)) != 0 ||
		!json_is_integer(json_object_get(run, "ahead")))
		return;
	if (why_int(run, "ahead") == 0)
		buf_addstr(out, "; it is next");
	else
		buf_addf(out, "; %lld wait before it", why_int(run, "ahead"));
}

static void value_end(const struct telling *t, struct buf *out)
{
	why_add_end(why_last_ended(t), out);
}

static void value_try(const struct telling *t, struct buf *out)
{
	buf_addf(out, "%d", t->row->tries);
}

static void value_tries(const struct telling *t, struct buf *out)
{
	int more = t->def ? t->def->retry.retries - t->row->failures : 0;

	buf_addf(out, "%d", t->row->tries + (more > 0 ? more : 0));
}

static void value_retry(const struct telling *t, struct buf *out)
{
	const struct attempt_row *a = why_last_ended(t);

	if (a && a->outcome == OUTCOME_LOST)
		buf_addstr(out, "its next start, which costs no retry");
	else if (t->def)
		buf_addf(out, "retry %d of %d", t->row->failures, t->def->retry.retries);
	else
		buf_addf(out, "retry %d", t->row->failures);
}

static void value_spent(const struct telling *t, struct buf *out)
{
	if (t->def && t->def->retry.retries == 0)
		buf_addstr(out, "failed, and no retries are set");
	else
		buf_addf(out, "failed %d times, its retries are spent", t->row->failures);
}

static void value_host(const struct telling *t, struct buf *out)
{
	const struct run_row *r = t->k->f->run;

	if (r->owner.pid)
		buf_addf(out, " on %s", r->owner.host);
}

static void value_lost(const struct telling *t, struct buf *out)
{
	buf_addf(out, "%d", t->row->lost);
}

static void value_waiting(const struct telling *t, struct buf *out)
{
	int open = 0, n = t->def ? t->def->nneeds : 0;

	for (int i = 0; i < n; i++) {
		const struct task_row *need = why_need(t->k, t->def, i);
		open += need && !task_state_is_final(need->state);
	}
	if (open == 0)
		buf_addstr(out, "its turn");
	else if (n == 1)
		buf_addf(out, "%s", t->k->f->dag->tasks[t->def->needs[0]].name);
	else
		buf_addf(out, "%d of the %d tasks it needs", open, n);
}

/* The needs for which `is` holds, by name. */
static void add_needs(const struct telling *t, bool (*is)(const struct task *, enum task_state),
	const char *none, struct buf *out)
{
	int n = 0;

	for (int i = 0; t->def && i < t->def->nneeds; i++) {
		const struct task *need = &t->k->f->dag->tasks[t->def->needs[i]];
		const struct task_row *row = why_need(t->k, t->def, i);
		if (!row || !is(need, row->state))
			continue;
		if (n++ < NAMES_SHOWN)
			buf_addf(out, "%s%s", n > 1 ? ", " : "", need->name);
	}
	const struct why_other *list;
	size_t nothers = why_others(t, &list);
	for (size_t i = 0; i < nothers; i++) {
		if (list[i].past || list[i].state == TASK_NONE || !is(NULL, list[i].state))
			continue;
		if (n++ < NAMES_SHOWN)
			buf_addf(out, "%s%s", n > 1 ? ", " : "", list[i].name);
	}
	if (n > NAMES_SHOWN)
		buf_addf(out, " and %d more", n - NAMES_SHOWN);
	if (n == 0)
		buf_addstr(out, none);
}

static bool is_failed(const struct task *t, enum task_state s)
{
	(void)t;
	return s == TASK_FAILED || s == TASK_UPSTREAM_FAILED || s == TASK_CANCELLED;
}

static bool is_skipped(const struct task *t, enum task_state s)
{
	(void)t;
	return s == TASK_SKIPPED;
}

static void value_failed(const struct telling *t, struct buf *out)
{
	buf_addstr(out, "it needs ");
	add_needs(t, is_failed, "a task", out);
	buf_addstr(out, ", which did not succeed");
}

static void value_skipped(const struct telling *t, struct buf *out)
{
	buf_addstr(out, "it needs ");
	add_needs(t, is_skipped, "a task", out);
	buf_addstr(out, ", which was skipped");
}

static bool is_short_circuit(const struct task *def)
{
	return def->op && strcmp(def->op, "short_circuit") == 0;
}

/* Did this one, which comes somewhere before it, leave it out? A branch chooses of the tasks
 * directly behind it, a short circuit of all. */
static bool left_out_by(const struct telling *t, size_t row, bool direct)
{
	const struct task *def = why_def(t->k, row);

	if (!def || !def->chooses || t->k->f->tasks[row].state != TASK_SUCCESS)
		return false;
	return direct || is_short_circuit(def);
}

size_t why_chooser(const struct telling *t)
{
	struct why_walk *k = t->k;
	size_t head = 0, tail = 0, from = (size_t)(t->row - k->f->tasks);

	k->mark[from] = ++k->search;
	k->queue[tail++] = from;
	while (head < tail) {
		size_t at = k->queue[head++];
		const struct task *def = why_def(k, at);
		if (at != from && left_out_by(t, at, false))
			return at;
		for (int i = 0; def && i < def->nneeds; i++) {
			size_t need = k->row[def->needs[i]];
			if (need >= k->f->ntasks || k->mark[need] == k->search)
				continue;
			if (at == from && left_out_by(t, need, true))
				return need;
			k->mark[need] = k->search;
			k->queue[tail++] = need;
		}
	}
	return k->f->ntasks;
}

static void add_names(const json_t *list, struct buf *out)
{
	size_t i, n = json_array_size(list);
	json_t *name;

	json_array_foreach((json_t *)list, i, name) if (i < NAMES_SHOWN)
		buf_addf(out, "%s%s", i ? ", " : "", json_string_value(name));
	if (n > NAMES_SHOWN)
		buf_addf(out, " and %zu more", n - NAMES_SHOWN);
	if (n == 0)
		buf_addstr(out, "none of those behind it");
}

static void value_chosen(const struct telling *t, struct buf *out)
{
	size_t row = why_chooser(t);
	const struct task_row *r = row < t->k->f->ntasks ? &t->k->f->tasks[row] : NULL;
	json_t *outputs = r && r->outputs ? json_loads(r->outputs, 0, NULL) : NULL;
	const json_t *list = json_object_get(outputs, "chosen");

	if (!r) {
		buf_addstr(out, "a task before it chose another way");
	} else if (is_short_circuit(why_def(t->k, row))) {
		buf_addf(out, "the short circuit %s lets nothing through: its `if` is false",
			r->name);
	} else if (json_is_array(list)) {
		buf_addf(out, "%s chose ", r->name);
		add_names(list, out);
	} else {
		buf_addf(out, "%s chose another way", r->name);
	}
	json_decref(outputs);
}

static void value_slots(const struct telling *t, struct buf *out)
{
	int n = t->def && t->def->slots > 1 ? t->def->slots : 1;

	buf_addf(out, n > 1 ? "%d slots" : "a slot", n);
}

static void value_pool(const struct telling *t, struct buf *out)
{
	buf_addstr(out, t->def && t->def->pool ? t->def->pool : "?");
}

static void value_limit(const struct telling *t, struct buf *out)
{
	if (t->k->f->dag)
		buf_addf(out, "%d", t->k->f->dag->max_active_tasks);
	else
		buf_addc(out, '?');
}

static void value_rule(const struct telling *t, struct buf *out)
{
	buf_addstr(out, t->def ? trigger_name(t->def->trigger) : "?");
}

static void value_when(const struct telling *t, struct buf *out)
{
	buf_addstr(out, t->def && t->def->when ? t->def->when->text : "?");
}

/* "of 3 needs 1 is failed and 2 are success" would be no better: "1 failed, 2 success". */
static void value_counts(const struct telling *t, struct buf *out)
{
	int n[TASK_STATE_MAX] = { 0 }, shown = 0;

	for (int i = 0; t->def && i < t->def->nneeds; i++) {
		const struct task_row *need = why_need(t->k, t->def, i);
		if (need)
			n[need->state]++;
	}
	buf_addstr(out, "of what it needs: ");
	for (int s = 0; s < TASK_STATE_MAX; s++)
		if (n[s])
			buf_addf(out, "%s%d %s", shown++ ? ", " : "", n[s],
				s == TASK_NONE ? "waiting" : task_state_name((enum task_state)s));
	if (!shown)
		buf_addstr(out, "nothing is known");
}

static void value_instances(const struct telling *t, struct buf *out)
{
	size_t row = (size_t)(t->row - t->k->f->tasks);
	int n[TASK_STATE_MAX] = { 0 }, shown = 0;

	for (size_t i = 1; i <= t->k->instances[row]; i++)
		n[t->row[i].state] += t->row[i].reason != REASON_ITEM_GONE;
	for (int s = 0; s < TASK_STATE_MAX; s++)
		if (n[s])
			buf_addf(out, "%s%d %s", shown++ ? ", " : "", n[s],
				s == TASK_NONE ? "waiting" : task_state_name((enum task_state)s));
	if (!shown)
		buf_addstr(out, "none is known");
}

static void value_total(const struct telling *t, struct buf *out)
{
	size_t n = 0;

	for (size_t i = 1; i <= t->k->instances[t->row - t->k->f->tasks]; i++)
		n += t->row[i].reason != REASON_ITEM_GONE;
	buf_addf(out, "%zu", n);
}

static void value_max_active(const struct telling *t, struct buf *out)
{
	if (t->def && t->def->foreach)
		buf_addf(out, "%d", t->def->foreach->max_active);
	else
		buf_addc(out, '?');
}

static void value_waits(const struct telling *t, struct buf *out)
{
	buf_addstr(out, t->row->waits_for ? t->row->waits_for : "what it has not said");
}

/* What it waited for, when it does no longer: as its file says it. */
static void value_for(const struct telling *t, struct buf *out)
{
	static const struct {
		const char *key, *what;
	} waits[] = { { "path", "the file" }, { "url", "its request" }, { "sql", "its query" },
		{ "dataset", "the dataset" }, { "run", "the run of" }, { "time", "the time" },
		{ "prompt", "a decision:" } };
	const struct node *with = t->def ? t->def->with : NULL;

	for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
		const struct node *n = node_get(with, waits[i].key);
		if (!node_text(n))
			continue;
		buf_addf(out, " for %s", waits[i].what);
		if (strcmp(waits[i].key, "sql") != 0 && strcmp(waits[i].key, "url") != 0)
			buf_addf(out, " %s", n->text);
		return;
	}
}

/* What looks for it find. */
static void value_looked(const struct telling *t, struct buf *out)
{
	if (t->row->looked)
		buf_addf(out, "; the last look: %s", t->row->looked);
}

static void value_looks(const struct telling *t, struct buf *out)
{
	bool dag = t->def && control_dag_is(t->def);
	bool plain = dag || t->row->looked || (t->def && node_get(t->def->with, "time"));

	buf_addstr(out, dag ? "waits for the end of " : plain ? "waits for " : "looks for ");
	value_waits(t, out);
	buf_addstr(out, plain ? "" : ", which is not there yet");
}

/* The run before has failed: time alone does not help. */
static void value_never(const struct telling *t, struct buf *out)
{
	const struct why_other *past = why_past(t);

	if (past && past->state == TASK_NONE && task_state_is_final(past->task_state))
		buf_addf(out, ", which is %s: it waits until that is done again",
			task_state_name(past->task_state));
}

static const struct {
	const char *name;
	value_fn *add;
} values[] = {
	{ "ahead", value_ahead },
	{ "chosen", value_chosen },
	{ "counts", value_counts },
	{ "end", value_end },
	{ "failed", value_failed },
	{ "for", value_for },
	{ "host", value_host },
	{ "instances", value_instances },
	{ "limit", value_limit },
	{ "looked", value_looked },
	{ "looks", value_looks },
	{ "lost", value_lost },
	{ "max_active", value_max_active },
	{ "never", value_never },
	{ "pool", value_pool },
	{ "retry", value_retry },
	{ "rule", value_rule },
	{ "skipped", value_skipped },
	{ "slots", value_slots },
	{ "spent", value_spent },
	{ "total", value_total },
	{ "tries", value_tries },
	{ "try", value_try },
	{ "waiting", value_waiting },
	{ "waits", value_waits },
	{ "when", value_when },
};

static void add_value(const struct telling *t, const char *name, size_t len, struct buf *out)
{
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		if (strlen(values[i].name) == len && memcmp(values[i].name, name, len) == 0)
			values[i].add(t, out);
}

const char *why_text(const struct telling *t, const char *template)
{
	struct buf out;

	buf_init(&out, TEXT_MAX);
	for (const char *s = template; *s; s++) {
		const char *end = *s == '{' ? strchr(s, '}') : NULL;
		if (end)
			add_value(t, s + 1, (size_t)(end - s - 1), &out);
		else
			buf_addc(&out, *s);
		s = end ? end : s;
	}
	const char *text = why_printf(t->k->w, "%s", out.data);
	buf_release(&out);
	return text;
}
