# file: src/core/planner_dag.c
# what: an interval that is passed over is not recorded
s/PLANNER_SKIP/PLANNER_KEEP/
