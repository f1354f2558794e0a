#include "conf/template_filters.h"

#include <string.h>

#define STRING TYPE_SET(VALUE_STRING)
#define INT TYPE_SET(VALUE_INT)
#define REAL TYPE_SET(VALUE_REAL)
#define DATE TYPE_SET(VALUE_DATE)
#define INSTANT TYPE_SET(VALUE_INSTANT)
#define LIST TYPE_SET(VALUE_LIST)
#define OBJECT TYPE_SET(VALUE_OBJECT)
#define BOOL TYPE_SET(VALUE_BOOL)

/* The examples are rendered by the tests, for 2026-11-19 in Europe/Berlin. */
static const struct template_filter filters[] = {
	{ "add_days", "add_days(n)", 1, 1, { INT }, TYPES_DATE, TYPES_TIME, 0,
		template_filter_add_days,
		"n days later; earlier when n is negative. A date stays a date, an instant keeps "
		"its time "
		"on the clock, whatever daylight saving time does.",
		"ds | add_days(-7)", "2026-11-12" },
	{ "add_hours", "add_hours(n)", 1, 1, { INT }, TYPES_DATE, INSTANT, 0,
		template_filter_add_hours,
		"n hours of 60 minutes later. A date begins at its first instant in the schedule's "
		"zone.",
		"ds | add_hours(6)", "2026-11-19T06:00:00+01:00" },
	{ "add_minutes", "add_minutes(n)", 1, 1, { INT }, TYPES_DATE, INSTANT, 0,
		template_filter_add_minutes, "n minutes later.",
		"data_interval_end | add_minutes(-1)", "2026-11-19T23:59:00+01:00" },
	{ "add_months", "add_months(n)", 1, 1, { INT }, TYPES_DATE, TYPES_TIME, 0,
		template_filter_add_months,
		"n months later; a day the month has not becomes its last.",
		"\"2026-01-31\" | add_months(1)", "2026-02-28" },
	{ "start_of_day", "start_of_day", 0, 0, { 0 }, TYPES_DATE, TYPES_TIME, 0,
		template_filter_start_of_day,
		"Of an instant, the first instant of its day; a date stays as it is.",
		"now | start_of_day", "2026-11-20T00:00:00+01:00" },
	{ "start_of_week", "start_of_week", 0, 0, { 0 }, TYPES_DATE, TYPES_TIME, 0,
		template_filter_start_of_week, "The Monday of the week.", "ds | start_of_week",
		"2026-11-16" },
	{ "start_of_month", "start_of_month", 0, 0, { 0 }, TYPES_DATE, TYPES_TIME, 0,
		template_filter_start_of_month, "The first day of the month.",
		"ds | start_of_month", "2026-11-01" },
	{ "start_of_year", "start_of_year", 0, 0, { 0 }, TYPES_DATE, TYPES_TIME, 0,
		template_filter_start_of_year, "The first day of the year.", "ds | start_of_year",
		"2026-01-01" },
	{ "end_of_month", "end_of_month", 0, 0, { 0 }, TYPES_DATE, DATE, 0,
		template_filter_end_of_month, "The last day of the month, always as a date.",
		"ds | end_of_month", "2026-11-30" },
	{ "strftime", "strftime(format)", 1, 1, { STRING }, TYPES_DATE, STRING, FILTER_TRY,
		template_filter_strftime, "The date in a format of strftime(3), in English.",
		"ds | add_days(-7) | strftime(\"%Y/%m\")", "2026/11" },
	{ "date", "date", 0, 0, { 0 }, TYPES_DATE, DATE, 0, template_filter_date,
		"The date of an instant, in its zone.", "data_interval_end | date", "2026-11-20" },
	{ "utc", "utc", 0, 0, { 0 }, TYPES_DATE, INSTANT, 0, template_filter_utc,
		"The same instant, on the clock of UTC.", "data_interval_start | utc",
		"2026-11-18T23:00:00Z" },
	{ "in_zone", "in_zone(name)", 1, 1, { STRING }, TYPES_DATE, INSTANT, FILTER_TRY,
		template_filter_in_zone, "The same instant, on the clock of that time zone.",
		"data_interval_start | in_zone(\"+05:30\")", "2026-11-19T04:30:00+05:30" },
	{ "epoch", "epoch", 0, 0, { 0 }, TYPES_DATE, INT, 0, template_filter_epoch,
		"Seconds since 1970-01-01 00:00 UTC.", "data_interval_start | epoch",
		"1795042800" },
	{ "default", "default(value)", 1, 1, { TYPES_ANY }, TYPES_ANY, TYPES_ANY, FILTER_TAKES_NULL,
		template_filter_default,
		"The value instead of null: of an env.NAME that is not set, an output not written.",
		"env.NOT_SET | default(\"eu\")", "eu" },
	{ "upper", "upper", 0, 0, { 0 }, TYPES_TEXT, STRING, 0, template_filter_upper,
		"The letters a to z as capitals.", "\"eu\" | upper", "EU" },
	{ "lower", "lower", 0, 0, { 0 }, TYPES_TEXT, STRING, 0, template_filter_lower,
		"The letters A to Z as small ones.", "\"EU\" | lower", "eu" },
	{ "trim", "trim", 0, 0, { 0 }, TYPES_TEXT, STRING, 0, template_filter_trim,
		"Without white space at both ends.", "\"  a b \" | trim", "a b" },
	{ "replace", "replace(old, new)", 2, 2, { STRING, STRING }, TYPES_TEXT, STRING, 0,
		template_filter_replace, "Each old replaced by new.", "ds | replace(\"-\", \"_\")",
		"2026_11_19" },
	{ "split", "split(separator)", 1, 1, { STRING }, TYPES_TEXT, LIST, 0, template_filter_split,
		"A list of the parts between separators.", "\"a/b/c\" | split(\"/\") | last", "c" },
	{ "join", "join(separator)", 1, 1, { STRING }, LIST, STRING, 0, template_filter_join,
		"The items of a list in one text.", "\"a/b\" | split(\"/\") | join(\", \")",
		"a, b" },
	{ "first", "first", 0, 0, { 0 }, LIST, TYPES_ANY, 0, template_filter_first,
		"The first item of a list; null when it is empty.",
		"\"a/b\" | split(\"/\") | first", "a" },
	{ "last", "last", 0, 0, { 0 }, LIST, TYPES_ANY, 0, template_filter_last,
		"The last item of a list; null when it is empty.", "\"a/b\" | split(\"/\") | last",
		"b" },
	{ "compact", "compact", 0, 0, { 0 }, LIST, LIST, 0, template_filter_compact,
		"A list without its nulls: of the outputs of a mapped task, what was written.",
		"\"a/b\" | split(\"/\") | compact | join(\" \")", "a b" },
	{ "sum", "sum", 0, 0, { 0 }, LIST, TYPES_NUMBER, 0, template_filter_sum,
		"The sum of a list of numbers, or texts of such; nulls are left out, and that of "
		"none is 0.",
		"\"3/4\" | split(\"/\") | sum", "7" },
	{ "length", "length", 0, 0, { 0 }, STRING | LIST | OBJECT, INT, 0, template_filter_length,
		"How many characters, items or keys.", "\"abc\" | length", "3" },
	{ "int", "int", 0, 0, { 0 }, STRING | INT | REAL | BOOL, INT, 0, template_filter_int,
		"As an integer; a number's fraction is cut off.", "\"7\" | int | add(1)", "8" },
	{ "float", "float", 0, 0, { 0 }, STRING | INT | REAL, REAL, 0, template_filter_float,
		"As a number with a fraction.", "2 | float", "2.0" },
	{ "string", "string", 0, 0, { 0 }, TYPES_TEXT, STRING, 0, template_filter_string,
		"As text, so that a value of type \"any\" is a string.", "7 | string", "7" },
	{ "add", "add(n)", 1, 1, { TYPES_NUMBER }, TYPES_NUMBER, TYPES_NUMBER, 0,
		template_filter_add, "The sum.", "task.try | add(-1)", "0" },
	{ "json", "json", 0, 0, { 0 }, TYPES_ANY, STRING, FILTER_TAKES_NULL, template_filter_json,
		"As JSON: strings in quotes, lists and mappings as they are.",
		"\"a/b\" | split(\"/\") | json", "[\"a\",\"b\"]" },
	{ "sh", "sh", 0, 0, { 0 }, TYPES_TEXT | LIST, STRING, 0, template_filter_sh,
		"Quoted as one word for the shell; a list as one word for each item. Do not put "
		"quotes "
		"around it.",
		"\"it's\" | sh", "'it'\\''s'" },
	{ "sql", "sql", 0, 0, { 0 }, TYPES_SCALAR | LIST, STRING, FILTER_TAKES_NULL,
		template_filter_sql,
		"As a literal of SQL; a list as literals with commas. For SQL in a command: in SQL "
		"files and "
		"queries values are bound without it.",
		"\"it's\" | sql", "'it''s'" },
	{ "ident", "ident", 0, 0, { 0 }, TYPES_TEXT | LIST, STRING, 0, template_filter_ident,
		"As a quoted identifier of SQL, for the names of tables and columns.",
		"\"my table\" | ident", "\"my table\"" },
	{ "raw", "raw", 0, 0, { 0 }, TYPES_TEXT | LIST, STRING, 0, template_filter_raw,
		"In SQL, inserted as it is instead of bound. Never for values from outside.",
		"\"a < b\" | raw", "a < b" },
	{ "basename", "basename", 0, 0, { 0 }, TYPES_TEXT, STRING, 0, template_filter_basename,
		"The last part of a path.", "\"in/orders.csv\" | basename", "orders.csv" },
	{ "dirname", "dirname", 0, 0, { 0 }, TYPES_TEXT, STRING, 0, template_filter_dirname,
		"The path without its last part.", "\"in/orders.csv\" | dirname", "in" },
	{ "urlencode", "urlencode", 0, 0, { 0 }, TYPES_TEXT | LIST, STRING, 0,
		template_filter_urlencode, "Percent-encoded, as one part of a URL.",
		"\"a b&c\" | urlencode", "a%20b%26c" },
};

const struct template_filter *template_filters(size_t *ret_n)
{
	*ret_n = sizeof filters / sizeof *filters;
	return filters;
}

const struct template_filter *template_filter_find(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
		if (strncmp(filters[i].name, name, len) == 0 && filters[i].name[len] == '\0')
			return &filters[i];
	return NULL;
}
