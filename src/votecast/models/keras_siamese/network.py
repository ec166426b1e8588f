"""The siamese network in Keras: one backbone, two readings, a dense layer over both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from votecast.errors import ArtifactError
from votecast.models.keras_siamese.backbones import Backbone
from votecast.models.keras_siamese.pairs import Inputs
from votecast.models.keras_siamese.settings import LearningSettings, Pooling
from votecast.models.keras_siamese.states import Arrays
from votecast.types import Probabilities

CLASSES = 3
_EXCHANGED = [1, 0, 2]


@dataclass(frozen=True)
class Plan:
    """What decides a network, its weights aside.

    Args:
        backbone: The backbone.
        dtype: Its dtype policy.
        pooling: How its outputs become one vector.
    """

    backbone: Backbone
    dtype: str
    pooling: Pooling

    @property
    def key(self) -> str:
        """The plan as text: equal for equal networks."""
        return f"{self.dtype} {self.pooling} {self.backbone.key}"


class Network:
    """A network that Keras has built; weights go in and out as arrays.

    Args:
        keras: Keras, running.
        plan: What it is.
        backbone: The backbone that KerasHub has built.
    """

    def __init__(self, keras: ModuleType, plan: Plan, backbone: Any) -> None:
        self.keras, self.plan = keras, plan
        self.lock = threading.Lock()
        self.learns = ""
        inputs = backbone.input
        self.inputs = set(inputs)
        pooled = _pooled(keras, backbone.output, inputs["padding_mask"], plan.pooling)
        self._encoder = keras.Model(inputs, pooled, name="encoder")
        self._head = keras.layers.Dense(CLASSES, dtype="float32", name="head")
        self._views = [_view(keras, self._head, pooled, exchanged=exchanged) for exchanged in (False, True)]
        self._trained = keras.Model(inputs, self._views[0], name="trained")
        self._held: Arrays | None = None

    def prepare_training(self, settings: LearningSettings) -> None:
        """Get ready to learn, with a fresh optimizer."""
        self.learns = f"{settings.orders} {settings.label_smoothing}"
        keras, views = self.keras, self._views if settings.orders == "both" else self._views[:1]
        self._trained = keras.Model(self._encoder.input, keras.ops.stack(views, axis=1), name="trained")
        optimizer = keras.optimizers.Adam(settings.schedule.start)
        if self.plan.dtype == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        self._trained.compile(
            optimizer=optimizer,
            loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing),
            weighted_metrics=[
                keras.metrics.CategoricalCrossentropy(from_logits=True, name="log_loss"),
                keras.metrics.CategoricalAccuracy(name="accuracy"),
            ],
            auto_scale_loss=False,
        )
        optimizer.build(self._trained.trainable_variables)

    def step(self, inputs: Inputs, targets: NDArray[Any], weights: NDArray[Any], rate: float) -> dict[str, float]:
        """One step of the optimizer.

        Args:
            inputs: 2 m sequences: A and B of the first battle, A and B of the second, and so on.
            targets: Soft labels, shape (m, 3).
            weights: How much each row counts, shape (m,).
            rate: The learning rate.

        Returns:
            loss, log_loss (without label smoothing) and accuracy.
        """
        self._held = None
        views = self._trained.output.shape[1]
        labels = np.repeat(targets.astype(np.float32)[:, None], views, axis=1)
        counts = np.repeat(weights.astype(np.float32)[:, None], views, axis=1)
        self._trained.optimizer.learning_rate = rate
        found = self._trained.train_on_batch(inputs, labels, sample_weight=counts, return_dict=True)
        return {name: float(value) for name, value in found.items()}

    def encode(self, inputs: Inputs) -> NDArray[np.float32]:
        """The pooled outputs of each sequence, shape (sequences, d)."""
        return np.asarray(self._encoder.predict_on_batch(inputs), np.float32)

    def state(self) -> list[NDArray[Any]]:
        """Copies of all variables: weights, seeds of dropout, the optimizer's."""
        return [self._array(variable) for variable in self._variables()]

    def restore(self, state: Sequence[NDArray[Any]]) -> None:
        """Take up what `state` gave."""
        self._held = None
        for variable, value in zip(self._variables(), state, strict=True):
            variable.assign(value)

    def weights(self) -> Arrays:
        """Copies of the weights by their path in Keras."""
        self._held = {name: self._array(variable) for name, variable in self._named().items()}
        return self._held

    def load(self, weights: Arrays) -> None:
        """Take these weights, unless they are the very ones that were given or taken last.

        Args:
            weights: What `weights` gave.

        Raises:
            ArtifactError: If they are of another network.
        """
        if weights is self._held:
            return
        named = self._named()
        wrong = [name for name in named.keys() | weights.keys() if not _fits(named.get(name), weights.get(name))]
        if wrong:
            raise ArtifactError(f"the weights {', '.join(sorted(wrong)[:3])} do not belong to this network")
        for name, variable in named.items():
            variable.assign(weights[name])
        self._held = weights

    def _variables(self) -> list[Any]:
        return [*self._trained.variables, *self._trained.optimizer.variables]

    def _named(self) -> dict[str, Any]:
        named: dict[str, Any] = {}
        for number, variable in enumerate(self._trained.weights):
            named[variable.path if variable.path not in named else f"{variable.path}#{number}"] = variable
        return named

    def _array(self, variable: Any) -> NDArray[Any]:
        return np.array(self.keras.ops.convert_to_numpy(variable.value), copy=True)


