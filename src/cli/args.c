#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/civil.h"
#include "base/err.h"
#include "base/near.h"
#include "base/units.h"
#include "cli/command.h"

static const char *const color_values[] = { "auto", "always", "never", NULL };

const struct option common_options[] = {
	{ .name = "home",
		.kind = VALUE_DIR,
		.value = "DIR",
		.help = "where the state and the logs are kept; default: $WEIR_HOME, else "
			"$XDG_STATE_HOME/weir, else ~/.local/state/weir" },
	{ .name = "config",
		.kind = VALUE_FILE,
		.value = "FILE",
		.help = "the configuration; default: $WEIR_CONFIG, else the nearest weir.yaml from "
			"the "
			"DAG's folder upwards, else $XDG_CONFIG_HOME/weir/weir.yaml" },
	{ .name = "json", .kind = VALUE_FLAG, .help = "print JSON" },
	{ .name = "color",
		.kind = VALUE_ENUM,
		.value = "WHEN",
		.values = color_values,
		.help = "colours: auto (on a terminal, unless NO_COLOR is set or TERM is dumb), "
			"always "
			"or never" },
	{ .name = "quiet", .letter = 'q', .kind = VALUE_FLAG, .help = "print less" },
	{ .name = "verbose", .letter = 'v', .kind = VALUE_FLAG, .help = "print more" },
	{ .name = "help", .letter = 'h', .kind = VALUE_FLAG, .help = "print help" }, { 0 }
};

bool args_has(const struct args *a, const char *option)
{
	return args_nth(a, option, 0) != NULL;
}

static bool is_option(const struct given *g, const char *name)
{
	return g->option && strcmp(g->option->name, name) == 0;
}

const char *args_text(const struct args *a, const char *option)
{
	for (size_t i = a->n; i-- > 0;)
		if (is_option(&a->list[i], option))
			return a->list[i].text;
	return NULL;
}

const char *args_nth(const struct args *a, const char *option, size_t i)
{
	for (size_t k = 0; k < a->n; k++)
		if (is_option(&a->list[k], option) && i-- == 0)
			return a->list[k].text;
	return NULL;
}

long args_int(const struct args *a, const char *option, long def)
{
	const char *text = args_text(a, option);

	return text ? strtol(text, NULL, 10) : def;
}

const char *args_operand(const struct args *a, size_t i)
{
	for (size_t k = 0; k < a->n; k++)
		if (!a->list[k].option && i-- == 0)
			return a->list[k].text;
	return NULL;
}

size_t args_noperands(const struct args *a)
{
	size_t n = 0;

	for (size_t k = 0; k < a->n; k++)
		n += a->list[k].option == NULL;
	return n;
}

/* ---- parsing ------------------------------------------------------------------------- */

struct parser {
	struct args *ret;
	const struct command *command;
	int argc, at;
	char *const *argv;
	struct err *err;
};

/* A usage error: what is wrong, and where to read on. */
__attribute__((format(printf, 2, 3))) static int usage(struct parser *p, const char *fmt, ...)
{
	char msg[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof msg, fmt, ap);
	va_end(ap);
	size_t len = strlen(msg);
	return err_set(p->err, ERR_USAGE, "%s%s \"weir %s --help\"", msg,
		len && msg[len - 1] == '?' ? " See" : "; see", p->command->name);
}

static const struct option *by_name(const struct option *table, const char *name, size_t len)
{
	for (; table && table->name; table++)
		if (strlen(table->name) == len && memcmp(table->name, name, len) == 0)
			return table;
	return NULL;
}

static const struct option *by_letter(const struct option *table, char letter)
{
	for (; table && table->name; table++)
		if (table->letter == letter)
			return table;
	return NULL;
}

static int unknown_option(struct parser *p, const char *name, size_t len)
{
	const struct option *tables[] = { p->command->options, common_options };
	const char *names[128];
	char word[64];
	size_t n = 0;

	for (size_t t = 0; t < 2; t++)
		for (const struct option *o = tables[t]; o && o->name && n < 128; o++)
			names[n++] = o->name;
	snprintf(word, sizeof word, "%.*s", (int)(len < 63 ? len : 63), name);
	const char *near = near_find(word, names, n);
	if (near)
		return usage(p, "unknown option \"--%s\"; did you mean \"--%s\"?", word, near);
	return usage(p, "unknown option \"--%s\"", word);
}

static int check_int(struct parser *p, const struct option *o, const char *text)
{
	char *end;

	errno = 0;
	long v = strtol(text, &end, 10);
	if (end == text || *end || errno == ERANGE)
		return usage(p, "--%s takes a whole number, not \"%s\"", o->name, text);
	if (o->min != o->max && (v < o->min || v > o->max))
		return usage(
			p, "--%s must be between %ld and %ld, not %ld", o->name, o->min, o->max, v);
	return 0;
}

static int check_enum(struct parser *p, const struct option *o, const char *text)
{
	char allowed[256] = "";
	size_t n = 0;

	for (; o->values[n]; n++) {
		if (strcmp(o->values[n], text) == 0)
			return 0;
		size_t used = strlen(allowed);
		snprintf(
			allowed + used, sizeof allowed - used, "%s%s", n ? ", " : "", o->values[n]);
	}
	const char *near = near_find(text, o->values, n);
	if (near)
		return usage(p, "--%s: unknown value \"%s\"; did you mean \"%s\"? (%s)", o->name,
			text, near, allowed);
	return usage(p, "--%s: unknown value \"%s\"; it is one of %s", o->name, text, allowed);
}

