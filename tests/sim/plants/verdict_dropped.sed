# file: src/run/settle.c
# what: an attempt that ended meanwhile is waited for
/^static int take_verdict/,/^}/{
/stop_orphan/!s/if (q->verdict == FORMER_RUNNING) {/if (q->verdict == FORMER_RUNNING || q->verdict == FORMER_ENDED) {/
}
