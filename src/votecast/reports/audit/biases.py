"""What a judge favours beyond the votes: a position, models, and the responses that truncation left whole.

Called by `votecast.reports.audit.audit_judge`; `style_bias` holds length and layout.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from votecast.metrics import Figure
from votecast.metrics.scores import decisions, log_losses, ratio
from votecast.reports.audit.audit_rows import AuditRows
from votecast.reports.audit.findings import Finding
from votecast.text.truncation import PARTS

MOST_MODELS: Final = 100
"""Models that are compared, those with most battles first."""

_FAMILIES: Final = (
    "chatglm", "glm", "claude", "command", "dolly", "falcon", "gemini", "gemma", "gpt", "grok", "guanaco", "internlm",
    "koala", "vicuna", "alpaca", "wizardlm", "llama", "mixtral", "mistral", "mpt", "oasst", "olmo", "palm", "phi",
    "pythia", "qwen", "smollm", "stablelm", "starling", "tulu", "yi", "zephyr", "deepseek", "deberta", "minilm",
    "modernbert", "bert",
)  # fmt: skip


@dataclass(frozen=True)
class Position:
    """The effect of the order of the responses.

    Args:
        flips: Share of rows whose top choice changes with the order.
        first_both: Share of rows in which the response shown first is preferred in both orders.
        second_both: Share of rows in which the response shown second is preferred in both orders.
        pull: Mean probability that a response gains over the other by being shown first.
        moved: Mean absolute change of the probability of a response when the order changes.
        votes_lean: Share of votes for a minus share for b: the position bias of people, if the order was random.
        lean_gap: The predictions' lean to a minus that of the votes.
        averaged_gain: Log loss saved by averaging the predictions for both orders.
    """

    flips: Figure
    first_both: Figure
    second_both: Figure
    pull: Finding
    moved: Figure
    votes_lean: Figure
    lean_gap: Finding
    averaged_gain: Finding

    @classmethod
    def of(cls, rows: AuditRows) -> Position | None:
        """Compare the predictions for both orders; None where only one is known."""
        if rows.reverse is None:
            return None
        p, q, sums = rows.p, rows.reverse, rows.sums
        lead, swapped_lead = p[:, 0] - p[:, 1], q[:, 0] - q[:, 1]
        averaged = log_losses(rows.targets, (p + q) / 2)
        return cls(
            flips=sums.mean(np.abs(decisions(p) - decisions(q)).sum(axis=1) / 2),
            first_both=sums.mean(((lead > 0) & (swapped_lead < 0)).astype(np.float64)),
            second_both=sums.mean(((lead < 0) & (swapped_lead > 0)).astype(np.float64)),
            pull=sums.test_mean((lead - swapped_lead) / 2),
            moved=sums.mean(np.abs(p[:, :2] - q[:, :2]).mean(axis=1)),
            votes_lean=sums.mean(rows.targets[:, 0] - rows.targets[:, 1]),
            lean_gap=sums.test_mean(2 * rows.side_gap, noise=4 * rows.side_noise),
            averaged_gain=sums.test_mean(rows.losses - averaged),
        )


@dataclass(frozen=True)
class ModelBias:
    """One model, or one family of models.

    Args:
        name: Its name.
        rows: Battles it took part in.
        voted: Share of its battles that it won by the votes, a tie counting half.
        predicted: The same by the predictions.
        favoured: Predicted minus voted: above 0 the judge gives it more than people do.
    """

    name: str
    rows: int
    voted: Figure
    predicted: Figure
    favoured: Finding


@dataclass(frozen=True)
class ModelBiases:
    """Bias for or against models, self-preference included.

    Args:
        models: Most battles first, 100 at most.
        families: Families of several models among them, by name.
        own: Families of the weights that the judge is based on, as far as they are known.
        own_among: Those of `own` that occur among the models.
        named: Rows with two different models that are both named.
    """

    models: tuple[ModelBias, ...]
    families: tuple[ModelBias, ...]
    own: tuple[str, ...]
    own_among: tuple[str, ...]
    named: int

    @classmethod
    def of(cls, rows: AuditRows, bases: Sequence[str]) -> ModelBiases | None:
        """Compare predictions and votes model by model, for a judge based on some weights; None without names."""
        sides = [
            np.array([name or "" for name in rows.battles.column(side).to_pylist()], object)
            for side in ("model_a", "model_b")
        ]
        named = (sides[0] != "") & (sides[1] != "") & (sides[0] != sides[1])
        if not named.any():
            return None
        own = tuple(dict.fromkeys(map(family_of, bases)))
        family = {name: family_of(name) for name in sorted({*sides[0][named], *sides[1][named]})}
        sizes = Counter(family.values())
        families = [np.array([family.get(name, "") for name in side], object) for side in sides]
        return cls(
            models=_compare_names(rows, sides, named, list(family)),
            families=_compare_names(
                rows,
                families,
                named & (families[0] != families[1]),
                [name for name in sorted(sizes) if sizes[name] > 1 or name in own],
            ),
            own=own,
            own_among=tuple(name for name in own if name in sizes),
            named=int(named.sum()),
        )


@dataclass(frozen=True)
class Truncation:
    """What was truncated. The slices "truncation" hold the metrics.

    Args:
        rows: Rows that lost a token.
        share: Share of rows that lost a token.
        unread: Share of all tokens that were truncated.
        parts: The same of prompt, a and b.
        harder: Log loss of truncated rows minus that of the others.
        favoured: Predicted minus voted win share of the response of which the larger share was kept, a tie counting
            half: above 0 the judge prefers what it could read.
    """

    rows: int
    share: Figure
    unread: Figure
    parts: Mapping[str, float | None]
    harder: Finding
    favoured: Finding

    @classmethod
    def of(cls, rows: AuditRows) -> Truncation | None:
        """Measure what was truncated; None where nothing is, or it is unknown."""
        if rows.cut is None:
            return None
        kept, full, mask, sums = rows.cut.kept, rows.cut.full, rows.cut.cut, rows.sums  # kept, full: (n, 3) tokens
        lost = (full - kept).astype(np.float64)
        read = ratio(kept[:, 1:], np.maximum(full[:, 1:], 1)) + (full[:, 1:] == 0)  # (n, 2), 1 for an empty response
        ahead = np.sign(read[:, 0] - read[:, 1])
        return cls(
            rows=rows.cut.rows_cut,
            share=sums.mean(mask.astype(np.float64)),
            unread=sums.share(lost.sum(axis=1), full.sum(axis=1).astype(np.float64)),
            parts=dict(zip(PARTS, (float(x) for x in ratio(lost.sum(axis=0), full.sum(axis=0))), strict=True)),
            harder=sums.test_against_rest(rows.losses, mask),
            favoured=sums.test_mean(rows.side_gap * ahead, ahead != 0, noise=rows.side_noise),
        )


def _compare_names(
    rows: AuditRows, sides: list[np.ndarray], counted: np.ndarray, names: list[str]
) -> tuple[ModelBias, ...]:
    """Compare each name with all others, most battles first."""
    out, battles = [], Counter(np.concatenate([side[counted] for side in sides]).tolist())
    wins = rows.targets[:, 0] + rows.targets[:, 2] / 2, rows.p[:, 0] + rows.p[:, 2] / 2  # of response a
    for name in sorted(names, key=lambda name: (-battles[name], name))[:MOST_MODELS]:
        first, second = (side == name for side in sides)
        part = (first | second) & counted
        if part.any():
            voted, predicted = (rows.sums.mean(np.where(first, share, 1 - share), part) for share in wins)
            gap = np.where(first, rows.side_gap, -rows.side_gap)
            favoured = rows.sums.test_mean(gap, part, noise=rows.side_noise)
            out.append(ModelBias(name, int(part.sum()), voted, predicted, favoured))
    return tuple(sorted(out, key=lambda bias: (-bias.rows, bias.name)))


def family_of(model: str) -> str:
    """Return the family of a model: a known family in its name, else its first word.

    Example:
        >>> [family_of(name) for name in ("gpt-4-0613", "meta-llama/Llama-2-7b", "aurora-70b", "Qwen2.5-7B", "7b")]
        ['gpt', 'llama', 'aurora', 'qwen', '7b']
    """
    bare = model.rsplit("/", 1)[-1].lower().replace("chatgpt", "gpt")
    words = re.findall(r"[^\W\d_]+", bare)
    known = (name for name in _FAMILIES if any(word.startswith(name) for word in words))
    return next(known, words[0] if words and not bare[0].isdigit() else bare)
