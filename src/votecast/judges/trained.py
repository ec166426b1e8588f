"""The judge that votecast trains: members of one family, calibrated on rows they had not seen.

Everything that predicts, measures or serves holds one of these; `train` and `load_judge` make them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from votecast.data.frames import as_battles
from votecast.data.groups import group_values
from votecast.errors import ConfigError, DataError, JudgeError, UnscoredRowsError
from votecast.judges.cross_validation import fit_over_folds, fit_with_valid
from votecast.judges.judge_folder import read_judge, write_judge
from votecast.judges.out_of_fold import MOST_ROWS, Fitted, check_distributions
from votecast.judges.recipe import Recipe, load_recipe
from votecast.models.base import Model
from votecast.splits import Folds, PromptHashes
from votecast.types import Probabilities, Progress, Run, no_progress

if TYPE_CHECKING:
    from votecast.text.truncation import TruncationReport

BATCH_ROWS = 1024
"""Rows that are predicted at once: memory stays flat whatever the number of rows."""


class TrainedJudge:
    """A judge of any family: fitted members, their calibration, figures and notes.

    Args:
        recipe: Name of a shipped recipe or family, YAML path, settings, or a checked `Recipe`.
        overrides: Settings by dotted key.
        small: Take the small form of the recipe, which trains in a minute or two on any machine.

    Example:
        >>> from votecast.data.simulation import simulate
        >>> battles, truth = next(simulate(rows=300, seed=0, batch=300))
        >>> judge = TrainedJudge("baseline", {"folds.n": 2}).fit(battles)
        >>> judge.predict_proba(battles).shape
        (300, 3)
    """

    def __init__(
        self,
        recipe: str | Path | Mapping[str, object] | Recipe = "baseline",
        overrides: Mapping[str, object] | None = None,
        *,
        small: bool = False,
    ) -> None:
        self.recipe = load_recipe(recipe, overrides, small=small)
        self.name = self.recipe.name
        self.figures: dict[str, Any] = {}
        self.notes: dict[str, Any] = {}
        self._fitted: Fitted | None = None
        self._hash = ""

    @classmethod
    def of(cls, recipe: Recipe, fitted: Fitted) -> Self:
        """Make a judge of a recipe and its fitted parts."""
        judge = cls(recipe)
        judge._fitted = fitted
        return judge

    def __repr__(self) -> str:
        state = "not fitted" if self._fitted is None else self._hash[:12] or "not saved"
        return f"{type(self).__name__}({self.name!r}, {state})"

    @property
    def fitted(self) -> Fitted:
        """Members, calibrator and out-of-fold rows of the judge.

        Raises:
            JudgeError: Before the first `fit`.
        """
        if self._fitted is None:
            raise JudgeError(f"judge {self.name!r} has not been fitted; call fit(battles) or load one with load_judge")
        return self._fitted

    @property
    def hash(self) -> str:
        """SHA-256 of the judge folder's settings and files; empty before the first `fit`.

        A judge that was neither saved nor loaded is written to a temporary folder for it, once.
        """
        if not self._hash and self._fitted is not None:
            with tempfile.TemporaryDirectory() as folder:
                self.save_pretrained(Path(folder) / "judge")
        return self._hash

    @property
    def prompt_hashes(self) -> PromptHashes | None:
        """Salted hashes of the prompts the judge was trained on; None if it was trained elsewhere."""
        return self.fitted.prompt_hashes

    @property
    def order_matters(self) -> bool:
        """Whether swapping the responses may change more than the columns a and b."""
        return any(member.order_matters for member in self.fitted.members)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of columns that the battles must bring beside their texts, such as scores; most judges need none."""
        return self.fitted.members[0].numbers

    def fit(
        self,
        battles: object,
        valid: object | None = None,
        *,
        folds: Folds | None = None,
        progress: Progress = no_progress,
        run: Run | None = None,
    ) -> Self:
        """Fit the judge on battles with votes.

        Args:
            battles: Battles, a frame or a list of dicts; every row needs a vote or a soft label.
            valid: Held-out votes; if given, they take the place of folds.
            folds: Folds to use in place of those the recipe would make.
            progress: Progress callback.
            run: A folder that keeps every finished fold, from which a killed fit resumes; the caller removes it. It
                brings its own `progress`.

        Returns:
            The judge itself.

        Raises:
            DataError: If a row has no vote, or there are too few rows for the folds, or more than 5 million.
            ConfigError: If the folder holds work of another recipe or other battles.
            LeakError: If `valid` shares a prompt with `battles`.
        """
        battles = as_battles(battles)
        if len(battles) == 0:
            raise DataError("there are no battles to fit on; give at least a few hundred votes")
        if len(battles) > MOST_ROWS:
            raise DataError(f"there are {len(battles):,} votes; a judge learns from at most {MOST_ROWS:,}: set --rows")
        run = run or Run(progress=progress, name=(self.name,))
        if valid is None:
            self._fitted = fit_over_folds(self.recipe, battles, folds, run)
        else:
            self._fitted = fit_with_valid(self.recipe, battles, as_battles(valid), run)
        self._hash, self.figures = "", {}
        return self

    def predict_proba(self, battles: object) -> Probabilities:
        """Predict how people vote.

        Args:
            battles: Battles, a pandas, polars or Arrow frame, or a list of battles or dicts; n rows.

        Returns:
            Calibrated probabilities of shape (n, 3), columns a, b, tie.
        """
        return self.predict_with_truncation(battles)[0]

    def predict_with_truncation(self, battles: object) -> tuple[Probabilities, TruncationReport | None]:
        """Predict, and report how much of the texts was truncated: `predict_proba` and `truncation` in one pass."""
        battles = as_battles(battles)
        members, calibrator, found = self.fitted.members, self.fitted.calibrator, []
        for start in range(0, max(len(battles), 1), BATCH_ROWS):
            batch = battles if len(battles) <= BATCH_ROWS else battles[start : start + BATCH_ROWS]
            try:
                prepared = members[0].prepare(batch)
                raw = np.asarray(sum(member.predict(prepared) for member in members)) / len(members)  # (n, 3)
            except UnscoredRowsError as error:
                raise error.within(start, len(battles)) from error
            # a calibrator would turn anything into a distribution: a fault of a member must show before
            check_distributions(raw, self.name)
            groups = {by: group_values(batch, by) for by in calibrator.by}
            found.append((calibrator.transform(raw, groups), members[0].truncation(prepared)))
        return np.concatenate([p for p, _ in found]), _join_truncations(cut for _, cut in found)

    def truncation(self, battles: object) -> TruncationReport | None:
        """Count how much of the texts this judge truncates, without predicting.

        Args:
            battles: Battles, a frame or a list of battles or dicts; n rows.

        Returns:
            Tokens of prompt, A and B before and after truncation, n rows; None for a family that reads texts whole.
        """
        battles, member = as_battles(battles), self.fitted.members[0]
        batches = (battles[start : start + BATCH_ROWS] for start in range(0, max(len(battles), 1), BATCH_ROWS))
        return _join_truncations(member.truncation(member.prepare(batch)) for batch in batches)

    def leaves(self) -> Iterator[Model]:
        """Yield the models inside the judge, at any depth, that hold no others."""
        for member in self.fitted.members:
            yield from member.leaves()

    def with_shown_order(self) -> TrainedJudge:
        """Return a judge that predicts from the shown order alone; this judge if it does not average both."""
        if not self.order_matters:
            return self
        members = [member.with_shown_order() for member in self.fitted.members]
        return TrainedJudge.of(self.recipe, replace(self.fitted, members=members))

    def run_with(self, **inference: object) -> Self:
        """Change the settings of inference, such as `precision="bf16"`; nothing is fitted again.

        Raises:
            ConfigError: If a setting is unknown or not allowed, or this judge has none.
        """
        if not all(member.set_inference(**inference) for member in self.fitted.members):
            raise ConfigError(
                f"judge {self.name!r} is of the family {self.recipe.family}, which has no settings of inference; "
                f"drop {', '.join(inference)}"
            )
        return self

    def record(self, *, figures: dict[str, Any] | None = None, **notes: object) -> None:
        """Keep out-of-fold figures and notes (data sources, reading, cleaning) with the judge and in its card."""
        self.figures = figures or self.figures
        self.notes |= notes
        self._hash = ""

    def save_pretrained(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write the judge folder atomically.

        Raises:
            ArtifactError: If the folder exists and may not be replaced, or the disk refuses.
        """
        self._hash = write_judge(
            Path(folder), self.recipe, self.fitted, figures=self.figures, notes=self.notes, overwrite=overwrite
        ).hash

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """Read a judge folder; predictions are bit-equal to those of the judge that was saved.

        Raises:
            ArtifactError: If the folder is missing, damaged, foreign, or written by a newer votecast.
        """
        found, recipe, fitted = read_judge(folder)
        judge = cls.of(recipe, fitted)
        judge._hash = found.hash
        judge.figures, judge.notes = found.config["figures"], found.config["notes"]
        return judge


def _join_truncations(cuts: Iterable[TruncationReport | None]) -> TruncationReport | None:
    known = [cut for cut in cuts if cut is not None]
    return type(known[0]).concat(known) if known else None
