#!/bin/sh
# What one sees: status, runs, show, logs, graph, help, completions; in colour, in a pipe, on a terminal.
. "${top_srcdir:-.}/tests/lib/cli.sh"

ESC=$(printf '\033')

mkdir dags
cat >dags/look.yaml <<'END'
dag: look
description: "A DAG to look at: \e[31mred\e[0m"
owner: data-platform
runbook: runbooks/look.md
schedule: { cron: "0 2 * * *", timezone: Europe/Berlin, start: 2026-01-01 }
params: { region: eu }
tasks:
  a: { run: echo from a }
  b: { run: "echo from b $WEIR_TRY; exit 3", needs: a, retries: 1, backoff: { initial: 0s } }
  c: { run: "true", needs: b }
  d: { run: "printf 'x\\033[2Jy\\n'", needs: a }
END
printf 'dag: good\ntasks: { t: { run: "true" } }\n' >dags/good.yaml
weir run dags/good.yaml --date 2026-11-18
weir run dags/good.yaml --date 2026-11-19
weir run dags/look.yaml --date 2026-11-19

# ---- status and runs --------------------------------------------------------------------------

weir status
exits 0 "weir status"
is "$(awk '/@/ && NF > 3 { print $1, $2 }' "$T/out")" "failed look@2026-11-19
success good@2026-11-19" "the latest run of each DAG, problems first"
out_has "2/4, 1 failed" "how far it came"
out_has "failed: b" "and what failed"
weir status --json
json_is '[["look", "failed", ["b"]], ["good", "success", []]]' '[[x["dag"], x["state"], x["failed"]] for x in d["dags"]]' \
	"weir status --json"
weir runs
is "$(awk 'NR > 1 { print $2 }' "$T/out" | tr '\n' ' ')" "look@2026-11-19 good@2026-11-19 good@2026-11-18 " "weir runs: newest first"
weir runs good -n 1
is "$(awk 'NR > 1 { print $2 }' "$T/out")" "good@2026-11-19" "of one DAG, and so many"
weir runs --state failed
is "$(awk 'NR > 1 { print $2 }' "$T/out")" "look@2026-11-19" "in one state"
weir runs --state faild
exits 2 "a state that is none"
err_has 'did you mean "failed"' "with the nearest"
weir runs goood
exits 5 "an unknown DAG"
err_has "did you mean good?" "with the nearest"
weir runs --json
json_is 3 'len(d["runs"])' "weir runs --json"

# ---- failures that a newer run hides, and a year typed wrong ----------------------------------

cat >dags/hide.yaml <<'END'
dag: hide
schedule: { cron: "0 2 * * *", timezone: Europe/Berlin, start: 2026-01-01 }
tasks:
  a: { run: 'case $WEIR_DS in 2026-11-1[67]) exit 1;; esac' }
  b: { run: "true", needs: a }
END
home=$WEIR_HOME
export WEIR_HOME="$PWD/hide"
for day in 16 17 18; do
	weir run dags/hide.yaml --date 2026-11-$day
done
weir run dags/hide.yaml --date 2962-11-19
err_has "note: this interval ends only on 2962-11-20T02:00:00+01:00; its data may be incomplete" \
	"an interval that has not ended is told"
weir status
out_has "hide@2026-11-18" "status: the newest interval that has ended"
out_lacks "2962" "not one to come"
out_has "hide: 2 older runs failed and were not done again: weir runs hide --state failed" "and what it hides"
weir status --json
json_is '[["hide@2026-11-18", 2]]' '[[x["run"], x["older_failed"]] for x in d["dags"]]' "also in JSON"
weir show hide
out_has "hide@2026-11-18" "weir show DAG: likewise"
weir logs hide --try 9
exits 5 "a try that no task had"
err_has "no task of hide@2026-11-18 has a try 9" "it says so"
weir run dags/hide.yaml --date 2026-11-17 --only b
weir run dags/hide.yaml --date 2026-11-15 --only b
weir show hide@2026-11-15
out_has "weir run $PWD/dags/hide.yaml --date 2026-11-15" "what to do about a run that --only began"

