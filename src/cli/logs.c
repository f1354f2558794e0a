#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/near.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/home.h"
#include "cli/runview.h"
#include "cli/term.h"
#include "core/state.h"
#include "run/paths.h"

enum { LOG_JSON_MAX = 64 << 20, LOG_TAIL = 8192, FOLLOW_MS = 300 };

struct logs {
	const struct args *args;
	struct store *store;
	struct store_result run, attempts;
	const struct run_row *r;
	char *home;
	struct err *err;
};

/* ---- which attempts ------------------------------------------------------------------ */

static bool same_task(const struct attempt_row *a, const struct attempt_row *b)
{
	return strcmp(a->task, b->task) == 0 && a->map_index == b->map_index;
}

static bool wanted(const struct logs *l, size_t i)
{
	const struct attempt_row *a = &l->attempts.attempts[i];
	long try = args_int(l->args, "try", 0);

	if (try)
		return a->try == try;
	for (size_t k = i + 1; k < l->attempts.n; k++)
		if (same_task(a, &l->attempts.attempts[k]))
			return false;
	return true;
}

/* Why there is no log: no such task, not started yet, or no such try. */
static int none_found(const struct logs *l, const char *task)
{
	struct store_result tasks;
	const char *names[1024];
	size_t n = 0;
	int rc;

	if (!task && l->attempts.n)
		return err_set(l->err, ERR_NOT_FOUND, "no task of %s has a try %ld", l->r->name,
			args_int(l->args, "try", 0));
	if (!task)
		return err_set(l->err, ERR_NOT_FOUND, "no task of %s was started yet", l->r->name);
	if (store_tasks(l->store, l->r->id, &tasks, l->err) < 0)
		return -1;
	for (size_t i = 0; i < tasks.n; i++) {
		if (strcmp(tasks.tasks[i].name, task) == 0) {
			rc = l->attempts.n
				     ? err_set(l->err, ERR_NOT_FOUND,
					       "%s of %s has no try %ld; its "
					       "last one is %d",
					       task, l->r->name, args_int(l->args, "try", 0),
					       l->attempts.attempts[l->attempts.n - 1].try)
				     : err_set(l->err, ERR_NOT_FOUND,
					       "%s of %s was not started: %s", task, l->r->name,
					       task_state_name(tasks.tasks[i].state));
			store_result_release(&tasks);
			return rc;
		}
		if (n < 1024)
			names[n++] = tasks.tasks[i].name;
	}
	const char *near = near_find(task, names, n);
	rc = near ? err_set(l->err, ERR_NOT_FOUND, "%s has no task \"%s\"; did you mean \"%s\"?",
			    l->r->name, task, near)
		  : err_set(l->err, ERR_NOT_FOUND, "%s has no task \"%s\"; see \"weir show %s\"",
			    l->r->name, task, l->r->name);
	store_result_release(&tasks);
	return rc;
}

/* ---- printing ------------------------------------------------------------------------ */

static void header(const struct logs *l, const struct attempt_row *a, const char *path)
{
	char took[32];

	if (args_has(l->args, "quiet"))
		return;
	printf("==> %s %s, try %d: ", l->r->name, a->task, a->try);
	if (a->outcome == OUTCOME_NONE)
		printf("running");
	else
		printf("%s", outcome_name(a->outcome));
	if (a->outcome == OUTCOME_FAILED && a->signal)
		printf(" (signal %d)", a->signal);
	else if (a->outcome == OUTCOME_FAILED && a->exit_status >= 0)
		printf(" (exit status %d)", a->exit_status);
	if (a->started_us && a->ended_us > a->started_us)
		printf(" after %s",
			units_format_elapsed(a->ended_us - a->started_us, took, sizeof took));
	printf(", %s\n", path);
}

/* Copy to stdout from where `fd` stands to its end. Returns the bytes copied, or -1. */
static ssize_t copy(int fd, const char *path, struct err *err)
{
	char block[1 << 16];
	ssize_t n, total = 0;

	while ((n = read(fd, block, sizeof block)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, "cannot read %s", path);
		if (fwrite(block, 1, (size_t)n, stdout) != (size_t)n)
			return total;
		total += n;
	}
	return total;
}

/* -1 with err, or 0: there is no such file (never written, or removed). */
static int open_log(const char *path, int *ret_fd, struct err *err)
{
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (*ret_fd < 0 && errno != ENOENT)
		return err_errno(err, "cannot open %s", path);
	return 0;
}

