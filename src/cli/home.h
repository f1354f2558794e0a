/* What most commands begin with: WEIR_HOME, its store, the configuration, a DAG. */
#ifndef WEIR_CLI_HOME_H
#define WEIR_CLI_HOME_H

#include <stdbool.h>

#include "cli/json.h"
#include "conf/dagfile.h"

struct args;
struct config;
struct config_conn_type;
struct diags;
struct err;
struct store;

/* --home, $WEIR_HOME, $XDG_STATE_HOME/weir, ~/.local/state/weir; absolute, owned. It need not
 * exist. NULL with err. */
char *cli_home(const struct args *a, struct err *err);
/* Open it read-only. ERR_NOT_FOUND when nothing was ever run there, saying what to do. */
int cli_store_open(const struct args *a, struct store **ret, struct err *err);

/* The operators of operators/, as conf/dagfile.h sees them. */
const struct dagfile_operators *cli_operators(void);

struct cli_dag {
	struct dag *dag;
	struct config *config; /* never NULL after success */
};
/* Load the DAG in the file with its configuration. Diagnostics are printed to stderr, all of
 * them; -1 with ERR_INVALID when they hold errors. `check_files`: look at the files tasks name. */
int cli_load_dag(const struct args *a, const char *path, bool check_files, struct cli_dag *ret,
	struct err *err);
void cli_dag_release(struct cli_dag *d);
/* weir.yaml for DAGs in `dir`; an empty configuration when there is none. NULL with err, or with
 * errors in diags. */
struct config *cli_load_config(
	const struct args *a, const char *dir, struct diags *diags, struct err *err);
const struct config_conn_type *cli_connection_types(void);
/* Print to stderr, with colours as --color says. */
void cli_print_diags(const struct args *a, struct diags *diags);

#endif
