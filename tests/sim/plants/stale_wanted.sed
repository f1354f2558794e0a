# file: src/store/backend.c
# what: a run is opened again that another has brought to its end
s/if (open->if_wanted \&\& !p->wanted \&\& !p->running)/if (!p)/
