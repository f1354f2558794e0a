/* The keys of a DAG file, as tables. */
#include <string.h>

#include "base/units.h"
#include "conf/dagfile_impl.h"
#include "conf/foreach.h"
#include "conf/schedule.h"
#include "conf/sla.h"
#include "core/dataset.h"
#include "core/incident.h"

const struct field dagfile_include_field = { .key = "include", .type = FIELD_FILE };
/* A path, or {file, with}: conf/dagfile_include.c. */
static const struct field include_item = { .type = FIELD_ANY };
static const struct field text_item = { .type = FIELD_STRING };
static const struct field need_item = {
	.type = FIELD_OBJECT, .flags = FIELD_OR_TEXT, .fields = dagfile_need_fields
};
static const struct field any_item = { .type = FIELD_ANY };
static const struct field value_item = { .type = FIELD_VALUE };
static const struct field status_item = {
	.type = FIELD_INT, .has_min = true, .min = 0, .has_max = true, .max = 255
};
static const struct field env_item = { .type = FIELD_ANY };

const struct field dagfile_param_fields[] = {
	{ .key = "type",
		.type = FIELD_ENUM,
		.values = param_type_names,
		.def = "string",
		.help = "What a value must be." },
	{ .key = "enum",
		.type = FIELD_LIST,
		.item = &value_item,
		.help = "The only values allowed." },
	{ .key = "default",
		.type = FIELD_VALUE,
		.help = "The value when none is given. Without it, a value must be given." },
	{ .key = "min", .type = FIELD_FLOAT, .help = "The smallest number allowed." },
	{ .key = "max", .type = FIELD_FLOAT, .help = "The largest number allowed." },
	{ .key = "description", .type = FIELD_STRING, .help = "For people." },
	{ 0 },
};

static const struct field backoff_fields[] = {
	{ .key = "initial",
		.type = FIELD_DURATION,
		.def = "10s",
		.has_min = true,
		.min = 0,
		.help = "The delay before the first retry." },
	{ .key = "factor",
		.type = FIELD_FLOAT,
		.def = "2",
		.has_min = true,
		.min = 1,
		.has_max = true,
		.max = 100,
		.help = "How much longer each further delay is." },
	{ .key = "max",
		.type = FIELD_DURATION,
		.def = "10m",
		.has_min = true,
		.min = 0,
		.help = "No delay is longer than this." },
	{ .key = "jitter",
		.type = FIELD_ENUM,
		.values = jitter_names,
		.def = "full",
		.help = "Randomness, so that many tasks do not come back at once. full: anything "
			"from 0 to the delay; equal: from half of it to all of it; none: all of "
			"it." },
	{ 0 },
};

static const struct field exit_codes_fields[] = {
	{ .key = "exit_codes",
		.type = FIELD_LIST,
		.item = &status_item,
		.flags = FIELD_OR_ONE | FIELD_REQUIRED,
		.help = "Exit statuses, 0 to 255." },
	{ 0 },
};

static const struct field limits_fields[] = {
	{ .key = "memory",
		.type = FIELD_SIZE,
		.has_min = true,
		.min = 1 << 20,
		.has_max = true,
		.max = 1LL << 50,
		.help = "Memory.",
		.example = "2GiB" },
	{ .key = "cpu",
		.type = FIELD_PERCENT,
		.has_min = true,
		.min = 0.01,
		.has_max = true,
		.max = 1000,
		.help = "Processor time, of one processor: 200% is two.",
		.example = "50%" },
	{ .key = "pids",
		.type = FIELD_INT,
		.has_min = true,
		.min = 1,
		.has_max = true,
		.max = 1 << 22,
		.help = "Processes and threads." },
	{ .key = "files",
		.type = FIELD_INT,
		.has_min = true,
		.min = 8,
		.has_max = true,
		.max = 1 << 20,
		.help = "Open files of a process." },
	{ 0 },
};

/* What a task and `defaults:` have in common. */
static const struct field breaker_item = { .type = FIELD_NAME };
static const struct field dataset_item = { .type = FIELD_STRING };
static const struct field quality_fields[] = {
	{ .key = "dataset",
		.type = FIELD_STRING,
		.flags = FIELD_REQUIRED,
		.help = "What the checks are about: the name that its consumers use.",
		.example = "sales.daily" },
	{ .key = "score_below",
		.type = FIELD_PERCENT,
		.flags = FIELD_REQUIRED,
		.has_min = true,
		.min = 0.01,
		.help = "A score below this opens the breaker; one that is not closes it.",
		.example = "95%" },
	{ 0 },
};

