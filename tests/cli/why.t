#!/bin/sh
# weir why: the causes behind a task, a run and a DAG, as people meet them.
. "${top_srcdir:-.}/tests/lib/cli.sh"
. "${top_srcdir:-.}/tests/lib/daemon.sh"

have_sql || { echo "1..0 # SKIP neither sqlite3 nor python3 with sqlite3"; exit 0; }

GO=$T/go
export GO
line() { if grep -qE -e "$1" "$T/out"; then pass "$2"; else fail "$2" "wanted: $1
$(said)"; fi; }
# Does each command that is offered parse? Those that only look are run.
offers() { # NAME
	bad=
	sed -n '/^next$/,$s/^  weir \([^#]*[^# ]\).*/\1/p' "$T/out" >"$T/offered"
	[ -s "$T/offered" ] || bad="nothing is offered"
	while read -r words; do
		# shellcheck disable=SC2086
		set -- $words
		"$WEIR" "$1" --help >/dev/null 2>&1 || bad="$bad no command $1;"
		case $1 in
		logs) [ "${4:-}" = -f ] || "$WEIR" "$@" >/dev/null 2>&1 || bad="$bad weir $words" ;;
		show | runs | why | pools | next) "$WEIR" "$@" >/dev/null 2>&1 || bad="$bad weir $words" ;;
		esac
	done <"$T/offered"
	is "$bad" "" "$1"
}

# ---- nothing yet --------------------------------------------------------------------------------

weir why
exits 2 "a word is needed"
weir why sales
exits 5 "nothing was run"
printf 'dag: fresh\nschedule: "@daily"\ntasks: { one: { run: "true" } }\n' >fresh.yaml
WEIR_TEST_CLOCK=2026-11-20T07:00:00Z weir why fresh.yaml
exits 0 "a DAG that was never run, by its file"
out_has "fresh: is due next at 2026-11-21T00:00:00Z (UTC), for the interval 2026-11-20T00:00:00Z to" "when it is due"
out_has "no daemon is running on $WEIR_HOME" "and that no daemon runs"
check "WEIR_HOME is not made" test ! -e "$WEIR_HOME"

# ---- a foreground run ---------------------------------------------------------------------------

cat >sales.yaml <<'END'
dag: sales
params: { full: { type: boolean, default: false } }
tasks:
  extract: { run: "echo no route to host >&2; exit 7", retries: 2, backoff: { initial: 1s } }
  load: { run: "true", needs: extract }
  check: { run: "true", needs: load }
  publish: { run: "true", needs: check }
  report: { run: "true", needs: publish }
  other: { run: "true" }
  alarm: { run: "true", needs: other, trigger: one_failed }
  cond: { run: "true", needs: other, if: "{{ params.full }}" }
  after: { run: "true", needs: cond }
  both: { run: "true", needs: [other, cond], when: "other.failed and cond.done" }
  never: { run: "exit 99" }
END
WEIR_TEST_CLOCK=2026-11-20T07:00:00Z weir run sales.yaml --date 2026-11-19
exits 1 "a run that fails"
WEIR_TEST_CLOCK=2026-11-20T08:00:00Z
export WEIR_TEST_CLOCK
weir why sales@2026-11-19
exits 0 "why a run failed"
line '^sales@2026-11-19 failed: at least one task failed; of 11 tasks: .*1 failed.*, at 07:00' "its state and counts"
line '^  extract failed: failed 3 times, its retries are spent: exit status 7, at 07:00.*: "no route to host"$' "its root"
out_has "/logs/sales@2026-11-19/extract.3.log" "the log"
line '^    tries 1 to 2: exit status 7, at .*: "no route to host"$' "tries that ended alike are one"
out_has "weir run $T/sales.yaml --date 2026-11-19" "it is taken up again as it was run"
offers "all that is offered can be typed"
weir why sales report
line '^report upstream_failed: was not run: it needs publish, which did not succeed' "a task of the latest run"
line '^  3 tasks in between, the last of them load$' "a long way is told as one"
line '^    extract failed: ' "to the root"
weir why sales load
line '^  extract failed: ' "a short way"
weir why sales after
line '^after skipped: was not run: it needs cond, which was skipped' "a skipped one"
line '^  cond skipped: was not run: its `if` is false' "... whose root has an if"
weir why sales alarm
line 'its trigger rule one_failed cannot be met: of what it needs: 1 success' "a rule that cannot be met"
weir why sales both
line '`when: other.failed and cond.done` is false' "a when"
line '^  cond skipped: ' "... with what it was judged by"
weir why sales never
line 'asked to be skipped \(exit status 99\)' "a status that skips"
weir why sales other
line '^other success: succeeded with try 1' "a success"
weir why sales lod
exits 5 "no such task"
err_has 'did you mean "load"?' "... with the nearest"
weir why sales@2027
exits 5 "no such run"
weir why sales report --json
json_is '["task", "upstream_failed", ["3 tasks"], "extract"]' \
	'[d["kind"], d["state"], [c["subject"] for c in d["causes"]], d["causes"][0]["causes"][0]["subject"]]' "as JSON"
