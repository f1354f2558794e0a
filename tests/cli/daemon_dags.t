#!/bin/sh
# The folder of the DAGs under a running daemon: files that come, change, break, move and go.
. "${top_srcdir:-.}/tests/lib/cli.sh"
. "${top_srcdir:-.}/tests/lib/daemon.sh"

have_sql && command -v python3 >/dev/null || { echo "1..0 # SKIP no python3"; exit 0; }

GO=$T/go
export GO
dag() { # FILE NAME COMMAND [SCHEDULE]
	mkdir -p "$(dirname "dags/$1")"
	printf "dag: %s\nschedule: %s\ntasks: { a: { run: '%s' } }\n" "$2" "${4:-manual}" "$3" >"dags/$1"
}
of() { # EXPRESSION over s, by the name of the DAG or file
	api /v1/status "(lambda s: $1)({x['dag'] or x['path'].rsplit('/')[-1]: x for x in d['dags']})" 2>/dev/null
}
stands() { [ "$(of "$1")" = "$2" ]; }
shows() { # WANTED EXPRESSION NAME
	if await stands "$2" "$1"; then pass "$3"; else is "$(of "$2")" "$1" "$3"; fi
}

dag a.yaml a 'echo 1 $WEIR_DS >>seen; until [ -e $GO ]; do sleep 0.02; done; echo 1 done >>seen'
daemon
shows true "'a' in s" "a DAG"

# ---- what comes and changes is seen by itself ------------------------------------------------------

dag b.yaml b 'echo b >>seen'
shows true "'b' in s" "a new file is found"
dag sub/deep/c.yaml c 'echo c >>seen'
shows true "'c' in s" "... also in a new folder"
dag sub/deep/d.yaml d 'echo d >>seen'
shows true "'d' in s" "... which is watched from then on"
dag _draft.yaml draft ':'
printf 'some: thing\n' >dags/other.yaml
weir trigger a --date 2026-01-01
await grep -q '1 2026-01-01' dags/seen
dag a.yaml a 'echo 2 $WEIR_DS >>seen'
logs "msg=\"DAG loaded\" dag=a file=$T/dags/a.yaml" "a changed file"
version() { [ "$(sql home/weir.db "SELECT count(DISTINCT dag.version) FROM dag JOIN run ON run.dag = dag.name WHERE dag.name = 'a' AND dag.version <> run.version")" = 1 ]; }
check "... is loaded anew" await version
: >"$GO"
comes success "SELECT state FROM run WHERE dag = 'a'" "... while a run goes on"
is "$(tr '\n' ' ' <dags/seen)" "1 2026-01-01 1 done " "... with the version it began with"
weir trigger a --date 2026-01-02
comes 2 "SELECT count(*) FROM run WHERE dag = 'a' AND state = 'success'" "the next run"
has dags/seen "2 2026-01-02" "... has the new one"
shows "false false" "'%s %s' % ('true' if 'draft' in s else 'false', 'true' if 'other.yaml' in s else 'false')" \
	"drafts and other files are no DAGs"

# ---- files that break ---------------------------------------------------------------------------------

printf 'dag: b\ntasks: { a: { rum: "true" } }\n' >dags/b.yaml
shows true "'rum' in (s['b']['error'] or '')" "a broken file: status shows the error"
weir status
out_has "b.yaml" "... so does weir status"
weir trigger b --date 2026-01-01
exits 0 "... and its last good version goes on"
comes success "SELECT state FROM run WHERE dag = 'b'" "... to the end"
has dags/seen b "... as it was"
printf 'dag: new\ntasks: { a: { rum: "true" } }\n' >dags/new.yaml
shows true "'rum' in (s['new.yaml']['error'] or '')" "a file that never was good"
dag new.yaml new ':'
shows null "s['new']['error']" "... becomes good"
dag b.yaml b 'echo b2 >>seen'
shows null "s['b']['error']" "the broken one is mended"
chmod 0 dags/new.yaml
if [ "$(id -u)" != 0 ]; then
	kill -HUP "$daemon"
	shows true "'ermission' in s['new']['error']" "a file that cannot be read"
	chmod 644 dags/new.yaml
	kill -HUP "$daemon"
	shows null "s['new']['error']" "... and can again"
