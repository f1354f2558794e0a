/* Running an operator inside a test: a folder, a SQLite connection "wh", and the log. */
#ifndef WEIR_TESTS_LIB_OPJOB_H
#define WEIR_TESTS_LIB_OPJOB_H

#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "operators/operators.h"

struct opjob {
	char dir[64], db[128];
	json_t *connections, *with;
	struct operator_job job;
	struct err err;
	struct buf log; /* what the last run printed */
};

static inline int opjob_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline int opjob_init(struct opjob *o)
{
	*o = (struct opjob){ 0 };
	snprintf(o->dir, sizeof o->dir, "/tmp/weir-op-XXXXXX");
	if (!mkdtemp(o->dir))
		return -1;
	snprintf(o->db, sizeof o->db, "%s/wh.db", o->dir);
	o->connections = json_pack(
		"{s:{s:s, s:s, s:i}}", "wh", "type", "sqlite", "path", o->db, "busy_timeout", 0);
	buf_init(&o->log, BUF_MAX_TEXT);
	o->job = (struct operator_job){
		.connections = o->connections,
		.dir = o->dir,
		.run_id = "d@2026-11-19",
		.ds = "2026-11-19",
		.key = { "d", "t", -1, "2026-11-19T00:00:00Z", "2026-11-20T00:00:00Z", 10, 0 },
		.try = 1,
	};
	return 0;
}

static inline void opjob_clear(struct opjob *o)
{
	json_decref(o->with);
	json_decref(o->job.outputs);
	json_decref(o->job.checks);
	o->with = o->job.outputs = o->job.checks = NULL;
	buf_clear(&o->log);
	err_clear(&o->err);
}

static inline void opjob_release(struct opjob *o)
{
	opjob_clear(o);
	buf_release(&o->log);
	json_decref(o->connections);
	nftw(o->dir, opjob_remove, 8, FTW_DEPTH | FTW_PHYS);
}

/* Run with `with` as JSON text. stdout is kept from the test's own output. */
static inline int opjob_run(struct opjob *o, const struct operator* op, const char *with)
{
	char path[160];
	json_error_t why;

	opjob_clear(o);
	o->with = json_loads(with, 0, &why);
	if (!o->with) {
		fprintf(stderr, "%s: %s\n", with, why.text);
		abort();
	}
	o->job.with = o->with;
	o->job.outputs = json_object();
	o->job.checks = json_array();
	snprintf(path, sizeof path, "%s/.log", o->dir);
	fflush(stdout);
	int saved = dup(STDOUT_FILENO);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	dup2(fd, STDOUT_FILENO);
	close(fd);
	int rc = op->run(&o->job, &o->err);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	io_read_file(path, &o->log, NULL);
	unlink(path);
	return rc;
}

static inline void opjob_sql(struct opjob *o, const char *sql)
{
	sqlite3 *db = NULL;

	if (sqlite3_open(o->db, &db) != SQLITE_OK ||
		sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
		fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
		abort();
	}
	sqlite3_close(db);
}

/* The first column of all rows, joined by blanks. */
static inline const char *opjob_query(struct opjob *o, const char *sql)
{
	static char text[8192];
	sqlite3_stmt *stmt = NULL;
	sqlite3 *db = NULL;
	size_t used = 0;

	text[0] = '\0';
	if (sqlite3_open(o->db, &db) != SQLITE_OK ||
		sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) {
		fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
		abort();
	}
	while (sqlite3_step(stmt) == SQLITE_ROW && used < sizeof text) {
		const char *s = (const char *)sqlite3_column_text(stmt, 0);
		used += (size_t)snprintf(
			text + used, sizeof text - used, "%s%s", used ? " " : "", s ? s : "NULL");
	}
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return text;
}

static inline const char *opjob_output(const struct opjob *o, const char *name)
{
	static char text[1024];
	char *dumped = json_dumps(json_object_get(o->job.outputs, name), JSON_ENCODE_ANY);

	snprintf(text, sizeof text, "%s", dumped ? dumped : "(none)");
	free(dumped);
	return text;
}

#endif
