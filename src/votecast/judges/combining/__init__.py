"""From the forecasts of several judges to one: pools with weights, and models stacked on top."""

from votecast.judges.combining.base import LEAST, ROWS_FOR_A_NUMBER, Combiner, strengths
from votecast.judges.combining.table import COMBINERS, Method, Stacker, combiner

__all__ = ["COMBINERS", "LEAST", "ROWS_FOR_A_NUMBER", "Combiner", "Method", "Stacker", "combiner", "strengths"]
