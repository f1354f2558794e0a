/* The shared cases: in the folder WEIR_CASES, else ../shared/cases beside the sources (srcdir).
 * They are not part of the program: where they are absent, the tests that want them are passed
 * over and say so. */
#ifndef WEIR_TESTS_LIB_CASES_H
#define WEIR_TESTS_LIB_CASES_H

#include <stdio.h>
#include <stdlib.h>

/* The path of one of them; good for four calls. */
static inline const char *cases_path(const char *rel)
{
	static char path[4][4096];
	static unsigned turn;
	const char *given = getenv("WEIR_CASES"), *srcdir = getenv("srcdir");
	char *to = path[turn++ % 4];

	if (given)
		snprintf(to, sizeof path[0], "%s/%s", given, rel);
	else
		snprintf(to, sizeof path[0], "%s/../shared/cases/%s", srcdir ? srcdir : ".", rel);
	return to;
}

/* NULL where it is absent, which is said. */
static inline FILE *cases_open(const char *rel)
{
	const char *path = cases_path(rel);
	FILE *f = fopen(path, "re");

	if (!f)
		printf("# skipped: no shared cases at %s (set WEIR_CASES)\n", path);
	return f;
}

#endif
