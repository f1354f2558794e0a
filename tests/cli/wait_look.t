#!/bin/sh
# control: wait, for a query and for what an HTTP server says: by short processes that are no
# attempts, held by breakers, stopped with their tasks, and made again after a crash.
. "${top_srcdir:-.}/tests/lib/cli.sh"
. "${top_srcdir:-.}/tests/lib/daemon.sh"

tasks() { # "task|state|reason|tries" in lines
	sql "$WEIR_HOME/weir.db" "SELECT name, state, reason, tries FROM task WHERE run_id =
		(SELECT max(id) FROM run) ORDER BY name"
}
outputs_of() { sql "$WEIR_HOME/weir.db" "SELECT outputs FROM task WHERE name = '$1'"; }
asked() { grep -c "\"path\": \"$1\"" "$T/web.log"; }

python3 "$top_srcdir/tests/lib/http_sink.py" "$T/web.port" "$T/web.log" 2>"$T/web.err" &
background="${background:-} $!"
await test -f "$T/web.port" || fail "an HTTP server" "$(cat "$T/web.err")"
web=http://127.0.0.1:$(cat "$T/web.port")
cat >weir.yaml <<'END'
connections:
  wh: { type: sqlite, path: wh.db }
  never: { type: sqlite, path: none/never.db }
breakers:
  api: { failures: 3, within: 1h, open: 10m, counts: [transient, timeout] }
END
sql wh.db "CREATE TABLE o(day TEXT, n INTEGER); INSERT INTO o VALUES ('2026-11-19', 3), ('a''b', 4)"

# ---- what is there, and what comes -----------------------------------------------------------------

export WEIR_TEST_CLOCK=2026-11-20T05:00:00Z EXPORT_TOKEN=geheim17 EXPORT_KEY=schluessel18
cat >there.yaml <<END
dag: there
schedule: "@daily"
params: { day: "a'b" }
tasks:
  row:    { control: wait, with: { connection: wh, sql: "SELECT n, day FROM o WHERE day = {{ ds }}" } }
  quoted: { control: wait, with: { connection: wh, sql: "SELECT n FROM o WHERE day = {{ params.day }}", expect: 4 } }
  plain:  { control: wait, with: { url: "$web/ok" } }
  code:   { control: wait, with: { url: "$web/code/404", status: [404, 5xx] } }
  flaky:  { control: wait, with: { url: "$web/flaky/3", poll: 1m, match: "^o.\$" } }
  json:
    control: wait
    with: { url: "$web/json/2", poll: 10m, json: /state, expect: done, keep: [ETag, X-None], timeout: 1h }
  nested: { control: wait, with: { url: "$web/json/0", json: "/jobs/0/a~1b", expect: "2" } }
  sent:
    control: wait
    with:
      url: "$web/sent"
      method: POST
      bearer: { env: EXPORT_TOKEN }
      headers: { X-Api-Key: { env: EXPORT_KEY }, X-Day: "{{ ds }}" }
      body: "day={{ ds }}"
  moved:  { control: wait, with: { url: "$web/to/ok", redirects: 2 } }
  after:
    needs: [row, json]
    run: test '{{ tasks.row.outputs.n }} {{ tasks.json.outputs.value }} {{ tasks.json.outputs.etag }}' = '3 done "v7"'
END
weir validate there.yaml
exits 0 "queries and requests are valid"
weir run there.yaml --date 2026-11-19 --jobs 1
exits 0 "all of them come"
is "$(tasks)" "after|success|succeeded|1
code|success|succeeded|1
flaky|success|succeeded|1
json|success|succeeded|1
moved|success|succeeded|1
nested|success|succeeded|1
plain|success|succeeded|1
quoted|success|succeeded|1
row|success|succeeded|1
sent|success|succeeded|1" "with one attempt each"
is "$(outputs_of row)" '{"n":3,"day":"2026-11-19"}' "the outputs of a query are its columns"
is "$(outputs_of json)" '{"value":"done","status":200,"body":"{\"state\": \"done\", \"jobs\": [{\"a/b\": 2}]}","etag":"\"v7\"","x_none":null}' \
	"those of a request: status, body, value and headers"
is "$(asked /flaky/3) $(asked /json/2)" "4 3" "it was looked for as often as needed"
sql_is 1 "SELECT changed_us / 1000000 - strftime('%s', '2026-11-20T05:20:00Z') BETWEEN 0 AND 121 FROM task
	WHERE name = 'json'" "each poll, and a tenth more at most"
sql_is 10 "SELECT count(*) FROM attempt" "looks are no attempts"
has "$T/web.log" '"authorization": "Bearer geheim17"' "a bearer is sent"
has "$T/web.log" '"x-api-key": "schluessel18"' "a secret header is sent"
has "$T/web.log" '"body": "day=2026-11-19"' "a body is sent"
check "no secret is kept anywhere" sh -c "! grep -rqE 'geheim17|schluessel18' '$WEIR_HOME'"
weir logs there json
out_has "HTTP 200, /state is done" "the log of the last look is that of the attempt"

