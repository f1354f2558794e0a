#include "run/alert_message.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/units.h"
#include "base/utf8.h"

enum { LABEL_WIDTH = 12, SLACK_MAX = 12000, MAIL_LINE = 57, SUBJECT_MAX = 200, WORD_BYTES = 45 };

/* How a channel writes things. */
struct style {
	const char *bold_on, *bold_off, *code_on, *code_off;
	void (*add)(struct buf *out, const char *text);
};

const char *alert_message_text(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

size_t alert_message_cut(const char *text, size_t max)
{
	size_t len = strlen(text);

	if (len <= max)
		return len;
	while (max > 0 && ((unsigned char)text[max] & 0xc0) == 0x80)
		max--;
	return max;
}

static long long number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static void add_plain(struct buf *out, const char *text)
{
	buf_addstr(out, text);
}

/* docs.slack.dev, "Formatting text": these three, and no other, are escaped. A fence of three
 * backticks would end the block it stands in. */
static void add_slack(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '&')
			buf_addstr(out, "&amp;");
		else if (*text == '<')
			buf_addstr(out, "&lt;");
		else if (*text == '>')
			buf_addstr(out, "&gt;");
		else if (*text == '`')
			buf_addc(out, '\'');
		else
			buf_addc(out, *text);
	}
}

static const struct style plain_style = { "", "", "", "", add_plain };
static const struct style slack_style = { "*", "*", "```\n", "```\n", add_slack };

void alert_message_title(const json_t *i, struct buf *out)
{
	const char *what = alert_message_text(i, "what"), *task = alert_message_text(i, "task");
	const char *dag = alert_message_text(i, "dag");
	const char *breaker = alert_message_text(i, "breaker");

	if (*breaker)
		task = breaker;
	if (strcmp(what, "opened") != 0 && *what)
		buf_addf(out, "%s: ", what);
	buf_addf(out, "%s%s%s: %s", dag, *task && *dag ? "." : "", task,
		alert_message_text(i, "text"));
}

/* ---- lines ----------------------------------------------------------------------------- */

static void begin_line(const struct style *s, struct buf *out, const char *label)
{
	int pad = LABEL_WIDTH - (int)strlen(label);

	buf_addf(out, "  %s", s->bold_on);
	buf_addstr(out, label);
	buf_addf(out, "%s ", s->bold_off);
	buf_addpad(out, ' ', pad > 0 && !*s->bold_on ? (size_t)pad : 0);
}

static void add_line(const struct style *s, struct buf *out, const char *label, const char *text)
{
	if (!*text)
		return;
	begin_line(s, out, label);
	/* A text of many lines stays below its label. */
	for (;;) {
		size_t n = strcspn(text, "\n");
		char *line = strndup(text, n);
		s->add(out, line ? line : "");
		buf_addc(out, '\n');
		free(line);
		text += n;
		if (!*text || !*++text)
			return;
		buf_addpad(out, ' ', 3 + (*s->bold_on ? 0 : LABEL_WIDTH));
	}
}

static void add_try(const struct style *s, const json_t *i, struct buf *out)
{
	struct buf text;

	if (!number(i, "try"))
		return;
	buf_init(&text, 128);
	buf_addf(&text, "%lld of %lld", number(i, "try"), number(i, "tries"));
	add_line(s, out, "try", text.data);
	buf_release(&text);
}

static void add_since(const struct style *s, const json_t *i, struct buf *out)
{
	struct buf text;

	buf_init(&text, 512);
	buf_addstr(&text, alert_message_text(i, "opened_at"));
	if (number(i, "id"))
		buf_addf(&text, " (incident %lld", number(i, "id"));
	if (number(i, "times") > 1)
		buf_addf(&text, ", %lld times by now", number(i, "times"));
	if (number(i, "id"))
		buf_addc(&text, ')');
	add_line(s, out, "since", text.len ? text.data : "");
	buf_release(&text);
	add_line(s, out, "resolved", alert_message_text(i, "resolved_at"));
}

