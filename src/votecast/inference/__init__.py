"""The inference engine that all neural judges share."""
