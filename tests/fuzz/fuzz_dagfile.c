/* The loader of DAG files, all of it, on any bytes. The loader reads files, so that the input is
 * written to a file in memory. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "conf/dagfile.h"
#include "conf/diag.h"
#include "core/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct field nested[] = {
	{ .key = "column", .type = FIELD_NAME, .flags = FIELD_REQUIRED },
	{ .key = "min", .type = FIELD_FLOAT },
	{ 0 },
};
static const struct field nested_item = { .type = FIELD_OBJECT, .fields = nested };
static const struct field params[] = {
	{ .key = "path", .type = FIELD_PATH, .flags = FIELD_REQUIRED | FIELD_TEMPLATE },
	{ .key = "into", .type = FIELD_TABLE, .flags = FIELD_TEMPLATE },
	{ .key = "sql", .type = FIELD_SQL, .flags = FIELD_TEMPLATE },
	{ .key = "max", .type = FIELD_PERCENT },
	{ .key = "checks", .type = FIELD_LIST, .item = &nested_item, .flags = FIELD_OR_ONE },
	{ 0 },
};
static const char *const names[] = { "file", NULL };

static const struct field *params_of(enum task_kind kind, const char *name)
{
	return kind != TASK_RUN && name[0] == 'f' ? params : NULL;
}

static const char *const *names_of(enum task_kind kind)
{
	return kind == TASK_CONTROL ? names + 1 : names;
}

static const struct dagfile_operators operators = { .params = params_of, .names = names_of };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct dagfile_env env = { .operators = &operators };
	int fd = memfd_create("dag", MFD_CLOEXEC);
	struct diags diags;
	struct buf out;
	char path[64];

	if (fd < 0 || io_write_all(fd, data, size, NULL) < 0)
		abort();
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	diags_init(&diags);
	buf_init(&out, BUF_MAX_TEXT);
	struct dag *dag = dagfile_load(path, &env, &diags);
	if (!dag == (diags.nerrors == 0))
		abort(); /* a DAG, or a reason why not */
	if (dag)
		json_decref(dagfile_params(dag, NULL, NULL));
	dag_unref(dag);
	/* The same as a text that holds what it includes (conf/bundle.h). */
	char *text = strndup((const char *)data, size);
	dag = text ? dagfile_load_text(path, "/", text, &env, &diags) : NULL;
	free(text);
	diags_print(&diags, &out, false);
	dag_unref(dag);
	diags_release(&diags);
	buf_release(&out);
	close(fd);
	return 0;
}
