"""A run: its name and folder, its execution, the one training loop, checkpoints, locks, signals, row and picture."""