json_is '[false, true]' '[d["daemon"], "weir show sales@2026-11-19" in [n["command"] for n in d["next"]]]' "... with what to do"
weir why sales
line '^sales: no run of it is due by itself$' "the DAG"
line '^  it has no schedule' "which has no schedule"
line '^  sales@2026-11-19 failed: its latest run' "its latest run"
line '^    extract failed: ' "... and why that failed"
offers "all that is offered for a DAG can be typed"
printf 'dag: sales\ntasks: [\n' >sales.yaml
weir why sales
line 'sales.yaml:.*' "a file that is broken is told"
weir why sales.yaml
exits 3 "... and is an error where it is what was named"
weir show sales
out_has "weir why sales@2026-11-19" "weir show hints at it"
rm -rf home

# ---- choices, and what people set --------------------------------------------------------------

cat >mixed.yaml <<'END'
dag: mixed
tasks:
  pick: { control: branch, with: { choose: fast } }
  fast: { run: "true", needs: pick }
  slow: { run: "true", needs: pick }
  strict: { run: "exit 3", retries: 4, fail_on: { exit_codes: [3] } }
  gives: { run: "true" }
  bad: { run: "exit 1" }
  behind: { run: "true", needs: bad }
  stop: { control: short_circuit, with: { if: "{{ ds < '2000-01-01' }}" } }
  near: { run: "true", needs: stop }
  far: { run: "true", needs: near, trigger: all_done }
  late: { control: wait, with: { path: nowhere, timeout: 1s } }
  ask: { control: approval, with: { prompt: go?, timeout: 1s, default: approve } }
  nobody: { control: approval, with: { prompt: go?, timeout: 1s } }
END
weir run mixed.yaml --date 2026-11-19
weir why mixed far
line '^far skipped: was not run: the short circuit stop lets nothing through: its `if` is false' "a short circuit further before"
line '^  stop success' "... which is told"
weir why mixed late
line '^late failed: waited for the file nowhere as long as its timeout allows' "what was waited for in vain"
weir why mixed ask
line '^ask success: was approved by weir, at .*: "nobody decided in time"' "whose approval it was"
weir why mixed nobody
line '^nobody failed: rejected by weir: nobody decided in time' "... and whose rejection"
weir why mixed slow
line '^slow skipped: was not run: pick chose fast' "a branch that chose another way"
line '^  pick success: succeeded with try 1' "... which is told"
weir why mixed strict
line '^strict failed: exit status 3, which no retry mends' "an error that is not tried again"
weir retry mixed@2026-11-19 behind
exits 4 "what cannot run is not done again alone"
err_has "task behind would be upstream_failed again at once: it needs bad, which is failed; retry or mark that one" "... and it is said what is in its way"
weir mark mixed@2026-11-19 bad success --reason "done by hand"
weir why mixed@2026-11-19
line '^mixed@2026-11-19 queued: is to be taken up again; ' "a run that has begun before"
weir why mixed bad
line '^bad success: was marked so, by request' "a state that was set"
line '^  .* asked: mark bad: success, at .*: "done by hand"$' "by whom and why"
weir why mixed behind
line '^behind: is judged anew, since what it needs has changed; waits for its turn' "one that is judged anew"
line '^  no daemon is running on' "... once there is a daemon"
weir set-output mixed@2026-11-19 gives rows=2 --reason "counted again"
weir why mixed gives
line '^gives success: succeeded with try 1; its outputs were set, by request' "outputs that were set"
weir clear mixed@2026-11-19 fast
weir why mixed fast
line '^fast: is to be done again, by request; waits for its turn' "one that was cleared"
unset WEIR_TEST_CLOCK
rm -rf home

