/* Who is told of incidents: the daemon's own code sends (run/alerting.h), through senders that are
 * slow, fail, repeat themselves and die; and what must come of it.
 *
 * Who was to be told when something went wrong is committed with it, and then told: never less than
 * once, always under the same name, over deaths of whoever tells; it is given up only when it was
 * tried as often as it may be, and what the next channel is to do instead is committed by then.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/node.h"
#include "core/alert.h"
#include "core/zone.h"
#include "run/alerting.h"
#include "run/daemon_impl.h"
#include "run/sender.h"

#undef say /* the daemon's log; ours is the story */
#include "tests/sim/sim.h"

enum { CHANNELS = 3, ROUTES = 2, JOBS = 16, EXPECTED = 64, JOB_ACTS = 256, LISTED_MAX = 20 };

#define MINUTE_US (60 * SIM_S)
/* No answer comes any more; the store may take its time before it is sent. */
#define ANSWER_US (4 * MINUTE_US)
#define LONGEST_US (15 * MINUTE_US)

/* What is to be told, as committed. */
struct act {
	char key[96], route[32], what[16];
	int64_t id, incident, due_us, made_us; /* made_us: by the world's clock */
	int step, tries;
	enum outbox_state state;
	bool reached;     /* an answer that it was told has come */
	bool refused;     /* the last answer was that it was not */
	bool for_good;    /* and will not be */
	bool spent;       /* some of that message had all its tries */
	int64_t after_us; /* and not before */
	int64_t sent_us;  /* by the world's clock, 0: never */
	UT_hash_handle hh;
};

/* A message that a sender has. */
struct parcel {
	int64_t number, at_us, sent_us;
	enum { FATE_TOLD, FATE_BUSY, FATE_REFUSED, FATE_DIES, FATE_HANGS } fate;
	int64_t after_us;
	bool repeats;
	const char *route; /* of an act */
	struct act *acts[JOB_ACTS];
	int n;
};

struct outbox {
	struct alert_channel channels[CHANNELS];
	struct alert_route routes[ROUTES];
	struct alerts alerts;
	struct act *acts; /* by key, in the order they came */
	int64_t last_id;
	struct {
		const char *dag, *task, *what;
		enum incident_kind kind;
	} expected[EXPECTED];
	int nexpected;
	struct actor *teller; /* whose sender is the one that lives; NULL: none does */
	int sender;           /* its number */
	bool died;            /* it did, and its teller has not heard */
	struct parcel jobs[JOBS];
	int njobs;
	int64_t turn_us, turn_wall_us; /* when it began to look what is due */
	uint64_t draws;
};

/* ---- made ----------------------------------------------------------------------------- */

static const struct node nothing = { .type = NODE_MAP };
static const int both[] = { 0, 1 }, third[] = { 2 };
static const char *const failures[] = { "task_failed", NULL };

void outbox_make(struct sim *w)
{
	struct outbox *o = calloc(1, sizeof *o);
	struct rng r;

	must(w, o, "no memory");
	w->outbox = o;
	rng_init(&r, world_draw(w, 14, 4, 0));
	for (int i = 0; i < CHANNELS; i++)
		o->channels[i] =
			(struct alert_channel){ (const char *const[]){ "mail", "chat", "pager" }[i],
				ALERT_WEBHOOK, &nothing };
	o->routes[0] =
		(struct alert_route){ .name = "all", .to = both, .nto = 1 + (int)rng_below(&r, 2) };
	if (rng_below(&r, 2))
		o->routes[0].escalate_after_us = 60 * SIM_S;
	if (rng_below(&r, 2)) {
		o->routes[0].escalate_to = third;
		o->routes[0].nescalate_to = 1;
	}
	o->routes[1] = (struct alert_route){
		.name = "failures", .kinds = failures, .to = third, .nto = 1
	};
	o->alerts = (struct alerts){ .channels = o->channels,
		.nchannels = CHANNELS,
		.routes = o->routes,
		.nroutes = rng_below(&r, 3) == 0 ? 1 + (int)rng_below(&r, ROUTES)
						 : 0, /* 0: nobody is told */
		.zone = zone_utc(),
		.group_window_us = (int64_t)rng_below(&r, 6) * SIM_S,
		.tries = 1 + (int)rng_below(&r, 3),
		.retry_us = (1 + (int64_t)rng_below(&r, 10)) * SIM_S };
	if (rng_below(&r, 4) == 0)
		o->alerts.quiet = (struct alert_hours){ true, 1, 2 + (int)rng_below(&r, 4) };
}

