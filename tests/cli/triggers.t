#!/bin/sh
# What lets a task run: rules, conditions, if, branches, teardowns; and what a rerun makes of them.
. "${top_srcdir:-.}/tests/lib/cli.sh"
. "${top_srcdir:-.}/tests/lib/daemon.sh"

states() { # DAG: "task state" of the latest run, in lines
	weir show "$1" --json
	python3 -c 'import json, sys
for t in json.load(open(sys.argv[1]))["tasks"]:
    print(t["task"], t["state"])' "$T/out" | sort
}

reason_of() { # DAG TASK
	weir show "$1" --json
	python3 -c 'import json, sys
for t in json.load(open(sys.argv[1]))["tasks"]:
    if t["task"] == sys.argv[2]:
        print(t["reason"])' "$T/out" "$2"
}

# ---- each rule, over two tasks of which one fails and one is skipped -----------------------------

rules="all_success all_failed all_done all_done_min_one_success all_skipped one_success one_failed
	one_done none_failed none_failed_min_one_success none_skipped always"
{
	printf 'dag: rules\ntasks:\n'
	printf '  good: { run: "true" }\n  bad: { run: exit 1 }\n  none: { run: exit 99 }\n'
	for rule in $rules; do
		for needs in good,bad good,none bad,none; do
			printf '  %s-%s: { run: "true", needs: [%s], trigger: %s }\n' \
				"$rule" "${needs%,*}-${needs#*,}" "$needs" "$rule"
		done
	done
} >rules.yaml
weir run rules.yaml --date 2026-11-19
exits 1 "a run with rules"
states rules | grep -- - >got
cat >want <<'END'
all_done-bad-none success
all_done-good-bad success
all_done-good-none success
all_done_min_one_success-bad-none skipped
all_done_min_one_success-good-bad success
all_done_min_one_success-good-none skipped
all_failed-bad-none skipped
all_failed-good-bad skipped
all_failed-good-none skipped
all_skipped-bad-none skipped
all_skipped-good-bad skipped
all_skipped-good-none skipped
all_success-bad-none upstream_failed
all_success-good-bad upstream_failed
all_success-good-none skipped
always-bad-none success
always-good-bad success
always-good-none success
none_failed-bad-none upstream_failed
none_failed-good-bad upstream_failed
none_failed-good-none success
none_failed_min_one_success-bad-none upstream_failed
none_failed_min_one_success-good-bad upstream_failed
none_failed_min_one_success-good-none success
none_skipped-bad-none skipped
none_skipped-good-bad success
none_skipped-good-none skipped
one_done-bad-none success
one_done-good-bad success
one_done-good-none success
one_failed-bad-none success
one_failed-good-bad success
one_failed-good-none skipped
one_success-bad-none upstream_failed
one_success-good-bad success
one_success-good-none success
END
# Which of two needs is done first may decide between two verdicts that are both certain.
sed -i '/^all_success-bad-none/d; /^none_failed.*-bad-none/d' got want
check "each rule comes to its verdict" diff want got

# ---- at once, not at the end ---------------------------------------------------------------------

mkfifo gate
cat >early.yaml <<END
dag: early
tasks:
  quick: { run: "true" }
  slow: { run: "read line <$T/gate" }
  first: { run: "echo go >$T/gate", needs: [quick, slow], trigger: one_success }
  either: { run: "true", when: "quick.success or slow.success" }
  both: { run: "true", needs: [quick, slow] }
END
weir run early.yaml --date 2026-11-19 --jobs 4
exits 0 "one_success does not wait: what it waits for waits for it"
is "$(states early | tr '\n' ' ')" \
	"both success either success first success quick success slow success " "all of them ran"

# ---- when, if, reruns ----------------------------------------------------------------------------

cat >again.yaml <<'END'
dag: again
params: { full: false }
tasks:
  fetch: { run: "test -e fixed" }
  notify: { run: "echo x >>notified", needs: fetch, trigger: one_failed }
  mend: { run: "true", when: "fetch.failed and not fetch.cancelled" }
  load: { run: "true", when: fetch.success }
  report: { run: "echo x >>reported", needs: [load, mend], trigger: none_failed_min_one_success }
  big: { run: "true", needs: report, if: "{{ params.full }}" }
  behind: { run: "true", needs: big }
  late: { run: "true", needs: big, trigger: none_failed }
  kept: { run: "echo x >>kept" }
END
weir run again.yaml --date 2026-11-19
exits 1 "a task failed"
is "$(states again | tr '\n' ' ')" \
	"behind skipped big skipped fetch failed kept success late success load skipped mend success notify success report success " \
	"what follows a failure"
