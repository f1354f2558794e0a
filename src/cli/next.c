#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/units.h"
#include "base/zonefile.h"
#include "cli/commands.h"
#include "cli/grid.h"
#include "cli/home.h"
#include "cli/slaview.h"
#include "cli/term.h"
#include "core/cron.h"
#include "core/model.h"
#include "core/timetable.h"
#include "core/zone.h"
#include "run/dataset_waits.h"
#include "store/store.h"

struct next {
	const struct args *args;
	struct cli_dag dag;        /* of a DAG file, else empty */
	struct cron cron;          /* of --cron */
	struct schedule_spec made; /* likewise */
	const struct schedule_spec *spec;
	struct zone *own_zone;
	const struct zone *zone;
	struct err *err;
};

/* ---- the schedule -------------------------------------------------------------------- */

static int of_cron(struct next *n, const char *text)
{
	const char *tz = args_text(n->args, "tz");

	if (args_operand(n->args, 0))
		return err_set(n->err, ERR_USAGE, "give a DAG file or --cron, not both");
	if (cron_parse(text, &n->cron, NULL, n->err) < 0)
		return -1;
	if (tz && zone_open(tz, zonefile_read, &n->own_zone, n->err) < 0)
		return err_context(n->err, "--tz");
	n->made = (struct schedule_spec){
		.kind = TIMETABLE_CRON,
		.zone = n->own_zone,
		.crons = &n->cron,
		.n_crons = 1,
		.catchup_window_us = TIMETABLE_CATCHUP_WINDOW_US,
	};
	n->spec = &n->made;
	return timetable_check(n->spec, n->err);
}

/* A word that is no file can be the name of a DAG that was run, or that a daemon knows. Where its
 * file is; owned, or NULL: none knows it. */
static char *path_by_name(const struct args *args, const char *name)
{
	struct store *s = NULL;
	const struct run_filter f = { .dag = name, .state = -1, .limit = 1 };
	struct store_result dags = { .n = 0 }, runs = { .n = 0 };
	struct err err;
	char *ret = NULL;

	if (strchr(name, '/') || io_exists(name) || cli_store_open(args, &s, &err) < 0)
		return NULL;
	if (store_dags(s, name, &dags, NULL) == 0) {
		if (dags.n && dags.dags[0].path)
			ret = strdup(dags.dags[0].path);
		store_result_release(&dags);
	}
	if (!ret && store_runs(s, &f, &runs, NULL) == 0) {
		if (runs.n && runs.runs[0].dag_path && runs.runs[0].dag_dir)
			ret = io_path_join(
				runs.runs[0].dag_dir, io_path_base(runs.runs[0].dag_path));
		store_result_release(&runs);
	}
	store_close(s);
	return ret;
}

static int of_dag(struct next *n)
{
	const char *path = args_operand(n->args, 0);

	if (!path)
		return err_set(n->err, ERR_USAGE,
			"name a DAG or its file, or give --cron; see \"weir next --help\"");
	if (args_has(n->args, "tz"))
		return err_set(
			n->err, ERR_USAGE, "--tz goes with --cron; a DAG names its own zone");
	char *known = path_by_name(n->args, path);
	int rc = cli_load_dag(n->args, known ? known : path, false, &n->dag, n->err);
	free(known);
	if (rc < 0)
		return -1;
	n->spec = n->dag.dag->schedule;
	if (!n->spec)
		n->spec = &n->made; /* all zero: manual */
	return 0;
}

static int next_open(struct next *n)
{
	const char *cron = args_text(n->args, "cron");

	if ((cron ? of_cron(n, cron) : of_dag(n)) < 0)
		return -1;
	n->zone = n->spec->zone ? n->spec->zone : zone_utc();
	return 0;
}

