#!/bin/sh
# Interventions: retry, clear, mark, skip, cancel, end-retries, set-output; on runs that nobody has in
# hand, on runs of a daemon, and on those of another process.
. "${top_srcdir:-.}/tests/lib/cli.sh"
. "${top_srcdir:-.}/tests/lib/daemon.sh"
. "${top_srcdir:-.}/tests/lib/background.sh"

have_sql || { echo "1..0 # SKIP neither sqlite3 nor python3 with sqlite3"; exit 0; }

export GO=$T/go OK=$T/ok WITNESS=$T/witness
mkdir dags
# load fails until $OK is there; wait runs until $GO is there.
cat >dags/night.yaml <<'YAML'
dag: night
schedule: manual
tasks:
  load: { run: 'echo load >>$WITNESS; test -e $OK' }
  check: { needs: [load], run: 'echo check >>$WITNESS' }
  publish: { needs: [check], run: 'echo publish >>$WITNESS' }
  side: { run: 'echo side >>$WITNESS' }
YAML
cat >dags/slow.yaml <<'YAML'
dag: slow
schedule: manual
tasks:
  first: { run: 'echo "rows=1"; echo "rows=1" >"$WEIR_OUTPUT"' }
  wait: { needs: [first], run: 'echo start >>$WITNESS; until [ -e $GO ]; do sleep 0.02; done; echo end >>$WITNESS' }
  then: { needs: [wait], run: 'echo "then {{ tasks.first.outputs.rows }}" >>$WITNESS' }
  last: { needs: [then], run: 'echo last >>$WITNESS' }
YAML
cat >dags/again.yaml <<'YAML'
dag: again
schedule: manual
tasks:
  flaky: { run: 'echo flaky >>$WITNESS; test -e $OK', retries: 3,
    backoff: { initial: 1h, max: 1h, jitter: none } }
  after: { needs: [flaky], run: 'echo after >>$WITNESS' }
YAML

