#include "exec/spawn.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "exec/limits.h"
#include "exec/proc.h"

#define DEFAULT_PATH "/usr/local/bin:/bin:/usr/bin"
#define SHELL "/bin/sh"
#define STATUS_NOT_EXECUTABLE 126
#define STATUS_NOT_FOUND 127

static int journal_fd = -1;
static const struct limits *task_limits;
static struct rlimit task_nofile;
static bool raised_nofile;

void spawn_tell(int fd)
{
	journal_fd = fd;
}

void spawn_limit(const struct limits *limits)
{
	task_limits = limits;
}

void spawn_raise_limits(void)
{
	struct rlimit all;

	if (getrlimit(RLIMIT_NOFILE, &task_nofile) < 0 ||
		task_nofile.rlim_cur == task_nofile.rlim_max)
		return;
	all = (struct rlimit){ task_nofile.rlim_max, task_nofile.rlim_max };
	raised_nofile = setrlimit(RLIMIT_NOFILE, &all) == 0;
}

/* A journal's line of a start (exec/journal.h), but for the number of the process: the child alone
 * knows it. */
struct note {
	char head[32], tail[64];
	bool told, torn;
};

/* What the vforked child reads and writes, in the parent's memory. */
struct order {
	struct note note;
	const char *const *argv, *const *env;
	const char *search; /* PATH; NULL: argv[0] is a path */
	const char *cwd;
	int64_t token;
	int out_fd;
	pid_t parent;
	enum spawn_fault fault;
	int error;
	char path[PATH_MAX]; /* what was tried last */
};

static void begin_note(struct note *n, int64_t token, const struct spawn *s)
{
	n->told = n->torn = false;
	snprintf(n->head, sizeof n->head, "S %" PRId64 " ", token);
	snprintf(n->tail, sizeof n->tail, " %" PRId64 " %" PRId64 "\n", s->start_boot_us,
		s->started_us);
}

/* In the child: by hand, for a vforked one may not call what allocates or locks. */
static void write_note(struct note *n)
{
	char line[sizeof n->head + sizeof n->tail + 24], digits[24];
	size_t len = 0, ndigits = 0;

	if (journal_fd < 0)
		return;
	for (const char *p = n->head; *p; p++)
		line[len++] = *p;
	for (unsigned long pid = (unsigned long)getpid(); pid || !ndigits; pid /= 10)
		digits[ndigits++] = (char)('0' + pid % 10);
	while (ndigits)
		line[len++] = digits[--ndigits];
	for (const char *p = n->tail; *p; p++)
		line[len++] = *p;
	ssize_t done = write(journal_fd, line, len);
	n->told = done == (ssize_t)len;
	n->torn = done > 0 && !n->told;
}

