#!/bin/sh
# The daemon as a process: one per WEIR_HOME, its end and what goes on without it, its log, readiness,
# and what it does with tasks that outlive it.
. "${top_srcdir:-.}/tests/lib/cli.sh"
. "${top_srcdir:-.}/tests/lib/daemon.sh"

have_sql || { echo "1..0 # SKIP neither sqlite3 nor python3 with sqlite3"; exit 0; }

WITNESS=$T/witness GO=$T/go
export WITNESS GO
mkdir dags
cat >dags/fast.yaml <<'END'
dag: fast
schedule: { every: 1s }
tasks: { a: { run: ":" } }
END
cat >dags/slow.yaml <<'END'
dag: slow
schedule: manual
params: { name: { default: nobody } }
tasks:
  wait: { run: 'echo "start $WEIR_DS" >>$WITNESS; until [ -e $GO ]; do sleep 0.02; done; echo "end $WEIR_DS" >>$WITNESS' }
  then: { needs: [wait], run: 'echo "then $WEIR_DS {{ params.name }}" >>$WITNESS' }
END
nrun="SELECT count(*) FROM run WHERE dag = 'fast' AND state = 'success'"
at_least() { [ "$(sql home/weir.db "$nrun")" -ge "$1" ]; }
witness() { sort "$WITNESS" | tr '\n' ' '; }

# ---- one at a time ---------------------------------------------------------------------------------

daemon
weir daemon --dags dags
exits 4 "a second daemon is refused"
err_has "(pid $daemon)" "... with the pid of the first"
is "$(stat -c %a home/daemon.sock)" 600 "the socket is for its owner only"
check "runs come by themselves" await at_least 2
is "$(sql home/weir.db "SELECT count(*) FROM (SELECT interval_start_us AS s, lag(interval_end_us) OVER
	(ORDER BY interval_start_us) AS e FROM run) WHERE s <> e")" 0 "... one after the other"

# ---- triggers ------------------------------------------------------------------------------------

weir trigger slow --date 2026-01-01 --param name=Ada --json
exits 0 "trigger"
comes running "SELECT state FROM run WHERE dag = 'slow'" "... and it runs"
weir trigger slow --date 2026-01-01
exits 4 "a run that is active is refused"
weir trigger slwo
exits 5 "a DAG that is unknown"
err_has 'slow' "... names the near one"
weir trigger slow --date 2026-01-02 --param nam=x
exits 2 "a param that is unknown"
weir reload
exits 0 "reload"

# ---- TERM: tasks go on -----------------------------------------------------------------------------

await grep -q 'start 2026-01-01' "$WITNESS"
ends TERM
is "$status" 0 "TERM: a clean end"
logs 'msg="stopped"' "... which the log tells"
check "its socket leads nowhere" test ! -e home/daemon.sock
sql_is 0 "SELECT count(*) FROM run WHERE owner_pid IS NOT NULL" "... and it owns no run"
daemon
logs "tasks of an earlier process still run" "the next one adopts its task"
before=$(sql home/weir.db "$nrun")
check "... and meanwhile runs what is due" await at_least $((before + 2))
weir trigger slow --date 2026-01-02
comes running "SELECT state FROM run WHERE ds = '2026-01-02'" "... and what is asked for"
sql_is "1|none" "SELECT try, outcome FROM attempt JOIN run ON run.id = run_id WHERE ds = '2026-01-01'" \
	"... and leaves the task alone"
: >"$GO"
comes "success
success" "SELECT state FROM run WHERE dag = 'slow' ORDER BY ds" "it takes the result, and goes on"
is "$(witness)" "end 2026-01-01 end 2026-01-02 start 2026-01-01 start 2026-01-02 then 2026-01-01 Ada then 2026-01-02 nobody " \
	"... each task was started once"

# ---- kill -9 -----------------------------------------------------------------------------------------

rm -f "$GO" "$WITNESS"
weir trigger slow --date 2026-01-03
await grep -q 'start 2026-01-03' "$WITNESS"
ends KILL
weir status
exits 0 "status without the daemon that was killed"
daemon
: >"$GO"
comes success "SELECT state FROM run WHERE ds = '2026-01-03'" "the daemon is killed: the next one takes the result"
is "$(witness)" "end 2026-01-03 start 2026-01-03 then 2026-01-03 nobody " "... and nothing ran twice"
rm -f "$GO" "$WITNESS"
weir trigger slow --date 2026-01-04
await grep -q 'start 2026-01-04' "$WITNESS"
supervisor=$(pgrep -P "$daemon" | head -n 1)
kill -9 "$supervisor" "$daemon"
wait "$daemon" 2>/dev/null
: >"$GO"
daemon
comes success "SELECT state FROM run WHERE ds = '2026-01-04'" "daemon and supervisor are killed: it is done again"
sql_is "1|lost
2|success" "SELECT try, outcome FROM attempt JOIN run ON run.id = run_id WHERE ds = '2026-01-04' AND task = 'wait' ORDER BY 1" \
	"... which costs none of its retries"
supervisor=$(pgrep -P "$daemon" | head -n 1)
kill -9 "$supervisor"
check "the supervisor dies: another one is started" await grep -q "the supervisor died; another" "$log"
weir trigger slow --date 2026-01-06
comes success "SELECT state FROM run WHERE ds = '2026-01-06'" "... under which tasks run"
ends TERM

# ---- a run in the foreground is left ---------------------------------------------------------------------

