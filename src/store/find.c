/* Which run a person means. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/near.h"
#include "store/backend.h"

enum { NAMED_RUNS = 5 }; /* how many runs an error names at most */

static int query(
	struct store *s, const struct run_query *q, struct store_result *ret, struct err *err)
{
	memset(ret, 0, sizeof *ret);
	arena_init(&ret->arena, (size_t)1 << 30);
	if (s->ops->runs(s, q, ret, err) == 0)
		return 0;
	store_result_release(ret);
	return -1;
}

static int query_newest(
	struct store *s, const char *dag, int limit, struct store_result *ret, struct err *err)
{
	struct run_filter f = { .dag = dag, .state = -1, .limit = limit };

	return query(s, &(struct run_query){ .kind = RUN_QUERY_FILTER, .filter = &f }, ret, err);
}

/* "a, b, c" or "a, b, c, ..." */
static void add_names(struct buf *b, const struct store_result *r)
{
	for (size_t i = 0; i < r->n && i < NAMED_RUNS; i++)
		buf_addf(b, "%s%s", i ? ", " : "", r->runs[i].name);
	if (r->n > NAMED_RUNS)
		buf_addstr(b, ", ...");
}

/* What there is instead of DAG `dag`: one with a like name, or else some. */
static int no_dag(struct store *s, const char *dag, struct err *err)
{
	struct run_filter f = { .state = -1, .latest_per_dag = true };
	struct store_result r;
	const char **names = NULL;

	if (query(s, &(struct run_query){ .kind = RUN_QUERY_FILTER, .filter = &f }, &r, err) < 0)
		return -1;
	if (r.n == 0) {
		err_set(err, ERR_NOT_FOUND, "no run %s: there are no runs yet", dag);
		goto out;
	}
	names = calloc(r.n, sizeof *names);
	if (!names) {
		err_nomem(err);
		goto out;
	}
	for (size_t i = 0; i < r.n; i++)
		names[i] = r.runs[i].dag;
	const char *near = near_find(dag, names, r.n);
	if (near)
		err_set(err, ERR_NOT_FOUND, "no runs of a DAG %s; did you mean %s?", dag, near);
	else
		err_set(err, ERR_NOT_FOUND, "no runs of a DAG %s; there are runs of %s%s%s%s", dag,
			names[0], r.n > 1 ? ", " : "", r.n > 1 ? names[1] : "",
			r.n > 2 ? ", ..." : "");
out:
	free(names);
	store_result_release(&r);
	return -1;
}

/* No run `ref`, which names `dag`: tell its newest ones. */
static int no_run_of(struct store *s, const char *ref, const char *dag, struct err *err)
{
	struct store_result r;
	struct buf b;

	if (query_newest(s, dag, NAMED_RUNS + 1, &r, err) < 0)
		return -1;
	if (r.n == 0) {
		store_result_release(&r);
		return no_dag(s, dag, err);
	}
	buf_init(&b, BUF_MAX_TEXT);
	add_names(&b, &r);
	err_set(err, ERR_NOT_FOUND, "no run %s; the newest of %s: %s", ref, dag, b.data);
	buf_release(&b);
	store_result_release(&r);
	return -1;
}

static int no_number(struct store *s, const char *ref, struct err *err)
{
	struct store_result r;

	if (query_newest(s, NULL, 1, &r, err) < 0)
		return -1;
	if (r.n == 0)
		err_set(err, ERR_NOT_FOUND, "no run %s: there are no runs yet", ref);
	else
		err_set(err, ERR_NOT_FOUND, "no run %s; the newest is %" PRId64 " (%s)", ref,
			r.runs[0].id, r.runs[0].name);
	store_result_release(&r);
	return -1;
}

static int by_number(struct store *s, const char *ref, struct store_result *ret, struct err *err)
{
	struct run_query q = { .kind = RUN_QUERY_ID };

	errno = 0;
	q.id = strtoll(ref, NULL, 10);
	if (errno == ERANGE)
		return no_number(s, ref, err);
	if (query(s, &q, ret, err) < 0)
		return -1;
	if (ret->n)
		return 0;
	store_result_release(ret);
	return no_number(s, ref, err);
}

static int ambiguous(const char *ref, const struct store_result *r, struct err *err)
{
	struct buf b;

	buf_init(&b, BUF_MAX_TEXT);
	add_names(&b, r);
	err_set(err, ERR_NOT_FOUND, "%s can mean %s; say which", ref, b.data);
	buf_release(&b);
	return -1;
}

static int by_name(
	struct store *s, const char *ref, const char *at, struct store_result *ret, struct err *err)
{
	struct run_query q = { .kind = RUN_QUERY_NAME, .text = ref, .limit = NAMED_RUNS + 1 };

	if (query(s, &q, ret, err) < 0)
		return -1;
	if (ret->n)
		return 0;
	q.kind = RUN_QUERY_PREFIX;
	if (at[1] && query(s, &q, ret, err) < 0)
		return -1;
	if (ret->n == 1)
		return 0;

	char *dag = strndup(ref, (size_t)(at - ref));
	int r = !dag     ? err_nomem(err)
		: ret->n ? ambiguous(ref, ret, err)
			 : no_run_of(s, ref, dag, err);
	free(dag);
	store_result_release(ret);
	return r;
}

static int by_dag(struct store *s, const char *ref, struct store_result *ret, struct err *err)
{
	struct run_filter f = {
		.dag = ref, .state = -1, .latest_per_dag = true, .ended_by_us = clock_now_us()
	};

	if (query(s, &(struct run_query){ .kind = RUN_QUERY_FILTER, .filter = &f }, ret, err) < 0)
		return -1;
	if (ret->n)
		return 0;
	store_result_release(ret);
	return no_dag(s, ref, err);
}

int store_run_find(struct store *s, const char *ref, struct store_result *ret, struct err *err)
{
	const char *at = strrchr(ref, '@');

	if (ref[0] && strspn(ref, "0123456789") == strlen(ref))
		return by_number(s, ref, ret, err);
	if (at)
		return by_name(s, ref, at, ret, err);
	return by_dag(s, ref, ret, err);
}
