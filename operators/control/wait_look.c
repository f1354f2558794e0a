/* control: wait, for a value */
#include "operators/control/wait_look.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/err.h"
#include "data/conn.h"
#include "data/sqlscript.h"
#include "operators/operators.h"
#include "operators/support.h"

enum { STEPS_PER_ASK = 10000 };

/* ---- values --------------------------------------------------------------------------- */

static bool is_true(const json_t *value)
{
	const char *text = json_string_value(value);

	if (text)
		return *text && strcmp(text, "0") != 0 && strcasecmp(text, "false") != 0;
	if (json_is_number(value))
		return json_number_value(value) != 0;
	return value && !json_is_null(value) && !json_is_false(value);
}

static bool is_same(const json_t *a, const json_t *b)
{
	char texts[2][1024];

	if (json_is_number(a) && json_is_number(b))
		return json_number_value(a) == json_number_value(b);
	if (json_equal(a, b))
		return true;
	if (json_is_null(a) || json_is_null(b))
		return false;
	return strcmp(support_json_text(a, texts[0], sizeof texts[0]),
		       support_json_text(b, texts[1], sizeof texts[1])) == 0;
}

bool wait_look_suits(const struct operator_job *job, const json_t *value)
{
	const json_t *expect = json_object_get(job->with, "expect");

	return expect ? value && is_same(expect, value) : is_true(value);
}

/* ---- a query -------------------------------------------------------------------------- */

static int is_late(void *arg)
{
	const int64_t *until_us = arg;

	return clock_mono_us() > *until_us;
}

/* A database, or a table, that is not there yet may come. */
static int may_come(struct err *err)
{
	if (err && (err->code == ERR_NOT_FOUND ||
			   (err->code == ERR_SQL && strstr(err->msg, "no such table"))))
		err->code = ERR_BUSY;
	return -1;
}

static int take_row(const struct operator_job *job, sqlite3_stmt *stmt, struct wait_look *ret)
{
	char text[120];
	json_t *first = support_column_json(stmt, 0);

	ret->there = wait_look_suits(job, first);
	for (int i = 0; i < sqlite3_column_count(stmt); i++)
		json_object_set_new(
			ret->found, sqlite3_column_name(stmt, i), support_column_json(stmt, i));
	snprintf(ret->said, sizeof ret->said, "%.80s is %s", sqlite3_column_name(stmt, 0),
		support_json_text(first, text, sizeof text));
	json_decref(first);
	return 0;
}

static int ask(const struct operator_job *job, sqlite3 *db, struct wait_look *ret, struct err *err)
{
	int64_t limit_us = json_integer_value(json_object_get(job->with, "look_timeout"));
	int64_t until_us = clock_mono_us() + limit_us;
	struct sqlscript query;
	sqlite3_stmt *stmt = NULL;

	if (sqlite3_exec(db, "PRAGMA query_only=ON", NULL, NULL, NULL) != SQLITE_OK)
		return conn_sqlite_error(db, err, "PRAGMA query_only");
	if (sqlscript_of(json_object_get(job->with, "sql"), &query, err) < 0 ||
		sqlscript_query(db, &query, &stmt, err) < 0)
		return may_come(err);
	sqlite3_progress_handler(db, STEPS_PER_ASK, is_late, &until_us);
	int rc = 0, step = sqlite3_step(stmt);
	if (step == SQLITE_ROW)
		rc = take_row(job, stmt, ret);
	else if (step == SQLITE_DONE)
		snprintf(ret->said, sizeof ret->said, "no row");
	else if (sqlite3_errcode(db) == SQLITE_INTERRUPT)
		rc = err_set(err, ERR_TIMEOUT, "the query took longer than look_timeout");
	else
		rc = conn_sqlite_error(db, err, "the query");
	sqlite3_finalize(stmt);
	return rc;
}

int wait_look_sql(const struct operator_job *job, struct wait_look *ret, struct err *err)
{
	const json_t *conn = support_conn(job, support_string(job->with, "connection"), err);
	json_t *own = conn ? json_copy((json_t *)conn) : NULL;
	sqlite3 *db = NULL;
	int rc = -1;

	if (!conn)
		return -1;
	/* Another look is made soon: nothing is waited for here. */
	json_object_set(own, "busy_timeout", json_object_get(job->with, "look_timeout"));
	if (!own)
		err_nomem(err);
	else if (support_open_existing(own, &db, err) < 0)
		may_come(err);
	else
		rc = ask(job, db, ret, err);
	sqlite3_close(db);
	json_decref(own);
	return rc;
}
