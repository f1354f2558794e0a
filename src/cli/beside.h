/* Files that may hold DAGs, in a folder and those in it; and what a DAG says of those beside it. */
#ifndef WEIR_CLI_BESIDE_H
#define WEIR_CLI_BESIDE_H

#include <stdbool.h>

struct crossdag;
struct dag;
struct diags;
struct err;

/* Names that begin with a dot or an underscore. */
bool beside_is_passed_over(const char *name);

/* Each *.yaml and *.yml, by name. `why`: the path cannot be read; NULL: it can. -1 when the folder
 * itself cannot be. */
typedef void beside_fn(void *arg, const char *path, const struct err *why);
int beside_walk(const char *folder, beside_fn *fn, void *arg, struct err *err);

/* A file of which no DAG could be made: others may name it all the same. */
void beside_put_broken(struct crossdag *x, const char *path);
/* The errors of what a DAG says of those in a folder. Of these, what is wrong with them otherwise
 * is of no matter. -1: the folder cannot be read. */
int beside_check(const struct dag *dag, const char *folder, struct diags *diags, struct err *err);

#endif
