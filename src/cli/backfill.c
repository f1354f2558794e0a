/* Backfills: planned, made, steered, listed. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/grid.h"
#include "cli/remote.h"
#include "cli/term.h"
#include "run/ops.h"

enum { JOBS_MAX = 1000, SHOWN_FIRST = 20, SHOWN_LAST = 5, TIME_SIZE = 64 };

/* ---- reading answers --------------------------------------------------------------------- */

static const char *text_of(const json_t *o, const char *key)
{
	const char *text = cli_get_text(o, key);

	return text ? text : "";
}

/* RFC 3339 as people read it, to the second at most: "2026-03-29 01:30 +01:00"; dates stay as they
 * are. */
static const char *when(const char *text, char buf[TIME_SIZE])
{
	size_t n = strlen(text);

	if (n < 20 || n >= TIME_SIZE || text[10] != 'T')
		return text;
	const char *offset = text + 19 + strcspn(text + 19, "Z+-");
	int clock = strncmp(text + 16, ":00", 3) == 0 ? 5 : 8;
	bool utc = *offset == 'Z';
	snprintf(buf, TIME_SIZE, "%.10s %.*s%s%s", text, clock, text + 11, utc ? "" : " ",
		utc ? "" : offset);
	return buf;
}

static const char *elapsed(long long us, char buf[TIME_SIZE])
{
	return units_format_elapsed(us, buf, TIME_SIZE);
}

/* ---- the plan ---------------------------------------------------------------------------- */

static const char *mode_text(const json_t *o)
{
	const char *mode = text_of(o, "mode");

	return strcmp(mode, "failed") == 0 ? "what failed"
	       : strcmp(mode, "all") == 0  ? "everything, again"
					   : "what has no success";
}

static void add_range(struct buf *out, const json_t *o)
{
	char from[TIME_SIZE], to[TIME_SIZE];

	buf_addf(out, "%s, %s to %s (%s)", text_of(o, "dag"), when(text_of(o, "from"), from),
		when(text_of(o, "to"), to), text_of(o, "zone"));
}

static void add_heading(struct buf *out, const json_t *o)
{
	add_range(out, o);
	buf_addf(out, ": %s, %lld at once, %s first\n", mode_text(o), cli_get_int(o, "jobs"),
		cli_get_flag(o, "newest_first") ? "newest" : "oldest");
}

static const struct grid_column plan_columns[] = {
	{ "INTERVAL FROM", 0 },
	{ "UNTIL", 0 },
	{ "NOW", 0 },
	{ "PLAN", 0 },
	{ "WHY", GRID_FLEX },
};

static enum style action_style(const char *action)
{
	return strcmp(action, "run") == 0         ? STYLE_BUSY
	       : strcmp(action, "overwrite") == 0 ? STYLE_WARN
						  : STYLE_DIM;
}

static void add_row(struct grid *g, const json_t *i)
{
	const char *action = text_of(i, "action");
	char from[TIME_SIZE], until[TIME_SIZE];

	grid_add(g, STYLE_NONE, when(text_of(i, "start"), from));
	grid_add(g, STYLE_NONE, when(text_of(i, "end"), until));
	grid_addf(g, STYLE_NONE, "%s%s", text_of(i, "exists"),
		cli_get_flag(i, "other_version") ? ", other version" : "");
	grid_add(g, action_style(action), action);
	grid_add(g, STYLE_NONE, text_of(i, "why"));
}

static void add_left_out(struct grid *g, size_t n)
{
	grid_addf(g, STYLE_DIM, "... %zu more", n);
	for (size_t i = 1; i < sizeof plan_columns / sizeof *plan_columns; i++)
		grid_add(g, STYLE_NONE, NULL);
}

/* The first and the last of them, with --verbose all. */
static void add_table(
	struct buf *out, const struct term *t, const struct args *args, const json_t *intervals)
{
	size_t n = json_array_size(intervals);
	bool cut = n > SHOWN_FIRST + SHOWN_LAST + 1 && !args_has(args, "verbose");
	struct grid g;

