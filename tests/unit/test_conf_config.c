/* weir.yaml: where it is found, connections as operators get them, and secrets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/err.h"
#include "base/io.h"
#include "base/node.h"
#include "base/units.h"
#include "conf/config.h"
#include "conf/diag.h"
#include "conf/yaml.h"
#include "core/breaker.h"

static const struct field lake_fields[] = {
	{ .key = "path", .type = FIELD_PATH, .flags = FIELD_REQUIRED },
	{ .key = "user", .type = FIELD_STRING, .def = "weir" },
	{ .key = "password", .type = FIELD_STRING, .flags = FIELD_SECRET },
	{ .key = "port", .type = FIELD_INT, .has_min = true, .min = 1 },
	{ .key = "wait", .type = FIELD_DURATION, .def = "5s" },
	{ 0 },
};
static const struct config_conn_type types[] = { { "lake", lake_fields }, { 0 } };

static char root[] = "/tmp/weir-config-XXXXXX";

static char *at(const char *name)
{
	static char paths[4][256];
	static int next;
	char *path = paths[next++ % 4];

	snprintf(path, 256, "%s/%s", root, name);
	return path;
}

static void write_file(const char *name, const char *text)
{
	assert_int_equal(io_mkdirs_for(at(name), 0700, NULL), 0);
	assert_int_equal(io_write_file(at(name), text, strlen(text), NULL), 0);
}

static struct config *load(const char *text)
{
	struct diags diags;

	write_file("weir.yaml", text);
	diags_init(&diags);
	struct config *c = config_load(at("weir.yaml"), types, &diags);
	if (!c)
		fail_msg("%s", diags.list[0].message);
	diags_release(&diags);
	return c;
}

static void check_connection(const struct config *c, const char *name, const char *want)
{
	struct err err = { 0 };
	json_t *conn = config_connection(c, name, NULL, &err);

	if (!conn)
		fail_msg("%s", err.msg);
	char *text = json_dumps(conn, JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(text, want);
	free(text);
	json_decref(conn);
}

static void test_breakers(void **state)
{
	struct config *c =
		load("breakers:\n"
		     "  plain: {}\n"
		     "  rate: { rate: 25%, at_least: 7, counts: permanent }\n"
		     "  both: { failures: 3, rate: 50%, within: 90s, open: 1h, factor: 1.5,\n"
		     "    probes: 2, ramp: 4, counts: [timeout, permanent] }\n"
		     "connections:\n"
		     "  a: { type: lake, path: x, breaker: rate }\n"
		     "  b: { type: lake, path: x }\n");
	struct breaker_policy p;

	(void)state;
	assert_true(config_breaker(c, "plain", &p));
	assert_int_equal(p.failures, 5);
	assert_true(p.rate <= 0 && p.factor > 1.99 && p.factor < 2.01);
	assert_int_equal(p.at_least, 20);
	assert_int_equal(p.window_us, 10 * US_PER_MINUTE);
	assert_int_equal(p.open_us, US_PER_MINUTE);
	assert_int_equal(p.max_open_us, 30 * US_PER_MINUTE);
	assert_int_equal(p.probes, 1);
	assert_int_equal(p.ramp, 10);
	assert_int_equal(p.counts, 1u << BREAKER_TRANSIENT | 1u << BREAKER_TIMEOUT);
	/* By rate alone. */
	assert_true(config_breaker(c, "rate", &p));
	assert_int_equal(p.failures, 0);
	assert_true(p.rate > 0.2499 && p.rate < 0.2501);
	assert_int_equal(p.at_least, 7);
	assert_int_equal(p.counts, 1u << BREAKER_PERMANENT);
	assert_true(config_breaker(c, "both", &p));
	assert_int_equal(p.failures, 3);
	assert_true(p.rate > 0.4999 && p.rate < 0.5001 && p.factor > 1.49 && p.factor < 1.51);
	assert_int_equal(p.window_us, 90 * US_PER_SECOND);
	/* No less than it is open at first. */
	assert_int_equal(p.open_us, US_PER_HOUR);
	assert_int_equal(p.max_open_us, US_PER_HOUR);
	assert_int_equal(p.probes, 2);
	assert_int_equal(p.ramp, 4);
	assert_int_equal(p.counts, 1u << BREAKER_TIMEOUT | 1u << BREAKER_PERMANENT);
	assert_false(config_breaker(c, "none", &p));
	assert_string_equal(config_connection_breaker(c, "a"), "rate");
	assert_null(config_connection_breaker(c, "b"));
	assert_null(config_connection_breaker(c, "c"));
	/* Operators do not see it. */
	json_t *conn = config_connection(c, "a", NULL, NULL);
	assert_non_null(conn);
	assert_null(json_object_get(conn, "breaker"));
	json_decref(conn);
	config_free(c);
}

