"""The reward family: a reward model scores each answer, and a link turns the gap between two scores into votes."""
