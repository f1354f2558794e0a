#!/bin/sh
# CSV into SQLite through a contract, beside `sqlite3 .import` of the same file.
#
#     bench_csv.sh [MEGABYTES [RUNS]]     default 100 and 3; 1000 is the headline
#
# BENCH_CSV names the built bench_csv. The file and the databases are made in
# TMPDIR (default /var/tmp): about four times the file's size. Of the runs the fastest of each counts.
set -eu

mb=${1:-100}
runs=${2:-3}
here=$(cd "$(dirname "$0")" && pwd)
bench=${BENCH_CSV:-./bench_csv}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/weir-bench-csv.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM

awk -v bytes="$((mb * 1000000))" -f "$here/bench_csv.awk" >"$work/orders.csv"
cat >"$work/orders.yaml" <<'YAML'
contract: bench_orders
columns:
  order_id: { type: integer, nullable: false, unique: true }
  day: { type: date }
  customer: { type: string, pattern: "^C[0-9]{7}$" }
  amount: { type: decimal, range: { min: 0, max: 100000 } }
  status: { type: string, enum: [paid, open, sent, returned, cancelled] }
  email: { type: string, length: { min: 3, max: 80 } }
  note: {}
max_rejected: 1%
YAML

ours() {
	rm -f "$work"/weir.db*
	"$bench" "$work/orders.csv" "$work/orders.yaml" "$work/weir.db" "$1" 2>&1 >"$work/log" |
		awk '/^seconds/ { print $2, $8 }'
}

theirs() {
	rm -f "$work"/sqlite.db*
	start=$(date +%s.%N)
	sqlite3 "$work/sqlite.db" ".import --csv $work/orders.csv bench" >/dev/null 2>&1
	end=$(date +%s.%N)
	echo "$end $start" | awk '{ printf "%.3f 0\n", $1 - $2 }'
}

# Smallest first column, largest second one.
best() {
	awk '{ if (NR == 1 || $1 < s) s = $1; if ($2 > m) m = $2 } END { print s, m }' "$1"
}

: >"$work/a"; : >"$work/b"; : >"$work/c"
i=0
while [ "$i" -lt "$runs" ]; do
	ours replace >>"$work/a"
	ours replace_partition >>"$work/b"
	if command -v sqlite3 >/dev/null; then theirs >>"$work/c"; fi
	i=$((i + 1))
done
rows=$(awk '/rows in/ { print }' "$work/log")
echo "$mb MB of CSV; $rows"
printf '%-34s %9s %9s %9s\n' "" seconds "MB/s" "RSS MiB"
row() {
	best "$2" | awk -v what="$1" -v mb="$mb" '{ printf "%-34s %9.2f %9.0f %9s\n", what, $1,
		mb / $1, $2 ? sprintf("%.0f", $2 / 1024) : "-" }'
}
row "ingest, contract, replace" "$work/a"
row "ingest, contract, partition" "$work/b"
if [ -s "$work/c" ]; then
	row "sqlite3 .import" "$work/c"
	printf 'ratio (ingest replace / sqlite3 .import): %s\n' \
		"$(echo "$(best "$work/a") $(best "$work/c")" | awk '{ printf "%.2f", $1 / $3 }')"
fi
