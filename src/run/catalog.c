#include "run/catalog_impl.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "conf/config.h"
#include "conf/crossdag.h"
#include "conf/diag.h"
#include "core/model.h"
#include "core/zone.h"
#include "store/store.h"

enum {
	DAG_TEXT_MAX = 16 << 20,
	DEPTH_MAX = 32, /* of folders: a link in a circle must end */
};

/* ---- what was known before ------------------------------------------------------------ */

static struct former *former_of_path(const struct catalog *c, const char *path)
{
	struct former *f;

	HASH_FIND(by_path, c->former_by_path, path, strlen(path), f);
	return f;
}

static bool is_below(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return strncmp(path, folder, len) == 0 && path[len] == '/';
}

/* The file that had the name before and is still to be looked at by the first scan; NULL: none. */
static const char *awaited_path(const struct catalog *c, const char *name)
{
	struct catalog_dag *seen;
	struct former *f;

	if (c->scan > 1 || !c->walking)
		return NULL;
	HASH_FIND(by_name, c->former_by_name, name, strlen(name), f);
	if (!f || !is_below(f->path, c->folder) || !io_exists(f->path))
		return NULL;
	HASH_FIND(by_path, c->by_path, f->path, strlen(f->path), seen);
	return seen ? NULL : f->path;
}

/* Not with those that are there now; it is then as one that is broken. */
static bool makes_circle(struct catalog *c, const struct catalog_dag *d, const struct dag *dag)
{
	struct diags all, ends;

	diags_init(&all);
	diags_init(&ends);
	bool circle = crossdag_put(c->cross, dag) < 0 ||
		      crossdag_check(c->cross, dag->name, NULL, &all) >
			      crossdag_check_ends(c->cross, dag->name, NULL, &ends);
	if (circle)
		crossdag_remove(c->cross, dag->name);
	if (circle && d->broken)
		crossdag_put_unknown(c->cross, d->broken);
	diags_release(&all);
	diags_release(&ends);
	return circle;
}

/* A file that is broken from the first look on: it goes on as it did before. */
static void restore(struct catalog *c, struct catalog_dag *d)
{
	struct former *f = former_of_path(c, d->path);
	struct diags diags;
	char *text, *dir, *real, *error = d->error;

	if (d->name || d->shadowed || !f || !f->version[0] || !c->env.text_of)
		return;
	text = c->env.text_of(c->env.arg, f->version);
	dir = io_path_dir(d->path);
	real = text && dir ? io_realpath(dir, NULL) : NULL;
	diags_init(&diags);
	const struct config *config = real ? catalog_share_config(c, real, &diags) : NULL;
	const struct dagfile_env env = { .operators = c->env.operators, .config = config };
	struct dag *dag = config ? dagfile_load_text(d->path, real, text, &env, &diags) : NULL;
	if (dag && !catalog_find(c, dag->name) && !makes_circle(c, d, dag)) {
		d->error = NULL;
		catalog_accept(c, d, dag);
		d->error = error;
	}
	dag_unref(dag);
	diags_release(&diags);
	free(real);
	free(dir);
	free(text);
}

int catalog_know(struct catalog *c, const struct catalog_former *former, struct err *err)
{
	struct former *f = calloc(1, sizeof *f), *same;

	if (!f || !(f->name = strdup(former->name)) || !(f->path = strdup(former->path)))
		goto fail;
	if (former->version && strlen(former->version) < sizeof f->version)
		snprintf(f->version, sizeof f->version, "%s", former->version);
	/* Of two rows about one path or name, one is as good as the other. */
	HASH_FIND(by_name, c->former_by_name, f->name, strlen(f->name), same);
	if (same || former_of_path(c, f->path)) {
		free(f->name);
		free(f->path);
		free(f);
		return 0;
	}
	HASH_ADD_KEYPTR(by_path, c->former_by_path, f->path, strlen(f->path), f);
	HASH_ADD_KEYPTR(by_name, c->former_by_name, f->name, strlen(f->name), f);
	return 0;
fail:
	if (f)
		free(f->name);
	free(f);
	return err_nomem(err);
}

