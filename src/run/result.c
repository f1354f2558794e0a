#include "run/result.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/units.h"
#include "exec/exec.h"
#include "exec/limits.h"
#include "operators/operators.h"

enum { OUTPUT_MAX = 4 << 20, TAIL_BYTES = 4096, TAIL_LINE_MAX = 300, DIGITS_MAX = 18 };

/* ---- outputs -------------------------------------------------------------------------- */

static json_t *typed(const char *text, size_t len)
{
	size_t i = len && text[0] == '-' ? 1 : 0, digits = len - i;
	char number[DIGITS_MAX + 2];

	bool whole = digits > 0 && digits <= DIGITS_MAX && (text[i] != '0' || len == 1);
	for (size_t k = i; whole && k < len; k++)
		whole = isdigit((unsigned char)text[k]);
	if (!whole)
		return json_stringn(text, len);
	snprintf(number, sizeof number, "%.*s", (int)len, text);
	return json_integer(strtoll(number, NULL, 10));
}

static bool is_key(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if (!isalpha(c) && c != '_' && (i == 0 || (!isdigit(c) && c != '-' && c != '.')))
			return false;
	}
	return len > 0;
}

static int add_line(json_t *outputs, const char *line, size_t len, int number, struct err *err)
{
	while (len && isspace((unsigned char)line[len - 1]))
		len--;
	if (len == 0 || line[0] == '#')
		return 0;
	if (memchr(line, '\0', len))
		return err_set(err, ERR_DATA, "WEIR_OUTPUT line %d holds a NUL byte", number);
	const char *eq = memchr(line, '=', len);
	size_t key_len = eq ? (size_t)(eq - line) : 0;
	if (!eq || !is_key(line, key_len))
		return err_set(err, ERR_DATA, "WEIR_OUTPUT line %d is not key=value: \"%.*s\"",
			number, (int)(len > 60 ? 60 : len), line);
	json_t *value = typed(eq + 1, len - key_len - 1);
	if (!value)
		return err_set(err, ERR_DATA, "WEIR_OUTPUT line %d is not valid UTF-8", number);
	if (json_object_setn_new(outputs, line, key_len, value) < 0)
		return err_nomem(err);
	return 0;
}

static json_t *parse_json(const char *text, size_t len, struct err *err)
{
	json_error_t where;
	json_t *object = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);

	if (!object)
		err_set(err, ERR_DATA, "WEIR_OUTPUT line %d: %s", where.line, where.text);
	return object;
}

json_t *result_parse_outputs(const char *text, size_t len, struct err *err)
{
	size_t blank = 0;

	while (blank < len && isspace((unsigned char)text[blank]))
		blank++;
	if (blank < len && text[blank] == '{')
		return parse_json(text, len, err);
	json_t *outputs = json_object();
	int number = 1;
	for (const char *p = text, *end = text + len; outputs && p < end; number++) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		size_t n = eol ? (size_t)(eol - p) : (size_t)(end - p);
		if (add_line(outputs, p, n, number, err) < 0) {
			json_decref(outputs);
			return NULL;
		}
		p += n + (eol ? 1 : 0);
	}
	if (!outputs)
		err_nomem(err);
	return outputs;
}

/* ---- errors --------------------------------------------------------------------------- */

