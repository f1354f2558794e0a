#include "data/input.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/err.h"

enum { RAW_SIZE = 128 << 10, MAGIC_LEN = 4 };

const char *const input_compression_names[] = {
	[INPUT_AUTO] = "auto",
	[INPUT_NONE] = "none",
	[INPUT_GZIP] = "gzip",
	[INPUT_ZSTD] = "zstd",
	[INPUT_COMPRESSION_MAX] = NULL,
};
static_assert(sizeof input_compression_names / sizeof *input_compression_names ==
		      INPUT_COMPRESSION_MAX + 1,
	"a name for each compression");

/* What one kind of compression needs: decode from the raw buffer into `to`. */
struct codec {
	int (*start)(struct input *in, struct err *err);
	ssize_t (*read)(struct input *in, void *to, size_t size, struct err *err);
	void (*stop)(struct input *in);
};

struct input {
	const struct codec *codec;
	char *name;
	int fd;
	bool eof;       /* of the file */
	bool in_member; /* within a gzip member or zstd frame: the end of the file is early */
	int64_t bytes;
	unsigned char *raw; /* read, not decoded: raw[pos..len) */
	size_t pos, len;
	z_stream z;
	ZSTD_DCtx *zstd;
};

/* Read more raw bytes behind those that are left. 0 also at the end of the file. */
static int fill(struct input *in, struct err *err)
{
	if (in->pos) {
		memmove(in->raw, in->raw + in->pos, in->len - in->pos);
		in->len -= in->pos;
		in->pos = 0;
	}
	while (!in->eof && in->len < RAW_SIZE) {
		ssize_t n = read(in->fd, in->raw + in->len, RAW_SIZE - in->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, "%s: read", in->name);
		in->eof = n == 0;
		in->len += (size_t)n;
		in->bytes += n;
		if (in->len >= MAGIC_LEN)
			break;
	}
	return 0;
}

static int start_plain(struct input *in, struct err *err)
{
	(void)in, (void)err;
	return 0;
}

static ssize_t read_plain(struct input *in, void *to, size_t size, struct err *err)
{
	size_t have = in->len - in->pos;

	if (have) {
		if (have > size)
			have = size;
		memcpy(to, in->raw + in->pos, have);
		in->pos += have;
		return (ssize_t)have;
	}
	for (;;) {
		ssize_t n = in->eof ? 0 : read(in->fd, to, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, "%s: read", in->name);
		in->eof = n == 0;
		in->bytes += n;
		return n;
	}
}

static void stop_plain(struct input *in)
{
	(void)in;
}

static int start_gzip(struct input *in, struct err *err)
{
	/* 16: a gzip header is required. */
	if (inflateInit2(&in->z, 15 + 16) != Z_OK)
		return err_nomem(err);
	return 0;
}

/* After a member: is another there? Zeros that pad a tape block may stand at the end (gzip(1)). */
static int next_member(struct input *in, struct err *err)
{
	for (;;) {
		while (in->pos < in->len && in->raw[in->pos] == 0)
			in->pos++;
		if (in->len - in->pos >= 2 || in->eof)
			break;
		if (fill(in, err) < 0)
			return -1;
	}
	if (in->pos == in->len)
		return 0;
	if (in->len - in->pos < 2 || in->raw[in->pos] != 0x1f || in->raw[in->pos + 1] != 0x8b)
		return err_set(err, ERR_DATA, "%s: other data follows the gzip data", in->name);
	if (inflateReset(&in->z) != Z_OK)
		return err_set(err, ERR_INTERNAL, "%s: zlib: reset failed", in->name);
	return 0;
}

static ssize_t read_gzip(struct input *in, void *to, size_t size, struct err *err)
{
	in->z.next_out = to;
	in->z.avail_out = size > 1u << 30 ? 1u << 30 : (uInt)size;
	uInt want = in->z.avail_out;

	while (in->z.avail_out == want) {
		if (in->pos == in->len && fill(in, err) < 0)
			return -1;
		if (in->pos == in->len) {
			if (!in->in_member)
				return 0;
			return err_set(err, ERR_DATA, "%s: the gzip data is cut off", in->name);
		}
		in->in_member = true;
		in->z.next_in = in->raw + in->pos;
		in->z.avail_in = (uInt)(in->len - in->pos);
		int rc = inflate(&in->z, Z_NO_FLUSH);
		in->pos = in->len - in->z.avail_in;
		if (rc == Z_STREAM_END) {
			in->in_member = false;
			if (next_member(in, err) < 0)
				return -1;
		} else if (rc != Z_OK && rc != Z_BUF_ERROR) {
			return err_set(err, rc == Z_MEM_ERROR ? ERR_NOMEM : ERR_DATA,
				"%s: the gzip data is damaged: %s", in->name,
				in->z.msg ? in->z.msg : zError(rc));
		}
	}
	return (ssize_t)(want - in->z.avail_out);
}