# ---- a process that is gone ---------------------------------------------------------------------

printf 'dag: gone\ntasks: { a: { run: "sleep 20" }, b: { run: "true", needs: a }, c: { run: "true" } }\n' >gone.yaml
"$WEIR" run gone.yaml --date 2026-11-19 --jobs 1 >"$T/gone" 2>&1 &
pid=$!
comes running "SELECT state FROM task WHERE name = 'a'" "a run begins"
comes queued "SELECT state FROM task WHERE name = 'c'" "and has one job slot"
weir why gone c
line '^c queued: waits for a free job slot, since' "which another task waits for"
line '^    a running: runs on .*, try 1 of at most 1' "and who has it"
weir why gone b
line "^  process $pid on .* works on it, and nobody else may" "the process that has it"
kill -9 "$pid"
wait "$pid" 2>/dev/null
weir why gone@2026-11-19
line '^gone@2026-11-19 abandoned: was left by the process that worked on it' "a run that was left"
line "^  process $pid on .* is gone" "by whom"
rm -rf home

# ---- with a daemon ------------------------------------------------------------------------------

mkdir dags
echo 'pools: { pg: 2 }' >dags/weir.yaml
cat >dags/hold.yaml <<'END'
dag: hold
schedule: manual
tasks:
  wide: { run: 'until [ -e "$GO" ]; do sleep 0.02; done', pool: pg, slots: 2, priority: 9 }
  narrow: { run: "true", pool: pg }
  after: { run: "true", needs: [narrow, again] }
  again: { run: "exit 4", retries: 5, backoff: { initial: 1h, max: 1h, jitter: none } }
  cold: { run: "true" }
  last: { run: "true", needs: cold }
END
cat >dags/lim.yaml <<'END'
dag: lim
max_active_tasks: 1
schedule: { cron: "30 2 1 1 *", timezone: Europe/Berlin, catchup: none }
tasks:
  a: { run: 'until [ -e "$GO" ]; do sleep 0.02; done', priority: 1 }
  b: { run: "true" }
