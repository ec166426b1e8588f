"""How the weights of a causal backbone are held: full, half, 8 bits or 4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch

from votecast.errors import ConfigError
from votecast.models.neural.quiet import quietly
from votecast.training.precision import bitsandbytes, choose_precision

Compute = Literal["auto", "fp32", "bf16", "fp16"]

_TYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
_QUANTIZED = {"nf4": 4, "int8": 8}


def load_options(weights: str, double_quantization: bool, compute: Compute, config: Any) -> dict[str, Any]:
    """Keywords of `from_pretrained` for a way of holding weights.

    A checkpoint that is stored in 4 or 8 bits keeps them as they are: it is loaded with `nf4` or `int8` and its own
    constants, and never quantised again. Any other way of holding it is refused, because rounding it once more, or
    blowing it up, is not what training on it was.

    Args:
        weights: "fp32", "bf16", "fp16", "int8" or "nf4".
        double_quantization: Whether the constants of 4 bits are quantised too (Dettmers et al. 2023, section 3).
        compute: What quantised weights are computed with, and what all others are held in.
        config: The configuration of the model.

    Raises:
        ConfigError: If the checkpoint is stored in another way than the settings say.
        MissingExtraError: If bitsandbytes is needed and not installed; the message holds the command.
    """
    stored = stored_bits(config)
    if stored != _QUANTIZED.get(weights) and stored is not None:
        fit = next(name for name, bits in _QUANTIZED.items() if bits == stored)
        raise ConfigError(
            f"the weights of this model are stored in {stored} bits, and model.weights is {weights}; "
            f"set it to {fit}, which leaves them as they are"
        )
    if weights not in _QUANTIZED:
        return {"dtype": _TYPES[weights]}
    bitsandbytes()
    options: dict[str, Any] = {"dtype": _TYPES[compute_type(compute)]}
    if stored is None:
        options["quantization_config"] = _quantization(weights, double_quantization, options["dtype"])
    return options


def stored_bits(config: Any) -> int | None:
    """The bits in which a checkpoint is stored by bitsandbytes; None if it is not quantised.

    Raises:
        ConfigError: If it is quantised by another method.
    """
    described = getattr(config, "quantization_config", None)
    if described is None:
        return None
    known = described if isinstance(described, dict) else described.to_dict()
    method = getattr(known.get("quant_method"), "value", known.get("quant_method"))
    if known.get("load_in_4bit"):
        return 4
    if known.get("load_in_8bit"):
        return 8
    raise ConfigError(
        f"the weights of this model are stored in the format {method!r}; allowed are the 4 and 8 bits of bitsandbytes, "
        "and weights that are not quantised"
    )


def compute_type(compute: Compute) -> Literal["fp32", "bf16", "fp16"]:
    """What quantised weights are computed with; "auto" is bf16 where the hardware has it, else fp16 on CUDA."""
    if compute != "auto":
        return compute
    cuda = torch.cuda.is_available()
    found = choose_precision("auto", torch.device("cuda" if cuda else "cpu"))
    return "fp16" if cuda and found == "fp32" else found


def computing_in(compute: Compute, model: Any) -> Any:
    """A model whose layers of 4 bits compute as asked, also where their checkpoint was stored with another wish.

    On CPUs with avx512_bf16 these layers would rearrange and round their constants in the first forecast; they are kept
    from it, so that a training that forecasts on its way goes on with the weights it began with.
    """
    kind = getattr(torch, _TYPES[compute_type(compute)])
    for module in model.modules():
        if hasattr(module, "compute_dtype") and hasattr(module, "quant_state"):
            module.compute_dtype, module.compute_type_is_set = kind, True
            module.support_avx512bf16_for_cpu = False
    return model


def is_quantized(model: Any) -> bool:
    """Whether a layer of a model is held in 4 or 8 bits."""
    return any(type(p).__name__ in {"Params4bit", "Int8Params"} for p in model.parameters())


def in_memory(model: Any, options: Mapping[str, Any]) -> Any:
    """A model made in memory, held as if it had been loaded with these options.

    Args:
        model: A model of transformers in full precision.
        options: Keywords of `from_pretrained`.
    """
    if "quantization_config" not in options:
        return model.to(getattr(torch, options["dtype"]))
    with quietly():
        return type(model).from_pretrained(None, config=model.config, state_dict=model.state_dict(), **options)


def _quantization(weights: str, double: bool, dtype: str) -> Any:
    from transformers import BitsAndBytesConfig

    if weights == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=double,
        bnb_4bit_compute_dtype=getattr(torch, dtype),
    )
