"""Features that the baseline trains on: numbers only, the same on every machine."""

from votecast.features.characters import BUCKETS
from votecast.features.pair_features import PairFeatures, extract
from votecast.features.words import COLUMNS

__all__ = ["BUCKETS", "COLUMNS", "PairFeatures", "extract"]
