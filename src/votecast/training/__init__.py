"""The training engine that all neural judges share."""
