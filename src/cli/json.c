#include "cli/json.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/when.h"

int cli_print_json(json_t *j, struct err *err)
{
	if (!j)
		return err_nomem(err);
	json_dumpf(j, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	putchar('\n');
	json_decref(j);
	return 0;
}

json_t *cli_json_of_text(const char *text)
{
	json_t *j = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;

	return j ? j : json_null();
}

json_t *cli_json_time(int64_t at_us)
{
	return at_us ? cli_json_instant(at_us) : json_null();
}

json_t *cli_json_instant(int64_t at_us)
{
	char text[WHEN_SIZE];

	return json_string(when_utc(at_us, text));
}

void cli_json_set_outcome(json_t *o, enum outcome outcome, int exit_status, int signal)
{
	bool ended = outcome != OUTCOME_NONE;

	json_object_set_new(o, "outcome", ended ? json_string(outcome_name(outcome)) : json_null());
	json_object_set_new(o, "exit_status",
		ended && exit_status >= 0 ? json_integer(exit_status) : json_null());
	json_object_set_new(o, "signal", signal ? json_integer(signal) : json_null());
}

const char *cli_get_text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

long long cli_get_int(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

bool cli_get_flag(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

json_t *cli_json_text(const char *text)
{
	json_t *j = text ? json_string(text) : NULL;

	/* Text that is not UTF-8 comes from outside: its bytes are shown as Latin-1. */
	if (text && !j) {
		struct buf b;
		buf_init(&b, BUF_MAX_TEXT);
		for (const unsigned char *s = (const unsigned char *)text; *s; s++) {
			if (*s < 0x80) {
				buf_addc(&b, (char)*s);
			} else {
				buf_addc(&b, (char)(0xc0 | *s >> 6));
				buf_addc(&b, (char)(0x80 | (*s & 0x3f)));
			}
		}
		j = json_string(b.data);
		buf_release(&b);
	}
	return j ? j : json_null();
}

const char *cli_shell_word(const char *word, char *buf, size_t size)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789_@%+=:,./-";
	size_t n = 0;

	if (*word && strspn(word, plain) == strlen(word)) {
		snprintf(buf, size, "%s", word);
		return buf;
	}
	buf[n++] = '\'';
	for (; *word && n + 6 < size; word++) {
		if (*word == '\'') {
			memcpy(buf + n, "'\\''", 4);
			n += 4;
		} else {
			buf[n++] = *word;
		}
	}
	buf[n++] = '\'';
	buf[n] = '\0';
	return buf;
}
