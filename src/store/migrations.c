#include "store/migrations.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"
#include "store/sqlite.h"
#include "store/testpoint.h"

/* Times are *_us, UTC; NULL: not yet. States are written out, so that the file can be
 * read with sqlite3 alone. Their checks are written with OR, the common ones first: IN builds a
 * table of its list at each statement, which costs as much as the rest of an update. */
static const char schema_1[] =
	"CREATE TABLE migration ("
	"	version INTEGER PRIMARY KEY,"
	"	applied_us INTEGER NOT NULL"
	") STRICT;"

	"CREATE TABLE dag_version ("
	"	hash TEXT NOT NULL PRIMARY KEY,"
	"	dag TEXT NOT NULL,"
	"	path TEXT NOT NULL,"
	"	dir TEXT NOT NULL,"
	"	text TEXT NOT NULL,"
	"	created_us INTEGER NOT NULL"
	") STRICT;"

	"CREATE TABLE run ("
	"	id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"	name TEXT NOT NULL UNIQUE,"
	"	dag TEXT NOT NULL,"
	"	interval_start_us INTEGER NOT NULL,"
	"	interval_end_us INTEGER NOT NULL,"
	"	ds TEXT NOT NULL,"
	"	zone TEXT NOT NULL,"
	"	params TEXT NOT NULL,"
	"	\"trigger\" TEXT NOT NULL,"
	"	version TEXT NOT NULL REFERENCES dag_version(hash),"
	"	state TEXT NOT NULL DEFAULT 'queued'"
	"		CHECK (state IN ('queued', 'running', 'success', 'failed', 'cancelled')),"
	"	reason TEXT NOT NULL DEFAULT 'created',"
	"	created_us INTEGER NOT NULL,"
	"	started_us INTEGER,"
	"	ended_us INTEGER,"
	"	owner_host TEXT,"
	"	owner_boot_id TEXT,"
	"	owner_pid INTEGER," /* NULL: no owner */
	"	owner_start_ticks INTEGER,"
	"	lease_until_us INTEGER,"
	"	epoch INTEGER NOT NULL DEFAULT 0,"
	"	UNIQUE (dag, interval_start_us, interval_end_us),"
	"	CHECK (interval_start_us <= interval_end_us)"
	") STRICT;"
	"CREATE INDEX run_by_state ON run(state);"
	"CREATE INDEX run_by_dag_state ON run(dag, state, interval_start_us, interval_end_us);"
	"CREATE INDEX run_by_version ON run(version);"

	"CREATE TABLE task ("
	"	run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,"
	"	name TEXT NOT NULL,"
	"	map_index INTEGER NOT NULL DEFAULT -1 CHECK (map_index >= -1)," /* -1: not mapped */
	"	seq INTEGER NOT NULL DEFAULT 0," /* place in the DAG file */
	"	state TEXT NOT NULL DEFAULT 'none'"
	"		CHECK (state = 'none' OR state = 'queued' OR state = 'running'"
	"			OR state = 'success' OR state = 'failed' OR state = 'skipped'"
	"			OR state = 'upstream_failed' OR state = 'up_for_retry'"
	"			OR state = 'cancelled' OR state = 'scheduled' OR state = 'held'"
	"			OR state = 'deferred' OR state = 'awaiting_input'),"
	"	reason TEXT NOT NULL DEFAULT 'none',"
	"	tries INTEGER NOT NULL DEFAULT 0,"
	"	failures INTEGER NOT NULL DEFAULT 0,"
	"	lost INTEGER NOT NULL DEFAULT 0,"
	"	changed_us INTEGER,"
	"	due_us INTEGER,"
	"	token INTEGER NOT NULL DEFAULT 0," /* of the last attempt; 0: none */
	"	hash TEXT,"                        /* definition of the last attempt */
	"	outputs TEXT,"
	"	PRIMARY KEY (run_id, name, map_index)"
	") STRICT, WITHOUT ROWID;"

	"CREATE TABLE attempt ("
	"	token INTEGER PRIMARY KEY,"
	"	run_id INTEGER NOT NULL,"
	"	task TEXT NOT NULL,"
	"	map_index INTEGER NOT NULL,"
	"	try INTEGER NOT NULL CHECK (try >= 1),"
	"	outcome TEXT NOT NULL DEFAULT 'none'"
	"		CHECK (outcome = 'none' OR outcome = 'success' OR outcome = 'failed'"
	"			OR outcome = 'timeout' OR outcome = 'skipped' OR outcome = "
	"'cancelled'"
	"			OR outcome = 'lost'),"
	"	exit_status INTEGER,"
	"	signal INTEGER,"
	"	queued_us INTEGER,"
	"	started_us INTEGER,"
	"	ended_us INTEGER,"
	"	version TEXT,"
	"	error TEXT,"
	"	result TEXT,"
	"	UNIQUE (run_id, task, map_index, try),"
	"	FOREIGN KEY (run_id, task, map_index) REFERENCES task(run_id, name, map_index)"
	"		ON DELETE CASCADE"
	") STRICT;"

	"CREATE TABLE event ("
	"	id INTEGER PRIMARY KEY,"
	"	at_us INTEGER NOT NULL,"
	"	run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,"
	"	task TEXT," /* NULL: of the run */
	"	map_index INTEGER NOT NULL DEFAULT -1,"
	"	from_state TEXT," /* NULL: the run was created */
	"	to_state TEXT NOT NULL,"
	"	reason TEXT NOT NULL,"
	"	detail TEXT"
	") STRICT;"
	"CREATE INDEX event_by_run ON event(run_id);"

	"CREATE TABLE check_result ("
	"	id INTEGER PRIMARY KEY,"
	"	run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,"
	"	token INTEGER NOT NULL,"
	"	task TEXT NOT NULL,"
	"	name TEXT NOT NULL,"
	"	severity TEXT NOT NULL,"
	"	status TEXT NOT NULL,"
	"	observed TEXT,"
	"	expected TEXT,"
	"	sample TEXT"
	") STRICT;"
	"CREATE INDEX check_result_by_run ON check_result(run_id);"

	"CREATE TABLE counter ("
	"	name TEXT NOT NULL PRIMARY KEY,"
	"	next INTEGER NOT NULL"
	") STRICT, WITHOUT ROWID;"
	"INSERT INTO counter(name, next) VALUES ('token', 1);"

	"PRAGMA application_id = 0x57656972;";

