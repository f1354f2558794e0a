#include "operators/quality/checks.h"

#include <stddef.h>

#include "conf/schema.h"

#define COLUMN_ROW                                                              \
	{                                                                       \
		.key = "column", .type = FIELD_STRING, .flags = FIELD_REQUIRED, \
		.help = "The column."                                           \
	}

static const struct field column_item = { .type = FIELD_STRING, .help = "A column." };
static const struct field value_item = {
	.type = FIELD_VALUE, .flags = FIELD_TEMPLATE, .help = "A value."
};

static const struct field accepted_fields[] = {
	COLUMN_ROW,
	{ .key = "values",
		.type = FIELD_LIST,
		.flags = FIELD_REQUIRED | FIELD_OR_ONE,
		.has_min = true,
		.min = 1,
		.item = &value_item,
		.help = "What the column may hold. A number also matches text that reads the "
			"same." },
	{ .key = NULL },
};

static const struct field range_fields[] = {
	COLUMN_ROW,
	{ .key = "min",
		.type = FIELD_VALUE,
		.flags = FIELD_TEMPLATE,
		.help = "The least value allowed. A number compares as a number, and a value that "
			"is no "
			"number fails; a text compares as text, which suits dates like "
			"2026-11-19." },
	{ .key = "max",
		.type = FIELD_VALUE,
		.flags = FIELD_TEMPLATE,
		.help = "The greatest value allowed; as min." },
	{ .key = "min_exclusive",
		.type = FIELD_BOOL,
		.def = "false",
		.help = "Values must be greater than min, not equal." },
	{ .key = "max_exclusive",
		.type = FIELD_BOOL,
		.def = "false",
		.help = "Values must be less than max, not equal." },
	{ .key = NULL },
};

static const struct field pattern_fields[] = {
	COLUMN_ROW,
	{ .key = "regex",
		.type = FIELD_REGEX,
		.flags = FIELD_REQUIRED,
		.help = "A Perl-compatible pattern that is searched in the value; ^ and $ tie it "
			"to the "
			"value's ends.",
		.example = "^[A-Z]{2}[0-9]+$" },
	{ .key = NULL },
};

#define COUNT_ROW(name, text)                                                           \
	{                                                                               \
		.key = name, .type = FIELD_INT, .has_min = true, .min = 0, .help = text \
	}

static const struct field length_fields[] = {
	COLUMN_ROW,
	COUNT_ROW("min", "The least number of characters."),
	COUNT_ROW("max", "The greatest number of characters."),
	{ .key = NULL },
};

static const struct field row_count_fields[] = {
	COUNT_ROW("min", "The least number of rows."),
	COUNT_ROW("max", "The greatest number of rows."),
	COUNT_ROW("equals", "The exact number of rows."),
	{ .key = NULL },
};

static const struct field sql_fields[] = {
	{ .key = "query",
		.type = FIELD_SQL,
		.flags = FIELD_REQUIRED,
		.help = "A query. Without expect, the rows it returns are the failing ones.",
		.example = "SELECT * FROM daily_sales WHERE revenue < cost" },
	{ .key = "expect",
		.type = FIELD_VALUE,
		.flags = FIELD_TEMPLATE,
		.help = "The query must return one row, whose first column is this value." },
	{ .key = NULL },
};

static const struct field relationships_fields[] = {
	COLUMN_ROW,
	{ .key = "to",
		.type = FIELD_STRING,
		.flags = FIELD_REQUIRED,
		.help = "The table, of the same connection, that must hold each value." },
	{ .key = "to_column",
		.type = FIELD_STRING,
		.help = "Its column; by default one of the same name." },
	{ .key = NULL },
};

static const char *const severities[] = { "error", "warn", NULL };

const struct field check_fields[] = {
	{ .key = "not_null",
		.type = FIELD_LIST,
		.flags = FIELD_OR_ONE,
		.has_min = true,
		.min = 1,
		.item = &column_item,
		.help = "Columns that hold no NULL, each judged on its own. An empty text is no "
			"NULL.",
		.example = "[day, revenue]" },
	{ .key = "unique",
		.type = FIELD_LIST,
		.flags = FIELD_OR_ONE,
		.has_min = true,
		.min = 1,
		.item = &column_item,
		.help = "Columns whose combination occurs once. All rows of a combination that "
			"occurs "
			"twice fail. Rows with a NULL in one of the columns are passed over.",
		.example = "[day, product]" },
	{ .key = "accepted_values",
		.type = FIELD_OBJECT,
		.fields = accepted_fields,
		.help = "The values a column may hold. NULLs are passed over.",
		.example = "{ column: status, values: [placed, shipped] }" },
	{ .key = "range",
		.type = FIELD_OBJECT,
		.fields = range_fields,
		.help = "Between which values a column lies. NULLs are passed over.",
		.example = "{ column: revenue, min: 0 }" },
	{ .key = "pattern",
		.type = FIELD_OBJECT,
		.fields = pattern_fields,
		.help = "What a column's text looks like. NULLs are passed over.",
		.example = "{ column: email, regex: \"@\" }" },
	{ .key = "length",
		.type = FIELD_OBJECT,
		.fields = length_fields,
		.help = "How many characters a column's text has. NULLs are passed over.",
		.example = "{ column: country, min: 2, max: 2 }" },
	{ .key = "row_count",
		.type = FIELD_OBJECT,
		.fields = row_count_fields,
		.help = "How many rows there are.",
		.example = "{ min: 1 }" },
	{ .key = "sql",
		.type = FIELD_OBJECT,
		.fields = sql_fields,
		.help = "A query of one's own.",
		.example = "{ query: \"SELECT sum(share) FROM t\", expect: 1 }" },
	{ .key = "relationships",
		.type = FIELD_OBJECT,
		.fields = relationships_fields,
		.help = "A column's values exist in another table. NULLs are passed over.",
		.example = "{ column: user_id, to: raw_customers, to_column: id }" },
	{ .key = "severity",
		.type = FIELD_ENUM,
		.values = severities,
		.def = "error",
		.help = "error: a failure fails the task. warn: it is shown and counted." },
	{ .key = "at_least",
		.type = FIELD_PERCENT,
		.help = "The share of rows that must pass; by default all. Rows passed over "
			"(NULLs) are "
			"not counted. Not for row_count and sql.",
		.example = "99%" },
	{ .key = "where",
		.type = FIELD_SQL,
		.help = "Only rows for which this SQL condition is true.",
		.example = "status <> 'cancelled'" },
	{ .key = "name",
		.type = FIELD_STRING,
		.help = "A name for the result; by default made from the check." },
	{ .key = "weight",
		.type = FIELD_FLOAT,
		.has_min = true,
		.min = 0,
		.def = "1",
		.help = "The check's weight in the output score." },
	{ .key = NULL },
};
