#include "base/zonefile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/near.h"

enum { DEPTH_MAX = 4, FILE_MAX = 1 << 20, NAME_LEN_MAX = 255 };

static const char *zone_dir(void)
{
	const char *dir = getenv("TZDIR");

	return dir && *dir ? dir : "/usr/share/zoneinfo";
}

static bool is_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789/_+-.";

	size_t len = strlen(name);
	return len > 0 && len <= NAME_LEN_MAX && strspn(name, allowed) == len && name[0] != '/' &&
	       name[0] != '.' && name[len - 1] != '/' && !strstr(name, "..") && !strstr(name, "//");
}

static bool is_zone_file(const char *path)
{
	char magic[4] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return false;
	ssize_t n = read(fd, magic, sizeof magic);
	close(fd);
	return n == 4 && memcmp(magic, "TZif", 4) == 0;
}

/* The names nearest to a misspelt one, best first. */
struct nearest {
	const char *word;
	struct {
		char name[NAME_LEN_MAX + 1];
		int distance;
	} best[ZONEFILE_NAMES_MAX];
	int n;
};

static void consider(struct nearest *near, const char *name)
{
	/* "Berlin" means Europe/Berlin: the last part counts, at a small price. */
	const char *slash = strrchr(name, '/');
	int distance = near_distance(near->word, name);
	int by_city = slash ? near_distance(near->word, slash + 1) : INT_MAX;

	if (by_city < distance - 1)
		distance = by_city + 1;
	if (distance > 1 + (int)strlen(near->word) / 3)
		return;
	int at = near->n;
	while (at > 0 && near->best[at - 1].distance > distance)
		at--;
	if (at == ZONEFILE_NAMES_MAX)
		return;
	if (near->n < ZONEFILE_NAMES_MAX)
		near->n++;
	for (int i = near->n - 1; i > at; i--)
		near->best[i] = near->best[i - 1];
	snprintf(near->best[at].name, sizeof near->best[at].name, "%s", name);
	near->best[at].distance = distance;
}

static void walk(struct nearest *near, const char *root, const char *dir, int depth)
{
	char path[PATH_MAX], name[NAME_LEN_MAX + 1];
	struct dirent *e;

	if (snprintf(path, sizeof path, "%s/%s", root, dir) >= (int)sizeof path)
		return;
	DIR *d = opendir(path);
	if (!d)
		return;
	while ((e = readdir(d))) {
		struct stat st;
		/* The same zones again, once with leap seconds. */
		bool copy = depth == 0 &&
			    (strcmp(e->d_name, "posix") == 0 || strcmp(e->d_name, "right") == 0);
		if (copy || e->d_name[0] == '.')
			continue;
		if (snprintf(name, sizeof name, "%s%s%s", dir, *dir ? "/" : "", e->d_name) >=
				(int)sizeof name ||
			snprintf(path, sizeof path, "%s/%s", root, name) >= (int)sizeof path ||
			stat(path, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
			walk(near, root, name, depth + 1);
		else if (S_ISREG(st.st_mode) && is_name(name) && strchr(e->d_name, '.') == NULL)
			consider(near, name);
	}
	closedir(d);
}

static int not_found(const char *name, struct err *err)
{
	struct nearest near = { .word = name };
	struct buf text;
	struct stat st;

	if (stat(zone_dir(), &st) < 0)
		return err_set(err, ERR_NOT_FOUND,
			"time zone \"%s\": this machine has no time zone data in %s: install "
			"tzdata",
			name, zone_dir());
	walk(&near, zone_dir(), "", 0);
	buf_init(&text, 1024);
	for (int i = 0; i < near.n; i++)
		buf_addf(&text, "%s%s",
			i == 0           ? "; did you mean "
			: i + 1 < near.n ? ", "
					 : " or ",
			near.best[i].name);
	err_set(err, ERR_NOT_FOUND, "there is no time zone \"%s\"%s%s", name, text.data,
		near.n ? "?" : "; names are such as Europe/Berlin or UTC");
	buf_release(&text);
	return -1;
}

static int read_all(int fd, const char *path, struct buf *out, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(err, "%s", path);
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
		return err_set(err, ERR_INVALID, "%s is no time zone file", path);
	for (;;) {
		if (buf_reserve(out, 4096) < 0)
			return buf_ok(out, path, err);
		ssize_t n = read(fd, out->data + out->len, 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, "%s", path);
		if (n == 0)
			return 0;
		out->len += (size_t)n;
		out->data[out->len] = '\0';
	}
}

int zonefile_read(const char *name, struct buf *out, struct err *err)
{
	char path[PATH_MAX];

	if (!is_name(name))
		return err_set(err, ERR_INVALID,
			"\"%.80s\" is no name of a time zone; names are such as Europe/Berlin or "
			"UTC",
			name);
	if (snprintf(path, sizeof path, "%s/%s", zone_dir(), name) >= (int)sizeof path)
		return err_set(err, ERR_INVALID, "the path of time zone \"%s\" is too long", name);
	/* O_NONBLOCK: opening must not wait, whatever lies there. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return not_found(name, err);
	if (fd < 0)
		return err_errno(err, "time zone \"%s\": %s", name, path);
	int rc = read_all(fd, path, out, err);
	close(fd);
	return rc;
}

/* Does `text` (a name, a path below the zone directory, either behind a colon) name a zone
 * file? Then append its name. */
static bool add_if_zone(const char *text, struct buf *out)
{
	char path[PATH_MAX];
	const char *dir = zone_dir(), *name = text + (*text == ':');
	const char *below = strstr(name, "zoneinfo/");

	if (*name == '/' && strncmp(name, dir, strlen(dir)) == 0 && name[strlen(dir)] == '/')
		name += strlen(dir) + 1;
	else if (below)
		name = below + strlen("zoneinfo/");
	if (!is_name(name) || snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path ||
		!is_zone_file(path))
		return false;
	buf_addstr(out, name);
	return true;
}

static bool from_etc_timezone(struct buf *out)
{
	char line[NAME_LEN_MAX + 2] = "";
	FILE *f = fopen("/etc/timezone", "re");

	if (!f)
		return false;
	bool found = fgets(line, sizeof line, f) != NULL;
	fclose(f);
	line[strcspn(line, " \t\r\n")] = '\0';
	return found && add_if_zone(line, out);
}

static bool from_etc_localtime(struct buf *out)
{
	char target[PATH_MAX];
	ssize_t n = readlink("/etc/localtime", target, sizeof target - 1);

	if (n <= 0)
		return false;
	target[n] = '\0';
	return add_if_zone(target, out);
}

int zonefile_local_name(struct buf *out, struct err *err)
{
	const char *tz = getenv("TZ");
	bool found = tz && *tz && add_if_zone(tz, out);

	/* POSIX: an empty TZ means UTC, not the machine's zone. */
	if (!found && (!tz || *tz))
		found = from_etc_timezone(out) || from_etc_localtime(out);
	if (!found)
		buf_addstr(out, "UTC");
	return buf_ok(out, "name of the local time zone", err);
}
