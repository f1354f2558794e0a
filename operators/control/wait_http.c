/* control: wait, for what a server says */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/node.h"
#include "base/units.h"
#include "base/utf8.h"
#include "conf/diag.h"
#include "data/curl_lib.h"
#include "exec/mask.h"
#include "operators/control/wait_look.h"
#include "operators/operators.h"
#include "operators/quality/regex.h"
#include "operators/support.h"

enum { HEADERS_MAX = 64 << 10, BODY_SHOWN = 200, BODY_KEPT = 16 << 10, CONNECT_PART = 2 };

struct call {
	const struct operator_job *job;
	const struct curl_lib *lib;
	CURL *curl;
	struct curl_slist *headers;
	struct buf body, head; /* head: of the last answer, after redirects */
	bool too_large;
	char why[CURL_ERROR_SIZE];
	long status;
};

static const char *text_of(const struct call *c, const char *key)
{
	return support_string(c->job->with, key);
}

static int64_t number_of(const struct call *c, const char *key)
{
	return json_integer_value(json_object_get(c->job->with, key));
}

/* ---- the request ---------------------------------------------------------------------- */

static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
	struct call *c = arg;

	if (c->body.len + size * n > (size_t)number_of(c, "max_bytes")) {
		c->too_large = true;
		return 0;
	}
	buf_add(&c->body, data, size * n);
	return size * n;
}

static size_t take_head(char *data, size_t size, size_t n, void *arg)
{
	struct call *c = arg;
	size_t len = size * n;

	if (len > 5 && strncmp(data, "HTTP/", 5) == 0)
		buf_clear(&c->head);
	if (c->head.len + len < HEADERS_MAX)
		buf_add(&c->head, data, len);
	return len;
}

static int add_header(struct call *c, const char *name, const char *value, struct err *err)
{
	struct curl_slist *more = NULL;
	char *line = NULL;

	if (strpbrk(name, "\r\n:") || strpbrk(value, "\r\n"))
		return err_set(err, ERR_INVALID, "headers: %.80s: a header is one line", name);
	/* An empty one is written so (CURLOPT_HTTPHEADER). */
	if (asprintf(&line, *value ? "%s: %s" : "%s;%s", name, value) >= 0)
		more = c->lib->slist_append(c->headers, line);
	free(line);
	if (!more)
		return err_nomem(err);
	c->headers = more;
	return 0;
}

static int add_headers(struct call *c, struct err *err)
{
	const char *bearer = text_of(c, "bearer"), *name;
	struct buf value;
	json_t *item;
	int rc = 0;

	json_object_foreach(json_object_get(c->job->with, "headers"), name, item)
	{
		const char *text = json_string_value(item);
		if (text && add_header(c, name, text, err) < 0)
			return -1;
	}
	if (!bearer)
		return 0;
	buf_init(&value, HEADERS_MAX);
	buf_addf(&value, "Bearer %s", bearer);
	rc = buf_ok(&value, "bearer", err) < 0 ? -1
					       : add_header(c, "Authorization", value.data, err);
	buf_release(&value);
	return rc;
}

static void set_method(struct call *c)
{
	const char *method = text_of(c, "method"), *body = text_of(c, "body");

	if (body) {
		c->lib->easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
		c->lib->easy_setopt(c->curl, CURLOPT_POSTFIELDS, body);
	}
	if (strcmp(method, "HEAD") == 0)
		c->lib->easy_setopt(c->curl, CURLOPT_NOBODY, 1L);
	else if (strcmp(method, "POST") == 0 && !body)
		c->lib->easy_setopt(c->curl, CURLOPT_POSTFIELDS, "");
	else if (strcmp(method, "POST") != 0)
		c->lib->easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method);
}

static void set_limits(struct call *c)
{
	long ms = (long)(number_of(c, "look_timeout") / US_PER_MS);
	long redirects = (long)number_of(c, "redirects");

	c->lib->easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
	c->lib->easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, ms);
	c->lib->easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, ms / CONNECT_PART + 1);
	c->lib->easy_setopt(c->curl, CURLOPT_FOLLOWLOCATION, redirects > 0 ? 1L : 0L);
	c->lib->easy_setopt(c->curl, CURLOPT_MAXREDIRS, redirects);
	c->lib->easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	/* Not from a secure place to one that is not. */
	c->lib->easy_setopt(c->curl, CURLOPT_REDIR_PROTOCOLS_STR,
		strncasecmp(text_of(c, "url"), "https:", 6) == 0 ? "https" : "http,https");
}

