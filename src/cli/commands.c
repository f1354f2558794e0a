#include "cli/commands.h"

#include <string.h>

const struct command *const commands[] = {
	/* Run */
	&command_run,
	&command_daemon,
	/* Operate */
	&command_trigger,
	&command_backfill,
	&command_backfills,
	&command_pause,
	&command_resume,
	&command_drain,
	&command_freeze,
	&command_breaker,
	&command_incidents,
	&command_ack,
	&command_snooze,
	&command_resolve,
	&command_alerts,
	&command_alert,
	&command_reload,
	/* Intervene */
	&command_retry,
	&command_clear,
	&command_mark,
	&command_skip,
	&command_approvals,
	&command_approve,
	&command_reject,
	&command_cancel,
	&command_end_retries,
	&command_set_output,
	/* Look */
	&command_status,
	&command_runs,
	&command_show,
	&command_why,
	&command_logs,
	&command_fence,
	&command_sla,
	&command_datasets,
	&command_pools,
	&command_runbook,
	/* Write */
	&command_validate,
	&command_graph,
	&command_next,
	&command_operators,
	&command_schema,
	/* More */
	&command_completion,
	&command_help_command,
	&command_version,
	/* Hidden */
	&command_complete_values,
	&command_doc,
	NULL,
};

const struct command *command_find(const char *name)
{
	for (const struct command *const *c = commands; *c; c++)
		if (strcmp((*c)->name, name) == 0)
			return *c;
	return NULL;
}
