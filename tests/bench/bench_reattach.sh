# A daemon with many live tasks is killed and started again; read by bench.sh, whose helpers it uses.
#
#     REATTACH_TASKS    how many tasks; default 1000
#
# It prints how long it takes from the start of the next daemon until it says of itself, in its
# status, that all of them run under it. Lost: tasks without a success in
# the end. Doubled: tokens that began twice, or tasks with two successes.

reattach_dag() { # FOLDER N
	mkdir -p "$1"
	awk -v n="$2" 'BEGIN {
		print "dag: live\nschedule: manual\ntasks:"
		for (t = 0; t < n; t++)
			printf "  t%d: { run: \"echo $WEIR_TOKEN >>$WITNESS; until [ -e $GO ]; do sleep 1; done\" }\n", t
	}' >"$1/live.yaml"
}

reattach_launch() {
	"$weir" daemon --dags reattach_dags --jobs "$tasks" >>reattach.log 2>&1 &
	daemon=$!
}

# How many it has in hand. `weir status --json` asks the daemon; a daemon that waits for the tasks of a
# former one has none.
reattach_in_hand() {
	"$weir" status --json 2>/dev/null |
		sed -n '/^  "daemon": {/,/^  }/s/^    "running": *\([0-9]*\).*/\1/p'
}

# reattach_until N SECONDS
reattach_until() {
	until_ms=$(($(date +%s%3N) + $2 * 1000))
	while [ "$(date +%s%3N)" -lt "$until_ms" ]; do
		n=$(reattach_in_hand)
		[ "${n:-0}" -lt "$1" ] || return 0
		sleep 0.02
	done
	return 1
}

# reattach_figure: "MS LOST DOUBLED"; MS is - when they were not in hand after 30 s
reattach_figure() {
	tasks=${REATTACH_TASKS:-1000}
	WITNESS=$PWD/reattach.witness GO=$PWD/reattach.go
	export WITNESS GO
	: >"$WITNESS"
	reattach_dag reattach_dags "$tasks"
	reattach_launch
	until "$weir" trigger live --date 2026-01-01 >/dev/null 2>&1; do sleep 0.05; done
	while [ "$(wc -l <"$WITNESS")" -lt "$tasks" ]; do sleep 0.1; done
	kill -9 "$daemon"
	wait "$daemon" 2>/dev/null || true
	begin_ms=$(date +%s%3N)
	reattach_launch
	if reattach_until "$tasks" 30; then ms=$(($(date +%s%3N) - begin_ms)); else ms=-; fi
	: >"$GO"
	waited=0
	while [ "$(sqlite3 -readonly "$WEIR_HOME/weir.db" "SELECT state FROM run")" != success ] && [ $waited -lt 600 ]; do
		sleep 0.1
		waited=$((waited + 1))
	done
	kill "$daemon"
	wait "$daemon" 2>/dev/null || true
	daemon=
	good=$(sqlite3 -readonly "$WEIR_HOME/weir.db" "SELECT count(DISTINCT task) FROM attempt WHERE outcome = 'success'")
	all=$(sqlite3 -readonly "$WEIR_HOME/weir.db" "SELECT count(*) FROM attempt")
	doubled=$((all - good + $(sort "$WITNESS" | uniq -d | wc -l)))
	echo "$ms $((tasks - good)) $doubled"
}

figure_reattach() {
	what="${REATTACH_TASKS:-1000} live tasks, the daemon killed"
	if ! found sqlite3; then
		row "$what" "skipped: needs sqlite3" - -
		return
	fi
	new_home
	reattach_figure >reattach.figure
	read -r ms lost_n doubled_n <reattach.figure
	if [ "$ms" = - ]; then
		row "$what: until all are in hand" "not within 30 s" "" - 2000 30000 " ms"
	else
		row "$what: until all are in hand" "$ms ms" "of its next start" - 2000 "$ms" " ms"
	fi
	row "$what: lost" "$lost_n" "" - 0 "$lost_n"
	row "$what: doubled" "$doubled_n" "" - 0 "$doubled_n"
}
