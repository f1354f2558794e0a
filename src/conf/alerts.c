#include "conf/alerts.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/near.h"
#include "base/node.h"
#include "base/units.h"
#include "base/zonefile.h"
#include "conf/diag.h"
#include "core/zone.h"

enum { TRIES_MAX = 100 };

/* ---- rows ------------------------------------------------------------------------------ */

#define ROW_CA                                                                           \
	{                                                                                \
		.key = "ca", .type = FIELD_FILE,                                         \
		.help = "Certificates to trust instead of the system's, in a PEM file.", \
		.example = "certs/mail-ca.pem"                                           \
	}
#define ROW_TIMEOUT                                                                              \
	{                                                                                        \
		.key = "timeout", .type = FIELD_DURATION, .has_min = true, .min = 100e3,         \
		.has_max = true, .max = 60e6, .def = "10s", .help = "How long one try may take." \
	}

static const struct field slack_fields[] = {
	{ .key = "url",
		.type = FIELD_STRING,
		.flags = FIELD_REQUIRED | FIELD_SECRET,
		.help = "The incoming webhook. Who has it can post: keep it secret.",
		.example = "{ env: SLACK_WEBHOOK }" },
	ROW_CA,
	ROW_TIMEOUT,
	{ 0 },
};

static const struct field pagerduty_fields[] = {
	{ .key = "key",
		.type = FIELD_STRING,
		.flags = FIELD_REQUIRED | FIELD_SECRET,
		.help = "The integration key of the service (Events API v2).",
		.example = "{ file: /run/credentials/pagerduty }" },
	{ .key = "url",
		.type = FIELD_STRING,
		.def = "https://events.pagerduty.com/v2/enqueue",
		.help = "Where events are sent." },
	ROW_CA,
	ROW_TIMEOUT,
	{ 0 },
};

static const char *const tls_names[] = { "starttls", "tls", "none", NULL };
static const struct field address = { .type = FIELD_STRING };

static const struct field email_fields[] = {
	{ .key = "server",
		.type = FIELD_STRING,
		.flags = FIELD_REQUIRED,
		.help = "Host and port of the mail server.",
		.example = "mail.example.com:587" },
	{ .key = "from",
		.type = FIELD_STRING,
		.flags = FIELD_REQUIRED,
		.help = "The sender's address.",
		.example = "weir@example.com" },
	{ .key = "to",
		.type = FIELD_LIST,
		.item = &address,
		.flags = FIELD_REQUIRED | FIELD_OR_ONE,
		.has_min = true,
		.min = 1,
		.help = "Addresses of those who get it.",
		.example = "[data@example.com, oncall@example.com]" },
	{ .key = "tls",
		.type = FIELD_ENUM,
		.values = tls_names,
		.def = "starttls",
		.help = "starttls: the connection must become encrypted; tls: it is from the "
			"start; none: in the clear, for a server on this host." },
	{ .key = "user", .type = FIELD_STRING, .help = "Who logs in. Default: nobody does." },
	{ .key = "password",
		.type = FIELD_STRING,
		.flags = FIELD_SECRET,
		.help = "The password of `user`." },
	ROW_CA,
	ROW_TIMEOUT,
	{ 0 },
};

static const struct field webhook_fields[] = {
	{ .key = "url",
		.type = FIELD_ANY,
		.flags = FIELD_REQUIRED,
		.help = "Where the JSON document is posted; a secret, where who has it can post.",
		.example = "https://ops.example.com/weir" },
	{ .key = "secret",
		.type = FIELD_STRING,
		.flags = FIELD_SECRET,
		.help = "Signs each message: see SIGNATURES in weir-alerts(7). Default: none is "
			"signed." },
	ROW_CA,
	ROW_TIMEOUT,
	{ 0 },
};

static const struct field command_word = { .type = FIELD_STRING };
static const struct field command_fields[] = {
	{ .key = "command",
		.type = FIELD_LIST,
		.item = &command_word,
		.flags = FIELD_REQUIRED,
		.has_min = true,
		.min = 1,
		.help = "A program and its arguments, run without a shell; it gets the JSON "
			"document on its stdin. Exit status 0 means it is told.",
		.example = "[/usr/local/bin/tell, --room, data]" },
	ROW_TIMEOUT,
	{ 0 },
};

static const struct field *const channel_fields[] = {
	[ALERT_SLACK] = slack_fields,
	[ALERT_PAGERDUTY] = pagerduty_fields,
	[ALERT_EMAIL] = email_fields,
	[ALERT_WEBHOOK] = webhook_fields,
	[ALERT_COMMAND] = command_fields,
};
static_assert(sizeof channel_fields / sizeof *channel_fields == ALERT_CHANNEL_TYPE_MAX, "each");

