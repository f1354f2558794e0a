#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct err_info infos[] = {
	[ERR_NONE] = { "none", 0, 200, false, "no error" },
	[ERR_USAGE] = { "usage", 2, 400, false, "the command line is wrong" },
	[ERR_INVALID] = { "invalid", 3, 422, false, "a DAG, configuration or contract is invalid" },
	[ERR_REFUSED] = { "refused", 4, 409, false, "refused in the present state" },
	[ERR_NOT_FOUND] = { "not_found", 5, 404, false, "no such thing" },
	[ERR_IO] = { "io", 6, 500, true, "the system refused a file, pipe or process" },
	[ERR_NOMEM] = { "no_memory", 6, 500, true, "out of memory, or over a size limit" },
	[ERR_DATA] = { "data", 1, 422, false, "the data breaks its contract or format" },
	[ERR_CHECK] = { "check", 1, 422, false, "a quality check failed" },
	[ERR_SQL] = { "sql", 1, 422, false, "a statement was refused by the database" },
	[ERR_BUSY] = { "busy", 7, 503, true, "locked or unreachable now; try again" },
	[ERR_STORE] = { "store", 7, 503, false, "the state database cannot be used" },
	[ERR_FENCED] = { "fenced", 4, 409, false, "a newer attempt or owner has taken over" },
	[ERR_TIMEOUT] = { "timeout", 1, 504, true, "it took longer than allowed" },
	[ERR_INTERRUPTED] = { "interrupted", 130, 503, false, "stopped by a signal" },
	[ERR_INTERNAL] = { "internal", 70, 500, false, "a bug in weir" },
};
static_assert(sizeof infos / sizeof *infos == ERR_CODE_MAX, "a row for each error code");

const struct err_info *err_info(enum err_code code)
{
	return &infos[(unsigned)code < ERR_CODE_MAX ? code : ERR_INTERNAL];
}

enum err_code err_code_by_name(const char *name)
{
	for (int i = 0; i < ERR_CODE_MAX; i++)
		if (strcmp(infos[i].name, name) == 0)
			return (enum err_code)i;
	return ERR_NONE;
}

int err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return -1;
	err_clear(err);
	err->code = code;
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof err->msg, fmt, ap);
	va_end(ap);
	return -1;
}

static enum err_code code_of_errno(int e)
{
	switch (e) {
	case ENOMEM:
		return ERR_NOMEM;
	case EAGAIN:
	case EBUSY:
		return ERR_BUSY;
	default:
		return ERR_IO;
	}
}

int err_errno(struct err *err, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	if (!err)
		return -1;
	err_clear(err);
	err->code = code_of_errno(saved);
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof err->msg, fmt, ap);
	va_end(ap);
	size_t used = strlen(err->msg);
	snprintf(err->msg + used, sizeof err->msg - used, ": %s", strerror(saved));
	errno = saved;
	return -1;
}

int err_context(struct err *err, const char *fmt, ...)
{
	char was[sizeof err->msg];
	va_list ap;

	if (!err)
		return -1;
	memcpy(was, err->msg, sizeof was);
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof err->msg, fmt, ap);
	va_end(ap);
	size_t used = strlen(err->msg);
	snprintf(err->msg + used, sizeof err->msg - used, ": %s", was);
	return -1;
}

int err_where(struct err *err, const char *file, int line, int col)
{
	if (!err)
		return -1;
	size_t len = strlen(file);
	/* The end of a path says more than its beginning. */
	const char *from = len < sizeof err->file ? file : file + len - (sizeof err->file - 1);
	snprintf(err->file, sizeof err->file, "%s", from);
	err->line = line;
	err->col = col;
	return -1;
}

int err_nomem(struct err *err)
{
	return err_set(err, ERR_NOMEM, "out of memory");
}

void err_clear(struct err *err)
{
	if (!err)
		return;
	err->code = ERR_NONE;
	err->line = err->col = 0;
	err->file[0] = err->msg[0] = '\0';
}

const char *err_format(const struct err *err, char *buf, size_t size)
{
	if (err->file[0] && err->line)
		snprintf(buf, size, "%s:%d:%d: %s", err->file, err->line, err->col, err->msg);
	else if (err->file[0])
		snprintf(buf, size, "%s: %s", err->file, err->msg);
	else
		snprintf(buf, size, "%s", err->msg);
	return buf;
}
