/* Any bytes as a stream of frames. What decodes is encoded and decoded again, to the same. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "exec/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t count(const char *const *list)
{
	size_t n = 0;

	for (; list && list[n]; n++)
		assert(strlen(list[n]) < FRAME_MAX);
	return n;
}

static void check_start(const struct frame *f)
{
	struct frame_start s = { 0 }, again = { 0 };
	struct frame g;
	struct buf b;

	if (frame_get_start(f, &s, NULL) == 0) {
		buf_init(&b, 2 * FRAME_MAX);
		if (frame_put_start(&b, &s.job, s.now_us, NULL) == 0) {
			assert(frame_next(b.data, b.len, &g, NULL) == 1 && g.size == b.len);
			assert(frame_get_start(&g, &again, NULL) == 0);
			assert(again.job.token == s.job.token);
			assert(count(again.job.argv) == count(s.job.argv));
			assert(count(again.job.env) == count(s.job.env));
			assert(count(again.job.secrets) == count(s.job.secrets));
			assert(strcmp(again.job.cwd, s.job.cwd) == 0);
			assert(memcmp(&again.job.limits, &s.job.limits, sizeof s.job.limits) == 0);
		}
		buf_release(&b);
	}
	frame_start_release(&s);
	frame_start_release(&again);
}

static void check_end(const struct frame *f)
{
	struct exec_end end;
	struct buf b;

	if (frame_get_end(f, &end, NULL) < 0)
		return;
	buf_init(&b, FRAME_MAX);
	assert(frame_put_end(&b, &end, NULL) == 0);
	/* A later version may have more behind it. */
	assert(b.len <= f->size && memcmp(b.data + FRAME_HEAD, f->body, b.len - FRAME_HEAD) == 0);
	buf_release(&b);
}

static void check_claims(const struct frame *f)
{
	static struct exec_claim claims[FRAME_TOKENS_MAX], again;
	struct frame_list list;
	struct frame g;
	struct buf b;
	size_t n = 0;
	int rc;

	if (frame_get_list(f, &list, NULL) < 0)
		return;
	while ((rc = frame_next_claimed(&list, &claims[n], NULL)) > 0)
		n++;
	if (rc < 0)
		return;
	buf_init(&b, FRAME_MAX);
	assert(frame_put_claimed(&b, list.serial, claims, n, NULL) == 0);
	assert(frame_next(b.data, b.len, &g, NULL) == 1 && g.size == b.len);
	assert(frame_get_list(&g, &list, NULL) == 0 && list.n == n);
	for (size_t i = 0; i < n; i++) {
		assert(frame_next_claimed(&list, &again, NULL) == 1);
		assert(again.token == claims[i].token && again.answer == claims[i].answer);
		assert(strcmp(again.end.error, claims[i].end.error) == 0);
	}
	buf_release(&b);
}

static void check_tokens(const struct frame *f)
{
	struct exec_claim claim;
	struct frame_list list;
	int64_t token;
	uint32_t n = 0;

	if (frame_get_list(f, &list, NULL) < 0)
		return;
	uint32_t all = list.n;
	assert(all <= FRAME_TOKENS_MAX);
	if (f->type == FRAME_ACK)
		while (frame_next_ack(&list, &token, NULL) > 0)
			n++;
	else
		while (frame_next_claim(&list, &claim, NULL) > 0)
			n++;
	assert(n == all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	struct frame f;

	while (frame_next(p, size, &f, NULL) == 1) {
		struct frame_hello hello;
		struct frame_stop stop;
		assert(f.size >= FRAME_HEAD && f.size <= size);
		if (f.type == FRAME_START || f.type == FRAME_PREPARE)
			check_start(&f);
		if (f.type == FRAME_END)
			check_end(&f);
		if (f.type == FRAME_HELLO && frame_get_hello(&f, &hello, NULL) == 0)
			assert(strlen(hello.msg) < f.size);
		if (f.type == FRAME_STOP)
			frame_get_stop(&f, &stop, NULL);
		if (f.type == FRAME_CLAIMED)
			check_claims(&f);
		if (f.type == FRAME_CLAIM || f.type == FRAME_ACK)
			check_tokens(&f);
		p += f.size;
		size -= f.size;
	}
	return 0;
}
