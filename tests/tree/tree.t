#!/bin/sh
# The source tree keeps its own rules: lists are complete, includes point one way, the core is pure.
cd "${top_srcdir:-.}" || exit 1
echo 1..6

n=0
result() { # STATUS NAME
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}
skip() {
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

if [ -w . ] && [ -e .git ]; then
	sh build-aux/list-sources.sh --check >&2
	result $? "Makefile.am lists every file"
else
	skip "Makefile.am lists every file" "not a checkout"
fi

# Includes: each room sees itself and those before it.
rank() {
	case $1 in
	base) echo 1 ;; core) echo 2 ;; conf) echo 3 ;; store | exec | data) echo 4 ;;
	operators) echo 5 ;; run) echo 6 ;; http) echo 7 ;; cli) echo 8 ;; *) echo 0 ;;
	esac
}
bad=$(grep -rHno '#include "[a-z]*/[^"]*"' src operators --include='*.[ch]' |
	sed -E 's,^(src/)?([a-z]+)/([^:]*):([0-9]+):#include "([a-z]+)/.*,\2 \5 \3:\4,' | sort -u |
	while read -r from to where; do
		f=$(rank "$from") t=$(rank "$to")
		if [ "$t" -gt "$f" ] || { [ "$t" = "$f" ] && [ "$from" != "$to" ]; }; then
			echo "$from/$where includes $to"
		fi
	done)
[ -z "$bad" ]
result $? "includes point one way"
[ -n "$bad" ] && echo "$bad" | sed 's/^/# /'

# The core: no clock, no file, no socket, no process, no output.
bad=$(find "${top_builddir:-.}/src/core" -name '*.o' ! -name '*san*' -exec nm -u {} + 2>/dev/null |
	awk '$1 == "U" { print $2 }' | sort -u |
	grep -E '^(open|openat|fopen|read|write|close|socket|connect|time|clock_gettime|gettimeofday|localtime.*|fork|execve?|system|printf|fprintf|puts|getenv|sleep|usleep|poll|select)(@.*)?$')
[ -z "$bad" ]
result $? "the core's undefined symbols hold no clock, file or socket"
[ -n "$bad" ] && echo "# $bad"

bad=$(grep -rnE '\b(strcpy|strcat|sprintf|vsprintf|gets|strncpy|strtok|atoi|atol|alloca|tmpnam|mktemp)\(' \
	src operators --include='*.[ch]' | grep -v '^\S*: \*')
[ -z "$bad" ]
result $? "no banned function is called"
[ -n "$bad" ] && echo "$bad" | sed 's/^/# /'

bad=$(grep -rnE '\b(TODO|FIXME|XXX)\b' src operators tests/unit tests/prop --include='*.[ch]' | grep -v XXXXXX)
[ -z "$bad" ]
result $? "no promise in place of code"
[ -n "$bad" ] && echo "$bad" | sed 's/^/# /'

format=$(command -v clang-format || command -v clang-format-14)
if [ -n "$format" ]; then
	bad=$(find src operators tests -name '*.[ch]' -exec "$format" --dry-run -Werror {} + 2>&1 |
		grep -c 'error: code should be clang-formatted')
	[ "$bad" = 0 ]
	result $? "clang-format has nothing to say"
	[ "$bad" = 0 ] || echo "# $bad places differ: run clang-format -i"
else
	skip "clang-format has nothing to say" "clang-format is not installed"
fi
