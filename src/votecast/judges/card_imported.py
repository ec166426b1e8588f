"""What the card of an imported judge says: that votecast did not train it, and what nobody can check any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MEASURED = (
    "On the votes that were given at the import, each forecast under a calibrator that had not seen it, with 95 % "
    "intervals clustered by prompt. Whether the checkpoints were trained on these votes, votecast cannot tell; if they "
    "were, the figures flatter the judge."
)


def opening(config: Mapping[str, Any]) -> str:
    """Where the judge comes from, in a sentence."""
    members = config["notes"]["imported"]["members"]
    return (
        f"A judge of the family `{config['family']}`, trained elsewhere: votecast {config['made_with']['votecast']} "
        f"imported its {'checkpoint' if len(members) == 1 else f'{len(members)} checkpoints'}. Given a prompt and two "
        "answers it forecasts how people vote: A wins, B wins, tie."
    )


def data(votes: int) -> str:
    """What is known of the training data: nothing.

    Args:
        votes: Rows that were given at the import to calibrate on.
    """
    used = f"{votes:,} votes were given at the import, for the calibration alone." if votes else "No vote was used."
    return (
        "## Training data\n\n"
        "Unknown: the checkpoints were trained elsewhere, and do not say on what. The judge keeps no hashes of its "
        "training prompts, so that no leak check is possible: measure it on votes that are known to be others. "
        f"{used} Origin and licence of votes and weights are those of whoever made the checkpoints."
    )


def how(config: Mapping[str, Any]) -> str:
    """Checkpoints, reading and calibration."""
    notes, model = config["notes"]["imported"], config["recipe"]["model"]
    method, text = config["calibration"]["method"], model["text"]
    shown = " (each column as the contest's file spells it)" if text["raw_cell"] else ""
    orders = "both orders of the answers, averaged" if model["orders"] == "both" else "the answers in the order given"
    lines = [
        f"- checkpoint {member['folder']}: {member['architecture']}, outputs {', '.join(member['labels'])}, "
        + ", ".join(f"{name} with SHA-256 `{digest}`" for name, digest in member["sha256"].items())
        for member in notes["members"]
    ]
    lines += [
        "- kept: " + ("one model" if len(lines) == 1 else f"{len(lines)} models, averaged"),
        f"- text: template {text['template']}{shown}, cut {text['cut']}, at most {text['max_length']} tokens",
        f"- reads {orders}",
        "- calibration: none; the probabilities are as the models give them"
        if method == "none"
        else f"- calibration: {method}, fitted on the {notes['votes']:,} votes given at the import",
        "- all settings are in `config.json`",
    ]
    return "\n".join(["## How it was made", "", *lines])
