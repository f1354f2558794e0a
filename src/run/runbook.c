#include "run/runbook.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"

static const char *const names[] = { "dag", "task", "run", "ds", "try", "tries", "error",
	"exit_status", "outcome", "owner", "deadline", "kind", "severity", "state", NULL };

static bool is_name(const char *word)
{
	for (const char *const *n = names; *n; n++)
		if (strcmp(*n, word) == 0)
			return true;
	return false;
}

static void add_value(const char *name, const json_t *const *objects, struct buf *out)
{
	for (; *objects; objects++) {
		const json_t *v = json_object_get(*objects, name);
		if (json_is_string(v))
			buf_addstr(out, json_string_value(v));
		else if (json_is_integer(v))
			buf_addf(out, "%lld", (long long)json_integer_value(v));
		else
			continue;
		return;
	}
	buf_addf(out, "(no %s)", name);
}

void runbook_fill(const char *text, const json_t *const *objects, struct buf *out)
{
	char name[32];

	while (*text) {
		int used = 0;
		if (text[0] == '{' && sscanf(text, "{{ %31[a-z_] }}%n", name, &used) == 1 &&
			used > 0 && is_name(name)) {
			add_value(name, objects, out);
			text += used;
		} else {
			buf_addc(out, *text++);
		}
	}
}
