/* SLAs, as the commands that look show them. */
#ifndef WEIR_CLI_SLAVIEW_H
#define WEIR_CLI_SLAVIEW_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/term.h"
#include "core/sla.h"
#include "store/store.h"

struct buf;
struct dag;
struct err;

/* "finish_by 06:30", "slower_than 2x"; returns buf. */
const char *slaview_policy(const struct sla *s, enum sla_kind kind, char *buf, size_t size);
/* Until when the run of an interval has to be done by the SLA of its DAG; INT64_MAX: none says. */
int64_t slaview_deadline_us(const struct dag *dag, int64_t start_us, int64_t end_us);
/* Append an instant as a clock in the DAG's zone shows it: 2026-11-19T06:30:00+01:00. */
void slaview_add_time(struct buf *out, const struct dag *dag, int64_t at_us);
/* New reference. */
json_t *slaview_miss_json(const struct sla_miss *m);
/* What is missed or at risk now: JSON, or a line for each, at most `max` (0: all). */
json_t *slaview_open_json(struct store *s, struct err *err);
int slaview_add_open(
	struct store *s, const struct term *t, int max, struct buf *out, struct err *err);

#endif
