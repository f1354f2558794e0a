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
#include "run/name.h"
#include "run/paths.h"

enum { LOG_JSON_MAX = 64 << 20, LOG_TAIL = 8192, FOLLOW_MS = 300 };

struct logs {
	const struct args *args;
	struct store *store;
	struct store_result run, attempts;
	const struct run_row *r;
	char *home;
	char *task;    /* whose they are; NULL: all */
	int map_index; /* of this instance; -1: all */
	bool *last;    /* by attempt: the last of its task */
	struct err *err;
};

/* ---- which attempts ------------------------------------------------------------------ */

static int by_task(const void *a, const void *b, void *rows)
{
	const size_t i = *(const size_t *)a, k = *(const size_t *)b;
	const struct attempt_row *one = (const struct attempt_row *)rows + i,
				 *other = (const struct attempt_row *)rows + k;
	int c = strcmp(one->task, other->task);

	if (c == 0)
		c = (one->map_index > other->map_index) - (one->map_index < other->map_index);
	return c ? c : (i > k) - (i < k);
}

static bool same_task(const struct attempt_row *a, const struct attempt_row *b)
{
	return strcmp(a->task, b->task) == 0 && a->map_index == b->map_index;
}

/* Mark the last attempt of each task: in the order of tokens it is the last one. */
static int find_last(struct logs *l)
{
	const struct attempt_row *rows = l->attempts.attempts;
	size_t n = l->attempts.n;

	l->last = calloc(n + 1, sizeof *l->last);
	size_t *order = calloc(n + 1, sizeof *order);
	for (size_t i = 0; order && i < n; i++)
		order[i] = i;
	if (!order || !l->last) {
		free(order);
		return err_nomem(l->err);
	}
	qsort_r(order, n, sizeof *order, by_task, (void *)rows);
	for (size_t i = 0; i < n; i++)
		l->last[order[i]] = i + 1 == n || !same_task(&rows[order[i]], &rows[order[i + 1]]);
	free(order);
	return 0;
}

static bool wanted(const struct logs *l, size_t i)
{
	const struct attempt_row *a = &l->attempts.attempts[i];
	long try = args_int(l->args, "try", 0);

	if (l->map_index >= 0 && a->map_index != l->map_index)
		return false;
	return try ? a->try ==
	try : l
		->last[i];
}

/* Is it what was asked for? */
static bool is_asked_for(const struct logs *l, const struct task_row *t)
{
	return strcmp(t->name, l->task) == 0 && t->map_index == l->map_index;
}

static int no_try(const struct logs *l, const struct task_row *t)
{
	long try = args_int(l->args, "try", 0);
	char label[RUN_LABEL_MAX];

	run_task_label(t->name, t->map_index, label);
	if (t->tries && try)
		return err_set(l->err, ERR_NOT_FOUND, "%s of %s has no try %ld; its last one is %d",
			label, l->r->name, try, t->tries);
	if (l->attempts.n && t->map_index < 0)
		return err_set(
			l->err, ERR_NOT_FOUND, "no instance of %s has a try %ld", label, try);
	return err_set(l->err, ERR_NOT_FOUND, "%s of %s was not started: %s", label, l->r->name,
		task_state_name(t->state));
}

static int no_task(const struct logs *l, const struct store_result *tasks)
{
	const char *names[1024];
	size_t n = 0, instances = 0;

	for (size_t i = 0; i < tasks->n; i++) {
		const struct task_row *t = &tasks->tasks[i];
		if (t->map_index >= 0)
			instances += strcmp(t->name, l->task) == 0;
		else if (n < 1024)
			names[n++] = t->name;
	}
	if (l->map_index >= 0 && instances)
		return err_set(l->err, ERR_NOT_FOUND,
			"%s of %s has no instance %d: it has %zu, from 0", l->task, l->r->name,
			l->map_index, instances);
	const char *near = near_find(l->task, names, n);
	if (near && strcmp(near, l->task) == 0)
		return err_set(
			l->err, ERR_NOT_FOUND, "%s of %s has no instances", l->task, l->r->name);
	return near ? err_set(l->err, ERR_NOT_FOUND, "%s has no task \"%s\"; did you mean \"%s\"?",
			      l->r->name, l->task, near)
		    : err_set(l->err, ERR_NOT_FOUND, "%s has no task \"%s\"; see \"weir show %s\"",
			      l->r->name, l->task, l->r->name);
}

