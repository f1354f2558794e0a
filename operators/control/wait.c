/* control: wait */
#include <string.h>

#include "base/civil.h"
#include "base/err.h"
#include "base/node.h"
#include "base/units.h"
#include "conf/diag.h"
#include "core/dataset.h"
#include "operators/operators.h"

extern const struct operator operator_control_wait;

static const char *const late_names[] = { "fail", "skip", NULL };

static const struct field params[] = {
	{ .key = "path",
		.type = FIELD_PATH,
		.flags = FIELD_TEMPLATE,
		.help = "Wait for a file, or for files by a pattern of glob(7).",
		.example = "\"/data/in/{{ ds }}/orders*.csv\"" },
	{ .key = "min_age",
		.type = FIELD_DURATION,
		.def = "0s",
		.help = "Of path: each file was last written at least so long ago." },
	{ .key = "min_size",
		.type = FIELD_SIZE,
		.def = "0",
		.help = "Of path: each file is at least so large." },
	{ .key = "time",
		.type = FIELD_STRING,
		.flags = FIELD_TEMPLATE,
		.help = "Wait for an instant; a date and time without an offset is one of the "
			"schedule's zone. A duration: so long after the interval's end.",
		.example = "6h" },
	{ .key = "run",
		.type = FIELD_NAME,
		.flags = FIELD_TEMPLATE,
		.help = "Wait until the run of that DAG for the same interval has succeeded.",
		.example = "orders" },
	{ .key = "task",
		.type = FIELD_STRING,
		.flags = FIELD_TEMPLATE,
		.help = "Of run: this task of it, rather than all." },
	{ .key = "dataset",
		.type = FIELD_STRING,
		.flags = FIELD_TEMPLATE,
		.help = "Wait until updates of this dataset cover the run's data interval; see "
			"weir-datasets(7).",
		.example = "sales.daily" },
	{ .key = "newer_than",
		.type = FIELD_DURATION,
		.has_min = true,
		.min = US_PER_SECOND,
		.help = "Of dataset: any update will do that is not older than this, whatever its "
			"interval." },
	{ .key = "poll",
		.type = FIELD_DURATION,
		.has_min = true,
		.min = US_PER_SECOND,
		.def = "30s",
		.help = "How often it is looked for; up to a tenth more, by chance, so that not "
			"all look at once." },
	{ .key = "timeout",
		.type = FIELD_DURATION,
		.has_min = true,
		.min = US_PER_SECOND,
		.help = "For how long, since it began to wait. Default: for ever." },
	{ .key = "on_timeout",
		.type = FIELD_ENUM,
		.values = late_names,
		.def = "fail",
		.help = "What becomes of the task then. It is not tried again." },
	{ .key = NULL },
};

static const struct operator_output outputs[] = {
	{ "path", "Of path: the first file, by name." },
	{ "files", "Of path: how many there were." },
	{ "bytes", "Of path: how large they are together." },
	{ "at", "Of time: the instant, of dataset: that of the update; in UTC." },
	{ "run", "Of run: its name; of dataset: that of the run which updated it." },
	{ "dataset", "Of dataset: its name." },
	{ NULL, NULL },
};

static void belongs(const struct operator_check *c, const char *key, const char *to)
{
	const struct node *at = node_get(c->with, key);

	if (at && !node_get(c->with, to))
		diag_node(c->diags, DIAG_ERROR, at, "%s: belongs to %s", key, to);
}

static void check_time(const struct operator_check *c)
{
	const struct node *at = node_get(c->with, "time");
	const char *text = node_text(at);
	struct civil_text civil;
	int64_t us;

	if (!text || strstr(text, "{{") || units_parse_duration(text, &us, NULL) == 0 ||
		civil_parse(text, &civil, NULL) == 0)
		return;
	diag_node(c->diags, DIAG_ERROR, at, "\"%s\" is neither an instant nor a duration", text);
	diag_hint(c->diags, "for example: 2026-11-20T06:30, or 6h (behind the interval's end)");
}

static void check_dataset(const struct operator_check *c)
{
	const struct node *at = node_get(c->with, "dataset");
	const char *text = node_text(at);

	if (!text || strstr(text, "{{") || dataset_is_name(text))
		return;
	diag_node(c->diags, DIAG_ERROR, at, "\"%s\" cannot be a dataset's name", text);
	diag_hint(c->diags, "letters, digits, _, . and -; for example: sales.daily");
}

static void check(const struct operator_check *c)
{
	static const char *const ways[] = { "path", "time", "run", "dataset" };
	int n = 0;

	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
		n += node_get(c->with, ways[i]) != NULL;
	if (n != 1) {
		diag_node(c->diags, DIAG_ERROR, c->with,
			"wait needs one of path, time, run and dataset");
		diag_hint(c->diags, "for example: with: { path: \"in/{{ ds }}.csv\" }");
	}
	belongs(c, "min_age", "path");
	belongs(c, "min_size", "path");
	belongs(c, "task", "run");
	belongs(c, "newer_than", "dataset");
	check_dataset(c);
	belongs(c, "on_timeout", "timeout");
	check_time(c);
}

const struct operator operator_control_wait = {
	.kind = TASK_CONTROL,
	.name = "wait",
	.summary = "Wait for files, a time, another DAG's run, or a dataset.",
	.doc = "While it waits the task is deferred: it takes no process and no slot of a pool, of "
	       "its DAG or of the jobs, but is looked at again when it is time. Until when it "
	       "waits is kept with the run; a daemon that is started again goes on waiting, for "
	       "what is left of the timeout.\n\n"
	       "A run that failed is waited for further: it may be done again. A dataset is looked "
	       "at as soon as the daemon has seen an update of it. While the DAG is "
	       "paused nothing is looked for. Retries do not count looks: what is not there yet "
	       "spends none.",
	.params = params,
	.outputs = outputs,
	.example = "arrived:\n  control: wait\n"
		   "  with: { path: \"in/{{ ds }}/orders*.csv\", min_age: 2m, timeout: 6h }\n",
	.check = check,
	.in_loop = true,
};
