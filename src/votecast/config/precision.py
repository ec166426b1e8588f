"""What a device computes in, and the precision that a setting gets there.

Training, inference and weights of few bits ask before a model is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from votecast.errors import ConfigError

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Arithmetic:
    """What a device computes in beside fp32.

    Args:
        name: The device, for messages.
        bf16: Whether its hardware computes in bf16; emulated bf16 is slower than fp32.
        fp16: Whether it is a GPU that computes faster in fp16 than in fp32.
    """

    name: str
    bf16: bool
    fp16: bool


def arithmetic_of(device: torch.device) -> Arithmetic:
    """Return what a device computes in.

    Example:
        >>> import torch
        >>> arithmetic_of(torch.device("cpu")).fp16
        False
    """
    import torch

    if device.type == "cuda":
        with torch.cuda.device(device):
            has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        # tensor cores, and the P100; other GPUs before them compute in fp16 at a 64th of the speed
        has_fp16 = (capability := torch.cuda.get_device_capability(device)) >= (7, 0) or capability == (6, 0)
        return Arithmetic(f"{device} ({torch.cuda.get_device_name(device)})", has_bf16, has_fp16)
    # torch has no public function
    has_bf16 = hasattr(torch.cpu, "_is_avx512_bf16_supported") and torch.cpu._is_avx512_bf16_supported()
    return Arithmetic(device.type, device.type == "cpu" and has_bf16, False)


def choose_precision(
    wanted: Literal["auto", "fp32", "bf16", "fp16"], device: torch.device, *, setting: str
) -> Precision:
    """Choose the precision on a device: "auto" is bf16 where the hardware has it, else fp16 on GPUs, else fp32.

    Args:
        wanted: What the setting says.
        device: Where the computation runs.
        setting: Name of the setting, for messages.

    Raises:
        ConfigError: If the device does not compute in the precision that is asked for.

    Example:
        >>> import torch
        >>> choose_precision("fp32", torch.device("cpu"), setting="model.training.precision")
        'fp32'
    """
    found = arithmetic_of(device)
    if wanted == "auto":
        return "bf16" if found.bf16 else "fp16" if found.fp16 else "fp32"
    # CPUs without bf16 compute it as fp32 and round: slow, and the same numbers
    allowed = {"auto": True, "fp32": True, "bf16": found.bf16 or device.type == "cpu", "fp16": found.fp16}
    if not allowed[wanted]:
        names = [name for name, allows in allowed.items() if allows]
        raise ConfigError(
            f"{setting} is {wanted}, which {found.name} does not compute in; allowed there are "
            f"{', '.join(names[:-1])} and {names[-1]}"
        )
    return wanted
