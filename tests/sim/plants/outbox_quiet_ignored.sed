# file: src/core/alert.c
# what: quiet hours are not kept
/^int64_t alert_due_us(/,/^}/s/a->quiet.given \&\&/false \&\&/