# ---- what does not come ----------------------------------------------------------------------------

cat >never.yaml <<END
dag: never
schedule: "@daily"
tasks:
  no_row:   { control: wait, with: { connection: wh, sql: "SELECT n FROM o WHERE n > 9", timeout: 1h } }
  false:    { control: wait, with: { connection: wh, sql: "SELECT count(*) AS c FROM o WHERE n > 9", timeout: 1h, on_timeout: skip } }
  no_table: { control: wait, with: { connection: wh, sql: "SELECT 1 FROM later", timeout: 1h, on_timeout: skip } }
  no_db:    { control: wait, with: { connection: never, sql: "SELECT 1", timeout: 1h, on_timeout: skip } }
  missing:  { control: wait, with: { url: "$web/code/404", timeout: 1h, on_timeout: skip } }
  refused:  { control: wait, with: { url: "http://127.0.0.1:1/x", timeout: 1h, on_timeout: skip } }
  down:     { control: wait, with: { url: "$web/code/503", timeout: 1h, on_timeout: skip } }
  hangs:    { control: wait, with: { url: "$web/hang", poll: 1h, look_timeout: 1s, timeout: 1h, on_timeout: skip } }
  unlike:   { control: wait, with: { url: "$web/ok", match: "done", timeout: 1h, on_timeout: skip } }
  redirect: { control: wait, with: { url: "$web/to/ok", timeout: 1h, on_timeout: skip } }
  told:     { control: wait, with: { url: "$web/back/0", bearer: { env: EXPORT_TOKEN }, timeout: 1h, on_timeout: skip } }
  cut:      { control: wait, with: { url: "$web/back/193", bearer: { env: EXPORT_TOKEN }, timeout: 1h, on_timeout: skip } }
END
weir run never.yaml --date 2026-11-19
exits 1 "what never comes fails the run"
is "$(tasks)" "cut|skipped|wait_timed_out|0
down|skipped|wait_timed_out|0
false|skipped|wait_timed_out|0
hangs|skipped|wait_timed_out|0
missing|skipped|wait_timed_out|0
no_db|skipped|wait_timed_out|0
no_row|failed|wait_timed_out|0
no_table|skipped|wait_timed_out|0
redirect|skipped|wait_timed_out|0
refused|skipped|wait_timed_out|0
told|skipped|wait_timed_out|0
unlike|skipped|wait_timed_out|0" "or skips, as it says"
looked() { sql "$WEIR_HOME/weir.db" "SELECT looked FROM task WHERE name = '$1'"; }
is "$(looked no_row)" "no row" "what the last look found is kept: no row"
is "$(looked false)" "c is 0" "a value"
is "$(looked missing)" "HTTP 404: as asked" "a status"
is "$(looked told)" "HTTP 404: ***" "a secret that comes back is masked"
is "$(looked cut)" "HTTP 404: $(printf '%0193d' 0 | tr 0 x)" "... also one that is cut"
is "$(looked down)" "HTTP 503: as asked" "an error that may pass"
is "$(looked unlike)" "HTTP 200, but nothing in it matches" "an answer that does not match"
check "a table that is not there" test "$(looked no_table | grep -c 'no such table')" = 1
check "a database that is not there" test "$(looked no_db | grep -c 'does not exist')" = 1
check "a server that is not there" test -n "$(looked refused)"
check "no answer" test -n "$(looked hangs)"
check "nothing is made where there is none" test ! -e none
weir show never
out_has "its timeout allows; the last look: c is 0" "show tells it"
weir why never no_row
out_has "waited for its query as long as its timeout allows; the last look: no row" "why tells it"

# ---- what never will -------------------------------------------------------------------------------

cat >bad.yaml <<END
dag: bad
schedule: "@daily"
defaults: { retries: 3 }
params: { scheme: ftp, two: "a\nb" }
tasks:
  syntax:  { control: wait, with: { connection: wh, sql: "SELEKT 1" } }
  column:  { control: wait, with: { connection: wh, sql: "SELECT x FROM o" } }
  writes:  { control: wait, with: { connection: wh, sql: "DELETE FROM o" } }
  denied:  { control: wait, with: { url: "$web/code/401" } }
  asked:   { control: wait, with: { url: "$web/code/418", fail_on: 4xx } }
  large:   { control: wait, with: { url: "$web/big" } }
  secret:  { control: wait, with: { url: "$web/ok", bearer: { env: NOT_SET_ANYWHERE } } }
  scheme:  { control: wait, with: { url: "{{ params.scheme }}://127.0.0.1/x" } }
  line:    { control: wait, with: { url: "$web/ok", headers: { X-A: "{{ params.two }}" } } }
