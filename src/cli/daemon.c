#include <stdlib.h>
#include <string.h>

#include "base/civil.h"
#include "base/err.h"
#include "base/io.h"
#include "cli/commands.h"
#include "cli/home.h"
#include "conf/config.h"
#include "conf/diag.h"
#include "http/routes.h"
#include "http/server.h"
#include "run/daemon.h"

enum { JOBS_MAX = 4096, JOBS_DEFAULT = 16 };

/* ---- the API -------------------------------------------------------------------------- */

struct service {
	struct http_api api;
	struct http_server *server;
};

static int serve(struct daemon *d, struct event_base *base, void **ret_server, struct err *err)
{
	struct service *s = calloc(1, sizeof *s);

	if (!s)
		return err_nomem(err);
	s->api = (struct http_api){ .ops = *daemon_ops(d),
		.daemon = d,
		.reload = daemon_reload,
		.status = daemon_status,
		.live = daemon_live };
	char *path = daemon_socket_path(daemon_home(d));
	int rc = path ? http_server_new(&s->server, base, path, http_routes(), &s->api, err)
		      : err_nomem(err);
	free(path);
	if (rc < 0) {
		free(s);
		return -1;
	}
	*ret_server = s;
	return 0;
}

static void unserve(void *server)
{
	struct service *s = server;

	http_server_free(s->server);
	free(s);
}

/* ---- the command ---------------------------------------------------------------------- */

static int run_with(const struct args *args, struct daemon_config *config, struct err *err)
{
	struct diags diags;
	int rc = -1;

	diags_init(&diags);
	struct config *settings = cli_load_config(args, config->folder, &diags, err);
	if (settings) {
		config->settings = settings;
		rc = daemon_run(config, err);
	} else if (diags.nerrors) {
		cli_print_diags(args, &diags);
		err_set(err, ERR_INVALID, "the configuration has errors");
	}
	config_free(settings);
	diags_release(&diags);
	return rc;
}

static const char *folder_of(const struct args *args)
{
	const char *given = args_text(args, "dags");

	if (given)
		return given;
	return io_exists("dags") ? "dags" : ".";
}

static int daemon_command(const struct args *args, struct err *err)
{
	const char *until = getenv("WEIR_TEST_UNTIL"), *format = args_text(args, "log");
	char *home = cli_home(args, err);
	struct civil_text t;
	int rc = -1;

	if (!home)
		return -1;
	struct daemon_config config = { .home = home,
		.folder = folder_of(args),
		.catalog = { .operators = cli_operators(),
			.conn_types = cli_connection_types(),
			.config_path = args_text(args, "config") },
		.jobs = (int)args_int(args, "jobs", JOBS_DEFAULT),
		.looks = (int)args_int(args, "looks", 0),
		.log_format = format && strcmp(format, "json") == 0 ? LOG_JSON : LOG_TEXT,
		.verbose = args_has(args, "verbose"),
		.log = stderr,
		.stop_tasks = args_has(args, "stop-tasks"),
		.serve = serve,
		.unserve = unserve };
	if (until && civil_parse(until, &t, NULL) == 0)
		config.until_us = civil_text_us(&t);
	rc = run_with(args, &config, err);
	free(home);
	return rc;
}

static const char *const log_formats[] = { "text", "json", NULL };

static const struct option daemon_options[] = {
	{ .name = "dags",
		.kind = VALUE_DIR,
		.value = "DIR",
		.help = "the folder of the DAGs; default: ./dags, or the current folder" },
	{ .name = "jobs",
		.letter = 'j',
		.kind = VALUE_INT,
		.value = "N",
		.min = 1,
		.max = JOBS_MAX,
		.help = "run at most N tasks at once, those of backfills apart; default: 16" },
	{ .name = "looks",
		.kind = VALUE_INT,
		.value = "N",
		.min = 1,
		.max = 1000,
		.help = "look at most N times at once for what tasks wait for (queries and "
			"requests of control: wait), beside the jobs; default: 16" },
	{ .name = "log",
		.kind = VALUE_ENUM,
		.value = "FORMAT",
		.values = log_formats,
		.help = "how log lines on stderr are written; default: text" },
	{ .name = "stop-tasks",
		.kind = VALUE_FLAG,
		.help = "at the end stop running tasks, for the next daemon to do again; without "
			"it "
			"they go on, and the next daemon takes up what became of them" },
	{ 0 },
};

const struct command command_daemon = {
	.name = "daemon",
	.group = "Run",
	.summary = "run a folder of DAGs on their schedules",
	.doc = "Runs in the foreground, for systemd or a container, and logs to stderr. DAG files "
	       "are "
	       "loaded anew when they change; a broken one keeps its last good version running, "
	       "and "
	       "weir status shows the error. TERM and INT end it, HUP reads the folder anew.",
	.options = daemon_options,
	.run = daemon_command,
};
