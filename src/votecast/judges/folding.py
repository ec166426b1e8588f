"""One fold at a time: fit a fresh member, forecast the rows it has not seen, keep both if there is a place for them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from votecast.config import current_launch
from votecast.data.battles import Battles
from votecast.judges.fitted import OutOfFold, checked_probabilities
from votecast.judges.parts import is_whole, make_place, write_part
from votecast.judges.recipe import Recipe
from votecast.models.base import Model
from votecast.models.registry import family
from votecast.types import Probabilities, Run, swap_columns

DONE, MEMBER, FORECASTS = "done", "member", "forecasts.safetensors"
SAME = 1e-6
"""Forecasts of exchanged answers that differ by less are the same ones."""

_LOOKED_AT = 256

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Done:
    """One fitted member and its forecasts.

    Args:
        raw: Uncalibrated probabilities of the held-out rows, shape (n, 3).
        swapped: The same for the battles with their answers exchanged.
        member: The model, where it is to be kept.
        stored: The folder in which the model lies, if it lies in one.
    """

    raw: Probabilities
    swapped: Probabilities
    member: Model | None
    stored: Path | None = None


class Work:
    """One training run: the battles prepared once, cut into folds many times.

    Args:
        recipe: The settings.
        battles: Rows with votes, n of them.
        targets: Soft labels, shape (n, 3).
        weights: Shape (n,).
        clusters: Cluster of near-duplicate prompts of each row, shape (n,).
        run: Where finished folds are kept and who is told.
    """

    def __init__(
        self,
        recipe: Recipe,
        battles: Battles,
        targets: Probabilities,
        weights: NDArray[np.float64],
        clusters: Rows,
        run: Run,
    ) -> None:
        self.recipe, self.battles, self.run = recipe, battles, run
        self.targets, self.weights, self.clusters = targets, weights, clusters
        run.progress("preparing", 0, 1)
        self.maker = self.fresh()
        self.prepared = self.maker.prepare(battles)
        self._exchanged: Any = None

    def fresh(self) -> Model:
        """A member that has learnt nothing yet."""
        return family(self.recipe.family)(self.recipe.model, seed=self.recipe.seed)

    def part(self, name: str, train: Rows, held_out: Rows, *, keep: bool) -> Done:
        """Fit a member on some rows and forecast others, unless an earlier run has done so.

        Args:
            name: The part's folder within the run.
            train: Rows to fit on.
            held_out: Rows to forecast.
            keep: Whether the member itself is needed later.

        Raises:
            JudgeError: If the member forecasts something that is not a probability.
            ArtifactError: If the disk refuses; the parts finished before are kept.
        """
        place = self.run.within(name)
        if place.folder is None:
            return self._made(place, train, held_out, keep=keep)
        done = place.folder / DONE
        if is_whole(done):
            found = self._found(done, keep=keep)
        else:
            make_place(place.folder)
            found = self._made(place, train, held_out, keep=keep, store=done)
        if current_launch().is_main:
            _clear(place.folder)
        return found

    def out_of_fold(self, parts: list[tuple[int, Rows, Done]]) -> OutOfFold:
        """The rows that were forecast, in their order, with everything that calibration and figures need.

        Args:
            parts: Number of the fold, held-out rows, and their forecasts.
        """
        rows = np.concatenate([rows for _, rows, _ in parts])
        order = np.argsort(rows, kind="stable")
        fold = np.concatenate([np.full(len(rows), number) for number, rows, _ in parts])[order]
        raw = np.concatenate([done.raw for _, _, done in parts])[order]
        swapped = np.concatenate([done.swapped for _, _, done in parts])[order]
        rows = rows[order]
        held = self.battles.take(rows)
        return OutOfFold(
            rows=rows,
            ids=held.ids,
            content=held.content_hashes(),
            fold=fold,
            raw=raw,
            targets=self.targets[rows],
            weights=self.weights[rows],
            clusters=self.clusters[rows],
            swapped=None if _gap(raw, swapped) <= SAME else swapped,
            turned=held.swapped().content_hashes(),
        )

    def cut_facts(self) -> dict[str, Any]:
        """What was cut from the texts, for the record; nothing for a family that reads them whole."""
        cut = self.maker.truncation(self.prepared)
        return {} if cut is None else {"cut": cut.to_dict()}

    def _made(self, place: Run, train: Rows, held_out: Rows, *, keep: bool, store: Path | None = None) -> Done:
        member = self.fresh().fit(
            self.prepared.take(train), self.targets[train], self.weights[train], self.clusters[train], place
        )
        raw = swapped = np.empty((0, 3))
        if len(held_out):
            raw = self._forecast(member, self.prepared.take(held_out))
            swapped = self._forecast_exchanged(member, held_out, raw)
        member.release()
        if store is not None and current_launch().is_main:
            write_part(store, _writer(member, raw, swapped))
        else:
            store = None
        return Done(raw, swapped, member if keep else None, store and store / MEMBER)

    def _found(self, done: Path, *, keep: bool) -> Done:
        arrays, member = load_file(done / FORECASTS), None
        if keep:
            member = family(self.recipe.family).load(done / MEMBER, self.recipe.model, seed=self.recipe.seed)
            member.release()
        return Done(arrays["raw"], arrays["swapped"], member, done / MEMBER)

    def _forecast(self, member: Model, prepared: Any) -> Probabilities:
        return checked_probabilities(member.predict(prepared), self.recipe.name)

    def _forecast_exchanged(self, member: Model, rows: Rows, raw: Probabilities) -> Probabilities:
        """Forecasts of the exchanged battles; a family that does not see the order is believed once some rows agree."""
        if not member.order_matters:
            few = rows[:_LOOKED_AT]
            found = self._forecast(member, self.maker.prepare(self.battles.take(few).swapped()))
            if _gap(raw[: len(few)], found) <= SAME:
                return swap_columns(raw)
        if self._exchanged is None:
            self._exchanged = self.maker.prepare(self.battles.swapped())
        return self._forecast(member, self._exchanged.take(rows))


def _gap(raw: Probabilities, swapped: Probabilities) -> float:
    return float(np.abs(swap_columns(swapped) - raw).max(initial=0))


def _writer(member: Model, raw: Probabilities, swapped: Probabilities) -> Callable[[Path], None]:
    def _write(folder: Path) -> None:
        (folder / MEMBER).mkdir()
        member.save(folder / MEMBER)
        arrays = {"raw": raw, "swapped": swapped}
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / FORECASTS)

    return _write


def _clear(folder: Path) -> None:
    """Remove what a finished fold no longer needs: its checkpoints, and what a killed write left."""
    for path in folder.iterdir():
        if path.name != DONE:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
