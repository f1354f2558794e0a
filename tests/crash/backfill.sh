#!/bin/sh
# Kill -9 a daemon at every numbered write of the store during a backfill, start it again, and compare
# with a backfill that nobody disturbed.
#
# usage: tests/crash/backfill.sh [WEIR]      from the top of the source tree
#
# Six days are reprocessed (--all): two of them are missing, one had failed, three had succeeded; the
# schedule makes runs of its own meanwhile. What must hold after the second daemon: outputs, states of
# runs, tasks and the backfill, and what the schedule made are those of the undisturbed one; no attempt
# was started twice; each task has one success more than before, and none is in flight.
set -u
. "$(dirname "$0")/../lib/crash.sh"
from=2026-03-08T00:00:30Z until=2026-03-08T03:30:00Z

run() { # DIR COMMAND...: at a simulated moment
	dir=$1; shift
	(cd "$dir" && WEIR_HOME=$dir/home WITNESS=$dir/witness HOME=$dir TZ=UTC exec "$@" >>"$dir/output" 2>&1)
}

daemon() { # DIR FROM UNTIL [NAME=VALUE]
	run "$1" env ${4:-A=} WEIR_TEST_CLOCK="$2" WEIR_TEST_UNTIL="$3" "$weir" daemon --dags dags
}

picture() { # DIR
	(
		cd "$1/dags" || exit 1
		grep . out.*
		sqlite3 "$1/home/weir.db" "
			SELECT dag, ds, run.state, \"trigger\", backfill_id, wanted, owner_pid, task.name, task.state
				FROM run JOIN task ON run_id = run.id ORDER BY dag, interval_start_us, task.name;
			SELECT ds, task, count(*) FROM attempt JOIN run ON run.id = run_id
				WHERE outcome = 'success' GROUP BY dag, interval_start_us, task;
			SELECT id, state, exhausted, cursor_us FROM backfill;
			SELECT count(*) FROM attempt WHERE outcome IS NULL OR outcome = 'none';
			PRAGMA integrity_check"
		find "$1/home" -name '*.journal' -printf 'journal left: %f\n'
	)
}

# The state before the backfill: made once, and copied.
before=$work/before
mkdir -p "$before/dags"
cat >"$before/dags/night.yaml" <<'END'
dag: night
schedule: { cron: "@daily", catchup: all, start: 2026-03-01 }
tasks:
  load: { run: 'echo "$WEIR_TOKEN" >>$WITNESS; test "$WEIR_DS" != 2026-03-04 || test -e go' }
  publish: { needs: [load], run: 'echo "$WEIR_TOKEN" >>$WITNESS; echo "$WEIR_DS" >out.$WEIR_DS' }
END
printf 'dag: hour\nschedule: { cron: "@hourly", start: 2026-03-08 }\ntasks: { a: { run: ":" } }\n' >"$before/dags/hour.yaml"
daemon "$before" 2026-03-05T00:00:00Z 2026-03-07T00:30:00Z
: >"$before/dags/go"
run "$before" env WEIR_TEST_CLOCK=$from "$weir" backfill night --from 2026-03-01 --to 2026-03-06 --all --jobs 2 ||
	{ cat "$before/output"; exit 1; }
prepare() { # DIR
	cp -r "$before" "$1"
	rm -f "$1/witness"
}

prepare "$work/reference"
daemon "$work/reference" $from $until || { cat "$work/reference/output"; exit 1; }
picture "$work/reference" >"$work/picture"
grep -q '^1|done|1|' "$work/picture" || { echo "not ok: the undisturbed backfill"; cat "$work/picture"; exit 1; }

exec 2>/dev/null # the shell tells of each kill
n=0
while :; do
	n=$((n + 1))
	dir=$work/$n
	prepare "$dir"
	daemon "$dir" $from $until WEIR_TEST_KILL_AT_WRITE=$n && break
	kills=$((kills + 1))
	daemon "$dir" 2026-03-08T00:00:40Z $until || complain "$dir" "write $n: the second daemon failed with $?"
	picture "$dir" >"$dir/picture" 2>&1
	if ! cmp -s "$work/picture" "$dir/picture"; then
		complain "$dir" "write $n: the result differs"
		diff "$work/picture" "$dir/picture" | head -n 10 | sed 's/^/    /'
	fi
	twice=$(started_twice "$dir")
	[ -z "$twice" ] || complain "$dir" "write $n: an attempt was started twice: $twice"
	rm -rf "$dir"
	[ $n -lt 1000 ] || { echo "not ok: it never gets through"; bad=$((bad + 1)); break; }
done

# After an outage more is due than one transaction takes: what was decided is kept no further than what
# was made of it.
outage=$work/outage
mkdir -p "$outage/dags"
printf 'dag: many\nschedule: { every: 10m, catchup: all, max_active_runs: 500 }\ntasks: { a: { run: ":" } }\n' \
	>"$outage/dags/many.yaml"
daemon "$outage" 2026-03-01T00:00:00Z 2026-03-01T01:05:00Z
n=0
while [ $n -lt 12 ]; do
	n=$((n + 1))
	dir=$work/outage-$n
	cp -r "$outage" "$dir"
	daemon "$dir" 2026-03-03T13:05:00Z 2026-03-03T14:05:00Z WEIR_TEST_KILL_AT_WRITE=$n
	kills=$((kills + 1))
	daemon "$dir" 2026-03-03T13:05:10Z 2026-03-03T14:05:00Z || complain "$dir" "outage, write $n: $?"
	got=$(sqlite3 "$dir/home/weir.db" "SELECT state, count(*), (max(interval_end_us) - min(interval_start_us)) / 600000000 FROM run GROUP BY 1")
	[ "$got" = "success|373|373" ] || complain "$dir" "outage, write $n: $got"
	rm -rf "$dir"
done

echo "$kills kills, $bad wrong"
[ $bad = 0 ] && [ $kills -gt 20 ]
