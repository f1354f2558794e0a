#!/bin/sh
# The shape of the demo on data of the world: a shop's tables, and taxi trips of New York.
. "${top_srcdir:-.}/tests/lib/cli.sh"

data=$cases/data
if [ ! -e "$data/raw_orders.csv" ] || [ ! -e "$data/taxis.csv" ]; then
	skip "real data" "none in WEIR_CASES"
	finish
fi
if ! have_sql; then
	skip "real data" "neither sqlite3 nor python3 with sqlite3"
	finish
fi
mkdir work && cd work || exit 99 # what is published goes to out/, which $T has
cp "$data"/*.csv "$data"/*.gz . 2>/dev/null
chmod u+w ./*
cat >weir.yaml <<'END'
connections:
  wh: { type: sqlite, path: wh.db }
  mart: { type: sqlite, path: mart.db }
END
wh() { db_is wh.db "$@"; }
rows() { # FILE CONDITION: records of a CSV without quotes
	awk -F, "NR > 1 && ($2) { n++ } END { print n + 0 }" "$1"
}

# ---- a shop: customers, orders, payments ---------------------------------------------------------

for t in customers orders payments; do
	case $t in
	customers) columns="first_name: { type: string, nullable: false }, last_name: { type: string, pattern: '^[A-Z]\\.$' }" ;;
	orders) columns="user_id: { type: integer, nullable: false }, order_date: { type: date, range: { min: 2018-01-01, max: 2018-12-31 } },
    status: { type: string, enum: [placed, shipped, completed, returned, return_pending] }" ;;
	payments) columns="order_id: { type: integer, nullable: false },
    payment_method: { type: string, enum: [credit_card, coupon, bank_transfer, gift_card] }, amount: { type: integer, range: { min: 0 } }" ;;
	esac
	printf 'contract: %s\ncolumns: { id: { type: integer, nullable: false, unique: true }, %s }\non_extra_column: fail\n' \
		$t "$columns" >$t.contract.yaml
done
cat >jaffle.yaml <<'END'
dag: jaffle_shop
tasks:
  customers: { ingest: file, with: { path: raw_customers.csv, contract: customers.contract.yaml, into: wh.customers, mode: replace } }
  orders: { ingest: file, with: { path: raw_orders.csv, contract: orders.contract.yaml, into: wh.orders, mode: merge, key: [id] } }
  payments: { ingest: file, with: { path: raw_payments.csv, contract: payments.contract.yaml, into: wh.payments, mode: append } }
  customer_value:
    transform: sql
    needs: [customers, orders, payments]
    with:
      connection: wh
      sql: |
        DROP TABLE IF EXISTS customer_value;
        CREATE TABLE customer_value AS
        SELECT c.id, c.first_name, count(DISTINCT o.id) AS orders, coalesce(sum(p.amount), 0) AS value
        FROM customers c LEFT JOIN orders o ON o.user_id = c.id LEFT JOIN payments p ON p.order_id = o.id
        GROUP BY c.id, c.first_name;
  check_keys:
    quality: table
    needs: [orders, payments]
    with:
      table: wh.payments
      checks:
        - unique: [id]
        - relationships: { column: order_id, to: orders, to_column: id }
        - accepted_values: { column: payment_method, values: [credit_card, coupon, bank_transfer, gift_card] }
  check_value:
    quality: table
    needs: customer_value
    with: { table: wh.customer_value, checks: [ { unique: [id] }, { not_null: [value] }, { range: { column: value, min: 0 } }, { row_count: { min: 100, max: 100 } } ] }
  report:
    publish: file
    needs: [check_keys, check_value]
    with: { connection: wh, query: "SELECT id, first_name, orders, value FROM customer_value ORDER BY value DESC, id", path: "out/customers.csv" }
  mart:
    publish: table
    needs: check_value
    with: { connection: wh, query: "SELECT id, orders, value FROM customer_value", to: mart.customers, mode: merge, key: [id] }
END
weir run jaffle.yaml --date 2026-11-19
exits 0 "the shop's pipeline succeeds"
for t in customers orders payments; do
	wh "$(rows raw_$t.csv 1)" "SELECT count(*) FROM $t" "all $t are there"
done
wh "$(awk -F, 'NR > 1 { s += $4 } END { print s }' raw_payments.csv)" "SELECT sum(amount) FROM payments" "and all the money"
wh "$(awk -F, 'NR > 1 { s += $4 } END { print s }' raw_payments.csv)" "SELECT sum(value) FROM customer_value" "also by customer"
is "$(($(wc -l <out/customers.csv) - 1))" 100 "the report has every customer"
is "$(sed -n 2p out/customers.csv)" "$(awk -F, '
	FILENAME == "raw_customers.csv" && FNR > 1 { name[$1] = $2 }
	FILENAME == "raw_orders.csv" && FNR > 1 { who[$1] = $2; n[$2]++ }
	FILENAME == "raw_payments.csv" && FNR > 1 { v[who[$2]] += $4 }
	END { for (c in name) if (v[c] > most || (v[c] == most && c + 0 < best)) { most = v[c]; best = c + 0 }
		print best "," name[best] "," n[best] "," most }' raw_customers.csv raw_orders.csv raw_payments.csv)" \
	"the best one is the one awk finds"
db_is mart.db 100 "SELECT count(*) FROM customers" "and the mart has them"
sql_is "7|7" "SELECT count(*), sum(status = 'pass') FROM check_result" "all checks passed"
report=$(fingerprint out)
before="$report $(sql wh.db 'SELECT * FROM customer_value' | cksum)"
weir run jaffle.yaml --date 2026-11-19 --force
is "$status $(fingerprint out) $(sql wh.db 'SELECT * FROM customer_value' | cksum)" "0 $before" "done again, it is the same"
wh "113|99" "SELECT (SELECT count(*) FROM payments), (SELECT count(*) FROM orders)" "append and merge doubled nothing"
echo "114,12345,credit_card,100" >>raw_payments.csv
weir run jaffle.yaml --date 2026-11-20
exits 1 "a payment without its order stops the publishing"
out_has "check_keys" "it says which check"
out_has "12345" "and shows the key"
is "$(fingerprint out)" "$report" "the report is as it was"
printf '115,1,barter,100\n116,1,coupon,-5\n117,x,coupon,5\n113,1,coupon,5\n' >>raw_payments.csv
weir run jaffle.yaml --date 2026-11-21 --only payments
exits 0 "rows that break the contract"
out_has "4 rows rejected" "are counted"
is "$(tail -n +2 quarantine/jaffle_shop/payments-2026-11-21.csv | wc -l)" 4 "and kept"
check "with their rules" awk -F, '/barter/ && /enum/ { a = 1 } /-5/ && /range/ { b = 1 } /unique/ { c = 1 } END { exit !(a && b && c) }' \
	quarantine/jaffle_shop/payments-2026-11-21.csv

# ---- taxi trips ----------------------------------------------------------------------------------------

cat >taxis.contract.yaml <<'END'
contract: taxis
columns:
  pickup: { type: timestamp, nullable: false }
  dropoff: { type: timestamp, nullable: false }
  passengers: { type: integer, range: { min: 1, max: 6 } }
  distance: { type: decimal, range: { min: 0 } }
  total: { type: decimal, nullable: false, range: { min: 0 } }
  color: { type: string, enum: [yellow, green] }
  payment: { type: string, nullable: false }
on_extra_column: ignore
max_rejected: 5%
END
cat >trips.contract.yaml <<'END'
contract: trips
columns:
  vendor_id: { type: integer, enum: [1, 2, 4] }
  pickup_datetime: { type: timestamp, nullable: false }
  passenger_count: { type: integer, range: { min: 1 } }
  trip_distance: { type: decimal, range: { min: 0 } }
  fare_amount: { type: decimal }
  tip_amount: { type: decimal }
  total_amount: { type: decimal, range: { min: 0 } }
on_extra_column: ignore
max_rejected: 5%
END
cat >taxis.yaml <<'END'
dag: taxis
tasks:
  taxis: { ingest: file, with: { path: taxis.csv, contract: taxis.contract.yaml, into: wh.taxis } }
  trips: { ingest: file, with: { path: "yellow_tripdata*.csv.gz", contract: trips.contract.yaml, into: wh.trips } }
  by_color:
    transform: sql
    needs: [taxis, trips]
    with: { connection: wh, sql: "DROP TABLE IF EXISTS by_color; CREATE TABLE by_color AS SELECT color, count(*) AS trips, round(sum(total), 2) AS total FROM taxis GROUP BY color;" }
  good:
    quality: table
    needs: by_color
    with:
      table: wh.taxis
      checks:
        - not_null: [pickup, payment]
        - range: { column: passengers, min: 1, max: 6 }
        - sql: { query: "SELECT count(*) FROM taxis WHERE dropoff < pickup", expect: 0 }
          name: no trip ends before it begins
  report:
    publish: file
    needs: good
    with: { connection: wh, query: "SELECT * FROM by_color ORDER BY color", path: "out/{{ ds }}.ndjson", format: ndjson }
END
weir run taxis.yaml --date 2026-11-19
exits 0 "the taxis' pipeline succeeds"
bad='$1 == "" || $2 == "" || ($3 != "" && ($3 < 1 || $3 > 6)) || $4 < 0 || $8 < 0 || $10 == ""'
wh "$(rows taxis.csv "!($bad)")" "SELECT count(*) FROM taxis" "as many good trips as awk counts"
weir run taxis.yaml --date 2026-11-19 --only taxis --json
json_is "[6433, $(rows taxis.csv "!($bad)"), $(rows taxis.csv "$bad")]" \
	'[d["tasks"][0]["outputs"][k] for k in ("rows_in", "rows_out", "rows_rejected")]' "the outputs count good and bad ones"
if command -v gzip >/dev/null; then
	gzip -dc yellow_tripdata*.csv.gz >trips.csv
	bad='($4 != "" && $4 < 1) || $5 < 0 || $17 < 0'
	wh "$(rows trips.csv "!($bad)")" "SELECT count(*) FROM trips" "so it is with a compressed file"
	wh "$(awk -F, "NR > 1 && !($bad) { s += \$14 } END { printf \"%.2f\", s }" trips.csv)" \
		"SELECT printf('%.2f', sum(tip_amount)) FROM trips" "the tips sum up"
fi
is "$(wc -l <out/2026-11-19.ndjson)" 2 "the report has both colours"
before="$(fingerprint out) $(sql wh.db 'SELECT count(*), sum(total) FROM taxis')"
weir run taxis.yaml --date 2026-11-19 --force
is "$status $(fingerprint out) $(sql wh.db 'SELECT count(*), sum(total) FROM taxis')" "0 $before" "done again, it is the same"

finish
