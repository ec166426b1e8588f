"""What the card of an ensemble says: which judges are in it, what each counts, and what it gains over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from votecast.judges.card_words import base_named, cell

MEASURED = (
    "On prompts that neither the judges inside nor what joins them had seen, with 95 % intervals clustered by prompt."
)

METHODS = {
    "mean": "the geometric mean of their forecasts, with equal weights; nothing is fitted",
    "weights": "the geometric mean of their forecasts, with the weights of the least log loss",
    "greedy": "the geometric mean of their forecasts, with weights by greedy selection with repeats",
    "stack/logistic": "a multinomial logistic regression on the logarithms of their forecasts, tied for a and b",
    "stack/lightgbm": "boosted trees on their forecasts, averaged over both orders of the answers",
}


def opening(config: Mapping[str, Any]) -> str:
    """What it is."""
    found = config["notes"]["ensemble"]
    return (
        f"An ensemble of {len(found['members'])} judges, made by votecast {config['made_with']['votecast']}. "
        "Given a prompt and two answers it forecasts how people vote: A wins, B wins, tie."
    )


def data(config: Mapping[str, Any]) -> str:
    """The judges, and the rows on which they were joined."""
    found, labels = config["notes"]["ensemble"], config["facts"]["labels"]
    lines = ["## Judges", "", "| judge | family | trained on | hash | weight | log loss | gain of the ensemble |"]
    lines += ["|---|---|---|---|---|---|---|", *map(_row, found["members"]), ""]
    votes = ", ".join(f"{name} {share:.1%}" for name, share in labels.items())
    rows = found["rows"]
    origin = "votes that none of them had seen" if rows["rows_from"] == "votes" else "out-of-fold rows that they share"
    lines.append(f"Joined and measured on {rows['fitted']:,} {origin}, {rows['prompts']:,} prompts; votes: {votes}.")
    if rows["refused"]:
        counts = ", ".join(f"{cell(label)} {count:,}" for label, count in rows["refused"].items())
        lines += ["", f"Rows refused because prompts like theirs were in the training part of a judge: {counts}."]
    return "\n".join(lines)


def how(config: Mapping[str, Any]) -> str:
    """How the judges were joined, and what came of it."""
    found = config["notes"]["ensemble"]
    method = found["method"] + (f"/{found['stacker']}" if "stacker" in found else "")
    best = next(member for member in found["members"] if member["label"] == found["best"])
    verdict = "better" if found["better"] else "not better, beyond what chance could do,"
    folds = config["facts"]["folds"]
    lines = [
        "## How it was made",
        "",
        f"- {found['method']}: {METHODS[method]}",
        f"- {verdict} than {cell(found['best'])}, its best judge alone: log loss lower by {_interval(best['gain'])}",
        f"- its figures: combiners over {folds['n']} folds, grouped by prompt",
        *map(_base, (member for member in found["members"] if member.get("base"))),
        f"- calibration on top: {config['calibration']['method']}",
        f"- seed: {config['recipe']['seed']}",
        "- the judges lie whole in `members/0`, each with a card of its own",
        "- all settings, and what was learnt, are in `config.json`",
        "- `prompt_hashes.safetensors` lets votecast refuse to test it on prompts that its judges were trained on",
    ]
    return "\n".join(lines)


def _row(member: Mapping[str, Any]) -> str:
    weight, trained = member["weight"], member["trained_on"]
    cells = [
        cell(member["label"]),
        cell(member["family"]),
        "unknown" if trained is None else f"{trained:,} rows",
        member["hash"][:12],
        "" if weight is None else "left out" if weight == 0 else f"{weight:.3f}",
        f"{member['metrics']['log_loss']:.4f}",
        _interval(member["gain"]),
    ]
    return "| " + " | ".join(cells) + " |"


def _base(member: Mapping[str, Any]) -> str:
    return f"- {cell(member['label'])} is built on weights that are not in this folder: {base_named(member['base'])}"


def _interval(gain: Mapping[str, float | None]) -> str:
    low, high = gain["low"], gain["high"]
    ends = "" if low is None or high is None else f" ({low:+.4f} to {high:+.4f})"
    return f"{gain['value']:+.4f}{ends}"
