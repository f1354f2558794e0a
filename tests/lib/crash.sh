# What the tests that kill share: source it after setting nothing but $1, the binary.
#
#   $weir, $top, $work        the program, the source tree, a folder that is removed at the end
#   $bad, $kills              counts
#   complain DIR TEXT         count what is wrong, and show the end of DIR/output
#   demo_prepare DIR          the demo, with a witness in each command: DIR/witness gets "TASK TOKEN"
#   demo_run DIR [NAME=VALUE...]
#   demo_picture DIR          what it leaves behind, without what may differ: tokens and times
#   started_twice DIR         tokens that are in the witness more than once
weir=${1:-./weir}
case $weir in /*) ;; *) weir=$PWD/$weir ;; esac
top=$(cd "$(dirname "$0")/../.." && pwd)
[ -w /dev/shm ] && TMPDIR=${TMPDIR:-/dev/shm}
work=$(mktemp -d "${TMPDIR:-/tmp}/weir-crash.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM
bad=0 kills=0
demo_date=2026-11-19

complain() { # DIR TEXT
	bad=$((bad + 1))
	echo "not ok: $2"
	tail -n 15 "$1/output" | cut -c 1-300 | sed 's/^/    /'
}

started_twice() { sort "$1/witness" 2>/dev/null | uniq -d; }

demo_prepare() { # DIR
	mkdir -p "$1/home"
	cp -r "$top/dags" "$1/dags"
	rm -rf "$1/dags/out" "$1/dags/sample" "$1/dags/quarantine" "$1"/dags/*.db*
	for s in make-sample refresh-bi; do
		sed -i '2i echo "$WEIR_TASK $WEIR_TOKEN" >>"$WITNESS"' "$1/dags/$s.sh"
	done
	: >"$1/witness"
}

demo_run() { # DIR [NAME=VALUE...]
	dir=$1; shift
	env "$@" WEIR_HOME="$dir/home" WITNESS="$dir/witness" \
		"$weir" run "$dir/dags/nightly_sales.yaml" --date $demo_date >>"$dir/output" 2>&1
}

demo_picture() { # DIR
	(
		cd "$1/dags" || exit 1
		find out quarantine -type f | LC_ALL=C sort | xargs sha256sum
		for db in warehouse.db warehouse-mart.db; do
			for t in $(sqlite3 $db "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1"); do
				echo "$db $t"
				case $t in
				weir_ledger) sqlite3 $db "SELECT dag, task, interval_start, target FROM $t ORDER BY 1, 2, 3, 4" ;;
				*) sqlite3 $db "SELECT * FROM $t" | LC_ALL=C sort ;;
				esac
			done
			sqlite3 $db "PRAGMA integrity_check"
		done
		sqlite3 "$1/home/weir.db" "SELECT task, count(*) FROM attempt WHERE outcome = 'success' GROUP BY task ORDER BY task;
			SELECT name, state FROM task ORDER BY name; SELECT state FROM run;
			SELECT count(*) FROM attempt WHERE outcome IS NULL OR outcome = 'none'"
		# A supervisor whose last end was just acknowledged is about to leave.
		for i in $(seq 300); do
			[ -n "$(find "$1/home" -name '*.journal')" ] || break
			sleep 0.1
		done
		find "$1/home" -name '*.journal' -printf 'journal left: %f\n'
	)
}