/* Does the end of the log say it? */
static bool log_says(const char *path, const char *text)
{
	char tail[LOG_TAIL + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return false;
	off_t end = lseek(fd, 0, SEEK_END);
	ssize_t n = pread(fd, tail, LOG_TAIL, end > LOG_TAIL ? end - LOG_TAIL : 0);
	close(fd);
	return n > 0 && memmem(tail, (size_t)n, text, strlen(text));
}

/* What no program wrote: that it could not be started, or ran too long. An exit status stands in
 * the header, and what follows it is the log's last line. */
static void print_error(const struct logs *l, const struct attempt_row *a, const char *path)
{
	if (!a->error || !*a->error || args_has(l->args, "quiet") ||
		strncmp(a->error, "exit status ", 12) == 0 ||
		strncmp(a->error, "ended by signal ", 16) == 0 || log_says(path, a->error))
		return;
	printf("error: %s\n", a->error);
}

static int print_log(const struct logs *l, const struct attempt_row *a, const char *path)
{
	int fd;

	if (args_has(l->args, "path")) {
		puts(path);
		return 0;
	}
	header(l, a, path);
	if (open_log(path, &fd, l->err) < 0)
		return -1;
	if (fd < 0) {
		if (!args_has(l->args, "quiet"))
			puts("(no log: nothing was written, or it was removed)");
		print_error(l, a, path);
		return 0;
	}
	ssize_t n = copy(fd, path, l->err);
	close(fd);
	if (n >= 0)
		print_error(l, a, path);
	return n < 0 ? -1 : 0;
}

static json_t *log_json(const struct attempt_row *a, const char *path)
{
	json_t *o = runview_attempt_json(a);
	struct buf text;

	buf_init(&text, LOG_JSON_MAX);
	bool there = io_read_file(path, &text, NULL) == 0;
	json_object_set_new(o, "path", cli_json_text(path));
	json_object_set_new(o, "text", there ? cli_json_text(text.data) : json_null());
	buf_release(&text);
	return o;
}

/* ---- following ----------------------------------------------------------------------- */

/* Has the attempt ended, or will nobody ever say so? -1 with err. */
static int is_over(const struct logs *l, int64_t token)
{
	struct store_result now;
	char id[32];
	int over = 1;

	if (store_attempts_in_flight(l->store, l->r->id, &now, l->err) < 0)
		return -1;
	for (size_t i = 0; i < now.n; i++)
		over &= now.attempts[i].token != token;
	store_result_release(&now);
	if (over)
		return 1;
	snprintf(id, sizeof id, "%lld", (long long)l->r->id);
	if (store_run_find(l->store, id, &now, l->err) < 0)
		return -1;
	over = runview_abandoned(&now.runs[0]);
	store_result_release(&now);
	return over;
}

/* Wait until the file may have grown, or a moment. */
static void wait_for_more(int watch, const char *path)
{
	char events[4096];
	struct pollfd p = { .fd = watch, .events = POLLIN };

	if (watch >= 0)
		inotify_add_watch(watch, path, IN_MODIFY);
	if (poll(&p, watch >= 0 ? 1 : 0, FOLLOW_MS) > 0)
		while (read(watch, events, sizeof events) > 0)
			;
}

static int follow_log(const struct logs *l, const struct attempt_row *a, const char *path)
{
	int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), fd = -1, rc = -1, over;

	header(l, a, path);
	for (;;) {
		/* Asked before reading: what was written before the end is then read. */
		if ((over = is_over(l, a->token)) < 0)
			break;
		if (fd < 0 && open_log(path, &fd, l->err) < 0)
			break;
		if (fd >= 0 && copy(fd, path, l->err) < 0)
			break;
		if (fflush(stdout) != 0 || over) {
			rc = 0;
			break;
		}
		wait_for_more(watch, path);
	}
	if (fd >= 0)
		close(fd);
	if (watch >= 0)
		close(watch);
	return rc;
}

/* ---- the command --------------------------------------------------------------------- */

static int each_log(struct logs *l, const char *task)
{
	bool json = args_has(l->args, "json"), follow = args_has(l->args, "follow");
	json_t *list = json ? json_array() : NULL;
	size_t found = 0;
	int rc = 0;

	for (size_t i = 0; i < l->attempts.n && rc == 0; i++) {
		const struct attempt_row *a = &l->attempts.attempts[i];
		if (!wanted(l, i))
			continue;
		char *path = paths_log(l->home, l->r->name, a->task, a->map_index, a->try);
		if (!path)
			rc = err_nomem(l->err);
		else if (json)
			json_array_append_new(list, log_json(a, path));
		else if (found && !args_has(l->args, "path"))
			putchar('\n');
		if (path && !json)
			rc = follow ? follow_log(l, a, path) : print_log(l, a, path);
		free(path);
		found++;
	}
	if (rc == 0 && !found)
		rc = none_found(l, task);
	if (rc == 0 && json)
		return cli_print_json(json_pack("{s:o}", "logs", list), l->err);
	json_decref(list);
	return rc;
}

static int logs_run(const struct args *args, struct err *err)
{
	const char *task = args_operand(args, 1);
	struct logs l = { .args = args, .err = err };
	int rc = -1;

	if (args_has(args, "follow") && (!task || args_has(args, "json")))
		return err_set(err, ERR_USAGE,
			task ? "--follow and --json exclude each other"
			     : "--follow needs a task: weir logs RUN TASK "
			       "--follow");
	if (!(l.home = cli_home(args, err)))
		return -1;
	if (cli_store_open(args, &l.store, err) < 0)
		goto out;
	if (store_run_find(l.store, args_operand(args, 0), &l.run, err) < 0)
		goto out;
	l.r = &l.run.runs[0];
	if (store_attempts(l.store, l.r->id, task, &l.attempts, err) == 0) {
		rc = each_log(&l, task);
		store_result_release(&l.attempts);
	}
	store_result_release(&l.run);
out:
	store_close(l.store);
	free(l.home);
	return rc;
}

static const struct option logs_options[] = {
	{ .name = "try",
		.kind = VALUE_INT,
		.value = "N",
		.min = 1,
		.max = 1000000,
		.help = "of this try; default: the last one" },
	{ .name = "follow",
		.letter = 'f',
		.kind = VALUE_FLAG,
		.help = "go on printing until the attempt ends" },
	{ .name = "path", .kind = VALUE_FLAG, .help = "print the names of the log files only" },
	{ 0 }
};
static const struct operand logs_operands[] = { { "RUN", VALUE_RUN, false, false,
							"a run, as for \"weir show\"" },
	{ "TASK", VALUE_TASK, true, false, "one of its tasks; default: all that were started" },
	{ 0 } };

const struct command command_logs = {
	.name = "logs",
	.group = "Look",
	.summary = "print what a run's tasks wrote",
	.doc = "A line beginning with ==> stands before each log; --quiet leaves it out.",
	.options = logs_options,
	.operands = logs_operands,
	.run = logs_run,
};
