# file: src/run/daemon_sla.c
# what: deadlines that passed while no daemon ran are not judged
/^static int load_marks/,/^}/s/s->has_mark = true;/s->has_mark = false;/
