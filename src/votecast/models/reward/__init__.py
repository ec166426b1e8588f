"""The reward family: a reward model scores each answer, and a link turns the gap between two scores into votes."""

from votecast.models.reward.reward_model import RewardModel, RewardSettings

__all__ = ["RewardModel", "RewardSettings"]
