#!/bin/sh
# weir run: what is run, what is kept, what is refused.
. "${top_srcdir:-.}/tests/lib/cli.sh"

# ---- a small pipeline of all kinds -------------------------------------------------------

mkdir shop
cat >shop/weir.yaml <<'END'
connections:
  wh: { type: sqlite, path: wh.db }
END
cat >shop/orders.csv <<'END'
id,day,amount
1,2026-11-19,10.5
2,2026-11-19,x
3,2026-11-19,4
END
cat >shop/orders.contract.yaml <<'END'
contract: orders
columns:
  id: { type: integer, unique: true }
  day: { type: date }
  amount: { type: decimal, nullable: false }
max_rejected: 50%
END
cat >shop/shop.yaml <<'END'
dag: shop
schedule: { cron: "0 0 * * *", start: 2026-01-01 }
params:
  region: { type: string, enum: [eu, us], default: eu }
tasks:
  orders:
    ingest: file
    with: { path: orders.csv, contract: orders.contract.yaml, into: wh.orders, mode: replace_partition,
      partition_column: ds, partition_value: "{{ ds }}" }
  totals:
    transform: sql
    needs: orders
    with:
      connection: wh
      sql: |
        CREATE TABLE IF NOT EXISTS totals (day TEXT PRIMARY KEY, region TEXT, amount REAL);
        DELETE FROM totals WHERE day = {{ ds }};
        INSERT INTO totals SELECT day, {{ params.region }}, sum(amount) FROM orders WHERE ds = {{ ds }} GROUP BY day;
  good:
    quality: table
    needs: totals
    with: { table: wh.totals, checks: [ { not_null: [day, amount] }, { row_count: { min: 1 } } ] }
  report:
    publish: file
    needs: good
    with: { connection: wh, query: "SELECT day, region, amount FROM totals WHERE day = {{ ds }}", path: "out/{{ ds }}.csv" }
  tell:
    needs: report
    run: |
      echo "told {{ ds }} {{ params.region }} {{ tasks.report.outputs.rows_out }}"
      echo "{{ ds }} {{ params.region }}" >>told
END

weir run shop/shop.yaml --date 2026-11-19
exits 0 "a first run of ingest, transform, quality, publish and a command succeeds"
out_has "shop@2026-11-19: success" "it says so"
out_has "orders  1 row rejected, kept in $T/shop/quarantine/shop/orders-2026-11-19.csv" "it says what was quarantined"
is "$(cat shop/out/2026-11-19.csv)" "day,region,amount
2026-11-19,eu,14.5" "the published file is right"
is "$(cat shop/told)" "2026-11-19 eu" "the command ran once, with its templates filled in"
is "$(cat "$WEIR_HOME/logs/shop@2026-11-19/tell.1.log")" "told 2026-11-19 eu 1" \
	"outputs of another task are known to it"
is "$(stat -c %a "$WEIR_HOME")" 700 "WEIR_HOME is the user's alone"
before=$(fingerprint shop "$WEIR_HOME/logs")

weir run shop/shop.yaml --date 2026-11-19
exits 0 "the second run succeeds"
out_has "nothing to do: all 5 tasks were done on" "it says that nothing was to be done"
is "$(fingerprint shop "$WEIR_HOME/logs")" "$before" "it changed no byte"
sql_is 5 "SELECT count(*) FROM attempt" "it made no attempt"

# ---- --dry-run -----------------------------------------------------------------------------

WEIR_HOME=$T/nowhere weir run shop/shop.yaml --date 2026-11-20 --dry-run
exits 0 "--dry-run works without a WEIR_HOME"
check "and makes none" test ! -e "$T/nowhere"
out_has "run shop@2026-11-20 (new)" "it names the run"
out_has "5 of 5 tasks would run; nothing was changed" "and says what would run"
out_has "out/2026-11-20.csv" "with templates filled in"
out_has "not known yet" "and says what only the run will tell"
weir run shop/shop.yaml --date 2026-11-19 --dry-run --from report
out_has "2 of 5 tasks would run" "--dry-run knows what was done"
is "$(fingerprint shop "$WEIR_HOME/logs")" "$before" "and changes nothing"
sql_is "1|5" "SELECT (SELECT count(*) FROM run), (SELECT count(*) FROM attempt)" "nor the store"
weir run shop/shop.yaml --date 2026-11-19 --dry-run --json
json_is '["keep", "keep", "keep", "keep", "keep"]' '[t["action"] for t in d["tasks"]]' "--dry-run --json: actions"

