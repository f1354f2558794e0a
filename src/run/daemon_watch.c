/* Changes in the folder of the DAGs, by inotify(7). */
#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/units.h"
#include "run/daemon_impl.h"

/* An editor writes a file in several steps, a deployment writes many: wait until it is quiet. */
#define QUIET_US (200 * US_PER_MS)
enum { EVENTS_SIZE = 16 << 10 };

static void on_settled(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;
	struct err err = { 0 };

	(void)fd;
	(void)what;
	daemon_scan(d, &err);
	daemon_turn(d);
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval quiet = { .tv_usec = QUIET_US };
	struct daemon *d = arg;
	char events[EVENTS_SIZE];

	(void)what;
	/* What happened does not matter: the scan finds out, also when events were dropped. */
	while (read(fd, events, sizeof events) > 0)
		;
	event_add(d->on_settled, &quiet);
}

static void watch_folder(void *arg, const char *folder)
{
	const uint32_t mask = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
			      IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB | IN_ONLYDIR;
	struct daemon *d = arg;

	if (inotify_add_watch(d->watch_fd, folder, mask) < 0)
		say(d, LEVEL_WARN, "cannot watch a folder; use weir reload after changes",
			{ "folder", folder }, { "error", strerror(errno) });
}

/* A watch that is there already is kept by the kernel. */
void daemon_watch_folders(struct daemon *d)
{
	/* It may lie above the folder, among files that change all the time: it alone is watched.
	 */
	const uint32_t of_file = IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF;

	if (d->watch_fd < 0)
		return;
	catalog_each_folder(d->catalog, watch_folder, d);
	if (d->settings_path)
		inotify_add_watch(d->watch_fd, d->settings_path, of_file);
}

int daemon_watch_init(struct daemon *d, struct err *err)
{
	struct event_base *base = d->engine.base;

	d->on_settled = evtimer_new(base, on_settled, d);
	if (!d->on_settled)
		return err_nomem(err);
	d->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (d->watch_fd < 0) {
		say(d, LEVEL_WARN, "cannot watch the folder; use weir reload after changes",
			{ "error", strerror(errno) });
		return 0;
	}
	d->on_watch = event_new(base, d->watch_fd, EV_READ | EV_PERSIST, on_watch, d);
	if (!d->on_watch || event_add(d->on_watch, NULL) < 0)
		return err_nomem(err);
	return 0;
}

void daemon_watch_release(struct daemon *d)
{
	if (d->on_watch)
		event_free(d->on_watch);
	if (d->on_settled)
		event_free(d->on_settled);
	if (d->watch_fd >= 0)
		close(d->watch_fd);
}
