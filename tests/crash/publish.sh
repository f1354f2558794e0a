#!/bin/sh
# Kill -9 around each commit at a target, run again: everything is there exactly once.
#
# usage: tests/crash/publish.sh [WEIR]      from the top of the source tree
#
# A script adds a row to a table; a table and a file are published, and the same row is appended to
# another table. None of that may happen twice, nor be missing. At every numbered write of the store
# weir run kills itself; at every numbered step its supervisor does, and takes the tasks along; and
# all of them are killed at moments spread over a run, some of them between the commit at the target
# and Weir's own. Then weir run is started again. The witness are the rows at the targets.
set -u
weir=${1:-./weir}
case $weir in /*) ;; *) weir=$PWD/$weir ;; esac
work=$(mktemp -d "${TMPDIR:-/tmp}/weir-crash.XXXXXX")
trap 'rm -rf "$work"' EXIT
bad=0 kills=0 found=0

prepare() { # DIR
	mkdir -p "$1"
	cat >"$1/weir.yaml" <<-'END'
	connections:
	  w: { type: sqlite, path: w.db }
	  m: { type: sqlite, path: m.db }
	END
	cat >"$1/once.yaml" <<-'END'
	dag: once
	tasks:
	  count:
	    transform: sql
	    with:
	      connection: w
	      sql: "CREATE TABLE IF NOT EXISTS t (n); INSERT INTO t VALUES (1); SELECT count(*) AS n FROM t"
	  table:
	    needs: count
	    publish: table
	    with: { from: w.t, to: m.replaced }
	  added:
	    needs: count
	    publish: table
	    with: { from: w.t, to: m.added, mode: append }
	  file:
	    needs: [table, added]
	    publish: file
	    with: { connection: w, query: SELECT count(*) AS n FROM t, path: out/t.csv }
	END
}

run() { # DIR [NAME=VALUE...]
	dir=$1; shift
	env "$@" WEIR_HOME="$dir/home" "$weir" run "$dir/once.yaml" --date 2026-11-19 --jobs 1 >>"$dir/output" 2>&1
}

check() { # DIR NAME
	run "$1" || { bad=$((bad + 1)); echo "not ok: $2: the second run failed"; tail -n 5 "$1/output"; }
	got=$(
		cd "$1" || exit
		sqlite3 w.db "SELECT count(*) FROM t"
		sqlite3 m.db "SELECT count(*) FROM replaced; SELECT count(*) FROM added; SELECT count(*) FROM weir_ledger"
		cat out/t.csv
		find out -type f ! -name t.csv ! -name .t.csv.weir
		sqlite3 home/weir.db "SELECT count(*) FROM attempt WHERE outcome = 'none'; SELECT state FROM run"
	)
	want=$(printf '1\n1\n1\n2\nn\n1\n0\nsuccess')
	if [ "$got" != "$want" ]; then
		bad=$((bad + 1))
		echo "not ok: $2: not exactly once:" $got
		tail -n 5 "$1/output"
	fi
	grep -qs 'of the same work' "$1"/home/logs/*/*.log && found=$((found + 1))
	kills=$((kills + 1))
	rm -rf "$1"
}

kill_at() { # VARIABLE: for N = 1, 2, ... until runs get through
	n=0 through=0
	while [ $through -lt 3 ] && [ $n -lt 500 ]; do
		n=$((n + 1))
		dir=$work/$1-$n
		prepare "$dir"
		run "$dir" "$1=$n" && through=$((through + 1))
		check "$dir" "$1=$n"
	done
	echo "$1: $n places"
}

kill_all_at() { # MILLISECONDS
	dir=$work/all-$1
	prepare "$dir"
	WEIR_HOME=$dir/home setsid "$weir" run "$dir/once.yaml" --date 2026-11-19 --jobs 1 >>"$dir/output" 2>&1 &
	pid=$!
	sleep "$(awk "BEGIN { print $1 / 1000 }")"
	# weir run, then its supervisor (a session of its own), whose tasks die with it.
	children=$(pgrep -P $pid)
	kill -9 $pid $children 2>/dev/null
	wait $pid 2>/dev/null
	check "$dir" "all killed after $1 ms"
}

kill_at WEIR_TEST_KILL_AT_WRITE
kill_at WEIR_TEST_KILL_SUPERVISOR_AT
ms=4
while [ $ms -le 120 ]; do
	kill_all_at $ms
	ms=$((ms + 2))
done
echo "$kills kills, $bad wrong; in $found of them a retry found the work done"
[ $bad = 0 ]
