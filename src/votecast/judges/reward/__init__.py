"""Reward judges: one number an answer from a reward model, and a link from the gap between two of them to votes."""

from votecast.judges.reward.model import RewardModel
from votecast.judges.reward.settings import RewardSettings

__all__ = ["RewardModel", "RewardSettings"]
