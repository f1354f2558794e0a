#include <stdlib.h>

#include "base/err.h"
#include "cli/commands.h"
#include "cli/home.h"
#include "http/client.h"
#include "run/daemon.h"

static int print(const struct args *args, json_t *answer, struct err *err)
{
	const char *key, *before = ": ";
	json_t *value;

	if (args_has(args, "json"))
		return cli_print_json(answer, err);
	if (!args_has(args, "quiet")) {
		printf("Reloaded");
		json_object_foreach(answer, key, value)
		{
			if (!json_is_integer(value))
				continue;
			printf("%s%s %lld", before, key, (long long)json_integer_value(value));
			before = ", ";
		}
		puts("");
	}
	if (json_is_string(json_object_get(answer, "settings_error")))
		fprintf(stderr, "weir.yaml cannot be used; what it said before still holds:\n%s",
			json_string_value(json_object_get(answer, "settings_error")));
	json_decref(answer);
	return 0;
}

static int reload_run(const struct args *args, struct err *err)
{
	char *home = cli_home(args, err), *path = home ? daemon_socket_path(home) : NULL;
	const struct http_call c = { .socket_path = path, .method = "POST", .path = "/v1/reload" };
	json_t *answer;
	int status, rc = -1;

	if (home && !path)
		err_nomem(err);
	else if (path)
		rc = http_call(&c, &status, &answer, err);
	if (rc < 0 && path && err->code == ERR_NOT_FOUND && status == 0)
		err_set(err, ERR_NOT_FOUND,
			"no daemon is running on %s: there is nothing to reload; \"weir daemon\" "
			"starts one and reads all DAGs",
			home);
	free(path);
	free(home);
	return rc < 0 ? -1 : print(args, answer, err);
}

const struct command command_reload = {
	.name = "reload",
	.group = "Operate",
	.summary = "have the daemon read its DAG folder anew",
	.doc = "The daemon sees changes of its folder by itself; this is for file systems that do "
	       "not tell of changes (NFS), and for scripts that must know that a change is in "
	       "force. A file that cannot be loaded keeps its last good version; \"weir status\" "
	       "shows its error. weir.yaml is read anew, too: alerts, heartbeat, breakers, "
	       "pools and keep hold from then on. One with errors changes nothing.",
	.run = reload_run,
};
