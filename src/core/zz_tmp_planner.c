#include "core/planner.h"
__attribute__((weak)) const char *const planner_overlap_names[] = { "queue", "skip", "cancel_running", NULL };
