#include "base/utf8.h"

#include <stdbool.h>

/* The bytes that a character led by `lead` takes; 0: none begins so. */
static size_t length_of(unsigned char lead)
{
	if (lead < 0x80)
		return 1;
	if (lead >= 0xc2 && lead < 0xe0)
		return 2;
	if (lead >= 0xe0 && lead < 0xf0)
		return 3;
	return lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
}

size_t utf8_char(const char *s, size_t len, uint32_t *ret)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *u = (const unsigned char *)s;
	size_t n = len ? length_of(u[0]) : 0;

	if (n == 0 || n > len)
		return 0;
	uint32_t c = n == 1 ? u[0] : u[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (u[i] & 0x3f);
	}
	if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	if (ret)
		*ret = c;
	return n;
}

size_t utf8_count(const char *s, size_t len)
{
	size_t count = 0;

	for (size_t i = 0; i < len; count++) {
		size_t n = utf8_char(s + i, len - i, NULL);
		i += n ? n : 1;
	}
	return count;
}

void utf8_clean(char *s, size_t len)
{
	for (size_t i = 0; i < len;) {
		uint32_t c = 0;
		size_t n = utf8_char(s + i, len - i, &c);
		if (c == '\n' || c == '\r' || c == '\t')
			s[i] = ' ';
		else if (n == 0 || c < 0x20 || c == 0x7f)
			s[i] = '?';
		else if (c >= 0x80 && c < 0xa0)
			s[i] = s[i + 1] = '?';
		i += n ? n : 1;
	}
}
