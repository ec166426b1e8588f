"""The files that votecast writes: votes, predictions, decisions, scores, rankings. All are written atomically."""

from votecast.data.outputs.prediction_files import (
    DecisionWriter,
    PredictionWriter,
    check_predictions,
    read_counts,
    read_predictions,
    write_predictions,
)
from votecast.data.outputs.score_files import ScoreWriter, read_scores
from votecast.data.outputs.vote_files import Written, write_votes

__all__ = [
    "DecisionWriter",
    "PredictionWriter",
    "ScoreWriter",
    "Written",
    "check_predictions",
    "read_counts",
    "read_predictions",
    "read_scores",
    "write_predictions",
    "write_votes",
]
