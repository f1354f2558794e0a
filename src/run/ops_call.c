#include "run/ops_call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/units.h"
#include "conf/schema.h"
#include "core/incident.h"
#include "run/ops.h"
#include "run/ops_impl.h"

enum { JOBS_MAX = 1000, REAL_DIGITS = 15 };

/* ---- what is taken ------------------------------------------------------------------------- */

#define ROW_REASON                                                             \
	{                                                                      \
		.key = "reason", .type = FIELD_STRING,                         \
		.help = "Why; kept with it and shown. One line, at most 1000 " \
			"bytes."                                               \
	}
#define ROW_BY                                                                                 \
	{                                                                                      \
		.key = "by", .type = FIELD_STRING,                                             \
		.help = "For whom it is asked, when not for the user who asks; both are kept." \
	}
#define ROW_PARAMS                                                                               \
	{                                                                                        \
		.key = "params", .type = FIELD_MAP, .item = &param_value,                        \
		.help = "Params of the DAG: their names and values.", .example = "{country: FR}" \
	}

static const struct field param_value = { .type = FIELD_VALUE };

static const struct field switch_body[] = { ROW_REASON, ROW_BY, { 0 } };

static const struct field snooze_body[] = {
	{ .key = "for",
		.type = FIELD_STRING,
		.flags = FIELD_REQUIRED,
		.help = "How long nobody is told of it.",
		.example = "2h" },
	ROW_REASON,
	ROW_BY,
	{ 0 },
};

static const struct field trigger_body[] = {
	{ .key = "date",
		.type = FIELD_STRING,
		.help = "A date: the interval that starts on it; or an instant: the interval that "
			"holds it. Default: the last complete interval.",
		.example = "2026-11-19" },
	ROW_PARAMS,
	{ .key = "force",
		.type = FIELD_BOOL,
		.def = "false",
		.help = "Do all tasks again, also of a run that succeeded." },
	ROW_BY,
	{ 0 },
};

static const struct field backfill_body[] = {
	{ .key = "from",
		.type = FIELD_STRING,
		.flags = FIELD_REQUIRED,
		.help = "Intervals that start on this date or at this instant, or later.",
		.example = "2026-01-01" },
	{ .key = "to",
		.type = FIELD_STRING,
		.flags = FIELD_REQUIRED,
		.help = "Intervals that start on this date or at this instant, or before.",
		.example = "2026-03-31" },
	{ .key = "mode",
		.type = FIELD_ENUM,
		.values = backfill_mode_names,
		.def = "missing",
		.help = "missing: what has no success; failed: what failed; all: everything, "
			"again." },
	{ .key = "jobs",
		.type = FIELD_INT,
		.has_min = true,
		.min = 1,
		.has_max = true,
		.max = JOBS_MAX,
		.def = "1",
		.help = "At most so many runs at once." },
	{ .key = "newest_first",
		.type = FIELD_BOOL,
		.def = "false",
		.help = "Begin with the newest interval." },
	{ .key = "dry_run",
		.type = FIELD_BOOL,
		.def = "false",
		.help = "Plan only: answer what would be done to each interval." },
	ROW_PARAMS,
	ROW_REASON,
	ROW_BY,
	{ 0 },
};

#define ROW_DRY_RUN                                                                \
	{                                                                          \
		.key = "dry_run", .type = FIELD_BOOL, .def = "false",              \
		.help = "Change nothing: answer what would become of which tasks." \
	}
#define ROW_DOWNSTREAM                                                   \
	{                                                                \
		.key = "downstream", .type = FIELD_BOOL, .def = "false", \
		.help = "With them all tasks that depend on them."       \
	}
#define ROW_VERSION                                                                              \
	{                                                                                        \
		.key = "version", .type = FIELD_ENUM, .values = ops_version_names, .def = "any", \
		.help = "The DAG version it is done with: the newest (new), the one the run "    \
			"has (same), or any: the newest where there is one. A run in "           \
			"motion keeps its own."                                                  \
	}
#define ROW_OUTPUTS(more)                                                                     \
	{                                                                                     \
		.key = "outputs", .type = FIELD_MAP, .flags = more, .item = &output_value,    \
		.help = "Outputs by name; those of other names stay.", .example = "{rows: 5}" \
	}
