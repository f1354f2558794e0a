#!/bin/sh
# Pools, priorities and limits of DAGs: in a foreground run, and as the daemon keeps and tells them.
. "${top_srcdir:-.}/tests/lib/cli.sh"
. "${top_srcdir:-.}/tests/lib/daemon.sh"

have_sql || { echo "1..0 # SKIP neither sqlite3 nor python3 with sqlite3"; exit 0; }

GO=$T/go
export GO
mkdir dags
cat >dags/weir.yaml <<'END'
pools:
  one: 1
  pg: { slots: 2, description: what the database stands }
END
started() { sql "$WEIR_HOME/weir.db" "SELECT group_concat(task, ' ') FROM (SELECT task FROM attempt ORDER BY token)"; }

# ---- a foreground run --------------------------------------------------------------------------

cat >dags/order.yaml <<'END'
dag: order
priority_weight: downstream
defaults: { pool: one }
tasks:
  low: { run: "true", priority: -5 }
  plain: { run: "true" }
  chain: { run: "true" }
  high: { run: "true", priority: 9 }
  last: { run: "true", needs: chain, pool: pg, priority: 4 }
END
WEIR_TEST_CLOCK=2026-11-20T07:00:00Z weir run dags/order.yaml --date 2026-11-19 --jobs 8
exits 0 "a run with a pool of one slot"
is "$(started)" "high chain last plain low" "tasks start by their weight, one at a time"
weir show order --events
out_has "pool_full" "those that waited said for what"
rm -rf home
cat >dags/limit.yaml <<'END'
dag: limit
max_active_tasks: 1
tasks: { a: { run: "true" }, b: { run: "true" } }
END
WEIR_TEST_CLOCK=2026-11-20T07:00:00Z weir run dags/limit.yaml --date 2026-11-19 --jobs 8
exits 0 "a run of a DAG with a limit"
weir show limit --events
out_has "dag_limit" "which is told"
weir pools
exits 0 "weir pools without a daemon"
out_has "There are no pools" "where there is no weir.yaml"
cp dags/weir.yaml .
weir pools
out_has "No daemon is running" "lists those of weir.yaml"
weir pools --json
json_is '[["one", 1], ["pg", 2]]' '[[p["pool"], p["slots"]] for p in d["pools"]]' "as JSON"
rm -rf home weir.yaml

# ---- the daemon --------------------------------------------------------------------------------

rm dags/limit.yaml dags/order.yaml
cat >dags/hold.yaml <<'END'
dag: hold
schedule: manual
defaults: { run: x }
tasks:
  wide: { run: 'until [ -e "$GO" ]; do sleep 0.02; done', pool: pg, slots: 2, priority: 9 }
  narrow: { run: 'until [ -e "$GO" ]; do sleep 0.02; done', pool: pg }
  free: { run: "true" }
END
sed -i '/^defaults/d' dags/hold.yaml
daemon --jobs 8
weir trigger hold --date 2026-11-19
exits 0 "a run"
comes "queued|pool_full" "SELECT state, reason FROM task WHERE name = 'narrow'" "waits for the pool"
comes success "SELECT state FROM task WHERE name = 'free'" "which stops nobody else"
weir pools
exits 0 "weir pools"
check "shows what is taken" grep -qE '^pg +2 +2 +1 +1 +hold@2026-11-19 wide \(2\)' "$T/out"
weir pools --json
json_is '[["one", 1, 0, 0], ["pg", 2, 2, 1]]' \
	'[[p["pool"], p["slots"], p["used"], p["waiting"]] for p in d["pools"]]' "as JSON"
weir status
out_has "Pool pg: 1 task waits, 2 of 2 slots are taken" "the status tells that somebody waits"
weir show hold
out_has "waits for slots of its pool pg" "the run tells for which pool"

# The next daemon counts what runs still.
counts() { [ "$(api /v1/status '[d["pools"][-1][k] for k in ("slots", "used", "waiting")]' 2>/dev/null)" = "$1" ]; }
ends INT
daemon --jobs 8
check "the next daemon counts what runs" await counts '[2, 2, 1]'

# Fewer slots: what runs goes on, nothing new starts; more: it does.
echo 'pools: { pg: 1 }' >dags/weir.yaml
weir reload
weir pools --json
json_is '[1, 2, 1]' '[d["pools"][-1][k] for k in ("slots", "used", "waiting")]' "slots that became fewer: what runs goes on"
echo 'pools: { pg: 3 }' >dags/weir.yaml
weir reload
comes 2 "SELECT count(*) FROM task WHERE state = 'running'" "more slots let the other one start"
: >"$GO"
comes success "SELECT state FROM run" "all is done"
weir pools
check "nothing is taken then" grep -qE '^pg +3 +0 +0 +0$' "$T/out"
ends INT
finish
