#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "run/alert_message.h"
#include "run/runbook.h"

static const char one[] =
	"{\"id\":\"incident/1/1/r\",\"instance\":\"abc\",\"count\":1,\"title\":\"x.load: task "
	"failed\","
	"\"failed\":[\"slack: timeout: it took too long\"],"
	"\"incidents\":[{\"id\":1,\"what\":\"opened\",\"text\":\"task failed\",\"dag\":\"x\","
	"\"task\":\"load\",\"severity\":\"error\",\"opened_at\":\"2026-11-19T03:00:00+01:00\","
	"\"times\":3,\"run\":\"x@2026-11-18\",\"error\":\"first <line>\\nsecond\",\"try\":3,"
	"\"tries\":4,\"log\":[\"a & b\",\"```\"],\"dependents\":[\"publish\",\"report\"],"
	"\"last_good\":{\"run\":\"x@2026-11-17\",\"at\":\"2026-11-18T03:00:00+01:00\"},"
	"\"deadline\":\"06:30\",\"owner\":\"team\",\"commands\":[{\"what\":\"its log\","
	"\"command\":\"weir logs x@2026-11-18 load\"}],"
	"\"runbook\":{\"from\":\"x.md\",\"text\":\"# Do\\nthis\"}}]}";

static void check_text(
	void (*make)(const json_t *, struct buf *), const char *doc_text, const char *want)
{
	json_t *doc = json_loads(doc_text, 0, NULL);
	struct buf out;

	assert_non_null(doc);
	buf_init(&out, 1 << 20);
	make(doc, &out);
	assert_string_equal(out.data, want);
	buf_release(&out);
	json_decref(doc);
}

static void test_plain(void **state)
{
	(void)state;
	check_text(alert_message_plain, one,
		"  instead of   slack: timeout: it took too long\n"
		"error  x.load: task failed\n"
		"  run          x@2026-11-18\n"
		"  error        first <line>\n"
		"               second\n"
		"  try          3 of 4\n"
		"  since        2026-11-19T03:00:00+01:00 (incident 1, 3 times by now)\n"
		"  last good    x@2026-11-17, ended 2026-11-18T03:00:00+01:00\n"
		"  not done     publish, report\n"
		"  deadline     06:30\n"
		"  owner        team\n"
		"  last lines of its log:\n"
		"    a & b\n"
		"    ```\n"
		"  what to do:\n"
		"    weir logs x@2026-11-18 load   # its log\n"
		"  runbook      x.md\n"
		"    # Do\n"
		"    this\n");
}

static void test_slack(void **state)
{
	(void)state;
	check_text(alert_message_slack, one,
		"  *instead of* slack: timeout: it took too long\n"
		"*error  x.load: task failed*\n"
		"  *run* x@2026-11-18\n"
		"  *error* first &lt;line&gt;\n"
		"   second\n"
		"  *try* 3 of 4\n"
		"  *since* 2026-11-19T03:00:00+01:00 (incident 1, 3 times by now)\n"
		"  *last good* x@2026-11-17, ended 2026-11-18T03:00:00+01:00\n"
		"  *not done* publish, report\n"
		"  *deadline* 06:30\n"
		"  *owner* team\n"
		"  last lines of its log:\n"
		"```\n"
		"    a &amp; b\n"
		"    '''\n"
		"```\n"
		"  what to do:\n"
		"```\n"
		"    weir logs x@2026-11-18 load   # its log\n"
		"```\n"
		"  *runbook* x.md\n"
		"```\n"
		"    # Do\n"
		"    this\n"
		"```\n");
}

static void test_storm(void **state)
{
	(void)state;
	check_text(alert_message_plain,
		"{\"title\":\"10000 incidents opened\",\"count\":10000,\"kinds\":[{\"kind\":"
		"\"task_failed\",\"text\":\"task "
		"failed\",\"count\":10000}],\"dags\":[{\"dag\":\"a\","
		"\"count\":9999},{\"dag\":\"b\",\"count\":1}],\"incidents\":[{\"id\":1,\"what\":"
		"\"opened\",\"text\":\"task failed\",\"dag\":\"a\",\"task\":\"t\",\"severity\":"
		"\"error\"}]}",
		"10000 incidents opened\n"
		"  kinds        10000 task failed\n"
		"  dags         9999 a, 1 b\n"
		"\n"
		"error  a.t: task failed\n"
		"  since         (incident 1)\n"
		"\n"
		"and 9999 more: weir incidents\n");
}

