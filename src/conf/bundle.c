#include "conf/bundle.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static const char head[] = "#weir:dag ", more[] = "#weir:include ";

bool bundle_is(const char *text)
{
	return strncmp(text, head, sizeof head - 1) == 0;
}

/* "120 NAME\n" behind the word; false when it is not that, or the text is too short. */
static bool read_part(const char *line, struct bundle_part *ret)
{
	const char *end = strchr(line, '\n');
	char *rest;

	if (!end || *line < '0' || *line > '9')
		return false;
	size_t len = strtoull(line, &rest, 10);
	ret->text = end + 1;
	ret->len = len;
	ret->name = *rest == ' ' ? rest + 1 : NULL;
	ret->name_len = ret->name ? (size_t)(end - ret->name) : 0;
	return rest <= end && strnlen(end + 1, len) == len;
}

bool bundle_next(const char *text, size_t *at, struct bundle_part *ret)
{
	const char *word = *at ? more : head, *line = text + *at;

	*ret = (struct bundle_part){ 0 };
	if (*at == 0 && !bundle_is(text)) {
		ret->text = text;
		ret->len = *at = strlen(text);
		return true;
	}
	if (strncmp(line, word, strlen(word)) != 0 || !read_part(line + strlen(word), ret))
		return false;
	*at = (size_t)(ret->text - text) + ret->len;
	*at += text[*at] == '\n';
	return true;
}

bool bundle_find(const char *text, const char *name, struct bundle_part *ret)
{
	size_t at = 0, len = strlen(name);

	while (bundle_next(text, &at, ret))
		if (ret->name && ret->name_len == len && memcmp(ret->name, name, len) == 0)
			return true;
	return false;
}

void bundle_add(struct buf *out, const struct bundle_part *part)
{
	if (part->name)
		buf_addf(out, "%s%zu %.*s\n", more, part->len, (int)part->name_len, part->name);
	else
		buf_addf(out, "%s%zu\n", head, part->len);
	buf_add(out, part->text, part->len);
	buf_addc(out, '\n');
}
