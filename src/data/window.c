#include "data/window.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum { FIRST_SIZE = 256 << 10 };

static int resize(struct window *w, size_t size, struct err *err)
{
	char *data = realloc(w->data, size + w->pad);

	if (!data)
		return err_nomem(err);
	w->data = data;
	w->size = size;
	return 0;
}

int window_refill(struct window *w, struct err *err)
{
	if (w->at == 0 && w->len == w->size) {
		if (w->size >= w->max)
			return WINDOW_FULL;
		if (resize(w, w->size * 2 < w->max ? w->size * 2 : w->max, err) < 0)
			return -1;
	}
	memmove(w->data, w->data + w->at, w->len - w->at);
	w->len -= w->at;
	w->at = 0;
	while (w->len < w->size && !w->eof) {
		ssize_t n = w->read(w->arg, w->data + w->len, w->size - w->len, err);
		if (n < 0)
			return -1;
		w->eof = n == 0;
		w->len += (size_t)n;
	}
	return 0;
}

int window_init(struct window *w, const struct window *config, struct err *err)
{
	*w = (struct window){
		.read = config->read, .arg = config->arg, .max = config->max, .pad = config->pad
	};
	if (resize(w, FIRST_SIZE < w->max ? FIRST_SIZE : w->max, err) < 0 ||
		window_refill(w, err) < 0)
		return -1;
	if (w->len >= 3 && memcmp(w->data, "\xef\xbb\xbf", 3) == 0)
		w->at = 3;
	return 0;
}

void window_release(struct window *w)
{
	free(w->data);
	*w = (struct window){ 0 };
}
