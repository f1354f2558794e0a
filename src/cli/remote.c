#include "cli/remote.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/near.h"
#include "base/utf8.h"
#include "cli/term.h"
#include "conf/config.h"
#include "conf/diag.h"
#include "core/breaker.h"
#include "core/model.h"
#include "core/sched.h"
#include "http/client.h"
#include "http/route.h"
#include "run/catalog.h"
#include "run/daemon.h"
#include "run/ops.h"
#include "run/paths.h"
#include "store/store.h"

/* Of packaging/systemd: where the unit has its state. */
#define SERVICE_HOME "/var/lib/weir"

enum { PATH_MAX_LEN = 4096, NAMES_MAX = 100000 };

/* ---- who asks, and whom ---------------------------------------------------------------- */

static void name_self(char *buf, size_t size)
{
	const struct passwd *pw = getpwuid(getuid());
	char host[128] = "";

	gethostname(host, sizeof host - 1);
	if (pw)
		snprintf(buf, size, "%s@%s", pw->pw_name, host);
	else
		snprintf(buf, size, "uid %ld@%s", (long)getuid(), host);
	utf8_clean(buf, strlen(buf));
}

int remote_open(
	struct remote *r, const struct args *args, enum remote_access access, struct err *err)
{
	*r = (struct remote){ .args = args, .access = access };
	name_self(r->by, sizeof r->by);
	if (!(r->home = cli_home(args, err)))
		return -1;
	if (!(r->socket_path = daemon_socket_path(r->home)))
		return err_nomem(err);
	r->daemon = http_daemon_listens(r->socket_path);
	return 0;
}

void remote_close(struct remote *r)
{
	cli_dag_release(&r->loaded);
	config_free(r->config);
	config_free(r->here);
	catalog_free(r->dags);
	store_close(r->store);
	free(r->socket_path);
	free(r->home);
	*r = (struct remote){ 0 };
}

static int open_store(struct remote *r, struct err *err)
{
	bool writes = r->access == REMOTE_WRITES;
	char *path = paths_store(r->home);
	int rc = -1;

	if (!path)
		err_nomem(err);
	else if (!writes || paths_make_home(r->home, err) == 0)
		rc = store_open_sqlite(
			&r->store, path, writes ? STORE_CREATE : STORE_READ_ONLY, err);
	if (rc < 0 && path && !writes && err->code == ERR_NOT_FOUND)
		rc = store_open_memory(&r->store, err);
	free(path);
	return rc;
}

/* Keep where the DAG is, so that its name alone tells next time, and its times are shown in its
 * zone. A daemon knows better. What was asked for is recorded already: it does not fail for this.
 */
static void remember(struct remote *r)
{
	const struct dag *dag = r->loaded.dag;
	struct store_result found;
	const struct dag_put put = { .name = dag->name,
		.path = dag->path,
		.dir = dag->dir,
		.version = dag->hash,
		.present = true };

	if (r->access != REMOTE_WRITES || store_dags(r->store, dag->name, &found, NULL) < 0)
		return;
	bool known = found.n && found.dags[0].path;
	store_result_release(&found);
	if (!known)
		store_dags_put(r->store, &put, 1, clock_now_us(), NULL);
}

/* ---- DAGs, where no daemon knows them -------------------------------------------------- */

static bool is_path(const char *word)
{
	size_t n = strlen(word);

	return strchr(word, '/') || (n > 5 && strcmp(word + n - 5, ".yaml") == 0) ||
	       (n > 4 && strcmp(word + n - 4, ".yml") == 0);
}

static int load_file(struct remote *r, const char *path, struct err *err)
{
	struct cli_dag dag;

	if (cli_load_dag(r->args, path, true, &dag, err) < 0)
		return -1;
	cli_dag_release(&r->loaded);
	r->loaded = dag;
	return 0;
}

int remote_dag(struct remote *r, const char *word, const char **ret, struct err *err)
{
	if (!is_path(word)) {
		*ret = word;
		return 0;
	}
	if (load_file(r, word, err) < 0)
		return -1;
	*ret = r->loaded.dag->name;
	return 0;
}

static int unknown(
	const char *name, const char *const *names, size_t n, const char *where, struct err *err)
{
	const char *near = near_find(name, names, n);

	if (near)
		return err_set(err, ERR_NOT_FOUND, "%s no DAG \"%.128s\"; did you mean \"%s\"?",
			where, name, near);
	return err_set(err, ERR_NOT_FOUND,
		"%s no DAG \"%.128s\"; give the path of its file, or its folder by --dags", where,
		name);
}

