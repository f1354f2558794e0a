#!/bin/sh
# Backfills as a daemon carries them out.
[ -w /dev/shm ] && TMPDIR=${TMPDIR:-/dev/shm} && export TMPDIR
. "${top_srcdir:-.}/tests/lib/cli.sh"
. "${top_srcdir:-.}/tests/lib/daemon.sh"

command -v python3 >/dev/null && have_sql || { echo "1..0 # SKIP no python3"; exit 0; }

WITNESS=$T/witness GO=$T/go
export WITNESS GO
sim() { # FROM UNTIL
	said_words="daemon from $1 to $2"
	WEIR_TEST_CLOCK=$1 WEIR_TEST_UNTIL=$2 "$WEIR" daemon --dags dags >"$T/out" 2>"$T/err" </dev/null
	status=$?
}
at() { # INSTANT WEIR-ARGUMENTS...
	WEIR_TEST_CLOCK=$1
	export WEIR_TEST_CLOCK
	shift
	weir "$@"
	unset WEIR_TEST_CLOCK
}
witness() { tr '\n' ' ' <"$WITNESS"; }

# ---- what is planned is what is done -----------------------------------------------------------------

mkdir dags
cat >dags/night.yaml <<'END'
dag: night
schedule: { cron: "@daily", start: 2026-03-01 }
params: { rate: { default: 1 } }
tasks:
  load: { run: 'echo "$WEIR_DS" >>$WITNESS; ! [ -e bad.$WEIR_DS ]' }
  publish: { needs: [load], run: 'echo "$WEIR_DS {{ params.rate }}" >out.$WEIR_DS' }
END
: >dags/bad.2026-03-06
sim 2026-03-05T12:00:00Z 2026-03-08T12:00:00Z
sql_is "2026-03-04|success
2026-03-05|success
2026-03-06|failed
2026-03-07|success" "SELECT ds, state FROM run ORDER BY 1" "some nights, one failed"

planned() { json '" ".join(i["ds"][8:] + ":" + i["action"] for i in d["intervals"])'; }
try() { # NAME WANTED-PLAN WANTED-WITNESS OPTION...
	name=$1 plan=$2 wanted=$3
	shift 3
	at 2026-03-08T12:00:00Z backfill night --from 2026-03-02 --to 2026-03-07 "$@" --dry-run --json
	is "$(planned)" "$plan" "$name: the plan"
	at 2026-03-08T12:00:00Z backfill night --from 2026-03-02 --to 2026-03-07 "$@"
	exits 0 "... is recorded"
	: >"$WITNESS"
	sim 2026-03-08T12:00:00Z 2026-03-08T13:00:00Z
	is "$(witness)" "$wanted" "... and this is what is done, in order"
	sql_is "done|1" "SELECT state, exhausted FROM backfill ORDER BY id DESC LIMIT 1" "... to the end"
}
try "only failed" "02:skip 03:skip 04:skip 05:skip 06:run 07:skip" "2026-03-06 " --only-failed
rm dags/bad.2026-03-06
try "only missing, newest first" "02:run 03:run 04:skip 05:skip 06:run 07:skip" \
	"2026-03-06 2026-03-03 2026-03-02 " --only-missing --newest-first
try "all, with a param" \
	"02:overwrite 03:overwrite 04:overwrite 05:overwrite 06:overwrite 07:overwrite" \
	"2026-03-02 2026-03-03 2026-03-04 2026-03-05 2026-03-06 2026-03-07 " --all --param rate=2
is "$(cat dags/out.* | awk '{ print $2 }' | sort -u)" 2 "... which all of them got"
sql_is "2026-03-06|4" "SELECT ds, count(*) FROM attempt JOIN run ON run.id = run_id WHERE task = 'load'
	AND ds = '2026-03-06' GROUP BY ds" "the history of attempts is kept"
sql_is "success|0" "SELECT DISTINCT state, wanted FROM run" "all is well"
at 2026-03-08T12:00:00Z backfill night --from 2026-03-02 --to 2026-03-07 --only-missing --json
json_is null 'd["backfill"]' "with nothing to do, nothing is made"
at 2026-03-08T12:00:00Z backfill show 3 --json
json_is "done 6 0" '"%s %d %d" % (d["state"], d["success"], d["failed"])' "show tells what came of it"

