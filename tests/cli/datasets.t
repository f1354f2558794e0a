#!/bin/sh
# Datasets as people meet them: runs that updates start, what waits, what is out of date, and what
# happens when nobody was there, or somebody was killed.
[ -w /dev/shm ] && TMPDIR=${TMPDIR:-/dev/shm} && export TMPDIR
. "${top_srcdir:-.}/tests/lib/cli.sh"
. "$top_srcdir/tests/lib/daemon.sh"

have_sql || { echo "1..0 # SKIP neither sqlite3 nor python3 with sqlite3"; exit 0; }

dag() { # NAME SCHEDULE TASK-KEYS [TOP-KEYS]
	mkdir -p dags
	printf 'dag: %s\nschedule: %s\n%stasks:\n  a: { %s }\n' "$1" "$2" "${4:+$4
}" "$3" >"dags/$1.yaml"
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

hm() { echo "strftime('%m-%dT%H:%M', $1 / 1000000, 'unixepoch')"; }
runs="SELECT dag, $(hm interval_start_us), $(hm interval_end_us), state FROM run
	WHERE \"trigger\" = 'dataset' ORDER BY id"
taken="SELECT r.name, count(*), count(DISTINCT u.dataset) FROM dataset_use t JOIN run r
	ON r.id = t.run_id JOIN dataset_update u ON u.id = t.update_id GROUP BY r.id ORDER BY r.id"
twice="SELECT count(*) FROM (SELECT 1 FROM dataset_use t JOIN run r ON r.id = t.run_id
	GROUP BY r.dag, t.update_id HAVING count(*) > 1)"

# ---- all, and any --------------------------------------------------------------------------------

dag sales '"0 2 * * *"' 'run: "true", produces: sales.daily'
dag fx '"0 */12 * * *"' 'run: "true", produces: [fx.rates]'
dag both '{ datasets: [sales.daily, fx.rates] }' 'run: "true"'
dag one '{ datasets: [sales.daily, stock], when: any, timezone: Europe/Berlin }' 'run: "true"'
sim 2026-11-20T01:00:00Z 2026-11-22T20:00:00Z
exits 0 "two days pass"
sql_is "both@2026-11-18|2|2
both@2026-11-19|2|2
both@2026-11-20|2|2
both@2026-11-21|3|2" "$(echo "$taken" | sed "s/GROUP BY r.id/AND r.dag = 'both' GROUP BY r.id/")" \
	"all: a run when each was updated, with all that came of them"
sql_is "both|11-18T02:00|11-20T00:00|success
both|11-19T02:00|11-20T12:00|success
both|11-20T02:00|11-21T02:00|success
both|11-21T00:00|11-22T02:00|success" "$(echo "$runs" | sed "s/ORDER/AND dag = 'both' ORDER/")" \
	"... its interval is the one of theirs, from the first to the last"
sql_is "4|4" "SELECT count(*), count(DISTINCT interval_start_us) FROM run WHERE dag = 'one'" \
	"any: a run for each"
sql_is 0 "$twice" "nothing is taken twice"
sql_is "fx.rates|1" "SELECT dataset, count(*) FROM dataset_update u JOIN dataset_cursor c USING (dataset)
	WHERE c.dag = 'both' AND u.id > c.seen_id GROUP BY dataset" "what came since waits"
at 2026-11-22T20:00:00Z show both
out_has "trigger   dataset" "weir show says what started it"
out_has "because   fx.rates, updated 2026-11-21 12:00:00 by fx@2026-11-21T00:00Z" "... by which updates"
out_has "          sales.daily, updated 2026-11-22 02:00:00 by sales@2026-11-21" "... all of them"
at 2026-11-22T20:00:00Z show both --json
json_is 3 "len(d['datasets_taken'])" "... all of them with --json"
at 2026-11-22T20:00:00Z show sales --json
json_is '["sales.daily"]' "[u['dataset'] for u in d['datasets_updated']]" "and what it updated itself"
at 2026-11-22T20:00:00Z next both
out_has "each of these datasets was updated since its last run" "weir next tells what it waits for"
out_has "waited for" "... which of them"
at 2026-11-22T20:00:00Z next both --json
json_is '[["sales.daily", false], ["fx.rates", true]]' "[[l['dataset'], l['updated']] for l in lines]" \
	"... with --json, too"
