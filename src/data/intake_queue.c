#include "data/intake_queue.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "data/row.h"

enum { BATCHES = 4, BATCH_TEXT = 256 << 10, BATCH_ROWS = 2048 };

/* Rows and their text. Texts are offsets until the batch is full, as `text` may move. */
struct batch {
	struct cell *cells;
	size_t rows, cap; /* cap: cells */
	size_t width;     /* cells in a row */
	char *text;
	size_t len, size;
};

struct intake_queue {
	const struct intake_queue_work *work;
	struct batch batches[BATCHES];
	/* Under the lock. filled - drained batches wait; batch i of the count is slot i % BATCHES.
	 */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t filled, drained;
	bool ended, stopped; /* by the producer, by the consumer */
	/* The producer's own, read after it was joined. */
	int rc;
	struct err err;
};

static struct batch *filling(struct intake_queue *q)
{
	return &q->batches[q->filled % BATCHES];
}

/* Empty a batch; memory that one long row took is given back. */
static void reuse(struct batch *b)
{
	b->rows = 0;
	b->len = 0;
	if (b->size > 8 * BATCH_TEXT) {
		free(b->text);
		b->text = NULL;
		b->size = 0;
	}
}

/* Hand the batch over and wait for a free one. False when the consumer has gone. */
static bool hand_over(struct intake_queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->filled++;
	pthread_cond_broadcast(&q->changed);
	while (q->filled - q->drained == BATCHES && !q->stopped)
		pthread_cond_wait(&q->changed, &q->lock);
	bool go_on = !q->stopped;
	pthread_mutex_unlock(&q->lock);
	if (go_on)
		reuse(filling(q));
	return go_on;
}

static int room_for_text(struct batch *b, size_t more)
{
	size_t size = b->size ? b->size : BATCH_TEXT + BATCH_TEXT / 4;

	if (b->len + more <= b->size)
		return 0;
	while (size < b->len + more)
		size *= 2;
	char *text = realloc(b->text, size);
	if (!text)
		return -1;
	b->text = text;
	b->size = size;
	return 0;
}

static int room_for_cells(struct batch *b, size_t n)
{
	size_t cap = b->cap ? b->cap * 2 : 4096;

	if (b->rows * n + n <= b->cap)
		return 0;
	while (cap < b->rows * n + n)
		cap *= 2;
	struct cell *cells = realloc(b->cells, cap * sizeof *cells);
	if (!cells)
		return -1;
	b->cells = cells;
	b->cap = cap;
	return 0;
}

int intake_queue_put(struct intake_queue *q, const struct cell *cells, size_t n, struct err *err)
{
	struct batch *b = filling(q);
	size_t bytes = 0;

	b->width = n;
	for (size_t i = 0; i < n; i++)
		bytes += cells[i].type == CELL_TEXT ? cells[i].len : 0;
	if (room_for_text(b, bytes) < 0 || room_for_cells(b, n) < 0)
		return err_nomem(err);
	struct cell *to = b->cells + b->rows * n;
	for (size_t i = 0; i < n; i++) {
		to[i] = cells[i];
		if (cells[i].type != CELL_TEXT || !cells[i].len)
			continue;
		memcpy(b->text + b->len, cells[i].text, cells[i].len);
		b->len += cells[i].len;
	}
	b->rows++;
	if (b->len < BATCH_TEXT && b->rows < BATCH_ROWS)
		return 0;
	if (!hand_over(q))
		return err_set(err, ERR_INTERRUPTED, "the rows are no longer wanted");
	return 0;
}

static void *producer(void *arg)
{
	struct intake_queue *q = arg;

	q->rc = q->work->produce(q->work->arg, &q->err);
	pthread_mutex_lock(&q->lock);
	if (q->rc == 0 && !q->stopped && filling(q)->rows)
		q->filled++;
	q->ended = true;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

/* Texts follow one another in the batch in the order of the cells. */
static int take_batch(struct intake_queue *q, struct batch *b, struct err *err)
{
	const char *text = b->text;

	for (size_t r = 0; r < b->rows; r++) {
		struct cell *cells = b->cells + r * b->width;
		for (size_t i = 0; i < b->width; i++)
			if (cells[i].type == CELL_TEXT) {
				cells[i].text = text;
				text += cells[i].len;
			}
		if (q->work->take(q->work->arg, cells, err) < 0)
			return -1;
	}
	return 0;
}

static int consume(struct intake_queue *q, struct err *err)
{
	for (;;) {
		pthread_mutex_lock(&q->lock);
		while (q->filled == q->drained && !q->ended)
			pthread_cond_wait(&q->changed, &q->lock);
		bool none = q->filled == q->drained;
		pthread_mutex_unlock(&q->lock);
		if (none)
			return 0;
		int rc = take_batch(q, &q->batches[q->drained % BATCHES], err);
		pthread_mutex_lock(&q->lock);
		q->drained++;
		q->stopped = rc < 0;
		pthread_cond_broadcast(&q->changed);
		pthread_mutex_unlock(&q->lock);
		if (rc < 0)
			return -1;
	}
}

/* Signals are for the thread that has always been there. */
static int start(pthread_t *ret, struct intake_queue *q)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = pthread_create(ret, NULL, producer, q);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

int intake_queue_run(
	const struct intake_queue_work *work, struct intake_queue **ret_queue, struct err *err)
{
	struct intake_queue *q = calloc(1, sizeof *q);
	pthread_t thread;

	*ret_queue = NULL;
	if (!q)
		return err_nomem(err);
	q->work = work;
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->changed, NULL);
	*ret_queue = q;
	int rc = 0;
	if (start(&thread, q) == 0) {
		rc = consume(q, err);
		pthread_join(thread, NULL);
		if (rc == 0 && q->rc < 0) {
			rc = -1;
			if (err)
				*err = q->err;
		}
		*ret_queue = NULL;
	} else {
		*ret_queue = NULL;
		rc = work->produce(work->arg, err);
	}
	for (size_t i = 0; i < BATCHES; i++) {
		free(q->batches[i].cells);
		free(q->batches[i].text);
	}
	pthread_cond_destroy(&q->changed);
	pthread_mutex_destroy(&q->lock);
	free(q);
	return rc;
}
