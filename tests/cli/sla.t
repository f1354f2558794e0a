#!/bin/sh
# SLAs over simulated time: what was never started, paused, late, slow or at risk, and what happens
# when nobody was there to see it.
[ -w /dev/shm ] && TMPDIR=${TMPDIR:-/dev/shm} && export TMPDIR
. "${top_srcdir:-.}/tests/lib/cli.sh"
. "$top_srcdir/tests/lib/daemon.sh"

have_sql || { echo "1..0 # SKIP neither sqlite3 nor python3 with sqlite3"; exit 0; }

dag() { # NAME SLA [COMMAND [TASK-KEYS [SCHEDULE]]]
	mkdir -p dags
	printf "dag: %s\nschedule: %s\nsla: %s\ntasks:\n  a: { run: '%s'%s }\n" "$1" \
		"${5:-{ cron: \"0 2 * * *\", timezone: Europe/Berlin \}}" "$2" "${3:-:}" \
		"${4:+, $4}" >"dags/$1.yaml"
}

sim() { # FROM UNTIL
	WEIR_TEST_CLOCK=$1 WEIR_TEST_UNTIL=$2 "$WEIR" daemon --dags dags >"$T/out" 2>"$T/err" \
		</dev/null
	status=$?
}

at() { # INSTANT WEIR-ARGUMENTS...
	WEIR_TEST_CLOCK=$1
	export WEIR_TEST_CLOCK
	shift
	weir "$@"
	unset WEIR_TEST_CLOCK
}

fresh() { rm -rf dags home; }

us() { echo "strftime('%m-%dT%H:%M', $1 / 1000000, 'unixepoch')"; }
incidents="SELECT kind, dag, task, severity, state, count FROM incident WHERE kind LIKE 'sla_%'
	ORDER BY dag DESC, task DESC, id"
misses="SELECT dag, task, kind, $(us deadline_us), coalesce(ended, 'open') FROM sla_miss ORDER BY deadline_us, task DESC, kind, dag"
told() { grep -c -F -e "$1" "$T/err"; }

# ---- never started -------------------------------------------------------------------------------

dag paused '{ finish_by: "06:30", start_within: 15m }'
dag fine '{ finish_by: "06:30", start_within: 15m, finish_within: 1h, runs_at_most: 1m }'
sim 2026-11-18T12:00:00Z 2026-11-18T13:00:00Z
at 2026-11-18T13:00:00Z pause paused --reason "the source moves"
exits 0 "a DAG is paused"
sim 2026-11-18T13:00:00Z 2026-11-20T12:00:00Z
exits 0 "two nights pass"
sql_is "paused||start_within|11-19T01:15|open
paused||finish_by|11-19T05:30|open
paused||start_within|11-20T01:15|open
paused||finish_by|11-20T05:30|open" "$misses" "a DAG that is paused misses its deadlines"
is "$(told 'no run was made: the DAG is paused')" 4 "... and that is told, and why"
sim 2026-11-20T12:00:00Z 2026-11-20T18:00:00Z
is "$(told 'SLA missed')" 0 "not once more by the next daemon"
at 2026-11-20T18:00:00Z resume paused
sim 2026-11-20T18:00:00Z 2026-11-20T19:00:00Z
sql_is "paused||start_within|11-19T01:15|passed_over
paused||finish_by|11-19T05:30|passed_over
paused||start_within|11-20T01:15|done
paused||finish_by|11-20T05:30|done" "$misses" \
	"resumed: the latest runs, and what is passed over is not waited for"

# ---- nobody was there ----------------------------------------------------------------------------

fresh
dag late '{ finish_by: "06:30" }'
dag off '{ finish_by: "06:30" }' : "" '{ cron: "0 2 * * *", timezone: Europe/Berlin, catchup: none }'
sim 2026-11-18T12:00:00Z 2026-11-18T13:00:00Z
sim 2026-11-20T08:00:00Z 2026-11-20T09:00:00Z
sql_is "late||finish_by|11-20T05:30|done" "$misses" \
	"a deadline that passed while no daemon ran is missed; the ones passed over are not"
