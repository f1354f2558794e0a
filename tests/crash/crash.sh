#!/bin/sh
# Kill -9 at every numbered write, run again, and compare with an undisturbed run.
#
# usage: tests/crash/crash.sh [WEIR]      from the top of the source tree
#
#   store       weir run kills itself at its N-th write of the store, for every N
#   supervisor  its supervisor kills itself at its N-th step, for every N
#   both        weir run, its supervisor and all tasks are killed together, at moments spread over a run
#
# What must hold after the second run: exit status 0; the published files, the warehouse and the mart
# are those of the undisturbed run, byte by byte; each task has exactly one successful attempt; and
# while the supervisor lives, each task has been run exactly once (each appends its token to a file:
# the witness).
set -u
. "$(dirname "$0")/../lib/crash.sh"

check() { # DIR NAME WITNESS-EXACT(yes|no)
	demo_run "$1" || complain "$1" "$2: the second run failed with $?"
	demo_picture "$1" >"$1/picture" 2>&1
	cmp -s "$work/reference/picture" "$1/picture" || {
		complain "$1" "$2: the result differs"
		diff "$work/reference/picture" "$1/picture" | head -n 10 | sed 's/^/    /'
	}
	if [ "$3" = yes ]; then
		twice=$(awk '{ print $1 }' "$1/witness" | sort | uniq -d)
		[ -z "$twice" ] || complain "$1" "$2: run twice: $twice"
	fi
	tokens=$(started_twice "$1")
	[ -z "$tokens" ] || complain "$1" "$2: an attempt was started twice: $tokens"
}

kill_at() { # VARIABLE WITNESS-EXACT: for N = 1, 2, ... until a run gets through
	n=0
	while :; do
		n=$((n + 1))
		dir=$work/$1-$n
		demo_prepare "$dir"
		demo_run "$dir" "$1=$n"
		status=$?
		# The supervisor can have killed itself after its work was done.
		if [ $status = 0 ] && [ $n -gt 3 ]; then
			[ "$1" = WEIR_TEST_KILL_AT_WRITE ] && break
			through=$((${through:-0} + 1))
			[ "$through" -ge 3 ] && break
		fi
		kills=$((kills + 1))
		check "$dir" "$1=$n" "$2"
		rm -rf "$dir"
		[ $n -lt 2000 ] || { echo "not ok: $1 never gets through"; bad=$((bad + 1)); break; }
	done
	echo "$1: $((n - 1)) places"
}

kill_all_at() { # MILLISECONDS: everything that belongs to the run, at once
	dir=$work/all-$1
	demo_prepare "$dir"
	WEIR_HOME=$dir/home WITNESS=$dir/witness setsid "$weir" run "$dir/dags/nightly_sales.yaml" --date $demo_date \
		>>"$dir/output" 2>&1 &
	pid=$!
	sleep "$(awk "BEGIN { print $1 / 1000 }")"
	# weir run, then its supervisor (a session of its own), whose tasks die with it.
	children=$(pgrep -P $pid)
	kill -9 $pid $children 2>/dev/null
	wait $pid 2>/dev/null
	kills=$((kills + 1))
	check "$dir" "all killed after $1 ms" no
	rm -rf "$dir"
}

mkdir -p "$work/reference"
demo_prepare "$work/reference"
demo_run "$work/reference" || { cat "$work/reference/output"; exit 1; }
demo_picture "$work/reference" >"$work/reference/picture"

kill_at WEIR_TEST_KILL_AT_WRITE yes
kill_at WEIR_TEST_KILL_SUPERVISOR_AT no
for ms in 20 60 100 140 180 220 260 300 350 400 450 500; do
	kill_all_at $ms
done

echo "$kills kills, $bad wrong"
[ $bad = 0 ]
