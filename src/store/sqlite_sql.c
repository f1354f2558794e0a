/* Every statement of the SQLite backend. A column list and the function that binds or
 * reads it must agree: run_row, task_row, ... of sqlite_read.c, change_* of sqlite_write.c. */
#include "store/sqlite.h"

#include <assert.h>

#include "base/buf.h"

/* LEFT JOIN keeps the run the outer loop, whatever the planner believes of the tables. */
#define RUN_SELECT                                                                              \
	"SELECT r.id, r.name, r.dag, r.ds, r.zone, r.params, r.\"trigger\", r.version, v.path," \
	" v.dir, r.interval_start_us, r.interval_end_us, r.state, r.reason, r.created_us,"      \
	" r.started_us, r.ended_us, r.owner_host, r.owner_boot_id, r.owner_pid,"                \
	" r.owner_start_ticks, r.lease_until_us, r.epoch, r.wanted, r.backfill_id, r.only,"     \
	" r.cancelling "                                                                        \
	"FROM run r LEFT JOIN dag_version v ON v.hash = r.version "

/* A row for each DAG that is known, or that a switch is set for. */
#define DAG_NAMES                                                   \
	"SELECT name FROM dag WHERE ?1 IS NULL OR name = ?1 UNION " \
	"SELECT dag FROM switch WHERE dag <> '*' AND (?1 IS NULL OR dag = ?1)"

/* The newest decision about an interval of a DAG. */
#define LAST_PLAN(dag)                                                                         \
	"(SELECT n.id FROM plan n WHERE n.dag = " dag " AND n.action <> '" BACKEND_PLAN_CANCEL \
	"' ORDER BY n.id DESC LIMIT 1)"

#define APPROVAL_SELECT                                                                         \
	"SELECT t.run_id, r.name, r.dag, t.name, t.map_index, t.state, t.changed_us, t.due_us," \
	" t.waits_for, t.decision FROM task t JOIN run r ON r.id = t.run_id "

#define OUTBOX_SELECT                                                                      \
	"SELECT id, key, kind, payload, error, state, tries, created_us, due_us, ended_us" \
	" FROM outbox "

#define INCIDENT_SELECT                                                                     \
	"SELECT id, kind, dag, task, severity, state, opened_us, last_us, ended_us, count," \
	" run_id, facts, who, reason, acted_us, until_us, escalate_us, escalations, told,"  \
	" told_to, undone, eased_us FROM incident "

#define SLA_SELECT                                                                       \
	"SELECT id, dag, task, kind, start_us, end_us, deadline_us, found_us, ended_us," \
	" ended, detail, acts, acted FROM sla_miss "

/* A new event of the run ?2. VALUES: a SELECT from the table it goes into is kept aside first,
 * which costs more than all the rest. */
#define EVENT_INSERT                                                                          \
	"INSERT INTO event(run_id, id, at_us, task, map_index, from_state, to_state, reason," \
	" detail) "
#define EVENT_FIRST                                                                       \
	"?2, coalesce((SELECT id FROM event WHERE run_id = ?2 ORDER BY id DESC LIMIT 1)," \
	" 0) + 1, ?1"

#define UPDATE_COLUMNS                                                                 \
	" u.id, u.at_us, u.dataset, u.start_us, u.end_us, u.dag, u.task, u.map_index," \
	" u.run_id, r.name, u.work, u.wakes, u.who, u.reason"
#define UPDATE_SELECT                                              \
	"SELECT" UPDATE_COLUMNS " FROM dataset_update u LEFT JOIN" \
	" run r ON r.id = u.run_id "

