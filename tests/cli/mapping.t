#!/bin/sh
# Mapped tasks: their lists, their instances, what is seen of them and asked of them, in the foreground
# and with a daemon that is killed in the middle.
. "${top_srcdir:-.}/tests/lib/cli.sh"
. "${top_srcdir:-.}/tests/lib/daemon.sh"

have_sql || { echo "1..0 # SKIP neither sqlite3 nor python3 with sqlite3"; exit 0; }

WITNESS=$T/witness GO=$T/go
export WITNESS GO
mkdir -p dags/in
cat >dags/inbox.yaml <<'END'
dag: inbox
tasks:
  list:
    run: |
      ls in | sed 's/.*/{"name": "&", "rows": 2}/' | paste -sd , | sed 's/.*/{"files": [&]}/' >"$WEIR_OUTPUT"
  load:
    needs: list
    foreach: "{{ tasks.list.outputs.files }}"
    run: |
      echo "{{ task.map_index }} {{ item.name }} $WEIR_MAP_INDEX $WEIR_ITEM" >>"$WITNESS"
      test ! -e broken/{{ item.name | sh }} || { echo it is broken; exit 3; }
      echo rows={{ item.rows }} >>"$WEIR_OUTPUT"
  report: { needs: load, run: "echo {{ tasks.load.outputs.rows | sum }} rows, {{ tasks.load.outputs.rows | compact | length }} files" }
  alarm: { needs: load, trigger: one_failed, run: "echo alarm" }
END
for f in a b c d e f g; do : >dags/in/$f; done
mkdir dags/broken; : >dags/broken/b; : >dags/broken/e
run() { : >"$WITNESS"; WEIR_TEST_CLOCK=2026-11-20T07:00:00Z weir run dags/inbox.yaml --date 2026-11-19 "$@"; }
attempts() { sort -n "$WITNESS" | cut -d' ' -f1 | tr '\n' ' '; }

# ---- a run ---------------------------------------------------------------------------------------

run
exits 1 "a mapped task of which some instances fail"
is "$(attempts)" "0 1 2 3 4 5 6 " "each item is done once"
has "$WITNESS" '1 b 1 {"name":"b","rows":2}' "it is known to templates and in the environment"
out_has "load       mapped" "the mapping is told"
out_has "7 items" "... with how many there are"
out_has "load[1]    failed" "instances are told by their names"
out_has "5 success, 2 failed" "... and counted"
out_has "upstream_failed" "what needs the whole is not run"
out_has "alarm      success" "... but for what waits for a failure"
out_has "weir logs inbox@2026-11-19 'load[1]'" "what to do next names one as a shell wants it"
out_has "2 of 4 tasks succeeded" "the run counts the mapped task as one"

weir show inbox
out_has "load (7)" "it is one line"
out_has "10 rows" "with what its instances counted"
out_has "5 success, 2 failed" "and how they stand"
out_has "load[1]" "those that failed are named"
out_has "load[4]" "all of them, when they are few"
out_lacks "load[0]" "the others are not"
weir show inbox load
out_has 'load[0]   {"name":"a","rows":2}' "asked for, all are, with their items"
out_lacks "alarm" "and nothing else"
weir show inbox load --json
json_is '["load"]' 'sorted(set(t["task"] for t in d["tasks"]))' "as JSON, too"
weir show inbox laod --json
exits 5 "a task that is not there"
weir show inbox 'load[4]'
out_has "load[4]" "one alone"
out_lacks "load[1]" "is alone"
weir show inbox 'load[7]'
exits 5 "one that is not there"
weir show inbox --expand
out_has "load[6]" "expanded, all are lines"
weir show inbox --json
json_is 11 'len(d["tasks"])' "JSON has all"
json_is '{"name": "b", "rows": 2}' '[t for t in d["tasks"] if t["map_index"] == 1][0]["item"]' "... with their items"
json_is '[0, 1, 2, 3, 4, 5, 6]' 'sorted(a["map_index"] for a in d["attempts"] if a["task"] == "load")' "attempts say whose they are"
json_is '[4, 2, 1]' '[d["counts"][k] for k in ("total", "success", "failed")]' "the counts are of whole tasks"
weir show inbox --events
out_has "load[3]" "events, too"

