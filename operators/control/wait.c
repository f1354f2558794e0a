/* control: wait */
#include <string.h>

#include "base/civil.h"
#include "base/err.h"
#include "base/node.h"
#include "base/units.h"
#include "base/utf8.h"
#include "conf/diag.h"
#include "core/dataset.h"
#include "operators/control/wait_look.h"
#include "operators/operators.h"
#include "operators/support.h"

extern const struct operator operator_control_wait;

static const char *const late_names[] = { "fail", "skip", NULL };
static const char *const method_names[] = { "GET", "HEAD", "POST", "PUT", NULL };

static const struct field status = { .type = FIELD_STRING };
static const struct field header_name = { .type = FIELD_NAME };
static const struct field header_value = { .type = FIELD_STRING,
	.flags = FIELD_TEMPLATE | FIELD_MAY_REFER };

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
	{ .key = "connection",
		.type = FIELD_CONNECTION,
		.help = "Of sql: the database that is asked. Nothing is written to it.",
		.example = "warehouse" },
	{ .key = "sql",
		.type = FIELD_SQL,
		.help = "Wait until the first column of the first row of this query is true: not "
			"null, 0 or the text \"\", \"0\" or \"false\"; or what expect says.",
		.example = "\"SELECT count(*) FROM orders WHERE day = {{ ds }}\"" },
	{ .key = "url",
		.type = FIELD_STRING,
		.flags = FIELD_TEMPLATE,
		.help = "Wait for what an HTTP server answers.",
		.example = "\"https://api.example.com/export/{{ ds }}\"" },
	{ .key = "method",
		.type = FIELD_ENUM,
		.values = method_names,
		.def = "GET",
		.help = "Of url: how it is asked. It is asked again and again: what is sent must "
			"do no harm." },
	{ .key = "headers",
		.type = FIELD_MAP,
		.item = &header_value,
		.help = "Of url: headers to send, by name. A secret one is a reference to where it "
			"is: {env: NAME} or {file: PATH}.",
		.example = "{ X-Api-Key: { env: EXPORT_KEY } }" },
	{ .key = "bearer",
		.type = FIELD_STRING,
		.flags = FIELD_SECRET,
		.help = "Of url: the token of an Authorization header: {env: NAME} or {file: "
			"PATH}." },
	{ .key = "body",
		.type = FIELD_STRING,
		.flags = FIELD_TEMPLATE,
		.help = "Of url: what to send, with POST and PUT." },
	{ .key = "status",
		.type = FIELD_LIST,
		.flags = FIELD_OR_ONE,
		.has_min = true,
		.min = 1,
		.item = &status,
		.def = "2xx",
		.help = "Of url: HTTP statuses that are waited for; 2xx is any from 200 to 299.",
		.example = "[200, 204]" },
	{ .key = "fail_on",
		.type = FIELD_LIST,
		.flags = FIELD_OR_ONE,
		.item = &status,
		.help = "Of url: statuses that fail the task, for no look will find another. "
			"Default: 400, 401, 403, 405, 407, 410 and 501.",
		.example = "[401]" },
	{ .key = "match",
		.type = FIELD_REGEX,
		.help = "Of url: a pattern (pcre2) that is found in the answer." },
	{ .key = "json",
		.type = FIELD_STRING,
		.flags = FIELD_TEMPLATE,
		.help = "Of url: a JSON pointer (RFC 6901) to a value of the answer that is true, "
			"as with sql, or what expect says.",
		.example = "/status" },
	{ .key = "expect",
		.type = FIELD_VALUE,
		.flags = FIELD_TEMPLATE,
		.help = "Of sql and json: the value that is waited for.",
		.example = "done" },
	{ .key = "keep",
		.type = FIELD_LIST,
		.flags = FIELD_OR_ONE,
		.item = &header_name,
		.help = "Of url: headers of the answer that become outputs: X-Batch-Id is "
			"x_batch_id.",
		.example = "[ETag]" },
	{ .key = "redirects",
		.type = FIELD_INT,
		.has_min = true,
		.min = 0,
		.has_max = true,
		.max = 20,
		.def = "0",
		.help = "Of url: how many redirects are followed. Headers go along, wherever they "
			"lead." },
	{ .key = "max_bytes",
		.type = FIELD_SIZE,
		.has_min = true,
		.min = 1,
		.has_max = true,
		.max = 64 << 20,
		.def = "1MB",
		.help = "Of url: a larger answer fails the task." },
	{ .key = "ca",
		.type = FIELD_FILE,
		.help = "Of url: certificates that are trusted, a file in PEM. Default: those of "
			"the system." },
	{ .key = "look_timeout",
		.type = FIELD_DURATION,
		.has_min = true,
		.min = US_PER_SECOND,
		.has_max = true,
		.max = 10.0 * US_PER_MINUTE,
		.def = "30s",
		.help = "Of sql and url: how long one look may take." },
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
	{ "COLUMN", "Of sql: each column of the first row, by name." },
	{ "status", "Of url: the HTTP status." },
	{ "body", "Of url: the answer, where it is text and not larger than 16 KiB." },
	{ "value", "Of json: the value." },
	{ "HEADER", "Of keep: each of these headers, null where it was not sent." },
	{ NULL, NULL },
};

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