/* The last line of the log that says something: for most programs, the error. */
static void last_line(const char *log_path, char *ret, size_t size)
{
	char tail[TAIL_BYTES + 1];
	int fd = open(log_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	ret[0] = '\0';
	if (fd < 0)
		return;
	off_t end = lseek(fd, 0, SEEK_END);
	off_t from = end > TAIL_BYTES ? end - TAIL_BYTES : 0;
	ssize_t n = pread(fd, tail, TAIL_BYTES, from);
	close(fd);
	while (n > 0 && isspace((unsigned char)tail[n - 1]))
		n--;
	if (n <= 0)
		return;
	tail[n] = '\0';
	ssize_t start = n;
	while (start > 0 && tail[start - 1] != '\n')
		start--;
	/* Ours, and the only one: the task said nothing. */
	if (strncmp(tail + start, LIMITS_LINE, strlen(LIMITS_LINE)) == 0)
		return;
	if (n - start > TAIL_LINE_MAX)
		n = start + TAIL_LINE_MAX;
	snprintf(ret, size, "%.*s", (int)(n - start), tail + start);
}

char *result_error(const struct exec_end *end, int64_t timeout_us, const char *line)
{
	char limit[96];
	char *text = NULL;
	const char *sep = line && line[0] ? ": " : "";
	int n;

	line = line ? line : "";
	if (end->error[0])
		return strdup(end->error);
	switch (end->outcome) {
	case OUTCOME_TIMEOUT:
		n = asprintf(&text, "ran longer than its timeout%s%s%s%s", timeout_us ? " of " : "",
			timeout_us ? units_format_duration(timeout_us, limit, sizeof limit) : "",
			sep, line);
		break;
	case OUTCOME_LOST:
		n = asprintf(&text, "its supervisor is gone");
		break;
	case OUTCOME_CANCELLED:
		n = asprintf(&text, "stopped");
		break;
	default:
		if (end->signal)
			n = asprintf(&text, "ended by signal %d (%s)%s%s", end->signal,
				strsignal(end->signal), sep, line);
		else
			n = asprintf(&text, "exit status %d%s%s", end->exit_status, sep, line);
		break;
	}
	return n < 0 ? NULL : text;
}

/* ---- both ----------------------------------------------------------------------------- */

static int read_output(const char *path, struct buf *text, bool *ret_found, struct err *err)
{
	struct err why = { 0 };
	struct stat st;

	*ret_found = lstat(path, &st) == 0;
	/* A pipe or a device that a task put there would be read for ever. */
	if (*ret_found && (stat(path, &st) < 0 || !S_ISREG(st.st_mode)))
		return err_set(err, ERR_DATA, "WEIR_OUTPUT is no longer a file: %s", path);
	errno = 0;
	if (io_read_regular(path, text, &why) == 0 || why.code == ERR_NOT_FOUND)
		return 0;
	if (errno == EMFILE || errno == ENFILE)
		why.code = ERR_BUSY;
	*err = why;
	return -1;
}

/* Those that can be kept: a report that somebody has spoilt stops nobody. NULL: none. */
static json_t *whole_checks(const json_t *checks)
{
	json_t *whole = json_array(), *c;
	size_t i;

	json_array_foreach(checks, i, c)
	{
		if (json_is_string(json_object_get(c, "name")) &&
			json_is_string(json_object_get(c, "severity")) &&
			json_is_string(json_object_get(c, "status")))
			json_array_append(whole, c);
	}
	if (json_array_size(whole))
		return whole;
	json_decref(whole);
	return NULL;
}

static void take_report(struct result *r, json_t *report)
{
	json_t *error = json_object_get(report, "error");
	const char *message = json_string_value(json_object_get(error, "message"));

	json_t *outputs = json_object_get(report, "outputs");
	if (json_is_object(outputs)) {
		json_decref(r->outputs);
		r->outputs = json_incref(outputs);
	}
	r->checks = whole_checks(json_object_get(report, "checks"));
	if (message)
		r->error = strdup(message);
}

static void read_operator(const struct exec_end *end, const struct buf *text, struct result *r)
{
	json_t *report = text->len ? json_loadb(text->data, text->len, 0, NULL) : NULL;

	if (report)
		take_report(r, report);
	json_decref(report);
	/* An operator that died without a word (a crash, KILL) may be luckier next time. */
	r->permanent =
		end->outcome == OUTCOME_FAILED && end->exit_status == OPERATOR_EXIT_PERMANENT;
}

static void read_command(const struct exec_end *end, const struct buf *text, struct result *r)
{
	struct err why = { 0 };
	json_t *outputs = text->len ? result_parse_outputs(text->data, text->len, &why) : NULL;

	if (outputs) {
		json_decref(r->outputs);
		r->outputs = outputs;
	} else if (text->len && end->outcome == OUTCOME_SUCCESS) {
		r->bad_output = r->permanent = true;
		r->error = strdup(why.msg);
	}
}

int result_read(const struct result_source *from, const struct exec_end *end, struct result *ret,
	struct err *err)
{
	struct buf text;
	char line[TAIL_LINE_MAX + 1];

	*ret = (struct result){ .outputs = json_object() };
	if (!ret->outputs)
		return err_nomem(err);
	buf_init(&text, OUTPUT_MAX);
	struct err why = { 0 };
	if (read_output(from->output_path, &text, &ret->found_output, &why) < 0) {
		if (why.code == ERR_BUSY) {
			buf_release(&text);
			result_release(ret);
			*err = why;
			return -1;
		}
		/* Of an attempt that failed, the failure is what counts. */
		ret->bad_output = ret->permanent = end->outcome == OUTCOME_SUCCESS;
		ret->error = ret->bad_output ? strdup(why.msg) : NULL;
	} else if (from->is_operator) {
		read_operator(end, &text, ret);
	} else {
		read_command(end, &text, ret);
	}
	buf_release(&text);
	if (end->outcome != OUTCOME_SUCCESS && end->outcome != OUTCOME_SKIPPED && !ret->error) {
		last_line(from->log_path, line, sizeof line);
		ret->error = result_error(end, from->timeout_us, line);
	}
	return 0;
}

void result_release(struct result *r)
{
	if (!r)
		return;
	json_decref(r->outputs);
	json_decref(r->checks);
	free(r->error);
	*r = (struct result){ 0 };
}
