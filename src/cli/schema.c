#include "conf/schema.h"
#include "base/err.h"
#include "cli/commands.h"
#include "cli/home.h"
#include "conf/config.h"
#include "data/contract.h"

static int schema_run(const struct args *args, struct err *err)
{
	if (args_has(args, "contract") && args_has(args, "config"))
		return err_set(err, ERR_USAGE, "--contract and --config exclude each other");
	if (args_has(args, "contract"))
		return cli_print_json(schema_json(contract_fields, "A contract of Weir"), err);
	if (args_has(args, "config"))
		return cli_print_json(schema_json(config_fields, "weir.yaml"), err);
	return cli_print_json(dagfile_json_schema(cli_operators()), err);
}

static const struct option schema_options[] = {
	{ .name = "contract", .kind = VALUE_FLAG, .help = "of contracts" },
	{ .name = "config", .kind = VALUE_FLAG, .help = "of weir.yaml" }, { 0 }
};

const struct command command_schema = {
	.name = "schema",
	.group = "Write",
	.summary = "print the JSON Schema of the DAG file, for editors",
	.doc = "An editor with a YAML language server checks and completes DAG files with it:\n\n"
	       "  weir schema > weir.schema.json\n"
	       "  # first line of a DAG file:\n"
	       "  # yaml-language-server: $schema=weir.schema.json",
	.options = schema_options,
	.run = schema_run,
};
