#!/bin/sh
# Incidents told through real servers on loopback: contents, faults, secrets.
. "${top_srcdir:-.}/tests/lib/cli.sh"
. "$top_srcdir/tests/lib/daemon.sh"

lib=$top_srcdir/tests/lib
mkdir dags dags/docs

http() { # NAME [CERT KEY]
	python3 "$lib/http_sink.py" "$T/$1.port" "$T/$1.log" ${2:+"$2" "$3"} 2>"$T/$1.err" &
	background="${background:-} $!"
	await test -f "$T/$1.port" || fail "an HTTP server" "$(cat "$T/$1.err")"
}

# Lines of a log as Python sees them: `d` the last one, with the body read as JSON in `b`; `all`.
sent_is() { # WANTED LOG EXPR NAME
	got=$(python3 - "$2" "$3" <<'END' 2>&1
import json, sys
try:
    all = [json.loads(l) for l in open(sys.argv[1])]
except FileNotFoundError:
    all = []
d = all[-1] if all else {}
try:
    b = json.loads(d.get("body", "null"))
except ValueError:
    b = None
v = eval(sys.argv[2])
print(v if isinstance(v, str) else json.dumps(v))
END
	)
	is "$got" "$1" "$4"
}

http hook
base=http://127.0.0.1:$(cat hook.port)
SLACK_URL=$base/slack/T000-SLACKSECRET HOOK_SECRET=hook-secret-9876 MAIL_PASSWORD=mail-secret-5432
ECHO_URL=$base/echo/T000-ECHOSECRET
export ECHO_URL SLACK_URL HOOK_SECRET MAIL_PASSWORD
echo pd-secret-1111 >dags/pd.key
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 \
	-subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null

mail=
for p in /usr/bin/python3 python3; do
	"$p" -c 'import aiosmtpd' 2>/dev/null && mail=$p && break
done
if [ -n "$mail" ]; then
	"$mail" "$lib/smtp_sink.py" "$T/mail.port" "$T/mail.log" cert.pem key.pem weir \
		mail-secret-5432 2>"$T/mail.err" &
	background="${background:-} $!"
	await test -f mail.port || fail "a mail server" "$(cat mail.err)"
fi

cat >dags/docs/sales.md <<'END'
# Sales

{{ task }} of {{ run }} said: {{ error }}
END
cat >dags/sales.yaml <<'END'
dag: sales
tags: [finance]
owner: team-data
runbook: docs/sales.md
tasks:
  load:
    run: 'echo "begin"; echo "the source said <no> & $TOKEN" >&2; exit $(cat "$T/rc")'
    env: { TOKEN: { env: HOOK_SECRET }, T: { env: T } }
  report: { run: "true", needs: [load] }
END
config() { # ROUTES
	cat >dags/weir.yaml <<END
alerts:
  channels:
    slack: { type: slack, url: { env: SLACK_URL } }
    pager: { type: pagerduty, key: { file: pd.key }, url: "$base/pager" }
    hook: { type: webhook, url: "$base/hook", secret: { env: HOOK_SECRET } }
    mail: { type: email, server: "localhost:$(cat mail.port 2>/dev/null || echo 9)", from: weir@x.example,
      to: [data@x.example, oncall@x.example], user: weir, password: { env: MAIL_PASSWORD }, ca: ../cert.pem }
    wrong_ca: { type: email, server: "localhost:$(cat mail.port 2>/dev/null || echo 9)", from: weir@x.example, to: d@x.example }
    wrong_login: { type: email, server: "localhost:$(cat mail.port 2>/dev/null || echo 9)", from: weir@x.example,
      to: d@x.example, user: weir, password: { env: HOOK_SECRET }, ca: ../cert.pem }
    no_such_user: { type: email, server: "localhost:$(cat mail.port 2>/dev/null || echo 9)", from: weir@x.example,
      to: nobody@x.example, user: weir, password: { env: MAIL_PASSWORD }, ca: ../cert.pem }
    tell: { type: command, command: [sh, -c, "cat >$T/told.json"] }
    gone: { type: webhook, url: "$base/code/404" }
    denied: { type: webhook, url: "$base/code/403" }
    hang: { type: webhook, url: "$base/hang", timeout: 300ms }
    drop: { type: webhook, url: "$base/drop" }
    flaky: { type: webhook, url: "$base/flaky/1" }
    busy: { type: webhook, url: "$base/busy/1/1" }
    closed: { type: webhook, url: "http://127.0.0.1:1/" }
    echo: { type: webhook, url: { env: ECHO_URL } }
    unset: { type: webhook, url: { env: NO_SUCH_VARIABLE } }
    nofile: { type: webhook, url: { file: nowhere } }
    fails: { type: command, command: [sh, -c, "echo not today >&2; exit 7"] }
    nothing: { type: command, command: [/nonexistent/tell] }
  routes:
$1
  group_window: 100ms
  retry_after: 200ms
END
}

