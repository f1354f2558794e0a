#!/bin/sh
# YAML in, exact `weir validate` output out: tests/golden/CASE.yaml (or a folder CASE) and CASE.out,
# whose last line is the exit status. UPDATE=1 writes what is printed now; read the difference.
top=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
weir=${WEIR:-weir}
golden=$top/tests/golden

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
# A copy, so that no weir.yaml above the source tree plays a part.
cp -R "$golden/." "$tmp" || exit 1
chmod -R u+w "$tmp"
cd "$tmp" || exit 1
here=$(pwd -P)
unset WEIR_CONFIG
HOME=$tmp XDG_CONFIG_HOME=$tmp/none TZ=UTC LC_ALL=C.UTF-8
export HOME XDG_CONFIG_HOME TZ LC_ALL

cases() {
	for f in *.yaml */; do
		case $f in weir.yaml | contracts/ | sql/ | shared/) ;; *) echo "${f%/}" ;; esac
	done
}

# Where the copy lies is not part of the answer.
validate() {
	"$weir" validate "$1" >"$tmp/printed" 2>&1
	status=$?
	sed "s,$here/,./,g" "$tmp/printed"
	echo "status $status"
}

set -- $(cases)
echo "1..$#"
n=0
for f in "$@"; do
	n=$((n + 1))
	name=${f%.yaml}
	validate "$f" >"$tmp/got"
	[ "${UPDATE:-0}" = 1 ] && cp "$tmp/got" "$golden/$name.out"
	if cmp -s "$golden/$name.out" "$tmp/got"; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		diff -u "$golden/$name.out" "$tmp/got" | sed 's/^/# /'
	fi
done
