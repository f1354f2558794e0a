#include "data/source.h"

#include <assert.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/io.h"
#include "data/csv.h"
#include "data/ndjson.h"

/* As many columns as a SQLite table has by default; it bounds the search for a key. */
enum { NDJSON_COLUMNS_MAX = 2000 };

const char *const source_format_names[] = {
	[SOURCE_CSV] = "csv",
	[SOURCE_NDJSON] = "ndjson",
	[SOURCE_FORMAT_MAX] = NULL,
};
static_assert(sizeof source_format_names / sizeof *source_format_names == SOURCE_FORMAT_MAX + 1,
	"a name for each format");

const char *const source_ragged_names[] = {
	[SOURCE_RAGGED_REJECT] = "reject",
	[SOURCE_RAGGED_FAIL] = "fail",
	[SOURCE_RAGGED_NULL] = "null",
	[SOURCE_RAGGED_MAX] = NULL,
};
static_assert(sizeof source_ragged_names / sizeof *source_ragged_names == SOURCE_RAGGED_MAX + 1,
	"a name for each way");

struct source_reader {
	struct source_config config;
	struct input *input;
	struct csv_reader *csv;
	struct ndjson_reader *ndjson;
	char **names;
	size_t n, cap;
	struct cell *cells; /* cap of them */
	char **made;        /* NDJSON: text of nested values of this row, cap of them */
	size_t nmade;
	uint64_t number;
};

static ssize_t read_input(void *arg, void *to, size_t size, struct err *err)
{
	return input_read(arg, to, size, err);
}

enum source_format source_format_of(const char *path)
{
	static const char *const packed[] = { ".gz", ".zst" };
	static const char *const json[] = { ".ndjson", ".jsonl", ".json" };
	size_t len = strlen(path);

	for (size_t i = 0; i < 2; i++) {
		size_t k = strlen(packed[i]);
		if (len > k && strncasecmp(path + len - k, packed[i], k) == 0)
			len -= k;
	}
	for (size_t i = 0; i < 3; i++) {
		size_t k = strlen(json[i]);
		if (len > k && strncasecmp(path + len - k, json[i], k) == 0)
			return SOURCE_NDJSON;
	}
	return SOURCE_CSV;
}

/* ---- columns --------------------------------------------------------------------------- */

static int more_columns(struct source_reader *s, struct err *err)
{
	size_t cap = s->cap ? s->cap * 2 : 32;

	if (s->n >= CSV_FIELDS_MAX)
		return err_set(
			err, ERR_DATA, "%s: more than %d columns", s->config.path, CSV_FIELDS_MAX);
	char **names = realloc(s->names, cap * sizeof *names);
	if (names)
		s->names = names;
	struct cell *cells = realloc(s->cells, cap * sizeof *cells);
	if (cells)
		s->cells = cells;
	char **made = realloc(s->made, cap * sizeof *made);
	if (made)
		s->made = made;
	if (!names || !cells || !made)
		return err_nomem(err);
	s->cap = cap;
	return 0;
}

static int add_column(struct source_reader *s, const char *name, size_t len, struct err *err)
{
	if (s->ndjson && s->n >= NDJSON_COLUMNS_MAX)
		return err_set(err, ERR_DATA,
			"%s: row %llu: the objects have more than %d different keys",
			s->config.path, (unsigned long long)s->number, NDJSON_COLUMNS_MAX);
	if (s->n == s->cap && more_columns(s, err) < 0)
		return -1;
	s->names[s->n] = strndup(name, len);
	if (!s->names[s->n])
		return err_nomem(err);
	s->cells[s->n++] = (struct cell){ .type = CELL_NULL };
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcasecmp(*(char *const *)a, *(char *const *)b);
}

/* Tables do not tell columns apart by case. */
static int check_doubles(struct source_reader *s, struct err *err)
{
	char **sorted = malloc((s->n ? s->n : 1) * sizeof *sorted);
	int rc = 0;

	if (!sorted)
		return err_nomem(err);
	memcpy(sorted, s->names, s->n * sizeof *sorted);
	qsort(sorted, s->n, sizeof *sorted, compare_names);
	for (size_t i = 1; i < s->n && rc == 0; i++)
		if (strcasecmp(sorted[i - 1], sorted[i]) == 0)
			rc = err_set(err, ERR_DATA, "%s: the header has column \"%s\" twice",
				s->config.path, sorted[i]);
	free(sorted);
	return rc;
}

static int add_header_name(
	struct source_reader *s, const struct csv_field *f, size_t at, struct err *err)
{
	char name[32];
	const char *text = f->text;
	size_t len = f->len;

