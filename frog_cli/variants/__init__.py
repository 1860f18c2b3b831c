"""Tangents, aggregations and step rules of other papers and code bases, one idea each.

They stand on the mathematics in gradients/, which does not know them; nor does anything else, but by their names.
"""
