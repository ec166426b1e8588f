"""Forecasts of many files into a folder of parts with a manifest: planned here, worked on by an engine."""

from votecast.bulk.folder import predict_folder
from votecast.bulk.local import LocalEngine

__all__ = ["LocalEngine", "predict_folder"]
