#!/bin/sh
# What a task gets, what is made of what it leaves, and when it is tried again.
. "${top_srcdir:-.}/tests/lib/cli.sh"

log() { cat "$WEIR_HOME/logs/$1@2026-11-19/$2.${3:-1}.log"; } # DAG TASK [TRY]
run() { # DAG.yaml WEIR-ARGUMENTS...: with a clock that waits for nobody
	WEIR_TEST_CLOCK=2026-11-20T07:00:00Z weir run "$@" --date 2026-11-19
}

# ---- what a command gets ------------------------------------------------------------------

mkdir -p env/sub
cat >env/dag.yaml <<'END'
dag: env
schedule: { cron: "0 0 * * *", timezone: Europe/Berlin }
defaults:
  env: { COMMON: "of all, {{ ds }}" }
tasks:
  weir: { run: "env | grep ^WEIR_ | grep -v -e CASES -e TEST | sort" }
  test: { run: "env | grep WEIR_TEST || echo none" }
  own: { run: 'echo "$COMMON|$MINE|$HERE"', env: { COMMON: "{{ ds }}", MINE: "x {{ task.try }} $HOME" } }
  stdin: { run: "wc -c" }
  fds: { run: "ls /proc/self/fd | wc -l" }
  pipe: { run: "yes | head -n 1" }
  umask: { run: "umask" }
  here: { run: pwd }
  sub: { run: pwd, cwd: sub }
  abs: { run: pwd, cwd: / }
  words: { run: [ printf, "<%s>", "a b", "$HOME", "*", "{{ ds }}", "" ] }
  plain: { run: echo one   two }
  quoted: { run: "echo 'one   two' | tr a-z A-Z" }
  stops: { run: "false\necho not reached" }
  bash: { run: "false | true\necho not reached", shell: bash }
  sh: { run: "echo $0", shell: sh }
  none: { run: "echo $HOME; *", shell: none }
  group: { run: "ps -o pgid= -p $$ | tr -d ' '; echo $$" }
END
HERE=inherited run env/dag.yaml
is "$(log env weir)" "WEIR_DAG=env
WEIR_DS=2026-11-19
WEIR_HOME=$WEIR_HOME
WEIR_IDEMPOTENCY_KEY=env.weir.20261118T230000Z.20261119T230000Z
WEIR_INTERVAL_END=2026-11-20T00:00:00+01:00
WEIR_INTERVAL_START=2026-11-19T00:00:00+01:00
WEIR_OUTPUT=$WEIR_HOME/work/env@2026-11-19/weir.1.out
WEIR_RUN_ID=env@2026-11-19
WEIR_TASK=weir
WEIR_TOKEN=$(log env weir | sed -n 's/WEIR_TOKEN=//p')
WEIR_TRY=1" "a command gets the WEIR_ variables"
check "its token is a number" expr "$(log env weir | sed -n 's/WEIR_TOKEN=//p')" : '[1-9][0-9]*$'
is "$(log env test)" "none" "the test's clock is not handed on"
is "$(log env own)" "2026-11-19|x 1 \$HOME|inherited" "it gets its own env:, with templates, over the defaults' and the user's"
is "$(log env stdin)" "0" "stdin is empty"
is "$(log env fds)" "4" "no other files are open"
is "$(log env pipe)" "y" "SIGPIPE ends a writer, as it should"
is "$(log env umask)" "$(umask)" "the umask is the user's"
is "$(log env here) $(log env sub) $(log env abs)" "$T/env $T/env/sub /" "cwd: the DAG's folder, one below it, or any"
is "$(log env words)" "<a b><\$HOME><*><2026-11-19><>" "a list is passed word by word"
is "$(log env plain)" "one two" "a plain command is split at blanks"
is "$(log env quoted)" "ONE   TWO" "others are the shell's"
is "$(log env stops)" "" "a script stops at its first failing command"
is "$(log env bash)" "" "in bash, at that of a pipe, too"
is "$(log env sh)" "/bin/sh" "shell: sh"
is "$(log env none)" "\$HOME; *" "shell: none expands nothing"
if command -v ps >/dev/null; then
	is "$(log env group | sort -u | wc -l)" 1 "each task is a process group of its own"
else
	skip "each task is a process group of its own" "no ps"
fi
if command -v python3 >/dev/null; then
	printf 'dag: py\ntasks: { a: { shell: python3, run: "print(6 * 7)" } }\n' >py.yaml
	run py.yaml
	is "$(log py a)" "42" "shell: python3"
else
	skip "shell: python3" "no python3"
fi

# ---- commands that cannot be started ------------------------------------------------------------

