/* Questions: tasks with an `if`, which the core cannot judge. */
#include "core/sched_impl.h"

#include <stdlib.h>

void sched_ask(struct sched *s, const struct ref *at)
{
	if (!sched_grow(s, &s->asking, s->nasking, &s->asking_cap, sizeof *s->asking))
		return;
	live(at)->ready = true;
	live(at)->seq = ++s->seq; /* no entry of a shelf is this one's */
	s->asking[s->nasking++] = (struct asking){ *at, live(at)->seq };
}

/* Does the task still ask, by this entry? A request may have taken it away, or have it ask anew. */
static bool is_asking(const struct asking *a)
{
	return a->at.run && live(&a->at)->ready && live(&a->at)->seq == a->seq;
}

void sched_tidy_asking(struct sched *s, int64_t now_us)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->nasking; i++) {
		const struct asking a = s->asking[i];
		if (!is_asking(&a))
			continue;
		if (!starts_no_more(&a.at) && !sched_hold_it(s, &a.at, now_us))
			s->asking[kept++] = a;
		else
			live(&a.at)->ready = false;
	}
	s->nasking = kept;
	s->nanswered = 0;
}

const struct sched_question *sched_questions(struct sched *s, size_t *ret_n)
{
	*ret_n = 0;
	if (s->nasking > s->questions_cap) {
		struct sched_question *grown =
			reallocarray(s->questions, s->asking_cap, sizeof *grown);
		if (!grown) {
			s->failed = true;
			return NULL;
		}
		s->questions = grown;
		s->questions_cap = s->asking_cap;
	}
	for (size_t i = 0; i < s->nasking; i++) {
		const struct ref *at = &s->asking[i].at;
		if (is_asking(&s->asking[i]))
			s->questions[(*ret_n)++] =
				(struct sched_question){ at->run->id, at->task, live(at)->tries };
	}
	return s->questions;
}

/* The answers come in the order of the questions: those at the front have theirs. */
static bool take_question(struct sched *s, const struct ref *at)
{
	while (s->nanswered < s->nasking && !is_asking(&s->asking[s->nanswered]))
		s->nanswered++;
	for (size_t i = s->nanswered; i < s->nasking; i++)
		if (is_asking(&s->asking[i]) && s->asking[i].at.run == at->run &&
			s->asking[i].at.task == at->task) {
			live(at)->ready = false;
			return true;
		}
	return false;
}

void sched_answer(struct sched *s, int64_t run_id, int task, bool yes, int64_t now_us)
{
	struct ref at = { find_run(s, run_id), task };

	if (!at.run || !take_question(s, &at) || starts_no_more(&at))
		return;
	live(&at)->asked = yes;
	if (yes)
		sched_push_ready(s, &at);
	else
		sched_set_task(s, &at, TASK_SKIPPED, REASON_CONDITION_FALSE, now_us);
	sched_spread_news(s, now_us);
}
