# Figures of a daemon that is killed and started again; read by bench.sh, whose helpers it uses.
#
#     RESTART_SECONDS   how long it is killed every second; default 60
#     RESTART_RATE      tasks a second that become due; default 1000
#
# A DAG of RESTART_RATE / 2 small tasks is due every second, twice; each task appends its token to a
# file. It prints what was done, lost, doubled, and the rate. Lost: a run that was made and is not
# success in the end, or a task of it without one. Doubled: a token twice in the file, or a task of a
# run with two successes.

restart_dags() { # FOLDER RATE
	mkdir -p "$1"
	for i in 1 2; do
		awk -v n="$(($2 / 2))" -v i="$i" 'BEGIN {
			printf "dag: load_%d\nschedule: { every: 1s, catchup: all, max_active_runs: 200 }\n", i
			print "tasks:"
			for (t = 0; t < n; t++)
				printf "  t%d: { run: \"echo $WEIR_TOKEN >>$WITNESS\" }\n", t
		}' >"$1/load_$i.yaml"
	done
}

restart_ask() { sqlite3 -readonly "$WEIR_HOME/weir.db" "$1" 2>/dev/null || echo 0; }

restart_launch() {
	"$weir" daemon --dags restart_dags --jobs 64 >>restart.log 2>&1 &
	daemon=$!
}

# restart_figure: "DONE LOST DOUBLED RATE STARTS"
restart_figure() {
	for_s=${RESTART_SECONDS:-60}
	WITNESS=$PWD/restart.witness
	export WITNESS
	: >"$WITNESS"
	restart_dags restart_dags "${RESTART_RATE:-1000}"
	begin_s=$(date +%s)
	starts=0
	while [ $(($(date +%s) - begin_s)) -lt "$for_s" ]; do
		restart_launch
		starts=$((starts + 1))
		sleep 1
		kill -9 "$daemon"
		wait "$daemon" 2>/dev/null || true
	done
	# No more becomes due; what was made comes to its end.
	restart_launch
	for i in 1 2; do
		for _ in $(seq 100); do
			! "$weir" drain "load_$i" --reason "the figure is taken" >/dev/null 2>&1 || break
			sleep 0.1
		done
	done
	waited=0
	while [ "$(restart_ask "SELECT count(*) FROM run WHERE state IN ('queued', 'running')")" != 0 ] && [ $waited -lt 300 ]; do
		sleep 1
		waited=$((waited + 1))
	done
	kill "$daemon"
	wait "$daemon" 2>/dev/null || true
	daemon=
	done_n=$(restart_ask "SELECT count(*) FROM attempt WHERE outcome = 'success'")
	lost_n=$(restart_ask "SELECT count(*) FROM task JOIN run ON run.id = run_id
		WHERE task.state <> 'success' OR run.state <> 'success'")
	again_n=$(restart_ask "SELECT count(*) FROM (SELECT 1 FROM attempt WHERE outcome = 'success'
		GROUP BY run_id, task HAVING count(*) > 1)")
	twice_n=$(sort "$WITNESS" | uniq -d | wc -l)
	took=$(restart_ask "SELECT (max(ended_us) - min(started_us)) / 1e6 FROM attempt WHERE outcome = 'success'")
	echo "$done_n $lost_n $((again_n + twice_n)) $(awk -v n="$done_n" -v s="$took" 'BEGIN { printf "%.0f", (s > 0 ? n / s : 0) }') $starts"
}

figure_restart() {
	what="tasks under a daemon killed every second"
	if ! found sqlite3; then
		row "$what" "skipped: needs sqlite3" - -
		return
	fi
	new_home
	restart_figure >restart.figure
	read -r done_n lost_n doubled_n rate starts <restart.figure
	row "$what: lost" "$lost_n" "of $done_n done, $starts starts" - 0 "$lost_n"
	row "$what: doubled" "$doubled_n" "" - 0 "$doubled_n"
	row "$what: rate" "$rate /s" "of ${RESTART_RATE:-1000} /s due" -
}
