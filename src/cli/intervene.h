/* What a request to a run comes to, as text. */
#ifndef WEIR_CLI_INTERVENE_H
#define WEIR_CLI_INTERVENE_H

#include <jansson.h>

#include "cli/remote.h"

/* Print the answer of ops_request, as JSON where that is asked for, and take it. */
int intervene_print(const struct remote *r, json_t *answer, struct err *err);

#endif