is "$(reason_of again load)" when_false "the reason of a condition"
is "$(reason_of again big)" condition_false "the reason of an if"
is "$(reason_of again behind)" upstream_skipped "the reason of a skip before"
weir show again
out_has 'its `if` is false' "and in words"
weir run again.yaml --date 2026-11-19 --dry-run
out_has "skip      big" "a dry run says what an if skips"
out_has "[none_failed_min_one_success]" "and the rules"
out_has "keep      kept" "and what is kept"
weir run again.yaml --date 2026-11-19 --dry-run --json
json_is '["skip", "{{ params.full }}", "when", "one_failed"]' \
	'[[t["action"] for t in d["tasks"] if t["task"] == "big"][0], [t["if"] for t in d["tasks"] if t["task"] == "big"][0], [k for t in d["tasks"] if t["task"] == "load" for k in t if k == "when"][0], [t["trigger"] for t in d["tasks"] if t["task"] == "notify"][0]]' \
	"also in JSON"
touch fixed
weir run again.yaml --date 2026-11-19
exits 0 "the rerun"
is "$(states again | tr '\n' ' ')" \
	"behind skipped big skipped fetch success kept success late success load success mend skipped notify skipped report success " \
	"verdicts that depended on the failure are given anew"
is "$(reason_of again notify)" rule_unmet "the reason of a rule"
is "$(grep -c x notified) $(grep -c x reported) $(grep -c x kept)" "1 2 1" "and nothing else is done twice"
weir run again.yaml --date 2026-11-19
out_has "nothing to do" "then all is done"

# ---- an if that cannot be judged -----------------------------------------------------------------

cat >bad.yaml <<'END'
dag: bad
tasks:
  a: { run: "true" }
  b:
    needs: a
    if: "{{ tasks.a.outputs.rows > 0 }}"
    run: "true"
END
weir run bad.yaml --date 2026-11-19
exits 1 "an if over an output that is not there"
out_has "bad.yaml:6:9: if: {{ tasks.a.outputs.rows > 0 }}: nothing (it has no value here) cannot be compared" \
	"fails the task, with the place"
is "$(states bad | tr '\n' ' ')" "a success b failed " "only this one"

# ---- branches ------------------------------------------------------------------------------------

cat >ways.yaml <<'END'
dag: ways
params: { mode: fast, pass: true }
tasks:
  load: { run: "true" }
  pick: { control: branch, needs: load, with: { choose: "{{ params.mode }}" } }
  fast: { run: "true", needs: pick }
  slow: { run: "true", needs: [pick, load] }
  behind: { run: "true", needs: slow }
  join: { run: "true", needs: [fast, behind], trigger: none_failed_min_one_success }
  stop: { control: short_circuit, needs: join, with: { if: "{{ params.pass }}" } }
  end: { run: "true", needs: stop }
  far: { run: "true", needs: end, trigger: all_done }
  clean: { run: "true", needs: [stop, far], teardown: true }
END
weir run ways.yaml --date 2026-11-19
exits 0 "a branch"
is "$(states ways | tr '\n' ' ')" \
	"behind skipped clean success end success far success fast success join success load success pick success slow skipped stop success " \
	"one way, and on where they meet"
is "$(reason_of ways slow)" not_chosen "the reason of a way not chosen"
weir show ways --json
json_is '[["fast"], true]' '[[t["outputs"]["chosen"] for t in d["tasks"] if t["task"] == "pick"][0], [t["outputs"]["passed"] for t in d["tasks"] if t["task"] == "stop"][0]]' \
	"the choice is an output"
weir run ways.yaml --date 2026-11-19 --from join
is "$(states ways | grep -c skipped)" 2 "a rerun behind the branch leaves the choice"
weir run ways.yaml --date 2026-11-19 --from load
is "$(states ways | grep skipped | tr '\n' ' ')" "behind skipped slow skipped " "so does one from before it"
weir run ways.yaml --date 2026-11-19 --from slow
is "$(states ways | grep -c skipped)" 0 "named, the other way is gone"
weir run ways.yaml --date 2026-11-20 --param mode=slow --param pass=false
is "$(states ways@2026-11-20 | tr '\n' ' ')" \
	"behind success clean success end skipped far skipped fast skipped join success load success pick success slow success stop success " \
	"the other choice; a short circuit skips all but the teardown"
weir run ways.yaml --date 2026-11-21 --param mode=fats
exits 1 "a choice that is none"
out_has '"fats" cannot be chosen: no task of this name needs this one; there are: fast, slow' "says what there is"
sql_is 0 "SELECT count(*) FROM task WHERE state NOT IN ('success', 'failed', 'skipped', 'upstream_failed')" \
	"and nothing is left open"

# Inside a group names are those of the group first.
cat >grouped.yaml <<'END'
dag: grouped
params: { mode: { default: fast } }
tasks:
  load: { run: "true" }
  ways:
    group:
      pick: { control: branch, needs: load, with: { choose: "{{ params.mode }}" } }
      fast: { run: "true", needs: pick }
      slow: { run: "true", needs: pick }
      join: { run: "true", when: fast.success or slow.success }
  end: { run: "true", when: ways.join.success and load.done }
