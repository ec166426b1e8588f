"""Reward judges: one number an answer from a reward model, and a link from the gap between two of them to votes."""

from votecast.models.reward.model import RewardModel
from votecast.models.reward.settings import RewardSettings

__all__ = ["RewardModel", "RewardSettings"]