void outbox_release(struct sim *w)
{
	struct act *a, *next;

	if (!w->outbox)
		return;
	HASH_ITER (hh, w->outbox->acts, a, next) {
		HASH_DEL(w->outbox->acts, a);
		free(a);
	}
	free(w->outbox);
	w->outbox = NULL;
}

const struct alerts *outbox_alerts(const struct sim *w)
{
	return &w->outbox->alerts;
}

/* Chance of its own: that of others stays as it is. */
static bool one_in(struct sim *w, unsigned n)
{
	return world_draw(w, 15, ++w->outbox->draws, n) % n == 0;
}

static int64_t between(struct sim *w, int64_t from, int64_t to)
{
	uint64_t draw = world_draw(w, 16, ++w->outbox->draws, 0);

	return from + (int64_t)(draw % (uint64_t)(to - from + 1));
}

/* ---- what was committed --------------------------------------------------------------- */

static const struct alert_route *route_of(const struct outbox *o, const struct act *a)
{
	return strncmp(a->route, "all", 3) == 0 ? &o->routes[0] : &o->routes[1];
}

static bool is_escalation(const struct act *a)
{
	return strchr(a->route, '/') != NULL;
}

static int nsteps(const struct outbox *o, const struct act *a)
{
	const struct alert_route *r = route_of(o, a);

	return is_escalation(a) ? r->nescalate_to : r->nto;
}

static bool is_over(const struct act *a)
{
	return strcmp(a->what, "resolved") == 0;
}

static void take_text(struct sim *w, const json_t *o, const char *key, char *ret, size_t size)
{
	const char *text = json_string_value(json_object_get(o, key));

	must(w, text && strlen(text) < size, "what is to be told has no %s", key);
	strcpy(ret, text);
}

/* Nothing but what cannot wait is told in quiet hours; all else soon. */
static void check_due(struct sim *w, const struct act *a, int64_t now_us)
{
	const struct alerts *s = &w->outbox->alerts;
	int64_t minute = now_us / MINUTE_US % 1440;
	int64_t due = now_us + s->group_window_us;

	if (a->step > 0)
		due = now_us;
	else if (s->quiet.given && minute >= s->quiet.from_min && minute < s->quiet.to_min)
		due = (now_us / MINUTE_US + s->quiet.to_min - minute) * MINUTE_US;
	must(w, a->due_us == due, "%s is to be told after %" PRId64 " ms, not %" PRId64, a->key,
		(a->due_us - now_us) / SIM_MS, (due - now_us) / SIM_MS);
}

static struct act *add_act(struct sim *w, const struct outbox_row *row)
{
	struct outbox *o = w->outbox;
	struct act *a = calloc(1, sizeof *a);
	json_t *said = json_loads(row->payload, 0, NULL);

	must(w, a && said && strlen(row->key) < sizeof a->key, "an act that cannot be read");
	strcpy(a->key, row->key);
	take_text(w, said, "route", a->route, sizeof a->route);
	take_text(w, said, "what", a->what, sizeof a->what);
	a->id = row->id;
	a->due_us = row->due_us;
	a->made_us = w->now_us;
	a->incident = json_integer_value(json_object_get(said, "incident"));
	a->step = (int)json_integer_value(json_object_get(said, "step"));
	for (int i = 0; i < o->nexpected; i++) {
		char dag[64], task[64], kind[32];
		take_text(w, said, "dag", dag, sizeof dag);
		take_text(w, said, "task", task, sizeof task);
		take_text(w, said, "kind", kind, sizeof kind);
		if (a->step == 0 && strcmp(a->route, "all") == 0 &&
			strcmp(dag, o->expected[i].dag) == 0 &&
			strcmp(task, o->expected[i].task) == 0 &&
			strcmp(kind, incident_kind_name(o->expected[i].kind)) == 0 &&
			strcmp(a->what, o->expected[i].what) == 0)
			o->expected[i].dag = "";
	}
	json_decref(said);
	HASH_ADD_STR(o->acts, key, a);
	check_due(w, a, row->created_us);
	say(w, "outbox", "%s is to be told (%s)", a->key, a->what);
	return a;
}

