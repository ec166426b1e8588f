"""Predict the held-out rows of a fold in shards, which survive a kill and which the processes of a launch share.

`cross_validation` calls it once for every fold.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from votecast.artifacts import is_whole, write_part
from votecast.config import current_launch
from votecast.text.batching import token_batches
from votecast.types import Ints, Probabilities, Run

Both = tuple[Probabilities, Probabilities]
"""Uncalibrated predictions of the same rows in the given and the swapped order, shape (n, 3) each."""

DONE, SHARDS, PREDICTIONS = "done", "held_out", "predictions.safetensors"
"""Folders of a finished fold and of the shards, beside the checkpoints of the fold, and the file in either."""

SHARD_TOKENS = 32_768
"""Tokens of one shard, padding included: minutes of a large model on a small GPU, and enough for whole batches."""

_POLL_SECONDS = 0.1


def predict_in_shards(predict: Callable[[Ints, int], Both], lengths: Ints | None, rows: int, run: Run) -> Both:
    """Predict rows shard by shard; a shard of an earlier run is not predicted again.

    The shards depend on the lengths alone and hold rows of similar length. The processes of a launch take turns, the
    longest first, so that all have as much to do and every row has the bytes that one process alone gives it.

    Args:
        predict: Predicts the rows at some positions in both orders; its second argument is the number of shards.
        lengths: Tokens of each row, shape (rows,); None predicts all rows at once.
        rows: Number of rows.
        run: Its folder keeps the shards; without one, nothing is kept or shared.

    Returns:
        The predictions of all rows; a process beside the main one waits until that one has written them to `DONE`.

    Example:
        >>> even = lambda some, shards: (np.full((len(some), 3), 1 / 3),) * 2
        >>> predict_in_shards(even, np.array([70, 9]), 2, Run())[0].shape
        (2, 3)
    """
    launch, folder = current_launch(), run.folder and run.folder / SHARDS
    # rows of a shard keep their order, so that ties of length fall as without shards
    parts = [np.arange(rows)] if lengths is None else list(map(np.sort, token_batches(lengths, budget=SHARD_TOKENS)))
    shards = dict(enumerate(parts))
    found: dict[int, Both] = {}
    for number in list(shards)[launch.rank :: launch.processes] if folder else shards:
        path = folder / str(number) if folder else None
        if path is not None and is_whole(path):
            found[number] = read_predictions(path)
        else:
            done = [n for n in shards if n in found or (folder and (folder / str(n)).is_dir())]
            run.progress("predicting held-out rows", sum(len(shards[n]) for n in done), rows)
            found[number] = predict(shards[number], len(shards))
            if path is not None and len(shards) > 1:  # one shard alone is kept by the fold itself
                write_part(path, partial(write_predictions, found=found[number]))
    if folder is not None and not launch.is_main:
        return read_predictions(folder.parent / DONE, wait=True)
    for number in shards:
        if folder is not None and number not in found:
            found[number] = read_predictions(folder / str(number), wait=True)
    run.progress("predicting held-out rows", rows, rows)
    order = np.argsort(np.concatenate(parts), kind="stable")
    raw, swapped = (np.concatenate([found[number][which] for number in shards])[order] for which in (0, 1))
    return raw, swapped


def write_predictions(folder: Path, found: Both) -> None:
    """Write predictions into a folder."""
    arrays = dict(zip(("raw", "swapped"), map(np.ascontiguousarray, found), strict=True))
    save_file(arrays, folder / PREDICTIONS)


def read_predictions(folder: Path, *, wait: bool = False) -> Both:
    """Read what `write_predictions` wrote; with `wait`, once another process of the launch has written the part."""
    while wait and not is_whole(folder):  # for ever: a launcher ends all processes when one of them fails
        time.sleep(_POLL_SECONDS)
    arrays = load_file(folder / PREDICTIONS)
    return arrays["raw"], arrays["swapped"]
