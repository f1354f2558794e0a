#include "exec/kept.h"

#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "exec/attempt.h"
#include "exec/journal.h"

/* An exec_end without the room for its error. */
struct kept {
	int64_t token, epoch, start_boot_us;
	int64_t started_us, ended_us, max_rss_bytes, cpu_us;
	int32_t pid, holder, exit_status, signal, outcome;
	UT_hash_handle hh;
	char error[];
};

struct tomb {
	int64_t token, epoch;
	UT_hash_handle hh;
};

void kept_release(struct kept_set *set)
{
	struct kept *k, *next_kept;
	struct tomb *t, *next_tomb;

	HASH_ITER (hh, set->ends, k, next_kept) {
		HASH_DELETE(hh, set->ends, k);
		free(k);
	}
	HASH_ITER (hh, set->tombs, t, next_tomb) {
		HASH_DELETE(hh, set->tombs, t);
		free(t);
	}
	*set = (struct kept_set){ 0 };
}

/* ---- ends ---- */

static struct kept *find(const struct kept_set *set, int64_t token)
{
	struct kept *k;

	HASH_FIND(hh, set->ends, &token, sizeof token, k);
	return k;
}

int kept_add(struct kept_set *set, const struct exec_end *end, const struct kept_note *note)
{
	size_t len = strnlen(end->error, sizeof end->error - 1);

	if (find(set, end->token))
		return 0;
	struct kept *k = malloc(sizeof *k + len + 1);
	if (!k)
		return -1;
	*k = (struct kept){ .token = end->token,
		.epoch = note->epoch,
		.start_boot_us = note->start_boot_us,
		.started_us = end->started_us,
		.ended_us = end->ended_us,
		.max_rss_bytes = end->max_rss_bytes,
		.cpu_us = end->cpu_us,
		.pid = (int32_t)note->pid,
		.holder = note->holder,
		.exit_status = end->exit_status,
		.signal = end->signal,
		.outcome = (int32_t)end->outcome };
	memcpy(k->error, end->error, len);
	k->error[len] = '\0';
	HASH_ADD(hh, set->ends, token, sizeof k->token, k);
	if (!k->hh.tbl) {
		free(k);
		return -1;
	}
	set->n++;
	return 0;
}

bool kept_has(const struct kept_set *set, int64_t token)
{
	return find(set, token) != NULL;
}

static void unpack(const struct kept *k, struct exec_end *ret)
{
	*ret = (struct exec_end){ .token = k->token,
		.outcome = (enum outcome)k->outcome,
		.exit_status = k->exit_status,
		.signal = k->signal,
		.started_us = k->started_us,
		.ended_us = k->ended_us,
		.max_rss_bytes = k->max_rss_bytes,
		.cpu_us = k->cpu_us };
	memcpy(ret->error, k->error, strlen(k->error) + 1);
}

enum exec_claim_answer kept_claim(
	struct kept_set *set, const struct exec_claim *claim, int holder, struct exec_end *ret)
{
	struct kept *k = find(set, claim->token);

	if (!k)
		return EXEC_CLAIM_UNKNOWN;
	if (claim->epoch < k->epoch)
		return EXEC_CLAIM_FENCED;
	k->epoch = claim->epoch;
	k->holder = holder;
	unpack(k, ret);
	return EXEC_CLAIM_ENDED;
}

bool kept_ack(struct kept_set *set, int64_t token, int holder)
{
	struct kept *k = find(set, token);

	if (!k || k->holder != holder)
		return false;
	HASH_DELETE(hh, set->ends, k);
	free(k);
	set->n--;
	set->acked++;
	return true;
}

void kept_leave(struct kept_set *set, int holder)
{
	struct kept *k, *next;

	HASH_ITER (hh, set->ends, k, next)
		if (k->holder == holder)
			k->holder = HOLDER_NONE;
}

int kept_record(const struct kept_set *set, struct journal *to)
{
	struct kept *k, *next;
	int rc = 0;

	HASH_ITER (hh, set->ends, k, next) {
		struct exec_end end;
		unpack(k, &end);
		if (k->pid)
			rc |= journal_add_start(
				to, k->token, k->pid, k->start_boot_us, k->started_us);
		rc |= journal_add_end(to, &end);
	}
	return rc;
}

/* ---- tombstones ---- */

static struct tomb *find_tomb(const struct kept_set *set, int64_t token)
{
	struct tomb *t;

	HASH_FIND(hh, set->tombs, &token, sizeof token, t);
	return t;
}

int kept_bury(struct kept_set *set, int64_t token, int64_t epoch)
{
	struct tomb *t = find_tomb(set, token);

	if (t && epoch < t->epoch)
		return EXEC_CLAIM_FENCED;
	if (t) {
		t->epoch = epoch;
		return EXEC_CLAIM_UNKNOWN;
	}
	t = malloc(sizeof *t);
	if (!t)
		return -1;
	*t = (struct tomb){ .token = token, .epoch = epoch };
	HASH_ADD(hh, set->tombs, token, sizeof t->token, t);
	if (!t->hh.tbl) {
		free(t);
		return -1;
	}
	set->ntombs++;
	return EXEC_CLAIM_UNKNOWN;
}

bool kept_is_buried(const struct kept_set *set, int64_t token, int64_t epoch)
{
	const struct tomb *t = find_tomb(set, token);

	return t && epoch <= t->epoch;
}
