"""The model around a pair network: tokenise, split off rows to choose weights by, train, forecast, save, load."""

from __future__ import annotations

import copy
import json
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from votecast.config import Settings
from votecast.data.battles import Battles
from votecast.errors import ArtifactError, JudgeError
from votecast.features.style import answer_form
from votecast.inference.engine import Engine
from votecast.models.base import Model
from votecast.models.neural import adapters
from votecast.models.neural.backbone import Kind, Source, check_positions
from votecast.models.neural.networks import PairNetwork, freeze, without_backbone
from votecast.models.neural.prepared import NeuralPrepared, PairExamples
from votecast.models.neural.quiet import quietly
from votecast.models.neural.stored import contiguous, fill_head, head_tensors
from votecast.models.neural.thinning import capped, thinned
from votecast.models.stacking import inner_folds
from votecast.text.encoder import Encoded, TextEncoder
from votecast.text.sequences import Sequences
from votecast.text.tokenization import Tokenizer
from votecast.text.truncation import Cut
from votecast.training.data import Data
from votecast.training.engine import train_network
from votecast.training.settings import TrainingSettings
from votecast.types import Probabilities, Run

HEAD, DELTA, BASE = "head.safetensors", "delta.safetensors", "base.json"
METRICS = "metrics.jsonl"


