"""The siamese network in Keras: one backbone, two readings, a dense layer over both; and the arrays it reads.

`keras_model` predicts with it and `keras_training` trains it.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.errors import ArtifactError
from votecast.models.keras_siamese.keras_backbone import Backbone
from votecast.models.keras_siamese.settings import LearningSettings, Pooling
from votecast.text.batching import token_batches
from votecast.text.sequences import Sequences
from votecast.text.truncation import TruncationReport
from votecast.types import CLASSES, Floats, Ints, Probabilities, swap_columns

if TYPE_CHECKING:
    from keras import Model as KerasGraph
    from keras import Variable

_SWAPPED = [1, 0, 2]

Arrays = dict[str, NDArray[Any]]  # weights may be of any precision
Inputs = dict[str, NDArray[np.int32]]
"""Arrays of shape (sequences, length), by the name of the backbone's input."""


@dataclass(frozen=True)
class KerasPrepared:
    """Battles as (prompt, A) and (prompt, B), tokenized once, and what was truncated of them."""

    a: Sequences
    b: Sequences
    cut: TruncationReport

    def __len__(self) -> int:
        return len(self.a)

    def take(self, indices: ArrayLike) -> KerasPrepared:
        """Return the battles at these positions, in this order."""
        return KerasPrepared(self.a.take(indices), self.b.take(indices), self.cut.take(indices))

    @property
    def interleaved(self) -> Sequences:
        """A and B of the first battle, A and B of the second, and so on: 2 n sequences."""
        both = Sequences.concat([self.a, self.b])
        return both.take(np.arange(2 * len(self)).reshape(2, -1).T.ravel())


