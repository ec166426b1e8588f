"""The summary of an audit in plain language: what to trust a judge with, and what not to use it for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from votecast.reports.audit.correction import Finding
from votecast.reports.audit.result import Audit
from votecast.reports.audit.slices import Part
from votecast.reports.audit_figures import LEAST_PAIRS, part_name
from votecast.reports.document import Remark
from votecast.reports.texts import brief

FEW_PROMPTS: Final = 200
"""With fewer prompts only gross faults can be seen."""

LEAST_VOTES: Final = 30
"""With fewer votes nothing is said of how well they are foreseen."""

LEAST_VOTED_PROMPTS: Final = 20
"""With fewer prompts nothing is said of how well votes are foreseen."""

WORTH: Final = 0.005
"""What a judge must save in log loss against class frequencies to be called worth asking."""

_NAMED: Final = 4
_FLIPS: Final = 0.01
_CUT: Final = 0.05
_MOVES: Final = 0.005


def summary(audit: Audit) -> list[Remark]:
    """Say what a hurried reader needs: warnings first, then what is good, then what to bear in mind."""
    found = [
        *_votes(audit),
        *([] if _is_nothing(audit) else _foresight(audit)),
        *_order(audit),
        *_style(audit),
        *_models(audit),
        *_truncation(audit),
        Remark(
            "note",
            "All of this holds for votes like these. It foresees taste, not truth: a preferred answer can be wrong. Do "
            "not use it to decide about people.",
        ),
    ]
    order = {"warning": 0, "good": 1, "note": 2}
    return sorted(found, key=lambda remark: order[remark.level])


def _votes(audit: Audit) -> Iterator[Remark]:
    votes = audit.votes
    if votes.leaks:
        yield _warning(
            f"{votes.leaks:,} of {votes.rows:,} rows have prompts on which the judge was trained. Do not quote these "
            "figures: they flatter it."
        )
    if votes.leaks is None:
        yield _note(
            "Whether the judge was trained on these prompts could not be checked; if it was, all figures flatter it."
        )
    if _is_nothing(audit):
        counted = "1 prompt" if votes.prompts == 1 else f"{votes.prompts:,} prompts"
        yield _warning(
            f"So few votes tell nothing of a judge ({votes.rows:,} on {counted}): no figure here shows that it "
            f"foresees votes, or that it does not. Take at least {LEAST_VOTES} votes on {LEAST_VOTED_PROMPTS} prompts, "
            f"better {FEW_PROMPTS} prompts or more."
        )
    elif votes.prompts < FEW_PROMPTS:
        yield _warning(
            f"There are only {votes.prompts:,} different prompts here: read the intervals, not the figures, and do not "
            "take a fault that was not found for one that is not there."
        )


def _foresight(audit: Audit) -> Iterator[Remark]:
    """How well it foresees votes, all in all and in parts."""
    for remarks in (_worth, _people, _calibration, _ties, _slices):
        yield from remarks(audit)


def _worth(audit: Audit) -> Iterator[Remark]:
    gains = {baseline.name: baseline.gain for baseline in audit.baselines}
    accuracy, loss = audit.headline["accuracy"].value, audit.headline["log_loss"].value
    prior, style = gains["prior"], gains.get("style")
    facts = f"its decision meets the vote in {accuracy:.1%} of rows, its log loss is {loss:.3f}"
    drawn = audit.settings["draws"] > 0
    if prior.high < 0 or (math.isnan(prior.high) and prior.value < 0):
        yield _warning(
            "Do not use its probabilities on votes like these: forecasting nothing but how often each outcome occurs "
            f"does better, by {-prior.value:.3f} in log loss ({facts})."
        )
    elif prior.low > 0 and prior.value >= WORTH:
        yield Remark(
            "good",
            f"It foresees votes: {facts}, {prior.value:.3f} less than forecasting only how often each outcome occurs.",
        )
    elif not drawn:
        yield _note(
            f"No intervals were drawn: {facts}, {prior.value:.3f} less than forecasting only how often each outcome "
            "occurs, and how much of that is chance is not known."
        )
    else:
        yield _warning(
            f"It cannot be told apart from forecasting nothing but how often each outcome occurs ({facts}): do not "
            "rely on it for votes like these."
        )
    if style is not None and drawn and prior.value >= WORTH and not style.low > 0:
        verb = "is worse than" if style.high < 0 else "is not shown to be better than"
        yield _warning(f"It {verb} a model that sees only length and layout: do not take it for a judge of content.")


def _people(audit: Audit) -> Iterator[Remark]:
    people = audit.people
    if people is None or people.pairs < LEAST_PAIRS:
        return
    said = (
        f"two people who voted on the same pair agree in {people.agreement.value:.0%} ({people.pairs:,} pairs with "
        f"several votes); the judge meets a vote on those pairs in {people.judge.value:.0%}"
    )
    as_good = people.judge.value >= people.agreement.value
    yield Remark("good" if as_good else "note", said[0].upper() + said[1:] + ".")


def _calibration(audit: Audit) -> Iterator[Remark]:
    ece, chance = audit.headline["ece"], audit.headline["ece_perfect"]
    excess = audit.excess
    if excess.above:
        yield _warning(
            f"It is overconfident: its log loss is {excess.value:.3f} above what its own forecasts expect. Do not take "
            "its probabilities at their word; recalibrate it on votes like these (votecast calibrate)."
        )
    elif excess.below:
        yield _note(
            f"It is less sure than it could be: its log loss is {-excess.value:.3f} below what its own forecasts "
            "expect. Recalibrating it (votecast calibrate) makes it sharper."
        )
    elif ece.value > chance.high:
        yield _warning(
            f"Its probabilities are off by {ece.value:.1%} on average, and a perfect judge by {chance.value:.1%} from "
            "chance alone: recalibrate it before you rely on them."
        )
    elif audit.votes.prompts < FEW_PROMPTS:
        yield _note(
            f"Whether its probabilities are true cannot be told from so few prompts: they are off by {ece.value:.1%} "
            f"on average, and a perfect judge's would be by {chance.value:.1%} from chance alone."
        )
    else:
        yield Remark(
            "good",
            f"Its probabilities can be taken at their word as far as {audit.votes.rows:,} votes can tell: they are off "
            f"by {ece.value:.1%} on average, a perfect judge's by {chance.value:.1%} from chance alone.",
        )


def _ties(audit: Audit) -> Iterator[Remark]:
    ties = audit.ties
    if ties is None:
        yield _note("No tie was voted: nothing is said about how it forecasts ties.")
        return
    if ties.gap.marked:
        yield _warning(
            f"It forecasts too {'many' if ties.gap.value > 0 else 'few'} ties: {ties.forecast.value:.1%} on average, "
            f"and {ties.voted.value:.1%} were voted."
        )
    if ties.decided.value < 0.02 <= ties.voted.value:
        yield _note(
            f"It {'never' if ties.decided.value == 0 else 'hardly ever'} decides for a tie, though "
            f"{ties.voted.value:.0%} of votes are ties: where ties matter, use its probabilities and not its decisions."
        )


def _slices(audit: Audit) -> Iterator[Remark]:
    parts = [part for part in audit.slices if part.rows < audit.votes.rows]  # what holds all rows is no news
    harmful = [part for part in parts if part.gain.below]
    if harmful:
        yield _warning(f"Do not use it where it is worse than forecasting class frequencies: {_parts(harmful)}.")
    sure = sorted((part for part in parts if part.excess.above), key=lambda part: -part.excess.value)
    if sure and audit.excess.above:
        yield _note(f"It is most overconfident for {part_name(sure[0])}.")
    elif sure:
        yield _warning(f"Do not take its probabilities at their word where it is overconfident: {_parts(sure)}.")
    ties = [part for part in parts if part.tie_gap.marked]
    if ties and not (audit.ties and audit.ties.gap.marked):
        yield _note(f"It forecasts too many or too few ties for {_parts(ties)}.")
    tested = sum(_is_tested(part.excess) for part in parts)
    if tested and not harmful and not sure and _is_telling(audit):
        yield Remark("good", f"None of {tested} slices was found where it does harm or is overconfident.")


def _order(audit: Audit) -> Iterator[Remark]:
    found = audit.position
    if found is None:
        yield _note("Whether the order of the answers matters is not known: there are forecasts of one order only.")
    elif found.flips.value >= _FLIPS:
        side = "" if not found.pull.marked else f", in favour of the {'first' if found.pull.value > 0 else 'second'}"
        yield _warning(
            f"In {found.flips.value:.1%} of rows its decision depends on which answer is shown first{side}: ask for "
            "both orders and average."
        )
    elif found.pull.marked:
        yield _note(
            f"The answer shown {'first' if found.pull.value > 0 else 'second'} gains {abs(found.pull.value):.2%} on "
            "average; decisions hardly change."
        )
    elif found.moved.value < _MOVES:
        yield Remark("good", "The order of the answers does not matter to it.")
    else:
        yield _note(
            f"Its forecasts move by {found.moved.value:.1%} on average with the order of the answers; decisions hardly "
            "change."
        )
    if found is not None and found.lean_gap.marked:
        lean = "less" if found.lean_gap.value < 0 else "more"
        yield _note(f"It leans {lean} to the answer shown first than the people who voted.")


def _style(audit: Audit) -> Iterator[Remark]:
    if audit.style is None:
        return
    over = [trait.name for trait in audit.style.traits if trait.overrated.above]
    under = [trait.name for trait in audit.style.traits if trait.overrated.below]
    if over:
        yield _warning(f"It gives more for {', '.join(over)} than people do: answers can be dressed up for it.")
    if under:
        yield _note(f"It gives less for {', '.join(under)} than people do.")
    tested = any(_is_tested(trait.overrated) for trait in audit.style.traits)
    if tested and not over and not under and _is_telling(audit):
        yield Remark("good", "No taste for length, layout or repetition was found beyond that of the people who voted.")


def _models(audit: Audit) -> Iterator[Remark]:
    found = audit.models
    if found is None:
        yield _note("Whether it favours models is not known: the votes name none.")
        return
    likes = [model for model in found.models if model.favoured.above]
    dislikes = [model for model in found.models if model.favoured.below]
    for favours, verb in ((likes, "favours"), (dislikes, "puts down")):
        if favours:
            strongest = sorted(favours, key=lambda favour: -abs(favour.favoured.value))
            names = [f"{brief(favour.name)} ({favour.favoured.value:+.1%})" for favour in strongest]
            yield _warning(f"It {verb} {_some(names)} beyond the votes: do not rank these models with it alone.")
    tested = sum(_is_tested(model.favoured) for model in found.models)
    if tested and not likes and not dislikes and _is_telling(audit):
        counted = f"None of {tested} models" if tested > 1 else "No model"
        yield Remark("good", f"{counted} was found that it favours or puts down beyond the votes.")
    own = [family for family in found.families if family.name in found.own]
    for family in own:
        known = "" if family.favoured.marked else ", which is within chance"
        said = _warning if family.favoured.above else _note
        yield said(
            f"It stands on weights of the family {family.name}, which is among the models, and gives it "
            f"{family.favoured.value:+.1%} beyond the votes{known}.",
        )


def _truncation(audit: Audit) -> Iterator[Remark]:
    found = audit.truncation
    if found is None or found.share.value < _CUT:
        return
    worse = " Its forecasts are worse there." if found.harder.above else ""
    yield _note(
        f"{found.share.value:.0%} of rows are longer than it reads; {found.unread.value:.0%} of all text never reached "
        f"it.{worse}"
    )


def _is_nothing(audit: Audit) -> bool:
    """Whether the votes are too few to say anything of how well they are foreseen."""
    return audit.votes.rows < LEAST_VOTES or audit.votes.prompts < LEAST_VOTED_PROMPTS


def _is_telling(audit: Audit) -> bool:
    """Whether a fault that was not found is news: on few prompts only gross ones are."""
    return audit.votes.prompts >= FEW_PROMPTS


def _is_tested(test: Finding) -> bool:
    return not math.isnan(test.p)


def _parts(parts: Sequence[Part]) -> str:
    return _some([part_name(part) for part in parts])


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _warning(text: str) -> Remark:
    return Remark("warning", text)


def _note(text: str) -> Remark:
    return Remark("note", text)