END
weir run grouped.yaml --date 2026-11-19
exits 0 "a branch in a group"
is "$(states grouped | tr '\n' ' ')" \
	"end success load success ways.fast success ways.join success ways.pick success ways.slow skipped " \
	"names inside a group"

# ---- teardowns -----------------------------------------------------------------------------------

cat >tear.yaml <<'END'
dag: tear
tasks:
  up: { run: "echo up >>log" }
  work: { run: "echo work >>log; test -e works", needs: up }
  more: { run: "true", needs: work }
  down: { run: "echo down >>log; exit ${DOWN:-0}", needs: [up, more], teardown: up }
  after: { run: "true", needs: up }
END
weir run tear.yaml --date 2026-11-19
exits 1 "a run with a teardown whose work fails"
is "$(tr '\n' ' ' <log)" "up work down " "it is taken down all the same"
rm log
touch works
DOWN=1 weir run tear.yaml --date 2026-11-19
is "$(tr '\n' ' ' <log)" "up work down " "the rerun sets up again what was taken down"
exits 0 "a teardown that fails does not fail the run"
is "$(states tear | grep down)" "down failed" "though it failed"
rm log

cat >cancel.yaml <<END
dag: cancel
tasks:
  up: { run: echo up >>log }
  work: { run: "echo work >>log; echo begun >$T/gate; exec sleep 60", needs: up, grace: 1s }
  more: { run: echo more >>log, needs: work }
  down: { run: echo down >>log, needs: [up, work], teardown: true }
  never: { run: echo never >>log, needs: more, teardown: true }
  after: { run: echo after >>log, needs: down }
END
"$WEIR" run cancel.yaml --date 2026-11-19 >cancel.out 2>&1 &
run=$!
background="$run"
read -r line <gate
kill -INT "$run"
wait "$run"
is "$? $line" "130 begun" "a run that is cancelled"
background=
is "$(tr '\n' ' ' <log)" "up work down " "runs the teardowns of what was begun"
is "$(states cancel | tr '\n' ' ')" \
	"after cancelled down success more cancelled never cancelled up success work cancelled " "and nothing else"

# ---- fails_run, graph ----------------------------------------------------------------------------

cat >soft.yaml <<'END'
dag: soft
tasks:
  hope: { run: exit 1, fails_run: false }
  on: { run: "true", needs: hope, trigger: all_done }
  strict: { run: exit 1, needs: on, teardown: true, fails_run: true }
END
weir run soft.yaml --date 2026-11-19
exits 1 "fails_run of a teardown"
sed -i '/strict/d' soft.yaml
weir run soft.yaml --date 2026-11-20
exits 0 "a failure that is allowed"
weir graph soft.yaml
out_has "[may fail]" "weir graph says so"
weir graph again.yaml --json
json_is '["when", "fetch.success"]' '[[k for k in t if k in ("when", "trigger")][0] for t in d["tasks"] if t["task"] == "load"] + [t["when"] for t in d["tasks"] if t["task"] == "load"]' \
	"weir graph --json tells conditions"
weir graph cancel.yaml --dot
out_has 'down\nrun\nteardown' "weir graph --dot likewise"

# ---- the daemon: an if over outputs from before a restart, a pause, a cancel ----------------------

if have_sql; then
	export WEIR_HOME="$T/night"
	mkdir dags
	cat >dags/night.yaml <<END
dag: night
schedule: manual
tasks:
  count: { run: 'printf "{\"rows\": 7}" >"\$WEIR_OUTPUT"' }
  wait: { run: "until [ -e $T/go ]; do sleep 0.02; done", needs: count }
  load: { run: "true", needs: wait, if: "{{ tasks.count.outputs.rows == 7 }}" }
  pick: { control: branch, needs: wait, with: { cases: { if: "{{ tasks.count.outputs.rows > 9 }}", then: big }, else: small } }
  big: { run: "true", needs: pick }
  small: { run: "true", needs: pick }
END
	daemon
	weir trigger night --date 2026-01-01
	comes running "SELECT state FROM task WHERE name = 'wait'" "a task in flight"
	ends KILL
	daemon
	weir pause night --reason "to look at it"
	touch go
	comes "held
held" "SELECT state FROM task WHERE name IN ('load', 'pick')" "paused: no if is asked, no branch chooses"
	weir resume night
	comes success "SELECT state FROM run" "resumed"
	is "$(states night | tr '\n' ' ')" "big skipped count success load success pick success small success wait success " \
		"the next daemon knows the outputs from before"
	ends TERM
else
	skip "the daemon" "neither sqlite3 nor python3 with sqlite3"
fi

finish
