"""The service: one process that speaks HTTP, and workers that hold the judges."""
