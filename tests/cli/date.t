#!/bin/sh
# weir run --date: which data interval is run, what it is called, and what its tasks see of it.
. "${top_srcdir:-.}/tests/lib/cli.sh"

dag() { # NAME SCHEDULE: NAME.yaml, whose task prints its interval
	cat >"$1.yaml" <<-END
	dag: $1
	schedule: $2
	tasks:
	  see:
	    run: echo "\$WEIR_RUN_ID \$WEIR_DS \$WEIR_INTERVAL_START \$WEIR_INTERVAL_END"
	END
}

runs() { # WANTED NAME WEIR-ARGUMENTS...: the line the task printed
	wanted=$1 name=$2
	shift 2
	rm -rf "$WEIR_HOME"
	weir run "$@"
	is "$status $(cat "$WEIR_HOME"/logs/*/see.1.log 2>&1)" "0 $wanted" "$name"
}

refused() { # TEXT NAME WEIR-ARGUMENTS...
	text=$1 name=$2
	shift 2
	rm -rf "$WEIR_HOME"
	weir run "$@"
	exits 2 "$name"
	err_has "$text" "... and it says: $text"
	check "... and nothing was made" test ! -e "$WEIR_HOME/weir.db"
}

dag daily '{ cron: "0 0 * * *", timezone: Europe/Berlin, start: 2026-01-01 }'
dag nightly '{ cron: "30 2 * * *", timezone: Europe/Berlin, start: 2026-01-01 }'
dag hourly '{ cron: "0 * * * *", timezone: Europe/Berlin, start: 2026-01-01 }'
dag weekly '{ cron: "0 6 * * 1", timezone: America/New_York, start: 2026-01-01 }'
dag monthly '{ cron: "0 0 1 * *", start: 2026-01-01 }'
printf 'dag: manual\ntasks: { see: { run: "echo $WEIR_RUN_ID $WEIR_DS $WEIR_INTERVAL_START $WEIR_INTERVAL_END" } }\n' >manual.yaml

# ---- dates ----------------------------------------------------------------------------------

runs "daily@2026-11-19 2026-11-19 2026-11-19T00:00:00+01:00 2026-11-20T00:00:00+01:00" \
	"a date: the interval that starts on it, with the zone's offset" daily.yaml --date 2026-11-19
runs "nightly@2026-11-19 2026-11-19 2026-11-19T02:30:00+01:00 2026-11-20T02:30:00+01:00" \
	"one that starts in the night" nightly.yaml --date 2026-11-19
runs "weekly@2026-11-16 2026-11-16 2026-11-16T06:00:00-05:00 2026-11-23T06:00:00-05:00" \
	"a week, west of Greenwich" weekly.yaml --date 2026-11-16
runs "monthly@2026-02-01 2026-02-01 2026-02-01T00:00:00Z 2026-03-01T00:00:00Z" \
	"a month" monthly.yaml --date 2026-02-01
runs "manual@2024-02-29 2024-02-29 2024-02-29T00:00:00Z 2024-03-01T00:00:00Z" \
	"without a schedule: the day, in UTC; the 29th of a leap year" manual.yaml --date 2024-02-29
runs "daily@2026-11-19 2026-11-19 2026-11-19T00:00:00+01:00 2026-11-20T00:00:00+01:00" \
	"the user's own TZ plays no part" daily.yaml --date=2026-11-19
(TZ=Pacific/Auckland && export TZ && rm -rf "$WEIR_HOME" && "$WEIR" run daily.yaml -d 2026-11-19 >/dev/null)
is "$(cat "$WEIR_HOME"/logs/*/see.1.log)" \
	"daily@2026-11-19 2026-11-19 2026-11-19T00:00:00+01:00 2026-11-20T00:00:00+01:00" "nor in Auckland"

# ---- daylight saving time ----------------------------------------------------------------------

runs "daily@2026-03-29 2026-03-29 2026-03-29T00:00:00+01:00 2026-03-30T00:00:00+02:00" \
	"the day of 23 hours" daily.yaml --date 2026-03-29
runs "daily@2026-10-25 2026-10-25 2026-10-25T00:00:00+02:00 2026-10-26T00:00:00+01:00" \
	"the day of 25 hours" daily.yaml --date 2026-10-25
runs "nightly@2026-03-28 2026-03-28 2026-03-28T02:30:00+01:00 2026-03-29T03:00:00+02:00" \
	"02:30 in the hour that is left out moves behind it" nightly.yaml --date 2026-03-28
runs "nightly@2026-03-29 2026-03-29 2026-03-29T03:00:00+02:00 2026-03-30T02:30:00+02:00" \
	"and the interval after it starts there" nightly.yaml --date 2026-03-29
runs "nightly@2026-10-24 2026-10-24 2026-10-24T02:30:00+02:00 2026-10-25T02:30:00+02:00" \
	"02:30 that comes twice: the first" nightly.yaml --date 2026-10-24
runs "hourly@2026-10-25T00:00Z 2026-10-25 2026-10-25T02:00:00+02:00 2026-10-25T02:00:00+01:00" \
	"an hour that comes twice: the first, when not said otherwise" hourly.yaml --date 2026-10-25T02:10
runs "hourly@2026-10-25T01:00Z 2026-10-25 2026-10-25T02:00:00+01:00 2026-10-25T03:00:00+01:00" \
	"the second, by its offset" hourly.yaml --date 2026-10-25T02:10+01:00