#define POLICY_FIELDS                                                                           \
	{ .key = "retries",                                                                     \
		.type = FIELD_INT,                                                              \
		.def = "0",                                                                     \
		.has_min = true,                                                                \
		.min = 0,                                                                       \
		.has_max = true,                                                                \
		.max = 1000,                                                                    \
		.help = "How often a failed attempt is tried again." },                         \
		{ .key = "backoff",                                                             \
			.type = FIELD_OBJECT,                                                   \
			.fields = backoff_fields,                                               \
			.help = "How long to wait before retry n: initial * factor^(n-1), at "  \
				"most max, with jitter." },                                     \
		{ .key = "retry_on",                                                            \
			.type = FIELD_OBJECT,                                                   \
			.fields = exit_codes_fields,                                            \
			.help = "Only these exit statuses are tried again.",                    \
			.example = "{ exit_codes: [75, 111] }" },                               \
		{ .key = "fail_on",                                                             \
			.type = FIELD_OBJECT,                                                   \
			.fields = exit_codes_fields,                                            \
			.help = "These exit statuses are never tried again.",                   \
			.example = "{ exit_codes: [2] }" },                                     \
		{ .key = "lost_retries",                                                        \
			.type = FIELD_INT,                                                      \
			.def = "3",                                                             \
			.has_min = true,                                                        \
			.min = 0,                                                               \
			.has_max = true,                                                        \
			.max = 1000,                                                            \
			.help = "How often an attempt is started again that was lost with its " \
				"machine "                                                      \
				"or supervisor; not counted in retries." },                     \
		{ .key = "timeout",                                                             \
			.type = FIELD_DURATION,                                                 \
			.has_min = true,                                                        \
			.min = 1,                                                               \
			.help = "An attempt that runs longer is stopped: TERM, grace, KILL. "   \
				"Default: none." },                                             \
		{ .key = "grace",                                                               \
			.type = FIELD_DURATION,                                                 \
			.def = "10s",                                                           \
			.has_min = true,                                                        \
			.min = 0,                                                               \
			.help = "Time between TERM and KILL." },                                \
		{ .key = "limits",                                                              \
			.type = FIELD_OBJECT,                                                   \
			.fields = limits_fields,                                                \
			.help = "What an attempt may have at most; see LIMITS. Default: no "    \
				"limits.",                                                      \
			.example = "{ memory: 2GiB, cpu: 50%, pids: 100, files: 1024 }" },      \
		{ .key = "env",                                                                 \
			.type = FIELD_MAP,                                                      \
			.item = &env_item,                                                      \
			.help = "Environment variables: text, which may hold templates, or a "  \
				"secret as "                                                    \
				"{env: NAME} or {file: PATH}." },                               \
		{ .key = "cwd",                                                                 \
			.type = FIELD_PATH,                                                     \
			.flags = FIELD_TEMPLATE,                                                \
			.help = "Working folder, relative to the DAG's. Default: the DAG's "    \
				"folder." },                                                    \
		{ .key = "shell",                                                               \
			.type = FIELD_STRING,                                                   \
			.help = "What runs a command: sh, bash, dash, zsh, ksh, python3 or a "  \
				"program called "                                               \
				"with -c; none: words are split at blanks, no shell. Default: " \
				"sh, and none for "                                             \
				"plain commands." },                                            \
		{ .key = "pool",                                                                \
			.type = FIELD_NAME,                                                     \
			.help = "A pool of weir.yaml: it starts when that has slots for it." }, \
		{ .key = "slots",                                                               \
			.type = FIELD_INT,                                                      \
			.def = "1",                                                             \
			.has_min = true,                                                        \
			.min = 1,                                                               \
			.has_max = true,                                                        \
			.max = 100000,                                                          \
			.help = "How many slots of its pool it takes." },                       \
		{ .key = "breaker",                                                             \
			.type = FIELD_LIST,                                                     \
			.item = &breaker_item,                                                  \
			.flags = FIELD_OR_ONE,                                                  \
			.has_max = true,                                                        \
			.max = TASK_BREAKERS_MAX,                                               \
			.help = "Circuit breakers of weir.yaml: it starts when they let it.",   \
			.example = "orders_api" },                                              \
		{ .key = "on_open",                                                             \
			.type = FIELD_ENUM,                                                     \
			.values = on_open_names,                                                \
			.def = "hold",                                                          \
			.help = "What becomes of it while a breaker of it is open: it waits, "  \
				"is skipped, or fails. Its retries are not spent." },           \
		{ .key = "priority",                                                            \
			.type = FIELD_INT,                                                      \
			.def = "1",                                                             \
			.has_min = true,                                                        \
			.min = -1000,                                                           \
			.has_max = true,                                                        \
			.max = 1000,                                                            \
			.help = "Of tasks that wait for the same, the one with most points is " \
				"next; each minute of waiting is one more." },                  \
		{ .key = "depends_on_past",                                                     \
			.type = FIELD_BOOL,                                                     \
			.def = "false",                                                         \
			.help = "It starts only when the same task has succeeded, or was "      \
				"skipped, in the run before; see RUNS BEFORE." },               \
		{ .key = "wait_for_downstream",                                                 \
			.type = FIELD_BOOL,                                                     \
			.def = "false",                                                         \
			.help = "And those that need it directly, too, in that run. Says "      \
				"depends_on_past as well." },                                   \
		{ .key = "owner", .type = FIELD_STRING, .help = "Who is asked about it." },     \
		{ .key = "severity",                                                            \
			.type = FIELD_ENUM,                                                     \
			.values = severity_names,                                               \
			.help = "How bad it is when it fails, for the routes of alerts; "       \
				"critical is told in quiet hours, too. Default: that of the "   \
				"DAG, or error." },                                             \
	{                                                                                       \
		.key = "runbook", .type = FIELD_STRING,                                         \
		.help = "What to do when it fails: a file or an address."                       \
	}

