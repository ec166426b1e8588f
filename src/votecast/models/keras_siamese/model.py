"""The member of a judge around the siamese network in Keras: read, train, forecast, save, load."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from votecast.config import Settings
from votecast.data.battles import Battles
from votecast.data.frames import as_battles
from votecast.errors import JudgeError
from votecast.models.base import Model
from votecast.models.keras_siamese.backbones import (
    Backbone,
    check_readable,
    folder_of,
    pretrained_backbone,
    tiny_backbone,
)
from votecast.models.keras_siamese.backend import precision_of, seeded, start_keras
from votecast.models.keras_siamese.learning import Labelled, Training
from votecast.models.keras_siamese.network import Network, Plan, Shelf, decide
from votecast.models.keras_siamese.pairs import Frame, Ints, ReadBattles, distinct
from votecast.models.keras_siamese.schedule import plot_schedule
from votecast.models.keras_siamese.settings import KerasSiameseSettings
from votecast.models.keras_siamese.states import Arrays
from votecast.models.keras_siamese.tokenizers import KerasTokenizer, find_tokenizer, stored_tokenizer
from votecast.models.stacking import inner_folds
from votecast.text.encoder import TextEncoder
from votecast.text.sequences import Sequences
from votecast.text.truncation import Cut
from votecast.types import Probabilities, Run

WEIGHTS, BACKBONE, METRICS, TOKENIZER = "weights.safetensors", "backbone.json", "metrics.jsonl", "tokenizer"

_shelf = Shelf()


class KerasSiameseModel(Model[ReadBattles]):
    """System 5: one backbone of KerasHub reads (prompt, A) and (prompt, B), a dense layer over both decides.

    Args:
        settings: Settings of the family.
        seed: Seed of the head, of dropout and of the order of the rows.
    """

    settings_type: ClassVar[type[Settings]] = KerasSiameseSettings
    packages: ClassVar[tuple[str, ...]] = ("keras", "keras-hub", "jax", "torch", "tensorflow")

    settings: KerasSiameseSettings

    def __init__(self, settings: Settings | None = None, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        self.records: list[dict[str, Any]] = []
        self._backbone: Backbone | None = None
        self._weights: Arrays = {}

    @property
    def order_matters(self) -> bool:
        """Whether exchanging the answers may change more than the names of the columns."""
        return self.settings.orders == "shown"

    @cached_property
    def tokenizer(self) -> KerasTokenizer:
        """The tokenizer of the backbone."""
        return find_tokenizer(self.settings.name, self.settings.tokenizer)

    @cached_property
    def text(self) -> TextEncoder:
        """How battles become sequences."""
        return TextEncoder(self.tokenizer, self.settings.text)

    @classmethod
    def plot_schedule(cls, settings: Settings, path: Path, *, overwrite: bool = False) -> None:
        """Draw the learning rate over the epochs."""
        assert isinstance(settings, KerasSiameseSettings)
        plot_schedule(settings.training, path, overwrite=overwrite)

    def prepare(self, battles: Battles | Any) -> ReadBattles:
        """Tokenise battles once, for both orders and all folds."""
        tokens = self.text.tokenize(as_battles(battles))
        a, b = self.text.answers(tokens, "a"), self.text.answers(tokens, "b")
        cut = Cut(np.maximum(a.cut.kept, b.cut.kept), np.maximum(a.cut.full, b.cut.full))
        return ReadBattles(a.sequences, b.sequences, cut)

    def truncation(self, prepared: ReadBattles) -> Cut:
        """What the cuts leave of every battle."""
        return prepared.cut

    def fit(
        self,
        prepared: ReadBattles,
        targets: Probabilities,
        weights: NDArray[np.float64],
        groups: NDArray[np.int64] | None = None,
        run: Run = Run(),
    ) -> Self:
        """Train a fresh network.

        Args:
            prepared: What `prepare` made of n battles.
            targets: Soft labels, shape (n, 3).
            weights: How much each row counts, shape (n,).
            groups: Rows of one group share a prompt; whole groups are set aside to choose the best weights by.
            run: Where states lie; that of a killed run is continued.

        Raises:
            ConfigError: If the backbone cannot be loaded or cannot read the text, or Keras runs on another backend.
            JudgeError: If there is nothing to learn from, or a loss is not finite.
        """
        _refuse(np.asarray(~np.isfinite(targets).all(axis=1)), "label", "three numbers that sum to 1")
        _refuse(~(np.isfinite(weights) & (weights >= 0)), "weight", "a number of at least 0")
        if not len(prepared) or not weights.sum() > 0:
            raise JudgeError(
                f"the network was given {len(prepared)} battles of weight {float(weights.sum())} in all; it learns "
                "from at least one battle with a weight above 0"
            )
        rows = np.arange(len(prepared))
        train, held = self._split(groups if groups is not None else rows, weights)
        parts = [Labelled(prepared.take(part), targets[part], weights[part], part) for part in (train, held)]
        network = self._network_to_train()
        made_from = {"settings": self.settings.dump(), "seed": self.seed}
        with network.lock:
            self._backbone = network.plan.backbone
            frame, forecast = self._frame(network), self._forecaster(network)
            training = Training(network, frame, self.settings.training, self.seed, forecast)
            history = training.run(parts[0], parts[1] if len(held) else None, made_from, run)
        self.records, self._weights = history.records, training.best
        return self

    def predict(self, prepared: ReadBattles) -> Probabilities:
        """Uncalibrated probabilities of shape (n, 3).

        Raises:
            JudgeError: Before the first `fit`.
        """
        self._check_fitted("predict")
        if not len(prepared):
            return np.zeros((0, 3))
        network = self._network_to_forecast()
        with network.lock:
            return self._forecaster(network)(self._weights, prepared)

    def save(self, folder: Path) -> None:
        """Write weights, the backbone's description, tokenizer and the record of the training into a folder.

        Raises:
            JudgeError: Before the first `fit`.
        """
        backbone = self._check_fitted("save")
        save_file({name: np.asarray(array, order="C") for name, array in self._weights.items()}, folder / WEIGHTS)
        (folder / BACKBONE).write_text(json.dumps(backbone.to_dict(), indent=2, sort_keys=True) + "\n", "utf-8")
        (folder / METRICS).write_text("".join(json.dumps(record) + "\n" for record in self.records), "utf-8")
        (folder / TOKENIZER).mkdir()
        self.tokenizer.save(folder / TOKENIZER)

    def _restore(self, folder: Path) -> None:
        self._backbone = Backbone.parse(json.loads((folder / BACKBONE).read_text("utf-8")))
        self._weights = load_file(folder / WEIGHTS)
        self.records = [json.loads(line) for line in (folder / METRICS).read_text("utf-8").splitlines()]
        self.tokenizer = stored_tokenizer(folder / TOKENIZER)
        network = self._network_to_forecast()
        with network.lock:
            network.load(self._weights)

    @property
    def can_be_averaged(self) -> bool:
        """Whether the mean of the weights of several members is a member."""
        return True

    @classmethod
    def averaged(cls, members: Sequence[Self]) -> Self:
        """One member whose weights are the mean of all members' (Wortsman et al. 2022, "Model soups")."""
        first = members[0]
        made = cls(first.settings, seed=first.seed)
        made._backbone, made.tokenizer = first._check_fitted("average"), first.tokenizer
        made._weights = {
            name: np.mean([member._weights[name] for member in members], axis=0, dtype=np.float64).astype(array.dtype)
            for name, array in first._weights.items()
        }
        return made

    def _forecaster(self, network: Network) -> Callable[[Arrays, ReadBattles], Probabilities]:
        frame, both = self._frame(network), self.settings.orders == "both"

        def _forecast(weights: Arrays, battles: ReadBattles) -> Probabilities:
            network.load(weights)
            different, where = distinct(Sequences.concat([battles.a, battles.b]))
            pooled: NDArray[np.float32] | None = None
            for rows, height in frame.batches(different.lengths, self.settings.max_tokens):
                found = network.encode(frame.fill(different.take(rows), height))[: len(rows)]
                pooled = np.empty((len(different), found.shape[1]), np.float32) if pooled is None else pooled
                pooled[rows] = found
            assert pooled is not None
            return decide(pooled, where.reshape(2, -1).T, weights, both=both)

        return _forecast

    def _frame(self, network: Network) -> Frame:
        if self.tokenizer.pad_id is None:
            raise JudgeError(
                f"the tokenizer of {self.settings.name!r} has no padding token; add one to its special tokens and "
                "name its folder in model.tokenizer"
            )
        return Frame.of(self.settings, pad_id=self.tokenizer.pad_id, has_segments="segment_ids" in network.inputs)

    def _split(self, groups: Ints, weights: NDArray[np.float64]) -> tuple[Ints, Ints]:
        """Rows to learn from, and rows to choose the weights by."""
        share, rows = self.settings.training.valid_share, np.arange(len(groups))
        if not share or len(np.unique(groups)) < 2:
            return rows, rows[:0]
        held = inner_folds(groups, max(2, round(1 / share)), self.seed) == 0
        if not (weights[held].sum() > 0 and weights[~held].sum() > 0):
            return rows, rows[:0]
        return np.flatnonzero(~held), np.flatnonzero(held)

    def _network_to_train(self) -> Network:
        """A network that has learnt nothing yet; one that is compiled already takes the new one's weights."""
        settings = self.settings
        keras = start_keras(settings.backend)
        dtype = precision_of(settings.precision, settings.backend)
        with seeded(keras, self.seed):
            if settings.name.startswith("tiny:"):
                described = tiny_backbone(settings.name, len(self.tokenizer))
                made = described.build(dtype)
            else:
                described, made = pretrained_backbone(keras, folder_of(settings.name), dtype)
            longest, vocabulary = settings.text.max_length, len(self.tokenizer)
            check_readable(described, set(made.input), longest=longest, vocabulary=vocabulary)
            fresh = Network(keras, Plan(described, dtype, settings.pooling), made)
            fresh.prepare_training(settings.training)
        found = _shelf.find(lambda old: (old.plan.key, old.learns) == (fresh.plan.key, fresh.learns), lambda: fresh)
        if found is not fresh:
            with found.lock:
                found.restore(fresh.state())
        return found

    def _network_to_forecast(self) -> Network:
        backbone = self._check_fitted("predict")
        keras = start_keras(self.settings.backend)
        plan = Plan(backbone, precision_of(self.settings.precision, self.settings.backend), self.settings.pooling)

        def _build() -> Network:
            with seeded(keras, self.seed):
                return Network(keras, plan, backbone.build(plan.dtype))

        return _shelf.find(lambda network: network.plan.key == plan.key, _build)

    def _check_fitted(self, verb: str) -> Backbone:
        if self._backbone is None or not self._weights:
            raise JudgeError(f"this siamese encoder has not been fitted, so it cannot {verb}; call fit or load a judge")
        return self._backbone


def _refuse(wrong: NDArray[np.bool_], what: str, allowed: str) -> None:
    if wrong.any():
        rows = np.flatnonzero(wrong)
        shown = ", ".join(map(str, rows[:10].tolist()))
        raise JudgeError(
            f"{len(rows)} rows have a {what} that is not finite or below 0 (positions {shown}, from 0); a {what} is "
            f"{allowed}: correct or leave out these rows"
        )
