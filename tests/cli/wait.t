#!/bin/sh
# control: wait. What it waits for, how long, without a slot, and over the death of whoever waits.
. "${top_srcdir:-.}/tests/lib/cli.sh"
. "${top_srcdir:-.}/tests/lib/daemon.sh"

tasks() { # "task state reason" in lines
	sql "$WEIR_HOME/weir.db" "SELECT name, state, reason FROM task WHERE run_id =
		(SELECT max(id) FROM run) ORDER BY name"
}

# ---- each kind, with the clock of the tests --------------------------------------------------------

export WEIR_TEST_CLOCK=2026-11-20T05:00:00Z
mkdir in
printf abc >in/a.csv
printf abcdef >in/b.csv
touch -d 2026-11-20T04:59:30Z in/a.csv in/b.csv
cat >kinds.yaml <<'END'
dag: kinds
schedule: "@daily"
params: { kind: csv }
tasks:
  there:   { control: wait, with: { path: "in/*.{{ params.kind }}" } }
  ripe:    { control: wait, with: { path: "in/*.csv", min_age: 10m, timeout: 1h } }
  large:   { control: wait, with: { path: "in/*.csv", min_size: 4B, timeout: 1h } }
  skipped: { control: wait, with: { path: "in/{{ ds }}.csv", timeout: 2h, on_timeout: skip } }
  instant: { control: wait, with: { time: "2026-11-20T08:30" } }
  behind:  { control: wait, with: { time: 9h } }
  folder:  { control: wait, with: { path: in, timeout: 1h, on_timeout: skip } }
  after:
    needs: there
    run: test '{{ tasks.there.outputs.files }} {{ tasks.there.outputs.bytes }}' = '2 9'
END
weir validate kinds.yaml
exits 0 "waits are valid"
weir run kinds.yaml --date 2026-11-19 --jobs 1
exits 1 "a wait that runs out of time fails the run"
out_has "large    waiting" "the plain display says who waits"
out_has "for the file in/2026-11-19.csv, 2h00m at most" "for what, and how long"
is "$(tasks)" "after|success|succeeded
behind|success|succeeded
folder|skipped|wait_timed_out
instant|success|succeeded
large|failed|wait_timed_out
ripe|success|succeeded
skipped|skipped|wait_timed_out
there|success|succeeded" "what became of each"
weir why kinds large
out_has "waited for the file in/*.csv as long as its timeout allows; the last look: $T/in/a.csv is there, and smaller than min_size" \
	"a file that is there is said to be, and what is wrong with it"
clock_of() {
	sql "$WEIR_HOME/weir.db" "SELECT name, strftime('%H:%M', changed_us / 1000000, 'unixepoch')
		FROM task WHERE name IN ('behind', 'instant', 'large') ORDER BY name"
}
is "$(clock_of)" "behind|09:00
instant|08:30
large|06:00" "and when"
sql_is "behind|1
instant|1
large|0
ripe|1
skipped|0
there|1" "SELECT t.name, count(a.token) FROM task t LEFT JOIN attempt a ON a.task = t.name
	WHERE t.name NOT IN ('after', 'folder') GROUP BY t.name" \
	"looks are no attempts"

# ---- another DAG's run -----------------------------------------------------------------------------

cat >upstream.yaml <<'END'
dag: upstream
schedule: "@daily"
tasks:
  load: { run: "true" }
  rest: { run: test -e ok, needs: load }
END
cat >downstream.yaml <<'END'
dag: downstream
schedule: "@daily"
tasks:
  task: { control: wait, with: { run: upstream, task: load, timeout: 1m, on_timeout: skip } }
  run:  { control: wait, with: { run: upstream, timeout: 1m, on_timeout: skip } }
END
weir run downstream.yaml --date 2026-11-19
is "$(tasks)" "run|skipped|wait_timed_out
task|skipped|wait_timed_out" "nothing of it was run"
weir run upstream.yaml --date 2026-11-18
weir run upstream.yaml --date 2026-11-19
weir run downstream.yaml --date 2026-11-19 --force
sql_is "skipped|wait_timed_out" "SELECT state, reason FROM task WHERE name = 'run'" "it failed"
sql_is "success" "SELECT state FROM task WHERE name = 'task'" "but a task of it succeeded"
: >ok
weir run upstream.yaml --date 2026-11-19
weir run downstream.yaml --date 2026-11-19 --force
sql_is "success|upstream@2026-11-19" "SELECT state, json_extract(outputs, '\$.run') FROM task
	WHERE name = 'run'" "it succeeded"

