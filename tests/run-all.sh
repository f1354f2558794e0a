#!/bin/sh
# All tests, in every build they are meant for; the last line is "N passed, N failed, N skipped".
# usage: tests/run-all.sh    (from the top of a prepared source tree; see quickstart --check)
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top" || exit 1
jobs=$(nproc 2>/dev/null || echo 1)
passed=0 failed=0 skipped=0

say() { printf '\n== %s\n' "$*"; }

build() { # DIR CONFIGURE-ARGUMENTS...
	dir=$1; shift
	mkdir -p "$dir"
	(cd "$dir" && "$top/configure" -q "$@" >configure.out 2>&1 || { cat configure.out; exit 1; }
		make -s -j"$jobs" >make.out 2>&1 || { tail -n 40 make.out; exit 1; })
}

# One step that either works or does not.
step() { # NAME COMMAND...
	name=$1; shift
	start=$(date +%s)
	if "$@"; then passed=$((passed + 1)); r=ok; else failed=$((failed + 1)); r='NOT OK'; fi
	echo "$r: $name ($(($(date +%s) - start)) s)"
}

# Steps that wait more than they work run beside the others: `beside NAME` runs the function in the
# background, `beside_ended NAME` prints what it said and adds what it came to. Only steps.
beside() { # FUNCTION
	"$1" >"build/$1.out" 2>&1 &
	besides="${besides:-} $!"
}
beside_ended() { # FUNCTION
	# shellcheck disable=SC2086
	wait $besides
	besides=
	cat "build/$1.out"
	passed=$((passed + $(grep -c '^ok: .* ([0-9]* s)$' "build/$1.out")))
	failed=$((failed + $(grep -c '^NOT OK: .* ([0-9]* s)$' "build/$1.out")))
}
trap '[ -z "${besides:-}" ] || kill $besides' EXIT
trap 'exit 130' INT TERM HUP

# A test suite of automake: add its totals, show what failed.
suite() { # DIR MAKE-ARGUMENTS...
	dir=$1; shift
	start=$(date +%s)
	# Most tests wait for processes more than they work.
	make -C "$dir" -s -k -j$((2 * jobs)) check "$@" >"$dir/check.out" 2>&1
	grep -E '^(FAIL|ERROR|XPASS):' "$dir/check.out"
	p=$(sed -n 's/^# PASS: *//p' "$dir/check.out" | tail -n 1)
	f=$(sed -n 's/^# FAIL: *//p' "$dir/check.out" | tail -n 1)
	e=$(sed -n 's/^# ERROR: *//p' "$dir/check.out" | tail -n 1)
	s=$(sed -n 's/^# SKIP: *//p' "$dir/check.out" | tail -n 1)
	if [ -z "$p" ]; then
		tail -n 40 "$dir/check.out"
		p=0 f=1
	elif [ "${f:-0}${e:-0}" != 00 ]; then
		grep -hE -B8 '^not ok' $(find "$dir/tests" -name '*.log') 2>/dev/null | head -n 80
	fi
	passed=$((passed + p)) failed=$((failed + ${f:-0} + ${e:-0})) skipped=$((skipped + ${s:-0}))
	grep -hoE '# SKIP .*' "$dir/check.out" | sort | uniq -c
	echo "$p passed, $((${f:-0} + ${e:-0})) failed, ${s:-0} skipped ($(($(date +%s) - start)) s)"
}

valgrind_run() { # each of these ends with a leak, a bad access or a failure: not ok
	(
		set -e
		home=$(mktemp -d)
		trap 'rm -rf "$home"' EXIT
		cp -r dags "$home/dags"
		vg="valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite
			--errors-for-leak-kinds=definite --trace-children=no --child-silent-after-fork=yes"
		$vg build/check/weir validate "$home/dags" >/dev/null
		WEIR_HOME=$home/h $vg build/check/weir run "$home/dags/nightly_sales.yaml" --date 2026-11-19 >"$home/out" ||
			{ cat "$home/out"; exit 1; }
		WEIR_HOME=$home/h $vg build/check/weir show nightly_sales >/dev/null
		for t in conf_yaml conf_template conf_dagfile core_sched data_csv data_contract; do
			top_srcdir=$top $vg "build/check/tests/unit/test_$t" >"$home/out" 2>&1 || { cat "$home/out"; exit 1; }
		done
	)
}

machine() {
	say "kill -9 at every write"
	step "a run in the foreground" sh tests/crash/crash.sh build/check/weir
	step "a daemon with a backfill" sh tests/crash/backfill.sh build/check/weir
	say "kill -9 at random"
	step "foreground, 500 tasks, a backfill" sh tests/crash/kill.sh build/check/weir
	say "faults of the machine"
	step "disks, descriptors, processes, locks, clocks" sh tests/crash/faults.sh build/check/weir
	say "valgrind"
	step "the demo and the parsers" valgrind_run
}

say "gcc, warnings are errors"
step "build" build build/check --enable-werror
suite build/check
beside machine

say "clang, warnings are errors"
step "build" build build/clang --enable-werror CC=clang CFLAGS="-O1"

say "address and undefined behaviour sanitizers"
step "build" build build/asan --enable-sanitizers=address,undefined CFLAGS="-O1 -g"
suite build/asan

say "bugs planted in the simulation"
step "each is caught" sh -c 'make -C build/check -s check-plants >build/check/plants.out 2>&1 ||
	{ grep -A3 "^not ok" build/check/plants.out; exit 1; }'

say "distribution"
step "make distcheck" sh -c "make -C build/check -s -j$jobs distcheck TESTS= >build/check/distcheck.out 2>&1 ||
	{ tail -n 40 build/check/distcheck.out; exit 1; }"

beside_ended machine

printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" = 0 ]