static void test_connections(void **state)
{
	char want[512];
	struct config *c =
		load("connections:\n"
		     "  a: { type: lake, path: data/a.db }\n"
		     "  b: { type: lake, path: /abs/b.db, user: me, port: 9, wait: 1m }\n");

	(void)state;
	assert_string_equal(config_connections(c)[0], "a");
	assert_string_equal(config_connections(c)[1], "b");
	assert_null(config_connections(c)[2]);
	assert_string_equal(config_path(c), at("weir.yaml"));
	snprintf(want, sizeof want,
		"{\"name\":\"a\",\"path\":\"%s\",\"type\":\"lake\",\"user\":\"weir\",\"wait\":"
		"5000000}",
		at("data/a.db"));
	check_connection(c, "a", want);
	check_connection(c, "b",
		"{\"name\":\"b\",\"path\":\"/abs/b.db\",\"port\":9,\"type\":\"lake\",\"user\":"
		"\"me\",\"wait\":60000000}");
	struct err err = { 0 };
	assert_null(config_connection(c, "c", NULL, &err));
	assert_int_equal(err.code, ERR_NOT_FOUND);
	config_free(c);
}

static void test_none(void **state)
{
	struct err err = { 0 };
	struct config *c = config_empty();

	(void)state;
	assert_null(config_connections(c)[0]);
	assert_null(config_path(c));
	assert_null(config_connection(c, "a", NULL, &err));
	assert_int_equal(err.code, ERR_NOT_FOUND);
	config_free(c);
	config_free(NULL);
	c = load("# nothing yet\n");
	assert_null(config_connections(c)[0]);
	config_free(c);
}

/* Each way to give a secret; every value is told, so that it can be masked. */
static void test_secrets(void **state)
{
	struct config *c = load("connections:\n"
				"  a: { type: lake, path: x, password: { env: WEIR_T_SECRET } }\n"
				"  b: { type: lake, path: x, password: { file: keys/b } }\n"
				"  c: { type: lake, path: x, password: plain }\n"
				"  d: { type: lake, path: x, password: { env: WEIR_T_NONE } }\n"
				"  e: { type: lake, path: x, password: { file: keys/none } }\n");
	static const char *const want[] = { "s3cret", "two\nlines", "plain" };
	json_t *secrets = json_array();

	(void)state;
	setenv("WEIR_T_SECRET", "s3cret", 1);
	unsetenv("WEIR_T_NONE");
	write_file("keys/b", "two\nlines\n");
	for (int i = 0; i < 3; i++) {
		const char name[] = { (char)('a' + i), '\0' };
		json_t *conn = config_connection(c, name, secrets, NULL);
		assert_non_null(conn);
		assert_string_equal(json_string_value(json_object_get(conn, "password")), want[i]);
		assert_string_equal(json_string_value(json_array_get(secrets, (size_t)i)), want[i]);
		json_decref(conn);
	}
	struct err err = { 0 };
	assert_null(config_connection(c, "d", secrets, &err));
	assert_non_null(strstr(err.msg, "WEIR_T_NONE"));
	assert_int_equal(err.line, 5);
	err_clear(&err);
	assert_null(config_connection(c, "e", secrets, &err));
	assert_non_null(strstr(err.msg, "keys/none"));
	assert_int_equal(json_array_size(secrets), 3);
	json_decref(secrets);
	config_free(c);
}

