/* SLAs that were missed, how far they are judged, and durations of tasks. */
#include "base/err.h"
#include "store/sqlite.h"

static int put_miss(struct sqlite_store *s, struct sla_miss *m, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_SLA_PUT, "record that an SLA was missed");

	sqlite_bind_text(&q, m->key.dag);
	sqlite_bind_text(&q, m->key.task);
	sqlite_bind_text(&q, m->key.kind);
	sqlite_bind_int(&q, m->key.start_us);
	sqlite_bind_int(&q, m->key.end_us);
	sqlite_bind_int(&q, m->deadline_us);
	sqlite_bind_int(&q, m->found_us);
	sqlite_bind_text(&q, m->detail);
	sqlite_bind_text(&q, m->acts);
	int n = sqlite_run(&q, err);
	m->id = n > 0 ? sqlite3_last_insert_rowid(s->db) : 0;
	return n < 0 ? -1 : 0;
}

static int put_end(struct sqlite_store *s, const struct sla_end *e, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_SLA_END, "record that an SLA is met at last");

	sqlite_bind_int(&q, e->id);
	sqlite_bind_int(&q, e->at_us);
	sqlite_bind_text(&q, e->why);
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

static int put_acted(struct sqlite_store *s, int64_t id, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_SLA_ACTED, "record what was done of an SLA");

	sqlite_bind_int(&q, id);
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

static int put_mark(struct sqlite_store *s, const struct sla_mark_row *m, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_SLA_MARK, "record how far SLAs are judged");

	sqlite_bind_text(&q, m->dag);
	sqlite_bind_int(&q, m->judged_us);
	sqlite_bind_int(&q, m->digest);
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

int sqlite_slas_put(struct sqlite_store *s, const struct store_slas *slas, struct err *err)
{
	for (size_t i = 0; i < slas->nmisses; i++)
		if (put_miss(s, &slas->misses[i], err) < 0)
			return -1;
	for (size_t i = 0; i < slas->nends; i++)
		if (put_end(s, &slas->ends[i], err) < 0)
			return -1;
	for (size_t i = 0; i < slas->nacted; i++)
		if (put_acted(s, slas->acted[i], err) < 0)
			return -1;
	for (size_t i = 0; i < slas->nmarks; i++)
		if (put_mark(s, &slas->marks[i], err) < 0)
			return -1;
	return 0;
}

void sqlite_read_miss(struct sqlite_cursor *c, void *row)
{
	struct sla_miss *m = row;

	m->id = sqlite_get_int(c);
	m->key.dag = sqlite_get_text_or_empty(c);
	m->key.task = sqlite_get_text_or_empty(c);
	m->key.kind = sqlite_get_text_or_empty(c);
	m->key.start_us = sqlite_get_int(c);
	m->key.end_us = sqlite_get_int(c);
	m->deadline_us = sqlite_get_int(c);
	m->found_us = sqlite_get_int(c);
	m->ended_us = sqlite_get_int(c);
	m->ended = sqlite_get_text(c);
	m->detail = sqlite_get_text(c);
	m->acts = sqlite_get_text(c);
	m->acted = sqlite_get_int(c);
}

void sqlite_read_mark(struct sqlite_cursor *c, void *row)
{
	struct sla_mark_row *m = row;

	m->dag = sqlite_get_text_or_empty(c);
	m->judged_us = sqlite_get_int(c);
	m->digest = sqlite_get_int(c);
}

void sqlite_read_time(struct sqlite_cursor *c, void *row)
{
	struct task_time_row *r = row;

	r->task = sqlite_get_text_or_empty(c);
	r->took_us = sqlite_get_int(c);
}

int sqlite_slas_prune(struct sqlite_store *s, int64_t before_us, int max, struct err *err)
{
	const struct sqlite_old old = { SQL_SLA_DELETE, before_us, max,
		"forget SLAs that were missed" };

	return sqlite_forget_in(s, &old, err) < 0 ? -1 : 0;
}
