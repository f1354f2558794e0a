/* Incidents to messages: a store in memory, a time of the test's own, and commands that tell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "conf/config.h"
#include "conf/diag.h"
#include "core/alert.h"
#include "run/alert_compose.h"
#include "run/alerting.h"
#include "run/alerts.h"
#include "run/sender.h"
#include "store/store.h"

enum { ANSWER_MS = 60000 };
#define S INT64_C(1000000)

struct world {
	char dir[64];
	struct config *config;
	struct store *store;
	struct alerting *a;
	int64_t now_us;
	char notes[1024];
	struct err err;
};

static void on_note(void *arg, const struct alerting_note *n)
{
	struct world *w = arg;
	size_t used = strlen(w->notes);

	snprintf(w->notes + used, sizeof w->notes - used, "%s %s %d; ", n->what,
		n->channel ? n->channel : "-", n->count);
}

static void write_config(const struct world *w, const char *text)
{
	char path[96];

	snprintf(path, sizeof path, "%s/weir.yaml", w->dir);
	assert_int_equal(io_write_file(path, text, strlen(text), NULL), 0);
}

static void begin(struct world *w, const char *yaml)
{
	static const struct config_conn_type no_types[] = { { 0 } };
	struct diags diags;
	char path[96];

	*w = (struct world){ .now_us = 1000 * S };
	snprintf(w->dir, sizeof w->dir, "/tmp/weir-test-alert-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	write_config(w, yaml);
	diags_init(&diags);
	snprintf(path, sizeof path, "%s/weir.yaml", w->dir);
	w->config = config_load(path, no_types, &diags);
	if (!w->config)
		fail_msg("%s", diags.list[0].message);
	diags_release(&diags);
	assert_int_equal(store_open_memory(&w->store, &w->err), 0);
	const struct alerting_config config = { .home = w->dir,
		.store = w->store,
		.alerts = config_alerts(w->config),
		.note = on_note,
		.arg = w };
	if (alerting_new(&w->a, &config, &w->err) < 0)
		fail_msg("%s", w->err.msg);
}

static void end(struct world *w)
{
	char command[128];

	alerting_free(w->a);
	store_close(w->store);
	config_free(w->config);
	snprintf(command, sizeof command, "rm -rf %s", w->dir);
	assert_int_equal(system(command), 0);
}

static void happens(struct world *w, enum incident_what what, const char *task)
{
	struct incident_put p = { .what = what,
		.kind = INCIDENT_TASK_FAILED,
		.dag = "sales",
		.task = task,
		.severity = SEVERITY_ERROR,
		.at_us = w->now_us,
		.facts = "{\"error\":\"broken\"}" };
	const struct store_batch batch = { .incidents = &p, .nincidents = 1 };
	struct arena arena;

	arena_init(&arena, 1 << 20);
	alerts_route(config_alerts(w->config), NULL, &arena, &p);
	if (store_commit(w->store, &batch, &w->err) < 0)
		fail_msg("%s", w->err.msg);
	arena_release(&arena);
}

/* Time passes, and what is to be told then is. */
static void passes(struct world *w, int64_t us)
{
	w->now_us += us;
	alerting_turn(w->a, w->now_us);
	while (alerting_is_busy(w->a)) {
		struct pollfd p = { .fd = alerting_fd(w->a), .events = POLLIN };
		if (poll(&p, 1, ANSWER_MS) <= 0)
			fail_msg("no answer");
		alerting_turn(w->a, w->now_us);
	}
}

/* Of each message in a file: "what count title[ instead of ...]; ". The file is then empty. */
static void check_told(struct world *w, const char *file, const char *want)
{
	char path[96], got[2048] = "";
	struct buf text;

	snprintf(path, sizeof path, "%s/%s", w->dir, file);
	buf_init(&text, 16 << 20);
	io_read_file(path, &text, NULL);
	unlink(path);
	for (char *line = text.len ? strtok(text.data, "\n") : NULL; line;
		line = strtok(NULL, "\n")) {
		json_t *d = json_loads(line, 0, NULL);
		assert_non_null(d);
		size_t used = strlen(got);
		const char *failed =
			json_string_value(json_array_get(json_object_get(d, "failed"), 0));
		snprintf(got + used, sizeof got - used, "%s %lld %s%s%s; ",
			json_string_value(json_object_get(d, "what")),
			(long long)json_integer_value(json_object_get(d, "count")),
			json_string_value(json_object_get(d, "title")),
			failed ? " instead of " : "", failed ? failed : "");
		json_decref(d);
	}
	buf_release(&text);
	assert_string_equal(got, want);
}

