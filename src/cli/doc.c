/* Fragments of man pages, printed from the tables. man/update-docs.sh puts them in place. */
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/commands.h"
#include "cli/exits.h"
#include "conf/alerts.h"
#include "conf/breaker_conf.h"
#include "conf/config.h"
#include "conf/dagfile.h"
#include "conf/foreach.h"
#include "conf/schedule.h"
#include "conf/schema.h"
#include "conf/template.h"
#include "core/trigger.h"
#include "data/contract.h"
#include "operators/operators.h"

/* ---- mdoc ---------------------------------------------------------------------------- */

/* Text for mdoc: a line that begins with a dot or quote is no macro, a backslash no escape; of
 * prose each sentence begins a line. */
static void add_escaped(struct buf *out, const char *s, size_t len, bool prose)
{
	bool start = true;

	for (size_t i = 0; i < len; i++) {
		if (prose && i && s[i] == ' ' && s[i - 1] == '.' && i + 1 < len) {
			buf_addc(out, '\n');
			start = true;
			continue;
		}
		if (start && (s[i] == '.' || s[i] == '\''))
			buf_addstr(out, "\\&");
		if (s[i] == '\\')
			buf_addstr(out, "\\e");
		else
			buf_addc(out, s[i]);
		start = s[i] == '\n';
	}
}

static void add_text(struct buf *out, const char *s)
{
	add_escaped(out, s, strlen(s), true);
	buf_addc(out, '\n');
}

/* Paragraphs; lines that begin with a space are literal. */
static void add_prose(struct buf *out, const char *s)
{
	bool literal = false, fresh = true;

	while (*s) {
		size_t len = strcspn(s, "\n");
		bool want = len && (*s == ' ' || *s == '\t');
		if (len && want != literal) {
			buf_addstr(out, want ? ".Bd -literal -offset indent\n" : ".Ed\n");
			literal = want;
		}
		if (len == 0 && !fresh && !literal)
			buf_addstr(out, ".Pp\n");
		if (len) {
			size_t skip = literal ? strspn(s, " ") : 0;
			add_escaped(out, s + skip, len - skip, !literal);
			buf_addc(out, '\n');
		}
		fresh = len == 0;
		s += len;
		s += *s == '\n';
	}
	if (literal)
		buf_addstr(out, ".Ed\n");
}

/* ---- options ------------------------------------------------------------------------- */

static void add_option(struct buf *out, const struct option *o)
{
	buf_addstr(out, ".It ");
	if (o->letter)
		buf_addf(out, "Fl %c , ", o->letter);
	buf_addf(out, "Fl Fl %s", o->name);
	if (o->kind != VALUE_FLAG)
		buf_addf(out, " Ar %s", o->value ? o->value : "VALUE");
	buf_addc(out, '\n');
	size_t len = strlen(o->help);
	bool more = o->kind == VALUE_ENUM || o->repeat;
	add_escaped(out, o->help, len, true);
	buf_addstr(out, more && len && o->help[len - 1] != '.' ? ".\n" : "\n");
	if (o->kind == VALUE_ENUM) {
		buf_addstr(out, "One of");
		for (size_t i = 0; o->values[i]; i++)
			buf_addf(out, "%s\n.Cm %s", i ? " ," : "", o->values[i]);
		buf_addstr(out, " .\n");
	}
	if (o->repeat)
		buf_addstr(out, "May be given several times.\n");
}

static void add_options(struct buf *out, const struct option *o)
{
	buf_addstr(out, ".Bl -tag -width Ds\n");
	for (; o && o->name; o++)
		add_option(out, o);
	buf_addstr(out, ".El\n");
}

static int doc_options(const char *which, struct buf *out, struct err *err)
{
	const struct command *c = which ? command_find(which) : NULL;

	if (which && strcmp(which, "common") == 0) {
		add_options(out, common_options);
		return 0;
	}
	if (!c)
		return err_set(err, ERR_USAGE, "doc options COMMAND, or common");
	add_options(out, c->options);
	return 0;
}

