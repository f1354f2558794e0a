#!/bin/sh
# Secrets planted wherever one can be, said aloud wherever a task, a server or a message can say
# them: they are in no message, no log, not in the store, in no answer and in no process list.
. "${top_srcdir:-.}/tests/lib/cli.sh"
. "$top_srcdir/tests/lib/daemon.sh"

command -v python3 >/dev/null || { echo "1..0 # SKIP no python3"; exit 0; }
lib=$top_srcdir/tests/lib
mkdir dags
python3 "$lib/http_sink.py" "$T/hook.port" "$T/hook.log" 2>"$T/hook.err" &
background="${background:-} $!"
await test -f hook.port || fail "an HTTP server" "$(cat hook.err)"
base=http://127.0.0.1:$(cat hook.port)

# Each has a word of its own, so that it can be told which one came out.
S_ENV=plant-env-0001 S_FILE=plant-file-0002 S_SLACK=plant-slack-0003 S_HOOK=plant-hook-0004
S_SIGN=plant-sign-0005 S_PAGER=plant-pager-0006 S_MAIL=plant-mail-0007 S_BEAT=plant-beat-0008
S_ECHO=plant-echo-0009
plants="$S_ENV $S_FILE $S_SLACK $S_HOOK $S_SIGN $S_PAGER $S_MAIL $S_BEAT $S_ECHO"
SLACK_URL=$base/slack/$S_SLACK HOOK_URL=$base/hook?token=$S_HOOK ECHO_URL=$base/echo/$S_ECHO
BEAT_URL=$base/echo/beat/$S_BEAT
export S_ENV S_SIGN S_MAIL SLACK_URL HOOK_URL ECHO_URL BEAT_URL
echo "$S_FILE" >dags/secret
echo "$S_PAGER" >dags/pager.key

mail='' mail_server=none
for p in /usr/bin/python3 python3; do
	"$p" -c 'import aiosmtpd' 2>/dev/null && mail=$p && break
done
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 \
	-subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null
if [ -n "$mail" ]; then
	"$mail" "$lib/smtp_sink.py" "$T/mail.port" "$T/mail.log" cert.pem key.pem weir "$S_MAIL" \
		2>"$T/mail.err" &
	mail_server=$! # the test's own, which is told its password so
	background="${background:-} $!"
	await test -f mail.port || fail "a mail server" "$(cat mail.err)"
fi

cat >dags/weir.yaml <<END
breakers: { api: { failures: 1, open: 1h } }
alerts:
  channels:
    slack: { type: slack, url: { env: SLACK_URL } }
    pager: { type: pagerduty, key: { file: pager.key }, url: "$base/pager" }
    hook: { type: webhook, url: { env: HOOK_URL }, secret: { env: S_SIGN } }
    echo: { type: webhook, url: { env: ECHO_URL } }
    mail: { type: email, server: "localhost:$(cat mail.port 2>/dev/null || echo 9)", from: w@x.example,
      to: d@x.example, user: weir, password: { env: S_MAIL }, ca: ../cert.pem }
    refused: { type: email, server: "localhost:$(cat mail.port 2>/dev/null || echo 9)", from: w@x.example,
      to: nobody@x.example, user: weir, password: { env: S_MAIL }, ca: ../cert.pem }
    tell: { type: command, command: [sh, -c, "cat >>$T/told; exit 1"] }
  routes:
  - { name: all, to: [echo, refused, tell, hook] }
  - { name: slack, to: slack }
  - { name: pager, to: pager }
  - { name: mail, to: mail }
  group_window: 50ms
  tries: 1
heartbeat: { url: { env: BEAT_URL }, every: 100ms }
END
cat >say <<'END'
echo "on stdout: $A $B, and cut: $A"
echo "on stderr: $A $B" >&2
printf '{"said": "%s", "%s": 1, "deep": { "list": ["%s"] }}' "$A" "$B" "$B" >"$WEIR_OUTPUT"
sleep "$1"
echo "the last line: $B" >&2
exit "$2"
END
cat >runbook.md <<'END'
{{ task }} of {{ run }} said {{ error }}
END
cp runbook.md dags/
cat >dags/a.yaml <<END
dag: a
runbook: runbook.md
tasks:
  well: { run: 'sh $T/say 0 0', env: { A: { env: S_ENV }, B: { file: secret } } }
  fails: { run: 'sh $T/say 0.3 7', env: { A: { env: S_ENV }, B: { file: secret } }, breaker: api, needs: well }
  no_program: { run: ["$T/gone"], env: { A: { env: S_ENV } } }
END

# Every process that is one of ours, as often as can be.
watch() {
	while [ ! -e stop ]; do
		for p in /proc/[0-9]*; do
			[ "$p" = "/proc/$mail_server" ] || tr '\0' '\n' <"$p/cmdline"
		done
	done >cmdlines 2>/dev/null
}
watch &
watcher=$!
daemon --log json --verbose
weir trigger a --date 2026-11-18
comes "failed" "SELECT state FROM run" "a run fails, aloud"
comes 0 "SELECT count(*) FROM outbox WHERE state = 'pending'" "all is told"
await grep -q /beat/ hook.log
logs "the heartbeat fails" "a heartbeat that is refused"
weir ack 1 --reason "seen"
comes 0 "SELECT count(*) FROM outbox WHERE state = 'pending'" "and who sees to it"
for c in "status" "show a" "show a --json" "logs a fails" "logs a well" "incidents --json" "alerts --all --json" \
	"breaker show api" "why a fails" "runbook a fails" "breaker list --json" "alert test slack --json" \
	"alert test echo --json" "alert test tell --json" "runs --json"; do
	# shellcheck disable=SC2086 # words
	(cd dags && "$WEIR" $c) >>shown 2>&1
done
for path in /v1/status /v1/incidents/all /v1/alerts/all /v1/runs /v1/dags /v1/breakers; do
	api $path >/dev/null 2>&1
	cat "$T/out" >>shown
done
ends TERM
: >stop
wait "$watcher"
exits 0 "the daemon ends"
# It speaks of them elsewhere than where it should, or the test tests nothing.
check "what was said was said" sh -c 'grep -q "on stdout: \*\*\* \*\*\*" home/logs/*/well* && grep -q "on stdout" shown'
check "the servers were asked" sh -c 'grep -q /slack/ hook.log && grep -q /beat/ hook.log && grep -q token= hook.log'
check "and the command" grep -q the.last.line told
check "processes were seen" grep -q -- --verbose cmdlines

# In what came over the wire: all but the address and the key that open the door.
python3 - <<'END' >messages
import json
for name in ("hook.log", "mail.log"):
    try:
        lines = open(name).readlines()
    except FileNotFoundError:
        continue
    for l in lines:
        d = json.loads(l)
        d.pop("path", None)
        if name == "hook.log" and d["body"]:
            body = json.loads(d["body"])
            body.pop("routing_key", None)
            d["body"] = body
        print(json.dumps(d))
END
cat told >>messages
check "there are messages" sh -c '[ "$(wc -l <messages)" -ge 4 ]'
for plant in $plants; do
	for what in "home" "log stdout" "shown" "messages" "cmdlines"; do
		# shellcheck disable=SC2086 # words
		check "$plant: not in $what" sh -c "! grep -rqaF $plant $what"
	done
done

finish
