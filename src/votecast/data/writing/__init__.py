"""Votes and predictions to files, whole or not at all."""

from votecast.data.writing.decisions import DecisionWriter, read_counts
from votecast.data.writing.predictions import PredictionWriter, check_predictions, side_path, write_predictions
from votecast.data.writing.reading import read_predictions
from votecast.data.writing.votes import Written, write_votes

__all__ = [
    "DecisionWriter",
    "PredictionWriter",
    "Written",
    "check_predictions",
    "read_counts",
    "read_predictions",
    "side_path",
    "write_predictions",
    "write_votes",
]