/* For a daemon. The indices are partial: they hold the few runs that someone works on, or those
 * that have ended, and cost nothing for all others. */
static const char schema_2[] =
	"ALTER TABLE run ADD COLUMN wanted INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE run ADD COLUMN backfill_id INTEGER;"
	"CREATE INDEX run_wanted ON run(wanted) WHERE wanted = 1;"
	"CREATE INDEX run_owned ON run(owner_pid) WHERE owner_pid IS NOT NULL;"
	"CREATE INDEX run_by_backfill ON run(backfill_id, state) WHERE backfill_id IS NOT NULL;"
	"CREATE INDEX run_ended ON run(ended_us) WHERE ended_us IS NOT NULL;"
	"DROP INDEX run_by_dag_state;" /* it was written at each change of a state */
	"CREATE INDEX run_ended_by_dag ON run(dag, state, interval_start_us, interval_end_us)"
	"	WHERE ended_us IS NOT NULL;"
	"CREATE INDEX dag_version_by_dag ON dag_version(dag);"

	"CREATE TABLE dag ("
	"	name TEXT NOT NULL PRIMARY KEY,"
	"	path TEXT,"
	"	dir TEXT,"
	"	version TEXT," /* NULL: it was never loaded */
	"	error TEXT,"   /* NULL: its file can be loaded */
	"	present INTEGER NOT NULL,"
	"	changed_us INTEGER NOT NULL"
	") STRICT, WITHOUT ROWID;"

	"CREATE TABLE switch ("
	"	dag TEXT NOT NULL,"  /* '*': all */
	"	task TEXT NOT NULL," /* '': of the DAG */
	"	which TEXT NOT NULL CHECK (which IN ('paused', 'draining', 'frozen')),"
	"	who TEXT,"
	"	reason TEXT,"
	"	at_us INTEGER NOT NULL,"
	"	PRIMARY KEY (dag, task, which),"
	"	CHECK ((which = 'frozen') = (task <> ''))"
	") STRICT, WITHOUT ROWID;"

	/* What people did with switches and backfills. */
	"CREATE TABLE audit ("
	"	id INTEGER PRIMARY KEY,"
	"	at_us INTEGER NOT NULL,"
	"	who TEXT,"
	"	what TEXT NOT NULL,"
	"	subject TEXT NOT NULL," /* DAG, DAG.task, or number of a backfill */
	"	reason TEXT"
	") STRICT;"

	"CREATE TABLE plan ("
	"	id INTEGER PRIMARY KEY,"
	"	at_us INTEGER NOT NULL,"
	"	dag TEXT NOT NULL,"
	"	action TEXT NOT NULL,"
	"	why TEXT NOT NULL,"
	"	start_us INTEGER NOT NULL,"
	"	end_us INTEGER NOT NULL,"
	"	run_after_us INTEGER NOT NULL,"
	"	count INTEGER NOT NULL"
	") STRICT;"
	"CREATE INDEX plan_by_dag ON plan(dag);"

	/* How far the schedule of a DAG is decided. */
	"CREATE TABLE plan_state ("
	"	dag TEXT NOT NULL PRIMARY KEY,"
	"	text TEXT NOT NULL"
	") STRICT, WITHOUT ROWID;"

	"CREATE TABLE backfill ("
	"	id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"	dag TEXT NOT NULL,"
	"	mode TEXT NOT NULL CHECK (mode IN ('missing', 'failed', 'all')),"
	"	params TEXT NOT NULL,"
	"	who TEXT,"
	"	reason TEXT,"
	"	from_us INTEGER NOT NULL,"
	"	to_us INTEGER NOT NULL,"
	"	created_us INTEGER NOT NULL,"
	"	ended_us INTEGER,"
	"	cursor_us INTEGER NOT NULL,"
	"	newest_first INTEGER NOT NULL,"
	"	exhausted INTEGER NOT NULL DEFAULT 0,"
	"	jobs INTEGER NOT NULL,"
	"	state TEXT NOT NULL DEFAULT 'running'"
	"		CHECK (state IN ('running', 'paused', 'cancelled', 'done')),"
	"	state_who TEXT,"
	"	state_reason TEXT,"
	"	ntotal INTEGER NOT NULL,"
	"	done_success INTEGER,"
	"	done_failed INTEGER,"
	"	CHECK (from_us <= to_us)"
	") STRICT;";

