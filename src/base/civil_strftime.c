#include "base/civil.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

static const char *const month_names[] = { "January", "February", "March", "April", "May", "June",
	"July", "August", "September", "October", "November", "December" };
static const char *const day_names[] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday",
	"Friday", "Saturday" };

/* One conversion at work. */
struct conv {
	struct buf *out;
	const struct civil *c;
	int64_t day;
	int utc_offset_s;
	const char *abbrev;
	char pad; /* flag: '-', '_', '0', or 0 for the letter's own */
	bool upper;
	bool colon;
};

static void number(const struct conv *v, int64_t value, int width, char pad)
{
	if (v->pad)
		pad = v->pad;
	if (pad == '-')
		buf_addf(v->out, "%lld", (long long)value);
	else if (pad == '_')
		buf_addf(v->out, "%*lld", width, (long long)value);
	else
		buf_addf(v->out, "%0*lld", width, (long long)value);
}

static void text(const struct conv *v, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		buf_addc(v->out, (char)(v->upper && s[i] >= 'a' && s[i] <= 'z' ? s[i] - 32 : s[i]));
}

static int hour12(const struct conv *v)
{
	return (v->c->hour + 11) % 12 + 1;
}

/* Week of the year where weeks begin on `first` (0: Sunday, 1: Monday); days before it: 0. */
static int week(const struct conv *v, int first)
{
	int since = (civil_weekday(v->day) + 7 - first) % 7;

	return (civil_day_of_year(v->c) + 6 - since) / 7;
}

static int iso(const struct conv *v, bool year)
{
	int y, w;

	civil_iso_week(v->day, &y, &w);
	return year ? y : w;
}

static void put_year(const struct conv *v)
{
	number(v, v->c->year, 4, '0');
}

static void put_century(const struct conv *v)
{
	number(v, civil_floor_div(v->c->year, 100), 2, '0');
}

static void put_year2(const struct conv *v)
{
	number(v, civil_floor_mod(v->c->year, 100), 2, '0');
}

static void put_iso_year(const struct conv *v)
{
	number(v, iso(v, true), 4, '0');
}

static void put_iso_year2(const struct conv *v)
{
	number(v, civil_floor_mod(iso(v, true), 100), 2, '0');
}

static void put_iso_week(const struct conv *v)
{
	number(v, iso(v, false), 2, '0');
}

static void put_week_sunday(const struct conv *v)
{
	number(v, week(v, 0), 2, '0');
}

static void put_week_monday(const struct conv *v)
{
	number(v, week(v, 1), 2, '0');
}

static void put_month(const struct conv *v)
{
	number(v, v->c->month, 2, '0');
}

static void put_month_name(const struct conv *v)
{
	const char *name = month_names[v->c->month - 1];

	text(v, name, strlen(name));
}

static void put_month_abbrev(const struct conv *v)
{
	text(v, month_names[v->c->month - 1], 3);
}

static void put_day(const struct conv *v)
{
	number(v, v->c->day, 2, '0');
}

static void put_day_spaced(const struct conv *v)
{
	number(v, v->c->day, 2, '_');
}

static void put_day_of_year(const struct conv *v)
{
	number(v, civil_day_of_year(v->c), 3, '0');
}

static void put_day_name(const struct conv *v)
{
	const char *name = day_names[civil_weekday(v->day)];

	text(v, name, strlen(name));
}

static void put_day_abbrev(const struct conv *v)
{
	text(v, day_names[civil_weekday(v->day)], 3);
}

static void put_iso_weekday(const struct conv *v)
{
	number(v, (civil_weekday(v->day) + 6) % 7 + 1, 1, '0');
}

static void put_weekday(const struct conv *v)
{
	number(v, civil_weekday(v->day), 1, '0');
}

static void put_hour(const struct conv *v)
{
	number(v, v->c->hour, 2, '0');
}

static void put_hour_spaced(const struct conv *v)
{
	number(v, v->c->hour, 2, '_');
}

static void put_hour12(const struct conv *v)
{
	number(v, hour12(v), 2, '0');
}

static void put_hour12_spaced(const struct conv *v)
{
	number(v, hour12(v), 2, '_');
}

static void put_minute(const struct conv *v)
{
	number(v, v->c->min, 2, '0');
}

static void put_second(const struct conv *v)
{
	number(v, v->c->sec, 2, '0');
}

static void put_usec(const struct conv *v)
{
	number(v, v->c->usec, 6, '0');
}

