/* cron_next and cron_prev against a slow obvious model, for random expressions, zones and
 * instants: the model looks at every minute, one after the other.
 *
 * WEIR_SEED replays a run, WEIR_ROUNDS makes it longer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <unistd.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/err.h"
#include "base/zonefile.h"
#include "core/cron.h"
#include "core/zone.h"

enum { WINDOW_DAYS = 20, ROUNDS = 1500 };

static const int64_t minute_us = 60 * CIVIL_US_PER_S;

static const char *const zone_names[] = { "UTC", "Europe/Berlin", "America/New_York",
	"Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Casablanca", "Pacific/Apia",
	"Asia/Tehran", "Europe/Dublin", "America/St_Johns", "Asia/Kathmandu", "Antarctica/Troll",
	"Africa/Cairo", "Asia/Gaza", "Pacific/Chatham" };
enum { ZONES = sizeof zone_names / sizeof *zone_names };

static uint64_t random_state;

/* splitmix64 */
static uint64_t random64(void)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static int upto(int n)
{
	return (int)(random64() % (uint64_t)(n + 1));
}

static int between(int min, int max)
{
	return min + upto(max - min);
}

/* The model: what an expression says, as it was made up. */
struct field {
	bool values[60];
	bool star;
};

struct model {
	struct field minute, hour, day, month, weekday;
	bool last[31];   /* L-n */
	bool nth[7][6];  /* 5#2 */
	bool last_of[7]; /* 5L */
	bool special_day, special_weekday;
	char text[256];
};

static void add_steps(struct field *f, int from, int to, int step)
{
	for (int v = from; v <= to; v += step)
		f->values[v] = true;
}

static void make_item(struct buf *out, struct field *f, int min, int max)
{
	int a = between(min, max), b = between(min, max), step = between(1, max - min + 1);

	switch (upto(7)) {
	case 0:
		f->star = true;
		add_steps(f, min, max, 1);
		buf_addc(out, '*');
		break;
	case 1:
		f->star = true;
		add_steps(f, min, max, step);
		buf_addf(out, "*/%d", step);
		break;
	case 2:
		add_steps(f, a, max, step);
		buf_addf(out, "%d/%d", a, step);
		break;
	case 3:
		buf_addf(out, "%d-%d", a, b);
		/* obvious, if slow: walk from a to b, over the end */
		for (int v = a;; v = v == max ? min : v + 1) {
			f->values[v] = true;
			if (v == b)
				break;
		}
		break;
	default:
		f->values[a] = true;
		buf_addf(out, "%d", a);
	}
}

static void make_field(struct buf *out, struct field *f, int min, int max)
{
	int items = upto(9) == 0 ? 3 : 1;

	for (int i = 0; i < items; i++) {
		if (i)
			buf_addc(out, ',');
		make_item(out, f, min, max);
	}
	buf_addc(out, ' ');
}

static void make_day(struct buf *out, struct model *m)
{
	int n = upto(5);

	if (upto(4) == 0) {
		m->special_day = true;
		m->last[n] = true;
		if (n)
			buf_addf(out, "L-%d,", n);
		else
			buf_addstr(out, "L,");
		m->day.values[13] = true;
		buf_addstr(out, "13 ");
		return;
	}
	if (upto(1)) {
		add_steps(&m->day, 1, 31, 1);
		buf_addstr(out, upto(1) ? "* " : "? ");
		return;
	}
	make_field(out, &m->day, 1, 31);
}

static void make_weekday(struct buf *out, struct model *m)
{
	int day = upto(6), nth = between(1, 5);

	if (upto(4) == 0) {
		m->special_weekday = true;
		if (upto(1)) {
			m->nth[day][nth] = true;
			buf_addf(out, "%d#%d", day, nth);
		} else {
			m->last_of[day] = true;
			buf_addf(out, upto(1) ? "L%d" : "%dL", day);
		}
		return;
	}
	if (upto(1)) {
		add_steps(&m->weekday, 0, 6, 1);
		buf_addc(out, '*');
		return;
	}
	if (upto(5) == 0) {
		m->weekday.values[0] = true;
		buf_addc(out, '7');
		return;
	}
	make_field(out, &m->weekday, 0, 6);
}

