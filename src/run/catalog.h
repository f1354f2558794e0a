/* The catalog: the DAGs of a folder, kept up to date.
 *
 * A file that can no longer be loaded keeps its last good version, and its error is shown. What is
 * kept in memory is little: the text and the timetable; the whole model is loaded when a run needs
 * it, so that ten thousand DAGs cost some tens of megabytes.
 *
 * What DAGs say of others (conf/crossdag.h) is checked when all files were looked at: a version
 * that names what does not exist, or makes a circle, is as one that cannot be loaded. A DAG that
 * names what has gone since goes on, and has an error to show.
 */
#ifndef WEIR_RUN_CATALOG_H
#define WEIR_RUN_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uthash.h>

#include "base/digest.h"
#include "conf/dagfile.h"
#include "core/dataset.h"
#include "core/sla_clock.h"
#include "core/timetable.h"

struct catalog;
struct config;
struct config_conn_type;
struct dag;
struct dataset_link; /* store/store.h */
struct err;
struct run_row;
struct store;

/* What tells that a file has changed. */
struct file_stamp {
	int64_t mtime_ns, ctime_ns, size;
	uint64_t inode;
};

struct catalog_dag {
	char *name; /* NULL: its file was never good */
	char *path; /* below the folder, as found */
	char *dir;
	char *text; /* last good */
	char version[DIGEST_HEX];
	char *error;               /* why the file as it stands cannot be loaded; NULL: it can */
	struct schedule_spec spec; /* last good; its zone is the catalog's */
	void *numbers;             /* the arrays of `spec` */
	char **files;              /* that it names; NULL-ended */
	char **tasks;              /* their names, in file order; NULL-ended */
	struct sla_of *slas;       /* of it and of its tasks; names borrowed from `tasks` */
	size_t nslas;
	struct dataset_link *links; /* datasets it has to do with; `task` borrowed from `tasks` */
	size_t nlinks;
	struct dataset_rule
		datasets;   /* its schedule waits for these (names of `links`); n 0: none */
	char *params;       /* values of a run that is given none: JSON object text */
	char *params_error; /* why there are none: a param has no default */
	struct file_stamp stamp;
	uint64_t files_stamp; /* of all of `files` and of its weir.yaml together */
	char *shadowed;       /* the name it asks for, while another file has it; else NULL */
	int max_active_runs, overlap;
	bool changed;       /* since catalog_each_changed */
	struct dag *staged; /* while it is scanned: good by itself, and says something of others */
	char *told;         /* likewise: the error it had */
	bool as_before;     /* likewise: its file is the one that had it */
	char *broken;       /* it has no good version: the name it seems to ask for, or NULL */
	uint64_t mark;      /* of the scan that saw it last */
	UT_hash_handle by_path, by_name;
};

struct catalog_env {
	const struct dagfile_operators *operators;
	const struct config_conn_type *conn_types;
	const char *config_path; /* --config; NULL: found per folder */
	/* The text of a version that was known before (catalog_know), owned by the catalog then;
	 * NULL: it is not kept. NULL for a catalog that knows nothing of before. */
	char *(*text_of)(void *arg, const char *version);
	void *arg;
};

/* `folder`: existing. Nothing is loaded yet. */
int catalog_new(
	struct catalog **ret, const char *folder, const struct catalog_env *env, struct err *err);
void catalog_free(struct catalog *c);
const char *catalog_folder(const struct catalog *c);

/* What a file held before this catalog began, to be told before the first scan: should the file be
 * broken now, `version` is its last good one, and of two files that ask for `name` it has it. */
struct catalog_former {
	const char *name, *path, *version; /* version NULL: unknown */
};
int catalog_know(struct catalog *c, const struct catalog_former *former, struct err *err);
/* The file that held the DAG `name`, now or before, and cannot be loaded nor has a last good
 * version; NULL: there is none. */
const struct catalog_dag *catalog_find_broken(const struct catalog *c, const char *name);

/* Mark and sweep: load what is new or has changed, mark what is gone. Returns how many DAGs
 * changed; -1 when the folder itself cannot be read. */
int catalog_scan(struct catalog *c, struct err *err);
/* Call `fn` for each DAG that changed since the last call: new, another text, or broken now. */
void catalog_each_changed(
	struct catalog *c, void (*fn)(void *arg, struct catalog_dag *d), void *arg);
/* Names that no file has any more, likewise; owned by the caller. NULL: no more. */
char *catalog_next_removed(struct catalog *c);
struct catalog_dag *catalog_find(const struct catalog *c, const char *name);
/* All that have a name, in no order: start with NULL. */
struct catalog_dag *catalog_next(const struct catalog *c, const struct catalog_dag *after);
size_t catalog_count(const struct catalog *c);
/* Files that never were good, too, have an error to show: all files, in no order. */
struct catalog_dag *catalog_next_file(const struct catalog *c, const struct catalog_dag *after);

/* The whole model of the last good version: a reference for the caller. `config` is borrowed from
 * the catalog until the next scan that changes it... it is kept until the catalog ends. */
struct dag *catalog_load(struct catalog *c, const struct catalog_dag *d,
	const struct config **ret_config, struct err *err);
/* The same of a version that a run began with, out of the store. Files it names are not looked at.
 */
struct catalog_text {
	const char *path, *dir, *text;
};
struct dag *catalog_load_text(struct catalog *c, const struct catalog_text *t,
	const struct config **ret_config, struct err *err);
/* The version that a run has: the one of the folder when it is still that, else out of the store.
 */
struct dag *catalog_load_run(struct catalog *c, struct store *s, const struct run_row *row,
	const struct config **ret_config, struct err *err);

/* The weir.yaml that hold for DAGs of the folder, each as it was when it was last good; in no
 * order.
 */
void catalog_each_config(
	const struct catalog *c, void (*fn)(void *arg, const struct config *config), void *arg);

/* Folders to be watched, for inotify: called for each folder seen by a scan, and for those of files
 * that DAGs name or include, perhaps more than once. */
void catalog_each_folder(
	const struct catalog *c, void (*fn)(void *arg, const char *folder), void *arg);

#endif
