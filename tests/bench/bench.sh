#!/bin/sh
# Weir's figures, each beside a rival found on this machine or a raw limit of it, taken in the
# same run, in turns. `make bench` runs it.
#
#     bench.sh [FIGURE...]      tasks mapping disk spawn pools breaker load csv start daemon cron sla trigger store restart reattach alerts sim;
#                               default: all
#
#     WEIR          the binary; default ./weir
#     WEIR_SIM      the simulation; default tests/sim/weir-sim beside the binary
#     CC            for the stopwatch and the bare loop; default cc
#     BENCH_RUNS    times each command is run; default 5
#     BENCH_SCALE   megabytes of CSV; default 1000, and 3 runs of it (BENCH_CSV_RUNS)
#     TMPDIR        where all of it happens; default /var/tmp. Needs about four times the CSV.
#     WEIR_CASES    a folder of shared cases, with dags/; default ../shared/cases
# and those of bench_daemon.sh, bench_store.sh, bench_restart.sh, bench_reattach.sh and bench_alerts.sh.
#
# A value is the median, followed by least-largest of all runs. A ratio is of the medians. The
# exit status is 0 also where a goal is not met: a shared machine is no judge.
set -eu

top=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
weir=${WEIR:-./weir}
runs=${BENCH_RUNS:-5}
scale=${BENCH_SCALE:-1000}
csv_runs=${BENCH_CSV_RUNS:-3}
cases=${WEIR_CASES:-$top/../shared/cases}
here=$top/tests/bench