at 2026-11-22T20:00:00Z why both
out_has "sales.daily: waits for its next update, since 02:00:00" "weir why tells since when"
out_has "fx.rates: updated 1 time, which no run has taken yet" "... and what is there"
at 2026-11-22T20:00:00Z why one
out_has "stock: waits for its first update" "... and of what never came"

# ---- the list ------------------------------------------------------------------------------------

at 2026-11-22T20:00:00Z datasets --json
json_is '["fx.rates", "sales.daily", "stock"]' "[x['dataset'] for x in d['datasets']]" "weir datasets lists them"
json_is '["sales", "a"]' "[d['datasets'][1]['producers'][0][k] for k in ('dag', 'task')]" "... with who produces"
json_is '["both", "one"]' "[c['dag'] for c in d['datasets'][1]['consumers']]" "... and who uses them"
json_is null "d['datasets'][1]['fresh']" "fresh is what an SLA says so of"
at 2026-11-22T20:00:00Z datasets
out_has "sales.a" "the same in text"
at 2026-11-22T20:00:00Z datasets sales.daily
out_has "Waiting   both: has taken all of them" "one of them: who has taken it"
out_has "2026-11-21T02:00:00Z  2026-11-22T02:00:00Z  sales@2026-11-21  a" "... and its updates"
at 2026-11-22T20:00:00Z datasets sales.dialy
exits 5 "one that does not exist"
err_has 'did you mean "sales.daily"?' "... names the nearest"
weir datasets list x
exits 2 "the list takes no name"
weir datasets touch
exits 2 "an update is of something"
weir datasets sales.daily --date 2026-11-01
exits 2 "the interval is for touch"

# ---- a DAG that is new, or gone for a while --------------------------------------------------------

dag late '{ datasets: sales.daily }' 'run: "true"'
sim 2026-11-22T20:00:00Z 2026-11-22T21:00:00Z
sql_is "" "SELECT name FROM run WHERE dag = 'late'" "a new DAG begins from then on"
mv dags/late.yaml .
sim 2026-11-22T21:00:00Z 2026-11-24T03:00:00Z
mv late.yaml dags/
sim 2026-11-24T03:00:00Z 2026-11-24T04:00:00Z
sql_is "11-22T02:00|11-24T02:00|2" "SELECT $(hm interval_start_us), $(hm interval_end_us), (SELECT count(*)
	FROM dataset_use WHERE run_id = run.id) FROM run WHERE dag = 'late'" \
	"what came while its file was gone is one run"

# ---- paused, and busy ----------------------------------------------------------------------------

at 2026-11-24T04:00:00Z pause late
sim 2026-11-24T04:00:00Z 2026-11-27T03:00:00Z
sql_is 1 "SELECT count(*) FROM run WHERE dag = 'late'" "paused: what comes is collected"
at 2026-11-27T03:00:00Z why late
out_has "updated 3 times, which no run has taken yet" "... and shown"
at 2026-11-27T03:00:00Z resume late
sim 2026-11-27T03:00:00Z 2026-11-27T04:00:00Z
sql_is "11-24T02:00|11-27T02:00" "SELECT $(hm interval_start_us), $(hm interval_end_us) FROM run
	WHERE dag = 'late' ORDER BY id DESC LIMIT 1" "resumed: one run for all of it"
sql_is 2 "SELECT count(*) FROM run WHERE dag = 'late'" "... and no more"

fresh
dag often '{ every: 10m, start: 2026-11-20, catchup: none }' 'run: "true", produces: tick'
dag slow '{ datasets: tick }' 'run: "test -e done || exit 1", retries: 1, backoff: { initial: 45m, jitter: none, max: 1h }'
sim 2026-11-20T01:01:00Z 2026-11-20T01:44:00Z
sql_is "slow|01:00|01:10|running" "SELECT dag, $(hm interval_start_us | sed 's/%m-%dT//'), $(hm interval_end_us |
	sed 's/%m-%dT//'), state FROM run WHERE dag = 'slow'" "one run is active"
