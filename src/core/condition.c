#include "core/condition.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/near.h"

#define BIT(state) (1u << (state))
#define FINAL                                                                             \
	(BIT(TASK_SUCCESS) | BIT(TASK_FAILED) | BIT(TASK_SKIPPED) | BIT(TASK_CANCELLED) | \
		BIT(TASK_UPSTREAM_FAILED))

enum op { OP_TERM, OP_NOT, OP_AND, OP_OR };

struct condition_step {
	enum op op;
	int term;
};

/* Each open parenthesis leaves the left sides of an `or` and of an `and` on the stack. */
enum { STACK_MAX = 2 * (CONDITION_DEPTH_MAX + 2), STEPS_MAX = 4 * CONDITION_TERMS_MAX };

static const char *const state_words[] = { "done", "success", "failed", "skipped",
	"upstream_failed", "cancelled" };
static const unsigned state_bits[] = { FINAL, BIT(TASK_SUCCESS), BIT(TASK_FAILED),
	BIT(TASK_SKIPPED), BIT(TASK_UPSTREAM_FAILED), BIT(TASK_CANCELLED) };
enum { STATE_WORDS = sizeof state_words / sizeof *state_words };

/* ---- parsing -------------------------------------------------------------------------- */

struct parser {
	struct arena *arena;
	const char *text;
	size_t pos, len; /* of the word at pos; 0 at the end */
	int depth, nterms, nsteps;
	struct condition_term *terms;
	struct condition_step *steps;
	struct condition_fault *fault;
};