# Of a mapped task all of it is waited for, not only its last instance.
cat >mapped.yaml <<'END'
dag: mapped
schedule: "@daily"
tasks:
  load: { foreach: [a, b], run: "test {{ item }} = b || test -e full" }
END
printf 'dag: of_mapped\nschedule: "@daily"\ntasks:\n  w: { control: wait, with: { %s } }\n' \
	"run: mapped, task: load, timeout: 1m, on_timeout: skip" >of_mapped.yaml
weir run mapped.yaml --date 2026-11-19
weir run of_mapped.yaml --date 2026-11-19
sql_is skipped "SELECT state FROM task WHERE name = 'w'" "a mapped task of which a part failed is waited for"
: >full
weir run mapped.yaml --date 2026-11-19
weir run of_mapped.yaml --date 2026-11-19 --force
sql_is success "SELECT state FROM task WHERE name = 'w'" "... until all of it is done"

# ---- errors ----------------------------------------------------------------------------------------

bad() { # WITH TEXT NAME
	printf 'dag: bad\ntasks:\n  w: { control: wait, with: { %s } }\n' "$1" >bad.yaml
	weir validate bad.yaml
	exits 3 "$3: exit status"
	out_has "$2" "$3"
}
bad "" "wait needs one of path, time, run, dataset, sql and url" "nothing to wait for"
bad "path: a, time: 1h" "wait needs one of path, time, run, dataset, sql and url" "two things to wait for"
bad "time: tomorrow" '"tomorrow" is neither an instant nor a duration' "no time"
bad "path: a, task: b" "task: belongs to run" "a key of another kind"
bad "time: 1h, min_age: 1m" "min_age: belongs to path" "an age of a time"
bad "path: a, on_timeout: skip" "on_timeout: belongs to timeout" "what never comes"
bad "path: a, poll: 1ms" "poll" "a poll without rest"
bad "path: a, timeout: 1h, on_timeout: retry" "on_timeout" "an unknown ending"
cat >late.yaml <<'END'
dag: late
params: { at: x }
tasks:
  w: { control: wait, with: { time: "{{ params.at }}" } }
END
weir run late.yaml --date 2026-11-19
exits 1 "a time that a template gets wrong"
out_has "time:" "is an error of its attempt"

# ---- kill -9 ---------------------------------------------------------------------------------------

unset WEIR_TEST_CLOCK
cat >held.yaml <<'END'
dag: held
tasks:
  file: { control: wait, with: { path: here, poll: 1s, timeout: 1h } }
  other: { run: "true" }
END
"$WEIR" run held.yaml --date 2026-11-19 >killed 2>&1 &
pid=$!
background="${background:-} $pid"
comes "deferred" "SELECT state FROM task WHERE name = 'file'" "it is deferred"
weir status
out_has "waits in file" "status tells that it waits, not runs"
due="SELECT due_us, changed_us FROM task WHERE name = 'file'"
before=$(sql "$WEIR_HOME/weir.db" "$due")
kill -9 "$pid"
wait "$pid" 2>/dev/null
weir show held
out_has "waits for the file here (since" "show says what it waits for"
out_has ", until " "and until when"
weir show held --json
json_is "the file here" "[t['waits_for'] for t in d['tasks'] if t['task'] == 'file'][0]" "also in JSON"
"$WEIR" run held.yaml --date 2026-11-19 >again 2>&1 &
pid=$!
background="$background $pid"
comes "1" "SELECT count(*) FROM run WHERE dag = 'held' AND owner_pid = $pid" "another one goes on"
is "$(sql "$WEIR_HOME/weir.db" "$due")" "$before" "with the deadline it had"
: >here
wait "$pid"
is "$?" 0 "until the file is there"
sql_is "success|1" "SELECT state, tries FROM task WHERE name = 'file'" "with one attempt"

finish
