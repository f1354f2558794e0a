/* libcurl, loaded when it is first needed: by processes that talk to others, and by no other.
 *
 * Linked to the program, it and the two dozen libraries behind it would cost each start of weir, a
 * task's `weir fence` among them, three times what it costs without.
 */
#ifndef WEIR_DATA_CURL_LIB_H
#define WEIR_DATA_CURL_LIB_H

#include <curl/curl.h>

struct err;

/* As curl_easy_init() and so on, see libcurl(3). */
struct curl_lib {
	CURLcode (*global_init)(long flags);
	CURL *(*easy_init)(void);
	CURLcode (*easy_setopt)(CURL *curl, CURLoption option, ...);
	CURLcode (*easy_perform)(CURL *curl);
	CURLcode (*easy_getinfo)(CURL *curl, CURLINFO info, ...);
	void (*easy_cleanup)(CURL *curl);
	const char *(*easy_strerror)(CURLcode code);
	struct curl_slist *(*slist_append)(struct curl_slist *list, const char *text);
	void (*slist_free_all)(struct curl_slist *list);
};

/* Loaded once, for good. NULL with err: it is not installed, or another one. Not for threads. */
const struct curl_lib *curl_lib(struct err *err);

#endif
