"""Load experiments: a plan of cells, the load, what one experiment does, and what a run remembers."""