#define ROW_TASKS(more)                                                                \
	{                                                                              \
		.key = "tasks", .type = FIELD_LIST, .flags = more, .item = &task_name, \
		.has_min = (more) != 0, .min = 1, .help = "Names of tasks.",           \
		.example = "[load, publish]"                                           \
	}

static const struct field task_name = { .type = FIELD_STRING };
static const struct field output_value = { .type = FIELD_ANY };
static const char *const mark_values[] = { "success", "failed", "skipped", NULL };

static const struct field retry_body[] = {
	ROW_TASKS(0),
	ROW_DOWNSTREAM,
	{ .key = "failed",
		.type = FIELD_BOOL,
		.def = "false",
		.help = "Of the tasks, only those that failed, could not run, or were cancelled. "
			"Without tasks that is how it is." },
	ROW_VERSION,
	ROW_DRY_RUN,
	ROW_REASON,
	ROW_BY,
	{ 0 },
};

static const struct field clear_body[] = { ROW_TASKS(FIELD_REQUIRED), ROW_DOWNSTREAM, ROW_VERSION,
	ROW_DRY_RUN, ROW_REASON, ROW_BY, { 0 } };

static const struct field mark_body[] = {
	ROW_TASKS(FIELD_REQUIRED),
	{ .key = "state",
		.type = FIELD_ENUM,
		.flags = FIELD_REQUIRED,
		.values = mark_values,
		.help = "The state they have from then on." },
	ROW_OUTPUTS(0),
	ROW_DRY_RUN,
	ROW_REASON,
	ROW_BY,
	{ 0 },
};

static const struct field tasks_body[] = { ROW_TASKS(FIELD_REQUIRED), ROW_DRY_RUN, ROW_REASON,
	ROW_BY, { 0 } };

static const struct field cancel_body[] = {
	ROW_TASKS(0),
	{ .key = "kill",
		.type = FIELD_BOOL,
		.def = "false",
		.help = "Kill what runs at once, instead of asking it to end first." },
	ROW_DRY_RUN,
	ROW_REASON,
	ROW_BY,
	{ 0 },
};

static const struct field output_body[] = { ROW_TASKS(FIELD_REQUIRED), ROW_OUTPUTS(FIELD_REQUIRED),
	ROW_DRY_RUN, ROW_REASON, ROW_BY, { 0 } };

static const struct field touch_body[] = {
	{ .key = "date",
		.type = FIELD_STRING,
		.help = "The day of the data, in UTC. Default: the last whole day.",
		.example = "2026-11-19" },
	{ .key = "from",
		.type = FIELD_STRING,
		.help = "Instead: where the interval of the data begins: a date or an instant.",
		.example = "2026-11-19T06:00Z" },
	{ .key = "to",
		.type = FIELD_STRING,
		.help = "With from: where it ends; a date: at the end of that day.",
		.example = "2026-11-19T07:00Z" },
	ROW_REASON,
	ROW_BY,
	{ 0 },
};

static const struct field form_value = { .type = FIELD_STRING };
static const struct field approve_body[] = {
	{ .key = "fields",
		.type = FIELD_MAP,
		.item = &form_value,
		.help = "The values of the fields that are asked for.",
		.example = "{share: 0.5}" },
	ROW_REASON,
	ROW_BY,
	{ 0 },
};

/* ---- reading it ---------------------------------------------------------------------------- */

static const char *text_of(const json_t *body, const char *key)
{
	return json_string_value(json_object_get(body, key));
}

static bool is_set(const json_t *body, const char *key)
{
	return json_is_true(json_object_get(body, key));
}

static void free_list(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

/* "name=value", owned. */
static char *param_text(const char *name, const json_t *value)
{
	bool is_text = json_is_string(value);
	char *dumped =
		is_text ? NULL
			: json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(REAL_DIGITS));
	const char *text = is_text ? json_string_value(value) : dumped;
	char *ret = NULL;

	if (text && asprintf(&ret, "%s=%s", name, text) < 0)
		ret = NULL;
	free(dumped);
	return ret;
}

/* An object of params as a NULL-ended list, owned. NULL with err. */
static char **params_of(const json_t *body, struct err *err)
{
	json_t *params = json_object_get(body, "params"), *value;
	char **list = calloc(json_object_size(params) + 1, sizeof *list);
	const char *name;
	size_t n = 0;

	json_object_foreach(params, name, value)
	{
		if (list && !(list[n++] = param_text(name, value))) {
			free_list(list);
			list = NULL;
		}
	}
	if (!list)
		err_nomem(err);
	return list;
}

