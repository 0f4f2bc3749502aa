"""Readers of log formats: each turns one export into a `Course` and a `LoadReport`.

`records` reads rows from CSV, JSONL and Parquet, `cells` reads values, `intake` counts and keeps;
`falconcode`, `progsnap2` and `table` know the formats; `assignments` reads tests.
"""