/* Undisturbed: nobody asks. */
static void read_acts(struct sim *w, struct store_result *ret)
{
	struct actor *n = w->active;
	struct err err = { 0 };

	w->active = NULL;
	int rc = store_outbox_list(w->base, -1, 0, ret, &err);
	w->active = n;
	must(w, rc == 0, "%s", err.msg);
}

void outbox_expect(struct sim *w, const struct sim_dag *d, int task, bool lost, bool over)
{
	struct outbox *o = w->outbox;

	if (o->alerts.nroutes == 0)
		return;
	must(w, o->nexpected < EXPECTED, "too much goes wrong at once");
	o->expected[o->nexpected].dag = d->name;
	o->expected[o->nexpected].task = d->dag->tasks[task].name;
	o->expected[o->nexpected].kind = lost ? INCIDENT_LOST_TOO_OFTEN : INCIDENT_TASK_FAILED;
	o->expected[o->nexpected++].what = over ? "resolved" : "opened";
}

void outbox_commit(struct sim *w, const struct store_batch *b)
{
	struct outbox *o = w->outbox;
	struct store_result rows;

	if (b->nincidents + b->nacts == 0 && o->nexpected == 0)
		return;
	read_acts(w, &rows);
	for (size_t i = rows.n; i-- > 0;)
		if (rows.outbox[i].id > o->last_id)
			o->last_id = add_act(w, &rows.outbox[i])->id;
	store_result_release(&rows);
	for (int i = 0; i < o->nexpected; i++)
		must(w, !*o->expected[i].dag, "%s of %s is committed, and nobody is to be told",
			o->expected[i].what, o->expected[i].task);
	o->nexpected = 0;
	/* A process beside it lets it know, and a person who asks. */
	bool asked = b->naudits || b->nbreakers || o->teller != w->active;
	if (b->nincidents && o->teller && asked)
		o->teller->daemon->alerts_due = true;
}

static struct act *act_by_id(struct sim *w, int64_t id)
{
	for (struct act *a = w->outbox->acts; a; a = a->hh.next)
		if (a->id == id)
			return a;
	world_fail(w, "an act ends that was never committed");
}

static bool is_escalated(const struct outbox *o, int64_t incident)
{
	for (const struct act *a = o->acts; a; a = a->hh.next)
		if (a->incident == incident && strcmp(a->what, "escalated") == 0)
			return true;
	return false;
}

/* To those whom it did not come to it is no news that it is over. */
static bool is_unwanted(const struct outbox *o, const struct act *a)
{
	return is_escalation(a) && !is_escalated(o, a->incident);
}

static void try_again(struct sim *w, struct act *a, int64_t at_us)
{
	const struct outbox *o = w->outbox;
	int64_t least = o->alerts.retry_us << (a->tries - 1), wait = at_us - o->turn_wall_us;

	if (least < a->after_us)
		least = a->after_us;
	must(w, a->tries < o->alerts.tries, "%s is tried more often than it may be", a->key);
	must(w, !a->for_good || a->step + 1 == nsteps(o, a), "%s is tried again in vain", a->key);
	must(w, wait >= least && wait <= LONGEST_US, "%s is tried again after %" PRId64 " s",
		a->key, wait / SIM_S);
	a->due_us = at_us;
}

