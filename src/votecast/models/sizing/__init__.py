"""How large a network is and what its training takes, from its configuration alone; no weights are read."""
