/* What the files of the catalog share; nobody else includes it.
 *
 * catalog.c        files found, loaded, refused, let go; reading
 * catalog_share.c  stamps of files; zones and configurations, which many DAGs share
 * catalog_dag.c    what is kept of a DAG
 */
#ifndef WEIR_RUN_CATALOG_IMPL_H
#define WEIR_RUN_CATALOG_IMPL_H

#include <sys/stat.h>

#include "run/catalog.h"

struct crossdag;
struct diags;

/* Zones and configurations are shared by many DAGs, and kept until the end: runs refer to them. */
struct shared_zone {
	char *name;
	struct zone *zone;
	UT_hash_handle hh;
};

struct shared_config {
	char *path; /* "" for none */
	struct file_stamp stamp;
	struct config *config;
	uint64_t mark; /* of the scan that saw its path last */
	struct shared_config *older;
};

/* What a path held when somebody else, most likely a former daemon, looked at it. */
struct former {
	char *name, *path;
	char version[DIGEST_HEX]; /* "": unknown */
	UT_hash_handle by_path, by_name;
};

struct catalog {
	struct catalog_env env;
	char *folder;
	struct catalog_dag *by_path, *by_name;
	struct former *former_by_path, *former_by_name;
	struct crossdag *cross;
	struct shared_zone *zones;
	struct shared_config *configs; /* newest first */
	char **removed;
	size_t nremoved;
	char **folders; /* seen by the last scan */
	size_t nfolders;
	struct file_stamp config; /* of the weir.yaml of the folder that is being scanned */
	uint64_t scan;
	int nchanged;
	bool walking;
};

/* ---- catalog_share.c ------------------------------------------------------------------- */

struct file_stamp catalog_stamp_of(const struct stat *st);
bool catalog_same_stamp(const struct file_stamp *a, const struct file_stamp *b);
/* The stamps of the configuration and of the files a DAG names. */
uint64_t catalog_stamp_files(const struct catalog *c, char *const *files);
/* NULL: without memory, or there is no such zone. */
const struct zone *catalog_share_zone(struct catalog *c, const char *name);
/* The configuration of DAGs in a folder; NULL with diags. */
const struct config *catalog_share_config(struct catalog *c, const char *dir, struct diags *diags);
/* The last good one of the path that holds for a folder; NULL: there is none. */
const struct config *catalog_last_good_config(struct catalog *c, const char *dir);

/* ---- catalog_dag.c --------------------------------------------------------------------- */

enum { CATALOG_ERROR_MAX = 8 << 10 }; /* of the text of an error */

/* Why its file cannot be loaded; NULL: it can. */
void catalog_set_error(struct catalog_dag *d, struct diags *diags);
/* It is found by this name from now on. */
void catalog_rename(struct catalog *c, struct catalog_dag *d, const char *name);
void catalog_free_list(char **list); /* NULL-ended; NULL is fine */
void catalog_free_links(struct catalog_dag *d);
/* This version is good: it is the DAG's from now on. */
void catalog_accept(struct catalog *c, struct catalog_dag *d, const struct dag *dag);

#endif