class Shelf:
    """The network that was built last: building and compiling take longer than putting other weights in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._network: Network | None = None

    def find(self, fits: Callable[[Network], bool], build: Callable[[], Network]) -> Network:
        """The network that lies here if it fits, else the one that is built, which then lies here."""
        with self._lock:
            if self._network is None or not fits(self._network):
                self._network = None
                self._network = build()
            return self._network


def decide(pooled: NDArray[np.float32], where: NDArray[np.int64], weights: Arrays, *, both: bool) -> Probabilities:
    """The dense layer over both halves, and the mean over both orders of the answers.

    Args:
        pooled: Pooled outputs of m different sequences, shape (m, d).
        where: Which of them belong to A and B of each battle, shape (n, 2).
        weights: Weights of the network.
        both: Average both orders; the sum has the same two terms either way, so that exchanging the answers exchanges
            columns a and b exactly.

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
    exchanged = _softmax(first[b] + second[a] + bias)[:, _EXCHANGED]
    p = (shown + exchanged) / 2
    total = (p[:, 0] + p[:, 1]) + p[:, 2]
    return np.asarray(p / total[:, None])


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    total = (e[:, 0] + e[:, 1]) + e[:, 2]
    return np.asarray(e / total[:, None])


def _pooled(keras: ModuleType, output: Any, mask: Any, pooling: Pooling) -> Any:
    ops = keras.ops
    hidden = ops.cast(output["sequence_output"] if isinstance(output, dict) else output, "float32")  # (m, L, d)
    if pooling == "positions":
        return ops.mean(hidden, axis=1)
    seen = ops.expand_dims(ops.cast(mask, "float32"), -1)
    return ops.sum(hidden * seen, axis=1) / ops.sum(seen, axis=1)


def _view(keras: ModuleType, head: Any, pooled: Any, *, exchanged: bool) -> Any:
    """Logits of shape (n, 3) in the battle's own order, from pooled outputs of A, B, A, B, ... of shape (2 n, d)."""
    ops, d = keras.ops, pooled.shape[-1]
    pair = ops.reshape(pooled, (-1, 2, d))
    if not exchanged:
        return head(ops.reshape(pair, (-1, 2 * d)))
    return ops.take(head(ops.reshape(ops.flip(pair, axis=1), (-1, 2 * d))), _EXCHANGED, axis=-1)


def _fits(variable: Any, array: NDArray[Any] | None) -> bool:
    return variable is not None and array is not None and tuple(variable.shape) == array.shape
