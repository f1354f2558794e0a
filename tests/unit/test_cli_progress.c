/* A run as it is shown: golden texts of a made-up run for each way of showing it. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "cli/progress.h"

#define START INT64_C(1795089600000000) /* 2026-11-19T12:00:00Z */
#define SECOND INT64_C(1000000)

enum { ORDERS, PAYMENTS, SALES, CHECK, REPORT, NOTIFY, NTASKS };

static const int needs_sales[] = { ORDERS, PAYMENTS };
static const int needs_check[] = { SALES };
static const int needs_report[] = { CHECK };
static const int needs_notify[] = { REPORT };
static const int order[] = { ORDERS, PAYMENTS, SALES, CHECK, REPORT, NOTIFY };

static struct task tasks[] = {
	{ .name = "orders", .kind = TASK_INGEST, .op = "file", .retry = { .retries = 1 } },
	{ .name = "payments", .kind = TASK_INGEST, .op = "file", .retry = { .retries = 1 } },
	{ .name = "daily_sales",
		.kind = TASK_TRANSFORM,
		.op = "sql",
		.needs = needs_sales,
		.nneeds = 2 },
	{ .name = "check_sales",
		.kind = TASK_QUALITY,
		.op = "table",
		.needs = needs_check,
		.nneeds = 1 },
	{ .name = "report",
		.kind = TASK_PUBLISH,
		.op = "file",
		.needs = needs_report,
		.nneeds = 1 },
	{ .name = "notify", .kind = TASK_RUN, .op = "command", .needs = needs_notify, .nneeds = 1 },
};
static const struct dag dag = { .name = "sales",
	.path = "dags/sales.yaml",
	.runbook = "runbooks/sales.md",
	.tasks = tasks,
	.ntasks = NTASKS,
	.order = order };

enum { NINSTANCES = 3 };

struct story {
	struct task_progress tasks[NTASKS + NINSTANCES];
	struct run_progress p;
	struct observer *observer;
	FILE *out;
	char *text;
	size_t size;
};

static void begin(struct story *s, enum progress_mode mode)
{
	*s = (struct story){ 0 };
	s->out = open_memstream(&s->text, &s->size);
	assert_non_null(s->out);
	s->observer = progress_new(mode, s->out, false, false);
	assert_non_null(s->observer);
	for (int i = 0; i < NTASKS; i++)
		s->tasks[i] = (struct task_progress){
			.selected = true, .exit_status = -1, .retries = tasks[i].retry.retries
		};
	s->p = (struct run_progress){ .dag = &dag,
		.run = "sales@2026-11-18",
		.run_id = 7,
		.ds = "2026-11-18",
		.interval_start_us = START - 36 * 3600 * SECOND,
		.interval_end_us = START - 12 * 3600 * SECOND,
		.version = "0123abcd",
		.created = true,
		.state = RUN_RUNNING,
		.jobs = 2,
		.started_us = START,
		.now_us = START,
		.tasks = s->tasks };
}

static void tell_text(struct story *s, enum run_event_kind kind, int task, const char *text)
{
	struct run_event e = { kind, s->p.now_us, task, text };

	s->observer->event(s->observer, &s->p, &e);
}

static void tell(struct story *s, enum run_event_kind kind, int task)
{
	tell_text(s, kind, task, NULL);
}

static void start(struct story *s, int task)
{
	struct task_progress *t = &s->tasks[task];

	t->state = TASK_RUNNING;
	t->try++;
	t->started_us = s->p.now_us;
	t->ended_us = 0;
	t->outcome = OUTCOME_NONE;
	t->error = NULL;
	t->log_path = "/home/logs/x.log";
	s->p.nrunning++;
	tell(s, EVENT_TASK_STARTED, task);
}

static void end(struct story *s, int task, enum task_state state, enum outcome outcome)
{
	struct task_progress *t = &s->tasks[task];

	t->state = state;
	t->outcome = outcome;
	t->ended_us = s->p.now_us;
	s->p.nrunning--;
	s->p.ndone += state != TASK_UP_FOR_RETRY;
	s->p.nfailed += state == TASK_FAILED;
	tell(s, state == TASK_UP_FOR_RETRY ? EVENT_TASK_RETRY : EVENT_TASK_FINISHED, task);
}

