#!/bin/sh
# weir fence: what a script is told of its attempt, while it runs, when it is overtaken and after.
# And publishing once, whatever a retry finds.
. "${top_srcdir:-.}/tests/lib/cli.sh"

# ---- in flight, overtaken, over -----------------------------------------------------------------

# The first try leaves a process behind that is in a session of its own and outlives it: a zombie.
cat >zombie.yaml <<'END'
dag: zombie
tasks:
  send:
    retries: 1
    backoff: { initial: 0s }
    grace: 100ms
    run: |
      if [ "$WEIR_TRY" = 1 ]; then
        echo "$WEIR_TOKEN" >first
        "$WEIR" fence; echo $? >first.asks
        setsid sh -c 'until [ -e second.asks ]; do sleep 0.05; done
          "$WEIR" fence 2>zombie.err; echo $? >zombie.asks' >/dev/null 2>&1 &
        exit 1
      fi
      "$WEIR" fence "$WEIR_TOKEN" --verbose >second.out; echo $? >second.asks
      until [ -e zombie.asks ]; do sleep 0.05; done
      "$WEIR" fence --json >second.json
      "$WEIR" fence "$(cat first)" --json >first.json || true
      echo "$WEIR_TOKEN" >second
      "$WEIR" fence 2>>second.err && echo sent >>sent
END
weir run zombie.yaml --date 2026-11-19
exits 0 "a task that asks before it acts"
is "$(cat first.asks)" 0 "an attempt in flight may act"
is "$(cat second.asks)" 0 "and so may its retry"
has second.out "zombie@2026-11-19: task send, try 2 (token $(cat second)) is the newest attempt" \
	"which --verbose says"
is "$(cat zombie.asks)" 1 "the first try's process, still alive, may not"
has zombie.err "weir: zombie@2026-11-19: task send, try 1 (token $(cat first)) must not act: try 2 (token $(cat second)) was started at 20" \
	"and reads why"
is "$(cat sent)" sent "it is sent once"
check "nothing is said of what may act" test ! -s second.err
cp second.json "$T/out"
json_is '[true, "newest", "zombie@2026-11-19", "send", 2, null, null, 2]' \
	'[d[k] for k in ("allowed", "why", "run", "task", "try", "outcome", "ended_at")] + [d["newest"]["try"]]' \
	"--json of what may act"
cp first.json "$T/out"
json_is '[false, "newer_attempt", "failed", true, true]' \
	'[d[k] for k in ("allowed", "why", "outcome")] + [d["newest"]["token"] > d["token"], bool(d["newest"]["started_at"])]' \
	"--json of what may not"

weir fence "$(cat second)"
exits 1 "what has ended may not act"
err_has "must not act: it ended at 20" "it says when"
err_has "(success)" "and how"
check "on the standard error" test ! -s "$T/out"
weir fence "$(cat second)" --quiet
exits 1 "with --quiet"
check "nothing is said" test ! -s "$T/err"
weir fence "$(cat second)" --json
exits 1 "with --json the status is the same"
json_is ended 'd["why"]' "and the reason a word"

# ---- nonsense -----------------------------------------------------------------------------------

weir fence
exits 2 "outside of a task a token is needed"
err_has "WEIR_TOKEN" "and where it comes from is said"
for word in 0 -1 x 1x 99999999999999999999 ''; do
	weir fence -- "$word"
	exits 2 "\"$word\" is no token"
done
weir fence 1 2
exits 2 "one token at a time"
weir fence 7
exits 5 "a token nobody had"
err_has "no attempt has the token 7" "is said to be so"
weir fence 7 --home "$T/nowhere"
exits 5 "a WEIR_HOME that does not exist"
check "is not made" test ! -e "$T/nowhere"
mkdir broken && head -c 9000 /dev/zero | tr '\0' x >broken/weir.db
weir fence 7 --home "$T/broken"
exits 7 "a store that cannot be read is not an answer"
cksum "$WEIR_HOME/weir.db" >before
WEIR_TOKEN=$(cat second) weir fence
exits 1 "the token of the environment"
cksum "$WEIR_HOME/weir.db" | cmp -s - before
is "$?" 0 "nothing is written"

# ---- published once -----------------------------------------------------------------------------

cat >weir.yaml <<'END'
connections:
  w: { type: sqlite, path: w.db }
  m: { type: sqlite, path: m.db }
END
cat >once.yaml <<'END'
dag: once
tasks:
  count:
    transform: sql
    with: { connection: w, sql: "CREATE TABLE IF NOT EXISTS t (n); INSERT INTO t VALUES (1); SELECT count(*) AS n FROM t" }
  mart:
    needs: count
    publish: table
    with: { from: w.t, to: m.t, mode: replace }
  file:
    needs: mart
    publish: file
    with: { table: w.t, path: t.csv }
END
weir run once.yaml --date 2026-11-19
exits 0 "a transform, a table and a file"
# As if all of Weir had crashed before it recorded the end: nobody knows how the attempt ended.
lose() { # TASK
	sqlite3 "$WEIR_HOME/weir.db" "
		UPDATE attempt SET outcome = 'none', ended_us = NULL, result = NULL WHERE task = '$1' AND token =
			(SELECT token FROM task WHERE name = '$1');
		UPDATE task SET state = 'running', outputs = NULL WHERE name = '$1';
		UPDATE run SET state = 'running', ended_us = NULL"
	rm -rf "$WEIR_HOME/supervisor"
}
if command -v sqlite3 >/dev/null; then
	for task in count mart file; do
		lose $task
		weir run once.yaml --date 2026-11-19
		exits 0 "$task: a run that goes on after a crash"
		weir logs once $task
		out_has "by an earlier attempt of the same work (token " "$task: the retry finds it done"
		is "$(sqlite3 w.db 'SELECT count(*) FROM t') $(sqlite3 m.db 'SELECT count(*) FROM t') $(grep -c . t.csv)" \
			"1 1 2" "$task: nothing is there twice"
		sql_is "success lost" "SELECT group_concat(outcome, ' ') FROM
			(SELECT outcome FROM attempt WHERE task = '$task' ORDER BY token DESC LIMIT 2) ORDER BY 1" \
			"$task: the history has both attempts"
	done
	weir show once --json
	json_is '[1, 1, true]' \
		'[[t for t in d["tasks"] if t["task"] == n][0]["outputs"][k] for n, k in (("count", "n"), ("mart", "rows_out"), ("mart", "already"))]' \
		"the outputs are those of the attempt that did it"
	weir run once.yaml --date 2026-11-19 --force
	exits 0 "again on purpose"
	is "$(sqlite3 w.db 'SELECT count(*) FROM t') $(sqlite3 m.db 'SELECT count(*) FROM t') $(grep -c . t.csv)" \
		"2 2 3" "does it again"
else
	skip "retries of work that was done" "sqlite3 is not installed"
fi

finish
