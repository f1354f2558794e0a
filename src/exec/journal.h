/* The journal: what a supervisor did, for those who come after its driver or after itself.
 * (Reading it is in exec/exec.h: exec_journal_read.)
 *
 * A text file, one record per line, fields separated by one space:
 *
 *     weir-journal 2 PID START_TICKS BOOT_ID SOCKET    the first line, of the supervisor
 *     S TOKEN PID START_BOOT_US STARTED_US             an attempt was started; its group is PID
 *     E TOKEN OUTCOME STATUS SIGNAL STARTED_US ENDED_US MAX_RSS CPU_US ERROR
 *
 * ERROR is the rest of the line, with \n, \\ and \xHH for what is no text. Lines of other kinds are
 * for later versions and passed over. SOCKET is a file name in the journal's folder, or "-" where
 * there is none (as in version 1, which ends before it).
 *
 * When most of what it says is acknowledged, the supervisor writes it anew without that, aside and
 * renamed over it: a reader that finds the lock of its file free looks whether it is still the one
 * of that name.
 *
 * The file appears under its name with its first line and its lock (flock(2), exclusive), which the
 * supervisor holds for as long as it lives. It is written with plain write(2)s, not synced: when
 * the page cache is lost, by a power loss or a crash of the kernel, so are all tasks, and the
 * store, which is synced, tells which attempts were in flight.
 */
#ifndef WEIR_EXEC_JOURNAL_H
#define WEIR_EXEC_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "exec/endpoint.h"
#include "exec/exec.h"
#include "exec/proc.h"

#define JOURNAL_VERSION 2
#define JOURNAL_NO_SOCKET "-"
#define JOURNAL_MAX (256u << 20) /* a larger one is not read */

/* ---- the supervisor's side ---- */

struct journal {
	int fd;
	char *path; /* absolute */
	struct buf pending;
	bool torn;    /* the file ends within a line whose rest is pending */
	bool garbage; /* it ends within a line that will never be whole */
};

/* Make the file. ERR_REFUSED when there is one: whose attempts must be settled before it is
 * removed, or whose supervisor is alive. */
int journal_create(struct journal *j, const char *path, const char *socket_name, struct err *err);
char *journal_absolute(const char *path); /* owned; NULL: out of memory, or the folder is gone */
/* Add a record; it is written by journal_flush. -1: out of memory, the record is lost. */
int journal_add_start(
	struct journal *j, int64_t token, int64_t pid, int64_t start_boot_us, int64_t started_us);
int journal_add_end(struct journal *j, const struct exec_end *end);
/* Where a child may write a whole line of its own now (exec/spawn.h); -1: not now. */
int journal_child_fd(const struct journal *j);
/* Write what was added, in one write. When the disk refuses, what is left is kept for the next
 * time, and -1 returned. */
int journal_flush(struct journal *j);
void journal_remove(struct journal *j); /* the file */
/* Write it anew, without what is recorded elsewhere: add to `ret` what is to stay, then replace. It
 * appears with its lock and all that was added; readers see the one or the other. On error the
 * journal is as before. */
int journal_begin_anew(
	const struct journal *j, struct journal *ret, const char *socket_name, struct err *err);
int journal_replace(struct journal *j, struct journal *anew, struct err *err);
void journal_give_up(struct journal *anew); /* instead of journal_replace */
int64_t journal_size(const struct journal *j);
void journal_release(struct journal *j);

/* ---- for those who read ---- */

struct journal_head {
	int64_t pid, start_ticks;
	char boot_id[PROC_BOOT_ID];
	char socket_name[ENDPOINT_NAME];
};

/* Parse the text of a journal. `ret_head` is set as well. ERR_DATA: no journal; ERR_REFUSED: of a
 * newer weir. Nothing is said of `live`. When the boot id is not `boot_id`, the pids of all entries
 * are 0: they name nothing any more. */
int journal_parse(const char *text, size_t len, const char *boot_id, struct journal_head *ret_head,
	struct exec_journal *ret, struct err *err);

/* The first line, and whether the supervisor that wrote it is alive. ERR_NOT_FOUND: no file. */
int journal_read_head(const char *path, struct journal_head *ret, bool *ret_live, struct err *err);
bool journal_is_locked(int fd);

#endif
