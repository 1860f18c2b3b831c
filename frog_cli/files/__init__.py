"""Files: written so that they are whole at any time, tables as CSV, and the folders that travel with frog."""
