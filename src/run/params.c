/* The params of a run that is taken up again. */
#include "run/driver_impl.h"

json_t *run_params(const struct run_request *req, const char *former)
{
	if (!former || req->params_given)
		return json_incref(req->params);
	json_t *values = json_loads(former, 0, NULL), *params = json_deep_copy(req->params);
	/* Params that the DAG got since then have their defaults; those it lost are gone. */
	if (params && values)
		json_object_update_existing(params, values);
	json_decref(values);
	return params;
}
