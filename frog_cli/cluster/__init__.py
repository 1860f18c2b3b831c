"""Many processes that share runs by MPI, and batch jobs of Slurm."""
