"""The siamese encoder of Keras 3 and KerasHub; keras itself is imported when a network is built, never before."""

from votecast.judges.keras_siamese.model import KerasSiameseModel
from votecast.judges.keras_siamese.settings import KerasSiameseSettings

__all__ = ["KerasSiameseModel", "KerasSiameseSettings"]