states() { # RUN: the tasks' states in the order of the file
	sql home/weir.db "SELECT t.state FROM task t JOIN run r ON r.id = t.run_id WHERE r.name = '$1'
		ORDER BY t.seq" | tr '\n' ' '
}
run_is() { # WANTED RUN NAME
	sql_is "$1" "SELECT state FROM run WHERE name = '$2'" "$3"
}
come() { # WANTED RUN NAME: the run and its tasks, in the end
	comes "$1" "SELECT r.state || ': ' || group_concat(t.state, ' ') FROM run r JOIN (SELECT * FROM
		task ORDER BY seq) t ON r.id = t.run_id WHERE r.name = '$2'" "$3"
}
# All that the store holds, but for who owns what until when.
whole() { sql home/weir.db "SELECT * FROM task; SELECT id, state, reason, version, epoch, wanted FROM
	run; SELECT * FROM event; SELECT * FROM attempt; SELECT * FROM audit" | cksum; }
asked() { # WANTED RUN NAME: what was asked for last
	sql_is "$1" "SELECT what, detail, coalesce(reason, '') FROM audit WHERE subject = '$2'
		ORDER BY id DESC LIMIT 1" "$3"
}
witness() { lines "$WITNESS"; : >"$WITNESS"; }
: >"$WITNESS"

# ---- nobody has it in hand -----------------------------------------------------------------------

weir run dags/night.yaml --date 2026-01-01
exits 1 "a run that fails"
n=night@2026-01-01
is "$(states $n)" "failed upstream_failed upstream_failed success " "... at its first task"
witness >/dev/null
before=$(whole)
for verb in "retry $n" "retry $n side" "clear $n load --downstream" "mark $n load success" \
	"mark $n side failed"; do
	# shellcheck disable=SC2086
	weir $verb --dry-run --reason "a try"
	exits 0 "$verb --dry-run"
	out_has "not carried out" "... says that it is none"
	is "$(whole)" "$before" "... and changes nothing"
done
weir retry $n --dry-run --json
json_is '["load", "check", "publish"]' '[t["task"] for t in d["tasks"]]' "a plan has what failed"
json_is '["starts", "waits", "waits"]' '[t["effect"] for t in d["tasks"]]' "... and what becomes of it"
json_is '{"from": "failed", "to": "queued"}' 'd["state"]' "... and of the run"
json_is true 'd["dry_run"] and not d["in_motion"] and d["waits"]' "... and that it waits"

for wrong in "skip $n load" "skip $n side" "end-retries $n load" "cancel $n" "cancel $n load" \
	"set-output $n load rows=1" "mark $n side success"; do
	# shellcheck disable=SC2086
	weir $wrong
	exits 4 "$wrong: refused"
done
is "$(whole)" "$before" "what is refused changes nothing"
weir end-retries $n load
err_has "task load is failed: end-retries is for a task that waits for its next try" \
	"a refusal says what state it is in"
err_has "possible with this one: retry, clear, mark" "... and what is possible"
weir retry $n laod
exits 5 "an unknown task"
err_has 'did you mean "load"' "... names the near one"
weir retry nihgt@2026-01-01
exits 5 "an unknown run"
weir mark $n load good
exits 2 "an unknown state"
weir set-output $n side rows
exits 2 "an output without a value"
weir retry $n --downstream
exits 2 "--downstream of nothing"
weir retry $n --reason "$(printf 'two\nlines')"
exits 2 "a reason of two lines"
is "$(whole)" "$before" "... all that changes nothing"

weir retry $n --reason "the source is back"
exits 0 "retry"
out_has "weir run $T/dags/night.yaml --date 2026-01-01" "... says what does it"
is "$(states $n)" "none none none success " "... clears what failed"
sql_is "queued|1|0" "SELECT state, wanted, owner_pid IS NOT NULL FROM run" "... and the run waits"
asked "retry|load, check, publish|the source is back" $n "... and it is recorded"
sql_is 3 "SELECT count(*) FROM event WHERE detail LIKE 'by %: the source is back' AND reason =
	'cleared' AND task IS NOT NULL" "... with each change"
weir show $n
out_has "the source is back" "... which weir show tells"
weir show $n --json
json_is '["retry", "load, check, publish", "the source is back"]' \
	'[d["requests"][0][k] for k in ("request", "of", "reason")]' "... also as JSON"
weir retry $n
exits 4 "there is nothing to retry any more"
err_has "none of its tasks is failed" "... it says"
: >"$OK"
weir run dags/night.yaml --date 2026-01-01
exits 0 "weir run does it"
is "$(witness)" "load check publish " "... and nothing else"

weir clear $n load
exits 0 "clear one task of a run that succeeded"
out_has "stays so, made from what is done again" "... says what is not done again"
is "$(states $n)" "none success success success " "... clears just it"
weir run dags/night.yaml --date 2026-01-01 --quiet
is "$(witness)" "load " "... and just it is done"
weir clear $n check --downstream --quiet
weir run dags/night.yaml --date 2026-01-01 --quiet
is "$(witness)" "check publish " "clear --downstream: and what depends on it"
weir retry $n load side --failed
exits 4 "--failed, of what has not failed"

weir mark $n check failed --reason "wrong figures"
run_is failed $n "a run with a task that is marked as failed has failed"
is "$(states $n)" "success failed success success " "... what depends on it had an attempt of its own"
weir mark $n check success
run_is success $n "... and success again"
is "$(states $n)" "success success success success " "... as it was"
weir mark $n check skipped
run_is success $n "a task that is marked as skipped"

rm "$OK"
weir run dags/night.yaml --date 2026-01-02 --quiet
m=night@2026-01-02
witness >/dev/null
weir mark $m load success --output rows=7 --reason "by hand" --dry-run
out_has "check    upstream_failed  runs" "mark as success: what could not run for it"
weir mark $m load success --output rows=7 --reason "by hand"
is "$(states $m)" "success none none success " "... is judged anew"
sql_is '{"rows":7}' "SELECT outputs FROM task WHERE name = 'load' AND run_id = 2" "... with outputs"
weir set-output $m load '{"rows": 8, "path": "/x"}' note=ok
sql_is '{"rows":8,"path":"/x","note":"ok"}' "SELECT outputs FROM task WHERE name = 'load' AND
	run_id = 2" "set-output, some at once"
asked "set-output|load: rows, path, note|" $m "... is recorded by its names"
weir skip $m publish
is "$(states $m)" "success none skipped success " "skip"
weir cancel $m check
is "$(states $m)" "success cancelled skipped success " "cancel a task that waits"
run_is failed $m "... which ends the run"
weir retry $m check publish
exits 0 "retry what was cancelled and skipped"
weir cancel $m --reason enough
run_is cancelled $m "cancel a run that waits"
asked "cancel|the run|enough" $m "... is recorded"
sql_is 0 "SELECT wanted FROM run WHERE name = '$m'" "... and nobody wants it any more"
weir retry $m
run_is queued $m "... until it is retried"
weir run dags/night.yaml --date 2026-01-02 --quiet
is "$(witness)" "check publish " "... and done"
weir set-output $m load rows=9
exits 4 "outputs that were used already"
err_has "task check depends on load and has begun (success)" "... are refused, naming who used them"

# ---- rules, choices, teardowns -------------------------------------------------------------------

cat >dags/ways.yaml <<'YAML'
dag: ways
schedule: manual
tasks:
  up: { run: 'echo up >>$WITNESS' }
  load: { needs: [up], run: 'echo load >>$WITNESS; test -e $OK' }
  alarm: { needs: [load], trigger: one_failed, run: 'echo alarm >>$WITNESS' }
  pick: { control: branch, needs: [up], with: { choose: left } }
  left: { needs: [pick], run: 'echo left >>$WITNESS' }
  right: { needs: [pick], run: 'echo right >>$WITNESS' }
  down: { needs: [up, load], teardown: up, run: 'echo down >>$WITNESS' }
YAML
rm -f "$OK"
weir run dags/ways.yaml --date 2026-01-01 --quiet
exits 1 "a run with rules, a choice and a teardown"
w=ways@2026-01-01
is "$(states $w)" "success failed success success success skipped success " "... in which one failed"
: >"$WITNESS"
weir clear $w right --dry-run --json
json_is '[["right", "starts"]]' '[[t["task"], t["effect"]] for t in d["tasks"]]' \
	"one that was left out is done when it is named"
weir clear $w up --downstream --dry-run --json
json_is 7 'len(d["tasks"])' "... and follows its branch"
weir retry $w
exits 0 "retry what failed"
is "$(states $w)" "none none none success success skipped none " \
	"what was taken down is set up again, what was judged is judged again, the choice stays"
asked "retry|load|" $w "... and what was asked for is no more than it was"
weir cancel $w
exits 0 "it is cancelled before anybody did it"
out_has "weir cancel --kill $w" "... which says how to leave out the teardown"
is "$(states $w)" "cancelled cancelled cancelled success success skipped none " "... that stays"
sql_is "queued|1" "SELECT state, wanted FROM run WHERE name = '$w'" "... and is to be done"
weir cancel --kill $w
exits 0 "... that, too"
run_is cancelled $w "... then the run has ended"
weir retry $w --quiet
: >"$OK"
weir run dags/ways.yaml --date 2026-01-01 --quiet
exits 0 "done again"
is "$(witness)" "up load down " "... it is set up and taken down again"
is "$(states $w)" "success success skipped success success skipped success " "... without an alarm"
rm "$OK"

# ---- versions ------------------------------------------------------------------------------------

weir run dags/night.yaml --date 2026-01-03 --quiet
v=night@2026-01-03
former=$(sql home/weir.db "SELECT version FROM run WHERE name = '$v'")
cp dags/night.yaml old.yaml
printf '  more: { needs: [publish], run: "echo more >>$WITNESS" }\n' >>dags/night.yaml
weir retry $v --dry-run
out_has "With the newest version of the DAG" "a retry takes the newest version"
out_has "more     none" "... and says what is new in it"
weir retry $v --version same --quiet
sql_is "$former" "SELECT version FROM run WHERE name = '$v'" "--version same keeps it"
weir cancel $v --quiet
weir retry $v --version new --quiet
sql_is 0 "SELECT count(*) FROM run WHERE name = '$v' AND version = '$former'" "--version new"
is "$(states $v)" "none none none success none " "... with its tasks"
echo "tasks: {" >dags/night.yaml
weir cancel $v --quiet
weir retry $v
exits 3 "a DAG that is broken now"
err_has "--version same" "... says what can be done"
mv old.yaml dags/night.yaml

# A version is of the files a DAG names, too; to mark a task is not to change it.
cp -R "$top_srcdir/dags" demo && chmod -R u+w demo
weir run demo/nightly_sales.yaml --date 2026-11-19 --quiet
exits 0 "a DAG with files of its own"
former=$(sql home/weir.db "SELECT version FROM run WHERE dag = 'nightly_sales'")
weir mark nightly_sales report failed --quiet
weir mark nightly_sales report success --json
sql_is "$former" "SELECT version FROM run WHERE dag = 'nightly_sales'" "... keeps its version"
json_is true 'd["version"] == d["former_version"]' "... and it is told so"
weir clear nightly_sales report --json
json_is true 'd["version"] == d["former_version"]' "clear: the newest version is the same"
weir clear nightly_sales daily_sales --version same --quiet
sql_is "$former" "SELECT version FROM run WHERE dag = 'nightly_sales'" "... and --version same keeps it"
weir cancel nightly_sales --quiet
sql_is 0 "SELECT count(*) FROM run WHERE wanted = 1" "no daemon is to find something to do"

# ---- another process has it ----------------------------------------------------------------------

: >"$WITNESS"
start slow run dags/slow.yaml --date 2026-01-01
await grep -q start "$WITNESS"
s=slow@2026-01-01
before=$(whole)
for verb in "cancel $s" "mark $s last success" "retry $s first"; do
	# shellcheck disable=SC2086
	weir $verb
	exits 4 "$verb: of a run of another process"
	err_has "process $pid" "... which is named"
	# shellcheck disable=SC2086
	weir $verb --dry-run
	exits 4 "... also with --dry-run"
done
is "$(whole)" "$before" "... and nothing changes"
: >"$GO"
finished
exits 0 "... which goes on"

# ---- in the hands of a daemon --------------------------------------------------------------------

rm -f "$GO" "$OK"
: >"$WITNESS"
daemon
weir trigger slow --date 2026-02-01 --quiet
s=slow@2026-02-01
comes "running" "SELECT t.state FROM task t JOIN run r ON r.id = t.run_id WHERE r.name = '$s' AND
	t.name = 'wait'" "a task runs"
before=$(whole)
for verb in "cancel $s" "cancel $s wait" "skip $s then" "mark $s last failed" "retry $s first" \
	"set-output $s first rows=2"; do
	# shellcheck disable=SC2086
	weir $verb --dry-run
	case $verb in
	set-output*) exits 4 "$verb --dry-run: its outputs are in use" ;;
	*) exits 0 "$verb --dry-run" ;;
	esac
