/* Any text as a journal: it is refused or read, and what is read is in bounds. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "exec/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct exec_journal j = { 0 };
	struct journal_head head;

	if (journal_parse((const char *)data, size, "boot", &head, &j, NULL) < 0) {
		assert(j.n == 0 && !j.entries);
		return 0;
	}
	assert(head.pid > 0 && strlen(head.boot_id) < sizeof head.boot_id);
	/* It is used as a file name. */
	assert(strlen(head.socket_name) < sizeof head.socket_name && head.socket_name[0] &&
		!strchr(head.socket_name, '/') && head.socket_name[0] != '.');
	for (size_t i = 0; i < j.n; i++) {
		const struct exec_journal_entry *e = &j.entries[i];
		assert(e->started || e->ended);
		assert(e->pid >= 0 && e->pid <= INT32_MAX);
		assert(!e->ended ||
			(e->end.outcome > OUTCOME_NONE && e->end.outcome < OUTCOME_MAX));
		assert(strnlen(e->end.error, sizeof e->end.error) < sizeof e->end.error);
	}
	exec_journal_release(&j);
	return 0;
}
