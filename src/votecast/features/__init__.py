"""What the baseline judge sees of a battle: numbers only, fast, the same on every machine."""

from votecast.features.grams import COLUMNS
from votecast.features.pairs import PairFeatures, extract

__all__ = ["COLUMNS", "PairFeatures", "extract"]
