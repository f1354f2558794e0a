/* SHA-256 (FIPS 180-4, by libcrypto) as lower-case hex. */
#ifndef WEIR_BASE_DIGEST_H
#define WEIR_BASE_DIGEST_H

#include <stddef.h>

#define DIGEST_HEX 65 /* 64 hex digits and a NUL */

struct digest; /* of data that comes in pieces */

struct digest *digest_new(void); /* NULL: out of memory */
void digest_free(struct digest *d);
/* 0, or -1 when the library failed or is out of memory. */
int digest_add(struct digest *d, const void *data, size_t len);
int digest_hex(struct digest *d, char ret[DIGEST_HEX]); /* ends it */
/* All at once. */
int digest_of(const void *data, size_t len, char ret[DIGEST_HEX]);

#endif
