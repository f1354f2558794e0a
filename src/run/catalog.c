#include "run/catalog.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/node.h"
#include "base/zonefile.h"
#include "conf/config.h"
#include "conf/crossdag.h"
#include "conf/diag.h"
#include "core/model.h"
#include "core/zone.h"
#include "store/store.h"

enum {
	DAG_TEXT_MAX = 16 << 20,
	ERROR_TEXT_MAX = 8 << 10,
	DEPTH_MAX = 32, /* of folders: a link in a circle must end */
};

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

/* ---- stamps --------------------------------------------------------------------------- */

static int64_t ns_of(const struct timespec *ts)
{
	return (int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec;
}

static struct file_stamp stamp_of(const struct stat *st)
{
	return (struct file_stamp){ .mtime_ns = ns_of(&st->st_mtim),
		.ctime_ns = ns_of(&st->st_ctim),
		.size = st->st_size,
		.inode = st->st_ino };
}

static bool same_stamp(const struct file_stamp *a, const struct file_stamp *b)
{
	return a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns && a->size == b->size &&
	       a->inode == b->inode;
}

/* FNV-1a (Fowler, Noll and Vo). */
static uint64_t add_stamp(uint64_t h, const struct file_stamp *stamp)
{
	const unsigned char *p = (const unsigned char *)stamp;

	for (size_t k = 0; k < sizeof *stamp; k++)
		h = (h ^ p[k]) * 1099511628211u;
	return h;
}

/* The stamps of the configuration and of the files a DAG names. */
static uint64_t stamp_files(const struct catalog *c, char *const *files)
{
	uint64_t h = add_stamp(14695981039346656037u, &c->config);

	for (size_t i = 0; files && files[i]; i++) {
		struct stat st = { 0 };
		stat(files[i], &st);
		const struct file_stamp stamp = stamp_of(&st);
		h = add_stamp(h, &stamp);
	}
	return h;
}

/* ---- what is shared ------------------------------------------------------------------- */

static const struct zone *share_zone(struct catalog *c, const char *name)
{
	struct shared_zone *z;
	struct err err = { 0 };

	HASH_FIND_STR(c->zones, name, z);
	if (z)
		return z->zone;
	z = calloc(1, sizeof *z);
	if (!z || !(z->name = strdup(name)) || zone_open(name, zonefile_read, &z->zone, &err) < 0) {
		if (z)
			free(z->name);
		free(z);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, c->zones, z->name, strlen(z->name), z);
	return z->zone;
}

static struct shared_config *add_config(
	struct catalog *c, const char *path, const struct file_stamp *stamp, struct diags *diags)
{
	struct shared_config *s = calloc(1, sizeof *s);

	if (!s || !(s->path = strdup(path)))
		goto fail;
	s->stamp = *stamp;
	s->mark = c->scan;
	s->config = *path ? config_load(path, c->env.conn_types, diags) : config_empty();
	if (!s->config)
		goto fail;
	s->older = c->configs;
	c->configs = s;
	return s;
fail:
	if (s)
		free(s->path);
	free(s);
	return NULL;
}

/* The configuration of DAGs in a folder; NULL with diags. */
static const struct config *share_config(struct catalog *c, const char *dir, struct diags *diags)
{
	struct err err = { 0 };
	struct stat st = { 0 };
	char *path = config_find(c->env.config_path, dir, &err);

	if (!path && err.code != ERR_NONE) {
		diag_err(diags, c->env.config_path ? c->env.config_path : dir, &err);
		return NULL;
	}
	if (path)
		stat(path, &st);
	const struct file_stamp stamp = stamp_of(&st);
	struct shared_config *s = c->configs;
	while (s && (strcmp(s->path, path ? path : "") != 0 || !same_stamp(&s->stamp, &stamp)))
		s = s->older;
	if (!s)
		s = add_config(c, path ? path : "", &stamp, diags);
	free(path);
	return s ? s->config : NULL;
}

/* The last good one of the path that holds for a folder; NULL: there is none. */
static const struct config *last_good_config(struct catalog *c, const char *dir)
{
	char *path = config_find(c->env.config_path, dir, NULL);
	const struct shared_config *s = c->configs;

	while (s && strcmp(s->path, path ? path : "") != 0)
		s = s->older;
	free(path);
	return s ? s->config : NULL;
}

/* ---- one DAG -------------------------------------------------------------------------- */

static void free_list(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

static char **copy_list(const char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	char **copy = calloc(n + 1, sizeof *copy);
	for (size_t i = 0; copy && i < n; i++)
		copy[i] = strdup(list[i]);
	return copy;
}

static void *copy_array(char **at, const void *from, size_t n, size_t size)
{
	void *copy = *at;

	if (n == 0)
		return NULL;
	memcpy(copy, from, n * size);
	*at += n * size;
	return copy;
}

/* The timetable without the DAG it came from. Its arrays, all of numbers, go into one block that is
 * no larger than they are: there may be ten thousand. */
static bool copy_spec(struct catalog_dag *d, const struct dag *dag)
{
	struct schedule_spec *spec = &d->spec;
	struct timetable_days *days[] = { &spec->calendar.only, &spec->calendar.exclude };

	free(d->numbers);
	d->numbers = NULL;
	*spec = (struct schedule_spec){ .zone = zone_utc() };
	if (!dag->schedule)
		return true;
	*spec = *dag->schedule;
	size_t size = spec->n_crons * sizeof *spec->crons + spec->n_at * sizeof *spec->at_us;
	for (size_t i = 0; i < sizeof days / sizeof *days; i++)
		size += days[i]->n_days * sizeof *days[i]->days;
	char *at = d->numbers = malloc(size + 1);
	if (!at)
		return false;
	spec->crons = copy_array(&at, spec->crons, spec->n_crons, sizeof *spec->crons);
	spec->at_us = copy_array(&at, spec->at_us, spec->n_at, sizeof *spec->at_us);
	for (size_t i = 0; i < sizeof days / sizeof *days; i++)
		days[i]->days =
			copy_array(&at, days[i]->days, days[i]->n_days, sizeof *days[i]->days);
	return true;
}

static void take_spec(struct catalog *c, struct catalog_dag *d, const struct dag *dag)
{
	if (!copy_spec(d, dag)) {
		d->spec = (struct schedule_spec){ .kind = TIMETABLE_MANUAL, .zone = zone_utc() };
		return;
	}
	const struct zone *own = d->spec.zone;
	d->spec.zone = zone_utc();
	if (own && own != zone_utc())
		d->spec.zone = share_zone(c, zone_name(own));
	/* The zone was there a moment ago; without it the DAG must not run at wrong times. */
	if (!d->spec.zone)
		d->spec.kind = TIMETABLE_MANUAL;
}

static void set_error(struct catalog_dag *d, struct diags *diags)
{
	struct buf text;

	free(d->error);
	d->error = NULL;
	if (!diags)
		return;
	buf_init(&text, ERROR_TEXT_MAX);
	diags_print(diags, &text, false);
	/* A text that is cut at its maximum still tells the first errors. */
	d->error = strdup(text.len ? text.data : "cannot be loaded");
	buf_release(&text);
}

static void rename_dag(struct catalog *c, struct catalog_dag *d, const char *name)
{
	if (d->name && strcmp(d->name, name) == 0)
		return;
	if (d->name) {
		crossdag_remove(c->cross, d->name);
		HASH_DELETE(by_name, c->by_name, d);
		char **grown = reallocarray(c->removed, c->nremoved + 1, sizeof *grown);
		if (grown) {
			c->removed = grown;
			c->removed[c->nremoved++] = d->name;
		} else {
			free(d->name);
		}
	}
	d->name = strdup(name);
	if (d->name)
		HASH_ADD_KEYPTR(by_name, c->by_name, d->name, strlen(d->name), d);
}

static void copy_params(struct catalog_dag *d, const struct dag *dag)
{
	struct err err = { 0 };
	json_t *params = dagfile_params(dag, NULL, &err);

	free(d->params);
	free(d->params_error);
	d->params = params ? json_dumps(params, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	d->params_error = params ? NULL : strdup(err.msg);
	json_decref(params);
}

static void copy_slas(struct catalog_dag *d, const struct dag *dag)
{
	size_t n = dag->sla != NULL;

	free(d->slas);
	d->slas = NULL;
	d->nslas = 0;
	for (int i = 0; i < dag->ntasks; i++)
		n += dag->tasks[i].sla != NULL;
	if (n == 0 || !d->tasks || !(d->slas = calloc(n, sizeof *d->slas)))
		return;
	if (dag->sla)
		d->slas[d->nslas++].sla = *dag->sla;
	for (int i = 0; i < dag->ntasks; i++)
		if (dag->tasks[i].sla && d->tasks[i])
			d->slas[d->nslas++] = (struct sla_of){ d->tasks[i], *dag->tasks[i].sla };
}

static void free_links(struct catalog_dag *d)
{
	for (size_t i = 0; i < d->nlinks; i++)
		free((char *)d->links[i].dataset);
	free(d->links);
	free((void *)d->datasets.refs);
	d->links = NULL;
	d->nlinks = 0;
	d->datasets = (struct dataset_rule){ .n = 0 };
}

static void add_link(struct catalog_dag *d, const struct dataset_link *link)
{
	char *name = strdup(link->dataset);

	if (!name)
		return;
	d->links[d->nlinks] = *link;
	d->links[d->nlinks++].dataset = name;
}

/* The shorter of what the task and its DAG ask for; either may ask for nothing. */
static int64_t fresh_within(const struct sla *task, const struct sla *dag)
{
	int64_t a = task ? task->fresh_within_us : 0, b = dag ? dag->fresh_within_us : 0;

	return !a || (b && b < a) ? b : a;
}

/* "quality:NAME" among its breakers: it consumes NAME. */
static const char *consumed(const char *breaker)
{
	size_t len = strlen(QUALITY_BREAKER);

	return strncmp(breaker, QUALITY_BREAKER, len) == 0 ? breaker + len : NULL;
}

/* The dataset that a task waits for (control: wait); NULL: none, or not known yet. */
static const char *waited_for(const struct task *t)
{
	const char *name = t->waits ? node_text(node_get(t->with, "dataset")) : NULL;

	return name && dataset_is_name(name) ? name : NULL;
}

static size_t count_links(const struct dag *dag)
{
	size_t n = dag->datasets ? dag->datasets->n : 0;

	for (int i = 0; i < dag->ntasks; i++) {
		n += (size_t)dag->tasks[i].nproduces + (waited_for(&dag->tasks[i]) != NULL);
		for (size_t k = 0; dag->tasks[i].breakers && dag->tasks[i].breakers[k]; k++)
			n += consumed(dag->tasks[i].breakers[k]) != NULL;
	}
	return n;
}

static void copy_rule(struct catalog_dag *d, const struct dataset_rule *rule)
{
	struct dataset_ref *refs = calloc(d->nlinks + 1, sizeof *refs);

	if (!refs)
		return;
	d->datasets = (struct dataset_rule){ rule->when, refs, 0 };
	for (; d->datasets.n < d->nlinks; d->datasets.n++)
		refs[d->datasets.n].name = d->links[d->datasets.n].dataset;
}

static void add_links_of(struct catalog_dag *d, const struct dag *dag, const struct task *t)
{
	struct dataset_link link = { .task = d->tasks[t->index], .role = DATASET_PRODUCES };

	link.fresh_within_us = fresh_within(t->sla, dag->datasets ? NULL : dag->sla);
	for (int k = 0; k < t->nproduces; k++) {
		link.dataset = t->produces[k].name;
		add_link(d, &link);
	}
	link.role = DATASET_CONSUMES;
	link.fresh_within_us = 0;
	for (size_t k = 0; t->breakers && t->breakers[k]; k++)
		if ((link.dataset = consumed(t->breakers[k])))
			add_link(d, &link);
	if ((link.dataset = waited_for(t)))
		add_link(d, &link);
}

static void copy_links(struct catalog_dag *d, const struct dag *dag)
{
	size_t n = count_links(dag);

	free_links(d);
	if (n == 0 || !d->tasks || !(d->links = calloc(n, sizeof *d->links)))
		return;
	for (size_t i = 0; dag->datasets && i < dag->datasets->n; i++)
		add_link(d, &(struct dataset_link){ .dataset = dag->datasets->refs[i].name,
				    .task = "",
				    .role = DATASET_SCHEDULES,
				    .fresh_within_us = fresh_within(NULL, dag->sla) });
	if (dag->datasets)
		copy_rule(d, dag->datasets);
	for (int i = 0; i < dag->ntasks && d->tasks[i]; i++)
		add_links_of(d, dag, &dag->tasks[i]);
}

static void accept(struct catalog *c, struct catalog_dag *d, const struct dag *dag)
{
	rename_dag(c, d, dag->name);
	crossdag_put(c->cross, dag);
	free(d->text);
	free(d->dir);
	free_list(d->files);
	free_list(d->tasks);
	d->tasks = calloc((size_t)dag->ntasks + 1, sizeof *d->tasks);
	for (int i = 0; d->tasks && i < dag->ntasks; i++)
		d->tasks[i] = strdup(dag->tasks[i].name);
	d->text = strdup(dag->text);
	d->dir = strdup(dag->dir);
	d->files = copy_list(dag->files);
	memcpy(d->version, dag->hash, sizeof d->version);
	d->max_active_runs = dag->max_active_runs;
	d->overlap = dag->overlap;
	copy_slas(d, dag);
	copy_links(d, dag);
	take_spec(c, d, dag);
	copy_params(d, dag);
	set_error(d, NULL);
}

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
	const struct config *config = real ? share_config(c, real, &diags) : NULL;
	const struct dagfile_env env = { .operators = c->env.operators, .config = config };
	struct dag *dag = config ? dagfile_load_text(d->path, real, text, &env, &diags) : NULL;
	if (dag && !catalog_find(c, dag->name) && !makes_circle(c, d, dag)) {
		d->error = NULL;
		accept(c, d, dag);
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
	const struct config *config = real ? share_config(c, real, &diags) : NULL;
	const struct dagfile_env env = {
		.operators = c->env.operators, .config = config, .check_files = true
	};
	struct dag *dag = config ? dagfile_load_text(d->path, real, text, &env, &diags) : NULL;
	if (!dag || name_is_taken(c, d, dag, &diags))
		set_error(d, &diags);
	else if (crossdag_says(dag))
		d->staged = dag_ref(dag);
	else
		accept(c, d, dag);
	if (d->error)
		restore(c, d);
	if (d->error && !d->name && !d->shadowed) {
		char *name = dagfile_name_of(text);
		know_broken(c, d, name);
		free(name);
	}
	d->files_stamp = stamp_files(c, d->files);
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
	set_error(d, &diags);
	diags_release(&diags);
	restore(c, d);
	d->files_stamp = stamp_files(c, d->files);
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
	free_list(d->files);
	free_list(d->tasks);
	free(d->slas);
	free_links(d);
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
	const struct file_stamp stamp = stamp_of(st);
	struct catalog_dag *d;
	struct err err = { 0 };
	struct buf text;

	HASH_FIND(by_path, c->by_path, path, strlen(path), d);
	if (d)
		d->mark = c->scan;
	bool as_before =
		d && same_stamp(&d->stamp, &stamp) && d->files_stamp == stamp_files(c, d->files);
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
	c->config = stamp_of(&st);
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
			rename_dag(c, d, "");
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
			set_error(d, &diags);
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
		set_error(d, &diags);
		if (other)
			say_again(c, other);
	} else {
		accept(c, d, d->staged);
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
		set_error(d, &diags);
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
	const struct config *config = share_config(c, t->dir, &diags);
	/* A weir.yaml that is broken now keeps nothing from running. */
	if (!config && (config = last_good_config(c, t->dir)) != NULL) {
		diags_release(&diags);
		diags_init(&diags);
	}
	const struct dagfile_env env = { .operators = c->env.operators,
		.config = config,
		.check_files = check_files,
		.was_good = true };
	struct dag *dag = config ? dagfile_load_text(t->path, t->dir, t->text, &env, &diags) : NULL;
	if (!dag) {
		buf_init(&out, ERROR_TEXT_MAX);
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