/* The whole story: rows, a retry, a warning, a failed command. */
static void tell_story(struct story *s)
{
	tell(s, EVENT_RUN_STARTED, -1);
	start(s, ORDERS);
	start(s, PAYMENTS);
	s->p.now_us += SECOND + 200000;
	s->tasks[PAYMENTS].error = "the file is not there:\nsample/payments.csv";
	s->tasks[PAYMENTS].exit_status = 75;
	s->tasks[PAYMENTS].due_us = s->p.now_us + 30 * SECOND;
	end(s, PAYMENTS, TASK_UP_FOR_RETRY, OUTCOME_FAILED);
	s->tasks[ORDERS].exit_status = 0;
	s->tasks[ORDERS].outputs = json_pack("{s:i, s:i, s:i, s:s}", "rows_in", 1200, "rows_out",
		1180, "rows_rejected", 20, "quarantine", "quarantine/orders.csv");
	end(s, ORDERS, TASK_SUCCESS, OUTCOME_SUCCESS);
	s->p.now_us += 30 * SECOND;
	s->tasks[PAYMENTS].due_us = 0;
	start(s, PAYMENTS);
	s->p.now_us += SECOND;
	s->tasks[PAYMENTS].exit_status = 0;
	end(s, PAYMENTS, TASK_SUCCESS, OUTCOME_SUCCESS);
	start(s, SALES);
	s->p.now_us += SECOND;
	s->tasks[SALES].exit_status = 0;
	end(s, SALES, TASK_SUCCESS, OUTCOME_SUCCESS);
	start(s, CHECK);
	s->tasks[CHECK].checks = json_loads(
		"[{\"name\":\"not_null(day)\",\"severity\":\"error\",\"status\":\"pass\","
		"\"observed\":0,\"expected\":0,\"sample\":[]},"
		"{\"name\":\"range(revenue)\",\"severity\":\"warn\",\"status\":\"warn\","
		"\"observed\":\"2 of 90 fail\",\"expected\":\"at least 0\","
		"\"sample\":[\"a|2026\",\"b\"]}]",
		0, NULL);
	s->tasks[CHECK].exit_status = 0;
	end(s, CHECK, TASK_SUCCESS, OUTCOME_SUCCESS);
	start(s, REPORT);
	s->tasks[REPORT].outputs = json_pack("{s:s, s:i}", "path", "out/sales.csv", "rows", 90);
	s->tasks[REPORT].exit_status = 0;
	end(s, REPORT, TASK_SUCCESS, OUTCOME_SUCCESS);
	tell_text(s, EVENT_NOTE, -1, "disk is \033[1mnearly\033[0m full");
	start(s, NOTIFY);
	s->p.now_us += 2 * SECOND;
	s->tasks[NOTIFY].exit_status = 3;
	s->tasks[NOTIFY].reason = REASON_RETRIES_SPENT;
	s->tasks[NOTIFY].error = "exit status 3: curl: (7) refused";
	end(s, NOTIFY, TASK_FAILED, OUTCOME_FAILED);
	s->p.state = RUN_FAILED;
	tell(s, EVENT_RUN_FINISHED, -1);
}

static const char *finish(struct story *s)
{
	s->observer->free(s->observer);
	for (int i = 0; i < NTASKS; i++) {
		json_decref(s->tasks[i].outputs);
		json_decref(s->tasks[i].checks);
	}
	fclose(s->out);
	return s->text;
}

