#include "exec/frame.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

#define NO_ARGV UINT32_MAX
#define LIMITS_SIZE (4 * 8)

static const char *const type_names[] = {
	[FRAME_HELLO] = "hello",
	[FRAME_START] = "start",
	[FRAME_STOP] = "stop",
	[FRAME_BYE] = "bye",
	[FRAME_END] = "end",
	[FRAME_PREPARE] = "prepare",
	[FRAME_GO] = "go",
	[FRAME_DROP] = "drop",
	[FRAME_CLAIM] = "claim",
	[FRAME_CLAIMED] = "claimed",
	[FRAME_ACK] = "ack",
};
static_assert(sizeof type_names / sizeof type_names[0] == FRAME_TYPE_MAX, "a name per type");

/* What a supervisor and a driver of different versions say to each other; see frame.h. */
static const bool frozen[FRAME_TYPE_MAX] = {
	[FRAME_HELLO] = true,
	[FRAME_STOP] = true,
	[FRAME_END] = true,
	[FRAME_CLAIM] = true,
	[FRAME_CLAIMED] = true,
	[FRAME_ACK] = true,
};

const char *frame_type_name(enum frame_type type)
{
	return (unsigned)type < FRAME_TYPE_MAX ? type_names[type] : "unknown";
}

/* ---- writing: the buffer has been given its room, nothing fails any more ---- */

static void put_u16(struct buf *b, uint16_t v)
{
	v = htole16(v);
	buf_add(b, &v, sizeof v);
}

static void put_u32(struct buf *b, uint32_t v)
{
	v = htole32(v);
	buf_add(b, &v, sizeof v);
}

static void put_i64(struct buf *b, int64_t v)
{
	uint64_t u = htole64((uint64_t)v);

	buf_add(b, &u, sizeof u);
}

static void put_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s) + 1);
}

static void put_strs(struct buf *b, const char *const *list)
{
	for (size_t i = 0; list && list[i]; i++)
		put_str(b, list[i]);
}

static void put_limits(struct buf *b, const struct exec_limits *l)
{
	put_i64(b, l->memory_bytes);
	put_i64(b, l->cpu_permille);
	put_i64(b, l->pids);
	put_i64(b, l->files);
}

/* The head, and room for the body. */
static int put_head(struct buf *b, enum frame_type type, size_t body, struct err *err)
{
	if (body > FRAME_MAX - FRAME_HEAD)
		return err_set(err, ERR_INVALID,
			"a %s message of %zu bytes is too large: at most %u", frame_type_name(type),
			body, FRAME_MAX - FRAME_HEAD);
	bool had_failed = b->failed;
	if (buf_reserve(b, FRAME_HEAD + body) < 0) {
		b->failed = had_failed;
		return err_set(err, ERR_NOMEM, "no memory for a %s message of %zu bytes",
			frame_type_name(type), body);
	}
	put_u32(b, (uint32_t)body);
	put_u16(b, FRAME_VERSION);
	put_u16(b, (uint16_t)type);
	return 0;
}

int frame_put_hello(struct buf *out, const struct frame_hello *hello, struct err *err)
{
	if (put_head(out, FRAME_HELLO, 12 + strlen(hello->msg) + 1, err) < 0)
		return -1;
	put_i64(out, hello->pid);
	put_u32(out, (uint32_t)hello->error);
	put_str(out, hello->msg);
	return 0;
}

static size_t strs_size(const char *const *list, uint32_t *ret_n)
{
	size_t size = 0, n = 0;

	for (; list && list[n]; n++)
		size += strlen(list[n]) + 1;
	*ret_n = n < NO_ARGV ? (uint32_t)n : NO_ARGV - 1;
	return size;
}

static int check_job(const struct exec_job *job, struct err *err)
{
	if (job->argv ? !job->argv[0] : !job->payload)
		return err_set(
			err, ERR_INVALID, "attempt %lld: nothing to run", (long long)job->token);
	if (!job->cwd || job->cwd[0] != '/' || !job->log_path || job->log_path[0] != '/')
		return err_set(err, ERR_INVALID,
			"attempt %lld: its folder and its log must be absolute paths",
			(long long)job->token);
	return 0;
}

