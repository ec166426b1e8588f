"""The first screen of an audit: headline metrics, then findings with their intervals.

Called by `votecast.reports.audit_page`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from votecast.metrics import Figure
from votecast.reports.audit import Audit
from votecast.reports.audit.slices import AuditSlice
from votecast.reports.document import Level, Metric, Remark
from votecast.reports.page_format import brief, interval_text
from votecast.reports.page_texts import load_texts

FEW_PROMPTS: Final = 200
"""With fewer prompts only gross faults can be detected."""

LEAST_VOTES: Final = 30
LEAST_VOTED_PROMPTS: Final = 20
"""With fewer votes or prompts nothing is concluded about how well votes are predicted."""

LEAST_PAIRS: Final = 20
"""With fewer pairs that have several votes nothing is concluded about how far people agree."""

WORTH: Final = 0.005
"""Least gain in log loss over the class prior that counts as better."""

_NAMED: Final = 4
_FLIPS: Final = 0.01
_TRUNCATED: Final = 0.05
_MOVES: Final = 0.005

texts = load_texts("audit")


def headline_metrics(audit: Audit) -> list[Metric]:
    """Return the metrics of the first screen, beside those of the class prior."""
    found, votes = audit.headline, audit.votes
    prior = next(baseline.metrics for baseline in audit.baselines if baseline.name == "prior")
    chance = found["ece_perfect"].value
    metrics = [
        ("log_loss", texts("notes.prior", value=prior["log_loss"].value), False),
        ("accuracy", texts("notes.prior_share", value=prior["accuracy"].value), True),
        ("ece", "" if math.isnan(chance) else texts("notes.chance", value=chance), True),
    ]
    out = [Metric(texts(f"metrics.{key}"), found[key], note, percent) for key, note, percent in metrics]
    if audit.position is not None:
        out.append(Metric(texts("metrics.flips"), audit.position.flips, texts("notes.flips"), percent=True))
    out.append(Metric(texts("metrics.votes"), votes.rows, texts("notes.prompts", prompts=votes.prompts)))
    return [metric for metric in out if not isinstance(metric.value, Figure) or not math.isnan(metric.value.value)]


def summarise(audit: Audit) -> list[Remark]:
    """Return the findings: warnings, then what is good, then notes."""
    found = [
        *_on_votes(audit),
        *([] if _is_nothing(audit) else _on_predictions(audit)),
        *_on_order(audit),
        *_on_style(audit),
        *_on_models(audit),
    ]
    cut = audit.truncation
    if cut is not None and cut.share.value >= _TRUNCATED:
        worse = texts("findings.truncated_worse") if cut.harder.above else ""
        found.append(texts.remark("note", "truncated", share=cut.share.value, unread=cut.unread.value, worse=worse))
    found.append(texts.remark("note", "scope"))
    return sorted(found, key=lambda remark: ("warning", "good", "note").index(remark.level))


def _is_nothing(audit: Audit) -> bool:
    return audit.votes.rows < LEAST_VOTES or audit.votes.prompts < LEAST_VOTED_PROMPTS


def _is_enough(audit: Audit) -> bool:
    """Whether a fault that was not detected is worth a finding: on few prompts only gross ones are."""
    return audit.votes.prompts >= FEW_PROMPTS


def _on_votes(audit: Audit) -> Iterator[Remark]:
    votes = audit.votes
    if votes.leaks:
        yield texts.remark("warning", "leaks", leaks=votes.leaks, rows=votes.rows)
    if votes.leaks is None:
        yield texts.remark("note", "leaks_unknown")
    if _is_nothing(audit):
        counted = "1 prompt" if votes.prompts == 1 else f"{votes.prompts:,} prompts"
        least = {"least_votes": LEAST_VOTES, "least_prompts": LEAST_VOTED_PROMPTS, "few": FEW_PROMPTS}
        yield texts.remark("warning", "nothing", rows=votes.rows, counted=counted, **least)
    elif not _is_enough(audit):
        yield texts.remark("warning", "few", prompts=votes.prompts)


def _on_predictions(audit: Audit) -> Iterator[Remark]:
    """How well votes are predicted, overall and in slices."""
    yield from _on_gain(audit)
    people = audit.people
    if people is not None and people.pairs >= LEAST_PAIRS:
        yield texts.remark(
            "good" if people.judge.value >= people.agreement.value else "note",
            "people",
            agreement=people.agreement.value,
            pairs=people.pairs,
            judge=people.judge.value,
            interval=interval_text(people.agreement, ".0%", bare=True),
        )
    yield from _on_calibration(audit)
    yield from _on_ties(audit)
    yield from _on_slices(audit)


def _on_gain(audit: Audit) -> Iterator[Remark]:
    baselines = {baseline.name: baseline for baseline in audit.baselines}
    accuracy, gain = audit.headline["accuracy"], baselines["prior"].gain
    few = interval_text(accuracy, ".0%") if not _is_enough(audit) else ""
    facts = texts(
        "findings.facts",
        accuracy=accuracy.value,
        rows=audit.votes.rows,
        interval=few,
        loss=audit.headline["log_loss"].value,
        prior=baselines["prior"].metrics["log_loss"].value,
    )
    drawn = audit.settings["draws"] > 0
    level: Level
    level, key = ("warning", "indistinct") if drawn else ("note", "no_draws")
    if gain.high < 0 or (math.isnan(gain.high) and gain.value < 0):
        level, key = "warning", "worse"
    elif gain.low > 0 and gain.value >= WORTH:
        level, key = "good", "better"
    yield texts.remark(level, key, facts=facts, gain=gain.value, interval=interval_text(gain, ".3f", bare=True))
    style = baselines.get("style")
    if style is not None and drawn and gain.value >= WORTH and not style.gain.low > 0:
        yield texts.remark(
            "warning",
            "style_only",
            verb="is worse than" if style.gain.high < 0 else "is not shown to be better than",
            gain=style.gain.value,
            interval=interval_text(style.gain, ".3f", bare=True),
        )


def _on_calibration(audit: Audit) -> Iterator[Remark]:
    excess, interval = audit.excess, interval_text(audit.excess.figure, ".3f")
    chance = audit.headline["ece_perfect"]
    found = {"ece": audit.headline["ece"].value, "chance": chance.value}
    if excess.above:
        yield texts.remark("warning", "overconfident", excess=excess.value, interval=interval)
    elif excess.below:
        turned = interval_text((-excess.value, -excess.high, -excess.low), ".3f")
        yield texts.remark("note", "underconfident", excess=-excess.value, interval=turned)
    elif found["ece"] > chance.high:
        yield texts.remark("warning", "miscalibrated", **found)
    elif not _is_enough(audit):
        yield texts.remark("note", "calibration_few", prompts=audit.votes.prompts, **found)
    else:
        yield texts.remark("good", "calibrated", rows=audit.votes.rows, **found)


def _on_ties(audit: Audit) -> Iterator[Remark]:
    ties = audit.ties
    if ties is None:
        yield texts.remark("note", "no_ties")
        return
    if ties.gap.marked:
        yield texts.remark(
            "warning",
            "tie_gap",
            many="many" if ties.gap.value > 0 else "few",
            predicted=ties.predicted.value,
            voted=ties.voted.value,
            gap=ties.gap.value,
            interval=interval_text(ties.gap.figure, "+.1%", bare=True),
        )
    if ties.decided.value < 0.02 <= ties.voted.value:
        often = "never" if ties.decided.value == 0 else "hardly ever"
        yield texts.remark("note", "ties_avoided", often=often, voted=ties.voted.value)


def _on_slices(audit: Audit) -> Iterator[Remark]:
    parts = [part for part in audit.slices if part.rows < audit.votes.rows]  # a slice of all rows is the headline
    harmful = [part for part in parts if part.gain.below]
    if harmful:
        yield texts.remark("warning", "slices_harm", parts=_name_slices(harmful))
    sure = sorted((part for part in parts if part.excess.above), key=lambda part: -part.excess.value)
    if sure and audit.excess.above:
        yield texts.remark("note", "slices_most", part=_name_slices(sure[:1]))
    elif sure:
        yield texts.remark("warning", "slices_overconfident", parts=_name_slices(sure))
    ties = [part for part in parts if part.tie_gap.marked]
    if ties and not (audit.ties and audit.ties.gap.marked):
        yield texts.remark("note", "slices_ties", parts=_name_slices(ties))
    tested = sum(part.excess.is_tested for part in parts)
    if tested and not harmful and not sure and _is_enough(audit):
        yield texts.remark("good", "slices_good", tested=tested)


def _on_order(audit: Audit) -> Iterator[Remark]:
    found = audit.position
    if found is None:
        yield texts.remark("note", "order_unknown")
        return
    side, pull = ("first" if found.pull.value > 0 else "second"), found.pull
    if found.flips.value >= _FLIPS:
        yield texts.remark(
            "warning",
            "order_flips",
            flips=found.flips.value,
            rows=audit.votes.rows,
            interval=interval_text(found.flips, ".1%"),
            side=f", in favour of the answer shown {side}" if pull.marked else "",
        )
    elif pull.marked:
        low, high = sorted(map(abs, (pull.low, pull.high)))
        interval = interval_text((abs(pull.value), low, high), ".2%")
        yield texts.remark("note", "order_pull", side=side, pull=abs(pull.value), interval=interval)
    elif found.moved.value < _MOVES:
        yield texts.remark("good", "order_good", rows=audit.votes.rows)
    else:
        yield texts.remark("note", "order_moves", moved=found.moved.value)
    if found.lean_gap.marked:
        gap = found.lean_gap
        less, interval = "less" if gap.value < 0 else "more", interval_text(gap.figure, "+.1%", bare=True)
        yield texts.remark("note", "order_lean", less=less, gap=gap.value, interval=interval)


def _on_style(audit: Audit) -> Iterator[Remark]:
    if audit.style is None:
        return
    over = [trait.name for trait in audit.style.traits if trait.overrated.above]
    under = [trait.name for trait in audit.style.traits if trait.overrated.below]
    if over:
        yield texts.remark("warning", "style_over", names=", ".join(over))
    if under:
        yield texts.remark("note", "style_under", names=", ".join(under))
    is_tested = any(trait.overrated.is_tested for trait in audit.style.traits)
    if is_tested and not over and not under and _is_enough(audit):
        yield texts.remark("good", "style_good")


def _on_models(audit: Audit) -> Iterator[Remark]:
    found = audit.models
    if found is None:
        yield texts.remark("note", "models_unknown")
        return
    likes = [model for model in found.models if model.favoured.above]
    dislikes = [model for model in found.models if model.favoured.below]
    for biases, key in ((likes, "models_favoured"), (dislikes, "models_disfavoured")):
        if biases:
            strongest = sorted(biases, key=lambda bias: -abs(bias.favoured.value))
            names = [f"{brief(bias.name)} ({bias.favoured.value:+.1%}, n = {bias.rows:,})" for bias in strongest]
            yield texts.remark("warning", key, names=_join(names))
    tested = sum(model.favoured.is_tested for model in found.models)
    if tested and not likes and not dislikes and _is_enough(audit):
        yield texts.remark("good", "models_good" if tested > 1 else "models_good_one", tested=tested)
    for family in found.families:
        if family.name in found.own:
            yield texts.remark(
                "warning" if family.favoured.above else "note",
                "models_own",
                family=family.name,
                favoured=family.favoured.value,
                known="" if family.favoured.marked else ", within chance",
                interval=interval_text(family.favoured.figure, "+.1%"),
            )


def _name_slices(parts: Sequence[AuditSlice]) -> str:
    return _join([f"{part.label} (n = {part.rows:,})" for part in parts])


def _join(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
