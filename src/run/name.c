#include "run/name.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/units.h"
#include "core/model.h"
#include "core/zone.h"
#include "store/store.h"

enum { NAME_MAX_LEN = 512 };

static void add_instant(struct buf *out, int64_t at_us)
{
	struct civil c;

	zone_to_civil(zone_utc(), at_us, &c, NULL);
	civil_strftime(out, &c, 0, "Z", c.sec ? "%Y-%m-%dT%H:%M:%SZ" : "%Y-%m-%dT%H:%MZ", NULL);
}

char *run_name(const struct run_key *key, const char *ds, bool long_form)
{
	int64_t length_us = key->interval_end_us - key->interval_start_us;
	struct buf out;

	buf_init(&out, NAME_MAX_LEN);
	buf_addf(&out, "%s@", key->dag);
	if (long_form) {
		add_instant(&out, key->interval_start_us);
		buf_addstr(&out, "_");
		add_instant(&out, key->interval_end_us);
	} else if (length_us >= 20 * US_PER_HOUR) {
		buf_addstr(&out, ds);
	} else {
		add_instant(&out, key->interval_start_us);
	}
	char *name = buf_take(&out);
	buf_release(&out);
	return name;
}

void run_ds(const struct zone *zone, int64_t at_us, char *ret, size_t size)
{
	struct civil c;

	zone_to_civil(zone ? zone : zone_utc(), at_us, &c, NULL);
	snprintf(ret, size, "%04d-%02d-%02d", c.year, c.month, c.day);
}

const char *run_task_label(const char *task, int map_index, char buf[RUN_LABEL_MAX])
{
	snprintf(buf, RUN_LABEL_MAX, map_index < 0 ? "%s" : "%s[%d]", task, map_index);
	return buf;
}

bool run_split_label(const char *label, size_t *ret_len, int *ret_map_index)
{
	const char *open = strchr(label, '['), *p = open ? open + 1 : "";
	int index = 0;

	*ret_len = open ? (size_t)(open - label) : strlen(label);
	*ret_map_index = -1;
	if (!open)
		return true;
	while (isdigit((unsigned char)*p) && index < FOREACH_ITEMS_MAX)
		index = index * 10 + (*p++ - '0');
	if (p == open + 1 || strcmp(p, "]") != 0 || index >= FOREACH_ITEMS_MAX)
		return false;
	*ret_map_index = index;
	return true;
}