static int put_job(struct buf *out, enum frame_type type, const struct exec_job *job,
	int64_t now_us, struct err *err)
{
	uint32_t n_argv, n_env, n_secrets;
	size_t payload = job->argv ? 0 : job->payload_len;

	if (check_job(job, err) < 0)
		return -1;
	size_t size = 5 * 8 + 4 * 4 + strlen(job->cwd) + 1 + strlen(job->log_path) + 1;
	size += strs_size(job->argv, &n_argv) + strs_size(job->env, &n_env);
	size += strs_size(job->secrets, &n_secrets) + LIMITS_SIZE;
	if (payload > FRAME_MAX)
		size = FRAME_MAX;
	else
		size += payload + 1;
	if (put_head(out, type, size, err) < 0)
		return err_context(err, "attempt %lld", (long long)job->token);
	put_i64(out, job->token);
	put_i64(out, job->epoch);
	put_i64(out, job->timeout_us);
	put_i64(out, job->grace_us);
	put_i64(out, now_us);
	put_u32(out, job->argv ? n_argv : NO_ARGV);
	put_u32(out, n_env);
	put_u32(out, n_secrets);
	put_u32(out, (uint32_t)payload);
	buf_add(out, job->payload, payload);
	buf_addc(out, '\0');
	put_str(out, job->cwd);
	put_str(out, job->log_path);
	put_strs(out, job->argv);
	put_strs(out, job->env);
	put_strs(out, job->secrets);
	put_limits(out, &job->limits);
	return 0;
}

int frame_put_start(struct buf *out, const struct exec_job *job, int64_t now_us, struct err *err)
{
	return put_job(out, FRAME_START, job, now_us, err);
}

int frame_put_prepare(struct buf *out, const struct exec_job *job, struct err *err)
{
	return put_job(out, FRAME_PREPARE, job, 0, err);
}

int frame_put_go(struct buf *out, const struct frame_go *go, struct err *err)
{
	if (put_head(out, FRAME_GO, 16, err) < 0)
		return -1;
	put_i64(out, go->token);
	put_i64(out, go->now_us);
	return 0;
}

int frame_put_drop(struct buf *out, int64_t token, struct err *err)
{
	if (put_head(out, FRAME_DROP, 8, err) < 0)
		return -1;
	put_i64(out, token);
	return 0;
}

int frame_put_stop(struct buf *out, const struct frame_stop *stop, struct err *err)
{
	if (put_head(out, FRAME_STOP, 12, err) < 0)
		return -1;
	put_i64(out, stop->token);
	put_u32(out, stop->how);
	return 0;
}

int frame_put_bye(struct buf *out, struct err *err)
{
	return put_head(out, FRAME_BYE, 0, err);
}

static size_t error_len(const struct exec_end *end)
{
	return strnlen(end->error, sizeof end->error - 1);
}

static size_t end_size(const struct exec_end *end)
{
	return FRAME_END_MIN - FRAME_HEAD + error_len(end);
}

static void put_end(struct buf *out, const struct exec_end *end)
{
	put_i64(out, end->token);
	put_u32(out, (uint32_t)end->outcome);
	put_u32(out, (uint32_t)end->exit_status);
	put_u32(out, (uint32_t)end->signal);
	put_i64(out, end->started_us);
	put_i64(out, end->ended_us);
	put_i64(out, end->max_rss_bytes);
	put_i64(out, end->cpu_us);
	buf_add(out, end->error, error_len(end));
	buf_addc(out, '\0');
}

int frame_put_end(struct buf *out, const struct exec_end *end, struct err *err)
{
	if (put_head(out, FRAME_END, end_size(end), err) < 0)
		return -1;
	put_end(out, end);
	return 0;
}

static int check_count(enum frame_type type, size_t n, struct err *err)
{
	if (n <= FRAME_TOKENS_MAX)
		return 0;
	return err_set(err, ERR_INVALID, "%zu tokens are too many for a %s message: at most %d", n,
		frame_type_name(type), FRAME_TOKENS_MAX);
}

