#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/node.h"
#include "cli/beside.h"
#include "cli/commands.h"
#include "cli/home.h"
#include "cli/term.h"
#include "conf/config.h"
#include "conf/crossdag.h"
#include "conf/dagfile.h"
#include "conf/diag.h"
#include "conf/yaml.h"
#include "core/model.h"
#include "data/contract.h"

struct validate {
	const struct args *args;
	struct term term;
	struct buf out;
	json_t *list; /* of diagnostics, with --json */
	size_t nfiles, nerrors, nwarnings;
	/* The configuration of the folder seen last: files come folder by folder. */
	char *dir;
	struct config *config;
	json_t *configs;        /* object: real paths of configurations that were reported */
	json_t *dags;           /* object: files of the DAGs seen, by their folder and name */
	const char *folder;     /* that is searched; NULL: a file that was named */
	struct crossdag *cross; /* of its DAGs */
	char **said;            /* names of those that say something of others */
	size_t nsaid;
	struct err *err;
};

/* ---- reporting ----------------------------------------------------------------------- */

static void make_strict(struct diags *d)
{
	for (size_t i = 0; i < d->n; i++)
		d->list[i].level = DIAG_ERROR;
	d->nerrors += d->nwarnings;
	d->nwarnings = 0;
}

static void report(struct validate *v, struct diags *d)
{
	if (args_has(v->args, "strict"))
		make_strict(d);
	v->nerrors += d->nerrors;
	v->nwarnings += d->nwarnings;
	if (d->nerrors + d->nwarnings == 0)
		return;
	if (v->list) {
		json_t *more = diags_json(d);
		json_array_extend(v->list, more);
		json_decref(more);
		return;
	}
	diags_print(d, &v->out, v->term.colour);
	term_write(&v->term, &v->out);
}

static void report_err(struct validate *v, const char *path, const struct err *e)
{
	struct diags d;

	diags_init(&d);
	diag_err(&d, path, e);
	report(v, &d);
	diags_release(&d);
}

/* ---- one file ------------------------------------------------------------------------ */

enum kind { KIND_NONE, KIND_DAG, KIND_FRAGMENT, KIND_CONTRACT, KIND_CONFIG };

static const struct {
	const char *key;
	enum kind kind;
} keys[] = {
	{ "fragment", KIND_FRAGMENT }, /* first: it has tasks, too */
	{ "dag", KIND_DAG },
	{ "tasks", KIND_DAG },
	{ "columns", KIND_CONTRACT },
	{ "connections", KIND_CONFIG },
};

/* The kind by a key at the beginning of a line: true of nearly all files, and far cheaper than
 * parsing each twice. */
static enum kind kind_by_lines(const char *text)
{
	enum kind ret = KIND_NONE;

	while (*text) {
		size_t len = strcspn(text, "\n");
		for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
			size_t n = strlen(keys[i].key);
			if (strncmp(text, keys[i].key, n) != 0 || text[n] != ':')
				continue;
			if (keys[i].kind == KIND_FRAGMENT)
				return KIND_FRAGMENT;
			ret = ret ? ret : keys[i].kind;
		}
		text += len + (text[len] == '\n');
	}
	return ret;
}

/* Other spellings: JSON, quoted keys. Syntax errors go to diags. */
static enum kind kind_by_parsing(const char *path, const struct buf *text, struct diags *d)
{
	enum kind ret = KIND_NONE;
	struct yaml_doc doc;

	if (yaml_parse(&doc, path, text->data, text->len, d) < 0)
		return KIND_NONE;
	for (size_t i = 0; i < sizeof keys / sizeof *keys && !ret; i++)
		if (node_key(doc.root, keys[i].key))
			ret = keys[i].kind;
	yaml_release(&doc);
	return ret;
}

static enum kind kind_of(const char *path, struct diags *d)
{
	const char *base = io_path_base(path);
	struct buf text;
	struct err e;
	enum kind ret = KIND_NONE;

	if (strcmp(base, "weir.yaml") == 0 || strcmp(base, "weir.yml") == 0)
		return KIND_CONFIG;
	buf_init(&text, BUF_MAX_TEXT);
	if (io_read_file(path, &text, &e) < 0)
		diag_err(d, path, &e);
	else if (!(ret = kind_by_lines(text.data)))
		ret = kind_by_parsing(path, &text, d);
	buf_release(&text);
	if (!ret && !d->nerrors) {
		err_set(&e, ERR_INVALID,
			"this is no DAG (key \"dag\" or \"tasks\"), no fragment (\"fragment\"), no "
			"contract (\"columns\") and no configuration (\"connections\")");
		diag_err(d, path, &e);
	}
	return ret;
}