static void give_up(struct sim *w, const struct act *a)
{
	const struct outbox *o = w->outbox;
	bool last = a->step + 1 == nsteps(o, a);
	char next[128];
	struct act *instead;

	must(w, a->tries >= o->alerts.tries || (!last && (a->for_good || a->spent)),
		"%s is given up too soon", a->key);
	snprintf(next, sizeof next, "%s/%d", a->key, a->step + 1);
	HASH_FIND_STR(o->acts, next, instead);
	must(w, last || instead, "%s is given up, and no other channel tells", a->key);
}

void outbox_set(struct sim *w, const struct outbox_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		struct act *a = act_by_id(w, set->ids[i]);
		if (a->state == set->to && a->state != OUTBOX_PENDING)
			continue;
		must(w, a->state == OUTBOX_PENDING, "%s was over", a->key);
		a->tries++;
		say(w, "outbox", "%s: %s", a->key, outbox_state_name(set->to));
		if (set->to == OUTBOX_DONE) {
			must(w, a->reached || is_unwanted(w->outbox, a),
				"%s is done, and nobody was told", a->key);
		} else {
			must(w, a->refused || w->now_us > a->sent_us + ANSWER_US,
				"%s has failed, and no sender has said so", a->key);
			if (set->to == OUTBOX_PENDING)
				try_again(w, a, set->at_us);
			else
				give_up(w, a);
		}
		a->state = set->to;
		a->refused = a->for_good = a->spent = false;
		a->after_us = 0;
	}
}

/* ---- a message ------------------------------------------------------------------------ */

static bool names(const json_t *list, int64_t incident)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i,
		one) if (json_integer_value(json_object_get(one, "id")) == incident) return true;
	return false;
}

/* It is to be told now with this one. */
static bool goes_with(const struct outbox *o, const struct act *lead, const struct act *a)
{
	int64_t until = o->turn_wall_us + (a->tries ? 0 : o->alerts.group_window_us);

	return a->state == OUTBOX_PENDING && strcmp(a->route, lead->route) == 0 &&
	       a->step == lead->step && is_over(a) == is_over(lead) && a->due_us <= until &&
	       !is_unwanted(o, a);
}

static void collect(struct sim *w, struct parcel *j, const struct act *lead, const json_t *doc)
{
	const json_t *list = json_object_get(doc, "incidents");
	const struct outbox *o = w->outbox;
	bool all = json_array_size(list) <= LISTED_MAX &&
		   json_integer_value(json_object_get(doc, "count")) ==
			   (json_int_t)json_array_size(list);

	for (struct act *a = o->acts; a; a = a->hh.next) {
		if (!goes_with(o, lead, a))
			continue;
		bool told = !all || names(list, a->incident);
		must(w, told || a->made_us >= o->turn_us, "%s is left out of a message", a->key);
		if (!told)
			continue;
		must(w, j->n < JOB_ACTS, "too much is told at once");
		a->sent_us = w->now_us;
		j->acts[j->n++] = a;
	}
	must(w, j->n > 0 && j->acts[0] == lead, "%s gives its name to a message of %s", lead->key,
		j->n > 0 ? j->acts[0]->key : "others");
	bool spent = false;
	for (int k = 0; k < j->n; k++)
		spent |= j->acts[k]->tries + 1 >= o->alerts.tries;
	for (int k = 0; k < j->n; k++)
		j->acts[k]->spent = spent;
	const json_t *one;
	size_t i;
	json_array_foreach(list, i, one)
	{
		int64_t id = json_integer_value(json_object_get(one, "id"));
		bool known = false;
		for (int k = 0; k < j->n; k++)
			known |= j->acts[k]->incident == id;
		must(w, known, "incident %" PRId64 " is told of, and nobody was to be", id);
	}
}

