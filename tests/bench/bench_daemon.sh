# Figures of the daemon and its schedules; read by bench.sh, whose helpers it uses.
#
#     BENCH_DAGS       how many DAGs; default 10000
#     BENCH_MINUTES    how many minutes in which all of them are due; default 2
#     BENCH_IDLE       seconds in which none is; default 60

dags=${BENCH_DAGS:-10000}
minutes=${BENCH_MINUTES:-2}
idle_s=${BENCH_IDLE:-60}
jobs=16

# due_dags FOLDER CRON
due_dags() {
	mkdir -p "$1"
	awk -v n="$dags" -v into="$1" -v cron="$2" 'BEGIN {
		for (i = 0; i < n; i++) {
			name = sprintf("due_%05d", i)
			file = into "/" name ".yaml"
			printf "dag: %s\nschedule: \"%s\"\ntasks:\n  t:\n    run: /bin/true\n", name, cron >file
			close(file)
		}
	}'
}

now_s() { date +%s.%N; }

# start_daemon FOLDER: $daemon is its pid, $super its supervisor's; returns once it is ready.
start_daemon() {
	new_home
	: >daemon.log
	"$weir" daemon --dags "$1" --jobs $jobs --stop-tasks >daemon.log 2>&1 &
	daemon=$!
	until grep -q 'msg="\?ready' daemon.log; do
		kill -0 "$daemon" 2>/dev/null || {
			echo "bench.sh: the daemon ended:" >&2
			tail -n 5 daemon.log >&2
			exit 1
		}
		sleep 0.01
	done
	super=$(cut -d' ' -f1 "/proc/$daemon/task/$daemon/children")
}

stop_daemon() {
	kill "$daemon"
	wait "$daemon" || true
	daemon=
}

# CPU nanoseconds of both.
cpu_ns() { cat "/proc/$daemon/schedstat" "/proc/$super/schedstat" | awk '{ n += $1 } END { printf "%.0f\n", n }'; }

# percentile P FILE
percentile() {
	sort -g "$2" | awk -v p="$1" '{ v[NR] = $1 } END {
		i = int(NR * p / 100); if (i < NR * p / 100) i++; print NR ? v[i < 1 ? 1 : i] : "-"
	}'
}

# A new DAG begins with its latest interval.
wait_for_runs() {
	until [ "$(sqlite3 -readonly "$WEIR_HOME/weir.db" \
		"SELECT count(*) FROM run WHERE state = 'success'")" -ge "$dags" ]; do
		sleep 1
	done
}

figure_idle_daemon() {
	due_dags idle_dags "30 3 * * *"
	i=0
	while [ $i -lt "$runs" ]; do
		[ -z "$daemon" ] || stop_daemon
		begin=$(now_s)
		start_daemon idle_dags
		echo "$(now_s) $begin" | awk '{ print $1 - $2 }' >>load.ours
		once load.raw sh -c 'cat idle_dags/*.yaml'
		i=$((i + 1))
	done
	row "daemon: $dags DAG files until it is ready" "$(seconds load.ours)" \
		"$(seconds load.raw) reading them" "$(ratio load.ours load.raw)"
	row "daemon: RSS, loaded" "$(smaps "$daemon" Rss) MiB" \
		"$(smaps "$daemon" Pss) MiB of it its share (PSS)" -
	wait_for_runs
	begin=$(cpu_ns)
	sleep "$idle_s"
	percent=$(echo "$(cpu_ns) $begin $idle_s" | awk '{ printf "%.4f", ($1 - $2) / $3 / 1e7 }')
	row "daemon: CPU, $idle_s s in which nothing is due" "$percent %" "with its supervisor" - \
		0.2 "$percent" " %"
	row "daemon: RSS, idle after $dags runs" "$(smaps "$daemon" Rss) MiB" \
		"$(smaps "$daemon" Pss) MiB of it its share (PSS)" -
	stop_daemon
}

# The first runs of a new DAG are made at the start; they must be over when the minute is.
wait_for_minutes() {
	until [ "$(date +%-S)" -lt 30 ]; do sleep 1; done
	start_daemon due_dags
	ready_us=$(date +%s)000000
	sleep "$((60 - $(date +%-S) + 60 * (minutes - 1) + 25))"
}

# delays WHAT QUERY: milliseconds behind the instant at which each run was due.
delays() {
	sqlite3 -readonly "$WEIR_HOME/weir.db" "$2" >"$1"
}