int ops_call_id(const char *text, int64_t *ret, struct err *err)
{
	char *end;

	errno = 0;
	*ret = strtoll(text, &end, 10);
	if (errno == 0 && end != text && *end == '\0' && *ret > 0)
		return 0;
	return err_set(err, ERR_USAGE,
		"\"%.64s\" is not the number of a backfill or an incident; weir backfills and weir "
		"incidents "
		"list them",
		text);
}

/* ---- the calls ----------------------------------------------------------------------------- */

static int call_dags(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	(void)t;
	(void)body;
	return ops_dags(o, NULL, ret, err);
}

static int call_dag(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	json_t *all;

	(void)body;
	if (ops_dags(o, t->dag, &all, err) < 0)
		return -1;
	json_t *one = json_incref(json_array_get(json_object_get(all, "dags"), 0));
	json_decref(all);
	if (!one)
		return err_set(err, ERR_NOT_FOUND, "there is no DAG \"%.128s\"", t->dag);
	*ret = one;
	return 0;
}

static int call_pause(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	return ops_pause(o, t->dag, true, text_of(body, "reason"), ret, err);
}

static int call_resume(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	return ops_resume(o, t->dag, text_of(body, "reason"), ret, err);
}

static int call_drain(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	return ops_drain(o, t->dag, true, text_of(body, "reason"), ret, err);
}

static int call_freeze(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	return ops_freeze(o, t->dag, t->task, true, text_of(body, "reason"), ret, err);
}

static int call_unfreeze(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	return ops_freeze(o, t->dag, t->task, false, text_of(body, "reason"), ret, err);
}

static int call_trigger(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	char **params = params_of(body, err);
	const struct ops_trigger asked = { .dag = t->dag,
		.date = text_of(body, "date"),
		.params = (const char *const *)params,
		.force = is_set(body, "force") };
	int rc = params ? ops_trigger(o, &asked, ret, err) : -1;

	free_list(params);
	return rc;
}

static enum backfill_mode mode_of(const json_t *body)
{
	const char *text = text_of(body, "mode");

	for (int i = 0; text && i < BACKFILL_MODE_MAX; i++)
		if (strcmp(text, backfill_mode_names[i]) == 0)
			return (enum backfill_mode)i;
	return BACKFILL_ONLY_MISSING;
}

static int call_backfill(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	char **params = params_of(body, err);
	const struct ops_backfill asked = { .dag = t->dag,
		.from = text_of(body, "from"),
		.to = text_of(body, "to"),
		.mode = mode_of(body),
		.jobs = (int)json_integer_value(json_object_get(body, "jobs")),
		.newest_first = is_set(body, "newest_first"),
		.params = (const char *const *)params,
		.reason = text_of(body, "reason") };
	int rc = -1;

	if (params)
		rc = is_set(body, "dry_run") ? ops_backfill_plan(o, &asked, ret, err)
					     : ops_backfill_create(o, &asked, ret, err);
	free_list(params);
	return rc;
}

static int call_backfills(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	(void)body;
	return ops_backfills(o, t->id, ret, err);
}

static int call_backfill_pause(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	return ops_backfill_set(o, t->id, "paused", text_of(body, "reason"), ret, err);
}

static int call_backfill_resume(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	return ops_backfill_set(o, t->id, "running", text_of(body, "reason"), ret, err);
}

static int call_backfill_cancel(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	return ops_backfill_set(o, t->id, "cancelled", text_of(body, "reason"), ret, err);
}

/* A list of texts, borrowed; NULL-ended, owned. NULL with err. */
static const char **names_of(const json_t *body, const char *key, struct err *err)
{
	const json_t *list = json_object_get(body, key), *name;
	const char **names = calloc(json_array_size(list) + 1, sizeof *names);
	size_t i;

	if (!names)
		err_nomem(err);
	json_array_foreach((json_t *)list, i, name)
	{
		if (names)
			names[i] = json_string_value(name);
	}
	return names;
}

static enum ops_version version_of(const json_t *body)
{
	const char *text = text_of(body, "version");

