"""Forecasts of many files into a folder of parts with a manifest: planned here, worked on by an engine."""

from votecast.jobs.parts.folder import predict_folder
from votecast.jobs.parts.local import LocalEngine

__all__ = ["LocalEngine", "predict_folder"]