@dataclass(frozen=True)
class KerasPadding:
    """Padding of sequences to rectangles of few shapes; JAX compiles the network once for each.

    Args:
        longest: The most tokens of a sequence.
        multiple: Lengths are rounded up to multiples of this, at most to `longest`.
        pad_id: The token that pads.
        always_longest: Pad every sequence to `longest`.
        has_segments: Whether the backbone reads segment ids.
    """

    longest: int
    multiple: int
    pad_id: int
    always_longest: bool
    has_segments: bool

    def width(self, longest: int) -> int:
        """Return the padded length of sequences of which the longest has this many tokens.

        Example:
            >>> KerasPadding(512, 64, 0, False, False).width(70)
            128
        """
        rounded = -(-max(longest, 1) // self.multiple) * self.multiple
        return self.longest if self.always_longest else max(longest, min(rounded, self.longest))

    def fill(self, sequences: Sequences, rows: int) -> Inputs:
        """Pad sequences to a rectangle of this many rows; the rows beyond them hold one token and are to be ignored."""
        width = self.width(int(sequences.lengths.max(initial=1)))
        padded = sequences.padded(np.arange(len(sequences)), pad_id=self.pad_id, to=width)
        extra = ((0, rows - len(sequences)), (0, 0))
        mask = np.pad(padded.mask, extra)
        mask[len(sequences) :, 0] = 1  # a row without any token would be divided by 0
        ids = np.pad(padded.ids, extra, constant_values=self.pad_id)
        inputs = {"token_ids": ids.astype(np.int32), "padding_mask": mask.astype(np.int32)}
        if self.has_segments:
            types = np.zeros_like(padded.ids) if padded.types is None else padded.types
            inputs["segment_ids"] = np.pad(types, extra).astype(np.int32)
        return inputs

    def batches(self, lengths: Ints, budget: int) -> list[tuple[Ints, int]]:
        """Return the rows of each batch and the number of rows of its rectangle, a power of 2.

        Example:
            >>> padding = KerasPadding(64, 32, 0, False, False)
            >>> [(rows.tolist(), height) for rows, height in padding.batches(np.array([9, 60, 8, 7]), 96)]
            [([1], 1), ([0, 2, 3], 4)]
        """
        wide = np.array([self.width(int(length)) for length in lengths], np.int64)
        parts = token_batches(wide, budget=budget, multiple=1)
        return [(rows, 1 << (len(rows) - 1).bit_length()) for rows in parts]


def unique_sequences(sequences: Sequences) -> tuple[Sequences, Ints]:
    """Return every different sequence once, and the position of each of the given ones among them.

    Their order depends on nothing but these sequences, so that whatever is computed of them is the same, bit by bit,
    when the answers of a battle are swapped.

    Example:
        >>> found, where = unique_sequences(Sequences.from_lists([[7, 1], [5], [7, 1]]))
        >>> len(found), where.tolist()
        (2, [1, 0, 1])
    """
    keys = [sequences[row].astype(">i4").tobytes() for row in range(len(sequences))]
    if sequences.types is not None:
        starts = sequences.offsets
        keys = [key + sequences.types[starts[i] : starts[i + 1]].tobytes() for i, key in enumerate(keys)]
    order = {key: place for place, key in enumerate(sorted(set(keys)))}
    where = np.fromiter((order[key] for key in keys), np.int64, len(keys))
    first = np.empty(len(order), np.int64)
    first[where[::-1]] = np.arange(len(keys))[::-1]  # of equal keys, the first one is written last
    return sequences.take(first), where


class KerasNetwork:
    """A network that Keras has built; weights go in and out as arrays.

    Attributes:
        key: Equal for networks that differ in nothing but their weights.
        training_key: Equal for networks that are compiled for the same training.
        lock: Held while the weights of one member are in the network.
    """

    def __init__(self, keras: ModuleType, backbone: Backbone, built: KerasGraph, dtype: str, pooling: Pooling) -> None:
        self.keras, self.backbone, self.dtype = keras, backbone, dtype
        self.key, self.training_key = network_key(backbone, dtype, pooling), ""
        self.lock = threading.Lock()
        inputs, ops = built.input, keras.ops
        self.inputs = set(inputs)
        output = built.output["sequence_output"] if isinstance(built.output, dict) else built.output
        hidden = ops.cast(output, "float32")  # (m, L, d)
        if pooling == "positions":
            pooled = ops.mean(hidden, axis=1)
        else:
            mask = ops.expand_dims(ops.cast(inputs["padding_mask"], "float32"), -1)  # (m, L, 1)
            pooled = ops.sum(hidden * mask, axis=1) / ops.sum(mask, axis=1)
        # predictions run the backbone alone, once for each distinct sequence, and the dense layer in numpy
        self._encoder = keras.Model(inputs, pooled, name="encoder")
        head = keras.layers.Dense(len(CLASSES), dtype="float32", name="head")
        d = pooled.shape[-1]
        pair = ops.reshape(pooled, (-1, 2, d))  # (n, 2, d): A and B of each battle
        shown = head(ops.reshape(pair, (-1, 2 * d)))
        swapped = ops.take(head(ops.reshape(ops.flip(pair, axis=1), (-1, 2 * d))), _SWAPPED, axis=-1)
        self._views = [shown, swapped]
        self._trained = keras.Model(inputs, shown, name="trained")
        self._held: Arrays | None = None

    def prepare_training(self, settings: LearningSettings) -> None:
        """Compile the network with a new optimizer."""
        self.training_key = f"{settings.orders} {settings.label_smoothing}"
        keras, views = self.keras, self._views if settings.orders == "both" else self._views[:1]
        self._trained = keras.Model(self._encoder.input, keras.ops.stack(views, axis=1), name="trained")
        optimizer = keras.optimizers.Adam(settings.schedule.start)
        if self.dtype == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing)
        self._trained.compile(optimizer=optimizer, loss=loss, auto_scale_loss=False)
        # now, so that its variables are among those of `state` before the first step
        optimizer.build(self._trained.trainable_variables)

    def summarize(self) -> str:
        """Describe the network in one line: parameters, trained share, memory without that of a pass."""
        total, trained = self._trained.count_params(), sum(math.prod(v.shape) for v in self._trained.trainable_weights)
        memory = 4 * (total + 3 * trained) / 1e9  # all are kept in float32
        return (
            f"{self.backbone.kind} on {self.keras.config.backend()}, computing in {self.dtype}: {total:,} parameters, "
            f"{trained:,} trained ({trained / total:.1%}); {memory:.2f} GB of weights, gradients and moments"
        )

    def list_layers(self) -> list[str]:
        """Return the table of layers that Keras prints."""
        lines: list[str] = []

        def take(text: str, line_break: bool = True) -> None:  # noqa: ARG001 - as Keras calls it
            lines.extend(text.splitlines())

        self._trained.summary(print_fn=take)
        return lines

    def step(self, inputs: Inputs, targets: Floats, weights: Floats, rate: float) -> float:
        """Take one step at a learning rate and return the loss; inputs are those of 2 m interleaved sequences."""
        self._held = None
        views = self._trained.output.shape[1]
        labels = np.repeat(targets.astype(np.float32)[:, None], views, axis=1)  # (m, views, 3)
        counts = np.repeat(weights.astype(np.float32)[:, None], views, axis=1)  # (m, views)
        # a variable of Keras: setting it does not compile again
        self._trained.optimizer.learning_rate = rate
        return float(self._trained.train_on_batch(inputs, labels, sample_weight=counts, return_dict=True)["loss"])

    def encode(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return the pooled outputs of each sequence, shape (sequences, d)."""
        return np.asarray(self._encoder.predict_on_batch(inputs), np.float32)

    def state(self) -> Arrays:
        """Copy all variables by their place: weights, seeds of dropout, the optimizer's."""
        variables = [*self._trained.variables, *self._trained.optimizer.variables]
        return {f"{place:05d}": self._copy(variable) for place, variable in enumerate(variables)}

    def restore(self, state: Arrays) -> None:
        """Set all variables to what `state` gave."""
        self._held = None
        variables = [*self._trained.variables, *self._trained.optimizer.variables]
        for variable, name in zip(variables, sorted(state), strict=True):
            variable.assign(state[name])

    def weights(self) -> Arrays:
        """Copy the weights by their path in Keras."""
        self._held = {name: self._copy(variable) for name, variable in self._named().items()}
        return self._held

    def load(self, weights: Arrays) -> None:
        """Set the weights, unless they are the very ones that were copied or set last.

        Raises:
            ArtifactError: If they are of another network.
        """
        if weights is self._held:
            return
        named = self._named()
        needed = {name: tuple(variable.shape) for name, variable in named.items()}
        found = {name: array.shape for name, array in weights.items()}
        if wrong := sorted(name for name in needed.keys() | found.keys() if needed.get(name) != found.get(name)):
            raise ArtifactError(f"the weights {', '.join(wrong[:3])} do not belong to this network")
        for name, variable in named.items():
            variable.assign(weights[name])
        self._held = weights

    def _named(self) -> dict[str, Variable]:
        named: dict[str, Variable] = {}
        for number, variable in enumerate(self._trained.weights):  # some layers of KerasHub share a path
            named[variable.path if variable.path not in named else f"{variable.path}#{number}"] = variable
        return named

    def _copy(self, variable: Variable) -> NDArray[Any]:
        return np.array(self.keras.ops.convert_to_numpy(variable.value), copy=True, order="C")


def network_key(backbone: Backbone, dtype: str, pooling: Pooling) -> str:
    """Return a text that is equal for networks that differ in nothing but their weights."""
    return f"{dtype} {pooling} {backbone.key}"


def decide(pooled: NDArray[np.float32], where: Ints, weights: Arrays, *, both: bool) -> Probabilities:
    """Apply the dense layer over both halves, in both orders of the answers, and average these if asked to.

    Args:
        pooled: Pooled outputs of m different sequences, shape (m, d).
        where: Which of them belong to A and B of each battle, shape (n, 2).
        weights: Weights of the network.
        both: Average both orders of the answers.

    Returns:
        Probabilities of shape (n, 3), float64.
    """
    kernel, bias = weights["head/kernel"].astype(np.float64), weights["head/bias"].astype(np.float64)
    d = pooled.shape[1]
    first, second = pooled.astype(np.float64) @ kernel[:d], pooled.astype(np.float64) @ kernel[d:]  # each (m, 3)
    a, b = where.T
    shown = _softmax(first[a] + second[b] + bias)
    if not both:
        return shown
    # the sum has the same two terms either way, so that swapping the answers swaps columns a and b exactly
    swapped = swap_columns(_softmax(first[b] + second[a] + bias))
    p = (shown + swapped) / 2
    return np.asarray(p / _row_sums(p))


def _softmax(logits: Floats) -> Floats:
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(e / _row_sums(e))


def _row_sums(values: Floats) -> Floats:
    """Sums of shape (n, 1), and not those of `sum(axis=1)`: here swapped columns add up to the same bits."""
    return ((values[:, 0] + values[:, 1]) + values[:, 2])[:, None]