END
weir run bad.yaml --date 2026-11-19
exits 1 "what never will be fails the run"
sql_is "asked|failed|not_retryable|1
column|failed|not_retryable|1
denied|failed|not_retryable|1
large|failed|not_retryable|1
line|failed|not_retryable|1
scheme|failed|not_retryable|1
secret|failed|not_retryable|1
syntax|failed|not_retryable|1
writes|failed|not_retryable|1" "SELECT name, state, reason, tries FROM task WHERE run_id = (SELECT max(id)
	FROM run) ORDER BY name" "at once, whatever the retries"
error_of() { sql "$WEIR_HOME/weir.db" "SELECT error FROM attempt WHERE task = '$1'"; }
is "$(error_of denied)" "HTTP 401: as asked" "the attempt tells the error"
is "$(error_of large)" "the answer is larger than max_bytes" "of a large answer"
check "of a secret" test "$(error_of secret | grep -c NOT_SET_ANYWHERE)" = 1
is "$(sql wh.db 'SELECT count(*) FROM o')" 2 "a wait writes nothing"

# ---- a breaker -------------------------------------------------------------------------------------

cat >broken.yaml <<END
dag: broken
schedule: "@daily"
tasks:
  a: { control: wait, breaker: api, with: { url: "$web/flaky/4", poll: 1m, timeout: 2h } }
  file: { control: wait, breaker: api, needs: mark, with: { path: broken.yaml } }
  mark: { control: wait, with: { time: "2026-11-20T05:05" } }
END
weir run broken.yaml --date 2026-11-19
exits 0 "looks that a breaker held are made later"
is "$(asked /flaky/4)" 5 "three opened it, one probe failed, the next did not"
sql_is "open
half_open
open
half_open
closed" "SELECT to_state FROM breaker_event ORDER BY id" "looks count for the breaker"
sql_is "held|breaker_open" "SELECT to_state, reason FROM event WHERE task = 'file' ORDER BY id LIMIT 1" \
	"a file is not looked for either"

# ---- an interrupt ----------------------------------------------------------------------------------

unset WEIR_TEST_CLOCK
cat >stopped.yaml <<END
dag: stopped
tasks: { h: { control: wait, with: { url: "$web/hang" } } }
END
n=$(asked /hang)
"$WEIR" run stopped.yaml --date 2026-11-19 >stopped.out 2>&1 &
run=$!
background="$background $run"
await sh -c "test \$(grep -c '\"path\": \"/hang\"' '$T/web.log') -gt $n" || fail "a look that hangs"
kill -INT "$run"
wait "$run"
is "$?" 130 "an interrupt ends a wait"
is "$(ls "$WEIR_HOME/supervisor")" "" "and its look with it"

# ---- in the daemon: a crash, a cancel --------------------------------------------------------------

mkdir dags
cat >dags/slow.yaml <<END
dag: slow
tasks:
  hang: { control: wait, with: { url: "$web/hang", look_timeout: 3s, poll: 1s, timeout: 1h } }
  ill:  { control: wait, with: { url: "$web/code/503", poll: 1s, timeout: 1h } }
END
cp weir.yaml dags/
daemon
weir trigger slow --date 2026-11-19
comes "HTTP 503: as asked" "SELECT looked FROM task WHERE name = 'ill' AND looked IS NOT NULL" "a look tells"
await sh -c "grep -q /hang '$T/web.log'" || fail "a look that hangs"
weir show slow
out_has "(since" "show tells since when"
out_has "; the last look: HTTP 503: as asked" "and what the last look found"
weir why slow ill
out_has "/code/503; the last look: HTTP 503: as asked" "why tells it"
weir logs slow ill
out_has "the last look:" "its log can be read meanwhile"
due="SELECT name, due_us FROM task ORDER BY name"
before=$(sql "$WEIR_HOME/weir.db" "$due")
n=$(asked /hang)
ends KILL
daemon
await sh -c "test \$(grep -c '\"path\": \"/hang\"' '$T/web.log') -gt $n" || fail "another look after a crash"
is "$(sql "$WEIR_HOME/weir.db" "$due")" "$before" "with the deadlines they had"

# The supervisor dies, with the look it had.
child() { cat /proc/[0-9]*/stat 2>/dev/null | awk -v p="$1" '{ pid = $1; sub(/.*\) /, ""); if ($2 == p) print pid }'; }
n=$(asked /hang)
kill -9 $(child "$daemon" | head -n 1)
await sh -c "test \$(grep -c '\"path\": \"/hang\"' '$T/web.log') -gt $n" || fail "another look after the supervisor's death"
pass "looks die with their supervisor, and are made again"

weir cancel slow
exits 0 "it is cancelled"
comes "cancelled" "SELECT state FROM run WHERE dag = 'slow'" "at once, though a look hangs"
ends TERM
is "$status" 0 "the daemon ends"
await sh -c "! ls '$WEIR_HOME'/supervisor/*.sock 2>/dev/null" || fail "supervisors that end" "$(ls "$WEIR_HOME/supervisor")"
daemon
ends TERM
is "$(ls "$WEIR_HOME/supervisor")" "" "and nothing is left of looks of the dead"
finish
