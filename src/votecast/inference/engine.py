"""Sequences through a network: sorted by length, in batches of a fixed number of tokens, back in the order given."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from votecast.inference.settings import InferenceSettings
from votecast.runs import Progress, silent
from votecast.text.batches import token_batches

if TYPE_CHECKING:
    from votecast.text.sequences import Sequences

Floats = NDArray[np.float32]


class Encoder(Protocol):
    """What the engine asks of a network: one vector for each sequence."""

    training: bool

    def train(self, mode: bool = True) -> object:
        """Switch dropout on or off."""

    def encode(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor | None) -> torch.Tensor:
        """Vectors of shape (m, d) for token ids, mask and segment ids of shape (m, L)."""


def encode_sequences(
    network: Encoder,
    sequences: Sequences,
    settings: InferenceSettings = InferenceSettings(),  # noqa: B008 - frozen
    *,
    pad_id: int,
    progress: Progress = silent,
) -> Floats:
    """Run every sequence through a network.

    Which sequences share a batch depends on their lengths alone, so that the same input gives the same bytes.

    Args:
        network: The network; it is put into evaluation mode for the time of the call.
        sequences: Token ids of n sequences.
        settings: How much at once, how exactly, and where.
        pad_id: Token id that fills shorter sequences up.
        progress: Told of every batch as "tokens", tokens done, tokens in all.

    Returns:
        Vectors of shape (n, d), in the order of the input; (0, 0) for no sequences.
    """
    batches = token_batches(sequences.lengths, budget=settings.max_tokens or 4096)
    out: Floats | None = None
    done, total = 0, int(sequences.lengths.sum())
    with evaluating(network, settings.threads):
        for rows in batches:
            padded = sequences.padded(rows, pad_id=pad_id)
            types = None if padded.types is None else torch.from_numpy(padded.types)
            found = network.encode(torch.from_numpy(padded.ids), torch.from_numpy(padded.mask), types).float().numpy()
            if out is None:
                out = np.empty((len(sequences), found.shape[1]), np.float32)
            out[rows] = found
            done += int(sequences.lengths[rows].sum())
            progress("tokens", done, total)
    return np.zeros((0, 0), np.float32) if out is None else out


@contextmanager
def evaluating(network: Encoder, threads: int) -> Iterator[None]:
    """No gradients, no dropout, and as many threads as there are cores; all as before afterwards."""
    training, before = network.training, torch.get_num_threads()
    wanted = threads or len(os.sched_getaffinity(0))
    network.train(False)
    torch.set_num_threads(wanted)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(before)
        network.train(training)
