#!/bin/sh
# Circuit breakers: in foreground runs, one after the other on one store; by a person's word; in the
# daemon, its status and its API.
. "${top_srcdir:-.}/tests/lib/cli.sh"
. "${top_srcdir:-.}/tests/lib/daemon.sh"

have_sql || { echo "1..0 # SKIP neither sqlite3 nor python3 with sqlite3"; exit 0; }

OK=$T/ok
export OK
mkdir dags
cat >dags/weir.yaml <<'END'
breakers:
  api: { failures: 3, within: 10m, open: 2m, max_open: 5m, ramp: 2 }
  spare: { rate: 50% }
connections:
  wh: { type: sqlite, path: wh.db, breaker: api }
END
events() { sql "$WEIR_HOME/weir.db" "SELECT from_state || ' ' || to_state || ' ' || why || ' ' || (at_us / 1000000 - 1795158000) FROM breaker_event ORDER BY id"; }
at() { WEIR_TEST_CLOCK=2026-11-20T$1Z; export WEIR_TEST_CLOCK; shift; weir "$@"; unset WEIR_TEST_CLOCK; }

# ---- one run: it opens, its probes fail, then it is well ----------------------------------------

# The 6th attempt and those behind it succeed.
cat >dags/five.yaml <<'END'
dag: five
defaults: { breaker: api, retries: 2, backoff: { initial: 1s, jitter: none } }
tasks:
  a: { run: 'echo >>"$T/tries"; test $(wc -l <"$T/tries") -gt 5' }
  b: { run: 'echo >>"$T/tries"; test $(wc -l <"$T/tries") -gt 5' }
  c: { run: 'echo >>"$T/tries"; test $(wc -l <"$T/tries") -gt 5' }
  d: { run: 'echo >>"$T/tries"; test $(wc -l <"$T/tries") -gt 5' }
  free: { run: "true", breaker: [] }
END
at 07:00:00 run dags/five.yaml --date 2026-11-19 --jobs 1
exits 0 "a run whose breaker opens comes through"
out_has "note: circuit breaker api is open: too many attempts failed" "it says that it opens"
out_has "note: tasks wait for circuit breaker api" "and that tasks wait"
is "$(events)" "closed open breaker_tripped 0
open half_open breaker_due 120
half_open open probe_failed 120
open half_open breaker_due 360
half_open open probe_failed 360
open half_open breaker_due 660
half_open closed probes_passed 660" "open for 2, 4 and then at most 5 minutes"
is "$(wc -l <tries | tr -d ' ')" 9 "three failures, two probes that fail, four that succeed"
weir show five --events
out_has "breaker_open  api" "the run's events name the breaker"
sql_is 1 "SELECT count(DISTINCT detail) FROM event WHERE reason = 'breaker_open'" "and nothing else"
# A second has two starts.
is "$(sql "$WEIR_HOME/weir.db" "SELECT max(n) FROM (SELECT count(*) n FROM attempt JOIN (SELECT at_us FROM breaker_event ORDER BY id DESC LIMIT 1) WHERE queued_us >= at_us GROUP BY queued_us / 500000)")" 1 "those that were held start in the ramp"

# ---- skip, fail, and what does not count ---------------------------------------------------------

rm -rf home tries
cat >dags/kinds.yaml <<'END'
dag: kinds
tasks:
  own: { run: "exit 2", breaker: api, fail_on: { exit_codes: [2] }, retries: 9 }
  t1: { run: "exit 1", breaker: api, needs: start }
  t2: { run: "exit 1", breaker: api, needs: start }
  t3: { run: "exit 1", breaker: api, needs: start }
  start: { run: "true", priority: 9 }
  spared: { run: "true", breaker: api, on_open: skip, needs: late }
  failed: { run: "true", breaker: api, on_open: fail, needs: late, retries: 5 }
  after: { run: "true", needs: spared }
  late: { run: "true", priority: -100, needs: start }
  person: { run: "true", breaker: spare, priority: -200 }
