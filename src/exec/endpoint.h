/* The named socket of a supervisor, beside its journal.
 *
 * Its file name is short and random; the folder may be long: the socket is reached through
 * /proc/self/fd, for an address holds only 108 bytes. Only its owner may connect (mode 0600).
 */
#ifndef WEIR_EXEC_ENDPOINT_H
#define WEIR_EXEC_ENDPOINT_H

struct err;

#define ENDPOINT_SUFFIX ".sock"
#define ENDPOINT_NAME 22 /* 16 hexadecimal digits, the suffix and a NUL */

/* Make it in this folder and listen. Returns a non-blocking descriptor. */
int endpoint_listen(const char *dir, char ret_name[ENDPOINT_NAME], struct err *err);
/* Returns a connected descriptor. ERR_NOT_FOUND: nobody listens there; ERR_TIMEOUT. */
int endpoint_connect(const char *dir, const char *name, int wait_ms, struct err *err);
void endpoint_remove(const char *dir, const char *name);

#endif
