#!/bin/sh
# What a run needs of other runs: needs on other DAGs, control: dag, depends_on_past. In a daemon with
# the clock of the tests, in the foreground, and over the death of whoever waits.
. "${top_srcdir:-.}/tests/lib/cli.sh"
. "${top_srcdir:-.}/tests/lib/daemon.sh"

sim() { # FROM UNTIL
	said_words="daemon from $1 until $2"
	WEIR_TEST_CLOCK=$1 WEIR_TEST_UNTIL=$2 timeout -s KILL 120 "$WEIR" daemon --dags dags \
		>"$T/out" 2>"$T/log" </dev/null
	status=$?
	cp "$T/log" "$T/err"
}

at() { # "dag ds task HH:MM" of the attempts
	sql "$WEIR_HOME/weir.db" "SELECT r.dag || ' ' || r.ds || ' ' || a.task || ' ' ||
		strftime('%d %H:%M', a.started_us / 1000000, 'unixepoch')
		FROM attempt a JOIN run r ON r.id = a.run_id WHERE $1 ORDER BY a.token"
}

# ---- other DAGs, by their schedules --------------------------------------------------------------

mkdir dags
cat >dags/orders.yaml <<'END'
dag: orders
schedule: { cron: "0 2 * * *", start: 2026-11-18 }
tasks:
  load: { run: "true" }
  tell: { run: "test {{ ds }} != 2026-11-19", needs: load }
END
cat >dags/hourly.yaml <<'END'
dag: hourly
schedule: { every: 6h, start: 2026-11-18T02:00:00Z }
tasks: { count: { run: "true" } }
END
cat >dags/billing.yaml <<'END'
dag: billing
schedule: { cron: "0 2 * * *", start: 2026-11-18 }
tasks:
  first: { run: "true" }
  sum: { run: "true", needs: [first, orders.load] }
  strict: { run: "true", needs: orders.tell }
  whole: { run: "true", needs: "dag:orders" }
  anyhow: { run: "true", needs: "dag:orders", trigger: all_done }
  day: { run: "true", needs: { dag: hourly, task: count, interval: covers } }
END
weir validate dags
exits 0 "needs on other DAGs are valid"
weir graph dags/billing.yaml
out_has "sum  run  [needs orders.load]" "graph shows them"
out_has "[all_done, needs the run of orders]" "with the rule"
out_has "[needs hourly.count of all that cover it]" "and which runs"
weir graph dags/billing.yaml --json
json_is "[{'dag': 'orders', 'task': 'load', 'interval': 'same'}]" \
	"str([t for t in d['tasks'] if t['task'] == 'sum'][0]['needs_of_other_dags'])" "also in JSON"
printf 'dag: typo\ntasks: { a: { run: "true", needs: ordres.load, trigger: always } }\n' >dags/typo.yaml
weir run dags/typo.yaml --date 2026-11-19
exits 0 "a need that no rule asks for is not waited for"
err_has 'note: dags/typo.yaml:2:35: needs: there is no DAG "ordres"; did you mean "orders"?' \
	"a run in the foreground says of whom nobody knows"
rm -rf dags/typo.yaml "$WEIR_HOME"
sim 2026-11-18T01:00:00Z 2026-11-20T03:00:00Z
exits 0 "a daemon lives through three days"
sql_is "2026-11-18|success
2026-11-19|failed" "SELECT ds, state FROM run WHERE dag = 'orders' ORDER BY ds" "the DAG that is needed"
sql_is "anyhow|success
day|success
first|success
strict|upstream_failed
sum|success
whole|upstream_failed" "SELECT t.name, t.state FROM task t JOIN run r ON r.id = t.run_id
	WHERE r.dag = 'billing' AND r.ds = '2026-11-19' ORDER BY t.name" \
	"what failed elsewhere counts as a need that failed"
sql_is "0" "SELECT count(*) FROM attempt a JOIN run r ON r.id = a.run_id
	JOIN task t ON t.run_id = (SELECT id FROM run WHERE dag = 'orders' AND ds = r.ds)
	JOIN attempt o ON o.run_id = t.run_id AND o.task = 'load'
	WHERE r.dag = 'billing' AND a.task = 'sum' AND t.name = 'load' AND a.token < o.token" \
	"no task began before what it needs"
