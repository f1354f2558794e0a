#!/bin/sh
# Write the lists of files in Makefile.am anew, or with --check say whether they are stale.
# usage: build-aux/list-sources.sh [--check]
set -eu
cd "$(dirname "$0")/.."
am=Makefile.am
new=$(mktemp)
trap 'rm -f "$new"' EXIT

files() { # VARIABLE FIND-ARGUMENTS...
	var=$1; shift
	printf '%s =' "$var"
	find "$@" -type f | LC_ALL=C sort | sed 's/^/ \\\n\t/' | tr -d '\n' | sed 's/ \\/ \\\n/g'
	printf '\n\n'
}

programs() { # FILE.c...
	for t in "$@"; do
		p=${t%.c}
		printf 'check_PROGRAMS += %s\n' "$p"
		printf '%s_SOURCES = %s\n' "$(echo "$p" | tr /- __)" "$t"
	done
}

lists() {
	files weir_files src operators -name '*.[ch]' ! -path src/cli/main.c
	printf 'if HAVE_CMOCKA\n'
	programs $(find tests/unit tests/prop -name '*.c' | LC_ALL=C sort)
	printf 'endif\n\n'
	files sim_files tests/sim -name '*.[ch]'
	programs $(find tests/fuzz -name '*.c' | LC_ALL=C sort) | sed '/_SOURCES = /s,$, tests/lib/fuzz_main.c,'
	printf '\n'
	files cli_tests tests/cli -name '*.t'
	files tree_tests tests/tree -name '*.t'
	files bench_files tests/bench -name '*.c'
	files test_files tests -type f ! -name '*.c' ! -path 'tests/sim/*.h' ! -name '*.o' ! -name '*.log' ! -name '*.trs' \
		! -name '.dirstamp' ! -path '*/.deps/*' ! -perm -u+x ! -name '*.t'
	files test_shell tests build-aux -name '*.sh' ! -name install-sh ! -name tap-driver.sh
	files dag_files dags ! -path 'dags/out/*' ! -path 'dags/sample/*' ! -path 'dags/quarantine/*' \
		! -name '*.db' ! -name '*.db-*'
	files man_pages man -name '*.[1-8]'
}

{
	sed '/^# BEGIN lists/q' "$am"
	lists
	sed -n '/^# END lists/,$p' "$am"
} >"$new"
if [ "${1:-}" = --check ]; then
	cmp -s "$new" "$am" && exit 0
	diff "$am" "$new" | sed 's/^/# /'
	echo "Makefile.am is stale: run build-aux/list-sources.sh" >&2
	exit 1
fi
cmp -s "$new" "$am" || cp "$new" "$am"