	for (int i = 0; text && ops_version_names[i]; i++)
		if (strcmp(text, ops_version_names[i]) == 0)
			return (enum ops_version)i;
	return OPS_VERSION_ANY;
}

static int ask(const struct ops *o, enum request_verb verb, const struct ops_target *t,
	const json_t *body, json_t **ret, struct err *err)
{
	const char **tasks = names_of(body, "tasks", err), *state = text_of(body, "state");
	const struct ops_request q = { .verb = verb,
		.run = t->run,
		.tasks = tasks,
		.downstream = is_set(body, "downstream"),
		.failed = is_set(body, "failed"),
		.hard = is_set(body, "kill"),
		.dry_run = is_set(body, "dry_run"),
		.mark = (enum task_state)(state ? task_state_by_name(state) : 0),
		.outputs = json_object_get(body, "outputs"),
		.version = version_of(body),
		.reason = text_of(body, "reason") };
	int rc = tasks ? ops_request(o, &q, ret, err) : -1;

	free(tasks);
	return rc;
}

static int call_retry(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	return ask(o, REQUEST_RETRY, t, body, ret, err);
}

static int call_clear(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	return ask(o, REQUEST_CLEAR, t, body, ret, err);
}

static int call_mark(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	return ask(o, REQUEST_MARK, t, body, ret, err);
}

static int call_skip(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	return ask(o, REQUEST_SKIP, t, body, ret, err);
}

static int call_cancel(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	return ask(o, REQUEST_CANCEL, t, body, ret, err);
}

static int call_end_retries(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	return ask(o, REQUEST_END_RETRIES, t, body, ret, err);
}

static int call_set_output(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	return ask(o, REQUEST_SET_OUTPUT, t, body, ret, err);
}

static int call_incidents(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	(void)t;
	(void)body;
	return ops_incidents(o, false, ret, err);
}

static int call_incidents_all(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	(void)t;
	(void)body;
	return ops_incidents(o, true, ret, err);
}

static int call_incident(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	(void)body;
	return ops_incident(o, t->id, ret, err);
}

static int set_incident(const struct ops *o, const struct ops_target *t, const json_t *body,
	enum incident_what what, json_t **ret, struct err *err)
{
	const char *length = text_of(body, "for");
	int64_t us = 0;

	if (length && units_parse_duration(length, &us, NULL) < 0)
		return err_set(
			err, ERR_USAGE, "\"%.64s\" is no time such as 90m, 2h or 1d", length);
	if (length && us < US_PER_SECOND)
		return err_set(err, ERR_USAGE, "for: at least a second, such as 2h");
	const struct ops_incident_set set = { .id = t->id,
		.what = what,
		.until_us = us ? clock_now_us() + us : 0,
		.reason = text_of(body, "reason") };

	return ops_incident_set(o, &set, ret, err);
}

static int call_ack(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	return set_incident(o, t, body, INCIDENT_ACKS, ret, err);
}

static int call_snooze(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	return set_incident(o, t, body, INCIDENT_SNOOZES, ret, err);
}

static int call_resolve(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	return set_incident(o, t, body, INCIDENT_RESOLVES, ret, err);
}

static int call_alerts(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	(void)t;
	(void)body;
	return ops_alerts(o, false, ret, err);
}

static int call_alerts_all(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	(void)t;
	(void)body;
	return ops_alerts(o, true, ret, err);
}

static int call_breakers(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	(void)body;
	return ops_breakers(o, t->breaker, ret, err);
}

static int call_breaker_open(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	return ops_breaker_set(o, t->breaker, true, text_of(body, "reason"), ret, err);
}

static int call_breaker_close(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	return ops_breaker_set(o, t->breaker, false, text_of(body, "reason"), ret, err);
}

static int decide(const struct ops *o, bool approved, const struct ops_target *t,
	const json_t *body, json_t **ret, struct err *err)
{
	const struct ops_decision d = { .run = t->run,
		.task = t->task,
		.reason = text_of(body, "reason"),
		.approved = approved,
		.fields = json_object_get(body, "fields") };

	return ops_decide(o, &d, ret, err);
}

static int call_approvals(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	(void)t;
	(void)body;
	return ops_approvals(o, ret, err);
}

static int call_approve(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	return decide(o, true, t, body, ret, err);
}

