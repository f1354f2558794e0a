# Figures of a store with a long history; read by bench.sh, whose helpers it uses.
#
#     BENCH_STORE_RUNS    how many finished runs; default 1000000 (one gigabyte in TMPDIR)

store_runs=${BENCH_STORE_RUNS:-1000000}

one_run() {
	printf 'dag: one\ntasks:\n  t:\n    run: /bin/true\n' >one.yaml
	WEIR_HOME=$1 "$weir" run --quiet one.yaml
}

fill_store() {
	one_run "$1"
	sqlite3 "$1/weir.db" -cmd ".param init" -cmd ".param set :runs $store_runs" \
		-cmd ".param set :now_us $(date +%s)000000" <"$here/bench_store.sql" >/dev/null
}

# both NAME COMMAND...: on the full store and on the empty one, in turns.
both() {
	name=$1
	shift
	WEIR_HOME=$work/full "$weir" "$@" >/dev/null
	for _ in $(seq "$runs"); do
		WEIR_HOME=$work/full once "$name.full" "$weir" "$@"
		WEIR_HOME=$work/empty once "$name.empty" "$weir" "$@"
	done
}

# reading WHAT COMMAND...
reading() {
	what=$1
	shift
	name=read.$(echo "$*" | tr -c 'a-z0-9\n' _)
	both "$name" "$@"
	row "$what: weir $*" "$(millis "$name.full" 1000)" "$(millis "$name.empty" 1000) empty store" \
		"$(ratio "$name.full" "$name.empty")" 50 \
		"$(awk -v s="$(stat median "$name.full")" 'BEGIN { print s * 1000 }')" " ms"
}

# The same DAG on both, each time another date.
scheduling() {
	graph wide 1000 0
	for i in $(seq "$runs"); do
		day=$(printf '20%02d-01-01' "$i")
		WEIR_HOME=$work/full once rate.full "$weir" run --quiet --jobs 8 --date "$day" wide.yaml
		WEIR_HOME=$work/empty once rate.empty "$weir" run --quiet --jobs 8 --date "$day" wide.yaml
	done
	r=$(ratio rate.full rate.empty)
	row "$1: 1,000 tasks, 8 jobs" "$(seconds rate.full)" "$(seconds rate.empty) empty store" "$r" \
		1.1 "$r"
}

figure_history() {
	free=$(df -Pk . | awk 'NR == 2 { print int($4) }')
	what="$store_runs finished runs"
	if [ "$free" -lt $((store_runs * 3)) ]; then
		row "$what" "skipped: $((store_runs * 3 / 1000)) MB are needed" - -
		return
	fi
	fill_store "$work/full"
	# The empty one knows the DAG that is asked for.
	all=$store_runs
	store_runs=200
	fill_store "$work/empty"
	store_runs=$all
	row "$what: the store" "$(size "$work/full/weir.db")" - -
	reading "$what" status
	reading "$what" runs past_017
	reading "$what" runs
	reading "$what" why past_017
	reading "$what" why past_007 t
	run=$(sqlite3 "$work/full/weir.db" "SELECT name FROM run WHERE dag = 'past_007'
		ORDER BY interval_start_us DESC LIMIT 1")
	reading "$what" why "$run"
	reading "$what" why "$run" t
	for _ in $(seq "$runs"); do once version.once "$weir" --version; done
	row "what each of those takes at least: weir --version" "$(millis version.once 1000)" "" -
	scheduling "$what"
	backfill_plan full
	rm -rf "$work/full" "$work/empty"
}

backfill_plan() {
	mkdir -p days
	printf 'dag: days\nschedule: "0 3 * * *"\ntasks:\n  t:\n    run: /bin/true\n' >days/days.yaml
	for _ in $(seq "$runs"); do
		WEIR_HOME=$work/$1 once plan.ours "$weir" backfill days --dags days --from 1999-01-01 \
			--to 2026-05-18 --dry-run --json
	done
	row "backfill: plan of 10,000 days, --json" "$(seconds plan.ours)" "" - 1 \
		"$(stat median plan.ours)" " s"
}

figure_store() {
	if found sqlite3; then
		figure_history
	else
		row "a long history" "skipped: sqlite3 makes it" - -
	fi
}
