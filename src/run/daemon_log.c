#include "run/daemon_log.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/clock.h"

enum { LINE_MAX_LEN = 64 << 10 };

static const char *const level_names[] = {
	[LEVEL_DEBUG] = "debug",
	[LEVEL_INFO] = "info",
	[LEVEL_WARN] = "warn",
	[LEVEL_ERROR] = "error",
};
static_assert(sizeof level_names / sizeof *level_names == LEVEL_MAX, "a name for each level");

static void add_now(struct buf *out)
{
	struct civil c;

	civil_from_us(clock_now_us(), &c);
	civil_strftime(out, &c, 0, "Z", "%Y-%m-%dT%H:%M:%S", NULL);
	buf_addf(out, ".%03dZ", c.usec / 1000);
}

static bool is_plain(const char *s)
{
	return *s && !s[strcspn(s, " \"=\\\t\r\n")] && !strpbrk(s, "\x7f\x1b");
}

/* As a JSON string, which any reader of key=value lines understands, too. */
static void add_quoted(struct buf *out, const char *s)
{
	json_t *text = json_string(s);
	char *quoted = json_dumps(text ? text : json_null(), JSON_ENCODE_ANY);

	buf_addstr(out, quoted ? quoted : "\"?\"");
	free(quoted);
	json_decref(text);
}

static void add_text(struct buf *out, const char *s)
{
	if (is_plain(s))
		buf_addstr(out, s);
	else
		add_quoted(out, s);
}

void daemon_log(const struct daemon_log *log, enum log_level level, const char *msg,
	const struct log_pair *pairs)
{
	struct buf line;

	if (!log->out || level < log->least)
		return;
	buf_init(&line, LINE_MAX_LEN);
	buf_addstr(&line, log->json ? "{\"time\":\"" : "");
	add_now(&line);
	buf_addf(
		&line, log->json ? "\",\"level\":\"%s\",\"msg\":" : " %s msg=", level_names[level]);
	add_quoted(&line, msg);
	for (const struct log_pair *p = pairs; p && p->key; p++) {
		if (!p->value)
			continue;
		buf_addf(&line, log->json ? ",\"%s\":" : " %s=", p->key);
		if (log->json)
			add_quoted(&line, p->value);
		else
			add_text(&line, p->value);
	}
	buf_addstr(&line, log->json ? "}\n" : "\n");
	fwrite(line.data, 1, line.len, log->out);
	fflush(log->out);
	buf_release(&line);
}