refused "25 intervals start on that day" "the day of 25 hours has 25 intervals of an hour" hourly.yaml --date 2026-10-25
refused "23 intervals start on that day" "the day of 23 hours has 23" hourly.yaml --date 2026-03-29

# ---- instants ----------------------------------------------------------------------------------

runs "hourly@2026-11-19T04:00Z 2026-11-19 2026-11-19T05:00:00+01:00 2026-11-19T06:00:00+01:00" \
	"an instant, local in the schedule's zone" hourly.yaml --date 2026-11-19T05:00
runs "hourly@2026-11-19T04:00Z 2026-11-19 2026-11-19T05:00:00+01:00 2026-11-19T06:00:00+01:00" \
	"any instant of the interval" hourly.yaml --date 2026-11-19T04:59:59Z
runs "daily@2026-11-19 2026-11-19 2026-11-19T00:00:00+01:00 2026-11-20T00:00:00+01:00" \
	"an instant of a day" daily.yaml --date 2026-11-19T22:59:59Z
refused "24 intervals start on that day; name one by its time" "many on one day" hourly.yaml --date 2026-11-19

# ---- the default: the last complete interval -------------------------------------------------------

at() { # CLOCK WANTED NAME FILE
	WEIR_TEST_CLOCK=$1 runs "$2" "$3" "$4"
}
at 2026-11-20T07:00:00Z "nightly@2026-11-19 2026-11-19 2026-11-19T02:30:00+01:00 2026-11-20T02:30:00+01:00" \
	"by default the last complete interval" nightly.yaml
at 2026-11-20T01:29:59Z "nightly@2026-11-18 2026-11-18 2026-11-18T02:30:00+01:00 2026-11-19T02:30:00+01:00" \
	"a second before the end of one: the one before" nightly.yaml
at 2026-11-20T01:30:00Z "nightly@2026-11-19 2026-11-19 2026-11-19T02:30:00+01:00 2026-11-20T02:30:00+01:00" \
	"at the very end of one: that one" nightly.yaml
at 2026-11-20T07:00:00Z "hourly@2026-11-20T06:00Z 2026-11-20 2026-11-20T07:00:00+01:00 2026-11-20T08:00:00+01:00" \
	"of an hourly one" hourly.yaml
at 2026-11-20T07:00:00Z "manual@2026-11-19 2026-11-19 2026-11-19T00:00:00Z 2026-11-20T00:00:00Z" \
	"without a schedule: yesterday" manual.yaml
(WEIR_TEST_CLOCK=2025-12-31T12:00:00Z && export WEIR_TEST_CLOCK &&
	"$WEIR" run nightly.yaml >"$T/out" 2>"$T/err")
is "$?" 2 "before a schedule's start there is none"
err_has "no complete interval yet" "it says so"
err_has "--date" "and what to do"

# ---- what is no date ---------------------------------------------------------------------------------

refused "no day 30 in 2026-02" "--date 2026-02-30" daily.yaml --date 2026-02-30
refused "no day 29 in 2026-02" "--date 2026-02-29" daily.yaml --date 2026-02-29
refused "month" "--date 2026-13-01" daily.yaml --date 2026-13-01
refused "2026-11-19" "--date yesterday says what a date is like" daily.yaml --date yesterday
refused "date" "--date 19.11.2026" daily.yaml --date 19.11.2026
refused "is not a date" "an empty --date" daily.yaml --date ""
refused "2026-11-19x" "--date with something behind it" daily.yaml --date 2026-11-19x
refused "hour" "--date with an hour 25" daily.yaml --date 2026-11-19T25:00
refused "given twice" "--date twice" daily.yaml --date 2026-11-19 --date 2026-11-18
refused "needs a value" "--date at the end" daily.yaml --date

# ---- the same interval, the same run --------------------------------------------------------------------

rm -rf "$WEIR_HOME"
weir run nightly.yaml --date 2026-11-19
weir run nightly.yaml --date 2026-11-19T12:00
out_has "nothing to do" "a date and an instant of the same interval name the same run"
weir run nightly.yaml --date 2026-11-19T01:29:59Z
out_has "nightly@2026-11-18: success" "an instant before it: another"
sed -i 's/30 2/0 4/' nightly.yaml
weir run nightly.yaml --date 2026-11-19
exits 0 "a schedule that was changed: another interval of the same date is another run"
sql_is "nightly@2026-11-18
nightly@2026-11-19
nightly@2026-11-19T03:00Z_2026-11-20T03:00Z" "SELECT name FROM run ORDER BY name" "with a name of its own"
weir run nightly.yaml --date 2026-11-19
out_has "nothing to do" "which is found again"

# A failed run of an hourly DAG is taken up again by the command it shows.
sed -i 's/run: .*/run: "test -e ok"/' hourly.yaml
weir run hourly.yaml --date 2026-11-19T05:00
next=$(grep '^  weir run' "$T/out" | sed 's/ *#.*//; s/^ *weir//')
touch ok
eval "\"\$WEIR\" $next" >"$T/out" 2>"$T/err"
is "$? $(grep -c 'hourly@2026-11-19T04:00Z: success' "$T/out")" "0 1" "the next step of an hourly run names its interval:$next"
rm ok
weir run hourly.yaml --date 2026-11-19T06:00
weir show hourly
next=$(grep '^  weir run' "$T/out" | sed 's/ *#.*//; s/^ *weir//')
touch ok
eval "\"\$WEIR\" $next" >"$T/out" 2>"$T/err"
is "$? $(grep -c 'hourly@2026-11-19T05:00Z: success' "$T/out")" "0 1" "so does that of weir show:$next"

finish
