/* What an executor provides, and where executors come from.
 *
 * The functions of exec/exec.h call the executor through its table. `struct exec` is the first
 * member of each executor's own struct.
 *
 * A provider is what the engine knows of executors: it makes the one that starts attempts, and
 * finds those that former drivers have left, alive or dead. exec_local_provider is the real one;
 * the simulation has its own, in which supervisors are objects and messages are lost, late or
 * repeated as its seed says.
 */
#ifndef WEIR_EXEC_EXECUTOR_H
#define WEIR_EXEC_EXECUTOR_H

#include "exec/exec.h"

struct exec {
	const struct exec_ops *ops;
};

/* As in exec/exec.h, where each is described. */
struct exec_ops {
	int (*prepare)(struct exec *x, const struct exec_job *job, struct err *err);
	int (*go)(struct exec *x, int64_t token, struct err *err);
	int (*drop)(struct exec *x, int64_t token, struct err *err);
	int (*start)(struct exec *x, const struct exec_job *job, struct err *err);
	int (*stop)(struct exec *x, int64_t token, unsigned how, struct err *err);
	int (*ack)(struct exec *x, const int64_t *tokens, size_t n, struct err *err);
	int (*flush)(struct exec *x, struct err *err);
	int (*read)(struct exec *x, struct exec_end *ret, size_t max, struct err *err);
	int (*claim)(struct exec *x, struct exec_claim *claims, size_t n, struct err *err);
	int (*fd)(const struct exec *x); /* -1: none, it is asked by other means (tests) */
	void (*release)(struct exec *x, bool abandon); /* exec_free and exec_abandon */
};

/* What a former driver left. */
struct exec_former {
	struct exec *live;           /* attached; NULL: its supervisor is dead */
	struct exec_journal journal; /* what the dead one knew; empty for a live one */
};

struct exec_provider {
	void *arg;
	/* Make the executor that starts attempts: called at the beginning, and again when it died.
	 */
	int (*begin)(void *arg, struct exec **ret, struct err *err);
	/* Names of all that former drivers and dead supervisors left, without the one that begin
	 * made last: NULL-ended, names and list owned by the caller (free). */
	int (*list)(void *arg, char ***ret, struct err *err);
	/* Whether its supervisor lives, as far as can be seen without asking it. */
	bool (*lives)(void *arg, const char *name);
	/* Attach to a live one, or read what a dead one left. ERR_NOT_FOUND: nothing is there any
	 * more. ERR_REFUSED, ERR_TIMEOUT: it lives and cannot be talked to now. */
	int (*open)(void *arg, const char *name, struct exec_former *ret, struct err *err);
	/* After a supervisor's death: make sure that nothing of this attempt of it runs on.
	 * ERR_BUSY: something does not die. */
	int (*reap)(void *arg, const struct exec_journal_entry *entry, struct err *err);
	/* All that the dead one knew is recorded: forget it. */
	void (*remove)(void *arg, const char *name);
};

/* Journals live in one folder; `file` is the file name of the own ones: a number is put behind it
 * for each supervisor that is begun. */
struct exec_local_provider {
	char *dir, *file, *home; /* home: the WEIR_HOME of its attempts, for exec_reap_stray */
	char *own;               /* path of the journal that begin made last; NULL: none yet */
	int begun;
	exec_operator_fn *run_operator;
};
struct exec_local_provider_config {
	const char *home, *dir, *file;
	exec_operator_fn *run_operator;
};
int exec_local_provider_init(struct exec_local_provider *p,
	const struct exec_local_provider_config *config, struct exec_provider *ret,
	struct err *err);
void exec_local_provider_release(struct exec_local_provider *p);

#endif
