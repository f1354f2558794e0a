/* Retention: `keep:` of weir.yaml, applied a little at a time. */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/units.h"
#include "conf/config.h"
#include "run/daemon_impl.h"
#include "run/paths.h"

enum { RUNS_AT_ONCE = 100, FOLDERS_AT_ONCE = 200, PAGES_AT_ONCE = 256 };

bool daemon_has_chores(const struct daemon *d)
{
	return config_keep_runs_us(d->settings) > 0 || config_keep_logs_us(d->settings) > 0;
}

void daemon_chores_arm(struct daemon *d)
{
	const struct timeval every = { .tv_sec = CHORES_US / US_PER_SECOND };

	if (d->on_chores && daemon_has_chores(d))
		event_add(d->on_chores, &every);
	else if (d->on_chores)
		event_del(d->on_chores);
}

/* A folder of files, with what is in it. */
static void remove_folder(const char *path)
{
	DIR *dir = opendir(path);

	for (struct dirent *e; dir && (e = readdir(dir));) {
		char *file = e->d_name[0] == '.' ? NULL : io_path_join(path, e->d_name);
		if (file)
			unlink(file);
		free(file);
	}
	if (dir)
		closedir(dir);
	rmdir(path);
}

static void remove_run_files(const struct daemon *d, const char *run)
{
	char *logs = paths_log_dir(d->config->home, run),
	     *work = paths_work_dir(d->config->home, run);

	if (logs)
		remove_folder(logs);
	if (work)
		remove_folder(work);
	free(logs);
	free(work);
}

static void prune_runs(struct daemon *d)
{
	struct store_result gone = { 0 };
	struct err err = { 0 };
	char count[32];

	if (store_prune(d->engine.store, clock_now_us() - config_keep_runs_us(d->settings),
		    RUNS_AT_ONCE, &gone, &err) < 0) {
		say(d, LEVEL_WARN, "cannot remove old runs", { "error", err.msg });
		return;
	}
	for (size_t i = 0; i < gone.n; i++)
		remove_run_files(d, gone.runs[i].name);
	if (gone.n > 0) {
		snprintf(count, sizeof count, "%zu", gone.n);
		say(d, LEVEL_INFO, "old runs removed", { "runs", count });
		store_vacuum(d->engine.store, PAGES_AT_ONCE, NULL);
	}
	store_result_release(&gone);
}

/* Of a folder and the files in it: appending to one does not touch its folder. */
static int64_t last_change(const char *folder)
{
	DIR *dir = opendir(folder);
	int64_t newest = INT64_MAX;
	struct stat st;

	if (!dir || fstat(dirfd(dir), &st) < 0)
		goto out;
	newest = st.st_mtime;
	for (struct dirent *e; (e = readdir(dir));)
		if (e->d_name[0] != '.' && fstatat(dirfd(dir), e->d_name, &st, 0) == 0 &&
			st.st_mtime > newest)
			newest = st.st_mtime;
out:
	if (dir)
		closedir(dir);
	return newest;
}

/* Logs are kept shorter than runs: whole folders, by the time of their last change. */
static void prune_logs(struct daemon *d)
{
	char *path = io_path_join(d->config->home, "logs");
	DIR *dir = path ? opendir(path) : NULL;
	int64_t before = (clock_now_us() - config_keep_logs_us(d->settings)) / 1000000;
	int n = 0;

	for (struct dirent *e; dir && n < FOLDERS_AT_ONCE && (e = readdir(dir));) {
		char *folder = e->d_name[0] == '.' ? NULL : io_path_join(path, e->d_name);
		if (folder && last_change(folder) < before) {
			remove_folder(folder);
			n++;
		}
		free(folder);
	}
	if (dir)
		closedir(dir);
	free(path);
}

/* What was wrong, and what was told of it, is kept as long as the runs. */
static void prune_incidents(struct daemon *d)
{
	int64_t before = clock_now_us() - config_keep_runs_us(d->settings);
	struct err err = { 0 };
	int n;

	if (store_outbox_prune(d->engine.store, before, RUNS_AT_ONCE, &n, &err) < 0 ||
		store_incidents_prune(d->engine.store, before, RUNS_AT_ONCE, &n, &err) < 0)
		say(d, LEVEL_WARN, "cannot remove old incidents", { "error", err.msg });
}

void daemon_chores(struct daemon *d)
{
	if (config_keep_runs_us(d->settings) > 0) {
		prune_runs(d);
		prune_incidents(d);
	}
	if (config_keep_logs_us(d->settings) > 0)
		prune_logs(d);
}
