"""Forward mode of first and second order: the number `Jet`, and a rule for each operation on it in one table."""

from frog_cli.jets import rules as rules  # fills the table
