#!/bin/sh
# Stands for the call that tells a BI tool to reload. What it says is in the task's log.
# usage: refresh-bi.sh DATE ROWS
set -eu
echo "dashboard asked to reload $1: $2 rows of sales"
echo "idempotency key: ${WEIR_IDEMPOTENCY_KEY:-none}, try ${WEIR_TRY:-1}"