static const char schema_3[] =
	/* Names of the tasks that whoever opened the run last wants done, a JSON array; NULL: all.
	 */
	"ALTER TABLE run ADD COLUMN only TEXT;"
	/* Token of the first attempt of the piece of work a task is at; 0: none. */
	"ALTER TABLE task ADD COLUMN work INTEGER NOT NULL DEFAULT 0;"
	/* What a task waits for, in words, while it is deferred or awaits input; and what a person
	 * said to that, a JSON object, kept until it waits anew. */
	"ALTER TABLE task ADD COLUMN waits_for TEXT;"
	"ALTER TABLE task ADD COLUMN decision TEXT;"
	"CREATE INDEX task_awaiting ON task(state) WHERE state = 'awaiting_input';"
	/* Acts towards the world, committed with the decision that asks for them. Numbers are not
	 * given out again: a sender may still hold one that was forgotten. */
	"CREATE TABLE outbox ("
	"	id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"	key TEXT NOT NULL UNIQUE,"
	"	kind TEXT NOT NULL,"
	"	payload TEXT NOT NULL,"
	"	state TEXT NOT NULL DEFAULT 'pending'"
	"		CHECK (state IN ('pending', 'done', 'given_up')),"
	"	tries INTEGER NOT NULL DEFAULT 0,"
	"	created_us INTEGER NOT NULL,"
	"	due_us INTEGER NOT NULL,"
	"	ended_us INTEGER,"
	"	error TEXT,"
	"	CHECK ((state = 'pending') = (ended_us IS NULL))"
	") STRICT;"
	"CREATE INDEX outbox_due ON outbox(due_us) WHERE state = 'pending';"
	"CREATE INDEX outbox_ended ON outbox(ended_us) WHERE ended_us IS NOT NULL;"
	/* What people asked of a run. */
	"ALTER TABLE audit ADD COLUMN run_id INTEGER;" /* NULL: of no run */
	"ALTER TABLE audit ADD COLUMN detail TEXT;"    /* which tasks, to what */
	"CREATE INDEX audit_by_run ON audit(run_id) WHERE run_id IS NOT NULL;"
	/* What is wrong, until it is well. */
	"CREATE TABLE incident ("
	"	id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"	kind TEXT NOT NULL,"
	"	dag TEXT NOT NULL,"  /* '': none */
	"	task TEXT NOT NULL," /* '': none */
	"	severity TEXT NOT NULL"
	"		CHECK (severity IN ('info', 'warning', 'error', 'critical')),"
	"	state TEXT NOT NULL"
	"		CHECK (state IN ('open', 'acked', 'snoozed', 'resolved')),"
	"	opened_us INTEGER NOT NULL,"
	"	last_us INTEGER NOT NULL,"
	"	ended_us INTEGER,"
	"	count INTEGER NOT NULL,"
	"	run_id INTEGER," /* of the last time; it may be forgotten */
	"	facts TEXT,"
	"	who TEXT,"
	"	reason TEXT,"
	"	acted_us INTEGER,"
	"	until_us INTEGER,"
	"	escalate_us INTEGER,"
	"	escalations INTEGER NOT NULL,"
	"	told INTEGER NOT NULL,"
	"	CHECK ((state = 'resolved') = (ended_us IS NOT NULL))"
	") STRICT;"
	"CREATE UNIQUE INDEX incident_open ON incident(dag, task, kind) WHERE ended_us IS NULL;"
	"CREATE INDEX incident_due ON incident(coalesce(until_us, escalate_us))"
	"	WHERE coalesce(until_us, escalate_us) IS NOT NULL;"
	"CREATE INDEX incident_ended ON incident(ended_us) WHERE ended_us IS NOT NULL;"

	/* SLAs that were missed, each once. */
	"CREATE TABLE sla_miss ("
	"	id INTEGER PRIMARY KEY,"
	"	dag TEXT NOT NULL,"
	"	task TEXT NOT NULL," /* '': of the DAG */
	"	kind TEXT NOT NULL,"
	"	start_us INTEGER NOT NULL," /* the interval */
	"	end_us INTEGER NOT NULL,"
	"	deadline_us INTEGER NOT NULL,"
	"	found_us INTEGER NOT NULL,"
	"	ended_us INTEGER," /* NULL: open */
	"	ended TEXT,"
	"	detail TEXT,"
	"	acts TEXT," /* what is to be done about it */
	"	acted INTEGER NOT NULL DEFAULT 0,"
	"	UNIQUE (dag, task, kind, start_us, end_us),"
	"	CHECK ((ended_us IS NULL) = (ended IS NULL))"
	") STRICT;"
	"CREATE INDEX sla_miss_found ON sla_miss(found_us);"
	"CREATE INDEX sla_miss_open ON sla_miss(id) WHERE ended_us IS NULL;"
	/* How far the SLAs of a DAG are judged. */
	"CREATE TABLE sla_mark ("
	"	dag TEXT NOT NULL PRIMARY KEY,"
	"	judged_us INTEGER NOT NULL,"
	"	digest INTEGER NOT NULL"
	") STRICT, WITHOUT ROWID;"

	/* Circuit breakers: what they know (text: core/breaker.h), and how they changed. */
	"CREATE TABLE breaker ("
	"	name TEXT NOT NULL PRIMARY KEY,"
	"	state TEXT NOT NULL CHECK (state IN ('closed', 'open', 'half_open')),"
	"	text TEXT NOT NULL,"
	"	since_us INTEGER NOT NULL," /* 0: it never changed */
	"	why TEXT NOT NULL,"
	"	who TEXT," /* NULL: no person */
	"	reason TEXT"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE breaker_event ("
	"	id INTEGER PRIMARY KEY,"
	"	at_us INTEGER NOT NULL,"
	"	name TEXT NOT NULL,"
	"	from_state TEXT NOT NULL,"
	"	to_state TEXT NOT NULL,"
	"	why TEXT NOT NULL,"
	"	who TEXT,"
	"	reason TEXT,"
	"	run_id INTEGER," /* of the attempt that made it so; it may be forgotten */
	"	task TEXT"
	") STRICT;"
	"CREATE INDEX breaker_event_by_name ON breaker_event(name);"
	"CREATE INDEX breaker_event_at ON breaker_event(at_us);";

static const char schema_4[] =
	/* A cancel that is not carried to its end: 1; 2: by KILL. */
	"ALTER TABLE run ADD COLUMN cancelling INTEGER NOT NULL DEFAULT 0;"

	/* Whom an incident was told; the intervals that are not made good (core/incident.h). */
	"ALTER TABLE incident ADD COLUMN told_to TEXT;"
	"ALTER TABLE incident ADD COLUMN undone TEXT;"
	"ALTER TABLE incident ADD COLUMN eased_us INTEGER;"

	/* Mapped tasks. item: of an instance, JSON text. */
	"ALTER TABLE task ADD COLUMN item TEXT;"
	"ALTER TABLE check_result ADD COLUMN map_index INTEGER NOT NULL DEFAULT -1;"

	/* Events in the order of their runs, numbered in each: a page less for each commit to write
	 * than with an index of runs, and what is forgotten together lies together. */
	"CREATE TABLE event_of_run ("
	"	run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,"
	"	id INTEGER NOT NULL,"
	"	at_us INTEGER NOT NULL,"
	"	task TEXT," /* NULL: of the run */
	"	map_index INTEGER NOT NULL DEFAULT -1,"
	"	from_state TEXT," /* NULL: the run was created */
	"	to_state TEXT NOT NULL,"
	"	reason TEXT NOT NULL,"
	"	detail TEXT,"
	"	PRIMARY KEY (run_id, id)"
	") STRICT, WITHOUT ROWID;"
	"INSERT INTO event_of_run SELECT run_id, id, at_us, task, map_index, from_state, to_state,"
	"	reason, detail FROM event ORDER BY run_id, id;"
	"DROP TABLE event;"
	"ALTER TABLE event_of_run RENAME TO event;"

	/* Datasets: how fresh they are, and each of their updates. Numbers are not used again: how
	 * far they are seen is told by them. */
	"CREATE TABLE dataset ("
	"	name TEXT NOT NULL PRIMARY KEY,"
	"	since_us INTEGER NOT NULL,"
	"	last_id INTEGER,"  /* the last update */
	"	fresh_us INTEGER," /* the last one of newer data, and until when these reach */
	"	end_us INTEGER"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE dataset_update ("
	"	id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"	dataset TEXT NOT NULL,"
	"	at_us INTEGER NOT NULL,"
	"	start_us INTEGER NOT NULL," /* the interval of the data */
	"	end_us INTEGER NOT NULL,"
	"	dag TEXT," /* NULL: a person said so */
	"	task TEXT,"
	"	map_index INTEGER NOT NULL,"
	"	run_id INTEGER,"         /* it may be forgotten */
	"	work INTEGER,"           /* the piece of work, which updates it once */
	"	wakes INTEGER NOT NULL," /* 0: by a backfill */
	"	who TEXT,"
	"	reason TEXT,"
	"	CHECK (end_us >= start_us)"
	") STRICT;"
	"CREATE UNIQUE INDEX dataset_update_work ON dataset_update(work, dataset)"
	"	WHERE work IS NOT NULL;"
	"CREATE INDEX dataset_update_of ON dataset_update(dataset);"
	"CREATE INDEX dataset_update_until ON dataset_update(dataset, end_us);"
	"CREATE INDEX dataset_update_by ON dataset_update(run_id) WHERE run_id IS NOT NULL;"
	"CREATE INDEX dataset_update_at ON dataset_update(at_us);"
	/* Which run was made because of which updates. */
	"CREATE TABLE dataset_use ("
	"	run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,"
	"	update_id INTEGER NOT NULL,"
	"	PRIMARY KEY (run_id, update_id)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX dataset_use_of ON dataset_use(update_id);"
	/* Up to which update runs of a DAG have taken them. */
	"CREATE TABLE dataset_cursor ("
	"	dag TEXT NOT NULL,"
	"	dataset TEXT NOT NULL,"
	"	seen_id INTEGER NOT NULL,"
	"	since_us INTEGER NOT NULL,"
	"	PRIMARY KEY (dag, dataset)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE dataset_link ("
	"	dag TEXT NOT NULL,"
	"	dataset TEXT NOT NULL,"
	"	role TEXT NOT NULL CHECK (role IN ('produces', 'schedules', 'consumes')),"
	"	task TEXT NOT NULL,"      /* '': the schedule */
	"	fresh_within_us INTEGER," /* an SLA */
	"	PRIMARY KEY (dag, dataset, role, task)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX dataset_link_of ON dataset_link(dataset);"

	/* What looks for what a task waits for found last, in words, and since when they find it.
	 */
	"ALTER TABLE task ADD COLUMN looked TEXT;"
	"ALTER TABLE task ADD COLUMN looked_us INTEGER NOT NULL DEFAULT 0;";

static const struct migration all[] = {
	{ 1, schema_1 },
	{ 2, schema_2 },
	{ 3, schema_3 },
	{ 4, schema_4 },
};

const struct migration *migrations_all(size_t *ret_n)
{
	*ret_n = sizeof all / sizeof *all;
	return all;
}

static int record(sqlite3 *db, int version)
{
	char sql[160];

	snprintf(sql, sizeof sql,
		"INSERT INTO migration(version, applied_us) VALUES (%d, %" PRId64 ");"
		"PRAGMA user_version = %d;",
		version, clock_now_us(), version);
	return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* Within a transaction. Another process may have been faster: then there is nothing to do. */
static int apply_in(sqlite3 *db, const char *path, const struct migration *m, struct err *err)
{
	int version;

	if (sqlite_read_pragma(db, path, "PRAGMA user_version", &version, err) < 0)
		return -1;
	if (version >= m->version)
		return 0;
	if (sqlite3_exec(db, m->sql, NULL, NULL, NULL) != SQLITE_OK ||
		record(db, m->version) != SQLITE_OK)
		return sqlite_error(db, path, "bring the schema up to date", err);
	return 0;
}

static int apply(sqlite3 *db, const char *path, const struct migration *m, struct err *err)
{
	store_test_point();
	if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
		return sqlite_error(db, path, "begin to bring the schema up to date", err);
	int r = apply_in(db, path, m, err);
	store_test_point();
	if (r == 0 && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
		r = sqlite_error(db, path, "bring the schema up to date", err);
	if (!sqlite3_get_autocommit(db))
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	if (r == 0)
		store_test_point();
	return r;
}

int migrations_apply(struct sqlite3 *db, const char *path, const struct migration *rows, size_t n,
	struct err *err)
{
	int version;

	if (sqlite_read_pragma(db, path, "PRAGMA user_version", &version, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (rows[i].version > version && apply(db, path, &rows[i], err) < 0)
			return -1;
	return 0;
}
