#include "run/sender.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"
#include "base/node.h"
#include "base/units.h"
#include "base/utf8.h"
#include "core/alert.h"
#include "exec/mask.h"
#include "run/sender_impl.h"

enum { SOCKET_FD = 3, SECRET_MAX = 64 << 10, DEFAULT_TIMEOUT_S = 10, SECRET_PART_MIN = 8 };

static const struct class_row {
	const char *name;
	bool transient;
} classes[] = {
	[SENDER_UNREACHABLE] = { "unreachable", true },
	[SENDER_TIMEOUT] = { "timeout", true },
	[SENDER_BUSY] = { "busy", true },
	[SENDER_LOGIN] = { "login", false },
	[SENDER_CERTIFICATE] = { "certificate", false },
	[SENDER_ENCRYPTION] = { "encryption", false },
	[SENDER_REJECTED] = { "rejected", false },
	[SENDER_SETTINGS] = { "settings", false },
	[SENDER_COMMAND] = { "command", true },
};
static_assert(sizeof classes / sizeof *classes == SENDER_CLASS_MAX, "a row for each class");

const char *sender_class_name(enum sender_class c)
{
	return (unsigned)c < SENDER_CLASS_MAX ? classes[c].name : "?";
}

int sender_class_by_name(const char *name)
{
	for (int i = 0; name && i < SENDER_CLASS_MAX; i++)
		if (strcmp(classes[i].name, name) == 0)
			return i;
	return -1;
}

bool sender_class_is_transient(enum sender_class c)
{
	return (unsigned)c < SENDER_CLASS_MAX && classes[c].transient;
}

/* ---- settings -------------------------------------------------------------------------- */

static json_t *value_of(const struct node *n)
{
	if (n->type == NODE_MAP)
		return sender_settings(n);
	if (n->type != NODE_SEQ)
		return node_text(n) ? json_string(node_text(n)) : json_null();
	json_t *list = json_array();
	for (size_t i = 0; i < n->n; i++)
		json_array_append_new(list, value_of(n->items[i]));
	return list;
}

json_t *sender_settings(const struct node *channel)
{
	json_t *o = json_object();

	for (size_t i = 0; i < channel->n; i++)
		json_object_set_new(o, channel->keys[i]->text, value_of(channel->items[i]));
	return o;
}

/* ---- one delivery ---------------------------------------------------------------------- */

void delivery_fail(struct delivery *d, enum sender_class c, const char *fmt, ...)
{
	va_list ap;

	if (d->failed)
		return;
	d->failed = true;
	d->class = c;
	va_start(ap, fmt);
	vsnprintf(d->error, sizeof d->error, fmt, ap);
	va_end(ap);
}

const char *delivery_text(struct delivery *d, const char *key)
{
	return json_string_value(json_object_get(d->settings, key));
}

static char *read_secret(struct delivery *d, const char *file)
{
	char *path = io_path_join(d->dir ? d->dir : ".", file);
	struct err err = { 0 };
	struct buf text;

	buf_init(&text, SECRET_MAX);
	if (path && io_read_regular(path, &text, &err) == 0 && text.len > 0) {
		if (text.data[text.len - 1] == '\n')
			buf_truncate(&text, text.len - 1);
	} else {
		delivery_fail(d, SENDER_SETTINGS, "%s", err.code ? err.msg : "the secret is empty");
		buf_release(&text);
	}
	free(path);
	return d->failed ? NULL : buf_take(&text);
}

static char *resolve(struct delivery *d, const json_t *form)
{
	const char *env = json_string_value(json_object_get(form, "env"));
	const char *file = json_string_value(json_object_get(form, "file"));

	if (json_is_string(form))
		return strdup(json_string_value(form));
	if (file)
		return read_secret(d, file);
	const char *value = env ? getenv(env) : NULL;
	if (value && *value)
		return strdup(value);
	delivery_fail(d, SENDER_SETTINGS, "the environment variable %s (a secret) is not set",
		env ? env : "?");
	return NULL;
}

const char *delivery_secret(struct delivery *d, const char *key)
{
	const json_t *form = json_object_get(d->settings, key);

	if (!form || d->failed || d->nsecrets == SECRETS_MAX)
		return NULL;
	char *value = resolve(d, form);
	if (value)
		d->secrets[d->nsecrets++] = value;
	return value;
}