is "$(at "a.task = 'day' AND r.ds = '2026-11-18'")" "billing 2026-11-18 day 19 02:00" \
	"smaller intervals are all waited for"
weir why billing@2026-11-19 strict
out_has "was not run: it needs orders.tell, which did not succeed" "why names the other DAG's task"
out_has "tell failed: failed, and no retries are set: exit status 1" "and goes on into its run"
out_has "weir logs orders@2026-11-19 tell" "with the command that helps"

# A run that is not there is waited for, however long; then the task starts within the same step.
rm -rf "$WEIR_HOME"
sed -i 's/0 2/0 4/' dags/orders.yaml
sed -i '/day:/d; /strict:/d; /whole:/d; /anyhow:/d' dags/billing.yaml
sed -i 's/orders.load/{ dag: orders, task: load, interval: covers }/' dags/billing.yaml
sed -i 's/start: 2026-11-18/start: 2026-11-18T02:00:00Z/; s/"0 2 \* \* \*"/"0 2 * * *"/' dags/billing.yaml
cat >dags/orders.yaml <<'END'
dag: orders
schedule: { every: 12h, start: 2026-11-18T02:00:00Z }
tasks:
  load: { control: wait, with: { time: 3h } }
END
sim 2026-11-18T02:30:00Z 2026-11-19T09:00:00Z
is "$(at "a.task IN ('load', 'first', 'sum')")" "orders 2026-11-18 load 18 17:00
billing 2026-11-18 first 19 02:00
orders 2026-11-18 load 19 05:00
billing 2026-11-18 sum 19 05:00" "a task starts as soon as the last of several runs lets it"
sql_is "deferred|other_run
scheduled|needs_met
running|started
success|succeeded" "SELECT e.to_state, e.reason FROM event e JOIN run r ON r.id = e.run_id
	WHERE r.dag = 'billing' AND e.task = 'sum' AND e.to_state IN
	('deferred', 'scheduled', 'running', 'success') ORDER BY e.id" "deferred, without a slot"

# ---- the run before --------------------------------------------------------------------------------

