#!/bin/sh
# The daemon over simulated time: months in seconds, with daylight saving, outages and restarts.
# The test's clock starts where it is told and moves on to the next timer whenever nothing runs.
[ -w /dev/shm ] && TMPDIR=${TMPDIR:-/dev/shm} && export TMPDIR
. "${top_srcdir:-.}/tests/lib/cli.sh"

have_sql || { echo "1..0 # SKIP neither sqlite3 nor python3 with sqlite3"; exit 0; }

dag() { # NAME SCHEDULE [COMMAND [TASK-KEYS]]
	mkdir -p dags
	printf "dag: %s\nschedule: %s\ntasks:\n  a: { run: '%s'%s }\n" \
		"$1" "$2" "${3:-:}" "${4:+, $4}" >"dags/$1.yaml"
}

sim() { # FROM UNTIL [OPTION...]
	from=$1 until=$2
	shift 2
	said_words="daemon from $from to $until"
	WEIR_TEST_CLOCK=$from WEIR_TEST_UNTIL=$until "$WEIR" daemon --dags dags "$@" \
		>"$T/out" 2>"$T/err" </dev/null
	status=$?
}

at() { # INSTANT WEIR-ARGUMENTS...
	WEIR_TEST_CLOCK=$1
	export WEIR_TEST_CLOCK
	shift
	weir "$@"
	unset WEIR_TEST_CLOCK
}

fresh() {
	rm -rf dags home
}

us() { echo "strftime('%Y-%m-%dT%H:%M:%SZ', $1 / 1000000, 'unixepoch')"; }
start=$(us interval_start_us) end=$(us interval_end_us) created=$(us created_us)

# Rows that break the chain: an interval that does not start where the one before it ended.
gaps="SELECT count(*) FROM (SELECT interval_start_us AS s, lag(interval_end_us) OVER
	(PARTITION BY dag ORDER BY interval_start_us) AS e FROM run WHERE dag = "

# ---- a month with the spring change --------------------------------------------------------------

dag hourly '{ cron: "@hourly", timezone: Europe/Berlin }'
dag nightly '{ cron: "30 2 * * *", timezone: Europe/Berlin }'
dag quarter '{ every: 15m, timezone: Europe/Berlin, start: 2026-03-28, end: 2026-03-30 }'
dag business '{ cron: "0 7 * * *", timezone: Europe/Berlin, calendar: { only: business_days } }'
dag several '{ cron: ["0 6 * * *", "0 18 * * mon-fri"], timezone: Europe/Berlin }'
dag moments '{ at: ["2026-03-10T12:00", "2026-03-29T02:30"], timezone: Europe/Berlin }'
dag manual manual
sim 2026-03-01T00:00:00Z 2026-04-02T00:00:00Z
exits 0 "a month passes"
is "$(grep -c -e ' error ' -e ' warn ' "$T/err")" 0 "... without a warning"
sql_is "business|24|24
hourly|769|769
moments|2|2
nightly|33|33
quarter|284|284
several|56|56" "SELECT dag, count(*), count(DISTINCT interval_start_us) FROM run GROUP BY dag" \
	"each interval has run exactly once"
sql_is "success" "SELECT DISTINCT state FROM run" "... and all succeeded"
for d in hourly nightly quarter several business; do
	sql_is 0 "$gaps '$d') WHERE e <> s" "the intervals of $d follow each other"
done
sql_is 0 "SELECT count(*) FROM run WHERE created_us < interval_end_us" "none began before its end"
sql_is 0 "SELECT count(*) FROM run WHERE created_us > interval_end_us + 1000000
	AND interval_end_us > strftime('%s', '2026-03-01T00:00:00Z') * 1000000" "... nor late"
sql_is "2026-03-27T01:30:00Z|2026-03-28T01:30:00Z
2026-03-28T01:30:00Z|2026-03-29T01:00:00Z
2026-03-29T01:00:00Z|2026-03-30T00:30:00Z" \
	"SELECT $start, $end FROM run WHERE dag = 'nightly' AND ds BETWEEN '2026-03-27' AND '2026-03-29'
	ORDER BY 1" "a time in the gap: the first instant after it"
