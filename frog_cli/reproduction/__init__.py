"""The papers' figures and tables: the runs behind them, the rows of those, and what is made of the rows."""
