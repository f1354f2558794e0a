# file: src/run/engine_step.c
# what: checks without a score are taken for ones that score nothing
/^static void feed/,/^}/s/\.has_score = json_is_number(score)/.has_score = true/
