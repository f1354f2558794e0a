/* Where the machine keeps its time zones: TZif files by name.
 *
 * Files are looked for in $TZDIR when that is set and not empty, else in /usr/share/zoneinfo.
 * Nothing is cached; core/zone.h makes a zone of the bytes.
 */
#ifndef WEIR_BASE_ZONEFILE_H
#define WEIR_BASE_ZONEFILE_H

struct buf;
struct err;

enum { ZONEFILE_NAMES_MAX = 3 };

/* Append the bytes of the named zone (Europe/Berlin) to out. A name has no "..", does not begin
 * with "/" or "." and consists of letters, digits and `/_+-.`: else ERR_INVALID. ERR_NOT_FOUND when
 * there is no such zone, with up to three near names in the message; or when the machine
 * has no zones at all, saying what to install. ERR_IO, ERR_NOMEM. */
int zonefile_read(const char *name, struct buf *out, struct err *err);

/* Append the name of the machine's zone: of $TZ, /etc/timezone or the link /etc/localtime the first
 * that names a zone file, else "UTC". Fails only when out is full (ERR_NOMEM). */
int zonefile_local_name(struct buf *out, struct err *err);

#endif
