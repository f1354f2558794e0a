/* Suggestions for misspelt words. */
#ifndef WEIR_BASE_NEAR_H
#define WEIR_BASE_NEAR_H

#include <stddef.h>

/* Edit distance with transpositions (optimal string alignment), case-insensitive.
 * Words longer than 64 bytes are as far apart as anything can be. */
int near_distance(const char *a, const char *b);
/* The name in names[0..n) (NULL entries are passed over) nearest to `word`, or NULL when
 * none is near enough to be meant. */
const char *near_find(const char *word, const char *const *names, size_t n);

#endif