sql_is "2026-03-10T11:00:00Z
2026-03-29T01:00:00Z" "SELECT $start FROM run WHERE dag = 'moments' ORDER BY 1" "single moments"
sql_is 0 "SELECT count(*) FROM run WHERE dag = 'business'
	AND strftime('%w', interval_end_us / 1000000, 'unixepoch') IN ('0', '6')" "no run on a weekend"
sql_is 0 "SELECT count(*) FROM run WHERE owner_pid IS NOT NULL OR wanted" "no run is held or wanted"
is "$(find home/supervisor home/work -mindepth 1 | wc -l)" 0 "nothing of the daemon is left behind"

# ---- the autumn change: an hour twice ------------------------------------------------------------

fresh
dag hourly '{ cron: "@hourly", timezone: Europe/Berlin }'
dag nightly '{ cron: "30 2 * * *", timezone: Europe/Berlin }'
dag both '{ cron: "30 2 * * *", timezone: Europe/Berlin, dst: { overlap: both } }'
dag second '{ cron: "30 2 * * *", timezone: Europe/Berlin, dst: { overlap: second } }'
dag quarter '{ every: 15m, timezone: Europe/Berlin }'
sim 2026-10-24T12:00:00Z 2026-10-26T12:00:00Z
sql_is "both|2026-10-24T00:30:00Z
both|2026-10-25T00:30:00Z
both|2026-10-25T01:30:00Z
both|2026-10-26T01:30:00Z
nightly|2026-10-24T00:30:00Z
nightly|2026-10-25T00:30:00Z
nightly|2026-10-26T01:30:00Z
second|2026-10-24T00:30:00Z
second|2026-10-25T01:30:00Z
second|2026-10-26T01:30:00Z" "SELECT dag, $end FROM run WHERE dag IN ('nightly', 'both', 'second')
	ORDER BY dag, interval_end_us" "a time in the overlap: as the schedule says"
sql_is "hourly|49
quarter|193" "SELECT dag, count(*) FROM run WHERE dag IN ('hourly', 'quarter') GROUP BY dag" \
	"the day of 25 hours has 25"
sql_is 0 "SELECT count(*) FROM (SELECT count(*) AS n FROM run GROUP BY dag, interval_start_us, interval_end_us)
	WHERE n <> 1" "... none doubled"

# ---- an outage -------------------------------------------------------------------------------------

fresh
dag none '{ cron: "@daily", catchup: none }'
dag latest '{ cron: "@daily" }'
dag all '{ cron: "@daily", catchup: all }'
dag window '{ cron: "@daily", catchup: all, catchup_window: 2d }'
sim 2026-03-01T00:00:00Z 2026-03-05T12:00:00Z
sim 2026-03-10T12:00:00Z 2026-03-12T12:00:00Z
exits 0 "down for five days"
sql_is "all|11|2026-03-01,2026-03-02,2026-03-03,2026-03-04,2026-03-05,2026-03-06,2026-03-07,2026-03-08,2026-03-09,2026-03-10,2026-03-11
latest|7|2026-03-01,2026-03-02,2026-03-03,2026-03-04,2026-03-09,2026-03-10,2026-03-11
none|6|2026-03-01,2026-03-02,2026-03-03,2026-03-04,2026-03-10,2026-03-11
window|8|2026-03-01,2026-03-02,2026-03-03,2026-03-04,2026-03-08,2026-03-09,2026-03-10,2026-03-11" \
	"SELECT dag, count(*), group_concat(ds) FROM (SELECT dag, ds FROM run WHERE ds >= '2026-03-01'
	ORDER BY dag, interval_start_us) GROUP BY dag" "catchup none, latest, all, and a window"
sql_is "latest|skip|missed|4
none|skip|missed|5
window|skip|missed|3" "SELECT dag, action, why, sum(count) FROM plan WHERE action = 'skip' GROUP BY dag" \
	"what was passed over is kept, with the reason"