done
is "$(whole)" "$before" "... and nothing changes"
weir retry $s wait
exits 4 "retry of what runs"
err_has "task wait is running: cancel it first" "... says what to do first"
weir mark $s wait success
exits 4 "mark of what runs"
weir retry $s first --version new --dry-run
exits 0 "the same version is the new one"
weir skip $s last --reason "not today"
exits 0 "skip what waits, while another task runs"
is "$(states $s)" "success running none skipped " "... at once"
asked "skip|last|not today" $s "... recorded"
weir cancel $s wait --reason "it hangs" --json
exits 0 "cancel what runs"
json_is '[["wait", "stops"]]' '[[t["task"], t["effect"]] for t in d["tasks"]]' "... says that it is stopped"
json_is true 'd["in_motion"] and d["daemon"]' "... by the daemon"
come "failed: success cancelled upstream_failed skipped" $s "... and what needs it cannot run"
sql_is cancelled "SELECT outcome FROM attempt WHERE task = 'wait' ORDER BY token DESC LIMIT 1" \
	"... its attempt was cancelled"
: >"$GO"
: >"$WITNESS"
weir retry $s --reason "it hangs no more"
exits 0 "retry a run that has ended"
come "success: success success success skipped" $s "... and the daemon does it"
is "$(witness)" "start end then 1 " "... what was cleared, and with the outputs of what is kept"

