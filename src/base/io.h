/* Files: whole reads, whole writes, and the rename that makes a file appear at once. */
#ifndef WEIR_BASE_IO_H
#define WEIR_BASE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct buf;
struct err;

/* Append the file to `out`, whose maximum bounds it. ENOENT gives ERR_NOT_FOUND. Only
 * regular files and pipes are read; a folder is an error. */
int io_read_file(const char *path, struct buf *out, struct err *err);
/* The same for what others may have put there: a pipe is an error, too, and is not waited for. */
int io_read_regular(const char *path, struct buf *out, struct err *err);
/* Write all of it, through short writes and EINTR. */
int io_write_all(int fd, const void *data, size_t len, struct err *err);
/* Make `path` hold `data`: written aside in the same folder, fsync, rename, fsync of the
 * folder. On error nothing of it is left. */
int io_write_file(const char *path, const void *data, size_t len, struct err *err);
int io_fsync_dir_of(const char *path, struct err *err);
/* mkdir -p; `mode` for each folder made. */
int io_mkdirs(const char *path, mode_t mode, struct err *err);
int io_mkdirs_for(const char *file_path, mode_t mode, struct err *err); /* its folder */
/* "base/rel", or rel itself when absolute; lexically cleaned of "." and "//". Owned by the
 * caller, NULL without memory. */
char *io_path_join(const char *base, const char *rel);
char *io_path_dir(const char *path);        /* "a/b.c" -> "a", "b.c" -> "."; owned */
const char *io_path_base(const char *path); /* the last component, borrowed */
bool io_exists(const char *path);
/* The absolute path of an existing folder or file (realpath), owned; NULL with err. */
char *io_realpath(const char *path, struct err *err);

#endif