/* Half of the expressions fire at the hours and minutes at which clocks are changed. */
static void make_time(struct buf *out, struct model *m)
{
	if (upto(1)) {
		make_field(out, &m->minute, 0, 59);
		make_field(out, &m->hour, 0, 23);
		return;
	}
	int minute = between(0, 3) * 15, hour = upto(3);
	m->minute.values[minute] = true;
	m->hour.values[hour] = true;
	buf_addf(out, "%d %d ", minute, hour);
}

static void make_model(struct model *m)
{
	struct buf out;

	memset(m, 0, sizeof *m);
	buf_init(&out, sizeof m->text - 1);
	make_time(&out, m);
	make_day(&out, m);
	if (upto(3)) {
		add_steps(&m->month, 1, 12, 1);
		buf_addstr(&out, "* ");
	} else {
		make_field(&out, &m->month, 1, 12);
	}
	make_weekday(&out, m);
	assert_false(out.failed);
	snprintf(m->text, sizeof m->text, "%s", out.data);
	buf_release(&out);
}

static bool is_full(const struct field *f, int min, int max)
{
	for (int v = min; v <= max; v++)
		if (!f->values[v])
			return false;
	return true;
}

static bool model_matches(const struct model *m, const struct civil *c)
{
	if (!m->minute.values[c->min] || !m->hour.values[c->hour] || !m->month.values[c->month])
		return false;
	int weekday = civil_weekday(civil_day(c->year, c->month, c->day));
	int left = civil_days_in_month(c->year, c->month) - c->day;
	bool by_day = m->day.values[c->day] || m->last[left];
	bool by_weekday = m->weekday.values[weekday] || m->nth[weekday][(c->day + 6) / 7] ||
			  (m->last_of[weekday] && left < 7);
	bool free_day = is_full(&m->day, 1, 31), free_weekday = is_full(&m->weekday, 0, 6);
	if (free_day || free_weekday)
		return by_day && by_weekday;
	return by_day || by_weekday;
}

static bool model_elapsed(const struct model *m)
{
	return m->minute.star || m->hour.star || is_full(&m->minute, 0, 59) ||
	       is_full(&m->hour, 0, 23);
}

static int64_t local_at(const struct zone *z, int64_t at_us)
{
	struct zone_info info;

	zone_offset_at(z, at_us, &info);
	return at_us + info.offset_s * CIVIL_US_PER_S;
}

/* Is this local time also shown at another instant, up to 3 hours before (-1) or behind (1)? */
static bool shown_again(const struct zone *z, int64_t at_us, int direction)
{
	int64_t local = local_at(z, at_us);

	for (int i = 1; i <= 180; i++)
		if (local_at(z, at_us + direction * i * minute_us) == local)
			return true;
	return false;
}

static bool local_matches(const struct model *m, int64_t local_us)
{
	struct civil c;

	civil_from_us(local_us, &c);
	return model_matches(m, &c);
}

/* Does a whole minute fire? */
static bool model_fires(
	const struct model *m, const struct zone *z, struct cron_dst dst, int64_t at_us)
{
	int64_t local = local_at(z, at_us), before = local_at(z, at_us - minute_us);

	if (local_matches(m, local)) {
		if (model_elapsed(m))
			return true;
		bool first = shown_again(z, at_us, 1), second = shown_again(z, at_us, -1);
		if (!(second && dst.overlap == CRON_OVERLAP_FIRST) &&
			!(first && dst.overlap == CRON_OVERLAP_SECOND))
			return true;
	}
	if (model_elapsed(m) || dst.gap == CRON_GAP_SKIP)
		return false;
	for (int64_t skipped = before + minute_us; skipped < local; skipped += minute_us)
		if (local_matches(m, skipped))
			return true;
	return false;
}

struct round {
	struct model model;
	struct cron cron;
	const struct zone *zone;
	struct cron_dst dst;
	int64_t at_us;
};

static void wrong(const struct round *r, const char *what, int64_t got_us, int64_t want_us)
{
	fail_msg("\"%s\" in %s (gap %s, overlap %s) %s %lld: got %lld, want %lld", r->model.text,
		zone_name(r->zone), cron_gap_name(r->dst.gap), cron_overlap_name(r->dst.overlap),
		what, (long long)r->at_us, (long long)got_us, (long long)want_us);
}