static void free_former(struct catalog *c)
{
	struct former *f, *next;

	HASH_CLEAR(by_name, c->former_by_name);
	HASH_ITER (by_path, c->former_by_path, f, next) {
		HASH_DELETE(by_path, c->former_by_path, f);
		free(f->name);
		free(f->path);
		free(f);
	}
}

/* ---- loading -------------------------------------------------------------------------- */

static bool name_is_taken(
	const struct catalog *c, struct catalog_dag *d, const struct dag *dag, struct diags *diags)
{
	const struct catalog_dag *other = catalog_find(c, dag->name);
	const char *path = other ? other->path : awaited_path(c, dag->name);
	struct err err = { 0 };

	if (!path || other == d || strcmp(path, d->path) == 0)
		return false;
	d->shadowed = strdup(dag->name);
	err_set(&err, ERR_INVALID, "another file has a DAG named \"%s\": %s", dag->name, path);
	diag_err(diags, d->path, &err);
	return true;
}

/* A file that never was good: others may name it all the same. */
static void know_broken(struct catalog *c, struct catalog_dag *d, const char *name)
{
	if (!name || catalog_find(c, name))
		return;
	free(d->broken);
	d->broken = strdup(name);
	crossdag_put_unknown(c->cross, name);
}

static void forget_broken(struct catalog *c, struct catalog_dag *d)
{
	if (d->broken && !catalog_find(c, d->broken))
		crossdag_remove(c->cross, d->broken);
	free(d->broken);
	d->broken = NULL;
}

static void load_dag(struct catalog *c, struct catalog_dag *d, const char *text)
{
	struct diags diags;
	char *dir = io_path_dir(d->path), *real = dir ? io_realpath(dir, NULL) : NULL;

	diags_init(&diags);
	free(d->shadowed);
	d->shadowed = NULL;
	forget_broken(c, d);
	const struct config *config = real ? catalog_share_config(c, real, &diags) : NULL;
	const struct dagfile_env env = {
		.operators = c->env.operators, .config = config, .check_files = true
	};
	struct dag *dag = config ? dagfile_load_text(d->path, real, text, &env, &diags) : NULL;
	if (!dag || name_is_taken(c, d, dag, &diags))
		catalog_set_error(d, &diags);
	else if (crossdag_says(dag))
		d->staged = dag_ref(dag);
	else
		catalog_accept(c, d, dag);
	if (d->error)
		restore(c, d);
	if (d->error && !d->name && !d->shadowed) {
		char *name = dagfile_name_of(text);
		know_broken(c, d, name);
		free(name);
	}
	d->files_stamp = catalog_stamp_files(c, d->files);
	dag_unref(dag);
	diags_release(&diags);
	free(real);
	free(dir);
}

static void refuse(struct catalog *c, struct catalog_dag *d, const struct err *err)
{
	struct diags diags;

	diags_init(&diags);
	diag_err(&diags, d->path, err);
	catalog_set_error(d, &diags);
	diags_release(&diags);
	restore(c, d);
	d->files_stamp = catalog_stamp_files(c, d->files);
}

/* ---- scanning ------------------------------------------------------------------------- */

static void free_dag(struct catalog_dag *d)
{
	free(d->name);
	free(d->path);
	free(d->dir);
	free(d->text);
	free(d->error);
	free(d->shadowed);
	catalog_free_list(d->files);
	catalog_free_list(d->tasks);
	free(d->slas);
	catalog_free_links(d);
	free(d->params);
	free(d->params_error);
	free(d->numbers);
	free(d->told);
	free(d->broken);
	dag_unref(d->staged);
	free(d);
}

static bool is_yaml(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0) &&
	       strcmp(name, "weir.yaml") != 0;
}

static struct catalog_dag *add_path(struct catalog *c, const char *path)
{
	struct catalog_dag *d = calloc(1, sizeof *d);

