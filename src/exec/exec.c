/* Calls through the executor's table. */
#include "exec/exec.h"

#include "exec/executor.h"

int exec_prepare(struct exec *x, const struct exec_job *job, struct err *err)
{
	return x->ops->prepare(x, job, err);
}

int exec_go(struct exec *x, int64_t token, struct err *err)
{
	return x->ops->go(x, token, err);
}

int exec_drop(struct exec *x, int64_t token, struct err *err)
{
	return x->ops->drop(x, token, err);
}

int exec_start(struct exec *x, const struct exec_job *job, struct err *err)
{
	return x->ops->start(x, job, err);
}

int exec_stop(struct exec *x, int64_t token, unsigned how, struct err *err)
{
	return x->ops->stop(x, token, how, err);
}

int exec_ack(struct exec *x, const int64_t *tokens, size_t n, struct err *err)
{
	return x->ops->ack(x, tokens, n, err);
}

int exec_claim(struct exec *x, struct exec_claim *claims, size_t n, struct err *err)
{
	return x->ops->claim(x, claims, n, err);
}

int exec_flush(struct exec *x, struct err *err)
{
	return x->ops->flush(x, err);
}

int exec_read(struct exec *x, struct exec_end *ret, size_t max, struct err *err)
{
	return x->ops->read(x, ret, max, err);
}

int exec_fd(const struct exec *x)
{
	return x->ops->fd(x);
}

void exec_free(struct exec *x)
{
	if (x)
		x->ops->release(x, false);
}

void exec_abandon(struct exec *x)
{
	if (x)
		x->ops->release(x, true);
}