rm "$GO"
weir trigger again --date 2026-02-01 --quiet
a=again@2026-02-01
comes "up_for_retry none" "SELECT group_concat(state, ' ') FROM (SELECT * FROM task t JOIN run r ON
	r.id = t.run_id WHERE r.name = '$a' ORDER BY t.seq)" "a task waits for its next try"
weir retry $a flaky
exits 0 "retry does not wait"
comes 2 "SELECT count(*) FROM attempt WHERE task = 'flaky'" "... and it is tried at once"
comes up_for_retry "SELECT state FROM task WHERE name = 'flaky'" "... and waits again"
weir end-retries $a flaky --reason "hopeless"
exits 0 "end-retries"
come "failed: failed upstream_failed" $a "... it has failed, and what needs it"
weir end-retries $a flaky
exits 4 "... which cannot be done twice"
: >"$OK"
weir clear $a flaky --quiet
come "success: success success" $a "clear: what came of it alone is judged anew"

weir trigger slow --date 2026-02-02 --quiet
s=slow@2026-02-02
await rows running "SELECT t.state FROM task t JOIN run r ON r.id = t.run_id WHERE r.name = '$s' AND
	t.name = 'wait'"
weir mark $s last success
exits 0 "mark what waits, while another task runs"
weir cancel $s --reason "wrong day"
exits 0 "cancel the run"
come "cancelled: success cancelled cancelled success" $s "... stops what runs"
weir cancel $s
exits 4 "... once"

