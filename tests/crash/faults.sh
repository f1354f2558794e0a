#!/bin/sh
# Faults of the machine, under the real program: a disk that fails, is full or read-only, no more
# descriptors or processes, a locked database, folders that go away, a clock that jumps, a process that
# is stopped for longer than its lease.
#
# usage: tests/crash/faults.sh [WEIR [FAULT...]]      from the top of the source tree; speaks TAP
#
# What must hold of each, for `weir run` and for `weir daemon`: the program says what is wrong; while it
# cannot record, it starts nothing; when the fault ends it goes on by itself; and each task has run once.
# The witness is a file to which each task appends its token. Faults of system calls are brought about
# with strace, which is attached to the one process they are meant for and taken off again; those of
# file systems in a mount namespace of the test's own. A case without its tool is skipped.
set -u
if [ -n "${1:-}" ]; then WEIR=$1; shift; fi
only=" $* "
: "${WEIR:=./weir}"
case $WEIR in /*) ;; *) WEIR=$PWD/$WEIR ;; esac
top_srcdir=$(cd "$(dirname "$0")/../.." && pwd)
export WEIR top_srcdir
if [ -z "${FAULTS_MOUNT:-}" ]; then
	for options in -m -Urm; do
		if unshare $options sh -c 'mount -t tmpfs none /mnt' 2>/dev/null; then
			FAULTS_MOUNT=yes exec unshare $options sh "$top_srcdir/tests/crash/faults.sh" "$WEIR" "$@"
		fi
	done
	FAULTS_MOUNT=no
fi
. "$top_srcdir/tests/lib/cli.sh"
. "$top_srcdir/tests/lib/background.sh"
. "$top_srcdir/tests/lib/daemon.sh"
have_sql || { echo "1..0 # SKIP neither sqlite3 nor python3 with sqlite3"; exit 0; }

WITNESS=$T/witness GO=$T/go
export WITNESS GO
mkdir dags
# The supervisor of b is known by b; b waits for us, so that faults begin at a known place.
cat >dags/steps.yaml <<'END'
dag: steps
schedule: manual
tasks:
  a: { run: 'echo "$WEIR_TASK $WEIR_TOKEN" >>$WITNESS' }
  b:
    needs: a
    run: |
      echo "$WEIR_TASK $WEIR_TOKEN" >>$WITNESS
      echo $PPID >$T/super.new; mv $T/super.new $T/super
      until [ -e $GO ]; do sleep 0.02; done
  c: { needs: b, run: 'echo "$WEIR_TASK $WEIR_TOKEN" >>$WITNESS; echo x=1 >$WEIR_OUTPUT' }
  d: { needs: c, run: 'echo "$WEIR_TASK $WEIR_TOKEN" >>$WITNESS; echo {{ tasks.c.outputs.x }}' }
END
date=2026-11-19
store() { sql "$WEIR_HOME/weir.db" "$1" 2>/dev/null; }
ran() { cut -d' ' -f1 "$WITNESS" | tr '\n' ' '; }

# ---- what must hold in the end ----------------------------------------------------------------------

whole() { # NAME: steps has succeeded, each task ran once, and all is recorded
	is "$(ran)" "a b c d " "$1: each task ran once"
	is "$(store "SELECT task, count(*) FROM attempt WHERE outcome = 'success' GROUP BY task" | tr '\n' ' ')" \
		"a|1 b|1 c|1 d|1 " "$1: ... which is recorded, once"
	is "$(store "SELECT count(*) FROM attempt WHERE outcome IS NULL OR outcome = 'none';
		SELECT count(*) FROM attempt WHERE outcome = 'success' AND token NOT IN ($(
		cut -d' ' -f2 "$WITNESS" | paste -sd,)); PRAGMA integrity_check" | tr '\n' ' ')" \
		"0 0 ok " "$1: ... by the same tokens; nothing is in flight"
}

fresh() { # a new home
	WEIR_HOME=$T/home
	rm -rf "$WEIR_HOME" "$WITNESS" "$GO" "$T/super"
}

# ---- faults -----------------------------------------------------------------------------------------

tracer=
can_trace=no
if command -v strace >/dev/null && strace -o /dev/null -e trace=none true 2>/dev/null; then can_trace=yes; fi
case $(ldd "$WEIR" 2>/dev/null) in *libtsan*) can_trace=no ;; esac

# What a fault is made for. $weir_pid is the process with the store, $super its supervisor.
traced() { grep -q '^TracerPid:[[:space:]]*[1-9]' "/proc/$1/status"; }
inject() { # PID CALLS FAULT [OPTION...]
	traced=$1 calls=$2 fault=$3
	shift 3
	strace -q -o /dev/null -p "$traced" -e trace="$calls" -e inject="$calls:$fault" "$@" >/dev/null 2>"$T/strace" &
	tracer=$!
	background="${background:-} $tracer"
	await traced "$traced"
}
stop_injecting() {
	kill "$tracer" 2>/dev/null
	wait "$tracer" 2>/dev/null
	tracer=
}

begin_sync() { inject "$weir_pid" fdatasync,fsync error=EIO; }
begin_write_io() { inject "$weir_pid" pwrite64 error=EIO; }
begin_read_only() { inject "$weir_pid" pwrite64,ftruncate error=EROFS; }
begin_no_space() { inject "$weir_pid" pwrite64 error=ENOSPC; }
begin_ro_logs() { inject "$super" openat,open error=EROFS; }
# Only of its journal: it shall be able to say so.
begin_no_journal() {
	journal=$(ls -t "$WEIR_HOME"/supervisor/*.journal | head -n 1)
	inject "$super" write error=ENOSPC -P "$journal"
}
begin_no_fork() { inject "$super" clone,clone3,fork,vfork error=EAGAIN; }
begin_enfile() { inject "$super" openat,open,pipe2 error=ENFILE; }
for name in sync write_io read_only no_space ro_logs no_journal no_fork enfile; do
	eval "end_$name() { stop_injecting; }"
done

# Few descriptors: more are needed for a log, for a pipe.
begin_emfile() { limits=$(prlimit -p "$super" -n -o SOFT,HARD --noheadings --raw | tr ' ' :); prlimit -p "$super" -n"3:${limits#*:}"; }
end_emfile() { prlimit -p "$super" -n"$limits"; }
begin_few() { limits=$(prlimit -p "$weir_pid" -n -o SOFT,HARD --noheadings --raw | tr ' ' :); prlimit -p "$weir_pid" -n"4:${limits#*:}"; }
end_few() { prlimit -p "$weir_pid" -n"$limits"; }

begin_moved() { mv "$WEIR_HOME" "$T/elsewhere"; }
end_moved() { mv "$T/elsewhere" "$WEIR_HOME"; }

begin_locked() {
	rm -f "$T/locked" "$T/unlock"
	python3 -c 'import os, sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
db.execute("BEGIN IMMEDIATE")
open(sys.argv[2], "w").close()
while not os.path.exists(sys.argv[3]):
    time.sleep(0.02)
db.execute("ROLLBACK")' "$WEIR_HOME/weir.db" "$T/locked" "$T/unlock" &
	locker=$!
	background="${background:-} $locker"
	await test -e "$T/locked"
}
end_locked() { : >"$T/unlock"; wait "$locker"; }

fill() { dd if=/dev/zero of="$1/fill" bs=4k 2>/dev/null; }
for name in store logs; do
	case $name in store) folder=. ;; *) folder=$name ;; esac
	eval "begin_full_$name() { fill \"\$WEIR_HOME/$folder\"; }"
	eval "end_full_$name() { rm \"\$WEIR_HOME/$folder/fill\"; }"
done
begin_logs_gone() { rm -rf "$WEIR_HOME/logs"; }
begin_work_gone() { rm -rf "$WEIR_HOME/work"; }
end_logs_gone() { :; }
end_work_gone() { :; }
begin_no_logs() { mv "$WEIR_HOME/logs" "$T/logs.away"; : >"$WEIR_HOME/logs"; }
end_no_logs() { rm "$WEIR_HOME/logs"; }

# ---- the two programs under a fault -----------------------------------------------------------------

# A fault that begins while b runs, and lasts until c should have run.
#   kind store: nothing starts, and the program says it cannot record
#   kind start: c is not started, and what is in the way is said of it
#   kind hidden: it goes on all the same
mounts= # folders of the home that are file systems of their own, with their sizes: "logs=64k"

make_home() {
	fresh
	mkdir -m 700 "$WEIR_HOME"
	for m in $mounts; do
		case $m in
		.=*) ;;
		*) mkdir -m 700 "$WEIR_HOME/${m%%=*}" ;;
		esac
		mount -t tmpfs -o "size=${m#*=},mode=700" none "$WEIR_HOME/${m%%=*}"
	done
}
drop_home() {
	for m in $mounts; do
		umount "$WEIR_HOME/${m%%=*}"
	done
}

cannot() { # FAULT NEED: says why it is skipped
	case $2 in
	trace) [ $can_trace = yes ] || echo "no strace that may attach" ;;
	mount) [ "$FAULTS_MOUNT" = yes ] || echo "nothing can be mounted" ;;
	python) command -v python3 >/dev/null || echo "no python3" ;;
	prlimit) command -v prlimit >/dev/null || echo "no prlimit" ;;
	esac
}

during() { # FAULT KIND TEXT NAME FILE
	if [ "$2" = hidden ]; then
		[ -z "$3" ] || check "$4: it says so" await grep -q -e "$3" "$5"
		check "$4: and goes on all the same" await grep -q '^d' "$WITNESS"
	else
		check "$4: it says so" await grep -q -e "$3" "$5"
		is "$(ran)" "a b " "$4: nothing is started meanwhile"
	fi
}

run_under() { # FAULT KIND TEXT NAME
	make_home
	start run run dags/steps.yaml --date $date
	weir_pid=$pid
	await test -s "$T/super"
	super=$(cat "$T/super")
	"begin_$1"
	: >"$GO"
	during "$1" "$2" "$3" "$4" run.out
	"end_$1"
	await gone "$pid" || kill -9 "$pid"
	finished
	exits 0 "$4: it goes on by itself to its end"
	whole "$4"
	drop_home
}

daemon_under() { # FAULT KIND TEXT NAME
	make_home
	daemon
	weir_pid=$daemon
	weir trigger steps --date $date
	await test -s "$T/super"
	super=$(cat "$T/super")
	"begin_$1"
	: >"$GO"
	during "$1" "$2" "$3" "$4" "$log"
	if [ "$2" = store ]; then
		weir status --json
		[ "$1" = moved ] || check "$4: ... and status" grep -q '"store_error": *"' "$T/out"
	fi
	"end_$1"
	comes success "SELECT state FROM run WHERE dag = 'steps'" "$4: it goes on by itself to its end"
	[ "$2" != store ] || logs "can record again" "$4: ... and says so"
	ends TERM
	is "$status" 0 "$4: ... a clean end"
	whole "$4"
	drop_home
}

wanted() { # FAULT
	case $only in "  " | *" $1 "*) ;; *) return 1 ;; esac
}

under() { # FAULT KIND NEED TEXT NAME
	wanted "$1" || return
	why=$(cannot "$1" "$3")
	for program in run daemon; do
		if [ -n "$why" ]; then
			skip "weir $program: $5" "$why"
		else
			"${program}_under" "$1" "$2" "$4" "weir $program: $5"
		fi
	done
}

under sync store trace 'reading or writing the disk failed' "fdatasync fails"
under write_io store trace 'reading or writing the disk failed' "writing the store fails"
under read_only store trace 'Read-only file system\|it cannot be written\|writing the disk failed' "the store becomes read-only"
under no_space store trace 'the disk is full' "no space for the store"
under locked store python 'another process holds it locked' "the store is locked for longer than the patience"
under moved store none 'moved' "WEIR_HOME is moved away"
under no_journal hidden trace 'journal' "the journal cannot be written"
under no_fork start trace 'the system refused a process: Resource temporarily unavailable' "fork is refused"
under enfile start trace 'Too many open files in system' "the system has no more descriptors"
under emfile start prlimit 'Too many open files' "the supervisor has no more descriptors"
under few start prlimit 'Too many open files' "no more descriptors"
mounts=".=3m"
under full_store store mount 'the disk is full' "the disk of WEIR_HOME is full"
mounts="logs=64k"
under full_logs start mount 'No space left on device' "the disk of the logs is full"
mounts=
under ro_logs start trace 'Read-only file system' "the disk of the logs is read-only"
under no_logs start none 'home/logs.*Not a directory' "a file lies where the folder of the logs was"
under logs_gone hidden none '' "the folder of the logs is removed"
under work_gone hidden none '' "the folder of the outputs is removed"

# ---- no room for what tasks write -------------------------------------------------------------------

# Those are faults of the task: its retries are for that. What it does twice it does by its own key.
outputs_full() { # PROGRAM
	mounts="work=64k"
	make_home
	mkdir -p "$T/mnt"
	mount -t tmpfs -o size=64k none "$T/mnt"
	cat >dags/out.yaml <<-END
		dag: out
		schedule: manual
		defaults: { retries: 50, backoff: { initial: 200ms, factor: 1, jitter: none } }
		tasks:
		  rows: { transform: sql, with: { connection: shop, sql: "CREATE TABLE IF NOT EXISTS rows AS SELECT 1 AS n" } }
		  report: { needs: rows, publish: file, with: { connection: shop, query: "SELECT n FROM rows", path: "$T/mnt/n.csv" } }
		  print: { needs: report, run: 'until [ -e \$GO ]; do sleep 0.02; done; echo x=1 >\$WEIR_OUTPUT; echo "\$WEIR_TASK \$WEIR_TOKEN" >>\$WITNESS' }
	END
	printf 'connections: { shop: { type: sqlite, path: shop.db } }\n' >dags/weir.yaml
	fill "$T/mnt"
	if [ "$1" = run ]; then
		start run run dags/out.yaml --date $date
		said=run.out
	else
		daemon
		weir trigger out --date $date
		said=$log
	fi
	what="weir $1: no room for outputs"
	check "$what: it says so of a file that is published" await grep -q 'report.*No space left on device' "$said"
	rm "$T/mnt/fill"
	check "$what: ... which comes when there is room" await test -s "$T/mnt/n.csv"
	await rows running "SELECT state FROM task WHERE name = 'print'"
	fill "$WEIR_HOME/work"
	: >"$GO"
	check "$what: it says so of the outputs of a command" await grep -q 'print.*\(I/O error\|No space left on device\)' "$said"
	rm "$WEIR_HOME/work/fill"
	if [ "$1" = run ]; then
		await gone "$pid" || kill -9 "$pid"
		finished
		exits 0 "$what: it goes on by itself to its end"
	else
		comes success "SELECT state FROM run" "$what: it goes on by itself to its end"
		ends TERM
	fi
	is "$(cut -d' ' -f1 "$WITNESS")" print "$what: what was done was done once"
	is "$(cat "$T/mnt/n.csv")" "n
1" "$what: ... and whole"
	umount "$T/mnt"
	drop_home
	mounts=
	rm -rf dags/out.yaml dags/weir.yaml dags/shop.db*
}
if wanted outputs; then
	for program in run daemon; do
		if [ "$FAULTS_MOUNT" = yes ]; then outputs_full $program; else skip "weir $program: no room for outputs" "nothing can be mounted"; fi
	done
fi

# ---- read-only from the beginning -------------------------------------------------------------------

if wanted beginning && [ "$FAULTS_MOUNT" = yes ]; then
	mounts=".=3m"
	make_home
	: >"$GO"
	mount -o remount,ro "$WEIR_HOME"
	weir run dags/steps.yaml --date $date
	check "weir run: a read-only WEIR_HOME: refused" test "$status" -ne 0
	err_has "Read-only file system" "weir run: a read-only WEIR_HOME: it says so"
	err_has "$WEIR_HOME" "weir run: ... and where"
	weir daemon --dags dags
	check "weir daemon: a read-only WEIR_HOME: refused" test "$status" -ne 0
	err_has "Read-only file system" "weir daemon: a read-only WEIR_HOME: it says so"
	check "nothing was run" test ! -e "$WITNESS"
	mount -o remount,rw "$WEIR_HOME"
	weir run dags/steps.yaml --date $date
	exits 0 "writable again: it runs"
	whole "a read-only WEIR_HOME"
	drop_home
	make_home
	: >"$GO"
	fill "$WEIR_HOME"
	weir run dags/steps.yaml --date $date
	check "weir run: a full WEIR_HOME: refused" test "$status" -ne 0
	check "weir run: a full WEIR_HOME: it says so" grep -q 'No space left\|disk is full' "$T/err"
	rm "$WEIR_HOME/fill"
	weir run dags/steps.yaml --date $date
	exits 0 "room again: it runs"
	whole "a full WEIR_HOME"
	drop_home
	mounts=
elif wanted beginning; then
	skip "a read-only WEIR_HOME" "nothing can be mounted"
fi

# ---- stopped for longer than its lease ----------------------------------------------------------------

lib=$(find /usr/lib /usr/local/lib -name libfaketime.so.1 2>/dev/null | head -n 1)
case $(ldd "$WEIR" 2>/dev/null) in *asan*|*tsan*) lib= ;; esac
# Who takes over with another time on the wall; in the background, as $taker.
take_over() { # OFFSET WORD...
	offset=$1
	shift
	FAKETIME=$offset FAKETIME_DONT_FAKE_MONOTONIC=1 LD_PRELOAD=$lib \
		"$WEIR" "$@" >"$T/taker" 2>&1 </dev/null &
	taker=$!
	background="${background:-} $taker"
}
over_or_waits() { gone "$taker" || grep -q 'waiting for them' "$T/taker"; }

stopped() { # PROGRAM
	fresh
	what="weir $1: stopped for longer than its lease"
	if [ "$1" = run ]; then
		start run run dags/steps.yaml --date $date
		stopped=$pid said=run.out
	else
		daemon
		weir trigger steps --date $date
		stopped=$daemon said=$log
	fi
	await test -s "$T/super"
	kill -STOP "$stopped"
	weir run dags/steps.yaml --date $date
	exits 4 "$what: before that, another is refused"
	: >"$GO"
	take_over +60s run dags/steps.yaml --date $date
	check "$what: then another takes the run over" await over_or_waits
	kill -CONT "$stopped"
	await gone "$taker" || kill -9 "$taker"
	wait "$taker"
	is "$?" 0 "$what: ... and brings it to its end"
	if [ "$1" = run ]; then
		check "$what: it is told when it comes back" await grep -q 'has passed on to another owner' "$said"
		await gone "$pid" || kill -9 "$pid"
		finished
		exits 4 "$what: ... and ends"
	else
		ends TERM
		is "$status" 0 "$what: a clean end"
	fi
	whole "$what"
}
if wanted stopped; then
	for program in run daemon; do
		if [ -n "$lib" ]; then stopped $program; else skip "weir $program: stopped for longer than its lease" "no libfaketime"; fi
	done
fi

# ---- the clock jumps ------------------------------------------------------------------------------------

# Of the daemon: tests/cli/daemon_faults.t. Here a task waits for its retry.
if wanted clock && [ -n "$lib" ]; then
	fresh
	cat >dags/wait.yaml <<-'END'
		dag: wait
		tasks:
		  a:
		    run: 'echo "$WEIR_TASK $WEIR_TOKEN" >>$WITNESS; test -e $GO'
		    retries: 3
		    backoff: { initial: 1h, jitter: none, max: 2h }
	END
	FAKETIME_TIMESTAMP_FILE=$T/offset FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1
	export FAKETIME_TIMESTAMP_FILE FAKETIME_NO_CACHE FAKETIME_DONT_FAKE_MONOTONIC
	echo +0 >"$T/offset"
	LD_PRELOAD=$lib "$WEIR" run dags/wait.yaml --date $date >wait.out 2>&1 </dev/null &
	pid=$! out=wait.out
	background="${background:-} $pid"
	await grep -q 'next try in' wait.out || fail "weir run: it waits for a retry" "$(cat wait.out)"
	echo -1d >"$T/offset"
	sleep 0.1
	is "$(wc -l <"$WITNESS")" 1 "weir run: the clock goes back: nothing is done again"
	: >"$GO"
	echo +2h >"$T/offset"
	await gone "$pid" || kill -9 "$pid"
	finished
	exits 0 "weir run: the clock goes forward: what is due then is done"
	is "$(wc -l <"$WITNESS")" 2 "... once"
	unset FAKETIME_TIMESTAMP_FILE FAKETIME_NO_CACHE FAKETIME_DONT_FAKE_MONOTONIC
elif wanted clock; then
	skip "the clock jumps" "no libfaketime"
fi

# ---- WEIR_HOME is removed ----------------------------------------------------------------------------------

if wanted removed; then
	fresh
	daemon
	weir trigger steps --date $date
	await test -s "$T/super"
	rm -rf "$WEIR_HOME"
	: >"$GO"
	logs "moved, removed or replaced" "weir daemon: WEIR_HOME is removed: it says so"
	is "$(ran)" "a b " "... and starts nothing"
	check "... nor makes it anew" test ! -e "$WEIR_HOME"
	kill "$daemon"
	check "... and can be ended" await gone "$daemon"
	wait "$daemon"
fi

finish
