#include "cli/beside.h"

#include <fts.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "cli/home.h"
#include "conf/crossdag.h"
#include "conf/dagfile.h"
#include "conf/diag.h"
#include "core/model.h"

bool beside_is_passed_over(const char *name)
{
	return name[0] == '.' || name[0] == '_';
}

static bool is_yaml(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void visit(FTS *fts, FTSENT *e, beside_fn *fn, void *arg)
{
	bool passed_over = e->fts_level > 0 && beside_is_passed_over(e->fts_name);
	struct err err;

	switch (e->fts_info) {
	case FTS_D:
		if (passed_over)
			fts_set(fts, e, FTS_SKIP);
		break;
	case FTS_F:
	case FTS_SL:
		if (!passed_over && is_yaml(e->fts_name))
			fn(arg, e->fts_path, NULL);
		break;
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		err_set(&err, ERR_IO, "cannot read it: %s", strerror(e->fts_errno));
		fn(arg, e->fts_path, &err);
		break;
	default:
		break;
	}
}

int beside_walk(const char *folder, beside_fn *fn, void *arg, struct err *err)
{
	char *const paths[] = { (char *)folder, NULL };
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_COMFOLLOW, by_name);
	FTSENT *e;

	if (!fts)
		return err_errno(err, "cannot read the folder %s", folder);
	while ((e = fts_read(fts)))
		visit(fts, e, fn, arg);
	fts_close(fts);
	return 0;
}

void beside_put_broken(struct crossdag *x, const char *path)
{
	struct buf text;

	buf_init(&text, BUF_MAX_TEXT);
	char *name = io_read_file(path, &text, NULL) == 0 ? dagfile_name_of(text.data) : NULL;
	if (name)
		crossdag_put_unknown(x, name);
	free(name);
	buf_release(&text);
}

static void put_file(void *arg, const char *path, const struct err *why)
{
	const struct dagfile_env env = { .operators = cli_operators() };
	struct diags d;
	struct buf text;

	buf_init(&text, BUF_MAX_TEXT);
	if (!why && io_read_file(path, &text, NULL) == 0 && dagfile_looks_like_dag(text.data)) {
		diags_init(&d);
		struct dag *dag = dagfile_load(path, &env, &d);
		if (dag)
			crossdag_put(arg, dag);
		else
			beside_put_broken(arg, path);
		dag_unref(dag);
		diags_release(&d);
	}
	buf_release(&text);
}

int beside_check(const struct dag *dag, const char *folder, struct diags *diags, struct err *err)
{
	struct crossdag *x;
	int rc = -1;

	if (!crossdag_says(dag))
		return 0;
	x = crossdag_new();
	if (!x) {
		err_nomem(err);
	} else if (beside_walk(folder, put_file, x, err) == 0) {
		rc = crossdag_put(x, dag) < 0 ? err_nomem(err) : 0;
		if (rc == 0)
			crossdag_check(x, dag->name, folder, diags);
	}
	crossdag_free(x);
	return rc;
}
