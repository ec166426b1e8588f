"""Scoring beyond one machine: thin adapters to Ray over what runs on one."""
