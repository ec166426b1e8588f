"""The member of a judge around the siamese network in Keras: tokenize, train, predict, save, load."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from votecast.config import Settings
from votecast.data.battles import Battles
from votecast.data.frames import as_battles
from votecast.errors import JudgeError
from votecast.models.keras_siamese.keras_backbone import (
    Backbone,
    load_backbone,
    resolve_precision,
    seeded,
)
from votecast.models.keras_siamese.keras_network import (
    Arrays,
    KerasNetwork,
    KerasPadding,
    KerasPrepared,
    decide,
    network_key,
    unique_sequences,
)
from votecast.models.keras_siamese.keras_preset import check_keras, start_keras
from votecast.models.keras_siamese.keras_tokenizer import KerasTokenizer, find_tokenizer, stored_tokenizer
from votecast.models.keras_siamese.keras_training import KerasTraining, Labelled
from votecast.models.keras_siamese.learning_rate import plot_schedule
from votecast.models.keras_siamese.settings import KerasSiameseSettings
from votecast.models.network_model import NetworkModel
from votecast.text.sequences import Sequences
from votecast.text.truncation import TruncationReport
from votecast.training.training_rows import check_votes
from votecast.types import Floats, Ints, Probabilities, Run

WEIGHTS, BACKBONE, TOKENIZER = "weights.safetensors", "backbone.json", "tokenizer"


_lock = threading.Lock()
_networks: list[KerasNetwork] = []  # the one built last: building and compiling take longer than setting other weights


def _find_network(fits: Callable[[KerasNetwork], bool], build: Callable[[], KerasNetwork]) -> KerasNetwork:
    with _lock:
        if not _networks or not fits(_networks[0]):
            _networks.clear()  # frees its memory before the next is built
            _networks.append(build())
        return _networks[0]


class KerasSiameseModel(NetworkModel[KerasPrepared]):
    """One backbone of KerasHub reads (prompt, A) and (prompt, B), and a dense layer over both decides.

    Args:
        settings: Settings of the family.
        seed: Seed of the head, of dropout and of the order of the rows.

    Raises:
        ConfigError: If a launcher has started several processes.
        MissingExtraError: If Keras, KerasHub or the backend is not installed.
    """

    settings_type: ClassVar[type[Settings]] = KerasSiameseSettings
    settings: KerasSiameseSettings
    packages: ClassVar[tuple[str, ...]] = ("keras", "keras-hub", "jax", "torch", "tensorflow")
    can_be_averaged = True
    sorts_records = False
    _backbone: Backbone | None = None
    _weights: Arrays | None = None

    def __init__(self, settings: Settings | None = None, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        check_keras(self.settings.backend)

    @property
    def order_matters(self) -> bool:
        """Whether swapping the answers may change more than the columns a and b."""
        return self.settings.orders == "shown"

    @property
    def report_to(self) -> tuple[str, ...]:
        """Trackers that get the records of the training."""
        found: tuple[str, ...] = self.settings.training.report_to
        return found

    @cached_property
    def tokenizer(self) -> KerasTokenizer:
        """The tokenizer of the backbone."""
        return find_tokenizer(self.settings.name, self.settings.tokenizer, self.settings.backend)

    @classmethod
    def plot_schedule(cls, settings: Settings, path: Path, *, overwrite: bool = False) -> None:
        """Draw the learning rate over the epochs."""
        assert isinstance(settings, KerasSiameseSettings)
        plot_schedule(settings.training, path, overwrite=overwrite)

    def check_training(self) -> None:
        """Check, before votes are read, that the preset is available."""
        _ = self.tokenizer

    def prepare(self, battles: Battles) -> KerasPrepared:
        """Tokenize battles once, for both orders and all folds."""
        tokens = self.text.tokenize(as_battles(battles))
        a, b = self.text.answers(tokens, "a"), self.text.answers(tokens, "b")
        cut = TruncationReport(np.maximum(a.cut.kept, b.cut.kept), np.maximum(a.cut.full, b.cut.full))
        return KerasPrepared(a.sequences, b.sequences, cut)

    def truncation(self, prepared: KerasPrepared) -> TruncationReport:
        """Return what was truncated of each battle."""
        return prepared.cut

    def fit(
        self,
        prepared: KerasPrepared,
        targets: Probabilities,
        weights: Floats,
        groups: Ints | None = None,
        run: Run = Run(),
    ) -> Self:
        """Train a new network; whole groups are held back to choose the best weights by.

        Raises:
            ConfigError: If the backbone cannot be loaded or cannot read the text, or Keras runs on another backend.
            JudgeError: If there is nothing to learn from, or a loss is not finite.
        """
        check_votes(len(prepared), targets, weights)
        rows = np.arange(len(prepared))
        train, held = self.split_rows(rows if groups is None else groups)
        if not (weights[train].sum() > 0 and weights[held].sum() > 0):
            train, held = rows, rows[:0]
        parts = [Labelled(prepared.take(part), targets[part], weights[part], part) for part in (train, held)]
        network = self._network_to_train()
        settings = self.settings.dump()
        del settings["training"]["report_to"]  # may change when a training is resumed
        made_from = {"settings": settings, "seed": self.seed}
        with network.lock:
            self._backbone = network.backbone
            predict = partial(self._predict_on, network)
            training = KerasTraining(network, self._padding(network), self.settings.training, self.seed, predict)
            self.records = training.run(parts[0], parts[1] if len(held) else None, made_from, run)
        self._weights = training.best
        return self

    def predict(self, prepared: KerasPrepared) -> Probabilities:
        """Return uncalibrated probabilities of shape (n, 3)."""
        backbone, weights = self._check_fitted("predict")
        if not len(prepared):
            return np.zeros((0, 3))
        network = self._network_to_predict(backbone)
        with network.lock:
            return self._predict_on(network, weights, prepared)

    def save(self, folder: Path) -> None:
        """Write weights, the backbone's description, tokenizer and the records of the training into a folder."""
        backbone, weights = self._check_fitted("save")
        save_file({name: np.asarray(array, order="C") for name, array in weights.items()}, folder / WEIGHTS)
        (folder / BACKBONE).write_text(
            json.dumps(backbone.model_dump(by_alias=True), indent=2, sort_keys=True) + "\n", "utf-8"
        )
        self.write_records(folder)
        (folder / TOKENIZER).mkdir()
        self.tokenizer.save(folder / TOKENIZER)

    def _restore(self, folder: Path) -> None:
        self._backbone = Backbone.model_validate_json((folder / BACKBONE).read_text("utf-8"))
        self._weights = load_file(folder / WEIGHTS)
        self.read_records(folder)
        self.tokenizer = stored_tokenizer(folder / TOKENIZER)
        network = self._network_to_predict(self._backbone)
        with network.lock:
            network.load(self._weights)

    @classmethod
    def averaged(cls, members: Sequence[Self]) -> Self:
        """Return one member with the mean of the weights of several (Wortsman et al. 2022, "Model soups")."""
        first = members[0]
        made = cls(first.settings, seed=first.seed)
        made.tokenizer = first.tokenizer
        made.records = cls.joined_records(members)
        made._backbone, _ = first._check_fitted("average")
        weights = [member._check_fitted("average")[1] for member in members]
        made._weights = {
            name: np.mean([each[name] for each in weights], axis=0, dtype=np.float64).astype(array.dtype)
            for name, array in weights[0].items()
        }
        return made

    def _predict_on(self, network: KerasNetwork, weights: Arrays, battles: KerasPrepared) -> Probabilities:
        padding = self._padding(network)
        network.load(weights)
        unique, where = unique_sequences(Sequences.concat([battles.a, battles.b]))
        pooled: NDArray[np.float32] | None = None  # (unique sequences, d)
        for rows, height in padding.batches(unique.lengths, self.settings.max_tokens):
            found = network.encode(padding.fill(unique.take(rows), height))[: len(rows)]
            pooled = np.empty((len(unique), found.shape[1]), np.float32) if pooled is None else pooled
            pooled[rows] = found
        assert pooled is not None
        return decide(pooled, where.reshape(2, -1).T, weights, both=self.settings.orders == "both")

    def _padding(self, network: KerasNetwork) -> KerasPadding:
        settings, has_segments = self.settings, "segment_ids" in network.inputs
        whole = settings.pooling == "positions"
        return KerasPadding(settings.text.max_length, settings.multiple, self.pad_id, whole, has_segments)

    def _network_to_train(self) -> KerasNetwork:
        """A network with initial weights; one that is compiled already gets those of the new one."""
        settings, vocabulary = self.settings, len(self.tokenizer)
        keras = start_keras(settings.backend)
        dtype = resolve_precision(settings.precision, settings.backend)
        with seeded(keras, self.seed):
            backbone, built = load_backbone(keras, settings.name, dtype, vocabulary)
            backbone.check_readable(set(built.input), longest=settings.text.max_length, vocabulary=vocabulary)
            fresh = KerasNetwork(keras, backbone, built, dtype, settings.pooling)
            fresh.prepare_training(settings.training)
        keys = (fresh.key, fresh.training_key)
        found = _find_network(lambda old: (old.key, old.training_key) == keys, lambda: fresh)
        # compiling takes far longer than a network of random weights, whose initial weights are all that is needed
        if found is not fresh:
            with found.lock:
                found.restore(fresh.state())
        return found

    def _network_to_predict(self, backbone: Backbone) -> KerasNetwork:
        settings = self.settings
        keras = start_keras(settings.backend)
        dtype = resolve_precision(settings.precision, settings.backend)
        key = network_key(backbone, dtype, settings.pooling)

        def _build() -> KerasNetwork:
            """A network whose weights are set before it is asked."""
            with seeded(keras, self.seed):
                return KerasNetwork(keras, backbone, backbone.build(dtype), dtype, settings.pooling)

        return _find_network(lambda network: network.key == key, _build)

    def _check_fitted(self, verb: str) -> tuple[Backbone, Arrays]:
        if self._backbone is None or not self._weights:
            raise JudgeError(f"this siamese encoder has not been fitted, so it cannot {verb}; call fit or load a judge")
        return self._backbone, self._weights