static const char *const texts[] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_RUN_EPOCH] = "SELECT epoch FROM run WHERE id = ?1",
	[SQL_RUN_OWNER] =
		"SELECT id, name, owner_host, owner_boot_id, owner_pid, owner_start_ticks,"
		" lease_until_us, epoch, wanted, state = 'running',"
		" state IN ('success', 'failed', 'cancelled') FROM run"
		" WHERE dag = ?1 AND interval_start_us = ?2 AND interval_end_us = ?3",
	[SQL_RUN_NAME_TAKEN] = "SELECT 1 FROM run WHERE name = ?1",
	[SQL_RUN_INSERT] =
		"INSERT INTO run(name, dag, interval_start_us, interval_end_us, ds, zone, params,"
		" \"trigger\", version, created_us, owner_host, owner_boot_id, owner_pid,"
		" owner_start_ticks, lease_until_us, wanted, backfill_id, only, epoch)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,"
		" ?17, ?18, 1)",
	[SQL_RUN_TAKE] =
		"UPDATE run SET params = coalesce(?2, params), version = ?3, owner_host = ?4,"
		" owner_boot_id = ?5, owner_pid = ?6, owner_start_ticks = ?7, lease_until_us = ?8,"
		" wanted = max(wanted, ?9), backfill_id = coalesce(?10, backfill_id),"
		" trigger = iif(?9, coalesce(?11, trigger), trigger), only = ?12,"
		" cancelling = iif(?13, 0, cancelling), epoch = epoch + 1 WHERE id = ?1",
	[SQL_RUN_RENEW] = "UPDATE run SET lease_until_us = ?3 WHERE id = ?1 AND epoch = ?2",
	[SQL_RUN_CLOSE] =
		"UPDATE run SET owner_host = NULL, owner_boot_id = NULL, owner_pid = NULL,"
		" owner_start_ticks = NULL, lease_until_us = NULL WHERE id = ?1 AND epoch = ?2",
	[SQL_RUN_STATE] = "SELECT state FROM run WHERE id = ?1",
	[SQL_RUN_CHANGE] =
		"UPDATE run SET state = ?3, reason = ?4, started_us = coalesce(started_us, ?5),"
		" ended_us = ?6, wanted = wanted * ?7, cancelling = cancelling * ?7,"
		" owner_host = iif(?7, owner_host, NULL),"
		" owner_boot_id = iif(?7, owner_boot_id, NULL),"
		" owner_pid = iif(?7, owner_pid, NULL),"
		" owner_start_ticks = iif(?7, owner_start_ticks, NULL),"
		" lease_until_us = iif(?7, lease_until_us, NULL)"
		" WHERE id = ?1 AND state = ?2",
	[SQL_RUN_CANCEL] = "UPDATE run SET cancelling = max(cancelling, ?2) WHERE id = ?1",
	[SQL_VERSION_PUT] =
		"INSERT INTO dag_version(hash, dag, path, dir, text, created_us)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
		" ON CONFLICT(hash) DO UPDATE SET path = excluded.path, dir = excluded.dir"
		" WHERE path <> excluded.path OR dir <> excluded.dir",
	[SQL_TASK_PUT] = "INSERT INTO task(run_id, name, seq) VALUES (?1, ?2, ?3)"
			 " ON CONFLICT(run_id, name, map_index) DO UPDATE SET seq = excluded.seq"
			 " WHERE seq <> excluded.seq",
	[SQL_ITEM_PUT] = "INSERT INTO task(run_id, name, map_index, seq, item)"
			 " SELECT run_id, name, ?3, seq, ?4 FROM task"
			 " WHERE run_id = ?1 AND name = ?2 AND map_index = -1"
			 " ON CONFLICT(run_id, name, map_index) DO UPDATE SET item = excluded.item"
			 " WHERE state = 'none'",
	[SQL_TASK_STATE] =
		"SELECT state, token FROM task WHERE run_id = ?1 AND name = ?2 AND map_index = ?3",
	[SQL_TASK_CHANGE] =
		"UPDATE task SET state = ?5, reason = ?6, tries = ?7, failures = ?8, lost = ?9,"
		" changed_us = ?10, due_us = ?11, hash = coalesce(?12, hash, ?13), outputs = ?14,"
		" work = ?15, waits_for = ?16,"
		" decision = iif(?5 = 'none' OR ?5 = 'awaiting_input', NULL, decision),"
		/* No IN: it builds a table of its list each time (see migrations.c). */
		" looked = iif(?5 = 'failed' OR ?5 = 'skipped' OR ?5 = 'cancelled', looked, NULL),"
		" looked_us = iif(?5 = 'failed' OR ?5 = 'skipped' OR ?5 = 'cancelled', looked_us,"
		" 0)"
		" WHERE run_id = ?1 AND name = ?2 AND map_index = ?3 AND state = ?4",
	[SQL_TASK_LOOKED] = "UPDATE task SET looked = ?4, looked_us = ?5"
			    " WHERE run_id = ?1 AND name = ?2 AND map_index = ?3"
			    " AND state IN ('deferred', 'awaiting_input')",
	[SQL_TASK_TOKEN] =
		"UPDATE task SET token = ?4 WHERE run_id = ?1 AND name = ?2 AND map_index = ?3"
		" AND token < ?4",
	[SQL_EVENT_INSERT] = EVENT_INSERT "VALUES (" EVENT_FIRST ", ?3, ?4, ?5, ?6, ?7, ?8)",
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
		" expected, sample, map_index) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
	[SQL_REQUEST_INSERT] =
		"INSERT INTO audit(at_us, who, what, subject, reason, run_id, detail)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[SQL_RUN_WANT] = "UPDATE run SET wanted = 1 WHERE id = ?1"
			 " AND state IN ('queued', 'running')",
	[SQL_TOKENS_RESERVE] =
		"UPDATE counter SET next = max(next, ?2) + ?1 WHERE name = 'token' RETURNING next",
	[SQL_TOKENS_NEXT] = "SELECT next FROM counter WHERE name = 'token'",
	[SQL_RENEW_OWNED] =
		"UPDATE run SET lease_until_us = ?5 WHERE owner_pid = ?1"
		" AND owner_start_ticks = ?2 AND owner_host = ?3 AND owner_boot_id = ?4",
	[SQL_PLAN_INSERT] =
		"INSERT INTO plan(at_us, dag, action, why, start_us, end_us, run_after_us, count)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
	[SQL_PLAN_STATE_PUT] = "INSERT INTO plan_state(dag, text) VALUES (?1, ?2)"
			       " ON CONFLICT DO UPDATE SET text = ?2",
	[SQL_DAG_PUT] =
		"INSERT INTO dag(name, path, dir, version, error, present, changed_us)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT(name) DO UPDATE SET"
		" path = coalesce(?2, path), dir = coalesce(?3, dir),"
		" version = coalesce(?4, version), error = ?5, present = ?6, changed_us = ?7"
		" WHERE path IS NOT coalesce(?2, path) OR dir IS NOT coalesce(?3, dir)"
		" OR version IS NOT coalesce(?4, version) OR error IS NOT ?5 OR present <> ?6",
	[SQL_SWITCH_ON] = "INSERT INTO switch(dag, task, which, who, reason, at_us)"
			  " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET"
			  " who = ?4, reason = ?5, at_us = ?6",
	[SQL_SWITCH_OFF] = "DELETE FROM switch WHERE dag = ?1 AND task = ?2 AND which = ?3",
	[SQL_AUDIT_INSERT] = "INSERT INTO audit(at_us, who, what, subject, reason)"
			     " VALUES (?1, ?2, ?3, ?4, ?5)",
	[SQL_BACKFILL_INSERT] =
		"INSERT INTO backfill(dag, mode, params, who, reason, from_us, to_us, created_us,"
		" cursor_us, newest_first, jobs, ntotal)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
	[SQL_BACKFILL_MOVE] = "UPDATE backfill SET cursor_us = ?2, exhausted = ?3 WHERE id = ?1",
	[SQL_BACKFILL_STATE] = "SELECT state FROM backfill WHERE id = ?1",
	/* A change without a person keeps who made the last one. */
	[SQL_BACKFILL_SET] = "UPDATE backfill SET state = ?2, ended_us = ?3,"
			     " state_reason = iif(?4 IS NULL, state_reason, ?5),"
			     " state_who = coalesce(?4, state_who),"
			     /* Later backfills may take its runs over; what it did stays told. */
			     " done_success = iif(?2 = 'done', (SELECT count(*) FROM run"
			     "	WHERE backfill_id = ?1 AND state = 'success'), NULL),"
			     " done_failed = iif(?2 = 'done', (SELECT count(*) FROM run"
			     "	WHERE backfill_id = ?1 AND state IN ('failed', 'cancelled')), NULL)"
			     " WHERE id = ?1",
	[SQL_RUN_DELETE] = "DELETE FROM run WHERE id = ?1",
	[SQL_VERSIONS_DELETE] =
		"DELETE FROM dag_version WHERE hash IN (SELECT ?2 UNION ALL"
		" SELECT hash FROM dag_version WHERE dag = ?1)"
		" AND NOT EXISTS (SELECT 1 FROM run WHERE version = dag_version.hash)",
	[SQL_PLANS_DELETE] =
		"DELETE FROM plan WHERE id IN (SELECT p.id FROM plan p WHERE p.at_us < ?1"
		" AND p.id < " LAST_PLAN("p.dag") " ORDER BY p.id LIMIT ?2)",

	[SQL_LATE_LOOK] =
		"SELECT a.run_id, a.task, a.map_index, t.state, a.outcome, a.ended_us, a.try"
		" FROM attempt a JOIN task t ON (t.run_id, t.name, t.map_index) ="
		" (a.run_id, a.task, a.map_index) WHERE a.token = ?1",
	[SQL_LATE_EVENT] = EVENT_INSERT
	"SELECT " EVENT_FIRST ", ?3, ?4, ?5, ?5, ?6, ?7 WHERE NOT EXISTS (SELECT 1 FROM"
	" event WHERE run_id = ?2 AND task = ?3 AND map_index = ?4 AND reason = ?6"
	" AND detail = ?7)",
	[SQL_APPROVALS] = APPROVAL_SELECT "WHERE t.state = 'awaiting_input' AND t.decision IS NULL"
					  " ORDER BY t.changed_us, t.run_id, t.name",
	[SQL_APPROVAL] = APPROVAL_SELECT "WHERE t.run_id = ?1 AND t.name = ?2 AND t.map_index = ?3",
	[SQL_DECIDE] = "UPDATE task SET decision = ?4 WHERE run_id = ?1 AND name = ?2"
		       " AND map_index = ?3 AND state = 'awaiting_input' AND decision IS NULL",
	[SQL_DECIDE_EVENT] = EVENT_INSERT "VALUES (" EVENT_FIRST
					  ", ?3, ?4, 'awaiting_input', 'awaiting_input', ?5, ?6)",
	[SQL_ACT_PUT] =
		"INSERT INTO outbox(key, kind, payload, created_us, due_us)"
		" SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS (SELECT 1 FROM outbox WHERE key = ?1)",
	[SQL_ACT_STATE] = "SELECT state FROM outbox WHERE id = ?1",
	[SQL_ACT_SET] = "UPDATE outbox SET state = ?2, tries = tries + 1,"
			" due_us = iif(?2 = 'pending', ?3, due_us),"
			" ended_us = iif(?2 = 'pending', NULL, ?3), error = ?4 WHERE id = ?1",
	[SQL_ACTS_DELETE] = "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox"
			    " WHERE ended_us < ?1 ORDER BY ended_us, id LIMIT ?2)",
	[SQL_INCIDENT_BY_ID] = INCIDENT_SELECT "WHERE id = ?1",
	[SQL_INCIDENT_OPEN] =
		INCIDENT_SELECT "WHERE dag = ?1 AND task = ?2 AND kind = ?3 AND ended_us IS NULL",
	[SQL_INCIDENT_PUT] =
		"INSERT INTO incident(id, kind, dag, task, severity, state, opened_us, last_us,"
		" ended_us, count, run_id, facts, who, reason, acted_us, until_us, escalate_us,"
		" escalations, told, told_to, undone, eased_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6,"
		" ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)"
		" ON CONFLICT(id) DO UPDATE SET severity = ?5,"
		" state = ?6, last_us = ?8, ended_us = ?9, count = ?10, run_id = ?11, facts = ?12,"
		" who = ?13, reason = ?14, acted_us = ?15, until_us = ?16, escalate_us = ?17,"
		" escalations = ?18, told = ?19, told_to = ?20, undone = ?21, eased_us = ?22",
	[SQL_INCIDENTS_DELETE] = "DELETE FROM incident WHERE id IN (SELECT id FROM incident"
				 " WHERE ended_us < ?1 ORDER BY ended_us, id LIMIT ?2)",

	[SQL_SLA_PUT] = "INSERT INTO sla_miss(dag, task, kind, start_us, end_us, deadline_us,"
			" found_us, detail, acts) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
			" ON CONFLICT DO NOTHING",
	[SQL_SLA_END] =
		"UPDATE sla_miss SET ended_us = ?2, ended = ?3 WHERE id = ?1 AND ended_us IS NULL",
	[SQL_SLA_ACTED] = "UPDATE sla_miss SET acted = 1 WHERE id = ?1",
	[SQL_SLA_MARK] = "INSERT INTO sla_mark(dag, judged_us, digest) VALUES (?1, ?2, ?3)"
			 " ON CONFLICT DO UPDATE SET judged_us = ?2, digest = ?3",
	[SQL_SLA_DELETE] = "DELETE FROM sla_miss WHERE id IN (SELECT id FROM sla_miss"
			   " WHERE found_us < ?1 ORDER BY found_us, id LIMIT ?2)",
	[SQL_BREAKER_PUT] =
		"INSERT INTO breaker(name, text, state, since_us, why, who, reason)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT(name) DO UPDATE SET"
		" text = excluded.text, state = excluded.state, since_us = excluded.since_us,"
		" why = excluded.why, who = excluded.who, reason = excluded.reason",
	[SQL_BREAKER_COUNT] =
		"INSERT INTO breaker(name, text, state, since_us, why) VALUES (?1, ?2, ?3, ?4, ?5)"
		" ON CONFLICT(name) DO UPDATE SET text = excluded.text"
		" WHERE state = excluded.state AND since_us = excluded.since_us",
	[SQL_BREAKER_EVENT_PUT] =
		"INSERT INTO breaker_event(at_us, name, from_state, to_state, why, who, reason,"
		" run_id, task) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[SQL_BREAKER_EVENTS_DELETE] =
		"DELETE FROM breaker_event WHERE id IN (SELECT id FROM breaker_event"
		" WHERE at_us < ?1 ORDER BY at_us, id LIMIT ?2)",

	[SQL_UPDATE_IS_BACKFILL] =
		"SELECT 1 FROM run WHERE id = ?1 AND \"trigger\" = '" BACKEND_TRIGGER_BACKFILL "'",
	[SQL_UPDATE_PUT] =
		"INSERT INTO dataset_update(dataset, at_us, start_us, end_us, dag, task,"
		" map_index, run_id, work, wakes, who, reason) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7,"
		" ?8, ?9, ?10, ?11, ?12 WHERE NOT EXISTS (SELECT 1 FROM dataset_update"
		" WHERE work = ?9 AND dataset = ?1)",
	/* One of an interval before those that are here makes it no fresher. */
	[SQL_DATASET_PUT] =
		"INSERT INTO dataset(name, since_us, last_id, fresh_us, end_us)"
		" VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT(name) DO UPDATE SET last_id = ?3,"
		" fresh_us = iif(?4 IS NULL OR ?5 < end_us, fresh_us, ?4),"
		" end_us = iif(?5 IS NULL OR ?5 < end_us, end_us, ?5)",
	[SQL_DATASET_KNOW] =
		"INSERT INTO dataset(name, since_us) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
	[SQL_UPDATES_TAKE] =
		"INSERT INTO dataset_use(run_id, update_id) SELECT ?1, u.id FROM dataset_cursor c"
		" JOIN dataset_update u ON u.dataset = c.dataset WHERE c.dag = ?2"
		" AND u.id > c.seen_id AND u.id <= ?3 AND u.wakes = 1 ON CONFLICT DO NOTHING",
	[SQL_CURSOR_MOVE] = "UPDATE dataset_cursor SET seen_id = max(seen_id, ?2) WHERE dag = ?1",
	[SQL_CURSOR_DELETE] = "DELETE FROM dataset_cursor WHERE dag = ?1 AND dataset = ?2",
	[SQL_CURSOR_PUT] =
		"INSERT INTO dataset_cursor(dag, dataset, seen_id, since_us) VALUES (?1, ?2,"
		" coalesce((SELECT max(last_id) FROM dataset), 0), ?3) ON CONFLICT DO NOTHING",
	[SQL_LINKS_DELETE] = "DELETE FROM dataset_link WHERE dag = ?1",
	[SQL_LINK_PUT] = "INSERT INTO dataset_link(dag, dataset, role, task, fresh_within_us)"
			 " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
	/* Not the last of a dataset, nor what a run that is kept took, or a DAG waits for. */
	[SQL_UPDATES_DELETE] =
		"DELETE FROM dataset_update WHERE id IN (SELECT u.id FROM dataset_update u"
		" WHERE u.at_us < ?1"
		" AND NOT EXISTS (SELECT 1 FROM dataset d WHERE d.last_id = u.id"
		"	AND d.name = u.dataset)"
		" AND NOT EXISTS (SELECT 1 FROM dataset_use t WHERE t.update_id = u.id)"
		" AND NOT EXISTS (SELECT 1 FROM dataset_cursor c JOIN dag g ON g.name = c.dag"
		"	WHERE c.dataset = u.dataset AND c.seen_id < u.id AND g.present = 1)"
		" ORDER BY u.at_us, u.id LIMIT ?2)",

	/* Not what someone works on, or wants to; a lease that ended that long ago is nobody's. */
	[SQL_RUNS_OLD] = RUN_SELECT
	"WHERE r.ended_us < ?1 AND +r.state IN ('success', 'failed', 'cancelled')"
	" AND +r.wanted = 0"
	" AND (+r.owner_pid IS NULL OR r.lease_until_us < ?1)"
	" ORDER BY r.ended_us, r.id LIMIT ?2",
	[SQL_RUNS_BY_ID] = RUN_SELECT "WHERE r.id = ?1",
	[SQL_RUNS_BY_NAME] = RUN_SELECT "WHERE r.name = ?1",
	[SQL_RUNS_BY_PREFIX] =
		RUN_SELECT "WHERE r.name >= ?1 AND r.name < ?2 ORDER BY r.name LIMIT ?3",
	[SQL_RUNS_BY_KEY] = RUN_SELECT
	"WHERE r.dag = ?1 AND r.interval_start_us = ?2 AND r.interval_end_us = ?3",
	[SQL_TASK_COUNTS] = "SELECT count(*), count(*) FILTER (WHERE state = 'success'),"
			    " count(*) FILTER (WHERE state = 'failed'),"
			    " count(*) FILTER (WHERE state = 'running') FROM task WHERE run_id = ?1"
			    " AND map_index = -1",
	[SQL_TASKS] =
		"SELECT name, map_index, state, reason, tries, failures, lost, changed_us, due_us,"
		" token, hash, outputs, work, waits_for, item, looked, looked_us FROM task"
		" WHERE run_id = ?1 ORDER BY seq, name, map_index",
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
		"SELECT token, task, name, severity, status, observed, expected, sample, map_index"
		" FROM check_result WHERE run_id = ?1 AND (?2 IS NULL OR task = ?2) ORDER BY id",
	[SQL_ATTEMPT_OPEN] = "SELECT 1 FROM attempt WHERE token = ?1 AND outcome = 'none'",
	[SQL_AUDITS] = "SELECT at_us, who, what, detail, reason FROM audit WHERE run_id = ?1"
		       " ORDER BY id",
	[SQL_VERSION_TEXT] = "SELECT text FROM dag_version WHERE hash = ?1",
	[SQL_DAGS] = "WITH name(name) AS (" DAG_NAMES ") "
		     "SELECT name.name, d.path, d.dir, d.version, d.error, d.present,"
		     " p.who, p.reason, p.at_us, pa.who, pa.reason, pa.at_us,"
		     " w.who, w.reason, w.at_us, wa.who, wa.reason, wa.at_us,"
		     " ps.text, l.id, l.at_us, l.dag, l.action, l.why, l.start_us, l.end_us,"
		     " l.run_after_us, l.count FROM name"
		     " LEFT JOIN dag d ON d.name = name.name"
		     " LEFT JOIN switch p ON (p.dag, p.task, p.which) = (name.name, '', 'paused')"
		     " LEFT JOIN switch pa ON (pa.dag, pa.task, pa.which) = ('*', '', 'paused')"
		     " LEFT JOIN switch w ON (w.dag, w.task, w.which) = (name.name, '', 'draining')"
		     " LEFT JOIN switch wa ON (wa.dag, wa.task, wa.which) = ('*', '', 'draining')"
		     " LEFT JOIN plan_state ps ON ps.dag = name.name"
		     " LEFT JOIN plan l ON l.id = " LAST_PLAN("name.name") " ORDER BY name.name",
	[SQL_FROZEN] = "SELECT dag, task, who, reason, at_us FROM switch"
		       " WHERE task <> '' AND (?1 IS NULL OR dag = ?1) ORDER BY dag, task",
	[SQL_PLANS] = "SELECT id, at_us, dag, action, why, start_us, end_us, run_after_us, count"
		      " FROM plan WHERE dag = ?1 ORDER BY id DESC LIMIT ?2",
	[SQL_BACKFILLS] =
		"SELECT b.id, b.dag, b.mode, b.params, b.who, b.reason, b.from_us, b.to_us,"
		" b.created_us, b.ended_us, b.cursor_us, b.newest_first, b.exhausted, b.jobs,"
		" b.state, b.state_who, b.state_reason, b.ntotal,"
		" coalesce(b.done_success, (SELECT count(*) FROM run WHERE backfill_id = b.id"
		"	AND state = 'success')),"
		" coalesce(b.done_failed, (SELECT count(*) FROM run WHERE backfill_id = b.id"
		"	AND state IN ('failed', 'cancelled'))),"
		" iif(b.state = 'done', 0, (SELECT count(*) FROM run WHERE backfill_id = b.id"
		"	AND state IN ('queued', 'running')))"
		" FROM backfill b WHERE ?1 IS NULL OR b.id = ?1 ORDER BY b.id DESC",
	[SQL_DURATIONS] = "SELECT ended_us - started_us FROM run"
			  " WHERE dag = ?1 AND state = 'success' AND +started_us IS NOT NULL"
			  " AND ended_us IS NOT NULL"
			  " ORDER BY interval_start_us DESC, interval_end_us DESC LIMIT ?2",
	[SQL_OUTBOX_DUE] = OUTBOX_SELECT "WHERE state = 'pending' AND due_us <= ?1"
					 " ORDER BY due_us, id LIMIT ?2",
	[SQL_OUTBOX] = OUTBOX_SELECT "WHERE ?1 IS NULL OR state = ?1 ORDER BY id DESC LIMIT ?2",
	[SQL_TOKEN] = "SELECT a.token, a.run_id, r.name, a.task, a.map_index, a.try, a.outcome,"
		      " a.ended_us, r.state, n.token, n.queued_us, n.try"
		      " FROM attempt a JOIN run r ON r.id = a.run_id"
		      " JOIN task t ON (t.run_id, t.name, t.map_index) ="
		      " (a.run_id, a.task, a.map_index)"
		      " JOIN attempt n ON n.token = t.token WHERE a.token = ?1",
	[SQL_INCIDENTS] = INCIDENT_SELECT "WHERE (?1 IS NULL OR id = ?1) AND (?2 IS NULL OR"
					  " dag = ?2) ORDER BY id DESC LIMIT ?3",
	[SQL_INCIDENTS_OPEN] = INCIDENT_SELECT
	"WHERE (?1 IS NULL OR id = ?1) AND (?2 IS NULL OR dag = ?2) AND ended_us IS NULL"
	" ORDER BY id DESC LIMIT ?3",
	[SQL_INCIDENTS_DUE] =
		INCIDENT_SELECT "WHERE (?1 IS NULL OR +id = ?1) AND (?2 IS NULL OR +dag = ?2)"
				" AND coalesce(until_us, escalate_us) <= ?4"
				" ORDER BY coalesce(until_us, escalate_us), id LIMIT ?3",
	[SQL_SLA_MISSES] = SLA_SELECT "WHERE ?1 IS NULL OR dag = ?1 ORDER BY id DESC LIMIT ?2",
	[SQL_SLA_OPEN] = SLA_SELECT "WHERE ended_us IS NULL AND (?1 IS NULL OR dag = ?1)"
				    " ORDER BY id DESC LIMIT ?2",
	[SQL_SLA_MARKS] = "SELECT dag, judged_us, digest FROM sla_mark"
			  " WHERE ?1 IS NULL OR dag = ?1 ORDER BY dag",
	/* CROSS: in this order, by the index of ends. */
	[SQL_TASK_TIMES] =
		"SELECT t.name, a.ended_us - a.started_us FROM (SELECT id FROM run WHERE dag = ?1"
		" AND state = 'success' AND ended_us IS NOT NULL"
		" ORDER BY interval_start_us DESC, interval_end_us DESC LIMIT ?2) r"
		" CROSS JOIN task t ON t.run_id = r.id AND t.state = 'success' AND t.map_index = -1"
		" CROSS JOIN attempt a ON a.token = t.token"
		" WHERE a.started_us IS NOT NULL AND a.ended_us IS NOT NULL"
		" ORDER BY t.name, a.ended_us - a.started_us",
	[SQL_BREAKERS] = "SELECT name, text, state, since_us, why, who, reason FROM breaker"
			 " WHERE ?1 IS NULL OR name = ?1 ORDER BY name",
	[SQL_BREAKER_EVENTS] =
		"SELECT e.id, e.at_us, e.name, e.from_state, e.to_state, e.why, e.who, e.reason,"
		" r.name, e.task FROM breaker_event e LEFT JOIN run r ON r.id = e.run_id"
		" WHERE ?1 IS NULL OR e.name = ?1 ORDER BY e.id DESC LIMIT ?2",
	[SQL_DATASETS] =
		"SELECT d.name, d.since_us, d.fresh_us, d.end_us," UPDATE_COLUMNS " FROM dataset d"
		" LEFT JOIN dataset_update u ON u.id = d.last_id"
		" LEFT JOIN run r ON r.id = u.run_id WHERE ?1 IS NULL OR d.name = ?1"
		" ORDER BY d.name",
	[SQL_DATASET_LINKS] = "SELECT dag, dataset, task, role, fresh_within_us FROM dataset_link"
			      " WHERE ?1 IS NULL OR dataset = ?1"
			      " ORDER BY dataset, role, dag, task",
	[SQL_DATASET_CURSORS] = "SELECT dag, dataset, seen_id, since_us FROM dataset_cursor"
				" WHERE ?1 IS NULL OR dag = ?1 ORDER BY dag, dataset",
	[SQL_UPDATES_OF] =
		UPDATE_SELECT "WHERE ?1 IS NULL OR u.dataset = ?1 ORDER BY u.id DESC LIMIT ?2",
	[SQL_UPDATES_AFTER] = UPDATE_SELECT "WHERE u.id > ?3 ORDER BY u.id LIMIT ?2",
	[SQL_UPDATES_WAITING] =
		"SELECT" UPDATE_COLUMNS " FROM dataset_cursor c JOIN dataset_update u"
		" ON u.dataset = c.dataset AND u.id > c.seen_id"
		" LEFT JOIN run r ON r.id = u.run_id WHERE c.dag = ?3 AND u.wakes = 1"
		" ORDER BY u.id LIMIT ?2",
	[SQL_UPDATES_BY] = UPDATE_SELECT "WHERE u.run_id = ?3 ORDER BY u.id LIMIT ?2",
	[SQL_UPDATES_TAKEN] =
		"SELECT" UPDATE_COLUMNS " FROM dataset_use t JOIN dataset_update u"
		" ON u.id = t.update_id LEFT JOIN run r ON r.id = u.run_id WHERE t.run_id = ?3"
		" ORDER BY u.id LIMIT ?2",
	[SQL_UPDATES_DURING] = UPDATE_SELECT
	"WHERE u.dataset = ?1 AND u.end_us >= ?3 AND u.start_us <= ?4 ORDER BY u.id LIMIT ?2",
};
static_assert(sizeof texts / sizeof *texts == SQL_MAX, "a text for each statement");

