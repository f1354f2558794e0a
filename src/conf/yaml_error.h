/* libyaml's errors in the words of people who do not know libyaml. */
#ifndef WEIR_CONF_YAML_ERROR_H
#define WEIR_CONF_YAML_ERROR_H

#include <stdbool.h>
#include <yaml.h>

#include "conf/yaml_text.h"

struct diags;
struct source;

/* Report what stopped the parser. */
void yaml_error_report(const yaml_parser_t *parser, const struct source *src, struct diags *diags);

/* The most frequent mistake: a template that is not in quotes where YAML reads "{{" as the
 * start of a mapping. Is it what stopped the parser? `in_flow`: inside [ ] or { }. The value that
 * lacks the quotes is then in *ret. */
bool yaml_error_is_template(const yaml_parser_t *parser, const struct source *src, bool in_flow,
	struct yaml_piece *ret);
/* Report it. */
void yaml_error_template(const struct source *src, struct yaml_piece value, struct diags *diags);

#endif
