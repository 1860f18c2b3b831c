"""What only makes it fast, laid over the mathematics from outside: recording, overwriting, compilation, fast products,
rules for jets in fewer operations, tangents drawn ahead or drawn again, and the phases of a step told to a clock.
"""
