# file: src/run/ops_breaker.c
# what: a breaker that was set is answered by a fault of the store behind it
/^int ops_breaker_set/,/^}/s/\*ret = look_again(o, &p, before);/json_decref(before); if (ops_breakers(o, name, ret, err) < 0) return -1;/
