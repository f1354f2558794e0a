/* Frames: what the driver and the supervisor say to each other over their unix stream socket.
 *
 *     u32 length of the body, u16 version, u16 type, body
 *
 * Numbers are little-endian, strings end in a NUL and hold none. A frame is at most FRAME_MAX bytes
 * with its head. Decoding trusts nothing: each length and count is checked against the bytes that
 * are there.
 *
 * The supervisor speaks first (HELLO). The driver that made it sends START, or PREPARE and for the
 * same token GO or DROP; STOP; and, as its last word, BYE. The supervisor sends END, which the
 * driver answers, once it is recorded, with ACK. Whoever else connects sends CLAIM, which is
 * answered by CLAIMED, and STOP and ACK for what it has claimed.
 *
 * Every frame carries the version of its sender. HELLO, CLAIM, CLAIMED, STOP, ACK and END are what
 * a newer weir needs to adopt the attempts of an older supervisor: they are frozen. They are taken
 * whatever version (from 2 on) they carry, what they hold now stays as it is, and bytes behind
 * that, which a later version may add, are passed over. All others need the same version on both
 * sides: a newer driver that meets an older supervisor is refused by name and not misread.
 */
#ifndef WEIR_EXEC_FRAME_H
#define WEIR_EXEC_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "exec/exec.h"

struct buf;
struct err;

#define FRAME_VERSION 2
#define FRAME_VERSION_MIN 2 /* of what is frozen */
#define FRAME_HEAD 8
#define FRAME_MAX (16u << 20)

enum frame_type {
	FRAME_HELLO, /* the supervisor is ready, or why it is not */
	FRAME_START,
	FRAME_STOP,
	FRAME_BYE, /* all ends were received; no more work comes */
	FRAME_END,
	FRAME_PREPARE, /* as START, but held */
	FRAME_GO,      /* start what is held */
	FRAME_DROP,    /* forget what is held */
	FRAME_CLAIM,   /* the sender wants to be the holder of these attempts */
	FRAME_CLAIMED, /* what became of them */
	FRAME_ACK,     /* these ends are recorded */
	FRAME_TYPE_MAX
};

const char *frame_type_name(enum frame_type type);

struct frame {
	enum frame_type type;
	const char *body; /* borrowed from the bytes it was found in */
	size_t len;       /* of the body */
	size_t size;      /* of the whole frame: where the next one begins */
};

/* The frame at the front of data[0..len): 1; 0 when more bytes are needed; -1 (ERR_DATA, or
 * ERR_REFUSED for another version) when this is no frame: the stream is then of no more use. */
int frame_next(const char *data, size_t len, struct frame *ret, struct err *err);

struct frame_hello {
	int64_t pid;
	int error; /* enum err_code; ERR_NONE: ready */
	const char *msg;
};

struct frame_stop {
	int64_t token;
	unsigned how; /* enum exec_stop_how; others are passed over */
};

struct frame_go {
	int64_t token;
	int64_t now_us; /* as of START */
};

/* At most so many tokens are in one CLAIM or ACK. */
#define FRAME_TOKENS_MAX 4096

/* A decoded CLAIM, CLAIMED or ACK: how many there are, and where the next one begins. */
struct frame_list {
	uint32_t serial; /* of a CLAIM, and of its answer */
	uint32_t n;      /* left */
	const char *p;   /* borrowed from the frame */
	size_t left;
};

/* A decoded START or PREPARE. The job's arrays are `strings`, which is kept for the next one; its
 * texts are borrowed from the frame. Zero it before the first use. */
struct frame_start {
	struct exec_job job;
	int64_t now_us; /* the driver's clock when that is a test's fake; else 0 */
	const char **strings;
	size_t cap;
};

/* The bytes of the shortest END: an END is never shorter. */
#define FRAME_END_MIN (FRAME_HEAD + 53)

/* Append a frame. On error (ERR_INVALID: the job cannot be said in a frame; ERR_NOMEM) the
 * buffer is as before. */
int frame_put_hello(struct buf *out, const struct frame_hello *hello, struct err *err);
int frame_put_start(struct buf *out, const struct exec_job *job, int64_t now_us, struct err *err);
int frame_put_prepare(struct buf *out, const struct exec_job *job, struct err *err);
int frame_put_go(struct buf *out, const struct frame_go *go, struct err *err);
int frame_put_drop(struct buf *out, int64_t token, struct err *err);
int frame_put_stop(struct buf *out, const struct frame_stop *stop, struct err *err);
int frame_put_bye(struct buf *out, struct err *err);
int frame_put_end(struct buf *out, const struct exec_end *end, struct err *err);
/* n is at most FRAME_TOKENS_MAX, else ERR_INVALID. Of the claims, token and epoch are sent; of the
 * answers token, answer and, with EXEC_CLAIM_ENDED, the end. */
int frame_put_claim(struct buf *out, uint32_t serial, const struct exec_claim *claims, size_t n,
	struct err *err);
int frame_put_claimed(struct buf *out, uint32_t serial, const struct exec_claim *claims, size_t n,
	struct err *err);
int frame_put_ack(struct buf *out, const int64_t *tokens, size_t n, struct err *err);

/* Decode a frame of that type. ERR_DATA when its body is not what the type says. */
int frame_get_hello(const struct frame *f, struct frame_hello *ret, struct err *err);
int frame_get_start(const struct frame *f, struct frame_start *ret, struct err *err);
int frame_get_go(const struct frame *f, struct frame_go *ret, struct err *err);
int frame_get_drop(const struct frame *f, int64_t *ret_token, struct err *err);
int frame_get_stop(const struct frame *f, struct frame_stop *ret, struct err *err);
int frame_get_end(const struct frame *f, struct exec_end *ret, struct err *err);
/* Of a CLAIM, CLAIMED or ACK; then its members one by one: 1, 0 behind the last, -1. */
int frame_get_list(const struct frame *f, struct frame_list *ret, struct err *err);
int frame_next_claim(struct frame_list *l, struct exec_claim *ret, struct err *err);
int frame_next_claimed(struct frame_list *l, struct exec_claim *ret, struct err *err);
int frame_next_ack(struct frame_list *l, int64_t *ret_token, struct err *err);
void frame_start_release(struct frame_start *s);

#endif
