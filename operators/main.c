/* The life of an operator's process, from its payload to its report. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"
#include "base/utf8.h"
#include "operators/operators.h"

/* ---- payload ------------------------------------------------------------------------- */

static json_t *key_json(const struct table_key *k)
{
	return json_pack("{s:s*, s:s*, s:i, s:s*, s:s*, s:I, s:I}", "dag", k->dag, "task", k->task,
		"map_index", k->map_index, "interval_start", k->interval_start, "interval_end",
		k->interval_end, "token", (json_int_t)k->token, "work", (json_int_t)k->work);
}

char *operator_payload_text(const struct operator_payload *p)
{
	json_t *with = p->with ? json_incref(p->with) : json_object();
	json_t *connections = p->connections ? json_incref(p->connections) : json_object();
	json_t *all = json_pack("{s:s, s:s, s:o, s:o, s:s*, s:s*, s:s*, s:s*, s:o, s:i}", "kind",
		task_kind_name(p->task->kind), "operator", p->task->op, "with", with, "connections",
		connections, "dir", p->dir, "run_id", p->run_id, "ds", p->ds, "report",
		p->report_path, "key", key_json(&p->key), "try", p->try);
	char *text = all ? json_dumps(all, JSON_COMPACT) : NULL;

	json_decref(all);
	return text;
}

static const char *string(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static int64_t integer(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void read_job(const json_t *payload, struct operator_job *job)
{
	const json_t *key = json_object_get(payload, "key");

	*job = (struct operator_job){
		.with = json_object_get(payload, "with"),
		.connections = json_object_get(payload, "connections"),
		.dir = string(payload, "dir"),
		.run_id = string(payload, "run_id"),
		.ds = string(payload, "ds"),
		.key = {
			.dag = string(key, "dag"),
			.task = string(key, "task"),
			.map_index = (int)integer(key, "map_index"),
			.interval_start = string(key, "interval_start"),
			.interval_end = string(key, "interval_end"),
			.token = integer(key, "token"),
			.work = integer(key, "work"),
		},
		.try = (int)integer(payload, "try"),
		.outputs = json_object(),
		.checks = json_array(),
	};
}

/* ---- running and reporting ----------------------------------------------------------- */

static int run_job(const json_t *payload, struct operator_job *job, struct err *err)
{
	const char *kind = string(payload, "kind"), *name = string(payload, "operator");
	int k = kind ? task_kind_by_name(kind) : -1;
	const struct operator* op = k >= 0 && name ? operator_find((enum task_kind)k, name) : NULL;

	if (!op)
		return err_set(err, ERR_INTERNAL, "there is no operator %s: %s",
			kind ? kind : "(none)", name ? name : "(none)");
	if (!job->with || !job->key.dag || !job->key.task || !job->outputs || !job->checks)
		return err_set(err, ERR_INTERNAL, "the payload is not complete");
	if (job->dir && chdir(job->dir) < 0)
		return err_errno(err, "%s", job->dir);
	if (op->run(job, err) < 0) {
		/* An operator that fails must say why. */
		if (err->code == ERR_NONE)
			err_set(err, ERR_INTERNAL, "%s: %s failed without a reason", kind, name);
		return -1;
	}
	err_clear(err);
	return 0;
}

static json_t *error_json(const struct err *err)
{
	json_t *e = json_pack("{s:s, s:b}", "code", err_info(err->code)->name, "transient",
		err_info(err->code)->transient);

	json_t *message = json_string(err->msg);
	if (!message) {
		/* Bytes of the data, or a cut within a character. */
		char clean[sizeof err->msg];
		memcpy(clean, err->msg, sizeof clean);
		utf8_clean(clean, strlen(clean));
		message = json_string(clean);
	}
	json_object_set_new(e, "message", message);
	if (err->file[0]) {
		json_object_set_new(e, "file", json_string(err->file));
		json_object_set_new(e, "line", json_integer(err->line));
		json_object_set_new(e, "col", json_integer(err->col));
	}
	return e;
}

static int write_report(
	const char *path, const struct operator_job *job, const struct err *error, struct err *err)
{
	json_t *report = json_pack("{s:O, s:O}", "outputs", job->outputs, "checks", job->checks);

	if (error->code != ERR_NONE)
		json_object_set_new(report, "error", error_json(error));
	char *text = report ? json_dumps(report, JSON_INDENT(1)) : NULL;
	int rc = text ? io_write_file(path, text, strlen(text), err) : err_nomem(err);
	free(text);
	json_decref(report);
	return rc;
}

static int finish(const char *report, struct operator_job *job, struct err *err)
{
	char text[sizeof(struct err) + 64];
	struct err report_err;

	fflush(stdout);
	if (err->code != ERR_NONE)
		fprintf(stderr, "error: %s\n", err_format(err, text, sizeof text));
	if (report && write_report(report, job, err, &report_err) < 0) {
		fprintf(stderr, "error: the report cannot be written: %s\n",
			err_format(&report_err, text, sizeof text));
		return OPERATOR_EXIT_TRANSIENT;
	}
	if (err->code == ERR_NONE)
		return 0;
	return err_info(err->code)->transient ? OPERATOR_EXIT_TRANSIENT : OPERATOR_EXIT_PERMANENT;
}

int operator_main(const char *payload, size_t len)
{
	json_error_t why;
	struct operator_job job;
	struct err err;

	/* What was printed is in the log even when the process is killed. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	err_clear(&err);
	json_t *root = json_loadb(payload, len, 0, &why);
	if (!root) {
		fprintf(stderr, "error: the operator's payload cannot be read: %s\n", why.text);
		return OPERATOR_EXIT_PERMANENT;
	}
	read_job(root, &job);
	run_job(root, &job, &err);
	int status = finish(string(root, "report"), &job, &err);
	json_decref(job.outputs);
	json_decref(job.checks);
	json_decref(root);
	return status;
}
