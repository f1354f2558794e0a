/* Circuit breakers: how they stand, what they hold, how they changed; open, close. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/grid.h"
#include "cli/remote.h"
#include "cli/term.h"
#include "cli/when.h"
#include "core/model.h"
#include "core/state.h"

static int64_t instant_of(const json_t *o, const char *key)
{
	const char *text = cli_get_text(o, key);
	struct civil_text t;

	return text && civil_parse(text, &t, NULL) == 0 ? civil_text_us(&t) : 0;
}

static const char *ago(const json_t *o, const char *key, char *buf)
{
	return when_ago(instant_of(o, key), clock_now_us(), buf);
}

static const char *state_word(const char *state)
{
	return strcmp(state, "half_open") == 0 ? "half-open" : state;
}

static enum style state_style(const char *state)
{
	return strcmp(state, "open") == 0        ? STYLE_BAD
	       : strcmp(state, "half_open") == 0 ? STYLE_WARN
						 : STYLE_GOOD;
}

static const char *why_text(const json_t *o)
{
	int why = cli_get_text(o, "why") ? reason_by_name(cli_get_text(o, "why")) : -1;

	return why < 0 ? "" : reason_text((enum reason)why);
}

/* "too many attempts failed", "ops@host: vendor is down" */
static void add_why(struct buf *out, const json_t *o)
{
	const char *by = cli_get_text(o, "by"), *reason = cli_get_text(o, "reason");

	if (by)
		buf_addf(out, "%s%s%s", by, reason ? ": " : "", reason ? reason : "");
	else
		buf_addf(out, "%s%s%s", why_text(o), reason ? ": " : "", reason ? reason : "");
}

static bool is_of_quality(const json_t *b)
{
	return strncmp(cli_get_text(b, "breaker"), QUALITY_BREAKER, strlen(QUALITY_BREAKER)) == 0;
}

/* ---- what comes next --------------------------------------------------------------------- */

static void add_next(struct buf *out, const json_t *b)
{
	const char *state = cli_get_text(b, "state");
	int64_t until_us = instant_of(b, "until");
	char when[WHEN_SIZE];

	if (strcmp(state, "half_open") == 0) {
		long long probing = cli_get_int(b, "probing");
		if (probing)
			buf_addf(out, "%lld probe%s running", probing,
				probing == 1 ? " is" : "s are");
		else
			buf_addstr(out, "the next attempt is a probe");
	} else if (strcmp(state, "open") == 0 && !until_us) {
		buf_addstr(out, is_of_quality(b)
					? "stays open until its checks pass, or it is closed"
					: "stays open until it is closed");
	} else if (strcmp(state, "open") == 0 && until_us <= clock_now_us()) {
		buf_addstr(out, "the next attempt is a probe");
	} else if (strcmp(state, "open") == 0) {
		buf_addf(out, "probe %s", when_ago(until_us, clock_now_us(), when));
	} else if (cli_get_int(b, "held")) {
		buf_addstr(out, "lets go one after the other");
	}
}

/* ---- the list ---------------------------------------------------------------------------- */

static const struct grid_column columns[] = {
	{ "STATE", 0 },
	{ "BREAKER", GRID_FLEX },
	{ "SINCE", 0 },
	{ "FAILED", GRID_RIGHT },
	{ "HOLDS", GRID_RIGHT },
	{ "NEXT", GRID_FLEX },
	{ "WHY", GRID_FLEX },
};

static void add_failed(struct grid *g, const json_t *b)
{
	const json_t *policy = json_object_get(b, "policy");
	long long failed = cli_get_int(b, "failures"), most = cli_get_int(policy, "failures");

	if (!json_is_object(policy) || is_of_quality(b))
		grid_add(g, STYLE_NONE, "");
	else if (most)
		grid_addf(g, STYLE_NONE, "%lld of %lld", failed, most);
	else
		grid_addf(g, STYLE_NONE, "%lld of %lld", failed, cli_get_int(b, "ended"));
}

static void add_row(struct grid *g, const json_t *b)
{
	const char *state = cli_get_text(b, "state");
	long long held = cli_get_int(b, "held");
	char when[WHEN_SIZE];
	struct buf text;

	buf_init(&text, BUF_MAX_TEXT);
	grid_add(g, state_style(state), state_word(state));
	grid_add(g, STYLE_BOLD, cli_get_text(b, "breaker"));
	grid_add(g, STYLE_NONE, ago(b, "since", when));
	add_failed(g, b);
	if (held)
		grid_addf(g, STYLE_WARN, "%lld", held);
	else
		grid_add(g, STYLE_NONE, json_is_integer(json_object_get(b, "held")) ? "0" : "");
	add_next(&text, b);
	grid_add(g, STYLE_NONE, text.data);
	buf_clear(&text);
	add_why(&text, b);
	grid_add(g, STYLE_NONE, text.data);
	buf_release(&text);
}