/* Errors of other files of the folder are not ours to tell. */
static struct dag *find_in_folder(struct remote *r, const char *name, struct err *err)
{
	const struct catalog_dag *d = catalog_find(r->dags, name);
	const struct config *config;
	size_t n = 0, max = catalog_count(r->dags);

	if (d && d->error) {
		err_set(err, ERR_INVALID, "%s cannot be used: %s", d->path, d->error);
		return NULL;
	}
	if (d)
		return catalog_load(r->dags, d, &config, err);
	const char **names = calloc(max + 1, sizeof *names);
	for (d = catalog_next(r->dags, NULL); names && d && n < max; d = catalog_next(r->dags, d))
		names[n++] = d->name;
	char where[PATH_MAX_LEN];
	snprintf(where, sizeof where, "folder %.3000s has", catalog_folder(r->dags));
	unknown(name, names, n, where, err);
	free(names);
	return NULL;
}

static int open_folder(struct remote *r, const char *folder, struct err *err)
{
	const struct catalog_env env = { .operators = cli_operators(),
		.conn_types = cli_connection_types(),
		.config_path = args_text(r->args, "config") };

	if (catalog_new(&r->dags, folder, &env, err) < 0)
		return -1;
	return catalog_scan(r->dags, err) < 0 ? -1 : 0;
}

/* What a near name is looked for in: DAGs of runs, and those a daemon knew. */
static int unknown_to_store(struct remote *r, const char *name, struct err *err)
{
	const struct run_filter f = { .state = -1, .latest_per_dag = true };
	struct store_result dags = { .n = 0 }, runs = { .n = 0 };
	const char **names = NULL;
	size_t n = 0;
	int rc = -1;

	if (store_dags(r->store, NULL, &dags, err) < 0 || store_runs(r->store, &f, &runs, err) < 0)
		goto out;
	if (!(names = calloc(dags.n + runs.n + 1, sizeof *names))) {
		err_nomem(err);
		goto out;
	}
	for (size_t i = 0; i < dags.n; i++)
		names[n++] = dags.dags[i].name;
	for (size_t i = 0; i < runs.n; i++)
		names[n++] = runs.runs[i].dag;
	rc = unknown(name, names, n, "this WEIR_HOME knows", err);
out:
	free(names);
	store_result_release(&dags);
	store_result_release(&runs);
	return rc;
}

/* The file of a DAG: where a daemon found it, else where it was last run from. Owned; NULL with
 * err. */
static char *path_in_store(struct remote *r, const char *name, struct err *err)
{
	const struct run_filter f = { .dag = name, .state = -1, .limit = 1 };
	struct store_result found;
	char *path = NULL;

	if (store_dags(r->store, name, &found, err) < 0)
		return NULL;
	bool known = found.n && found.dags[0].path && found.dags[0].path[0];
	if (known)
		path = io_path_join(found.dags[0].dir ? found.dags[0].dir : "/",
			found.dags[0].dir ? io_path_base(found.dags[0].path) : found.dags[0].path);
	store_result_release(&found);
	if (known || store_runs(r->store, &f, &found, err) < 0)
		return path;
	known = found.n > 0;
	if (known)
		path = io_path_join(found.runs[0].dag_dir, io_path_base(found.runs[0].dag_path));
	store_result_release(&found);
	if (!known)
		unknown_to_store(r, name, err);
	else if (!path)
		err_nomem(err);
	return path;
}

static struct dag *find_by_store(struct remote *r, const char *name, struct err *err)
{
	char *path = path_in_store(r, name, err);
	int rc = -1;

	if (!path)
		return NULL;
	if (!io_exists(path))
		err_set(err, ERR_NOT_FOUND,
			"DAG %s was in %s, which is gone; give the path of its file, or its "
			"folder by --dags",
			name, path);
	else
		rc = load_file(r, path, err);
	if (rc == 0 && strcmp(r->loaded.dag->name, name) != 0)
		rc = err_set(err, ERR_NOT_FOUND,
			"DAG %s was in %s, which now holds DAG %s; give the path of its file, or "
			"its folder by --dags",
			name, path, r->loaded.dag->name);
	free(path);
	return rc == 0 ? dag_ref(r->loaded.dag) : NULL;
}

static struct dag *find_dag(void *arg, const char *name, struct err *err)
{
	struct remote *r = arg;
	const char *folder = args_text(r->args, "dags");

	if (r->loaded.dag && strcmp(r->loaded.dag->name, name) == 0)
		return dag_ref(r->loaded.dag);
	if (folder && !r->dags && open_folder(r, folder, err) < 0)
		return NULL;
	return r->dags ? find_in_folder(r, name, err) : find_by_store(r, name, err);
}