static void add_last_good(const struct style *s, const json_t *i, struct buf *out)
{
	const json_t *good = json_object_get(i, "last_good");
	struct buf text;

	if (!good)
		return;
	buf_init(&text, 1024);
	buf_addf(&text, "%s, ended %s", alert_message_text(good, "run"),
		alert_message_text(good, "at"));
	add_line(s, out, "last good", text.data);
	buf_release(&text);
}

/* Names, in one line. */
static void add_names(const struct style *s, const char *label, const json_t *list, struct buf *out)
{
	const json_t *one;
	struct buf text;
	size_t n;

	buf_init(&text, 16 << 10);
	json_array_foreach(list, n, one)
		buf_addf(&text, "%s%s", n ? ", " : "", json_string_value(one));
	add_line(s, out, label, text.len ? text.data : "");
	buf_release(&text);
}

/* "nightly@2026-11-19: load (held), report (held); ..." */
static void add_held(const struct style *s, const json_t *i, struct buf *out)
{
	const json_t *list = json_object_get(i, "held"), *one;
	long long count = number(i, "held_count");
	const char *run = "";
	struct buf text;
	size_t n;

	if (json_array_size(list) == 0)
		return;
	buf_init(&text, 16 << 10);
	buf_addf(&text, "%lld task%s: ", count, count == 1 ? "" : "s");
	json_array_foreach(list, n, one)
	{
		const char *of = alert_message_text(one, "run");
		if (strcmp(of, run) != 0)
			buf_addf(&text, "%s%s: ", n ? "; " : "", of);
		buf_addf(&text, "%s%s (%s)", strcmp(of, run) != 0 ? "" : ", ",
			alert_message_text(one, "task"), alert_message_text(one, "state"));
		run = of;
	}
	if (count > (long long)json_array_size(list))
		buf_addf(&text, " and %lld more", count - (long long)json_array_size(list));
	add_line(s, out, "stops", text.len ? text.data : "");
	buf_release(&text);
}

static void add_checks(const struct style *s, const json_t *i, struct buf *out)
{
	const json_t *list = json_object_get(i, "checks"), *one;
	struct buf text;
	size_t n;

	json_array_foreach(list, n, one)
	{
		const char *expected = alert_message_text(one, "expected");
		buf_init(&text, 4096);
		buf_addf(&text, "%s: %s%s%s%s", alert_message_text(one, "name"),
			alert_message_text(one, "observed"), *expected ? " (expected " : "",
			expected, *expected ? ")" : "");
		add_line(s, out, "check", text.data);
		buf_release(&text);
	}
}

static void add_person(const struct style *s, const json_t *i, struct buf *out)
{
	const char *by = alert_message_text(i, "by"), *reason = alert_message_text(i, "reason");
	struct buf text;

	if (!*by)
		return;
	buf_init(&text, 4096);
	buf_addf(&text, "%s%s%s", by, *reason ? ": " : "", reason);
	add_line(s, out, "by", text.data);
	buf_release(&text);
}

static void add_log(const struct style *s, const json_t *i, struct buf *out)
{
	const json_t *lines = json_object_get(i, "log"), *line;
	size_t n;

	if (json_array_size(lines) == 0)
		return;
	buf_addf(out, "  last lines of its log:\n%s", s->code_on);
	json_array_foreach(lines, n, line)
	{
		buf_addstr(out, "    ");
		s->add(out, json_string_value(line));
		buf_addc(out, '\n');
	}
	buf_addstr(out, s->code_off);
}

static void add_commands(const struct style *s, const json_t *i, struct buf *out)
{
	const json_t *list = json_object_get(i, "commands"), *one;
	size_t n;

	if (json_array_size(list) == 0)
		return;
	buf_addf(out, "  what to do:\n%s", s->code_on);
	json_array_foreach(list, n, one)
	{
		buf_addstr(out, "    ");
		s->add(out, alert_message_text(one, "command"));
		buf_addstr(out, "   # ");
		s->add(out, alert_message_text(one, "what"));
		buf_addc(out, '\n');
	}
	buf_addstr(out, s->code_off);
}

