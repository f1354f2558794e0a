#!/bin/sh
# Groups of tasks and included files: how they run, are chosen, and are shown.
. "${top_srcdir:-.}/tests/lib/cli.sh"

mkdir -p dags/shared
cat >dags/g.yaml <<'END'
dag: g
include: shared/common.yaml
tasks:
  extract: { run: "echo rows=5 >>\"$WEIR_OUTPUT\"" }
  load:
    needs: extract
    group:
      orders: { run: "echo \"$WEIR_TASK $MODE\"; echo rows=7 >>\"$WEIR_OUTPUT\"" }
      lines: { run: "echo {{ tasks.orders.outputs.rows }}{{ tasks.extract.outputs.rows }}", needs: orders }
      eu: { include: shared/tables.yaml }
  report: { run: "test -e ok && echo {{ tasks.load.orders.outputs.rows }}", needs: load }
END
cat >dags/shared/common.yaml <<'END'
fragment: what all have
defaults: { env: { MODE: nightly } }
END
cat >dags/shared/tables.yaml <<'END'
fragment: the tables
tasks:
  customers: { run: "true" }
  prices: { run: "test -e ok", needs: customers }
END
run() { WEIR_TEST_CLOCK=2026-11-20T07:00:00Z weir run dags/g.yaml --date 2026-11-19 "$@"; }
log() { cat "$WEIR_HOME/logs/g@2026-11-19/$1.${2:-1}.log"; }

weir validate dags
exits 0 "a folder with fragments"
out_has "3 files, 0 errors" "they are looked at, too"
weir validate dags/shared/tables.yaml
exits 0 "a fragment by itself"
weir run dags/shared/tables.yaml
exits 3 "a fragment cannot be run"
out_err=$(cat "$T/out" "$T/err")
check "and is told to be one" sh -c 'case $1 in *"this is a fragment"*) ;; *) false ;; esac' - "$out_err"

run
exits 1 "a run in which one of a group fails"
is "$(log load.orders)" "load.orders nightly" "a task of a group knows its name and has the included defaults"
is "$(log load.lines)" "75" "its templates see the neighbours first, then those further out"
weir show g
out_has "load (4)" "a group is one line"
out_has "3 success, 1 failed" "with its counts"
out_has "load.eu.prices" "what failed is there all the same"
out_lacks "load.lines" "what did not is not"
out_has "weir logs g@2026-11-19 load.eu.prices" "and what to do next"
weir show g --expand
out_has "load.lines" "expanded, all are"
out_lacks "load (4)" "and the group is not"
weir show g --json
json_is 6 'len(d["tasks"])' "JSON has all tasks"
weir status
out_has "failed: load.eu.prices" "the status names one that failed"
weir show g --dag
out_has "#weir:include" "the version holds what is included"
out_has "the tables" "as it was"

touch dags/ok
run
exits 0 "the run taken up again"
is "$(log report)" 7 "outputs by the full name"
run --only load.eu
exits 0 "--only a group"
weir show g --json
json_is '["load.eu.customers", "load.eu.prices"]' \
	'sorted(t["task"] for t in d["tasks"] if t["try"] > (2 if t["task"].endswith("prices") else 1))' \
	"does all of it again"
run --from load --dry-run --json
json_is '["load.eu.customers", "load.eu.prices", "load.lines", "load.orders", "report"]' \
	'sorted(t["task"] for t in d["tasks"] if t["action"] == "run")' "--from a group"
run --only laod
exits 2 "a group misspelt"
err_has 'did you mean "load"' "with the nearest"
weir complete-values tasks run dags/g.yaml
out_has "load.eu.prices" "completions know tasks of groups"
check "and groups" grep -qx load.eu "$T/out"

weir graph dags/g.yaml
out_has "load  4 tasks" "the graph has the group as one"
out_lacks "load.orders" "without its tasks"
weir graph dags/g.yaml --expand
out_has "load.eu.prices" "expanded, with them"
weir graph dags/g.yaml --dot --expand
out_has 'subgraph "cluster_load.eu"' "in boxes"
weir graph dags/g.yaml --json
json_is load.eu '[t["group"] for t in d["tasks"] if t["task"] == "load.eu.prices"][0]' "JSON tells the group"

# Two groups that need each other's tasks have no root when drawn as one each.
cat >dags/knot.yaml <<'END'
dag: knot
tasks:
  a: { group: { x: { run: "true" }, y: { run: "true", needs: b.x } } }
  b: { group: { x: { run: "true", needs: a.x } } }
END
weir graph dags/knot.yaml
is "$(grep -c tasks\\?$ "$T/out")" 2 "groups in a knot are drawn"

# Another version when only an included file changes.
weir graph dags/g.yaml --json
before=$(sed -n 's/.*"version": *"\([0-9a-f]*\)".*/\1/p' "$T/out")
echo "# a word" >>dags/shared/tables.yaml
weir graph dags/g.yaml --json
check "the version covers what is included" test -n "$before" -a "$before" != \
	"$(sed -n 's/.*"version": *"\([0-9a-f]*\)".*/\1/p' "$T/out")"

# ---- fragments that take something -------------------------------------------------------------

cat >dags/shared/table.yaml <<'END'
fragment: one table
takes: { table: , tries: 1 }
tasks:
  "load_{{ include.table }}":
    run: echo "{{ include.table }} {{ ds }} {{ params.day }}"
    retries: "{{ include.tries }}"
  "check_{{ include.table }}":
    run: [echo, x, "{{ include.tries }}"]
    needs: "load_{{ include.table }}"
END
cat >dags/taken.yaml <<'END'
dag: taken
schedule: "@daily"
params: { day: friday }
include:
  - { file: shared/table.yaml, with: { table: orders } }
  - { file: shared/table.yaml, with: { table: "lines", tries: 4 } }
tasks:
  eu: { include: { file: shared/table.yaml, with: { table: orders, tries: 2 } } }
  last: { run: "true", needs: [check_orders, eu, check_lines] }
END
weir run dags/taken.yaml --date 2026-11-19
exits 0 "a fragment included three times"
is "$(cat "$WEIR_HOME"/logs/taken@2026-11-19/load_*.log "$WEIR_HOME"/logs/taken@2026-11-19/eu.load_*.log)" \
	"lines 2026-11-19 friday
orders 2026-11-19 friday
orders 2026-11-19 friday" "has what each include gives"
is "$(cat "$WEIR_HOME"/logs/taken@2026-11-19/check_lines.1.log "$WEIR_HOME"/logs/taken@2026-11-19/eu.check_orders.1.log)" \
	"x 4
x 2" "numbers, too"
version() {
	weir graph dags/taken.yaml --json
	sed -n 's/.*"version": *"\([0-9a-f]*\)".*/\1/p' "$T/out"
}
before=$(version)
sed -i 's/tries: 4/tries: 5/' dags/taken.yaml
check "what is given is part of the version" test "$before" != "$(version)"
weir run dags/taken.yaml --date 2026-11-19 --dry-run
is "$(grep 'changed since' "$T/out" | awk '{ print $2 }')" check_lines "the task that it changes is told"

# ---- many -------------------------------------------------------------------------------------

{
	echo 'dag: many'
	echo 'tasks:'
	for g in a b; do
		echo "  $g:"
		[ $g = b ] && echo '    needs: a'
		echo '    group:'
		i=0
		while [ $i -lt 2000 ]; do
			echo "      t$i: { run: 'true' }"
			i=$((i + 1))
		done
	done
} >dags/many.yaml
weir graph dags/many.yaml
is "$(cat "$T/out")" "a  2000 tasks
└─ b  2000 tasks" "four million needs between two groups"
finish
