/* UTF-8 (RFC 3629), one character at a time. */
#ifndef WEIR_BASE_UTF8_H
#define WEIR_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The bytes of the well-formed character at s[0..len), 1 to 4, and its code point in *ret (may be
 * NULL). 0 when len is 0 or the bytes are not UTF-8: overlong, a surrogate, above U+10FFFF, cut
 * off. */
size_t utf8_char(const char *s, size_t len, uint32_t *ret);
/* The characters of s[0..len); a byte that is not UTF-8 counts as one. */
size_t utf8_count(const char *s, size_t len);
/* Make s harmless to show on one line, in place: line breaks and tabs become spaces, other
 * control characters and bytes that are not UTF-8 become '?'. Its length stays. */
void utf8_clean(char *s, size_t len);

#endif
