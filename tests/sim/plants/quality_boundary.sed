# file: src/core/sched_breaker.c
# what: checks that score just enough open their breaker
/^static void judge_quality/,/^}/s/e->score < def->score_below/e->score <= def->score_below/
