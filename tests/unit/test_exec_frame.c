/* Frames: round trips, every truncation, every flipped byte. */
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "exec/frame.h"

static const char *const argv[] = { "prog", "", "an arg", NULL };
static const char *const env[] = { "A=1", "B=", NULL };
static const char *const secrets[] = { "hunter2", NULL };

static struct exec_job command(void)
{
	return (struct exec_job){
		.token = 7,
		.argv = argv,
		.env = env,
		.cwd = "/folder",
		.log_path = "/logs/7",
		.secrets = secrets,
		.timeout_us = 10,
		.grace_us = 20,
		.limits = { .memory_bytes = 1LL << 40, .cpu_permille = 2, .pids = 3, .files = 4 },
	};
}

static void assert_strs_equal(const char *const *a, const char *const *b)
{
	for (; *a && *b; a++, b++)
		assert_string_equal(*a, *b);
	assert_true(!*a && !*b);
}

static struct frame only_frame(const struct buf *b)
{
	struct frame f;

	assert_int_equal(frame_next(b->data, b->len, &f, NULL), 1);
	assert_int_equal(f.size, b->len);
	return f;
}

static void test_start(void **state)
{
	(void)state;
	struct frame_start s = { 0 };
	struct exec_job job = command();
	struct buf b;

	buf_init(&b, BUF_MAX_TEXT);
	assert_int_equal(frame_put_start(&b, &job, 99, NULL), 0);
	struct frame f = only_frame(&b);
	assert_int_equal(f.type, FRAME_START);
	assert_int_equal(frame_get_start(&f, &s, NULL), 0);
	assert_int_equal(s.job.token, 7);
	assert_int_equal(s.job.timeout_us, 10);
	assert_int_equal(s.job.grace_us, 20);
	assert_int_equal(s.now_us, 99);
	assert_memory_equal(&s.job.limits, &job.limits, sizeof job.limits);
	assert_string_equal(s.job.cwd, "/folder");
	assert_string_equal(s.job.log_path, "/logs/7");
	assert_null(s.job.payload);
	assert_strs_equal(s.job.argv, argv);
	assert_strs_equal(s.job.env, env);
	assert_strs_equal(s.job.secrets, secrets);

	buf_clear(&b);
	job = (struct exec_job){ .token = INT64_MIN,
		.payload = "a\0b",
		.payload_len = 3,
		.cwd = "/",
		.log_path = "/l" };
	assert_int_equal(frame_put_start(&b, &job, 0, NULL), 0);
	f = only_frame(&b);
	assert_int_equal(frame_get_start(&f, &s, NULL), 0);
	assert_true(s.job.token == INT64_MIN);
	assert_null(s.job.argv);
	assert_null(s.job.secrets);
	assert_null(s.job.env[0]);
	assert_true(s.job.limits.memory_bytes == 0 && s.job.limits.files == 0);
	assert_int_equal(s.job.payload_len, 3);
	assert_memory_equal(s.job.payload, "a\0b", 4);
	b.data[FRAME_HEAD + 4 * 8 + 4 * 4 + 3] = 'x'; /* the NUL behind it */
	assert_int_equal(frame_get_start(&f, &s, NULL), -1);
	b.data[FRAME_HEAD + 4 * 8 + 4 * 4 + 3] = '\0';
	assert_int_equal(frame_get_start(&f, &s, NULL), 0);
	b.data[b.len - 1] = (char)0x80; /* a limit below zero */
	assert_int_equal(frame_get_start(&f, &s, NULL), -1);
	frame_start_release(&s);
	buf_release(&b);
}