	if (!d || !(d->path = strdup(path))) {
		free(d);
		return NULL;
	}
	HASH_ADD_KEYPTR(by_path, c->by_path, d->path, strlen(d->path), d);
	return d;
}

/* What was told before is not told again. */
static void note_change(struct catalog *c, struct catalog_dag *d)
{
	if (!d->as_before || !d->told || !d->error || strcmp(d->told, d->error) != 0) {
		d->changed = true;
		c->nchanged++;
	}
	free(d->told);
	d->told = NULL;
}

static void look_at_file(struct catalog *c, const char *path, const struct stat *st)
{
	const struct file_stamp stamp = catalog_stamp_of(st);
	struct catalog_dag *d;
	struct err err = { 0 };
	struct buf text;

	HASH_FIND(by_path, c->by_path, path, strlen(path), d);
	if (d)
		d->mark = c->scan;
	bool as_before = d && catalog_same_stamp(&d->stamp, &stamp) &&
			 d->files_stamp == catalog_stamp_files(c, d->files);
	/* A file that another one was missing may have come since. */
	if (as_before && (!d->error || d->shadowed))
		return;
	buf_init(&text, DAG_TEXT_MAX);
	bool read = io_read_file(path, &text, &err) == 0;
	/* A file that was a DAG and is none now has an error; one that never was is no matter. */
	if (!d && ((read && dagfile_looks_like_dag(text.data)) || former_of_path(c, path)))
		d = add_path(c, path);
	if (d) {
		char *error = d->error;
		d->error = NULL;
		d->mark = c->scan;
		d->stamp = stamp;
		if (read)
			load_dag(c, d, text.data);
		else
			refuse(c, d, &err);
		d->told = error;
		d->as_before = as_before;
		if (!d->staged)
			note_change(c, d);
	}
	buf_release(&text);
}

static void add_folder(struct catalog *c, const char *path)
{
	char **grown = reallocarray(c->folders, c->nfolders + 1, sizeof *grown);

	if (!grown)
		return;
	c->folders = grown;
	c->folders[c->nfolders] = strdup(path);
	c->nfolders += c->folders[c->nfolders] != NULL;
}

/* What is in a folder that cannot be read is not gone. */
static void keep_below(struct catalog *c, const char *folder)
{
	struct catalog_dag *d, *next;

	HASH_ITER (by_path, c->by_path, d, next)
		if (is_below(d->path, folder))
			d->mark = c->scan;
}

/* Which weir.yaml holds for the files of a folder, and as of when. */
static void look_at_config(struct catalog *c, const char *folder)
{
	char *path = config_find(c->env.config_path, folder, NULL);
	struct stat st = { 0 };

	if (path)
		stat(path, &st);
	c->config = catalog_stamp_of(&st);
	for (struct shared_config *s = c->configs; s; s = s->older)
		if (strcmp(s->path, path ? path : "") == 0)
			s->mark = c->scan;
	free(path);
}

static int is_seen(const struct dirent *e)
{
	return e->d_name[0] != '.' && e->d_name[0] != '_';
}

/* Of two files that ask for one name the same has it everywhere, whatever order the file system
 * and the locale have. */
static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void walk(struct catalog *c, const char *folder, int depth)
{
	struct dirent **list;
	int n = scandir(folder, &list, is_seen, by_bytes);

	if (n < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			keep_below(c, folder);
		return;
	}
	add_folder(c, folder);
	look_at_config(c, folder);
	for (int i = 0; i < n; i++) {
		struct stat st;
		char *path = io_path_join(folder, list[i]->d_name);
		if (path && stat(path, &st) == 0) {
			if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
				walk(c, path, depth + 1);
				look_at_config(c, folder);
			} else if (S_ISREG(st.st_mode) && is_yaml(list[i]->d_name)) {
				look_at_file(c, path, &st);
			}
		}
		free(path);
		free(list[i]);
	}
	free(list);
}

