#include "exec/held.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/err.h"
#include "exec/kept.h"

struct held {
	int64_t token;
	struct frame_start start; /* its texts are in body */
	struct attempt_log log;
	UT_hash_handle hh;
	char body[];
};

struct held *held_find(const struct held_set *set, int64_t token)
{
	struct held *h;

	HASH_FIND(hh, set->by_token, &token, sizeof token, h);
	return h;
}

static void discard_log(const struct held *h)
{
	struct stat st;

	/* Whoever held it before us, or wrote to it since, keeps it. */
	if (h->log.created && fstat(h->log.fd, &st) == 0 && st.st_size == 0)
		unlink(h->start.job.log_path);
	close(h->log.fd);
}

void held_free(struct held *h)
{
	if (!h)
		return;
	if (h->log.fd >= 0)
		discard_log(h);
	frame_start_release(&h->start);
	free(h);
}

/* A decoded copy of the frame, in no set yet. */
static struct held *copy(const struct frame *f, struct err *err)
{
	struct held *h = malloc(sizeof *h + f->len);
	struct frame own = *f;

	if (!h) {
		err_nomem(err);
		return NULL;
	}
	memset(h, 0, sizeof *h);
	memcpy(h->body, f->body, f->len);
	own.body = h->body;
	h->log.fd = -1;
	if (frame_get_start(&own, &h->start, err) < 0) {
		held_free(h);
		return NULL;
	}
	h->token = h->start.job.token;
	return h;
}

int held_add(
	struct held_set *set, const struct frame *f, const struct kept_set *kept, struct err *err)
{
	struct held *h = copy(f, err);

	if (!h)
		return -1;
	if (held_find(set, h->token) || kept_is_buried(kept, h->token, held_job(h)->epoch)) {
		held_free(h);
		return 0;
	}
	HASH_ADD(hh, set->by_token, token, sizeof h->token, h);
	if (!h->hh.tbl) {
		held_free(h);
		return err_nomem(err);
	}
	if (set->open >= HELD_LOGS_MAX)
		return 0;
	attempt_log_open(&h->log, h->start.job.log_path);
	if (h->log.fd >= 0)
		set->open++;
	return 0;
}

struct held *held_take(struct held_set *set, int64_t token)
{
	struct held *h = held_find(set, token);

	if (!h)
		return NULL;
	HASH_DELETE(hh, set->by_token, h);
	if (h->log.fd >= 0)
		set->open--;
	return h;
}

const struct exec_job *held_job(const struct held *h)
{
	return &h->start.job;
}

struct attempt_log *held_log(struct held *h)
{
	return &h->log;
}

void held_drop_all(struct held_set *set)
{
	struct held *h, *next;

	HASH_ITER (hh, set->by_token, h, next) {
		HASH_DELETE(hh, set->by_token, h);
		held_free(h);
	}
	set->open = 0;
}
