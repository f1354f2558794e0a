#!/bin/sh
# What must not happen when the system is unkind: a store that is locked, descriptors that are closed or
# spent, containers, killed processes, pipes in place of files, secrets in outputs.
. "${top_srcdir:-.}/tests/lib/cli.sh"
. "$top_srcdir/tests/lib/background.sh"

# A folder and a WEIR_HOME of its own; the DAG comes from stdin. @WAIT@ waits for a file `go`.
scene() { # NAME
	mkdir "$T/$1" && cd "$T/$1" || exit 99
	WEIR_HOME=$T/$1/home
	sed "s/@WAIT@/for i in \$(seq 6000); do test ! -e go || break; sleep 0.02 || :; done/" >dag.yaml
}

# Hold the store locked until there is a file `unlock`; it is locked when there is a file `locked`.
lock_store() {
	python3 - "$WEIR_HOME/weir.db" <<-'END' &
		import os, sqlite3, sys, time
		db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
		db.execute("BEGIN IMMEDIATE")
		open("locked", "w")
		for i in range(9000):
		    if os.path.exists("unlock"):
		        break
		    time.sleep(0.02)
		db.execute("ROLLBACK")
	END
	locker=$!
	background="${background:-} $locker"
	await test -e locked
}

# ---- descriptors ---------------------------------------------------------------------------------

scene closed <<'END'
dag: closed
tasks:
  one: { run: "echo one >>witness; cat" }
  two: { run: "echo two >>witness; echo k=1 > $WEIR_OUTPUT", needs: one }
END
timeout 120 "$WEIR" run dag.yaml --date 2026-11-19 >&-
is "$?" 6 "stdout is closed: what was printed did not arrive, which is an error"
is "$(lines witness)" "one two " "but the run is not disturbed"
sql_is success "SELECT state FROM run" "it succeeded"
timeout 120 "$WEIR" run dag.yaml --date 2026-11-20 <&- >&- 2>&-
is "$?" 6 "all three are closed"
sql_is "success|2" "SELECT state, count(*) FROM run" "likewise"

scene limit <<'END'
dag: limit
defaults: { lost_retries: 0 }
tasks:
  limit: { run: ulimit -n >witness }
END
for i in $(seq 60); do echo "  t$i: { run: sleep 0.3, env: { PW: { env: MYPW } } }"; done >>dag.yaml
(
	if ulimit -Sn 48 && ulimit -Hn 2048; then
		MYPW=abcdefgh "$WEIR" run dag.yaml --date 2026-11-19 -j 60 >out 2>&1
		echo "$?" >status
	fi
)
if [ -e status ]; then
	is "$(cat status)" 0 "more tasks at once than the soft limit of descriptors: the supervisor raises its own"
	is "$(cat witness)" 48 "that of the tasks is the user's"
else
	skip "more tasks at once than the soft limit of descriptors" "limits cannot be set"
fi

scene refused <<'END'
dag: refused
tasks:
END
for i in $(seq 24); do echo "  t$i: { run: 'sleep 0.5', env: { PW: { env: MYPW } } }"; done >>dag.yaml
(ulimit -n 40 && MYPW=abcdefgh "$WEIR" run dag.yaml --date 2026-11-19 -j 24 >out 2>&1; echo "$?" >status)
is "$(cat status)" 0 "the hard limit stops some: they are tried again, later"
has out "Too many open files" "after a while, with the reason"

scene large <<'END'
dag: large
tasks:
END
for i in $(seq 700); do echo "  t$i: { run: 'true' }"; done >>dag.yaml
LARGE=$(head -c 100000 /dev/zero | tr '\0' x)
LARGE=$LARGE "$WEIR" run dag.yaml --date 2026-11-19 -j 700 >out 2>&1
is "$?" 0 "700 starts at once with a large environment"
LARGE=

# ---- outputs that are none ------------------------------------------------------------------------

scene pipe <<'END'
dag: pipe
tasks:
  one: { run: mkfifo "$WEIR_OUTPUT" }
END
timeout -s KILL 120 "$WEIR" run dag.yaml --date 2026-11-19 >"$T/out" 2>"$T/err"
status=$?
exits 1 "a pipe in place of WEIR_OUTPUT: the task failed, and nobody waits"
out_has "no longer a file" "it says why"

# ---- secrets --------------------------------------------------------------------------------------

scene secret <<'END'
dag: secret
tasks:
  text:
    run: 'echo "leaked=x${PW}y" >"$WEIR_OUTPUT"'
    env: { PW: { env: MYPW } }
  number:
    run: 'echo "leaked=$PIN" >"$WEIR_OUTPUT"'
    env: { PIN: { env: MYPIN } }
  json:
    run: |
      echo "{\"a\": [$PIN, {\"$PW\": \"$PW\"}], \"rows\": 17}" >"$WEIR_OUTPUT"
    env: { PIN: { env: MYPIN }, PW: { env: MYPW } }
  error:
    run: 'echo "it is $PW"; exit 3'
    env: { PW: { env: MYPW } }
  malformed:
    run: 'echo "$LONG" >"$WEIR_OUTPUT"'
    env: { LONG: { env: MYLONG } }
