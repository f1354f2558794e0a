/* The layout of WEIR_HOME.
 *
 *     weir.db                          the store
 *     logs/RUN/TASK.TRY.log            output of an attempt; TASK@N.TRY.log of an instance
 *     work/RUN/TASK.TRY.out            what an attempt reports (WEIR_OUTPUT, reports of operators)
 *     logs/RUN/TASK.look.log           output of the last look for what a task waits for
 *     work/RUN/TASK.look.out           what it reports
 *     supervisor/DAG.START-END.PID.journal   of a supervisor and its attempts
 *
 * All paths are owned by the caller; NULL: out of memory.
 */
#ifndef WEIR_RUN_PATHS_H
#define WEIR_RUN_PATHS_H

#include <stdint.h>

struct err;

char *paths_store(const char *home);
/* map_index -1: not an instance */
char *paths_log(const char *home, const char *run, const char *task, int map_index, int try);
char *paths_log_dir(const char *home, const char *run);
char *paths_output(const char *home, const char *run, const char *task, int map_index, int try);
/* Tasks that wait are not mapped. */
char *paths_look_log(const char *home, const char *run, const char *task);
char *paths_look_output(const char *home, const char *run, const char *task);
char *paths_work_dir(const char *home, const char *run);
char *paths_journal_dir(const char *home);
/* The file names of all supervisors of one run begin with this. */
char *paths_journal_prefix(const char *dag, int64_t interval_start_us, int64_t interval_end_us);
/* Make WEIR_HOME (mode 0700) and its folders. */
int paths_make_home(const char *home, struct err *err);

#endif
