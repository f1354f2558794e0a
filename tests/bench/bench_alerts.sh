# The figure of alerts; read by bench.sh, whose helpers it uses.
#
# Ten thousand incidents, for each of two routes, are put into the store as one commit of the engine
# would put them there; then a daemon begins. What is taken: from that commit, whose acts are due
# after the group window of 2 s, until each route's message has arrived at an HTTP server on
# loopback; and how many messages there were.

alerts_store() {
	at=$(($(date +%s%N) / 1000))
	sqlite3 "$WEIR_HOME/weir.db" "BEGIN;
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
		INSERT INTO incident(kind, dag, task, severity, state, opened_us, last_us, count, facts,
			escalations, told)
		SELECT 'task_failed', 'dag_' || (i % 100), 'task_' || i, 'error', 'open', $at, $at, 1,
			'{\"run\":\"r\",\"error\":\"broken\"}', 0, 1 FROM n;
		INSERT INTO outbox(key, kind, payload, created_us, due_us)
		SELECT 'incident/' || id || '/1/' || r.name, 'alert', json_object('incident', id, 'what',
			'opened', 'n', 1, 'route', r.name, 'dag', dag, 'task', task, 'kind', kind,
			'severity', severity), $at, $at + 2000000
		FROM incident, (SELECT 'a' AS name UNION SELECT 'b') r;
		COMMIT;"
}

alerts_once() {
	new_home
	"$weir" run alerts_dags/one.yaml --date 2026-11-19 >/dev/null 2>&1
	: >alerts.log
	alerts_store
	"$weir" daemon --dags alerts_dags >alerts.daemon 2>&1 &
	daemon=$!
	waited=0
	while [ "$(wc -l <alerts.log)" -lt 2 ] && [ "$waited" -lt 200 ]; do
		sleep 0.1
		waited=$((waited + 1))
	done
	sleep 3
	kill "$daemon"
	wait "$daemon" 2>/dev/null || true
	daemon=
	python3 -c '
import json, sys
all = [json.loads(l) for l in open("alerts.log")]
count = sum(json.loads(m["body"])["count"] for m in all)
print("%.3f %d %d" % (max(m["at"] for m in all) - int(sys.argv[1]) / 1e6, len(all), count))
' "$at" >>alerts.ours
}

figure_alerts() {
	if ! found sqlite3 || ! found python3; then
		row "alerts" "skipped: needs sqlite3 and python3" - -
		return
	fi
	mkdir -p alerts_dags
	printf 'dag: one\ntasks: { a: { run: "true" } }\n' >alerts_dags/one.yaml
	rm -f alerts.port
	python3 "$top/tests/lib/http_sink.py" alerts.port alerts.log 2>/dev/null &
	sink=$!
	while [ ! -s alerts.port ]; do sleep 0.1; done
	cat >alerts_dags/weir.yaml <<-YAML
		alerts:
		  channels: { hook: { type: webhook, url: "http://127.0.0.1:$(cat alerts.port)/hook" } }
		  routes: [{ name: a, to: hook }, { name: b, to: hook }]
	YAML
	for _ in $(seq "$runs"); do alerts_once; done
	kill "$sink"
	wait "$sink" 2>/dev/null || true
	row "10,000 incidents, 2 routes: told after" "$(cell alerts.ours %.1f 1 s 1)" \
		"2 s of it the group window" - 5 "$(stat median alerts.ours)" " s"
	row "10,000 incidents, 2 routes: messages" "$(cell alerts.ours %.0f 1 "" 2)" \
		"of $(cell alerts.ours %.0f 1 "" 3) news" - 2 "$(stat median alerts.ours 2)" ""
}
