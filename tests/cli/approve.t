#!/bin/sh
# control: approval, and those who answer: weir approvals, approve, reject.
. "${top_srcdir:-.}/tests/lib/cli.sh"
. "${top_srcdir:-.}/tests/lib/daemon.sh"

db=$WEIR_HOME/weir.db
state() { sql "$db" "SELECT state, reason FROM task WHERE name = '$1' ORDER BY run_id DESC LIMIT 1"; }

# ---- by the clock ----------------------------------------------------------------------------------

cat >clock.yaml <<'END'
dag: clock
tasks:
  yes:  { control: approval, with: { prompt: "ok?", timeout: 1h, default: approve,
            fields: { n: { type: integer, default: 7 } } } }
  no:   { control: approval, with: { prompt: "ok?", timeout: 2h } }
  skip: { control: approval, with: { prompt: "ok?", timeout: 2h, on_reject: skip } }
  next: { needs: yes, run: "test '{{ tasks.yes.outputs.fields.n }}' = 7" }
END
WEIR_TEST_CLOCK=2026-11-20T05:00:00Z weir run clock.yaml --date 2026-11-19 --jobs 1
exits 1 "nobody decides"
is "$(state yes) $(state next)" "success|succeeded success|succeeded" "default: approve, with the defaults of the fields"
is "$(state no)" "failed|not_retryable" "default: reject"
is "$(state skip)" "skipped|rejected" "on_reject: skip"
out_has "rejected by weir: nobody decided in time" "why it failed"

# ---- by people, without a daemon -------------------------------------------------------------------

cat >ask.yaml <<'END'
dag: ask
tasks:
  go:
    control: approval
    with:
      prompt: "Publish {{ ds }}?"
      fields:
        share: { type: number, min: 0, max: 1 }
        note: none
      timeout: 1h
  after: { needs: go, run: "test '{{ tasks.go.outputs.fields.share }}' = 0.5" }
END
weir approvals
out_has "Nothing waits for a decision." "nothing waits"
begin() { # in the background; $pid
	"$WEIR" run ask.yaml --date "$1" >run.out 2>&1 </dev/null &
	pid=$!
	background="${background:-} $pid"
}
begin 2026-11-19
comes "awaiting_input|awaiting_input" "SELECT state, reason FROM task WHERE name = 'go'" "it asks"
due=$(sql "$db" "SELECT due_us, changed_us FROM task WHERE name = 'go'")
weir approvals
out_has "ask@2026-11-19  go" "approvals lists it"
out_has "Publish 2026-11-19?" "with what is asked"
out_has "share (number), note=none" "... and the fields"
out_has "weir approve ask@2026-11-19 go --field share=number" "... those that must be given in what is offered"
weir why ask go
out_has "weir approve ask@2026-11-19 go --field share=number" "why offers the same"
weir approvals --json
json_is "Publish 2026-11-19?" "d['approvals'][0]['prompt']" "also as JSON"
json_is '[["share", "number", null, 0.0, 1.0], ["note", "string", "none", null, null]]' \
	"[[f[k] for k in ('name', 'type', 'default', 'min', 'max')] for f in d['approvals'][0]['fields']]" "... with the fields"
weir show ask
out_has "waits for a decision: Publish 2026-11-19? (since" "show tells, too"
out_has "weir approve ask@2026-11-19 go" "and how to answer"
refused() { # STATUS TEXT NAME WORD...
	want=$1 text=$2 name=$3
	shift 3
	weir "$@"
	exits "$want" "$name"
	err_has "$text" "$name: why"
}
refused 2 "field share must be given: --field share=number" "a missing field" approve ask go
refused 2 "field share: must be from 0 to 1" "a field out of its limits" approve ask go -f share=7
refused 2 "field share: expected a number" "a field of another type" approve ask go -f share=x
refused 2 'did you mean "share"?' "an unknown field" approve ask go -f shar=1
refused 2 "write it as NAME=VALUE" "a field without a value" approve ask go -f share
refused 4 "task after of run ask@2026-11-19 is none" "a task that asks nothing" approve ask after
refused 5 'no task "gone"' "no such task" reject ask gone
is "$(state go)" "awaiting_input|awaiting_input" "none of that decides anything"

# ---- kill -9: the question stays, and what was said meanwhile counts --------------------------------

kill -9 "$pid"
wait "$pid" 2>/dev/null
begin 2026-11-19
comes "1" "SELECT count(*) FROM run WHERE dag = 'ask' AND owner_pid = $pid" "another one goes on"
is "$(sql "$db" "SELECT due_us, changed_us FROM task WHERE name = 'go'")" "$due" "and asks until the same time"
kill -9 "$pid"
wait "$pid" 2>/dev/null
weir approve ask go --field share=0.5 --reason "looks good"
sql_is "approve|go|looks good" "SELECT what, detail, reason FROM audit" "who decided is in the audit"
exits 0 "approved while nobody listens"
out_has "ask@2026-11-19 go is approved (by " "who"
out_has "looks good" "and why"
refused 4 "was decided already" "twice" reject ask go
weir run ask.yaml --date 2026-11-19
exits 0 "whoever comes next goes on"
sql_is "0.5|none|looks good" "SELECT json_extract(outputs, '\$.fields.share'),
	json_extract(outputs, '\$.fields.note'), json_extract(outputs, '\$.reason')
	FROM task WHERE name = 'go'" "with the outputs"
sql_is "approved|looks good" "SELECT reason, json_extract(detail, '\$.reason') FROM event
	WHERE detail IS NOT NULL AND task = 'go'" "and the history has it"
refused 4 "is success: only one that is awaiting_input" "too late" approve ask go -f share=1

begin 2026-11-18
comes "1" "SELECT count(*) FROM task WHERE state = 'awaiting_input'" "another run asks anew"
weir reject ask@2026-11-18 go -m "wrong totals"
sql_is "reject|go|wrong totals" "SELECT what, detail, reason FROM audit ORDER BY id DESC LIMIT 1" "who rejected, too"
exits 0 "rejected"
wait "$pid"
is "$?" 1 "the run that waited fails"
has run.out "rejected by " "saying so"
has run.out "wrong totals" "and why"
begin 2026-11-18
comes "1" "SELECT count(*) FROM task WHERE state = 'awaiting_input' AND decision IS NULL" "a rerun asks anew"
kill -9 "$pid"
wait "$pid" 2>/dev/null

# ---- with a daemon ---------------------------------------------------------------------------------

mkdir dags
sed 's/dag: ask/dag: asked/' ask.yaml >dags/asked.yaml
daemon
weir trigger asked --date 2026-11-19
comes "awaiting_input" "SELECT t.state FROM task t JOIN run r ON r.id = t.run_id
	WHERE r.dag = 'asked' AND t.name = 'go'" "a daemon's run asks"
ends KILL
daemon
weir approvals
out_has "asked@2026-11-19  go" "the next daemon's run, too"
weir approve asked@2026-11-19 go -f share=0.5
exits 0 "approved over the socket"
comes "success" "SELECT state FROM run WHERE dag = 'asked'" "and the daemon goes on"
ends TERM

finish