static int begin(struct call *c, struct err *err)
{
	const char *ca = text_of(c, "ca");

	c->lib = curl_lib(err);
	if (!c->lib)
		return -1;
	c->curl = c->lib->easy_init();
	if (!c->curl)
		return err_nomem(err);
	if (add_headers(c, err) < 0)
		return -1;
	c->lib->easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->why);
	c->lib->easy_setopt(c->curl, CURLOPT_URL, text_of(c, "url"));
	c->lib->easy_setopt(c->curl, CURLOPT_USERAGENT, "weir");
	c->lib->easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->headers);
	c->lib->easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, take_body);
	c->lib->easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
	c->lib->easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, take_head);
	c->lib->easy_setopt(c->curl, CURLOPT_HEADERDATA, c);
	set_method(c);
	set_limits(c);
	char *path = ca ? io_path_join(c->job->dir ? c->job->dir : ".", ca) : NULL;
	if (ca)
		c->lib->easy_setopt(c->curl, CURLOPT_CAINFO, path ? path : ca);
	free(path);
	return 0;
}

/* What another look will find just so. */
static bool is_permanent(CURLcode code)
{
	static const CURLcode codes[] = { CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL,
		CURLE_SSL_CACERT_BADFILE, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_ISSUER_ERROR,
		CURLE_TOO_MANY_REDIRECTS };

	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		if (codes[i] == code)
			return true;
	return false;
}

static int perform(struct call *c, struct err *err)
{
	CURLcode code = c->lib->easy_perform(c->curl);

	c->lib->easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &c->status);
	if (c->too_large)
		return err_set(err, ERR_DATA, "the answer is larger than max_bytes");
	if (code == CURLE_OK)
		return buf_ok(&c->body, "the answer", err);
	return err_set(err,
		is_permanent(code)                 ? ERR_DATA
		: code == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT
						   : ERR_BUSY,
		"%s", c->why[0] ? c->why : c->lib->easy_strerror(code));
}

/* ---- the answer ----------------------------------------------------------------------- */

/* "204", or "2xx" for all of its hundred. */
static bool names_status(const char *text, long status)
{
	char own[8];

	snprintf(own, sizeof own, "%ld", status);
	return strcmp(text, own) == 0 ||
	       (strlen(text) == 3 && text[0] == own[0] && strcasecmp(text + 1, "xx") == 0);
}

/* Another look will hardly be answered otherwise. */
static bool fails_by_default(long status)
{
	static const long statuses[] = { 400, 401, 403, 405, 407, 410, 501 };

	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
		if (statuses[i] == status)
			return true;
	return false;
}

static bool lists_status(const struct call *c, const char *key)
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(c->job->with, key), i, item)
	{
		if (json_is_string(item) && names_status(json_string_value(item), c->status))
			return true;
	}
	return false;
}

/* How much of the end of a text of `n` bytes begins what was sent, which may be a secret. */
static size_t begun_by(const char *sent, const char *text, size_t n)
{
	size_t len = sent ? strlen(sent) : 0, k = len < n ? len : n;

	while (k >= MASK_MIN && memcmp(text + n - k, sent, k) != 0)
		k--;
	return k >= MASK_MIN && k < len ? k : 0;
}

/* A secret that comes back is masked where all of it is in the text: not where it is cut. */
static void hide_end(const struct call *c, char *text)
{
	const char *dots = strlen(text) > 3 ? strstr(text + strlen(text) - 3, "...") : NULL, *name;
	size_t n = strlen(text) - (dots ? 3 : 0), most = begun_by(text_of(c, "bearer"), text, n);
	json_t *item;

	json_object_foreach(json_object_get(c->job->with, "headers"), name, item)
	{
		size_t k = begun_by(json_string_value(item), text, n);
		most = k > most ? k : most;
	}
	if (most > 0)
		memmove(text + n - most, text + n, strlen(text + n) + 1);
}

/* Its first line, for people. */
static const char *body_text(const struct call *c, char *ret, size_t size)
{
	size_t n = 0;

	while (n < c->body.len && n < BODY_SHOWN && c->body.data[n] != '\n' &&
		c->body.data[n] != '\r')
		n++;
	snprintf(ret, size, "%s%.*s", n ? ": " : "", (int)n, n ? c->body.data : "");
	hide_end(c, ret);
	utf8_clean(ret, strlen(ret));
	return ret;
}

/* Another status than was asked for. */
static int judge_status(const struct call *c, struct wait_look *ret, struct err *err)
{
	bool busy = c->status == 408 || c->status == 425 || c->status == 429 || c->status >= 500;
	char body[BODY_SHOWN + 8];

	body_text(c, body, sizeof body);
	if (json_object_get(c->job->with, "fail_on") ? lists_status(c, "fail_on")
						     : fails_by_default(c->status))
		return err_set(err, ERR_DATA, "HTTP %ld%s", c->status, body);
	if (busy)
		return err_set(err, ERR_BUSY, "HTTP %ld%s", c->status, body);
	snprintf(ret->said, sizeof ret->said, "HTTP %ld%s", c->status, body);
	return 0;
}