#define SUMMARY                                                                                  \
	"sales@2026-11-18: failed after 35.2s: 5 of 6 tasks succeeded\n"                         \
	"checks\n"                                                                               \
	"  warn  check_sales  range(revenue): observed 2 of 90 fail, expected at least 0; such " \
	"as a|2026\n"                                                                            \
	"quarantine\n"                                                                           \
	"  orders  20 rows rejected, kept in quarantine/orders.csv\n"                            \
	"published\n"                                                                            \
	"  report  out/sales.csv\n"                                                              \
	"failed\n"                                                                               \
	"  notify  exit status 3: curl: (7) refused (try 1/1)\n"                                 \
	"    log: /home/logs/x.log\n"                                                            \
	"next\n"                                                                                 \
	"  weir logs sales@2026-11-18 notify\n"                                                  \
	"  less runbooks/sales.md    # the runbook\n"                                            \
	"  weir show sales@2026-11-18\n"                                                         \
	"  weir run dags/sales.yaml --date 2026-11-18    # keeps what is done\n"

static void test_plain(void **state)
{
	struct story s;

	(void)state;
	begin(&s, PROGRESS_PLAIN);
	assert_false(s.observer->wants_ticks);
	tell_story(&s);
	assert_string_equal(finish(&s),
		"2026-11-19T12:00:00Z  sales@2026-11-18: started: 6 tasks, 2 jobs at a time\n"
		"2026-11-19T12:00:00Z  orders       started     try 1/2\n"
		"2026-11-19T12:00:00Z  payments     started     try 1/2\n"
		"2026-11-19T12:00:01Z  payments     retry       try 1/2     1.2s  next try in "
		"30.0s: the file is not there:\n"
		"2026-11-19T12:00:01Z  orders       success     try 1/2     1.2s  1,200 in, 1,180 "
		"out, 20 rejected\n"
		"2026-11-19T12:00:31Z  payments     started     try 2/2\n"
		"2026-11-19T12:00:32Z  payments     success     try 2/2     1.0s\n"
		"2026-11-19T12:00:32Z  daily_sales  started\n"
		"2026-11-19T12:00:33Z  daily_sales  success        1.0s\n"
		"2026-11-19T12:00:33Z  check_sales  started\n"
		"2026-11-19T12:00:33Z  check_sales  success         0ms  1 of 2 checks passed, 1 "
		"warned\n"
		"2026-11-19T12:00:33Z  report       started\n"
		"2026-11-19T12:00:33Z  report       success         0ms  90 rows\n"
		"2026-11-19T12:00:33Z  note: disk is nearly full\n"
		"2026-11-19T12:00:33Z  notify       started\n"
		"2026-11-19T12:00:35Z  notify       failed         2.0s  exit status 3: curl: (7) "
		"refused\n" SUMMARY);
	free(s.text);
}

static void test_quiet(void **state)
{
	struct story s;

	(void)state;
	begin(&s, PROGRESS_QUIET);
	tell_story(&s);
	const char *text = finish(&s);
	assert_non_null(strstr(text, "notify       failed"));
	assert_null(strstr(text, "started"));
	free(s.text);
}

/* The lines of the JSON mode, parsed. */
static json_t *json_lines(const char *text)
{
	json_t *list = json_array();

	while (*text) {
		size_t len = strcspn(text, "\n");
		json_t *o = json_loadb(text, len, 0, NULL);
		assert_non_null(o);
		json_array_append_new(list, o);
		text += len + 1;
	}
	return list;
}

static void assert_json(const json_t *got, const char *expected)
{
	json_t *want = json_loads(expected, JSON_DECODE_ANY, NULL);

	assert_non_null(want);
	if (!json_equal(got, want)) {
		char *text = json_dumps(got, JSON_INDENT(1) | JSON_ENCODE_ANY);
		print_message("# got %s\n", text);
		free(text);
		fail();
	}
	json_decref(want);
}