weir logs inbox 'load[1]' --quiet
is "$(cat "$T/out")" "it is broken" "the log of one"
weir logs inbox load
out_has "inbox@2026-11-19 load[4], try 1: failed (exit status 3)" "the logs of all, each with its name"
weir logs inbox 'load[9]'
exits 5 "the log of one that is not there"
err_has "load of inbox@2026-11-19 has no instance 9: it has 7, from 0" "... says how many there are"
weir logs inbox 'load[x]'
exits 2 "what is no index"
weir logs inbox 'list[0]'
err_has "has no instances" "a task that is not mapped"

weir why inbox@2026-11-19
out_has "load failed: of its 7 instances: 5 success, 2 failed" "why tells of the whole"
out_has "load[1] failed: failed, and no retries are set: exit status 3" "... and which of them"
out_has "of 4 tasks" "and counts it as one"
weir why inbox@2026-11-19 'load[0]'
out_has "load[0] success: succeeded with try 1" "why one is as it is"
weir why inbox@2026-11-19 'load[7]'
err_has 'load has 7, from load[0]' "one that is not there"
weir status
out_has "failed: load (2)" "the status counts those that failed"
weir incidents --json
json_is '["load"]' '[i["task"] for i in d["incidents"]]' "two failures are one incident"
json_is 2 'd["incidents"][0]["count"]' "... that counts them"
json_is 'load[4]: exit status 3' 'd["incidents"][0]["facts"]["error"].split("\n")[0][:22]' "... and names the last" 

# ---- again -----------------------------------------------------------------------------------------

run --dry-run
out_has "for each of {{ tasks.list.outputs.files }}" "a dry run says over what it goes"
out_has "7 items, the first: echo" "... as far as it is known"
rm dags/broken/b
run
is "$(attempts)" "1 4 " "a second run does what failed again, and no more"
rm dags/broken/e
: >dags/in/h
run
exits 0 "until all are done"
is "$(attempts)" "4 " "with the list it has"
out_has "7 success: 14 rows" "the whole tells what they counted"
weir logs inbox report --quiet
is "$(cat "$T/out")" "14 rows, 7 files" "and is a list to what is behind it"
weir incidents --json
json_is '[]' 'd["incidents"]' "the incident is over"
run
out_has "nothing to do" "done is done"
run --from list
is "$(attempts)" "0 1 2 3 4 5 6 7 " "from the list on: a new list"
rm dags/in/[a-f]
run --from list
is "$(attempts)" "0 1 " "a shorter one"
weir show inbox load
out_has "its item is no longer in the list" "what is gone is skipped"
weir logs inbox report --quiet
is "$(cat "$T/out")" "4 rows, 2 files" "and gives nothing to what is behind it"
rm dags/in/[gh]
run --from list
exits 0 "an empty list"
out_has "the list of its foreach is empty" "skips the task"
out_has "report     skipped" "and what is behind it"
weir why inbox@2026-11-19 load
out_has "was not run: the list of its foreach is empty" "which why says"

# ---- JSON ------------------------------------------------------------------------------------------

for f in x y; do : >dags/in/$f; done
run --from list --json
exits 0 "as JSON"
json_is 2 '[e for e in lines if e["event"] == "task_mapped"][0]["items"]' "the mapping is an event"
json_is '["x", "y"]' 'sorted(e["item"]["name"] for e in lines if e["event"] == "task_started" and "map_index" in e)' "a start says the item"
json_is '[[2, 2]]' '[e["outputs"]["rows"][:2] for e in lines if e["event"] == "task_finished" and e["task"] == "load" and "map_index" not in e]' "the end of the whole has its outputs"
json_is '{"success": 2, "total": 2}' 'dict(sorted([t for t in lines[-1]["tasks"] if t["task"] == "load"][0]["instances"].items()))' "the end of the run has its counts"

# ---- lists that are none ---------------------------------------------------------------------------

cat >dags/lists.yaml <<'END'
dag: lists
tasks:
  make: { run: "echo '{\"n\": 5, \"many\": [1, 2, 3]}' >\"$WEIR_OUTPUT\"" }
  number: { needs: make, foreach: "{{ tasks.make.outputs.n }}", retries: 3, run: "echo {{ item }} >>$WITNESS" }
  absent: { needs: make, foreach: "{{ tasks.make.outputs.nothing }}", run: "echo {{ item }} >>$WITNESS" }
  many: { needs: make, foreach: { items: "{{ tasks.make.outputs.many }}", max_items: 2 }, run: "echo {{ item }} >>$WITNESS" }
