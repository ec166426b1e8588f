"""Numbers from votes and forecasts: scores, calibration error, clustered intervals, null baselines; numpy only."""

from votecast.metrics.baselines import class_prior, group_folds, longer_wins, uniform
from votecast.metrics.bootstrap import paired_gain
from votecast.metrics.reliability import calibration_error, perfect_calibration_error
from votecast.metrics.result import Evaluation, Figure, Slice
from votecast.metrics.rows import without_ties
from votecast.metrics.scores import accuracy, agreement, auc, brier_score, flip_rate, log_loss, macro_f1, recall
from votecast.metrics.summary import evaluate_probabilities
from votecast.metrics.table import METRICS

__all__ = [
    "METRICS",
    "Evaluation",
    "Figure",
    "Slice",
    "accuracy",
    "agreement",
    "auc",
    "brier_score",
    "calibration_error",
    "class_prior",
    "evaluate_probabilities",
    "flip_rate",
    "group_folds",
    "log_loss",
    "longer_wins",
    "macro_f1",
    "paired_gain",
    "perfect_calibration_error",
    "recall",
    "uniform",
    "without_ties",
]