static const struct field defaults_fields[] = { POLICY_FIELDS, { 0 } };

/* clang-format off */
const struct field dagfile_task_fields[] = {
	{ .key = "ingest", .type = FIELD_STRING, .help = "Bring data in: the operator's name." },
	{ .key = "transform", .type = FIELD_STRING, .help = "Change data: the operator's name." },
	{ .key = "quality", .type = FIELD_STRING, .help = "Check data: the operator's name." },
	{ .key = "publish", .type = FIELD_STRING, .help = "Hand data on: the operator's name." },
	{ .key = "control", .type = FIELD_STRING, .help = "Steer the run: the operator's name." },
	{ .key = "run", .type = FIELD_ANY, .flags = FIELD_TEMPLATE,
		.help = "A command: text, or a list of words that are passed as they are.",
		.example = "./refresh-bi.sh {{ ds }}" },
	{ .key = "with", .type = FIELD_ANY,
		.help = "The operator's parameters; see weir-operators(7)." },
	{ .key = "needs", .type = FIELD_LIST, .item = &need_item, .flags = FIELD_OR_ONE,
		.help = "Tasks and groups that come first, of other DAGs, too; by default all of "
			"them must succeed. See NEEDS ON OTHER DAGS.",
		.example = "[extract, orders.load]" },
	{ .key = "foreach", .type = FIELD_ANY, .flags = FIELD_TEMPLATE,
		.help = "It is done once for each item of a list, a range of dates, or what a glob "
			"finds; see MAPPING.",
		.example = "[eu, us, apac]" },
	{ .key = "trigger", .type = FIELD_ENUM, .values = trigger_names, .def = "all_success",
		.help = "When what it needs lets it run; see weir-triggers(7)." },
	{ .key = "when", .type = FIELD_STRING,
		.help = "Instead of trigger: a condition on what it needs; see weir-triggers(7).",
		.example = "(a.success or a.skipped) and not b.failed" },
	{ .key = "if", .type = FIELD_VALUE, .flags = FIELD_TEMPLATE,
		.help = "A template that is true or false, judged when the task could start; false: "
			"it is skipped.",
		.example = "\"{{ params.full and ds >= '2026-01-01' }}\"" },
	{ .key = "teardown", .type = FIELD_ANY,
		.help = "It takes down what these tasks, which it needs, set up; or true. It runs "
			"when all it needs is done, whatever became of it, and when the run is "
			"cancelled; its failure does not fail the run.",
		.example = "make_cluster" },
	{ .key = "fails_run", .type = FIELD_BOOL,
		.help = "Whether the run fails when this task does. Default: true, of a teardown "
			"false." },
	{ .key = "sla", .type = FIELD_OBJECT, .fields = sla_fields,
		.help = "Until when it has to be done, and how long it may take; see SLA." },
	{ .key = "consumes", .type = FIELD_LIST, .item = &dataset_item, .flags = FIELD_OR_ONE,
		.help = "Datasets it reads: it waits while the quality breaker of one is open.",
		.example = "sales.daily" },
	{ .key = "produces", .type = FIELD_LIST, .item = &dataset_item, .flags = FIELD_OR_ONE,
		.has_max = true, .max = DATASET_RULE_MAX,
		.help = "Datasets that its success updates, for the run's data interval; see "
			"weir-datasets(7).",
		.example = "sales.daily" },
	{ .key = "quality_breaker", .type = FIELD_OBJECT, .fields = quality_fields,
		.help = "Of a quality task: what its checks say of a dataset holds the consumers "
			"of that, in all DAGs." },
	{ .key = "description", .type = FIELD_STRING, .help = "For people." },
	POLICY_FIELDS,
	{ 0 },
};
/* clang-format on */

