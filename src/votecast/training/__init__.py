"""Train a network on votes: the loop, its steps and checkpoints, on one process or several."""
