"""The base of judges made of other judges: whole judges inside one, kept in one folder.

Ensembles and cascades derive from it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field

from votecast.config import Settings
from votecast.data.battles import Battles
from votecast.errors import ArtifactError, ConfigError
from votecast.judges.predict_batch import unknown_prompts
from votecast.judges.trained import TrainedJudge
from votecast.models.base import Model
from votecast.splits import PromptHashes, union_hashes
from votecast.text.truncation import TruncationReport
from votecast.types import Floats


class CompositeSettings(Settings):
    """Settings of a judge made of judges.

    Args:
        judges: Number of judges it holds.
    """

    judges: int = Field(default=1, ge=1, le=50)


class CompositeModel(Model[Battles]):
    """Judges inside a judge, fitted or loaded; a family implements in `predict` how their predictions are combined."""

    settings_type: ClassVar[type[Settings]] = CompositeSettings

    def __init__(self, settings: Settings | None = None, *, seed: int = 0, judges: Sequence[TrainedJudge] = ()) -> None:
        super().__init__(settings, seed=seed)
        self._hold(judges)
        self._truncation: tuple[Battles, TruncationReport | None] | None = None  # of the battles predicted last

    @property
    def order_matters(self) -> bool:
        """Whether any judge sees the responses in one order only."""
        return any(judge.order_matters for judge in self.judges)

    @property
    def base(self) -> dict[str, Any] | None:
        """The weights outside its folder of the first judge that has some."""
        found = (judge.fitted.members[0].base for judge in self.judges)
        return next((base for base in found if base is not None), None)

    def submodels(self) -> list[Model]:
        """Return the members of all judges."""
        return [member for judge in self.judges for member in judge.fitted.members]

    def with_shown_order(self) -> Self:
        """Return this model with judges that predict from the shown order alone."""
        made = copy.copy(self)
        made.judges = [judge.with_shown_order() for judge in self.judges]
        return made

    def prepare(self, battles: Battles) -> Battles:
        """Return the battles themselves: every judge prepares them in its own way."""
        return battles

    def truncation(self, prepared: Battles) -> TruncationReport | None:
        """Return the truncation of the first judge that truncates."""
        if self._truncation is not None and self._truncation[0] is prepared:
            return self._truncation[1]
        found = (judge.truncation(prepared) for judge in self.judges)
        return next((cut for cut in found if cut is not None), None)

    def predict_each(self, battles: Battles) -> Floats:
        """Return the calibrated predictions of every judge, shape (judges, n, 3)."""
        found = [judge.predict_with_truncation(battles) for judge in self.judges]
        self._truncation = battles, next((cut for _, cut in found if cut is not None), None)
        return np.stack([p for p, _ in found])

    def fit(self, *_: object, **__: object) -> Self:
        """Raise ConfigError: such a judge is made of fitted judges."""
        raise ConfigError(
            f"{type(self).__name__} is made of fitted judges and cannot be trained itself; train them with votecast "
            "train and join them with votecast ensemble or votecast cascade"
        )

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


def joint_notes(judges: Mapping[str, TrainedJudge]) -> dict[str, object]:
    """Return the notes of judges that hold for one made of them: data sources, and unknown training prompts."""
    origins = [entry for judge in judges.values() for entry in judge.notes.get("data_sources", [])]
    unique = [entry for place, entry in enumerate(origins) if entry not in origins[:place]]
    unknown = [label for label, judge in judges.items() if unknown_prompts(judge)]
    return {name: value for name, value in {"data_sources": unique, "unknown_prompts": unknown}.items() if value}


def joint_hashes(judges: Iterable[TrainedJudge], votes: Battles | None, seed: int) -> PromptHashes | None:
    """Return the hashes of the prompts of several judges, and of further votes; None where none is known."""
    hashes = union_hashes([judge.prompt_hashes for judge in judges])
    if votes is None:
        return hashes
    return PromptHashes.of(votes, seed=seed) if hashes is None else hashes.joined(votes)
