#include "exec/cgroup.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"

#define PREFIX "weir-"   /* of a supervisor's folder */
#define SUBGROUP "/weir" /* the base is above a cgroup of this name */
#define NAMES_TRIED 100
#define DEATH_WAIT_MS 100 /* a killed process takes far less, but for one stuck in the kernel */
#define DEPTH_MAX 32
#define FILE_MAX 65536

static const char *const controller_names[] = {
	[CGROUP_MEMORY] = "memory",
	[CGROUP_CPU] = "cpu",
	[CGROUP_PIDS] = "pids",
};
static_assert(sizeof controller_names / sizeof *controller_names == CGROUP_CONTROLLER_MAX,
	"a name per controller");

/* ---- files ---- */

static int write_file(const char *dir, const char *file, const char *text)
{
	char *path = NULL;

	if (asprintf(&path, "%s/%s", dir, file) < 0) {
		errno = ENOMEM;
		return -1;
	}
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	free(path);
	if (fd < 0)
		return -1;
	/* At once: each write(2) is a command of its own. */
	ssize_t n = write(fd, text, strlen(text));
	int error = errno;
	close(fd);
	errno = error;
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

/* Its text, owned; NULL: none. Unlike io_read_file it asks for no more than a read. */
static char *read_text(const char *dir, const char *file)
{
	char *path = NULL, *text = malloc(FILE_MAX + 1);
	size_t len = 0;
	ssize_t n = 0;

	int fd = asprintf(&path, "%s%s%s", dir, *dir ? "/" : "", file) < 0
			 ? -1
			 : open(path, O_RDONLY | O_CLOEXEC);
	while (text && fd >= 0 && len < FILE_MAX && (n = read(fd, text + len, FILE_MAX - len)) > 0)
		len += (size_t)n;
	if (text)
		text[len] = '\0';
	if (fd < 0 || n < 0) {
		free(text);
		text = NULL;
	}
	if (fd >= 0)
		close(fd);
	free(path);
	return text;
}

static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = text; p && *p;) {
		p += strspn(p, " \n");
		size_t n = strcspn(p, " \n");
		if (n == len && strncmp(p, word, n) == 0)
			return true;
		p += n;
	}
	return false;
}

static bool is_cgroupfs(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

/* ---- where ---- */

/* mountinfo writes blanks and the like as \040. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] && s[2] && s[3]) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* A line of mountinfo: "36 35 98:0 /root /mount/point options ... - type source options". */
static bool take_mount(char *line, char **ret_root, char **ret_point)
{
	char *type = strstr(line, " - "), *rest = NULL, *field[5];

	if (!type || strncmp(type, " - cgroup2 ", 11) != 0)
		return false;
	*type = '\0';
	for (int i = 0; i < 5; i++) {
		field[i] = strtok_r(i ? NULL : line, " ", &rest);
		if (!field[i])
			return false;
	}
	unescape(field[3]);
	unescape(field[4]);
	*ret_root = field[3];
	*ret_point = field[4];
	return true;
}

/* The line "0::/path" of /proc/self/cgroup, its path owned. */
static char *own_path(const char *own)
{
	for (const char *p = own; p && *p; p += strcspn(p, "\n"), p += *p == '\n')
		if (strncmp(p, "0::/", 4) == 0)
			return strndup(p + 3, strcspn(p + 3, "\n"));
	return NULL;
}

/* `path` as it is seen below that mount; NULL: it is not. */
static char *seen_below(const char *path, const char *root, const char *point)
{
	size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);
	char *full = NULL;

	if (strncmp(path, root, len) != 0 || (path[len] && path[len] != '/'))
		return NULL;
	const char *rest = path + len;
	if (strcmp(rest, "/") == 0)
		rest = "";
	if (asprintf(&full, "%s%s", strcmp(point, "/") == 0 ? "" : point, rest) < 0)
		return NULL;
	size_t n = strlen(full), sub = strlen(SUBGROUP);
	if (n > sub && strlen(rest) >= sub && strcmp(full + n - sub, SUBGROUP) == 0)
		full[n - sub] = '\0';
	return full;
}

char *cgroup_base_of(const char *own, const char *mountinfo, struct err *err)
{
	char *path = own_path(own), *lines = strdup(mountinfo), *rest = NULL, *base = NULL;
	bool mounted = false;

	if (path && lines && !strstr(path, "/.."))
		for (char *line = strtok_r(lines, "\n", &rest); line && !base;
			line = strtok_r(NULL, "\n", &rest)) {
			char *root, *point;
			if (!take_mount(line, &root, &point))
				continue;
			mounted = true;
			base = seen_below(path, root, point);
		}
	if (!base)
		err_set(err, ERR_NOT_FOUND, "%s",
			mounted || (path && strstr(path, "/.."))
				? "this process's cgroup is not below the mounted ones"
				: "no cgroup v2 is mounted");
	free(path);
	free(lines);
	return base;
}

