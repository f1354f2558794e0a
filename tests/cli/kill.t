#!/bin/sh
# What becomes of tasks when weir run, its supervisor or its terminal goes away, and of signals.
. "${top_srcdir:-.}/tests/lib/cli.sh"
. "$top_srcdir/tests/lib/background.sh"

# A task that says it began, and ends when there is a file `go` (or after half a minute).
dag() { # NAME [MORE-OF-THE-TASK...]: in a folder of that name
	mkdir "$1"
	{
		cat <<-END
			dag: $1
			tasks:
			  before: { run: echo before >>witness }
			  slow:
			    needs: before
			    run: |
			      echo "start \$WEIR_TRY" >>witness
			      echo \$\$ >pid.\$\$; mv pid.\$\$ pid
			      for i in \$(seq 6000); do test ! -e go || break; sleep 0.02 || :; done
			      test ! -e broken
			      echo "end \$WEIR_TRY" >>witness
			      echo answer=42 >"\$WEIR_OUTPUT"
			  after: { needs: slow, run: "echo after {{ tasks.slow.outputs.answer }} >>witness" }
		END
	} >"$1/dag.yaml"
	cd "$1" || exit 99
	shift
	for more; do sed -i "/^    needs: before/a\\    $more" dag.yaml; done
}

# ---- weir run is killed, its task goes on ------------------------------------------------------

dag adopt
start first run dag.yaml --date 2026-11-19
check "a task runs" await test -s pid
task=$(cat pid)
supervisor=$(parent_of "$task")
kill -9 "$pid"
finished
check "weir run was killed: its task goes on" kill -0 "$task"
check "and so does the supervisor" kill -0 "$supervisor"
weir status
out_has "its process is gone; run it again to go on" "weir status says so"
weir show adopt
out_has "(gone)" "weir show, too"
start second run dag.yaml --date 2026-11-19
check "the next one carries on with it, and says so" await grep -q "1 task of an earlier invocation.*carrying on" second.out
check "the task is still the same" kill -0 "$task"
start third run dag.yaml --date 2026-11-19
third=$pid
finished
exits 4 "a third one is refused while the second one has it in hand"
touch go
out=second.out
wait "$(echo "$background" | awk '{ print $(NF - 1) }')"
is "$?" 0 "the second one succeeds when the task has ended"
is "$(lines witness)" "before start 1 end 1 after 42 " "nothing ran twice, and the outputs are known"
sql_is "after|1|success
before|1|success
slow|1|success" "SELECT task, try, outcome FROM attempt ORDER BY task" "the attempt's end was adopted"
check "no journal is left" no_journal
check "the supervisor has left" gone "$supervisor"
weir run dag.yaml --date 2026-11-19
out_has "nothing to do" "and then there is nothing to do"
cd "$T"

# ---- it ends while nobody looks ------------------------------------------------------------------

dag unseen
start first run dag.yaml --date 2026-11-19
await test -s pid
task=$(cat pid) supervisor=$(parent_of "$(cat pid)")
kill -9 "$pid"
finished
touch go
check "the task ends while nobody looks, and the supervisor leaves" await gone "$supervisor"
weir run dag.yaml --date 2026-11-19
exits 0 "the next weir run goes on"
out_lacks "waiting for them" "without waiting"
out_has "slow: try 1 of the earlier invocation: success" "it says what became of the task"
is "$(lines witness)" "before start 1 end 1 after 42 " "and has its result"
cd "$T"

dag unseen_failure "retries: 1" "backoff: { initial: 0s }"
touch broken
start first run dag.yaml --date 2026-11-19
await test -s pid
supervisor=$(parent_of "$(cat pid)")
kill -9 "$pid"
finished
touch go
await gone "$supervisor"
rm broken
weir run dag.yaml --date 2026-11-19
exits 0 "it fails while nobody looks: the next weir run tries again"
is "$(lines witness)" "before start 1 start 2 end 2 after 42 " "as the task's retries say"
sql_is "1|1" "SELECT failures, (SELECT count(*) FROM attempt WHERE task = 'slow' AND outcome = 'failed') FROM task
	WHERE name = 'slow' AND run_id = (SELECT id FROM run WHERE dag = 'unseen_failure')" "and it was counted"
cd "$T"

# ---- the supervisor is killed, too: the attempt is lost ----------------------------------------------