at 2026-11-20T01:44:00Z why slow
out_has "as many as max_active_runs allows" "weir why says what the others wait for"
touch dags/done
sim 2026-11-20T01:44:00Z 2026-11-20T01:58:00Z
sql_is "01:00|01:10|1
01:10|01:50|4" "SELECT $(hm interval_start_us | sed 's/%m-%dT//'), $(hm interval_end_us | sed 's/%m-%dT//'),
	(SELECT count(*) FROM dataset_use WHERE run_id = run.id) FROM run WHERE dag = 'slow' ORDER BY id" \
	"it ended: one run for what came meanwhile"

# ---- the same again ------------------------------------------------------------------------------

fresh
dag src manual 'run: "true", produces: d'
dag use '{ datasets: d }' 'run: "echo {{ data_interval_start }} >> ../did"'
dag clock '{ every: 1m, start: 2026-11-20, catchup: none }' 'run: "true"'
sim 2026-11-20T01:00:00Z 2026-11-20T01:01:30Z
at 2026-11-20T01:02:00Z run dags/src.yaml --date 2026-11-18
exits 0 "weir run produces, in a process of its own"
sim 2026-11-20T01:02:00Z 2026-11-20T01:04:00Z
sql_is "use@2026-11-18|success" "SELECT name, state FROM run WHERE dag = 'use'" "the daemon takes it up"
at 2026-11-20T01:05:00Z run dags/src.yaml --date 2026-11-18
sim 2026-11-20T01:05:00Z 2026-11-20T01:06:30Z
sql_is 1 "SELECT count(*) FROM dataset_update" "what was done already is no update"
at 2026-11-20T01:07:00Z run dags/src.yaml --date 2026-11-18 --force
sim 2026-11-20T01:07:00Z 2026-11-20T01:09:00Z
sql_is 2 "SELECT count(*) FROM dataset_update" "done again on purpose it is one"
sql_is "1|2|success" "SELECT count(DISTINCT r.id), count(*), r.state FROM run r JOIN attempt a ON a.run_id = r.id
	WHERE dag = 'use'" "... and the run of that interval is done again"
is "$(wc -l <did | tr -d ' ')" 2 "... all of it"
at 2026-11-20T01:09:00Z clear src a
sim 2026-11-20T01:09:00Z 2026-11-20T01:11:00Z
is "$(wc -l <did | tr -d ' ')" 3 "cleared: the same"
at 2026-11-20T01:11:00Z run dags/src.yaml --date 2026-11-17 --json >/dev/null
at 2026-11-20T01:11:00Z mark src@2026-11-17 a success
sql_is 4 "SELECT count(*) FROM dataset_update" "marked as succeeded: nothing was written"
at 2026-11-20T01:12:00Z trigger use --date 2026-11-10
sim 2026-11-20T01:12:00Z 2026-11-20T01:14:00Z
sql_is "manual|success" "SELECT \"trigger\", state FROM run WHERE name = 'use@2026-11-10'" "a person can ask for any"

# Somebody else's update, while the daemon runs: found when it looks.
cat >dags/inner.yaml <<'END'
dag: inner
schedule: { at: ["2026-11-20T01:20Z"] }
tasks:
  a: { run: 'WEIR_TEST_CLOCK=2026-11-20T01:20:05Z "$WEIR" run "$T/dags/src.yaml" --date 2026-11-12 --home "$T/home"' }
END
sim 2026-11-20T01:15:00Z 2026-11-20T01:25:00Z
sql_is "success" "SELECT state FROM run WHERE name = 'use@2026-11-12'" "another process's update is noticed"

# ---- a mapped task -------------------------------------------------------------------------------

dag mapped '{ at: ["2026-11-20T01:30Z"], catchup: none }' 'run: "test {{ item }} != b || test -e go", foreach: [a, b, c], produces: d'
sim 2026-11-20T01:25:00Z 2026-11-20T01:35:00Z
sql_is "failed|0" "SELECT state, (SELECT count(*) FROM dataset_update WHERE dag = 'mapped') FROM run WHERE dag = 'mapped'" \
	"a mapped task of which a part failed updates nothing"
