#include "core/trigger.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define BIT(state) (1u << (state))

static int done(const struct trigger_counts *c)
{
	return c->success + c->failed + c->skipped + c->upstream_failed;
}

static int bad(const struct trigger_counts *c)
{
	return c->failed + c->upstream_failed;
}

static enum verdict run_when(bool met)
{
	return met ? VERDICT_RUN : VERDICT_WAIT;
}

/* ---- the rules ------------------------------------------------------------------------ */

static enum verdict all_success(const struct trigger_counts *c)
{
	if (bad(c))
		return VERDICT_UPSTREAM_FAILED;
	return c->skipped ? VERDICT_SKIP : run_when(c->success == c->needs);
}

static enum verdict all_failed(const struct trigger_counts *c)
{
	if (c->success)
		return VERDICT_UNMET;
	return c->skipped ? VERDICT_SKIP : run_when(bad(c) == c->needs);
}

static enum verdict all_done(const struct trigger_counts *c)
{
	return run_when(done(c) == c->needs);
}

/* A skipped task is not done, by this rule. */
static enum verdict all_done_min_one_success(const struct trigger_counts *c)
{
	if (c->skipped)
		return VERDICT_SKIP;
	if (done(c) < c->needs)
		return VERDICT_WAIT;
	return c->success ? VERDICT_RUN : VERDICT_UPSTREAM_FAILED;
}

static enum verdict all_skipped(const struct trigger_counts *c)
{
	if (c->success || bad(c))
		return VERDICT_UNMET;
	return run_when(c->skipped == c->needs);
}

static enum verdict one_success(const struct trigger_counts *c)
{
	if (c->success)
		return VERDICT_RUN;
	if (done(c) < c->needs)
		return VERDICT_WAIT;
	return bad(c) ? VERDICT_UPSTREAM_FAILED : VERDICT_SKIP;
}

static enum verdict one_failed(const struct trigger_counts *c)
{
	if (bad(c))
		return VERDICT_RUN;
	return done(c) < c->needs ? VERDICT_WAIT : VERDICT_UNMET;
}

/* What never ran, skipped or upstream_failed, is not done by this rule. */
static enum verdict one_done(const struct trigger_counts *c)
{
	if (c->success || c->failed)
		return VERDICT_RUN;
	return done(c) < c->needs ? VERDICT_WAIT : VERDICT_UNMET;
}

static enum verdict none_failed(const struct trigger_counts *c)
{
	return bad(c) ? VERDICT_UPSTREAM_FAILED : all_done(c);
}

static enum verdict none_failed_min_one_success(const struct trigger_counts *c)
{
	if (bad(c))
		return VERDICT_UPSTREAM_FAILED;
	return c->skipped == c->needs ? VERDICT_SKIP : all_done(c);
}

static enum verdict none_skipped(const struct trigger_counts *c)
{
	return c->skipped ? VERDICT_SKIP : all_done(c);
}

static enum verdict always(const struct trigger_counts *c)
{
	(void)c;
	return VERDICT_RUN;
}

/* ---- the table ------------------------------------------------------------------------ */

enum {
	GIVES_FAILED = 1 << 0,  /* upstream_failed, when a need failed */
	GIVES_SKIPPED = 1 << 1, /* skipped, when a need was */
	GIVES_UNMET = 1 << 2,   /* skipped, whatever the needs */
};

static const struct rule {
	struct trigger_words words;
	enum verdict (*judge)(const struct trigger_counts *c);
	unsigned gives;
	unsigned wants; /* it can run only where each need may come to one of these */
} rules[] = {
	[TRIGGER_ALL_SUCCESS] = { { "all_success", "all succeeded", "one was skipped, none failed",
					  "one failed" },
		all_success, GIVES_FAILED | GIVES_SKIPPED, BIT(TASK_SUCCESS) },
	[TRIGGER_ALL_FAILED] = { { "all_failed", "all failed", "one succeeded or was skipped",
					 NULL },
		all_failed, GIVES_SKIPPED | GIVES_UNMET,
		BIT(TASK_FAILED) | BIT(TASK_UPSTREAM_FAILED) | BIT(TASK_CANCELLED) },
	[TRIGGER_ALL_DONE] = { { "all_done", "all are done, whatever became of them", NULL, NULL },
		all_done, 0, ~0u },
	[TRIGGER_ALL_DONE_MIN_ONE_SUCCESS] = { { "all_done_min_one_success",
						       "all ran or failed, and one succeeded",
						       "one was skipped", "all failed" },
		all_done_min_one_success, GIVES_FAILED | GIVES_SKIPPED, BIT(TASK_SUCCESS) },
	[TRIGGER_ALL_SKIPPED] = { { "all_skipped", "all were skipped", "one succeeded or failed",
					  NULL },
		all_skipped, GIVES_UNMET, BIT(TASK_SKIPPED) },
	[TRIGGER_ONE_SUCCESS] = { { "one_success", "one succeeded, without waiting for the rest",
					  "all were skipped",
					  "all are done, none succeeded and one failed" },
		one_success, GIVES_FAILED | GIVES_SKIPPED, BIT(TASK_SUCCESS) },
	[TRIGGER_ONE_FAILED] = { { "one_failed", "one failed, without waiting for the rest",
					 "all are done and none failed", NULL },
		one_failed, GIVES_UNMET,
		BIT(TASK_FAILED) | BIT(TASK_UPSTREAM_FAILED) | BIT(TASK_CANCELLED) },
	[TRIGGER_ONE_DONE] = { { "one_done",
				       "one succeeded or failed itself, without waiting for the "
				       "rest",
				       "all are done and none of them ran", NULL },
		one_done, GIVES_UNMET, BIT(TASK_SUCCESS) | BIT(TASK_FAILED) | BIT(TASK_CANCELLED) },
	[TRIGGER_NONE_FAILED] = { { "none_failed", "all succeeded or were skipped", NULL,
					  "one failed" },
		none_failed, GIVES_FAILED, BIT(TASK_SUCCESS) | BIT(TASK_SKIPPED) },
	[TRIGGER_NONE_FAILED_MIN_ONE_SUCCESS] = { { "none_failed_min_one_success",
							  "all succeeded or were skipped, and one "
							  "succeeded",
							  "all were skipped", "one failed" },
		none_failed_min_one_success, GIVES_FAILED | GIVES_SKIPPED, BIT(TASK_SUCCESS) },
	[TRIGGER_NONE_SKIPPED] = { { "none_skipped", "all succeeded or failed", "one was skipped",
					   NULL },
		none_skipped, GIVES_SKIPPED, ~BIT(TASK_SKIPPED) },
	[TRIGGER_ALWAYS] = { { "always", "at once, without waiting for any", NULL, NULL }, always,
		0, ~0u },
};
static_assert(sizeof rules / sizeof *rules == TRIGGER_MAX, "a row for each rule");