int frame_put_claim(struct buf *out, uint32_t serial, const struct exec_claim *claims, size_t n,
	struct err *err)
{
	if (check_count(FRAME_CLAIM, n, err) < 0 || put_head(out, FRAME_CLAIM, 8 + n * 16, err) < 0)
		return -1;
	put_u32(out, serial);
	put_u32(out, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		put_i64(out, claims[i].token);
		put_i64(out, claims[i].epoch);
	}
	return 0;
}

/* Each end has its size before it, so that it can grow. */
int frame_put_claimed(struct buf *out, uint32_t serial, const struct exec_claim *claims, size_t n,
	struct err *err)
{
	size_t size = 8 + n * 16;

	for (size_t i = 0; i < n; i++)
		size += claims[i].answer == EXEC_CLAIM_ENDED ? end_size(&claims[i].end) : 0;
	if (check_count(FRAME_CLAIMED, n, err) < 0 || put_head(out, FRAME_CLAIMED, size, err) < 0)
		return -1;
	put_u32(out, serial);
	put_u32(out, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		bool ended = claims[i].answer == EXEC_CLAIM_ENDED;
		put_i64(out, claims[i].token);
		put_u32(out, (uint32_t)claims[i].answer);
		put_u32(out, ended ? (uint32_t)end_size(&claims[i].end) : 0);
		if (ended)
			put_end(out, &claims[i].end);
	}
	return 0;
}