static void judge(struct sim *w, struct parcel *j, const json_t *request)
{
	struct outbox *o = w->outbox;
	const json_t *doc = json_object_get(request, "doc");
	const char *key = json_string_value(json_object_get(doc, "id"));
	const char *channel = json_string_value(json_object_get(request, "channel"));
	struct act *lead = NULL;

	must(w, key && channel, "a message without name or channel");
	HASH_FIND_STR(o->acts, key, lead);
	must(w, lead, "%s is told, and was never committed", key);
	must(w, lead->state == OUTBOX_PENDING, "%s is told, and is over", key);
	const struct alert_route *r = route_of(o, lead);
	int to = is_escalation(lead) ? r->escalate_to[lead->step] : r->to[lead->step];
	must(w, strcmp(channel, o->channels[to].name) == 0, "%s is told by %s", key, channel);
	must(w, goes_with(o, lead, lead), "%s is told too early", key);
	for (int i = 0; i < o->njobs; i++)
		must(w,
			strcmp(o->jobs[i].route, lead->route) != 0 ||
				w->now_us > o->jobs[i].sent_us + ANSWER_US,
			"%s is told before the answer to what was told before", key);
	j->route = lead->route;
	collect(w, j, lead, doc);
	say(w, channel, "is to tell %s, with %d", key, j->n);
}

/* ---- the sender ----------------------------------------------------------------------- */

static struct sim *world;

static int do_start(struct sender *s, struct err *err)
{
	struct outbox *o = world->outbox;

	if (!world->calmed && one_in(world, 12))
		return err_set(err, ERR_IO, "simulated: fork: resource unavailable");
	must(world, !o->teller, "two tell at once");
	o->teller = world->active;
	o->njobs = 0;
	o->died = false;
	*s = (struct sender){ ++o->sender, -1 };
	return 0;
}

static void do_stop(struct sender *s)
{
	if (s->pid > 0) {
		world->outbox->teller = NULL;
		world->outbox->njobs = 0;
	}
	*s = (struct sender){ 0, -1 };
}

static void decide(struct sim *w, struct parcel *j)
{
	j->sent_us = w->now_us;
	j->at_us = w->now_us + between(w, SIM_MS, one_in(w, 8) ? 40 * SIM_S : SIM_S);
	if (w->calmed)
		return;
	j->repeats = one_in(w, 10);
	j->fate = one_in(w, 10)   ? FATE_DIES
		  : one_in(w, 4)  ? FATE_BUSY
		  : one_in(w, 8)  ? FATE_REFUSED
		  : one_in(w, 60) ? FATE_HANGS
				  : FATE_TOLD;
	if (j->fate == FATE_BUSY && one_in(w, 2))
		j->after_us = between(w, SIM_S, 40 * SIM_S);
	if (j->fate == FATE_HANGS)
		j->at_us = INT64_MAX;
}

static int do_send(struct sender *s, const json_t *request, struct err *err)
{
	struct sim *w = world;
	struct outbox *o = w->outbox;

	(void)s;
	actor_point(w->active, "before it tells");
	if (!w->calmed && one_in(w, 20))
		o->died = true;
	if (o->died)
		return err_set(err, ERR_IO, "simulated: the sender is gone");
	if (o->njobs == JOBS || (!w->calmed && one_in(w, 15)))
		return err_set(err, ERR_BUSY, "simulated: the sender takes no more now");
	struct parcel *j = &o->jobs[o->njobs];
	*j = (struct parcel){ .number = json_integer_value(json_object_get(request, "job")) };
	judge(w, j, request);
	decide(w, j);
	o->njobs++;
	w->effects++;
	actor_point(w->active, "behind telling");
	return 0;
}

static void drop_parcel(struct outbox *o, struct parcel *j)
{
	*j = o->jobs[--o->njobs];
}

static json_t *answer(struct sim *w, const struct parcel *j)
{
	static const char *const classes[] = { [FATE_BUSY] = "busy", [FATE_REFUSED] = "login" };

	say(w, "sender", "answers: %s", j->fate == FATE_TOLD ? "told" : classes[j->fate]);
	for (int i = 0; i < j->n; i++) {
		struct act *a = j->acts[i];
		a->reached |= j->fate == FATE_TOLD;
		a->refused = j->fate != FATE_TOLD;
		a->for_good = j->fate == FATE_REFUSED;
		a->after_us = j->after_us;
	}
	if (j->fate == FATE_TOLD)
		return json_pack("{s:I, s:b}", "job", (json_int_t)j->number, "ok", 1);
	return json_pack("{s:I, s:b, s:s, s:s, s:I}", "job", (json_int_t)j->number, "ok", 0,
		"class", classes[j->fate], "error", "simulated", "retry_after_us",
		(json_int_t)j->after_us);
}

