#include "exec/limits.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/io.h"

#define CPU_PERIOD_US 100000 /* the kernel's default */
#define LINE_MAX_LEN 2048
#define NO_RESOURCE (-1)

static const char *format_size(int64_t bytes, char *buf, size_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	unsigned unit = 0;

	/* Exactly, as it may have been written: 1536MiB rather than 1.5GiB. */
	for (; unit < 4 && bytes && bytes % 1024 == 0; unit++)
		bytes /= 1024;
	snprintf(buf, size, "%" PRId64 "%s", bytes, units[unit]);
	return buf;
}

static const char *format_cpu(int64_t permille, char *buf, size_t size)
{
	if (permille % 10)
		snprintf(buf, size, "%" PRId64 ".%" PRId64 "%%", permille / 10, permille % 10);
	else
		snprintf(buf, size, "%" PRId64 "%%", permille / 10);
	return buf;
}

static const char *format_count(int64_t n, char *buf, size_t size)
{
	snprintf(buf, size, "%" PRId64, n);
	return buf;
}

static void plain_value(int64_t value, char *buf, size_t size)
{
	snprintf(buf, size, "%" PRId64, value);
}

static void cpu_value(int64_t permille, char *buf, size_t size)
{
	snprintf(buf, size, "%" PRId64 " %d", permille * (CPU_PERIOD_US / 1000), CPU_PERIOD_US);
}

/* How each limit is written, and set. */
static const struct row {
	const char *name;
	size_t offset; /* in struct exec_limits */
	const char *(*format)(int64_t value, char *buf, size_t size);
	int controller; /* enum cgroup_controller; -1: none */
	const char *file;
	void (*value_of)(int64_t value, char *buf, size_t size); /* what the file is given */
	int resource;
	const char *resource_name;
} rows[] = {
	[LIMIT_MEMORY] = { "memory", offsetof(struct exec_limits, memory_bytes), format_size,
		CGROUP_MEMORY, "memory.max", plain_value, RLIMIT_DATA, "RLIMIT_DATA" },
	[LIMIT_CPU] = { "cpu", offsetof(struct exec_limits, cpu_permille), format_cpu, CGROUP_CPU,
		"cpu.max", cpu_value, NO_RESOURCE, NULL },
	[LIMIT_PIDS] = { "pids", offsetof(struct exec_limits, pids), format_count, CGROUP_PIDS,
		"pids.max", plain_value, RLIMIT_NPROC, "RLIMIT_NPROC" },
	[LIMIT_FILES] = { "files", offsetof(struct exec_limits, files), format_count, -1, NULL,
		NULL, RLIMIT_NOFILE, "RLIMIT_NOFILE" },
};
static_assert(sizeof rows / sizeof *rows == LIMIT_MAX, "a row per limit");

static int64_t wanted(const struct exec_limits *want, enum limit i)
{
	return *(const int64_t *)((const char *)want + rows[i].offset);
}

static bool is_limited(const struct exec_limits *want)
{
	for (int i = 0; i < LIMIT_MAX; i++)
		if (wanted(want, i) > 0)
			return true;
	return false;
}

/* ---- the system ---- */

static void begin_system(struct limits_system *sys, char *base)
{
	sys->base = base;
	sys->tried = false;
	sys->place = (struct cgroup_place){ .lock_fd = -1 };
	if (base)
		cgroup_sweep(base);
}

void limits_system_init(struct limits_system *sys)
{
	err_clear(&sys->why_not);
	begin_system(sys, cgroup_base(&sys->why_not));
}

void limits_system_init_at(struct limits_system *sys, const char *base)
{
	err_clear(&sys->why_not);
	begin_system(sys, base ? strdup(base) : NULL);
	if (!sys->base)
		err_set(&sys->why_not, ERR_NOT_FOUND, "none is looked for");
}

void limits_system_release(struct limits_system *sys)
{
	cgroup_place_close(&sys->place);
	free(sys->base);
	sys->base = NULL;
}

/* ---- an attempt ---- */

static void make_cgroup(struct limits *l, struct limits_system *sys, int64_t token)
{
	char name[32];

	if (sys->base && !sys->tried) {
		sys->tried = true;
		cgroup_place_open(&sys->place, sys->base, &sys->why_not);
	}
	snprintf(name, sizeof name, "%" PRId64, token);
	if (sys->place.path)
		cgroup_new(&l->cgroup, &sys->place, name, &sys->why_not);
}

static bool set_in_cgroup(struct limits *l, const struct limits_system *sys, enum limit i)
{
	const struct row *r = &rows[i];
	char value[64];

	if (!l->cgroup.path || r->controller < 0 || !sys->place.controls[r->controller])
		return false;
	r->value_of(wanted(&l->want, i), value, sizeof value);
	return cgroup_write(&l->cgroup, r->file, value) == 0;
}

