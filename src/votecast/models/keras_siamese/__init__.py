"""The siamese encoder of Keras 3 and KerasHub; keras itself is imported when a network is built, never before."""

from votecast.models.keras_siamese.keras_model import KerasSiameseModel
from votecast.models.keras_siamese.settings import KerasSiameseSettings

__all__ = ["KerasSiameseModel", "KerasSiameseSettings"]
