"""The verbs of the command line, a module for each: its help text and main(words). Nothing imports a verb."""