static void test_end_stop_hello(void **state)
{
	(void)state;
	struct exec_end end = { .token = -3, .outcome = OUTCOME_LOST, .exit_status = -1 }, got_end;
	struct frame_stop stop = { 5, EXEC_STOP_HARD }, got_stop;
	struct frame_hello hello = { 12, ERR_IO, "why" }, got_hello;
	struct buf b;

	memset(end.error, 'e', sizeof end.error - 1);
	end.signal = 9;
	end.started_us = 1;
	end.ended_us = INT64_MAX;
	end.max_rss_bytes = 2;
	end.cpu_us = 3;
	buf_init(&b, BUF_MAX_TEXT);
	assert_int_equal(frame_put_end(&b, &end, NULL), 0);
	struct frame f = only_frame(&b);
	assert_int_equal(frame_get_end(&f, &got_end, NULL), 0);
	assert_true(got_end.token == -3 && got_end.outcome == OUTCOME_LOST);
	assert_true(got_end.exit_status == -1 && got_end.signal == 9);
	assert_true(got_end.started_us == 1 && got_end.ended_us == INT64_MAX);
	assert_true(got_end.max_rss_bytes == 2 && got_end.cpu_us == 3);
	assert_string_equal(got_end.error, end.error);
	end.error[0] = '\0';
	buf_clear(&b);
	assert_int_equal(frame_put_end(&b, &end, NULL), 0);
	assert_int_equal(b.len, FRAME_END_MIN);
	buf_clear(&b);
	assert_int_equal(frame_put_stop(&b, &stop, NULL), 0);
	f = only_frame(&b);
	assert_int_equal(frame_get_stop(&f, &got_stop, NULL), 0);
	assert_true(got_stop.token == 5 && got_stop.how == EXEC_STOP_HARD);
	buf_clear(&b);
	assert_int_equal(frame_put_hello(&b, &hello, NULL), 0);
	f = only_frame(&b);
	assert_int_equal(frame_get_hello(&f, &got_hello, NULL), 0);
	assert_true(got_hello.pid == 12 && got_hello.error == ERR_IO);
	assert_string_equal(got_hello.msg, "why");
	buf_clear(&b);
	assert_int_equal(frame_put_bye(&b, NULL), 0);
	f = only_frame(&b);
	assert_int_equal(f.type, FRAME_BYE);
	buf_release(&b);
}

/* A PREPARE is a START under another name; GO and DROP name their attempt. */
static void test_prepare_go_drop(void **state)
{
	(void)state;
	const struct frame_go go = { .token = -9, .now_us = INT64_MAX };
	struct exec_job job = command();
	struct frame_start s = { 0 };
	struct frame_go got;
	int64_t token;
	struct buf b;

	buf_init(&b, BUF_MAX_TEXT);
	assert_int_equal(frame_put_prepare(&b, &job, NULL), 0);
	struct frame f = only_frame(&b);
	assert_int_equal(f.type, FRAME_PREPARE);
	assert_int_equal(frame_get_start(&f, &s, NULL), 0);
	assert_int_equal(s.job.token, 7);
	assert_int_equal(s.now_us, 0);
	assert_strs_equal(s.job.env, env);
	frame_start_release(&s);
	buf_clear(&b);
	assert_int_equal(frame_put_go(&b, &go, NULL), 0);
	f = only_frame(&b);
	assert_int_equal(f.type, FRAME_GO);
	assert_int_equal(frame_get_go(&f, &got, NULL), 0);
	assert_true(got.token == -9 && got.now_us == INT64_MAX);
	assert_int_equal(frame_get_drop(&f, &token, NULL), -1); /* longer than a DROP */
	buf_clear(&b);
	assert_int_equal(frame_put_drop(&b, 12, NULL), 0);
	f = only_frame(&b);
	assert_int_equal(f.type, FRAME_DROP);
	assert_int_equal(frame_get_drop(&f, &token, NULL), 0);
	assert_int_equal(token, 12);
	assert_int_equal(frame_get_go(&f, &got, NULL), -1);
	buf_release(&b);
}

static void decode(const struct frame *f)
{
	struct frame_go go;
	int64_t token;
	struct frame_start s = { 0 };
	struct exec_end end;
	struct frame_stop stop;
	struct frame_hello hello;

	if (f->type == FRAME_START || f->type == FRAME_PREPARE)
		frame_get_start(f, &s, NULL);
	frame_get_end(f, &end, NULL);
	frame_get_stop(f, &stop, NULL);
	frame_get_hello(f, &hello, NULL);
	frame_get_go(f, &go, NULL);
	frame_get_drop(f, &token, NULL);
	frame_start_release(&s);
}

