"""Packs: all that a machine without a network needs to run a judge."""
