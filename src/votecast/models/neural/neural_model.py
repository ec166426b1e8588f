"""The member around a pair network: tokenize, hold rows back to choose weights by, train, predict, save, load.

The families `cross_encoder`, `siamese`, `decoder` and `reward` derive from it and name their sequences and network.
"""

from __future__ import annotations

import copy
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from votecast.config import Settings
from votecast.data.battles import Battles
from votecast.errors import ArtifactError, JudgeError
from votecast.features.style import answer_form
from votecast.inference.devices import devices_of
from votecast.inference.engine import Engine, check_inference
from votecast.models.base import Model
from votecast.models.network_model import NetworkModel
from votecast.models.neural import adapters
from votecast.models.neural.backbone import Kind, Source, check_positions
from votecast.models.neural.examples import NeuralPrepared, PairExamples, sample_by_weight, sample_per_group
from votecast.models.neural.hub import silence_transformers
from votecast.models.neural.offset import fit_offset, offset_model, offset_scores
from votecast.models.neural.pair_network import PairNetwork, freeze
from votecast.models.neural.settings import OffsetSettings
from votecast.models.neural.shared_base import EngineGroup, EngineSlot, SharedBase, engine_group, shared_base
from votecast.text.encoder import Encoded
from votecast.text.sequences import Sequences
from votecast.text.tokenization import Tokenizer
from votecast.text.truncation import TruncationReport
from votecast.training.loop import train_network
from votecast.training.mixed_precision import bitsandbytes, training_precision
from votecast.training.processes import Processes
from votecast.training.settings import TrainingSettings
from votecast.training.training_rows import Data
from votecast.types import Floats, Ints, Probabilities, Run

HEAD, DELTA, BASE, OFFSET = "head.safetensors", "delta.safetensors", "base.json", "offset"


