"""The suite that every judge passes: `check_judge`, and one small check for each promise.

Tests of judges call it, those of this package and of others.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from votecast.artifacts import CONFIG_NAME, SAFE_SUFFIXES
from votecast.data.battles import SCHEMA, Battles
from votecast.errors import ArtifactError, VotecastError
from votecast.types import Judge, Probabilities, swap_columns

ODD_ROWS: list[dict[str, object]] = [
    {"prompt": "", "response_a": "", "response_b": ""},
    {"prompt": "Same?", "response_a": "Yes.", "response_b": "Yes."},
    {"prompt": ["Hi", None], "response_a": ["Hello", None], "response_b": ["\U0001f600\x00", "\ufffd"]},
    {"prompt": [], "response_a": [], "response_b": ["x" * 20_000]},
    {"prompt": "列出三种颜色", "response_a": "红、绿、蓝", "response_b": "- rot\n- grün\n- blau"},
]


def check_judge(make: Callable[[], Judge], battles: Battles, *, order_tolerance: float = 0.0) -> None:
    """Check every promise of the `Judge` protocol.

    Args:
        make: Makes a fresh, unfitted judge.
        battles: At least 100 battles with votes of all three kinds; a few hundred keep it fast.
        order_tolerance: How far a probability may move when the responses are swapped; 0 for judges that are
            equivariant by construction.

    Raises:
        AssertionError: Naming the broken promise.

    Example:
        >>> from votecast.data.simulation import simulate
        >>> from votecast.judges.trained import TrainedJudge
        >>> battles, truth = next(simulate(rows=300, seed=0, batch=300))
        >>> check_judge(lambda: TrainedJudge("baseline", {"folds.n": 2}), battles)
    """
    check_unfitted(make, battles)
    judge = make()
    assert judge.hash == "", "an unfitted judge has an empty hash"
    assert judge.fit(battles) is judge, "fit returns the judge itself"
    p = judge.predict_proba(battles)
    check_sums(judge, battles, p)
    check_independent_rows(judge, battles, p)
    check_swapping(judge, battles, p, order_tolerance)
    check_odd_rows(judge, order_tolerance)
    check_inputs(judge, battles, p)
    check_determinism(make, battles, judge)
    with tempfile.TemporaryDirectory() as folder:
        check_saving(judge, battles, p, Path(folder) / "judge")
        check_damage(judge, Path(folder) / "judge")


@contextlib.contextmanager
def _refuses(kind: type[Exception], message: str) -> Iterator[None]:
    """Fail with the message unless the block raises an error of a kind."""
    try:
        yield
    except kind:
        return
    raise AssertionError(message)


def check_unfitted(make: Callable[[], Judge], battles: Battles) -> None:
    """Check that an unfitted judge refuses to predict."""
    with _refuses(VotecastError, "an unfitted judge must refuse to predict with a VotecastError"):
        make().predict_proba(battles[:2])


def check_sums(judge: Judge, battles: Battles, p: Probabilities) -> None:
    """Check the shape of predictions, and that rows are distributions."""
    assert p.dtype == np.float64, f"probabilities are {p.dtype}, not float64"
    assert p.shape == (len(battles), 3), f"probabilities are {p.dtype} of shape {p.shape}"
    assert np.isfinite(p).all(), "probabilities must be finite"
    assert (p >= 0).all(), "probabilities must be at least 0"
    assert np.abs(p.sum(axis=1) - 1).max() <= 1e-9, "rows must sum to 1 within 1e-9"
    assert judge.predict_proba(battles[:0]).shape == (0, 3), "no battles must give an array of shape (0, 3)"


def check_independent_rows(judge: Judge, battles: Battles, p: Probabilities) -> None:
    """Check that a prediction does not depend on the other rows."""
    few = np.arange(min(7, len(battles)))[::-1]
    apart = np.concatenate([judge.predict_proba(battles.take([row])) for row in few])
    assert np.allclose(apart, p[few], rtol=0, atol=1e-6), "a prediction changed with the other rows"


def check_swapping(judge: Judge, battles: Battles, p: Probabilities, tolerance: float) -> None:
    """Check that swapping the responses swaps columns a and b."""
    gap = np.abs(swap_columns(judge.predict_proba(battles.swapped())) - p).max()
    assert gap <= tolerance, f"swapping the responses moved a probability by {gap}; allowed is {tolerance}"


def check_odd_rows(judge: Judge, tolerance: float) -> None:
    """Check that empty, missing, long, foreign and identical texts are predicted like any other."""
    odd = Battles.from_rows(ODD_ROWS)
    p = judge.predict_proba(odd)
    check_sums(judge, odd, p)
    check_swapping(judge, odd, p, tolerance)
    assert abs(p[1, 0] - p[1, 1]) <= tolerance, "of two identical responses neither can be likelier to win"


def check_inputs(judge: Judge, battles: Battles, p: Probabilities) -> None:
    """Check that every form of battles gives the same predictions."""
    few = battles[:5]
    rows = [{k: v for k, v in row.items() if v is not None} for row in few.table.select(SCHEMA.names).to_pylist()]
    for given in (few, few.table, list(few), rows):
        found = judge.predict_proba(given)
        assert np.allclose(found, p[:5], rtol=0, atol=1e-6), f"predictions of {type(given).__name__} differ"


def check_determinism(make: Callable[[], Judge], battles: Battles, judge: Judge) -> None:
    """Check that the same recipe on the same rows gives the same judge."""
    assert make().fit(battles).hash == judge.hash, "fitting twice gave two different hashes"


def check_saving(judge: Judge, battles: Battles, p: Probabilities, folder: Path) -> None:
    """Check that saving and loading changes nothing, writes no code, and replaces nothing."""
    judge.save_pretrained(folder)
    again = type(judge).from_pretrained(folder)
    assert (again.hash, again.name) == (judge.hash, judge.name), "name or hash changed by saving and loading"
    assert np.array_equal(again.predict_proba(battles), p), "a loaded judge must give bit-equal predictions"
    unsafe = [path.name for path in folder.rglob("*") if path.is_file() and path.suffix not in SAFE_SUFFIXES]
    assert not unsafe, f"the folder holds files that could run code: {unsafe}"
    with _refuses(ArtifactError, "saving over an existing folder must be refused with an ArtifactError"):
        judge.save_pretrained(folder)


def check_damage(judge: Judge, folder: Path) -> None:
    """Check that a folder with one changed byte in any file is refused."""
    for name in (CONFIG_NAME, *json.loads((folder / CONFIG_NAME).read_text("utf-8"))["files"]):
        file = folder / name
        whole = file.read_bytes()
        file.write_bytes(whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:] if len(whole) > 1 else b"x")
        with _refuses(ArtifactError, f"{name} was damaged, and the judge was loaded"):
            type(judge).from_pretrained(folder)
        file.write_bytes(whole)