const struct field dagfile_group_fields[] = {
	{ .key = "group",
		.type = FIELD_ANY,
		.help = "Its tasks by name, and groups in it.",
		.example = "{ orders: { run: ./load.sh orders } }" },
	{ .key = "include",
		.type = FIELD_LIST,
		.item = &include_item,
		.flags = FIELD_OR_ONE,
		.help = "Fragments whose tasks and defaults are the group's, too." },
	{ .key = "needs",
		.type = FIELD_LIST,
		.item = &need_item,
		.flags = FIELD_OR_ONE,
		.help = "Tasks and groups that its first tasks need: those that need none of its "
			"own." },
	{ .key = "defaults",
		.type = FIELD_OBJECT,
		.fields = defaults_fields,
		.help = "Settings of its tasks that do not set them themselves; they go over those "
			"of "
			"the DAG." },
	{ .key = "description", .type = FIELD_STRING, .help = "For people." },
	{ 0 },
};

const struct field dagfile_fragment_fields[] = {
	{ .key = "fragment",
		.type = FIELD_STRING,
		.flags = FIELD_REQUIRED,
		.help = "What it is, for people. The key tells a fragment from a DAG.",
		.example = "the nightly loads" },
	{ .key = "include",
		.type = FIELD_LIST,
		.item = &include_item,
		.flags = FIELD_OR_ONE,
		.help = "Further fragments." },
	{ .key = "takes",
		.type = FIELD_MAP,
		.item = &any_item,
		.help = "What each include gives it, by name, with the default; without one it "
			"must be given. {{ include.NAME }} in keys and values is replaced by it.",
		.example = "{ table: , retries: 3 }" },
	{ .key = "params",
		.type = FIELD_MAP,
		.item = &any_item,
		.help = "Params of the DAG that includes it." },
	{ .key = "defaults",
		.type = FIELD_OBJECT,
		.fields = defaults_fields,
		.help = "Defaults of the DAG or group that includes it." },
	{ .key = "tasks",
		.type = FIELD_ANY,
		.help = "Tasks and groups of the DAG or group that includes it." },
	{ 0 },
};

const struct field dagfile_fields[] = {
	{ .key = "dag",
		.type = FIELD_NAME,
		.flags = FIELD_REQUIRED,
		.help = "Name of the DAG; unique among all.",
		.example = "nightly_sales" },
	{ .key = "description", .type = FIELD_STRING, .help = "For people." },
	{ .key = "owner", .type = FIELD_STRING, .help = "Who is asked about it." },
	{ .key = "severity",
		.type = FIELD_ENUM,
		.values = severity_names,
		.help = "How bad it is when a run of it fails or misses its SLA, for the routes of "
			"alerts; critical is told in quiet hours, too. Default: error." },
	{ .key = "tags",
		.type = FIELD_LIST,
		.item = &text_item,
		.flags = FIELD_OR_ONE,
		.help = "Words to find and route it by." },
	{ .key = "runbook",
		.type = FIELD_STRING,
		.help = "What to do when it fails: a file or an address." },
	{ .key = "schedule",
		.type = FIELD_ANY,
		.help = "When it runs; see below. Default: manual." },
	{ .key = "max_active_tasks",
		.type = FIELD_INT,
		.has_min = true,
		.min = 1,
		.has_max = true,
		.max = 100000,
		.help = "How many of its tasks run at once, over all its runs. Default: as many as "
			"there are jobs." },
	{ .key = "priority_weight",
		.type = FIELD_ENUM,
		.values = priority_weight_names,
		.def = "own",
		.help = "What counts as a task's priority: its own, or the sum of its own and "
			"those "
			"of all tasks that wait for it, directly or not (downstream)." },
	{ .key = "include",
		.type = FIELD_LIST,
		.item = &include_item,
		.flags = FIELD_OR_ONE,
		.help = "Fragments: files, relative to the DAG's folder, whose params, defaults "
			"and tasks are the DAG's, too; see below.",
		.example = "shared/load.yaml" },
	{ .key = "sla",
		.type = FIELD_OBJECT,
		.fields = sla_fields,
		.help = "Until when a run has to be done, and how long it may take; see SLA.",
		.example = "{ finish_by: \"06:30\", warn_ahead: 30m }" },
	{ .key = "params",
		.type = FIELD_MAP,
		.item = &any_item,
		.help = "Values a run can be given; {{ params.NAME }} in templates." },
	{ .key = "defaults",
		.type = FIELD_OBJECT,
		.fields = defaults_fields,
		.help = "Settings of all tasks that do not set them themselves." },
	{ .key = "tasks",
		.type = FIELD_ANY,
		.flags = FIELD_REQUIRED,
		.help = "The tasks and groups by name; see below.",
		.example = "{ hello: { run: echo hello } }" },
	{ 0 },
};

