#include "core/cron.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "base/err.h"

enum field_id { MINUTE, HOUR, MONTH_DAY, MONTH, WEEKDAY, FIELD_MAX };

static const char *const month_names[] = { "january", "february", "march", "april", "may", "june",
	"july", "august", "september", "october", "november", "december", NULL };
static const char *const day_names[] = { "sunday", "monday", "tuesday", "wednesday", "thursday",
	"friday", "saturday", NULL };

/* One row per field, in the order of the expression. */
static const struct field {
	const char *name;
	int min, max;
	int last;                 /* the largest that `*`, steps and wrapping ranges reach */
	const char *const *names; /* of min, min + 1, ... */
	const char *allowed;
} fields[] = {
	[MINUTE] = { "minute", 0, 59, 59, NULL, "0-59" },
	[HOUR] = { "hour", 0, 23, 23, NULL, "0-23" },
	[MONTH_DAY] = { "day of month", 1, 31, 31, NULL, "1-31, L or L-3" },
	[MONTH] = { "month", 1, 12, 12, month_names, "1-12 or jan-dec" },
	[WEEKDAY] = { "day of week", 0, 7, 6, day_names, "0-7 (0 and 7 are Sunday) or sun-sat" },
};
static_assert(sizeof fields / sizeof *fields == FIELD_MAX, "a row for each field");

static const struct {
	const char *name, *expr;
} macros[] = {
	{ "@yearly", "0 0 1 1 *" },
	{ "@annually", "0 0 1 1 *" },
	{ "@monthly", "0 0 1 * *" },
	{ "@weekly", "0 0 * * 0" },
	{ "@daily", "0 0 * * *" },
	{ "@midnight", "0 0 * * *" },
	{ "@hourly", "0 * * * *" },
};

/* What a field says. */
struct set {
	uint64_t values; /* bit n: value n; weekdays 0 to 6 */
	uint32_t last;   /* day of month: bit n: L-n; day of week: bit d: the last weekday d */
	uint8_t nth[7];  /* day of week: bit n: the nth weekday d */
	bool star;
};

struct parser {
	const char *text;
	const char *at, *end; /* what is left of the field */
	const char *from;     /* where the field begins */
	const struct field *field;
	int *ret_col;
	struct err *err;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
	return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z') || c == '_' ||
	       (unsigned char)c >= 0x80;
}

