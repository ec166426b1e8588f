"""The scores family: a link over scores beside the battles; it reads no text but for its length."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from votecast.calibration.link_fit import fit_link
from votecast.calibration.score_link import Link, LinkSettings
from votecast.config import Settings
from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.outputs.score_files import SCORES, check_finite
from votecast.errors import DataError, JudgeError
from votecast.features.style import length_gap
from votecast.models.base import Model
from votecast.types import Floats, Ints, Probabilities, Run

LINK: Final = "link.json"
_LEAST_IN_A_FOLD: Final = 24


class ScoredSettings(Settings):
    """Settings of a judge of bare numbers.

    Args:
        link: From the gap between two scores to three probabilities.
    """

    link: LinkSettings = LinkSettings()


@dataclass(frozen=True)
class ScoredRows:
    """Scores and lengths of n battles.

    Args:
        gap: Score of a minus score of b, shape (n,).
        form: Log length of a minus log length of b, shape (n,); None where the link does not read it.
    """

    gap: Floats
    form: Floats | None = None

    def __len__(self) -> int:
        return len(self.gap)

    def take(self, indices: ArrayLike) -> ScoredRows:
        """Return the battles at these positions, in this order."""
        rows = np.asarray(indices, dtype=np.int64)
        return ScoredRows(self.gap[rows], None if self.form is None else self.form[rows])


class ScoredModel(Model[ScoredRows]):
    """A link over scores that stand beside the battles, in columns score_a and score_b.

    It predicts only battles that bring their scores: it does not know what made them, and cannot score a text.

    Args:
        settings: The link.
        seed: Not used; nothing here is random.

    Example:
        >>> from votecast.calibration.score_link import DEFAULT_LINK
        >>> model = ScoredModel()
        >>> model.link = DEFAULT_LINK
        >>> table = pa.table({"prompt": [["?"]], "response_a": [["x"]], "response_b": [["y"]]})
        >>> scored = Battles(table.append_column("score_a", [[1.0]]).append_column("score_b", [[1.0]]))
        >>> model.predict(model.prepare(scored)).round(3)
        array([[0.345, 0.345, 0.31 ]])
    """

    settings_type: ClassVar[type[Settings]] = ScoredSettings
    numbers = SCORES

    settings: ScoredSettings

    def prepare(self, battles: Battles) -> ScoredRows:
        """Compute the gap between the scores of every battle.

        Raises:
            DataError: If a battle has no score of each answer, or the link needs lengths and there is no text.
        """
        a, b = (_numbers(battles, name) for name in SCORES)
        check_finite(battles.ids, a, b)
        if not self.settings.link.length:
            return ScoredRows(a - b)
        turns = np.asarray(
            sum(battles.column(name).combine_chunks().value_lengths().to_numpy() for name in TEXT_COLUMNS)
        )
        if len(battles) and np.any(turns == 0):
            row = int(np.argmin(turns))
            raise DataError(
                f"row {row + 1} (id {battles.ids[row]!r}) has no texts, and this judge takes the lengths of both "
                f"answers into account; give {', '.join(TEXT_COLUMNS)} beside the scores"
            )
        return ScoredRows(a - b, length_gap(battles))

    def fit(
        self,
        prepared: ScoredRows,
        targets: Probabilities,
        weights: Floats,
        groups: Ints | None = None,
        run: Run = Run(),  # noqa: ARG002
    ) -> Self:
        """Fit the link.

        Raises:
            DataError: If there are too few votes or scores.
        """
        self.link = fit_link(
            prepared.gap,
            targets,
            weights,
            method=self.settings.link.method,
            form=prepared.form,
            groups=groups,
            least=_LEAST_IN_A_FOLD,
        )
        return self

    def predict(self, prepared: ScoredRows) -> Probabilities:
        """Return probabilities of shape (n, 3)."""
        return self._linked().predict(prepared.gap, prepared.form)

    def save(self, folder: Path) -> None:
        """Write the link."""
        (folder / LINK).write_text(json.dumps(self._linked().to_dict(), indent=2) + "\n", "utf-8")

    def _restore(self, folder: Path) -> None:
        self.link = Link.from_dict(json.loads((folder / LINK).read_text("utf-8")))

    def _linked(self) -> Link:
        if self.link is None:
            raise JudgeError("this judge of scores has no link yet; call fit, or load one with load_judge")
        return self.link


def _numbers(battles: Battles, name: str) -> Floats:
    if name not in battles.table.column_names:
        raise DataError(
            f"these battles have no column {name}: this judge was linked from bare numbers, cannot score a text and "
            f"predicts only rows with {' and '.join(SCORES)}; give these columns, or link scores that say what made "
            "them (votecast score writes such files)"
        )
    column = battles.column(name)
    try:
        return np.asarray(column.cast(pa.float64()).fill_null(np.nan).to_numpy(), dtype=np.float64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"column {name} holds {column.type}, and not every value is a number ({error})") from error