static void test_json(void **state)
{
	static const char *const events[] = { "run_started", "task_started", "task_started",
		"task_retry", "task_finished", "task_started", "task_finished", "task_started",
		"task_finished", "task_started", "task_finished", "task_started", "task_finished",
		"note", "task_started", "task_finished", "run_finished" };
	struct story s;

	(void)state;
	begin(&s, PROGRESS_JSON);
	tell_story(&s);
	tell(&s, EVENT_TICK, -1); /* says nothing */
	json_t *lines = json_lines(finish(&s));
	assert_int_equal(json_array_size(lines), sizeof events / sizeof *events);
	for (size_t i = 0; i < json_array_size(lines); i++)
		assert_string_equal(
			json_string_value(json_object_get(json_array_get(lines, i), "event")),
			events[i]);
	assert_json(json_array_get(lines, 3),
		"{\"event\":\"task_retry\",\"at\":\"2026-11-19T12:00:01.200000Z\","
		"\"run\":\"sales@2026-11-18\",\"task\":\"payments\",\"state\":\"up_for_retry\","
		"\"reason\":\"none\",\"try\":1,\"outcome\":\"failed\",\"exit_status\":75,"
		"\"signal\":null,\"started\":\"2026-11-19T12:00:00Z\","
		"\"ended\":\"2026-11-19T12:00:01.200000Z\",\"duration_us\":1200000,"
		"\"error\":\"the file is not there:\\nsample/payments.csv\","
		"\"log\":\"/home/logs/x.log\",\"due\":\"2026-11-19T12:00:31.200000Z\"}");
	json_t *last = json_array_get(lines, json_array_size(lines) - 1);
	assert_json(json_object_get(last, "state"), "\"failed\"");
	assert_json(json_object_get(last, "counts"),
		"{\"total\":6,\"done\":6,\"failed\":1,\"kept\":0}");
	assert_json(json_object_get(last, "interval_start"), "\"2026-11-18T00:00:00Z\"");
	assert_int_equal(json_array_size(json_object_get(last, "tasks")), NTASKS);
	assert_json(json_array_get(json_object_get(last, "tasks"), REPORT),
		"{\"task\":\"report\",\"state\":\"success\",\"reason\":\"none\",\"try\":1,"
		"\"outcome\":\"success\",\"exit_status\":0,\"signal\":null,"
		"\"started\":\"2026-11-19T12:00:33.200000Z\","
		"\"ended\":\"2026-11-19T12:00:33.200000Z\",\"duration_us\":0,\"error\":null,"
		"\"log\":\"/home/logs/x.log\",\"outputs\":{\"path\":\"out/sales.csv\",\"rows\":90},"
		"\"checks\":null,\"selected\":true,\"kept\":false,\"stale\":false}");
	json_decref(lines);
	free(s.text);
}

static void keep_all(struct story *s)
{
	for (int i = 0; i < NTASKS; i++)
		s->tasks[i] = (struct task_progress){ .state = TASK_SUCCESS,
			.kept = true,
			.try = 1,
			.outcome = OUTCOME_SUCCESS,
			.started_us = START - 100 * SECOND,
			.ended_us = START - (90 - i) * SECOND };
	s->p.created = false;
	s->p.nkept = NTASKS;
	s->p.state = RUN_SUCCESS;
}

static void test_nothing_to_do(void **state)
{
	static const char expected[] = "nothing to do: all 6 tasks were done on 2026-11-19 "
				       "11:58:35; --force runs them again\n";
	struct story s;

	(void)state;
	for (int mode = PROGRESS_TTY; mode <= PROGRESS_PLAIN; mode++) {
		begin(&s, (enum progress_mode)mode);
		keep_all(&s);
		tell(&s, EVENT_RUN_STARTED, -1);
		tell(&s, EVENT_RUN_FINISHED, -1);
		if (!strstr(finish(&s), expected))
			fail_msg("mode %d: %s", mode, s.text);
		assert_null(strstr(s.text, "daily_sales"));
		free(s.text);
	}
}

/* Of the first task three instances: one failed, one runs, one waits. */
static void map_first(struct story *s, enum task_state whole, enum reason reason)
{
	static const enum task_state states[NINSTANCES] = { TASK_FAILED, TASK_RUNNING, TASK_NONE };
	struct task_progress *t = &s->tasks[0];

	t->state = whole;
	t->reason = reason;
	t->ninstances = NINSTANCES;
	t->started_us = START;
	for (int i = 0; i < NINSTANCES; i++) {
		t->nin[states[i]]++;
		s->tasks[NTASKS + i] = (struct task_progress){ .map_index = i,
			.item = "{\"path\": \"a\"}",
			.state = states[i],
			.try = states[i] != TASK_NONE,
			.outcome = states[i] == TASK_FAILED ? OUTCOME_FAILED : OUTCOME_NONE,
			.exit_status = states[i] == TASK_FAILED ? 3 : -1,
			.started_us = START,
			.selected = true,
			.log_path = "/home/logs/x@0.1.log" };
	}
	s->p.ntasks = NTASKS + NINSTANCES;
}

