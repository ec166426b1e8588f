"""Metrics of predictions against votes: scores, calibration error, clustered intervals, null baselines; numpy only.

Called by evaluation, training, calibration and reports.
"""

from votecast.metrics.baselines import class_prior, group_folds, longer_wins, uniform
from votecast.metrics.evaluation import Evaluation, Slice, evaluate_probabilities
from votecast.metrics.figures import METRICS
from votecast.metrics.intervals import Figure, paired_gain, wilson_interval
from votecast.metrics.reliability import calibration_error, perfect_calibration_error
from votecast.metrics.scores import (
    accuracy,
    agreement,
    auc,
    brier_score,
    flip_rate,
    log_loss,
    macro_f1,
    recall,
    without_ties,
)

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
    "wilson_interval",
    "without_ties",
]
