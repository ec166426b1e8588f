"""Models that a judge favours beyond the votes, its own family above all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from votecast.metrics import Figure
from votecast.reports.audit.correction import Finding
from votecast.reports.audit.rows import Rows

MOST: Final = 100
"""Models that are looked at, those with most battles first."""

_SIDES: Final = ("model_a", "model_b")
_FAMILIES: Final = (
    "chatglm", "glm", "claude", "command", "dolly", "falcon", "gemini", "gemma", "gpt", "grok", "guanaco", "internlm",
    "koala", "vicuna", "alpaca", "wizardlm", "llama", "mixtral", "mistral", "mpt", "oasst", "olmo", "palm", "phi",
    "pythia", "qwen", "smollm", "stablelm", "starling", "tulu", "yi", "zephyr", "deepseek", "deberta", "minilm",
    "modernbert", "bert",
)  # fmt: skip


@dataclass(frozen=True)
class Favour:
    """One model, or one family of models.

    Args:
        name: Its name.
        rows: Battles it took part in.
        voted: Share of its battles that it won by the votes, a tie counted as half.
        forecast: The same by the forecasts.
        favoured: Forecast minus voted: above 0 the judge gives it more than people do.
    """

    name: str
    rows: int
    voted: Figure
    forecast: Figure
    favoured: Finding


@dataclass(frozen=True)
class Models:
    """Self-preference and other favourites.

    Args:
        models: Most battles first, 100 at most.
        families: Families of several models among them, by name.
        own: Families on whose weights the judge stands, as far as they are known.
        own_among: Those of `own` that occur among the models.
        named: Rows with two different models that are both named.
    """

    models: tuple[Favour, ...]
    families: tuple[Favour, ...]
    own: tuple[str, ...]
    own_among: tuple[str, ...]
    named: int


def family_of(model: str) -> str:
    """The family of a model, from its name alone: a known family that occurs in it, else its first word.

    Example:
        >>> [family_of(name) for name in ("gpt-4-0613", "meta-llama/Llama-2-7b", "aurora-70b", "Qwen2.5-7B", "7b")]
        ['gpt', 'llama', 'aurora', 'qwen', '7b']
    """
    bare = model.rsplit("/", 1)[-1].lower().replace("chatgpt", "gpt")
    words = re.findall(r"[^\W\d_]+", bare)
    known = (name for name in _FAMILIES if any(word.startswith(name) for word in words))
    return next(known, words[0] if words and not bare[0].isdigit() else bare)


def models(rows: Rows, bases: Sequence[str]) -> Models | None:
    """Compare forecasts and votes model by model; None where no two models are named.

    Args:
        rows: Votes and forecasts.
        bases: Names of the weights on which the judge stands.
    """
    sides = [np.array([name or "" for name in rows.battles.column(side).to_pylist()], object) for side in _SIDES]
    named = (sides[0] != "") & (sides[1] != "") & (sides[0] != sides[1])
    if not named.any():
        return None
    own = tuple(dict.fromkeys(map(family_of, bases)))
    kin = {name: family_of(name) for name in sorted({*sides[0][named], *sides[1][named]})}
    sizes = Counter(kin.values())
    several = [name for name in sorted(sizes) if sizes[name] > 1 or name in own]
    blood = [np.array([kin.get(name, "") for name in side], object) for side in sides]
    return Models(
        models=_favours(rows, sides, named, list(kin)),
        families=_favours(rows, blood, named & (blood[0] != blood[1]), several),
        own=own,
        own_among=tuple(name for name in own if name in kin.values()),
        named=int(named.sum()),
    )


def _favours(rows: Rows, sides: list[np.ndarray], counted: np.ndarray, names: list[str]) -> tuple[Favour, ...]:
    """Each name against all others, most battles first, no more of them than are looked at."""
    out, battles = [], Counter(np.concatenate([side[counted] for side in sides]).tolist())
    lead, wins = rows.side_gap, (rows.targets[:, 0] + rows.targets[:, 2] / 2, rows.p[:, 0] + rows.p[:, 2] / 2)
    for name in sorted(names, key=lambda name: (-battles[name], name))[:MOST]:
        first, second = (side == name for side in sides)
        part = (first | second) & counted
        if part.any():
            shares = [np.where(first, share, 1 - share) for share in wins]
            voted, forecast = (rows.sums.mean(share, part) for share in shares)
            favoured = rows.sums.tested(np.where(first, lead, -lead), part, noise=rows.side_noise)
            out.append(Favour(name, int(part.sum()), voted, forecast, favoured))
    return tuple(sorted(out, key=lambda favour: (-favour.rows, favour.name)))