static void check_has(struct story *s, const char *text)
{
	if (!strstr(finish(s), text))
		fail_msg("%s\n  lacks %s", s->text, text);
	free(s->text);
}

static void test_mapped(void **state)
{
	struct story s;

	(void)state;
	begin(&s, PROGRESS_PLAIN);
	map_first(&s, TASK_DEFERRED, REASON_MAPPED);
	tell(&s, EVENT_RUN_STARTED, -1);
	tell(&s, EVENT_TASK_MAPPED, 0);
	check_has(&s, "mapped ");
	begin(&s, PROGRESS_PLAIN);
	map_first(&s, TASK_DEFERRED, REASON_MAPPED);
	tell(&s, EVENT_RUN_STARTED, -1);
	tell(&s, EVENT_TASK_FINISHED, NTASKS);
	check_has(&s, "orders[0]    failed ");
	begin(&s, PROGRESS_JSON);
	map_first(&s, TASK_DEFERRED, REASON_MAPPED);
	tell(&s, EVENT_TASK_MAPPED, 0);
	check_has(&s, "\"task\":\"orders\",\"items\":3,");
	begin(&s, PROGRESS_JSON);
	map_first(&s, TASK_DEFERRED, REASON_MAPPED);
	tell(&s, EVENT_TASK_STARTED, NTASKS + 1);
	check_has(&s, "\"task\":\"orders\",\"map_index\":1,\"item\":{\"path\":\"a\"},");
	begin(&s, PROGRESS_TTY);
	map_first(&s, TASK_DEFERRED, REASON_MAPPED);
	tell(&s, EVENT_RUN_STARTED, -1);
	check_has(&s, "x orders       failed ");
	begin(&s, PROGRESS_TTY);
	map_first(&s, TASK_DEFERRED, REASON_MAPPED);
	tell(&s, EVENT_RUN_STARTED, -1);
	check_has(&s, "1 waiting, 1 running, 1 failed");
	begin(&s, PROGRESS_TTY);
	map_first(&s, TASK_DEFERRED, REASON_MAPPED);
	tell(&s, EVENT_RUN_STARTED, -1);
	check_has(&s, "1/8"); /* 5 tasks and 3 instances, of which one is done */
}

/* Each instance that failed is told, and not the whole. */
static void test_mapped_failure(void **state)
{
	struct story s;

	(void)state;
	begin(&s, PROGRESS_PLAIN);
	map_first(&s, TASK_FAILED, REASON_INSTANCES_FAILED);
	s.p.state = RUN_FAILED;
	tell(&s, EVENT_RUN_FINISHED, -1);
	check_has(&s, "tasks succeeded\nfailed\n  orders[0]  exit status 3 (try 1/1)\n"
		      "    log: /home/logs/x@0.1.log\nnext\n"
		      "  weir logs sales@2026-11-18 'orders[0]'\n");
}

/* One task of all is left to do: that is something. */
static void test_something_to_do(void **state)
{
	struct story s;

	(void)state;
	begin(&s, PROGRESS_PLAIN);
	keep_all(&s);
	s.tasks[NOTIFY] = (struct task_progress){ .selected = true };
	s.p.nkept--;
	tell(&s, EVENT_RUN_STARTED, -1);
	start(&s, NOTIFY);
	end(&s, NOTIFY, TASK_SUCCESS, OUTCOME_SUCCESS);
	tell(&s, EVENT_RUN_FINISHED, -1);
	assert_string_equal(finish(&s),
		"2026-11-19T12:00:00Z  sales@2026-11-18: taken up again: 6 tasks, 2 jobs at a "
		"time; 5 done before\n"
		"2026-11-19T12:00:00Z  notify       started\n"
		"2026-11-19T12:00:00Z  notify       success         0ms\n"
		"sales@2026-11-18: success after 0ms: 6 of 6 tasks succeeded, 5 of them before\n");
	free(s.text);
}

