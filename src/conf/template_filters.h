/* The functions behind the table of filters, by file. Each has the signature of template_filter's
 * fn. */
#ifndef WEIR_CONF_TEMPLATE_FILTERS_H
#define WEIR_CONF_TEMPLATE_FILTERS_H

#include "conf/template_impl.h"

#define TEMPLATE_FILTER_FN(name)                                                              \
	int template_filter_##name(struct eval *e, struct value *v, const struct value *args, \
		int nargs, struct err *err)

/* template_filters_time.c: v is a date or an instant. */
TEMPLATE_FILTER_FN(add_days);
TEMPLATE_FILTER_FN(add_hours);
TEMPLATE_FILTER_FN(add_minutes);
TEMPLATE_FILTER_FN(add_months);
TEMPLATE_FILTER_FN(start_of_day);
TEMPLATE_FILTER_FN(start_of_week);
TEMPLATE_FILTER_FN(start_of_month);
TEMPLATE_FILTER_FN(start_of_year);
TEMPLATE_FILTER_FN(end_of_month);
TEMPLATE_FILTER_FN(strftime);
TEMPLATE_FILTER_FN(date);
TEMPLATE_FILTER_FN(utc);
TEMPLATE_FILTER_FN(in_zone);
TEMPLATE_FILTER_FN(epoch);
/* Make a string that is a date or an instant one; others stay as they are. */
int template_filter_read_date(const struct eval *e, struct value *v, struct err *err);

/* template_filters_text.c */
TEMPLATE_FILTER_FN(default);
TEMPLATE_FILTER_FN(upper);
TEMPLATE_FILTER_FN(lower);
TEMPLATE_FILTER_FN(trim);
TEMPLATE_FILTER_FN(replace);
TEMPLATE_FILTER_FN(split);
TEMPLATE_FILTER_FN(join);
TEMPLATE_FILTER_FN(first);
TEMPLATE_FILTER_FN(last);
TEMPLATE_FILTER_FN(length);
TEMPLATE_FILTER_FN(int);
TEMPLATE_FILTER_FN(float);
TEMPLATE_FILTER_FN(string);
TEMPLATE_FILTER_FN(add);
TEMPLATE_FILTER_FN(basename);
TEMPLATE_FILTER_FN(dirname);

/* template_filters_list.c: v is a list. */
TEMPLATE_FILTER_FN(compact);
TEMPLATE_FILTER_FN(sum);

/* template_filters_quote.c: for other languages. */
TEMPLATE_FILTER_FN(json);
TEMPLATE_FILTER_FN(sh);
TEMPLATE_FILTER_FN(sql);
TEMPLATE_FILTER_FN(ident);
TEMPLATE_FILTER_FN(raw);
TEMPLATE_FILTER_FN(urlencode);

#endif