printf 'connections: { wh: { type: sqlite, path: wh.db } }\n' >dags/weir.yaml
checked() { # ROWS: a DAG whose check wants that many
	printf 'dag: checked\ntasks:\n  mk: { transform: sql, with: { connection: wh, sql: "%s" } }\n' \
		"CREATE TABLE IF NOT EXISTS x (a); INSERT INTO x SELECT 1" >dags/checked.yaml
	printf '  c: { needs: mk, quality: table, with: { table: wh.x, checks: [ { row_count: { min: %s } } ] } }\n' \
		"$1" >>dags/checked.yaml
}
checked 2
weir run dags/checked.yaml --date 2026-11-19
weir show checked
out_has "row_count  c       1  fail" "show: a check that failed, with its try"
checked 1
weir run dags/checked.yaml --date 2026-11-19
exits 0 "the next try passes"
weir show checked
out_lacks "row_count" "show: checks of an earlier try are not shown as if they were current"
weir show checked --verbose
out_has "row_count  c       1  fail" "but for --verbose: the earlier one"
out_has "row_count  c       2  pass" "and the last one"
weir show checked --json
json_is '[[1, "fail"], [2, "pass"]]' '[[c["try"], c["status"]] for c in d["checks"]]' "also in JSON"
rm dags/weir.yaml
WEIR_HOME=$home

# ---- show -----------------------------------------------------------------------------------------

weir show look
exits 0 "weir show, by the DAG's name"
for text in "look@2026-11-19  failed" "data-platform" "runbooks/look.md" "region=eu" "Europe/Berlin" \
	"2026-11-19T02:00:00+01:00 to 2026-11-20T02:00:00+01:00, in Europe" "exit status 3: from b 2" "all retries are spent" \
	"a task it needs failed" "weir logs look@2026-11-19 b" "--date 2026-11-19"; do
	out_has "$text" "it shows: $text"
done
next=$(grep '^  weir run' "$T/out" | sed 's/ *#.*//; s/^ *weir//')
(cd / && eval "\"\$WEIR\" $next" >/dev/null 2>&1)
is "$?" 1 "its next step can be pasted anywhere"
id=$(weir show look --json && json 'd["id"]' 2>/dev/null || echo 3)
for name in look@2026-11-19 "$id"; do
	weir show "$name"
	out_has "look@2026-11-19  failed" "weir show $name"
done
weir show look --json
json_is '[["a", "success"], ["b", "failed"], ["c", "upstream_failed"], ["d", "success"]]' \
	'[[t["task"], t["state"]] for t in d["tasks"]]' "weir show --json: tasks"
json_is '4' 'sum(a["task"] == "b" for a in d["attempts"])' "and attempts"
weir show look --events
out_has "running -> up_for_retry" "weir show --events"
weir show good@2026-11-17
exits 5 "a run that is not there"
err_has "good@2026-11-1" "with the nearest"

# ---- logs -------------------------------------------------------------------------------------------

weir logs look b
out_has "from b 4" "weir logs: the last try's"
out_has "==> look@2026-11-19 b, try 4: failed (exit status 3)" "under a heading"
weir logs look b --try 1 --quiet
is "$(cat "$T/out")" "from b 1" "--try, and --quiet without heading"
weir logs look b --try 9
exits 5 "a try that is not there"
err_has "its last one is 4" "it says which is the last"
weir logs look c
exits 5 "a task that was not started"
err_has "upstream_failed" "it says why"
weir logs look bb
exits 5 "a task that is not there"
err_has 'did you mean "b"' "with the nearest"
weir logs look
is "$(grep -c '^==>' "$T/out")" 3 "the logs of all tasks"
weir logs look --path
check "--path: names of files that are there" cat $(cat "$T/out")
weir logs look b --json
json_is "from b 4" 'd["logs"][0]["text"].strip()' "--json"
weir logs look --follow
exits 2 "--follow needs a task"

cat >follow.yaml <<'END'
dag: follow
tasks:
  slow: { run: "echo one; touch begun; for i in $(seq 6000); do test ! -e go || break; sleep 0.01; done; echo two" }
END
"$WEIR" run follow.yaml --date 2026-11-19 >/dev/null 2>&1 &
run=$!
background=$run
await test -e begun
"$WEIR" logs follow slow -f >followed 2>&1 &
follow=$!
background="$run $follow"
check "weir logs -f prints what is there" await grep -q one followed
touch go
wait $follow
is "$? $(tr '\n' ' ' <followed | sed 's/==>[^,]*, try 1: running, [^ ]* //')" "0 one two " "goes on to the end of the attempt, and ends"
wait $run
weir logs follow slow -f
is "$status $(tail -n 1 "$T/out")" "0 two" "-f of an ended one ends at once"

# ---- graph, operators, schema, next -----------------------------------------------------------------------

weir graph dags/look.yaml
is "$(cat "$T/out")" "a  run
├─ b  run
│  └─ c  run
└─ d  run" "weir graph"
weir graph dags/look.yaml --dot
check "--dot: a digraph" grep -q '^digraph "look" {' "$T/out"
is "$(grep -c -- '->' "$T/out")" 3 "with its edges"
if command -v dot >/dev/null; then
	check "which Graphviz reads" dot -Tplain "$T/out"
else
	skip "which Graphviz reads" "no dot"
