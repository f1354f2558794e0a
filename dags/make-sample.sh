#!/bin/sh
# Make the shop's files for one date: the same date gives the same files, byte by byte.
# usage: make-sample.sh DATE [REGION]
#
# They have the dirt that real feeds have: duplicates, orphans, missing values, rows of the day
# before that come late, and from 2026-11-15 on a renamed column.
set -eu
ds=$1 region=${2:-eu}
cd "$(dirname "$0")"
dir=sample/$ds
mkdir -p "$dir"
tmp=$(mktemp -d "$dir/.making.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

awk -v ds="$ds" -v region="$region" -v dir="$tmp" '
# Park and Miller (1988): exact in the doubles of any awk.
function rnd(n) { seed = (seed * 48271) % 2147483647; return seed % n }
function order(id, day, product, quantity, amount, email) {
	printf "%s,%sT%02d:%02d:%02dZ,%s,%s,%s,%s,%s\r\n", id, day, rnd(24), rnd(60), rnd(60), \
		region, product, quantity, amount, email > (dir "/orders.csv")
}
function payment(file, id, order_id, paid) {
	printf "{\"payment_id\":\"%s\",\"order_id\":%d,\"business_day\":\"%s\",\"method\":\"%s\",\"paid\":%.2f}\n", \
		id, order_id, ds, method[rnd(3)], paid > (dir "/" file)
}
BEGIN {
	split("2 3 5 7 11 13 17 19", prime, " ")
	split(ds, d, "-")
	seed = (d[1] * 372 + d[2] * 31 + d[3]) * 7919 % 2147483646 + (region == "us" ? 99 : 1)
	for (i = 0; i < 10; i++) rnd(2)
	method[0] = "card"; method[1] = "invoice"; method[2] = "voucher"
	split("TE-101 TE-102 KA-201 KA-202 SC-301 ZU-401 HO-501 HO-502", code, " ")
	first = (d[1] - 2000) * 1000000 + d[2] * 31000 + d[3] * 1000
	amount_name = ds >= "2026-11-15" ? "total_amount" : "amount"
	printf "\357\273\277order_id,ordered_at,region,product,quantity,%s,customer_email\r\n", \
		amount_name > (dir "/orders.csv")
	n = 400 + rnd(200)
	for (i = 1; i <= n; i++) {
		id = first + i
		product = code[1 + rnd(8)]
		quantity = 1 + rnd(5)
		cents = quantity * (299 + prime[1 + rnd(8)] * 100)
		amount = sprintf("%.2f", cents / 100)
		email = rnd(9) == 0 ? "" : "kunde" rnd(900) "@example.org"
		if (rnd(120) == 0) email = "\"Meier, " email "\""       # a comma in quotes
		if (i % 97 == 0) amount = ""                           # a missing amount
		if (i % 131 == 0) quantity = -quantity                 # a return that slipped in
		if (i % 149 == 0) product = "unknown"
		order(id, ds, product, quantity, amount, email)
		if (i % 113 == 0) order(id, ds, product, quantity, amount, email)  # sent twice
		paid = amount == "" ? 0 : amount
		if (rnd(20)) payment(i % 2 ? "payments-a.ndjson" : "payments-b.ndjson", "P" id, id, paid)
	}
	for (i = 1; i <= 5; i++)                                       # payments without an order
		payment("payments-b.ndjson", "X" first + i, 900000000 + i, 10 + i)
}'

{
	echo "product,name,category"
	echo "TE-101,Green tea,tea"
	echo "TE-102,Black tea,tea"
	echo "KA-201,Espresso,coffee"
	echo "KA-202,Filter coffee,coffee"
	echo "SC-301,Chocolate,sweets"
	echo "ZU-401,Sugar,sweets"
	echo "HO-501,\"Honey, clear\",sweets"
	echo "HO-502,\"Honey, dark\",sweets"
} >"$tmp/products.csv"
# -n: no time in the header, so that the same data gives the same bytes.
gzip -n "$tmp"/payments-*.ndjson
mv "$tmp"/orders.csv "$tmp"/payments-*.gz "$dir/"
mv "$tmp/products.csv" sample/products.csv
echo "rows=$(($(wc -l <"$dir/orders.csv") - 1))" >>"${WEIR_OUTPUT:-/dev/null}"
echo "made $dir for region $region"