	while (len && (*text == ' ' || *text == '\t')) {
		text++;
		len--;
	}
	while (len && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		len--;
	if (memchr(text, '\r', len))
		return err_set(err, ERR_DATA,
			"%s: the header holds a carriage return; lines must end in LF or CRLF",
			s->config.path);
	/* Tools that write an index leave its name empty. */
	if (len == 0)
		return add_column(
			s, name, (size_t)snprintf(name, sizeof name, "column%zu", at + 1), err);
	return add_column(s, text, len, err);
}

static int read_header(struct source_reader *s, struct err *err)
{
	struct csv_record rec;
	int rc = csv_next(s->csv, &rec, err);

	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(
			err, ERR_DATA, "%s: is empty; a header was expected", s->config.path);
	if (rec.problem != CSV_OK)
		return err_set(err, ERR_DATA, "%s: the header: %s", s->config.path,
			csv_problem_texts[rec.problem]);
	for (size_t i = 0; i < rec.n; i++)
		if (add_header_name(s, &rec.fields[i], i, err) < 0)
			return -1;
	return check_doubles(s, err);
}

const char *const *source_columns(const struct source_reader *s, size_t *ret_n)
{
	*ret_n = s->n;
	return (const char *const *)s->names;
}

/* ---- CSV ------------------------------------------------------------------------------- */

static enum source_result bad(struct contract_violation *v, enum contract_rule rule)
{
	v->rule = rule;
	v->column = -1;
	v->value = (struct cell){ .type = CELL_NULL };
	return SOURCE_BAD_ROW;
}

static bool is_null(const struct source_config *c, const struct csv_field *f)
{
	if (f->quoted)
		return false;
	if (!c->nulls)
		return f->len == 0;
	for (const char *const *p = c->nulls; *p; p++)
		if (strlen(*p) == f->len && memcmp(*p, f->text, f->len) == 0)
			return true;
	return false;
}

/* Too many fields are no harm when the surplus is empty and ragged rows are let through. */
static bool fits(const struct source_reader *s, const struct csv_record *rec)
{
	if (rec->n == s->n)
		return true;
	if (s->config.ragged != SOURCE_RAGGED_NULL)
		return false;
	for (size_t i = s->n; i < rec->n; i++)
		if (rec->fields[i].len)
			return false;
	return true;
}

static enum source_result ragged(struct source_reader *s, const struct csv_record *rec,
	struct contract_violation *v, struct err *err)
{
	snprintf(v->why, sizeof v->why, "has %zu fields, the header has %zu", rec->n, s->n);
	if (s->config.ragged != SOURCE_RAGGED_FAIL)
		return bad(v, RULE_RAGGED);
	return (enum source_result)err_set(err, ERR_DATA, "%s:%llu: row %llu %s", s->config.path,
		(unsigned long long)rec->line, (unsigned long long)s->number, v->why);
}

static enum source_result next_csv(
	struct source_reader *s, struct row *ret, struct contract_violation *v, struct err *err)
{
	struct csv_record rec;
	int rc = csv_next(s->csv, &rec, err);

	if (rc <= 0)
		return rc < 0 ? SOURCE_ERROR : SOURCE_END;
	*ret = (struct row){ s->cells, s->n, ++s->number, rec.raw, rec.raw_len };
	if (rec.problem != CSV_OK) {
		snprintf(v->why, sizeof v->why, "%s", csv_problem_texts[rec.problem]);
		return bad(v, rec.problem == CSV_TEXT_AFTER_END ? RULE_FORMAT : RULE_ENCODING);
	}
	if (!fits(s, &rec))
		return ragged(s, &rec, v, err);
	for (size_t i = 0; i < s->n; i++) {
		const struct csv_field *f = &rec.fields[i];
		if (i >= rec.n || is_null(&s->config, f))
			s->cells[i] = (struct cell){ .type = CELL_NULL };
		else
			s->cells[i] =
				(struct cell){ .type = CELL_TEXT, .len = f->len, .text = f->text };
	}
	return SOURCE_ROW;
}

/* ---- NDJSON ---------------------------------------------------------------------------- */

/* The column of `key`, made when it is new. Keys mostly come in the same order in each line. */
static int column_of(
	struct source_reader *s, const char *key, size_t guess, size_t *ret, struct err *err)
{
	if (guess < s->n && strcmp(s->names[guess], key) == 0) {
		*ret = guess;
		return 0;
	}
	for (*ret = 0; *ret < s->n; ++*ret)
		if (strcmp(s->names[*ret], key) == 0)
			return 0;
	return add_column(s, key, strlen(key), err);
}

static int set_text(struct cell *c, const char *text, size_t len)
{
	*c = (struct cell){ .type = CELL_TEXT, .len = (uint32_t)len, .text = text };
	return 0;
}

static int set_cell(struct source_reader *s, struct cell *c, const json_t *v, struct err *err)
{
	switch (json_typeof(v)) {
	case JSON_STRING:
		return set_text(c, json_string_value(v), json_string_length(v));
	case JSON_INTEGER:
		*c = (struct cell){ .type = CELL_INT, .i = json_integer_value(v) };
		return 0;
	case JSON_REAL:
		*c = (struct cell){ .type = CELL_REAL, .f = json_real_value(v) };
		return 0;
	case JSON_TRUE:
		return set_text(c, "true", 4);
	case JSON_FALSE:
		return set_text(c, "false", 5);
	case JSON_NULL:
		*c = (struct cell){ .type = CELL_NULL };
		return 0;
	case JSON_OBJECT:
	case JSON_ARRAY:
		break;
	}
	char *text = json_dumps(v, JSON_COMPACT);
	if (!text)
		return err_nomem(err);
	s->made[s->nmade++] = text;
	return set_text(c, text, strlen(text));
}

static void free_made(struct source_reader *s)
{
	while (s->nmade)
		free(s->made[--s->nmade]);
}

static enum source_result next_ndjson(
	struct source_reader *s, struct row *ret, struct contract_violation *v, struct err *err)
{
	struct ndjson_record rec;
	const char *key;
	json_t *value;
	size_t at = 0;

