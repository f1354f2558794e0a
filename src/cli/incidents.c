/* Incidents: what is wrong, and saying that somebody sees to it. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/commands.h"
#include "cli/grid.h"
#include "cli/remote.h"
#include "cli/term.h"
#include "cli/when.h"

enum { ERROR_WIDTH = 60 };

static enum style style_of(const json_t *i)
{
	const char *state = cli_get_text(i, "state"), *severity = cli_get_text(i, "severity");

	if (strcmp(state, "resolved") == 0)
		return STYLE_DIM;
	if (strcmp(state, "open") != 0)
		return STYLE_BUSY;
	return strcmp(severity, "warning") == 0 || strcmp(severity, "info") == 0 ? STYLE_WARN
										 : STYLE_BAD;
}

static void add_subject(struct buf *out, const json_t *i)
{
	const char *dag = cli_get_text(i, "dag"), *task = cli_get_text(i, "task");
	const char *breaker = cli_get_text(i, "breaker");

	if (breaker)
		task = breaker;
	buf_addf(out, "%s%s%s", dag, *dag && *task ? "." : "", task);
}

/* What one wants to know of it in a list: its error, or who sees to it. */
static void add_note(struct buf *out, const json_t *i)
{
	const char *error = cli_get_text(json_object_get(i, "facts"), "error");
	const char *by = cli_get_text(i, "by"), *reason = cli_get_text(i, "reason");
	char line[256];

	if (by)
		buf_addf(out, "by %s%s%s", by, reason ? ": " : "", reason ? reason : "");
	else if (error)
		text_add(out, text_first_line(error, line, sizeof line), ERROR_WIDTH);
}

static void add_list(const struct term *t, struct buf *out, const json_t *list)
{
	size_t n;
	json_t *i;

	json_array_foreach(list, n, i)
	{
		enum style s = style_of(i);
		struct buf subject, what;
		buf_init(&subject, 1024);
		buf_init(&what, 4096);
		add_subject(&subject, i);
		add_note(&what, i);
		buf_addf(out, "%6lld  %s%-8s %-8s%s  ", cli_get_int(i, "incident"),
			style_on(s, t->colour), cli_get_text(i, "severity"),
			cli_get_text(i, "state"), style_off(s, t->colour));
		text_add(out, subject.len ? subject.data : "", -1);
		buf_addf(out, ": %s, since %.19sZ", cli_get_text(i, "text"),
			cli_get_text(i, "opened"));
		if (cli_get_int(i, "count") > 1)
			buf_addf(out, ", %lld times", cli_get_int(i, "count"));
		if (json_array_size(json_object_get(i, "undone")) > 1)
			buf_addf(out, ", %zu intervals are to be done again",
				json_array_size(json_object_get(i, "undone")));
		buf_addc(out, '\n');
		if (what.len) {
			buf_addstr(out, "        ");
			text_add(out, what.data, -1);
			buf_addc(out, '\n');
		}
		buf_release(&subject);
		buf_release(&what);
	}
}

static void add_incidents(
	const struct remote *r, const json_t *answer, const struct term *t, struct buf *out)
{
	const json_t *list = json_object_get(answer, "incidents");

	if (json_array_size(list) == 0)
		buf_addstr(out, args_has(r->args, "all") ? "No incidents.\n"
							 : "Nothing is wrong that is known.\n");
	add_list(t, out, list);
	if (cli_get_flag(answer, "more"))
		buf_addstr(out, "There are more, older ones.\n");
}

static int incidents_run(const struct args *args, struct err *err)
{
	enum ops_call_id call = args_has(args, "all") ? OPS_CALL_INCIDENTS_ALL : OPS_CALL_INCIDENTS;

	return remote_show(args, call, add_incidents, err);
}

static const struct option incidents_options[] = {
	{ .name = "all", .kind = VALUE_FLAG, .help = "those that were resolved, too" },
	{ 0 },
};

const struct command command_incidents = {
	.name = "incidents",
	.group = "Operate",
	.summary = "list what is wrong",
	.doc = "An incident opens when something goes wrong for good: a task failed and is not "
	       "tried "
	       "again, a quality check did not pass. What goes wrong again is counted there; the "
	       "next success resolves it. weir-alerts(7) tells who hears of it.",
	.options = incidents_options,
	.run = incidents_run,
};

