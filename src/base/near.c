#include "base/near.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

enum { WORD_MAX = 64 };

static int min3(int a, int b, int c)
{
	int m = a < b ? a : b;
	return m < c ? m : c;
}

static bool same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

int near_distance(const char *a, const char *b)
{
	int la = (int)strnlen(a, WORD_MAX + 1), lb = (int)strnlen(b, WORD_MAX + 1);
	int d[3][WORD_MAX + 1]; /* the last three rows of the matrix, by row number mod 3 */

	if (la > WORD_MAX || lb > WORD_MAX)
		return INT_MAX;
	for (int j = 0; j <= lb; j++)
		d[0][j] = j;
	for (int i = 1; i <= la; i++) {
		int *row = d[i % 3], *up = d[(i + 2) % 3], *up2 = d[(i + 1) % 3];
		row[0] = i;
		for (int j = 1; j <= lb; j++) {
			int cost = same(a[i - 1], b[j - 1]) ? 0 : 1;
			row[j] = min3(up[j] + 1, row[j - 1] + 1, up[j - 1] + cost);
			bool swapped = i > 1 && j > 1 && same(a[i - 1], b[j - 2]) &&
				       same(a[i - 2], b[j - 1]);
			if (swapped && up2[j - 2] + 1 < row[j])
				row[j] = up2[j - 2] + 1;
		}
	}
	return d[la % 3][lb];
}

const char *near_find(const char *word, const char *const *names, size_t n)
{
	/* A third of the word may be wrong; of a short word, one letter; but not all of it. */
	size_t len = strnlen(word, WORD_MAX);
	int best = len < 2 ? 1 : (int)(len + 2) / 3 + 1;
	const char *found = NULL;

	for (size_t i = 0; i < n; i++) {
		int distance = names[i] ? near_distance(word, names[i]) : INT_MAX;
		if (distance < best) {
			best = distance;
			found = names[i];
		}
	}
	return found;
}
