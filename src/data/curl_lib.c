#include "data/curl_lib.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#include "base/err.h"

static struct curl_lib lib;

static const struct {
	const char *name;
	size_t at;
} functions[] = {
	{ "curl_global_init", offsetof(struct curl_lib, global_init) },
	{ "curl_easy_init", offsetof(struct curl_lib, easy_init) },
	{ "curl_easy_setopt", offsetof(struct curl_lib, easy_setopt) },
	{ "curl_easy_perform", offsetof(struct curl_lib, easy_perform) },
	{ "curl_easy_getinfo", offsetof(struct curl_lib, easy_getinfo) },
	{ "curl_easy_cleanup", offsetof(struct curl_lib, easy_cleanup) },
	{ "curl_easy_strerror", offsetof(struct curl_lib, easy_strerror) },
	{ "curl_slist_append", offsetof(struct curl_lib, slist_append) },
	{ "curl_slist_free_all", offsetof(struct curl_lib, slist_free_all) },
};

const struct curl_lib *curl_lib(struct err *err)
{
	static void *handle;

	if (handle)
		return &lib;
	void *found = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
	const char *why = found ? NULL : dlerror();
	for (size_t i = 0; !why && i < sizeof functions / sizeof *functions; i++) {
		void *f = dlsym(found, functions[i].name);
		/* POSIX wants a pointer to a function to fit; C does not know it. */
		memcpy((char *)&lib + functions[i].at, &f, sizeof f);
		why = f ? NULL : dlerror();
	}
	if (!why && lib.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) {
		handle = found;
		return &lib;
	}
	if (found)
		dlclose(found);
	err_set(err, ERR_IO, "libcurl cannot be used (Debian: libcurl4): %s",
		why ? why : "it does not start");
	return NULL;
}