static void add_list(
	const struct remote *r, const json_t *answer, const struct term *t, struct buf *out)
{
	const json_t *list = json_object_get(answer, "breakers");
	struct grid g;
	json_t *b;
	size_t i;

	(void)r;
	grid_init(&g, columns, sizeof columns / sizeof *columns);
	json_array_foreach(list, i, b) add_row(&g, b);
	if (g.n)
		grid_print(&g, t, 0, out);
	else
		buf_addstr(out, "There are no circuit breakers; weir.yaml has them: breakers: { "
				"orders_api: { failures: 5 } }\n");
	grid_release(&g);
}

/* ---- one --------------------------------------------------------------------------------- */

static void add_policy(struct buf *out, const json_t *b)
{
	const json_t *p = json_object_get(b, "policy");
	char within[32], open[32], most[32];
	long long failures = cli_get_int(p, "failures");
	double rate = json_number_value(json_object_get(p, "rate"));

	if (is_of_quality(b)) {
		buf_addstr(out,
			"Rule      opens when the checks of the dataset score too low; checks "
			"that do not close it\n");
		return;
	}
	if (!json_is_object(p)) {
		buf_addstr(out, "Rule      no weir.yaml in use has it: it holds nothing\n");
		return;
	}
	buf_addstr(out, "Rule      opens after ");
	if (failures)
		buf_addf(out, "%lld failure%s", failures, failures == 1 ? "" : "s");
	if (rate > 0)
		buf_addf(out, "%s%g%% of at least %lld attempts failed",
			failures ? ", or when " : "", rate * 100, cli_get_int(p, "at_least"));
	buf_addf(out, " within %s; open for %s, at most %s; %lld probe%s; then %lld a second\n",
		units_format_duration(cli_get_int(p, "within_us"), within, sizeof within),
		units_format_duration(cli_get_int(p, "open_us"), open, sizeof open),
		units_format_duration(cli_get_int(p, "max_open_us"), most, sizeof most),
		cli_get_int(p, "probes"), cli_get_int(p, "probes") == 1 ? "" : "s",
		cli_get_int(p, "ramp"));
}

static void add_held(struct buf *out, const json_t *b)
{
	long long held = cli_get_int(b, "held");
	json_t *one;
	size_t i, n = json_array_size(json_object_get(b, "held_by"));

	if (!held)
		return;
	buf_addf(out, "\nIt holds %lld task%s:\n", held, held == 1 ? "" : "s");
	json_array_foreach(json_object_get(b, "held_by"), i, one)
		buf_addf(out, "  %s %s\n", cli_get_text(one, "run"), cli_get_text(one, "task"));
	if ((size_t)held > n)
		buf_addf(out, "  and %lld more\n", held - (long long)n);
}

static const struct grid_column history_columns[] = {
	{ "WHEN", 0 },
	{ "CHANGE", 0 },
	{ "WHY", GRID_FLEX },
	{ "ATTEMPT", GRID_FLEX },
};

static void add_event(struct grid *g, const json_t *e)
{
	const char *run = cli_get_text(e, "run"), *task = cli_get_text(e, "task");
	char when[WHEN_SIZE];
	struct buf why;

	buf_init(&why, BUF_MAX_TEXT);
	grid_add(g, STYLE_NONE, when_local(instant_of(e, "at"), when));
	grid_addf(g, state_style(cli_get_text(e, "to")), "%s -> %s",
		state_word(cli_get_text(e, "from")), state_word(cli_get_text(e, "to")));
	add_why(&why, e);
	grid_add(g, STYLE_NONE, why.data);
	if (task)
		grid_addf(g, STYLE_NONE, "%s%s%s", run ? run : "", run ? " " : "", task);
	else
		grid_add(g, STYLE_NONE, "");
	buf_release(&why);
}

static void add_history(struct buf *out, const struct term *t, const json_t *history)
{
	struct grid g;
	json_t *e;
	size_t i;

	grid_init(&g, history_columns, sizeof history_columns / sizeof *history_columns);
	json_array_foreach(history, i, e) add_event(&g, e);
	if (g.n) {
		buf_addc(out, '\n');
		grid_print(&g, t, 0, out);
	}
	grid_release(&g);
}

