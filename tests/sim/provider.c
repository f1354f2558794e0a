/* Where executors come from, for one process. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "tests/sim/super_impl.h"

/* ---- the provider --------------------------------------------------------------------- */

static int provider_begin(void *arg, struct exec **ret, struct err *err)
{
	struct actor *n = arg;
	struct sim *w = n->w;
	struct super *s = calloc(1, sizeof *s);

	(void)err;
	must(w, s, "no memory");
	s->w = w;
	s->alive = true;
	snprintf(s->name, sizeof s->name, "super %d", ++w->nnames);
	w->supers = super_grown(w->supers, w->nsupers, &w->supers_cap, sizeof *w->supers);
	w->supers[w->nsupers++] = s;
	say(w, n->name, "begins %s", s->name);
	n->own = s;
	*ret = &channel_new(n, s)->exec;
	actor_point(n, "behind the beginning of a supervisor");
	return 0;
}

static int provider_list(void *arg, char ***ret, struct err *err)
{
	struct actor *n = arg;
	struct sim *w = n->w;
	size_t count = 0;

	actor_point(n, "before it looks for supervisors");
	char **list = calloc(w->nsupers + 1, sizeof *list);
	if (!list)
		return err_nomem(err);
	for (size_t i = 0; i < w->nsupers; i++)
		if (!w->supers[i]->removed && w->supers[i] != n->own)
			list[count++] = strdup(w->supers[i]->name);
	*ret = list;
	return 0;
}

static bool provider_lives(void *arg, const char *name)
{
	struct actor *n = arg;
	const struct super *s = super_by_name(n->w, name);

	return s && s->alive;
}

static int provider_open(void *arg, const char *name, struct exec_former *ret, struct err *err)
{
	struct actor *n = arg;
	struct super *s = super_by_name(n->w, name);

	actor_point(n, "before it opens a former supervisor");
	must(n->w, s, "%s opens a supervisor that never was", n->name);
	*ret = (struct exec_former){ 0 };
	if (s->removed)
		return err_set(err, ERR_NOT_FOUND, "simulated: %s is gone", name);
	if (s->alive && n->w->now_us < s->deaf_us) {
		world_pass(n->w, EXEC_CLAIM_WAIT_MS * SIM_MS);
		return err_set(err, ERR_TIMEOUT, "simulated: %s does not answer", name);
	}
	if (s->alive) {
		ret->live = &channel_new(n, s)->exec;
		return 0;
	}
	ret->journal.n = s->njournal;
	ret->journal.entries = calloc(s->njournal + 1, sizeof *ret->journal.entries);
	if (!ret->journal.entries)
		return err_nomem(err);
	if (s->njournal)
		memcpy(ret->journal.entries, s->journal, s->njournal * sizeof *s->journal);
	return 0;
}

static int provider_reap(void *arg, const struct exec_journal_entry *entry, struct err *err)
{
	struct actor *n = arg;
	struct attempt *a = truth_attempt(n->w, entry->token);

	actor_point(n, "before it reaps");
	must(n->w, a, "an attempt is reaped that never was");
	if (a->body != BODY_STRAY)
		return 0;
	if (n->w->now_us < n->w->stubborn_us)
		return err_set(err, ERR_BUSY, "simulated: %s does not die", super_label(a));
	say(n->w, n->name, "reaps %s", super_label(a));
	a->body = BODY_DIED;
	n->w->effects++;
	return 0;
}

static void provider_remove(void *arg, const char *name)
{
	struct actor *n = arg;
	struct super *s = super_by_name(n->w, name);

	actor_point(n, "before it removes a journal");
	if (!s || s->removed)
		return;
	must(n->w, !s->alive, "%s removes the journal of %s, which lives", n->name, name);
	for (size_t i = 0; i < s->njournal; i++) {
		const struct attempt *a = truth_attempt(n->w, s->journal[i].token);
		must(n->w, a->recorded != OUTCOME_NONE,
			"%s forgets the journal of %s, and %s is not settled", n->name, name,
			super_label(a));
	}
	say(n->w, n->name, "forgets %s", name);
	s->removed = true;
}

void provider_init(struct actor *n, struct exec_provider *ret)
{
	*ret = (struct exec_provider){ .arg = n,
		.begin = provider_begin,
		.list = provider_list,
		.lives = provider_lives,
		.open = provider_open,
		.reap = provider_reap,
		.remove = provider_remove };
}