# ---- what each channel gets ------------------------------------------------------------------

config '    - { name: slack, to: slack, tags: [finance] }
    - { name: pager, to: pager, owners: [team-data] }
    - { name: hook, to: hook, dags: ["sa*"] }
    - { name: tell, to: tell, severity: error }
    - { name: none, to: tell, tags: [marketing] }'
[ -z "$mail" ] || sed -i 's/^  group_window/    - { name: mail, to: mail }\n&/' dags/weir.yaml
echo 3 >rc
cd dags
weir run sales.yaml --date 2026-11-19
exits 1 "a run that fails"
cd ..

sent_is '{"routes": ["/hook", "/pager", "/slack/T000-SLACKSECRET"]}' hook.log \
	'{"routes": sorted(x["path"] for x in all)}' "a message through each route"
line() { grep "\"path\": \"$1" hook.log | tail -n 1 >"$T/line"; }
line /slack
sent_is true line 'b["text"].startswith("*error  sales.load: task failed*\n")' "Slack: what failed"
sent_is true line '"&lt;no&gt; &amp; ***" in b["text"] and "<no>" not in b["text"]' "Slack: escaped, masked"
sent_is true line '"weir logs sales@2026-11-19 load" in b["text"]' "Slack: the command for the log"
line /pager
sent_is '["pd-secret-1111", "trigger", "error", "sales.load: task failed", "sales", "task_failed"]' line \
	'[b["routing_key"], b["event_action"]] + [b["payload"][k] for k in ("severity", "summary", "component", "class")]' \
	"PagerDuty: an event"
sent_is true line 'b["dedup_key"].endswith("/incident/1")' "PagerDuty: its key"
line /hook
sent_is '["weir.alert.v1", "opened", 1, "hook", "hook"]' line \
	'[b[k] for k in ("schema", "what", "count", "route", "channel")]' "webhook: the document"
sent_is '["sales", "load", "sales@2026-11-19", 1, 1, 3, ["report"], "team-data"]' line \
	'[b["incidents"][0][k] for k in ("dag", "task", "run", "try", "tries", "exit_status", "dependents", "owner")]' \
	"webhook: the facts"
sent_is '["begin", "the source said <no> & ***"]' line 'b["incidents"][0]["log"]' "webhook: the log, masked"
sent_is '# Sales

load of sales@2026-11-19 said: exit status 3: the source said <no> & ***' line \
	'b["incidents"][0]["runbook"]["text"].strip()' "webhook: the runbook, filled in"
