#include "cli/exits.h"

#include "base/buf.h"
#include "base/err.h"
#include "cli/term.h"

/* Statuses that more than errors have. */
static const char *const more[] = { "success",
	"the run failed; of weir fence: the attempt must not act" };

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

void exits_print_text(struct buf *out)
{
	enum { INDENT = 8, WIDTH = 80 };

	for (int status = 0; status < 256; status++) {
		struct buf text;
		buf_init(&text, BUF_MAX_TEXT);
		if (meaning(status, &text)) {
			buf_addf(out, "%5d", status);
			text_wrap(out, text.data, 5, INDENT, WIDTH);
		}
		buf_release(&text);
	}
}

void exits_print_mdoc(struct buf *out)
{
	for (int status = 0; status < 256; status++) {
		struct buf text;
		buf_init(&text, BUF_MAX_TEXT);
		if (meaning(status, &text))
			buf_addf(out, ".It %d\n%s\n", status, text.data);
		buf_release(&text);
	}
}
