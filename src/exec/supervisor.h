/* The supervisor: the small process that starts, reaps and times out tasks. See exec/exec.h.
 *
 * It is a session of its own named "weir-supervisor", in ps "weir supervisor JOURNAL", one thread,
 * one epoll loop. It adopts the orphans of its tasks (PR_SET_CHILD_SUBREAPER) and reaps them.
 *
 * Signals: TERM stops all tasks gracefully, takes no more, and leaves when the last has ended;
 * QUIT does the same with KILL. All others that can be are blocked, so that terminals and their
 * users do not end it.
 *
 * When the driver closes the socket, the tasks in hand go on, their timeouts included. Others may
 * connect to the named socket beside the journal (exec/endpoint.h) and claim them. Each end is kept
 * until the attempt's holder acknowledges it. The supervisor leaves when its driver is gone or said
 * BYE, nothing is in hand, and nobody is connected who could still ask for an end. When all ends
 * are acknowledged it removes the journal; else the journal stays, and tells them.
 *
 * For tests: with WEIR_TEST_KILL_SUPERVISOR_AT=N it kills itself (SIGKILL) at its Nth step. Steps
 * are: before each start of a process, before and after each write of the journal, before and after
 * it is written anew, before each sending of ends. WEIR_TEST_COMPACT_JOURNAL_AT=N: the journal is
 * written anew when about N bytes of it are acknowledged.
 */
#ifndef WEIR_EXEC_SUPERVISOR_H
#define WEIR_EXEC_SUPERVISOR_H

#include "exec/exec.h"

/* Run it in a freshly forked child, in which all signals are blocked; `socket` is its end of the
 * pair. It says HELLO, with the error when it cannot begin. Never returns. */
_Noreturn void supervisor_main(int socket, const struct exec_local_config *config);

#endif
