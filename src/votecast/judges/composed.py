"""What judges made of other judges share: whole judges inside one, asked together and kept in one folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from votecast.config import Settings
from votecast.data.battles import Battles
from votecast.errors import ArtifactError, ConfigError
from votecast.judges.trained import TrainedJudge
from votecast.models.base import base_of, order_matters, release, run_with
from votecast.text.report import Cut
from votecast.types import Probabilities, Run


class ComposedSettings(Settings):
    """Settings of a judge made of judges.

    Args:
        judges: How many judges it holds.
    """

    judges: int = Field(default=1, ge=1, le=50)


class ComposedModel:
    """Judges inside a judge; a family says in `predict` what becomes of their forecasts.

    Args:
        settings: How many judges, and what the family adds.
        seed: Not used: nothing here is random.
        judges: The judges, fitted; none until `load`.
    """

    settings_type: ClassVar[type[Settings]] = ComposedSettings
    packages: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: Any, *, seed: int = 0, judges: Sequence[TrainedJudge] = ()) -> None:
        self.settings, self.seed, self.judges = settings, seed, list(judges)
        self._asked: tuple[Battles, Cut | None] | None = None

    @property
    def order_matters(self) -> bool:
        """Whether any judge sees the answers in one order only."""
        return any(order_matters(judge.fitted.members[0]) for judge in self.judges)

    @property
    def base(self) -> dict[str, Any] | None:
        """The weights that the first judge which stands on some does not hold."""
        found = (base_of(judge.fitted.members[0]) for judge in self.judges)
        return next((base for base in found if base is not None), None)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns of numbers that any of the judges reads beside the texts."""
        return tuple(dict.fromkeys(name for judge in self.judges for name in judge.numbers))

    def prepare(self, battles: Battles) -> Battles:
        """The battles themselves: every judge prepares them in its own way."""
        return battles

    def cuts(self, prepared: Battles) -> Cut | None:
        """What the cuts of the first judge that cuts leave of every battle."""
        if self._asked is not None and self._asked[0] is prepared:
            return self._asked[1]
        found = (judge.cuts(prepared) for judge in self.judges)
        return next((cut for cut in found if cut is not None), None)

    def fit(
        self,
        prepared: Battles,  # noqa: ARG002
        targets: Probabilities,  # noqa: ARG002
        weights: NDArray[np.float64],  # noqa: ARG002
        groups: NDArray[np.int64],  # noqa: ARG002
        run: Run = Run(),  # noqa: ARG002, B008 - frozen
    ) -> Self:
        """Refuse: what such a judge learns it learns from judges that are trained already.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(
            f"{type(self).__name__} is made of judges that are trained already and cannot be trained itself; "
            "train them with votecast train and join them with votecast ensemble or votecast cascade"
        )

    def predict(self, prepared: Battles) -> Probabilities:
        """Probabilities of shape (n, 3)."""
        raise NotImplementedError

    def forecasts(self, battles: Battles) -> NDArray[np.float64]:
        """What every judge forecasts, calibrated as it is by itself, shape (judges, n, 3)."""
        found = [judge.predict_with_cuts(battles) for judge in self.judges]
        self._asked = battles, next((cut for _, cut in found if cut is not None), None)
        return np.stack([p for p, _ in found])

    def run_with(self, **inference: Any) -> None:
        """Let every judge that has settings of `inference` forecast with others.

        Raises:
            ConfigError: If none has.
        """
        if not any([run_with(member, **inference) for member in _leaves(self)]):  # noqa: C419 - every member is told
            raise ConfigError(f"none of the judges inside has settings of inference; drop {', '.join(inference)}")

    def release(self) -> None:
        """Let every judge give its accelerator back."""
        for judge in self.judges:
            for member in judge.fitted.members:
                release(member)

    def save(self, folder: Path) -> None:
        """Write every judge into a folder of its own."""
        for number, judge in enumerate(self.judges):
            judge.save_pretrained(folder / str(number))

    @classmethod
    def load(cls, folder: Path, settings: Any, *, seed: int = 0) -> Self:
        """Read back what `save` wrote; predictions are bit-equal.

        Raises:
            ArtifactError: If a judge inside is absent or damaged.
        """
        if not (folder / str(settings.judges - 1)).is_dir():
            raise ArtifactError(f"{folder} does not hold {settings.judges} judges; copy or make the judge again")
        judges = [TrainedJudge.from_pretrained(folder / str(number)) for number in range(settings.judges)]
        return cls(settings, seed=seed, judges=judges)


def _leaves(model: Any) -> Iterator[Any]:
    """The models inside judges inside judges, down to those that hold no others."""
    inside = [member for judge in getattr(model, "judges", ()) for member in judge.fitted.members]
    inside += getattr(model, "members", [])
    if not inside:
        yield model
    for member in inside:
        yield from _leaves(member)
