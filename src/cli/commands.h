/* The rows of the command table, each beside its code. */
#ifndef WEIR_CLI_COMMANDS_H
#define WEIR_CLI_COMMANDS_H

#include "cli/command.h"

extern const struct command command_daemon;  /* daemon.c */
extern const struct command command_run;     /* run.c */
extern const struct command command_trigger; /* trigger.c */
extern const struct command command_pause;   /* pause.c */
extern const struct command command_resume;
extern const struct command command_drain;
extern const struct command command_freeze;
extern const struct command command_breaker;
extern const struct command command_backfill; /* backfill.c */
extern const struct command command_backfills;
extern const struct command command_reload; /* reload.c */
extern const struct command command_retry;  /* intervene.c */
extern const struct command command_clear;
extern const struct command command_mark;
extern const struct command command_approvals; /* approve.c */
extern const struct command command_approve;
extern const struct command command_reject;
extern const struct command command_skip;
extern const struct command command_cancel;
extern const struct command command_end_retries;
extern const struct command command_set_output;
extern const struct command command_incidents; /* incidents.c */
extern const struct command command_ack;
extern const struct command command_snooze;
extern const struct command command_resolve;
extern const struct command command_alerts; /* alerts.c */
extern const struct command command_alert;
extern const struct command command_runbook;    /* runbook.c */
extern const struct command command_validate;   /* validate.c */
extern const struct command command_next;       /* next.c */
extern const struct command command_status;     /* status.c */
extern const struct command command_runs;       /* status.c */
extern const struct command command_show;       /* show.c */
extern const struct command command_why;        /* why.c */
extern const struct command command_logs;       /* logs.c */
extern const struct command command_fence;      /* fence.c */
extern const struct command command_pools;      /* pools.c */
extern const struct command command_sla;        /* sla.c */
extern const struct command command_datasets;   /* datasets.c */
extern const struct command command_graph;      /* graph.c */
extern const struct command command_operators;  /* operators.c */
extern const struct command command_schema;     /* schema.c */
extern const struct command command_completion; /* completion.c */
extern const struct command command_complete_values;
extern const struct command command_help_command; /* help.c */
extern const struct command command_version;
extern const struct command command_doc; /* doc.c */

#endif