# ---- --from, --only, --force ------------------------------------------------------------------

weir run shop/shop.yaml --date 2026-11-19 --from report
exits 0 "--from"
sql_is "good|1
orders|1
report|2
tell|2
totals|1" "SELECT task, count(*) FROM attempt GROUP BY task ORDER BY task" "--from does the task and what needs it again"
weir run shop/shop.yaml --date 2026-11-19 --only totals
exits 0 "--only"
sql_is "good|1
orders|1
report|2
tell|2
totals|2" "SELECT task, count(*) FROM attempt GROUP BY task ORDER BY task" "--only does one task again, and nothing else"
out_has "4 left out" "it says that others are left out"
sql_is "success" "SELECT state FROM run" "the run is as it was"
weir run shop/shop.yaml --date 2026-11-19 --only totals --only tell
sql_is "3|3" "SELECT (SELECT tries FROM task WHERE name = 'totals'), (SELECT tries FROM task WHERE name = 'tell')" \
	"--only may be repeated"
weir run shop/shop.yaml --date 2026-11-19 --force
exits 0 "--force"
sql_is "2 2 3 4 4" "SELECT group_concat(tries, ' ') FROM (SELECT tries FROM task ORDER BY tries)" \
	"--force does all of it again"
is "$(cat shop/out/2026-11-19.csv)" "day,region,amount
2026-11-19,eu,14.5" "and the result is the same"
db_is shop/wh.db "2|1" "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM totals)" "no row is doubled"
weir run shop/shop.yaml --date 2026-11-23 --only tell
exits 1 "--only of a task that needs the outputs of one that never ran: fails"
out_has "tell needs report, which has not run for this interval" "it says what is missing"
has "$T/out" "report" "and which task"
weir run shop/shop.yaml --date 2026-11-19 --from reprot
exits 2 "--from with an unknown task"
err_has 'did you mean "report"' "the nearest task is offered"
weir run shop/shop.yaml --date 2026-11-19 --only nothing_like_it
exits 2 "--only with an unknown task"
weir run shop/shop.yaml --only tell --force
exits 2 "--only and --force exclude each other"

# ---- params -------------------------------------------------------------------------------------

weir run shop/shop.yaml --date 2026-11-19 --param region=us
exits 4 "other params for a run that has done work are refused"
err_has '{"region":"eu"}' "it says which it has"
err_has "--force" "and what to do"
weir run shop/shop.yaml --date 2026-11-19 --param region=us --force
exits 0 "with --force they are taken"
is "$(cat shop/out/2026-11-19.csv)" "day,region,amount
2026-11-19,us,14.5" "and used"
weir run shop/shop.yaml --date 2026-11-19 --from tell
is "$(tail -n 1 shop/told)" "2026-11-19 us" "without --param a run keeps those it has"
weir run shop/shop.yaml --date 2026-11-20 --param region=fr
exits 2 "a value outside the enum is refused"
err_has "it can be eu, us" "with those that are allowed"
weir run shop/shop.yaml --date 2026-11-20 --param regoin=eu
exits 2 "an unknown param is refused"
err_has 'did you mean "region"' "with the nearest"
weir run shop/shop.yaml --date 2026-11-20 --param region
exits 2 "--param without a value is refused"
err_has "NAME=VALUE" "with what is expected"
cat >params.yaml <<'END'
dag: params
params:
  must: { type: string }
  n: { type: integer, default: 3, min: 1, max: 9 }
  on: { type: boolean, default: false }
  day: { type: date, default: 2026-01-31 }
  short: x y
