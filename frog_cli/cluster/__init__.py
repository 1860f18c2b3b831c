"""Many processes: the ranks of one command under mpiexec or srun, and batch jobs of Slurm."""