static void test_truncated(void **state)
{
	(void)state;
	struct exec_job job = command();
	struct frame_start s = { 0 };
	struct frame f;
	struct buf b;

	buf_init(&b, BUF_MAX_TEXT);
	assert_int_equal(frame_put_start(&b, &job, 0, NULL), 0);
	for (size_t len = 0; len < b.len; len++)
		assert_int_equal(frame_next(b.data, len, &f, NULL), 0);
	/* The head says less than there is: never more is read than it says. */
	for (uint32_t body = 0; body < b.len - FRAME_HEAD; body++) {
		char *copy = malloc(FRAME_HEAD + body);
		memcpy(copy, b.data, FRAME_HEAD + body);
		memcpy(copy, &body, sizeof body);
		assert_int_equal(frame_next(copy, FRAME_HEAD + body, &f, NULL), 1);
		assert_int_equal(frame_get_start(&f, &s, NULL), -1);
		decode(&f);
		free(copy);
	}
	frame_start_release(&s);
	buf_release(&b);
}

static void test_flipped(void **state)
{
	(void)state;
	struct exec_job job = command();
	struct frame f;
	struct buf b;

	buf_init(&b, BUF_MAX_TEXT);
	assert_int_equal(frame_put_start(&b, &job, 0, NULL), 0);
	for (size_t at = 0; at < b.len; at++)
		for (int bit = 0; bit < 8; bit++) {
			b.data[at] ^= (char)(1 << bit);
			if (frame_next(b.data, b.len, &f, NULL) == 1)
				decode(&f);
			b.data[at] ^= (char)(1 << bit);
		}
	buf_release(&b);
}

static void test_refused(void **state)
{
	(void)state;
	static const struct {
		unsigned char head[FRAME_HEAD];
		enum err_code code;
	} cases[] = {
		{ { 0, 0, 0, 0, 3, 0, FRAME_START, 0 }, ERR_REFUSED }, /* a later version */
		{ { 0, 0, 0, 0, 3, 0, FRAME_PREPARE, 0 }, ERR_REFUSED },
		{ { 0, 0, 0, 0, 3, 0, FRAME_GO, 0 }, ERR_REFUSED },
		{ { 0, 0, 0, 0, 3, 0, FRAME_DROP, 0 }, ERR_REFUSED },
		{ { 0, 0, 0, 0, 3, 0, FRAME_BYE, 0 }, ERR_REFUSED },
		{ { 0, 0, 0, 0, 3, 0, FRAME_TYPE_MAX, 0 }, ERR_REFUSED },
		{ { 0, 0, 0, 0, 1, 0, FRAME_HELLO, 0 }, ERR_REFUSED }, /* before the freeze */
		{ { 0, 0, 0, 0, 0, 0, FRAME_START, 0 }, ERR_REFUSED },
		{ { 0, 0, 0, 0, 2, 0, FRAME_TYPE_MAX, 0 }, ERR_DATA }, /* no such type */
		{ { 0, 0, 0, 1, 2, 0, 1, 0 }, ERR_DATA },              /* too large */
		{ { 255, 255, 255, 255, 2, 0, 1, 0 }, ERR_DATA },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct frame f;
		struct err err;
		assert_int_equal(frame_next((const char *)cases[i].head, FRAME_HEAD, &f, &err), -1);
		assert_int_equal(err.code, cases[i].code);
	}
}