END
: >"$WITNESS"
weir run dags/lists.yaml --date 2026-11-19
exits 1 "what is no list fails the task"
is "$(wc -c <"$WITNESS" | tr -d ' ')" 0 "and nothing of it is begun"
out_has "lists.yaml:4:35: foreach: {{ tasks.make.outputs.n }} is no list: it is the number 5" "with its place, and what it is"
out_has "foreach: {{ tasks.make.outputs.nothing }}: it has no value here" "one that is not there"
out_has "the list has 3 items, more than max_items, 2" "one that is too long"
out_lacks "retry" "no retry mends it"
weir show lists
out_has "is no list: it is the number 5" "show tells it"
weir why lists@2026-11-19 number
out_has "is no list: it is the number 5" "and so does why"

# ---- by hand, without a daemon ---------------------------------------------------------------------

cat >dags/hand.yaml <<'END'
dag: hand
tasks:
  m: { foreach: [a, b, c, d], run: "echo {{ item }} >>$WITNESS; test ! -e bad || case {{ item }} in a|c) exit 1;; esac" }
  after: { needs: m, run: echo }
END
: >dags/bad; : >"$WITNESS"
weir run dags/hand.yaml --date 2026-11-19 --quiet
weir retry hand m --dry-run
out_has "goes on, with these of its instances" "a retry of the whole"
out_has "m[0]" "is one of those that failed"
out_has "m[2]" "all of them"
out_lacks "m[1]" "and no others"
weir retry hand 'm[2]' --dry-run
out_lacks "m[0]" "a retry of one is of it alone"
weir retry hand 'm[4]'
exits 5 "one that is not there"
weir retry hand 'after[0]'
err_has "is not mapped" "of a task that is not mapped"
weir skip hand 'm[0]'
err_has "task m[0] is failed: skip is for" "what cannot be asked of one says why"
weir mark hand 'm[0]' success --reason "done by hand"
exits 0 "one is marked"
out_has "m[0]" "... by its name"
weir mark hand 'm[2]' skipped
sql_is "m||success" "SELECT name, '', state FROM task WHERE name = 'm' AND map_index = -1" "the last one that failed is marked: the whole has succeeded"
weir why hand@2026-11-19 'm[0]'
out_has "asked: mark m[0]: success" "who marked it is told"
weir clear hand m --dry-run
out_has "runs again, with a new list" "clear makes the list anew"

weir run dags/hand.yaml --date 2026-11-19
out_lacks "m[" "what was marked is not done again"
weir run dags/hand.yaml --date 2026-11-18 --quiet
weir mark hand@2026-11-18 m success --reason "never mind"
exits 0 "the whole is marked, though some of it failed"
weir run dags/hand.yaml --date 2026-11-18
out_lacks "m[" "none of it is done again then"
out_has "after   success" "but what waited for it"
weir retry hand@2026-11-18 --dry-run
exits 4 "and nothing is to be retried"
weir retry hand@2026-11-18 'm[0]' --dry-run
out_has "m[0]" "but what is named"

# ---- the file changes ------------------------------------------------------------------------------

cat >dags/change.yaml <<'END'
dag: change
tasks:
  m: { foreach: [a, b], run: "echo {{ item }} >>$WITNESS; test {{ item }} = a" }
END
: >"$WITNESS"
weir run dags/change.yaml --date 2026-11-19 --quiet
sed -i 's/foreach: .a, b., //; s/{{ item }}/x/g; s/test x = a/true/' dags/change.yaml
weir run dags/change.yaml --date 2026-11-19 --quiet
exits 0 "a task that was mapped and is no more is done as it is now"
is "$(sort "$WITNESS" | tr '\n' ' ')" "a b x " "... once"
weir run dags/change.yaml --date 2026-11-19
out_has "nothing to do" "and is done then"
sed -i 's/{ run:/{ foreach: [p, q, r], run:/; s/echo x/echo {{ item }}/' dags/change.yaml
weir run dags/change.yaml --date 2026-11-19
out_has "m is kept though its definition changed; --from m does it again" "one that is mapped now is told to have changed"
weir run dags/change.yaml --date 2026-11-19 --from m
exits 0 "and done again when asked"
out_has "3 success" "with its list"
sed -i 's/p, q, r/p, q/' dags/change.yaml
weir run dags/change.yaml --date 2026-11-19
out_has "m is kept though its definition changed" "a list that changed in the file is told"

