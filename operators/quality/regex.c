#include "operators/quality/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "data/conn.h"

enum { JIT_STACK_MIN = 32 << 10, JIT_STACK_MAX = 1 << 20, MATCH_LIMIT = 1000000 };

struct regex {
	pcre2_code *code;
	pcre2_match_data *match;
	pcre2_match_context *context;
	pcre2_jit_stack *stack;
};

static int bad_pattern(const char *pattern, int code, size_t at, struct err *err)
{
	PCRE2_UCHAR why[160];

	pcre2_get_error_message(code, why, sizeof why);
	return err_set(err, ERR_INVALID, "pattern %.200s: %s at character %zu", pattern,
		(const char *)why, at + 1);
}

struct regex *regex_new(const char *pattern, struct err *err)
{
	uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF;
	struct regex *r = calloc(1, sizeof *r);
	size_t at = 0;
	int code = 0;

	if (!r) {
		err_nomem(err);
		return NULL;
	}
	r->code = pcre2_compile(
		(PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options, &code, &at, NULL);
	if (!r->code) {
		bad_pattern(pattern, code, at, err);
		regex_free(r);
		return NULL;
	}
	/* Without JIT on this machine the interpreter does it. */
	pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE);
	r->match = pcre2_match_data_create_from_pattern(r->code, NULL);
	r->context = pcre2_match_context_create(NULL);
	r->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, NULL);
	if (!r->match || !r->context) {
		err_nomem(err);
		regex_free(r);
		return NULL;
	}
	pcre2_set_match_limit(r->context, MATCH_LIMIT);
	if (r->stack)
		pcre2_jit_stack_assign(r->context, NULL, r->stack);
	return r;
}

void regex_free(struct regex *r)
{
	if (!r)
		return;
	pcre2_match_data_free(r->match);
	pcre2_match_context_free(r->context);
	pcre2_jit_stack_free(r->stack);
	pcre2_code_free(r->code);
	free(r);
}

int regex_match(struct regex *r, const char *text, size_t len, struct err *err)
{
	int rc = pcre2_match(r->code, (PCRE2_SPTR)text, len, 0, 0, r->match, r->context);

	if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
		return err_set(err, ERR_DATA,
			"the pattern takes too many steps on a value; make it simpler");
	return rc >= 0;
}

static void matches(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	struct regex *r = sqlite3_user_data(ctx);
	struct err err;

	(void)argc;
	if (sqlite3_value_type(argv[0]) == SQLITE_NULL)
		return;
	const char *text = (const char *)sqlite3_value_text(argv[0]);
	int found = regex_match(r, text ? text : "", (size_t)sqlite3_value_bytes(argv[0]), &err);
	if (found >= 0)
		sqlite3_result_int(ctx, found);
	else
		sqlite3_result_error(ctx, err.msg, -1);
}

int regex_register(struct regex *r, sqlite3 *db, const char *name, struct err *err)
{
	int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC;

	if (sqlite3_create_function(db, name, 1, flags, r, matches, NULL, NULL) != SQLITE_OK)
		return conn_sqlite_error(db, err, name);
	return 0;
}