signed='__import__("hmac").new(b"hook-secret-9876", (d["headers"]["x-weir-timestamp"] + "." + d["body"]).encode(), "sha256").hexdigest()'
sent_is true line "d['headers']['x-weir-signature'] == 'v1=' + $signed" "webhook: signed"
sent_is incident/1/1/hook line 'd["headers"]["x-weir-id"]' "webhook: its id"
check "command: the same document" grep -q '"channel":"tell"' told.json
if [ -n "$mail" ]; then
	sent_is '["weir@x.example", ["data@x.example", "oncall@x.example"], true, true]' mail.log \
		'[d["from"], d["to"], d["tls"], d["login"]]' "mail: encrypted, logged in"
	sent_is '[weir] sales.load: task failed' mail.log 'dict(d["headers"])["Subject"]' "mail: its subject"
	sent_is true mail.log '"the source said <no> & ***" in d["body"]' "mail: its text"
else
	skip "mail" "python3-aiosmtpd is not installed"
fi

weir incidents
out_has "sales.load: task failed, since" "weir incidents lists it"
weir incidents --json
json_is '[1, "open", "error", "task_failed", 1]' \
	'[d["incidents"][0][k] for k in ("incident", "state", "severity", "kind", "count")]' "the same as JSON"
weir alerts
out_has "Nothing waits to be told" "nothing is left to be told"

# ---- people ----------------------------------------------------------------------------------

weir ack 1 --reason "restarting the source"
exits 0 "weir ack"
out_has "is acked (by" "who did it"
weir ack 1
exits 4 "an incident is acknowledged once"
err_has "incident 1 is acked already" "that it is"
weir snooze 1 2h
out_has "is snoozed until" "weir snooze"
weir snooze 1 never
exits 2 "a snooze that is no time"
weir ack 77
exits 5 "no such incident"
weir ack x
exits 2 "no number"
weir runbook dags/sales.yaml load
exits 0 "weir runbook"
out_has "load of sales@2026-11-19 said: exit status 3" "with the facts filled in"
weir runbook dags/sales.yaml lod
err_has 'did you mean "load"?' "a task misspelt"
weir resolve 1
exits 0 "weir resolve"
weir incidents
out_has "Nothing is wrong that is known." "it is resolved"

# ---- the daemon, and success --------------------------------------------------------------------

: >hook.log
daemon
# What was said while no daemon ran is told by this one: to those who heard of it, as it is now.
await grep -q '"path": "/hook"' hook.log
line /hook
sent_is '["resolved", "sales@2026-11-19", 1]' line '[b["what"], b["incidents"][0]["run"], b["incidents"][0]["id"]]' "what was said before is told"
: >hook.log
weir trigger sales --date 2026-11-18
comes 1 "SELECT count(*) FROM incident WHERE ended_us IS NULL" "an incident opens"
await grep -q '"path": "/hook"' hook.log
line /hook
sent_is '["opened", "sales@2026-11-18"]' line '[b["what"], b["incidents"][0]["run"]]' "the daemon tells of it"
sent_is null line 'b["incidents"][0].get("last_good")' "there was no good run yet"
weir ack 2 --reason "on it"
await sh -c 'grep "path.: ./hook" hook.log | grep -q acknowledged'
line /hook
sent_is '["acknowledged", "on it"]' line '[b["what"], b["incidents"][0]["reason"]]' "and of who sees to it"
echo 0 >rc
weir trigger sales --date 2026-11-18
await grep -q '"event_action\\": \\"resolve\|"event_action\\":\\"resolve' hook.log
line /pager
sent_is '["resolve", true]' line '[b["event_action"], "/incident/2" in b["dedup_key"] or "/storm/" in b["dedup_key"]]' "PagerDuty is resolved"
comes 0 "SELECT count(*) FROM incident WHERE ended_us IS NULL" "it resolves by itself"
api /v1/incidents/all 'len(d["incidents"])' >got
is "$(cat got)" 2 "the API lists incidents"

# No secret in what is told, logged, kept, or shown of processes.
for pid in $daemon $(pgrep -P "$daemon"); do
	tr '\0' '\n' <"/proc/$pid/cmdline"
