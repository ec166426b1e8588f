"""The model card of a judge folder, rendered from the template `model_card.md.j2`.

`votecast.judges.judge_folder` writes it as README.md beside the settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, Template

from votecast.calibration.description import changes_nothing, describe, outcome

METRICS = {
    "log_loss": "log loss",
    "accuracy": "accuracy",
    "brier": "Brier score",
    "ece": "ECE (top label)",
    "agreement_decided": "agreement on decided rows",
    "flip_rate": "flip rate",
}
"""Metrics of the card, and their titles."""


def model_card(config: Mapping[str, Any]) -> str:
    """Write the README.md of a judge folder.

    Args:
        config: The folder's settings, facts, figures and notes.

    Returns:
        Markdown without any text of the training data.
    """
    notes, figures = config["notes"], config["figures"]
    kinds = ("ensemble", "cascade", "imported")
    origins = notes.get("data_sources", [])
    found = figures.get("metrics", {})
    losses = {name: entry.get("log_loss", {}).get("value") for name, entry in figures.get("baselines", {}).items()}
    recalibrations = [
        {**entry, "outcome": outcome(entry), "changes_nothing": changes_nothing(entry)}
        for entry in notes.get("calibration", [])
        if entry["on"] == "votes"
    ]
    # the calibrator a judge was trained with comes before later recalibrations
    calibration = config["calibration"]
    trained_with = calibration["parts"][0] if calibration["method"] == "chain" else calibration
    card = _template().render(
        {name: notes.get(name) for name in (*kinds, "drawn", "scores")}
        | dict(config)
        | {
            "kind": next((kind for kind in kinds if kind in notes), "trained"),
            "percent": "{:.1%}".format,
            "calibration_name": describe(trained_with),
            "files": notes["reading"] if isinstance(notes.get("reading"), list) else [],
            "origins": origins,
            "origin_columns": _in_order(origins[0], ("source", "origin", "licence", "attribution")) if origins else [],
            "metrics": [
                (title, {"low": None, "high": None} | found[name])
                for name, title in METRICS.items()
                if isinstance(found.get(name), Mapping) and found[name].get("value") is not None
            ],
            "baselines": [
                (name.replace("_", " "), losses[name])
                for name in _in_order(losses, ("uniform", "prior", "longer"))
                if losses[name] is not None
            ],
            "recalibrations": recalibrations,
            "limits": [" ".join(str(limit).split()) for limit in notes.get("limits", [])],
        }
    )
    return card.rstrip("\n") + "\n"


@cache
def _template() -> Template:
    environment = Environment(  # noqa: S701 - Markdown, not HTML
        loader=PackageLoader("votecast.judges", ""), trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["cell"] = _cell
    environment.filters["base_weights"] = _base_weights
    return environment.get_template("model_card.md.j2")


def _cell(value: object) -> str:
    """Write a value on one line, within its cell of a table."""
    return str(value).replace("|", "\\|").replace("\n", " ")


def _base_weights(base: Mapping[str, Any]) -> str:
    """Name the weights outside the folder that a judge is built on."""
    names = _in_order(base, ("name", "revision", "sha256", "licence"))
    return "; ".join(f"{name} {_cell(base[name])}" for name in names if base[name] is not None)


def _in_order(names: Iterable[str], first: Iterable[str]) -> list[str]:
    """Return the names of `first`, then the others sorted: config.json sorts its keys, and cards must not change.

    Example:
        >>> _in_order(["b", "a", "z"], ["z", "y"])
        ['z', 'a', 'b']
    """
    known, kept = set(names), list(first)
    return [name for name in kept if name in known] + sorted(known - set(kept))
