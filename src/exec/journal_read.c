/* Reading journals: of supervisors that may be alive, dead, or of another weir. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/err.h"
#include "exec/journal.h"

#define MAGIC "weir-journal "
#define OPENS_MAX 100

/* One line, taken apart from the left. */
struct line {
	const char *p, *end;
	bool bad;
};

static bool next_line(const char **at, const char *end, struct line *ret)
{
	const char *nl = *at < end ? memchr(*at, '\n', (size_t)(end - *at)) : NULL;

	if (!nl)
		return false; /* the end, or a line torn by a crash */
	*ret = (struct line){ .p = *at, .end = nl };
	*at = nl + 1;
	return true;
}

/* The next field, with the space behind it. */
static size_t take_word(struct line *l, const char **ret)
{
	const char *space = memchr(l->p, ' ', (size_t)(l->end - l->p));
	const char *stop = space ? space : l->end;

	*ret = l->p;
	l->p = space ? space + 1 : l->end;
	if (stop == *ret)
		l->bad = true;
	return (size_t)(stop - *ret);
}

static int64_t take_int(struct line *l, int64_t min, int64_t max)
{
	const char *word;
	size_t len = take_word(l, &word);
	bool minus = len > 1 && word[0] == '-';
	int64_t v = 0;

	if (minus) {
		word++;
		len--;
	}
	for (size_t i = 0; i < len && !l->bad; i++)
		if (word[i] < '0' || word[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
			__builtin_add_overflow(v, word[i] - '0', &v))
			l->bad = true;
	v = minus ? -v : v;
	if (l->bad || v < min || v > max) {
		l->bad = true;
		return 0;
	}
	return v;
}

static int64_t take_count(struct line *l)
{
	return take_int(l, 0, INT64_MAX);
}

static enum outcome take_outcome(struct line *l)
{
	const char *word;
	char name[32];
	size_t len = take_word(l, &word);

	if (l->bad || len >= sizeof name) {
		l->bad = true;
		return OUTCOME_NONE;
	}
	memcpy(name, word, len);
	name[len] = '\0';
	int outcome = outcome_by_name(name);
	if (outcome <= OUTCOME_NONE)
		l->bad = true;
	return outcome < 0 ? OUTCOME_NONE : (enum outcome)outcome;
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* One character at p, which may be an escape: how many bytes it took; 0: not one. */
static size_t unescape(const char *p, const char *end, char *ret)
{
	if (*p != '\\') {
		*ret = *p;
		return 1;
	}
	if (end - p >= 2 && (p[1] == '\\' || p[1] == 'n')) {
		*ret = p[1] == 'n' ? '\n' : '\\';
		return 2;
	}
	if (end - p >= 4 && p[1] == 'x' && hex_digit(p[2]) >= 0 && hex_digit(p[3]) >= 0) {
		*ret = (char)(hex_digit(p[2]) * 16 + hex_digit(p[3]));
		return 4;
	}
	return 0;
}

static void take_text(struct line *l, char *to, size_t size)
{
	size_t len = 0;

	while (l->p < l->end && !l->bad) {
		size_t used = unescape(l->p, l->end, &to[len]);
		if (!used || to[len] == '\0' || len + 1 >= size)
			l->bad = true;
		l->p += used;
		len++;
	}
	to[l->bad ? 0 : len] = '\0';
}

/* ---- entries ---- */

struct index {
	int64_t token;
	size_t at;
	UT_hash_handle hh;
};

struct parse {
	struct exec_journal *j;
	size_t cap;
	struct index *by_token;
	bool same_boot;
};

static int grow(struct parse *p)
{
	size_t cap = p->cap ? p->cap * 2 : 64;
	struct exec_journal_entry *grown = reallocarray(p->j->entries, cap, sizeof *grown);

	if (!grown)
		return -1;
	p->j->entries = grown;
	p->cap = cap;
	return 0;
}

/* The entry of a token, made when it is the first mention. NULL: out of memory. */
static struct exec_journal_entry *entry_of(struct parse *p, int64_t token)
{
	struct index *i;

	HASH_FIND(hh, p->by_token, &token, sizeof token, i);
	if (i)
		return &p->j->entries[i->at];
	if (p->j->n == p->cap && grow(p) < 0)
		return NULL;
	i = calloc(1, sizeof *i);
	if (!i)
		return NULL;
	i->token = token;
	i->at = p->j->n;
	HASH_ADD(hh, p->by_token, token, sizeof i->token, i);
	if (!i->hh.tbl) {
		free(i);
		return NULL;
	}
	struct exec_journal_entry *e = &p->j->entries[p->j->n++];
	*e = (struct exec_journal_entry){ .token = token };
	return e;
}

static int parse_start(struct parse *p, struct line *l)
{
	int64_t token = take_int(l, INT64_MIN + 1, INT64_MAX);
	int64_t pid = take_int(l, 1, INT32_MAX);
	int64_t start_boot_us = take_count(l), started_us = take_count(l);

	if (l->bad || l->p != l->end)
		return 0;
	struct exec_journal_entry *e = entry_of(p, token);
	if (!e)
		return -1;
	e->started = true;
	e->pid = p->same_boot ? pid : 0;
	e->start_boot_us = start_boot_us;
	e->end.token = token;
	e->end.started_us = started_us;
	return 0;
}

static int parse_end(struct parse *p, struct line *l)
{
	struct exec_end end = { .token = take_int(l, INT64_MIN + 1, INT64_MAX) };

	end.outcome = take_outcome(l);
	end.exit_status = (int)take_int(l, -1, 255);
	end.signal = (int)take_int(l, 0, 64);
	end.started_us = take_count(l);
	end.ended_us = take_count(l);
	end.max_rss_bytes = take_count(l);
	end.cpu_us = take_count(l);
	take_text(l, end.error, sizeof end.error);
	if (l->bad)
		return 0;
	struct exec_journal_entry *e = entry_of(p, end.token);
	if (!e)
		return -1;
	if (!e->ended) { /* an end is final */
		e->ended = true;
		e->end = end;
	}
	return 0;
}

static int parse_record(struct parse *p, struct line *l)
{
	const char *kind;

	if (take_word(l, &kind) != 1)
		return 0;
	if (*kind == 'S')
		return parse_start(p, l);
	return *kind == 'E' ? parse_end(p, l) : 0;
}

/* Nothing but a name that a supervisor would make: it is used as one. */
static void take_socket(struct line *l, char ret[ENDPOINT_NAME])
{
	static const char digits[] = "0123456789abcdef";
	const char *word;
	size_t len = take_word(l, &word), stem = ENDPOINT_NAME - sizeof ENDPOINT_SUFFIX;

	if (len >= ENDPOINT_NAME) {
		l->bad = true;
		return;
	}
	memcpy(ret, word, len);
	ret[len] = '\0';
	if (strcmp(ret, JOURNAL_NO_SOCKET) != 0 &&
		(strspn(ret, digits) != stem || strcmp(ret + stem, ENDPOINT_SUFFIX) != 0))
		l->bad = true;
}

static int parse_head(struct line *l, struct journal_head *ret, struct err *err)
{
	const char *word;

	if ((size_t)(l->end - l->p) < sizeof MAGIC || memcmp(l->p, MAGIC, sizeof MAGIC - 1) != 0)
		return err_set(err, ERR_DATA, "is no journal of a supervisor");
	l->p += sizeof MAGIC - 1;
	int64_t version = take_int(l, 1, INT32_MAX);
	if (!l->bad && version > JOURNAL_VERSION)
		return err_set(err, ERR_REFUSED,
			"was written by a newer weir (version %d, this one reads %d)", (int)version,
			JOURNAL_VERSION);
	struct journal_head head = { .pid = take_int(l, 1, INT32_MAX) };
	head.start_ticks = take_count(l);
	size_t len = take_word(l, &word);
	memcpy(head.socket_name, JOURNAL_NO_SOCKET, sizeof JOURNAL_NO_SOCKET);
	if (version > 1)
		take_socket(l, head.socket_name);
	if (l->bad || l->p != l->end || len >= sizeof head.boot_id || memchr(word, '\0', len))
		return err_set(err, ERR_DATA, "is a damaged journal: its first line");
	memcpy(head.boot_id, word, len);
	*ret = head;
	return 0;
}

int journal_parse(const char *text, size_t len, const char *boot_id, struct journal_head *ret_head,
	struct exec_journal *ret, struct err *err)
{
	const char *at = text, *end = text + len;
	struct exec_journal j = { 0 };
	struct parse p = { .j = &j };
	struct line l;
	int rc = 0;

	if (!next_line(&at, end, &l))
		return err_set(err, ERR_DATA, "is a damaged journal: its first line");
	if (parse_head(&l, ret_head, err) < 0)
		return -1;
	p.same_boot = strcmp(boot_id, ret_head->boot_id) == 0;
	while (rc == 0 && next_line(&at, end, &l))
		rc = parse_record(&p, &l);
	struct index *i, *next;
	HASH_ITER (hh, p.by_token, i, next) {
		HASH_DEL(p.by_token, i);
		free(i);
	}
	if (rc < 0) {
		exec_journal_release(&j);
		return err_nomem(err);
	}
	for (size_t n = 0; p.same_boot && n < j.n; n++)
		j.entries[n].session = ret_head->pid;
	*ret = j;
	return 0;
}

/* ---- the file ---- */

static int read_fd(int fd, struct buf *out, struct err *err)
{
	for (;;) {
		if (buf_reserve(out, 65536) < 0)
			return buf_ok(out, "journal", err);
		ssize_t n = read(fd, out->data + out->len, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, "read");
		if (n == 0)
			return 0;
		out->len += (size_t)n;
		out->data[out->len] = '\0';
	}
}

bool journal_is_locked(int fd)
{
	if (flock(fd, LOCK_SH | LOCK_NB) == 0) {
		flock(fd, LOCK_UN);
		return false;
	}
	return errno == EWOULDBLOCK;
}

static int open_journal(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "%s: no such journal", path);
	return fd < 0 ? err_errno(err, "%s", path) : fd;
}

/* Whether the file was replaced, by its supervisor, since it was opened. */
static bool is_replaced(int fd, const char *path)
{
	struct stat ours, there;

	return fstat(fd, &ours) == 0 && stat(path, &there) == 0 &&
	       (ours.st_ino != there.st_ino || ours.st_dev != there.st_dev);
}

/* Open it, and ask for its lock: before anything is read, so that a supervisor which leaves in
 * between counts as alive, and is asked again. */
static int open_current(const char *path, bool *ret_live, struct err *err)
{
	for (int i = 0; i < OPENS_MAX; i++) {
		int fd = open_journal(path, err);
		if (fd < 0)
			return -1;
		*ret_live = journal_is_locked(fd);
		if (*ret_live || !is_replaced(fd, path))
			return fd;
		close(fd);
	}
	return err_set(err, ERR_BUSY, "%s: is replaced again and again", path);
}

int exec_journal_read(const char *path, struct exec_journal *ret, struct err *err)
{
	char boot_id[PROC_BOOT_ID];
	struct exec_journal j = { 0 };
	struct journal_head head;
	struct buf text;
	bool live;
	int rc = -1, fd = open_current(path, &live, err);

	if (fd < 0)
		return -1;
	buf_init(&text, JOURNAL_MAX);
	proc_boot_id(boot_id);
	if (read_fd(fd, &text, err) == 0)
		rc = journal_parse(text.data, text.len, boot_id, &head, &j, err);
	if (rc < 0) {
		err_context(err, "%s", path);
	} else {
		j.live = live && strcmp(boot_id, head.boot_id) == 0;
		*ret = j;
	}
	buf_release(&text);
	close(fd);
	return rc;
}

int journal_read_head(const char *path, struct journal_head *ret, bool *ret_live, struct err *err)
{
	char text[512], boot_id[PROC_BOOT_ID];
	struct line l;
	bool live;
	int rc = -1, fd = open_current(path, &live, err);

	if (fd < 0)
		return -1;
	ssize_t n = read(fd, text, sizeof text);
	const char *at = text;
	if (n < 0)
		err_errno(err, "%s", path);
	else if (!next_line(&at, text + n, &l))
		err_set(err, ERR_DATA, "%s: is a damaged journal: its first line", path);
	else if (parse_head(&l, ret, err) < 0)
		err_context(err, "%s", path);
	else
		rc = 0;
	close(fd);
	if (rc < 0)
		return -1;
	proc_boot_id(boot_id);
	*ret_live = live && strcmp(boot_id, ret->boot_id) == 0;
	return 0;
}

void exec_journal_release(struct exec_journal *j)
{
	if (!j)
		return;
	free(j->entries);
	*j = (struct exec_journal){ 0 };
}
