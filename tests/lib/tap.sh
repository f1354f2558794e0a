#!/bin/sh
# Run a test program. cmocka says "not ok N # SKIP" of a skipped test; TAP says "ok N # SKIP".
exec 3>&1
status=$({ { "$@"; echo $? >&4; } | sed -u 's/^not ok \([0-9]\{1,\} .*# SKIP\)/ok \1/' >&3; } 4>&1)
exit "$status"