	grid_init(&g, plan_columns, sizeof plan_columns / sizeof *plan_columns);
	for (size_t i = 0; i < n; i++) {
		if (cut && i == SHOWN_FIRST) {
			i = n - SHOWN_LAST;
			add_left_out(&g, i - SHOWN_FIRST);
		}
		add_row(&g, json_array_get(intervals, i));
	}
	grid_print(&g, t, 0, out);
	grid_release(&g);
}

/* "3 missing, 1 failed" */
static void add_exists(struct buf *out, const json_t *exists)
{
	static const char *const keys[] = { "missing", "success", "failed", "cancelled", "running",
		"abandoned" };
	const char *before = "";

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		if (!cli_get_int(exists, keys[i]))
			continue;
		buf_addf(out, "%s%lld %s", before, cli_get_int(exists, keys[i]), keys[i]);
		before = ", ";
		if (i == 1 && cli_get_int(exists, "other_version"))
			buf_addf(out, " (%lld with another version of the DAG)",
				cli_get_int(exists, "other_version"));
	}
}

static const char *plural(long long n)
{
	return n == 1 ? "" : "s";
}

static void add_expected(struct buf *out, const json_t *plan)
{
	char one[TIME_SIZE], all[TIME_SIZE];

	if (!json_is_integer(json_object_get(plan, "expected_us"))) {
		buf_addstr(out, "How long it takes is not known: no run has succeeded yet.\n");
		return;
	}
	buf_addf(out, "A run takes about %s, all of them about %s.\n",
		elapsed(cli_get_int(plan, "typical_us"), one),
		elapsed(cli_get_int(plan, "expected_us"), all));
}

static long long to_do(const json_t *plan)
{
	const json_t *counts = json_object_get(plan, "counts");

	return cli_get_int(counts, "run") + cli_get_int(counts, "overwrite");
}

static void add_counts(struct buf *out, const json_t *plan)
{
	const json_t *counts = json_object_get(plan, "counts");
	long long run = cli_get_int(counts, "run"), overwrite = cli_get_int(counts, "overwrite"),
		  skip = cli_get_int(counts, "skip"), n = run + overwrite + skip,
		  early = cli_get_int(plan, "incomplete"), other = cli_get_int(plan, "elsewhere");

	buf_addf(out, "%lld interval%s: %lld to run, %lld to overwrite, %lld skipped. Now: ", n,
		plural(n), run, overwrite, skip);
	add_exists(out, json_object_get(plan, "exists"));
	buf_addstr(out, ".\n");
	if (early)
		buf_addf(out, "%lld interval%s not over yet and skipped.\n", early,
			early == 1 ? " is" : "s are");
	if (other)
		buf_addf(out,
			"%lld run%s in this range of no interval of today's schedule, and left "
			"alone.\n",
			other, other == 1 ? " is" : "s are");
	if (to_do(plan))
		add_expected(out, plan);
}

/* The same command without --dry-run. */
static void add_command(struct buf *out, const struct args *args)
{
	char word[1024];

	buf_addf(out, "weir backfill %s", cli_shell_word(args_operand(args, 0), word, sizeof word));
	for (size_t i = 0; i < args->n; i++) {
		const struct option *o = args->list[i].option;
		if (!o || strcmp(o->name, "dry-run") == 0)
			continue;
		buf_addf(out, " --%s", o->name);
		if (o->kind != VALUE_FLAG)
			buf_addf(out, " %s", cli_shell_word(args->list[i].text, word, sizeof word));
	}
	buf_addc(out, '\n');
}