/* True the first time. */
static bool first_time(struct validate *v, const char *path)
{
	char *real = io_realpath(path, NULL);
	const char *key = real ? real : path;
	bool first = !json_object_get(v->configs, key);

	json_object_set_new(v->configs, key, json_true());
	free(real);
	return first;
}

/* The configuration for DAGs in `dir`. Its own errors are reported once. */
static const struct config *config_for(struct validate *v, const char *dir)
{
	struct diags d;
	struct err e;

	if (v->dir && strcmp(v->dir, dir) == 0)
		return v->config;
	config_free(v->config);
	free(v->dir);
	v->dir = strdup(dir);
	diags_init(&d);
	err_clear(&e);
	v->config = cli_load_config(v->args, dir, &d, &e);
	if (d.n && first_time(v, d.list[0].file))
		report(v, &d);
	else if (!v->config && !d.nerrors)
		report_err(v, dir, &e);
	diags_release(&d);
	return v->config;
}

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* In one folder, as a daemon has one, a name is one DAG's alone. */
static void check_name(struct validate *v, const char *path, const struct dag *dag, struct diags *d)
{
	char *dir = v->folder ? strdup(v->folder) : io_path_dir(path), *key = NULL;
	struct err e;

	if (dir && !beside_is_passed_over(io_path_base(path)) &&
		asprintf(&key, "%s\n%s", dir, dag->name) < 0)
		key = NULL;
	const char *other = key ? json_string_value(json_object_get(v->dags, key)) : NULL;
	if (other && !same_file(other, path)) {
		err_set(&e, ERR_INVALID, "another file has a DAG named \"%s\": %s", dag->name,
			other);
		diag_err(d, path, &e);
	} else if (key) {
		json_object_set_new(v->dags, key, json_string(path));
	}
	free(key);
	free(dir);
}

/* In a folder others may still come: it is checked when all were seen. */
static void note_cross(struct validate *v, const struct dag *dag)
{
	if (crossdag_put(v->cross, dag) < 0 || !crossdag_has_edges(v->cross, dag->name))
		return;
	char **grown = reallocarray(v->said, v->nsaid + 1, sizeof *grown);
	if (!grown)
		return;
	v->said = grown;
	v->said[v->nsaid] = strdup(dag->name);
	v->nsaid += v->said[v->nsaid] != NULL;
}

/* What a file that was named says of the DAGs beside it. */
static void check_beside(
	struct validate *v, const struct dag *dag, const char *dir, struct diags *d)
{
	const char *dags = args_text(v->args, "dags");
	struct err e;

	if (beside_check(dag, dags ? dags : dir, d, &e) < 0)
		diag_err(d, dags ? dags : dir, &e);
}

static void check_dag(struct validate *v, const char *path, struct diags *d)
{
	struct dagfile_env env = { .operators = cli_operators(), .check_files = true };
	char *dir = io_path_dir(path);

	if (dir)
		env.config = config_for(v, dir);
	struct dag *dag = dagfile_load(path, &env, d);
	if (dag)
		check_name(v, path, dag, d);
	if (v->cross && dag)
		note_cross(v, dag);
	else if (v->cross)
		beside_put_broken(v->cross, path);
	else if (dag && dir)
		check_beside(v, dag, *dir ? dir : ".", d);
	dag_unref(dag);
	free(dir);
}

static void check_file(struct validate *v, const char *path)
{
	struct diags d;

	diags_init(&d);
	v->nfiles++;
	switch (kind_of(path, &d)) {
	case KIND_DAG:
		check_dag(v, path, &d);
		break;
	case KIND_FRAGMENT:
		dagfile_check_fragment(path, &d);
		break;
	case KIND_CONTRACT:
		contract_check_file(path, &d);
		break;
	case KIND_CONFIG:
		if (first_time(v, path))
			config_free(config_load(path, cli_connection_types(), &d));
		break;
	case KIND_NONE:
		break;
	}
	report(v, &d);
	diags_release(&d);
}

static void check_found(void *arg, const char *path, const struct err *why)
{
	if (why)
		report_err(arg, path, why);
	else
		check_file(arg, path);
}