END
long=$(head -c 100 /dev/zero | tr '\0' q)
MYPW=s3cretvalue99 MYPIN=73310042 MYLONG=$long weir run dag.yaml --date 2026-11-19
exits 1 "tasks tell their secrets"
cat "$T/err" >>"$T/out"
out_lacks s3cretvalue99 "they are masked where people look"
out_lacks qqqqqqqqqq "also where a quotation is cut"
if have_sql; then
	python3 -c 'import sqlite3, sys
for line in sqlite3.connect(sys.argv[1]).iterdump(): print(line)' "$WEIR_HOME/weir.db" >dump 2>&1
	for value in s3cretvalue99 73310042 qqqqqqqqqq; do lacks dump "$value" "and in the store: $value"; done
	has dump '"rows":17' "what is no secret is kept"
fi

scene gone_secret <<'END'
dag: gone_secret
tasks:
  one:
    run: |
      echo "leaked=$PW" >"$WEIR_OUTPUT"
      echo $$ >pid.new; mv pid.new pid
      @WAIT@
    env: { PW: { env: MYPW } }
END
MYPW=s3cretvalue99 start first run dag.yaml --date 2026-11-19
await test -s pid
supervisor=$(parent_of "$(cat pid)")
kill -9 "$pid"
finished
touch go
await gone "$supervisor"
weir run dag.yaml --date 2026-11-19
sql_is 0 "SELECT count(*) FROM attempt WHERE result LIKE '%s3cret%' OR error LIKE '%s3cret%'" \
	"who settles an attempt without its secret keeps nothing it reported"
sql_is failed "SELECT outcome FROM attempt WHERE try = 1" "and does not count it as done"
MYPW=s3cretvalue99 weir run dag.yaml --date 2026-11-19
exits 0 "with the secret it is done again"
sql_is 0 "SELECT count(*) FROM task WHERE outputs LIKE '%s3cret%'" "and masked"

# ---- the store is locked ---------------------------------------------------------------------------

if ! command -v python3 >/dev/null; then
	skip "the store is locked" "no python3"
else
	scene last_commit <<-'END'
		dag: last_commit
		tasks:
		  one: { run: "touch runs; @WAIT@; echo done >>witness" }
	END
	start first run dag.yaml --date 2026-11-19
	first=$pid first_dir=$PWD
	await test -e runs
	lock_store
	touch go

	scene stubborn <<-'END'
		dag: stubborn
		tasks:
		  one:
		    run: |
		      trap 'echo no' TERM
		      echo $$ >pid.new; mv pid.new pid
		      @WAIT@
		    grace: 1h
		  two: { run: "while test ! -e two; do sleep 0.02; done" }
	END
	start second run dag.yaml --date 2026-11-19 -j 2
	second=$pid
	await test -s pid
	task=$(cat pid)
	lock_store
	touch two
	await grep -q "locked" second.out
	sleep 0.7 # it tries again
	kill -INT "$second"
	check "the store is locked: a signal is heard all the same" await grep -q "asked to end" second.out
	kill -INT "$second"
	check "the store is locked: a second SIGINT kills the tasks all the same" await gone "$task"
	kill -INT "$second"
	pid=$second
	finished
	exits 130 "a third one leaves"
	out_has "run the same command again" "and says what to do"
	check "the journal stays" test -n "$(journals)"
	touch unlock go
	wait "$locker"
	weir run dag.yaml --date 2026-11-19
	exits 0 "which works"
	out_has "one: try 1 of the earlier invocation: cancelled" "and knows what became of the task"
	sql_is 0 "SELECT count(*) FROM attempt WHERE outcome IS NULL OR outcome = 'none'" "as the store does"

	cd "$first_dir"
	WEIR_HOME=$first_dir/home
	await grep -q "locked" first.out
	check "the last commit is refused: weir run stays" kill -0 "$first"
	touch unlock
	pid=$first out=first.out
	finished
	exits 0 "until the store can be written"
	sql_is "success|success|1" "SELECT run.state, attempt.outcome, count(*) FROM run, attempt" "nothing is lost"
	weir run dag.yaml --date 2026-11-19
	is "$(lines witness)" "done " "nor done twice"
fi

# ---- a journal that says nothing ---------------------------------------------------------------------

scene torn <<'END'
dag: torn
tasks:
  one:
    run: |
      echo "start" >>witness
      echo $$ >pid.new; mv pid.new pid
      @WAIT@
END
start first run dag.yaml --date 2026-11-19
await test -s pid
task=$(cat pid)
journal=$(journals)
kill -9 "$pid" "$(parent_of "$task")"
finished
await gone "$task"
: >"$WEIR_HOME/supervisor/$journal"
: >"$WEIR_HOME/supervisor/$journal.77.new"
touch -d '1 hour ago' "$WEIR_HOME/supervisor/$journal.77.new"
: >"$WEIR_HOME/supervisor/$journal.78.new"
touch go
weir run dag.yaml --date 2026-11-19
exits 0 "an empty journal and nameless ones (a power loss) do not block the interval"
out_has "one: try 1 of the earlier invocation: lost: its supervisor is gone" "the attempt is lost"
is "$(journals)" "$journal.78.new" "what nobody needs is tidied up; what is about to be one is not"
is "$(lines witness)" "start start " "and the work was done again"

