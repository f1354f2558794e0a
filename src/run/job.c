#include "run/job.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/err.h"
#include "base/io.h"
#include "base/node.h"
#include "conf/config.h"
#include "conf/template.h"
#include "core/model.h"
#include "core/zone.h"
#include "operators/operators.h"
#include "run/control_wait.h"
#include "run/paths.h"
#include "run/secrets.h"

enum { JOB_MAX = 16 << 20, COMMAND_MAX = 1 << 20, WORDS_MAX = 4096, ITEM_VARIABLES = 2 };

static int index_of(const struct job_attempt *a)
{
	return a->item ? a->map_index : -1;
}

struct template_context job_template_context(
	const struct job_context *c, const struct job_attempt *a)
{
	return (struct template_context){ .dag = c->dag->name,
		.model = c->dag,
		.task = a->task->name,
		.run_id = c->run,
		.interval_start_us = c->interval_start_us,
		.interval_end_us = c->interval_end_us,
		.zone = c->zone,
		.params = c->params,
		.outputs = c->outputs,
		.task_try = a->try,
		.map_index = index_of(a),
		.item = a->item,
		.token = a->token,
		.now_us = a->now_us };
}

/* ---- commands ------------------------------------------------------------------------- */

/* How a shell is called with a script. -e: a script stops at its first failing command, so that
 * a failure in its middle is one of the task. */
static const struct shell {
	const char *name;
	const char *argv[4];
} shells[] = {
	{ "sh", { "/bin/sh", "-ec" } },
	{ "bash", { "bash", "-eo", "pipefail", "-c" } },
	{ "dash", { "dash", "-ec" } },
	{ "zsh", { "zsh", "-ec" } },
	{ "ksh", { "ksh", "-ec" } },
	{ "python3", { "python3", "-c" } },
};

/* Words that only a shell knows (POSIX XCU 2.9.1.4 and 2.14, and keywords). */
static const char *const shell_words[] = { ".", ":", "[[", "alias", "bg", "break", "case", "cd",
	"command", "continue", "eval", "exec", "exit", "export", "fc", "fg", "for", "getopts",
	"hash", "if", "jobs", "local", "read", "readonly", "return", "set", "shift", "source",
	"times", "trap", "type", "ulimit", "umask", "unalias", "unset", "until", "wait", "while" };

static bool is_shell_word(const char *text, size_t len)
{
	for (size_t i = 0; i < sizeof shell_words / sizeof *shell_words; i++)
		if (strlen(shell_words[i]) == len && memcmp(shell_words[i], text, len) == 0)
			return true;
	return false;
}

/* A plain command, words and blanks only, needs no shell between Weir and itself. */
static bool needs_shell(const char *text)
{
	if (strpbrk(text, "|&;<>()$`\\\"'*?[]#~=%!{}\n\r"))
		return true;
	text += strspn(text, " \t");
	return is_shell_word(text, strcspn(text, " \t"));
}

static const char **split_words(struct arena *arena, const char *text)
{
	size_t n = 0;
	char *words = arena_strdup(arena, text), *rest = NULL;
	const char **argv = arena_array(arena, strlen(text) / 2 + 2, sizeof *argv);

	if (!words || !argv)
		return NULL;
	for (char *word = strtok_r(words, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest))
		argv[n++] = word;
	return argv;
}

static const char **shell_argv(struct arena *arena, const char *name, const char *script)
{
	const char **argv = arena_array(arena, 6, sizeof *argv);
	const struct shell *known = NULL;
	size_t n = 0;

	if (!argv)
		return NULL;
	for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
		if (strcmp(shells[i].name, name) == 0)
			known = &shells[i];
	if (known) {
		for (; n < 4 && known->argv[n]; n++)
			argv[n] = known->argv[n];
	} else {
		argv[n++] = name;
		argv[n++] = "-c";
	}
	argv[n] = script;
	return argv;
}

static char *render_in(
	struct arena *arena, const char *text, const struct template_context *tc, struct err *err)
{
	struct buf out;
	char *copy = NULL;

	buf_init(&out, COMMAND_MAX);
	if (template_text(text, tc, &out, err) == 0 && buf_ok(&out, "a rendered text", err) == 0) {
		copy = arena_strndup(arena, out.data, out.len);
		if (!copy)
			err_nomem(err);
	}
	buf_release(&out);
	return copy;
}

