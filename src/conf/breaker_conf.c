#include "conf/breaker_conf.h"

#include <stdio.h>
#include <string.h>

#include "base/node.h"
#include "base/units.h"
#include "conf/diag.h"
#include "conf/schema_value.h"
#include "core/breaker.h"

static const struct field class_item = { .type = FIELD_ENUM, .values = breaker_class_names };

const struct field breaker_conf_fields[] = {
	{ .key = "failures",
		.type = FIELD_INT,
		.def = "5",
		.has_min = true,
		.min = 0,
		.has_max = true,
		.max = 1000000,
		.help = "So many failures within the window open it. 0: only `rate` does, which "
			"is also the default where `rate` is given." },
	{ .key = "within",
		.type = FIELD_DURATION,
		.def = "10m",
		.has_min = true,
		.min = US_PER_SECOND,
		.has_max = true,
		.max = 7.0 * US_PER_DAY,
		.help = "The window: older failures are forgotten." },
	{ .key = "rate",
		.type = FIELD_PERCENT,
		.has_min = true,
		.min = 0.01,
		.help = "It opens when this share of the attempts that ended within the window "
			"failed.",
		.example = "50%" },
	{ .key = "at_least",
		.type = FIELD_INT,
		.def = "20",
		.has_min = true,
		.min = 1,
		.has_max = true,
		.max = 1000000,
		.help = "So many attempts must have ended within the window before `rate` is "
			"judged." },
	{ .key = "counts",
		.type = FIELD_LIST,
		.item = &class_item,
		.flags = FIELD_OR_ONE,
		.has_min = true,
		.min = 1,
		.help = "Which failures count: `transient` (those that a retry may mend), "
			"`timeout`, `permanent` (the user's own: an operator says that no retry "
			"helps, or `fail_on` and `retry_on` say so). Default: transient and "
			"timeout.",
		.example = "[transient, timeout]" },
	{ .key = "open",
		.type = FIELD_DURATION,
		.def = "1m",
		.has_min = true,
		.min = US_PER_SECOND,
		.has_max = true,
		.max = 7.0 * US_PER_DAY,
		.help = "How long it is open before probes may start." },
	{ .key = "factor",
		.type = FIELD_FLOAT,
		.def = "2",
		.has_min = true,
		.min = 1,
		.has_max = true,
		.max = 100,
		.help = "How much longer it is open each time that probes fail." },
	{ .key = "max_open",
		.type = FIELD_DURATION,
		.has_min = true,
		.min = US_PER_SECOND,
		.has_max = true,
		.max = 7.0 * US_PER_DAY,
		.help = "It is open for no longer than this at once. Default: 30m, or `open` where "
			"that is more." },
	{ .key = "probes",
		.type = FIELD_INT,
		.def = "1",
		.has_min = true,
		.min = 1,
		.has_max = true,
		.max = 100,
		.help = "So many attempts try it when it was open long enough. It closes when all "
			"have succeeded." },
	{ .key = "ramp",
		.type = FIELD_INT,
		.def = "10",
		.has_min = true,
		.min = 1,
		.has_max = true,
		.max = 10000,
		.help = "How many of those that were held start in a second once it is closed." },
	{ .key = "description", .type = FIELD_STRING, .help = "For people." },
	{ 0 },
};

/* The value of a key, or its default; 0: there is neither. */
static double number_of(const struct node *value, const char *key)
{
	const struct field *f = schema_find(breaker_conf_fields, key);
	const char *text = node_text(node_get(value, key));
	json_t *v = text || f->def ? schema_value_of_text(f, text ? text : f->def, NULL) : NULL;
	double number = json_number_value(v);

	json_decref(v);
	return number;
}

static unsigned count_bit(const struct node *word)
{
	for (int i = 0; node_text(word) && i < BREAKER_CLASS_MAX; i++)
		if (strcmp(word->text, breaker_class_names[i]) == 0)
			return 1u << i;
	return 0;
}

static unsigned counts_of(const struct node *counts)
{
	unsigned bits = 0;

	if (!counts)
		return 1u << BREAKER_TRANSIENT | 1u << BREAKER_TIMEOUT;
	if (counts->type != NODE_SEQ)
		return count_bit(counts);
	for (size_t i = 0; i < counts->n; i++)
		bits |= count_bit(counts->items[i]);
	return bits;
}

bool breaker_conf_read(const struct node *value, struct breaker_policy *ret)
{
	if (value->type != NODE_MAP)
		return false;
	bool by_rate = node_get(value, "rate") && !node_get(value, "failures");
	*ret = (struct breaker_policy){ .failures = by_rate ? 0 : (int)number_of(value, "failures"),
		.rate = number_of(value, "rate"),
		.at_least = (int)number_of(value, "at_least"),
		.window_us = (int64_t)number_of(value, "within"),
		.open_us = (int64_t)number_of(value, "open"),
		.max_open_us = (int64_t)number_of(value, "max_open"),
		.factor = number_of(value, "factor"),
		.probes = (int)number_of(value, "probes"),
		.ramp = (int)number_of(value, "ramp"),
		.counts = counts_of(node_get(value, "counts")) };
	if (!ret->max_open_us)
		ret->max_open_us =
			30 * US_PER_MINUTE > ret->open_us ? 30 * US_PER_MINUTE : ret->open_us;
	return true;
}

void breaker_conf_check(const struct node *name, const struct node *value, struct diags *diags)
{
	const struct schema_env env = { 0 };
	struct breaker_policy p;
	char what[160];

	snprintf(what, sizeof what, "breaker %.128s", name->text);
	if (!schema_value_is_name(name->text, name->len))
		diag_node(diags, DIAG_ERROR, name, "\"%s\" cannot be a breaker's name", name->text);
	if (value->type != NODE_MAP) {
		diag_node(diags, DIAG_ERROR, value->type == NODE_NULL ? name : value,
			"%s: expected a mapping, found %s", what,
			value->type == NODE_NULL ? "nothing" : node_type_name(value->type));
		diag_hint(diags, "for example: %s: { failures: 5, within: 10m, open: 2m }",
			name->text);
		return;
	}
	if (schema_check(value, breaker_conf_fields, what, &env, diags) > 0 ||
		!breaker_conf_read(value, &p))
		return;
	if (p.failures == 0 && p.rate <= 0)
		diag_node(diags, DIAG_ERROR, node_get(value, "failures"),
			"failures: with 0 and no rate it never opens");
	if (p.open_us > p.max_open_us)
		diag_node(diags, DIAG_ERROR, node_get(value, "max_open"),
			"max_open: it is less than open");
}