END
at 07:00:00 run dags/kinds.yaml --date 2026-11-19 --jobs 1
exits 1 "a run with an open breaker"
sql_is "failed|not_retryable|1
skipped|breaker_open|0
failed|breaker_open|0
skipped|upstream_skipped|0" "SELECT state, reason, tries FROM task WHERE name IN ('own', 'spared', 'failed', 'after') ORDER BY name = 'own' DESC, name = 'after', name DESC" "skipped and failed at once, without a try"
out_has "stopped by its circuit breaker api" "and the run says why"
sql_is 1 "SELECT count(*) FROM breaker_event" "a failure of the user's own did not count"
weir show kinds
out_has "stopped by its circuit breaker api" "as does weir show"

# ---- several runs: what it counted and that it is open is kept -----------------------------------

rm -rf home
cat >dags/one.yaml <<'END'
dag: one
tasks: { a: { run: 'test -e "$OK"', breaker: api } }
END
at 07:00:00 run dags/one.yaml --date 2026-11-01
at 07:01:00 run dags/one.yaml --date 2026-11-02
sql_is closed "SELECT state FROM breaker" "two failures of two runs"
at 07:02:00 run dags/one.yaml --date 2026-11-03
sql_is open "SELECT state FROM breaker" "the third one opens it"
touch "$OK"
at 07:03:00 run dags/one.yaml --date 2026-11-04
exits 0 "a run that finds it open"
sql_is 240 "SELECT queued_us / 1000000 - 1795158000 FROM attempt ORDER BY token DESC LIMIT 1" "starts when probes may"
sql_is closed "SELECT state FROM breaker" "and closes it"
rm "$OK"
for n in 05 06; do at 08:00:00 run dags/one.yaml --date 2026-11-$n; done
at 08:11:00 run dags/one.yaml --date 2026-11-07
sql_is closed "SELECT state FROM breaker" "failures out of the window are forgotten"

# ---- quality -------------------------------------------------------------------------------------

rm -rf home
cat >dags/check.yaml <<'END'
dag: check
params: { amount: { type: integer, default: 1 }, id: { type: string, default: "7" } }
tasks:
  make:
    transform: sql
    with: { connection: wh, sql: "DROP TABLE IF EXISTS sales; CREATE TABLE sales AS SELECT nullif({{ params.id }}, '') AS id, {{ params.amount }} AS amount" }
  judge:
    quality: table
    needs: make
    quality_breaker: { dataset: sales.daily, score_below: 95% }
    with:
      table: wh.sales
      checks:
        - { not_null: id }
        - { range: { column: amount, min: 1 }, severity: warn, weight: 3 }
END
cat >dags/read.yaml <<'END'
dag: read
tasks:
  spared: { run: "true", consumes: [fx.rates, sales.daily], on_open: skip }
  other: { run: "true", consumes: fx.rates }
END
weir run dags/check.yaml --date 2026-11-19 --param amount=0
exits 0 "checks that warn"
weir breaker
out_has "the checks of the dataset scored too low: 25%, wanted 95%" "open the breaker, by their weights"
weir run dags/read.yaml --date 2026-11-19
sql_is "success|none
skipped|breaker_open" "SELECT state, iif(reason = 'breaker_open', reason, 'none') FROM task WHERE name IN ('spared', 'other') ORDER BY name" "which stops the consumers of the dataset, and no others"
weir run dags/check.yaml --date 2026-11-18
weir breaker show quality:sales.daily --json
json_is '["closed", "quality_good", "100%, wanted 95%", null]' '[d["state"], d["why"], d["reason"], d["by"]]' "checks that pass close it"
weir run dags/check.yaml --date 2026-11-17 --param id=
exits 1 "a check that fails"
weir breaker show quality:sales.daily
out_has "75%, wanted 95%" "opens it, too"
weir breaker close quality:sales.daily --reason "seen, and fine"
exits 0 "a person closes it"
weir run dags/read.yaml --date 2026-11-18
exits 0 "and the consumers run"
sql_is 0 "SELECT count(*) FROM task JOIN run ON run.id = run_id WHERE run.ds = '2026-11-18' AND dag = 'read' AND task.state <> 'success'" "all of them"

# ---- a person ------------------------------------------------------------------------------------