static void add_plan(
	const struct remote *r, const json_t *plan, const struct term *t, struct buf *out)
{
	const json_t *overlaps = json_object_get(plan, "overlaps");
	char from[TIME_SIZE], to[TIME_SIZE];

	buf_addstr(out, "Backfill of ");
	add_heading(out, plan);
	buf_addc(out, '\n');
	add_table(out, t, r->args, json_object_get(plan, "intervals"));
	buf_addc(out, '\n');
	add_counts(out, plan);
	buf_addstr(out, "Nothing was changed. ");
	if (!to_do(plan)) {
		buf_addstr(out, "There is nothing to do.\n");
	} else if (json_is_object(overlaps)) {
		buf_addf(out,
			"Backfill %lld (%s, %s to %s) covers a part of this range: let it end, "
			"or:\n  weir backfill cancel %lld\n",
			cli_get_int(overlaps, "backfill"), text_of(overlaps, "state"),
			when(text_of(overlaps, "from"), from), when(text_of(overlaps, "to"), to),
			cli_get_int(overlaps, "backfill"));
	} else {
		buf_addstr(out, "To do it:\n  ");
		add_command(out, r->args);
	}
}

static void add_made(
	const struct remote *r, const json_t *plan, const struct term *t, struct buf *out)
{
	long long id = cli_get_int(plan, "backfill");

	(void)t;
	if (!id) {
		buf_addstr(out, "Nothing to do for ");
		add_heading(out, plan);
		add_counts(out, plan);
		return;
	}
	buf_addf(out, "Backfill %lld of ", id);
	add_heading(out, plan);
	add_counts(out, plan);
	remote_add_note(r, out);
	buf_addf(out, "\nweir backfill show %lld\n", id);
}

/* ---- showing ----------------------------------------------------------------------------- */

static enum style state_style(const json_t *b)
{
	const char *state = text_of(b, "state");

	if (strcmp(state, "running") == 0)
		return STYLE_BUSY;
	if (strcmp(state, "done") == 0)
		return cli_get_int(b, "failed") ? STYLE_BAD : STYLE_GOOD;
	return STYLE_WARN;
}

static void add_progress(struct buf *out, const json_t *b)
{
	buf_addf(out, "%lld/%lld", cli_get_int(b, "success"), cli_get_int(b, "total"));
	if (cli_get_int(b, "failed"))
		buf_addf(out, ", %lld failed", cli_get_int(b, "failed"));
	if (cli_get_int(b, "active"))
		buf_addf(out, ", %lld active", cli_get_int(b, "active"));
}

static const char *eta(const json_t *b, char buf[TIME_SIZE])
{
	if (!json_is_integer(json_object_get(b, "eta_us")))
		return "";
	return elapsed(cli_get_int(b, "eta_us"), buf);
}

static const struct grid_column list_columns[] = {
	{ "ID", GRID_RIGHT },
	{ "DAG", 0 },
	{ "FROM", 0 },
	{ "TO", 0 },
	{ "MODE", 0 },
	{ "STATE", 0 },
	{ "DONE", 0 },
	{ "LEFT", GRID_RIGHT },
	{ "BY", 0 },
	{ "REASON", GRID_FLEX },
};

static void add_list_row(struct grid *g, const json_t *b)
{
	char time[TIME_SIZE];
	struct buf progress;

	buf_init(&progress, 256);
	add_progress(&progress, b);
	grid_addf(g, STYLE_NONE, "%lld", cli_get_int(b, "backfill"));
	grid_add(g, STYLE_BOLD, text_of(b, "dag"));
	grid_add(g, STYLE_NONE, when(text_of(b, "from"), time));
	grid_add(g, STYLE_NONE, when(text_of(b, "to"), time));
	grid_add(g, STYLE_NONE, text_of(b, "mode"));
	grid_add(g, state_style(b), text_of(b, "state"));
	grid_add(g, STYLE_NONE, progress.data);
	grid_add(g, STYLE_NONE, eta(b, time));
	grid_add(g, STYLE_NONE, text_of(b, "by"));
	grid_add(g, STYLE_NONE, text_of(b, "reason"));
	buf_release(&progress);
}

