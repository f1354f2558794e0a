/* A command that tells: JSON on its stdin, exit status 0. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/units.h"
#include "run/sender_impl.h"

enum { SAID_MAX = 4096, MOMENT_MS = 10 };

static void run(char *const *argv, int in, int out, const char *dir)
{
	const struct sigaction dfl = { .sa_handler = SIG_DFL };
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &dfl, NULL);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(in, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
		dup2(out, STDERR_FILENO) < 0 || (dir && chdir(dir) < 0))
		_exit(126);
	execvp(argv[0], argv);
	dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static int64_t mono_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * US_PER_SECOND + t.tv_nsec / 1000;
}

/* Feed it and listen, until it closes its stderr or time is up. */
static bool talk(int *fd, int out, const char *text, int64_t until_us, struct buf *said)
{
	size_t left = strlen(text);
	char some[512];

	for (bool open = true; open;) {
		struct pollfd p[2] = { { out, POLLIN, 0 }, { left ? *fd : -1, POLLOUT, 0 } };
		int64_t ms = (until_us - mono_us()) / US_PER_MS;
		if (ms <= 0 || (poll(p, 2, (int)ms) < 0 && errno != EINTR))
			return false;
		if (p[1].revents) {
			ssize_t n = write(*fd, text, left);
			left = n < 0 && errno != EAGAIN ? 0 : left - (n > 0 ? (size_t)n : 0);
			text += n > 0 ? n : 0;
			if (left == 0) {
				close(*fd);
				*fd = -1;
			}
		}
		if (p[0].revents) {
			ssize_t n = read(out, some, sizeof some);
			if (n > 0 && said->len < SAID_MAX)
				buf_add(said, some, (size_t)n);
			open = n > 0 || (n < 0 && errno == EINTR);
		}
	}
	return true;
}

static bool wait_for(pid_t pid, int64_t until_us, int *ret_status)
{
	while (waitpid(pid, ret_status, WNOHANG) == 0) {
		if (mono_us() > until_us)
			return false;
		poll(NULL, 0, MOMENT_MS);
	}
	return true;
}

static void judge(struct delivery *d, int status, const struct buf *said)
{
	const char *text = said->len ? said->data : "";
	int shown = (int)strcspn(text, "\n");

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	if (shown > 300)
		shown = 300;
	bool exited = WIFEXITED(status);
	delivery_fail(d, SENDER_COMMAND, "the command ended with %s %d%s%.*s",
		exited ? "exit status" : "signal", exited ? WEXITSTATUS(status) : WTERMSIG(status),
		shown ? ": " : "", shown, text);
}

static char **words(const json_t *list)
{
	char **argv = calloc(json_array_size(list) + 1, sizeof *argv);

	for (size_t i = 0; argv && i < json_array_size(list); i++)
		argv[i] = (char *)json_string_value(json_array_get(list, i));
	return argv;
}

void sender_command(struct delivery *d)
{
	/* SIGPIPE is ignored here: a command that does not read is no fault. */
	int64_t until = mono_us() + d->timeout_us;
	char **argv = words(json_object_get(d->settings, "command"));
	char *text = json_dumps(d->doc, JSON_COMPACT);
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, status = 0;
	struct buf said;

	buf_init(&said, 2 * SAID_MAX);
	if (!argv || !argv[0] || !text || pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0) {
		delivery_fail(d, SENDER_COMMAND, "the command cannot be started");
		goto out;
	}
	pid_t pid = fork();
	if (pid == 0)
		run(argv, in[0], out[1], d->dir);
	close(in[0]);
	close(out[1]);
	in[0] = out[1] = -1;
	fcntl(in[1], F_SETFL, O_NONBLOCK);
	if (pid < 0)
		delivery_fail(d, SENDER_COMMAND, "fork: %s", strerror(errno));
	else if (talk(&in[1], out[0], text, until, &said) && wait_for(pid, until, &status))
		judge(d, status, &said);
	else {
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		delivery_fail(d, SENDER_TIMEOUT, "the command took too long and was killed");
	}
out:
	for (int i = 0; i < 2; i++) {
		if (in[i] >= 0)
			close(in[i]);
		if (out[i] >= 0)
			close(out[i]);
	}
	buf_release(&said);
	free(text);
	free(argv);
}
