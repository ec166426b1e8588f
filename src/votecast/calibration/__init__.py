"""Making probabilities true: temperature, vector scaling, isotonic regression; blind to the order of the answers."""

from votecast.calibration.base import Calibrator
from votecast.calibration.crossfit import crossfit_calibrate
from votecast.calibration.table import CALIBRATORS, make_calibrator

__all__ = ["CALIBRATORS", "Calibrator", "crossfit_calibrate", "make_calibrator"]