else
	skip "a file that cannot be read" "root can read all"
fi

# ---- names and files ---------------------------------------------------------------------------------

dag twin.yaml b 'echo twin >>seen'
shows true "'another file has a DAG named' in (s['twin.yaml']['error'] or '')" "a name that is taken is refused"
rm dags/b.yaml
shows true "s['b']['path'].endswith('/twin.yaml') and not s['b']['error']" "... until it is free"
mv dags/twin.yaml dags/moved.yaml
shows true "s['b']['path'].endswith('/moved.yaml') and not s['b']['error']" "a file that moves takes its DAG along"
dag moved.yaml other 'echo other >>seen'
shows "[false, true]" "['b' in s, 'other' in s]" "a DAG gets another name"
comes "0|b
1|other" "SELECT present, name FROM dag WHERE name IN ('b', 'other') ORDER BY name" "... which the store knows"
logs 'msg="DAG removed; its runs finish" dag=b' "... and the log"

# Two that come at once: the first one by its path has the name.
mkdir new
printf 'dag: two\ntasks: { a: { run: ":" } }\n' >new/y.yaml
cp new/y.yaml new/x.yaml
"$WEIR" validate new >"$T/out" 2>&1
status=$?
is "$status" 3 "validate: two files with one name"
has "$T/out" 'new/y.yaml: error: another file has a DAG named "two": new/x.yaml' "... is an error of the second"
"$WEIR" validate new/x.yaml new/y.yaml >"$T/out" 2>&1
is "$?" 3 "... also by their names"
check "a file twice is none" "$WEIR" validate new/x.yaml new/x.yaml
mv new dags/new
shows true "s['two']['path'].endswith('/x.yaml') and 'y.yaml' in s" "two new files with one name: the first one by its path"

# ---- a restart ------------------------------------------------------------------------------------

# The one that has a name keeps it, and what was broken meanwhile goes on as it was.
printf 'dag: two\ntasks: { a: { run: ":" } }\n' >dags/new/a.yaml
shows true "'a.yaml' in s" "a third one"
dag kept.yaml kept 'echo kept >>seen' '"@hourly"'
shows true "'kept' in s" "a DAG of a schedule"
weir pause kept --reason "to be quiet"
logs 'msg="asked" for=pause dag=kept by=' "who pauses is logged"
logs 'reason="to be quiet"' "... and why"
weir trigger kept --date 2026-01-01T05:00Z
logs 'msg="asked" for=trigger dag=kept run=' "... and who triggers what"
weir resume kept
logs 'msg="asked" for=resume dag=kept by=' "... and resumes"
comes success "SELECT state FROM run WHERE name LIKE 'kept@2026-01-01T05%'" "it runs"
dag never.yaml never ':'
shows true "'never' in s" "a DAG that was never run"
ends TERM
printf 'dag: kept\ntasks: [\n' >dags/kept.yaml
: >dags/never.yaml
daemon
is "$(of "s['two']['path'].endswith('/x.yaml')")" true "a restart: a name stays where it was"
is "$(of "'a value' in (s['kept']['error'] or '') and s['kept']['next'] is not None")" true \
	"a file that broke meanwhile is scheduled as it was"
weir trigger kept --date 2026-01-01T06:00Z
exits 0 "... can be triggered"
comes success "SELECT state FROM run WHERE dag = 'kept' AND name LIKE '%@2026-01-01T06%'" "... and runs"
logs "NOT scheduled until it is mended\" file=$T/dags/never.yaml" "one that has no text in the store is not"
weir trigger never
exits 3 "... nor triggered"
err_has "never.yaml cannot be loaded; weir status shows why" "... with where to look"
dag kept.yaml kept 'echo mended >>seen' '"@hourly"'
shows null "s['kept']['error']" "it is mended"
rm -r dags/new dags/kept.yaml dags/never.yaml
shows false "'kept' in s or 'two' in s" "and all go"

