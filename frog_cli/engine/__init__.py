"""What makes the mathematics fast without being part of it, and the phases of a step told to a clock.

Recording, overwriting, compilation, fast products, faster rules for jets, tangents drawn ahead or drawn again.
"""
