/* One line per event: for pipes, logs and CI. No escape sequences but colours that were asked for.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/units.h"
#include "cli/progress_impl.h"
#include "cli/when.h"

enum { NAME_WIDTH_MAX = 32, LABEL_WIDTH = 10 };

struct plain {
	struct observer base;
	FILE *out;
	struct buf line;
	bool colour, quiet;
	int name_width;
};

static void write_out(struct plain *o)
{
	fwrite(o->line.data, 1, o->line.len, o->out);
	fflush(o->out);
	buf_clear(&o->line);
}

static void add_time(struct plain *o, const struct run_event *e)
{
	char when[WHEN_SIZE];

	buf_addf(&o->line, "%s  ", when_utc_seconds(e->at_us, when));
}

static void end_line(struct plain *o)
{
	while (o->line.len && o->line.data[o->line.len - 1] == ' ')
		buf_truncate(&o->line, o->line.len - 1);
	buf_addc(&o->line, '\n');
	write_out(o);
}

static void note(struct plain *o, const struct run_event *e, const char *what)
{
	add_time(o, e);
	buf_addf(&o->line, "%s: ", what);
	text_add(&o->line, e->text ? e->text : "", -1);
	end_line(o);
}

static void run_started(struct plain *o, const struct run_progress *p, const struct run_event *e)
{
	int total, done, kept = 0;

	for (int i = 0; i < p->dag->ntasks; i++) {
		/* "fetch[999]" */
		int w = text_width(p->dag->tasks[i].name) + (p->dag->tasks[i].foreach ? 5 : 0);
		if (w > o->name_width)
			o->name_width = w < NAME_WIDTH_MAX ? w : NAME_WIDTH_MAX;
	}
	if (o->quiet || progress_nothing_done(p))
		return;
	for (int i = 0; i < p->dag->ntasks; i++)
		kept += progress_counts(p, i) && p->tasks[i].kept;
	progress_count(p, &total, &done);
	add_time(o, e);
	text_add(&o->line, p->run, -1);
	buf_addf(&o->line, p->created ? ": started" : ": taken up again");
	buf_addf(&o->line, ": %d task%s, %d job%s at a time", total, total == 1 ? "" : "s", p->jobs,
		p->jobs == 1 ? "" : "s");
	if (kept)
		buf_addf(&o->line, "; %d done before", kept);
	end_line(o);
	struct buf stale;
	buf_init(&stale, BUF_MAX_TEXT);
	progress_add_stale(&stale, p);
	if (stale.len) {
		add_time(o, e);
		buf_addf(&o->line, "note: %s", stale.data);
		end_line(o);
	}
	buf_release(&stale);
}

static void task_line(
	struct plain *o, const struct run_progress *p, const struct run_event *e, const char *label)
{
	const struct task_progress *t = &p->tasks[e->task];
	enum style style = progress_style(t);
	struct buf detail;
	char text[32] = "", name[RUN_LABEL_MAX];

	if (o->quiet && t->state != TASK_FAILED)
		return;
	buf_init(&detail, BUF_MAX_TEXT);
	progress_add_detail(&detail, p, e->task);
	add_time(o, e);
	text_add_padded(&o->line, progress_name(p, e->task, name), o->name_width, false);
	buf_addf(&o->line, "  %s%-*s%s  ", style_on(style, o->colour), LABEL_WIDTH, label,
		style_off(style, o->colour));
	if (t->try > 1 || t->retries > 0) {
		size_t before = o->line.len;
		if (t->try > 0)
			progress_add_try(&o->line, t);
		buf_addpad(
			&o->line, ' ', 9 - (o->line.len - before < 9 ? o->line.len - before : 9));
	}
	if (e->kind != EVENT_TASK_STARTED && e->kind != EVENT_TASK_MAPPED &&
		progress_elapsed_us(p, t) >= 0)
		units_format_elapsed(progress_elapsed_us(p, t), text, sizeof text);
	buf_addf(&o->line, "%7s  ", text);
	text_add(&o->line, detail.data, -1);
	end_line(o);
	buf_release(&detail);
}

static void run_finished(struct plain *o, const struct run_progress *p)
{
	if (o->quiet && p->state == RUN_SUCCESS)
		return;
	progress_add_summary(&o->line, p, o->colour);
	write_out(o);
}

static void plain_event(
	struct observer *base, const struct run_progress *p, const struct run_event *e)
{
	struct plain *o = (struct plain *)base;

	switch (e->kind) {
	case EVENT_RUN_STARTED:
		run_started(o, p, e);
		break;
	case EVENT_RUN_SETTLING:
		note(o, e, "settling");
		break;
	case EVENT_RUN_STOPPING:
		note(o, e, "stopping");
		break;
	case EVENT_NOTE:
		note(o, e, "note");
		break;
	case EVENT_TASK_STARTED:
		task_line(o, p, e, "started");
		break;
	case EVENT_TASK_RETRY:
		task_line(o, p, e, "retry");
		break;
	case EVENT_TASK_WAITING:
		task_line(o, p, e, "waiting");
		break;
	case EVENT_TASK_MAPPED:
		task_line(o, p, e, "mapped");
		break;
	case EVENT_TASK_FINISHED:
		task_line(o, p, e, progress_label(&p->tasks[e->task]));
		break;
	case EVENT_RUN_FINISHED:
		run_finished(o, p);
		break;
	default:
		break;
	}
}

static void plain_free(struct observer *base)
{
	struct plain *o = (struct plain *)base;

	if (!o)
		return;
	buf_release(&o->line);
	free(o);
}

struct observer *progress_plain_new(FILE *out, bool colour, bool quiet)
{
	struct plain *o = calloc(1, sizeof *o);

	if (!o)
		return NULL;
	o->base = (struct observer){ .event = plain_event, .free = plain_free };
	o->out = out;
	o->colour = colour;
	o->quiet = quiet;
	buf_init(&o->line, BUF_MAX_TEXT);
	return &o->base;
}
