#include "core/breaker.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/units.h"

const char *const breaker_class_names[] = {
	[BREAKER_TRANSIENT] = "transient",
	[BREAKER_TIMEOUT] = "timeout",
	[BREAKER_PERMANENT] = "permanent",
	NULL,
};
static_assert(sizeof breaker_class_names / sizeof *breaker_class_names == BREAKER_CLASS_MAX + 1,
	"a name for each class");

static const char *const state_names[] = {
	[BREAKER_CLOSED] = "closed",
	[BREAKER_OPEN] = "open",
	[BREAKER_HALF_OPEN] = "half_open",
};
static_assert(sizeof state_names / sizeof *state_names == BREAKER_STATE_MAX, "a name for each");

const char *breaker_class_name(enum breaker_class c)
{
	return breaker_class_names[c];
}

const char *breaker_state_name(enum breaker_state s)
{
	return state_names[s];
}

int breaker_state_by_name(const char *name)
{
	for (int i = 0; i < BREAKER_STATE_MAX; i++)
		if (strcmp(state_names[i], name) == 0)
			return i;
	return -1;
}

/* ---- the window ------------------------------------------------------------------------ */

static int64_t slice_number(const struct breaker_policy *p, int64_t at_us)
{
	int64_t width = p->window_us / BREAKER_SLICES;

	return at_us / (width > 0 ? width : 1);
}

int breaker_failures(
	const struct breaker *b, const struct breaker_policy *p, int64_t now_us, int *ret_ended)
{
	int64_t last = slice_number(p, now_us), first = last - BREAKER_SLICES + 1;
	int failed = 0, ended = 0;

	for (int i = 0; i < BREAKER_SLICES; i++) {
		const struct breaker_slice *s = &b->slices[i];
		/* One of the future is of before the clock was set back. */
		if (s->number < first || s->number > last)
			continue;
		failed += s->failed;
		ended += s->ended;
	}
	if (ret_ended)
		*ret_ended = ended;
	return failed;
}

static void count(struct breaker *b, const struct breaker_policy *p, bool failed, int64_t now_us)
{
	int64_t number = slice_number(p, now_us);
	struct breaker_slice *s = &b->slices[(uint64_t)number % BREAKER_SLICES];

	if (s->number != number)
		*s = (struct breaker_slice){ .number = number };
	s->ended++;
	s->failed += failed;
}

static bool is_too_much(const struct breaker *b, const struct breaker_policy *p, int64_t now_us)
{
	int ended, failed = breaker_failures(b, p, now_us, &ended);

	if (p->failures > 0 && failed >= p->failures)
		return true;
	return p->rate > 0 && failed > 0 && ended >= p->at_least &&
	       (double)failed >= p->rate * (double)ended;
}

/* ---- states ---------------------------------------------------------------------------- */

static void enter(struct breaker *b, enum breaker_state state, int64_t now_us)
{
	b->state = state;
	b->since_us = now_us;
	b->until_us = 0;
	b->probing = b->passed = 0;
	b->ramp_us = 0;
	b->era++;
	if (state == BREAKER_CLOSED)
		memset(b->slices, 0, sizeof b->slices);
}

static void open_for(struct breaker *b, const struct breaker_policy *p, int64_t now_us)
{
	double longer = b->open_us ? (double)b->open_us * p->factor : (double)p->open_us;
	int64_t open_us = longer < (double)p->max_open_us ? (int64_t)longer : p->max_open_us;

	enter(b, BREAKER_OPEN, now_us);
	b->open_us = open_us;
	b->until_us = now_us + open_us;
}

static void close_well(struct breaker *b, int64_t now_us)
{
	enter(b, BREAKER_CLOSED, now_us);
	b->open_us = 0;
	b->ramp_us = now_us;
}

void breaker_force_open(struct breaker *b, int64_t now_us)
{
	enter(b, BREAKER_OPEN, now_us);
	b->until_us = INT64_MAX;
}

void breaker_force_closed(struct breaker *b, int64_t now_us)
{
	close_well(b, now_us);
}

void breaker_end_ramp(struct breaker *b)
{
	b->ramp_us = 0;
}

/* ---- starting -------------------------------------------------------------------------- */

int64_t breaker_ramp_step_us(const struct breaker_policy *p)
{
	return (US_PER_SECOND + p->ramp - 1) / p->ramp;
}

/* No wait becomes longer because the clock was set back. */
void breaker_heed_clock(struct breaker *b, const struct breaker_policy *p, int64_t now_us)
{
	int64_t open_us = b->open_us ? b->open_us : p->open_us;

	if (b->state == BREAKER_OPEN && b->until_us < INT64_MAX && b->until_us - open_us > now_us)
		b->until_us = now_us + open_us;
	if (b->ramp_us - breaker_ramp_step_us(p) > now_us)
		b->ramp_us = now_us;
}