static const struct {
	const char *text, *message;
	size_t nerrors;
} bad[] = {
	{ "connections: { a: { type: lak, path: x } }", "did you mean \"lake\"", 1 },
	{ "connections: { a: { path: x } }", "needs a type", 1 },
	{ "connections: { a: }", "needs a type", 1 },
	{ "connections: { a: { type: lake } }", "\"path\" is missing", 1 },
	{ "connections: { a: { type: lake, path: x, usr: y } }", "did you mean \"user\"", 1 },
	{ "connections: { a: { type: lake, path: x, port: 0 } }", "port", 1 },
	{ "connections: { a: { type: lake, path: x, password: { envv: X } } }", "\"envv\"", 1 },
	{ "connections: [a]", "connections: expected a mapping", 1 },
	{ "conections: {}", "did you mean \"connections\"", 1 },
	{ "connections: { a: { type: lake, path: x, a: 1 }, b: { type: x } }", "unknown key", 2 },
	{ "- a", "a list", 1 },
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct diags diags;
		diags_init(&diags);
		write_file("weir.yaml", bad[i].text);
		assert_null(config_load(at("weir.yaml"), types, &diags));
		if (diags.nerrors != bad[i].nerrors ||
			!strstr(diags.list[0].message, bad[i].message))
			fail_msg("%s: %zu: %s", bad[i].text, diags.nerrors, diags.list[0].message);
		diags_release(&diags);
	}
}

static void check_found(const char *explicit_path, const char *dir, const char *want)
{
	struct err err = { 0 };
	char *path = config_find(explicit_path, at(dir), &err);

	assert_int_equal(err.code, ERR_NONE);
	if (want) {
		assert_non_null(path);
		assert_string_equal(path, want);
	} else {
		assert_null(path);
	}
	free(path);
}

/* What is named, then the nearest from the DAG's folder upwards, then the user's own. */
static void test_find(void **state)
{
	struct err err = { 0 };

	(void)state;
	unsetenv("WEIR_CONFIG");
	setenv("XDG_CONFIG_HOME", at("xdg"), 1);
	setenv("HOME", at("home"), 1);
	io_mkdirs(at("p/dags/sub"), 0700, NULL);
	io_mkdirs(at("q"), 0700, NULL);
	unlink(at("weir.yaml"));
	check_found(NULL, "q", NULL);
	write_file("xdg/weir/weir.yaml", "");
	write_file("home/.config/weir/weir.yaml", "");
	check_found(NULL, "q", at("xdg/weir/weir.yaml"));
	unsetenv("XDG_CONFIG_HOME");
	check_found(NULL, "q", at("home/.config/weir/weir.yaml"));
	write_file("p/weir.yaml", "");
	check_found(NULL, "p/dags/sub", at("p/weir.yaml"));
	write_file("p/dags/weir.yaml", "");
	check_found(NULL, "p/dags/sub", at("p/dags/weir.yaml"));
	setenv("WEIR_CONFIG", at("p/weir.yaml"), 1);
	check_found(NULL, "p/dags/sub", at("p/weir.yaml"));
	check_found(at("p/dags/weir.yaml"), "q", at("p/dags/weir.yaml"));
	assert_null(config_find(at("none.yaml"), at("q"), &err));
	assert_int_equal(err.code, ERR_NOT_FOUND);
	setenv("WEIR_CONFIG", at("none.yaml"), 1);
	err_clear(&err);
	assert_null(config_find(NULL, at("q"), &err));
	assert_int_equal(err.code, ERR_NOT_FOUND);
	unsetenv("WEIR_CONFIG");
}

static int make_root(void **state)
{
	(void)state;
	return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
	static const char *const left[] = { "weir.yaml", "keys/b", "keys", "xdg/weir/weir.yaml",
		"xdg/weir", "xdg", "home/.config/weir/weir.yaml", "home/.config/weir",
		"home/.config", "home", "p/dags/weir.yaml", "p/weir.yaml", "p/dags/sub", "p/dags",
		"p", "q" };

	(void)state;
	for (size_t i = 0; i < sizeof left / sizeof *left; i++)
		remove(at(left[i]));
	return rmdir(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_breakers),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_find),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_root, remove_root);
}