/* The DAG as a run began with it. Its folder may be gone, and what files it names with it. */
static struct dag *load_version(void *arg, const struct run_row *run, struct err *err)
{
	struct remote *r = arg;
	struct dagfile_env env = { .operators = cli_operators() };
	struct diags diags;
	struct dag *dag = NULL;
	char *text = NULL;

	if (store_version_text(r->store, run->version, &text, err) < 0)
		return NULL;
	diags_init(&diags);
	config_free(r->config);
	r->config = io_exists(run->dag_dir) ? cli_load_config(r->args, run->dag_dir, &diags, err)
					    : config_empty();
	env.config = r->config;
	if (r->config)
		dag = dagfile_load_text(run->dag_path, run->dag_dir, text, &env, &diags);
	if (!dag) {
		cli_print_diags(r->args, &diags);
		err_set(err, ERR_INVALID,
			"the version of DAG %s that run %s has cannot be loaded any more", run->dag,
			run->name);
	}
	diags_release(&diags);
	free(text);
	return dag;
}

struct dag *remote_find_dag(struct remote *r, const char *name, struct err *err)
{
	if (!r->store && open_store(r, err) < 0)
		return NULL;
	return find_dag(r, name, err);
}

/* ---- calling --------------------------------------------------------------------------- */

/* The weir.yaml nearest to this folder; NULL: it cannot be read. */
static const struct config *config_here(struct remote *r)
{
	struct diags diags;
	struct err err = { 0 };

	diags_init(&diags);
	if (!r->here)
		r->here = cli_load_config(r->args, ".", &diags, &err);
	diags_release(&diags);
	return r->here;
}

/* The breakers of weir.yaml; what they know is in the store. */
static void each_breaker(void *arg, void (*fn)(void *ctx, const struct sched_breaker *b), void *ctx)
{
	struct remote *r = arg;
	struct breaker_policy p;

	const char *const *names = config_here(r) ? config_breakers(r->here) : NULL;
	for (; names && *names; names++)
		if (config_breaker(r->here, *names, &p))
			fn(ctx, &(struct sched_breaker){ .name = *names, .policy = &p });
}

static const struct alerts *alerts_here(void *arg)
{
	return config_here(arg) ? config_alerts(config_here(arg)) : NULL;
}

static int call_local(struct remote *r, const struct ops_call *call,
	const struct ops_target *target, const json_t *body, json_t **ret, struct err *err)
{
	struct ops ops = { .find_dag = find_dag,
		.load_version = load_version,
		.each_breaker = each_breaker,
		.alerts = alerts_here,
		.arg = r,
		.by = r->by };

	if (!r->store && open_store(r, err) < 0)
		return -1;
	ops.store = r->store;
	if (call->call(&ops, target, body, ret, err) < 0)
		return -1;
	if (r->loaded.dag)
		remember(r);
	return 0;
}

static const char *value_of(const struct ops_target *t, const char *name, char *number, size_t size)
{
	if (strncmp(name, "dag}", 4) == 0)
		return t->dag;
	if (strncmp(name, "task}", 5) == 0)
		return t->task;
	if (strncmp(name, "run}", 4) == 0)
		return t->run;
	if (strncmp(name, "breaker}", 8) == 0)
		return t->breaker;
	if (strncmp(name, "dataset}", 8) == 0)
		return t->dataset;
	snprintf(number, size, "%lld", (long long)t->id);
	return number;
}

/* "/v1/dags/{dag}/pause" with its values, encoded. */
static void add_path(struct buf *out, const char *path, const struct ops_target *target)
{
	char number[32];

	for (const char *s = path; *s; s++) {
		if (*s != '{') {
			buf_addc(out, *s);
			continue;
		}
		http_add_encoded(out, value_of(target, s + 1, number, sizeof number));
		s = strchr(s, '}');
	}
}

static int call_daemon(struct remote *r, const struct ops_call *call,
	const struct ops_target *target, json_t *body, json_t **ret, int *ret_status,
	struct err *err)
{
	struct buf path;
	json_t *sent = call->body ? json_copy(body) : NULL;
	int rc = -1;

	buf_init(&path, PATH_MAX_LEN);
	add_path(&path, call->path, target);
	if (sent)
		json_object_set_new(sent, "by", json_string(r->by));
	const struct http_call c = { .socket_path = r->socket_path,
		.method = call->method,
		.path = path.data,
		.body = sent };
	*ret_status = 0;
	if (buf_ok(&path, "the request's path", err) == 0)
		rc = http_call(&c, ret_status, ret, err);
	json_decref(sent);
	buf_release(&path);
	return rc;
}

