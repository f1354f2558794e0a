# file: src/core/sched_attempt.c
# what: a retry's timer is not armed
/REASON_RETRY_WAIT, now_us);/{
n
s/sched_arm(s, at);/(void)at;/
}
