#include "cli/home.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "cli/command.h"
#include "cli/term.h"
#include "conf/config.h"
#include "conf/diag.h"
#include "core/model.h"
#include "data/conn.h"
#include "operators/operators.h"
#include "run/paths.h"
#include "store/store.h"

/* ---- WEIR_HOME ----------------------------------------------------------------------- */

static const char *env(const char *name)
{
	const char *text = getenv(name);

	return text && *text ? text : NULL;
}

static char *absolute(const char *path, struct err *err)
{
	char *cwd = NULL, *ret;

	if (*path != '/' && !(cwd = getcwd(NULL, 0))) {
		err_errno(err, "cannot find the current folder");
		return NULL;
	}
	ret = io_path_join(cwd ? cwd : "/", path);
	free(cwd);
	if (!ret)
		err_nomem(err);
	return ret;
}

/* base/rel, for a base that the XDG Base Directory Specification wants absolute. */
static char *below(const char *base, const char *rel, struct err *err)
{
	char *ret = io_path_join(base, rel);

	if (!ret)
		err_nomem(err);
	return ret;
}

char *cli_home(const struct args *a, struct err *err)
{
	const char *given = args_text(a, "home");
	const char *state = env("XDG_STATE_HOME"), *home = env("HOME");

	if (!given)
		given = env("WEIR_HOME");
	if (given)
		return absolute(given, err);
	if (state && *state == '/')
		return below(state, "weir", err);
	if (home)
		return below(home, ".local/state/weir", err);
	err_set(err, ERR_USAGE,
		"no place for the state: set WEIR_HOME or HOME, or give --home DIR");
	return NULL;
}

int cli_store_open(const struct args *a, struct store **ret, struct err *err)
{
	char *home = NULL, *path = NULL;
	int rc = -1;

	if (!(home = cli_home(a, err)))
		return -1;
	if (!(path = paths_store(home))) {
		err_nomem(err);
		goto out;
	}
	rc = store_open_sqlite(ret, path, STORE_READ_ONLY, err);
	if (rc < 0 && err->code == ERR_NOT_FOUND)
		err_set(err, ERR_NOT_FOUND,
			"nothing was run yet in %s; start with \"weir run DAG_FILE\", or name the "
			"folder of the state by --home or WEIR_HOME",
			home);
out:
	free(path);
	free(home);
	return rc;
}

/* ---- operators ----------------------------------------------------------------------- */

static const struct field *operator_params(enum task_kind kind, const char *name)
{
	const struct operator* op = operator_find(kind, name);

	return op ? op->params : NULL;
}

static const char *const *operator_names(enum task_kind kind)
{
	enum { MOST = 64 };
	static const char *names[TASK_KIND_MAX][MOST];
	static bool filled;
	size_t n[TASK_KIND_MAX] = { 0 };

	for (size_t i = 0; !filled && operators[i]; i++) {
		enum task_kind k = operators[i]->kind;
		if (n[k] < MOST - 1)
			names[k][n[k]++] = operators[i]->name;
	}
	filled = true;
	return names[kind];
}

static void operator_check(
	const struct task *task, const struct node *with, const char *dir, struct diags *diags)
{
	const struct operator* op = operator_find(task->kind, task->op);
	struct operator_check c = { .task = task, .with = with, .dir = dir, .diags = diags };

	if (op && op->check)
		op->check(&c);
}

static const struct dagfile_operators registry = {
	.params = operator_params,
	.names = operator_names,
	.check = operator_check,
};

const struct dagfile_operators *cli_operators(void)
{
	return &registry;
}

/* ---- configuration and DAG ----------------------------------------------------------- */

void cli_print_diags(const struct args *a, struct diags *diags)
{
	struct term t;
	struct buf text;

	if (diags->nerrors + diags->nwarnings == 0)
		return;
	term_init(&t, stderr, a);
	buf_init(&text, BUF_MAX_TEXT);
	diags_print(diags, &text, t.colour);
	term_write(&t, &text);
	buf_release(&text);
}

const struct config_conn_type *cli_connection_types(void)
{
	enum { MOST = 32 };
	static struct config_conn_type types[MOST + 1];

	for (size_t i = 0; conn_types[i] && i < MOST; i++)
		types[i] = (struct config_conn_type){ conn_types[i]->name, conn_types[i]->fields };
	return types;
}

struct config *cli_load_config(
	const struct args *a, const char *dir, struct diags *diags, struct err *err)
{
	struct config *ret;

	err_clear(err);
	char *path = config_find(args_text(a, "config"), dir, err);
	if (!path && err->code != ERR_NONE)
		return NULL;
	ret = path ? config_load(path, cli_connection_types(), diags) : config_empty();
	if (!ret && !path)
		err_nomem(err);
	free(path);
	return ret;
}

static int invalid(const char *path, const struct diags *diags, struct err *err)
{
	return err_set(err, ERR_INVALID, "%s cannot be used: %zu error%s", path, diags->nerrors,
		diags->nerrors == 1 ? "" : "s");
}

int cli_load_dag(const struct args *a, const char *path, bool check_files, struct cli_dag *ret,
	struct err *err)
{
	struct diags diags;
	struct dagfile_env dag_env = { .operators = cli_operators(), .check_files = check_files };
	char *dir = NULL;
	int rc = -1;

	*ret = (struct cli_dag){ 0 };
	diags_init(&diags);
	if (!(dir = io_path_dir(path))) {
		err_nomem(err);
		goto out;
	}
	/* A file that is not there is told below, also where its folder is not there either. */
	ret->config = io_exists(dir) ? cli_load_config(a, dir, &diags, err) : config_empty();
	if (!ret->config) {
		if (diags.nerrors)
			invalid("weir.yaml", &diags, err);
		else if (!io_exists(dir))
			err_nomem(err);
		goto out;
	}
	dag_env.config = ret->config;
	ret->dag = dagfile_load(path, &dag_env, &diags);
	rc = ret->dag ? 0 : invalid(path, &diags, err);
out:
	cli_print_diags(a, &diags);
	if (rc < 0)
		cli_dag_release(ret);
	diags_release(&diags);
	free(dir);
	return rc;
}

void cli_dag_release(struct cli_dag *d)
{
	dag_unref(d->dag);
	config_free(d->config);
	*d = (struct cli_dag){ 0 };
}