# ---- two at a time -------------------------------------------------------------------------------

weir trigger night --date 2026-02-03 --quiet
r=night@2026-02-03
come "success: success success success success" $r "a run for a race"
for i in 1 2 3 4 5 6; do
	"$WEIR" mark $r side failed --quiet 2>/dev/null
	"$WEIR" mark $r side failed --quiet >"race$i.a" 2>&1 &
	one=$!
	"$WEIR" mark $r side success --quiet >"race$i.b" 2>&1 &
	two=$!
	wait $one
	wait $two
	is "$(sql home/weir.db "SELECT (state = 'failed') = (EXISTS (SELECT 1 FROM task WHERE run_id = r.id
		AND state = 'failed')) FROM run r WHERE name = '$r'")" 1 "two requests race: run and tasks agree"
done
ends TERM
is "$status" 0 "the daemon ends well"

for i in 1 2 3 4; do
	"$WEIR" mark $r check failed --quiet >/dev/null 2>&1 &
	one=$!
	"$WEIR" mark $r check success --quiet >/dev/null 2>&1 &
	two=$!
	wait $one
	wait $two
	is "$(sql home/weir.db "SELECT (state = 'failed') = (EXISTS (SELECT 1 FROM task WHERE run_id = r.id
		AND state = 'failed')), owner_pid IS NULL FROM run r WHERE name = '$r'")" "1|1" \
		"... also without a daemon"
done

# ---- killed ----------------------------------------------------------------------------------------

# Killed at any write it has happened or not; and it can be asked for again.
k=night@2026-02-03
for n in 1 2 3 4 5 6 7 8 9; do
	weir mark $k check success --quiet
	weir mark $k publish success --quiet
	WEIR_TEST_KILL_AT_WRITE=$n "$WEIR" clear $k check publish --quiet >/dev/null 2>&1
	got=$(states $k)
	case $got in
	"success success success "*) cleared=0 ;;
	"success none none "*) cleared=1 ;;
	*) cleared="half: $got" ;;
	esac
	is "$(sql home/weir.db "SELECT (state = 'queued') || wanted FROM run WHERE name = '$k'")" \
		"$cleared$cleared" "killed at write $n: done, or not"
	weir clear $k check publish --quiet
	case $cleared in
	0) exits 0 "... then it is done" ;;
	*) exits 4 "... then there is nothing to do" ;;
	esac
done
weir cancel $k --quiet

# ---- a daemon that comes later -------------------------------------------------------------------

rm -f "$OK"
weir run dags/night.yaml --date 2026-03-01 --quiet
l=night@2026-03-01
weir mark $l side failed --quiet
: >"$OK"
: >"$WITNESS"
weir retry $l load --downstream --quiet
daemon
come "failed: success success success failed" $l "the next daemon does what was cleared, and only that"
is "$(witness)" "load check publish " "... once"
ends TERM
finish
