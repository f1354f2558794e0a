/* Names of runs: what people type and read. */
#ifndef WEIR_RUN_NAME_H
#define WEIR_RUN_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct run_key;
struct zone;

/* "nightly_sales@2026-11-19" for an interval of about a day or more, with the time where several
 * may start on one day, with both ends (the long form) where that name is taken. `ds`: the local
 * date of its start. Owned; NULL: no memory. */
char *run_name(const struct run_key *key, const char *ds, bool long_form);

/* The local date of an instant, "2026-11-19". `zone` NULL: UTC. */
void run_ds(const struct zone *zone, int64_t at_us, char *ret, size_t size);

enum { RUN_LABEL_MAX = 320 };
/* What people call a task: "fetch", or "fetch[3]" of an instance. */
const char *run_task_label(const char *task, int map_index, char buf[RUN_LABEL_MAX]);
/* The reverse: how many bytes of the label are the task's name, and the index, -1 without one.
 * False: what stands in brackets is none. */
bool run_split_label(const char *label, size_t *ret_len, int *ret_map_index);

#endif