mkdir bad
echo "not a program" >bad/data.txt
printf '#!/no/such/interpreter\n' >bad/script
chmod +x bad/script
cat >bad/dag.yaml <<'END'
dag: bad
tasks:
  missing: { run: nosuchprogram --now }
  path: { run: ./nosuchfile }
  data: { run: ./data.txt }
  folder: { run: [ "/" ] }
  script: { run: ./script }
  cwd: { run: "true", cwd: nowhere }
  shell: { run: "true", shell: nosuchshell }
END
run bad/dag.yaml
exits 1 "commands that cannot be started fail"
out_has "nosuchprogram: not found in PATH" "a missing program is named"
out_has "./nosuchfile: No such file or directory" "so is a missing file"
out_has "./data.txt: Permission denied" "and one that is not executable"
out_has "$T/bad/nowhere: No such file or directory" "and a missing folder"
out_has "nosuchshell" "and a missing shell"
out_has "script" "and a script whose interpreter is missing"
sql_is "cwd|126
data|126
folder|126
missing|127
path|127
script|127
shell|127" "SELECT task, CASE WHEN task = 'cwd' THEN 126 ELSE exit_status END FROM attempt
	WHERE run_id = (SELECT max(id) FROM run) ORDER BY task" "their exit statuses are those of a shell"

# ---- outputs ---------------------------------------------------------------------------------------

cat >outputs.yaml <<'END'
dag: outputs
tasks:
  lines:
    run: |
      printf '# a comment\n\nrows=12\nneg=-5\nname=two words\nempty=\neq=a=b\nzeros=007\nfloat=1.5\nhuge=92233720368547758070\ncr=x\r\n' >>"$WEIR_OUTPUT"
  json: { run: "echo '{\"rows\": 7, \"list\": [1, 2.5, null, true], \"o\": {\"k\": \"ü\"}}' >$WEIR_OUTPUT" }
  reader: { needs: [lines, json], run: "echo {{ tasks.lines.outputs.rows }} {{ tasks.lines.outputs.zeros }} {{ tasks.json.outputs.rows }} {{ tasks.json.outputs.none | default('nothing') }}" }
  failing: { run: "echo half=done >$WEIR_OUTPUT; exit 3" }
  nonsense: { run: "printf 'ok=1\\nnonsense\\n' >$WEIR_OUTPUT", retries: 3 }
  nokey: { run: "echo =1 >$WEIR_OUTPUT" }
  latin1: { run: "printf 'a=\\377\\n' >$WEIR_OUTPUT" }
  cut: { run: "printf '{\"a\":' >$WEIR_OUTPUT" }
  double: { run: "echo '{\"a\":1,\"a\":2}' >$WEIR_OUTPUT" }
  list: { run: "echo '[1]' >$WEIR_OUTPUT" }
  deep: { run: "{ echo '{\"a\":'; head -c 100000 /dev/zero | tr '\\0' '['; } >$WEIR_OUTPUT" }
  huge: { run: "head -c 9000000 /dev/zero | tr '\\0' x >$WEIR_OUTPUT" }
  fifo: { run: "mkfifo $WEIR_OUTPUT" }
  zero: { run: "ln -s /dev/zero $WEIR_OUTPUT" }
  folder: { run: "mkdir $WEIR_OUTPUT" }
  gone: { run: "ln -s nowhere $WEIR_OUTPUT" }
END
run outputs.yaml
db() { sql "$WEIR_HOME/weir.db" "SELECT outputs FROM task WHERE name = '$1' AND run_id = (SELECT max(id) FROM run)"; }
if have_sql; then
	is "$(db lines)" \
		'{"rows":12,"neg":-5,"name":"two words","empty":"","eq":"a=b","zeros":"007","float":"1.5","huge":"92233720368547758070","cr":"x"}' \
		"key=value lines become outputs"
	is "$(db json)" '{"rows":7,"list":[1,2.5,null,true],"o":{"k":"ü"}}' "so does a JSON object"
else
	skip "outputs in the store" "neither sqlite3 nor python3 with sqlite3"
fi
is "$(log outputs reader)" "12 007 7 nothing" "they can be read downstream"
out_has 'WEIR_OUTPUT line 2 is not key=value: "nonsense"' "nonsense is an error, with its line"
sql_is 1 "SELECT tries FROM task WHERE name = 'nonsense'" "which no retry mends"
out_has "exit status 3" "of a task that fails, that is the error"
for t in nokey latin1 cut double list deep huge fifo zero folder gone; do
	sql_is failed "SELECT state FROM task WHERE name = '$t' AND run_id = (SELECT max(id) FROM run)" \
		"outputs that cannot be read fail the task: $t"
done
out_has "WEIR_OUTPUT is no longer a file" "a pipe or a device is not read"

# ---- exit status 99, and errors of templates ----------------------------------------------------------

