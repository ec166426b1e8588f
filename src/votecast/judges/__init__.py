"""Judges: one module per family, a table that names them, and the judge folder they share."""
