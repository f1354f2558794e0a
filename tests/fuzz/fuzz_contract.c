/* Contracts: any text is a contract or gives errors; a contract checks any row. The input is the
 * contract's YAML, then, behind a zero byte, a row's values, one a line. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "conf/diag.h"
#include "data/contract.h"

enum { CELLS = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t split(const char *p, size_t len, struct cell *cells)
{
	size_t n = 0;

	while (n < CELLS && len) {
		const char *end = memchr(p, '\n', len);
		size_t k = end ? (size_t)(end - p) : len;
		cells[n++] = (struct cell){
			.type = k ? CELL_TEXT : CELL_NULL, .len = (uint32_t)k, .text = p
		};
		k += end ? 1 : 0;
		p += k;
		len -= k;
	}
	return n;
}

static bool is_ascii(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] & 0x80)
			return false;
	return true;
}

static void check_rows(const struct contract *c, const char *text, size_t len)
{
	struct cell cells[CELLS];
	struct row row = { .cells = cells, .number = 1, .raw = text, .raw_len = len };
	struct contract_violation v;
	struct contract_check *k;
	const struct cell *out;
	size_t n = contract_ncolumns(c);
	int *map = calloc(n, sizeof *map);

	row.n = split(text, len, cells);
	for (size_t i = 0; i < n; i++)
		map[i] = (int)(i % CELLS);
	if (!map || contract_check_new(&k, c, 0, NULL) < 0)
		abort();
	for (int i = 0; i < 2; i++)
		if (contract_check_row(k, &row, map, &out, &v, NULL) == 0 &&
			((unsigned)v.rule >= RULE_MAX || v.column < 0 || (size_t)v.column >= n ||
				!memchr(v.why, '\0', sizeof v.why)))
			abort();
	contract_check_free(k);
	free(map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *zero = memchr(data, 0, size);
	size_t yaml = zero ? (size_t)(zero - data) : size;
	struct contract *c;
	struct diags diags;
	char path[64];

	int fd = memfd_create("contract", MFD_CLOEXEC);
	if (fd < 0 || write(fd, data, yaml) != (ssize_t)yaml)
		abort();
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	diags_init(&diags);
	if (contract_load(&c, path, &diags) == 0) {
		size_t rest = zero ? size - yaml - 1 : 0;
		/* Rows are UTF-8 when they come here. */
		if (contract_ncolumns(c) < 200 && is_ascii(zero ? zero + 1 : data, rest))
			check_rows(c, (const char *)(zero ? zero + 1 : data), rest);
		contract_free(c);
	} else if (diags.nerrors == 0) {
		abort();
	}
	diags_release(&diags);
	close(fd);
	return 0;
}
