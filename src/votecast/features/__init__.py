"""What the baseline judge sees of a battle: numbers only, fast, the same on every machine."""

from votecast.features.characters import BUCKETS
from votecast.features.grams import COLUMNS
from votecast.features.pairs import PairFeatures, extract

__all__ = ["BUCKETS", "COLUMNS", "PairFeatures", "extract"]
