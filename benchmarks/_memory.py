"""Count the bytes of live tensors, and measure the peak of a training by that count."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from transformers import AutoConfig, PretrainedConfig

from votecast.models.cross_encoder import CrossEncoderModel, CrossEncoderSettings
from votecast.models.decoder import DecoderModel, DecoderSettings
from votecast.models.neural.examples import PairExamples
from votecast.models.neural.neural_model import NeuralModel
from votecast.models.sizing.network_size import PUBLISHED, NetworkSize, ShapeSource, network_on_meta
from votecast.models.sizing.training_memory import number_formats, training_memory
from votecast.text.sequences import Sequences
from votecast.training.loop import train_network
from votecast.training.training_rows import Data
from votecast.types import Run


class LiveBytes(TorchDispatchMode):
    """Count the bytes of all storages that operators return, until they are freed.

    Unlike the resident memory of the process it holds nothing of the allocator, and is the same in every run. What an
    operator allocates and frees within itself is not seen.

    Attributes:
        now: Bytes that live.
        peak: The most that lived at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def add(self, tensor: torch.Tensor) -> None:
        """Count the storage of a tensor, once."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._freed, key, size)

    def _freed(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator and count what it returns."""
        found = func(*args, **(kwargs or {}))
        for each in tree_iter(found):
            if isinstance(each, torch.Tensor):
                self.add(each)
        return found


KINDS = ("llama", "gemma2", "deberta-v2")
SIZES = ("small", "wide", "deep", "long")
HELD_OUT = ("many heads", "broad")
"""Shapes that no term of the formulas was adjusted to."""
# hidden size, layers, heads, feed-forward, vocabulary, sequences of a pass, tokens of each
_SHAPES = {
    "small": (64, 2, 4, 256, 500, 4, 128),
    "wide": (192, 3, 6, 768, 500, 4, 96),
    "deep": (64, 8, 4, 192, 2000, 2, 128),
    "long": (96, 3, 4, 256, 500, 1, 512),
    "many heads": (128, 5, 8, 384, 1000, 3, 200),
    "broad": (256, 4, 4, 1024, 800, 2, 304),
}


@dataclass(frozen=True)
class Case:
    """One training to measure.

    Args:
        kind: The architecture.
        size: Which shape.
        weights: How the backbone is held.
        precision: Arithmetic of the pass.
        checkpointing: Whether activations are computed twice.
        passes: Passes of a step.
    """

    kind: str
    size: str = "small"
    weights: str = "fp32"
    precision: str = "fp32"
    checkpointing: bool = False
    passes: int = 1

    def __str__(self) -> str:
        """Name the case."""
        kept = ", checkpointing" if self.checkpointing else ""
        kept += "" if self.passes == 1 else f", {self.passes} passes"
        return f"{self.kind} {self.size}, weights {self.weights}, {self.precision}{kept}"

    def config(self) -> PretrainedConfig:
        """Return the configuration of the backbone."""
        hidden, layers, heads, inner, vocabulary, _, _ = _SHAPES[self.size]
        common = {"hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads}
        common |= {"intermediate_size": inner, "vocab_size": vocabulary, "pad_token_id": 0}
        if self.kind == "deberta-v2":
            published = PUBLISHED["microsoft/deberta-v3-large"]
            return AutoConfig.for_model(
                **dict(published) | common | {"position_buckets": 32, "pooler_hidden_size": hidden}
            )
        width = {"num_key_value_heads": heads // 2, "head_dim": hidden // heads, "max_position_embeddings": 1024}
        capped = {"attn_logit_softcapping": 50.0, "sliding_window": 256} if self.kind == "gemma2" else {}
        return AutoConfig.for_model(self.kind, **common, **width, **capped)


def compare(case: Case) -> tuple[int, int]:
    """Return the estimated and the measured peak of a training, in bytes."""
    config = case.config()
    *_, sequences, length = _SHAPES[case.size]
    training = {"batch_size": sequences * case.passes, "max_tokens": sequences * length, "precision": case.precision}
    training |= {"gradient_checkpointing": case.checkpointing, "valid_share": 0.0, "bucketing": 1}
    settings: dict[str, Any] = {"name": "tiny:llama", "orders": "shown", "training": training}
    if case.kind == "deberta-v2":
        model: NeuralModel = CrossEncoderModel(CrossEncoderSettings.parse(settings))
    else:
        adapter = {"rank": 4, "dropout": 0.05, "targets": ["q_proj", "k_proj", "v_proj"]}
        settings |= {"adapter": adapter, "weights": case.weights, "compute": case.precision}
        model = DecoderModel(DecoderSettings.parse(settings))
    held = number_formats(model.settings, case.precision)
    size = NetworkSize.of(network_on_meta(model, config))
    dropout = 0.0 if model.settings.adapter is None else model.settings.adapter.dropout
    estimate = training_memory(
        config,
        size,
        model.settings.training,
        held,
        (sequences, length),
        passes=case.passes,
        dropout=dropout,
        on_cpu=True,
    )
    model.source = ShapeSource.of_config(config)
    return estimate.peak, training_peak(model, rows=2 * sequences * case.passes, length=length)


def training_peak(model: NeuralModel, *, rows: int, length: int) -> int:
    """Train a network of random weights for two steps on rows of one length; return the peak of live bytes.

    Args:
        model: A member whose source makes its network, not trained yet.
        rows: Rows in all, two steps of them.
        length: Tokens of each.
    """
    network = model.initial_network()
    ids = np.random.default_rng(0).integers(5, 60, (rows, length)).tolist()
    data = Data(
        PairExamples((Sequences.from_lists(ids),), None, None, pad_id=0), np.full((rows, 3), 1 / 3), np.ones(rows)
    )
    with LiveBytes() as live:
        for tensor in [*network.parameters(), *network.buffers()]:
            live.add(tensor)
        train_network(network, data, None, model.settings.training, seed=0, run=Run())
    return live.peak
