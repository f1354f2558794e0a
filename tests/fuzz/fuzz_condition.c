/* Any text as a condition: an error with a place inside the text, or a condition whose verdict with
 * all known is certain, and is one that it was said to be able to come to. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "core/condition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const enum task_state finals[] = { TASK_SUCCESS, TASK_FAILED, TASK_SKIPPED,
	TASK_UPSTREAM_FAILED, TASK_CANCELLED };

/* arg: how many tasks are known, and a number that says their states. */
struct known {
	int upto;
	unsigned salt;
};

static enum task_state state_of(void *arg, int task)
{
	const struct known *k = arg;

	return task < k->upto ? finals[(k->salt + (unsigned)task * 7u) % 5] : TASK_RUNNING;
}

static unsigned may_of(void *arg, int task)
{
	(void)arg;
	(void)task;
	return ~0u;
}

static void judge(const struct condition *c)
{
	enum truth possible = condition_possible(c, may_of, NULL);

	for (unsigned salt = 0; salt < 5; salt++) {
		enum truth before = TRUTH_UNKNOWN;
		for (int upto = 0; upto <= 256; upto += 64) {
			struct known k = { upto, salt };
			enum truth now = condition_judge(c, state_of, &k);
			if (before != TRUTH_UNKNOWN && now != before)
				abort();
			before = now;
		}
		if (before == TRUTH_UNKNOWN || (before == TRUTH_YES && possible == TRUTH_NO))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct condition_fault fault = { 0 };
	char *text = malloc(size + 1);
	struct arena arena;

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	arena_init(&arena, 1 << 24);
	struct condition *c = condition_parse(&arena, text, &fault);
	if (!c && (!fault.message[0] || fault.width == 0 || fault.offset > strlen(text)))
		abort();
	for (int i = 0; c && i < c->nterms; i++)
		c->terms[i].task = (unsigned char)c->terms[i].name[0];
	if (c)
		judge(c);
	arena_release(&arena);
	free(text);
	return 0;
}
