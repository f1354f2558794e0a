#include "cli/exits.h"

#include "base/buf.h"
#include "base/err.h"

/* Statuses that more than errors have. */
static const char *const more[] = { "success", "the run failed" };

/* Append what the status means; false when nothing has it. */
static bool meaning(int status, struct buf *out)
{
	const char *sep = "";

	if (status >= 0 && status < (int)(sizeof more / sizeof *more)) {
		buf_addstr(out, more[status]);
		sep = "; ";
	}
	for (int c = ERR_NONE + 1; c < ERR_CODE_MAX; c++) {
		if (err_info((enum err_code)c)->exit_status != status)
			continue;
		buf_addf(out, "%s%s", sep, err_info((enum err_code)c)->help);
		sep = "; ";
	}
	return *sep != '\0' || status == 0;
}

static void each(struct buf *out, const char *before, const char *between)
{
	for (int status = 0; status < 256; status++) {
		struct buf text;
		buf_init(&text, BUF_MAX_TEXT);
		if (meaning(status, &text))
			buf_addf(out, "%s%d%s%s\n", before, status, between, text.data);
		buf_release(&text);
	}
}

void exits_print_text(struct buf *out)
{
	each(out, "  ", "\t");
}

void exits_print_mdoc(struct buf *out)
{
	each(out, ".It ", "\n");
}