static int fail(struct parser *p, size_t offset, size_t width, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static int fail(struct parser *p, size_t offset, size_t width, const char *fmt, ...)
{
	va_list ap;

	p->fault->offset = offset;
	p->fault->width = width ? width : 1;
	va_start(ap, fmt);
	vsnprintf(p->fault->message, sizeof p->fault->message, fmt, ap);
	va_end(ap);
	return -1;
}

/* Go to the next word: a parenthesis, or all up to one or to a blank. */
static void next(struct parser *p)
{
	p->pos += p->len;
	p->pos += strspn(p->text + p->pos, " \t\r\n");
	const char *at = p->text + p->pos;
	p->len = *at == '(' || *at == ')' ? 1 : strcspn(at, " \t\r\n()");
}

static bool is_word(const struct parser *p, const char *word)
{
	return p->len == strlen(word) && memcmp(p->text + p->pos, word, p->len) == 0;
}

static void emit(struct parser *p, enum op op, int term)
{
	/* Two negations are none: so steps are bounded by terms, whatever the parentheses. */
	if (op == OP_NOT && p->steps[p->nsteps - 1].op == OP_NOT)
		p->nsteps--;
	else
		p->steps[p->nsteps++] = (struct condition_step){ op, term };
}

static int fail_expected(struct parser *p, const char *what)
{
	static const struct {
		const char *wrote, *meant;
	} others[] = { { "&&", "and" }, { "||", "or" }, { "!", "not" }, { "&", "and" },
		{ "|", "or" }, { "AND", "and" }, { "OR", "or" }, { "NOT", "not" } };
	int len = p->len < 80 ? (int)p->len : 80;

	if (p->len == 0)
		return fail(p, p->pos, 1, "expected %s, found the end", what);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (is_word(p, others[i].wrote))
			return fail(p, p->pos, p->len, "write \"%s\" instead of \"%s\"",
				others[i].meant, others[i].wrote);
	return fail(p, p->pos, p->len, "expected %s, found \"%.*s\"", what, len, p->text + p->pos);
}

static int parse_state(struct parser *p, const char *word, size_t len, unsigned *ret)
{
	char name[40];
	size_t offset = (size_t)(word - p->text);

	snprintf(name, sizeof name, "%.*s", (int)len, word);
	for (int i = 0; i < STATE_WORDS; i++)
		if (strcmp(state_words[i], name) == 0) {
			*ret = state_bits[i];
			return 0;
		}
	const char *near = near_find(name, state_words, STATE_WORDS);
	if (near)
		return fail(p, offset, len,
			"\"%s\" is no final state of a task; did you mean \"%s\"?", name, near);
	return fail(p, offset, len,
		"\"%s\" is no final state of a task; there are: done, success, failed, skipped, "
		"upstream_failed, cancelled",
		name);
}

static int parse_term(struct parser *p)
{
	const char *word = p->text + p->pos;
	const char *dot = p->len ? memrchr(word, '.', p->len) : NULL;
	unsigned states = 0;

	if (!dot || dot == word || is_word(p, "(") || is_word(p, ")"))
		return fail_expected(p, "TASK.STATE, such as load.success");
	size_t name = (size_t)(dot - word);
	if (name + 1 == p->len)
		return fail(
			p, p->pos, p->len, "a state is missing behind the dot, such as success");
	if (parse_state(p, dot + 1, p->len - name - 1, &states) < 0)
		return -1;
	if (p->nterms == CONDITION_TERMS_MAX)
		return fail(p, p->pos, p->len, "a condition may have at most %d terms",
			CONDITION_TERMS_MAX);
	p->terms[p->nterms] = (struct condition_term){ .name = arena_strndup(p->arena, word, name),
		.offset = p->pos,
		.length = name,
		.states = states,
		.task = -1 };
	emit(p, OP_TERM, p->nterms++);
	next(p);
	return 0;
}

static int parse_or(struct parser *p);

static int parse_group(struct parser *p)
{
	size_t open = p->pos;

	if (++p->depth > CONDITION_DEPTH_MAX)
		return fail(p, open, 1, "parentheses may be at most %d deep", CONDITION_DEPTH_MAX);
	next(p);
	if (parse_or(p) < 0)
		return -1;
	if (!is_word(p, ")"))
		return p->len ? fail_expected(p, "\"and\", \"or\" or \")\"")
			      : fail(p, open, 1, "no \")\" closes this \"(\"");
	p->depth--;
	next(p);
	return 0;
}

static int parse_one(struct parser *p)
{
	bool negated = false;

	for (; is_word(p, "not"); next(p))
		negated = !negated;
	if ((is_word(p, "(") ? parse_group(p) : parse_term(p)) < 0)
		return -1;
	if (negated)
		emit(p, OP_NOT, 0);
	return 0;
}

static int parse_and(struct parser *p)
{
	if (parse_one(p) < 0)
		return -1;
	while (is_word(p, "and")) {
		next(p);
		if (parse_one(p) < 0)
			return -1;
		emit(p, OP_AND, 0);
	}
	return 0;
}

static int parse_or(struct parser *p)
{
	if (parse_and(p) < 0)
		return -1;
	while (is_word(p, "or")) {
		next(p);
		if (parse_and(p) < 0)
			return -1;
		emit(p, OP_OR, 0);
	}
	return 0;
}

static int parse_all(struct parser *p)
{
	if (strlen(p->text) > CONDITION_TEXT_MAX)
		return fail(p, 0, 1, "a condition may have at most %d bytes", CONDITION_TEXT_MAX);
	next(p);
	if (p->len == 0)
		return fail(p, 0, 1, "the condition is empty; write one such as load.success");
	if (parse_or(p) < 0)
		return -1;
	if (is_word(p, ")"))
		return fail(p, p->pos, 1, "no \"(\" opens this \")\"");
	if (p->len)
		return fail_expected(p, "\"and\" or \"or\"");
	return 0;
}

struct condition *condition_parse(
	struct arena *arena, const char *text, struct condition_fault *ret_fault)
{
	struct condition_term terms[CONDITION_TERMS_MAX];
	struct condition_step steps[STEPS_MAX];
	struct parser p = {
		.arena = arena, .text = text, .terms = terms, .steps = steps, .fault = ret_fault
	};

	if (parse_all(&p) < 0)
		return NULL;
	struct condition *c = arena_alloc(arena, sizeof *c);
	struct condition_term *kept_terms = arena_array(arena, (size_t)p.nterms, sizeof *terms);
	struct condition_step *kept_steps = arena_array(arena, (size_t)p.nsteps, sizeof *steps);
	const char *kept_text = arena_strdup(arena, text);
	if (!c || !kept_terms || !kept_steps || !kept_text) {
		fail(&p, 0, 1, "out of memory");
		return NULL;
	}
	memcpy(kept_terms, terms, (size_t)p.nterms * sizeof *terms);
	memcpy(kept_steps, steps, (size_t)p.nsteps * sizeof *steps);
	*c = (struct condition){ kept_text, kept_terms, p.nterms, kept_steps, p.nsteps };
	return c;
}

/* ---- judging -------------------------------------------------------------------------- */

static enum truth and_of(enum truth a, enum truth b)
{
	if (a == TRUTH_NO || b == TRUTH_NO)
		return TRUTH_NO;
	return a == TRUTH_YES && b == TRUTH_YES ? TRUTH_YES : TRUTH_UNKNOWN;
}

static enum truth not_of(enum truth a)
{
	static const enum truth opposite[] = {
		[TRUTH_NO] = TRUTH_YES,
		[TRUTH_YES] = TRUTH_NO,
		[TRUTH_UNKNOWN] = TRUTH_UNKNOWN,
	};

	return opposite[a];
}

/* The truth of a term when its task may be in any of these states. */
static enum truth term_truth(const struct condition_term *t, unsigned may)
{
	if (!(may & t->states))
		return TRUTH_NO;
	return may & ~t->states ? TRUTH_UNKNOWN : TRUTH_YES;
}

/* `truths`: of the terms. */
static enum truth judge(const struct condition *c, const enum truth *truths)
{
	enum truth stack[STACK_MAX];
	int n = 0;

	for (int i = 0; i < c->nsteps; i++) {
		const struct condition_step *s = &c->steps[i];
		if (s->op == OP_TERM) {
			stack[n++] = truths[s->term];
			continue;
		}
		enum truth b = stack[--n];
		if (s->op == OP_NOT)
			stack[n++] = not_of(b);
		else if (s->op == OP_AND)
			stack[n - 1] = and_of(stack[n - 1], b);
		else
			stack[n - 1] = not_of(and_of(not_of(stack[n - 1]), not_of(b)));
	}
	return stack[0];
}

enum truth condition_judge(const struct condition *c, condition_state_fn *state, void *arg)
{
	enum truth truths[CONDITION_TERMS_MAX];

	for (int i = 0; i < c->nterms; i++) {
		enum task_state s = state(arg, c->terms[i].task);
		truths[i] =
			task_state_is_final(s) ? term_truth(&c->terms[i], BIT(s)) : TRUTH_UNKNOWN;
	}
	return judge(c, truths);
}

/* ---- can it be true? ------------------------------------------------------------------ */

/* A search through the states of one task after the other, cut where the condition is decided. */
struct search {
	const struct condition *c;
	unsigned may[CONDITION_TERMS_MAX]; /* by term: its task's, 0: said by an earlier term */
	enum truth truths[CONDITION_TERMS_MAX];
	int looks;
};

static void suppose(struct search *s, int term, unsigned may)
{
	for (int i = term; i < s->c->nterms; i++)
		if (s->c->terms[i].task == s->c->terms[term].task)
			s->truths[i] = term_truth(&s->c->terms[i], may);
}

static enum truth look(struct search *s, int term)
{
	enum truth all = TRUTH_NO, now;

	if (++s->looks > CONDITION_LOOKS_MAX)
		return TRUTH_UNKNOWN;
	now = judge(s->c, s->truths);
	while (now == TRUTH_UNKNOWN && term < s->c->nterms && !s->may[term])
		term++;
	if (now != TRUTH_UNKNOWN || term == s->c->nterms)
		return now;
	for (int state = 0; state < TASK_STATE_MAX && all != TRUTH_YES; state++) {
		if (!(s->may[term] & BIT(state)))
			continue;
		suppose(s, term, BIT(state));
		now = look(s, term + 1);
		if (now != TRUTH_NO)
			all = now;
	}
	suppose(s, term, s->may[term]);
	return all;
}

enum truth condition_possible(const struct condition *c, condition_may_fn *may, void *arg)
{
	struct search s = { .c = c };

	for (int i = 0; i < c->nterms; i++) {
		unsigned states = may(arg, c->terms[i].task) & FINAL;
		bool first = true;
		for (int j = 0; j < i && first; j++)
			first = c->terms[j].task != c->terms[i].task;
		s.may[i] = first ? states : 0;
		s.truths[i] = term_truth(&c->terms[i], states);
	}
	return look(&s, 0);
}