static char *render_node(struct arena *arena, const struct node *n,
	const struct template_context *tc, struct err *err)
{
	char *text = render_in(arena, node_text(n) ? node_text(n) : "", tc, err);

	if (!text)
		err_where(err, n->source->path, n->line, n->col);
	return text;
}

static const char **list_argv(struct arena *arena, const struct node *list,
	const struct template_context *tc, struct err *err)
{
	const char **argv = arena_array(arena, list->n + 1, sizeof *argv);

	for (size_t i = 0; argv && i < list->n; i++) {
		argv[i] = render_node(arena, list->items[i], tc, err);
		if (!argv[i])
			return NULL;
	}
	return argv;
}

static const char **build_argv(struct arena *arena, const struct task *t,
	const struct template_context *tc, struct err *err)
{
	const char **argv;

	if (t->run->type == NODE_SEQ) {
		argv = list_argv(arena, t->run, tc, err);
	} else {
		char *text = render_node(arena, t->run, tc, err);
		if (!text)
			return NULL;
		bool none = t->shell && strcmp(t->shell, "none") == 0;
		if (none || (!t->shell && !needs_shell(text)))
			argv = split_words(arena, text);
		else
			argv = shell_argv(arena, t->shell ? t->shell : "sh", text);
	}
	if (argv && argv[0])
		return argv;
	if (argv)
		err_set(err, ERR_INVALID, "the command is empty");
	else if (err && err->code == ERR_NONE)
		err_nomem(err);
	return NULL;
}

/* ---- environment ---------------------------------------------------------------------- */

struct env {
	struct arena *arena;
	const char **list;
	size_t n, cap;
	json_t *secrets;
};

static int env_set(struct env *e, const char *name, const char *value)
{
	size_t len = strlen(name);
	char *entry = arena_printf(e->arena, "%s=%s", name, value);

	if (!entry)
		return -1;
	for (size_t i = 0; i < e->n; i++)
		if (strncmp(e->list[i], name, len) == 0 && e->list[i][len] == '=') {
			e->list[i] = entry;
			return 0;
		}
	if (e->n + 1 >= e->cap)
		return -1;
	e->list[e->n++] = entry;
	return 0;
}

static const char *instant_text(
	struct arena *arena, const struct zone *zone, int64_t at_us, bool compact)
{
	struct civil civil;
	struct zone_info info;
	struct buf out;

	buf_init(&out, 64);
	zone_to_civil(zone, at_us, &civil, &info);
	if (compact)
		civil_strftime(&out, &civil, 0, "Z", "%Y%m%dT%H%M%SZ", NULL);
	else
		civil_add_rfc3339(&out, &civil, info.offset_s);
	char *text = arena_strdup(arena, out.data);
	buf_release(&out);
	return text;
}

/* What a Weir around this one said of its own task is not said of ours, nor what systemd says to
 * the daemon. */