const char *const trigger_names[] = {
	[TRIGGER_ALL_SUCCESS] = "all_success",
	[TRIGGER_ALL_FAILED] = "all_failed",
	[TRIGGER_ALL_DONE] = "all_done",
	[TRIGGER_ALL_DONE_MIN_ONE_SUCCESS] = "all_done_min_one_success",
	[TRIGGER_ALL_SKIPPED] = "all_skipped",
	[TRIGGER_ONE_SUCCESS] = "one_success",
	[TRIGGER_ONE_FAILED] = "one_failed",
	[TRIGGER_ONE_DONE] = "one_done",
	[TRIGGER_NONE_FAILED] = "none_failed",
	[TRIGGER_NONE_FAILED_MIN_ONE_SUCCESS] = "none_failed_min_one_success",
	[TRIGGER_NONE_SKIPPED] = "none_skipped",
	[TRIGGER_ALWAYS] = "always",
	[TRIGGER_MAX] = NULL,
};

const char *trigger_name(enum trigger_rule rule)
{
	return rules[rule].words.name;
}

int trigger_by_name(const char *name)
{
	for (int i = 0; i < TRIGGER_MAX; i++)
		if (strcmp(trigger_names[i], name) == 0)
			return i;
	return -1;
}

const struct trigger_words *trigger_words(enum trigger_rule rule)
{
	return &rules[rule].words;
}

/* ---- judging -------------------------------------------------------------------------- */

static int *counter(struct trigger_counts *c, enum task_state final_state)
{
	switch (final_state) {
	case TASK_SUCCESS:
		return &c->success;
	case TASK_SKIPPED:
		return &c->skipped;
	case TASK_UPSTREAM_FAILED:
		return &c->upstream_failed;
	default:
		return &c->failed;
	}
}

void trigger_count(struct trigger_counts *c, enum task_state final_state)
{
	++*counter(c, final_state);
}

void trigger_uncount(struct trigger_counts *c, enum task_state final_state)
{
	--*counter(c, final_state);
}

int trigger_waiting(const struct trigger_counts *c)
{
	return c->needs - done(c);
}

enum verdict trigger_judge(enum trigger_rule rule, const struct trigger_counts *c)
{
	return c->needs == 0 ? VERDICT_RUN : rules[rule].judge(c);
}

static const struct {
	enum task_state state;
	enum reason reason;
} consequences[] = {
	[VERDICT_WAIT] = { TASK_NONE, REASON_NONE },
	[VERDICT_RUN] = { TASK_NONE, REASON_NEEDS_MET },
	[VERDICT_SKIP] = { TASK_SKIPPED, REASON_UPSTREAM_SKIPPED },
	[VERDICT_UNMET] = { TASK_SKIPPED, REASON_RULE_UNMET },
	[VERDICT_UPSTREAM_FAILED] = { TASK_UPSTREAM_FAILED, REASON_UPSTREAM_FAILED },
};
static_assert(sizeof consequences / sizeof *consequences == VERDICT_MAX, "one for each verdict");

enum task_state trigger_state(enum verdict v)
{
	return consequences[v].state;
}

enum reason trigger_reason(enum verdict v)
{
	return consequences[v].reason;
}

unsigned trigger_may(enum trigger_rule rule, unsigned needs_may)
{
	unsigned gives = rules[rule].gives;
	bool skipped =
		gives & GIVES_UNMET || (gives & GIVES_SKIPPED && needs_may & BIT(TASK_SKIPPED));

	return (skipped ? BIT(TASK_SKIPPED) : 0) |
	       (gives & GIVES_FAILED ? BIT(TASK_UPSTREAM_FAILED) : 0);
}

bool trigger_can_run(enum trigger_rule rule, unsigned each_may)
{
	return rules[rule].wants & each_may;
}
