"""What the card of a cascade says: which judges it asks in turn, what goes on to each, what that costs and saves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MEASURED = (
    "On prompts that the judges inside had not seen, and on which neither the thresholds nor the point of the frontier "
    "were chosen, with 95 % intervals clustered by prompt."
)


def opening(config: Mapping[str, Any]) -> str:
    """What it is."""
    judges = config["notes"]["cascade"]["judges"]
    return (
        f"A cascade of {len(judges)} judges, made by votecast {config['made_with']['votecast']}: each passes on the "
        "rows of which it is not sure enough. Given a prompt and two answers it forecasts how people vote: A wins, B "
        "wins, tie."
    )


def data(config: Mapping[str, Any]) -> str:
    """The judges, and the votes on which the thresholds were fitted."""
    found, labels = config["notes"]["cascade"], config["facts"]["labels"]
    lines = ["## Judges", "", "| judge | hash | log loss alone | s for 1,000 rows | goes on from an entropy of |"]
    lines += ["|---|---|---|---|---|"]
    for judge, threshold in zip(found["judges"], [*found["thresholds"], None], strict=True):
        cells = [_plain(judge["label"]), judge["hash"][:12], f"{judge['log_loss']:.4f}"]
        cells += [f"{judge['seconds_per_1000']:.3g}", "nothing goes on" if threshold is None else f"{threshold:.4f}"]
        lines.append("| " + " | ".join(cells) + " |")
    votes = ", ".join(f"{name} {share:.1%}" for name, share in labels.items())
    lines += ["", f"Thresholds fitted on {found['rows']:,} votes, {found['prompts']:,} prompts; votes: {votes}."]
    return "\n".join(lines)


def how(config: Mapping[str, Any]) -> str:
    """What the thresholds were fitted to, and what came of it."""
    found, folds = config["notes"]["cascade"], config["facts"]["folds"]
    saved, measured = found["frontier"][found["chosen"]], found["measured"]
    lines = [
        "## How it was made",
        "",
        f"- goal: {found['goal']}",
        f"- the saved cascade: {_told(found, saved)}",
        f"- chosen anew on other prompts, the procedure costs {_told(found, measured)}",
        "- times are of the run that made it",
        f"- its figures: thresholds over {folds['n']} folds, grouped by prompt",
        f"- calibration on top: {config['calibration']['method']}",
        f"- seed: {config['recipe']['seed']}",
        "- the judges lie whole in `members/0`, each with a card of its own",
        "- all settings, and the frontier, are in `config.json`",
        "- `prompt_hashes.safetensors` lets votecast refuse to test it on prompts of its judges or of these votes",
    ]
    return "\n".join(lines)


def _told(found: Mapping[str, Any], point: Mapping[str, Any]) -> str:
    *before, last = (_plain(judge["label"]) for judge in found["judges"])
    on = ", ".join(f"{share:.1%} from {name}" for share, name in zip(point["goes_on"], before, strict=True))
    above = f"{_interval(point['cost'])} log loss above {last} alone"
    return f"{above}, {point['speed_up']:.2f} times as fast; goes on: {on}"


def _interval(cost: Mapping[str, float | None]) -> str:
    low, high = cost["low"], cost["high"]
    ends = "" if low is None or high is None else f" ({low:+.4f} to {high:+.4f})"
    return f"{cost['value']:+.4f}{ends}"


def _plain(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
