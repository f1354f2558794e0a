/* Operators: what an ingest, transform, quality or publish task does.
 *
 * One `const struct operator` per file, beside the code, and one table of them all (registry.c).
 * The rows of `params` are at once the check of `with:`, its conversion, the man page and the JSON
 * Schema.
 *
 * An operator runs in a process of its own, with stdout and stderr going to the attempt's log. It
 * is given its job as JSON (struct op_context) and answers with outputs and an error; it never
 * talks to the scheduler or its store.
 */
#ifndef WEIR_OPERATORS_H
#define WEIR_OPERATORS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/schema.h"
#include "core/model.h"
#include "data/table.h"

struct diags;
struct err;
struct node;

struct operator_output {
	const char *name, *help;
};

/* What an operator's own check sees, when the DAG is validated. */
struct operator_check {
	const struct task *task;
	const struct node *with; /* passed schema_check */
	const char *dir;         /* the DAG's folder; NULL: do not look at files */
	struct diags *diags;
};

struct operator_job {
	/* Read by the operator. */
	const json_t *with;        /* typed by its table, templates rendered, defaults filled in */
	const json_t *connections; /* object: those the task names, secrets resolved */
	const char *dir;           /* the DAG's folder, absolute; the working directory too */
	const char *run_id, *ds;
	struct table_key key; /* dag, task, interval, token */
	int try;
	/* Written by the operator. */
	json_t *outputs; /* object; scalars by name, as in its `outputs` rows, for tasks.T.outputs.*
			  */
	json_t *checks;  /* array of {name, severity, status, observed, expected, sample: [...]} */
};

struct operator
{
	enum task_kind kind;
	const char *name;    /* "file": used as `ingest: file` */
	const char *summary; /* one line */
	const char *doc;     /* paragraphs of plain text, empty line between: behaviour, NULLs,
				idempotence */
	const struct field *params;            /* NULL-key ended */
	const struct operator_output *outputs; /* NULL-name ended */
	const char *example;                   /* YAML of one task, checked by a test */
	/* Further checks at validation; may be NULL. */
	void (*check)(const struct operator_check *c);
	/* 0, or -1 with err; err's code tells whether a retry can help (err_info()->transient). */
	int (*run)(struct operator_job * job, struct err * err);
	/* It only looks at `with`: it is run where the scheduler is, without a process. For those
	 * that wait (struct task) run/control_wait.h looks there; their `run` is one look of those
	 * that need a process after all. */
	bool in_loop;
};

extern const struct operator* const operators[]; /* NULL-ended, in the order of kinds */
const struct operator* operator_find(enum task_kind kind, const char *name);

/* The exec_operator_fn: parse the payload, run the operator, write the report file that the
 * payload names ({"outputs": {...}, "checks": [...], "error": {"code": ..., "message": ...}}, by
 * io_write_file), print the error to stderr. Exit status 0, 1 (permanent error) or 75 (transient,
 * EX_TEMPFAIL of sysexits.h). */
int operator_main(const char *payload, size_t len);

enum { OPERATOR_EXIT_PERMANENT = 1, OPERATOR_EXIT_TRANSIENT = 75 };

/* Build the payload that operator_main reads; the caller frees it. NULL: out of memory. */
struct operator_payload {
	const struct task *task;
	json_t *with, *connections; /* borrowed */
	const char *dir, *run_id, *ds, *report_path;
	struct table_key key;
	int try;
};
char *operator_payload_text(const struct operator_payload *p);

#endif