rm -rf "$WEIR_HOME" dags/*
cat >dags/chain.yaml <<'END'
dag: chain
schedule: { cron: "0 2 * * *", start: 2026-11-16, catchup: all, max_active_runs: 9 }
defaults: { depends_on_past: true }
tasks:
  load: { run: "test -e mended || test {{ ds }} != 2026-11-17" }
  tell: { run: "true", needs: load, trigger: all_done, depends_on_past: false }
END
sim 2026-11-20T01:00:00Z 2026-11-20T02:30:00Z
sql_is "2026-11-16|success|succeeded
2026-11-17|failed|retries_spent
2026-11-18|deferred|past_run
2026-11-19|deferred|past_run" "SELECT r.ds, t.state, t.reason FROM task t JOIN run r ON r.id = t.run_id
	WHERE t.name = 'load' ORDER BY r.ds" "one that failed holds back those after it"
weir why chain@2026-11-19
out_has "load in the run before, chain@2026-11-18" "why names the run and the task"
out_has "chain@2026-11-17, which is failed: it waits until that is done again" \
	"and down to the one that can never be by itself"
out_has "dags/chain.yaml --date 2026-11-17" "with the command that helps"
: >dags/mended
weir retry chain@2026-11-17 load --reason mended
exits 0 "what failed is to be done again"
sim 2026-11-20T02:30:00Z 2026-11-20T02:40:00Z
sql_is "success|4" "SELECT state, count(*) FROM task WHERE name = 'load' GROUP BY state" \
	"then all of them go on, one after the other"
weir run dags/chain.yaml --date 2026-11-22 --only load --quiet
exits 0 "--only asks for no run before"
weir backfill chain --dags dags --from 2026-11-01 --to 2026-11-03 --newest-first
exits 2 "a backfill against the direction of the past is refused"
err_has "depends_on_past" "and says why"

# ---- control: dag, in the foreground ---------------------------------------------------------------

rm -rf "$WEIR_HOME" dags/*
cat >dags/parent.yaml <<'END'
dag: parent
params: { region: eu }
tasks:
  stores: { control: dag, with: { dag: child, params: { region: "{{ params.region }}", n: 3 } },
	retries: 1, backoff: { initial: 1s, jitter: none } }
  after:
    needs: stores
    run: test '{{ tasks.stores.outputs.run }}' = child@{{ ds }}
END
cat >dags/child.yaml <<'END'
dag: child
params: { region: us, n: { type: integer, default: 1 } }
tasks:
  load:
    run: echo {{ params.region }} {{ params.n }} >>done
  tell:
    needs: load
    run: "test -e ok || { : >ok; exit 1; }"
END
: >dags/ok
weir run dags/parent.yaml --date 2026-11-19
exits 0 "a run in the foreground runs the other DAG itself"
out_has "run child@2026-11-19 is at work, for a task of this one" "and says so"
is "$(cat dags/done)" "eu 3" "with the params"
sql_is "child@2026-11-19|dag|success
parent@2026-11-19|manual|success" "SELECT name, \"trigger\", state FROM run ORDER BY name" "both are kept"
weir run dags/parent.yaml --date 2026-11-19 --force
exits 0 "what has succeeded is not run again"
is "$(cat dags/done)" "eu 3" "though the parent is"
weir run dags/parent.yaml --date 2026-11-19 --force --param region=us
exits 1 "other params than the run was begun with fail the task"
out_has 'was begun with params {"n":3,"region":"eu"}' "which says so"

rm -rf "$WEIR_HOME" dags/ok dags/done
export WEIR_TEST_CLOCK=2026-11-20T05:00:00Z
weir run dags/parent.yaml --date 2026-11-19
exits 0 "a retry of the task has what failed done again"
is "$(cat dags/done)" "eu 3" "and nothing else"
sql_is "load|1
tell|2" "SELECT name, tries FROM task WHERE name IN ('load', 'tell')" "by its tries"
sql_is "2" "SELECT tries FROM task WHERE name = 'stores'" "the task itself was tried twice"

rm -rf "$WEIR_HOME" dags/ok
sed 's/dag: child/dag: gone/' dags/parent.yaml >dags/lost.yaml
weir run dags/lost.yaml --date 2026-11-19
exits 1 "a DAG that is not there fails the task"
out_has 'there is no DAG "gone"' "and says so"
rm dags/lost.yaml

# Killed at each of its writes, the same run is found again: there is never a second one.
: >dags/ok
wrong=
for n in $(seq 1 3 60); do
	rm -rf "$WEIR_HOME" dags/done
	WEIR_TEST_KILL_AT_WRITE=$n "$WEIR" run dags/parent.yaml --date 2026-11-19 --quiet \
		>"$T/killed" 2>&1
	was=$?
	WEIR_TEST_CLOCK=2026-11-20T05:10:00Z "$WEIR" run dags/parent.yaml --date 2026-11-19 \
		>"$T/out" 2>&1 || wrong="$wrong $n:status"
	[ "$(sql "$WEIR_HOME/weir.db" "SELECT count(*) FROM run WHERE state = 'success'")" = 2 ] ||
		wrong="$wrong $n:runs"
	[ "$was" = 137 ] || break
done
is "$wrong" "" "a parent that is killed at any write finds its child again"
check "at more than ten places" test "$n" -gt 30

# Nothing but the clock goes on, for ever.
cat >dags/ever.yaml <<'END'
dag: ever
tasks:
  there: { control: wait, with: { dataset: ever.data } }
  make: { run: "true", needs: there, produces: ever.data }
END
"$WEIR" run dags/ever.yaml --date 2026-11-19 >"$T/out" 2>"$T/err" </dev/null &
pid=$!
background="${background:-} $pid"
comes "deferred" "SELECT state FROM task WHERE name = 'there'" "what waits without end"
kill -TERM "$pid"
check "hears signals" await sh -c "! kill -0 $pid 2>/dev/null"
kill -0 "$pid" 2>/dev/null && kill -9 "$pid"
wait "$pid" 2>/dev/null
sql_is "cancelled" "SELECT state FROM run WHERE dag = 'ever'" "and ends"
err_has "note: dags/ever.yaml:3:44: dataset: the DAG waits for itself" "that it waits for itself is said"
rm dags/ever.yaml

cat >dags/wants.yaml <<'END'
dag: wants
tasks: { w: { run: "true", needs: makes.m } }
END
cat >dags/makes.yaml <<'END'
dag: makes
tasks: { m: { control: wait, with: { run: wants, timeout: 1m } } }
END
weir run dags/makes.yaml --date 2026-11-19
exits 1 "a circle with another DAG"
err_has "note: dags/makes.yaml:2:43: run: DAGs wait for each other in a circle: makes.m -> dag:wants" "is said, too"
rm dags/wants.yaml dags/makes.yaml
unset WEIR_TEST_CLOCK

# ---- control: dag, in a daemon ---------------------------------------------------------------------

rm -rf "$WEIR_HOME" dags/ok dags/done
mkfifo dags/gate
open_gate() {
	echo go >dags/gate &
	background="$background $!"
}
cat >dags/child.yaml <<'END'
dag: child
params: { region: us, n: { type: integer, default: 1 } }
tasks:
  load: { run: cat gate }
END
daemon
weir trigger parent --date 2026-11-19
comes "deferred" "SELECT state FROM task WHERE name = 'stores'" "the task is deferred"
comes "running" "SELECT state FROM task WHERE name = 'load'" "while the other DAG runs"
weir why parent@2026-11-19
out_has "stores deferred: waits for the end of the run of child" "why says what it waits for"
out_has "load running" "and goes on into that run"
weir status
exits 0 "status shows both"
kill -9 "$daemon"
wait "$daemon" 2>/dev/null
daemon
open_gate
comes "child@2026-11-19|success
parent@2026-11-19|success" "SELECT name, state FROM run ORDER BY name" \
	"a daemon that comes after goes on with both"
sql_is "1|1" "SELECT count(*), max(tries) FROM task WHERE name = 'load'" "the task in between was run once"

weir trigger parent --date 2026-11-18
comes "running" "SELECT t.state FROM task t JOIN run r ON r.id = t.run_id
	WHERE t.name = 'load' AND r.ds = '2026-11-18'" "another one"
weir cancel parent@2026-11-18 --reason enough
comes "child|cancelled
parent|cancelled" "SELECT dag, state FROM run WHERE ds = '2026-11-18' ORDER BY dag" \
	"a cancel takes along the run that was made"
weir trigger child --date 2026-11-17
comes "running" "SELECT t.state FROM task t JOIN run r ON r.id = t.run_id
	WHERE t.name = 'load' AND r.ds = '2026-11-17'" "one that a person asked for"
weir trigger parent --date 2026-11-17
comes "deferred" "SELECT t.state FROM task t JOIN run r ON r.id = t.run_id
	WHERE t.name = 'stores' AND r.ds = '2026-11-17'" "is waited for"
weir cancel parent@2026-11-17
comes "cancelled" "SELECT state FROM run WHERE dag = 'parent' AND ds = '2026-11-17'" "and left"
sql_is "running" "SELECT state FROM run WHERE dag = 'child' AND ds = '2026-11-17'" "when that is cancelled"
open_gate
comes "success" "SELECT state FROM run WHERE dag = 'child' AND ds = '2026-11-17'" "to its own end"

# ---- files that come and go, under a daemon --------------------------------------------------------

cat >dags/needy.yaml <<'END'
dag: needy
tasks: { a: { run: "true", needs: later.x } }
END
weir reload
logs 'there is no DAG \"later\"' "a DAG that names none that is there is not loaded"
cat >dags/later.yaml <<'END'
dag: later
tasks: { x: { run: "true" } }
END
weir reload
logs 'msg="DAG loaded" dag=needy' "until that comes"
cat >dags/later.yaml <<'END'
dag: later
tasks: { x: { run: "true", needs: needy.a } }
END
weir reload
logs 'circle: later.x -> needy.a -> later.x' "a circle is an error"
weir trigger later --date 2026-11-19
comes "success" "SELECT state FROM run WHERE dag = 'later'" "and the last good version goes on"
cat >dags/later.yaml <<'END'
dag: later
schedule: { datasets: made }
tasks: { x: { control: dag, with: { dag: maker } } }
END
cat >dags/maker.yaml <<'END'
dag: maker
tasks: { m: { run: "true", produces: made } }
END
weir reload
logs 'circle: later -> maker -> later' "one by way of a dataset, too"
weir why later
out_has "circle: later -> maker -> later" "and why tells it"
weir status
out_has "circle: later -> maker -> later" "as does status"
ends TERM
exits 0 "the daemon ends"

finish