tasks:
  show: { run: [ printf, "<%s>", "{{ params.must }}", "{{ params.n }}", "{{ params.on }}", "{{ params.day }}", "{{ params.short }}" ] }
END
weir run params.yaml --date 2026-11-19
exits 2 "a param without a default must be given"
err_has "--param must=" "it says how"
sql_is 0 "SELECT count(*) FROM run WHERE dag = 'params'" "and no run is made"
weir run params.yaml --date 2026-11-19 --param "must=a=b \$(id) 'q' ü" -p n=4 --param on=true
exits 0 "params of several types"
is "$(cat "$WEIR_HOME/logs/params@2026-11-19/show.1.log")" "<a=b \$(id) 'q' ü><4><true><2026-01-31><x y>" \
	"they reach the command as they are"
for bad in n=ten n=10 n=1.5 on=maybe day=2026-02-30; do
	weir run params.yaml --date 2026-11-18 --param must=x --param "$bad"
	exits 2 "--param $bad is refused"
done

# ---- failure, mending, and going on ----------------------------------------------------------------

mkdir fails
cat >fails/dag.yaml <<'END'
dag: fails
runbook: runbooks/fails.md
tasks:
  first: { run: echo first >>witness }
  bad:
    needs: first
    run: |
      echo bad >>witness
      echo "cannot open the till" >&2
      test -e mended
  after: { needs: bad, run: echo after >>witness }
  beside: { needs: first, run: echo beside >>witness }
END
weir run fails/dag.yaml --date 2026-11-19
exits 1 "a run that fails: status 1"
out_has "exit status 1: cannot open the till" "the last words of the task are its error"
out_has "upstream_failed" "what needs it does not run"
out_has "weir logs fails@2026-11-19 bad" "it says where to look"
out_has "runbooks/fails.md" "and names the runbook"
is "$(sort fails/witness | tr '\n' ' ')" "bad beside first " "what does not need it is done"
sql_is "failed" "SELECT state FROM run WHERE dag = 'fails'" "the run has failed"
sql_is "after|upstream_failed
bad|failed
beside|success
first|success" "SELECT name, state FROM task WHERE run_id = (SELECT id FROM run WHERE dag = 'fails') ORDER BY name" \
	"so have the tasks"
grep '^  weir ' "$T/out" | sed 's/ *#.*//' >steps
check "there are next steps" test -s steps
while read -r word rest; do
	(cd "$T" && eval "\"\$WEIR\" $rest" >/dev/null 2>&1)
	s=$?
	case "$rest" in run*) want=1 ;; *) want=0 ;; esac
	is "$s" "$want" "the next step works as it stands: $word $rest"
done <steps
: >fails/witness
touch fails/mended
weir run fails/dag.yaml --date 2026-11-19
exits 0 "mended, it goes on"
is "$(tr '\n' ' ' <fails/witness)" "bad after " "and only what was left is run"
out_has "4 of 4 tasks succeeded, 2 of them before" "it says so"

# A definition that changed since is shown, not run again behind one's back.
sed -i 's/echo first/echo changed/' fails/dag.yaml
weir run fails/dag.yaml --date 2026-11-19 --dry-run
out_has "changed since" "--dry-run shows a kept task whose definition changed"

# ---- --jobs ------------------------------------------------------------------------------------------

mkdir -p jobs/live
cat >jobs/step.sh <<'END'
#!/bin/sh
# Wait until as many as allowed are here at once (or long enough), and note how many there are.
touch "live/$1"
for _ in $(seq 3000); do
	n=$(ls live | wc -l)
	echo "$n" >>peak
	[ "$n" -lt "$WIDTH" ] && [ ! -e full ] || break
	sleep 0.01