/* With --only, what is left out does not count, though it had failed before. */
static void test_part(void **state)
{
	struct story s;

	(void)state;
	begin(&s, PROGRESS_PLAIN);
	keep_all(&s);
	s.tasks[CHECK].state = TASK_FAILED;
	s.tasks[CHECK].kept = false;
	s.tasks[NOTIFY] = (struct task_progress){ .selected = true };
	s.p.partial = true;
	s.p.state = RUN_FAILED;
	tell(&s, EVENT_RUN_STARTED, -1);
	start(&s, NOTIFY);
	end(&s, NOTIFY, TASK_SUCCESS, OUTCOME_SUCCESS);
	tell(&s, EVENT_RUN_FINISHED, -1);
	const char *text = finish(&s);
	assert_non_null(strstr(text, ": 1 task, 2 jobs at a time\n"));
	assert_non_null(strstr(text, ": success after 0ms: 1 of 1 task succeeded, 5 left out\n"));
	assert_null(strstr(text, "check_sales"));
	free(s.text);
}

/* ---- the terminal --------------------------------------------------------------------- */

enum { ROWS = 400, COLUMNS = 200 };

/* A small terminal: enough of one to see what a person would. */
struct screen {
	char cells[ROWS][COLUMNS + 1];
	int row, col;
	bool cursor_hidden;
};

static void erase_from(struct screen *sc, int row, int col)
{
	memset(sc->cells[row] + col, 0, (size_t)(COLUMNS - col));
}

static const char *control(struct screen *sc, const char *s)
{
	char *end;
	long n = strtol(s, &end, 10);

	if (*s == '?') {
		n = strtol(s + 1, &end, 10);
		if (n == 25)
			sc->cursor_hidden = *end == 'l';
	} else if (*end == 'A') {
		sc->row -= (int)n;
		assert_true(sc->row >= 0);
	} else if (*end == 'K') {
		erase_from(sc, sc->row, sc->col);
	} else if (*end == 'J') {
		erase_from(sc, sc->row, sc->col);
		for (int r = sc->row + 1; r < ROWS; r++)
			erase_from(sc, r, 0);
	} else if (*end != 'm') {
		fail_msg("unknown control sequence: %s", s);
	}
	return end + 1;
}

static void show(struct screen *sc, const char *s)
{
	while (*s) {
		if (*s == '\033') {
			assert_int_equal(s[1], '[');
			s = control(sc, s + 2);
			continue;
		}
		if (*s == '\n') {
			sc->row++;
			sc->col = 0;
		} else if (*s == '\r') {
			sc->col = 0;
		} else {
			assert_true(sc->col < COLUMNS && sc->row < ROWS);
			sc->cells[sc->row][sc->col++] = *s;
		}
		s++;
	}
}

static void text_of(const struct screen *sc, char *out, size_t size)
{
	out[0] = '\0';
	for (int r = 0; r <= sc->row; r++) {
		size_t used = strlen(out);
		snprintf(out + used, size - used, "%s\n", sc->cells[r]);
	}
}

static void test_tty(void **state)
{
	static struct screen sc;
	char text[8192];
	struct story s;

	(void)state;
	setenv("COLUMNS", "100", 1);
	setenv("LINES", "24", 1);
	begin(&s, PROGRESS_TTY);
	assert_true(s.observer->wants_ticks);
	tell(&s, EVENT_RUN_STARTED, -1);
	start(&s, ORDERS);
	s.tasks[PAYMENTS].state = TASK_QUEUED;
	s.p.now_us += 2 * SECOND;
	tell(&s, EVENT_TICK, -1);
	fflush(s.out);
	show(&sc, s.text);
	text_of(&sc, text, sizeof text);
	assert_true(sc.cursor_hidden);
	assert_string_equal(text,
		"/ orders       running                    2.0s\n"
		". payments     queued\n"
		". daily_sales  waiting                          waits for orders, payments\n"
		". check_sales  waiting                          waits for daily_sales\n"
		". report       waiting                          waits for check_sales\n"
		". notify       waiting                          waits for report\n"
		"........................  0/6  1 running  2.0s  sales@2026-11-18\n\n");
	finish(&s);
	free(s.text);
}