static void check_notes(struct world *w, const char *want)
{
	assert_string_equal(w->notes, want);
	w->notes[0] = '\0';
}

#define TELLS(file) "{ type: command, command: [sh, -c, 'cat >>" file "; echo >>" file "'] }"

static void test_group(void **state)
{
	struct world w;

	(void)state;
	begin(&w, "alerts:\n  channels: { one: " TELLS("one") " }\n  group_window: 2s\n");
	happens(&w, INCIDENT_OPENS, "load");
	passes(&w, 0);
	check_told(&w, "one", "");
	assert_int_equal(alerting_wake_us(w.a), w.now_us + 2 * S);
	happens(&w, INCIDENT_OPENS, "publish");
	passes(&w, 2 * S);
	check_told(&w, "one", "opened 2 2 incidents opened; ");
	check_notes(&w, "told one 2; ");
	assert_int_equal(alerting_wake_us(w.a), INT64_MAX);
	happens(&w, INCIDENT_OPENS, "load");
	happens(&w, INCIDENT_RESOLVES, "publish");
	passes(&w, 2 * S);
	check_told(&w, "one", "resolved 1 resolved: sales.publish: task failed; ");
	end(&w);
}

/* Ten thousand are one message of what the sender takes. */
static void test_storm(void **state)
{
	struct world w;
	char task[32];

	(void)state;
	begin(&w, "alerts:\n  channels: { one: " TELLS("one") " }\n");
	for (int i = 0; i < 2000; i++) {
		snprintf(task, sizeof task, "t%d", i);
		happens(&w, INCIDENT_OPENS, task);
	}
	passes(&w, 5 * S);
	check_told(&w, "one", "opened 2000 2000 incidents opened; ");
	passes(&w, 100 * S);
	check_told(&w, "one", "");
	end(&w);
}

static void test_fails_over(void **state)
{
	struct world w;

	(void)state;
	begin(&w,
		"alerts:\n  channels:\n    bad: { type: command, command: [sh, -c, 'echo no >&2; "
		"exit 3'] }\n    worse: { type: webhook, url: { env: WEIR_TEST_NOT_SET } }\n"
		"    good: " TELLS("good") "\n  tries: 2\n  retry_after: 5s\n  group_window: 0s\n");
	happens(&w, INCIDENT_OPENS, "load");
	passes(&w, 0);
	check_notes(&w, "cannot tell now bad 1; ");
	assert_int_equal(alerting_wake_us(w.a), w.now_us + 5 * S);
	passes(&w, 4 * S);
	check_notes(&w, "");
	/* Out of tries; the next one cannot at all, which is no use to try again. */
	passes(&w, S);
	passes(&w, S);
	check_notes(&w, "cannot tell; the next channel does bad 1; "
			"cannot tell; the next channel does worse 1; told good 1; ");
	check_told(&w, "good",
		"opened 1 sales.load: task failed instead of bad: command: the command ended with "
		"exit status 3: no; ");
	passes(&w, 100 * S);
	check_notes(&w, "");
	end(&w);
}

/* The last one is tried again whatever it says, and then given up. */
static void test_gives_up(void **state)
{
	struct store_result r;
	struct world w;

	(void)state;
	begin(&w,
		"alerts:\n  channels:\n    only: { type: webhook, url: { env: WEIR_TEST_NOT_SET } "
		"}\n  tries: 2\n  group_window: 0s\n");
	happens(&w, INCIDENT_OPENS, "load");
	passes(&w, 0);
	check_notes(&w, "cannot tell now only 1; ");
	passes(&w, 5 * S);
	check_notes(&w, "given up only 1; ");
	assert_int_equal(store_outbox_list(w.store, OUTBOX_GIVEN_UP, 0, &r, NULL), 0);
	assert_int_equal(r.n, 1);
	assert_string_equal(r.outbox[0].error, "only: settings: the environment variable "
					       "WEIR_TEST_NOT_SET (a secret) is not set");
	store_result_release(&r);
	end(&w);
}