static int check_value(struct parser *p, const struct option *o, const char *text)
{
	struct err e;
	struct civil_text civil;
	int64_t us;

	err_clear(&e);
	switch (o->kind) {
	case VALUE_INT:
		return check_int(p, o, text);
	case VALUE_ENUM:
		return check_enum(p, o, text);
	case VALUE_DATE:
		return civil_parse(text, &civil, &e) < 0 ? usage(p, "--%s: %s", o->name, e.msg) : 0;
	case VALUE_DURATION:
		return units_parse_duration(text, &us, &e) < 0
			       ? usage(p, "--%s: %s", o->name, e.msg)
			       : 0;
	default:
		if (!*text && o->kind != VALUE_TEXT)
			return usage(p, "--%s: the value is empty", o->name);
		return 0;
	}
}

static int add_option(struct parser *p, const struct option *o, const char *text)
{
	if (o->kind != VALUE_FLAG && check_value(p, o, text) < 0)
		return -1;
	if (!o->repeat && o->kind != VALUE_FLAG && args_has(p->ret, o->name))
		return usage(p, "--%s is given twice", o->name);
	p->ret->list[p->ret->n++] = (struct given){ o, text };
	return 0;
}

/* The value of an option that has none attached: the next word. */
static const char *next_word(struct parser *p, const struct option *o)
{
	if (p->at + 1 < p->argc)
		return p->argv[++p->at];
	usage(p, "--%s needs a value: --%s %s", o->name, o->name, o->value ? o->value : "VALUE");
	return NULL;
}

static int parse_long(struct parser *p, const char *word)
{
	const char *eq = strchr(word, '=');
	size_t len = eq ? (size_t)(eq - word) : strlen(word);
	const struct option *o = by_name(p->command->options, word, len);

	if (!o)
		o = by_name(common_options, word, len);
	if (!o)
		return unknown_option(p, word, len);
	if (o->kind == VALUE_FLAG)
		return eq ? usage(p, "--%s takes no value", o->name) : add_option(p, o, "");
	const char *text = eq ? eq + 1 : next_word(p, o);
	return text ? add_option(p, o, text) : -1;
}

/* "-q", "-qv", "-j4", "-j 4" */
static int parse_letters(struct parser *p, const char *letters)
{
	for (; *letters; letters++) {
		const struct option *o = by_letter(p->command->options, *letters);
		if (!o)
			o = by_letter(common_options, *letters);
		if (!o)
			return usage(p, "unknown option \"-%c\"", *letters);
		if (o->kind == VALUE_FLAG) {
			if (add_option(p, o, "") < 0)
				return -1;
			continue;
		}
		const char *text = letters[1] ? letters + 1 : next_word(p, o);
		return text ? add_option(p, o, text) : -1;
	}
	return 0;
}

static int parse_words(struct parser *p)
{
	bool only_operands = false;

	for (p->at = 1; p->at < p->argc; p->at++) {
		const char *word = p->argv[p->at];
		int rc = 0;
		if (!only_operands && strcmp(word, "--") == 0)
			only_operands = true;
		else if (only_operands || word[0] != '-' || !word[1])
			p->ret->list[p->ret->n++] = (struct given){ NULL, word };
		else if (word[1] == '-')
			rc = parse_long(p, word + 2);
		else
			rc = parse_letters(p, word + 1);
		if (rc < 0)
			return -1;
	}
	return 0;
}

static int check_operands(struct parser *p)
{
	size_t given = args_noperands(p->ret), max = 0;
	bool endless = false;

	for (const struct operand *o = p->command->operands; o && o->name; o++, max++) {
		if (!o->optional && given <= max)
			return usage(p, "%s is missing: %s", o->name, o->help);
		endless |= o->repeat;
	}
	if (given > max && !endless)
		return usage(p, "unexpected word \"%s\"", args_operand(p->ret, max));
	return 0;
}

/* A word gives at most one entry per character: "-qv" gives two. */
static size_t most_entries(int argc, char *const *argv)
{
	size_t n = 1;

	for (int i = 1; i < argc; i++)
		n += argv[i][0] == '-' && argv[i][1] != '-' ? strlen(argv[i]) : 1;
	return n;
}

int args_parse(
	struct args *ret, const struct command *c, int argc, char *const *argv, struct err *err)
{
	struct parser p = { .ret = ret, .command = c, .argc = argc, .argv = argv, .err = err };

	*ret = (struct args){ .command = c };
	ret->list = calloc(most_entries(argc, argv), sizeof *ret->list);
	if (!ret->list)
		return err_nomem(err);
	if (parse_words(&p) < 0 || (!args_has(ret, "help") && check_operands(&p) < 0)) {
		args_release(ret);
		return -1;
	}
	return 0;
}

void args_release(struct args *a)
{
	free(a->list);
	a->list = NULL;
	a->n = 0;
}
