"""What is asked for: words composed with conf/ by Hydra, checked against schemas, refused in one line or accepted."""
