/* Bytes of an input file, decompressed on the way.
 *
 * Plain files and pipes, gzip (RFC 1952, members one after another) and Zstandard (RFC 8878,
 * frames one after another). What a file is, is told by its first bytes, so that a
 * misnamed one is read right; `compression` says it instead where that must not be guessed.
 * Memory is bounded whatever the file's size: two small buffers, and for zstd the frame's window
 * (at most 128 MiB, as zstd's own tool allows; 8 MiB at its usual levels).
 */
#ifndef WEIR_DATA_INPUT_H
#define WEIR_DATA_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct input;

enum input_compression { INPUT_AUTO, INPUT_NONE, INPUT_GZIP, INPUT_ZSTD, INPUT_COMPRESSION_MAX };
/* NULL-ended: auto, none, gzip, zstd; in the order of the enum. */
extern const char *const input_compression_names[];

/* Open `path`. ERR_NOT_FOUND when it does not exist, ERR_IO for what the system refuses. */
int input_open(
	struct input **ret, const char *path, enum input_compression compression, struct err *err);
/* Read from a descriptor, which is closed with the input, also on error; `name` is for messages. */
int input_open_fd(struct input **ret, int fd, const char *name, enum input_compression compression,
	struct err *err);
/* Up to `size` bytes; 0 at the end, -1 with err. A compressed file that is damaged, cut off or
 * followed by other data is ERR_DATA. */
ssize_t input_read(struct input *in, void *to, size_t size, struct err *err);
/* Bytes read from the file so far, before decompression. */
int64_t input_bytes(const struct input *in);
void input_close(struct input *in); /* NULL is fine */

#endif