int frame_put_ack(struct buf *out, const int64_t *tokens, size_t n, struct err *err)
{
	if (check_count(FRAME_ACK, n, err) < 0 || put_head(out, FRAME_ACK, 4 + n * 8, err) < 0)
		return -1;
	put_u32(out, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		put_i64(out, tokens[i]);
	return 0;
}

/* ---- reading ---- */

struct cursor {
	const char *p;
	size_t left;
	bool bad; /* something was missing; all that was read since is zero or empty */
};

static const char *take(struct cursor *c, size_t n)
{
	if (c->bad || n > c->left) {
		c->bad = true;
		return NULL;
	}
	const char *p = c->p;
	c->p += n;
	c->left -= n;
	return p;
}

static uint32_t take_u32(struct cursor *c)
{
	uint32_t v = 0;
	const char *p = take(c, sizeof v);

	if (p)
		memcpy(&v, p, sizeof v);
	return le32toh(v);
}

static int64_t take_i64(struct cursor *c)
{
	uint64_t v = 0;
	const char *p = take(c, sizeof v);

	if (p)
		memcpy(&v, p, sizeof v);
	return (int64_t)le64toh(v);
}

static const char *take_str(struct cursor *c)
{
	const char *end = c->bad || !c->left ? NULL : memchr(c->p, '\0', c->left);

	if (!end) {
		c->bad = true;
		return "";
	}
	return take(c, (size_t)(end - c->p) + 1);
}

static struct cursor cursor_of(const struct frame *f)
{
	return (struct cursor){ .p = f->body, .left = f->len };
}

static int damaged(enum frame_type type, struct err *err)
{
	return err_set(err, ERR_DATA, "a damaged %s message", frame_type_name(type));
}

static int done(const struct cursor *c, const struct frame *f, struct err *err)
{
	bool all = c->left == 0 || frozen[f->type];

	return !c->bad && all ? 0 : damaged(f->type, err);
}

int frame_next(const char *data, size_t len, struct frame *ret, struct err *err)
{
	uint32_t body;
	uint16_t version, type;

	if (len < FRAME_HEAD)
		return 0;
	memcpy(&body, data, sizeof body);
	memcpy(&version, data + 4, sizeof version);
	memcpy(&type, data + 6, sizeof type);
	body = le32toh(body);
	version = le16toh(version);
	type = le16toh(type);
	if (version != FRAME_VERSION &&
		(version < FRAME_VERSION_MIN || type >= FRAME_TYPE_MAX || !frozen[type]))
		return err_set(err, ERR_REFUSED,
			"the other side speaks version %u of the protocol, this weir version %u",
			(unsigned)version, (unsigned)FRAME_VERSION);
	if (type >= FRAME_TYPE_MAX || body > FRAME_MAX - FRAME_HEAD)
		return err_set(err, ERR_DATA, "no message: type %u, %lu bytes", (unsigned)type,
			(unsigned long)body);
	if (len - FRAME_HEAD < body)
		return 0;
	*ret = (struct frame){
		.type = (enum frame_type)type,
		.body = data + FRAME_HEAD,
		.len = body,
		.size = FRAME_HEAD + (size_t)body,
	};
	return 1;
}

int frame_get_hello(const struct frame *f, struct frame_hello *ret, struct err *err)
{
	struct cursor c = cursor_of(f);
	struct frame_hello h = { .pid = take_i64(&c) };
	uint32_t error = take_u32(&c);

	h.msg = take_str(&c);
	if (error >= ERR_CODE_MAX)
		c.bad = true;
	h.error = (int)error;
	if (done(&c, f, err) < 0)
		return -1;
	*ret = h;
	return 0;
}

/* Room for three lists with their NULLs. Each string takes a byte at least, which bounds them. */
static int reserve_strings(struct frame_start *s, size_t n)
{
	if (n <= s->cap)
		return 0;
	const char **grown = reallocarray(s->strings, n, sizeof *grown);
	if (!grown)
		return -1;
	s->strings = grown;
	s->cap = n;
	return 0;
}

static const char **take_strs(struct cursor *c, const char **to, size_t n)
{
	for (size_t i = 0; i < n; i++)
		*to++ = take_str(c);
	*to++ = NULL;
	return to;
}

static void take_limits(struct cursor *c, struct exec_limits *ret)
{
	ret->memory_bytes = take_i64(c);
	ret->cpu_permille = take_i64(c);
	ret->pids = take_i64(c);
	ret->files = take_i64(c);
	if (ret->memory_bytes < 0 || ret->cpu_permille < 0 || ret->pids < 0 || ret->files < 0)
		c->bad = true;
}

int frame_get_start(const struct frame *f, struct frame_start *ret, struct err *err)
{
	struct cursor c = cursor_of(f);
	struct exec_job job = { .token = take_i64(&c) };

	job.epoch = take_i64(&c);
	job.timeout_us = take_i64(&c);
	job.grace_us = take_i64(&c);
	int64_t now_us = take_i64(&c);
	uint32_t n_argv = take_u32(&c), n_env = take_u32(&c), n_secrets = take_u32(&c);
	bool command = n_argv != NO_ARGV;
	n_argv = command ? n_argv : 0;
	job.payload_len = take_u32(&c);
	const char *payload = take(&c, job.payload_len);
	const char *nul = take(&c, 1);
	job.cwd = take_str(&c);
	job.log_path = take_str(&c);
	uint64_t n = (uint64_t)n_argv + n_env + n_secrets;
	if (c.bad || *nul != '\0' || n > c.left || (command && n_argv == 0))
		c.bad = true;
	if (c.bad)
		return done(&c, f, err);
	if (reserve_strings(ret, (size_t)n + 3) < 0)
		return err_nomem(err);
	const char **env = take_strs(&c, ret->strings, n_argv);
	const char **secrets = take_strs(&c, env, n_env);
	take_strs(&c, secrets, n_secrets);
	take_limits(&c, &job.limits);
	if (done(&c, f, err) < 0)
		return -1;
	job.argv = command ? ret->strings : NULL;
	job.payload = command ? NULL : payload;
	job.env = env;
	job.secrets = n_secrets ? secrets : NULL;
	ret->job = job;
	ret->now_us = now_us;
	return 0;
}

int frame_get_go(const struct frame *f, struct frame_go *ret, struct err *err)
{
	struct cursor c = cursor_of(f);
	struct frame_go g = { .token = take_i64(&c) };

	g.now_us = take_i64(&c);
	if (done(&c, f, err) < 0)
		return -1;
	*ret = g;
	return 0;
}

int frame_get_drop(const struct frame *f, int64_t *ret_token, struct err *err)
{
	struct cursor c = cursor_of(f);
	int64_t token = take_i64(&c);

	if (done(&c, f, err) < 0)
		return -1;
	*ret_token = token;
	return 0;
}

int frame_get_stop(const struct frame *f, struct frame_stop *ret, struct err *err)
{
	struct cursor c = cursor_of(f);
	struct frame_stop s = { .token = take_i64(&c) };

	s.how = take_u32(&c);
	if (done(&c, f, err) < 0)
		return -1;
	*ret = s;
	return 0;
}

static struct exec_end take_end(struct cursor *c)
{
	struct exec_end e = { .token = take_i64(c) };
	uint32_t outcome = take_u32(c);

	e.exit_status = (int32_t)take_u32(c);
	e.signal = (int32_t)take_u32(c);
	e.started_us = take_i64(c);
	e.ended_us = take_i64(c);
	e.max_rss_bytes = take_i64(c);
	e.cpu_us = take_i64(c);
	const char *error = take_str(c);
	size_t len = strlen(error);
	if (outcome == OUTCOME_NONE || outcome >= OUTCOME_MAX || len >= sizeof e.error)
		c->bad = true;
	if (!c->bad) {
		e.outcome = (enum outcome)outcome;
		memcpy(e.error, error, len + 1);
	}
	return e;
}

int frame_get_end(const struct frame *f, struct exec_end *ret, struct err *err)
{
	struct cursor c = cursor_of(f);
	struct exec_end e = take_end(&c);

	if (done(&c, f, err) < 0)
		return -1;
	*ret = e;
	return 0;
}

int frame_get_list(const struct frame *f, struct frame_list *ret, struct err *err)
{
	struct cursor c = cursor_of(f);
	uint32_t serial = f->type == FRAME_ACK ? 0 : take_u32(&c), n = take_u32(&c);
	size_t least = f->type == FRAME_ACK ? 8 : 16;

	if (c.bad || n > FRAME_TOKENS_MAX || n * least > c.left)
		return damaged(f->type, err);
	*ret = (struct frame_list){ .serial = serial, .n = n, .p = c.p, .left = c.left };
	return 0;
}

/* Begin with the next member, if there is one. */
static bool next_member(struct frame_list *l, struct cursor *ret)
{
	if (!l->n)
		return false;
	l->n--;
	*ret = (struct cursor){ .p = l->p, .left = l->left };
	return true;
}

static void end_member(struct frame_list *l, const struct cursor *c)
{
	l->p = c->p;
	l->left = c->left;
}

int frame_next_claim(struct frame_list *l, struct exec_claim *ret, struct err *err)
{
	struct cursor c;

	if (!next_member(l, &c))
		return 0;
	*ret = (struct exec_claim){ .token = take_i64(&c) };
	ret->epoch = take_i64(&c);
	end_member(l, &c);
	return c.bad ? damaged(FRAME_CLAIM, err) : 1;
}

int frame_next_claimed(struct frame_list *l, struct exec_claim *ret, struct err *err)
{
	struct cursor c;

	if (!next_member(l, &c))
		return 0;
	*ret = (struct exec_claim){ .token = take_i64(&c) };
	uint32_t answer = take_u32(&c), size = take_u32(&c);
	const char *end = take(&c, size);
	if (answer >= EXEC_CLAIM_MAX)
		c.bad = true;
	ret->answer = c.bad ? EXEC_CLAIM_UNKNOWN : (enum exec_claim_answer)answer;
	if (!c.bad && answer == EXEC_CLAIM_ENDED) {
		struct cursor e = { .p = end, .left = size };
		ret->end = take_end(&e);
		c.bad = e.bad;
	}
	end_member(l, &c);
	return c.bad ? damaged(FRAME_CLAIMED, err) : 1;
}

int frame_next_ack(struct frame_list *l, int64_t *ret_token, struct err *err)
{
	struct cursor c;

	if (!next_member(l, &c))
		return 0;
	*ret_token = take_i64(&c);
	end_member(l, &c);
	return c.bad ? damaged(FRAME_ACK, err) : 1;
}

void frame_start_release(struct frame_start *s)
{
	if (!s)
		return;
	free(s->strings);
	*s = (struct frame_start){ 0 };
}
