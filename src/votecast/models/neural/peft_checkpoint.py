"""Adapters as peft saves them: read without running code, and renamed and scaled as votecast's own.

The import of decoders reads them, and a training may start from one (`model.start`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # the JSON of peft, which other programs write

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from votecast.artifacts import digest_of
from votecast.errors import ArtifactError, ConfigError
from votecast.models.neural.adapters import Tensors, fill_adapter, rank_of
from votecast.models.neural.pair_network import PairNetwork
from votecast.models.neural.weight_files import read_weights

CONFIG, JUDGE_CONFIG, DELTA = "adapter_config.json", "config.json", "delta.safetensors"
WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
HEAD = "score.weight"

_FACTOR = re.compile(r"(?:^|\.)(?P<module>layers\.\d+\..+)\.lora_(?P<side>[AB])(?:\.default)?\.weight$")
_BIAS = re.compile(r"(?:^|\.)(?P<module>layers\.\d+\..+)\.bias$")
_SCORE = re.compile(r"(?:^|\.)score(?:\.modules_to_save)?(?:\.default)?\.weight$")
_LAYER = re.compile(r"^layers\.(\d+)\.(.+)$")
# settings of peft under which the products are not B A, or not beside unchanged weights
_UNFIT = (
    "use_dora", "fan_in_fan_out", "lora_bias", "alpha_pattern", "layer_replication", "trainable_token_indices",
    "target_parameters", "use_qalora", "use_bdlora", "alora_invocation_tokens", "arrow_config", "kasa_config",
    "monteclora_config", "velora_config",
)  # fmt: skip
# initial adapters that are subtracted from the weights of the base
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq")
_OURS = "backbone.base_model.model."


@dataclass(frozen=True)
class PeftCheckpoint:
    """An adapter with its head.

    Args:
        folder: Where it was read from.
        base: Name or path of the weights it was trained on; None if its settings do not say.
        tensors: By the names of `votecast.models.neural.adapters.trained_tensors`; all of one rank and one scale.
        alpha: The scale of its products is alpha / rank.
        bias: Which biases it holds, as peft names them.
        all_layers: Whether it was made for every layer of its base.
        files: SHA-256 of its file of weights.
    """

    folder: Path
    base: str | None
    tensors: Tensors
    alpha: float
    bias: str
    all_layers: bool
    files: dict[str, str]

    @property
    def rank(self) -> int:
        """Rank of its adapters."""
        return rank_of(self.tensors) or 0

    @property
    def modules(self) -> list[str]:
        """Names of the adapted modules, such as `layers.0.self_attn.q_proj`."""
        return [_plain(name) for name in self.tensors if name.endswith(".lora_A.default.weight")]

    def settings(self, layers: int) -> dict[str, object]:
        """Return the settings `model.adapter` that describe it on a base with some number of layers.

        Raises:
            ArtifactError: If it was made for another number of layers.
        """
        found = sorted({int(match[1]) for name in self.modules if (match := _LAYER.match(name))})
        if found[-1] >= layers or (self.all_layers and len(found) != layers):
            raise ArtifactError(
                f"{self.folder} is an adapter for another base: it has layers {found[0]} to {found[-1]}, and the base "
                f"has {layers}; pass --base with the model it was trained on"
            )
        ends = sorted({match[2] for name in self.modules if (match := _LAYER.match(name))})
        whole = {f"layers.{layer}.{end}" for layer in range(found[0], found[-1] + 1) for end in ends}
        values: dict[str, object] = {"rank": self.rank, "alpha": self.alpha, "bias": self.bias}
        if whole != set(self.modules):
            return values | {"targets": self.modules}
        return values | {"targets": ends, "layers": None if len(found) == layers else [found[0], found[-1]]}


def is_peft_checkpoint(folder: Path) -> bool:
    """Return whether a folder holds an adapter and no whole model."""
    return (folder / CONFIG).is_file()


def read_peft_checkpoint(folder: Path) -> PeftCheckpoint:
    """Read an adapter for a causal model with a head of three labels: its settings and safetensors, or .bin.

    Raises:
        ArtifactError: If a part is missing, damaged or unsafe, the head is missing, or it is of a kind whose products
            are not B A beside unchanged weights.
    """
    config = _read_config(folder)
    file = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if file is None:
        raise ArtifactError(f"{folder} holds no weights; allowed are {' and '.join(WEIGHTS)} beside {CONFIG}")
    tensors = _renamed(folder, read_weights([file]))
    if HEAD not in tensors:
        raise ArtifactError(
            f"{folder} holds an adapter without its head ({HEAD}), which would be random. peft saves the head where "
            "task_type is SEQ_CLS, or modules_to_save names score; give a checkpoint made so, or train again"
        )
    check_head(folder, tensors[HEAD])
    alpha = _in_one_scale(folder, tensors, config)
    targets = config.get("target_modules")
    is_bare = isinstance(targets, list) and not any("." in str(name) for name in targets)
    partial = ("layers_to_transform", "rank_pattern", "exclude_modules")
    return PeftCheckpoint(
        folder,
        str(config.get("base_model_name_or_path") or "") or None,
        tensors,
        alpha,
        str(config.get("bias") or "none"),
        is_bare and not any(config.get(name) for name in partial),
        {file.name: digest_of(file)},
    )


def check_head(folder: Path, head: torch.Tensor) -> None:
    """Raise an ArtifactError, stating its shape, if a head has not two or three outputs."""
    if head.ndim != 2 or len(head) not in (2, 3):
        raise ArtifactError(
            f"{folder}: the head has shape {tuple(head.shape)}; a judge has three outputs, a, b and tie, or two, a and "
            "b: give checkpoints that were trained with num_labels 3 or 2"
        )


def _read_config(folder: Path) -> dict[str, Any]:
    """Read the settings of an adapter, if they are those of plain low-rank products beside unchanged weights."""
    try:
        config = json.loads((folder / CONFIG).read_text("utf-8"))
        if not isinstance(config, dict):
            raise TypeError("it holds no object")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ArtifactError(f"{folder / CONFIG} cannot be read: {error}; copy the folder again") from error
    if (kind := config.get("peft_type")) != "LORA":
        raise ArtifactError(
            f"{folder} is an adapter of the kind {kind!r}; allowed is LORA: merge it into its model (merge_and_unload) "
            "and import that"
        )
    start = str(config.get("init_lora_weights", "")).lower()
    unfit = [name for name in _UNFIT if config.get(name)]
    unfit += [f"init_lora_weights {start}"] if start.startswith(_CHANGES_BASE) else []
    if unfit:
        raise ArtifactError(
            f"{folder} uses {', '.join(unfit)} of peft, which plain low-rank adapters do not have; merge it into its "
            "model (merge_and_unload) and import that"
        )
    return config


def load_adapter(network: PairNetwork, folder: str | Path) -> None:
    """Write the adapter and head of a folder into a network that has new ones.

    Args:
        network: With adapters of the same rank, scale and targets.
        folder: What peft saved (a `checkpoint-5200`; its head gives a, b and tie in this order), a member of a judge,
            or the folder of a judge with one member.

    Raises:
        ConfigError: If rank or scale are not those of the settings.
        ArtifactError: If there is no adapter with its head, or it is one for another network.
    """
    place = Path(folder).expanduser()
    found = read_peft_checkpoint(place) if is_peft_checkpoint(place) else None
    tensors, alpha = (found.tensors, found.alpha) if found is not None else _member_adapter(place)
    own = network.backbone.peft_config["default"]
    rank = rank_of(tensors)
    if rank is None:
        raise ArtifactError(f"{place} holds no adapter; give a checkpoint with one, or remove model.start")
    if rank != own.r:
        raise ConfigError(f"model.adapter.rank is {own.r}, and {place} is an adapter of rank {rank}; set it to {rank}")
    if alpha is not None and alpha != own.lora_alpha:
        raise ConfigError(
            f"model.adapter.alpha is {own.lora_alpha:g}, and {place} is an adapter with alpha {alpha:g}; set it to that"
        )
    fill_adapter(network, tensors, place=str(place))


def _renamed(folder: Path, raw: Mapping[str, torch.Tensor]) -> Tensors:
    tensors: Tensors = {}
    adapted = {match["module"] for name in raw if (match := _FACTOR.search(name))}
    for name, value in raw.items():
        if match := _FACTOR.search(name):
            tensors[f"{_OURS}{match['module']}.lora_{match['side']}.default.weight"] = value
        elif match := _BIAS.search(name):
            inner = ".base_layer" if match["module"] in adapted else ""
            tensors[f"{_OURS}{match['module']}{inner}.bias"] = value
        elif _SCORE.search(name):
            tensors[HEAD] = value.float()
        elif ".original_module." not in name:
            raise ArtifactError(
                f"{folder} holds {name} of shape {tuple(value.shape)}; allowed are adapters and biases of the layers, "
                "and the head score.weight: merge it into its model (merge_and_unload) and import that"
            )
    if not adapted:
        raise ArtifactError(f"{folder} holds no adapter of a causal model's layers; give the folder that peft saved")
    return tensors


def _in_one_scale(folder: Path, tensors: Tensors, config: Mapping[str, Any]) -> float:
    """Bring all products to one rank and one scale; return the alpha that gives it."""
    downs = {name: _plain(name) for name in tensors if name.endswith(".lora_A.default.weight")}
    scales: dict[str, float] = {}
    alpha = config.get("lora_alpha")
    if not isinstance(alpha, int | float) or not math.isfinite(alpha) or alpha <= 0:
        raise ArtifactError(f"{folder / CONFIG}: lora_alpha is {alpha!r}, and must be above 0; copy the folder again")
    for down, module in downs.items():
        up = down.replace(".lora_A.", ".lora_B.")
        if up not in tensors or tensors[up].ndim != 2 or tensors[up].shape[1] != len(tensors[down]):
            raise ArtifactError(f"{folder} lacks a part of the adapter of {module}; copy the folder again")
        rank = len(tensors[down])
        scales[down] = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    rank = max(len(tensors[name]) for name in downs)
    scale = next(iter(scales.values()))
    for down, own in scales.items():
        up, more = down.replace(".lora_A.", ".lora_B."), rank - len(tensors[down])
        if own != scale:  # rsLoRA and ranks that differ by layer: the scale moves into the second factor
            tensors[up] = tensors[up].float() * (own / scale)
        if more:  # rows and columns of zeros change no product
            tensors[down] = torch.nn.functional.pad(tensors[down], (0, 0, 0, more))
            tensors[up] = torch.nn.functional.pad(tensors[up], (0, more))
    return scale * rank


def _plain(name: str) -> str:
    return name.removeprefix(_OURS).partition(".lora_")[0]


def _member_adapter(place: Path) -> tuple[Tensors, float | None]:
    members = sorted(path for path in (place / "members").glob("*") if (path / DELTA).is_file())
    if len(members) > 1:
        raise ConfigError(f"{place} is a judge with {len(members)} members; name one of them, such as {members[0]}")
    member = members[0] if members else place
    if not (member / DELTA).is_file():
        raise ArtifactError(
            f"{place} holds no adapter; allowed are a folder that peft saved (adapter_config.json), a judge on "
            f"adapters, or a member of it ({DELTA})"
        )
    try:
        tensors = dict(load_file(member / DELTA))
        described = json.loads((member.parent.parent / JUDGE_CONFIG).read_text("utf-8"))
        return tensors, float(described["recipe"]["model"]["adapter"]["alpha"])
    except FileNotFoundError:  # a member that was copied out of its judge
        return tensors, None
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ArtifactError(f"{member} is damaged: {type(error).__name__}: {error}; copy it again") from error
