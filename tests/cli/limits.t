#!/bin/sh
# Limits of tasks as their users see them: in the log, and in how attempts end.
. "${top_srcdir:-.}/tests/lib/cli.sh"

log() { cat "$WEIR_HOME/logs/$1@2026-11-19/$2.${3:-1}.log"; } # DAG TASK [TRY]
first() { log "$@" | head -n 1; }
run() { WEIR_TEST_CLOCK=2026-11-20T07:00:00Z weir run "$@" --date 2026-11-19; }

root=
[ "$(id -u)" = 0 ] && root=yes

# ---- limits of processes: no cgroup is used ------------------------------------------------

WEIR_CGROUP=/nowhere
export WEIR_CGROUP
nocgroup="no cgroup: WEIR_CGROUP=/nowhere: not the absolute path of a cgroup v2"
printf 'connections:\n  shop: { type: sqlite, path: shop.db }\n' >weir.yaml
printf 'id\n1\n' >in.csv
cat >plain.yaml <<'END'
dag: plain
defaults: { limits: { files: 64 } }
tasks:
  files: { run: "ulimit -n; ulimit -Hn" }
  open: { run: "exec 3</dev/null 4</dev/null 5</dev/null 6</dev/null 7</dev/null; cat plain.yaml; echo opened", limits: { files: 8 }, retries: 1, backoff: { initial: 1s } }
  memory: { run: "x=$(head -c 50000000 /dev/zero | tr '\\0' x); echo got it", limits: { memory: 16MiB } }
  enough: { run: "x=$(head -c 5000000 /dev/zero | tr '\\0' x); echo got it", limits: { memory: 1GiB } }
  cpu: { run: "true", limits: { cpu: 12.5% } }
  silent: { run: "exit 3" }
  inherited: { run: "env | grep -c WEIR_CGROUP" }
  load: { ingest: file, with: { path: in.csv, into: shop.t, mode: replace } }
  starved: { ingest: file, with: { path: in.csv, into: shop.u, mode: replace }, limits: { memory: 1MiB } }
END
run plain.yaml
exits 1 "tasks that need more than their limits fail"
is "$(log plain files)" "weir: limits: files 64: RLIMIT_NOFILE; $nocgroup
64
64" "the log begins with what is enforced and how; both limits are set"
is "$(first plain open 2 | cut -d';' -f1)" "weir: limits: files 8: RLIMIT_NOFILE" "so does that of each try"
lacks "$WEIR_HOME/logs/plain@2026-11-19/open.2.log" opened "no file is opened above the limit"
is "$(first plain memory)" "weir: limits: memory 16MiB: RLIMIT_DATA, for each process by itself; files 64: RLIMIT_NOFILE; $nocgroup" "a task's limits are put together with the defaults'"
lacks "$WEIR_HOME/logs/plain@2026-11-19/memory.1.log" "got it" "memory above the limit is refused"
has "$WEIR_HOME/logs/plain@2026-11-19/enough.1.log" "got it" "memory below it is had"
is "$(first plain cpu)" "weir: limits: cpu 12.5%: not enforced, there is no cpu controller; files 64: RLIMIT_NOFILE; $nocgroup" "what cannot be enforced is said"
out_has "exit status 3 (try 1/1)" "the error of a silent task is its own, not that line"
is "$(log plain inherited | tail -n 1)" 0 "tasks do not inherit WEIR_CGROUP"
is "$(first plain load)" "weir: limits: files 64: RLIMIT_NOFILE; $nocgroup" "operators have limits, too"
db_is shop.db "1" "SELECT count(*) FROM t" "and work within them"
sql_is "enough|success
load|success
memory|failed
open|failed
starved|failed" "SELECT name, state FROM task WHERE name IN ('memory', 'enough', 'load', 'open', 'starved') ORDER BY name" "the ends are recorded"

printf 'dag: pids\ntasks: { a: { run: "true & true & wait; echo both", limits: { pids: 1 } } }\n' >pids.yaml
run pids.yaml
if [ "$root" ]; then
	is "$(first pids a)" "weir: limits: pids 1: RLIMIT_NPROC, which does not bind root: not enforced; $nocgroup" "root is told that processes are not limited"
else
	exits 1 "a process above the limit is refused"
	is "$(first pids a)" "weir: limits: pids 1: RLIMIT_NPROC, which counts all processes of the user $(id -u); $nocgroup" "the log says who is counted"
fi

printf 'dag: none\ntasks: { a: { run: "true" } }\n' >none.yaml
run none.yaml
is "$(log none a)" "" "without limits nothing is said"

# ---- a cgroup, where there can be one -------------------------------------------------------

unset WEIR_CGROUP
cat >group.yaml <<'END'
dag: group
tasks:
  a: { run: "setsid sh -c 'echo $$ >left; exec sleep 1000' & while ! test -s left; do :; done", limits: { files: 64 } }
END
if ! command -v setsid >/dev/null; then
	skip "what left the process group ends with the attempt" "no setsid"
else
	run group.yaml
	exits 0 "a task in a cgroup"
	pid=$(cat left)
	case $(first group a) in
	*"all in the cgroup "*)
		group=$(first group a | sed 's/.*all in the cgroup //')
		check "what left the process group ends with the attempt" sh -c "! kill -0 $pid 2>/dev/null || grep -q '^State:.Z' /proc/$pid/status"
		check "its cgroup is removed" test ! -e "$group"
		check "so is that of the supervisor" test ! -e "${group%/*}" ;;
	*)
		kill -9 "$pid"
		skip "what left the process group ends with the attempt" "$(first group a | sed 's/.*no cgroup: //')" ;;
	esac
fi

# ---- what is wrong -----------------------------------------------------------------------------

printf 'dag: bad\ntasks: { a: { run: "true", limits: { memory: 0 } } }\n' >bad.yaml
weir validate bad.yaml
exits 3 "a limit of nothing is an error"
out_has "bad.yaml:2:46: error: memory: must be from 1 MiB to 1 PiB" "with its place"

finish