/* ---- JSON Schema ---------------------------------------------------------------------- */

/* One alternative of a task: its kind and operator with that operator's parameters. */
static json_t *operator_rule(enum task_kind kind, const char *name, const struct field *params)
{
	return json_pack("{s:{s:{s:{s:s}}, s:[s]}, s:{s:{s:o}}}", "if", "properties",
		task_kind_name(kind), "const", name, "required", task_kind_name(kind), "then",
		"properties", "with", schema_json(params, name));
}

static json_t *task_schema(const struct dagfile_operators *ops)
{
	json_t *task = schema_json_part(dagfile_task_fields, "A task: one kind with its operator.");
	json_t *rules = json_array(), *kinds = json_array();

	for (int kind = 0; kind < TASK_KIND_MAX; kind++) {
		const char *const *names = kind == TASK_RUN ? NULL : ops->names(kind);
		json_t *values = json_array();
		for (; names && *names; names++) {
			json_array_append_new(values, json_string(*names));
			json_array_append_new(
				rules, operator_rule(kind, *names, ops->params(kind, *names)));
		}
		json_t *property =
			json_object_get(json_object_get(task, "properties"), task_kind_name(kind));
		if (json_array_size(values))
			json_object_set(property, "enum", values);
		json_decref(values);
		json_array_append_new(
			kinds, json_pack("{s:[s]}", "required", task_kind_name(kind)));
	}
	json_t *properties = json_object_get(task, "properties");
	json_t *mapping = foreach_json_schema();
	json_object_set(mapping, "description",
		json_object_get(json_object_get(properties, "foreach"), "description"));
	json_object_set_new(properties, "foreach", mapping);
	json_object_set_new(task, "oneOf", kinds);
	json_object_set_new(task, "allOf", rules);
	return task;
}

static const char tasks_ref[] = "#/$defs/tasks";

/* Tasks and groups by name; of groups, tasks and groups by name. */
static json_t *schema_defs(const struct dagfile_operators *ops)
{
	json_t *group = schema_json_part(dagfile_group_fields, "Tasks under one name.");
	json_t *tasks = json_pack("{s:s, s:i, s:{s:{s:[{s:[s]}, {s:[s]}]}, s:{s:s}, s:{s:s}}}",
		"type", "object", "minProperties", 1, "additionalProperties", "if", "anyOf",
		"required", "group", "required", "include", "then", "$ref", "#/$defs/group", "else",
		"$ref", "#/$defs/task");

	json_object_set_new(json_object_get(group, "properties"), "group",
		json_pack("{s:s}", "$ref", tasks_ref));
	return json_pack(
		"{s:o, s:o, s:o}", "task", task_schema(ops), "group", group, "tasks", tasks);
}

json_t *dagfile_json_schema(const struct dagfile_operators *ops)
{
	json_t *root = schema_json(dagfile_fields, "A DAG of Weir; see weir-dag(5).");
	json_t *props = json_object_get(root, "properties");

	if (!props) {
		json_decref(root);
		return NULL;
	}
	json_object_set_new(
		root, "$schema", json_string("https://json-schema.org/draft/2020-12/schema"));
	json_object_set_new(props, "schedule",
		json_pack("{s:[{s:s}, o]}", "oneOf", "type", "string",
			schema_json(schedule_fields, "When it runs.")));
	json_object_set_new(props, "params",
		json_pack("{s:s, s:{s:[o, {s:[s,s,s,s]}]}}", "type", "object",
			"additionalProperties", "oneOf",
			schema_json(dagfile_param_fields, "A param."), "type", "string", "number",
			"boolean", "null"));
	json_object_set_new(props, "tasks", json_pack("{s:s}", "$ref", tasks_ref));
	json_object_set_new(root, "$defs", schema_defs(ops));
	/* The tasks may all be included. */
	json_object_set_new(root, "required", json_pack("[s]", "dag"));
	json_object_set_new(root, "anyOf",
		json_pack("[{s:[s]}, {s:[s]}]", "required", "tasks", "required", "include"));
	return root;
}