static char *named_base(const char *path, struct err *err)
{
	if (path[0] != '/' || !is_cgroupfs(path)) {
		err_set(err, ERR_REFUSED,
			"WEIR_CGROUP=%.100s: not the absolute path of a cgroup v2", path);
		return NULL;
	}
	char *base = strdup(path);
	if (!base)
		err_nomem(err);
	return base;
}

static char *found_base(struct err *err)
{
	char *own = read_text("", "/proc/self/cgroup"), *base = NULL;
	char *mounts = read_text("", "/proc/self/mountinfo");

	if (own && mounts)
		base = cgroup_base_of(own, mounts, err);
	else
		err_set(err, ERR_NOT_FOUND, "/proc cannot be read");
	free(own);
	free(mounts);
	return base;
}

char *cgroup_base(struct err *err)
{
	const char *named = getenv("WEIR_CGROUP");
	char *base = named && *named ? named_base(named, err) : found_base(err);

	if (base && access(base, W_OK | X_OK) < 0) {
		err_set(err, ERR_REFUSED, "%.120s cannot be written to: %s", base, strerror(errno));
		free(base);
		return NULL;
	}
	return base;
}

/* ---- ends ---- */

static bool is_populated(const char *dir)
{
	char *text = read_text(dir, "cgroup.events");
	bool populated = text && strstr(text, "populated 1");

	free(text);
	return populated;
}

static void signal_members(const char *dir)
{
	char *text = read_text(dir, "cgroup.procs");

	for (char *p = text; p && *p; p += strcspn(p, "\n"), p += *p == '\n') {
		long pid = strtol(p, NULL, 10);
		if (pid > 1)
			kill((pid_t)pid, SIGKILL);
	}
	free(text);
}

static void kill_all(const char *dir)
{
	/* Linux before 5.14 has no cgroup.kill: next best, but for who forks faster than that. */
	if (write_file(dir, "cgroup.kill", "1") < 0)
		for (int i = 0; i < 10 && is_populated(dir); i++)
			signal_members(dir);
}

/* cgroup.events has a POLLPRI when it changes. */
static void await_empty(const char *dir)
{
	char *path = NULL, text[256];
	struct pollfd p = { .fd = -1, .events = POLLPRI };
	int tries = DEATH_WAIT_MS / 10;

	if (asprintf(&path, "%s/cgroup.events", dir) >= 0)
		p.fd = open(path, O_RDONLY | O_CLOEXEC);
	while (p.fd >= 0 && tries-- > 0) {
		ssize_t n = pread(p.fd, text, sizeof text - 1, 0);
		text[n > 0 ? n : 0] = '\0';
		if (!strstr(text, "populated 1"))
			break;
		poll(&p, 1, 10);
	}
	if (p.fd >= 0)
		close(p.fd);
	free(path);
}

/* Remove a folder and those in it; its files go with it. */
static void remove_tree(const char *dir, int depth)
{
	DIR *d = rmdir(dir) < 0 && errno != ENOENT && depth < DEPTH_MAX ? opendir(dir) : NULL;
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char *sub = NULL;
		if (e->d_type == DT_DIR && e->d_name[0] != '.' &&
			asprintf(&sub, "%s/%s", dir, e->d_name) >= 0)
			remove_tree(sub, depth + 1);
		free(sub);
	}
	if (d) {
		closedir(d);
		rmdir(dir);
	}
}

static void end_tree(const char *dir)
{
	if (is_populated(dir)) {
		kill_all(dir);
		await_empty(dir);
	}
	remove_tree(dir, 0);
}

/* ---- a supervisor's folder ---- */

/* Lock `path`, a folder that is still there; the descriptor, or -1. */
static int lock_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct stat a, b;

	if (fd < 0)
		return -1;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &a) == 0 && stat(path, &b) == 0 &&
		a.st_ino == b.st_ino)
		return fd;
	close(fd);
	return -1;
}

static void sweep(const char *base)
{
	DIR *d = opendir(base);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char *path = NULL;
		if (e->d_type != DT_DIR || strncmp(e->d_name, PREFIX, strlen(PREFIX)) != 0 ||
			asprintf(&path, "%s/%s", base, e->d_name) < 0)
			continue;
		int fd = lock_folder(path);
		if (fd >= 0) {
			end_tree(path);
			close(fd);
		}
		free(path);
	}
	if (d)
		closedir(d);
}

void cgroup_sweep(const char *base)
{
	char *own = base ? NULL : cgroup_base(NULL);

	if (base || own)
		sweep(base ? base : own);
	free(own);
}

/* A cgroup gives its children those controllers that it has in cgroup.subtree_control. */
static bool enable(const char *dir, const char *name)
{
	char *enabled = read_text(dir, "cgroup.subtree_control");
	char word[16];

	bool have = has_word(enabled, name);
	free(enabled);
	snprintf(word, sizeof word, "+%s", name);
	return have || write_file(dir, "cgroup.subtree_control", word) == 0;
}