sim 2026-03-12T12:00:30Z 2026-03-12T12:01:00Z
sql_is 35 "SELECT count(*) FROM run" "another start finds nothing to do"

# ---- retries over the change ---------------------------------------------------------------------

fresh
dag retry '{ cron: "50 1 * * *", timezone: Europe/Berlin, start: 2026-03-28 }' \
	'test $WEIR_TRY -ge 3' 'retries: 3, backoff: { initial: 15m, max: 1h, factor: 1, jitter: none }'
sim 2026-03-28T12:00:00Z 2026-03-29T12:00:00Z
sql_is "2026-03-29T00:50:00Z
2026-03-29T01:05:00Z
2026-03-29T01:20:00Z" "SELECT $(us at_us) FROM event JOIN run ON run.id = run_id
	WHERE to_state = 'running' AND task = 'a' AND interval_end_us > strftime('%s', '2026-03-29') * 1000000
	ORDER BY at_us" "retries wait by elapsed time, whatever the clock on the wall says"

# ---- runs that take longer than their interval ---------------------------------------------------

fresh
slow='retries: 1, backoff: { initial: 150m, max: 3h, factor: 1, jitter: none }'
fails='test "$WEIR_TRY" = 2 || ! case $WEIR_INTERVAL_START in *T04:*) :;; *) false;; esac'
for o in queue skip cancel_running; do
	mkdir -p dags
	printf 'dag: %s\nschedule: { cron: "@hourly", overlap: %s }\ntasks:\n  a: { run: "./a.sh", %s }\n' \
		$o $o "$slow" >dags/$o.yaml
done
printf 'dag: wide\nschedule: { cron: "@hourly", max_active_runs: 3 }\ntasks:\n  a: { run: "./a.sh", %s }\n' \
	"$slow" >dags/wide.yaml
printf '#!/bin/sh\n%s\n' "$fails" >dags/a.sh
chmod +x dags/a.sh
sim 2026-03-02T00:30:00Z 2026-03-02T10:30:00Z
late="SELECT group_concat(strftime('%H', interval_start_us / 1000000, 'unixepoch') || ':' || state
	|| CASE WHEN created_us > interval_end_us + 60000000 THEN ':late' ELSE '' END, ' ')
	FROM (SELECT * FROM run WHERE ds = '2026-03-02' AND interval_start_us % 86400000000 >= 10800000000
	ORDER BY interval_start_us) WHERE dag = "
sql_is "03:success 04:success 05:success:late 06:success:late 07:success 08:success 09:success" \
	"$late 'queue'" "overlap queue: what came due waits, and is made up for"
sql_is "03:success 04:success 07:success 08:success 09:success" "$late 'skip'" \
	"overlap skip: what came due meanwhile is left out"
sql_is "skip|overlap|2" "SELECT action, why, sum(count) FROM plan WHERE dag = 'skip' AND action = 'skip'" \
	"... and why is kept"
sql_is "03:success 04:cancelled 05:success 06:success 07:success 08:success 09:success" \
	"$late 'cancel_running'" "overlap cancel_running: the run makes room for the next"
sql_is "03:success 04:success 05:success 06:success 07:success 08:success 09:success" \
	"$late 'wide'" "max_active_runs: three at once"

# ---- switches ------------------------------------------------------------------------------------

fresh
dag one '{ cron: "@hourly" }'
dag two '{ cron: "@hourly" }'
sim 2026-03-02T00:30:00Z 2026-03-02T02:30:00Z
at 2026-03-02T02:30:00Z pause one --reason "the source is late"
exits 0 "pause"
at 2026-03-02T02:30:00Z status
out_has "the source is late" "status shows why it is paused"
sim 2026-03-02T02:30:10Z 2026-03-02T06:30:00Z
sql_is "one|3
two|7" "SELECT dag, count(*) FROM run GROUP BY dag" "a paused DAG makes no runs"
at 2026-03-02T06:30:00Z resume one
sim 2026-03-02T06:30:10Z 2026-03-02T08:30:00Z
sql_is "one|00 01 05 06 07
two|00 01 02 03 04 05 06 07" "SELECT dag, group_concat(strftime('%H', interval_start_us / 1000000, 'unixepoch'), ' ')
	FROM (SELECT * FROM run WHERE ds = '2026-03-02' ORDER BY interval_start_us) GROUP BY dag" \
	"resumed, it follows the catchup rule"