/* A limit that is there already and lower is the one that holds. */
static bool plan_rlimit(struct limits *l, enum limit i)
{
	rlim_t want = (rlim_t)wanted(&l->want, i);
	struct rlimit now;

	if (rows[i].resource == NO_RESOURCE || getrlimit(rows[i].resource, &now) < 0)
		return false;
	if (now.rlim_max != RLIM_INFINITY && now.rlim_max < want)
		want = now.rlim_max;
	l->rlimits[i] = (struct rlimit){ want, want };
	return true;
}

void limits_begin(struct limits *l, struct limits_system *sys, const struct exec_job *job)
{
	*l = (struct limits){ .want = job->limits, .cgroup = { .procs_fd = -1 } };
	if (!is_limited(&l->want))
		return;
	make_cgroup(l, sys, job->token);
	for (int i = 0; i < LIMIT_MAX; i++) {
		if (wanted(&l->want, i) <= 0)
			continue;
		l->by_cgroup[i] = set_in_cgroup(l, sys, i);
		if (!l->by_cgroup[i])
			l->by_rlimit[i] = plan_rlimit(l, i);
	}
	if (!l->by_cgroup[LIMIT_MEMORY])
		return;
	/* Else there would be a way out into the swap space; and one process of many would be
	 * killed, which some do not notice. Kernels without swap have no such file. */
	cgroup_write(&l->cgroup, "memory.swap.max", "0");
	cgroup_write(&l->cgroup, "memory.oom.group", "1");
}

/* ---- what is said of it ---- */

static void describe_caveat(const struct limits *l, enum limit i, struct buf *out)
{
	char number[64];

	if (l->rlimits[i].rlim_cur < (rlim_t)wanted(&l->want, i))
		buf_addf(out, ", at most %s here",
			rows[i].format((int64_t)l->rlimits[i].rlim_cur, number, sizeof number));
	if (i == LIMIT_MEMORY)
		buf_addstr(out, ", for each process by itself");
	if (i == LIMIT_PIDS && geteuid() == 0)
		buf_addstr(out, ", which does not bind root: not enforced");
	else if (i == LIMIT_PIDS)
		buf_addf(out, ", which counts all processes of the user %ld", (long)geteuid());
}

static void describe_limit(const struct limits *l, enum limit i, struct buf *out)
{
	const struct row *r = &rows[i];
	char text[64];

	buf_addf(out, "%s %s: ", r->name, r->format(wanted(&l->want, i), text, sizeof text));
	if (l->by_cgroup[i]) {
		buf_addf(out, "cgroup %s", r->file);
	} else if (l->by_rlimit[i]) {
		buf_addf(out, "%s", r->resource_name);
		describe_caveat(l, i, out);
	} else {
		buf_addf(out, "not enforced, there is no %s controller", r->name);
	}
}

void limits_describe(const struct limits *l, const struct limits_system *sys, struct buf *out)
{
	const char *sep = LIMITS_LINE;

	if (!is_limited(&l->want))
		return;
	for (int i = 0; i < LIMIT_MAX; i++) {
		if (wanted(&l->want, i) <= 0)
			continue;
		buf_addstr(out, sep);
		describe_limit(l, i, out);
		sep = "; ";
	}
	if (l->cgroup.path)
		buf_addf(out, "; all in the cgroup %.400s", l->cgroup.path);
	else
		buf_addf(out, "; no cgroup: %.400s", sys->why_not.msg);
	buf_addc(out, '\n');
}

void limits_begin_told(
	struct limits *l, struct limits_system *sys, const struct exec_job *job, int out_fd)
{
	struct buf line;

	limits_begin(l, sys, job);
	if (!is_limited(&l->want))
		return;
	buf_init(&line, LINE_MAX_LEN);
	limits_describe(l, sys, &line);
	/* A disk that is full will be the task's to notice. */
	io_write_all(out_fd, line.data, line.len, NULL);
	buf_release(&line);
}

/* ---- in force ---- */

int limits_enter(const struct limits *l)
{
	if (!l)
		return 0;
	if (l->cgroup.path && cgroup_enter(&l->cgroup) < 0)
		return -1;
	for (int i = 0; i < LIMIT_MAX; i++)
		if (l->by_rlimit[i] && setrlimit((unsigned)rows[i].resource, &l->rlimits[i]) < 0)
			return -1;
	return 0;
}

void limits_entered(struct limits *l)
{
	if (l->cgroup.path)
		cgroup_close_entry(&l->cgroup);
}

void limits_kill(struct limits *l)
{
	cgroup_kill(&l->cgroup);
}

static void explain(struct limits *l, struct exec_end *end)
{
	char limit[64];

	if (!l->by_cgroup[LIMIT_MEMORY] || end->outcome != OUTCOME_FAILED || end->error[0] ||
		cgroup_count(&l->cgroup, "memory.events", "oom_kill") == 0)
		return;
	snprintf(end->error, sizeof end->error,
		"was killed because it used more than its memory limit of %s",
		format_size(l->want.memory_bytes, limit, sizeof limit));
}

void limits_end(struct limits *l, struct exec_end *end)
{
	if (!l->cgroup.path)
		return;
	if (end)
		explain(l, end);
	cgroup_remove(&l->cgroup);
}

void limits_release(struct limits *l)
{
	cgroup_release(&l->cgroup);
}