static void enable_controllers(struct cgroup_place *p, const char *base)
{
	char *there = read_text(base, "cgroup.controllers");

	for (int i = 0; i < CGROUP_CONTROLLER_MAX; i++)
		p->controls[i] = has_word(there, controller_names[i]) &&
				 enable(base, controller_names[i]) &&
				 enable(p->path, controller_names[i]);
	free(there);
}

/* Whether a process may enter depends on more than one folder's mode: a child finds out. */
static int try_to_enter(const struct cgroup_place *p, struct err *err)
{
	struct cgroup c;
	int wstatus = 0;

	if (cgroup_new(&c, p, "try", err) < 0)
		return -1;
	pid_t pid = fork();
	if (pid == 0)
		_exit(cgroup_enter(&c) == 0 ? 0 : errno & 0xff);
	if (pid < 0)
		err_errno(err, "fork");
	while (pid > 0 && waitpid(pid, &wstatus, 0) < 0 && errno == EINTR)
		;
	if (pid > 0 && wstatus)
		err_set(err, ERR_REFUSED, "no process may enter %.100s: %s", p->path,
			strerror(WIFEXITED(wstatus) ? WEXITSTATUS(wstatus) : EINTR));
	cgroup_remove(&c);
	return pid > 0 && !wstatus ? 0 : -1;
}

static int make_folder(struct cgroup_place *p, const char *base, struct err *err)
{
	for (int i = 0; i < NAMES_TRIED; i++) {
		char tail[24] = "";
		if (i)
			snprintf(tail, sizeof tail, "-%d", i);
		if (asprintf(&p->path, "%s/" PREFIX "%ld%s", base, (long)getpid(), tail) < 0) {
			p->path = NULL;
			return err_nomem(err);
		}
		bool made = mkdir(p->path, 0755) == 0;
		int error = errno;
		p->lock_fd = made ? lock_folder(p->path) : -1;
		if (p->lock_fd >= 0)
			return 0;
		free(p->path);
		p->path = NULL;
		errno = error;
		if (!made && error != EEXIST)
			break;
	}
	return err_errno(err, "%.120s: no cgroup can be made", base);
}

int cgroup_place_open(struct cgroup_place *p, const char *base, struct err *err)
{
	*p = (struct cgroup_place){ .lock_fd = -1 };
	if (make_folder(p, base, err) < 0)
		return -1;
	enable_controllers(p, base);
	if (try_to_enter(p, err) == 0)
		return 0;
	cgroup_place_close(p);
	return -1;
}

void cgroup_place_close(struct cgroup_place *p)
{
	if (!p->path)
		return;
	end_tree(p->path);
	close(p->lock_fd);
	free(p->path);
	*p = (struct cgroup_place){ .lock_fd = -1 };
}

/* ---- an attempt's ---- */

int cgroup_new(struct cgroup *c, const struct cgroup_place *p, const char *name, struct err *err)
{
	char *procs = NULL;

	*c = (struct cgroup){ .procs_fd = -1 };
	if (asprintf(&c->path, "%s/%s", p->path, name) < 0) {
		c->path = NULL;
		return err_nomem(err);
	}
	if (mkdir(c->path, 0755) < 0) {
		err_errno(err, "%.150s", c->path);
		cgroup_release(c);
		return -1;
	}
	if (asprintf(&procs, "%s/cgroup.procs", c->path) >= 0)
		c->procs_fd = open(procs, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (c->procs_fd < 0) {
		err_errno(err, "%.150s/cgroup.procs", c->path);
		cgroup_remove(c);
	}
	free(procs);
	return c->path ? 0 : -1;
}

int cgroup_write(const struct cgroup *c, const char *file, const char *text)
{
	return write_file(c->path, file, text);
}

int cgroup_enter(const struct cgroup *c)
{
	/* 0: who writes it. */
	return write(c->procs_fd, "0", 1) == 1 ? 0 : -1;
}

void cgroup_close_entry(struct cgroup *c)
{
	if (c->procs_fd >= 0)
		close(c->procs_fd);
	c->procs_fd = -1;
}

int64_t cgroup_count(const struct cgroup *c, const char *file, const char *key)
{
	char *text = read_text(c->path, file);
	size_t len = strlen(key);
	int64_t n = 0;

	for (char *p = text; p && *p; p += strcspn(p, "\n"), p += *p == '\n')
		if (strncmp(p, key, len) == 0 && p[len] == ' ')
			n = strtoll(p + len, NULL, 10);
	free(text);
	return n;
}

void cgroup_kill(const struct cgroup *c)
{
	if (c->path)
		kill_all(c->path);
}

void cgroup_remove(struct cgroup *c)
{
	if (c->path)
		end_tree(c->path);
	cgroup_release(c);
}

void cgroup_release(struct cgroup *c)
{
	if (!c->path)
		return;
	cgroup_close_entry(c);
	free(c->path);
	*c = (struct cgroup){ .procs_fd = -1 };
}
