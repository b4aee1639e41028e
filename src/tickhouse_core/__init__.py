"""The floor: what two or more processes share, and nothing else."""
