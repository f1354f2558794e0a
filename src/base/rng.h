/* A small deterministic random generator (xoshiro256**, Blackman and Vigna 2018), seeded
 * by one number: the same seed gives the same sequence everywhere. Not for secrets. */
#ifndef WEIR_BASE_RNG_H
#define WEIR_BASE_RNG_H

#include <stdint.h>

struct rng {
	uint64_t s[4];
};

void rng_init(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);              /* 64 random bits */
uint64_t rng_below(struct rng *r, uint64_t n); /* uniform in [0, n); 0 for n == 0 */
double rng_unit(struct rng *r);                /* uniform in [0, 1) */

#endif
