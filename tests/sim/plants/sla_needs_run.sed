# file: src/run/daemon_sla.c
# what: where no run was made nothing is missed
/^static int judge(/,/^}/s/if (daemon_sla_look(d, &key, &look, err) < 0)/if (daemon_sla_look(d, \&key, \&look, err) == 0 \&\& !look.exists) return 0; if (!key.dag)/