static void add_one(const struct remote *r, const json_t *b, const struct term *t, struct buf *out)
{
	const char *state = cli_get_text(b, "state");
	char when[WHEN_SIZE];
	size_t from;

	(void)r;
	buf_addf(out, "Breaker   %s\n", cli_get_text(b, "breaker"));
	buf_addf(out, "State     %s%s%s", style_on(state_style(state), t->colour),
		state_word(state), style_off(state_style(state), t->colour));
	if (instant_of(b, "since"))
		buf_addf(out, ", since %s", ago(b, "since", when));
	buf_addstr(out, "; ");
	from = out->len;
	add_next(out, b);
	if (out->len == from)
		buf_truncate(out, from - 2);
	buf_addc(out, '\n');
	if (cli_get_text(b, "why")) {
		buf_addstr(out, "Why       ");
		add_why(out, b);
		buf_addc(out, '\n');
	}
	if (json_is_object(json_object_get(b, "policy")) && !is_of_quality(b) &&
		strcmp(state, "closed") == 0)
		buf_addf(out, "Failed    %lld in its window\n", cli_get_int(b, "failures"));
	add_policy(out, b);
	add_held(out, b);
	add_history(out, t, json_object_get(b, "history"));
}

/* ---- a person's word --------------------------------------------------------------------- */

static void add_said(const struct remote *r, const json_t *b, const struct term *t, struct buf *out)
{
	const char *name = cli_get_text(b, "breaker");
	bool open = strcmp(cli_get_text(b, "state"), "open") == 0;
	long long held = cli_get_int(b, "let_go");

	(void)r;
	(void)t;
	buf_addf(out, "Circuit breaker %s is %s%s.", name, open ? "open" : "closed",
		cli_get_flag(b, "changed") ? "" : ", as before");
	if (open)
		buf_addf(out,
			" No task that uses it starts.\nTo let them go: weir breaker close %s\n",
			name);
	else if (held)
		buf_addf(out, " %lld task%s it held %s let go, one after the other.\n", held,
			held == 1 ? "" : "s", held == 1 ? "is" : "are");
	else
		buf_addc(out, '\n');
}

/* ---- the command ------------------------------------------------------------------------- */

static const struct action {
	const char *name;
	enum ops_call_id call;
	enum remote_access access;
	bool one;
	remote_words_fn *words;
} actions[] = {
	{ "list", OPS_CALL_BREAKERS, REMOTE_READS, false, add_list },
	{ "show", OPS_CALL_BREAKER, REMOTE_READS, true, add_one },
	{ "open", OPS_CALL_BREAKER_OPEN, REMOTE_WRITES, true, add_said },
	{ "close", OPS_CALL_BREAKER_CLOSE, REMOTE_WRITES, true, add_said },
};
enum { NACTIONS = sizeof actions / sizeof *actions };

static const struct action *find_action(const char *word, struct err *err)
{
	for (int i = 0; i < NACTIONS; i++)
		if (!word || strcmp(actions[i].name, word) == 0)
			return &actions[i];
	err_set(err, ERR_USAGE, "breaker %.64s: expected list, show, open or close", word);
	return NULL;
}

static int breaker_run(const struct args *args, struct err *err)
{
	const struct action *a = find_action(args_operand(args, 0), err);
	const struct ops_target target = { .breaker = a && a->one ? args_operand(args, 1) : NULL };

	if (!a)
		return -1;
	if (a->one != (args_operand(args, 1) != NULL))
		return err_set(err, ERR_USAGE,
			a->one ? "breaker %s: which one? weir breaker list names them"
			       : "breaker %s: it takes no name; weir breaker show NAME tells of "
				 "one",
			a->name);
	const struct remote_one one = { a->call, a->access, a->words };
	return remote_one(args, &one, &target, remote_body(args, err), err);
}

static const struct operand breaker_operands[] = {
	{ "ACTION", VALUE_TEXT, true, false, "list, show, open or close; list when there is none" },
	{ "NAME", VALUE_TEXT, true, false, "behind show, open and close: the breaker's name" },
	{ 0 }
};
static const struct option breaker_options[] = { REMOTE_OPTION_REASON, { 0 } };

const struct command command_breaker = {
	.name = "breaker",
	.group = "Operate",
	.summary = "show the circuit breakers, open and close them",
	.doc = "Circuit breakers are in weir.yaml (weir.yaml(5)), and tasks and connections name "
	       "them. One that saw too many failures is open: tasks that use it wait, without "
	       "spending their retries, until probes have shown that what it protects is well "
	       "again. \"weir breaker\" lists them; show tells of one what it holds, its rule, and "
	       "how it changed.\n\n"
	       "One that a person opens stays open until a person closes it; tasks that run go on. "
	       "One that is closed lets those it holds start one after the other. Who said so and "
	       "why is kept and shown.\n\n"
	       "  weir breaker\n"
	       "  weir breaker show orders_api\n"
	       "  weir breaker open orders_api --reason \"the vendor deploys at nine\"\n"
	       "  weir breaker close orders_api\n\n"
	       "Without a daemon those of the weir.yaml nearest to this folder are shown, as the "
	       "store knows them; what is said then holds for the next daemon and the next run.",
	.options = breaker_options,
	.operands = breaker_operands,
	.run = breaker_run,
};