	free_made(s);
	int rc = ndjson_next(s->ndjson, &rec, err);
	if (rc <= 0)
		return rc < 0 ? SOURCE_ERROR : SOURCE_END;
	*ret = (struct row){ s->cells, s->n, ++s->number, rec.raw, rec.raw_len };
	if (!rec.object) {
		snprintf(v->why, sizeof v->why, "%s", rec.problem);
		return bad(v, RULE_FORMAT);
	}
	for (size_t i = 0; i < s->n; i++)
		s->cells[i] = (struct cell){ .type = CELL_NULL };
	json_object_foreach(rec.object, key, value)
	{
		if (column_of(s, key, at, &at, err) < 0 ||
			set_cell(s, &s->cells[at], value, err) < 0)
			return SOURCE_ERROR;
		at++;
	}
	ret->cells = s->cells;
	ret->n = s->n;
	return SOURCE_ROW;
}

/* ---- source ---------------------------------------------------------------------------- */

enum source_result source_next(
	struct source_reader *s, struct row *ret, struct contract_violation *v, struct err *err)
{
	return s->csv ? next_csv(s, ret, v, err) : next_ndjson(s, ret, v, err);
}

static int open_csv(struct source_reader *s, struct err *err)
{
	struct csv_config c = { read_input, s->input, s->config.path, s->config.delimiter,
		s->config.max_record };

	if (csv_new(&s->csv, &c, err) < 0)
		return -1;
	if (!s->config.no_header)
		return read_header(s, err);
	for (size_t i = 0; i < s->config.ncolumns; i++)
		if (add_column(s, s->config.columns[i], strlen(s->config.columns[i]), err) < 0)
			return -1;
	return 0;
}

static int open_ndjson(struct source_reader *s, struct err *err)
{
	struct ndjson_config c = { read_input, s->input, s->config.path, s->config.max_record };

	return ndjson_new(&s->ndjson, &c, err);
}

int source_open(struct source_reader **ret, const struct source_config *config, struct err *err)
{
	struct source_reader *s = calloc(1, sizeof *s);

	*ret = NULL;
	if (!s)
		return err_nomem(err);
	s->config = *config;
	if (input_open(&s->input, config->path, config->compression, err) < 0 ||
		(config->format == SOURCE_CSV ? open_csv(s, err) : open_ndjson(s, err)) < 0) {
		source_close(s);
		return -1;
	}
	*ret = s;
	return 0;
}

int64_t source_bytes(const struct source_reader *s)
{
	return input_bytes(s->input);
}

void source_close(struct source_reader *s)
{
	if (!s)
		return;
	free_made(s);
	csv_free(s->csv);
	ndjson_free(s->ndjson);
	input_close(s->input);
	for (size_t i = 0; i < s->n; i++)
		free(s->names[i]);
	free(s->names);
	free(s->cells);
	free(s->made);
	free(s);
}

/* ---- files ----------------------------------------------------------------------------- */

static int compare_paths(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int keep(struct source_files *f, const char *path, struct err *err)
{
	f->paths[f->n] = strdup(path);
	if (!f->paths[f->n])
		return err_nomem(err);
	f->n++;
	return 0;
}

int source_glob(const char *pattern, struct source_files *ret, struct err *err)
{
	glob_t g = { 0 };
	bool literal = io_exists(pattern);
	int rc = literal ? 0 : glob(pattern, GLOB_NOSORT, NULL, &g);
	size_t n = literal ? 1 : rc == 0 ? g.gl_pathc : 0;

	*ret = (struct source_files){ .paths = calloc(n + 1, sizeof *ret->paths) };
	int done = ret->paths ? 0 : err_nomem(err);
	if (rc == GLOB_NOSPACE)
		done = err_nomem(err);
	else if (rc == GLOB_ABORTED)
		done = err_errno(err, "%s: a folder cannot be read", pattern);
	if (done == 0 && literal)
		done = keep(ret, pattern, err);
	for (size_t i = 0; done == 0 && !literal && i < n; i++)
		if (!is_folder(g.gl_pathv[i]))
			done = keep(ret, g.gl_pathv[i], err);
	globfree(&g);
	if (done < 0)
		source_files_release(ret);
	else
		qsort(ret->paths, ret->n, sizeof *ret->paths, compare_paths);
	return done;
}

void source_files_release(struct source_files *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->paths[i]);
	free(f->paths);
	*f = (struct source_files){ 0 };
}