/* Why there is no log: no such task, not started yet, or no such try. */
static int none_found(const struct logs *l)
{
	struct store_result tasks;
	size_t i = 0;

	if (!l->task && l->attempts.n)
		return err_set(l->err, ERR_NOT_FOUND, "no task of %s has a try %ld", l->r->name,
			args_int(l->args, "try", 0));
	if (!l->task)
		return err_set(l->err, ERR_NOT_FOUND, "no task of %s was started yet", l->r->name);
	if (store_tasks(l->store, l->r->id, &tasks, l->err) < 0)
		return -1;
	while (i < tasks.n && !is_asked_for(l, &tasks.tasks[i]))
		i++;
	int rc = i < tasks.n ? no_try(l, &tasks.tasks[i]) : no_task(l, &tasks);
	store_result_release(&tasks);
	return rc;
}

/* ---- printing ------------------------------------------------------------------------ */

static void header(const struct logs *l, const struct attempt_row *a, const char *path)
{
	char took[32], label[RUN_LABEL_MAX];

	if (args_has(l->args, "quiet"))
		return;
	printf("==> %s %s, try %d: ", l->r->name, run_task_label(a->task, a->map_index, label),
		a->try);
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

/* What the last look for what a task waits for printed. 1: there was none. */
static int print_look(const struct logs *l, const char *task)
{
	char *path = task ? paths_look_log(l->home, l->r->name, task) : NULL;
	int fd = -1, rc = 1;

	if (path && open_log(path, &fd, l->err) < 0)
		rc = -1;
	if (fd >= 0 && args_has(l->args, "path")) {
		puts(path);
		rc = 0;
	} else if (fd >= 0) {
		if (!args_has(l->args, "quiet"))
			printf("==> %s %s, the last look: %s\n", l->r->name, task, path);
		rc = copy(fd, path, l->err) < 0 ? -1 : 0;
	}
	if (fd >= 0)
		close(fd);
	free(path);
	return rc;
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

static int each_log(struct logs *l)
{
	bool json = args_has(l->args, "json"), follow = args_has(l->args, "follow");
	json_t *list = json ? json_array() : NULL;
	size_t found = 0;
	int rc = find_last(l);

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
	if (rc == 0 && !found && !json && !args_int(l->args, "try", 0)) {
		rc = print_look(l, l->task);
		found = rc == 0;
		rc = rc > 0 ? 0 : rc;
	}
	if (rc == 0 && !found)
		rc = none_found(l);
	if (rc == 0 && json)
		return cli_print_json(json_pack("{s:o}", "logs", list), l->err);
	json_decref(list);
	return rc;
}

/* "fetch", or "fetch[3]". */
static int take_task(struct logs *l, const char *word)
{
	size_t len;

	l->map_index = -1;
	if (!word)
		return 0;
	if (!run_split_label(word, &len, &l->map_index))
		return err_set(l->err, ERR_USAGE,
			"\"%.100s\" names no instance; one is fetch[3], from 0", word);
	l->task = strndup(word, len);
	return l->task ? 0 : err_nomem(l->err);
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
	if (take_task(&l, task) < 0 || !(l.home = cli_home(args, err)))
		goto out;
	if (cli_store_open(args, &l.store, err) < 0)
		goto out;
	if (store_run_find(l.store, args_operand(args, 0), &l.run, err) < 0)
		goto out;
	l.r = &l.run.runs[0];
	if (store_attempts(l.store, l.r->id, l.task, &l.attempts, err) == 0) {
		rc = each_log(&l);
		store_result_release(&l.attempts);
	}
	store_result_release(&l.run);
out:
	store_close(l.store);
	free(l.home);
	free(l.task);
	free(l.last);
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
	{ "TASK", VALUE_TASK, true, false,
		"one of its tasks, or an instance of a mapped one as fetch[3]; default: all that "
		"were "
		"started" },
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
