# What the tests of the program share: source it first. They print TAP, and end with `finish`.
#
#   $T                        a folder of the test's own: the current one, removed at the end.
#                             WEIR_HOME is $T/home
#   weir WORD...              run the program; then $status, $T/out and $T/err are what came of it
#   check NAME COMMAND...     ok when the command succeeds
#   is GOT WANTED NAME        ok when the two texts are the same
#   exits STATUS NAME         of the last `weir`
#   out_has TEXT NAME, out_lacks, err_has, err_lacks         what it said holds a text, or not
#   has FILE TEXT NAME, lacks FILE TEXT NAME
#   sql_is WANTED SQL NAME    asks the store; rows in lines, columns joined by |
#   json_is WANTED EXPR NAME  a Python expression: `d` is the last JSON value in $T/out, `lines` all
#   skip NAME REASON
#   await COMMAND...          until it succeeds, at most some 20 seconds: for real processes only
set -u
: "${WEIR:?the program to be tested}"
top_srcdir=$(cd "${top_srcdir:-.}" && pwd) || exit 99
cases=${WEIR_CASES:-$top_srcdir/../shared/cases}
T=$(mktemp -d "${TMPDIR:-/tmp}/weir-cli.XXXXXX") || exit 99
T=$(cd "$T" && pwd -P)
cd "$T" || exit 99

cleanup() {
	for pid in ${background:-}; do
		kill -9 "$pid" 2>/dev/null
	done
	cd / && rm -rf "$T"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

WEIR_HOME=$T/home HOME=$T TZ=UTC LC_ALL=C.UTF-8 TERM=dumb
export WEIR WEIR_HOME HOME TZ LC_ALL TERM T
unset WEIR_CONFIG WEIR_TEST_CLOCK NO_COLOR XDG_STATE_HOME XDG_CONFIG_HOME

ntests=0 nfailed=0 status=0

pass() { # NAME
	ntests=$((ntests + 1))
	echo "ok $ntests - $1"
}

fail() { # NAME [WHY]
	ntests=$((ntests + 1)) nfailed=$((nfailed + 1))
	echo "not ok $ntests - $1"
	[ -z "${2:-}" ] || printf '%s\n' "$2" | sed 's/^/# /'
}

skip() { # NAME REASON
	ntests=$((ntests + 1))
	echo "ok $ntests - $1 # SKIP $2"
}

finish() {
	echo "1..$ntests"
	[ "$nfailed" = 0 ]
	exit
}

said() {
	echo "status $status of: weir ${said_words:-}"
	head -c 3000 "$T/out" | sed 's/^/  out: /'
	head -c 3000 "$T/err" | sed 's/^/  err: /'
}

# One that hangs is killed, and fails its test: status 137.
guard=
command -v timeout >/dev/null && guard="timeout -s KILL 120"

weir() {
	said_words=$*
	$guard "$WEIR" "$@" >"$T/out" 2>"$T/err" </dev/null
	status=$?
}

check() { # NAME COMMAND...
	name=$1; shift
	if "$@" >"$T/check" 2>&1; then pass "$name"; else fail "$name" "$* 
$(head -n 30 "$T/check")"; fi
}

is() { # GOT WANTED NAME
	if [ "$1" = "$2" ]; then pass "$3"; else fail "$3" "got:
$1
wanted:
$2"; fi
}

exits() { # STATUS NAME
	if [ "$status" = "$1" ]; then pass "$2"; else fail "$2" "wanted status $1
$(said)"; fi
}

has() { # FILE TEXT NAME
	if grep -qF -e "$2" -- "$1" 2>/dev/null; then pass "$3"; else fail "$3" "wanted in ${1##*/}: $2
$(said)"; fi
}

lacks() { # FILE TEXT NAME
	if ! grep -qF -e "$2" -- "$1" 2>/dev/null; then pass "$3"; else fail "$3" "not wanted in ${1##*/}: $2
$(said)"; fi
}

out_has() { has "$T/out" "$@"; }
out_lacks() { lacks "$T/out" "$@"; }
err_has() { has "$T/err" "$@"; }
err_lacks() { lacks "$T/err" "$@"; }

sql() { # DATABASE SQL
	if command -v sqlite3 >/dev/null; then
		sqlite3 -cmd ".timeout 30000" "$1" "$2"
	else
		python3 -c 'import sqlite3, sys
for row in sqlite3.connect(sys.argv[1], timeout=30).execute(sys.argv[2]):
    print("|".join("" if v is None else str(v) for v in row))' "$1" "$2"
	fi
}

have_sql() { command -v sqlite3 >/dev/null || python3 -c 'import sqlite3' 2>/dev/null; }

db_is() { # DATABASE WANTED SQL NAME
	if ! have_sql; then
		skip "$4" "neither sqlite3 nor python3 with sqlite3"
	else
		is "$(sql "$1" "$3" 2>&1)" "$2" "$4"
	fi
}

sql_is() { db_is "$WEIR_HOME/weir.db" "$@"; }

json() { # EXPR
	python3 -c 'import json, sys
text = open(sys.argv[1], encoding="utf-8").read()
try:
    lines = [json.loads(text)]
except ValueError:
    lines = [json.loads(l) for l in text.splitlines()]
d = lines[-1]
v = eval(sys.argv[2])
print(v if isinstance(v, str) else json.dumps(v))' "$T/out" "$1"
}

json_is() { # WANTED EXPR NAME
	if ! command -v python3 >/dev/null; then
		skip "$3" "no python3"
	else
		is "$(json "$2" 2>&1)" "$1" "$3"
	fi
}

await() { # COMMAND...
	for _ in $(seq 6000); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.01
	done
	return 1
}

# What is in these files and folders, as one line.
fingerprint() { # PATH...
	find "$@" -type f -exec cksum {} + | LC_ALL=C sort | cksum
}