/* A token of a pointer, "~1" for "/" and "~0" for "~" (RFC 6901). */
static size_t next_token(const char **at, char *ret, size_t size)
{
	size_t n = 0;

	for (; **at && **at != '/'; (*at)++) {
		char ch = **at;
		if (ch == '~' && ((*at)[1] == '0' || (*at)[1] == '1'))
			ch = *++(*at) == '0' ? '~' : '/';
		if (n + 1 < size)
			ret[n++] = ch;
	}
	ret[n] = '\0';
	return n;
}

/* Borrowed; NULL: nothing is there. */
static const json_t *find_pointer(const json_t *at, const char *pointer)
{
	char token[256], *end;

	while (at && *pointer == '/') {
		pointer++;
		size_t n = next_token(&pointer, token, sizeof token);
		if (!json_is_array(at)) {
			at = json_object_get(at, token);
			continue;
		}
		unsigned long i = strtoul(token, &end, 10);
		bool number = n && !*end && isdigit((unsigned char)token[0]);
		at = number ? json_array_get(at, i) : NULL;
	}
	return at;
}

static void judge_json(struct call *c, struct wait_look *ret)
{
	const char *pointer = text_of(c, "json");
	json_t *doc =
		json_loadb(c->body.data ? c->body.data : "", c->body.len, JSON_DECODE_ANY, NULL);
	const json_t *value = find_pointer(doc, pointer);
	char text[120];

	ret->there = wait_look_suits(c->job, value);
	if (!doc)
		snprintf(ret->said, sizeof ret->said, "HTTP %ld, and no JSON", c->status);
	else if (!value)
		snprintf(ret->said, sizeof ret->said, "HTTP %ld, without %.100s", c->status,
			*pointer ? pointer : "a value");
	else {
		support_json_text(value, text, sizeof text);
		hide_end(c, text);
		snprintf(ret->said, sizeof ret->said, "HTTP %ld, %.100s is %s", c->status,
			*pointer ? pointer : "it", text);
	}
	if (value)
		json_object_set(ret->found, "value", (json_t *)value);
	json_decref(doc);
}

static int judge_match(const struct call *c, struct wait_look *ret, struct err *err)
{
	struct regex *r = regex_new(text_of(c, "match"), err);
	int found = r ? regex_match(r, c->body.data ? c->body.data : "", c->body.len, err) : -1;

	regex_free(r);
	if (found < 0)
		return -1;
	ret->there = found;
	snprintf(ret->said, sizeof ret->said, "HTTP %ld, %s", c->status,
		found ? "and it matches" : "but nothing in it matches");
	return 0;
}

/* The value of a header, the last of its name; NULL: there is none. */
static json_t *header_value(const struct call *c, const char *name)
{
	size_t len = strlen(name);
	json_t *ret = NULL;

	for (const char *line = c->head.len ? c->head.data : NULL; line;) {
		const char *end = strchr(line, '\n');
		if (end && strncasecmp(line, name, len) == 0 && line[len] == ':') {
			const char *value = line + len + 1, *last = end;
			while (value < end && isspace((unsigned char)*value))
				value++;
			while (last > value && isspace((unsigned char)last[-1]))
				last--;
			json_decref(ret);
			ret = json_stringn(value, (size_t)(last - value));
		}
		line = end ? end + 1 : NULL;
	}
	return ret;
}

/* "X-Batch-Id" is kept as x_batch_id. */
static void keep_header(const struct call *c, const char *name, struct wait_look *ret)
{
	char key[128];
	json_t *value = header_value(c, name);
	size_t n = 0;

	for (; name[n] && n + 1 < sizeof key; n++)
		key[n] = name[n] == '-' ? '_' : (char)tolower((unsigned char)name[n]);
	key[n] = '\0';
	json_object_set_new(ret->found, key, value ? value : json_null());
}

static void keep(const struct call *c, struct wait_look *ret)
{
	json_t *item, *body = NULL;
	size_t i;

	json_object_set_new(ret->found, "status", json_integer(c->status));
	if (c->body.len <= BODY_KEPT && (!c->body.len || strlen(c->body.data) == c->body.len))
		body = json_stringn(c->body.len ? c->body.data : "", c->body.len);
	if (body)
		json_object_set_new(ret->found, "body", body);
	json_array_foreach(json_object_get(c->job->with, "keep"), i, item)
	{
		if (json_is_string(item))
			keep_header(c, json_string_value(item), ret);
	}
}

