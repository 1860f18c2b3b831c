"""One file for each figure, with the axes of the paper: from the rows of a target to a picture.

Numbered figures and tables are those of the first paper (arXiv 2410.17764); `fomoh` is the second (arXiv 2408.10419).
"""
