#!/bin/sh
# Kill -9 the real program at random, again and again, and compare with an undisturbed run.
#
# usage: tests/crash/kill.sh [WEIR]      from the top of the source tree
#
#     KILLS     how many; default as many of 400 as fit in LIMIT seconds
#     LIMIT     seconds; default 150 without KILLS, else none
#     SEED      repeats the choices of a former call (the timing of processes remains chance)
#     KEEP      a folder: worlds that went wrong are moved there
#
# A world is one of: the demo by `weir run`; a random DAG of 500 cheap tasks in layers by `weir run`; a
# backfill of 24 days by a daemon. In each, one to ten times, the program is started, and killed while it
# works: at a random instant the driver (or daemon), its supervisor, one task, all tasks, or all at once;
# or by itself at a numbered step of writing to the store, or of the supervisor. Then it is started for
# the last time and brought to its end.
#
# What must hold then: outputs, target tables, ledgers and history are those of an undisturbed run; each
# task has exactly one success; no attempt is in flight; no token is in the witness twice, and each that
# is there is an attempt of the store. A task appends its token to the witness, which was opened before
# anything is killed. What does not come to its end in a minute is stuck.
set -u
. "$(dirname "$0")/../lib/crash.sh"
seed=${SEED:-$(($(date +%s) % 1000000 * 100 + $$ % 100))}
[ -n "${KILLS:-}" ] && limit=${LIMIT:-100000} || limit=${LIMIT:-150}
wanted=${KILLS:-400}
begin=$(date +%s)
ends=0 worlds=0 restarts=0 slowest=0 slow= at_write=0 at_super=0
exec 3>&1 2>"$work/noise" # the shell tells of each kill
echo "seed $seed"

# ---- chance ------------------------------------------------------------------------------------------

rnd=$seed
random() { # N: $r is one of 0 ... N-1
	rnd=$(((rnd * 1103515245 + 12345) & 0x7fffffff))
	r=$(((rnd >> 8) % $1))
}

pause() { # MILLISECONDS
	sleep "$(($1 / 1000)).$(printf %03d $(($1 % 1000)))"
}

# ---- the processes of a world -------------------------------------------------------------------------

# By the WEIR_HOME in their environment, whoever their parent is now. What is left of a killed world
# cannot be mistaken: each has its own.
processes() { # DIR: lines of "PID NAME"
	grep -lzsxF "WEIR_HOME=$1/home" /proc/[0-9]*/environ | while IFS=/ read -r _ _ p _; do
		read -r name <"/proc/$p/comm" && echo "$p $name"
	done
}

pids() { # KIND: of the file $work/ps
	case $1 in
	driver) echo "$pid" ;;
	supervisor) awk '$2 ~ /^weir-supervisor/ { print $1 }' "$work/ps" ;;
	tasks) awk -v d="$pid" '$1 != d && $2 !~ /^weir-supervisor/ { print $1 }' "$work/ps" ;;
	task) pids tasks | head -n 1 ;;
	all) awk '{ print $1 }' "$work/ps"; echo "$pid" ;;
	esac
}

alive() { kill -0 "$pid" && ! grep -q '^State:.*Z' "/proc/$pid/status"; }

