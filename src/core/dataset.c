#include "core/dataset.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

const char *const dataset_when_names[] = {
	[DATASET_ALL] = "all", [DATASET_ANY] = "any", [DATASET_WHEN_MAX] = NULL
};
static_assert(sizeof dataset_when_names / sizeof *dataset_when_names == DATASET_WHEN_MAX + 1,
	"a name for each");

static const char *const verdict_names[] = {
	[DATASET_WAITS] = "waits",
	[DATASET_PAUSED] = "paused",
	[DATASET_FULL] = "full",
	[DATASET_DUE] = "due",
};
static_assert(
	sizeof verdict_names / sizeof *verdict_names == DATASET_VERDICT_MAX, "a name for each");

const char *dataset_verdict_name(enum dataset_verdict v)
{
	return (unsigned)v < DATASET_VERDICT_MAX ? verdict_names[v] : "?";
}

bool dataset_is_name(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_.-";
	size_t len = strlen(text);

	return len > 0 && len <= DATASET_NAME_MAX && strspn(text, allowed) == len;
}

/* ---- what is collected ---------------------------------------------------------------- */

int dataset_pending_init(
	struct dataset_pending *p, const struct dataset_rule *rule, struct err *err)
{
	*p = (struct dataset_pending){ .n = rule->n };
	p->news = calloc(rule->n + 1, sizeof *p->news);
	return p->news ? 0 : err_nomem(err);
}

void dataset_pending_release(struct dataset_pending *p)
{
	free(p->news);
	*p = (struct dataset_pending){ .n = 0 };
}

static void add_news(struct dataset_news *n, const struct dataset_update *u)
{
	if (n->count++ == 0) {
		*n = (struct dataset_news){ 1, u->at_us, u->at_us, u->start_us, u->end_us };
		return;
	}
	n->last_us = u->at_us > n->last_us ? u->at_us : n->last_us;
	n->start_us = u->start_us < n->start_us ? u->start_us : n->start_us;
	n->end_us = u->end_us > n->end_us ? u->end_us : n->end_us;
}

bool dataset_pending_add(
	struct dataset_pending *p, const struct dataset_rule *rule, const struct dataset_update *u)
{
	if (u->id <= p->upto)
		return false;
	p->upto = u->id;
	for (size_t i = 0; i < rule->n; i++)
		if (strcmp(rule->refs[i].name, u->dataset) == 0) {
			add_news(&p->news[i], u);
			return true;
		}
	return false;
}

void dataset_pending_clear(struct dataset_pending *p)
{
	memset(p->news, 0, p->n * sizeof *p->news);
}

/* ---- the decision --------------------------------------------------------------------- */

static bool is_met(const struct dataset_rule *rule, const struct dataset_pending *p)
{
	size_t updated = 0;

	for (size_t i = 0; i < p->n; i++)
		updated += p->news[i].count > 0;
	return rule->when == DATASET_ALL ? updated == rule->n && rule->n > 0 : updated > 0;
}

static void add_due(struct dataset_due *d, enum dataset_when when, const struct dataset_news *n)
{
	bool first = d->count == 0;

	d->count += n->count;
	d->start_us = first || n->start_us < d->start_us ? n->start_us : d->start_us;
	d->end_us = first || n->end_us > d->end_us ? n->end_us : d->end_us;
	/* The last that was needed: of all the last first one, of any the first. */
	if (first || (when == DATASET_ALL) == (n->first_us > d->since_us))
		d->since_us = n->first_us;
}

enum dataset_verdict dataset_decide(const struct dataset_rule *rule,
	const struct dataset_pending *p, const struct dataset_room *room, struct dataset_due *ret)
{
	*ret = (struct dataset_due){ .upto = p->upto };
	if (!is_met(rule, p))
		return DATASET_WAITS;
	for (size_t i = 0; i < p->n; i++)
		if (p->news[i].count > 0)
			add_due(ret, rule->when, &p->news[i]);
	if (room->paused)
		return DATASET_PAUSED;
	return room->active >= room->max_active ? DATASET_FULL : DATASET_DUE;
}

/* ---- intervals ------------------------------------------------------------------------ */

static int by_start(const void *a, const void *b)
{
	const struct dataset_span *x = a, *y = b;

	return (x->start_us > y->start_us) - (x->start_us < y->start_us);
}

bool dataset_covers(struct dataset_span *spans, size_t n, const struct dataset_span *all)
{
	int64_t at_us = all->start_us;

	for (size_t i = 0; all->start_us == all->end_us && i < n; i++)
		if (spans[i].start_us <= at_us &&
			(spans[i].end_us > at_us || spans[i].start_us == at_us))
			return true;
	if (n > 1)
		qsort(spans, n, sizeof *spans, by_start);
	for (size_t i = 0; i < n && at_us < all->end_us; i++) {
		if (spans[i].start_us > at_us)
			return false;
		at_us = spans[i].end_us > at_us ? spans[i].end_us : at_us;
	}
	return all->start_us < all->end_us && at_us >= all->end_us;
}
