"""Train without backpropagation: forward gradients, their experiments and their tables."""
