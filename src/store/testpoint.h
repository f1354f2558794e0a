/* Numbered instants at which a test can kill the process.
 *
 * With WEIR_TEST_KILL_AT_WRITE=N in the environment (N from 1), the process kills itself by
 * SIGKILL at its N-th write step of the SQLite store. Each writing call of store.h, and each
 * migration of store_open_sqlite, has three steps: before its transaction begins, before it is
 * committed, and after that. A call that fails in between has fewer; a killed transaction is
 * wholly absent. A fork goes on counting from where its parent was.
 *
 * Unset, empty or not a positive number: nothing happens, at the cost of one comparison.
 */
#ifndef WEIR_STORE_TESTPOINT_H
#define WEIR_STORE_TESTPOINT_H

void store_test_point(void);

#endif
