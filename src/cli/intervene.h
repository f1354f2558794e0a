/* What a request to a run comes to, as text. */
#ifndef WEIR_CLI_INTERVENE_H
#define WEIR_CLI_INTERVENE_H

#include <jansson.h>

#include "cli/remote.h"

/* The answer of ops_request, for remote_print. */
void intervene_words(
	const struct remote *r, const json_t *answer, const struct term *t, struct buf *out);

#endif
