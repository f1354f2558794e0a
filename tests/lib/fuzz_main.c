/* Replays a corpus through a fuzz target: each file of tests/fuzz/corpus/NAME is a test. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 16 << 20 };

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int not_hidden(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* tests/fuzz/corpus/NAME of a program called fuzz_NAME. */
static char *corpus_dir(const char *program)
{
	const char *top = getenv("top_srcdir"), *name = strstr(io_path_base(program), "fuzz_");
	char *dir = NULL;

	if (!name || asprintf(&dir, "%s/tests/fuzz/corpus/%s", top ? top : ".", name + 5) < 0)
		return NULL;
	return dir;
}

static int replay(const char *dir, const char *file)
{
	char *path = io_path_join(dir, file);
	struct err err = { 0 };
	struct buf data;

	buf_init(&data, INPUT_MAX);
	int rc = path ? io_read_file(path, &data, &err) : -1;
	if (rc == 0) {
		/* A copy of the exact size, so that a sanitizer sees each byte too many. */
		uint8_t *exact = malloc(data.len ? data.len : 1);
		if (exact && data.len)
			memcpy(exact, data.data, data.len);
		rc = exact ? LLVMFuzzerTestOneInput(exact, data.len) : -1;
		free(exact);
	}
	buf_release(&data);
	free(path);
	return rc;
}

int main(int argc, char **argv)
{
	struct dirent **files = NULL;
	char *dir = argc > 1 ? strdup(argv[1]) : corpus_dir(argv[0]);
	int n = dir ? scandir(dir, &files, not_hidden, by_name) : -1, failed = 0;

	if (n <= 0) {
		printf("1..1\nnot ok 1 - no corpus in %s\n", dir ? dir : "?");
		return 1;
	}
	printf("1..%d\n", n);
	for (int i = 0; i < n; i++) {
		int rc = replay(dir, files[i]->d_name);
		printf("%s %d - %s\n", rc == 0 ? "ok" : "not ok", i + 1, files[i]->d_name);
		failed += rc != 0;
		free(files[i]);
	}
	free(files);
	free(dir);
	return failed != 0;
}