stroke() { # DIR: $victim dies, whoever that is now
	processes "$1" >"$work/ps"
	set -- $(pids "$victim")
	[ $# -gt 0 ] && kill -9 "$@" && kills=$((kills + 1)) && story="$story $victim"
}

# ---- one start and its end ------------------------------------------------------------------------------

# launch DIR [NAME=VALUE]: defined by the kind of world as ${kind}_launch; sets $pid.
# 0: it was killed, or ended otherwise than it should; 1: it is through.
episode() { # DIR
	random 6
	case $r in
	# Steps that have no common divisor with the number of places visit them all, the near ones first
	# no more than the far ones.
	0) at_write=$(((at_write + 7) % 61)) by="WEIR_TEST_KILL_AT_WRITE=$at_write" ;;
	1) at_super=$(((at_super + 11) % 127)) by="WEIR_TEST_KILL_SUPERVISOR_AT=$at_super" ;;
	*) by= ;;
	esac
	restarts=$((restarts + 1))
	if [ -n "$by" ]; then
		"${kind}_launch" "$1" "$by"
		await_itself "$by"
		return
	fi
	random 5
	victim=$(echo driver supervisor task tasks all | cut -d' ' -f$((r + 1)))
	random "$span"
	"${kind}_launch" "$1"
	pause "$r"
	if alive; then
		story="$story ${r}ms:"
		stroke "$1"
		# One whose tasks or supervisor were killed goes on, or ends by itself.
		case $victim in task | tasks) random 100; pause "$r"; kill -9 "$pid" && kills=$((kills + 1)) && story="$story driver" ;; esac
		[ "$victim" != supervisor ] || pause 50
	fi
	kill -9 "$pid" # a daemon never ends by itself
	wait "$pid"
	status=$?
	[ $status = 0 ] && return 1
	return 0
}

# It kills itself, or its supervisor; or gets through before it comes to that.
await_itself() { # WHAT
	i=0
	while alive && [ $i -lt 100 ] && ! "${kind}_done"; do
		pause 20
		i=$((i + 1))
	done
	if alive; then
		kills=$((kills + 1))
		story="$story driver"
	fi
	kill -9 "$pid"
	wait "$pid"
	status=$?
	case $status in
	0) return 1 ;;
	137 | 6) kills=$((kills + 1)) story="$story $1" ;;
	esac
	return 0
}

# ---- the demo ---------------------------------------------------------------------------------------------

demo_span=350
demo_new() { demo_prepare "$1"; }
demo_done() { false; }
demo_launch() { # DIR [NAME=VALUE]
	env ${2:-A=} WEIR_HOME="$1/home" WITNESS="$1/witness" \
		"$weir" run "$1/dags/nightly_sales.yaml" --date $demo_date >>"$1/output" 2>&1 </dev/null &
	pid=$!
}
demo_check() { # DIR
	demo_picture "$1" 2>&1 | grep -v '^journal left' >"$1/picture"
}

# ---- 500 tasks ----------------------------------------------------------------------------------------------

many_span=500
many_dag() { # a random DAG in layers, of the seed
	awk -v seed="$seed" 'BEGIN {
		srand(seed)
		print "dag: many\ntasks:"
		for (i = 0; i < 500; i++) {
			layer = int(i / 50)
			needs = ""
			for (k = int(rand() * 4); layer > 0 && k > 0; k--) {
				n = (layer - 1) * 50 + int(rand() * 50)
				if (index(needs ",", "t" n ",") == 0) needs = needs (needs ? "," : "") "t" n
			}
			printf "  t%d: { needs: [%s], run: \"echo t%d $WEIR_TOKEN >>$WITNESS; echo n=%d >$WEIR_OUTPUT\" }\n",
				i, needs, i, i
		}
	}'
}
many_new() {
	mkdir -p "$1/home"
	: >"$1/witness"
	many_dag >"$1/many.yaml"
}
many_done() { false; }
many_launch() { # DIR [NAME=VALUE]
	env ${2:-A=} WEIR_HOME="$1/home" WITNESS="$1/witness" \
		"$weir" run "$1/many.yaml" --date 2026-11-19 --jobs 8 >>"$1/output" 2>&1 </dev/null &
	pid=$!
}
many_check() { history "$1" >"$1/picture"; }

# ---- a backfill by a daemon -----------------------------------------------------------------------------------