# ---- the supervisor dies between a start and its journal's next line --------------------------------------

for step in 3 4; do
	scene "step$step" <<-'END'
		dag: steps
		tasks:
		  a: { run: 'true' }
		  publish: { run: "sh -c '@WAIT@; echo published >>witness'; true" }
		  c: { run: 'true' }
	END
	WEIR_TEST_KILL_SUPERVISOR_AT=$step "$WEIR" run dag.yaml --date 2026-11-19 -j 3 >first.out 2>&1
	start second run dag.yaml --date 2026-11-19 -j 3
	await grep -q "publish  started" second.out
	touch go
	finished
	exits 0 "the supervisor dies at its step $step: the next invocation goes on"
	sleep 0.1
	is "$(lines witness)" "published " "and no grandchild has survived to do the work twice"
done

# ---- tasks that are no longer there --------------------------------------------------------------------------

for how in lost ended; do
	scene "removed_$how" <<-'END'
		dag: removed
		tasks:
		  stays: { run: "echo stays >>witness" }
		  leaves:
		    run: |
		      echo $$ >pid.new; mv pid.new pid
		      @WAIT@
		      echo x=1 >"$WEIR_OUTPUT"
		    needs: stays
	END
	start first run dag.yaml --date 2026-11-19
	await test -s pid
	task=$(cat pid) supervisor=$(parent_of "$(cat pid)")
	if [ $how = lost ]; then
		kill -9 "$pid" "$supervisor"
		outcome=lost
	else
		kill -9 "$pid"
		outcome=success
	fi
	finished
	touch go
	await gone "$supervisor"
	printf 'dag: removed\ntasks:\n  stays: { run: "echo stays >>witness" }\n  comes: { run: "true" }\n' >dag.yaml
	weir run dag.yaml --date 2026-11-19
	exits 0 "a task with an attempt in flight was taken out of the DAG ($how)"
	sql_is "leaves|$outcome|cancelled" "SELECT task, outcome, state FROM attempt JOIN task
		ON task.name = attempt.task WHERE task = 'leaves'" "the attempt has its end, the task is cancelled"
	sql_is success "SELECT state FROM run" "the run succeeds without it"
	check "nothing is left of it" test -z "$(find "$WEIR_HOME/work" -type f)"
done

# ---- the work folder is tidied up -------------------------------------------------------------------------------

scene tidy <<'END'
dag: tidy
tasks:
  one: { run: "touch runs; @WAIT@; rm -r $WEIR_HOME/work/*" }
  two: { run: "echo k=1 >$WEIR_OUTPUT", needs: one }
END
touch go
weir run dag.yaml --date 2026-11-19
exits 0 "the folder for outputs is removed while a run runs: it is made again"
sql_is '{"k":1}' "SELECT outputs FROM task WHERE name = 'two'" "and outputs are known"

# ---- containers: the same WEIR_HOME, another PID namespace ---------------------------------------------------------

container() { # NAME: weir run in a PID namespace of its own
	out=$1.out
	unshare --pid --fork --mount-proc --kill-child "$WEIR" run dag.yaml --date 2026-11-19 >"$out" 2>&1 </dev/null &
	pid=$!
	background="${background:-} $pid"
}
expire() { sql "$WEIR_HOME/weir.db" "UPDATE run SET lease_until_us = 1"; }

if ! unshare --pid --fork --mount-proc --kill-child true 2>/dev/null || ! have_sql; then
	skip "another PID namespace" "unshare is not permitted, or no sqlite3"
else
	scene container <<-'END'
		dag: container
		tasks:
		  one: { run: "touch runs; @WAIT@; echo done >>witness" }
	END
	container first
	first=$pid
	await test -e runs
	weir run dag.yaml --date 2026-11-19
	exits 4 "a process of another PID namespace owns the run: it is not taken for dead"
	err_has "is in the hands of process" "its lease counts"
	expire
	start second run dag.yaml --date 2026-11-19
	check "its lease has run out: the next one asks its supervisor for the task" \
		await grep -q "carrying on with it" second.out
	touch go
	finished
	exits 0 "and takes the result"
	wait "$first"
	check "the first one finds that the run is no longer its own" test "$?" -ne 0
	is "$(lines witness)" "done " "nothing is done twice"

	scene restarted <<-'END'
		dag: restarted
		tasks:
		  one: { run: "touch runs; @WAIT@; echo done >>witness" }
	END
	container first
	await test -e runs
	kill -9 "$pid"
	wait "$pid" 2>/dev/null
	await expire
	touch go
	container second
	finished
	exits 0 "a container is killed and comes again, with the same process numbers: it goes on"
	is "$(lines witness)" "done " "and does the work"
	check "no journal is left" no_journal
fi

finish
