"""Divide votes into folds, and check that tests share no prompt with the training."""

from votecast.splits.folds import TRAIN_ONLY, Folds, HeldOut, folds_from_table, make_folds
from votecast.splits.leaks import PromptHashes, SharedPrompts, union_hashes
from votecast.splits.settings import FoldMethod, FoldSettings

__all__ = [
    "TRAIN_ONLY",
    "FoldMethod",
    "FoldSettings",
    "Folds",
    "HeldOut",
    "PromptHashes",
    "SharedPrompts",
    "folds_from_table",
    "make_folds",
    "union_hashes",
]
