"""Load experiments: the plan, the load, the run of each experiment, and the files that let a run be resumed."""
