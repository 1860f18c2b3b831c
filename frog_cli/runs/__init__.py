"""A run: its name and folder, its execution from request to result, the one training loop, checkpoints, locks and
signals, and the row and the picture that are made of its folder.
"""