case $weir in /*) ;; *) weir=$PWD/$weir ;; esac
sim=${WEIR_SIM:-$(dirname "$weir")/tests/sim/weir-sim}
[ -x "$weir" ] || {
	echo "bench.sh: $weir: not there; build it first, or set WEIR" >&2
	exit 2
}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/weir-bench.XXXXXX")
memory=
daemon=
trap '[ -z "$daemon" ] || { kill "$daemon"; wait "$daemon"; }
	rm -rf "$work" ${memory:+"$memory"}' EXIT
trap 'exit 130' INT TERM HUP
cd "$work"
unset WEIR_HOME WEIR_CONFIG MAKEFLAGS MAKELEVEL MFLAGS
export LC_ALL=C

# ---- measuring ----

# A new, empty home for each run. None is removed before the end: ext4 passes over inodes that
# were deleted lately one by one, and a folder made anew would pay for the one before.
homes=0
new_home() {
	homes=$((homes + 1))
	WEIR_HOME=${1:-$work}/home$homes
	export WEIR_HOME
}

# once FILE COMMAND...: add one measurement (seconds, CPU seconds, KiB) to FILE.
once() {
	into=$1
	shift
	./probe time "$@" >>"$into" 2>errors || {
		echo "bench.sh: failed: $*" >&2
		cat errors >&2
		exit 1
	}
}

# stat WHICH FILE [COLUMN]: median, min or max.
stat() {
	awk -v c="${3:-1}" '{ print $c }' "$2" | sort -g | awk -v which="$1" '
		{ v[NR] = $1 }
		END {
			if (which == "min") print v[1]
			else if (which == "max") print v[NR]
			else if (NR % 2) print v[(NR + 1) / 2]
			else print (v[NR / 2] + v[NR / 2 + 1]) / 2
		}'
}

# cell FILE FORMAT FACTOR UNIT [COLUMN]: "0.44 s (0.42-0.51)"
cell() {
	awk -v m="$(stat median "$1" "${5:-1}")" -v a="$(stat min "$1" "${5:-1}")" \
		-v b="$(stat max "$1" "${5:-1}")" -v f="$2" -v x="$3" -v u="$4" \
		'BEGIN { printf f " %s (" f "-" f ")\n", m * x, u, a * x, b * x }'
}
seconds() { cell "$1" %.3f 1 s "${2:-1}"; }
millis() { cell "$1" %.2f "${2:-1}" ms; }

divide() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f\n", b ? a / b : 0 }'; }
ratio() { divide "$(stat median "$1")" "$(stat median "$2")"; }

goals=0
met=0
line() { printf '%-46s %-27s %-36s %6s %9s %s\n' "$@"; }

# row WHAT OURS BESIDE RATIO [GOAL VALUE]: GOAL is the largest VALUE that meets it.
row() {
	verdict=
	goal=${5:-}
	if [ "$goal" ]; then
		goals=$((goals + 1))
		verdict=$(awk -v v="$6" -v g="$goal" 'BEGIN { print v <= g ? "met" : "NOT MET" }')
		[ "$verdict" != met ] || met=$((met + 1))
		goal="<= $goal${7:-}"
	fi
	line "$1" "$2" "$3" "$4" "$goal" "$verdict"
}

found() { command -v "$1" >/dev/null 2>&1; }

# ---- the machine ----

load() { cut -d' ' -f1 /proc/loadavg; }

machine() {
	model=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)
	echo "Machine:  $(getconf _NPROCESSORS_ONLN) CPUs, ${model:-unknown model}, Linux $(uname -r)"
	echo "Folder:   $work, $(df -PT "$work" | awk 'NR == 2 { print $2 " on " $1 }')"
	echo "Weir:     $("$weir" --version | head -n 1)"
	printf 'Rivals:   '
	for rival in make ninja sqlite3 dagu airflow luigi; do
		if found $rival; then printf '%s  ' "$rival"; else printf '%s (not found)  ' $rival; fi
	done
	echo
	echo "Runs:     $runs of each, in turns ($csv_runs of the CSV); $(date -u +%FT%TZ)"
	echo "Load:     $(load)"
	if awk -v l="$(load)" 'BEGIN { exit !(l > 0.5) }'; then
		echo "WARNING:  others use this machine (load above 0.5): read the ratios, not the times"
	fi
	echo
	line FIGURE WEIR BESIDE RATIO GOAL ""
}

# ---- 1,000 tasks ----

# graph NAME N CHAIN: the same graph for Weir, make and ninja.
graph() {
	awk -v name="$1" -v n="$2" -v chain="$3" 'BEGIN {
		dag = name ".yaml"; mk = name ".mk"; nj = name ".ninja"
		printf "dag: %s\ntasks:\n", name >dag
		printf "all:" >mk
		for (i = 1; i <= n; i++) printf " t%d", i >mk
		printf "\n.PHONY: all" >mk
		for (i = 1; i <= n; i++) printf " t%d", i >mk
		printf "\n" >mk
		printf "rule r\n  command = /bin/true\n" >nj
		for (i = 1; i <= n; i++) {
			after = chain && i > 1 ? "t" i - 1 : ""
			printf "  t%d:\n    run: /bin/true\n", i >dag
			if (after) printf "    needs: %s\n", after >dag
			printf "t%d: %s\n\t@/bin/true\n", i, after >mk
			printf "build t%d: r %s\n", i, after >nj
		}
	}'
}

weir_run() {
	into=$1
	dag=$2
	shift 2
	new_home ${memory:+"$memory"}
	once "$into" "$weir" run "$dag" --jobs 8 "$@"
}

ninja_run() {
	rm -f .ninja_log .ninja_deps
	once "$1" ninja --quiet -j8 -f "$2"
}

compare_graph() {
	g=$1
	i=0
	while [ $i -lt "$runs" ]; do
		weir_run "$g.ours" "$g.yaml" --quiet
		if found make; then once "$g.make" make -s -j8 -f "$g.mk"; fi
		if found ninja; then ninja_run "$g.nj" "$g.ninja"; fi
		weir_run "$g.json" "$g.yaml" --json
		raw_sync
		i=$((i + 1))
	done
	if found make; then
		r=$(ratio "$g.ours" "$g.make")
		row "$2" "$(seconds "$g.ours")" "$(seconds "$g.make") make -j8" "$r" "$3" "$r"
		row "$2: CPU" "$(seconds "$g.ours" 2)" "$(seconds "$g.make" 2) make -j8" \
			"$(divide "$(stat median "$g.ours" 2)" "$(stat median "$g.make" 2)")"
		row "$2, --json" "$(seconds "$g.json")" "$(seconds "$g.make") make -j8" \
			"$(ratio "$g.json" "$g.make")"
	else
		row "$2" "$(seconds "$g.ours")" "make not found" -
	fi
	if found ninja; then
		row "$2" "$(seconds "$g.ours")" "$(seconds "$g.nj") ninja -j8" \
			"$(ratio "$g.ours" "$g.nj")"
	fi
}

# The same where a flush costs nothing: what is left is Weir's own work.
compare_in_memory() {
	[ -d /dev/shm ] && [ -w /dev/shm ] || return 0
	found make || return 0
	memory=$(mktemp -d /dev/shm/weir-bench.XXXXXX)
	for g in wide chain; do
		i=0
		while [ $i -lt "$runs" ]; do
			weir_run "$g.shm" "$g.yaml" --quiet
			once "$g.shm.make" make -s -j8 -f "$g.mk"
			i=$((i + 1))
		done
		row "1,000 tasks, $g, state in memory" "$(seconds "$g.shm")" \
			"$(seconds "$g.shm.make") make -j8" "$(ratio "$g.shm" "$g.shm.make")"
	done
	rm -rf "$memory"
	memory=
}

compare_ten_thousand() {
	graph wide10 10000 0
	many=$(((runs + 1) / 2))
	i=0
	while [ $i -lt $many ]; do
		weir_run wide10.one wide.yaml --quiet
		weir_run wide10.ours wide10.yaml --quiet
		weir_run wide10.one wide.yaml --quiet
		i=$((i + 1))
	done
	awk '{ print $1 * 10 }' wide10.one >wide10.ten
	r=$(ratio wide10.ours wide10.ten)
	# A tenth for noise.
	row "10,000 tasks, independent" "$(seconds wide10.ours)" "$(seconds wide10.ten) ten times 1,000" \
		"$r" 1.1 "$r"
}

figure_tasks() {
	graph wide 1000 0
	graph chain 1000 1
	compare_graph wide "1,000 tasks, independent, 8 jobs" 1.3
	compare_graph chain "1,000 tasks, a chain" 1.5
	compare_in_memory
	compare_ten_thousand
}

# ---- mapped tasks ----

# One task over a list, planned, run and shown: ten times the items cost ten times as much.
figure_mapping() {
	for n in 1000 10000; do
		awk -v n=$n 'BEGIN {
			printf "dag: map%d\ntasks:\n  t: { run: /bin/true, foreach: [", n
			for (i = 1; i <= n; i++) printf "%s%d", (i > 1 ? ", " : ""), i
			print "] }"
		}' >map$n.yaml
	done
	many=$(((runs + 1) / 2))
	i=0
	while [ $i -lt $many ]; do
		for n in 1000 10000 1000; do
			weir_run map$n.run map$n.yaml --quiet
			once map$n.plan "$weir" run map$n.yaml --dry-run --force
			once map$n.show "$weir" show map$n --expand
		done
		i=$((i + 1))
	done
	for part in plan run show; do
		awk '{ print $1 * 10 }' map1000.$part >map.ten.$part
		r=$(ratio map10000.$part map.ten.$part)
		row "mapping of 10,000: $part" "$(seconds map10000.$part)" \
			"$(seconds map.ten.$part) ten times 1,000" "$r" 1.2 "$r"
	done
}

# ---- what durability and supervision cost ----

made=0
raw_sync() {
	./probe sync probe.sync 200 >>raw
	made=$((made + 1))
	./probe create made$made 500 >>raw.create # left there, as the homes are
}

figure_disk() {
	[ -s raw ] || for _ in $(seq "$runs"); do raw_sync; done
	row "the disk: append 4 KiB and fdatasync" - "$(millis raw)" -
	# ext4 looks for a place among those of files deleted lately: 20 us become 700, of CPU.
	row "the disk: make a file" - "$(cell raw.create %.0f 1 us)" -
	if [ ! -s chain.ours ] || ! found make; then return 0; fi
	# A chain cannot go faster: each link waits for its process, and for one commit, while its log
	# is made.
	awk -v commit="$(stat median raw)" -v file="$(stat median raw.create)" '
		{ print $1 + (commit > file / 1000 ? commit : file / 1000) }' chain.make >chain.limit
	row "1,000 tasks, a chain: against the limit" "$(seconds chain.ours)" \
		"$(seconds chain.limit) make, 1,000 syncs and logs" "$(ratio chain.ours chain.limit)"
}

# Each decision is durable before it is carried out. What is decided together is synced together: with
# all 1,000 at once that is a few syncs for 2,000 decisions, not one each.
figure_durable() {
	graph wide 1000 0
	i=0
	while [ $i -lt "$runs" ]; do
		weir_run durable.disk wide.yaml --quiet
		if [ -w /dev/shm ]; then
			memory=$(mktemp -d /dev/shm/weir-bench.XXXXXX)
			weir_run durable.shm wide.yaml --quiet
			rm -rf "$memory"
			memory=
		fi
		i=$((i + 1))
	done
	[ ! -s durable.shm ] || row "durability: 1,000 tasks, 8 jobs" "$(seconds durable.disk)" \
		"$(seconds durable.shm) state in memory" "$(ratio durable.disk durable.shm)"
	if ! found strace; then
		row "syncs of 1,000 tasks" "no strace" - -
		return
	fi
	for jobs in 8 1000; do
		new_home
		strace -f -qq -e trace=fdatasync,fsync -o syncs \
			"$weir" run wide.yaml --jobs $jobs --quiet >/dev/null
		n=$(grep -c 'sync(' syncs)
		row "syncs of 1,000 tasks, $jobs jobs" "$n" "2000 decisions" \
			"$(awk -v n="$n" 'BEGIN { printf "%.2f", n / 2000 }')"
	done
}

figure_spawn() {
	# shellcheck disable=SC2086 # CC may be words
	if ! ${CC:-cc} -std=gnu17 -D_GNU_SOURCE -O2 -I"$top/src" -I"$top" -o bench_spawn \
		"$here/bench_spawn.c" "$top"/src/exec/*.c "$top"/src/base/*.c "$top"/src/core/state.c \
		-lcrypto 2>errors; then
		row "supervision" "does not build: $(head -n 1 errors)" - -
		return
	fi
	TMPDIR=$work ./bench_spawn 1000 "$runs" | while read -r _ width _ bare _ ours _ _ _ wall _ _ cpu _; do
		row "supervision alone, 1,000 tasks, ${width%:} at once" "$ours" \
			"$bare bare posix_spawn" "${wall%,}"
	done
}

# ---- loading ----

# A start while ever more tasks wait for full pools: the cost must not follow what waits.
figure_pools() {
	# shellcheck disable=SC2086 # CC may be words
	if ! ${CC:-cc} -std=gnu17 -D_GNU_SOURCE -O2 -I"$top/src" -I"$top" -o bench_pools \
		"$here/bench_pools.c" "$top"/src/core/gate.c "$top"/src/core/sched*.c \
		"$top"/src/core/breaker.c "$top"/src/core/condition.c "$top"/src/core/model.c \
		"$top"/src/core/state.c "$top"/src/core/trigger.c "$top"/src/core/retry.c \
		"$top"/src/base/*.c -lcrypto 2>errors; then
		row "pools" "does not build: $(head -n 1 errors)" - -
		return
	fi
	for _ in $(seq "$runs"); do ./bench_pools >>pools.ours; done
	for n in 1000 10000 100000; do
		awk -v n=$n '$1 == n { print $2 }' pools.ours >"pools.$n"
	done
	row "a start, 100 pools, 10,000 tasks waiting" "$(cell pools.10000 %.0f 1 ns)" \
		"$(cell pools.1000 %.0f 1 ns) with 1,000" "$(ratio pools.10000 pools.1000)" 2 \
		"$(ratio pools.10000 pools.1000)" ""
	row "a start, 100 pools, 100,000 waiting" "$(cell pools.100000 %.0f 1 ns)" "CPU" -
}

# A breaker that holds 10,000 tasks opens, probes and lets them go: no second may have more starts
# than its ramp.
figure_breaker() {
	# shellcheck disable=SC2086 # CC may be words
	if ! ${CC:-cc} -std=gnu17 -D_GNU_SOURCE -O2 -I"$top/src" -I"$top" -o bench_breaker \
		"$here/bench_breaker.c" "$top"/src/core/gate.c "$top"/src/core/sched*.c \
		"$top"/src/core/breaker.c "$top"/src/core/condition.c "$top"/src/core/model.c \
		"$top"/src/core/state.c "$top"/src/core/trigger.c "$top"/src/core/retry.c \
		"$top"/src/base/*.c -lcrypto 2>errors; then
		row "breaker" "does not build: $(head -n 1 errors)" - -
		return
	fi
	for _ in $(seq "$runs"); do ./bench_breaker 10000 50 >>breaker.ours; done
	awk '{ print $1 }' breaker.ours >breaker.peak
	awk '{ print $2 }' breaker.ours >breaker.limit
	awk '{ print $3 }' breaker.ours >breaker.cpu
	row "a breaker lets 10,000 tasks go, most in a second" "$(cell breaker.peak %.0f 1 starts)" \
		"$(cell breaker.limit %.0f 1 allowed)" "$(ratio breaker.peak breaker.limit)" 1 \
		"$(ratio breaker.peak breaker.limit)" ""
	row "a task held and let go" "$(cell breaker.cpu %.0f 1 ns)" "CPU" -
}

dag_file() {
	cat <<-YAML
		dag: shop_$1
		description: Orders and payments of shop $1 into the sales mart, every night
		owner: data-platform
		tags: [sales, tier1]
		schedule: { cron: "$(($1 % 60)) 2 * * *", timezone: Europe/Berlin, start: 2026-01-01 }
		params:
		  region: { type: string, enum: [eu, us], default: eu }
		defaults:
		  retries: 3
		  backoff: { initial: 30s, factor: 2, max: 10m, jitter: full }
		  timeout: 30m
		tasks:
		  orders:
		    run: ./fetch.sh orders --shop $1 --day {{ ds }} --region {{ params.region }}
		    timeout: 10m
		  payments:
		    run: ./fetch.sh payments --shop $1 --day {{ ds }} --region {{ params.region }}
		    retries: 5
		  clean_orders:
		    needs: orders
		    run: ./clean.sh orders_{{ ds_nodash }}
		    env: { SHOP: "$1", DAY: "{{ ds }}", FROM: "{{ data_interval_start }}" }
		  daily_sales:
		    needs: [clean_orders, payments]
		    run: ./sales.sh {{ ds | add_days(-7) }} {{ ds }}
		  check_sales:
		    needs: daily_sales
		    run: ./check.sh sales_{{ ds_nodash }} --try {{ task.try }}
		    retry_on: { exit_codes: [75] }
		  report:
		    needs: check_sales
		    run: [./report.sh, "{{ ds }}", "out/{{ ds | strftime('%Y/%m') }}/sales.csv"]
		    cwd: .
		  notify:
		    needs: report
		    run: ./notify.sh {{ run.id }}
		    retries: 1
		    backoff: { initial: 5s, max: 1m }
	YAML
}


figure_load() {
	mkdir -p many
	i=0
	while [ $i -lt 1000 ]; do
		dag_file $i >many/shop_$i.yaml
		i=$((i + 1))
	done
	new_home
	i=0
	while [ $i -lt "$runs" ]; do
		once many.ours "$weir" validate --quiet many
		once many.raw sh -c 'cat many/*.yaml'
		i=$((i + 1))
	done
	row "validate 1,000 DAG files of $(awk 'END { print NR }' many/shop_0.yaml) lines" \
		"$(seconds many.ours)" "$(seconds many.raw) reading them" \
		"$(ratio many.ours many.raw)" 0.3 "$(stat median many.ours)" " s"
	load_history
}

load_history() {
	what="load and plan 12,732 tasks, 9,435 levels"
	json=$cases/dags/git_history_great_expectations.json.gz
	if [ ! -r "$json" ]; then
		row "$what" "skipped: $json is not there" - -
		return
	fi
	if ! found sqlite3; then
		row "$what" "skipped: sqlite3 converts it" - -
		return
	fi
	gzip -dc "$json" >history.json
	{
		printf 'dag: history\ntasks:\n'
		sqlite3 :memory: "SELECT printf('  %s: { run: \"true\", needs: %s }', t.value ->> 'id',
			t.value -> 'deps') FROM json_each(readfile('history.json'), '\$.tasks') t"
	} >history.yaml
	i=0
	while [ $i -lt "$runs" ]; do
		once history.ours "$weir" run --dry-run --quiet history.yaml
		once history.raw cat history.yaml
		i=$((i + 1))
	done
	row "$what" "$(seconds history.ours)" "$(seconds history.raw) reading it" - \
		0.5 "$(stat median history.ours)" " s"
	row "  its memory" "$(cell history.ours %.1f 0.0009765625 MiB 3)" - -
}

# ---- CSV ----

csv_files() {
	cat >weir.yaml <<-'YAML'
		connections:
		  bench: { type: sqlite, path: bench.db }
	YAML
	cat >contract.yaml <<-'YAML'
		contract: orders
		columns:
		  order_id: { type: integer, nullable: false }
		  day: { type: date }
		  customer: { type: string, pattern: "^C[0-9]{7}$" }
		  amount: { type: decimal, range: { min: 0, max: 100000 } }
		  status: { type: string, enum: [paid, open, sent, returned, cancelled] }
		  email: { type: string }
		  note: { type: string }
		max_rejected: 1%
	YAML
	cat >csv.yaml <<-'YAML'
		dag: csv
		tasks:
		  orders:
		    ingest: file
		    with: { path: orders.csv, format: csv, contract: contract.yaml, into: bench.orders, mode: replace }
	YAML
	cat >import.sql <<-'SQL'
		CREATE TABLE orders (order_id INTEGER, day TEXT, customer TEXT, amount REAL, status TEXT, email TEXT, note TEXT);
		.import --csv --skip 1 orders.csv orders
	SQL
	awk -v bytes="$((scale * 1000000))" -f "$here/bench_csv.awk" >orders.csv
}

# What the state keeps of the last attempt's process: bytes and CPU seconds.
attempt_usage() {
	sqlite3 "$WEIR_HOME/weir.db" "SELECT result ->> 'max_rss_bytes', (result ->> 'cpu_us') / 1e6
		FROM attempt ORDER BY token DESC LIMIT 1" | tr '|' ' '
}

# One round of either, on a warm file, so that a slow disk is not counted for one of them only.
csv_round() {
	new_home
	rm -f bench.db* quarantine/csv/*
	cat orders.csv >/dev/null
	sync
	once csv.ours "$weir" run csv.yaml --quiet
	if ! found sqlite3; then return 0; fi
	attempt_usage >>csv.usage
	rm -f bench.db* import.db*
	sync
	once csv.import sqlite3 -init import.sql import.db ""
}

figure_csv() {
	what="CSV of $scale MB into SQLite, five rules"
	free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1000) }')
	if [ "$free" -lt $((scale * 4)) ]; then
		row "$what" "skipped: $free MB are free, $((scale * 4)) are needed" - -
		return
	fi
	csv_files
	i=0
	while [ $i -lt "$csv_runs" ]; do
		csv_round
		i=$((i + 1))
	done
	if ! found sqlite3; then
		row "$what" "$(seconds csv.ours)" "sqlite3 not found" -
		return
	fi
	r=$(ratio csv.ours csv.import)
	row "$what" "$(seconds csv.ours)" "$(seconds csv.import) sqlite3 .import" "$r" 1.0 "$r"
	for f in csv.ours csv.import; do
		awk -v mb="$scale" '{ print mb / $1 }' $f >$f.speed
	done
	row "  its speed" "$(cell csv.ours.speed %.0f 1 MB/s)" "$(cell csv.import.speed %.0f 1 MB/s)" \
		"$(ratio csv.import.speed csv.ours.speed)"
	row "  its CPU" "$(cell csv.usage %.2f 1 s 2)" "$(cell csv.import %.2f 1 s 2)" \
		"$(divide "$(stat median csv.usage 2)" "$(stat median csv.import 2)")"
	row "  its memory" "$(cell csv.usage %.1f 9.5367431640625e-07 MiB 1)" \
		"$(cell csv.import %.1f 0.0009765625 MiB 3)" - 64 \
		"$(awk -v b="$(stat max csv.usage 1)" 'BEGIN { print b / 1048576 }')" " MiB"
	rm -f orders.csv bench.db* import.db*
}

# ---- starting, size, idling ----

smaps() { awk -v what="$2:" '$1 == what { printf "%.1f", $2 / 1024 }' "/proc/$1/smaps_rollup"; }

idle() {
	printf 'dag: idle\ntasks:\n  wait:\n    run: sleep 60\n' >idle.yaml
	new_home
	"$weir" run idle.yaml --quiet >/dev/null 2>&1 &
	pid=$!
	super=
	i=0
	while [ $i -lt 100 ]; do
		super=$(cut -d' ' -f1 "/proc/$pid/task/$pid/children" 2>/dev/null || true)
		if [ "$super" ] && [ -s "/proc/$super/task/$super/children" ] &&
			[ "$(cat "/proc/$super/task/$super/children")" ]; then
			break
		fi
		sleep 0.05
		i=$((i + 1))
	done
	if [ "$super" ] && [ -r "/proc/$pid/smaps_rollup" ]; then
		row "idle run: driver, RSS" "$(smaps "$pid" Rss) MiB" "$(smaps "$pid" Pss) MiB of it its share (PSS)" -
		row "idle run: supervisor, RSS" "$(smaps "$super" Rss) MiB" \
			"$(smaps "$super" Pss) MiB of it its share (PSS)" -
	else
		row "idle run: RSS" "not measured: no /proc/PID/smaps_rollup" - -
	fi
	kill -INT "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
}

size() { wc -c <"$1" | awk '{ printf "%.2f MB", $1 / 1e6 }'; }

figure_start() {
	i=0
	while [ $i -lt "$runs" ]; do
		./probe start 200 "$weir" --version >>version.ours
		./probe start 200 /bin/true >>version.true
		i=$((i + 1))
	done
	row "weir --version, of 200 starts" "$(millis version.ours)" "$(millis version.true) /bin/true" \
		"$(ratio version.ours version.true)" 5 "$(stat median version.ours)" " ms"
	cp "$weir" stripped
	if strip stripped 2>/dev/null; then
		row "binary" "$(size "$weir")" "$(size stripped) stripped" -
	else
		row "binary" "$(size "$weir")" "strip not found" -
	fi
	idle
}

# On one processor; a step is a message, an end, a turn of a daemon, a fault.
figure_sim() {
	if [ ! -x "$sim" ]; then
		row "simulation" "not built (make tests/sim/weir-sim)" - -
		return
	fi
	"$sim" --seeds 1..5000 >sim.out || {
		cat sim.out >&2
		exit 1
	}
	row "simulated steps" "$(sed -n 's/.* steps (\([0-9]*\) a second).*/\1/p' sim.out) a second" \
		"$(sed -n 's/^# \([0-9]*\) seeds.* in \(.*\) s$/\1 seeds in \2 s/p' sim.out)" -
}

. "$here/bench_daemon.sh"
. "$here/bench_store.sh"
. "$here/bench_restart.sh"
. "$here/bench_reattach.sh"
. "$here/bench_alerts.sh"

# shellcheck disable=SC2086 # CC may be words
${CC:-cc} -std=gnu17 -D_GNU_SOURCE -O2 -o probe "$here/probe.c"
machine
for figure in ${*:-tasks mapping disk durable spawn pools breaker load csv start daemon cron sla trigger store restart reattach alerts sim}; do
	case $figure in
	tasks | mapping | disk | durable | spawn | pools | breaker | load | csv | start | daemon | cron | sla | trigger | store | restart | reattach | alerts | sim) "figure_$figure" ;;
	*)
		echo "bench.sh: $figure: not a figure; they are tasks mapping disk durable spawn pools breaker load csv start daemon cron sla trigger store restart reattach alerts sim" >&2
		exit 2
		;;
	esac
done
echo
echo "$met of $goals goals met; load at the end $(load)"