/* A message of a hundred thousand characters is cut, and its fence closed. */
static void test_slack_is_cut(void **state)
{
	json_t *doc = json_loads(one, 0, NULL), *log = json_array();
	struct buf out;
	size_t fences = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		json_array_append_new(log, json_string("\xc3\xa4\xc3\xa4\xc3\xa4 a line of a log"));
	json_object_set_new(json_array_get(json_object_get(doc, "incidents"), 0), "log", log);
	buf_init(&out, 1 << 20);
	alert_message_slack(doc, &out);
	assert_true(out.len < 13000);
	json_t *valid = json_string(out.data);
	assert_non_null(valid); /* no character is cut */
	json_decref(valid);
	for (const char *p = out.data; (p = strstr(p, "```")); p += 3)
		fences++;
	assert_int_equal(fences % 2, 0);
	buf_release(&out);
	json_decref(doc);
}

static void make_mail(const char *title, struct buf *out)
{
	json_t *doc = json_loads(one, 0, NULL),
	       *to = json_pack("[s, s]", "a@x.example", "b@x.example");

	json_object_set_new(doc, "title", json_string(title));
	buf_init(out, 1 << 20);
	alert_message_mail(doc, "weir@x.example", to, out);
	json_decref(doc);
	json_decref(to);
}

static void test_mail(void **state)
{
	struct buf out;

	(void)state;
	make_mail("x.load: task failed", &out);
	assert_non_null(
		strstr(out.data, "From: weir@x.example\r\nTo: a@x.example,\r\n b@x.example\r\n"
				 "Subject: [weir] x.load: task failed\r\n"
				 "Message-ID: <incident/1/1/r@abc.weir>\r\n"
				 "References: <incident.1@abc.weir>\r\n"));
	assert_non_null(strstr(out.data, "\r\nContent-Type: text/plain; charset=utf-8\r\n"));
	const char *body = strstr(out.data, "\r\n\r\n");
	assert_non_null(body);
	for (const char *p = body + 4; *p; p = strchr(p, '\n') + 1)
		assert_true(strcspn(p, "\r") <= 76);
	assert_memory_equal(body + 4, "ICBpbnN0ZWFkIG9mICAg", 20);
	buf_release(&out);
}

/* No text can begin a header of its own. */
static void test_mail_injection(void **state)
{
	struct buf out;

	(void)state;
	make_mail("bad\r\nBcc: thief@x.example\r\n\r\nbody", &out);
	assert_non_null(strstr(out.data, "Subject: [weir] bad  Bcc: thief@x.example    body\r\n"));
	assert_null(strstr(out.data, "\nBcc:"));
	buf_release(&out);
	make_mail("\xc3\x84rger mit \xc3\xbc"
		  "ber f\xc3\xbcnfundsiebzig Zeichen, die in kein Wort passen, das kodiert ist",
		&out);
	assert_non_null(strstr(out.data, "Subject: =?utf-8?B?W3dlaXJdIMOEcmdlciBtaXQgw7xiZXIg"));
	assert_non_null(strstr(out.data, "?=\r\n =?utf-8?B?"));
	buf_release(&out);
}

static void test_runbook(void **state)
{
	json_t *facts =
		json_pack("{s:s, s:i, s:s}", "error", "it {{ dag }} broke", "try", 3, "dag", "x");
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	runbook_fill("{{ dag }}.{{task}} {{ error }} {{ try }} {{ other }} {{ {{ run }} {{",
		(const json_t *const[]){ facts, NULL }, &out);
	assert_string_equal(
		out.data, "x.(no task) it {{ dag }} broke 3 {{ other }} {{ (no run) {{");
	buf_release(&out);
	json_decref(facts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_slack),
		cmocka_unit_test(test_storm),
		cmocka_unit_test(test_slack_is_cut),
		cmocka_unit_test(test_mail),
		cmocka_unit_test(test_mail_injection),
		cmocka_unit_test(test_runbook),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
