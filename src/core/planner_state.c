#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "core/planner.h"

/* "v1 ticks last_start last_end", then, if intervals wait, "tail_start tail_end" and for each gap
 * "from last_start last_end". */
static const char version[] = "v1 ";

static void add_span(struct buf *out, const struct planner_span *span)
{
	buf_addf(out, " %" PRId64 " %" PRId64, span->start_us, span->end_us);
}

void planner_state_add(struct buf *out, const struct planner_state *state)
{
	buf_addstr(out, version);
	buf_addf(out, "%016" PRIx64, state->ticks);
	if (!state->has_last)
		return;
	add_span(out, &state->last);
	if (!state->waiting)
		return;
	add_span(out, &state->tail);
	for (int i = 0; i < state->ngaps; i++) {
		buf_addf(out, " %" PRId64, state->gaps[i].from_us);
		add_span(out, &state->gaps[i].last);
	}
}

/* A number that a blank or the end follows. False: there is none. */
static bool take(const char **at, int64_t *ret)
{
	char *end;

	while (**at == ' ')
		(*at)++;
	errno = 0;
	*ret = strtoll(*at, &end, 10);
	if (end == *at || errno || (*end && *end != ' '))
		return false;
	*at = end;
	return true;
}

static bool take_span(const char **at, struct planner_span *ret)
{
	return take(at, &ret->start_us) && take(at, &ret->end_us) && ret->start_us <= ret->end_us;
}

static bool take_gap(const char **at, struct planner_state *s)
{
	struct planner_gap *gap = &s->gaps[s->ngaps];
	const struct planner_span *before = s->ngaps ? &s->gaps[s->ngaps - 1].last : &s->last;

	if (!take(at, &gap->from_us) || !take_span(at, &gap->last) ||
		gap->from_us <= before->start_us || gap->last.start_us < gap->from_us)
		return false;
	s->ngaps++;
	return true;
}

static bool parse(const char *text, struct planner_state *s)
{
	char *end;

	if (strncmp(text, version, sizeof version - 1) != 0)
		return false;
	text += sizeof version - 1;
	s->ticks = strtoull(text, &end, 16);
	if (end == text)
		return false;
	text = end;
	if (!*text)
		return true;
	s->has_last = take_span(&text, &s->last);
	if (!s->has_last || !*text)
		return s->has_last;
	s->waiting = take_span(&text, &s->tail) && s->tail.start_us > s->last.start_us;
	if (!s->waiting)
		return false;
	while (*text)
		if (s->ngaps == PLANNER_GAPS_MAX || !take_gap(&text, s))
			return false;
	return true;
}

int planner_state_parse(const char *text, struct planner_state *ret, struct err *err)
{
	struct planner_state s = { 0 };

	*ret = s;
	if (!parse(text, &s))
		return err_set(err, ERR_INVALID, "\"%.200s\" is no state of a schedule", text);
	*ret = s;
	return 0;
}
