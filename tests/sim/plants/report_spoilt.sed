# file: src/run/result.c
# what: a spoilt report of checks stops the daemon
/^static json_t \*whole_checks/,/^}/s/if (json_is_string(json_object_get(c, "name")) &&/if (c || json_is_string(json_object_get(c, "name")) \&\&/