# ---- width, and the night's own work --------------------------------------------------------------------

cat >dags/night.yaml <<'END'
dag: night
schedule: { cron: "@daily", start: 1990-01-01, end: 2026-01-31, catchup: none }
tasks:
  load: { run: 'echo "$WEIR_DS" >>$WITNESS; until [ -e $GO ] || [ -e $GO.$WEIR_DS ]; do sleep 0.02; done' }
END
cat >dags/fast.yaml <<'END'
dag: fast
schedule: { every: 1s }
tasks: { a: { run: ":" } }
END
at_once="SELECT count(*) FROM task WHERE state = 'running' AND name = 'load'"
: >"$WITNESS"
rm -rf home
# One task at once: those of backfills apart.
daemon --jobs 1
weir backfill night --from 2026-01-01 --to 2026-01-09 --jobs 2 --reason "rates were wrong"
exits 0 "a backfill, with a daemon"
comes 2 "$at_once" "as wide as it was said"
fast() { sql home/weir.db "SELECT count(*) FROM run WHERE dag = 'fast' AND state = 'success'"; }
more_fast() { [ "$(fast)" -gt "$1" ]; }
check "scheduled runs are not held up" await more_fast "$(($(fast) + 1))"
sql_is 2 "$at_once" "... and it is no wider"
weir backfills
out_has "rates were wrong" "backfills are listed, with the reason"

# ---- pause, resume ------------------------------------------------------------------------------------

weir backfill pause 1 --reason "too much load"
exits 0 "pause"
: >"$GO.2026-01-01"
: >"$GO.2026-01-02"
comes 0 "$at_once" "what runs ends"
check "... while time goes on" await more_fast "$(($(fast) + 1))"
is "$(sort "$WITNESS" | tr '\n' ' ')" "2026-01-01 2026-01-02 " "... and nothing new begins"
weir backfill pause 1
exits 4 "it is paused already"
ends TERM
daemon
check "over a restart, too" await more_fast "$(($(fast) + 1))"
is "$(sort "$WITNESS" | tr '\n' ' ')" "2026-01-01 2026-01-02 " "... nothing begins"
weir backfill resume 1
exits 0 "resume"
comes 2 "$at_once" "it goes on"
is "$(head -n 2 "$WITNESS" | sort | tr "\n" " ")" "2026-01-01 2026-01-02 " "... where it was"

# ---- a restart in the middle ------------------------------------------------------------------------------

ends KILL
daemon
: >"$GO.2026-01-03"
: >"$GO.2026-01-04"
comes 4 "SELECT count(*) FROM run WHERE dag = 'night' AND state = 'success'" "killed in the middle: the next one takes the results"
comes 2 "$at_once" "... and goes on, as wide as before"
is "$(sort "$WITNESS" | uniq -d | wc -l)" 0 "... nothing was started twice"

# ---- cancel -----------------------------------------------------------------------------------------------

weir backfill cancel 1 --reason "enough"
exits 0 "cancel"
comes "cancelled|2
success|4" "SELECT state, count(*) FROM run WHERE dag = 'night' GROUP BY 1" "its runs are cancelled; what was done stays"
logs 'msg="backfill ended"' "... which is its end"
sql_is "cancelled|enough" "SELECT state, state_reason FROM backfill" "... and the reason is kept"
weir backfill resume 1
exits 4 "it cannot be resumed"
ends TERM
: >"$GO"
daemon
check "and the next daemon" await more_fast "$(($(fast) + 1))"
sql_is "6" "SELECT count(*) FROM run WHERE dag = 'night' AND \"trigger\" = 'backfill'" "... does not begin it anew"
weir backfill night --from 2026-01-01 --to 2026-01-09 --only-missing
exits 0 "another one does the rest"
comes "success|9" "SELECT state, count(*) FROM run WHERE dag = 'night' AND ds < '2026-02-01' GROUP BY 1" "... to the end"
comes done "SELECT state FROM backfill WHERE id = 2" "... and is done"

# ---- a long one -------------------------------------------------------------------------------------------

weir backfill night --from 1990-01-01 --to 2017-05-18 --dry-run --json
exits 0 "10,000 days are planned"
json_is 10000 'd["counts"]["run"]' "... each of them"
ends TERM
is "$status" 0 "a clean end"

finish