static void keep_secret(struct delivery *d, const char *text, size_t len)
{
	char *copy = d->nsecrets < SECRETS_MAX ? strndup(text, len) : NULL;

	if (copy)
		d->secrets[d->nsecrets++] = copy;
}

/* What makes a URL a secret stands in its path: a server may answer with that alone. */
static void keep_parts(struct delivery *d, const char *url)
{
	const char *host = strstr(url, "://"), *path = host ? strchr(host + 3, '/') : NULL;

	for (size_t len; path && *path; path += len) {
		path += strspn(path, "/?&=");
		len = strcspn(path, "/?&=");
		if (len >= SECRET_PART_MIN)
			keep_secret(d, path, len);
	}
}

/* Without the secrets; owned, NULL: it cannot be had. */
static char *masked(const struct delivery *d, const char *text)
{
	struct mask *m = mask_new((const char *const *)d->secrets);
	struct buf out;

	buf_init(&out, 4 * SENDER_MAX);
	bool good = m && mask_feed(m, text, strlen(text), &out) == 0 && mask_end(m, &out) == 0;
	mask_free(m);
	if (good)
		return out.data ? buf_take(&out) : strdup("");
	buf_release(&out);
	return NULL;
}

/* All secrets of the channel are known before anything is said. */
static void hide_secrets(struct delivery *d)
{
	static const char *const keys[] = { "url", "key", "secret", "password" };
	json_t *doc = json_object_get(d->request, "doc");

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		const json_t *form = json_object_get(d->settings, keys[i]);
		bool plain_url = strcmp(keys[i], "url") == 0 && json_is_string(form);
		const char *value = form && !plain_url ? delivery_secret(d, keys[i]) : NULL;
		if (value && strcmp(keys[i], "url") == 0)
			keep_parts(d, value);
	}
	char *text = doc && !d->failed ? json_dumps(doc, JSON_COMPACT) : NULL;
	char *safe = text ? masked(d, text) : NULL;
	d->doc = safe ? json_loads(safe, 0, NULL) : NULL;
	if (doc && !d->doc)
		delivery_fail(d, SENDER_SETTINGS, "the message cannot be made free of secrets");
	free(text);
	free(safe);
}

static void (*const types[])(struct delivery *d) = {
	[ALERT_SLACK] = sender_slack,
	[ALERT_PAGERDUTY] = sender_pagerduty,
	[ALERT_EMAIL] = sender_email,
	[ALERT_WEBHOOK] = sender_webhook,
	[ALERT_COMMAND] = sender_command,
};
static_assert(sizeof types / sizeof *types == ALERT_CHANNEL_TYPE_MAX, "one for each type");

static json_t *answer_of(struct delivery *d)
{
	json_t *job = json_object_get(d->request, "job");

	if (!d->failed)
		return json_pack("{s:O?, s:b}", "job", job, "ok", 1);
	char *safe = masked(d, d->error);
	if (safe)
		utf8_clean(safe, strlen(safe));
	json_t *o = json_pack("{s:O?, s:b, s:s, s:s, s:I}", "job", job, "ok", 0, "class",
		sender_class_name(d->class), "error", safe ? safe : "out of memory",
		"retry_after_us", (json_int_t)d->retry_after_us);
	free(safe);
	return o;
}

json_t *sender_perform(const json_t *request)
{
	const char *type = json_string_value(json_object_get(request, "type"));
	const char *timeout = NULL;
	struct delivery d = { .request = request,
		.settings = json_object_get(request, "settings"),
		.dir = json_string_value(json_object_get(request, "dir")),
		.timeout_us = DEFAULT_TIMEOUT_S * US_PER_SECOND };
	int at = type ? alert_channel_type_by_name(type) : -1;
	struct err err = { 0 };

	timeout = delivery_text(&d, "timeout");
	if (timeout)
		units_parse_duration(timeout, &d.timeout_us, NULL);
	if (at != ALERT_COMMAND && !(d.curl = curl_lib(&err)))
		delivery_fail(&d, SENDER_SETTINGS, "%s", err.msg);
	hide_secrets(&d);
	if (!d.failed && at >= 0)
		types[at](&d);
	else if (!d.failed)
		sender_heartbeat(&d);
	json_t *answer = answer_of(&d);
	json_decref(d.doc);
	for (size_t i = 0; i < d.nsecrets; i++) {
		OPENSSL_cleanse(d.secrets[i], strlen(d.secrets[i]));
		free(d.secrets[i]);
	}
	return answer;
}