figure_due_daemon() {
	due_dags due_dags "* * * * *"
	wait_for_minutes
	peak=$(awk '$1 == "VmHWM:" { printf "%.1f", $2 / 1024 }' "/proc/$daemon/status")
	rss=$(smaps "$daemon" Rss) pss=$(smaps "$daemon" Pss)
	super_rss=$(smaps "$super" Rss) super_pss=$(smaps "$super" Pss)
	stop_daemon
	delays due.starts "
		WITH a AS (SELECT a.started_us - r.interval_end_us AS us, row_number()
				OVER (PARTITION BY r.interval_end_us ORDER BY a.token) AS n
			FROM attempt a JOIN run r ON r.id = a.run_id WHERE r.interval_end_us > $ready_us)
		SELECT us / 1000.0 FROM a WHERE n <= $jobs AND us IS NOT NULL"
	delays due.made "SELECT (at_us - run_after_us) / 1000.0 FROM plan
		WHERE run_after_us > $ready_us AND action = 'create'"
	delays due.rate "SELECT count(*) * 1e6 / (max(ended_us) - min(started_us))
		FROM (SELECT a.*, r.interval_end_us AS due FROM attempt a JOIN run r ON r.id = a.run_id)
		WHERE due > $ready_us AND ended_us IS NOT NULL GROUP BY due HAVING count(*) >= $dags"
	what="$dags DAGs due at once"
	p99=$(percentile 99 due.starts)
	row "$what: first $jobs processes, p50" "$(percentile 50 due.starts) ms" "behind the instant" -
	row "$what: first $jobs processes, p99" "$p99 ms" \
		"$(awk 'END { print NR }' due.starts) processes in $minutes minutes" - 50 "$p99" " ms"
	row "$what: runs made, p50" "$(percentile 50 due.made) ms" \
		"$(awk 'END { print NR }' due.made) runs, queued for a slot" -
	row "$what: runs made, p99" "$(percentile 99 due.made) ms" "" -
	[ ! -s due.rate ] || row "$what: runs a second, $jobs jobs" "$(cell due.rate %.0f 1 /s)" "" -
	row "$what: daemon, peak RSS" "$peak MiB" "$rss RSS, $pss PSS at the end" - 64 "$peak" " MiB"
	row "$what: supervisor, RSS" "$super_rss MiB" "$super_pss MiB of it its share (PSS)" -
}

figure_daemon() {
	if [ ! -r /proc/self/schedstat ] || ! found sqlite3; then
		row "daemon" "skipped: needs Linux's /proc, and sqlite3" - -
		return
	fi
	figure_idle_daemon
	figure_due_daemon
}

figure_cron() {
	# shellcheck disable=SC2086 # CC may be words
	if ! ${CC:-cc} -std=gnu17 -D_GNU_SOURCE -O2 -I"$top/src" -I"$top" -o bench_cron \
		"$here/bench_cron.c" "$top"/src/core/cron*.c "$top"/src/core/zone*.c \
		"$top"/src/base/*.c -lcrypto 2>errors; then
		row "cron" "does not build: $(head -n 1 errors)" - -
		return
	fi
	for _ in $(seq "$runs"); do ./bench_cron 1000 1000 >>cron.ours; done
	row "1,000 crons, 16 zones: 1,000 fires of each" "$(millis cron.ours)" "CPU, no rival found" - \
		100 "$(stat median cron.ours)" " ms"
	row "1,000 crons, 16 zones: one fire of each" "$(cell cron.ours %.3f 1 ms 3)" "CPU" -
}

figure_sla() {
	# shellcheck disable=SC2086 # CC may be words
	if ! ${CC:-cc} -std=gnu17 -D_GNU_SOURCE -O2 -I"$top/src" -I"$top" -o bench_sla \
		"$here/bench_sla.c" "$top"/src/core/*.c "$top"/src/base/*.c -lcrypto -lm 2>errors; then
		row "sla" "does not build: $(head -n 1 errors)" - -
		return
	fi
	for _ in $(seq "$runs"); do ./bench_sla 10000 >>sla.ours; done
	row "10,000 SLAs: a look while nothing is due" "$(cell sla.ours %.0f 1 ns 2)" "CPU, no rival found" -
	row "10,000 SLAs: each that is due" "$(cell sla.ours %.2f 1 us 3)" "CPU" -
}

figure_trigger() {
	# shellcheck disable=SC2086 # CC may be words
	if ! ${CC:-cc} -std=gnu17 -D_GNU_SOURCE -O2 -I"$top/src" -I"$top" -o bench_trigger \
		"$here/bench_trigger.c" "$top"/src/core/*.c "$top"/src/base/*.c -lcrypto -lm 2>errors; then
		row "trigger" "does not build: $(head -n 1 errors)" - -
		return
	fi
	for _ in $(seq "$runs"); do ./bench_trigger >>trigger.ours; done
	row "trigger rules: verdicts per second" "$(cell trigger.ours %.1f 1 M 1)" "CPU, no rival found" -
	row "conditions of 8 terms: verdicts per second" "$(cell trigger.ours %.1f 1 M 2)" "CPU" -
	row "a failure through 100,000 tasks, of 8 needs" "$(cell trigger.ours %.0f 1 k/s 3)" "tasks, CPU" -
}
