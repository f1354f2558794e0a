/* Circuit breakers: whether an attempt that uses something shared may start. Pure.
 *
 * closed:    attempts start. Failures that count are kept for `window_us`; when there are
 *            `failures` of them, or when at least `at_least` attempts ended and the share `rate` of
 *            them failed, it opens.
 * open:      nothing starts for `open_us`, which grows by `factor` each time probes fail, up to
 *            `max_open_us`.
 * half-open: `probes` attempts start, no more. When all have succeeded it closes; when one fails it
 *            opens again, for longer.
 *
 * What was held while it was open is released in a ramp, at most `ramp` starts in any second, so
 * that what has just recovered is not run over. (Nygard, "Release It!", 2007; the names of the
 * states are his.) An attempt speaks for the state it was admitted in: those that were in flight
 * when it changed say nothing when they end.
 *
 * Who wants to start asks all breakers first (breaker_ask, which takes nothing), and when all say
 * yes goes through each (breaker_pass). The state is kept as text (breaker_add, breaker_parse) and
 * restored after a restart. A clock that is set back makes no wait longer than it was to be.
 */
#ifndef WEIR_CORE_BREAKER_H
#define WEIR_CORE_BREAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

/* What kind of failure an attempt had. */
enum breaker_class {
	BREAKER_TRANSIENT, /* failed in a way that another try may mend */
	BREAKER_TIMEOUT,
	BREAKER_PERMANENT, /* the user's own: wrong data, wrong code */
	BREAKER_CLASS_MAX
};
const char *breaker_class_name(enum breaker_class c); /* "transient" */
extern const char *const breaker_class_names[];       /* NULL-ended, in the order of the enum */

struct breaker_policy {
	int failures;      /* that open it, within the window; 0: by rate alone */
	double rate;       /* share of failures that opens it, 0 to 1; 0: by number alone */
	int at_least;      /* ended attempts in the window before the rate is judged */
	int64_t window_us; /* at least 1 s */
	int64_t open_us;   /* how long it is open at first */
	int64_t max_open_us;
	double factor;   /* at least 1 */
	int probes;      /* at least 1 */
	int ramp;        /* starts a second after it closed, at least 1 */
	unsigned counts; /* bits of 1 << enum breaker_class */
};

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN, BREAKER_STATE_MAX };
const char *breaker_state_name(enum breaker_state s); /* "half_open" */
int breaker_state_by_name(const char *name);          /* -1: none */

/* Failures and ends within the window are counted in slices of it: old ones leave a slice at a
 * time. */
enum { BREAKER_SLICES = 16 };
struct breaker_slice {
	int64_t number; /* of the slice, since the epoch */
	int ended, failed;
};

struct breaker {
	enum breaker_state state;
	int64_t since_us;    /* in this state; 0: from the beginning */
	int64_t until_us;    /* open: when it becomes half-open; INT64_MAX: a person opened it */
	int64_t open_us;     /* how long it was opened for last; 0: not since it was well */
	int probing, passed; /* half-open: probes in flight, and that succeeded */
	int64_t ramp_us;     /* closed: when the next may start; 0: no ramp */
	unsigned era;        /* how often it changed; not kept as text */
	struct breaker_slice slices[BREAKER_SLICES];
};

/* May an attempt start now? Nothing is counted; an open one whose time is over becomes half-open.
 * False: *ret_again_us is when to ask again; INT64_MAX: after breaker_ended or a person. */
bool breaker_ask(
	struct breaker *b, const struct breaker_policy *p, int64_t now_us, int64_t *ret_again_us);
/* What an attempt was admitted as; for breaker_ended. */
struct breaker_pass {
	bool probe;
	unsigned era;
};
/* It starts: only after breaker_ask said yes at the same instant. */
struct breaker_pass breaker_pass(struct breaker *b, const struct breaker_policy *p, int64_t now_us);
/* How far apart starts are in a ramp. */
int64_t breaker_ramp_step_us(const struct breaker_policy *p);

/* How an attempt that was admitted ended. */
struct breaker_end {
	struct breaker_pass pass;
	bool success;
	bool void_;               /* cancelled or lost: says nothing of what is shared */
	enum breaker_class class; /* of a failure */
};
/* True when something changed: the state, or what is counted. */
bool breaker_ended(struct breaker *b, const struct breaker_policy *p, const struct breaker_end *e,
	int64_t now_us);

/* The clock was set back, maybe: what would take longer for it does not. breaker_ask does this,
 * too.
 */
void breaker_heed_clock(struct breaker *b, const struct breaker_policy *p, int64_t now_us);

/* By a person: open until it is closed by one, or closed at once. */
void breaker_force_open(struct breaker *b, int64_t now_us);
void breaker_force_closed(struct breaker *b, int64_t now_us);
/* Nothing is held any more: the ramp is over. */
void breaker_end_ramp(struct breaker *b);

/* Failures and ends within the window now. */
int breaker_failures(
	const struct breaker *b, const struct breaker_policy *p, int64_t now_us, int *ret_ended);

/* As text, and back. What is no such text is a breaker that never opened, and false. Probes in
 * flight are not kept: attempts of before a restart are not asked again. */
void breaker_add(struct buf *out, const struct breaker *b);
bool breaker_parse(const char *text, struct breaker *ret);

#endif
