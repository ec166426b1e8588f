"""Weights of a causal backbone in full or half precision, 8 bits or 4: options for loading, and checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from transformers import BitsAndBytesConfig, PretrainedConfig, PreTrainedModel

from votecast.config.precision import Precision, choose_precision
from votecast.errors import ConfigError
from votecast.models.neural.hub import silence_transformers
from votecast.training.mixed_precision import DTYPES, bitsandbytes

Compute = Literal["auto", "fp32", "bf16", "fp16"]

_BITS = {"nf4": 4, "int8": 8}


def load_options(
    weights: str, double_quantization: bool, compute: Compute, config: PretrainedConfig
) -> dict[str, object]:
    """Return the keywords of `from_pretrained` for weights of some precision.

    A checkpoint that is stored in 4 or 8 bits is loaded with `nf4` or `int8` and its own constants, and never quantized
    again. Other settings are refused for it: rounding it again, or expanding it, would change what it was trained with.

    Args:
        weights: "fp32", "bf16", "fp16", "int8" or "nf4".
        double_quantization: Whether the constants of 4 bits are quantized too (Dettmers et al. 2023, section 3).
        compute: Arithmetic of quantized weights.
        config: The configuration of the model.

    Raises:
        ConfigError: If the checkpoint is stored in another way than the settings say.
        MissingExtraError: If bitsandbytes is needed and not installed; the message holds the command.
    """
    stored = stored_bits(config)
    if stored is not None and stored != _BITS.get(weights):
        fit = next(name for name, bits in _BITS.items() if bits == stored)
        raise ConfigError(
            f"the weights of this model are stored in {stored} bits, and model.weights is {weights}; "
            f"set it to {fit}, which leaves them as they are"
        )
    if weights not in _BITS:
        return {"dtype": DTYPES[weights]}
    bitsandbytes()
    dtype = DTYPES[compute_type(compute)]
    if stored is not None:
        return {"dtype": dtype}
    if weights == "int8":
        return {"dtype": dtype, "quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
    four_bits = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": double_quantization}
    quantization = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=dtype, **four_bits)
    return {"dtype": dtype, "quantization_config": quantization}


def stored_bits(config: PretrainedConfig) -> int | None:
    """Return the bits in which a checkpoint is stored by bitsandbytes; None if it is not quantized.

    Raises:
        ConfigError: If it is quantized by another method.
    """
    # plain checkpoints have no such attribute, or None
    described = config.quantization_config if hasattr(config, "quantization_config") else None
    if described is None:
        return None
    known = described if isinstance(described, dict) else described.to_dict()
    if known.get("load_in_4bit"):
        return 4
    if known.get("load_in_8bit"):
        return 8
    raise ConfigError(
        f"the weights of this model are stored in the format {known.get('quant_method')!r}; allowed are the 4 and 8 "
        "bits of bitsandbytes, and weights that are not quantized"
    )


def compute_type(compute: Compute) -> Precision:
    """Return the arithmetic of quantized weights; "auto" is bf16 where the hardware has it, else fp16 on GPUs.

    Raises:
        ConfigError: If the GPU does not compute in what is asked for.
    """
    if not torch.cuda.is_available() and compute == "fp16":
        return compute  # bitsandbytes has it on every CPU
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return choose_precision(compute, device, setting="model.compute")


def set_compute_type(compute: Compute, model: PreTrainedModel) -> PreTrainedModel:
    """Let the layers of 4 bits of a model compute in some precision, whatever their checkpoint says."""
    dtype = DTYPES[compute_type(compute)]
    for module in model.modules():
        if hasattr(module, "compute_dtype") and hasattr(module, "quant_state"):
            module.compute_dtype, module.compute_type_is_set = dtype, True
            # On CPUs with avx512_bf16 the first forward pass would rearrange and round the constants: a training that
            # evaluates in between would go on with other weights than it began with.
            module.support_avx512bf16_for_cpu = False
    return model


def convert_in_memory(model: PreTrainedModel, options: Mapping[str, object]) -> PreTrainedModel:
    """Convert a model in full precision as if it had been loaded with these keywords of `from_pretrained`."""
    if "quantization_config" not in options:
        for weight in model.parameters():  # not the frequencies of rotary positions, which stay in fp32 in a file too
            weight.data = weight.data.to(options["dtype"])
        return model
    with silence_transformers():
        return type(model).from_pretrained(None, config=model.config, state_dict=model.state_dict(), **options)