rm -f "$GO" "$WITNESS"
"$WEIR" run dags/slow.yaml --date 2026-01-07 >"$T/left.out" 2>&1 </dev/null &
left=$!
background="$background $left"
await grep -q 'start 2026-01-07' "$WITNESS"
kill -9 "$left"
wait "$left" 2>/dev/null
daemon
logs "its owner is gone: the run is carried on" "weir run is killed: a daemon carries its run on"
logs "tasks of an earlier process still run" "... with its task"
: >"$GO"
comes success "SELECT state FROM run WHERE ds = '2026-01-07'" "... to the end"
is "$(witness)" "end 2026-01-07 start 2026-01-07 then 2026-01-07 nobody " "... and nothing ran twice"
ends TERM

# ---- --stop-tasks --------------------------------------------------------------------------------------

rm -f "$GO" "$WITNESS"
daemon --stop-tasks
weir trigger slow --date 2026-01-05
await grep -q 'start 2026-01-05' "$WITNESS"
ends TERM
is "$status" 0 "--stop-tasks: a clean end"
sql_is "running|queued" "SELECT run.state, task.state FROM run JOIN task ON run_id = run.id
	WHERE ds = '2026-01-05' AND task.name = 'wait'" "... and the task was stopped, for the next daemon to do again"
is "$(find home/supervisor -type f | wc -l)" 0 "... nothing is left to be taken over"
: >"$GO"
daemon
comes success "SELECT state FROM run WHERE ds = '2026-01-05'" "... which does"
ends TERM

# ---- max_active_runs holds over a restart --------------------------------------------------------------

cat >dags/fast.yaml <<'END'
dag: fast
schedule: { every: 1s }
tasks: { a: { run: 'echo "start $WEIR_INTERVAL_START" >>$WITNESS; until [ -e $GO ]; do sleep 0.02; done' } }
END
rm -f "$GO" "$WITNESS"
daemon
check "a run of the schedule" await test -s "$WITNESS"
ends TERM
daemon
logs "tasks of an earlier process still run" "... which a restart leaves running"
if command -v python3 >/dev/null; then
	late() { [ "$(api /v1/status 'd["dags"][0]["waiting"] + d["dags"][1]["waiting"] > 1')" = true ]; }
	check "the next ones wait" await late
fi
is "$(wc -l <"$WITNESS")" 1 "... for it to end: max_active_runs counts it"
before=$(sql home/weir.db "$nrun")
: >"$GO"
check "... and then run" await at_least $((before + 3))
ends TERM

# ---- the log ---------------------------------------------------------------------------------------------

if command -v python3 >/dev/null; then
	python3 - "$log" >"$T/check" 2>&1 <<'END'
import re, sys
pair = r'[a-z_]+=(?:"(?:[^"\\]|\\.)*"|[^\s"=]+)'
line = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info|warn|error) %s(?: %s)*\n' % (pair, pair))
lines = open(sys.argv[1]).readlines()
assert len(lines) > 5
for l in lines:
    assert line.fullmatch(l), l
END
	is "$?" 0 "log lines are key=value"
	daemon --log json
	ends TERM
	python3 - "$log" >"$T/check" 2>&1 <<'END'
import json, sys
lines = [json.loads(l) for l in open(sys.argv[1])]
assert len(lines) > 3
for l in lines:
    assert {"time", "level", "msg"} <= set(l) and all(isinstance(v, str) for v in l.values()), l
END
	is "$?" 0 "... or JSON"
else
	skip "log lines" "no python3"
fi

# ---- readiness and watchdog --------------------------------------------------------------------------------

if command -v python3 >/dev/null; then
	cat >"$T/listen.py" <<'END'
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1].replace("@", "\0", 1))
open(sys.argv[2], "w").close()
while True:
    got = s.recv(4096).decode()
    with open(sys.argv[2], "a") as f:
        f.write(got + "\n")
END
	for address in "$T/notify" "@weir-test-$$"; do
		rm -f "$T/notified"
		python3 "$T/listen.py" "$address" "$T/notified" &
		listener=$!
		background="$background $listener"
		await test -e "$T/notified"
		NOTIFY_SOCKET=$address WATCHDOG_USEC=20000
		export NOTIFY_SOCKET WATCHDOG_USEC
		daemon
		check "READY is told to ${address%%[a-z]*}..." await grep -qx READY=1 "$T/notified"
		fed() { [ "$(grep -cx WATCHDOG=1 "$T/notified")" -ge 3 ]; }
		check "... the watchdog is fed, again and again" await fed
		ends TERM
		check "... and STOPPING is told" await grep -qx STOPPING=1 "$T/notified"
		kill "$listener"
		unset NOTIFY_SOCKET WATCHDOG_USEC
	done
else
	skip "readiness" "no python3"
fi

# ---- idle --------------------------------------------------------------------------------------------------

# With nothing due it sleeps in one call of the kernel: no context switch comes of its own.
rm -f dags/fast.yaml
printf 'dag: rare\nschedule: "@yearly"\ntasks: { a: { run: ":" } }\n' >dags/rare.yaml
daemon
switches() { awk '/^voluntary_ctxt_switches/ { print $2 }' "/proc/$daemon/status"; }
comes 0 "SELECT count(*) FROM run WHERE wanted" "nothing is to be done"
await grep -q '^State:.S' "/proc/$daemon/status"
n=0
while [ $n -lt 30 ]; do
	before=$(switches)
	sleep 0.3
	[ "$(switches)" = "$before" ] && break
	n=$((n + 1))
done
check "an idle daemon sleeps" test $n -lt 30
ends INT
is "$status" 0 "INT ends it, too"

finish