static int judge(struct call *c, struct wait_look *ret, struct err *err)
{
	int rc = 0;

	if (!lists_status(c, "status"))
		return judge_status(c, ret, err);
	ret->there = true;
	snprintf(ret->said, sizeof ret->said, "HTTP %ld", c->status);
	if (text_of(c, "match"))
		rc = judge_match(c, ret, err);
	if (rc == 0 && ret->there && text_of(c, "json"))
		judge_json(c, ret);
	if (rc == 0)
		keep(c, ret);
	return rc;
}

int wait_look_http(const struct operator_job *job, struct wait_look *ret, struct err *err)
{
	struct call c = { .job = job };

	buf_init(&c.body, (size_t)json_integer_value(json_object_get(job->with, "max_bytes")) + 1);
	buf_init(&c.head, HEADERS_MAX);
	int rc = begin(&c, err);
	if (rc == 0)
		rc = perform(&c, err);
	if (rc == 0)
		rc = judge(&c, ret, err);
	if (c.curl)
		c.lib->easy_cleanup(c.curl);
	if (c.headers)
		c.lib->slist_free_all(c.headers);
	buf_release(&c.body);
	buf_release(&c.head);
	return rc;
}

/* ---- validation ----------------------------------------------------------------------- */

static void check_statuses(const struct operator_check *c, const char *key)
{
	const struct node *list = node_get(c->with, key);
	size_t n = list && list->type == NODE_SEQ ? list->n : 1;

	for (size_t i = 0; list && i < n; i++) {
		const struct node *at = list->type == NODE_SEQ ? list->items[i] : list;
		const char *text = node_text(at);
		bool good = text && strlen(text) == 3 && text[0] >= '1' && text[0] <= '5' &&
			    ((isdigit((unsigned char)text[1]) && isdigit((unsigned char)text[2])) ||
				    strcasecmp(text + 1, "xx") == 0);
		if (!text || good || strstr(text, "{{"))
			continue;
		diag_node(c->diags, DIAG_ERROR, at, "%s: \"%s\" is no HTTP status", key, text);
		diag_hint(c->diags, "for example: 200, or 2xx for all of its kind");
	}
}

static void check_header(
	const struct operator_check *c, const struct node *key, const struct node *value)
{
	static const char *const secret[] = { "authorization", "proxy-authorization", "cookie" };

	for (size_t i = 0; i < sizeof secret / sizeof *secret; i++) {
		if (value->type == NODE_MAP || strcasecmp(key->text, secret[i]) != 0)
			continue;
		diag_node(c->diags, DIAG_WARNING, value, "%s written in the file", key->text);
		diag_hint(c->diags, "use {env: NAME} or {file: PATH}, or bearer");
	}
}

/* What the method cannot do. */
static void check_method(const struct operator_check *c)
{
	const struct node *method = node_get(c->with, "method"), *body = node_get(c->with, "body");
	const char *name = node_text(method) ? method->text : "GET";
	bool sends = strcmp(name, "POST") == 0 || strcmp(name, "PUT") == 0;

	if (body && !sends) {
		diag_node(c->diags, DIAG_ERROR, body, "body: %s sends none", name);
		diag_hint(c->diags, "for example: method: POST");
	}
	if (strcmp(name, "HEAD") == 0 && (node_get(c->with, "match") || node_get(c->with, "json")))
		diag_node(c->diags, DIAG_ERROR, method, "method: HEAD gets no body to look at");
}

void wait_look_check_http(const struct operator_check *c)
{
	const struct node *url = node_get(c->with, "url"), *headers = node_get(c->with, "headers"),
			  *json = node_get(c->with, "json");
	const char *text = node_text(url);

	check_method(c);
	check_statuses(c, "status");
	check_statuses(c, "fail_on");
	if (text && !strstr(text, "{{") && strncasecmp(text, "http://", 7) != 0 &&
		strncasecmp(text, "https://", 8) != 0)
		diag_node(c->diags, DIAG_ERROR, url,
			"url: \"%s\" begins with neither http:// nor https://", text);
	if (node_text(json) && json->text[0] && json->text[0] != '/' && !strstr(json->text, "{{")) {
		diag_node(
			c->diags, DIAG_ERROR, json, "json: \"%s\" is no JSON pointer", json->text);
		diag_hint(c->diags, "for example: /status, or /jobs/0/state");
	}
	for (size_t i = 0; headers && headers->type == NODE_MAP && i < headers->n; i++)
		check_header(c, headers->keys[i], headers->items[i]);
}
