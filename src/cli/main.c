/* weir: finds the command, runs it, reports its error once. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/near.h"
#include "cli/commands.h"

static int report(const struct err *e)
{
	char text[sizeof e->msg + sizeof e->file + 32];

	fflush(stdout);
	fprintf(stderr, "weir: %s\n", err_format(e, text, sizeof text));
	return err_info(e->code)->exit_status;
}

static bool reader_left(void)
{
	struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

/* What was printed must have arrived. A reader that left (`weir runs | head`) is no error. */
static int finish(int status)
{
	struct err e;

	errno = 0;
	bool flushed = fflush(stdout) == 0;
	if (flushed && !ferror(stdout))
		return status;
	if (errno == EPIPE || reader_left())
		return status;
	err_clear(&e);
	if (flushed) /* an earlier write failed: its errno is long gone */
		err_set(&e, ERR_IO, "cannot write to standard output");
	else
		err_errno(&e, "cannot write to standard output");
	return report(&e);
}

static bool among(const char *word, const char *a, const char *b)
{
	return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

static int unknown_command(const char *word)
{
	const char *names[64];
	struct err e;
	size_t n = 0;

	for (const struct command *const *c = commands; *c && n < 64; c++)
		if (!(*c)->hidden)
			names[n++] = (*c)->name;
	const char *near = among(word, "ls", "list") ? "runs" : near_find(word, names, n);
	err_clear(&e);
	if (near)
		err_set(&e, ERR_USAGE,
			"unknown command \"%s\"; did you mean \"%s\"? See \"weir help\"", word,
			near);
	else
		err_set(&e, ERR_USAGE, "unknown command \"%s\"; see \"weir help\"", word);
	return report(&e);
}

static int run(const struct command *c, int argc, char *const *argv)
{
	struct args args;
	struct err e;

	err_clear(&e);
	if (args_parse(&args, c, argc, argv, &e) < 0)
		return report(&e);
	if (args_has(&args, "help")) {
		command_help(c, stdout);
		args_release(&args);
		return 0;
	}
	int status = c->run(&args, &e);
	args_release(&args);
	return status < 0 ? report(&e) : status;
}

static bool takes_value(const char *word)
{
	for (const struct option *o = common_options; o->name; o++)
		if (strncmp(word, "--", 2) == 0 && strcmp(word + 2, o->name) == 0)
			return o->kind != VALUE_FLAG;
	return false;
}

/* Options alone: one of them is unknown, or the command is missing. */
static int no_command(const char *word)
{
	size_t len = strcspn(word, "=");
	bool known = strcmp(word, "-q") == 0 || strcmp(word, "-v") == 0;
	struct err e;

	for (const struct option *o = common_options; o->name && len > 2; o++)
		known |= strlen(o->name) == len - 2 && strncmp(word + 2, o->name, len - 2) == 0;
	err_clear(&e);
	if (known)
		err_set(&e, ERR_USAGE, "the command is missing; see \"weir help\"");
	else
		err_set(&e, ERR_USAGE, "unknown option \"%s\"; see \"weir help\"", word);
	return report(&e);
}

/* Common options may stand before the command: move it to the front. Returns its index, or 0. */
static int command_first(int argc, char **argv)
{
	int at = 1;

	while (at < argc && argv[at][0] == '-' && argv[at][1] && strcmp(argv[at], "--") != 0)
		at += takes_value(argv[at]) ? 2 : 1;
	if (at >= argc)
		return 0;
	char *word = argv[at];
	memmove(argv + 2, argv + 1, (size_t)(at - 1) * sizeof *argv);
	argv[1] = word;
	return 1;
}

static int dispatch(int argc, char **argv)
{
	if (argc < 2 || among(argv[1], "--help", "-h")) {
		command_help(NULL, stdout);
		return 0;
	}
	if (among(argv[1], "--version", "-V"))
		return run(&command_version, 1, argv);
	if (!command_first(argc, argv))
		return no_command(argv[1]);
	const struct command *c = command_find(argv[1]);
	return c ? run(c, argc - 1, argv + 1) : unknown_command(argv[1]);
}

/* A descriptor that is closed would be given to a socket or a database next, and be written to.
 * What is put in its place fails as it did: 0 cannot be read, 1 and 2 cannot be written. */
static void fill_std_fds(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
			_exit(err_info(ERR_IO)->exit_status);
}

int main(int argc, char **argv)
{
	fill_std_fds();
	/* A reader that leaves must not end a run half-way: writes fail with EPIPE instead. */
	signal(SIGPIPE, SIG_IGN);
	setlocale(LC_CTYPE, "");
	return finish(dispatch(argc, argv));
}