static int call_reject(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	return decide(o, false, t, body, ret, err);
}

static int call_datasets(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	(void)body;
	return ops_datasets(o, t->dataset, ret, err);
}

static int call_touch(const struct ops *o, const struct ops_target *t, const json_t *body,
	json_t **ret, struct err *err)
{
	const struct ops_touch touch = { .dataset = t->dataset,
		.date = text_of(body, "date"),
		.from = text_of(body, "from"),
		.to = text_of(body, "to"),
		.reason = text_of(body, "reason") };

	return ops_dataset_touch(o, &touch, ret, err);
}

/* ---- the rows ------------------------------------------------------------------------------ */

const struct ops_call ops_calls[OPS_CALL_MAX] = {
	[OPS_CALL_DAGS] = { "GET", "/v1/dags", "List the DAGs, with their switches", NULL, NULL,
		call_dags },
	[OPS_CALL_DAG] = { "GET", "/v1/dags/{dag}", "One DAG, with its switches", NULL, NULL,
		call_dag },
	[OPS_CALL_PAUSE] = { "POST", "/v1/dags/{dag}/pause", "Pause a DAG",
		"No run of it is created or goes on until it is resumed. The name * stands for all "
		"DAGs, those to come included.",
		switch_body, call_pause },
	[OPS_CALL_RESUME] = { "POST", "/v1/dags/{dag}/resume", "End a DAG's pause and drain",
		"While all DAGs are paused, one of them that is resumed stays paused.", switch_body,
		call_resume },
	[OPS_CALL_DRAIN] = { "POST", "/v1/dags/{dag}/drain",
		"Let a DAG's runs end and create no more", NULL, switch_body, call_drain },
	[OPS_CALL_FREEZE] = { "POST", "/v1/dags/{dag}/tasks/{task}/freeze",
		"Start no attempts of a task",
		"Its runs go on with the other tasks; it waits, held.", switch_body, call_freeze },
	[OPS_CALL_UNFREEZE] = { "POST", "/v1/dags/{dag}/tasks/{task}/unfreeze",
		"Let a frozen task go on", NULL, switch_body, call_unfreeze },
	[OPS_CALL_TRIGGER] = { "POST", "/v1/dags/{dag}/trigger", "Ask for a run of one interval",
		"Refused for a run that is active, and, without force, for one that succeeded.",
		trigger_body, call_trigger },
	[OPS_CALL_BACKFILL] = { "POST", "/v1/dags/{dag}/backfills",
		"Plan a backfill, or plan and make it",
		"With nothing to do none is made, and backfill is null. Refused while another "
		"backfill of the DAG covers a part of the range.",
		backfill_body, call_backfill },
	[OPS_CALL_BACKFILLS] = { "GET", "/v1/backfills", "List the backfills, newest first", NULL,
		NULL, call_backfills },
	[OPS_CALL_BACKFILL_SHOW] = { "GET", "/v1/backfills/{id}",
		"A backfill, its progress and its failed runs", NULL, NULL, call_backfills },
	[OPS_CALL_BACKFILL_PAUSE] = { "POST", "/v1/backfills/{id}/pause", "Pause a backfill",
		"It creates no more runs; those that are active go on.", switch_body,
		call_backfill_pause },
	[OPS_CALL_BACKFILL_RESUME] = { "POST", "/v1/backfills/{id}/resume",
		"Let a paused backfill go on", NULL, switch_body, call_backfill_resume },
	[OPS_CALL_BACKFILL_CANCEL] = { "POST", "/v1/backfills/{id}/cancel", "End a backfill",
		"It creates no more runs and cannot be resumed. What was done stays.", switch_body,
		call_backfill_cancel },
	[OPS_CALL_RETRY] = { "POST", "/v1/runs/{run}/retry", "Do tasks of a run again",
		"Without tasks: those that failed, could not run, or were cancelled. A run that "
		"has ended is taken up again; nothing but these tasks is done.",
		retry_body, call_retry },
	[OPS_CALL_CLEAR] = { "POST", "/v1/runs/{run}/clear",
		"Let tasks of a run count as not done: they are done again", NULL, clear_body,
		call_clear },
	[OPS_CALL_MARK] = { "POST", "/v1/runs/{run}/mark", "Set the state of tasks",
		"What follows for other tasks follows at once. Refused for a task that runs.",
		mark_body, call_mark },
	[OPS_CALL_SKIP] = { "POST", "/v1/runs/{run}/skip", "Leave out tasks that have not run yet",
		NULL, tasks_body, call_skip },
	[OPS_CALL_CANCEL] = { "POST", "/v1/runs/{run}/cancel", "Cancel a run, or tasks of it",
		"What runs is asked to end, what waits is cancelled.", cancel_body, call_cancel },
	[OPS_CALL_END_RETRIES] = { "POST", "/v1/runs/{run}/end-retries",
		"Let tasks that wait for their next try have failed", NULL, tasks_body,
		call_end_retries },
	[OPS_CALL_SET_OUTPUT] = { "POST", "/v1/runs/{run}/set-output",
		"Set outputs of a task that succeeded",
		"Refused when a task that depends on it has begun.", output_body, call_set_output },
	[OPS_CALL_BREAKERS] = { "GET", "/v1/breakers", "List the circuit breakers", NULL, NULL,
		call_breakers },
	[OPS_CALL_BREAKER] = { "GET", "/v1/breakers/{breaker}",
		"A circuit breaker, what it holds, and how it changed", NULL, NULL, call_breakers },
	[OPS_CALL_BREAKER_OPEN] = { "POST", "/v1/breakers/{breaker}/open", "Open a circuit breaker",
		"It stays open until it is closed by a person.", switch_body, call_breaker_open },
	[OPS_CALL_BREAKER_CLOSE] = { "POST", "/v1/breakers/{breaker}/close",
		"Close a circuit breaker", "What it holds is let go one after the other.",
		switch_body, call_breaker_close },
	[OPS_CALL_APPROVALS] = { "GET", "/v1/approvals",
		"List the tasks that wait for a decision, the longest waiting first", NULL, NULL,
		call_approvals },
	[OPS_CALL_APPROVE] = { "POST", "/v1/runs/{run}/tasks/{task}/approve",
		"Approve a task that awaits input", "Refused for one that awaits nothing.",
		approve_body, call_approve },
	[OPS_CALL_REJECT] = { "POST", "/v1/runs/{run}/tasks/{task}/reject",
		"Reject a task that awaits input", NULL, switch_body, call_reject },
	[OPS_CALL_INCIDENTS] = { "GET", "/v1/incidents", "List what is wrong, newest first", NULL,
		NULL, call_incidents },
	[OPS_CALL_INCIDENTS_ALL] = { "GET", "/v1/incidents/all", "The same, with what was resolved",
		NULL, NULL, call_incidents_all },
	[OPS_CALL_INCIDENT] = { "GET", "/v1/incidents/{id}", "One incident", NULL, NULL,
		call_incident },
	[OPS_CALL_INCIDENT_ACK] = { "POST", "/v1/incidents/{id}/ack", "Acknowledge an incident",
		"It does not escalate any more.", switch_body, call_ack },
	[OPS_CALL_INCIDENT_SNOOZE] = { "POST", "/v1/incidents/{id}/snooze",
		"Tell nobody of an incident for a while",
		"Should it still be wrong then, it is told again.", snooze_body, call_snooze },
	[OPS_CALL_INCIDENT_RESOLVE] = { "POST", "/v1/incidents/{id}/resolve",
		"End an incident by hand", NULL, switch_body, call_resolve },
	[OPS_CALL_ALERTS] = { "GET", "/v1/alerts", "What is still to be told, or could not be",
		NULL, NULL, call_alerts },
	[OPS_CALL_ALERTS_ALL] = { "GET", "/v1/alerts/all", "The same, with what was told", NULL,
		NULL, call_alerts_all },
	[OPS_CALL_DATASETS] = { "GET", "/v1/datasets",
		"List the datasets, who produces and who uses them", NULL, NULL, call_datasets },
	[OPS_CALL_DATASET] = { "GET", "/v1/datasets/{dataset}",
		"A dataset, its last updates, and which DAGs wait for it", NULL, NULL,
		call_datasets },
	[OPS_CALL_DATASET_TOUCH] = { "POST", "/v1/datasets/{dataset}/touch",
		"Say that a dataset was updated from elsewhere",
		"DAGs whose schedule waits for it run, as after an update by a task.", touch_body,
		call_touch },
};
