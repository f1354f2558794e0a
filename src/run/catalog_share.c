#include "run/catalog_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/zonefile.h"
#include "conf/config.h"
#include "conf/diag.h"
#include "core/zone.h"

/* ---- stamps --------------------------------------------------------------------------- */

static int64_t ns_of(const struct timespec *ts)
{
	return (int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec;
}

struct file_stamp catalog_stamp_of(const struct stat *st)
{
	return (struct file_stamp){ .mtime_ns = ns_of(&st->st_mtim),
		.ctime_ns = ns_of(&st->st_ctim),
		.size = st->st_size,
		.inode = st->st_ino };
}

bool catalog_same_stamp(const struct file_stamp *a, const struct file_stamp *b)
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

uint64_t catalog_stamp_files(const struct catalog *c, char *const *files)
{
	uint64_t h = add_stamp(14695981039346656037u, &c->config);

	for (size_t i = 0; files && files[i]; i++) {
		struct stat st = { 0 };
		stat(files[i], &st);
		const struct file_stamp stamp = catalog_stamp_of(&st);
		h = add_stamp(h, &stamp);
	}
	return h;
}

/* ---- what is shared ------------------------------------------------------------------- */

const struct zone *catalog_share_zone(struct catalog *c, const char *name)
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

const struct config *catalog_share_config(struct catalog *c, const char *dir, struct diags *diags)
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
	const struct file_stamp stamp = catalog_stamp_of(&st);
	struct shared_config *s = c->configs;
	while (s &&
		(strcmp(s->path, path ? path : "") != 0 || !catalog_same_stamp(&s->stamp, &stamp)))
		s = s->older;
	if (!s)
		s = add_config(c, path ? path : "", &stamp, diags);
	free(path);
	return s ? s->config : NULL;
}

const struct config *catalog_last_good_config(struct catalog *c, const char *dir)
{
	char *path = config_find(c->env.config_path, dir, NULL);
	const struct shared_config *s = c->configs;

	while (s && strcmp(s->path, path ? path : "") != 0)
		s = s->older;
	free(path);
	return s ? s->config : NULL;
}
