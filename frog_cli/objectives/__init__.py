"""What can be minimised: closed-form functions, and the loss of a network that classifies images; each takes the
mathematics of `gradients`, made fast by `engine`, and an optimiser of torch.
"""
