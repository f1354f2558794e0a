#include "exec/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"

#define MAGIC "weir-journal"

static int refuse(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool live = fd >= 0 && journal_is_locked(fd);

	if (fd >= 0)
		close(fd);
	if (live)
		return err_set(err, ERR_REFUSED, "%s: belongs to a supervisor that is alive", path);
	return err_set(err, ERR_REFUSED,
		"%s: is left of a former supervisor; settle its attempts and remove it first",
		path);
}

static int add_head(struct buf *b, const char *socket_name, struct err *err)
{
	struct proc_stat st = { 0 };
	char boot_id[PROC_BOOT_ID];

	if (proc_stat(getpid(), &st) < 0)
		return err_set(err, ERR_IO, "/proc: cannot be read; is it mounted?");
	proc_boot_id(boot_id);
	buf_addf(b, "%s %d %d %" PRId64 " %s %s\n", MAGIC, JOURNAL_VERSION, (int)getpid(),
		st.start_ticks, boot_id, socket_name);
	return buf_ok(b, "journal", err);
}

/* Give the file its name, unless the name is taken. */
static int appear(const char *aside, const char *path, struct err *err)
{
	int rc = renameat2(AT_FDCWD, aside, AT_FDCWD, path, RENAME_NOREPLACE);

	if (rc < 0 && (errno == EINVAL || errno == ENOSYS)) {
		rc = link(aside, path);
		if (rc == 0)
			unlink(aside);
	}
	if (rc == 0)
		return 0;
	int error = errno;
	unlink(aside);
	errno = error;
	return error == EEXIST ? refuse(path, err) : err_errno(err, "%s", path);
}

char *journal_absolute(const char *path)
{
	char *cwd = NULL, *abs = NULL;

	if (path[0] == '/')
		return strdup(path);
	cwd = getcwd(NULL, 0);
	if (cwd)
		abs = io_path_join(cwd, path);
	free(cwd);
	return abs;
}

/* A file of its own name beside the other: `j->path`. With its lock, and its first line pending. */
static int open_aside(struct journal *j, const char *path, const char *socket_name, struct err *err)
{
	*j = (struct journal){ .fd = -1 };
	buf_init(&j->pending, JOURNAL_MAX);
	if (!path || asprintf(&j->path, "%s.%d.new", path, (int)getpid()) < 0) {
		j->path = NULL;
		return err_nomem(err);
	}
	if (add_head(&j->pending, socket_name, err) < 0)
		return -1;
	j->fd = open(j->path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (j->fd < 0 || flock(j->fd, LOCK_EX | LOCK_NB) < 0)
		return err_errno(err, "%s", j->path);
	return 0;
}

static int flush_aside(struct journal *j, struct err *err)
{
	if (journal_flush(j) == 0)
		return 0;
	err_errno(err, "%s", j->path);
	unlink(j->path);
	return -1;
}

int journal_create(struct journal *j, const char *path, const char *socket_name, struct err *err)
{
	char *name = journal_absolute(path);

	if (open_aside(j, name, socket_name, err) < 0 || flush_aside(j, err) < 0 ||
		appear(j->path, name, err) < 0) {
		free(name);
		journal_release(j);
		return -1;
	}
	free(j->path);
	j->path = name;
	return 0;
}

int journal_begin_anew(
	const struct journal *j, struct journal *ret, const char *socket_name, struct err *err)
{
	if (open_aside(ret, j->path, socket_name, err) == 0)
		return 0;
	journal_release(ret);
	return -1;
}

int journal_replace(struct journal *j, struct journal *anew, struct err *err)
{
	int rc = flush_aside(anew, err);

	if (rc == 0 && rename(anew->path, j->path) < 0) {
		rc = err_errno(err, "%s", anew->path);
		unlink(anew->path);
	}
	if (rc == 0) {
		int fd = j->fd;
		j->fd = anew->fd;
		anew->fd = fd;
		j->torn = j->garbage = false;
	}
	journal_release(anew);
	return rc;
}

void journal_give_up(struct journal *anew)
{
	unlink(anew->path);
	journal_release(anew);
}

int64_t journal_size(const struct journal *j)
{
	struct stat st;

	return fstat(j->fd, &st) == 0 ? (int64_t)st.st_size : 0;
}

/* A record is in `pending` whole or not at all. */
static int whole(struct journal *j, size_t before)
{
	if (!j->pending.failed)
		return 0;
	j->pending.failed = false;
	buf_truncate(&j->pending, before);
	return -1;
}

int journal_add_start(
	struct journal *j, int64_t token, int64_t pid, int64_t start_boot_us, int64_t started_us)
{
	size_t before = j->pending.len;

	buf_addf(&j->pending, "S %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n", token, pid,
		start_boot_us, started_us);
	return whole(j, before);
}

static void add_escaped(struct buf *b, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '\n')
			buf_addstr(b, "\\n");
		else if (c == '\\')
			buf_addstr(b, "\\\\");
		else if (c < 0x20 || c == 0x7f)
			buf_addf(b, "\\x%02x", c);
		else
			buf_addc(b, *s);
	}
}

int journal_add_end(struct journal *j, const struct exec_end *e)
{
	size_t before = j->pending.len;

	buf_addf(&j->pending,
		"E %" PRId64 " %s %d %d %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " ", e->token,
		outcome_name(e->outcome), e->exit_status, e->signal, e->started_us, e->ended_us,
		e->max_rss_bytes, e->cpu_us);
	add_escaped(&j->pending, e->error);
	buf_addc(&j->pending, '\n');
	return whole(j, before);
}

int journal_child_fd(const struct journal *j)
{
	return j->torn || j->garbage ? -1 : j->fd;
}

int journal_flush(struct journal *j)
{
	size_t done = 0;

	/* What follows must not become a part of the line that was never finished. */
	if (j->garbage && write(j->fd, "\n", 1) != 1)
		return -1;
	j->garbage = false;
	while (done < j->pending.len) {
		ssize_t n = write(j->fd, j->pending.data + done, j->pending.len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	bool all = done == j->pending.len;
	if (done)
		j->torn = j->pending.data[done - 1] != '\n';
	if (all)
		buf_clear(&j->pending);
	else
		buf_consume(&j->pending, done);
	return all ? 0 : -1;
}

void journal_remove(struct journal *j)
{
	unlink(j->path);
}

void journal_release(struct journal *j)
{
	if (j->fd >= 0)
		close(j->fd);
	j->fd = -1;
	free(j->path);
	j->path = NULL;
	buf_release(&j->pending);
}
