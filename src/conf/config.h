/* weir.yaml: connections and settings that are shared by DAGs. */
#ifndef WEIR_CONF_CONFIG_H
#define WEIR_CONF_CONFIG_H

#include <jansson.h>
#include <stdint.h>

#include "conf/schema.h"

struct alerts; /* core/alert.h */
struct config;
struct diags;
struct err;

/* The types of connections, by data/conn.h's rows; given by the caller, for conf knows no types. */
struct config_conn_type {
	const char *name;
	const struct field *fields;
};

/* Load `path`. NULL when there are errors (in diags). */
struct config *config_load(
	const char *path, const struct config_conn_type *types, struct diags *diags);
struct config *config_empty(void);
void config_free(struct config *c);
/* Where it comes from; NULL for an empty one. */
const char *config_path(const struct config *c);
const char *const *config_connections(const struct config *c); /* names, NULL-ended */
/* weir.yaml for a DAG in `dir`: `explicit_path` or WEIR_CONFIG if given, else the nearest one from
 * `dir` upwards, else $XDG_CONFIG_HOME/weir/weir.yaml (~/.config). Owned; NULL without err: there
 * is none. */
char *config_find(const char *explicit_path, const char *dir, struct err *err);
/* A connection as operators get it: defaults filled in, paths absolute (from weir.yaml's folder),
 * secrets resolved. The resolved secret values are appended to `secrets` (a JSON array), to be
 * masked. New reference or NULL with err. */
json_t *config_connection(
	const struct config *c, const char *name, json_t *secrets, struct err *err);
/* {env: NAME} or {file: PATH} or a literal to its value, owned. Relative paths start at `dir`; one
 * trailing line break of a file is dropped. */
char *config_secret(const struct node *n, const char *dir, struct err *err);
/* The same of the two names, of which one is not NULL. */
char *config_secret_of(const char *env, const char *file, const char *dir, struct err *err);

/* Names of the pools, NULL-ended, in their order; and how many slots one has: -1: there is none of
 * that name. */
const char *const *config_pools(const struct config *c);
int config_pool_slots(const struct config *c, const char *name);
/* Names of the circuit breakers, NULL-ended, in their order; and when one opens. False: there is
 * none of that name. */
const char *const *config_breakers(const struct config *c);
struct breaker_policy;
bool config_breaker(const struct config *c, const char *name, struct breaker_policy *ret);
/* Whether there is one of the name in the node; else -1, and an error is added. */
struct node;
int config_breaker_check(const struct config *c, const struct node *name, struct diags *diags);
/* The breaker that a connection carries for all that use it; NULL: none. */
const char *config_connection_breaker(const struct config *c, const char *connection);
/* A named calendar: its list of words (conf/schedule.h), and in *ret_dir the folder its files are
 * relative to. NULL: there is none. */
const struct node *config_calendar(const struct config *c, const char *name, const char **ret_dir);
/* `alerts:` and `heartbeat:`; NULL: there are none. */
const struct alerts *config_alerts(const struct config *c);
/* `keep:` of runs and of logs, in microseconds; 0: for ever. */
int64_t config_keep_runs_us(const struct config *c);
int64_t config_keep_logs_us(const struct config *c);

extern const struct field config_fields[];

#endif
