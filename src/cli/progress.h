/* Showing a run while it runs: on a terminal, in a pipe, as JSON lines. */
#ifndef WEIR_CLI_PROGRESS_H
#define WEIR_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdio.h>

#include "run/observer.h"

struct args;

enum progress_mode {
	PROGRESS_TTY,   /* a line per task or group, redrawn in place; the last list stays */
	PROGRESS_PLAIN, /* a line per event */
	PROGRESS_QUIET, /* failures, and nothing else when all is well */
	PROGRESS_JSON,  /* an object per line and event; the last is run_finished */
	PROGRESS_MODE_MAX
};

/* --json, --quiet, else by what `out` is: a terminal (TERM=dumb is none), or not. */
enum progress_mode progress_mode_for(const struct args *args, FILE *out);
/* `expand`: on a terminal, a line for each task of a group, too. NULL: out of memory. Its `free`
 * shows the cursor again; so does exit(3). `out` is borrowed. Once writing failed, nothing more is
 * written: the run goes on. */
struct observer *progress_new(enum progress_mode mode, FILE *out, bool colour, bool expand);

#endif