static void sweep(struct catalog *c)
{
	struct catalog_dag *d, *next;

	HASH_ITER (by_path, c->by_path, d, next) {
		if (d->mark == c->scan)
			continue;
		HASH_DELETE(by_path, c->by_path, d);
		c->nchanged++;
		forget_broken(c, d);
		if (d->name)
			catalog_rename(c, d, "");
		if (d->name)
			HASH_DELETE(by_name, c->by_name, d);
		free_dag(d);
	}
}

/* A name that was another file's is free when that file is gone, or has another name now. */
static bool unshadow(struct catalog *c)
{
	struct catalog_dag *d, *next;
	bool any = false;

	HASH_ITER (by_path, c->by_path, d, next) {
		struct stat st;
		if (!d->shadowed || catalog_find(c, d->shadowed) || stat(d->path, &st) < 0)
			continue;
		char *dir = io_path_dir(d->path);
		if (dir)
			look_at_config(c, dir);
		free(dir);
		d->stamp = (struct file_stamp){ 0 };
		look_at_file(c, d->path, &st);
		any = true;
	}
	return any;
}

/* ---- what DAGs say of each other -------------------------------------------------------- */

/* What the last good version said holds again. */
static void say_again(struct catalog *c, const struct catalog_dag *d)
{
	const struct config *config;
	struct err err = { 0 };
	struct dag *dag = catalog_load(c, d, &config, &err);

	if (dag)
		crossdag_put(c->cross, dag);
	dag_unref(dag);
}

static void put_back(struct catalog *c, struct catalog_dag *d)
{
	const char *name = d->staged->name;

	if (!d->name || strcmp(d->name, name) != 0)
		know_broken(c, d, name);
	if (d->name)
		say_again(c, d);
}

static void end_stage(struct catalog *c, struct catalog_dag *d)
{
	dag_unref(d->staged);
	d->staged = NULL;
	note_change(c, d);
}

static bool refuse_bad(struct catalog *c)
{
	struct catalog_dag *d, *next;
	bool any = false;

	HASH_ITER (by_path, c->by_path, d, next)
		if (d->staged)
			crossdag_put(c->cross, d->staged);
	HASH_ITER (by_path, c->by_path, d, next) {
		struct diags diags;
		if (!d->staged)
			continue;
		diags_init(&diags);
		/* Those that are in one circle are all refused: none of them is taken away here. */
		if (crossdag_check(c->cross, d->staged->name, c->folder, &diags) > 0) {
			catalog_set_error(d, &diags);
			any = true;
		}
		diags_release(&diags);
	}
	HASH_ITER (by_path, c->by_path, d, next)
		if (d->staged && d->error) {
			/* Its last good version holds on. */
			put_back(c, d);
			restore(c, d);
			end_stage(c, d);
		}
	return any;
}

static void accept_staged(struct catalog *c, struct catalog_dag *d)
{
	struct diags diags;

	diags_init(&diags);
	if (name_is_taken(c, d, d->staged, &diags)) {
		const struct catalog_dag *other = catalog_find(c, d->staged->name);
		catalog_set_error(d, &diags);
		if (other)
			say_again(c, other);
	} else {
		catalog_accept(c, d, d->staged);
	}
	diags_release(&diags);
	end_stage(c, d);
}

/* A DAG that was good says something of one that is gone. */
static void look_for_gone(struct catalog *c, struct catalog_dag *d)
{
	struct diags diags;

	diags_init(&diags);
	if (!d->error && crossdag_check_ends(c->cross, d->name, c->folder, &diags) > 0) {
		catalog_set_error(d, &diags);
		d->changed = true;
		c->nchanged++;
	}
	diags_release(&diags);
}

/* All files were looked at. */
static void settle_cross(struct catalog *c)
{
	struct catalog_dag *d, *next;

	while (refuse_bad(c))
		;
	HASH_ITER (by_path, c->by_path, d, next)
		if (d->staged)
			accept_staged(c, d);
	HASH_ITER (by_name, c->by_name, d, next)
		if (crossdag_has_edges(c->cross, d->name))
			look_for_gone(c, d);
}