static void check_next(const struct round *r)
{
	int64_t at = (civil_floor_div(r->at_us, minute_us) + 1) * minute_us;
	int64_t end = at + WINDOW_DAYS * CIVIL_US_PER_DAY;
	struct cron_fire fire;

	while (at < end && !model_fires(&r->model, r->zone, r->dst, at))
		at += minute_us;
	int found = cron_next(&r->cron, r->zone, r->dst, r->at_us, &fire);
	if (at == end ? found && fire.at_us < end : !found || fire.at_us != at)
		wrong(r, "after", found ? fire.at_us : -1, at);
}

static void check_prev(const struct round *r)
{
	int64_t at = civil_floor_div(r->at_us - 1, minute_us) * minute_us;
	int64_t end = at - WINDOW_DAYS * CIVIL_US_PER_DAY;
	struct cron_fire fire;

	while (at > end && !model_fires(&r->model, r->zone, r->dst, at))
		at -= minute_us;
	int found = cron_prev(&r->cron, r->zone, r->dst, r->at_us, &fire);
	if (at == end ? found && fire.at_us > end : !found || fire.at_us != at)
		wrong(r, "before", found ? fire.at_us : -1, at);
}

/* There and back: both directions give the same fires, with the same notes. */
static void check_chain(const struct round *r)
{
	struct cron_fire fires[20], back;
	int64_t at = r->at_us;
	int n = 0;

	while (n < 20 && cron_next(&r->cron, r->zone, r->dst, at, &fires[n])) {
		if (fires[n].at_us <= at)
			wrong(r, "not behind", fires[n].at_us, at);
		at = fires[n++].at_us;
	}
	for (int i = n - 2; i >= 0; i--) {
		int found = cron_prev(&r->cron, r->zone, r->dst, fires[i + 1].at_us, &back);
		if (!found || back.at_us != fires[i].at_us || back.note != fires[i].note ||
			back.local_us != fires[i].local_us)
			wrong(r, "back in the chain of", found ? back.at_us : -1, fires[i].at_us);
	}
}

/* Half of the instants lie near a change of offset, where the trouble is. */
static int64_t random_instant(const struct zone *z)
{
	int64_t at_s = civil_day(between(1975, 2099), 1, 1) * CIVIL_S_PER_DAY + upto(366 * 86400);
	struct zone_span span;

	zone_span_at(z, at_s, &span);
	if (upto(1) && span.until_s < civil_day(2150, 1, 1) * CIVIL_S_PER_DAY)
		at_s = span.until_s + between(-3 * 86400, 86400);
	return at_s * CIVIL_US_PER_S + (upto(1) ? upto(999999) : 0);
}

static void random_round(struct round *r, struct zone *const zones[ZONES])
{
	struct err err = { 0 };

	do {
		make_model(&r->model);
		err_clear(&err);
		if (cron_parse(r->model.text, &r->cron, NULL, &err) < 0 &&
			!strstr(err.msg, "can never fire"))
			fail_msg("\"%s\": %s", r->model.text, err.msg);
	} while (err.code);
	r->zone = zones[upto(ZONES - 1)];
	r->dst = (struct cron_dst){ (enum cron_gap)upto(CRON_GAP_MAX - 1),
		(enum cron_overlap)upto(CRON_OVERLAP_MAX - 1) };
	r->at_us = random_instant(r->zone);
	if (upto(3) == 0)
		r->at_us -= civil_floor_mod(r->at_us, minute_us);
}

static void test_against_model(void **state)
{
	(void)state;
	const char *seed = getenv("WEIR_SEED"), *rounds = getenv("WEIR_ROUNDS");
	struct zone *zones[ZONES];
	struct round r;
	struct err err = { 0 };

	random_state = seed ? strtoull(seed, NULL, 0)
			    : (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
	print_message("# WEIR_SEED=%llu\n", (unsigned long long)random_state);
	for (int i = 0; i < ZONES; i++)
		if (zone_open(zone_names[i], zonefile_read, &zones[i], &err) < 0) {
			print_message("# skipped: %s\n", err.msg);
			while (i-- > 0)
				zone_free(zones[i]);
			return;
		}
	for (int i = 0; i < (rounds ? atoi(rounds) : ROUNDS); i++) {
		random_round(&r, zones);
		check_next(&r);
		check_prev(&r);
		check_chain(&r);
	}
	for (int i = 0; i < ZONES; i++)
		zone_free(zones[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_model),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
