#include "conf/yaml_names.h"

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

static uint64_t seed(void)
{
	uint64_t random = 0;
	const void *given = (const void *)getauxval(AT_RANDOM); /* 16 bytes, see getauxval(3) */

	if (given)
		memcpy(&random, given, sizeof random);
	return random;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_of(const char *text, size_t len)
{
	uint64_t h = seed() ^ len * 0x9e3779b97f4a7c15u, chunk;

	for (; len >= 8; text += 8, len -= 8) {
		memcpy(&chunk, text, 8);
		h = mix(h ^ chunk, 0xa0761d6478bd642fu ^ h);
	}
	chunk = 0;
	memcpy(&chunk, text, len);
	return mix(h ^ chunk, 0xe7037ed1a0b428dbu);
}

void yaml_names_release(struct yaml_names *t)
{
	free(t->slots);
	*t = (struct yaml_names){ 0 };
}

int yaml_names_reset(struct yaml_names *t, size_t n)
{
	size_t want = 16;

	while (want < n * 2)
		want *= 2;
	if (want > t->cap) {
		free(t->slots);
		t->slots = calloc(want, sizeof *t->slots);
		t->cap = t->slots ? want : 0;
		t->mask = t->slots ? want - 1 : 0;
		t->n = 0;
		return t->slots ? 0 : -1;
	}
	memset(t->slots, 0, want * sizeof *t->slots);
	t->mask = want - 1;
	t->n = 0;
	return 0;
}

static struct yaml_name *find(
	const struct yaml_names *t, const char *text, size_t len, uint64_t hash)
{
	size_t i = hash & t->mask;

	for (; t->slots[i].text; i = (i + 1) & t->mask)
		if (t->slots[i].hash == hash && t->slots[i].len == len &&
			memcmp(t->slots[i].text, text, len) == 0)
			break;
	return &t->slots[i];
}

static int grow(struct yaml_names *t)
{
	struct yaml_names bigger = { 0 };

	if (yaml_names_reset(&bigger, t->n * 2 + 2) < 0)
		return -1;
	for (size_t i = 0; t->cap && i <= t->mask; i++)
		if (t->slots[i].text)
			*find(&bigger, t->slots[i].text, t->slots[i].len, t->slots[i].hash) =
				t->slots[i];
	bigger.n = t->n;
	yaml_names_release(t);
	*t = bigger;
	return 0;
}

struct yaml_name *yaml_names_put(struct yaml_names *t, const char *text, size_t len)
{
	if ((t->cap == 0 || (t->n + 1) * 2 > t->mask + 1) && grow(t) < 0)
		return NULL;
	uint64_t hash = hash_of(text, len);
	struct yaml_name *slot = find(t, text, len, hash);
	if (!slot->text) {
		*slot = (struct yaml_name){ text, len, hash, NULL };
		t->n++;
	}
	return slot;
}

struct yaml_name *yaml_names_get(const struct yaml_names *t, const char *text, size_t len)
{
	struct yaml_name *slot = t->cap ? find(t, text, len, hash_of(text, len)) : NULL;

	return slot && slot->text ? slot : NULL;
}
