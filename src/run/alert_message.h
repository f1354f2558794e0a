/* The message of an alert: one document, and how it reads in each channel.
 *
 * The document is what a webhook and a command get as it is; its schema is in weir-alerts(7):
 *
 *     {"schema": "weir.alert.v1", "id", "instance", "host", "sent_at", "route", "channel",
 *      "what": "opened" | "resolved" | "acknowledged" | "escalated" | "woken" | "test",
 *      "title", "severity", "count": n, "all_clear": bool, "failed": [text...],
 *      "dags": [{"dag", "count"}...], "kinds": [{"kind", "text", "count"}...],
 *      "incidents": [{"id", "what", "kind", "text", "dag", "task", "severity", "state",
 *          "opened_at", "last_at", "resolved_at", "times", "by", "reason", "run", "ds", "try",
 *          "tries", "error", "log": [line...], "checks": [{"name", "observed", "expected"}...],
 *          "dependents": [task...], "last_good": {"run", "at"}, "deadline", "owner",
 *          "commands": [{"what", "command"}...], "runbook": {"from", "text"},
 *          "undone": [run...], "breaker", "why", "because", "task_of", "next_probe",
 *          "held": [{"run", "task", "state"}...], "held_count"}...]}
 *
 * What is not known is left out. All texts below are appended to `out`. Pure.
 */
#ifndef WEIR_RUN_ALERT_MESSAGE_H
#define WEIR_RUN_ALERT_MESSAGE_H

#include <jansson.h>
#include <stddef.h>

struct buf;

/* One line: what is wrong, of one incident of a document. */
void alert_message_title(const json_t *incident, struct buf *out);
void alert_message_plain(const json_t *doc, struct buf *out);
/* Slack's mrkdwn: &, < and > are escaped, so that no text of a task can ping or link. */
void alert_message_slack(const json_t *doc, struct buf *out);
/* A whole mail, lines ended by CRLF: headers in which no text can begin another one, and the body
 * as UTF-8 in base64. `to`: a text or a list of them. */
void alert_message_mail(const json_t *doc, const char *from, const json_t *to, struct buf *out);

/* A member's text, borrowed; "" when there is none. */
const char *alert_message_text(const json_t *o, const char *key);
/* How many bytes of a text fit into `max` without cutting a character. */
size_t alert_message_cut(const char *text, size_t max);

#endif
