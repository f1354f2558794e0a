#include "base/digest.h"

#include <openssl/evp.h>
#include <stdlib.h>

struct digest {
	EVP_MD_CTX *ctx;
};

struct digest *digest_new(void)
{
	struct digest *d = calloc(1, sizeof *d);

	if (!d)
		return NULL;
	d->ctx = EVP_MD_CTX_new();
	if (!d->ctx || EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1) {
		digest_free(d);
		return NULL;
	}
	return d;
}

void digest_free(struct digest *d)
{
	if (!d)
		return;
	EVP_MD_CTX_free(d->ctx);
	free(d);
}

int digest_add(struct digest *d, const void *data, size_t len)
{
	return EVP_DigestUpdate(d->ctx, data, len) == 1 ? 0 : -1;
}

int digest_hex(struct digest *d, char ret[DIGEST_HEX])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned len;

	if (EVP_DigestFinal_ex(d->ctx, raw, &len) != 1)
		return -1;
	size_t n = 0;
	for (unsigned i = 0; i < len && n + 2 < DIGEST_HEX; i++) {
		ret[n++] = digits[raw[i] >> 4];
		ret[n++] = digits[raw[i] & 15];
	}
	ret[n] = '\0';
	return 0;
}

int digest_of(const void *data, size_t len, char ret[DIGEST_HEX])
{
	struct digest *d = digest_new();
	int rc = d && digest_add(d, data, len) == 0 ? digest_hex(d, ret) : -1;

	digest_free(d);
	return rc;
}
