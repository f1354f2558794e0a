# file: src/run/alerting.c
# what: what no sender could tell is done
/^static int end_job(/,/^}/s/!json_is_true(json_object_get(j->answer, "ok"))/false/