class NeuralModel(NetworkModel[NeuralPrepared]):
    """A member of a neural judge in torch.

    Args:
        settings: Settings of the family.
        seed: Seed of every draw.

    Attributes:
        kind: Which part of a model of transformers the network is made around.
        network: The trained network; None before `fit` and `load`.
        delta: Adapters, biases and head, for a member whose folder does not hold its backbone.
        offset_judge: The fitted judge whose predictions the network starts from; None without the setting `offset`.
        made_with: What a loaded judge recorded of the base it was made with.
        is_restored: Whether the member comes from a judge folder; its base is then taken from this machine alone.
        base_in_memory: The backbone that this member shares with others; None for one of its own.
        engine_slot: Holds the engine that runs the network in predictions.
    """

    kind: ClassVar[Kind]
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "tokenizers", "peft")

    def __init__(self, settings: Settings | None = None, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        self.network: PairNetwork | None = None
        self.delta: adapters.Tensors | None = None
        self.offset_judge: Model | None = None
        self.made_with: Mapping[str, object] = {}
        self.is_restored = False
        self.base_in_memory: SharedBase | None = None
        self.engine_slot = EngineSlot(EngineGroup())
        self._watched: tuple[NeuralPrepared, Probabilities, Floats] | None = None

    @abstractmethod
    def encode_battles(self, prepared: NeuralPrepared) -> tuple[Encoded, ...]:
        """Return the k sequences of each battle: k tables of n rows."""

    @abstractmethod
    def wrap(self, backbone: PreTrainedModel) -> PairNetwork:
        """Make the network around a backbone."""

    @cached_property
    def source(self) -> Source:
        """Where the backbone comes from; one from the hub stays at the commit of the first use."""
        return Source.of(self.settings.name, self.revision, local=self.is_restored).pinned()

    @property
    def revision(self) -> str | None:
        """Revision of the backbone on the hub: the commit that the judge was made with, else that of the settings."""
        return str(self.made_with.get("revision") or "") or self.settings.revision

    @property
    def commit(self) -> str | None:
        """Commit of the backbone on the hub; None for a local folder."""
        return self.source.revision

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The backbone's tokenizer."""
        return self.source.tokenizer()

    @property
    def uses_form(self) -> bool:
        """Whether the network reads length and layout of the answers."""
        return False

    @property
    def offset_settings(self) -> OffsetSettings | None:
        """Settings of the judge whose predictions the network starts from."""
        return None

    @property
    def training(self) -> TrainingSettings:
        """How the network is trained."""
        found: TrainingSettings = self.settings.training
        return found

    @property
    def is_trained(self) -> bool:
        """Whether the network itself learns from votes."""
        return True

    @property
    def report_to(self) -> tuple[str, ...]:
        """Trackers that get the records of the training."""
        return self.training.report_to

    @property
    def eval_rows(self) -> int:
        """Held-out rows that the training is to be measured on as it goes; none where rows choose the weights."""
        return 0 if self.training.valid_share else self.training.eval_rows

    @property
    def merges(self) -> bool:
        """Whether predictions come from a network whose adapters are added to the weights of the base."""
        return self.settings.adapter is not None

    @property
    def can_be_averaged(self) -> bool:
        """Whether the mean of the weights of several members is a member; judges they start from have no mean."""
        return self.offset_settings is None

    @property
    def averages_orders(self) -> bool:
        """Whether predictions are the mean over both orders of the answers."""
        return self.order_matters and self.settings.orders != "shown"

    @property
    def base(self) -> dict[str, object] | None:
        """Name and hash of weights that the folder of this member does not hold."""
        return self.source.base if self.settings.adapter is not None else None

    @property
    def shares_base(self) -> bool:
        """Whether the backbone stays as it was loaded, so that members share it."""
        return self.settings.adapter is not None

    @property
    def base_key(self) -> tuple[object, ...]:
        """What the weights of the backbone depend on."""
        source, base = self.source, self.source.base or {}
        # small random models are drawn by the seed
        drawn = self.seed if source.tiny else None
        found = (type(self), source.path, source.revision, source.tiny, base.get("sha256"), drawn)
        return (*found, self.settings.dropout)

    @property
    def fitted(self) -> PairNetwork:
        """The trained network, with its adapters beside the weights.

        Raises:
            JudgeError: Before the first `fit`.
        """
        if self.network is None:
            raise JudgeError(f"this {type(self).__name__} has not been fitted; call fit first, or load a judge")
        return self.network

    @property
    def merged(self) -> PairNetwork:
        """The trained network as it predicts; see `merges`."""
        return adapters.merged_network(self.fitted) if self.merges else self.fitted

    # Battles, and the network before training.

    def prepare(self, battles: Battles) -> NeuralPrepared:
        """Tokenize battles once, for both orders and all folds."""
        prepared = NeuralPrepared(self.text.tokenize(battles), answer_form(battles) if self.uses_form else None)
        if self.offset_settings is None:
            return prepared
        return replace(prepared, for_offset=offset_model(self.offset_settings, self.seed).prepare(battles))

    def truncation(self, prepared: NeuralPrepared) -> TruncationReport:
        """Return what was truncated of each battle."""
        return self.encode_battles(prepared)[0].cut

    def examples(self, prepared: NeuralPrepared) -> PairExamples:
        """Return the inputs of the network, n rows."""
        views = tuple(part.sequences for part in self.encode_battles(prepared))
        return PairExamples(views, prepared.form, prepared.offset, self.pad_id)

    def load_backbone(self) -> PreTrainedModel:
        """Load the backbone as it is before training."""
        return self.source.load(self.kind, dropout=self.settings.dropout)

    def initial_network(self, rank: int | None = None, *, trains: bool = True) -> PairNetwork:
        """Make the network with new heads and adapters.

        Args:
            rank: Rank of the adapters where it is another than the settings'.
            trains: Whether what is drawn matters, because the network is to be trained.
        """
        # new heads and adapters are drawn from torch's generator, which is left as it was
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            if self.shares_base:
                base = shared_base(self.base_key, self.load_backbone, seed=self.seed, trains=trains)
                self.base_in_memory, backbone = base, base.new_modules()
            else:
                backbone = self.load_backbone()
            check_positions(backbone.config, self.settings.text.max_length, self.settings.name)
            freeze(backbone, embeddings=self.settings.freeze_embeddings, layers=self.settings.freeze_layers)
            network = self.wrap(backbone)
            adapter = self.settings.adapter
            if adapter is not None:
                network = adapters.add_adapter(network, adapter, rank=rank)
                base.own_trained(network)
            return network

    def new_network(self, prepared: NeuralPrepared, targets: Probabilities, weights: Floats) -> PairNetwork:
        """Make the network as it is before the first step."""
        network = self.initial_network()
        network.start(targets, weights, prepared.form)
        return network

    # Training.

    def check_training(self) -> None:
        """Check, before votes are read, that the packages, precisions and model of the settings are available."""
        if self.is_trained:
            training_precision(self.training.precision, Processes().device)
            if self.training.optimizer != "adamw":
                bitsandbytes()
        check_inference(self.settings.inference)
        _ = self.tokenizer  # the first file of the model that is read

    def watch(self, prepared: NeuralPrepared, targets: Probabilities, weights: Floats) -> None:
        """Set held-out rows that `fit` measures the network on at every evaluation."""
        self._watched = prepared, targets, weights

    def fit(
        self,
        prepared: NeuralPrepared,
        targets: Probabilities,
        weights: Floats,
        groups: Ints | None = None,
        run: Run = Run(),
    ) -> Self:
        """Train a new network; whole groups are held back to choose the best weights by.

        Raises:
            ConfigError: If the backbone cannot be loaded, has too few positions for the text, or this machine does not
                compute in the precision of the settings.
            JudgeError: If a loss is not finite; the message names the step and the rows.
        """
        settings = self.settings
        self.check_training()
        network = self.new_network(prepared, targets, weights)
        groups = groups if groups is not None else np.arange(len(prepared))
        if self.offset_settings is not None and prepared.for_offset is not None:
            self.offset_judge, offset = fit_offset(
                self.offset_settings, prepared.for_offset, targets, weights, groups, self.seed
            )
            prepared = replace(prepared, offset=offset)
        train, valid = self.split_rows(groups)
        if settings.thin:
            train, weights = sample_by_weight(train, weights, self.seed)
        if settings.per_prompt is not None:
            train = sample_per_group(train, groups, settings.per_prompt, self.seed)
        if not len(train):
            raise JudgeError("there are no rows to train on; give at least one battle with a vote")
        data = self.label_rows(prepared, targets, weights, train)
        held = self.label_rows(prepared, targets, weights, valid) if len(valid) else None
        watched, self._watched = self._label_watched(), None
        history = train_network(network, data, held, self.training, seed=self.seed, run=run, watched=watched)
        self.records = history.records
        if settings.adapter is not None:
            self.delta = adapters.trained_tensors(network)
            # the folder keeps adapters in half precision: predictions before and after saving are the same
            adapters.fill_adapter(network, self.delta, place="this training")
        self.set_network(network)
        return self

    def _label_watched(self) -> Data | None:
        """Return the rows to measure the network on as examples with labels, if they count."""
        if self._watched is None or not self._watched[2].sum() > 0:
            return None
        prepared, targets, weights = self._watched
        return self.label_rows(self.with_offset(prepared), targets, weights, np.arange(len(prepared)))

    def label_rows(self, prepared: NeuralPrepared, targets: Probabilities, weights: Floats, rows: Ints) -> Data:
        """Return some rows as examples with labels."""
        return Data(self.examples(prepared.take(rows)), targets[rows], weights[rows])

    # Predictions.

    def predict(self, prepared: NeuralPrepared) -> Probabilities:
        """Return uncalibrated probabilities of shape (n, 3): the mean over the views of each battle."""
        return np.asarray(np.mean(self.predict_views(prepared), axis=1))

    def predict_views(self, prepared: NeuralPrepared) -> Floats:
        """Return uncalibrated probabilities by view, in each battle's own order of answers, shape (n, views, 3)."""
        network = self.fitted
        if not len(prepared):
            return np.zeros((0, 1, 3))
        views = [part.sequences for part in self.encode_battles(prepared)]
        outputs = self.start_engine().encode(Sequences.concat(views), pad_id=self.pad_id)  # (k * n, d)
        stacked = torch.from_numpy(outputs.reshape(len(views), len(prepared), -1)).transpose(0, 1).double()
        # the backbone runs in the precision of the engine, the small head beside it in double precision
        extras = (prepared.form, self.with_offset(prepared).offset)
        form, offset = (None if values is None else torch.from_numpy(values).double() for values in extras)
        with torch.no_grad():
            p = network.without_backbone().decide(stacked, form, offset).double().exp().numpy()
        return np.asarray(p / p.sum(axis=2, keepdims=True))

    def with_offset(self, prepared: NeuralPrepared) -> NeuralPrepared:
        """Add the strengths and closenesses that the network starts from, if it starts from a judge's."""
        if self.offset_judge is None:
            return prepared
        return replace(prepared, offset=offset_scores(self.offset_judge.predict(prepared.for_offset)))

    def start_engine(self) -> Engine:
        """Return the engine that runs the network in predictions, made where there is none."""
        settings = self.settings.inference
        check_inference(settings)  # before a model is loaded
        size = sum(p.numel() * p.element_size() for p in self.fitted.parameters())
        on_cpu = devices_of(settings)[0].type == "cpu"
        return self.engine_slot.engine(lambda: Engine(self.merged, settings), size=size, on_cpu=on_cpu)

    def set_network(self, network: PairNetwork) -> None:
        """Predict with this network from now on."""
        self.network = network.eval()
        group = self.base_in_memory or engine_group((type(self), self.settings.model_dump_json()))
        self.engine_slot = EngineSlot(group)

    def with_shown_order(self) -> Self:
        """Return a copy that predicts from the shown order alone, on the same network and engine."""
        if not self.averages_orders:
            return self
        made = copy.copy(self)
        made.settings = self.settings.model_copy(update={"orders": "shown"})
        return made

    def set_inference(self, **inference: object) -> bool:
        """Change settings of `inference` from now on; what was learnt stays."""
        changed = type(self.settings.inference).parse(self.settings.inference.dump() | inference, origin="inference")
        check_inference(changed)
        self.settings = self.settings.model_copy(update={"inference": changed})
        self.engine_slot = EngineSlot(self.engine_slot.group)
        return True

    def release(self) -> None:
        """Free the accelerator, and what is held twice; the model still predicts."""
        self.engine_slot.free()
        if self.base_in_memory is not None:
            self.base_in_memory.backbone.packs.free()
        if self.network is not None:
            self.network.to("cpu")

    # Folders, and weights made elsewhere.

    def save(self, folder: Path) -> None:
        """Write weights, tokenizer and the records of the training into an existing folder."""
        network = self.fitted
        if self.delta is None:
            # the layout of transformers, so that other programs can load the folder of a member
            with silence_transformers():
                network.backbone.save_pretrained(folder, save_original_format=False)
            self.tokenizer.save(folder)
            _save_tensors(network.head_tensors(), folder / HEAD)
        else:
            _save_tensors(self.delta, folder / DELTA)
            (folder / BASE).write_text(json.dumps(self.base, indent=2) + "\n", "utf-8")
        self.write_records(folder)
        if self.offset_judge is not None:
            (folder / OFFSET).mkdir()
            self.offset_judge.save(folder / OFFSET)

    def _restore(self, folder: Path) -> None:
        self.is_restored = True
        self.read_records(folder)
        if (folder / DELTA).is_file():
            self.made_with = json.loads((folder / BASE).read_text("utf-8")) or {}
            self.check_base(self.made_with)
            self.set_delta(load_file(folder / DELTA), place=str(folder))
        else:
            self.source = Source(str(folder))
            network = self.wrap(self.load_backbone())
            network.fill_head(load_file(folder / HEAD))
            self.set_network(network)
        if self.offset_settings is not None:
            made = offset_model(self.offset_settings, self.seed)
            self.offset_judge = type(made).load(folder / OFFSET, made.settings, seed=self.seed)

    def check_base(self, recorded: Mapping[str, object]) -> None:
        """Check that the weights of the base are those the judge was made from.

        Raises:
            ArtifactError: Stating both hashes.
        """
        expected, found = recorded.get("sha256"), (self.source.base or {}).get("sha256")
        if expected != found:
            raise ArtifactError(
                f"this judge was made from weights with SHA-256 {expected}, and {self.settings.name} has {found}; "
                "install or name the weights it was made from"
            )

    def set_delta(self, delta: adapters.Tensors, *, place: str) -> Self:
        """Set adapters, biases and head made elsewhere, on the backbone that the settings name.

        Raises:
            ArtifactError: If they are those of another network.
        """
        self.delta = delta
        network = self.initial_network(rank=adapters.rank_of(delta), trains=False)
        adapters.fill_adapter(network, delta, place=place)
        self.set_network(network)
        return self

    @classmethod
    def averaged(cls, members: Sequence[Self]) -> Self:
        """Return one member with the mean of the weights of several (Wortsman et al. 2022, "Model soups").

        Adapters are joined so that the mean is exact: k of rank r become one of rank k r.
        """
        first = members[0]
        first.records = cls.joined_records(members)
        if deltas := [member.delta for member in members if member.delta is not None]:
            return first.set_delta(adapters.averaged_adapters(deltas), place="the mean of the members")
        # in double precision, so that the mean is rounded once
        states = [member.fitted.state_dict() for member in members]
        mean = {
            name: torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)
            for name, value in states[0].items()
        }
        first.fitted.load_state_dict(mean)
        return first


def _save_tensors(tensors: Mapping[str, torch.Tensor], file: Path) -> None:
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, file)
