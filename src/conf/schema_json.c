/* JSON Schema (draft 2020-12) from the rows. */
#include "conf/schema.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/node.h"
#include "conf/yaml_scalar.h"

/* Rows that hold themselves end here. */
enum { DEPTH_MAX = 16 };

/* What a scalar of each type looks like, as JSON; NULL: made by code. */
static const char *const shapes[] = {
	[FIELD_STRING] = "{\"type\": [\"string\", \"number\", \"boolean\"]}",
	[FIELD_NAME] = "{\"type\": \"string\", \"pattern\": \"^[A-Za-z_][A-Za-z0-9_-]{0,127}$\"}",
	[FIELD_BOOL] = "{\"type\": \"boolean\"}",
	[FIELD_INT] = "{\"type\": \"integer\"}",
	[FIELD_FLOAT] = "{\"type\": \"number\"}",
	[FIELD_DURATION] = "{\"type\": [\"string\", \"integer\"], \"minimum\": 0, \"maximum\": 0, "
			   "\"pattern\": \"^(0|([0-9]+(w|d|h|ms|us|m|s))+)$\"}",
	[FIELD_SIZE] = "{\"type\": [\"string\", \"integer\"], \"minimum\": 0, "
		       "\"pattern\": \"^[0-9]+(\\\\.[0-9]+)?(B|[kMGT]B|[KMGT]iB)?$\"}",
	[FIELD_PERCENT] = "{\"type\": [\"string\", \"number\"], \"minimum\": 0, \"maximum\": 1, "
			  "\"pattern\": \"^[0-9]+(\\\\.[0-9]+)?%?$\"}",
	[FIELD_ENUM] = "{}",
	[FIELD_DATE] = "{\"type\": \"string\", \"format\": \"date\", "
		       "\"pattern\": \"^[0-9]{4}-[0-9]{2}-[0-9]{2}$\"}",
	[FIELD_PATH] = "{\"type\": \"string\", \"minLength\": 1}",
	[FIELD_FILE] = "{\"type\": \"string\", \"minLength\": 1}",
	[FIELD_SQL] = "{\"type\": \"string\", \"minLength\": 1}",
	[FIELD_SQL_FILE] = "{\"type\": \"string\", \"minLength\": 1}",
	[FIELD_CONNECTION] =
		"{\"type\": \"string\", \"pattern\": \"^[A-Za-z_][A-Za-z0-9_-]{0,127}$\"}",
	[FIELD_TABLE] = "{\"type\": \"string\", "
			"\"pattern\": "
			"\"^[A-Za-z_][A-Za-z0-9_-]{0,127}\\\\.[A-Za-z_][A-Za-z0-9_]{0,127}$\"}",
	[FIELD_REGEX] = "{\"type\": \"string\"}",
	[FIELD_VALUE] = "{\"type\": [\"string\", \"number\", \"boolean\", \"null\"]}",
	[FIELD_LIST] = "{\"type\": \"array\"}",
	[FIELD_MAP] = "{\"type\": \"object\"}",
	[FIELD_OBJECT] = "{}",
	[FIELD_ANY] = "{}",
};
static_assert(sizeof shapes / sizeof *shapes == FIELD_TYPE_MAX, "a shape for each type");

static json_t *object_schema(const struct field *fields, bool one_key, int depth);
static json_t *value_schema(const struct field *f, int depth);

/* jansson's setters refuse NULL objects and values: without memory parts are missing. */
static int set(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value);
}

static json_t *enum_schema(const struct field *f)
{
	json_t *list = json_array();

	for (size_t i = 0; f->values && f->values[i]; i++)
		json_array_append_new(list, json_string(f->values[i]));
	return json_pack("{s:o}", "enum", list);
}

static void set_range(json_t *schema, const struct field *f)
{
	bool list = f->type == FIELD_LIST, map = f->type == FIELD_MAP;
	bool number = f->type == FIELD_INT || f->type == FIELD_FLOAT;
	const char *min = list ? "minItems" : map ? "minProperties" : "minimum";
	const char *max = list ? "maxItems" : map ? "maxProperties" : "maximum";

	/* The bounds of durations, sizes and percentages have no form in JSON Schema: their values
	 * are texts. */
	if (!list && !map && !number)
		return;
	bool whole = f->type != FIELD_FLOAT;
	if (f->has_min)
		set(schema, min, whole ? json_integer((json_int_t)f->min) : json_real(f->min));
	if (f->has_max)
		set(schema, max, whole ? json_integer((json_int_t)f->max) : json_real(f->max));
}

static json_t *list_schema(const struct field *f, int depth)
{
	json_t *list = json_loads(shapes[FIELD_LIST], 0, NULL);

	if (f->item)
		set(list, "items", value_schema(f->item, depth));
	set_range(list, f);
	if (!(f->flags & FIELD_OR_ONE))
		return list;
	/* An item that may be a list itself would match both. */
	bool overlaps = !f->item || f->item->type == FIELD_ANY || f->item->type == FIELD_LIST;
	json_t *one = f->item ? value_schema(f->item, depth) : json_object();
	return json_pack("{s:[o, o]}", overlaps ? "anyOf" : "oneOf", one, list);
}