/* ---- ack, snooze, resolve ---------------------------------------------------------------- */

static int parse_id(const char *word, int64_t *ret, struct err *err)
{
	char *end;

	*ret = strtoll(*word == '#' ? word + 1 : word, &end, 10);
	if (end != word && *end == '\0' && *ret > 0)
		return 0;
	return err_set(err, ERR_USAGE,
		"\"%.64s\" is not the number of an incident; weir incidents lists them", word);
}

static void add_changed(struct buf *out, const json_t *i)
{
	const char *reason = cli_get_text(i, "reason"), *until = cli_get_text(i, "snoozed_until");

	buf_addf(out, "Incident %lld, ", cli_get_int(i, "incident"));
	add_subject(out, i);
	buf_addf(out, ": %s, is %s", cli_get_text(i, "text"), cli_get_text(i, "state"));
	if (until)
		buf_addf(out, " until %.19sZ", until);
	buf_addf(out, " (by %s%s%s).\n", cli_get_text(i, "by"), reason ? ": " : "",
		reason ? reason : "");
}

/* Whether those who were told of it hear of this, and when. */
static void add_told(struct buf *out, const struct remote *r, const json_t *i)
{
	if (!cli_get_flag(i, "is_told"))
		return;
	if (r->daemon)
		buf_addstr(out, "Those who were told of it are told.\n");
	else
		buf_addstr(out, "Those who were told of it will be told by the next daemon, or the "
				"next weir run that has something to tell.\n");
}

static void add_change(
	const struct remote *r, const json_t *answer, const struct term *t, struct buf *out)
{
	(void)t;
	add_changed(out, answer);
	add_told(out, r, answer);
}

static int change(
	const struct args *args, enum ops_call_id call, const char *length, struct err *err)
{
	const struct remote_one one = { call, REMOTE_WRITES, add_change };
	struct ops_target target = { 0 };
	json_t *body;

	if (parse_id(args_operand(args, 0), &target.id, err) < 0)
		return -1;
	body = remote_body(args, err);
	if (body && length)
		json_object_set_new(body, "for", cli_json_text(length));
	return remote_one(args, &one, &target, body, err);
}

static int ack_run(const struct args *args, struct err *err)
{
	return change(args, OPS_CALL_INCIDENT_ACK, NULL, err);
}

static int snooze_run(const struct args *args, struct err *err)
{
	return change(args, OPS_CALL_INCIDENT_SNOOZE, args_operand(args, 1), err);
}

static int resolve_run(const struct args *args, struct err *err)
{
	return change(args, OPS_CALL_INCIDENT_RESOLVE, NULL, err);
}

#define OPERAND_ID                                                          \
	{                                                                   \
		"ID", VALUE_TEXT, false, false,                             \
			"the incident's number, as weir incidents shows it" \
	}
static const struct operand id_operands[] = { OPERAND_ID, { 0 } };
static const struct operand snooze_operands[] = { OPERAND_ID,
	{ "TIME", VALUE_DURATION, false, false, "how long, such as 2h or 1d" }, { 0 } };
static const struct option change_options[] = { REMOTE_OPTION_REASON, { 0 } };

const struct command command_ack = {
	.name = "ack",
	.group = "Operate",
	.summary = "say that you see to an incident",
	.doc = "It does not escalate any more. Those who were told of it are told that, too. It "
	       "resolves by itself when the thing succeeds.\n\n"
	       "  weir ack 12 --reason \"I restart the source\"",
	.options = change_options,
	.operands = id_operands,
	.run = ack_run,
};

const struct command command_snooze = {
	.name = "snooze",
	.group = "Operate",
	.summary = "be told nothing of an incident for a while",
	.doc = "Until then nobody is told of it. Should it still be wrong, it is told again and "
	       "can "
	       "escalate.\n\n"
	       "  weir snooze 12 2h --reason \"the source is down until noon\"",
	.options = change_options,
	.operands = snooze_operands,
	.run = snooze_run,
};

const struct command command_resolve = {
	.name = "resolve",
	.group = "Operate",
	.summary = "end an incident by hand",
	.doc = "For what will not succeed any more, or was no incident. Should it go wrong again, "
	       "another one opens.",
	.options = change_options,
	.operands = id_operands,
	.run = resolve_run,
};