/* --after: an instant, or a local time of the schedule's zone. */
static int after_us(struct next *n, int64_t *ret)
{
	const char *text = args_text(n->args, "after");
	struct civil_text t;
	struct zone_local local;

	*ret = clock_now_us();
	if (!text)
		return 0;
	if (civil_parse(text, &t, n->err) < 0)
		return -1;
	if (t.parts & CIVIL_HAS_OFFSET) {
		*ret = civil_text_us(&t);
		return 0;
	}
	zone_local_to_utc(n->zone, &t.civil, &local);
	*ret = local.first_us;
	return 0;
}

/* ---- printing ------------------------------------------------------------------------ */

enum { TEXT_SIZE = 64 };

static const char *in_zone(const struct next *n, int64_t at_us, char *text)
{
	struct civil c;
	struct zone_info info;
	struct buf b;

	zone_to_civil(n->zone, at_us, &c, &info);
	buf_init(&b, TEXT_SIZE - 1);
	civil_add_rfc3339(&b, &c, info.offset_s);
	memcpy(text, b.data, b.len + 1);
	buf_release(&b);
	return text;
}

static const char *in_utc(int64_t at_us, char *text)
{
	struct civil c;

	civil_from_us(at_us, &c);
	snprintf(text, TEXT_SIZE, "%04d-%02d-%02d %02d:%02d:%02dZ", c.year, c.month, c.day, c.hour,
		c.min, c.sec);
	return text;
}

static const char *note_name(const struct tick *t)
{
	if (t->note != CRON_NOTE_NONE)
		return cron_note_name(t->note);
	return t->moved ? "moved" : NULL;
}

/* Until when the run has to be done; INT64_MAX: no SLA says. */
static int64_t deadline_us(const struct next *n, const struct tick *t)
{
	return n->dag.dag ? slaview_deadline_us(n->dag.dag, t->start_us, t->end_us) : INT64_MAX;
}

static void print_line(const struct next *n, const struct tick *t)
{
	char after[TEXT_SIZE], from[TEXT_SIZE], until[TEXT_SIZE];
	const char *note = note_name(t);
	int64_t deadline = deadline_us(n, t);
	char by[TEXT_SIZE];
	json_t *o = json_pack("{s:s, s:s, s:s, s:o, s:o}", "run_after",
		in_zone(n, t->run_after_us, after), "interval_start", in_zone(n, t->start_us, from),
		"interval_end", in_zone(n, t->end_us, until), "note",
		note ? json_string(note) : json_null(), "deadline",
		deadline == INT64_MAX ? json_null() : json_string(in_zone(n, deadline, by)));
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	if (text)
		puts(text);
	free(text);
	json_decref(o);
}

/* Why this instant: what daylight saving time or the calendar did to it. */
static void add_why(struct grid *g, const struct next *n, const struct tick *t)
{
	struct zone_info info;
	struct civil c, now;

	civil_from_us(t->local_us, &c);
	zone_to_civil(n->zone, t->run_after_us, &now, &info);
	switch (t->note) {
	case CRON_NOTE_GAP:
		grid_addf(g, STYLE_WARN,
			"%02d:%02d does not exist on this day: the clock goes forward; runs at the "
			"first instant after the gap, %02d:%02d",
			c.hour, c.min, now.hour, now.min);
		return;
	case CRON_NOTE_OVERLAP:
		grid_addf(g, STYLE_WARN,
			"%02d:%02d comes twice on this day: the clock goes back; this is the one "
			"in %s",
			c.hour, c.min, info.abbrev ? info.abbrev : "this offset");
		return;
	default:
		grid_add(g, STYLE_NONE,
			t->moved                   ? "moved here by the calendar"
			: t->start_us == t->end_us ? "as scheduled"
						   : "its interval is complete");
	}
}

static const struct grid_column columns[] = {
	{ "RUN AFTER", 0 },
	{ "UTC", 0 },
	{ "INTERVAL FROM", 0 },
	{ "UNTIL", 0 },
	{ "DEADLINE", 0 },
	{ "NOTE", 0 },
	{ "WHY", GRID_FLEX },
};