int catalog_scan(struct catalog *c, struct err *err)
{
	DIR *dir = opendir(c->folder);

	/* A folder that cannot be read (a share that is gone) is a fault, not the end of all DAGs.
	 */
	if (!dir)
		return err_errno(err, "%s: the folder of the DAGs", c->folder);
	closedir(dir);
	for (size_t i = 0; i < c->nfolders; i++)
		free(c->folders[i]);
	c->nfolders = 0;
	c->nchanged = 0;
	c->scan++;
	c->walking = true;
	walk(c, c->folder, 0);
	c->walking = false;
	sweep(c);
	settle_cross(c);
	/* At most once a file: each time at least one of them gets its name. */
	while (unshadow(c))
		settle_cross(c);
	return c->nchanged;
}

/* ---- the rest ------------------------------------------------------------------------- */

int catalog_new(
	struct catalog **ret, const char *folder, const struct catalog_env *env, struct err *err)
{
	struct catalog *c = calloc(1, sizeof *c);

	if (!c)
		return err_nomem(err);
	c->env = *env;
	c->cross = crossdag_new();
	c->folder = io_realpath(folder, err);
	if (!c->folder || !c->cross) {
		if (c->folder)
			err_nomem(err);
		free(c->folder);
		crossdag_free(c->cross);
		free(c);
		return -1;
	}
	*ret = c;
	return 0;
}

void catalog_free(struct catalog *c)
{
	struct catalog_dag *d, *next;
	struct shared_zone *z, *next_zone;

	if (!c)
		return;
	HASH_CLEAR(by_name, c->by_name);
	HASH_ITER (by_path, c->by_path, d, next) {
		HASH_DELETE(by_path, c->by_path, d);
		free_dag(d);
	}
	HASH_ITER (hh, c->zones, z, next_zone) {
		HASH_DEL(c->zones, z);
		zone_free(z->zone);
		free(z->name);
		free(z);
	}
	for (struct shared_config *s = c->configs, *older; s; s = older) {
		older = s->older;
		config_free(s->config);
		free(s->path);
		free(s);
	}
	for (size_t i = 0; i < c->nremoved; i++)
		free(c->removed[i]);
	for (size_t i = 0; i < c->nfolders; i++)
		free(c->folders[i]);
	free_former(c);
	crossdag_free(c->cross);
	free(c->removed);
	free(c->folders);
	free(c->folder);
	free(c);
}

const char *catalog_folder(const struct catalog *c)
{
	return c->folder;
}

void catalog_each_changed(
	struct catalog *c, void (*fn)(void *arg, struct catalog_dag *d), void *arg)
{
	struct catalog_dag *d, *next;

	HASH_ITER (by_path, c->by_path, d, next)
		if (d->changed) {
			d->changed = false;
			fn(arg, d);
		}
}

char *catalog_next_removed(struct catalog *c)
{
	return c->nremoved ? c->removed[--c->nremoved] : NULL;
}

struct catalog_dag *catalog_find(const struct catalog *c, const char *name)
{
	struct catalog_dag *d;

	HASH_FIND(by_name, c->by_name, name, strlen(name), d);
	return d;
}

static bool has_stem(const char *path, const char *name)
{
	const char *base = io_path_base(path);
	size_t len = strlen(name);

	return strncmp(base, name, len) == 0 && base[len] == '.';
}

const struct catalog_dag *catalog_find_broken(const struct catalog *c, const char *name)
{
	struct catalog_dag *d, *next;

	HASH_ITER (by_path, c->by_path, d, next) {
		const struct former *f = former_of_path(c, d->path);
		if (!d->name && !d->shadowed && d->error &&
			(has_stem(d->path, name) || (f && strcmp(f->name, name) == 0)))
			return d;
	}
	return NULL;
}

