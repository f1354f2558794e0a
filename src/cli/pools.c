/* The pools: how many slots are taken, by whom, and how many tasks wait. */
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/commands.h"
#include "cli/grid.h"
#include "cli/home.h"
#include "cli/remote.h"
#include "cli/term.h"
#include "conf/config.h"
#include "conf/diag.h"
#include "http/client.h"

enum { ANSWER_MS = 5000, HOLDERS_SHOWN = 3 };

static const struct grid_column columns[] = {
	{ "POOL", GRID_FLEX },
	{ "SLOTS", GRID_RIGHT },
	{ "USED", GRID_RIGHT },
	{ "RUNNING", GRID_RIGHT },
	{ "WAITING", GRID_RIGHT },
	{ "HELD BY", GRID_FLEX },
};

/* ---- where they are known ------------------------------------------------------------- */

/* The daemon's, as they stand. */
static int ask(const struct remote *r, json_t **ret, struct err *err)
{
	const struct http_call c = { .socket_path = r->socket_path,
		.method = "GET",
		.path = "/v1/status",
		.timeout_ms = ANSWER_MS };
	json_t *answer = NULL;
	int status;

	if (http_call(&c, &status, &answer, err) < 0)
		return -1;
	*ret = json_incref(json_object_get(answer, "pools"));
	json_decref(answer);
	return *ret ? 0 : err_set(err, ERR_INTERNAL, "the daemon's answer tells no pools");
}

/* Those of weir.yaml: where no daemon runs nothing is taken. */
static int read_config(const struct args *args, json_t **ret, struct err *err)
{
	struct diags diags;

	diags_init(&diags);
	struct config *config = cli_load_config(args, ".", &diags, err);
	if (!config && diags.nerrors) {
		cli_print_diags(args, &diags);
		err_set(err, ERR_INVALID, "the configuration has errors");
	}
	*ret = config ? json_array() : NULL;
	for (const char *const *name = config ? config_pools(config) : NULL; name && *name; name++)
		json_array_append_new(
			*ret, json_pack("{s:s, s:i, s:i, s:i, s:i, s:[]}", "pool", *name, "slots",
				      config_pool_slots(config, *name), "used", 0, "running", 0,
				      "waiting", 0, "held_by"));
	config_free(config);
	diags_release(&diags);
	return *ret ? 0 : -1;
}

/* ---- how they are shown --------------------------------------------------------------- */

static void add_holders(struct grid *g, const json_t *pool)
{
	json_t *held_by = json_object_get(pool, "held_by"), *one;
	size_t i, n = json_array_size(held_by);
	size_t running = (size_t)cli_get_int(pool, "running");
	struct buf b;

	buf_init(&b, BUF_MAX_TEXT);
	json_array_foreach(held_by, i, one)
	{
		json_int_t slots = cli_get_int(one, "slots");
		if (i == HOLDERS_SHOWN)
			break;
		buf_addf(&b, "%s%s %s", i ? ", " : "", cli_get_text(one, "run"),
			cli_get_text(one, "task"));
		if (slots > 1)
			buf_addf(&b, " (%d)", (int)slots);
	}
	n = n < HOLDERS_SHOWN ? n : HOLDERS_SHOWN;
	if (running > n)
		buf_addf(&b, " and %zu more", running - n);
	grid_add(g, STYLE_NONE, b.data);
	buf_release(&b);
}

static void show(const struct args *args, const struct remote *r, const json_t *pools)
{
	struct term t;
	struct grid g;
	struct buf out;
	json_t *p;
	size_t i;

	term_init(&t, stdout, args);
	buf_init(&out, BUF_MAX_TEXT);
	grid_init(&g, columns, sizeof columns / sizeof *columns);
	json_array_foreach(pools, i, p)
	{
		int slots = (int)cli_get_int(p, "slots"), used = (int)cli_get_int(p, "used");
		int waiting = (int)cli_get_int(p, "waiting");
		grid_add(&g, STYLE_BOLD, cli_get_text(p, "pool"));
		grid_addf(&g, STYLE_NONE, "%d", slots);
		grid_addf(&g, used > slots ? STYLE_WARN : STYLE_NONE, "%d", used);
		grid_addf(&g, STYLE_NONE, "%d", (int)cli_get_int(p, "running"));
		grid_addf(&g, waiting ? STYLE_WARN : STYLE_NONE, "%d", waiting);
		add_holders(&g, p);
	}
	if (json_array_size(pools))
		grid_print(&g, &t, 0, &out);
	else
		buf_addstr(&out, "There are no pools; weir.yaml has them: pools: { pg: 4 }\n");
	if (!r->daemon && json_array_size(pools))
		buf_addstr(&out, "\nNo daemon is running: these are the pools of weir.yaml. A "
				 "foreground run has its own.\n");
	term_write(&t, &out);
	grid_release(&g);
	buf_release(&out);
}

static int pools_run(const struct args *args, struct err *err)
{
	struct remote r;
	json_t *pools = NULL;
	int rc = remote_open(&r, args, REMOTE_READS, err);

	if (rc == 0)
		rc = r.daemon ? ask(&r, &pools, err) : read_config(args, &pools, err);
	if (rc == 0 && args_has(args, "json"))
		rc = remote_print_json(&r, json_pack("{s:O}", "pools", pools), err);
	else if (rc == 0)
		show(args, &r, pools);
	json_decref(pools);
	remote_close(&r);
	return rc;
}

const struct command command_pools = {
	.name = "pools",
	.group = "Look",
	.summary = "show the pools: slots, what takes them, what waits",
	.doc = "Pools are in weir.yaml, and tasks name them (weir-dag(5)). A running daemon is "
	       "asked how they stand: how many slots each has and how many are taken, how many "
	       "tasks run on them and wait for them. More can be used than there are when slots "
	       "became fewer: what runs goes on. Without a daemon those of the weir.yaml nearest "
	       "to this folder are listed.",
	.run = pools_run,
};