static bool is_own_variable(const char *entry)
{
	static const char *const names[] = { "WEIR_DAG=", "WEIR_TASK=", "WEIR_RUN_ID=", "WEIR_TRY=",
		"WEIR_TOKEN=", "WEIR_DS=", "WEIR_INTERVAL_",
		"WEIR_IDEMPOTENCY_KEY=", "WEIR_OUTPUT=", "WEIR_MAP_INDEX=", "WEIR_ITEM=",
		"WEIR_HOME=", "WEIR_CGROUP=", "WEIR_TEST_",
		"NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID=", "LISTEN_FDS=", "LISTEN_PID=" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strncmp(entry, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

int job_prepare(const struct job_context *c, struct job_prepared *ret, struct err *err)
{
	struct arena *arena = &ret->arena;
	size_t n = 0;

	*ret = (struct job_prepared){ 0 };
	arena_init(arena, JOB_MAX);
	ret->start_utc = instant_text(arena, zone_utc(), c->interval_start_us, false);
	ret->end_utc = instant_text(arena, zone_utc(), c->interval_end_us, false);
	ret->interval = arena_printf(arena, "%s.%s",
		instant_text(arena, zone_utc(), c->interval_start_us, true),
		instant_text(arena, zone_utc(), c->interval_end_us, true));
	while (environ[n])
		n++;
	const char *const own[] = { arena_printf(arena, "WEIR_DAG=%s", c->dag->name),
		arena_printf(arena, "WEIR_RUN_ID=%s", c->run),
		arena_printf(arena, "WEIR_DS=%s", c->ds),
		arena_printf(arena, "WEIR_HOME=%s", c->home),
		arena_printf(arena, "WEIR_INTERVAL_START=%s",
			instant_text(arena, c->zone, c->interval_start_us, false)),
		arena_printf(arena, "WEIR_INTERVAL_END=%s",
			instant_text(arena, c->zone, c->interval_end_us, false)) };
	size_t nown = sizeof own / sizeof *own;
	ret->env = arena_array(arena, n + nown + 1, sizeof *ret->env);
	for (size_t i = 0; ret->env && i < n; i++)
		if (!is_own_variable(environ[i]))
			ret->env[ret->nenv++] = environ[i];
	for (size_t i = 0; ret->env && i < nown; i++)
		ret->env[ret->nenv++] = own[i];
	if (!arena->failed)
		return 0;
	job_prepared_release(ret);
	return err_nomem(err);
}

void job_prepared_release(struct job_prepared *p)
{
	if (p)
		arena_release(&p->arena);
}

/* The same work, whichever attempt does it. */
static const char *key_text(struct arena *arena, const struct job_context *c,
	const struct job_prepared *p, const struct job_attempt *a)
{
	char of[16] = "";

	if (a->item)
		snprintf(of, sizeof of, "@%d", a->map_index);
	return arena_printf(arena, "%s.%s%s.%s", c->dag->name, a->task->name, of, p->interval);
}

/* What an instance of a mapped task works on: a text as it is, anything else as JSON. */
static void add_item(struct env *e, const struct job_attempt *a)
{
	const char *text = json_string_value(a->item);
	char *dump = text ? NULL : json_dumps(a->item, JSON_COMPACT | JSON_ENCODE_ANY);

	e->list[e->n++] = arena_printf(e->arena, "WEIR_MAP_INDEX=%d", a->map_index);
	e->list[e->n++] = arena_printf(e->arena, "WEIR_ITEM=%s", text ? text : dump ? dump : "");
	free(dump);
}

/* The environment of one attempt: that of the run, what is said of the task. */
static int env_init(struct env *e, const struct job_context *c, const struct job_prepared *p,
	const struct job_attempt *a, const char *output_path)
{
	struct arena *arena = e->arena;
	const char *const own[] = { arena_printf(arena, "WEIR_TASK=%s", a->task->name),
		arena_printf(arena, "WEIR_TRY=%d", a->try),
		arena_printf(arena, "WEIR_TOKEN=%lld", (long long)a->token),
		arena_printf(arena, "WEIR_IDEMPOTENCY_KEY=%s", key_text(arena, c, p, a)),
		arena_printf(arena, "WEIR_OUTPUT=%s", output_path) };
	size_t nown = sizeof own / sizeof *own;

	e->cap = p->nenv + nown + ITEM_VARIABLES + (a->task->env ? a->task->env->n : 0) + 1;
	e->list = arena_array(arena, e->cap, sizeof *e->list);
	e->secrets = json_array();
	if (!e->list || !e->secrets)
		return -1;
	memcpy(e->list, p->env, p->nenv * sizeof *e->list);
	memcpy(e->list + p->nenv, own, sizeof own);
	e->n = p->nenv + nown;
	if (a->item)
		add_item(e, a);
	return arena->failed ? -1 : 0;
}

/* The task's own `env:`: text with templates, or a secret. */
static int set_task_variable(struct env *e, const struct job_context *c, const struct node *key,
	const struct node *value, const struct template_context *tc, struct err *err)
{
	if (value->type != NODE_MAP) {
		char *text = render_node(e->arena, value, tc, err);
		if (!text)
			return -1;
		return env_set(e, key->text, text) < 0 ? err_nomem(err) : 0;
	}
	char *secret = config_secret(value, c->dag->dir, err);
	if (!secret)
		return err_where(err, value->source->path, value->line, value->col);
	json_t *marked = json_string(secret);
	int rc = 0;
	if (!marked)
		rc = err_set(err, ERR_INVALID, "the secret is not valid UTF-8");
	else if (env_set(e, key->text, secret) < 0 || json_array_append(e->secrets, marked) < 0)
		rc = err_nomem(err);
	json_decref(marked);
	free(secret);
	return rc;
}

static int add_task_variables(
	struct env *e, const struct job_context *c, const struct job_attempt *a, struct err *err)
{
	const struct node *own = a->task->env;
	struct template_context tc = job_template_context(c, a);

	for (size_t i = 0; own && own->type == NODE_MAP && i < own->n; i++)
		if (set_task_variable(e, c, own->keys[i], own->items[i], &tc, err) < 0)
			return err_context(err, "env.%s", own->keys[i]->text);
	return 0;
}

/* The secrets as the executor wants them; NULL when there are none. */
static const char *const *secret_list(struct arena *arena, const json_t *secrets)
{
	size_t n = json_array_size(secrets);
	const char **list = n ? arena_array(arena, n + 1, sizeof *list) : NULL;

	for (size_t i = 0; list && i < n; i++)
		list[i] = arena_strdup(arena, json_string_value(json_array_get(secrets, i)));
	return list;
}

/* ---- operators ------------------------------------------------------------------------ */

static void collect(const struct field *f, const json_t *value, json_t *names);

static void collect_object(const struct field *fields, const json_t *object, json_t *names)
{
	for (const struct field *f = fields; f && f->key; f++)
		collect(f, json_object_get(object, f->key), names);
}

/* Add the connections that a rendered parameter names. */
static void collect(const struct field *f, const json_t *value, json_t *names)
{
	const char *text = json_string_value(value), *key;
	size_t i;
	json_t *item;

	if (!value)
		return;
	switch (f->type) {
	case FIELD_CONNECTION:
		if (text)
			json_object_set_new(names, text, json_null());
		break;
	case FIELD_TABLE:
		if (text && strchr(text, '.')) {
			char *name = strndup(text, strcspn(text, "."));
			if (name)
				json_object_set_new(names, name, json_null());
			free(name);
		}
		break;
	case FIELD_OBJECT:
		collect_object(f->fields, value, names);
		break;
	case FIELD_LIST:
		json_array_foreach(value, i, item) collect(f->item, item, names);
		break;
	case FIELD_MAP:
		json_object_foreach((json_t *)value, key, item) collect(f->item, item, names);
		break;
	default:
		break;
	}
}

static json_t *resolve_connections(const struct config *config, const struct field *fields,
	const json_t *with, json_t *secrets, struct err *err)
{
	json_t *names = json_object(), *ret = json_object(), *unused;
	const char *name;

	if (!names || !ret) {
		err_nomem(err);
		goto fail;
	}
	collect_object(fields, with, names);
	json_object_foreach(names, name, unused)
	{
		json_t *conn = config_connection(config, name, secrets, err);
		if (!conn || json_object_set_new(ret, name, conn) < 0)
			goto fail;
	}
	json_decref(names);
	return ret;
fail:
	json_decref(names);
	json_decref(ret);
	return NULL;
}

json_t *job_with(const struct job_context *c, const struct job_attempt *a, struct err *err)
{
	const struct operator* op = operator_find(a->task->kind, a->task->op);
	struct template_context tc = job_template_context(c, a);

	if (!op) {
		err_set(err, ERR_INTERNAL, "operator %s: %s is unknown",
			task_kind_name(a->task->kind), a->task->op);
		return NULL;
	}
	return render_with(a->task->with, op->params, &tc, c->dag->dir, err);
}

static int build_payload(struct job *j, const struct job_context *c, const struct job_attempt *a,
	const char *report_path, json_t *secrets, struct err *err)
{
	const struct operator* op = operator_find(a->task->kind, a->task->op);
	json_t *with = job_with(c, a, err), *connections = NULL;
	int rc = -1;

	if (!with || secrets_resolve(with, op->params, c->dag->dir, secrets, err) < 0)
		goto out;
	if (a->look)
		j->exec.timeout_us = control_look_limit_us(with);
	connections = resolve_connections(c->config, op->params, with, secrets, err);
	if (!connections)
		goto out;
	struct operator_payload p = { .task = a->task,
		.with = with,
		.connections = connections,
		.dir = c->dag->dir,
		.run_id = c->run,
		.ds = c->ds,
		.report_path = report_path,
		.key = { .dag = c->dag->name,
			.task = a->task->name,
			.map_index = index_of(a),
			.interval_start = c->prepared->start_utc,
			.interval_end = c->prepared->end_utc,
			.token = a->token,
			.work = a->work },
		.try = a->try };
	j->payload = operator_payload_text(&p);
	if (!j->payload) {
		err_nomem(err);
		goto out;
	}
	j->exec.payload = j->payload;
	j->exec.payload_len = strlen(j->payload);
	rc = 0;
out:
	json_decref(with);
	json_decref(connections);
	return rc;
}

/* ---- the whole ------------------------------------------------------------------------ */

static const char *own_path(struct arena *arena, char *path)
{
	const char *copy = path ? arena_strdup(arena, path) : NULL;

	free(path);
	return copy;
}

static const char *build_cwd(
	struct job *j, const struct job_context *c, const struct job_attempt *a, struct err *err)
{
	struct template_context tc = job_template_context(c, a);

	if (!a->task->cwd)
		return c->dag->dir;
	char *rel = render_in(&j->arena, a->task->cwd, &tc, err);
	if (!rel)
		return NULL;
	const char *cwd = own_path(&j->arena, io_path_join(c->dag->dir, rel));
	if (!cwd)
		err_nomem(err);
	return cwd;
}

int job_only_if(
	const struct job_context *c, const struct job_attempt *a, bool *ret, struct err *err)
{
	const struct node *n = a->task->only_if;
	struct template_context tc = job_template_context(c, a);
	json_t *value = render_any(n, &tc, err);
	int rc = value ? template_truth(value, ret, err) : -1;

	json_decref(value);
	if (rc == 0)
		return 0;
	err_context(err, "if");
	if (err && !err->file[0])
		err_where(err, n->source->path, n->line, n->col);
	return -1;
}

static int build(struct job *j, struct env *e, const struct job_context *c,
	const struct job_attempt *a, struct err *err)
{
	const struct job_prepared *p = c->prepared;
	const struct task *t = a->task;
	struct template_context tc = job_template_context(c, a);
	bool unused;
	const char *output = own_path(
		&j->arena, a->look ? paths_look_output(c->home, c->run, t->name)
				   : paths_output(c->home, c->run, t->name, index_of(a), a->try));

	/* It was true, or could not be judged: then the attempt says why. */
	if (t->only_if && job_only_if(c, a, &unused, err) < 0)
		return -1;
	j->exec.token = a->token;
	j->exec.timeout_us = t->timeout_us;
	j->exec.grace_us = t->grace_us;
	j->exec.limits = (struct exec_limits){ .memory_bytes = t->limits.memory_bytes,
		.cpu_permille = t->limits.cpu_permille,
		.pids = t->limits.pids,
		.files = t->limits.files };
	j->exec.log_path = own_path(
		&j->arena, a->look ? paths_look_log(c->home, c->run, t->name)
				   : paths_log(c->home, c->run, t->name, index_of(a), a->try));
	e->arena = &j->arena;
	if (!output || !j->exec.log_path || env_init(e, c, p, a, output) < 0)
		return err_nomem(err);
	if (add_task_variables(e, c, a, err) < 0)
		return -1;
	j->exec.env = e->list;
	j->exec.cwd = build_cwd(j, c, a, err);
	if (!j->exec.cwd)
		return -1;
	if (t->kind == TASK_RUN) {
		j->exec.argv = build_argv(&j->arena, t, &tc, err);
		if (!j->exec.argv)
			return -1;
	} else if (build_payload(j, c, a, output, e->secrets, err) < 0) {
		return -1;
	}
	j->exec.secrets = secret_list(&j->arena, e->secrets);
	return j->arena.failed ? err_nomem(err) : 0;
}

int job_build(
	const struct job_context *c, const struct job_attempt *a, struct job *ret, struct err *err)
{
	struct env e = { 0 };

	*ret = (struct job){ 0 };
	arena_init(&ret->arena, JOB_MAX);
	err_clear(err);
	int rc = build(ret, &e, c, a, err);
	json_decref(e.secrets);
	if (rc < 0)
		job_release(ret);
	return rc;
}

void job_release(struct job *j)
{
	if (!j)
		return;
	arena_release(&j->arena);
	free(j->payload);
	j->payload = NULL;
}

char *job_command_text(const struct job_context *c, const struct job_attempt *a, struct err *err)
{
	struct template_context tc = job_template_context(c, a);
	struct arena arena;
	struct buf out;
	char *text = NULL;

	arena_init(&arena, JOB_MAX);
	buf_init(&out, COMMAND_MAX);
	if (a->task->run->type == NODE_SEQ) {
		const char **argv = list_argv(&arena, a->task->run, &tc, err);
		for (size_t i = 0; argv && argv[i]; i++)
			buf_addf(&out, "%s%s", i ? " " : "", argv[i]);
		text = argv ? buf_take(&out) : NULL;
	} else {
		char *rendered = render_node(&arena, a->task->run, &tc, err);
		text = rendered ? strdup(rendered) : NULL;
	}
	buf_release(&out);
	arena_release(&arena);
	return text;
}
