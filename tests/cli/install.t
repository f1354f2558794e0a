#!/bin/sh
# make install puts everything where it belongs, make uninstall takes it away again.
. "${top_srcdir:-.}/tests/lib/cli.sh"

build=${top_builddir:-}
if [ -z "$build" ] || [ ! -e "$build/Makefile" ] || ! command -v make >/dev/null; then
	skip "make install" "no Makefile in top_builddir"
	finish
fi
# The flags of the make that runs the tests are its own.
unset MAKEFLAGS MAKELEVEL MFLAGS
dest=$T/dest
make -s -C "$build" install DESTDIR="$dest" >install.out 2>&1
is "$?" 0 "make install DESTDIR=..."
value() { sed -n "s/^$1 = //p" "$build/Makefile" | head -n 1; }
prefix=$(value prefix)
check "nothing is outside of the prefix" test "$(find "$dest" -type f | grep -vcF "$dest$prefix/")" = 0

installed() { # PATTERN NAME
	if [ -n "$(find "$dest" -path "$1" 2>/dev/null)" ]; then
		pass "$2"
	else
		fail "$2" "there is no $1 in:
$(cd "$dest" && find . -type f | head -n 60)"
	fi
}
installed "*/bin/weir" "the program"
for page in "$top_srcdir"/man/*.[1-8]; do
	section=${page##*.}
	installed "*/man/man$section/${page##*/}" "man page ${page##*/}"
done
installed "*/bash-completion/completions/weir" "completions for bash"
installed "*/zsh/site-functions/_weir" "for zsh"
installed "*/fish/vendor_completions.d/weir.fish" "for fish"
installed "*/lib/systemd/system/weir.service" "the systemd unit"
unit=$(find "$dest" -name weir.service | head -n 1)
bindir=$(value bindir)
case $bindir in '${exec_prefix}'*) bindir=$prefix${bindir#'${exec_prefix}'} ;; esac
check "which starts the installed program" grep -qx "ExecStart=$bindir/weir daemon .*" "$unit"
installed "*/doc/weir/README.md" "README"
for f in nightly_sales.yaml weir.yaml make-sample.sh contracts/orders.yaml sql/daily_sales.sql; do
	installed "*/doc/weir/examples/*$f" "example $f"
done
check "no data of a run is installed" test -z "$(find "$dest" -name '*.db' -o -name '*.csv' -o -name '*.gz')"

# The installed program runs the installed example, from a copy.
bin=$(find "$dest" -path '*/bin/weir')
example=$(find "$dest" -name nightly_sales.yaml | head -n 1)
if [ -n "$bin" ] && [ -n "$example" ]; then
	cp -r "$(dirname "$example")" copy
	chmod -R u+w copy
	WEIR=$bin
	weir run copy/nightly_sales.yaml --date 2026-11-19
	exits 0 "the installed program runs the installed example"
	check "which publishes its report" test -s copy/out/2026-11-19/sales.csv
fi

make -s -C "$build" uninstall DESTDIR="$dest" >uninstall.out 2>&1
is "$?" 0 "make uninstall"
is "$(find "$dest" -type f -o -type l | head -n 5)" "" "which leaves no file"

finish