days_span=500
days_new() {
	mkdir -p "$1/home" "$1/dags"
	: >"$1/witness"
	cat >"$1/dags/days.yaml" <<-'END'
		dag: days
		schedule: { cron: "@daily", start: 2026-01-01, end: 2026-02-01, catchup: none }
		defaults: { retries: 1000, lost_retries: 1000, backoff: { initial: 10ms, factor: 1, jitter: none } }
		tasks:
		  load: { run: 'echo "$WEIR_TASK $WEIR_TOKEN" >>$WITNESS; sleep 0.02; echo "$WEIR_DS" >in.$WEIR_DS' }
		  rows: { needs: load, transform: sql, with: { connection: shop,
		    sql: "CREATE TABLE IF NOT EXISTS t (ds PRIMARY KEY); INSERT OR REPLACE INTO t VALUES ('{{ ds }}')" } }
		  report: { needs: rows, publish: file, with: { connection: shop, query: "SELECT ds FROM t WHERE ds = '{{ ds }}'", path: "out/{{ ds }}.csv" } }
	END
	printf 'connections: { shop: { type: sqlite, path: shop.db } }\n' >"$1/dags/weir.yaml"
	days_dir=$1
	WEIR_HOME=$1/home "$weir" backfill days --from 2026-01-02 --to 2026-01-25 --all --jobs 4 >>"$1/output" 2>&1 </dev/null ||
		days_first "$1"
}
# The store must know the DAG before there can be a backfill of it.
days_first() {
	days_launch "$1"
	i=0
	until WEIR_HOME=$1/home "$weir" backfill days --from 2026-01-02 --to 2026-01-25 --all --jobs 4 >>"$1/output" 2>&1 </dev/null; do
		i=$((i + 1))
		[ $i -lt 100 ] || break
		pause 50
	done
	kill -9 "$pid"
	wait "$pid"
}
days_done() {
	[ "$(sqlite3 -readonly "$days_dir/home/weir.db" "SELECT count(*) FROM backfill WHERE state = 'done'
		AND NOT EXISTS (SELECT 1 FROM run WHERE state IN ('queued', 'running'))")" = 1 ]
}
days_launch() { # DIR [NAME=VALUE]
	env ${2:-A=} WEIR_HOME="$1/home" WITNESS="$1/witness" \
		"$weir" daemon --dags "$1/dags" --jobs 4 >>"$1/output" 2>&1 </dev/null &
	pid=$!
}
days_check() { # DIR
	{
		history "$1"
		sqlite3 "$1/dags/shop.db" "SELECT * FROM t ORDER BY 1; PRAGMA integrity_check"
		(cd "$1/dags" && grep . in.* out/*)
	} >"$1/picture"
}

# ---- what is compared -------------------------------------------------------------------------------------------

# Who ran, how often with success, what it left: without tokens, times and tries, and whether it was there
# already when a retry came to publish it.
history() { # DIR
	sqlite3 "$1/home/weir.db" "
		SELECT dag, ds, run.state, task.name, task.state, outputs,
			(SELECT count(*) FROM attempt a WHERE a.run_id = run.id AND a.task = task.name AND outcome = 'success')
			FROM run JOIN task ON run_id = run.id WHERE dag <> 'days' OR backfill_id IS NOT NULL
			ORDER BY dag, interval_start_us, task.name;
		SELECT count(*) FROM attempt WHERE outcome IS NULL OR outcome = 'none';
		PRAGMA integrity_check" | sed -e "s|$1/||g" -e 's/"already":[a-z]*,//'
}

wrong() { # DIR TEXT
	complain "$1" "seed $seed, world $worlds ($kind): $2; killed:$story" >&3
	if [ -n "${KEEP:-}" ] && [ -d "$1" ]; then mkdir -p "$KEEP" && cp -r "$1" "$KEEP/$seed-$worlds"; fi
}

judge() { # DIR
	"${kind}_check" "$1"
	cmp -s "$work/$kind.picture" "$1/picture" || {
		wrong "$1" "the result differs"
		diff "$work/$kind.picture" "$1/picture" | head -n 10 | sed 's/^/    /' >&3
	}
	twice=$(started_twice "$1")
	[ -z "$twice" ] || wrong "$1" "an attempt was started twice: $twice"
	{
		echo "CREATE TEMP TABLE w (task, token INTEGER);"
		awk '{ printf "INSERT INTO w VALUES (\047%s\047, %s);\n", $1, $2 }' "$1/witness"
		echo "SELECT w.task, w.token FROM w LEFT JOIN attempt a ON a.token = w.token AND a.task = w.task WHERE a.token IS NULL;"
	} | sqlite3 "$1/home/weir.db" >"$work/unknown" 2>&1
	[ ! -s "$work/unknown" ] || wrong "$1" "started, and not recorded: $(head -n 5 "$work/unknown" | tr '\n' ' ')"
}

# To the end, undisturbed. A foreground run whose tasks were killed may have failed, and is asked again.
finish() { # DIR
	tries=0
	while [ $tries -lt 5 ]; do
		tries=$((tries + 1))
		"${kind}_launch" "$1"
		i=0
		while alive && [ $i -lt 1200 ] && ! "${kind}_done"; do
			pause 50
			i=$((i + 1))
		done
		if [ $i -ge 1200 ]; then
			wrong "$1" "stuck: no end after a minute"
			kill -9 "$pid"
			wait "$pid"
			return 1
		fi
		# More than once: a shell that has not become the daemon yet keeps the signal to itself.
		i=0
		while [ "$kind" = days ] && alive && [ $i -lt 400 ]; do
			kill -TERM "$pid"
			pause 50
			i=$((i + 1))
		done
		[ $i -lt 400 ] || { wrong "$1" "stuck: TERM does not end it"; kill -9 "$pid"; }
		wait "$pid"
		status=$?
		[ $status = 0 ] && return 0
		[ "$kind" != days ] || ! days_done || return 0
	done
	wrong "$1" "it ends with $status, five times"
	return 1
}

clear_away() { # DIR
	processes "$1" >"$work/ps"
	set -- "$1" $(awk '{ print $1 }' "$work/ps")
	dir=$1
	shift
	[ $# = 0 ] || kill -9 "$@"
	rm -rf "$dir" || { pause 100; rm -rf "$dir"; }
}

world() { # KIND
	kind=$1 worlds=$((worlds + 1)) story= began=$(date +%s)
	dir=$work/world$worlds
	eval "span=\$${kind}_span"
	"${kind}_new" "$dir"
	world_dir=$dir
	random 10
	n=$((r + 1))
	while [ $n -gt 0 ] && [ $kills -lt "$wanted" ]; do
		n=$((n - 1))
		episode "$world_dir" || break
	done
	finish "$world_dir" && judge "$world_dir"
	clear_away "$world_dir"
	took=$(($(date +%s) - began))
	[ $took -le $slowest ] || slowest=$took slow="world $worlds ($kind), $took s, killed:$story"
}

for kind in demo many days; do
	story=
	"${kind}_new" "$work/$kind"
	finish "$work/$kind" || { cat "$work/$kind/output" >&3; exit 1; }
	"${kind}_check" "$work/$kind"
	mv "$work/$kind/picture" "$work/$kind.picture"
	clear_away "$work/$kind"
done

while [ $kills -lt "$wanted" ] && [ $(($(date +%s) - begin)) -lt "$limit" ]; do
	for kind in demo many days; do
		[ $kills -ge "$wanted" ] || [ $(($(date +%s) - begin)) -ge "$limit" ] || world $kind
	done
done

seconds=$(($(date +%s) - begin))
[ $seconds -gt 0 ] || seconds=1
echo "$worlds worlds, $restarts starts, $seconds s: $((kills * 60 / seconds)) kills a minute"
echo "slowest: $slow"
echo "kills $kills, wrong $bad"
[ $bad = 0 ] && [ $kills -gt 0 ]
