# file: src/run/engine_step.c
# what: ends are acknowledged before they are committed
/^static int commit(/i\
static void ack(struct engine *e, const struct change *changes, size_t n);
/^static int commit(/,/^}/s/if (store_commit(/ack(e, changes, n);\
&/
