/* Instants and zones as tests write them; cmocka comes before it. What is wrong fails the test. */
#ifndef WEIR_TESTS_LIB_TIMES_H
#define WEIR_TESTS_LIB_TIMES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/err.h"
#include "base/zonefile.h"
#include "core/zone.h"

/* RFC 3339 to microseconds since the epoch; it has an offset. */
static inline int64_t times_us(const char *text)
{
	struct civil_text t;
	struct err err = { 0 };

	if (civil_parse(text, &t, &err) < 0)
		fail_msg("%s: %s", text, err.msg);
	assert_true(t.parts & CIVIL_HAS_OFFSET);
	return civil_text_us(&t);
}

/* And back, in UTC; good for four calls. */
static inline const char *times_show(int64_t us)
{
	static char text[4][64];
	static int turn;
	struct buf b;
	struct civil c;

	buf_init(&b, 64);
	civil_from_us(us, &c);
	civil_add_rfc3339(&b, &c, 0);
	char *to = text[turn++ % 4];
	snprintf(to, sizeof text[0], "%s", b.data);
	buf_release(&b);
	return to;
}

/* The caller frees it. */
static inline struct zone *times_zone(const char *name)
{
	struct zone *z = NULL;
	struct err err = { 0 };

	if (zone_open(name, zonefile_read, &z, &err) < 0)
		fail_msg("%s", err.msg);
	return z;
}

/* Whether this machine has zones (the package is tzdata); where not, that is said. */
static inline bool times_have_zones(void)
{
	struct zone *z;
	struct err err;

	if (zone_open("Europe/Berlin", zonefile_read, &z, &err) == 0) {
		zone_free(z);
		return true;
	}
	print_message("# skipped: %s\n", err.msg);
	return false;
}

#endif
