#!/bin/sh
# The guards together: what an open breaker tells, weir.yaml read anew, which success makes good
# what, and a cancel that outlives whoever carried it out.
. "${top_srcdir:-.}/tests/lib/cli.sh"
. "$top_srcdir/tests/lib/daemon.sh"
. "$top_srcdir/tests/lib/background.sh"

mkdir dags
yaml() { # BREAKERS CHANNEL
	cat >dags/weir.new <<END
breakers: { $1 }
alerts:
  channels:
    one: { type: command, command: [sh, -c, "cat >>$T/$2; echo >>$T/$2"] }
  group_window: 50ms
END
	mv dags/weir.new dags/weir.yaml
}
# What was told: `all` the documents, `d` the last one and `i` its first incident.
told() { # WANTED FILE EXPR NAME
	got=$(python3 - "$2" "$3" <<'END' 2>&1
import json, sys
all = [json.loads(l) for l in open(sys.argv[1]) if l.strip()]
d = all[-1]
i = d["incidents"][0]
v = eval(sys.argv[2])
print(v if isinstance(v, str) else json.dumps(v))
END
	)
	is "$got" "$1" "$4"
}
tells() { await sh -c "[ \$(grep -c . $T/$1 2>/dev/null || echo 0) -ge $2 ]"; } # FILE COUNT

# ---- breakers -------------------------------------------------------------------------------------

api="api: { failures: 1, open: 1h, max_open: 1h }"
yaml "$api" told
cat >dags/a.yaml <<'END'
dag: a
tags: [finance]
tasks:
  load: { run: 'echo "the vendor says 503"; test -f "$T/ok"', env: { T: { env: T } }, breaker: api, retries: 3,
    backoff: { initial: 1ms, jitter: none } }
  report: { run: "true", needs: [load] }
END
daemon
weir trigger a --date 2026-11-18
comes "breaker_open||api|open" "SELECT kind, dag, task, state FROM incident" "an open breaker is an incident"
comes "held" "SELECT state FROM task WHERE name = 'load'" "its task is held"
tells told 1
told '["opened", "api: circuit breaker is open", "error", "api", "", ""]' told \
	'[d["what"], d["title"], d["severity"]] + [i[k] for k in ("breaker", "dag", "task")]' "it is told"
told '["breaker_tripped", "exit status 1: the vendor says 503", "a@2026-11-18", "load", 1]' told \
	'[i[k] for k in ("why", "error", "run", "task_of", "try")]' "with the last error, and whose it was"
told '["the vendor says 503"]' told 'i["log"]' "and the last lines of its log"
told true told '"next_probe" in i and i["next_probe"] > d["sent_at"]' "when the next probe is due"
told '["a@2026-11-18", "load"]' told '[i["held"][0][k] for k in ("run", "task")]' "what it stops"
told '["weir breaker show api", "weir breaker close api --reason TEXT", "weir logs a@2026-11-18 load", "weir ack 1"]' \
	told '[c["command"] for c in i["commands"]]' "and the commands"
weir incidents
out_has "api: circuit breaker is open, since" "weir incidents has it"
weir incidents --json
json_is '["api", ""]' '[d["incidents"][0][k] for k in ("breaker", "task")]' "the same as JSON"
touch ok
weir breaker close api --reason "the vendor is back"
exits 0 "weir breaker close"
comes "resolved|the vendor is back" "SELECT state, reason FROM incident" "closed by a person it is resolved"
tells told 2
told '["resolved", "the vendor is back", true]' told '[d["what"], i["reason"], "@" in i["by"]]' "and told, with who"
comes "success" "SELECT state FROM run" "its task goes on"
weir breaker open api --reason "they deploy"
comes "warning|they deploy" "SELECT severity, reason FROM incident WHERE ended_us IS NULL" "opened by a person: a warning"
tells told 3
told '["breaker_forced", "they deploy"]' told '[i["why"], i["reason"]]' "with the reason"

# ---- weir.yaml, read anew ---------------------------------------------------------------------------

weir trigger a --date 2026-11-19
comes "held" "SELECT t.state FROM task t JOIN run r ON r.id = t.run_id AND r.ds = '2026-11-19' WHERE t.name = 'load'" "a task is held"
yaml "other: { failures: 3 }" told2
weir reload
exits 0 "weir reload"
comes "success" "SELECT state FROM run WHERE ds = '2026-11-19'" "a breaker that is gone holds nothing"
comes 0 "SELECT count(*) FROM incident WHERE ended_us IS NULL" "its incident is resolved"
tells told2 1
told '["resolved", "api"]' told2 '[d["what"], i["breaker"]]' "by the channel that weir.yaml has now"
weir breaker show api
out_has "weir.yaml does not have it any more" "why it was closed"
out_has "no weir.yaml in use has it" "that it is gone"

rm ok
echo 'breakers: { api: { failures: none } }' >dags/weir.yaml
weir reload
out_has "errors 2" "a weir.yaml with an error is counted, with the DAG it is for"
err_has "weir.yaml:1:30: error" "where it is wrong"
weir status
out_has "weir.yaml cannot be used" "weir status says so"
weir trigger a --date 2026-11-20
comes "failed" "SELECT state FROM run WHERE ds = '2026-11-20'" "its DAGs run on as they were"
tells told2 2
told '["opened", "a.load: task failed"]' told2 '[d["what"], d["title"]]' "and alerts are told as before"
yaml "other: { failures: 3 }" told3
logs "weir.yaml is well again" "mended, it is read without being asked"
weir status
out_lacks "cannot be used" "and all is well"
rm dags/weir.yaml
weir reload
logs 'channels=0' "without one nobody is told"
ends TERM
exits 0 "the daemon ends"

