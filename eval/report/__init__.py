"""The report of a comparison: statistics, tables, figures, and one page to read and browse."""
