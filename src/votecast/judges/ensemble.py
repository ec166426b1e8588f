"""A judge made of judges: each is asked, and a combiner joins what they say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from votecast.config import Settings
from votecast.data.battles import Battles
from votecast.errors import JudgeError
from votecast.judges.combining import Combiner, Method, Stacker, combiner
from votecast.judges.composed import ComposedModel, ComposedSettings
from votecast.judges.trained import TrainedJudge
from votecast.types import Probabilities


class EnsembleSettings(ComposedSettings):
    """Settings of an ensemble.

    Args:
        judges: How many judges it holds.
        method: How their forecasts are joined: mean, weights, stack or greedy.
        stacker: What is stacked on top under stack: logistic or lightgbm.
    """

    method: Method = "mean"
    stacker: Stacker = "logistic"


class EnsembleModel(ComposedModel):
    """Judges under a combiner.

    Args:
        settings: How many judges, and how they are joined.
        seed: Seed of whatever the combiner draws.
        judges: The judges, fitted.
        combiner: What joins their forecasts, fitted.
    """

    settings_type: ClassVar[type[Settings]] = EnsembleSettings
    packages: ClassVar[tuple[str, ...]] = ("lightgbm",)

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        seed: int = 0,
        judges: Sequence[TrainedJudge] = (),
        combiner: Combiner | None = None,
    ) -> None:
        super().__init__(settings, seed=seed, judges=judges)
        self.combiner = combiner

    def predict(self, prepared: Battles) -> Probabilities:
        """Probabilities of shape (n, 3).

        Raises:
            JudgeError: If there are no judges to ask yet.
        """
        if self.combiner is None:
            raise JudgeError("this ensemble holds no judges yet; make one with votecast ensemble")
        return self.combiner.predict(self.forecasts(prepared))

    def save(self, folder: Path) -> None:
        """Write every judge into a folder of its own, and what joins them beside."""
        super().save(folder)
        if self.combiner is not None:
            self.combiner.save(folder)

    def _restore(self, folder: Path) -> None:
        super()._restore(folder)
        self.combiner = combiner(self.settings.method, self.settings.stacker).load(folder)
