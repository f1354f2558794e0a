-- A store full of finished runs: :runs of them, of 200 DAGs, an hour each, one task and one attempt,
-- one in fifty failed. The newest ended before :now_us.
PRAGMA synchronous = OFF;
PRAGMA cache_size = -262144;
PRAGMA foreign_keys = OFF;
BEGIN;
CREATE TEMP TABLE base AS
	SELECT (SELECT coalesce(max(id), 0) FROM run) AS run,
		(SELECT next FROM counter WHERE name = 'token') AS token,
		CAST(:now_us AS INTEGER) / 3600000000 * 3600000000 AS last;
CREATE TEMP TABLE made AS
	WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :runs)
	SELECT base.run + 1 + i AS id, base.token + i AS token,
		printf('past_%03d', i % 200) AS dag, printf('%064d', i % 200) AS version,
		base.last - ((:runs - 1) / 200 - i / 200 + 1) * 3600000000 AS at,
		iif(i % 50 = 7, 'failed', 'success') AS state
	FROM n, base;
INSERT INTO dag_version(hash, dag, path, dir, text, created_us)
	SELECT version, dag, '/past/' || dag || '.yaml', '/past',
		'dag: ' || dag || char(10) || 'tasks: { t: { run: "true" } }', at
	FROM made WHERE id <= (SELECT run + 200 FROM base);
INSERT INTO run(id, name, dag, interval_start_us, interval_end_us, ds, zone, params, "trigger",
		version, state, reason, created_us, started_us, ended_us, epoch)
	SELECT id, dag || '@' || strftime('%Y-%m-%dT%H', at / 1000000, 'unixepoch') || ':00Z', dag, at,
		at + 3600000000, strftime('%Y-%m-%d', at / 1000000, 'unixepoch'), 'UTC', '{}',
		'schedule', version, state, 'all_done',
		at + 3600000000, at + 3600010000, at + 3605000000, 1
	FROM made;
INSERT INTO task(run_id, name, seq, state, reason, tries, failures, changed_us, token)
	SELECT id, 't', 0, state, iif(state = 'failed', 'failed', 'succeeded'), 1, state = 'failed',
		at + 3605000000, token FROM made;
INSERT INTO attempt(token, run_id, task, map_index, try, outcome, exit_status, queued_us, started_us,
		ended_us)
	SELECT token, id, 't', -1, 1, state, state = 'failed', at + 3600010000, at + 3600012000,
		at + 3605000000 FROM made;
INSERT INTO event(run_id, id, at_us, task, from_state, to_state, reason)
	SELECT id, 1, at + 3600000000, NULL, NULL, 'queued', 'created' FROM made UNION ALL
	SELECT id, 2, at + 3600010000, NULL, 'queued', 'running', 'started' FROM made UNION ALL
	SELECT id, 3, at + 3600010000, 't', 'none', 'running', 'started' FROM made UNION ALL
	SELECT id, 4, at + 3605000000, 't', 'running', state, 'succeeded' FROM made UNION ALL
	SELECT id, 5, at + 3605000000, NULL, 'running', state, 'all_done' FROM made
	ORDER BY 1, 2;
INSERT INTO plan(at_us, dag, action, why, start_us, end_us, run_after_us, count)
	SELECT at + 3600000000, dag, 'create', 'due', at, at + 3600000000, at + 3600000000, 1 FROM made;
INSERT INTO dag(name, path, dir, version, present, changed_us)
	SELECT dag, path, dir, hash, 1, created_us FROM dag_version WHERE dag LIKE 'past%';
UPDATE counter SET next = next + :runs WHERE name = 'token';
COMMIT;
PRAGMA wal_checkpoint(TRUNCATE);
