/* Nodes: look-up by key, and what a node's text is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/node.h"

static const struct node key_a = { .type = NODE_STRING, .text = "a", .len = 1 };
static const struct node key_ab = { .type = NODE_STRING, .text = "ab", .len = 2 };
static const struct node one = { .type = NODE_INT, .text = "1", .len = 1, .i = 1 };
static const struct node none = { .type = NODE_NULL, .text = "~", .len = 1 };
static const struct node *keys[] = { &key_ab, &key_a };
static const struct node *items[] = { &none, &one };
static const struct node map = { .type = NODE_MAP, .n = 2, .keys = keys, .items = items };
static const struct node seq = { .type = NODE_SEQ, .n = 2, .items = items };

static void test_get(void **state)
{
	(void)state;
	assert_ptr_equal(node_get(&map, "a"), &one);
	assert_ptr_equal(node_get(&map, "ab"), &none);
	assert_ptr_equal(node_key(&map, "a"), &key_a);
	assert_null(node_get(&map, "abc"));
	assert_null(node_get(&map, ""));
	assert_null(node_get(&seq, "a"));
	assert_null(node_get(&one, "a"));
	assert_null(node_get(NULL, "a"));
	assert_null(node_key(NULL, "a"));
	assert_null(node_key(&map, "b"));
}

static void test_text(void **state)
{
	(void)state;
	assert_string_equal(node_text(&one), "1");
	assert_null(node_text(&none));
	assert_null(node_text(&map));
	assert_null(node_text(NULL));
	assert_true(node_is_scalar(&none));
	assert_false(node_is_scalar(&seq));
	assert_false(node_is_scalar(NULL));
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(node_type_name(NODE_SEQ), "a list");
	assert_string_equal(node_type_name(NODE_NULL), "null");
	assert_string_equal(node_type_name(NODE_TYPE_MAX), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
