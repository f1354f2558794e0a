/* The one place where time is read.
 *
 * For tests of the real binary, the environment variable WEIR_TEST_CLOCK (an RFC 3339
 * instant) replaces the wall clock: it starts there, moves on by a microsecond at each
 * reading, and jumps to the next timer when the loop would sleep (clock_warp). The monotonic clock
 * follows it.
 */
#ifndef WEIR_BASE_CLOCK_H
#define WEIR_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

int64_t clock_now_us(void);     /* wall clock, microseconds since the epoch, UTC */
int64_t clock_mono_us(void);    /* never goes back; for intervals */
bool clock_is_fake(void);       /* WEIR_TEST_CLOCK is set */
void clock_warp(int64_t to_us); /* fake clock only: move forward to that instant */
/* For simulations: from now on the clocks are fake and show these instants, the wall clock also an
 * earlier one than before. now_us 0: the real ones again. */
void clock_fake_set(int64_t now_us, int64_t mono_us);

#endif
