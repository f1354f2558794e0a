/* Any text as a template: checked, rendered as text, as SQL and in SQL.
 *
 * Whatever the text is, a value must not change what SQLite makes of the statement around it:
 * with a harmless and with hostile values it is valid or not, selects as many columns, and ends at
 * the same place. Texts that use `raw` or make lists are left out of that, since they may. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <sqlite3.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/node.h"
#include "conf/diag.h"
#include "conf/template.h"
#include "conf/template_impl.h"
#include "core/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const hostile[] = { "'", "\"", "\\", "',1,'", "\",1,\"", "*/,1,/*", "\n,1--",
	"],1", "`,1,`", "\\',1,'", "$$,1,$$", "--", "/*" };

static const char *fake_getenv(const char *name)
{
	return *name == 'A' ? "it's" : NULL;
}

static struct template_context context(json_t *params)
{
	return (struct template_context){ .dag = "d",
		.task = "t",
		.run_id = "r",
		.zone = zone_utc(),
		.interval_start_us = 1795046400000000,
		.interval_end_us = 1795132800000000,
		.params = params,
		.task_try = 1,
		.map_index = -1,
		.now_us = 1795132800000000,
		.getenv = fake_getenv };
}

static void check(const char *text, const char *file)
{
	static const char *const names[] = { "v", "list", NULL };
	struct template_scope scope = { .params = names,
		.upstream = names,
		.all_tasks = names,
		.has_task = true,
		.has_interval = true,
		.has_item = true,
		.sql = file != NULL };
	struct node node = {
		.type = NODE_STRING, .text = text, .len = strlen(text), .line = 1, .col = 1
	};
	struct diags diags;

	diags_init(&diags);
	if (template_check(text, &scope, &node, file, &diags) != diags.nerrors)
		abort();
	diags_release(&diags);
}

static void render(const char *text, json_t *params)
{
	struct template_context ctx = context(params);
	struct err err = { 0 };
	struct buf out;

	buf_init(&out, 1 << 20);
	if (template_text(text, &ctx, &out, &err) < 0 && err.code == ERR_NONE)
		abort();
	buf_release(&out);
}

struct seen {
	int rc, columns;
	bool tail;
};

/* Returns -1 when the template refuses. */
static int prepare(sqlite3 *db, const struct template *t, json_t *params, struct seen *ret)
{
	struct template_context ctx = context(params);
	json_t *binds = json_array();
	sqlite3_stmt *stmt = NULL;
	const char *tail = NULL;
	struct buf out;

	buf_init(&out, 1 << 20);
	int rc = template_render_sql(t, &ctx, &out, binds, NULL);
	if (rc == 0) {
		ret->rc = sqlite3_prepare_v2(db, out.data, (int)out.len, &stmt, &tail);
		ret->columns = stmt ? sqlite3_column_count(stmt) : -1;
		ret->tail = ret->rc == SQLITE_OK && tail && *tail;
		sqlite3_finalize(stmt);
	}
	buf_release(&out);
	json_decref(binds);
	return rc;
}

static void compare(const char *text, json_t *params)
{
	static sqlite3 *db;
	struct template *t = template_parse_as(text, true, NULL, NULL, NULL);
	struct seen plain, seen;

	if (!db && sqlite3_open(":memory:", &db) != SQLITE_OK)
		abort();
	json_object_set_new(params, "v", json_string("zz"));
	if (t && prepare(db, t, params, &plain) == 0 && !strstr(text, "raw") &&
		!strstr(text, "list")) {
		for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
			json_object_set_new(params, "v", json_string(hostile[i]));
			if (prepare(db, t, params, &seen) == 0 &&
				(seen.rc != plain.rc || seen.columns != plain.columns ||
					seen.tail != plain.tail)) {
				fprintf(stderr, "<%s> changes the statement\n", hostile[i]);
				abort();
			}
		}
	}
	template_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *params = json_pack("{s:s, s:[s, i, s]}", "v", "it's", "list", "a", 5, "b'c");
	char *text = malloc(size + 1);

	if (text && params) {
		memcpy(text, data, size);
		text[size] = '\0';
		check(text, NULL);
		check(text, "q.sql");
		render(text, params);
		if (!strstr(text, "split"))
			compare(text, params);
	}
	free(text);
	json_decref(params);
	return 0;
}
