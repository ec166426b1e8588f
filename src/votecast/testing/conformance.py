"""The conformance suite every judge passes: one public function, one small check for each promise."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from votecast.artifacts import CONFIG_NAME, SAFE_SUFFIXES
from votecast.data.battles import SCHEMA, Battles
from votecast.errors import ArtifactError, VotecastError
from votecast.types import Judge, Probabilities, swap_columns

ODD_ROWS: list[dict[str, Any]] = [
    {"prompt": "", "response_a": "", "response_b": ""},
    {"prompt": "Same?", "response_a": "Yes.", "response_b": "Yes."},
    {"prompt": ["Hi", None], "response_a": ["Hello", None], "response_b": ["\U0001f600\x00", "\ufffd"]},
    {"prompt": [], "response_a": [], "response_b": ["x" * 20_000]},
    {"prompt": "列出三种颜色", "response_a": "红、绿、蓝", "response_b": "- rot\n- grün\n- blau"},
]


def check_judge(make: Callable[[], Judge], battles: Battles, *, order_tolerance: float = 0.0) -> None:
    """Check that a judge keeps every promise of the `Judge` protocol.

    Args:
        make: Makes a fresh, unfitted judge.
        battles: At least 100 battles with votes of all three kinds; a few hundred keep it fast.
        order_tolerance: How far a probability may move when the answers are exchanged; 0 for judges that are
            equivariant by construction.

    Raises:
        AssertionError: Naming the promise that is broken.

    Example:
        >>> from votecast.data.simulation import simulate
        >>> from votecast.judges.trained import TrainedJudge
        >>> battles, truth = next(simulate(rows=300, seed=0, batch=300))
        >>> check_judge(lambda: TrainedJudge("baseline", {"folds.n": 2}), battles)
    """
    unfitted_judge_refuses(make, battles)
    judge = make()
    assert judge.hash == "", "an unfitted judge has an empty hash"
    assert judge.fit(battles) is judge, "fit returns the judge itself"
    p = judge.predict_proba(battles)
    forecasts_are_distributions(judge, battles, p)
    rows_do_not_see_each_other(judge, battles, p)
    order_plays_no_part(judge, battles, p, order_tolerance)
    odd_rows_are_forecast(judge, order_tolerance)
    inputs_of_every_kind_agree(judge, battles, p)
    same_seed_same_judge(make, battles, judge)
    with tempfile.TemporaryDirectory() as folder:
        saved_judge_is_the_same(judge, battles, p, Path(folder) / "judge")
        damage_is_noticed(judge, Path(folder) / "judge")


def unfitted_judge_refuses(make: Callable[[], Judge], battles: Battles) -> None:
    """A judge that has learnt nothing does not guess."""
    try:
        make().predict_proba(battles[:2])
    except VotecastError:
        return
    raise AssertionError("an unfitted judge must refuse to predict with a VotecastError")


def forecasts_are_distributions(judge: Judge, battles: Battles, p: Probabilities) -> None:
    """Three columns, nothing negative, rows that sum to 1; no rows in, no rows out."""
    assert p.dtype == np.float64, f"probabilities are {p.dtype}, not float64"
    assert p.shape == (len(battles), 3), f"probabilities are {p.dtype} of shape {p.shape}"
    assert np.isfinite(p).all(), "probabilities must be finite"
    assert (p >= 0).all(), "probabilities must be at least 0"
    assert np.abs(p.sum(axis=1) - 1).max() <= 1e-9, "rows must sum to 1 within 1e-9"
    assert judge.predict_proba(battles[:0]).shape == (0, 3), "no battles must give an array of shape (0, 3)"


def rows_do_not_see_each_other(judge: Judge, battles: Battles, p: Probabilities) -> None:
    """A forecast does not depend on the rows beside it."""
    few = np.arange(min(7, len(battles)))[::-1]
    apart = np.concatenate([judge.predict_proba(battles.take([row])) for row in few])
    assert np.allclose(apart, p[few], rtol=0, atol=1e-6), "a forecast changed with the rows beside it"


def order_plays_no_part(judge: Judge, battles: Battles, p: Probabilities, tolerance: float) -> None:
    """Exchanging the answers exchanges the columns a and b."""
    gap = np.abs(swap_columns(judge.predict_proba(battles.swapped())) - p).max()
    assert gap <= tolerance, f"exchanging the answers moved a probability by {gap}; allowed is {tolerance}"


def odd_rows_are_forecast(judge: Judge, tolerance: float) -> None:
    """Empty, missing, long, foreign and identical texts are forecast like any other."""
    odd = Battles.from_rows(ODD_ROWS)
    p = judge.predict_proba(odd)
    forecasts_are_distributions(judge, odd, p)
    order_plays_no_part(judge, odd, p, tolerance)
    assert abs(p[1, 0] - p[1, 1]) <= tolerance, "of two identical answers neither can be likelier to win"


def inputs_of_every_kind_agree(judge: Judge, battles: Battles, p: Probabilities) -> None:
    """Battles, an Arrow table, a list of battles and a list of dicts give the same forecasts."""
    few = battles[:5]
    rows = [{k: v for k, v in row.items() if v is not None} for row in few.table.select(SCHEMA.names).to_pylist()]
    for given in (few, few.table, list(few), rows):
        found = judge.predict_proba(given)
        assert np.allclose(found, p[:5], rtol=0, atol=1e-6), f"{type(given).__name__} gave other forecasts than Battles"


def same_seed_same_judge(make: Callable[[], Judge], battles: Battles, judge: Judge) -> None:
    """The same recipe on the same rows gives the same judge."""
    assert make().fit(battles).hash == judge.hash, "fitting twice gave two different hashes"


def saved_judge_is_the_same(judge: Judge, battles: Battles, p: Probabilities, folder: Path) -> None:
    """Saving and loading changes nothing, holds no code, and replaces nothing."""
    judge.save_pretrained(folder)
    again = type(judge).from_pretrained(folder)
    assert (again.hash, again.name) == (judge.hash, judge.name), "name or hash changed on the way through a folder"
    assert np.array_equal(again.predict_proba(battles), p), "a loaded judge must give bit-equal forecasts"
    unsafe = [path.name for path in folder.rglob("*") if path.is_file() and path.suffix not in SAFE_SUFFIXES]
    assert not unsafe, f"the folder holds files that could run code: {unsafe}"
    try:
        judge.save_pretrained(folder)
    except ArtifactError:
        return
    raise AssertionError("saving over an existing folder must be refused with an ArtifactError")


def damage_is_noticed(judge: Judge, folder: Path) -> None:
    """A folder with one changed byte in any file is refused."""
    for name in (CONFIG_NAME, *json.loads((folder / CONFIG_NAME).read_text("utf-8"))["files"]):
        file = folder / name
        whole = file.read_bytes()
        file.write_bytes(whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:] if len(whole) > 1 else b"x")
        try:
            type(judge).from_pretrained(folder)
        except ArtifactError:
            file.write_bytes(whole)
            continue
        raise AssertionError(f"{name} was damaged and nobody noticed")