# ---- a daemon, killed in the middle ----------------------------------------------------------------

cat >dags/big.yaml <<'END'
dag: big
schedule: manual
tasks:
  list: { run: "cat items.json >\"$WEIR_OUTPUT\"" }
  work:
    needs: list
    foreach: { items: "{{ tasks.list.outputs.ids }}", max_active: 3 }
    run: |
      echo "start {{ item }}" >>$WITNESS
      if [ {{ item }} -ge 5 ]; then until [ -e $GO ]; do sleep 0.02; done; fi
      echo "end {{ item }}" >>$WITNESS
      echo "n={{ item }}" >>"$WEIR_OUTPUT"
  sum: { needs: work, run: "echo {{ tasks.work.outputs.n | sum }} >>$WITNESS" }
END
python3 -c 'print("{\"ids\": %s}" % list(range(20)))' >dags/items.json
: >"$WITNESS"
mkdir only; mv dags/big.yaml dags/items.json only; rm -rf dags; mv only dags
daemon --jobs 8
weir trigger big --date 2026-11-19
await grep -q "start 7" "$WITNESS"
weir show big
out_has "work (20)" "show of a mapping at work"
out_has "running" "says that it runs"
out_has "3 running, 5 success" "and how far it is, with max_active at once" 
weir why big@2026-11-19 work
out_has "is being done for each of 20 items" "why it is not done"
weir why big@2026-11-19 'work[12]'
out_has "as many instances of it run as its max_active allows (3)" "why one has not begun"
weir status
out_has "work (3)" "the status counts what runs"
weir cancel big 'work[6]'
exits 0 "one is cancelled"
await grep -q "start 8" "$WITNESS"
weir skip big 'work[19]' --reason "not needed"
exits 0 "another left out"
kill -9 "$daemon"; wait "$daemon" 2>/dev/null
echo '{"ids": [1]}' >dags/items.json
: >"$GO"
ended() { [ "$(grep -c '^end' "$WITNESS")" = "$1" ]; }
check "its tasks outlive a daemon that is killed" await ended 8
daemon --jobs 8
comes failed "SELECT state FROM run WHERE dag = 'big'" "the next one goes on to the end"
is "$(grep '^start' "$WITNESS" | sort | uniq -d)" "" "nothing is begun twice"
is "$(grep -c '^start' "$WITNESS")" 19 "all but what was left out is begun"
is "$(grep -c '^end' "$WITNESS")" 18 "all but what was cancelled is ended"
sql_is "cancelled|1
skipped|1
success|18" "SELECT state, count(*) FROM task WHERE name = 'work' AND map_index >= 0 GROUP BY state ORDER BY state" "the store has each with its state"
weir retry big work
exits 0 "the whole is retried"
comes success "SELECT state FROM run WHERE dag = 'big'" "to its end"
is "$(grep -c '^start' "$WITNESS")" 20 "only what was cancelled is done again"
has "$WITNESS" "171" "and the sum is of all that were done, of the list as it was"
weir clear big list --downstream
comes 1 "SELECT count(*) FROM task WHERE name = 'work' AND map_index >= 0 AND state = 'success'" "done again from its beginning: the new list"
comes success "SELECT state FROM run WHERE dag = 'big'" "to its end"
ends TERM

# ---- a setup that is made anew for one of them -----------------------------------------------------

cat >taken.yaml <<'END'
dag: taken
tasks:
  up: { run: "mkdir \"$T/room\"" }
  work: { needs: up, foreach: [1, 2, 3], run: "test -d \"$T/room\" && test {{ item }} != 2 || test -e \"$T/good\"" }
  down: { needs: [up, work], teardown: up, run: "rmdir \"$T/room\"" }
END
weir run taken.yaml --date 2026-11-19
exits 1 "one of them fails, and what was set up is taken down"
: >"$T/good"
weir retry taken 'work[1]'
exits 0 "it is asked for again"
weir run taken.yaml --date 2026-11-19
exits 0 "it is done again"
sql_is 1 "SELECT (SELECT max(ended_us) FROM attempt WHERE run_id = run.id AND task = 'up') <= (SELECT max(started_us)
	FROM attempt WHERE run_id = run.id AND task = 'work') FROM run WHERE dag = 'taken'" "... behind its setup"

finish