static void add_operand_macro(struct buf *out, const struct operand *o)
{
	buf_addf(out, o->optional ? ".Op Ar %s%s\n" : ".Ar %s%s\n", o->name,
		o->repeat ? " ..." : "");
}

static int doc_synopsis(const char *which, struct buf *out, struct err *err)
{
	const struct command *c = which ? command_find(which) : NULL;

	if (!c)
		return err_set(err, ERR_USAGE, "doc synopsis COMMAND");
	buf_addf(out, ".Nm weir %s\n", c->name);
	for (const struct option *o = c->options; o && o->name; o++) {
		buf_addf(out, o->letter ? ".Op Fl %c" : ".Op Fl Fl ", o->letter);
		if (!o->letter)
			buf_addstr(out, o->name);
		if (o->kind != VALUE_FLAG)
			buf_addf(out, " Ar %s", o->value ? o->value : "VALUE");
		buf_addc(out, '\n');
	}
	for (const struct operand *o = c->operands; o && o->name; o++)
		add_operand_macro(out, o);
	return 0;
}

static int doc_commands(const char *which, struct buf *out, struct err *err)
{
	const char *group = NULL;

	(void)which;
	(void)err;
	for (const struct command *const *c = commands; *c; c++) {
		if ((*c)->hidden)
			continue;
		if (!group || strcmp(group, (*c)->group) != 0) {
			buf_addf(out, "%s.Ss %s\n.Bl -tag -width completionX\n",
				group ? ".El\n" : "", (*c)->group);
			group = (*c)->group;
		}
		buf_addf(out, ".It Cm %s\n", (*c)->name);
		add_text(out, (*c)->summary);
	}
	buf_addstr(out, ".El\n");
	return 0;
}

static int doc_description(const char *which, struct buf *out, struct err *err)
{
	const struct command *c = which ? command_find(which) : NULL;

	if (!c)
		return err_set(err, ERR_USAGE, "doc description COMMAND");
	if (c->doc)
		add_prose(out, c->doc);
	return 0;
}

/* ---- fields -------------------------------------------------------------------------- */

static int doc_fields(const char *which, struct buf *out, struct err *err)
{
	const struct {
		const char *name;
		const struct field *fields;
	} tables[] = {
		{ "dag", dagfile_fields },
		{ "task", dagfile_task_fields },
		{ "foreach", foreach_fields },
		{ "group", dagfile_group_fields },
		{ "fragment", dagfile_fragment_fields },
		{ "schedule", schedule_fields },
		{ "contract", contract_fields },
		{ "config", config_fields },
		{ "breaker", breaker_conf_fields },
	};

	for (size_t i = 0; which && i < sizeof tables / sizeof *tables; i++)
		if (strcmp(tables[i].name, which) == 0) {
			schema_print_mdoc(tables[i].fields, out);
			return 0;
		}
	int channel = which ? alert_channel_type_by_name(which) : -1;
	if (channel >= 0) {
		schema_print_mdoc(alerts_channel_fields((enum alert_channel_type)channel), out);
		return 0;
	}
	return err_set(err, ERR_USAGE,
		"doc fields dag|task|foreach|group|fragment|schedule|contract|config|breaker, or a "
		"type of "
		"channel");
}

static void add_operator(struct buf *out, const struct operator* op)
{
	buf_addf(out, ".Ss %s: %s\n", task_kind_name(op->kind), op->name);
	add_text(out, op->summary);
	if (op->doc) {
		buf_addstr(out, ".Pp\n");
		add_prose(out, op->doc);
	}
	if (op->params && op->params[0].key) {
		buf_addstr(out, ".Pp\nParameters:\n");
		schema_print_mdoc(op->params, out);
	}
	if (op->outputs && op->outputs[0].name) {
		buf_addstr(out, ".Pp\nOutputs:\n.Bl -tag -width rows_rejected\n");
		for (const struct operator_output *o = op->outputs; o->name; o++) {
			buf_addf(out, ".It Va %s\n", o->name);
			add_text(out, o->help);
		}
		buf_addstr(out, ".El\n");
	}
	if (op->example) {
		buf_addstr(out, ".Pp\nExample:\n.Bd -literal -offset indent\n");
		add_escaped(out, op->example, strlen(op->example), false);
		buf_addf(out, "%s.Ed\n", op->example[strlen(op->example) - 1] == '\n' ? "" : "\n");
	}
}