fi
weir graph dags/look.yaml --json
json_is '[["a", []], ["b", ["a"]], ["c", ["b"]], ["d", ["a"]]]' 'sorted([t["task"], t["needs"]] for t in d["tasks"])' "--json"
weir operators
for op in "ingest: file" "transform: sql" "quality: table" "publish: file" "publish: table"; do
	out_has "$op" "weir operators lists $op"
	"$WEIR" operators "$op" >"$T/op" 2>&1
	is "$?" 0 "and explains it"
done
weir operators fle
exits 5 "an unknown operator"
err_has "did you mean" "with the nearest"
weir schema
json_is '["https://json-schema.org/draft/2020-12/schema", ["dag"]]' '[d["$schema"], d["required"]]' "weir schema"
cp "$T/out" dag.schema.json
for s in --contract --config; do
	weir schema $s
	json_is object 'd["type"]' "weir schema $s"
done
if python3 -c 'import jsonschema, yaml' 2>/dev/null; then
	cat >valid.py <<-'END'
		import json, sys, jsonschema, yaml
		class L(yaml.SafeLoader): pass
		L.yaml_implicit_resolvers = {k: [(t, r) for t, r in v if 'timestamp' not in t] for k, v in L.yaml_implicit_resolvers.items()}
		schema = json.load(open(sys.argv[1]))
		jsonschema.Draft202012Validator.check_schema(schema)
		jsonschema.Draft202012Validator(schema).validate(yaml.load(open(sys.argv[2]), L))
	END
	for f in "$top_srcdir/dags/nightly_sales.yaml" dags/look.yaml; do
		check "the schema accepts ${f##*/}" python3 valid.py dag.schema.json "$f"
	done
	printf 'dag: x\ntasks: { a: { run: "true", need: b } }\n' >wrong.yaml
	check "and not one with an unknown key" sh -c '! python3 valid.py dag.schema.json wrong.yaml'
else
	skip "the schema accepts DAGs" "no python3 with jsonschema and yaml"
fi
weir next dags/look.yaml --after 2026-03-27T12:00:00Z -n 3 --json
json_is '["2026-03-28T02:00:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"]' \
	'[l["run_after"] for l in lines]' "weir next, over the change to summer time"
json_is gap 'lines[1]["note"]' "which is noted"
weir next --cron "61 * * * *"
exits 3 "a wrong cron expression"
err_has "61" "is told"

# ---- help -----------------------------------------------------------------------------------------------------

weir --help
exits 0 "weir --help"
commands=$(sed -n 's/^  \([a-z]*\)  .*/\1/p' "$T/out")
check "there are commands" test "$(echo "$commands" | wc -l)" -ge 10
for c in $commands; do
	"$WEIR" "$c" --help >"$T/out" 2>"$T/err"
	s=$?
	"$WEIR" help "$c" >help2 2>&1
	is "$s $(grep -c '^Usage: weir' "$T/out") $(wc -c <"$T/err")" "0 1 0" "weir $c --help"
	check "weir help $c is the same" cmp "$T/out" help2
	check "no line of it is longer than 80" test -z "$(awk 'length > 80' "$T/out" | grep -v '^  weir ')"
done
weir help exit-statuses
out_has "the command line is wrong" "weir help exit-statuses"
weir --version
check "weir --version" grep -qE '^weir [0-9]+\.[0-9]+' "$T/out"
weir statsu
exits 2 "an unknown command"
err_has 'did you mean "status"' "with the nearest"
weir status --jsno
exits 2 "an unknown option"
err_has 'did you mean "--json"' "with the nearest"
weir --jsno status
exits 2 "also before the command"
weir --json status
exits 0 "common options may stand before the command"
weir status extra
exits 2 "a word too many"
weir show
exits 2 "a word too few"
err_has "RUN is missing" "it says which"

# ---- completions ------------------------------------------------------------------------------------------------

for shell in bash zsh fish; do
	weir completion $shell
	exits 0 "weir completion $shell"
	if command -v $shell >/dev/null; then
		check "which $shell can read" $shell -n "$T/out"
	else
		skip "which $shell can read" "no $shell"
	fi
done
weir completion tcsh
exits 2 "weir completion tcsh"

# In a shell of its own: zsh hands options of compadd to what completes.
if command -v zsh >/dev/null && zsh -fc 'zmodload zsh/zpty' 2>/dev/null; then
	cat >complete.zsh <<-'END'
		zmodload zsh/zpty
		zpty z "zsh -f -i"
		zpty -w z "PS1=; autoload -Uz compinit; compinit -D -u; eval \"\$(\"\$WEIR\" completion zsh)\"; weir() { \"\$WEIR\" \"\$@\"; }; echo rea''dy"
		while zpty -r z line && [[ $line != *ready* ]]; do :; done
		zpty -w -n z $'weir show look@2026-11-1\t'
		zpty -r z line '*look@2026-11-19*'
		print -r -- "$line"
		zpty -d z
	END
	${guard:+timeout -s KILL 120} zsh -f complete.zsh >completed 2>&1 </dev/null
	has completed "look@2026-11-19" "zsh completes the names of runs"
