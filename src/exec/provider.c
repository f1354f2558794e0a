/* Supervisors on this machine, as the engine asks for them: journals in one folder. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"
#include "exec/endpoint.h"
#include "exec/executor.h"
#include "exec/journal.h"

#define SUFFIX ".journal"
#define NEW_SUFFIX ".new"

/* A dead supervisor's last child may hold its journal's lock for a moment. */
enum { LOOK_AGAIN = 50, LOOK_AGAIN_MS = 10, NEW_S = 10 };

/* ---- the own one ---- */

/* A name that no file has, nor had any from this provider. */
static char *next_path(struct exec_local_provider *p)
{
	char *path = NULL, *name;

	do {
		free(path);
		if (asprintf(&name, "%s-%d" SUFFIX, p->file, ++p->begun) < 0)
			return NULL;
		path = io_path_join(p->dir, name);
		free(name);
	} while (path && io_exists(path));
	return path;
}

static int begin(void *arg, struct exec **ret, struct err *err)
{
	struct exec_local_provider *p = arg;
	char *path = next_path(p);
	const struct exec_local_config config = { .journal_path = path,
		.run_operator = p->run_operator };

	if (!path)
		return err_nomem(err);
	if (exec_local_new(ret, &config, err) < 0) {
		free(path);
		return -1;
	}
	free(p->own);
	p->own = path;
	return 0;
}

/* ---- those of others ---- */

static bool has_end(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len > n && strcmp(text + len - n, end) == 0;
}

static bool is_old(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_mtime + NEW_S < time(NULL);
}

/* A journal that never got its name: its supervisor died in its first moment, or while it wrote it
 * anew. Who holds the lock, or may be about to take it, lives. */
static void tidy_new(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);

	if (fd < 0)
		return;
	if (is_old(fd) && flock(fd, LOCK_SH | LOCK_NB) == 0)
		unlink(path);
	close(fd);
}

/* A socket on which nobody listens. */
static void tidy_socket(const char *dir, const char *name, const char *path)
{
	struct err why = { 0 };
	int fd = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	bool old = fd >= 0 && is_old(fd);

	if (fd >= 0)
		close(fd);
	fd = old ? endpoint_connect(dir, name, 1, &why) : -1;
	if (fd >= 0)
		close(fd);
	else if (why.code == ERR_NOT_FOUND)
		unlink(path);
}

static void tidy_up(const char *dir, const char *name, const char *path)
{
	if (has_end(name, NEW_SUFFIX))
		tidy_new(path);
	else if (has_end(name, ENDPOINT_SUFFIX) && strlen(name) == ENDPOINT_NAME - 1)
		tidy_socket(dir, name, path);
}

struct names {
	char **list; /* NULL-ended */
	size_t n;
};

static int add_name(struct names *names, char *path)
{
	char **grown = reallocarray(names->list, names->n + 2, sizeof *grown);

	if (!grown) {
		free(path);
		return -1;
	}
	names->list = grown;
	grown[names->n++] = path;
	grown[names->n] = NULL;
	return 0;
}

/* One file of the folder. -1: out of memory. */
static int look_at(struct exec_local_provider *p, const char *name, struct names *names)
{
	char *path = io_path_join(p->dir, name);

	if (!path)
		return -1;
	if (has_end(name, SUFFIX) && !(p->own && strcmp(path, p->own) == 0))
		return add_name(names, path);
	tidy_up(p->dir, name, path);
	free(path);
	return 0;
}

static int list(void *arg, char ***ret, struct err *err)
{
	struct exec_local_provider *p = arg;
	struct names names = { .list = calloc(1, sizeof *names.list) };
	DIR *dir = opendir(p->dir);
	int rc = names.list ? 0 : -1;

	if (!dir) {
		free(names.list);
		return err_errno(err, "%s", p->dir);
	}
	for (struct dirent *e; rc == 0 && (e = readdir(dir));)
		rc = look_at(p, e->d_name, &names);
	closedir(dir);
	if (rc < 0) {
		for (size_t i = 0; i < names.n; i++)
			free(names.list[i]);
		free(names.list);
		return err_nomem(err);
	}
	*ret = names.list;
	return 0;
}

/* What a dead one left. It is not synced: after a power loss not even its first line may be there,
 * and it knows nothing; its tasks are gone then, too. */
static int read_final(const char *name, struct exec_journal *ret, struct err *err)
{
	for (int looks = 0;; looks++) {
		struct err why = { 0 };
		*ret = (struct exec_journal){ 0 };
		if (exec_journal_read(name, ret, &why) < 0) {
			if (why.code == ERR_DATA)
				return 0;
			if (err)
				*err = why;
			return -1;
		}
		if (!ret->live)
			return 0;
		exec_journal_release(ret);
		if (looks == LOOK_AGAIN)
			break;
		nanosleep(&(struct timespec){ .tv_nsec = LOOK_AGAIN_MS * 1000000L }, NULL);
	}
	return err_set(err, ERR_REFUSED,
		"%s: its supervisor lives, but not where this process could see it (another "
		"container?): let its tasks end, or stop them there",
		name);
}

static bool lives(void *arg, const char *name)
{
	struct journal_head head;
	bool live = false;

	(void)arg;
	return journal_read_head(name, &head, &live, NULL) == 0 && live;
}

static int open_former(void *arg, const char *name, struct exec_former *ret, struct err *err)
{
	struct exec_local_provider *p = arg;
	struct exec_former former = { 0 };
	struct err why = { 0 };

	if (exec_local_attach(&former.live, name, &why) < 0) {
		if (why.code != ERR_NOT_FOUND && why.code != ERR_DATA) {
			if (err)
				*err = why;
			return -1;
		}
		if (read_final(name, &former.journal, err) < 0)
			return -1;
		for (size_t i = 0; i < former.journal.n; i++)
			former.journal.entries[i].home = p->home;
	}
	*ret = former;
	return 0;
}

static int reap(void *arg, const struct exec_journal_entry *entry, struct err *err)
{
	(void)arg;
	return exec_reap_stray(entry, err);
}

static void forget(void *arg, const char *name)
{
	struct exec_local_provider *p = arg;
	struct journal_head head;
	bool live = false;

	if (journal_read_head(name, &head, &live, NULL) == 0) {
		if (live)
			return;
		if (strcmp(head.socket_name, JOURNAL_NO_SOCKET) != 0)
			endpoint_remove(p->dir, head.socket_name);
	}
	unlink(name);
}

/* ---- beginning and end ---- */

int exec_local_provider_init(struct exec_local_provider *p,
	const struct exec_local_provider_config *config, struct exec_provider *ret, struct err *err)
{
	*p = (struct exec_local_provider){ .dir = journal_absolute(config->dir),
		.file = strdup(config->file),
		.home = strdup(config->home),
		.run_operator = config->run_operator };
	if (!p->dir || !p->file || !p->home) {
		exec_local_provider_release(p);
		return err_nomem(err);
	}
	*ret = (struct exec_provider){ .arg = p,
		.begin = begin,
		.list = list,
		.lives = lives,
		.open = open_former,
		.reap = reap,
		.remove = forget };
	return 0;
}

void exec_local_provider_release(struct exec_local_provider *p)
{
	free(p->dir);
	free(p->file);
	free(p->home);
	free(p->own);
	*p = (struct exec_local_provider){ 0 };
}
