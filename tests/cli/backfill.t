#!/bin/sh
# What people ask of a daemon, where none runs: backfills planned, made and steered, runs wished for,
# switches set. All of it is recorded; and nothing is done.
. "${top_srcdir:-.}/tests/lib/cli.sh"

export WEIR_TEST_CLOCK=2026-11-20T12:00:00Z

mkdir dags
cat >dags/nightly.yaml <<'END'
dag: nightly
schedule: { cron: "0 2 * * *", timezone: Europe/Berlin }
params: { country: { default: FR, enum: [FR, DE] } }
tasks:
  load: { run: 'test "$WEIR_DS" != 2026-11-03' }
  publish: { needs: [load], run: "true" }
END
printf 'dag: manual\ntasks: { see: { run: "true" } }\n' >dags/manual.yaml
printf 'dag: hourly\nschedule: "0 * * * *"\ntasks: { see: { run: "true" } }\n' >dags/hourly.yaml
printf 'dag: broken\ntasks: { see: { rum: "true" } }\n' >dags/broken.yaml

refused() { # STATUS TEXT NAME WEIR-ARGUMENTS...
	wanted=$1 text=$2 name=$3
	shift 3
	weir "$@"
	exits "$wanted" "$name"
	err_has "$text" "... and it says: $text"
}

# ---- the plan, before anything was run ---------------------------------------------------------

weir backfill dags/nightly.yaml --from 2026-11-01 --to 2026-11-05 --dry-run
exits 0 "a dry run needs no WEIR_HOME"
check "... and makes none" test ! -e "$WEIR_HOME"
out_has "5 intervals: 5 to run, 0 to overwrite, 0 skipped. Now: 5 missing." "all is missing"
out_has "2026-11-05 02:00 +01:00  2026-11-06 02:00 +01:00  missing  run   never ran" "a row of the table"
out_has "How long it takes is not known" "there is no history"
out_has "  weir backfill dags/nightly.yaml --from 2026-11-01 --to 2026-11-05" "what to type next"
weir backfills
exits 0 "no backfills, no WEIR_HOME"
out_has "There are no backfills" "... is no error"
check "... and makes none either" test ! -e "$WEIR_HOME"

weir backfill dags/nightly.yaml --from 2026-01-01 --to 2026-10-31 -n
is "$(grep -c '^2026-' "$T/out")" 25 "a long table is cut"
out_has "... 279 more" "... and says by how much"
weir backfill dags/nightly.yaml --from 2026-01-01 --to 2026-10-31 -n --verbose
is "$(grep -c '^2026-' "$T/out")" 304 "--verbose shows all of it"
out_has "2026-03-29 03:00 +02:00" "a time in the gap: the first instant after it"
out_has "2026-10-25 02:00 +02:00  2026-10-26 02:00 +01:00" "a time in the overlap: once"
weir backfill dags/manual.yaml --from 2024-02-28 --to 2024-03-01 -n --json
json_is 3 'd["counts"]["run"]' "without a schedule: whole days"
json_is 2024-02-29T00:00:00Z 'd["intervals"][1]["start"]' "... the 29th of a leap year, too"
json_is false 'd["daemon"]' "no daemon runs"
weir backfill dags/nightly.yaml --from 2026-11-18 --to 2026-11-30 --dry-run
out_has "11 intervals are not over yet and skipped." "the future is skipped, and said"

# ---- what is refused -----------------------------------------------------------------------------

