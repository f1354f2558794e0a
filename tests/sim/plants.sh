#!/bin/sh
# Plant known bugs, one at a time, in copies of the sources, and see the simulation catch each. TAP.
# usage: plants.sh SIM_OBJECT... LIBRARY -- LINKER-ARGUMENTS...
#
# A plant is tests/sim/plants/NAME.sed: the file it changes, what is then wrong, and how.
# CC and CFLAGS compile; PLANTS names some of them, default all; PLANT_STEPS is the limit.
set -u
top=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
plants=${PLANTS:-$(cd "$top/tests/sim/plants" && ls ./*.sed | sed 's,^\./,,; s,\.sed$,,')}
limit=${PLANT_STEPS:-100000}
objects= failed=0 n=0
while [ $# -gt 0 ] && [ "$1" != -- ]; do
	objects="$objects $1"
	shift
done
[ $# -eq 0 ] || shift
work=$(mktemp -d "${TMPDIR:-/tmp}/weir-plants.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

# The object is named before the library, whose own one is then not needed.
build() { # NAME FILE
	sed -f "$top/tests/sim/plants/$1.sed" "$top/$2" >"$work/$1.c" || return 1
	if cmp -s "$work/$1.c" "$top/$2"; then
		echo "# it changes nothing in $2 any more" >"$work/$1.out"
		return 1
	fi
	# shellcheck disable=SC2086
	${CC:-cc} -std=gnu17 -D_GNU_SOURCE ${CFLAGS:--O1} -w -I"$top/src" -I"$top" \
		-c "$work/$1.c" -o "$work/$1.o" 2>"$work/$1.out" || return 1
	# shellcheck disable=SC2086
	${CC:-cc} ${CFLAGS:--O1} -o "$work/$1" "$work/$1.o" $objects $link 2>"$work/$1.out"
}

link=$*
# shellcheck disable=SC2086
echo "1..$(echo $plants | wc -w)"
for p in $plants; do
	n=$((n + 1))
	file=$(sed -n 's/^# file: //p' "$top/tests/sim/plants/$p.sed")
	what=$(sed -n 's/^# what: //p' "$top/tests/sim/plants/$p.sed")
	if ! build "$p" "$file"; then
		echo "not ok $n - $p: $what: cannot be planted"
		sed 's/^/# /' "$work/$p.out"
		failed=1
		continue
	fi
	"$work/$p" --seeds 1..1000000 --steps "$limit" --no-shrink >"$work/$p.out" 2>&1
	if [ $? = 1 ]; then
		echo "ok $n - $p: $what: caught"
	else
		echo "not ok $n - $p: $what: not caught in $limit steps"
		failed=1
	fi
	sed 's/^/# /; s/^# # /# /' "$work/$p.out"
	rm -f "$work/$p"
done
exit $failed
