/* The operations, wherever they are to be done: by the daemon of WEIR_HOME when one runs, over its
 * socket; else on the store itself, where they wait for the next daemon.
 *
 *         struct remote r;
 *         if (remote_open(&r, args, REMOTE_WRITES, err) == 0 &&
 *                 remote_dag(&r, args_operand(args, 0), &target.dag, err) == 0)
 *                 rc = remote_call(&r, OPS_CALL_PAUSE, &target, body, &answer, err);
 *         remote_close(&r);
 */
#ifndef WEIR_CLI_REMOTE_H
#define WEIR_CLI_REMOTE_H

#include <jansson.h>
#include <stdbool.h>

#include "cli/command.h"
#include "cli/home.h"
#include "run/ops_call.h"

struct buf;
struct catalog;
struct dag;
struct err;
struct store;
struct term;

enum remote_access {
	REMOTE_READS, /* changes nothing; a WEIR_HOME that does not exist is an empty one */
	REMOTE_WRITES /* makes WEIR_HOME when it is missing */
};

struct remote {
	const struct args *args;
	enum remote_access access;
	char *home, *socket_path;
	bool daemon;           /* one listens */
	struct store *store;   /* opened when needed */
	struct catalog *dags;  /* --dags */
	struct cli_dag loaded; /* the DAG last found in a file */
	struct config *config; /* of the version of a run that was last loaded */
	struct config *here;   /* the weir.yaml nearest to this folder, when it was needed */
	char by[256];          /* "user@host" */
};

/* Also after a failure to be closed. */
int remote_open(
	struct remote *r, const struct args *args, enum remote_access access, struct err *err);
void remote_close(struct remote *r);
/* The name of the DAG a word means: the word, or, where it is the path of a DAG file, the name in
 * it. Borrowed from the word or from `r`. */
int remote_dag(struct remote *r, const char *word, const char **ret, struct err *err);
/* The DAG of that name: from its file, where the store knows it, or in --dags. A reference; NULL
 * with err. */
struct dag *remote_find_dag(struct remote *r, const char *name, struct err *err);
/* `body`: borrowed, an object; who asks is added. The answer is a new reference. */
int remote_call(struct remote *r, enum ops_call_id call, const struct ops_target *target,
	json_t *body, json_t **ret, struct err *err);

/* A body with the options --reason and --param, where given. A new reference; NULL with err. */
json_t *remote_body(const struct args *args, struct err *err);
/* Where another WEIR_HOME is the one that is most likely meant: how to ask that. One line, or
 * none. */
void remote_add_hint(const char *home, struct buf *out);
/* To be said after a change: that no daemon runs which would carry it out. */
void remote_add_note(const struct remote *r, struct buf *out);
/* Print the answer as JSON (it says whether a daemon runs), and take it. */
int remote_print_json(const struct remote *r, json_t *answer, struct err *err);
/* Print the answer and take it: as JSON where that is asked for, else in words; those about a
 * change not with --quiet. */
typedef void remote_words_fn(
	const struct remote *r, const json_t *answer, const struct term *t, struct buf *out);
int remote_print(const struct remote *r, json_t *answer, remote_words_fn *words, struct err *err);

/* Rows that the commands share. */
#define REMOTE_OPTION_DAGS                                                                       \
	{                                                                                        \
		.name = "dags", .kind = VALUE_DIR, .value = "DIR",                               \
		.help = "where no daemon runs: look for the DAG in this folder; default: where " \
			"it was last run from"                                                   \
	}
#define REMOTE_OPTION_REASON                                                          \
	{                                                                             \
		.name = "reason", .letter = 'm', .kind = VALUE_TEXT, .value = "TEXT", \
		.help = "why; kept with your name and shown to whoever looks"         \
	}

/* A command that calls one operation and prints its answer. */
struct remote_one {
	enum ops_call_id call;
	enum remote_access access;
	remote_words_fn *words;
};
/* `body`: taken; NULL: the failure is in `err`. */
int remote_one(const struct args *args, const struct remote_one *one,
	const struct ops_target *target, json_t *body, struct err *err);
/* That reads, of nothing in particular. */
int remote_show(
	const struct args *args, enum ops_call_id call, remote_words_fn *words, struct err *err);

#endif