const char *sqlite_sql_text(enum sqlite_sql id)
{
	return texts[id];
}

/* ---- lists of runs ------------------------------------------------------------------- */

/* One step per DAG over the index of keys, not one per run. */
#define NEWEST "SELECT l.id FROM run l WHERE l.dag = d.dag "
#define NEWEST_FIRST " ORDER BY l.interval_start_us DESC, l.interval_end_us DESC LIMIT 1"
#define LATEST                                                                               \
	"WITH RECURSIVE d(dag) AS ("                                                         \
	" SELECT min(dag) FROM run WHERE dag >= coalesce(?1, '')"                            \
	" UNION ALL SELECT (SELECT min(dag) FROM run WHERE dag > d.dag) FROM d"              \
	" WHERE d.dag IS NOT NULL AND ?1 IS NULL), "                                         \
	"latest(id) AS (SELECT coalesce((" NEWEST "AND l.interval_end_us <= ?7" NEWEST_FIRST \
	"), (" NEWEST NEWEST_FIRST "))"                                                      \
	" FROM d WHERE d.dag IS NOT NULL AND (?1 IS NULL OR d.dag = ?1)) "

/* INDEXED BY: SQLite would rather read all runs than sort the few that have an owner. */
#define OTHERS                                                                               \
	"r.id IN (SELECT o.id FROM run o INDEXED BY run_owned WHERE o.owner_pid IS NOT NULL" \
	" AND o.state = 'running' AND (o.owner_pid <> ?8 OR o.owner_start_ticks <> ?9))"