static void stop_gzip(struct input *in)
{
	inflateEnd(&in->z);
}

static int start_zstd(struct input *in, struct err *err)
{
	in->zstd = ZSTD_createDCtx();
	return in->zstd ? 0 : err_nomem(err);
}

static ssize_t read_zstd(struct input *in, void *to, size_t size, struct err *err)
{
	ZSTD_outBuffer out = { .dst = to, .size = size };

	while (out.pos == 0) {
		if (in->pos == in->len && fill(in, err) < 0)
			return -1;
		/* At the end of the file a frame may still hold decoded bytes: ask once more. */
		size_t before = in->pos;
		ZSTD_inBuffer raw = { .src = in->raw, .size = in->len, .pos = in->pos };
		if (in->pos == in->len && !in->in_member)
			return 0;
		size_t rc = ZSTD_decompressStream(in->zstd, &out, &raw);
		if (ZSTD_isError(rc))
			return err_set(err, ERR_DATA, "%s: the zstd data is damaged: %s", in->name,
				ZSTD_getErrorName(rc));
		in->pos = raw.pos;
		in->in_member = rc != 0;
		if (out.pos == 0 && in->pos == before && in->in_member && in->eof &&
			in->pos == in->len)
			return err_set(err, ERR_DATA, "%s: the zstd data is cut off", in->name);
	}
	return (ssize_t)out.pos;
}

static void stop_zstd(struct input *in)
{
	ZSTD_freeDCtx(in->zstd);
}

static const struct codec codecs[] = {
	[INPUT_NONE] = { start_plain, read_plain, stop_plain },
	[INPUT_GZIP] = { start_gzip, read_gzip, stop_gzip },
	[INPUT_ZSTD] = { start_zstd, read_zstd, stop_zstd },
};
static_assert(sizeof codecs / sizeof *codecs == INPUT_COMPRESSION_MAX, "a codec for each");

static enum input_compression guess(const struct input *in)
{
	const unsigned char *p = in->raw;

	if (in->len >= 2 && p[0] == 0x1f && p[1] == 0x8b)
		return INPUT_GZIP;
	if (in->len >= 4 && p[1] == 0xb5 && p[2] == 0x2f && p[3] == 0xfd && p[0] == 0x28)
		return INPUT_ZSTD;
	/* A skippable frame of zstd. */
	if (in->len >= 4 && (p[0] & 0xf0) == 0x50 && p[1] == 0x2a && p[2] == 0x4d && p[3] == 0x18)
		return INPUT_ZSTD;
	return INPUT_NONE;
}

int input_open_fd(struct input **ret, int fd, const char *name, enum input_compression compression,
	struct err *err)
{
	struct input *in = calloc(1, sizeof *in);

	*ret = NULL;
	if (!in) {
		close(fd);
		return err_nomem(err);
	}
	in->fd = fd;
	in->name = strdup(name);
	in->raw = malloc(RAW_SIZE);
	if (!in->name || !in->raw) {
		err_nomem(err);
		goto fail;
	}
	if (fill(in, err) < 0)
		goto fail;
	in->in_member = compression == INPUT_GZIP || compression == INPUT_ZSTD;
	const struct codec *codec = &codecs[compression == INPUT_AUTO ? guess(in) : compression];
	if (codec->start(in, err) < 0)
		goto fail;
	in->codec = codec;
	*ret = in;
	return 0;
fail:
	input_close(in);
	return -1;
}

int input_open(
	struct input **ret, const char *path, enum input_compression compression, struct err *err)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	*ret = NULL;
	if (fd < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "%s: no such file", path);
	if (fd < 0)
		return err_errno(err, "%s", path);
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		close(fd);
		return err_set(err, ERR_INVALID, "%s: is a folder, not a file", path);
	}
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return input_open_fd(ret, fd, path, compression, err);
}

ssize_t input_read(struct input *in, void *to, size_t size, struct err *err)
{
	return size ? in->codec->read(in, to, size, err) : 0;
}

int64_t input_bytes(const struct input *in)
{
	return in->bytes;
}

void input_close(struct input *in)
{
	if (!in)
		return;
	if (in->codec)
		in->codec->stop(in);
	close(in->fd);
	free(in->raw);
	free(in->name);
	free(in);
}