bool breaker_ask(
	struct breaker *b, const struct breaker_policy *p, int64_t now_us, int64_t *ret_again_us)
{
	breaker_heed_clock(b, p, now_us);
	*ret_again_us = INT64_MAX;
	if (b->state == BREAKER_OPEN && now_us >= b->until_us)
		enter(b, BREAKER_HALF_OPEN, now_us);
	switch (b->state) {
	case BREAKER_CLOSED:
		*ret_again_us = b->ramp_us;
		return now_us >= b->ramp_us;
	case BREAKER_OPEN:
		*ret_again_us = b->until_us;
		return false;
	default:
		return b->probing + b->passed < p->probes;
	}
}

struct breaker_pass breaker_pass(struct breaker *b, const struct breaker_policy *p, int64_t now_us)
{
	struct breaker_pass pass = { .probe = b->state == BREAKER_HALF_OPEN, .era = b->era };

	b->probing += pass.probe;
	if (b->ramp_us)
		b->ramp_us = now_us + breaker_ramp_step_us(p);
	return pass;
}

/* ---- ending ---------------------------------------------------------------------------- */

static bool probe_ended(struct breaker *b, const struct breaker_policy *p, bool failed,
	bool success, int64_t now_us)
{
	b->probing -= b->probing > 0;
	if (failed) {
		open_for(b, p, now_us);
		return true;
	}
	b->passed += success;
	if (b->passed >= p->probes)
		close_well(b, now_us);
	return success;
}

bool breaker_ended(struct breaker *b, const struct breaker_policy *p, const struct breaker_end *e,
	int64_t now_us)
{
	bool failed = !e->success && !e->void_ && (p->counts & 1u << e->class);
	/* A failure that does not count says that what is shared did answer. */
	bool success = !failed && !e->void_;

	if (e->pass.era != b->era)
		return false;
	if (b->state == BREAKER_HALF_OPEN && e->pass.probe)
		return probe_ended(b, p, failed, success, now_us);
	if (b->state != BREAKER_CLOSED || e->void_ || (!failed && p->rate <= 0))
		return false;
	count(b, p, failed, now_us);
	if (failed && is_too_much(b, p, now_us))
		open_for(b, p, now_us);
	return true;
}

/* ---- as text --------------------------------------------------------------------------- */

/* "v1 STATE SINCE UNTIL OPEN RAMP", then for each slice in use " NUMBER ENDED FAILED". */
void breaker_add(struct buf *out, const struct breaker *b)
{
	buf_addf(out, "v1 %s %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64,
		breaker_state_name(b->state), b->since_us, b->until_us, b->open_us, b->ramp_us);
	for (int i = 0; i < BREAKER_SLICES; i++) {
		const struct breaker_slice *s = &b->slices[i];
		if (s->ended > 0)
			buf_addf(out, " %" PRId64 " %d %d", s->number, s->ended, s->failed);
	}
}

static bool take(const char **at, int64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoll(*at, &end, 10);
	if (end == *at || errno || *ret < 0 || (*end && *end != ' '))
		return false;
	*at = end;
	return true;
}

static bool take_state(const char **at, enum breaker_state *ret)
{
	for (int i = 0; i < BREAKER_STATE_MAX; i++) {
		size_t len = strlen(state_names[i]);
		if (strncmp(*at, state_names[i], len) == 0 && (*at)[len] == ' ') {
			*ret = (enum breaker_state)i;
			*at += len;
			return true;
		}
	}
	return false;
}

static bool take_slice(const char **at, struct breaker *b)
{
	int64_t number, ended, failed;

	if (!take(at, &number) || !take(at, &ended) || !take(at, &failed) || ended > INT32_MAX ||
		failed > ended)
		return false;
	b->slices[(uint64_t)number % BREAKER_SLICES] = (struct breaker_slice){
		.number = number, .ended = (int)ended, .failed = (int)failed
	};
	return true;
}

static bool parse(const char *at, struct breaker *b)
{
	if (strncmp(at, "v1 ", 3) != 0)
		return false;
	at += 3;
	if (!take_state(&at, &b->state) || !take(&at, &b->since_us) || !take(&at, &b->until_us) ||
		!take(&at, &b->open_us) || !take(&at, &b->ramp_us))
		return false;
	while (*at)
		if (!take_slice(&at, b))
			return false;
	return true;
}

bool breaker_parse(const char *text, struct breaker *ret)
{
	*ret = (struct breaker){ 0 };
	if (parse(text, ret))
		return true;
	*ret = (struct breaker){ 0 };
	return false;
}
