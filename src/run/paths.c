#include "run/paths.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/io.h"

enum { HOME_MODE = 0700 };

static char *format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static char *format(const char *fmt, ...)
{
	char *path = NULL;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&path, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : path;
}

char *paths_store(const char *home)
{
	return format("%s/weir.db", home);
}

/* "@3" of an instance: no task has an "@" in its name. */
static const char *instance(int map_index, char *buf, size_t size)
{
	if (map_index >= 0)
		snprintf(buf, size, "@%d", map_index);
	return map_index >= 0 ? buf : "";
}

char *paths_log(const char *home, const char *run, const char *task, int map_index, int try)
{
	char of[16];

	return format(
		"%s/logs/%s/%s%s.%d.log", home, run, task, instance(map_index, of, sizeof of), try);
}

char *paths_log_dir(const char *home, const char *run)
{
	return format("%s/logs/%s", home, run);
}

char *paths_output(const char *home, const char *run, const char *task, int map_index, int try)
{
	char of[16];

	return format(
		"%s/work/%s/%s%s.%d.out", home, run, task, instance(map_index, of, sizeof of), try);
}

char *paths_look_log(const char *home, const char *run, const char *task)
{
	return format("%s/logs/%s/%s.look.log", home, run, task);
}

char *paths_look_output(const char *home, const char *run, const char *task)
{
	return format("%s/work/%s/%s.look.out", home, run, task);
}

char *paths_work_dir(const char *home, const char *run)
{
	return format("%s/work/%s", home, run);
}

char *paths_journal_dir(const char *home)
{
	return format("%s/supervisor", home);
}

char *paths_journal_prefix(const char *dag, int64_t interval_start_us, int64_t interval_end_us)
{
	return format(
		"%s.%lld-%lld.", dag, (long long)interval_start_us, (long long)interval_end_us);
}

int paths_make_home(const char *home, struct err *err)
{
	static const char *const folders[] = { "logs", "work", "supervisor" };

	if (io_mkdirs(home, HOME_MODE, err) < 0)
		return err_context(err, "WEIR_HOME");
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		char *dir = io_path_join(home, folders[i]);
		int rc = dir ? io_mkdirs(dir, HOME_MODE, err) : err_nomem(err);
		free(dir);
		if (rc < 0)
			return err_context(err, "WEIR_HOME");
	}
	return 0;
}