static void add_tick(struct grid *g, const struct next *n, const struct tick *t)
{
	char text[TEXT_SIZE];

	grid_add(g, STYLE_BOLD, in_zone(n, t->run_after_us, text));
	grid_add(g, STYLE_NONE, in_utc(t->run_after_us, text));
	grid_add(g, STYLE_NONE, in_zone(n, t->start_us, text));
	grid_add(g, STYLE_NONE, in_zone(n, t->end_us, text));
	int64_t deadline = deadline_us(n, t);
	grid_add(g, STYLE_NONE, deadline == INT64_MAX ? NULL : in_zone(n, deadline, text));
	bool explain = args_has(n->args, "explain");
	grid_add(g, STYLE_WARN, explain ? NULL : note_name(t));
	if (explain)
		add_why(g, n, t);
	else
		grid_add(g, STYLE_NONE, NULL);
}

static void print_table(const struct next *n, struct grid *g)
{
	struct term t;
	struct buf out;

	term_init(&t, stdout, n->args);
	buf_init(&out, BUF_MAX_TEXT);
	if (g->n)
		grid_print(g, &t, 0, &out);
	else if (n->spec->kind == TIMETABLE_MANUAL)
		buf_addstr(&out, "No schedule: runs are started by hand.\n");
	else
		buf_addstr(&out, "No run is due any more.\n");
	if (args_has(n->args, "explain"))
		buf_addf(&out, "\nIn %s. A time in a gap: %s; in an overlap: %s. %s\n",
			zone_name(n->zone), cron_gap_name(n->spec->dst.gap),
			cron_overlap_name(n->spec->dst.overlap),
			n->spec->kind == TIMETABLE_CRON && n->spec->crons[0].elapsed
				? "With a wildcard minute or hour the schedule follows elapsed "
				  "time."
				: "");
	term_write(&t, &out);
	buf_release(&out);
}

static int print_ticks(struct next *n, int64_t after)
{
	long count = args_int(n->args, "count", 5);
	bool json = args_has(n->args, "json");
	struct grid g;
	struct tick t;

	grid_init(&g, columns, sizeof columns / sizeof *columns);
	for (long i = 0; i < count && timetable_next(n->spec, after, &t) == 1; i++) {
		if (json)
			print_line(n, &t);
		else
			add_tick(&g, n, &t);
		after = t.run_after_us;
	}
	if (!json)
		print_table(n, &g);
	grid_release(&g);
	return 0;
}

/* ---- datasets ------------------------------------------------------------------------ */

static const struct grid_column wait_columns[] = {
	{ "DATASET", GRID_FLEX },
	{ "LAST UPDATED", 0 },
	{ "", GRID_FLEX },
};

static void print_wait_line(const struct dataset_wait *w)
{
	json_t *o = json_pack("{s:s, s:b, s:I, s:o, s:o}", "dataset", w->name, "updated",
		w->count > 0, "updates", (json_int_t)w->count, "last", cli_json_time(w->last_us),
		"waits_since", cli_json_time(w->count ? 0 : w->since_us));
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	if (text)
		puts(text);
	free(text);
	json_decref(o);
}

static void add_wait(struct grid *g, const struct next *n, const struct dataset_wait *w)
{
	char text[TEXT_SIZE];

	grid_add(g, STYLE_BOLD, w->name);
	int64_t last_us = w->last_us - w->last_us % US_PER_SECOND;

	grid_add(g, STYLE_NONE, last_us ? in_zone(n, last_us, text) : "never");
	if (w->count)
		grid_addf(g, STYLE_GOOD, "updated %lld time%s since the last run",
			(long long)w->count, w->count == 1 ? "" : "s");
	else if (w->since_us)
		grid_add(g, STYLE_WARN, "waited for");
	else
		grid_add(g, STYLE_DIM, "no daemon knows the DAG yet: it waits from then on");
}

