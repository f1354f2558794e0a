/* A line per task or outermost group, redrawn in place.
 *
 * A frame is one write: go up over the last frame, write its lines anew, erase what is left. It
 * is marked as synchronised (private mode 2026) for terminals that know it. The lines of the
 * last frame are remembered by width: a terminal that became narrower has wrapped them.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/units.h"
#include "cli/groupview.h"
#include "cli/progress_impl.h"

enum {
	LINES_MAX = 200, /* of a frame, and of the list that stays */
	FRAME_US = 80000,
	NAME_WIDTH_MAX = 32,
	LABEL_WIDTH = 15, /* "upstream_failed" */
	BAR_WIDTH = 24,
};

struct tty {
	struct observer base;
	FILE *out;
	bool colour, utf8, broken, hidden;
	struct buf frame, line;
	int widths[LINES_MAX + 8]; /* of the lines on the screen */
	int nlines;
	int columns; /* when they were drawn */
	int name_width;
	int64_t drawn_us;
	unsigned spin;
	bool expand;
	struct item *items;
	int nitems;
	int *chosen; /* of the items, room for all */
	int nchosen;
};

/* What has a line: a task, or a group. */
struct item {
	int first, n; /* its tasks */
	bool group;
	struct group_tally tally;
	/* As of the frame. */
	int rank;
	int64_t ended_us;
};

/* ---- the cursor ---------------------------------------------------------------------- */

/* Where a hidden cursor is owed; exit(3) pays. */
static struct {
	int fd;
	pid_t pid;
} owed = { -1, 0 };

static void show_cursor(void)
{
	static const char show[] = "\033[?25h";

	if (owed.fd >= 0 && owed.pid == getpid())
		(void)!write(owed.fd, show, sizeof show - 1);
	owed.fd = -1;
}

static void hide_cursor(struct tty *o)
{
	static bool registered;

	if (o->hidden)
		return;
	if (!registered)
		registered = atexit(show_cursor) == 0;
	if (!registered)
		return;
	o->hidden = true;
	owed.fd = fileno(o->out);
	owed.pid = getpid();
	buf_addstr(&o->frame, "\033[?25l");
}

/* ---- which tasks ---------------------------------------------------------------------- */

enum { RANKS = 8, FINISHED = 3 };

/* The order in which tasks get a place when there are more than lines. */
static int rank(const struct task_progress *t)
{
	switch (progress_state(t)) {
	case TASK_RUNNING:
		return 0;
	case TASK_UP_FOR_RETRY:
		return 1;
	case TASK_FAILED:
		return 2;
	case TASK_QUEUED:
	case TASK_SCHEDULED:
		return 4;
	case TASK_NONE:
		return t->selected ? 5 : 7;
	default:
		return t->kept ? 6 : FINISHED; /* recently */
	}
}

static void look_at(struct item *item, const struct run_progress *p)
{
	item->tally = (struct group_tally){ 0 };
	item->rank = INT_MAX;
	item->ended_us = 0;
	for (int i = item->first; i < item->first + item->n; i++) {
		const struct task_progress *t = &p->tasks[i];
		groupview_count(&item->tally, progress_state(t));
		if (rank(t) < item->rank)
			item->rank = rank(t);
		if (t->ended_us > item->ended_us)
			item->ended_us = t->ended_us;
	}
}

/* The instant after which exactly `n` of the finished ones ended: found by bisection, for no array
 * of all tasks is to be sorted ten times a second. */
