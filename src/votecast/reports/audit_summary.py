"""The first screen of an audit: headline metrics, then findings with their intervals.

Called by `votecast.reports.audit_page`; the texts are in `templates/audit.yaml`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    found = _Findings(audit)
    found.on_votes()
    if not found.is_nothing:
        found.on_gain()
        found.on_people()
        found.on_calibration()
        found.on_ties()
        found.on_slices()
    found.on_order()
    found.on_style()
    found.on_models()
    cut = audit.truncation
    if cut is not None and cut.share.value >= _TRUNCATED:
        found.add("note", "truncated", worse=texts("findings.truncated_worse") if cut.harder.above else "")
    found.add("note", "scope")
    return sorted(found.remarks, key=lambda remark: ("warning", "good", "note").index(remark.level))


class _Findings:
    """The findings of an audit, subject by subject."""

    def __init__(self, audit: Audit) -> None:
        self.audit, self.votes, self.headline = audit, audit.votes, audit.headline
        self.remarks: list[Remark] = []
        self.is_nothing = self.votes.rows < LEAST_VOTES or self.votes.prompts < LEAST_VOTED_PROMPTS
        # on few prompts only gross faults are detected: one that was not is no finding
        self.is_enough = self.votes.prompts >= FEW_PROMPTS

    def add(self, level: Level, key: str, **values: object) -> None:
        """Add a finding; its text may show whatever the audit holds."""
        self.remarks.append(texts.remark(level, key, audit=self.audit, **values))

    def on_votes(self) -> None:
        """Report too few votes, and votes on training prompts."""
        if self.votes.leaks:
            self.add("warning", "leaks")
        if self.votes.leaks is None:
            self.add("note", "leaks_unknown")
        if self.is_nothing:
            counted = "1 prompt" if self.votes.prompts == 1 else f"{self.votes.prompts:,} prompts"
            least = {"least_votes": LEAST_VOTES, "least_prompts": LEAST_VOTED_PROMPTS, "few": FEW_PROMPTS}
            self.add("warning", "nothing", counted=counted, **least)
        elif not self.is_enough:
            self.add("warning", "few")

    def on_gain(self) -> None:
        """Report how well votes are predicted, beside the class prior and a model of style."""
        baselines = {baseline.name: baseline for baseline in self.audit.baselines}
        prior, gain, style = (
            baselines["prior"].metrics["log_loss"].value,
            baselines["prior"].gain,
            baselines.get("style"),
        )
        few = "" if self.is_enough else interval_text(self.headline["accuracy"], ".0%")
        facts = texts("findings.facts", audit=self.audit, interval=few, prior=prior)
        drawn = self.audit.settings["draws"] > 0
        level: Level
        level, key = ("warning", "indistinct") if drawn else ("note", "no_draws")
        if gain.high < 0 or (math.isnan(gain.high) and gain.value < 0):
            level, key = "warning", "worse"
        elif gain.low > 0 and gain.value >= WORTH:
            level, key = "good", "better"
        self.add(level, key, facts=facts, gain=gain.value, interval=interval_text(gain, ".3f", bare=True))
        if style is not None and drawn and gain.value >= WORTH and not style.gain.low > 0:
            verb = "is worse than" if style.gain.high < 0 else "is not shown to be better than"
            interval = interval_text(style.gain, ".3f", bare=True)
            self.add("warning", "style_only", verb=verb, gain=style.gain.value, interval=interval)

    def on_people(self) -> None:
        """Report how well people predict each other."""
        people = self.audit.people
        if people is not None and people.pairs >= LEAST_PAIRS:
            is_good = people.judge.value >= people.agreement.value
            interval = interval_text(people.agreement, ".0%", bare=True)
            self.add("good" if is_good else "note", "people", interval=interval)

    def on_calibration(self) -> None:
        """Report whether the probabilities can be relied on."""
        excess, interval = self.audit.excess, interval_text(self.audit.excess.figure, ".3f")
        if excess.above:
            self.add("warning", "overconfident", interval=interval)
        elif excess.below:
            turned = interval_text((-excess.value, -excess.high, -excess.low), ".3f")
            self.add("note", "underconfident", excess=-excess.value, interval=turned)
        elif self.headline["ece"].value > self.headline["ece_perfect"].high:
            self.add("warning", "miscalibrated")
        elif not self.is_enough:
            self.add("note", "calibration_few")
        else:
            self.add("good", "calibrated")

    def on_ties(self) -> None:
        """Report whether as many ties are predicted as are voted."""
        ties = self.audit.ties
        if ties is None:
            self.add("note", "no_ties")
            return
        if ties.gap.marked:
            interval = interval_text(ties.gap.figure, "+.1%", bare=True)
            self.add("warning", "tie_gap", many="many" if ties.gap.value > 0 else "few", interval=interval)
        if ties.decided.value < 0.02 <= ties.voted.value:
            self.add("note", "ties_avoided", often="never" if ties.decided.value == 0 else "hardly ever")

    def on_slices(self) -> None:
        """Report where the judge is worse than elsewhere."""
        parts = [part for part in self.audit.slices if part.rows < self.votes.rows]  # all rows are the headline
        harmful = [part for part in parts if part.gain.below]
        sure = sorted((part for part in parts if part.excess.above), key=lambda part: -part.excess.value)
        ties = [part for part in parts if part.tie_gap.marked]
        tested = sum(part.excess.is_tested for part in parts)
        if harmful:
            self.add("warning", "slices_harm", parts=_name_slices(harmful))
        if sure and self.audit.excess.above:
            self.add("note", "slices_most", part=_name_slices(sure[:1]))
        elif sure:
            self.add("warning", "slices_overconfident", parts=_name_slices(sure))
        if ties and not (self.audit.ties and self.audit.ties.gap.marked):
            self.add("note", "slices_ties", parts=_name_slices(ties))
        if tested and not harmful and not sure and self.is_enough:
            self.add("good", "slices_good", tested=tested)

    def on_order(self) -> None:
        """Report whether predictions depend on the order of the answers."""
        found = self.audit.position
        if found is None:
            self.add("note", "order_unknown")
            return
        side, pull = ("first" if found.pull.value > 0 else "second"), found.pull
        if found.flips.value >= _FLIPS:
            favoured = f", in favour of the answer shown {side}" if pull.marked else ""
            self.add("warning", "order_flips", interval=interval_text(found.flips, ".1%"), side=favoured)
        elif pull.marked:
            low, high = sorted(map(abs, (pull.low, pull.high)))
            interval = interval_text((abs(pull.value), low, high), ".2%")
            self.add("note", "order_pull", side=side, pull=abs(pull.value), interval=interval)
        elif found.moved.value < _MOVES:
            self.add("good", "order_good")
        else:
            self.add("note", "order_moves")
        if found.lean_gap.marked:
            interval = interval_text(found.lean_gap.figure, "+.1%", bare=True)
            self.add("note", "order_lean", less="less" if found.lean_gap.value < 0 else "more", interval=interval)

    def on_style(self) -> None:
        """Report length and layout that the judge over- or underrates."""
        traits = () if self.audit.style is None else self.audit.style.traits
        over = [trait.name for trait in traits if trait.overrated.above]
        under = [trait.name for trait in traits if trait.overrated.below]
        if over:
            self.add("warning", "style_over", names=", ".join(over))
        if under:
            self.add("note", "style_under", names=", ".join(under))
        is_tested = any(trait.overrated.is_tested for trait in traits)
        if is_tested and not over and not under and self.is_enough:
            self.add("good", "style_good")

    def on_models(self) -> None:
        """Report models that get more, or less, than people give them."""
        found = self.audit.models
        if found is None:
            self.add("note", "models_unknown")
            return
        likes = [model for model in found.models if model.favoured.above]
        dislikes = [model for model in found.models if model.favoured.below]
        for biases, key in ((likes, "models_favoured"), (dislikes, "models_disfavoured")):
            if biases:
                strongest = sorted(biases, key=lambda bias: -abs(bias.favoured.value))
                names = [f"{brief(bias.name)} ({bias.favoured.value:+.1%}, n = {bias.rows:,})" for bias in strongest]
                self.add("warning", key, names=_join(names))
        tested = sum(model.favoured.is_tested for model in found.models)
        if tested and not likes and not dislikes and self.is_enough:
            self.add("good", "models_good" if tested > 1 else "models_good_one", tested=tested)
        for family in found.families:
            if family.name in found.own:
                known = "" if family.favoured.marked else ", within chance"
                interval = interval_text(family.favoured.figure, "+.1%")
                level: Level = "warning" if family.favoured.above else "note"
                self.add(level, "models_own", family=family, known=known, interval=interval)


def _name_slices(parts: Sequence[AuditSlice]) -> str:
    return _join([f"{part.label} (n = {part.rows:,})" for part in parts])


def _join(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
