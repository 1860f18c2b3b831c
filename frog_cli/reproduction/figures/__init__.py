"""One file for each figure, with the axes of the paper: from the rows of a target to a picture."""