static void add_list(
	const struct remote *r, const json_t *answer, const struct term *t, struct buf *out)
{
	const json_t *list = json_object_get(answer, "backfills");
	struct grid g;

	(void)r;
	if (json_array_size(list) == 0) {
		buf_addstr(out, "There are no backfills. Plan one with:\n"
				"  weir backfill DAG --from DATE --to DATE --dry-run\n");
		return;
	}
	grid_init(&g, list_columns, sizeof list_columns / sizeof *list_columns);
	for (size_t i = 0; i < json_array_size(list); i++)
		add_list_row(&g, json_array_get(list, i));
	grid_print(&g, t, 0, out);
	grid_release(&g);
}

static void add_field(struct buf *out, const char *name, const char *text)
{
	if (*text)
		buf_addf(out, "  %-9s %s\n", name, text);
}

static void add_failed(struct buf *out, const json_t *b)
{
	const json_t *failed = json_object_get(b, "failed_runs");
	size_t n = json_array_size(failed);

	for (size_t i = 0; i < n && i < SHOWN_FIRST; i++)
		buf_addf(out, "%s%s\n", i ? "            " : "  failed    ",
			json_string_value(json_array_get(failed, i)));
	if (n > SHOWN_FIRST)
		buf_addf(out, "            ... and more: weir runs %s --state failed\n",
			text_of(b, "dag"));
}

static void add_next(struct buf *out, const json_t *b)
{
	const char *state = text_of(b, "state");
	long long id = cli_get_int(b, "backfill");

	if (strcmp(state, "running") == 0)
		buf_addf(out, "\nweir backfill pause %lld\nweir backfill cancel %lld\n", id, id);
	else if (strcmp(state, "paused") == 0)
		buf_addf(out, "\nweir backfill resume %lld\nweir backfill cancel %lld\n", id, id);
	else if (cli_get_int(b, "failed"))
		buf_addf(out, "\nweir backfill %s --from %s --to %s --only-failed\n",
			text_of(b, "dag"), text_of(b, "from"), text_of(b, "to"));
}

static void add_one(struct buf *out, const struct term *t, const json_t *b)
{
	const char *state = text_of(b, "state");
	char time[TIME_SIZE];

	buf_addf(out, "Backfill %lld of ", cli_get_int(b, "backfill"));
	add_heading(out, b);
	buf_addf(out, "  %-9s %s%s%s", "state", style_on(state_style(b), t->colour), state,
		style_off(state_style(b), t->colour));
	if (*text_of(b, "state_by"))
		buf_addf(out, " (by %s%s%s)", text_of(b, "state_by"),
			*text_of(b, "state_reason") ? ": " : "", text_of(b, "state_reason"));
	buf_addf(out, "\n  %-9s ", "done");
	add_progress(out, b);
	buf_addf(out, ", %lld waiting\n", cli_get_int(b, "waiting"));
	add_field(out, "left", eta(b, time));
	add_field(out, "by", text_of(b, "by"));
	add_field(out, "reason", text_of(b, "reason"));
	add_field(out, "created", when(text_of(b, "created"), time));
	add_field(out, "ended", when(text_of(b, "ended"), time));
	add_failed(out, b);
}

/* ---- what is printed --------------------------------------------------------------------- */

static void add_shown(
	const struct remote *r, const json_t *answer, const struct term *t, struct buf *out)
{
	(void)r;
	add_one(out, t, answer);
	add_next(out, answer);
}

static void add_set(
	const struct remote *r, const json_t *answer, const struct term *t, struct buf *out)
{
	add_one(out, t, answer);
	remote_add_note(r, out);
	add_next(out, answer);
}

/* ---- backfill ACTION ID ------------------------------------------------------------------ */

