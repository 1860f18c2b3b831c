"""Data sets: where they are, how each is read, and what a run gets of it."""