/* All that is wrong between the DAGs of the folder. */
static void check_cross(struct validate *v)
{
	struct diags d;

	diags_init(&d);
	for (size_t i = 0; i < v->nsaid; i++) {
		crossdag_check(v->cross, v->said[i], v->folder, &d);
		crossdag_check_produced(v->cross, v->said[i], &d);
		free(v->said[i]);
	}
	report(v, &d);
	diags_release(&d);
	free(v->said);
	crossdag_free(v->cross);
	v->cross = NULL;
	v->said = NULL;
	v->nsaid = 0;
}

static int check_path(struct validate *v, const char *path)
{
	struct stat st;
	struct err e;

	if (stat(path, &st) < 0) {
		err_errno(&e, "cannot read it");
		report_err(v, path, &e);
		v->nfiles++;
		return 0;
	}
	if (!S_ISDIR(st.st_mode)) {
		check_file(v, path);
		return 0;
	}
	size_t before = v->nfiles;
	v->folder = path;
	v->cross = crossdag_new();
	int rc = v->cross ? beside_walk(path, check_found, v, v->err) : err_nomem(v->err);
	if (v->cross)
		check_cross(v);
	v->folder = NULL;
	if (rc < 0)
		return -1;
	if (v->nfiles == before && !args_has(v->args, "quiet"))
		fprintf(stderr, "weir: %s holds no *.yaml or *.yml file\n", path);
	return 0;
}

/* ---- the command --------------------------------------------------------------------- */

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static int summary(struct validate *v)
{
	if (v->list) {
		json_t *o = json_pack("{s:I, s:I, s:I, s:O}", "files", (json_int_t)v->nfiles,
			"errors", (json_int_t)v->nerrors, "warnings", (json_int_t)v->nwarnings,
			"diagnostics", v->list);
		return cli_print_json(o, v->err);
	}
	if (args_has(v->args, "quiet"))
		return 0;
	printf("%zu file%s, %zu error%s", v->nfiles, plural(v->nfiles), v->nerrors,
		plural(v->nerrors));
	if (v->nwarnings)
		printf(", %zu warning%s", v->nwarnings, plural(v->nwarnings));
	putchar('\n');
	return 0;
}

static int validate_run(const struct args *args, struct err *err)
{
	struct validate v = {
		.args = args, .configs = json_object(), .dags = json_object(), .err = err
	};
	int rc = 0;

	if (args_has(args, "json"))
		v.list = json_array();
	term_init(&v.term, stdout, args);
	buf_init(&v.out, BUF_MAX_TEXT);
	for (size_t i = 0; i < args_noperands(args) && rc == 0; i++)
		rc = check_path(&v, args_operand(args, i));
	if (rc == 0)
		rc = summary(&v);
	if (rc == 0 && v.nerrors)
		rc = err_info(ERR_INVALID)->exit_status;
	config_free(v.config);
	free(v.dir);
	json_decref(v.configs);
	json_decref(v.dags);
	json_decref(v.list);
	buf_release(&v.out);
	return rc;
}

static const struct option validate_options[] = {
	{ .name = "strict", .kind = VALUE_FLAG, .help = "warnings are errors" },
	{ .name = "dags",
		.kind = VALUE_DIR,
		.value = "DIR",
		.help = "where the DAGs are that one DAG names (default: its own folder)" },
	{ 0 }
};
static const struct operand validate_operands[] = {
	{ "PATH", VALUE_DAG_FILE, false, true,
		"a DAG, a contract, a weir.yaml, or a folder of them" },
	{ 0 }
};

const struct command command_validate = {
	.name = "validate",
	.group = "Write",
	.summary = "check DAGs, contracts and configuration; all errors at once",
	.doc = "Folders are searched for *.yaml and *.yml; those whose name begins with a dot or "
	       "an "
	       "underscore are passed over. A file with the key dag or tasks is a DAG, one with "
	       "fragment is included by DAGs and checked as a whole with them, one with "
	       "columns a contract, one with connections or named weir.yaml a configuration. Files "
	       "that tasks name (contracts, SQL) are checked with them. Two DAGs of one folder "
	       "must "
	       "not have the same name, nor wait for each other or start each other in a circle. "
	       "What a DAG says of others (needs, control: dag, control: wait, datasets) is "
	       "looked for in the folder, of a single file in its own folder and those in it, or "
	       "in --dags.\n\n"
	       "The exit status is 3 when there are errors.",
	.options = validate_options,
	.operands = validate_operands,
	.run = validate_run,
};