touch dags/go
at 2026-11-20T01:40:00Z retry mapped
sim 2026-11-20T01:40:00Z 2026-11-20T01:45:00Z
sql_is "success|1|-1" "SELECT state, (SELECT count(*) FROM dataset_update WHERE dag = 'mapped'),
	(SELECT map_index FROM dataset_update WHERE dag = 'mapped') FROM run WHERE dag = 'mapped'" "... all of it is one update"

# ---- backfills -----------------------------------------------------------------------------------

at 2026-11-20T02:00:00Z backfill src --from 2026-10-01 --to 2026-10-05 --reason "new source"
before=$(sql home/weir.db "SELECT count(*) FROM run WHERE dag = 'use'")
sim 2026-11-20T02:00:00Z 2026-11-20T02:30:00Z
sql_is 5 "SELECT count(*) FROM dataset_update WHERE wakes = 0" "a backfill updates, too"
sql_is "$before" "SELECT count(*) FROM run WHERE dag = 'use'" "... and starts nothing"
at 2026-11-20T02:30:00Z datasets d
out_has "a backfill: starts no runs" "... as is shown"

# A run that a backfill made is its run no more, when updates have it done again.
fresh
dag use '{ datasets: d }' 'run: "case {{ ds }} in *-02) test -e ../go;; esac", retries: 1, backoff: { initial: 45m, jitter: none, max: 1h }'
dag clock '{ every: 1m, start: 2026-11-20, catchup: none }' 'run: "true"'
sim 2026-11-20T01:00:00Z 2026-11-20T01:01:00Z
at 2026-11-20T01:02:00Z backfill use --from 2026-10-01 --to 2026-10-03 --jobs 1 --reason "again"
sim 2026-11-20T01:03:00Z 2026-11-20T01:10:00Z
at 2026-11-20T01:10:00Z datasets touch d --date 2026-10-01
sim 2026-11-20T01:11:00Z 2026-11-20T01:20:00Z
sql_is "use@2026-10-01|dataset|success
use@2026-10-02|backfill|running" "SELECT name, \"trigger\", state FROM run WHERE dag = 'use' ORDER BY id" \
	"one of a backfill done again for updates: it starts no more at once than it may"
touch go
sim 2026-11-20T01:20:00Z 2026-11-20T03:00:00Z
sql_is "3|done" "SELECT (SELECT count(*) FROM run WHERE dag = 'use' AND state = 'success'), state FROM backfill" "... and ends"

# ---- kill -9 between all that is written ------------------------------------------------------------

