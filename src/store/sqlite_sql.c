/* Every statement of the SQLite backend. A column list and the function that binds or
 * reads it must agree: run_row, task_row, ... of sqlite_read.c, change_* of sqlite_write.c. */
#include "store/sqlite.h"

#include <assert.h>

/* LEFT JOIN keeps the run the outer loop, whatever the planner believes of the tables. */
#define RUN_SELECT                                                                              \
	"SELECT r.id, r.name, r.dag, r.ds, r.zone, r.params, r.\"trigger\", r.version, v.path," \
	" v.dir, r.interval_start_us, r.interval_end_us, r.state, r.reason, r.created_us,"      \
	" r.started_us, r.ended_us, r.owner_host, r.owner_boot_id, r.owner_pid,"                \
	" r.owner_start_ticks, r.lease_until_us, r.epoch "                                      \
	"FROM run r LEFT JOIN dag_version v ON v.hash = r.version "

#define NEWEST "ORDER BY r.interval_start_us DESC, r.interval_end_us DESC LIMIT "

static const char *const texts[] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_RUN_EPOCH] = "SELECT epoch FROM run WHERE id = ?1",
	[SQL_RUN_OWNER] =
		"SELECT id, name, owner_host, owner_boot_id, owner_pid, owner_start_ticks,"
		" lease_until_us, epoch FROM run"
		" WHERE dag = ?1 AND interval_start_us = ?2 AND interval_end_us = ?3",
	[SQL_RUN_NAME_TAKEN] = "SELECT 1 FROM run WHERE name = ?1",
	[SQL_RUN_INSERT] =
		"INSERT INTO run(name, dag, interval_start_us, interval_end_us, ds, zone, params,"
		" \"trigger\", version, created_us, owner_host, owner_boot_id, owner_pid,"
		" owner_start_ticks, lease_until_us, epoch)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, 1)",
	[SQL_RUN_TAKE] =
		"UPDATE run SET params = coalesce(?2, params), version = ?3, owner_host = ?4,"
		" owner_boot_id = ?5, owner_pid = ?6, owner_start_ticks = ?7, lease_until_us = ?8,"
		" epoch = epoch + 1 WHERE id = ?1",
	[SQL_RUN_RENEW] = "UPDATE run SET lease_until_us = ?3 WHERE id = ?1 AND epoch = ?2",
	[SQL_RUN_CLOSE] =
		"UPDATE run SET owner_host = NULL, owner_boot_id = NULL, owner_pid = NULL,"
		" owner_start_ticks = NULL, lease_until_us = NULL WHERE id = ?1 AND epoch = ?2",
	[SQL_RUN_STATE] = "SELECT state FROM run WHERE id = ?1",
	[SQL_RUN_CHANGE] =
		"UPDATE run SET state = ?3, reason = ?4, started_us = coalesce(started_us, ?5),"
		" ended_us = ?6 WHERE id = ?1 AND state = ?2",
	[SQL_VERSION_PUT] =
		"INSERT INTO dag_version(hash, dag, path, dir, text, created_us)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
		" ON CONFLICT(hash) DO UPDATE SET path = excluded.path, dir = excluded.dir"
		" WHERE path <> excluded.path OR dir <> excluded.dir",
	[SQL_TASK_PUT] = "INSERT INTO task(run_id, name, seq) VALUES (?1, ?2, ?3)"
			 " ON CONFLICT(run_id, name, map_index) DO UPDATE SET seq = excluded.seq"
			 " WHERE seq <> excluded.seq",
	[SQL_TASK_STATE] =
		"SELECT state, token FROM task WHERE run_id = ?1 AND name = ?2 AND map_index = ?3",
	[SQL_TASK_CHANGE] =
		"UPDATE task SET state = ?5, reason = ?6, tries = ?7, failures = ?8, lost = ?9,"
		" changed_us = ?10, due_us = ?11, hash = coalesce(?12, hash, ?13), outputs = ?14"
		" WHERE run_id = ?1 AND name = ?2 AND map_index = ?3 AND state = ?4",
	[SQL_TASK_TOKEN] =
		"UPDATE task SET token = ?4 WHERE run_id = ?1 AND name = ?2 AND map_index = ?3"
		" AND token < ?4",
	[SQL_EVENT_INSERT] =
		"INSERT INTO event(at_us, run_id, task, map_index, from_state, to_state, reason)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[SQL_ATTEMPT_INSERT] =
		"INSERT INTO attempt(token, run_id, task, map_index, try, queued_us, version)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT version FROM run WHERE id = ?2))",
	[SQL_ATTEMPT_END] =
		"UPDATE attempt SET outcome = ?5, exit_status = ?6, signal = ?7, started_us = ?8,"
		" ended_us = ?9, error = ?10, result = ?11"
		" WHERE token = ?1 AND run_id = ?2 AND task = ?3 AND map_index = ?4"
		" AND outcome = 'none'",
	[SQL_ATTEMPT_OUTCOME] =
		"SELECT outcome FROM attempt WHERE token = ?1 AND run_id = ?2 AND task = ?3"
		" AND map_index = ?4",
	[SQL_CHECK_INSERT] =
		"INSERT INTO check_result(run_id, token, task, name, severity, status, observed,"
		" expected, sample) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[SQL_TOKENS_RESERVE] =
		"UPDATE counter SET next = next + ?1 WHERE name = 'token' RETURNING next",
	[SQL_TOKENS_NEXT] = "SELECT next FROM counter WHERE name = 'token'",

	[SQL_RUNS_ALL] = RUN_SELECT "ORDER BY r.id DESC LIMIT ?1",
	[SQL_RUNS_OF_DAG] = RUN_SELECT "WHERE r.dag = ?1 " NEWEST "?2",
	[SQL_RUNS_OF_STATE] = RUN_SELECT "WHERE r.state = ?1 ORDER BY r.id DESC LIMIT ?2",
	[SQL_RUNS_OF_DAG_STATE] = RUN_SELECT "WHERE r.dag = ?1 AND r.state = ?2 " NEWEST "?3",
	/* One step per DAG over the index of keys, not one per run. */
	[SQL_RUNS_LATEST] =
		"WITH RECURSIVE d(dag) AS ("
		" SELECT min(dag) FROM run WHERE dag >= coalesce(?1, '')"
		" UNION ALL SELECT (SELECT min(dag) FROM run WHERE dag > d.dag) FROM d"
		" WHERE d.dag IS NOT NULL AND ?1 IS NULL), "
		"latest(id) AS (SELECT (SELECT l.id FROM run l WHERE l.dag = d.dag"
		" ORDER BY l.interval_start_us DESC, l.interval_end_us DESC LIMIT 1)"
		" FROM d WHERE d.dag IS NOT NULL AND (?1 IS NULL OR d.dag = ?1)) " RUN_SELECT
		"WHERE r.id IN (SELECT id FROM latest) AND (?2 IS NULL OR r.state = ?2) "
		"ORDER BY r.id DESC LIMIT ?3",
	[SQL_RUNS_BY_ID] = RUN_SELECT "WHERE r.id = ?1",
	[SQL_RUNS_BY_NAME] = RUN_SELECT "WHERE r.name = ?1",
	[SQL_RUNS_BY_PREFIX] =
		RUN_SELECT "WHERE r.name >= ?1 AND r.name < ?2 ORDER BY r.name LIMIT ?3",
	[SQL_RUNS_BY_KEY] = RUN_SELECT
	"WHERE r.dag = ?1 AND r.interval_start_us = ?2 AND r.interval_end_us = ?3",
	[SQL_TASK_COUNTS] =
		"SELECT count(*), count(*) FILTER (WHERE state = 'success'),"
		" count(*) FILTER (WHERE state = 'failed'),"
		" count(*) FILTER (WHERE state = 'running') FROM task WHERE run_id = ?1",
	[SQL_TASKS] =
		"SELECT name, map_index, state, reason, tries, failures, lost, changed_us, due_us,"
		" token, hash, outputs FROM task WHERE run_id = ?1 ORDER BY seq, name, map_index",
	[SQL_ATTEMPTS] =
		"SELECT token, task, map_index, try, outcome, exit_status, signal, queued_us,"
		" started_us, ended_us, error, result FROM attempt"
		" WHERE run_id = ?1 AND (?2 IS NULL OR task = ?2) ORDER BY token",
	[SQL_IN_FLIGHT] =
		"SELECT token, task, map_index, try, outcome, exit_status, signal, queued_us,"
		" started_us, ended_us, error, result FROM attempt"
		" WHERE run_id = ?1 AND outcome = 'none' ORDER BY token",
	[SQL_EVENTS] = "SELECT id, at_us, task, map_index, from_state, to_state, reason, detail"
		       " FROM event WHERE run_id = ?1 AND (?2 IS NULL OR task = ?2) ORDER BY id",
	[SQL_CHECKS] =
		"SELECT token, task, name, severity, status, observed, expected, sample"
		" FROM check_result WHERE run_id = ?1 AND (?2 IS NULL OR task = ?2) ORDER BY id",
	[SQL_VERSION_TEXT] = "SELECT text FROM dag_version WHERE hash = ?1",
};
static_assert(sizeof texts / sizeof *texts == SQL_MAX, "a text for each statement");

const char *sqlite_sql_text(enum sqlite_sql id)
{
	return texts[id];
}
