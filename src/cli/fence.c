/* weir fence: may this attempt still act? */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/err.h"
#include "cli/commands.h"
#include "cli/home.h"
#include "cli/when.h"
#include "store/store.h"

enum answer { ALLOWED, NEWER_ATTEMPT, ENDED, RUN_OVER };

static const char *const answer_names[] = {
	[ALLOWED] = "newest",
	[NEWER_ATTEMPT] = "newer_attempt",
	[ENDED] = "ended",
	[RUN_OVER] = "run_over",
};

static enum answer judge(const struct token_row *t)
{
	if (t->newest != t->token)
		return NEWER_ATTEMPT;
	if (t->outcome != OUTCOME_NONE)
		return ENDED;
	return run_state_is_final(t->run_state) ? RUN_OVER : ALLOWED;
}

static int find_token(const struct args *args, int64_t *ret, struct err *err)
{
	const char *text = args_operand(args, 0);
	char *end;

	if (!text)
		text = getenv("WEIR_TOKEN");
	if (!text)
		return err_set(err, ERR_USAGE,
			"which token? Within a task it is WEIR_TOKEN, which is not set here");
	errno = 0;
	*ret = strtoll(text, &end, 10);
	if (errno || end == text || *end || *ret <= 0)
		return err_set(err, ERR_USAGE,
			"\"%.40s\" is not a token: a number, as in WEIR_TOKEN", text);
	return 0;
}

static void tell(const struct token_row *t, enum answer v, bool verbose)
{
	char when[WHEN_SIZE];

	if (v == ALLOWED && verbose)
		printf("%s: task %s, try %d (token %" PRId64 ") is the newest attempt\n", t->run,
			t->task, t->try, t->token);
	if (v == ALLOWED)
		return;
	fprintf(stderr, "weir: %s: task %s, try %d (token %" PRId64 ") must not act: ", t->run,
		t->task, t->try, t->token);
	if (v == NEWER_ATTEMPT)
		fprintf(stderr, "try %d (token %" PRId64 ") was started at %s\n", t->newest_try,
			t->newest, when_utc_seconds(t->newest_queued_us, when));
	else if (v == ENDED && !t->ended_us)
		fprintf(stderr, "it is over (%s)\n", outcome_name(t->outcome));
	else if (v == ENDED)
		fprintf(stderr, "it ended at %s (%s)\n", when_utc_seconds(t->ended_us, when),
			outcome_name(t->outcome));
	else
		fprintf(stderr, "its run is over (%s)\n", run_state_name(t->run_state));
}

static json_t *as_json(const struct token_row *t, enum answer v)
{
	json_t *o = json_object(), *newest = json_object();

	json_object_set_new(o, "token", json_integer(t->token));
	json_object_set_new(o, "allowed", json_boolean(v == ALLOWED));
	json_object_set_new(o, "why", json_string(answer_names[v]));
	json_object_set_new(o, "run", cli_json_text(t->run));
	json_object_set_new(o, "task", cli_json_text(t->task));
	json_object_set_new(o, "try", json_integer(t->try));
	json_object_set_new(o, "outcome",
		t->outcome == OUTCOME_NONE ? json_null() : json_string(outcome_name(t->outcome)));
	json_object_set_new(o, "ended_at", cli_json_time(t->ended_us));
	json_object_set_new(newest, "token", json_integer(t->newest));
	json_object_set_new(newest, "try", json_integer(t->newest_try));
	json_object_set_new(newest, "started_at", cli_json_time(t->newest_queued_us));
	json_object_set_new(o, "newest", newest);
	return o;
}

static int answer(const struct args *args, const struct token_row *t, struct err *err)
{
	enum answer v = judge(t);

	if (args_has(args, "json")) {
		if (cli_print_json(as_json(t, v), err) < 0)
			return -1;
	} else if (!args_has(args, "quiet")) {
		tell(t, v, args_has(args, "verbose"));
	}
	return v == ALLOWED ? 0 : 1;
}

static int fence_run(const struct args *args, struct err *err)
{
	struct store *s = NULL;
	struct store_result r = { 0 };
	int64_t token = 0;
	int rc = -1;

	if (find_token(args, &token, err) < 0 || cli_store_open(args, &s, err) < 0)
		return -1;
	if (store_token(s, token, &r, err) == 0) {
		if (r.n)
			rc = answer(args, r.tokens, err);
		else
			err_set(err, ERR_NOT_FOUND,
				"no attempt has the token %" PRId64
				" in this WEIR_HOME; runs that are long past are forgotten",
				token);
	}
	store_result_release(&r);
	store_close(s);
	return rc;
}

static const struct operand operands[] = {
	{ "TOKEN", VALUE_TEXT, true, false, "the attempt's fencing token; default: $WEIR_TOKEN" },
	{ .name = NULL },
};

const struct command command_fence = {
	.name = "fence",
	.group = "Look",
	.summary = "ask whether an attempt of a task may still act",
	.doc = "For the script of a task, right before a step that cannot be undone. Exit status "
	       "0: "
	       "the attempt is in flight, and no newer attempt of its task was started. 1: it "
	       "must not act, and why is said on the standard error; it is to end. Any other "
	       "status: it is not known, and the step is better not taken. Nothing is written.",
	.operands = operands,
	.run = fence_run,
};