static void print_waits(const struct next *n, const struct dataset_wait *waits)
{
	const struct dataset_rule *rule = n->dag.dag->datasets;
	struct grid g;
	struct term t;
	struct buf out;

	term_init(&t, stdout, n->args);
	buf_init(&out, BUF_MAX_TEXT);
	grid_init(&g, wait_columns, sizeof wait_columns / sizeof *wait_columns);
	for (size_t i = 0; i < rule->n; i++)
		add_wait(&g, n, &waits[i]);
	buf_addf(&out, "At no set time: it runs when %s updated since its last run.\n\n",
		rule->n == 1                ? "this dataset was"
		: rule->when == DATASET_ALL ? "each of these datasets was"
					    : "one of these datasets was");
	grid_print(&g, &t, 0, &out);
	term_write(&t, &out);
	grid_release(&g);
	buf_release(&out);
}

static int show_waits(const struct next *n)
{
	const struct dag *dag = n->dag.dag;
	struct dataset_wait *waits;
	struct store *s = NULL;

	if (cli_store_open(n->args, &s, n->err) < 0) {
		if (n->err->code != ERR_NOT_FOUND)
			return -1;
		err_clear(n->err);
		if (store_open_memory(&s, n->err) < 0)
			return -1;
	}
	waits = dataset_waits(s, dag, n->err);
	for (size_t i = 0; waits && args_has(n->args, "json") && i < dag->datasets->n; i++)
		print_wait_line(&waits[i]);
	if (waits && !args_has(n->args, "json"))
		print_waits(n, waits);
	store_close(s);
	bool shown = waits != NULL;
	free(waits);
	return shown ? 0 : -1;
}

static int next_run(const struct args *args, struct err *err)
{
	struct next n = { .args = args, .err = err };
	int64_t after;
	int rc = next_open(&n);

	if (rc == 0)
		rc = after_us(&n, &after);
	if (rc == 0)
		rc = n.dag.dag && n.dag.dag->datasets ? show_waits(&n) : print_ticks(&n, after);
	zone_free(n.own_zone);
	cli_dag_release(&n.dag);
	return rc;
}

static const struct option next_options[] = { { .name = "count",
						      .letter = 'n',
						      .kind = VALUE_INT,
						      .value = "N",
						      .min = 1,
						      .max = 1000000,
						      .help = "how many; default 5" },
	{ .name = "after",
		.kind = VALUE_DATE,
		.value = "TIME",
		.help = "those strictly after this instant; without an offset, in the schedule's "
			"zone; default: now" },
	{ .name = "explain",
		.kind = VALUE_FLAG,
		.help = "say why, where daylight saving time or a calendar plays a part" },
	{ .name = "cron",
		.kind = VALUE_TEXT,
		.value = "EXPR",
		.help = "of this cron expression, instead of a DAG's schedule" },
	{ .name = "tz",
		.kind = VALUE_TEXT,
		.value = "ZONE",
		.help = "with --cron: its time zone; default UTC" },
	{ 0 } };
static const struct operand next_operands[] = {
	{ "DAG", VALUE_DAG_FILE, true, false,
		"the DAG whose schedule is asked: its file, or its name once it was run" },
	{ 0 }
};

const struct command command_next = {
	.name = "next",
	.group = "Write",
	.summary = "when a DAG runs next, and on which data interval",
	.doc = "With --json there is one object a line: run_after, interval_start and interval_end "
	       "as RFC 3339 with the zone's offset, deadline likewise (of the DAG's SLA, or null), "
	       "and note: gap, overlap, moved or null. Of a DAG whose schedule waits for datasets "
	       "there is one object for each of these: dataset, updated (since its last run), "
	       "updates (how many), last and waits_since.\n\n"
	       "  weir next --cron \"30 2 * * *\" --tz Europe/Berlin --after 2026-03-28T00:00:00Z "
	       "-n 3 --explain",
	.options = next_options,
	.operands = next_operands,
	.run = next_run,
};
