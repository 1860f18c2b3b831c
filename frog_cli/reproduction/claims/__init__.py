"""What the papers and frog claim, in our words, and the verdicts of the rows."""
