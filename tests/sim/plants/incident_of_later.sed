# file: src/core/incident.c
# what: an interval that goes well makes good later ones
/^static bool makes_good/,/^}/s/end_us <= put->end_us/end_us > 0/