/* What went wrong later has its own tries, though it is told with what has had them. */
static void test_own_tries(void **state)
{
	struct world w;

	(void)state;
	begin(&w,
		"alerts:\n  channels:\n    only: { type: webhook, url: { env: WEIR_TEST_NOT_SET } "
		"}\n  tries: 2\n  group_window: 0s\n");
	happens(&w, INCIDENT_OPENS, "load");
	passes(&w, 0);
	check_notes(&w, "cannot tell now only 1; ");
	w.now_us += 5 * S;
	happens(&w, INCIDENT_OPENS, "publish");
	passes(&w, 0);
	check_notes(&w, "cannot tell now only 1; given up only 1; ");
	passes(&w, 10 * S);
	check_notes(&w, "given up only 1; ");
	end(&w);
}

/* The ids of the messages in a file, one behind the other. The file is then empty. */
static void check_ids(struct world *w, const char *file, const char *want)
{
	char path[96], got[256] = "";
	struct buf text;

	snprintf(path, sizeof path, "%s/%s", w->dir, file);
	buf_init(&text, 16 << 20);
	io_read_file(path, &text, NULL);
	unlink(path);
	for (char *line = text.len ? strtok(text.data, "\n") : NULL; line;
		line = strtok(NULL, "\n")) {
		json_t *d = json_loads(line, 0, NULL);
		size_t used = strlen(got);
		snprintf(got + used, sizeof got - used, "%s; ",
			json_string_value(json_object_get(d, "id")));
		json_decref(d);
	}
	buf_release(&text);
	assert_string_equal(got, want);
}

/* A message keeps its id, whoever joins it and whenever that was due. */
static void test_id(void **state)
{
	struct world w;

	(void)state;
	begin(&w, "alerts:\n  channels: { one: { type: command, command: [sh, -c, 'cat >>one; "
		  "echo >>one; exit 1'] } }\n  retry_after: 5s\n  tries: 9\n  group_window: 0s\n");
	happens(&w, INCIDENT_OPENS, "load");
	passes(&w, 0);
	check_ids(&w, "one", "incident/1/1/all; ");
	/* Due before it, and behind it in the order in which they came. */
	w.now_us += 3 * S;
	happens(&w, INCIDENT_OPENS, "publish");
	passes(&w, 2 * S);
	check_ids(&w, "one", "incident/1/1/all; ");
	passes(&w, 100 * S);
	check_ids(&w, "one", "incident/1/1/all; ");
	end(&w);
}

static void test_escalates(void **state)
{
	struct world w;

	(void)state;
	begin(&w, "alerts:\n  channels: { one: " TELLS("one") ", boss: " TELLS(
			  "boss") " }\n"
				  "  routes:\n    - { name: r, to: one, escalate_to: boss, "
				  "escalate_after: 10m }\n"
				  "  group_window: 0s\n");
	happens(&w, INCIDENT_OPENS, "load");
	happens(&w, INCIDENT_OPENS, "publish");
	passes(&w, 0);
	check_told(&w, "one", "opened 2 2 incidents opened; ");
	passes(&w, 599 * S);
	check_told(&w, "boss", "");
	/* The one that somebody sees to does not escalate; who was not told of it, is not. */
	happens(&w, INCIDENT_ACKS, "publish");
	passes(&w, S);
	check_told(&w, "boss", "escalated 1 escalated: sales.load: task failed; ");
	check_told(&w, "one", "acknowledged 1 acknowledged: sales.publish: task failed; ");
	passes(&w, 600 * S);
	check_told(&w, "boss", "escalated 1 escalated: sales.load: task failed; ");
	happens(&w, INCIDENT_RESOLVES, "load");
	happens(&w, INCIDENT_RESOLVES, "publish");
	passes(&w, 0);
	check_told(&w, "boss", "resolved 1 resolved: sales.load: task failed; ");
	check_told(&w, "one", "resolved 2 2 incidents resolved; ");
	passes(&w, 10000 * S);
	check_told(&w, "boss", "");
	end(&w);
}

static void test_quiet_hours(void **state)
{
	struct world w;

	(void)state;
	begin(&w, "alerts:\n  channels: { one: " TELLS("one") " }\n  quiet_hours: 22:00-07:00\n");
	w.now_us = 23 * 3600 * S;
	happens(&w, INCIDENT_OPENS, "load");
	passes(&w, 7 * 3600 * S);
	check_told(&w, "one", "");
	happens(&w, INCIDENT_OPENS, "publish");
	assert_int_equal(alerting_wake_us(w.a), 31 * 3600 * S);
	passes(&w, 3600 * S);
	check_told(&w, "one", "opened 2 2 incidents opened; ");
	end(&w);
}

