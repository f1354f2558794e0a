/* What the files of the operations share; nobody else includes it. */
#ifndef WEIR_RUN_OPS_IMPL_H
#define WEIR_RUN_OPS_IMPL_H

#include "core/model.h"
#include "core/timetable.h"
#include "core/zone.h"
#include "run/ops.h"
#include "store/store.h"

/* ---- run/ops_interval.c ---------------------------------------------------------------- */

/* The schedule of a DAG, a manual one where it has none; its zone, never NULL. */
const struct schedule_spec *ops_schedule(const struct dag *dag);
const struct zone *ops_zone(const struct dag *dag);
/* One end of a range, by a date or an instant: the first microsecond it covers, or the last. What
 * was given is named by `option`. ERR_USAGE. */
int ops_range_end(const struct zone *zone, const char *option, const char *text, bool last,
	int64_t *ret_us, struct err *err);
/* The same back to text: the date where the instant is the first or the last of a local day, else
 * RFC 3339. New references. */
json_t *ops_json_range_end(const struct zone *zone, int64_t at_us, bool last);
/* RFC 3339 with the zone's offset. */
json_t *ops_json_instant(const struct zone *zone, int64_t at_us);
/* The same, and null for 0: not yet. */
json_t *ops_json_time(const struct zone *zone, int64_t at_us);

/* ---- run/ops.c ------------------------------------------------------------------------- */

json_t *ops_json_text(const char *text); /* NULL gives null */
const char *ops_by(const struct ops *o);
/* Who and why are shown for ever: UTF-8 on one line, of a sane length. ERR_USAGE. */
int ops_check_reason(const char *reason, struct err *err);
/* Hand an answer out, which is NULL when memory ran out while it was made. */
int ops_answer(json_t *made, json_t **ret, struct err *err);
void ops_tell(const struct ops *o, enum ops_event what, const char *dag, int64_t id);
/* run/ops_incident.c: who hears what a person does to an incident: who was told of it. In `a`. */
void ops_route_incident(
	const struct ops *o, const struct incident *i, struct arena *a, struct incident_put *put);
/* `by` is filled in where it is NULL. */
void ops_note(const struct ops *o, struct ops_note n);
/* ERR_NOT_FOUND names the nearest. */
const struct task *ops_find_task(const struct dag *dag, const char *name, struct err *err);
/* Whether the DAG, or all of them, are paused. */
int ops_is_paused(struct store *s, const char *dag, bool *ret, struct err *err);
/* What the changes of a batch that people asked for mean to incidents of the run's DAG, as the
 * engine does it for those of a run in hand: into the batch; kept in `a`. */
struct arena;
int ops_collect_incidents(const struct ops *o, const struct run_row *run, const struct dag *dag,
	struct arena *a, struct store_batch *batch);
/* A process works on the run, or a daemon is going to. */
bool ops_run_is_active(const struct run_row *run, int64_t now_us);
/* Params as JSON text, owned: those given, as "name=value", with defaults for the others; NULL with
 * err. */
char *ops_params(const struct dag *dag, const char *const *given, struct err *err);

#endif