static int doc_operators(const char *which, struct buf *out, struct err *err)
{
	int kind = which ? task_kind_by_name(which) : -1;

	if (which && kind < 0)
		return err_set(err, ERR_USAGE, "doc operators [KIND]");
	for (size_t i = 0; operators[i]; i++)
		if (!which || operators[i]->kind == (enum task_kind)kind)
			add_operator(out, operators[i]);
	return 0;
}

/* ---- trigger rules ------------------------------------------------------------------- */

static void add_words(struct buf *out, const char *what, const char *words)
{
	if (words)
		buf_addf(out, "%s %s.\n", what, words);
}

static int doc_triggers(const char *which, struct buf *out, struct err *err)
{
	(void)which;
	(void)err;
	buf_addstr(out, ".Bl -tag -width Ds\n");
	for (int i = 0; i < TRIGGER_MAX; i++) {
		const struct trigger_words *w = trigger_words((enum trigger_rule)i);
		buf_addf(out, ".It Cm %s\n", w->name);
		add_words(out, "Runs when", i == TRIGGER_ALWAYS ? NULL : w->runs);
		add_words(out, "Runs", i == TRIGGER_ALWAYS ? w->runs : NULL);
		add_words(out, "Skipped when", w->skipped);
		add_words(out, "Upstream_failed when", w->failed);
	}
	buf_addstr(out, ".El\n");
	return 0;
}

static int doc_incidents(const char *which, struct buf *out, struct err *err)
{
	(void)which;
	(void)err;
	buf_addstr(out, ".Bl -tag -width lost_too_often\n");
	for (int i = 0; i < INCIDENT_KIND_MAX; i++)
		buf_addf(out, ".It Cm %s\n%s.\n", incident_kind_name((enum incident_kind)i),
			incident_kind_text((enum incident_kind)i));
	buf_addstr(out, ".El\n");
	return 0;
}

static int doc_templates(const char *which, struct buf *out, struct err *err)
{
	(void)which;
	(void)err;
	template_print_mdoc(out);
	return 0;
}

static int doc_exit_statuses(const char *which, struct buf *out, struct err *err)
{
	(void)which;
	(void)err;
	buf_addstr(out, ".Bl -tag -width Ds\n");
	exits_print_mdoc(out);
	buf_addstr(out, ".El\n");
	return 0;
}

/* ---- the command --------------------------------------------------------------------- */

static const struct {
	const char *name;
	int (*print)(const char *which, struct buf *out, struct err *err);
} kinds[] = {
	{ "options", doc_options },
	{ "synopsis", doc_synopsis },
	{ "description", doc_description },
	{ "commands", doc_commands },
	{ "fields", doc_fields },
	{ "operators", doc_operators },
	{ "templates", doc_templates },
	{ "incidents", doc_incidents },
	{ "triggers", doc_triggers },
	{ "exit-statuses", doc_exit_statuses },
};

static int doc_run(const struct args *args, struct err *err)
{
	const char *kind = args_operand(args, 0);
	struct buf out;

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		if (strcmp(kinds[i].name, kind) != 0)
			continue;
		buf_init(&out, BUF_MAX_TEXT);
		int rc = kinds[i].print(args_operand(args, 1), &out, err);
		if (rc == 0)
			fwrite(out.data, 1, out.len, stdout);
		buf_release(&out);
		return rc;
	}
	return err_set(err, ERR_USAGE,
		"doc options|synopsis|description|commands|fields|operators|templates|triggers|"
		"exit-statuses [NAME]");
}

static const struct operand doc_operands[] = { { "WHAT", VALUE_TEXT, false, false,
						       "the kind of fragment" },
	{ "NAME", VALUE_TEXT, true, false, "of which command, table or kind" }, { 0 } };

const struct command command_doc = {
	.name = "doc",
	.group = "More",
	.summary = "print a fragment of a man page",
	.operands = doc_operands,
	.hidden = true,
	.run = doc_run,
};