at 2026-03-02T08:30:00Z pause --all --reason "maintenance"
sim 2026-03-02T08:30:10Z 2026-03-02T10:30:00Z
sql_is 0 "SELECT count(*) FROM run WHERE created_us > strftime('%s', '2026-03-02T08:30:00Z') * 1000000" \
	"all paused: nothing runs"
at 2026-03-02T10:30:00Z resume --all
at 2026-03-02T10:30:00Z drain two --reason "moves to another machine"
sim 2026-03-02T10:30:10Z 2026-03-02T11:30:00Z
sql_is "one|2" "SELECT dag, count(*) FROM run WHERE created_us > strftime('%s', '2026-03-02T10:30:00Z') * 1000000
	GROUP BY dag" "a draining DAG begins nothing new"
at 2026-03-02T11:30:00Z resume two
at 2026-03-02T11:30:00Z freeze two.a --reason "wrong rates"
exits 0 "freeze"
sim 2026-03-02T11:30:10Z 2026-03-02T12:30:00Z
sql_is "two|running|held|frozen" "SELECT dag, run.state, task.state, task.reason FROM run JOIN task ON run_id = run.id
	WHERE run.state <> 'success'" "a frozen task waits, and its run with it"
at 2026-03-02T12:30:00Z freeze two.a --off
sim 2026-03-02T12:30:10Z 2026-03-02T12:45:00Z
sql_is 0 "SELECT count(*) FROM run WHERE state <> 'success'" "... until it is let go"
sql_is "paused|one|the source is late
not paused|one|
paused|*|maintenance" "SELECT what, subject, coalesce(reason, '') FROM audit WHERE what LIKE '%paused'
	AND subject <> 'two' ORDER BY id LIMIT 3" "who did it and why is kept"

# ---- a schedule changes while the daemon is down ---------------------------------------------------

fresh
dag moves '{ cron: "@daily", catchup: all }'
sim 2026-03-01T00:00:00Z 2026-03-04T12:00:00Z
dag moves '{ cron: "0 */6 * * *", catchup: all }'
sim 2026-03-04T12:00:10Z 2026-03-05T12:00:00Z
sql_is 0 "SELECT count(*) FROM (SELECT interval_start_us AS s, lag(interval_end_us) OVER
	(ORDER BY interval_start_us) AS e FROM run) WHERE e > s" "a new schedule: no interval overlaps"
sql_is "2026-03-03T00:00:00Z
2026-03-04T00:00:00Z
2026-03-04T06:00:00Z
2026-03-04T12:00:00Z
2026-03-04T18:00:00Z
2026-03-05T00:00:00Z
2026-03-05T06:00:00Z" "SELECT $start FROM run WHERE ds >= '2026-03-03' ORDER BY 1" "... and none is left out"

# ---- an interval that was run by hand before --------------------------------------------------------

fresh
dag hand '{ cron: "@daily" }' 'echo $WEIR_DS >>seen'
at 2026-03-02T00:30:00Z run dags/hand.yaml --quiet
exits 0 "run by hand"
sim 2026-03-02T00:30:10Z 2026-03-04T00:30:00Z
is "$(sort dags/seen | tr '\n' ' ')" "2026-03-01 2026-03-02 2026-03-03 " "the daemon does not run it again"
sql_is "manual|0
schedule|0
schedule|0" "SELECT \"trigger\", wanted FROM run ORDER BY interval_start_us" "... and it stays what it was"

# ---- a run that failed is asked for again -----------------------------------------------------------