is "$(told 'SLA missed')" 1 "... which is told once"

# ---- kill -9 between all that is written ------------------------------------------------------------

fresh
dag never '{ finish_by: "06:30", on_miss: [alert, cancel] }' 'exit 1' 'retries: 3, backoff: { initial: 10h, jitter: none, max: 10h }' '{ cron: "0 2 * * *", timezone: Europe/Berlin, catchup: none }'
sim 2026-11-18T12:00:00Z 2026-11-19T05:00:00Z
sql_is "running" "SELECT state FROM run ORDER BY interval_start_us DESC LIMIT 1" "a run waits to try again"
cp -r home kept
ok=1 n=0
while [ $n -lt 40 ]; do
	n=$((n + 1))
	rm -rf home && cp -r kept home
	WEIR_TEST_KILL_AT_WRITE=$n sim 2026-11-19T05:00:00Z 2026-11-19T06:00:00Z
	first=$(told 'SLA missed')
	[ $status -eq 0 ] && break
	sim 2026-11-19T05:00:00Z 2026-11-19T06:00:00Z
	got=$(sql home/weir.db "SELECT count(*), max(acted) FROM sla_miss
		WHERE start_us = (SELECT max(start_us) FROM sla_miss)")
	state=$(sql home/weir.db "SELECT state FROM run ORDER BY interval_start_us DESC LIMIT 1")
	opened=$(sql home/weir.db "SELECT count(*), sum(count) FROM incident WHERE kind = 'sla_finish'")
	[ "$opened" = "1|1" ] && [ "$got" = "1|1" ] && [ "$state" = cancelled ] && [ $((first + $(told 'SLA missed'))) -le 2 ] && continue
	ok=0
	echo "# killed at write $n: $got, $state, told $first and $(told 'SLA missed')"
done
is "$ok" 1 "killed at each write: missed and told once, and cancelled all the same"
is "$([ $n -gt 3 ] && [ $n -lt 40 ] && echo yes)" yes "... and there were writes to be killed at"


# ---- it comes at last ----------------------------------------------------------------------------

fresh
once='{ cron: "0 2 * * *", timezone: Europe/Berlin, catchup: none }'
dag broken '{ finish_by: "06:30", warn_ahead: 30m }' 'test -e mended' 'sla: { finish_by: "05:00" }' "$once"
dag moved '{ finish_by: "06:30" }'
sim 2026-11-18T12:00:00Z 2026-11-19T08:00:00Z
sql_is "broken|a|finish_by|11-19T04:00|open
broken||at_risk|11-19T05:30|open
broken||finish_by|11-19T05:30|open" "$misses" "what failed is at risk, then missed; and its task is"
sql_is "sla_finish|broken|a|error|open|1
sla_at_risk|broken||warning|open|1
sla_finish|broken||error|open|1" "$incidents" "... and people are told of it"
sql_is "2026-11-19T06:30:00+01:00|the run failed: a|broken@2026-11-18" "SELECT facts ->> 'deadline',
	facts ->> 'error', facts ->> 'run' FROM incident WHERE kind = 'sla_finish' AND task = ''" \
	"... with what they need to know"
is "$(told 'SLA at risk')" 1 "... each told once"
err_has "the run failed: a" "... and why"
at 2026-11-19T08:00:00Z status
out_has "SLA missed broken finish_by" "weir status says so"
out_lacks "SLA at risk" "... without the warning that was overtaken"
touch dags/mended
at 2026-11-19T08:00:00Z trigger broken --date 2026-11-18
sim 2026-11-19T08:00:00Z 2026-11-19T09:00:00Z
sql_is "done" "SELECT DISTINCT ended FROM sla_miss" "done at last: nothing is open"
is "$(told 'SLA: done at last')" 3 "... and that is told"
sql_is resolved "SELECT DISTINCT state FROM incident WHERE kind LIKE 'sla_%'" "... the incidents are over"
at 2026-11-19T09:00:00Z status
out_lacks "SLA missed" "weir status has nothing to say any more"
rm dags/mended
sim 2026-11-19T09:00:00Z 2026-11-19T18:00:00Z
sql_is 3 "SELECT count(*) FROM sla_miss" "nothing is judged twice"

# ---- done by somebody else -----------------------------------------------------------------------

sim 2026-11-19T18:00:00Z 2026-11-20T08:00:00Z
sql_is 3 "SELECT count(*) FROM sla_miss WHERE ended IS NULL" "the next night is missed as well"
touch dags/mended
at 2026-11-20T08:00:00Z run dags/broken.yaml --date 2026-11-19
exits 0 "a person does it by hand, without a daemon"
sim 2026-11-20T08:00:00Z 2026-11-20T09:00:00Z
sql_is 0 "SELECT count(*) FROM sla_miss WHERE ended IS NULL" "the next daemon sees that"

# ---- limits of what runs -------------------------------------------------------------------------

fresh
hour='retries: 1, backoff: { initial: 1h, jitter: none, max: 1h }'
dag long '{ runs_at_most: 20m }' 'exit 1' "$hour" "$once"
dag stopped '{ runs_at_most: 20m, on_miss: [alert, cancel] }' 'exit 1' "$hour" "$once"
sim 2026-11-18T12:00:00Z 2026-11-19T08:00:00Z
sql_is "long||runs_at_most|11-19T01:20|open
stopped||runs_at_most|11-19T01:20|open" "$misses" "a run takes too long"
sql_is "long|failed|03
stopped|cancelled|02" "SELECT dag, state, strftime('%H', ended_us / 1000000 + 3600, 'unixepoch') FROM run
	ORDER BY dag" "... and is cancelled where that is asked for"
sql_is "sla_duration|stopped||error|open|1
sla_duration|long||error|open|1" "$incidents" "... people are told"
sql_is "stopped|1" "SELECT dag, acted FROM sla_miss WHERE acts = 'cancel'" "... which is noted"

fresh
dag slow '{ slower_than: 2x }' : '' '{ every: 1h, catchup: none }'
sim 2026-11-18T12:00:00Z 2026-11-18T15:30:00Z
sql home/weir.db "UPDATE run SET started_us = created_us, ended_us = created_us + 600000000" >"$T/out"
dag slow '{ slower_than: 2x }' 'exit 1' "$hour" '{ every: 1h, catchup: none }'
sim 2026-11-18T15:30:00Z 2026-11-18T16:30:00Z
sql_is "slow||slower_than|11-18T16:20|open" "$misses" "a run takes twice as long as usual"
err_has "more than 20m00s, 2 times as usual" "... and why"
sim 2026-11-18T16:30:00Z 2026-11-18T16:50:00Z
is "$(told 'SLA missed')" 0 "... told once, also where another daemon carries it on"

# ---- skipped -------------------------------------------------------------------------------------

fresh
dag skipped '{ start_within: 15m, on_miss: skip }'
dag begun '{ finish_by: "04:00", on_miss: skip }' 'exit 1' 'retries: 1, backoff: { initial: 3h, jitter: none, max: 3h }' "$once"
sim 2026-11-18T12:00:00Z 2026-11-18T13:00:00Z
at 2026-11-18T13:00:00Z pause skipped
sim 2026-11-18T13:00:00Z 2026-11-19T08:00:00Z
at 2026-11-19T08:00:00Z resume skipped
sim 2026-11-19T08:00:00Z 2026-11-19T09:00:00Z
sql_is "skipped||start_within|11-19T01:15|open
begun||finish_by|11-19T03:00|open" "$misses" "what is too late is to be skipped"
sql_is "begun|failed|2
skipped|cancelled|0" "SELECT dag, state, (SELECT sum(tries) FROM task WHERE run_id = id) FROM run
	WHERE interval_end_us > 1795046400000000 ORDER BY dag" \
	"... also when it is made only later; what has begun goes on"
sql_is 1 "SELECT min(acted) FROM sla_miss" "... which is noted"

# ---- tasks ---------------------------------------------------------------------------------------

fresh
mkdir dags
printf "%s\n" "dag: tasks" 'schedule: { cron: "0 2 * * *", catchup: none }' "tasks:" \
	"  first: { run: 'exit 1', retries: 3, backoff: { initial: 1h, jitter: none, max: 1h }, fails_run: false }" \
	"  second: { run: ':', needs: first, trigger: all_done, sla: { start_within: 30m, on_miss: skip } }" \
	"  third: { run: ':', needs: second, trigger: all_done }" \
	"  fourth: { run: 'exit 1', retries: 9, backoff: { initial: 1h, jitter: none, max: 1h }," \
	"    sla: { finish_by: '03:30', on_miss: cancel }, fails_run: false }" \
	"  fifth: { run: ':', sla: { finish_by: '03:30', start_within: 5m, on_miss: cancel } }" >dags/tasks.yaml
sim 2026-11-19T01:00:00Z 2026-11-19T12:00:00Z
sql_is "tasks|second|start_within|11-19T02:30|done
tasks|fourth|finish_by|11-19T03:30|open" "$misses" "tasks have SLAs of their own"
sql_is "first|failed|4
second|skipped|0
third|success|1
fourth|cancelled|2
fifth|success|1" "SELECT name, state, tries FROM task ORDER BY seq" "... and are skipped or cancelled by them"
sql_is 1 "SELECT min(acted) FROM sla_miss" "... which is noted"
sql_is "its SLA was missed: finish_by" "SELECT DISTINCT detail FROM event WHERE task = 'fourth'
	AND detail IS NOT NULL" "... with why in the run's events"

# ---- at risk -------------------------------------------------------------------------------------

fresh
two() { # COMMAND
	printf "%s\n" "dag: chain" 'schedule: { cron: "0 2 * * *", catchup: none }' \
		'sla: { finish_by: "06:00", warn_ahead: 3h }' "tasks:" \
		"  extract: { run: '$1', retries: 9, backoff: { initial: 10m, jitter: none, factor: 1 } }" \
		"  load: { run: ':', needs: extract }" >dags/chain.yaml
}
mkdir dags
two :
sim 2026-11-17T00:00:00Z 2026-11-19T00:00:00Z
sql_is "" "$misses" "in time"
# extract has taken half an hour, load two hours and a half
sql home/weir.db "UPDATE attempt SET ended_us = started_us + iif(task = 'load', 9000, 1800) * 1000000" >"$T/out"
two 'exit 1'
sim 2026-11-19T00:00:00Z 2026-11-19T05:00:00Z
sql_is "chain||at_risk|11-19T06:00|open" "$misses" "a run that will not be done in time is at risk"
sql_is "03" "SELECT strftime('%H', found_us / 1000000, 'unixepoch') FROM sla_miss" \
	"... as soon as that can be told, before the deadline"
sql_is "load usually takes 2h30m" "SELECT substr(detail, instr(detail, ':') + 2) FROM sla_miss" \
	"... naming what costs it"

# ---- without a schedule --------------------------------------------------------------------------

fresh
dag asked '{ finish_within: 30m, start_within: 10m }' 'exit 1' "$hour" manual
sim 2026-11-19T00:00:00Z 2026-11-19T01:00:00Z
sql_is "" "$misses" "nothing is asked for, nothing is missed"
at 2026-11-19T01:00:00Z trigger asked
sim 2026-11-19T01:00:00Z 2026-11-19T05:00:00Z
sql_is "asked||finish_within|11-19T01:30|open" "$misses" "a run by hand has its time from when it was asked for"

for restart in "2026-11-19T01:10:00Z before" "2026-11-19T02:10:00Z after"; do
	fresh
	dag asked '{ finish_within: 30m }' 'exit 1' '' manual
	sim 2026-11-19T00:00:00Z 2026-11-19T01:00:00Z
	at 2026-11-19T01:00:00Z trigger asked
	sim 2026-11-19T01:00:00Z 2026-11-19T01:05:00Z
	sql_is "failed" "SELECT state FROM run" "a run by hand fails"
	sql_is "" "$misses" "... long before its deadline"
	sim "${restart% *}" 2026-11-19T05:00:00Z
	sql_is "asked||finish_within|11-19T01:30|open" "$misses" \
		"... which a daemon that begins ${restart#* } it remembers"
	sim 2026-11-19T05:00:00Z 2026-11-19T08:00:00Z
	is "$(told 'SLA missed')" 0 "... once"
done

# ---- another SLA, another schedule ---------------------------------------------------------------

fresh
dag changes '{ finish_by: "06:30" }' 'exit 1' '' "$once"
sim 2026-11-18T12:00:00Z 2026-11-19T03:00:00Z
dag changes '{ finish_by: "03:30" }' 'exit 1' '' "$once"
sim 2026-11-19T03:00:00Z 2026-11-19T12:00:00Z
sql_is "" "$misses" "an SLA that is new holds from now on"
sim 2026-11-19T12:00:00Z 2026-11-20T12:00:00Z
sql_is "changes||finish_by|11-20T02:30|open" "$misses" "... and is missed then"

# ---- by a real clock -----------------------------------------------------------------------------

fresh
mkdir dags
mkfifo "$T/held"
printf "%s\n" "dag: now" "tasks:" \
	"  a: { run: 'test -e again || { touch again; exit 1; }; read line <$T/held', retries: 1," \
	"    backoff: { initial: 500ms, jitter: none }, sla: { runs_at_most: 200ms } }" >dags/now.yaml
daemon
weir trigger now --date 2026-11-19
begun=$(date +%s)
comes "now|a|runs_at_most" "SELECT dag, task, kind FROM sla_miss" "an attempt takes too long"
is "$([ $(($(date +%s) - begun)) -lt 30 ] && echo yes)" yes "... which is seen when it does"
echo >"$T/held"
comes "done" "SELECT ended FROM sla_miss" "done at last"
ends TERM

# ---- in the foreground ---------------------------------------------------------------------------

fresh
mkdir dags
mkfifo "$T/pipe"
dag front '{ runs_at_most: 100ms, on_miss: cancel }' "read line <$T/pipe" 'sla: { runs_at_most: 50ms }' manual
weir run dags/front.yaml --date 2026-11-19
exits 1 "a run in the foreground that takes too long is cancelled"
out_has "SLA missed: task a runs for more than 50ms" "... which is said"
out_has "SLA missed: the run runs for more than 100ms; it is cancelled" "... and why"

# ---- weir sla ------------------------------------------------------------------------------------

fresh
weir sla
exits 5 "nothing was ever run"
dag one '{ finish_by: "06:30", finish_within: 2h, start_within: 10m, runs_at_most: 20m, slower_than: 1.5x, warn_ahead: 30m, on_miss: [alert, skip] }'
weir sla dags/one.yaml
exits 0 "SLAs of a file"
out_has "slower_than 1.5x" "... slower_than 1.5x"
out_has "alert, skip" "... alert, skip"
sim 2026-11-18T12:00:00Z 2026-11-18T13:00:00Z
at 2026-11-18T13:00:00Z sla --json
json_is '["2026-11-19T05:30:00Z", "2026-11-19T03:00:00Z", "2026-11-19T02:30:00Z"]' \
	"[s['next']['at'] for s in d['slas'] if s['sla'] in ('finish_by', 'finish_within', 'at_risk')]" \
	"the next deadlines"
at 2026-11-18T13:00:00Z sla two
exits 5 "a DAG that nobody knows"
at 2026-11-18T13:00:00Z next one -n 1
out_has "2026-11-19T04:00:00+01:00" "weir next has the deadline"
sim 2026-11-18T13:00:00Z 2026-11-19T13:00:00Z
at 2026-11-19T13:00:00Z show one
out_has "deadline  2026-11-19T04:00:00+01:00 (met)" "weir show as well"

finish