dag lost "grace: 50ms"
sed -i 's/      for i in/      sleep 300 \&\n      echo $! >child\n      for i in/' dag.yaml
start first run dag.yaml --date 2026-11-19
await test -s pid
await test -s child
task=$(cat pid) child=$(cat child)
kill -9 "$(parent_of "$task")" "$pid"
finished
check "supervisor and weir run are killed: the task goes with them" await gone "$task"
rm pid
touch go
weir run dag.yaml --date 2026-11-19
exits 0 "the next weir run does it again, though it has no retries"
is "$(lines witness)" "before start 1 start 2 end 2 after 42 " "with a try of its own"
out_has "slow: try 1 of the earlier invocation: lost" "it says why"
check "nothing of the lost attempt is left" await gone "$child"
sql_is "1|lost
2|success" "SELECT try, outcome FROM attempt WHERE task = 'slow' AND run_id = (SELECT max(id) FROM run) ORDER BY try" \
	"the first is counted as lost"
sql_is "0|1" "SELECT failures, lost FROM task WHERE name = 'slow' AND run_id = (SELECT max(id) FROM run)" \
	"and spends no retry"
cd "$T"

dag lost_too_often "lost_retries: 0"
start first run dag.yaml --date 2026-11-19
await test -s pid
kill -9 "$(parent_of "$(cat pid)")" "$pid"
finished
touch go
weir run dag.yaml --date 2026-11-19
exits 0 "lost_retries: 0, and it was lost: it failed, so the next weir run does it again"
sql_is "lost_too_often" "SELECT reason FROM event WHERE task = 'slow' AND to_state = 'failed'
	AND run_id = (SELECT max(id) FROM run)" "as the events say"
cd "$T"

# The supervisor alone is killed.
dag orphan
start first run dag.yaml --date 2026-11-19
await test -s pid
task=$(cat pid)
kill -9 "$(parent_of "$task")"
check "the supervisor alone is killed: another one tries the task again" await sh -c \
	'[ "$(grep -c start witness)" = 2 ]'
check "and nothing of the lost one runs" await sh -c "! kill -0 $task 2>/dev/null"
touch go
finished
exits 0 "weir run goes on to the end"
out_has "another one was started" "and says what happened"
sql_is "1|lost
2|success" "SELECT try, outcome FROM attempt WHERE task = 'slow'
	AND run_id = (SELECT max(id) FROM run)" "one attempt was lost"
cd "$T"

# ---- killed while it waits for a retry ----------------------------------------------------------------

dag backoff "retries: 1" "backoff: { initial: 2h, jitter: none, max: 3h }"
touch go broken
start first run dag.yaml --date 2026-11-19
check "it waits for a retry" await grep -q "next try in" first.out
kill -9 "$pid"
finished
rm broken
start second run dag.yaml --date 2026-11-19
check "killed there, the next one waits on" await grep -q "taken up again" second.out
kill -INT "$pid"
finished
exits 130 "which can be interrupted at once"
is "$(lines witness)" "before start 1 " "without a try"
weir run dag.yaml --date 2026-11-19
exits 0 "the next weir run tries at once"
is "$(lines witness)" "before start 1 start 2 end 2 after 42 " "so it does"
cd "$T"

# ---- Ctrl-C --------------------------------------------------------------------------------------------

graceful="    run: |\\n      trap 'echo cleaning up; sleep 0.1; echo clean; exit 0' TERM"
dag interrupt
sed -i "s/^    run: |/$graceful/" dag.yaml
start first run dag.yaml --date 2026-11-19
await test -s pid
task=$(cat pid)
kill -INT "$pid"
finished
exits 130 "SIGINT: status 130"
out_has "stopping: tasks are asked to end; once more to kill them" "it says what it does, and what one can do"
has "$WEIR_HOME/logs/interrupt@2026-11-19/slow.1.log" "clean" "the task could clean up, and its last words are in the log"
sql_is "cancelled" "SELECT state FROM run WHERE dag = 'interrupt'" "the run is cancelled"
sql_is "cancelled|0" "SELECT outcome, exit_status FROM attempt WHERE task = 'slow' AND run_id = (SELECT max(id) FROM run)" \
	"so is the attempt"
