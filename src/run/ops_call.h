/* The operations as calls: one row each, with its HTTP method and path, the JSON it takes, and the
 * function that carries it out.
 *
 * The API serves these rows (http/routes.h); the command line calls them over HTTP where a daemon
 * runs, and directly where none does. Both thus take and give the same JSON.
 */
#ifndef WEIR_RUN_OPS_CALL_H
#define WEIR_RUN_OPS_CALL_H

#include <jansson.h>
#include <stdint.h>

struct err;
struct field;
struct ops;

enum ops_call_id {
	OPS_CALL_DAGS,
	OPS_CALL_DAG,
	OPS_CALL_PAUSE,
	OPS_CALL_RESUME,
	OPS_CALL_DRAIN,
	OPS_CALL_FREEZE,
	OPS_CALL_UNFREEZE,
	OPS_CALL_TRIGGER,
	OPS_CALL_BACKFILL,
	OPS_CALL_BACKFILLS,
	OPS_CALL_BACKFILL_SHOW,
	OPS_CALL_BACKFILL_PAUSE,
	OPS_CALL_BACKFILL_RESUME,
	OPS_CALL_BACKFILL_CANCEL,
	OPS_CALL_RETRY,
	OPS_CALL_CLEAR,
	OPS_CALL_MARK,
	OPS_CALL_SKIP,
	OPS_CALL_CANCEL,
	OPS_CALL_END_RETRIES,
	OPS_CALL_SET_OUTPUT,
	OPS_CALL_BREAKERS,
	OPS_CALL_BREAKER,
	OPS_CALL_BREAKER_OPEN,
	OPS_CALL_BREAKER_CLOSE,
	OPS_CALL_APPROVALS,
	OPS_CALL_APPROVE,
	OPS_CALL_REJECT,
	OPS_CALL_INCIDENTS,
	OPS_CALL_INCIDENTS_ALL,
	OPS_CALL_INCIDENT,
	OPS_CALL_INCIDENT_ACK,
	OPS_CALL_INCIDENT_SNOOZE,
	OPS_CALL_INCIDENT_RESOLVE,
	OPS_CALL_ALERTS,
	OPS_CALL_ALERTS_ALL,
	OPS_CALL_DATASETS,
	OPS_CALL_DATASET,
	OPS_CALL_DATASET_TOUCH,
	OPS_CALL_MAX
};

/* What the path names: {dag}, {task}, {run}, {breaker}, {dataset}, {id}. */
struct ops_target {
	const char *dag, *task, *run, *breaker, *dataset;
	int64_t id;
};

struct ops_call {
	const char *method, *path, *summary, *help;
	const struct field *body; /* NULL: it takes none */
	/* `body`: an object that fits its rows; what is absent has its default. */
	int (*call)(const struct ops *o, const struct ops_target *t, const json_t *body,
		json_t **ret, struct err *err);
};
extern const struct ops_call ops_calls[OPS_CALL_MAX];

/* {id} of a path: a number from 1. ERR_USAGE. */
int ops_call_id(const char *text, int64_t *ret, struct err *err);

#endif