done
touch full
rm "live/$1"
END
chmod +x jobs/step.sh
{
	echo "dag: jobs"
	echo "tasks:"
	for i in 1 2 3 4 5 6 7; do echo "  t$i: { run: ./step.sh t$i }"; done
} >jobs/dag.yaml
for n in 1 3 7; do
	rm -f jobs/peak jobs/full
	WIDTH=$n weir run jobs/dag.yaml --date 2026-11-0$n --jobs $n
	is "$status $(sort -n jobs/peak | tail -n 1)" "0 $n" "--jobs $n: so many at once, and no more"
done
weir run jobs/dag.yaml --date 2026-11-09 --jobs 0
exits 2 "--jobs 0 is refused"
weir run jobs/dag.yaml --date 2026-11-09 --jobs many
exits 2 "--jobs many is refused"
err_has "whole number" "it says what is expected"

# ---- --json ----------------------------------------------------------------------------------------

cat >json.yaml <<'END'
dag: json
tasks:
  one: { run: "echo rows=3 >>\"$WEIR_OUTPUT\"; echo name=café >>\"$WEIR_OUTPUT\"" }
  two: { run: exit 7, needs: one }
  three: { run: "true", needs: two }
  four: { run: exit 99 }
  five: { run: "true", needs: four }
END
weir run json.yaml --date 2026-11-19 --json
exits 1 "--json: the status is the same"
json_is true 'all(isinstance(l, dict) and "event" in l and "at" in l for l in lines)' "each line is an object with event and time"
json_is run_started 'lines[0]["event"]' "the first is run_started"
json_is run_finished 'd["event"]' "the last is run_finished"
json_is failed 'd["state"]' "it has the run's state"
json_is '[["one", "success", 1], ["two", "failed", 1], ["three", "upstream_failed", 0], ["four", "skipped", 1], ["five", "skipped", 0]]' \
	'[[t["task"], t["state"], t["try"]] for t in d["tasks"]]' "and state and try of every task"
json_is '{"rows": 3, "name": "caf\u00e9"}' 'd["tasks"][0]["outputs"]' "and the outputs"
json_is '[{}, {}, {}, {}]' '[t["outputs"] for t in d["tasks"][1:]]' "an empty object where there are none"
json_is 7 'd["tasks"][1]["exit_status"]' "and exit statuses"
json_is 3 'sum(l["event"] == "task_started" for l in lines)' "each start is told"
is "$(cat "$T/err")" "" "stderr is empty"
weir run json.yaml --date 2026-11-19 --json --only one
json_is '[["one", "success", 2], ["two", "failed", 1]]' '[[t["task"], t["state"], t["try"]] for t in d["tasks"][:2]]' \
	"with --only, too, there is every task"
weir run shop/shop.yaml --date 2026-11-19 --json
json_is '[true, "success", 5]' '[d["nothing_to_do"], d["state"], sum(t["kept"] for t in d["tasks"])]' "nothing to do, in JSON"
json_is 1 'd["tasks"][3]["outputs"]["rows_out"]' "kept tasks keep their outputs"

# ---- exit statuses -------------------------------------------------------------------------------------

weir run
exits 2 "no file: 2"
weir run shop/shop.yaml --frobnicate
exits 2 "an unknown option: 2"
weir run shop/shop.yaml shop/shop.yaml
exits 2 "two files: 2"
printf 'dag: broken\ntasks:\n  a: { run: "true", need: b }\n' >broken.yaml
weir run broken.yaml --date 2026-11-19
exits 3 "an invalid DAG: 3"
err_has "broken.yaml:3:" "with its place"
err_has 'needs' "and the nearest key"
weir run nosuch.yaml --date 2026-11-19
check "a missing file is an error of its own" test "$status" -ne 0
err_has "nosuch.yaml" "which names it"
weir show nosuch
exits 5 "what is not there: 5"
weir run shop --date 2026-11-19
check "a folder is no DAG" test "$status" -ne 0
err_has "shop" "it says so"

# ---- where the DAG is does not matter --------------------------------------------------------------------