static void test_tty_story(void **state)
{
	static struct screen sc;
	char text[8192];
	struct story s;

	(void)state;
	setenv("COLUMNS", "100", 1);
	setenv("LINES", "24", 1);
	begin(&s, PROGRESS_TTY);
	tell_story(&s);
	show(&sc, finish(&s));
	text_of(&sc, text, sizeof text);
	assert_false(sc.cursor_hidden);
	assert_string_equal(text,
		"disk is nearly full\n"
		"+ orders       success                    1.2s  1,200 in, 1,180 out, 20 rejected\n"
		"+ payments     success        try 2/2     1.0s\n"
		"+ daily_sales  success                    1.0s\n"
		"+ check_sales  success                     0ms  1 of 2 checks passed, 1 warned\n"
		"+ report       success                     0ms  90 rows\n"
		"x notify       failed                     2.0s  exit status 3: curl: (7) "
		"refused\n" SUMMARY "\n");
	free(s.text);
}

/* A small screen: what runs and what failed is shown, the rest counted; nothing scrolls. */
static void test_tty_small(void **state)
{
	static struct screen sc;
	char text[8192];
	struct story s;

	(void)state;
	setenv("COLUMNS", "40", 1);
	setenv("LINES", "6", 1);
	begin(&s, PROGRESS_TTY);
	tell(&s, EVENT_RUN_STARTED, -1);
	for (int i = 0; i < 3; i++) {
		s.p.now_us += SECOND;
		start(&s, PAYMENTS);
		end(&s, PAYMENTS, TASK_FAILED, OUTCOME_FAILED);
		start(&s, NOTIFY);
		s.p.nrunning--;
	}
	s.p.now_us += SECOND;
	tell(&s, EVENT_TICK, -1);
	fflush(s.out);
	show(&sc, s.text);
	text_of(&sc, text, sizeof text);
	assert_int_equal(sc.row, 5);
	assert_non_null(strstr(text, "payments     failed"));
	assert_non_null(strstr(text, "notify       running"));
	assert_non_null(strstr(text, "  and 3 waiting\n"));
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		assert_true(strlen(line) < 40);
	finish(&s);
	free(s.text);
}

/* The terminal became narrower: its old lines take two rows each, and all of them are erased. */
static void test_tty_resize(void **state)
{
	struct story s;

	(void)state;
	setenv("COLUMNS", "100", 1);
	setenv("LINES", "24", 1);
	begin(&s, PROGRESS_TTY);
	tell(&s, EVENT_RUN_STARTED, -1);
	fflush(s.out);
	size_t before = s.size;
	setenv("COLUMNS", "60", 1);
	s.p.now_us += SECOND;
	tell(&s, EVENT_TICK, -1);
	fflush(s.out);
	/* Six tasks and the bar; of daily_sales the line has 75 columns, of the others 60 or less
	 * but for check_sales (71), report (71) and notify (67). */
	assert_non_null(strstr(s.text + before, "\r\033[11A\033[J"));
	finish(&s);
	free(s.text);
}

static int setup(void **state)
{
	(void)state;
	setenv("TZ", "UTC0", 1);
	tzset();
	return setlocale(LC_ALL, "C") ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_quiet),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_nothing_to_do),
		cmocka_unit_test(test_mapped),
		cmocka_unit_test(test_mapped_failure),
		cmocka_unit_test(test_something_to_do),
		cmocka_unit_test(test_part),
		cmocka_unit_test(test_tty),
		cmocka_unit_test(test_tty_story),
		cmocka_unit_test(test_tty_small),
		cmocka_unit_test(test_tty_resize),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, NULL);
}