static const struct action {
	const char *name;
	enum ops_call_id call;
	enum remote_access access;
	remote_words_fn *words;
} actions[] = {
	{ "show", OPS_CALL_BACKFILL_SHOW, REMOTE_READS, add_shown },
	{ "pause", OPS_CALL_BACKFILL_PAUSE, REMOTE_WRITES, add_set },
	{ "resume", OPS_CALL_BACKFILL_RESUME, REMOTE_WRITES, add_set },
	{ "cancel", OPS_CALL_BACKFILL_CANCEL, REMOTE_WRITES, add_set },
};
enum { NACTIONS = sizeof actions / sizeof *actions };

static const struct action *find_action(const char *word)
{
	for (size_t i = 0; i < NACTIONS; i++)
		if (strcmp(word, actions[i].name) == 0)
			return &actions[i];
	return NULL;
}

static int act(const struct args *args, const struct action *a, const char *id, struct err *err)
{
	const struct remote_one one = { a->call, a->access, a->words };
	struct ops_target target = { 0 };

	if (ops_call_id(id, &target.id, err) < 0)
		return -1;
	return remote_one(args, &one, &target, remote_body(args, err), err);
}

static int act_run(const struct args *args, struct err *err)
{
	const char *word = args_operand(args, 0), *id = args_operand(args, 1);
	const struct action *a = find_action(word);

	if (!a)
		return err_set(err, ERR_USAGE,
			"backfill %.64s %.64s: name one DAG; or give show, pause, resume or cancel "
			"and the number of a backfill",
			word, id);
	if (args_has(args, "from") || args_has(args, "to") || args_has(args, "dry-run"))
		return err_set(
			err, ERR_USAGE, "backfill %s takes the number of a backfill only", a->name);
	return act(args, a, id, err);
}

/* ---- backfill DAG ------------------------------------------------------------------------ */

static const struct {
	const char *option, *mode;
} modes[] = { { "only-missing", "missing" }, { "only-failed", "failed" }, { "all", "all" } };
enum { NMODES = sizeof modes / sizeof *modes };

static int add_mode(json_t *body, const struct args *args, struct err *err)
{
	int n = 0;

	for (size_t i = 0; i < NMODES; i++) {
		if (!args_has(args, modes[i].option))
			continue;
		json_object_set_new(body, "mode", json_string(modes[i].mode));
		n++;
	}
	if (n > 1)
		return err_set(err, ERR_USAGE, "give one of --only-missing, --only-failed, --all");
	return 0;
}

static int add_range_options(json_t *body, const struct args *args, struct err *err)
{
	static const char *const names[] = { "from", "to" };

	for (size_t i = 0; i < 2; i++) {
		const char *text = args_text(args, names[i]);
		if (!text)
			return err_set(
				err, ERR_USAGE, "a backfill needs a range: --from DATE --to DATE");
		if (json_object_set_new(body, names[i], json_string(text)) < 0)
			return err_set(err, ERR_USAGE, "--%s: it is not UTF-8", names[i]);
	}
	return 0;
}

static int plan_body(json_t *body, const struct args *args, struct err *err)
{
	if (add_range_options(body, args, err) < 0 || add_mode(body, args, err) < 0)
		return -1;
	json_object_set_new(body, "jobs", json_integer(args_int(args, "jobs", 1)));
	json_object_set_new(body, "newest_first", json_boolean(args_has(args, "newest-first")));
	json_object_set_new(body, "dry_run", json_boolean(args_has(args, "dry-run")));
	return 0;
}

static int plan_run(const struct args *args, struct err *err)
{
	bool dry = args_has(args, "dry-run");
	struct remote r;
	struct ops_target target = { 0 };
	json_t *body = remote_body(args, err), *answer;
	int rc = -1;

	if (!body)
		return -1;
	if (plan_body(body, args, err) == 0 &&
		remote_open(&r, args, dry ? REMOTE_READS : REMOTE_WRITES, err) == 0) {
		if (remote_dag(&r, args_operand(args, 0), &target.dag, err) == 0 &&
			remote_call(&r, OPS_CALL_BACKFILL, &target, body, &answer, err) == 0)
			rc = remote_print(&r, answer, dry ? add_plan : add_made, err);
		remote_close(&r);
	}
	json_decref(body);
	return rc;
}