refused 2 "is after --to" "from after to" backfill dags/nightly.yaml --from 2026-11-05 --to 2026-11-04
refused 2 "needs a range" "no range" backfill dags/nightly.yaml --from 2026-11-05
refused 2 "--from" "no date" backfill dags/nightly.yaml --from tomorrow --to 2026-11-04
refused 2 "one of --only-missing" "two modes" backfill dags/nightly.yaml --from 2026-11-01 --to 2026-11-04 --all --only-failed
refused 2 "more than 100000 intervals" "too many intervals" backfill dags/hourly.yaml --from 2000-01-01 --to 2026-01-01
refused 2 "NAME=VALUE" "a param without a value" backfill dags/nightly.yaml --from 2026-11-01 --to 2026-11-02 --param country
refused 2 "which one" "an action without a number" backfill pause
refused 2 "not the number of a backfill" "an action on no number" backfill show nightly
refused 2 "name one DAG" "two DAGs" backfill nightly hourly --from 2026-11-01 --to 2026-11-02
refused 2 "one line" "a reason of two lines" backfill dags/nightly.yaml --from 2026-11-01 --to 2026-11-02 --reason "a
b"
refused 5 "no backfill 7" "no such backfill" backfill show 7
refused 5 "no DAG \"nightly\"" "a name nobody knows" backfill nightly --from 2026-11-01 --to 2026-11-02
refused 5 "did you mean \"nightly\"" "a name the folder does not have" backfill nigthly --dags dags --from 2026-11-01 --to 2026-11-02
refused 3 "broken.yaml" "a broken file" backfill dags/broken.yaml --from 2026-11-01 --to 2026-11-02

# ---- with history --------------------------------------------------------------------------------

rm -rf "$WEIR_HOME"
for day in 01 02 03; do
	weir run dags/nightly.yaml --date 2026-11-$day
done
weir backfill nightly --from 2026-11-01 --to 2026-11-05 -n --json
json_is '["success", "success", "failed", "missing", "missing"]' '[i["exists"] for i in d["intervals"]]' \
	"by its name, what there is"
json_is '["skip", "skip", "run", "run", "run"]' '[i["action"] for i in d["intervals"]]' \
	"what has no success is run"
json_is true 'd["expected_us"] >= 2 * d["typical_us"] > 0' "how long it takes is known from history"
weir backfill nightly --from 2026-11-01 --to 2026-11-05 -n --json --only-failed
json_is '["skip", "skip", "run", "skip", "skip"]' '[i["action"] for i in d["intervals"]]' "--only-failed"
weir backfill nightly --from 2026-11-01 --to 2026-11-05 -n --json --all
json_is '["overwrite", "overwrite", "overwrite", "run", "run"]' '[i["action"] for i in d["intervals"]]' "--all"
json_is '{"run": 2, "overwrite": 3, "skip": 0}' 'd["counts"]' "... counted"
echo "# changed" >>dags/nightly.yaml
weir backfill nightly --from 2026-11-01 --to 2026-11-02 -n
out_has "success, other version  skip  succeeded, with another version of the DAG" "another version is said"
out_has "There is nothing to do." "... and not run again by itself"
sql_is "0" "SELECT count(*) FROM backfill" "dry runs make nothing"

# ---- made and steered ----------------------------------------------------------------------------

weir backfill nightly --from 2026-11-01 --to 2026-11-05 --jobs 2 --newest-first --param country=DE --reason "prices were wrong"
exits 0 "a backfill is made"
out_has "Backfill 1 of nightly, 2026-11-01 to 2026-11-05 (Europe/Berlin): what has no success, 2 at once, newest first" "... and told"
out_has "Recorded in $WEIR_HOME; no daemon is running on it: it is carried out when one starts." "... that nobody carries it out yet"
out_has "weir backfill show 1" "... and what to type next"
sql_is "nightly|missing|2|1|3|running|prices were wrong" \
	"SELECT dag, mode, jobs, newest_first, ntotal, state, reason FROM backfill" "it is kept"
sql_is '{"country":"DE"}' "SELECT params FROM backfill" "... with its params"
sql_is "3" "SELECT count(*) FROM run" "its runs are not created yet"
refused 4 "backfill 1 of DAG nightly is running" "a second one of the same range" backfill nightly --from 2026-11-05 --to 2026-11-09
weir backfill nightly --from 2026-11-05 --to 2026-11-09 --dry-run
out_has "weir backfill cancel 1" "... which its dry run foresees"
weir backfill nightly --from 2026-11-01 --to 2026-11-02
out_has "Nothing to do for nightly" "nothing to do"
weir backfill nightly --from 2026-11-06 --to 2026-11-09 --json
json_is 2 'd["backfill"]' "a second one of another range"