int remote_call(struct remote *r, enum ops_call_id id, const struct ops_target *target,
	json_t *body, json_t **ret, struct err *err)
{
	const struct ops_call *call = &ops_calls[id];
	int status;

	if (r->daemon) {
		if (call_daemon(r, call, target, body, ret, &status, err) == 0)
			return 0;
		/* It went away since it was looked for: then nothing was asked yet. */
		if (err->code != ERR_NOT_FOUND || status != 0)
			return -1;
		r->daemon = false;
		err_clear(err);
	}
	return call_local(r, call, target, body, ret, err);
}

/* ---- what the commands share ------------------------------------------------------------ */

static int add_param(json_t *params, const char *text, struct err *err)
{
	const char *is = strchr(text, '=');

	if (!is || is == text)
		return err_set(err, ERR_USAGE, "--param %.100s: write it as NAME=VALUE", text);
	char *name = strndup(text, (size_t)(is - text));
	json_t *value = json_string(is + 1);
	int rc = 0;
	if (!value)
		rc = err_set(err, ERR_USAGE, "--param %.100s: the value is not UTF-8", name);
	else if (!name || json_object_set(params, name, value) < 0)
		rc = err_set(err, ERR_USAGE, "--param %.100s: the name is not UTF-8", text);
	json_decref(value);
	free(name);
	return rc;
}

json_t *remote_body(const struct args *args, struct err *err)
{
	const char *reason = args_text(args, "reason"), *param;
	json_t *body = json_object(), *params = json_object(), *why = json_string(reason);
	int rc = 0;

	if (reason && !why)
		rc = err_set(err, ERR_USAGE, "--reason: it is not UTF-8");
	for (size_t i = 0; rc == 0 && (param = args_nth(args, "param", i)); i++)
		rc = add_param(params, param, err);
	if (rc == 0 && reason)
		json_object_set(body, "reason", why);
	if (rc == 0 && json_object_size(params))
		json_object_set(body, "params", params);
	json_decref(why);
	json_decref(params);
	if (rc == 0 && body)
		return body;
	if (rc == 0)
		err_nomem(err);
	json_decref(body);
	return NULL;
}

void remote_add_hint(const char *home, struct buf *out)
{
	/* A folder we may not look into hides it, and is there. */
	if (strcmp(home, SERVICE_HOME) != 0 &&
		(access(SERVICE_HOME "/weir.db", F_OK) == 0 || errno == EACCES))
		buf_addstr(out, "The service keeps its state in " SERVICE_HOME
				": sudo -u weir WEIR_HOME=" SERVICE_HOME " weir status\n");
}

void remote_add_note(const struct remote *r, struct buf *out)
{
	if (r->daemon)
		return;
	buf_addf(out,
		"Recorded in %s; no daemon is running on it: it is carried out when one starts.\n",
		r->home);
	remote_add_hint(r->home, out);
}

int remote_print_json(const struct remote *r, json_t *answer, struct err *err)
{
	json_object_set_new(answer, "daemon", json_boolean(r->daemon));
	return cli_print_json(answer, err);
}

int remote_print(const struct remote *r, json_t *answer, remote_words_fn *words, struct err *err)
{
	struct term t;
	struct buf out;

	if (args_has(r->args, "json"))
		return remote_print_json(r, answer, err);
	if (r->access == REMOTE_READS || !args_has(r->args, "quiet")) {
		term_init(&t, stdout, r->args);
		buf_init(&out, 64u << 20);
		words(r, answer, &t, &out);
		term_write(&t, &out);
		buf_release(&out);
	}
	json_decref(answer);
	return 0;
}

int remote_one(const struct args *args, const struct remote_one *one,
	const struct ops_target *target, json_t *body, struct err *err)
{
	struct remote r;
	json_t *answer;
	int rc = -1;

	if (!body)
		return -1;
	if (remote_open(&r, args, one->access, err) == 0 &&
		remote_call(&r, one->call, target, body, &answer, err) == 0)
		rc = remote_print(&r, answer, one->words, err);
	remote_close(&r);
	json_decref(body);
	return rc;
}

int remote_show(
	const struct args *args, enum ops_call_id call, remote_words_fn *words, struct err *err)
{
	const struct remote_one one = { call, REMOTE_READS, words };

	return remote_one(args, &one, &(struct ops_target){ 0 }, json_object(), err);
}