static void add_runbook(const struct style *s, const json_t *i, struct buf *out)
{
	const json_t *book = json_object_get(i, "runbook");

	if (!book)
		return;
	add_line(s, out, "runbook", alert_message_text(book, "from"));
	const char *text = alert_message_text(book, "text");
	if (!*text)
		return;
	buf_addstr(out, s->code_on);
	while (*text) {
		size_t n = strcspn(text, "\n");
		char *line = strndup(text, n);
		buf_addstr(out, "    ");
		s->add(out, line ? line : "");
		buf_addc(out, '\n');
		free(line);
		text += n + (text[n] == '\n');
	}
	buf_addstr(out, s->code_off);
}

static void add_incident(const struct style *s, const json_t *i, struct buf *out)
{
	struct buf title;

	buf_init(&title, 4096);
	alert_message_title(i, &title);
	bool over = *alert_message_text(i, "resolved_at");
	buf_addstr(out, s->bold_on);
	if (!over && number(i, "id"))
		buf_addf(out, "%s  ", alert_message_text(i, "severity"));
	s->add(out, title.len ? title.data : "");
	buf_addf(out, "%s\n", s->bold_off);
	buf_release(&title);
	if (!*alert_message_text(i, "breaker"))
		add_line(s, out, "run", alert_message_text(i, "run"));
	add_line(s, out, "because", alert_message_text(i, "because"));
	add_line(s, out, *alert_message_text(i, "breaker") ? "last error" : "error",
		alert_message_text(i, "error"));
	add_checks(s, i, out);
	add_try(s, i, out);
	add_since(s, i, out);
	add_person(s, i, out);
	add_last_good(s, i, out);
	add_names(s, "not done", json_object_get(i, "dependents"), out);
	add_held(s, i, out);
	add_names(s, "to do again", json_object_get(i, "undone"), out);
	add_line(s, out, "next probe", alert_message_text(i, "next_probe"));
	add_line(s, out, "deadline", alert_message_text(i, "deadline"));
	add_line(s, out, "owner", alert_message_text(i, "owner"));
	add_log(s, i, out);
	add_commands(s, i, out);
	add_runbook(s, i, out);
}

static void add_counts(const struct style *s, const json_t *doc, struct buf *out)
{
	static const struct {
		const char *list, *key;
	} rows[] = { { "kinds", "text" }, { "dags", "dag" } };
	const json_t *one;
	size_t n;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf text;
		buf_init(&text, 16 << 10);
		json_array_foreach(json_object_get(doc, rows[i].list), n, one)
			buf_addf(&text, "%s%lld %s", n ? ", " : "", number(one, "count"),
				alert_message_text(one, rows[i].key));
		add_line(s, out, rows[i].list, text.len ? text.data : "");
		buf_release(&text);
	}
}

static void add_all(const struct style *s, const json_t *doc, struct buf *out)
{
	const json_t *list = json_object_get(doc, "incidents"), *one;
	long long count = number(doc, "count");
	size_t n;

	json_array_foreach(json_object_get(doc, "failed"), n, one)
		add_line(s, out, "instead of", json_string_value(one));
	if (count != 1) {
		buf_addstr(out, s->bold_on);
		s->add(out, alert_message_text(doc, "title"));
		buf_addf(out, "%s\n", s->bold_off);
		add_counts(s, doc, out);
	}
	json_array_foreach(list, n, one)
	{
		if (n || count != 1)
			buf_addc(out, '\n');
		add_incident(s, one, out);
	}
	if (count > (long long)json_array_size(list))
		buf_addf(out, "\nand %lld more: weir incidents\n",
			count - (long long)json_array_size(list));
}

void alert_message_plain(const json_t *doc, struct buf *out)
{
	add_all(&plain_style, doc, out);
}

/* A fence that was cut off would swallow what follows. */
void alert_message_slack(const json_t *doc, struct buf *out)
{
	size_t fences = 0;

	add_all(&slack_style, doc, out);
	if (out->len <= SLACK_MAX)
		return;
	buf_truncate(out, alert_message_cut(out->data, SLACK_MAX));
	for (const char *p = out->data; (p = strstr(p, "```")) != NULL; p += 3)
		fences++;
	buf_addstr(out, fences % 2 ? "\n```\n(cut)" : "\n(cut)");
}