/* The first that is given is to find the rows, by its index; "+" keeps SQLite, which knows
 * nothing of the sizes, from using the index of another. */
static const struct condition {
	enum sqlite_runs condition;
	const char *leads, *follows;
} conditions[] = {
	{ SQLITE_RUNS_LATEST, "r.id IN (SELECT id FROM latest)", "" },
	{ SQLITE_RUNS_WANTED, "r.wanted = 1", "+r.wanted = 1" },
	{ SQLITE_RUNS_OF_BACKFILL, "r.backfill_id = ?3", "+r.backfill_id = ?3" },
	{ SQLITE_RUNS_OTHERS, OTHERS, OTHERS },
	{ SQLITE_RUNS_ACTIVE, "r.state = ?2", "+r.state = ?2" },
	{ SQLITE_RUNS_OF_DAG, "r.dag = ?1", "+r.dag = ?1" },
	{ SQLITE_RUNS_ENDED, "r.state = ?2 AND r.ended_us IS NOT NULL", "+r.state = ?2" },
	{ SQLITE_RUNS_IN_RANGE, "r.interval_start_us BETWEEN ?4 AND ?5",
		"r.interval_start_us BETWEEN ?4 AND ?5" },
};

/* DAG and state of what has ended are found by one index. */
static bool is_found_with(unsigned set, enum sqlite_runs condition)
{
	return condition == SQLITE_RUNS_ENDED && set == (SQLITE_RUNS_ENDED | SQLITE_RUNS_OF_DAG);
}

static const char *order(unsigned set)
{
	if (set & SQLITE_RUNS_DOWN)
		return " ORDER BY r.interval_start_us DESC, r.interval_end_us DESC, r.id DESC";
	if (set & SQLITE_RUNS_IN_RANGE)
		return " ORDER BY r.interval_start_us, r.interval_end_us, r.id";
	if ((set & SQLITE_RUNS_OF_DAG) && !(set & SQLITE_RUNS_LATEST))
		return " ORDER BY r.interval_start_us DESC, r.interval_end_us DESC";
	return " ORDER BY r.id DESC";
}

void sqlite_runs_text(struct buf *b, unsigned set)
{
	const char *before = "WHERE ";

	if (set & SQLITE_RUNS_LATEST)
		buf_addstr(b, LATEST);
	buf_addstr(b, RUN_SELECT);
	for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
		const struct condition *c = &conditions[i];
		if (!(set & c->condition))
			continue;
		bool leads = before[0] == 'W' || is_found_with(set, c->condition);
		buf_addf(b, "%s%s", before, leads ? c->leads : c->follows);
		before = " AND ";
	}
	buf_addf(b, "%s LIMIT ?6", order(set));
}
