"""An arena whose true probabilities are known: what a perfect judge would score can be computed.

Texts are put together from templates in six languages; their virtues and faults are counted while they are written;
votes follow from what was counted through Davidson's model with ties, blurred by position and raters.
"""

from __future__ import annotations

from votecast.data.simulation.arena import Truth, simulate
from votecast.data.simulation.files import bayes_log_loss, read_truth, truth_path, write_simulation
from votecast.data.simulation.models import MODELS

__all__ = ["MODELS", "Truth", "bayes_log_loss", "read_truth", "simulate", "truth_path", "write_simulation"]
