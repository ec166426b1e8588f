"""What the judges on causal models share: precision of the weights, adapters that stay beside them, and padding.

The families `decoder` and `reward` derive from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

from torch import Tensor
from transformers import PreTrainedModel

from votecast.config import current_launch
from votecast.errors import ConfigError
from votecast.inference.devices import devices_of
from votecast.models.neural.backbone import Kind
from votecast.models.neural.examples import NeuralPrepared
from votecast.models.neural.neural_model import DELTA, NeuralModel
from votecast.models.neural.pair_network import PairNetwork
from votecast.models.neural.peft_checkpoint import load_adapter
from votecast.models.neural.quantization import compute_type, load_options, set_compute_type
from votecast.text.tokenization import Tokenizer, load_tokenizer
from votecast.training.mixed_precision import bitsandbytes
from votecast.training.settings import TrainingSettings
from votecast.types import Floats, Probabilities


class CausalModel(NeuralModel):
    """A member of a judge on a causal language model."""

    kind: ClassVar[Kind] = "decoder"
    brings_tokenizer = False

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The backbone's tokenizer; the end of a text pads where it has no padding token."""
        return self.source.tokenizer(eos_as_padding=True)

    @property
    def merges(self) -> bool:
        """Whether adapters are added to the weights of the base before predictions: exact in fp32 alone."""
        return bool(self.settings.adapter is not None and self.settings.weights == "fp32")

    @property
    def training(self) -> TrainingSettings:
        """How the network is trained: with a scaled loss where its few bits are computed in fp16."""
        found = super().training
        few = self.settings.weights in ("nf4", "int8") and compute_type(self.settings.compute) == "fp16"
        return found.model_copy(update={"precision": "fp16"}) if few and found.precision == "auto" else found

    @property
    def load_options(self) -> dict[str, object]:
        """Keywords with which transformers loads the weights: their precision, and their devices."""
        held = self.settings
        options = load_options(held.weights, held.double_quantization, held.compute, self.source.config())
        if held.device_map is not None:
            if (count := current_launch().local_processes) > 1:
                raise ConfigError(
                    f"model.device_map is auto, which spreads one model over all GPUs, and {count} processes have "
                    "been started, each with a GPU of its own; set it to null, or start one process"
                )
            return options | {"device_map": held.device_map}
        # few bits are made on the device where they stay: transformers would take the first GPU in every process
        device = {"": str(devices_of(held.inference)[0])}
        return options | ({"device_map": device} if held.weights in ("nf4", "int8") else {})

    def check_training(self) -> None:
        """Check, before votes are read, that the packages, precisions and model of the settings are available."""
        if self.settings.weights in ("nf4", "int8"):
            bitsandbytes()
        super().check_training()
        _ = self.load_options

    @property
    def base_key(self) -> tuple[object, ...]:
        """What the weights of the backbone depend on."""
        held = self.settings
        return (*super().base_key, held.weights, held.double_quantization, held.compute, held.device_map)

    def load_backbone(self) -> PreTrainedModel:
        """Load the bare model, with weights in the precision that the settings say."""
        held = self.settings
        model = self.source.load(self.kind, dropout=held.dropout, options=self.load_options)
        return set_compute_type(held.compute, model)

    def new_network(self, prepared: NeuralPrepared, targets: Probabilities, weights: Floats) -> PairNetwork:
        """Make the network as it is before the first step, with the adapter that `model.start` names."""
        held = self.settings.weights
        if self.settings.adapter is None and held not in ("fp32", "bf16"):
            raise ConfigError(
                f"weights is {held}, and without adapter the weights themselves are trained, in fp32 or bf16; "
                "set adapter, such as {rank: 16}, or weights fp32"
            )
        network = super().new_network(prepared, targets, weights)
        if self.settings.start is not None:
            load_adapter(network, self.settings.start)
        return network

    def set_weights(self, tensors: Mapping[str, Tensor], *, place: str) -> Self:
        """Set weights made elsewhere, on the backbone that the settings name.

        Args:
            tensors: Adapter and head by the names of the network; the head alone where there is no adapter.
            place: Where they are from, for messages.

        Raises:
            ArtifactError: If they are those of another network.
        """
        if self.settings.adapter is not None:
            return self.set_delta(dict(tensors), place=place)
        network = self.wrap(self.load_backbone())
        network.fill_head(tensors)
        self.set_network(network)
        return self

    def save(self, folder: Path) -> None:
        """Write weights and the records of the training, and a tokenizer that is not the base's."""
        super().save(folder)
        if self.brings_tokenizer:
            self.tokenizer.save(folder)

    def _restore(self, folder: Path) -> None:
        super()._restore(folder)
        # only an imported adapter has a tokenizer beside it; others take that of their base
        if (folder / DELTA).is_file() and (folder / "tokenizer.json").is_file():
            self.tokenizer, self.brings_tokenizer = load_tokenizer(folder, eos_as_padding=True), True
