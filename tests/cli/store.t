#!/bin/sh
# The state: what is kept, what is refused, and what happens when it cannot be written.
. "${top_srcdir:-.}/tests/lib/cli.sh"

cat >dag.yaml <<'END'
dag: kept
tasks:
  a: { run: "echo a >>witness" }
  b: { run: "echo b >>witness", needs: a }
END

# ---- from nothing ---------------------------------------------------------------------------

weir status
exits 0 "with no state at all, weir status has nothing to say"
out_has "weir run DAG_FILE" "but how to begin"
check "and makes none" test ! -e "$WEIR_HOME"
for c in runs "show kept" "logs kept"; do
	weir $c
	exits 5 "weir $c: there is nothing"
	err_has "$WEIR_HOME" "... and it says where it looked"
done
mkdir "$WEIR_HOME"
: >"$WEIR_HOME/weir.db"
weir run dag.yaml --date 2026-11-18
exits 0 "an empty file becomes a store"
sql_is "wal" "PRAGMA journal_mode" "with a write-ahead log"
sql_is "1" "SELECT max(version) = (SELECT user_version FROM pragma_user_version) AND count(*) >= 1 FROM migration" \
	"the migrations it had are in a table, and in user_version"
sql_is "" "PRAGMA foreign_key_check" "its references hold"
sql_is "ok" "PRAGMA integrity_check" "it is whole"
is "$(stat -c %a "$WEIR_HOME/weir.db" 2>&1 | sed 's/^6[0-4][04]$/ok/')" ok "it is a file of the user's"
sql_is "0" "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND sql NOT LIKE '%STRICT%'" \
	"its tables are strict"

# ---- the version each run used ------------------------------------------------------------------

cp dag.yaml first.yaml
echo "# a comment: ü" >>dag.yaml
sed -i 's/echo b/echo c/' dag.yaml
weir run dag.yaml --date 2026-11-19
weir show kept@2026-11-18 --dag
check "weir show --dag prints the file as the run used it" cmp "$T/out" first.yaml
weir show kept --dag
check "of the latest run by the DAG's name" cmp "$T/out" dag.yaml
sql_is "2|2" "SELECT count(*), count(DISTINCT hash) FROM dag_version" "each version is kept once"
weir show kept --dag --json
json_is true '"# a comment: ü" in d["text"] and len(d["version"]) == 64' "also in JSON"

# ---- stores that cannot be used ---------------------------------------------------------------------

cp -r "$WEIR_HOME" "$T/good"
fresh() {
	rm -rf "$WEIR_HOME"
	cp -r "$T/good" "$WEIR_HOME"
}
refuses() { # STATUS TEXT NAME: all commands do
	for c in "run dag.yaml --date 2026-11-19" status runs "show kept" "logs kept" "run dag.yaml --date 2026-11-21 --dry-run"; do
		weir $c
		exits "$1" "$3: weir ${c%% *}"
		err_has "$2" "... it says: $2"
	done
}
: >witness
if have_sql; then
	fresh
	sql "$WEIR_HOME/weir.db" "PRAGMA user_version = 4711" >/dev/null
	before=$(cksum <"$WEIR_HOME/weir.db")
	refuses 7 "newer" "a newer store"
	is "$(cksum <"$WEIR_HOME/weir.db")" "$before" "it is not changed"
	fresh
	sql "$WEIR_HOME/weir.db" "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA application_id = 1" >/dev/null
	refuses 7 "weir.db" "the database of another program"
else
	skip "a newer store" "neither sqlite3 nor python3 with sqlite3"
fi
fresh
rm -f "$WEIR_HOME"/weir.db-*
head -c 20000 /dev/zero | tr '\0' x >"$WEIR_HOME/weir.db"
refuses 7 "weir.db" "a file that is no database"
rm -rf "$WEIR_HOME"
mkdir -p "$WEIR_HOME/weir.db"
refuses 7 "weir.db" "a folder in its place"
fresh
if have_sql; then
	sql "$WEIR_HOME/weir.db" "PRAGMA wal_checkpoint(TRUNCATE)" >/dev/null
	rm -f "$WEIR_HOME"/weir.db-*
	# From the second page on: the first one still looks well.
	head -c 4096 "$WEIR_HOME/weir.db" >cut && head -c 40960 /dev/zero | tr '\0' z >>cut
	cp cut "$WEIR_HOME/weir.db"
	weir run dag.yaml --date 2026-11-21
	exits 7 "a damaged store is an error"
	err_has "weir.db" "which names it"
fi
is "$(cat witness)" "" "with none of them anything was run"

# ---- folders that cannot be used -----------------------------------------------------------------------