fresh
dag src '{ cron: "0 2 * * *", catchup: none }' 'run: "true", produces: [d, e]'
dag use '{ datasets: [d, e] }' 'run: "true"'
sim 2026-11-19T12:00:00Z 2026-11-19T12:30:00Z
cp -r home kept
ok=1 n=0
while [ $n -lt 60 ]; do
	n=$((n + 1))
	rm -rf home && cp -r kept home
	WEIR_TEST_KILL_AT_WRITE=$n sim 2026-11-20T01:59:00Z 2026-11-20T02:30:00Z
	[ $status -eq 0 ] && break
	sim 2026-11-20T02:00:00Z 2026-11-20T02:30:00Z
	got=$(sql home/weir.db "SELECT (SELECT count(*) FROM dataset_update),
		(SELECT count(*) FROM run WHERE dag = 'use'), (SELECT count(*) FROM dataset_use),
		(SELECT group_concat(state) FROM run), (SELECT group_concat(seen_id) FROM dataset_cursor)")
	[ "$got" = "2|1|2|success,success|2,2" ] && continue
	ok=0
	echo "# killed at write $n: $got"
done
is "$ok" 1 "killed at each write: each update once, taken by one run"
is "$([ $n -gt 8 ] && [ $n -lt 60 ] && echo yes)" yes "... and there were writes to be killed at"
rm -rf kept

# The same of a run that is done again.
fresh
dag use '{ datasets: d }' 'run: "true"'
sim 2026-11-20T01:00:00Z 2026-11-20T01:01:00Z
at 2026-11-20T01:02:00Z datasets touch d --date 2026-11-18
sim 2026-11-20T01:03:00Z 2026-11-20T01:04:00Z
at 2026-11-20T01:05:00Z datasets touch d --date 2026-11-18
cp -r home kept
ok=1 n=0
while [ $n -lt 60 ]; do
	n=$((n + 1))
	rm -rf home && cp -r kept home
	WEIR_TEST_KILL_AT_WRITE=$n sim 2026-11-20T01:06:00Z 2026-11-20T01:07:00Z
	[ $status -eq 0 ] && break
	sim 2026-11-20T01:08:00Z 2026-11-20T01:09:00Z
	got=$(sql home/weir.db "SELECT (SELECT count(*) FROM run), (SELECT state FROM run),
		(SELECT count(DISTINCT work) FROM dataset_update), (SELECT count(*) FROM dataset_use),
		(SELECT count(*) FROM attempt WHERE outcome = 'success')")
	[ "$got" = "1|success|0|2|2" ] && continue
	ok=0
	echo "# killed at write $n: $got"
done
is "$ok" 1 "killed at each write: the run is done again, once"
is "$([ $n -gt 4 ] && [ $n -lt 60 ] && echo yes)" yes "... and there were writes to be killed at"
rm -rf kept

# ---- out of date ---------------------------------------------------------------------------------

fresh
misses="SELECT dag, task, kind, $(hm deadline_us), coalesce(ended, 'open') FROM sla_miss ORDER BY id"
told() { grep -c -F -e "$1" "$T/err"; }
dag src '{ cron: "0 2 * * *", calendar: { exclude: [2026-11-21, 2026-11-22] } }' \
	'run: "true", produces: d, sla: { fresh_within: 26h }'
dag bank '{ datasets: bank.file }' 'run: "true"' 'sla: { fresh_within: 2d }'
sim 2026-11-20T01:00:00Z 2026-11-21T20:00:00Z
sql_is "src|a|fresh_within|11-21T04:00|open" "$misses" "no update in time: missed at its end"
err_has "d was last updated 2026-11-20T02:00:00Z, by src@2026-11-19" "... and told, with the last one"
at 2026-11-21T20:00:00Z datasets --json
json_is false "[x for x in d['datasets'] if x['dataset'] == 'd'][0]['fresh']" "weir datasets: stale"
at 2026-11-21T20:00:00Z sla
out_has "fresh_within 1d2h d" "weir sla has it"
at 2026-11-21T20:00:00Z incidents
out_has "src.a: data out of date" "an incident is open"
# The daemon is down when bank.file gets too old.
sim 2026-11-22T12:00:00Z 2026-11-22T13:00:00Z
sql_is "src|a|fresh_within|11-21T04:00|open
bank||fresh_within|11-22T01:00|open" "$misses" "one that passed while no daemon ran is missed, the other not again"
err_has "bank.file was not updated since 2026-11-20T01:00:00Z" "... of what never came, too"
sim 2026-11-22T13:00:00Z 2026-11-22T14:00:00Z
is "$(told 'SLA missed')" 0 "nothing is told twice"
at 2026-11-22T14:00:00Z datasets touch bank.file --from 2026-11-21T00:00 --to 2026-11-22T00:00 --reason "by mail"
exits 0 "data from elsewhere"
out_has "DAGs that wait for it: bank" "... and who waits for them"
sim 2026-11-22T14:00:00Z 2026-11-24T01:00:00Z
sql_is "src|a|fresh_within|11-21T04:00|done
bank||fresh_within|11-22T01:00|done" "$misses" "the next update ends it"
sql_is "resolved|resolved" "SELECT (SELECT state FROM incident WHERE dag = 'bank'), (SELECT state FROM incident
	WHERE dag = 'src')" "... and the incident"
sql_is "bank@2026-11-21|success" "SELECT name, state FROM run WHERE dag = 'bank'" "and what waited for it ran"
sql_is "$(id -un)|by mail" "SELECT substr(who, 1, instr(who, '@') - 1), reason FROM dataset_update WHERE dataset = 'bank.file'" \
	"who said so and why is kept"
sql_is "touch|bank.file" "SELECT what, subject FROM audit" "... as all that people do"

# ---- what cannot be ------------------------------------------------------------------------------

at 2026-11-24T01:00:00Z datasets touch bank.file --date 2026-11-24
exits 2 "data of the future"
err_has "ends in the future" "... are refused"
at 2026-11-24T01:00:00Z datasets touch bank.file --from 2026-11-20
exits 2 "half an interval"
at 2026-11-24T01:00:00Z datasets touch bank.file --from 2026-11-20T05:00 --to 2026-11-20T04:00
exits 2 "one that ends before it begins"
at 2026-11-24T01:00:00Z datasets touch "bank file"
exits 2 "a name that cannot be one"
at 2026-11-24T01:00:00Z datasets touch bank.fiel
out_has "is it written so?" "a name that nothing knows is taken, and said"

# ---- with a daemon: at once ----------------------------------------------------------------------

fresh
dag ext '{ datasets: bank.file }' 'run: "true"'
dag waits manual 'control: wait, with: { dataset: bank.file, poll: 1h }'
dag any manual 'control: wait, with: { dataset: bank.file, newer_than: 1h, poll: 1h }'
daemon
day=$(date -u +%Y-%m-%d)
weir trigger waits --date 2026-11-10
weir trigger any --date 2026-11-10
comes 2 "SELECT count(*) FROM task WHERE state = 'deferred'" "tasks wait for a dataset, deferred"
weir why waits@2026-11-10 a
out_has "an update of the dataset bank.file for this interval" "weir why says what for"
weir datasets touch bank.file --date 2026-11-09
out_lacks "no daemon" "an update by hand, by way of the daemon"
comes success "SELECT state FROM run WHERE dag = 'ext'" "it starts the DAG at once"
comes success "SELECT state FROM run WHERE dag = 'any'" "... and wakes what waits for any"
sql_is deferred "SELECT t.state FROM task t JOIN run r ON r.id = t.run_id WHERE r.dag = 'waits'" \
	"... but not what waits for another interval"
weir datasets touch bank.file --date 2026-11-10 --json
json_is '["bank.file", ["ext"], true]' "[d['dataset'], d['waiting'], d['daemon']]" "that of its interval"
comes success "SELECT state FROM run WHERE dag = 'waits'" "... wakes it"
sql_is "bank.file" "SELECT outputs ->> 'dataset' FROM task t JOIN run r ON r.id = t.run_id WHERE r.dag = 'waits'" \
	"... and its outputs say so"
api /v1/datasets/bank.file "[u['interval_start'] for u in d['history']]" >"$T/got"
is "$(cat "$T/got")" '["2026-11-10T00:00:00Z", "2026-11-09T00:00:00Z"]' "the API has them"
api /v1/datasets "[x['dataset'] for x in d['datasets']]" >"$T/got"
is "$(cat "$T/got")" '["bank.file"]' "... and the list"
weir datasets nix
exits 5 "what does not exist, by way of the daemon"
sql_is 1 "SELECT count(*) FROM dataset_cursor WHERE dag = 'ext'" "what is not taken is kept for who waits"
dag ext manual 'run: "true"'
weir reload
comes 0 "SELECT count(*) FROM dataset_cursor WHERE dag = 'ext'" "... until its file says that it does no more"
ends TERM
is "$status" 0 "the daemon ends"

# ---- circles -------------------------------------------------------------------------------------

fresh
dag a '{ datasets: z }' 'run: "true", produces: x'
dag b '{ datasets: x }' 'run: "true", produces: z'
dag c '{ datasets: [x, elsewhere], when: any }' 'run: "true"'
weir validate dags
exits 3 "DAGs that start each other in a circle"
out_has "in a circle: a -> b -> a" "... are told, with the way round"
out_has 'warning: schedule: no DAG here produces "elsewhere"' "what nothing produces is a warning"
sim 2026-11-20T01:00:00Z 2026-11-20T01:10:00Z
at 2026-11-20T01:10:00Z run dags/a.yaml --date 2026-11-18
sim 2026-11-20T01:10:00Z 2026-11-20T01:20:00Z
sql_is "a|manual
c|dataset" "SELECT dag, \"trigger\" FROM run ORDER BY dag" "a daemon that has them all the same does not begin"
err_has "would start each other in a circle: a -> b -> a" "... and says why"
dag self '{ datasets: me }' 'run: "true", produces: me'
weir validate dags/self.yaml
exits 3 "one that starts itself"
out_has 'its task "a" produces "me"' "... is told by itself"

finish
