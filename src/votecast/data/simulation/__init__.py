"""Simulate an arena whose true probabilities are known, so that the score of a perfect judge can be computed.

Texts are composed from templates in six languages; their virtues and faults are counted while they are written;
votes follow from what was counted through Davidson's model with ties, plus noise by position and rater.
"""

from __future__ import annotations

from votecast.data.simulation.arena import Truth, bayes_log_loss, read_truth, simulate, truth_path, write_simulation
from votecast.data.simulation.contestants import MODELS

__all__ = ["MODELS", "Truth", "bayes_log_loss", "read_truth", "simulate", "truth_path", "write_simulation"]
