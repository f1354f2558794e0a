/* `schedule:` of a DAG file to a schedule_spec (core/timetable.h). */
#ifndef WEIR_CONF_SCHEDULE_H
#define WEIR_CONF_SCHEDULE_H

#include "conf/schema.h"

struct arena;
struct config;
struct diags;
struct node;
struct schedule_spec;
struct zone;

struct schedule_env {
	const char *dir; /* where calendar files are looked for; NULL: they are not read */
	const struct config *config; /* named calendars; NULL: there are none */
	/* Told of each calendar file; may be NULL. */
	void (*file)(void *arg, const char *path);
	void *arg;
};

/* Load `n`: a mapping, or for short a cron expression or the word manual. Arrays and spec live in
 * `arena`; *ret_zone is the caller's to zone_free (NULL for UTC), also on errors. NULL when there
 * are errors (in diags). */
const struct schedule_spec *schedule_load(const struct node *n, const struct schedule_env *env,
	struct arena *arena, struct zone **ret_zone, struct diags *diags);

extern const struct field schedule_fields[];

#endif