/* The setting of either child. -1: errno. */
static int settle(pid_t parent, int out_fd, struct note *note)
{
	sigset_t none;

	if (setpgid(0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -1;
	/* The parent may have died before the prctl. */
	if (getppid() != parent)
		_exit(STATUS_NOT_EXECUTABLE);
	write_note(note);
	if (dup2(out_fd, STDOUT_FILENO) < 0 || dup2(out_fd, STDERR_FILENO) < 0 ||
		(raised_nofile && setrlimit(RLIMIT_NOFILE, &task_nofile) < 0) ||
		limits_enter(task_limits) < 0)
		return -1;
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}

/* "dir/name" into path; false when that is too long. An empty dir is the current folder. */
static bool join(char path[PATH_MAX], const char *dir, size_t dir_len, const char *name)
{
	size_t len = strlen(name);

	if (dir_len + len + 3 > PATH_MAX)
		return false;
	if (!dir_len) {
		memcpy(path, "./", 2);
		dir_len = 1;
	} else {
		memcpy(path, dir, dir_len);
		path[dir_len] = '/';
	}
	memcpy(path + dir_len + 1, name, len + 1);
	return true;
}

static void execute(struct order *o, const char *path)
{
	execve(path, (char *const *)o->argv, (char *const *)o->env);
}

/* As execvp(3): go on where the program is not there, remember that one was there but not for us.
 * Returns errno. */
static int search_and_execute(struct order *o)
{
	int error = ENOENT;

	for (const char *dir = o->search;; dir++) {
		size_t len = strcspn(dir, ":");
		if (join(o->path, dir, len, o->argv[0])) {
			execute(o, o->path);
			if (errno == EACCES)
				error = EACCES;
			else if (errno != ENOENT && errno != ENOTDIR && errno != ESTALE &&
				 errno != ENODEV && errno != ETIMEDOUT)
				return errno;
		}
		dir += len;
		if (!*dir)
			return error;
	}
}

/* In the vforked child, on the parent's memory and stack: it calls nothing that allocates or locks,
 * and returns never. */
static _Noreturn __attribute__((noinline)) void child(struct order *o)
{
	o->fault = SPAWN_SYSTEM;
	if (settle(o->parent, o->out_fd, &o->note) == 0) {
		o->fault = SPAWN_CWD;
		if (chdir(o->cwd) == 0) {
			o->fault = SPAWN_EXEC;
			if (o->search) {
				errno = search_and_execute(o);
			} else {
				execute(o, o->argv[0]);
			}
		}
	}
	o->error = errno;
	_exit(STATUS_NOT_FOUND);
}

/* Nothing but the vfork is in this function, so that the child has nothing of it to spoil. The
 * parent stands still until the child has executed its program or left. */
static __attribute__((noinline)) pid_t start(struct order *o)
{
	pid_t pid = vfork();

	if (pid == 0)
		child(o);
	return pid;
}

static void start_and_see(struct order *o, struct spawn *ret)
{
	o->fault = SPAWN_OK;
	o->error = 0;
	ret->started_us = clock_now_us();
	ret->start_boot_us = proc_boottime_us();
	begin_note(&o->note, o->token, ret);
	ret->pid = start(o);
	ret->told = o->note.told;
	ret->torn = ret->torn || o->note.torn;
	if (ret->pid < 0) {
		ret->fault = SPAWN_FORK;
		ret->error = errno;
		return;
	}
	/* The child leaves its last step here; o->error is set when that step failed. */
	ret->error = o->error;
	ret->fault = o->error ? o->fault : SPAWN_OK;
	if (o->error) {
		while (waitpid(ret->pid, NULL, 0) < 0 && errno == EINTR)
			;
		ret->pid = -1;
	}
}

static const char *env_get(const char *const *env, const char *name, const char *otherwise)
{
	size_t len = strlen(name);

	for (; env && *env; env++)
		if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
			return *env + len + 1;
	return otherwise;
}

/* The program has no "#!" and is no binary: sh path args... */
static void start_by_shell(struct order *o, struct spawn *ret)
{
	size_t n = 0;

	while (o->argv[n])
		n++;
	const char **argv = calloc(n + 2, sizeof *argv);
	if (!argv) {
		ret->fault = SPAWN_SYSTEM;
		ret->error = ENOMEM;
		return;
	}
	char *path = strdup(o->search ? o->path : o->argv[0]);
	if (path) {
		argv[0] = SHELL;
		argv[1] = path;
		for (size_t i = 1; i < n; i++)
			argv[i + 1] = o->argv[i];
		o->argv = argv;
		o->search = NULL;
		start_and_see(o, ret);
	}
	free(path);
	free(argv);
}

void spawn_command(const struct exec_job *job, int out_fd, struct spawn *ret)
{
	static const char *const no_env[] = { NULL };
	struct order o = {
		.argv = job->argv,
		.env = job->env ? job->env : no_env,
		.cwd = job->cwd,
		.token = job->token,
		.out_fd = out_fd,
		.parent = getpid(),
	};

	*ret = (struct spawn){ .pid = -1 };
	if (!job->argv[0][0]) {
		ret->fault = SPAWN_EXEC;
		ret->error = ENOENT;
		return;
	}
	if (!strchr(job->argv[0], '/'))
		o.search = env_get(job->env, "PATH", DEFAULT_PATH);
	start_and_see(&o, ret);
	if (ret->fault == SPAWN_EXEC && ret->error == ENOEXEC)
		start_by_shell(&o, ret);
}

/* What an operator's child needs to know. */
struct operator_order {
	exec_operator_fn *run;
	int out_fd;
	pid_t parent;
	struct note note;
};

static _Noreturn void be_operator(const struct exec_job *job, struct operator_order *o)
{
	static char *no_env[] = { NULL };

	if (settle(o->parent, o->out_fd, &o->note) < 0)
		_exit(STATUS_NOT_EXECUTABLE);
	/* The control socket and the journal with its lock are the parent's alone. */
	close_range(3, ~0U, 0);
	prctl(PR_SET_NAME, "weir-operator");
	proc_set_title("weir operator");
	setvbuf(stdout, NULL, _IOLBF, 0);
	environ = job->env ? (char **)(uintptr_t)job->env : no_env;
	if (chdir(job->cwd) < 0) {
		fprintf(stderr, "weir: cannot enter the folder %s: %s\n", job->cwd,
			strerror(errno));
		_exit(STATUS_NOT_EXECUTABLE);
	}
	int status = o->run(job->payload, job->payload_len);
	fflush(NULL);
	_exit(status);
}

void spawn_operator(
	const struct exec_job *job, int out_fd, exec_operator_fn *run, struct spawn *ret)
{
	struct operator_order o = { .run = run, .out_fd = out_fd, .parent = getpid() };

	*ret = (struct spawn){ .pid = -1 };
	ret->started_us = clock_now_us();
	ret->start_boot_us = proc_boottime_us();
	begin_note(&o.note, job->token, ret);
	ret->pid = fork();
	if (ret->pid == 0)
		be_operator(job, &o);
	if (ret->pid < 0) {
		ret->fault = SPAWN_FORK;
		ret->error = errno;
		return;
	}
	/* Both set it: whoever comes first, it is so for either from here on. */
	setpgid(ret->pid, ret->pid);
}

bool spawn_is_system_error(int error)
{
	return error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE;
}

/* ENOENT for a program that is there speaks of its interpreter. */
static bool interpreter_missing(const struct exec_job *job)
{
	char path[PATH_MAX];
	const char *name = job->argv[0];

	if (!strchr(name, '/'))
		return false;
	int n = name[0] == '/' ? snprintf(path, sizeof path, "%s", name)
			       : snprintf(path, sizeof path, "%s/%s", job->cwd, name);
	return n > 0 && (size_t)n < sizeof path && access(path, F_OK) == 0;
}

static void explain_exec(const struct spawn *s, const struct exec_job *job, struct exec_end *ret)
{
	const char *name = job->argv[0];
	bool missing = s->error == ENOENT || s->error == ENOTDIR;

	ret->exit_status = missing ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE;
	if (!name[0])
		snprintf(ret->error, sizeof ret->error, "the name of the program is empty");
	else if (missing && interpreter_missing(job))
		snprintf(ret->error, sizeof ret->error,
			"%.180s: its interpreter (first line, or loader) does not exist", name);
	else if (missing && !strchr(name, '/'))
		snprintf(ret->error, sizeof ret->error, "%.200s: not found in PATH", name);
	else if (missing && name[0] != '/')
		snprintf(ret->error, sizeof ret->error, "%.100s: %s (in %.100s)", name,
			strerror(s->error), job->cwd);
	else
		snprintf(ret->error, sizeof ret->error, "%.180s: %s", name, strerror(s->error));
}

void spawn_explain(const struct spawn *s, const struct exec_job *job, struct exec_end *ret)
{
	ret->outcome = OUTCOME_FAILED;
	ret->exit_status = -1;
	switch (s->fault) {
	case SPAWN_CWD:
		ret->exit_status = STATUS_NOT_EXECUTABLE;
		snprintf(ret->error, sizeof ret->error, "cannot enter the folder %.160s: %s",
			job->cwd, strerror(s->error));
		break;
	case SPAWN_EXEC:
		explain_exec(s, job, ret);
		break;
	default:
		snprintf(ret->error, sizeof ret->error, "the system refused a process: %s",
			strerror(s->error));
		break;
	}
	if (s->fault == SPAWN_FORK || s->fault == SPAWN_SYSTEM || spawn_is_system_error(s->error)) {
		ret->outcome = OUTCOME_LOST;
		ret->exit_status = -1;
	}
}
