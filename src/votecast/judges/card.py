"""The model card: what a judge is, what it was trained on, what it reaches and what not to use it for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from votecast.calibration.description import describe, first_calibrator
from votecast.judges import card_calibrated, card_cascade, card_ensemble, card_imported, card_link
from votecast.judges.card_words import base_named, cell, in_order

SHOWN = {
    "log_loss": "log loss",
    "accuracy": "accuracy",
    "brier": "Brier score",
    "ece": "ECE (top label)",
    "agreement_decided": "agreement on decided rows",
    "flip_rate": "flip rate",
}

MEASURED = "On rows that neither the members nor the calibrator had seen, with 95 % intervals clustered by prompt."

_MADE_OF_JUDGES = {"ensemble": card_ensemble, "cascade": card_cascade}
"""Note of a judge that is made of others -> what its card says."""

INTENDED_USE = """## Intended use and limits

For forecasting the votes of people like those who cast the votes above, on prompts like theirs: choosing between
answers, ranking models, estimating how close a comparison is.

A forecast of taste is not a check of truth: a preferred answer can be wrong, and a judge reads form (length, structure,
wording) more readily than fact. On another crowd, language or task the probabilities are no longer calibrated: measure
with `votecast evaluate` on votes of your own before relying on them. Do not use it to decide about people."""


def model_card(config: Mapping[str, Any]) -> str:
    """Write the README.md of a judge folder.

    Args:
        config: The folder's settings, facts, figures and notes.

    Returns:
        Markdown without any text of the training data.
    """
    made_with = first_calibrator(config["calibration"])
    config = {**config, "calibration": {**made_with, "method": describe(made_with)}}
    imported = config["notes"].get("imported")
    made_of_judges = next((card for note, card in _MADE_OF_JUDGES.items() if note in config["notes"]), None)
    if made_of_judges is not None:
        return _card_of_judges(config, made_of_judges)
    parts = [
        f"# {config['name']}",
        card_imported.opening(config) if imported else _opening(config),
        card_imported.data(imported["votes"]) if imported else _data(config["facts"], config["notes"]),
        _figures(config["figures"], card_imported.MEASURED if imported else MEASURED),
        *card_calibrated.sections(config["notes"]),
        card_imported.how(config) if imported else _how(config),
        "\n\n".join([INTENDED_USE, *_limits(config["notes"])]),
    ]
    return "\n\n".join(parts) + "\n"


def _card_of_judges(config: Mapping[str, Any], card: Any) -> str:
    parts = [
        f"# {config['name']}",
        card.opening(config),
        card.data(config),
        *_origins(config["notes"]),
        _figures(config["figures"], card.MEASURED),
        *card_calibrated.sections(config["notes"]),
        card.how(config),
        "\n\n".join([INTENDED_USE, *_limits(config["notes"])]),
    ]
    return "\n\n".join(parts) + "\n"


def _opening(config: Mapping[str, Any]) -> str:
    return (
        f"A judge of the family `{config['family']}`, trained by votecast {config['made_with']['votecast']}. "
        "Given a prompt and two answers it forecasts how people vote: A wins, B wins, tie."
    )


def _data(facts: Mapping[str, Any], notes: Mapping[str, Any]) -> str:
    labels = ", ".join(f"{name} {share:.1%}" for name, share in facts["labels"].items())
    lines = ["## Training data", "", f"{facts['rows']:,} rows; votes: {labels}."]
    if facts["sources"]:
        lines += ["", "| source | rows |", "|---|---|"]
        lines += [f"| {cell(name)} | {count:,} |" for name, count in facts["sources"].items()]
    origins = _origins(notes) or [
        "Licence and origin of the votes are those of the file they came from; votecast was not told them."
    ]
    return "\n".join([*lines, "", *origins])


def _origins(notes: Mapping[str, Any]) -> list[str]:
    """A table of where votes come from, if that is known."""
    origins = notes.get("data_sources", [])
    if not origins:
        return []
    keys = in_order(origins[0], ("source", "origin", "licence", "attribution"))
    lines = ["| " + " | ".join(keys) + " |", "|" + "---|" * len(keys)]
    lines += ["| " + " | ".join(cell(entry.get(key, "")) for key in keys) + " |" for entry in origins]
    return ["\n".join(lines)]


def _figures(figures: Mapping[str, Any], measured: str) -> str:
    lines = ["## Figures", ""]
    if not figures:
        return "\n".join([*lines, "None were measured when the judge was saved; `votecast evaluate` measures them."])
    lines += [measured, ""]
    lines += ["| metric | value | 95 % interval |", "|---|---|---|"]
    for key, shown in SHOWN.items():
        entry = figures["metrics"].get(key)
        if isinstance(entry, Mapping) and entry.get("value") is not None:
            low, high = entry.get("low"), entry.get("high")
            interval = f"{low:.4f} to {high:.4f}" if low is not None and high is not None else ""
            lines.append(f"| {shown} | {entry['value']:.4f} | {interval} |")
    baselines = figures.get("baselines", {})
    for name in in_order(baselines, ("uniform", "prior", "longer")):
        loss = baselines[name].get("log_loss", {})
        if loss.get("value") is not None:
            lines.append(f"| log loss of {name.replace('_', ' ')}, for comparison | {loss['value']:.4f} | |")
    return "\n".join(lines)


def _how(config: Mapping[str, Any]) -> str:
    folds = config["facts"]["folds"]
    recipe = config["recipe"]
    only = "" if folds.get("only") is None else f"; only fold {folds['only']} was trained and measured"
    return "\n".join(
        [
            "## How it was made",
            "",
            f"- folds: {folds['method']}, {folds['n']}{only}",
            f"- kept: {_kept(config)}",
            *_optional(config),
            f"- calibration: {config['calibration']['method']}"
            + (", fitted on out-of-fold forecasts only" if config["calibration"]["method"] != "none" else ""),
            f"- seed: {recipe['seed']}",
            "- all settings are in `config.json`",
            "- `prompt_hashes.safetensors` lets votecast refuse to test the judge on its own training prompts",
        ]
    )


def _kept(config: Mapping[str, Any]) -> str:
    folds = config["facts"]["folds"]
    if "scores" in config["notes"]:
        return "one link fitted on all rows"
    if config["members"] > 1:
        return f"{config['members']} models, averaged"
    if config["recipe"].get("final") == "average_weights" and folds.get("only") is None:
        return f"one model with the mean of the weights of {folds['n']}"
    return "one model" if folds.get("only") is not None or folds["n"] == 1 else "one model trained on all rows"


def _optional(config: Mapping[str, Any]) -> list[str]:
    """What only some judges have: fewer rows, texts that were cut, weights that lie elsewhere."""
    notes, cut, base, lines = config["notes"], config["facts"].get("cut"), config.get("base"), []
    if drawn := notes.get("drawn"):
        lines.append(f"- rows: {drawn['rows']:,} of {drawn['of']:,}, drawn with equal shares of every label")
    if cut:
        kept = ", ".join(f"{cut['kept'][name]:.1%} of {name}" for name in in_order(cut["kept"], ("prompt", "a", "b")))
        lines.append(f"- cut: {cut['rows_cut']:,} of {cut['rows']:,} rows are too long for it; tokens kept: {kept}")
    lines += [] if config.get("link") is None else card_link.lines(config["link"], notes.get("scores"))
    if base:
        lines.append(f"- built on weights that are not in this folder: {base_named(base)}")
    return lines


def _limits(notes: Mapping[str, Any]) -> list[str]:
    """What is known to go wrong with this very judge, one sentence each."""
    known = notes.get("limits", [])
    lines = [f"- {' '.join(str(limit).split())}" for limit in known]
    return ["Known of this judge:\n\n" + "\n".join(lines)] if lines else []
