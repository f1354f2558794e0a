# file: src/core/planner.c
# what: a run that ended makes no room for what waits
s/^\t\te->d\.active--;/\t\te->d.active -= 0;/
