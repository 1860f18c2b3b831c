"""Tuning of hyperparameters: what is tried next, its record, which runs are given up, its tables and its picture."""
