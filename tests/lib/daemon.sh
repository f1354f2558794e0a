# For tests with a daemon in the background: source it after cli.sh.
#
#   daemon [OPTION...]        start one on ./dags, and wait until it is ready; $daemon is its pid,
#                             $T/log what it says
#   ends SIGNAL               send it; then $status is what it ended with
#   said_log TEXT             whether the log has it; for await
#   api PATH [EXPRESSION]     GET from the daemon's socket
#   rows WANTED SQL           whether the store answers that; for await
log=$T/log daemon=

daemon() {
	: >"$log"
	"$WEIR" daemon --dags dags "$@" >"$T/stdout" 2>"$log" </dev/null &
	daemon=$!
	background="${background:-} $daemon"
	await grep -q -e 'msg="ready"' -e '"msg":"ready"' "$log" || fail "a daemon that is ready" "$(cat "$log")"
}

ends() {
	kill -"$1" "$daemon"
	wait "$daemon" 2>/dev/null
	status=$?
}

said_log() { grep -qF -e "$1" "$log"; }

rows() { [ "$(sql "$WEIR_HOME/weir.db" "$2" 2>/dev/null)" = "$1" ]; }

# What the store answers in the end.
comes() { # WANTED SQL NAME
	if await rows "$1" "$2"; then pass "$3"; else sql_is "$1" "$2" "$3"; fi
}

logs() { # TEXT NAME
	if await said_log "$1"; then pass "$2"; else fail "$2" "wanted in the log: $1
$(tail -n 20 "$log")"; fi
}

# The answer to $T/out; with an expression of Python, what it says of the answer `d`.
api() { # PATH [EXPRESSION]
	python3 - "$WEIR_HOME/daemon.sock" "$1" "$T/out" "${2:-}" <<'END'
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(60)
s.connect(sys.argv[1])
s.sendall(b"GET %s HTTP/1.0\r\nHost: weir\r\n\r\n" % sys.argv[2].encode())
text = b""
while True:
    got = s.recv(65536)
    if not got:
        break
    text += got
body = text.split(b"\r\n\r\n", 1)[1]
open(sys.argv[3], "wb").write(body)
if sys.argv[4]:
    d = json.loads(body)
    v = eval(sys.argv[4])
    print(v if isinstance(v, str) else json.dumps(v))
END
}