static json_t *map_schema(const struct field *f, int depth)
{
	json_t *map = json_loads(shapes[FIELD_MAP], 0, NULL);

	if (f->item)
		set(map, "additionalProperties", value_schema(f->item, depth));
	set_range(map, f);
	return map;
}

static json_t *scalar_schema(const struct field *f)
{
	if (f->type == FIELD_ENUM)
		return enum_schema(f);
	json_t *schema = json_loads(shapes[f->type], 0, NULL);
	set_range(schema, f);
	return schema;
}

/* Any text is already right for these. */
static bool takes_any_text(enum field_type type)
{
	return type == FIELD_STRING || type == FIELD_VALUE || type == FIELD_PATH ||
	       type == FIELD_FILE || type == FIELD_SQL || type == FIELD_SQL_FILE ||
	       type == FIELD_REGEX;
}

static json_t *with_template(const struct field *f, json_t *schema)
{
	if (!(f->flags & FIELD_TEMPLATE) || takes_any_text(f->type))
		return schema;
	return json_pack(
		"{s:[o, {s:s, s:s}]}", "anyOf", schema, "type", "string", "pattern", "\\{\\{");
}

static json_t *reference_schema(const char *key)
{
	return json_pack("{s:s, s:{s:{s:s}}, s:[s], s:b}", "type", "object", "properties", key,
		"type", "string", "required", key, "additionalProperties", 0);
}

static json_t *with_secret(const struct field *f, json_t *schema)
{
	if (!(f->flags & (FIELD_SECRET | FIELD_MAY_REFER)))
		return schema;
	return json_pack("{s:[o, o, o]}", "oneOf", schema, reference_schema("env"),
		reference_schema("file"));
}

static json_t *or_text(const struct field *f, json_t *schema)
{
	if (!(f->flags & FIELD_OR_TEXT))
		return schema;
	return json_pack("{s:[o, o]}", "oneOf", json_loads(shapes[FIELD_STRING], 0, NULL), schema);
}

static json_t *value_schema(const struct field *f, int depth)
{
	if (depth >= DEPTH_MAX)
		return json_object();
	switch (f->type) {
	case FIELD_LIST:
		return list_schema(f, depth + 1);
	case FIELD_MAP:
		return map_schema(f, depth + 1);
	case FIELD_OBJECT:
		return or_text(f, object_schema(f->fields, f->flags & FIELD_ONE_KEY, depth + 1));
	case FIELD_ANY:
		return json_object();
	default:
		return with_secret(f, with_template(f, scalar_schema(f)));
	}
}

/* The JSON of a default or an example, which are written as YAML. */
static json_t *json_of_yaml(const char *text)
{
	struct node n = { .text = text, .len = strlen(text) };

	yaml_scalar_resolve(&n);
	if (n.type == NODE_NULL)
		return json_null();
	if (n.type == NODE_BOOL)
		return json_boolean(n.b);
	if (n.type == NODE_INT)
		return json_integer(n.i);
	if (n.type == NODE_FLOAT && isfinite(n.f))
		return json_real(n.f);
	return json_string(text);
}

static bool is_scalar_type(enum field_type type)
{
	return type != FIELD_LIST && type != FIELD_MAP && type != FIELD_OBJECT && type != FIELD_ANY;
}

static json_t *field_schema(const struct field *f, int depth)
{
	json_t *schema = value_schema(f, depth);

	if (f->help)
		set(schema, "description", json_string(f->help));
	if (f->def)
		set(schema, "default", json_of_yaml(f->def));
	/* Of a list or mapping the example is YAML in flow style, no JSON. */
	if (f->example && is_scalar_type(f->type))
		set(schema, "examples", json_pack("[o]", json_of_yaml(f->example)));
	return schema;
}

static json_t *object_schema(const struct field *fields, bool one_key, int depth)
{
	json_t *properties = json_object(), *required = json_array(), *choices = json_array();

	for (const struct field *f = fields; f && f->key; f++) {
		set(properties, f->key, field_schema(f, depth));
		if (f->flags & FIELD_REQUIRED)
			json_array_append_new(required, json_string(f->key));
		json_array_append_new(choices, json_pack("{s:[s]}", "required", f->key));
	}
	json_t *schema = json_pack("{s:s, s:o, s:b}", "type", "object", "properties", properties,
		"additionalProperties", 0);
	if (one_key) {
		set(schema, "minProperties", json_integer(1));
		set(schema, "maxProperties", json_integer(1));
		set(schema, "oneOf", json_incref(choices));
	} else if (json_array_size(required)) {
		set(schema, "required", json_incref(required));
	}
	json_decref(required);
	json_decref(choices);
	return schema;
}

json_t *schema_json_part(const struct field *fields, const char *description)
{
	json_t *schema = object_schema(fields, false, 0);

	if (description)
		set(schema, "description", json_string(description));
	return schema;
}

json_t *schema_json(const struct field *fields, const char *description)
{
	json_t *part = schema_json_part(fields, description);
	json_t *schema =
		json_pack("{s:s}", "$schema", "https://json-schema.org/draft/2020-12/schema");

	if (!part || !schema || json_object_update(schema, part) < 0) {
		json_decref(schema);
		schema = NULL;
	}
	json_decref(part);
	return schema;
}
