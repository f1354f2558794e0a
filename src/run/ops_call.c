#include "run/ops_call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "conf/schema.h"
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
		"\"%.64s\" is not the number of a backfill; weir backfills lists them", text);
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
};