static void test_one_at_a_time(void **state)
{
	struct alerting *second;
	struct world w;

	(void)state;
	begin(&w, "alerts:\n  channels: { one: " TELLS("one") " }\n");
	const struct alerting_config config = {
		.home = w.dir, .store = w.store, .alerts = config_alerts(w.config)
	};
	assert_int_equal(alerting_new(&second, &config, &w.err), -1);
	assert_int_equal(w.err.code, ERR_REFUSED);
	alerting_free(w.a);
	assert_int_equal(alerting_new(&w.a, &config, &w.err), 0);
	end(&w);
}

/* A command that hangs holds up its own message only, and is killed. */
static void test_hangs(void **state)
{
	struct world w;

	(void)state;
	begin(&w,
		"alerts:\n  channels:\n    slow: { type: command, command: [sleep, 600], timeout: "
		"300ms }\n    one: " TELLS(
			"one") "\n  routes:\n    - { name: a, to: slow }\n"
			       "    - { name: b, to: one }\n  group_window: 0s\n  tries: 1\n");
	happens(&w, INCIDENT_OPENS, "load");
	passes(&w, 0);
	check_told(&w, "one", "opened 1 sales.load: task failed; ");
	assert_non_null(strstr(w.notes, "told one 1; given up slow 1; "));
	end(&w);
}

/* Secrets of a channel are in no message and no error. */
static void test_secrets(void **state)
{
	struct world w;
	json_t *request, *answer;

	(void)state;
	setenv("WEIR_TEST_HOOK", "http://127.0.0.1:1/TOKEN-12345", 1);
	request = json_pack("{s:i, s:s, s:{s:s, s:{s:s}}, s:s, s:{s:s, s:s}}", "job", 1, "type",
		"webhook", "settings", "type", "webhook", "url", "env", "WEIR_TEST_HOOK", "dir",
		"/", "doc", "id", "x", "title", "http://127.0.0.1:1/TOKEN-12345 failed");
	answer = sender_perform(request);
	assert_true(json_is_false(json_object_get(answer, "ok")));
	assert_string_equal(json_string_value(json_object_get(answer, "class")), "unreachable");
	char *text = json_dumps(answer, 0);
	assert_null(strstr(text, "TOKEN"));
	free(text);
	json_decref(answer);
	json_decref(request);
	begin(&w, "alerts:\n  channels: { one: " TELLS("one") " }\n");
	end(&w);
}

/* The sender is killed: another one sends what it had. */
static void test_sender_dies(void **state)
{
	struct world w;

	(void)state;
	begin(&w, "alerts:\n  channels: { one: { type: command, command: [sh, -c, 'until test -e "
		  "go; do sleep 0.02; "
		  "done; cat >>one; echo >>one'] } }\n  group_window: 0s\n");
	happens(&w, INCIDENT_OPENS, "load");
	alerting_turn(w.a, w.now_us);
	assert_true(alerting_is_busy(w.a));
	char command[96];
	snprintf(command, sizeof command, "kill -9 $(pgrep -P %d -x weir-sender | head -n 1)",
		(int)getpid());
	for (int i = 0; system(command) != 0; i++) { /* it has no name of its own at first */
		assert_true(i < ANSWER_MS / 10);
		poll(NULL, 0, 10);
	}
	struct pollfd p = { .fd = alerting_fd(w.a), .events = POLLIN };
	assert_true(poll(&p, 1, ANSWER_MS) > 0);
	alerting_turn(w.a, w.now_us);
	assert_false(alerting_is_busy(w.a));
	check_notes(&w, "the sender died; another one is started - 0; ");
	snprintf(command, sizeof command, "%s/go", w.dir);
	assert_int_equal(io_write_file(command, "", 0, NULL), 0);
	passes(&w, S);
	check_told(&w, "one", "opened 1 sales.load: task failed; ");
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_storm),
		cmocka_unit_test(test_fails_over),
		cmocka_unit_test(test_gives_up),
		cmocka_unit_test(test_own_tries),
		cmocka_unit_test(test_id),
		cmocka_unit_test(test_escalates),
		cmocka_unit_test(test_quiet_hours),
		cmocka_unit_test(test_one_at_a_time),
		cmocka_unit_test(test_hangs),
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_sender_dies),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
