"""What only makes it fast, laid over the mathematics from outside, and the phases of a step told to a clock.

Recording, overwriting, compilation, fast products, faster rules for jets, tangents drawn ahead or drawn again.
"""
