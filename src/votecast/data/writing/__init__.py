"""Votes and predictions to files, whole or not at all."""

from votecast.data.writing.predictions import PredictionWriter, write_predictions
from votecast.data.writing.reading import read_predictions
from votecast.data.writing.votes import Written, write_votes

__all__ = ["PredictionWriter", "Written", "read_predictions", "write_predictions", "write_votes"]