# ---- which success makes good what --------------------------------------------------------------------

rm -rf home told*
yaml "other: { failures: 3 }" told
cat >dags/b.yaml <<'END'
dag: b
tasks: { t: { run: 'test -f "$T/ok"', env: { T: { env: T } } } }
END
sed 's/^dag: b/dag: c\nschedule: { cron: "@daily", catchup: all }/' dags/b.yaml >dags/c.yaml
state() { sql_is "$1" "SELECT state, count FROM incident ORDER BY id DESC LIMIT 1" "$2"; }
good() { touch ok; weir run "dags/$1.yaml" --date "$2"; exits 0 "$1 $2 is done"; rm ok; }
bad() { weir run "dags/$1.yaml" --date "$2"; exits 1 "$1 $2 fails"; }

bad b 2026-11-18
bad b 2026-11-19
good b 2026-11-18
state "open|2" "an earlier interval makes nothing good"
weir incidents
out_has "2 times" "it is counted"
good b 2026-11-19
state "resolved|2" "the last one does"
bad b 2026-11-20
bad b 2026-11-21
good b 2026-11-22
state "resolved|2" "a later one makes good the earlier ones"

rm -rf home told
bad c 2026-11-17
bad c 2026-11-18
good c 2026-11-18
state "open|2" "where all is caught up none stands for another"
sql_is 1 "SELECT told FROM incident" "nobody is told yet that it is over"
bad c 2026-11-19
state "open|3" "it is one incident still"
sql_is 2 "SELECT told FROM incident" "but as it had gone well in between, it is told again"
told '["c@2026-11-17", "c@2026-11-19"]' told 'i["undone"]' "with all that is to be done again"
weir incidents
out_has "2 intervals are to be done again" "weir incidents counts them"
good c 2026-11-17
good c 2026-11-19
state "resolved|3" "when all is done it is over"

# ---- people, without a daemon -----------------------------------------------------------------------

rm -rf home told dags/c.yaml
bad b 2026-11-18
weir ack 1
out_has "Those who were told of it will be told by the next daemon" "weir ack without a daemon"
weir alerts
out_has "incident 1 acknowledged: b.t, route all" "it waits to be told"
weir snooze 1 1h
out_lacks "told" "a snooze is told to nobody"
weir resolve 1
daemon
tells told 2
told '["resolved", 2]' told '[d["what"], len(all)]' "the next daemon tells what it came to"
ends TERM
printf 'breakers: { api: { failures: 1 } }\n' >dags/weir.yaml
rm -rf home told
bad b 2026-11-18
weir resolve 1
out_lacks "told" "where nobody was told nobody is"

# ---- a cancel that outlives who carried it out --------------------------------------------------------

rm -rf home
cat >dags/d.yaml <<'END'
dag: d
tasks:
  up: { run: "true" }
  work: { run: 'trap "" TERM; echo $$ >"$T/works"; for i in 1 2 3 4 5 6 7 8 9; do sleep 10; done', env: { T: { env: T } },
    needs: [up], grace: 1s, retries: 2 }
  more: { run: 'touch "$T/more"', env: { T: { env: T } }, needs: [work] }
  down: { run: 'touch "$T/down"', env: { T: { env: T } }, needs: [up, more], teardown: up }
END
ended="cancelled
down|success
more|cancelled
up|success
work|cancelled"
how="SELECT state FROM run UNION ALL SELECT * FROM (SELECT name || '|' || state FROM task ORDER BY name)"
daemon
weir trigger d --date 2026-11-18
await test -s works
weir cancel d@2026-11-18
exits 0 "weir cancel"
ends KILL
sql_is "running|1" "SELECT state, cancelling FROM run" "the daemon is killed before it has come to that"
daemon
comes "$ended" "$how" "the next one carries the cancel on"
check "the teardown ran" test -f down
check "nothing else did" test ! -f more
sql_is 0 "SELECT cancelling FROM run" "then it is over"
ends TERM

rm -rf home works down
start run run dags/d.yaml --date 2026-11-18
await test -s works
kill -INT "$pid"
await rows 1 "SELECT cancelling FROM run"
kill -9 "$pid"
finished
daemon
comes "$ended" "$how" "a daemon carries on the cancel of a run in the foreground"
ends TERM

rm -rf home works down
sed -i 's/for i in .*done/test -f "$T\/quick" || sleep 100/' dags/d.yaml
start run run dags/d.yaml --date 2026-11-18
await test -s works
kill -INT "$pid"
await rows 1 "SELECT cancelling FROM run"
kill -9 "$pid"
finished
touch quick
kill -9 "$(cat works)"
weir run dags/d.yaml --date 2026-11-18
sql_is 0 "SELECT cancelling FROM run" "who runs it again by hand wants it done"

# ---- a run in the foreground hears what a person says elsewhere --------------------------------------

rm -rf home
yaml "$api" told
cd dags && weir breaker open api --reason "not now"
cd ..
touch ok
start held run dags/a.yaml --date 2026-11-18
await rows held "SELECT state FROM task WHERE name = 'load'"
cd dags && weir breaker close api
cd ..
finished
exits 0 "it hears that the breaker was closed"

# And it tells of one that opens while it goes on, not when all is over.
rm -rf home told ok
start tells run dags/a.yaml --date 2026-11-18
await rows held "SELECT state FROM task WHERE name = 'load'"
tells told 1
told '["opened", "api: circuit breaker is open"]' told '[d["what"], d["title"]]' "it tells while it goes on"
check "... which it does" kill -0 "$pid"
touch ok
cd dags && weir breaker close api
cd ..
finished
exits 0 "then it is done"
tells told 2
told resolved told 'd["what"]' "and tells that it is over"

finish