END
printf 'dag: once\nschedule: { at: ["2020-01-01T00:00:00Z"], catchup: none }\ntasks: { a: { run: "true" } }\n' >dags/once.yaml
daemon --jobs 8
weir freeze hold.cold --reason "figures are checked"
weir trigger hold --date 2026-11-19
weir trigger lim --date 2026-11-19
comes "queued|pool_full" "SELECT state, reason FROM task WHERE name = 'narrow'" "a task waits for a pool"
comes "up_for_retry" "SELECT state FROM task WHERE name = 'again'" "another for its next try"
comes "held|frozen" "SELECT state, reason FROM task WHERE name = 'cold'" "a third is held"
comes "queued|dag_limit" "SELECT state, reason FROM task WHERE name = 'b'" "a fourth waits for its DAG"
weir why hold narrow
line '^narrow queued: waits for a slot of pool pg; it is next, since ' "a pool"
line '^  pool pg: 2 of 2 slots are taken, 1 task waits for it$' "how it stands"
line '^    hold@2026-11-19 wide running: has 2 slots, since ' "who has it, since when"
weir why hold after
line '^  narrow queued' "two roots: one"
line '^  again up_for_retry: waits for retry 1 of 5, after exit status 4, since .*, until .* \(in (59m|1h)\)' "and the other, until when"
weir why hold last
line '^  cold held: is held: it is frozen' "a frozen one"
line '^    .* froze it, since .*: "figures are checked"$' "by whom and why"
out_has "weir freeze hold.cold --off" "how to end it"
weir why lim b
line '^b queued: as many tasks of its DAG run as max_active_tasks allows \(1\); it is next' "a limit of a DAG"
line '^  lim@2026-11-19 a running: ' "what runs of it"
printf 'dag: late\nschedule: manual\ntasks: { a: { run: "true" }, b: { run: "true", needs: a } }\n' >dags/late.yaml
"$WEIR" reload >/dev/null
weir trigger late --date 2026-11-19
comes success "SELECT state FROM run WHERE dag = 'late'" "a job slot is free"
weir end-retries hold@2026-11-19 again --reason "no use"
await rows failed "SELECT state FROM task WHERE name = 'again'"
weir why hold again
line '^again failed: exit status 4, and its retries were ended, by request' "retries that were ended"
line '^  .* asked: end-retries again, at .*: "no use"$' "whose"
weir why lim
year=$(date -u +%Y)
line "^lim: runs next at $((year + 1))-01-01T02:30:00\+01:00 \(Europe/Berlin\), for the interval $year-01-01T02:30" "a DAG: when it runs next"
line '^  lim@2026-11-19 running: is at work' "what is active"
offers "all that is offered can be typed, with a daemon"
weir why once
line '^once: no run of it is due by itself' "a schedule that is over"
line '^  its schedule has no run any more' "is told"
weir pause hold --reason "the source is late"
await sh -c '"$WEIR" why hold | grep -q "^hold paused"'
weir why hold
line '^  .* paused hold, since .*: "the source is late"$' "who paused a DAG and why"
out_has "weir resume hold" "how to end it"
weir why hold@2026-11-19
line '^  .* paused hold, since' "its run says so, too"
weir trigger late --date 2026-11-18
weir pause late --reason "not now"
weir clear late@2026-11-18 a
weir why late@2026-11-18 a
is "$(grep -c "paused late" "$T/out")" 1 "a pause is told once"
weir resume late
weir resume hold
weir drain lim --reason "maintenance"
weir why lim
line '^  .* drains lim: no run of it is created, since .*: "maintenance"$' "a drain"
printf 'dag: lim\ntasks: [\n' >dags/lim.yaml
await sh -c '"$WEIR" why lim | grep -q "its last good version is used"'
weir why lim
line 'lim.yaml: cannot be loaded; its last good version is used' "a broken file"
out_has "dags/lim.yaml:" "... with the place"
printf 'dag: never\ntasks: { a: { run: "true", needs: b } }\n' >dags/never.yaml
weir why never
exits 3 "a broken file of a DAG that never ran"
err_has 'never is not scheduled: its file cannot be loaded:' "... is found"
err_has 'never.yaml:2:' "... with the place"
rm dags/never.yaml
weir skip hold@2026-11-19 last --reason "nobody reads it"
await rows skipped "SELECT state FROM task WHERE name = 'last'"
weir why hold last
line '^last skipped: was left out, by request' "left out by request"
line '^  .* asked: skip last, at .*: "nobody reads it"$' "whose"
api '/v1/live?dag=hold&run=hold@2026-11-19' '[d["run"]["run"], d["dag"]["dag"], d["jobs"]]' >"$T/live"
is "$(cat "$T/live")" '["hold@2026-11-19", "hold", 8]' "the daemon's live view over the API"
weir cancel hold@2026-11-19 --reason "enough"
comes cancelled "SELECT state FROM run WHERE dag = 'hold'" "a run is cancelled"
weir why hold@2026-11-19
line '^  .* asked: cancel the run, at .*: "enough"$' "by whom and why"
: >"$GO"
ends INT
weir trigger once
weir why once@2020-01-01
weir why once --json
exits 0 "without the daemon"
json_is '["no_daemon"]' '[c["reason"] for c in d["causes"] if c["kind"] == "process"]' "that none runs"

# ---- a circuit breaker ---------------------------------------------------------------------------

mkdir broken
echo 'breakers: { api: { failures: 1, open: 2h, max_open: 3h } }' >broken/weir.yaml
cat >broken/broken.yaml <<'END'
dag: broken
tasks:
  a: { run: "exit 1", breaker: api, on_open: skip }
  b: { run: "true", breaker: api, on_open: skip, needs: [c] }
  c: { run: "until [ -n \"$(sqlite3 $WEIR_HOME/weir.db 'SELECT 1 FROM breaker')\" ]; do sleep 0.05; done" }
END
if command -v sqlite3 >/dev/null; then
	weir run broken/broken.yaml --date 2026-11-19
	weir why broken b
	line '^b skipped: was not run: its circuit breaker was open' "a circuit breaker"
	line '^  breaker api open: is open: too many attempts failed, since .*until' "since and until when"
else
	skip "a circuit breaker" "no sqlite3"
fi
finish