const struct field *alerts_channel_fields(enum alert_channel_type type)
{
	return channel_fields[type];
}

static const struct field any_channel = { .type = FIELD_ANY };
static const struct field word = { .type = FIELD_STRING };

#define ROW_WORDS(name, text, sample)                                                  \
	{                                                                              \
		.key = name, .type = FIELD_LIST, .item = &word, .flags = FIELD_OR_ONE, \
		.has_min = true, .min = 1, .help = text, .example = sample             \
	}

static const struct field route_fields[] = {
	{ .key = "name",
		.type = FIELD_NAME,
		.flags = FIELD_REQUIRED,
		.help = "Its name, in what is shown and kept." },
	ROW_WORDS("to", "Channels: the first one tells, the others where it fails, in their order.",
		"[oncall, mail]"),
	ROW_WORDS("tags", "For DAGs with one of these tags. Default: all.", "[finance]"),
	ROW_WORDS("owners", "For DAGs of one of these owners.", "[\"team-data\"]"),
	ROW_WORDS("dags", "For DAGs whose name matches: * stands for any text.", "[\"sales_*\"]"),
	ROW_WORDS("kinds", "For these kinds of incidents; weir-alerts(7) lists them.",
		"[task_failed, check_failed]"),
	{ .key = "severity",
		.type = FIELD_ENUM,
		.values = severity_names,
		.def = "warning",
		.help = "For incidents that are at least so severe." },
	{ .key = "hours",
		.type = FIELD_STRING,
		.help = "For what happens at this time of the day, over midnight where the end is "
			"smaller.",
		.example = "18:00-08:00" },
	{ .key = "escalate_after",
		.type = FIELD_DURATION,
		.help = "As that of alerts, for this route." },
	ROW_WORDS("escalate_to",
		"Channels that are told when nobody has acknowledged it in time. Default: as `to`.",
		"[boss]"),
	{ 0 },
};
static const struct field route = { .type = FIELD_OBJECT, .fields = route_fields };

const struct field alerts_fields[] = {
	{ .key = "channels",
		.type = FIELD_MAP,
		.item = &any_channel,
		.flags = FIELD_REQUIRED,
		.help = "Ways to tell people, by name. Each has a `type`: slack, pagerduty, email, "
			"webhook or command; its other keys depend on that.",
		.example = "{ data: { type: slack, url: { env: SLACK_WEBHOOK } } }" },
	{ .key = "routes",
		.type = FIELD_LIST,
		.item = &route,
		.has_min = true,
		.min = 1,
		.help = "Which incidents are told where; all routes that are for an incident tell "
			"of it. Default: one for all, to all channels in their order." },
	{ .key = "quiet_hours",
		.type = FIELD_STRING,
		.help = "What happens then is told when they end, unless it is critical.",
		.example = "22:00-07:00" },
	{ .key = "timezone",
		.type = FIELD_STRING,
		.def = "UTC",
		.help = "Name of the zone of all hours here.",
		.example = "Europe/Berlin" },
	{ .key = "escalate_after",
		.type = FIELD_DURATION,
		.help = "An incident that nobody has acknowledged is told again after so long, and "
			"again each time. Default: never." },
	{ .key = "group_window",
		.type = FIELD_DURATION,
		.def = "2s",
		.has_max = true,
		.max = 3600e6,
		.help = "What a route is to tell within it is one message." },
	{ .key = "tries",
		.type = FIELD_INT,
		.has_min = true,
		.min = 1,
		.has_max = true,
		.max = TRIES_MAX,
		.def = "5",
		.help = "How often a channel is tried before the next one tells." },
	{ .key = "retry_after",
		.type = FIELD_DURATION,
		.def = "5s",
		.has_min = true,
		.min = 1e3,
		.help = "Before the second try; twice that before the third, and so on." },
	{ 0 },
};

const struct field heartbeat_fields[] = {
	{ .key = "url",
		.type = FIELD_ANY,
		.flags = FIELD_REQUIRED,
		.help = "A text, or a secret as {env: NAME} or {file: PATH}. Asked (GET) again and "
			"again by the daemon; the service behind it tells "
			"when that stops.",
		.example = "https://hc.example.com/ping/1b9e" },
	{ .key = "every",
		.type = FIELD_DURATION,
		.has_min = true,
		.min = 100e3,
		.def = "1m",
		.help = "How often." },
	{ 0 },
};

