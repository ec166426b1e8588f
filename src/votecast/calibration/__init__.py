"""Calibrators, which turn a judge's probabilities into calibrated ones; all are blind to the order of the responses.

Called by training, recalibration, evaluation and prediction.
"""

from votecast.calibration.base import CALIBRATORS, Calibrator, Groups, make_calibrator, read_calibrator
from votecast.calibration.composition import Chain, Grouped
from votecast.calibration.crossfit import crossfit_calibrate

__all__ = [
    "CALIBRATORS",
    "Calibrator",
    "Chain",
    "Grouped",
    "Groups",
    "crossfit_calibrate",
    "make_calibrator",
    "read_calibrator",
]
