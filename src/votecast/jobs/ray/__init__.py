"""The Ray engine of `predict_folder`, for this machine or a cluster."""

import os

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before Ray is imported
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

from votecast.jobs.ray.ray_cluster import RaySettings
from votecast.jobs.ray.ray_engine import RayEngine

__all__ = ["RayEngine", "RaySettings"]