/* ---- loading --------------------------------------------------------------------------- */

struct loader {
	struct arena *arena;
	struct diags *diags;
	struct alerts *a;
	const char *dir;
};

static const char *value_or(const struct node *map, const struct field *fields, const char *key)
{
	const char *text = node_text(node_get(map, key));

	return text ? text : schema_find(fields, key)->def;
}

static int64_t duration(const struct node *map, const struct field *fields, const char *key)
{
	const char *text = value_or(map, fields, key);
	int64_t us = 0;

	return text && units_parse_duration(text, &us, NULL) == 0 ? us : 0;
}

static bool load_hours(struct loader *l, const struct node *n, struct alert_hours *ret)
{
	int h1, m1, h2, m2, used = 0;

	if (!node_text(n))
		return true;
	if (sscanf(n->text, "%2d:%2d-%2d:%2d%n", &h1, &m1, &h2, &m2, &used) == 4 &&
		!n->text[used] && strspn(n->text, "0123456789:-") == strlen(n->text) && h1 >= 0 &&
		h1 < 24 && h2 >= 0 && h2 < 24 && m1 >= 0 && m1 < 60 && m2 >= 0 && m2 < 60 &&
		(h1 != h2 || m1 != m2)) {
		*ret = (struct alert_hours){ true, h1 * 60 + m1, h2 * 60 + m2 };
		return true;
	}
	diag_node(l->diags, DIAG_ERROR, n, "\"%s\" is not a part of the day", n->text);
	diag_hint(l->diags, "from and to, such as 22:00-07:00, which differ");
	return false;
}

static void load_zone(struct loader *l, const struct node *n)
{
	struct err err = { 0 };
	struct zone *zone;

	l->a->zone = zone_utc();
	if (!node_text(n))
		return;
	if (zone_open(n->text, zonefile_read, &zone, &err) < 0)
		diag_node(l->diags, DIAG_ERROR, n, "timezone: %s", err.msg);
	else
		l->a->zone = zone;
}

/* ---- channels -------------------------------------------------------------------------- */

/* The rows of a type with the row of `type` itself in front. */
static const struct field *rows_of(struct arena *arena, enum alert_channel_type type)
{
	const struct field *fields = channel_fields[type];
	size_t n = 0;

	while (fields[n].key)
		n++;
	struct field *rows = arena_array(arena, n + 2, sizeof *rows);
	if (!rows)
		return NULL;
	rows[0] = (struct field){ .key = "type",
		.type = FIELD_STRING,
		.flags = FIELD_REQUIRED,
		.help = "What it is: slack, ..." };
	memcpy(rows + 1, fields, n * sizeof *rows);
	return rows;
}

