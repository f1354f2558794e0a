#!/bin/sh
# When people are told, and through whom: quiet hours, routes by hours and severity, escalation, a
# snooze that ends; and channels that hang or cannot be trusted hold nobody up.
. "${top_srcdir:-.}/tests/lib/cli.sh"
. "$top_srcdir/tests/lib/daemon.sh"

command -v python3 >/dev/null || { echo "1..0 # SKIP no python3"; exit 0; }
lib=$top_srcdir/tests/lib
mkdir dags in

# Each message is a file in `in`, moved there when it is whole.
cat >tell <<'END'
#!/bin/sh
f=$(mktemp "$T/part.XXXXXX") && cat >"$f" && mv "$f" "$T/in"
END
chmod +x tell

# Those that came: "route what severity incidents", in order of incidents and routes.
told() { # WANTED NAME
	got=$(python3 - <<'END' 2>&1
import glob, json
all = [json.load(open(f)) for f in glob.glob("in/*")]
for d in sorted(all, key=lambda d: (d["incidents"][0]["id"], d["sent_at"], d["route"])):
    print(d["route"], d["what"], d["severity"], ",".join(str(i["id"]) for i in d["incidents"]))
END
	)
	is "$got" "$1" "$2"
}
tells() { await sh -c "[ \$(ls in | wc -l) -ge $1 ]"; } # COUNT
said() { grep -l -e "$1" in/* 2>/dev/null | wc -l | tr -d ' '; } # how many have it
says() { [ "$(said "$1")" -ge "$2" ]; }
config() { # ROUTES OTHER-KEYS
	rm -rf home in
	mkdir in
	cat >dags/weir.yaml <<END
alerts:
  channels:
    one: { type: command, command: ["$T/tell"] }
    two: { type: command, command: ["$T/tell"] }
    hang: { type: webhook, url: "http://127.0.0.1:$(cat plain.port)/hang", timeout: 3s }
    untrusted: { type: webhook, url: "https://localhost:$(cat tls.port)/untrusted" }
    trusted: { type: webhook, url: "https://localhost:$(cat tls.port)/trusted", ca: ../cert.pem }
    other_host: { type: webhook, url: "https://127.0.0.1:$(cat tls.port)/other", ca: ../cert.pem }
  routes:
$1
  group_window: 50ms
${2:-}
END
}
dag() { # NAME KEYS
	printf 'dag: %s\n%s\ntasks: { t: { run: "exit 1" } }\n' "$1" "${2:-}" >"dags/$1.yaml"
}
http() { # NAME [CERT KEY]
	python3 "$lib/http_sink.py" "$T/$1.port" "$T/$1.log" ${2:+"$2" "$3"} 2>"$T/$1.err" &
	background="${background:-} $!"
	await test -f "$T/$1.port" || fail "an HTTP server" "$(cat "$T/$1.err")"
}
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 \
	-subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null
http plain
http tls cert.pem key.pem
hour() { date -u -d "$1 hours" +%H:%M; }
dag usual
dag bad 'severity: critical'
cat >dags/mixed.yaml <<'END'
dag: mixed
severity: warning
tasks:
  a: { run: "exit 1" }
  b: { run: "exit 1", severity: critical }
END

# ---- severity, hours, quiet hours -----------------------------------------------------------------

config "  - { name: all, to: one }
  - { name: worst, to: one, severity: critical }
  - { name: now, to: one, hours: \"$(hour -1)-$(hour +1)\", severity: error }
  - { name: later, to: one, hours: \"$(hour +1)-$(hour -1)\" }"
weir run dags/usual.yaml --date 2026-11-18
told "all opened error 1
now opened error 1" "by severity and time of day"
weir run dags/bad.yaml --date 2026-11-18
tells 5
told "all opened error 1
now opened error 1
all opened critical 2
now opened critical 2
worst opened critical 2" "what is critical is told to those, too"
weir run dags/mixed.yaml --date 2026-11-18
sql_is "a|warning
b|critical" "SELECT task, severity FROM incident WHERE dag = 'mixed' ORDER BY task" "a task says for itself how bad it is"

config "  - { name: all, to: one }" "  quiet_hours: \"$(hour -1)-$(hour +2)\""
weir run dags/usual.yaml --date 2026-11-18
is "$(ls in)" "" "in quiet hours nobody is told"
sql_is "pending|1" "SELECT state, due_us / 1000000 - strftime('%s', 'now') BETWEEN 3600 AND 7200 FROM outbox" "it waits for their end"
weir run dags/bad.yaml --date 2026-11-18
told "all opened critical 2" "unless it is critical"

# ---- nobody sees to it ----------------------------------------------------------------------------

config "  - { name: all, to: one, escalate_to: two, escalate_after: 300ms }
  - { name: again, to: one, escalate_after: 300ms, dags: [usual] }"
daemon
weir trigger usual --date 2026-11-18
await says '"escalated"' 5
weir ack 1 --reason "I am on it"
await says '"what":"acknowledged","severity"' 3
python3 - <<'END' >order
import glob, json
seen = sorted((json.load(open(f)) for f in glob.glob("in/*")), key=lambda d: int(d["id"].split("/")[2]))
for r in ("all", "all/escalation", "again"):
    whats = [d["what"] for d in seen if d["route"] == r]
    print(r, whats[0], whats[-1], set(whats[1:-1]) == {"escalated"}, len(whats))
END
check "escalations go where they are to" grep -qx "all opened acknowledged False 2" order
check "... to others" grep -q "^all/escalation escalated acknowledged" order
check "... or to the same, again and again" grep -q "^again opened acknowledged True" order
sql_is "acked|0" "SELECT state, escalate_us IS NOT NULL FROM incident" "who is seen to does not escalate"
weir snooze 1 1s
exits 0 "weir snooze"
check "it wakes from its snooze, and is told" await says '"route":"all","channel":"one","what":"woken"' 1
ends TERM

# ---- channels that hang, and that cannot be trusted ---------------------------------------------------

config "  - { name: slow, to: [hang, one] }
  - { name: tls, to: [untrusted, other_host, trusted] }" "  tries: 1"
daemon
weir trigger usual --date 2026-11-18
await grep -q /hang plain.log
begin=$(date +%s%N)
for i in 1 2 3 4 5; do weir trigger bad --date "2026-11-1$i"; done
weir status
took=$((($(date +%s%N) - begin) / 1000000))
check "the daemon waits for no channel" [ "$took" -lt 2500 ]
await says '"route":"slow"' 1
python3 -c '
import glob, json
d = json.load(open(glob.glob("in/*")[0]))
print(d["channel"], d["failed"][0])' >failed
check "the next one tells, and which one did not" grep -q "^one hang: timeout" failed
await grep -q '"path": "/trusted"' tls.log
python3 -c '
import json
d = json.loads(json.loads(open("tls.log").readline())["body"])
print(d["channel"], [f.split(":")[1] for f in d["failed"]])' >failed
is "$(cat failed)" "trusted [' certificate', ' certificate']" "a certificate that is wrong is trusted by nobody"
check "nothing was said to it" sh -c '! grep -q "/untrusted\|/other" tls.log'
ends TERM

finish