/* ---- the process ----------------------------------------------------------------------- */

static void work(const char *text)
{
	json_t *request = json_loads(text, 0, NULL);
	json_t *answer = request ? sender_perform(request) : NULL;
	char *said = answer ? json_dumps(answer, JSON_COMPACT) : NULL;

	if (said)
		(void)send(SOCKET_FD, said, strlen(said), MSG_NOSIGNAL);
	_exit(0);
}

static void reset_signals(void)
{
	static const int kept[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };
	struct sigaction dfl = { .sa_handler = SIG_DFL }, ign = { .sa_handler = SIG_IGN };
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &dfl, NULL);
	/* Who began it ends it, by closing the socket. */
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
		sigaction(kept[i], &ign, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* False: the parent is gone already. */
static bool die_with(pid_t parent)
{
	return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
}

static void settle_fds(int socket)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (socket != SOCKET_FD)
		dup3(socket, SOCKET_FD, O_CLOEXEC);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	close_range(SOCKET_FD + 1, ~0U, 0);
}

static void serve(void)
{
	static char packet[SENDER_MAX + 1];
	const struct sigaction ign = { .sa_handler = SIG_IGN }, dfl = { .sa_handler = SIG_DFL };
	pid_t self = getpid();
	ssize_t n;

	sigaction(SIGCHLD, &ign, NULL); /* they are reaped by themselves */
	while ((n = recv(SOCKET_FD, packet, SENDER_MAX, 0)) > 0 || (n < 0 && errno == EINTR)) {
		if (n < 0)
			continue;
		packet[n] = '\0';
		curl_lib(NULL); /* once, for all */
		if (fork() != 0)
			continue;
		sigaction(SIGCHLD, &dfl, NULL);
		if (die_with(self))
			work(packet);
		_exit(1);
	}
}

int sender_start(struct sender *s, struct err *err)
{
	pid_t parent = getpid();
	int fds[2], size = 2 * SENDER_MAX;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return err_errno(err, "sender: socketpair");
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	pid_t pid = fork();
	if (pid < 0) {
		err_errno(err, "sender: fork");
		close(fds[0]);
		close(fds[1]);
		return -1;
	}
	if (pid == 0) {
		reset_signals();
		prctl(PR_SET_NAME, "weir-sender");
		settle_fds(fds[1]);
		if (die_with(parent))
			serve();
		_exit(0);
	}
	close(fds[1]);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	*s = (struct sender){ pid, fds[0] };
	return 0;
}

void sender_stop(struct sender *s)
{
	if (s->pid <= 0)
		return;
	close(s->fd);
	/* It may be at work on what is not wanted any more. */
	kill(s->pid, SIGKILL);
	while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
		;
	*s = (struct sender){ 0, -1 };
}

int sender_send(struct sender *s, const json_t *request, struct err *err)
{
	char *text = json_dumps(request, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;

	if (!text)
		return err_nomem(err);
	ssize_t n = len > SENDER_MAX ? -1 : send(s->fd, text, len, MSG_NOSIGNAL);
	int why = len > SENDER_MAX ? EMSGSIZE : errno;
	free(text);
	if (n >= 0)
		return 0;
	if (why == EAGAIN || why == ENOBUFS)
		return err_set(err, ERR_BUSY, "the sender takes no more now");
	return err_set(err, ERR_IO, "the sender: %s", strerror(why));
}

int sender_receive(struct sender *s, json_t **ret)
{
	static char packet[4096];

	for (;;) {
		ssize_t n = recv(s->fd, packet, sizeof packet, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n <= 0)
			return -1;
		*ret = json_loadb(packet, (size_t)n, 0, NULL);
		if (*ret)
			return 1;
	}
}