done >cmdlines
for secret in T000-SLACKSECRET hook-secret-9876 mail-secret-5432 pd-secret-1111; do
	check "$secret: not in processes" sh -c "! grep -q $secret cmdlines"
	check "$secret: not in logs and the store" sh -c "! grep -rqa $secret home log told.json"
	check "$secret: in no message" python3 -c '
import json, sys
for name in ("hook.log", "mail.log"):
    try:
        lines = open(name).readlines()
    except FileNotFoundError:
        continue
    for l in lines:
        d = json.loads(l)
        d.pop("path", None)
        body = json.loads(d["body"]) if name == "hook.log" and d["body"] else d["body"]
        if isinstance(body, dict):
            body.pop("routing_key", None)
        assert sys.argv[1] not in json.dumps(body), l
' $secret
done
ends TERM
exits 0 "the daemon ends"
check "its sender ends with it" sh -c "! pgrep -x weir-sender -P $daemon"

# ---- faults, classed ------------------------------------------------------------------------------

tested() { # CHANNEL CLASS TEXT
	weir alert test "$1" --json
	json_is "[false, \"$2\"]" '[d["ok"], d["class"]]' "$1: $2"
	out_has "$3" "$1: in words"
}
cd dags
weir alert test hook
exits 0 "weir alert test"
out_has "Channel hook took the message." "it says so"
tested echo rejected "***"
out_lacks T000-ECHOSECRET "a secret in the server's answer is masked"
tested gone rejected "HTTP 404"
tested denied login "HTTP 403"
tested hang timeout "timed out"
tested drop unreachable "Empty reply"
tested closed unreachable "connect"
tested unset settings "NO_SUCH_VARIABLE (a secret) is not set"
tested nofile settings "nowhere"
tested fails command "exit status 7: not today"
tested nothing command "No such file"
weir alert test hok
exits 5 "no such channel"
err_has 'did you mean "hook"?' "a near one"
if [ -n "$mail" ]; then
	tested wrong_ca certificate "certificate"
	tested wrong_login login "denied"
	tested no_such_user rejected "550"
else
	skip "mail that is refused" "python3-aiosmtpd is not installed"
fi
cd ..

# A server that asks to wait is waited for; one that recovers is tried again.
rm -rf home
: >hook.log
echo 3 >rc
config '    - { name: busy, to: busy }
    - { name: flaky, to: flaky }
    - { name: over, to: [gone, hang, hook] }'
daemon
weir trigger sales --date 2026-11-17
comes "done|3
given_up|2" "SELECT state, count(*) FROM outbox GROUP BY state" "all is told in the end"
ends TERM
sent_is 2 hook.log 'sum(x["path"] == "/flaky/1" for x in all)' "flaky: tried again"
sent_is true hook.log '(lambda t: t[1] - t[0] >= 1)([x["at"] for x in all if "busy" in x["path"]])' "busy: Retry-After is kept"
line /hook
sent_is true line 'b["failed"][0].startswith("gone: rejected: the server answers HTTP 404")' "the next channel says what failed"

# ---- nobody is told twice at a crash, and nothing is lost ------------------------------------------

rm -rf home
: >hook.log
config '    - { name: hook, to: hook }'
WEIR_TEST_KILL_AT_WRITE=12 "$WEIR" run dags/sales.yaml --date 2026-11-16 >out1 2>&1
weir run dags/sales.yaml --date 2026-11-16
sql_is 1 "SELECT count(*) FROM incident" "one incident"
sent_is '["incident/1/1/hook"]' hook.log 'sorted(set(x["headers"]["x-weir-id"] for x in all))' "one message"

# ---- the heartbeat ---------------------------------------------------------------------------------

rm -rf home
: >hook.log
printf 'heartbeat: { url: "%s/beat", every: 100ms }\n' "$base" >dags/weir.yaml
daemon
await sh -c '[ "$(grep -c /beat hook.log)" -ge 3 ]'
check "a sign of life, again and again" sh -c '[ "$(grep -c /beat hook.log)" -ge 3 ]'
ends TERM

finish