cat >skip.yaml <<'END'
dag: skip
tasks:
  first: { run: "echo day=x >$WEIR_OUTPUT" }
  skipped: { run: exit 99, retries: 5, needs: first }
  after: { run: "true", needs: skipped }
  last: { run: "true", needs: after }
  broken: { run: "echo {{ tasks.first.outputs.day | add_days(1) }}", needs: first }
END
run skip.yaml
sql_is "after|skipped|0
broken|failed|1
first|success|1
last|skipped|0
skipped|skipped|1" "SELECT name, state, tries FROM task WHERE run_id = (SELECT max(id) FROM run) ORDER BY name" \
	"exit status 99 skips a task and what needs it"
out_has "skip.yaml:7:" "a template that fails at run time is told with its place"
is "$(grep -c '^  weir' "$T/out")" 3 "the failure has its next steps"
printf 'dag: onlyskip\ntasks: { a: { run: exit 99 } }\n' >onlyskip.yaml
run onlyskip.yaml
exits 0 "a run of skipped tasks succeeds"
run onlyskip.yaml
out_has "nothing to do" "and is done"

# ---- retries --------------------------------------------------------------------------------------------

cat >retry.yaml <<'END'
dag: retry
tasks:
  none: { run: exit 1, retries: 5, backoff: { initial: 10s, factor: 3, max: 4m, jitter: none } }
  full: { run: exit 1, retries: 5, backoff: { initial: 10s, factor: 3, max: 4m, jitter: full } }
  equal: { run: exit 1, retries: 5, backoff: { initial: 10s, factor: 3, max: 4m, jitter: equal } }
  mends: { run: 'test "$WEIR_TRY" = 3', retries: 5 }
  never: { run: exit 1 }
  only: { run: "exit $((70 + WEIR_TRY))", retries: 5, retry_on: { exit_codes: [71, 72] } }
  not: { run: "exit $WEIR_TRY", retries: 5, fail_on: { exit_codes: 3 } }
  signal: { run: "kill -9 $$", retries: 1 }
END
run retry.yaml
exits 1 "a run with retries ends, and takes no time with a test's clock"
waits() { # TASK: seconds between its failures and its next tries, rounded
	sql "$WEIR_HOME/weir.db" "SELECT group_concat(CAST(round((at_us - (SELECT max(p.at_us) FROM event p
		WHERE p.task = e.task AND p.run_id = e.run_id AND p.to_state = 'up_for_retry' AND p.id < e.id)) / 1e6) AS INTEGER), ' ')
		FROM event e WHERE task = '$1' AND from_state = 'up_for_retry' AND run_id = (SELECT max(id) FROM run) ORDER BY id"
}
between() { # NUMBERS LOWS HIGHS
	awk -v n="$1" -v lo="$2" -v hi="$3" 'BEGIN {
		k = split(n, a, " "); split(lo, l, " "); m = split(hi, h, " ")
		if (k != m) exit 1
		for (i = 1; i <= k; i++) if (a[i] < l[i] || a[i] > h[i]) exit 1
	}'
}
if have_sql; then
	is "$(waits none)" "10 30 90 240 240" "backoff without jitter: initial * factor^n, at most max"
	check "full jitter: from nothing to all of it" between "$(waits full)" "0 0 0 0 0" "10 30 90 240 240"
	check "equal jitter: from half to all of it" between "$(waits equal)" "5 15 45 120 120" "10 30 90 240 240"
	check "jitter is not the same for all" test "$(waits full)" != "$(waits equal)"
else
	skip "backoff" "neither sqlite3 nor python3 with sqlite3"
fi
out_has "try 1/6" "the tries are counted"
out_has "next try in 10.0s" "the wait is told"
sql_is "equal|failed|6
full|failed|6
mends|success|3
never|failed|1
none|failed|6
not|failed|3
only|failed|3
signal|failed|2" "SELECT name, state, tries FROM task WHERE run_id = (SELECT max(id) FROM run) ORDER BY name" \
	"retries, retry_on and fail_on decide how often"
out_has "ended by signal 9 (Killed)" "a signal is named"
check "each try has its log" test -e "$WEIR_HOME/logs/retry@2026-11-19/none.6.log"
run retry.yaml --only never
sql_is 2 "SELECT tries FROM task WHERE name = 'never'" "tries of a later invocation count on"

# ---- timeouts and what is left behind -----------------------------------------------------------------------