sql_is "before|success" "SELECT name, state FROM task WHERE run_id = (SELECT max(id) FROM run) AND name = 'before'" \
	"what was done is kept"
touch go
weir run dag.yaml --date 2026-11-19
exits 0 "it can be run again"
is "$(lines witness)" "before start 1 start 2 end 2 after 42 " "and goes on where it stopped"
cd "$T"

dag stubborn "grace: 1h"
sed -i "s/^    run: |/    run: |\\n      trap 'echo no' TERM/" dag.yaml
start first run dag.yaml --date 2026-11-19
await test -s pid
task=$(cat pid)
kill -INT "$pid"
check "a task that does not end when asked" await grep -q no "$WEIR_HOME/logs/stubborn@2026-11-19/slow.1.log"
check "goes on" kill -0 "$task"
kill -INT "$pid"
finished
exits 130 "a second SIGINT kills it: status 130"
check "it is gone" gone "$task"
out_has "killing what still runs" "it says so"
sql_is "cancelled|9" "SELECT outcome, signal FROM attempt WHERE task = 'slow' AND run_id = (SELECT max(id) FROM run)" \
	"the attempt was cancelled by KILL"
cd "$T"

dag grace "grace: 100ms"
sed -i "s/^    run: |/    run: |\\n      trap '' TERM/" dag.yaml
start first run dag.yaml --date 2026-11-19
await test -s pid
kill -TERM "$pid"
finished
exits 130 "SIGTERM does the same"
sql_is "cancelled|9" "SELECT outcome, signal FROM attempt WHERE task = 'slow' AND run_id = (SELECT max(id) FROM run)" \
	"and who does not end in its grace time is killed"
cd "$T"

# Ctrl-C while it waits for what a killed one left behind.
dag both
sed -i "s/^    run: |/$graceful/" dag.yaml
start first run dag.yaml --date 2026-11-19
await test -s pid
task=$(cat pid)
kill -9 "$pid"
finished
start second run dag.yaml --date 2026-11-19
await grep -q "carrying on with it" second.out
kill -INT "$pid"
finished
exits 130 "SIGINT while it waits for a former one's tasks: status 130"
check "they are stopped" await gone "$task"
has "$WEIR_HOME/logs/both@2026-11-19/slow.1.log" "clean" "gracefully"
touch go
weir run dag.yaml --date 2026-11-19
exits 0 "and the run can go on"
is "$(grep -c end witness) $(lines witness | sed 's/.*after/after/')" "1 after 42 " "to its end"
cd "$T"

# ---- the terminal is closed --------------------------------------------------------------------------------

dag hangup
start first run dag.yaml --date 2026-11-19
await test -s pid
task=$(cat pid)
kill -HUP "$pid"
finished
check "SIGHUP: weir run leaves" test "$status" -ne 0
check "its task goes on" kill -0 "$task"
touch go
weir run dag.yaml --date 2026-11-19
exits 0 "the next weir run takes over"
is "$(lines witness)" "before start 1 end 1 after 42 " "and nothing ran twice"
cd "$T"

# ---- two at once ---------------------------------------------------------------------------------------------

dag owner
start first run dag.yaml --date 2026-11-19
await test -s pid
weir run dag.yaml --date 2026-11-19
exits 4 "the same run twice at once: the second one is refused"
err_has "$pid" "it names the process that has it"
weir run dag.yaml --date 2026-11-19 --json
exits 4 "with --json, too"
weir run dag.yaml --date 2026-11-19 --dry-run
exits 0 "--dry-run may look"
weir status
out_has "running" "weir status sees it run"
out_has "runs slow" "and what it does"
touch go
finished
exits 0 "the first one is not disturbed"
is "$(lines witness)" "before start 1 end 1 after 42 " "nothing ran twice"
cd "$T"

dag several
touch go
pids=
for day in 1 2 3 4 5 6; do
	start "day$day" run dag.yaml --date 2026-11-0$day
	pids="$pids $pid"
done
good=0
for p in $pids; do wait "$p" && good=$((good + 1)); done
is "$good" 6 "six different runs at once in one WEIR_HOME: all succeed"
is "$(grep -c end witness)" 6 "each did its work"
cd "$T"

check "no journal is left at the end" no_journal
is "$(find "$WEIR_HOME/work" -type f | wc -l)" 0 "and no file of an attempt"

finish
