/* weir.yaml for the folder of the DAGs, read anew when it changes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "conf/config.h"
#include "conf/diag.h"
#include "core/alert.h"
#include "run/daemon_impl.h"

enum { ERROR_TEXT_MAX = 8 << 10 };

static void set_error(struct daemon *d, const char *text)
{
	bool news = text && (!d->settings_error || strcmp(text, d->settings_error) != 0);

	if (news)
		say(d, LEVEL_ERROR, "weir.yaml cannot be used; what it said before still holds",
			{ "file", d->settings_path }, { "error", text });
	else if (!text && d->settings_error)
		say(d, LEVEL_INFO, "weir.yaml is well again", { "file", d->settings_path });
	char *copy = text ? strdup(text) : NULL;
	free(d->settings_error);
	d->settings_error = copy;
}

static void say_settings(struct daemon *d)
{
	const struct alerts *a = config_alerts(d->settings);
	char channels[16], routes[16];

	snprintf(channels, sizeof channels, "%d", a ? a->nchannels : 0);
	snprintf(routes, sizeof routes, "%d", a ? a->nroutes : 0);
	say(d, LEVEL_INFO, "settings loaded",
		{ "file", d->settings_path ? d->settings_path : "(none)" },
		{ "channels", channels }, { "routes", routes },
		{ "heartbeat", a && a->heartbeat ? "yes" : NULL });
}

/* Nobody refers to the old ones when this returns. */
static void take(struct daemon *d, struct config *fresh)
{
	struct config *old = d->own_settings;
	bool first = !old;

	d->settings = d->own_settings = fresh;
	daemon_alerts_set(d, config_alerts(fresh));
	daemon_chores_arm(d);
	config_free(old);
	if (!first)
		say_settings(d);
}

static bool read_anew(struct daemon *d)
{
	struct diags diags;
	struct buf text;

	diags_init(&diags);
	struct config *fresh = d->settings_path ? config_load(d->settings_path,
							  d->config->catalog.conn_types, &diags)
						: config_empty();
	if (fresh) {
		set_error(d, NULL);
		take(d, fresh);
	} else {
		buf_init(&text, ERROR_TEXT_MAX);
		diags_print(&diags, &text, false);
		set_error(d, text.len ? text.data : "cannot be loaded");
		buf_release(&text);
	}
	diags_release(&diags);
	return fresh != NULL;
}

static struct file_stamp stamp_of_file(const char *path)
{
	struct stat st;

	if (!path || stat(path, &st) < 0)
		return (struct file_stamp){ 0 };
	return (struct file_stamp){ .mtime_ns = st.st_mtim.tv_sec * INT64_C(1000000000) +
						st.st_mtim.tv_nsec,
		.ctime_ns = st.st_ctim.tv_sec * INT64_C(1000000000) + st.st_ctim.tv_nsec,
		.size = st.st_size,
		.inode = st.st_ino };
}

static bool same_path(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool daemon_settings_look(struct daemon *d)
{
	struct err err = { 0 };
	char *path = config_find(d->config->catalog.config_path, catalog_folder(d->catalog), &err);

	if (!path && err.code != ERR_NONE) {
		set_error(d, err.msg);
		return false;
	}
	const struct file_stamp stamp = stamp_of_file(path);
	bool same = same_path(path, d->settings_path) &&
		    memcmp(&stamp, &d->settings_stamp, sizeof stamp) == 0;
	/* What was wrong may have been a file that it names. */
	if (same && !d->settings_error) {
		free(path);
		return false;
	}
	free(d->settings_path);
	d->settings_path = path;
	d->settings_stamp = stamp;
	return read_anew(d);
}

void daemon_settings_release(struct daemon *d)
{
	free(d->settings_path);
	free(d->settings_error);
	config_free(d->own_settings);
}