/* What belongs to what: at least one of the keys behind it must be there. */
static const struct {
	const char *key, *to[3];
} parts[] = {
	{ "min_age", { "path" } },
	{ "min_size", { "path" } },
	{ "task", { "run" } },
	{ "newer_than", { "dataset" } },
	{ "on_timeout", { "timeout" } },
	{ "connection", { "sql" } },
	{ "method", { "url" } },
	{ "headers", { "url" } },
	{ "bearer", { "url" } },
	{ "body", { "url" } },
	{ "status", { "url" } },
	{ "fail_on", { "url" } },
	{ "match", { "url" } },
	{ "json", { "url" } },
	{ "expect", { "sql", "json" } },
	{ "keep", { "url" } },
	{ "redirects", { "url" } },
	{ "max_bytes", { "url" } },
	{ "ca", { "url" } },
	{ "look_timeout", { "sql", "url" } },
};

static void check_parts(const struct operator_check *c)
{
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		const struct node *at = node_get(c->with, parts[i].key);
		const char *const *to = parts[i].to;
		if (!at || node_get(c->with, to[0]) || (to[1] && node_get(c->with, to[1])))
			continue;
		diag_node(c->diags, DIAG_ERROR, at, "%s: belongs to %s%s%s", parts[i].key, to[0],
			to[1] ? " or " : "", to[1] ? to[1] : "");
	}
	if (node_get(c->with, "sql") && !node_get(c->with, "connection")) {
		diag_node(c->diags, DIAG_ERROR, node_key(c->with, "sql"),
			"sql: needs a connection, which says where to ask");
		diag_hint(c->diags, "for example: connection: warehouse");
	}
}

static void check(const struct operator_check *c)
{
	static const char *const ways[] = { "path", "time", "run", "dataset", "sql", "url" };
	int n = 0;

	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
		n += node_get(c->with, ways[i]) != NULL;
	if (n != 1) {
		diag_node(c->diags, DIAG_ERROR, c->with,
			"wait needs one of path, time, run, dataset, sql and url");
		diag_hint(c->diags, "for example: with: { path: \"in/{{ ds }}.csv\" }");
	}
	check_parts(c);
	check_dataset(c);
	check_time(c);
	wait_look_check_http(c);
}

/* ---- one look of those that need a process -------------------------------------------- */

static int look(struct operator_job *job, struct err *err)
{
	struct wait_look l = { .found = json_object() };
	int rc = -1;

	if (!l.found)
		err_nomem(err);
	else if (json_object_get(job->with, "url"))
		rc = wait_look_http(job, &l, err);
	else
		rc = wait_look_sql(job, &l, err);
	if (rc == 0) {
		utf8_clean(l.said, strlen(l.said));
		json_object_set_new(job->outputs, "there", json_boolean(l.there));
		json_object_set_new(job->outputs, "said", json_string(l.said));
		json_object_set(job->outputs, "found", l.found);
		support_note(l.said);
	}
	json_decref(l.found);
	return rc;
}

const struct operator operator_control_wait = {
	.kind = TASK_CONTROL,
	.name = "wait",
	.summary = "Wait for files, a time, a run, a dataset, a query or an HTTP answer.",
	.doc = "While it waits the task is deferred: it takes no process and no slot of a pool, of "
	       "its DAG or of the jobs, but is looked at again when it is time. Until when it "
	       "waits is kept with the run; a daemon that is started again goes on waiting, for "
	       "what is left of the timeout.\n\n"
	       "A query or a request is made by a short process of its own, a look: at most 16 at "
	       "once (weir daemon --looks), whatever pools and limits say. A look spends no try "
	       "and leaves nothing in the history; weir show and weir why tell what looks find, "
	       "and since when, weir logs what the last one printed. Where one cannot know, it is "
	       "as if it were not there yet: no answer within look_timeout, a connection or name "
	       "that is refused, HTTP 408, 425, 429 and 5xx, a database that is locked or, like a "
	       "table, not there. What stays so fails the task: a query that is wrong, a "
	       "certificate that is not trusted, a secret or URL that is none, an answer larger "
	       "than max_bytes, a status of fail_on.\n\n"
	       "A circuit breaker of the task that is open holds its looks; its timeout goes on. "
	       "A look that could not know counts for the breaker as a failed attempt, any other "
	       "one as one that succeeded; looks for files, times, runs and datasets count "
	       "nothing.\n\n"
	       "A run that failed is waited for further: it may be done again. A dataset is looked "
	       "at as soon as the daemon has seen an update of it. While the DAG is "
	       "paused nothing is looked for. Retries do not count looks: what is not there yet "
	       "spends none.",
	.params = params,
	.outputs = outputs,
	.example = "arrived:\n  control: wait\n"
		   "  with: { path: \"in/{{ ds }}/orders*.csv\", min_age: 2m, timeout: 6h }\n",
	.check = check,
	.run = look,
	.in_loop = true,
};