static int do_receive(struct sender *s, json_t **ret)
{
	struct sim *w = world;
	struct outbox *o = w->outbox;

	(void)s;
	for (int i = 0; !o->died && i < o->njobs; i++) {
		struct parcel *j = &o->jobs[i];
		if (j->at_us > w->now_us)
			continue;
		w->effects++;
		if (j->fate == FATE_DIES) {
			say(w, "sender", "dies");
			o->died = true;
			break;
		}
		*ret = answer(w, j);
		if (!j->repeats)
			drop_parcel(o, j);
		j->repeats = false;
		return *ret ? 1 : -1;
	}
	return o->died ? -1 : 0;
}

static const struct alerting_sender simulated = {
	.start = do_start, .stop = do_stop, .send = do_send, .receive = do_receive
};

/* ---- the process's side --------------------------------------------------------------- */

static int begin(struct actor *n)
{
	struct sim *w = n->w;
	const struct alerting_config config = { .home = world_home(),
		.store = w->base,
		.alerts = &w->outbox->alerts,
		.sender = &simulated };

	return alerting_new(&n->daemon->alerting, &config, &(struct err){ 0 });
}

void outbox_turn(struct actor *n)
{
	struct sim *w = n->w;
	struct daemon *d = n->daemon;

	world = w;
	n->alert_again_us = w->now_us + 10 * SIM_S;
	if (!d->alerting && begin(n) < 0)
		return;
	int64_t now = clock_now_us();
	if (d->engine.told) {
		d->engine.told = false;
		alerting_told(d->alerting, now);
	}
	if (!d->alerts_due && outbox_due_us(n) > w->now_us)
		return;
	d->alerts_due = false;
	w->outbox->turn_us = w->now_us;
	w->outbox->turn_wall_us = now;
	alerting_turn(d->alerting, now);
}

int64_t outbox_due_us(const struct actor *n)
{
	const struct sim *w = n->w;
	const struct outbox *o = w->outbox;
	const struct daemon *d = n->daemon;

	if (!n->begun || n->leaving || o->alerts.nroutes == 0)
		return INT64_MAX;
	if (!d->alerting)
		return n->alert_again_us;
	if (d->alerts_due || d->engine.told)
		return w->now_us;
	int64_t due = alerting_wake_us(d->alerting);
	due = due == INT64_MAX ? due : due - w->wall_us;
	for (int i = 0; o->teller == n && i < o->njobs; i++)
		due = o->jobs[i].at_us < due ? o->jobs[i].at_us : due;
	return due < w->now_us + 20 ? w->now_us : due;
}

void outbox_leave(struct actor *n)
{
	world = n->w;
	alerting_free(n->daemon->alerting);
	n->daemon->alerting = NULL;
	n->daemon->alerts_due = n->daemon->engine.told = false;
	n->alert_again_us = 0;
}

/* ---- the end -------------------------------------------------------------------------- */

bool outbox_done(const struct sim *w)
{
	for (const struct act *a = w->outbox->acts; a; a = a->hh.next)
		if (a->state == OUTBOX_PENDING)
			return false;
	return true;
}

void outbox_check_end(struct sim *w)
{
	struct store_result rows;
	size_t n = 0;

	read_acts(w, &rows);
	for (size_t i = 0; i < rows.n; i++)
		must(w, act_by_id(w, rows.outbox[i].id)->state == rows.outbox[i].state,
			"the store has another end of %s", rows.outbox[i].key);
	n = rows.n;
	store_result_release(&rows);
	must(w, n == HASH_COUNT(w->outbox->acts), "what was to be told is forgotten");
}
