#include "base/clock.h"

#include <stdlib.h>
#include <time.h>

#include "base/civil.h"

/* The fake clock: now_us is 0 when the real one is used. */
static struct {
	bool known; /* the environment was looked at */
	int64_t now_us;
	int64_t mono_us; /* what the monotonic clock is ahead of it */
} fake;

static int64_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void look_at_environment(void)
{
	const char *text = getenv("WEIR_TEST_CLOCK");
	struct civil_text t;

	fake.known = true;
	if (text && civil_parse(text, &t, NULL) == 0)
		fake.now_us = civil_text_us(&t);
}

bool clock_is_fake(void)
{
	if (!fake.known)
		look_at_environment();
	return fake.now_us != 0;
}

int64_t clock_now_us(void)
{
	return clock_is_fake() ? ++fake.now_us : read_clock(CLOCK_REALTIME);
}

int64_t clock_mono_us(void)
{
	return clock_is_fake() ? ++fake.now_us + fake.mono_us : read_clock(CLOCK_MONOTONIC);
}

void clock_warp(int64_t to_us)
{
	if (clock_is_fake() && to_us > fake.now_us)
		fake.now_us = to_us;
}

void clock_fake_set(int64_t now_us, int64_t mono_us)
{
	fake.known = true;
	fake.now_us = now_us;
	fake.mono_us = now_us ? mono_us - now_us : 0;
}