class NeuralModel(Model[NeuralPrepared]):
    """A member of a neural judge.

    Args:
        settings: Settings of the family.
        seed: Seed of every draw.
    """

    kind: ClassVar[Kind]
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "tokenizers", "peft")

    def __init__(self, settings: Settings | None = None, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        self.network: PairNetwork | None = None
        self.records: list[dict[str, Any]] = []
        self._delta: dict[str, torch.Tensor] | None = None
        self._engine: Engine | None = None

    @cached_property
    def source(self) -> Source:
        """Where the backbone comes from."""
        return Source.of(self.settings.name, self.settings.revision)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The backbone's tokenizer."""
        return self.source.tokenizer()

    @cached_property
    def text(self) -> TextEncoder:
        """How battles become sequences."""
        return TextEncoder(self.tokenizer, self.settings.text)

    @property
    def pad_id(self) -> int:
        """The token that fills shorter sequences up.

        Raises:
            JudgeError: If the tokenizer has none.
        """
        if self.tokenizer.pad_id is None:
            raise JudgeError(
                f"the tokenizer of {self.settings.name!r} has no padding token; add one to its special tokens "
                "(tokenizer.add_special_tokens and save_pretrained) and name that folder"
            )
        return self.tokenizer.pad_id

    @abstractmethod
    def encoded(self, prepared: NeuralPrepared) -> tuple[Encoded, ...]:
        """The k sequences of each battle: k tables of n rows."""

    @abstractmethod
    def wrap(self, backbone: Any) -> PairNetwork:
        """The network around a backbone."""

    @property
    def uses_form(self) -> bool:
        """Whether the network looks at length and layout."""
        return False

    def learn_offset(
        self,
        prepared: NeuralPrepared,  # noqa: ARG002 - for families that start from another judge
        targets: Probabilities,  # noqa: ARG002
        weights: NDArray[np.float64],  # noqa: ARG002
        groups: NDArray[np.int64],  # noqa: ARG002
    ) -> NDArray[np.float32] | None:
        """Fit what the network starts from; its strengths and closenesses of the rows, shape (n, 2), or None."""
        return None

    def offset(self, prepared: NeuralPrepared) -> NDArray[np.float32] | None:  # noqa: ARG002
        """Strengths and closenesses to start from, shape (n, 2), or None."""
        return None

    @property
    def can_be_averaged(self) -> bool:
        """Whether the mean of several members' weights is a member; judges they start from have no mean."""
        return getattr(self.settings, "offset", None) is None

    @property
    def base(self) -> dict[str, Any] | None:
        """Name and hash of weights that the folder of this member does not hold."""
        return self.source.base if self.settings.adapter is not None else None

    @property
    def merges(self) -> bool:
        """Whether adapters are added to the weights they stand beside for forecasts."""
        return self.settings.adapter is not None

    @property
    def training(self) -> TrainingSettings:
        """How the network learns."""
        found: TrainingSettings = self.settings.training
        return found

    def backbone(self) -> Any:
        """The backbone as it is before training."""
        return self.source.load(self.kind, dropout=self.settings.dropout)

    def begin(self, network: PairNetwork) -> PairNetwork:
        """The network as training begins; a family may put weights made before into it."""
        return network

    def prepare(self, battles: Battles) -> NeuralPrepared:
        """Tokenise battles once, for both orders and all folds."""
        return NeuralPrepared(self.text.tokenize(battles), answer_form(battles) if self.uses_form else None)

    def truncation(self, prepared: NeuralPrepared) -> Cut:
        """What the cuts leave of every battle."""
        return self.encoded(prepared)[0].cut

    def fit(
        self,
        prepared: NeuralPrepared,
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
            run: Where checkpoints lie; those of a killed run are continued.

        Raises:
            ConfigError: If the backbone cannot be loaded or is too short for the text.
            JudgeError: If a loss is not finite; the message names the step and the rows.
        """
        network = self._fresh(prepared, targets, weights)
        groups = groups if groups is not None else np.arange(len(prepared))
        offset = self.learn_offset(prepared, targets, weights, groups)
        train, valid = self._inner(groups)
        if self.settings.thin:
            train, weights = thinned(train, weights, self.seed)
        if self.settings.per_prompt is not None:
            train = capped(train, groups, self.settings.per_prompt, self.seed)
        parts = [self._data(prepared, targets, weights, offset, rows) for rows in (train, valid)]
        if parts[0] is None:
            raise JudgeError("there are no rows to train on; give at least one battle with a vote")
        history = train_network(network, parts[0], parts[1], self.training, seed=self.seed, run=run)
        self.records = history.records
        return self._keep(network)

    def predict(self, prepared: NeuralPrepared) -> Probabilities:
        """Uncalibrated probabilities of shape (n, 3): the mean over the views of each battle."""
        return np.asarray(np.mean(self.predict_views(prepared), axis=1))

    @property
    def averages_orders(self) -> bool:
        """Whether predictions are the mean over both orders of the answers."""
        return self.order_matters and self.settings.orders != "shown"

    def with_shown_order(self) -> Self:
        """Return a copy that predicts from the shown order alone, on the same network and engine."""
        if not self.averages_orders:
            return self
        self._start_engine()
        made = copy.copy(self)
        made.settings = self.settings.model_copy(update={"orders": "shown"})
        return made

    def predict_views(self, prepared: NeuralPrepared) -> NDArray[np.float64]:
        """Uncalibrated probabilities by view, in each battle's own order of answers, shape (n, views, 3).

        Args:
            prepared: What `prepare` made of n battles.
        """
        network = self.fitted
        if not len(prepared):
            return np.zeros((0, 1, 3))
        views = [part.sequences for part in self.encoded(prepared)]
        outputs = self._start_engine().encode(Sequences.concat(views), pad_id=self.pad_id)
        stacked = torch.from_numpy(outputs.reshape(len(views), len(prepared), -1)).transpose(0, 1).double()
        form = None if prepared.form is None else torch.from_numpy(prepared.form).double()
        with torch.no_grad():
            p = without_backbone(network).decide(stacked, form, self._offset(prepared)).double().exp().numpy()
        return np.asarray(p / p.sum(axis=2, keepdims=True))

    @property
    def fitted(self) -> PairNetwork:
        """The trained network.

        Raises:
            JudgeError: Before the first `fit`.
        """
        if self.network is None:
            raise JudgeError(f"this {type(self).__name__} has not been fitted; call fit first, or load a judge")
        return self.network

    def release(self) -> None:
        """Leave the accelerator."""
        self._engine = None
        if self.network is not None:
            self.network.to("cpu")

    def run_with(self, **inference: object) -> bool:
        """Change settings of `inference` from now on; what was learnt stays.

        Raises:
            ConfigError: If a setting is unknown or unfit.
        """
        changed = type(self.settings.inference).parse(self.settings.inference.dump() | inference, origin="inference")
        self.settings = self.settings.model_copy(update={"inference": changed})
        self._engine = None
        return True

    def save(self, folder: Path) -> None:
        """Write weights, tokenizer and the record of the training into an existing folder."""
        network = self.fitted
        if self._delta is None:
            with quietly():
                network.backbone.save_pretrained(folder, save_original_format=False)
            self.tokenizer.save(folder)
            save_file(contiguous(head_tensors(network)), folder / HEAD)
        else:
            save_file(contiguous(self._delta), folder / DELTA)
            (folder / BASE).write_text(json.dumps(self.base, indent=2) + "\n", "utf-8")
        lines = [json.dumps(record, sort_keys=True) + "\n" for record in self.records]
        (folder / METRICS).write_text("".join(lines), "utf-8")

    def _restore(self, folder: Path) -> None:
        lines = (folder / METRICS).read_text("utf-8").splitlines()
        self.records = [json.loads(line) for line in lines]
        if (folder / DELTA).is_file():
            self._restore_delta(folder)
        else:
            self.source = Source(str(folder))
            network = self.wrap(self.backbone())
            fill_head(network, load_file(folder / HEAD))
            self.network = network.eval()

    @classmethod
    def averaged(cls, members: Sequence[Self]) -> Self:
        """One member whose weights are the mean of all members' (Wortsman et al. 2022, "Model soups").

        Adapters are joined so that the mean is exact: k of rank r become one of rank k r.
        """
        first = members[0]
        if deltas := [member._delta for member in members if member._delta is not None]:
            first.records = []
            return first._with_delta(adapters.averaged_adapters(deltas), place="the mean of the members")
        states = [member.fitted.state_dict() for member in members]
        mean = {
            name: torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)
            for name, value in states[0].items()
        }
        first.fitted.load_state_dict(mean)
        first.records = []
        return first

    def _start_engine(self) -> Engine:
        if self._engine is None:
            self._engine = Engine(self.fitted, self.settings.inference)
        return self._engine

    def _restore_delta(self, folder: Path) -> None:
        recorded = json.loads((folder / BASE).read_text("utf-8")) or {}
        expected, found = recorded.get("sha256"), (self.source.base or {}).get("sha256")
        if expected != found:
            raise ArtifactError(
                f"this judge was made from weights with SHA-256 {expected}, and {self.settings.name} has {found}; "
                "install or name the weights it was made from"
            )
        self._with_delta(load_file(folder / DELTA), place=str(folder))

    def _with_delta(self, delta: dict[str, torch.Tensor], *, place: str) -> Self:
        """The member with these adapters, biases and head, on the backbone it was made from."""
        self._delta = delta
        network = self._unfitted(rank=adapters.rank_of(delta))
        adapters.fill_adapter(network, delta, place=place)
        self.network, self._engine = (adapters.merge_adapter(network) if self.merges else network).eval(), None
        return self

    def _fresh(self, prepared: NeuralPrepared, targets: Probabilities, weights: NDArray[np.float64]) -> PairNetwork:
        network = self._unfitted()
        network.start(targets, weights, prepared.form)
        return self.begin(network)

    def _unfitted(self, rank: int | None = None) -> PairNetwork:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            backbone = self.backbone()
            check_positions(backbone.config, self.settings.text.max_length, self.settings.name)
            freeze(backbone, embeddings=self.settings.freeze_embeddings, layers=self.settings.freeze_layers)
            network = self.wrap(backbone)
            kind = self.settings.adapter
            return network if kind is None else adapters.add_adapter(network, kind, rank=rank)

    def _keep(self, network: PairNetwork) -> Self:
        if self.settings.adapter is not None:
            self._delta = adapters.trained_tensors(network)
            adapters.fill_adapter(network, self._delta, place="this training")
            network = adapters.merge_adapter(network) if self.merges else network
        self.network, self._engine = network.eval(), None
        return self

    def _offset(self, prepared: NeuralPrepared) -> torch.Tensor | None:
        found = self.offset(prepared)
        return None if found is None else torch.from_numpy(found).double()

    def _data(
        self,
        prepared: NeuralPrepared,
        targets: Probabilities,
        weights: NDArray[np.float64],
        offset: NDArray[np.float32] | None,
        rows: NDArray[np.int64],
    ) -> Data | None:
        if not len(rows):
            return None
        examples = self._examples(prepared.take(rows), None if offset is None else offset[rows])
        return Data(examples, targets[rows], weights[rows])

    def _examples(self, prepared: NeuralPrepared, offset: NDArray[np.float32] | None = None) -> PairExamples:
        views = tuple(part.sequences for part in self.encoded(prepared))
        return PairExamples(views, prepared.form, offset, self.pad_id)

    def _inner(self, groups: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        share = self.settings.training.valid_share
        if not share or len(np.unique(groups)) < 2:
            return np.arange(len(groups)), np.zeros(0, dtype=np.int64)
        held = inner_folds(groups, max(2, round(1 / share)), self.seed) == 0
        return np.flatnonzero(~held), np.flatnonzero(held)