/* ---- mail ------------------------------------------------------------------------------ */

static void add_base64(struct buf *out, const char *data, size_t len)
{
	char line[4 * (MAIL_LINE / 3) + 8];

	for (size_t at = 0; at < len; at += MAIL_LINE) {
		size_t n = len - at < MAIL_LINE ? len - at : MAIL_LINE;
		int got = EVP_EncodeBlock(
			(unsigned char *)line, (const unsigned char *)data + at, (int)n);
		buf_add(out, line, (size_t)got);
		buf_addstr(out, "\r\n");
	}
}

static bool is_ascii(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s >= 0x80)
			return false;
	return true;
}

/* RFC 2047: encoded words of at most 75 characters, none of which cuts a character. */
static void add_encoded(struct buf *out, const char *text)
{
	char word[4 * (WORD_BYTES / 3) + 8];

	while (*text) {
		size_t n = alert_message_cut(text, WORD_BYTES);
		int got =
			EVP_EncodeBlock((unsigned char *)word, (const unsigned char *)text, (int)n);
		buf_addf(out, "=?utf-8?B?%.*s?=", got, word);
		text += n;
		if (*text)
			buf_addstr(out, "\r\n ");
	}
}

static void add_subject(struct buf *out, const json_t *doc)
{
	char subject[SUBJECT_MAX + 16];
	const char *title = alert_message_text(doc, "title");

	snprintf(subject, sizeof subject, "[weir] %.*s", (int)alert_message_cut(title, SUBJECT_MAX),
		title);
	/* Line breaks become spaces: a header cannot end here. */
	utf8_clean(subject, strlen(subject));
	buf_addstr(out, "Subject: ");
	if (is_ascii(subject))
		buf_addstr(out, subject);
	else
		add_encoded(out, subject);
	buf_addstr(out, "\r\n");
}

static void add_date(struct buf *out)
{
	time_t t = (time_t)(clock_now_us() / US_PER_SECOND);
	char text[64];
	struct tm tm;

	if (gmtime_r(&t, &tm) && strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S +0000", &tm))
		buf_addf(out, "Date: %s\r\n", text);
}

/* What may stand in an id (RFC 5322, dot-atom). */
static void add_id(struct buf *out, const char *text)
{
	for (; *text; text++)
		buf_addc(out, strchr("\r\n <>@()[]:;,\\\"", *text) ||
					      (unsigned char)*text >= 0x7f ||
					      (unsigned char)*text < ' '
				      ? '-'
				      : *text);
}

/* Messages of one incident are shown as one conversation. */
static void add_ids(struct buf *out, const json_t *doc)
{
	const json_t *first = json_array_get(json_object_get(doc, "incidents"), 0);
	const char *instance = alert_message_text(doc, "instance");

	buf_addstr(out, "Message-ID: <");
	add_id(out, alert_message_text(doc, "id"));
	buf_addf(out, "@%s.weir>\r\n", instance);
	if (number(doc, "count") == 1 && number(first, "id"))
		buf_addf(out, "References: <incident.%lld@%s.weir>\r\n", number(first, "id"),
			instance);
}

static void add_recipients(struct buf *out, const json_t *to)
{
	const json_t *one;
	size_t i;

	buf_addstr(out, "To: ");
	if (json_is_string(to))
		buf_addstr(out, json_string_value(to));
	json_array_foreach(to, i, one)
		buf_addf(out, "%s%s", i ? ",\r\n " : "", json_string_value(one));
	buf_addstr(out, "\r\n");
}

void alert_message_mail(const json_t *doc, const char *from, const json_t *to, struct buf *out)
{
	struct buf text;

	buf_init(&text, 1 << 20);
	alert_message_plain(doc, &text);
	add_date(out);
	buf_addf(out, "From: %s\r\n", from);
	add_recipients(out, to);
	add_subject(out, doc);
	add_ids(out, doc);
	buf_addstr(out, "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
			"Content-Type: text/plain; charset=utf-8\r\n"
			"Content-Transfer-Encoding: base64\r\n\r\n");
	add_base64(out, text.len ? text.data : "", text.len);
	buf_release(&text);
}