struct catalog_dag *catalog_next(const struct catalog *c, const struct catalog_dag *after)
{
	return after ? after->by_name.next : c->by_name;
}

struct catalog_dag *catalog_next_file(const struct catalog *c, const struct catalog_dag *after)
{
	return after ? after->by_path.next : c->by_path;
}

size_t catalog_count(const struct catalog *c)
{
	return HASH_CNT(by_name, c->by_name);
}

static struct dag *load_text(struct catalog *c, const struct catalog_text *t, bool check_files,
	const struct config **ret_config, struct err *err)
{
	struct diags diags;
	struct buf out;

	diags_init(&diags);
	const struct config *config = catalog_share_config(c, t->dir, &diags);
	/* A weir.yaml that is broken now keeps nothing from running. */
	if (!config && (config = catalog_last_good_config(c, t->dir)) != NULL) {
		diags_release(&diags);
		diags_init(&diags);
	}
	const struct dagfile_env env = { .operators = c->env.operators,
		.config = config,
		.check_files = check_files,
		.was_good = true };
	struct dag *dag = config ? dagfile_load_text(t->path, t->dir, t->text, &env, &diags) : NULL;
	if (!dag) {
		buf_init(&out, CATALOG_ERROR_MAX);
		diags_print(&diags, &out, false);
		err_set(err, ERR_INVALID, "%s", out.data);
		buf_release(&out);
	}
	*ret_config = config;
	diags_release(&diags);
	return dag;
}

struct dag *catalog_load_text(struct catalog *c, const struct catalog_text *t,
	const struct config **ret_config, struct err *err)
{
	return load_text(c, t, false, ret_config, err);
}

struct dag *catalog_load(struct catalog *c, const struct catalog_dag *d,
	const struct config **ret_config, struct err *err)
{
	const struct catalog_text t = { d->path, d->dir, d->text };

	return load_text(c, &t, true, ret_config, err);
}

struct dag *catalog_load_run(struct catalog *c, struct store *s, const struct run_row *row,
	const struct config **ret_config, struct err *err)
{
	const struct catalog_dag *d = catalog_find(c, row->dag);
	char *text = NULL;

	if (d && strcmp(d->version, row->version) == 0)
		return catalog_load(c, d, ret_config, err);
	if (store_version_text(s, row->version, &text, err) < 0)
		return NULL;
	const struct catalog_text t = { row->dag_path, row->dag_dir, text };
	struct dag *dag = load_text(c, &t, false, ret_config, err);
	free(text);
	return dag;
}

/* Was the folder seen by a scan? Those with a dot or an underscore are passed over. */
static bool is_walked(const struct catalog *c, const char *folder)
{
	return (strcmp(folder, c->folder) == 0 || is_below(folder, c->folder)) &&
	       !strstr(folder + strlen(c->folder), "/_") &&
	       !strstr(folder + strlen(c->folder), "/.");
}

void catalog_each_folder(
	const struct catalog *c, void (*fn)(void *arg, const char *folder), void *arg)
{
	for (size_t i = 0; i < c->nfolders; i++)
		fn(arg, c->folders[i]);
	/* What DAGs name and include may lie elsewhere. */
	for (const struct catalog_dag *d = c->by_path; d; d = d->by_path.next)
		for (size_t i = 0; d->files && d->files[i]; i++) {
			char *folder = io_path_dir(d->files[i]);
			if (folder && !is_walked(c, folder) && io_exists(folder))
				fn(arg, folder);
			free(folder);
		}
}

void catalog_each_config(
	const struct catalog *c, void (*fn)(void *arg, const struct config *config), void *arg)
{
	for (const struct shared_config *s = c->configs; s; s = s->older) {
		const struct shared_config *newer = c->configs;
		while (newer != s && strcmp(newer->path, s->path) != 0)
			newer = newer->older;
		if (newer == s && s->mark == c->scan)
			fn(arg, s->config);
	}
}
