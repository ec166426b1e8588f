"""Forecasts on a Ray cluster, on this machine or beyond it: thin adapters over `votecast.jobs.parts`."""

import os

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before Ray is imported
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

from votecast.jobs.ray.engine import RayEngine
from votecast.jobs.ray.settings import RaySettings

__all__ = ["RayEngine", "RaySettings"]