/* What is frozen, byte by byte: a supervisor of this version says and understands it for ever. */
static void test_frozen(void **state)
{
	(void)state;
	static const unsigned char golden[] = {
		13, 0, 0, 0, 2, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* hello */
		12, 0, 0, 0, 2, 0, 2, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,     /* stop */
		54, 0, 0, 0, 2, 0, 4, 0,                                         /* end */
		7, 0, 0, 0, 0, 0, 0, 0, OUTCOME_FAILED, 0, 0, 0, 255, 255, 255, 255, 9, 0, 0, 0, 1,
		0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0,
		0, 0, 0, 'w', 0,                                                /* */
		24, 0, 0, 0, 2, 0, 8, 0, 5, 0, 0, 0, 1, 0, 0, 0,                /* claim */
		7, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0,                 /* */
		94, 0, 0, 0, 2, 0, 9, 0, 5, 0, 0, 0, 2, 0, 0, 0,                /* claimed */
		7, 0, 0, 0, 0, 0, 0, 0, EXEC_CLAIM_FENCED, 0, 0, 0, 0, 0, 0, 0, /* */
		7, 0, 0, 0, 0, 0, 0, 0, EXEC_CLAIM_ENDED, 0, 0, 0, 54, 0, 0, 0, /* */
		7, 0, 0, 0, 0, 0, 0, 0, OUTCOME_FAILED, 0, 0, 0, 255, 255, 255, 255, 9, 0, 0, 0, 1,
		0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0,
		0, 0, 0, 'w', 0,                                              /* */
		12, 0, 0, 0, 2, 0, 10, 0, 1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, /* ack */
	};
	const struct exec_end end = { .token = 7,
		.outcome = OUTCOME_FAILED,
		.exit_status = -1,
		.signal = 9,
		.started_us = 1,
		.ended_us = 2,
		.max_rss_bytes = 3,
		.cpu_us = 4,
		.error = "w" };
	const struct exec_claim claims[] = {
		{ .token = 7, .epoch = 6, .answer = EXEC_CLAIM_FENCED },
		{ .token = 7, .answer = EXEC_CLAIM_ENDED, .end = end }
	};
	const int64_t token = 7;
	struct buf b;

	static_assert(EXEC_CLAIM_RUNNING == 0 && EXEC_CLAIM_ENDED == 1 && EXEC_CLAIM_UNKNOWN == 2 &&
			      EXEC_CLAIM_FENCED == 3,
		"as they are sent");
	buf_init(&b, 4096);
	assert_int_equal(frame_put_hello(&b, &(struct frame_hello){ 77, 0, "" }, NULL), 0);
	assert_int_equal(frame_put_stop(&b, &(struct frame_stop){ 7, EXEC_STOP_HARD }, NULL), 0);
	assert_int_equal(frame_put_end(&b, &end, NULL), 0);
	assert_int_equal(frame_put_claim(&b, 5, claims, 1, NULL), 0);
	assert_int_equal(frame_put_claimed(&b, 5, claims, 2, NULL), 0);
	assert_int_equal(frame_put_ack(&b, &token, 1, NULL), 0);
	assert_int_equal(b.len, sizeof golden);
	assert_memory_equal(b.data, golden, sizeof golden);
	assert_int_equal(frame_put_ack(&b, &token, FRAME_TOKENS_MAX + 1, NULL), -1);
	assert_int_equal(b.len, sizeof golden);
	buf_release(&b);
}

/* A refusal leaves the buffer as it was, and usable. */
static void test_no_room(void **state)
{
	(void)state;
	struct exec_job job = command();
	struct frame_stop stop = { 1, 0 };
	struct err err;
	struct buf b;

	buf_init(&b, 64);
	assert_int_equal(frame_put_stop(&b, &stop, NULL), 0);
	size_t len = b.len;
	assert_int_equal(frame_put_start(&b, &job, 0, &err), -1);
	assert_int_equal(err.code, ERR_NOMEM);
	assert_int_equal(b.len, len);
	assert_int_equal(frame_put_bye(&b, NULL), 0);
	buf_release(&b);
}

/* The seed of the fuzzer says all that a driver says, in this version. */
static void test_seed(void **state)
{
	(void)state;
	const char *top = getenv("top_srcdir");
	unsigned seen = 0;
	char path[4096];
	struct frame_start s = { 0 };
	struct frame f;
	struct buf b;

	snprintf(path, sizeof path, "%s/tests/fuzz/corpus/frame/driver", top ? top : ".");
	buf_init(&b, BUF_MAX_TEXT);
	assert_int_equal(io_read_file(path, &b, NULL), 0);
	for (size_t at = 0; at < b.len; at += f.size) {
		assert_int_equal(frame_next(b.data + at, b.len - at, &f, NULL), 1);
		seen |= 1u << f.type;
		if (f.type != FRAME_START && f.type != FRAME_PREPARE)
			continue;
		assert_int_equal(frame_get_start(&f, &s, NULL), 0);
		assert_true(s.job.limits.memory_bytes && s.job.limits.files);
	}
	assert_int_equal(seen, 1u << FRAME_START | 1u << FRAME_PREPARE | 1u << FRAME_GO |
				       1u << FRAME_DROP | 1u << FRAME_STOP | 1u << FRAME_ACK |
				       1u << FRAME_BYE);
	frame_start_release(&s);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_end_stop_hello),
		cmocka_unit_test(test_prepare_go_drop),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_frozen),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_seed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
