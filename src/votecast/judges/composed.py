"""What judges made of other judges share: whole judges inside one, asked together and kept in one folder."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from votecast.config import Settings
from votecast.data.battles import Battles
from votecast.errors import ArtifactError, ConfigError
from votecast.judges.trained import TrainedJudge
from votecast.models.base import Model
from votecast.text.report import Cut
from votecast.types import Probabilities, Run


class ComposedSettings(Settings):
    """Settings of a judge made of judges.

    Args:
        judges: How many judges it holds.
    """

    judges: int = Field(default=1, ge=1, le=50)


class ComposedModel(Model[Battles]):
    """Judges inside a judge; a family says in `predict` what becomes of their forecasts.

    Args:
        settings: How many judges, and what the family adds.
        seed: Not used: nothing here is random.
        judges: The judges, fitted; none until `load`.
    """

    settings_type: ClassVar[type[Settings]] = ComposedSettings

    def __init__(self, settings: Settings | None = None, *, seed: int = 0, judges: Sequence[TrainedJudge] = ()) -> None:
        super().__init__(settings, seed=seed)
        self._asked: tuple[Battles, Cut | None] | None = None
        self._hold(judges)

    @property
    def order_matters(self) -> bool:
        """Whether any judge sees the answers in one order only."""
        return any(judge.fitted.members[0].order_matters for judge in self.judges)

    @property
    def base(self) -> dict[str, Any] | None:
        """The weights that the first judge which stands on some does not hold."""
        found = (judge.fitted.members[0].base for judge in self.judges)
        return next((base for base in found if base is not None), None)

    def submodels(self) -> list[Model]:
        """Return the members of all judges."""
        return [member for judge in self.judges for member in judge.fitted.members]

    def prepare(self, battles: Battles) -> Battles:
        """The battles themselves: every judge prepares them in its own way."""
        return battles

    def with_shown_order(self) -> Self:
        """Return this model with judges that predict from the shown order alone."""
        made = copy.copy(self)
        made.judges = [as_shown(judge) for judge in self.judges]
        return made

    def truncation(self, prepared: Battles) -> Cut | None:
        """What the cuts of the first judge that cuts leave of every battle."""
        if self._asked is not None and self._asked[0] is prepared:
            return self._asked[1]
        found = (judge.truncation(prepared) for judge in self.judges)
        return next((cut for cut in found if cut is not None), None)

    def fit(
        self,
        prepared: Battles,  # noqa: ARG002
        targets: Probabilities,  # noqa: ARG002
        weights: NDArray[np.float64],  # noqa: ARG002
        groups: NDArray[np.int64] | None = None,  # noqa: ARG002
        run: Run = Run(),  # noqa: ARG002
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
        found = [judge.predict_with_truncation(battles) for judge in self.judges]
        self._asked = battles, next((cut for _, cut in found if cut is not None), None)
        return np.stack([p for p, _ in found])

    def save(self, folder: Path) -> None:
        """Write every judge into a folder of its own."""
        for number, judge in enumerate(self.judges):
            judge.save_pretrained(folder / str(number))

    def _restore(self, folder: Path) -> None:
        count = self.settings.judges
        if not (folder / str(count - 1)).is_dir():
            raise ArtifactError(f"{folder} does not hold {count} judges; copy or make the judge again")
        self._hold([TrainedJudge.from_pretrained(folder / str(number)) for number in range(count)])

    def _hold(self, judges: Sequence[TrainedJudge]) -> None:
        self.judges = list(judges)
        self.numbers = tuple(dict.fromkeys(name for judge in judges for name in judge.numbers))


def as_shown(judge: TrainedJudge) -> TrainedJudge:
    """Return the judge predicting from the shown order of the answers alone; itself if order does not matter to it."""
    if not any(member.order_matters for member in judge.fitted.members):
        return judge
    members = [member.with_shown_order() for member in judge.fitted.members]
    return TrainedJudge.of(judge.recipe, replace(judge.fitted, members=members))