else
	skip "zsh completes the names of runs" "no zsh"
fi
weir list
exits 2 "weir list is no command"
err_has 'did you mean "runs"' "but there is one for it"
weir next look
exits 0 "weir next takes a DAG's name"
weir next no-such
exits 3 "one that was run"
cat >start.yaml <<-'END'
	dag: start
	tasks:
	  nope: { run: ./nope.sh }
	  slow: { run: "echo slowly; exec sleep 60", timeout: 100ms }
	  bad: { run: "echo woe; exit 3" }
END
weir run start.yaml --date 2026-11-19 --quiet
weir show start
out_has "(in $T) (no retries are set)" "show does not speak of retries that there are none of"
weir logs start nope
out_has "error: ./nope.sh: No such file or directory (in $T)" "logs says why a program did not start"
weir logs start slow
out_has "error: ran longer than its timeout of 100ms" "logs says that a task ran too long, and the limit"
weir logs start bad
out_lacks "error:" "logs says no exit status twice"
weir logs start nope --quiet
out_lacks "error:" "--quiet prints what was written only"

# ---- colours, pipes and terminals ----------------------------------------------------------------------------------

for c in "status" "show look" "runs" "graph dags/look.yaml" "show look --events" "run dags/look.yaml --date 2026-11-19" "validate dags" "--help"; do
	weir $c
	cat "$T/out" "$T/err" >both
	lacks both "$ESC" "no escapes in a pipe: weir $c"
done
weir status --color always
has "$T/out" "$ESC[" "--color always"
NO_COLOR=1 weir status --color always
has "$T/out" "$ESC[" "is stronger than NO_COLOR"
weir status --color sometimes
exits 2 "--color sometimes"
weir run dags/look.yaml --date 2026-11-20 -q
is "$(grep -c started "$T/out")" 0 "--quiet: no line for what begins"
out_has "exit status 3" "but for what fails"

# In a terminal.
terminal() { # WEIR-ARGUMENTS...: what it wrote to a terminal is in $T/tty
	printf '"%s"' "$WEIR" >cmd
	printf ' "%s"' "$@" >>cmd
	TERM=xterm COLUMNS=80 script -qec "stty rows 24 cols 80; sh cmd" "$T/tty" </dev/null >/dev/null 2>&1
	status=$?
	said_words="$* (in a terminal)"
	cp "$T/tty" "$T/out"
}
if command -v script >/dev/null && script -qec true /dev/null >/dev/null 2>&1 </dev/null; then
	terminal status
	has "$T/tty" "$ESC[" "colours on a terminal"
	(NO_COLOR=1 && export NO_COLOR && terminal status)
	is "$(grep -c "$ESC\[[0-9;]*m" "$T/tty")" 0 "none with NO_COLOR"
	terminal run dags/look.yaml --date 2026-11-21
	is "$status" 1 "a run on a terminal has its exit status"
	has "$T/tty" "look@2026-11-21: " "its end is told"
	is "$(grep -o "$ESC\[?25l" "$T/tty" | wc -l)" "$(grep -o "$ESC\[?25h" "$T/tty" | wc -l)" \
		"the cursor is shown again as often as it is hidden"
	lacks "$T/tty" "$ESC[2J" "what a task writes cannot clear the screen"
	cat >watch.sh <<-'END'
		"$WEIR" run stop.yaml --date 2026-11-19 &
		pid=$!
		for i in $(seq 6000); do test ! -e stop.begun || break; sleep 0.01; done
		kill -INT $pid
		wait $pid
	END
	printf 'dag: stop\ntasks: { s: { run: "touch stop.begun; sleep 60" } }\n' >stop.yaml
	TERM=xterm script -qec "sh watch.sh" "$T/tty" </dev/null >/dev/null 2>&1
	is "$?" 130 "Ctrl-C in a terminal: status 130"
	is "$(grep -o "$ESC\[?25l" "$T/tty" | wc -l)" "$(grep -o "$ESC\[?25h" "$T/tty" | wc -l)" \
		"the cursor is shown again after Ctrl-C"
else
	skip "a terminal" "no script(1)"
fi

# A reader that leaves must not end a run.
("$WEIR" run dags/good.yaml --date 2026-11-16 --force; echo $? >pipe.status) | head -n 1 >/dev/null
sql_is success "SELECT state FROM run WHERE name = 'good@2026-11-16'" "a reader that leaves does not end a run half-way"

finish
