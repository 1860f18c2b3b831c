"""Models: each a `Sequential` of layers, whose outputs are the activities that can be perturbed."""
