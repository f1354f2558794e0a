/* Alerts: what is to be told, and trying a channel. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/near.h"
#include "cli/commands.h"
#include "cli/home.h"
#include "cli/remote.h"
#include "cli/term.h"
#include "conf/config.h"
#include "conf/diag.h"
#include "core/alert.h"
#include "run/alert_compose.h"
#include "run/sender.h"

/* ---- the list ---------------------------------------------------------------------------- */

static void add_act(const struct term *t, struct buf *out, const json_t *act)
{
	const json_t *alert = json_object_get(act, "alert");
	const char *state = cli_get_text(act, "state"), *error = cli_get_text(act, "error");
	const char *task = cli_get_text(alert, "task"), *dag = cli_get_text(alert, "dag");
	bool pending = strcmp(state, "pending") == 0, lost = strcmp(state, "given_up") == 0;
	enum style s = lost ? STYLE_BAD : pending ? STYLE_BUSY : STYLE_GOOD;

	buf_addf(out, "%s%-8s%s  ", style_on(s, t->colour), state, style_off(s, t->colour));
	buf_addf(out, "incident %lld %s: ", cli_get_int(alert, "incident"),
		cli_get_text(alert, "what") ? cli_get_text(alert, "what") : "?");
	text_add(out, dag ? dag : "", -1);
	if (task && *task)
		buf_addf(out, ".%s", task);
	buf_addf(out, ", route %s, %s %.19sZ",
		cli_get_text(alert, "route") ? cli_get_text(alert, "route") : "?",
		pending ? "due" : "at", cli_get_text(act, pending ? "due" : "ended"));
	if (cli_get_int(act, "tries"))
		buf_addf(out, ", tries: %lld", cli_get_int(act, "tries"));
	buf_addc(out, '\n');
	if (error) {
		buf_addstr(out, "          ");
		text_add(out, error, -1);
		buf_addc(out, '\n');
	}
}

static void add_alerts(
	const struct remote *r, const json_t *answer, const struct term *t, struct buf *out)
{
	const json_t *list = json_object_get(answer, "alerts");
	json_t *act;
	size_t n;

	if (json_array_size(list) == 0)
		buf_addstr(out, args_has(r->args, "all")
					? "Nothing was ever to be told.\n"
					: "Nothing waits to be told, and nothing was given up.\n");
	json_array_foreach(list, n, act) add_act(t, out, act);
}

static int alerts_run(const struct args *args, struct err *err)
{
	enum ops_call_id call = args_has(args, "all") ? OPS_CALL_ALERTS_ALL : OPS_CALL_ALERTS;

	return remote_show(args, call, add_alerts, err);
}

static const struct option alerts_options[] = {
	{ .name = "all", .kind = VALUE_FLAG, .help = "what was told, too" },
	{ 0 },
};

const struct command command_alerts = {
	.name = "alerts",
	.group = "Operate",
	.summary = "list what is still to be told, or could not be",
	.doc = "What waits for the end of quiet hours, for its group, or for another try, and what "
	       "was given up after all channels of its route had failed, with the last error.",
	.options = alerts_options,
	.run = alerts_run,
};

/* ---- alert test ---------------------------------------------------------------------------- */

static int no_channel(const struct alerts *a, const char *name, struct err *err)
{
	const char *names[64];
	size_t n = 0;

	if (!a || a->nchannels == 0)
		return err_set(err, ERR_NOT_FOUND,
			"weir.yaml has no channels: see alerts in weir.yaml(5)");
	for (int i = 0; i < a->nchannels && n < 64; i++)
		names[n++] = a->channels[i].name;
	const char *near = near_find(name, names, n);
	return err_set(err, ERR_NOT_FOUND, "weir.yaml has no channel \"%.128s\"%s%s%s", name,
		near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static int tell_result(const struct args *args, const char *name, json_t *answer, struct err *err)
{
	bool ok = cli_get_flag(answer, "ok");
	int rc = 0;

	json_object_del(answer, "job");
	if (!ok)
		json_object_del(answer, "retry_after_us");
	json_object_set_new(answer, "channel", json_string(name));
	if (args_has(args, "json")) {
		rc = cli_print_json(json_incref(answer), err);
		rc = rc == 0 && !ok ? 1 : rc;
	} else if (ok) {
		if (!args_has(args, "quiet"))
			printf("Channel %s took the message.\n", name);
	} else {
		rc = err_set(err, ERR_IO, "channel %s: %s: %s", name, cli_get_text(answer, "class"),
			cli_get_text(answer, "error"));
	}
	return rc;
}

static int test_channel(const struct args *args, const struct alerts *a, const char *name,
	const char *home, struct err *err)
{
	const struct alert_channel *c = a ? alert_find_channel(a, name) : NULL;

	if (!c)
		return no_channel(a, name, err);
	json_t *request = json_pack("{s:i, s:s, s:s, s:o, s:s, s:o}", "job", 1, "channel", c->name,
		"type", alert_channel_type_name(c->type), "settings", sender_settings(c->node),
		"dir", a->dir ? a->dir : ".", "doc", alert_compose_test(a, home, c->name));
	json_t *answer = request ? sender_perform(request) : NULL;
	int rc = answer ? tell_result(args, name, answer, err) : err_nomem(err);
	json_decref(request);
	json_decref(answer);
	return rc;
}

static int alert_run(const struct args *args, struct err *err)
{
	const char *action = args_operand(args, 0);
	struct diags diags;
	int rc = -1;

	if (strcmp(action, "test") != 0)
		return err_set(err, ERR_USAGE, "what can be done is: weir alert test CHANNEL");
	char *home = cli_home(args, err);
	if (!home)
		return -1;
	diags_init(&diags);
	struct config *c = cli_load_config(args, ".", &diags, err);
	if (c) {
		rc = test_channel(args, config_alerts(c), args_operand(args, 1), home, err);
	} else if (diags.nerrors) {
		cli_print_diags(args, &diags);
		err_set(err, ERR_INVALID, "the configuration has errors");
	}
	config_free(c);
	diags_release(&diags);
	free(home);
	return rc;
}

static const struct operand alert_operands[] = {
	{ "test", VALUE_TEXT, false, false, "the word test" },
	{ "CHANNEL", VALUE_TEXT, false, false, "a channel of weir.yaml" },
	{ 0 },
};

const struct command command_alert = {
	.name = "alert",
	.group = "Operate",
	.summary = "send a test message through a channel",
	.doc = "Sends one message from here and now, and says what became of it: the class of the "
	       "error (unreachable, timeout, busy, login, certificate, encryption, rejected, "
	       "settings, command) and the server's words. Secrets that are variables are taken "
	       "from "
	       "this command's environment, not the daemon's.\n\n"
	       "  weir alert test oncall",
	.operands = alert_operands,
	.run = alert_run,
};
