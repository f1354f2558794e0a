# file: src/core/planner_dag.c
# what: a schedule has one run more in motion than max_active_runs
s/return d->active < d->max_active;/return d->active <= d->max_active;/
