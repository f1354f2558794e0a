/* Runs of the store, as the commands that look show them. */
#ifndef WEIR_CLI_RUNVIEW_H
#define WEIR_CLI_RUNVIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/term.h"
#include "store/store.h"

struct buf;

/* It is marked as running, but the process that ran it is gone: killed, or the machine
 * restarted. */
bool runview_abandoned(const struct run_row *r);
/* "success", "failed", ...; "abandoned" for such a run. */
const char *runview_state(const struct run_row *r);
enum style runview_style(const struct run_row *r);
enum style runview_task_style(enum task_state s);
/* How long it took or takes; -1: it did not start. */
int64_t runview_took_us(const struct run_row *r, int64_t now_us);
/* Append how long, or nothing. */
const char *runview_took(int64_t us, char *buf, size_t size);
/* Append an instant as the clock of the run's zone shows it, 2026-11-19T02:00:00+01:00. In UTC
 * where this machine does not know the zone. */
void runview_add_zoned(struct buf *out, const char *zone, int64_t at_us);
/* The note about an interval that has not ended; "" for one that has. */
const char *runview_unended(
	const char *zone, int64_t interval_end_us, int64_t now_us, char *buf, size_t size);
/* New reference. */
json_t *runview_json(const struct run_row *r);
json_t *runview_task_json(const struct task_row *t);
json_t *runview_attempt_json(const struct attempt_row *a);
json_t *runview_check_json(const struct check_row *c);
json_t *runview_event_json(const struct event_row *e);
json_t *runview_audit_json(const struct audit_row *a);

#endif
