#include <ctype.h>
#include <string.h>

#include "conf/schema.h"
#include "http/route.h"

static int put(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value);
}

static json_t *parameter(const char *name, size_t len, const char *in, bool required)
{
	return json_pack("{s:s%, s:s, s:b, s:{s:s}}", "name", name, len, "in", in, "required",
		required ? 1 : 0, "schema", "type", "string");
}

static void add_path_parameters(json_t *list, const char *path)
{
	for (const char *p = strchr(path, '{'); p; p = strchr(p + 1, '{')) {
		size_t len = strcspn(p + 1, "}");
		json_array_append_new(list, parameter(p + 1, len, "path", true));
	}
}

static void add_query_parameters(json_t *list, const struct field *fields)
{
	json_t *schema = schema_json_part(fields, NULL);
	json_t *properties = json_object_get(schema, "properties");

	for (const struct field *f = fields; f && f->key; f++) {
		json_t *p = parameter(f->key, strlen(f->key), "query", f->flags & FIELD_REQUIRED);
		json_t *own = json_object_get(properties, f->key);
		if (f->help)
			put(p, "description", json_string(f->help));
		if (own)
			put(p, "schema", json_incref(own));
		json_array_append_new(list, p);
	}
	json_decref(schema);
}

static json_t *responses(void)
{
	return json_pack("{s:{s:s, s:{s:{s:{s:s}}}}, s:{s:s, s:{s:{s:{s:s}}}}}", "200",
		"description", "Done.", "content", "application/json", "schema", "type", "object",
		"default", "description", "An error: its code and message.", "content",
		"application/json", "schema", "$ref", "#/components/schemas/error");
}

static json_t *operation(const struct http_route *r)
{
	json_t *o = json_object(), *parameters = json_array();

	if (r->summary)
		put(o, "summary", json_string(r->summary));
	if (r->help)
		put(o, "description", json_string(r->help));
	add_path_parameters(parameters, r->path);
	add_query_parameters(parameters, r->query);
	if (json_array_size(parameters))
		put(o, "parameters", json_incref(parameters));
	json_decref(parameters);
	if (r->body)
		put(o, "requestBody",
			json_pack("{s:{s:{s:o}}}", "content", "application/json", "schema",
				schema_json_part(r->body, NULL)));
	put(o, "responses", responses());
	return o;
}

static void add_route(json_t *paths, const struct http_route *r)
{
	json_t *item = json_object_get(paths, r->path);
	char method[16] = "";

	if (!item) {
		item = json_object();
		put(paths, r->path, item);
	}
	for (size_t i = 0; r->method[i] && i + 1 < sizeof method; i++)
		method[i] = (char)tolower((unsigned char)r->method[i]);
	put(item, method, operation(r));
}

json_t *http_openapi(const struct http_route *routes)
{
	json_t *paths = json_object();

	for (const struct http_route *r = routes; r->method; r++)
		add_route(paths, r);
	return json_pack("{s:s, s:{s:s, s:s}, s:o, s:{s:{s:{s:s, s:{s:{s:s, s:[s,s], "
			 "s:{s:{s:s}, s:{s:s}}}}}}}}",
		"openapi", "3.1.0", "info", "title", "weir", "version", "1", "paths", paths,
		"components", "schemas", "error", "type", "object", "properties", "error", "type",
		"object", "required", "code", "message", "properties", "code", "type", "string",
		"message", "type", "string");
}
