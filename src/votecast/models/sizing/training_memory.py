"""What the training of a network takes of a device: weights, gradients, moments and activations, in bytes.

`judges.estimate` shows it, and training compares it with the memory of the device before it begins.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from transformers import PretrainedConfig

from votecast.inference.causal_layer import has_known_layers
from votecast.models.sizing.activations import Pass, decoder_activations, encoder_activations
from votecast.models.sizing.network_size import NetworkSize
from votecast.training.settings import TrainingSettings
from votecast.training.summary import LEAST_IN_BITS

# Dettmers et al. 2023 ("QLoRA", section 3): blocks of 64 weights with one constant each, in fp32, or in 8 bits with one
# constant in fp32 for 256 of them: 0.127 bits a weight.
NF4, NF4_DOUBLE = 0.5 + 4 / 64, 0.5 + 1 / 64 + 4 / (64 * 256)
_MOMENTS_BLOCK = 256  # of bitsandbytes: numbers with one constant


@dataclass(frozen=True)
class MemoryParts:
    """Bytes of a training on one device.

    Args:
        weights: Of the network.
        gradients: Of the trained weights.
        optimizer: Moments of the optimizer, and averages of weights where there are some.
        activations: The most that live at once of one pass.
        peak: The most that live at once of everything.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    peak: int

    @property
    def fixed(self) -> int:
        """Bytes that no smaller pass saves."""
        return self.weights + self.gradients + self.optimizer

    def to_dict(self) -> dict[str, int]:
        """Return the parts as JSON-able values."""
        return asdict(self)


@dataclass(frozen=True)
class NumberFormats:
    """How numbers are held and computed.

    Args:
        weights: fp32, bf16, fp16, int8 or nf4.
        double: Whether the constants of 4 bits are held in 8 bits.
        few_bits_compute: NumberFormats of weights of few bits.
        precision: NumberFormats of the pass: fp32, bf16 or fp16.
    """

    weights: str = "fp32"
    double: bool = True
    few_bits_compute: str = "bf16"
    precision: str = "bf16"

    @property
    def few_bits(self) -> bool:
        """Whether the linear layers of the backbone are held in 4 or 8 bits."""
        return self.weights in ("nf4", "int8")

    @property
    def held(self) -> int:
        """Bytes of a weight that is not held in few bits, and of a number between the layers."""
        kind = self.few_bits_compute if self.few_bits else self.weights
        return 4 if kind == "fp32" else 2

    @property
    def product(self) -> int:
        """Bytes of a number in products: autocast to fp32 does not widen what is held in half precision."""
        return 2 if self.precision != "fp32" else self.held


def weight_bytes(size: NetworkSize, formats: NumberFormats) -> int:
    """Return the bytes of the weights: of an adapter and its head in fp32, of the rest as it is held."""
    adapter = size.trained if size.lowest >= 0 and size.adapted else 0
    rest = size.total - adapter
    if not formats.few_bits:
        return 4 * adapter + formats.held * rest
    each = 1.0 if formats.weights == "int8" else NF4_DOUBLE if formats.double else NF4
    return 4 * adapter + math.ceil(each * size.linear) + formats.held * (rest - size.linear)


def moment_bytes(size: NetworkSize, training: TrainingSettings, width: int = 4) -> int:
    """Return the bytes of both moments of AdamW, and of averages of the weights.

    Args:
        size: Of the network.
        training: How it is trained.
        width: Bytes of a trained weight.
    """
    if training.optimizer.endswith("8bit"):
        sizes = size.trained_sizes
        moments = sum(2 * (n + 4 * math.ceil(n / _MOMENTS_BLOCK)) if n >= LEAST_IN_BITS else 2 * 4 * n for n in sizes)
    else:
        moments = 2 * width * size.trained
    copies = {"none": 0, "ema": 1, "last": training.average_last}[training.average]
    return moments + copies * width * size.trained


def training_memory(
    config: PretrainedConfig,
    size: NetworkSize,
    training: TrainingSettings,
    formats: NumberFormats,
    work: tuple[int, int],
    *,
    passes: int,
    dropout: float = 0.0,
    on_cpu: bool = False,
) -> MemoryParts:
    """Estimate the memory of one training.

    Args:
        config: Of the backbone.
        size: Of the network.
        training: How it is trained.
        formats: How numbers are held and computed.
        work: Sequences of the largest pass, and tokens of each.
        passes: Passes of a step.
        dropout: Of the adapters.
        on_cpu: Whether it is trained on a CPU.
    """
    one = Pass(*work, states=formats.held, product=formats.product, on_cpu=on_cpu)
    if has_known_layers(config):
        kept = decoder_activations(config, size, one, dropout=dropout, few_bits=formats.few_bits)
    else:
        kept = encoder_activations(config, size, one, dropout=dropout)
    active = size.layers - max(size.lowest, 0)
    activations = kept.peak(active, checkpointing=training.gradient_checkpointing)
    width = 4 if size.adapted else formats.held
    weights, gradients = weight_bytes(size, formats), width * size.trained
    optimizer = moment_bytes(size, training, width)
    # a single pass has no gradients when its activations are most, and all when they are gone; further passes add to
    # gradients that are there, and make each one anew before they add it
    largest = width * max(size.trained_sizes, default=0)
    together = max(activations, gradients) if passes == 1 else gradients + max(activations, largest)
    return MemoryParts(
        weights, gradients, optimizer, math.ceil(activations), peak=math.ceil(weights + optimizer + together)
    )


def number_formats(settings: Any, precision: str) -> NumberFormats:
    """Return how a family's settings hold and compute numbers, with `auto` resolved to a precision of the device."""
    if not hasattr(settings, "weights"):
        return NumberFormats("fp32", precision=precision)
    compute = precision if settings.compute == "auto" else settings.compute
    return NumberFormats(settings.weights, settings.double_quantization, compute, precision)
