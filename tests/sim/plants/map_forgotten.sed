# file: src/run/restore.c
# what: who takes a run over knows nothing of its instances but the first
s/if (!t || row->map_index != next)/if (!t || row->map_index != next || next > 0)/
