# file: src/run/ops_request.c
# what: what was done is answered by a fault of the store behind it
/^static int answer(/,/^}/s/const struct request_plan \*p = &a->plan;/&\
	bool paused;\
	if (ops_is_paused(a->ops->store, run->dag, \&paused, err) < 0)\
		return -1;/