static int find_type(struct loader *l, const struct node *key, const struct node *n)
{
	const struct node *type = node_get(n, "type");
	const char *names[ALERT_CHANNEL_TYPE_MAX];

	if (!node_text(type)) {
		diag_node(l->diags, DIAG_ERROR, n->type == NODE_MAP ? key : n,
			"channel \"%s\" needs a type", key->text);
		diag_hint(l->diags, "slack, pagerduty, email, webhook or command");
		return -1;
	}
	int found = alert_channel_type_by_name(type->text);
	if (found >= 0)
		return found;
	for (int i = 0; i < ALERT_CHANNEL_TYPE_MAX; i++)
		names[i] = alert_channel_type_name((enum alert_channel_type)i);
	const char *near = near_find(type->text, names, ALERT_CHANNEL_TYPE_MAX);
	diag_node(l->diags, DIAG_ERROR, type, "unknown type of channel \"%s\"%s%s%s", type->text,
		near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	diag_hint(l->diags, "types: slack, pagerduty, email, webhook, command");
	return -1;
}

/* A line break would end the header it stands in. */
static void check_mail(struct loader *l, const struct node *n)
{
	const struct node *to = node_get(n, "to");
	const struct node *one[] = { node_get(n, "from"), to };

	for (size_t i = 0; i < 2 + (to->type == NODE_SEQ ? to->n : 0); i++) {
		const struct node *a = i < 2 ? one[i] : to->items[i - 2];
		const char *text = node_text(a), *at = text ? strchr(text, '@') : NULL;
		bool good = at && at > text && at[1];
		for (const char *p = text; good && *p; p++)
			good = (unsigned char)*p > ' ' && *p != 0x7f && !strchr("<>,;\"", *p);
		if (text && !good)
			diag_node(l->diags, DIAG_ERROR, a, "\"%s\" is not a mail address", text);
	}
	if (node_get(n, "user") && !node_get(n, "password"))
		diag_node(l->diags, DIAG_ERROR, node_get(n, "user"),
			"a user without a password cannot log in");
	if (node_get(n, "user") && strcmp(value_or(n, email_fields, "tls"), "none") == 0)
		diag_node(l->diags, DIAG_ERROR, node_get(n, "tls"),
			"a password is not sent in the clear");
}

static bool is_secret(const struct node *n)
{
	return n->type == NODE_MAP && n->n == 1 &&
	       (node_text(node_get(n, "env")) || node_text(node_get(n, "file")));
}

static void check_url(struct loader *l, const struct node *n)
{
	const char *text = node_text(n);

	if (n && !text && !is_secret(n)) {
		diag_node(l->diags, DIAG_ERROR, n, "url: expected a URL");
		diag_hint(l->diags, "a text, {env: NAME} or {file: PATH}");
	} else if (text && strncmp(text, "http://", 7) != 0 && strncmp(text, "https://", 8) != 0)
		diag_node(l->diags, DIAG_ERROR, n, "\"%s\" is not an http or https URL", text);
}

static void load_channels(struct loader *l, const struct node *map)
{
	struct alert_channel *list = arena_array(l->arena, map->n + 1, sizeof *list);
	const struct schema_env env = { .dir = l->dir };
	char what[64];
	int n = 0;

	for (size_t i = 0; list && i < map->n; i++) {
		const struct node *c = map->items[i];
		int type = find_type(l, map->keys[i], c);
		const struct field *rows =
			type < 0 ? NULL : rows_of(l->arena, (enum alert_channel_type)type);
		if (!rows)
			continue;
		snprintf(what, sizeof what, "channel of type %s",
			alert_channel_type_name((enum alert_channel_type)type));
		if (schema_check(c, rows, what, &env, l->diags) > 0)
			continue;
		if (type == ALERT_EMAIL)
			check_mail(l, c);
		check_url(l, node_get(c, "url"));
		list[n++] = (struct alert_channel){ map->keys[i]->text,
			(enum alert_channel_type)type, c };
	}
	l->a->channels = list;
	l->a->nchannels = n;
	if (map->n == 0)
		diag_node(l->diags, DIAG_ERROR, map, "alerts without a channel tell nobody");
}

/* ---- routes ---------------------------------------------------------------------------- */

static size_t count(const struct node *n)
{
	return !n ? 0 : n->type == NODE_SEQ ? n->n : 1;
}

static const struct node *item(const struct node *n, size_t i)
{
	return n->type == NODE_SEQ ? n->items[i] : n;
}

static const char *const *load_words(struct loader *l, const struct node *n)
{
	const char **list = n ? arena_array(l->arena, count(n) + 1, sizeof *list) : NULL;

	for (size_t i = 0; list && i < count(n); i++)
		list[i] = node_text(item(n, i));
	if (list)
		list[count(n)] = NULL;
	return list;
}

static int find_channel(struct loader *l, const struct node *map, const struct node *n)
{
	const char *names[256];
	size_t k = 0;

	for (int i = 0; i < l->a->nchannels; i++)
		if (strcmp(l->a->channels[i].name, n->text) == 0)
			return i;
	for (size_t i = 0; i < map->n && k < 256; i++)
		names[k++] = map->keys[i]->text;
	/* One that has errors of its own was told of. */
	if (node_get(map, n->text))
		return -1;
	const char *near = near_find(n->text, names, k);
	diag_node(l->diags, DIAG_ERROR, n, "there is no channel \"%s\"%s%s%s", n->text,
		near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	return -1;
}

static const int *load_indices(
	struct loader *l, const struct node *map, const struct node *n, int *ret_n)
{
	int *list = arena_array(l->arena, count(n) + 1, sizeof *list);

	*ret_n = 0;
	for (size_t i = 0; list && i < count(n); i++) {
		int at = find_channel(l, map, item(n, i));
		if (at >= 0)
			list[(*ret_n)++] = at;
	}
	return list;
}

static void check_kinds(struct loader *l, const struct node *n)
{
	const char *names[INCIDENT_KIND_MAX];

	for (int i = 0; i < INCIDENT_KIND_MAX; i++)
		names[i] = incident_kind_name((enum incident_kind)i);
	for (size_t i = 0; i < count(n); i++) {
		const char *text = node_text(item(n, i));
		if (!text || incident_kind_by_name(text) >= 0)
			continue;
		const char *near = near_find(text, names, INCIDENT_KIND_MAX);
		diag_node(l->diags, DIAG_ERROR, item(n, i), "no kind of incident is \"%s\"%s%s%s",
			text, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	}
}

static void load_route(
	struct loader *l, const struct node *map, const struct node *n, struct alert_route *r)
{
	const struct node *to = node_get(n, "to"), *name = node_get(n, "name");

	*r = (struct alert_route){ .name = name->text,
		.tags = load_words(l, node_get(n, "tags")),
		.owners = load_words(l, node_get(n, "owners")),
		.dags = load_words(l, node_get(n, "dags")),
		.kinds = load_words(l, node_get(n, "kinds")),
		.least = (enum severity)severity_by_name(value_or(n, route_fields, "severity")),
		.escalate_after_us = duration(n, route_fields, "escalate_after") };
	check_kinds(l, node_get(n, "kinds"));
	load_hours(l, node_get(n, "hours"), &r->hours);
	r->to = load_indices(l, map, to, &r->nto);
	r->escalate_to = load_indices(l, map, node_get(n, "escalate_to"), &r->nescalate_to);
	if (!to)
		diag_node(
			l->diags, DIAG_ERROR, name, "route \"%s\" needs channels: to", name->text);
}

static void load_routes(struct loader *l, const struct node *map, const struct node *seq)
{
	struct alert_route *list = arena_array(l->arena, seq->n + 1, sizeof *list);

	l->a->routes = list;
	for (size_t i = 0; list && i < seq->n; i++) {
		const struct node *name = node_get(seq->items[i], "name");
		load_route(l, map, seq->items[i], &list[i]);
		if (alert_find_route(l->a, name->text, strlen(name->text)))
			diag_node(l->diags, DIAG_ERROR, name, "there are two routes \"%s\"",
				name->text);
		l->a->nroutes++;
	}
}

/* One for all, to all channels. */
static void make_route(struct loader *l)
{
	struct alert_route *r = arena_alloc(l->arena, sizeof *r);
	int *to = arena_array(l->arena, (size_t)l->a->nchannels + 1, sizeof *to);

	if (!r || !to)
		return;
	for (int i = 0; i < l->a->nchannels; i++)
		to[i] = i;
	*r = (struct alert_route){
		.name = "all", .least = SEVERITY_WARNING, .to = to, .nto = l->a->nchannels
	};
	l->a->routes = r;
	l->a->nroutes = 1;
}

static void load_alerts(struct loader *l, const struct node *n)
{
	const struct node *channels = node_get(n, "channels"), *routes = node_get(n, "routes");

	load_zone(l, node_get(n, "timezone"));
	load_hours(l, node_get(n, "quiet_hours"), &l->a->quiet);
	l->a->group_window_us = duration(n, alerts_fields, "group_window");
	l->a->retry_us = duration(n, alerts_fields, "retry_after");
	sscanf(value_or(n, alerts_fields, "tries"), "%d", &l->a->tries);
	load_channels(l, channels);
	if (routes)
		load_routes(l, channels, routes);
	else
		make_route(l);
	struct alert_route *all = (struct alert_route *)l->a->routes;
	for (int i = 0; all && i < l->a->nroutes; i++)
		if (!routes || !node_get(routes->items[i], "escalate_after"))
			all[i].escalate_after_us = duration(n, alerts_fields, "escalate_after");
}

struct alerts *alerts_load(
	struct arena *arena, const struct node *root, const char *dir, struct diags *diags)
{
	const struct node *n = node_get(root, "alerts"), *beat = node_get(root, "heartbeat");
	struct loader l = { .arena = arena, .diags = diags, .dir = dir };
	size_t errors = diags->nerrors;

	if (!n && !beat)
		return NULL;
	l.a = arena_alloc(arena, sizeof *l.a);
	if (!l.a)
		return NULL;
	l.a->zone = zone_utc();
	l.a->dir = dir;
	l.a->tries = 1;
	if (n)
		load_alerts(&l, n);
	if (beat) {
		l.a->heartbeat = node_get(beat, "url");
		l.a->heartbeat_us = duration(beat, heartbeat_fields, "every");
		check_url(&l, l.a->heartbeat);
	}
	if (diags->nerrors == errors)
		return l.a;
	alerts_release(l.a);
	return NULL;
}

void alerts_release(struct alerts *a)
{
	if (a && a->zone != zone_utc())
		zone_free((struct zone *)a->zone);
}
