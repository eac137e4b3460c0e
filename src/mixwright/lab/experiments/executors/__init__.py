"""Where the runs of a grid are done: processes here, a Ray cluster, SLURM."""