mkdir "$T/a b" && cp json.yaml "$T/a b/it's.yaml"
(cd / && "$WEIR" run "$T/a b/it's.yaml" --date 2026-11-21 >"$T/out" 2>"$T/err")
is "$?" 1 "a path with blanks and quotes, from elsewhere"
next=$(grep '^  weir run' "$T/out" | sed 's/ *#.*//; s/^ *weir//')
(cd / && eval "\"\$WEIR\" $next" >/dev/null 2>&1)
is "$?" 1 "its next step can be pasted"
cd "$T/a b" && weir run "it's.yaml" --date 2026-11-22 --only one; cd "$T"
exits 0 "a plain file name in the current folder"
(cd shop && WEIR_HOME=rel "$WEIR" run ../json.yaml --date 2026-11-19 --only one >"$T/out" 2>"$T/err")
is "$? $(ls shop/rel/weir.db)" "0 shop/rel/weir.db" "a relative WEIR_HOME is relative to where one stands"
weir run json.yaml --date 2026-11-19 --only one --home "$T/other"
check "--home is stronger than WEIR_HOME" test -e "$T/other/weir.db"
env -u WEIR_HOME XDG_STATE_HOME="$T/xdg" "$WEIR" run json.yaml --date 2026-11-19 --only one >"$T/out" 2>"$T/err"
check "XDG_STATE_HOME is honoured" test -e "$T/xdg/weir/weir.db"
env -u WEIR_HOME -u HOME "$WEIR" run json.yaml --date 2026-11-19 >"$T/out" 2>"$T/err"
is "$?" 2 "with no place for the state it does not run"
err_has "WEIR_HOME" "and says what to set"

# ---- a definition that changed --------------------------------------------------------------

mkdir changed
printf 'connections: { wh: { type: sqlite, path: wh.db } }\n' >changed/weir.yaml
printf 'CREATE TABLE IF NOT EXISTS x (a);\n' >changed/mk.sql
printf 'dag: changed\ntasks:\n  mk: { transform: sql, with: { connection: wh, file: mk.sql } }\n  b: { needs: mk, run: "test -e go" }\n' >changed/changed.yaml
weir run changed/changed.yaml --date 2026-11-19
exits 1 "a run of which a task fails"
printf -- '-- mended\n' >>changed/mk.sql
touch changed/go
note="note: mk is kept though its definition changed; --from mk does it again"
weir run changed/changed.yaml --date 2026-11-19
exits 0 "is taken up again"
out_has "$note" "and says that what it keeps is not what its file says now"
weir run changed/changed.yaml --date 2026-11-19
out_has "$note" "also where nothing is to be done"
weir run changed/changed.yaml --date 2026-11-19 --from mk
out_lacks "$note" "and not once it was done again"
weir run no/such/x.yaml
exits 3 "a file in a folder that is not there"
err_has "no/such/x.yaml: error: no such file" "is told as any other file that is not there"

# ---- hints that can be typed in ------------------------------------------------------------------

mkdir bare
printf 'dag: bare\ntasks: { a: { transform: sql, with: { connection: wh, sql: SELECT 1 } } }\n' >bare/bare.yaml
weir run bare/bare.yaml --date 2026-11-19
exits 3 "a connection without a weir.yaml"
err_has "make $T/bare/weir.yaml with: connections: { wh: { type: sqlite, path: wh.db } }" "says what to write, and where"
printf 'connections: { wh: { type: sqlite, path: wh.db } }\n' >bare/weir.yaml
weir run bare/bare.yaml --date 2026-11-19
exits 0 "which is enough"
printf 'dag: late\ntasks: { a: { ingest: file, with: { into: wh.x } } }\n' >bare/late.yaml
weir run bare/late.yaml --date 2026-11-19
err_has 'add, for example, path: "sample/{{ ds }}/orders*.csv"' "an example of a template has its quotes"
printf 'dag: late\ntasks: { a: { ingest: file, with: { path: "in/{{ ds }}.csv", into: wh.x } } }\n' >bare/late.yaml
weir run bare/late.yaml --date 2026-11-19
out_has "$T/bare/in/2026-11-19.csv: no such file, yet" "a missing input is named with its folder"

finish
