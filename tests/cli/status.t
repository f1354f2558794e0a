#!/bin/sh
# weir status: with a daemon, without one, and when one does not answer.
. "${top_srcdir:-.}/tests/lib/cli.sh"

answers() { "$WEIR" status --json 2>/dev/null | grep -q '"pid"'; }

start_daemon() {
	"$WEIR" daemon --dags dags 2>>daemon.log &
	daemon=$!
	background="${background:-} $daemon"
	await answers
}

stop_daemon() {
	kill -TERM "$daemon"
	wait "$daemon"
}

shows() { weir status && grep -q -e "$1" "$T/out"; }

# ---- nothing yet --------------------------------------------------------------------------------

weir status
exits 0 "a WEIR_HOME that does not exist"
out_has "No daemon is running on $WEIR_HOME." "says that no daemon runs"
out_has "Nothing was run yet" "and how to begin"
check "and is not made" test ! -e "$WEIR_HOME"
weir status --json
json_is '[null, null, [], [], []]' '[d[k] for k in ("daemon", "trouble", "schedules", "backfills", "dags")]' \
	"with --json: nothing of it"

# ---- with a daemon ------------------------------------------------------------------------------

mkdir dags
cat >dags/yearly.yaml <<'END'
dag: yearly
schedule: { cron: "30 2 1 1 *", timezone: Europe/Berlin, catchup: none }
tasks:
  one: { run: "true" }
  two: { run: "exit 3", needs: one }
END
printf 'dag: manual\ntasks: { one: { run: "true" } }\n' >dags/manual.yaml
cat >dags/needy.yaml <<'END'
dag: needy
schedule: "@daily"
params: { region: { type: string } }
tasks: { one: { run: "true" } }
END
printf 'dag: broken\ntasks: [\n' >dags/broken.yaml
start_daemon
weir status
exits 0 "weir status asks the daemon"
out_has "daemon: pid $daemon, since " "its pid"
out_has "$T/dags: 4 DAGs" "its folder"
out_has "file: broken.yaml cannot be loaded" "a file that never was good"
out_has "broken.yaml:" "with the place"
out_lacks "last good version" "which has no last good version"
out_has "file: needy.yaml cannot be scheduled" "a DAG whose params have no value"
year=$(date -u +%Y)
out_has "$((year + 1))-01-01 02:30  Europe/Berlin  in " "when the next run is, in the schedule's zone"
weir status --json
json_is "$((year + 1))-01-01T02:30:00+01:00" \
	'[s["next"]["run_after"] for s in d["schedules"] if s["dag"] == "yearly"][0]' "the same in JSON"
json_is "[$daemon, false, false, null]" \
	'[d["daemon"][k] for k in ("pid", "stopping", "taking_over", "store_error")]' "and the daemon"
json_is '["cron", "manual", null]' \
	'[[s["schedule"] for s in d["schedules"] if s["path"].endswith(n)][0] for n in ("yearly.yaml", "manual.yaml", "broken.yaml")]' \
	"kinds of schedules"

weir pause yearly --reason "the source is late"
weir freeze yearly.two --reason "figures are checked"
weir drain manual
weir status
for row in "yearly  *paused .*the source is late" "yearly.two  *frozen .*figures are checked" "manual  *draining "; do
	check "held: $row" grep -q "^$row" "$T/out"
done
check "the next run of a paused DAG says so" grep -q "^yearly  .*Berlin  paused" "$T/out"
weir status --json
json_is '["the source is late", ["two"]]' \
	'[[s["paused_reason"], [f["task"] for f in s["frozen"]]] for s in d["schedules"] if s["dag"] == "yearly"][0]' \
	"and in JSON"
weir pause --all --reason "the whole house"
weir status
check "all DAGs are paused: one line" test "$(grep -c "the whole house" "$T/out")" = 1
check "which says all" grep -q "^all DAGs  *paused .*the whole house" "$T/out"
weir resume --all
weir resume manual

weir backfill manual --from 2026-01-01 --to 2026-01-03
await sh -c '"$WEIR" runs manual --state success | grep -c @ | grep -q 3'
await sh -c '! "$WEIR" status | grep -q BACKFILL'
pass "a backfill that is over is not shown"
weir pause manual
weir backfill manual --from 2026-02-01 --to 2026-02-04 --jobs 2
weir status
check "one that goes on is, with how far it is" grep -qE "^ +2  manual  running  2026-02-01  2026-02-04  0/4" "$T/out"

printf 'dag: yearly\ntasks: [\n' >dags/yearly.yaml
await shows "yearly.yaml cannot be loaded; its last good version is used"
out_has "yearly.yaml cannot be loaded; its last good version is used" "a file that was good"

weir trigger broken
exits 3 "a run of a DAG that was never good is refused"
err_has "$T/dags/broken.yaml cannot be loaded; weir status shows why" "... with where to look"
check "the log says that it is not scheduled" grep -q "NOT scheduled until it is mended.*broken.yaml" daemon.log

weir pause yearly
out_has "the source is late" "a second pause without a reason keeps the first one"
weir pause yearly --reason "it is later still"
weir pause yearly
out_has "it is later still" "... until another is given"
weir freeze yearly.two
out_has "figures are checked" "... so does a freeze"
weir pause yearly --reason "the source is late"

mv dags elsewhere
weir reload
weir status
check "a folder that is gone is said" grep -q "^folder: .*dags" "$T/out"
check "and its DAGs are still there" grep -q "^manual  *paused " "$T/out"
mv elsewhere dags
weir reload
weir status
check "until it is back" sh -c "! grep -q '^folder:' out"

# ---- it goes away -------------------------------------------------------------------------------

stop_daemon
weir status
out_has "No daemon is running on $WEIR_HOME." "the daemon has ended"
out_has "the source is late" "what is held is still shown"
check "and the backfill" grep -qE "^ +2  manual  running" "$T/out"
out_lacks "NEXT RUN" "but no next runs: nobody starts them"
weir run dags/manual.yaml --date 2026-03-01
printf 'dag: bad\ntasks: { one: { run: "false" } }\n' >bad.yaml
weir run bad.yaml --date 2026-03-01
weir status
check "a failed run is first of the runs" sh -c "grep -A1 '^STATE' out | grep -q '^failed  *bad@2026-03-01'"
out_has "weir show bad@2026-03-01" "and what to type next"

start_daemon
kill -STOP "$daemon"
weir status
exits 0 "a daemon that does not answer"
out_has "daemon: pid $daemon does not answer" "is said"
out_has "bad@2026-03-01" "and the runs are shown"
kill -CONT "$daemon"
stop_daemon

printf 'no database' >"$WEIR_HOME/weir.db"
rm -f "$WEIR_HOME"/weir.db-*
weir status
check "a store that is none is an error" test "$status" -ne 0
out_has "trouble: " "after what can be told"

finish