fresh
dag again manual 'echo $WEIR_TRY >>seen; test -e fixed'
at 2026-03-02T12:00:00Z trigger dags/again.yaml --date 2026-03-01
exits 0 "trigger, where no daemon runs"
sim 2026-03-02T12:00:00Z 2026-03-02T12:10:00Z
sql_is "failed" "SELECT state FROM run" "the next daemon runs it"
: >dags/fixed
at 2026-03-02T12:10:00Z trigger again --date 2026-03-01
exits 0 "a failed run is triggered again"
sim 2026-03-02T12:10:00Z 2026-03-02T12:20:00Z
sql_is "success|manual|0" "SELECT state, \"trigger\", wanted FROM run" "... and goes on"
at 2026-03-02T12:20:00Z trigger again --date 2026-03-01
exits 4 "one that succeeded is refused"
at 2026-03-02T12:20:00Z trigger again --date 2026-03-01 --force
sim 2026-03-02T12:20:00Z 2026-03-02T12:30:00Z
is "$(tr '\n' ' ' <dags/seen)" "1 2 3 " "--force does all of it again"

# ---- restarts at any moment ---------------------------------------------------------------------------

plan() {
	dag hourly '{ cron: "@hourly", timezone: Europe/Berlin }'
	dag nightly '{ cron: "30 2 * * *", timezone: Europe/Berlin, catchup: all }'
	dag quarter '{ every: 15m }'
	dag retry '{ cron: "10 */3 * * *", max_active_runs: 2 }' 'test $WEIR_TRY -ge 2' \
		'retries: 2, backoff: { initial: 95m, max: 3h, factor: 1, jitter: none }'
}
picture="SELECT dag, $start, $end, run.state, task.state, tries FROM run JOIN task ON run_id = run.id ORDER BY 1, 2, 3"
fresh
plan
sim 2026-03-28T12:00:00Z 2026-03-29T18:00:00Z
sql home/weir.db "$picture" >"$T/undisturbed"
fresh
plan
moment=2026-03-28T12:00:00Z
for next in 2026-03-28T12:00:20Z 2026-03-28T14:59:59Z 2026-03-28T15:00:00Z 2026-03-28T15:10:01Z \
	2026-03-28T23:59:50Z 2026-03-29T00:59:59Z 2026-03-29T01:00:00Z 2026-03-29T01:00:01Z \
	2026-03-29T04:47:11Z 2026-03-29T13:46:00Z 2026-03-29T18:00:00Z; do
	sim $moment $next
	moment=$next
done
sql home/weir.db "$picture" >"$T/disturbed"
check "stopped and started at ten moments: the same runs" diff "$T/undisturbed" "$T/disturbed"
check "... and not none" test "$(wc -l <"$T/undisturbed")" -gt 150

# ---- retention -----------------------------------------------------------------------------------------

fresh
dag hourly '{ cron: "0 */2 * * *" }'
echo 'keep: { runs: 3d, logs: 36500d }' >dags/weir.yaml
sim 2026-03-01T00:00:00Z 2026-03-10T12:00:00Z
exits 0 "ten days with keep: { runs: 3d }"
sql_is "2026-03-07|37" "SELECT min(ds), count(*) FROM run" "runs older than that are gone"
is "$(ls home/logs | wc -l)" 37 "... with their logs"
err_has 'msg="old runs removed"' "... and the log says so"
echo 'keep: { logs: 36500d }' >dags/weir.yaml
touch -d 1901-01-01 home/logs/hourly@2026-03-08*/* home/logs/hourly@2026-03-08* home/logs/hourly@2026-03-09T02*
old=$(ls -d home/logs/hourly@2026-03-08* | wc -l) # of the 9th, the log in the folder is newer
sim 2026-03-10T12:00:00Z 2026-03-10T12:30:00Z
is "$(ls home/logs | wc -l)" $((37 - old)) "old logs are removed"
sql_is 37 "SELECT count(*) FROM run" "... and their runs stay"

finish
