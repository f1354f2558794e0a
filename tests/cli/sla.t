#!/bin/sh
# SLAs over simulated time: what was never started, paused, late, slow or at risk, and what happens
# when nobody was there to see it.
[ -w /dev/shm ] && TMPDIR=${TMPDIR:-/dev/shm} && export TMPDIR
. "${top_srcdir:-.}/tests/lib/cli.sh"

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
misses="SELECT dag, task, kind, $(us deadline_us), coalesce(ended, 'open') FROM sla_miss ORDER BY id"
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
dag never '{ finish_by: "06:30", on_miss: cancel }' 'exit 1' 'retries: 3, backoff: { initial: 10h, jitter: none, max: 10h }' '{ cron: "0 2 * * *", timezone: Europe/Berlin, catchup: none }'
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
	[ "$got" = "1|1" ] && [ "$state" = cancelled ] && [ $((first + $(told 'SLA missed'))) -le 2 ] && continue
	ok=0
	echo "# killed at write $n: $got, $state, told $first and $(told 'SLA missed')"
done
is "$ok" 1 "killed at each write: missed once, and cancelled all the same"
is "$([ $n -gt 3 ] && [ $n -lt 40 ] && echo yes)" yes "... and there were writes to be killed at"

finish
