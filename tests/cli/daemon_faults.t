#!/bin/sh
# Bad days of a daemon: a locked database, a full disk, a clock that jumps. Nothing is done that is
# not recorded, nothing is done twice, and all goes on by itself when the fault ends.
. "${top_srcdir:-.}/tests/lib/cli.sh"
. "${top_srcdir:-.}/tests/lib/daemon.sh"

command -v python3 >/dev/null && have_sql || { echo "1..0 # SKIP no python3"; exit 0; }

WITNESS=$T/witness
export WITNESS
mkdir dags
cat >dags/fast.yaml <<'END'
dag: fast
schedule: { every: 1s }
tasks: { a: { run: 'echo $WEIR_TOKEN >>$WITNESS' } }
END
done_now() { sql home/weir.db "SELECT count(*) FROM run WHERE state = 'success'"; }
more_than() { [ "$(done_now)" -gt "$1" ]; }
store_error() { [ "$(api /v1/status 'd["store_error"] is not None')" = "$1" ]; }
# Each start is recorded, and there is one for each record.
true_to_the_record() {
	sql home/weir.db "SELECT token FROM attempt WHERE outcome <> 'lost' ORDER BY token" >"$T/recorded"
	sort -n "$WITNESS" | diff - "$T/recorded"
}
unbroken() {
	[ "$(sql home/weir.db "SELECT count(*) FROM (SELECT interval_start_us AS s, lag(interval_end_us)
		OVER (ORDER BY interval_start_us) AS e FROM run WHERE dag = 'fast') WHERE s <> e")" = 0 ]
}

# ---- a locked database ------------------------------------------------------------------------------

daemon
check "runs come" await more_than 0
cat >"$T/lock.py" <<'END'
import os, sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
db.execute("BEGIN IMMEDIATE")
open(sys.argv[2], "w").close()
while not os.path.exists(sys.argv[3]):
    time.sleep(0.02)
db.execute("ROLLBACK")
END
python3 "$T/lock.py" home/weir.db "$T/locked" "$T/unlock" &
background="$background $!"
await test -e "$T/locked"
before=$(wc -l <"$WITNESS")
logs "nothing starts until it can" "somebody locks the database: the log says so"
check "... and status" await store_error true
is "$(wc -l <"$WITNESS")" "$before" "nothing is started meanwhile"
n=$(done_now)
: >"$T/unlock"
check "it goes on by itself" await more_than $((n + 2))
logs "can record again" "... and says so"
check "... and in status all is well" await store_error false
check "no interval was lost or doubled" unbroken
ends TERM
check "what was started is what is recorded" true_to_the_record

# ---- a full disk ----------------------------------------------------------------------------------------

mkdir full
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
	rm -f "$WITNESS"
	# The daemon lives in a namespace of its own.
	unshare -m sh -c 'mount -t tmpfs -o size=16m none "$T/full" || exit 77
		exec env WEIR_HOME="$T/full/home" "$WEIR" daemon --dags dags' >/dev/null 2>"$log" </dev/null &
	daemon=$!
	background="$background $daemon"
	there() { nsenter -t "$daemon" -m -- "$@"; }
	there_sql='import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])'
	count() { there python3 -c "$there_sql" "$T/full/home/weir.db" "SELECT count(*) FROM run WHERE state = 'success'"; }
	count_above() { [ "$(count 2>/dev/null || echo 0)" -gt "$1" ]; }
	if await grep -q 'msg="ready"' "$log"; then
		check "runs come on a small disk" await count_above 0
		there dd if=/dev/zero of="$T/full/fill" bs=4k 2>/dev/null
		logs "nothing starts until it can" "the disk is full: the log says so"
		n=$(count)
		started=$(wc -l <"$WITNESS")
		api_there() { there python3 -c 'import sys, socket; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.sendall(b"GET /v1/status HTTP/1.0\r\n\r\n"); print(s.makefile().read())' "$T/full/home/daemon.sock"; }
		api_there >"$T/out"
		check "... and status" grep -q 'store_error": *"[^"]*disk is full' "$T/out"
		is "$(wc -l <"$WITNESS")" "$started" "nothing is started meanwhile"
		there rm -f "$T/full/fill"
		logs "can record again" "there is room again: it goes on by itself"
		check "... with what is due" await count_above $((n + 2))
		kill "$daemon"
		wait "$daemon"
		is "$?" 0 "... to a clean end"
		is "$(sort "$WITNESS" | uniq -d | wc -l)" 0 "nothing was started twice"
	else
		skip "a full disk" "no tmpfs can be mounted"
	fi
else
	skip "a full disk" "needs root"
fi

# ---- the clock jumps ------------------------------------------------------------------------------------

# Of libfaketime the daemon reads another time on the wall from a file; the monotonic clock is left.
lib=$(find /usr/lib /usr/local/lib -name libfaketime.so.1 2>/dev/null | head -n 1)
jump() { # OFFSET: the daemon looks at its schedules anew when it is told to
	echo "$1" >"$T/offset.new" && mv "$T/offset.new" "$T/offset"
	kill -HUP "$daemon"
}
faked() {
	jump "$1"
	await more_than "$(($(done_now) + 1))"
}
case $("$WEIR" --version 2>/dev/null; ldd "$WEIR" 2>/dev/null) in
*asan*|*tsan*) lib= ;;
esac
if [ -n "$lib" ]; then
	rm -rf home "$WITNESS"
	cat >dags/fast.yaml <<'END'
dag: fast
schedule: { every: 1s, catchup: all }
tasks: { a: { run: 'echo $WEIR_TOKEN >>$WITNESS' } }
END
	printf 'dag: hourly\nschedule: { cron: "@hourly", catchup: all }\ntasks: { a: { run: ":" } }\n' >dags/hourly.yaml
	echo '+0' >"$T/offset"
	FAKETIME_TIMESTAMP_FILE=$T/offset FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 LD_PRELOAD=$lib
	export FAKETIME_TIMESTAMP_FILE FAKETIME_NO_CACHE FAKETIME_DONT_FAKE_MONOTONIC
	: >"$log"
	LD_PRELOAD=$lib "$WEIR" daemon --dags dags >/dev/null 2>"$log" </dev/null &
	daemon=$!
	unset LD_PRELOAD
	background="$background $daemon"
	await grep -q 'msg="ready"' "$log"
	await more_than 0
	check "forward by 20 seconds" faked +20
	check "... no second is left out" unbroken
	hours=$(sql home/weir.db "SELECT count(*) FROM run WHERE dag = 'hourly'")
	jump +10820
	comes $((hours + 3)) "SELECT count(*) FROM run WHERE dag = 'hourly'" "forward by three hours: three runs"
	most=$(sql home/weir.db "SELECT max(interval_end_us) FROM run WHERE dag = 'hourly'")
	jump +20
	logs 'signal=HUP' "back again"
	weir trigger fast --date 2026-01-01T00:00:00Z
	sql_is "$((hours + 3))|$most" "SELECT count(*), max(interval_end_us) FROM run WHERE dag = 'hourly'" \
		"... nothing is done twice"
	kill "$daemon"
	wait "$daemon"
	is "$?" 0 "... a clean end"
	sql_is 0 "SELECT count(*) FROM (SELECT count(*) AS n FROM run GROUP BY dag, interval_start_us) WHERE n > 1" \
		"no interval has two runs"
else
	skip "clock jumps" "no libfaketime"
fi

finish
