# The figures of alerts; read by bench.sh, whose helpers it uses.
#
# Ten thousand tasks of ten DAGs fail under a daemon, with two routes to an HTTP server on loopback.
# At once: a circuit breaker that is open fails them. By processes: each of them is one that ends
# with status 1, which takes the machine some seconds. What is taken: from the first failure until
# the first message of a route has arrived, from the last failure until the last one has, and how
# many messages there were.

alerts_dags() { # KIND TASK-KEYS
	rm -rf "alerts_$1"
	mkdir "alerts_$1"
	for k in 0 1 2 3 4 5 6 7 8 9; do
		awk -v k="$k" -v keys="$2" 'BEGIN {
			printf "dag: d%d\ntasks:\n", k
			for (i = 0; i < 1000; i++) printf "  t%d: { %s }\n", i, keys
		}' >"alerts_$1/d$k.yaml"
	done
	cat >"alerts_$1/weir.yaml" <<-YAML
		breakers: { api: { failures: 1 } }
		alerts:
		  channels: { hook: { type: webhook, url: "http://127.0.0.1:$(cat alerts.port)/hook" } }
		  routes:
		  - { name: a, to: hook, kinds: task_failed }
		  - { name: b, to: hook, kinds: task_failed }
	YAML
}

alerts_count() { sqlite3 "$WEIR_HOME/weir.db" ".timeout 5000" "$1" 2>/dev/null || echo 0; }

alerts_once() { # KIND
	new_home
	: >alerts.log
	"$weir" daemon --dags "alerts_$1" --jobs 64 >alerts.daemon 2>&1 &
	daemon=$!
	while ! grep -q 'msg="ready"' alerts.daemon; do sleep 0.1; done
	(cd "alerts_$1" && "$weir" breaker open api >/dev/null)
	for k in 0 1 2 3 4 5 6 7 8 9; do "$weir" trigger "d$k" --date 2026-11-19 >/dev/null; done
	waited=0
	while [ "$waited" -lt 1200 ] &&
		[ "$(alerts_count "SELECT count(*) FROM outbox WHERE state = 'done'")" -lt 20000 ]; do
		sleep 0.1
		waited=$((waited + 1))
	done
	kill "$daemon"
	wait "$daemon" 2>/dev/null || true
	daemon=
	python3 - "$(alerts_count "SELECT min(opened_us) || ' ' || max(opened_us) FROM incident
		WHERE kind = 'task_failed'")" >>"alerts.$1" <<-'PYTHON'
		import json, sys
		first, last = (int(x) / 1e6 for x in sys.argv[1].split())
		all = [json.loads(l) for l in open("alerts.log")]
		body = [json.loads(m["body"]) for m in all]
		soon = max(min(m["at"] for m, b in zip(all, body) if b["route"] == r) for r in "ab")
		print("%.3f %.3f %d %d %.3f" % (soon - first, max(m["at"] for m in all) - last, len(all),
			sum(b["count"] for b in body), last - first))
	PYTHON
}

alerts_rows() { # KIND TEXT
	row "10,000 $2: first told after" "$(cell "alerts.$1" %.1f 1 s 1)" \
		"they failed within $(cell "alerts.$1" %.1f 1 s 5)" - 5 "$(stat median "alerts.$1" 1)" " s"
	row "10,000 $2: all told after the last" "$(cell "alerts.$1" %.1f 1 s 2)" \
		"of $(cell "alerts.$1" %.0f 1 "" 4) news" - 5 "$(stat median "alerts.$1" 2)" " s"
}

figure_alerts() {
	if ! found sqlite3 || ! found python3; then
		row "alerts" "skipped: needs sqlite3 and python3" - -
		return
	fi
	rm -f alerts.port alerts.ended alerts.failed
	python3 "$top/tests/lib/http_sink.py" alerts.port alerts.log 2>/dev/null &
	sink=$!
	while [ ! -s alerts.port ]; do sleep 0.1; done
	alerts_dags failed "run: 'true', breaker: api, on_open: fail"
	alerts_dags ended "run: 'exit 1'"
	for _ in $(seq "$runs"); do
		alerts_once failed
		alerts_once ended
	done
	kill "$sink"
	wait "$sink" 2>/dev/null || true
	alerts_rows failed "fail at once"
	row "10,000 fail at once: messages" "$(cell alerts.failed %.0f 1 "" 3)" "one for each of two routes" - \
		2 "$(stat median alerts.failed 3)" ""
	alerts_rows ended "processes fail"
	row "10,000 processes fail: messages" "$(cell alerts.ended %.0f 1 "" 3)" "two routes" -
}