rm -rf "$WEIR_HOME"
: >"$WEIR_HOME"
weir run dag.yaml --date 2026-11-19
check "WEIR_HOME is a file: an error" test "$status" -ge 6
err_has "$WEIR_HOME" "which names it"
rm "$WEIR_HOME"
fresh
rm -rf "$WEIR_HOME/logs"
: >"$WEIR_HOME/logs"
weir run dag.yaml --date 2026-11-21
check "logs is a file: an error" test "$status" -ne 0
cat "$T/out" "$T/err" >both
has both "logs" "which names it"
if [ "$(id -u)" != 0 ]; then
	fresh
	chmod 500 "$WEIR_HOME"
	chmod 400 "$WEIR_HOME/weir.db"
	weir run dag.yaml --date 2026-11-21
	check "WEIR_HOME may not be written: an error" test "$status" -ge 6
	weir status
	exits 0 "but it can be read"
	chmod -R u+w "$WEIR_HOME"
else
	skip "WEIR_HOME may not be written" "root may write everywhere"
fi

# ---- another program holds the store --------------------------------------------------------------------

fresh
if command -v sqlite3 >/dev/null; then
	mkfifo ask
	sqlite3 "$WEIR_HOME/weir.db" <ask >locked 2>&1 &
	background="${background:-} $!"
	exec 3>ask
	echo "BEGIN IMMEDIATE; SELECT 'locked';" >&3
	await grep -q locked locked
	weir runs
	exits 0 "while another program writes, weir can read"
	"$WEIR" run dag.yaml --date 2026-11-22 >"$T/late" 2>&1 &
	late=$!
	background="$background $late"
	echo "ROLLBACK; SELECT 'free';" >&3
	exec 3>&-
	wait $late
	is "$?" 0 "and waits to write"
else
	skip "another program holds the store" "no sqlite3"
fi

# ---- the disk is full --------------------------------------------------------------------------------------

cat >full.sh <<'END'
mount -t tmpfs -o size=1200k tmpfs small || exit 42
WEIR_HOME=$T/small/home
"$WEIR" run full.yaml --date 2026-11-19 >full.out 2>&1 &
pid=$!
for i in $(seq 6000); do test ! -e begun || break; sleep 0.01; done
cat /dev/zero >small/fill 2>/dev/null
touch go
for i in $(seq 6000); do ! grep -q -i -e 'disk is full' -e 'no space' full.out || break; sleep 0.01; done
rm small/fill
wait $pid
echo $? >full.status
"$WEIR" run full.yaml --date 2026-11-19 >>full.out 2>&1
echo $? >>full.status
cp -r small/home full.home
umount small
END
cat >full.yaml <<'END'
dag: full
defaults: { retries: 0 }
tasks:
  a: { run: "touch begun; for i in $(seq 9000); do test ! -e go || break; sleep 0.01; done; echo a >>full.witness" }
  b: { needs: a, run: "echo b >>full.witness; head -c 20000 /dev/zero" }
  c: { needs: b, run: "echo c >>full.witness" }
END
mkdir small
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
	unshare -m sh full.sh >unshare.out 2>&1
	s=$?
else
	s=42
fi
if [ $s = 42 ]; then
	skip "a full disk" "cannot mount a small one"
else
	cp full.out out
	check "a full disk is told" grep -q -i -e 'disk is full' -e 'no space left' full.out
	is "$(tail -n 1 full.status)" 0 "and when there is room again, the run can be brought to its end"
	is "$(grep -c a full.witness)$(grep -c b full.witness)$(grep -c c full.witness)" "111" "nothing was done twice"
	db_is full.home/weir.db "success|0" "SELECT state, (SELECT count(*) FROM attempt WHERE outcome = 'none') FROM run" \
		"nothing was lost"
fi

# ---- a state that was lost ------------------------------------------------------------------------

mkdir lost
printf 'connections: { wh: { type: sqlite, path: wh.db } }\n' >lost/weir.yaml
printf 'a\n1\n' >lost/in.csv
printf 'contract: x\ncolumns:\n  a: { type: integer }\n' >lost/in.contract.yaml
printf 'dag: lost\ntasks: { load: { ingest: file, with: { path: in.csv, contract: in.contract.yaml, into: wh.x, mode: append } } }\n' >lost/lost.yaml
for i in 1 2 3; do
	weir run lost/lost.yaml --date 2026-11-18 --force
	exits 0 "a task writes into a database"
done
rm -rf "$WEIR_HOME"
weir run lost/lost.yaml --date 2026-11-18
exits 0 "a new state writes there as well: its tokens are larger"
db_is lost/wh.db 1 "SELECT count(*) FROM x" "and replaces what was there"
db_is lost/wh.db "1|1" "SELECT count(*), max(token) > 1700000000000000 FROM weir_ledger" "in the ledger, too"
if have_sql; then
	sql lost/wh.db "UPDATE weir_ledger SET token = 8000000000000000"
	weir run lost/lost.yaml --date 2026-11-18 --force
	exits 1 "a token of a state that is ahead"
	out_has "LOST STATE in weir(1)" "the refusal says where to read on"
fi

finish