weir backfill pause 1 --reason "the source is slow"
exits 0 "paused"
out_has "paused (by " "... and told"
out_has "the source is slow" "... why"
refused 4 "backfill 1 is paused" "paused once more" backfill pause 1
weir backfill resume 1 --json
json_is running 'd["state"]' "resumed"
weir backfill cancel 1
out_has "cancelled (by " "cancelled"
refused 4 "backfill 1 is cancelled" "and for good" backfill resume 1
weir backfill show 1 --json
json_is '{"total": 3, "waiting": 3, "failed": 0}' '{k: d[k] for k in ("total", "waiting", "failed")}' "progress"
weir backfills
exits 0 "the list"
is "$(awk 'NR > 1 { print $1, $2, $6 }' "$T/out")" "2 nightly running
1 nightly cancelled" "newest first, with their states"
weir backfills --json
json_is '[2, 1]' '[b["backfill"] for b in d["backfills"]]' "... as JSON"

# ---- trigger -------------------------------------------------------------------------------------

weir trigger nightly --date 2026-11-10
exits 0 "a run is wished for"
out_has "nightly@2026-11-10 (new): 2026-11-10T02:00:00+01:00 to 2026-11-11T02:00:00+01:00" "... and told"
sql_is "queued|1|manual" "SELECT state, wanted, trigger FROM run WHERE name = 'nightly@2026-11-10'" "... and kept"
refused 4 "waiting for a daemon" "the same again" trigger nightly --date 2026-11-10
refused 4 "--force" "one that succeeded" trigger nightly --date 2026-11-01
weir trigger nightly --date 2026-11-01 --force --json
json_is '[false, true]' '[d["created"], d["force"]]' "... but by force"
weir trigger nightly --date 2026-11-03
out_has "(again)" "one that failed"
weir trigger nightly --json
json_is nightly@2026-11-19 'd["run"]' "without a date: the last complete interval"
refused 2 "24 intervals start on that day" "a date of many intervals" trigger dags/hourly.yaml --date 2026-11-19
refused 2 "country" "a wrong param" trigger nightly --date 2026-11-12 --param contry=DE
refused 2 "country" "a wrong value" trigger nightly --date 2026-11-12 --param country=XX
weir trigger dags/manual.yaml
weir trigger manual --date 2026-11-01
exits 0 "a name is known once its file was given"

# ---- switches ------------------------------------------------------------------------------------

weir pause nightly --reason "source is being migrated"
exits 0 "paused"
out_has "nightly is paused (by " "... and told"
out_has ": source is being migrated)." "... why"
sql_is "nightly|paused|source is being migrated" "SELECT dag, which, reason FROM switch" "... and kept"
weir pause nightly
out_has "paused, as before" "twice is once"
weir trigger nightly --date 2026-11-12
out_has "The DAG is paused: weir resume nightly" "a wish for a paused DAG"
weir drain nightly
out_has "nightly is draining" "draining"
weir resume nightly
out_has "nightly is resumed" "both are ended"
sql_is "0" "SELECT count(*) FROM switch" "... and gone"
weir pause --all --reason battery
out_has "All DAGs are paused (by " "all"
weir resume nightly
out_has "nightly is still paused, since all DAGs are" "one of them stays paused"
weir resume --all --json
json_is '["*", false, true]' '[d["dag"], d["paused"], d["changed"]]' "all again"
refused 2 "name a DAG, or give --all" "no DAG" pause
refused 2 "name a DAG, or give --all" "a DAG and all" pause nightly --all
refused 5 "did you mean \"nightly\"" "a misspelt DAG" pause nigthly
weir freeze nightly.publish --reason "figures are being checked"
out_has "nightly.publish is frozen (by " "a task"
sql_is "nightly|publish|frozen" "SELECT dag, task, which FROM switch" "... is kept"
weir freeze nightly.publish --off
out_has "nightly.publish is no longer frozen" "... and let go"
weir pause --all
weir resume dags/hourly.yaml
out_has "hourly is still paused, since all DAGs are" "one that was never heard of stays paused, too"
weir resume --all
refused 5 "did you mean \"publish\"" "a misspelt task" freeze nightly.pubish
refused 2 "DAG.TASK" "a DAG alone" freeze nightly
refused 5 "no daemon is running" "reload needs a daemon" reload

finish
