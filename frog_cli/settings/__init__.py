"""What is asked for: words are composed with conf/ by Hydra, checked against schemas, refused in one line or accepted."""
