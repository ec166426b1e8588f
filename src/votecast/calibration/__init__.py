"""Making probabilities true: nine methods, groups, one after another; all blind to the order of the answers."""

from votecast.calibration.base import Calibrator, Groups
from votecast.calibration.chain import Chain
from votecast.calibration.crossfit import crossfit_calibrate
from votecast.calibration.grouped import Grouped
from votecast.calibration.table import CALIBRATORS, make_calibrator, read_calibrator

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
