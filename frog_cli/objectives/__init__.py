"""What can be minimised: closed-form functions, and the loss of a network that classifies images."""
