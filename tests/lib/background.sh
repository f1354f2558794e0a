# For tests with `weir run` in the background: source it after cli.sh.
#
#   start NAME WORD...   start weir: $pid is its pid, $out its output (NAME.out)
#   finished             wait for it; then as after `weir`, with $status and its output
#   parent_of PID, gone PID
#   journals, no_journal what supervisors left
#   lines FILE           its lines in one
start() {
	out=$1.out
	shift
	"$WEIR" "$@" >"$out" 2>&1 </dev/null &
	pid=$!
	background="${background:-} $pid"
}

finished() {
	wait "$pid" 2>/dev/null
	status=$?
	said_words="(in the background)"
	cp "$out" "$T/out"
	: >"$T/err"
}

parent_of() { awk '{ sub(/.*\) /, ""); print $2 }' "/proc/$1/stat"; }
gone() { ! kill -0 "$1" 2>/dev/null || grep -q '^State:.*Z' "/proc/$1/status"; }
journals() { ls "$WEIR_HOME/supervisor"; }
no_journal() { [ -z "$(journals)" ]; }
lines() { tr '\n' ' ' <"$1"; }
