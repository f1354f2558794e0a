/* An HTTP/1.1 answer (RFC 9112) as its bytes come in. */
#ifndef WEIR_HTTP_ANSWER_H
#define WEIR_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

struct err;

struct http_answer {
	int status;      /* of the last status line; interim ones (1xx) are passed over */
	size_t body_at;  /* offset of the body */
	size_t body_len; /* of a whole one */
	bool has_len;    /* by Content-Length; otherwise the body ends with the connection */
	char reason[64]; /* "Not Found" */
};

enum http_answer_state { HTTP_ANSWER_MORE, HTTP_ANSWER_WHOLE, HTTP_ANSWER_STATE_MAX };

/* Look at what has come, text[0..len), anew each time; `eof`: no more will. WHOLE with *ret filled,
 * or MORE (never with eof), or -1 with err: ERR_IO for what is no HTTP, ERR_BUSY for an answer that
 * is cut off. Chunked answers are not read: the daemon sends none to a client that has asked it to
 * close. */
int http_answer_read(
	const char *text, size_t len, bool eof, struct http_answer *ret, struct err *err);

#endif