static bool same_word(const char *word, size_t len, const char *name, size_t name_len)
{
	if (len != name_len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (lower(word[i]) != name[i])
			return false;
	return true;
}

static int at_col(const struct parser *p, const char *where)
{
	if (p->ret_col)
		*p->ret_col = (int)(where - p->text);
	return -1;
}

/* "cron "0 25 * * *": hour: 25 is not allowed: 0-23" */
static int bad_value(const struct parser *p, const char *from, const char *to)
{
	int len = (int)(to - from);

	err_set(p->err, ERR_INVALID, "cron \"%.80s\": %s: \"%.*s\" is not allowed; values are %s",
		p->text, p->field->name, len > 40 ? 40 : len, from, p->field->allowed);
	return at_col(p, from);
}

static int complain(const struct parser *p, const char *where, const char *what)
{
	err_set(p->err, ERR_INVALID, "cron \"%.80s\": %s: %s", p->text, p->field->name, what);
	return at_col(p, where);
}

static bool accept(struct parser *p, char c)
{
	if (p->at == p->end || lower(*p->at) != c)
		return false;
	p->at++;
	return true;
}

/* Where the word (digits or letters) that begins at `from` ends. */
static const char *word_end(const struct parser *p, const char *from)
{
	while (from < p->end && is_word(*from))
		from++;
	return from;
}

static int by_name(const struct field *f, const char *word, size_t len)
{
	for (int i = 0; f->names && f->names[i]; i++)
		if (same_word(word, len, f->names[i], 3) ||
			same_word(word, len, f->names[i], strlen(f->names[i])))
			return f->min + i;
	return -1;
}

/* A number at *at, at most four digits; -1: none there, or it is too large to be one. */
static int take_number(struct parser *p)
{
	int n = 0, digits = 0;

	for (; p->at < p->end && is_digit(*p->at) && digits < 5; p->at++, digits++)
		n = n * 10 + (*p->at - '0');
	return digits == 0 || digits > 4 ? -1 : n;
}

/* A value, by number or name. A weekday's name can be followed by L (friL), so that an L
 * at the end of a word that is no name is left for the caller. */
static int take_value(struct parser *p, int *ret)
{
	const char *from = p->at, *to = word_end(p, from);
	int n;

	if (from == to)
		return bad_value(p, from, from < p->end ? from + 1 : from);
	if (is_digit(*from)) {
		n = take_number(p);
	} else {
		p->at = to;
		n = by_name(p->field, from, (size_t)(to - from));
		if (n < 0 && p->field == &fields[WEEKDAY] && lower(to[-1]) == 'l') {
			n = by_name(p->field, from, (size_t)(to - from) - 1);
			p->at = to - 1;
		}
	}
	if (n < p->field->min || n > p->field->max)
		return bad_value(p, from, to);
	*ret = n;
	return 0;
}

static int take_step(struct parser *p, int *ret)
{
	const struct field *f = p->field;
	const char *from = p->at;
	int most = f->last - f->min + 1;
	int n = take_number(p);

	if (n >= 1 && n <= most && (p->at == p->end || !is_word(*p->at))) {
		*ret = n;
		return 0;
	}
	const char *to = word_end(p, from);
	if (to == from && to < p->end)
		to++;
	int len = to - from > 40 ? 40 : (int)(to - from);
	err_set(p->err, ERR_INVALID, "cron \"%.80s\": %s: step \"%.*s\" is not in 1-%d", p->text,
		f->name, len, from, most);
	return at_col(p, from);
}

static void add_range(const struct field *f, struct set *set, int lo, int hi, int step)
{
	int last = f->last;

	/* Sunday as 7 ends a range (5-7) or begins a wrapping one (7-2). */
	if (lo <= hi && hi > last)
		last = hi;
	else if (lo > hi && lo > last)
		lo = f->min;
	int span = lo <= hi ? hi - lo : hi - lo + (last - f->min + 1);
	for (int i = 0; i <= span; i += step) {
		int value = lo + i <= last ? lo + i : lo + i - (last - f->min + 1);
		set->values |= UINT64_C(1) << (value > f->last ? f->min : value);
	}
}

/* L, L-3 in the day of month. */
static int take_last_day(struct parser *p, struct set *set)
{
	const char *from = p->at - 1;
	int back = 0;

	if (accept(p, '-')) {
		back = take_number(p);
		if (back < 1 || back > 30)
			return complain(p, from, "L-n is the nth day before the last, n is 1-30");
	} else if (p->at < p->end && *p->at != ',') {
		return complain(p, from,
			"L is the last day of the month, L-3 the third before it; nothing else "
			"goes "
			"with L");
	}
	set->last |= 1u << back;
	return 0;
}

/* 5#2, 5L, behind the weekday. 1: it was one of them. */
static int take_weekday_special(struct parser *p, int value, struct set *set)
{
	const char *from = p->at;
	int weekday = value % 7;

	if (accept(p, 'l')) {
		set->last |= 1u << weekday;
		return 1;
	}
	if (!accept(p, '#'))
		return 0;
	if (accept(p, 'l')) {
		set->last |= 1u << weekday;
		return 1;
	}
	int nth = take_number(p);
	if (nth < 1 || nth > 5)
		return complain(p, from,
			"behind # stands which weekday of the month: 1-5, or L for the last");
	set->nth[weekday] |= (uint8_t)(1u << nth);
	return 1;
}

static int take_range(struct parser *p, struct set *set)
{
	const struct field *f = p->field;
	int lo = 0, step = 1;

	if (take_value(p, &lo) < 0)
		return -1;
	if (f == &fields[WEEKDAY]) {
		int rc = take_weekday_special(p, lo, set);
		if (rc)
			return rc < 0 ? -1 : 0;
	}
	int hi = lo;
	bool range = accept(p, '-');
	if (range && take_value(p, &hi) < 0)
		return -1;
	if (accept(p, '/')) {
		if (take_step(p, &step) < 0)
			return -1;
		if (!range)
			hi = lo > f->last ? lo : f->last;
	}
	add_range(f, set, lo, hi, step);
	return 0;
}

static int take_item(struct parser *p, struct set *set)
{
	const struct field *f = p->field;
	bool day_field = f == &fields[MONTH_DAY] || f == &fields[WEEKDAY];
	int step = 1;

	if (accept(p, '*')) {
		set->star = true;
		if (accept(p, '/') && take_step(p, &step) < 0)
			return -1;
		add_range(f, set, f->min, f->last, step);
		return 0;
	}
	if (day_field && accept(p, '?')) {
		add_range(f, set, f->min, f->last, 1);
		return 0;
	}
	if (f == &fields[MONTH_DAY] && accept(p, 'l'))
		return take_last_day(p, set);
	if (f == &fields[WEEKDAY] && p->at < p->end && lower(*p->at) == 'l') {
		const char *from = p->at++;
		int value = 0;
		if (p->at == p->end || *p->at == ',')
			return complain(
				p, from, "L wants a weekday: L5 is the last Friday of the month");
		if (take_value(p, &value) < 0)
			return -1;
		set->last |= 1u << value % 7;
		return 0;
	}
	return take_range(p, set);
}

static int unexpected(const struct parser *p)
{
	if (lower(*p->at) == 'w')
		return complain(p, p->at,
			"W (the nearest weekday) is not known; move runs off weekends with the "
			"schedule's calendar");
	if (is_word(*p->at)) {
		/* 1_0, 4x: the whole word is what is wrong. */
		const char *from = p->at;
		while (from > p->from && is_word(from[-1]))
			from--;
		return bad_value(p, from, word_end(p, from));
	}
	return bad_value(p, p->at, p->at + 1);
}

static int take_field(struct parser *p, struct set *set)
{
	for (;;) {
		if (p->at == p->end || *p->at == ',')
			return complain(p, p->at, "a value is missing in the list");
		if (take_item(p, set) < 0)
			return -1;
		if (p->at == p->end)
			return 0;
		if (!accept(p, ','))
			return unexpected(p);
	}
}

static uint64_t all_values(const struct field *f)
{
	return ((UINT64_C(2) << f->last) - 1) & ~((UINT64_C(1) << f->min) - 1);
}

static bool is_full(const struct set *set, enum field_id id)
{
	return set->values == all_values(&fields[id]);
}

static bool day_matches(
	const struct set *days, const struct set *weekdays, int length, int first, int day)
{
	int weekday = (first + day - 1) % 7;
	bool by_day = (days->values >> day & 1) || (days->last >> (length - day) & 1);
	bool by_weekday = (weekdays->values >> weekday & 1) ||
			  (weekdays->nth[weekday] >> ((day - 1) / 7 + 1) & 1) ||
			  ((weekdays->last >> weekday & 1) && day + 7 > length);

	if (!is_full(days, MONTH_DAY) && !is_full(weekdays, WEEKDAY))
		return by_day || by_weekday;
	return by_day && by_weekday;
}

static void work_out_days(const struct set sets[FIELD_MAX], struct cron *cron)
{
	for (int length = 28; length <= 31; length++)
		for (int first = 0; first < 7; first++) {
			uint32_t days = 0;
			for (int day = 1; day <= length; day++)
				if (day_matches(
					    &sets[MONTH_DAY], &sets[WEEKDAY], length, first, day))
					days |= 1u << day;
			cron->days[length - 28][first] = days;
		}
}

/* In 400 years a month of any length begins on each weekday, a 29-day February included; and what
 * matches in a February of 28 days matches in one of 29. */
static bool can_fire(const struct cron *cron)
{
	static const uint8_t longest[] = { 0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	for (int month = 1; month <= 12; month++)
		for (int first = 0; first < 7 && (cron->months >> month & 1); first++)
			if (cron->days[longest[month] - 28][first])
				return true;
	return false;
}

static int parse_fields(struct parser *p, struct set sets[FIELD_MAX])
{
	const char *s = p->text;
	const char *starts[FIELD_MAX] = { NULL };
	int n = 0;

	for (;; n++) {
		while (is_space(*s))
			s++;
		if (!*s || n > FIELD_MAX)
			break;
		if (n == FIELD_MAX) {
			err_set(p->err, ERR_INVALID,
				"cron \"%.80s\": more than five fields (minute, hour, day of "
				"month, month, "
				"day of week); there is none for seconds: write `every: 30s` for "
				"that",
				p->text);
			return at_col(p, s);
		}
		starts[n] = s;
		while (*s && !is_space(*s))
			s++;
	}
	if (n < FIELD_MAX) {
		err_set(p->err, ERR_INVALID,
			"cron \"%.80s\": %d of the five fields minute, hour, day of month, month, "
			"day of "
			"week",
			p->text, n);
		return at_col(p, s);
	}
	for (int i = 0; i < FIELD_MAX; i++) {
		p->field = &fields[i];
		p->at = p->from = p->end = starts[i];
		while (*p->end && !is_space(*p->end))
			p->end++;
		if (take_field(p, &sets[i]) < 0)
			return -1;
	}
	p->from = starts[MONTH_DAY];
	return 0;
}

/* The expression that a macro stands for; the text itself when it is none. */
static const char *expand_macro(const struct parser *p)
{
	const char *s = p->text;

	while (is_space(*s))
		s++;
	size_t len = strlen(s);
	while (len && is_space(s[len - 1]))
		len--;
	if (*s != '@')
		return p->text;
	for (size_t i = 0; i < sizeof macros / sizeof *macros; i++)
		if (same_word(s, len, macros[i].name, strlen(macros[i].name)))
			return macros[i].expr;
	err_set(p->err, ERR_INVALID,
		"cron \"%.80s\": unknown word; known are @hourly, @daily, @midnight, @weekly, "
		"@monthly, "
		"@yearly and @annually (for a fixed period write `every: 30s`)",
		p->text);
	at_col(p, s);
	return NULL;
}

int cron_parse(const char *text, struct cron *ret, int *ret_col, struct err *err)
{
	struct parser p = { .text = text, .ret_col = ret_col, .err = err };
	struct set sets[FIELD_MAX] = { 0 };

	p.text = expand_macro(&p);
	if (!p.text || parse_fields(&p, sets) < 0)
		return -1;
	struct cron cron = {
		.minutes = sets[MINUTE].values,
		.hours = (uint32_t)sets[HOUR].values,
		.months = (uint32_t)sets[MONTH].values,
		.elapsed = sets[MINUTE].star || sets[HOUR].star || is_full(&sets[MINUTE], MINUTE) ||
			   is_full(&sets[HOUR], HOUR),
		.either_day =
			!is_full(&sets[MONTH_DAY], MONTH_DAY) && !is_full(&sets[WEEKDAY], WEEKDAY),
	};
	work_out_days(sets, &cron);
	if (!can_fire(&cron)) {
		err_set(err, ERR_INVALID,
			"cron \"%.80s\" can never fire: no month it names has such a day", text);
		return at_col(&p, p.from);
	}
	*ret = cron;
	return 0;
}