static int64_t last_ones_since(const struct tty *o, const struct run_progress *p, int n)
{
	int64_t low = p->started_us - 1, high = p->now_us + 1;

	while (low < high) {
		int64_t mid = low + (high - low) / 2;
		int after = 0;
		for (int i = 0; i < o->nitems; i++)
			after += o->items[i].rank == FINISHED && o->items[i].ended_us > mid;
		if (after > n)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Fill `chosen`: all items in topological order, or the most telling `room` of them. One pass
 * per rank, and of the finished the last ones. */
static void choose(struct tty *o, const struct run_progress *p, int room)
{
	int take[RANKS] = { 0 }, have[RANKS] = { 0 };
	int64_t since = INT64_MIN;

	for (int i = 0; i < o->nitems; i++) {
		look_at(&o->items[i], p);
		have[o->items[i].rank]++;
	}
	for (int r = 0; r < RANKS; r++) {
		take[r] = have[r] < room ? have[r] : room;
		room -= take[r];
	}
	if (take[FINISHED] < have[FINISHED])
		since = last_ones_since(o, p, take[FINISHED]);
	o->nchosen = 0;
	for (int i = 0; i < o->nitems; i++) {
		const struct item *item = &o->items[i];
		if (item->rank == FINISHED && item->ended_us <= since)
			continue;
		if (take[item->rank]-- > 0)
			o->chosen[o->nchosen++] = i;
	}
}

/* ---- lines ----------------------------------------------------------------------------- */

static const char *symbol(const struct tty *o, enum task_state state)
{
	static const char *const spin[] = { "\xe2\xa0\x8b", "\xe2\xa0\x99", "\xe2\xa0\xb9",
		"\xe2\xa0\xb8", "\xe2\xa0\xbc", "\xe2\xa0\xb4", "\xe2\xa0\xa6", "\xe2\xa0\xa7" };
	static const char *const spin_ascii[] = { "|", "/", "-", "\\" };

	switch (state) {
	case TASK_RUNNING:
		return o->utf8 ? spin[o->spin % 8] : spin_ascii[o->spin % 4];
	case TASK_SUCCESS:
		return o->utf8 ? "\xe2\x9c\x94" : "+";
	case TASK_FAILED:
		return o->utf8 ? "\xe2\x9c\x98" : "x";
	case TASK_UPSTREAM_FAILED:
		return o->utf8 ? "\xe2\x9c\x97" : "x";
	case TASK_UP_FOR_RETRY:
		return o->utf8 ? "\xe2\x86\xbb" : "r";
	case TASK_SKIPPED:
	case TASK_CANCELLED:
		return o->utf8 ? "\xe2\x8a\x98" : "o";
	default:
		return o->utf8 ? "\xc2\xb7" : ".";
	}
}

/* The line is done: take it over into the frame. */
static void take_line(struct tty *o)
{
	while (o->line.len && o->line.data[o->line.len - 1] == ' ')
		buf_truncate(&o->line, o->line.len - 1);
	if (o->nlines < (int)(sizeof o->widths / sizeof *o->widths))
		o->widths[o->nlines++] = text_width(o->line.data);
	buf_add(&o->frame, o->line.data, o->line.len);
	buf_addstr(&o->frame, "\033[K\n");
	buf_clear(&o->line);
}

/* Append to the line what fits; returns the columns left. */
static int put(struct tty *o, enum style style, const char *text, int width, int left)
{
	if (left <= 0)
		return left;
	if (!*text)
		style = STYLE_NONE; /* trailing spaces are taken off, if nothing follows them */
	if (width < 0 || width > left) {
		buf_addstr(&o->line, style_on(style, o->colour));
		int used = text_add(&o->line, text, left);
		buf_addstr(&o->line, style_off(style, o->colour));
		return left - used;
	}
	buf_addstr(&o->line, style_on(style, o->colour));
	text_add_padded(&o->line, text, width, false);
	buf_addstr(&o->line, style_off(style, o->colour));
	return left - width;
}

static void task_line(struct tty *o, const struct run_progress *p, int i)
{
	const struct task_progress *t = &p->tasks[i];
	enum style style = progress_style(t);
	int left = o->columns - 1;
	struct buf text;
	char elapsed[32] = "";

	if (progress_elapsed_us(p, t) >= 0)
		units_format_elapsed(progress_elapsed_us(p, t), elapsed, sizeof elapsed);
	buf_init(&text, BUF_MAX_TEXT);
	left = put(o, style, symbol(o, progress_state(t)), 2, left);
	left = put(o, progress_state(t) == TASK_RUNNING ? STYLE_BOLD : STYLE_NONE,
		p->dag->tasks[i].name, o->name_width, left);
	left = put(o, STYLE_NONE, "", 2, left);
	left = put(o, style, progress_label(t), LABEL_WIDTH, left);
	if (t->try > 1 || t->state == TASK_UP_FOR_RETRY)
		progress_add_try(&text, t);
	left = put(o, STYLE_WARN, text.data, 9, left);
	buf_clear(&text);
	buf_addf(&text, "%7s  ", elapsed);
	left = put(o, STYLE_NONE, text.data, 9, left);
	buf_clear(&text);
	progress_add_detail(&text, p, i);
	put(o, t->state == TASK_FAILED ? STYLE_BAD : STYLE_DIM, text.data, -1, left);
	take_line(o);
	buf_release(&text);
}

/* How long it took or takes from its first start on; -1: none of it did. Kept tasks are history. */
static int64_t elapsed_of(const struct item *item, const struct run_progress *p)
{
	int64_t from = INT64_MAX, until = 0;

	for (int i = item->first; i < item->first + item->n; i++) {
		const struct task_progress *t = &p->tasks[i];
		if (t->kept || !t->started_us)
			continue;
		int64_t end = t->state == TASK_RUNNING || !t->ended_us ? p->now_us : t->ended_us;
		from = t->started_us < from ? t->started_us : from;
		until = end > until ? end : until;
	}
	return until > from ? until - from : -1;
}

/* A group: how many of it are in which state, and the first that failed. */
static void group_line(struct tty *o, const struct run_progress *p, const struct item *item)
{
	enum task_state state = groupview_state(&item->tally);
	const struct task_progress as_one = { .state = state, .selected = true };
	const char *name = p->dag->tasks[item->first].name;
	enum style style = progress_style(&as_one);
	int64_t us = elapsed_of(item, p);
	int left = o->columns - 1;
	struct buf text;
	char elapsed[32] = "";

	if (us >= 0)
		units_format_elapsed(us, elapsed, sizeof elapsed);
	buf_init(&text, BUF_MAX_TEXT);
	left = put(o, style, symbol(o, state), 2, left);
	buf_addf(&text, "%.*s", (int)groupview_prefix(name), name);
	left = put(
		o, state == TASK_RUNNING ? STYLE_BOLD : STYLE_NONE, text.data, o->name_width, left);
	left = put(o, STYLE_NONE, "", 2, left);
	left = put(o, style, progress_label(&as_one), LABEL_WIDTH, left);
	left = put(o, STYLE_NONE, "", 9, left);
	buf_clear(&text);
	buf_addf(&text, "%7s  ", elapsed);
	left = put(o, STYLE_NONE, text.data, 9, left);
	buf_clear(&text);
	groupview_add_counts(&text, &item->tally);
	for (int i = item->first; state == TASK_FAILED && i < item->first + item->n; i++)
		if (p->tasks[i].state == TASK_FAILED) {
			buf_addf(&text, ": %s", p->dag->tasks[i].name);
			break;
		}
	put(o, state == TASK_FAILED ? STYLE_BAD : STYLE_DIM, text.data, -1, left);
	take_line(o);
	buf_release(&text);
}

static void hidden_line(struct tty *o, const struct run_progress *p)
{
	struct group_tally hidden = { 0 };
	struct buf text;

	for (int i = 0; i < p->dag->ntasks; i++)
		groupview_count(&hidden, progress_state(&p->tasks[i]));
	for (int k = 0; k < o->nchosen; k++)
		for (int s = 0; s < TASK_STATE_MAX; s++)
			hidden.by_state[s] -= o->items[o->chosen[k]].tally.by_state[s];
	buf_init(&text, BUF_MAX_TEXT);
	buf_addstr(&text, "  and ");
	groupview_add_counts(&text, &hidden);
	put(o, STYLE_DIM, text.data, -1, o->columns - 1);
	take_line(o);
	buf_release(&text);
}

static void add_bar(struct tty *o, int done, int total, bool failed)
{
	int filled = total ? (int)((int64_t)BAR_WIDTH * done / total) : BAR_WIDTH;

	buf_addstr(&o->line, style_on(failed ? STYLE_BAD : STYLE_GOOD, o->colour));
	for (int i = 0; i < BAR_WIDTH; i++)
		buf_addstr(&o->line, o->utf8 ? (i < filled ? "\xe2\x94\x81" : "\xe2\x94\x80")
					     : (i < filled ? "#" : "."));
	buf_addstr(&o->line, style_off(STYLE_GOOD, o->colour));
}

static void bar_line(struct tty *o, const struct run_progress *p)
{
	int64_t took = p->now_us > p->started_us ? p->now_us - p->started_us : 0;
	int total, done, left = o->columns - 1;
	struct buf text;
	char elapsed[32];

	progress_count_work(p, &total, &done);
	if (left > BAR_WIDTH + 20) {
		add_bar(o, done, total, p->nfailed > 0);
		left -= BAR_WIDTH;
	}
	buf_init(&text, BUF_MAX_TEXT);
	buf_addf(&text, "  %d/%d", done, total);
	if (p->nrunning)
		buf_addf(&text, "  %d running", p->nrunning);
	if (p->nfailed)
		buf_addf(&text, "  %d failed", p->nfailed);
	buf_addf(&text, "  %s", units_format_elapsed(took, elapsed, sizeof elapsed));
	if (p->stopping)
		buf_addstr(&text, "  stopping; Ctrl-C again kills");
	buf_addf(&text, "  %s", p->run);
	put(o, STYLE_NONE, text.data, -1, left);
	take_line(o);
	buf_release(&text);
}

/* ---- frames ----------------------------------------------------------------------------- */

/* Go to where the last frame began. */
static void go_back(struct tty *o, int columns)
{
	int rows = 0;

	for (int i = 0; i < o->nlines; i++)
		rows += columns < o->widths[i] ? (o->widths[i] + columns - 1) / columns : 1;
	buf_addc(&o->frame, '\r');
	if (rows)
		buf_addf(&o->frame, "\033[%dA", rows);
	if (columns != o->columns)
		buf_addstr(&o->frame, "\033[J");
	o->nlines = 0;
	o->columns = columns;
}

static void write_frame(struct tty *o)
{
	int fd = fileno(o->out);
	struct err err;

	if (!o->broken && fd >= 0) {
		fflush(o->out);
		o->broken = io_write_all(fd, o->frame.data, o->frame.len, &err) < 0;
	} else if (!o->broken) {
		fwrite(o->frame.data, 1, o->frame.len, o->out);
		fflush(o->out);
	}
	buf_clear(&o->frame);
}

static void begin(struct tty *o, int *ret_lines)
{
	int columns;

	term_size(o->out, &columns, ret_lines);
	buf_addstr(&o->frame, "\033[?2026h");
	hide_cursor(o);
	go_back(o, columns < 2 ? 2 : columns);
}

static void draw_list(struct tty *o, const struct run_progress *p, int lines)
{
	bool all = o->nitems <= lines;

	choose(o, p, all ? o->nitems : lines - 1);
	for (int k = 0; k < o->nchosen; k++) {
		const struct item *item = &o->items[o->chosen[k]];
		if (item->group)
			group_line(o, p, item);
		else
			task_line(o, p, item->first);
	}
	if (!all)
		hidden_line(o, p);
}

/* Draw; `note`: a line that stays above the list. */
static void draw(struct tty *o, const struct run_progress *p, const char *note)
{
	int lines;

	begin(o, &lines);
	if (note) {
		text_add(&o->frame, note, -1);
		buf_addstr(&o->frame, "\033[K\n");
	}
	/* The cursor stands below the bar; one task line is shown on any screen. */
	int room = lines - 2 < LINES_MAX ? lines - 2 : LINES_MAX;
	draw_list(o, p, room < 2 ? 2 : room);
	bar_line(o, p);
	buf_addstr(&o->frame, "\033[J\033[?2026l");
	write_frame(o);
	o->drawn_us = p->now_us;
	o->spin++;
}

static void finish(struct tty *o, const struct run_progress *p)
{
	int lines;

	begin(o, &lines);
	if (!progress_nothing_done(p))
		draw_list(o, p, LINES_MAX);
	buf_addstr(&o->frame, "\033[J");
	progress_add_summary(&o->frame, p, o->colour);
	buf_addstr(&o->frame, "\033[?25h\033[?2026l");
	write_frame(o);
	owed.fd = -1;
	o->hidden = false;
	o->nlines = 0;
}

/* Tasks in topological order, a group where its first task stands. */
static void list_items(struct tty *o, const struct dag *dag, bool *listed)
{
	for (int k = 0; k < dag->ntasks; k++) {
		int i = dag->order ? dag->order[k] : k,
		    g = o->expand ? -1 : dag_group_of(dag, &dag->tasks[i]);
		while (g >= 0 && dag->groups[g].parent >= 0)
			g = dag->groups[g].parent;
		if (g >= 0 && listed[g])
			continue;
		if (g >= 0)
			listed[g] = true;
		const char *name = g >= 0 ? dag->groups[g].name : dag->tasks[i].name;
		int w = text_width(name);
		if (w > o->name_width)
			o->name_width = w < NAME_WIDTH_MAX ? w : NAME_WIDTH_MAX;
		o->items[o->nitems++] = g >= 0 ? (struct item){ .first = dag->groups[g].first,
			.n = dag->groups[g].ntasks,
			.group = true }
					       : (struct item){ .first = i, .n = 1 };
	}
}

static int prepare(struct tty *o, const struct run_progress *p)
{
	bool *listed = calloc((size_t)p->dag->ngroups + 1, sizeof *listed);

	o->items = calloc((size_t)p->dag->ntasks + 1, sizeof *o->items);
	o->chosen = calloc((size_t)p->dag->ntasks + 1, sizeof *o->chosen);
	if (o->items && o->chosen && listed)
		list_items(o, p->dag, listed);
	int rc = o->items && o->chosen && listed ? 0 : -1;
	if (rc < 0) {
		free(o->items);
		free(o->chosen);
		o->items = NULL;
		o->chosen = NULL;
	}
	free(listed);
	return rc;
}

static void tty_event(
	struct observer *base, const struct run_progress *p, const struct run_event *e)
{
	struct tty *o = (struct tty *)base;

	if (!o->chosen && prepare(o, p) < 0)
		return;
	switch (e->kind) {
	case EVENT_RUN_SETTLING:
	case EVENT_NOTE:
	case EVENT_RUN_STOPPING:
		draw(o, p, e->text);
		break;
	case EVENT_RUN_STARTED:
		if (!progress_nothing_done(p))
			draw(o, p, NULL);
		break;
	case EVENT_RUN_FINISHED:
		finish(o, p);
		break;
	default:
		if (p->now_us - o->drawn_us >= FRAME_US)
			draw(o, p, NULL);
	}
}

static void tty_free(struct observer *base)
{
	struct tty *o = (struct tty *)base;

	if (!o)
		return;
	if (o->hidden)
		show_cursor();
	buf_release(&o->frame);
	buf_release(&o->line);
	free(o->chosen);
	free(o->items);
	free(o);
}

struct observer *progress_tty_new(FILE *out, bool colour, bool expand)
{
	struct tty *o = calloc(1, sizeof *o);

	if (!o)
		return NULL;
	o->base = (struct observer){ .event = tty_event, .wants_ticks = true, .free = tty_free };
	o->out = out;
	o->colour = colour;
	o->expand = expand;
	o->utf8 = term_is_utf8();
	buf_init(&o->frame, BUF_MAX_TEXT);
	buf_init(&o->line, BUF_MAX_TEXT);
	return &o->base;
}