static int backfill_run(const struct args *args, struct err *err)
{
	const char *word = args_operand(args, 0);

	if (args_operand(args, 1))
		return act_run(args, err);
	if (find_action(word) && !args_has(args, "from"))
		return err_set(
			err, ERR_USAGE, "backfill %s: which one? weir backfills lists them", word);
	return plan_run(args, err);
}

static const struct operand backfill_operands[] = {
	{ "DAG", VALUE_DAG, false, false,
		"the DAG's name, or the path of its file; or show, pause, resume, cancel" },
	{ "ID", VALUE_TEXT, true, false,
		"behind show, pause, resume or cancel: the number of the backfill" },
	{ 0 }
};

static const struct option backfill_options[] = {
	{ .name = "from",
		.kind = VALUE_DATE,
		.value = "DATE",
		.help = "the first date, or instant, at which intervals may start" },
	{ .name = "to", .kind = VALUE_DATE, .value = "DATE", .help = "the last one; included" },
	{ .name = "only-missing",
		.kind = VALUE_FLAG,
		.help = "run what has no success: what never ran, and what failed (the default)" },
	{ .name = "only-failed", .kind = VALUE_FLAG, .help = "run what failed and nothing else" },
	{ .name = "all",
		.kind = VALUE_FLAG,
		.help = "do everything again; what succeeded is overwritten" },
	{ .name = "jobs",
		.letter = 'j',
		.kind = VALUE_INT,
		.value = "N",
		.min = 1,
		.max = JOBS_MAX,
		.help = "at most N runs at once; default 1" },
	{ .name = "newest-first", .kind = VALUE_FLAG, .help = "begin with the newest interval" },
	{ .name = "dry-run",
		.letter = 'n',
		.kind = VALUE_FLAG,
		.help = "show what would be done to each interval; change nothing" },
	{ .name = "param",
		.letter = 'p',
		.kind = VALUE_TEXT,
		.value = "NAME=VALUE",
		.repeat = true,
		.help = "set a param of the DAG in all its runs" },
	REMOTE_OPTION_REASON,
	REMOTE_OPTION_DAGS,
	{ 0 },
};

const struct command command_backfill = {
	.name = "backfill",
	.group = "Operate",
	.summary = "run a DAG for a range of past dates",
	.doc = "Looks at each data interval of the range: what has no run, what failed, what "
	       "succeeded, and with which version of the DAG. Then it runs what is to be run, so "
	       "many at once, below the scheduled runs. It is carried out by the daemon, survives "
	       "its restarts, and can be paused, resumed and cancelled. Doing an interval again "
	       "replaces its data and keeps the history of attempts. Intervals that are not over "
	       "yet are skipped.\n\n"
	       "  weir backfill nightly_sales --from 2026-01-01 --to 2026-03-31 --dry-run\n"
	       "  weir backfill nightly_sales --from 2026-01-01 --to 2026-03-31 --jobs 4\n"
	       "  weir backfill show 3\n"
	       "  weir backfill pause 3 --reason \"the source is slow today\"\n"
	       "  weir backfill resume 3\n"
	       "  weir backfill cancel 3\n\n"
	       "Dates are the starts of intervals, in the schedule's zone; a DAG without a "
	       "schedule "
	       "has one interval a day. The dry run's table is cut in the middle when it is long; "
	       "--verbose and --json give all of it.",
	.options = backfill_options,
	.operands = backfill_operands,
	.run = backfill_run,
};

/* ---- backfills --------------------------------------------------------------------------- */

static int backfills_run(const struct args *args, struct err *err)
{
	return remote_show(args, OPS_CALL_BACKFILLS, add_list, err);
}

const struct command command_backfills = {
	.name = "backfills",
	.group = "Operate",
	.summary = "list backfills, newest first, with their progress",
	.run = backfills_run,
};
