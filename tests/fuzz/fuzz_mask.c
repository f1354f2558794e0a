/* The first line are the values, separated by a comma; the rest is output, masked whole and in
 * pieces: both must be the same, and hold no value. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "exec/mask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(struct mask *m, const char *p, size_t len, size_t step, struct buf *out)
{
	buf_init(out, 64u << 20);
	for (size_t n; len; p += n, len -= n) {
		n = step < len ? step : len;
		assert(mask_feed(m, p, n, out) == 0);
	}
	assert(mask_end(m, out) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *secrets[9];
	size_t n = 0;
	char *text = malloc(size + 1), *save = NULL;

	memcpy(text, data, size);
	text[size] = '\0';
	char *nl = strchr(text, '\n');
	if (nl) {
		*nl = '\0';
		for (char *v = strtok_r(text, ",", &save); v && n < 8;
			v = strtok_r(NULL, ",", &save))
			secrets[n++] = v;
		secrets[n] = NULL;
		const char *rest = nl + 1;
		size_t len = size - (size_t)(rest - text);
		struct buf whole, pieces;
		struct mask *m = mask_new(secrets);
		run(m, rest, len, len, &whole);
		run(m, rest, len, 1 + size % 7, &pieces);
		assert(whole.len == pieces.len && memcmp(whole.data, pieces.data, whole.len) == 0);
		mask_free(m);
		buf_release(&whole);
		buf_release(&pieces);
	}
	free(text);
	return 0;
}