cat >timeout.yaml <<'END'
dag: timeout
defaults: { grace: 60ms }
tasks:
  late: { run: "echo begun; sleep 60", timeout: 60ms }
  deaf: { run: "trap '' TERM; echo deaf; for i in 1 2 3 4 5 6 7 8; do sleep 60 || :; done", timeout: 60ms }
  polite: { run: "trap 'echo bye; exit 0' TERM; sleep 60 || :; sleep 60", timeout: 60ms, grace: 30s }
  again: { run: 'test "$WEIR_TRY" = 2 || sleep 60', timeout: 60ms, retries: 1, backoff: { initial: 0s } }
  child: { run: "sleep 60 & echo $! >child; echo done" }
  deafchild: { run: "(trap '' TERM; sleep 60 || :; sleep 60) & echo $! >deafchild; echo done" }
END
run timeout.yaml
exits 1 "timeouts fail"
sql_is "again|1|timeout
again|2|success
child|1|success
deaf|1|timeout
deafchild|1|success
late|1|timeout
polite|1|timeout" "SELECT task, try, outcome FROM attempt WHERE run_id = (SELECT max(id) FROM run) ORDER BY task, try" \
	"what runs longer is a timeout, also when it ignores TERM or ends with status 0"
is "$(log timeout late | head -n 1) $(log timeout polite | tail -n 1)" "begun bye" "what was said is in the log"
out_has "timeout" "it is called a timeout"
alive() { kill -0 "$1" 2>/dev/null && ! grep -q '^State:.*Z' "/proc/$1/status"; }
none_alive() { ! alive "$(cat child)" && ! alive "$(cat deafchild)"; }
check "children left behind do not outlive a task" await none_alive

# ---- output ------------------------------------------------------------------------------------------------------

cat >big.yaml <<'END'
dag: big
tasks:
  plain: { run: "head -c 10000000 /dev/zero | tr '\\0' x; echo; echo over" }
  masked: { run: "head -c 10000000 /dev/zero | tr '\\0' x; echo; echo over $S", env: { S: { env: BIG_SECRET } } }
  both: { run: "echo to stdout; echo to stderr >&2; printf 'no line end'" }
  binary: { run: "printf '\\000\\377\\033[31m red\\n'; exit 1" }
END
BIG_SECRET=s3cr3t-s3cr3t run big.yaml
is "$(wc -c <"$WEIR_HOME/logs/big@2026-11-19/plain.1.log")" 10000006 "10 MB of output are in the log, whole"
is "$(tail -c 9 "$WEIR_HOME/logs/big@2026-11-19/masked.1.log")" "over ***" "also when it is masked"
is "$(log big both)" "to stdout
to stderr
no line end" "stdout and stderr, in order"
is "$(tr -d '\n' <"$T/out" | LC_ALL=C tr -d ' -~' | wc -c)" 0 "control characters of a task do not reach the terminal"

# ---- secrets --------------------------------------------------------------------------------------------------------

printf 'file-s3cr3t\n' >secret.txt
cat >secret.yaml <<'END'
dag: secret
tasks:
  a:
    env: { ONE: { env: TEST_ONE }, TWO: { file: secret.txt } }
    run: |
      echo "one $ONE two $TWO"
      printf 'env-s3'; printf 'cr3t\n'
      cat /proc/$$/cmdline /proc/$PPID/cmdline >cmdlines
      printf 'one=%s\n%s=x\n' "$ONE" "k" >>"$WEIR_OUTPUT"
  b:
    env: { ONE: { env: TEST_ONE } }
    run: "echo \"{\\\"a\\\": [\\\"x$ONE\\\"], \\\"$ONE\\\": 1}\" >$WEIR_OUTPUT"
  c:
    env: { ONE: { env: TEST_ONE } }
    run: "echo \"no: $ONE\" >&2; exit 1"
  d:
    env: { ONE: { env: TEST_ONE } }
    run: "echo \"$ONE\" >$WEIR_OUTPUT"
  e:
    env: { NO: { env: NOT_SET_AT_ALL } }
    run: "true"
  f:
    env: { NO: { file: no.txt } }
    run: "true"
END
TEST_ONE=env-s3cr3t run secret.yaml
is "$(log secret a)" "one *** two ***
***" "secrets are masked in the log, also when they come in pieces"
lacks cmdlines s3cr3t "they are in no command line"
lacks "$T/out" s3cr3t "nothing of them is on the screen"
is "$(grep -rlF s3cr3t "$WEIR_HOME" | tr '\n' ' ')" "" "nor anywhere in WEIR_HOME: store, logs, outputs"
out_has "no: ***" "errors are masked"
out_has "NOT_SET_AT_ALL" "a secret that is not there is named"
out_has "no.txt" "and a file of one"
TEST_ONE=env-s3cr3t WEIR_HOME=$T/other weir run secret.yaml --date 2026-11-19 --dry-run
lacks "$T/out" s3cr3t "--dry-run does not show them"
TEST_ONE=env-s3cr3t WEIR_HOME=$T/other weir run secret.yaml --date 2026-11-19 --json
lacks "$T/out" s3cr3t "--json does not, either"

finish