# ---- DAGs that go --------------------------------------------------------------------------------------

rm -f "$GO"
dag gone.yaml gone 'until [ -e $GO ]; do sleep 0.02; done; echo gone >>seen'
shows true "'gone' in s" "a DAG"
weir trigger gone --date 2026-01-01
comes running "SELECT state FROM run WHERE dag = 'gone'" "... runs"
weir run dags/gone.yaml --date 2026-01-01
exits 4 "it cannot be run by hand meanwhile"
err_has "is in the hands of process $daemon on " "... since the daemon has it"
err_has "watch it with weir show gone@2026-01-01" "... and how to watch it"
rm dags/gone.yaml
shows false "'gone' in s" "... and is removed"
weir trigger gone --date 2026-01-02
exits 5 "it is unknown then"
: >"$GO"
comes success "SELECT state FROM run WHERE dag = 'gone'" "its run finishes"
rm -f "$GO"
dag gone.yaml gone 'until [ -e $GO ]; do sleep 0.02; done; echo gone >>seen'
shows true "'gone' in s" "it is back"
weir trigger gone --date 2026-01-03
comes running "SELECT state FROM run WHERE ds = '2026-01-03'" "... runs"
rm dags/gone.yaml
ends KILL
daemon
: >"$GO"
comes success "SELECT state FROM run WHERE ds = '2026-01-03'" "a restart without the file: its run finishes, too"

# ---- weir.yaml ----------------------------------------------------------------------------------------

printf 'dag: cal\nschedule: { cron: "@daily", calendar: { exclude: feast } }\ntasks: { a: { run: ":" } }\n' >dags/cal.yaml
shows true "'feast' in (s['cal.yaml']['error'] or '')" "a calendar that is not there"
printf 'calendars: { feast: [2026-12-24] }\n' >dags/weir.yaml
shows null "s['cal']['error']" "... comes with weir.yaml"
printf 'calendars: { feast: 2026-12-24 ]\n' >dags/weir.yaml
shows true "s['cal']['error'] is not None" "a broken weir.yaml is shown"
printf 'calendars: { feast: [2026-12-24, 2026-12-25] }\n' >dags/weir.yaml
shows null "s['cal']['error']" "... until it is mended"

# ---- asked to look ------------------------------------------------------------------------------------

dag late.yaml late ':'
weir reload
exits 0 "reload"
shows true "'late' in s" "... waits until the folder is read"
kill -HUP "$daemon"
logs 'msg="reloading" signal=HUP' "HUP"

# ---- many at once ---------------------------------------------------------------------------------------

for i in $(seq 150); do dag many/m$i.yaml m$i ':' '"@hourly"'; done
shows 150 "len([n for n in s if n.startswith('m') and n[1:].isdigit()])" "150 DAGs come"
rm -r dags/many
shows 0 "len([n for n in s if n.startswith('m') and n[1:].isdigit()])" "... and go"
comes 150 "SELECT count(*) FROM dag WHERE name GLOB 'm[0-9]*' AND NOT present" "... which the store knows"

# ---- the folder itself -------------------------------------------------------------------------------

mv dags away
logs "cannot read the folder of the DAGs" "the folder is gone"
api /v1/status
json_is true "d['folder_error'] is not None" "... status says so"
is "$(of "'late' in s")" true "... and the DAGs stay"
cp -r away dags
logs "the folder of the DAGs is back" "another one comes in its place"
dag back.yaml back ':'
shows true "'back' in s" "... and is watched again"
ends TERM
is "$status" 0 "a clean end"

finish