static void put_am_pm(const struct conv *v)
{
	buf_addstr(v->out, v->c->hour < 12 ? "AM" : "PM");
}

static void put_offset(const struct conv *v)
{
	civil_add_offset(v->out, v->utc_offset_s, v->colon);
}

static void put_abbrev(const struct conv *v)
{
	if (v->abbrev)
		text(v, v->abbrev, strlen(v->abbrev));
	else
		civil_add_offset(v->out, v->utc_offset_s, true);
}

static void put_epoch(const struct conv *v)
{
	int64_t s = v->day * CIVIL_S_PER_DAY + v->c->hour * 3600 + v->c->min * 60 + v->c->sec;

	number(v, s - v->utc_offset_s, 1, '0');
}

/* A letter is a function, or stands for a longer format. */
static const struct {
	void (*put)(const struct conv *v);
	const char *format;
} letters[128] = {
	['Y'] = { put_year, NULL },
	['C'] = { put_century, NULL },
	['y'] = { put_year2, NULL },
	['G'] = { put_iso_year, NULL },
	['g'] = { put_iso_year2, NULL },
	['V'] = { put_iso_week, NULL },
	['U'] = { put_week_sunday, NULL },
	['W'] = { put_week_monday, NULL },
	['m'] = { put_month, NULL },
	['B'] = { put_month_name, NULL },
	['b'] = { put_month_abbrev, NULL },
	['h'] = { put_month_abbrev, NULL },
	['d'] = { put_day, NULL },
	['e'] = { put_day_spaced, NULL },
	['j'] = { put_day_of_year, NULL },
	['A'] = { put_day_name, NULL },
	['a'] = { put_day_abbrev, NULL },
	['u'] = { put_iso_weekday, NULL },
	['w'] = { put_weekday, NULL },
	['H'] = { put_hour, NULL },
	['k'] = { put_hour_spaced, NULL },
	['I'] = { put_hour12, NULL },
	['l'] = { put_hour12_spaced, NULL },
	['M'] = { put_minute, NULL },
	['S'] = { put_second, NULL },
	['f'] = { put_usec, NULL },
	['p'] = { put_am_pm, NULL },
	['z'] = { put_offset, NULL },
	['Z'] = { put_abbrev, NULL },
	['s'] = { put_epoch, NULL },
	['F'] = { NULL, "%Y-%m-%d" },
	['D'] = { NULL, "%m/%d/%y" },
	['T'] = { NULL, "%H:%M:%S" },
	['R'] = { NULL, "%H:%M" },
	['n'] = { NULL, "\n" },
	['t'] = { NULL, "\t" },
	['%'] = { NULL, "%%" },
};

static const char *take_flags(struct conv *v, const char *p)
{
	v->pad = 0;
	v->upper = v->colon = false;
	for (;; p++) {
		if (*p == '-' || *p == '_' || *p == '0')
			v->pad = *p;
		else if (*p == '^')
			v->upper = true;
		else
			break;
	}
	if (p[0] == ':' && p[1] == 'z') {
		v->colon = true;
		p++;
	}
	return p;
}

static int format_all(struct conv *v, const char *fmt, struct err *err)
{
	for (const char *p = fmt; *p; p++) {
		if (*p != '%' || (p[1] == '%' && p++)) {
			buf_addc(v->out, *p);
			continue;
		}
		const char *percent = p;
		p = take_flags(v, p + 1);
		if (!*p)
			return err_set(err, ERR_INVALID,
				"time format \"%.80s\" ends inside a conversion; a percent sign is "
				"written %%%%",
				fmt);
		unsigned char c = (unsigned char)*p;
		if (c < sizeof letters / sizeof *letters && letters[c].put)
			letters[c].put(v);
		else if (c < sizeof letters / sizeof *letters && letters[c].format)
			format_all(v, letters[c].format, err);
		else
			return err_set(err, ERR_INVALID,
				"unknown conversion %.*s in time format \"%.80s\"",
				(int)(p - percent + 1), percent, fmt);
	}
	return 0;
}

int civil_strftime(struct buf *out, const struct civil *c, int utc_offset_s, const char *abbrev,
	const char *fmt, struct err *err)
{
	struct conv v = { .out = out,
		.c = c,
		.day = civil_day(c->year, c->month, c->day),
		.utc_offset_s = utc_offset_s,
		.abbrev = abbrev };

	if (format_all(&v, fmt, err) < 0)
		return -1;
	return buf_ok(out, "formatted time", err);
}