cd dags || exit 99
rm -rf "$WEIR_HOME"
weir breaker
exits 0 "weir breaker without a store"
check "lists those of weir.yaml" grep -qE '^closed +api +- +0 of 3' "$T/out"
WEIR_TEST_CLOCK=2026-11-20T07:00:00Z weir breaker open api --reason "vendor deploys"
exits 0 "weir breaker open"
out_has "To let them go: weir breaker close api" "says how to go back"
weir breaker open api
out_has "as before" "open once more"
weir breaker show api
out_has "vendor deploys" "who said so and why stays"
out_has "stays open until it is closed" "and until when"
weir breaker show api --json
json_is '["open", null, "vendor deploys", 1, 3]' '[d["state"], d["until"], d["reason"], len(d["history"]), d["policy"]["failures"]]' "as JSON"
weir breaker close api
out_has "Circuit breaker api is closed." "weir breaker close"
weir breaker close api
out_has "as before" "close once more"
weir breaker list --json
json_is '[["api", "closed"], ["spare", "closed"]]' '[[b["breaker"], b["state"]] for b in d["breakers"]]' "the list as JSON"
weir breaker show spare
out_has "opens after 50% of at least 20 attempts failed within 10m" "a rule by rate"
weir breaker open apy
exits 5 "an unknown breaker"
err_has 'did you mean "api"?' "with the nearest name"
weir breaker show
exits 2 "show without a name"
weir breaker list api
exits 2 "list with a name"
weir breaker shut api
exits 2 "an unknown action"
weir breaker open api --reason "$(printf 'a\nb')"
exits 2 "a reason of two lines"
cd "$T" || exit 99

# ---- the daemon ----------------------------------------------------------------------------------

rm -f dags/*.yaml.bak dags/five.yaml dags/kinds.yaml
mv dags/weir.yaml keep
rm dags/*.yaml
mv keep dags/weir.yaml
rm -rf home
cat >dags/load.yaml <<'END'
dag: load
schedule: manual
tasks:
  a: { run: 'echo >>"$T/a"', breaker: api }
  q: { transform: sql, with: { connection: wh, sql: "SELECT 1" } }
  free: { run: "true" }
END
cat >dags/other.yaml <<'END'
dag: other
schedule: manual
tasks: { b: { run: "true", breaker: api } }
END
daemon --jobs 4
weir breaker open api --reason "vendor is down"
exits 0 "weir breaker open, of a daemon"
weir trigger load --date 2026-11-19
weir trigger other --date 2026-11-19
comes "held|breaker_open" "SELECT state, reason FROM task WHERE name = 'a'" "a task is held"
comes "held|breaker_open" "SELECT state, reason FROM task WHERE name = 'b'" "in any DAG"
comes "held|breaker_open" "SELECT state, reason FROM task WHERE name = 'q'" "so is one whose connection carries the breaker"
comes success "SELECT state FROM task WHERE name = 'free'" "others go on"
weir status
out_has "Circuit breaker api: open since" "the status tells"
out_has "3 tasks held; to close it: weir breaker close api" "how many it holds, and what to do"
weir show load
out_has "stopped by its circuit breaker api: open since" "weir show names it, since when"
out_has "until it is closed" "and until when"
weir breaker show api
out_has "It holds 3 tasks:" "weir breaker show"
out_has "other@2026-11-19 b" "names them"
check "no attempt was made" [ ! -e a ]

# It is as it was for the next daemon.
ends INT
daemon --jobs 4
holds() { [ "$(api /v1/breakers '[d["breakers"][0][k] for k in ("breaker", "state", "held")]' 2>/dev/null)" = '["api", "open", 3]' ]; }
await holds
check "a daemon that is started anew holds them still" holds
weir breaker close api --reason "vendor is back"
out_has "3 tasks it held are let go" "weir breaker close, of a daemon"
comes "success|success|success" "SELECT a.state, q.state, b.state FROM task a, task q, task b WHERE a.name = 'a' AND q.name = 'q' AND b.name = 'b'" "they run"
sql_is "1|1" "SELECT min(tries), max(tries) FROM task WHERE name IN ('a', 'b', 'q')" "with one try each"
weir breaker show api
out_has "vendor is back" "the history says who"
weir status
out_lacks "Circuit breaker" "the status is quiet again"
ends TERM
finish
